"""The faults, each tried so many times with seeds, and what became of what was acknowledged.

What lives here: one function for each row of the table. A try counts what its ledger acknowledged and
compares it with what a start finds afterwards.
"""

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from tests.faults.ledger_worker import Acknowledged
from tests.faults.realdisk.plugin import Call, Orders
from tests.faults.realdisk.stack import FaultyDisk, NotPossibleError, make_image, mounted, run
from tests.faults.realdisk.writer import (
    BROKEN,
    FAILED,
    REFUSED,
    WELL,
    Ended,
    Found,
    append_batches,
    append_beside_a_loop,
    in_child,
    look,
    make_night,
)

# Power cuts on one ledger, each in what the one before has left.
ROUNDS: Final = 3
# Batches of a writer; it ends earlier where the fault meets it.
BATCHES: Final = 60
# Pages in the write-ahead log that call for a checkpoint: often, now and then, never here.
PAGES: Final = (12, 40, 4_096)
# Requests of write or flush that such a writer makes, about: where a fault may come.
REQUESTS: Final = 250
# Seconds that a flush of the slow disk takes.
SLOW_SECONDS: Final = 0.1
# More requests than there are.
FOR_GOOD: Final = 1_000_000
# Bytes of the smallest disk that gets full, beyond the night's own files; how they grow with the seed, and
# after how many seeds they begin again.
ROOM: Final = 96 << 10
GROWTH: Final = 20 << 10
SIZES: Final = 32

_HEALTHY: Final = Orders(power=None, survivors=1.0, seed=0, fail=None, times=0, calls=[], delay=0.0)
_STATUS: Final = {WELL: "ended well", FAILED: "failed", REFUSED: "refused to start", BROKEN: "broke"}


@dataclass(slots=True)
class Row:
    """A line of the table.

    Attributes:
        fault: what was done to the disk.
        tries: how many times.
        acknowledged, found, lost: statements, over all tries.
        control: this must lose something, or the harness could not see a loss; whatever happens is right.
        wrong: what must not have happened.
        notes: what was measured besides.
        not_run: tries that this machine cannot do.
    """

    fault: str
    tries: int = 0
    acknowledged: int = 0
    found: int = 0
    lost: int = 0
    control: bool = False
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_run: int = 0

    def count(self, seed: int, acknowledged: Sequence[Acknowledged], ended: Ended) -> None:
        """Takes the answer of `look` in."""
        self.acknowledged += len(acknowledged)
        self.expect(seed, "the last look", ended, WELL)
        if ended.status != WELL:
            self.lost += len(acknowledged)
            return
        found = msgspec.json.decode(ended.lines[-1], type=Found)
        self.found += found.found
        self.lost += found.lost
        if (found.lost or found.doubled) and not self.control:
            self.wrong.append(f"seed {seed}: {found.lost} lost, {found.doubled} twice in the log")

    def expect(self, seed: int, what: str, ended: Ended, *statuses: int) -> None:
        """Notes an end that must not be."""
        if ended.status not in statuses and not self.control:
            self.wrong.append(_say(seed, what, ended))


def _say(seed: int, what: str, ended: Ended) -> str:
    status = _STATUS.get(ended.status, f"ended with {ended.status}")
    return f"seed {seed}: {what} {status}: {ended.error.strip()[:400]}"


@contextmanager
def _folder(work: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=work))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _image(work: Path, *, opened: bool = True) -> Path:
    """A disk with a night, made once: with a log that is open, or before its very first start."""
    image = work / ("opened.img" if opened else "new.img")
    if not image.exists():
        fresh = work / "fresh.img"
        make_image(fresh)
        with _folder(work) as at, mounted(fresh, at):
            ended = in_child(partial(make_night, at / "night", opened=opened))
        if ended.status != WELL:
            raise NotPossibleError(f"a night cannot be made: {ended.error.strip()}")
        fresh.rename(image)
    return image


def power_cut(work: Path, row: Row, seed: int) -> None:
    """`ROUNDS` cuts, each anywhere between start and end of a writer; for some the very first start."""
    chance = random.Random(seed)
    acknowledged: list[Acknowledged] = []
    image = _image(work, opened=seed % 2 == 0)
    with _folder(work) as folder:
        for number in range(ROUNDS):
            orders = _HEALTHY | {
                "power": chance.randrange(REQUESTS),
                "survivors": chance.choice((0.0, 0.5, 0.9)),
                "seed": chance.randrange(1 << 32),
                "calls": ["write", "flush"],
            }
            (folder / str(number)).mkdir()
            with FaultyDisk(image, folder / str(number)) as disk:
                disk.order(orders)
                writer = partial(append_batches, disk.mount / "night", seed * ROUNDS + number, BATCHES)
                ended = in_child(partial(writer, pages=chance.choice(PAGES)))
                row.expect(seed, f"the writer of round {number}", ended, WELL, FAILED)
                acknowledged += ended.acknowledged()
                orders["power"] = 0
                image = folder / f"{number}.img"
                disk.cut(orders, image)
        (folder / "at").mkdir()
        with mounted(image, folder / "at"):
            row.count(seed, acknowledged, in_child(partial(look, folder / "at" / "night", acknowledged)))


