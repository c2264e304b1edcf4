"""Health and metrics over HTTP: ``/metrics``, ``/livez``, ``/readyz`` and ``/startupz`` of `watch`.

For this machine alone: one request a connection, everything bounded, every wait under one deadline.
"""

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

import h11
import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from clients.wire.errors import WireError

State: TypeAlias = Literal["starting", "ready", "stopping"]

# Connections at once: a Prometheus or two, the supervisor, somebody with curl.
MAX_CONNECTIONS: Final = 32
# Seconds for a whole connection; Prometheus itself waits for ten.
CONNECTION_SECONDS: Final = 10
# Bytes of a request's head; what Prometheus sends has some 400.
MAX_HEAD: Final = 8_192
_RECEIVE: Final = 4_096
_MAX_PORT: Final = 65_535
_TEXT: Final = "text/plain; charset=utf-8"


class Address:
    """A host and a port; port 0 takes a free one."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``host:port`` or ``[IPv6]:port``.

        Raises:
            ValueError: it is neither.
        """
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError("an IPv6 address stands in brackets")
        if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > _MAX_PORT:
            raise ValueError("an address is host:port")
        return cls(host, int(port))


async def open_listeners(address: Address) -> list[trio.SocketListener]:
    """Bind the address; a name may stand for several.

    Raises:
        WireError: `operations.bind`.
    """
    try:
        return await trio.open_tcp_listeners(address.port, host=address.host)
    except OSError as error:
        raise WireError(
            "operations.bind",
            f"metrics and health cannot be served at {address}: {error.strerror or error}; take another",
        ) from error


def bound(listener: trio.SocketListener) -> Address:
    """Where a listener really listens."""
    host, port, *_ = listener.socket.getsockname()
    return Address(str(host), int(port))


class Operations:
    """The listener.

    Args:
        registry: what is measured.
        state: how the program is now.
        fault: is told what goes wrong here.
    """

    def __init__(
        self, registry: CollectorRegistry, state: Callable[[], State], fault: Callable[[Exception], None]
    ) -> None:
        self._registry = registry
        self._state = state
        self._fault = fault
        self._open = 0

    async def serve(self, listeners: Sequence[trio.SocketListener]) -> None:
        """Serve until it is cancelled."""
        await trio.serve_listeners(self._serve_one, list(listeners))

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        if self._open >= MAX_CONNECTIONS:
            await trio.aclose_forcefully(stream)
            return
        self._open += 1
        try:
            async with stream:
                # Who is slow or goes away has nothing to be told.
                with trio.move_on_after(CONNECTION_SECONDS), contextlib.suppress(trio.BrokenResourceError):
                    await self._converse(stream)
        except Exception as error:  # one connection's fault must not end the watch
            self._fault(error)
        finally:
            self._open -= 1

    async def _converse(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        body_wanted = True
        try:
            request = await _request(connection, stream)
        except h11.RemoteProtocolError as error:
            status, kind, body = HTTPStatus(error.error_status_hint), _TEXT, f"{error}\n".encode()
        else:
            if request is None:
                return
            body_wanted = request.method != b"HEAD"
            status, kind, body = await self._answer(request)
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "GET, HEAD"))
        response = h11.Response(status_code=status, headers=headers, reason=status.phrase.encode())
        data = connection.send(response) or b""
        if body_wanted:
            data += connection.send(h11.Data(body)) or b""
        await stream.send_all(data)
        await stream.send_eof()

    async def _answer(self, request: h11.Request) -> tuple[HTTPStatus, str, bytes]:
        if request.method not in (b"GET", b"HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"only GET and HEAD are answered here\n"
        state = self._state()
        match request.target.partition(b"?")[0]:
            case b"/metrics":
                body = await trio.to_thread.run_sync(partial(generate_latest, self._registry))
                return HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, body
            case b"/livez":
                # That somebody answers is the news: the event loop runs.
                return HTTPStatus.OK, _TEXT, b"ok\n"
            case b"/readyz":
                good = state == "ready"
            case b"/startupz":
                good = state != "starting"
            case _:
                return HTTPStatus.NOT_FOUND, _TEXT, b"there are /metrics, /livez, /readyz and /startupz\n"
        return HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"{state}\n".encode()


async def _request(connection: h11.Connection, stream: trio.SocketStream) -> h11.Request | None:
    """The head of the request, whose body nobody wants; None: the peer has gone."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(await stream.receive_some(_RECEIVE))
