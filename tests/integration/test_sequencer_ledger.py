"""The sequencer over the real ledger: receipts, codes, and what decisions change at the door."""

import json
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
import trio

from gateway import _core
from gateway.base.clock import HOUR
from gateway.base.config import Limits
from gateway.base.errors import TallygateError
from gateway.ledger.protocol import Entry, Logged, Refused
from gateway.ledger.refusals import WAITING_OF_ROUTE
from gateway.ledger.sqlite import SqliteLedger
from gateway.sequencer.council import Council, Decision
from gateway.sequencer.protocol import Role
from gateway.sequencer.sequencer import REFUSALS_SECONDS, Sequencer
from tests.unit.sequencer_helpers import (
    BOX,
    CAPITAL_DESK,
    CLOSES_8,
    CLOSES_11,
    DESK,
    LATE,
    LATE_SEED,
    NIGHT,
    OPENS,
    SECOND_BOX,
    TERMINAL,
    Certificate,
    ElectionClock,
    Scene,
    Stage,
    play,
    staged,
)

RESULT = 3
Test = Callable[[Stage], Awaitable[None]]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def perform(scene: Scene, *acts: Test, limits: Limits | None = None, now: int = NIGHT) -> None:
    """Plays each act with a ledger that was opened anew."""

    async def main() -> None:
        for act in acts:
            ledger = scene.night.open()
            try:
                async with staged(scene, ledger, limits=limits, clock=ElectionClock(now)) as stage:
                    await act(stage)
            finally:
                ledger.close()

    play(main)


async def decide(stage: Stage, signatures: Sequence[bytes]) -> None:
    for member, signature in enumerate(signatures, 1):
        assert await stage.verdict(signature, "commission", member) == "accepted"


async def result_is_due(stage: Stage, station: int, at: int) -> None:
    """A result at this station is refused until `at`, and then only for what it is not: new."""
    device = BOX if station == 8 else SECOND_BOX
    packet = stage.scene.packet(device, 1, station=station, report=RESULT)
    stage.clock.now = at - 1
    early = await stage.submit(packet, "box", device)
    assert isinstance(early, Refused)
    assert (early.code, early.retry, early.at) == ("statement.too_early", "later", at)


def test_every_answer_over_a_real_ledger(scene: Scene) -> None:
    async def act(stage: Stage) -> None:
        packet = scene.packet(BOX, 1)
        answers = [await stage.submit(packet), await stage.submit(packet, "courier", 2)]
        for answer, standing in zip(answers, ("accepted", "duplicate"), strict=True):
            assert isinstance(answer, Logged)
            assert answer.standing == standing
            index, _ = _core.verify_receipt(answer.receipt.text().encode(), packet, scene.night.vkey)
            assert index == 2
        receipt = await stage.sequencer.receipt(_core.decode(packet).id)
        assert receipt is not None
        assert _core.verify_receipt(receipt.text().encode(), packet, scene.night.vkey)[0] == 2
        assert await stage.sequencer.receipt(bytes(32)) is None
        assert await stage.verdict(scene.packet(BOX, 1, value=1)) == "conflict"
        table: list[tuple[bytes, Role, int, str]] = [
            (packet[:-1], "box", BOX, "statement.malformed"),
            (packet + b"\x00", "box", BOX, "statement.malformed"),
            (scene.packet(77, seed=LATE_SEED), "box", BOX, "statement.unknown_device"),
            (scene.packet(BOX, 3, seed=LATE_SEED), "box", BOX, "statement.unknown_device"),
            (packet[:-1] + b"\x00", "box", BOX, "statement.signature"),
            (packet, "commission", 1, "identity.role"),
            (scene.night.decision(5, 1).encoded, "box", BOX, "identity.role"),
            (packet, "box", SECOND_BOX, "identity.device"),
            (scene.packet(BOX, 2, station=11), "courier", 1, "identity.area"),
        ]
        for statement, role, number, expected in table:
            assert await stage.verdict(statement, role, number) == expected
        await stage.verdict(scene.packet(BOX, 2))
        kept = stage.ledger.refusals(100)
        assert [one.code for one in kept] == [expected for *_, expected in table[::-1]]

    perform(scene, act)


