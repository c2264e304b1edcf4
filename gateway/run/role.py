"""What every role does alike from its start to its end: lock, operations listener, signals, ready file.

What lives here: `run_role`, which gives a role's own code a `RoleRun` to speak through, and what only
`gateway.cli` may ask of the machine. The operations listener comes first and goes last, so that a start that
takes seconds can be watched.
"""

import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from gateway import _core
from gateway.base.clock import Clock, ElectionClock, format_time
from gateway.base.config import Role, parse_address
from gateway.base.logs import Field, Log
from gateway.base.metrics import RoleMetrics
from gateway.ledger.owner import OwnerLock
from gateway.run.folder import NightFolder, ReadyFile, night_clock, write_ready
from gateway.run.notify import Notifier
from gateway.run.operations import Health, Operations, bound_endpoint, open_operations
from gateway.run.upkeep import measure_loop_lag, sign_of_life

# New objects before Python looks for cycles among them (its own default is 700). A statement leaves about one
# behind, so this is a look every ten thousand statements, of a millisecond; with 700 the looks cost 13 µs a
# statement, of some 600 in all, and a third of a snapshot of thousands of stations.
GC_THRESHOLD: Final = 10_000
# Seconds between two looks at clock.json while nobody has started the rehearsal.
CLOCK_SECONDS: Final = 1.0

_RUNNING: Final = "runs this role for this night already: stop it first"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What only `gateway.cli` may ask of the machine.

    Attributes:
        real: the machine's clock, ms.
        timer: seconds from some start, never back.
        jitter: a random number from 0 to below 1.
        log: of this role.
        notifier: word to systemd.
        watchdog: seconds between two signs of life; None: nobody waits for them.
        credentials: systemd's folder of credentials.
        supervisor: a file descriptor that ends when the supervisor does; None: nobody supervises.
    """

    real: Clock
    timer: Callable[[], float]
    jitter: Callable[[], float]
    log: Log
    notifier: Notifier
    watchdog: float | None = None
    credentials: Path | None = None
    supervisor: int | None = None


class RoleRun:
    """One run of a role, as its own code sees it; made by `run_role`.

    Attributes:
        operations: where metrics and health are.
        stop: is set when the role shall end gracefully.
    """

    def __init__(
        self, role: Role, night: NightFolder, around: Surroundings, operations: tuple[str, ...]
    ) -> None:
        self.operations: Final = operations
        self.stop: Final = trio.Event()
        self.health: Final = Health()
        self._role: Final[Role] = role
        self._night = night
        self._around = around
        self._whole = trio.CancelScope()
        self._reload = trio.Event()

    def ready_file(self) -> ReadyFile:
        """What any role can say of itself; `msgspec.structs.replace` adds what this one has."""
        return ReadyFile(os.getpid(), format_time(self._around.real()), operations=self.operations)

    async def ready(self, ready: ReadyFile, status: str, **fields: Field) -> None:
        """Says everywhere that the role serves: its file, ``/readyz``, systemd, its log.

        Args:
            ready: becomes ``run/<role>.json``.
            status: what ``systemctl status`` shows.
            **fields: of the event ``role.ready``.
        """
        # What was made so far lives as long as the process: no search for cycles looks at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        await trio.to_thread.run_sync(write_ready, self._night.ready(self._role), ready)
        self.health.state = "ready"
        self._around.notifier.ready(status)
        self._around.log("role.ready", operations=", ".join(self.operations), **fields)

    async def reload_asked(self) -> None:
        """Waits for the next SIGHUP; several at once are one."""
        await self._reload.wait()
        self._reload = trio.Event()

    async def clock(self) -> ElectionClock:
        """The election's clock, once somebody has started it.

        Raises:
            TallygateError: ``clock.malformed``, ``file.too_large``.
            OSError: it cannot be read.
        """
        clock = night_clock(self._night, self._around.real)
        if clock is None:
            self._around.log(
                "clock.waiting", words=f"`tallygate serve {self._night.root}` starts the rehearsal's time"
            )
        while clock is None:
            await trio.sleep(CLOCK_SECONDS)
            clock = night_clock(self._night, self._around.real)
        return clock

    async def live(self, work: Callable[["RoleRun"], Awaitable[None]]) -> None:
        """Does the role's work until it ends or has to; `run_role` calls this."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear, signals)
                if self._around.supervisor is not None:
                    nursery.start_soon(self._need_supervisor, self._around.supervisor)
                try:
                    with self._whole:
                        await work(self)
                finally:
                    self._night.ready(self._role).unlink(missing_ok=True)
                nursery.cancel_scope.cancel()

    async def _hear(self, signals: AsyncIterator[int]) -> None:
        """The first SIGTERM or SIGINT ends gracefully, a second one at once."""
        async for number in signals:
            if number == signal.SIGHUP:
                self._reload.set()
                continue
            if self.stop.is_set() or self.health.state == "starting":
                self._whole.cancel()
            self._begin_stop(signal.Signals(number).name)

    async def _need_supervisor(self, descriptor: int) -> None:
        """Ends at once when the supervisor is gone, so that another one finds everything free."""
        async with trio.lowlevel.FdStream(os.dup(descriptor)) as stream:
            while await stream.receive_some(1):
                pass
        self._begin_stop("the supervisor is gone")
        self._whole.cancel()

    def _begin_stop(self, reason: str) -> None:
        self._around.log("role.stopping", reason=reason)
        self.health.state = "stopping"
        self._around.notifier.stopping()
        self.stop.set()


async def run_role(
    role: Role,
    night: NightFolder,
    address: str,
    around: Surroundings,
    metrics: RoleMetrics,
    work: Callable[[RoleRun], Awaitable[None]],
) -> None:
    """Runs a role until its work ends, SIGTERM or SIGINT.

    Args:
        role: its name.
        night: its folder.
        address: where metrics and health are served, as in tallygate.toml.
        around: the machine.
        metrics: the role's.
        work: everything that is this role's own; when `RoleRun.stop` is set it ends what is in flight and
            returns. It is cancelled by a second signal, by a signal before it was ready, and when the
            supervisor is gone.

    Raises:
        TallygateError: ``role.running``, ``operations.bind``, or whatever the work raises.
        ExceptionGroup: of these, or of a fault of the program.
        OSError: a file cannot be read or written.
    """
    log = around.log
    log("role.starting", version=_core.__version__, night=str(night.root))
    with OwnerLock(night.run / f"{role}.lock", around.real(), code="role.running", sentence=_RUNNING):
        listeners = await open_operations(parse_address(address))
        run = RoleRun(role, night, around, tuple(str(bound_endpoint(listener)) for listener in listeners))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Operations(metrics.registry, run.health, log).serve, listeners)
            nursery.start_soon(measure_loop_lag, metrics.loop_lag)
            if around.watchdog is not None:
                nursery.start_soon(sign_of_life, around.notifier, around.watchdog)
            try:
                await run.live(work)
            except BaseException:
                run.health.state = "failed"
                raise
            nursery.cancel_scope.cancel()
    log("role.stopped")
