"""The order of writing: what a file names is there before it, and a number is never made twice.

What lives here: `Feed`, the only writer of the feed's folder, and of the one beside it that hides what is
under embargo until `Feed.lift` moves it. The system calls and their order stand in `gateway.publish.disk`;
docs/feed.md ("Order of writing") says the same to readers. From the moment that ``data/last-snapshot`` names
a number, that snapshot is published, whatever happens: `recover` completes it.

Files are written under temporary names and renamed, so whoever looks sees whole files. Nothing that a power
cut may have torn is trusted: what belongs to a snapshot is always written again when that snapshot is made,
and `restore` compares what the last one names.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded
from gateway.base.logs import Log
from gateway.feed import layout
from gateway.publish.disk import Disk
from gateway.publish.protocol import Draft, FeedFile
from gateway.publish.record import LastSnapshot, read_record

# Folders of which an embargo hides files.
LIFTED: Final = ("areas", "stations", "decisions", "log", "attachments")


class _Numbered(msgspec.Struct, frozen=True):
    """What a snapshot's file says of itself."""

    snapshot: int


_NUMBERED: Final = msgspec.json.Decoder(_Numbered)


class Published(NamedTuple):
    """The last snapshot; `latest` are its bytes, None if the file is lost and its number is not."""

    record: LastSnapshot
    latest: bytes | None


