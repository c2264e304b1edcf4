"""What the box port answers to whole requests: real TLS, real sockets, OpenSSL and h11 on the other side."""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from gateway.boxport.problems import KINDS
from gateway.ledger.protocol import LedgerFailedError, Logged, Refused, Retry
from tests.boxport_client import (
    COSE,
    HEAD,
    NOTE,
    STATEMENT,
    Client,
    FakeIntake,
    Served,
    Site,
    serving,
    step,
    until,
)

ID = hashlib.sha256(STATEMENT).hexdigest()


def run(
    site: Site, test: Callable[[Served, Client], Awaitable[None]], intake: FakeIntake | None = None
) -> None:
    """One port, one client of box 1, and a clock that stands still."""

    async def main() -> None:
        async with serving(site, intake or FakeIntake()) as served, served.client() as client:
            await test(served, client)

    trio.run(main, clock=MockClock())


def test_an_upload_gets_its_receipt_and_the_same_again_the_same_index(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        first = await client.post()
        assert first.status == 201
        assert first.headers["tallygate-outcome"] == "accepted"
        assert first.headers["tallygate-index"] == "0"
        assert first.headers["content-type"] == "text/plain; charset=utf-8"
        assert first.headers["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"
        assert "connection" not in first.headers
        assert first.body.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n")
        assert first.body.endswith(NOTE.encode())
        again = await client.post()
        assert again.status == 200
        assert again.headers["tallygate-outcome"] == "duplicate"
        assert (again.headers["tallygate-index"], again.body) == ("0", first.body)
        asked = await client.get(f"/v1/statements/{ID}")
        assert (asked.status, asked.body) == (200, first.body)
        assert asked.headers["tallygate-index"] == "0"
        assert "tallygate-outcome" not in asked.headers
        assert served.intake.received == [(STATEMENT, "box", 1)] * 2
        assert served.value("tallygate_upload_duration_seconds_count") == 2
        assert served.value("tallygate_tls_handshakes_total", result="ok") == 1
        assert served.value("tallygate_connections_total", result="accepted") == 1

    run(boxport_site, test)


def test_the_date_is_the_second_of_the_answer(boxport_site: Site) -> None:
    clock = MockClock()

    async def main() -> None:
        async with serving(boxport_site, FakeIntake()) as served, served.client() as client:
            for second in (37, 38, 39):
                assert (await client.post()).headers["date"] == f"Sun, 06 Nov 1994 08:49:{second} GMT"
                await step(clock, 1)

    trio.run(main, clock=clock)


def test_a_conflict_is_taken_and_named(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        receipt = served.intake.log(b"another packet under the same number")
        served.intake.answer = lambda _: Logged("conflict", receipt)
        reply = await client.post()
        assert (reply.status, reply.headers["tallygate-outcome"]) == (201, "conflict")

    run(boxport_site, test)


def test_the_gateways_view_of_the_certificate(boxport_site: Site) -> None:
    async def test(_: Served, client: Client) -> None:
        reply = await client.get("/v1/self")
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json"
        assert json.loads(reply.body) == {
            "role": "box",
            "id": 1,
            "device": 1,
            "area": None,
            "stations": [[101, 1_900_000_000_000]],
            "last": {"sequence": 3, "id": "ab" * 32},
            "server_time": 1_899_999_000_000,
            "election": "hill-country-2031-rehearsal",
            "mode": "rehearsal",
            "definition": "cd" * 32,
            "roster": "ef" * 32,
        }

    run(boxport_site, test)


def test_every_role_comes_in_under_its_own_name(boxport_site: Site) -> None:
    async def main() -> None:
        intake = FakeIntake()
        async with serving(boxport_site, intake) as served:
            for role, number in (("box", 3), ("terminal", 2), ("courier", 1), ("commission", 2)):
                async with served.client(boxport_site.identity(role, number)) as client:
                    await client.post()
                    assert intake.received[-1] == (STATEMENT, role, number)

    trio.run(main, clock=MockClock())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1"),
        ("GET", "/v1/self/"),
        ("GET", "/v1/self?now"),
        ("GET", "/v2/self"),
        ("GET", "/v1/statements/"),
        ("GET", "/v1/statements/12"),
        ("GET", f"/v1/statements/{ID.upper()}"),
        ("GET", f"/v1/statements/{ID}0"),
        ("GET", f"/v1/statements//{ID}"),
        ("PUT", "/v1/attachments"),
        ("PUT", "/v1/attachments/12"),
        ("PUT", f"/v1/attachments/{ID.upper()}"),
        ("PUT", f"/v1/attachments/{ID}/"),
        ("GET", "//v1/self"),
    ],
)
def test_there_is_nothing_at_other_paths(boxport_site: Site, method: str, path: str) -> None:
    async def test(served: Served, client: Client) -> None:
        await client.send(method, path)
        reply = await client.reply()
        assert (reply.status, reply.code) == (404, "request.path")
        assert reply.problem["retry"] == "fix"
        assert served.value("tallygate_requests_refused_total", code="request.path") == 1
        # A wrong path is no reason to end a connection.
        assert (await client.post()).status == 201

    run(boxport_site, test)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/statements", "POST"),
        ("PUT", "/v1/statements", "POST"),
        ("POST", "/v1/self", "GET"),
        ("POST", f"/v1/statements/{ID}", "GET"),
        ("GET", f"/v1/attachments/{ID}", "PUT"),
    ],
)
def test_other_methods(boxport_site: Site, method: str, path: str, allowed: str) -> None:
    async def test(_: Served, client: Client) -> None:
        await client.send(method, path)
        reply = await client.reply()
        assert (reply.status, reply.code, reply.headers["allow"]) == (405, "request.method", allowed)
        assert (await client.post()).status == 201

    run(boxport_site, test)


