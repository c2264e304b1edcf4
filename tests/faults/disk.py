"""A disk between SQLite and the files, where a test decides what becomes of each write and sync."""

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import apsw

# Which file of the database: `ledger.sqlite` or its WAL. Any other would be news.
File: TypeAlias = Literal["db", "wal"]
# The share of surviving writes of which only the first sectors survive.
_TORN = 0.3
_SECTOR = 512
# The file system that lies below; its name is asked for before any of ours is there.
_REAL = apsw.vfs_names()[0]
Do: TypeAlias = Callable[[], None]


class Disk:
    """A disk without faults. Each method may do it, not do it, do a part, raise, or never return."""

    def opened(self, file: File, content: bytes) -> None:
        """SQLite has opened the file, which holds this."""

    def write(self, file: File, offset: int, data: bytes, part: Callable[[bytes], None]) -> None:
        part(data)

    def sync(self, file: File, do: Do) -> None:
        do()

    def truncate(self, file: File, size: int, do: Do) -> None:
        do()


def _kind(name: str) -> File:
    assert name.endswith(("ledger.sqlite", "ledger.sqlite-wal")), name
    return "wal" if name.endswith("-wal") else "db"


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(_REAL, name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        self._disk = disk
        self._kind = _kind(path)
        disk.opened(self._kind, Path(path).read_bytes())

    def xWrite(self, data: object, offset: int) -> None:  # noqa: N802 - SQLite's name
        assert isinstance(data, bytes)
        write = super().xWrite
        self._disk.write(self._kind, offset, data, lambda part: write(part, offset))

    def xSync(self, flags: int) -> None:  # noqa: N802
        sync = super().xSync
        self._disk.sync(self._kind, lambda: sync(flags))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        truncate = super().xTruncate
        self._disk.truncate(self._kind, newsize, lambda: truncate(newsize))


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        super().__init__("tests", _REAL, makedefault=True)
        self._disk = disk

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self._disk, name, flags)


@contextlib.contextmanager
def mounted(disk: Disk) -> Iterator[None]:
    """Every database that is opened in the block lies on this disk."""
    vfs = _Vfs(disk)
    try:
        yield
    finally:
        vfs.unregister()


class FailingDisk(Disk):
    """Fails once, at the `after`-th call of that kind on that file from `arm` on; then it works again.

    A disk that goes on working is the worst case: whoever just tries again acknowledges what is not there.
    """

    def __init__(
        self, call: Literal["write", "sync"], file: File, error: type[apsw.Error], after: int
    ) -> None:
        self._what = (call, file)
        self._error = error
        self._left: int | None = None
        self._after = after
        self.failed = False

    def arm(self) -> None:
        self._left = self._after

    def _meet(self, call: str, file: File) -> None:
        if self._left is None or (call, file) != self._what:
            return
        self._left -= 1
        if self._left < 0:
            self._left = None
            self.failed = True
            raise self._error("as the test wanted")

    def write(self, file: File, offset: int, data: bytes, part: Callable[[bytes], None]) -> None:
        self._meet("write", file)
        part(data)

    def sync(self, file: File, do: Do) -> None:
        self._meet("sync", file)
        do()


class VolatileDisk(Disk):
    """Keeps what was synced apart from what was only written, and can show what a power cut leaves."""

    def __init__(self) -> None:
        self._durable: dict[File, bytearray] = {"db": bytearray(), "wal": bytearray()}
        self._pending: dict[File, list[tuple[int, bytes | None]]] = {"db": [], "wal": []}
        self.syncs: list[File] = []

    @property
    def unsynced(self) -> list[File]:
        """The file of each write that a power cut may take."""
        return [file for file, pending in self._pending.items() for _ in pending]

    def opened(self, file: File, content: bytes) -> None:
        self._durable[file] = bytearray(content)

    def write(self, file: File, offset: int, data: bytes, part: Callable[[bytes], None]) -> None:
        self._pending[file].append((offset, data))
        part(data)

    def truncate(self, file: File, size: int, do: Do) -> None:
        self._pending[file].append((size, None))
        do()

    def sync(self, file: File, do: Do) -> None:
        self.syncs.append(file)
        for one in self._pending[file]:
            _apply(self._durable[file], *one)
        self._pending[file].clear()
        do()

    def cut(self, data: Path, chance: random.Random, *, survivors: float) -> None:
        """Writes what the platters hold into `data`.

        Args:
            data: takes `ledger.sqlite` and `ledger.sqlite-wal`.
            chance: decides which writes that were not synced survive, in what order, and which are torn.
            survivors: the share of them that do.
        """
        for name in ("ledger.sqlite", "ledger.sqlite-wal"):
            image = bytearray(self._durable[_kind(name)])
            lucky = [one for one in self._pending[_kind(name)] if chance.random() < survivors]
            chance.shuffle(lucky)
            for offset, written in lucky:
                torn = written
                if written is not None and chance.random() < _TORN:
                    torn = written[: chance.randrange(0, len(written) + 1, _SECTOR)]
                _apply(image, offset, torn)
            (data / name).write_bytes(image)


def _apply(image: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del image[offset:]
        return
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data
