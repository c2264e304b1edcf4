"""A night in which everybody can speak, a ledger that watches its caller, and a sequencer at work."""

import contextlib
import copy
import hashlib
import itertools
import json
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import trio

from gateway import _core
from gateway.base.clock import HOUR
from gateway.base.config import Limits
from gateway.base.logs import Log
from gateway.base.metrics import IngestMetrics
from gateway.ledger.protocol import (
    Attachment,
    Entry,
    Head,
    Last,
    Ledger,
    LedgerFailedError,
    Logged,
    Named,
    Outcome,
    Receipt,
    Refusal,
    Refused,
    Submission,
)
from gateway.sequencer.council import Council
from gateway.sequencer.protocol import Role
from gateway.sequencer.sequencer import Sequencer
from tests.faults.night import MEMBER_SEEDS, Night
from tests.strategies import Content
from tests.unit.wire_election import DEFINITION, ELECTION, ROSTER, Election, Tables, write

# Of tests/unit/wire_election.py.
OPENS = 1_800_000_000_000
CLOSES_8 = 1_800_043_200_000
CLOSES_11 = 1_800_050_400_000
# Both stations are closed.
NIGHT = CLOSES_11 + HOUR

BOX, SECOND_BOX, TERMINAL, DESK, CAPITAL_DESK = 1, 3, 2, 5, 6
SEEDS = {
    BOX: b"\x11" * 32,
    TERMINAL: b"\x13" * 32,
    SECOND_BOX: b"\x14" * 32,
    DESK: b"\x12" * 32,
    CAPITAL_DESK: b"\x16" * 32,
}
LATE, LATE_SEED = 9, b"\x15" * 32


def _device(number: int, kind: str, stations: str, area: str, seed: bytes) -> str:
    return f"{number},{kind},{stations},{area},{_core.public_key(seed).hex()},"


# Courier 1 serves area 2, which holds station 8; courier 2 the whole country, area 1.
TABLES: Tables = {
    **ROSTER,
    "devices": [
        ROSTER["devices"][0],
        _device(BOX, "box", "8", "", SEEDS[BOX]),
        _device(TERMINAL, "terminal", "8", "", SEEDS[TERMINAL]),
        _device(SECOND_BOX, "box", "11", "", SEEDS[SECOND_BOX]),
        _device(DESK, "desk", "", "3", SEEDS[DESK]),
        _device(CAPITAL_DESK, "desk", "", "1", SEEDS[CAPITAL_DESK]),
    ],
    "couriers": ["courier,area,name", "1,2,Курьер", "2,1,Courier"],
}


@dataclass(frozen=True)
class Certificate:
    """A `gateway.sequencer.protocol.Peer`."""

    role: Role
    id: int


class ElectionClock:
    """The election's clock, where a test wants it."""

    def __init__(self, now: int = NIGHT) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Scene:
    """The folders of a night in which everybody's key is known; `mode` live or rehearsal."""

    def __init__(self, root: Path, *, mode: str = "live", opening: bool = True) -> None:
        self.root = root
        (root / "data" / "opening").mkdir(parents=True)
        self._election = Election(root)
        if mode != "live":
            manifest = copy.deepcopy(ELECTION)
            manifest["mode"] = mode
            self._election.write_definition(DEFINITION, manifest)
        self._election.write_roster(TABLES)
        self.night = Night(root, make=False)
        self.definition, self.roster = self.night.definition, self.night.roster
        self._decided: list[bytes] = []
        if opening:
            self.night.write_opening(self.night.opening_signatures())
            self._decided.append(_core.decode(self.night.opening_signatures()[0]).payload)

    def packet(
        self,
        device: int = BOX,
        sequence: int = 1,
        *,
        station: int = 8,
        report: int = 2,
        value: int = 0,
        seed: bytes | None = None,
    ) -> bytes:
        """A signed packet; `value` makes another payload of the same sequence."""
        counts: Content = ((1, ((9, value),), (0, 0)),)
        paper: Content = ((bytes([value]) * 32, 1, 1_000, 1, 1),)
        reports: dict[int, Content] = {
            1: (1, value, bytes(32), ()),
            2: (2, OPENS, ((3, value),)),
            3: (3, CLOSES_8, 1, value, (), counts, ()),
            4: (4, CLOSES_8, b"", 0, ((1, value),), counts, ()),
            5: (5, paper),
        }
        previous = b"" if sequence == 1 else bytes(32)
        content = (self.definition.hash, device, station, sequence, previous, OPENS, reports[report])
        return _core.sign("packet", content, SEEDS[device] if seed is None else seed)

    def decision(self, action: Content, *, members: Sequence[int] = (1, 2)) -> list[bytes]:
        """The signatures of the next decision; decision 1 is the opening."""
        previous = hashlib.sha256(self._decided[-1]).digest()
        content = (self.definition.hash, previous, len(self._decided) + 1, OPENS, (("en", "So."),), action)
        signed = [_core.sign("decision", content, MEMBER_SEEDS[member - 1]) for member in members]
        self._decided.append(_core.decode(signed[0]).payload)
        return signed

    def another_roster(self, *, without: int | None = None, definition: str | None = None) -> bytes:
        """A roster for later, beside the night: with the box `LATE` at station 11, courier 1 in area 10."""
        tables = copy.deepcopy(TABLES)
        tables["devices"] = [line for line in tables["devices"] if not line.startswith(f"{without},")]
        tables["devices"].append(_device(LATE, "box", "11", "", LATE_SEED))
        tables["couriers"] = ["courier,area,name", "1,10,Courier"]
        folder = self.root / "later"
        folder.mkdir()
        named = definition or self._election.named
        write(folder, "roster.json", {"format": "tallygate-roster/1", "definition": named}, tables)
        sha256 = hashlib.sha256((folder / "roster.json").read_bytes()).digest()
        folder.rename(self.root / sha256.hex())
        return sha256

    def install(self, sha256: bytes) -> Path:
        """Puts a later roster where the night keeps it."""
        folder = self.root / "rosters" / sha256.hex()
        folder.parent.mkdir(exist_ok=True)
        shutil.copytree(self.root / sha256.hex(), folder)
        return folder


