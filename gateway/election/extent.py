"""How many bytes the public objects of an election can grow to, whatever anybody reports.

What lives here: an upper bound for each area's object and for latest.json (docs/tally.md, "Area";
docs/feed.md), from the definition alone. Readers take no file above `MAX_OBJECT_BYTES`, and the publisher's
gate lets none out: an election whose objects could come there must be refused before the night, not in it.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.election.cells import STANDARD_FIGURES, Cells, Known
from gateway.election.faults import Code, Faults
from gateway.election.geography import AREAS
from gateway.election.limits import MAX_NUMBER, MAX_OBJECT_BYTES, MAX_REGISTERED
from gateway.election.model import Area, Check, Choice, Contest, Figure, Settings, Station

_HOUR: Final = 3_600_000
# Hours of the turnout that an object has at most (docs/tally.md, "Limits").
_MAX_HOURS: Final = 744

# Characters of the largest number that can stand anywhere, and of a packet's figure or votes (rule H100).
_NUMBER: Final = len(str(MAX_NUMBER))
_VALUE: Final = len(str(MAX_REGISTERED))
# Codes of rules without the national checks: H100 to H108, S201 to S213; one is quoted, with a comma.
_CODES: Final = 22
_CODE: Final = len('"S214.",') + _NUMBER
# An object's format, hash of the definition, names of members and brackets; the same of latest.json.
_OBJECT: Final = 1_024
_LATEST: Final = 4_096
# The names of a contest's members and states, and their numbers, without figures and votes, for one source.
_SUMS: Final = 512
# The same of a source in `results`; of a choice there, with its threshold and its place in the outcome.
_RESULT: Final = 512
_CHOICE: Final = 160
# Of one of the root's areas: hash, names, eleven numbers, without hours.
_CHILD: Final = 512
_AREA: Final = _NUMBER + 72
# A row without codes and counts; a count without figures and votes; what a row's figure has beside numbers.
_ROW: Final = 3 * _NUMBER
_COUNT: Final = _NUMBER + 32
_PUNCTUATION: Final = 4


def judge_extent(
    settings: Settings,
    areas: Sequence[Area],
    contests: Sequence[Contest],
    choices: Sequence[Choice],
    stations: Sequence[Station],
    figures: Sequence[Figure],
    checks: Sequence[Check],
    known: Known,
    faults: Faults,
) -> None:
    """Every public object stays below what readers take, at its largest.

    Args:
        settings: the election's times.
        areas: all of them; one is the root.
        contests: all of them.
        choices: all of them.
        stations: all of them.
        figures: the national ones.
        checks: the national ones.
        known: the lines of areas.csv.
        faults: gets ``definition.wide_area`` at the areas that are too wide.
    """
    cells = Cells(AREAS.file, faults)
    extent = Extent(settings, contests, choices, len(figures), len(checks), stations)
    below = Counter(area.parent for area in areas)
    # Stations by their contests: a country has as many kinds of them as of ballot papers.
    rows: dict[int, Counter[tuple[int, ...]]] = defaultdict(Counter)
    for station in stations:
        rows[station.area][station.contests] += 1
    for area in areas:
        number = area.area
        size = extent.area(below[number], rows[number])
        if not area.parent:
            size = max(size, extent.latest(below[number], rows[number]))
        if size > MAX_OBJECT_BYTES:
            holds = f"{below[number]} areas" if below[number] else f"{rows[number].total()} stations"
            what = "the country's page" if not area.parent else "its page"
            detail = (
                f"area {number} holds {holds} side by side: {what} could grow to {size >> 20} MiB, and "
                f"readers take {MAX_OBJECT_BYTES >> 20}: put a level of areas between"
            )
            cells.fault(Code.WIDE_AREA, detail, known.lines[number], "area")


class Extent:
    """The bounds of one election.

    Args:
        settings: its times.
        contests: all of them.
        choices: all of them.
        figures: how many lines of their own the country's protocols have.
        checks: how many equations of its own the country has.
        stations: all of them.
    """

    def __init__(
        self,
        settings: Settings,
        contests: Sequence[Contest],
        choices: Sequence[Choice],
        figures: int,
        checks: int,
        stations: Sequence[Station],
    ) -> None:
        last = max((station.closes_at for station in stations), default=settings.closes_at)
        hours = min(_MAX_HOURS, max(0, math.ceil((last - settings.opens_at) / _HOUR)) + 1)
        self._hours = hours * 3 * (_NUMBER + 1)
        self._codes = (_CODES + checks) * _CODE
        self._flags = (_CODES + checks) * (_CODE + _NUMBER + _PUNCTUATION)
        lines = len(STANDARD_FIGURES) + figures
        row_figures = lines * (_NUMBER + _VALUE + _PUNCTUATION)
        sum_figures = lines * 3 * (_NUMBER + 1)
        of = Counter(choice.contest for choice in choices)
        # Both sources.
        self._counts = {
            contest.contest: 2 * (_COUNT + row_figures + of[contest.contest] * (_VALUE + 1))
            for contest in contests
        }
        self._sums = sum(
            2 * (_SUMS + sum_figures + of[contest.contest] * (_NUMBER + 1)) for contest in contests
        )
        self._results = sum(2 * (_RESULT + of[contest.contest] * _CHOICE) for contest in contests)

    def area(self, areas: int, rows: Mapping[tuple[int, ...], int]) -> int:
        """Bytes of the object of an area with so many areas, or with such stations."""
        row_bytes = sum(
            stations * (_ROW + self._codes + sum(self._counts.get(contest, 0) for contest in contests))
            for contests, stations in rows.items()
        )
        return _OBJECT + self._hours + self._flags + self._sums + areas * _AREA + row_bytes

    def latest(self, areas: int, rows: Mapping[tuple[int, ...], int]) -> int:
        """Bytes of latest.json, if these are right below the root."""
        return _LATEST + self.area(areas, rows) + self._results + areas * (_CHILD + self._hours)
