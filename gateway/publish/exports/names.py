"""names.csv: what every number is called, in every language (docs/exports.md)."""

from collections.abc import Iterator
from typing import Final

from gateway import _core
from gateway.feed.exports import NAMES
from gateway.publish.exports.source import Seen, Source
from gateway.publish.exports.writing import BOM, Output, cell, line

COLUMNS: Final = ("what", "contest", "number", "within", "label", "code", "name")


def names_in(languages: list[str], own: str, shown: dict[str, str] | None) -> Iterator[tuple[str, str]]:
    """Pairs of language and name, for those languages that have one.

    Args:
        languages: the election's.
        own: the definition's name: in the first of them.
        shown: what the information has of the thing.
    """
    for place, language in enumerate(languages):
        found = ("" if shown is None else shown.get(f"name_{language}", "")) or ("" if place else own)
        if found:
            yield language, found


class NamesCsv:
    """Writes the file; the stations as they come."""

    name = NAMES

    def __init__(self, source: Source, output: Output) -> None:
        self._output = output
        self._information = information = source.information
        self._languages = source.definition.languages
        columns = (f"name_{language}" for language in self._languages)
        output.text(BOM + line(*COLUMNS, *columns))
        for area in source.definition.areas:
            shown = None if information is None else information.area(area.number)
            within = "" if area.parent is None else str(area.parent)
            self._put(("area", "", str(area.number), within, area.label, area.code), area.name, shown)
        for contest, choices in source.contests.values():
            shown = None if information is None else information.contest(contest.number)
            self._put(("contest", "", str(contest.number), "", "", ""), contest.name, shown)
            for choice in choices:
                self._choice(contest.number, choice)
        for code, figure in source.figures.items():
            shown = None if information is None else information.figure(code)
            self._put(("figure", "", str(code), "", figure.word, ""), figure.name, shown)

    def station(self, seen: Seen) -> None:
        """The row of a station."""
        station = seen.station
        shown = None if self._information is None else self._information.station(station.number)
        head = ("station", "", str(station.number), str(station.area), station.label, "")
        self._put(head, station.name, shown)

    def finish(self) -> None:
        """There is nothing behind the last station."""

    def _choice(self, contest: int, choice: _core.Choice) -> None:
        shown = None if self._information is None else self._information.choice(contest, choice.number)
        within = "" if choice.list is None else str(choice.list)
        head = ("choice", str(contest), str(choice.number), within, choice.label, choice.kind)
        self._put(head, choice.name, shown)

    def _put(self, head: tuple[str, ...], own: str, shown: dict[str, str] | None) -> None:
        known = dict(names_in(self._languages, own, shown))
        names = (known.get(language, "") for language in self._languages)
        self._output.text(line(*map(cell, (*head, own, *names))))
