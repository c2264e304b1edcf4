"""The numbers of an area as one flat table, and what a station adds to them (docs/tally.md, "Area").

What lives here: the arithmetic of the gate, on objects that were read back from bytes. It shares nothing with
the tally. A table maps a key, words and numbers that say what is counted, to a number; what is 0 may be left
out. Tables are compared by their differences, so that a snapshot costs what has changed.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias, TypeVar

from gateway.feed.objects import Area, Row, RowT, StationTurnout, Sums

Key: TypeAlias = tuple[str | int, ...]
Table: TypeAlias = dict[Key, int]
_Name = TypeVar("_Name", int, str)

# First words of the keys that rows do not have: they come from the stations' objects.
TURNOUT: Final = frozenset({"identified", "hour"})

COUNTED: Final = frozenset({"reported", "disputed"})

_SOURCES: Final = {1: "machine", 2: "protocol"}


class Electorate(NamedTuple):
    """What the definition says of a station: registered voters, where known, and its contests."""

    registered: int | None
    contests: Sequence[int]


def words(key: Key) -> str:
    """A key for people."""
    return " ".join(str(part) for part in key)


def of_area(area: Area[RowT]) -> Table:
    """The table of an area's object.

    Raises:
        ValueError: something in it stands twice, or not in its order.
    """
    turnout = area.turnout
    _ascend("turnout.hours", [hour for hour, _, _ in turnout.hours])
    _ascend("flags", [code for code, _ in area.flags])
    _ascend("contests", [contest.contest for contest in area.contests])
    table: Table = {
        ("stations",): area.stations,
        ("opened",): area.opened,
        ("cancelled",): area.cancelled,
        ("registered", "sum"): turnout.registered[0],
        ("registered", "stations"): turnout.registered[1],
        ("identified", "sum"): turnout.identified,
        ("identified", "stations"): turnout.stations,
    }
    for hour, identified, stations in turnout.hours:
        table["hour", hour, "sum"] = identified
        table["hour", hour, "stations"] = stations
    for code, stations in area.flags:
        table["flag", code] = stations
    for contest in area.contests:
        number = contest.contest
        table["contest", number, "stations"] = contest.stations
        table["contest", number, "registered", "sum"] = contest.registered[0]
        table["contest", number, "registered", "stations"] = contest.registered[1]
        _add_sums(table, number, "machine", contest.machine)
        _add_sums(table, number, "protocol", contest.protocol)
    return table


def _ascend(member: str, names: Sequence[_Name]) -> None:
    if any(one >= other for one, other in pairwise(names)):
        raise ValueError(f"{member} do not ascend")


def _add_sums(table: Table, contest: int, source: str, sums: Sums) -> None:
    _ascend(f"figures of contest {contest}", [code for code, _, _ in sums.figures])
    table[contest, source, "silent"] = sums.silent
    table[contest, source, "partial"] = sums.partial
    table[contest, source, "reported"] = sums.reported
    table[contest, source, "held"] = sums.held
    table[contest, source, "disputed"] = sums.disputed
    table[contest, source, "annulled"] = sums.annulled
    table[contest, source, "counted"] = sums.counted
    table[contest, source, "registered", "sum"] = sums.registered[0]
    table[contest, source, "registered", "stations"] = sums.registered[1]
    for code, total, stations in sums.figures:
        table[contest, source, "figure", code, "sum"] = total
        table[contest, source, "figure", code, "stations"] = stations
    for place, votes in enumerate(sums.votes):
        table[contest, source, "votes", place] = votes


def of_row(row: Row, electorate: Electorate) -> Table:
    """What a station adds to the area that it stands in, but for its turnout."""
    if row.cancelled:
        return {("cancelled",): 1}
    registered, known = (0, 0) if electorate.registered is None else (electorate.registered, 1)
    table: Table = {
        ("stations",): 1,
        ("opened",): row.opened,
        ("registered", "sum"): registered,
        ("registered", "stations"): known,
    }
    for code in row.codes:
        table["flag", code] = 1
    for contest in electorate.contests:
        table["contest", contest, "stations"] = 1
        table["contest", contest, "registered", "sum"] = registered
        table["contest", contest, "registered", "stations"] = known
        table[contest, "machine", "silent"] = 1
        table[contest, "protocol", "silent"] = 1
    for count in row.counts:
        of = (count.contest, _SOURCES[count.source])
        table[*of, "silent"] = 0
        table[*of, count.state] = 1
        if count.state in COUNTED:
            table[*of, "counted"] = 1
            table[*of, "registered", "sum"] = registered
            table[*of, "registered", "stations"] = known
            for figure, value in count.figures:
                table[*of, "figure", figure, "sum"] = value
                table[*of, "figure", figure, "stations"] = 1
            for place, value in enumerate(count.votes):
                table[*of, "votes", place] = value
    return table


def of_turnout(turnout: StationTurnout) -> Table:
    """What an expected station adds to the turnout of the area that it stands in."""
    table: Table = {}
    if turnout.identified is not None:
        table["identified", "sum"] = turnout.identified
        table["identified", "stations"] = 1
    for hour, identified in turnout.hours:
        table["hour", hour, "sum"] = identified
        table["hour", hour, "stations"] = 1
    return table


def difference(new: Table, old: Table) -> Table:
    """What was added from `old` to `new`, negative where less is there; without what stayed."""
    if not old:
        return {key: value for key, value in new.items() if value}
    changed = {key: value - old.get(key, 0) for key, value in new.items() if value != old.get(key, 0)}
    gone = {key: -value for key, value in old.items() if value and key not in new}
    return changed | gone


def add(table: Table, other: Table, sign: int = 1) -> None:
    """Adds a table to another in place."""
    for key, value in other.items():
        table[key] = table.get(key, 0) + sign * value


def first_difference(one: Table, other: Table) -> Key | None:
    """A key under which two tables have different numbers; None: there is none."""
    keys = one.keys() | other.keys()
    differing = [key for key in keys if one.get(key, 0) != other.get(key, 0)]
    return min(differing, key=words, default=None)


def worst(row: Row, electorate: Electorate, headline: int) -> str:
    """The state of an expected station in `progress`: the worst among its headline counts."""
    states = {count.contest: count.state for count in row.counts if count.source == headline}
    found = {states.get(contest, "silent") for contest in electorate.contests} - {"annulled"}
    if not found:
        return "annulled"
    for state in ("held", "disputed"):
        if state in found:
            return state
    if found == {"silent"}:
        return "silent"
    return "partial" if found & {"partial", "silent"} else "reported"
