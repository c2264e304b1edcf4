"""The public port over real sockets: ten thousand requests on one connection, slow readers, swapped files."""

import hashlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import h11
import pytest
import trio

from gateway.base.logs import Log
from gateway.base.metrics import WebMetrics
from gateway.site import server as module
from gateway.site.files import CHUNK, FeedFiles
from gateway.site.server import Page, WebServer

NOW = 1_800_000_000_000
SECONDS = 60
# More than the buffers of both ends of a connection take.
LARGE = bytes(range(256)) * 65_536
HASH = "ab" * 32

Fields: TypeAlias = dict[str, str]


class Pages:
    """One page; and one that can hold its maker up."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.broken = False
        self.large = Page.of(LARGE, "text/html", "no-cache")

    def find(self, path: str) -> Page | None:
        if self.broken:
            raise RuntimeError("a fault")
        if path == "/slow":
            self.go_on.wait(SECONDS)
        if path == "/large":
            return self.large
        return None if path not in ("/", "/slow") else Page.of(b"<p>page</p>", "text/html", "no-cache")


class Served:
    """A server of a folder, and its counters."""

    def __init__(self, root: Path, connections: int = 100) -> None:
        self.root = root
        self.metrics = WebMetrics("test", process=False)
        self.pages = Pages()
        self.lines: list[str] = []
        self.stop = trio.Event()
        self.server = WebServer(
            FeedFiles(root),
            self.pages,
            rehearsal=False,
            connections=connections,
            metrics=self.metrics,
            log=Log("web", self.lines.append, lambda: NOW),
            clock=lambda: NOW,
        )
        self.port = 0

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"tallygate_web_{name}", labels) or 0.0

    async def run(self, test: Callable[["Served"], Awaitable[None]]) -> None:
        with trio.fail_after(SECONDS):
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.server.serve, listeners, self.stop)
                await test(self)
                self.stop.set()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["Reader"]:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            yield Reader(stream)

    async def get(self, path: str, **fields: str) -> tuple[int, Fields, bytes]:
        async with self.connect() as reader:
            return await reader.ask("GET", path, **fields)


class Reader:
    """A client of one connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.connection = h11.Connection(h11.CLIENT)

    async def ask(self, method: str, path: str, **fields: str) -> tuple[int, Fields, bytes]:
        headers = [
            ("Host", "feed.example"),
            *((name.replace("_", "-"), text) for name, text in fields.items()),
        ]
        data = self.connection.send(h11.Request(method=method, target=path, headers=headers)) or b""
        await self.stream.send_all(data + (self.connection.send(h11.EndOfMessage()) or b""))
        return await self.answer()

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        data = bytearray()
        while some := await self.stream.receive_some(CHUNK):
            data += some
        return bytes(data)

    async def answer(self) -> tuple[int, Fields, bytes]:
        status, found, parts = 0, {}, []
        while True:
            event = self.connection.next_event()
            if event is h11.NEED_DATA:
                self.connection.receive_data(await self.stream.receive_some(CHUNK))
            elif isinstance(event, h11.Response):
                status = event.status_code
                found = {name.decode().lower(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                if self.connection.our_state is h11.DONE:
                    self.connection.start_next_cycle()
                return status, found, b"".join(parts)
            else:
                raise AssertionError(event)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "areas" / "1").mkdir(parents=True)
    (tmp_path / "latest.json").write_bytes(b'{"snapshot":1}')
    (tmp_path / "areas" / "1" / f"{HASH}.json").write_bytes(LARGE)
    return tmp_path


LARGE_PATH = f"/areas/1/{HASH}.json"


def test_a_file_a_page_and_nothing(root: Path) -> None:
    async def test(served: Served) -> None:
        status, fields, body = await served.get("/latest.json")
        assert (status, body) == (200, b'{"snapshot":1}')
        assert fields["content-type"] == "application/json"
        assert fields["date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
        assert fields["access-control-allow-origin"] == "*"
        tag = fields["etag"]
        assert (await served.get("/latest.json", if_none_match=tag))[::2] == (304, b"")
        status, fields, body = await served.get("/")
        assert (status, body, fields["content-type"]) == (200, b"<p>page</p>", "text/html")
        assert "unsafe" not in fields["content-security-policy"]
        assert (await served.get("/", if_none_match=fields["etag"]))[0] == 304
        assert (await served.get("/", range="bytes=1-2"))[2] == b"p>"
        for path in ("/missing.json", "/snapshots/7.json", "/../data/ledger.sqlite", "/areas/1/", "/%00"):
            assert (await served.get(path))[0] == 404, path
        assert served.counted("requests_total", status="304") == 2
        assert served.counted("connections_total", result="fault") == 0

    trio.run(Served(root).run, test)


def test_a_large_file_whole_and_in_parts(root: Path) -> None:
    async def test(served: Served) -> None:
        _, fields, body = await served.get(LARGE_PATH)
        assert body == LARGE
        assert fields["etag"] == f'"{hashlib.sha256(LARGE).hexdigest()[:32]}"'
        async with served.connect() as reader:
            parts = []
            for start in range(0, len(LARGE), 6_000_000):
                wanted = f"bytes={start}-{start + 5_999_999}"
                status, _, part = await reader.ask("GET", LARGE_PATH, range=wanted, if_range=fields["etag"])
                assert status == 206
                parts.append(part)
            assert b"".join(parts) == LARGE
            status, fields, body = await reader.ask("HEAD", LARGE_PATH)
            assert (status, fields["content-length"], body) == (200, str(len(LARGE)), b"")
            assert (await reader.ask("GET", LARGE_PATH, range="bytes=-3"))[2] == LARGE[-3:]

    trio.run(Served(root).run, test)


@pytest.mark.parametrize(
    ("start", "media_type", "suffix"),
    [
        (b"%PDF-1.7", "application/pdf", ".pdf"),
        (b"\x89PNG\r\n\x1a\n", "image/png", ".png"),
        (b"\xff\xd8\xff\xdb", "image/jpeg", ".jpg"),
        (b"II*\x00", "image/tiff", ".tif"),
        (b"MM\x00*", "image/tiff", ".tif"),
        # Such a file is in no feed of ours; whoever puts it there gets no page out of it.
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "application/octet-stream", ""),
        (b"", "application/octet-stream", ""),
    ],
)
def test_a_paper_is_a_download_of_its_medium_that_may_do_nothing(
    root: Path, start: bytes, media_type: str, suffix: str
) -> None:
    data = start + bytes(100_000) if start else b""
    (root / "attachments").mkdir()
    (root / "attachments" / HASH).write_bytes(data)

    async def test(served: Served) -> None:
        status, fields, body = await served.get(f"/attachments/{HASH}")
        assert (status, body) == (200, data)
        assert fields["content-type"] == media_type
        assert fields["content-disposition"] == f'attachment; filename="{HASH[:16]}{suffix}"'
        assert fields["x-content-type-options"] == "nosniff"
        assert "sandbox" in fields["content-security-policy"].split("; ")
        assert fields["cache-control"] == "public, max-age=31536000, immutable"
        if data:
            status, part, body = await served.get(f"/attachments/{HASH}", range="bytes=1-9")
            assert (status, body, part["content-type"]) == (206, data[1:10], media_type)
            assert part["content-disposition"] == fields["content-disposition"]

    trio.run(Served(root).run, test)


def test_ten_thousand_requests_on_one_connection(root: Path) -> None:
    async def test(served: Served) -> None:
        async with served.connect() as reader:
            for _ in range(10_000):
                status, _, body = await reader.ask("GET", "/latest.json")
                assert (status, body) == (200, b'{"snapshot":1}')
        assert served.counted("connections_total", result="accepted") == 1
        assert served.counted("requests_total", status="200") == 10_000

    trio.run(Served(root).run, test)


def test_requests_that_come_together_are_answered_in_their_order(root: Path) -> None:
    async def test(served: Served) -> None:
        async with served.connect() as reader:
            one = b"GET /latest.json HTTP/1.1\r\nHost: x\r\n\r\n"
            two = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
            three = b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            await reader.stream.send_all(one + two + three)
            data = await reader.rest()
        found = [part.split(b"\r\n", 1)[0] for part in data.split(b"HTTP/1.1 ")[1:]]
        assert found == [b"200 OK", b"200 OK", b"404 Not Found"]

    trio.run(Served(root).run, test)


def test_files_that_are_swapped_while_they_are_served_are_never_mixed(root: Path) -> None:
    """Writers as docs/feed.md has them: a temporary name, renamed."""
    path = root / "latest.json"

    def content(number: int) -> bytes:
        return f"{number:07d}".encode() * (10_000 + number)

    async def test(served: Served) -> None:
        path.write_bytes(content(0))
        done = trio.Event()
        seen: set[bytes] = set()

        async def read() -> None:
            async with served.connect() as reader:
                while not done.is_set():
                    status, fields, body = await reader.ask("GET", "/latest.json")
                    assert status == 200
                    assert body == content(int(body[:7]))
                    assert fields["etag"] == f'"{hashlib.sha256(body).hexdigest()[:32]}"'
                    seen.add(body[:7])

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(read)
            for number in range(1, 200):
                temporary = root / ".latest.json.tmp"
                await trio.to_thread.run_sync(temporary.write_bytes, content(number))
                temporary.replace(path)
                assert (await served.get("/.latest.json.tmp"))[0] == 404
            done.set()
        assert len(seen) > 1

    trio.run(Served(root).run, test)


def test_readers_that_stall_hold_nobody_up_and_are_ended(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_SECONDS", 1.0)

    async def test(served: Served) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(stall, served)
            with trio.fail_after(SECONDS / 2):
                while served.counted("connections_total", result="stalled") < 20:
                    assert (await served.get("/latest.json"))[0] == 200
            nursery.cancel_scope.cancel()

    async def stall(served: Served) -> None:
        async with served.connect() as reader:
            await reader.stream.send_all(f"GET {LARGE_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await trio.sleep_forever()

    trio.run(Served(root).run, test)


def test_readers_who_stall_in_a_page_share_its_bytes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readers = 8
    reached: list[int] = []
    deliver = module._deliver

    async def noted(stream: trio.SocketStream, data: bytes) -> None:
        if len(data) > CHUNK:
            reached.append(id(data))
        await deliver(stream, data)

    monkeypatch.setattr(module, "_deliver", noted)

    async def test(served: Served) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(readers):
                nursery.start_soon(stall, served)
            while len(reached) < readers:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert set(reached) == {id(served.pages.large.content)}
        assert (await served.get("/large"))[2] == LARGE

    async def stall(served: Served) -> None:
        async with served.connect() as reader:
            await reader.stream.send_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            await trio.sleep_forever()

    trio.run(Served(root).run, test)


def test_a_page_that_takes_its_time_holds_no_file_up(root: Path) -> None:
    async def test(served: Served) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.get, "/slow")
            assert (await served.get("/latest.json"))[0] == 200
            served.pages.go_on.set()

    trio.run(Served(root).run, test)


def test_who_says_nothing_or_half_of_it_is_ended(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.2)

    async def test(served: Served) -> None:
        for said in (b"", b"GET /latest.json HT", b"GET /latest.json HTTP/1.1\r\nHost: x\r\n"):
            async with served.connect() as reader:
                await reader.stream.send_all(said)
                assert await reader.stream.receive_some(100) == b""
        async with served.connect() as reader:
            assert (await reader.ask("GET", "/latest.json"))[0] == 200
            assert await reader.stream.receive_some(100) == b""

    trio.run(Served(root).run, test)


def test_at_the_cap_who_waits_makes_room_and_who_is_answered_does_not(root: Path) -> None:
    async def test(served: Served) -> None:
        async with served.connect() as first, served.connect() as second:
            assert (await first.ask("GET", "/latest.json"))[0] == 200
            assert (await second.ask("GET", "/latest.json"))[0] == 200
            # The one that has waited longest goes.
            assert (await served.get("/latest.json"))[0] == 200
            assert await first.stream.receive_some(1) == b""
            assert (await second.ask("GET", "/latest.json"))[0] == 200
        assert served.counted("connections_total", result="displaced") == 1
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(served.get, "/slow")
            # The system's accept is no event here.
            while served.counted("open_connections") != 2 or served.server.waiting:  # noqa: ASYNC110
                await trio.sleep(0.01)
            async with served.connect() as third:
                assert await third.stream.receive_some(1) == b""
            served.pages.go_on.set()
        assert served.counted("connections_total", result="turned_away") == 1

    trio.run(Served(root, connections=2).run, test)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"nonsense\r\n\r\n", b"400 Bad Request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 10_000, b"431 Request Header Fields Too Large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", b"501 Not Implemented"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", b"405 Method Not Allowed"),
        (b"DELETE /latest.json HTTP/1.1\r\nHost: x\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /", b"200 OK"),
        (b"GET /latest.json HTTP/1.0\r\n\r\n", b"200 OK"),
    ],
)
def test_what_is_no_request_of_ours(root: Path, sent: bytes, status: bytes) -> None:
    async def test(served: Served) -> None:
        async with served.connect() as reader:
            await reader.stream.send_all(sent)
            await reader.stream.send_eof()
            data = await reader.rest()
            assert data.startswith(b"HTTP/1.1 " + status + b"\r\n"), data[:100]
            # Nothing of a body is taken for the next request.
            assert data.count(b"HTTP/1.1 ") == 1
        assert served.counted("connections_total", result="fault") == 0

    trio.run(Served(root).run, test)


