"""Refused uploads, for the operator: those that wait for the next batch, and their rows.

What lives here: the queue in memory, and the record that a refusal is stored as. Every record has one length
and every row is overwritten in its place, so that no page of the database ever becomes free: a flipped bit in
a list of free pages would let SQLite write over pages that are in use.
"""

import struct
import threading
import zlib
from collections import Counter, deque
from dataclasses import replace
from itertools import islice
from typing import Final

from gateway.ledger.protocol import MAX_EXCERPT, Refusal

# Refusals that wait for the next batch, the newest of them.
WAITING: Final = 1_024
# Those of one certificate: one that floods the gateway must not push out the traces of the others. They are
# written every few seconds at least, and nobody honest is refused so often meanwhile.
WAITING_OF_ROUTE: Final = 64
# Those that one batch takes along: 12 KiB, so that a flood of refusals costs the accepted next to nothing.
MOST_A_BATCH: Final = 64
# Bytes of a code.
_MAX_CODE: Final = 48
# SQLite's integers, and ours on the wire, end below this.
_MAX_NUMBER: Final = (1 << 63) - 1
_SHA256: Final = 32

# number, at, whether there is a device, device, code, sha256, bytes of the excerpt, excerpt, CRC-32. The
# number stands first and big-endian: the order of the records is that of the refusals.
_RECORD: Final = struct.Struct(f">QQ?Q{_MAX_CODE}s{_SHA256}sB{MAX_EXCERPT}sI")
_CHECKSUM: Final = 4
# Where whether there is a device, and the device, stand in a record, as SQLite counts: from 1.
DEVICE_AT: Final = struct.calcsize(">QQ") + 1
_DEVICE: Final = struct.Struct(">?Q")
DEVICE_BYTES: Final = _DEVICE.size


def encode(number: int, refusal: Refusal) -> bytes:
    """The record of the `number`-th refusal since the ledger was made."""
    code, device = refusal.code.encode("ascii"), refusal.device
    record = _RECORD.pack(
        number,
        refusal.at,
        device is not None,
        device or 0,
        code,
        refusal.sha256,
        len(refusal.excerpt),
        refusal.excerpt,
        0,
    )[:-_CHECKSUM]
    return record + zlib.crc32(record).to_bytes(_CHECKSUM, "big")


def device_key(device: int) -> bytes:
    """What stands at `DEVICE_AT` in the records of a device."""
    return _DEVICE.pack(True, device)


def decode(record: object) -> tuple[int, Refusal] | None:
    """The number and the refusal; None: a bit of it has changed."""
    if not isinstance(record, bytes) or len(record) != _RECORD.size:
        return None
    number, at, known, device, code, sha256, length, excerpt, checksum = _RECORD.unpack(record)
    if zlib.crc32(record[:-_CHECKSUM]) != checksum:
        return None
    words = code.rstrip(b"\0").decode("ascii")
    return number, Refusal(at, words, device if known else None, sha256, excerpt[:length])


class Waiting:
    """The refusals that no batch has taken along yet; its lock is held for moments only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[tuple[Refusal, str | None]] = deque()
        self._of_route: Counter[str | None] = Counter()

    def add(self, refusal: Refusal, route: str | None = None) -> None:
        """Adds one, unless so many of its route wait already; the oldest makes room.

        Raises:
            ValueError: no record could hold it; an excerpt is cut, not refused.
        """
        try:
            cut = replace(refusal, excerpt=refusal.excerpt[:MAX_EXCERPT])
            stored = decode(encode(0, cut))
        except (struct.error, UnicodeError, TypeError, AttributeError) as error:
            raise ValueError(f"not a refusal: {error}") from None
        if stored != (0, cut) or max(cut.at, cut.device or 0) > _MAX_NUMBER:
            raise ValueError(f"not a refusal that can be stored: {cut!r:.200}")
        with self._lock:
            if route is not None and self._of_route[route] >= WAITING_OF_ROUTE:
                return
            if len(self._queue) >= WAITING:
                self._drop()
            self._queue.append((cut, route))
            self._of_route[route] += 1

    def next(self, most: int = MOST_A_BATCH) -> list[Refusal]:
        """The oldest, as many as one batch takes along; they go on waiting until they are `written`."""
        with self._lock:
            return [one for one, _ in islice(self._queue, most)]

    def written(self, refusals: list[Refusal]) -> None:
        """Forgets what has been committed, and was not pushed out meanwhile."""
        with self._lock:
            for one in refusals:
                if self._queue and self._queue[0][0] is one:
                    self._drop()

    def _drop(self) -> None:
        """Takes the oldest away. Under the lock."""
        _, route = self._queue.popleft()
        self._of_route[route] -= 1
        if not self._of_route[route]:
            del self._of_route[route]
