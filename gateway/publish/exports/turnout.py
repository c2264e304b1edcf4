"""turnout.csv: a row for every station and hour that has a number (docs/exports.md)."""

from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from gateway.base.clock import format_time, parse_time, to_datetime
from gateway.feed.exports import TURNOUT
from gateway.feed.objects import StationTurnout
from gateway.publish.exports.results import place_cells, station_cells
from gateway.publish.exports.source import Seen, Source
from gateway.publish.exports.writing import BOM, Output, line

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
    "registered",
    "hour",
    "identified",
    "local",
)


class _WithTurnout(msgspec.Struct, frozen=True):
    """What is wanted of a station's object."""

    turnout: StationTurnout


_WITH_TURNOUT: Final = msgspec.json.Decoder(_WithTurnout)


class TurnoutCsv:
    """Writes the file, station by station."""

    name = TURNOUT

    def __init__(self, source: Source, output: Output) -> None:
        self._output = output
        self._snapshot = source.number
        self._until = parse_time(source.latest.published_at)
        self._zone = source.definition.timezone
        self._places = {number: place_cells(place) for number, place in source.places.items()}
        self._hours: dict[tuple[int, str], tuple[str, str]] = {}
        output.text(BOM + line(*COLUMNS))

    def station(self, seen: Seen) -> None:
        """The rows of a station; a cancelled one has none."""
        if seen.data is None or seen.row.cancelled:
            return
        hours = _WITH_TURNOUT.decode(seen.data).turnout.hours
        if not hours:
            return
        station = seen.station
        head = f"{self._snapshot},{self._places[station.area]},{station_cells(station)}"
        registered = "" if station.registered is None else station.registered
        zone = station.timezone or self._zone
        parts: list[str] = []
        for hour, identified in hours:
            if hour <= self._until:
                at, local = self._written(hour, zone)
                parts.append(f"{head},{registered},{at},{identified},{local}\n")
        self._output.text("".join(parts))

    def finish(self) -> None:
        """There is nothing behind the last station."""

    def _written(self, hour: int, zone: str) -> tuple[str, str]:
        """An hour in UTC and by the station's clocks."""
        found = self._hours.get((hour, zone))
        if found is None:
            try:
                local = to_datetime(hour).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")
            except (ZoneInfoNotFoundError, ValueError):  # a machine without this zone
                local = ""
            found = self._hours[hour, zone] = format_time(hour), local
        return found