def test_a_night_where_everything_is_refused_leaves_its_traces(scene: Scene) -> None:
    async def act(stage: Stage) -> None:
        for sequence in range(20):
            assert await stage.verdict(scene.packet(BOX, sequence + 1), "terminal", TERMINAL) == (
                "identity.device"
            )
        stage.seconds += REFUSALS_SECONDS
        for number in range(1_200):
            await stage.verdict(b"rubbish %d" % number, "box", SECOND_BOX)
        stage.seconds += REFUSALS_SECONDS
        await stage.verdict(b"rubbish", "courier", 1)
        # Of the flood as many as may wait, and the two that were written at once.
        found = Counter(one.code for one in stage.ledger.refusals(1_000))
        assert found == {"identity.device": 20, "statement.malformed": WAITING_OF_ROUTE + 2}

    perform(scene, act)


def test_too_early_is_before_the_quotas_and_before_what_is_known(scene: Scene) -> None:
    # Who is known is excepted from the quotas alone (docs/box-port.md); the receipt is there for the asking.
    async def act(stage: Stage) -> None:
        packet = scene.packet(BOX, 1, report=RESULT)
        assert await stage.verdict(packet) == "accepted"
        stage.clock.now = CLOSES_8 - 1
        assert await stage.verdict(packet) == "statement.too_early"
        assert await stage.sequencer.receipt(_core.decode(packet).id) is not None
        stage.clock.now = CLOSES_8
        assert await stage.verdict(packet) == "duplicate"

    perform(scene, act)


def test_quotas(scene: Scene) -> None:
    async def act(stage: Stage) -> None:
        found = [await stage.verdict(scene.packet(BOX, n)) for n in (1, 2, 3, 1)]
        assert found == ["accepted", "accepted", "limit.device", "duplicate"]
        refused = await stage.submit(scene.packet(BOX, 3))
        assert isinstance(refused, Refused)
        assert refused.retry == "later"
        # By the certificate that uploads: nobody can use up a box's own.
        assert await stage.verdict(scene.packet(BOX, 3), "courier", 1) == "accepted"
        # A desk speaks for one station more.
        found = [await stage.verdict(scene.packet(DESK, n), "desk", DESK) for n in range(1, 7)]
        assert found == ["accepted"] * 5 + ["limit.device"]

    perform(scene, act, limits=Limits(entries_per_device=2, entries_per_desk_station=3))


def test_a_station_as_operators_see_it(scene: Scene) -> None:
    async def act(stage: Stage) -> None:
        now = await stage.sequencer.station(8)
        assert now is not None
        assert (now.closes_at, now.cancelled, now.refusals) == (CLOSES_8, False, ())
        assert [(one.device, one.kind, one.revoked, one.last) for one in now.devices] == [
            (BOX, "box", False, None),
            (TERMINAL, "terminal", False, None),
            (DESK, "desk", False, None),
            (CAPITAL_DESK, "desk", False, None),
        ]
        assert await stage.sequencer.station(999) is None
        packet = scene.packet(BOX, 3)
        assert await stage.verdict(packet) == "accepted"
        assert await stage.verdict(b"rubbish") == "statement.malformed"
        assert await stage.verdict(b"more rubbish", "box", SECOND_BOX) == "statement.malformed"
        # A revoked box takes the first one's place; the station closes later, and is cancelled.
        for action in ((3, SECOND_BOX, 8, BOX), (2, SECOND_BOX), (11, 8, CLOSES_8 + 1), (12, 8)):
            await decide(stage, scene.decision(action))
        stage.seconds += REFUSALS_SECONDS
        assert await stage.verdict(b"rubbish again") == "statement.malformed"
        now = await stage.sequencer.station(8)
        assert now is not None
        assert (now.closes_at, now.cancelled) == (CLOSES_8 + 1, True)
        assert [(one.device, one.revoked) for one in now.devices] == [
            (TERMINAL, False),
            (SECOND_BOX, True),
            (DESK, False),
            (CAPITAL_DESK, False),
        ]
        assert [(one.code, one.device) for one in now.refusals] == [("statement.malformed", SECOND_BOX)]
        other = await stage.sequencer.station(11)
        assert other is not None
        last = next(one.last for one in other.devices if one.device == SECOND_BOX)
        assert last is None

    perform(scene, act)


def test_a_desk_cannot_aim_all_its_entries_at_one_station(scene: Scene) -> None:
    packets = [scene.packet(DESK, number, station=8) for number in range(1, 5)]
    limits = Limits(station_bytes_per_device=sum(map(len, packets[:3])))

    async def act(stage: Stage) -> None:
        found = [await stage.verdict(one, "desk", DESK) for one in packets]
        assert found == ["accepted"] * 3 + ["limit.device"]
        assert await stage.verdict(scene.packet(DESK, 5, station=9), "desk", DESK) == "accepted"
        assert await stage.verdict(packets[0], "desk", DESK) == "duplicate"

    perform(scene, act, limits=limits)


