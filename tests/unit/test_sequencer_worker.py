"""The thread of one task: it answers, raises and ends, and nobody waits for one that is not there."""

import threading
from typing import NoReturn

import pytest
import trio
import trio.testing

from gateway.sequencer.worker import Worker


class Panic(BaseException):
    """As pyo3 raises one: no Exception."""


def fail() -> NoReturn:
    raise Panic("planted")


def test_calls_in_one_thread_of_its_own() -> None:
    async def main() -> None:
        with Worker("tallygate-test") as worker:
            first = await worker.call(threading.current_thread)
            assert first is await worker.call(threading.current_thread)
            assert first is not threading.current_thread()
            assert first.name == "tallygate-test"
            with pytest.raises(Panic, match="planted"):
                await worker.call(fail)
            assert await worker.call(lambda: 7) == 7
        first.join(20)
        assert not first.is_alive()

    trio.run(main)


def test_a_call_is_waited_for_by_who_is_cancelled() -> None:
    async def main() -> None:
        gate = threading.Event()
        answers: list[bool] = []
        scope = trio.CancelScope()
        with Worker("tallygate-test") as worker:
            async with trio.open_nursery() as nursery:

                async def call() -> None:
                    with scope:
                        answers.append(await worker.call(lambda: gate.wait(20)))

                nursery.start_soon(call)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
                await trio.testing.wait_all_tasks_blocked()
                assert answers == []
                gate.set()
        assert answers == [True]

    trio.run(main)


def test_nobody_waits_for_a_thread_that_has_ended() -> None:
    async def main() -> None:
        worker = Worker("tallygate-test")
        with pytest.raises(RuntimeError, match="tallygate-test"):
            await worker.call(fail)
        with worker:
            pass
        with pytest.raises(RuntimeError, match="tallygate-test"):
            await worker.call(fail)

    trio.run(main)


def test_nobody_waits_for_a_thread_that_did_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        worker = Worker("tallygate-test")
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            with pytest.raises(RuntimeError, match="new thread"), worker:
                raise AssertionError("no block without its thread")
        with pytest.raises(RuntimeError, match="tallygate-test"):
            await worker.call(fail)

    trio.run(main)


def test_a_thread_that_died(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of ours ends it early; if something does, that must not become a wait for ever."""
    monkeypatch.setattr(Worker, "_run", lambda _: None)

    async def main() -> None:
        with Worker("tallygate-test") as worker:
            for thread in threading.enumerate():
                if thread.name == "tallygate-test":
                    thread.join(20)
            with pytest.raises(RuntimeError, match="tallygate-test"):
                await worker.call(fail)

    trio.run(main)
