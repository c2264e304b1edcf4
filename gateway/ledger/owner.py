"""One owner: the lock that a process holds on a ledger, or on a role of a night, for as long as it lives."""

import fcntl
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from gateway.base.clock import format_time
from gateway.base.errors import TallygateError
from gateway.base.files import PRIVATE_FILE, write_all

# Bytes of the lock file that are read for the message.
_MAX_OWNER: Final = 1_024

_HAS_THE_LEDGER: Final = "has this ledger open, and a ledger has one owner: stop it first"


class Owner(msgspec.Struct, frozen=True):
    """What stands in a lock's file, for people: the lock itself is the kernel's (flock)."""

    pid: int
    host: str
    since: str


class OwnerLock:
    """Held from its making to the end of the ``with`` block, or of the process, however that ends.

    Args:
        path: ``data/ledger.lock``; it is never removed, or two processes could each lock a file of that name.
        now: real time, ms.
        code, sentence: what to answer where another process has it; the sentence goes on from its name.

    Raises:
        TallygateError: ``ledger.owned``, or `code`: another process has it.
        OSError: the file cannot be opened or written.
    """

    def __init__(
        self, path: Path, now: int, *, code: str = "ledger.owned", sentence: str = _HAS_THE_LEDGER
    ) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TallygateError(code, f"{_owner(descriptor)} {sentence}", place=str(path)) from None
            os.ftruncate(descriptor, 0)
            write_all(
                descriptor, msgspec.json.encode(Owner(os.getpid(), socket.gethostname(), format_time(now)))
            )
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def _owner(descriptor: int) -> str:
    try:
        owner = msgspec.json.decode(os.pread(descriptor, _MAX_OWNER, 0), type=Owner)
    except msgspec.MsgspecError:
        return "another process"  # it has the lock and has not written its name yet
    return f"process {owner.pid} on {owner.host} (since {owner.since})"
