"""How papers (scans) are brought to a gateway: beside the statements, over a connection of their own.

A gateway takes a paper once a statement that names it is in the log, so a paper waits for its statement's
receipt. The other way round nothing waits: a scan may need hours on a slow line, and a statement that is
signed meanwhile has the other one of the device's two connections. A line that breaks costs what was sent of
one paper; that one begins anew. The rules of sending again are those of statements (docs/box-port.md).
"""

import contextlib
import math
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import trio

from clients.box.outbox import Paper
from clients.box.send import FOR_ALL, LOOK_SECONDS, Failed, pause
from clients.wire import answers
from clients.wire.answers import Refusal
from clients.wire.client import Answer
from clients.wire.errors import WireError
from clients.wire.site import Address

# Of which `limit.storage` too: for papers the disk is full before it is for statements.
_FOR_ALL_PAPERS = FOR_ALL | {"limit.storage"}


@dataclass(frozen=True, slots=True)
class PaperTaken:
    """A gateway keeps the paper; `new`: it had not got it before."""

    paper: Paper
    new: bool


@dataclass(frozen=True, slots=True)
class PaperRefused:
    """A gateway has refused a paper; `wait` is in seconds, None if it is not sent again."""

    paper: Paper
    refusal: Refusal
    wait: float | None


@dataclass(frozen=True, slots=True)
class PaperUnread:
    """The paper's own file cannot be sent; it is looked at again in `wait` seconds."""

    paper: Paper
    error: WireError
    wait: float


PaperEvent: TypeAlias = PaperTaken | PaperRefused | PaperUnread | Failed


class Papers(Protocol):
    """Where papers come from (`clients.box.outbox.Outbox`)."""

    papers: list[Paper]

    def content(self, paper: Paper) -> bytes:
        """The bytes of a paper that is here; raises `WireError` where they are not those."""

    def take(self, paper: Paper) -> None:
        """Note durably that a gateway keeps it."""


class PaperLine(Protocol):
    """What a connection has to do here (`clients.wire.client.Connection`)."""

    @property
    def open(self) -> bool:
        """Whether it takes another request."""

    async def upload(self, path: str, body: bytes, *, media_type: str, last: bool = False) -> Answer:
        """Send a file with PUT and wait for the answer."""


PaperDial: TypeAlias = Callable[[Address], AbstractAsyncContextManager[PaperLine]]


@dataclass(slots=True)
class _Item:
    """A paper, how often it has failed, when it may be sent again (Trio's time), and whether it is over.

    Attributes:
        answered: a gateway or this disk has said something about it.
    """

    paper: Paper
    tries: int = 0
    at: float = -math.inf
    answered: bool = False
    over: bool = False


