"""One snapshot of a feed, read for its exports: the areas in their order, and what things are called.

What lives here: `Source`. Everything is found by the hash or version that the snapshot names: what is written
meanwhile is of later ones. Nothing that it names goes within the ten minutes that the feed keeps it
(`gateway.publish.pruning`).
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded
from gateway.election.cells import STANDARD_FIGURES
from gateway.feed import layout, reading
from gateway.feed.models import Latest, SourceWord, StatusWord
from gateway.feed.objects import Area, Row

# Bytes of an object: a station with every packet that a log takes, an area with ten thousand rows.
MAX_OBJECT: Final = 67_108_864

SOURCES: Final[Mapping[int, SourceWord]] = {1: "machine", 2: "protocol"}
COUNTED: Final = frozenset({"reported", "disputed"})


class Place(NamedTuple):
    """An area, and the root's area that it is or stands in; `region` is None for the root itself."""

    area: _core.Area
    region: _core.Area | None


class Seen(NamedTuple):
    """A station: its definition, where it stands, its row, and its object's bytes if it has one."""

    station: _core.Station
    place: Place
    row: Row
    data: bytes | None


class Source:
    """Reads one snapshot. Blocks.

    Args:
        feed: the folder.
        number: of the snapshot.

    Attributes:
        latest: what the snapshot says.
        sha256: of its file, hex.
        published_at: as it says, RFC 3339.
        definition: the election's.
        information: what is shown beside it, or None.

    Raises:
        TallygateError: ``feed.malformed``; ``export.embargo``; of the definition.
        OSError: a file is not there, or cannot be read.
    """

    def __init__(self, feed: Path, number: int) -> None:
        self._feed = feed
        path = layout.snapshot(number)
        data = read_bounded(feed / path, layout.MAX_LATEST)
        self.latest: Final[Latest] = reading.read_latest(data, path)
        self.sha256: Final = hashlib.sha256(data).hexdigest()
        if self.latest.root is None:
            raise TallygateError("export.embargo", "nothing is exported under an embargo", place=path)
        self._root = self.latest.root
        definition = layout.definition(bytes.fromhex(self.latest.definition))
        self.definition: Final = _core.Definition.load(feed / definition)
        self.information: Final = self._load_information()

    def _load_information(self) -> _core.Information | None:
        if self.latest.information is None:
            return None
        folder = layout.information(bytes.fromhex(self.latest.information))
        return _core.Information.load(self._feed / folder, self.definition)

    @property
    def number(self) -> int:
        """Of the snapshot."""
        return self.latest.snapshot

    def status(self, source: int) -> StatusWord:
        """How final a source's figures are."""
        return self.latest.status.machine if source == 1 else self.latest.status.protocol

    @cached_property
    def contests(self) -> Mapping[int, "Contest"]:
        """By number."""
        return {
            contest.number: Contest(contest, tuple(self.definition.choices(contest.number)))
            for contest in self.definition.contests
        }

    @cached_property
    def figures(self) -> Mapping[int, "Figure"]:
        """By code: the lines of every protocol, and the country's own."""
        standard = {code: Figure(word, "") for word, code in STANDARD_FIGURES.items()}
        own = {figure.code: Figure(figure.figure, figure.name) for figure in self.definition.figures}
        return standard | own

    @cached_property
    def stations(self) -> Mapping[int, _core.Station]:
        """By number."""
        return {station.number: station for station in self.definition.stations()}

    @cached_property
    def places(self) -> Mapping[int, Place]:
        """By number."""
        areas = {area.number: area for area in self.definition.areas}
        places: dict[int, Place] = {}
        for area in areas.values():
            at, region = area, None
            while at.parent is not None:
                region, at = at, areas[at.parent]
            places[area.number] = Place(area, region)
        return places

    def areas(self) -> Iterator[Area[Row]]:
        """Every area, before those in it; those beside each other ascend.

        Raises:
            TallygateError: ``feed.malformed``.
            OSError: one is not there.
        """
        # A tree has at most 33 levels (the definition); those that wait are of one level each.
        waiting = [(self._root.area, self._root.sha256)]
        while waiting:
            number, sha256 = waiting.pop()
            path = layout.area(number, bytes.fromhex(sha256))
            data = read_bounded(self._feed / path, MAX_OBJECT)
            if hashlib.sha256(data).hexdigest() != sha256:
                raise reading.malformed("these bytes have another hash than their name", path)
            area = reading.read_area(data, path)
            waiting.extend(reversed(area.areas))
            yield area

    def seen(self, area: Area[Row]) -> Iterator[Seen]:
        """The stations that stand in an area, ascending.

        Raises:
            TallygateError: ``feed.malformed``.
            OSError: an object is not there.
        """
        place = self.places[area.area]
        for row in area.rows:
            data = None
            if row.version is not None:
                data = _read(f"{self._feed}/{layout.station(row.station, row.version)}")
            yield Seen(self.stations[row.station], place, row, data)


def _read(path: str) -> bytes:
    """A small file with as few calls as can be: there are a hundred thousand."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


class Contest(NamedTuple):
    """A contest and its choices."""

    contest: _core.Contest
    choices: tuple[_core.Choice, ...]


class Figure(NamedTuple):
    """A line of a protocol: its word, and its name where the election gave it one."""

    word: str
    name: str
