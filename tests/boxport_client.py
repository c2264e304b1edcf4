"""A box port in the test's own event loop, the certificates for it, and a client that can also misbehave.

The client is OpenSSL's TLS (through Trio) and h11: neither is what the port is made of.
"""

import contextlib
import hashlib
import json
import shutil
import socket
import ssl
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import h11
import msgspec
import trio
from cryptography.hazmat.primitives.serialization import Encoding
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.base.clock import DAY
from gateway.base.config import Endpoint, Limits
from gateway.base.logs import Log
from gateway.base.metrics import IngestMetrics
from gateway.boxport import BoxPort, BoxTls, bound_address, open_listeners
from gateway.boxport.attachments import Attachments, Shelf
from gateway.ledger.protocol import LedgerFailedError, Logged, Named, Outcome, Receipt
from gateway.pki import certificates as x
from gateway.pki.authority import open_authority
from gateway.run.rehearsal import BundleLine, Plan, init_rehearsal
from gateway.sequencer.protocol import LastPacket, Paper, Peer, Present

EXAMPLE = Path(__file__).parents[1] / "examples" / "hill-country"
NOTE = "rehearsal.invalid/hill\n8\n" + "A" * 43 + "=\n\n— rehearsal.invalid/hill " + "B" * 92 + "\n"
STATEMENT = b"\xd2\x84" + bytes(range(256))
COSE = ("Content-Type", "application/cose")
# A request without the lines that say how long it is, and its end.
HEAD = b"POST /v1/statements HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/cose\r\n"
SERVED = ("server.pem", "server.key", "ca.pem", "crl.pem")


class Identity(NamedTuple):
    """A client certificate and its key, as files for programs."""

    certificate: Path
    key: Path

    @property
    def serial(self) -> int:
        return x.load_certificate(self.certificate.read_bytes(), place="").serial_number


