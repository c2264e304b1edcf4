"""Rehearsals for the fleet: an election folder made into a night that `tallygate serve` runs as a process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import trio

from clients.fleet import night, plan, results
from clients.fleet.arrivals import Arrivals
from clients.fleet.faults import Faults
from clients.fleet.plan import Plan
from clients.fleet.play import Outcome, State, play
from gateway import _core
from gateway.base.clock import HOUR, RehearsalClock, Segment
from gateway.base.config import Config, Listen, Role, Roles, render
from gateway.ledger.follow import follow
from gateway.ledger.protocol import Entry, Head
from gateway.run.folder import ReadyFile
from gateway.run.rehearsal import Plan as RehearsalPlan
from gateway.run.rehearsal import init_rehearsal

ROOT = Path(__file__).parents[1]
# Seconds that a start, an end, or reading a log may take.
PATIENCE = 60
# Seconds of real time for the voting day; then how many times faster the night runs.
DAY_SECONDS = 2
NIGHT_SPEED = 3_600


def make(
    root: Path,
    election: Path,
    *,
    day: int = DAY_SECONDS,
    speed: int = NIGHT_SPEED,
    roles: tuple[Role, ...] = ("ingest",),
) -> _core.Definition:
    """A night folder: ports chosen by the system, a clock that hurries."""
    now = time.time_ns() // 1_000_000
    made, faults = init_rehearsal(root, election, RehearsalPlan(), now=now, progress=lambda *_: None)
    assert made is not None, faults.kept()
    definition = made.definition
    last = max(station.closes_at for station in definition.stations())
    segments = (
        Segment(definition.opens_at - HOUR, 3_600),
        Segment(definition.opens_at, max(1, (last - definition.opens_at) // (day * 1_000))),
        Segment(last, speed),
    )
    (root / "clock.json").write_bytes(RehearsalClock(None, segments).encode())
    here = "127.0.0.1:0"
    listen = Listen(box=(here,), operations_ingest=here, operations_publish=here)
    (root / "tallygate.toml").write_bytes(render(Config(listen=listen, roles=Roles(start=roles))))
    return definition


def ready(root: Path) -> ReadyFile:
    """What the role ingest has written."""
    return msgspec.json.decode((root / "run" / "ingest.json").read_bytes(), type=ReadyFile)


def kill_ingest(root: Path) -> int:
    """Kills the gateway as nothing else does, and says which process it was; `serve` starts another."""
    pid = ready(root).pid
    os.kill(pid, signal.SIGKILL)
    return pid


@contextmanager
def serving(root: Path) -> Iterator[None]:
    """A night that `tallygate serve` runs until the block ends; it starts a role again that dies."""
    with (root / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "serve", str(root)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def planned(
    root: Path, folder: Path, faults: Faults, when: Arrivals | None = None, *, turnout: int = plan.TURNOUT
) -> tuple[night.Night, Plan]:
    """A night as the fleet reads it, and what its devices will say."""
    own = night.read(root)
    counted = results.read(folder, own.definition)
    return own, plan.make(own.definition, own.roster, counted, when, faults, turnout=turnout)


def now() -> int:
    """Real time, ms."""
    return time.time_ns() // 1_000_000


async def played(
    own: night.Night, made: Plan, faults: Faults, tell: Callable[[State], None] = lambda _: None
) -> Outcome:
    """Plays a night that is served."""
    return await play(own, made, faults, real=now, tell=tell, patience=PATIENCE)


async def entries(root: Path) -> list[bytes]:
    """Every entry of a night that is served, as the publisher gets them."""
    log_key = ready(root).log_key
    assert log_key is not None
    found: list[bytes] = []
    size: int | None = None
    with trio.fail_after(PATIENCE):
        async with follow(root / "run" / "ledger.sock", 0, log_key) as follower:
            async for item in follower:
                match item:
                    case Head():
                        size = item.size
                    case Entry():
                        found.append(item.statement)
                if len(found) == size:
                    return found
    raise AssertionError("the follow socket ended")
