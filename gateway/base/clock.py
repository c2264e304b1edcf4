"""Time: a clock is a function that is passed in, an instant is an integer of ms since the Unix epoch.

What lives here: the clock's type, the one reading of the machine's clock (only `gateway.cli` passes it in),
RFC 3339 text in both directions, and the file that gives a rehearsal its own time (`clock.json`).
"""

import re
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Final, Self, TypeAlias

import msgspec

from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded, write_durably

Clock: TypeAlias = Callable[[], int]

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# Above it a time no longer fits the statements' integers and datetime's years; nobody means the year 9999.
MAX_TIME = 253_402_300_799_999
# From real time to 1,000 an hour of the night passes in 3.6 s; beyond it a second of scheduling is a day.
MAX_SPEED = 100_000

# Changes of speed in one night; a demonstration has three or four.
MAX_SEGMENTS: Final = 1_000
# Bytes of clock.json: a segment has at most 50.
_MAX_FILE: Final = 65_536

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


def read_clock(path: Path) -> RehearsalClock:
    """Reads `clock.json`.

    Raises:
        TallygateError: ``clock.malformed``, ``file.too_large``.
        OSError: it cannot be read.
    """
    try:
        clock = msgspec.json.decode(read_bounded(path, _MAX_FILE), type=RehearsalClock)
        if fault := _fault(clock):
            raise ValueError(fault)
    except ValueError as error:  # msgspec's errors are of this class
        raise TallygateError(
            "clock.malformed",
            f"this is no rehearsal clock: {error}; it looks like "
            '{"real_start":null,"segments":[{"at":1638107100000,"speed":1}]} (at in ms, ascending)',
            place=str(path),
        ) from None
    return clock


def start_clock(path: Path, now: int) -> RehearsalClock:
    """Starts a rehearsal's time, unless it runs already; two that do so at once must be kept apart.

    Args:
        path: `clock.json`.
        now: real time, ms.

    Raises:
        TallygateError: as `read_clock`.
        OSError: it cannot be read or replaced.
    """
    clock = read_clock(path)
    if clock.real_start is None:
        clock = RehearsalClock(format_time(now), clock.segments)
        write_durably(path, clock.encode())
    return clock


_REAL_TIME: Final = (Segment(0, 1),)


class ElectionClock:
    """The election's time, a `Clock`: the machine's, or in a rehearsal what runs beside it.

    Before `started` (the machine's clock was put back) it stands still; it never passes `MAX_TIME`.

    Args:
        real: the machine's clock.
        started: real time at which election time was that of the first segment, ms.
        segments: by ascending `at`; the default is real time itself.
    """

    def __init__(self, real: Clock, started: int = 0, segments: Sequence[Segment] = _REAL_TIME) -> None:
        self._real = real
        self._started = started
        # Real ms after the start at which each segment begins, to the ms that is not too early.
        begin = 0
        self._begins = [begin]
        for segment, following in pairwise(segments):
            begin += -(-(following.at - segment.at) // segment.speed)
            self._begins.append(begin)
        self._segments = tuple(segments)

    @classmethod
    def of(cls, rehearsal: RehearsalClock, real: Clock) -> Self:
        """The clock of a rehearsal that was started.

        Raises:
            ValueError: it was not.
        """
        if rehearsal.real_start is None:
            raise ValueError("this rehearsal's time does not run yet")
        return cls(real, parse_time(rehearsal.real_start), rehearsal.segments)

    def __call__(self) -> int:
        """The election's time, ms since the Unix epoch."""
        elapsed = max(0, self._real() - self._started)
        place = bisect_right(self._begins, elapsed) - 1
        segment = self._segments[place]
        return min(segment.at + (elapsed - self._begins[place]) * segment.speed, MAX_TIME)

    @property
    def speed(self) -> int:
        """How many times as fast as real time it runs now."""
        elapsed = max(0, self._real() - self._started)
        return self._segments[bisect_right(self._begins, elapsed) - 1].speed

    def real_seconds_until(self, at: int) -> float:
        """Seconds of real time until the election's clock shows `at`; 0.0 where it does."""
        if self() >= at:
            return 0.0
        place = max(0, bisect_right(self._segments, at, key=lambda segment: segment.at) - 1)
        segment = self._segments[place]
        due = self._begins[place] + -(-(at - segment.at) // segment.speed)
        return max(0, self._started + due - self._real()) / SECOND


def _fault(clock: RehearsalClock) -> str | None:
    if clock.real_start is not None and not _is_written_time(clock.real_start):
        return "real_start is RFC 3339 in UTC with milliseconds, or null"
    if not 1 <= len(clock.segments) <= MAX_SEGMENTS:
        return f"it has 1 to {MAX_SEGMENTS:,} segments"
    for segment in clock.segments:
        if not (0 <= segment.at <= MAX_TIME and 1 <= segment.speed <= MAX_SPEED):
            return f"at is 0 to {MAX_TIME}, speed 1 to {MAX_SPEED}"
    if any(one.at >= following.at for one, following in pairwise(clock.segments)):
        return "each segment begins after the one before it"
    return None


def _is_written_time(text: str) -> bool:
    try:
        return format_time(parse_time(text)) == text
    except TallygateError:
        return False
