"""What a role tells its operators over HTTP: its metrics, and whether it lives (docs/operations.md).

What lives here: the state of a role and the listener for ``/metrics``, ``/livez``, ``/readyz``, ``/startupz``
and what the role itself tells operators (`ingest`: ``/stations/<number>``). It is meant for this machine
alone and answers to anybody who reaches it: one request a connection, everything bounded, every wait under
one deadline.
"""

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Final, Literal, NamedTuple, TypeAlias

import h11
import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from gateway.base.config import Endpoint
from gateway.base.errors import TallygateError
from gateway.base.logs import Log

State: TypeAlias = Literal["starting", "ready", "stopping", "failed"]

# Connections at once: a Prometheus or two, systemd, `tallygate serve`, an operator with curl.
MAX_CONNECTIONS: Final = 32
# Seconds for a whole connection; Prometheus itself waits for ten.
CONNECTION_SECONDS: Final = 10
# Bytes of a request's head; what Prometheus sends has some 400.
MAX_HEAD: Final = 8_192
_RECEIVE: Final = 4_096

_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"
_METHODS: Final = (b"GET", b"HEAD")


# What a role tells about a path besides: JSON; None: it knows of no such path.
Tell: TypeAlias = Callable[[str], Awaitable[bytes | None]]


class Health:
    """How a role is. Owned by the role's task, read by its operations listener.

    Attributes:
        tell: of a role that has more to tell, while it is ready.
    """

    def __init__(self) -> None:
        self.state: State = "starting"
        self.tell: Tell | None = None


class _Answer(NamedTuple):
    status: HTTPStatus
    body: bytes
    type: str = _TEXT


async def open_operations(endpoint: Endpoint) -> list[trio.SocketListener]:
    """Binds the listener; a name may stand for several addresses.

    Raises:
        TallygateError: ``operations.bind``.
    """
    try:
        return await trio.open_tcp_listeners(endpoint.port, host=endpoint.host)
    except OSError as error:
        raise TallygateError(
            "operations.bind",
            f"metrics and health cannot be served here ({error.strerror or error}): give this role another "
            "address in tallygate.toml, [listen] operations_…",
            place=str(endpoint),
        ) from None


def bound_endpoint(listener: trio.SocketListener) -> Endpoint:
    """Where a listener really listens."""
    host, port, *_ = listener.socket.getsockname()
    return Endpoint(str(host), int(port))


class Operations:
    """The listener of one role.

    Args:
        registry: the role's metrics.
        health: how it is now.
        log: gets what goes wrong here.
    """

    def __init__(self, registry: CollectorRegistry, health: Health, log: Log) -> None:
        self._registry = registry
        self._health = health
        self._log = log
        self._open = 0
        # Collecting takes some ms: a thread of its own, and two that ask at once wait for each other.
        self._collecting = trio.CapacityLimiter(1)
        self._telling = trio.Lock()

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Serves until it is cancelled."""
        await trio.serve_listeners(self._serve_one, listeners)

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
        except Exception as error:
            self._log.fault("operations.fault", error)
        finally:
            self._open -= 1

    async def _converse(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        head_only = False
        try:
            request = await _request(connection, stream)
        except h11.RemoteProtocolError as error:
            answer = _Answer(HTTPStatus(error.error_status_hint), f"{error}\n".encode())
        else:
            if request is None:
                return
            head_only = request.method == b"HEAD"
            answer = await self._answer(request)
        response = h11.Response(
            status_code=answer.status,
            headers=[
                ("Content-Type", answer.type),
                ("Content-Length", str(len(answer.body))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
                ("Connection", "close"),
                *([("Allow", "GET, HEAD")] if answer.status is HTTPStatus.METHOD_NOT_ALLOWED else []),
            ],
            reason=answer.status.phrase.encode(),
        )
        parts = [connection.send(response), b"" if head_only else connection.send(h11.Data(answer.body))]
        await stream.send_all(b"".join(part for part in parts if part))
        await stream.send_eof()

    async def _answer(self, request: h11.Request) -> _Answer:
        if request.method not in _METHODS:
            return _Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET and HEAD are answered here\n")
        state = self._health.state
        match request.target.partition(b"?")[0]:
            case b"/metrics":
                collect = partial(generate_latest, self._registry)
                body = await trio.to_thread.run_sync(collect, limiter=self._collecting)
                return _Answer(HTTPStatus.OK, body, CONTENT_TYPE_PLAIN_0_0_4)
            case b"/livez":
                # That somebody answers is the news: the event loop runs.
                return _Answer(HTTPStatus.OK, b"ok\n")
            case b"/readyz":
                return _said(state, good=state == "ready")
            case b"/startupz":
                return _said(state, good=state != "starting")
        if (told := await self._told(request.target)) is not None:
            return _Answer(HTTPStatus.OK, told, _JSON)
        return _Answer(HTTPStatus.NOT_FOUND, b"there are /metrics, /livez, /readyz and /startupz\n")

    async def _told(self, target: bytes) -> bytes | None:
        """What the role itself knows; one question at a time, for it may read the ledger."""
        tell = self._health.tell
        if tell is None:
            return None
        async with self._telling:
            return await tell(target.decode("ascii", "replace"))


def _said(state: State, *, good: bool) -> _Answer:
    return _Answer(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, f"{state}\n".encode())


async def _request(connection: h11.Connection, stream: trio.SocketStream) -> h11.Request | None:
    """The head of the request, whose body nobody wants; None: the peer has gone."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(await stream.receive_some(_RECEIVE))
