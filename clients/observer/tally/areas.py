"""Sums of areas, kept while stations change, and the areas' objects (docs/tally.md, "Area")."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from clients.observer.tally.counts import SOURCES, STATES, Outcome, Source, State
from clients.observer.tally.rules import Ballot
from clients.observer.tally.station import View
from clients.wire import jcs
from clients.wire.definition import Definition, Station
from clients.wire.jcs import JsonValue

FORMAT: Final = "tallygate-area/1"


class Sum:
    """A sum and how many stations have an addend."""

    __slots__ = ("stations", "total")

    def __init__(self) -> None:
        self.total = 0
        self.stations = 0

    def add(self, value: int, sign: int) -> None:
        """Add a station's value (sign 1), or take it out again (sign −1)."""
        self.total += sign * value
        self.stations += sign

    @property
    def pair(self) -> tuple[int, int]:
        """Sum and number, as they stand in objects."""
        return self.total, self.stations


class SourceSums:
    """One contest in one source.

    Attributes:
        states: how many stations are in each.
        registered: of the counted ones.
        figures: by code, of the counted ones.
        votes: by choice.
    """

    __slots__ = ("figures", "registered", "states", "votes")

    def __init__(self, choices: int) -> None:
        self.states: dict[State, int] = dict.fromkeys(STATES, 0)
        self.registered = Sum()
        self.figures: defaultdict[int, Sum] = defaultdict(Sum)
        self.votes = [0] * choices

    @property
    def counted(self) -> int:
        """How many stations are in the sums."""
        return self.states["reported"] + self.states["disputed"]

    def figure(self, code: int) -> tuple[int, int]:
        """Sum of a figure, and how many of the counted stations have it."""
        return self.figures[code].pair if code in self.figures else (0, 0)

    def add(self, outcome: Outcome, registered: int | None, sign: int) -> None:
        """Add a station's outcome, or take it out."""
        self.states[outcome.state] += sign
        if not outcome.counted:
            return
        if registered is not None:
            self.registered.add(registered, sign)
        for code, value in outcome.figures:
            self.figures[code].add(value, sign)
        for place, votes in enumerate(outcome.votes):
            self.votes[place] += sign * votes

    def object(self) -> JsonValue:
        """As it stands in an area's object."""
        return {
            **{str(state): number for state, number in self.states.items()},
            "counted": self.counted,
            "registered": self.registered.pair,
            "figures": [[code, *own.pair] for code, own in sorted(self.figures.items()) if own.stations],
            "votes": list(self.votes),
        }


class ContestSums:
    """One contest of an area.

    Attributes:
        registered: of the expected stations that have it and where it is known.
        stations: expected ones that have it.
        sources: machine and protocol.
    """

    __slots__ = ("registered", "sources", "stations")

    def __init__(self, choices: int) -> None:
        self.stations = 0
        self.registered = Sum()
        self.sources: dict[Source, SourceSums] = {source: SourceSums(choices) for source in SOURCES}


class AreaSums:
    """All numbers of one area."""

    def __init__(self) -> None:
        self.stations = 0
        self.opened = 0
        self.cancelled = 0
        self.registered = Sum()
        self.identified = Sum()
        self.hours: defaultdict[int, Sum] = defaultdict(Sum)
        self.contests: dict[int, ContestSums] = {}
        self.flags: Counter[str] = Counter()
        self.worst: Counter[str] = Counter()

    def add(self, station: Station, view: View, worst: str, sign: int) -> None:
        """Add a station (sign 1), or take it out again as it was added (sign −1).

        Args:
            station: the definition's.
            view: its present state.
            worst: its state in the progress.
            sign: 1 or −1.
        """
        if view.cancelled:
            self.cancelled += sign
            return
        self.stations += sign
        self.opened += sign * view.opened
        self.worst[worst] += sign
        registered = station.registered
        if registered is not None:
            self.registered.add(registered, sign)
        if view.turnout.identified is not None:
            self.identified.add(view.turnout.identified, sign)
        for hour, identified in view.turnout.hours:
            self.hours[hour].add(identified, sign)
        for code in view.codes:
            self.flags[code] += sign
        heard = {(outcome.contest, outcome.source): outcome for outcome in view.outcomes}
        for contest in station.contests:
            sums = self.contests[contest]
            sums.stations += sign
            if registered is not None:
                sums.registered.add(registered, sign)
            for source, own in sums.sources.items():
                outcome = heard.get((contest, source))
                own.add(outcome or Outcome(contest, source, "silent"), registered, sign)


