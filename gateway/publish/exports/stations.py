"""results.ndjson: a line a station: who it is, and its object as the tally made it (docs/exports.md)."""

from collections.abc import Mapping
from typing import Final

from gateway import _core
from gateway.feed.exports import STATIONS
from gateway.publish.exports.source import Place, Seen, Source
from gateway.publish.exports.writing import Output

# What stands for the object, in the place where it belongs: it is put in as it is.
_HOLE: Final = b'"tally":null,'


class ResultsNdjson:
    """Writes the file, station by station."""

    name = STATIONS

    def __init__(self, source: Source, output: Output) -> None:
        self._output = output
        self._latest = source.latest
        self._ways = {number: _way(source.places, place) for number, place in source.places.items()}

    def station(self, seen: Seen) -> None:
        """The line of a station."""
        station = seen.station
        head = _core.canonical_json(
            {
                "areas": self._ways[station.area],
                "cancelled": seen.row.cancelled,
                "contests": station.contests,
                "definition": self._latest.definition,
                "label": station.label,
                "name": station.name,
                "opened": seen.row.opened,
                "registered": station.registered,
                "snapshot": self._latest.snapshot,
                "station": station.number,
                "tally": None,
                "type": station.kind,
            }
        )
        data = b"null" if seen.data is None else seen.data
        # Texts have their quotation marks escaped: this stands nowhere else.
        self._output.write(head.replace(_HOLE, b'"tally":%b,' % data) + b"\n")

    def finish(self) -> None:
        """There is nothing behind the last station."""


def _way(places: Mapping[int, Place], place: Place) -> list[int]:
    """The areas from the root to this one."""
    way = [place.area.number]
    at = place.area
    while at.parent is not None:
        way.append(at.parent)
        at = places[at.parent].area
    return way[::-1]
