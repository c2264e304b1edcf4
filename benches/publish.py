"""A snapshot from entries to judged bytes: what it costs by changed stations, whatever the election has.

Tally, objects, decisions, latest.json, note and gate in one process; the disk is not in it. Half of the
stations (those with even numbers) have reported before, so that the areas' objects are as long as in a
night; every snapshot takes results of stations that had none.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from benches.harness import ROUNDS, Figure
from gateway import _core
from gateway.feed.models import Software
from gateway.ledger.protocol import Head
from gateway.publish.protocol import Draft
from gateway.publish.snapshot import SnapshotBuilder
from tests.replays import built

# RFC 8032, section 7.1, test 1: the secret key of `tests.replays.folder.COMMISSION_KEY`.
MEMBER = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
LOG_SEED, SNAPSHOT_SEED = bytes([1]) * 32, bytes([2]) * 32
ORIGIN = "log.example/bench"
Content: TypeAlias = tuple["int | bytes | str | Content", ...]

SIZES = (10_000, 100_000, 1_000_000)
AREAS = (
    100  # all that ten thousand stations have: each changed station in one of its own, two regions of them
)
A_SECOND = 1_000  # results in the first minute of ten thousand boxes, a second
AT_ONCE = 10_000
SNAPSHOTS = 3  # in a round


class Night:
    """An election of so many stations, half of which have reported and are published."""

    def __init__(self, root: Path, stations: int) -> None:
        built.write_built(root, stations, stations)
        self.definition = _core.Definition.load(root / "definition")
        roster = _core.Roster.load(root / "roster", self.definition)
        software = Software(bytes(32).hex(), "bench")
        self.builder = SnapshotBuilder(
            self.definition, roster, SNAPSHOT_SEED, information=None, software=software
        )
        self._signer = _core.NoteSigner(ORIGIN, LOG_SEED)
        self._areas = stations // built.STATIONS_AN_AREA
        self._next = [1] * self._areas
        keys = _core.public_key(LOG_SEED), _core.public_key(SNAPSHOT_SEED)
        opening = (1, ORIGIN, *keys, roster.hash, "1")
        self.opening: Content = (self.definition.hash, b"", 1, built.OPENS_AT, (("en", "open"),), opening)
        self.builder.take(0, [_core.sign("decision", self.opening, MEMBER)])
        # The tally does not verify: one signature does for all packets.
        self._frame = _core.sign("packet", self._content(1), MEMBER)[:61]
        for first in range(0, stations, AT_ONCE):
            reported = range(first + 2, min(stations, first + AT_ONCE) + 1, 2)
            self.builder.take(self.builder.size, [self._statement(station) for station in reported])
        self.last: Draft | None = None
        self.publish()

    def _content(self, station: int) -> Content:
        votes = tuple(20 + (station + choice) % 17 for choice in range(built.CHOICES))
        valid = sum(votes)
        figures = ((4, valid + 3), (5, valid + 3), (9, valid + 3), (11, valid), (12, 1), (13, 2), (101, 0))
        report = (3, built.CLOSES_AT, 1, 103 + valid, (), ((1, figures, votes),), ())
        return (self.definition.hash, station, station, 1, b"", built.CLOSES_AT, report)

    def _statement(self, station: int) -> bytes:
        payload = _core.encode_payload("packet", self._content(station))
        head = b"\x58" + bytes([len(payload)]) if len(payload) < 256 else b"\x59" + len(payload).to_bytes(2)
        return self._frame + head + payload + b"\x58\x40" + bytes(64)

    def results(self, count: int, areas: int, step: int) -> list[bytes]:
        """Results of stations that have none, dealt out to so many areas, every `step`th."""
        found = []
        for turn in range(count):
            area = turn % areas * step
            found.append(self._statement(area * built.STATIONS_AN_AREA + self._next[area]))
            self._next[area] += 2
        return found

    def publish(self) -> Draft:
        """A snapshot of what is taken."""
        size, root = self.builder.size, self.builder.tree.root()
        head = Head(size, root, self._signer.sign_checkpoint(size, root))
        number, previous = (1, None) if self.last is None else (self.last.number + 1, self.last.sha256)
        draft = self.builder.draft(number, previous, built.CLOSES_AT, head)
        assert draft is not None
        self.last = draft
        return draft

    def snapshot(self, count: int, areas: int, step: int = 1) -> tuple[float, Draft]:
        """Seconds of a snapshot of so many results, and the snapshot."""
        statements = self.results(count, areas, step)
        start = time.perf_counter()
        self.builder.take(self.builder.size, statements)
        draft = self.publish()
        return time.perf_counter() - start, draft


def _described(night: Night, draft: Draft) -> str:
    size = sum(len(file.data) for file in draft.files) + 2 * len(draft.latest)
    largest = max(len(file.data) for file in draft.files if file.path.startswith("areas/"))
    return (
        f"{draft.stations} stations in {draft.areas} areas, {len(draft.files)} objects, "
        f"{size / 1024:,.0f} KiB; {built.STATIONS_AN_AREA} stations an area, the largest object "
        f"{largest / 1024:.1f} KiB"
    )


def measure() -> Iterator[Figure]:
    """Cost a changed station at three sizes in turn, and a busy second of a large country."""
    with tempfile.TemporaryDirectory() as scratch:
        nights = {size: Night(Path(scratch, str(size)), size) for size in SIZES}
    times: dict[int, list[float]] = {size: [] for size in SIZES}
    notes: dict[int, str] = {}
    for _ in range(ROUNDS):
        for size, night in nights.items():
            drawn = [night.snapshot(AREAS, AREAS) for _ in range(SNAPSHOTS)]
            times[size].append(statistics.median(seconds for seconds, _ in drawn))
            notes[size] = _described(night, drawn[-1][1])
    for size in SIZES:
        name = f"a snapshot ÷ changed stations, {size:,} stations"
        yield Figure(name, min(times[size]) / AREAS * 1e6, "µs", None, notes[size])
    for size in SIZES[1:]:
        pairs = zip(times[size], times[SIZES[0]], strict=True)
        ratio = statistics.median(many / few for many, few in pairs)
        yield Figure(f"that, {size:,} stations ÷ {SIZES[0]:,}", ratio, "×", 1.3)
    country = nights[SIZES[-1]]
    drawn = [country.snapshot(AREAS, AREAS, SIZES[-1] // SIZES[0]) for _ in range(ROUNDS)]
    name = f"a changed station, {SIZES[-1]:,} stations, from everywhere"
    yield Figure(
        name,
        min(seconds for seconds, _ in drawn) / AREAS * 1e6,
        "µs",
        None,
        _described(country, drawn[-1][1]),
    )
    busy = nights[100_000]
    drawn = [busy.snapshot(A_SECOND, A_SECOND) for _ in range(ROUNDS)]
    name = f"a snapshot of {A_SECOND:,} results, 100,000 stations"
    yield Figure(name, min(seconds for seconds, _ in drawn), "s", 0.5, _described(busy, drawn[-1][1]))
