"""The system calls that write the feed: few, each a method, so that a test can have a disk that fails.

The calls of one snapshot, in order (`gateway.publish.writer`); whoever changes them changes this list too::

    at the end of an embargo, for each hidden file:
        mkdir …                                  folders that are not there yet
        rename(embargo/<path>, feed/<path>)
        rmdir …                                  folders that are empty now
    for each object, tile and entry bundle:
        mkdir …                                  folders that are not there yet
        openat(<folder>/.<name>.tmp, O_WRONLY|O_CREAT|O_TRUNC|O_NOFOLLOW|O_CLOEXEC)
        write …  close
        rename(<folder>/.<name>.tmp, <folder>/<name>)
    likewise without the rename: log/checkpoint, snapshots/<n>.changes.json, snapshots/<n>.json,
        snapshots/<n>.note, latest.json
    syncfs(feed)
    data/last-snapshot, as `gateway.base.files.write_durably` does it
    rename of log/checkpoint, snapshots/<n>.changes.json, snapshots/<n>.json, snapshots/<n>.note, latest.json

A file under its final name is whole, whoever looks, and after a power cut those of a finished snapshot are.
What takes the place of another (the checkpoint, the pointer) does so when all that it names is durable.
Names under which something is being written begin with a dot: no reader asks for them.

syncfs(2) reports an error of writing back to whoever had the file system open before it happened: one
descriptor is held for as long as the process lives.
"""

import ctypes
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.base.files import PUBLIC_DIRECTORY, PUBLIC_FILE, sync_directory, write_all

_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC

# Python has no syncfs; sync(2) would wait for every disk of the machine and report nothing.
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Disk:
    """The disk that a folder lies on. One thread at a time.

    Args:
        folder: the feed's; it exists.

    Raises:
        OSError: of every method, as the system says it.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def write(self, path: str, data: bytes, *, sync: bool = False) -> None:
        """Makes the file, or empties what a crash has left under this name, and writes it."""
        descriptor = os.open(path, _WRITE, PUBLIC_FILE)
        try:
            write_all(descriptor, data)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: str, target: str) -> None:
        """Gives a file its name, in place of whatever has it."""
        os.rename(source, target)  # noqa: PTH104 - a thousand files a second; a Path costs as much as the call

    def make_folder(self, path: str) -> None:
        """Makes one folder; its parent exists."""
        os.mkdir(path, PUBLIC_DIRECTORY)  # noqa: PTH102

    def remove(self, path: str) -> None:
        """Removes a file."""
        os.unlink(path)  # noqa: PTH108

    def remove_folder(self, path: str) -> None:
        """Removes an empty folder."""
        os.rmdir(path)  # noqa: PTH106

    def sync_folder(self, path: str) -> None:
        """Makes the names in a folder durable."""
        sync_directory(Path(path))

    def sync_all(self) -> None:
        """Makes everything durable that was written to the file system of the feed."""
        if _LIBC.syncfs(self._descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), self._folder)
