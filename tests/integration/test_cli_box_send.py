"""`tallygate-box send` and `status` as a commission sees them: against the real gateway and against liars."""

import contextlib
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from clients.box.cli import main
from clients.wire.site import Address
from gateway.base.clock import DAY
from gateway.pki import certificates as x
from tests.boxport_client import FakeIntake, Site, serving
from tests.integration.client_cli import Program, started
from tests.integration.test_cli_serve import EXAMPLES, Gateways, run
from tests.lying_gateway import End, Say, TestLog, http, logged, lying, problem, server_context
from tests.peers import require_program

# A minute and more after the close of examples/hill-country, and a day before it.
AFTER = "2031-10-05T14:03:00Z"
BEFORE = "2031-10-04T14:00:00Z"


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


class Served(NamedTuple):
    """A running gateway, made for this module."""

    night: Path
    address: str
    log_key: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """After the close, when everything is taken."""
    root = tmp_path_factory.mktemp("served")
    gateways = Gateways(root)
    try:
        yield serve(root, gateways, AFTER)
    finally:
        gateways.stop()


def serve(root: Path, gateways: Gateways, start: str) -> Served:
    night = root / "night"
    options = ("--election", EXAMPLES / "hill-country", "--rehearsal", "--start", start)
    assert run("init", night, *options).code == 0
    config = night / "tallygate.toml"
    text = re.sub(r":(8443|9640)\b", ":0", config.read_text())
    config.write_text(re.sub(r"(?m)^start = .*", 'start = ["ingest"]', text))
    _, _, ready = gateways.serve(night)
    assert ready.log_key is not None
    return Served(night, ready.box[0], ready.log_key)


def make_box(program: Program, devices: Path, folder: Path, number: int, *reports: str) -> Path:
    """A device of a rehearsal that has signed these of examples/counts for its own station."""
    device = folder / f"box-{number}"
    program.good("init", device, "--bundle", devices, "--device", str(number))
    for report in reports:
        counts = folder / f"{report}.toml"
        text = (EXAMPLES / "counts" / f"{report}.toml").read_text()
        counts.write_text(text)
        program.good("sign", device, counts, "--signed-at", AFTER)
    return device


def box_of(served: Served, program: Program, folder: Path, *reports: str) -> Path:
    return make_box(program, served.night / "devices", folder, 1, *reports)


