"""The ledger against a model made of a list: whatever comes in whatever order, with restarts between."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway import _core
from gateway.ledger.protocol import Last, Ledger, Logged, Submission
from tests.faults.night import Night, packet, submit, twin

ROUTES = ("box:1", "courier:1")
QUOTA = 6

# Few devices, sequences and payloads, so that everything collides with everything.
packets = st.builds(packet, st.integers(1, 2), st.integers(1, 2), st.integers(0, 5))
statements = st.one_of(packets, st.builds(twin, packets, st.integers(0, 2)))
submissions = st.builds(submit, statements, st.sampled_from(ROUTES), st.just(QUOTA))


class Model:
    """docs/ledger.md, "Outcomes", word for word over a list."""

    def __init__(self, opening: list[bytes]) -> None:
        self.log: list[Submission] = []
        self.opening = opening

    def append(self, one: Submission) -> tuple[str, int]:
        mine = one.statement
        for index, logged in enumerate(self.log):
            if logged.statement.encoded == mine.encoded:
                return "duplicate", index + len(self.opening)
        beside = {
            logged.statement.payload
            for logged in self.log
            if (logged.statement.device, logged.statement.sequence) == (mine.device, mine.sequence)
        }
        if mine.payload not in beside and len(beside) == 4:
            return "never", -1
        over = [
            logged
            for logged in self.log
            if (logged.statement.device, logged.route) == (mine.device, one.route)
        ]
        if len(over) >= QUOTA:
            return "later", -1
        self.log.append(one)
        standing = "conflict" if beside and mine.payload not in beside else "accepted"
        return standing, len(self.log) - 1 + len(self.opening)

    def last(self, device: int) -> Last | None:
        mine = [one.statement for one in self.log if one.statement.device == device]
        highest = max((one.sequence or 0 for one in mine), default=None)
        return (
            next((Last(highest, one.id) for one in mine if one.sequence == highest), None)
            if highest
            else None
        )


class LedgerMachine(RuleBasedStateMachine):
    open: Callable[[Night], Ledger] = staticmethod(Night.open)

    @initialize()
    def begin(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._night = Night(Path(self._folder.name))
        self._ledger = type(self).open(self._night)
        self._model = Model(self._night.opening_signatures())

    def teardown(self) -> None:
        if hasattr(self, "_ledger"):
            self._ledger.close()
            self._folder.cleanup()

    @rule(batch=st.lists(submissions, min_size=1, max_size=6))
    def append(self, batch: list[Submission]) -> None:
        for one, answer in zip(batch, self._ledger.append(batch), strict=True):
            if isinstance(answer, Logged):
                index, _ = _core.verify_receipt(
                    answer.receipt.text().encode(), one.statement.encoded, self._night.vkey
                )
                given: tuple[str, int] = (answer.standing, index)
            else:
                assert answer.code == "limit.device"
                given = (answer.retry, -1)
            assert given == self._model.append(one)

    @rule()
    def restart(self) -> None:
        self._ledger.close()
        self._ledger = type(self).open(self._night)

    @rule(device=st.integers(1, 3))
    def last(self, device: int) -> None:
        assert self._ledger.last(device) == self._model.last(device)

    @rule(statement=statements)
    def receipt(self, statement: _core.Statement) -> None:
        logged = [one.statement.encoded for one in self._model.log]
        found = self._ledger.receipt(statement.id)
        assert (found is None) == (statement.encoded not in logged)
        if found is not None:
            assert found.index - len(self._model.opening) == logged.index(statement.encoded)

    @invariant()
    def the_log_is_the_list(self) -> None:
        if not hasattr(self, "_ledger"):
            return
        expected = self._model.opening + [one.statement.encoded for one in self._model.log]
        assert [entry.statement for entry in self._ledger.entries(0, 1_000)] == expected
        head = self._ledger.head()
        assert head is not None
        tree = _core.Tree()
        tree.append([_core.leaf_hash(entry) for entry in expected])
        assert (head.size, head.root) == (len(expected), tree.root())


TestLedgerModel = LedgerMachine.TestCase
TestLedgerModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
