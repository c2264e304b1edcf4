"""The last checks at the door: who brings a statement, and whether it is time for it.

What lives here: `Door`, made for one roster, its refusals (docs/box-port.md, "Checks at the door"), and whose
papers a certificate may bring. It runs after the checks of the bytes themselves (size to signature,
`gateway._core.check_statements`) and before the ledger, which keeps the quotas that are computed here.
Nothing here waits or reads a clock.
"""

from collections.abc import Callable
from typing import Final

from gateway import _core
from gateway.base.clock import HOUR, MAX_TIME, format_time
from gateway.base.config import Limits
from gateway.ledger.protocol import Named, Refused
from gateway.sequencer.protocol import Peer

# How long before the first voter a live election's devices may report: openings are signed that morning.
REPORTS_BEFORE_OPENING: Final = 12 * HOUR

# Roles whose certificate is a device's own.
DEVICES: Final = frozenset({"box", "terminal", "desk"})

# Reports that only a closed station can make: result and protocol.
_AFTER_CLOSING: Final = frozenset({3, 4})

_PACKET_BY_COMMISSION: Final = Refused(
    "identity.role",
    "a member of the commission uploads decisions; packets come from the device itself or from a courier",
    "fix",
)
_DECISION_BY_ANOTHER: Final = Refused(
    "identity.role", "only a certificate of the commission may bring a decision", "fix"
)


class Door:
    """Who may bring what and when, under one roster.

    Args:
        definition: the night's.
        roster: the one in force.
        limits: of entries.
    """

    def __init__(self, definition: _core.Definition, roster: _core.Roster, limits: Limits) -> None:
        self.roster: Final = roster
        self._definition = definition
        self._limits = limits
        self._couriers = {courier.number: courier.area for courier in roster.couriers}
        live = definition.mode == "live"
        self._first_report = definition.opens_at - REPORTS_BEFORE_OPENING if live else 0

    def area(self, peer: Peer) -> int | None:
        """The area of a courier or a desk; None: it has none in this roster, or none at all."""
        if peer.role == "courier":
            return self._couriers.get(peer.id)
        if peer.role == "desk" and (device := self.roster.device(peer.id)) is not None:
            return device.area
        return None

    def refusal(
        self, statement: _core.Statement, peer: Peer, now: int, closes_at: Callable[[int], int | None]
    ) -> Refused | None:
        """Why `peer` may not bring this statement now; the first failure answers, None if there is none.

        Args:
            statement: its signer is in the roster, its signature verified.
            peer: whose certificate uploads it.
            now: the election's clock, ms.
            closes_at: a station's closing time now, ms; None for a station that is not known, which is no
                reason to refuse: what a statement says is the tally's matter.
        """
        device, station, role = statement.device, statement.station, peer.role
        if device is None or station is None:
            return None if role == "commission" else _DECISION_BY_ANOTHER
        if role in DEVICES:
            if peer.id != device:
                return Refused(
                    "identity.device",
                    f"this certificate is device {peer.id}'s and the packet is of device {device}: each "
                    "uploads its own, a courier those of its area",
                    "fix",
                )
        elif role == "courier":
            area = self._couriers.get(peer.id)
            if area is None or not self._definition.holds(area, station):
                return Refused("identity.area", _elsewhere(peer.id, area, station), "fix")
        else:
            return _PACKET_BY_COMMISSION
        closing = closes_at(station) if statement.report in _AFTER_CLOSING else None
        at = self._first_report if closing is None else max(closing, self._first_report)
        if now < at:
            what = "reports are taken" if closing is None else f"station {station}'s results are taken"
            return Refused(
                "statement.too_early",
                f"{what} from {_moment(at)} on; send the same bytes again then",
                "later",
                at,
            )
        return None

    def quota(self, statement: _core.Statement, spoken: Callable[[bytes], int]) -> int | None:
        """How many entries the statement's device may have over one certificate.

        Args:
            statement: as for `refusal`.
            spoken: bytes of the decisions in the log that the member with this kid has signed.

        Returns:
            Of a decision None, or 0 where its member has none left.
        """
        limits = self._limits
        if statement.device is None:
            bytes_ = spoken(statement.kid) + len(statement.encoded)
            return 0 if bytes_ > limits.decision_bytes_per_member else None
        return limits.entries_per_device + limits.entries_per_desk_station * self._desk(statement.device)

    def brings(self, peer: Peer, named: Named) -> bool:
        """Whether `peer` may bring a paper that this packet names: the device itself, or its courier."""
        if peer.role in DEVICES:
            return peer.id == named.device
        area = self._couriers.get(peer.id) if peer.role == "courier" else None
        return area is not None and self._definition.holds(area, named.station)

    def paper_quota(self, device: int) -> int:
        """How many bytes of stored papers the device's packets may name."""
        limits = self._limits
        each = limits.attachment_bytes_per_desk_station
        return limits.attachment_bytes_per_device + each * self._desk(device)

    def _desk(self, number: int) -> int:
        """How many stations the device speaks for beside its own: those of a desk's area."""
        device = self.roster.device(number)
        if device is None or device.kind != "desk" or device.area is None:
            return 0
        return self._definition.stations_in(device.area) or 0


def _elsewhere(courier: int, area: int | None, station: int) -> str:
    if area is None:
        return f"courier {courier} is not in the roster in force; the device or another courier may upload"
    return (
        f"station {station} is not in area {area}, which courier {courier} serves; the device itself or the "
        "courier of its area may upload"
    )


def _moment(at: int) -> str:
    # A closing time is any integer below 2^53; what the calendar of RFC 3339 ends before means "never".
    return format_time(at) if at <= MAX_TIME else f"{at} ms since 1970"