class Site:
    """A rehearsal's night folder: its `pki` is the box port's, its devices' certificates are the clients'."""

    def __init__(self, folder: Path) -> None:
        self.now = time.time_ns() // 1_000_000
        made, faults = init_rehearsal(
            folder / "night", EXAMPLE, Plan(), now=self.now, progress=lambda *_: None
        )
        assert made is not None, faults
        self._folder = folder
        self.pki = folder / "night" / "pki"
        self.election = made.definition.id
        bundle = (folder / "night" / "devices" / "bundle.ndjson").read_bytes().splitlines()
        lines = [msgspec.json.decode(line, type=BundleLine) for line in bundle]
        self._lines = {(line.role, line.id): line for line in lines}

    def identity(self, role: str = "box", number: int = 1) -> Identity:
        """Of the rehearsal's bundle."""
        line = next(line for key, line in self._lines.items() if key == (role, number))
        return self._write(f"{role}-{number}", line.certificate.encode(), line.tls_key.encode())

    def boxes(self) -> list[int]:
        """The numbers of all boxes."""
        return [number for role, number in self._lines if role == "box"]

    def issue(
        self, name: str, *, uri: str | None = None, validity: x.Validity | None = None, stranger: bool = False
    ) -> Identity:
        """A certificate that the rehearsal would not have issued like this; stranger: of another CA."""
        key = x.make_key("p256")
        validity = validity or x.Validity(self.now - DAY, self.now + DAY)
        uri = uri or f"urn:tallygate:{self.election}:box:1"
        if stranger:
            root = x.issue_root(x.make_key("p256"), x.root_validity(self.now))
            until = x.ca_validity(self.now, self.now + 30 * DAY)
            ca = x.issue_ca(root, x.make_key("p256"), self.election, until)
        else:
            ca = self._issuer()
        certificate = x.issue_client(ca, key.public_key(), name, uri, x.random_serial(), validity)
        return self._write(name, x.certificate_pem(certificate), x.key_pem(key))

    def crl(self, *revoked: Identity, newer: int = 1, until: int = 20 * DAY) -> bytes:
        """A CRL with these certificates, so much newer than the rehearsal's, and fresh for so long (ms)."""
        events: list[tuple[int, int, x.Reason]] = [
            (identity.serial, self.now, "key-compromise") for identity in revoked
        ]
        crl = x.issue_crl(self._issuer(), events, self.now + newer, self.now, self.now + until)
        return crl.public_bytes(Encoding.PEM)

    def copy_pki(self, folder: Path) -> Path:
        """The four files of the port in a folder of the test's own."""
        for name in SERVED:
            shutil.copy(self.pki / name, folder / name)
        return folder

    def context(self, identity: Identity | None) -> ssl.SSLContext:
        """What a client needs to trust this port, with or without a certificate of its own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.pki / "ca.pem")
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context

    def _issuer(self) -> x.Issuer:
        with open_authority(self.pki, now=self.now) as authority:
            return authority.issuer

    def _write(self, name: str, certificate: bytes, key: bytes) -> Identity:
        identity = Identity(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        identity.certificate.write_bytes(certificate)
        identity.key.write_bytes(key)
        return identity


class FakeIntake:
    """An intake that takes everything, and checks what the port has promised it.

    Attributes:
        answer: decides on an upload instead of the default, which logs what is new.
        gate: while it is closed, uploads wait behind it.
        received: every upload, in order, with its certificate's role and number.
        stations: what every certificate is assigned to.
        named: the papers that the log names, each by these packets.
        quota: bytes of papers of each device.
        stored: the papers that were noted: hash, size and medium.
        failure: is raised by `store_paper`.
    """

    def __init__(self) -> None:
        self.answer: Callable[[bytes], Outcome] | None = None
        self.gate: trio.Event | None = None
        self.received: list[tuple[bytes, str, int]] = []
        self.stations: tuple[tuple[int, int], ...] = ((101, 1_900_000_000_000),)
        self.waiting = 0
        self.named: dict[bytes, tuple[Named, ...]] = {}
        self.quota = 1 << 40
        self.stored: list[tuple[bytes, int, int]] = []
        self.failure: LedgerFailedError | None = None
        self._log: dict[bytes, Receipt] = {}

    async def submit(self, statement: bytes, peer: Peer) -> Outcome:
        assert type(statement) is bytes
        assert len(statement) <= 16_384
        self.received.append((statement, peer.role, peer.id))
        same = sum(1 for _, role, number in self.received if (role, number) == (peer.role, peer.id))
        assert same <= 3_000
        self.waiting += 1
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.answer is not None:
            return self.answer(statement)
        known = await self.receipt(hashlib.sha256(statement).digest())
        if known is not None:
            return Logged("duplicate", known)
        return Logged("accepted", self.log(statement))

    def log(self, statement: bytes) -> Receipt:
        """Logs a statement without an upload."""
        receipt = Receipt(len(self._log), [bytes(32)] * 3, NOTE)
        self._log[hashlib.sha256(statement).digest()] = receipt
        return receipt

    async def receipt(self, id: bytes) -> Receipt | None:  # noqa: A002 - the word of the format
        assert len(id) == 32
        return self._log.get(id)

    async def paper(self, sha256: bytes, peer: Peer) -> Paper:
        await trio.lowlevel.checkpoint()
        named = tuple(one for one in self.named.get(sha256, ()) if one.device == peer.id)
        stored = any(one[0] == sha256 for one in self.stored)
        return Paper(named, stored, {one.device: self.quota for one in named})

    async def store_paper(self, sha256: bytes, size: int, media: int) -> None:
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        self.stored.append((sha256, size, media))

    async def present(self, peer: Peer) -> Present:
        return Present(
            role=peer.role,
            id=peer.id,
            device=peer.id,
            area=None,
            stations=self.stations,
            last=LastPacket(3, "ab" * 32),
            server_time=1_899_999_000_000,
            election="hill-country-2031-rehearsal",
            mode="rehearsal",
            definition="cd" * 32,
            roster="ef" * 32,
        )


class Reply(NamedTuple):
    """An answer as h11 understood it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, object]:
        """The problem document, whose form is checked."""
        assert self.headers["content-type"] == "application/problem+json"
        document: dict[str, object] = json.loads(self.body)
        assert list(document) == ["type", "title", "status", "code", "detail", "retry"]
        assert document["status"] == self.status
        assert document["type"] == f"urn:tallygate:problem:{document['code']}"
        assert document["retry"] in {"never", "later", "fix"}
        assert document["detail"]
        return document

    @property
    def code(self) -> object:
        return self.problem["code"]


