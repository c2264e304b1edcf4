"""Snapshots: only what changed is made, any split of the log ends in the same bytes, pauses and restarts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.feed import layout, reading
from gateway.feed.models import Decision as Listed
from gateway.feed.models import Latest, Paused
from gateway.publish import software
from gateway.publish.protocol import Builder, Draft, GateError
from gateway.publish.snapshot import SnapshotBuilder
from tests.unit import tally_logs
from tests.unit.feed_helpers import (
    INFORMATION,
    NIGHT,
    SOFTWARE,
    Publisher,
    decided,
    night,
    publisher,
    result,
    root_of,
    turnout,
)
from tests.unit.tally_logs import Decision, Log, Step
from tests.unit.wire_election import MEMBERS
from tests.vectors.encoding import Key
from tests.vectors.tally.build import Built, build
from tests.vectors.tally.forms import Case, cases


def written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def of_case(built: Built, root: Path) -> Publisher:
    definition = _core.Definition.load(written(root / "definition", built.definition))
    rosters = [
        _core.Roster.load(written(root / f"roster-{name}", files), definition)
        for name, files in built.rosters.items()
    ]
    seeds = Key("tally: log").seed, Key("tally: snapshots").seed
    return Publisher(definition, rosters, built.log, seeds=seeds, origin="tally.example/case")


def named(draft: Draft, files: dict[str, bytes]) -> dict[str, bytes]:
    """Every object that a snapshot names, found from it alone."""
    found = {layout.decisions(bytes.fromhex(draft.snapshot.decisions.sha256)): b""}
    root = root_of(draft.snapshot)
    waiting = [(root.area, root.sha256)]
    while waiting:
        number, sha256 = waiting.pop()
        path = layout.area(number, bytes.fromhex(sha256))
        found[path] = b""
        area = reading.read_area(files[path], path)
        waiting += area.areas
        for row in area.rows:
            if row.version is not None:
                found[layout.station(row.station, row.version)] = b""
    return {path: files[path] for path in found}


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_vectors_are_published(case: Case, tmp_path: Path) -> None:
    built = build(case)
    published = of_case(built, tmp_path)
    for expect in built.objects:
        draft = published.publish(expect.size)
        objects = named(draft, published.files)
        versions = {path.split("-")[0]: path for path in objects if path.startswith("stations/")}
        for number, data in expect.stations.items():
            path = versions.get(f"stations/{number // 1000}/{number}")
            assert (None if path is None else objects[path]) == data
        for number, data in expect.areas.items():
            assert data in [one for path, one in objects.items() if path.startswith(f"areas/{number}/")]
        said = json.loads(draft.latest)
        if expect.results is not None:
            assert said["results"] == expect.results
        progress = {1: said["progress"]} | {child["area"]: child["progress"] for child in said["children"]}
        for number, expected in expect.progress.items():
            assert progress.get(number, expected) == expected


def test_a_snapshot_says_where_it_stands(tmp_path: Path) -> None:
    published = publisher(tmp_path, NIGHT)
    draft = published.publish(8)
    snapshot = draft.snapshot
    assert snapshot == reading.read_latest(draft.latest)
    assert (snapshot.snapshot, snapshot.previous, snapshot.published_at[-1]) == (1, None, "Z")
    assert snapshot.definition == published.definition.hash.hex()
    assert (snapshot.election, snapshot.mode, snapshot.headline) == ("example-2027", "live", "machine")
    assert snapshot.information == INFORMATION.hex()
    assert snapshot.software == SOFTWARE
    assert snapshot.roster == published.rosters[0].hash.hex()
    assert (snapshot.log.origin, snapshot.log.size) == (tally_logs.ORIGIN, 8)
    assert reading.root_hash(snapshot) == published.builder.tree.root(8)
    assert draft.checkpoint == published.head(published.builder).note.encode()
    assert (draft.old_size, draft.size, draft.stations, draft.areas) == (0, 8, 2, 4)
    second = published.publish(9)
    assert second.snapshot.previous == draft.sha256.hex()
    assert (second.old_size, second.size) == (8, 9)


def test_only_what_changed_is_made(tmp_path: Path) -> None:
    published = publisher(tmp_path, NIGHT)
    published.publish(10)
    draft = published.publish(11)
    kinds = [file.path.split("/")[:2] for file in draft.files]
    assert kinds == [["stations", "0"], ["areas", "3"], ["areas", "1"]]
    assert draft.files[0].path == "stations/0/12-10.json"
    assert (draft.stations, draft.areas) == (1, 2)
    assert published.publish(11).files == []
    with_decision = published.publish(16)
    assert [file.path for file in with_decision.files if file.path.startswith("decisions/")]


def test_a_heartbeat_has_another_number_and_time_and_nothing_else(tmp_path: Path) -> None:
    published = publisher(tmp_path, NIGHT)
    first, second = published.publish(), published.publish()
    assert (second.files, second.checkpoint, second.old_size, second.size) == ([], None, 20, 20)
    changed = {"snapshot", "previous", "published_at"}
    before, after = json.loads(first.latest), json.loads(second.latest)
    assert {name for name in before if before[name] != after[name]} == changed


def without_place(snapshot: Latest) -> Latest:
    return msgspec.structs.replace(snapshot, snapshot=1, previous=None, published_at="")


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, 19)))
def test_any_split_ends_in_the_same_objects(tmp_path_factory: pytest.TempPathFactory, cuts: set[int]) -> None:
    published = publisher(tmp_path_factory.mktemp("split"), NIGHT)
    for cut in sorted(cuts):
        published.publish(cut)
    last = published.publish()
    whole = publisher(tmp_path_factory.mktemp("whole"), NIGHT)
    at_once = whole.publish()
    assert without_place(last.snapshot) == without_place(at_once.snapshot)
    assert named(last, published.files) == named(at_once, whole.files)


# --- Decisions


def listing(published: Publisher, draft: Draft) -> Sequence[Listed]:
    path = layout.decisions(bytes.fromhex(draft.snapshot.decisions.sha256))
    found = reading.read_decisions(published.files[path], path).decisions
    assert draft.snapshot.decisions.count == len(found)
    return found


def test_the_decisions_are_listed_as_they_stand(tmp_path: Path) -> None:
    log = night(
        Decision((4, 10, 0), (2, 0)),
        Decision((2, 99), (0, 1)),
        result(1, 10, 1, 30, 10, 5),
        Decision((13, 2), (1, 2, 0)),
        Decision((12, 13), (1,)),
        quorum=2,
    )
    published = publisher(tmp_path, log)
    keys = [key.hex() for key in published.definition.commission_keys]
    foreign = (b"\xdd" * 32, bytes(32), 2, 7, (("ky", "Башка"), ("en", "another")), (8, 1, 3))
    published.log = [*published.log, _core.sign("decision", foreign, bytes(MEMBERS[0]))]
    found = listing(published, published.publish())
    assert [(one.number, one.state, one.action, one.entries) for one in found] == [
        (1, "in effect", found[0].action, (0, 1, 2)),
        (2, "undone", (4, 10, 0), (3, 4)),
        (2, "void", (8, 1, 3), (12,)),
        (3, "void", (2, 99), (5, 6)),
        (4, "in effect", (13, 2), (8, 9, 10)),
        (5, "pending", (12, 13), (11,)),
    ]
    assert found[0].action[:2] == (1, tally_logs.ORIGIN)
    assert found[0].action[3] == _core.public_key(tally_logs.SNAPSHOT_SEED).hex()
    assert found[2].reason == (("ky", "Башка"), ("en", "another"))
    assert found[1].signers == tuple(sorted([keys[0], keys[2]]))
    assert found[5].signers == (keys[1],)
    assert len({one.payload for one in found}) == 6
    assert found[0].decided_at == 5


def test_a_chosen_packet_is_judged_by_the_packets_of_the_log(tmp_path: Path) -> None:
    log = night(result(1, 10, 1, 30, 10, 5), decided(5, 10, 1, 1, 0), decided(5, 10, 1, 2, 0), decided(7))
    published = publisher(tmp_path, log)
    states = [one.state for one in listing(published, published.publish())]
    assert states == ["in effect", "in effect", "void", "in effect"]


def words(log: Log, root: Path, size: int | None = None) -> tuple[str, str]:
    root.mkdir(exist_ok=True)
    status = publisher(root, log).publish(size).snapshot.status
    return status.machine, status.protocol


def test_status_follows_from_the_sums_until_the_commission_says_it(tmp_path: Path) -> None:
    complete: list[Step] = [
        result(1, 10, 1, 30, 10, 5),
        result(2, 10, 1, 30, 10, 5),
        result(2, 11, 2, 30, 10, 5),
        result(8, 12, 1, 30, 10, 5),
        decided(12, 13),
    ]

    def after(name: str, *steps: Step) -> tuple[str, str]:
        return words(night(*steps), tmp_path / name)

    assert after("a") == ("pre-election", "pre-election")
    assert after("b", turnout(4, 10, 1, 5), decided(4, 10, 0)) == ("pre-election", "pre-election")
    assert after("c", result(1, 10, 1, 30, 10, 5)) == ("unofficial-partial", "pre-election")
    held = result(8, 12, 1, 30, 10, 5, more=1)
    assert after("d", held) == ("unofficial-partial", "pre-election")
    assert after("e", *complete) == ("unofficial-complete", "pre-election")
    assert after("f", *complete, result(7, 12, 1, 3, 2, 1, number=4)) == (
        "unofficial-complete",
        "unofficial-partial",
    )
    said: list[Step] = [decided(8, 1, 3), decided(8, 2, 5), decided(8, 1, 4)]
    assert after("g", *said) == ("correction", "recount")
    assert after("h", *said, decided(13, 4)) == ("certified", "recount")
    assert after("i", decided(8, 2, 0), *complete) == ("unofficial-complete", "pre-election")


def test_the_newest_roster_in_effect_is_named(tmp_path: Path) -> None:
    log = night(decided(9, "newer"), result(1, 10, 1, 30, 10, 5), decided(13, 2))
    published = publisher(tmp_path, log)
    names = dict(zip(tally_logs.ROSTERS, published.rosters, strict=True))
    assert published.publish(4).snapshot.roster == names["newer"].hash.hex()
    assert published.publish(6).snapshot.roster == names["first"].hash.hex()


# --- Pauses


def test_the_commission_pauses_publication(tmp_path: Path) -> None:
    log = night(
        result(1, 10, 1, 30, 10, 5),
        decided(6),
        result(2, 11, 1, 30, 10, 5),
        decided(7),
        result(8, 12, 1, 30, 10, 5),
    )
    published = publisher(tmp_path, log)
    assert not is_paused(published)
    before = published.publish(4)
    for size in (5, 6):
        draft = published.publish(size)
        assert is_paused(published)
        assert (draft.old_size, draft.size, draft.files, draft.checkpoint) == (4, 4, [], None)
        assert draft.snapshot.paused == Paused(
            "commission", (("en", "a reason"),), "1970-01-01T00:00:00.005Z"
        )
        assert draft.snapshot.snapshot == size - 3
        same = msgspec.structs.replace(draft.snapshot, paused=None)
        assert without_place(same) == without_place(before.snapshot)
    after = published.publish(8)
    assert not is_paused(published)
    assert (after.old_size, after.size, after.stations, after.snapshot.paused) == (4, 8, 2, None)
    assert after.checkpoint is not None


def test_nothing_is_published_before_the_log_is_open_or_in_a_pause_from_the_start(tmp_path: Path) -> None:
    log = night(Decision((6,), (0, 1)), Decision((7,), (0, 1)), quorum=2)
    published = publisher(tmp_path, log)
    assert published.draft() is None
    published.take(1)
    assert published.draft() is None
    published.take(5)
    assert is_paused(published)
    assert published.draft() is None
    assert published.publish().number == 1


def is_paused(published: Publisher) -> bool:
    return published.builder.paused


def test_a_pause_decided_in_a_distant_year_has_the_last_time_there_is(tmp_path: Path) -> None:
    published = publisher(tmp_path, night())
    published.publish()
    chain = json.loads(published.files[next(path for path in published.files if "decisions" in path)])
    previous = bytes.fromhex(chain["decisions"][0]["payload"])
    content = (published.definition.hash, previous, 2, 2**53 - 1, (("en", "later"),), (6,))
    published.log = [*published.log, _core.sign("decision", content, bytes(MEMBERS[0]))]
    paused = published.publish().snapshot.paused
    assert paused is not None
    assert paused.since == "9999-12-31T23:59:59.999Z"


# --- Restarts


@pytest.mark.parametrize("size", [4, 7, 12, 16, 19])
def test_a_restart_goes_on_with_the_same_bytes(tmp_path: Path, size: int) -> None:
    published = publisher(tmp_path, NIGHT)
    for cut in range(4, size + 1, 3):
        published.publish(cut)
    last = published.publish(size)
    builder = published.fresh()
    published.take(size, builder)
    builder.resume(last.latest)
    objects = {file.path: file.data for file in builder.objects()}
    assert objects == named(last, published.files)
    old, published.builder = published.builder, builder
    resumed = published.publish()
    published.drafts.pop()
    published.builder = old
    assert resumed == published.publish()


def test_a_restart_within_a_pause_goes_on_with_the_pause(tmp_path: Path) -> None:
    log = night(result(1, 10, 1, 30, 10, 5), decided(6), result(2, 11, 1, 30, 10, 5))
    published = publisher(tmp_path, log)
    published.publish(4)
    last = published.publish(5)
    published.builder = published.fresh()
    published.take(last.size)
    published.builder.resume(last.latest)
    draft = published.publish()
    assert draft.snapshot.paused is not None
    assert (draft.number, draft.size) == (3, 4)


def test_a_lost_snapshot_leaves_a_gap(tmp_path: Path) -> None:
    published = publisher(tmp_path, NIGHT)
    published.publish(8)
    published.publish(12)
    published.builder = published.fresh()
    draft = published.publish()
    assert (draft.number, draft.snapshot.previous) == (3, published.drafts[1].sha256.hex())
    assert draft.areas == len(tally_logs.AREAS)


def test_after_a_wrong_replay_only_the_published_figures_are_repeated(tmp_path: Path) -> None:
    published = publisher(tmp_path, NIGHT)
    last = published.publish(8)
    builder = published.fresh()
    published.take(9, builder)
    with pytest.raises(GateError) as refused:
        builder.resume(last.latest)
    assert refused.value.rule == "replay"
    published.builder = builder
    with pytest.raises(GateError):
        published.draft()
    paused = Paused("gate", (("en", "x"),), "2021-11-28T14:00:00.000Z")
    draft = builder.repeat(2, last.sha256, published.now, paused)
    assert draft.snapshot.root == last.snapshot.root


def test_another_log_with_the_same_figures_is_a_wrong_replay(tmp_path: Path) -> None:
    logs = []
    for identified in (20, 21):
        root = tmp_path / str(identified)
        root.mkdir()
        # A packet of a station that nobody knows is in no object.
        logs.append(publisher(root, night(turnout(4, 10, 1, 30), turnout(4, 77, 2, identified))))
    one, other = logs
    last = one.publish()
    other.take(last.size)
    with pytest.raises(GateError, match=r"rule replay"):
        other.builder.resume(last.latest)


def test_a_missing_roster_stops_before_the_entry_that_needs_it(tmp_path: Path) -> None:
    log = night(result(1, 10, 1, 30, 10, 5), decided(9, "moved"), result(2, 11, 1, 30, 10, 5))
    published = publisher(tmp_path, log)
    builder = published.builder = published.fresh(offer=False)
    assert builder.take(0, published.log) == 4
    moved = dict(zip(tally_logs.ROSTERS, published.rosters, strict=True))["moved"]
    assert (builder.size, builder.missing_rosters) == (4, [moved.hash])
    with pytest.raises(ValueError, match="4 entries"):
        builder.draft(1, None, 0, published.head(publisher_at(published, 3)))
    builder.offer(moved)
    assert builder.take(4, published.log[4:]) == 2
    assert published.draft() is not None
    unusable = published.fresh(offer=False)
    unusable.take(0, published.log)
    unusable.offer_unusable(moved.hash)
    assert unusable.take(4, published.log[4:]) == 2


def publisher_at(published: Publisher, size: int) -> SnapshotBuilder:
    builder = published.fresh()
    published.take(size, builder)
    return builder


def test_what_another_key_would_sign_is_not_published(tmp_path: Path) -> None:
    published = publisher(tmp_path, NIGHT)
    published.snapshot_seed = b"\x07" * 32
    published.builder = published.fresh()
    published.take(8)
    with pytest.raises(TallygateError) as refused:
        published.draft()
    assert refused.value.code == "publish.key"


def test_there_is_nothing_to_repeat_before_the_first_snapshot(tmp_path: Path) -> None:
    builder: Builder = publisher(tmp_path, NIGHT).builder
    with pytest.raises(ValueError, match="no snapshot"):
        builder.repeat(1, bytes(32), 0, Paused("gate", (), "2021-11-28T14:00:00.000Z"))


def test_the_software_names_its_files() -> None:
    found = software.installed()
    assert found == software.installed()
    assert found.version == _core.__version__
    assert len(found.source) == 64
