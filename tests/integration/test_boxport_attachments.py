"""Papers that come in over real TLS and real sockets: what is taken, what is not, and what is left behind."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gateway.base.clock import DAY
from gateway.base.config import Limits
from gateway.base.media import MAX_PAPER
from gateway.boxport.attachments import Shelf
from gateway.boxport.connection import Connection
from gateway.ledger.protocol import LedgerFailedError, Named
from gateway.pki.certificates import Validity
from tests.boxport_client import HEAD, STATEMENT, Client, FakeIntake, Served, Site, serving, step, until
from tests.peers import require_program

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
TYPES = {1: "application/pdf", 2: "image/png", 3: "image/jpeg", 4: "image/tiff"}
STARTS = {1: [b"%PDF-1.7"], 2: [PNG[:8]], 3: [b"\xff\xd8\xff\xe0"], 4: [b"II*\x00", b"MM\x00*"]}


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def path(data: bytes) -> str:
    return f"/v1/attachments/{sha(data).hex()}"


def name(intake: FakeIntake, data: bytes, media: int = 2, device: int = 1) -> bytes:
    """Has the log name a paper."""
    intake.named[sha(data)] = (Named(device, 101, media, len(data)),)
    return data


async def put(client: Client, data: bytes, media_type: str = "image/png", at: str = "") -> None:
    """Sends a paper, to its own path if no other is given."""
    await client.send("PUT", at or path(data), data, headers=[("Content-Type", media_type)])


def head(data: bytes, *lines: str) -> bytes:
    """The head of an upload, to be sent raw."""
    fields = ["Host: 127.0.0.1", "Content-Type: image/png", f"Content-Length: {len(data)}", *lines]
    return "\r\n".join([f"PUT {path(data)} HTTP/1.1", *fields, "", ""]).encode()


def files(served: Served) -> dict[str, bytes]:
    """What lies in the folder of papers, hidden files too."""
    return {entry.name: entry.read_bytes() for entry in served.papers.iterdir()}


def results(served: Served) -> dict[str, float]:
    """The counter of papers, as far as it has counted."""
    names = ("stored", "known", "refused", "broken", "fault")
    counted = {one: served.value("tallygate_papers_total", result=one) for one in names}
    return {one: value for one, value in counted.items() if value}


def run(
    site: Site,
    test: Callable[[Served, Client], Awaitable[None]],
    *,
    limits: Limits | None = None,
    clock: MockClock | None = None,
) -> None:
    """One port, one client of box 1, and a clock that stands still."""

    async def main() -> None:
        async with serving(site, FakeIntake(), limits=limits) as served, served.client() as client:
            await test(served, client)

    trio.run(main, clock=clock or MockClock())


def test_a_paper_is_stored_under_its_hash(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        await put(client, PNG)
        reply = await client.reply()
        assert (reply.status, reply.headers["content-type"]) == (201, "application/json")
        assert json.loads(reply.body) == {"sha256": sha(PNG).hex(), "size": len(PNG)}
        assert files(served) == {sha(PNG).hex(): PNG}
        assert (served.papers / sha(PNG).hex()).stat().st_mode & 0o777 == 0o640
        assert served.intake.stored == [(sha(PNG), len(PNG), 2)]
        # The connection goes on.
        assert (await client.post()).status == 201
        await put(client, PNG)
        assert (await client.reply()).status == 200
        assert results(served) == {"stored": 1, "known": 1}
        assert served.value("tallygate_papers_received_bytes_total") == len(PNG)
        assert served.value("tallygate_papers_inflight") == 0

    run(boxport_site, test)


@pytest.mark.parametrize("media", TYPES)
def test_every_medium_and_the_smallest_papers(boxport_site: Site, media: int) -> None:
    async def test(served: Served, client: Client) -> None:
        for start in STARTS[media]:
            for data in (start, start + b"x", start + bytes(70_000)):
                name(served.intake, data, media)
                await put(client, data, TYPES[media].upper())
                assert (await client.reply()).status == 201
                assert files(served)[sha(data).hex()] == data

    run(boxport_site, test)


async def refused(served: Served, client: Client, status: int, code: str, retry: str) -> str:
    """Insists on a refusal that leaves nothing behind; its sentence."""
    reply = await client.reply()
    assert (reply.status, reply.code, reply.problem["retry"]) == (status, code, retry)
    assert files(served) == {}
    assert served.intake.stored == []
    assert served.value("tallygate_requests_refused_total", code=code) == 1
    assert results(served) == {"refused": 1}
    return str(reply.problem["detail"])


def test_bytes_with_another_hash(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        await put(client, PNG[:-1] + b"!", at=path(PNG))
        await refused(served, client, 422, "attachment.hash", "fix")
        # It was read to its end, so the right one may follow.
        await put(client, PNG)
        assert (await client.reply()).status == 201

    run(boxport_site, test)


@pytest.mark.parametrize(
    ("media", "data"), [(2, SVG), (1, PNG), (3, PNG), (2, b"\x89PNG\r\n\x1a"), (4, b"II*")]
)
def test_an_svg_in_pngs_clothing(boxport_site: Site, media: int, data: bytes) -> None:
    """The statement, the length and the hash are right; the bytes are no file of the medium."""

    async def test(served: Served, client: Client) -> None:
        name(served.intake, data, media)
        await put(client, data, TYPES[media])
        assert "do not begin" in await refused(served, client, 422, "attachment.hash", "fix")

    run(boxport_site, test)


def test_another_size_or_medium_than_the_log_names(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        await put(client, PNG + b"!", at=path(PNG))
        words = await refused(served, client, 422, "attachment.hash", "fix")
        assert "102,408 bytes of image/png" in words
        async with served.client() as another:
            await put(another, PNG, "image/tiff")
            assert (await another.reply()).code == "attachment.hash"

    run(boxport_site, test)


def test_a_paper_that_only_another_device_has_named(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG, device=2)
        await put(client, PNG)
        await refused(served, client, 422, "attachment.not_named", "fix")

    run(boxport_site, test)


def test_the_commission_brings_no_papers(boxport_site: Site) -> None:
    async def main() -> None:
        async with (
            serving(boxport_site, FakeIntake()) as served,
            served.client(boxport_site.identity("commission", 1)) as client,
        ):
            name(served.intake, PNG)
            await put(client, PNG)
            await refused(served, client, 403, "identity.role", "fix")

    trio.run(main, clock=MockClock())


@pytest.mark.parametrize("media_type", ["", "image/svg+xml", "image/png; charset=x", "application/cose"])
def test_other_media_types(boxport_site: Site, media_type: str) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        await put(client, PNG, media_type)
        await refused(served, client, 415, "request.media_type", "fix")

    run(boxport_site, test)


@pytest.mark.parametrize("size", [MAX_PAPER + 1, 30_000_000])
def test_thirty_megabytes_are_refused_by_their_length(boxport_site: Site, size: int) -> None:
    async def test(served: Served, client: Client) -> None:
        fields = f"Host: a\r\nContent-Type: image/png\r\nContent-Length: {size}"
        await client.raw(f"PUT {path(PNG)} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
        await refused(served, client, 413, "request.too_large", "never")
        await client.ended()

    run(boxport_site, test)


def test_nothing_is_no_paper(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        await put(client, b"", at=path(PNG))
        await refused(served, client, 422, "attachment.hash", "fix")

    run(boxport_site, test)


def test_who_waits_is_told_to_go_on_or_that_it_is_there(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        await client.raw(head(PNG, "Expect: 100-continue"))
        assert await client.stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.raw(PNG)
        assert (await client.reply()).status == 201
        await client.raw(head(PNG, "Expect: 100-continue"))
        reply = await client.reply()
        # Nobody can tell whether the body follows: the connection ends.
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert served.value("tallygate_papers_received_bytes_total") == len(PNG)

    run(boxport_site, test)


@pytest.mark.parametrize("expects", [(), ("Expect: 100-continue",)])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_body_that_reads_like_a_request_is_none(
    boxport_site: Site, wanted: bool, expects: tuple[str, ...]
) -> None:
    """A paper that is a request, with another behind it in the same record: nothing is taken for another."""
    statements = [STATEMENT + b"1", STATEMENT + b"2"]
    smuggled, behind = (HEAD + f"Content-Length: {len(one)}\r\n\r\n".encode() + one for one in statements)
    data = PNG[:8] + smuggled

    async def test(served: Served, client: Client) -> None:
        if wanted:
            name(served.intake, data)
        await client.raw(head(data, *expects) + data + behind)
        if wanted:
            assert (await client.reply()).status == (await client.reply()).status == 201
        else:
            # Nobody can tell where the next request begins.
            assert (await client.reply()).code == "attachment.not_named"
            await client.ended()
        assert [statement for statement, _, _ in served.intake.received] == statements[1:] * wanted

    run(boxport_site, test)


def test_a_line_of_one_kibibyte_a_second_is_fast_enough(boxport_site: Site) -> None:
    clock = MockClock()
    data = PNG[:40_960]

    async def test(served: Served, client: Client) -> None:
        name(served.intake, data)
        await client.raw(head(data))
        await until(lambda: served.value("tallygate_papers_inflight") == 1)
        for second in range(40):
            await client.raw(data[second * 1_024 : (second + 1) * 1_024])
            received = (second + 1) * 1_024
            await until(partial(_has_received, served, received))
            await step(clock, 1)
        assert (await client.reply()).status == 201

    run(boxport_site, test, clock=clock)


def _has_received(served: Served, count: int) -> bool:
    return served.value("tallygate_papers_received_bytes_total") == count


@pytest.mark.parametrize("size", [1_000, 40_960])
def test_a_slower_line_is_given_up(boxport_site: Site, size: int) -> None:
    clock = MockClock()
    data = PNG[:size]

    async def test(served: Served, client: Client) -> None:
        name(served.intake, data)
        await client.raw(head(data) + data[:-1])
        await until(partial(_has_received, served, size - 1))
        await step(clock, size / 1_024 + 9.9)
        assert served.value("tallygate_papers_inflight") == 1
        await step(clock, 0.2)
        reply = await client.reply()
        assert (reply.status, reply.code, reply.problem["retry"]) == (408, "request.timeout", "later")
        await client.ended()
        assert files(served) == {}
        assert results(served) == {"broken": 1}

    run(boxport_site, test, clock=clock)


def test_a_line_that_is_silent_for_a_minute_is_given_up(boxport_site: Site) -> None:
    """It has hours, and its slot would be somebody else's."""
    clock = MockClock()
    data = PNG[:8] + bytes(MAX_PAPER - 8)

    async def test(served: Served, client: Client) -> None:
        name(served.intake, data)
        await client.raw(head(data) + data[:10])
        await until(partial(_has_received, served, 10))
        await step(clock, 59)
        await client.raw(data[10:11])
        await until(partial(_has_received, served, 11))
        await step(clock, 59)
        assert served.value("tallygate_papers_inflight") == 1
        await step(clock, 2)
        assert (await client.reply()).code == "request.timeout"
        assert files(served) == {}

    run(boxport_site, test, clock=clock)


