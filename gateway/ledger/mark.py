"""The high-water mark: what the ledger has acknowledged, in a file of its own beside the database.

A write-ahead log cannot say that its own end is missing: a torn transaction, which nobody was told of, and a
spoiled one, which somebody was, look alike. So after each commit, and before the answer, the store notes here
how far it has come. The note costs one small write and no fsync: it is exact after a killed process, and some
seconds old after a power cut (docs/ledger.md, "The mark").

What lives here: the mark and its bytes. Two equal slots of a disk's sector, each with a checksum, so that one
flipped bit is not the end of a night::

    "tllymark" ‖ serial (uint64) ‖ size (uint64) ‖ root (32) ‖ salts (8) ‖ frames (uint64) ‖ folded (1) ‖
    CRC-32, all big-endian
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from gateway.base.errors import TallygateError
from gateway.ledger.faults import SALVAGE

_SLOT: Final = struct.Struct(">8sQQ32s8sQ?I")
_MAGIC: Final = b"tllymark"
# Bytes of a slot: what every disk writes whole or not at all.
_SECTOR: Final = 512
# Bytes of the file.
MARK_SIZE: Final = 2 * _SECTOR
_CHECKSUM: Final = 4
_PADDING: Final = bytes(_SECTOR - _SLOT.size)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the ledger had come when it last answered.

    Attributes:
        size: entries of the log.
        root: over them (RFC 6962).
        salts: of the write-ahead log that held the newest transaction; zeros before the first.
        frames: of that log, up to the end of that transaction.
        folded: all of them are in the database as well, durably.
    """

    size: int
    root: bytes
    salts: bytes
    frames: int
    folded: bool

    def encode(self, serial: int) -> bytes:
        """The file's bytes; of two slots that differ, the one with the higher serial is the newer."""
        head = _SLOT.pack(_MAGIC, serial, self.size, self.root, self.salts, self.frames, self.folded, 0)[
            :-_CHECKSUM
        ]
        slot = head + zlib.crc32(head).to_bytes(_CHECKSUM, "big") + _PADDING
        return slot + slot


def decode_mark(data: bytes, place: str) -> tuple[int, Mark]:
    """The newest serial and its mark.

    Raises:
        TallygateError: ``ledger.damaged``: neither slot is one.
    """
    found = [slot for at in (0, _SECTOR) if (slot := _slot(data[at : at + _SECTOR])) is not None]
    if not found:
        raise TallygateError(
            "ledger.damaged",
            f"the mark of what was acknowledged has changed on the disk. {SALVAGE}",
            place=place,
        )
    return max(found, key=lambda slot: slot[0])


def _slot(data: bytes) -> tuple[int, Mark] | None:
    if len(data) != _SECTOR or zlib.crc32(data[: _SLOT.size - _CHECKSUM]) != _SLOT.unpack_from(data)[-1]:
        return None
    magic, serial, size, root, salts, frames, folded, _ = _SLOT.unpack_from(data)
    return (serial, Mark(size, root, salts, frames, folded)) if magic == _MAGIC else None
