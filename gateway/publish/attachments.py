"""Papers on their way into the feed: those that the published log names, as soon as they are there.

What lives here: `Papers`, which notes what entries name, and `Attachments`, a task of its own that copies
files from ``data/attachments`` to ``attachments/`` of the feed, or of the folder of the embargo until that is
over. Publication never waits for it, and nothing in a snapshot depends on it.

A copy is a file of the feed like any other: written under a name with a dot, durable, renamed. Its SHA-256 is
compared with its name on the way, so what a disk has changed is not shown. Whoever removes a copy gets it
back with the next start.
"""

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import trio

from gateway import _core
from gateway.base.clock import parse_time
from gateway.base.files import PUBLIC_DIRECTORY, PUBLIC_FILE, write_all
from gateway.base.logs import Log
from gateway.base.media import MAX_PAPER, SYNCED
from gateway.base.metrics import PublishMetrics
from gateway.feed import layout
from gateway.feed.models import Latest

# Seconds between two looks, and how much longer than a look the pause behind it is at least: however many
# papers are missing, looking for them takes a twentieth of a processor at most.
LOOK_SECONDS: Final = 2.0
_PAUSE: Final = 20.0
# Bytes that are copied between two looks at whether the role ends.
_ROUND: Final = 67_108_864
# Missing papers up to which each is looked for by its name; beyond, the folder is read.
_BY_NAME: Final = 1_024

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class _Name(NamedTuple):
    """A paper, and the entry that names it."""

    entry: int
    sha256: bytes


class Papers:
    """What the log's entries name, from the thread that folds them to the task that looks for it."""

    def __init__(self) -> None:
        self._names: deque[_Name] = deque()

    def note(self, first: int, statements: Sequence[bytes]) -> None:
        """Notes what the log's next entries name, whether they belong or not.

        Args:
            first: index of the first of them.
            statements: committed; well-formed for whoever has folded them.
        """
        for entry, statement in enumerate(statements, first):
            for sha256, *_ in _core.decode(statement).attachments:
                self._names.append(_Name(entry, sha256))

    def take(self, size: int) -> list[bytes]:
        """The papers that the first `size` entries name, as far as they were not taken before."""
        found = []
        while self._names and self._names[0].entry < size:
            found.append(self._names.popleft().sha256)
        return found


