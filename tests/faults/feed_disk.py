"""Disks for the feed: one that dies or fails at any call, and one of which a power cut keeps only a part."""

import errno
import os
import random
from dataclasses import dataclass
from pathlib import Path

from gateway.publish.disk import Disk


class Killed(BaseException):
    """The process is gone: nothing of it runs any more, not even what handles exceptions."""


class CountingDisk(Disk):
    """Counts its calls, and can come to harm at one of them.

    It spares the real disk: nothing here is made durable, and no test cuts the real power.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.calls = 0

    def harm(self, path: str, data: bytes) -> None:
        """Is called before each call; `data` is what is about to be written."""

    def _step(self, path: str, data: bytes = b"") -> None:
        self.harm(path, data)
        self.calls += 1

    def write(self, path: str, data: bytes, *, sync: bool = False) -> None:
        self._step(path, data)
        super().write(path, data)

    def rename(self, source: str, target: str) -> None:
        self._step(target)
        super().rename(source, target)

    def make_folder(self, path: str) -> None:
        self._step(path)
        super().make_folder(path)

    def remove(self, path: str) -> None:
        self._step(path)
        super().remove(path)

    def remove_folder(self, path: str) -> None:
        self._step(path)
        super().remove_folder(path)

    def sync_folder(self, path: str) -> None:
        self._step(path)

    def sync_all(self) -> None:
        self._step("")


class DeadlyDisk(CountingDisk):
    """Kills at the `at`-th call, counted from 0; of a write the first half may be there."""

    def __init__(self, folder: str, at: int, *, half: bool) -> None:
        super().__init__(folder)
        self._at = at
        self._half = half

    def harm(self, path: str, data: bytes) -> None:
        if self.calls == self._at:
            if data and self._half:
                Path(path).write_bytes(data[: len(data) // 2])
            raise Killed


class FailingDisk(CountingDisk):
    """Fails at the `at`-th call with an error of the system; a write is then a part of one."""

    def __init__(self, folder: str, at: int, number: int = errno.EIO) -> None:
        super().__init__(folder)
        self._at = at
        self._number = number

    def harm(self, path: str, data: bytes) -> None:
        if self.calls == self._at:
            self.calls += 1
            if data:
                Path(path).write_bytes(data[:1])
            raise OSError(self._number, os.strerror(self._number), path)


@dataclass
class _Inode:
    data: bytes
    synced: bool


class VolatileDisk(CountingDisk):
    """Remembers what was made durable. Names are journalled: of those changed since, the first ones survive.

    That is what ext4 and XFS promise. Bytes that were not synced may be gone whatever their names are.

    Args:
        root: everything below it belongs to the model, and is durable now.
        at: it dies before this call; None: never.
    """

    def __init__(self, folder: str, root: Path, at: int | None = None) -> None:
        super().__init__(folder)
        self._root = root
        self._at = at
        self._inodes = {
            str(path): _Inode(path.read_bytes(), synced=True) for path in root.rglob("*") if path.is_file()
        }
        self._durable = dict(self._inodes)
        self._changes: list[tuple[str, _Inode | None]] = []

    def harm(self, path: str, data: bytes) -> None:
        if self.calls == self._at:
            raise Killed

    def write(self, path: str, data: bytes, *, sync: bool = False) -> None:
        super().write(path, data, sync=sync)
        self._name(path, _Inode(data, sync))

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        inode = self._inodes[source]
        # One change of the journal: the old name goes and the new one comes, or neither.
        self._name(target, inode)
        self._inodes.pop(source)
        self._changes.append((source, None))

    def remove(self, path: str) -> None:
        super().remove(path)
        self._inodes.pop(path)
        self._changes.append((path, None))

    def sync_folder(self, path: str) -> None:
        super().sync_folder(path)
        self._settle()

    def sync_all(self) -> None:
        super().sync_all()
        for inode in self._inodes.values():
            inode.synced = True
        self._settle()

    def cut(self, target: Path, chance: random.Random) -> None:
        """Writes what the platters hold into `target`, which mirrors the root."""
        names = dict(self._durable)
        for path, inode in self._changes[: chance.randrange(len(self._changes) + 1)]:
            _change(names, path, inode)
        for path, inode in names.items():
            place = target / Path(path).relative_to(self._root)
            place.parent.mkdir(parents=True, exist_ok=True)
            left = (
                len(inode.data) if inode.synced else chance.choice([0, len(inode.data) // 2, len(inode.data)])
            )
            place.write_bytes(inode.data[:left])

    def _name(self, path: str, inode: _Inode) -> None:
        self._inodes[path] = inode
        self._changes.append((path, inode))

    def _settle(self) -> None:
        for path, inode in self._changes:
            _change(self._durable, path, inode)
        self._changes.clear()


def _change(names: dict[str, _Inode], path: str, inode: _Inode | None) -> None:
    if inode is None:
        names.pop(path, None)
    else:
        names[path] = inode