def test_a_member_of_the_commission_has_so_many_bytes_of_decisions(scene: Scene) -> None:
    one, two = scene.decision((6,))
    again = [scene.decision((7,)) for _ in range(3)]
    opening = len(scene.night.opening_signatures()[0])
    limits = Limits(decision_bytes_per_member=opening + 3 * len(one))

    async def act(stage: Stage) -> None:
        await decide(stage, [one, two])
        await decide(stage, again[0])
        await decide(stage, again[1])
        refused = await stage.submit(again[2][0], "commission", 1)
        assert isinstance(refused, Refused)
        assert (refused.code, refused.retry) == ("limit.device", "later")
        # Its receipt is there whatever the limits, and nobody can use up another's share.
        assert await stage.verdict(one, "commission", 1) == "duplicate"
        assert await stage.verdict(scene.decision((6,), members=(3,))[0], "commission", 1) == "accepted"

    async def after_a_restart(stage: Stage) -> None:
        assert await stage.verdict(again[2][0], "commission", 2) == "limit.device"
        assert await stage.verdict(one, "commission", 1) == "duplicate"

    perform(scene, act, after_a_restart, limits=limits)


def test_a_closing_time_changes_with_the_quorum_and_back(scene: Scene) -> None:
    later, latest = CLOSES_8 + HOUR, CLOSES_11 + 2 * HOUR

    async def first(stage: Stage) -> None:
        await result_is_due(stage, 8, CLOSES_8)
        one, two = scene.decision((11, 8, later))
        await decide(stage, [one])
        await result_is_due(stage, 8, CLOSES_8)
        assert await stage.verdict(two, "commission", 2) == "accepted"
        # Again, and over another member's line: nothing new.
        assert await stage.verdict(one, "commission", 3) == "duplicate"
        assert stage.metric("tallygate_faults_total") == 0
        await result_is_due(stage, 8, later)
        await result_is_due(stage, 11, CLOSES_11)
        # Of two that say the same thing the higher number rules.
        await decide(stage, scene.decision((11, 0, latest)))
        await result_is_due(stage, 8, latest)
        await result_is_due(stage, 11, latest)

    async def again(stage: Stage) -> None:
        await result_is_due(stage, 8, latest)
        await decide(stage, scene.decision((13, 3)))
        await result_is_due(stage, 8, later)
        await result_is_due(stage, 11, CLOSES_11)
        await decide(stage, scene.decision((13, 2)))
        await result_is_due(stage, 8, CLOSES_8)
        # The undoing undone.
        await decide(stage, scene.decision((13, 4)))
        await result_is_due(stage, 8, latest)
        # Now, and not only for the future: what is past is past.
        await decide(stage, scene.decision((11, 8, OPENS)))
        stage.clock.now = OPENS
        assert await stage.verdict(scene.packet(BOX, 1, report=RESULT)) == "accepted"

    perform(scene, first, again)


def test_a_decision_that_nobody_heeds(scene: Scene) -> None:
    """Revoked, cancelled, paused: that is the tally's matter, a statement is not refused for it."""

    async def act(stage: Stage) -> None:
        for action in ((2, BOX), (4, 8, 0), (6,), (12, 8), (10, bytes(32))):
            await decide(stage, scene.decision(action))
        assert await stage.verdict(scene.packet(BOX, 1, report=RESULT)) == "accepted"

    perform(scene, act)


def test_a_decision_does_not_reach_what_comes_with_it(scene: Scene) -> None:
    async def act(stage: Stage) -> None:
        one, two = scene.decision((11, 8, OPENS))
        await decide(stage, [one])
        stage.clock.now = OPENS
        result = scene.packet(BOX, 1, report=RESULT)
        answers: dict[str, str] = {}

        async def upload(name: str, statement: bytes, role: Role, number: int) -> None:
            answers[name] = await stage.verdict(statement, role, number)

        # Both are there before the sequencer's task runs again: one batch.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upload, "decision", two, "commission", 2)
            nursery.start_soon(upload, "result", result, "box", BOX)
        assert answers == {"decision": "accepted", "result": "statement.too_early"}
        assert await stage.verdict(result) == "accepted"

    perform(scene, act)


