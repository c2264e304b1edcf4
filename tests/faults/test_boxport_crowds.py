"""More clients than there is room for: strangers, one certificate's connections, its requests, open files."""

import errno
import json
import os
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest
import trio
from trio.testing import MockClock

from gateway.base.config import Limits
from tests.boxport_client import COSE, HEAD, Client, Served, Site, run_served, step, until

SMALL = Limits(connections=8)


@pytest.fixture(autouse=True)
def _no_deferred_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel keeps a silent client back for a real second; these tests want it in at once."""
    monkeypatch.setattr("gateway.boxport.port.DEFER_SECONDS", 0)


def count(served: Served, result: str) -> float:
    return served.value("tallygate_connections_total", result=result)


def is_open(served: Served) -> float:
    return served.value("tallygate_open_connections")


async def knock(served: Served, number: int) -> list[trio.socket.SocketType]:
    """So many strangers, who are in when this returns."""
    before = count(served, "accepted")
    socks = [await served.connect() for _ in range(number)]
    await until(lambda: count(served, "accepted") == before + number)
    return socks


@contextmanager
def open_files(limit: int) -> Iterator[None]:
    """While the block runs, no descriptor from `limit` on can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < limit:
        pytest.skip(f"needs {limit} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- The cap ---


def test_two_thousand_silent_strangers_beside_working_boxes(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        strangers = await knock(served, 2_000)
        assert is_open(served) == 2_000
        for number in boxport_site.boxes()[:5]:
            async with served.client(boxport_site.identity("box", number)) as client:
                assert (await client.post(bytes([number]))).status == 201
        await until(lambda: is_open(served) == 2_000)
        assert count(served, "displaced") == 0
        await step(clock, 10.1)
        await until(lambda: is_open(served) == 0)
        assert served.value("tallygate_tls_handshakes_total", result="timeout") == 2_000
        # A line for each of them would fill the disk.
        assert len(served.lines) < 100
        for sock in strangers:
            sock.close()

    with open_files(4_400):
        run_served(boxport_site, test)


def test_at_the_cap_the_oldest_stranger_goes(boxport_site: Site) -> None:
    async def test(served: Served, _: MockClock) -> None:
        strangers = await knock(served, 8)
        for gone in strangers[:3]:
            async with served.client() as client:
                assert await gone.recv(1) == b""
                assert (await client.post()).status in {200, 201}
                assert is_open(served) == 8
            await until(lambda: is_open(served) == 7)
            strangers += await knock(served, 1)
        assert (is_open(served), count(served, "displaced")) == (8, 3)
        line = next(json.loads(line) for line in served.lines if "displaced" in line)
        assert (line["event"], line["reason"], line["open"]) == ("boxport.displaced", "cap", 8)
        # Whoever made room has not failed a handshake.
        assert served.value("tallygate_tls_handshakes_total", result="timeout") == 0

    run_served(boxport_site, test, SMALL)


def test_under_pressure_a_newcomer_has_less_time(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        *strangers, newcomer = await knock(served, 9)
        await step(clock, 5.1)
        assert await newcomer.recv(1) == b""
        assert is_open(served) == 7
        await step(clock, 5)
        assert is_open(served) == 0
        for sock in strangers:
            assert await sock.recv(1) == b""

    run_served(boxport_site, test, SMALL)


def test_an_authenticated_connection_never_goes_for_a_newcomer(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(served.client(boxport_site.identity("box", number)))
                for number in boxport_site.boxes()[:8]
            ]
            newcomer = await served.connect()
            await until(lambda: count(served, "waited") == 1)
            assert (is_open(served), count(served, "accepted"), count(served, "displaced")) == (8, 8, 0)
            # Under pressure every answer is the last of its connection.
            reply = await clients[3].post()
            assert (reply.status, reply.headers["connection"]) == (201, "close")
            await clients[3].stream.aclose()
            # The newcomer was in the backlog and takes the slot.
            await until(lambda: count(served, "accepted") == 9)
            assert is_open(served) == 8
            newcomer.close()
            await until(lambda: is_open(served) == 7)
            for client in (*clients[:3], *clients[4:]):
                assert (await client.get("/v1/self")).status == 200

    run_served(boxport_site, test, SMALL)


def test_strangers_go_before_those_who_wait(boxport_site: Site) -> None:
    async def test(served: Served, _: MockClock) -> None:
        async with served.client() as first, served.client(boxport_site.identity("box", 3)) as second:
            strangers = await knock(served, 40)
            assert (is_open(served), count(served, "displaced"), count(served, "waited")) == (8, 34, 0)
            for sock in strangers[:34]:
                assert await sock.recv(1) == b""
            assert (await first.post(b"1")).status == 201
            assert (await second.post(b"2")).status == 201

    run_served(boxport_site, test, SMALL)


def test_a_stranger_that_finishes_as_it_is_displaced(boxport_site: Site) -> None:
    """Its last bytes and the newcomer arrive at once: whoever comes first, nothing breaks."""

    async def test(served: Served, clock: MockClock) -> None:
        context = boxport_site.context(boxport_site.identity())
        for _round in range(24):
            sock = await served.connect()
            received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(received, sent, server_hostname="127.0.0.1")
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            await sock.send(sent.read())
            received.write(await sock.recv(65_536))
            tls.do_handshake()
            tls.write(HEAD + b"Content-Length: 3\r\n\r\nabc")
            newcomer = socket.socket()
            newcomer.setblocking(False)
            # No checkpoint in between: the port sees both in one look at the kernel.
            assert newcomer.connect_ex((served.address.host, served.address.port)) in {0, errno.EINPROGRESS}
            os.write(sock.fileno(), sent.read())
            await step(clock, 0)
            newcomer.close()
            sock.close()
            await until(lambda: is_open(served) == 0)
        assert served.value("tallygate_faults_total") == 0
        assert "boxport.fault" not in served.events()
        assert 0 < count(served, "displaced") <= 24

    run_served(boxport_site, test, Limits(connections=1))


# --- One certificate ---


async def stand(client: Client) -> str:
    """What has become of a connection: a question is answered, or its end is announced."""
    try:
        reply = await client.get("/v1/self")
    except AssertionError:
        return "ended"
    return "open" if reply.status == 200 else str(reply.code)


def test_of_three_idle_connections_of_one_certificate_the_oldest_ends(boxport_site: Site) -> None:
    async def test(served: Served, _: MockClock) -> None:
        renewed = boxport_site.issue("renewed")
        async with (
            served.client() as first,
            served.client() as second,
            # A holder has two connections, with however many certificates.
            served.client(renewed) as third,
            served.client(boxport_site.identity("box", 3)) as other,
        ):
            await first.ended()
            for client in (second, third, other):
                assert await stand(client) == "open"
            assert is_open(served) == 3
            # Nothing shows a box that was cloned sooner.
            assert (count(served, "replaced"), count(served, "displaced")) == (1, 0)
            line = json.loads(served.lines[-1])
            assert (line["event"], line["route"]) == ("boxport.replaced", "box:1")
            assert line["peer"].startswith("127.0.0.1:")

    run_served(boxport_site, test)


def test_a_box_that_lost_its_line_twice_comes_back(boxport_site: Site) -> None:
    """Its old connections hang in the middle of a request, and its next one works at once."""

    async def test(served: Served, clock: MockClock) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(6):
                client = await stack.enter_async_context(served.client())
                await client.raw(HEAD)
                await step(clock, 0)
            async with served.client() as client:
                assert (await client.post()).status == 201
            await until(lambda: is_open(served) == 1)

    run_served(boxport_site, test)


def test_what_is_in_work_is_never_displaced(boxport_site: Site) -> None:
    """A box's upload gets its receipt, however many come under its name meanwhile."""

    async def test(served: Served, clock: MockClock) -> None:
        served.intake.gate = trio.Event()
        async with served.client() as first, served.client() as second:
            await first.send("POST", "/v1/statements", b"first", headers=[COSE])
            await until(lambda: served.intake.waiting == 1)
            async with served.client() as third:
                await second.ended()
                await third.send("POST", "/v1/statements", b"third", headers=[COSE])
                await until(lambda: served.intake.waiting == 2)
                async with served.client() as fourth:
                    reply = await fourth.post(b"fourth")
                    assert (reply.status, reply.code) == (429, "limit.device")
                    assert reply.headers["connection"] == "close"
                    assert int(reply.headers["retry-after"]) >= 1
                    await fourth.ended()
                served.intake.gate.set()
                assert (await first.reply()).status == 201
                assert (await third.reply()).status == 201
                assert [statement for statement, _, _ in served.intake.received] == [b"first", b"third"]
        await until(lambda: is_open(served) == 0)

    run_served(boxport_site, test)


def test_uploads_a_minute(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        async with served.client() as client:
            for _ in range(100):
                assert (await client.post()).status in {200, 201}
        async with served.client() as client:
            for _ in range(20):
                assert (await client.post()).status == 200
            received = len(served.intake.received)
            reply = await client.post()
            assert (reply.status, reply.code, reply.problem["retry"]) == (429, "limit.device", "later")
            assert reply.headers["retry-after"] == "4"
            assert "connection" not in reply.headers
            assert len(served.intake.received) == received
            # Half a second is one request.
            await step(clock, 0.5)
            assert (await client.post()).status == 200
            assert (await client.post()).status == 429
            async with served.client(boxport_site.identity("box", 3)) as other:
                assert (await other.post()).status == 200
            await step(clock, 3)
            for _ in range(6):
                assert (await client.post()).status == 200
            assert (await client.post()).status == 429
        assert served.value("tallygate_requests_refused_total", code="limit.device") == 3

    run_served(boxport_site, test)


def test_questions_leave_the_uploads_their_share(boxport_site: Site) -> None:
    """Whatever else is asked under a box's name, by itself or by a thief, its statements get through."""

    async def test(served: Served, _: MockClock) -> None:
        async with served.client() as client:
            for _count in range(100):
                assert (await client.get("/x")).status == 404
        async with served.client() as client:
            for _count in range(20):
                assert (await client.get("/v1/self")).status == 200
            reply = await client.get("/x")
            assert (reply.status, reply.code) == (429, "limit.device")
            assert (await client.post()).status == 201
            assert (await client.get("/v1/self")).status == 429
            assert (await client.post()).status == 200

    run_served(boxport_site, test)


def test_who_does_not_listen_has_to_come_again(boxport_site: Site) -> None:
    """Three answers in a row say "later": the third is the connection's last."""

    async def test(served: Served, _: MockClock) -> None:
        async with served.client() as client:
            for _count in range(100):
                assert (await client.get("/v1/self")).status == 200
        async with served.client() as client:
            for _count in range(20):
                assert (await client.get("/v1/self")).status == 200
            for _count in range(2):
                assert (await client.get("/v1/self")).status == 429
            # One that is heard begins a new row.
            assert (await client.post()).status == 201
            for end in (None, None, "close"):
                reply = await client.get("/v1/self")
                assert (reply.status, reply.headers.get("connection")) == (429, end)
            await client.ended()

    run_served(boxport_site, test)


def test_a_courier_has_a_larger_share(boxport_site: Site) -> None:
    async def test(served: Served, _: MockClock) -> None:
        for _count in range(3):
            async with served.client(boxport_site.identity("courier", 1)) as client:
                for _request in range(100):
                    assert (await client.get("/v1/self")).status == 200

    run_served(boxport_site, test)


# --- Open files ---


def test_without_files_newcomers_wait_and_a_stranger_goes(boxport_site: Site) -> None:
    async def test(served: Served, clock: MockClock) -> None:
        async with served.client() as box:
            socks = [trio.socket.socket() for _ in range(4)]
            lowest = os.dup(0)
            os.close(lowest)
            with open_files(lowest + 2):
                for sock in socks:
                    await sock.connect((served.address.host, served.address.port))
                # Two are in; for the third the first had to go, the fourth waits.
                await until(lambda: count(served, "no_files") == 1)
                assert await socks[0].recv(1) == b""
                assert (is_open(served), count(served, "displaced")) == (2, 1)
                assert served.events() == ["boxport.no_files", "boxport.displaced"]
                # No busy loop: nothing happens until the pause is over.
                await step(clock, 0.05)
                assert count(served, "no_files") == 1
                # Who is in works on.
                assert (await box.post()).status == 201
                await step(clock, 0.06)
                assert count(served, "no_files") == 2
                assert await socks[1].recv(1) == b""
                await step(clock, 0.11)
                assert (is_open(served), count(served, "accepted")) == (3, 5)
            for sock in socks:
                sock.close()

    run_served(boxport_site, test)
