"""A decision that is only supposed: in the block the tally of a log that takes it, behind it the old one."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.observer.tally import Tally
from clients.wire import statement
from clients.wire.authority import Authority
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.roster import Roster
from clients.wire.statement import Statement
from tests.unit import tally_logs
from tests.unit.feed_helpers import NIGHT, decided, night, result
from tests.unit.tally_logs import Log, Scene, logs
from tests.unit.wire_election import MEMBERS


def tally_of(root: Path) -> Tally:
    definition = Definition.load(root / "definition")
    first, *later = [Roster.load(root / name, definition) for name in tally_logs.ROSTERS]
    return Tally(definition, first, later, [tally_logs.UNUSABLE])


def answers(tally: Tally) -> tuple[object, ...]:
    """Everything that anybody can ask."""
    authority: Authority = tally.authority
    return (
        {area: tally.area(area) for area in tally.areas},
        {station: tally.station(station) for station in sorted(tally.changed_stations)},
        tally.progress(tally.root),
        tally.results(),
        [
            (taken, authority.standing_of(taken))
            for number in range(1, authority.taken_count + 1)
            if (taken := authority.taken(number))
        ],
        authority.speakers.sha256,
        authority.assignments.sha256,
        authority.pause,
        [authority.status(source) for source in (1, 2)],
        [authority.closes_at(station) for station in tally_logs.STATIONS],
        [authority.stations(device) for device in tally_logs.DEVICES],
        [authority.revoked_at(device) for device in tally_logs.DEVICES],
    )


@settings(max_examples=60)
@given(log=logs(most=25), cut=st.integers(0, 25))
@example(log=NIGHT, cut=0)
def test_supposing_is_taking(log: Log, cut: int) -> None:
    """Each decision of the log, before a quorum's last signature comes, and once where others wait for it."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        entries = list(map(statement.decode, Scene(root, log).statements))
        tally = tally_of(root)
        supposed = 0
        for entry in entries:
            if entry.kind == "packet":
                tally.apply(entry)
                continue
            before = answers(tally)
            expected = applied(tally, entry)
            after = answers(tally)
            if expected and supposed <= cut:
                again = tally_of(root)
                for other in entries[: tally.size - 1]:
                    again.apply(other)
                with again.supposing(entry) as would:
                    assert answers(again) == after
                    assert set(would.taken) >= {entry.number}
                    assert set(would.stations) == {
                        station for station in again.changed_stations if again.version(station) == again.size
                    }
                assert answers(again) == before
                supposed += 1


def applied(tally: Tally, entry: Statement) -> bool:
    """Apply a signature; whether its decision was taken by it."""
    before = tally.authority.taken_count
    tally.apply(entry)
    return before < entry.number <= tally.authority.taken_count


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, night(result(8, 12, 1, 30, 10, 5), decided(4, 12, 1), decided(6)))


def folded(scene: Scene) -> Tally:
    tally = tally_of(scene.root)
    for data in scene.statements:
        tally.apply(statement.decode(data))
    return tally


def next_decision(scene: Scene, tally: Tally, *action: int | str | bytes, number: int = 0) -> Statement:
    """The decision that follows those of the log, or another number."""
    last = tally.authority.taken(tally.authority.taken_count)
    assert last is not None
    number = number or last.number + 1
    content = (scene.definition, last.payload, number, 5, (("en", "a reason"),), action)
    return statement.decode(
        statement.encode("decision", bytes(8), statement.encode_payload("decision", content), bytes(64))
    )


def packet_of(scene: Scene) -> bytes:
    """The id of the log's first packet."""
    return next(one.id for one in map(statement.decode, scene.statements) if one.kind == "packet")


def test_one_in_another(scene: Scene) -> None:
    """Undo the annulment, then undo that."""
    tally = folded(scene)
    before = answers(tally)
    undo = next_decision(scene, tally, 13, 2)
    with tally.supposing(undo) as first:
        assert first.stations == (12,)
        once = answers(tally)
        with tally.supposing(next_decision(scene, tally, 13, 4)) as second:
            assert (second.taken, second.changed) == ((5,), (2, 4, 5))
            assert tally.view(12).outcomes[0].state == "annulled"
        assert answers(tally) == once
        assert tally.view(12).outcomes[0].counted
    assert answers(tally) == before


