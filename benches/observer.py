"""The observer's verification of a whole night, as a process of its own: `python -m benches.observer`.

What lives here: a feed of any size with real signatures, published by the gateway's own builder, and
`measure`, which verifies it. Snapshots come every thousand entries, what a gateway under load writes in a
second; of objects only those of the last one are there, as after ten minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from benches.harness import Figure, process
from clients.wire import feed as layout
from gateway import _core
from gateway.feed.models import Software
from gateway.ledger.protocol import Head
from gateway.publish.logfiles import LogFiles
from gateway.publish.snapshot import SnapshotBuilder
from tests.replays import built

# What the promise is about, and what `make bench` measures of it.
PROMISED_PACKETS: Final = 1_000_000
PROMISED_SECONDS: Final = 180.0
PACKETS: Final = 50_000
# A night of a station: an opening, turnouts of its terminal, the result.
TURNOUTS: Final = 3
PACKETS_A_STATION: Final = 2 + TURNOUTS
ENTRIES_A_SNAPSHOT: Final = 1_000
MEMBER: Final = b"\x01" * 32
LOG: Final = b"\x02" * 32
SNAPSHOTS: Final = b"\x03" * 32
ORIGIN: Final = "bench.invalid/observer"
SEED: Final = 5
_CHUNK: Final = 2_048

Report: TypeAlias = tuple["int | bytes | Report", ...]


class Station(NamedTuple):
    """A station whose packets a process signs."""

    number: int
    box: int
    terminal: int


def seed(device: int) -> bytes:
    """The signing key of a device."""
    return hashlib.sha256(b"observer bench %d" % device).digest()


def public_key(device: int) -> bytes:
    """The key that the roster has."""
    return _core.public_key(seed(device))


def write_election(root: Path, stations: int) -> None:
    """Folders `definition`, `roster` and `information` with keys that can sign."""
    built.write_built(root, stations, 2 * stations)
    election = root / "definition" / "election.json"
    manifest = json.loads(election.read_bytes())
    manifest["commission"] = {"keys": [_core.public_key(MEMBER).hex()], "quorum": 1}
    definition = _rewrite(election, manifest)
    with _pool() as pool:
        keys = pool.map(public_key, range(1, 2 * stations + 1), chunksize=_CHUNK)
        devices = root / "roster" / "devices.csv"
        lines = devices.read_text().splitlines()
        written = [lines[0]]
        for line, key in zip(lines[1:], keys, strict=True):
            cells = line.split(",")
            cells[4] = key.hex()
            written.append(",".join(cells))
    data = "".join(f"{line}\n" for line in written).encode()
    devices.write_bytes(data)
    roster = json.loads((root / "roster" / "roster.json").read_bytes())
    roster["definition"] = definition
    roster["tables"]["devices"].update(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    _rewrite(root / "roster" / "roster.json", roster)
    shown = json.loads((root / "information" / "information.json").read_bytes())
    shown["definition"] = definition
    _rewrite(root / "information" / "information.json", shown)


def _rewrite(path: Path, manifest: object) -> str:
    data = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(mp_context=get_context("spawn"))


def sign_night(definition: bytes, station: Station) -> list[bytes]:
    """All packets of one station, in their order."""
    votes = tuple(20 + (station.number + place) % 50 for place in range(built.CHOICES))
    valid = sum(votes)
    figures = ((5, valid + 3), (9, valid + 3), (11, valid), (12, 1), (13, 2))
    opening = _sign(definition, station.box, station, 1, b"", (1, 100, bytes(32), ((1, (0,) * len(votes)),)))
    packets = [opening]
    previous = b""
    for turn in range(1, TURNOUTS + 1):
        report: Report = (2, built.OPENS_AT + turn * 10_000_000, ((3, (valid + 3) * turn // TURNOUTS),))
        packets.append(_sign(definition, station.terminal, station, turn, previous, report))
        previous = hashlib.sha256(packets[-1]).digest()
    report = (3, built.CLOSES_AT, 1, 103 + valid, (), ((1, figures, votes),), ())
    packets.append(_sign(definition, station.box, station, 2, hashlib.sha256(opening).digest(), report))
    return packets


def _sign(
    definition: bytes, device: int, station: Station, sequence: int, previous: bytes, report: Report
) -> bytes:
    content = (definition, device, station.number, sequence, previous, built.CLOSES_AT, report)
    return _core.sign("packet", content, seed(device))


def night_log(definition: bytes, stations: int) -> list[bytes]:
    """Openings of all stations, then their turnouts hour by hour, then their results, in any order."""
    numbered = [Station(number, number, stations + number) for number in range(1, stations + 1)]
    with _pool() as pool:
        nights = list(pool.map(partial(sign_night, definition), numbered, chunksize=_CHUNK))
    chance = random.Random(SEED)
    log: list[bytes] = []
    for place in range(PACKETS_A_STATION):
        # Boxes of all regions at once: so most areas change from one snapshot to the next.
        chance.shuffle(nights)
        log += [night[place] for night in nights]
    return log


def write_feed(root: Path, packets: int) -> Path:
    """Makes an election, its log and the feed of it; returns the feed's folder."""
    stations = packets // PACKETS_A_STATION
    write_election(root, stations)
    definition = _core.Definition.load(root / "definition")
    roster = _core.Roster.load(root / "roster", definition)
    information = _core.Information.load(root / "information", definition)
    keys = _core.public_key(LOG), _core.public_key(SNAPSHOTS)
    action = (1, ORIGIN, *keys, roster.hash, "bench")
    opening = (definition.hash, b"", 1, built.OPENS_AT, (("en", "The log is opened."),), action)
    log = [_core.sign("decision", opening, MEMBER), *night_log(definition.hash, stations)]
    builder = SnapshotBuilder(
        definition,
        roster,
        SNAPSHOTS,
        information=information.hash,
        software=Software(version="bench", source="ab" * 32),
    )
    feed = root / "feed"
    (root / "spool").mkdir()
    files = LogFiles(root / "spool")
    signer = _core.NoteSigner(ORIGIN, LOG)
    previous: bytes | None = None
    checkpoint = ""
    for number, first in enumerate(range(0, len(log), ENTRIES_A_SNAPSHOT), start=1):
        statements = log[first : first + ENTRIES_A_SNAPSHOT]
        builder.take(first, statements)
        files.take(statements)
        size = builder.size
        checkpoint = signer.sign_checkpoint(size, builder.tree.root())
        head = Head(size, builder.tree.root(), checkpoint)
        draft = builder.draft(number, previous, built.OPENS_AT + number * 1_000, head)
        assert draft is not None
        previous = draft.sha256
        _put(feed, layout.snapshot_path(number), draft.latest)
        _put(feed, layout.note_path(number), draft.note)
        _put(feed, layout.LATEST, draft.latest)
    cut = files.cut(builder.tree, 0)
    for file in (*cut, *builder.objects()):
        _put(feed, file.path, file.data)
    cut.close()
    files.close()
    _put(feed, layout.CHECKPOINT, checkpoint.encode())
    _put(feed, layout.LOG_KEY, f"{_core.vkey(ORIGIN, keys[0])}\n".encode())
    _put(feed, layout.SNAPSHOT_KEY, f"{_core.vkey(f'{ORIGIN}/snapshot', keys[1])}\n".encode())
    for kind, sha256 in (
        ("definition", definition.hash),
        ("roster", roster.hash),
        ("information", information.hash),
    ):
        for path in (root / kind).iterdir():
            _put(feed, f"{kind}/{sha256.hex()}/{path.name}", path.read_bytes())
    return feed


def _put(feed: Path, path: str, data: bytes) -> None:
    target = feed / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def measure(packets: int = PACKETS) -> Iterator[Figure]:
    """Verifying a night's feed."""
    with tempfile.TemporaryDirectory() as scratch:
        feed = write_feed(Path(scratch), packets)
        run = process("clients.observer.cli", "verify", str(feed), "--json")
    stations = packets // PACKETS_A_STATION
    snapshots = -(-packets // ENTRIES_A_SNAPSHOT)
    note = f"{stations:,} stations, {snapshots:,} snapshots, all signatures, {os.cpu_count()} cores"
    promised = PROMISED_SECONDS * packets / PROMISED_PACKETS
    yield Figure(f"observer, a feed of {packets:,} packets", run.seconds, "s", promised, note)
    yield Figure("observer, a packet", run.seconds / packets * 1e6, "µs")
    yield Figure("observer, its first process's peak memory", run.peak_mib, "MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=PACKETS)
    for figure in measure(parser.parse_args().packets):
        print(figure, flush=True)
    sys.exit(0)
