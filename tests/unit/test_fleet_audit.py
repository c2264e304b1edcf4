"""The audit finds what must not be: each way in which a log betrays a device, and a clean one beside it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from nacl.signing import SigningKey

from clients.fleet import audit
from clients.fleet.audit import Audit, Log
from clients.fleet.history import History, Promise, Record
from clients.fleet.plan import Planned
from clients.wire import keys, statement
from clients.wire.cbor import Content
from tests.lying_gateway import TestLog

DEVICES = 3
STATEMENTS = 4
FIRST = 10
DEFINITION = bytes(32)


def key(device: int) -> SigningKey:
    return SigningKey(bytes([device]) * 32)


def sign(device: int, sequence: int, value: int = 0) -> bytes:
    report: Content = (2, 1_000, ((3, value),))
    previous = b"" if sequence == 1 else bytes(32)
    return statement.sign("packet", (DEFINITION, device, 7, sequence, previous, 5, report), key(device))


def record(device: int, sequence: int, value: int = 0) -> Record:
    data = sign(device, sequence, value)
    planned = Planned(0, 5, 7, (2, 1_000, ((3, value),)))
    return Record(planned, sequence, data, statement.decode(data).id)


class World:
    """Devices whose statements are all delivered, and a log that has them all, and a stranger's besides."""

    def __init__(self) -> None:
        self.log = TestLog()
        self.log.receipt(sign(99, 1))
        self.histories = []
        for device in range(FIRST, FIRST + DEVICES):
            own = [record(device, sequence) for sequence in range(1, STATEMENTS + 1)]
            self.histories.append(History(device, keys.kid(bytes(key(device).verify_key)), own))
        for history in self.histories:
            for one in history.records:
                self.promise(one)

    def promise(self, one: Record, log: TestLog | None = None) -> None:
        log = log or self.log
        data = log.receipt(one.data)
        one.promises.append(Promise(log.entries.index(one.data), len(log.entries), data, "accepted"))

    def audit(self, entries: Sequence[bytes] | None = None) -> Audit:
        log = Log(self.log.entries if entries is None else entries)
        return audit.of_log(self.histories, log, self.log.vkey)

    def codes(self, entries: Sequence[bytes] | None = None) -> set[str]:
        return {fault.code for fault in self.audit(entries).faults}

    @property
    def first(self) -> Record:
        return self.histories[0].records[0]


@pytest.fixture
def world() -> World:
    return World()


def test_a_clean_log(world: World) -> None:
    world.promise(world.first)
    found = world.audit()
    assert found.clean
    assert (found.log, found.size) == ("feed", 1 + DEVICES * STATEMENTS)
    assert (found.delivered, found.receipts) == (DEVICES * STATEMENTS, DEVICES * STATEMENTS + 1)


def test_what_was_never_answered_is_either_way(world: World) -> None:
    inside, outside = record(FIRST, 5), record(FIRST, 6)
    world.histories[0].records.extend([inside, outside])
    world.log.receipt(inside.data)
    found = world.audit()
    assert found.clean
    assert (found.unacknowledged_in, found.unacknowledged_out) == (1, 1)


def test_what_was_never_signed_is_not_looked_for(world: World) -> None:
    world.histories[0].records.append(Record(world.first.planned, 5))
    assert world.audit().clean


def lost(world: World) -> Sequence[bytes]:
    return [entry for entry in world.log.entries if entry != world.first.data]


def test_lost(world: World) -> None:
    assert "audit.lost" in world.codes(lost(world))


def test_the_last_one_lost(world: World) -> None:
    """A log that is cut short: nothing else is at another place."""
    assert world.codes(world.log.entries[:-1]) == {"audit.lost", "audit.size"}


def test_doubled(world: World) -> None:
    assert world.codes([*world.log.entries, world.first.data]) == {"audit.doubled"}


def test_moved(world: World) -> None:
    entries = world.log.entries
    assert world.codes([entries[0], entries[2], entries[1], *entries[3:]]) == {"audit.moved", "audit.fork"}


def test_two_places(world: World) -> None:
    """The log has promised one statement two places, and has it at one."""
    own = world.first.promises
    own.append(replace(own[0], index=5))
    assert "audit.moved" in world.codes()


def test_foreign(world: World) -> None:
    """Somebody signs with a device's key what the device has not."""
    assert world.codes([*world.log.entries, sign(FIRST, 1, value=8)]) == {"audit.foreign"}


def test_a_strangers_statement_is_no_fault(world: World) -> None:
    assert world.audit([*world.log.entries, sign(98, 1)]).clean


def test_no_statement(world: World) -> None:
    assert world.codes([*world.log.entries, b"rubbish"]) == {"audit.entry"}


def test_refused_and_logged(world: World) -> None:
    bad = record(FIRST, 5)
    bad.refused = "statement.signature"
    world.histories[0].records.append(bad)
    found = world.audit()
    assert found.clean
    assert found.refused == 1
    world.log.receipt(bad.data)
    assert world.codes() == {"audit.refused"}


def test_a_fork(world: World) -> None:
    """A receipt of the same key whose head the log of today does not extend."""
    other = TestLog()
    for entry in world.log.entries[:3]:
        other.receipt(entry)
    other.receipt(sign(97, 1))
    other.receipt(world.first.data)
    world.first.promises.clear()
    world.promise(world.first, other)
    assert world.codes() == {"audit.fork"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.replace(b"index 1\n", b"index 2\n"),
        lambda data: data[:-10] + b"AAAAAAAA=\n",
        lambda data: b"",
        lambda data: TestLog(seed=2).receipt(sign(FIRST, 1)),
    ],
)
def test_a_receipt_that_proves_nothing(world: World, damage: Callable[[bytes], bytes]) -> None:
    own = world.first.promises
    own[0] = replace(own[0], receipt=damage(own[0].receipt))
    assert world.codes() == {"audit.receipt"}


def test_a_gateway_that_was_not_believed(world: World) -> None:
    world.histories[1].distrusted.append("receipt.moved")
    [fault] = world.audit().faults
    assert (fault.code, fault.device) == ("audit.untrue", FIRST + 1)
    assert "receipt.moved" in fault.detail


def test_many_faults_are_counted(world: World) -> None:
    world.histories[0].distrusted.extend(["receipt.proof"] * (audit.MAX_FAULTS + 7))
    found = world.audit()
    assert not found.clean
    assert (len(found.faults), found.more) == (audit.MAX_FAULTS, 7)


class TestOfAnswers:
    def answers(self, world: World) -> dict[bytes, int | None]:
        return {
            one.id: world.log.entries.index(one.data) if one.data in world.log.entries else None
            for history in world.histories
            for one in history.records
        }

    def test_clean(self, world: World) -> None:
        found = audit.of_answers(world.histories, self.answers(world), world.log.vkey)
        assert found.clean
        assert (found.log, found.size, found.delivered) == ("asked", None, DEVICES * STATEMENTS)

    def test_lost_and_moved(self, world: World) -> None:
        answers = self.answers(world)
        answers[world.first.id] = None
        answers[world.histories[1].records[0].id] = 0
        found = audit.of_answers(world.histories, answers, world.log.vkey)
        assert [fault.code for fault in found.faults] == ["audit.lost", "audit.moved"]
