"""The monitor: a feed that is verified again and again, and what it tells its operators about it.

What lives here: `Monitor`, which looks once and knows whether to begin anew or to go on with what it has
folded; its metrics and its log; and `watch`, the loop around it. A look runs in a thread, so that health is
answered meanwhile. Now and then a process of its own verifies the whole feed, for files that changed behind
our back.
"""

import contextlib
import json
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

import trio
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from clients.observer.follow import BeginAnewError, Follower
from clients.observer.operations import State
from clients.observer.verdict import Folder, Verdict
from clients.observer.verify import NO_FEED, start
from clients.wire import feed

Level: TypeAlias = Literal["info", "warning", "error", "critical"]
Kind: TypeAlias = Literal["new", "full"]
Look: TypeAlias = Callable[[], tuple[Kind, Verdict]]

# Seconds before a whole verification that has found a difference, or could not be made, is made again.
AGAIN_SECONDS: Final = 60.0
# Seconds from one measure of the event loop to the next, and how many are remembered.
_LAG_SECONDS: Final = 1.0
_LAGS: Final = 60
# Characters of a traceback in a line of the log.
_MAX_TRACEBACK: Final = 4_000
_MS: Final = 1000

# Every event there is (docs/verify.md, "Logs").
EVENTS: Final[Mapping[str, Level]] = {
    "role.starting": "info",
    "role.ready": "info",
    "role.stopping": "info",
    "role.stopped": "info",
    "role.failed": "critical",
    "replay.waiting": "info",
    "replay.agrees": "info",
    "replay.differs": "critical",
    "replay.unknown": "error",
    "operations.fault": "error",
}


class StopError(Exception):
    """Somebody wants the program to end while it looks."""


class Log:
    """One line of JSON an event.

    Args:
        sink: takes a line without its line feed.
        clock: real time, ms.
    """

    def __init__(self, sink: Callable[[str], None], clock: Callable[[], int]) -> None:
        self._sink = sink
        self._clock = clock

    def __call__(self, event: str, **fields: str | int | float | None) -> None:
        """Write an event with what belongs to it."""
        head = {"timestamp": feed.format_time(self._clock()), "level": EVENTS[event], "role": "monitor"}
        self._sink(json.dumps({**head, "event": event, **fields}))

    def fault(self, event: str, error: BaseException) -> None:
        """Write an event with the exception behind it, for programmers."""
        trace = "".join(traceback.format_exception(error))[-_MAX_TRACEBACK:]
        self(event, error=type(error).__name__, words=str(error), traceback=trace)


class Metrics:
    """What the monitor measures.

    Args:
        version: of Tallygate.
        process: whether the process's own figures (memory, open files) belong to it.
    """

    def __init__(self, version: str, *, process: bool = True) -> None:
        registry = self.registry = CollectorRegistry()
        # Exposed from the first verdict on: before it nobody knows, and 0 would be an alarm.
        self._matches: Gauge | None = None
        self.snapshot: Final = Gauge(
            "tallygate_replay_snapshot_number", "The newest snapshot that was recomputed.", registry=registry
        )
        self.entries: Final = Gauge(
            "tallygate_replay_entries", "Entries of the log in it.", registry=registry
        )
        self.checked: Final = Gauge(
            "tallygate_replay_checked_timestamp_seconds",
            "When a look last found that everything follows from the log.",
            registry=registry,
        )
        self.full: Final = Gauge(
            "tallygate_replay_full_timestamp_seconds",
            "When every file of the feed was last found to follow from the log.",
            registry=registry,
        )
        self.looks: Final = Counter(
            "tallygate_replay_looks",
            "Looks at the feed: at what is new, or at everything; and what they came to.",
            ["kind", "result"],
            registry=registry,
        )
        self.seconds: Final = Gauge(
            "tallygate_replay_look_seconds", "How long the last look took.", ["kind"], registry=registry
        )
        self.loop_lag: Final = Gauge(
            "tallygate_loop_lag_seconds",
            "How late the event loop woke up at worst in the last minute.",
            registry=registry,
        )
        build = Gauge(
            "tallygate_build_info", "Version of the program; always 1.", ["version"], registry=registry
        )
        build.labels(version).set(1)
        if process:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
            GCCollector(registry=registry)

    def matches(self, agrees: bool) -> None:
        """Set `tallygate_replay_matches`."""
        if self._matches is None:
            self._matches = Gauge(
                "tallygate_replay_matches",
                "Whether what is published follows from the log, by the second implementation: 1 or 0.",
                registry=self.registry,
            )
        self._matches.set(agrees)


class Monitor:
    """Looks at a feed; what is folded is kept from one look to the next.

    Args:
        folder: the feed's, with that of what is under embargo where it may be read.
        definition: SHA-256 of the definition that it must be of, or None.
        processes: how many may check statements at the first look; None: one a core.
    """

    def __init__(self, folder: Folder, definition: bytes | None, processes: int | None) -> None:
        self.stopping = False
        self._folder = folder
        self._definition = definition
        self._processes = processes
        self._follower: Follower | None = None

    def look(self) -> tuple[Kind, Verdict]:
        """Judge what is new, or everything if nothing is known yet or the last look found it wrong.

        Raises:
            StopError: `stopping` was set meanwhile.
        """
        if self._follower is not None:
            with contextlib.suppress(BeginAnewError):
                verdict = self._follower.advance()
                if not verdict.agrees:
                    self._follower = None
                return "new", verdict
        verdict, replay = start(
            self._folder,
            definition=self._definition,
            processes=self._processes,
            progress=self._go_on,
        )
        self._follower = None if replay is None else Follower(self._folder, replay)
        return "full", verdict

    def forget(self) -> None:
        """Begin anew at the next look."""
        self._follower = None

    def _go_on(self, _done: int, _total: int) -> None:
        if self.stopping:
            raise StopError


