"""Committed entries for everybody else on this machine, over the Unix socket ``run/ledger.sock``.

What lives here: the frames, the server beside the ledger and the client of `publish` and `tallygate verify`.
docs/ledger.md describes the bytes. One direction: what a follower does or fails to do never reaches the
ledger. A follower that stalls is dropped, one that is slow costs one chunk of memory and reads of its own.
"""

import contextlib
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Self, TypeAlias

import trio

from gateway import _core
from gateway.base.errors import CoreError, TallygateError
from gateway.ledger.protocol import Entry, Head, Ledger, LedgerFailedError

# A frame: its kind (one byte), the length of its body (big-endian uint32), the body.
_FRAME: Final = struct.Struct(">cI")
CHECKPOINT: Final = b"C"
ENTRY: Final = b"E"
ALIVE: Final = b"A"
REFUSED: Final = b"R"
# The head of an entry's body: index, received_at, length of the route.
_ENTRY: Final = struct.Struct(">QQB")
# Bytes of a body: a statement of 16,384 and its head, or a checkpoint's note.
_MAX_BODY: Final = 20_480

# Bytes of the client's one line: "from ", a number below 2^53, a line feed.
_MAX_REQUEST: Final = 32
_MAX_DIGITS: Final = 16

# Followers at once: publish, a verify by hand, and room for what is being replaced.
MAX_FOLLOWERS: Final = 16
# Entries read in one call of the ledger, so that a batch never waits for more than them; at most 4 MiB.
_CHUNK: Final = 256
# Threads that read for followers; the sequencer's own are never among them.
_READERS: Final = 2

# Seconds until a request must be there, until a chunk must be taken, between two signs of life, and that a
# client waits for one: three of them.
REQUEST_SECONDS: Final = 5
SEND_SECONDS: Final = 15
ALIVE_SECONDS: Final = 10
SILENCE_SECONDS: Final = 3 * ALIVE_SECONDS
# Seconds that the end of a failed process waits for a follower to take the news.
COURTESY_SECONDS: Final = 1

# Bytes of a Unix socket's path (sun_path of Linux, with its last zero).
_MAX_PATH: Final = 107

# What a server refuses with; anything else is no answer.
_REFUSALS: Final = frozenset({"follow.request", "follow.full", "follow.beyond", "ledger.failed"})

Item: TypeAlias = Head | Entry