class TestRealGateway:
    def test_a_night(self, served: Served, program: Program, tmp_path: Path) -> None:
        device = box_of(served, program, tmp_path, "opening", "turnout", "result")
        said = program.good("status", device)
        assert said.count("NOT YET      ") == 3
        assert said.endswith(f"3 of 3 statements are not delivered: tallygate-box send {device}\n")

        lines = program.good("send", device, "--address", served.address).splitlines()
        assert lines[:2] == [
            "device       1 of hill-country-2031-rehearsal",
            "statements   3 signed, 3 not delivered yet",
        ]
        for line, number, kind in zip(lines[2:5], (1, 2, 3), ("opening", "turnout", "result"), strict=True):
            assert re.fullmatch(
                rf"delivered    {number} {kind} 101-[0-9a-f]{{16}}: place \d+ of the log", line
            )
        assert lines[5:] == [f"everything is delivered; the receipts are in {device}/receipts"]

        status = json.loads(program.good("status", device, "--json"))
        assert (status["signed"], status["delivered"], status["log_key"]) == (3, 3, served.log_key)
        places = [statement["index"] for statement in status["statements"]]
        for number, place in enumerate(places, 1):
            proof = subprocess.run(
                [
                    *(sys.executable, "-c", "from clients.observer.cli import main; main()", "receipt"),
                    device / f"receipts/{number:06}.receipt",
                    *("--statement", device / f"statements/{number:06}.cose"),
                    *("--log-key", served.log_key, "--json"),
                ],
                cwd=Path(__file__).parents[2],
                capture_output=True,
                text=True,
            )
            assert proof.returncode == 0, proof.stderr
            assert json.loads(proof.stdout)["index"] == place

        lines = program.good("send", device, "--address", served.address).splitlines()
        assert lines[1:] == [
            "statements   3 signed, 0 not delivered yet",
            f"everything is delivered; the receipts are in {device}/receipts",
        ]
        program.good("send", device, "--again", "--address", served.address)
        again = json.loads(program.good("status", device, "--json"))
        assert [statement["index"] for statement in again["statements"]] == places

    def test_a_lost_answer_costs_nothing(self, served: Served, program: Program, tmp_path: Path) -> None:
        """As after a power cut between the log and the box: the same bytes, the same place."""
        device = box_of(served, program, tmp_path, "opening")
        program.good("send", device, "--address", served.address)
        before = json.loads(program.good("status", device, "--json"))["statements"]
        (device / "receipts/000001.receipt").unlink()
        (device / "receipts").rmdir()
        assert json.loads(program.good("status", device, "--json"))["delivered"] == 0
        program.good("send", device, "--address", served.address)
        after = json.loads(program.good("status", device, "--json"))["statements"]
        assert [one["index"] for one in after] == [one["index"] for one in before]

    def test_the_next_address(self, served: Served, program: Program, tmp_path: Path) -> None:
        device = box_of(served, program, tmp_path, "opening")
        addresses = ("--address", "127.0.0.1:1", "--address", served.address)
        assert "everything is delivered" in program.good("send", device, "--once", *addresses)

    def test_a_full_disk(self, served: Served, program: Program, tmp_path: Path) -> None:
        device = box_of(served, program, tmp_path, "opening", "turnout")
        # No file may have a single byte: every write fails as on a full disk.
        command = [sys.executable, "-c", "from clients.box.cli import main; main()", "send"]
        line = shlex.join([*command, str(device), "--address", served.address])
        ended = subprocess.run(
            ["sh", "-c", f"ulimit -f 0; exec {line}"],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert ended.returncode == 1
        assert ended.stderr.count("but its receipt could not be stored here: File too large. Make room") == 2
        assert "2 of 2 statements still to be delivered: number 1, 2. Nothing is lost" in ended.stderr
        assert list((device / "receipts").iterdir()) == []
        assert "everything is delivered" in program.good("send", device, "--address", served.address)

    def test_before_the_close(
        self, program: Program, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
    ) -> None:
        gateways = Gateways(tmp_path)
        try:
            served = serve(tmp_path_factory.mktemp("early"), gateways, BEFORE)
            device = box_of(served, program, tmp_path, "opening", "result")
            ended = program("send", device, "--once", "--address", served.address)
            assert ended.code == 1
            assert "delivered    1 opening 101-" in ended.out
            assert re.search(r"not yet      2 result 101-.* 2031-10-05T14:00:00.000Z .*too_early]", ended.out)
            assert ended.err.splitlines()[-1].endswith("[send.left]")
        finally:
            gateways.stop()


@contextlib.contextmanager
def liar(site: Site, say: Say) -> Iterator[tuple[str, "queue.Queue[bytes]"]]:
    """A lying port in a thread of its own; its address, and the bodies that it has got."""
    bodies: queue.Queue[bytes] = queue.Queue()
    ready: queue.Queue[tuple[Address, trio.lowlevel.TrioToken, trio.CancelScope]] = queue.Queue()

    def watched(body: bytes) -> tuple[bytes, End]:
        bodies.put(body)
        return say(body)

    async def stay() -> None:
        with trio.CancelScope() as scope:
            async with lying(server_context(site), watched) as (address, _):
                ready.put((address, trio.lowlevel.current_trio_token(), scope))
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(stay,))
    thread.start()
    address, token, scope = ready.get(timeout=20)
    try:
        yield str(address), bodies
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join()


@pytest.fixture
def device(boxport_site: Site, program: Program, tmp_path: Path) -> Path:
    """Box 1 of the rehearsal whose certificates the liars have."""
    return make_box(program, boxport_site.pki.parent / "devices", tmp_path, 1, "opening")


