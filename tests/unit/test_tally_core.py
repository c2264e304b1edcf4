"""The Rust core's tally: the published cases, and the second implementation's word on drawn logs."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from clients.observer.tally import Tally as Observed
from clients.wire import jcs, statement
from clients.wire.definition import Definition
from clients.wire.roster import Roster
from gateway import _core
from gateway.base.errors import CoreError
from tests.unit.results_elections import Election, elections, load
from tests.unit.tally_logs import (
    AREAS,
    CLOSES,
    STATIONS,
    UNUSABLE,
    Decision,
    Log,
    Packet,
    Report,
    Scene,
    logs,
)
from tests.vectors.tally import build, forms

ROSTERS = ("moved", "newer", "fewer")


def core(scene: Scene) -> _core.Tally:
    definition = _core.Definition.load(scene.root / "definition")
    tally = _core.Tally(definition, _core.Roster.load(scene.root / "first", definition))
    for name in ROSTERS:
        tally.offer(_core.Roster.load(scene.root / name, definition))
    tally.offer_unusable(UNUSABLE)
    return tally


def observed(scene: Scene) -> Observed:
    definition = Definition.load(scene.root / "definition")
    rosters = [Roster.load(scene.root / name, definition) for name in ROSTERS]
    return Observed(definition, Roster.load(scene.root / "first", definition), rosters, [UNUSABLE])


def everything(tally: _core.Tally) -> dict[str, object]:
    """All that a tally says."""
    said: dict[str, object] = {f"station {number}": tally.station(number) for number in STATIONS}
    said |= {f"version {number}": tally.version(number) for number in STATIONS}
    said |= {f"area {number}": tally.area(number) for number in AREAS}
    said |= {f"progress {number}": json.loads(tally.progress(number)) for number in AREAS}
    return said | {"results": json.loads(tally.results(1))}


def everything_observed(tally: Observed) -> dict[str, object]:
    said: dict[str, object] = {f"station {number}": tally.station(number) for number in STATIONS}
    said |= {f"version {number}": tally.version(number) for number in STATIONS}
    said |= {f"area {number}": tally.area(number) for number in AREAS}
    said |= {f"progress {number}": tally.progress(number) for number in AREAS}
    return said | {"results": tally.results()}


def assert_same(left: dict[str, object], right: dict[str, object]) -> None:
    for name, value in left.items():
        other = right[name]
        if isinstance(value, bytes) and isinstance(other, bytes):
            # Where bytes differ, this shows which member does.
            assert value == other or json.loads(value) == json.loads(other), name
        assert value == other, name


@given(log=logs())
@settings(max_examples=250)
def test_both_implementations_tally_alike_however_the_log_is_cut(log: Log) -> None:
    with tempfile.TemporaryDirectory() as root:
        scene = Scene(Path(root), log)
        whole, cut, other = core(scene), core(scene), observed(scene)
        statements = scene.statements
        assert whole.apply(0, statements) == len(statements)
        done = 0
        for end in (*log.cuts, len(statements)):
            part = statements[done:end]
            assert cut.apply(done, part) == len(part)
            for data in part:
                other.apply(statement.decode(data))
            done += len(part)
            assert cut.size == done
            assert_same(everything(cut), everything_observed(other))
        assert_same(everything(whole), everything(cut))
        for said in everything(whole).values():
            if isinstance(said, bytes):
                jcs.parse(said)
        assert whole.changed_stations() == [at for at in STATIONS if whole.version(at) is not None]
        assert whole.changed_stations() == []


def files(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("case", forms.cases(), ids=lambda case: case.name)
def test_the_published_cases(case: forms.Case, tmp_path: Path) -> None:
    built = build.build(case)
    definition = _core.Definition.load(files(tmp_path / "definition", built.definition))
    rosters = {
        name: _core.Roster.load(files(tmp_path / f"roster {name}", contents), definition)
        for name, contents in built.rosters.items()
    }
    tally = _core.Tally(definition, rosters[""])
    for roster in rosters.values():
        tally.offer(roster)
    for expected in built.objects:
        part = built.log[tally.size : expected.size]
        assert tally.apply(tally.size, part) == len(part)
        said: dict[str, object] = {f"station {number}": tally.station(number) for number in expected.stations}
        said |= {f"area {number}": tally.area(number) for number in expected.areas}
        said |= {f"progress {number}": json.loads(tally.progress(number)) for number in expected.progress}
        wanted: dict[str, object] = {f"station {number}": it for number, it in expected.stations.items()}
        wanted |= {f"area {number}": it for number, it in expected.areas.items()}
        wanted |= {f"progress {number}": it for number, it in expected.progress.items()}
        if expected.results is not None:
            root = next(area.number for area in definition.areas if area.parent is None)
            said["results"], wanted["results"] = json.loads(tally.results(root)), expected.results
        assert_same(wanted, said)


def log_of(*steps: Packet | Decision) -> Log:
    words = (("marks", "1"), ("preferences", "1"), ("share_of", "valid"))
    return Log((), words, (), "machine", 2, steps)


TURNOUT = Packet(4, 10, 1, Report(2, time=CLOSES, voters=((3, 5),)), CLOSES)


def test_a_roster_that_nobody_has_offered_stops_the_tally_before_its_decision(tmp_path: Path) -> None:
    scene = Scene(tmp_path, log_of(TURNOUT, Decision((9, "moved"), (0, 1)), replace(TURNOUT, sequence=2)))
    definition = _core.Definition.load(scene.root / "definition")
    first = _core.Roster.load(scene.root / "first", definition)
    tally = _core.Tally(definition, first)
    statements = scene.statements
    at = len(statements) - 2
    assert tally.apply(0, statements) == at
    assert (tally.size, tally.missing_rosters) == (at, [scene.rosters["moved"]])
    before = _core.Tally(definition, first)
    assert before.apply(0, statements[:at]) == at
    assert before.missing_rosters == []
    assert_same(everything(tally), everything(before))
    # Asking again changes nothing; what is offered then lets it go on.
    assert tally.apply(at, statements[at:]) == 0
    tally.offer(_core.Roster.load(scene.root / "moved", definition))
    assert tally.missing_rosters == []
    assert tally.apply(at, statements[at:]) == 2
    assert_same(everything(tally), everything_of(scene))


def everything_of(scene: Scene) -> dict[str, object]:
    tally = core(scene)
    assert tally.apply(0, scene.statements) == len(scene.statements)
    return everything(tally)


def test_entries_come_in_their_order(tmp_path: Path) -> None:
    scene = Scene(tmp_path, log_of(TURNOUT))
    tally = core(scene)
    tally.apply(0, scene.statements[:1])
    for index in (0, 2):
        with pytest.raises(CoreError) as caught:
            tally.apply(index, scene.statements[1:2])
        assert caught.value.code == "argument.range"
    with pytest.raises(CoreError) as caught:
        tally.apply(1, [scene.statements[1], b"no statement"])
    assert caught.value.code == "statement.malformed"
    assert tally.apply(2, scene.statements[2:]) == len(scene.statements) - 2


def test_the_same_bytes_again_change_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path, log_of(TURNOUT))
    tally, other = core(scene), observed(scene)
    assert tally.apply(0, scene.statements) == len(scene.statements)
    for data in scene.statements:
        other.apply(statement.decode(data))
    before = everything(tally)
    for data in scene.statements:
        assert tally.apply(tally.size, [data]) == 1
        other.apply(statement.decode(data))
    assert tally.size == 2 * len(scene.statements)
    assert_same(everything(tally), before)
    assert_same(everything(tally), everything_observed(other))


def test_what_is_not_there(tmp_path: Path) -> None:
    tally = core(Scene(tmp_path, log_of()))
    assert (tally.station(99), tally.version(99)) == (None, None)
    for ask in (tally.area, tally.results, tally.progress):
        with pytest.raises(CoreError) as caught:
            ask(99)
        assert caught.value.code == "argument.range"
    with pytest.raises(ValueError, match="32 bytes"):
        tally.offer_unusable(b"short")


@settings(max_examples=60, deadline=None)
@given(elections())
def test_only_the_root_has_more_than_shares(election: Election) -> None:
    with tempfile.TemporaryDirectory() as folder:
        definition, roster, log = load(election, Path(folder))
    tally = _core.Tally(definition, roster)
    assert tally.apply(0, log) == len(log)
    for area in definition.areas:
        sums = json.loads(tally.area(area.number))["contests"][0]["machine"]
        figures = [(code, total, stations) for code, total, stations in sums["figures"]]
        registered, known = sums["registered"]
        shares = _core.shares(definition, 1, sums["counted"], (registered, known), figures, sums["votes"])
        result = json.loads(tally.results(area.number))[0]
        assert shares == (result["base"], [one["share"] for one in result["choices"]], result["turnout"])
        if area.parent is not None:
            assert {one["seats"] for one in result["choices"]} == {None}
            said = (result["thresholds"], result["quorum"], result["outcome"])
            assert said == ([], None, {"choices": [], "word": "none"})


def test_shares_of_other_numbers_than_an_object_has(tmp_path: Path) -> None:
    contest, two = "choose,,1,1,0,plurality,votes,,,,,,,", (("candidate", ""), ("candidate", ""))
    definition, _, _ = load(Election(contest, two, ("", "", ""), (None, None, None)), tmp_path)
    assert _core.shares(definition, 1, 1, (5, 1), [(9, 4, 1)], [1, 2]) == (3, [3_333, 6_667], 8_000)
    for number, votes in ((2, [1, 2]), (1, [1]), (1, [2**53 - 1, 1]), (1, [2**64 - 1, 1])):
        with pytest.raises(CoreError) as refused:
            _core.shares(definition, number, 1, (5, 1), [], votes)
        assert refused.value.code == "argument.range"
