"""Shares and turnout of any area's contest, from the integers of its object.

docs/tally.md has the rules under "From the integers". The snapshot has these figures for the root alone;
pages of areas below it calculate them the same way.
"""

from typing import NamedTuple

from gateway import _core
from gateway.feed.models import SourceWord
from gateway.feed.objects import MAX_NUMBER, ContestSums, Sums

# Hundredths of a percent, doubled so that a half is rounded up.
_SCALE = 20_000

_IN_BOX, _VALID = 9, 11


class ChoiceFigures(NamedTuple):
    """A choice with its votes; `share` in hundredths of a percent."""

    choice: _core.Choice
    votes: int
    share: int | None


class ContestFigures(NamedTuple):
    """A contest of an area in one source; shares are of `base`, `turnout` is in hundredths of a percent."""

    contest: int
    stations: int
    sums: Sums
    base: int | None
    choices: tuple[ChoiceFigures, ...]
    turnout: int | None


def contest_figures(
    definition: _core.Definition, contest: ContestSums, source: SourceWord
) -> ContestFigures | None:
    """What a page says about a contest; None: the definition does not fit the object."""
    about = definition.contest(contest.contest)
    choices = () if about is None else definition.choices(contest.contest)
    sums = contest.machine if source == "machine" else contest.protocol
    if about is None or len(choices) != len(sums.votes):
        return None
    base = _base(about, choices, sums)
    rows = tuple(
        ChoiceFigures(choice, votes, _share(votes, base))
        for choice, votes in zip(choices, sums.votes, strict=True)
    )
    return ContestFigures(
        contest.contest, contest.stations, sums, base, rows, _share(_figure(sums, _IN_BOX), _registered(sums))
    )


def _base(
    about: _core.Contest, choices: tuple[_core.Choice, ...] | list[_core.Choice], sums: Sums
) -> int | None:
    match about.share_of:
        case "votes":
            return sum(
                votes for choice, votes in zip(choices, sums.votes, strict=True) if choice.list is None
            )
        case "registered":
            return _registered(sums)
        case "in_box":
            return _figure(sums, _IN_BOX)
        case "valid":
            return _figure(sums, _VALID)


def _figure(sums: Sums, code: int) -> int | None:
    """A figure's sum where every counted station has it."""
    found = next(((total, number) for one, total, number in sums.figures if one == code), (0, 0))
    return found[0] if found[1] == sums.counted else None


def _registered(sums: Sums) -> int | None:
    total, number = sums.registered
    return total if number == sums.counted else None


def _share(part: int | None, base: int | None) -> int | None:
    if part is None or not base:
        return None
    return min((_SCALE * part + base) // (2 * base), MAX_NUMBER)
