"""One connection: a handshake, then requests, one at a time, each under its deadline.

What lives here: the loop between the socket and `_core.TlsConnection`, which does TLS and HTTP without I/O.
The loop is what a connection costs besides its cryptography, so it stays on the raw non-blocking socket: it
waits for the kernel only where the kernel has said EAGAIN, has one cancel scope, and its one deadline moves
when the connection comes to its next phase.
"""

import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio
from prometheus_client import Counter
from trio.lowlevel import wait_readable, wait_writable

from gateway import _core
from gateway.base.config import Endpoint, Limits
from gateway.base.errors import CoreError
from gateway.base.logs import Log
from gateway.base.metrics import IngestMetrics
from gateway.boxport import problems
from gateway.boxport.answers import END, END_AND_CLOSE, Answer
from gateway.boxport.attachments import BarredError, CutOffError
from gateway.boxport.handshakes import Handshakes
from gateway.boxport.limits import (
    LINGER_BYTES,
    LINGER_SECONDS,
    MAX_BODY,
    RECEIVE_BYTES,
    SILENT_SECONDS,
    TURNED_AWAY,
    Holder,
    Rates,
)
from gateway.boxport.problems import Problem
from gateway.boxport.routes import Routes, is_upload
from gateway.boxport.slots import Slots
from gateway.boxport.tls import BoxTls
from gateway.ledger.protocol import LedgerFailedError

# Phases of a connection. Integers, for they are compared several times a request.
HANDSHAKE: Final = 0
# The handshake or an answer is over, and nothing has come since.
IDLE: Final = 1
# Something has come, but not yet a whole request.
READING: Final = 2
# A whole request waits for its answer.
WORKING: Final = 3
# Part of an answer waits for room in the kernel.
SENDING: Final = 4
# All is said; what the client still sends is thrown away until it has heard.
LINGERING: Final = 5

# Close without the courtesy of TCP: what was not sent is dropped, and the kernel keeps nothing of it.
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Shared:
    """What all connections of a port share.

    Attributes:
        uploads: how many statements each holder may bring.
        rates: how many other requests it may make.
        handshakes: who has knocked lately.
        handshakes_ok: the child of the metric, bound once.
        fail: ends the port, for the ledger has failed.
        stopping: every answer is its connection's last.
    """

    tls: BoxTls
    routes: Routes
    slots: Slots
    uploads: Rates
    rates: Rates
    limits: Limits
    metrics: IngestMetrics
    handshakes: Handshakes
    handshakes_ok: Counter
    log: Log
    fail: Callable[[LedgerFailedError], None]
    stopping: bool = False


