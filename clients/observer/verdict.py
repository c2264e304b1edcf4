"""What a verification comes to: checks with their counts, and the first difference with its place.

What lives here: the two ways in which a check ends early (`DifferenceError`, `CannotCheckError`), finding the
place of a difference between two files, and the `Verdict` that programs show.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from clients.terminal import Json
from clients.wire.errors import WireError
from clients.wire.text import hex_32

# Characters of a value in a message: a hash with its member's name.
_SHOWN: Final = 100
# Bytes around the first difference of two files.
_AROUND: Final = 24
# A pipe or device of a file's name would hold the program up; a link leads out of the feed.
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class Source(NamedTuple):
    """A feed's folder with the one beside it, which has what is under embargo; used as the former alone is.

    Files go from the one to the other when an embargo ends, also while somebody reads.

    Attributes:
        folder: the feed's.
        hidden: of what is under embargo.
    """

    folder: Path
    hidden: Path

    def __truediv__(self, path: str) -> Path:
        """Where a file is; in the feed if it is nowhere."""
        hidden = self.hidden / path
        return hidden if not (self.folder / path).exists() and hidden.exists() else self.folder / path


Folder: TypeAlias = Path | Source
"""Where the files of a feed are."""


class Check(StrEnum):
    """What is checked, in the order in which it is shown."""

    LATEST = "latest"
    DEFINITION = "definition"
    OPENING = "opening"
    ROSTERS = "rosters"
    INFORMATION = "information"
    STATEMENTS = "statements"
    SNAPSHOTS = "snapshots"
    FIGURES = "figures"
    EMBARGO = "embargo"
    AREAS = "areas"
    STATIONS = "stations"
    DECISIONS = "decisions"
    CHANGES = "changes"
    EXPORTS = "exports"
    CHECKPOINT = "checkpoint"
    TILES = "tiles"
    PAPERS = "papers"
    FILES = "files"


MEANING: Final[Mapping[Check, str]] = {
    Check.LATEST: "latest.json equals the newest snapshot's file",
    Check.DEFINITION: "the definition's files hash to what names them",
    Check.OPENING: "the commission has opened the log and named its keys",
    Check.ROSTERS: "rosters that the log names",
    Check.INFORMATION: "files of the information that is shown",
    Check.STATEMENTS: "entries: decoded strictly, signature verified",
    Check.SNAPSHOTS: "snapshots: chain, signature, the log's root at their size",
    Check.FIGURES: "snapshots whose every figure follows from the log",
    Check.EMBARGO: "snapshots under embargo: chain, signature, the log's root; not their figures",
    Check.AREAS: "objects of areas, byte for byte",
    Check.STATIONS: "objects of stations, byte for byte",
    Check.DECISIONS: "lists of the commission's decisions, byte for byte",
    Check.CHANGES: "lists of what a snapshot has changed, byte for byte",
    Check.EXPORTS: "exports: signed, and their figures follow from the log",
    Check.CHECKPOINT: "entries under the log's signed head",
    Check.TILES: "tiles and entry bundles hold the entries",
    Check.PAPERS: "papers (scans) that the log names and that are there have their name's hash",
    Check.FILES: "files, each of which something names",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it has to be.

    Attributes:
        code: stable and dotted.
        detail: a sentence: what was found, and what was expected.
        file: path below the feed's folder.
        place: a byte offset, a member, a line or an entry in it, or "".
        station: its number, where the difference is one station's.
    """

    code: str
    detail: str
    file: str
    place: str = ""
    station: int | None = None

    def __str__(self) -> str:
        where = f"{self.file}: {self.place}" if self.place else self.file
        station = "" if self.station is None else f" (station {self.station})"
        return f"{where}{station}: {self.detail} [{self.code}]"


class DifferenceError(Exception):
    """The feed is not what it has to be."""

    def __init__(
        self, code: str, detail: str, file: str, place: str = "", station: int | None = None
    ) -> None:
        super().__init__(code, detail, file, place, station)
        self.difference = Difference(code, detail, file, place, station)


