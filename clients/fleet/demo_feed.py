"""What the demonstration reads in the feed while the night goes on: the newest snapshot, again and again.

Only figures for the board are read here, as any website reads them, and nothing is checked: what is true is
the observer's business, and he has the last word.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from clients import files
from clients.wire.errors import WireError

# Bytes of a snapshot (docs/feed.md).
_MAX_SNAPSHOT: Final = 16 * 1024 * 1024
# The sources (docs/tally.md): the boxes' count, and the commissions' paper.
_MACHINE: Final = 1
_PROTOCOL: Final = 2


class Progress(msgspec.Struct, frozen=True):
    """Stations of the country by the worst state among their contests."""

    stations: int
    opened: int
    reported: int
    held: int
    disputed: int
    partial: int
    silent: int

    @property
    def counted(self) -> int:
        """Stations whose figures are in all sums."""
        return self.reported + self.disputed

    @property
    def heard(self) -> int:
        """Stations whose result has arrived, good or not."""
        return self.counted + self.held


class Votes(msgspec.Struct, frozen=True):
    """A choice's votes and share (hundredths of a percent) so far."""

    choice: int
    votes: int
    share: int | None


class Result(msgspec.Struct, frozen=True):
    """A contest in one source."""

    contest: int
    source: int
    choices: tuple[Votes, ...]
    turnout: int | None


class _Log(msgspec.Struct, frozen=True):
    size: int


class _Turnout(msgspec.Struct, frozen=True):
    identified: int
    stations: int


class _Root(msgspec.Struct, frozen=True):
    turnout: _Turnout


class Snapshot(msgspec.Struct, frozen=True):
    """A snapshot, as far as the board shows it."""

    snapshot: int
    log: _Log
    progress: Progress
    tally: _Root
    results: tuple[Result, ...]

    def machine(self, contest: int) -> tuple[Votes, ...]:
        """The boxes' votes of a contest; empty before any."""
        return self._votes(contest, _MACHINE)

    def protocol(self, contest: int) -> tuple[Votes, ...]:
        """The papers' votes of a contest; empty before any."""
        return self._votes(contest, _PROTOCOL)

    def _votes(self, contest: int, source: int) -> tuple[Votes, ...]:
        for result in self.results:
            if (result.contest, result.source) == (contest, source):
                return result.choices
        return ()


_DECODER: Final = msgspec.json.Decoder(Snapshot)


class Feed:
    """The feed of a night that is being played.

    Args:
        folder: the directory that the gateway publishes into.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp = (0, 0)
        self._newest: Snapshot | None = None

    def newest(self) -> Snapshot | None:
        """The newest snapshot; None before the first.

        Raises:
            WireError: `demo.feed`, it is no snapshot; `file.unreadable`.
        """
        path = self._folder / "latest.json"
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        stamp = (status.st_ino, status.st_mtime_ns)
        if stamp != self._stamp:
            try:
                self._newest = _DECODER.decode(files.read(path, _MAX_SNAPSHOT, "a snapshot"))
            except msgspec.DecodeError as error:
                raise WireError("demo.feed", f"this is no snapshot: {error}", file=str(path)) from None
            self._stamp = stamp
        return self._newest


class Seen(NamedTuple):
    """A snapshot, when somebody who looks all the time has seen it first.

    Attributes:
        at: election time, ms.
        heard: the boxes that it knows of.
    """

    at: int
    heard: int


def published_after(seen: Sequence[Seen], share: float, closed_at: int) -> int | None:
    """When the given share of the boxes that ever arrived was published.

    That is the quantile of "close to publication" over all boxes: each is published with the first snapshot
    that knows of it.

    Args:
        seen: in order.
        share: from 0 to 1.
        closed_at: election time of the close, ms.

    Returns:
        Milliseconds after the close; None if no box was ever published.
    """
    if not seen or not (heard := seen[-1].heard):
        return None
    wanted = max(1, math.ceil(heard * share))
    return next(one.at for one in seen if one.heard >= wanted) - closed_at