class Client:
    """One connection to the port."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self.http = h11.Connection(h11.CLIENT)

    async def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Sends a whole request."""
        fields = [("Host", "127.0.0.1"), *headers]
        if body or method in {"POST", "PUT"}:
            fields.append(("Content-Length", str(len(body))))
        data = self.http.send(h11.Request(method=method, target=path, headers=fields))
        data += self.http.send(h11.Data(data=body)) + self.http.send(h11.EndOfMessage())
        await self.stream.send_all(data)

    async def post(self, statement: bytes = STATEMENT, *headers: tuple[str, str]) -> Reply:
        """Uploads, and waits for the answer."""
        await self.send("POST", "/v1/statements", statement, headers=[COSE, *headers])
        return await self.reply()

    async def get(self, path: str) -> Reply:
        await self.send("GET", path)
        return await self.reply()

    async def raw(self, data: bytes) -> None:
        """Sends what h11 would not."""
        await self.stream.send_all(data)

    async def reply(self) -> Reply:
        """The next answer; the connection is then ready for another request, if it goes on."""
        if self.http.our_state is h11.IDLE:
            # For a request that was sent raw.
            self.http = h11.Connection(h11.CLIENT)
            self.http.send(h11.Request(method="GET", target="/", headers=[("Host", "-")]))
            self.http.send(h11.EndOfMessage())
        head: h11.Response | None = None
        body = b""
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                self.http.receive_data(bytes(await self.stream.receive_some()))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise AssertionError("the connection was closed without an answer")
        assert head is not None
        headers = {name.decode(): value.decode() for name, value in head.headers}
        assert headers["content-length"] == str(len(body))
        if self.http.their_state is h11.DONE and self.http.our_state is h11.DONE:
            self.http.start_next_cycle()
        return Reply(head.status_code, headers, body)

    async def ended(self) -> None:
        """Insists that the port has ended the connection, and has said so (close_notify)."""
        assert await self.stream.receive_some() == b""

    async def say_goodbye(self) -> None:
        """Sends close_notify, but no FIN; nothing can be sent after it, and only the socket be read."""
        session, sent = self.stream._ssl_object, self.stream._outgoing
        with contextlib.suppress(ssl.SSLWantReadError):
            session.unwrap()
        await self.stream.transport_stream.send_all(sent.read())

    def die(self) -> None:
        """Makes the end of the connection a reset, as of a machine that has lost its power and is back."""
        self.stream.transport_stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Served(NamedTuple):
    """A running port and what a test may look at.

    Attributes:
        real: the time (ms) that certificates live in.
        papers: the folder of papers.
        free: the bytes that are free on its disk.
    """

    site: Site
    port: BoxPort
    tls: BoxTls
    intake: FakeIntake
    metrics: IngestMetrics
    lines: list[str]
    address: Endpoint
    real: list[int]
    stopped: trio.Event
    failures: list[LedgerFailedError]
    papers: Path
    free: list[int]
    socks: list[trio.socket.SocketType]

    def value(self, metric: str, **labels: str) -> float:
        """A metric's."""
        value = self.metrics.registry.get_sample_value(metric, labels)
        assert value is not None, metric
        return value

    def events(self) -> list[str]:
        """The names of what was logged."""
        return [json.loads(line)["event"] for line in self.lines]

    @contextlib.asynccontextmanager
    async def client(self, identity: Identity | None = None, *, receive: int = 0) -> AsyncIterator[Client]:
        """A connection whose handshake is finished; box 1's without another identity."""
        sock = await self.connect(receive)
        context = self.site.context(identity or self.site.identity())
        stream = trio.SSLStream(trio.SocketStream(sock), context, server_hostname="127.0.0.1")
        try:
            await stream.do_handshake()
            yield Client(stream)
        finally:
            # Forcefully: only the tests that are about the end of a connection end it with courtesy.
            sock.close()

    async def connect(self, receive: int = 0) -> trio.socket.SocketType:
        """A connection without TLS that lasts as long as the port, if the test does not close it.

        Args:
            receive: the size of its buffer, if not the kernel's default.
        """
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socks.append(sock)
        if receive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        await sock.connect((self.address.host, self.address.port))
        return sock