def test_methods_that_nothing_here_takes_end_the_connection(boxport_site: Site) -> None:
    async def test(_: Served, client: Client) -> None:
        await client.raw(b"DELETE /v1/self HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.code, reply.headers["allow"]) == (405, "request.method", "GET, POST, PUT")
        assert reply.headers["connection"] == "close"
        await client.ended()

    run(boxport_site, test)


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/cosey", "application/cose; cose-type=cose-mac"]
)
def test_other_media_types(boxport_site: Site, content_type: str | None) -> None:
    async def test(served: Served, client: Client) -> None:
        headers = [] if content_type is None else [("Content-Type", content_type)]
        await client.send("POST", "/v1/statements", STATEMENT, headers=headers)
        reply = await client.reply()
        assert (reply.status, reply.code) == (415, "request.media_type")
        assert served.intake.received == []

    run(boxport_site, test)


@pytest.mark.parametrize(
    "content_type",
    ["application/cose", "Application/COSE", 'application/cose; cose-type="cose-sign1"', "application/cose;"
     "cose-type=cose-sign1"],
)  # fmt: skip
def test_the_media_type_of_a_statement(boxport_site: Site, content_type: str) -> None:
    async def test(_: Served, client: Client) -> None:
        await client.send("POST", "/v1/statements", STATEMENT, headers=[("Content-Type", content_type)])
        assert (await client.reply()).status == 201

    run(boxport_site, test)


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384])
def test_bodies_of_every_size_reach_the_intake_whole(boxport_site: Site, size: int) -> None:
    async def test(served: Served, client: Client) -> None:
        body = bytes(range(256)) * 64
        assert (await client.post(body[:size])).status == 201
        assert served.intake.received[0][0] == body[:size]

    run(boxport_site, test)


@pytest.mark.parametrize("size", [16_385, 100_000, 700_000])
def test_a_body_that_is_too_large_is_refused_by_its_length(boxport_site: Site, size: int) -> None:
    """The answer arrives although the port has not read what the client is still sending."""

    async def test(served: Served, client: Client) -> None:
        reply = await client.post(bytes(size))
        assert (reply.status, reply.code) == (413, "request.too_large")
        assert reply.problem["retry"] == "never"
        assert reply.headers["connection"] == "close"
        assert served.intake.received == []
        await client.ended()

    run(boxport_site, test)


def test_a_client_may_wait_to_be_told_to_go_on(boxport_site: Site) -> None:
    async def test(_: Served, client: Client) -> None:
        head = (
            b"POST /v1/statements HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/cose\r\n"
            b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        await client.raw(head)
        assert await client.stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.raw(b"abc")
        assert (await client.reply()).status == 201

    run(boxport_site, test)


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (HEAD + b"\r\n", 411, "request.length_required"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 411, "request.length_required"),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "request.malformed"),
        (HEAD + b"Content-Length: +3\r\n\r\nabc", 400, "request.malformed"),
        (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400, "request.malformed"),
        (HEAD + b" folded\r\nContent-Length: 3\r\n\r\nabc", 400, "request.malformed"),
        (HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 3\n\nabc", 400, "request.malformed"),
        (HEAD + b"X: a\x00b\r\nContent-Length: 3\r\n\r\nabc", 400, "request.malformed"),
        (b"GET /v1/self HTTP/1.0\r\nHost: a\r\n\r\n", 400, "request.malformed"),
        (b"GET /v1/self HTTP/1.1\r\n\r\n", 400, "request.malformed"),
        (b"GET /v1/self HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9_000 + b"\r\n\r\n", 413, "request.too_large"),
        (b"\x16\x03\x01" * 5 + b"\r\n\r\n", 400, "request.malformed"),
    ],
)
def test_what_is_not_http_as_this_port_takes_it(
    boxport_site: Site, request_bytes: bytes, status: int, code: str
) -> None:
    async def test(served: Served, client: Client) -> None:
        await client.raw(request_bytes)
        reply = await client.reply()
        assert (reply.status, reply.code) == (status, code)
        assert reply.problem["retry"] == "fix"
        assert reply.headers["connection"] == "close"
        await client.ended()
        assert served.intake.received == []

    run(boxport_site, test)


