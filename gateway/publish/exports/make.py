"""All files of one snapshot's exports, made in one pass over its stations.

What lives here: `Job`, `Made` and `make`, which a process of its own runs (`gateway.publish.exports.task`):
it gives way to everybody else, and a fault of one of its libraries ends nothing but itself.
"""

import contextlib
from contextlib import ExitStack
from pathlib import Path

import msgspec

from gateway.feed import exports
from gateway.publish.exports import parquet
from gateway.publish.exports.arrivals import ArrivalsCsv
from gateway.publish.exports.names import NamesCsv
from gateway.publish.exports.nist import NistCdf
from gateway.publish.exports.parquet import Recorder
from gateway.publish.exports.results import ResultsCsv
from gateway.publish.exports.source import Source
from gateway.publish.exports.stations import ResultsNdjson
from gateway.publish.exports.turnout import TurnoutCsv
from gateway.publish.exports.writing import Output


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be made.

    Attributes:
        feed: the feed's folder.
        number: of the snapshot.
        folder: an empty one for the files.
        arrivals: descriptor of the file of an `Arrivals`.
        reserve: bytes that stay free on the disk.
    """

    feed: str
    number: int
    folder: str
    arrivals: int
    reserve: int


class Made(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was made; `origin` of the log, `snapshot` the SHA-256 of the snapshot's file, hex."""

    origin: str
    snapshot: str
    files: tuple[exports.ExportFile, ...]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why nothing was made."""

    code: str
    words: str


def make(job: Job) -> Made:
    """Makes the files; each is on the disk when this returns, their names are not.

    Raises:
        TallygateError: ``feed.malformed``, ``export.embargo``, ``export.disk``; of the definition.
        OSError: a file of the feed is not there, or the disk fails.
    """
    source = Source(Path(job.feed), job.number)
    outputs: list[Output] = []
    with ExitStack() as stack:

        def output(name: str) -> Output:
            made = stack.enter_context(Output(Path(job.folder), name, job.reserve))
            outputs.append(made)
            return made

        ArrivalsCsv(output(exports.ARRIVALS)).copy(job.arrivals, source.latest.log.size)
        nist = NistCdf(source, output(exports.NIST))
        recorders: list[Recorder] = [
            ResultsCsv(source, output(exports.RESULTS)),
            NamesCsv(source, output(exports.NAMES)),
            ResultsNdjson(source, output(exports.STATIONS)),
            TurnoutCsv(source, output(exports.TURNOUT)),
            nist,
        ]
        with contextlib.suppress(ImportError):
            recorders.append(parquet.recorder(source, output))
        for area in source.areas():
            nist.area(area)
            for seen in source.seen(area):
                for recorder in recorders:
                    recorder.station(seen)
        for recorder in recorders:
            recorder.finish()
        files = sorted((one.finish() for one in outputs), key=lambda file: file.name)
    return Made(source.latest.log.origin, source.sha256, tuple(files))
