"""The box port: it listens, accepts under a cap, and ends well.

What lives here: the listening sockets with their options, the accept loop and what it does when there is no
slot or no file, the second's tick, and the end. What a connection says is `gateway.boxport.connection`.
"""

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Final

import trio
from trio.lowlevel import wait_readable

from gateway.base.clock import SECOND, Clock
from gateway.base.config import Endpoint, Limits
from gateway.base.errors import TallygateError
from gateway.base.logs import Log
from gateway.base.metrics import IngestMetrics
from gateway.boxport.answers import Answers
from gateway.boxport.attachments import Attachments
from gateway.boxport.connection import Connection, Shared
from gateway.boxport.handshakes import Handshakes
from gateway.boxport.limits import (
    ACCEPT_BATCH,
    ACCEPT_PAUSE,
    BACKLOG,
    DEFER_SECONDS,
    SOCKET_BUFFER,
    STOP_SECONDS,
    Rates,
)
from gateway.boxport.routes import Routes
from gateway.boxport.slots import Slots
from gateway.boxport.tls import BoxTls
from gateway.ledger.protocol import LedgerFailedError
from gateway.sequencer.protocol import Intake

# Errors of one newcomer's network, which accept(2) wants taken like "try again".
_GONE: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.ENETDOWN,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
    }
)
_NO_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


async def open_listeners(endpoints: Sequence[Endpoint], limits: Limits) -> list[socket.socket]:
    """Binds and listens on every address of every endpoint.

    Args:
        endpoints: where; port 0 takes a free one.
        limits: a peer that takes nothing in for as long as a request may last is given up by the kernel.

    Raises:
        TallygateError: ``boxport.bind``; none is open then.
    """
    listeners: list[socket.socket] = []
    try:
        for endpoint in endpoints:
            try:
                found = await trio.socket.getaddrinfo(
                    endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
                )
                # A name can stand twice in /etc/hosts.
                for family, kind, protocol, _, address in dict.fromkeys(found):
                    listener = socket.socket(family, kind, protocol)
                    listeners.append(listener)
                    _listen(listener, address, limits)
            except OSError as error:
                if error.errno == errno.EAFNOSUPPORT and endpoint.host == "::" and listeners:
                    # Where there is no IPv6, nobody could come that way.
                    continue
                raise TallygateError(
                    "boxport.bind",
                    f"the box port cannot listen here ({error.strerror}): is another gateway running, or is "
                    "the address in [listen] of tallygate.toml not this machine's?",
                    place=str(endpoint),
                ) from None
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listen(
    listener: socket.socket,
    address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
    limits: Limits,
) -> None:
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        # [::] means IPv6: 0.0.0.0 has its own socket.
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    # Linux hands all of these on to accepted sockets: four system calls less for each.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.request_seconds * SECOND)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_SECONDS)
    listener.bind(address)
    listener.listen(BACKLOG)


def bound_address(listener: socket.socket) -> str:
    """Where it listens, as ``host:port``."""
    host, port, *_ = listener.getsockname()
    return str(Endpoint(host, port))