class Whole(NamedTuple):
    """What a process of its own has found of the whole feed.

    Attributes:
        agrees: as in `Verdict`.
        seconds: how long it took.
        words: what it found, where it does not agree.
    """

    agrees: bool | None
    seconds: float
    words: str


class Watch:
    """One run of the monitor.

    Args:
        monitor: looks.
        metrics: are set.
        log: is told.
        clock: real time, ms.
        interval: seconds between two looks.
        run_look: runs a look, which takes its time; a thread's, but for tests.

    Attributes:
        state: for ``/readyz``.
        stop: ends it.
    """

    def __init__(
        self,
        monitor: Monitor,
        metrics: Metrics,
        log: Log,
        clock: Callable[[], int],
        interval: float,
        run_look: Callable[[Look], Awaitable[tuple[Kind, Verdict]]] = trio.to_thread.run_sync,
    ) -> None:
        self.state: State = "starting"
        self.stop: Final = trio.Event()
        self._monitor = monitor
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._interval = interval
        self._run_look = run_look
        # What the log was told last, so that it is told what is new.
        self._told: bool | str | None = None
        self._whole_wanted = trio.Event()

    def begin_stop(self, reason: str) -> None:
        """End as soon as the present look allows."""
        if not self.stop.is_set():
            self._log("role.stopping", reason=reason)
        self.state = "stopping"
        self._monitor.stopping = True
        self.stop.set()

    def want_whole(self) -> None:
        """Ask for a verification of the whole feed now."""
        self._whole_wanted.set()

    async def look_on(self) -> None:
        """Look again and again until `stop`."""
        while not self.stop.is_set():
            began = trio.current_time()
            try:
                kind, verdict = await self._run_look(self._monitor.look)
            except StopError:
                return
            again = self._tell(kind, verdict, trio.current_time() - began)
            with trio.move_on_after(again):
                await self.stop.wait()

    async def verify_whole(self, every: float, verify: Callable[[], Awaitable[Whole]]) -> None:
        """Have the whole feed verified now and then.

        Args:
            every: seconds between two, and before the first.
            verify: does it.
        """
        while True:
            with trio.move_on_after(every):
                await self._whole_wanted.wait()
            self._whole_wanted = trio.Event()
            if self._told is not True:
                # Whoever has no verdict, or a bad one, looks at everything by himself.
                continue
            whole = await verify()
            self._count("full", whole.agrees, whole.seconds)
            if whole.agrees:
                self._metrics.full.set(self._clock() / _MS)
                self._log("replay.agrees", kind="full", seconds=round(whole.seconds, 3))
            elif whole.agrees is False:
                # The next look begins anew, and says where the difference is.
                self._monitor.forget()
                self._metrics.matches(False)
                self._told = False
                self._log("replay.differs", kind="full", words=whole.words)
            else:
                self._log("replay.unknown", kind="full", words=whole.words)

    async def measure_loop_lag(self) -> None:
        """Say how late the event loop wakes up."""
        lags: deque[float] = deque(maxlen=_LAGS)
        while True:
            due = trio.current_time() + _LAG_SECONDS
            await trio.sleep_until(due)
            lags.append(trio.current_time() - due)
            self._metrics.loop_lag.set(max(lags))

    def _count(self, kind: Kind, agrees: bool | None, seconds: float) -> None:
        result = {True: "agrees", False: "differs", None: "unknown"}[agrees]
        self._metrics.looks.labels(kind, result).inc()
        self._metrics.seconds.labels(kind).set(seconds)

    def _tell(self, kind: Kind, verdict: Verdict, seconds: float) -> float:
        """Put a verdict into metrics and log; returns the seconds until the next look."""
        code, words = verdict.trouble or ("", "")
        if code == NO_FEED:
            if self._told != NO_FEED:
                self._log("replay.waiting", words=words)
            self._told = NO_FEED
            return self._interval
        self._count(kind, verdict.agrees, seconds)
        if verdict.agrees:
            self._agree(kind, verdict, seconds)
            return self._interval
        found = verdict.difference
        if found is None:
            self._log("replay.unknown", kind=kind, code=code, words=words)
            self._told = None
        else:
            self._metrics.matches(False)
            self._told = False
            self._log(
                "replay.differs",
                kind=kind,
                code=found.code,
                file=found.file,
                place=found.place,
                station=found.station,
                words=found.detail,
            )
        # What was found in passing is looked at as a whole at once: that names the first difference.
        return self._interval if kind == "new" else max(AGAIN_SECONDS, self._interval)

    def _agree(self, kind: Kind, verdict: Verdict, seconds: float) -> None:
        now = self._clock() / _MS
        self._metrics.matches(True)
        self._metrics.snapshot.set(verdict.snapshot)
        self._metrics.entries.set(verdict.size)
        self._metrics.checked.set(now)
        if kind == "full":
            self._metrics.full.set(now)
        if self._told is not True:
            self._log(
                "replay.agrees",
                kind=kind,
                snapshot=verdict.snapshot,
                entries=verdict.size,
                seconds=round(seconds, 3),
            )
        self._told = True
