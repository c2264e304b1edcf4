"""What a role does for as long as it runs, beside its work: it measures itself and says that it lives."""

import contextlib
import os
import resource
from pathlib import Path
from typing import Final

import msgspec
import trio
from prometheus_client import Counter, Gauge

from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded, write_durably
from gateway.base.logs import Log
from gateway.run.notify import Notifier

# Seconds between two looks at the clock, and how many of them make a window: the figure is the worst of this
# window and the one before, so that a scrape every half minute misses nothing.
LAG_SECONDS: Final = 0.5
LAG_WINDOW: Final = 60
# Seconds between two looks at the disk: at 1,000 statements a second some MB are written meanwhile.
DISK_SECONDS: Final = 1.0
# Open files beside the connections: ledger, its WAL, sockets of followers and operations, libraries.
OTHER_FILES: Final = 128
# Bytes of a kept counter: a few numbers.
_MAX_KEPT: Final = 4_096


async def measure_loop_lag(gauge: Gauge) -> None:
    """Sets how late the event loop woke up at worst in the last half to whole minute; never ends."""
    before = 0.0
    while True:
        worst = 0.0
        for _ in range(LAG_WINDOW):
            due = trio.current_time() + LAG_SECONDS
            await trio.sleep_until(due)
            worst = max(worst, trio.current_time() - due)
            gauge.set(max(worst, before))
        before = worst


async def sign_of_life(notifier: Notifier, seconds: float) -> None:
    """Tells systemd again and again that the event loop runs; never ends."""
    while True:
        notifier.alive()
        await trio.sleep(seconds)


def raise_files_limit(connections: int, log: Log, *, key: str = "connections", each: int = 1) -> None:
    """Takes all the open files that the system allows, and says where they are fewer than may be needed.

    Args:
        connections: the cap.
        log: is told.
        key: where the cap stands, below ``[limits]``.
        each: files of one connection, its own with them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = each * connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        log(
            "limits.files",
            open_files=hard,
            needed=needed,
            words=f"raise the limit of open files (LimitNOFILE= or ulimit -Hn) to {needed}, or lower "
            f"limits.{key} in tallygate.toml: until then some may be turned away",
        )


class DiskSpace:
    """Whether the ledger's disk still has its reserve.

    Args:
        folder: on that disk.
        reserve: bytes that stay free.
        gauge: gets the free bytes.
        log: is told when the reserve is reached and left again.

    Attributes:
        free: bytes, as of the last look that was answered.
    """

    def __init__(self, folder: Path, reserve: int, gauge: Gauge, log: Log) -> None:
        self._folder = folder
        self._reserve = reserve
        self._gauge = gauge
        self._log = log
        self._enough = True
        self._known = True
        self.free: int | None = None

    @property
    def enough(self) -> bool:
        """As of the last look; a disk that does not answer has what it had."""
        return self._enough

    async def look(self) -> None:
        """Looks once, in a thread: a disk may take its time."""
        try:
            found = await trio.to_thread.run_sync(os.statvfs, self._folder)
        except OSError as error:
            if self._known:
                self._log("disk.unknown", words=str(error))
            self._known = False
            return
        self._known = True
        self.free = free = found.f_bavail * found.f_frsize
        self._gauge.set(free)
        enough = free >= self._reserve
        if enough != self._enough:
            self._log("disk.enough" if enough else "disk.low", free_bytes=free, reserve_bytes=self._reserve)
        self._enough = enough

    async def watch(self) -> None:
        """Looks again and again; never ends."""
        while True:
            await trio.sleep(DISK_SECONDS)
            await self.look()


class Room:
    """Whether the publisher may write more than heartbeats: it must never fill the ledger's disk.

    Below half of the ledger's reserve it stops; it goes on when the whole reserve is there again, so that
    what it writes then does not stop it at once.

    Args:
        space: of the feed's disk.
        reserve: bytes that the ledger keeps free on it; 0: the ledger has another disk.
        log: is told.
    """

    def __init__(self, space: DiskSpace, reserve: int, log: Log) -> None:
        self._space = space
        self._reserve = reserve
        self._log = log
        self._left = True

    def __call__(self) -> bool:
        """As of the disk's last look."""
        free = self._space.free
        if free is None:
            return self._left
        left = free >= (self._reserve // 2 if self._left else self._reserve)
        if left != self._left:
            self._left = left
            self._log(
                "publish.room" if left else "publish.no_room", free_bytes=free, reserve_bytes=self._reserve
            )
        return left

    async def wait(self) -> None:
        """Returns when there is room."""
        while True:
            if self():
                return
            await trio.sleep(DISK_SECONDS)


def shared_reserve(ledger: Path, feed: Path, reserve: int) -> int:
    """The reserve as far as it concerns the feed's disk: 0 if the ledger has another one.

    Raises:
        OSError: one of the folders is not there.
    """
    return reserve if ledger.stat().st_dev == feed.stat().st_dev else 0


class KeptCounter:
    """A counter of what ends the process, which nobody could scrape before it is gone: the next one shows it.

    As well as it goes: what cannot be written on a failing disk is not counted.

    Args:
        counter: with one label.
        label: its name.
        path: where its values are kept; they are added to the counter now.
    """

    def __init__(self, counter: Counter, label: str, path: Path) -> None:
        self._counter = counter
        self._label = label
        self._path = path
        with contextlib.suppress(OSError, TallygateError, ValueError):
            kept = msgspec.json.decode(read_bounded(path, _MAX_KEPT), type=dict[str, float])
            for value, count in kept.items():
                counter.labels(value).inc(count)
        self._values = self._now()

    def keep(self) -> None:
        """Writes the values, if they have changed."""
        values = self._now()
        if values != self._values:
            with contextlib.suppress(OSError):
                write_durably(self._path, msgspec.json.encode(values))
        self._values = values

    def _now(self) -> dict[str, float]:
        return {
            sample.labels[self._label]: sample.value
            for metric in self._counter.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        }
