"""The monitor's word to systemd, heard on a real datagram socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from clients.observer.systemd import Systemd

PID = 4_711


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def test_what_is_said_is_heard(heard: socket.socket) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": heard.getsockname()}, PID)
    systemd.tell("READY=1")
    assert heard.recv(100) == b"READY=1"
    assert systemd.seconds is None


def test_signs_of_life_come_twice_a_deadline(heard: socket.socket) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": heard.getsockname(), "WATCHDOG_USEC": "30000000"}, PID)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(systemd.keep_alive)
            await trio.sleep(44)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert [heard.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    with pytest.raises(BlockingIOError):
        heard.recv(100)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(PID + 1)},
    ],
)
def test_without_a_watchdog_nobody_waits(environment: dict[str, str]) -> None:
    systemd = Systemd(environment, PID)
    trio.run(systemd.keep_alive)
    systemd.tell("READY=1")


def test_a_socket_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "nowhere")}, PID).tell("READY=1")
    Systemd({"NOTIFY_SOCKET": "@tallygate-nobody-listens"}, PID).tell("READY=1")
