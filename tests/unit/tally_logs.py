"""Small elections and logs to tally, as Hypothesis draws them: packets at the limits, conflicts, decisions.

A log is a list of steps in words of their own, so that a failing one can be read; `Scene` makes statements of
it. Nothing here knows a rule of the tally.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from clients.wire.cbor import Content
from gateway import _core
from tests.unit.wire_election import ELECTION, MEMBERS, Json, Tables, public, write

LIMIT = 1_000_000
LARGEST = 2**53 - 1
HOUR = 3_600_000
OPENS, CLOSES = 1_000 * HOUR, 1_003 * HOUR
FIRMWARE = (b"\x01" * 32, b"\x02" * 32)
OTHER, THIRD = b"\xdd" * 32, b"\xee" * 32
ORIGIN, LOG_SEED, SNAPSHOT_SEED = "log.example", b"\x01" * 32, b"\x02" * 32

AREAS = (1, 2, 3, 4)
STATIONS = (10, 11, 12, 13)
CONTESTS = (1, 2)
CHOICES = {1: 5, 2: 2}
STATION_CONTESTS = {10: (1, 2), 11: (1, 2), 12: (1,), 13: (2,)}
BOXES, TERMINALS, DESKS = (1, 2, 3, 8), (4, 5), (6, 7)
DEVICES = (*BOXES, *TERMINALS, *DESKS)

DEFINITION: Tables = {
    "areas": [
        "area,parent,level,label,code,name",
        "1,,country,,,Мисал",
        "2,1,region,,,One",
        "3,1,region,,,Two",
        "4,1,region,,,None",
    ],
    "contests": [
        "contest,kind,area,seats,marks,preferences,method,share_of,threshold,threshold_of,threshold_area,"
        "threshold_area_level,seat_cap,quorum,quorum_of,name",
        "1,list,,9,@marks@,@preferences@,@method@,@share_of@,@limits@,Parliament",
        "2,referendum,,1,1,0,@question@,@share_of@,,,,,,,,Question",
    ],
    "choices": [
        "contest,choice,kind,list,label,name",
        "1,1,list,,,One",
        "1,2,candidate,1,,First of one",
        "1,5,candidate,6,,First of six",
        "1,6,list,,,Six",
        "1,9,against_all,,,Against all",
        "2,1,yes,,,Yes",
        "2,2,no,,,No",
    ],
    "stations": [
        "station,area,registered,type,box,closes_at,timezone,contests,label,name",
        f"10,2,150,ordinary,yes,{CLOSES},UTC,1 2,,Ten",
        f"11,2,,special,yes,{CLOSES},UTC,1 2,,Eleven",
        f"12,3,1000000,ordinary,yes,{CLOSES + HOUR + 1},UTC,1,,Twelve",
        f"13,3,0,ordinary,no,{CLOSES},UTC,2,,Thirteen",
    ],
    "figures": ["code,figure,name", "100,observers,Observers", "105,torn,Torn"],
    "checks": ["check,severity,left,op,right,tolerance"],
}
# Words of the tables that a written log may leave out.
UNSAID = {"method": "hare", "limits": ",,,,,,", "question": "majority"}
CHECKS = (
    "2,hard,in_box,<=,issued+issued_early,0",
    "3,soft,valid+valid,=,in_box,40",
    "10,hard,blank+blank,<=,invalid+spoiled,6",
    "11,soft,registered,=,in_box+registered_additional,90",
    "20,hard,observers,=,torn,0",
)


def seed(device: int) -> bytes:
    """The signing key of a device; members of the commission have others."""
    return bytes([0x40 + device]) * 32


def key(device: int) -> str:
    return _core.public_key(seed(device)).hex()


def devices(**places: str) -> list[str]:
    """The roster's table: what is named is put elsewhere than at first."""
    at = {
        "d1": "10",
        "d2": "10 11",
        "d3": "",
        "d8": "12",
        "d4": "10",
        "d5": "",
        "d6": "2",
        "d7": "1",
    } | places
    lines = ["device,kind,stations,area,key,serial"]
    for device in sorted(DEVICES):
        kind = "box" if device in BOXES else "terminal" if device in TERMINALS else "desk"
        place = at[f"d{device}"]
        stations, area = ("", place) if kind == "desk" else (place, "")
        lines.append(f"{device},{kind},{stations},{area},{key(device)},")
    return lines


