"""The election's time in a rehearsal: a night's `clock.json`, read as the gateway reads it.

Election time is the first segment's `at` when the rehearsal starts, and runs at a segment's speed until the
next one begins.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final

import msgspec
import trio

from clients import files
from clients.box import times
from clients.wire.errors import WireError
from clients.wire.text import MAX_NUMBER

CLOCK: Final = "clock.json"
# Bytes: a thousand changes of speed, which no rehearsal has.
_MAX_CLOCK_BYTES = 65_536
_SECOND = 1000

_AT = msgspec.Meta(ge=0, le=MAX_NUMBER)
_SPEED = msgspec.Meta(ge=1, le=MAX_NUMBER)


class Segment(msgspec.Struct, frozen=True):
    """From the election's instant `at` (ms) its time runs `speed` times as fast as real time."""

    at: Annotated[int, _AT]
    speed: Annotated[int, _SPEED]


class _File(msgspec.Struct, frozen=True):
    real_start: str | None
    segments: Annotated[tuple[Segment, ...], msgspec.Meta(min_length=1)]


def read(path: Path) -> tuple[int, Sequence[Segment]] | None:
    """Read `clock.json`.

    Returns:
        When the rehearsal has started (real time, ms) and its segments; None: it has not.

    Raises:
        WireError: `clock.malformed`, `file.unreadable`, `file.too_large`.
    """
    data = files.read(path, _MAX_CLOCK_BYTES, "a rehearsal's clock")
    try:
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(path, str(error)) from error
    if any(one.at >= following.at for one, following in pairwise(file.segments)):
        raise _malformed(path, "each segment begins after the one before it")
    if file.real_start is None:
        return None
    started = times.parse(file.real_start)
    if started is None:
        raise _malformed(path, "real_start is no time in RFC 3339")
    return started, file.segments


def _malformed(path: Path, detail: str) -> WireError:
    return WireError("clock.malformed", f"this is no rehearsal's clock: {detail}", file=str(path))


class ElectionClock:
    """The election's time, and waiting for it.

    Args:
        real: real time, ms since the Unix epoch.
        started: when the rehearsal has started, by `real`.
        segments: by ascending `at`, at least one.
    """

    def __init__(self, real: Callable[[], int], started: int, segments: Sequence[Segment]) -> None:
        self.real = real
        self._started = started
        self._segments = segments
        # Real ms after the start at which each segment begins; never too early.
        begin = 0
        self._begins = [begin]
        for segment, following in pairwise(segments):
            begin += -(-(following.at - segment.at) // segment.speed)
            self._begins.append(begin)

    def now(self) -> int:
        """The election's time, ms since the Unix epoch."""
        elapsed = max(0, self.real() - self._started)
        place = bisect_right(self._begins, elapsed) - 1
        segment = self._segments[place]
        return segment.at + (elapsed - self._begins[place]) * segment.speed

    def real_at(self, at: int) -> int:
        """The first ms of real time at which the election's clock shows `at` or more."""
        if at <= self._segments[0].at:
            return self._started
        place = bisect_right(self._segments, at, key=lambda segment: segment.at) - 1
        segment = self._segments[place]
        due = self._begins[place] + -(-(at - segment.at) // segment.speed)
        return self._started + due

    async def until(self, at: int) -> None:
        """Wait until the election's clock shows `at`."""
        # Real time may be set back while somebody waits for it: ask again.
        while (wait := self.real_at(at) - self.real()) > 0:  # noqa: ASYNC110
            await trio.sleep(wait / _SECOND)