class FollowServer:
    """Serves the entries of one ledger; made and used in one Trio run.

    Args:
        ledger: the open ledger.
        path: ``run/ledger.sock``; what is there is replaced: who has the ledger's lock has its socket.
    """

    def __init__(self, ledger: Ledger, path: Path) -> None:
        self._ledger = ledger
        self._path = path
        self._committed = trio.Event()
        self._readers = trio.CapacityLimiter(_READERS)
        self._token = trio.lowlevel.current_trio_token()
        self._followers = 0
        self._failure: LedgerFailedError | None = None
        self._failed = trio.Event()

    @property
    def followers(self) -> int:
        """How many are connected."""
        return self._followers

    def committed(self) -> None:
        """Tells the followers that the ledger has a new head; call it after each batch."""
        self._committed.set()
        self._committed = trio.Event()

    async def serve(
        self, *, task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serves until it is cancelled, then removes the socket, unless another server has taken its name.

        Raises:
            LedgerFailedError: in an exception group: the ledger failed while it was read for a follower.
            TallygateError: ``follow.path``.
            OSError: the socket cannot be made.
        """
        listening, identity = _listen(self._path)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_when_failed)
                await trio.serve_listeners(self._serve_one, [listener], task_status=task_status)
        finally:
            with contextlib.suppress(FileNotFoundError):
                if _identity(self._path) == identity:
                    self._path.unlink()

    async def _end_when_failed(self) -> None:
        """Ends the server for a failure that no follower waits for any more."""
        await self._failed.wait()
        if self._failure is not None:
            raise self._failure

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        self._followers += 1
        try:
            # A follower that goes away, stalls or says nothing sensible is its own trouble.
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                await self._follow(stream)
        finally:
            self._followers -= 1

    async def _follow(self, stream: trio.SocketStream) -> None:
        if self._followers > MAX_FOLLOWERS:
            await _send(stream, _refusal("follow.full", f"{MAX_FOLLOWERS} others follow already; try later"))
            return
        with trio.fail_after(REQUEST_SECONDS):
            start = await _read_request(stream)
        if start is None:
            await _send(stream, _refusal("follow.request", "the request is `from <index>` and a line feed"))
            return
        try:
            await self._send_all(stream, start)
        except LedgerFailedError as error:
            with contextlib.suppress(trio.BrokenResourceError, trio.TooSlowError):
                await _send(stream, _refusal(error.code, error.detail), COURTESY_SECONDS)
            raise

    async def _send_all(self, stream: trio.SocketStream, start: int) -> None:
        told: int | None = None
        while True:
            committed = self._committed
            head = self._ledger.head()
            if head is None or head.size == told:
                with trio.move_on_after(ALIVE_SECONDS) as waited:
                    await committed.wait()
                if waited.cancelled_caught:
                    await _send(stream, _frame(ALIVE, b""))
                continue
            if start > head.size:
                detail = f"the ledger has {head.size} entries, none from {start} on: is it an old copy?"
                await _send(stream, _refusal("follow.beyond", detail))
                return
            await _send(stream, _frame(CHECKPOINT, head.note.encode()))
            told = head.size
            while start < told:
                end = min(start + _CHUNK, told)
                entries = await self._read(stream, start, end)
                await _send(stream, b"".join(map(_entry_frame, entries)))
                start = end

    async def _read(self, stream: trio.SocketStream, start: int, end: int) -> list[Entry]:
        """Reads in a thread, which may have to wait for a long batch, and sends signs of life meanwhile.

        A thread that is left behind ends by itself and nobody waits for it; that the ledger has failed it
        says all the same.
        """
        read = trio.Event()
        entries: list[Entry] = []
        trouble: Exception | None = None
        gone = False

        def in_thread() -> list[Entry]:
            try:
                return self._ledger.entries(start, end)
            except LedgerFailedError as error:
                with contextlib.suppress(trio.RunFinishedError):
                    self._token.run_sync_soon(fail, error)
                raise

        def fail(error: LedgerFailedError) -> None:
            nonlocal trouble
            trouble = error
            if gone:
                self._failure = error
                self._failed.set()

        async def run() -> None:
            # `fail` has been told.
            with contextlib.suppress(LedgerFailedError):
                entries.extend(
                    await trio.to_thread.run_sync(in_thread, limiter=self._readers, abandon_on_cancel=True)
                )
            read.set()

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run)
                while not read.is_set():
                    with trio.move_on_after(ALIVE_SECONDS):
                        await read.wait()
                        break
                    try:
                        await _send(stream, _frame(ALIVE, b""))
                    except (trio.BrokenResourceError, trio.TooSlowError) as error:
                        trouble = trouble or error
                        break
                nursery.cancel_scope.cancel()
        finally:
            gone = True
        if trouble is not None:
            raise trouble
        return entries


@contextlib.asynccontextmanager
async def follow(path: Path, start: int, vkey: str) -> AsyncIterator["Follower"]:
    """Connects to a ledger's socket and asks for its entries from `start` on.

    Args:
        path: ``run/ledger.sock``.
        start: the first index that is wanted.
        vkey: the verifier key of the log.

    Raises:
        TallygateError: ``follow.absent``, ``follow.path``.
    """
    try:
        with trio.fail_after(REQUEST_SECONDS):
            stream = await trio.open_unix_socket(_fitting(path))
    except (OSError, trio.TooSlowError) as error:
        raise TallygateError(
            "follow.absent",
            f"nobody serves the ledger here ({error}): start `tallygate serve`, or ask again in a moment",
            place=str(path),
        ) from None
    async with stream:
        follower = Follower(stream, start, vkey, str(path))
        # It then says why, or `follow.lost`.
        with contextlib.suppress(trio.BrokenResourceError, trio.TooSlowError):
            with trio.fail_after(REQUEST_SECONDS):
                await stream.send_all(b"from %d\n" % start)
        yield follower


class Follower:
    """An async iterator that never ends by itself: a committed `Head`, its entries, the next `Head`.

    After a head come the entries from the first that is missing to its last; what follows is the next head.
    The head's signature is checked; that the entries add up to its root is for the follower to check.

    Raises:
        TallygateError: ``follow.lost`` (connect again from the next index), ``follow.malformed``, and what
            the server answers: ``follow.full``, ``follow.beyond``, ``ledger.failed``.
    """

    def __init__(self, stream: trio.SocketStream, start: int, vkey: str, place: str) -> None:
        self._stream = stream
        self._next = start
        self._size: int | None = None
        self._vkey = vkey
        self._place = place
        self._buffer = bytearray()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while True:
            kind, body = await self._frame()
            if kind == ENTRY:
                return self._entry(body)
            if kind == CHECKPOINT:
                return self._head(body)
            if kind == REFUSED:
                code, _, detail = body.decode(errors="replace").partition("\n")
                if code not in _REFUSALS:
                    raise self._malformed(f"a refusal of no known kind ({code[:40]!r})")
                raise TallygateError(code, detail, place=self._place)
            if kind != ALIVE or body:
                raise self._malformed("a frame of no known kind")

    async def _frame(self) -> tuple[bytes, bytes]:
        try:
            with trio.fail_after(SILENCE_SECONDS):
                kind, length = _FRAME.unpack(await self._bytes(_FRAME.size))
                if length > _MAX_BODY:
                    raise self._malformed(f"a frame of {length} bytes")
                return kind, await self._bytes(length)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            raise self._lost() from None

    async def _bytes(self, count: int) -> bytes:
        while len(self._buffer) < count:
            received = await self._stream.receive_some()
            if not received:
                raise self._lost()
            self._buffer += received
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _head(self, body: bytes) -> Head:
        if self._size is not None and self._next != self._size:
            raise self._malformed(f"a checkpoint where entry {self._next} should be")
        try:
            checkpoint = _core.open_checkpoint(body, self._vkey)
        except CoreError as error:
            raise self._malformed(f"a checkpoint that does not verify: {error}") from None
        least = self._next if self._size is None else self._size + 1
        if checkpoint.size < least:
            raise self._malformed(f"a checkpoint of {checkpoint.size} entries, not of {least} or more")
        self._size = checkpoint.size
        return Head(checkpoint.size, checkpoint.root, body.decode())

    def _entry(self, body: bytes) -> Entry:
        if self._size is None or self._next >= self._size:
            raise self._malformed("an entry that no checkpoint covers")
        if len(body) < _ENTRY.size:
            raise self._malformed("an entry without its head")
        index, received_at, length = _ENTRY.unpack_from(body)
        route, statement = body[_ENTRY.size : _ENTRY.size + length], body[_ENTRY.size + length :]
        if index != self._next or len(route) != length or not route.isascii() or not statement:
            raise self._malformed(f"not entry {self._next}")
        self._next += 1
        return Entry(index, statement, received_at, route.decode("ascii"))

    def _malformed(self, detail: str) -> TallygateError:
        return TallygateError(
            "follow.malformed", f"the ledger's socket sent {detail}: two versions?", place=self._place
        )

    def _lost(self) -> TallygateError:
        return TallygateError(
            "follow.lost",
            f"the ledger's process is gone or silent; connect again from entry {self._next}",
            place=self._place,
        )


def _frame(kind: bytes, body: bytes) -> bytes:
    return _FRAME.pack(kind, len(body)) + body


def _refusal(code: str, detail: str) -> bytes:
    return _frame(REFUSED, f"{code}\n{detail}".encode())


def _entry_frame(entry: Entry) -> bytes:
    route = entry.route.encode("ascii")
    return _frame(ENTRY, _ENTRY.pack(entry.index, entry.received_at, len(route)) + route + entry.statement)


async def _send(stream: trio.SocketStream, data: bytes, seconds: float = SEND_SECONDS) -> None:
    with trio.fail_after(seconds):
        await stream.send_all(data)


async def _read_request(stream: trio.SocketStream) -> int | None:
    """The index that the client asks for; None: it asks for something else."""
    line = b""
    while not line.endswith(b"\n"):
        received = await stream.receive_some(_MAX_REQUEST + 1 - len(line))
        line += received
        if not received or len(line) > _MAX_REQUEST:
            return None
    word, _, number = line[:-1].partition(b" ")
    return int(number) if word == b"from" and number.isdigit() and len(number) <= _MAX_DIGITS else None


def _fitting(path: Path) -> str:
    if len(os.fsencode(path)) > _MAX_PATH:
        raise TallygateError(
            "follow.path",
            f"the path of a Unix socket has at most {_MAX_PATH} bytes: put the night nearer the root",
            place=str(path),
        )
    return str(path)


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _listen(path: Path) -> tuple[socket.socket, tuple[int, int]]:
    """A listening socket that only its owner could ever connect to, under its name in one step.

    Returns:
        The socket, and the device and inode of its name.
    """
    name = _fitting(path.with_name(f".{path.name}"))
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        Path(name).unlink(missing_ok=True)
        listening.bind(name)
        # Nobody can connect before it listens, and it does not listen before the mode is set.
        Path(name).chmod(stat.S_IRUSR | stat.S_IWUSR)
        listening.listen(MAX_FOLLOWERS)
        identity = _identity(Path(name))
        Path(name).rename(path)
    except BaseException:
        listening.close()
        raise
    return listening, identity
