"""What a decision would change: the tally before it, and the tally as if it were taken now.

`effect_of` asks the observer's tally twice and keeps what is different: stations, the areas that they stand
in up to the whole, results, and what is switched. Where a decision touches many stations only the first of
them are told one by one, and of the areas the highest two levels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final, Literal, NamedTuple, TypeAlias, cast

import msgspec

from clients.box import times, words
from clients.commission.sentences import sentence
from clients.observer.tally import Tally
from clients.observer.tally.counts import SOURCES, STATES
from clients.observer.tally.fold import Supposed
from clients.observer.tally.station import View
from clients.wire.authority import ALL, NONE, Action, Authority
from clients.wire.cbor import Content
from clients.wire.definition import Choice, Definition
from clients.wire.errors import WireError
from clients.wire.statement import Statement

# Stations and areas that are told one by one: as much as a person reads before signing.
MAX_STATIONS: Final = 12
MAX_AREAS: Final = 12

SourceWord: TypeAlias = Literal["machine", "protocol"]
Number: TypeAlias = tuple[int | None, int | None]
Text: TypeAlias = tuple[str, str]


class Votes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A choice's votes before and after; null where nothing is counted."""

    choice: int
    before: int | None
    after: int | None


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure of a protocol before and after, by its code; null where it is not known."""

    code: int
    before: int | None
    after: int | None


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contest in one source at a station: what is different."""

    contest: int
    source: SourceWord
    state: Text
    votes: tuple[Votes, ...]
    figures: tuple[Figure, ...]


class StationChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A station that is different; `codes` are those that go and those that come."""

    station: int
    cancelled: tuple[bool, bool]
    identified: Number
    codes: tuple[tuple[str, ...], tuple[str, ...]]
    counts: tuple[Count, ...]


class Stations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In how many stations a count has this state, before and after."""

    state: str
    before: int
    after: int


class Sums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contest in one source in an area: what is different."""

    contest: int
    source: SourceWord
    states: tuple[Stations, ...]
    votes: tuple[Votes, ...]


class AreaChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An area that is different; `stations` is how many are expected."""

    area: int
    stations: tuple[int, int]
    sums: tuple[Sums, ...]


class Seats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A choice's share (hundredths of a percent) and seats in the whole."""

    choice: int
    share: Number
    seats: Number


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contest's result in the whole: what is different."""

    contest: int
    source: SourceWord
    choices: tuple[Seats, ...]
    outcome: Text
    elected: tuple[tuple[int, ...], tuple[int, ...]]


