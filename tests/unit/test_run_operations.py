"""The operations listener with real sockets: answers, refusals, bounds; time is a mock clock's."""

import contextlib
import json
import socket
import subprocess
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry, Gauge

from gateway.base.config import Endpoint
from gateway.base.errors import TallygateError
from gateway.base.logs import Log
from gateway.base.metrics import IngestMetrics
from gateway.run.operations import (
    CONNECTION_SECONDS,
    MAX_CONNECTIONS,
    MAX_HEAD,
    Health,
    Operations,
    State,
    bound_endpoint,
    open_operations,
)
from tests.peers import require_program

LOOPBACK = Endpoint("127.0.0.1", 0)


class Listening:
    """An operations listener in one Trio run."""

    def __init__(self, registry: CollectorRegistry, clock: trio.testing.MockClock) -> None:
        self.health = Health()
        self.lines: list[str] = []
        self.operations = Operations(registry, self.health, Log("ingest", self.lines.append, lambda: 0))
        self.clock = clock
        self.endpoint = LOOPBACK

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(self.endpoint.host, self.endpoint.port)

    async def ask(self, request: bytes) -> bytes:
        """Everything that is answered."""
        stream = await self.connect()
        async with stream:
            await stream.send_all(request)
            return await read_all(stream)

    async def get(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        answer = await self.ask(f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return int(status.split()[1]), headers, body


async def read_all(stream: trio.SocketStream) -> bytes:
    parts = []
    with contextlib.suppress(trio.BrokenResourceError):
        async for part in stream:
            parts.append(part)
    return b"".join(parts)


def run(test: Callable[[Listening], Awaitable[None]], registry: CollectorRegistry | None = None) -> list[str]:
    """Runs a test; what was logged."""
    clock = trio.testing.MockClock()
    listening = Listening(registry or IngestMetrics("1", process=False).registry, clock)

    async def main() -> None:
        listeners = await open_operations(LOOPBACK)
        listening.endpoint = bound_endpoint(listeners[0])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listening.operations.serve, listeners)
            await test(listening)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
    return listening.lines


@pytest.mark.parametrize(
    ("state", "live", "ready", "startup"),
    [("starting", 200, 503, 503), ("ready", 200, 200, 200), ("stopping", 200, 503, 200),
     ("failed", 200, 503, 200)],
)  # fmt: skip
def test_health_in_every_state(state: State, live: int, ready: int, startup: int) -> None:
    async def test(listening: Listening) -> None:
        listening.health.state = state
        for path, status in (("/livez", live), ("/readyz", ready), ("/startupz?verbose", startup)):
            found, headers, body = await listening.get(path)
            assert found == status
            assert headers["connection"] == "close"
            assert body == (b"ok\n" if path == "/livez" else f"{state}\n".encode())

    run(test)


def test_what_a_role_tells_besides_is_json_one_question_at_a_time() -> None:
    asked: list[str] = []

    async def tell(target: str) -> bytes | None:
        asked.append(target)
        return b'{"station":7}' if target == "/stations/7" else None

    async def test(listening: Listening) -> None:
        assert (await listening.get("/stations/7"))[0] == 404
        listening.health.tell = tell
        status, headers, body = await listening.get("/stations/7")
        assert (status, headers["content-type"], body) == (200, "application/json", b'{"station":7}')
        assert (await listening.get("/stations/8"))[0] == 404
        assert (await listening.get("/livez"))[0] == 200

    run(test)
    assert asked == ["/stations/7", "/stations/8"]


def test_metrics_are_prometheus_text_and_head_has_no_body() -> None:
    async def test(listening: Listening) -> None:
        status, headers, body = await listening.get("/metrics")
        assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert b'tallygate_build_info{version="1"} 1.0\n' in body
        status, headers, nothing = await listening.get("/metrics", "HEAD")
        assert (status, nothing) == (200, b"")
        assert int(headers["content-length"]) >= len(body) - 100

    run(test)


def test_promtool_has_nothing_to_say_about_our_metrics() -> None:
    promtool = require_program("promtool")
    found: list[bytes] = []

    async def test(listening: Listening) -> None:
        found.append((await listening.get("/metrics"))[2])

    run(test, IngestMetrics("1.2.3").registry)
    checked = subprocess.run([promtool, "check", "metrics"], input=found[0], capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET http://a/metrics HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"DELETE /livez HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
        (b"GET /" + b"a" * MAX_HEAD, 431),
    ],
)
def test_other_requests(request_: bytes, status: int) -> None:
    async def test(listening: Listening) -> None:
        answer = await listening.ask(request_)
        assert answer.split(b" ", 2)[1] == str(status).encode()

    assert run(test) == []


def test_who_leaves_is_forgotten_and_who_says_nothing_is_sent_away() -> None:
    async def test(listening: Listening) -> None:
        await (await listening.connect()).aclose()
        async with await listening.connect() as half:
            await half.send_all(b"GET /livez HT")
            await half.send_eof()
            assert (await read_all(half)).startswith(b"HTTP/1.1 400 ")
        async with await listening.connect() as silent:
            await trio.testing.wait_all_tasks_blocked(0.01)
            listening.clock.jump(CONNECTION_SECONDS)
            assert await read_all(silent) == b""

    assert run(test) == []


def test_strangers_cannot_take_all_its_memory() -> None:
    async def test(listening: Listening) -> None:
        async with contextlib.AsyncExitStack() as crowd:
            for _ in range(MAX_CONNECTIONS):
                await crowd.enter_async_context(await listening.connect())
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert await listening.ask(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n") == b""
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await listening.get("/livez"))[0] == 200

    run(test)


def test_a_fault_while_collecting_is_logged_and_ends_one_connection() -> None:
    registry = CollectorRegistry()

    def broken() -> float:
        raise RuntimeError("a callback is broken")

    Gauge("broken", "A gauge.", registry=registry).set_function(broken)

    async def test(listening: Listening) -> None:
        assert await listening.ask(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n") == b""
        assert (await listening.get("/livez"))[0] == 200

    [line] = run(test, registry)
    assert json.loads(line)["event"] == "operations.fault"


def test_an_address_that_is_taken_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = Endpoint("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(TallygateError) as caught:
            trio.run(open_operations, endpoint)
    assert (caught.value.code, caught.value.place) == ("operations.bind", str(endpoint))


def test_two_scrapes_at_once_are_both_answered() -> None:
    async def test(listening: Listening) -> None:
        found: list[int] = []

        async def scrape() -> None:
            found.append((await listening.get("/metrics"))[0])

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(scrape)
        assert found == [200] * 5

    run(test)
