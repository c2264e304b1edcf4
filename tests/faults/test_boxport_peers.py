"""Clients that are slow, silent or gone, each on a real socket; the clock moves by the test's hand."""

import json
import os
import socket
import ssl
import struct

import pytest
import trio
from trio.testing import MockClock

from tests.boxport_client import COSE, HEAD, STATEMENT, Served, Site, run_served, step, until


@pytest.fixture(autouse=True)
def _no_deferred_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel keeps a silent client back for a real second; these tests want it in at once."""
    monkeypatch.setattr("gateway.boxport.port.DEFER_SECONDS", 0)


def test_slowloris_in_the_head(boxport_site: Site) -> None:
    """A byte every two seconds keeps nothing open: the deadline is the whole request's."""

    async def test(served: Served, clock: MockClock) -> None:
        async with served.client() as client:
            for byte in HEAD[:5]:
                await client.raw(bytes([byte]))
                await step(clock, 2)
            reply = await client.reply()
            assert (reply.status, reply.code, reply.problem["retry"]) == (408, "request.timeout", "later")
            assert reply.headers["connection"] == "close"
            await client.ended()
            assert served.value("tallygate_requests_refused_total", code="request.timeout") == 1
        await until(lambda: served.value("tallygate_open_connections") == 0)

    run_served(boxport_site, test)


