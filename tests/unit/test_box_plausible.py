"""What the box says about numbers that the tally would stumble over: nothing where they are right."""

from pathlib import Path

import pytest

from clients.box.plausible import judge
from clients.box.report import Report
from clients.wire import statement
from clients.wire.cbor import Content
from clients.wire.definition import Definition
from clients.wire.statement import Statement
from tests.unit.wire_election import DEFINITION, ELECTION, Election, Json, with_line

CLOSES_AT = 1_800_043_200_000
SIGNED_AT = CLOSES_AT + 60_000
FIRMWARE = b"\x01" * 32
# Station 8 has contest 1: a list of choices 1 (preference within 7), 7 (list), 9; 3 preferences a vote.
VOTES_1 = (300, 900, 80)
VOTES_2 = (500, 490)
RIGHT_1 = {9: 1000, 11: 980, 13: 20}
RIGHT_2 = {9: 1000, 11: 990, 13: 10}


@pytest.fixture
def election(tmp_path: Path) -> Election:
    return Election(tmp_path)


@pytest.fixture
def definition(election: Election) -> Definition:
    return election.load()[0]


def pairs(figures: dict[int, int]) -> Content:
    return tuple(sorted(figures.items()))


def result(
    one: dict[int, int] = RIGHT_1,
    votes: Content = VOTES_1,
    voters: dict[int, int] | None = None,
    closed_at: int = CLOSES_AT,
    counter: int = 2500,
) -> Content:
    counts = ((1, pairs(one), votes), (2, pairs(RIGHT_2), VOTES_2))
    return (3, closed_at, 1, counter, pairs(voters or {}), counts, ())


def opening(counter: int = 500, votes: Content = (0, 0, 0), station: int = 8) -> Statement:
    report: Content = (1, counter, FIRMWARE, ((1, votes),))
    payload = statement.encode_payload("packet", (b"\xaa" * 32, 1, station, 1, b"", 5, report))
    return statement.decode(statement.encode("packet", bytes(8), payload, bytes(64)))


def codes(
    definition: Definition,
    report: Content,
    *,
    signed_at: int = SIGNED_AT,
    earlier: tuple[Statement, ...] = (opening(),),
    station: int = 8,
) -> list[str]:
    findings = judge(Report.of(report), definition.stations[station], definition, signed_at, earlier)
    assert all(finding.detail for finding in findings)
    return [finding.code for finding in findings]


def test_nothing_to_say(definition: Definition) -> None:
    assert codes(definition, result()) == []
    assert codes(definition, result(voters={1: 1200, 3: 1000})) == []
    assert codes(definition, (5, ((b"\xcd" * 32, 1, 5, 1, 1),))) == []
    assert codes(definition, (2, 5, ((3, 100),))) == []


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        ({9: 1001, 11: 980, 13: 20}, ["S210", "H102"]),
        ({9: 1000, 11: 980, 12: 20, 13: 0}, []),
        ({9: 1000, 11: 979, 13: 21}, ["H103"]),
        ({9: 1000, 11: 898, 13: 102}, ["S202", "H103"]),
        # Without in_box neither H102 nor S202 nor S210 can be judged.
        ({11: 980, 13: 999}, []),
        ({9: 2_000_000, 11: 980, 13: 20}, ["H100", "S210", "H102"]),
        ({5: 1000, **RIGHT_1}, []),
        ({5: 900, 6: 60, 16: 40, **RIGHT_1}, []),
        ({5: 999, **RIGHT_1}, ["H104"]),
        ({5: 1001, **RIGHT_1}, ["S207"]),
        ({5: 1201, **RIGHT_1}, ["S207", "H104"]),
        ({5: 1201, 2: 1, **RIGHT_1}, ["S207"]),
        # The country's own: 4 = 5 + 6 + 8 is hard, 105 <= 7 + 5 is soft.
        ({4: 1200, 5: 1000, 6: 0, 8: 200, **RIGHT_1}, []),
        ({4: 1200, 5: 1000, 6: 0, 8: 199, **RIGHT_1}, ["H109.1"]),
        ({7: 10, 105: 15, **RIGHT_1}, []),
        ({7: 10, 105: 16, **RIGHT_1}, ["S214.2"]),
        ({7: 10, 105: 0, **RIGHT_1}, []),
        ({15: 1, **RIGHT_1}, ["S210"]),
    ],
)
def test_figures(definition: Definition, one: dict[int, int], expected: list[str]) -> None:
    assert codes(definition, result(one)) == expected