COURIERS = ["courier,area,name"]
LISTED = ["sha256,name", f"{FIRMWARE[0].hex()},1.0"]
ROSTERS: dict[str, Tables] = {
    "first": {"devices": devices(), "couriers": COURIERS, "firmware": LISTED},
    "moved": {
        "devices": devices(d1="11", d2="", d3="10 12", d4="", d5="10 11", d6="3"),
        "couriers": COURIERS,
        "firmware": ["sha256,name"],
    },
    "fewer": {"devices": devices()[:-1], "couriers": COURIERS, "firmware": LISTED},
    "newer": {
        "devices": [*devices(d7="3", d8="12 13"), f"9,box,13,,{key(9)},"],
        "couriers": COURIERS,
        "firmware": [*LISTED, f"{FIRMWARE[1].hex()},1.1"],
    },
}
UNUSABLE = b"\x66" * 32

Action: TypeAlias = tuple[int | str | bytes, ...]
T = TypeVar("T")
Figures: TypeAlias = dict[int, int]
Count: TypeAlias = tuple[Figures, list[int]]
Counts: TypeAlias = dict[int, Count]


@dataclass(frozen=True)
class Report:
    """A report whose hashes are still words: `corrects` is the place of a step of the log."""

    number: int
    time: int = 0
    counter: int = 0
    firmware: bytes = FIRMWARE[0]
    voters: tuple[tuple[int, int], ...] = ()
    counts: tuple[tuple[int, tuple[tuple[int, int], ...], tuple[int, ...]], ...] = ()
    corrects: int | None = None
    papers: int = 0


@dataclass(frozen=True)
class Packet:
    """A packet; `previous` is the place of a step, None the right one, −1 none that there is.

    It is signed at its place and logged `late` steps later: others may name it before.
    """

    device: int
    station: int
    sequence: int
    report: Report
    signed_at: int
    previous: int | None = None
    definition: bytes | None = None
    late: int = 0


@dataclass(frozen=True)
class Again:
    """Another signature on the payload of an earlier step, logged `late` steps later."""

    step: int
    late: int = 0


@dataclass(frozen=True)
class Decision:
    """A decision of the commission; a packet in it is the place of a step, a roster its name."""

    action: Action
    members: tuple[int, ...]


Step: TypeAlias = Packet | Again | Decision


@dataclass(frozen=True)
class Log:
    """An election, as far as it is drawn, and the steps of its log."""

    rules: tuple[tuple[str, Json], ...]
    words: tuple[tuple[str, str], ...]
    checks: tuple[str, ...]
    headline: str
    quorum: int
    steps: tuple[Step, ...]
    cuts: tuple[int, ...] = ()


@dataclass
class Drawing:
    """What has been drawn of a log: counts to take figures from, steps, each device's highest sequence."""

    truths: dict[int, list[Count]]
    steps: list[Step] = field(default_factory=list)
    sequences: dict[int, int] = field(default_factory=dict)

    @property
    def packets(self) -> list[Packet]:
        return [step for step in self.steps if isinstance(step, Packet)]

    def earlier(self, draw: DrawFn) -> int:
        """The place of a step; of a signature on a packet, if there is one."""
        places = [place for place, step in enumerate(self.steps) if not isinstance(step, Decision)]
        return draw(st.sampled_from(places or [0]))


