"""What each device of a fleet believes: the exact history that the audit judges the log by."""

from dataclasses import dataclass, field

from clients.fleet.plan import Planned


@dataclass(frozen=True, slots=True)
class Promise:
    """A receipt that was verified when it came.

    Attributes:
        index: the statement's place in the log.
        size: of the log whose head proves it.
        receipt: the bytes.
        outcome: what the gateway called the upload.
    """

    index: int
    size: int
    receipt: bytes
    outcome: str


@dataclass(slots=True)
class Record:
    """What became of one statement, as its device knows it.

    Attributes:
        planned: what it is.
        sequence: under which number it is signed.
        data: its bytes; empty: not signed yet.
        id: SHA-256 of them.
        due: real time from which on it was sent, ms; None: not yet.
        delivered: real time of the first receipt, ms; None: there is none.
        promises: every receipt, in the order of their coming.
        refused: the code with which it was refused for ever, or empty.
    """

    planned: Planned
    sequence: int
    data: bytes = b""
    id: bytes = b""
    due: int | None = None
    delivered: int | None = None
    promises: list[Promise] = field(default_factory=list)
    refused: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """One device's.

    Attributes:
        device: its number.
        kid: of its key: what its statements name.
        records: its statements in the order in which they are signed.
        distrusted: codes of failures that were not the line's: a gateway's word that proves nothing.
    """

    device: int
    kid: bytes
    records: list[Record]
    distrusted: list[str] = field(default_factory=list)