class Feed:
    """The feed's folder and ``data/last-snapshot`` of one night. One thread at a time.

    Args:
        folder: the feed's; it exists.
        record: ``data/last-snapshot``.
        disk: that the folders lie on.
        log: is told what had to be mended.
        hidden: the folder of what is under embargo, on the same file system; it need not exist without one.

    Attributes:
        last: the record of the newest snapshot, as soon as `recover` has found it.

    Raises:
        OSError: of every method: nothing can be promised of what it was to write.
    """

    def __init__(self, folder: Path, record: Path, disk: Disk, log: Log, *, hidden: Path) -> None:
        # resolve() would follow a link
        self._root, self._hidden = (f"{os.path.abspath(one)}/" for one in (folder, hidden))  # noqa: PTH100
        self._record = record
        self.disk: Final = disk
        self._log = log
        self._folders: set[str] = {self._root, self._hidden}
        self.last: LastSnapshot | None = None

    def recover(self) -> Published | None:
        """Finds what was published last, and completes it if a crash came between record and pointer.

        Raises:
            TallygateError: ``publish.record``; ``publish.snapshot``: the file under that number is another
                one than the record's.
        """
        record = read_record(self._record)
        newest = self._newest()
        if newest is not None and (record is None or newest.record.number > record.number):
            # The record is lost, or an old copy of it was put back; the numbers are used all the same.
            self._log("publish.record_lost", snapshot=newest.record.number, place=str(self._record))
            record = newest.record
        if record is None:
            return None
        self.last = record
        latest = self._complete(record)
        if latest is None:
            self._log("publish.snapshot_lost", snapshot=record.number, place=layout.snapshot(record.number))
        elif self._read(layout.LATEST, layout.MAX_LATEST) != latest:
            self._log("publish.completed", snapshot=record.number)
            if _entries(self.checkpoint()) < _entries(record.checkpoint.encode()):
                self.put_checkpoint(record.checkpoint)
            self._put(layout.LATEST, latest, sync=True)
        return Published(record, latest)

    def begin(self) -> bool:
        """Notes durably that the publisher runs; whether it had ended well the last time."""
        if self.last is None:
            return True
        clean = self.last.clean
        if clean:
            self._note(msgspec.structs.replace(self.last, clean=False))
        return clean

    def end(self) -> None:
        """Notes that everything is durable and nothing runs."""
        if self.last is not None:
            self.disk.sync_all()
            self._note(msgspec.structs.replace(self.last, clean=True))

    def restore(self, files: Iterable[FeedFile], *, compare: bool) -> int:
        """Writes those files that are missing or not what they should be.

        Args:
            files: of the last snapshot, or older.
            compare: read what is there; else its size is enough.

        Returns:
            How many were written.
        """
        written = 0
        for file in files:
            if not self._is_there(file, compare=compare):
                self.put(file)
                written += 1
        return written

    def put(self, file: FeedFile) -> None:
        """Writes a file; it is durable with the next snapshot."""
        self._put(file.path, file.data, root=self._place(file.hidden))

    def put_checkpoint(self, note: str) -> None:
        """Replaces log/checkpoint in one step by one whose tiles are durable."""
        self._put(layout.CHECKPOINT, note.encode(), sync=True)

    def publish(self, draft: Draft, log_files: Iterable[FeedFile]) -> None:
        """Writes a snapshot in the order that the feed promises.

        Args:
            draft: the next snapshot.
            log_files: tiles and bundles that its checkpoint needs.

        Raises:
            ValueError: it does not continue the last one.
        """
        number = 1 if self.last is None else self.last.number + 1
        if draft.number != number:
            raise ValueError(f"snapshot {draft.number} where {number} is the next")
        for file in draft.files:
            self.put(file)
        for file in log_files:
            self.put(file)
        checkpoint = "" if self.last is None else self.last.checkpoint
        named = [
            (layout.snapshot(number), draft.latest),
            (layout.note(number), draft.note),
            (layout.LATEST, draft.latest),
        ]
        if draft.changes is not None:
            named.insert(0, (layout.changes(number), draft.changes))
        elif self.holds(_temporary(layout.changes(number))):
            # Of a try at this number that died, with other entries: `recover` would give it its name.
            self.disk.remove(self._temporary(layout.changes(number)))
        if draft.checkpoint is not None:
            checkpoint = draft.checkpoint.decode()
            named.insert(0, (layout.CHECKPOINT, draft.checkpoint))
        for path, data in named:
            self._make_folder(self._root + path)
            self.disk.write(self._temporary(path), data)
        self.disk.sync_all()
        self._note(LastSnapshot(number, draft.sha256.hex(), checkpoint))
        for path, _ in named:
            self.disk.rename(self._temporary(path), self._root + path)

    def lift(self) -> int:
        """Moves everything that is hidden into the feed: the embargo is over.

        Nothing names these files yet, so their order does not matter. What a crash leaves behind is moved by
        the next call; it is durable before a snapshot names it.

        Returns:
            How many files were moved.
        """
        return sum(self._move(folder) for folder in LIFTED)

    def _move(self, folder: str) -> int:
        source = self._hidden + folder
        try:
            entries = list(os.scandir(source))
        except FileNotFoundError:
            return 0
        moved = 0
        for entry in entries:
            path = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                moved += self._move(path)
            elif not entry.name.startswith("."):
                self._make_folder(self._root + path)
                self.disk.rename(entry.path, self._root + path)
                moved += 1
        self._folders.discard(source)
        try:
            self.disk.remove_folder(source)
        except OSError as error:
            # Somebody is writing a paper into it: that is moved the next time.
            if error.errno != errno.ENOTEMPTY:
                raise
        return moved

    def remove(self, path: str) -> None:
        """Removes a file that nobody may need any more, if it is there, hidden or not."""
        for root in (self._root, self._hidden):
            with contextlib.suppress(FileNotFoundError):
                self.disk.remove(root + path)

    def remove_folder(self, path: str, *, hidden: bool = False) -> None:
        """Removes a folder with the files in it."""
        folder = self._place(hidden) + path
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(folder):
                self.disk.remove(entry.path)
            self.disk.remove_folder(folder)
        self._folders.discard(folder)

    def walk(self, path: str, *, hidden: bool = False) -> Iterator[str]:
        """The files below a folder, and removes what a crash has left under temporary names.

        A folder of partial tiles (``….p``) is given as a whole.
        """
        try:
            entries = list(os.scandir(self._place(hidden) + path))
        except FileNotFoundError:
            return
        for entry in entries:
            below = f"{path}/{entry.name}"
            if entry.is_dir(follow_symlinks=False) and not entry.name.endswith(".p"):
                yield from self.walk(below, hidden=hidden)
            elif entry.name.startswith("."):
                self.disk.remove(entry.path)
            else:
                yield below

    def holds(self, path: str, *, hidden: bool = False) -> bool:
        """Whether there is such a file."""
        return os.path.lexists(self._place(hidden) + path)

    def published_at(self) -> float:
        """When the pointer was last replaced, in seconds of real time; 0.0: never."""
        try:
            return os.stat(self._root + layout.LATEST).st_mtime  # noqa: PTH116
        except FileNotFoundError:
            return 0.0

    def checkpoint(self) -> bytes | None:
        """What log/checkpoint holds; None: it is missing."""
        return self._read(layout.CHECKPOINT, layout.MAX_NOTE)

    def note(self, number: int) -> bytes | None:
        """The note of a snapshot; None: it is missing."""
        return self._read(layout.note(number), layout.MAX_NOTE)

    def put_note(self, number: int, note: bytes) -> None:
        """Writes the note of a snapshot again that was lost."""
        self._put(layout.note(number), note, sync=True)

    def _newest(self) -> Published | None:
        """The highest number that was ever given its name here, whatever the record says."""
        numbers = [
            int(stem)
            for name in self._names("snapshots")
            for stem, dot, kind in [name.partition(".")]
            if (dot, kind) == (".", "json") and stem.isascii() and stem.isdigit()
        ]
        found: list[tuple[int, bytes]] = []
        if numbers and (data := self._read(layout.snapshot(max(numbers)), layout.MAX_LATEST)) is not None:
            found.append((max(numbers), data))
        pointer = self._read(layout.LATEST, layout.MAX_LATEST)
        if pointer:
            with contextlib.suppress(msgspec.MsgspecError):
                found.append((_NUMBERED.decode(pointer).snapshot, pointer))
        if not found:
            return None
        number, data = max(found)
        checkpoint = self.checkpoint() or b""
        return Published(LastSnapshot(number, _hex(data), checkpoint.decode(errors="replace")), data)

    def _complete(self, record: LastSnapshot) -> bytes | None:
        """Gives the record's snapshot its names, and returns its bytes; None: they are nowhere."""
        path = layout.snapshot(record.number)
        data = self._read(path, layout.MAX_LATEST)
        if data is not None and _hex(data) != record.sha256:
            raise TallygateError(
                "publish.snapshot",
                f"snapshot {record.number} was published with the SHA-256 {record.sha256}, and this is "
                f"{_hex(data)}: somebody has changed it. Put the published one back from a mirror; a number "
                "is never used for two",
                place=self._root + path,
            )
        if data is None:
            data = self._found(record)
            if data is None:
                return None
            self._log("publish.completed", snapshot=record.number)
        for beside in (layout.note(record.number), layout.changes(record.number)):
            if not self.holds(beside) and self.holds(_temporary(beside)):
                self.disk.rename(self._temporary(beside), self._root + beside)
        return data

    def _found(self, record: LastSnapshot) -> bytes | None:
        """Names the file of a snapshot that has not got its name yet, or has lost it."""
        path = layout.snapshot(record.number)
        left = self._read(_temporary(path), layout.MAX_LATEST)
        if left is not None and _hex(left) == record.sha256:
            self.disk.rename(self._temporary(path), self._root + path)
            return left
        pointer = self._read(layout.LATEST, layout.MAX_LATEST)
        if pointer is not None and _hex(pointer) == record.sha256:
            self._put(path, pointer, sync=True)
            return pointer
        return None

    def _note(self, record: LastSnapshot) -> None:
        """Replaces ``data/last-snapshot``, durably."""
        path = str(self._record)
        temporary = _temporary(path)
        self.disk.write(temporary, record.encode(), sync=True)
        self.disk.rename(temporary, path)
        self.disk.sync_folder(str(self._record.parent))
        self.last = record

    def _is_there(self, file: FeedFile, *, compare: bool) -> bool:
        """Whether a file is there; a hidden one may be public from before or after the embargo."""
        roots = (self._hidden, self._root) if file.hidden else (self._root,)
        return any(_is_at(root + file.path, file.data, compare=compare) for root in roots)

    def _place(self, hidden: bool) -> str:
        return self._hidden if hidden else self._root

    def _put(self, path: str, data: bytes, *, root: str = "", sync: bool = False) -> None:
        root = root or self._root
        self._make_folder(root + path)
        temporary = root + _temporary(path)
        self.disk.write(temporary, data, sync=sync)
        self.disk.rename(temporary, root + path)

    def _make_folder(self, path: str) -> None:
        """Makes the folders of a file as far as they are missing."""
        folder = path.rpartition("/")[0]
        if folder in self._folders or f"{folder}/" in self._folders:
            return
        self._make_folder(folder)
        with contextlib.suppress(FileExistsError):
            self.disk.make_folder(folder)
        self._folders.add(folder)

    def _read(self, path: str, limit: int) -> bytes | None:
        try:
            return read_bounded(Path(self._root + path), limit)
        except (FileNotFoundError, TallygateError):
            return None

    def _names(self, folder: str) -> list[str]:
        try:
            return os.listdir(self._root + folder)  # noqa: PTH208
        except FileNotFoundError:
            return []

    def _temporary(self, path: str) -> str:
        return self._root + _temporary(path)


def _is_at(path: str, data: bytes, *, compare: bool) -> bool:
    try:
        if os.stat(path, follow_symlinks=False).st_size != len(data):  # noqa: PTH116
            return False
        return not compare or Path(path).read_bytes() == data
    except FileNotFoundError:
        return False


def _temporary(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.tmp"


def _entries(checkpoint: bytes | None) -> int:
    """How many entries a checkpoint is of; 0: it is none. Nothing is verified."""
    lines = (checkpoint or b"").split(b"\n", 2)
    return int(lines[1]) if len(lines) == 3 and lines[1].isdigit() else 0


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
