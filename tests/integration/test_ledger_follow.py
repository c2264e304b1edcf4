"""The follow socket with real sockets and files; time is a mock clock's."""

import contextlib
import socket
import stat
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.ledger import follow as module
from gateway.ledger.follow import Follower, FollowServer, follow
from gateway.ledger.opening import read_opening
from gateway.ledger.protocol import Entry, Head, LedgerFailedError
from gateway.ledger.sqlite import SqliteLedger
from tests.faults.night import LOG_KEY, LOG_SEED, ORIGIN, Night, packet, submit


class Served:
    """A ledger and its server in one Trio run."""

    def __init__(
        self, night: Night, ledger: SqliteLedger, server: FollowServer, clock: trio.testing.MockClock
    ) -> None:
        self.night = night
        self.ledger = ledger
        self.server = server
        self.clock = clock
        self.path = night.root / "ledger.sock"

    def append(self, device: int, count: int) -> None:
        last = self.ledger.last(device)
        first = last.sequence + 1 if last else 1
        self.ledger.append([submit(packet(device, first + n), f"box:{device}", None) for n in range(count)])
        self.server.committed()

    async def pass_time(self, seconds: float) -> None:
        await trio.testing.wait_all_tasks_blocked(0.01)
        self.clock.jump(seconds)
        await trio.testing.wait_all_tasks_blocked(0.01)

    @contextlib.asynccontextmanager
    async def raw(self, request: bytes) -> AsyncIterator[trio.SocketStream]:
        stream = await trio.open_unix_socket(self.path)
        async with stream:
            await stream.send_all(request)
            yield stream


Test = Callable[[Served], Awaitable[None]]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def run(night: Night, test: Test) -> None:
    clock = trio.testing.MockClock()

    async def main() -> None:
        ledger = night.open()
        try:
            async with trio.open_nursery() as nursery:
                server = FollowServer(ledger, night.root / "ledger.sock")
                await nursery.start(server.serve)
                await test(Served(night, ledger, server, clock))
                nursery.cancel_scope.cancel()
        finally:
            ledger.close()

    trio.run(main, clock=clock)


async def take(follower: Follower, until: int) -> tuple[list[Head], list[Entry]]:
    """Everything up to the last entry before `until`."""
    heads: list[Head] = []
    entries: list[Entry] = []
    async for item in follower:
        if isinstance(item, Head):
            heads.append(item)
        else:
            entries.append(item)
        if entries and entries[-1].index == until - 1:
            break
    return heads, entries


async def read_all(stream: trio.SocketStream) -> bytes:
    parts = []
    # What the server has not read of a request comes back as a reset behind its answer.
    with contextlib.suppress(trio.BrokenResourceError):
        async for part in stream:
            parts.append(part)
    return b"".join(parts)


def test_what_is_there_and_what_is_committed_later(night: Night) -> None:
    async def test(served: Served) -> None:
        served.append(1, 600)
        async with follow(served.path, 0, night.vkey) as follower:
            heads, entries = await take(follower, 602)
            assert entries == served.ledger.entries(0, 602)
            assert heads == [served.ledger.head()]
            served.append(2, 3)
            heads, entries = await take(follower, 605)
            assert entries == served.ledger.entries(602, 605)
            assert heads == [served.ledger.head()]
            tree = _core.Tree()
            tree.append([_core.leaf_hash(entry.statement) for entry in served.ledger.entries(0, 605)])
            assert heads[0].root == tree.root()

    run(night, test)


def test_from_the_middle_and_from_the_end(night: Night) -> None:
    async def test(served: Served) -> None:
        served.append(1, 10)
        async with follow(served.path, 7, night.vkey) as follower:
            _, entries = await take(follower, 12)
            assert entries == served.ledger.entries(7, 12)
        async with follow(served.path, 12, night.vkey) as follower:
            assert await anext(follower) == served.ledger.head()
            served.append(1, 1)
            assert await take(follower, 13) == ([served.ledger.head()], served.ledger.entries(12, 13))

    run(night, test)


def test_a_follower_that_is_ahead_is_told(night: Night) -> None:
    async def test(served: Served) -> None:
        async with follow(served.path, 3, night.vkey) as follower:
            with pytest.raises(TallygateError) as caught:
                await anext(follower)
            assert caught.value.code == "follow.beyond"

    run(night, test)


