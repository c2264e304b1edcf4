"""Turnout of a station, and the hours at which it is looked at (docs/tally.md, "Turnout")."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from clients.observer.tally.packet import IDENTIFIED, Packet
from clients.wire.definition import Definition
from clients.wire.text import MAX_NUMBER

HOUR_MS: Final = 3_600_000
# 31 days: voting never takes longer, and a wrong year in a definition must not make an hour for each of it.
MAX_HOURS: Final = 744


class Turnout(NamedTuple):
    """Who was identified at a station.

    Attributes:
        identified: None where no device has said.
        hours: those at whose end a device had said, and how many it were.
    """

    identified: int | None = None
    hours: tuple[tuple[int, int], ...] = ()


def hours(definition: Definition) -> tuple[int, ...]:
    """The hours of an election, in ms."""
    if not definition.stations:
        return ()
    last = max(station.closes_at for station in definition.stations.values())
    # Rounded up: the first hour that is not below the last closing time.
    wanted = max(1, -(-(last - definition.opens_at) // HOUR_MS))
    times = (definition.opens_at + place * HOUR_MS for place in range(1, min(wanted, MAX_HOURS) + 1))
    return tuple(time for time in times if time <= MAX_NUMBER)


def turnout(packets: Iterable[Packet], times: Sequence[int]) -> Turnout:
    """The turnout of a station.

    Args:
        packets: belonging turnouts that pass H100, by index.
        times: the election's hours.
    """
    identified = None
    at_hour: dict[int, int] = {}
    for own in _by_device(packets):
        identified = (identified or 0) + own[0][1]
        # What rules comes first, and rules from its own time on: what is left are the hours before.
        place = len(times)
        for as_of, value in own:
            while place > 0 and times[place - 1] >= as_of:
                place -= 1
                at_hour[times[place]] = at_hour.get(times[place], 0) + value
    return Turnout(identified, tuple(sorted(at_hour.items())))


def _by_device(packets: Iterable[Packet]) -> Iterable[list[tuple[int, int]]]:
    """Of each device (as_of, identified): the highest sequence first, under one sequence the lowest index."""
    devices: dict[int, list[tuple[int, int, int, int]]] = {}
    for packet in packets:
        value = dict(packet.voters).get(IDENTIFIED)
        if value is not None:
            own = devices.setdefault(packet.device, [])
            own.append((-packet.sequence, packet.index, packet.as_of, value))
    return ([(as_of, value) for _, _, as_of, value in sorted(own)] for own in devices.values())
