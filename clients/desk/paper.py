"""The paper: which lines a protocol has, in which order, and what its lines say together.

What lives here: pure functions between the values of lines, by their paths (`contests.1.votes.2`), and the
two forms that the box's modules know: the counts file's plain values and a report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from clients.box import words
from clients.box.report import Count, Report
from clients.wire.definition import STANDARD_FIGURES, Definition, Station

Value: TypeAlias = "int | None"
"""What a line says; None: the paper does not have it."""

CLOSED_AT: Final = "closed_at"

# The order of most protocols: from the voters to the ballots, then what was in the box.
_VOTERS: Final = ("registered", "registered_additional", "identified")
_BALLOTS: Final = (
    "ballots_received",
    "issued",
    "issued_outside",
    "issued_early",
    "spoiled",
    "cancelled",
    "lost",
    "returned_by_box",
    "in_portable_box",
    "in_box",
    "valid",
    "blank",
    "invalid",
)
# What rules compare (docs/tally.md); other lines are asked for only where this election does.
_IN_RULES: Final = (
    *_VOTERS,
    "issued",
    "issued_outside",
    "issued_early",
    "in_box",
    "valid",
    "blank",
    "invalid",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the paper.

    Attributes:
        path: of its value in a counts file.
        contest: whose it is; None: it stands once for all contests.
        code: of its figure; None: it is no figure.
        choice: whose votes it has; None: it has none.
        required: the election wants it in every protocol.
    """

    path: str
    contest: int | None = None
    code: int | None = None
    choice: int | None = None
    required: bool = False


def lines(definition: Definition, contests: Sequence[int], named: Sequence[str] = ()) -> tuple[Line, ...]:
    """The lines of a station's protocol, from top to bottom.

    Args:
        definition: says which lines the election wants and what its own are.
        contests: those of this paper, ascending.
        named: names of the figures in the order of the country's paper; empty: those that the definition's
            rules and checks look at.
    """
    rules = definition.rules
    codes = words.figures(definition)
    if named:
        order = [codes[name] for name in named]
        order += [code for code in (*rules.required_voters, *rules.required) if code not in order]
    else:
        checked = {code for check in definition.checks.values() for code in (*check.left, *check.right)}
        asked = {codes[name] for name in _IN_RULES}
        asked |= {*rules.required, *rules.required_voters, *checked, *definition.figures}
        usual = [codes[name] for name in (*_VOTERS, *_BALLOTS)]
        order = [code for code in usual if code in asked] + sorted(definition.figures)
    once = {*(STANDARD_FIGURES[name] for name in _VOTERS), *rules.required_voters}
    names = {code: name for name, code in codes.items()}
    found = [
        Line(f"figures.{names[code]}", code=code, required=code in (*rules.required_voters, *rules.required))
        for code in order
        if code in once
    ]
    for contest in contests:
        path = f"contests.{contest}"
        found += [
            Line(f"{path}.figures.{names[code]}", contest, code, required=code in rules.required)
            for code in order
            if code not in once
        ]
        found += [
            Line(f"{path}.votes.{choice.choice}", contest, choice=choice.choice, required=True)
            for choice in definition.choices[contest]
        ]
    return (*found, Line(CLOSED_AT, required=True))


def typed(paper: Sequence[Line], values: Mapping[str, Value]) -> Report:
    """A protocol of which a part is typed: `plausible.judge_typed` looks into it."""
    counts = []
    for contest in _contests(paper):
        own = [line for line in paper if line.contest == contest]
        figures = {
            line.code: value
            for line in own
            if line.code is not None and (value := values.get(line.path)) is not None
        }
        votes = []
        for line in own:
            value = values.get(line.path)
            if line.choice is not None:
                if value is None:
                    break
                votes.append(value)
        if any(line.path in values for line in own):
            counts.append(Count(contest, figures, tuple(votes)))
    voters = {
        line.code: value
        for line in paper
        if line.contest is None and line.code is not None and (value := values.get(line.path)) is not None
    }
    return Report("protocol", closed_at=values.get(CLOSED_AT), figures=voters, counts=tuple(counts))


def awaited(paper: Sequence[Line], values: Mapping[str, Value]) -> dict[int, set[int]]:
    """By contest, the codes of the figures that are still to be typed."""
    open_ = [line for line in paper if line.code is not None and line.path not in values]
    return {
        contest: {line.code for line in open_ if line.code is not None and line.contest in (None, contest)}
        for contest in _contests(paper)
    }


def counts_file(
    station: Station, paper: Sequence[Line], values: Mapping[str, Value], cause: str, corrects: str
) -> dict[str, object]:
    """The values of a counts file (docs/box.md) with these lines."""
    voters: dict[str, object] = {}
    contests: dict[str, object] = {}
    for contest in _contests(paper):
        own = [line for line in paper if line.contest == contest]
        contests[str(contest)] = {
            "figures": {_name(line): values[line.path] for line in own if line.code and _said(line, values)},
            "votes": {str(line.choice): values[line.path] for line in own if line.choice is not None},
        }
    for line in paper:
        if line.contest is None and line.code is not None and _said(line, values):
            voters[_name(line)] = values[line.path]
    file: dict[str, object] = {
        "report": "protocol",
        "station": station.station,
        CLOSED_AT: values[CLOSED_AT],
        "cause": cause,
        "figures": voters,
        "contests": contests,
    }
    return file | ({"corrects": corrects} if corrects else {})


def values_of(report: Report, definition: Definition) -> dict[str, int]:
    """What a whole protocol says, by the paths of its lines."""
    names = {code: name for name, code in words.figures(definition).items()}
    values = {f"figures.{names[code]}": value for code, value in report.figures.items()}
    for count in report.counts:
        path = f"contests.{count.contest}"
        values |= {f"{path}.figures.{names[code]}": value for code, value in count.figures.items()}
        choices = definition.choices[count.contest]
        votes = zip(choices, count.votes, strict=True)
        values |= {f"{path}.votes.{choice.choice}": value for choice, value in votes}
    return values | ({} if report.closed_at is None else {CLOSED_AT: report.closed_at})


def _name(line: Line) -> str:
    return line.path.rpartition(".")[2]


def _said(line: Line, values: Mapping[str, Value]) -> bool:
    return values[line.path] is not None


def _contests(paper: Sequence[Line]) -> list[int]:
    return sorted({line.contest for line in paper if line.contest is not None})
