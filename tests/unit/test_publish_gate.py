"""The gate: a fault behind the tally makes each of its rules fire, and nothing of it leaves."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from gateway import _core
from gateway.base.clock import format_time
from gateway.base.errors import TallygateError
from gateway.feed import layout
from gateway.feed.models import Latest, Paused
from gateway.ledger.protocol import Head
from gateway.publish.gate import Candidate, Gate
from gateway.publish.nodes import Reasons
from gateway.publish.protocol import FeedFile, GateError
from tests.unit import tally_logs
from tests.unit.feed_helpers import NIGHT, Publisher, night, publisher
from tests.unit.publish_forgery import (
    DeepFault,
    Fault,
    Forgery,
    Json,
    Node,
    canonical,
    caught,
    deep,
    file,
    latest,
)


@pytest.fixture
def published(tmp_path: Path) -> Publisher:
    """Eight entries are published; the next five change stations 10, 11 and 12 with a decision among them."""
    published = publisher(tmp_path, NIGHT)
    published.publish(8)
    published.take(13)
    return published


@pytest.fixture
def undecided(tmp_path: Path) -> Publisher:
    """The next entries are a turnout and a protocol of station 10, and no decision."""
    published = publisher(tmp_path, NIGHT)
    published.publish(11)
    published.take(13)
    return published


def both(*areas: int) -> Callable[[Callable[[Node], None]], DeepFault]:
    """A change of several areas."""

    def of(change: Callable[[Node], None]) -> DeepFault:
        def fault(forgery: Forgery) -> None:
            for area in areas:
                change(forgery.area(area))

        return fault

    return of


def machine(area: Node) -> Node:
    return area["contests"][0]["machine"]


@pytest.mark.parametrize(
    ("rule", "area", "fault"),
    [
        ("parent", 1, both(1)(lambda area: area.more("opened"))),
        ("parent", 1, both(1)(lambda area: machine(area)["votes"].more(3))),
        ("parent", 1, both(1)(lambda area: machine(area)["figures"][0].more(1))),
        ("parent", 1, both(1)(lambda area: machine(area)["figures"][0].more(2))),
        ("parent", 1, both(1)(lambda area: machine(area)["registered"].more(0))),
        ("parent", 1, both(1)(lambda area: area["contests"][1]["registered"].more(1))),
        ("parent", 1, both(1)(lambda area: area["turnout"].more("identified"))),
        ("parent", 1, both(1)(lambda area: area["turnout"].more("stations"))),
        ("parent", 1, both(1)(lambda area: area["turnout"]["registered"].more(0))),
        ("parent", 1, both(1)(lambda area: area["turnout"]["hours"][1].more(1))),
        ("parent", 1, both(1)(lambda area: area["flags"][0].more(1))),
        ("rows", 2, both(1, 2)(lambda area: area.more("opened"))),
        ("rows", 2, both(1, 2)(lambda area: machine(area)["votes"].more(3))),
        ("rows", 2, both(1, 2)(lambda area: machine(area)["figures"][0].more(1))),
        ("rows", 2, both(1, 2)(lambda area: machine(area)["registered"].more(0))),
        ("rows", 2, both(1, 2)(lambda area: area["turnout"]["registered"].more(0))),
        ("rows", 2, both(1, 2)(lambda area: area["flags"][0].more(1))),
        ("turnout", 2, both(1, 2)(lambda area: area["turnout"].more("identified"))),
        ("turnout", 2, both(1, 2)(lambda area: area["turnout"]["hours"][1].more(2))),
        ("states", 2, both(1, 2)(lambda area: machine(area).more("silent"))),
        ("states", 2, both(1, 2)(lambda area: machine(area).more("counted"))),
        ("states", 2, both(1, 2)(lambda area: area["contests"][0].more("stations"))),
        ("states", 2, both(1, 2)(lambda area: area.more("stations"))),
        ("states", 2, both(1, 2)(lambda area: area.more("cancelled"))),
        ("form", 2, both(2)(lambda area: machine(area)["votes"].items.append(0))),
        ("form", 2, both(2)(lambda area: area["contests"].pop())),
        ("form", 2, both(2)(lambda area: area["turnout"]["hours"].items.reverse())),
        ("form", 2, both(2)(lambda area: area["flags"].items.append(["H100", 1]))),
        ("form", None, both(2)(lambda area: area.__setitem__("definition", "ab" * 32))),
        ("form", 2, both(2)(lambda area: area["rows"][0].__setitem__(2, 2))),
        ("form", None, both(2)(lambda area: area.__setitem__("area", 99))),
        ("row", 3, both(3)(lambda area: area["rows"].pop())),
        ("hash", 1, both(1)(lambda area: area["areas"][2].__setitem__(1, "ab" * 32))),
    ],
)
def test_a_fault_in_an_area(
    published: Publisher, monkeypatch: pytest.MonkeyPatch, rule: str, area: int | None, fault: DeepFault
) -> None:
    error = caught(published, monkeypatch, deep(published, fault))
    assert (error.code, error.rule, error.area) == ("publish.gate", rule, area), str(error)
    assert f"(rule {rule})" in error.detail


def other_station(forgery: Forgery) -> None:
    """An object of station 13 that no row names."""
    forgery.stations[13] = copied(forgery.stations[12])
    forgery.stations[13]["station"] = 13


def copied(node: Node) -> Node:
    return Node(copy.deepcopy(node.value))


def version(at: int) -> DeepFault:
    """Station 10 with another version, in object and row."""

    def fault(forgery: Forgery) -> None:
        forgery.stations[10]["version"] = at
        forgery.row(2, 0)[1] = at

    return fault


@pytest.mark.parametrize(
    ("rule", "area", "station", "fault"),
    [
        ("row", 2, 10, lambda forgery: forgery.row(2, 0)[5][0][4].more(0)),
        ("row", 2, 10, lambda forgery: forgery.row(2, 0)[4].pop()),
        ("row", 2, 10, lambda forgery: forgery.row(2, 0).__setitem__(2, 0)),
        ("row", 2, 10, lambda forgery: forgery.stations[10]["counts"][0].__setitem__("state", "disputed")),
        ("row", 2, 10, lambda forgery: forgery.stations[10]["codes"].items.append("S999")),
        ("row", 2, 10, lambda forgery: forgery.stations.pop(10)),
        ("row", 2, 77, lambda forgery: forgery.row(2, 0).__setitem__(0, 77)),
        ("row", 2, 11, lambda forgery: forgery.area(2)["rows"].items.reverse()),
        ("row", 3, 13, lambda forgery: forgery.row(3, 1).__setitem__(2, 1)),
        ("row", 3, 13, lambda forgery: forgery.row(3, 1).__setitem__(1, 12)),
        ("row", 2, 10, lambda forgery: forgery.area(2)["rows"].__setitem__(0, [10, None, 0, 0, [], []])),
        ("row", None, 13, other_station),
        ("rows", 2, None, lambda forgery: votes(forgery, 10)),
        ("reason", 2, 10, version(7)),
        ("reason", 2, 10, version(13)),
        ("reason", 2, 10, version(0)),
        ("form", None, None, lambda forgery: forgery.stations[10].__setitem__("definition", "ab" * 32)),
        ("form", None, None, lambda forgery: forgery.stations[10].__setitem__("opened", 2)),
    ],
)
def test_a_fault_in_a_station(
    published: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    area: int | None,
    station: int | None,
    fault: DeepFault,
) -> None:
    error = caught(published, monkeypatch, deep(published, fault))
    assert (error.rule, error.area, error.station) == (rule, area, station), str(error)
    if area is not None:
        assert f"area {area}" in error.place


def votes(forgery: Forgery, station: int) -> None:
    """A vote more for a choice of station 10 or 11 in its object and its row."""
    forgery.stations[station]["counts"][0]["votes"].more(0)
    forgery.row(2, station - 10)[5][0][4].more(0)


def opened_without_reason(forgery: Forgery) -> None:
    """Station 13 is opened, consistently, up to the root; an entry of the range is given as its version."""
    found = forgery.stations[13] = copied(forgery.stations[10])
    changes: dict[str, Json] = {"station": 13, "version": 12, "opened": 1, "counts": [], "codes": []}
    changes |= {"packets": [], "differences": [], "turnout": {"hours": [], "identified": None}}
    for name, value in changes.items():
        found[name] = value
    forgery.area(3)["rows"][1] = [13, 12, 1, 0, [], []]
    both(1, 3)(lambda area: area.more("opened"))(forgery)


def turnout_without_reason(forgery: Forgery) -> None:
    """The last published object of station 12 once more, with a turnout that no packet gives."""
    found = forgery.stations[12] = Node(json.loads(forgery.published.files["stations/0/12-10.json"]))
    found["version"] = 12
    found["turnout"] = {"hours": [], "identified": 5}
    forgery.row(3, 0)[1] = 12
    both(1, 3)(lambda area: area["turnout"].more("stations"))(forgery)
    for area in (1, 3):
        forgery.area(area)["turnout"]["identified"] = int(forgery.area(area)["turnout"]["identified"]) + 5


def codes_without_packet(forgery: Forgery) -> None:
    """Only codes differ: another packet of its devices may do that wherever it stands."""
    found = forgery.stations[12] = Node(json.loads(forgery.published.files["stations/0/12-10.json"]))
    found["version"] = 12
    forgery.row(3, 0)[1] = 12
    for codes in (found["codes"], forgery.row(3, 0)[4]):
        codes.items.append("S999")
    both(1, 3)(lambda area: area["flags"].items.append(["S999", 1]))(forgery)


@pytest.mark.parametrize(("fault", "station"), [(opened_without_reason, 13), (turnout_without_reason, 12)])
def test_what_counts_changes_for_a_reason_only(
    undecided: Publisher, monkeypatch: pytest.MonkeyPatch, fault: DeepFault, station: int
) -> None:
    error = caught(undecided, monkeypatch, deep(undecided, fault))
    assert (error.rule, error.area, error.station) == ("reason", 3, station), str(error)


def test_codes_alone_may_change_for_a_packet_of_another_station(
    undecided: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Gate.judge
    fault = deep(undecided, codes_without_packet)
    monkeypatch.setattr(Gate, "judge", lambda gate, candidate: judge(gate, fault(candidate)))
    assert undecided.draft() is not None


def test_reasons_are_packets_of_the_station_and_decisions_up_to_the_version() -> None:
    reasons = Reasons(5)
    assert not reasons.up_to(9, 10)
    reasons.note(6, 10)
    reasons.note(7, 10)
    reasons.note(8, None)
    reasons.note(9, None)
    assert [reasons.up_to(version, 10) for version in (5, 6, 7)] == [False, True, True]
    assert [reasons.up_to(version, 11) for version in (7, 8, 9)] == [False, True, True]


def previous_root(candidate: Candidate, published: Publisher) -> Candidate:
    last = Node(json.loads(published.drafts[-1].latest))

    def change(node: Node) -> None:
        node["root"], node["tally"] = last["root"], last["tally"]

    return latest(change)(candidate)


@pytest.mark.parametrize(
    ("rule", "area", "change"),
    [
        ("share", 1, lambda node: node["results"][0]["choices"][0].more("share")),
        ("share", 1, lambda node: node["results"][0].more("base")),
        ("share", 1, lambda node: node["results"][1].more("turnout")),
        ("seats", 1, lambda node: node["results"][2]["choices"][1].__setitem__("seats", 1)),
        ("threshold", 1, lambda node: node["results"][0].__setitem__("quorum", "open")),
        ("share", 1, lambda node: node["results"].pop()),
        ("progress", 1, lambda node: node["progress"].more("reported")),
        ("progress", 1, lambda node: node["progress"].more("opened")),
        ("progress", 1, lambda node: node["progress"].more("stations")),
        ("progress", 2, lambda node: node["children"][0]["progress"].more("held")),
        ("progress", 3, lambda node: node["children"][1]["progress"].more("cancelled")),
        ("hash", 4, lambda node: node["children"][2]["progress"].more("silent")),
        ("hash", 4, lambda node: node["children"][2]["turnout"].more("identified")),
        ("hash", 2, lambda node: node["children"][0]["turnout"].more("identified")),
        ("hash", 2, lambda node: node["children"][0].__setitem__("sha256", "ab" * 32)),
        ("hash", 1, lambda node: node["children"].pop()),
        ("hash", None, lambda node: node["decisions"].more("count")),
        ("hash", None, lambda node: node["decisions"].__setitem__("sha256", "ab" * 32)),
        ("status", None, lambda node: node["status"].__setitem__("machine", "certified")),
        ("status", None, lambda node: node.__setitem__("roster", "ab" * 32)),
        (
            "status",
            None,
            lambda node: node.__setitem__(
                "paused", {"by": "gate", "reason": [], "since": "2021-11-28T14:00:00.000Z"}
            ),
        ),
        ("chain", None, lambda node: node.more("snapshot")),
        ("chain", None, lambda node: node.__setitem__("previous", "ab" * 32)),
        ("log", None, lambda node: node["log"].__setitem__("origin", "other.example")),
        ("log", None, lambda node: node["log"].__setitem__("size", 12)),
        ("log", None, lambda node: node["log"].__setitem__("size", 99)),
        ("log", None, lambda node: node["log"].__setitem__("size", 0)),
        ("log", None, lambda node: node["log"].__setitem__("root", "A" * 43 + "=")),
        ("form", None, lambda node: node.__setitem__("definition", "ab" * 32)),
        ("form", None, lambda node: node.__setitem__("election", "another")),
        ("form", None, lambda node: node.__setitem__("mode", "rehearsal")),
        ("form", None, lambda node: node.__setitem__("headline", "protocol")),
        ("form", None, lambda node: node["log"].__setitem__("size", "13")),
    ],
)
def test_a_fault_in_latest(
    published: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    area: int | None,
    change: Callable[[Node], None],
) -> None:
    error = caught(published, monkeypatch, latest(change))
    assert (error.rule, error.area) == (rule, area), str(error)


def test_the_root_is_not_that_of_the_snapshot_before(
    published: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = caught(published, monkeypatch, lambda candidate: previous_root(candidate, published))
    assert (error.rule, error.area) == ("hash", 1)


def spoiled(files: Sequence[FeedFile], change: Callable[[FeedFile], FeedFile]) -> list[FeedFile]:
    """The first of the files is another one."""
    return [change(files[0]), *files[1:]]


def moved(file: FeedFile) -> FeedFile:
    return FeedFile(file.path.replace(".json", "0.json"), file.data)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("form", lambda one: replace(one, areas=spoiled(one.areas, moved))),
        ("form", lambda one: replace(one, areas=spoiled(one.areas, lambda of: data(of, of.data + b"\n")))),
        ("form", lambda one: replace(one, areas=spoiled(one.areas, lambda of: data(of, of.data[:-1])))),
        ("form", lambda one: replace(one, areas=spoiled(one.areas, lambda of: data(of, b"")))),
        ("form", lambda one: replace(one, stations=spoiled(one.stations, moved))),
        ("form", lambda one: replace(one, stations=spoiled(one.stations, lambda of: data(of, b"{}")))),
        ("form", lambda one: replace(one, decisions=moved(one.decisions))),
        ("form", lambda one: replace(one, decisions=data(one.decisions, b"{}"))),
        ("form", lambda one: replace(one, latest=one.latest + b"\n")),
        ("form", lambda one: replace(one, areas=[stray(one), *one.areas])),
        ("hash", lambda one: replace(one, areas=one.areas[:-1])),
        ("hash", lambda one: replace(one, areas=one.areas[1:])),
        ("hash", lambda one: replace(one, decisions=None)),
        ("chain", lambda one: replace(one, number=one.number + 1)),
        ("chain", lambda one: replace(one, previous=bytes(32))),
        ("chain", lambda one: replace(one, previous=None)),
    ],
)
def test_a_fault_in_the_files(
    published: Publisher, monkeypatch: pytest.MonkeyPatch, rule: str, fault: Fault
) -> None:
    assert caught(published, monkeypatch, fault).rule == rule


def stray(candidate: Candidate) -> FeedFile:
    """The object of an area that there is not, under its name."""
    node = Node(json.loads(candidate.areas[0].data))
    node["area"] = 99
    return file(layout.area, 99, node)


def data(file: FeedFile, new: bytes) -> FeedFile:
    return FeedFile(file.path, new)


def another_past(candidate: Candidate) -> Candidate:
    """Another log of the same length: its head is signed, its first entry is not the published one."""
    tree = _core.Tree()
    tree.append([bytes([index]) * 32 for index in range(candidate.head.size)])
    return on_tree(candidate, tree, candidate.head.size)


def on_tree(candidate: Candidate, tree: _core.Tree, size: int) -> Candidate:
    root = tree.root(size)
    note = _core.NoteSigner(tally_logs.ORIGIN, tally_logs.LOG_SEED).sign_checkpoint(size, root)

    def change(node: Node) -> None:
        node["log"]["root"] = base64.b64encode(root).decode()
        node["log"]["size"] = size

    return replace(latest(change)(candidate), head=Head(size, root, note), tree=tree)


def another_key(candidate: Candidate) -> Candidate:
    head = candidate.head
    note = _core.NoteSigner(tally_logs.ORIGIN, b"\x09" * 32).sign_checkpoint(head.size, head.root)
    return replace(candidate, head=Head(head.size, head.root, note))


@pytest.mark.parametrize(
    "fault",
    [
        another_past,
        another_key,
        lambda one: on_tree(one, one.tree, 7),
        lambda one: replace(one, tree=_core.Tree()),
        lambda one: replace(one, head=Head(one.head.size, one.head.root, "")),
    ],
)
def test_a_fault_in_the_log(published: Publisher, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    assert caught(published, monkeypatch, fault).rule == "log"


def test_the_first_snapshot_needs_its_decisions_and_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[tuple[str, int | None, int | None, Callable[[Publisher], Fault]]] = [
        ("hash", None, None, lambda _: lambda one: replace(one, decisions=None)),
        ("chain", None, None, lambda _: lambda one: replace(one, number=2)),
        ("chain", None, None, lambda _: lambda one: replace(one, previous=bytes(32))),
        ("row", 3, None, lambda of: deep(of, lambda forgery: forgery.area(3)["rows"].pop())),
        ("row", 3, 13, lambda of: deep(of, lambda forgery: forgery.row(3, 1).__setitem__(2, 1))),
        ("row", 3, 13, lambda of: deep(of, lambda forgery: forgery.row(3, 1).__setitem__(1, 1))),
        ("rows", 3, None, lambda of: deep(of, both(1, 3)(lambda area: area.more("opened")))),
        ("parent", 1, None, lambda of: deep(of, both(1)(lambda area: area.more("opened")))),
        ("log", None, None, lambda of: deep(of, undecide)),
        ("hash", 1, None, lambda _: lambda one: replace(one, areas=one.areas[1:])),
        ("hash", 1, None, lambda _: lambda one: replace(one, areas=one.areas[:-1])),
        ("row", None, 10, lambda _: lambda one: replace(one, areas=[])),
        ("hash", 1, None, lambda _: lambda one: replace(one, areas=[], stations=[])),
    ]
    for place, (rule, area, station, fault) in enumerate(faults):
        folder = tmp_path / str(place)
        folder.mkdir()
        published = publisher(folder, NIGHT)
        published.take(8)
        error = caught(published, monkeypatch, fault(published))
        assert (error.rule, error.area, error.station) == (rule, area, station), str(error)


def undecide(forgery: Forgery) -> None:
    assert forgery.listing is not None
    forgery.listing["decisions"][0]["state"] = "void"


def test_a_pause_in_the_decisions_lets_no_new_figures_out(
    published: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause(forgery: Forgery) -> None:
        assert forgery.listing is not None
        forgery.listing["decisions"][1]["action"] = [6]

    error = caught(published, monkeypatch, deep(published, pause))
    assert error.rule == "status"


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("form", lambda node: node.__setitem__("previous", None)),
        ("chain", lambda node: node.more("snapshot")),
        ("status", lambda node: node["progress"].more("reported")),
        ("status", lambda node: node["log"].more("size")),
        ("status", lambda node: node.__setitem__("paused", None)),
    ],
)
def test_a_heartbeat_repeats_what_was_published(
    published: Publisher, monkeypatch: pytest.MonkeyPatch, rule: str, change: Callable[[Node], None]
) -> None:
    judge = Gate.judge_repeated

    def forged(gate: Gate, number: int, previous: bytes, latest: bytes) -> Latest:
        node = Node(json.loads(latest))
        change(node)
        return judge(gate, number, previous, canonical(node.value))

    monkeypatch.setattr(Gate, "judge_repeated", forged)
    assert published.previous is not None
    paused = Paused("gate", (), format_time(0))
    with pytest.raises(GateError) as refused:
        published.builder.repeat(published.number, published.previous, published.now, paused)
    assert refused.value.rule == rule


def resumed(published: Publisher, size: int, latest: bytes) -> None:
    builder = published.fresh()
    published.take(size, builder)
    builder.resume(latest)


def test_a_restart_finds_the_figures_that_were_published(published: Publisher, tmp_path: Path) -> None:
    good = published.drafts[-1].latest
    resumed(published, 8, good)

    def share(node: Node) -> None:
        node["results"][0]["choices"][0].more("share")

    def status(node: Node) -> None:
        node["status"]["machine"] = "certified"

    def listing(node: Node) -> None:
        node["decisions"]["sha256"] = "ab" * 32

    for size, change in ((9, None), (7, None), (8, share), (8, status), (8, listing)):
        node = Node(json.loads(good))
        if change is not None:
            change(node)
        with pytest.raises(GateError) as refused:
            resumed(published, size, canonical(node.value))
        assert refused.value.rule == "replay"

    folder = tmp_path / "other"
    folder.mkdir()
    other = publisher(folder, night(headline="protocol")).publish()
    for data_ in (other.latest, good[:-1]):
        with pytest.raises(TallygateError) as malformed:
            resumed(published, 8, data_)
        assert malformed.value.code == "feed.malformed"


# What latest.json only says: nothing follows from it, and nothing can be held against it.
SAID = ("published_at", "information", "software")


@st.composite
def damage(draw: DrawFn, whole: bytes) -> bytes:
    """A byte more, less, or another one."""
    place = draw(st.integers(0, len(whole) - 1))
    new = draw(st.sampled_from([b"", b"0", b"9", b"1", b"a", b"[", b"}", b",", b" ", b'"', b"\xff"]))
    return whole[:place] + new + whole[place + draw(st.integers(0, 1)) :]


def unsaid(latest: bytes) -> bytes:
    """What can be held against something."""
    try:
        value = json.loads(latest)
        return canonical({name: one for name, one in value.items() if name not in SAID})
    except (ValueError, AttributeError):
        return latest


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damage_to_the_bytes_gets_through_or_stops_the_gate(data: st.DataObject) -> None:
    """Whatever becomes of a file, the gate says so in its own words."""

    def fault(candidate: Candidate) -> Candidate:
        assert candidate.decisions is not None
        match data.draw(st.sampled_from(["latest", "areas", "stations", "decisions"])):
            case "latest":
                changed = replace(candidate, latest=data.draw(damage(candidate.latest)))
                assume(unsaid(changed.latest) != unsaid(candidate.latest))
            case "areas":
                changed = replace(candidate, areas=one_of(candidate.areas))
            case "stations":
                changed = replace(candidate, stations=one_of(candidate.stations))
            case _:
                changed = replace(candidate, decisions=one_of([candidate.decisions])[0])
        assume(changed != candidate)
        return changed

    def one_of(files: Sequence[FeedFile]) -> list[FeedFile]:
        place = data.draw(st.integers(0, len(files) - 1))
        file = files[place]
        return [*files[:place], FeedFile(file.path, data.draw(damage(file.data))), *files[place + 1 :]]

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        published = publisher(Path(folder), NIGHT)
        published.publish(8)
        published.take(13)
        judge = Gate.judge
        judged: list[Candidate] = []

        def spoiled(gate: Gate, candidate: Candidate) -> Latest:
            judged.extend([candidate, fault(candidate)])
            return judge(gate, judged[1])

        patch.setattr(Gate, "judge", spoiled)
        try:
            published.draft()
        except GateError:
            return
    # What a station's object lists beside its counts stands nowhere else.
    good, bad = judged
    assert good.stations != bad.stations
    for one, other in zip(good.stations, bad.stations, strict=True):
        listed = [json.loads(file.data) for file in (one, other)]
        for name in ("counts", "codes", "version", "opened", "cancelled", "turnout"):
            assert listed[0][name] == listed[1][name]
