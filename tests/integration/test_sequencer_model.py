"""The sequencer and the real ledger against docs/box-port.md and docs/ledger.md, word for word over a list.

Uploads come in groups, some of them are cancelled, the clock jumps, the commission moves closing times and
takes that back, the gateway restarts.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import trio
from hypothesis import given
from hypothesis import strategies as st

from gateway import _core
from gateway.base.clock import HOUR
from gateway.base.config import Limits
from gateway.ledger.protocol import Logged, Outcome
from gateway.sequencer.protocol import Role
from tests.unit.sequencer_helpers import (
    BOX,
    CLOSES_8,
    CLOSES_11,
    DESK,
    OPENS,
    SECOND_BOX,
    Certificate,
    ElectionClock,
    Scene,
    Stage,
    staged,
)

ENTRIES, DESK_ENTRIES = 4, 5
STATIONS = {8: CLOSES_8, 11: CLOSES_11}
AREAS = {1: {8}, 2: {8, 11}}
TIMES = [OPENS - 13 * HOUR, OPENS, CLOSES_8, CLOSES_11, CLOSES_11 + 3 * HOUR]


@dataclass(frozen=True)
class Upload:
    """One upload: what is said, whether it is forged, who brings it, and whether the client waits."""

    device: int
    sequence: int
    station: int
    report: int
    value: int
    forged: bool
    peer: Certificate
    patient: bool

    def statement(self, scene: Scene) -> bytes:
        packet = scene.packet(
            self.device, self.sequence, station=self.station, report=self.report, value=self.value
        )
        return packet[:-1] + bytes([packet[-1] ^ 1]) if self.forged else packet


@dataclass(frozen=True)
class Move:
    """The commission moves a closing time; station 0: all."""

    station: int
    at: int


@dataclass(frozen=True)
class Undo:
    """It undoes one of its decisions, counted from the newest."""

    back: int


@dataclass(frozen=True)
class Jump:
    """The election's clock is somewhere else."""

    now: int


class Restart:
    """The gateway ends and starts again."""


Step: TypeAlias = "tuple[Upload, ...] | Move | Undo | Jump | Restart"

devices = st.sampled_from([BOX, SECOND_BOX, DESK])
ROLES: dict[int, Role] = {BOX: "box", SECOND_BOX: "box", DESK: "desk"}
peers = st.one_of(
    devices.map(lambda number: Certificate(ROLES[number], number)),
    st.sampled_from([Certificate("courier", 1), Certificate("courier", 2), Certificate("commission", 1)]),
)


@st.composite
def uploads(draw: st.DrawFn) -> Upload:
    device = draw(devices)
    own = Certificate(ROLES[device], device)
    return Upload(
        device=device,
        sequence=draw(st.integers(1, 2)),
        station=draw(st.sampled_from([8, 8, 11, 99])),
        report=draw(st.sampled_from([2, 3])),
        value=draw(st.integers(0, 4)),
        forged=draw(st.integers(0, 9)) == 9,
        peer=draw(st.one_of(st.just(own), st.just(own), peers)),
        patient=draw(st.integers(0, 5)) < 5,
    )


steps: st.SearchStrategy[Step] = st.one_of(
    st.lists(uploads(), min_size=1, max_size=8).map(tuple),
    st.lists(uploads(), min_size=1, max_size=8).map(tuple),
    st.builds(Move, st.sampled_from([0, 8, 11]), st.sampled_from(TIMES)),
    st.builds(Undo, st.integers(0, 3)),
    st.builds(Jump, st.sampled_from(TIMES)),
    st.builds(Restart),
)


@dataclass
class Kept:
    """An entry of the model's log."""

    statement: bytes
    upload: Upload | None


