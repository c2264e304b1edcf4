"""Word to systemd: ready, stopping, alive (sd_notify(3)); without NOTIFY_SOCKET nothing is sent."""

import contextlib
import socket
from types import TracebackType
from typing import Final, Self

from gateway.base.errors import TallygateError

_MICROSECONDS: Final = 1_000_000
# systemd wants a sign of life at least this often within its deadline (sd_watchdog_enabled(3)).
_SIGNS_A_DEADLINE: Final = 2


class Notifier:
    """The datagram socket that systemd listens on.

    Args:
        address: NOTIFY_SOCKET: a path, or a name that begins with ``@`` in the abstract space; None: nobody
            listens, and nothing is sent.

    Raises:
        TallygateError: ``notify.address``: it is neither.
    """

    def __init__(self, address: str | None) -> None:
        self._socket: socket.socket | None = None
        if not address:
            return
        if address[0] not in "/@":
            raise TallygateError(
                "notify.address",
                f"NOTIFY_SOCKET is {address!r}: a path, or a name that begins with @, was expected",
            )
        self._address = f"\0{address[1:]}" if address[0] == "@" else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()

    def ready(self, status: str) -> None:
        """The role serves; `status` is what ``systemctl status`` shows."""
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The role ends."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The role's event loop runs."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        # A full or vanished socket is systemd's trouble: it acts on silence, and the role goes on.
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(text.encode(), self._address)


def watchdog_interval(microseconds: str | None, owner: str | None, pid: int) -> float | None:
    """Seconds between two signs of life.

    Args:
        microseconds: WATCHDOG_USEC.
        owner: WATCHDOG_PID: whom it is meant for; None: whoever has it.
        pid: of this process.

    Returns:
        None: nobody waits for signs of this process.

    Raises:
        TallygateError: ``notify.watchdog``.
    """
    if microseconds is None or (owner is not None and owner != str(pid)):
        return None
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0):
        raise TallygateError("notify.watchdog", f"WATCHDOG_USEC is {microseconds[:60]!r}, not a number")
    return int(microseconds) / _MICROSECONDS / _SIGNS_A_DEADLINE
