"""One connection to a box port: HTTP/1.1 (h11) in TLS 1.3 with certificates on both sides, on Trio.

What lives here: the TLS context, connecting, and one request after the other; every wait has a deadline,
every answer a limit. Whatever goes wrong on the way is a `WireError` whose code begins with ``line.`` and
whose sentence a person can act on. What an answer means is clients.wire.answers' matter.
"""

import contextlib
import email.utils
import errno
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import h11
import trio

from clients.wire.errors import WireError
from clients.wire.receipt import MAX_RECEIPT_BYTES
from clients.wire.site import Address

# Seconds for connecting, the handshake and the first answer; then for each further answer (docs/box-port.md).
ATTEMPT_SECONDS = 30
# Bytes a second that a line carries at least (docs/box-port.md): an upload has so much longer.
SLOWEST_LINE = 1_024
# Seconds after which a line is dead on which nothing that was sent arrives: the kernel would try for a
# quarter of an hour, and an upload may last for hours.
DEAD_SECONDS = 60
# Seconds to wait to be told to go on with an upload; a gateway says so at once, and nobody may wait for ever
# (RFC 9110, 10.1.1).
_CONTINUE_SECONDS = 10
# Bytes of an upload that are handed to TLS at once.
_PIECE_BYTES = 16_384
# Bytes of an answer's body: the largest that a box port gives is a receipt.
MAX_ANSWER_BYTES = MAX_RECEIPT_BYTES
# Bytes of an answer's head: a box port's has about 300.
MAX_HEAD_BYTES = 16_384
# Seconds for saying goodbye; nobody waits for the other side to do the same.
_GOODBYE_SECONDS = 1
_READ_BYTES = 16_384

_ALERT = re.compile(r"ALERT_(\w+)")
# What OpenSSL calls the alerts of RFC 8446, section 6, and what a person has to do about them.
_ALERTS: Final[Mapping[str, tuple[str, str]]] = {
    "CERTIFICATE_EXPIRED": (
        "line.certificate_expired",
        "the gateway refuses this certificate: it is out of date, or not valid yet. Get a new one from the "
        "commission",
    ),
    "CERTIFICATE_REVOKED": (
        "line.certificate_revoked",
        "the gateway refuses this certificate: the commission has revoked it. Call the commission; a courier "
        "can still bring what is signed",
    ),
    "UNKNOWN_CA": (
        "line.certificate_unknown",
        "the gateway does not know who has issued this certificate: it is another election's, or this "
        "gateway is. Compare certificate and address with what the commission has given out",
    ),
    "CERTIFICATE_REQUIRED": (
        "line.certificate_required",
        "the gateway wants a certificate and has got none: give this program its certificate",
    ),
}

# X509_V_ERR_… of OpenSSL.
_NOT_YET_VALID = 9
_EXPIRED = 10
_WRONG_NAMES = frozenset({62, 64})

_NO_WAY: Final[Mapping[int, str]] = {
    errno.ECONNREFUSED: "the machine is there, but no gateway runs at this address",
    errno.ENETUNREACH: "there is no network: look at cable, modem and SIM card",
    errno.ENETDOWN: "there is no network: look at cable, modem and SIM card",
    errno.EHOSTUNREACH: "the network does not reach this address: look at cable and modem",
    errno.ETIMEDOUT: "nobody answers at this address: look at the network",
}


Reach: TypeAlias = Callable[[Address], Awaitable[trio.abc.Stream]]


def tls_context(ca: str, certificate: Path, key: Path) -> ssl.SSLContext:
    """What a connection trusts and shows: TLS 1.3, the election CA and nobody else, and an own certificate.

    Args:
        ca: the CA's certificate in PEM. It need not be a root: it is the anchor itself.
        certificate: file with the own certificate in PEM.
        key: file with its private key in PEM, not encrypted.

    Raises:
        WireError: `line.identity` if certificate and key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # The site's own reader has judged it; a wrong one trusts nobody.
    context.load_verify_locations(cadata=ca)
    try:
        # Without a password OpenSSL would ask for one on the terminal, and wait there.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        raise WireError(
            "line.identity",
            f"certificate and TLS key cannot be used: {error.strerror}",
            file=f"{certificate}, {key}",
        ) from error
    return context


def tls_context_of(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """As `tls_context`, of a certificate and a key in PEM that are in no file.

    Python's ssl reads keys from files alone; this one is in memory, and gone with its descriptor.

    Raises:
        WireError: `line.identity`.
    """
    descriptor = os.memfd_create("tallygate")
    try:
        os.write(descriptor, f"{certificate}\n{key}".encode())
        place = Path(f"/proc/self/fd/{descriptor}")
        return tls_context(ca, place, place)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, within the limits; nothing of it is believed yet.

    Attributes:
        status: HTTP's.
        headers: by their names in lower case; of several with one name the last.
        body: whole, as long as Content-Length says.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """Content-Type without its parameters, in lower case; empty if it is not there."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def date(self) -> float | None:
        """The gateway's real time, seconds since the Unix epoch; None if it does not say one."""
        try:
            return email.utils.parsedate_to_datetime(self.headers.get("date", "")).timestamp()
        except (ValueError, TypeError, OverflowError):
            return None


