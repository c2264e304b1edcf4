"""The monitor: what is new is judged with what is folded already, and everything else is told at once."""

import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from prometheus_client import generate_latest
from trio.testing import MockClock

from clients.observer.follow import Follower
from clients.observer.verdict import Check, Verdict
from clients.observer.verify import start
from clients.observer.watch import AGAIN_SECONDS, Kind, Log, Look, Metrics, Monitor, StopError, Watch, Whole
from clients.wire.roster import Roster
from tests.feed_writer import CLOSES_AT, RESULT, FeedWriter, digest
from tests.unit.wire_election import ROSTER, write

NOW = 1_800_050_000_000


def begun(writer: FeedWriter) -> Follower:
    verdict, replay = start(writer.feed, definition=None, processes=0, progress=None)
    assert verdict.agrees, verdict.difference
    assert replay is not None
    return Follower(writer.feed, replay)


@pytest.fixture
def writer(tmp_path: Path) -> FeedWriter:
    made = FeedWriter(tmp_path / "night")
    made.packet(RESULT)
    made.publish()
    return made


class TestFollower:
    def test_what_is_new_is_judged(self, writer: FeedWriter) -> None:
        follower = begun(writer)
        idle = follower.advance()
        assert idle.agrees
        assert not idle.counts
        writer.packet((2, CLOSES_AT, ((3, 10),)))
        writer.publish()
        writer.decide(2, (12, 11))
        writer.publish()
        verdict = follower.advance()
        assert verdict.agrees, verdict.difference
        assert (verdict.snapshot, verdict.size) == (3, len(writer.log))
        assert verdict.counts[Check.SNAPSHOTS] == 2
        assert verdict.counts[Check.STATEMENTS] == 3
        assert verdict.counts[Check.STATIONS] == 2

    def test_over_the_border_of_a_tile(self, writer: FeedWriter) -> None:
        follower = begun(writer)
        for turn in range(520):
            writer.packet((2, CLOSES_AT + turn, ((3, 10),)))
            if turn in (3, 251, 252, 253, 400):
                writer.publish()
                verdict = follower.advance()
                assert verdict.agrees, verdict.difference
        writer.publish()
        for narrow in writer.feed.glob("log/tile/0/000.p/*"):
            narrow.unlink()
        shutil.rmtree(writer.feed / "log/tile/entries/000.p")
        verdict = follower.advance()
        assert verdict.agrees, verdict.difference
        assert begun(writer).advance().snapshot == writer.number

    def test_a_new_roster(self, writer: FeedWriter, tmp_path: Path) -> None:
        follower = begun(writer)
        folder = tmp_path / "second"
        folder.mkdir()
        named = writer.definition.sha256.hex()
        tables = {**ROSTER, "couriers": ["courier,area,name"]}
        write(folder, "roster.json", {"format": "tallygate-roster/1", "definition": named}, tables)
        second = Roster.load(folder, writer.definition)
        writer.rosters[second.sha256.hex()] = folder
        writer.head.authority.offer(second)
        writer.decide(2, (9, second.sha256))
        writer.packet((2, CLOSES_AT, ((3, 10),)))
        writer.publish()
        verdict = follower.advance()
        assert verdict.agrees, verdict.difference

    def test_a_roster_that_nobody_has(self, writer: FeedWriter, tmp_path: Path) -> None:
        self.test_a_new_roster(writer, tmp_path)
        shutil.rmtree(writer.feed / "roster" / next(reversed(writer.rosters)))
        verdict, _ = start(writer.feed, definition=None, processes=0, progress=None)
        assert verdict.agrees is None
        assert verdict.trouble is not None
        assert verdict.trouble[0] == "roster.missing"
        assert next(reversed(writer.rosters)) in verdict.trouble[1]

    @pytest.mark.parametrize(
        ("pattern", "check"),
        [
            ("snapshots/2.json", Check.LATEST),
            ("snapshots/2.note", Check.SNAPSHOTS),
            ("stations/0/*-3.json", Check.STATIONS),
            ("log/tile/0/000.p/4", Check.TILES),
            ("log/tile/entries/000.p/4", Check.STATEMENTS),
            ("log/checkpoint", Check.CHECKPOINT),
        ],
    )
    def test_a_new_file_that_is_wrong(self, pattern: str, check: Check, writer: FeedWriter) -> None:
        follower = begun(writer)
        writer.packet((2, CLOSES_AT, ((3, 10),)))
        writer.publish()
        path = next(writer.feed.glob(pattern))
        right = path.read_bytes()
        path.write_bytes(right[:-9] + bytes([right[-9] ^ 1]) + right[-8:])
        verdict = follower.advance()
        assert verdict.agrees is False
        assert verdict.failed is check
        assert str(path.relative_to(writer.feed)) in str(verdict.difference)

    def test_new_objects_must_be_there(self, writer: FeedWriter) -> None:
        follower = begun(writer)
        writer.packet((2, CLOSES_AT, ((3, 10),)))
        writer.publish()
        root = json.loads((writer.feed / "latest.json").read_bytes())["root"]["sha256"]
        (writer.feed / f"areas/1/{root}.json").unlink()
        verdict = follower.advance()
        assert verdict.failed is Check.AREAS

    def test_a_rewritten_log(self, writer: FeedWriter, tmp_path: Path) -> None:
        follower = begun(writer)
        other = FeedWriter(tmp_path / "other")
        other.packet((*RESULT[:3], 99, *RESULT[4:]))
        other.publish()
        other.publish()
        shutil.rmtree(writer.feed)
        shutil.copytree(other.feed, writer.feed)
        verdict = follower.advance()
        assert verdict.agrees is False

    def test_a_pointer_that_goes_back(self, writer: FeedWriter) -> None:
        writer.publish()
        follower = begun(writer)
        shutil.copy(writer.feed / "snapshots/1.json", writer.feed / "latest.json")
        verdict = follower.advance()
        assert verdict.difference is not None
        assert verdict.difference.code == "feed.latest"


