"""Uploads in flight at a sequencer at work, over a ledger that a test can hold. No time passes here."""

from collections.abc import Awaitable, Callable

import trio
import trio.testing

from gateway.base.config import Limits
from gateway.ledger.protocol import LedgerFailedError, Logged, Outcome
from gateway.sequencer.protocol import Role
from tests.unit.sequencer_helpers import BOX, Scene, Stage, WatchingLedger, staged


class Uploads:
    """Uploads in flight, and what became of each."""

    def __init__(self, stage: Stage, ledger: WatchingLedger, nursery: trio.Nursery) -> None:
        self._stage = stage
        self._ledger = ledger
        self._nursery = nursery
        self.answers: dict[int, Outcome | None] = {}
        self.scopes: dict[int, trio.CancelScope] = {}

    async def add(self, statement: bytes, role: Role = "box", number: int = BOX) -> int:
        """Starts an upload, and returns when it waits."""
        name = len(self.scopes)
        self.scopes[name] = trio.CancelScope()

        async def upload() -> None:
            with self.scopes[name]:
                try:
                    self.answers[name] = await self._stage.submit(statement, role, number)
                except LedgerFailedError:
                    self.answers[name] = None

        self._nursery.start_soon(upload)
        await trio.testing.wait_all_tasks_blocked()
        return name

    async def hold(self, statement: bytes) -> None:
        """Starts an upload, and returns when its commit waits for the ledger's gate."""
        self._ledger.hold()
        await self.add(statement)
        await self._ledger.committing.wait()

    async def answered(self, count: int) -> None:
        """Returns when so many have their answer."""
        while len(self.answers) < count:
            await trio.testing.wait_all_tasks_blocked()

    def verdicts(self) -> list[str | None]:
        return [verdict(self.answers[name]) for name in sorted(self.answers)]


def verdict(answer: Outcome | None) -> str | None:
    if answer is None:
        return None
    return answer.standing if isinstance(answer, Logged) else answer.code


def place(answer: Outcome | None) -> int | None:
    return answer.receipt.index if isinstance(answer, Logged) else None


def numbers(ledger: WatchingLedger) -> list[list[int | None]]:
    """The sequences of each batch."""
    return [[one.statement.sequence for one in batch] for batch in ledger.batches]


def play(
    scene: Scene,
    test: Callable[[Stage, WatchingLedger, Uploads], Awaitable[None]],
    *,
    limits: Limits | None = None,
    opened: bool = True,
) -> None:
    """A clock that stands still: whatever waits for a time would wait for ever."""

    async def main() -> None:
        ledger = WatchingLedger(opened=opened)
        async with staged(scene, ledger, limits=limits) as stage, trio.open_nursery() as nursery:
            await test(stage, ledger, Uploads(stage, ledger, nursery))

    trio.run(main, clock=trio.testing.MockClock())
