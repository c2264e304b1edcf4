"""``tallygate serve``: one process a role, started, restarted and ended together.

What lives here: `supervise`. A role is the same program under its own command, in a process of its own that
is started afresh (the core's threads do not survive a fork). It holds the reading end of a pipe as its
standard input: when the supervisor dies, however that happens, the role ends too, and the next one finds the
ledger free. Roles are out of the terminal's process group: Ctrl-C comes to the supervisor alone.
"""

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from gateway.base.clock import Clock, start_clock
from gateway.base.config import Role
from gateway.base.errors import TallygateError
from gateway.base.logs import Log
from gateway.ledger.owner import OwnerLock
from gateway.run.folder import NightFolder, ReadyFile, read_ready
from gateway.run.notify import Notifier
from gateway.run.upkeep import sign_of_life

# Seconds before a role that has died starts again, doubled each time up to the longest; a role that has run
# for so long begins anew with the first.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
STEADY_SECONDS: Final = 60.0
# Seconds that roles have for their end: ten for what is in flight, the rest for the last checkpoint.
STOP_SECONDS: Final = 25.0
# Seconds between two looks for run/<role>.json of a role that starts.
LOOK_SECONDS: Final = 0.1

_RUNNING: Final = "serves this night already: stop it first (Ctrl-C there, or kill -TERM)"


@dataclass(frozen=True, slots=True)
class Supervision:
    """What only `gateway.cli` may ask of the machine, and what it does with the news.

    Attributes:
        real: the machine's clock, ms.
        log: of the supervisor.
        notifier: word to systemd.
        watchdog: seconds between two signs of life; None: nobody waits for them.
        command: the program and arguments that run a role.
        environment: of the roles.
        ready: is told each time that a role is ready.
        supervisor: a descriptor that ends when whoever has started us is gone; None: nobody has to be there.
    """

    real: Clock
    log: Log
    notifier: Notifier
    watchdog: float | None
    command: Callable[[Role], Sequence[str]]
    environment: Mapping[str, str]
    ready: Callable[[Role, ReadyFile], None]
    supervisor: int | None = None


async def supervise(night: NightFolder, roles: Sequence[Role], around: Supervision) -> None:
    """Runs the roles until SIGTERM or SIGINT, or until the supervisor is gone; passes SIGHUP on.

    Starts a rehearsal's time first, if nobody has.

    Raises:
        TallygateError: ``role.running``: somebody serves this night; ``serve.failed``: a role has ended
            before it was ever ready, and has said why (the others are ended gracefully);
            ``clock.malformed``.
        ExceptionGroup: of a fault of the program.
        OSError: a file cannot be read or written, a program not started.
    """
    with (
        OwnerLock(night.run / "serve.lock", around.real(), code="role.running", sentence=_RUNNING),
        trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals,
    ):
        if night.clock.exists():
            start_clock(night.clock, around.real())
        async with trio.open_nursery() as nursery:
            waiting = set(roles)

            def tell(role: Role, ready: ReadyFile) -> None:
                around.ready(role, ready)
                waiting.discard(role)
                if not waiting:
                    around.notifier.ready(f"running: {', '.join(roles)}")

            kept = [_Kept(night, role, around, partial(tell, role)) for role in roles]
            nursery.start_soon(_pass_on, signals, kept, around)
            if around.supervisor is not None:
                nursery.start_soon(_need_supervisor, around.supervisor, kept, around)
            if around.watchdog is not None:
                nursery.start_soon(sign_of_life, around.notifier, around.watchdog)
            faults: list[TallygateError] = []

            async def keep(one: _Kept) -> None:
                try:
                    await one.run()
                except TallygateError as fault:
                    faults.append(fault)
                    for other in kept:
                        other.stop(at_once=False)

            async with trio.open_nursery() as running:
                for one in kept:
                    running.start_soon(keep, one)
            nursery.cancel_scope.cancel()
        if faults:
            raise faults[0]


async def _pass_on(signals: AsyncIterator[int], kept: Sequence["_Kept"], around: Supervision) -> None:
    """The first SIGTERM or SIGINT ends the roles gracefully, a second one at once."""
    stopping = False
    async for number in signals:
        if number == signal.SIGHUP:
            for one in kept:
                one.send(signal.SIGHUP)
            continue
        if not stopping:
            around.notifier.stopping()
        for one in kept:
            one.stop(at_once=stopping)
        stopping = True


async def _need_supervisor(descriptor: int, kept: Sequence["_Kept"], around: Supervision) -> None:
    """Ends the roles gracefully when whoever has started us is gone, however it ended."""
    async with trio.lowlevel.FdStream(os.dup(descriptor)) as stream:
        while await stream.receive_some(1):
            pass
    around.notifier.stopping()
    for one in kept:
        one.stop(at_once=False)


class _Kept:
    """One role that is kept running."""

    def __init__(
        self, night: NightFolder, role: Role, around: Supervision, tell: Callable[[ReadyFile], None]
    ) -> None:
        self._night = night
        self._role: Final = role
        self._around = around
        self._tell = tell
        self._process: trio.Process | None = None
        self._stop = trio.Event()
        self._was_ready = False
        self._pause = trio.CancelScope()
        self._patience = trio.CancelScope()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the role's process, if it has one now."""
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def stop(self, *, at_once: bool) -> None:
        """Ends the role for good."""
        self._stop.set()
        self._pause.cancel()
        self._patience.deadline = trio.current_time() + STOP_SECONDS
        self.send(signal.SIGKILL if at_once else signal.SIGTERM)

    async def run(self) -> None:
        """Starts the role again and again.

        Raises:
            TallygateError: ``serve.failed``.
        """
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            started = trio.current_time()
            status = await self._run_once()
            if self._stop.is_set():
                return
            if not self._was_ready:
                raise TallygateError(
                    "serve.failed",
                    f"the role {self._role} has ended before it was ready, with {_words(status)}: what it "
                    "has said stands above",
                )
            if trio.current_time() - started >= STEADY_SECONDS:
                pause = FIRST_PAUSE
            self._around.log("supervise.ended", about=self._role, how=_words(status), again_in_seconds=pause)
            self._pause = trio.CancelScope()
            with self._pause:
                await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run_once(self) -> int:
        """Runs the role's process to its end, and gives its exit status, negative for a signal."""
        process = await trio.lowlevel.open_process(
            list(self._around.command(self._role)),
            stdin=subprocess.PIPE,
            env=dict(self._around.environment),
            process_group=0,
        )
        self._process = process
        self._around.log("supervise.started", about=self._role, pid=process.pid)
        self._patience = trio.CancelScope()
        try:
            if self._stop.is_set():  # it was asked for while the process began
                self.stop(at_once=False)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._look_for_ready, process.pid)
                with self._patience:
                    await process.wait()
                if process.returncode is None:
                    self._around.log("supervise.killed", about=self._role, pid=process.pid)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                self.send(signal.SIGKILL)
                await process.wait()
                if process.stdin is not None:
                    await process.stdin.aclose()
        return await process.wait()

    async def _look_for_ready(self, pid: int) -> None:
        while True:
            ready = await trio.to_thread.run_sync(read_ready, self._night.ready(self._role))
            if ready is not None and ready.pid == pid:
                self._was_ready = True
                self._tell(ready)
                return
            await trio.sleep(LOOK_SECONDS)


def _words(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