@contextlib.asynccontextmanager
async def serving(
    site: Site,
    intake: FakeIntake,
    *,
    limits: Limits | None = None,
    pki: Path | None = None,
    disk_ok: Callable[[], bool] = lambda: True,
    until: Callable[[int], float] = lambda at: at / 1000,
    metrics: IngestMetrics | None = None,
    crl_stale: Literal["keep", "refuse"] = "keep",
    papers: Path | None = None,
) -> AsyncIterator[Served]:
    """A port that serves while the block runs, and is then stopped if the block has not done it."""
    with contextlib.ExitStack() as stack:
        folder = papers or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        async with _serving(site, intake, limits, pki, disk_ok, until, metrics, crl_stale, folder) as served:
            yield served


@contextlib.asynccontextmanager
async def _serving(
    site: Site,
    intake: FakeIntake,
    limits: Limits | None,
    pki: Path | None,
    disk_ok: Callable[[], bool],
    until: Callable[[int], float],
    metrics: IngestMetrics | None,
    crl_stale: Literal["keep", "refuse"],
    papers: Path,
) -> AsyncIterator[Served]:
    limits = limits or Limits()
    metrics = metrics or IngestMetrics("0", process=False)
    lines: list[str] = []
    log = Log("ingest", lines.append, lambda: 0)
    real = [site.now]
    tls = BoxTls(
        pki or site.pki,
        election=site.election,
        crl_stale=crl_stale,
        clock=lambda: real[0],
        metrics=metrics,
        log=log,
    )
    begun = trio.current_time()
    listeners = await open_listeners([Endpoint("127.0.0.1", 0)], limits)
    host, _, number = bound_address(listeners[0]).rpartition(":")
    free = [1 << 40]
    shelf = Shelf(papers)
    shelf.clean()
    attachments = Attachments(
        shelf, intake, {}, limits=limits, free=lambda: free[0], metrics=metrics, log=log
    )
    port = BoxPort(
        listeners,
        tls,
        intake,
        attachments,
        limits=limits,
        metrics=metrics,
        log=log,
        clock=lambda: 784_111_777_000 + round((trio.current_time() - begun) * 1_000),
        until=until,
        disk_ok=disk_ok,
        jitter=lambda: 0.5,
    )
    stopped = trio.Event()
    address = Endpoint(host, int(number))
    served = Served(site, port, tls, intake, metrics, lines, address, real, stopped, [], papers, free, [])

    async def serve() -> None:
        try:
            await port.serve()
        except LedgerFailedError as error:
            served.failures.append(error)
        finally:
            stopped.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        try:
            yield served
        finally:
            for sock in served.socks:
                sock.close()
        nursery.cancel_scope.cancel()


def run_served(
    site: Site, test: Callable[[Served, MockClock], Awaitable[None]], limits: Limits | None = None
) -> None:
    """Runs a test against one port, with a clock that moves only by the test's hand."""
    clock = MockClock()

    async def main() -> None:
        async with serving(site, FakeIntake(), limits=limits) as served:
            await test(served, clock)

    trio.run(main, clock=clock)


async def step(clock: MockClock, seconds: float) -> None:
    """Lets everything happen that is due, moves the clock, and lets everything happen again."""
    await wait_all_tasks_blocked(0.001)
    clock.jump(seconds)
    await wait_all_tasks_blocked(0.001)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what other tasks and the kernel do; pytest's timeout is the deadline."""
    while not condition():
        await wait_all_tasks_blocked(0.001)


def alert_of(error: BaseException) -> str:
    """The alert that OpenSSL names behind an error of Trio's stream."""
    cause = error.__cause__
    assert isinstance(cause, ssl.SSLError), error
    return cause.reason or ""
