"""`python -m benches.exports [--quick]`: the exports of a whole country, and a decision about all of it.

A feed of an election whose stations have all reported is written to the disk. Its exports are made by the
process that `publish` starts for them, at its low priority, one after the other. Then a decision annuls the
whole contest: from the decision to the snapshot on the disk. What exports do to the lag is in
`benches.publish_lag`: the publisher that it starts makes them as always.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from benches import publish
from benches.harness import Figure
from gateway import _core
from gateway.base.logs import Log
from gateway.feed import layout
from gateway.ledger.protocol import Entry
from gateway.publish.disk import Disk
from gateway.publish.exports.arrivals import Arrivals
from gateway.publish.exports.make import Job, Made
from gateway.publish.exports.task import PROGRAM
from gateway.publish.protocol import Draft
from gateway.publish.writer import Feed
from tests.replays import built

FULL, QUICK = 100_000, 10_000
ROUNDS = 3
PROMISED_SECONDS = 20.0
ANNUL_SECONDS = 5.0
MIB = 1024 * 1024


class Country:
    """A feed in which every station has reported."""

    def __init__(self, root: Path, stations: int, writer: Feed) -> None:
        self.root = root
        self.night = publish.Night(root, stations)
        self.writer = writer
        self._put()
        areas = stations // built.STATIONS_AN_AREA
        self.night.builder.take(self.night.builder.size, self.night.results(stations // 2, areas, 1))
        self.night.publish()
        self._put()

    @property
    def draft(self) -> Draft:
        """The newest snapshot."""
        assert self.night.last is not None
        return self.night.last

    def _put(self) -> None:
        self.writer.publish(self.draft, ())

    def annul(self) -> float:
        """Seconds from the decision that annuls a whole contest to the snapshot on the disk."""
        previous = hashlib.sha256(_core.encode_payload("decision", self.night.opening)).digest()
        definition = self.night.definition.hash
        content = (definition, previous, 2, built.CLOSES_AT, (("en", "annulled"),), (4, 0, 1))
        statement = _core.sign("decision", content, publish.MEMBER)
        start = time.perf_counter()
        self.night.builder.take(self.night.builder.size, [statement])
        self.night.publish()
        self._put()
        return time.perf_counter() - start


class Round(NamedTuple):
    """What one time of making took; `memory` is the most that the process had, in MiB."""

    seconds: float
    made: Made
    memory: float


def make_exports(feed: Path, root: Path, draft: Draft) -> Round:
    """Has the exports of a snapshot made as `publish` does."""
    folder = root / "exports"
    folder.mkdir()
    arrivals = Arrivals(root)
    try:
        arrivals.note(
            [Entry(index, b"", built.CLOSES_AT + index, f"box:{index}") for index in range(draft.size)]
        )
        job = Job(str(feed), draft.number, str(folder), arrivals.descriptor, 0)
        start = time.perf_counter()
        process = subprocess.Popen(
            PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(arrivals.descriptor,)
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(job))
        process.stdin.close()
        answer = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        assert status == 0
    finally:
        arrivals.close()
        shutil.rmtree(folder)
    return Round(seconds, msgspec.json.decode(answer, type=Made), usage.ru_maxrss / 1024)


def measure(stations: int) -> Iterator[Figure]:
    """The exports, their files, and the decision."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        feed = root / "feed"
        feed.mkdir()
        with Disk(str(feed)) as disk:
            log = Log("bench", print, lambda: 0)
            writer = Feed(feed, root / "last-snapshot", disk, log, hidden=root / "embargo")
            country = Country(root, stations, writer)
            definition = feed / layout.definition(country.night.definition.hash)
            shutil.copytree(root / "definition", definition)
            rounds = [make_exports(feed, root, country.draft) for _ in range(ROUNDS)]
            best = min(rounds)
            files = ", ".join(f"{file.name} {file.size / MIB:.1f}" for file in best.made.files)
            note = f"MiB: {files}; {best.memory:.0f} MiB of memory; load {os.getloadavg()[0]:.1f}"
            name = f"exports of {stations:,} stations"
            yield Figure(name, best.seconds, "s", PROMISED_SECONDS, note)
            seconds = country.annul()
            draft = country.draft
            note = f"{draft.stations:,} stations and {draft.areas:,} areas changed"
            yield Figure("a decision annuls a whole contest: on the disk", seconds, "s", ANNUL_SECONDS, note)


def main() -> int:
    """Prints a line a figure; 0 also where a promise is missed."""
    parser = argparse.ArgumentParser(prog="python -m benches.exports", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="enough to see a mistake")
    for figure in measure(QUICK if parser.parse_args().quick else FULL):
        print(figure, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