class Areas:
    """The areas of a definition; objects are made on demand, and kept until a station below changes."""

    def __init__(self, definition: Definition, ballots: Mapping[int, Ballot]) -> None:
        self._definition = definition
        self._headline: Source = next(
            source for source, word in SOURCES.items() if word == definition.headline
        )
        self._children: defaultdict[int, list[int]] = defaultdict(list)
        self._stations: defaultdict[int, list[int]] = defaultdict(list)
        self._sums = {area: AreaSums() for area in definition.areas}
        self._objects: dict[int, bytes] = {}
        self.root = next(area.area for area in definition.areas.values() if area.parent is None)
        for area in sorted(definition.areas):
            parent = definition.areas[area].parent
            if parent is not None:
                self._children[parent].append(area)
        for number, station in sorted(definition.stations.items()):
            self._stations[station.area].append(number)
            for area in self._path(station.area):
                contests = self._sums[area].contests
                for contest in station.contests:
                    if contest not in contests:
                        contests[contest] = ContestSums(len(ballots[contest].choices))
            self._add(station, View(), 1)

    def sums(self, area: int) -> AreaSums:
        """The present numbers of an area."""
        return self._sums[area]

    def change(self, number: int, before: View, after: View) -> None:
        """Put a station's new state in the place of the one before; objects that tell of it are forgotten."""
        station = self._definition.stations[number]
        for area in self._path(station.area):
            self._objects.pop(area, None)
        self._add(station, before, -1)
        self._add(station, after, 1)

    def object(self, area: int, row: Callable[[int], JsonValue]) -> bytes:
        """An area's object.

        Args:
            area: number.
            row: gives a station's row.
        """
        data = self._objects.get(area)
        if data is None:
            # A tree has at most 33 levels (the definition), so this goes no deeper.
            children: list[JsonValue] = [
                [child, hashlib.sha256(self.object(child, row)).hexdigest()] for child in self._children[area]
            ]
            rows = [row(station) for station in self._stations[area]]
            data = jcs.write(self._object(area, children, rows))
            self._objects[area] = data
        return data

    def _object(self, area: int, children: list[JsonValue], rows: list[JsonValue]) -> JsonValue:
        sums = self._sums[area]
        return {
            "format": FORMAT,
            "definition": self._definition.sha256.hex(),
            "area": area,
            "stations": sums.stations,
            "opened": sums.opened,
            "cancelled": sums.cancelled,
            "turnout": {
                "registered": sums.registered.pair,
                "identified": sums.identified.total,
                "stations": sums.identified.stations,
                "hours": [[hour, *own.pair] for hour, own in sorted(sums.hours.items()) if own.stations],
            },
            "contests": [
                {
                    "contest": contest,
                    "stations": own.stations,
                    "registered": own.registered.pair,
                    **{SOURCES[source]: of_source.object() for source, of_source in own.sources.items()},
                }
                for contest, own in sorted(sums.contests.items())
            ],
            "flags": [[code, number] for code, number in sorted(sums.flags.items()) if number],
            "areas": children,
            "rows": rows,
        }

    def _add(self, station: Station, view: View, sign: int) -> None:
        worst = worst_state(station, view, self._headline)
        for area in self._path(station.area):
            self._sums[area].add(station, view, worst, sign)

    def _path(self, area: int | None) -> Iterable[int]:
        """The area and those above it."""
        while area is not None:
            yield area
            area = self._definition.areas[area].parent


def worst_state(station: Station, view: View, headline: Source) -> State:
    """A station's state in the progress: the worst among its counts of the headline source."""
    heard = {outcome.contest: outcome.state for outcome in view.outcomes if outcome.source == headline}
    states = {heard.get(contest, "silent") for contest in station.contests} - {"annulled"}
    if not states:
        return "annulled"
    for state in ("held", "disputed"):
        if state in states:
            return state
    if states == {"silent"}:
        return "silent"
    return "partial" if states & {"silent", "partial"} else "reported"