def test_a_new_roster(scene: Scene) -> None:
    wanted = scene.another_roster()
    scene.install(wanted)
    late = scene.packet(LATE, 1, station=11, seed=LATE_SEED)

    async def first(stage: Stage) -> None:
        one, two = scene.decision((9, wanted))
        await decide(stage, [one])
        assert await stage.verdict(late, "box", LATE) == "statement.unknown_device"
        assert await stage.verdict(scene.packet(BOX, 1), "courier", 1) == "accepted"
        assert await stage.verdict(two, "commission", 3) == "accepted"
        await now_in_force(stage)
        assert await stage.verdict(late, "box", LATE) == "accepted"
        assert stage.events().count("roster.offered") == 1

    async def now_in_force(stage: Stage) -> None:
        assert stage.council.roster.hash == wanted
        # Courier 1 has moved from the area of station 8 to that of station 11.
        assert await stage.verdict(scene.packet(BOX, 2), "courier", 1) == "identity.area"
        present = await stage.sequencer.present(Certificate("courier", 1))
        assert (present.area, present.roster) == (10, wanted.hex())
        assert stage.metric("tallygate_missing_rosters") == 0

    async def again(stage: Stage) -> None:
        await now_in_force(stage)
        assert await stage.verdict(late, "box", LATE) == "duplicate"
        # Undoing it takes assignments away, and nobody's voice.
        present = await stage.sequencer.present(Certificate("box", LATE))
        assert [station for station, _ in present.stations] == [11]
        await decide(stage, scene.decision((13, 2)))
        present = await stage.sequencer.present(Certificate("box", LATE))
        assert present.stations == ()
        second = scene.packet(LATE, 2, station=11, seed=LATE_SEED)
        assert await stage.verdict(second, "box", LATE) == "accepted"

    perform(scene, first, again)


def test_a_roster_that_is_missing(scene: Scene) -> None:
    wanted = scene.another_roster()
    late = scene.packet(LATE, 1, station=11, seed=LATE_SEED)

    async def look(stage: Stage) -> None:
        stage.sequencer.look_for_rosters()
        # Done before the next batch.
        await stage.verdict(b"")

    async def still_missing(stage: Stage) -> None:
        assert await stage.verdict(late, "box", LATE) == "statement.unknown_device"
        assert await stage.verdict(scene.packet(BOX, 1), "courier", 1) in {"accepted", "duplicate"}
        assert stage.council.roster.hash == scene.roster.hash
        assert stage.metric("tallygate_missing_rosters") == 1
        assert stage.events().count("roster.missing") == 1

    async def first(stage: Stage) -> None:
        await decide(stage, scene.decision((9, wanted)))
        # Taken meanwhile: what rests on the roster comes with it.
        await decide(stage, scene.decision((3, LATE, 8, 0)))
        await still_missing(stage)
        await look(stage)
        await still_missing(stage)

    async def again(stage: Stage) -> None:
        await still_missing(stage)
        folder = scene.install(wanted)
        whole = (folder / "devices.csv").read_bytes()
        (folder / "devices.csv").write_bytes(whole[:-1])
        await look(stage)
        await still_missing(stage)
        assert "roster.refused" in stage.events()
        (folder / "devices.csv").write_bytes(whole)
        await look(stage)
        assert await stage.verdict(late, "box", LATE) == "accepted"
        assert stage.metric("tallygate_missing_rosters") == 0
        present = await stage.sequencer.present(Certificate("box", LATE))
        assert [station for station, _ in present.stations] == [8, 11]

    async def at_last(stage: Stage) -> None:
        assert stage.events() == ["roster.offered"]
        assert await stage.verdict(late, "box", LATE) == "duplicate"

    perform(scene, first, again, at_last)


def test_a_folder_with_another_roster_in_it(scene: Scene) -> None:
    wanted = scene.another_roster()
    shutil.copytree(scene.root / "roster", scene.root / "rosters" / wanted.hex())

    async def act(stage: Stage) -> None:
        await decide(stage, scene.decision((9, wanted)))
        assert stage.metric("tallygate_missing_rosters") == 1
        assert "roster.hash" in next(line for line in stage.lines if "roster.refused" in line)

    perform(scene, act)


