"""One thread that works for one task.

What lives here: `Worker`, in which batches are committed. `trio.to_thread` is made for calls that are few:
for each it names a thread, copies a context, asks a limiter and goes twice more around the event loop. That
is some hundredths of what a statement costs, most where each is a batch of its own.
"""

import contextlib
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import trio

_T = TypeVar("_T")


class _Call(Generic[_T]):
    """What the thread is asked to do, and what came of it."""

    __slots__ = ("_answer", "_error", "_function", "_task")

    def __init__(self, function: Callable[[], _T]) -> None:
        self._function = function
        self._task = trio.lowlevel.current_task()
        self._answer: list[_T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """In the thread."""
        try:
            self._answer.append(self._function())
        except BaseException as error:
            # A panic of the core is no Exception; whatever it is, it is the caller's.
            self._error = error

    def wake(self) -> None:
        """On the event loop."""
        trio.lowlevel.reschedule(self._task)

    def result(self) -> _T:
        if self._error is not None:
            raise self._error
        return self._answer[0]


class Worker:
    """A thread, from its ``with`` to the end of that block; made and used in one Trio run.

    Args:
        name: of the thread, for people; Linux shows the first 15 bytes.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._token = trio.lowlevel.current_trio_token()
        # What the thread shall do, and what the event loop shall do then.
        self._calls: queue.SimpleQueue[tuple[Callable[[], None], Callable[[], None]] | None]
        self._calls = queue.SimpleQueue()

    def __enter__(self) -> Self:
        # Not waited for at the end of the process: a disk that no longer answers must not hold it up.
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        thread.start()
        self._thread = thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread = None
        self._calls.put(None)

    async def call(self, function: Callable[[], _T]) -> _T:
        """Has the thread call `function`, and waits until it returns, cancelled or not.

        Raises:
            RuntimeError: there is no thread: it was not started, or has ended.
            BaseException: what `function` raises.
        """
        if self._thread is None or not self._thread.is_alive():
            raise RuntimeError(f"the thread {self._name} does not run")
        call = _Call(function)
        self._calls.put((call.run, call.wake))
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        return call.result()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            run, wake = call
            run()
            # The event loop may have ended with a crash, and then nobody waits.
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(wake)
