"""A station as a function of its packets and of what is in effect, and its object (docs/tally.md)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from clients.observer.tally import counts
from clients.observer.tally.book import Book
from clients.observer.tally.counts import MACHINE, PROTOCOL, Judged, Outcome, Source
from clients.observer.tally.packet import (
    IN_BOX,
    OPENING,
    RESULT,
    TURNOUT,
    Attachment,
    Packet,
)
from clients.observer.tally.packet import PROTOCOL as PROTOCOL_REPORT
from clients.observer.tally.posts import Orders, Posts
from clients.observer.tally.rules import Ballot, Rules, given_out
from clients.observer.tally.turnout import Turnout, hours, turnout
from clients.wire.authority import Authority
from clients.wire.definition import Definition, Station
from clients.wire.jcs import JsonValue

FORMAT: Final = "tallygate-station/1"
_MS_A_MINUTE: Final = 60_000


@dataclass(frozen=True, slots=True)
class View:
    """What a station's object and row say, but for number and version; equal exactly where the objects are.

    Attributes:
        opened: whether any packet belongs.
        cancelled: whether there is no voting.
        codes: the station's own and those of its packets, ascending.
        turnout: who was identified.
        outcomes: by contest, then source; without the silent ones.
        differences: contest, choice, machine's and protocol's votes.
        packets: those that name the station, with their codes.
        documents: index of the packet, and its attachment.
        decisions: numbers.
    """

    opened: bool = False
    cancelled: bool = False
    codes: tuple[str, ...] = ()
    turnout: Turnout = field(default_factory=Turnout)
    outcomes: tuple[Outcome, ...] = ()
    differences: tuple[tuple[int, int, int, int], ...] = ()
    packets: tuple[tuple[Packet, tuple[str, ...]], ...] = ()
    documents: tuple[tuple[int, Attachment], ...] = ()
    decisions: tuple[int, ...] = ()


SILENT: Final = View()


class Stations:
    """Looks at stations: everything is asked anew from the packets and the decisions in effect."""

    def __init__(self, definition: Definition, book: Book, authority: Authority) -> None:
        self._definition = definition
        self._book = book
        self._authority = authority
        self.posts: Final = Posts(definition, authority)
        self._hours = hours(definition)
        self._rules = Rules(definition)
        self._judged: dict[Packet, Judged] = {}

    @property
    def ballots(self) -> Mapping[int, Ballot]:
        """Every contest's choices."""
        return self._rules.ballots

    def judged(self, packet: Packet) -> Judged:
        """What the definition alone says of a packet that names a known station."""
        judged = self._judged.get(packet)
        if judged is None:
            judgement = self._rules.judge(packet, self._definition.stations[packet.station])
            judged = self._judged[packet] = Judged(packet, judgement)
        return judged

    def revoked_here(self, device: int) -> Iterator[int]:
        """The stations that a revocation of this device can touch: its own, and those its packets name."""
        yield from self._authority.stations(device)
        yield from (number for number in self._book.stations(device) if number in self._definition.stations)

    def view(self, number: int) -> View:
        """The station's state in the present."""
        station = self._definition.stations[number]
        orders = self.posts.at(station)
        packets = self._book.at(number)
        strays = {packet: tuple(self.posts.stray_codes(packet, orders)) for packet in packets}
        own = [self.judged(packet) for packet in packets if not strays[packet]]
        codes = {judged.packet: self._codes(judged, own, orders) for judged in own}
        present = turnout(
            (judged.packet for judged in own if judged.packet.report == TURNOUT and judged.judgement.sound),
            self._hours,
        )
        # Without counts a cancelled station has no codes of its own.
        outcomes, superseded = ([], False) if orders.cancelled else self._outcomes(own, station, orders)
        differences = tuple(self._differences(outcomes))
        own_codes = set(self._station_codes(outcomes, station, present))
        own_codes.update(["S212"] if superseded else [])
        own_codes.update(["S206"] if differences else [])
        return View(
            opened=bool(own),
            cancelled=orders.cancelled,
            codes=tuple(sorted(own_codes.union(*codes.values()))),
            turnout=present,
            outcomes=tuple(outcome for outcome in outcomes if outcome.state != "silent"),
            differences=differences,
            packets=tuple((packet, strays[packet] or tuple(sorted(codes[packet]))) for packet in packets),
            documents=tuple(
                (judged.packet.index, attachment)
                for judged in own
                for attachment in judged.packet.attachments
            ),
            decisions=self._decisions(orders, packets),
        )

    def _codes(self, judged: Judged, own: Iterable[Judged], orders: Orders) -> set[str]:
        """The codes of a packet that belongs."""
        packet, judgement = judged
        codes = {*judgement.codes, *self._book.chain_codes(packet)}
        if (
            packet.report == OPENING
            and orders.roster.firmware
            and packet.firmware not in orders.roster.firmware
        ):
            codes.add("S211")
        if packet.report in (RESULT, PROTOCOL_REPORT):
            late = self._definition.rules.s204_minutes * _MS_A_MINUTE
            if packet.closed_at < orders.closes_at or not 0 <= packet.signed_at - packet.closed_at <= late:
                codes.add("S204")
        if packet.report == RESULT:
            codes.update(self._since_opening(judged, own))
        return codes

    def _since_opening(self, judged: Judged, own: Iterable[Judged]) -> Iterator[str]:
        """S209 and S210: whether the counter rose by the ballots that were found."""
        result = judged.packet
        openings = [
            packet
            for packet, _ in own
            if packet.report == OPENING
            and packet.device == result.device
            and packet.sequence < result.sequence
        ]
        if not openings:
            yield "S209"
            return
        opening = max(openings, key=lambda packet: (packet.sequence, -packet.index))
        found = judged.judgement.found
        if found is not None:
            scanned = (result.counter or 0) - (opening.counter or 0)
            if abs(scanned - found) > self._definition.rules.s210_tolerance:
                yield "S210"

    def _outcomes(
        self, own: Iterable[Judged], station: Station, orders: Orders
    ) -> tuple[list[Outcome], bool]:
        """Every contest in both sources, and whether S212 is set."""
        results: defaultdict[int, list[Judged]] = defaultdict(list)
        protocols: list[Judged] = []
        for judged in own:
            if judged.packet.report == RESULT:
                results[judged.packet.device].append(judged)
            elif judged.packet.report == PROTOCOL_REPORT:
                protocols.append(judged)
        if not results and not protocols and not orders.rulings:
            # As all stations are for most of the day.
            return [], False
        named = {
            judged.packet.corrects: corrected
            for judged in protocols
            if (corrected := self._book.named(judged.packet.corrects))
        }
        outcomes: list[Outcome] = []
        superseded = False
        for contest in station.contests:
            by_machine, machine_superseded = counts.machine(contest, orders.boxes, results)
            by_hand, protocol_superseded = counts.protocol(contest, protocols, named)
            superseded = superseded or machine_superseded or protocol_superseded
            outcomes.append(self._ruled(orders, by_machine))
            outcomes.append(self._ruled(orders, by_hand))
        return outcomes, superseded

    def _ruled(self, orders: Orders, outcome: Outcome) -> Outcome:
        """What the commission has ruled, or the outcome as it is."""
        contest, source = outcome.contest, outcome.source
        ruling = orders.rulings.get((contest, source))
        if ruling is None:
            return outcome
        packet = self._book.named(ruling.id) if ruling.id is not None else None
        if packet is None:
            return Outcome(contest, source, "annulled")
        return counts.chosen(contest, source, self.judged(packet))

    def _differences(self, outcomes: Iterable[Outcome]) -> Iterator[tuple[int, int, int, int]]:
        counted: dict[tuple[int, Source], Outcome] = {
            (outcome.contest, outcome.source): outcome for outcome in outcomes if outcome.counted
        }
        for (contest, source), outcome in counted.items():
            paper = counted.get((contest, PROTOCOL))
            if source != MACHINE or paper is None:
                continue
            choices = self._rules.ballots[contest].choices
            for choice, by_machine, by_hand in zip(choices, outcome.votes, paper.votes, strict=True):
                if by_machine != by_hand:
                    yield contest, choice, by_machine, by_hand

    def _station_codes(
        self, outcomes: Iterable[Outcome], station: Station, present: Turnout
    ) -> Iterator[str]:
        """S201, S203 and S207 of each counted contest and source."""
        rules = self._definition.rules
        for outcome in outcomes:
            if not outcome.counted:
                continue
            figures = dict(outcome.figures)
            given, in_box = given_out(figures), figures.get(IN_BOX)
            expected = in_box if given is None else given
            identified = present.identified
            both = identified is not None and expected is not None
            if both and abs((identified or 0) - (expected or 0)) > rules.s201_tolerance:
                yield "S201"
            if given is not None and in_box is not None and in_box < given:
                yield "S207"
            if station.type == "ordinary":
                came = expected if identified is None else identified
                if self._unusual(came, station.registered) or self._unanimous(outcome):
                    yield "S203"

    def _unusual(self, came: int | None, registered: int | None) -> bool:
        rules = self._definition.rules
        if came is None or registered is None:
            return False
        return 100 * came > rules.s203_high * registered or 100 * came < rules.s203_low * registered

    def _unanimous(self, outcome: Outcome) -> bool:
        ballot = self._rules.ballots[outcome.contest]
        total = ballot.total(outcome.votes)
        high = self._definition.rules.s203_high
        return (
            len(ballot.main) > 1
            and total > 0
            and any(100 * outcome.votes[place] >= high * total for place in ballot.main)
        )

    def _decisions(self, orders: Orders, packets: Iterable[Packet]) -> tuple[int, ...]:
        """Those in effect that name the station or all, and revocations of its devices."""
        devices = {*orders.boxes, *orders.terminals}
        for device in {packet.device for packet in packets}:
            if self.posts.kind(device) == "desk" and orders.assigned(device, "desk"):
                devices.add(device)
        revoked = [
            decision
            for device in devices
            if (revocation := self.posts.revocation(device))
            for decision in revocation.decisions
        ]
        return tuple(sorted({*orders.decisions, *revoked}))


