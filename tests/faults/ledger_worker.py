"""A ledger without a network, made to be killed: ``python -m tests.faults.ledger_worker``.

It reads one `Task` a line (JSON) and runs it in a forked child, which acknowledges each batch in one line,
after `append` has returned; then comes ``end <exit status or minus the signal>``. Forking saves the imports,
which take longer than all the rest; nothing here starts a thread before it forks.
"""

import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

import msgspec

from gateway import _core
from gateway.ledger import sqlite
from gateway.ledger.protocol import LedgerFailedError, Logged, Outcome, Submission
from gateway.ledger.sqlite import SqliteLedger, open_ledger
from tests.faults.disk import Disk, Do, File, mounted
from tests.faults.night import LOG_SEED, Night, clock, packet, submit

Point: TypeAlias = Literal[
    "before write",
    "after write",
    "after sync",
    "before sign",
    "after sign",
    "after commit",
    "checkpoint",
    "call",
    "timer",
]


class Task(msgspec.Struct, frozen=True):
    """What one child does: appends seeded batches until it is killed.

    Attributes:
        night: the folder of a night.
        seed: decides the batches.
        point: where it is killed; "call": at the `count`-th call of the disk, in the middle of it; "timer":
            `count` microseconds after the ledger is open.
        count: how many times the point is passed before.
        batches: it ends by itself after so many.
    """

    night: str
    seed: int
    point: Point
    count: int
    batches: int


class Acknowledged(msgspec.Struct, frozen=True):
    """One statement that `append` has acknowledged: its bytes in hex, standing and receipt."""

    statement: str
    standing: str
    receipt: str


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL cannot be survived")


class DeadlyDisk(Disk):
    """Kills the process at its task's point."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._left = task.count

    def at(self, point: Point) -> None:
        """The process passes a point."""
        if point == self._task.point:
            self._left -= 1
            if self._left < 0:
                die()

    def write(self, file: File, offset: int, data: bytes, part: Callable[[bytes], None]) -> None:
        if file == "wal":
            self.at("before write")
        elif file == "db":
            self.at("checkpoint")
        if self._task.point == "call" and self._left == 0:
            part(data[: len(data) // 2])
        self.at("call")
        part(data)
        if file == "wal":
            self.at("after write")

    def sync(self, file: File, do: Do) -> None:
        self.at("call")
        do()
        if file == "wal":
            self.at("after sync")
        elif file == "db":
            self.at("checkpoint")

    def truncate(self, file: File, size: int, do: Do) -> None:
        self.at("call")
        do()


def deadly_signer(disk: DeadlyDisk) -> Callable[[str, bytes], object]:
    """What stands in for `_core.NoteSigner` in this process."""
    real = _core.NoteSigner

    class Signer:
        def __init__(self, name: str, seed: bytes) -> None:
            self._signer = real(name, seed)
            self.vkey = self._signer.vkey

        def sign_checkpoint(self, size: int, root: bytes) -> str:
            disk.at("before sign")
            note = self._signer.sign_checkpoint(size, root)
            disk.at("after sign")
            return note

    return Signer


def batch(chance: random.Random, seed: int) -> list[Submission]:
    """New packets, packets that are in the log or may be, and packets twice in one batch."""
    devices = [chance.randrange(1, 5) for _ in range(chance.randrange(1, 9))]
    some = [packet(device, chance.randrange(1, 200), chance.randrange(seed, seed + 3)) for device in devices]
    return [submit(one, f"box:{one.device}", 1_000_000) for one in some]


def run(task: Task) -> None:
    """The child's work."""
    disk = DeadlyDisk(task)
    setattr(_core, "NoteSigner", deadly_signer(disk))  # noqa: B010 - mypy knows that it is a class
    setattr(sqlite, "CHECKPOINT_PAGES", 12)  # noqa: B010 - a constant
    night = Night(Path(task.night), make=False)
    chance = random.Random(task.seed)
    with mounted(disk):
        ledger = open_ledger(night.data, night.site, LOG_SEED, clock=clock, now=clock)
        say(["open"])
        if task.point == "timer":
            signal.signal(signal.SIGALRM, lambda number, frame: die())
            signal.setitimer(signal.ITIMER_REAL, task.count / 1_000_000)
        for _ in range(task.batches):
            append(ledger, batch(chance, task.seed), disk)
        ledger.close()


def append(ledger: SqliteLedger, submissions: list[Submission], disk: DeadlyDisk) -> None:
    answers = ledger.append(submissions)
    disk.at("after commit")
    say(acknowledge(submissions, answers))


def acknowledge(submissions: Sequence[Submission], answers: Sequence[Outcome]) -> list[Acknowledged]:
    """What the answers acknowledge."""
    return [
        Acknowledged(one.statement.encoded.hex(), answer.standing, answer.receipt.text())
        for one, answer in zip(submissions, answers, strict=True)
        if isinstance(answer, Logged)
    ]


def say(what: object) -> None:
    """One line; a killed process may leave the beginning of one, which acknowledges nothing."""
    os.write(sys.stdout.fileno(), msgspec.json.encode(what) + b"\n")


def main() -> None:
    """Runs tasks until the input ends."""
    for line in sys.stdin.buffer:
        task = msgspec.json.decode(line, type=Task)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                run(task)
                status = 0
            except LedgerFailedError:
                status = 3
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        os.write(sys.stdout.fileno(), b"\nend %d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
