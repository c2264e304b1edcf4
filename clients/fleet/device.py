"""One device of a fleet: it signs what is planned, sends as the box's program does, and remembers everything.

What lives here: the chain of sequence and `previous`, the letters that are due, and the exact history of what
the device believes: what it was promised, what was refused for ever, and what it does not know.
"""

import contextlib
import hashlib
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from nacl.signing import SigningKey

from clients.box.outbox import Letter
from clients.box.receipts import Stored
from clients.box.send import Delivered, Event, Failed, Line, Post, Refused, Sender
from clients.fleet.clock import ElectionClock
from clients.fleet.figures import Figures
from clients.fleet.history import History, Promise, Record
from clients.fleet.line import Lines
from clients.fleet.plan import DevicePlan, Planned
from clients.wire import statement
from clients.wire.answers import Logged
from clients.wire.note import VerifierKey
from clients.wire.site import Address

# Failures that are not the line's: what came was signed, or claimed to be, and proves nothing.
_DISTRUST: Final = ("receipt.", "note.", "checkpoint.")


@dataclass(frozen=True, slots=True)
class Keys:
    """A device's secrets, and its certificate.

    Attributes:
        signing: signs its statements.
        tls_key: of its line, PEM.
        certificate: PEM.
    """

    signing: SigningKey = field(repr=False)
    tls_key: str = field(repr=False)
    certificate: str


@dataclass(frozen=True, slots=True)
class World:
    """What all devices of a fleet share.

    Attributes:
        definition: SHA-256 of the election's definition.
        log_key: the log's.
        clock: the election's time.
        lines: the way to the gateway.
        duplicate: share of the deliveries after which the same bytes are sent once more.
        figures: counts what happens.
    """

    definition: bytes
    log_key: VerifierKey
    clock: ElectionClock
    lines: Lines
    duplicate: float
    figures: Figures


class FleetDevice:
    """A box or a terminal.

    Attributes:
        number: the device's.
        history: what it has signed, and what it believes.
    """

    def __init__(self, plan: DevicePlan, keys: Keys, world: World, chance: random.Random) -> None:
        """Sign and send nothing yet.

        Args:
            plan: what it will say.
            keys: its own.
            world: what it shares with the others.
            chance: for jitter, addresses, cuts and duplicates.
        """
        self.number = plan.device.device
        self.history = History(self.number, plan.device.kid, list(_numbered(plan.statements)))
        self._keys = keys
        self._world = world
        self._chance = chance
        self._signed = 0
        # The id of the last statement of the chain, and of the one before it: a twin follows that one too.
        self._previous = b""
        self._before = b""
        self._post = _Letters(self)

    async def live(self) -> None:
        """Send everything in its time; ends when all is delivered or refused for ever."""
        sender = self._sender(self._post)
        while (at := self._post.next_at) is not None:
            await self._world.clock.until(at)
            await sender.run(once=False)
            await self._repeat(self._post.take_repeats())
        later = [(at, place) for place, own in enumerate(self.history.records) for at in own.planned.again]
        for at, place in sorted(later):
            await self._world.clock.until(at)
            await self._repeat([self.history.records[place]])

    def letter(self, record: Record) -> Letter:
        """A statement on its way; what comes before it in the chain is signed now at the latest."""
        while not record.data:
            self._sign(self.history.records[self._signed])
            self._signed += 1
            self._world.figures.signed += 1
        stored = Stored(record.promises[0].index, record.promises[0].size) if record.promises else None
        return Letter(statement.decode(record.data), record.data, stored, None)

    def keep(self, record: Record, logged: Logged) -> None:
        """Remember a receipt that was verified."""
        now = self._world.clock.real()
        record.promises.append(Promise(logged.index, logged.checkpoint.size, logged.receipt, logged.outcome))
        if record.delivered is None:
            record.delivered = now

    def now(self) -> tuple[int, int]:
        """The election's time and real time, ms."""
        return self._world.clock.now(), self._world.clock.real()

    def wants_repeat(self) -> bool:
        """Whether what was just delivered is sent once more."""
        return self._world.duplicate > 0 and self._chance.random() < self._world.duplicate

    async def _repeat(self, records: Sequence[Record]) -> None:
        for record in records:
            await self._sender(_Again(self, record), again=True).run(once=True)

    def _sender(self, post: "_Letters | _Again", *, again: bool = False) -> Sender:
        def tell(event: Event) -> None:
            self._hear(event, post)

        return Sender(
            post,
            _ANYWHERE,
            self._world.log_key,
            dial=self._dial,
            tell=tell,
            clock=lambda: self._world.clock.real() / 1000,
            chance=self._chance,
            again=again,
        )

    @contextlib.asynccontextmanager
    async def _dial(self, _address: Address) -> AsyncIterator[Line]:
        keys = self._keys
        async with self._world.lines.dial(
            self.number, keys.certificate, keys.tls_key, self._chance
        ) as connection:
            yield connection

    def _hear(self, event: Event, post: "_Letters | _Again") -> None:
        record = None
        match event:
            case Delivered(letter) | Refused(letter):
                record = post.record(letter)
                if isinstance(event, Refused) and event.wait is None and not record.promises:
                    record.refused = event.refusal.code
            case Failed(_, error) if error.code.startswith(_DISTRUST):
                self.history.distrusted.append(error.code)
        self._world.figures.hear(event, record)

    def _sign(self, record: Record) -> None:
        planned = record.planned
        previous = self._before if planned.twin else self._previous
        content = (
            self._world.definition,
            self.number,
            planned.station,
            record.sequence,
            previous,
            planned.signed_at,
            planned.report,
        )
        record.data = statement.sign("packet", content, self._keys.signing)
        record.id = hashlib.sha256(record.data).digest()
        if not planned.twin:
            self._before, self._previous = self._previous, record.id


