"""The public port: HTTP/1.1 on Trio and h11, one task a connection, disk and pages in threads of their own.

What lives here: `WebServer`. What it promises: a reader that stalls holds nothing but its own connection, and
that for a bounded time; a newcomer finds a place as long as any connection waits for a request; the event
loop never touches the disk.

A disk that does not answer holds those that asked it: no wait of ours can take a thread back from the kernel.
"""

import contextlib
import itertools
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

import h11
import trio

from gateway.base.clock import SECOND, Clock
from gateway.base.errors import TallygateError
from gateway.base.logs import Log
from gateway.base.metrics import WebMetrics
from gateway.site.answers import (
    FILE_POLICY,
    PAGE_POLICY,
    Answer,
    Resource,
    answer,
    missing,
    preflight,
    refused,
)
from gateway.site.files import FeedFiles, Opened, tag_of
from gateway.site.names import find_file, of_medium, path_of

# Bytes of a request's head: browsers send one KiB, proxies add some.
MAX_HEAD: Final = 8_192
# Seconds for the whole head, from the connection or the head's first byte on.
HEAD_SECONDS: Final = 10.0
# Seconds that a connection may stay open without a request: a reader who polls every few seconds keeps one.
IDLE_SECONDS: Final = 15.0
# Seconds in which a reader takes `PIECE` bytes: 2 KiB/s, a modem's worth.
SEND_SECONDS: Final = 32.0
PIECE: Final = 65_536
# Seconds of a connection in all: readers spread over new processes and machines again (as nginx).
CONNECTION_SECONDS: Final = 3_600.0
# Seconds for what is in flight when the role ends; well below the supervisor's patience.
STOP_SECONDS: Final = 10.0
# Threads that read the disk: one slow folder of many must not hold the others up.
DISK_THREADS: Final = 8
# Seconds in which somebody who was refused may finish what they were sending: closed on them, the answer
# might never reach them (RFC 9112, 9.6).
LINGER_SECONDS: Final = 1.0
_RECEIVE: Final = 16_384


class Page(NamedTuple):
    """A page, or what belongs to pages.

    Attributes:
        content: the whole body.
        type: media type.
        cache: the value of Cache-Control.
        tag: strong entity tag.
    """

    content: bytes
    type: str
    cache: str
    tag: str

    @classmethod
    def of(cls, content: bytes, type: str, cache: str) -> "Page":  # noqa: A002 - HTTP's word
        """A page with its tag."""
        return cls(content, type, cache, tag_of(content))


class Pages(Protocol):
    """Whoever makes pages of the feed."""

    def find(self, path: str) -> Page | None:
        """The page at a decoded path; None: there is none. Blocks; called from several threads.

        Raises:
            TallygateError: the feed cannot be read as one.
            OSError: a file cannot be read.
        """


