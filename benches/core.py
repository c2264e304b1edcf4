"""Signatures, decoding, the Merkle tree and the tally, against PyNaCl in the same rounds.

Where there is no peer, the fastest round is given: on a shared machine noise only ever adds.
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import nacl.bindings

from benches.harness import Figure, interleaved, median_ratio
from gateway import _core
from tests.replays import built

SEED = bytes(range(32))
BATCH = 512  # about what is in flight when a country's boxes connect at once
LEAVES = 1_000_000
STATIONS = 20_000
TURNOUTS = 3
A_SECOND = 1_000  # entries that a gateway under load appends in a second

Report: TypeAlias = tuple["int | bytes | Report", ...]


def result_packet(contests: int, choices: int) -> bytes:
    """A signed result of about the size that a national election has."""
    figures = ((1, 1500), (5, 900), (9, 900), (11, 880), (12, 10), (13, 10))
    counts = tuple((contest, figures, tuple(range(100, 100 + choices))) for contest in range(1, contests + 1))
    scan = (hashlib.sha256(b"scan").digest(), 1, 100_000, 1, 1)
    report = (3, 1_800_000_000_000, 1, 900, ((3, 905),), counts, (scan,))
    content = (bytes(32), 17, 17, 2, hashlib.sha256(b"opening").digest(), 1_800_000_000_000, report)
    return _core.sign("packet", content, SEED)


def night_log(definition: bytes) -> list[bytes]:
    """Openings of all stations, their turnouts hour by hour, their results: what a quiet night logs."""
    openings, turnouts, results = [], [], []
    votes = tuple(range(20, 20 + built.CHOICES))
    valid = sum(votes)
    figures = ((5, valid + 3), (9, valid + 3), (11, valid), (12, 1), (13, 2))
    for station in range(1, STATIONS + 1):

        def sign(
            device: int, sequence: int, previous: bytes, report: Report, station: int = station
        ) -> bytes:
            head = (definition, device, station, sequence, previous, built.CLOSES_AT)
            return _core.sign("packet", (*head, report), SEED)

        zeros = ((1, (0,) * built.CHOICES),)
        openings.append(sign(station, 1, b"", (1, 100, bytes(32), zeros)))
        previous = b""
        for turn in range(1, TURNOUTS + 1):
            as_of = built.OPENS_AT + turn * 10_000_000
            turnout = sign(STATIONS + station, turn, previous, (2, as_of, ((3, 50 * turn),)))
            turnouts.append((turn, turnout))
            previous = hashlib.sha256(turnout).digest()
        opening = hashlib.sha256(openings[-1]).digest()
        report = (3, built.CLOSES_AT, 1, 103 + valid, (), ((1, figures, votes),), ())
        results.append(sign(station, 2, opening, report))
    by_hour = [turnout for _, turnout in sorted(turnouts, key=lambda one: one[0])]
    return [*openings, *by_hour, *results]


def tally_figures() -> Iterator[Figure]:
    """Folding a night from its bytes, once to the end and once with sums after every second's worth."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        built.write_built(root, STATIONS, 2 * STATIONS)
        definition = _core.Definition.load(root / "definition")
        roster = _core.Roster.load(root / "roster", definition)
    log = night_log(definition.hash)

    def decode() -> None:
        for statement in log:
            _core.decode(statement)

    def fold(at_once: int) -> None:
        tally = _core.Tally(definition, roster)
        for first in range(0, len(log), at_once):
            tally.apply(first, log[first : first + at_once])
            tally.progress(1)

    peer, whole, live = interleaved(
        decode, functools.partial(fold, len(log)), functools.partial(fold, A_SECOND)
    )
    note = f"{STATIONS:,} stations, {len(log):,} entries, decoding within"
    yield Figure("tally an entry ÷ decoding it one by one", median_ratio(whole, peer), "×", 5.0, note)
    yield Figure("tally an entry, sums at the end", min(whole) / len(log) * 1e6, "µs", 4.0, note)
    note = f"{A_SECOND:,} entries at a time"
    yield Figure("tally an entry, sums all the time", min(live) / len(log) * 1e6, "µs", 8.0, note)


def measure() -> Iterator[Figure]:
    """Signatures, decoding, appending, tallying."""
    public = _core.public_key(SEED)
    statement = _core.decode(result_packet(2, 17))
    message, signature = statement.signed_bytes, statement.signature
    signed = signature + message
    batch = [(public, message, signature)] * BATCH

    peer, one, many = interleaved(
        lambda: nacl.bindings.crypto_sign_open(signed, public),
        lambda: _core.verify_signature(public, message, signature),
        lambda: _core.verify_signatures(batch),
    )
    size = f"{len(statement.encoded)} byte statement"
    yield Figure("verify one signature ÷ PyNaCl", median_ratio(one, peer), "×", 0.6, size)
    per_signature = [seconds / BATCH for seconds in many]
    note = f"{BATCH} signatures, all cores"
    ratio = median_ratio(per_signature, peer)
    yield Figure("verify in a batch, a signature ÷ PyNaCl", ratio, "×", 0.35, note)
    yield Figure("PyNaCl, one signature", min(peer) * 1e6, "µs")

    for contests, choices in ((1, 17), (2, 17), (2, 60)):
        encoded = result_packet(contests, choices)
        (times,) = interleaved(functools.partial(_core.decode, encoded))
        note = f"{contests} of {choices} choices, {len(encoded)} bytes"
        yield Figure("decode a statement", min(times) * 1e6, "µs", 2.0, note)

    leaves = [hashlib.sha256(index.to_bytes(4, "big")).digest() for index in range(LEAVES)]

    def append() -> None:
        _core.Tree().append(leaves)

    (times,) = interleaved(append)
    microseconds = min(times) / LEAVES * 1e6
    yield Figure("append a leaf, amortised", microseconds, "µs", 1.0, f"{LEAVES:,} leaves")
    yield from tally_figures()