@pytest.mark.parametrize("how", ["reset", "close_notify", "silence"])
def test_a_cut_line_leaves_nothing(boxport_site: Site, how: str) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        await client.raw(head(PNG) + PNG[:80_000])
        await until(partial(_has_received, served, 80_000))
        await until(lambda: len(files(served)) == 1)
        (left,) = files(served)
        assert left.startswith(f".{sha(PNG).hex()}.")
        if how == "reset":
            client.die()
        if how == "close_notify":
            await client.say_goodbye()
        else:
            client.stream.transport_stream.socket.close()
        await until(lambda: results(served) == {"broken": 1})
        assert files(served) == {}
        assert served.value("tallygate_papers_inflight") == 0
        assert served.value("tallygate_faults_total") == 0
        # Somebody else is served as if nothing had been.
        async with served.client() as another:
            await put(another, PNG)
            assert (await another.reply()).status == 201

    run(boxport_site, test)


def test_a_line_that_the_system_gives_up_is_no_fault_of_the_disk(
    boxport_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        await client.raw(head(PNG) + PNG[:80_000])
        await until(partial(_has_received, served, 80_000))

        def timed_out(_: Connection) -> bytes:
            raise OSError(errno.ETIMEDOUT, "Connection timed out")

        with monkeypatch.context() as patch:
            patch.setattr(Connection, "_receive", timed_out)
            await client.raw(PNG[80_000:])
            await until(lambda: results(served) == {"broken": 1})
        assert files(served) == {}
        assert "attachments.fault" not in served.events()
        assert served.value("tallygate_faults_total") == 0

    run(boxport_site, test)


def test_two_bring_the_same_paper_at_once(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        await client.raw(head(PNG) + PNG[:80_000])
        await until(partial(_has_received, served, 80_000))
        async with served.client() as another:
            await put(another, PNG)
            assert (await another.reply()).status == 201
        await client.raw(PNG[80_000:])
        assert (await client.reply()).status == 200
        assert files(served) == {sha(PNG).hex(): PNG}
        assert results(served) == {"stored": 1, "known": 1}

    run(boxport_site, test)


def test_a_file_that_the_ledger_does_not_know_yet_is_noted(boxport_site: Site) -> None:
    """Killed between the rename and the row: whoever comes again is answered when the row is there."""

    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        (served.papers / sha(PNG).hex()).write_bytes(PNG)
        await put(client, PNG)
        assert (await client.reply()).status == 200
        assert served.intake.stored == [(sha(PNG), len(PNG), 2)]

    run(boxport_site, test)


def test_a_file_that_the_disk_has_lost_is_taken_again(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        served.intake.stored.append((sha(PNG), len(PNG), 2))
        (served.papers / sha(PNG).hex()).write_bytes(PNG[:-1])
        await put(client, PNG)
        assert (await client.reply()).status == 201
        assert files(served) == {sha(PNG).hex(): PNG}

    run(boxport_site, test)


def test_the_share_of_a_device(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        first, second = name(served.intake, PNG), name(served.intake, PNG + b"2")
        served.intake.quota = 2 * len(PNG)
        # What fails takes nothing of the share.
        await put(client, PNG[:-1] + b"!", at=path(first))
        assert (await client.reply()).code == "attachment.hash"
        await put(client, first)
        assert (await client.reply()).status == 201
        await client.raw(head(second))
        reply = await client.reply()
        assert (reply.status, reply.code, reply.problem["retry"]) == (429, "limit.device", "later")
        assert int(reply.headers["retry-after"]) >= 300
        assert sorted(files(served)) == [sha(first).hex()]

    run(boxport_site, test)


def test_two_at_once_do_not_both_get_the_last_of_a_share(
    boxport_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)
    waits = iter([both.wait, both.wait])
    real = Shelf.keeps

    def keeps(shelf: Shelf, sha256: bytes, size: int, noted: bool) -> bool:
        next(waits)(60)
        return real(shelf, sha256, size, noted)

    async def test(served: Served, client: Client) -> None:
        papers = name(served.intake, PNG), name(served.intake, PNG + b"2")
        served.intake.quota = len(PNG) + 1
        answers = []

        async def bring(line: Client, data: bytes) -> None:
            await line.raw(head(data, "Expect: 100-continue"))
            answers.append(bytes(await line.stream.receive_some())[:12])

        monkeypatch.setattr(Shelf, "keeps", keeps)
        async with served.client() as another, trio.open_nursery() as nursery:
            nursery.start_soon(bring, client, papers[0])
            nursery.start_soon(bring, another, papers[1])
        assert sorted(answers) == [b"HTTP/1.1 100", b"HTTP/1.1 429"]

    run(boxport_site, test)


def test_statements_come_before_papers_on_the_disk(boxport_site: Site) -> None:
    limits = Limits(disk_reserve_bytes=10_000, attachment_reserve_bytes=5_000)

    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        served.free[0] = 15_000 + len(PNG) - 1
        await client.raw(head(PNG))
        assert (await client.reply()).code == "limit.storage"
        served.free[0] += 1
        async with served.client() as another:
            await put(another, PNG)
            assert (await another.reply()).status == 201
            assert (await another.post()).status == 201

    run(boxport_site, test, limits=limits)


def test_papers_take_a_quarter_of_the_connections(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        other = name(served.intake, PNG + b"2")
        name(served.intake, PNG)
        await client.raw(head(PNG))
        await until(lambda: served.value("tallygate_papers_inflight") == 1)
        async with served.client() as another:
            await another.raw(head(other))
            reply = await another.reply()
            assert (reply.status, reply.code, reply.problem["retry"]) == (503, "limit.overload", "later")
            assert "retry-after" in reply.headers
        await client.raw(PNG)
        assert (await client.reply()).status == 201

    run(boxport_site, test, limits=Limits(connections=7))


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_certificate_that_goes_bad_while_its_paper_comes_in(
    boxport_site: Site, tmp_path: Path, how: str
) -> None:
    """A paper may take hours: whoever was revoked meanwhile brings nothing to its end."""
    site = boxport_site
    pki = site.copy_pki(tmp_path)
    until_ = (site.now // 1_000 + 60) * 1_000
    lost = site.issue(f"lost-{how}", validity=Validity(site.now - DAY, until_))

    async def main() -> None:
        async with serving(site, FakeIntake(), pki=pki) as served, served.client(lost) as client:
            name(served.intake, PNG)
            await client.raw(head(PNG) + PNG[:80_000])
            await until(partial(_has_received, served, 80_000))
            if how == "revoked":
                (pki / "crl.pem").write_bytes(site.crl(lost))
                assert await served.tls.reload()
            else:
                served.real[0] = until_ + 1
            await client.raw(PNG[80_000:])
            reply = await client.reply()
            assert (reply.status, reply.code, reply.headers["connection"]) == (
                403,
                "identity.revoked",
                "close",
            )
            assert (files(served), served.intake.stored, results(served)) == ({}, [], {"refused": 1})
            assert served.value("tallygate_faults_total") == 0

    trio.run(main, clock=MockClock())


def test_a_newer_connection_takes_the_place_of_one_that_is_stuck(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        await client.raw(head(PNG) + PNG[:80_000])
        await until(partial(_has_received, served, 80_000))
        async with served.client() as another:
            await put(another, PNG)
            assert (await another.reply()).status == 201
        await until(lambda: results(served) == {"stored": 1, "broken": 1})
        assert list(files(served)) == [sha(PNG).hex()]

    run(boxport_site, test, limits=Limits(connections_per_certificate=1))


@pytest.mark.parametrize(
    ("call", "number", "status"),
    [
        ("write", 28, 507),
        ("write", 5, 500),
        ("fdatasync", 5, 500),
        ("fsync", 5, 500),
        ("fsync", 28, 507),
        ("replace", 5, 500),
    ],
)
def test_a_disk_that_fails(
    boxport_site: Site, monkeypatch: pytest.MonkeyPatch, call: str, number: int, status: int
) -> None:
    """Nothing is promised, nothing is left, and the next upload is a new one."""

    def fail(*_: object) -> None:
        raise OSError(number, "the disk")

    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        with monkeypatch.context() as patch:
            patch.setattr("gateway.boxport.attachments.SYNCED", 1)
            if call == "replace":
                patch.setattr(Path, "replace", fail)
            else:
                patch.setattr(os, call, fail)
            await put(client, PNG)
            reply = await client.reply()
        assert reply.status == status
        assert files(served) == {}
        assert served.intake.stored == []
        async with served.client() as another:
            await put(another, PNG)
            assert (await another.reply()).status == 201

    run(boxport_site, test)


def test_a_name_that_may_not_last_is_taken_back(boxport_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's fsync fails behind the rename: no later upload may find it and be told it is safe."""
    calls = []

    def sync(folder: Path) -> None:
        calls.append(sorted(entry.name for entry in folder.iterdir()))
        raise OSError(5, "the disk")

    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        with monkeypatch.context() as patch:
            patch.setattr("gateway.boxport.attachments.sync_directory", sync)
            await put(client, PNG)
            assert (await client.reply()).code == "server.fault"
        assert calls == [[sha(PNG).hex()]]
        assert files(served) == {}
        assert results(served) == {"fault": 1}
        assert "attachments.fault" in served.events()

    run(boxport_site, test)


def test_a_ledger_that_fails_ends_the_port(boxport_site: Site) -> None:
    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        served.intake.failure = LedgerFailedError("the disk")
        await put(client, PNG)
        assert (await client.reply()).code == "limit.overload"
        await served.stopped.wait()
        assert served.failures

    run(boxport_site, test)


def test_what_a_killed_process_has_left_is_removed_at_the_start(boxport_site: Site, tmp_path: Path) -> None:
    left = tmp_path / f".{'ab' * 32}.{'0' * 16}.tmp"
    others = [tmp_path / ("cd" * 32), tmp_path / ".note", tmp_path / f".{'ab' * 32}.tmp"]
    for file in (left, *others):
        file.write_bytes(b"x")

    async def main() -> None:
        async with serving(boxport_site, FakeIntake(), papers=tmp_path):
            pass

    trio.run(main, clock=MockClock())
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_a_stop_waits_for_a_paper_and_not_for_ever(boxport_site: Site) -> None:
    clock = MockClock()

    async def test(served: Served, client: Client) -> None:
        name(served.intake, PNG)
        await client.raw(head(PNG) + PNG[:80_000])
        await until(partial(_has_received, served, 80_000))
        served.port.stop()
        await step(clock, 11)
        with contextlib.suppress(trio.BrokenResourceError):
            await client.stream.receive_some()
        await served.stopped.wait()
        assert files(served) == {}

    run(boxport_site, test, clock=clock)


@pytest.mark.peer
def test_curl_brings_the_largest_paper(boxport_site: Site, tmp_path: Path) -> None:
    require_program("curl")
    data = PNG[:8] + os.urandom(MAX_PAPER - 8)
    (tmp_path / "scan.png").write_bytes(data)
    papers = tmp_path / "papers"
    identity = boxport_site.identity()
    shutil.copy(identity.certificate, tmp_path / "box.pem")
    shutil.copy(identity.key, tmp_path / "box.key")

    async def main() -> None:
        async with serving(boxport_site, FakeIntake(), papers=papers) as served:
            name(served.intake, data)
            command = ["curl", "--silent", "--show-error", "--cacert", str(boxport_site.pki / "ca.pem")]
            command += ["--cert", "box.pem", "--key", "box.key", "--header", "Content-Type: image/png"]
            command += ["--upload-file", "scan.png", "--write-out", "%{http_code}"]
            command.append(f"https://{served.address}{path(data)}")
            for status in ("201", "200"):
                done = await trio.run_process(
                    command, cwd=tmp_path, capture_stdout=True, stderr=subprocess.STDOUT
                )
                assert done.stdout.decode().endswith(status), done.stdout

    papers.mkdir()
    trio.run(main)
    assert (papers / sha(data).hex()).read_bytes() == data
