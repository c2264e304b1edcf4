"""Files that survive a power cut, and secrets that only their owner can read.

The system calls of each kind of write, in order. Whoever changes one changes it here too; a test traces them.

`write_durably` (replaces a file; a reader finds the old bytes or the new ones, never a mixture)::

    openat(<directory>/.<name>.<random>.tmp, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, mode)
    write …  (fchmod, where an exact mode is asked for)  fsync  close
    rename(tmp, path)
    openat(<directory>, O_RDONLY|O_DIRECTORY)  fsync  close

`write_private` (a secret; never replaces anything)::

    openat(path, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600)
    write …  fsync  close
    openat(<directory>, O_RDONLY|O_DIRECTORY)  fsync  close

`move_durably` (renames within a directory)::

    rename(source, target)
    openat(<directory>, O_RDONLY|O_DIRECTORY)  fsync  close

A crash inside `write_private` can leave a short file. It has no temporary name because the file systems of
memory sticks know no hard link and a rename would replace silently; who reads a secret checks its length or
its armour.

`finished_directory` (a whole folder or nothing)::

    mkdir(<parent>/.<name>.unfinished-<random>, 0700)
    … the caller writes …
    fsync of every file, then of every directory from the leaves up
    rename(unfinished, path)
    openat(<parent>, O_RDONLY|O_DIRECTORY)  fsync  close

What this cannot promise: a disk that lies about fsync. After an error of write or fsync the file's content
is unknown; the error is passed on, never retried (a second fsync may report success for dropped pages).
"""

import contextlib
import errno
import glob
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gateway.base.errors import TallygateError

PRIVATE_FILE = 0o600
PUBLIC_FILE = 0o644
PRIVATE_DIRECTORY = 0o700
PUBLIC_DIRECTORY = 0o755

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNFINISHED = ".unfinished-"


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of `data`, however many calls it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(path: Path, data: bytes, mode: int, *, exact: bool = False) -> None:
    descriptor = os.open(path, _CREATE, mode)
    try:
        write_all(descriptor, data)
        if exact:
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replaces or makes `path` in one step that a crash cannot halve.

    Args:
        path: the file; its directory exists.
        data: the whole content.
        mode: permissions of the new file; None: `PUBLIC_FILE` less the umask.

    Raises:
        OSError: the old content is then still there, unless the error came from the directory's fsync.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        _create(temporary, data, PUBLIC_FILE if mode is None else mode, exact=mode is not None)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def move_durably(source: Path, target: Path) -> None:
    """Renames a file, over whatever is there, within one directory."""
    source.replace(target)
    sync_directory(target.parent)


def write_private(path: Path, data: bytes) -> None:
    """Makes a file that only its owner can read.

    Raises:
        TallygateError: ``file.exists``: a secret is never replaced.
        OSError: nothing can be said about the file.
    """
    try:
        _create(path, data, PRIVATE_FILE)
    except FileExistsError:
        raise TallygateError(
            "file.exists",
            "this file exists and holds a secret; it is never replaced: move it away first",
            place=str(path),
        ) from None
    sync_directory(path.parent)


def create_private(path: Path) -> BinaryIO:
    """Opens a new file that only its owner can read, to be written bit by bit; nothing is synced.

    Raises:
        OSError: also where `path` exists.
    """
    return os.fdopen(os.open(path, _CREATE, PRIVATE_FILE), "wb")


def read_bounded(path: Path, limit: int) -> bytes:
    """Reads a whole file that may have at most `limit` bytes.

    Raises:
        TallygateError: ``file.too_large``.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TallygateError("file.too_large", f"this file has more than {limit:,} bytes", place=str(path))
    return data


def read_private(path: Path, limit: int) -> bytes:
    """Reads a secret, but only from a file that nobody besides its owner (and root) can open.

    Raises:
        TallygateError: ``file.not_private``, ``file.too_large``.
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - the descriptor whose mode is checked is the one read
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise TallygateError(
                "file.not_private",
                f"others can open this secret (mode {mode:04o}): chmod 600 it; "
                "a stick without Unix permissions is mounted with umask=077",
                place=str(path),
            )
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TallygateError("file.too_large", f"this file has more than {limit:,} bytes", place=str(path))
    return data


def make_directory(path: Path, mode: int = PUBLIC_DIRECTORY) -> None:
    """Makes one directory with these permissions; its parent exists."""
    path.mkdir(mode=mode)
    sync_directory(path.parent)


def sync_tree(root: Path) -> None:
    """Makes everything below `root` durable: every file, then every directory from the leaves up."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            descriptor = os.open(Path(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(folder))


def unfinished(path: Path) -> list[Path]:
    """What crashed makers of `path` have left beside it (see `finished_directory`)."""
    path = _absolute(path)
    return sorted(path.parent.glob(f".{glob.escape(path.name)}{_UNFINISHED}*"))


@contextlib.contextmanager
def finished_directory(path: Path, mode: int = PUBLIC_DIRECTORY) -> Iterator[Path]:
    """Gives a hidden folder to write in; it becomes `path` when the block ends well, else it is removed.

    A killed process leaves the hidden folder (`unfinished` finds it) and no `path`.

    Args:
        path: must not exist, or be an empty directory; its parent exists.
        mode: permissions of the finished folder, whatever the umask.

    Raises:
        TallygateError: ``file.exists``: something is at `path`; ``file.here``: this process works in it.
        OSError: something could not be written; `path` is untouched.
    """
    path = _absolute(path)
    refuse_existing(path)
    work = path.with_name(f".{path.name}{_UNFINISHED}{secrets.token_hex(8)}")
    work.mkdir(mode=PRIVATE_DIRECTORY)
    try:
        yield work
        work.chmod(mode)
        sync_tree(work)
        try:
            work.rename(path)
        except OSError as error:
            if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
                raise _exists(path) from None
            raise
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    sync_directory(path.parent)


def refuse_existing(path: Path) -> None:
    """Refuses a `path` at which there is anything but an empty directory, which is not the working one.

    Raises:
        TallygateError: ``file.exists``, ``file.here``.
    """
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise _exists(path)
    if path.exists() and path.samefile(Path()):
        # The new folder takes the place of the old one, and whoever stands there is left in nothing.
        raise TallygateError(
            "file.here",
            "this is the folder that you are in, and a new one takes its place: go one up (cd ..) and give "
            "its name",
            place=str(path),
        )


def _absolute(path: Path) -> Path:
    """With a name and a parent, also where it is `.`; resolve() would follow a link."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link


def _exists(path: Path) -> TallygateError:
    return TallygateError(
        "file.exists",
        "something is here already and nothing is ever written over it: give another name, or move it away",
        place=str(path),
    )
