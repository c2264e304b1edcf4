"""tallygate.toml: what is written is read, and every fault is named with its line."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.base.config import (
    NOTES,
    Config,
    ConfigError,
    Endpoint,
    Limits,
    Listen,
    Roles,
    Tls,
    parse_address,
    read_config,
    render,
)
from gateway.base.errors import TallygateError

ADDRESSES = st.builds(
    lambda host, port: f"{host}:{port}",
    st.sampled_from(["127.0.0.1", "[::1]", "[fe80::1%eth0]", "localhost", "box-1.example"]),
    st.integers(1, 65_535),
)
COUNTS = st.integers(1, 2**53 - 1)
TIMES = st.integers(1, 3_600)
LIMITS = st.fixed_dictionaries(
    {name: TIMES if "seconds" in name else COUNTS for name in Limits.__struct_fields__}
    | {"handshake_seconds": st.just(3_600)}
).map(lambda found: msgspec.convert(found, Limits))
CONFIGS = st.builds(
    lambda found, roles, stale, limits: Config(
        listen=Listen(tuple(found[5:]), (found[4],), *found[:4]),
        roles=Roles(tuple(roles)),
        tls=Tls(stale),
        limits=limits,
    ),
    st.lists(ADDRESSES, min_size=6, max_size=9, unique=True),
    st.lists(st.sampled_from(["ingest", "publish", "web", "monitor"]), min_size=1, unique=True),
    st.sampled_from(["keep", "refuse"]),
    LIMITS,
)


def read(folder: Path, text: str | bytes) -> Config:
    path = folder / "tallygate.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_config(path)


def faults(folder: Path, text: str | bytes) -> list[tuple[str, int, str]]:
    """Code, line and sentence of each."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    found = []
    for fault in caught.value.faults:
        place = re.fullmatch(rf"{re.escape(str(folder))}/tallygate\.toml(?::([0-9]+))?", fault.place)
        assert place is not None
        found.append((fault.code, int(place[1] or 0), fault.detail))
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONFIGS)
def test_what_is_written_is_read(tmp_path: Path, config: Config) -> None:
    written = render(config)
    assert read(tmp_path, written) == config
    assert render(read(tmp_path, written)) == written


@pytest.mark.parametrize("text", ["", "# nothing\n", "[limits]\n", "\ufeff[tls]\r\ncrl_stale = 'keep'\r\n"])
def test_whatever_is_left_out_has_its_default(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == Config()


def test_a_table_may_be_written_in_any_way_of_toml(tmp_path: Path) -> None:
    text = 'limits.connections = 7\n"tls" = { crl_stale = "refuse" }\n[ listen ]\n"box" = [\n  "[::]:1",\n]\n'
    expected = Config(listen=Listen(box=("[::]:1",)), tls=Tls("refuse"), limits=Limits(connections=7))
    assert read(tmp_path, text) == expected


KEYS = [f"{table}.{key}" for table, key in (name.split(".") for name in NOTES if "." in name)]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "wrong", ["{}", "true", "[[1]]", "1.5", '"\\u0000"', "0", "2000-01-01", "99999999999999999999"]
)
def test_a_wrong_value_of_every_key_is_named_with_its_line(tmp_path: Path, key: str, wrong: str) -> None:
    lines = render(Config()).decode().splitlines()
    table, name = key.split(".")
    start = lines.index(f"[{table}]")
    line = next(number for number in range(start, len(lines)) if lines[number].startswith(f"{name} = "))
    lines[line] = f"{name} = {wrong}"
    [(code, at, detail)] = faults(tmp_path, "\n".join(lines))
    assert code in {"config.type", "config.value"}
    assert (at, detail.startswith(key)) == (line + 1, True)


@pytest.mark.parametrize("key", KEYS)
def test_a_misspelt_key_is_named_with_its_line_and_the_one_that_was_meant(tmp_path: Path, key: str) -> None:
    lines = render(Config()).decode().splitlines()
    table, name = key.split(".")
    start = lines.index(f"[{table}]")
    line = next(number for number in range(start, len(lines)) if lines[number].startswith(f"{name} = "))
    lines[line] = lines[line].replace(name, f"{name}_")
    [(code, at, detail)] = faults(tmp_path, "\n".join(lines))
    assert (code, at) == ("config.key", line + 1)
    assert f"did you mean {name}?" in detail


