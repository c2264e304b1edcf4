"""What a fault of a statement, of our own code or of the ledger costs: its own answers, and no wrong one."""

import json
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
import trio.testing

from gateway import _core
from gateway.base.config import Limits
from gateway.base.errors import CoreError
from gateway.ledger.protocol import LedgerFailedError, Outcome, Refusal, Refused
from gateway.sequencer.door import Door
from tests.unit.sequencer_helpers import (
    BOX,
    Certificate,
    ElectionClock,
    Scene,
    Stage,
    WatchingLedger,
    staged,
)
from tests.unit.sequencer_uploads import Uploads, numbers, play


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("night"))


class Panic(BaseException):
    """As pyo3 raises one: no Exception."""


@pytest.mark.parametrize("fault", [MemoryError(), ValueError("no route"), Panic("a panic of the core")])
def test_a_fault_that_does_not_come_again_costs_nobody(scene: Scene, fault: BaseException) -> None:
    """If one statement is behind it, a batch that is given up loses all of it each time that one comes."""

    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        ledger.faults[1] = fault
        ledger.hold()
        for sequence in (1, 2, 3):
            await uploads.add(scene.packet(BOX, sequence))
        ledger.gate.set()
        await uploads.answered(3)
        assert uploads.verdicts() == ["accepted"] * 3
        assert numbers(ledger) == [[1], [2], [3]]
        assert stage.metric("tallygate_faults_total") == 1
        assert stage.metric("tallygate_statements_total", outcome="server.fault") == 0
        line = json.loads(stage.lines[0])
        assert (line["event"], line["error"], line["statements"]) == (
            "sequencer.fault",
            type(fault).__name__,
            0,
        )

    play(scene, test)


@pytest.mark.parametrize("poisoned", range(1, 6))
def test_a_statement_that_cannot_be_appended_costs_no_other(scene: Scene, poisoned: int) -> None:
    poison = scene.packet(BOX, poisoned)

    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        ledger.poison = poison
        ledger.hold()
        await uploads.add(scene.packet(BOX, 9))
        for sequence in range(1, 6):
            await uploads.add(scene.packet(BOX, sequence))
        ledger.gate.set()
        await uploads.answered(6)
        expected = ["server.fault" if sequence == poisoned else "accepted" for sequence in range(1, 6)]
        assert uploads.verdicts() == ["accepted", *expected]
        logged = [number for batch in numbers(ledger) for number in batch]
        assert logged == [9, *(sequence for sequence in range(1, 6) if sequence != poisoned)]
        # Each commit is one in the metrics, however the batch was cut.
        assert stage.metric("tallygate_ledger_commit_seconds_count") == len(ledger.batches)
        assert stage.metric("tallygate_ledger_batch_statements_sum") == 5
        # The operator can look for what did it.
        assert [(one.code, one.sha256) for one in ledger.refused] == [
            ("server.fault", _core.decode(poison).id)
        ]

    play(scene, test)


