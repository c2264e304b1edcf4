"""The feed's folder on disk: opening a file without leaving the folder, its entity tag, its bytes.

What lives here: `FeedFiles`. Every function blocks and belongs into a thread. A file that is replaced while
it is sent stays what it was: whoever has it open reads the old bytes, and their tag.
"""

import errno
import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

# Entity tags that are remembered: some 200 bytes each, so some MB at most.
MAX_TAGS: Final = 16_384
# Bytes that are read and sent at once: what a reader that stalls costs in memory.
CHUNK: Final = 65_536
# Characters of SHA-256 in a tag: 128 bits.
_TAG: Final = 32

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Nobody waits for the other end of a pipe that somebody has put here.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

# Missing, a link, a folder on the way that is none, a name too long, a socket, a file of nobody else.
_NOT_THERE: Final = (
    errno.ENOENT,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
    errno.ENXIO,
    errno.EACCES,
    errno.EISDIR,
)


def tag_of(content: bytes) -> str:
    """The strong entity tag of these bytes."""
    return tag_of_hash(hashlib.sha256(content).hexdigest())


def tag_of_hash(sha256: str) -> str:
    """The strong entity tag of the bytes with this SHA-256 (hex)."""
    return f'"{sha256[:_TAG]}"'


class Opened(NamedTuple):
    """An open regular file; its descriptor belongs to whoever has this.

    Attributes:
        descriptor: to be closed.
        size: in bytes.
        tag: strong entity tag.
        start: the first bytes, all of them where they are at most `CHUNK`.
    """

    descriptor: int
    size: int
    tag: str
    start: bytes

    def read(self, offset: int, end: int) -> bytes:
        """The bytes from `offset`, at most `CHUNK`, never beyond `end`.

        Raises:
            OSError: the disk fails, or somebody has made the file shorter.
        """
        data = os.pread(self.descriptor, min(end - offset, CHUNK), offset)
        if not data:
            raise OSError("a file of the feed became shorter while it was sent")
        return data

    def close(self) -> None:
        """Gives the file back."""
        os.close(self.descriptor)


class FeedFiles:
    """The files below one folder. Safe to use from several threads.

    Args:
        root: the feed's folder; it may come later.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        # Guarded by the lock: tag by what tells a file from every other that was here.
        self._tags: OrderedDict[tuple[int, int, int, int], str] = OrderedDict()

    def open(self, parts: Sequence[str], tag: str = "") -> Opened | None:
        """Opens a file by the names on its way, none of which may be a symbolic link.

        Args:
            parts: the names.
            tag: its strong entity tag, where that is known; else the whole file is read for it.

        Returns:
            None: it is not there, or no regular file.

        Raises:
            OSError: the disk fails, or there are too many open files.
        """
        descriptor = self._descend(parts)
        if descriptor is None:
            return None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                os.close(descriptor)
                return None
            start = os.pread(descriptor, CHUNK, 0)
            key = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
            return Opened(descriptor, found.st_size, tag or self._tag(key, descriptor, start), start)
        except BaseException:
            os.close(descriptor)
            raise

    def read(self, parts: Sequence[str], limit: int) -> bytes | None:
        """A whole file; None: it is not there, no regular file, or has more than `limit` bytes.

        Raises:
            OSError: as `open`.
        """
        opened = self.open(parts)
        if opened is None:
            return None
        try:
            if opened.size > limit:
                return None
            content = opened.start[: opened.size]
            while len(content) < opened.size:
                content += opened.read(len(content), opened.size)
            return content
        finally:
            opened.close()

    def _descend(self, parts: Sequence[str]) -> int | None:
        try:
            # The folder itself may be a link: an operator's disk has its own place.
            here = os.open(self._root, _FOLDER & ~os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        for place, part in enumerate(parts, 1):
            try:
                following = os.open(part, _FILE if place == len(parts) else _FOLDER, dir_fd=here)
            except OSError as error:
                if error.errno in _NOT_THERE:
                    return None
                raise
            finally:
                os.close(here)
            here = following
        return here

    def _tag(self, key: tuple[int, int, int, int], descriptor: int, start: bytes) -> str:
        with self._lock:
            tag = self._tags.get(key)
            if tag is not None:
                self._tags.move_to_end(key)
                return tag
        summed = hashlib.sha256(start)
        offset = len(start)
        while data := os.pread(descriptor, CHUNK, offset):
            summed.update(data)
            offset += len(data)
        tag = tag_of_hash(summed.hexdigest())
        with self._lock:
            self._tags[key] = tag
            if len(self._tags) > MAX_TAGS:
                self._tags.popitem(last=False)
        return tag
