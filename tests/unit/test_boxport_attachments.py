"""Papers without a network: any parts, any order of failures, and kills between any two calls of the disk."""

import hashlib
import itertools
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gateway.base.config import Limits
from gateway.base.logs import Log
from gateway.base.media import MEDIA, START_BYTES, medium_of
from gateway.base.metrics import IngestMetrics
from gateway.boxport import problems
from gateway.boxport.attachments import Attachments, CutOffError, Shelf, Taken, Wanted
from gateway.boxport.problems import Problem
from tests.boxport_client import FakeIntake

PNG = MEDIA[1]
HASH = hashlib.sha256(b"abc").digest()

# Kills itself before the n-th call that changes the disk.
WORKER = """
import os, sys
from pathlib import Path
from gateway.boxport.attachments import Shelf

left = [int(sys.argv[2])]

def deadly(function):
    def call(*arguments, **others):
        if left[0] == 0:
            os.kill(os.getpid(), 9)
        left[0] -= 1
        return function(*arguments, **others)
    return call

for name in ("open", "write", "fchmod", "fsync", "close", "rename", "replace", "unlink"):
    setattr(os, name, deadly(getattr(os, name)))
"""
STORE = """
shelf = Shelf(Path(sys.argv[1]))
incoming = shelf.begin(bytes.fromhex(sys.argv[3]))
incoming.write(b"a")
incoming.write(b"bc")
print(incoming.finish())
"""
# What a careless program does: the name first, then the bytes.
CARELESS = """
descriptor = os.open(Path(sys.argv[1]) / sys.argv[3], os.O_WRONLY | os.O_CREAT)
os.write(descriptor, b"a")
os.write(descriptor, b"bc")
os.close(descriptor)
"""


class Parts:
    """A body that comes in these parts; at its end it is cut off, if it was not whole."""

    def __init__(self, parts: Sequence[bytes], size: int) -> None:
        self._parts = list(parts)
        self._left = size

    async def begin(self, seconds: float) -> None:
        assert seconds >= Limits().request_seconds
        await trio.lowlevel.checkpoint()

    async def part(self) -> tuple[bytes, bool]:
        await trio.lowlevel.checkpoint()
        if not self._parts:
            raise CutOffError
        part = self._parts.pop(0)
        self._left -= len(part)
        return part, self._left == 0


def take(folder: Path, wanted: Wanted, parts: Sequence[bytes]) -> Taken | Problem | None:
    """What becomes of a paper; None: the line was cut."""

    async def main() -> Taken | Problem | None:
        attachments = Attachments(
            Shelf(folder),
            FakeIntake(),
            {},
            limits=Limits(),
            free=lambda: 1 << 40,
            metrics=IngestMetrics("0", process=False),
            log=Log("ingest", lambda _: None, lambda: 0),
        )
        try:
            return await attachments.take(wanted, Parts(parts, wanted.size))
        except CutOffError:
            return None

    return trio.run(main, clock=MockClock())


