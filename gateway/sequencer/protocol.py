"""What the box port asks of the sequencer (docs/box-port.md).

What lives here: the protocol and its values; `gateway.sequencer.sequencer` keeps it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import msgspec

from gateway.ledger.protocol import Named, Outcome, Receipt

Role: TypeAlias = Literal["box", "terminal", "desk", "courier", "commission"]


class Peer(Protocol):
    """Who the uploading certificate says it is; `_core.Peer` is one."""

    @property
    def role(self) -> Role:
        """What the certificate was issued for."""

    @property
    def id(self) -> int:
        """The number of the device, courier or member."""


class LastPacket(msgspec.Struct, frozen=True):
    """The device's highest logged sequence and its id (64 hex)."""

    sequence: int
    id: str


class Present(msgspec.Struct, frozen=True):
    """The answer to ``GET /v1/self``: how the gateway sees this certificate now.

    Attributes:
        device: of a box, terminal or desk.
        area: of a desk or courier.
        stations: number and closing time (ms) of each station that the device is assigned to.
        server_time: the election's clock, ms.
        definition, roster: SHA-256 in hex.
    """

    role: Role
    id: int
    device: int | None
    area: int | None
    stations: tuple[tuple[int, int], ...]
    last: LastPacket | None
    server_time: int
    election: str
    mode: str
    definition: str
    roster: str


class DeviceNow(msgspec.Struct, frozen=True):
    """A device that is assigned to a station; `last`: what the log has of it, about whatever station."""

    device: int
    kind: str
    serial: str
    revoked: bool
    last: LastPacket | None


class RefusalNow(msgspec.Struct, frozen=True):
    """An upload that was refused; `at` in ms of the election's clock, `sha256` in hex."""

    at: int
    code: str
    device: int
    sha256: str


class StationNow(msgspec.Struct, frozen=True):
    """How the gateway sees a station, for operators.

    Attributes:
        closes_at: ms.
        cancelled: by decision 12.
        devices: that are assigned to it, ascending.
        refusals: the newest of these devices, newest first.
    """

    station: int
    closes_at: int
    cancelled: bool
    devices: tuple[DeviceNow, ...]
    refusals: tuple[RefusalNow, ...]


@dataclass(frozen=True, slots=True)
class Paper:
    """What the log says of a paper to one certificate.

    Attributes:
        named: by the logged packets whose papers this certificate may bring; empty: by none of them.
        stored: whether its bytes are noted as stored, whoever has brought them.
        quotas: how many bytes of papers each device in `named` may have stored.
    """

    named: tuple[Named, ...]
    stored: bool
    quotas: Mapping[int, int]


class Intake(Protocol):
    """What stands behind the box port. Every method raises `LedgerFailedError` once the ledger has failed."""

    async def submit(self, statement: bytes, peer: Peer) -> Outcome:
        """Offers an upload; returns when its fate is durable.

        Whoever is cancelled while it waits takes nothing back: what is in a batch is decided with it.
        A full queue answers at once with ``limit.overload``.
        """

    async def receipt(self, id: bytes) -> Receipt | None:  # noqa: A002 - the word of the format
        """A receipt against the newest checkpoint; None: not in the log."""

    async def paper(self, sha256: bytes, peer: Peer) -> Paper:
        """What the log says of a paper to this certificate."""

    async def store_paper(self, sha256: bytes, size: int, media: int) -> None:
        """Notes durably that a paper's bytes are stored; once more is no change."""

    async def present(self, peer: Peer) -> Present:
        """How the gateway sees this certificate now."""
