"""The rehearsal's clock: segments, their start, and files that are refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.clock import (
    MAX_SEGMENTS,
    MAX_SPEED,
    MAX_TIME,
    Clock,
    ElectionClock,
    RehearsalClock,
    Segment,
    format_time,
    read_clock,
    start_clock,
)
from gateway.base.errors import TallygateError

START = 1_800_000_000_000
GOOD = {"real_start": None, "segments": [{"at": 1_000, "speed": 10}, {"at": 2_000, "speed": 1}]}


def at(now: int) -> Clock:
    return lambda: now


def test_without_segments_it_is_real_time() -> None:
    clock = ElectionClock(at(START))
    assert (clock(), clock.speed) == (START, 1)
    assert clock.real_seconds_until(START + 1_500) == 1.5
    assert clock.real_seconds_until(START) == 0.0


@pytest.mark.parametrize(
    ("elapsed", "shown", "speed"),
    [(-5_000, 1_000, 10), (0, 1_000, 10), (50, 1_500, 10), (99, 1_990, 10), (100, 2_000, 1), (101, 2_001, 1),
     (1_100, 3_000, 100_000), (1_101, 103_000, 100_000), (MAX_TIME, MAX_TIME, 100_000)],
)  # fmt: skip
def test_each_segment_runs_at_its_speed_until_the_next(elapsed: int, shown: int, speed: int) -> None:
    segments = (Segment(1_000, 10), Segment(2_000, 1), Segment(3_000, 100_000))
    clock = ElectionClock(at(START + elapsed), START, segments)
    assert (clock(), clock.speed) == (shown, speed)


def test_a_segment_that_a_millisecond_does_not_divide_begins_not_too_early() -> None:
    segments = (Segment(0, 7), Segment(10, 1))
    shown = [ElectionClock(at(START + elapsed), START, segments)() for elapsed in range(5)]
    assert shown == [0, 7, 10, 11, 12]


SEGMENTS = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(1, 1_000)),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one[0],
).map(lambda found: tuple(Segment(*one) for one in sorted(found)))


@given(SEGMENTS, st.integers(0, 10**7), st.integers(0, 10**7))
def test_time_never_runs_back(segments: tuple[Segment, ...], one: int, other: int) -> None:
    earlier, later = sorted([one, other])
    shown = [ElectionClock(at(START + elapsed), START, segments)() for elapsed in (earlier, later)]
    assert shown[0] <= shown[1]


@given(SEGMENTS, st.integers(0, 10**6), st.integers(0, 2 * 10**6))
def test_who_waits_as_long_as_it_says_waits_enough_and_not_a_millisecond_too_long(
    segments: tuple[Segment, ...], elapsed: int, due: int
) -> None:
    now = START + elapsed
    clock = ElectionClock(at(now), START, segments)
    wait = round(clock.real_seconds_until(due) * 1_000)
    assert ElectionClock(at(now + wait), START, segments)() >= due
    if wait:
        assert ElectionClock(at(now + wait - 1), START, segments)() < due


def test_who_asks_before_the_start_waits_for_it_too() -> None:
    clock = ElectionClock(at(START - 2_000), START, (Segment(1_000, 10),))
    assert clock.real_seconds_until(2_000) == 2.1


def test_the_first_start_stays(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    path.write_text(json.dumps(GOOD))
    assert read_clock(path).real_start is None
    started = start_clock(path, START)
    assert started.real_start == format_time(START)
    assert start_clock(path, START + 5_000) == started == read_clock(path)
    assert ElectionClock.of(started, at(START + 60))() == 1_600
    with pytest.raises(ValueError, match="does not run"):
        ElectionClock.of(RehearsalClock(None, (Segment(0, 1),)), at(START))


@pytest.mark.parametrize(
    "change",
    [
        {"real_start": "2026-11-29T20:00:00Z"},
        {"real_start": "2026-11-29T20:00:00.000+06:00"},
        {"real_start": "yesterday"},
        {"real_start": 5},
        {"segments": []},
        {"segments": [{"at": 1, "speed": 0}]},
        {"segments": [{"at": 1, "speed": MAX_SPEED + 1}]},
        {"segments": [{"at": -1, "speed": 1}]},
        {"segments": [{"at": MAX_TIME + 1, "speed": 1}]},
        {"segments": [{"at": 1.5, "speed": 1}]},
        {"segments": [{"at": 5, "speed": 1}, {"at": 5, "speed": 2}]},
        {"segments": [{"at": 5, "speed": 1}, {"at": 4, "speed": 2}]},
        {"segments": [{"at": 1}]},
        {"segments": [{"at": 1, "speed": 1, "more": 1}]},
        {"segments": [{"at": at, "speed": 1} for at in range(MAX_SEGMENTS + 1)]},
        {"more": 1},
    ],
)
def test_every_deviation_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "clock.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(TallygateError) as caught:
        read_clock(path)
    assert (caught.value.code, caught.value.place) == ("clock.malformed", str(path))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"real_start":null}', b"\xff", b" " * 70_000])
def test_what_is_no_clock_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "clock.json"
    path.write_bytes(data)
    with pytest.raises(TallygateError, match=r"clock\.malformed|file\.too_large"):
        read_clock(path)
