"""The supervisor with real processes that stand in for roles: they start, die, refuse to end, and lose it."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import trio

from gateway.base.clock import RehearsalClock, Segment, read_clock
from gateway.base.config import Role
from gateway.base.errors import TallygateError
from gateway.base.logs import Log
from gateway.run import supervise as module
from gateway.run.folder import NightFolder, ReadyFile
from gateway.run.notify import Notifier
from gateway.run.supervise import Supervision, supervise

NOW = 1_800_000_000_000
SECONDS = 30

# What a start does, in the order of the starts: plan.json names it.
STAND_IN = """
import json, os, signal, sys
from pathlib import Path
night = Path(sys.argv[1])
starts = len(list((night / "starts").iterdir()))
what = json.loads((night / "plan.json").read_text())[starts]
(night / "starts" / str(starts)).write_text(str(os.getpid()))
if what == "fail":
    sys.exit(3)
if what == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.signal(signal.SIGHUP, lambda *_: (night / "reloaded").write_text("yes"))
ready = dict(pid=os.getpid(), since="", box=[], operations=[], ledger="", log_key=None, entries=starts)
(night / "run" / "new").write_text(json.dumps(ready))
(night / "run" / "new").rename(night / "run" / "ingest.json")
sys.stdin.read()
(night / "orphaned").write_text("yes")
"""


async def appears(path: Path) -> None:
    with trio.fail_after(SECONDS):
        while not path.exists():  # noqa: ASYNC110, ASYNC240 - another process is no event
            await trio.sleep(0.01)


class Told(Notifier):
    """systemd."""

    def __init__(self) -> None:
        super().__init__(None)
        self.heard: list[str] = []
        self.alive_signs = 0

    def ready(self, status: str) -> None:
        self.heard.append(f"ready {status}")

    def stopping(self) -> None:
        self.heard.append("stopping")

    def alive(self) -> None:
        self.alive_signs += 1


class Supervised:
    """A night with a plan for its role's starts, and everything that its supervisor says."""

    def __init__(self, root: Path, plan: Sequence[str]) -> None:
        self.night = NightFolder(root)
        for name in ("run", "starts"):
            (root / name).mkdir()
        (root / "plan.json").write_text(json.dumps(plan))
        self.supervisor: int | None = None
        self.lines: list[str] = []
        self.systemd = Told()
        self._tell, self._told = trio.open_memory_channel[ReadyFile](10)

    async def next_ready(self) -> ReadyFile:
        with trio.fail_after(SECONDS):
            return await self._told.receive()

    @property
    def events(self) -> list[str]:
        return [json.loads(line)["event"].removeprefix("supervise.") for line in self.lines]

    def supervision(
        self, program: Sequence[str] = (sys.executable, "-I", "-S", "-c", STAND_IN)
    ) -> Supervision:
        return Supervision(
            real=lambda: NOW,
            log=Log("serve", self.lines.append, lambda: NOW),
            notifier=self.systemd,
            watchdog=0.01,
            command=lambda role: (*program, str(self.night.root), role),
            environment={},
            ready=lambda role, ready: self._tell.send_nowait(ready),
            supervisor=self.supervisor,
        )

    def run(self, test: Callable[["Supervised"], Awaitable[None]]) -> None:
        """Supervises while the test does, and until the supervisor has ended."""

        async def main() -> None:
            with trio.fail_after(SECONDS):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(supervise, self.night, ("ingest",), self.supervision())
                    await test(self)

        trio.run(main)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)


def ourselves(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_role_starts_is_ready_and_ends_with_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    async def test(served: Supervised) -> None:
        ready = await served.next_ready()
        assert is_alive(ready.pid)
        # Ctrl-C must reach the supervisor alone.
        assert os.getpgid(ready.pid) == ready.pid
        ourselves(number)

    served = Supervised(tmp_path, ["serve"])
    served.run(test)
    assert served.events == ["started"]
    assert served.systemd.heard == ["ready running: ingest", "stopping"]
    assert served.systemd.alive_signs
    assert not (tmp_path / "orphaned").exists()


def test_it_ends_gracefully_when_whoever_has_started_it_is_gone(tmp_path: Path) -> None:
    ours, theirs = os.pipe()

    async def test(served: Supervised) -> None:
        ready = await served.next_ready()
        assert is_alive(ready.pid)
        os.close(theirs)

    served = Supervised(tmp_path, ["serve"])
    served.supervisor = ours
    served.run(test)
    os.close(ours)
    assert served.events == ["started"]
    assert served.systemd.heard == ["ready running: ingest", "stopping"]
    # The role was told, and did not have to find out.
    assert not (tmp_path / "orphaned").exists()


def test_whatever_dies_is_started_again(tmp_path: Path) -> None:
    async def test(served: Supervised) -> None:
        for starts in range(3):
            ready = await served.next_ready()
            assert ready.entries == starts
            os.kill(ready.pid, signal.SIGKILL if starts < 2 else signal.SIGHUP)
        await appears(tmp_path / "reloaded")
        ourselves(signal.SIGTERM)

    served = Supervised(tmp_path, ["serve"] * 3)
    served.run(test)
    assert served.events == ["started", "ended", "started", "ended", "started"]
    assert '"how":"signal SIGKILL"' in served.lines[1]


def test_a_role_that_was_ready_once_may_fail_to_start_as_often_as_it_must(tmp_path: Path) -> None:
    async def test(served: Supervised) -> None:
        os.kill((await served.next_ready()).pid, signal.SIGKILL)
        assert (await served.next_ready()).entries == 3
        ourselves(signal.SIGTERM)

    served = Supervised(tmp_path, ["serve", "fail", "fail", "serve"])
    served.run(test)
    assert served.events.count("ended") == 3
    assert '"how":"exit status 3"' in served.lines[3]


def test_pauses_grow_to_the_longest_and_begin_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.003)

    async def test(served: Supervised) -> None:
        os.kill((await served.next_ready()).pid, signal.SIGKILL)
        ready = await served.next_ready()
        monkeypatch.setattr(module, "STEADY_SECONDS", 0.0)
        os.kill(ready.pid, signal.SIGKILL)
        await served.next_ready()
        ourselves(signal.SIGTERM)

    served = Supervised(tmp_path, ["serve", "fail", "fail", "serve", "serve"])
    served.run(test)
    ended = [json.loads(line) for line in served.lines if "supervise.ended" in line]
    assert [line["again_in_seconds"] for line in ended] == [0.001, 0.002, 0.003, 0.001]


