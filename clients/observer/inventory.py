"""Which files a feed has: every name is one that feed.md knows, or it is a difference.

The look is taken once, behind `latest.json`: what that names was there before it, and what comes later is of
newer snapshots. Objects are kept as numbers and hashes, not as paths: a country has a million of them.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clients.observer.verdict import CannotCheckError, DifferenceError, Folder, Source
from clients.wire import exports, feed
from clients.wire.text import decimal
from clients.wire.tiles import TILE_WIDTH, Bundle, Tile

_SINGLE: Final = frozenset(
    {feed.LATEST, feed.CHECKPOINT, feed.LOG_KEY, feed.SNAPSHOT_KEY, feed.MESSAGES, exports.LATEST}
)
_SNAPSHOT = re.compile(r"snapshots/([0-9]+)\.(json|note|changes\.json)")
_EXPORT = re.compile(r"exports/([0-9]+)(\.note|/[a-z][a-z0-9.-]*)")
_SCHEMA = re.compile(r"schemas/[a-z][a-z-]*\.schema\.json")
_AREA = re.compile(r"areas/([0-9]+)/([0-9a-f]{64})\.json")
_STATION = re.compile(r"stations/[0-9]+/([0-9]+)-([0-9]+)\.json")
_ATTACHMENT = re.compile(r"attachments/([0-9a-f]{64})")
_DECISIONS = re.compile(r"decisions/([0-9a-f]{64})\.json")
_MANIFEST = re.compile(r"(definition|roster|information)/([0-9a-f]{64})/(.+)")
_TILE = re.compile(r"log/tile/([0-9]+|entries)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]+))?")
# Folders stand in folders at most this deep: the number of a tile in groups of three digits, and media.
_MAX_DEPTH: Final = 12


@dataclass(slots=True)
class Inventory:
    """The files of a feed.

    Attributes:
        count: how many there are.
        single: paths of those that stand alone.
        snapshots: numbers of which there is a file.
        notes: numbers of which there is a note.
        changes: numbers of which there is a list of changes.
        export_notes: numbers of which there is a note of exports.
        exports: names of the files in the folder of each number.
        areas: hashes of the objects of each area.
        stations: versions of the objects of each station.
        decisions: hashes of the decisions files.
        manifests: names of the files in the folder of each manifest: (kind, hash).
        attachments: hashes of the papers.
        tiles: of hashes.
        bundles: widths of the entry bundles of each number.
    """

    count: int = 0
    single: set[str] = field(default_factory=set)
    snapshots: set[int] = field(default_factory=set)
    notes: set[int] = field(default_factory=set)
    changes: set[int] = field(default_factory=set)
    export_notes: set[int] = field(default_factory=set)
    exports: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    areas: defaultdict[int, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    stations: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    decisions: set[bytes] = field(default_factory=set)
    manifests: defaultdict[tuple[str, bytes], set[str]] = field(default_factory=lambda: defaultdict(set))
    attachments: set[bytes] = field(default_factory=set)
    tiles: list[Tile] = field(default_factory=list)
    bundles: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def add(self, path: str) -> None:
        """Take a file.

        Raises:
            DifferenceError: `feed.unnamed`: no file of a feed has such a name.
        """
        self.count += 1
        if path in _SINGLE:
            self.single.add(path)
        elif found := _AREA.fullmatch(path):
            self.areas[_number(found[1], path)].add(bytes.fromhex(found[2]))
        elif found := _STATION.fullmatch(path):
            station, version = _number(found[1], path), _number(found[2], path)
            if feed.station_path(station, version) != path:
                raise unnamed(path)
            self.stations[station].add(version)
        elif found := _SNAPSHOT.fullmatch(path):
            number = _number(found[1], path)
            if number == 0:
                raise unnamed(path)
            {"json": self.snapshots, "note": self.notes, "changes.json": self.changes}[found[2]].add(number)
        elif found := _TILE.fullmatch(path):
            self._add_tile(path, found[1], found[2], found[3])
        elif found := _ATTACHMENT.fullmatch(path):
            self.attachments.add(bytes.fromhex(found[1]))
        elif found := _DECISIONS.fullmatch(path):
            self.decisions.add(bytes.fromhex(found[1]))
        elif found := _MANIFEST.fullmatch(path):
            self.manifests[found[1], bytes.fromhex(found[2])].add(found[3])
        elif found := _EXPORT.fullmatch(path):
            number = _number(found[1], path)
            if number == 0:
                raise unnamed(path)
            if found[2] == ".note":
                self.export_notes.add(number)
            else:
                self.exports[number].add(found[2][1:])
        elif _SCHEMA.fullmatch(path) is None:
            raise unnamed(path)

    def _add_tile(self, path: str, level: str, groups: str, partial: str | None) -> None:
        number = int(groups.replace("x", "").replace("/", ""))
        width = TILE_WIDTH if partial is None else _number(partial, path)
        if not 1 <= width <= TILE_WIDTH or (partial is not None and width == TILE_WIDTH):
            raise unnamed(path)
        named = Bundle(number, width) if level == "entries" else Tile(_number(level, path), number, width)
        # A number has one way to be written: no group in front that holds nothing.
        if f"{feed.LOG}/{named.path}" != path:
            raise unnamed(path)
        if isinstance(named, Bundle):
            self.bundles[number].add(width)
        else:
            self.tiles.append(named)


def look(folder: Folder, below: str = "") -> Inventory:
    """Find every file of a feed; names that begin with a dot are being written.

    Args:
        folder: the feed's.
        below: with a slash at the end: only what this folder in it holds.

    Raises:
        DifferenceError: `feed.unnamed`, or `file.unreadable` for a link, a device or a pipe.
        CannotCheckError: a folder cannot be read.
    """
    inventory = Inventory()
    if isinstance(folder, Source):
        # Files are moved from here to there, never back: this order misses none.
        for path in _walk(folder.hidden, below, below.count("/")):
            if not (folder.folder / path).exists():
                inventory.add(path)
        folder = folder.folder
    for path in _walk(folder, below, below.count("/")):
        inventory.add(path)
    return inventory


def _walk(folder: Path, below: str, depth: int) -> Iterator[str]:
    try:
        with os.scandir(folder / below) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        # Removed since its parent was read: objects that only older snapshots name go like this.
        return
    except OSError as error:
        raise CannotCheckError("file.unreadable", f"{folder / below}: {error.strerror or error}") from error
    for entry in entries:
        path = f"{below}{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth == _MAX_DEPTH:
                raise unnamed(path)
            yield from _walk(folder, f"{path}/", depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield path
        else:
            raise DifferenceError(
                "file.unreadable", "a feed has plain files only: no links, no devices", path
            )


def unnamed(path: str) -> DifferenceError:
    """The difference `feed.unnamed`."""
    return DifferenceError("feed.unnamed", "nothing in the feed names this file: it has to go", path)


def _number(text: str, path: str) -> int:
    value = decimal(text)
    if value is None:
        raise unnamed(path)
    return value