class PaperSender:
    """Sends an outbox's papers; whoever runs it holds the outbox's lock (`clients.box.receipts.sending`).

    Args:
        outbox: whose papers; others may make it longer meanwhile.
        addresses: of gateways, at least one; the first to be tried is a random one.
        dial: connects to an address.
        tell: hears each event.
        chance: for jitter and the first address.
        again: send also what a gateway keeps already.
    """

    def __init__(
        self,
        outbox: Papers,
        addresses: Sequence[Address],
        *,
        dial: PaperDial,
        tell: Callable[[PaperEvent], None],
        chance: random.Random,
        again: bool = False,
    ) -> None:
        self._outbox = outbox
        self._addresses = addresses
        self._dial = dial
        self._tell = tell
        self._chance = chance
        self._again = again
        self._items: list[_Item] = []
        self._seen = 0
        self._turn = chance.randrange(len(addresses))
        # Attempts in a row that no gateway has answered well, and all such attempts.
        self._row = 0
        self._failures = 0
        self._line_at = -math.inf
        self._news = trio.Event()

    @property
    def left(self) -> list[Paper]:
        """Papers that are here and that no gateway keeps, whether their statements are delivered or not."""
        return [paper for paper in self._outbox.papers if paper.here and not paper.taken]

    @property
    def waiting(self) -> bool:
        """Whether something is to be sent, now or later: a paper of a delivered statement."""
        self._look()
        return bool(self._ready())

    def wake(self) -> None:
        """Says that statements were delivered, or that none will be any more."""
        self._news.set()

    async def run(self, *, once: bool, more: Callable[[], bool] = bool) -> None:
        """Send until every paper of a delivered statement is taken, or nothing more can be done.

        Args:
            once: never wait: each paper is answered at most once, and at most as many attempts fail as there
                are addresses.
            more: whether statements may still be signed or delivered meanwhile: then wait for their papers.
        """
        while True:
            # Before the look: what is delivered in between is looked at once more.
            goes_on = more()
            self._look()
            ready = self._ready()
            if once:
                due = [item for item in ready if not item.answered]
                if not due or self._failures >= len(self._addresses):
                    return
            else:
                if not ready and not goes_on:
                    return
                now = trio.current_time()
                until = max(self._line_at, min((item.at for item in ready), default=math.inf))
                if until > now:
                    with trio.move_on_at(min(until, now + LOOK_SECONDS)):
                        await self._news.wait()
                    self._news = trio.Event()
                    continue
                due = [item for item in ready if item.at <= now]
            # What has failed comes after what has not; then in the order of their statements.
            due.sort(key=lambda item: item.tries)
            await self._session(due)

    def _ready(self) -> list[_Item]:
        return [item for item in self._items if not item.over and item.paper.letter.stored is not None]

    def _look(self) -> None:
        papers = self._outbox.papers
        new, self._seen = papers[self._seen :], len(papers)
        self._items += [_Item(paper) for paper in new if paper.here and (self._again or not paper.taken)]

    async def _session(self, due: list[_Item]) -> None:
        """Send over one connection, as long as the gateway lets it."""
        address = self._addresses[self._turn % len(self._addresses)]
        item: _Item | None = None
        try:
            async with self._dial(address) as line:
                for place, item in enumerate(due, 1):
                    content = self._read(item)
                    if content is None:
                        continue
                    paper = item.paper
                    answer = await line.upload(
                        f"{answers.ATTACHMENTS}/{paper.sha256.hex()}",
                        content,
                        media_type=answers.MEDIA_TYPES[paper.media],
                        last=place == len(due),
                    )
                    found = answers.judge_paper(answer, paper.sha256)
                    goes_on = (
                        self._refused(item, found) if isinstance(found, Refusal) else self._taken(item, found)
                    )
                    if not goes_on or not line.open:
                        break
        except WireError as error:
            if item is not None:
                item.tries += 1
            self._tell(Failed(address, error, self._line_failed(None)))

    def _read(self, item: _Item) -> bytes | None:
        """The paper's bytes; None: this disk does not give them, which says nothing about the line."""
        try:
            return self._outbox.content(item.paper)
        except WireError as error:
            item.answered = True
            wait = pause(item.tries, None, self._chance)
            item.tries += 1
            item.at = trio.current_time() + wait
            self._tell(PaperUnread(item.paper, error, wait))
            return None

    def _taken(self, item: _Item, new: bool) -> bool:
        self._row = 0
        item.answered = item.over = True
        # Not noted, it is sent again by the next run, and the gateway says at once that it has it.
        with contextlib.suppress(OSError):
            self._outbox.take(item.paper)
        self._tell(PaperTaken(item.paper, new))
        return True

    def _refused(self, item: _Item, refusal: Refusal) -> bool:
        """Note a refusal; whether the connection is of use for other papers."""
        item.answered = True
        if refusal.retry == "never":
            item.over = True
            self._tell(PaperRefused(item.paper, refusal, None))
            return True
        if refusal.code in _FOR_ALL_PAPERS:
            item.tries += 1
            self._tell(PaperRefused(item.paper, refusal, self._line_failed(refusal)))
            return False
        self._row = 0
        wait = pause(item.tries, refusal, self._chance)
        item.tries += 1
        item.at = trio.current_time() + wait
        self._tell(PaperRefused(item.paper, refusal, wait))
        return True

    def _line_failed(self, refusal: Refusal | None) -> float:
        """Turn to the next address, and say how long to wait before it."""
        wait = pause(self._row, refusal, self._chance)
        self._row += 1
        self._failures += 1
        self._turn += 1
        self._line_at = trio.current_time() + wait
        return wait
