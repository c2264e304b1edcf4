"""Opens the files of an election folder without surprises, and says what their bytes look like."""

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gateway.election.faults import shown

BOM = b"\xef\xbb\xbf"

# U+0000–001F and U+007F–009F but for the two that end lines.
_CONTROLS = "\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f"
# Line and paragraph separators, and the marks that reorder what stands beside them on a page ("Trojan
# Source", CVE-2021-42574); a byte order mark inside a file shows that two files were glued together.
_DECEIVING = "\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"

FORBIDDEN = re.compile(rf"[\n\r{_CONTROLS}{_DECEIVING}]")
"""A character that no text of an election may hold."""

FORBIDDEN_IN_LINES = re.compile(rf"[{_CONTROLS}{_DECEIVING}]|\r(?!\n|\Z)")
"""The same in whole lines, which LF or CRLF may end."""


class NotRegularError(OSError):
    """What stands there is no ordinary file."""


class Opened(NamedTuple):
    """A regular file, open for reading, and its size in bytes when it was opened."""

    file: BinaryIO
    size: int


def open_regular(path: Path, *, follow: bool = True) -> Opened:
    """Open a regular file without ever waiting for a pipe or reading a device.

    Raises:
        FileNotFoundError: there is nothing of this name.
        NotRegularError: it is a folder, a pipe or a device, or, with `follow` off, a link.
        OSError: it cannot be opened.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    if not follow:
        if path.is_symlink():
            raise NotRegularError(path.name)
        flags |= os.O_NOFOLLOW  # in case it becomes a link now
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotRegularError(path.name)
        return Opened(os.fdopen(descriptor, "rb", buffering=0), status.st_size)
    except BaseException:
        os.close(descriptor)
        raise


def control_sentence(character: str, cell: str) -> str:
    """The sentence about a character that no text may hold."""
    return (
        f"{shown(cell)} holds the character U+{ord(character):04X}, which cannot be seen: type the text again"
    )


def wrong_start(head: bytes) -> str:
    """What the first bytes say if they are not those of a UTF-8 table, else nothing."""
    save = "save it as “CSV UTF-8”"
    start = head[:64]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or start.count(0) * 4 > len(start):
        return f"the file looks like UTF-16 (Excel's “Unicode text”): {save}"
    if head.startswith(b"PK\x03\x04"):
        return f"the file is a workbook (.xlsx, .ods) or another ZIP archive: open it and {save}"
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return f"the file is an old Excel workbook (.xls): open it and {save}"
    return ""


def what_encoding(found: bytes) -> str:
    """What bytes that are no UTF-8 look like, from the first wrong one on."""
    high = [byte for byte in found if byte >= 0x80]
    # Cyrillic letters are C0–FF in Windows-1251; a text of letters is all but without other high bytes.
    letters = sum(byte >= 0xC0 for byte in high)
    looks = (
        "it looks like Windows-1251 (cp1251)"
        if letters * 10 >= len(high) * 9
        else "its encoding is not known"
    )
    return f"the file is not UTF-8 from byte {found[0]:02X} on; {looks}: save it as “CSV UTF-8”"
