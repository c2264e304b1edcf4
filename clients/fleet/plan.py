"""What each device of a rehearsal will say, and when: openings, turnout, results and protocols.

A pure function of definition, roster, results, arrivals and faults: playing a night again gives the same
bytes, which the log has already. Times are the election's, in ms.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from clients.box import words
from clients.fleet import arrivals, results
from clients.fleet.arrivals import Arrivals
from clients.fleet.faults import STATION_FAULTS, Fault, Faults
from clients.fleet.results import Count, Counts, Results
from clients.wire.cbor import Content
from clients.wire.definition import STANDARD_FIGURES, Definition, Station
from clients.wire.grammar import REPORTS
from clients.wire.roster import Device, Roster

_SECOND = 1_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE

# Reports of a terminal in a day, and the most that can be asked for: one an hour.
TURNOUT = 3
MOST_TURNOUT = 12
# How much of the turnout has come by these thirds of the voting day: more in the morning than in the evening.
_COME: Final = (0.0, 0.38, 0.75, 1.0)
# A terminal's report is about a moment before its part of the day ends, by a third of the part at most: a
# country's terminals do not report in step.
_TURNOUT_SPREAD = 3
# From that moment to the report.
_TURNOUT_AFTER = 1 * _SECOND
# Before the first voter: when boxes are opened and sealed.
_OPENED_BEFORE = 45 * _MINUTE
_OPENED_WITHIN = 30 * _MINUTE
# From a box's result to the paper that is counted by hand and keyed in.
_PAPER_AFTER = (15 * _MINUTE, 45 * _MINUTE)
# From a result to the other one that a cheating or broken box sends.
_TWIN_AFTER = (2 * _SECOND, 20 * _SECOND)
# From a result to the opening that was kept back.
_KEPT_BACK = 30 * _SECOND
_LATER = (1 * _HOUR, 3 * _HOUR)
# A clock that is wrong by less is not worth the name (docs/box.md warns from 2 minutes); most are by a day.
_CLOCK_WRONG = (5 * _MINUTE, 24 * _HOUR)
# What a counter that was never set back may show.
_MOST_COUNTED = 5_000
_NORMAL: Final = words.ORIGINS["normal"]
_FIRST: Final = words.CAUSES["first"]
_REGISTERED, _IDENTIFIED, _VALID, _BLANK, _INVALID, _IN_BOX, _RETURNED = (
    STANDARD_FIGURES[name]
    for name in ("registered", "identified", "valid", "blank", "invalid", "in_box", "returned_by_box")
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A statement that a device will make.

    Attributes:
        at: when it is sent first; 0: as soon as there is a gateway.
        signed_at: by the device's clock.
        station: whose report it is.
        report: as nested tuples (docs/packet.md).
        twin: it is signed under the sequence number of the one before.
        again: when the same bytes are sent again.
    """

    at: int
    signed_at: int
    station: int
    report: Content
    twin: bool = False
    again: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        """Opening, turnout, result, protocol."""
        return words.word(REPORTS, self._number)

    @property
    def _number(self) -> int:
        number = self.report[0]
        assert isinstance(number, int)  # noqa: S101 - the grammar's first field
        return number


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """A device and its statements in the order in which it signs them."""

    device: Device
    statements: tuple[Planned, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole night.

    Attributes:
        devices: those that say anything, by number.
        faults: stations that have a fault on purpose; for `clock`, devices.
    """

    devices: Sequence[DevicePlan]
    faults: Mapping[Fault, Sequence[int]]

    @property
    def last(self) -> int:
        """When the last statement is sent first, or again."""
        return max(
            (
                moment
                for device in self.devices
                for one in device.statements
                for moment in (one.at, *one.again)
            ),
            default=0,
        )


def make(
    definition: Definition,
    roster: Roster,
    found: Results,
    when: Arrivals | None,
    faults: Faults,
    *,
    turnout: int = TURNOUT,
) -> Plan:
    """Plan a night.

    Args:
        definition: the election's.
        roster: who may speak; desks and devices without a station stay silent.
        found: what is counted.
        when: seconds after the close at which results are sent; None: by the built-in curve.
        faults: what goes wrong on purpose.
        turnout: reports of each terminal in the day, 0 to `MOST_TURNOUT`.
    """
    planner = _Planner(definition, roster, found, when, faults, turnout)
    devices = [
        DevicePlan(device, statements)
        for device in roster.devices.values()
        if (statements := tuple(planner.statements(device)))
    ]
    hit: dict[Fault, Sequence[int]] = {
        fault: [station for station in found.machine if faults.hits(fault, station)]
        for fault in STATION_FAULTS
    }
    hit["clock"] = [own.device.device for own in devices if faults.hits("clock", own.device.device)]
    return Plan(devices, hit)


class _Planner:
    def __init__(
        self,
        definition: Definition,
        roster: Roster,
        found: Results,
        when: Arrivals | None,
        faults: Faults,
        reports: int,
    ) -> None:
        self._definition = definition
        self._reports = reports
        self._results = found
        self._arrivals = when
        self._faults = faults
        self._firmware = min(roster.firmware, default=bytes(32))
        standing: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for device in roster.devices.values():
            for station in device.stations:
                standing[device.kind, station].append(device.device)
        self._standing = standing

    def statements(self, device: Device) -> Iterator[Planned]:
        """What a device signs, in that order."""
        planned = [
            one for number in device.stations for one in self._at(device, self._definition.stations[number])
        ]
        # Stable: a twin stays behind the one whose number it takes.
        planned.sort(key=lambda one: one.signed_at)
        if not self._faults.hits("clock", device.device):
            yield from planned
            return
        chance = self._faults.chance("clock", device.device)
        wrong = chance.randint(*_CLOCK_WRONG) * chance.choice((1, -1))
        for one in planned:
            # Whoever is ahead believes that its station has closed, and is told to wait.
            at = max(0, one.at - wrong) if wrong > 0 and one.kind != "opening" else one.at
            yield replace(one, at=at, signed_at=max(0, one.signed_at + wrong))

    def _at(self, device: Device, station: Station) -> Iterator[Planned]:
        first = device.device == self._standing[device.kind, station.station][0]
        terminals = self._standing["terminal", station.station]
        if device.kind == "box":
            yield self._opening(device, station)
        if device.kind == "terminal" or (device.kind == "box" and not terminals):
            yield from self._turnout(device, station, first)
        if device.kind == "box":
            yield from self._result(device, station, first)
            if first:
                yield from self._protocol(station)

    def _opening(self, device: Device, station: Station) -> Planned:
        chance = self._faults.chance("opening", device.device, station.station)
        signed_at = max(0, self._definition.opens_at - _OPENED_BEFORE + chance.randrange(_OPENED_WITHIN))
        zeros = tuple(
            (contest, tuple(0 for _ in self._definition.choices[contest])) for contest in station.contests
        )
        report = (REPORTS["opening"], self._counter(device, station), self._firmware, zeros)
        at = 0
        if self._faults.hits("reorder", station.station) and (sent := self._sent_at(station)):
            at = sent[0] + _KEPT_BACK
        return Planned(at, signed_at, station.station, report)

    def _turnout(self, device: Device, station: Station, first: bool) -> Iterator[Planned]:
        """The terminal that stands first at a station counts everybody."""
        counts = self._results.machine.get(station.station) or self._results.protocol.get(station.station)
        if counts is None:
            return
        came = results.turnout(counts, self._definition) if first else 0
        opens_at = min(self._definition.opens_at, station.closes_at)
        day = station.closes_at - opens_at
        chance = self._faults.chance("turnout", device.device, station.station)
        for part in range(1, self._reports + 1):
            spread = round(chance.random() * day / _TURNOUT_SPREAD / self._reports)
            as_of = opens_at + day * part // self._reports - spread
            signed_at = as_of + _TURNOUT_AFTER
            figures = {_IDENTIFIED: round(came * _come(part / self._reports))}
            if station.registered is not None:
                figures[_REGISTERED] = station.registered
            report = (REPORTS["turnout"], as_of, tuple(sorted(figures.items())))
            yield Planned(signed_at, signed_at, station.station, report)

    def _result(self, device: Device, station: Station, first: bool) -> Iterator[Planned]:
        counts = self._results.machine.get(station.station)
        sent = self._sent_at(station)
        if counts is None or not sent:
            return
        if not first:
            counts = [
                Count(one.contest, dict.fromkeys(one.figures, 0), [0] * len(one.votes)) for one in counts
            ]
        for fault in ("arithmetic", "too_many_votes"):
            if first and self._faults.hits(fault, station.station):
                counts = [self._spoiled(fault, counts[0]), *counts[1:]]
        signed_at = station.closes_at + (sent[0] - station.closes_at) // 2
        counted = self._counter(device, station) + _counted(counts, self._definition)
        planned = Planned(
            sent[0],
            signed_at,
            station.station,
            self._result_report(station, counted, counts),
            again=tuple(sent[1:]),
        )
        yield planned
        if first and self._faults.hits("equivocation", station.station):
            after = self._faults.chance("twin", station.station).randint(*_TWIN_AFTER)
            other = [_other(counts[0]), *counts[1:]]
            report = self._result_report(station, counted, other)
            yield Planned(sent[0] + after, signed_at, station.station, report, twin=True)

    def _result_report(self, station: Station, counter: int, counts: Counts) -> Content:
        voters = self._voters(counts)
        own = tuple(map(_content, counts))
        return (REPORTS["result"], station.closes_at, _NORMAL, counter, voters, own, ())

    def _protocol(self, station: Station) -> Iterator[Planned]:
        counts = self._results.protocol.get(station.station)
        if counts is None:
            return
        sent = self._sent_at(station) or self._by_curve(station)
        at = sent[0] + self._faults.chance("paper", station.station).randint(*_PAPER_AFTER)
        voters, own = self._voters(counts), tuple(map(_content, counts))
        report = (REPORTS["protocol"], station.closes_at, b"", _FIRST, voters, own, ())
        yield Planned(at, at, station.station, report)

    def _voters(self, counts: Counts) -> Content:
        """The figures that the definition wants of the voters; results have them in each contest."""
        known = {code: value for count in reversed(counts) for code, value in count.figures.items()}
        wanted = sorted(self._definition.rules.required_voters)
        return tuple((code, known[code]) for code in wanted if code in known)

    def _sent_at(self, station: Station) -> Sequence[int]:
        """When a station's result is sent, and sent again; empty: never."""
        number = station.station
        if number not in self._results.machine or self._faults.hits("silent", number):
            return ()
        if self._arrivals is None:
            sent = self._by_curve(station)
        else:
            sent = [
                station.closes_at + round(seconds * _SECOND) for seconds in self._arrivals.get(number, ())
            ]
        late = 0
        if self._faults.hits("late", number):
            late = self._faults.chance("later", number).randint(*_LATER)
        return [at + late for at in sent]

    def _by_curve(self, station: Station) -> Sequence[int]:
        seconds = arrivals.of_curve(station.station, self._faults.seed)
        return [station.closes_at + round(own * _SECOND) for own in seconds]

    def _counter(self, device: Device, station: Station) -> int:
        """What the box's counter shows before the first voter."""
        return self._faults.chance("counter", device.device, station.station).randrange(_MOST_COUNTED)

    def _spoiled(self, fault: str, count: Count) -> Count:
        """A count that does not add up."""
        total = results.main_votes(count, self._definition)
        figures = {_VALID: total, **count.figures}
        if fault == "arithmetic":
            figures.setdefault(_INVALID, 0)
            figures[_IN_BOX] = figures[_VALID] + figures.get(_BLANK, 0) + figures[_INVALID] + 7
            return Count(count.contest, figures, count.votes)
        most = figures[_VALID] * self._definition.contests[count.contest].marks
        largest = max(range(len(count.votes)), key=count.votes.__getitem__)
        votes = list(count.votes)
        votes[largest] += most - total + 3 if most >= total else 3
        return Count(count.contest, figures, votes)


def _come(share: float) -> float:
    """How much of the turnout has come by this share of the day, 0.0 to 1.0."""
    place = min(int(share * (len(_COME) - 1)), len(_COME) - 2)
    low, high = _COME[place : place + 2]
    return low + (high - low) * (share * (len(_COME) - 1) - place)


def _content(count: Count) -> Content:
    return (count.contest, tuple(sorted(count.figures.items())), tuple(count.votes))


def _counted(counts: Counts, definition: Definition) -> int:
    """Ballots that a box has taken in, where its counts say so; else as many as have votes."""
    return sum(
        count.figures[_IN_BOX] + count.figures.get(_RETURNED, 0)
        if _IN_BOX in count.figures
        else results.main_votes(count, definition)
        for count in counts
    )


def _other(count: Count) -> Count:
    """Another count that adds up as well as this one: one vote is somebody else's."""
    votes = list(count.votes)
    largest = max(range(len(votes)), key=votes.__getitem__)
    if len(votes) > 1 and votes[largest]:
        votes[largest] -= 1
        votes[largest - 1] += 1
    else:
        votes[largest] += 1
    return Count(count.contest, count.figures, votes)