@dataclass
class Model:
    """The whole gateway as a list."""

    opening: list[bytes]
    now: int = CLOSES_11
    log: list[Kept] = field(default_factory=list)
    # From decision 2 on.
    decided: list[Move | Undo] = field(default_factory=list)

    def upload(self, one: Upload, statement: bytes) -> str:
        """The standing, or the code of the refusal; what is new is in the log then."""
        refused = self._at_the_door(one)
        if refused is not None:
            return refused
        if any(kept.statement == statement for kept in self.log):
            return "duplicate"
        packets = [kept.upload for kept in self.log if kept.upload is not None]
        payloads = {
            (kept.station, kept.report, kept.value)
            for kept in packets
            if (kept.device, kept.sequence) == (one.device, one.sequence)
        }
        mine = (one.station, one.report, one.value)
        if mine not in payloads and len(payloads) == 4:
            return "limit.device"
        over = [kept for kept in packets if (kept.device, kept.peer) == (one.device, one.peer)]
        if len(over) >= (DESK_ENTRIES if one.device == DESK else ENTRIES):
            return "limit.device"
        self.log.append(Kept(statement, one))
        return "conflict" if payloads - {mine} and mine not in payloads else "accepted"

    def _at_the_door(self, one: Upload) -> str | None:
        if one.forged:
            return "statement.signature"
        if one.peer.role == "commission":
            return "identity.role"
        if one.peer.role == "courier":
            if one.station not in AREAS[one.peer.id]:
                return "identity.area"
        elif one.peer.id != one.device:
            return "identity.device"
        closing = self.closes_at(one.station) if one.report == 3 else None
        if self.now < OPENS - 12 * HOUR or (closing is not None and self.now < closing):
            return "statement.too_early"
        return None

    def closes_at(self, station: int) -> int | None:
        if station not in STATIONS:
            return None
        gone: set[int] = set()
        for number in range(len(self.decided) + 1, 1, -1):
            decision = self.decided[number - 2]
            if number not in gone and isinstance(decision, Undo):
                gone.add(self.target(number))
        for number in range(len(self.decided) + 1, 1, -1):
            decision = self.decided[number - 2]
            if number not in gone and isinstance(decision, Move) and decision.station in {0, station}:
                return decision.at
        return STATIONS[station]

    def target(self, number: int) -> int:
        """Which decision the undoing under this number undoes."""
        decision = self.decided[number - 2]
        assert isinstance(decision, Undo)
        return number - 1 - decision.back

    def may_undo(self, undo: Undo) -> bool:
        """Whether that is a decision, and not undone yet: otherwise the undoing would be void."""
        number = len(self.decided) + 1 - undo.back
        if number < 2:
            return False
        gone: set[int] = set()
        for later in range(len(self.decided) + 1, number, -1):
            if later not in gone and isinstance(self.decided[later - 2], Undo):
                gone.add(self.target(later))
        return number not in gone


async def submit_all(stage: Stage, group: Sequence[Upload]) -> list[tuple[Upload, Outcome | None]]:
    """All at once, in the order in which they came to the queue; None: the client did not wait."""
    order: list[Upload] = []
    answers: dict[int, Outcome] = {}

    async def upload(place: int, one: Upload) -> None:
        with trio.CancelScope() as scope:
            if not one.patient:
                scope.cancel()
            order.append(one)
            places.append(place)
            answers[place] = await stage.sequencer.submit(one.statement(stage.scene), one.peer)

    places: list[int] = []
    async with trio.open_nursery() as nursery:
        for place, one in enumerate(group):
            nursery.start_soon(upload, place, one)
    return [(one, answers.get(place)) for place, one in zip(places, order, strict=True)]


async def take(stage: Stage, model: Model, step: Step) -> None:
    match step:
        case Jump():
            stage.clock.now = model.now = step.now
        case Move():
            await decide(stage, model, step, (11, step.station, step.at))
        case Undo() if model.may_undo(step):
            await decide(stage, model, step, (13, len(model.decided) + 1 - step.back))
        case tuple():
            for one, answer in await submit_all(stage, step):
                if answer is None:
                    continue
                statement = one.statement(stage.scene)
                expected = model.upload(one, statement)
                if isinstance(answer, Logged):
                    assert answer.standing == expected
                    text = answer.receipt.text().encode()
                    index, _ = _core.verify_receipt(text, statement, stage.scene.night.vkey)
                    logged = [kept.statement for kept in model.log]
                    assert index == len(model.opening) + logged.index(statement)
                else:
                    assert answer.code == expected


async def decide(stage: Stage, model: Model, decision: Move | Undo, action: tuple[int, ...]) -> None:
    for member, signature in enumerate(stage.scene.decision(action), 1):
        assert await stage.verdict(signature, "commission", member) == "accepted"
        model.log.append(Kept(signature, None))
    model.decided.append(decision)


def check(stage: Stage, model: Model) -> None:
    expected = model.opening + [kept.statement for kept in model.log]
    assert [entry.statement for entry in stage.ledger.entries(0, 1_000)] == expected
    for station in (8, 11, 99):
        assert stage.council.closes_at(station) == model.closes_at(station)


@given(st.lists(steps, min_size=1, max_size=16))
def test_the_gateway_is_a_list(program: list[Step]) -> None:
    async def main(scene: Scene) -> None:
        model = Model(scene.night.opening_signatures())
        limits = Limits(entries_per_device=ENTRIES, entries_per_desk_station=DESK_ENTRIES - ENTRIES)
        rest = list(program)
        while rest:
            ledger = scene.night.open()
            try:
                async with staged(scene, ledger, limits=limits, clock=ElectionClock(model.now)) as stage:
                    check(stage, model)
                    while rest and not isinstance(step := rest.pop(0), Restart):
                        await take(stage, model, step)
                        check(stage, model)
            finally:
                ledger.close()

    with tempfile.TemporaryDirectory() as folder:
        trio.run(main, Scene(Path(folder)))
