"""results.csv: a row for every station, contest, source and figure or choice (docs/exports.md)."""

from collections.abc import Mapping
from typing import Final

from gateway import _core
from gateway.feed.exports import RESULTS
from gateway.feed.objects import RowCount
from gateway.publish.exports.source import COUNTED, SOURCES, Place, Seen, Source
from gateway.publish.exports.writing import BOM, Output, cell, line

COLUMNS: Final = (
    "snapshot",
    "region",
    "region_name",
    "area",
    "area_label",
    "area_name",
    "station",
    "station_label",
    "station_name",
    "contest",
    "contest_name",
    "source",
    "status",
    "state",
    "what",
    "code",
    "label",
    "name",
    "value",
)
# Of a row that says how a station stands, and no number.
_NOTHING: Final = ",,,,\n"


def place_cells(place: Place) -> str:
    """Region and area, as every table of stations has them."""
    area, region = place
    named = ("", "") if region is None else (str(region.number), cell(region.name))
    return ",".join((*named, str(area.number), cell(area.label), cell(area.name)))


def station_cells(station: _core.Station) -> str:
    """The station, likewise."""
    return f"{station.number},{cell(station.label)},{cell(station.name)}"


def what_is(choice: _core.Choice) -> str:
    """Whether a choice's votes are votes of the ballot, or for somebody on a list."""
    return "votes" if choice.list is None else "preference"


class ResultsCsv:
    """Writes the file, station by station."""

    name = RESULTS

    def __init__(self, source: Source, output: Output) -> None:
        self._output = output
        self._snapshot = source.number
        self._places = {number: place_cells(place) for number, place in source.places.items()}
        self._contests = {
            number: f"{number},{cell(contest.contest.name)}" for number, contest in source.contests.items()
        }
        self._sources = {number: f"{word},{source.status(number)}" for number, word in SOURCES.items()}
        self._figures = {
            code: f"figure,{code},{figure.word},{cell(figure.name)},"
            for code, figure in source.figures.items()
        }
        self._choices: Mapping[int, tuple[str, ...]] = {
            number: tuple(
                f"{what_is(choice)},{choice.number},{cell(choice.label)},{cell(choice.name)},"
                for choice in contest.choices
            )
            for number, contest in source.contests.items()
        }
        output.text(BOM + line(*COLUMNS))

    def station(self, seen: Seen) -> None:
        """The rows of a station."""
        station, row = seen.station, seen.row
        head = f"{self._snapshot},{self._places[station.area]},{station_cells(station)}"
        counts = {(count.contest, count.source): count for count in row.counts}
        parts: list[str] = []
        for contest in station.contests:
            for number, words in self._sources.items():
                count = counts.get((contest, number))
                state = "cancelled" if row.cancelled else "silent" if count is None else count.state
                start = f"{head},{self._contests[contest]},{words},{state},"
                if count is None or row.cancelled or count.state not in COUNTED:
                    parts.append(start + _NOTHING)
                else:
                    parts += self._numbers(start, count)
        self._output.text("".join(parts))

    def _numbers(self, start: str, count: RowCount) -> list[str]:
        figures = [f"{start}{self._figures[code]}{value}\n" for code, value in count.figures]
        choices = zip(self._choices[count.contest], count.votes, strict=True)
        return figures + [f"{start}{choice}{votes}\n" for choice, votes in choices]

    def finish(self) -> None:
        """There is nothing behind the last station."""
