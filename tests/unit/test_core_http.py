"""HTTP of the box port through its TLS, with OpenSSL's client in memory: framing, back-pressure, ends.

What a head may look like is tested in the core (rust_core/core/src/http/tests.rs); here is what a caller of
the binding meets.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import _core
from gateway.base.errors import CoreError
from tests.unit.tls_helpers import MAX_BODY, Client, Door

GET = b"GET /v1/self HTTP/1.1\r\nHost: a\r\n\r\n"
PART = 65_536
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


def post(body: bytes, *more: bytes, length: int | None = None) -> bytes:
    lines = [b"POST /v1/statements HTTP/1.1", b"Host: a", *more]
    lines.append(b"Content-Length: %d" % (len(body) if length is None else length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CHUNKED = post(b"x").replace(b"Content-Length: 1", b"Transfer-Encoding: chunked")


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest.fixture
def client(door: Door, tmp_path: Path) -> Client:
    client = Client(door.config(), tmp_path, door.client())
    assert client.handshake() == "more"
    return client


def fails(client: Client) -> CoreError:
    with pytest.raises(CoreError) as caught:
        client.connection.request()
    return caught.value


def respond(client: Client, *, close: bool = False) -> bytes:
    return client.hear(client.connection.respond(OK, b"ok", close))


def is_closed(client: Client) -> bool:
    """Whether the client has read our close_notify."""
    try:
        return client.tls.read() == b""
    except ssl.SSLWantReadError:
        return False


def test_a_request_and_its_answer(client: Client) -> None:
    assert client.send(post(b"hello", b"Content-Type: application/cose; a=b")) == "request"
    request = client.connection.request()
    assert (request.method, request.path, request.content_length) == ("POST", "/v1/statements", 5)
    assert (request.content_type, request.body, request.keep_alive) == (
        "application/cose; a=b",
        b"hello",
        True,
    )
    assert repr(request) == "<Request POST /v1/statements>"
    assert respond(client) == OK + b"ok"
    assert not is_closed(client)
    assert client.more() == "more"
    assert client.send(GET[:-2] + b"Connection: close\r\n\r\n") == "request"
    request = client.connection.request()
    assert (request.method, request.path, request.content_length) == ("GET", "/v1/self", None)
    assert (request.content_type, request.body, request.keep_alive) == (None, b"", False)
    assert respond(client, close=True) == OK + b"ok"
    assert is_closed(client)
    assert client.connection.feed(b"anything") == ("closed", b"")
    assert client.connection.respond(OK, b"", True) == b""
    assert client.connection.close() == b""


def test_a_request_behind_the_handshake_is_there_at_once(door: Door, tmp_path: Path) -> None:
    """Who sends its request with the end of its handshake is served in one round trip less."""
    client = Client(door.config(), tmp_path, door.client())
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.flush()
    client.tls.do_handshake()
    assert client.send(post(b"hello")) == "request"
    assert client.connection.peer is not None
    assert client.connection.request().body == b"hello"


def test_the_next_request_waits_for_its_turn(client: Client) -> None:
    bodies = [bytes([number]) * 700 for number in range(20)]
    assert client.send(b"".join(post(body) for body in bodies) + GET[:9]) == "request"
    for body in bodies:
        # While one waits nothing is fed, not even nothing.
        for data in (b"", b"x"):
            with pytest.raises(CoreError, match=r"argument\.range"):
                client.connection.feed(data)
        assert client.connection.request().body == body
        with pytest.raises(CoreError, match=r"argument\.range"):
            client.connection.request()
        with pytest.raises(CoreError, match=r"argument\.range"):
            client.connection.feed(b"")
        assert respond(client) == OK + b"ok"
        state = client.more()
        assert state == ("more" if body is bodies[-1] else "request")
    assert client.send(GET[9:]) == "request"


@pytest.mark.parametrize(
    ("sent", "code", "offset"),
    [
        (b"\x16\x03\x01", "request.malformed", 0),
        (b"GET / HTTP/1.1\n", "request.malformed", 14),
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "request.malformed", 4),
        (b"GET / HTTP/1.1\r\n\r\n", "request.malformed", None),
        (GET[:-2] + b"Content-Length: 1\r\n\r\nx", "request.malformed", 32),
        (post(b"x", b"Transfer-Encoding: chunked"), "request.malformed", 39),
        (CHUNKED, "request.length_required", 39),
        (post(b"x").replace(b"Content-Length: 1\r\n", b""), "request.length_required", None),
        (post(b"x", length=2**63), "request.malformed", 39),
        (post(b"x", b"Expect: the best"), "request.malformed", 39),
        (post(b"x", b"X: " + b"x" * 8_192), "request.too_large", 8_192),
        (post(b"x", *[b"X: x"] * 31), "request.too_large", None),
        (GET.replace(b"GET", b"DELETE"), "request.method", 0),
        (GET.replace(b"GET", b"HEAD"), "request.method", 0),
    ],
)  # fmt: skip
def test_what_http_refuses_ends_the_connection(
    client: Client, sent: bytes, code: str, offset: int | None
) -> None:
    assert client.send(sent + GET) == "request"
    error = fails(client)
    assert (error.code, error.offset) == (code, offset)
    # Even if it is not asked to: what follows might be part of the same request.
    assert respond(client, close=False) == OK + b"ok"
    assert is_closed(client)
    assert client.connection.feed(b"") == ("closed", b"")


# --- Bodies ---


def test_a_client_that_waits_is_told_to_go_on(client: Client) -> None:
    request = post(b"hello", b"Expect: 100-continue")
    assert client.send(request[:-5]) == "more"
    assert client.tls.read() == CONTINUE
    assert client.send(b"he") == "more"
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.read()
    assert client.send(b"llo") == "request"
    assert client.connection.request().body == b"hello"


def test_the_longest_short_body(client: Client) -> None:
    body = bytes(range(256)) * (MAX_BODY // 256)
    assert client.send(post(body)) == "request"
    assert client.connection.request().body == body
    respond(client)
    assert client.more() == "more"
    assert client.send(post(body + b"x")) == "request"
    request = client.connection.request()
    assert (request.body, request.content_length) == (None, MAX_BODY + 1)


def parts(client: Client, state: str) -> Iterator[tuple[bytes, bool]]:
    """The parts that have arrived."""
    while state == "body":
        part, last = client.connection.body()
        yield part, last
        state = "last" if last else client.more()


@pytest.mark.parametrize("expects", [b"X: x", b"Expect: 100-continue"])
@pytest.mark.parametrize("with_head", [0, 1, 1_000, 200_000])
def test_a_long_body_comes_in_parts(client: Client, expects: bytes, with_head: int) -> None:
    body = bytes(range(251)) * 800
    request = post(body, expects)
    head = len(request) - len(body)
    assert client.send(request[: head + with_head]) == "request"
    assert client.connection.request().body is None
    with pytest.raises(CoreError, match=r"argument\.range"):
        client.connection.body()
    waits = b"Expect" in expects and with_head == 0
    assert client.hear(client.connection.accept_body()) == (CONTINUE if waits else b"")
    with pytest.raises(CoreError, match=r"argument\.range"):
        client.connection.accept_body()
    got = list(parts(client, client.more()))
    for place in range(head + with_head, len(request), 5_000):
        got += parts(client, client.send(request[place : place + 5_000]))
    assert b"".join(part for part, _ in got) == body
    with pytest.raises(CoreError, match=r"argument\.range"):
        client.connection.feed(b"")
    assert [last for _, last in got] == [False] * (len(got) - 1) + [True]
    assert all(0 < len(part) <= PART for part, _ in got)
    assert respond(client) == OK + b"ok"
    assert client.more() == "more"
    assert client.send(GET) == "request"


def test_nothing_is_fed_before_a_part_is_taken(client: Client) -> None:
    body = b"x" * (3 * PART)
    client.send(post(body, length=4 * PART)[:-1])
    client.connection.request()
    client.connection.accept_body()
    assert client.more() == "body"
    client.tls.write(b"y")
    with pytest.raises(CoreError, match=r"argument\.range"):
        client.flush()
    assert client.more() == "body"
    taken = b"".join(part for part, _ in parts(client, client.more()))
    assert taken == body[:-1]
    assert client.more() == "more"


def test_a_body_that_is_not_wanted_ends_the_connection(client: Client) -> None:
    assert client.send(post(b"x" * 100_000)) == "request"
    client.connection.request()
    assert respond(client) == OK + b"ok"
    assert is_closed(client)
    assert client.connection.feed(b"") == ("closed", b"")


def test_an_answer_is_as_long_as_it_is(client: Client) -> None:
    for size in (0, 1, 16_384, 16_385, 1_000_000):
        assert client.send(GET) == "request"
        client.connection.request()
        body = bytes(size)
        assert client.hear(client.connection.respond(OK, body, False)) == OK + body
        assert client.more() == "more"


# --- Ends ---


def test_close_notify_between_requests(client: Client) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    state, out = client.connection.feed(client.seal())
    assert state == "closed"
    client.incoming.write(out)
    client.tls.unwrap()
    assert client.connection.eof() == ("closed", b"")


def test_close_notify_behind_a_request_is_not_in_its_way(client: Client) -> None:
    """`openssl s_client` with its input at the end: it sends no more, and reads on."""
    client.tls.write(post(b"hello"))
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    state, _ = client.connection.feed(client.seal())
    assert state == "request"
    assert client.connection.request().body == b"hello"
    out = client.connection.respond(OK, b"ok", False)
    assert len(out) > len(OK)
    assert client.connection.feed(b"")[0] == "closed"


def test_close_notify_within_a_request_is_an_end(client: Client) -> None:
    client.tls.write(post(b"hello")[:-1])
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    assert client.connection.feed(client.seal())[0] == "closed"


def test_fin_between_requests_is_an_end(client: Client) -> None:
    state, out = client.connection.eof()
    assert state == "closed"
    assert client.hear(out) == b""
    assert is_closed(client)
    assert client.connection.failure is None


def test_fin_behind_a_request_is_not_in_its_way(client: Client) -> None:
    assert client.send(post(b"hello")) == "request"
    client.connection.request()
    assert respond(client) == OK + b"ok"
    assert client.more() == "more"
    assert client.connection.eof()[0] == "closed"


@pytest.mark.parametrize("sent", [GET[:5], post(b"hello")[:-1]])
def test_fin_within_a_request_is_a_truncation(client: Client, sent: bytes) -> None:
    assert client.send(sent) == "more"
    assert client.connection.eof()[0] == "failed"
    assert client.connection.failure == "protocol"
    assert "within a request" in str(client.connection.failure_detail)


def test_fin_within_a_long_body_is_a_truncation(client: Client) -> None:
    assert client.send(post(b"x" * 20_000, length=30_000)) == "request"
    client.connection.request()
    client.connection.accept_body()
    taken = [len(part) for part, _ in parts(client, client.more())]
    assert sum(taken) == 20_000
    assert client.connection.eof()[0] == "failed"


def test_a_deadline_is_answered_in_the_middle(client: Client) -> None:
    assert client.send(post(b"hello")[:-1]) == "more"
    assert respond(client) == OK + b"ok"
    assert is_closed(client)


def test_a_deadline_may_end_without_an_answer(client: Client) -> None:
    assert client.hear(client.connection.close()) == b""
    assert is_closed(client)


class Seen(NamedTuple):
    method: str
    body: bytes


REQUESTS = [GET, post(b""), post(b"hello"), post(b"x" * 5_000), post(b"y" * MAX_BODY), post(b"z" * 40_000)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=5),
    st.lists(st.integers(1, 30_000), max_size=12),
)
def test_where_the_line_cuts_changes_nothing(
    door: Door, tmp_path: Path, requests: list[bytes], cuts: list[int]
) -> None:
    """All requests are sealed at once; the ciphertext is cut anywhere."""
    client = Client(door.config(), tmp_path, door.client(), max_body=MAX_BODY)
    client.handshake()
    sealed = client.seal(b"".join(requests))
    seen: list[Seen] = []
    pending: list[bytes] = []
    for cut in [*cuts, len(sealed)]:
        piece, sealed = sealed[:cut], sealed[cut:]
        state, _ = client.connection.feed(piece)
        seen, pending = collect(client, state, seen, pending)
    assert seen == [
        Seen(request[:4].strip().decode(), request.partition(b"\r\n\r\n")[2]) for request in requests
    ]


def collect(
    client: Client, state: str, seen: list[Seen], pending: list[bytes]
) -> tuple[list[Seen], list[bytes]]:
    """What has come of the bytes so far; `pending` are the parts of a long body."""
    while state != "more":
        if state == "request":
            request = client.connection.request()
            if request.body is None:
                client.connection.accept_body()
                pending = []
            else:
                seen = [*seen, Seen(request.method, request.body)]
                client.connection.respond(OK, b"ok", False)
        else:
            assert state == "body"
            part, last = client.connection.body()
            pending = [*pending, part]
            if last:
                seen = [*seen, Seen("POST", b"".join(pending))]
                client.connection.respond(OK, b"ok", False)
        state, _ = client.connection.feed(b"")
    return seen, pending


def test_a_connection_is_made_of_what_it_needs(door: Door) -> None:
    with pytest.raises(TypeError):
        _core.TlsConnection(door.config(), MAX_BODY)  # type: ignore[call-arg]
