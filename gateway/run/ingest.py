"""The role `ingest`: box port, sequencer and ledger of one night, made, run and ended in their order.

What lives here: `run_ingest`. Start: the role's lock, the operations listener (so that a start that takes
seconds can be watched), the rehearsal's clock, manifests and key, the proof of the ledger's past, and only
then the port. End (SIGTERM, SIGINT): nobody new, what is in flight is answered, the ledger is closed, the
operations listener goes last. SIGHUP reads certificates and rosters again.

A `LedgerFailedError` of any part comes up through the nursery and ends the process: nothing here catches it
on its way but to say so.
"""

import gc
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio

from gateway import _core
from gateway.base.clock import Clock, ElectionClock, format_time
from gateway.base.config import Config, parse_address
from gateway.base.errors import TallygateError
from gateway.base.logs import Log
from gateway.base.metrics import IngestMetrics
from gateway.boxport import BoxPort, BoxTls, bound_address, open_listeners
from gateway.ledger.follow import FollowServer
from gateway.ledger.owner import OwnerLock
from gateway.ledger.protocol import Ledger
from gateway.ledger.recovery import Site
from gateway.ledger.sqlite import open_ledger
from gateway.run.folder import NightFolder, ReadyFile, night_clock, read_log_seed, write_ready
from gateway.run.notify import Notifier
from gateway.run.operations import Health, Operations, bound_endpoint, open_operations
from gateway.run.upkeep import DiskSpace, KeptCounter, measure_loop_lag, sign_of_life
from gateway.sequencer.council import Council
from gateway.sequencer.sequencer import Sequencer

# Seconds between two looks at clock.json while nobody has started the rehearsal.
CLOCK_SECONDS: Final = 1.0
# Open files beside the connections: ledger, its WAL, sockets of followers and operations, libraries.
OTHER_FILES: Final = 128
# New objects before Python looks for cycles among them (its own default is 700). A statement leaves about one
# behind, so this is a look every ten thousand statements, of a millisecond; with 700 the looks cost 13 µs a
# statement, of some 600 in all.
GC_THRESHOLD: Final = 10_000

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


async def run_ingest(night: NightFolder, config: Config, around: Surroundings) -> None:
    """Runs the role until SIGTERM or SIGINT.

    Raises:
        TallygateError: something that this role needs is not right, and it did not start.
        LedgerFailedError: the ledger can promise nothing any more.
        ExceptionGroup: of these, or of a fault of the program.
        OSError: a file cannot be read.
    """
    log = around.log
    log("role.starting", version=_core.__version__, night=str(night.root))
    with OwnerLock(night.run / "ingest.lock", around.real(), code="role.running", sentence=_RUNNING):
        health = Health()
        metrics = IngestMetrics(_core.__version__)
        failures = KeptCounter(metrics.ledger_failures, "op", night.run / "ledger-failures.json")
        listeners = await open_operations(parse_address(config.listen.operations_ingest))
        operations = tuple(str(bound_endpoint(listener)) for listener in listeners)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Operations(metrics.registry, health, log).serve, listeners)
            nursery.start_soon(measure_loop_lag, metrics.loop_lag)
            if around.watchdog is not None:
                nursery.start_soon(sign_of_life, around.notifier, around.watchdog)
            try:
                await _Ingest(night, config, around, metrics, health, operations).run()
            except BaseException:
                health.state = "failed"
                failures.keep()
                raise
            nursery.cancel_scope.cancel()
    log("role.stopped")


