"""The receipts of a device's statements, ``receipts/<sequence, 6 digits>.receipt`` in its folder.

A statement is delivered when its receipt is here and proves it; that is judged from the bytes each time, and
noted nowhere else. Papers have no receipt: that a gateway keeps one is its word, and is noted in an empty
file ``receipts/<SHA-256>.taken``. Whoever sends holds the lock on this folder, not the one on the device's
folder: counts can be signed while statements wait for a line.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients import files
from clients.box.folder import located
from clients.wire import receipt
from clients.wire.errors import WireError
from clients.wire.note import VerifierKey
from clients.wire.receipt import MAX_RECEIPT_BYTES

RECEIPTS: Final = "receipts"


@dataclass(frozen=True, slots=True)
class Stored:
    """A receipt that is here and proves its statement.

    Attributes:
        index: the statement's place in the log, from 0.
        size: entries of the log whose head proves it.
    """

    index: int
    size: int


def path(device: Path, sequence: int) -> Path:
    """Where the receipt of a statement is."""
    return device / RECEIPTS / f"{sequence:06}.receipt"


def find(device: Path, sequence: int, statement: bytes, log_key: VerifierKey) -> Stored | None:
    """Verify the stored receipt of a statement; None if there is none.

    Args:
        device: the device's folder.
        sequence: the statement's.
        statement: its exact bytes.
        log_key: the log's.

    Raises:
        WireError: `file.unreadable`, `file.too_large`, or what `clients.wire.receipt.verify` raises: what is
            there proves nothing.
    """
    place = path(device, sequence)
    if not os.path.lexists(place):
        return None
    data = files.read(place, MAX_RECEIPT_BYTES, "a receipt")
    with located(place):
        index, checkpoint = receipt.verify(data, statement, log_key)
    return Stored(index, checkpoint.size)


@contextlib.contextmanager
def sending(device: Path) -> Iterator[None]:
    """Hold the lock of the one who sends, and clear away what a killed one has left.

    Raises:
        WireError: `send.busy`.
        OSError: the folder cannot be made or read.
    """
    folder = device / RECEIPTS
    if not folder.is_dir():
        folder.mkdir(mode=files.PRIVATE_FOLDER)
        files.sync_folder(device)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WireError(
                "send.busy",
                "another `tallygate-box send` is at work here, and sends what is signed meanwhile too: leave "
                "it running, or stop it first",
                file=str(device),
            ) from error
        for entry in list(os.scandir(folder)):
            if files.temporary_for(entry.name) is not None:
                Path(entry).unlink()
        yield
    finally:
        os.close(descriptor)


def has_paper(device: Path, sha256: bytes) -> bool:
    """Whether a gateway has said that it keeps this paper."""
    return os.path.lexists(_noted(device, sha256))


def note_paper(device: Path, sha256: bytes) -> None:
    """Note that a gateway keeps a paper; when this returns, it is durable.

    Raises:
        OSError: it could not be noted.
    """
    files.write(_noted(device, sha256), b"")


def _noted(device: Path, sha256: bytes) -> Path:
    return device / RECEIPTS / f"{sha256.hex()}.taken"


def store(device: Path, sequence: int, data: bytes) -> None:
    """Store a verified receipt; when this returns, it is durable.

    Raises:
        OSError: it could not be stored; an earlier one is untouched.
    """
    files.write(path(device, sequence), data)