class WatchingLedger:
    """A ledger in memory that checks how it is called, waits where a test wants it, and fails on demand.

    Attributes:
        batches: what `append` was given.
        faults: are raised by the appends with these numbers, from 0, before anything is taken.
        failure: is raised by every call from now on.
        lost: is raised by the next `append` after everything was taken, and by every later call.
        last_words: is raised by every call behind the next `append`, which is answered.
        poison: `append` raises for a batch that holds it, however often it comes.
        written: how many refusals there were at each `write_refusals`.
        committing: is set, on the event loop, when `append` has been called.
        most_readers: how many asked for a receipt at once.
        named_: the papers that packets name.
        papers: those that were stored.
    """

    def __init__(self, *, opened: bool = True) -> None:
        self.batches: list[list[Submission]] = []
        self.entries_: list[Submission] = []
        self.refused: list[Refusal] = []
        self.named_: dict[bytes, list[Named]] = {}
        self.papers: dict[bytes, Attachment] = {}
        self.routes: list[str | None] = []
        self.written: list[int] = []
        self.poison: bytes | None = None
        self.faults: dict[int, BaseException] = {}
        self.failure: LedgerFailedError | None = None
        self.lost: LedgerFailedError | None = None
        self.last_words: LedgerFailedError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.reading = threading.Event()
        self.reading.set()
        self.committing = trio.Event()
        self.most_readers = 0
        self._readers = 0
        self._counting = threading.Lock()
        self._calls = itertools.count()
        self._opened = opened
        self._busy = threading.Lock()
        self._loop = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()

    def hold(self) -> None:
        """The next `append` waits for `gate`."""
        self.gate.clear()
        self.committing = trio.Event()

    @property
    def vkey(self) -> str | None:
        return "fake" if self._opened else None

    def append(self, batch: Sequence[Submission]) -> list[Outcome]:
        assert threading.get_ident() != self._loop, "a commit on the event loop"
        assert batch, "an empty batch"
        assert self._busy.acquire(blocking=False), "two batches at once"
        try:
            trio.from_thread.run_sync(lambda: self.committing.set(), trio_token=self._token)
            assert self.gate.wait(20), "nobody opened the gate"
            self._raise()
            fault = self.faults.get(next(self._calls))
            if fault is not None:
                raise fault
            if any(one.statement.encoded == self.poison for one in batch):
                raise ValueError("a bug that one statement meets")
            self.batches.append(list(batch))
            answers = [self._take(one) for one in batch]
            if self.lost is not None:
                self.failure = self.lost
                raise self.lost
            self.failure = self.last_words
            return answers
        finally:
            self._busy.release()

    def _take(self, one: Submission) -> Outcome:
        if not self._opened:
            return Refused("log.not_open", "not yet", "later")
        for index, known in enumerate(self.entries_):
            if known.statement.encoded == one.statement.encoded:
                return Logged("duplicate", Receipt(index, (), "fake"))
        self.entries_.append(one)
        same = [
            known
            for known in self.entries_
            if (known.statement.device, known.statement.sequence)
            == (one.statement.device, one.statement.sequence)
        ]
        conflict = one.statement.device is not None and len(same) > 1
        return Logged("conflict" if conflict else "accepted", Receipt(len(self.entries_) - 1, (), "fake"))

    def head(self) -> Head | None:
        self._raise()
        return Head(len(self.entries_), bytes(32), "fake") if self._opened else None

    def receipt(self, id: bytes) -> Receipt | None:  # noqa: A002 - the word of the format
        assert threading.get_ident() != self._loop, "a lookup on the event loop"
        with self._counting:
            self._readers += 1
            self.most_readers = max(self.most_readers, self._readers)
        assert self.reading.wait(20), "nobody opened the gate"
        with self._counting:
            self._readers -= 1
        self._raise()
        for index, known in enumerate(self.entries_):
            if known.statement.id == id:
                return Receipt(index, (), "fake")
        return None

    def entries(self, start: int, end: int) -> list[Entry]:
        kept = enumerate(self.entries_[start:end], start)
        return [Entry(index, one.statement.encoded, one.received_at, one.route) for index, one in kept]

    def decisions(self) -> list[Entry]:
        self._raise()
        every = enumerate(self.entries(0, len(self.entries_)))
        return [entry for index, entry in every if self.entries_[index].statement.kind == "decision"]

    def last(self, device: int) -> Last | None:
        self._raise()
        mine = [one.statement for one in self.entries_ if one.statement.device == device]
        return Last(mine[-1].sequence or 0, mine[-1].id) if mine else None

    def refuse(self, refusal: Refusal, route: str | None = None) -> None:
        self.refused.append(refusal)
        self.routes.append(route)

    def write_refusals(self) -> None:
        assert threading.get_ident() != self._loop, "a transaction on the event loop"
        self._raise()
        self.written.append(len(self.refused))

    def refusals(self, limit: int) -> list[Refusal]:
        return self.refused[::-1][:limit]

    def refusals_of(self, devices: Sequence[int], limit: int) -> list[Refusal]:
        assert threading.get_ident() != self._loop, "a lookup on the event loop"
        self._raise()
        return [one for one in self.refused[::-1] if one.device in devices][:limit]

    def named(self, sha256: bytes) -> list[Named]:
        assert threading.get_ident() != self._loop, "a lookup on the event loop"
        self._raise()
        return self.named_.get(sha256, [])

    def store_attachment(self, attachment: Attachment) -> None:
        assert threading.get_ident() != self._loop, "a transaction on the event loop"
        self._raise()
        self.papers[attachment.sha256] = attachment

    def attachment(self, sha256: bytes) -> Attachment | None:
        self._raise()
        return self.papers.get(sha256)

    def stored_bytes(self) -> dict[int, int]:
        raise AssertionError("the sequencer does not add papers up")

    def close(self) -> None:
        self.failure = LedgerFailedError("closed")

    def _raise(self) -> None:
        if self.failure is not None:
            raise LedgerFailedError(self.failure.detail)


