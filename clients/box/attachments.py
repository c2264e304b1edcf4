"""Files that a statement names by their hash: scans of protocols, slips, complaints."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from clients import files
from clients.wire.errors import WireError
from clients.wire.grammar import MAX_ATTACHMENT_BYTES

# The first bytes that each medium's files have (ISO 32000 7.5.2, PNG 5.2, JPEG's SOI marker and the next
# one's first byte, TIFF 6.0 section 2 in both byte orders). The gateway compares them too.
MAGIC: Final[Mapping[str, tuple[bytes, ...]]] = MappingProxyType(
    {
        "pdf": (b"%PDF-",),
        "png": (b"\x89PNG\r\n\x1a\n",),
        "jpeg": (b"\xff\xd8\xff",),
        "tiff": (b"II*\x00", b"MM\x00*"),
    }
)


class Examined(NamedTuple):
    """What a file says about itself."""

    sha256: bytes
    size: int
    media: str
    """`pdf`, `png`, `jpeg` or `tiff`."""


def examine(path: Path) -> Examined:
    """Read a file that shall be attached.

    Raises:
        WireError: `file.unreadable`, `file.too_large` (20 MiB), `attachment.media` if it begins like none of
            the four media (an empty one too).
    """
    data = files.read(path, MAX_ATTACHMENT_BYTES, "an attachment")
    media = next((media for media, starts in MAGIC.items() if data.startswith(starts)), None)
    if media is None:
        raise WireError(
            "attachment.media",
            "the file does not begin like a PDF, PNG, JPEG or TIFF" if data else "the file is empty",
            file=str(path),
        )
    return Examined(hashlib.sha256(data).digest(), len(data), media)
