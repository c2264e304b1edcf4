"""How statements are brought to a gateway: in what order, when again, and when to stop (docs/box.md).

The rules are docs/box-port.md's: a statement is delivered when its receipt has been verified and stored. The
gateway's word counts in one thing only, when to come again. Everything that happens is told as an event.
"""

import math
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import trio

from clients.box.outbox import Letter
from clients.wire import answers
from clients.wire.answers import Logged, Refusal
from clients.wire.client import Answer
from clients.wire.errors import WireError
from clients.wire.note import VerifierKey
from clients.wire.site import Address

# Back-off without a Retry-After, in seconds: docs/box-port.md, "When to send again".
FIRST_WAIT = 1.0
LONGEST_WAIT = 300.0
# Each wait is multiplied by a random number between these: a country's boxes must not come in step.
LEAST_JITTER = 0.5
MOST_JITTER = 1.5
# Seconds between two looks for statements that were signed while others wait.
LOOK_SECONDS = 5.0
# Seconds by which this machine's clock may differ from the gateway's before a person is told.
CLOCK_TOLERANCE = 120.0

# 2 ** 9 seconds are more than the longest wait: larger powers would only overflow.
_MAX_DOUBLINGS = 9
# Refusals that any statement would get now: the connection is no use for the others either.
FOR_ALL: Final = frozenset({"limit.device", "limit.overload", "log.not_open", "identity.revoked"})


@dataclass(frozen=True, slots=True)
class Delivered:
    """The statement's receipt is verified and stored."""

    letter: Letter
    logged: Logged


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway has refused a statement; `wait` is in seconds, None if it is not sent again."""

    letter: Letter
    refusal: Refusal
    wait: float | None


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt has failed without an answer that means something; the next is in `wait` seconds."""

    address: Address
    error: WireError
    wait: float


@dataclass(frozen=True, slots=True)
class Unstored:
    """The statement is in the log, but its receipt could not be stored: it does not count as delivered."""

    letter: Letter
    logged: Logged
    error: OSError


@dataclass(frozen=True, slots=True)
class ClockOff:
    """By how many seconds this machine's clock is ahead of the gateway's; negative: behind."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """Statements that were signed while this program ran."""

    letters: Sequence[Letter]


@dataclass(frozen=True, slots=True)
class Resting:
    """Nothing can be done before `until`, in Trio's time."""

    until: float


Event: TypeAlias = Delivered | Refused | Failed | Unstored | ClockOff | Found | Resting


class Post(Protocol):
    """Where statements come from and receipts go to (`clients.box.outbox.Outbox`)."""

    letters: list[Letter]

    def look(self) -> Sequence[Letter]:
        """Statements that were signed since the last look; `letters` has them from now on."""

    def store(self, letter: Letter, logged: Logged) -> None:
        """Store a statement's receipt; when this returns, it is delivered."""


class Line(Protocol):
    """What a connection has to do here (`clients.wire.client.Connection`)."""

    @property
    def open(self) -> bool:
        """Whether it takes another request."""

    async def request(
        self, method: str, path: str, body: bytes = b"", *, media_type: str = "", last: bool = False
    ) -> Answer:
        """Send a request and wait for its answer."""


Dial: TypeAlias = Callable[[Address], AbstractAsyncContextManager[Line]]


def pause(earlier: int, refusal: Refusal | None, chance: random.Random) -> float:
    """Seconds until the next attempt after `earlier` failed ones and this.

    Args:
        earlier: attempts that have failed before.
        refusal: what this one was refused with, if it was.
        chance: for the jitter.
    """
    if refusal is not None and refusal.after is not None:
        return max(float(refusal.after), FIRST_WAIT)
    if refusal is not None and refusal.retry == "fix":
        # A person has to do something first, which may be done at any time.
        wait = LONGEST_WAIT
    else:
        wait = min(FIRST_WAIT * 2.0 ** min(earlier, _MAX_DOUBLINGS), LONGEST_WAIT)
    return wait * chance.uniform(LEAST_JITTER, MOST_JITTER)


@dataclass(slots=True)
class _Item:
    """A statement that is to be sent, and what became of it so far.

    Attributes:
        letter: the statement.
        tries: how often it has failed.
        at: when it may be sent again, in Trio's time.
        answered: a gateway has answered well, whatever it has said.
        over: it is not sent again.
        done: its receipt was stored.
    """

    letter: Letter
    tries: int = 0
    at: float = -math.inf
    answered: bool = False
    over: bool = False
    done: bool = False


