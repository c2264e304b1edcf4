"""When exports are made, by whom, and how they get their names: beside publication and never in its way.

What lives here: `Exporter`, a task of the publisher. A process of its own makes the files from the feed's
public ones (a thread of ours at low priority would hold the interpreter's lock while it waits for its turn);
this one signs their hashes, gives the folder its name, then the note, then the pointer, and removes old ones.

Cadence: when a snapshot has other figures, status words or texts than the newest exports, a minute after
those were begun; at once where publication pauses or the count becomes complete. Never under an embargo.
"""

import hashlib
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import trio

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.base.files import PUBLIC_DIRECTORY, read_bounded, sync_directory, write_durably
from gateway.base.logs import Log
from gateway.base.metrics import PublishMetrics
from gateway.feed import layout, reading
from gateway.feed.exports import Exports
from gateway.feed.models import Latest
from gateway.publish.exports.arrivals import Arrivals
from gateway.publish.exports.make import Fault, Job, Made
from gateway.publish.pruning import KEPT_SECONDS

# Seconds from the beginning of one to the beginning of the next.
APART_SECONDS: Final = 60.0
# Seconds between two looks at the newest snapshot.
LOOK_SECONDS: Final = 1.0
# Seconds that one may take; nothing that a snapshot names goes within the time that the feed keeps it.
MOST_SECONDS: Final = KEPT_SECONDS - 60.0
# Exports that stay: whoever has read the pointer has three minutes to begin with the last file. The newest
# whose count is complete stays besides.
KEPT: Final = 4

# Our own interpreter, without the folder that somebody stands in.
PROGRAM: Final = (sys.executable, "-P", "-m", "gateway.publish.exports")

_COMPLETE: Final = frozenset({"unofficial-complete", "certified", "correction", "recount"})
_NAMED: Final = re.compile(r"([1-9][0-9]{0,15})(\.note)?", re.ASCII)


class Subject(NamedTuple):
    """What exports say; new ones are due where a snapshot says something else.

    Attributes:
        size: entries of the log.
        machine: status word.
        protocol: status word.
        information: SHA-256 of the texts, or None.
    """

    size: int
    machine: str
    protocol: str
    information: str | None

    @classmethod
    def of(cls, latest: Latest) -> "Subject":
        """Of a snapshot."""
        return cls(latest.log.size, latest.status.machine, latest.status.protocol, latest.information)


