"""docs/box-port.md can be typed (curl is the peer), and its tables say what the code does."""

import hashlib
import json
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
import trio

from gateway.base.config import Limits
from gateway.base.media import MAX_PAPER
from gateway.boxport.answers import WAITS
from gateway.boxport.limits import SILENT_SECONDS
from gateway.boxport.problems import KINDS
from gateway.ledger.protocol import Named, Retry, Standing
from tests.boxport_client import NOTE, STATEMENT, FakeIntake, Site, serving
from tests.peers import require_program

DOCS = (Path(__file__).parents[2] / "docs" / "box-port.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a header row that begins like this."""
    table = DOCS[DOCS.index(f"| {heading} |") :].partition("\n\n")[0]
    return [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_the_table_of_codes_is_the_codes() -> None:
    assert {code: int(status) for code, status, _ in rows("code")} == {
        code: kind.status for code, kind in KINDS.items()
    }


def test_words_and_limits() -> None:
    assert {retry for retry, _ in rows("`retry`")} == set(get_args(Retry))
    assert {outcome for outcome, _, _ in rows("outcome")} == set(get_args(Standing))
    defaults = Limits()
    for figure in (
        f"| handshake | {defaults.handshake_seconds} s from",
        f"{defaults.handshake_seconds_under_pressure} s while the gateway is full",
        f"| a request | {defaults.request_seconds} s from",
        f"| a connection without a request | {defaults.idle_seconds} s after",
        f"| requests on a connection | {defaults.requests_per_connection};",
        f"| requests a minute | {defaults.device_requests_per_minute} for a device, "
        f"{defaults.courier_requests_per_minute:,} for",
        f"| connections of one certificate holder | {defaults.connections_per_certificate}. ",
        f"| connections in all | {defaults.connections:,}. ",
        f"over one certificate | {defaults.entries_per_device} |",
        f"packets name | {defaults.attachment_bytes_per_device:,} |",
        f"… of a desk | {defaults.attachment_bytes_per_desk_station:,} more",
        f"| a paper | its bytes ÷ {defaults.attachment_bytes_per_second:,} in seconds, and "
        f"{defaults.request_seconds} s more; {SILENT_SECONDS} s without",
        f"more than {MAX_PAPER:,} of a paper",
        f"about one station | {defaults.station_bytes_per_device // 1024} KiB in the log",
    ):
        assert figure in DOCS


def test_whoever_is_told_when_is_told_by_the_code() -> None:
    """Retry-After belongs to 425, 429, 503 and 507 and to nothing else."""
    assert {KINDS[code].status for code in WAITS} == {425, 429, 503, 507}
    assert {code for code, kind in KINDS.items() if kind.status in {425, 429, 503, 507}} == set(WAITS)


@pytest.mark.peer
def test_the_examples_with_curl(boxport_site: Site, tmp_path: Path) -> None:
    require_program("curl")
    commands = re.findall(r"^\$ (curl .*)$", DOCS, re.MULTILINE)
    assert len(commands) == 4
    identity = boxport_site.identity()
    shutil.copy(identity.certificate, tmp_path / "box.pem")
    shutil.copy(identity.key, tmp_path / "box.key")
    shutil.copy(boxport_site.pki / "ca.pem", tmp_path / "ca.pem")
    (tmp_path / "statement.cose").write_bytes(STATEMENT)
    scan = b"\x89PNG\r\n\x1a\n" + bytes(3_000_000)
    (tmp_path / "scan.png").write_bytes(scan)

    async def shell(command: str) -> str:
        run = partial(
            trio.run_process,
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=tmp_path,
            capture_stdout=True,
            stderr=subprocess.DEVNULL,
        )
        done: subprocess.CompletedProcess[bytes] = await run()
        return done.stdout.decode()

    async def main() -> None:
        intake = FakeIntake()
        async with serving(boxport_site, intake) as served:
            upload, ask, present, attach = (
                command.replace("127.0.0.1:8443", str(served.address)) for command in commands
            )
            await shell(upload)
            head = (tmp_path / "head.txt").read_text()
            receipt = (tmp_path / "receipt.txt").read_text()
            assert head.startswith("HTTP/1.1 201 Created\n")
            assert "Tallygate-Outcome: accepted\n" in head
            assert "Tallygate-Index: 0\n" in head
            assert receipt.endswith(NOTE)
            await shell(upload)
            assert (tmp_path / "head.txt").read_text().startswith("HTTP/1.1 200 OK\n")
            assert await shell(ask) == receipt
            assert json.loads(await shell(present))["device"] == 1
            assert [one for one, _, _ in intake.received] == [STATEMENT] * 2
            assert hashlib.sha256(STATEMENT).hexdigest() in (await shell("sha256sum statement.cose"))
            sha256 = hashlib.sha256(scan).digest()
            assert json.loads(await shell(attach))["code"] == "attachment.not_named"
            intake.named[sha256] = (Named(1, 101, 2, len(scan)),)
            assert json.loads(await shell(attach)) == {"sha256": sha256.hex(), "size": len(scan)}
            assert (served.papers / sha256.hex()).read_bytes() == scan
            # A larger one is refused before curl has sent it, and curl understands.
            (tmp_path / "statement.cose").write_bytes(bytes(3_000_000))
            await shell(upload)
            assert (tmp_path / "head.txt").read_text().startswith("HTTP/1.1 413 ")
            assert json.loads((tmp_path / "receipt.txt").read_text())["code"] == "request.too_large"

    trio.run(main)


@pytest.mark.peer
def test_many_curls_at_once(boxport_site: Site, tmp_path: Path) -> None:
    curl = require_program("curl")

    async def upload(served_at: str, number: int) -> None:
        identity = boxport_site.identity("box", number)
        path = tmp_path / f"{number}.cose"
        path.write_bytes(b"%d" % number)
        done = await trio.run_process(
            [
                curl, "--silent", "--show-error", "--fail", "--cacert", boxport_site.pki / "ca.pem",
                "--cert", identity.certificate, "--key", identity.key, "--data-binary", f"@{path}",
                "--header", "Content-Type: application/cose", f"https://{served_at}/v1/statements",
            ],
            capture_stdout=True,
        )  # fmt: skip
        assert b"c2sp.org/tlog-proof" in done.stdout

    async def main() -> None:
        intake = FakeIntake()
        async with serving(boxport_site, intake) as served:
            async with trio.open_nursery() as nursery:
                for number in boxport_site.boxes()[:12]:
                    nursery.start_soon(upload, str(served.address), number)
            assert len(intake.received) == 12
            assert served.value("tallygate_tls_handshakes_total", result="ok") == 12

    trio.run(main)