def test_slowloris_in_the_body(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        async with served.client() as client:
            await client.raw(HEAD + b"Content-Length: 300\r\n\r\n")
            for byte in range(10):
                await step(clock, 1.0)
                await client.raw(bytes([byte]))
            assert (await client.reply()).code == "request.timeout"
            assert served.intake.received == []

    run_served(boxport_site, test)


def test_a_length_that_is_larger_than_the_body_times_out(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        async with served.client() as client:
            await client.raw(HEAD + b"Content-Length: 300\r\n\r\n")
            await step(clock, 0)
            await client.raw(STATEMENT)
            await step(clock, 11)
            assert (await client.reply()).status == 408
            assert served.intake.received == []

    run_served(boxport_site, test)


@pytest.mark.parametrize("more", [1, 5])
def test_who_is_told_that_it_was_too_slow_may_still_be_sending(boxport_site: Site, more: int) -> None:
    """A close with bytes on their way would be a reset, and the answer might never be read."""

    async def test(served: Served, clock: MockClock) -> None:
        async with served.client() as client:
            await client.raw(HEAD + b"Content-Length: 300\r\n\r\n")
            await step(clock, 11)
            for _ in range(more):
                await client.raw(b"-")
                await step(clock, 0.1)
            assert (await client.reply()).status == 408
            await client.ended()
            # In time, and in peace: no reset, whatever the kernel had still to deliver.
            await step(clock, 3)
            assert await client.stream.transport_stream.receive_some() == b""
        await until(lambda: served.value("tallygate_open_connections") == 0)

    run_served(boxport_site, test)


def test_each_request_has_a_deadline_of_its_own(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        async with served.client() as client:
            for number in range(5):
                await client.raw(HEAD + b"Content-Length: 2\r\n\r\n")
                await step(clock, 9)
                await client.raw(b"%02d" % number)
                assert (await client.reply()).status == 201
                await step(clock, 4)

    run_served(boxport_site, test)


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
def test_silent_tls(boxport_site: Site, said: bytes) -> None:
    """A client that never finishes its handshake, whether it has begun or not."""

    async def test(served: Served, clock: MockClock) -> None:
        sock = await served.connect()
        if said:
            await sock.send(said)
        await until(lambda: served.value("tallygate_open_connections") == 1)
        await step(clock, 9.9)
        assert served.value("tallygate_open_connections") == 1
        await step(clock, 0.2)
        assert served.value("tallygate_open_connections") == 0
        assert await sock.recv(100) == b""
        assert served.value("tallygate_tls_handshakes_total", result="timeout") == 1
        sock.close()

    run_served(boxport_site, test)


def test_the_kernel_keeps_silent_clients_back(boxport_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """With deferred accept one that has not spoken is nobody yet; it comes in with its first byte."""
    monkeypatch.setattr("gateway.boxport.port.DEFER_SECONDS", 60)

    async def test(served: Served, clock: MockClock) -> None:
        sock = await served.connect()
        await step(clock, 1)
        assert served.value("tallygate_connections_total", result="accepted") == 0
        await sock.send(b"\x16")
        await until(lambda: served.value("tallygate_connections_total", result="accepted") == 1)
        sock.close()

    run_served(boxport_site, test)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 100,
        b"\x80\x2e\x01\x03\x01",
        b"\x16\x03\x01\xff\xff" + b"x" * 20_000,
    ],
)
def test_what_is_no_tls(boxport_site: Site, said: bytes) -> None:
    async def test(served: Served, _: MockClock) -> None:
        sock = await served.connect()
        await sock.send(said)
        await until(lambda: served.value("tallygate_tls_handshakes_total", result="protocol") == 1)
        assert served.events() == ["boxport.handshake"]
        sock.close()
        await until(lambda: served.value("tallygate_open_connections") == 0)

    run_served(boxport_site, test)


def test_who_only_knocks_is_no_failed_handshake(boxport_site: Site) -> None:
    """Load balancers and scanners connect and close; nobody is to be alarmed by that."""

    async def test(served: Served, _: MockClock) -> None:
        (await served.connect()).close()
        await until(lambda: served.value("tallygate_connections_total", result="accepted") == 1)
        await until(lambda: served.value("tallygate_open_connections") == 0)
        assert served.lines == []

    run_served(boxport_site, test)


@pytest.mark.parametrize("who", ["stranger", "nobody"])
def test_who_is_refused_and_is_gone_is_counted(boxport_site: Site, who: str) -> None:
    """Its last flight and a reset arrive at once: nobody hears the alert, the operator knows all the same."""
    identity = boxport_site.issue("gone", stranger=True) if who == "stranger" else None
    result = "no_certificate" if identity is None else "unknown_ca"

    async def test(served: Served, clock: MockClock) -> None:
        for count in (1, 2, 3):
            sock = await served.connect()
            received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = boxport_site.context(identity).wrap_bio(received, sent, server_hostname="127.0.0.1")
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            await sock.send(sent.read())
            received.write(await sock.recv(65_536))
            tls.do_handshake()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # No checkpoint in between: the port sees both in one look at the kernel.
            os.write(sock.fileno(), sent.read())
            sock.close()
            await until(lambda: served.value("tallygate_open_connections") == 0)
            assert served.value("tallygate_tls_handshakes_total", result=result) == count
            line = json.loads(served.lines[-1])
            assert (line["event"], line["result"]) == ("boxport.handshake", result)
            assert line["words"]

    run_served(boxport_site, test)


@pytest.mark.parametrize("hard", [False, True])
def test_a_client_that_ends_within_its_handshake(boxport_site: Site, hard: bool) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        sock = await served.connect()
        await sock.send(b"\x16\x03\x01")
        await step(clock, 0)
        if hard:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        await until(lambda: served.value("tallygate_tls_handshakes_total", result="protocol") == 1)
        assert json.loads(served.lines[-1])["words"] == "the connection ended within the handshake"

    run_served(boxport_site, test)


def test_a_connection_without_a_request_ends_politely(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        async with served.client() as client:
            await step(clock, 5.1)
            await client.ended()
        async with served.client() as client:
            assert (await client.post()).status == 201
            await step(clock, 4.9)
            assert (await client.post()).status == 200
            await step(clock, 5.1)
            await client.ended()
        # Nobody was refused: nobody had asked.
        assert (
            served.metrics.registry.get_sample_value("tallygate_requests_refused_total", {"code": "x"})
            is None
        )

    run_served(boxport_site, test)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("sent", [0, 20, 120, 200])
def test_a_client_that_goes_away_within_its_request(boxport_site: Site, sent: int, hard: bool) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        async with served.client() as client:
            await client.raw((HEAD + b"Content-Length: 300\r\n\r\n" + STATEMENT)[:sent])
            await step(clock, 0)
            if hard:
                client.die()
        await until(lambda: served.value("tallygate_open_connections") == 0)
        assert served.intake.received == []
        assert served.value("tallygate_faults_total") == 0
        assert served.value("tallygate_connections_total", result="cut_off") == (sent > 0)

    run_served(boxport_site, test)


def test_a_client_that_goes_away_within_its_second_request(boxport_site: Site) -> None:
    """It had sent ahead: half of the next request came with the first."""

    async def test(served: Served, clock: MockClock) -> None:
        async with served.client() as client:
            await client.raw(HEAD + b"Content-Length: 3\r\n\r\nabc" + HEAD)
            assert (await client.reply()).status == 201
        await until(lambda: served.value("tallygate_open_connections") == 0)
        assert served.value("tallygate_connections_total", result="cut_off") == 1

    run_served(boxport_site, test)


@pytest.mark.parametrize("hard", [False, True])
def test_a_client_that_goes_away_while_its_statement_is_written(boxport_site: Site, hard: bool) -> None:
    """What is in a batch is decided with it; the box comes back and gets its receipt."""

    async def test(served: Served, _: MockClock) -> None:
        served.intake.gate = trio.Event()
        async with served.client() as client:
            await client.send("POST", "/v1/statements", STATEMENT, headers=[COSE])
            await until(lambda: served.intake.waiting == 1)
            if hard:
                client.die()
        served.intake.gate.set()
        await until(lambda: served.value("tallygate_open_connections") == 0)
        assert served.value("tallygate_faults_total") == 0
        async with served.client() as client:
            reply = await client.post()
            assert (reply.status, reply.headers["tallygate-outcome"]) == (200, "duplicate")

    run_served(boxport_site, test)


def test_no_answer_in_time_is_told_to_come_again(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        served.intake.gate = trio.Event()
        async with served.client() as client:
            await client.send("POST", "/v1/statements", STATEMENT, headers=[COSE])
            await until(lambda: served.intake.waiting == 1)
            await step(clock, 10.1)
            reply = await client.reply()
            assert (reply.status, reply.code, reply.problem["retry"]) == (503, "limit.overload", "later")
            assert reply.headers["retry-after"] == "6"
            await client.ended()
        assert served.value("tallygate_inflight_uploads") == 0
        # The slowest uploads of all are what the histogram is for.
        assert served.value("tallygate_upload_duration_seconds_count") == 1
        assert served.value("tallygate_upload_duration_seconds_sum") >= 10

    run_served(boxport_site, test)
