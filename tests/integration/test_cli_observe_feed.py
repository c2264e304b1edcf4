"""`tallygate-observe verify` and `watch` as programs: what they say, how they end."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import pytest

from clients.observer.cli import main
from tests.feed_writer import CLOSES_AT, RESULT, FeedWriter
from tests.integration.client_cli import Program, started

# A program of ours says what it has to say long before; a broken one must not hold up the others.
PATIENCE = 60


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


@pytest.fixture
def writer(tmp_path: Path) -> FeedWriter:
    made = FeedWriter(tmp_path / "night")
    made.packet(RESULT)
    made.publish()
    return made


class TestVerify:
    def test_a_right_feed(self, program: Program, writer: FeedWriter) -> None:
        ended = program("verify", writer.feed)
        assert ended.code == 0
        lines = ended.out.splitlines()
        assert lines[0].startswith(f"definition   {writer.definition.sha256.hex()} (not pinned")
        assert lines[1] == "snapshot     1 of 2027-01-15T20:00:01.000Z, 3 entries"
        assert "right        statements           3  entries: decoded strictly, signature verified" in lines
        assert lines[-1] == "the feed agrees: everything in it follows from its log"
        assert ended.err == ""

    def test_pinned(self, program: Program, writer: FeedWriter) -> None:
        pinned = program("verify", writer.feed, "--definition", writer.definition.sha256.hex().upper())
        assert pinned.code == 0
        assert "(as asked for)" in pinned.out
        other = program("verify", writer.feed, "--definition", "0" * 64)
        assert other.code == 1
        assert "latest.json: definition" in other.out
        assert program("verify", writer.feed, "--definition", "xyz").code == 2

    def test_a_wrong_feed(self, program: Program, writer: FeedWriter) -> None:
        path = next(writer.feed.glob("stations/0/*.json"))
        data = path.read_bytes()
        path.write_bytes(data.replace(b'"opened":0', b'"opened":1').replace(b'"opened":1', b'"opened":0'))
        ended = program("verify", writer.feed)
        assert ended.code == 1
        assert "differs      stations" in ended.out
        assert "the feed DIFFERS from what its log says" in ended.out
        name = f"stations/0/{path.name}"
        assert f"first        {name}: opened (station 8): is 0, the log gives 1 [feed.object]" in ended.out
        assert "what to do" in ended.out
        said = json.loads(program("verify", writer.feed, "--json").out)
        assert said["difference"] == {
            "code": "feed.object",
            "file": name,
            "place": "opened",
            "station": 8,
            "detail": "is 0, the log gives 1",
        }

    def test_nothing_to_check(self, program: Program, tmp_path: Path) -> None:
        ended = program("verify", tmp_path)
        assert ended.code == 2
        assert "could not check" in ended.out
        assert json.loads(program("verify", tmp_path, "--json").out)["trouble"]["code"] == "feed.none"

    def test_names_of_files_steer_no_terminal(self, program: Program, writer: FeedWriter) -> None:
        (writer.feed / "\x1b[2Jx").write_bytes(b"")
        ended = program("verify", writer.feed)
        assert ended.code == 1
        assert "\x1b" not in ended.out
        assert "\\x1b[2Jx" in ended.out

    def test_what_cannot_be_read(self, program: Program, writer: FeedWriter) -> None:
        if os.geteuid() == 0:
            pytest.skip("root reads everything")
        (writer.feed / "latest.json").chmod(0)
        assert program("verify", writer.feed).code == 2

    def test_a_long_log_shows_how_far_it_is(self, program: Program, writer: FeedWriter) -> None:
        for turn in range(10_000):
            writer.log.append(writer.log[2])
            del turn
        writer.publish()
        ended = program("verify", writer.feed)
        assert ended.code == 0, ended.out
        lines = ended.err.splitlines()
        assert len(lines) == 9
        assert lines[0].endswith(" of 10,003 entries")


class Watched:
    """A running monitor."""

    def __init__(self, process: "subprocess.Popen[str]", ready: Path) -> None:
        self.process = process
        self._ready = ready

    def ready(self) -> dict[str, object]:
        """What its ready file says."""
        return cast(dict[str, object], json.loads(self._ready.read_bytes()))

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        address = cast(list[str], self.ready()["operations"])[0]
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        connection.request(method, path)
        with closing(connection):
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def event(self, name: str) -> dict[str, object]:
        """The next line of its log with this event."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            said = json.loads(line)
            if said["event"] == name:
                return cast(dict[str, object], said)
        raise AssertionError(f"it ended and never said {name}")