class Switch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that is no figure, before and after."""

    what: str
    before: str
    after: str


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a decision stands before and after, and what it orders."""

    number: int
    says: str
    before: str
    after: str


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a decision would change if it were taken behind the last entry that is known.

    Attributes:
        takes: numbers of the decisions that would be taken: it, and those that wait for it.
        decisions: others whose standing is different.
        stations_changed: how many stations are different in more than what they list.
        stations: the first of them.
        areas_changed: how many areas are different.
        areas: some of them, the whole last.
        results: of the whole.
        switches: what else is different.
    """

    takes: tuple[int, ...]
    decisions: tuple[Standing, ...]
    stations_changed: int
    stations: tuple[StationChange, ...]
    areas_changed: int
    areas: tuple[AreaChange, ...]
    results: tuple[Result, ...]
    switches: tuple[Switch, ...]


class _State(NamedTuple):
    """What is looked at twice."""

    standings: Mapping[int, str]
    views: Mapping[int, View]
    areas: Mapping[int, "_Area"]
    results: Sequence["_Result"]
    switches: Mapping[str, str]


class _Area(NamedTuple):
    stations: int
    states: Mapping[tuple[int, SourceWord], Mapping[str, int]]
    votes: Mapping[tuple[int, SourceWord], tuple[int, ...]]


class _Choice(msgspec.Struct):
    choice: int
    share: int | None
    seats: int | None


class _Outcome(msgspec.Struct):
    word: str
    choices: tuple[int, ...]


class _Result(msgspec.Struct):
    contest: int
    source: int
    choices: tuple[_Choice, ...]
    outcome: _Outcome


def effect_of(
    tally: Tally, definition: Definition, decision: Statement, earlier: Sequence[Statement] = ()
) -> Effect:
    """What a decision would change; the tally is afterwards as it was before.

    Args:
        tally: of all entries that are known.
        definition: the election's.
        decision: not signed by a quorum yet; its number and previous fit to the log, or to `earlier`.
        earlier: decisions that are to be taken before it, in their order.

    Raises:
        WireError: `decision.void` with the rule that it breaks; `decision.previous` if it, or one of
            `earlier`, does not fit to what is before it; `roster.missing`.
    """
    with ExitStack() as stack:
        for own in earlier:
            _insist(tally, own, stack.enter_context(tally.supposing(own)))
        with tally.supposing(decision) as supposed:
            _insist(tally, decision, supposed)
            taken = tally.authority.taken(decision.number)
            if taken is not None and taken.verdict == "void":
                raise WireError("decision.void", f"decision {decision.number} would be void: {taken.why}")
            numbers = sorted({*supposed.changed, *supposed.taken})
            actions = {number: one.action for number in numbers if (one := tally.authority.taken(number))}
            after = _look(tally, definition, supposed.stations, actions)
        before = _look(tally, definition, supposed.stations, actions)
    stations = [
        number for number, view in after.views.items() if _figures(view) != _figures(before.views[number])
    ]
    areas = _areas(definition, stations)
    return Effect(
        takes=supposed.taken,
        decisions=tuple(
            Standing(number, sentence(action, definition), before.standings[number], after.standings[number])
            for number, action in actions.items()
            if number not in supposed.taken and after.standings[number] != before.standings[number]
        ),
        stations_changed=len(stations),
        stations=tuple(
            _station(number, definition, before.views[number], after.views[number])
            for number in stations[:MAX_STATIONS]
        ),
        areas_changed=len(areas),
        areas=tuple(
            _area(area, definition, before.areas[area], after.areas[area])
            for area in _told(tally, areas, len(stations))
        ),
        results=tuple(_results(before.results, after.results)),
        switches=tuple(
            Switch(what, before.switches[what], now)
            for what, now in after.switches.items()
            if now != before.switches[what]
        ),
    )


def _insist(tally: Tally, decision: Statement, supposed: Supposed) -> None:
    if decision.number not in supposed.taken:
        raise WireError(
            "decision.previous",
            f"decision {decision.number} does not follow decision {tally.authority.taken_count}, the newest: "
            "prepare it anew",
        )


def _figures(view: View) -> tuple[object, ...]:
    """What of a station is more than a list of packets and decisions."""
    return view.opened, view.cancelled, view.codes, view.turnout, view.outcomes


def _areas(definition: Definition, stations: Iterable[int]) -> set[int]:
    """The areas in which these stations stand, up to the whole."""
    found: set[int] = set()
    for number in stations:
        area: int | None = definition.stations[number].area
        while area is not None and area not in found:
            found.add(area)
            area = definition.areas[area].parent
    return found


def _told(tally: Tally, areas: set[int], stations: int) -> Sequence[int]:
    """Those of the areas that are told, the lowest first, the whole last."""
    if not areas:
        return ()
    if stations <= MAX_STATIONS and len(areas) <= MAX_AREAS:
        levels = [tally.root]
        for area in levels:
            levels.extend(child for child in tally.children(area) if child in areas)
        return levels[::-1]
    below = [area for area in tally.children(tally.root) if area in areas]
    return [*below[: MAX_AREAS - 1], tally.root]


def _look(
    tally: Tally,
    definition: Definition,
    stations: Sequence[int],
    actions: Mapping[int, Content],
) -> _State:
    authority = tally.authority
    return _State(
        standings={number: _standing(authority, number) for number in actions},
        views={number: tally.view(number) for number in stations},
        areas={area: _sums(tally, area) for area in _areas(definition, stations)},
        results=msgspec.convert(tally.results(), type=list[_Result]),
        switches=dict(_switches(authority, definition, actions.values())),
    )


def _standing(authority: Authority, number: int) -> str:
    taken = authority.taken(number)
    return "not taken" if taken is None else authority.standing_of(taken)


def _sums(tally: Tally, area: int) -> _Area:
    sums = tally.sums(area)
    sources = [
        ((contest, cast(SourceWord, word)), own.sources[source])
        for contest, own in sorted(sums.contests.items())
        for source, word in SOURCES.items()
    ]
    return _Area(
        sums.stations,
        {key: {str(state): own.states[state] for state in STATES} for key, own in sources},
        {key: tuple(own.votes) for key, own in sources},
    )


def _switches(authority: Authority, definition: Definition, actions: Iterable[Content]) -> Iterator[Text]:
    """What is no figure; the second half only as far as the actions speak of it."""
    yield "publication", "goes on" if authority.pause is None else f"paused by decision {authority.pause}"
    for source, word in SOURCES.items():
        status = authority.status(source)
        yield f"status of {word}", "as counted" if status is None else words.word(words.STATUSES, status)
    yield "roster", authority.assignments.sha256.hex()
    for action in actions:
        match action:
            case (Action.REVOKE, int(device)):
                yield f"device {device}", "speaks" if authority.revoked_at(device) is None else "revoked"
            case (Action.ASSIGN, int(device), int(station), int(replaces)):
                for number in (device, replaces) if replaces != NONE else (device,):
                    there = authority.is_assigned(number, station)
                    yield f"device {number} at station {station}", "assigned" if there else "not assigned"
            case (Action.DEFINITION, bytes(other)):
                yield f"definition {other.hex()}", "read as ours" if authority.accepts(other) else "not read"
            case (Action.CLOSING, int(station), _):
                numbers = definition.stations if station == ALL else [station]
                closing = {at for number in numbers if (at := authority.closes_at(number)) is not None}
                where = "all stations close at" if station == ALL else f"station {station} closes at"
                yield where, " to ".join(times.write(at) for at in sorted({min(closing), max(closing)}))


def _station(number: int, definition: Definition, before: View, after: View) -> StationChange:
    counts = []
    had = {(own.contest, own.source): own for own in before.outcomes}
    has = {(own.contest, own.source): own for own in after.outcomes}
    for key in sorted(had | has):
        was, now = had.get(key), has.get(key)
        if was == now:
            continue
        contest, source = key
        choices = definition.choices[contest]
        figures = (dict(was.figures) if was else {}), (dict(now.figures) if now else {})
        counts.append(
            Count(
                contest,
                cast(SourceWord, SOURCES[source]),
                (was.state if was else "silent", now.state if now else "silent"),
                tuple(_votes(choices, was.votes if was else (), now.votes if now else ())),
                tuple(
                    Figure(code, figures[0].get(code), figures[1].get(code))
                    for code in sorted(figures[0] | figures[1])
                    if figures[0].get(code) != figures[1].get(code)
                ),
            )
        )
    lost, won = set(before.codes) - set(after.codes), set(after.codes) - set(before.codes)
    return StationChange(
        number,
        (before.cancelled, after.cancelled),
        (before.turnout.identified, after.turnout.identified),
        (tuple(sorted(lost)), tuple(sorted(won))),
        tuple(counts),
    )


def _votes(choices: Sequence[Choice], before: Sequence[int], after: Sequence[int]) -> Iterator[Votes]:
    """Choices whose votes are different; no votes at all: nothing is counted."""
    nothing = [None] * len(choices)
    for choice, was, now in zip(choices, before or nothing, after or nothing, strict=True):
        if was != now:
            yield Votes(choice.choice, was, now)


def _area(number: int, definition: Definition, before: _Area, after: _Area) -> AreaChange:
    sums = []
    for (contest, source), votes in after.votes.items():
        key = contest, source
        states = tuple(
            Stations(state, was, now)
            for (state, was), now in zip(before.states[key].items(), after.states[key].values(), strict=True)
            if was != now
        )
        different = tuple(_votes(definition.choices[contest], before.votes[key], votes))
        if states or different:
            sums.append(Sums(contest, source, states, different))
    return AreaChange(number, (before.stations, after.stations), tuple(sums))


def _results(before: Sequence[_Result], after: Sequence[_Result]) -> Iterator[Result]:
    for was, now in zip(before, after, strict=True):
        if was == now:
            continue
        yield Result(
            now.contest,
            cast(SourceWord, words.word(words.SOURCES, now.source)),
            tuple(
                Seats(new.choice, (old.share, new.share), (old.seats, new.seats))
                for old, new in zip(was.choices, now.choices, strict=True)
                if old != new
            ),
            (was.outcome.word, now.outcome.word),
            (was.outcome.choices, now.outcome.choices),
        )