def test_the_voters_figures_stand_in_for_a_contests(definition: Definition) -> None:
    assert codes(definition, result(voters={5: 900})) == ["H104", "H104"]


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ((0, 900, 80), []),
        ((2700, 900, 80), []),
        ((2701, 900, 80), ["H108"]),
        ((300, 900, 79), ["H103"]),
        ((300, 900, 81), ["H103"]),
    ],
)
def test_votes(definition: Definition, votes: Content, expected: list[str]) -> None:
    assert codes(definition, result(votes=votes)) == expected


def test_several_marks(election: Election) -> None:
    contest = DEFINITION["contests"][2].replace("2,1,1,0,majority", "2,1,2,0,majority")
    assert contest != DEFINITION["contests"][2]
    election.write_definition(with_line(DEFINITION, "contests", 3, contest))
    definition = election.load()[0]
    counts: Content = ((2, pairs(RIGHT_2), (1000, 980)),)
    assert codes(definition, (4, CLOSES_AT, b"", 0, (), counts, ())) == []
    counts = ((2, pairs(RIGHT_2), (1000, 981)),)
    assert codes(definition, (4, CLOSES_AT, b"", 0, (), counts, ())) == ["H103"]


@pytest.mark.parametrize(("word", "expected"), [("hard", ["H104"]), ("soft", ["H104"]), ("off", [])])
def test_h104_as_the_definition_has_it(election: Election, word: str, expected: list[str]) -> None:
    rules = ELECTION["rules"]
    assert isinstance(rules, dict)
    manifest: dict[str, Json] = {**ELECTION, "rules": {**rules, "h104": word}}
    election.write_definition(DEFINITION, manifest)
    definition = election.load()[0]
    assert codes(definition, result({5: 999, **RIGHT_1})) == expected


def test_times(definition: Definition) -> None:
    assert codes(definition, result(closed_at=CLOSES_AT - 1)) == ["S204"]
    assert codes(definition, result(closed_at=SIGNED_AT)) == []
    assert codes(definition, result(closed_at=SIGNED_AT + 1)) == ["S204"]
    late = CLOSES_AT + 720 * 60_000
    assert codes(definition, result(), signed_at=late) == []
    assert codes(definition, result(), signed_at=late + 1) == ["S204"]
    assert codes(definition, (2, 5, ((3, 100),)), signed_at=4) == ["box.clock"]


def test_since_the_opening(definition: Definition) -> None:
    assert codes(definition, result(counter=2501)) == ["S210"]
    assert codes(definition, result(counter=0)) == ["S210"]
    assert codes(definition, result(), earlier=()) == ["S209"]
    assert codes(definition, result(), earlier=(opening(station=11),)) == ["S209"]
    assert codes(definition, result(), earlier=(opening(0), opening(500))) == []
    protocol: Content = (4, CLOSES_AT, b"", 0, (), ((2, pairs(RIGHT_2), VOTES_2),), ())
    assert codes(definition, protocol, earlier=()) == []


def test_registered(definition: Definition) -> None:
    assert codes(definition, result(voters={1: 1199})) == ["S213"]
    abroad: Content = (4, CLOSES_AT + 7_200_000, b"", 0, ((1, 5),), ((1, pairs(RIGHT_1), VOTES_1),), ())
    assert codes(definition, abroad, station=11, signed_at=CLOSES_AT + 7_200_000) == []


def test_opening(definition: Definition) -> None:
    assert codes(definition, opening().report) == []
    assert codes(definition, opening(votes=(0, 1, 0)).report) == ["S209"]
    assert codes(definition, opening(votes=(0, 1_000_001, 0)).report) == ["H100", "S209"]


def test_turnout_without_the_identified(definition: Definition) -> None:
    assert codes(definition, (2, 5, ((1, 1200),))) == ["box.turnout"]