class Connection:
    """A connection from its accept to its close; `run` is its task.

    Args:
        shared: of the port.
        sock: connected and non-blocking; owned from here on.
        peer: its address, for people.
        deadline: of the handshake, on Trio's clock.
    """

    __slots__ = (
        "_address",
        "_body_until",
        "_config",
        "_displaced",
        "_holder",
        "_phase",
        "_scope",
        "_served",
        "_shared",
        "_sock",
        "_tls",
        "_turned_away",
        "_whole",
    )

    def __init__(
        self, shared: Shared, sock: socket.socket, address: tuple[str, int], deadline: float
    ) -> None:
        self._shared = shared
        self._sock = sock
        self._address = address
        self._scope = trio.CancelScope(deadline=deadline)
        self._config = shared.tls.config
        self._tls = _core.TlsConnection(self._config, max_body=MAX_BODY)
        self._phase = HANDSHAKE
        self._served = 0
        # Whether the request that is answered has been read to its end.
        self._whole = False
        # When the body that comes in parts must be answered, on Trio's clock.
        self._body_until = 0.0
        # Requests in a row that were too many.
        self._turned_away = 0
        self._displaced = False
        # None, after the handshake too: its certificate has other connections, which are all in work.
        self._holder: Holder | None = None

    @property
    def idle(self) -> bool:
        """Whether it waits for a request to begin."""
        return self._phase == IDLE

    @property
    def in_work(self) -> bool:
        """Whether a whole request waits for its answer."""
        return self._phase == WORKING

    def displace(self) -> None:
        """Ends it at its next checkpoint; its slot is somebody else's."""
        self._displaced = True
        self._scope.cancel()

    def end_if_idle(self) -> None:
        """Ends it at its next checkpoint, if no request is lost by that."""
        if self._phase in (HANDSHAKE, IDLE):
            self._scope.cancel()

    async def run(self) -> None:
        """Serves the connection to its end and closes it. No fault of it leaves this task."""
        try:
            unheard = False
            with self._scope:
                try:
                    await self._serve()
                except trio.Cancelled:
                    unheard = self._last_words()
                    raise
            if unheard:
                # Its own deadline has passed, and nobody else wants it to end.
                with trio.CancelScope() as self._scope:
                    await self._linger()
        except OSError:
            # The line broke: there is nobody to be told, and who has sent something sends it again.
            pass
        except (trio.Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            # A panic of the core is no Exception.
            self._shared.metrics.connections.labels("fault").inc()
            self._fault(error)
        finally:
            self._shared.slots.leave(self, self._holder)
            self._sock.close()

    async def _serve(self) -> None:
        sock = self._sock
        tls = self._tls
        # The kernel hands a connection over when its first bytes are there (`limits.DEFER_SECONDS`).
        data = self._receive()
        spoken = False
        peer: _core.Peer | None = None
        while True:
            while data is None:
                await wait_readable(sock)
                data = self._receive()
            if self._displaced:
                # It was about to run when it lost its slot, and cancellation waits for a checkpoint.
                self._last_words()
                return
            if not data:
                self._cut_off(spoken)
                return
            spoken = True
            if self._phase == IDLE:
                self._phase = READING
                self._scope.deadline = trio.current_time() + self._shared.limits.request_seconds
            state, out = tls.feed(data)
            data = None
            if self._phase == HANDSHAKE:
                peer = tls.peer
                if peer is not None:
                    self._introduce(peer, state)
                elif state != "more":
                    # Before it is told: it may be gone, and the operator wants to know all the same.
                    self._handshake_failed(tls.failure or "protocol")
                    self._phase = SENDING
            if out:
                await self._send(out)
            while state == "request" and peer is not None:
                if not await self._answer(peer):
                    return
                # A client may send ahead; it is answered in order, one request at a time.
                state, out = tls.feed(b"")
                if out:
                    await self._send(out)
                self._await_request(state)
            if state == "failed":
                await self._linger()
                return
            if state == "closed":
                return

    def _receive(self) -> bytes | None:
        """What has arrived; None: nothing yet; empty: the peer sends no more."""
        try:
            return self._sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    async def _send(self, data: bytes) -> None:
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        while rest:
            await wait_writable(self._sock)
            with contextlib.suppress(BlockingIOError):
                rest = rest[self._sock.send(rest) :]

    def _cut_off(self, spoken: bool) -> None:
        """The peer sends no more, and has not said so in TLS."""
        state, _ = self._tls.eof()
        if self._phase != HANDSHAKE:
            if state == "failed":
                self._shared.metrics.connections.labels("cut_off").inc()
        elif spoken:
            self._handshake_failed("protocol")

    def _introduce(self, peer: _core.Peer, state: str) -> None:
        """The handshake is finished."""
        shared = self._shared
        shared.handshakes_ok.inc()
        holder = (peer.role, peer.id)
        shared.handshakes.good(holder)
        introduced = shared.slots.introduce(self, holder)
        if introduced != "refused":
            self._holder = holder
        if introduced == "replaced":
            shared.metrics.connections.labels("replaced").inc()
            shared.log("boxport.replaced", route=f"{peer.role}:{peer.id}", peer=self._who())
        self._await_request(state)

    def _await_request(self, state: str) -> None:
        """A request may come, or is here already; from here on it has its time."""
        self._phase = IDLE
        limits = self._shared.limits
        seconds = limits.request_seconds if state == "request" else limits.idle_seconds
        self._scope.deadline = trio.current_time() + seconds

    async def _answer(self, peer: _core.Peer) -> bool:
        """Answers the request that has arrived; whether the connection goes on."""
        shared = self._shared
        self._phase = WORKING
        self._served += 1
        try:
            request = self._tls.request()
        except CoreError as error:
            (head, body), over, silent = shared.routes.refuse_unread(error), True, False
        else:
            self._whole = request.body is not None
            try:
                (head, body), over = await self._judge(request, peer)
            except CutOffError:
                shared.metrics.connections.labels("cut_off").inc()
                await self._linger()
                return False
            # Its peer has said that it will say no more.
            silent = self._whole and not request.keep_alive
            over = over or silent or not self._whole
        over = (
            over
            or shared.stopping
            or shared.slots.pressed
            or self._served >= shared.limits.requests_per_connection
        )
        self._phase = SENDING
        await self._send(self._tls.respond(head + (END_AND_CLOSE if over else END), body, over))
        # Even a close_notify that nobody has read would make the kernel drop the answer.
        if over and (not silent or self._receive()):
            await self._linger()
        return not over

    async def _judge(self, request: _core.Request, peer: _core.Peer) -> tuple[Answer, bool]:
        """The answer to a request, and whether the connection ends with it."""
        shared = self._shared
        barred = self._barred(peer)
        if barred is not None:
            return self._refuse(barred), True
        # Under another CA whoever comes again is judged anew.
        config = shared.tls.config
        last = config is not self._config and config.ca != self._config.ca
        if self._holder is None:
            return self._refuse(problems.TOO_MANY_CONNECTIONS), True
        rates = shared.uploads if is_upload(request) else shared.rates
        wait = rates.take(self._holder, trio.current_time())
        if wait > 0:
            self._turned_away += 1
            refusal = shared.routes.refuse(problems.TOO_MANY_REQUESTS, least=wait)
            return refusal, last or self._turned_away >= TURNED_AWAY
        self._turned_away = 0
        try:
            return await shared.routes.answer(request, peer, self), last
        except LedgerFailedError as error:
            shared.fail(error)
            return self._refuse(problems.STOPPING), True
        except (CutOffError, trio.Cancelled, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            # A panic of the core is no Exception.
            self._fault(error)
            return self._refuse(problems.FAULT), True

    def _barred(self, peer: _core.Peer) -> Problem | None:
        """Why the certificate is no longer good that was when its connection began; None: it is."""
        tls = self._shared.tls
        if tls.config is not self._config and tls.config.is_revoked(peer.serial):
            return problems.REVOKED
        return problems.EXPIRED if tls.clock() > peer.not_after else None

    async def begin(self, seconds: float) -> None:
        """See `gateway.boxport.attachments.Body.begin`."""
        self._phase = READING
        self._body_until = trio.current_time() + seconds
        self._scope.deadline = self._body_until
        try:
            out = self._tls.accept_body()
            if out:
                await self._send(out)
        except OSError:
            raise CutOffError from None

    async def part(self) -> tuple[bytes, bool]:
        """See `gateway.boxport.attachments.Body.part`."""
        try:
            # Nothing first: the part may be here already.
            state, out = self._tls.feed(b"")
            while state != "body":
                if out:
                    await self._send(out)
                if state != "more":
                    raise CutOffError
                state, out = self._tls.feed(await self._more_of_body())
            if out:
                await self._send(out)
        except OSError:
            # Of the line: who stores the parts takes an OSError for its disk's.
            raise CutOffError from None
        peer = self._tls.peer
        barred = None if peer is None else self._barred(peer)
        if barred is not None:
            raise BarredError(barred)
        data, self._whole = self._tls.body()
        if self._whole:
            self._phase = WORKING
            self._scope.deadline = self._body_until
        return data, self._whole

    async def _more_of_body(self) -> bytes:
        """What arrives next of a body, within its silence."""
        self._scope.deadline = min(self._body_until, trio.current_time() + SILENT_SECONDS)
        received = self._receive()
        while received is None:
            await wait_readable(self._sock)
            received = self._receive()
        if not received:
            self._tls.eof()
            raise CutOffError
        return received

    async def _linger(self) -> None:
        """Lets the peer hear the last answer or alert before the connection is closed.

        A close with unread bytes resets the connection, and a reset makes the peer's kernel forget what it
        had received (RFC 9112, section 9.6).
        """
        self._phase = LINGERING
        self._scope.deadline = trio.current_time() + LINGER_SECONDS
        self._sock.shutdown(socket.SHUT_WR)
        left = LINGER_BYTES
        while left > 0:
            await wait_readable(self._sock)
            data = self._receive()
            if data is not None:
                if not data:
                    return
                left -= len(data)

    def _last_words(self) -> bool:
        """What is still said when the deadline has passed, the slot is another's, or the port ends.

        Returns:
            Whether the peer may still be sending, and has an answer to hear.
        """
        late = not self._displaced and trio.current_time() >= self._scope.deadline
        if self._phase == HANDSHAKE:
            if late:
                self._handshake_failed("timeout")
            return False
        if self._phase == LINGERING:
            return False
        if self._phase == SENDING:
            # Half an answer stands in the kernel, and nobody reads it.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return False
        unheard = False
        if self._phase == WORKING:
            head, body = self._refuse(problems.NO_ANSWER if late else problems.STOPPING)
            out = self._tls.respond(head + END_AND_CLOSE, body, True)
        elif self._phase == READING and late:
            head, body = self._refuse(problems.TIMEOUT)
            out = self._tls.respond(head + END_AND_CLOSE, body, True)
            unheard = True
        else:
            out = self._tls.close()
        with contextlib.suppress(OSError):
            self._sock.send(out)
        return unheard

    def _refuse(self, problem: Problem) -> Answer:
        return self._shared.routes.refuse(problem)

    def _handshake_failed(self, result: str) -> None:
        self._shared.metrics.handshakes.labels(result).inc()
        words, shown = self._tls.failure_detail, self._tls.shown
        named = None if shown is None else (shown.role, shown.id)
        self._shared.handshakes.refused(named, result, words, self._who())
        self._shared.log("boxport.handshake", result=result, peer=self._who(), words=words)

    def _fault(self, error: BaseException) -> None:
        self._shared.metrics.faults.inc()
        self._shared.log.fault("boxport.fault", error, peer=self._who())

    def _who(self) -> str:
        return str(Endpoint(self._address[0], self._address[1]))
