"""A device of a fleet without a network: what it sends when, and what it remembers of it."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from nacl.signing import SigningKey
from trio.testing import MockClock

from clients.box.send import Line
from clients.fleet.clock import ElectionClock, Segment
from clients.fleet.device import FleetDevice, Keys, World
from clients.fleet.figures import Figures
from clients.fleet.history import Record
from clients.fleet.line import Lines
from clients.fleet.plan import DevicePlan, Plan, Planned
from clients.wire import statement
from clients.wire.client import Answer
from clients.wire.errors import WireError
from clients.wire.roster import Device
from tests.lying_gateway import TestLog

KEY = SigningKey(b"\x07" * 32)
BOX = Device(7, "box", (3,), None, bytes(KEY.verify_key), "")
# Election time at which a test's rehearsal starts; ten times as fast as Trio's clock.
START, SPEED = 5_000_000, 10
CLOSES_AT = START + 600_000
OPENING = Planned(0, 1, 3, (1, 0, bytes(32), ()))
RESULT = Planned(CLOSES_AT, 3, 3, (3, 3, 1, 0, (), ((1, ((11, 1),), (1,)),), ()))
OTHER = Planned(CLOSES_AT + 10_000, 3, 3, (3, 3, 1, 0, (), ((1, ((11, 1),), (2,)),), ()), twin=True)
PAPER = Planned(CLOSES_AT + 20_000, 4, 3, (4, 3, b"", 0, (), ((1, ((11, 1),), (1,)),), ()))

Reply = Callable[[bytes, float], Answer | WireError]


class FakeLines(Lines):
    """A gateway that a test speaks for.

    Attributes:
        seen: the statements, with Trio's time of their coming.
        reply: what is said to them; the default is a receipt.
    """

    def __init__(self) -> None:
        self.made = self.cut = 0
        self.log = TestLog()
        self.seen: list[tuple[float, statement.Statement]] = []
        self.reply: Reply = lambda data, at: self.receipt(data)

    def receipt(self, data: bytes) -> Answer:
        known = data in self.log.entries
        fields = {"content-type": "text/plain", "tallygate-outcome": "duplicate" if known else "accepted"}
        return Answer(200 if known else 201, fields, self.log.receipt(data))

    @asynccontextmanager
    async def dial(
        self, device: int, certificate: str, key: str, chance: random.Random
    ) -> AsyncIterator[Line]:
        self.made += 1
        yield FakeLine(self)


class FakeLine:
    def __init__(self, lines: FakeLines) -> None:
        self._lines = lines
        self.open = True

    async def request(
        self, method: str, path: str, body: bytes = b"", *, media_type: str = "", last: bool = False
    ) -> Answer:
        await trio.lowlevel.checkpoint()
        self._lines.seen.append((trio.current_time(), statement.decode(body)))
        answer = self._lines.reply(body, trio.current_time())
        if isinstance(answer, WireError):
            raise answer
        return answer


def live(lines: FakeLines, *planned: Planned, duplicate: float = 0.0) -> tuple[FleetDevice, Figures]:
    """A whole life, in no time."""

    async def main() -> tuple[FleetDevice, Figures]:
        clock = ElectionClock(lambda: round(trio.current_time() * 1_000), 0, [Segment(START, SPEED)])
        own = DevicePlan(BOX, planned)
        figures = Figures(Plan([own], {}), lambda station: clock.real_at(CLOSES_AT))
        world = World(bytes(32), lines.log.vkey, clock, lines, duplicate, figures)
        device = FleetDevice(own, Keys(KEY, "", ""), world, random.Random(1))
        await device.live()
        return device, figures

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def refusal(code: str, retry: str, after: int | None = None) -> Answer:
    fields = {"content-type": "application/problem+json"}
    if after is not None:
        fields["retry-after"] = str(after)
    return Answer(425, fields, f'{{"code":"{code}","detail":"","retry":"{retry}"}}'.encode())


def indexes(record: Record) -> list[int]:
    return [promise.index for promise in record.promises]


def test_everything_in_its_time() -> None:
    lines = FakeLines()
    device, figures = live(lines, OPENING, RESULT, OTHER, PAPER)
    assert [at for at, _ in lines.seen] == [0, 60, 61, 62]
    sent = [found for _, found in lines.seen]
    assert [found.sequence for found in sent] == [1, 2, 2, 3]
    assert [found.previous for found in sent] == [b"", sent[0].id, sent[0].id, sent[1].id]
    assert [found.report for found in sent] == [one.report for one in (OPENING, RESULT, OTHER, PAPER)]
    assert [indexes(record) for record in device.history.records] == [[0], [1], [2], [3]]
    assert (figures.planned, figures.signed, figures.delivered, figures.results) == (4, 4, 4, 1)
    assert (figures.from_send, figures.from_close) == ([0], [0])


def test_what_is_over_already_goes_at_once_over_one_connection() -> None:
    lines = FakeLines()
    early = [Planned(0, at, 3, (2, at, ((3, at),))) for at in (1, 2, 3)]
    live(lines, *early)
    assert [(at, found.sequence) for at, found in lines.seen] == [(0, 1), (0, 2), (0, 3)]
    assert lines.made == 1


def test_too_early_waits_as_long_as_it_is_told() -> None:
    lines = FakeLines()
    lines.reply = lambda data, at: (
        lines.receipt(data) if at >= 60 else refusal("statement.too_early", "later", 47)
    )
    early = Planned(START + 20_000, 3, 3, RESULT.report)
    _, figures = live(lines, early)
    assert [at for at, _ in lines.seen] == [2, 49, 96]
    assert (figures.refused, figures.retries, figures.delivered) == (2, 2, 1)
    # It was sent 58 seconds before its station closed, and nobody could take it then.
    assert figures.from_send == figures.from_close == [36_000]


def test_a_broken_line_backs_off_with_jitter() -> None:
    lines = FakeLines()
    lines.reply = lambda data, at: (
        lines.receipt(data) if at >= 10 else WireError("line.broken", "the connection broke off")
    )
    device, figures = live(lines, OPENING)
    waits = [after - before for (before, _), (after, _) in zip(lines.seen, lines.seen[1:], strict=False)]
    assert all(0.5 * 2**n <= wait <= 1.5 * 2**n for n, wait in enumerate(waits))
    assert figures.failed == figures.retries == len(waits)
    assert not device.history.distrusted
    assert len(lines.log.entries) == 1


def test_refused_for_ever() -> None:
    lines = FakeLines()
    lines.reply = lambda data, at: refusal("statement.signature", "never")
    device, figures = live(lines, OPENING, PAPER)
    assert [record.refused for record in device.history.records] == ["statement.signature"] * 2
    assert len(lines.seen) == figures.refused_for_ever == 2


def test_a_receipt_that_proves_nothing_is_remembered() -> None:
    lines, other = FakeLines(), TestLog(seed=2)
    fields = {"content-type": "text/plain", "tallygate-outcome": "accepted"}
    lines.reply = lambda data, at: lines.receipt(data) if at > 0 else Answer(201, fields, other.receipt(data))
    device, figures = live(lines, OPENING)
    assert device.history.distrusted == ["note.unsigned"]
    assert figures.delivered == 1


def test_duplicates() -> None:
    lines = FakeLines()
    device, figures = live(lines, OPENING, RESULT, duplicate=1.0)
    assert [found.sequence for _, found in lines.seen] == [1, 1, 2, 2]
    assert [indexes(record) for record in device.history.records] == [[0, 0], [1, 1]]
    assert (figures.delivered, figures.duplicates) == (2, 2)


def test_sent_again_in_its_time() -> None:
    lines = FakeLines()
    again = Planned(RESULT.at, 3, 3, RESULT.report, again=(CLOSES_AT + 50_000, CLOSES_AT + 90_000))
    device, _ = live(lines, OPENING, again)
    assert [(at, found.sequence) for at, found in lines.seen] == [(0, 1), (60, 2), (65, 2), (69, 2)]
    assert indexes(device.history.records[1]) == [1, 1, 1]


def test_an_opening_that_was_kept_back() -> None:
    """It is signed first and sent last: the chain does not depend on the order of sending."""
    lines = FakeLines()
    late = Planned(CLOSES_AT + 10_000, OPENING.signed_at, 3, OPENING.report)
    live(lines, late, RESULT)
    (first, result), (then, opening) = lines.seen
    assert (first, then) == (60, 61)
    assert (result.sequence, opening.sequence) == (2, 1)
    assert result.previous == opening.id


def test_no_secret_is_shown() -> None:
    shown = repr(Keys(KEY, "PRIVATE KEY", "certificate"))
    assert "PRIVATE" not in shown
    assert "SigningKey" not in shown