class Sender:
    """Sends an outbox; whoever runs it holds the outbox's lock (`clients.box.receipts.sending`)."""

    def __init__(
        self,
        outbox: Post,
        addresses: Sequence[Address],
        log_key: VerifierKey,
        *,
        dial: Dial,
        tell: Callable[[Event], None],
        clock: Callable[[], float],
        chance: random.Random,
        again: bool = False,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            outbox: whose statements.
            addresses: of gateways, at least one; the first to be tried is a random one.
            log_key: the log's, for receipts.
            dial: connects to an address.
            tell: hears each event.
            clock: real time of this machine, seconds since the Unix epoch.
            chance: for jitter and the first address.
            again: send also what is delivered, for new receipts.
        """
        self._outbox = outbox
        self._addresses = addresses
        self._log_key = log_key
        self._dial = dial
        self._tell = tell
        self._clock = clock
        self._chance = chance
        self._items = [_Item(letter) for letter in outbox.letters if again or letter.stored is None]
        self._turn = chance.randrange(len(addresses))
        # Attempts in a row that no gateway has answered well, and all such attempts.
        self._row = 0
        self._failures = 0
        self._line_at = -math.inf
        self._clock_told = False

    @property
    def left(self) -> list[Letter]:
        """What was to be sent and has no new receipt yet, in order."""
        return [item.letter for item in self._items if not item.done]

    async def run(self, *, once: bool) -> None:
        """Send until everything is delivered or nothing more can be; `left` says which.

        Args:
            once: never wait: each statement is answered at most once, and at most as many attempts fail as
                there are addresses.

        Raises:
            WireError: the spool cannot be read any more (`spool.*`, `folder.*`, `file.*`).
            OSError: the same.
        """
        while True:
            self.look()
            open_items = [item for item in self._items if not item.over]
            if once:
                due = [item for item in open_items if not item.answered]
                if not due or self._failures >= len(self._addresses):
                    break
            else:
                if not open_items:
                    break
                now = trio.current_time()
                until = max(self._line_at, min(item.at for item in open_items))
                if until > now:
                    self._tell(Resting(until))
                    await trio.sleep_until(min(until, now + LOOK_SECONDS))
                    continue
                due = [item for item in open_items if item.at <= now]
            # What has failed comes after what has not: no statement keeps the others waiting.
            due.sort(key=lambda item: (item.tries, item.letter.packet.sequence))
            await self._session(due)

    def look(self) -> None:
        """Take in what was signed since the last look.

        Raises:
            WireError: the spool cannot be read any more (`spool.*`, `folder.*`, `file.*`).
            OSError: the same.
        """
        new = self._outbox.look()
        if new:
            self._items += [_Item(letter) for letter in new if letter.stored is None]
            self._tell(Found(new))

    async def _session(self, due: list[_Item]) -> None:
        """Send over one connection, as long as the gateway lets it."""
        address = self._addresses[self._turn % len(self._addresses)]
        item: _Item | None = None
        try:
            async with self._dial(address) as line:
                for place, item in enumerate(due, 1):
                    answer = await line.request(
                        "POST",
                        answers.STATEMENTS,
                        item.letter.data,
                        media_type=answers.COSE,
                        last=place == len(due),
                    )
                    self._compare_clocks(answer)
                    found = answers.judge(answer, item.letter.data, self._log_key)
                    goes_on = (
                        self._refused(item, found)
                        if isinstance(found, Refusal)
                        else self._logged(item, found)
                    )
                    if not goes_on or not line.open:
                        break
        except WireError as error:
            if item is not None:
                item.tries += 1
            self._tell(Failed(address, error, self._line_failed(None)))

    def _logged(self, item: _Item, logged: Logged) -> bool:
        letter = item.letter
        if letter.stored is not None and letter.stored.index != logged.index:
            raise WireError(
                "receipt.moved",
                f"the log has given statement {letter.packet.sequence} the places {letter.stored.index} and "
                f"{logged.index}, and each can have one only. Keep this folder as it is and call the "
                "commission: this log, or who answers for it, is not honest",
            )
        self._row = 0
        item.answered = item.over = True
        try:
            self._outbox.store(letter, logged)
        except OSError as error:
            self._tell(Unstored(letter, logged, error))
        else:
            item.done = True
            self._tell(Delivered(letter, logged))
        return True

    def _refused(self, item: _Item, refusal: Refusal) -> bool:
        """Note a refusal; whether the connection is of use for other statements."""
        item.answered = True
        if refusal.retry == "never":
            item.over = True
            self._tell(Refused(item.letter, refusal, None))
            return True
        if refusal.code in FOR_ALL:
            item.tries += 1
            self._tell(Refused(item.letter, refusal, self._line_failed(refusal)))
            return False
        self._row = 0
        wait = pause(item.tries, refusal, self._chance)
        item.tries += 1
        item.at = trio.current_time() + wait
        self._tell(Refused(item.letter, refusal, wait))
        return True

    def _line_failed(self, refusal: Refusal | None) -> float:
        """Turn to the next address, and say how long to wait before it."""
        wait = pause(self._row, refusal, self._chance)
        self._row += 1
        self._failures += 1
        self._turn += 1
        self._line_at = trio.current_time() + wait
        return wait

    def _compare_clocks(self, answer: Answer) -> None:
        date = answer.date
        if date is None or self._clock_told:
            return
        ahead = self._clock() - date
        if abs(ahead) > CLOCK_TOLERANCE:
            self._clock_told = True
            self._tell(ClockOff(ahead))
