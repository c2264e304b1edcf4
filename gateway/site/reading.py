"""What a page needs of the feed, read and proved as far as hashes go.

What lives here: `FeedReader`, from the newest snapshot to the objects that it names (none under an embargo)
and the names in definition and information. Objects are found by hash and checked against it: a page never
mixes two snapshots, and never shows a figure of a damaged file. Signatures are the observer's.
"""

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import msgspec

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.feed import layout
from gateway.feed.models import Child, Latest
from gateway.feed.objects import Area, Row, RowT
from gateway.feed.reading import malformed, read, read_latest
from gateway.site.files import FeedFiles

# Bytes of an area's object: a thousand rows with twenty choices have some 300 KiB.
MAX_AREA: Final = layout.MAX_LATEST
# Areas one below another; real countries have four or five.
MAX_DEPTH: Final = 16
# Objects of one page: whoever has more parts shows them without their own figures.
MAX_CHILDREN: Final = 250
# Definitions that are remembered: decision 10 is the only way to a second one.
_MAX_DEFINITIONS: Final = 2

AreaRows: TypeAlias = Area[Row]
# Rows stay bytes: a page of an area shows its own rows only.
AreaSums: TypeAlias = Area[msgspec.Raw]

_ROWS: Final = msgspec.json.Decoder(AreaRows)
_SUMS: Final = msgspec.json.Decoder(AreaSums)


class Names(NamedTuple):
    """What things are called, and everything else that the definition says."""

    definition: _core.Definition
    information: _core.Information | None

    @property
    def title(self) -> str:
        """The election's, in English if there is one."""
        titles = self.definition.title
        return titles.get("en") or next(iter(titles.values()), self.definition.id)

    def area(self, number: int) -> str:
        """An area's name."""
        found = self.definition.area(number)
        shown = None if self.information is None else self.information.area(number)
        return _name(shown, "" if found is None else found.name, f"area {number}")

    def contest(self, number: int) -> str:
        """A contest's name."""
        found = self.definition.contest(number)
        shown = None if self.information is None else self.information.contest(number)
        return _name(shown, "" if found is None else found.name, f"contest {number}")

    def choice(self, contest: int, choice: _core.Choice) -> str:
        """A choice's name."""
        shown = None if self.information is None else self.information.choice(contest, choice.number)
        return _name(shown, choice.name, f"choice {choice.number}")

    def color(self, contest: int, choice: int) -> str:
        """A choice's colour as the officials wrote it; empty: none."""
        shown = None if self.information is None else self.information.choice(contest, choice)
        return "" if shown is None else shown.get("color", "")

    def station(self, number: int) -> str:
        """A station's name."""
        found = self.definition.station(number)
        shown = None if self.information is None else self.information.station(number)
        return _name(shown, "" if found is None else found.name, f"station {number}")


def _name(shown: dict[str, str] | None, fallback: str, last: str) -> str:
    return ("" if shown is None else shown.get("name_en", "")) or fallback or last


class View(NamedTuple):
    """One area of one snapshot, with everything that its page says.

    Attributes:
        latest: the snapshot.
        sha256: of its file.
        names: what things are called.
        area: the object of the area that is shown.
        area_sha256: of that object.
        way: the areas above it, from the root.
        children: the objects of its areas by number; of very many none.
    """

    latest: Latest
    sha256: str
    names: Names
    area: AreaRows
    area_sha256: str
    way: tuple[int, ...]
    children: dict[int, AreaSums]


class Embargoed(NamedTuple):
    """One area of a snapshot under embargo: everything that may be said of it.

    Attributes:
        latest: the snapshot.
        sha256: of its file.
        names: what things are called.
        until: when the embargo ends.
        root: number of the whole.
        area: number of the area that is shown.
        child: what the snapshot says of it, if it is one of the root's areas.
    """

    latest: Latest
    sha256: str
    names: Names
    until: str
    root: int
    area: int
    child: Child | None