def power_cut_without_sync(work: Path, row: Row, seed: int) -> None:
    """The negative control: `synchronous=NORMAL` syncs no commit."""
    with _folder(work) as folder:
        with FaultyDisk(_image(work), folder) as disk:
            writer = partial(
                append_batches,
                disk.mount / "night",
                seed,
                FOR_GOOD,
                pages=FOR_GOOD,
                synchronous="NORMAL",
            )
            ended = in_child(writer, kill_after=20 + seed)
            now: Orders = _HEALTHY | {"power": 0, "survivors": 0.0, "calls": ["read", "write", "flush"]}
            disk.cut(now, folder / "left.img")
        (folder / "at").mkdir()
        with mounted(folder / "left.img", folder / "at"):
            acknowledged = ended.acknowledged()
            row.count(seed, acknowledged, in_child(partial(look, folder / "at" / "night", acknowledged)))


def input_output_error(calls: list[Call], work: Path, row: Row, seed: int, *, trusting: bool = False) -> None:
    """EIO once, twice in a row or until a repair; then a start on what Linux has cached, and a new mount.

    After a failed write Linux may show pages that are not on the disk: who believes them builds on sand.
    """
    chance = random.Random(seed)
    times = (1, 2, FOR_GOOD)[seed % 3]
    fail = chance.randrange(30 if calls == ["read"] else REQUESTS // 2)
    with _folder(work) as folder, FaultyDisk(_image(work), folder) as disk:
        night = disk.mount / "night"
        write = partial(append_batches, night, pages=chance.choice(PAGES), trusting=trusting)
        before = in_child(partial(write, 3 * seed, 5))
        row.expect(seed, "the writer before", before, WELL)
        disk.order(_HEALTHY | {"fail": fail, "times": times, "calls": calls})
        during = in_child(partial(write, 3 * seed + 1, BATCHES))
        met = disk.failures and calls != ["read"]
        row.expect(seed, "the writer", during, FAILED, *(() if met else (WELL,)))
        disk.order(_HEALTHY)
        after = in_child(partial(write, 3 * seed + 2, 5))
        if after.status == FAILED:
            # Linux has made the file system read-only.
            disk.mount_again()
            after = in_child(partial(write, 3 * seed + 2, 5))
        row.expect(seed, "the writer afterwards", after, WELL)
        disk.mount_again()
        acknowledged = [one for ended in (before, during, after) for one in ended.acknowledged()]
        row.count(seed, acknowledged, in_child(partial(look, night, acknowledged)))


def disk_full(work: Path, row: Row, seed: int) -> None:
    """A disk that is full at some point; the next start may fail, and succeeds when there is room."""
    with _folder(work) as folder:
        in_child(partial(make_night, folder / "night", opened=True))
        at = folder / "at"
        at.mkdir()
        used = sum(path.stat().st_blocks * 512 for path in (folder / "night").rglob("*"))
        size = used + ROOM + seed % SIZES * GROWTH
        run("mount", "-t", "tmpfs", "-o", f"size={size >> 10}k", "faults", at)
        try:
            night = at / "night"
            shutil.copytree(folder / "night", night)
            writer = partial(append_batches, night, seed, 1_000, pages=PAGES[seed % len(PAGES)])
            ended = in_child(writer)
            row.expect(seed, "the writer", ended, FAILED)
            acknowledged = ended.acknowledged()
            for _ in range(2):
                full = in_child(partial(look, night, acknowledged))
                row.expect(seed, "a start on the full disk", full, WELL, FAILED)
            run("mount", "-o", "remount,size=64m", at)
            row.count(seed, acknowledged, in_child(partial(look, night, acknowledged)))
        finally:
            run("umount", at)


def slow_disk(work: Path, row: Row, seed: int) -> None:
    """Every flush takes its time: nothing but the commits waits for it."""
    with _folder(work) as folder, FaultyDisk(_image(work), folder) as disk:
        disk.order(_HEALTHY | {"delay": SLOW_SECONDS})
        ended = in_child(partial(append_beside_a_loop, disk.mount / "night", seed, 10))
        row.expect(seed, "the writer", ended, WELL)
        acknowledged = ended.acknowledged()
        if ended.lines:
            pause = int(ended.lines[-1]) if ended.lines[-1].isdigit() else None
            row.notes.append(
                f"a flush takes {SLOW_SECONDS * 1_000:.0f} ms, the event loop's pause {pause} ms"
            )
        row.count(seed, acknowledged, in_child(partial(look, disk.mount / "night", acknowledged)))


@dataclass(frozen=True, slots=True)
class Fault:
    """What is tried.

    Attributes:
        name: in the table.
        attempt: does it with one seed, in a folder where it may leave things for the next.
        share: of the seeds that are asked for.
        tries: that one attempt makes.
        needs_disk: whether it needs our own disk.
        control: see `Row`; it takes the first seeds, whichever are asked for.
    """

    name: str
    attempt: Callable[[Path, Row, int], None]
    share: float
    tries: int = 1
    needs_disk: bool = True
    control: bool = False


FAULTS: Final = (
    Fault("power cut, synchronous=FULL", power_cut, 1.0, ROUNDS),
    Fault("control: synchronous=NORMAL must lose", power_cut_without_sync, 0.5, control=True),
    Fault("EIO on write", partial(input_output_error, ["write"]), 1.0),
    Fault(
        "control: a start that believes the cache must lose",
        partial(input_output_error, ["write"], trusting=True),
        1.5,
        control=True,
    ),
    Fault("EIO on fsync", partial(input_output_error, ["flush"]), 1.0),
    Fault("EIO on read, at a start", partial(input_output_error, ["read"]), 0.5),
    Fault("disk full", disk_full, 2.0, needs_disk=False),
    Fault("slow disk", slow_disk, 0.2),
)
