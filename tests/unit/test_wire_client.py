"""The clients' connection: what it trusts, what it takes, and what it says when something is wrong."""

import hashlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding
from trio.testing import MockClock

from clients.wire import client
from clients.wire.client import Answer
from clients.wire.errors import WireError
from clients.wire.site import Address
from gateway.base.clock import DAY
from gateway.ledger.protocol import Named
from gateway.pki import certificates as x
from gateway.pki.authority import open_authority
from tests.boxport_client import FakeIntake, Identity, Site, serving, step
from tests.lying_gateway import http, lying, server_context

OK = http(200, b"hello", {"Content-Type": "text/plain"})


def context(site: Site, identity: Identity | None = None, ca: str | None = None) -> ssl.SSLContext:
    own = identity or site.identity()
    return client.tls_context(ca or (site.pki / "ca.pem").read_text(), own.certificate, own.key)


async def ask(address: Address, own: ssl.SSLContext, limit: int = 100) -> Answer:
    async with client.connected(address, own) as line:
        return await line.request("POST", "/v1/statements", b"a statement", limit=limit)


def refusal(work: Callable[[], Awaitable[object]]) -> WireError:
    """What the work raises; the port around it wraps that."""

    async def main() -> None:
        await work()

    try:
        trio.run(main)
    except* WireError as group:
        found: BaseException = group
        while isinstance(found, BaseExceptionGroup):
            [found] = found.exceptions
        assert isinstance(found, WireError)
        error = found
    return error


async def ask_liar(site: Site, words: bytes, limit: int = 100) -> Answer:
    """The answer to a request when these are the port's words."""
    async with lying(server_context(site), lambda _: (words, "close")) as (address, _):
        return await ask(address, context(site), limit)


def answered(site: Site, words: bytes) -> Answer:
    return trio.run(ask_liar, site, words)


class TestGood:
    def test_one_request_after_the_other(self, boxport_site: Site) -> None:
        async def main() -> None:
            async with (
                lying(server_context(boxport_site), lambda body: (http(200, body, {}), "open")) as (
                    address,
                    seen,
                ),
                client.connected(address, context(boxport_site)) as line,
            ):
                asked = [(await line.request("POST", "/", b"one")).body, line.open]
                asked += [(await line.request("POST", "/", b"two", last=True)).body, line.open]
                assert asked == [b"one", True, b"two", False]
                assert (seen.connections, seen.last) == (1, [False, True])

        trio.run(main)

    def test_what_the_head_says(self, boxport_site: Site) -> None:
        answer = answered(
            boxport_site,
            http(503, b"x", {"Content-Type": "Text/Plain; q=1", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}),
        )
        assert (answer.status, answer.media_type, answer.date) == (503, "text/plain", 784_111_777)

    @pytest.mark.parametrize("date", ["", "yesterday", "Sun, 06 Nov 99999 08:49:37 GMT"])
    def test_no_date(self, boxport_site: Site, date: str) -> None:
        assert answered(boxport_site, http(200, b"", {"Date": date})).date is None

    def test_nothing_is_held_back(self, boxport_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[trio.SocketStream] = []
        opened = trio.open_tcp_stream

        async def watched(host: str, port: int) -> trio.SocketStream:
            made.append(await opened(host, port))
            assert made[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            return made[0]

        monkeypatch.setattr(trio, "open_tcp_stream", watched)
        answered(boxport_site, OK)
        assert made

    def test_only_tls_1_3(self, boxport_site: Site) -> None:
        own = context(boxport_site)
        assert (own.minimum_version, own.verify_mode) == (ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED)
        assert len(own.get_ca_certs()) == 1


class TestAnswers:
    """What is not an answer of a gateway is refused, and never believed in part."""

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "line.answer"),
            (b"\x00\xff\r\n" * 100, "line.answer"),
            (b"HTTP/1.1 200 OK\r\n\r\nno length", "line.answer"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "line.answer"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "line.answer"),
            (http(200, bytes(101), {}), "line.answer"),
            (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000, "line.answer"),
            (OK[:-1], "line.broken"),
            (OK[:20], "line.broken"),
            (b"", "line.broken"),
            (b"HTTP/1.1 100 Continue\r\n\r\n", "line.broken"),
        ],
    )
    def test_rubbish(self, boxport_site: Site, words: bytes, code: str) -> None:
        assert refusal_of(boxport_site, words).code == code

    def test_of_the_largest_size(self, boxport_site: Site) -> None:
        assert answered(boxport_site, http(200, bytes(100), {})).body == bytes(100)

    def test_chunks_do_not_get_around_the_limit(self, boxport_site: Site) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (
            refusal_of(boxport_site, head + b"65\r\n" + bytes(101) + b"\r\n0\r\n\r\n").code == "line.answer"
        )

    def test_a_reset_in_the_middle(self, boxport_site: Site) -> None:
        async def work() -> None:
            async with lying(server_context(boxport_site), lambda _: (OK[:20], "reset")) as (address, _):
                await ask(address, context(boxport_site))

        assert refusal(work).code == "line.broken"


