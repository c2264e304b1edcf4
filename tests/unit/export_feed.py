"""Exports of a small feed, made by the gateway and signed by a test."""

from collections.abc import Callable
from pathlib import Path

from gateway import _core
from gateway.feed.exports import ExportFile, Exports
from gateway.ledger.protocol import Entry
from gateway.publish.exports.arrivals import Arrivals
from gateway.publish.exports.make import Job, Made, make
from tests.feed_writer import CLOSES_AT, ORIGIN, RESULT, SNAPSHOT_KEY, FeedWriter, digest

HOUR = 3_600_000


def night(root: Path) -> FeedWriter:
    """Turnout, results with paper beside them, a station in part, an annulled contest, a heartbeat."""
    writer = FeedWriter(root)
    writer.publish()
    writer.packet((2, CLOSES_AT - 3 * HOUR, ((3, 40),)))
    writer.packet(RESULT)
    writer.packet((4, CLOSES_AT, b"", 0, (), RESULT[5], ()), device=5)
    writer.publish()
    writer.decide(2, (4, 8, 2))
    writer.publish()
    writer.publish()
    return writer


def made(writer: FeedWriter, number: int, folder: Path) -> Made:
    """The files of a snapshot's exports."""
    arrivals = Arrivals(writer.root)
    try:
        arrivals.note([Entry(index, b"-", CLOSES_AT + index, "box:1") for index in range(len(writer.log))])
        return make(Job(str(writer.feed), number, str(folder), arrivals.descriptor, 0))
    finally:
        arrivals.close()


def put_exports(writer: FeedWriter, number: int) -> None:
    """Makes and signs the exports of a snapshot."""
    folder = writer.feed / "exports" / str(number)
    folder.mkdir(parents=True)
    made(writer, number, folder)
    sign(writer, number)


def sign(
    writer: FeedWriter,
    number: int,
    *,
    pointer: bool = True,
    said: Callable[[Exports], Exports] = lambda own: own,
) -> None:
    """Signs what lies in the folder, true or not."""
    folder = writer.feed / "exports" / str(number)
    files = tuple(
        ExportFile(digest(path.read_bytes()), path.stat().st_size, path.name)
        for path in sorted(folder.iterdir())
    )
    snapshot = digest((writer.feed / "snapshots" / f"{number}.json").read_bytes())
    exports = said(Exports(ORIGIN, number, snapshot, files))
    signer = _core.NoteSigner(f"{ORIGIN}/snapshot", bytes(SNAPSHOT_KEY))
    note = signer.sign(exports.text)
    (writer.feed / "exports" / f"{number}.note").write_text(note)
    if pointer:
        (writer.feed / "exports" / "latest.note").write_text(note)
