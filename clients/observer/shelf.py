"""The objects of a feed, compared with those that the log leads to; and what is left over at the end.

Every object that is there is judged when it is the present one: a station's after the entry that is its
version, an area's and the decisions at the snapshot that names them. Objects of older snapshots may be gone,
and only those of the newest one must be there.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from clients.observer.inventory import Inventory, unnamed
from clients.observer.replay import FROM_LOG
from clients.observer.tally import Tally
from clients.observer.verdict import DifferenceError, Folder, judge_bytes, judge_hash, read
from clients.wire import feed

# A station with every packet that a log takes of its devices, an area with ten thousand stations.
MAX_OBJECT_BYTES: Final = 64 * 1024 * 1024
DIFFERS: Final = "feed.object"


class Shelf:
    """The objects that a feed has at the moment of the look.

    Attributes:
        areas: how many areas' objects were right.
        stations: how many stations' objects were right.
        decisions: how many decisions files were right.
        not_judged: how many were neither right nor wrong.
    """

    def __init__(self, folder: Folder, inventory: Inventory) -> None:
        self.areas = 0
        self.stations = 0
        self.decisions = 0
        self.not_judged = 0
        self._folder = folder
        # What was judged is taken out; the last of each thing is remembered.
        self._inventory = inventory
        self._last_area: dict[int, bytes] = {}
        self._last_station: dict[int, int] = {}
        self._last_decisions: set[bytes] = set()

    def judge_station(self, number: int, tally: Tally) -> None:
        """Compare a station's present object, if the feed has it.

        Raises:
            DifferenceError: it is another.
            CannotCheckError: it cannot be read.
        """
        version, versions = tally.version(number), self._inventory.stations.get(number)
        if versions is None or version is None or version not in versions:
            return
        versions.discard(version)
        self._last_station[number] = version
        path, expected = feed.station_path(number, version), tally.station(number)
        if expected is not None and self._judge(path, expected, number):
            self.stations += 1

    def judge_areas(self, objects: Mapping[int, bytes]) -> None:
        """Compare the objects that a snapshot names for the first time, as far as the feed has them.

        Raises:
            DifferenceError: one is another.
            CannotCheckError: one cannot be read.
        """
        for area, expected in objects.items():
            sha256, hashes = hashlib.sha256(expected).digest(), self._inventory.areas.get(area, set())
            if sha256 in hashes:
                hashes.discard(sha256)
                self._last_area[area] = sha256
                self.areas += self._judge(feed.area_path(area, sha256), expected)

    def judge_decisions(self, files: Sequence[bytes]) -> None:
        """Compare the decisions file that a snapshot names, and the one that it hides.

        Raises:
            DifferenceError: it is another.
            CannotCheckError: it cannot be read.
        """
        for expected in files:
            sha256 = hashlib.sha256(expected).digest()
            if sha256 in self._inventory.decisions:
                self._inventory.decisions.discard(sha256)
                self._last_decisions.add(sha256)
                self.decisions += self._judge(feed.decisions_path(sha256), expected)

    def _judge(self, path: str, expected: bytes, station: int | None = None) -> bool:
        """Compare a file; False: it has gone since the look, which only those of old snapshots do."""
        try:
            found = read(self._folder, path, MAX_OBJECT_BYTES, "an object")
        except DifferenceError as error:
            if error.difference.code == "feed.missing":
                return False
            raise
        judge_bytes(path, found, expected, DIFFERS, FROM_LOG, station)
        return True

    def judge_missing(self, tally: Tally, decisions: Sequence[bytes]) -> None:
        """Look whether the feed has everything that the newest snapshot names, or hides.

        Args:
            tally: of its entries.
            decisions: its decisions files.

        Raises:
            DifferenceError: `feed.missing`.
        """
        for data in decisions:
            sha256 = hashlib.sha256(data).digest()
            if sha256 not in self._last_decisions:
                raise _missing(feed.decisions_path(sha256))
        for area in tally.areas:
            sha256 = tally.area_sha256(area)
            if self._last_area.get(area) != sha256:
                raise _missing(feed.area_path(area, sha256))
        for number in tally.changed_stations:
            version = tally.version(number)
            if version is not None and self._last_station.get(number) != version:
                raise _missing(feed.station_path(number, version), number)

    def judge_rest(self, size: int) -> None:
        """Look at the objects that no snapshot names.

        Those of an entry behind the newest snapshot are of the next one. An area's or a decisions file under
        its own hash may have been written for a snapshot that never came to be, or comes next.

        Args:
            size: entries in the newest snapshot.

        Raises:
            DifferenceError: a station has never had such a version, or a file is not what its name says.
            CannotCheckError: one cannot be read.
        """
        for number, versions in self._inventory.stations.items():
            for version in sorted(versions):
                if version < size:
                    raise unnamed(feed.station_path(number, version))
                self.not_judged += 1
        for area, hashes in self._inventory.areas.items():
            for sha256 in sorted(hashes):
                self._judge_name(feed.area_path(area, sha256), sha256)
        for sha256 in sorted(self._inventory.decisions):
            self._judge_name(feed.decisions_path(sha256), sha256)

    def _judge_name(self, path: str, sha256: bytes) -> None:
        try:
            data = read(self._folder, path, MAX_OBJECT_BYTES, "an object")
        except DifferenceError as error:
            if error.difference.code == "feed.missing":
                return
            raise
        judge_hash(path, data, sha256, "its name")
        self.not_judged += 1


def _missing(path: str, station: int | None = None) -> DifferenceError:
    detail = "the newest snapshot names it, and it is not there"
    return DifferenceError("feed.missing", detail, path, station=station)