def test_a_length_that_is_too_small_makes_the_rest_another_request(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        await client.raw(HEAD + b"Content-Length: 3\r\n\r\nabcdef\r\n\r\n")
        first = await client.reply()
        assert first.status == 201
        rest = await client.stream.receive_some()
        assert rest.startswith(b"HTTP/1.1 400 ")
        assert served.intake.received == [(b"abc", "box", 1)]

    run(boxport_site, test)


@pytest.mark.parametrize("retry", ["never", "later", "fix"])
@pytest.mark.parametrize("code", sorted(KINDS))
def test_refusals_of_the_intake_arrive_as_they_are(boxport_site: Site, code: str, retry: Retry) -> None:
    async def test(served: Served, client: Client) -> None:
        served.intake.answer = lambda _: Refused(code, "a sentence with “quotes” and \x01", retry)
        reply = await client.post()
        assert reply.status == KINDS[code].status
        assert reply.problem["code"] == code
        assert reply.problem["title"] == KINDS[code].title
        assert reply.problem["detail"] == "a sentence with “quotes” and \x01"
        assert reply.problem["retry"] == retry
        waits = {"limit.device": 330, "limit.overload": 6, "limit.storage": 60, "log.not_open": 18,
                 "statement.too_early": 6}  # fmt: skip
        expected = str(waits[code]) if code in waits and retry == "later" else None
        assert reply.headers.get("retry-after") == expected
        assert "connection" not in reply.headers
        # The intake counts what it refuses.
        assert f'tallygate_requests_refused_total{{code="{code}"}}' not in str(served.metrics.registry)

    run(boxport_site, test)


def test_too_early_says_when(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        served.intake.answer = lambda _: Refused("statement.too_early", "the polls are open", "later", 90_000)
        reply = await client.post()
        # 90 s of the election's clock, the least wait and half the spread.
        assert (reply.status, reply.headers["retry-after"]) == (425, "96")

    run(boxport_site, test)


def test_what_is_not_in_the_log(boxport_site: Site) -> None:
    async def test(_: Served, client: Client) -> None:
        reply = await client.get(f"/v1/statements/{'0' * 64}")
        assert (reply.status, reply.code, reply.problem["retry"]) == (404, "statement.not_logged", "later")

    run(boxport_site, test)


def test_without_room_on_the_disk_only_what_is_known_is_answered(boxport_site: Site) -> None:
    async def main() -> None:
        room = True
        intake = FakeIntake()
        async with serving(boxport_site, intake, disk_ok=lambda: room) as served, served.client() as client:
            known = await client.post()
            room = False
            refused = await client.post(b"new")
            assert (refused.status, refused.code) == (507, "limit.storage")
            assert refused.headers["retry-after"] == "60"
            again = await client.post()
            assert (again.status, again.body) == (200, known.body)
            assert again.headers["tallygate-outcome"] == "duplicate"
            assert (await client.get(f"/v1/statements/{ID}")).status == 200
            assert [statement for statement, _, _ in intake.received] == [STATEMENT]
            room = True
            assert (await client.post(b"new")).status == 201

    trio.run(main, clock=MockClock())


def test_a_fault_of_a_handler_is_answered_logged_and_counted(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        def broken(_: bytes) -> Refused:
            raise ZeroDivisionError("a bug")

        served.intake.answer = broken
        reply = await client.post()
        assert (reply.status, reply.code, reply.problem["retry"]) == (500, "server.fault", "later")
        assert "a bug" not in reply.body.decode()
        assert reply.headers["connection"] == "close"
        await client.ended()
        assert served.value("tallygate_faults_total") == 1
        fault = next(json.loads(line) for line in served.lines if "boxport.fault" in line)
        assert (fault["error"], fault["words"]) == ("ZeroDivisionError", "a bug")
        served.intake.answer = None
        async with served.client() as another:
            assert (await another.post()).status == 201

    run(boxport_site, test)


def test_a_code_that_does_not_exist_is_a_fault(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        served.intake.answer = lambda _: Refused("statement.odd", "a sentence", "fix")
        reply = await client.post()
        assert (reply.status, reply.code) == (500, "server.fault")
        assert "boxport.fault" in served.events()

    run(boxport_site, test)


def test_a_panic_of_the_core_does_not_end_the_port(boxport_site: Site) -> None:
    class PanicError(BaseException):
        """Like pyo3's PanicException, which is no Exception."""

    async def test(served: Served, client: Client) -> None:
        def panicking(_: bytes) -> Refused:
            raise PanicError("index out of bounds")

        served.intake.answer = panicking
        assert (await client.post()).status == 500
        served.intake.answer = None
        async with served.client() as another:
            assert (await another.post()).status == 201

    run(boxport_site, test)


def test_a_client_may_send_ahead_and_is_answered_in_order(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        served.intake.gate = trio.Event()
        one = HEAD + b"Content-Length: 3\r\n\r\n"
        await client.raw(one + b"abc" + one + b"def" + b"GET /v1/self HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: served.intake.waiting == 1)
        assert served.value("tallygate_inflight_uploads") == 1
        served.intake.gate.set()
        data = b""
        while data.count(b"HTTP/1.1 ") < 3:
            data += await client.stream.receive_some()
        answers = re.findall(rb"HTTP/1.1 (\d+)|Tallygate-Index: (\d+)", data)
        assert answers == [(b"201", b""), (b"", b"0"), (b"201", b""), (b"", b"1"), (b"200", b"")]
        assert [statement for statement, _, _ in served.intake.received] == [b"abc", b"def"]
        assert served.value("tallygate_inflight_uploads") == 0

    run(boxport_site, test)


def test_the_hundredth_answer_is_the_last(boxport_site: Site) -> None:
    async def test(_: Served, client: Client) -> None:
        for _count in range(99):
            assert "connection" not in (await client.get("/v1/self")).headers
        assert (await client.get("/v1/self")).headers["connection"] == "close"
        await client.ended()

    run(boxport_site, test)


def test_a_client_may_end_the_connection_with_its_request(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        reply = await client.post(STATEMENT, ("Connection", "close"))
        assert (reply.status, reply.headers["connection"]) == (201, "close")
        await client.ended()
        await until(lambda: served.value("tallygate_open_connections") == 0)

    run(boxport_site, test)


def test_a_client_that_says_goodbye_is_let_go(boxport_site: Site) -> None:
    async def main() -> None:
        async with serving(boxport_site, FakeIntake()) as served:
            async with served.client() as client:
                await client.post()
                await client.stream.unwrap()
            await until(lambda: served.value("tallygate_open_connections") == 0)

    trio.run(main, clock=MockClock())


def test_a_client_that_sends_no_more_still_gets_its_answer(boxport_site: Site) -> None:
    """close_notify and FIN right behind the request: half of the connection is closed, the other is not."""

    async def test(served: Served, client: Client) -> None:
        served.intake.gate = trio.Event()
        await client.send("POST", "/v1/statements", STATEMENT, headers=[COSE])
        await client.stream.transport_stream.send_eof()
        await until(lambda: served.intake.waiting == 1)
        served.intake.gate.set()
        assert (await client.reply()).status == 201

    run(boxport_site, test)


def test_when_the_ledger_has_failed_everybody_is_told_to_come_again(boxport_site: Site) -> None:
    async def main() -> None:
        intake = FakeIntake()
        intake.gate = trio.Event()
        failing = LedgerFailedError("the disk is gone")
        replies: list[tuple[int, object]] = []

        def fail(_: bytes) -> Refused:
            raise failing

        intake.answer = fail

        async def upload(served: Served, number: int) -> None:
            async with served.client(boxport_site.identity("box", number)) as client:
                reply = await client.post(bytes([number]))
                replies.append((reply.status, reply.problem["retry"]))

        async with serving(boxport_site, intake) as served:
            async with trio.open_nursery() as clients:
                # The first is told by its handler, the others by the end of the port.
                for number in boxport_site.boxes()[:3]:
                    clients.start_soon(upload, served, number)
                await until(lambda: intake.waiting == 3)
                intake.gate.set()
            assert replies == [(503, "later")] * 3
            await served.stopped.wait()
            assert served.failures == [failing]

    trio.run(main, clock=MockClock())
