"""`python -m benches.publish_lag [--quick]`: from acceptance to a published snapshot, in a busy minute.

The ledger of an election of 100,000 stations takes 1,000 results a second, each of another station, dealt out
over the whole country; `tallygate publish` runs beside it as the process that it is, over the follow socket.
An entry is accepted when the ledger has committed it, and published when latest.json covers it: both on one
clock. Half of the stations have reported before, so that objects are as long as in a night. TLS and
signatures are not in it: `benches.gateway` measures those.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import trio

from benches.harness import Figure
from gateway import _core
from gateway.base.clock import system_clock
from gateway.base.config import Config, Listen, render
from gateway.base.files import write_private
from gateway.ledger.follow import FollowServer
from gateway.ledger.protocol import Submission
from gateway.ledger.recovery import Site
from gateway.ledger.sqlite import SqliteLedger, open_ledger
from gateway.run.folder import NightFolder, ReadyFile, write_ready
from tests.replays import built

# RFC 8032, section 7.1, test 1: the secret key of `tests.replays.folder.COMMISSION_KEY`.
MEMBER = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
LOG_SEED, SNAPSHOT_SEED = bytes([1]) * 32, bytes([2]) * 32

A_SECOND = 1_000
# As the sequencer does under this load: some fifty statements a transaction.
BATCH = 50
PROMISED_SECONDS = 2.0
# Seconds between two looks at the pointer; what is measured is that much too long at most.
LOOK_SECONDS = 0.002
PATIENCE = 600.0

Content: TypeAlias = tuple["int | bytes | str | Content", ...]

_SIZE = re.compile(rb'"log":\{"origin":"[^"]*","root":"[^"]*","size":(\d+)\}')


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    stations: int
    seconds: int


FULL = Scale(100_000, 40)
QUICK = Scale(10_000, 4)


class Night:
    """A night folder whose ledger is this process's."""

    def __init__(self, root: Path, scale: Scale) -> None:
        self.folder = NightFolder(root)
        built.write_built(root, scale.stations, scale.stations)
        for name in ("data/opening", "run", "feed", "keys"):
            (root / name).mkdir(parents=True)
        self.definition = _core.Definition.load(root / "definition")
        roster = _core.Roster.load(root / "roster", self.definition)
        log_key, snapshot_key = _core.public_key(LOG_SEED), _core.public_key(SNAPSHOT_SEED)
        origin = f"rehearsal.invalid/{self.definition.id}/{_sha256(log_key)[:8]}"
        action = (1, origin, log_key, snapshot_key, roster.hash, "bench")
        content = (self.definition.hash, b"", 1, built.OPENS_AT, (("en", "open"),), action)
        (root / "data/opening/1.cose").write_bytes(_core.sign("decision", content, MEMBER))
        write_private(root / "keys/snapshot.key", SNAPSHOT_SEED)
        here = "127.0.0.1:0"
        (root / "tallygate.toml").write_bytes(render(Config(listen=Listen(operations_publish=here))))
        self.site = Site(self.definition, roster.hash, log_key, self.folder.published)

    def open(self) -> SqliteLedger:
        ledger = open_ledger(
            self.folder.data, self.site, LOG_SEED, clock=system_clock, now=system_clock, refusals_kept=100
        )
        write_ready(self.folder.ready("ingest"), ReadyFile(os.getpid(), "", log_key=ledger.vkey))
        return ledger

    def results(self, stations: list[int]) -> Iterator[Submission]:
        """A result of each station's box, whose signature nobody looks at any more."""
        frame = _core.sign("packet", self._content(1), MEMBER)[:61]
        for station in stations:
            payload = _core.encode_payload("packet", self._content(station))
            size = len(payload)
            head = b"\x58" + bytes([size]) if size < 256 else b"\x59" + size.to_bytes(2, "big")
            statement = _core.decode(frame + head + payload + b"\x58\x40" + bytes(64))
            yield Submission(statement, system_clock(), f"box:{station}", None)

    def _content(self, station: int) -> Content:
        votes = tuple(20 + (station + choice) % 17 for choice in range(built.CHOICES))
        valid = sum(votes)
        figures = ((4, valid + 3), (5, valid + 3), (9, valid + 3), (11, valid), (12, 1), (13, 2), (101, 0))
        report = (3, built.CLOSES_AT, 1, 103 + valid, (), ((1, figures, votes),), ())
        return (self.definition.hash, station, station, 1, b"", built.CLOSES_AT, report)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Pointer:
    """Notes when each size of the log was published."""

    def __init__(self, latest: Path) -> None:
        self._latest = latest
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.published: list[tuple[int, float]] = []
        self._thread.start()

    def until(self, entries: int) -> None:
        """Waits until so many entries are published."""
        end = time.monotonic() + PATIENCE
        while not self.published or self.published[-1][0] < entries:
            if time.monotonic() > end:
                raise RuntimeError("the publisher does not get there")
            time.sleep(0.05)

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        seen = 0
        while not self._over.wait(LOOK_SECONDS):
            try:
                if (inode := self._latest.stat().st_ino) == seen:
                    continue
                now = time.monotonic()
                found = _SIZE.search(self._latest.read_bytes())
            except FileNotFoundError:
                continue
            seen = inode
            if found is not None:
                self.published.append((int(found[1]), now))