def test_signs_of_life_and_then_silence(night: Night) -> None:
    async def test(served: Served) -> None:
        async with follow(served.path, 2, night.vkey) as follower:
            await anext(follower)
            received: list[Head | Entry] = []

            async def wait() -> None:
                received.append(await anext(follower))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                for _ in range(10):
                    await served.pass_time(module.ALIVE_SECONDS + 0.5)
                assert received == []
                served.append(1, 1)
            assert received == [served.ledger.head()]
        # A server that says nothing any more: a socket that nobody serves.
        quiet = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        quiet.bind(str(night.root / "quiet.sock"))
        quiet.listen()
        with quiet:
            async with (
                follow(night.root / "quiet.sock", 0, night.vkey) as follower,
                trio.open_nursery() as nursery,
            ):

                async def lost() -> None:
                    with pytest.raises(TallygateError) as caught:
                        await anext(follower)
                    assert caught.value.code == "follow.lost"

                nursery.start_soon(lost)
                await served.pass_time(module.SILENCE_SECONDS + 1)

    run(night, test)


def test_a_follower_that_stalls_is_dropped_and_holds_nothing(night: Night) -> None:
    async def test(served: Served) -> None:
        served.append(1, 5_000)
        async with served.raw(b"from 0\n"):
            # It never reads. The ledger goes on, and so does everybody else.
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert served.server.followers == 1
            served.append(2, 5)
            async with follow(served.path, 5_002, night.vkey) as other:
                _, entries = await take(other, 5_007)
                assert len(entries) == 5
                for _ in range(50):
                    if served.server.followers == 1:
                        break
                    await served.pass_time(module.SEND_SECONDS / 2)
                assert served.server.followers == 1

    run(night, test)


def test_a_follower_that_asks_nothing_is_dropped(night: Night) -> None:
    async def test(served: Served) -> None:
        async with served.raw(b"fr") as stream:
            await served.pass_time(module.REQUEST_SECONDS + 1)
            assert await read_all(stream) == b""
        assert served.server.followers == 0

    run(night, test)


@pytest.mark.parametrize(
    "request_",
    [
        b"\n",
        b"from\n",
        b"from x\n",
        b"from -1\n",
        b"from 1" + b"0" * 40,
        b"from 12345678901234567\n",
        b"FROM 1\n",
    ],
)
def test_a_request_of_another_form(night: Night, request_: bytes) -> None:
    async def test(served: Served) -> None:
        async with served.raw(request_) as stream:
            answer = await read_all(stream)
        assert answer[:1] == b"R"
        assert answer[5:].startswith(b"follow.request\n")

    run(night, test)


