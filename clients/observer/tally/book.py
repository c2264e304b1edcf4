"""All packets of a log prefix: equal payloads once, and a device's chain of sequences (docs/tally.md)."""

from collections import defaultdict
from collections.abc import Collection, Iterator

from clients.observer.tally.packet import Packet
from clients.wire.statement import Statement


class Book:
    """The packets of the prefix, found by name, station, device and sequence."""

    def __init__(self) -> None:
        self._by_name: dict[bytes, Packet] = {}
        # Of one (device, sequence) there is one payload, or few: equivocation.
        self._by_place: dict[tuple[int, int], list[Packet]] = {}
        self._by_station: defaultdict[int, list[Packet]] = defaultdict(list)
        self._stations: defaultdict[int, set[int]] = defaultdict(set)

    def add(self, index: int, statement: Statement) -> set[int]:
        """Take the entry with this index, a packet.

        Returns:
            The stations, known or not, that packets name whose codes or place this entry can change.
        """
        same = self._by_place.setdefault((statement.device, statement.sequence), [])
        known = next((packet for packet in same if packet.payload == statement.payload), None)
        if known is not None:
            packet = known
            touched = {packet.station}
        else:
            packet = Packet.of(index, statement)
            same.append(packet)
            self._by_station[packet.station].append(packet)
            self._stations[packet.device].add(packet.station)
            touched = {other.station for other in same}
        self._by_name[statement.id] = packet
        following = self._by_place.get((packet.device, packet.sequence + 1), ())
        return touched.union(other.station for other in following)

    def named(self, name: bytes) -> Packet | None:
        """The packet that a statement id means."""
        return self._by_name.get(name)

    def at(self, station: int) -> Collection[Packet]:
        """The packets that name a station, by index."""
        return self._by_station.get(station, ())

    def stations(self, device: int) -> Collection[int]:
        """The stations that a device's packets name, known or not."""
        return self._stations.get(device, ())

    def chain_codes(self, packet: Packet) -> Iterator[str]:
        """S205 and S208, which look at the device's packets whatever they name."""
        if packet.sequence > 1:
            before = self._by_name.get(packet.previous)
            if before is None or (before.device, before.sequence) != (packet.device, packet.sequence - 1):
                yield "S205"
        if len(self._by_place[packet.device, packet.sequence]) > 1:
            yield "S208"
