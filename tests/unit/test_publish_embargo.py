"""The embargo in snapshots: their bytes depend on no vote, and the gate lets nothing hidden out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.base.clock import HOUR, format_time
from gateway.feed import layout, reading
from gateway.feed.models import Paused
from gateway.publish.gate import Candidate
from gateway.publish.protocol import FeedFile, GateError
from tests.unit.feed_helpers import NIGHT, STARTED, Publisher, decided, night, publisher, result, turnout
from tests.unit.publish_forgery import Fault, Node, canonical, caught, latest
from tests.unit.tally_logs import Decision, Log

UNTIL = STARTED + HOUR
Votes = tuple[int, int, int]

# Below what was given out and registered: which stations are held is public, and no vote's matter then.
three = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))


def country(first: Votes, second: Votes, third: Votes, fourth: Votes) -> Log:
    """A night with every state and kind of decision; `third` and `fourth` differ."""
    return night(
        turnout(4, 10, 1, 20),
        result(1, 10, 2, *first),
        result(2, 10, 2, *second),
        result(2, 11, 3, *third, more=1),
        decided(3, 3, 12, 8),
        result(3, 12, 1, *third),
        turnout(4, 10, 2, 45, 2),
        result(6, 10, 1, *fourth, number=4),
        decided(4, 12, 1),
        result(2, 10, 4, *third),
        result(2, 10, 5, *fourth),
        decided(13, 4),
        decided(12, 13),
    )


def shown(of: Publisher) -> list[tuple[bytes, dict[str, bytes]]]:
    """What every snapshot of a log lets out: its own bytes and the files that are not hidden."""
    found: list[tuple[bytes, dict[str, bytes]]] = []
    for size in range(5, len(of.log) + 1):
        draft = of.publish(size)
        assert draft.snapshot.embargo_until == format_time(UNTIL)
        public = {file.path: file.data for file in draft.files if not file.hidden}
        assert set(public) == {layout.decisions(bytes.fromhex(draft.snapshot.decisions.sha256))}
        snapshot = msgspec.structs.replace(
            draft.snapshot,
            previous=None,
            log=msgspec.structs.replace(draft.snapshot.log, root=""),
        )
        found.append((msgspec.json.encode(snapshot), public))
    return found


@settings(max_examples=30, deadline=None)
@given(
    st.lists(three, min_size=4, max_size=4, unique=True), st.lists(three, min_size=4, max_size=4, unique=True)
)
def test_what_leaves_depends_on_no_vote(some: list[Votes], others: list[Votes]) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        ours, theirs = (
            publisher(Path(folder), country(*votes), UNTIL)
            for folder, votes in ((one, some), (other, others))
        )
        assert shown(ours) == shown(theirs)
        differing = {
            path for path in ours.files.keys() & theirs.files if ours.files[path] != theirs.files[path]
        }
        assert differing or some == others


def test_it_begins_with_the_first_result_and_ends_at_the_hour(tmp_path: Path) -> None:
    published = publisher(tmp_path, NIGHT, UNTIL)
    assert published.publish(3).snapshot.embargo_until is None
    under = published.publish(8)
    assert (under.snapshot.embargo_until, under.hidden_from, under.lifts) == (format_time(UNTIL), 6, False)
    assert {file.hidden for file in under.files} == {True, False}
    assert under.flags
    published.started = UNTIL
    after = published.publish(9)
    assert (after.snapshot.embargo_until, after.hidden_from, after.lifts) == (None, None, True)
    assert not any(file.hidden for file in after.files)
    # Everything that it names was hidden or public before.
    assert after.snapshot.root is not None
    root = published.files[layout.area(1, bytes.fromhex(after.snapshot.root.sha256))]
    for number, sha256 in reading.read_area(root, "root").areas:
        assert layout.area(number, bytes.fromhex(sha256)) in published.files
    published.started = STARTED
    assert published.publish(11).snapshot.embargo_until is None


def test_a_packet_that_does_not_belong_begins_it_too(tmp_path: Path) -> None:
    published = publisher(tmp_path, night(result(6, 13, 1, 1, 2, 3, number=4)), UNTIL)
    assert published.publish().snapshot.embargo_until is not None


def test_without_an_hour_there_is_none(tmp_path: Path) -> None:
    published = publisher(tmp_path, NIGHT)
    draft = published.publish()
    assert (draft.snapshot.embargo_until, draft.lifts) == (None, False)


def test_a_restart_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    published = publisher(tmp_path, NIGHT, UNTIL)
    published.publish(2)
    last = published.publish(9)
    builder = published.fresh()
    published.take(9, builder)
    builder.resume(last.latest)
    named = {file.path: file.data for file in builder.objects()}
    assert named.items() <= published.files.items()
    hidden = {file.path for file in builder.objects() if file.hidden}
    assert set(named) - hidden == {layout.decisions(bytes.fromhex(last.snapshot.decisions.sha256))}
    published.take(14)
    published.take(14, builder)
    drafts = [
        of.draft(3, last.sha256, published.now, published.head(of)) for of in (published.builder, builder)
    ]
    assert drafts[0] == drafts[1]


@pytest.mark.parametrize("member", ["progress", "children", "status", "decisions"])
def test_a_restart_finds_what_was_published(tmp_path: Path, member: str) -> None:
    published = publisher(tmp_path, NIGHT, UNTIL)
    last = Node(json.loads(published.publish(9).latest))
    if member == "progress":
        last["progress"].more("reported")
    elif member == "children":
        last["children"][0]["turnout"].more("identified")
    elif member == "status":
        last["status"]["machine"] = "certified"
    else:
        last["decisions"]["sha256"] = "ab" * 32
    builder = published.fresh()
    published.take(9, builder)
    with pytest.raises(GateError) as refused:
        builder.resume(canonical(last.value))
    assert refused.value.rule == "replay"


# --- The gate ---


@pytest.fixture
def published(tmp_path: Path) -> Publisher:
    """A snapshot under embargo; the next entries hold results and decisions."""
    published = publisher(tmp_path, NIGHT, UNTIL)
    published.publish(8)
    published.take(14)
    return published


def listing(change: Callable[[Node, Node], None]) -> Fault:
    """A change of the decisions that leave, whose names fit; beside it the whole list."""

    def forged(candidate: Candidate) -> Candidate:
        assert candidate.withheld is not None
        assert candidate.decisions is not None
        node = Node(json.loads(candidate.withheld.data))
        change(node["decisions"], Node(json.loads(candidate.decisions.data))["decisions"])
        data = canonical(node.value)
        sha256 = hashlib.sha256(data).digest()
        said = Node(json.loads(candidate.latest))
        said["decisions"]["sha256"] = sha256.hex()
        said["decisions"]["count"] = len(node["decisions"].items)
        withheld = FeedFile(layout.decisions(sha256), data)
        return replace(candidate, withheld=withheld, latest=canonical(said.value))

    return forged


def put(place: int, member: str) -> Callable[[Node, Node], None]:
    return lambda left, whole: left[place].__setitem__(member, whole[place][member])


def bare(file: FeedFile) -> FeedFile:
    return replace(file, hidden=False)


def bare_decisions(candidate: Candidate) -> Candidate:
    assert candidate.decisions is not None
    return replace(candidate, decisions=bare(candidate.decisions))


@pytest.mark.parametrize(
    "fault",
    [
        lambda candidate: replace(candidate, latest=candidate.whole, whole=None, withheld=None),
        lambda candidate: replace(candidate, latest=candidate.whole),
        lambda candidate: replace(candidate, withheld=None),
        lambda candidate: replace(candidate, withheld=replace(candidate.decisions, hidden=False)),
        lambda candidate: replace(candidate, areas=[bare(candidate.areas[0]), *candidate.areas[1:]]),
        lambda candidate: replace(candidate, stations=[*candidate.stations[1:], bare(candidate.stations[0])]),
        bare_decisions,
        latest(lambda node: node.__setitem__("embargo_until", format_time(UNTIL - 1))),
        latest(lambda node: node["progress"].more("reported")),
        latest(lambda node: node["children"][0]["turnout"].more("identified")),
        latest(lambda node: node["status"].__setitem__("machine", "certified")),
        latest(lambda node: node["decisions"].more("count")),
        listing(put(0, "reason")),
        listing(put(1, "payload")),
        listing(lambda left, whole: left.pop()),
        listing(lambda left, whole: left[0].__setitem__("state", "void")),
    ],
)
def test_nothing_hidden_leaves(published: Publisher, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    assert caught(published, monkeypatch, fault).rule == "embargo"


@pytest.mark.parametrize(
    "change",
    [
        lambda node: node.__setitem__("root", {"area": 1, "sha256": "ab" * 32}),
        lambda node: node.__setitem__("results", [{}]),
        lambda node: node["children"][0].__setitem__("sha256", "ab" * 32),
    ],
)
def test_no_figure_stands_in_what_leaves(
    published: Publisher, monkeypatch: pytest.MonkeyPatch, change: Callable[[Node], None]
) -> None:
    assert caught(published, monkeypatch, latest(change)).rule == "form"


def test_a_choice_does_not_say_whose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Decision((5, 10, 1, 1, b"\x07" * 32), (0,))
    published = publisher(tmp_path, night(result(1, 10, 2, 1, 2, 3), chosen), UNTIL)
    published.take(len(published.log))
    error = caught(published, monkeypatch, listing(put(1, "action")))
    assert error.rule == "embargo"


def test_what_is_hidden_is_judged_too(published: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    def forged(candidate: Candidate) -> Candidate:
        assert candidate.whole is not None
        node = Node(json.loads(candidate.whole))
        node["results"][0]["choices"][0].more("votes")
        return replace(candidate, whole=canonical(node.value))

    assert caught(published, monkeypatch, forged).rule == "share"


@pytest.mark.parametrize(
    "fault",
    [
        lambda candidate: replace(candidate, withheld=replace(candidate.decisions, hidden=False)),
        lambda candidate: replace(candidate, whole=candidate.latest),
        lambda candidate: replace(candidate, areas=[replace(file, hidden=True) for file in candidate.areas]),
    ],
)
def test_without_an_embargo_nothing_is_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    published = publisher(tmp_path, NIGHT)
    published.publish(8)
    published.take(14)
    assert caught(published, monkeypatch, fault).rule == "embargo"


def test_a_heartbeat_keeps_the_reason_of_a_decision(
    published: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = published.drafts[-1]
    pause = Paused("commission", (("en", "Box 8 says 12."),), format_time(STARTED))
    draft = published.builder.repeat(2, last.sha256, published.now, pause)
    assert draft.snapshot.paused is not None
    assert draft.snapshot.paused.reason == ()
    monkeypatch.setattr("gateway.publish.snapshot.withhold_reason", lambda paused: paused)
    with pytest.raises(GateError) as refused:
        published.builder.repeat(3, draft.sha256, published.now, pause)
    assert refused.value.rule == "embargo"
    operator = Paused("operator", (("en", "We look."),), format_time(STARTED))
    said = published.builder.repeat(3, draft.sha256, published.now, operator).snapshot
    assert said.paused == operator