class FeedReader:
    """Reads one feed for pages. Blocks; used by one thread at a time.

    Args:
        root: the feed's folder.
        files: of that folder.
    """

    def __init__(self, root: Path, files: FeedFiles) -> None:
        self._root = root
        self._files = files
        self._names: OrderedDict[tuple[str, str | None], Names] = OrderedDict()

    def latest(self) -> bytes | None:
        """The bytes of latest.json; None: nothing is published yet."""
        return self._files.read((layout.LATEST,), layout.MAX_LATEST)

    def view(self, data: bytes, area: int | None) -> View | Embargoed | None:
        """One area of a snapshot.

        Args:
            data: the bytes of latest.json.
            area: its number; None: the root.

        Returns:
            None: the definition has no such area.

        Raises:
            TallygateError: ``feed.malformed``, ``feed.missing``, or of the definition.
            OSError: a file cannot be read.
        """
        latest = read_latest(data)
        names = self._find_names(latest)
        snapshot_sha256 = hashlib.sha256(data).hexdigest()
        if latest.root is None or latest.tally is None:
            return _embargoed(latest, snapshot_sha256, names, area)
        shown, shown_sha256 = latest.tally, latest.root.sha256
        way: list[int] = []
        for number in self._way(names.definition, latest.root.area, area):
            sha256 = dict(shown.areas).get(number)
            if sha256 is None:
                return None
            way.append(shown.area)
            shown, shown_sha256 = self._object(number, sha256, _ROWS), sha256
        if area is not None and shown.area != area:
            return None
        children: dict[int, AreaSums] = {}
        if len(shown.areas) <= MAX_CHILDREN:
            children = {number: self._object(number, sha256, _SUMS) for number, sha256 in shown.areas}
        return View(latest, snapshot_sha256, names, shown, shown_sha256, tuple(way), children)

    @staticmethod
    def _way(definition: _core.Definition, root: int, area: int | None) -> list[int]:
        """The areas from below the root to this one; empty: it is the root, or nowhere."""
        way: list[int] = []
        while area is not None and area != root and len(way) < MAX_DEPTH:
            found = definition.area(area)
            if found is None:
                return []
            way.append(area)
            area = found.parent
        return way[::-1]

    def _object(self, number: int, sha256: str, decoder: msgspec.json.Decoder[Area[RowT]]) -> Area[RowT]:
        place = layout.area(number, bytes.fromhex(sha256))
        data = self._files.read(place.split("/"), MAX_AREA)
        if data is None:
            raise missing(place)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise malformed("these bytes have another hash than their name", place)
        return read(data, decoder, place)

    def _find_names(self, latest: Latest) -> Names:
        key = (latest.definition, latest.information)
        found = self._names.get(key)
        if found is None:
            found = self._load_names(latest)
            self._names[key] = found
            if len(self._names) > _MAX_DEFINITIONS:
                self._names.popitem(last=False)
        return found

    def _load_names(self, latest: Latest) -> Names:
        place = layout.definition(bytes.fromhex(latest.definition))
        definition = _core.Definition.load(self._root / place)
        if definition.hash.hex() != latest.definition:
            raise malformed("election.json has another hash than its folder", place)
        information = None
        if latest.information is not None:
            place = layout.information(bytes.fromhex(latest.information))
            information = _core.Information.load(self._root / place, definition)
            if information.hash.hex() != latest.information:
                raise malformed("information.json has another hash than its folder", place)
        return Names(definition, information)


def _embargoed(latest: Latest, sha256: str, names: Names, area: int | None) -> Embargoed | None:
    root = next((one.number for one in names.definition.areas if one.parent is None), None)
    shown = root if area is None else area
    if latest.embargo_until is None or root is None or shown is None:
        return None
    if names.definition.area(shown) is None:
        return None
    child = next((one for one in latest.children if one.area == shown), None)
    return Embargoed(latest, sha256, names, latest.embargo_until, root, shown, child)


def missing(place: str) -> TallygateError:
    """A file that the snapshot names is not there: it was pruned meanwhile, or the feed is not whole."""
    return TallygateError("feed.missing", "the snapshot names this file, and it is not there", place=place)
