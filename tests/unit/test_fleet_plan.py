"""What a fleet will say: when, under which numbers, and what is wrong in it on purpose."""

from pathlib import Path
from typing import cast

import pytest

from clients.fleet import arrivals, plan
from clients.fleet.faults import Faults
from clients.fleet.plan import Planned
from clients.observer.tally.packet import Packet
from clients.observer.tally.rules import Rules
from clients.wire import statement
from clients.wire.cbor import Content
from clients.wire.definition import STANDARD_FIGURES
from gateway.election.model import Device
from tests.unit.fleet_election import MEMBER, Built, build, of_station

VALID, IN_BOX, REGISTERED, IDENTIFIED = (
    STANDARD_FIGURES[name] for name in ("valid", "in_box", "registered", "identified")
)
SECOND = 1_000


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("fleet"), shape="deep")


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("flat"), contests=1)


def codes(built: Built, planned: Planned) -> frozenset[str]:
    """What the observer's rules say of a statement; the door has let it through."""
    content = (built.definition.sha256, 1, planned.station, 1, b"", planned.signed_at, planned.report)
    found = statement.decode(statement.sign("packet", content, MEMBER))
    judged = Rules(built.definition).judge(Packet.of(0, found), built.definition.stations[planned.station])
    return judged.codes


def counts(planned: Planned) -> dict[int, tuple[dict[int, int], tuple[int, ...]]]:
    place = 5
    return {
        cast(int, number): (
            dict(cast("tuple[tuple[int, int], ...]", figures)),
            cast("tuple[int, ...]", votes),
        )
        for number, figures, votes in cast(
            "tuple[tuple[Content, Content, Content], ...]", planned.report[place]
        )
    }


def test_the_same_again(built: Built) -> None:
    faults = Faults(3, {"silent": 0.2, "late": 0.3, "clock": 0.3, "equivocation": 0.3, "reorder": 0.3})
    made = built.plan(faults)
    assert made == built.plan(faults)
    assert made != built.plan(Faults(4, faults.rates))


def test_a_day(built: Built) -> None:
    made = built.plan()
    opens_at = built.definition.opens_at
    # All but the desk, which has the last number and is nobody's to play.
    assert [own.device.device for own in made.devices] == sorted(built.roster.devices)[:-1]
    for number, station in built.definition.stations.items():
        [opening] = of_station(made, number, "opening")
        assert opening.at == 0
        assert opening.signed_at < opens_at
        turnouts = of_station(made, number, "turnout")
        as_of = [cast(int, one.report[1]) for one in turnouts]
        assert as_of == sorted(as_of)
        assert opens_at < as_of[0]
        assert as_of[-1] <= station.closes_at
        assert [one.at for one in turnouts] == [moment + SECOND for moment in as_of]
        [result] = of_station(made, number, "result")
        after = (result.at - station.closes_at) / SECOND
        assert arrivals.CURVE[0][1] <= after <= arrivals.CURVE[-1][1]
        assert result.report[1] == station.closes_at <= result.signed_at <= result.at
        assert codes(built, result) <= {"S202", "S214.1"}
        assert counts(result).keys() == set(station.contests)
    assert made.last == max(one.at for own in made.devices for one in own.statements)


def test_the_turnout_is_the_results(built: Built) -> None:
    for number, station in built.definition.stations.items():
        came = [
            dict(cast("tuple[tuple[int, int], ...]", one.report[2]))
            for one in of_station(built.plan(), number, "turnout")
        ]
        identified = {count.figures[IDENTIFIED] for count in built.results.machine[number]}
        assert {one[REGISTERED] for one in came} == {station.registered}
        assert came[-1][IDENTIFIED] == max(identified)
        assert [one[IDENTIFIED] for one in came] == sorted(one[IDENTIFIED] for one in came)