@pytest.mark.parametrize("fault", ["loses a box", "of another definition"])
def test_a_roster_that_is_void(scene: Scene, fault: str) -> None:
    wanted = (
        scene.another_roster(without=TERMINAL)
        if fault == "loses a box"
        else scene.another_roster(definition="ab" * 32)
    )
    scene.install(wanted)

    async def act(stage: Stage) -> None:
        await decide(stage, scene.decision((9, wanted)))
        assert stage.council.roster.hash == scene.roster.hash
        assert stage.metric("tallygate_missing_rosters") == 0
        late = scene.packet(LATE, 1, station=11, seed=LATE_SEED)
        assert await stage.verdict(late, "box", LATE) == "statement.unknown_device"
        assert ("roster.refused" in stage.events()) == (fault != "loses a box")

    async def again(stage: Stage) -> None:
        assert stage.council.roster.hash == scene.roster.hash
        assert stage.metric("tallygate_missing_rosters") == 0

    perform(scene, act, again)


def test_the_roster_of_decision_1(scene: Scene) -> None:
    """Who puts a later roster in the place of the first still has to have the first."""
    wanted = scene.another_roster()
    first = scene.roster.hash

    async def open_it(stage: Stage) -> None:
        assert await stage.verdict(scene.packet(BOX, 1)) == "accepted"

    perform(scene, open_it)
    shutil.copytree(scene.root / "roster", scene.root / first.hex())
    shutil.rmtree(scene.root / "roster")
    shutil.copytree(scene.root / wanted.hex(), scene.root / "roster")
    scene.roster = _core.Roster.load(scene.root / "roster", scene.definition)
    with pytest.raises(TallygateError, match=r"roster\.missing"):
        perform(scene, open_it)
    scene.install(first)

    async def as_before(stage: Stage) -> None:
        assert stage.council.roster.hash == first
        late = scene.packet(LATE, 1, station=11, seed=LATE_SEED)
        assert await stage.verdict(late, "box", LATE) == "statement.unknown_device"

    perform(scene, as_before)


def test_before_the_opening(tmp_path: Path) -> None:
    scene = Scene(tmp_path, opening=False)

    async def act(stage: Stage) -> None:
        assert await stage.verdict(scene.packet(BOX, 1)) == "log.not_open"
        assert await stage.verdict(b"rubbish") == "statement.malformed"
        assert await stage.verdict(scene.night.opening_signatures()[0], "commission", 1) == "log.not_open"

    perform(scene, act)


def test_present(scene: Scene) -> None:
    async def act(stage: Stage) -> None:
        for sequence in (1, 2):
            assert await stage.verdict(scene.packet(BOX, sequence)) == "accepted"
        await decide(stage, scene.decision((3, BOX, 11, SECOND_BOX)))
        await decide(stage, scene.decision((11, 11, CLOSES_11 + HOUR)))
        box = await stage.sequencer.present(Certificate("box", BOX))
        assert (box.role, box.id, box.device, box.area) == ("box", BOX, BOX, None)
        assert box.stations == ((8, CLOSES_8), (11, CLOSES_11 + HOUR))
        assert box.last is not None
        assert (box.last.sequence, box.last.id) == (2, _core.decode(scene.packet(BOX, 2)).id.hex())
        assert (box.server_time, box.election, box.mode) == (NIGHT, "example-2027", "live")
        assert (box.definition, box.roster) == (scene.definition.hash.hex(), scene.roster.hash.hex())
        desk = await stage.sequencer.present(Certificate("desk", DESK))
        assert (desk.device, desk.area, desk.stations, desk.last) == (DESK, 3, (), None)
        courier = await stage.sequencer.present(Certificate("courier", 1))
        assert (courier.device, courier.area, courier.stations) == (None, 2, ())
        member = await stage.sequencer.present(Certificate("commission", 3))
        assert (member.device, member.area, member.last) == (None, None, None)
        stranger = await stage.sequencer.present(Certificate("box", 77))
        assert (stranger.device, stranger.stations, stranger.last) == (77, (), None)

    perform(scene, act)


class Panic(BaseException):
    """As pyo3 raises one: no Exception."""


