"""Times as a paper has them: hours and minutes of the station's own clock, near its closing."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from clients.box import times
from clients.wire.definition import Station

# A count is closed after the polls, at the latest some twenty hours later; a mistake shows an earlier time.
_EARLIER: Final = timedelta(hours=4)
_CLOCK = re.compile(r"([01]?\d|2[0-3])[:.]([0-5]\d)", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse(text: str, station: Station) -> int | None:
    """The instant in ms that `20:04`, `20.04` or an RFC 3339 time names at a station; None: it names none."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return times.parse(text)
    zone = ZoneInfo(station.timezone)
    earliest = _local(station.closes_at, zone) - _EARLIER
    named = earliest.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
    return times.from_datetime(named if named >= earliest else named + timedelta(days=1))


def write(at: int, station: Station) -> str:
    """An instant as the station's clock shows it."""
    return _local(at, ZoneInfo(station.timezone)).strftime("%H:%M, %d.%m.%Y")


def _local(at: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(milliseconds=at)).astimezone(zone)
