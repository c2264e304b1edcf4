"""A publisher that dies, or whose disk fails, at any call of writing: no number means two files, ever.

What is written here has the shape of snapshots and no sense; the whole role stands in test_publish_kills.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from gateway.base.errors import TallygateError
from gateway.base.logs import Log
from gateway.feed.models import Latest
from gateway.publish.disk import Disk
from gateway.publish.protocol import Draft, FeedFile
from gateway.publish.writer import Feed
from tests.faults.feed_disk import CountingDisk, DeadlyDisk, FailingDisk, Killed, VolatileDisk

POWER_CUTS = 12


class Folder:
    """A feed's folder and the record beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.feed = root / "feed"
        self.hidden = root / "embargo"
        self.record = root / "data" / "last-snapshot"
        self.feed.mkdir(parents=True, exist_ok=True)
        self.record.parent.mkdir(exist_ok=True)
        self.lines: list[str] = []

    @contextlib.contextmanager
    def open(self, make: Callable[[str], Disk] = CountingDisk) -> Iterator[Feed]:
        with make(str(self.feed)) as disk:
            log = Log("publish", self.lines.append, lambda: 0)
            yield Feed(self.feed, self.record, disk, log, hidden=self.hidden)

    @property
    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.lines]

    def read(self, path: str) -> bytes:
        return (self.feed / path).read_bytes()

    def latest(self) -> dict[str, object] | None:
        """What a reader gets: pointer and checkpoint are whole, and so is everything that they name."""
        try:
            data = self.read("latest.json")
        except FileNotFoundError:
            return None
        latest = json.loads(data)
        number = latest["snapshot"]
        assert self.read(f"snapshots/{number}.json") == data
        assert json.loads(self.read(f"snapshots/{number}.note")) == latest["snapshot"]
        changes = self.read(f"snapshots/{number}.changes.json").decode()
        assert changes == f"changes {number} {latest['life']}"
        for path, text in latest["files"].items():
            assert self.read(path) == text.encode()
        size = int(self.read("log/checkpoint").split(b"\n")[1])
        assert size >= latest["size"]
        (tile,) = tiles(size // 10)
        assert self.read(tile.path) == tile.data
        assert isinstance(latest, dict)
        return latest


def draft(number: int, life: str) -> Draft:
    """Snapshot `number` as one life of the publisher would make it; its files grow with the number."""
    files = {f"areas/1/{number}{life}.json": f"area {number} {life}" * 50, f"stations/0/7-{number}.json": "7"}
    latest = json.dumps({"snapshot": number, "life": life, "size": 10 * number, "files": files}).encode()
    return Draft(
        number=number,
        sha256=hashlib.sha256(latest).digest(),
        snapshot=cast(Latest, None),  # the writer does not look
        latest=latest,
        note=json.dumps(number).encode(),
        files=[FeedFile(path, text.encode()) for path, text in files.items()],
        checkpoint=f"log.example\n{10 * number}\nroot\n\n— log.example signature\n".encode(),
        old_size=10 * (number - 1),
        size=10 * number,
        hidden_from=None,
        lifts=False,
        flags=(),
        stations=1,
        areas=1,
        changes=f"changes {number} {life}".encode(),
    )


def tiles(number: int) -> list[FeedFile]:
    return [FeedFile(f"log/tile/0/000.p/{10 * number}", b"hashes" * number)]


def publish(feed: Feed, number: int, life: str) -> None:
    feed.publish(draft(number, life), tiles(number))


def publish_two(folder: Folder) -> None:
    with folder.open() as feed:
        assert feed.recover() is None
        publish(feed, 1, "first")
        publish(feed, 2, "first")


def steps(root: Path) -> int:
    """How many calls the third snapshot takes."""
    counted = Folder(root)
    publish_two(counted)
    with counted.open(CountingDisk) as feed:
        feed.recover()
        publish(feed, 3, "second")
        assert isinstance(feed.disk, CountingDisk)
        return feed.disk.calls


def die(folder: Folder, make: Callable[[str], Disk]) -> None:
    """Is killed somewhere in the third snapshot."""
    with folder.open(make) as feed:
        feed.recover()
        with pytest.raises(Killed):
            publish(feed, 3, "second")


def go_on(folder: Folder, seen: dict[str, object] | None) -> None:
    """Starts again, and makes two more snapshots of other content than those that may be there."""
    with folder.open() as feed:
        past = feed.recover()
        assert past is not None
        assert past.latest is not None
        number = past.record.number
        assert number in (2, 3)
        latest = folder.latest()
        assert latest is not None
        # What the record names is published now, byte for byte; what was seen before stays.
        assert latest["snapshot"] == number
        assert hashlib.sha256(folder.read("latest.json")).hexdigest() == past.record.sha256
        if seen is not None and seen["snapshot"] == 3:
            assert latest == seen
        before = {path.name: path.read_bytes() for path in (folder.feed / "snapshots").glob("[0-9]*")}
        publish(feed, number + 1, "third")
        publish(feed, number + 2, "third")
        for name, data in before.items():
            assert folder.read(f"snapshots/{name}") == data
    latest = folder.latest()
    assert latest is not None
    assert latest["snapshot"] == number + 2


@pytest.mark.parametrize("half", [False, True])
def test_killed_at_every_call(tmp_path: Path, *, half: bool) -> None:
    numbers = set()
    for at in range(steps(tmp_path / "counted")):
        folder = Folder(tmp_path / str(at))
        publish_two(folder)
        die(folder, partial(DeadlyDisk, at=at, half=half))
        seen = folder.latest()
        assert seen is not None
        numbers.add(seen["snapshot"])
        # A number that a reader can have seen is on record.
        if (folder.feed / "snapshots" / "3.json").exists():
            assert json.loads(folder.record.read_bytes())["number"] == 3
        go_on(folder, seen)
    assert numbers == {2}  # nobody sees the third before the last call


def test_killed_while_it_completes(tmp_path: Path) -> None:
    """Between the record and the pointer, and then at every call of mending that."""
    total = steps(tmp_path / "counted")
    renames = 4
    for first in range(total - renames, total):
        for second in range(8):
            folder = Folder(tmp_path / f"{first}-{second}")
            publish_two(folder)
            die(folder, partial(DeadlyDisk, at=first, half=True))
            with folder.open(partial(DeadlyDisk, at=second, half=True)) as feed:
                try:
                    feed.recover()
                except Killed:
                    folder.latest()
            go_on(folder, json.loads(draft(3, "second").latest))


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_fails_at_any_call(tmp_path: Path, number: int) -> None:
    for at in range(steps(tmp_path / "counted")):
        folder = Folder(tmp_path / str(at))
        publish_two(folder)
        with folder.open(partial(FailingDisk, at=at, number=number)) as feed:
            feed.recover()
            with pytest.raises(OSError, match=r"Errno") as caught:
                publish(feed, 3, "second")
            assert caught.value.errno == number
        seen = folder.latest()
        assert seen is not None
        go_on(folder, seen)


def volatile(folder: Folder, at: int | None, kind: type[VolatileDisk] = VolatileDisk) -> VolatileDisk:
    """The third snapshot on a disk without power from its `at`-th call on."""
    made: list[VolatileDisk] = []

    def make(name: str) -> VolatileDisk:
        made.append(kind(name, folder.root, at))
        return made[-1]

    with contextlib.suppress(Killed), folder.open(make) as feed:
        feed.recover()
        publish(feed, 3, "second")
    return made[-1]


@pytest.mark.parametrize("seed", range(POWER_CUTS))
def test_a_power_cut_at_every_call(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for at in range(steps(tmp_path / "counted") + 1):
        folder = Folder(tmp_path / f"{at}-before")
        publish_two(folder)
        after = Folder(tmp_path / f"{at}-after")
        volatile(folder, at).cut(after.root, chance)
        # Before anybody has mended anything, the pointer and what it names are whole.
        go_on(after, after.latest())


class LazyDisk(VolatileDisk):
    """Says that it has synced everything, and has not."""

    def sync_all(self) -> None:
        pass


def test_the_harness_can_see_a_publisher_that_does_not_sync(tmp_path: Path) -> None:
    found = 0
    for seed in range(POWER_CUTS):
        folder = Folder(tmp_path / f"{seed}-before")
        publish_two(folder)
        after = Folder(tmp_path / f"{seed}-after")
        volatile(folder, None, LazyDisk).cut(after.root, random.Random(seed))
        try:
            after.latest()
        except (AssertionError, ValueError, IndexError, FileNotFoundError):
            found += 1
    assert found


def test_a_number_is_made_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    publish_two(folder)
    with folder.open() as feed:
        feed.recover()
        for number in (1, 2, 4):
            with pytest.raises(ValueError, match="3 is the next"):
                publish(feed, number, "second")


def test_a_snapshot_that_somebody_has_changed_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    publish_two(folder)
    (folder.feed / "snapshots" / "2.json").write_bytes(draft(2, "other").latest)
    with folder.open() as feed, pytest.raises(TallygateError) as caught:
        feed.recover()
    assert caught.value.code == "publish.snapshot"
    assert caught.value.place.endswith("snapshots/2.json")


def test_a_lost_record_is_found_in_the_snapshots(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    publish_two(folder)
    old = folder.record.read_bytes()
    go_on_from = {"nothing": None, "an old copy": old}
    with folder.open() as feed:
        feed.recover()
        publish(feed, 3, "second")
    for left in go_on_from.values():
        if left is None:
            folder.record.unlink()
        else:
            folder.record.write_bytes(left)
        with folder.open() as feed:
            past = feed.recover()
            assert past is not None
            assert past.record.number == 3
            assert past.latest == draft(3, "second").latest
    assert "publish.record_lost" in folder.events


def test_rubbish_in_the_record_is_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    publish_two(folder)
    folder.record.write_bytes(b"{}")
    with folder.open() as feed, pytest.raises(TallygateError) as caught:
        feed.recover()
    assert caught.value.code == "publish.record"


def test_a_lost_snapshot_leaves_its_number_used(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    publish_two(folder)
    (folder.feed / "snapshots" / "2.json").unlink()
    with folder.open() as feed:
        # The pointer has the same bytes.
        past = feed.recover()
        assert past is not None
        assert past.latest == draft(2, "first").latest
    assert folder.read("snapshots/2.json") == draft(2, "first").latest
    for name in ("snapshots/2.json", "latest.json"):
        (folder.feed / name).unlink()
    with folder.open() as feed:
        past = feed.recover()
        assert past is not None
        assert (past.record.number, past.latest) == (2, None)
        publish(feed, 3, "second")
    assert "publish.snapshot_lost" in folder.events


def test_what_is_missing_comes_back_and_only_that_is_written(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    publish_two(folder)
    files = [*draft(2, "first").files, *tiles(2)]
    with folder.open() as feed:
        feed.recover()
        assert feed.restore(files, compare=True) == 0
        (folder.feed / files[0].path).unlink()
        assert feed.restore(files, compare=False) == 1
        (folder.feed / files[0].path).write_bytes(files[0].data[::-1])
        assert feed.restore(files, compare=False) == 0
        assert feed.restore(files, compare=True) == 1
    folder.latest()


def test_a_clean_end_is_known(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    publish_two(folder)
    for clean in (False, True, False):
        with folder.open() as feed:
            feed.recover()
            assert feed.begin() is clean
            if not clean:
                feed.end()


class Unsynced(CountingDisk):
    """Kills when everything is written and nothing is durable."""

    def sync_all(self) -> None:
        raise Killed


def test_what_a_crash_has_left_of_a_number_is_not_published_with_another_file(tmp_path: Path) -> None:
    """One with a list of changes dies before its record; made again, it is under embargo and has none."""
    folder = Folder(tmp_path)
    with folder.open() as feed:
        feed.recover()
        feed.publish(draft(1, "a"), tiles(1))
    with folder.open(Unsynced) as feed:
        feed.recover()
        with pytest.raises(Killed):
            feed.publish(draft(2, "a"), tiles(2))
    left = folder.feed / "snapshots" / ".2.changes.json.tmp"
    assert left.exists()
    with folder.open() as feed:
        feed.recover()
        feed.publish(dataclasses.replace(draft(2, "b"), changes=None), tiles(2))
    with folder.open() as feed:
        feed.recover()
    assert not (folder.feed / "snapshots" / "2.changes.json").exists()
    assert not left.exists()
