"""Shares and turnout of any area's contest, from the integers of its object.

docs/tally.md has the rules under "From the integers". The snapshot has these figures for the root alone;
for pages of areas below it the core calculates them the same way.
"""

from typing import NamedTuple

from gateway import _core
from gateway.base.errors import CoreError
from gateway.feed.models import SourceWord
from gateway.feed.objects import ContestSums, Sums


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
    sums = contest.machine if source == "machine" else contest.protocol
    try:
        base, shares, turnout = _core.shares(
            definition, contest.contest, sums.counted, sums.registered, sums.figures, sums.votes
        )
    except CoreError:
        return None
    choices = zip(definition.choices(contest.contest), sums.votes, shares, strict=True)
    rows = tuple(ChoiceFigures(choice, votes, share) for choice, votes, share in choices)
    return ContestFigures(contest.contest, contest.stations, sums, base, rows, turnout)
