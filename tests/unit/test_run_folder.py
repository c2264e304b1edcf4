"""Reading a night folder that is there: the log's key, the clock, and what a role has written."""

from pathlib import Path

import pytest

from gateway.base.clock import RehearsalClock, Segment
from gateway.base.errors import TallygateError
from gateway.run.folder import (
    NightFolder,
    ReadyFile,
    find_night,
    night_clock,
    read_log_seed,
    read_ready,
    write_ready,
)

SEED = bytes(range(32))
NOW = 1_800_000_000_000


@pytest.fixture
def night(tmp_path: Path) -> NightFolder:
    (tmp_path / "keys").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "tallygate.toml").touch()
    return NightFolder(tmp_path)


def write_key(path: Path, key: bytes, mode: int = 0o600) -> None:
    path.write_bytes(key)
    path.chmod(mode)


def code(night: NightFolder, credentials: Path | None = None) -> str:
    with pytest.raises(TallygateError) as caught:
        read_log_seed(night, credentials)
    assert SEED.hex() not in str(caught.value)
    return caught.value.code


def test_a_folder_is_a_night_by_its_configuration(night: NightFolder, tmp_path: Path) -> None:
    assert find_night(tmp_path) == night
    for other in (tmp_path / "keys", tmp_path / "nowhere", tmp_path / "tallygate.toml"):
        with pytest.raises(TallygateError, match=r"night\.missing"):
            find_night(other)


def test_the_log_key_from_its_file(night: NightFolder) -> None:
    assert code(night) == "keys.log"
    path = night.root / "keys" / "log.key"
    write_key(path, SEED)
    assert read_log_seed(night, None) == SEED
    write_key(path, SEED, 0o640)
    assert code(night) == "file.not_private"
    write_key(path, SEED[1:])
    assert code(night) == "keys.log"
    write_key(path, SEED + b"\n")
    assert code(night) == "file.too_large"


def test_the_log_key_from_systemd_comes_first_whatever_its_mode(night: NightFolder, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    write_key(night.root / "keys" / "log.key", bytes(32))
    assert read_log_seed(night, credentials) == bytes(32)
    write_key(credentials / "log.key", SEED, 0o440)
    assert read_log_seed(night, credentials) == SEED
    write_key(credentials / "log.key", b"")
    assert code(night, credentials) == "keys.log"


def test_the_clock_of_a_night(night: NightFolder) -> None:
    live = night_clock(night, lambda: NOW)
    assert live is not None
    assert live() == NOW
    night.clock.write_bytes(RehearsalClock(None, (Segment(1_000, 2),)).encode())
    assert night_clock(night, lambda: NOW) is None
    night.clock.write_bytes(RehearsalClock("2027-01-15T08:00:00.000Z", (Segment(1_000, 2),)).encode())
    rehearsal = night_clock(night, lambda: NOW + 500)
    assert rehearsal is not None
    assert rehearsal() == 2_000


def test_what_a_role_has_written_is_read_and_nothing_else(night: NightFolder) -> None:
    path = night.ready("ingest")
    assert path == night.root / "run" / "ingest.json"
    assert read_ready(path) is None
    ready = ReadyFile(
        7, "2027-01-15T08:00:00.000Z", ("[::1]:8443",), ("127.0.0.1:1",), "run/ledger.sock", None, 0
    )
    write_ready(path, ready)
    assert read_ready(path) == ready
    for other in (b"", b"{}", b"\xff", b'{"pid":"x"}', b" " * 70_000):
        path.write_bytes(other)
        assert read_ready(path) is None
