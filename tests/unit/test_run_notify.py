"""Word to systemd, heard on real sockets."""

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.base.errors import TallygateError
from gateway.run.notify import Notifier, watchdog_interval


@contextmanager
def heard_at(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(5)
        yield listener


@pytest.mark.parametrize("abstract", [False, True])
def test_what_systemd_hears(tmp_path: Path, abstract: bool) -> None:
    name = f"tallygate-test-{uuid.uuid4()}"
    path = str(tmp_path / "notify")
    with heard_at(f"\0{name}" if abstract else path) as listener:
        with Notifier(f"@{name}" if abstract else path) as notifier:
            notifier.ready("2 entries")
            notifier.alive()
            notifier.stopping()
        assert [listener.recv(100) for _ in range(3)] == [
            b"READY=1\nSTATUS=2 entries",
            b"WATCHDOG=1",
            b"STOPPING=1",
        ]


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all"])
def test_nobody_who_listens_is_no_trouble(address: str | None) -> None:
    with Notifier(address) as notifier:
        notifier.ready("ready")
        notifier.alive()


def test_a_listener_that_does_not_read_stops_nothing(tmp_path: Path) -> None:
    with heard_at(str(tmp_path / "notify")), Notifier(str(tmp_path / "notify")) as notifier:
        for _ in range(10_000):
            notifier.alive()


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(TallygateError, match=r"notify\.address"):
        Notifier("vsock:2:1234")


@pytest.mark.parametrize(
    ("microseconds", "owner", "seconds"),
    [(None, None, None), ("30000000", None, 15.0), ("30000000", "7", 15.0), ("30000000", "8", None)],
)  # fmt: skip
def test_how_often_systemd_wants_a_sign_of_life(
    microseconds: str | None, owner: str | None, seconds: float | None
) -> None:
    assert watchdog_interval(microseconds, owner, 7) == seconds


@pytest.mark.parametrize("microseconds", ["", "0", "-1", "1.5", "١"])
def test_a_watchdog_that_makes_no_sense_is_refused(microseconds: str) -> None:
    with pytest.raises(TallygateError, match=r"notify\.watchdog"):
        watchdog_interval(microseconds, None, 7)