class Stage:
    """A sequencer at work, in one Trio run.

    Attributes:
        commits: how often `on_commit` was called.
        seconds: what the sequencer's timer shows.
        lines: of the log.
    """

    def __init__(self, scene: Scene, ledger: Ledger, limits: Limits, clock: ElectionClock) -> None:
        self.scene = scene
        self.ledger = ledger
        self.clock = clock
        self.metrics = IngestMetrics("0", process=False)
        self.lines: list[str] = []
        self.log = Log("ingest", self.lines.append, lambda: 0)
        self.commits = 0
        self.seconds = 0.0
        self.council = Council(
            ledger, scene.definition, scene.roster, scene.root / "rosters", log=self.log, metrics=self.metrics
        )
        self.sequencer = Sequencer(
            ledger,
            self.council,
            clock=clock,
            timer=lambda: self.seconds,
            limits=limits,
            metrics=self.metrics,
            log=self.log,
            on_commit=self._committed,
        )

    def _committed(self) -> None:
        self.commits += 1

    async def submit(self, statement: bytes, role: Role = "box", number: int = BOX) -> Outcome:
        return await self.sequencer.submit(statement, Certificate(role, number))

    async def verdict(self, statement: bytes, role: Role = "box", number: int = BOX) -> str:
        """The standing, or the refusal's code."""
        answer = await self.submit(statement, role, number)
        return answer.standing if isinstance(answer, Logged) else answer.code

    def events(self) -> list[str]:
        return [cast("dict[str, str]", json.loads(line))["event"] for line in self.lines]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@contextlib.asynccontextmanager
async def staged(
    scene: Scene, ledger: Ledger, *, limits: Limits | None = None, clock: ElectionClock | None = None
) -> AsyncIterator[Stage]:
    """A sequencer that runs until the block ends."""
    stage = Stage(scene, ledger, limits or Limits(), clock or ElectionClock())
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.sequencer.run)
        yield stage
        nursery.cancel_scope.cancel()


def play(test: Callable[[], Awaitable[None]]) -> None:
    """Runs a test; a wait that never ends is its failure."""

    async def main() -> None:
        with trio.fail_after(30):
            await test()

    trio.run(main)
