"""Ends: of a connection whose client takes nothing in, of a listener that breaks, and of the port itself."""

import errno
import json
import socket
from typing import NoReturn

import pytest
import trio
from trio.testing import MockClock

from gateway.base.config import Endpoint, Limits
from gateway.base.errors import TallygateError
from gateway.boxport import bound_address, open_listeners
from gateway.boxport.connection import Connection
from tests.boxport_client import (
    COSE,
    HEAD,
    STATEMENT,
    FakeIntake,
    Served,
    Site,
    run_served,
    serving,
    step,
    until,
)

GET = b"GET /v1/statements/" + b"0" * 64 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_deferred_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel keeps a silent client back for a real second; these tests want it in at once."""
    monkeypatch.setattr("gateway.boxport.port.DEFER_SECONDS", 0)


def is_open(served: Served) -> float:
    return served.value("tallygate_open_connections")


def answered(served: Served) -> float:
    value = served.metrics.registry.get_sample_value(
        "tallygate_requests_refused_total", {"code": "statement.not_logged"}
    )
    return value or 0


async def drained(sock: trio.socket.SocketType) -> None:
    """Reads to the orderly end."""
    while await sock.recv(65_536):
        pass


# --- Clients that take nothing in ---


def test_a_client_that_never_reads(boxport_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks a hundred questions and reads no answer: it costs one connection for as long as one request."""
    monkeypatch.setattr("gateway.boxport.port.SOCKET_BUFFER", 4_096)

    async def test(served: Served, clock: MockClock) -> None:
        async with served.client(receive=2_048) as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.raw, GET * 100)
            await until(lambda: answered(served) > 0)
            await step(clock, 0)
            stuck = answered(served)
            assert 0 < stuck < 100
            await step(clock, 9.9)
            assert (is_open(served), answered(served)) == (1, stuck)
            # Others are served as if it were not there.
            async with served.client(boxport_site.identity("box", 3)) as other:
                assert (await other.post()).status == 201
            await step(clock, 0.2)
            await until(lambda: is_open(served) == 0)
            nursery.cancel_scope.cancel()

    run_served(boxport_site, test)


def test_what_a_client_has_not_taken_in_is_dropped(
    boxport_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel keeps nothing for a client that was given up: the end is a reset."""
    monkeypatch.setattr("gateway.boxport.port.SOCKET_BUFFER", 4_096)

    async def test(served: Served, clock: MockClock) -> None:
        served.intake.stations = ((1, 1),) * 10_000
        async with served.client(receive=2_048) as client:
            await client.send("GET", "/v1/self")
            await step(clock, 10.1)
            assert is_open(served) == 0
            with pytest.raises(ConnectionResetError):
                await drained(served.socks[0])

    run_served(boxport_site, test)


def test_a_client_that_reads_late_gets_every_answer(
    boxport_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers wait for room in the kernel, in parts, and arrive whole."""
    monkeypatch.setattr("gateway.boxport.port.SOCKET_BUFFER", 4_096)

    async def test(served: Served, clock: MockClock) -> None:
        async with served.client(receive=2_048) as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.raw, GET * 100)
            await until(lambda: answered(served) > 0)
            await step(clock, 5)
            data = bytearray()
            while part := await client.stream.receive_some():
                data += part
            assert data.count(b"HTTP/1.1 404 Not Found\r\n") == 100
            assert data.count(b"Connection: close\r\n") == 1
            assert data.endswith(b'"retry":"later"}')

    run_served(boxport_site, test)