def lags(accepted: list[tuple[int, int, float]], published: list[tuple[int, float]]) -> list[float]:
    """Seconds from acceptance to the first snapshot that covers the entry, for each entry.

    Args:
        accepted: first index, index behind the last, and when, of each batch.
        published: sizes of the log, ascending, and when.
    """
    found: list[float] = []
    snapshots = iter(published)
    size, at = next(snapshots)
    for first, end, when in accepted:
        for index in range(first, end):
            while size <= index:
                size, at = next(snapshots)
            found.append(at - when)
    return found


class Load:
    """Appends at a steady rate, in a thread, for as long as there is something to append."""

    def __init__(self, ledger: SqliteLedger, server: FollowServer, results: list[Submission]) -> None:
        self._ledger = ledger
        self._server = server
        self._results = results
        self.accepted: list[tuple[int, int, float]] = []
        self.late = 0.0

    def run(self) -> None:
        head = self._ledger.head()
        assert head is not None
        size, start = head.size, time.monotonic()
        for place in range(0, len(self._results), BATCH):
            due = start + place / A_SECOND
            time.sleep(max(0.0, due - time.monotonic()))
            self.late = max(self.late, time.monotonic() - due)
            batch = self._results[place : place + BATCH]
            self._ledger.append(batch)
            self.accepted.append((size, size + len(batch), time.monotonic()))
            trio.from_thread.run_sync(self._server.committed)
            size += len(batch)


async def play(night: Night, scale: Scale) -> tuple[Load, Pointer, float]:
    """One busy time; the load, the pointer, and the publisher's CPU seconds a second."""
    chance = random.Random(7)
    stations = list(range(1, scale.stations + 1))
    chance.shuffle(stations)
    before, during = stations[: scale.stations // 2], stations[scale.stations // 2 :]
    ledger = night.open()
    for at in range(0, len(before), 1_024):
        ledger.append(list(night.results(before[at : at + 1_024])))
    results = list(night.results(during[: scale.seconds * A_SECOND]))
    command = [sys.executable, "-m", "gateway.cli", "publish", str(night.folder.root)]
    pointer = Pointer(night.folder.feed / "latest.json")
    try:
        async with trio.open_nursery() as nursery:
            server = FollowServer(ledger, night.folder.follow)
            await nursery.start(server.serve)
            process = await trio.lowlevel.open_process(command)
            try:
                await trio.to_thread.run_sync(pointer.until, len(before) + 1)
                cpu, begun = _cpu_seconds(process.pid), time.monotonic()
                load = Load(ledger, server, results)
                await trio.to_thread.run_sync(load.run)
                await trio.to_thread.run_sync(pointer.until, len(before) + 1 + len(results))
                used = (_cpu_seconds(process.pid) - cpu) / (time.monotonic() - begun)
            finally:
                process.terminate()
                await process.wait()
            nursery.cancel_scope.cancel()
    finally:
        pointer.close()
        ledger.close()
    return load, pointer, used


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(scale: Scale) -> Iterator[Figure]:
    """The lag of every entry of the busy time, and what the publisher's process took."""
    with tempfile.TemporaryDirectory() as scratch:
        night = Night(Path(scratch, "night"), scale)
        load, pointer, used = trio.run(play, night, scale)
        stored = sum(path.stat().st_size for path in night.folder.feed.rglob("*") if path.is_file())
    found = sorted(lags(load.accepted, pointer.published))
    rounds = [after[1] - before[1] for before, after in pairwise(pointer.published[1:])]
    what = f"{scale.stations:,} stations, {A_SECOND:,} results a second for {scale.seconds} s"
    yield Figure("accepted to published: p50", found[len(found) // 2], "s", None, what)
    p99 = found[len(found) * 99 // 100]
    note = (
        f"longest {found[-1]:.2f} s; appended at most {load.late:.2f} s late; load {os.getloadavg()[0]:.1f}"
    )
    yield Figure("accepted to published: p99", p99, "s", PROMISED_SECONDS, note)
    yield Figure("between two snapshots", statistics.median(rounds), "s", None, f"{len(rounds)} of them")
    yield Figure(
        "the publisher's CPU", used, "cores", None, f"{stored / 2**20:,.0f} MiB in the feed at the end"
    )


def main() -> int:
    """Prints a line a figure; 0 also where a promise is missed."""
    parser = argparse.ArgumentParser(prog="python -m benches.publish_lag", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="enough to see a mistake")
    scale = QUICK if parser.parse_args().quick else FULL
    for figure in measure(scale):
        print(figure, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
