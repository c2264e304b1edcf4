"""`tallygate-box run` as a process, with the real gateway: counts go in, receipts are there."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.box.cli import main
from tests.integration.client_cli import Program, started
from tests.integration.test_cli_box_send import AFTER, Served, make_box, serve
from tests.integration.test_cli_serve import EXAMPLES, Gateways


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served")
    gateways = Gateways(root)
    try:
        yield serve(root, gateways, AFTER)
    finally:
        gateways.stop()


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


def put(counts: Path, report: str) -> None:
    """As a voting machine does it: whole before it has its name."""
    shutil.copy(EXAMPLES / "counts" / f"{report}.toml", counts / f".{report}")
    (counts / f".{report}").rename(counts / f"{report}.toml")


def read_until(process: subprocess.Popen[str], pattern: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if re.match(pattern, line):
            return
    raise AssertionError(f"it ended without {pattern}")


def test_counts_become_receipts(served: Served, program: Program, tmp_path: Path) -> None:
    device = make_box(program, served.night / "devices", tmp_path, 1)
    counts = tmp_path / "counts"
    counts.mkdir()
    run = ("run", device, counts, "--online", "--address", served.address)
    with started("box", *run) as process:
        read_until(process, "statements   0 signed")
        put(counts, "opening")
        read_until(process, "signed       1 opening 101-")
        read_until(process, r"delivered    1 opening 101-\w+: place \d+ of the log")
        process.kill()
    with started("box", *run) as process:
        read_until(process, "statements   1 signed, 0 not delivered yet")
        put(counts, "result")
        read_until(process, r"delivered    2 result 101-\w+: place \d+ of the log")
        second = program("run", device, counts)
        assert (second.code, "[send.busy]" in second.err) == (1, True)
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.read().startswith("everything is delivered")
        assert process.wait(timeout=20) == 0
    assert sorted(path.name for path in (counts / "signed").iterdir()) == [
        "000001-opening.toml",
        "000002-result.toml",
    ]


def test_before_the_close_the_line_stays_shut(served: Served, program: Program, tmp_path: Path) -> None:
    """The election of the examples closes years from now, by any clock."""
    device = make_box(program, served.night / "devices", tmp_path, 1)
    counts = tmp_path / "counts"
    counts.mkdir()
    put(counts, "opening")
    with started("box", "run", device, counts, "--address", served.address) as process:
        read_until(process, "signed       1 opening 101-")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "1 of 1 statements still to be delivered: number 1" in process.stderr.read()
        assert process.wait(timeout=20) == 0
    with started("box", "run", device, counts, "--address", served.address) as process:
        read_until(process, "offline      until 2031-10-05T14:00:00.000Z")
        put(counts, "result")
        read_until(process, "signed       2 result 101-")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert list((device / "receipts").iterdir()) == []


def test_without_a_folder_for_counts(served: Served, program: Program, tmp_path: Path) -> None:
    device = make_box(program, served.night / "devices", tmp_path, 1)
    ended = program("run", device, tmp_path / "counts")
    assert (ended.code, "[file.no_folder]" in ended.err) == (1, True)