class Scene:
    """An election in folders, and the statements of its log."""

    def __init__(self, root: Path, log: Log, publish_at: int | None = None) -> None:
        self.root = root
        self.log = log
        folder = self._folder("definition")
        words = UNSAID | dict(log.words)
        tables = {name: [_filled(line, words) for line in lines] for name, lines in DEFINITION.items()}
        tables["checks"] = [*tables["checks"], *log.checks]
        rules = ELECTION["rules"]
        assert isinstance(rules, dict)
        commission: dict[str, Json] = {"keys": [public(key) for key in MEMBERS], "quorum": log.quorum}
        manifest = {
            **ELECTION,
            "opens_at": OPENS,
            "closes_at": CLOSES,
            "publish_at": publish_at,
            "headline": log.headline,
            "rules": {**rules, **dict(log.rules)},
            "commission": commission,
        }
        write(folder, "election.json", manifest, tables)
        self.definition = hashlib.sha256((folder / "election.json").read_bytes()).digest()
        self.rosters: dict[str, bytes] = {"unusable": UNUSABLE}
        for name, roster in ROSTERS.items():
            folder = self._folder(name)
            of = {"format": "tallygate-roster/1", "definition": self.definition.hex()}
            write(folder, "roster.json", dict(of), roster)
            self.rosters[name] = hashlib.sha256((folder / "roster.json").read_bytes()).digest()
        self.statements: list[bytes] = []
        self._ids: dict[int, bytes] = {}
        self._payloads: dict[int, bytes] = {}
        self._bytes: dict[int, bytes] = {}
        self._signed: list[tuple[int, bytes]] = []
        self._last: dict[tuple[int, int], bytes] = {}
        self._decided = 0
        self._chain = b""
        self._write()

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir()
        return folder

    def _write(self) -> None:
        keys = (_core.public_key(LOG_SEED), _core.public_key(SNAPSHOT_SEED))
        self._decide((1, ORIGIN, *keys, self.rosters["first"], "x"), (0, 1, 2))
        for place, step in enumerate(self.log.steps):
            match step:
                case Packet():
                    self._packet(place, step)
                case Again(earlier, late):
                    self._again(place, earlier, place + late)
                case Decision(action, members):
                    self._decide(self._action(action), members)
            self._append(place)
        self._append(max((due for due, _ in self._signed), default=0))

    def _append(self, place: int) -> None:
        """Log what is due at a place."""
        for due, data in self._signed:
            if due <= place and data not in self.statements:
                self.statements.append(data)
        self._signed = [(due, data) for due, data in self._signed if due > place]

    def _packet(self, place: int, packet: Packet) -> None:
        definition = self.definition if packet.definition is None else packet.definition
        previous = b""
        if packet.sequence > 1:
            if packet.previous is None:
                previous = self._last.get((packet.device, packet.sequence - 1), b"\x99" * 32)
            else:
                previous = self._ids.get(packet.previous, b"\x98" * 32)
        content = (
            definition,
            packet.device,
            packet.station,
            packet.sequence,
            previous,
            packet.signed_at,
            self._report(packet.report),
        )
        data = _core.sign("packet", content, seed(packet.device))
        payload = _core.decode(data).payload
        if payload in self._payloads.values():
            return
        self._payloads[place] = payload
        self._bytes[place] = data
        self._ids[place] = hashlib.sha256(data).digest()
        self._last.setdefault((packet.device, packet.sequence), self._ids[place])
        self._signed.append((place + packet.late, data))

    def _report(self, report: Report) -> Content:
        papers = tuple((bytes([place]) * 32, 1, 5, 1, place) for place in range(report.papers))
        corrects = b"" if report.corrects is None else self._ids.get(report.corrects, b"\x97" * 32)
        counted = (report.voters, report.counts, papers)
        match report.number:
            case 1:
                zeros = tuple((contest, votes) for contest, _, votes in report.counts)
                return (1, report.counter, report.firmware, zeros)
            case 2:
                return (2, report.time, report.voters)
            case 3:
                return (3, report.time, 1, report.counter, *counted)
            case 4:
                return (4, report.time, corrects, 0, *counted)
        return (5, papers)

    def _again(self, place: int, earlier: int, due: int) -> None:
        """The bytes with another signature: the tally does not look at it, whoever calls it has."""
        data = self._bytes.get(earlier)
        if data is None:
            return
        data = data[:-1] + bytes([(data[-1] + 1 + place) % 256])
        self._bytes[place] = data
        self._ids[place] = hashlib.sha256(data).digest()
        self._signed.append((due, data))

    def _action(self, action: Action) -> Content:
        match action:
            case (5, int(station), int(contest), int(source), int(step)):
                return (5, station, contest, source, self._ids.get(step, b"\x96" * 32))
            case (9, str(name)):
                return (9, self.rosters[name])
        return action

    def _decide(self, action: Content, members: tuple[int, ...]) -> None:
        """The next number, signed by members; too few leave it pending, and another one takes its place."""
        number = self._decided + 1
        content = (self.definition, self._chain, number, 5, (("en", "a reason"),), action)
        for member in members:
            self.statements.append(_core.sign("decision", content, bytes(MEMBERS[member])))
        if len(set(members)) >= self.log.quorum:
            self._decided = number
            self._chain = hashlib.sha256(_core.encode_payload("decision", content)).digest()


