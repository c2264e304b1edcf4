import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.clock import (
    MAX_TIME,
    RehearsalClock,
    Segment,
    format_time,
    parse_time,
    system_clock,
    to_datetime,
)
from gateway.base.config import NOTES, Config, Listen, render
from gateway.base.errors import TallygateError


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01 06:00:00+06:00", 0),
        ("2021-11-28T20:00:00+06:00", 1_638_108_000_000),
        ("2021-11-28T09:30:00.25-04:30", 1_638_108_000_250),
        ("2021-11-28t14:00:00.999999z", 1_638_108_000_999),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
    ],
)
def test_times_that_are_read(text: str, at: int) -> None:
    assert parse_time(text) == at


@pytest.mark.parametrize(
    "text",
    ["", "2021-11-28", "20:00", "2021-11-28T20:00:00", "2021-11-28T20:00+06:00", "2021-13-01T00:00:00Z",
     "2023-02-29T00:00:00Z", "2021-11-28T24:00:00Z", "2021-11-28T20:00:60Z", "2021-11-28T20:00:00+25:00",
     "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+01:00", "٢٠٢١-11-28T20:00:00Z", "2021-11-28T20:00:00Z\n"],
)  # fmt: skip
def test_times_that_are_refused(text: str) -> None:
    with pytest.raises(TallygateError) as caught:
        parse_time(text, place="here")
    assert (caught.value.code, caught.value.place) == ("time.malformed", "here")


@given(st.integers(0, MAX_TIME))
def test_what_is_written_is_read(at: int) -> None:
    assert parse_time(format_time(at)) == at
    assert to_datetime(at).timestamp() == pytest.approx(at / 1000)


def test_the_machine_has_a_clock() -> None:
    assert 1_700_000_000_000 < system_clock() < MAX_TIME


def test_the_clock_file() -> None:
    clock = RehearsalClock(None, (Segment(1_000, 10), Segment(2_000, 1)))
    data = clock.encode()
    assert data == b'{"real_start":null,"segments":[{"at":1000,"speed":10},{"at":2000,"speed":1}]}\n'
    assert msgspec.json.decode(data, type=RehearsalClock) == clock


def test_the_written_configuration_is_the_one_meant() -> None:
    for config in (Config(), Config(listen=Listen(box=("[::1]:1", 'a"\\ж:2')))):
        assert msgspec.convert(tomllib.loads(render(config).decode()), Config) == config


def test_every_key_has_its_place_among_the_notes() -> None:
    config = Config()
    keys = set()
    for table in config.__struct_fields__:
        keys |= {table} | {f"{table}.{key}" for key in getattr(config, table).__struct_fields__}
    assert keys == set(NOTES)


def test_the_file_is_readable() -> None:
    assert all(len(line) <= 110 for line in render(Config()).decode().splitlines())
