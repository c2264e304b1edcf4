"""Time: a clock is a function that is passed in, an instant is an integer of ms since the Unix epoch.

What lives here: the clock's type, the one reading of the machine's clock (only `gateway.cli` passes it in),
RFC 3339 text in both directions, and the file that gives a rehearsal its own time (`clock.json`).
"""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeAlias

import msgspec

from gateway.base.errors import TallygateError

Clock: TypeAlias = Callable[[], int]

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# Above it a time no longer fits the statements' integers and datetime's years; nobody means the year 9999.
MAX_TIME = 253_402_300_799_999
# From real time to 1,000 an hour of the night passes in 3.6 s; beyond it a second of scheduling is a day.
MAX_SPEED = 100_000

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?:[Zz]|([+-])(\d\d):([0-5]\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def system_clock() -> int:
    """The machine's clock, in ms since the Unix epoch."""
    return time.time_ns() // 1_000_000


def to_datetime(at: int) -> datetime:
    """An aware datetime in UTC, exact to the millisecond.

    Args:
        at: ms since the Unix epoch, 0 to `MAX_TIME`.
    """
    return _EPOCH + timedelta(milliseconds=at)


def format_time(at: int) -> str:
    """RFC 3339 in UTC with milliseconds, e.g. ``2021-11-28T14:00:00.000Z``."""
    return to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % SECOND:03d}Z"


def parse_time(text: str, *, place: str = "") -> int:
    """Reads an RFC 3339 date and time with its offset from UTC.

    Returns:
        Milliseconds since the Unix epoch; what is finer than a millisecond is cut off.

    Raises:
        TallygateError: ``time.malformed``.
    """
    found = _RFC3339.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        fraction = (found[7] or "").ljust(6, "0")
        offset = timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0))
        year, month, day, hour, minute, second = (int(found[part]) for part in range(1, 7))
        zone = timezone(-offset if found[8] == "-" else offset)
        moment = datetime(year, month, day, hour, minute, second, int(fraction), tzinfo=zone)
        at = (moment - _EPOCH) // timedelta(milliseconds=1)
        if at < 0:
            raise ValueError(text)
    except (ValueError, OverflowError):
        raise TallygateError(
            "time.malformed",
            f"{text[:60]!r} is not a date and time with its offset from UTC; "
            "write it like 2026-11-29T20:00:00+06:00",
            place=place,
        ) from None
    return at


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From the election's instant `at` (ms) its time runs `speed` times as fast as real time."""

    at: int
    speed: int


class RehearsalClock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `clock.json`: election time is `segments[0].at` at `real_start` (RFC 3339 UTC, ms).

    `real_start` is None until the first ``tallygate serve`` sets it.
    """

    real_start: str | None
    segments: tuple[Segment, ...]

    def encode(self) -> bytes:
        """The file's bytes."""
        return msgspec.json.encode(self) + b"\n"
