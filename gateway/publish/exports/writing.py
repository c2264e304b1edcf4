"""Files of exports on their way to the disk: hashed as they are written, in pieces, never past the reserve.

What lives here: `Output`, and the cells of a CSV file. A piece is made durable before the next one: a hundred
megabytes of unwritten pages would otherwise have to go to the disk within the next snapshot's syncfs.
"""

import hashlib
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.base.errors import TallygateError
from gateway.base.files import PUBLIC_FILE, write_all
from gateway.feed.exports import ExportFile

# Bytes that are written and made durable at once: some 10 ms of a disk.
PIECE: Final = 4_194_304
# What spreadsheet programs on Windows know UTF-8 by.
BOM: Final = "\ufeff"

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# A cell that begins like this is a formula to a spreadsheet program, which may run it.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
# What a cell is quoted for (RFC 4180).
_QUOTED: Final = re.compile(r'[,"\n\r]')


class Output:
    """A new file; a context manager.

    Args:
        folder: it exists.
        name: of the file; nothing has it.
        reserve: bytes that stay free on the disk.

    Raises:
        TallygateError: ``export.disk``: of `write` and `close`: the reserve is reached.
        OSError: of every method.
    """

    def __init__(self, folder: Path, name: str, reserve: int) -> None:
        self._name = name
        self._reserve = reserve
        self._folder = folder
        self._hash = hashlib.sha256()
        self._size = 0
        self._parts: list[bytes] = []
        self._waiting = 0
        self._descriptor = os.open(folder / name, _CREATE, PUBLIC_FILE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def write(self, data: bytes) -> None:
        """Takes the next bytes."""
        self._parts.append(data)
        self._waiting += len(data)
        if self._waiting >= PIECE:
            self._flush()

    def text(self, text: str) -> None:
        """Takes the next characters."""
        self.write(text.encode())

    def finish(self) -> ExportFile:
        """Everything is on the disk."""
        self._flush()
        os.fsync(self._descriptor)
        return ExportFile(self._hash.hexdigest(), self._size, self._name)

    def _flush(self) -> None:
        data = b"".join(self._parts)
        self._parts, self._waiting = [], 0
        found = os.fstatvfs(self._descriptor)
        if found.f_bavail * found.f_frsize < self._reserve + len(data):
            raise TallygateError(
                "export.disk",
                f"the disk has less than its reserve of {self._reserve:,} bytes left: exports come when "
                "there is room again",
                place=str(self._folder),
            )
        write_all(self._descriptor, data)
        os.fdatasync(self._descriptor)
        self._hash.update(data)
        self._size += len(data)


def cell(text: str) -> str:
    """A text as a cell: quoted where it has to be, never a formula."""
    if text.startswith(_FORMULA):
        text = f"'{text}"
    if _QUOTED.search(text) is not None:
        return '"' + text.replace('"', '""') + '"'
    return text


def line(*cells: str) -> str:
    """A line of cells that are ready."""
    return ",".join(cells) + "\n"
