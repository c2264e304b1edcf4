"""Papers that come in: streamed to files under their own hash, and nothing else ever under such a name.

What lives here: `Shelf`, the folder ``data/attachments``, and `Attachments`, which decides whether a paper is
wanted, takes it part by part, and keeps the limits. The system calls of one paper, in order::

    openat(<folder>/.<sha256>.<random>.tmp, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0640)  fchmod
    write …                    each part, hashed while it is there; fdatasync after each MiB
    fsync  close               only if size, first bytes and SHA-256 are the named ones; else unlink
    rename(tmp, <folder>/<sha256>)
    openat(<folder>, O_RDONLY|O_DIRECTORY)  fsync  close       if that fails: unlink
    the ledger's row           committed: from here on the paper counts as stored
    201

Killed before the rename, a temporary file is left, which the next start removes. Killed behind it, the file
is whole, but nobody has promised anything: whoever brings it again has the folder synced and the row written.
After an error of write or fsync the temporary file is removed and nothing of it is tried again.

The event loop never touches the disk: parts are gathered in memory, at most 64 KiB a paper, and written by
threads of their own. A part that has arrived and its gathered neighbours are all that a paper costs.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias, TypeVar, TypeVarTuple

import trio

from gateway import _core
from gateway.base.config import Limits
from gateway.base.files import sync_directory, write_all
from gateway.base.logs import Log
from gateway.base.media import MAX_PAPER, MEDIA, START_BYTES, SYNCED, Medium, medium_of
from gateway.base.metrics import IngestMetrics
from gateway.boxport import problems
from gateway.boxport.problems import Problem
from gateway.sequencer.protocol import Intake, Paper

# Of the connections, one in so many may bring a paper: the slowest takes hours.
_SLOTS: Final = 4
# Bytes of a paper that are gathered before a thread writes them.
_GATHERED: Final = 65_536
# Threads that write papers; a disk that hangs holds these and none that the log needs.
_WRITERS: Final = 4
# Readable by the group: the publisher copies it (docs/operations.md).
_MODE: Final = 0o640
_FOLDER_MODE: Final = 0o750

# Ways in which the log names a paper that are told to who brings another.
_SHOWN: Final = 3

_TEMPORARY: Final = re.compile(r"\.[0-9a-f]{64}\.[0-9a-f]{16}\.tmp", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

_T = TypeVar("_T")
_Arguments = TypeVarTuple("_Arguments")

Taken: TypeAlias = Literal["stored", "known"]


def slots(limits: Limits) -> int:
    """How many papers may come in at once; each has a file open beside its connection."""
    return max(1, limits.connections // _SLOTS)


class CutOffError(Exception):
    """The line broke before the body's end."""


class BarredError(Exception):
    """The certificate is no longer good: a paper may take hours, and its head was judged before them."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class Body(Protocol):
    """The body of a request, which comes in parts, as the connection has it.

    Both raise `CutOffError`, and are cancelled when the deadline has passed.
    """

    async def begin(self, seconds: float) -> None:
        """Asks for the body; it has so many seconds, the answer with it."""

    async def part(self) -> tuple[bytes, bool]:
        """The next part, and whether it was the last; raises `BarredError` too."""


class Shelf:
    """The folder of papers. Every method blocks: call it in a thread.

    Args:
        folder: ``data/attachments``.

    Raises:
        OSError: of every method: the disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Held while a name appears, until it lasts: of two that bring the same paper, one finds it there.
        self._naming = threading.Lock()

    def clean(self) -> int:
        """Removes what killed processes have left, and makes the names that are there durable.

        Returns:
            How many files were removed.
        """
        self._folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        left = [entry for entry in os.scandir(self._folder) if _TEMPORARY.fullmatch(entry.name)]
        for entry in left:
            Path(entry.path).unlink()
        sync_directory(self._folder)
        return len(left)

    def holds(self, sha256: bytes, size: int) -> bool:
        """Whether there is such a file: whole, for none ever has this name before it is."""
        try:
            found = (self._folder / sha256.hex()).stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == size

    def keeps(self, sha256: bytes, size: int, noted: bool) -> bool:
        """Whether there is such a file, and its name lasts; `noted`: that was known before."""
        # A name whose folder could not be synced is taken back: nobody may see it in between.
        with self._naming:
            held = self.holds(sha256, size)
            if held and not noted:
                sync_directory(self._folder)
            return held

    def begin(self, sha256: bytes) -> "Incoming":
        """Opens a temporary file for a paper."""
        return Incoming(self, self._folder, sha256)

    def name(self, temporary: Path, sha256: bytes, size: int) -> Taken:
        """Gives a whole and durable temporary file its name, durably; it is gone where there is one."""
        target = self._folder / sha256.hex()
        with self._naming:
            if self.holds(sha256, size):
                temporary.unlink()
                sync_directory(self._folder)
                return "known"
            temporary.replace(target)
            try:
                sync_directory(self._folder)
            except OSError:
                # Whether the name lasts is not known, and a second fsync might only say so.
                target.unlink(missing_ok=True)
                raise
            return "stored"