class Attachments:
    """Copies papers. One thread at a time.

    Args:
        papers: what is named.
        source: ``data/attachments``.
        feed: the feed's folder.
        hidden: the embargo's.
        newest: the newest snapshot that is published.
        publish_at: of the definition, ms; None: there is no embargo.
        free: free bytes on the feed's disk; None: not known.
        reserve: bytes that copies leave free: statements, and snapshots of them, come before scans.
        log: is told of papers that cannot be published.
        metrics: of the role.
    """

    def __init__(
        self,
        papers: Papers,
        source: Path,
        feed: Path,
        hidden: Path,
        *,
        newest: Callable[[], Latest | None],
        publish_at: int | None,
        free: Callable[[], int | None],
        reserve: int,
        log: Log,
        metrics: PublishMetrics,
    ) -> None:
        self._papers = papers
        self._source = source
        self._feed = feed
        self._hidden = hidden
        self._newest = newest
        self._publish_at = publish_at
        self._free = free
        self._reserve = reserve
        self._log = log
        self._metrics = metrics
        # Named in the published log and not in the feed.
        self._missing: dict[bytes, None] = {}
        # Of files whose bytes are not their name: when they were written (ns). They are not read again.
        self._changed: dict[bytes, int] = {}
        # What was said of a disk that does not work.
        self._told: set[str] = set()
        # When the source was changed as of the last two looks, with everything found copied.
        self._seen: list[int] = []

    async def run(self) -> None:
        """Looks again and again; never ends."""
        while True:
            begun = trio.current_time()
            more = await trio.to_thread.run_sync(self.look)
            took = trio.current_time() - begun
            await trio.sleep(0 if more else max(LOOK_SECONDS, _PAUSE * took))

    def look(self) -> bool:
        """Copies what has come, some of it; whether there is more to be copied at once.

        While publication is paused nothing is copied.
        """
        latest = self._newest()
        if latest is None or latest.paused is not None:
            return False
        if (self._free() or 0) < self._reserve + _ROUND + MAX_PAPER:
            self._tell("the disk of the feed has little more than its reserve: scans are not published")
            return False
        more = False
        try:
            if new := [one for one in self._papers.take(latest.log.size) if not self._is_published(one)]:
                self._missing |= dict.fromkeys(new)
                self._seen.clear()
            if self._missing:
                target = self._hidden if self._is_hidden(latest) else self._feed
                more = self._copy_found(target / layout.ATTACHMENTS)
        except OSError as error:
            self._tell(str(error))
        self._metrics.papers_missing.set(len(self._missing))
        return more

    def _is_hidden(self, latest: Latest) -> bool:
        """Whether papers wait for the hour, also where no count has come: a scan may come before it."""
        if latest.embargo_until is not None:
            return True
        return self._publish_at is not None and parse_time(latest.published_at) < self._publish_at

    def _tell(self, words: str) -> None:
        """Says what does not work, the same once."""
        if words not in self._told:
            self._told.add(words)
            self._log("attachments.unreadable", words=words)

    def _copy_found(self, target: Path) -> bool:
        changed_at = self._source.stat().st_mtime_ns
        # The folder's time is coarse: what came within the same tick shows at the second look.
        if self._seen == [changed_at, changed_at]:
            return False
        copied = 0
        for sha256 in self._find():
            if copied >= _ROUND:
                return True
            copied += self._copy(sha256, target)
        self._seen = [*self._seen, changed_at][-2:]
        return False

    def _find(self) -> list[bytes]:
        """Those of the missing ones that are there."""
        if len(self._missing) <= _BY_NAME:
            return [one for one in self._missing if (self._source / one.hex()).exists()]
        names = {entry.name for entry in os.scandir(self._source)}
        return [one for one in self._missing if one.hex() in names]

    def _is_published(self, sha256: bytes) -> bool:
        return any((root / layout.attachment(sha256)).exists() for root in (self._feed, self._hidden))

    def _copy(self, sha256: bytes, target: Path) -> int:
        """Copies one; how many bytes it has, whether it could be published or not.

        Raises:
            OSError: reading or writing failed; the others come before it the next time.
        """
        place = self._source / sha256.hex()
        try:
            reading = os.open(place, _READ)
        except OSError as error:
            # A link, or another user's file: no other paper waits for it.
            self._tell(f"{place}: {error.strerror}")
            return 0
        try:
            found = os.fstat(reading)
            if self._changed.get(sha256) == found.st_mtime_ns:
                return 0
            whole = stat.S_ISREG(found.st_mode) and found.st_size <= MAX_PAPER
            if not whole or not _copy_as(reading, sha256, target):
                self._changed[sha256] = found.st_mtime_ns
                self._log("attachments.changed", place=str(place))
                return found.st_size if whole else 0
        except OSError:
            # A sector that cannot be read stays so: no other paper waits behind it.
            self._missing[sha256] = self._missing.pop(sha256)
            raise
        finally:
            os.close(reading)
        self._changed.pop(sha256, None)
        del self._missing[sha256]
        self._metrics.papers_published.inc()
        return found.st_size


def _copy_as(reading: int, sha256: bytes, target: Path) -> bool:
    """Copies an open file durably to the name of its hash; False: it has another, and there is no copy."""
    with suppress(FileExistsError):
        target.mkdir(mode=PUBLIC_DIRECTORY)
    temporary = target / f".{sha256.hex()}.tmp"
    summed = hashlib.sha256()
    writing = os.open(temporary, _WRITE, PUBLIC_FILE)
    try:
        try:
            while data := os.read(reading, SYNCED):
                summed.update(data)
                write_all(writing, data)
                os.fdatasync(writing)
            os.fsync(writing)
        finally:
            os.close(writing)
        if summed.digest() != sha256:
            temporary.unlink()
            return False
        temporary.replace(target / sha256.hex())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return True