def test_more_followers_than_there_is_room_for(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FOLLOWERS", 2)

    async def test(served: Served) -> None:
        async with follow(served.path, 0, night.vkey) as one, follow(served.path, 0, night.vkey) as two:
            await anext(one)
            await anext(two)
            async with follow(served.path, 0, night.vkey) as three:
                with pytest.raises(TallygateError) as caught:
                    await anext(three)
                assert caught.value.code == "follow.full"
        await served.pass_time(module.ALIVE_SECONDS + 1)
        await served.pass_time(module.ALIVE_SECONDS + 1)
        assert served.server.followers == 0
        async with follow(served.path, 0, night.vkey) as again:
            await anext(again)

    run(night, test)


def test_a_ledger_that_fails_ends_the_server(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[str] = []

    async def test(served: Served) -> None:
        async with follow(served.path, 2, night.vkey) as follower:
            await anext(follower)
            served.append(1, 1)

            def fail(start: int, end: int) -> list[Entry]:
                raise LedgerFailedError(f"reading {start} to {end} failed")

            monkeypatch.setattr(served.ledger, "entries", fail)
            with pytest.raises(TallygateError) as caught:
                await take(follower, 3)
            codes.append(caught.value.code)
            await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        run(night, test)
    assert caught.group_contains(LedgerFailedError)
    assert codes in ([], ["ledger.failed"])


def test_the_socket_is_its_owners_alone(night: Night) -> None:
    path = night.root / "ledger.sock"
    path.touch()

    async def test(served: Served) -> None:
        mode = served.path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        assert [one.name for one in night.root.glob("*.sock")] == ["ledger.sock"]

    run(night, test)
    assert not path.exists()
    # What a killed process has left is replaced.
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(path))
    dead.close()
    run(night, test)


def test_a_successors_socket_stays(night: Night) -> None:
    path = night.root / "ledger.sock"
    successor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    async def test(served: Served) -> None:
        path.unlink()
        successor.bind(str(path))

    with successor:
        run(night, test)
        assert path.exists()

    async def gone(served: Served) -> None:
        path.unlink()

    run(night, gone)


class Slow:
    """Lets the readers of a ledger wait, as a long batch does that holds its mutex."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._entries = ledger.entries
        self.asked = threading.Event()
        self.may = threading.Event()

    def entries(self, start: int, end: int) -> list[Entry]:
        self.asked.set()
        assert self.may.wait(60)
        return self._entries(start, end)


def test_signs_of_life_while_a_batch_holds_the_ledger(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(served: Served) -> None:
        slow = Slow(served.ledger)
        monkeypatch.setattr(served.ledger, "entries", slow.entries)
        try:
            async with follow(served.path, 0, night.vkey) as follower:
                received: list[Head | Entry] = []

                async def wait() -> None:
                    for _ in range(3):
                        received.append(await anext(follower))

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(wait)
                    assert await trio.to_thread.run_sync(slow.asked.wait, 60)
                    for _ in range(10):
                        await served.pass_time(module.ALIVE_SECONDS + 0.5)
                    assert len(received) == 1
                    slow.may.set()
                assert received[1:] == served.ledger.entries(0, 2)
        finally:
            slow.may.set()

    run(night, test)


def test_a_reader_that_waits_does_not_hold_up_the_end(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    slows: list[Slow] = []

    async def test(served: Served) -> None:
        slows.append(slow := Slow(served.ledger))
        monkeypatch.setattr(served.ledger, "entries", slow.entries)
        async with follow(served.path, 0, night.vkey) as follower:
            await anext(follower)
            assert await trio.to_thread.run_sync(slow.asked.wait, 60)

    run(night, test)  # it ends while the reader still waits
    assert not slows[0].may.is_set()
    slows[0].may.set()


def test_a_failure_that_nobody_waits_for_any_more_ends_the_server(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked has gone; the ledger has failed all the same, and no other call may come for hours."""
    may = threading.Event()
    asked = threading.Event()

    def fail(start: int, end: int) -> list[Entry]:
        asked.set()
        assert may.wait(60)
        raise LedgerFailedError(f"reading {start} to {end} failed")

    async def test(served: Served) -> None:
        monkeypatch.setattr(served.ledger, "entries", fail)
        async with served.raw(b"from 0\n"):
            assert await trio.to_thread.run_sync(asked.wait, 60)
        for _ in range(3):
            await served.pass_time(module.ALIVE_SECONDS + 0.5)
        assert served.server.followers == 0
        may.set()
        for _ in range(100):
            await trio.testing.wait_all_tasks_blocked(0.02)
        pytest.fail("nobody has learned that the ledger has failed")

    try:
        with pytest.raises(BaseExceptionGroup) as caught:
            run(night, test)
    finally:
        may.set()
    assert caught.group_contains(LedgerFailedError)


def test_a_follower_that_reads_nothing_does_not_hold_up_the_end_of_a_failed_ledger(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[float] = []
    send = module._send

    async def test(served: Served) -> None:
        served.append(1, 1)
        sending = trio.Event()

        def fail(start: int, end: int) -> list[Entry]:
            raise LedgerFailedError("reading failed " + "x" * 20_000_000)

        async def say(stream: trio.SocketStream, data: bytes, seconds: float = module.SEND_SECONDS) -> None:
            if seconds == module.COURTESY_SECONDS:
                sending.set()
            await send(stream, data, seconds)

        monkeypatch.setattr(served.ledger, "entries", fail)
        monkeypatch.setattr(module, "_send", say)
        async with served.raw(b"from 0\n"):
            await sending.wait()
            begin = trio.current_time()
            try:
                await served.pass_time(module.COURTESY_SECONDS + 0.1)
                await trio.sleep_forever()
            finally:
                ends.append(trio.current_time() - begin)

    with pytest.raises(BaseExceptionGroup) as caught:
        run(night, test)
    assert caught.group_contains(LedgerFailedError)
    assert module.COURTESY_SECONDS <= ends[0] < module.SEND_SECONDS


def test_a_follower_after_its_end(night: Night) -> None:
    async def test(served: Served) -> None:
        async with follow(served.path, 0, night.vkey) as follower:
            await anext(follower)
        with pytest.raises(TallygateError) as caught:
            async for _ in follower:
                pass
        assert caught.value.code == "follow.lost"

    run(night, test)


def test_nobody_is_there(night: Night) -> None:
    async def main() -> None:
        async with follow(night.root / "ledger.sock", 0, night.vkey):
            pytest.fail("there is nobody")

    with pytest.raises(TallygateError) as caught:
        trio.run(main)
    assert caught.value.code == "follow.absent"


def test_a_path_that_no_socket_can_have(night: Night) -> None:
    deep = night.root / ("x" * 120)

    async def connect() -> None:
        async with follow(deep, 0, night.vkey):
            pytest.fail("there is nobody")

    async def serve() -> None:
        ledger = night.open()
        try:
            await FollowServer(ledger, deep).serve()
        finally:
            ledger.close()

    for call in (connect, serve):
        with pytest.raises(TallygateError) as caught:
            trio.run(call)
        assert caught.value.code == "follow.path"


def test_an_unopened_log_is_waited_for(tmp_path: Path) -> None:
    night = Night(tmp_path, opening=False)

    async def test(served: Served) -> None:
        async with follow(served.path, 0, night.vkey) as follower, trio.open_nursery() as nursery:
            received: list[Head | Entry] = []

            async def wait() -> None:
                received.append(await anext(follower))

            nursery.start_soon(wait)
            await served.pass_time(module.ALIVE_SECONDS + 1)
            assert received == []
            night.write_opening(night.opening_signatures())
            opening = read_opening(night.data / "opening", night.definition, LOG_KEY, night.roster.hash)
            served.ledger.open_log(opening, 1)
            served.server.committed()
        assert received == [served.ledger.head()]

    run(night, test)


def frame(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">cI", kind, len(body)) + body


def entry(index: int, route: bytes = b"box:1", statement: bytes = b"x") -> bytes:
    return frame(b"E", struct.pack(">QQB", index, 1, len(route)) + route + statement)


def checkpoint(size: int) -> bytes:
    signer = _core.NoteSigner(ORIGIN, LOG_SEED)
    return frame(b"C", signer.sign(_core.Checkpoint(ORIGIN, size, bytes(32)).text).encode())


LIES: dict[str, bytes] = {
    "an entry first": entry(0),
    "no such frame": frame(b"X", b""),
    "a sign of life with a body": frame(b"A", b"x"),
    "another entry": checkpoint(3) + entry(1),
    "an entry too many": checkpoint(1) + entry(0) + entry(1),
    "an entry too few": checkpoint(2) + entry(0) + checkpoint(3),
    "the same checkpoint": checkpoint(0) + checkpoint(0),
    "an older checkpoint": checkpoint(1) + entry(0) + checkpoint(0),
    "nobody's checkpoint": frame(b"C", b"nonsense"),
    "no statement": checkpoint(1) + entry(0, statement=b""),
    "half a head": checkpoint(1) + frame(b"E", b"12"),
    "a route beyond the end": checkpoint(1) + frame(b"E", struct.pack(">QQB", 0, 1, 9) + b"box"),
    "a route in other letters": checkpoint(1) + entry(0, route=b"\xff"),
    "a refusal that is none": frame(b"R", b"no.such\nthing"),
    "a frame without end": struct.pack(">cI", b"E", 1_000_000),
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_a_server_that_lies(night: Night, lie: str) -> None:
    assert said_by(night, LIES[lie]) == "follow.malformed"


def test_a_server_that_goes_away_in_the_middle(night: Night) -> None:
    whole = checkpoint(1) + entry(0)
    for length in range(0, len(whole), 7):
        assert said_by(night, whole[:length]) == "follow.lost"


def said_by(night: Night, data: bytes) -> str:
    """The code that a follower ends with when it is sent this and then nothing."""

    async def main() -> str:
        path = night.root / "liar.sock"
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(path))
        listening.listen()
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        async with listener, trio.open_nursery() as nursery:

            async def lie() -> None:
                stream = await listener.accept()
                async with stream:
                    await stream.receive_some()
                    await stream.send_all(data)

            nursery.start_soon(lie)
            async with follow(path, 0, night.vkey) as follower:
                with pytest.raises(TallygateError) as caught:
                    async for _ in follower:
                        pass
        return caught.value.code

    return trio.run(main)
