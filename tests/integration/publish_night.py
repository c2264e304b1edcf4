"""A ledger, its socket and a publisher in one Trio run with a mock clock; the rest is real."""

import contextlib
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import trio
import trio.testing

from gateway import _core
from gateway.base.clock import ElectionClock
from gateway.base.logs import Log
from gateway.base.metrics import PublishMetrics
from gateway.feed.models import Latest, Software
from gateway.feed.reading import check_note, read_latest
from gateway.ledger.follow import ALIVE_SECONDS, FollowServer
from gateway.ledger.sqlite import SqliteLedger
from gateway.publish.disk import Disk
from gateway.publish.loop import Publisher
from gateway.publish.press import Press
from gateway.publish.protocol import Builder
from gateway.publish.sheet import NightSite
from gateway.publish.snapshot import SnapshotBuilder
from gateway.publish.tables import Tables
from gateway.publish.writer import Feed
from tests.faults.night import MEMBER_SEEDS, OPENED_AT, ORIGIN, Night, statement, submit
from tests.strategies import Content
from tests.unit.wire_election import INFORMATION, MEDIA, SITE, Json, write

SNAPSHOT_SEED = b"\x22" * 32
SNAPSHOT_VKEY = _core.vkey(f"{ORIGIN}/snapshot", _core.public_key(SNAPSHOT_SEED))
BOX_SEED = b"\x11" * 32
# Of the one box in tests/unit/wire_election.py, which has no terminal beside it.
DEVICE, STATION = 1, 8
SOFTWARE = Software("ab" * 32, "test")


def turnout(night: Night, sequence: int, identified: int) -> _core.Statement:
    """A packet that belongs: it changes its station's object, and all above it."""
    content = (
        night.definition.hash,
        DEVICE,
        STATION,
        sequence,
        b"" if sequence == 1 else bytes(32),
        OPENED_AT,
        (2, OPENED_AT + 60_000, ((3, identified),)),
    )
    return statement("packet", content, BOX_SEED)


class Commission:
    """Decides, with its quorum of two."""

    def __init__(self, night: Night) -> None:
        self._night = night
        self._number = 1
        self._previous = _hash(night.decision_one())
        self.reason = "Because."

    def decide(self, action: Content) -> list[_core.Statement]:
        """The next decision's signatures."""
        self._number += 1
        content = (
            self._night.definition.hash,
            self._previous,
            self._number,
            OPENED_AT,
            (("en", self.reason),),
            action,
        )
        self._previous = _hash(content)
        return [statement("decision", content, seed) for seed in MEMBER_SEEDS[:2]]


def _hash(content: Content) -> bytes:
    return hashlib.sha256(_core.encode_payload("decision", content)).digest()


def _without_media(folder: Path, definition: bytes) -> None:
    """The information of tests/unit/wire_election.py, whose pictures are nowhere."""
    named = re.compile("|".join(map(re.escape, MEDIA)))
    tables = {name: [named.sub("", line) for line in lines] for name, lines in INFORMATION.items()}
    head: dict[str, Json] = {"format": "tallygate-information/1", "definition": definition.hex()}
    write(folder, "information.json", {**head, "site": SITE, "media": {}}, tables)


