"""Who is assigned where, which packets belong, and what else is in effect at a station (docs/tally.md)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from clients.observer.tally.counts import SOURCES, Source
from clients.observer.tally.packet import DOCUMENTS, OPENING, PROTOCOL, RESULT, TURNOUT, Packet
from clients.wire.authority import Authority, Ruling
from clients.wire.definition import Definition, Station
from clients.wire.roster import Roster

# Who may send which report; boxes may send turnout only while no terminal is assigned to the station.
_SENDERS: Final[Mapping[int, tuple[str, ...]]] = {
    OPENING: ("box",),
    TURNOUT: ("terminal", "box"),
    RESULT: ("box",),
    PROTOCOL: ("box", "desk"),
    DOCUMENTS: ("box", "desk"),
}


@dataclass(frozen=True, slots=True)
class Orders:
    """What is in effect at one station: its devices, and what the commission has decided.

    Attributes:
        boxes: assigned ones, ascending.
        terminals: assigned ones, ascending.
        named: devices of which a decision 3 says whether they are assigned.
        areas: the station's area and those above it.
        roster: the newest one in effect.
        cancelled: whether there is no voting.
        closes_at: ms.
        rulings: by contest and source, where there is one.
        decisions: numbers of those that name the station or all.
    """

    boxes: tuple[int, ...]
    terminals: tuple[int, ...]
    named: Mapping[int, bool]
    areas: frozenset[int]
    roster: Roster
    cancelled: bool
    closes_at: int
    rulings: Mapping[tuple[int, Source], Ruling]
    decisions: tuple[int, ...]

    def assigned(self, device: int, kind: str) -> bool:
        """Whether a device of this kind is assigned to the station."""
        if kind == "box":
            return device in self.boxes
        if kind == "terminal":
            return device in self.terminals
        if device in self.named:
            return self.named[device]
        listed = self.roster.devices.get(device)
        return listed is not None and listed.area in self.areas


class Revocation(NamedTuple):
    """A revoked device: what is logged above `entry` does not belong; `decisions` are those that say so."""

    entry: int
    decisions: tuple[int, ...]


class Posts:
    """What the commission orders for each station, looked up once and kept until a decision touches it."""

    def __init__(self, definition: Definition, authority: Authority) -> None:
        self._definition = definition
        self._authority = authority
        self._orders: dict[int, Orders] = {}
        self._kinds: dict[int, str] = {}
        self._revoked: dict[int, Revocation | None] = {}
        self._listed_in: Roster | None = None
        self._listed: Mapping[int, list[int]] = {}
        self._areas: dict[int, frozenset[int]] = {}

    def at(self, station: Station) -> Orders:
        """What is in effect at a station."""
        orders = self._orders.get(station.station)
        if orders is None:
            orders = self._orders[station.station] = self._look_up(station)
        return orders

    def change(self, stations: Iterable[int], devices: Iterable[int]) -> None:
        """Forget what was looked up of these stations and devices: a decision has changed it."""
        for number in stations:
            self._orders.pop(number, None)
        for device in devices:
            self._revoked.pop(device, None)

    def revocation(self, device: int) -> Revocation | None:
        """The revocation in effect of a device."""
        if device not in self._revoked:
            entry = self._authority.revoked_at(device)
            decisions = self._authority.revocations(device)
            self._revoked[device] = None if entry is None else Revocation(entry, decisions)
        return self._revoked[device]

    def kind(self, device: int) -> str:
        """Box, terminal or desk: the same in every roster that has the device."""
        kind = self._kinds.get(device)
        if kind is None:
            kind = self._kinds[device] = self._authority.speakers.devices[device].kind
        return kind

    def stray_codes(self, packet: Packet, orders: Orders) -> Iterator[str]:
        """Why a packet does not belong to the station that it names; nothing if it does."""
        kind = self.kind(packet.device)
        sent_by = kind in _SENDERS[packet.report]
        if packet.report == TURNOUT and kind == "box" and orders.terminals:
            sent_by = False
        if not sent_by or not orders.assigned(packet.device, kind):
            yield "H105"
        if not self._authority.accepts(packet.definition):
            yield "H106"
        revocation = self.revocation(packet.device)
        if revocation is not None and packet.index > revocation.entry:
            yield "H107"

    def _look_up(self, station: Station) -> Orders:
        authority, number = self._authority, station.station
        roster = authority.assignments
        if roster is not self._listed_in:
            self._listed, self._listed_in = _by_station(roster), roster
        named = authority.reassigned(number)
        devices = {device for device in self._listed.get(number, ()) if named.get(device, True)}
        devices.update(device for device, on in named.items() if on)
        kinds = {device: self.kind(device) for device in sorted(devices)}
        rulings = {
            (contest, source): ruling
            for contest in station.contests
            for source in SOURCES
            if (ruling := authority.ruling(number, contest, source)) is not None
        }
        closes_at = authority.closes_at(number)
        return Orders(
            boxes=tuple(device for device, kind in kinds.items() if kind == "box"),
            terminals=tuple(device for device, kind in kinds.items() if kind == "terminal"),
            named=named,
            areas=self._above(station.area),
            roster=roster,
            cancelled=authority.is_cancelled(number),
            closes_at=station.closes_at if closes_at is None else closes_at,
            rulings=rulings,
            decisions=authority.about_station(number),
        )

    def _above(self, area: int) -> frozenset[int]:
        if area not in self._areas:
            parent = self._definition.areas[area].parent
            above: frozenset[int] = frozenset() if parent is None else self._above(parent)
            self._areas[area] = above | {area}
        return self._areas[area]


def _by_station(roster: Roster) -> dict[int, list[int]]:
    """The boxes and terminals of each station; a desk has an area instead."""
    listed: defaultdict[int, list[int]] = defaultdict(list)
    for device in roster.devices.values():
        for station in device.stations:
            listed[station].append(device.device)
    return dict(listed)