def station_object(definition: bytes, number: int, version: int, view: View) -> JsonValue:
    """A station's object."""
    return {
        "format": FORMAT,
        "definition": definition.hex(),
        "station": number,
        "version": version,
        "opened": int(view.opened),
        "cancelled": int(view.cancelled),
        "codes": view.codes,
        "turnout": {"identified": view.turnout.identified, "hours": view.turnout.hours},
        "counts": [
            {
                "contest": outcome.contest,
                "source": outcome.source,
                "state": outcome.state,
                "packets": outcome.packets,
                "figures": outcome.figures,
                "votes": outcome.votes,
            }
            for outcome in view.outcomes
        ],
        "differences": view.differences,
        "packets": [_packet_object(packet, codes) for packet, codes in view.packets],
        "documents": [
            {
                "index": index,
                "sha256": sha256.hex(),
                "media": media,
                "size": size,
                "document": document,
                "page": page,
            }
            for index, (sha256, media, size, document, page) in view.documents
        ],
        "decisions": view.decisions,
    }


def _packet_object(packet: Packet, codes: tuple[str, ...]) -> JsonValue:
    return {
        "index": packet.index,
        "id": packet.id.hex(),
        "device": packet.device,
        "sequence": packet.sequence,
        "report": packet.report,
        "signed_at": packet.signed_at,
        "codes": codes,
        "voters": packet.voters,
        "counts": packet.counts,
        "counter": packet.counter,
        "corrects": packet.corrects.hex(),
    }


def row(number: int, version: int | None, view: View) -> JsonValue:
    """A station's row in the object of its area."""
    return [
        number,
        version,
        int(view.opened),
        int(view.cancelled),
        view.codes,
        [
            [outcome.contest, outcome.source, outcome.state, outcome.figures, outcome.votes]
            for outcome in view.outcomes
        ],
    ]