class CannotCheckError(Exception):
    """Nobody can tell whether the feed is right.

    Attributes:
        code: stable and dotted.
        detail: a sentence: why, and what to do.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class Withheld(NamedTuple):
    """What an embargo keeps from whoever has the public feed alone.

    Attributes:
        until: when it ends, as the newest snapshot says.
        snapshots: how many have figures that nobody could check.
        entries: how many entries the newest snapshot has beyond the last one whose figures were recomputed.
    """

    until: str
    snapshots: int
    entries: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification came to.

    Attributes:
        agrees: True: everything that was looked at follows from the log. False: see `difference`. None:
            nobody can tell, see `trouble`.
        counts: of each check that was begun: how many things were looked at and right.
        failed: the check that found the difference.
        difference: the first one.
        trouble: why nothing could be said: code and sentence.
        definition: SHA-256 of the definition that was found, if it came so far.
        pinned: whether it had to be a certain one.
        snapshot: number of the newest snapshot that was looked at; 0: none.
        size: entries of the log in it.
        published_at: its publisher's time.
        not_judged: files that are neither right nor wrong: of newer snapshots, or of none that is there.
        withheld: what could not be looked at because of an embargo; None: nothing.
        papers_missing: papers that the log names and that are not there: not sent yet, or not published yet.
    """

    agrees: bool | None
    counts: Mapping[Check, int]
    failed: Check | None = None
    difference: Difference | None = None
    trouble: tuple[str, str] | None = None
    definition: bytes | None = None
    pinned: bool = False
    snapshot: int = 0
    size: int = 0
    published_at: str = ""
    not_judged: int = 0
    withheld: Withheld | None = None
    papers_missing: int = 0

    def object(self) -> dict[str, Json]:
        """For scripts: what `--json` writes."""
        found = self.difference
        return {
            "agrees": self.agrees,
            "definition": None if self.definition is None else self.definition.hex(),
            "pinned": self.pinned,
            "snapshot": self.snapshot,
            "entries": self.size,
            "published_at": self.published_at or None,
            "checks": [
                {"name": str(check), "count": count, "ok": check is not self.failed}
                for check, count in self.counts.items()
            ],
            "difference": None
            if found is None
            else {
                "code": found.code,
                "file": found.file,
                "place": found.place,
                "station": found.station,
                "detail": found.detail,
            },
            "trouble": None if self.trouble is None else {"code": self.trouble[0], "detail": self.trouble[1]},
            "not_judged": self.not_judged,
            "embargo": None if self.withheld is None else self.withheld._asdict(),
            "papers_missing": self.papers_missing,
        }


def read(feed: Folder, path: str, limit: int, what: str) -> bytes:
    """Read a file that has to be there; a feed has a million of them, so with as few calls as can be.

    Args:
        feed: the feed's folder.
        path: below it.
        limit: bytes that it may have.
        what: a word or two for what should be in it.

    Raises:
        DifferenceError: `feed.missing`, or it is something else than a file of at most that size.
        CannotCheckError: it is there and cannot be read.
    """
    try:
        descriptor = _open(feed, path)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise DifferenceError("file.unreadable", f"{what} must be a regular file", path)
            if found.st_size > limit:
                detail = f"{what} has at most {limit:,} bytes, this file has {found.st_size:,}"
                raise DifferenceError("file.too_large", detail, path)
            # One byte more: a file that is written to just now is none of a feed's.
            data = os.read(descriptor, found.st_size + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, error, what) from error
    if len(data) != found.st_size:
        raise DifferenceError("file.unreadable", "is being written to", path)
    return data


def _open(feed: Folder, path: str) -> int:
    if isinstance(feed, Path):
        return os.open(f"{feed}/{path}", _READ)
    for folder in feed:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return os.open(f"{folder}/{path}", _READ)
    # It may have been moved between the two.
    return os.open(f"{feed.folder}/{path}", _READ)


