"""What a role measures of itself: the loop's lag, the disk, and its signs of life; time is a mock clock's."""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.base.logs import Log
from gateway.run.notify import Notifier
from gateway.run.upkeep import (
    DISK_SECONDS,
    LAG_SECONDS,
    LAG_WINDOW,
    DiskSpace,
    KeptCounter,
    Room,
    measure_loop_lag,
    shared_reserve,
    sign_of_life,
)


class Measured:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.gauge = Gauge("figure", "A figure.", registry=self.registry)
        self.lines: list[str] = []
        self.log = Log("ingest", self.lines.append, lambda: 0)
        self.clock = trio.testing.MockClock()

    @property
    def figure(self) -> float | None:
        return self.registry.get_sample_value("figure")

    @property
    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.lines]

    async def pass_time(self, seconds: float) -> None:
        await trio.testing.wait_all_tasks_blocked(0.001)
        self.clock.jump(seconds)
        await trio.testing.wait_all_tasks_blocked(0.001)

    def run(self, background: Callable[[], Awaitable[None]], test: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(background)
                await test()
                nursery.cancel_scope.cancel()

        trio.run(main, clock=self.clock)


def test_a_lag_is_seen_for_a_window_and_then_forgotten() -> None:
    measured = Measured()

    async def test() -> None:
        await measured.pass_time(LAG_SECONDS)
        assert measured.figure == pytest.approx(0.0)
        await measured.pass_time(LAG_SECONDS + 3.0)
        for _ in range(LAG_WINDOW):
            assert measured.figure == pytest.approx(3.0)
            await measured.pass_time(LAG_SECONDS)
        for _ in range(LAG_WINDOW):
            await measured.pass_time(LAG_SECONDS)
        assert measured.figure == pytest.approx(0.0)

    measured.run(lambda: measure_loop_lag(measured.gauge), test)


def test_signs_of_life_come_in_time() -> None:
    measured = Measured()
    signs: list[float] = []

    class Ear(Notifier):
        def alive(self) -> None:
            signs.append(trio.current_time())

    async def test() -> None:
        for _ in range(3):
            await measured.pass_time(15.0)

    measured.run(lambda: sign_of_life(Ear(None), 15.0), test)
    assert [sign - signs[0] for sign in signs] == pytest.approx([0.0, 15.0, 30.0, 45.0])


class Disk(NamedTuple):
    """What `os.statvfs` says."""

    f_bavail: int
    f_frsize: int


def test_a_disk_that_fills_up_and_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured()
    answers: list[Disk | OSError] = [
        Disk(100, 10),
        Disk(99, 10),
        Disk(50, 10),
        OSError(5, "Input/output error"),
        OSError(5, "Input/output error"),
        Disk(50, 10),
        Disk(100, 10),
    ]

    def statvfs(path: Path) -> Disk:
        found = answers.pop(0)
        if isinstance(found, OSError):
            raise found
        return found

    monkeypatch.setattr(os, "statvfs", statvfs)
    disk = DiskSpace(Path("data"), 1_000, measured.gauge, measured.log)
    assert disk.enough

    async def test() -> None:
        seen = []
        for _ in range(7):
            await disk.look()
            seen.append((disk.enough, measured.figure))
        low = (False, 500.0)
        assert seen == [(True, 1_000.0), (False, 990.0), low, low, low, low, (True, 1_000.0)]

    trio.run(test)
    assert measured.events == ["disk.low", "disk.unknown", "disk.enough"]


def test_the_disk_is_looked_at_again_and_again(tmp_path: Path) -> None:
    measured = Measured()
    looked = []

    class Counted(DiskSpace):
        async def look(self) -> None:
            looked.append(trio.current_time())

    disk = Counted(tmp_path, 1, measured.gauge, measured.log)

    async def test() -> None:
        for _ in range(3):
            await measured.pass_time(DISK_SECONDS)

    measured.run(disk.watch, test)
    assert len(looked) == 3


def test_the_publisher_stops_at_half_of_the_reserve_and_goes_on_with_all_of_it(tmp_path: Path) -> None:
    measured = Measured()
    disk = DiskSpace(tmp_path, 1_000, measured.gauge, measured.log)
    room = Room(disk, 1_000, measured.log)
    assert room()  # nobody has looked yet
    found = []
    for free in (1_000, 500, 499, 500, 999, 1_000, 500, 0):
        disk.free = free
        found.append(room())
    assert found == [True, True, False, False, False, True, True, False]
    assert measured.events == ["publish.no_room", "publish.room", "publish.no_room"]
    elsewhere = Room(disk, 0, measured.log)
    assert elsewhere()


def test_who_starts_without_room_waits_for_it(tmp_path: Path) -> None:
    measured = Measured()
    disk = DiskSpace(tmp_path, 1_000, measured.gauge, measured.log)
    room = Room(disk, 1_000, measured.log)
    disk.free = 1
    waited: list[float] = []

    async def wait() -> None:
        await room.wait()
        waited.append(trio.current_time())

    async def test() -> None:
        await measured.pass_time(3 * DISK_SECONDS)
        assert not waited
        disk.free = 1_000
        await measured.pass_time(DISK_SECONDS)
        await measured.pass_time(0)
        assert waited

    measured.run(wait, test)


def test_the_reserve_concerns_who_shares_the_disk(tmp_path: Path) -> None:
    (tmp_path / "feed").mkdir()
    assert shared_reserve(tmp_path, tmp_path / "feed", 7) == 7
    assert shared_reserve(tmp_path, Path("/proc"), 7) == 0


def test_a_real_disk_answers(tmp_path: Path) -> None:
    measured = Measured()
    disk = DiskSpace(tmp_path, 1, measured.gauge, measured.log)
    trio.run(disk.look)
    assert disk.enough
    assert measured.figure


def counted() -> tuple[CollectorRegistry, Counter]:
    registry = CollectorRegistry()
    counter = Counter("failures", "What ends a process.", ["op"], registry=registry)
    counter.labels("read")
    return registry, counter


def test_a_count_outlives_the_process_that_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    for lives in range(3):
        registry, counter = counted()
        kept = KeptCounter(counter, "op", path)
        assert registry.get_sample_value("failures_total", {"op": "append"}) == (lives or None)
        kept.keep()
        assert path.exists() == bool(lives)
        counter.labels("append").inc()
        kept.keep()
    assert json.loads(path.read_bytes()) == {"append": 3.0, "read": 0.0}


@pytest.mark.parametrize("content", [b"", b"{", b'{"append":"x"}', b'{"append":-1}', b"\xff", b"[]"])
def test_a_count_that_cannot_be_read_begins_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kept.json"
    path.write_bytes(content)
    registry, counter = counted()
    KeptCounter(counter, "op", path)
    assert registry.get_sample_value("failures_total", {"op": "read"}) == 0.0


def test_a_disk_that_takes_nothing_does_not_keep_a_process_from_ending(tmp_path: Path) -> None:
    _, counter = counted()
    kept = KeptCounter(counter, "op", tmp_path / "nowhere" / "kept.json")
    counter.labels("append").inc()
    kept.keep()
