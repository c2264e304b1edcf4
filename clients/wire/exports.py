"""The note of a snapshot's exports (feed.md, "Exports"): what it signs, read from its text."""

import re
from typing import Final, NamedTuple

from clients.wire.errors import WireError
from clients.wire.text import decimal, hex_32

FORMAT: Final = "tallygate-exports/1"
LATEST: Final = "exports/latest.note"

RESULTS: Final = "results.csv"
STATIONS: Final = "results.ndjson"
TURNOUT: Final = "turnout.csv"
ARRIVALS: Final = "arrivals.csv"
NIST: Final = "nist-cdf.json"

_NAME = re.compile(r"[a-z][a-z0-9.-]{0,63}")
# Lines in front of the files.
_HEAD: Final = 4


class File(NamedTuple):
    """A file that is signed; `size` in bytes."""

    name: str
    size: int
    sha256: bytes


class Exports(NamedTuple):
    """What a note signs.

    Attributes:
        origin: of the log.
        number: of the snapshot.
        snapshot: SHA-256 of its file.
        files: by name, ascending.
    """

    origin: str
    number: int
    snapshot: bytes
    files: tuple[File, ...]


def folder_path(number: int) -> str:
    """Of the folder of a snapshot's exports."""
    return f"exports/{number}"


def note_path(number: int) -> str:
    """Of its note."""
    return f"exports/{number}.note"


def parse(text: str, file: str) -> Exports:
    """Read the text of a note.

    Args:
        text: signed.
        file: the note's path in the feed, for the refusal.

    Raises:
        WireError: `feed.note`.
    """
    lines = text.removesuffix("\n").split("\n")
    if lines[0] != FORMAT or len(lines) <= _HEAD or not text.endswith("\n"):
        raise _malformed(file, 1, f"is no note of the form {FORMAT}")
    number, snapshot = decimal(lines[2]), hex_32(lines[3])
    if not number:
        raise _malformed(file, 3, "must be the number of a snapshot")
    if snapshot is None:
        raise _malformed(file, 4, "must be a SHA-256 in lower-case hex")
    files = tuple(_file(line, file, place) for place, line in enumerate(lines[_HEAD:], start=_HEAD + 1))
    names = [one.name for one in files]
    if names != sorted(set(names)):
        raise _malformed(file, _HEAD + 1, "the files' names must ascend")
    return Exports(lines[1], number, snapshot, files)


def _file(line: str, file: str, place: int) -> File:
    match line.split(" "):
        case [sha256, size, name] if _NAME.fullmatch(name):
            digest, length = hex_32(sha256), decimal(size)
            if digest is not None and length is not None:
                return File(name, length, digest)
    raise _malformed(file, place, "must be SHA-256, size and name of a file")


def _malformed(file: str, line: int, detail: str) -> WireError:
    return WireError("feed.note", detail, file=file, line=line)
