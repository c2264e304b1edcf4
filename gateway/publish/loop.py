"""When something is published: the publisher's tasks on the event loop; nothing here waits for a disk itself.

What lives here: `Publisher`, which follows the ledger's socket, has the entries folded as they come, and has
a snapshot made when something has changed or a minute has passed. Folding goes on while a snapshot is being
written. The ledger never waits for any of it: what is not taken in time is asked for again.

Cadence: the next snapshot when the last is out, at least a second apart, only if it would say something new,
and every minute in any case, also while paused. All of this is real time; only what is written as
`published_at` is the election's.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from gateway.base.clock import ElectionClock
from gateway.base.errors import TallygateError
from gateway.base.logs import Log
from gateway.base.metrics import PublishMetrics
from gateway.ledger.follow import follow
from gateway.ledger.protocol import Entry, Head
from gateway.publish.press import CHUNK, Press, seconds_since

# Seconds between the beginnings of two snapshots, and after which there is one in any case (docs/feed.md).
APART_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 60.0
# Seconds before the ledger's socket is tried again, doubled each time up to the longest.
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
# Seconds between two looks for a roster that is missing.
ROSTER_SECONDS: Final = 10.0
# Seconds between two looks at what operators say, at the disk, and for the end of an embargo.
LOOK_SECONDS: Final = 1.0
# Entries that wait to be folded: at most 256 MiB, usually 10. Beyond, nothing is taken from the socket.
MOST_WAITING: Final = 4 * CHUNK

# What the ledger's socket answers, or does not, while nothing is wrong here.
_TRANSIENT: Final = frozenset({"follow.absent", "follow.lost", "follow.full", "ledger.failed"})


class Publisher:
    """The publisher's tasks; made and used in one Trio run.

    Args:
        press: has recovered what was there.
        socket: ``run/ledger.sock``.
        log_key: the verifier key of the log, as soon as it is known; None until then.
        clock: the election's.
        log: is told when the ledger comes and goes.
        metrics: of the role.
    """

    def __init__(
        self,
        press: Press,
        *,
        socket: Path,
        log_key: Callable[[], str | None],
        clock: ElectionClock,
        log: Log,
        metrics: PublishMetrics,
    ) -> None:
        self._press = press
        self._socket = socket
        self._log_key = log_key
        self._clock = clock
        self._log = log
        self._metrics = metrics
        # Between the task that follows and the one that folds.
        self._entries: list[Entry] = []
        # The newest head whose entries have all come, and the newest whose are all folded.
        self._head: Head | None = None
        self._folded: Head | None = None
        self._came = trio.Event()
        self._taken = trio.Event()
        # Entries asked for, whether folded or not.
        self._next = 0
        # Whoever uses the builder holds it.
        self._building = trio.Lock()
        # Set when something was folded, a roster was looked for, or a snapshot is out.
        self._news = trio.Event()
        self._rosters = trio.Event()

    def look_for_rosters(self) -> None:
        """Somebody says that a roster may be there now."""
        self._rosters.set()

    async def run(self) -> None:
        """Publishes until it is cancelled; a snapshot that is being written is finished before.

        Raises:
            TallygateError: in an exception group: `Press`' own, ``follow.beyond``, ``follow.malformed``.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            nursery.start_soon(self._fold)
            nursery.start_soon(self._find_rosters)
            nursery.start_soon(self._look)
            nursery.start_soon(self._find_information)
            nursery.start_soon(self._publish)

    # --- Following ---

    async def _follow(self) -> None:
        """Follows the ledger whenever it is there."""
        pause = FIRST_PAUSE
        told = False
        while True:
            vkey = await trio.to_thread.run_sync(self._log_key)
            if vkey is not None:
                before = self._next
                try:
                    await self._follow_once(vkey)
                except TallygateError as error:
                    if error.code not in _TRANSIENT:
                        raise
                    reason = str(error)
                self._metrics.following.set(0)
                if self._next > before:
                    pause, told = FIRST_PAUSE, False
            else:
                reason = "ingest does not run yet, or the log is not open"
            if not told:
                self._log("publish.waiting", words=reason)
                told = True
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _follow_once(self, vkey: str) -> None:
        self._press.follow(vkey)
        head: Head | None = None
        async with follow(self._socket, self._next, vkey) as follower:
            async for item in follower:
                if isinstance(item, Head):
                    if head is None:
                        self._metrics.following.set(1)
                        self._log("publish.following", entries=self._next, log_entries=item.size)
                    self._press.meet(item)
                    head = item
                else:
                    self._entries.append(item)
                    self._next = item.index + 1
                if head is not None and self._next == head.size:
                    self._head = head
                    self._came.set()
                elif len(self._entries) >= CHUNK:
                    self._came.set()
                while len(self._entries) >= MOST_WAITING:
                    self._taken = trio.Event()
                    await self._taken.wait()

    # --- Folding ---

    async def _fold(self) -> None:
        """Has the builder take what has come."""
        while True:
            await self._came.wait()
            self._came = trio.Event()
            while not self._press.waits_for_roster and (count := self._foldable()):
                head, chunk = self._head, self._entries[:count]
                del self._entries[:count]
                self._taken.set()
                async with self._building:
                    await trio.to_thread.run_sync(self._press.fold, chunk)
                    if head is not None and head.size == self._press.folded:
                        self._folded = head
            self._tell()

    def _foldable(self) -> int:
        """How many entries are folded next: to the end of a head, for only there a snapshot can be made."""
        if not self._entries:
            return 0
        covered = 0 if self._head is None else self._head.size - self._entries[0].index
        if covered > 0:
            return min(covered, CHUNK)
        return CHUNK if len(self._entries) >= CHUNK else 0

    async def _find_rosters(self) -> None:
        while True:
            with trio.move_on_after(ROSTER_SECONDS):
                await self._rosters.wait()
            self._rosters = trio.Event()
            if self._press.waits_for_roster:
                async with self._building:
                    await trio.to_thread.run_sync(self._press.look_for_rosters)
                    if self._head is not None and self._head.size == self._press.folded:
                        self._folded = self._head
                self._came.set()
                self._tell()

    # --- What people say beside the log ---

    async def _look(self) -> None:
        """Has a pause, a full disk, an embargo's end noticed at once and not with the next snapshot."""
        while True:
            async with self._building:
                changed = await trio.to_thread.run_sync(self._press.look, self._clock())
            if changed:
                self._tell()
            await trio.sleep(LOOK_SECONDS)

    async def _find_information(self) -> None:
        """Has new texts and pictures shown; copying them holds up nothing."""
        while True:
            shown = await trio.to_thread.run_sync(self._press.look_for_information)
            if shown is not None:
                async with self._building:
                    self._press.show(shown)
                self._tell()
            await trio.sleep(LOOK_SECONDS)

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    # --- Publishing ---

    async def _publish(self) -> None:
        """Has snapshots made and written, one behind the other."""
        begun = trio.current_time() - APART_SECONDS
        out = trio.current_time() - min(HEARTBEAT_SECONDS, self._press.age())
        while True:
            await trio.sleep_until(begun + APART_SECONDS)
            await self._occasion(out + HEARTBEAT_SECONDS)
            async with self._building:
                head = self._sayable()
                if head is None:  # the next head is being folded
                    continue
                begun = trio.current_time()
                sheet = await trio.to_thread.run_sync(self._press.draft, head, self._clock())
            if sheet is not None:
                with sheet:
                    await trio.to_thread.run_sync(self._press.write, sheet, self._clock)
                self._metrics.snapshot_seconds.observe(trio.current_time() - begun)
            out = trio.current_time()
            await trio.to_thread.run_sync(self._press.prune)

    def _sayable(self) -> Head | None:
        """The head that a snapshot can be made of now."""
        head = self._folded or self._head
        return head if head is not None and self._press.ready(head) else None

    async def _occasion(self, heartbeat: float) -> None:
        """Waits until there is something new to say, or a heartbeat is due and possible."""
        while True:
            news, head = self._news, self._sayable()
            late = trio.current_time() >= heartbeat
            if head is not None and (late or self._press.due(head)):
                return
            with trio.move_on_at(math.inf if late else heartbeat):
                await news.wait()


def show_waiting(press: Press, metrics: PublishMetrics, clock: ElectionClock) -> None:
    """Has the age of the oldest unpublished entry worked out whenever somebody asks for it."""

    def age() -> float:
        at = press.oldest_unpublished()
        return 0.0 if at is None else seconds_since(at, clock)

    metrics.oldest_unpublished.set_function(age)