@contextmanager
def watching(feed: Path, ready: Path, *more: str) -> Iterator[Watched]:
    command = [sys.executable, "-m", "clients.observer.cli", "watch", str(feed), "--interval", "0.1"]
    process = subprocess.Popen(
        [*command, "--operations", "127.0.0.1:0", "--ready", str(ready), *more],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        watched = Watched(process, ready)
        watched.event("role.ready")
        yield watched
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


class TestWatch:
    def test_from_nothing_to_a_difference(self, writer: FeedWriter, tmp_path: Path) -> None:
        hidden = tmp_path / "hidden"
        writer.feed.rename(hidden)
        with watching(writer.feed, tmp_path / "monitor.json", "--supervised") as watched:
            ready = watched.ready()
            assert ready["pid"] == watched.process.pid
            assert str(ready["since"]).endswith("Z")
            watched.event("replay.waiting")
            assert watched.get("/readyz") == (200, "ready\n")
            assert "tallygate_replay_matches " not in watched.get("/metrics")[1]
            hidden.rename(writer.feed)
            assert watched.event("replay.agrees")["snapshot"] == 1
            assert "\ntallygate_replay_matches 1.0\n" in watched.get("/metrics")[1]
            writer.packet((2, CLOSES_AT, ((3, 10),)))
            writer.publish(lie=lambda latest: latest.update(headline="protocol"))
            differs = watched.event("replay.differs")
            assert (differs["level"], differs["file"], differs["place"]) == (
                "critical",
                "snapshots/2.json",
                "headline",
            )
            assert "\ntallygate_replay_matches 0.0\n" in watched.get("/metrics")[1]
            assert watched.process.stdin is not None
            watched.process.stdin.close()
            assert watched.event("role.stopping")["reason"] == "the supervisor is gone"
            watched.event("role.stopped")
            assert watched.process.wait(PATIENCE) == 0
            watched.process.stdin = None
        assert not (tmp_path / "monitor.json").exists()

    def test_signals(self, writer: FeedWriter, tmp_path: Path) -> None:
        """SIGHUP verifies everything in a process of its own; SIGTERM ends."""
        with watching(writer.feed, tmp_path / "monitor.json") as watched:
            watched.event("replay.agrees")
            watched.process.send_signal(signal.SIGHUP)
            assert watched.event("replay.agrees")["kind"] == "full"
            # A file that was right when it was looked at.
            (writer.feed / "keys/log.vkey").write_bytes(b"x")
            watched.process.send_signal(signal.SIGHUP)
            assert "keys/log.vkey" in str(watched.event("replay.differs")["words"])
            watched.process.send_signal(signal.SIGTERM)
            assert watched.event("role.stopping")["reason"] == "SIGTERM"
            assert watched.process.wait(PATIENCE) == 0
        assert not (tmp_path / "monitor.json").exists()

    def test_health(self, writer: FeedWriter, tmp_path: Path) -> None:
        with watching(writer.feed, tmp_path / "monitor.json") as watched:
            assert watched.get("/livez") == (200, "ok\n")
            assert watched.get("/startupz") == (200, "ready\n")
            assert watched.get("/readyz", "HEAD") == (200, "")
            assert watched.get("/readyz", "POST")[0] == 405
            assert watched.get("/secret")[0] == 404
            assert 'tallygate_build_info{version="' in watched.get("/metrics")[1]

    @pytest.mark.parametrize("address", ["", "127.0.0.1", "::1:80", "host:99999", ":80", "host:x"])
    def test_no_address(self, address: str, program: Program, tmp_path: Path) -> None:
        ended = program("watch", tmp_path, "--operations", address)
        assert ended.code == 2
        assert "address" in ended.err

    def test_an_address_that_is_taken(self, program: Program, writer: FeedWriter, tmp_path: Path) -> None:
        with watching(writer.feed, tmp_path / "monitor.json") as watched:
            taken = cast(list[str], watched.ready()["operations"])[0]
            ended = program("watch", writer.feed, "--operations", taken)
        assert ended.code == 1
        assert "operations.bind" in ended.err


def test_a_pipe_among_the_files_holds_nobody_up(writer: FeedWriter) -> None:
    os.mkfifo(writer.feed / "waiting")
    process = started("observer", "verify", writer.feed)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "waiting" in out
