"""A scan from a box to the public: real programs, real lines, and a gateway that is killed on the way."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from clients.box.cli import main
from tests.integration.client_cli import Program
from tests.integration.test_cli_box_send import AFTER, make_box
from tests.integration.test_cli_serve import EXAMPLES, Gateways, gateways, run, the_ready

__all__ = ["gateways"]

ROOT = Path(__file__).parents[2]
PATIENCE = 30
PDF = b"%PDF-1.7\n" + os.urandom(3_000_000)
PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(50_000)


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def start(root: Path, gateways: Gateways) -> tuple[Path, str]:
    """A night whose polls are closed, with ingest and publish; and where its box port is."""
    night = root / "night"
    options = ("--election", EXAMPLES / "hill-country", "--rehearsal", "--start", AFTER)
    assert run("init", night, *options).code == 0
    config = night / "tallygate.toml"
    text = re.sub(r":(8443|8080|964\d)\b", ":0", config.read_text())
    text = re.sub(r"(?m)^(attachment|disk)_reserve_bytes = .*", r"\1_reserve_bytes = 1", text)
    config.write_text(re.sub(r"(?m)^start = .*", 'start = ["ingest", "publish"]', text))
    _, _, ready = gateways.serve(night)
    return night, ready.box[0]


def attach(program: Program, device: Path, counts: Path, *papers: bytes) -> None:
    """Signs a report of documents with these scans."""
    lines = ['report = "documents"', "station = 101"]
    for page, data in enumerate(papers, 1):
        (counts.parent / f"scan-{page}").write_bytes(data)
        lines += ["[[attachments]]", f'file = "scan-{page}"', 'document = "protocol"', f"page = {page}"]
    counts.write_text("\n".join(lines))
    program.good("sign", device, counts, "--signed-at", AFTER)


def observe(night: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "clients.observer.cli", "verify", night / "feed", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verdict: dict[str, object] = json.loads(done.stdout)
    return verdict


def papers_of(verdict: dict[str, object]) -> tuple[object, object]:
    """How many papers are right, and how many are missing."""
    checks = verdict["checks"]
    assert isinstance(checks, list)
    [right] = [check["count"] for check in checks if check["name"] == "papers"]
    return right, verdict["papers_missing"]


def test_a_scan_from_the_box_to_the_public(gateways: Gateways, program: Program, tmp_path: Path) -> None:
    night, address = start(tmp_path, gateways)
    device = make_box(program, night / "devices", tmp_path, 1)
    attach(program, device, tmp_path / "documents.toml", PDF, PNG)
    said = program.good("status", device)
    assert said.count("NOT YET") == 3
    assert f"pdf of 3,000,009 bytes, statement 1: {sha(PDF)[:16]}…" in said

    lines = program.good("send", device, "--address", address).splitlines()
    assert lines[1:3] == ["statements   1 signed, 1 not delivered yet", "papers       2 not delivered yet"]
    assert [line.split()[0] for line in lines[3:6]] == ["delivered", "taken", "taken"]
    status = json.loads(program.good("status", device, "--json"))
    assert [(paper["sha256"], paper["taken"]) for paper in status["papers"]] == [
        (sha(PDF), True),
        (sha(PNG), True),
    ]
    for data in (PDF, PNG):
        assert (night / "data" / "attachments" / sha(data)).read_bytes() == data
        public = night / "feed" / "attachments" / sha(data)
        until(public.exists)
        assert public.read_bytes() == data
        assert public.stat().st_mode & 0o777 == 0o644
    assert papers_of(observe(night)) == (2, 0)
    # A box that has forgotten that they were taken asks, and sends nothing of them.
    for note in (device / "receipts").glob("*.taken"):
        note.unlink()
    assert program.good("send", device, "--address", address).count("known") == 2


def test_a_gateway_that_is_killed_while_a_scan_comes(
    gateways: Gateways, program: Program, tmp_path: Path
) -> None:
    """The box goes on by itself; under the scan's name there is never anything but the scan."""
    night, address = start(tmp_path, gateways)
    # The next one listens where this one did.
    config = night / "tallygate.toml"
    config.write_text(re.sub(r"(?m)^box = .*", f'box = ["{address}"]', config.read_text()))
    device = make_box(program, night / "devices", tmp_path, 1)
    attach(program, device, tmp_path / "documents.toml", PDF)
    stored = night / "data" / "attachments"
    sending = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from clients.box.cli import main; main()",
            "send",
            device,
            "--address",
            address,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        kills = 0
        while kills < 3 and not (stored / sha(PDF)).exists():
            until(lambda: any(stored.iterdir()))
            ready = the_ready(night)
            os.kill(ready.pid, signal.SIGKILL)
            kills += 1
            until(partial(the_other, night, ready.pid))
            for left in stored.iterdir():
                assert left.name == sha(PDF) or left.name.startswith(f".{sha(PDF)}.")
            if (stored / sha(PDF)).exists():
                assert (stored / sha(PDF)).read_bytes() == PDF
        assert sending.wait(PATIENCE) == 0
    finally:
        sending.kill()
        sending.communicate()
    assert kills >= 1
    assert [one.name for one in stored.iterdir()] == [sha(PDF)]
    until((night / "feed" / "attachments" / sha(PDF)).exists)
    assert papers_of(observe(night)) == (1, 0)


def the_other(night: Path, before: int) -> bool:
    """Whether the supervisor has started ingest again."""
    try:
        return the_ready(night).pid != before
    except (AssertionError, OSError):
        return False