def test_a_decision_that_could_not_be_learned_is_learned_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the log and its signer has the receipt: neither is taken back, and the door follows."""
    later = CLOSES_8 + HOUR
    real = Council._apply
    faults = [Panic("planted"), Panic("planted again")]

    def apply(self: Council, authority: _core.Authority, decision: Decision) -> None:
        if armed and faults:
            raise faults.pop()
        real(self, authority, decision)

    armed: list[bool] = []
    monkeypatch.setattr(Council, "_apply", apply)

    async def act(stage: Stage) -> None:
        one, two = scene.decision((11, 8, later))
        await decide(stage, [one])
        armed.append(True)
        assert await stage.verdict(two, "commission", 2) == "accepted"
        assert stage.commits == 2
        # The first attempt to catch up fails too: statements are still stored, under what was known.
        stage.clock.now = CLOSES_8
        assert await stage.verdict(scene.packet(BOX, 1)) == "accepted"
        assert stage.metric("tallygate_faults_total") == 2
        await result_is_due(stage, 8, later)
        assert stage.metric("tallygate_faults_total") == 2
        faults_told = [json.loads(line) for line in stage.lines if "sequencer.fault" in line]
        assert [line["error"] for line in faults_told] == ["Panic", "Panic"]

    perform(scene, act)


def test_a_decision_is_not_forgotten_for_another_that_was_learned(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the log again fails once too, and the next decision must not count as having caught up."""
    later = CLOSES_8 + HOUR

    def fault(*_: object) -> NoReturn:
        raise MemoryError

    async def act(stage: Stage) -> None:
        one, two = scene.decision((11, 8, later))
        others = scene.decision((6,))
        await decide(stage, [one])
        with monkeypatch.context() as patch:
            patch.setattr(Council, "_apply", fault)
            assert await stage.verdict(two, "commission", 2) == "accepted"
        with monkeypatch.context() as patch:
            patch.setattr(SqliteLedger, "decisions", fault)
            await decide(stage, others)
        assert stage.metric("tallygate_faults_total") == 3
        await result_is_due(stage, 8, later)
        assert stage.metric("tallygate_faults_total") == 3

    perform(scene, act)


def test_the_log_is_read_at_the_start_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    real = SqliteLedger.decisions

    def decisions(self: SqliteLedger) -> list[Entry]:
        found = real(self)
        reads.append(len(found))
        return found

    monkeypatch.setattr(SqliteLedger, "decisions", decisions)

    async def act(stage: Stage) -> None:
        await decide(stage, scene.decision((11, 8, CLOSES_8 + HOUR)))
        await decide(stage, scene.decision((9, bytes(32))))
        stage.sequencer.look_for_rosters()
        assert await stage.verdict(scene.packet(BOX, 1)) == "accepted"

    perform(scene, act, act_nothing)
    assert reads == [2, 6]


async def act_nothing(stage: Stage) -> None:
    assert await stage.verdict(b"") == "statement.malformed"


def test_a_decision_is_learned_whatever_happens_behind_its_commit(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = CLOSES_8 + HOUR
    faults = [MemoryError()]

    def note_new(*_: object) -> None:
        if faults:
            raise faults.pop()

    async def act(stage: Stage) -> None:
        one, two = scene.decision((11, 8, later))
        await decide(stage, [one])
        with monkeypatch.context() as patch:
            patch.setattr(Sequencer, "_note_new", note_new)
            # It has its receipt: it is in the log.
            assert await stage.verdict(two, "commission", 2) == "accepted"
        assert stage.metric("tallygate_faults_total") == 1
        await result_is_due(stage, 8, later)
        # Two commits, and the followers know of both.
        assert stage.metric("tallygate_log_entries") == 4
        assert stage.commits == 2

    perform(scene, act)


def test_a_decision_is_learned_though_its_signer_was_told_to_come_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails behind the commit leaves it in the log, where its next attempt is a duplicate."""
    later = CLOSES_8 + HOUR

    def fault(*_: object) -> NoReturn:
        raise MemoryError

    async def act(stage: Stage) -> None:
        one, two = scene.decision((11, 8, later))
        await decide(stage, [one])
        with monkeypatch.context() as patch:
            patch.setattr(SqliteLedger, "_receipt", fault)
            assert await stage.verdict(two, "commission", 2) == "server.fault"
        await result_is_due(stage, 8, later)
        assert await stage.verdict(two, "commission", 2) == "duplicate"

    perform(scene, act)


def test_a_batch_of_a_thousand(scene: Scene) -> None:
    async def act(stage: Stage) -> None:
        packets = [scene.packet(BOX, sequence) for sequence in range(1, 1_001)]
        answers: dict[int, str] = {}

        async def upload(place: int) -> None:
            answers[place] = await stage.verdict(packets[place])

        async with trio.open_nursery() as nursery:
            for place in range(1_000):
                nursery.start_soon(upload, place)
        assert set(answers.values()) == {"accepted"}
        entries = stage.ledger.entries(2, 2_000)
        assert sorted(entry.statement for entry in entries) == sorted(packets)

    perform(scene, act, limits=Limits(entries_per_device=1_000))