def _filled(line: str, words: dict[str, str]) -> str:
    for name, word in words.items():
        line = line.replace(f"@{name}@", word)
    return line


def one(*values: T) -> st.SearchStrategy[T]:
    """One of these; the same object for the same values, for making a strategy costs more than drawing."""
    return _one(values)


@functools.cache
def _one(values: tuple[T, ...]) -> st.SearchStrategy[T]:
    return st.sampled_from(values)


@functools.cache
def up_to(most: int, least: int = 0) -> st.SearchStrategy[int]:
    return st.integers(least, most)


LATE = one(0, 0, 0, 0, 0, 1, 2, 6)
# What a number may become; the rules' own limits are among these.
EXTREMES = (0, 1, LIMIT - 1, LIMIT, LIMIT + 1, 2**32, LARGEST)


@st.composite
def counts(draw: DrawFn, contest: int) -> Count:
    """A count that adds up, with figures of its own."""
    votes = [draw(one(0, 1, 2, 30, 40)) for _ in range(CHOICES[contest])]
    if contest == 1:
        # Choices 2 and 5 are preferences of 1 and 6.
        votes[1], votes[2] = min(votes[0], votes[1]), min(votes[3], votes[2])
        valid = votes[0] + votes[3] + votes[4]
    else:
        valid = sum(votes)
    blank, invalid = draw(one((0, 0), (1, 1), (3, 1), (9, 6)))
    figures = {9: valid + blank + invalid, 11: valid, 12: blank, 13: invalid}
    if draw(up_to(3)):
        figures[5] = max(0, figures[9] + draw(one(0, 0, 0, 1, -1)))
    return figures, votes


def _perturbed(draw: DrawFn, voters: Figures, counted: Counts) -> None:
    """Breaks something in place."""
    contest = draw(one(*sorted(counted)))
    figures, votes = counted[contest]
    if draw(up_to(3)) == 0:
        figures = voters
    match draw(up_to(8)):
        case 0 | 1:
            code = draw(one(1, 2, 3, 4, 5, 6, 9, 11, 12, 13, 15, 16, 100, 105))
            figures[code] = min(LARGEST, max(0, figures.get(code, 0) + draw(one(-1, 1, 2, 5))))
        case 2:
            figures[draw(one(1, 5, 9, 11, 13, 100))] = draw(one(*EXTREMES))
        case 3:
            figures[draw(one(0, 17, 99, 100, 101, LARGEST))] = 1
        case 4 if figures:
            figures.pop(draw(one(*sorted(figures))))
        case 5 | 6:
            place = draw(up_to(len(votes) - 1))
            votes[place] = draw(one(min(LARGEST, votes[place] + 1), *EXTREMES))
        case 7:
            if draw(st.booleans()) and len(votes) > 1:
                votes.pop()
            else:
                votes.append(0)
        case 8:
            counted[draw(one(1, 2, 3))] = counted.pop(contest)


@st.composite
def counted_reports(draw: DrawFn, station: int, number: int, drawing: Drawing) -> Report:
    """A result or protocol, most of the time as it should be."""
    contests = STATION_CONTESTS.get(station, (1,))
    if number == 4 and draw(up_to(2)) == 0:
        contests = contests[:1]
    counted: Counts = {}
    for contest in contests:
        figures, votes = draw(st.sampled_from(drawing.truths[contest]))
        counted[contest] = (dict(figures), list(votes))
    voters: Figures = dict(draw(one(*VOTERS)))
    for _ in range(draw(one(0, 0, 0, 0, 0, 0, 0, 1, 1, 2))):
        _perturbed(draw, voters, counted)
    in_boxes = min(LIMIT, sum(figures.get(9, 0) for figures, _ in counted.values()))
    limits = (CLOSES,) * 4 + (CLOSES + HOUR + 1,) * 4 + (CLOSES - 1, CLOSES + 1, 0, LARGEST)
    counters = (in_boxes, in_boxes + 1, in_boxes + 10, in_boxes + 11, 0, LARGEST)
    return Report(
        number,
        time=draw(one(*limits)),
        counter=draw(one(*counters)) if number == 3 else 0,
        voters=tuple(sorted(voters.items())),
        counts=tuple(
            (contest, tuple(sorted(figures.items())) or ((9, 0),), tuple(votes))
            for contest, (figures, votes) in sorted(counted.items())
        ),
        corrects=drawing.earlier(draw) if number == 4 and draw(st.booleans()) else None,
        papers=draw(one(0, 0, 1, 2)),
    )


