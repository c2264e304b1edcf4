"""Files: read within a limit and without waiting, and written to survive a power cut.

The system calls of a write, in order; tests stop before and after each of them::

    openat(<folder>/.<name>.<random>.tmp, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW, mode)
    write …  fsync  close
    rename(tmp, <folder>/<name>)
    openat(<folder>, O_RDONLY|O_DIRECTORY)  fsync  close

After the last of them the file is there whatever happens; before it the old state or the new one is, never a
mixture. `new_folder` does the same with a whole folder. An error of write or fsync is passed on and nothing
is tried again: after it nobody knows what the disk holds until it is read anew. A disk that lies about fsync
is beyond what a program can mend.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from clients.wire.errors import WireError

PRIVATE_FILE = 0o600
PUBLIC_FILE = 0o644
PRIVATE_FOLDER = 0o700

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp", re.DOTALL)
_UNFINISHED = re.compile(r"\.(.+)\.unfinished-[0-9a-f]{16}", re.DOTALL)


def read(path: Path, limit: int, what: str) -> bytes:
    """Read a whole regular file.

    Args:
        path: the file.
        limit: bytes that it may have.
        what: a word or two for what should be in it.

    Raises:
        WireError: `file.unreadable` or `file.too_large`.
    """
    with opened(path, what) as stream:
        return _bounded(stream, path, limit, what)


def read_given(path: Path, limit: int, what: str) -> bytes:
    """Read what somebody has named on the command line: as `read`, but it may be a pipe, which is waited for.

    Raises:
        WireError: `file.unreadable` or `file.too_large`.
    """
    try:
        with path.open("rb") as stream:
            return _bounded(stream, path, limit, what)
    except OSError as error:
        raise _unreadable(path, what, error) from error


@contextlib.contextmanager
def opened(path: Path, what: str) -> Iterator[BinaryIO]:
    """Open a regular file; a pipe or device of its name would hold the program up, or never end.

    Raises:
        WireError: `file.unreadable`, also for reading inside the block.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise WireError("file.unreadable", f"{what} must be a regular file", file=str(path))
            yield stream
    except OSError as error:
        raise _unreadable(path, what, error) from error


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _bounded(stream: BinaryIO, path: Path, limit: int, what: str) -> bytes:
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise WireError(
            "file.too_large", f"{what} has at most {limit:,} bytes, this file has more", file=str(path)
        )
    return data


def _unreadable(path: Path, what: str, error: OSError) -> WireError:
    return WireError("file.unreadable", f"{what} cannot be read: {error.strerror or error}", file=str(path))


def write_new(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Write a file that must not exist yet; whoever calls holds the folder's lock, or has just made it.

    Raises:
        FileExistsError: something is there; it is untouched.
        OSError: it could not be written.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    write(path, data, mode)


def write(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Write a file, or replace it, in one step that a crash cannot halve.

    Args:
        path: its folder exists.
        data: the whole content.
        mode: permissions (before the umask).

    Raises:
        OSError: it could not be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode
        )
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def temporary_for(name: str) -> str | None:
    """The name of the file that a temporary name of `write` was for, or None if it is no such name."""
    found = _TEMPORARY.fullmatch(name)
    return None if found is None else found[1]


def sync_file(path: Path) -> None:
    """Make a file's content durable, which an earlier, interrupted program may have left in memory only."""
    _sync(path, os.O_NOFOLLOW)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    _sync(path, os.O_DIRECTORY)


def _sync(path: Path, flag: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flag)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a hidden folder to write in, which becomes `path` when the block ends well and vanishes otherwise.

    A killed program leaves the hidden folder (`unfinished`) and no `path`.

    Args:
        path: must not exist; its parent does.

    Raises:
        WireError: `file.exists`, or `file.no_folder` for its parent.
        OSError: something could not be written; there is no `path`.
    """
    if not path.parent.is_dir():
        raise WireError("file.no_folder", "this folder does not exist", file=str(path.parent))
    if os.path.lexists(path):
        raise WireError("file.exists", "this exists and is never written over", file=str(path))
    work = path.with_name(f".{path.name}.unfinished-{secrets.token_hex(8)}")
    work.mkdir(mode=PRIVATE_FOLDER)
    try:
        yield work
        for folder, _, _ in os.walk(work, topdown=False):
            sync_folder(Path(folder))
        work.rename(path)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    sync_folder(path.parent)


def unfinished(path: Path) -> list[Path]:
    """The hidden folders that killed programs have left of a `new_folder`, or running ones are writing."""
    try:
        siblings = sorted(path.parent.iterdir())
    except OSError:
        return []
    found = ((sibling, _UNFINISHED.fullmatch(sibling.name)) for sibling in siblings)
    return [sibling for sibling, name in found if name is not None and name[1] == path.name]