# A sender wants an address; where the gateway is now, the lines know.
_ANYWHERE: Final = (Address("gateway.invalid", 1),)


def _numbered(planned: Sequence[Planned]) -> Iterator[Record]:
    sequence = 0
    for one in planned:
        sequence += not one.twin
        yield Record(one, sequence)


class _Letters(Post):
    """What a device has to send, each letter from its time on."""

    def __init__(self, device: FleetDevice) -> None:
        self.letters: list[Letter] = []
        self._device = device
        self._waiting = sorted(device.history.records, key=lambda record: record.planned.at, reverse=True)
        self._records: dict[bytes, Record] = {}
        self._repeats: list[Record] = []

    @property
    def next_at(self) -> int | None:
        """When the next letter is due; None: there is no other."""
        return self._waiting[-1].planned.at if self._waiting else None

    def look(self) -> Sequence[Letter]:
        """The letters that have become due."""
        if not self._waiting:
            return ()
        election, real = self._device.now()
        new = []
        while self._waiting and self._waiting[-1].planned.at <= election:
            record = self._waiting.pop()
            letter = self._device.letter(record)
            record.due = real
            self._records[record.id] = record
            new.append(letter)
        self.letters += new
        return new

    def store(self, letter: Letter, logged: Logged) -> None:
        """Remember a receipt."""
        record = self.record(letter)
        self._device.keep(record, logged)
        letter.stored = Stored(logged.index, logged.checkpoint.size)
        if self._device.wants_repeat():
            self._repeats.append(record)

    def record(self, letter: Letter) -> Record:
        """Whose letter this is."""
        return self._records[letter.packet.id]

    def take_repeats(self) -> Sequence[Record]:
        """What is to be sent once more."""
        taken, self._repeats = self._repeats, []
        return taken


class _Again(Post):
    """One statement that is sent once more, whatever is known of it."""

    def __init__(self, device: FleetDevice, record: Record) -> None:
        self.letters: list[Letter] = [device.letter(record)]
        self._device = device
        self._record = record

    def look(self) -> Sequence[Letter]:
        """Nothing else."""
        return ()

    def store(self, letter: Letter, logged: Logged) -> None:
        """Remember a further receipt."""
        self._device.keep(self._record, logged)
        letter.stored = Stored(logged.index, logged.checkpoint.size)

    def record(self, letter: Letter) -> Record:
        """Whose letter this is: there is one."""
        assert letter in self.letters  # noqa: S101 - nobody else has it
        return self._record
