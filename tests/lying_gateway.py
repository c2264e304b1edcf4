"""What the tests of sending have in common: a log of a test's own, and a box port that says what it is told.

The port is real TLS on a real socket with a rehearsal's certificates; what it answers is up to the test.
"""

import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import h11
import trio
from nacl.signing import SigningKey

from clients.wire import note, receipt
from clients.wire.answers import Retry
from clients.wire.merkle import Tree, leaf_hash
from clients.wire.note import Checkpoint, VerifierKey
from clients.wire.site import Address
from tests.boxport_client import Site

ORIGIN = "rehearsal.invalid/lying"


class TestLog:
    """A log whose key the test has; what is in it twice has one place."""

    __test__ = False

    def __init__(self, seed: int = 1) -> None:
        self._key = SigningKey(bytes([seed]) * 32)
        self._tree = Tree()
        self.entries: list[bytes] = []

    @property
    def vkey(self) -> VerifierKey:
        return VerifierKey(ORIGIN, bytes(self._key.verify_key))

    def receipt(self, statement: bytes) -> bytes:
        """Of a statement, which is logged if it was not."""
        if statement not in self.entries:
            self.entries.append(statement)
            self._tree.append(leaf_hash(statement))
        index, size = self.entries.index(statement), len(self.entries)
        text = Checkpoint(ORIGIN, size, self._tree.root(size)).text
        return receipt.write(index, self._tree.inclusion(index, size), note.sign(text, ORIGIN, self._key))


def logged(body: bytes, outcome: str = "accepted", more: Mapping[str, str] | None = None) -> bytes:
    """An answer with a receipt."""
    fields = {"Tallygate-Outcome": outcome, "Content-Type": "text/plain; charset=utf-8", **(more or {})}
    return http(201, body, fields)


def problem(code: str, retry: Retry, status: int = 503, after: int | None = None) -> bytes:
    """A refusal."""
    fields = {"Content-Type": "application/problem+json"}
    if after is not None:
        fields["Retry-After"] = str(after)
    document = {"code": code, "detail": f"the words of {code}", "retry": retry, "status": status}
    return http(status, json.dumps(document).encode(), fields)


def http(status: int, body: bytes, fields: Mapping[str, str]) -> bytes:
    """An answer with its length."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


# What follows an answer: the next request, a good end, a cut line, or nothing ever.
End: TypeAlias = Literal["open", "close", "reset", "silence"]
Say: TypeAlias = Callable[[bytes], tuple[bytes, End]]


def server_context(site: Site, folder: Path | None = None) -> ssl.SSLContext:
    """Of a port with a rehearsal's files, or those in a folder; it wants a certificate of the same CA."""
    folder = folder or site.pki
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(site.pki / "ca.pem")
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class Seen:
    """What a port was asked.

    Attributes:
        bodies: of the requests, in order.
        connections: how many have come about.
        last: for each request whether it said that nothing follows.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.connections = 0
        self.last: list[bool] = []


@contextlib.asynccontextmanager
async def lying(context: ssl.SSLContext, say: Say) -> AsyncIterator[tuple[Address, Seen]]:
    """A port for as long as the block runs."""
    seen = Seen()

    async def serve(tcp: trio.SocketStream) -> None:
        stream = trio.SSLStream(tcp, context, server_side=True)
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await stream.do_handshake()
            seen.connections += 1
            while await _answer(stream, tcp, say, seen) == "open":
                pass
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield Address("127.0.0.1", listener.socket.getsockname()[1]), seen
        nursery.cancel_scope.cancel()


async def _answer(
    stream: trio.SSLStream[trio.SocketStream], tcp: trio.SocketStream, say: Say, seen: Seen
) -> End:
    http_connection = h11.Connection(h11.SERVER)
    body = b""
    while True:
        event = http_connection.next_event()
        if event is h11.NEED_DATA:
            received = await stream.receive_some()
            if not received:
                return "close"
            http_connection.receive_data(bytes(received))
        elif isinstance(event, h11.Request):
            seen.last.append((b"connection", b"close") in event.headers)
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
    seen.bodies.append(body)
    words, end = say(body)
    if words:
        await stream.send_all(words)
    if end == "silence":
        await trio.sleep_forever()
    elif end == "reset":
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tcp.socket.close()
    elif end == "close":
        await stream.aclose()
    return end
