"""What exports must say (docs/exports.md), from the observer's own tally: a second writer of three of them.

What lives here: the bytes of results.csv, results.ndjson and turnout.csv, station by station, so that whoever
compares them needs no more memory than a line. Names come from the definition alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias, cast

from clients.observer.tally import Tally
from clients.observer.tally.counts import SOURCES
from clients.wire import feed, jcs
from clients.wire.definition import STANDARD_FIGURES, Area, Choice, Definition, Station
from clients.wire.jcs import JsonValue

_BOM: Final = "\ufeff"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_PLACE: Final = "region,region_name,area,area_label,area_name,station,station_label,station_name"
_RESULTS: Final = (
    f"{_BOM}snapshot,{_PLACE},contest,contest_name,source,status,state,what,code,label,name,value\n"
)
_TURNOUT: Final = f"{_BOM}snapshot,{_PLACE},registered,hour,identified"
_COUNTED: Final = ("reported", "disputed")

_Object: TypeAlias = Mapping[str, object]


class Said(NamedTuple):
    """What a snapshot says that its exports repeat.

    Attributes:
        number: its number.
        published_at: its publisher's time.
        status: a word a source.
    """

    number: int
    published_at: str
    status: Mapping[str, str]


class Tables:
    """The tables of one snapshot.

    Args:
        definition: the election's.
        tally: of exactly the snapshot's entries.
        said: by the snapshot.
    """

    def __init__(self, definition: Definition, tally: Tally, said: Said) -> None:
        self._definition = definition
        self._tally = tally
        self._said = said
        self._words = {code: (word, "") for word, code in STANDARD_FIGURES.items()}
        self._words |= {own.code: (own.figure, own.name) for own in definition.figures.values()}
        self._stations: dict[int, list[Station]] = {}
        for _, station in sorted(definition.stations.items()):
            self._stations.setdefault(station.area, []).append(station)

    def results(self) -> Iterator[bytes]:
        """The lines of results.csv."""
        yield _RESULTS.encode()
        status = self._said.status
        for station, head in self._walk():
            object_ = self._object(station)
            counts = cast(list[_Object], object_.get("counts", []))
            heard = {(count["contest"], count["source"]): count for count in counts}
            for contest in station.contests:
                name = _cell(self._definition.contests[contest].name)
                for source, word in SOURCES.items():
                    count = heard.get((contest, source), {})
                    state = "cancelled" if object_.get("cancelled") else count.get("state", "silent")
                    start = f"{head},{contest},{name},{word},{status[word]},{state},"
                    if state not in _COUNTED:
                        yield f"{start},,,,\n".encode()
                        continue
                    for item, value in self._items(contest, count):
                        yield f"{start}{item},{value}\n".encode()

    def _items(self, contest: int, count: _Object) -> Iterator[tuple[str, int]]:
        for code, value in cast(Sequence[tuple[int, int]], count["figures"]):
            word, name = self._words[code]
            yield f"figure,{code},{word},{_cell(name)}", value
        votes = cast(Sequence[int], count["votes"])
        for choice, value in zip(self._definition.choices[contest], votes, strict=True):
            yield f"{_what(choice)},{choice.choice},{_cell(choice.label)},{_cell(choice.name)}", value

    def stations(self) -> Iterator[bytes]:
        """The lines of results.ndjson."""
        for station, _ in self._walk():
            data = self._tally.station(station.station)
            object_ = self._object(station)
            members: dict[str, JsonValue] = {
                "areas": [area.area for area in self._way(station)],
                "cancelled": cast(int, object_.get("cancelled", 0)),
                "contests": station.contests,
                "definition": self._definition.sha256.hex(),
                "label": station.label,
                "name": station.name,
                "opened": cast(int, object_.get("opened", 0)),
                "registered": station.registered,
                "snapshot": self._said.number,
                "station": station.station,
                "tally": None if data is None else cast(JsonValue, json.loads(data)),
                "type": station.type,
            }
            yield jcs.write(members) + b"\n"

    def turnout(self) -> Iterator[bytes]:
        """The lines of turnout.csv without their last column, the local time, and without their ends."""
        yield _TURNOUT.encode()
        for station, head in self._walk():
            object_ = self._object(station)
            if not object_ or object_["cancelled"]:
                continue
            registered = "" if station.registered is None else station.registered
            turnout = cast(_Object, object_["turnout"])
            for hour, identified in cast(Sequence[tuple[int, int]], turnout["hours"]):
                at = feed.format_time(hour)
                if at <= self._said.published_at:
                    yield f"{head},{registered},{at},{identified}".encode()

    def _walk(self) -> Iterator[tuple[Station, str]]:
        """The stations in the order of the exports, with the cells in front of each line."""
        waiting = [self._tally.root]
        while waiting:
            area = waiting.pop()
            waiting.extend(reversed(self._tally.children(area)))
            for station in self._stations.get(area, ()):
                yield station, f"{self._said.number},{self._cells(station)}"

    def _cells(self, station: Station) -> str:
        way = self._way(station)
        area = way[-1]
        region = f"{way[1].area},{_cell(way[1].name)}" if len(way) > 1 else ","
        own = f"{station.station},{_cell(station.label)},{_cell(station.name)}"
        return f"{region},{area.area},{_cell(area.label)},{_cell(area.name)},{own}"

    def _way(self, station: Station) -> list[Area]:
        """From the root to the station's area."""
        way: list[Area] = []
        number: int | None = station.area
        while number is not None:
            way.append(self._definition.areas[number])
            number = way[-1].parent
        return way[::-1]

    def _object(self, station: Station) -> _Object:
        """The station's object; empty if it has none."""
        data = self._tally.station(station.station)
        return {} if data is None else cast(_Object, json.loads(data))


def _what(choice: Choice) -> str:
    return "votes" if choice.list is None else "preference"


def _cell(text: str) -> str:
    if text.startswith(_FORMULA):
        text = f"'{text}"
    if any(mark in text for mark in ',"\n\r'):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text