class TestLiars:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (logged(TestLog().receipt(b"another")), "the receipt that came back proves nothing"),
            (logged(b"c2sp.org/tlog-proof@v1\n"), "[receipt.malformed]"),
            (http(200, b"<html>", {"Content-Type": "text/html"}), "[line.answer]"),
            (b"\x00\xff" * 1_000, "[line.answer]"),
            (logged(bytes(5_000))[:3_000], "the connection broke off"),
            (b"", "the connection broke off"),
            (problem("statement.\x1b[31m", "never"), "statement.\\x1b[31m"),
        ],
    )
    def test_are_not_believed(
        self, boxport_site: Site, device: Path, program: Program, words: bytes, said: str
    ) -> None:
        with liar(boxport_site, lambda _: (words, "close")) as (address, bodies):
            ended = program("send", device, "--once", "--address", address)
            assert bodies.get(timeout=20) == (device / "statements/000001.cose").read_bytes()
        assert ended.code == 1
        assert said in ended.out
        assert "\x1b" not in ended.out
        assert "1 of 1 statements still to be delivered: number 1. Nothing is lost" in ended.err
        assert list((device / "receipts").iterdir()) == []

    def test_killed_while_it_waits_for_an_answer(
        self, boxport_site: Site, device: Path, program: Program
    ) -> None:
        with liar(boxport_site, lambda _: (b"", "silence")) as (address, bodies):
            sending = started("box", "send", device, "--address", address)
            bodies.get(timeout=60)
            # Meanwhile nobody else sends, but counts can be signed and looked at.
            ended = program("send", device, "--address", address)
            assert (ended.code, "[send.busy]" in ended.err) == (1, True)
            counts = EXAMPLES / "counts" / "turnout.toml"
            program.good("sign", device, counts, "--signed-at", AFTER)
            assert "2 of 2 statements are not delivered" in program.good("status", device)
            sending.kill()
            sending.communicate()
        ended = program("send", device, "--once", "--address", "127.0.0.1:1")
        assert "statements   2 signed, 2 not delivered yet" in ended.out

    def test_stopped_by_a_person(self, boxport_site: Site, device: Path) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with liar(boxport_site, lambda _: (b"", "silence")) as (address, bodies):
                sending = started("box", "send", device, "--address", address)
                bodies.get(timeout=60)
                sending.send_signal(number)
                out, err = sending.communicate()
            assert sending.returncode == 1
            assert out.splitlines()[-1] == "statements   1 signed, 1 not delivered yet"
            assert err == (
                "error: stopped; 1 of 1 statements still to be delivered: number 1. Nothing is lost, "
                f"`tallygate-box send {device}` goes on [send.left]\n"
            )

    def test_stopped_while_it_waits_for_the_next_try(self, device: Path) -> None:
        sending = started("box", "send", device, "--address", "127.0.0.1:1")
        assert sending.stdout is not None
        while "tried again by itself" not in (line := sending.stdout.readline()):
            assert line
        sending.send_signal(signal.SIGINT)
        _, err = sending.communicate()
        assert (sending.returncode, "Traceback" in err) == (1, False)

    def test_the_certificate_is_out_of_date(
        self, boxport_site: Site, device: Path, program: Program, tmp_path: Path
    ) -> None:
        """The real door's alert, in words."""
        site = boxport_site
        own = site.issue("late", validity=x.Validity(site.now - 3 * DAY, site.now - DAY))
        (device / "tls.pem").write_bytes(own.certificate.read_bytes())
        (device / "keys/tls.key").write_bytes(own.key.read_bytes())
        ready: queue.Queue[tuple[str, trio.lowlevel.TrioToken, trio.CancelScope]] = queue.Queue()

        async def door() -> None:
            with trio.CancelScope() as scope:
                async with serving(site, FakeIntake()) as served:
                    address = f"{served.address.host}:{served.address.port}"
                    ready.put((address, trio.lowlevel.current_trio_token(), scope))
                    await trio.sleep_forever()

        thread = threading.Thread(target=trio.run, args=(door,))
        thread.start()
        address, token, scope = ready.get(timeout=20)
        ended = program("send", device, "--once", "--address", address)
        token.run_sync_soon(scope.cancel)
        thread.join()
        assert ended.code == 1
        assert "out of date, or not valid yet" in ended.out
        assert "[line.certificate_expired]" in ended.out

    @pytest.mark.peer
    @pytest.mark.parametrize(("days", "words"), [("-1d", "not valid yet"), ("+1000d", "out of date")])
    def test_the_clock_is_wrong(self, boxport_site: Site, device: Path, days: str, words: str) -> None:
        faketime = require_program("faketime")
        with liar(boxport_site, lambda _: (b"", "close")) as (address, bodies):
            command = [faketime, "-f", days, sys.executable, "-c", "from clients.box.cli import main; main()"]
            ended = subprocess.run(
                [*command, "send", device, "--once", "--address", address],
                cwd=Path(__file__).parents[2],
                capture_output=True,
                text=True,
            )
            assert bodies.empty()
        assert ended.returncode == 1
        assert f"by the clock of this machine the gateway's certificate is {words}" in ended.stdout

    def test_another_elections_gateway(
        self, boxport_site: Site, device: Path, program: Program, served: Served
    ) -> None:
        with liar(boxport_site, lambda _: (b"", "close")) as (address, bodies):
            settings = json.loads((device / "site.json").read_bytes())
            settings["ca"] = (served.night / "pki" / "ca.pem").read_text()
            (device / "site.json").write_text(json.dumps(settings))
            ended = program("send", device, "--once", "--address", address)
            assert bodies.empty()
        assert "[line.gateway_unknown]" in ended.out


