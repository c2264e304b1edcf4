"""The three files of a SQLite ledger: all are there, they are the ones that we opened, and nothing else is.

What lives here: their names, their first making, and `Files`, which holds them open and keeps the mark.
SQLite opens two of them by name for itself; it takes a missing database for a new one (and throws the log of
the old one away) and a missing log for an empty one, so both are looked for before it opens anything.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self

from gateway.base.clock import Clock
from gateway.base.errors import TallygateError
from gateway.base.files import PRIVATE_FILE, sync_directory, write_durably
from gateway.ledger.faults import CHANGE_NOTHING, SALVAGE
from gateway.ledger.mark import MARK_SIZE, Mark, decode_mark
from gateway.ledger.wal import Wal, read_salts, read_wal

DATABASE: Final = "ledger.sqlite"
WAL: Final = "ledger.sqlite-wal"
MARK: Final = "ledger.mark"
# What another program leaves that has written to the database; SQLite would undo our pages with it.
_JOURNAL: Final = "ledger.sqlite-journal"

# The first bytes of every database that `make` has made: SQLite 3, pages of 4,096 bytes, a write-ahead log.
_BEGINNING: Final = b"SQLite format 3\x00\x10\x00\x02\x02\x00\x40\x20\x20"
# Bytes 18 and 19 of a database: 2 and 2 say that it has a write-ahead log.
_VERSIONS: Final = slice(18, 20)

# Bytes that Linux reads ahead at one request at most, unless the device is set otherwise.
_READ_AHEAD: Final = 131_072

# Nanoseconds in which Linux may give two changes of a folder the same time (a tick is 10 ms at most).
_TICK: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000

_NO_MARK: Final = Mark(0, bytes(32), bytes(8), 0, folded=True)


def present(data: Path) -> bool:
    """Whether the folder holds a ledger; opens nothing that SQLite would lock.

    Raises:
        TallygateError: ``ledger.incomplete``: a part of one; ``ledger.damaged``: not a ledger's database.
        OSError: a file cannot be read.
    """
    database, wal = (_size(data / name) for name in (DATABASE, WAL))
    mark = read_mark(data / MARK)
    if _size(data / _JOURNAL) is not None:
        _incomplete("another program has written to the database and left this file", data / _JOURNAL)
    if not database:
        if wal or (mark is not None and (mark.size, mark.frames) != (0, 0)):
            _incomplete("the database of this ledger is gone; its other files are here", data / DATABASE)
        return False
    if wal is None:
        _incomplete("the write-ahead log of this database is gone", data / WAL)
    if mark is None:
        _incomplete("the mark of what this ledger has acknowledged is gone", data / MARK)
    with (data / DATABASE).open("rb") as file:
        if file.read(len(_BEGINNING)) != _BEGINNING:
            raise TallygateError(
                "ledger.damaged",
                f"this is not the database of a ledger, or its first page has changed. {CHANGE_NOTHING}",
                place=str(data / DATABASE),
            )
    return True


def make(data: Path, image: bytes) -> None:
    """Makes the files of an empty ledger; the database comes last, so that a crash leaves nothing.

    Args:
        data: the folder.
        image: an empty database with our tables, in one piece.

    Raises:
        OSError: a file cannot be written.
    """
    content = bytearray(image)
    content[_VERSIONS] = b"\x02\x02"
    write_durably(data / WAL, b"", mode=PRIVATE_FILE)
    write_durably(data / MARK, _NO_MARK.encode(0), mode=PRIVATE_FILE)
    write_durably(data / DATABASE, bytes(content), mode=PRIVATE_FILE)


class Files:
    """The files, held open; made under the ledger's lock, closed after SQLite has closed.

    What was written is made durable and forgotten by the page cache: after a failed fsync Linux may show
    pages that are not on the disk. Whoever closes any descriptor of the database drops the locks that SQLite
    has on it; that is why they stay open until the end.

    Args:
        data: the folder.
        now: the machine's clock, which the file system's times are taken from.

    Attributes:
        mark: what was acknowledged.

    Raises:
        TallygateError: ``ledger.damaged``.
        OSError: a file cannot be opened, written back or read.
    """

    mark: Mark

    def __init__(self, data: Path, now: Clock) -> None:
        self._now = now
        self._opened = contextlib.ExitStack()
        self._descriptors: list[int] = []
        self._identities: list[tuple[str, int, int]] = []
        self._folder = str(data)
        # The folder's device, inode and last change when all names were looked at.
        self._seen: tuple[int, int, int] | None = None
        with contextlib.ExitStack() as undo:
            undo.push(self._opened)
            for name, access in ((DATABASE, os.O_RDONLY), (WAL, os.O_RDONLY), (MARK, os.O_RDWR)):
                path = str(data / name)
                descriptor = os.open(path, access | os.O_CLOEXEC | os.O_NOFOLLOW)
                self._opened.callback(os.close, descriptor)
                with _naming(path):
                    os.fsync(descriptor)
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                status = os.fstat(descriptor)
                self._descriptors.append(descriptor)
                self._identities.append((path, status.st_dev, status.st_ino))
            sync_directory(data)
            place = str(data / MARK)
            with _naming(place):
                content = os.pread(self._descriptors[2], MARK_SIZE, 0)
            self._serial, self.mark = decode_mark(content, place)
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def require_ours(self) -> None:
        """Makes sure that the names still lead to the files that are open here.

        One look at the folder is enough where nobody has renamed, made or removed anything in it since the
        last one: each call of the system gives the GIL away and may have to wait for it.

        Raises:
            OSError: ESTALE or ENOENT, with the file's name: what is written now, nobody will ever find.
        """
        status = os.stat(self._folder)  # noqa: PTH116 - half the time of a Path's
        if (status.st_dev, status.st_ino, status.st_ctime_ns) == self._seen:
            return
        for path, device, inode in self._identities:
            found = os.stat(path, follow_symlinks=False)  # noqa: PTH116
            if found.st_ino != inode or found.st_dev != device:
                raise OSError(errno.ESTALE, "another file has taken its name", path)
        # A second change within one tick of the file system's clock would not show.
        if abs(self._now() * _MILLISECOND - status.st_ctime_ns) > _TICK:
            self._seen = (status.st_dev, status.st_ino, status.st_ctime_ns)

    def read_wal(self) -> Wal:
        """What stands in the write-ahead log.

        Raises:
            OSError: it cannot be read.
        """
        place = self._identities[1][0]
        with _naming(place):
            return read_wal(self._descriptors[1], place)

    def salts(self) -> bytes:
        """Those of the write-ahead log as it is now."""
        with _naming(self._identities[1][0]):
            return read_salts(self._descriptors[1])

    def note(self, mark: Mark) -> None:
        """Replaces the mark; it is durable when the system gets round to it.

        Raises:
            OSError: it was not written.
        """
        self._serial += 1
        with _naming(self._identities[2][0]):
            if os.pwrite(self._descriptors[2], mark.encode(self._serial), 0) != MARK_SIZE:
                raise OSError(errno.EIO, "it was written in part")
        self.mark = mark

    def sync_mark(self) -> None:
        """Makes the mark durable."""
        with _naming(self._identities[2][0]):
            os.fsync(self._descriptors[2])

    @contextlib.contextmanager
    def read_ahead(self) -> Iterator[None]:
        """Has the disk read well ahead of SQLite while the block runs.

        SQLite asks page by page and would wait four times as long.
        """
        stop = threading.Event()
        arguments = (self._descriptors[:2], stop)
        reader = threading.Thread(target=_read_ahead, args=arguments, name="ledger-read-ahead")
        reader.start()
        try:
            yield
        finally:
            stop.set()
            reader.join()


def _read_ahead(descriptors: Sequence[int], stop: threading.Event) -> None:
    """An error is no news: SQLite meets it when it needs the page."""
    with contextlib.suppress(OSError):
        for descriptor in descriptors:
            for offset in range(0, os.fstat(descriptor).st_size, _READ_AHEAD):
                if stop.is_set():
                    return
                os.posix_fadvise(descriptor, offset, _READ_AHEAD, os.POSIX_FADV_WILLNEED)


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Says which file it was: a descriptor has no name."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or path
        raise


def _size(path: Path) -> int | None:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return None


def read_mark(path: Path) -> Mark | None:
    """The mark of a ledger that nobody has open; None: there is none.

    Raises:
        TallygateError: ``ledger.damaged``.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MARK_SIZE)
    except FileNotFoundError:
        return None
    return decode_mark(data, str(path))[1]


def _incomplete(detail: str, place: Path) -> NoReturn:
    raise TallygateError(
        "ledger.incomplete", f"{detail}. They belong together: find it. {SALVAGE}", place=str(place)
    )