def test_an_answer_that_goes_out_in_parts_is_whole(
    boxport_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.boxport.port.SOCKET_BUFFER", 4_096)

    async def test(served: Served, clock: MockClock) -> None:
        served.intake.stations = tuple((number, 1_900_000_000_000 + number) for number in range(1, 10_001))
        async with served.client(receive=2_048) as client:
            await client.send("GET", "/v1/self")
            await step(clock, 5)
            stations = json.loads((await client.reply()).body)["stations"]
            assert stations == [list(pair) for pair in served.intake.stations]

    run_served(boxport_site, test)


def test_a_client_that_sends_for_ever_is_not_listened_to_for_ever(boxport_site: Site) -> None:
    """After a refusal the port throws away what comes, for two seconds and a mebibyte."""

    async def test(served: Served, clock: MockClock) -> None:
        async with served.client() as client:
            await client.raw(HEAD + b"Content-Length: 9007199254740991\r\n\r\n")
            assert (await client.reply()).status == 413
            with pytest.raises(trio.BrokenResourceError):
                await client.raw(bytes(64 * 1_048_576))
        assert is_open(served) == 0
        async with served.client() as client:
            await client.raw(HEAD + b"Content-Length: 20000\r\n\r\n")
            assert (await client.reply()).status == 413
            await step(clock, 1.9)
            assert is_open(served) == 1
            await step(clock, 0.2)
            assert is_open(served) == 0

    run_served(boxport_site, test)


@pytest.mark.parametrize("more", ["close_notify", "another request"])
def test_an_answer_that_the_client_did_not_wait_for_silently(boxport_site: Site, more: str) -> None:
    """Behind `Connection: close` it has said more: unread, that would turn the answer into a reset."""

    async def test(served: Served, clock: MockClock) -> None:
        served.intake.gate = trio.Event()
        async with served.client() as client:
            await client.raw(HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello")
            await until(lambda: served.intake.waiting == 1)
            if more == "close_notify":
                await client.say_goodbye()
            else:
                await client.raw(GET)
            await step(clock, 0)
            served.intake.gate.set()
            await until(lambda: served.value("tallygate_upload_duration_seconds_count") == 1)
            await step(clock, 2.1)
            await drained(served.socks[0])
        assert is_open(served) == 0

    run_served(boxport_site, test)


# --- Faults of the program and of listeners ---


def test_a_fault_of_the_connections_own_code(boxport_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> NoReturn:
        raise ZeroDivisionError("a bug")

    async def test(served: Served, _: MockClock) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Connection, "_introduce", broken)
            async with served.client() as client:
                with pytest.raises(trio.BrokenResourceError):
                    await client.stream.receive_some()
        assert served.value("tallygate_connections_total", result="fault") == 1
        assert served.value("tallygate_faults_total") == 1
        assert served.events() == ["boxport.fault"]
        assert is_open(served) == 0
        async with served.client() as client:
            assert (await client.post()).status == 201

    run_served(boxport_site, test)


class Panic(BaseException):
    """As of the core: no Exception."""


@pytest.mark.parametrize("fault", [MemoryError, Panic])
def test_a_fault_while_a_connection_is_made(
    boxport_site: Site, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    """It costs this connection, and no other and no file."""

    def broken(*_: object, **__: object) -> NoReturn:
        raise fault("one connection")

    async def test(served: Served, _: MockClock) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Connection, "__init__", broken)
            sock = await served.connect()
            assert await sock.recv(1) == b""
        assert served.value("tallygate_connections_total", result="accepted") == 1
        assert served.value("tallygate_connections_total", result="fault") == 1
        assert served.value("tallygate_faults_total") == 1
        line = json.loads(served.lines[-1])
        assert (line["event"], line["error"]) == ("boxport.fault", fault.__name__)
        assert line["peer"].startswith("127.0.0.1:")
        assert is_open(served) == 0
        async with served.client() as client:
            assert (await client.post()).status == 201

    run_served(boxport_site, test)


@pytest.mark.parametrize("error", [errno.ECONNABORTED, errno.ENETUNREACH])
def test_newcomers_that_went_away_are_passed_over(
    boxport_site: Site, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    accept = socket.socket.accept
    errors = [error] * 3

    def flaky(listener: socket.socket) -> tuple[socket.socket, object]:
        if errors:
            raise OSError(errors.pop(), "injected")
        return accept(listener)

    async def test(served: Served, _: MockClock) -> None:
        monkeypatch.setattr(socket.socket, "accept", flaky)
        async with served.client() as client:
            assert (await client.post()).status == 201
        assert errors == []

    run_served(boxport_site, test)


def test_a_listener_that_breaks_ends_the_port(boxport_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be a gateway that looks alive and takes nobody in: whoever supervises it starts another."""

    def broken(_: socket.socket) -> NoReturn:
        raise OSError(errno.EINVAL, "injected")

    async def test(served: Served, _: MockClock) -> None:
        monkeypatch.setattr(socket.socket, "accept", broken)
        await served.connect()
        await served.stopped.wait()

    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="injected"), flatten_subgroups=True):
        run_served(boxport_site, test)


def test_an_address_that_is_taken(boxport_site: Site) -> None:
    async def test(served: Served, _: MockClock) -> None:
        free = Endpoint("127.0.0.1", 0)
        with pytest.raises(TallygateError, match=r"cannot listen here .*\[boxport.bind\]") as caught:
            # The first one is open by then, and is closed again: a warning would fail this test.
            await open_listeners([free, served.address], Limits())
        assert caught.value.place == str(served.address)
        with pytest.raises(TallygateError, match=r"\[boxport.bind\]"):
            # Of nobody (RFC 5737).
            await open_listeners([Endpoint("192.0.2.1", 0)], Limits())

    run_served(boxport_site, test)


def test_every_address_is_listened_on() -> None:
    async def main() -> None:
        listeners = await open_listeners([Endpoint("127.0.0.1", 0), Endpoint("::1", 0)], Limits())
        addresses = [bound_address(listener) for listener in listeners]
        assert addresses[0].startswith("127.0.0.1:")
        assert addresses[1].startswith("[::1]:")
        for listener in listeners:
            assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            listener.close()

    trio.run(main)


def test_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default listens on 0.0.0.0 and [::]; without IPv6 the first is enough, [::1] alone is not."""

    class Without(socket.socket):
        def __init__(self, family: int, kind: int, protocol: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "injected")
            super().__init__(family, kind, protocol)

    async def main() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(socket, "socket", Without)
            for host in ("::", "::1"):
                with pytest.raises(TallygateError, match=r"\[boxport.bind\]"):
                    await open_listeners([Endpoint(host, 0)], Limits())
            endpoints = [Endpoint("127.0.0.1", 0), Endpoint("::", 0)]
            listeners = await open_listeners(endpoints, Limits())
            assert [bound_address(listener).rpartition(":")[0] for listener in listeners] == ["127.0.0.1"]
            listeners[0].close()

    trio.run(main)


# --- The end of the port ---


def test_a_stop_ends_the_idle_and_answers_what_is_in_work(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        served.intake.gate = trio.Event()
        stranger = await served.connect()
        async with (
            served.client(boxport_site.identity("box", 3)) as idle,
            served.client(boxport_site.identity("box", 5)) as reading,
            served.client() as working,
        ):
            await reading.raw(HEAD + b"Content-Length: 3\r\n\r\na")
            await working.send("POST", "/v1/statements", STATEMENT, headers=[COSE])
            await until(lambda: served.intake.waiting == 1 and is_open(served) == 4)
            await step(clock, 0)
            served.port.stop()
            served.port.stop()
            assert await stranger.recv(1) == b""
            await idle.ended()
            with pytest.raises(ConnectionRefusedError):
                await served.connect()
            await step(clock, 5)
            await reading.raw(b"bc")
            await until(lambda: served.intake.waiting == 2)
            served.intake.gate.set()
            for client in (working, reading):
                reply = await client.reply()
                assert (reply.status, reply.headers["connection"]) == (201, "close")
                await client.stream.aclose()
            await served.stopped.wait()
        assert served.failures == []
        assert served.value("tallygate_tls_handshakes_total", result="timeout") == 0

    run_served(boxport_site, test)


def test_a_stop_waits_ten_seconds_and_no_longer(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        served.intake.gate = trio.Event()
        async with served.client(boxport_site.identity("box", 3)) as reading, served.client() as working:
            await reading.raw(HEAD)
            await working.send("POST", "/v1/statements", STATEMENT, headers=[COSE])
            await until(lambda: served.intake.waiting == 1)
            served.port.stop()
            await step(clock, 9.9)
            assert not served.stopped.is_set()
            await step(clock, 0.2)
            assert served.stopped.is_set()
            reply = await working.reply()
            assert (reply.status, reply.code, reply.problem["retry"]) == (503, "limit.overload", "later")
            await reading.ended()

    run_served(boxport_site, test, Limits(request_seconds=60))


def test_a_port_that_is_stopped_before_it_serves_serves_nobody(boxport_site: Site) -> None:
    async def main() -> None:
        async with serving(boxport_site, FakeIntake()) as served:
            served.port.stop()
            await served.stopped.wait()
            with pytest.raises(ConnectionRefusedError):
                await served.connect()

    trio.run(main, clock=MockClock())


def test_whoever_waits_when_the_port_is_cancelled_is_told(boxport_site: Site) -> None:
    async def main() -> None:
        intake = FakeIntake()
        intake.gate = trio.Event()
        async with (
            trio.open_nursery() as nursery,
            serving(boxport_site, intake) as served,
            served.client() as client,
        ):
            await client.send("POST", "/v1/statements", STATEMENT, headers=[COSE])
            await until(lambda: intake.waiting == 1)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                reply = await client.reply()
                assert (reply.status, reply.problem["retry"]) == (503, "later")

    trio.run(main, clock=MockClock())