class Publication:
    """The folder of a night with a feed, a ledger, and lives of its publisher."""

    def __init__(self, root: Path, *, publish_at: int | None = None, make: bool = True) -> None:
        root.mkdir(exist_ok=True)
        self.night = Night(root, publish_at=publish_at, make=make)
        self.root = root
        self.feed = root / "feed"
        if make:
            _without_media(root / "information", self.night.definition.hash)
            self.feed.mkdir()
        self.hidden = root / "embargo"
        self.record = self.night.data / "last-snapshot"
        self.socket = root / "ledger.sock"
        self.commission = Commission(self.night)
        self.lines: list[str] = []
        self.log = Log("publish", self.lines.append, lambda: 0)
        self.clock = trio.testing.MockClock()
        self.sequence = 0
        self.election_time = OPENED_AT + 120_000
        self.room = True
        self.make_disk: Callable[[str], Disk] = Disk
        self.make_builder: Callable[[_core.Roster], Builder] = self.builder

    # --- What the log gets ---

    def add(self, ledger: SqliteLedger, count: int = 1) -> None:
        """Turnouts of the one box, higher and higher."""
        first, self.sequence = self.sequence + 1, self.sequence + count
        packets = [turnout(self.night, number, number) for number in range(first, first + count)]
        ledger.append([submit(packet, "box:1", None) for packet in packets])

    def decide(self, ledger: SqliteLedger, action: Content) -> None:
        ledger.append([submit(one, "commission:1") for one in self.commission.decide(action)])

    # --- What it runs on ---

    @contextlib.contextmanager
    def ledger(self) -> Iterator[SqliteLedger]:
        ledger = self.night.open()
        try:
            yield ledger
        finally:
            ledger.close()

    def builder(self, roster: _core.Roster) -> SnapshotBuilder:
        return SnapshotBuilder(
            self.night.definition, roster, SNAPSHOT_SEED, information=self.information.hash, software=SOFTWARE
        )

    @property
    def information(self) -> _core.Information:
        return _core.Information.load(self.root / "information", self.night.definition)

    def site(self) -> NightSite:
        root = self.root
        return NightSite(
            definition=self.night.definition,
            definition_folder=root / "definition",
            roster=self.night.roster,
            roster_folder=root / "roster",
            information=self.information,
            information_folder=root / "information",
            informations=root / "informations",
            shown=self.night.data / "information",
            pause=self.night.data / "pause.json",
            rosters=root / "rosters",
            spool=self.night.data,
            snapshot_seed=SNAPSHOT_SEED,
            make_builder=self.make_builder,
        )

    @contextlib.contextmanager
    def press(self, metrics: PublishMetrics) -> Iterator[Press]:
        with self.make_disk(str(self.feed)) as disk:
            press = Press(
                self.site(),
                Feed(self.feed, self.record, disk, self.log, hidden=self.hidden),
                Tables(self.feed),
                log=self.log,
                metrics=metrics,
                timer=self.clock.current_time,
                real=self.now,
                room=lambda: self.room,
            )
            with press:
                press.recover()
                yield press

    def now(self) -> int:
        """Real time as the mock clock has it; files are made in the machine's."""
        return time.time_ns() // 1_000_000

    # --- What comes out ---

    @property
    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.lines]

    def latest(self) -> Latest:
        """The pointer, with its note checked."""
        data = (self.feed / "latest.json").read_bytes()
        latest = read_latest(data)
        assert (self.feed / "snapshots" / f"{latest.snapshot}.json").read_bytes() == data
        note = (self.feed / "snapshots" / f"{latest.snapshot}.note").read_bytes()
        check_note(note, latest, data, SNAPSHOT_VKEY, "note")
        return latest

    def files(self) -> dict[str, bytes]:
        """Everything in the feed."""
        return {
            path.relative_to(self.feed).as_posix(): path.read_bytes()
            for path in sorted(self.feed.rglob("*"))
            if path.is_file()
        }

    def snapshots(self) -> list[Latest]:
        """All of them, with a chain without a gap."""
        found: list[Latest] = []
        while (path := self.feed / "snapshots" / f"{len(found) + 1}.json").exists():
            data = path.read_bytes()
            found.append(read_latest(data))
            if len(found) > 1:
                before = self.feed / "snapshots" / f"{len(found) - 1}.json"
                assert found[-1].previous == hashlib.sha256(before.read_bytes()).hexdigest()
        return found


class Life:
    """One run of publisher and ledger; time passes when a test says so."""

    def __init__(self, publication: Publication, ledger: SqliteLedger) -> None:
        self.publication = publication
        self.ledger = ledger
        self.metrics = PublishMetrics("1", process=False)
        self.server: FollowServer | None = None
        self._serving = trio.CancelScope()
        self.publisher: Publisher | None = None
        self.press: Press | None = None

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """The ledger's socket is there."""
        async with trio.open_nursery() as nursery:
            server = FollowServer(self.ledger, self.publication.socket)
            await nursery.start(server.serve)
            self.server = server
            yield
            nursery.cancel_scope.cancel()
        self.server = None

    def add(self, count: int = 1) -> None:
        self.publication.add(self.ledger, count)
        self.tell()

    def decide(self, action: Content) -> None:
        self.publication.decide(self.ledger, action)
        self.tell()

    def tell(self) -> None:
        if self.server is not None:
            self.server.committed()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for threads and sockets, while no time passes; pytest's timeout is the bound."""
        while not condition():
            await trio.to_thread.run_sync(time.sleep, 0.002)

    async def snapshot(self, number: int) -> Latest:
        """Waits for a snapshot; no time passes."""
        pointer = self.publication.feed / "latest.json"
        await self.until(lambda: pointer.exists() and self.publication.latest().snapshot >= number)
        latest = self.publication.latest()
        assert latest.snapshot == number
        return latest

    async def settle(self) -> None:
        """Gives sockets and threads the time for what they would do now, if anything."""
        for _ in range(4):
            await trio.testing.wait_all_tasks_blocked(0.005)
            await trio.to_thread.run_sync(time.sleep, 0.01)

    async def pass_time(self, seconds: float) -> None:
        """In steps in which the ledger's signs of life come through."""
        await self.settle()
        while seconds > 0:
            step = min(seconds, ALIVE_SECONDS - 1)
            self.publication.clock.jump(step)
            seconds -= step
            await self.settle()


def live(publication: Publication, test: Callable[[Life], Awaitable[None]]) -> PublishMetrics:
    """Runs a publisher beside a test, to the end that a role comes to."""
    found: list[PublishMetrics] = []

    async def main() -> None:
        with publication.ledger() as ledger:
            life = Life(publication, ledger)
            found.append(life.metrics)
            with publication.press(life.metrics) as press:
                life.press = press
                life.publisher = Publisher(
                    press,
                    socket=publication.socket,
                    log_key=lambda: ledger.vkey,
                    clock=ElectionClock(lambda: publication.election_time),
                    log=publication.log,
                    metrics=life.metrics,
                )
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(life.publisher.run)
                    await test(life)
                    nursery.cancel_scope.cancel()
                press.finish()

    trio.run(main, clock=publication.clock)
    return found[0]


def unlink(publication: Publication, patterns: Sequence[str]) -> None:
    """Removes files of the feed."""
    for pattern in patterns:
        for path in list(publication.feed.glob(pattern)):
            if path.is_file():
                path.unlink()
