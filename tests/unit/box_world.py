"""A device and the gateways that it can reach, without a network: what the tests of sending share."""

import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from trio.testing import MockClock

from clients.box import folder, receipts, sign
from clients.box.outbox import Letter, Outbox
from clients.box.papers import PaperEvent, PaperSender
from clients.box.send import (
    Event,
    Sender,
)
from clients.wire.answers import Retry
from clients.wire.client import Answer
from clients.wire.errors import WireError
from clients.wire.site import Address
from tests.lying_gateway import TestLog
from tests.unit import box_helpers as box

A, B = Address("a.example", 1), Address("b.example", 2)
# The gateways' time; this machine's clock says the same.
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
NOW = 784_111_777.0
CUT = WireError("line.broken", "the connection broke off")


class NoChance(random.Random):
    """Jitter of 1, and the first address first."""

    def uniform(self, a: float, b: float) -> float:
        assert (a, b) == (0.5, 1.5)
        return 1.0

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return 0


class Sent:
    """A request as a gateway has seen it."""

    def __init__(self, address: Address, connection: int, sequence: int, at: float, last: bool) -> None:
        self.address = address
        self.connection = connection
        self.sequence = sequence
        self.at = at
        self.last = last


Reply = Callable[[Sent], Answer | WireError]


class Uploaded:
    """A paper as a gateway has seen it."""

    def __init__(self, address: Address, sha256: str, media_type: str, at: float) -> None:
        self.address = address
        self.sha256 = sha256
        self.media_type = media_type
        self.at = at


PaperReply = Callable[[Uploaded], Answer | WireError]


def kept(uploaded: Uploaded, status: int = 201) -> Answer:
    """What a gateway says that keeps a paper."""
    body = f'{{"sha256":"{uploaded.sha256}","size":1}}'.encode()
    return Answer(status, {"content-type": "application/json"}, body)


class World:
    """A device with statements, and the gateways that it can reach.

    Attributes:
        reply: what a gateway says to a request; the default is a good receipt.
        dialled: what happens to a connection: nothing, or an error.
        closes: the gateway ends the connection after each answer.
        paper_reply: what it says to a paper; the default is that it keeps it.
        paper_seconds: how long a paper takes.
    """

    def __init__(self, device: Path) -> None:
        self.device = device
        self.log = TestLog()
        self.sent: list[Sent] = []
        self.uploaded: list[Uploaded] = []
        self.paper_reply: PaperReply = kept
        self.paper_seconds = 0.0
        self.events: list[Event | PaperEvent] = []
        self.calls: list[tuple[Address, float]] = []
        self.reply: Reply = self.good
        self.dialled: Callable[[Address], WireError | None] = lambda _: None
        self.closes = False
        self.clock = NOW
        self.chance: random.Random = NoChance()

    def good(self, sent: Sent) -> Answer:
        return self.answer(self.log, sent.sequence)

    def answer(self, log: TestLog, sequence: int, outcome: str = "accepted") -> Answer:
        data = (self.device / "statements" / f"{sequence:06}.cose").read_bytes()
        headers = {"content-type": "text/plain", "date": DATE, "tallygate-outcome": outcome}
        return Answer(201, headers, log.receipt(data))

    def sender(
        self, outbox: Outbox, *, again: bool = False, addresses: tuple[Address, ...] = (A, B)
    ) -> Sender:
        """A sender to these gateways."""
        return Sender(
            outbox,
            addresses,
            self.log.vkey,
            dial=self._dial,
            tell=self.events.append,
            clock=lambda: self.clock,
            chance=self.chance,
            again=again,
        )

    def paper_sender(self, outbox: Outbox, *, again: bool = False) -> PaperSender:
        """A sender of papers to these gateways."""
        return PaperSender(
            outbox, (A, B), dial=self._dial, tell=self.events.append, chance=self.chance, again=again
        )

    def run_papers(self, *, once: bool = False, again: bool = False) -> list[str]:
        """Send papers; what is left."""
        self.uploaded.clear()
        self.events.clear()
        self.calls.clear()

        async def main() -> list[str]:
            with receipts.sending(self.device):
                sender = self.paper_sender(Outbox(self.device, self.log.vkey), again=again)
                await sender.run(once=once)
                return [paper.sha256.hex() for paper in sender.left]

        return trio.run(main, clock=MockClock(autojump_threshold=0))

    def run(
        self, *, once: bool = False, again: bool = False, addresses: tuple[Address, ...] = (A, B)
    ) -> list[int]:
        """Send; the numbers of what is left."""
        self.sent.clear()
        self.events.clear()
        self.calls.clear()

        async def main() -> list[int]:
            with receipts.sending(self.device):
                outbox = Outbox(self.device, self.log.vkey)
                sender = self.sender(outbox, again=again, addresses=addresses)
                await sender.run(once=once)
                return [letter.packet.sequence for letter in sender.left]

        return trio.run(main, clock=MockClock(autojump_threshold=0))

    @asynccontextmanager
    async def _dial(self, address: Address) -> AsyncIterator["FakeLine"]:
        self.calls.append((address, self.now()))
        error = self.dialled(address)
        if error is not None:
            raise error
        yield FakeLine(self, address, len(self.calls))

    @staticmethod
    def now() -> float:
        """Seconds since the start; MockClock begins at 0."""
        return round(trio.current_time(), 6)

    def what(self) -> list[tuple[int, float]]:
        """Which statement was sent when."""
        return [(sent.sequence, sent.at) for sent in self.sent]

    def of(self, *kinds: type[Event | PaperEvent]) -> list[Event | PaperEvent]:
        return [event for event in self.events if isinstance(event, kinds)]

    def stored(self) -> list[int]:
        return [letter.packet.sequence for letter in self.letters() if letter.stored is not None]

    def letters(self) -> list[Letter]:
        return Outbox(self.device, self.log.vkey).letters


