"""Drafts: every line that somebody has typed is on disk before the next one is asked for.

A draft is one file, replaced in one step after each answer (clients.files.write): a power cut or `kill -9`
loses at most the line that was being typed. What is signed keeps its draft as `keyed/<sequence>.json`: who
has read the paper, both readings, what they said about numbers that do not add up. Nothing of it is sent.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from clients import files
from clients.wire.errors import WireError

DRAFTS: Final = "drafts"
KEYED: Final = "keyed"

_FORMAT: Final = "tallygate-desk-draft/1"
# Two readings of a paper with a thousand lines.
_MAX_DRAFT_BYTES = 1024 * 1024


class Reading(msgspec.Struct, forbid_unknown_fields=True):
    """What one person has read from the paper.

    Attributes:
        by: who.
        values: by the lines' paths; null where the paper does not have a line.
        confirmed: findings that the person has compared with the paper.
    """

    by: str
    values: dict[str, int | None] = {}
    confirmed: list[str] = []


class Draft(msgspec.Struct, forbid_unknown_fields=True):
    """A protocol that is being keyed.

    Attributes:
        definition: SHA-256, hex.
        station: its number.
        contests: those of this paper, ascending.
        lines: paths, in the order in which they are asked for.
        cause: one of `words.CAUSES`.
        corrects: the id of the protocol that it replaces, hex, or empty.
        readings: one or two.
        again: by path, what the paper said when two readings differed and somebody looked again.
        confirmed: findings that were confirmed when both readings were there.
        single: why there is one reading only, or empty.
    """

    format: str
    definition: str
    station: int
    contests: list[int]
    lines: list[str]
    cause: str
    corrects: str
    readings: list[Reading]
    again: dict[str, list[int | None]] = {}
    confirmed: list[str] = []
    single: str = ""


def new(
    definition: bytes, station: int, contests: Sequence[int], lines: Sequence[str], cause: str, corrects: str
) -> Draft:
    """A draft without a reading."""
    return Draft(_FORMAT, definition.hex(), station, list(contests), list(lines), cause, corrects, [])


@contextlib.contextmanager
def opened(desk: Path) -> Iterator["Drafts"]:
    """The drafts of a desk; nobody else keys at it meanwhile.

    Raises:
        WireError: `desk.busy`.
        OSError: the folders cannot be made.
    """
    for name in (DRAFTS, KEYED):
        (desk / name).mkdir(mode=files.PRIVATE_FOLDER, exist_ok=True)
    descriptor = os.open(desk / DRAFTS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WireError(
                "desk.busy",
                "somebody is keying at this desk on another terminal; a second place needs a desk of its own",
                file=str(desk),
            ) from error
        yield Drafts(desk)
    finally:
        os.close(descriptor)


class Drafts:
    """The drafts of a desk, by station."""

    def __init__(self, desk: Path) -> None:
        self._desk = desk

    def path(self, station: int) -> Path:
        """Where a station's draft is."""
        return self._desk / DRAFTS / f"{station}.json"

    def stations(self) -> list[int]:
        """The stations that have a draft, ascending."""
        names = [path.stem for path in (self._desk / DRAFTS).glob("*.json") if not path.name.startswith(".")]
        return sorted(int(name) for name in names if name.isdecimal())

    def find(self, station: int) -> Draft | None:
        """A station's draft.

        Raises:
            WireError: `desk.draft` if it cannot be read.
        """
        path = self.path(station)
        if not path.exists():
            return None
        data = files.read(path, _MAX_DRAFT_BYTES, "a draft")
        try:
            found = msgspec.json.decode(data, type=Draft)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.unusable(station, f"it cannot be read ({error})") from error
        if found.format != _FORMAT:
            raise self.unusable(station, "another version of this program has written it")
        return found

    def unusable(self, station: int, why: str) -> WireError:
        """What a draft is answered with that nobody can go on with."""
        return WireError(
            "desk.draft",
            f"this draft is of no use: {why}. Put it away under another name and key the paper again",
            file=str(self.path(station)),
        )

    def store(self, draft: Draft) -> None:
        """Put a draft on disk; when this returns, nothing of it can get lost.

        Raises:
            OSError: it could not be written.
        """
        files.write(self.path(draft.station), _encode(draft))

    def signed(self, draft: Draft, sequence: int) -> None:
        """Keep the draft of a signed statement as its record.

        Raises:
            OSError: it could not be written.
        """
        self._put_away(draft, f"{sequence:06}.json")

    def discard(self, draft: Draft) -> None:
        """Keep a draft that nobody wants to go on with: what was typed is never thrown away.

        Raises:
            OSError: it could not be written.
        """
        number = len(list((self._desk / KEYED).glob(f"unsigned-{draft.station}-*.json"))) + 1
        self._put_away(draft, f"unsigned-{draft.station}-{number}.json")

    def _put_away(self, draft: Draft, name: str) -> None:
        files.write(self._desk / KEYED / name, _encode(draft))
        self.path(draft.station).unlink(missing_ok=True)
        files.sync_folder(self._desk / DRAFTS)


def _encode(draft: Draft) -> bytes:
    return msgspec.json.format(msgspec.json.encode(draft), indent=1) + b"\n"