def test_a_program_elsewhere_may_ask_what_it_may(root: Path) -> None:
    async def test(served: Served) -> None:
        async with served.connect() as reader:
            status, fields, _ = await reader.ask("OPTIONS", "/latest.json", origin="https://media.example")
            assert (status, fields["access-control-allow-origin"]) == (204, "*")
            assert "if-none-match" in fields["access-control-allow-headers"].lower()
            assert (await reader.ask("GET", "/latest.json"))[0] == 200

    trio.run(Served(root).run, test)


def test_a_disk_that_fails_is_503_and_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(served: Served) -> None:
        async with served.connect() as reader:
            assert (await reader.ask("GET", "/latest.json"))[0] == 503
        assert "web.disk" in served.lines[0]
        assert served.counted("connections_total", result="fault") == 0

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(FeedFiles, "open", fail)
    trio.run(Served(root).run, test)


def test_a_file_that_shrinks_under_its_reader_ends_the_connection(root: Path) -> None:
    async def test(served: Served) -> None:
        async with served.connect() as reader:
            await reader.stream.send_all(f"GET {LARGE_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            data = bytes(await reader.stream.receive_some(CHUNK))
            await trio.to_thread.run_sync((root / "areas" / "1" / f"{HASH}.json").write_bytes, b"")
            data += await reader.rest()
            assert data.startswith(b"HTTP/1.1 200 OK")
            assert len(data) < len(LARGE)
        assert "web.disk" in served.lines[0]

    trio.run(Served(root).run, test)


def test_a_fault_of_ours_ends_one_connection(root: Path) -> None:
    async def test(served: Served) -> None:
        served.pages.broken = True
        async with served.connect() as reader:
            await reader.stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await reader.stream.receive_some(1) == b""
        assert (await served.get("/latest.json"))[0] == 200
        assert served.counted("connections_total", result="fault") == 1
        assert "web.fault" in served.lines[0]

    trio.run(Served(root).run, test)


def test_at_its_end_what_is_in_flight_is_sent_and_who_waits_is_let_go(root: Path) -> None:
    async def test(served: Served) -> None:
        async with served.connect() as waiting, served.connect() as reader:
            assert (await waiting.ask("GET", "/latest.json"))[0] == 200
            await reader.stream.send_all(f"GET {LARGE_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            data = bytes(await reader.stream.receive_some(CHUNK))
            served.stop.set()
            assert await waiting.stream.receive_some(1) == b""
            data += await reader.rest()
            assert data.endswith(LARGE[-1_000:])
            assert len(data) > len(LARGE)
            with pytest.raises(OSError, match=r"fail|refused"):
                await trio.open_tcp_stream("127.0.0.1", served.port)

    trio.run(Served(root).run, test)