class FakeLine:
    def __init__(self, world: World, address: Address, number: int) -> None:
        self._world = world
        self._address = address
        self._number = number
        self.open = True

    async def request(
        self, method: str, path: str, body: bytes = b"", *, media_type: str = "", last: bool = False
    ) -> Answer:
        assert self.open
        assert (method, path, media_type) == ("POST", "/v1/statements", "application/cose")
        await trio.lowlevel.checkpoint()
        statements = self._world.device / "statements"
        [sequence] = [
            int(file.stem)
            for file in statements.iterdir()
            if not file.name.startswith(".") and file.read_bytes() == body
        ]
        sent = Sent(self._address, self._number, sequence, self._world.now(), last)
        self._world.sent.append(sent)
        self.open = not (last or self._world.closes)
        answer = self._world.reply(sent)
        if isinstance(answer, WireError):
            raise answer
        return answer

    async def upload(self, path: str, body: bytes, *, media_type: str, last: bool = False) -> Answer:
        assert self.open
        begin, _, name = path.rpartition("/")
        assert (begin, name) == ("/v1/attachments", hashlib.sha256(body).hexdigest())
        await trio.sleep(self._world.paper_seconds)
        uploaded = Uploaded(self._address, name, media_type, self._world.now())
        self._world.uploaded.append(uploaded)
        answer = self._world.paper_reply(uploaded)
        self.open = not (last or self._world.closes)
        if isinstance(answer, WireError):
            raise answer
        return answer


def refused(code: str, retry: Retry = "later", after: int | None = None) -> Answer:
    headers = {"content-type": "application/problem+json"}
    if after is not None:
        headers["retry-after"] = str(after)
    return Answer(503, headers, f'{{"code":"{code}","detail":"words","retry":"{retry}"}}'.encode())


def sign_turnout(device: Path, number: int) -> None:
    counts = box.write_json(
        device.parent / "counts.json", {**box.turnout(), "figures": {"identified": number}}
    )
    with folder.opened(device) as opened:
        sign.sign(opened, counts, box.NOW + number)
