"""The queue, the batches and the answers, over a ledger that checks how it is called. No time passes here."""

import json
from collections.abc import Sequence

import pytest
import trio
import trio.testing

from gateway import _core
from gateway.base.config import Limits
from gateway.base.errors import CoreError
from gateway.ledger.protocol import Refused
from gateway.sequencer.sequencer import REFUSALS_SECONDS
from tests.unit.sequencer_helpers import (
    BOX,
    DESK,
    SECOND_BOX,
    TERMINAL,
    ElectionClock,
    Scene,
    Stage,
    WatchingLedger,
    staged,
)
from tests.unit.sequencer_uploads import Uploads, numbers, place, play, verdict


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("night"))


def test_while_one_batch_commits_the_next_fills(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        await uploads.hold(scene.packet(BOX, 1))
        for sequence in (2, 3, 4):
            await uploads.add(scene.packet(BOX, sequence))
        assert uploads.answers == {}
        ledger.gate.set()
        await uploads.add(scene.packet(BOX, 5))
        await uploads.answered(5)
        assert numbers(ledger)[0] == [1]
        assert numbers(ledger)[1][:3] == [2, 3, 4]
        assert [place(uploads.answers[name]) for name in range(5)] == [0, 1, 2, 3, 4]
        assert stage.commits == len(ledger.batches)

    play(scene, test)


def test_one_alone_is_a_batch(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        for sequence in range(1, 6):
            assert await stage.verdict(scene.packet(BOX, sequence)) == "accepted"
        assert numbers(ledger) == [[1], [2], [3], [4], [5]]

    play(scene, test)


def test_a_batch_has_a_limit_and_keeps_the_order(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        ledger.hold()
        for sequence in range(1, 9):
            await uploads.add(scene.packet(BOX, sequence))
        ledger.gate.set()
        await uploads.answered(8)
        assert numbers(ledger) == [[1], [2, 3, 4], [5, 6, 7], [8]]
        assert uploads.verdicts() == ["accepted"] * 8

    play(scene, test, limits=Limits(batch_statements=3))


def test_who_is_cancelled_in_the_queue_was_never_there(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        ledger.hold()
        for sequence in (1, 2, 3, 4):
            await uploads.add(scene.packet(BOX, sequence))
        uploads.scopes[2].cancel()
        await trio.testing.wait_all_tasks_blocked()
        ledger.gate.set()
        await uploads.answered(3)
        assert numbers(ledger) == [[1], [2, 4]]
        assert stage.metric("tallygate_statements_total", outcome="accepted") == 3

    play(scene, test)


def test_nobody_left_is_no_batch(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        ledger.hold()
        await uploads.add(scene.packet(BOX, 1))
        await uploads.add(scene.packet(BOX, 2))
        uploads.scopes[1].cancel()
        ledger.gate.set()
        await uploads.answered(1)
        assert await stage.verdict(scene.packet(BOX, 3)) == "accepted"
        assert numbers(ledger) == [[1], [3]]

    play(scene, test)


def test_a_cancelled_request_cancels_no_commit(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        await uploads.hold(scene.packet(BOX, 1))
        uploads.scopes[0].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert uploads.scopes[0].cancelled_caught
        waiting = await uploads.add(scene.packet(BOX, 1))
        ledger.gate.set()
        while waiting not in uploads.answers:
            await trio.testing.wait_all_tasks_blocked()
        assert verdict(uploads.answers[waiting]) == "duplicate"
        assert stage.metric("tallygate_statements_total", outcome="accepted") == 1

    play(scene, test)


def test_a_deadline_is_kept(scene: Scene) -> None:
    async def main() -> None:
        ledger = WatchingLedger()
        async with staged(scene, ledger) as stage:
            ledger.hold()
            with trio.move_on_after(10) as first:
                await stage.submit(scene.packet(BOX, 1))
            assert first.cancelled_caught
            with trio.move_on_after(10) as second:
                await stage.submit(scene.packet(BOX, 2))
            assert second.cancelled_caught
            ledger.gate.set()
            assert await stage.verdict(scene.packet(BOX, 3)) == "accepted"
            assert numbers(ledger) == [[1], [3]]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))


def test_a_full_queue_says_later_at_once(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        await uploads.hold(scene.packet(BOX, 1))
        await uploads.add(scene.packet(BOX, 2))
        await uploads.add(scene.packet(BOX, 3))
        answer = await stage.submit(scene.packet(BOX, 4))
        assert isinstance(answer, Refused)
        assert (answer.code, answer.retry) == ("limit.overload", "later")
        # Whoever gives up makes room.
        uploads.scopes[1].cancel()
        await trio.testing.wait_all_tasks_blocked()
        await uploads.add(scene.packet(BOX, 5))
        assert await stage.verdict(scene.packet(BOX, 4)) == "limit.overload"
        ledger.gate.set()
        await uploads.answered(3)
        assert numbers(ledger) == [[1], [3, 5]]
        assert stage.metric("tallygate_statements_total", outcome="limit.overload") == 2
        assert stage.metric("tallygate_inflight_uploads_limit") == 2
        # Nothing is known about what nobody looked at.
        assert ledger.refused == []

    play(scene, test, limits=Limits(queue_statements=2))


def test_the_queue_of_a_night_can_be_full() -> None:
    """A connection has one statement at a time: a longer queue than connections would never say "later"."""
    assert Limits().queue_statements < Limits().connections


def test_equal_bytes_in_a_batch_are_checked_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[list[bytes]] = []
    real = _core.check_statements

    def check(
        statements: Sequence[bytes], definition: _core.Definition, roster: _core.Roster
    ) -> list[_core.Statement | CoreError]:
        checked.append(list(statements))
        return real(statements, definition, roster)

    monkeypatch.setattr(_core, "check_statements", check)

    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        await uploads.hold(scene.packet(BOX, 1))
        for _ in range(3):
            await uploads.add(scene.packet(BOX, 2))
            await uploads.add(b"rubbish")
        # The same bytes, and not everybody may bring them.
        await uploads.add(scene.packet(BOX, 2), "box", SECOND_BOX)
        await uploads.add(scene.packet(BOX, 2), "courier", 1)
        ledger.gate.set()
        await uploads.answered(9)
        assert checked == [[scene.packet(BOX, 1)], [scene.packet(BOX, 2), b"rubbish"]]
        assert uploads.verdicts() == [
            "accepted",
            "accepted",
            "statement.malformed",
            "duplicate",
            "statement.malformed",
            "duplicate",
            "statement.malformed",
            "identity.device",
            "duplicate",
        ]
        assert {place(answer) for answer in uploads.answers.values()} == {0, 1, None}
        routes = [[one.route for one in batch] for batch in ledger.batches]
        assert routes == [["box:1"], ["box:1", "box:1", "box:1", "courier:1"]]

    play(scene, test)


def test_what_the_ledger_is_given(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        stage.clock.now += 17
        assert await stage.verdict(scene.packet(DESK, 1), "desk", DESK) == "accepted"
        assert await stage.verdict(scene.packet(BOX, 1), "courier", 2) == "accepted"
        assert await stage.verdict(scene.night.decision(2, 1).encoded, "commission", 3) == "accepted"
        given = [(one.route, one.quota, one.received_at) for batch in ledger.batches for one in batch]
        now = stage.clock.now
        assert given == [("desk:5", 272, now), ("courier:2", 256, now), ("commission:3", None, now)]

    play(scene, test)


def test_refusals_are_recorded(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        forged = scene.packet(BOX, 1)[:-1] + b"\x00"
        assert await stage.verdict(b"\xd2" * 100) == "statement.malformed"
        assert await stage.verdict(b"", "courier", 1) == "statement.malformed"
        assert await stage.verdict(bytes(16_385), "terminal", TERMINAL) == "statement.malformed"
        assert await stage.verdict(forged) == "statement.signature"
        assert await stage.verdict(scene.packet(77, 1, seed=b"\x77" * 32)) == "statement.unknown_device"
        assert await stage.verdict(scene.packet(BOX, 1, seed=b"\x77" * 32)) == "statement.unknown_device"
        assert await stage.verdict(scene.packet(BOX, 1), "box", SECOND_BOX) == "identity.device"
        found = [(one.code, one.device) for one in ledger.refused]
        assert found == [
            ("statement.malformed", BOX),
            ("statement.malformed", None),
            ("statement.malformed", TERMINAL),
            ("statement.signature", BOX),
            ("statement.unknown_device", BOX),
            ("statement.unknown_device", BOX),
            ("identity.device", BOX),
        ]
        assert ledger.refused[0].excerpt == b"\xd2" * 64
        assert ledger.refused[-1].sha256 == _core.decode(scene.packet(BOX, 1)).id
        assert {one.at for one in ledger.refused} == {stage.clock.now}
        # A batch of refusals alone is no transaction.
        assert ledger.batches == []
        assert stage.metric("tallygate_ledger_batch_statements_count") == 0
        assert stage.events() == ["statement.refused"] * 7
        # Whose certificate it was, so that nobody takes all the room.
        assert ledger.routes == ["box:1", "courier:1", "terminal:2", *["box:1"] * 3, "box:3"]

    play(scene, test)


def test_refusals_are_written_also_where_nothing_is_accepted(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        for _ in range(3):
            await stage.verdict(b"rubbish")
        # A transaction for each would cost more than what is accepted.
        assert ledger.written == [1]
        stage.seconds += REFUSALS_SECONDS
        # They go along with whatever is new …
        assert await stage.verdict(scene.packet(BOX, 1)) == "accepted"
        assert ledger.written == [1]
        # … and with nothing else.
        assert await stage.verdict(scene.packet(BOX, 1)) == "duplicate"
        assert ledger.written == [1, 3]
        stage.seconds += REFUSALS_SECONDS
        await stage.verdict(b"rubbish")
        assert ledger.written == [1, 3, 4]

    play(scene, test)


def test_refusals_that_cannot_be_written_cost_nobody(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_refusals(_: WatchingLedger) -> None:
        raise MemoryError

    monkeypatch.setattr(WatchingLedger, "write_refusals", write_refusals)

    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        assert await stage.verdict(b"rubbish") == "statement.malformed"
        assert await stage.verdict(b"rubbish") == "statement.malformed"
        assert stage.metric("tallygate_faults_total") == 1
        assert await stage.verdict(scene.packet(BOX, 1)) == "accepted"

    play(scene, test)


@pytest.mark.parametrize(
    ("statement", "retry"),
    [("rubbish", "never"), ("forged", "never"), ("stranger", "later")],
)
def test_whether_to_send_again(scene: Scene, statement: str, retry: str) -> None:
    packets = {
        "rubbish": b"rubbish",
        "forged": scene.packet(BOX, 1)[:-1] + b"\x00",
        "stranger": scene.packet(77, 1, seed=b"\x77" * 32),
    }

    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        answer = await stage.submit(packets[statement])
        assert isinstance(answer, Refused)
        assert answer.retry == retry
        if statement == "rubbish":
            assert answer.detail.endswith("(rule envelope, byte 0)")

    play(scene, test)


def test_the_ledger_refuses_too(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        assert await stage.verdict(scene.packet(BOX, 1)) == "log.not_open"
        assert [one.code for one in ledger.refused] == ["log.not_open"]
        assert stage.commits == 0
        assert stage.metric("tallygate_log_entries") == 0

    play(scene, test, opened=False)


def test_metrics(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        outcomes = {
            sample.labels["outcome"]: sample.value
            for family in stage.metrics.registry.collect()
            if family.name == "tallygate_statements"
            for sample in family.samples
            if sample.name == "tallygate_statements_total"
        }
        assert len(outcomes) == 14
        assert set(outcomes.values()) == {0}
        for value in (0, 0, 1):
            await stage.submit(scene.packet(BOX, 1, value=value))
        await stage.submit(b"rubbish")
        for outcome in ("accepted", "duplicate", "conflict", "statement.malformed"):
            assert stage.metric("tallygate_statements_total", outcome=outcome) == 1
        assert stage.metric("tallygate_ledger_commit_seconds_count") == 3
        assert stage.metric("tallygate_ledger_batch_statements_sum") == 3
        assert stage.metric("tallygate_log_entries") == 2
        # A duplicate is no new head.
        assert stage.commits == 2
        conflict = json.loads(stage.lines[0])
        assert conflict["event"] == "statement.conflict"
        assert (conflict["device"], conflict["sequence"], conflict["index"]) == (BOX, 1, 1)

    play(scene, test)


def test_closing_decides_what_waits(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        await uploads.hold(scene.packet(BOX, 1))
        await uploads.add(scene.packet(BOX, 2))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.sequencer.close)
            await trio.testing.wait_all_tasks_blocked()
            assert await stage.verdict(scene.packet(BOX, 3)) == "limit.overload"
            ledger.gate.set()
        assert uploads.verdicts() == ["accepted", "accepted"]
        assert await stage.verdict(scene.packet(BOX, 3)) == "limit.overload"
        assert numbers(ledger) == [[1], [2]]
        await stage.sequencer.close()

    play(scene, test)


def test_a_sequencer_that_is_cancelled_ends_its_batch(scene: Scene) -> None:
    async def main() -> None:
        ledger = WatchingLedger()
        async with trio.open_nursery() as uploading:
            ledger.hold()
            async with staged(scene, ledger) as stage:
                uploads = Uploads(stage, ledger, uploading)
                await uploads.add(scene.packet(BOX, 1))
                await ledger.committing.wait()
                await uploads.add(scene.packet(BOX, 2))
                uploading.start_soon(open_later, ledger)
            # The block has ended with its batch.
            await trio.testing.wait_all_tasks_blocked()
            assert uploads.verdicts() == ["accepted", "limit.overload"]

    async def open_later(ledger: WatchingLedger) -> None:
        await trio.testing.wait_all_tasks_blocked()
        ledger.gate.set()

    trio.run(main, clock=trio.testing.MockClock())


class CancelWhenWoken(trio.abc.Instrument):
    """Cancels a scope in the very step in which somebody wakes the sequencer's task."""

    def __init__(self) -> None:
        self.scope: trio.CancelScope | None = None

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        if self.scope is not None and task.name.endswith("Sequencer.run"):
            self.scope.cancel()


def test_a_batch_that_was_taken_out_of_the_queue_is_committed(scene: Scene) -> None:
    async def main() -> None:
        ledger = WatchingLedger()
        stage = Stage(scene, ledger, Limits(), ElectionClock())
        async with trio.open_nursery() as uploading:
            uploads = Uploads(stage, ledger, uploading)
            async with trio.open_nursery() as running:
                await running.start(stage.sequencer.run)
                await trio.testing.wait_all_tasks_blocked()
                cancelling.scope = running.cancel_scope
                uploading.start_soon(uploads.add, scene.packet(BOX, 1))
        assert uploads.verdicts() == ["accepted"]

    cancelling = CancelWhenWoken()
    trio.run(main, clock=trio.testing.MockClock(), instruments=[cancelling])


def test_questions_do_not_hold_up_commits(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        assert await stage.verdict(scene.packet(BOX, 1)) == "accepted"
        ledger.reading.clear()
        asked: list[int] = []

        async def ask() -> None:
            receipt = await stage.sequencer.receipt(_core.decode(scene.packet(BOX, 1)).id)
            assert receipt is not None
            asked.append(receipt.index)

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            assert await stage.verdict(scene.packet(BOX, 2)) == "accepted"
            # Nobody waits for an answer longer than it wants to.
            with trio.CancelScope() as scope:
                scope.cancel()
                await ask()
            assert asked == []
            ledger.reading.set()
        assert asked == [0] * 50
        assert ledger.most_readers <= 2

    play(scene, test)


def test_a_question_that_is_cancelled_does_not_wait_for_the_disk(scene: Scene) -> None:
    async def main() -> None:
        ledger = WatchingLedger()
        async with staged(scene, ledger) as stage:
            ledger.reading.clear()
            with trio.move_on_after(10) as scope:
                await stage.sequencer.receipt(bytes(32))
            assert scope.cancelled_caught
            ledger.reading.set()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))
