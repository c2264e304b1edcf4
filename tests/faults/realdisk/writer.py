"""The ledger's own code in a forked child, on whatever disk it is given; the parent never opens a ledger.

What lives here: the children (one that appends, one that looks) and `in_child`. A fork saves the imports and
has to come from a process without threads.
"""

import contextlib
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import trio

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.ledger import sqlite
from gateway.ledger.protocol import LedgerFailedError
from gateway.ledger.sqlite import SqliteLedger
from tests.faults.ledger_worker import Acknowledged, acknowledge, batch, say
from tests.faults.night import Night

# How a child ends: well; the disk has failed it; the ledger refuses the files; by a fault of ours.
WELL: Final = 0
FAILED: Final = 3
REFUSED: Final = 4
BROKEN: Final = 1
# Seconds that a child may take in all.
SECONDS: Final = 120
# A pipe's content at a time, bytes.
_CHUNK: Final = 65_536

# Seconds between two looks of the event loop at its own clock.
_TICK: Final = 0.01


class Found(msgspec.Struct, frozen=True):
    """What a look into the ledger has found.

    Attributes:
        found, lost: of what was acknowledged.
        doubled: statements that stand twice in the log.
    """

    found: int
    lost: int
    doubled: int


@dataclass(slots=True)
class Ended:
    """What a child has said, and how it ended.

    Attributes:
        status: the exit status, or minus the signal.
        lines: whole lines; what was cut short acknowledges nothing.
        error: what it wrote to stderr.
    """

    status: int
    lines: list[bytes] = field(default_factory=list)
    error: str = ""

    def acknowledged(self) -> list[Acknowledged]:
        """What `append_batches` has acknowledged."""
        lists = [line for line in self.lines if line.startswith(b"[{")]
        return [one for line in lists for one in msgspec.json.decode(line, type=list[Acknowledged])]


def in_child(work: Callable[[], None], *, kill_after: int | None = None) -> Ended:
    """Runs `work` in a forked child.

    Args:
        work: what the child does; its lines go to stdout (`tests.faults.ledger_worker.say`).
        kill_after: SIGKILL comes when it has said so many lines.

    Raises:
        TimeoutError: it did not end, and could not be killed.
    """
    ours, its = os.pipe()
    errors, its_errors = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(its, sys.stdout.fileno())
        os.dup2(its_errors, sys.stderr.fileno())
        _end(work)
    os.close(its)
    os.close(its_errors)
    said = {ours: b"", errors: b""}
    ends = [time.monotonic() + 2 * SECONDS, time.monotonic() + SECONDS]
    still = [ours, errors]
    while still:
        ready, _, _ = select.select(still, [], [], max(0.0, ends[-1] - time.monotonic()))
        if not ready or (kill_after is not None and said[ours].count(b"\n") >= kill_after):
            if len(ends) == 1:
                raise TimeoutError(f"process {child} does not end")
            os.kill(child, signal.SIGKILL)
            kill_after = None
            ends.pop()
        for pipe in ready:
            part = os.read(pipe, _CHUNK)
            said[pipe] += part
            if not part:
                still.remove(pipe)
                os.close(pipe)
    _, status = os.waitpid(child, 0)
    *lines, _ = said[ours].split(b"\n")
    return Ended(os.waitstatus_to_exitcode(status), lines, said[errors].decode(errors="replace"))


def _end(work: Callable[[], None]) -> NoReturn:
    """Does a child's work and ends it with its status; nothing of the parent's runs in it."""
    status = BROKEN
    try:
        work()
        status = WELL
    except (LedgerFailedError, OSError) as error:
        status = FAILED
        print(error, file=sys.stderr, flush=True)
    except TallygateError as error:
        status = REFUSED
        print(error, file=sys.stderr, flush=True)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def make_night(root: Path, *, opened: bool) -> None:
    """A child: a night, whose log is opened too or is not there yet."""
    night = Night(root)
    if opened:
        night.open().close()


def append_batches(
    root: Path,
    seed: int,
    batches: int,
    *,
    pages: int = 40,
    synchronous: str = "FULL",
    trusting: bool = False,
) -> None:
    """A child: opens the ledger, which proves its past, and appends; one line for each acknowledged batch.

    Args:
        root: of the night.
        seed: decides the batches.
        batches: so many.
        pages: of the write-ahead log before it is brought into the database.
        synchronous: SQLite's setting.
        trusting: its start believes what Linux has cached.
    """
    if trusting:
        setattr(os, "posix_fadvise", lambda *_: None)  # noqa: B010 - mypy knows what it takes
    setattr(sqlite, "CHECKPOINT_PAGES", pages)  # noqa: B010 - a constant
    ledger = Night(root, make=False).open()
    ledger._connection.execute(f"PRAGMA synchronous={synchronous}")
    chance = random.Random(seed)
    for _ in range(batches):
        some = batch(chance, seed)
        say(acknowledge(some, ledger.append(some)))
    ledger.close()


def append_beside_a_loop(root: Path, seed: int, batches: int) -> None:
    """As `append_batches`, in a thread beside an event loop; last it says the loop's longest pause (ms)."""
    ledger = Night(root, make=False).open()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            due = trio.current_time() + _TICK
            await trio.sleep(_TICK)
            ledger.head()
            longest = max(longest, trio.current_time() - due)

    async def main() -> None:
        chance = random.Random(seed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            for _ in range(batches):
                some = batch(chance, seed)
                say(acknowledge(some, await trio.to_thread.run_sync(ledger.append, some)))
            nursery.cancel_scope.cancel()

    trio.run(main)
    ledger.close()
    say(round(longest * 1_000))


def look(root: Path, acknowledged: list[Acknowledged]) -> None:
    """A child: starts the ledger once more and compares the client's own history with the log."""
    night = Night(root, make=False)
    with contextlib.closing(night.open()) as ledger:
        say(_compare(night, ledger, acknowledged))


def _compare(night: Night, ledger: SqliteLedger, acknowledged: list[Acknowledged]) -> Found:
    entries = [entry.statement for entry in ledger.entries(0, 1_000_000)]
    tree = _core.Tree()
    tree.append([_core.leaf_hash(entry) for entry in entries])
    found = 0
    for one in acknowledged:
        statement = bytes.fromhex(one.statement)
        index, checkpoint = _core.verify_receipt(one.receipt.encode(), statement, night.vkey)
        # The head of the receipt is one that the log of now extends.
        found += (
            entries[index : index + 1] == [statement]
            and checkpoint.size <= tree.size
            and tree.root(checkpoint.size) == checkpoint.root
        )
    return Found(found, len(acknowledged) - found, len(entries) - len(set(entries)))
