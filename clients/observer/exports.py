"""Exports and lists of changes, compared with what the log leads to at their own snapshot.

What lives here: `Rack`. Of the exports it recomputes results.csv, results.ndjson and turnout.csv, compares
the counts of nist-cdf.json, and counts the lines of arrivals.csv, whose times nobody but the gateway knows;
what else a note names has to be the file that it has signed. Exports go one after the other while a feed is
written: one that is gone, note and all, is not asked for.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import count as counting
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, cast

from clients.observer.export_tables import Said, Tables
from clients.observer.inventory import Inventory, unnamed
from clients.observer.replay import FROM_LOG
from clients.observer.tally import Tally
from clients.observer.tally.counts import SOURCES
from clients.observer.verdict import DifferenceError, Folder, Source, judge_bytes, read
from clients.wire import exports, feed, jcs, note
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.exports import Exports, File
from clients.wire.feed import Snapshot
from clients.wire.jcs import JsonValue
from clients.wire.note import MAX_NOTE_BYTES, VerifierKey

DIFFERS: Final = "feed.export"
CHANGES_DIFFER: Final = "feed.changes"
# Stations that a list of changes has at most (feed.md, "Changes").
MOST_STATIONS: Final = 20_000
# Bytes of a list of changes: so many stations, and some hundred thousand areas.
_MAX_CHANGES: Final = 16 * 1024 * 1024
# Bytes of nist-cdf.json that are taken into memory; of a larger one only the hash is looked at.
_MAX_NIST: Final = 256 * 1024 * 1024
_CHUNK: Final = 1_048_576
# Characters of a line in a message.
_SHOWN: Final = 120

_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_ARRIVAL = re.compile(rb"([0-9]+),[0-9TZ:.-]{24},[!-~]+\n")
_LOCAL = re.compile(rb"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2})?\n|local\n")

_Object: TypeAlias = Mapping[str, object]


class Rack:
    """The exports and changes that a feed has at the moment of the look.

    Attributes:
        changes: how many lists of changes were right.
        exports: of how many snapshots they were right.
        not_judged: files that are neither right nor wrong.
    """

    def __init__(
        self, folder: Folder, inventory: Inventory, definition: Definition, key: VerifierKey
    ) -> None:
        """Nothing is judged yet.

        Args:
            folder: the feed's.
            inventory: its files; what is judged is taken out.
            definition: the election's.
            key: of the notes.
        """
        self.changes = 0
        self.exports = 0
        self.not_judged = 0
        self._folder = folder.folder if isinstance(folder, Source) else folder
        self._inventory = inventory
        self._newest_note = max(inventory.export_notes, default=0)
        self._definition = definition
        self._key = key
        self._before: Snapshot | None = None
        self._changed: set[int] = set()
        self._hashes: dict[int, str] = {}

    def note(self, stations: Sequence[int]) -> None:
        """Stations whose objects an entry behind the last snapshot has changed."""
        self._changed.update(stations)

    def judge(self, snapshot: Snapshot, data: bytes, tally: Tally, areas: Mapping[int, bytes]) -> None:
        """Compare what there is of a snapshot.

        Args:
            snapshot: judged.
            data: the bytes of its file.
            tally: of its entries.
            areas: objects of the areas that it has changed, and of others.

        Raises:
            DifferenceError: something is another.
            CannotCheckError: a file cannot be read.
        """
        before, self._before = self._before, snapshot
        changed, self._changed = self._changed, set()
        hashes = {area: hashlib.sha256(own).hexdigest() for area, own in areas.items()}
        new = {area: sha256 for area, sha256 in hashes.items() if self._hashes.get(area) != sha256}
        self._hashes |= new
        if snapshot.embargo_until is not None:
            return
        number = snapshot.number
        if number in self._inventory.changes:
            self._inventory.changes.discard(number)
            self._judge_changes(snapshot, before, tally, changed, new)
        if number in self._inventory.export_notes:
            self._inventory.export_notes.discard(number)
            self._judge_exports(snapshot, data, tally)

    def judge_rest(self, newest: int) -> None:
        """Look at what belongs to no snapshot that was judged, and at the pointer.

        Args:
            newest: number of the newest snapshot.

        Raises:
            DifferenceError: it has no place in a feed; the pointer is another than the newest note.
            CannotCheckError: it cannot be read.
        """
        for number in sorted(self._inventory.changes):
            if number <= newest:
                raise unnamed(feed.changes_path(number))
            self.not_judged += 1
        for number in sorted(self._inventory.export_notes):
            if number <= newest:
                raise unnamed(exports.note_path(number))
            self.not_judged += 1
        for number, names in sorted(self._inventory.exports.items()):
            # Of the next snapshot, or its note comes in a moment.
            if number < self._newest_note and (self._folder / exports.folder_path(number)).exists():
                raise unnamed(f"{exports.folder_path(number)}/{min(names)}")
            self.not_judged += len(names)
        if exports.LATEST in self._inventory.single:
            self._judge_pointer()

    # --- Changes ---

    def _judge_changes(
        self,
        snapshot: Snapshot,
        before: Snapshot | None,
        tally: Tally,
        changed: set[int],
        areas: Mapping[int, str],
    ) -> None:
        path = feed.changes_path(snapshot.number)
        found = read(self._folder, path, _MAX_CHANGES, "a list of changes")
        first = 0 if before is None else before.size
        versions = ((station, tally.version(station)) for station in sorted(changed))
        stations = [
            (station, version) for station, version in versions if version is not None and version >= first
        ]
        lifted = before is not None and before.embargo_until is not None
        expected: dict[str, JsonValue] = {
            "areas": None if lifted else [list(one) for one in sorted(areas.items())],
            "definition": self._definition.sha256.hex(),
            "entries": [first, snapshot.size],
            "format": "tallygate-changes/1",
            "snapshot": snapshot.number,
            "stations": None if lifted or len(stations) > MOST_STATIONS else [list(one) for one in stations],
        }
        judge_bytes(path, found, jcs.write(expected), CHANGES_DIFFER, FROM_LOG)
        self.changes += 1

    # --- Exports ---

    def _judge_exports(self, snapshot: Snapshot, data: bytes, tally: Tally) -> None:
        number = snapshot.number
        path = exports.note_path(number)
        names = self._inventory.exports.pop(number, set())
        try:
            signed = self._open(path)
            self._judge_note(signed, snapshot, data, path)
            self._judge_names(signed, names)
            self._judge_files(signed, snapshot, data, tally)
        except DifferenceError as error:
            gone = error.difference.code == "feed.missing" and not (self._folder / path).exists()
            if not gone:
                raise
            self.not_judged += 1 + len(names)
            return
        self.exports += 1

    def _open(self, path: str) -> Exports:
        data = read(self._folder, path, MAX_NOTE_BYTES, "a note")
        try:
            return exports.parse(note.open_note(data, self._key), path)
        except WireError as error:
            line = "" if error.line is None else f"line {error.line}"
            raise DifferenceError(error.code, error.detail, path, line) from error

    def _judge_note(self, signed: Exports, snapshot: Snapshot, data: bytes, path: str) -> None:
        sha256 = hashlib.sha256(data).digest()
        said = (signed.origin, signed.number, signed.snapshot)
        for line, found, wanted in zip(
            counting(2), said, (snapshot.origin, snapshot.number, sha256), strict=False
        ):
            if found != wanted:
                shown = [one.hex() if isinstance(one, bytes) else one for one in (found, wanted)]
                detail = f"is {shown[0]}, the snapshot says {shown[1]}"
                raise DifferenceError("feed.note", detail, path, f"line {line}")

    def _judge_names(self, signed: Exports, names: set[str]) -> None:
        folder = exports.folder_path(signed.number)
        for name in sorted(names - {file.name for file in signed.files}):
            raise unnamed(f"{folder}/{name}")

    def _judge_files(self, signed: Exports, snapshot: Snapshot, data: bytes, tally: Tally) -> None:
        status = cast(Mapping[str, str], json.loads(data)["status"])
        tables = Tables(self._definition, tally, Said(snapshot.number, snapshot.published_at, status))
        judges: dict[str, Callable[[_Opened], None]] = {
            exports.RESULTS: lambda file: _judge_lines(file, tables.results()),
            exports.STATIONS: lambda file: _judge_lines(file, tables.stations()),
            exports.TURNOUT: lambda file: _judge_turnout(file, tables.turnout()),
            exports.ARRIVALS: lambda file: _judge_arrivals(file, snapshot.size),
        }
        for file in signed.files:
            path = f"{exports.folder_path(signed.number)}/{file.name}"
            with closing(_Opened(self._folder, path, file)) as opened:
                judge = judges.get(file.name)
                if judge is not None:
                    judge(opened)
                elif file.name == exports.NIST and file.size <= _MAX_NIST:
                    _judge_nist(opened, self._definition, tally)
                opened.judge_hash()

    def _judge_pointer(self) -> None:
        data = read(self._folder, exports.LATEST, MAX_NOTE_BYTES, "a note")
        path = exports.note_path(self._open(exports.LATEST).number)
        same = read(self._folder, path, MAX_NOTE_BYTES, "a note")
        judge_bytes(exports.LATEST, data, same, "feed.latest", path)


class _Opened:
    """A file of the exports, hashed as it is read."""

    def __init__(self, folder: Path, path: str, expected: File) -> None:
        self.path = path
        self._expected = expected
        try:
            self._file: BinaryIO = os.fdopen(os.open(folder / path, _READ), "rb")
        except OSError as error:
            detail = "the file is not there, and its note names it"
            raise DifferenceError("feed.missing", detail, path) from error
        self._hash = hashlib.sha256()

    def lines(self) -> Iterator[bytes]:
        for line in self._file:
            self._hash.update(line)
            yield line

    def whole(self) -> bytes:
        data = self._file.read(self._expected.size + 1)
        self._hash.update(data)
        return data

    def judge_hash(self) -> None:
        """Read what is left, and compare everything with what the note has signed."""
        while chunk := self._file.read(_CHUNK):
            self._hash.update(chunk)
        found = self._hash.digest()
        if (found, self._file.tell()) != (self._expected.sha256, self._expected.size):
            detail = f"SHA-256 is {found.hex()}, the note names {self._expected.sha256.hex()}"
            raise DifferenceError("feed.hash", detail, self.path)

    def close(self) -> None:
        self._file.close()

    def differs(self, line: int, found: bytes | None, wanted: bytes | None) -> DifferenceError:
        shown = ("the end of the file" if one is None else _shown(one) for one in (found, wanted))
        had, expected = shown
        return DifferenceError(DIFFERS, f"is {had}, {FROM_LOG} gives {expected}", self.path, f"line {line}")


def _judge_lines(file: _Opened, expected: Iterator[bytes]) -> None:
    place = 0
    for place, found in enumerate(file.lines(), start=1):
        wanted = next(expected, None)
        if found != wanted:
            raise file.differs(place, found, wanted)
    missing = next(expected, None)
    if missing is not None:
        raise file.differs(place + 1, None, missing)


def _judge_turnout(file: _Opened, expected: Iterator[bytes]) -> None:
    """All but the last column: what a clock shows somewhere is for people, and zones change."""
    place = 0
    for place, found in enumerate(file.lines(), start=1):
        head, _, local = found.rpartition(b",")
        wanted = next(expected, None)
        if head != wanted or _LOCAL.fullmatch(local) is None:
            raise file.differs(place, found, wanted)
    missing = next(expected, None)
    if missing is not None:
        raise file.differs(place + 1, None, missing)


def _judge_arrivals(file: _Opened, size: int) -> None:
    """A line an entry; when and how it came nobody can check."""
    count = -1
    for place, found in enumerate(file.lines(), start=1):
        match = _ARRIVAL.fullmatch(found)
        if place > 1 and (match is None or int(match[1]) != count + 1):
            raise file.differs(place, found, b"%d,..." % (count + 1))
        count += place > 1
    if count + 1 != size:
        detail = f"has {count + 1} entries, the snapshot has {size}"
        raise DifferenceError(DIFFERS, detail, file.path)


def _judge_nist(file: _Opened, definition: Definition, tally: Tally) -> None:
    """Every count of votes, of stations and areas."""
    try:
        report = cast(_Object, json.loads(file.whole()))
        contests = cast(Sequence[_Object], cast(Sequence[_Object], report["Election"])[0]["Contest"])
        found = {cast(str, contest["@id"]): _counts(contest) for contest in contests}
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise DifferenceError(DIFFERS, f"is no report of an election: {error!r}", file.path) from error
    headline = definition.headline
    for contest in definition.contests:
        wanted = _expected_counts(definition, tally, contest, headline)
        had = found.get(f"contest-{contest}", {})
        for key in sorted(wanted.keys() | had.keys()):
            if had.get(key) != wanted.get(key):
                selection, unit, source = key
                detail = f"has {had.get(key)} votes ({source}) at {unit}, {FROM_LOG} gives {wanted.get(key)}"
                raise DifferenceError(DIFFERS, detail, file.path, selection)


_Counts: TypeAlias = dict[tuple[str, str, str], object]


def _counts(contest: _Object) -> _Counts:
    """By selection, unit and type; seats are left out."""
    found: _Counts = {}
    for selection in cast(Sequence[_Object], contest["ContestSelection"]):
        for votes in cast(Sequence[_Object], selection["VoteCounts"]):
            kind = cast(str, votes["OtherType"] if votes["Type"] == "other" else votes["Type"])
            if kind != "seats":
                found[cast(str, selection["@id"]), cast(str, votes["GpUnitId"]), kind] = votes["Count"]
    return found


def _expected_counts(definition: Definition, tally: Tally, contest: int, headline: str) -> _Counts:
    wanted: _Counts = {}

    def put(unit: str, word: str, votes: Sequence[int]) -> None:
        kind = "total" if word == headline else word
        for choice, value in zip(definition.choices[contest], votes, strict=True):
            wanted[f"selection-{contest}-{choice.choice}", unit, kind] = value

    for area in tally.areas:
        sums = tally.sums(area).contests.get(contest)
        for source, word in SOURCES.items():
            if sums is not None and sums.sources[source].counted:
                put(f"area-{area}", word, sums.sources[source].votes)
    for station in tally.changed_stations:
        view = tally.view(station)
        for outcome in () if view.cancelled else view.outcomes:
            if outcome.contest == contest and outcome.counted:
                put(f"station-{station}", SOURCES[outcome.source], outcome.votes)
    return wanted


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace").rstrip("\n")
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
