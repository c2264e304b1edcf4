"""What is sent when, to whom, and what counts as delivered: against gateways that say what a test wants."""

import errno
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.box import folder, receipts, send
from clients.box.outbox import Outbox
from clients.box.send import (
    ClockOff,
    Delivered,
    Failed,
    Found,
    Refused,
    Resting,
    Unstored,
)
from clients.wire.client import Answer
from clients.wire.errors import WireError
from tests.lying_gateway import TestLog
from tests.unit import box_helpers as box
from tests.unit.box_world import (
    CUT,
    NOW,
    A,
    B,
    Sent,
    World,
    refused,
    sign_turnout,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A device that has signed three reports."""
    device = box.make_device(tmp_path)
    for number in (1, 2, 3):
        sign_turnout(device, number)
    return World(device)


class TestDelivery:
    def test_in_order_over_one_connection(self, world: World) -> None:
        assert world.run() == []
        assert [(sent.connection, sent.sequence, sent.last) for sent in world.sent] == [
            (1, 1, False),
            (1, 2, False),
            (1, 3, True),
        ]
        assert world.stored() == [1, 2, 3]
        assert [event.logged.index for event in world.events if isinstance(event, Delivered)] == [0, 1, 2]
        place = receipts.path(world.device, 2)
        assert (place.name, place.stat().st_mode & 0o777) == ("000002.receipt", 0o600)

    def test_what_is_delivered_is_not_sent_again(self, world: World) -> None:
        world.run()
        assert world.run() == []
        assert (world.sent, world.events) == ([], [])
        sign_turnout(world.device, 4)
        assert world.run() == []
        assert world.what() == [(4, 0)]

    def test_nothing_to_send(self, tmp_path: Path) -> None:
        world = World(box.make_device(tmp_path))
        assert world.run() == []
        assert world.calls == []

    def test_a_gateway_that_ends_each_connection(self, world: World) -> None:
        world.closes = True
        assert world.run() == []
        assert [(sent.connection, sent.sequence, sent.at) for sent in world.sent] == [
            (1, 1, 0),
            (2, 2, 0),
            (3, 3, 0),
        ]

    def test_again_fetches_newer_receipts(self, world: World) -> None:
        world.run()
        before = [letter.stored for letter in world.letters()]
        assert world.run(again=True) == []
        assert [sent.sequence for sent in world.sent] == [1, 2, 3]
        after = [letter.stored for letter in world.letters()]
        assert [stored.size for stored in before if stored] == [1, 2, 3]
        assert [(stored.index, stored.size) for stored in after if stored] == [(0, 3), (1, 3), (2, 3)]

    def test_whatever_is_wrong_with_a_stored_receipt_it_is_fetched_anew(self, world: World) -> None:
        world.run()
        receipts.path(world.device, 1).write_bytes(b"")
        receipts.path(world.device, 2).write_bytes(receipts.path(world.device, 3).read_bytes())
        receipts.path(world.device, 3).write_bytes(bytes(100_000))
        assert world.stored() == []
        bad = [letter.bad for letter in world.letters()]
        assert [error.code for error in bad if error] == [
            "receipt.malformed",
            "receipt.proof",
            "file.too_large",
        ]
        assert all(str(receipts.path(world.device, 1).parent) in str(error) for error in bad)
        assert world.run() == []
        assert world.stored() == [1, 2, 3]

    def test_a_second_place_in_the_log_is_an_alarm(self, world: World) -> None:
        world.run()
        other = TestLog()
        other.receipt(b"something else")
        before = receipts.path(world.device, 1).read_bytes()
        world.reply = lambda sent: world.answer(other, sent.sequence)
        assert world.run(again=True, once=True) == [1, 2, 3]
        [first, _] = world.of(Failed)
        assert isinstance(first, Failed)
        assert first.error.code == "receipt.moved"
        assert receipts.path(world.device, 1).read_bytes() == before


class TestNotBelieved:
    """A status says nothing: only a receipt that proves the statement under the log's key does."""

    def bad(self, world: World, answer: Callable[[Sent], Answer | WireError], code: str) -> None:
        calls = 0

        def reply(sent: Sent) -> Answer | WireError:
            nonlocal calls
            calls += 1
            return answer(sent) if calls == 1 else world.good(sent)

        world.reply = reply
        assert world.run() == []
        [failed] = world.of(Failed)
        assert isinstance(failed, Failed)
        assert (failed.error.code, failed.address) == (code, A)
        # The next address, after a wait; and the one that has failed comes after the others.
        assert [(sent.address, sent.sequence, sent.at) for sent in world.sent] == [
            (A, 1, 0),
            (B, 2, 1),
            (B, 3, 1),
            (B, 1, 1),
        ]

    def test_another_key(self, world: World) -> None:
        self.bad(world, lambda sent: world.answer(TestLog(2), sent.sequence), "note.unsigned")

    def test_another_statement(self, world: World) -> None:
        self.bad(world, lambda _: world.answer(world.log, 2), "receipt.proof")

    @pytest.mark.parametrize("status", [200, 201])
    def test_a_status_alone(self, world: World, status: int) -> None:
        self.bad(world, lambda _: Answer(status, {"content-type": "text/plain"}, b""), "receipt.malformed")

    def test_a_page(self, world: World) -> None:
        self.bad(world, lambda _: Answer(200, {"content-type": "text/html"}, b"<p>"), "line.answer")

    def test_half_a_reply(self, world: World) -> None:
        self.bad(world, lambda _: CUT, "line.broken")

    def test_nothing_is_stored_before_it_is_verified(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(receipts, "store", lambda *_: pytest.fail("stored"))
        world.reply = lambda sent: world.answer(TestLog(2), sent.sequence)
        assert world.run(once=True) == [1, 2, 3]
        assert world.stored() == []

    def test_one_statement_that_never_gets_through_keeps_no_other(self, world: World) -> None:
        calls = 0

        def reply(sent: Sent) -> Answer | WireError:
            nonlocal calls
            calls += sent.sequence == 1
            return CUT if sent.sequence == 1 and calls < 5 else world.good(sent)

        world.reply = reply
        assert world.run() == []
        assert world.what() == [(1, 0), (2, 1), (3, 1), (1, 1), (1, 2), (1, 4), (1, 8)]


class TestWaiting:
    def test_twice_as_long_each_time_at_the_next_address(self, world: World) -> None:
        failures = 12
        world.dialled = lambda _: CUT if len(world.calls) <= failures else None
        assert world.run() == []
        at = 0.0
        for number, (address, when) in enumerate(world.calls):
            assert (address, when) == ((A, B)[number % 2], at)
            at += min(2**number, send.LONGEST_WAIT)
        assert len(world.calls) == failures + 1

    def test_waits_are_spread(self, world: World) -> None:
        world.chance = random.Random(3)
        world.dialled = lambda _: CUT if len(world.calls) <= 200 else None
        assert world.run() == []
        waits = [event.wait for event in world.events if isinstance(event, Failed)]
        spread = [wait / min(2.0 ** min(number, 9), 300) for number, wait in enumerate(waits)]
        assert len(waits) == 200
        assert 0.5 <= min(spread) < 0.6
        assert 1.4 < max(spread) <= 1.5

    def test_boxes_do_not_all_begin_at_one_gateway(self, world: World) -> None:
        first = set()
        for seed in range(10):
            world.chance = random.Random(seed)
            world.run(again=True)
            first.add(world.calls[0][0])
        assert first == {A, B}

    def test_a_good_answer_ends_the_growth(self, world: World) -> None:
        world.closes = True
        world.dialled = lambda _: None if len(world.calls) in (4, 6, 7) else CUT
        world.run()
        assert [when for _, when in world.calls] == [0, 1, 3, 7, 7, 8, 8]

    def test_until_a_result_may_be_sent(self, world: World) -> None:
        """Only that statement waits, as long as it was told, and not a second less."""
        world.reply = lambda sent: (
            refused("statement.too_early", after=5_000)
            if (sent.sequence, sent.at) == (1, 0)
            else world.good(sent)
        )
        assert world.run() == []
        assert world.what() == [(1, 0), (2, 0), (3, 0), (1, 5_000)]

    @pytest.mark.parametrize("code", ["limit.overload", "limit.device", "log.not_open"])
    def test_a_busy_gateway_is_left_alone(self, world: World, code: str) -> None:
        world.reply = lambda sent: refused(code, after=77) if sent.at == 0 else world.good(sent)
        assert world.run() == []
        assert world.what() == [(1, 0), (2, 77), (3, 77), (1, 77)]

    def test_a_day_is_the_longest(self, world: World) -> None:
        world.reply = lambda sent: (
            refused("limit.overload", after=10**9) if sent.at == 0 else world.good(sent)
        )
        assert world.run() == []
        assert world.sent[-1].at == 86_400

    def test_now_is_not_at_once(self, world: World) -> None:
        world.reply = lambda sent: refused("limit.storage", after=0) if sent.at < 3 else world.good(sent)
        assert world.run() == []
        assert [sent.at for sent in world.sent if sent.sequence == 1] == [0, 1, 2, 3]

    def test_the_gateways_fault_is_a_back_off_of_the_statement(self, world: World) -> None:
        world.reply = lambda sent: (
            refused("server.fault") if (sent.sequence, sent.at < 7) == (2, True) else world.good(sent)
        )
        assert world.run() == []
        assert [sent.at for sent in world.sent if sent.sequence == 2] == [0, 1, 3, 7]
        assert [sent.at for sent in world.sent if sent.sequence != 2] == [0, 0]

    def test_never(self, world: World) -> None:
        world.reply = lambda sent: (
            refused("statement.malformed", "never") if sent.sequence == 2 else world.good(sent)
        )
        assert world.run() == [2]
        assert [sent.sequence for sent in world.sent] == [1, 2, 3]
        [event] = world.of(Refused)
        assert isinstance(event, Refused)
        assert event.wait is None
        assert (world.device / "statements/000002.cose").exists()

    def test_fix(self, world: World) -> None:
        world.reply = lambda sent: refused("request.media_type", "fix") if sent.at == 0 else world.good(sent)
        assert world.run() == []
        assert world.what() == [(1, 0), (2, 0), (3, 0), (1, 300), (2, 300), (3, 300)]

    def test_once_never_waits(self, world: World) -> None:
        world.reply = lambda sent: (
            refused("statement.too_early", after=50) if sent.sequence == 1 else world.good(sent)
        )
        assert world.run(once=True) == [1]
        assert [sent.at for sent in world.sent] == [0, 0, 0]
        assert world.of(Resting) == []

    def test_once_asks_each_address_once(self, world: World) -> None:
        world.dialled = lambda address: CUT if address == A else None
        assert world.run(once=True) == []
        assert [address for address, _ in world.calls] == [A, B]
        sign_turnout(world.device, 4)
        world.dialled = lambda _: CUT
        assert world.run(once=True) == [4]
        assert [address for address, _ in world.calls] == [A, B]


class TestMeanwhile:
    def test_what_is_signed_while_others_wait_is_sent_too(self, world: World) -> None:
        def reply(sent: Sent) -> Answer:
            if sent.sequence == 3 and sent.at < 100:
                sign_turnout(world.device, 4)
                return refused("statement.too_early", after=100)
            return world.good(sent)

        world.reply = reply
        assert world.run() == []
        assert world.what() == [(1, 0), (2, 0), (3, 0), (4, 0), (3, 100)]
        assert len(world.of(Found)) == 1

    def test_while_somebody_signs_nobody_looks(self, world: World) -> None:
        outbox = Outbox(world.device, world.log.vkey)
        (world.device / "statements" / ".000004.cose.0123456789abcdef.tmp").write_bytes(b"")
        assert outbox.look() == ()
        sign_turnout(world.device, 4)
        with folder.opened(world.device):
            assert outbox.look() == ()
        [letter] = outbox.look()
        assert letter.packet.sequence == 4

    def test_a_chain_that_breaks_meanwhile_ends_it(self, world: World) -> None:
        def reply(sent: Sent) -> Answer:
            (world.device / "statements/000005.cose").write_bytes(b"")
            return refused("limit.overload", after=5)

        world.reply = reply
        with pytest.raises(WireError) as caught:
            world.run()
        assert caught.value.code == "spool.gap"

    @pytest.mark.parametrize("hours", [-24, 24])
    def test_a_wrong_clock_is_told_once_and_holds_up_nothing(self, world: World, hours: int) -> None:
        world.clock = NOW + hours * 3_600
        assert world.run() == []
        assert world.of(ClockOff) == [ClockOff(hours * 3_600)]

    def test_a_clock_that_is_nearly_right(self, world: World) -> None:
        world.clock = NOW + send.CLOCK_TOLERANCE
        world.run()
        assert world.of(ClockOff) == []


class TestDisk:
    def test_full(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """The statements reach the log all the same; none counts as delivered whose receipt is not stored."""
        with monkeypatch.context() as full:
            store = receipts.store

            def no_room(device: Path, sequence: int, data: bytes) -> None:
                if sequence == 2:
                    raise OSError(errno.ENOSPC, "No space left on device")
                store(device, sequence, data)

            full.setattr(receipts, "store", no_room)
            assert world.run() == [2]
        [event] = world.of(Unstored)
        assert isinstance(event, Unstored)
        assert (event.letter.packet.sequence, event.logged.index) == (2, 1)
        assert world.stored() == [1, 3]
        assert len(world.log.entries) == 3
        assert world.run() == []
        assert world.what() == [(2, 0)]
        assert len(world.log.entries) == 3

    def test_what_a_killed_program_leaves_is_cleared_away(self, world: World) -> None:
        world.run()
        left = world.device / "receipts" / ".000002.receipt.0123456789abcdef.tmp"
        left.write_bytes(b"half")
        with receipts.sending(world.device):
            assert not left.exists()
        assert world.stored() == [1, 2, 3]

    def test_one_sends_at_a_time_and_others_may_sign(self, world: World) -> None:
        with receipts.sending(world.device):
            with pytest.raises(WireError) as caught, receipts.sending(world.device):
                pass
            assert caught.value.code == "send.busy"
            sign_turnout(world.device, 4)
        with receipts.sending(world.device):
            pass
