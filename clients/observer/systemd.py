"""Word to systemd while the monitor runs: ready, alive, stopping (sd_notify(3)).

What lives here: `Systemd`. Without NOTIFY_SOCKET nothing is sent; a socket that is full or gone is systemd's
trouble, which acts on silence.
"""

import contextlib
import socket
from collections.abc import Mapping
from typing import Final

import trio

_MICROSECONDS: Final = 1_000_000
# systemd wants a sign of life at least this often within its deadline (sd_watchdog_enabled(3)).
_SIGNS_A_DEADLINE: Final = 2


class Systemd:
    """Who has started this process, if that is systemd.

    Args:
        environment: of the process.
        pid: of the process: a watchdog may be meant for another one.
    """

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is one in the abstract space.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        deadline = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        waits = meant and deadline.isascii() and deadline.isdigit() and int(deadline) > 0
        self.seconds: Final = int(deadline) / _MICROSECONDS / _SIGNS_A_DEADLINE if waits else None

    def tell(self, words: str) -> None:
        """Say one thing: ``READY=1``, ``STOPPING=1``, ``WATCHDOG=1``."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found, contextlib.suppress(OSError):
            found.setblocking(False)
            found.sendto(words.encode(), self._address)

    async def keep_alive(self) -> None:
        """Say again and again that the event loop runs, if anybody waits for it."""
        if self.seconds is None:
            return
        while True:
            self.tell("WATCHDOG=1")
            await trio.sleep(self.seconds)
