"""kill -9 at named points and at any call of the disk: what was acknowledged is in the log exactly once.

`TALLYGATE_KILLS` sets how many random kills there are (300); the named points come on top.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from gateway import _core
from tests.faults.ledger_worker import Acknowledged, Point, Task
from tests.faults.night import Night

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("TALLYGATE_KILLS", "300"))
# Kills on one ledger before it is looked at as a whole: each start proves it anyway.
ROUND = 30
BATCHES = 40
NAMED: list[Point] = [point for point in get_args(Point) if point not in {"call", "timer"}]
KILLED = -9


class Worker:
    """The process that forks a child for each task."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.ledger_worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, task: Task) -> tuple[int, bool, list[Acknowledged]]:
        """How the child ended, whether it had the ledger open, and what it acknowledged until then."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(task) + b"\n")
        self._process.stdin.flush()
        acknowledged: list[Acknowledged] = []
        opened = False
        for line in self._process.stdout:
            if line.startswith(b"end "):
                return int(line.removeprefix(b"end ")), opened, acknowledged
            if line == b'["open"]\n':
                opened = True
            elif line.endswith(b"]\n"):
                acknowledged += msgspec.json.decode(line, type=list[Acknowledged])
        raise AssertionError("the worker itself is gone")

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait() == 0


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


class History:
    """One ledger, and what it has acknowledged through all its kills."""

    def __init__(self, root: Path) -> None:
        self.night = Night(root)
        self.acknowledged: list[Acknowledged] = []

    def run(self, worker: Worker, seed: int, point: Point, count: int) -> int:
        task = Task(str(self.night.root), seed, point, count, BATCHES)
        status, opened, acknowledged = worker.run(task)
        self.acknowledged += acknowledged
        assert status in {0, KILLED}, f"{task}: exit status {status}"
        assert opened or status == KILLED
        return status

    def judge(self) -> None:
        """The client's own history against the log."""
        ledger = self.night.open()
        entries = [entry.statement for entry in ledger.entries(0, 1_000_000)]
        ledger.close()
        assert len(set(entries)) == len(entries)
        tree = _core.Tree()
        tree.append([_core.leaf_hash(entry) for entry in entries])
        for one in self.acknowledged:
            statement = bytes.fromhex(one.statement)
            index, checkpoint = _core.verify_receipt(one.receipt.encode(), statement, self.night.vkey)
            assert entries[index] == statement
            # The head of that receipt is one that the log of today extends.
            assert tree.root(checkpoint.size) == checkpoint.root
        new = {one.statement for one in self.acknowledged if one.standing != "duplicate"}
        assert len(new) == sum(one.standing != "duplicate" for one in self.acknowledged)


@pytest.mark.parametrize("point", NAMED)
def test_killed_at_a_named_point(tmp_path: Path, worker: Worker, point: Point) -> None:
    history = History(tmp_path)
    killed = [history.run(worker, seed, point, 5 * seed) for seed in range(6)]
    assert killed.count(KILLED) >= 5
    assert history.acknowledged
    history.judge()


@pytest.mark.parametrize("first", range(0, KILLS, ROUND))
def test_killed_anywhere(tmp_path: Path, worker: Worker, first: int) -> None:
    history = History(tmp_path)
    killed = 0
    for seed in range(first, min(first + ROUND, KILLS)):
        chance = random.Random(seed)
        killed += history.run(worker, seed, "call", chance.randrange(0, 250)) == KILLED
    assert killed >= (min(first + ROUND, KILLS) - first) * 3 // 4
    assert history.acknowledged
    history.judge()


def test_killed_at_any_time(tmp_path: Path, worker: Worker) -> None:
    history = History(tmp_path)
    for seed in range(15):
        history.run(worker, seed, "timer", random.Random(seed).randrange(1, 60_000))
    history.judge()
