"""A results folder: what the boxes of a rehearsal will count (docs/fleet.md).

``contest-<number>.csv`` has a line a station: figures by their names, votes by the choices' numbers;
``protocol-<number>.csv`` has the same for the paper. Nothing is corrected: what does not add up here will not
add up in the packet either.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from clients.box import words
from clients.fleet.table import STATION, Row, Table
from clients.wire.definition import STANDARD_FIGURES, Definition
from clients.wire.errors import WireError

_VALID: Final = STANDARD_FIGURES["valid"]
# Figures that say how many voters came, the most exact first.
_CAME: Final = tuple(STANDARD_FIGURES[name] for name in ("identified", "issued", "in_box"))


@dataclass(frozen=True, slots=True)
class Count:
    """One contest at one station.

    Attributes:
        contest: its number.
        figures: by code; at least one.
        votes: in ascending choice number.
    """

    contest: int
    figures: Mapping[int, int]
    votes: Sequence[int]


Counts: TypeAlias = Sequence[Count]


@dataclass(frozen=True, slots=True)
class Results:
    """What a folder holds.

    Attributes:
        machine: each station's counts by contest, ascending.
        protocol: the same for the paper.
    """

    machine: Mapping[int, Counts]
    protocol: Mapping[int, Counts]


def read(folder: Path, definition: Definition) -> Results:
    """Read a results folder.

    Raises:
        WireError: `results.malformed` with its place; `results.none` if the folder has no counts;
            `file.unreadable`, `file.too_large`.
    """
    machine, protocol = (_read(folder, name, definition) for name in ("contest", "protocol"))
    if not machine and not protocol:
        raise WireError(
            "results.none",
            "there is no contest-<number>.csv with a station in it; --results names the folder that has them",
            file=str(folder),
        )
    return Results(machine, protocol)


def turnout(counts: Counts, definition: Definition) -> int:
    """How many voters came, as far as a station's counts say it."""
    for code in _CAME:
        found = [count.figures[code] for count in counts if code in count.figures]
        if found:
            return max(found)
    papers = [
        -(-main_votes(count, definition) // definition.contests[count.contest].marks) for count in counts
    ]
    return max(papers, default=0)


def main_votes(count: Count, definition: Definition) -> int:
    """Σ votes without preferences."""
    choices = definition.choices[count.contest]
    return sum(votes for votes, choice in zip(count.votes, choices, strict=True) if choice.list is None)


def _read(folder: Path, prefix: str, definition: Definition) -> Mapping[int, Counts]:
    found: defaultdict[int, list[Count]] = defaultdict(list)
    for contest in definition.contests:
        path = folder / f"{prefix}-{contest}.csv"
        if path.exists():
            for station, count in _read_contest(path, contest, definition).items():
                found[station].append(count)
    return found


def _read_contest(path: Path, contest: int, definition: Definition) -> Mapping[int, Count]:
    table = Table(path)
    codes = words.figures(definition)
    choices = [str(choice.choice) for choice in definition.choices[contest]]
    for column in (STATION, *choices):
        if column not in table.columns:
            raise table.refusal(column, "this column is missing")
    names = [column for column in table.columns if column != STATION and column not in choices]
    for name in names:
        if name not in codes:
            raise table.refusal(name, f"contest {contest} has no choice and no figure of this name")
    found: dict[int, Count] = {}
    for row in table:
        station = row.station(definition)
        if contest not in definition.stations[station].contests:
            raise row.malformed(STATION, f"station {station} does not vote on contest {contest}")
        if station in found:
            raise row.malformed(STATION, f"station {station} stands here twice")
        votes = [row.number(choice) for choice in choices]
        found[station] = _count(contest, _figures(row, names, codes), votes, definition)
    return found


def _figures(row: Row, names: Sequence[str], codes: Mapping[str, int]) -> Mapping[int, int]:
    values = {codes[name]: row.number_or_none(name) for name in names}
    return {code: value for code, value in sorted(values.items()) if value is not None}


def _count(contest: int, figures: Mapping[int, int], votes: Sequence[int], definition: Definition) -> Count:
    count = Count(contest, figures, votes)
    # A count has at least one figure. Where only votes are known, this one says nothing new.
    return count if figures else Count(contest, {_VALID: main_votes(count, definition)}, votes)