async def at_once(look: Look) -> tuple[Kind, Verdict]:
    await trio.lowlevel.checkpoint()
    return look()


class Lines(list[dict[str, object]]):
    def __call__(self, line: str) -> None:
        self.append(json.loads(line))

    @property
    def events(self) -> list[object]:
        return [line["event"] for line in self]


class Told:
    """A watch over a folder, and what it has told."""

    def __init__(self, folder: Path) -> None:
        self.lines = Lines()
        self.metrics = Metrics("0.1.0", process=False)
        self.monitor = Monitor(folder, None, 0)
        log = Log(self.lines, lambda: NOW)
        self.watch = Watch(self.monitor, self.metrics, log, lambda: NOW, 2.0, at_once)

    def metric(self, name: str) -> str | None:
        text = generate_latest(self.metrics.registry).decode()
        found = (line.rpartition(" ") for line in text.splitlines())
        return next((value for own, _, value in found if own == name), None)

    def run(self, *steps: Callable[[], object], whole: Callable[[], Awaitable[Whole]] | None = None) -> None:
        """Look; between two looks do a step. Time is a mock."""

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.watch.look_on)
                if whole is not None:
                    nursery.start_soon(self.watch.verify_whole, 900.0, whole)
                for step in steps:
                    await trio.testing.wait_all_tasks_blocked()
                    step()
                    await trio.sleep(AGAIN_SECONDS + 1)
                self.watch.begin_stop("the test is over")
                nursery.cancel_scope.deadline = trio.current_time() + 5

        trio.run(main, clock=MockClock(autojump_threshold=0))


def test_waiting_then_right_then_wrong(tmp_path: Path) -> None:
    told = Told(tmp_path / "night" / "feed")
    writer: list[FeedWriter] = []

    def nothing() -> None:
        assert told.metric("tallygate_replay_matches") is None

    def publish() -> None:
        writer.append(FeedWriter(tmp_path / "night"))
        writer[0].packet(RESULT)
        writer[0].publish()

    def look_again() -> None:
        assert told.metric("tallygate_replay_matches") == "1.0"
        assert told.metric("tallygate_replay_snapshot_number") == "1.0"
        writer[0].packet((2, CLOSES_AT, ((3, 10),)))
        writer[0].publish()

    def spoil() -> None:
        assert told.metric("tallygate_replay_snapshot_number") == "2.0"
        assert told.metric("tallygate_replay_checked_timestamp_seconds") == "1.80005e+09"
        writer[0].publish(lie=lambda latest: latest.update(headline="protocol"))

    def wrong() -> None:
        assert told.metric("tallygate_replay_matches") == "0.0"

    told.run(nothing, publish, look_again, spoil, wrong)
    assert told.lines.events[:2] == ["replay.waiting", "replay.agrees"]
    assert told.lines.events[-1] == "role.stopping"
    differing = [line for line in told.lines if line["event"] == "replay.differs"]
    assert [line["kind"] for line in differing[:2]] == ["new", "full"]
    assert all(line["level"] == "critical" for line in differing)
    assert differing[0]["file"] == "snapshots/3.json"
    assert differing[0]["place"] == "headline"


def test_the_whole_feed_now_and_then(writer: FeedWriter) -> None:
    told = Told(writer.feed)
    found = [Whole(True, 1.5, ""), Whole(None, 1.0, "killed"), Whole(False, 2.0, "areas/1: …")]

    async def verify() -> Whole:
        return found.pop(0)

    told.run(lambda: None, *[told.watch.want_whole] * 3, whole=verify)
    assert not found
    assert [event for event in told.lines.events if event != "role.stopping"] == [
        "replay.agrees",
        "replay.agrees",
        "replay.unknown",
        "replay.differs",
        # The next look begins anew, and finds nothing.
        "replay.agrees",
    ]
    assert told.metric("tallygate_replay_matches") == "1.0"
    assert told.metric('tallygate_replay_looks_total{kind="full",result="differs"}') == "1.0"


def test_a_look_can_be_stopped(writer: FeedWriter) -> None:
    for turn in range(300):
        writer.packet((2, CLOSES_AT + turn, ((3, 10),)))
    writer.publish()
    monitor = Monitor(writer.feed, None, 0)
    monitor.stopping = True
    with pytest.raises(StopError):
        monitor.look()


def test_a_pinned_definition(writer: FeedWriter) -> None:
    kind, verdict = Monitor(writer.feed, bytes(32), 0).look()
    assert kind == "full"
    assert verdict.agrees is False


def test_verdicts_are_for_scripts() -> None:
    assert json.dumps(Verdict(None, {}, trouble=("feed.none", "nothing")).object())
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
