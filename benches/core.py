"""Signatures, decoding and the Merkle tree, against PyNaCl in the same rounds.

Where there is no peer, the fastest round is given: on a shared machine noise only ever adds.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator

import nacl.bindings

from benches.harness import Figure, interleaved, median_ratio
from gateway import _core

SEED = bytes(range(32))
BATCH = 512  # about what is in flight when a country's boxes connect at once
LEAVES = 1_000_000


def result_packet(contests: int, choices: int) -> bytes:
    """A signed result of about the size that a national election has."""
    figures = ((1, 1500), (5, 900), (9, 900), (11, 880), (12, 10), (13, 10))
    counts = tuple((contest, figures, tuple(range(100, 100 + choices))) for contest in range(1, contests + 1))
    scan = (hashlib.sha256(b"scan").digest(), 1, 100_000, 1, 1)
    report = (3, 1_800_000_000_000, 1, 900, ((3, 905),), counts, (scan,))
    content = (bytes(32), 17, 17, 2, hashlib.sha256(b"opening").digest(), 1_800_000_000_000, report)
    return _core.sign("packet", content, SEED)


def measure() -> Iterator[Figure]:
    """Signatures, decoding, appending."""
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