class Connection:
    """A connection whose handshake is done; `connected` makes it.

    In TLS 1.3 that says nothing about the own certificate: a refusal comes with the first answer.
    """

    def __init__(self, stream: trio.SSLStream[trio.abc.Stream], host: str, begun: float) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._host = host
        # When it began to connect; None: it has been used.
        self._begun: float | None = begun
        self._go_on = trio.Event()

    @property
    def open(self) -> bool:
        """Whether the gateway takes another request here."""
        return self._http.our_state is h11.IDLE and self._http.their_state is h11.IDLE

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        media_type: str = "",
        last: bool = False,
        limit: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Send a request and wait for its answer, at most `ATTEMPT_SECONDS`.

        Args:
            method: HTTP's.
            path: with its leading slash.
            body: of the request.
            media_type: of the body.
            last: nothing more follows on this connection.
            limit: bytes that the answer's body may have.

        Raises:
            WireError: `line.*`; the connection is then of no more use.
        """
        fields = [("Host", self._host), ("Content-Length", str(len(body)))]
        if media_type:
            fields.append(("Content-Type", media_type))
        if last:
            fields.append(("Connection", "close"))
        data = self._http.send(h11.Request(method=method, target=path, headers=fields))
        data += self._http.send(h11.Data(data=body)) + self._http.send(h11.EndOfMessage())

        async def write() -> None:
            await self._stream.send_all(data)

        return await self._ask(write, ATTEMPT_SECONDS, limit)

    async def upload(self, path: str, body: bytes, *, media_type: str, last: bool = False) -> Answer:
        """Send a file with PUT, once the gateway wants it, and wait for the answer.

        It has `ATTEMPT_SECONDS` and besides as long as a line of `SLOWEST_LINE` needs.

        Args:
            path: with its leading slash.
            body: the file.
            media_type: of the file.
            last: nothing more follows on this connection.

        Raises:
            WireError: `line.*`; the connection is then of no more use.
        """
        fields = [
            ("Host", self._host),
            ("Content-Length", str(len(body))),
            ("Content-Type", media_type),
            ("Expect", "100-continue"),
        ]
        if last:
            fields.append(("Connection", "close"))
        head = self._http.send(h11.Request(method="PUT", target=path, headers=fields))
        self._go_on = trio.Event()

        async def write() -> None:
            await self._stream.send_all(head)
            with trio.move_on_after(_CONTINUE_SECONDS):
                await self._go_on.wait()
            view = memoryview(body)
            while view:
                await self._stream.send_all(self._http.send(h11.Data(data=bytes(view[:_PIECE_BYTES]))))
                view = view[_PIECE_BYTES:]
            await self._stream.send_all(self._http.send(h11.EndOfMessage()))

        return await self._ask(write, ATTEMPT_SECONDS + len(body) / SLOWEST_LINE, MAX_ANSWER_BYTES)

    async def _ask(self, write: Callable[[], Awaitable[None]], seconds: float, limit: int) -> Answer:
        """Write a request and read its answer within so many seconds, a new handshake with them."""
        begun, self._begun = self._begun, None
        with _until((trio.current_time() if begun is None else begun) + seconds, seconds):
            answer = await self._exchange(write, limit)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return answer

    async def _exchange(self, write: Callable[[], Awaitable[None]], limit: int) -> Answer:
        """Write and read at the same time: whoever is refused early could not write all, but can read why."""
        found: Answer | WireError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, write)
            try:
                found = await self._read(limit)
            except trio.BrokenResourceError as error:
                found = _broken(error)
            except h11.RemoteProtocolError as error:
                found = _no_http(str(error))
            except WireError as error:
                found = error
            nursery.cancel_scope.cancel()
        # Only a cancelled wait leaves nothing, and that has left the block above.
        assert found is not None  # noqa: S101
        if isinstance(found, WireError):
            raise found
        return found

    async def _write(self, write: Callable[[], Awaitable[None]]) -> None:
        # The reader is told more exactly what has happened.
        with contextlib.suppress(trio.BrokenResourceError):
            await write()

    async def _read(self, limit: int) -> Answer:
        head: h11.Response | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                received = await self._stream.receive_some(_READ_BYTES)
                if not received:
                    raise _cut()
                self._http.receive_data(bytes(received))
            elif isinstance(event, h11.InformationalResponse):
                self._go_on.set()
            elif isinstance(event, h11.Response):
                head = event
                if not any(name == b"content-length" for name, _ in head.headers):
                    raise _no_http("it does not say how long it is")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > limit:
                    raise _no_http(f"it has more than {limit:,} bytes")
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
                return Answer(head.status_code, headers, bytes(body))


async def reach(address: Address) -> trio.abc.Stream:
    """Connect, and nothing more.

    Raises:
        OSError: nobody is reached; its cause has the reasons, one for each address of the name.
    """
    # Trio sets TCP_NODELAY on its streams: a statement must not wait for an acknowledgement.
    stream = await trio.open_tcp_stream(address.host, address.port)
    # Linux alone can be told how long to try.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_SECONDS * 1_000)
    return stream


@contextlib.asynccontextmanager
async def connected(
    address: Address, context: ssl.SSLContext, reach: Reach = reach
) -> AsyncIterator[Connection]:
    """Connect and do the handshake; the block's end ends the connection.

    The deadline of `ATTEMPT_SECONDS` holds for the first request too.

    Args:
        address: where to.
        context: whom to trust and what to show.
        reach: makes the way that TLS goes over; raises OSError where there is none.

    Raises:
        WireError: `line.*`.
    """
    begun = trio.current_time()
    deadline = begun + ATTEMPT_SECONDS
    with _until(deadline, ATTEMPT_SECONDS):
        try:
            tcp = await reach(address)
        except OSError as error:
            raise _unreachable(error) from error
    stream = trio.SSLStream(tcp, context, server_hostname=address.host)
    try:
        with _until(deadline, ATTEMPT_SECONDS):
            try:
                await stream.do_handshake()
            except trio.BrokenResourceError as error:
                raise _broken(error) from error
        yield Connection(stream, str(address), begun)
    finally:
        with trio.move_on_after(_GOODBYE_SECONDS, shield=True):
            await stream.aclose()


@contextlib.contextmanager
def _until(deadline: float, seconds: float) -> Iterator[None]:
    try:
        with trio.fail_at(deadline):
            yield
    except trio.TooSlowError as error:
        raise WireError(
            "line.timeout",
            f"no answer within {seconds:.0f} seconds: the line is slow or cut, or the gateway hangs",
        ) from error


def _unreachable(error: OSError) -> WireError:
    """Why there is no TCP connection; Trio tries every address of a name and gives the reasons of all."""
    cause = error.__cause__
    reasons = cause.exceptions if isinstance(cause, ExceptionGroup) else [cause or error]
    first = next((reason for reason in reasons if isinstance(reason, OSError)), error)
    if isinstance(first, socket.gaierror):
        words = "the name of this address is not known: there is no network, or the name is wrong"
    else:
        words = _NO_WAY.get(first.errno or 0, f"it cannot be reached: {first.strerror or first}")
    return WireError("line.unreachable", words)


def _broken(error: trio.BrokenResourceError) -> WireError:
    """What has ended a connection: our own judgement of the gateway, its alert, or the line."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _untrusted(cause)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLSyscallError):
        reason = cause.reason or ""
        alert = _ALERT.search(reason)
        known = None if alert is None else _ALERTS.get(alert[1])
        return WireError(
            *(
                known
                or (
                    "line.tls",
                    f"what answers there does not speak TLS 1.3 with this program ({_plain(reason)}). Is the "
                    "address right?",
                )
            )
        )
    return _cut()


def _cut() -> WireError:
    return WireError("line.broken", "the connection broke off before the answer was there")


def _untrusted(error: ssl.SSLCertVerificationError) -> WireError:
    if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
        when = "not valid yet" if error.verify_code == _NOT_YET_VALID else "out of date"
        return WireError(
            "line.gateway_date",
            f"by the clock of this machine the gateway's certificate is {when}: compare the clock, date and "
            "year too, with a right one. If it is right, call the commission",
        )
    if error.verify_code in _WRONG_NAMES:
        return WireError(
            "line.gateway_name",
            "the gateway's certificate is not for this address: use the address as the commission has given "
            "it out",
        )
    return WireError(
        "line.gateway_unknown",
        "what answers there is not this election's gateway, or somebody stands in between "
        f"({error.verify_message}). Nothing was sent. Call the commission",
    )


def _no_http(detail: str) -> WireError:
    return WireError(
        "line.answer",
        f"what came back is not an answer of a gateway ({detail}). Is the address right?",
    )


def _plain(reason: str) -> str:
    return reason.replace("_", " ").lower() or "no reason given"