def _unreadable(path: str, error: OSError, what: str) -> "DifferenceError | CannotCheckError":
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DifferenceError("feed.missing", "the file is not there, and something names it", path)
    if error.errno == errno.ELOOP:
        return DifferenceError("file.unreadable", "a feed has plain files only: no links", path)
    return CannotCheckError("file.unreadable", f"{path}: {what} cannot be read: {error.strerror or error}")


def refused(path: str, error: WireError) -> "DifferenceError | CannotCheckError":
    """What it means that a reader of ours could not read a file of the feed.

    Args:
        path: of the file, below the feed's folder.
        error: of the reader, caused by an OSError.
    """
    if isinstance(error.__cause__, OSError):
        return _unreadable(path, error.__cause__, "a table")
    return DifferenceError(error.code, error.detail, path)


def judge_hash(path: str, data: bytes, expected: bytes, what: str) -> None:
    """Refuse bytes that have not the SHA-256 that something names.

    Raises:
        DifferenceError: `feed.hash`.
    """
    found = hashlib.sha256(data).digest()
    if found != expected:
        raise DifferenceError("feed.hash", f"SHA-256 is {found.hex()}, {what} names {expected.hex()}", path)


def judge_bytes(
    path: str, found: bytes, expected: bytes, code: str, what: str, station: int | None = None
) -> None:
    """Refuse a file that is not the expected one, byte for byte; JSON with the member that differs.

    Args:
        path: below the feed's folder.
        found: its bytes.
        expected: what they have to be.
        code: of the difference.
        what: where the expected bytes come from.
        station: whose object it is, if it is one's.

    Raises:
        DifferenceError: with the place.
    """
    if found != expected:
        raise DifferenceError(code, *_first_difference(found, expected, what, path), station)


def _first_difference(found: bytes, expected: bytes, what: str, path: str) -> tuple[str, str, str]:
    """Detail, path and place of the first difference."""
    if path.endswith(".json"):
        member = member_difference(found, expected)
        if member is not None:
            place, had, wanted = member
            return f"is {had}, {what} gives {wanted}", path, place
    shared = zip(found, expected, strict=False)
    offset = next((at for at, (a, b) in enumerate(shared) if a != b), min(len(found), len(expected)))
    had, wanted = (repr(data[offset : offset + _AROUND]) for data in (found, expected))
    if offset == len(found):
        had = f"the end after {len(found):,} bytes"
    elif offset == len(expected):
        wanted = f"the end after {len(expected):,} bytes"
    return f"is {had}, {what} gives {wanted}", path, f"byte {offset}"


def member_difference(found: bytes, expected: bytes) -> tuple[str, str, str] | None:
    """The first member in which two JSON files differ: its path, what stands there, what has to.

    Returns:
        None where both say the same, or one is no JSON: they differ in bytes alone.
    """
    try:
        values = json.loads(found), json.loads(expected)
        # A hash that differs says less than the figure because of which it does.
        return _member("", *values, hashes=False) or _member("", *values, hashes=True)
    except (ValueError, RecursionError):
        return None


_NOTHING: Final = object()


def _member(path: str, found: object, expected: object, *, hashes: bool) -> tuple[str, str, str] | None:
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in sorted({*found, *expected}):
            inner = f"{path}.{name}" if path else str(name)
            values = found.get(name, _NOTHING), expected.get(name, _NOTHING)
            place = _member(inner, *values, hashes=hashes)
            if place is not None:
                return place
        return None
    if isinstance(found, list) and isinstance(expected, list):
        pairs = zip_longest(found, expected, fillvalue=_NOTHING)
        inners = (_member(f"{path}[{place}]", *pair, hashes=hashes) for place, pair in enumerate(pairs))
        return next((inner for inner in inners if inner is not None), None)
    # 1 and True, and 1 and 1.0, are equal to Python.
    if type(found) is type(expected) and found == expected:
        return None
    if not hashes and all(isinstance(text, str) and hex_32(text) for text in (found, expected)):
        return None
    return path, _shown(found), _shown(expected)


def _shown(value: object) -> str:
    if value is _NOTHING:
        return "nothing"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