@pytest.mark.parametrize("fault", [MemoryError(), ValueError("no route"), Panic("a panic of the core")])
def test_a_fault_of_the_checks_costs_that_batch(
    scene: Scene, fault: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, faults = WatchingLedger.refuse, [fault]

    def refuse(self: WatchingLedger, refusal: Refusal, route: str | None = None) -> None:
        real(self, refusal, route)
        if faults:
            raise faults.pop()

    monkeypatch.setattr(WatchingLedger, "refuse", refuse)

    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        await uploads.hold(scene.packet(BOX, 1))
        await uploads.add(b"rubbish")
        for sequence in (2, 3):
            await uploads.add(scene.packet(BOX, sequence))
        ledger.gate.set()
        await uploads.answered(4)
        # What was certain before stays.
        assert uploads.verdicts() == ["accepted", "statement.malformed", "server.fault", "server.fault"]
        answer = uploads.answers[2]
        assert isinstance(answer, Refused)
        assert answer.retry == "later"
        assert stage.metric("tallygate_faults_total") == 1
        assert stage.metric("tallygate_statements_total", outcome="server.fault") == 2
        line = json.loads(stage.lines[0])
        assert (line["event"], line["error"], line["statements"]) == (
            "sequencer.fault",
            type(fault).__name__,
            3,
        )
        # The same bytes again: nothing of them was kept.
        assert await stage.verdict(scene.packet(BOX, 2)) == "accepted"

    play(scene, test)


def test_a_check_that_panics_costs_one_statement(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fatal = _core.check_statements, scene.packet(BOX, 2)

    def check(
        statements: Sequence[bytes], definition: _core.Definition, roster: _core.Roster
    ) -> list[_core.Statement | CoreError]:
        verdicts = real(statements, definition, roster)
        planted = CoreError("server.fault", "planted")
        return [planted if one == fatal else found for one, found in zip(statements, verdicts, strict=True)]

    monkeypatch.setattr(_core, "check_statements", check)
    one_of_three(scene, fatal)


def test_a_door_that_fails_costs_one_statement(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fatal = Door.quota, scene.packet(BOX, 2)

    def quota(self: Door, statement: _core.Statement, spoken: Callable[[bytes], int]) -> int | None:
        if statement.encoded == fatal:
            raise Panic("planted")
        return real(self, statement, spoken)

    monkeypatch.setattr(Door, "quota", quota)
    one_of_three(scene, fatal)


def one_of_three(scene: Scene, fatal: bytes) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        await uploads.hold(scene.packet(BOX, 9))
        for statement in (scene.packet(BOX, 1), fatal, scene.packet(BOX, 3)):
            await uploads.add(statement)
        ledger.gate.set()
        await uploads.answered(4)
        assert uploads.verdicts() == ["accepted", "accepted", "server.fault", "accepted"]
        answer = uploads.answers[2]
        assert isinstance(answer, Refused)
        assert answer.retry == "later"
        assert stage.metric("tallygate_faults_total") == 1
        assert "sequencer.fault" in stage.events()
        # The operator can look for what did it.
        assert [one.sha256 for one in ledger.refused] == [_core.decode(fatal).id]

    play(scene, test)


def test_no_thread_to_be_had(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        stage = Stage(scene, WatchingLedger(), Limits(), ElectionClock())
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            with pytest.raises(RuntimeError, match="new thread"):
                await stage.sequencer.run()
        assert await stage.verdict(scene.packet(BOX, 1)) == "limit.overload"

    trio.run(main)


def failing(scene: Scene, test: Callable[[Stage, WatchingLedger, Uploads], Awaitable[None]]) -> Stage:
    """Plays a test at whose end the sequencer's task raises."""
    stages: list[Stage] = []

    async def main() -> None:
        ledger = WatchingLedger()
        async with trio.open_nursery() as uploading:
            with pytest.RaisesGroup(pytest.RaisesExc(LedgerFailedError)):
                async with staged(scene, ledger) as stage:
                    stages.append(stage)
                    await test(stage, ledger, Uploads(stage, ledger, uploading))
            for call in (
                stage.submit(scene.packet(BOX, 50)),
                stage.sequencer.receipt(bytes(32)),
                stage.sequencer.present(Certificate("box", BOX)),
            ):
                with pytest.raises(LedgerFailedError):
                    await call

    trio.run(main, clock=trio.testing.MockClock())
    return stages[0]


def test_a_failed_ledger_ends_everything(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        assert await stage.verdict(scene.packet(BOX, 1)) == "accepted"
        await uploads.hold(scene.packet(BOX, 2))
        await uploads.add(scene.packet(BOX, 3))
        await uploads.add(b"rubbish")
        uploads_of_test.append(uploads)
        ledger.lost = LedgerFailedError("the disk")
        ledger.gate.set()
        await trio.sleep_forever()

    uploads_of_test: list[Uploads] = []
    stage = failing(scene, test)
    # Nobody is acknowledged: neither who was in the batch nor who waited.
    assert uploads_of_test[0].verdicts() == [None, None, None]
    assert stage.metric("tallygate_ledger_failures_total", op="append") == 1
    assert stage.events() == ["ledger.failed"]


def test_a_ledger_that_fails_while_it_is_read_ends_everything(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        ledger.failure = LedgerFailedError("the disk")
        with pytest.raises(LedgerFailedError):
            await stage.sequencer.receipt(bytes(32))
        await trio.sleep_forever()

    stage = failing(scene, test)
    assert stage.metric("tallygate_ledger_failures_total", op="read") == 1


def test_a_ledger_that_fails_while_nobody_waits_for_it_any_more_ends_everything(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        ledger.reading.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.sequencer.receipt, bytes(32))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        ledger.failure = LedgerFailedError("the disk")
        ledger.reading.set()
        await trio.sleep_forever()

    stage = failing(scene, test)
    assert stage.metric("tallygate_ledger_failures_total", op="read") == 1
    assert stage.events() == ["ledger.failed"]


def test_a_question_that_outlives_the_sequencer_is_no_failure(scene: Scene) -> None:
    """It finds the ledger closed, as it should."""

    async def main() -> None:
        ledger = WatchingLedger()
        async with staged(scene, ledger) as stage:
            ledger.reading.clear()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stage.sequencer.receipt, bytes(32))
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            await stage.sequencer.close()
        ledger.close()
        ledger.reading.set()
        # Whoever comes next gets the thread's place when it has said its last word.
        for _ in range(2):
            await stage.sequencer._readers.acquire_on_behalf_of(object())
        assert stage.events() == []
        assert stage.metric("tallygate_ledger_failures_total", op="read") == 0

    trio.run(main)


def test_a_ledger_that_fails_while_refusals_are_written_ends_everything(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        ledger.failure = LedgerFailedError("the disk")
        # The refusal stands.
        assert await stage.verdict(b"rubbish") == "statement.malformed"
        await trio.sleep_forever()

    stage = failing(scene, test)
    assert stage.metric("tallygate_ledger_failures_total", op="append") == 1


def test_who_was_answered_before_the_ledger_failed_keeps_the_receipt(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        ledger.last_words = LedgerFailedError("the disk")
        assert await stage.verdict(scene.packet(BOX, 1)) == "accepted"
        await trio.sleep_forever()

    failing(scene, test)


def test_a_ledger_that_fails_while_decisions_are_read_ends_everything(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        found.append(uploads)
        stage.council.doubt()
        ledger.failure = LedgerFailedError("the disk")
        await uploads.add(scene.packet(BOX, 1))
        await trio.sleep_forever()

    found: list[Uploads] = []
    failing(scene, test)
    assert found[0].verdicts() == [None]


def test_what_was_refused_before_the_ledger_failed_stays_refused(scene: Scene) -> None:
    async def test(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        await uploads.hold(scene.packet(BOX, 1))
        await uploads.add(b"rubbish")
        await uploads.add(scene.packet(BOX, 2))
        found.append(uploads)
        ledger.gate.set()
        await uploads.answered(1)
        ledger.lost = LedgerFailedError("the disk")
        await trio.sleep_forever()

    found: list[Uploads] = []

    async def lose_the_second(stage: Stage, ledger: WatchingLedger, uploads: Uploads) -> None:
        taken = threading.Event()
        real = ledger.append

        def append(batch: Sequence[object]) -> list[Outcome]:
            if taken.is_set():
                raise LedgerFailedError("the disk")
            taken.set()
            return real(batch)  # type: ignore[arg-type]

        ledger.append = append  # type: ignore[method-assign]
        await test(stage, ledger, uploads)

    failing(scene, lose_the_second)
    assert found[0].verdicts() == ["accepted", "statement.malformed", None]