class _Ingest:
    """One run of the role; its operations listener is there before and after."""

    def __init__(
        self,
        night: NightFolder,
        config: Config,
        around: Surroundings,
        metrics: IngestMetrics,
        health: Health,
        operations: tuple[str, ...],
    ) -> None:
        self._night = night
        self._config = config
        self._around = around
        self._log = around.log
        self._metrics = metrics
        self._health = health
        self._operations = operations
        self._whole = trio.CancelScope()
        self._stop = trio.Event()
        self._reload = trio.Event()

    async def run(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear, signals)
                if self._around.supervisor is not None:
                    nursery.start_soon(self._need_supervisor, self._around.supervisor)
                with self._whole:
                    await self._live()
                nursery.cancel_scope.cancel()

    async def _hear(self, signals: AsyncIterator[int]) -> None:
        """The first SIGTERM or SIGINT ends gracefully, a second one at once."""
        async for number in signals:
            if number == signal.SIGHUP:
                self._reload.set()
                continue
            if self._stop.is_set() or self._health.state == "starting":
                self._whole.cancel()
            self._begin_stop(signal.Signals(number).name)

    async def _need_supervisor(self, descriptor: int) -> None:
        """Ends at once when the supervisor is gone, so that another one finds the ledger free."""
        async with trio.lowlevel.FdStream(os.dup(descriptor)) as stream:
            while await stream.receive_some(1):
                pass
        self._begin_stop("the supervisor is gone")
        self._whole.cancel()

    def _begin_stop(self, reason: str) -> None:
        self._log("role.stopping", reason=reason)
        self._health.state = "stopping"
        self._around.notifier.stopping()
        self._stop.set()

    async def _live(self) -> None:
        night, around = self._night, self._around
        definition, roster = await trio.to_thread.run_sync(_read_manifests, night)
        if definition.mode == "live" and night.clock.exists():
            raise TallygateError(
                "clock.live", "a live election runs in real time: remove this file", place=str(night.clock)
            )
        clock = await self._clock()
        seed = read_log_seed(night, around.credentials)
        site = Site(definition, roster.hash, _core.public_key(seed), night.published)
        started = around.timer()
        proving = partial(
            open_ledger,
            night.data,
            site,
            seed,
            clock=clock,
            now=around.real,
            refusals_kept=self._config.limits.refusals_kept,
        )
        # Nothing interrupts the proof; who wants to stop waits for its end, some seconds at most.
        ledger = await trio.to_thread.run_sync(proving)
        try:
            head = ledger.head()
            self._log(
                "ledger.proved",
                entries=0 if head is None else head.size,
                seconds=round(around.timer() - started, 3),
            )
            if head is None:
                self._log("ledger.not_open", place=str(night.data / "opening"))
            await self._serve(ledger, clock, definition, roster)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(ledger.close)

    async def _clock(self) -> ElectionClock:
        """The election's clock, once somebody has started it."""
        clock = night_clock(self._night, self._around.real)
        if clock is None:
            self._log(
                "clock.waiting", words=f"`tallygate serve {self._night.root}` starts the rehearsal's time"
            )
        while clock is None:
            await trio.sleep(CLOCK_SECONDS)
            clock = night_clock(self._night, self._around.real)
        return clock

    async def _serve(
        self, ledger: Ledger, clock: ElectionClock, definition: _core.Definition, roster: _core.Roster
    ) -> None:
        night, config, around, log, metrics = (
            self._night,
            self._config,
            self._around,
            self._log,
            self._metrics,
        )
        making = partial(Council, ledger, definition, roster, night.rosters, log=log, metrics=metrics)
        council = await trio.to_thread.run_sync(making)
        tls = BoxTls(
            night.pki,
            election=definition.id,
            crl_stale=config.tls.crl_stale,
            clock=around.real,
            metrics=metrics,
            log=log,
        )
        disk = DiskSpace(night.data, config.limits.disk_reserve_bytes, metrics.disk_free, log)
        await disk.look()
        _raise_files_limit(config.limits.connections, log)
        follow = FollowServer(ledger, night.follow)
        sequencer = Sequencer(
            ledger,
            council,
            clock=clock,
            timer=around.timer,
            limits=config.limits,
            metrics=metrics,
            log=log,
            on_commit=follow.committed,
        )
        listeners = await open_listeners(
            [parse_address(address) for address in config.listen.box], config.limits
        )
        addresses = tuple(map(bound_address, listeners))
        port = BoxPort(
            listeners,
            tls,
            sequencer,
            limits=config.limits,
            metrics=metrics,
            log=log,
            clock=around.real,
            until=clock.real_seconds_until,
            disk_ok=lambda: disk.enough,
            jitter=around.jitter,
        )
        closed = trio.Event()

        async def serve_port() -> None:
            await port.serve()
            closed.set()

        async with trio.open_nursery() as nursery:
            await nursery.start(sequencer.run)
            await nursery.start(follow.serve)
            nursery.start_soon(serve_port)
            nursery.start_soon(disk.watch)
            nursery.start_soon(self._reload_when_told, tls, sequencer)
            await self._ready(ledger, addresses)
            try:
                await self._stop.wait()
                port.stop()
                await closed.wait()
                await sequencer.close()
            finally:
                night.ready("ingest").unlink(missing_ok=True)
            nursery.cancel_scope.cancel()

    async def _ready(self, ledger: Ledger, addresses: tuple[str, ...]) -> None:
        """Says everywhere that the role serves."""
        # What was made so far lives as long as the process: no search for cycles looks at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        head = ledger.head()
        entries = 0 if head is None else head.size
        ready = ReadyFile(
            pid=os.getpid(),
            since=format_time(self._around.real()),
            box=addresses,
            operations=self._operations,
            ledger="run/ledger.sock",
            log_key=ledger.vkey,
            entries=entries,
        )
        await trio.to_thread.run_sync(write_ready, self._night.ready("ingest"), ready)
        self._health.state = "ready"
        self._around.notifier.ready(f"box port {', '.join(addresses)}; {entries} entries")
        self._log(
            "role.ready",
            box=", ".join(addresses),
            operations=", ".join(self._operations),
            entries=entries,
            log_key=ledger.vkey,
        )

    async def _reload_when_told(self, tls: BoxTls, sequencer: Sequencer) -> None:
        while True:
            await self._reload.wait()
            self._reload = trio.Event()
            await tls.reload()
            sequencer.look_for_rosters()


def _read_manifests(night: NightFolder) -> tuple[_core.Definition, _core.Roster]:
    definition = _core.Definition.load(night.definition)
    return definition, _core.Roster.load(night.roster, definition)


def _raise_files_limit(connections: int, log: Log) -> None:
    """Takes all the open files that the system allows, and says where they are fewer than may be needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = connections + OTHER_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        log(
            "limits.files",
            open_files=hard,
            needed=needed,
            words=f"raise the limit of open files (LimitNOFILE= or ulimit -Hn) to {needed}, or lower "
            "limits.connections in tallygate.toml: until then boxes may be turned away",
        )
