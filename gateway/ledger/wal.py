"""The write-ahead log, judged before and after SQLite has read it.

SQLite takes the first frame that does not fit for the end of the log, and says nothing: right after a crash,
when it is the remains of a transaction that nobody was told of, and wrong where a bit has flipped in an older
one. What lives here: telling these apart. The format is SQLite's ("Database File Format", section 4); what a
crash can leave of it follows from the order in which the store writes (gateway/ledger/sqlite.py):

* The header is synced before the first frame behind it is written.
* A transaction's frames are synced before the next one begins: only the last one can be torn, and its commit
  is the last frame that the header's salts claim.
* The log is written from its start again only after all of it is in the database, and with other salts: what
  stands behind with the old ones is no loss.
* Each start empties it, so that no torn remains stand behind what is written later.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, NoReturn

from gateway.base.errors import TallygateError
from gateway.ledger.faults import CHANGE_NOTHING
from gateway.ledger.mark import Mark

# magic, version, page size, number of the checkpoint, two salts, two checksums.
_HEADER: Final = struct.Struct(">8I")
# page, pages of the database after a commit or 0, salts, two checksums.
_FRAME: Final = struct.Struct(">II8s8x")
# The last bit says in which order of bytes the checksums take their words.
_MAGIC: Final = 0x377F0682
_VERSION: Final = 3_007_000
PAGE_SIZE: Final = 4_096
_SALTS: Final = slice(16, 24)
_SALT: Final = 4
_CHECKED: Final = 24
_WORD: Final = 0xFFFF_FFFF

# How many times a log is begun anew between two marks that reach the disk: 16 MiB each, a terabyte.
_MOST_RESTARTS: Final = 65_536


class Frame(NamedTuple):
    """The head of a frame."""

    page: int
    commit: int
    salts: bytes


@dataclass(frozen=True, slots=True)
class Wal:
    """What stands in the file.

    Attributes:
        place: the file's name, for errors.
        length: of the file, bytes.
        salts: the header's; None: there is no header, or it is not whole.
        frames: the head of each whole frame, and of one that is cut short.
    """

    place: str
    length: int
    salts: bytes | None
    frames: Sequence[Frame]

    def check_header(self, mark: Mark) -> None:
        """Before SQLite opens anything.

        Raises:
            TallygateError: ``ledger.damaged``.
        """
        if self.salts is None:
            # All is in the database. A crash in the first write leaves a part of a header and nothing
            # behind it; one where the log begins anew, a mixture before the frames that the mark means.
            behind = {frame.salts for frame in self.frames[:1]}
            if not (mark.folded and (self.length <= _HEADER.size or behind == {mark.salts})):
                self._damaged(f"it has no header, and {mark.frames:,} pages in it were acknowledged")
        elif self.salts != mark.salts and not mark.folded and not _follows(self.salts, mark.salts):
            self._damaged("it is another log than the one that was acknowledged")

    def check_end(self, taken: int, mark: Mark) -> None:
        """After SQLite has read it, before anything is written.

        Args:
            taken: the frames that SQLite took.
            mark: what was acknowledged.

        Raises:
            TallygateError: ``ledger.damaged``.
        """
        if self.salts == mark.salts and taken < mark.frames:
            self._damaged(
                f"{mark.frames:,} pages in it were acknowledged, and the first bad one is {taken + 1:,}"
            )
        committed = False
        for number, frame in enumerate(self.frames[taken:], taken + 1):
            if not _claims(self.salts, frame.salts):
                continue
            if committed:
                # The transaction before it was synced when this one was written.
                self._damaged(f"its page {taken + 1:,} is bad, and page {number:,} was written later")
            committed = frame.commit > 0

    def _damaged(self, detail: str) -> NoReturn:
        raise TallygateError(
            "ledger.damaged",
            f"the write-ahead log has changed on the disk: {detail}. SQLite would go on without what stands "
            f"behind. {CHANGE_NOTHING}",
            place=self.place,
        )


def read_wal(descriptor: int, place: str) -> Wal:
    """Reads the heads of an open file.

    Raises:
        OSError: it cannot be read.
    """
    length = os.fstat(descriptor).st_size
    header = os.pread(descriptor, _HEADER.size, 0)
    frames = []
    for offset in range(_HEADER.size, length, _FRAME.size + PAGE_SIZE):
        head = os.pread(descriptor, _FRAME.size, offset)
        if len(head) == _FRAME.size:
            frames.append(Frame(*_FRAME.unpack(head)))
    return Wal(place, length, header[_SALTS] if _is_header(header) else None, frames)


def read_salts(descriptor: int) -> bytes:
    """The salts of a log that SQLite has just written to."""
    return os.pread(descriptor, _SALTS.stop - _SALTS.start, _SALTS.start)


def _is_header(header: bytes) -> bool:
    if len(header) != _HEADER.size:
        return False
    magic, version, page_size, _, _, _, *checksum = _HEADER.unpack(header)
    if (magic | 1, version, page_size) != (_MAGIC | 1, _VERSION, PAGE_SIZE):
        return False
    words = struct.unpack(f"{'>' if magic & 1 else '<'}6I", header[:_CHECKED])
    first = second = 0
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & _WORD
        second = (second + other + first) & _WORD
    return [first, second] == checksum


def _claims(header: bytes | None, frame: bytes) -> bool:
    """Whether a frame was written under this header; one flipped bit leaves one of the two salts."""
    return header is not None and (frame[:_SALT] == header[:_SALT] or frame[_SALT:] == header[_SALT:])


def _follows(salts: bytes, older: bytes) -> bool:
    """SQLite adds one to the first salt whenever it begins a log anew."""
    restarts = int.from_bytes(salts[:_SALT], "big") - int.from_bytes(older[:_SALT], "big")
    return 0 < restarts & _WORD <= _MOST_RESTARTS