@st.composite
def reports(draw: DrawFn, device: int, station: int, drawing: Drawing) -> Report:
    """What a device says: mostly what such a device may say."""
    match draw(one(*USUAL[device] * 12, 1, 2, 3, 4, 5)):
        case 1:
            counter = draw(one(0, 0, 1, 10, LARGEST))
            return Report(1, counter=counter, firmware=draw(one(*FIRMWARE)), counts=draw(one(*ZEROS)))
        case 2:
            identified = draw(one(0, 1, 50, 60, 61, LIMIT, LIMIT + 1))
            figures = draw(
                one(((3, identified),), ((3, identified),), ((1, 150), (3, identified)), ((1, 99),))
            )
            times = (0, OPENS, OPENS + HOUR, OPENS + HOUR + 1, CLOSES, CLOSES + 3 * HOUR, LARGEST)
            return Report(2, time=draw(one(*times)), voters=figures)
        case 5:
            return Report(5, papers=draw(up_to(3, 1)))
        case number:
            return draw(counted_reports(station, number, drawing))


@st.composite
def packets(draw: DrawFn, drawing: Drawing) -> Packet:
    """A packet of a device; its sequence goes on, most of the time."""
    device = draw(one(1, 1, 1, 1, 2, 2, 8, 3, 4, 5, 6, 6, 6, 7))
    station = draw(one(*(PLACES[device],) * 24, 10, *STATIONS, 99))
    sequence = max(1, drawing.sequences.get(device, 0) + draw(one(1, 1, 1, 1, 1, 1, 1, 1, 0, 2)))
    drawing.sequences[device] = max(drawing.sequences.get(device, 0), sequence)
    if draw(up_to(7)) == 0:
        sequence = draw(up_to(drawing.sequences[device], 1))
    report = draw(reports(device, station, drawing))
    late = draw(one(0, 60_000, 60_000, 60_000, 720 * 60_000, 720 * 60_000 + 1, -1))
    signed_at = min(LARGEST, max(0, (report.time or OPENS) + late))
    previous = draw(one(None, None, None, None, None, -1, 0))
    if previous == 0:
        previous = drawing.earlier(draw)
    definition = draw(one(*(None,) * 12, OTHER, THIRD))
    return Packet(device, station, sequence, report, signed_at, previous, definition, draw(LATE))


@st.composite
def conflicting(draw: DrawFn, drawing: Drawing) -> Packet:
    """Another packet of a device, at a known sequence or the next, with the same report or another."""
    packet = draw(st.sampled_from(drawing.packets))
    sequence = packet.sequence + draw(one(0, 1))
    drawing.sequences[packet.device] = max(drawing.sequences.get(packet.device, 0), sequence)
    report = packet.report
    if draw(st.booleans()):
        report = draw(reports(packet.device, packet.station, drawing))
    station = draw(one(packet.station, packet.station, packet.station, 11))
    signed_at = min(LARGEST, packet.signed_at + 1)
    return Packet(packet.device, station, sequence, report, signed_at, None, packet.definition, draw(LATE))


@st.composite
def actions(draw: DrawFn, drawing: Drawing) -> Action:
    """What the commission may order; packets are places of steps."""
    device, station, contest = one(1, 1, *DEVICES), one(10, 10, 10, *STATIONS), one(1, 1, 2)
    match draw(one(5, 5, 5, 5, 13, 13, 13, 2, 3, 3, 4, 8, 9, 9, 10, 11, 12)):
        case 2:
            return (2, draw(device))
        case 3:
            return (3, draw(device), draw(station), draw(one(0, 0, *DEVICES)))
        case 4:
            return (4, draw(one(0, 10, 10, 10, 11)), draw(one(0, 1, 1, 2)))
        case 5:
            counts = [place for place, step in enumerate(drawing.steps) if _is_count(step)]
            place = draw(one(*counts)) if counts else 0
            packet = drawing.steps[place]
            if not isinstance(packet, Packet) or draw(up_to(9)) == 0:
                return (5, draw(station), draw(contest), draw(one(1, 2)), place)
            source = 1 if packet.report.number == 3 else 2
            return (5, packet.station, draw(contest), source, place)
        case 8:
            return draw(one((6,), (7,), (8, 1, 3)))
        case 9:
            return (9, draw(one("moved", "newer", "newer", "fewer", "unusable", "first")))
        case 10:
            return (10, draw(one(OTHER, THIRD)))
        case 11:
            return (11, draw(one(0, 10, 11)), draw(one(0, CLOSES - 1, CLOSES + 1, LARGEST)))
        case 12:
            return (12, draw(station))
    return (13, draw(up_to(9, 1)))