@pytest.mark.parametrize("reports", [0, 1, 2, 5, plan.MOST_TURNOUT])
def test_as_often_as_it_is_asked_for(built: Built, reports: int) -> None:
    made = plan.make(built.definition, built.roster, built.results, None, Faults(), turnout=reports)
    for number, station in built.definition.stations.items():
        turnouts = of_station(made, number, "turnout")
        assert len(turnouts) == reports
        as_of = [cast(int, one.report[1]) for one in turnouts]
        day = station.closes_at - built.definition.opens_at
        parts = [(moment - built.definition.opens_at - 1) * reports // day for moment in as_of]
        assert parts == list(range(reports))


def test_votes_and_nothing_else(flat: Built) -> None:
    """A count needs a figure: it is the sum of the votes, which says nothing new."""
    made = flat.plan()
    for number, rows in flat.results.machine.items():
        [result] = of_station(made, number, "result")
        assert {own.contest: own.votes for own in rows}.keys() == counts(result).keys()
        for figures, votes in counts(result).values():
            assert figures == {VALID: sum(votes)}
        assert not codes(flat, result)


def test_papers(flat: Built) -> None:
    made = flat.plan()
    silent = flat.plan(Faults(stations={"silent": set(flat.results.protocol)}))
    for number in flat.definition.stations:
        papers = of_station(made, number, "protocol")
        assert len(papers) == (number in flat.results.protocol)
        [result] = of_station(made, number, "result")
        assert all(paper.at > result.at for paper in papers)
        # A box that never sends has its votes counted by hand all the same.
        assert len(of_station(silent, number, "protocol")) == len(papers)


def test_arrivals(built: Built) -> None:
    made = built.plan(when={3: [90.5], 4: [60.0, 61.0, 500.0]})
    closes_at = built.definition.stations[4].closes_at
    [result] = of_station(made, 4, "result")
    assert (result.at, result.again) == (closes_at + 60_000, (closes_at + 61_000, closes_at + 500_000))
    assert of_station(made, 3, "result")[0].at == built.definition.stations[3].closes_at + 90_500
    assert not of_station(made, 5, "result")
    assert made.last == closes_at + 500_000


def test_equivocation(built: Built) -> None:
    made = built.plan(Faults(stations={"equivocation": {5}}))
    first, twin = of_station(made, 5, "result")
    assert (first.twin, twin.twin) == (False, True)
    assert twin.at > first.at
    assert twin.report != first.report
    assert not {"H102", "H103"} & codes(built, twin)
    assert made.faults["equivocation"] == [5]


@pytest.mark.parametrize(("fault", "code"), [("arithmetic", "H102"), ("too_many_votes", "H103")])
@pytest.mark.parametrize("shape", ["built", "flat"])
def test_held(fault: str, code: str, shape: str, request: pytest.FixtureRequest) -> None:
    own: Built = request.getfixturevalue(shape)
    named = Faults(stations={"arithmetic": {7}} if fault == "arithmetic" else {"too_many_votes": {7}})
    [result] = of_station(own.plan(named), 7, "result")
    assert code in codes(own, result)
    [other] = of_station(own.plan(named), 8, "result")
    assert code not in codes(own, other)


def test_silent_and_late(built: Built) -> None:
    made = built.plan(Faults(stations={"silent": {2}, "late": {3}}))
    assert not of_station(made, 2, "result")
    assert len(of_station(made, 2, "turnout")) == 3
    [usual], [late] = of_station(built.plan(), 3, "result"), of_station(made, 3, "result")
    assert 3_600_000 <= late.at - usual.at <= 3 * 3_600_000


def test_reorder(built: Built) -> None:
    made = built.plan(Faults(stations={"reorder": {2}}))
    [opening], [result] = of_station(made, 2, "opening"), of_station(made, 2, "result")
    assert opening.at > result.at
    assert opening.signed_at < result.signed_at


def test_a_wrong_clock(built: Built) -> None:
    right = built.plan()
    made = built.plan(Faults(stations={"clock": {1, 3, 5, 7, 9, 11}}))
    assert made.faults["clock"] == [1, 3, 5, 7, 9, 11]
    ahead = []
    for own, usual in zip(made.devices, right.devices, strict=True):
        moved = {
            one.signed_at - other.signed_at
            for one, other in zip(own.statements, usual.statements, strict=True)
        }
        assert len(moved) == 1
        [wrong] = moved
        if own.device.device not in made.faults["clock"]:
            assert wrong == 0
            continue
        assert 5 * 60_000 <= abs(wrong) <= 24 * 3_600_000
        tried = {one.at - other.at for one, other in zip(own.statements, usual.statements, strict=True)}
        # Who is ahead tries too early and is told to wait; who is behind is late in its own eyes only.
        assert (min(tried) < 0) == (wrong > 0)
        ahead.append(wrong > 0)
    assert set(ahead) == {True, False}


def test_several_boxes_and_no_terminal(tmp_path: Path) -> None:
    """The first box counts everything and the others nothing; without a terminal it reports the turnout."""

    def change(devices: list[Device]) -> list[Device]:
        first = devices[0]
        boxes = [device for device in devices if device.kind == "box"]
        spare = first._replace(device=900, stations=())
        return [*boxes, first._replace(device=901), spare, first._replace(device=902, stations=(2, 3))]

    own = build(tmp_path, stations=4, shape="deep", change=change)
    made = own.plan()
    assert 900 not in [device.device.device for device in made.devices]
    results = of_station(made, 1, "result")
    assert len(results) == 2
    assert counts(results[0]) == counts(of_station(made, 1, "result")[0])
    assert all(not any(votes) for _, votes in counts(results[1]).values())
    assert not codes(own, results[1]) - {"S213"}
    assert len(of_station(made, 1, "turnout")) == 6
    both = next(device for device in made.devices if device.device.device == 902)
    assert [one.signed_at for one in both.statements] == sorted(one.signed_at for one in both.statements)
    assert {one.station for one in both.statements} == {2, 3}
