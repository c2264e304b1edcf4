"""Sums of areas, kept while stations change, and the areas' objects (docs/tally.md, "Area")."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from clients.observer.tally.counts import SOURCES, STATES, Outcome, Source, State
from clients.observer.tally.rules import Ballot
from clients.observer.tally.station import View
from clients.observer.tally.turnout import Turnout
from clients.wire import jcs
from clients.wire.definition import Definition, Station
from clients.wire.jcs import JsonValue

FORMAT: Final = "tallygate-area/1"
_NO_ROWS: Final = b'"rows":[]'


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

    @property
    def turnout(self) -> JsonValue:
        """As it stands in the area's object."""
        return {
            "registered": self.registered.pair,
            "identified": self.identified.total,
            "stations": self.identified.stations,
            "hours": [[hour, *own.pair] for hour, own in sorted(self.hours.items()) if own.stations],
        }

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

    def change(self, change: "Change") -> None:
        """Put an expected station's new state in the place of the one before."""
        self.opened += change.opened
        if change.worst is not None:
            before, after = change.worst
            self.worst[before] -= 1
            self.worst[after] += 1
        self.identified.total += change.identified[0]
        self.identified.stations += change.identified[1]
        for hour, total, stations in change.hours:
            own_hour = self.hours[hour]
            own_hour.total += total
            own_hour.stations += stations
        for code, sign in change.codes:
            self.flags[code] += sign
        for was, is_ in change.outcomes:
            own = self.contests[was.contest].sources[was.source]
            own.add(was, change.registered, -1)
            own.add(is_, change.registered, 1)


class Change(NamedTuple):
    """What is different between two states of an expected station, so that only that is summed anew.

    Attributes:
        registered: the definition's, or None.
        opened: 1, 0 or −1.
        identified: what is added to the sum, and to the number of stations that have one.
        hours: the same of each hour at which it is different.
        codes: with 1 or −1.
        outcomes: before and after of each contest and source.
        worst: before and after.
    """

    registered: int | None
    opened: int
    identified: tuple[int, int]
    hours: tuple[tuple[int, int, int], ...]
    codes: tuple[tuple[str, int], ...]
    outcomes: tuple[tuple[Outcome, Outcome], ...]
    worst: tuple[str, str] | None

    @classmethod
    def between(cls, station: Station, before: View, after: View, headline: Source) -> "Change":
        """The change from one state to the next."""
        outcomes: tuple[tuple[Outcome, Outcome], ...] = ()
        worst = None
        if before.outcomes != after.outcomes:
            heard = {(outcome.contest, outcome.source): outcome for outcome in before.outcomes}
            hears = {(outcome.contest, outcome.source): outcome for outcome in after.outcomes}
            outcomes = tuple(
                (
                    heard.get(key) or Outcome(*key, "silent"),
                    hears.get(key) or Outcome(*key, "silent"),
                )
                for key in heard | hears
                if heard.get(key) != hears.get(key)
            )
            was, is_ = worst_state(station, before, headline), worst_state(station, after, headline)
            worst = None if was == is_ else (was, is_)
        codes: tuple[tuple[str, int], ...] = ()
        if before.codes != after.codes:
            lost, won = set(before.codes), set(after.codes)
            codes = (*((code, -1) for code in lost - won), *((code, 1) for code in won - lost))
        return cls(
            registered=station.registered,
            opened=after.opened - before.opened,
            identified=_added(before.turnout.identified, after.turnout.identified),
            hours=tuple(_hours_between(before.turnout, after.turnout)),
            codes=codes,
            outcomes=outcomes,
            worst=worst,
        )


class Areas:
    """The areas of a definition; objects are made on demand, and kept until a station below changes."""

    def __init__(self, definition: Definition, ballots: Mapping[int, Ballot]) -> None:
        self._definition = definition
        self._headline: Source = next(
            source for source, word in SOURCES.items() if word == definition.headline
        )
        self._children: defaultdict[int, list[int]] = defaultdict(list)
        self._stations: defaultdict[int, list[int]] = defaultdict(list)
        self._levels: defaultdict[str, list[int]] = defaultdict(list)
        self._sums = {area: AreaSums() for area in definition.areas}
        self._objects: dict[int, bytes] = {}
        self._hashes: dict[int, bytes] = {}
        self.root = next(area.area for area in definition.areas.values() if area.parent is None)
        for area in sorted(definition.areas):
            parent = definition.areas[area].parent
            self._levels[definition.areas[area].level].append(area)
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

    def children(self, area: int) -> Sequence[int]:
        """The areas that stand in an area, ascending."""
        return self._children.get(area, ())

    def of_level(self, level: str) -> Sequence[int]:
        """The areas of a level, ascending."""
        return self._levels.get(level, ())

    def change(self, number: int, before: View, after: View) -> None:
        """Put a station's new state in the place of the one before; objects that tell of it are forgotten."""
        station = self._definition.stations[number]
        for area in self._path(station.area):
            self._objects.pop(area, None)
            self._hashes.pop(area, None)
        if before.cancelled or after.cancelled:
            self._add(station, before, -1)
            self._add(station, after, 1)
            return
        change = Change.between(station, before, after, self._headline)
        for area in self._path(station.area):
            self._sums[area].change(change)

    def object(self, area: int, row: Callable[[int], bytes]) -> bytes:
        """An area's object.

        Args:
            area: number.
            row: gives the canonical bytes of a station's row.
        """
        data = self._objects.get(area)
        if data is None:
            # A tree has at most 33 levels (the definition), so this goes no deeper.
            children: list[JsonValue] = [
                [child, self.sha256(child, row).hex()] for child in self._children[area]
            ]
            rows = b",".join(row(station) for station in self._stations[area])
            # Rows are most of an object and few of them change: they are put in as they were written. No
            # string of an object has a quotation mark, so the empty list is found where it stands.
            data = jcs.write_own(self._object(area, children)).replace(_NO_ROWS, b'"rows":[%b]' % rows)
            self._objects[area] = data
            self._hashes[area] = hashlib.sha256(data).digest()
        return data

    def sha256(self, area: int, row: Callable[[int], bytes]) -> bytes:
        """The hash of an area's object; arguments as `object`."""
        if area not in self._hashes:
            self.object(area, row)
        return self._hashes[area]

    def release(self) -> dict[int, bytes]:
        """The objects that are kept, which are made again if anybody asks; their hashes stay."""
        kept, self._objects = self._objects, {}
        return kept

    def _object(self, area: int, children: list[JsonValue]) -> JsonValue:
        """The object, but for its rows."""
        sums = self._sums[area]
        return {
            "format": FORMAT,
            "definition": self._definition.sha256.hex(),
            "area": area,
            "stations": sums.stations,
            "opened": sums.opened,
            "cancelled": sums.cancelled,
            "turnout": sums.turnout,
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
            "rows": [],
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


def _added(before: int | None, after: int | None) -> tuple[int, int]:
    """What a station adds to a sum, and to its number of addends."""
    return (after or 0) - (before or 0), (after is not None) - (before is not None)


def _hours_between(before: Turnout, after: Turnout) -> Iterator[tuple[int, int, int]]:
    if before.hours == after.hours:
        return
    had, has = dict(before.hours), dict(after.hours)
    for hour in had | has:
        total, stations = _added(had.get(hour), has.get(hour))
        if total or stations:
            yield hour, total, stations


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
