"""The fleet's election clock: the gateway's, read a second time."""

from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from clients.fleet import clock
from clients.fleet.clock import ElectionClock, Segment
from clients.wire.errors import WireError
from gateway.base import clock as gateway_clock

STARTED = 1_800_000_000_000
HOURS = [
    Segment(at=1_000_000, speed=1),
    Segment(at=1_010_000, speed=300),
    Segment(at=4_610_001, speed=7),
]


@given(
    st.lists(st.tuples(st.integers(1, 10**8), st.integers(1, 10**5)), min_size=1, max_size=5),
    st.integers(0, 10**7),
)
def test_it_is_the_gateways(steps: list[tuple[int, int]], elapsed: int) -> None:
    at, segments = 0, []
    for step, speed in steps:
        at += step
        segments.append(Segment(at, speed))
    now = STARTED + elapsed
    own = ElectionClock(lambda: now, STARTED, segments)
    theirs = gateway_clock.ElectionClock(
        lambda: now, STARTED, [gateway_clock.Segment(one.at, one.speed) for one in segments]
    )
    assert own.now() == theirs()
    for shown in (own.now(), own.now() + 1, at, at + 12_345):
        assert max(0, own.real_at(shown) - now) == round(theirs.real_seconds_until(shown) * 1_000)


@given(st.integers(0, 5_000_000))
def test_the_first_moment(at: int) -> None:
    due = ElectionClock(lambda: 0, STARTED, HOURS).real_at(at)
    assert ElectionClock(lambda: due, STARTED, HOURS).now() >= at
    if due > STARTED:
        assert ElectionClock(lambda: due - 1, STARTED, HOURS).now() < at


def test_until(autojump: MockClock) -> None:
    async def main() -> None:
        own = ElectionClock(lambda: STARTED + round(trio.current_time() * 1_000), STARTED, HOURS)
        await own.until(1_000_000 + 10_000 + 3_600_000)
        assert trio.current_time() == pytest.approx(10 + 12)
        assert own.now() == 4_610_000
        await own.until(0)
        assert trio.current_time() == pytest.approx(10 + 12)

    trio.run(main, clock=autojump)


@pytest.fixture
def autojump() -> MockClock:
    return MockClock(autojump_threshold=0)


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    segments = (gateway_clock.Segment(5, 2), gateway_clock.Segment(9, 1))
    path.write_bytes(gateway_clock.RehearsalClock(None, segments).encode())
    assert clock.read(path) is None
    started = gateway_clock.start_clock(path, STARTED)
    assert started.real_start is not None
    assert clock.read(path) == (STARTED, (Segment(5, 2), Segment(9, 1)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"real_start":null,"segments":[]}',
        b'{"real_start":null,"segments":[{"at":1,"speed":0}]}',
        b'{"real_start":null,"segments":[{"at":2,"speed":1},{"at":2,"speed":1}]}',
        b'{"real_start":"today","segments":[{"at":1,"speed":1}]}',
    ],
)
def test_no_clock(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "clock.json"
    path.write_bytes(data)
    with pytest.raises(WireError) as caught:
        clock.read(path)
    assert caught.value.code == "clock.malformed"
