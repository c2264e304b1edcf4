"""The four media that a paper may have (docs/packet.md): their numbers, media types and first bytes.

What lives here: one table, for the box port, which takes a paper only if its bytes begin like the medium that
a logged packet names, and for whoever serves it later, who reads the medium off the same first bytes. No two
media begin alike, so both are the same one, and the feed needs no list of media types.
"""

from typing import Final, NamedTuple

# Bytes of a paper (docs/packet.md): a page scanned in colour at 600 dpi.
MAX_PAPER: Final = 20_971_520

# Bytes of a paper between two fdatasync: a commit of the ledger on the same ext4 waits for what the file
# system has not written yet. With 4 papers coming in as fast as the disk takes them its 99th percentile was
# 48 ms when each was synced at its end, 9 ms like this, 8 ms without any; the papers took as long.
SYNCED: Final = 1_048_576


class Medium(NamedTuple):
    """One medium.

    Attributes:
        number: in a packet.
        type: media type.
        suffix: of a file's name.
        starts: what its files begin with, one or the other (ISO 32000 7.5.2, PNG 5.2, JPEG's SOI marker and
            the next one's first byte, TIFF 6.0 section 2 in both byte orders).
    """

    number: int
    type: str
    suffix: str
    starts: tuple[bytes, ...]


MEDIA: Final = (
    Medium(1, "application/pdf", "pdf", (b"%PDF-",)),
    Medium(2, "image/png", "png", (b"\x89PNG\r\n\x1a\n",)),
    Medium(3, "image/jpeg", "jpg", (b"\xff\xd8\xff",)),
    Medium(4, "image/tiff", "tif", (b"II*\x00", b"MM\x00*")),
)

# First bytes that tell every medium.
START_BYTES: Final = max(len(start) for medium in MEDIA for start in medium.starts)


def medium_of(start: bytes) -> Medium | None:
    """The medium of a file that begins with these bytes: `START_BYTES` of them, or the whole file."""
    return next((medium for medium in MEDIA if start.startswith(medium.starts)), None)