def _is_count(step: Step) -> bool:
    return isinstance(step, Packet) and step.report.number in (3, 4)


@st.composite
def logs(draw: DrawFn, least: int = 3, most: int = 40) -> Log:
    """An election and its log, of so many steps."""
    rules: list[tuple[str, Json]] = [
        (name, draw(one(*values))) for name, values in RULES.items() if draw(up_to(3)) == 0
    ]
    rules += [(name, list(draw(one(*values)))) for name, values in REQUIRED.items()]
    words = (
        ("marks", draw(one("1", "1", "2", "1000"))),
        ("preferences", draw(one("0", "1", "1", "1", "1000"))),
        ("share_of", draw(one("valid", "votes", "in_box", "registered"))),
        ("method", draw(one("plurality", "majority", "hare", "dhondt", "sainte-lague"))),
        ("limits", draw(one(",,,,,,", "500,votes,,,,,", "500,valid,50,region,5000,1,registered"))),
        ("question", draw(one("majority", "plurality"))),
    )
    checks = tuple(line for line in CHECKS if draw(up_to(3)) == 0)
    signers = one((0, 1), (0, 1), (1, 2), (0, 1, 2), (2,))
    drawing = Drawing({contest: [draw(counts(contest)), draw(counts(contest))] for contest in CONTESTS})
    for _ in range(draw(up_to(most, least))):
        kind = draw(up_to(9))
        step: Step
        if kind == 0 and drawing.steps:
            step = Again(drawing.earlier(draw), draw(LATE))
        elif kind in (1, 2) and drawing.steps:
            step = Decision(draw(actions(drawing)), draw(signers))
        elif kind == 3 and drawing.packets:
            step = draw(conflicting(drawing))
        else:
            step = draw(packets(drawing))
        drawing.steps.append(step)
    cuts = draw(st.sets(up_to(len(drawing.steps) + 4, 1), max_size=4))
    headline, quorum = draw(one("machine", "protocol")), draw(one(1, 2))
    return Log(tuple(rules), words, checks, headline, quorum, tuple(drawing.steps), tuple(sorted(cuts)))


PLACES = {1: 10, 2: 11, 3: 12, 8: 12, 4: 10, 5: 11, 6: 10, 7: 12}
USUAL = {1: (1, 3, 3), 2: (1, 3, 3), 3: (3, 2), 8: (1, 3, 2), 4: (2,), 5: (2,), 6: (4,), 7: (4, 4, 5)}
VOTERS = ((), (), (), ((1, 150),), ((1, 151), (2, 5)), ((3, 60), (5, 120)), ((9, 100), (15, 1)), ((16, 5),))
ZEROS = ((), (), ((1, (), (0, 0)),), ((2, (), (0, 1)),), ((3, (), (LIMIT + 1,)),))
RULES: dict[str, tuple[str | int, ...]] = {
    "h104": ("hard", "soft", "off"),
    "h104_tolerance": (0, 1, LIMIT),
    "s201_tolerance": (0, 1, 10),
    "s202_percent": (0, 10, 100),
    "s203_low": (0, 5, 50),
    "s203_high": (95, 100, 51),
    "s204_minutes": (0, 1, 720),
    "s210_tolerance": (0, 1, 10),
}
REQUIRED: dict[str, tuple[tuple[int, ...], ...]] = {
    "required": ((9, 11, 13), (9, 11, 13), (9,), (), (5, 9)),
    "required_voters": ((), (), (), (), (), (), (1,), (3, 5)),
}