class BoxPort:
    """The box port of one gateway.

    Args:
        listeners: of `open_listeners`; owned from here on.
        tls: certificate, key, CA and CRL, and their reload.
        intake: the sequencer.
        attachments: takes papers.
        limits: of tallygate.toml.
        metrics: of the process.
        log: of the process.
        clock: the machine's, ms, for the head Date.
        until: real seconds until the election's clock shows an instant (ms), for Retry-After.
        disk_ok: whether the disk has its reserve: a figure that somebody else keeps fresh.
        jitter: evenly from [0, 1).

    Attributes:
        handshakes: who has knocked lately.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        tls: BoxTls,
        intake: Intake,
        attachments: Attachments,
        *,
        limits: Limits,
        metrics: IngestMetrics,
        log: Log,
        clock: Clock,
        until: Callable[[int], float],
        disk_ok: Callable[[], bool],
        jitter: Callable[[], float],
    ) -> None:
        self._listeners = listeners
        self._limits = limits
        self._metrics = metrics
        self._log = log
        self._accepted = metrics.connections.labels("accepted")
        self._answers = Answers(clock, until, jitter)
        self._slots = Slots(limits)
        self.handshakes: Final = Handshakes(clock)
        self._shared = Shared(
            tls=tls,
            routes=Routes(intake, attachments, self._answers, disk_ok, metrics),
            slots=self._slots,
            uploads=Rates(limits),
            rates=Rates(limits),
            limits=limits,
            metrics=metrics,
            handshakes=self.handshakes,
            handshakes_ok=metrics.handshakes.labels("ok"),
            log=log,
            fail=self._fail,
        )
        metrics.recent_handshakes.labels("ok").set_function(lambda: self.handshakes.recent().good)
        metrics.recent_handshakes.labels("refused").set_function(lambda: self.handshakes.recent().refused)
        metrics.connections_limit.set(limits.connections)
        metrics.open_connections.set_function(lambda: self._slots.open)
        self._accepting = trio.CancelScope()
        self._everything = trio.CancelScope()
        self._failed: LedgerFailedError | None = None

    async def serve(self) -> None:
        """Serves until `stop` and the end of what is then in work, or until it is cancelled.

        Raises:
            LedgerFailedError: every client that waited has been told to come again.
            ExceptionGroup: a listening socket broke.
        """
        try:
            with self._everything:
                async with trio.open_nursery() as background:
                    background.start_soon(self._tick)
                    async with trio.open_nursery() as connections:
                        with self._accepting:
                            async with trio.open_nursery() as accepting:
                                for listener in self._listeners:
                                    accepting.start_soon(self._accept, listener, connections)
                        self._close()
                        self._everything.deadline = trio.current_time() + STOP_SECONDS
                        self._slots.end_idle()
                    background.cancel_scope.cancel()
        finally:
            self._close()
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """No connection and no request is taken any more; `serve` returns when the last is answered."""
        self._shared.stopping = True
        self._accepting.cancel()

    def _fail(self, error: LedgerFailedError) -> None:
        self._failed = error
        self._everything.cancel()

    def _close(self) -> None:
        for listener in self._listeners:
            listener.close()

    async def _tick(self) -> None:
        while True:
            await trio.sleep(1)
            self._answers.tick()

    async def _accept(self, listener: socket.socket, connections: trio.Nursery) -> None:
        slots = self._slots
        while True:
            await wait_readable(listener)
            now = trio.current_time()
            for attempt in range(ACCEPT_BATCH):
                if slots.closed:
                    # They wait in the backlog: sent away, they would all come back at once.
                    self._metrics.connections.labels("waited").inc()
                    await slots.wait_for_one()
                    break
                try:
                    sock, address = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in _NO_FILES:
                        # The kernel looks for a descriptor before it looks whether anybody is there; only
                        # right after it has said so is somebody known to wait.
                        if attempt == 0:
                            await self._wait_for_files(error)
                        break
                    if error.errno in _GONE:
                        continue
                    raise
                self._accepted.inc()
                sock.setblocking(False)
                seconds = (
                    self._limits.handshake_seconds_under_pressure
                    if slots.full
                    else self._limits.handshake_seconds
                )
                try:
                    connection = Connection(self._shared, sock, address, now + seconds)
                except (KeyboardInterrupt, SystemExit, GeneratorExit):
                    raise
                except BaseException as error:
                    # A panic of the core is no Exception. The next connection may go well.
                    sock.close()
                    self._metrics.connections.labels("fault").inc()
                    self._metrics.faults.inc()
                    self._log.fault("boxport.fault", error, peer=str(Endpoint(address[0], address[1])))
                    continue
                if slots.enter(connection):
                    self._displaced("cap")
                # A name in advance: Trio would put it together for each.
                connections.start_soon(connection.run, name="connection")

    async def _wait_for_files(self, error: OSError) -> None:
        """The process or the machine has no file or memory for another connection.

        Nobody in the backlog is sent away; the oldest stranger makes room, if there is one.
        """
        self._metrics.connections.labels("no_files").inc()
        self._log("boxport.no_files", words=error.strerror, open=self._slots.open)
        if self._slots.displace_stranger():
            self._displaced("files")
        await trio.sleep(ACCEPT_PAUSE)

    def _displaced(self, reason: str) -> None:
        self._metrics.connections.labels("displaced").inc()
        self._log("boxport.displaced", reason=reason, open=self._slots.open)