def test_a_role_that_never_was_ready_ends_the_supervisor(tmp_path: Path) -> None:
    served = Supervised(tmp_path, ["fail"])

    async def nothing(served: Supervised) -> None:
        await trio.lowlevel.checkpoint()

    with pytest.raises(ExceptionGroup) as caught:
        served.run(nothing)
    [fault] = caught.value.exceptions
    assert isinstance(fault, TallygateError)
    assert fault.code == "serve.failed"
    assert "exit status 3" in fault.detail


def test_the_other_roles_end_gracefully_when_one_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    served, bad = Supervised(tmp_path, ["serve"]), Supervised(tmp_path / "bad", ["fail"])
    around = served.supervision()

    def command(role: Role) -> Sequence[str]:
        return bad.supervision().command(role) if role == "web" else around.command(role)

    async def main() -> None:
        with pytest.raises(TallygateError, match="the role web has ended"):
            await supervise(served.night, ("ingest", "web"), dataclasses.replace(around, command=command))

    trio.run(main)
    assert served.events.count("started") == 2
    assert "killed" not in served.events


def test_sighup_is_passed_on(tmp_path: Path) -> None:
    async def test(served: Supervised) -> None:
        await served.next_ready()
        ourselves(signal.SIGHUP)
        await appears(tmp_path / "reloaded")
        ourselves(signal.SIGTERM)

    served = Supervised(tmp_path, ["serve"])
    served.run(test)
    assert served.events == ["started"]


def test_a_role_that_does_not_end_is_killed_after_its_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.05)

    async def test(served: Supervised) -> None:
        await served.next_ready()
        ourselves(signal.SIGTERM)

    served = Supervised(tmp_path, ["stubborn"])
    served.run(test)
    assert served.events == ["started", "killed"]


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    async def test(served: Supervised) -> None:
        ready = await served.next_ready()
        ourselves(signal.SIGINT)
        with trio.fail_after(SECONDS):
            while "stopping" not in served.systemd.heard:  # noqa: ASYNC110 - a signal is no event here
                await trio.sleep(0.01)
        assert is_alive(ready.pid)
        ourselves(signal.SIGINT)

    served = Supervised(tmp_path, ["stubborn"])
    served.run(test)
    assert served.events == ["started"]


def test_a_role_whose_supervisor_is_cancelled_or_fails_is_not_left_behind(tmp_path: Path) -> None:
    served = Supervised(tmp_path, ["serve"])
    pids: list[int] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervise, served.night, ("ingest",), served.supervision())
            pids.append((await served.next_ready()).pid)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert not is_alive(pids[0])


def test_a_role_learns_that_its_supervisor_was_killed(tmp_path: Path) -> None:
    program = (
        "import sys, trio\n"
        "from pathlib import Path\n"
        "from tests.integration.test_run_supervise import Supervised, supervise\n"
        "served = Supervised(Path(sys.argv[1]), ['serve'])\n"
        "async def main():\n"
        "    async with trio.open_nursery() as nursery:\n"
        "        nursery.start_soon(supervise, served.night, ('ingest',), served.supervision())\n"
        "        await served.next_ready()\n"
        "        print('ready', flush=True)\n"
        "trio.run(main)\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    with supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        supervisor.kill()

    trio.run(appears, tmp_path / "orphaned")


def test_a_night_has_one_supervisor(tmp_path: Path) -> None:
    async def test(served: Supervised) -> None:
        await served.next_ready()
        with pytest.raises(TallygateError) as caught:
            await supervise(served.night, ("ingest",), served.supervision())
        assert caught.value.code == "role.running"
        assert str(os.getpid()) in caught.value.detail
        ourselves(signal.SIGTERM)

    Supervised(tmp_path, ["serve"]).run(test)


def test_a_rehearsals_time_is_started_once_and_before_any_role(tmp_path: Path) -> None:
    async def test(served: Supervised) -> None:
        await served.next_ready()
        ourselves(signal.SIGTERM)

    served = Supervised(tmp_path, ["serve", "serve"])
    clock = RehearsalClock(None, (Segment(1_000, 1),))
    served.night.clock.write_bytes(clock.encode())
    served.run(test)
    assert read_clock(served.night.clock).real_start == "2027-01-15T08:00:00.000Z"
    started = served.night.clock.stat().st_mtime_ns
    served.run(test)
    assert served.night.clock.stat().st_mtime_ns == started