class Incoming:
    """A paper's temporary file; made by `Shelf.begin`, ended by `finish` or `discard`, in threads."""

    def __init__(self, shelf: Shelf, folder: Path, sha256: bytes) -> None:
        self._shelf = shelf
        self._sha256 = sha256
        self._path = folder / f".{sha256.hex()}.{secrets.token_hex(8)}.tmp"
        self._summed = hashlib.sha256()
        self._size = self._unsynced = 0
        self._descriptor = os.open(self._path, _CREATE, _MODE)
        try:
            # Whatever the umask.
            os.fchmod(self._descriptor, _MODE)
        except OSError:
            self.discard()
            raise

    def write(self, data: bytes) -> None:
        """Writes the next bytes."""
        self._summed.update(data)
        self._size += len(data)
        write_all(self._descriptor, data)
        self._unsynced += len(data)
        if self._unsynced >= SYNCED:
            os.fdatasync(self._descriptor)
            self._unsynced = 0

    def finish(self) -> Taken | None:
        """Gives the whole paper its name, durably; None: its bytes have another hash, and it is gone."""
        if self._summed.digest() != self._sha256:
            self.discard()
            return None
        try:
            os.fsync(self._descriptor)
        finally:
            self._close()
        return self._shelf.name(self._path, self._sha256, self._size)

    def discard(self) -> None:
        """Leaves nothing; once more does nothing."""
        self._close()
        self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A paper that may come.

    Attributes:
        sha256: its name.
        size: in bytes.
        medium: what it has to be.
        stored: whether the ledger says that its bytes are there.
        quotas: how many bytes of papers each device may have stored whose packets name it, as far as this
            certificate speaks for them.
    """

    sha256: bytes
    size: int
    medium: Medium
    stored: bool
    quotas: Mapping[int, int]


class Attachments:
    """The papers of one port. Used from the event loop.

    Args:
        shelf: where they are; cleaned before.
        intake: knows what the log names, and notes what is stored.
        stored_bytes: of the papers that each device's packets name (`Ledger.stored_bytes`).
        limits: of tallygate.toml.
        free: free bytes on the shelf's disk: a figure that somebody else keeps fresh.
        metrics: of the process.
        log: of the process.
    """

    def __init__(
        self,
        shelf: Shelf,
        intake: Intake,
        stored_bytes: Mapping[int, int],
        *,
        limits: Limits,
        free: Callable[[], float],
        metrics: IngestMetrics,
        log: Log,
    ) -> None:
        self._shelf = shelf
        self._intake = intake
        self._limits = limits
        self._free = free
        self._metrics = metrics
        self._log = log
        self._most = slots(limits)
        self._reserve = limits.disk_reserve_bytes + limits.attachment_reserve_bytes
        # Bytes of the papers that are there or coming in, by the devices that name them.
        self._used: dict[int, int] = dict(stored_bytes)
        # Papers that are coming in, and their bytes.
        self._open = 0
        self._coming = 0
        self._threads = trio.CapacityLimiter(_WRITERS)
        metrics.papers_limit.set(self._most)
        metrics.papers_open.set_function(lambda: self._open)

    async def want(self, request: _core.Request, peer: _core.Peer, name: str) -> Wanted | Problem:
        """Judges a paper by its request's head and the log; nothing of its body was read.

        Args:
            request: a PUT.
            peer: whose certificate brings it.
            name: the last part of the path.

        Raises:
            LedgerFailedError: nothing can be promised any more.
        """
        if not _HASH.fullmatch(name):
            return problems.PATH
        said = (request.content_type or "").lower()
        medium = next((medium for medium in MEDIA if medium.type == said), None)
        if medium is None:
            return problems.PAPER_TYPE
        size = request.content_length or 0
        if size > MAX_PAPER:
            return problems.PAPER_TOO_LARGE
        if peer.role == "commission":
            return problems.PAPER_ROLE
        sha256 = bytes.fromhex(name)
        paper = await self._intake.paper(sha256, peer)
        if not paper.named:
            return problems.NOT_NAMED
        if not any((one.size, one.media) == (size, medium.number) for one in paper.named):
            return _otherwise(paper)
        return Wanted(sha256, size, medium, paper.stored, paper.quotas)

    async def take(self, wanted: Wanted, body: Body) -> Taken | Problem:
        """Takes a wanted paper, or finds that it is there already.

        Raises:
            CutOffError: the line broke.
            LedgerFailedError: nothing can be promised any more.
        """
        try:
            known = await self._in_thread(self._shelf.keeps, wanted.sha256, wanted.size, wanted.stored)
        except OSError as error:
            return self._failed(error)
        if known:
            if not wanted.stored:
                await self._note(wanted)
            return "known"
        # From here to the charge nothing waits: of two that come at once, one sees what the other takes.
        if not self._fits(wanted):
            return problems.PAPERS_QUOTA
        if self._open >= self._most:
            return problems.PAPERS_OVERLOAD
        if self._free() - self._coming - wanted.size < self._reserve:
            return problems.PAPERS_STORAGE
        self._open += 1
        self._coming += wanted.size
        # What the ledger has and the disk has lost is counted already.
        charged = 0 if wanted.stored else wanted.size
        self._charge(wanted, charged)
        taken: Taken | Problem | None = None
        try:
            taken = await self._receive(wanted, body)
        finally:
            self._open -= 1
            self._coming -= wanted.size
            # What has its name counts, also where nobody waits any more for its row.
            if taken != "stored":
                self._charge(wanted, -charged)
        if not isinstance(taken, Problem):
            await self._note(wanted)
        return taken

    def _fits(self, wanted: Wanted) -> bool:
        """Whether some device that names it has room for it, or it needs none."""
        return wanted.stored or any(
            self._used.get(device, 0) + wanted.size <= quota for device, quota in wanted.quotas.items()
        )

    def _charge(self, wanted: Wanted, size: int) -> None:
        for device in wanted.quotas:
            self._used[device] = self._used.get(device, 0) + size

    async def _receive(self, wanted: Wanted, body: Body) -> Taken | Problem:
        limits = self._limits
        await body.begin(wanted.size / limits.attachment_bytes_per_second + limits.request_seconds)
        incoming: Incoming | None = None
        taken: Taken | None = None
        try:
            incoming = await self._in_thread(self._shelf.begin, wanted.sha256)
            problem = await self._stream(wanted, body, incoming)
            if problem is not None:
                return problem
            taken = await self._in_thread(incoming.finish)
        except BarredError as error:
            return error.problem
        except OSError as error:
            return self._failed(error)
        finally:
            if incoming is not None and taken is None:
                # Also of who was cancelled: of a paper that did not come nothing stays.
                with trio.CancelScope(shield=True), contextlib.suppress(OSError):
                    await self._in_thread(incoming.discard)
        return problems.NOT_ITS_HASH if taken is None else taken

    async def _stream(self, wanted: Wanted, body: Body, incoming: Incoming) -> Problem | None:
        gathered = bytearray()
        begun = last = False
        while not last:
            part, last = await body.part()
            self._metrics.paper_bytes.inc(len(part))
            gathered += part
            if not begun and (last or len(gathered) >= START_BYTES):
                begun = True
                if medium_of(bytes(gathered[:START_BYTES])) != wanted.medium:
                    return problems.NOT_ITS_MEDIUM
            if last or len(gathered) >= _GATHERED:
                await self._in_thread(incoming.write, bytes(gathered))
                gathered.clear()
        return None

    async def _note(self, wanted: Wanted) -> None:
        await self._intake.store_paper(wanted.sha256, wanted.size, wanted.medium.number)

    async def _in_thread(self, act: Callable[[*_Arguments], _T], *arguments: *_Arguments) -> _T:
        return await trio.to_thread.run_sync(act, *arguments, limiter=self._threads)

    def _failed(self, error: OSError) -> Problem:
        """What is answered where the disk does not do what it is told."""
        if error.errno in _FULL:
            return problems.PAPERS_STORAGE
        self._log.fault("attachments.fault", error)
        return problems.FAULT


def _otherwise(paper: Paper) -> Problem:
    """The refusal of a paper that the log names with another size or medium."""
    types = {medium.number: medium.type for medium in MEDIA}
    said = sorted({f"{one.size:,} bytes of {types[one.media]}" for one in paper.named})
    named = " or ".join(said[:_SHOWN])
    detail = f"the log names {named} under this hash: send the file that was signed for"
    return Problem("attachment.hash", detail, "fix")