class TestBeforeTheNight:
    def test_without_site_or_certificate(self, device: Path, program: Program) -> None:
        (device / "tls.pem").unlink()
        ended = program("send", device)
        assert (ended.code, "[folder.no_certificate]" in ended.err) == (1, True)
        (device / "site.json").unlink()
        ended = program("send", device)
        assert (ended.code, "[folder.no_site]" in ended.err) == (1, True)
        lines = program.good("status", device).splitlines()
        assert lines[1:3] == ["certificate  none yet", "gateways     not known yet"]
        status = json.loads(program.good("status", device, "--json"))
        assert (status["addresses"], status["certificate_until"], status["delivered"]) == (None, None, 0)

    def test_a_site_for_a_device(self, device: Path, program: Program, tmp_path: Path) -> None:
        good = json.loads((device / "site.json").read_bytes())
        file = tmp_path / "new.json"
        file.write_text(json.dumps({**good, "addresses": ["gateway.example:8443"]}))
        assert f"site         {device}/site.json\n" in program.good("init", device, "--site", file)
        assert "gateways     gateway.example:8443\n" in program.good("status", device)
        changes: list[tuple[dict[str, object], str]] = [
            ({"election": "another"}, "folder.site"),
            ({"definition": "ab" * 32}, "folder.site"),
            ({"log_key": str(TestLog().vkey)}, "folder.site"),
            ({"addresses": []}, "site.malformed"),
        ]
        for change, code in changes:
            file.write_text(json.dumps({**good, **change}))
            ended = program("init", device, "--site", file)
            assert (ended.code, f"[{code}]" in ended.err) == (1, True)
        assert "gateway.example:8443" in (device / "site.json").read_text()
        # Another log is believed by whoever has removed the one before.
        (device / "site.json").unlink()
        file.write_text(json.dumps({**good, "log_key": str(TestLog().vkey)}))
        program.good("init", device, "--site", file)

    def test_a_new_device_with_its_site(self, device: Path, program: Program, tmp_path: Path) -> None:
        new = ("--election", "hill-country-2031-rehearsal", "--device", "9", "--site", device / "site.json")
        said = program.good("init", tmp_path / "new", *new)
        assert f"site         {tmp_path}/new/site.json\n" in said
        ended = program(
            "init", tmp_path / "x", *new[:2], "--device", "9", "--bundle", device, "--site", device
        )
        assert ended.code == 2

    @pytest.mark.parametrize("address", ["", "a", "a:0", "https://a:1"])
    def test_no_address(self, device: Path, program: Program, address: str) -> None:
        ended = program("send", device, "--address", address)
        assert (ended.code, "HOST:PORT" in ended.err) == (2, True)

    def test_nothing_signed(self, boxport_site: Site, program: Program, tmp_path: Path) -> None:
        device = make_box(program, boxport_site.pki.parent / "devices", tmp_path, 1)
        assert program.good("send", device).endswith("nothing to send: this device has signed nothing yet\n")
        assert program.good("status", device).endswith("nothing is signed yet\n")

    def test_a_certificate_that_is_none(self, device: Path, program: Program) -> None:
        (device / "tls.pem").write_text("nothing")
        assert "[line.identity]" in program("send", device).err
        assert "[certificate.malformed]" in program("status", device).err