def refusal_of(site: Site, words: bytes) -> WireError:
    return refusal(lambda: ask_liar(site, words))


class TestTrust:
    def test_another_elections_gateway(self, boxport_site: Site) -> None:
        site = boxport_site
        root = x.issue_root(x.make_key("p256"), x.root_validity(site.now))
        other = root.certificate.public_bytes(Encoding.PEM).decode()

        async def work() -> None:
            async with lying(server_context(site), lambda _: (OK, "close")) as (address, seen):
                try:
                    await ask(address, context(site, ca=other))
                finally:
                    assert seen.bodies == []

        error = refusal(work)
        assert error.code == "line.gateway_unknown"
        assert "Nothing was sent" in error.detail

    @pytest.mark.parametrize(
        ("start", "end", "names", "code"),
        [
            (-3, -1, ["127.0.0.1"], "line.gateway_date"),
            (1, 3, ["127.0.0.1"], "line.gateway_date"),
            (-1, 1, ["127.0.0.2"], "line.gateway_name"),
            (-1, 1, ["gateway.example"], "line.gateway_name"),
        ],
    )
    def test_by_date_and_name(
        self, boxport_site: Site, tmp_path: Path, start: int, end: int, names: list[str], code: str
    ) -> None:
        site = boxport_site
        key = x.make_key("p256")
        with open_authority(site.pki, now=site.now) as authority:
            ca = authority.issuer
        validity = x.Validity(site.now + start * DAY, site.now + end * DAY)
        made = x.issue_server(ca, key.public_key(), "server", names, x.random_serial(), validity)
        (tmp_path / "server.pem").write_bytes(x.certificate_pem(made))
        (tmp_path / "server.key").write_bytes(x.key_pem(key))

        async def work() -> None:
            async with lying(server_context(site, tmp_path), lambda _: (OK, "close")) as (address, _):
                await ask(address, context(site))

        error = refusal(work)
        assert error.code == code
        if code == "line.gateway_date":
            assert ("out of date" if end < 0 else "not valid yet") in error.detail
            assert "clock" in error.detail

    @pytest.mark.parametrize(
        "words",
        [
            # A handshake_failure and a protocol_version alert, as of a server that knows TLS 1.2 only.
            b"\x15\x03\x03\x00\x02\x02\x28",
            b"\x15\x03\x03\x00\x02\x02\x46",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
        ],
    )
    def test_no_tls_1_3(self, boxport_site: Site, words: bytes) -> None:
        async def speak(tcp: trio.SocketStream) -> None:
            await tcp.receive_some()
            await tcp.send_all(words)
            await tcp.send_eof()

        async def work() -> None:
            async with trio.open_nursery() as nursery:
                [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
                nursery.start_soon(trio.serve_listeners, speak, [listener])
                await ask(Address("127.0.0.1", listener.socket.getsockname()[1]), context(boxport_site))

        assert refusal(work).code == "line.tls"

    def test_own_files_that_are_none(self, boxport_site: Site, tmp_path: Path) -> None:
        own = boxport_site.identity()
        other = boxport_site.identity("terminal", 2)
        (tmp_path / "x").write_bytes(b"nothing")
        for identity in [
            Identity(tmp_path / "x", own.key),
            Identity(own.certificate, tmp_path / "x"),
            Identity(own.certificate, other.key),
            Identity(own.certificate, tmp_path / "missing"),
        ]:
            with pytest.raises(WireError) as caught:
                context(boxport_site, identity)
            assert caught.value.code == "line.identity"


class TestDoor:
    """What the gateway's own box port says about a certificate arrives in words."""

    @pytest.mark.parametrize("name", ["expired", "early", "revoked", "stranger"])
    def test_refused(self, boxport_site: Site, tmp_path: Path, name: str) -> None:
        site = boxport_site
        day = {"expired": (-3, -1), "early": (1, 3)}.get(name, (-1, 1))
        validity = x.Validity(site.now + day[0] * DAY, site.now + day[1] * DAY)
        own = site.issue(f"client-{name}", validity=validity, stranger=name == "stranger")
        pki = site.copy_pki(tmp_path)
        if name == "revoked":
            (pki / "crl.pem").write_bytes(site.crl(own))

        async def work() -> None:
            async with serving(site, FakeIntake(), pki=pki) as served:
                await ask(Address(served.address.host, served.address.port), context(site, own))

        wanted = {"early": "expired", "stranger": "unknown"}.get(name, name)
        assert refusal(work).code == f"line.certificate_{wanted}"

    def test_without_a_certificate(self, boxport_site: Site) -> None:
        async def work() -> None:
            async with serving(boxport_site, FakeIntake()) as served:
                address = Address(served.address.host, served.address.port)
                await ask(address, boxport_site.context(None))

        assert refusal(work).code == "line.certificate_required"

    def test_let_in(self, boxport_site: Site) -> None:
        async def main() -> None:
            async with serving(boxport_site, FakeIntake()) as served:
                address = Address(served.address.host, served.address.port)
                async with client.connected(address, context(boxport_site)) as line:
                    answer = await line.request("GET", "/v1/self")
                    assert answer.media_type == "application/json"
                    answer = await line.request(
                        "POST", "/v1/statements", b"x", media_type="application/cose", last=True
                    )
                    assert (answer.status, answer.media_type, line.open) == (201, "text/plain", False)

        trio.run(main)


class TestNoLine:
    def test_nobody_listens(self, boxport_site: Site) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        error = refusal(lambda: ask(Address("127.0.0.1", port), context(boxport_site)))
        assert error.code == "line.unreachable"
        assert "no gateway runs" in error.detail

    @pytest.mark.parametrize(
        ("reasons", "words"),
        [
            ([OSError(101, "Network is unreachable")], "cable"),
            ([OSError(113, "No route to host"), OSError(101, "Network is unreachable")], "cable"),
            ([OSError(5, "Input/output error")], "Input/output error"),
        ],
    )
    def test_no_network(
        self, boxport_site: Site, monkeypatch: pytest.MonkeyPatch, reasons: list[OSError], words: str
    ) -> None:
        async def no_way(host: str, port: int) -> trio.SocketStream:
            cause = reasons[0] if len(reasons) == 1 else ExceptionGroup("all", reasons)
            raise OSError("all attempts have failed") from cause

        monkeypatch.setattr(trio, "open_tcp_stream", no_way)
        error = refusal(lambda: ask(Address("127.0.0.1", 1), context(boxport_site)))
        assert error.code == "line.unreachable"
        assert words in error.detail

    def test_no_such_name(self, boxport_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        async def unknown(host: str, port: int) -> trio.SocketStream:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(trio, "open_tcp_stream", unknown)
        error = refusal(lambda: ask(Address("gateway.example", 1), context(boxport_site)))
        assert (error.code, "name" in error.detail) == ("line.unreachable", True)

    @pytest.mark.parametrize("silent_from", ["handshake", "answer"])
    def test_silence_ends(self, boxport_site: Site, silent_from: str) -> None:
        """The deadline is one for connecting, handshake and the first answer."""
        clock = MockClock()
        errors: list[str] = []

        async def try_once(address: Address) -> None:
            try:
                await ask(address, context(boxport_site))
            except WireError as error:
                errors.append(error.code)

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                if silent_from == "handshake":
                    with socket.create_server(("127.0.0.1", 0)) as deaf:
                        nursery.start_soon(try_once, Address("127.0.0.1", deaf.getsockname()[1]))
                        await watch()
                else:
                    async with lying(server_context(boxport_site), lambda _: (b"", "silence")) as (
                        address,
                        seen,
                    ):
                        nursery.start_soon(try_once, address)
                        while not seen.bodies:
                            await trio.testing.wait_all_tasks_blocked(0.001)
                        await watch()

        async def watch() -> None:
            await step(clock, client.ATTEMPT_SECONDS - 1)
            assert errors == []
            await step(clock, 2)
            assert errors == ["line.timeout"]

        trio.run(main, clock=clock)

    def test_each_further_answer_has_its_own_deadline(self, boxport_site: Site) -> None:
        clock = MockClock()

        async def main() -> None:
            async with (
                lying(server_context(boxport_site), lambda body: (http(200, body, {}), "open")) as (
                    address,
                    _,
                ),
                client.connected(address, context(boxport_site)) as line,
            ):
                for _ in range(3):
                    await line.request("POST", "/", b"x")
                    clock.jump(client.ATTEMPT_SECONDS - 1)

        trio.run(main, clock=clock)


PNG = b"\x89PNG\r\n\x1a\n" + bytes(200_000)
SHA256 = hashlib.sha256(PNG).digest()
PAPER = f"/v1/attachments/{SHA256.hex()}"


class TestPapers:
    """A file on its way to the real port: nothing is sent that the gateway does not want."""

    def upload(self, site: Site, *, times: int = 1, named: bool = True) -> tuple[list[int], float, bool]:
        """The statuses of uploads on one connection, the bytes that the port took, and whether it is open."""

        async def main() -> tuple[list[int], float, bool]:
            intake = FakeIntake()
            if named:
                intake.named[SHA256] = (Named(1, 101, 2, len(PNG)),)
            async with serving(site, intake) as served:
                address = Address(served.address.host, served.address.port)
                async with client.connected(address, context(site)) as line:
                    statuses = [
                        (await line.upload(PAPER, PNG, media_type="image/png")).status for _ in range(times)
                    ]
                    return statuses, served.value("tallygate_papers_received_bytes_total"), line.open

        return trio.run(main)

    def test_a_paper_is_sent_once_it_is_wanted(self, boxport_site: Site) -> None:
        assert self.upload(boxport_site) == ([201], len(PNG), True)

    def test_one_that_is_there_is_not_sent(self, boxport_site: Site) -> None:
        assert self.upload(boxport_site, times=2) == ([201, 200], len(PNG), False)

    def test_one_that_is_refused_is_not_sent(self, boxport_site: Site) -> None:
        assert self.upload(boxport_site, named=False) == ([422], 0, False)

    def test_a_gateway_that_does_not_say_go_on_gets_it_all_the_same(self, boxport_site: Site) -> None:
        clock = MockClock()

        async def main() -> None:
            async with (
                lying(server_context(boxport_site), lambda body: (http(201, body[:8], {}), "open")) as (
                    address,
                    seen,
                ),
                client.connected(address, context(boxport_site)) as line,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(later)
                answer = await line.upload(PAPER, PNG, media_type="image/png", last=True)
                assert (answer.status, answer.body, line.open) == (201, PNG[:8], False)
                assert (seen.bodies, seen.last) == ([PNG], [True])

        async def later() -> None:
            await step(clock, 10)

        trio.run(main, clock=clock)

    def test_a_dead_line_ends_with_its_deadline(self, boxport_site: Site) -> None:
        clock = MockClock()
        errors: list[str] = []

        async def main() -> None:
            async with (
                lying(server_context(boxport_site), lambda _: (b"", "silence")) as (address, _),
                trio.open_nursery() as nursery,
            ):

                async def upload() -> None:
                    try:
                        async with client.connected(address, context(boxport_site)) as line:
                            await line.upload(PAPER, PNG, media_type="image/png")
                    except WireError as error:
                        errors.append(f"{error.code} {'225 seconds' in error.detail}")
                    nursery.cancel_scope.cancel()

                nursery.start_soon(upload)
                for _ in range(23):
                    await step(clock, 10)

        trio.run(main, clock=clock)
        assert errors == ["line.timeout True"]

    @pytest.mark.parametrize("end", ["close", "reset"])
    def test_a_line_that_breaks(self, boxport_site: Site, end: Literal["close", "reset"]) -> None:
        async def upload() -> None:
            async with (
                lying(server_context(boxport_site), lambda _: (b"", end)) as (address, _),
                client.connected(address, context(boxport_site)) as line,
            ):
                await line.upload(PAPER, PNG, media_type="image/png")

        clock = MockClock(autojump_threshold=0.5)
        with pytest.raises(BaseExceptionGroup) as caught:
            trio.run(upload, clock=clock)
        found: BaseException = caught.value
        while isinstance(found, BaseExceptionGroup):
            [found] = found.exceptions
        assert isinstance(found, WireError)
        assert found.code == "line.broken"
