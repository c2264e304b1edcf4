"""What a ledger is: the questions, the answers and the promises that every store keeps (docs/ledger.md).

What lives here: the protocol and its values. A store is SQLite (`gateway.ledger.sqlite`); another one passes
the same contract tests (tests/integration/test_ledger_contract.py). Every method but `head` and `refuse` may
wait for a disk: call it in a thread. Methods may be called from several threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from gateway import _core
from gateway.base.errors import TallygateError

Retry: TypeAlias = Literal["never", "later", "fix"]
Standing: TypeAlias = Literal["accepted", "duplicate", "conflict"]

# Bytes of a route in the store and on the follow socket: a role and a number, "commission:9007199254740991".
MAX_ROUTE: Final = 64
# The route of the opening, which no certificate brought.
OPENING_ROUTE: Final = "opening"

# Bytes of a statement (docs/packet.md).
MAX_STATEMENT: Final = 16_384

# Bytes of a refused upload that are kept: its envelope's head and the first fields, never a whole packet.
MAX_EXCERPT: Final = 64


class LedgerFailedError(TallygateError):
    """The store can no longer promise anything: ``ledger.failed``. Who catches it stops the process.

    Raised by the call that failed and by every later one. What that call was given is not acknowledged; it
    may or may not be in the log after a restart.
    """

    def __init__(self, detail: str, *, place: str = "") -> None:
        super().__init__("ledger.failed", detail, place=place)


@dataclass(frozen=True, slots=True)
class Submission:
    """A verified statement on its way into the log.

    Attributes:
        statement: passed every check at the door (docs/packet.md); nothing is verified again.
        received_at: the election's clock, ms.
        route: role and number of the uploading certificate (``box:17``), 1 to `MAX_ROUTE` bytes of ASCII.
        quota: how many entries this device may have over this route; None: as many as it likes. Of a decision
            only 0 says something: none more.
        station_bytes: how many bytes the packets of this device may have that name its station, over all
            routes; None: as many as it likes. Of a decision it says nothing.
    """

    statement: _core.Statement
    received_at: int
    route: str
    quota: int | None
    station_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What proves that an entry is in the log.

    Attributes:
        index: the entry's.
        path: its audit path, the leaf's sibling first.
        note: the signed checkpoint that the path leads to; committed.
    """

    index: int
    path: Sequence[bytes]
    note: str

    def text(self) -> str:
        """The receipt as the client gets it (docs/log.md)."""
        return _core.format_receipt(self.index, self.path, self.note)


@dataclass(frozen=True, slots=True)
class Logged:
    """The statement is durable in the log: new, known before, or new beside another payload."""

    standing: Standing
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Refused:
    """The statement is not in the log.

    Attributes:
        code: ``limit.device`` or ``log.not_open`` from the ledger; the door adds its own (docs/box-port.md).
        detail: a sentence for people.
        retry: whether the same bytes can ever be taken; fix: something else has to change first.
        at: the election's clock, ms, from which on they will be taken, where that is known.
    """

    code: str
    detail: str
    retry: Retry
    at: int | None = None


Outcome: TypeAlias = Logged | Refused


@dataclass(frozen=True, slots=True)
class Head:
    """The committed head of the log; `note` is its signed checkpoint."""

    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log; `received_at` in ms, `route` as in `Submission`."""

    index: int
    statement: bytes
    received_at: int
    route: str


@dataclass(frozen=True, slots=True)
class Last:
    """The highest sequence that is logged of a device; of several packets under it the lowest index's id."""

    sequence: int
    id: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused upload, for the operator.

    Attributes:
        at: the election's clock, ms.
        code: why.
        device: as far as known.
        sha256: of the whole upload.
        excerpt: its first bytes, at most `MAX_EXCERPT`.
    """

    at: int
    code: str
    device: int | None
    sha256: bytes
    excerpt: bytes


@dataclass(frozen=True, slots=True)
class Named:
    """A paper that a logged packet names: by whom, for which station, and what it must be."""

    device: int
    station: int
    media: int
    size: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """A paper whose bytes are durable in data/attachments; `received_at` in ms."""

    sha256: bytes
    size: int
    media: int
    received_at: int


class Ledger(Protocol):
    """Every method raises `LedgerFailedError` once the store has failed."""

    @property
    def vkey(self) -> str | None:
        """The verifier key of the log (docs/log.md); None before the log is open."""

    def append(self, batch: Sequence[Submission]) -> list[Outcome]:
        """Takes a batch in one transaction; when it returns, everything `Logged` is durable and provable.

        The receipts of a batch lead to one checkpoint, that of the log after it. A known id gets its old
        index, whatever the quotas. A batch of known ids alone writes nothing.

        Raises:
            ValueError: a submission that the door should not have let through; nothing was appended.
        """

    def head(self) -> Head | None:
        """The committed head without waiting; None before the log is open."""

    def receipt(self, id: bytes) -> Receipt | None:  # noqa: A002 - the word of the format
        """A receipt against the newest checkpoint; None: not in the log."""

    def entries(self, start: int, end: int) -> list[Entry]:
        """The committed entries from `start` to below `end`, as far as there are any.

        All are in memory at once: ask for as many as that is meant to cost.
        """

    def decisions(self) -> list[Entry]:
        """Every decision's statement in the log, in the log's order; few, whatever the log holds."""

    def last(self, device: int) -> Last | None:
        """The device's highest logged sequence, over whatever route."""

    def refuse(self, refusal: Refusal, route: str | None = None) -> None:
        """Notes a refusal without waiting. The next batch or `write_refusals` writes it; a crash loses it.

        Args:
            refusal: it is.
            route: role and number of the uploading certificate, of which only so many wait at once; further
                ones are not noted. None: as many as there is room for.
        """

    def write_refusals(self) -> None:
        """Writes every refusal that waits, in a transaction of its own; without any it writes nothing."""

    def refusals(self, limit: int) -> list[Refusal]:
        """The newest refusals that are written, newest first."""

    def refusals_of(self, devices: Sequence[int], limit: int) -> list[Refusal]:
        """The newest refusals that are written of these devices, at most a thousand; newest first."""

    def named(self, sha256: bytes) -> list[Named]:
        """Which logged packets name this paper."""

    def store_attachment(self, attachment: Attachment) -> None:
        """Notes durably that a paper's bytes are stored; once more is no change."""

    def attachment(self, sha256: bytes) -> Attachment | None:
        """The paper, if its bytes are stored."""

    def stored_bytes(self) -> dict[int, int]:
        """How many bytes of stored papers the packets of each device name; reads every paper's row."""

    def close(self) -> None:
        """Writes what is left and gives the store free. Further calls raise `LedgerFailedError`."""
