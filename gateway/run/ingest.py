"""The role `ingest`: box port, sequencer and ledger of one night, made, run and ended in their order.

What lives here: `run_ingest`. Start: the role's lock, the operations listener (so that a start that takes
seconds can be watched), the rehearsal's clock, manifests and key, the proof of the ledger's past, and only
then the port. End (SIGTERM, SIGINT): nobody new, what is in flight is answered, the ledger is closed, the
operations listener goes last. SIGHUP reads certificates and rosters again.

A `LedgerFailedError` of any part comes up through the nursery and ends the process: nothing here catches it
on its way but to say so.
"""

from functools import partial

import msgspec
import trio

from gateway import _core
from gateway.base.clock import SECOND, ElectionClock
from gateway.base.config import Config, parse_address
from gateway.base.errors import TallygateError
from gateway.base.metrics import IngestMetrics
from gateway.boxport import BoxPort, BoxTls, bound_address, open_listeners
from gateway.boxport.attachments import Attachments, Shelf, slots
from gateway.ledger.follow import FollowServer
from gateway.ledger.protocol import Ledger, LedgerFailedError
from gateway.ledger.recovery import Site
from gateway.ledger.sqlite import open_ledger
from gateway.run.folder import NightFolder, read_log_seed
from gateway.run.role import RoleRun, Surroundings, run_role
from gateway.run.station import asked_station, tell
from gateway.run.upkeep import DiskSpace, KeptCounter, raise_files_limit
from gateway.sequencer.council import Council
from gateway.sequencer.sequencer import Sequencer


async def run_ingest(night: NightFolder, config: Config, around: Surroundings) -> None:
    """Runs the role until SIGTERM or SIGINT.

    Raises:
        TallygateError: something that this role needs is not right, and it did not start.
        LedgerFailedError: the ledger can promise nothing any more.
        ExceptionGroup: of these, or of a fault of the program.
        OSError: a file cannot be read.
    """
    metrics = IngestMetrics(_core.__version__)

    async def work(run: RoleRun) -> None:
        failures = KeptCounter(metrics.ledger_failures, "op", night.run / "ledger-failures.json")
        try:
            await _Ingest(night, config, around, metrics, run).live()
        except BaseException:
            failures.keep()
            raise

    await run_role("ingest", night, config.listen.operations_ingest, around, metrics, work)


class _Ingest:
    """What is this role's own."""

    def __init__(
        self,
        night: NightFolder,
        config: Config,
        around: Surroundings,
        metrics: IngestMetrics,
        run: RoleRun,
    ) -> None:
        self._night = night
        self._config = config
        self._around = around
        self._log = around.log
        self._metrics = metrics
        self._run = run

    async def live(self) -> None:
        night, around = self._night, self._around
        definition, roster = await trio.to_thread.run_sync(_read_manifests, night)
        if definition.mode == "live" and night.clock.exists():
            raise TallygateError(
                "clock.live", "a live election runs in real time: remove this file", place=str(night.clock)
            )
        clock = await self._run.clock()
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
        metrics.disk_reserve.set(config.limits.disk_reserve_bytes)
        metrics.election_clock.set_function(lambda: clock() / SECOND)
        metrics.election_opens.set(definition.opens_at / SECOND)
        metrics.election_closes.set(definition.closes_at / SECOND)
        shelf = Shelf(night.attachments)
        left = await trio.to_thread.run_sync(shelf.clean)
        if left:
            log("attachments.cleaned", files=left)
        stored = await trio.to_thread.run_sync(ledger.stored_bytes)
        papers = DiskSpace(
            night.attachments,
            config.limits.disk_reserve_bytes + config.limits.attachment_reserve_bytes,
            metrics.papers_disk_free,
            log,
        )
        await papers.look()
        raise_files_limit(config.limits.connections + slots(config.limits), log)
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
        attachments = Attachments(
            shelf,
            sequencer,
            stored,
            limits=config.limits,
            free=lambda: papers.free or 0,
            metrics=metrics,
            log=log,
        )
        port = BoxPort(
            listeners,
            tls,
            sequencer,
            attachments,
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
            nursery.start_soon(papers.watch)
            nursery.start_soon(self._reload_when_told, tls, sequencer)
            self._run.health.tell = partial(_tell, sequencer, port)
            await self._ready(ledger, addresses)
            await self._run.stop.wait()
            self._run.health.tell = None
            port.stop()
            await closed.wait()
            await sequencer.close()
            nursery.cancel_scope.cancel()

    async def _ready(self, ledger: Ledger, addresses: tuple[str, ...]) -> None:
        """Says everywhere that the role serves."""
        head = ledger.head()
        entries = 0 if head is None else head.size
        ready = msgspec.structs.replace(
            self._run.ready_file(),
            box=addresses,
            ledger="run/ledger.sock",
            log_key=ledger.vkey,
            entries=entries,
        )
        await self._run.ready(
            ready,
            f"box port {', '.join(addresses)}; {entries} entries",
            box=", ".join(addresses),
            entries=entries,
            log_key=ledger.vkey,
        )

    async def _reload_when_told(self, tls: BoxTls, sequencer: Sequencer) -> None:
        while True:
            await self._run.reload_asked()
            await tls.reload()
            sequencer.look_for_rosters()


async def _tell(sequencer: Sequencer, port: BoxPort, target: str) -> bytes | None:
    """What this role tells operators beside its metrics; None: it knows of no such path."""
    number = asked_station(target)
    if number is None:
        return None
    try:
        now = await sequencer.station(number)
    except LedgerFailedError:  # the role ends with it; who asks hears that there is no answer
        return None
    return None if now is None else tell(now, port.handshakes)


def _read_manifests(night: NightFolder) -> tuple[_core.Definition, _core.Roster]:
    definition = _core.Definition.load(night.definition)
    return definition, _core.Roster.load(night.roster, definition)