@st.composite
def _cut(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A paper and the parts that it comes in."""
    start = draw(st.sampled_from([PNG.starts[0], PNG.starts[0][:5], b"<svg", b""]))
    data = start + draw(st.binary(min_size=1, max_size=300)) * draw(st.sampled_from([1, 700]))
    cuts = sorted(draw(st.sets(st.integers(1, len(data)), max_size=6)) - {len(data)})
    edges = [0, *cuts, len(data)]
    return data, [data[a:b] for a, b in itertools.pairwise(edges)]


@given(_cut(), st.sampled_from(["whole", "whole", "flipped", "cut"]))
def test_a_file_is_the_paper_or_is_not_there(cut: tuple[bytes, list[bytes]], how: str) -> None:
    data, parts = cut
    sha256 = hashlib.sha256(data).digest()
    if how == "flipped":
        parts[-1] = parts[-1][:-1] + bytes([parts[-1][-1] ^ 1])
    elif how == "cut":
        parts = parts[:-1]
    wanted = Wanted(sha256, len(data), PNG, False, {1: 1 << 40})
    right = medium_of(data[:START_BYTES]) == PNG
    with TemporaryDirectory() as name:
        folder = Path(name)
        taken = take(folder, wanted, parts)
        found = {entry.name: entry.read_bytes() for entry in folder.iterdir()}
        if how == "whole" and right:
            assert (taken, found) == ("stored", {sha256.hex(): data})
            return
        assert found == {}
        if how == "whole":
            assert taken is problems.NOT_ITS_MEDIUM
        elif how == "flipped":
            assert taken in (problems.NOT_ITS_HASH, problems.NOT_ITS_MEDIUM)
        else:
            assert taken in (None, problems.NOT_ITS_MEDIUM)


def test_media_are_told_apart_by_their_first_bytes() -> None:
    starts = [(start, medium) for medium in MEDIA for start in medium.starts]
    for start, medium in starts:
        assert medium_of(start) == medium_of((start + bytes(START_BYTES))[:START_BYTES]) == medium
        assert medium_of(start[:-1]) is None
        others = [other for other, _ in starts if other != start]
        assert not any(other.startswith(start) for other in others)
    assert medium_of(b"") is None
    assert [medium.number for medium in MEDIA] == [1, 2, 3, 4]


def work(program: str, folder: Path, calls: int) -> subprocess.CompletedProcess[bytes]:
    """Runs a program up to its n-th call."""
    return subprocess.run(
        [sys.executable, "-c", WORKER + program, str(folder), str(calls), HASH.hex()],
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("calls", range(14))
def test_killed_before_any_call_of_the_disk(tmp_path: Path, calls: int) -> None:
    """Under its name a paper is whole; what else is left, the next start removes."""
    done = work(STORE, tmp_path, calls)
    killed = done.returncode == -9
    assert killed or (done.returncode == 0 and done.stdout == b"stored\n"), done.stderr
    left = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    whole = left.pop(HASH.hex(), None)
    assert whole in (None, b"abc")
    assert killed or whole is not None
    assert all(one.startswith(".") for one in left)
    shelf = Shelf(tmp_path)
    assert shelf.clean() == len(left)
    assert shelf.holds(HASH, 3) == (whole is not None)
    assert not shelf.holds(HASH, 4)
    incoming = shelf.begin(HASH)
    incoming.write(b"abc")
    assert incoming.finish() == ("stored" if whole is None else "known")
    assert list(tmp_path.iterdir()) == [tmp_path / HASH.hex()]


def test_the_kills_would_find_a_careless_program(tmp_path: Path) -> None:
    found = set()
    for calls in range(5):
        folder = tmp_path / str(calls)
        folder.mkdir()
        work(CARELESS, folder, calls)
        found |= {entry.read_bytes() for entry in folder.iterdir()}
    assert found == {b"", b"a", b"abc"}


def test_a_paper_that_has_its_name_counts_though_nobody_waited_for_its_row(tmp_path: Path) -> None:
    """Else whoever times its last byte well would have a share without end."""
    first, second = PNG.starts[0] + b"1", PNG.starts[0] + b"2"

    class Slow(FakeIntake):
        async def store_paper(self, sha256: bytes, size: int, media: int) -> None:
            await trio.sleep(60)

    async def main() -> None:
        attachments = Attachments(
            Shelf(tmp_path),
            Slow(),
            {},
            limits=Limits(),
            free=lambda: 1 << 40,
            metrics=IngestMetrics("0", process=False),
            log=Log("ingest", lambda _: None, lambda: 0),
        )

        async def bring(data: bytes) -> Taken | Problem:
            wanted = Wanted(hashlib.sha256(data).digest(), len(data), PNG, False, {1: len(first)})
            return await attachments.take(wanted, Parts([data], len(data)))

        with trio.move_on_after(1) as scope:
            await bring(first)
        assert scope.cancelled_caught
        assert await bring(second) is problems.PAPERS_QUOTA
        # It is there, and needs no room.
        assert await bring(first) == "known"

    trio.run(main, clock=MockClock(autojump_threshold=0.01))
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [first]


def test_nobody_is_told_of_a_name_that_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one asks just when the folder's fsync fails behind the rename."""
    shelf = Shelf(tmp_path)
    incoming = shelf.begin(HASH)
    incoming.write(b"abc")
    told: list[bool] = []
    another = threading.Thread(target=lambda: told.append(shelf.keeps(HASH, 3, True)))

    def sync(_: Path) -> None:
        assert (tmp_path / HASH.hex()).exists()
        another.start()
        # Whoever does not wait is told by now.
        another.join(0.1)
        raise OSError(5, "the disk")

    monkeypatch.setattr("gateway.boxport.attachments.sync_directory", sync)
    with pytest.raises(OSError, match="the disk"):
        incoming.finish()
    another.join()
    assert told == [False]
    assert list(tmp_path.iterdir()) == []


def test_a_link_or_a_folder_is_no_paper(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"abc")
    (tmp_path / HASH.hex()).symlink_to(tmp_path / "elsewhere")
    shelf = Shelf(tmp_path)
    assert not shelf.holds(HASH, 3)
    incoming = shelf.begin(HASH)
    incoming.write(b"abc")
    assert incoming.finish() == "stored"
    assert shelf.holds(HASH, 3)
    assert not (tmp_path / HASH.hex()).is_symlink()