class WebServer:
    """The public port of one night.

    Args:
        files: the feed.
        pages: what is no file of the feed.
        rehearsal: whether names without a hash are another night's tomorrow.
        connections: open at once.
        metrics: of the role.
        log: of the role.
        clock: the machine's, ms, for the field Date.
    """

    def __init__(
        self,
        files: FeedFiles,
        pages: Pages,
        *,
        rehearsal: bool,
        connections: int,
        metrics: WebMetrics,
        log: Log,
        clock: Clock,
    ) -> None:
        self._files = files
        self._pages = pages
        self._rehearsal = rehearsal
        self._cap = connections
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._open = 0
        self._numbers = itertools.count()
        # Connections that wait for (the rest of) a request, the longest waiting first: these may be closed.
        self._waiting: dict[int, trio.CancelScope] = {}
        self._stopping = False
        self._disk = trio.CapacityLimiter(DISK_THREADS)
        # Making pages is work for a processor: one at a time leaves the others to the rest of the night.
        self._making = trio.CapacityLimiter(1)
        metrics.connections_limit.set(connections)

    @property
    def waiting(self) -> int:
        """Connections that wait for (the rest of) a request."""
        return len(self._waiting)

    async def serve(self, listeners: Sequence[trio.SocketListener], stop: trio.Event) -> None:
        """Serves until `stop` is set and what was in flight then is sent, or its time is over."""
        async with trio.open_nursery() as answering:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(trio.serve_listeners, handler_nursery=answering), self._serve_one, list(listeners)
                )
                await stop.wait()
                accepting.cancel_scope.cancel()
            self._stopping = True
            for scope in self._waiting.values():
                scope.cancel()
            answering.cancel_scope.deadline = trio.current_time() + STOP_SECONDS

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        if not self._make_room():
            self._metrics.connections.labels("turned_away").inc()
            await trio.aclose_forcefully(stream)
            return
        self._open += 1
        self._metrics.connections.labels("accepted").inc()
        self._metrics.open_connections.set(self._open)
        try:
            # Who goes away has nothing to be told.
            with contextlib.suppress(trio.BrokenResourceError):
                await self._converse(stream)
        except trio.TooSlowError:
            self._metrics.connections.labels("stalled").inc()
        except Exception as error:
            self._metrics.connections.labels("fault").inc()
            self._log.fault("web.fault", error)
        finally:
            self._open -= 1
            self._metrics.open_connections.set(self._open)
            await trio.aclose_forcefully(stream)

    def _make_room(self) -> bool:
        if self._open < self._cap:
            return True
        longest = next(iter(self._waiting), None)
        if longest is None:
            return False
        self._waiting.pop(longest).cancel()
        self._metrics.connections.labels("displaced").inc()
        return True

    async def _converse(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        until = trio.current_time() + CONNECTION_SECONDS
        patience = HEAD_SECONDS
        while True:
            try:
                request = await self._request(connection, stream, patience)
            except h11.RemoteProtocolError as error:
                status = HTTPStatus(error.error_status_hint)
                await self._send(stream, connection, refused(status, str(error)), last=True)
                await _linger(stream)
                return
            if request is None:
                return
            # A body that nobody wants is not read to its end.
            unread = connection.their_state is h11.SEND_BODY
            last = unread or self._stopping or trio.current_time() >= until
            begin = trio.current_time()
            await self._respond(stream, connection, request, last=last)
            self._metrics.duration.observe(trio.current_time() - begin)
            if connection.our_state is not h11.DONE or unread:
                await _linger(stream)
                return
            connection.start_next_cycle()
            patience = IDLE_SECONDS

    async def _request(
        self, connection: h11.Connection, stream: trio.SocketStream, patience: float
    ) -> h11.Request | None:
        """The next request, up to the body that nobody wants; None: there will be none.

        Raises:
            h11.RemoteProtocolError: this is not HTTP.
        """
        number = next(self._numbers)
        request: h11.Request | None = None
        with trio.CancelScope(deadline=trio.current_time() + patience) as scope:
            self._waiting[number] = scope
            began = False
            try:
                while True:
                    event = connection.next_event()
                    if isinstance(event, h11.Request):
                        request = event
                    elif isinstance(event, h11.EndOfMessage | h11.Data):
                        return request
                    elif event is not h11.NEED_DATA or self._stopping:
                        return None
                    else:
                        data = await stream.receive_some(_RECEIVE)
                        if data and not began:
                            began = True
                            scope.deadline = trio.current_time() + HEAD_SECONDS
                        connection.receive_data(data)
            finally:
                self._waiting.pop(number, None)
        return None

    async def _respond(
        self, stream: trio.SocketStream, connection: h11.Connection, request: h11.Request, *, last: bool
    ) -> None:
        if request.method == b"OPTIONS":
            await self._send(stream, connection, preflight(), last=last)
            return
        if request.method not in (b"GET", b"HEAD"):
            said = refused(HTTPStatus.METHOD_NOT_ALLOWED, "this port is only read: GET and HEAD")
            await self._send(stream, connection, said, last=last)
            return
        fields: dict[bytes, list[bytes]] = {}
        for name, value in request.headers:
            fields.setdefault(name, []).append(value)
        head = request.method == b"HEAD"
        path = path_of(request.target)
        try:
            await self._find(stream, connection, path, fields, head=head, last=last)
        except OSError as error:  # the disk fails, or there are too many open files
            self._log("web.disk", words=str(error), path=path)
        except TallygateError as error:
            self._log("web.feed", words=str(error), path=path)
        # An answer that has begun ends here.
        if connection.our_state is h11.SEND_RESPONSE:
            said = refused(HTTPStatus.SERVICE_UNAVAILABLE, "this cannot be read now: come again")
            await self._send(stream, connection, said, head=head, last=True)

    async def _find(
        self,
        stream: trio.SocketStream,
        connection: h11.Connection,
        path: str | None,
        fields: Mapping[bytes, Sequence[bytes]],
        *,
        head: bool,
        last: bool,
    ) -> None:
        """Sends the feed's file or the page at a path."""
        if path is None:
            await self._send(stream, connection, missing(), head=head, last=last)
            return
        named = find_file(path, rehearsal=self._rehearsal)
        if named is None:
            page = await trio.to_thread.run_sync(self._pages.find, path, limiter=self._making)
            if page is None:
                said = missing()
            else:
                about = Resource(page.tag, len(page.content), page.type, page.cache, PAGE_POLICY)
                said = answer(fields, about, head=head)
                said = said._replace(text=said.text or page.content[said.start : said.end])
            await self._send(stream, connection, said, head=head, last=last)
            return
        opened = await trio.to_thread.run_sync(self._files.open, named.parts, named.tag, limiter=self._disk)
        if opened is None:
            await self._send(stream, connection, missing(), head=head, last=last)
            return
        try:
            named = of_medium(named, opened.start)
            about = Resource(opened.tag, opened.size, named.type, named.cache, FILE_POLICY, named.save_as)
            said = answer(fields, about, head=head)
            await self._send(stream, connection, said, opened=opened, head=head, last=last)
        finally:
            opened.close()

    async def _send(
        self,
        stream: trio.SocketStream,
        connection: h11.Connection,
        said: Answer,
        *,
        opened: Opened | None = None,
        head: bool = False,
        last: bool,
    ) -> None:
        """Sends an answer with its own text, or with bytes of an open file.

        Raises:
            trio.TooSlowError: the reader takes too little.
            trio.BrokenResourceError: the reader has gone.
            OSError: the disk fails.
        """
        self._metrics.requests.labels(str(said.status.value)).inc()
        headers = [("Date", formatdate(self._clock() / SECOND, usegmt=True)), *said.headers]
        if last:
            headers.append(("Connection", "close"))
        response = h11.Response(status_code=said.status, headers=headers, reason=said.status.phrase.encode())
        pending = connection.send(response) or b""
        offset = said.start
        text = b"" if head else said.text
        if text:
            data = connection.send(h11.Data(text)) or b""
            if len(text) > PIECE:  # a copy for each reader of a large page would be a way to fill the memory
                await _deliver(stream, pending)
                await _deliver(stream, data)
                pending = b""
            else:
                pending += data
            self._metrics.sent.inc(len(text))
        while opened is not None and offset < said.end:
            data = opened.start[offset : said.end]
            if not data:
                data = await trio.to_thread.run_sync(opened.read, offset, said.end, limiter=self._disk)
            offset += len(data)
            await _deliver(stream, pending + (connection.send(h11.Data(data)) or b""))
            pending = b""
            self._metrics.sent.inc(len(data))
        await _deliver(stream, pending + (connection.send(h11.EndOfMessage()) or b""))


async def _deliver(stream: trio.SocketStream, data: bytes) -> None:
    """Sends piece by piece, each in its time."""
    view = memoryview(data)
    while view:
        with trio.fail_after(SEND_SECONDS):
            await stream.send_all(view[:PIECE])
        view = view[PIECE:]


async def _linger(stream: trio.SocketStream) -> None:
    """Ends our direction, and waits a little for the other one to end."""
    with trio.move_on_after(LINGER_SECONDS):
        await stream.send_eof()
        while await stream.receive_some(_RECEIVE):
            pass