def test_the_block_ends_badly(scene: Scene) -> None:
    tally = folded(scene)
    before = answers(tally)
    with suppress(ZeroDivisionError), tally.supposing(next_decision(scene, tally, 12, 12)):
        assert tally.view(12).cancelled
        raise ZeroDivisionError
    assert answers(tally) == before


def test_what_does_not_fit_is_not_taken(scene: Scene) -> None:
    tally = folded(scene)
    for decision in (
        next_decision(scene, tally, 7, number=3),
        next_decision(scene, tally, 7, number=5),
        statement.decode(
            statement.sign("decision", (b"\x01" * 32, b"", 1, 5, (("en", "a"),), (7,)), MEMBERS[0])
        ),
    ):
        with tally.supposing(decision) as supposed:
            assert supposed == ((), (), ())
            assert tally.authority.pause == 3


def test_a_missing_roster(scene: Scene) -> None:
    tally = folded(scene)
    before = answers(tally)
    with (
        pytest.raises(WireError, match=r"roster\.missing"),
        tally.supposing(next_decision(scene, tally, 9, b"\x77" * 32)),
    ):
        raise AssertionError
    assert answers(tally) == before


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ((1, "log.example", b"\x01" * 32, b"\x02" * 32, b"\x03" * 32, "1"), "only decision 1 opens a log"),
        ((2, 99), "there is no device 99 in the roster"),
        ((3, 1, 10, 1), "device 1 cannot replace itself"),
        ((3, 1, 99, 0), "there is no station 99"),
        ((3, 1, 10, 99), "there is no device 99 in the roster"),
        ((4, 99, 0), "there is no station 99"),
        ((4, 12, 2), "station 12 has no contest 2"),
        ((4, 0, 9), "there is no contest 9"),
        ((5, 10, 1, 1, b"\x05" * 32), "the log has no packet of this id"),
        ((5, 10, 1, 1, "packet"), "the packet is of station 12"),
        ((5, 12, 1, 2, "packet"), "the packet is no protocol"),
        ((9, tally_logs.UNUSABLE), "it is no roster of this definition"),
        ((9, "fewer"), "the roster lacks device 8, and a roster holds all devices before it"),
        ((10, "ours"), "this definition is our own"),
        ((11, 99, 5), "there is no station 99"),
        ((12, 99), "there is no station 99"),
        ((13, 1), "decision 1 opens the log, and nothing undoes that"),
        ((13, 4), "decision 4 is not taken"),
        ((13, 7), "decision 7 is not taken"),
    ],
)
def test_why_it_would_be_void(scene: Scene, action: tuple[int | str | bytes, ...], why: str) -> None:
    tally = folded(scene)
    names = {
        "packet": packet_of(scene),
        "ours": scene.definition,
        **scene.rosters,
    }
    named = [names.get(word, word) if isinstance(word, str) else word for word in action]
    with tally.supposing(next_decision(scene, tally, *named)) as supposed:
        taken = tally.authority.taken(4)
        assert taken is not None
        assert (taken.verdict, taken.why, supposed.stations) == ("void", why, ())


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ((5, 10, 2, 1), "the packet has no count of contest 2"),
        ((5, 10, 1, 1), "the packet breaks H100 and H101"),
    ],
)
def test_a_packet_that_may_not_be_chosen(tmp_path: Path, action: tuple[int, ...], why: str) -> None:
    report = tally_logs.Report(3, time=tally_logs.CLOSES, counts=((1, ((9, 5_000_000),), (1, 2)),))
    packet = tally_logs.Packet(1, 10, 1, report, tally_logs.CLOSES)
    scene = Scene(tmp_path, night(packet))
    tally = folded(scene)
    name = packet_of(scene)
    with tally.supposing(next_decision(scene, tally, *action, name)):
        taken = tally.authority.taken(2)
        assert taken is not None
        assert taken.why == why


def test_undone_and_void_ones_cannot_be_undone(tmp_path: Path) -> None:
    scene = Scene(tmp_path, night(decided(6), decided(13, 2), decided(12, 99)))
    tally = folded(scene)
    for target, why in ((2, "decision 2 is undone already"), (4, "decision 4 is void already")):
        with tally.supposing(next_decision(scene, tally, 13, target)):
            taken = tally.authority.taken(5)
            assert taken is not None
            assert taken.why == why
