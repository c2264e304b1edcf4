"""The whole feed as static files of one snapshot, copied while it may be written (`tallygate export`).

What lives here: `export_feed`. The pointer is read first, then the log's head, then everything that they name
is copied: what a name means never changes, so the copy verifies however long it took. Objects that only other
snapshots name stay behind.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gateway.base.errors import TallygateError
from gateway.base.files import PUBLIC_DIRECTORY, finished_directory, read_bounded
from gateway.feed import layout
from gateway.feed.exports import Exports
from gateway.feed.models import Latest
from gateway.feed.reading import read_area, read_latest
from gateway.publish.disk import Disk

# Tries of a copy: each begins with the newest snapshot, whose files stay for ten minutes.
_TRIES: Final = 3
# Bytes of an area's object.
_MAX_OBJECT: Final = 67_108_864
# Folders whose files are all copied: they are not one snapshot's.
_WHOLE: Final = ("keys", "schemas", "definition", "roster", "information", "log/tile", "attachments")
_NOTE: Final = re.compile(r"([1-9][0-9]{0,15})\.note", re.ASCII)

Progress = Callable[[int], None]
"""Is told how many files are there."""


class Exported(NamedTuple):
    """What was written.

    Attributes:
        snapshot: the newest one.
        entries: of the log in it.
        files: how many.
        size: of all of them, in bytes.
        exports: the snapshot of the newest exports; None: there are none.
    """

    snapshot: int
    entries: int
    files: int
    size: int
    exports: int | None


def export_feed(feed: Path, out: Path, *, link: bool, progress: Progress) -> Exported:
    """Writes a feed's newest snapshot, and everything that leads to it, as files that never change.

    Args:
        feed: the feed's folder; it may be written meanwhile.
        out: a new folder; its parent exists.
        link: files may be the same ones as the feed's (hard links): whoever changes one changes the feed.
        progress: is told now and then.

    Raises:
        TallygateError: ``export.nothing``; ``file.exists``; ``feed.malformed``; ``feed.note``;
            ``feed.missing``: removed while it was copied, and the next tries met the same.
        OSError: a file cannot be read or written; `out` is untouched.
    """
    missing = ""
    for _ in range(_TRIES):
        try:
            with finished_directory(out, PUBLIC_DIRECTORY) as work:
                copied = _Copy(feed, work, link=link, progress=progress).run()
                # At once, and not file by file.
                with Disk(str(work)) as disk:
                    disk.sync_all()
        except FileNotFoundError as error:
            missing = str(error.filename)
            if not missing.startswith(str(feed)):
                raise
        else:
            return copied
    raise TallygateError("feed.missing", "the snapshot names this file, and it is not there", place=missing)


class _Copy:
    """One copy of one snapshot."""

    def __init__(self, feed: Path, work: Path, *, link: bool, progress: Progress) -> None:
        self._feed = feed
        self._work = work
        self._link = link
        self._progress = progress
        self._files = 0
        self._size = 0

    def run(self) -> Exported:
        pointer = self._feed / layout.LATEST
        if not pointer.exists():
            raise TallygateError("export.nothing", "nothing is published yet", place=str(pointer))
        data = read_bounded(pointer, layout.MAX_LATEST)
        latest = read_latest(data)
        # Behind the pointer: its head is of as many entries at least.
        head = read_bounded(self._feed / layout.CHECKPOINT, layout.MAX_NOTE)
        for path in (*self._objects(latest), layout.decisions(bytes.fromhex(latest.decisions.sha256))):
            self._take(path)
        for number in range(1, latest.snapshot + 1):
            self._take(layout.snapshot(number))
            self._take(layout.note(number))
            self._take_if_there(layout.changes(number))
        for folder in _WHOLE:
            for path in self._walk(folder):
                self._take_if_there(path)
        self._take_if_there(layout.MESSAGES)
        exports = self._exports(latest.snapshot)
        self._write(layout.CHECKPOINT, head)
        self._write(layout.LATEST, data)
        self._progress(self._files)
        return Exported(latest.snapshot, latest.log.size, self._files, self._size, exports)

    def _objects(self, latest: Latest) -> Iterator[str]:
        """Every object that a snapshot names; none under an embargo."""
        waiting = [] if latest.root is None else [(latest.root.area, latest.root.sha256)]
        while waiting:
            number, sha256 = waiting.pop()
            path = layout.area(number, bytes.fromhex(sha256))
            area = read_area(read_bounded(self._feed / path, _MAX_OBJECT), path)
            waiting.extend(area.areas)
            yield path
            for row in area.rows:
                if row.version is not None:
                    yield layout.station(row.station, row.version)

    def _exports(self, newest: int) -> int | None:
        """The exports of this snapshot and older ones; the newest of them."""
        folder = self._feed / layout.EXPORTS
        names = [entry.name for entry in folder.iterdir()] if folder.exists() else []
        numbers = [int(found[1]) for name in names if (found := _NOTE.fullmatch(name)) is not None]
        vkey = (self._feed / layout.SNAPSHOT_KEY).read_text().strip()
        taken: int | None = None
        for number in sorted(numbers):
            if number > newest:
                continue
            path = layout.exports_note(number)
            note = read_bounded(self._feed / path, layout.MAX_NOTE)
            for file in Exports.open(note, vkey, path).files:
                self._take(f"{layout.exports(number)}/{file.name}")
            self._write(path, note)
            taken = number
        if taken is not None:
            self._take_from(layout.EXPORTS_LATEST, self._work / layout.exports_note(taken))
        return taken

    def _walk(self, folder: str) -> Iterator[str]:
        """The files below a folder that have their names; a link is none of a feed's."""
        try:
            entries = sorted(os.scandir(self._feed / folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            path = f"{folder}/{entry.name}"
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(path)
            elif entry.is_file(follow_symlinks=False):
                yield path

    def _take_if_there(self, path: str) -> None:
        try:
            self._take(path)
        except FileNotFoundError:  # pruned, or never made
            return

    def _take(self, path: str) -> None:
        self._take_from(path, self._feed / path)

    def _take_from(self, path: str, source: Path) -> None:
        target = self._target(path)
        if self._link:
            try:
                os.link(source, target, follow_symlinks=False)
            except OSError as error:
                if isinstance(error, FileNotFoundError):
                    raise
                shutil.copyfile(source, target, follow_symlinks=False)  # another disk, or one without links
        else:
            shutil.copyfile(source, target, follow_symlinks=False)
        self._count(target)

    def _write(self, path: str, data: bytes) -> None:
        target = self._target(path)
        target.write_bytes(data)
        self._count(target)

    def _target(self, path: str) -> Path:
        target = self._work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _count(self, target: Path) -> None:
        self._files += 1
        self._size += target.stat().st_size
        if self._files % 1_000 == 0:
            self._progress(self._files)