def test_all_faults_are_named_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = """\
[listen]
box = ["0.0.0.0:8443",
   "::1:8443", # no brackets
   5]
operations_web = "127.0.0.1:8443"
[roles]
start = ["ingest", "ingst", "ingest"]
[limts]
x = 1
[limits]
handshake_seconds = 3
refusals_kept = true
[tls]
crl_stale = "no"
"""
    assert [(code, line) for code, line, _ in faults(tmp_path, text)] == [
        ("config.value", 3),
        ("config.type", 4),
        ("config.value", 7),
        ("config.key", 8),
        ("config.value", 11),
        ("config.type", 12),
        ("config.value", 14),
    ]


@pytest.mark.parametrize(
    ("text", "code", "line", "words"),
    [
        ("[limits]\nconnections = 0\n", "config.value", 2, "a whole number from 1"),
        ("limits = 5\n", "config.type", 1, "write [limits] on a line of its own"),
        ("[[limits]]\n", "config.type", 1, "write [limits]"),
        ("connections = 5\n", "config.key", 1, "there are listen, roles, tls, limits"),
        ('[listen]\nweb = ["a:1", "a:1"]\n', "config.value", 2, "a:1 stands at listen.web[1] too"),
        ('[roles]\nstart = ["ingest", "ingest"]\n', "config.value", 2, '"ingest" stands here twice'),
        ("[roles]\nstart = []\n", "config.value", 2, "at least one of"),
        ("[limits]\nhandshake_seconds_under_pressure = 11\n", "config.value", 2, "it can only be less"),
        ("[limits]\nrequest_seconds = 3601\n", "config.value", 2, "from 1 to 3600"),
        ("[tls]\n\ncrl_stale = \n", "config.toml", 3, "this is not TOML"),
        (b"[tls]\n# \xff\n", "config.encoding", 2, "UTF-8"),
        (b"#" * 70_000, "file.too_large", 0, "65,536 bytes"),
    ],
)
def test_faults(tmp_path: Path, text: str | bytes, code: str, line: int, words: str) -> None:
    [found] = faults(tmp_path, text)
    assert found[:2] == (code, line)
    assert words in found[2]


def test_a_long_value_is_not_repeated_whole(tmp_path: Path) -> None:
    [(_, _, detail)] = faults(tmp_path, f'[tls]\ncrl_stale = "{"x" * 9_000}"\n')
    assert len(detail) < 250


def test_port_0_may_stand_anywhere_twice(tmp_path: Path) -> None:
    text = '[listen]\nbox = ["127.0.0.1:0", "127.0.0.1:0"]\noperations_ingest = "127.0.0.1:0"\n'
    assert read(tmp_path, text).listen.operations_ingest == "127.0.0.1:0"


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:8443", ("127.0.0.1", 8443)),
        ("[::]:0", ("::", 0)),
        ("[fe80::1%eth0]:65535", ("fe80::1%eth0", 65_535)),
        ("localhost:1", ("localhost", 1)),
        ("Box-1.Example:80", ("Box-1.Example", 80)),
    ],
)
def test_addresses(text: str, endpoint: tuple[str, int]) -> None:
    assert parse_address(text) == endpoint
    assert str(Endpoint(*endpoint)) == text


@pytest.mark.parametrize(
    "text",
    ["", ":1", "a", "a:", "a:x", "a:65536", "a:-1", "a: 1", "::1:80", "[::1]", "[127.0.0.1]:1", "[a]:1",
     "256.1.1.1:1", "1.2.3:4", "a..b:1", "a_b:1", "a:1\n", "[::1]:1:2", "http://a:1", "а:1", "a:١",
     "a" * 64 + ":1", "a:000001"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(TallygateError) as caught:
        parse_address(text, place="here")
    assert (caught.value.code, caught.value.place) == ("config.value", "here")


def described(kinds: Sequence[type[msgspec.Struct]]) -> list[str]:
    return [field.name for kind in kinds for field in msgspec.structs.fields(kind)]


def test_every_key_of_the_structs_was_tried_above() -> None:
    assert sorted(described([Listen, Roles, Tls, Limits])) == sorted(key.split(".")[1] for key in KEYS)