class Exporter:
    """Makes the exports of one feed; made and used in one Trio run.

    Args:
        feed: its folder.
        seed: the private key that signs snapshots, 32 bytes.
        newest: gives the newest published snapshot, or None.
        arrivals: of all entries that it has.
        room: whether the disk has room for more than heartbeats.
        reserve: bytes that stay free on the disk.
        log: is told what was made, and what was not.
        metrics: of the role.
        program: what makes the files.
    """

    def __init__(
        self,
        feed: Path,
        seed: bytes,
        *,
        newest: Callable[[], Latest | None],
        arrivals: Arrivals,
        room: Callable[[], bool],
        reserve: int,
        log: Log,
        metrics: PublishMetrics,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._feed = feed
        self._folder = feed / layout.EXPORTS
        self._seed = seed
        self._newest = newest
        self._arrivals = arrivals
        self._room = room
        self._reserve = reserve
        self._log = log
        self._metrics = metrics
        self._program = program

    async def run(self) -> None:
        """Never ends; what was begun and is not named yet goes with it."""
        before: Latest | None = None
        try:
            before = await trio.to_thread.run_sync(self._tidy)
        except (TallygateError, OSError) as error:
            self._fail(None, error)
        tried, begun = before, -math.inf
        while True:
            await trio.sleep(LOOK_SECONDS)
            latest = self._newest()
            if latest is None or latest.embargo_until is not None or not self._room():
                continue
            if before is not None and Subject.of(latest) == Subject.of(before):
                continue
            if trio.current_time() < begun + APART_SECONDS and not is_urgent(latest, tried):
                continue
            tried, begun = latest, trio.current_time()
            if await self._export(latest):
                before = latest

    async def _export(self, latest: Latest) -> bool:
        """Makes, signs and names the exports of a snapshot; False: there are none, and the log says why."""
        begun = trio.current_time()
        work = self._folder / f".{latest.snapshot}.tmp"
        try:
            await trio.to_thread.run_sync(_make_empty, work)
            made = await self._make(latest.snapshot, work)
            await trio.to_thread.run_sync(self._put, latest, made, work)
        except Exception as error:  # a fault of ours must not end publication either
            self._fail(latest.snapshot, error)
            await trio.to_thread.run_sync(partial(shutil.rmtree, work, ignore_errors=True))
            return False
        took = trio.current_time() - begun
        size = sum(file.size for file in made.files)
        self._log("export.made", snapshot=latest.snapshot, bytes=size, seconds=round(took, 3))
        self._metrics.export_snapshot.set(latest.snapshot)
        self._metrics.export_seconds.observe(took)
        return True

    def _fail(self, number: int | None, error: Exception) -> None:
        self._log("export.failed", snapshot=number, words=str(error))
        if not isinstance(error, TallygateError | OSError):
            self._log.fault("export.fault", error)
        self._metrics.export_failures.inc()

    async def _make(self, number: int, work: Path) -> Made:
        job = Job(str(self._feed), number, str(work), self._arrivals.descriptor, self._reserve)
        with trio.move_on_after(MOST_SECONDS):
            ended = await trio.run_process(
                self._program,
                stdin=msgspec.json.encode(job),
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                pass_fds=(self._arrivals.descriptor,),
            )
            answer = _read(ended.stdout)
            if isinstance(answer, Made) and ended.returncode == 0:
                return answer
            if isinstance(answer, Fault):
                raise TallygateError(answer.code, answer.words)
            raise TallygateError(
                "export.process",
                f"the process that makes exports ended with {ended.returncode}: "
                f"{_last_line(ended.stderr) or 'it says nothing'}",
            )
        raise TallygateError("export.late", f"exports took more than {MOST_SECONDS:.0f} seconds")

    # --- In threads ---

    def _tidy(self) -> Latest | None:
        """Removes what a crash has left, and finds the snapshot of the newest exports."""
        with suppress(FileNotFoundError):
            for entry in list(self._folder.iterdir()):
                if entry.name.startswith("."):
                    _remove(entry)
        for number in self._numbers(".note") ^ self._numbers(""):
            self._remove(number)
        numbers = self._numbers(".note")
        if not numbers:
            return None
        newest = max(numbers)
        note = self._feed / layout.exports_note(newest)
        pointer = self._feed / layout.EXPORTS_LATEST
        data = read_bounded(note, layout.MAX_NOTE)
        if not pointer.exists() or read_bounded(pointer, layout.MAX_NOTE) != data:
            write_durably(pointer, data)
        return self._snapshot(newest)

    def _put(self, latest: Latest, made: Made, work: Path) -> None:
        number = latest.snapshot
        published = _core.canonical_json(msgspec.to_builtins(latest))
        if made.snapshot != hashlib.sha256(published).hexdigest():
            raise reading.malformed("these are not the bytes that were published", layout.snapshot(number))
        exports = Exports(made.origin, number, made.snapshot, made.files)
        note = _core.NoteSigner(reading.note_name(made.origin), self._seed).sign(exports.text).encode()
        self._remove(number)
        os.chmod(work, PUBLIC_DIRECTORY)  # noqa: PTH101
        sync_directory(work)
        work.rename(self._feed / layout.exports(number))
        sync_directory(self._folder)
        write_durably(self._feed / layout.exports_note(number), note)
        write_durably(self._feed / layout.EXPORTS_LATEST, note)
        self._prune()

    def _prune(self) -> None:
        """Removes all but the newest, and the newest whose count is complete."""
        numbers = sorted(self._numbers(".note"), reverse=True)
        kept = set(numbers[:KEPT])
        for number in numbers:
            found = self._snapshot(number)
            if found is not None and is_complete(found):
                kept.add(number)
                break
        for number in set(numbers) - kept:
            self._remove(number)

    def _remove(self, number: int) -> None:
        """The note first: what it names is there as long as it is."""
        (self._feed / layout.exports_note(number)).unlink(missing_ok=True)
        _remove(self._feed / layout.exports(number))

    def _numbers(self, suffix: str) -> set[int]:
        """Numbers of snapshots that there is a folder, or a note, of."""
        try:
            names = [entry.name for entry in self._folder.iterdir()]
        except FileNotFoundError:
            return set()
        found = (_NAMED.fullmatch(name) for name in names)
        return {int(one[1]) for one in found if one is not None and (one[2] or "") == suffix}

    def _snapshot(self, number: int) -> Latest | None:
        path = layout.snapshot(number)
        try:
            return reading.read_latest(read_bounded(self._feed / path, layout.MAX_LATEST), path)
        except (TallygateError, FileNotFoundError):
            return None


def is_urgent(latest: Latest, before: Latest | None) -> bool:
    """Whether a snapshot is exported at once, where another one was exported, or tried to be, before."""
    if before is None:
        return False
    paused = latest.paused is not None and before.paused is None
    return paused or (is_complete(latest) and not is_complete(before))


def is_complete(latest: Latest) -> bool:
    """Whether every station has reported, in the source of the headline."""
    word = latest.status.machine if latest.headline == "machine" else latest.status.protocol
    return word in _COMPLETE


def _make_empty(folder: Path) -> None:
    _remove(folder)
    folder.mkdir(parents=True)


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _read(answer: bytes) -> Made | Fault | None:
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(answer, type=Made)
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(answer, type=Fault)
    return None


def _last_line(text: bytes) -> str:
    return text.decode(errors="replace").strip().rpartition("\n")[2][:500]
