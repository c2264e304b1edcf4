"""A box port of one thread: the smallest loop around `_core.TlsConnection`, for peers to talk to."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway import _core
from gateway.base.errors import CoreError

MAX_BODY = 16_384
# Seconds without a byte after which a peer has forgotten us: the test then fails, it does not hang.
PATIENCE = 20


@dataclass
class Seen:
    """What one connection came to.

    Attributes:
        requests: method, path and body of each, or the code of its refusal.
        end: the last state.
    """

    requests: list[tuple[str, str, bytes] | str] = field(default_factory=list)
    end: str = ""
    peer: tuple[str, int] | None = None
    failure: str | None = None


class Server:
    """Serves one connection after the other and writes down what it saw."""

    def __init__(self, config: _core.TlsConfig) -> None:
        self.config = config
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.port: int = self._listener.getsockname()[1]
        self.seen: list[Seen] = []
        self._thread = threading.Thread(target=self._accept)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the loop by a connection that says nothing."""
        socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE).close()
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            with sock:
                sock.settimeout(PATIENCE)
                seen = self._serve(sock)
            if seen is None:
                return
            self.seen.append(seen)

    def _serve(self, sock: socket.socket) -> Seen | None:
        connection = _core.TlsConnection(self.config, max_body=MAX_BODY)
        seen = Seen()
        data = sock.recv(65_536)
        if not data:
            return None
        state, out = connection.feed(data)
        while True:
            sock.sendall(out)
            if state == "more":
                try:
                    data = sock.recv(65_536)
                except ConnectionResetError:
                    data = b""
                state, out = connection.feed(data) if data else connection.eof()
            elif state in {"closed", "failed"}:
                break
            else:
                sock.sendall(self._answer(connection, sock, seen))
                state, out = connection.feed(b"")
        if (peer := connection.peer) is not None:
            seen.peer = (peer.role, peer.id)
        seen.end, seen.failure = state, connection.failure
        self._linger(sock)
        return seen

    def _answer(self, connection: _core.TlsConnection, sock: socket.socket, seen: Seen) -> bytes:
        try:
            request = connection.request()
        except CoreError as error:
            seen.requests.append(error.code)
            return answer(connection, "400 Bad Request", error.code.encode(), close=True)
        body = request.body
        if body is None:
            body = self._read_parts(connection, sock)
        seen.requests.append((request.method, request.path, body))
        return answer(connection, "200 OK", body, close=not request.keep_alive)

    @staticmethod
    def _read_parts(connection: _core.TlsConnection, sock: socket.socket) -> bytes:
        sock.sendall(connection.accept_body())
        parts, last = [], False
        state, out = connection.feed(b"")
        while not last:
            if state == "body":
                part, last = connection.body()
                parts.append(part)
                if last:
                    break
                state, out = connection.feed(b"")
            else:
                assert state == "more"
                sock.sendall(out)
                state, out = connection.feed(sock.recv(65_536))
        return b"".join(parts)

    @staticmethod
    def _linger(sock: socket.socket) -> None:
        """A close with unread bytes would take the last answer away from the peer."""
        try:
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65_536):
                pass
        except OSError:
            pass


def answer(connection: _core.TlsConnection, status: str, body: bytes, *, close: bool) -> bytes:
    """An answer that gives back what was sent."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(["Connection: close"] if close else [])]
    return connection.respond("\r\n".join([*lines, "", ""]).encode(), body, close)


@contextmanager
def serving(config: _core.TlsConfig) -> Iterator[Server]:
    """A server for as long as the block runs."""
    server = Server(config)
    server.start()
    try:
        yield server
    finally:
        server.stop()
