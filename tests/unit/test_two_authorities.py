"""The Rust core and `clients/wire` judge the same decisions alike: taken, void, undone, and what follows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from clients.wire import authority, statement
from clients.wire.authority import Choice
from clients.wire.cbor import Content
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.roster import Roster
from gateway import _core
from gateway.base.errors import CoreError
from tests.unit.wire_election import BOX, DESK, MEMBERS, ROSTER, Election, Tables, public, with_line

OTHER = b"\xdd" * 32
PACKETS = (b"\x0a" * 32, b"\x0b" * 32)
# Those of the election, and one more of each kind; contest 2 is not voted on at station 11.
STATIONS = (8, 11, 9)
CONTESTS = (1, 2, 3)
DEVICES = (1, 2, 5, 7, 9)
SOURCES = (1, 2)


def more(tables: Tables, key: str, stations: str = "8") -> Tables:
    """A roster with one device more, a box with the number 7."""
    return with_line(tables, "devices", 5, f"7,box,{stations},,{key},")


# By what they are; only those that keep every device, its key and its kind can follow the first.
ROSTERS: dict[str, Tables] = {
    "first": ROSTER,
    "moved": with_line(ROSTER, "devices", 3, f"2,terminal,8 11,,{'ab' * 32},T-2"),
    "more": more(ROSTER, "cd" * 32),
    "more, moved": more(ROSTER, "cd" * 32, "11"),
    "other key": more(ROSTER, "ce" * 32),
    "rekeyed": with_line(ROSTER, "devices", 3, f"2,terminal,,,{'ac' * 32},"),
    "another kind": with_line(ROSTER, "devices", 3, f"2,box,,,{'ab' * 32},"),
    "fewer": with_line(ROSTER, "devices", 3, None),
    "desk moved": with_line(ROSTER, "devices", 4, f"5,desk,,2,{public(DESK)},"),
}
UNUSABLE = {
    "of another definition": ROSTER,
    "malformed": with_line(ROSTER, "devices", 4, "5,desk,,3,,"),
    "naming an unknown station": with_line(ROSTER, "devices", 2, f"1,box,9,,{'ae' * 32},SN-1"),
}


@dataclass(frozen=True)
class Loaded:
    """The election for both, and its rosters by name."""

    core: _core.Definition
    wire: Definition
    core_rosters: dict[str, _core.Roster]
    wire_rosters: dict[str, Roster]
    hashes: dict[str, bytes]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    election = Election(tmp_path_factory.mktemp("election"))
    folder = election.root / "definition"
    both = Loaded(_core.Definition.load(folder), Definition.load(folder), {}, {}, {"nowhere": b"\x99" * 32})
    roster = election.root / "roster"
    for name, tables in ROSTERS.items():
        election.write_roster(tables)
        both.core_rosters[name] = _core.Roster.load(roster, both.core)
        both.wire_rosters[name] = Roster.load(roster, both.wire)
        both.hashes[name] = both.wire_rosters[name].sha256
    for name, tables in UNUSABLE.items():
        election.write_roster(tables, OTHER.hex() if name == "of another definition" else None)
        assert_unusable(roster, both)
        both.hashes[name] = hashlib.sha256((roster / "roster.json").read_bytes()).digest()
    assert len(set(both.hashes.values())) == len(both.hashes)
    return both


def assert_unusable(folder: Path, both: Loaded) -> None:
    with pytest.raises(CoreError) as mine:
        _core.Roster.load(folder, both.core)
    with pytest.raises(WireError) as theirs:
        Roster.load(folder, both.wire)
    assert mine.value.code == theirs.value.code
    assert mine.value.code not in ("manifest.missing", "table.missing", "table.changed")


@dataclass(frozen=True)
class Payload:
    """A decision of a script: hashes stand in it by name until the election is known."""

    number: int
    action: tuple[int | str | bytes, ...]
    previous: str  # "right", or "wrong"
    definition: str = "ours"


@dataclass(frozen=True)
class Script:
    """What is logged, and what the readers have.

    Attributes:
        payloads: the first of each number with the right `previous` carries the chain on.
        log: a payload's place and the member who signs it.
        offered: names of rosters that the readers have, besides the first.
        choosable: packets that may be chosen, each with its definition and the entry that it stands at.
    """

    payloads: tuple[Payload, ...]
    log: tuple[tuple[int, int], ...]
    offered: frozenset[str]
    choosable: tuple[tuple[Choice, bytes | None, int], ...] = ()


def numbered(*values: int) -> st.SearchStrategy[int]:
    return st.sampled_from(values)


def actions() -> st.SearchStrategy[tuple[int | str | bytes, ...]]:
    devices, stations, contests = numbered(*DEVICES), numbered(*STATIONS), numbered(*CONTESTS)
    zero = st.just(0)
    undo = st.tuples(st.just(13), st.integers(1, 9))
    return st.one_of(
        undo,
        undo,
        undo,
        st.tuples(st.just(1), st.sampled_from(["first", "more"])),
        st.tuples(st.just(2), devices),
        st.tuples(st.just(3), devices, stations, devices | zero),
        st.tuples(st.just(4), stations | zero, contests | zero),
        st.tuples(
            st.just(5), numbered(8, 8, *STATIONS), contests, numbered(*SOURCES), st.sampled_from(PACKETS)
        ),
        st.tuples(numbered(6, 7)),
        st.tuples(st.just(8), numbered(*SOURCES), st.integers(0, 5)),
        st.tuples(st.just(9), st.sampled_from([*ROSTERS, *UNUSABLE, "nowhere"])),
        st.tuples(st.just(9), st.sampled_from(["more", "more, moved", "moved"])),
        st.tuples(st.just(10), st.sampled_from(["ours", "another", "another"])),
        st.tuples(st.just(11), stations | zero, st.integers(1, 5)),
        st.tuples(st.just(12), stations),
    )


@st.composite
def scripts(draw: DrawFn) -> Script:
    """A chain of decisions with some that compete with it, signed in some order by some members."""
    opening = Payload(1, (1, draw(st.sampled_from(["first"] * 9 + ["nowhere"]))), "right")
    if draw(st.integers(0, 19)) == 0:
        opening = Payload(1, draw(actions()), "right")
    payloads = [opening]
    payloads += [
        Payload(number, action, "right")
        for number, action in enumerate(draw(st.lists(actions(), min_size=1, max_size=9)), 2)
    ]
    length = len(payloads)
    for _ in range(draw(st.integers(0, 3))):
        number = draw(st.integers(1, length))
        previous = draw(st.sampled_from(["right", "right", "wrong"])) if number > 1 else "right"
        definition = draw(st.sampled_from(["ours"] * 4 + ["another"]))
        payloads.append(Payload(number, draw(actions()), previous, definition))
    log = [
        (place, member)
        for place in range(len(payloads))
        for member in draw(st.sampled_from([(0, 1), (1, 2), (2, 0), (0, 1, 2), (1, 1, 0)]))
    ]
    order = draw(st.sampled_from(["as it is", "as it is", "nearly", "any"]))
    if order == "any":
        log = draw(st.permutations(log))
    elif order == "nearly":
        for _ in range(draw(st.integers(1, 6))):
            one, other = draw(st.integers(0, len(log) - 1)), draw(st.integers(0, len(log) - 1))
            log[one], log[other] = log[other], log[one]
    replayed = draw(st.lists(st.sampled_from(log), max_size=3))
    packets = st.builds(
        Choice, numbered(*STATIONS), numbered(*CONTESTS), numbered(*SOURCES), st.sampled_from(PACKETS)
    )
    definitions = st.sampled_from([None, None, OTHER, b"\xee" * 32])
    known = draw(
        st.lists(
            st.tuples(packets, definitions, st.integers(0, 12)), max_size=12, unique_by=lambda one: one[0]
        )
    )
    offered = draw(st.sets(st.sampled_from([*ROSTERS, *UNUSABLE])))
    if draw(st.booleans()):
        offered |= {*ROSTERS, *UNUSABLE}
    return Script(tuple(payloads), (*log, *replayed), frozenset(offered), tuple(known))


class Choosable:
    """The packets that may be chosen, each with its definition."""

    def __init__(self, packets: Mapping[Choice, bytes]) -> None:
        self._packets = packets

    def choosable(self, choice: Choice) -> bytes | str:
        return self._packets.get(choice, "not chosen here")


class Both:
    """Two authorities that are told the same."""

    def __init__(self, loaded: Loaded, script: Script) -> None:
        self.loaded = loaded
        self.script = script
        self.core = _core.Authority(loaded.core, loaded.core_rosters["first"])
        self.wire = authority.Authority(loaded.wire, loaded.wire_rosters["first"])
        for name in script.offered:
            if name in UNUSABLE:
                self.core.offer_unusable(loaded.hashes[name])
                self.wire.offer_unusable(loaded.hashes[name])
            else:
                self.core.offer(loaded.core_rosters[name])
                self.wire.offer(loaded.wire_rosters[name])
        self.logged: list[bytes] = []

    def contents(self) -> list[Content]:
        """The payloads with their chain."""
        carried: dict[int, bytes] = {}
        found: list[Content] = []
        for payload in self.script.payloads:
            previous = b"" if payload.number == 1 else carried[payload.number - 1]
            if payload.previous == "wrong":
                previous = b"\x77" * 32
            definition = OTHER if payload.definition == "another" else self.loaded.wire.sha256
            reason = (("en", "a reason"),)
            content = (definition, previous, payload.number, 5, reason, self.action(payload.action))
            found.append(content)
            if (payload.previous, payload.definition) == ("right", "ours"):
                sha256 = hashlib.sha256(statement.encode_payload("decision", content)).digest()
                carried.setdefault(payload.number, sha256)
        return found

    def action(self, action: tuple[int | str | bytes, ...]) -> Content:
        """The action with its hashes."""
        match action:
            case (1, str(roster)):
                return (1, "log.example", b"\x01" * 32, b"\x02" * 32, self.loaded.hashes[roster], "x")
            case (9, str(roster)):
                return (9, self.loaded.hashes[roster])
            case (10, str(which)):
                return (10, self.loaded.wire.sha256 if which == "ours" else OTHER)
        return action

    def play(self) -> None:
        contents = self.contents()
        for index, (place, member) in enumerate(self.script.log):
            data = statement.sign("decision", contents[place], MEMBERS[member])
            self.log(index, data)
            self.compare()

    def log(self, index: int, data: bytes) -> None:
        ours = self.loaded.wire.sha256
        packets = {
            choice: ours if definition is None else definition
            for choice, definition, since in self.script.choosable
            if since < index
        }
        applied = self.wire.apply(index, statement.decode(data), Choosable(packets))
        named = [(*choice, definition) for choice, definition in packets.items()]
        changed = self.core.apply(index, _core.decode(data), named)
        self.logged.append(data)
        assert changed == bool(applied.changed)

    def compare(self) -> None:
        core, wire = self.core, self.wire
        for number in range(1, wire.taken_count + 1):
            taken = wire.taken(number)
            assert taken is not None
            assert core.taken(number) == (taken.payload, taken.entry, wire.standing_of(taken))
        assert core.taken(wire.taken_count + 1) is None
        for data in self.logged:
            assert core.standing(_core.decode(data)) == wire.standing(statement.decode(data))
        assert core.open == wire.is_open
        assert core.roster.hash == wire.speakers.sha256
        assert core.assignments.hash == wire.assignments.sha256
        assert core.missing_rosters == [missing.sha256 for missing in wire.missing_rosters]
        assert core.paused == wire.is_paused
        for source in SOURCES:
            assert core.status(source) == wire.status(source)
        for definition in (self.loaded.wire.sha256, OTHER, b"\xee" * 32):
            assert core.accepts(definition) == wire.accepts(definition)
        for device in DEVICES:
            assert core.stations(device) == list(wire.stations(device))
            assert [at for at in STATIONS if wire.is_assigned(device, at)] == sorted(wire.stations(device))
            assert core.revoked_at(device) == wire.revoked_at(device)
        for station in STATIONS:
            assert core.closes_at(station) == wire.closes_at(station)
            assert core.is_cancelled(station) == wire.is_cancelled(station)
            assert dict(core.reassigned(station)) == wire.reassigned(station)
            assert core.about_station(station) == list(wire.about_station(station))
            for contest in CONTESTS:
                for source in SOURCES:
                    ruling = wire.ruling(station, contest, source)
                    expected = None if ruling is None else ruling.id or "annulled"
                    assert core.ruling(station, contest, source) == expected


def decided(
    *wanted: tuple[int | str | bytes, ...], choosable: tuple[tuple[Choice, bytes | None, int], ...] = ()
) -> Script:
    """An open log in which members 0 and 1 have signed these, one after the other."""
    payloads = [Payload(1, (1, "first"), "right")]
    payloads += [Payload(number, action, "right") for number, action in enumerate(wanted, 2)]
    log = [(place, member) for place in range(len(payloads)) for member in (0, 1)]
    return Script(tuple(payloads), tuple(log), frozenset({*ROSTERS, *UNUSABLE}), choosable)


RESULT = Choice(8, 1, 1, PACKETS[0])


@given(script=scripts())
@settings(max_examples=300)
@example(script=decided((11, 8, 1), (13, 2), (13, 3), (13, 2), (13, 4), (13, 2), (13, 5)))
@example(
    script=decided((9, "more"), (2, 7), (3, 7, 11, 1), (13, 2), (9, "first"), (9, "more, moved"), (13, 4))
)
@example(script=decided((9, "more"), (9, "other key"), (9, "rekeyed"), (9, "of another definition")))
@example(script=decided((2, 1), (2, 1), (13, 2), (13, 4)))
@example(script=decided((3, 1, 8, 2), (3, 2, 8, 1), (3, 1, 11, 5)))
@example(
    script=decided((5, *RESULT), (10, "another"), (5, *RESULT), (13, 3), choosable=((RESULT, OTHER, 0),))
)
@example(script=decided((5, *RESULT), (4, 8, 0), (13, 3), (4, 0, 1), choosable=((RESULT, None, 3),)))
@example(script=decided((5, *RESULT), (5, *RESULT), choosable=((RESULT, None, 3),)))
def test_both_judge_alike(loaded: Loaded, script: Script) -> None:
    Both(loaded, script).play()


def test_entries_are_applied_in_order(loaded: Loaded) -> None:
    both = Both(loaded, decided())
    data = statement.sign("decision", both.contents()[0], MEMBERS[0])
    both.log(4, data)
    with pytest.raises(CoreError, match="order") as refused:
        both.core.apply(4, _core.decode(data))
    assert refused.value.code == "argument.range"
    with pytest.raises(ValueError, match="order"):
        both.wire.apply(4, statement.decode(data))


def test_packets_and_strangers_change_nothing(loaded: Loaded) -> None:
    both = Both(loaded, decided())
    packet = (both.loaded.wire.sha256, 1, 8, 1, b"", 5, (2, 1, ((3, 9),)))
    both.log(0, statement.sign("packet", packet, DESK))
    for index, stranger in enumerate((BOX, DESK), 1):
        both.log(index, statement.sign("decision", both.contents()[0], stranger))
    assert both.wire.taken_count == 0
    assert both.core.taken(1) is None
