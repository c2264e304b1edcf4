"""The role `publish`: from the ledger's socket to the feed, beside `ingest` and never in its way.

What lives here: `run_publish`. Start: the role's lock, keys and manifests, completing what an earlier run has
left; the role is then ready, whether the ledger is there or not, for that comes and goes. End (SIGTERM,
SIGINT): the snapshot that is being written is finished, and noted that all ended well. SIGHUP looks for
rosters that are missing.

An error of the feed's disk ends the process: what is published stays, and the next start looks at what is
really on the disk.
"""

from functools import partial
from typing import Final

import msgspec
import trio

from gateway import _core
from gateway.base.config import Config
from gateway.base.errors import TallygateError
from gateway.base.files import PUBLIC_DIRECTORY
from gateway.base.metrics import PublishMetrics
from gateway.publish.attachments import Attachments
from gateway.publish.disk import Disk
from gateway.publish.embargo import check_folders
from gateway.publish.exports.task import Exporter
from gateway.publish.loop import Publisher, show_waiting
from gateway.publish.press import Press
from gateway.publish.sheet import NightSite
from gateway.publish.snapshot import SnapshotBuilder
from gateway.publish.software import installed
from gateway.publish.tables import Tables
from gateway.publish.writer import Feed
from gateway.run.folder import NightFolder, read_ready, read_snapshot_seed
from gateway.run.role import RoleRun, Surroundings, run_role
from gateway.run.upkeep import DiskSpace, KeptCounter, Room, shared_reserve

# Written after each snapshot; outside the feed, for it is nobody else's.
RECORD: Final = "last-snapshot"


async def run_publish(night: NightFolder, config: Config, around: Surroundings) -> None:
    """Runs the role until SIGTERM or SIGINT.

    Raises:
        TallygateError: something that this role needs is not right.
        FeedFailedError: the feed cannot be written any more.
        ExceptionGroup: of these, or of a fault of the program.
        OSError: a file cannot be read.
    """
    metrics = PublishMetrics(_core.__version__)

    async def work(run: RoleRun) -> None:
        failures = KeptCounter(metrics.failures, "op", night.run / "publish-failures.json")
        try:
            await _live(night, config, around, metrics, run)
        finally:
            failures.keep()

    await run_role("publish", night, config.listen.operations_publish, around, metrics, work)


async def _live(
    night: NightFolder, config: Config, around: Surroundings, metrics: PublishMetrics, run: RoleRun
) -> None:
    # Whoever has removed the whole feed gets it back.
    night.feed.mkdir(mode=PUBLIC_DIRECTORY, exist_ok=True)
    site = await trio.to_thread.run_sync(_read_site, night, around)
    reserve = config.limits.disk_reserve_bytes
    space = DiskSpace(night.feed, reserve, metrics.disk_free, around.log)
    await space.look()
    room = Room(space, shared_reserve(night.data, night.feed, reserve), around.log)
    with (
        Disk(str(night.feed)) as disk,
        Press(
            site,
            Feed(night.feed, night.data / RECORD, disk, around.log, hidden=night.embargo),
            Tables(night.feed),
            log=around.log,
            metrics=metrics,
            timer=around.timer,
            real=around.real,
            room=room,
        ) as press,
    ):
        await trio.to_thread.run_sync(press.recover)
        number = press.published
        status = "nothing is published yet" if number is None else f"snapshot {number} is published"
        ready = msgspec.structs.replace(run.ready_file(), snapshot=number)
        await run.ready(ready, status, snapshot=number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(space.watch)
            nursery.start_soon(_publish, night, around, metrics, run, press, room)
            exporter = Exporter(
                night.feed,
                site.snapshot_seed,
                newest=lambda: press.newest,
                arrivals=press.arrivals,
                room=room,
                reserve=reserve,
                log=around.log,
                metrics=metrics,
            )
            nursery.start_soon(exporter.run)
            attachments = Attachments(
                press.papers,
                night.attachments,
                night.feed,
                night.embargo,
                newest=lambda: press.newest,
                publish_at=site.definition.publish_at,
                free=lambda: space.free,
                # Copies too leave room for statements, where they share a disk.
                reserve=reserve + config.limits.attachment_reserve_bytes,
                log=around.log,
                metrics=metrics,
            )
            nursery.start_soon(attachments.run)
            await run.stop.wait()
            nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(press.finish)


async def _publish(
    night: NightFolder,
    around: Surroundings,
    metrics: PublishMetrics,
    run: RoleRun,
    press: Press,
    room: Room,
) -> None:
    clock = await run.clock()
    show_waiting(press, metrics, clock)
    # Whoever has removed the feed to make room would have all of it written again.
    await room.wait()
    publisher = Publisher(
        press,
        socket=night.follow,
        log_key=partial(_log_key, night),
        clock=clock,
        log=around.log,
        metrics=metrics,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.run)
        while True:
            await run.reload_asked()
            publisher.look_for_rosters()


def _read_site(night: NightFolder, around: Surroundings) -> NightSite:
    definition = _core.Definition.load(night.definition)
    if definition.publish_at is not None:
        check_folders(night.feed, night.embargo)
    if definition.mode == "live" and night.clock.exists():
        raise TallygateError(
            "clock.live", "a live election runs in real time: remove this file", place=str(night.clock)
        )
    roster = _core.Roster.load(night.roster, definition)
    information = _core.Information.load(night.information, definition)
    seed = read_snapshot_seed(night, around.credentials)
    software = installed()
    return NightSite(
        definition=definition,
        definition_folder=night.definition,
        roster=roster,
        roster_folder=night.roster,
        information=information,
        information_folder=night.information,
        informations=night.informations,
        shown=night.shown,
        pause=night.pause,
        rosters=night.rosters,
        spool=night.data,
        snapshot_seed=seed,
        make_builder=lambda first: SnapshotBuilder(
            definition, first, seed, information=information.hash, software=software
        ),
    )


def _log_key(night: NightFolder) -> str | None:
    """The verifier key of the log, from the role that has it; what it says is judged by decision 1."""
    ready = read_ready(night.ready("ingest"))
    return None if ready is None else ready.log_key
