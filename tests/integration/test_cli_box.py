"""`tallygate-box` as a technician uses it; the gateway's core judges what comes out."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.box.cli import main
from clients.wire import statement
from clients.wire.definition import Definition
from clients.wire.roster import Roster
from gateway import _core
from gateway.pki.requests import check_request
from tests.integration.client_cli import Program, started
from tests.integration.gateway_cli import Program as GatewayProgram
from tests.unit import box_helpers as box
from tests.unit.wire_election import DEFINITION, ELECTION, Election

EXAMPLES = Path(__file__).parents[2] / "examples"
SIGNED_AT = "2027-01-15T20:03:20Z"


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


@pytest.fixture
def election(tmp_path: Path) -> Election:
    """A rehearsal, so that the tests can say what time it is."""
    own = Election(tmp_path)
    own.write_definition(DEFINITION, {**ELECTION, "mode": "rehearsal"})
    return own


@pytest.fixture
def device(election: Election, program: Program) -> Path:
    path = election.root / "box-7"
    program.good("init", path, "--election", box.ELECTION, "--device", "7", "--definition", election.root)
    return path


def sign(program: Program, device: Path, values: box.Values, *options: str | Path) -> str:
    counts = box.write_json(device.parent / "counts.json", values)
    return program.good("sign", device, counts, "--signed-at", SIGNED_AT, *options)


class TestFromNothing:
    @pytest.mark.parametrize("kind", ["ed25519", "p256"])
    def test_to_a_signed_statement(self, election: Election, program: Program, kind: str) -> None:
        device = election.root / "box-7"
        said = program.good("init", device, "--election", box.ELECTION, "--device", "7", "--tls-key", kind)
        checked = check_request((device / "request.json").read_bytes(), box.ELECTION)
        assert str(checked.holder) == "7"
        assert f"sign key     {checked.sign_key}\n" in said
        assert "none yet: tallygate-box init" in said
        private = (device / "keys/sign.key").read_text().strip()

        said = program.good(
            "init", device, "--definition", election.root, "--definition-hash", election.named
        )
        assert said.endswith(f"definition   {election.named}\n")

        counts = box.write_json(election.root / "counts.json", box.result())
        out = election.root / "copy.cose"
        ended = program("sign", device, counts, "--signed-at", SIGNED_AT, "--out", out)
        assert ended.code == 0
        data = (device / "statements/000001.cose").read_bytes()
        packet = _core.decode(data)
        assert out.read_bytes() == data
        assert (packet.device, packet.station, packet.sequence, packet.report) == (7, 8, 1, 3)
        assert packet.definition.hex() == election.named
        assert checked.sign_key is not None
        key = bytes.fromhex(checked.sign_key)
        assert _core.verify_signature(key, packet.signed_bytes, packet.signature)
        assert ended.out.splitlines() == [
            "signed statement 1 of device 7: result, station 8",
            f"slip         8-{packet.id.hex()[:16]}",
            f"id           {packet.id.hex()}",
            f"file         {device}/statements/000001.cose ({len(data)} bytes)",
        ]
        assert ended.err.splitlines() == [
            "warning: this device has signed no opening of station 8; the tally will flag it [S209]"
        ]

        ended = program("sign", device, counts)
        assert ended.out.startswith("signed before as statement 1 of device 7: result, station 8;")

        shown = program.good("show", out, "--key", checked.sign_key, "--definition", election.root)
        assert "contest 1    Парламент" in shown
        assert shown.endswith("signature    valid\n")
        assert private not in said + ended.out + ended.err + shown

    def test_everything_at_once(self, election: Election, program: Program) -> None:
        device = election.root / "box"
        options = ("--election", box.ELECTION, "--device", "7", "--definition", election.root / "definition")
        said = json.loads(program.good("init", device, *options, "--json"))
        assert said == {
            "folder": str(device),
            "election": box.ELECTION,
            "device": 7,
            "sign_key": json.loads((device / "request.json").read_bytes())["sign_key"],
            "request": str(device / "request.json"),
            "certificate": None,
            "site": None,
            "definition": election.named,
        }
        sign(program, device, box.opening())
        sign(program, device, box.turnout())
        last = json.loads(sign(program, device, box.result(), "--json"))
        assert last["sequence"] == 3
        assert last["warnings"] == []
        assert last["signed_at"] == 1_800_043_400_000
        again = json.loads(sign(program, device, box.result(), "--json"))
        assert again == {**last, "new": False}

    def test_by_this_machines_clock(self, device: Path, program: Program) -> None:
        counts = box.write_json(device.parent / "counts.json", box.turnout())
        said = json.loads(program.good("sign", device, counts, "--json"))
        assert said["signed_at"] > 1_700_000_000_000

    def test_in_a_live_election_the_clock_speaks(
        self, device: Path, program: Program, election: Election
    ) -> None:
        election.write_definition(DEFINITION)
        program.good("init", device, "--definition", election.root, "--definition-hash", election.named)
        counts = box.write_json(device.parent / "counts.json", box.turnout())
        ended = program("sign", device, counts, "--signed-at", SIGNED_AT)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.endswith("[sign.live]\n")
        assert list((device / "statements").iterdir()) == []
        program.good("sign", device, counts)


class TestCertificate:
    @pytest.mark.parametrize("kind", ["ed25519", "p256"])
    def test_as_the_authority_makes_it(self, election: Election, program: Program, kind: str) -> None:
        device = election.root / "box"
        said = program.good("init", device, "--election", box.ELECTION, "--device", "7", "--tls-key", kind)
        assert "certificate  none yet: tallygate-box init" in said
        key = serialization.load_pem_private_key((device / "keys/tls.key").read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey)
        own = box.certificate(key, [f"urn:tallygate:{box.ELECTION}:terminal:7"])
        file = election.root / "7.pem"
        file.write_bytes(b"Certificate of box 7:\n" + own + b"and its CA\n")
        said = json.loads(program.good("init", device, "--certificate", file, "--json"))
        assert said["certificate"] == str(device / "tls.pem")
        assert (device / "tls.pem").read_bytes() == own
        assert f"certificate  {device}/tls.pem\n" in program.good(
            *("init", device, "--certificate", file, "--definition", election.root)
        )

    def test_of_somebody_else(self, device: Path, program: Program) -> None:
        key = serialization.load_pem_private_key((device / "keys/tls.key").read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        other = Ed25519PrivateKey.generate()
        own = f"urn:tallygate:{box.ELECTION}:box:7"
        file = device.parent / "x.pem"
        for pem, code in [
            (box.certificate(other, [own]), "certificate.key"),
            (box.certificate(key, []), "certificate.name"),
            (box.certificate(key, [own, own]), "certificate.name"),
            (box.certificate(key, [f"urn:tallygate:{box.ELECTION}:box:8"]), "certificate.name"),
            (box.certificate(key, [f"urn:tallygate:{box.ELECTION}:courier:7"]), "certificate.name"),
            (box.certificate(key, ["urn:tallygate:example-2028:box:7"]), "certificate.name"),
            (b"", "certificate.malformed"),
            (b"x" * 100_000, "file.too_large"),
        ]:
            file.write_bytes(pem)
            ended = program("init", device, "--certificate", file)
            assert ended.code == 1
            assert f"error: {file}: " in ended.err
            assert f"[{code}]" in ended.err
        assert not (device / "tls.pem").exists()
        file.write_bytes(box.certificate(key, [own]))
        (device / "keys/tls.key").write_bytes(b"")
        assert "[certificate.key]" in program("init", device, "--certificate", file).err
        (device / "keys/tls.key").chmod(0o644)
        assert "[folder.not_private]" in program("init", device, "--certificate", file).err


class TestShownAgain:
    """What `show --json` calls `counts` is a counts file that makes the same report."""

    def test_round(self, device: Path, program: Program, election: Election) -> None:
        for number, make in enumerate([box.opening, box.turnout, box.result, box.protocol, box.documents], 1):
            sign(program, device, make())
            file = device / f"statements/{number:06}.cose"
            shown = json.loads(program.good("show", file, "--definition", election.root, "--json"))
            assert shown["signature"] == "not checked"
            assert shown["sequence"] == number
            again = json.loads(sign(program, device, shown["counts"], "--json"))
            assert (again["new"], again["id"]) == (False, shown["id"])

    def test_of_another_election(self, device: Path, program: Program, tmp_path: Path) -> None:
        sign(program, device, box.turnout())
        file = device / "statements/000001.cose"
        (tmp_path / "other").mkdir()
        other = Election(tmp_path / "other")
        (tmp_path / "other/definition/election.json").write_text(
            (tmp_path / "other/definition/election.json").read_text().replace("An example", "Another")
        )
        ended = program("show", file, "--definition", other.root)
        assert ended.code == 1
        assert "[show.definition]" in ended.err

    def test_with_a_definition_that_cannot_be_read(
        self, device: Path, program: Program, election: Election
    ) -> None:
        sign(program, device, box.turnout())
        stations = election.root / "definition/stations.csv"
        stations.write_text(stations.read_text() + "x")
        ended = program("show", device / "statements/000001.cose", "--definition", election.root)
        assert ended.code == 1
        assert f"error: {stations}" in ended.err
        assert ended.err.endswith("[table.changed]\n")

    def test_with_another_key(self, device: Path, program: Program) -> None:
        sign(program, device, box.turnout())
        file = device / "statements/000001.cose"
        other = _core.public_key(b"\x55" * 32).hex()
        ended = program("show", file, "--key", other)
        assert ended.code == 1
        assert "signature    statement.unknown_device" in ended.out
        assert "[statement.unknown_device]" in ended.err

    def test_with_a_forged_signature(self, device: Path, program: Program) -> None:
        sign(program, device, box.turnout())
        key = json.loads((device / "device.json").read_bytes())["sign_key"]
        forged = device.parent / "forged.cose"
        data = (device / "statements/000001.cose").read_bytes()
        forged.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
        ended = program("show", forged, "--key", key, "--json")
        assert ended.code == 1
        assert json.loads(ended.out)["signature"] == "statement.signature"
        assert ended.err.startswith("error: ")

    @pytest.mark.parametrize("data", [b"", b"hello", b"\xd2\x84\x58\x38", bytes(20_000)])
    def test_no_statement(self, program: Program, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "x").write_bytes(data)
        ended = program("show", tmp_path / "x")
        assert ended.code == 1
        assert re.search(r"this is no statement, from byte \d+ on: .*\[statement.malformed\]", ended.err)
        assert str(tmp_path / "x") in ended.err


class TestFaults:
    def test_all_at_once(self, device: Path, program: Program) -> None:
        counts = device.parent / "counts.toml"
        counts.write_text(
            'report = "result"\nstation = 8\norigin = "nromal"\ncounter = 1.5\ncontests.1 = 5\n'
        )
        ended = program("sign", device, counts)
        assert ended.code == 1
        assert ended.out == ""
        lines = ended.err.splitlines()
        assert lines[-1] == "error: nothing was signed"
        assert [
            re.sub(r": .*\[", " ", line.removeprefix(f"error: {counts}:"))[:-1] for line in lines[:-1]
        ] == [
            "closed_at counts.missing",
            "origin counts.word",
            "counter counts.not_a_number",
            "contests.1 counts.table",
            "contests.2 counts.contest_missing",
        ]
        ended = program("sign", device, counts, "--json")
        assert ended.code == 1
        said = json.loads(ended.out)
        assert (said["file"], said["more"], len(said["faults"])) == (str(counts), 0, 5)
        assert said["faults"][1]["path"] == "origin"
        assert list((device / "statements").iterdir()) == []

    def test_syntax_has_a_line(self, device: Path, program: Program) -> None:
        counts = device.parent / "counts.toml"
        counts.write_text('report = "result"\nstation = eight\n')
        assert f"error: {counts}:2: this is not TOML" in program("sign", device, counts).err

    def test_text_that_a_terminal_would_obey(self, device: Path, program: Program) -> None:
        counts = box.write_json(device.parent / "counts.json", {"report": "\x1b[2J\u202e", "station": 8})
        ended = program("sign", device, counts)
        assert "\x1b" not in ended.err
        assert "\u202e" not in ended.err
        assert "\\x1b[2J\\u202e" in ended.err

    def test_out(self, device: Path, program: Program) -> None:
        counts = box.write_json(device.parent / "counts.json", box.turnout())
        for out, code in [
            (counts, "file.exists"),
            (device.parent / "no/x", "file.no_folder"),
            (device / "statements/000002.cose", "file.in_device"),
            (device.parent / "definition/../box-7/x", "file.in_device"),
        ]:
            ended = program("sign", device, counts, "--out", out)
            assert ended.code == 1
            assert f"[{code}]" in ended.err
        assert list((device / "statements").iterdir()) == []
        ended = program("sign", device, counts, "--out", device.parent / ("x" * 300))
        assert ended.code == 1
        assert "signed and stored as" in ended.err
        assert "[file.unwritable]" in ended.err
        assert len(list((device / "statements").iterdir())) == 1

    def test_the_chain(self, device: Path, program: Program) -> None:
        sign(program, device, box.turnout())
        (device / "statements/000001.cose").unlink()
        counts = box.write_json(device.parent / "counts.json", box.result())
        ended = program("sign", device, counts)
        assert ended.code == 1
        assert "[spool.gap]" in ended.err
        assert "docs/box.md" in ended.err

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            ((), 2, "Usage"),
            (("init",), 2, "DIR"),
            (("init", "new"), 2, "--election and --device"),
            (("init", "new", "--device", "1"), 2, "--election and --device"),
            (("init", "new", "--election", "e", "--device", "0"), 2, "whole number from 1"),
            (("init", "new", "--election", "e", "--device", "1.5"), 2, "whole number from 1"),
            (("init", "new", "--election", "E", "--device", "1"), 1, "enrol.election"),
            (("init", "new", "--election", "e", "--device", "1", "--tls-key", "rsa"), 2, "ed25519"),
            (("init", "new", "--definition-hash", "ab" * 32), 2, "goes with --definition"),
            (("init", "new", "--definition-hash", "ab", "--definition", "."), 2, "64 hex"),
            (("init", "new", "--bundle", "nowhere"), 2, "--device"),
            (("init", "new", "--bundle", "nowhere", "--device", "1", "--election", "e"), 2, "itself"),
            (("init", "new", "--bundle", "nowhere", "--device", "1"), 1, "file.unreadable"),
            (("init", "no/where", "--election", "e", "--device", "1"), 1, "file.no_folder"),
            (("init", "box-7"), 1, "folder.exists"),
            (("init", "box-7", "--election", box.ELECTION, "--device", "7"), 1, "folder.exists"),
            (("init", "box-7", "--device", "8", "--definition", "."), 1, "folder.exists"),
            (("init", "box-7", "--election", "e", "--definition", "."), 1, "folder.exists"),
            (("init", "box-7", "--tls-key", "p256"), 2, "keeps its keys"),
            (("init", "box-7", "--bundle", "."), 2, "keeps its keys"),
            (("init", "box-7", "--definition", "nowhere"), 1, "file.unreadable"),
            (("init", "box-7", "--certificate", "nowhere"), 1, "file.unreadable"),
            (("init", "box-7", "--certificate", "definition/election.json"), 1, "certificate.malformed"),
            (("init", "new", "--election", "e", "--device", "1", "--certificate", "x"), 2, "does not exist"),
            (("init", "definition", "--definition", "."), 1, "file.exists"),
            (("sign", "box-7"), 2, "COUNTS"),
            (("sign", "nowhere", "counts.json"), 1, "folder.none"),
            (("sign", "box-7", "nowhere.toml"), 1, "counts.unreadable"),
            (("sign", "box-7", "."), 1, "counts.unreadable"),
            (("sign", "box-7", "x", "--signed-at", "yesterday"), 2, "offset"),
            (("show", "nowhere"), 1, "file.unreadable"),
            (("show", "x", "--key", "00" * 32), 2, "public key"),
            (("shw",), 2, "No such command"),
        ],
    )
    def test_usage(
        self,
        device: Path,
        program: Program,
        monkeypatch: pytest.MonkeyPatch,
        arguments: tuple[str, ...],
        code: int,
        said: str,
    ) -> None:
        monkeypatch.chdir(device.parent)
        keys = (device / "keys/sign.key").read_bytes()
        ended = program(*arguments)
        assert ended.code == code
        assert said in ended.err
        assert "Traceback" not in ended.err
        assert (device / "keys/sign.key").read_bytes() == keys
        assert not (device.parent / "new").exists()

    @pytest.mark.parametrize("command", [(), ("init",), ("sign",), ("show",)])
    def test_help(self, program: Program, command: tuple[str, ...]) -> None:
        said = program.good(*command, "--help")
        assert "Example" in said
        assert "  tallygate-box" in said

    def test_what_a_killed_init_left(self, tmp_path: Path, program: Program) -> None:
        (tmp_path / f".box[1].unfinished-{'ab' * 8}").mkdir()
        (tmp_path / f".box1.unfinished-{'ab' * 8}").mkdir()
        ended = program("init", tmp_path / "box[1]", "--election", box.ELECTION, "--device", "7")
        assert ended.code == 0
        (line,) = ended.err.splitlines()
        assert line.startswith(f"warning: {tmp_path}/.box[1].unfinished-{'ab' * 8} was left by an init")


class TestProcesses:
    def test_ctrl_c(self, device: Path, tmp_path: Path) -> None:
        counts = tmp_path / "counts.toml"
        os.mkfifo(counts)
        process = started("box", "sign", device, counts)
        # This opens when the program has begun to read, so that the signal meets it there.
        with counts.open("wb"):
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err.strip()) == (1, "", "error: stopped")
        assert list((device / "statements").iterdir()) == []

    def test_a_reader_that_has_left(self, device: Path, program: Program) -> None:
        sign(program, device, box.result())
        process = started("box", "show", device / "statements/000001.cose")
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1
        process.stderr.close()

    def test_a_terminal_that_knows_ascii_only(
        self, device: Path, program: Program, election: Election
    ) -> None:
        sign(program, device, box.result())
        file = device / "statements/000001.cose"
        process = started("box", "show", file, "--definition", election.root, encoding="ascii")
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert "contest 1    \\u041f\\u0430\\u0440" in out

    def test_many_at_once(self, device: Path, tmp_path: Path) -> None:
        """Programs that meet in one folder sign one after another or not at all; the chain is one."""
        processes = []
        for number in range(6):
            values = {**box.turnout(), "figures": {"identified": number}}
            counts = box.write_json(tmp_path / f"counts-{number}.json", values)
            processes.append(started("box", "sign", device, counts, "--json"))
        signed = []
        for process in processes:
            out, err = process.communicate(timeout=60)
            if process.returncode == 0:
                signed.append(json.loads(out)["sequence"])
            else:
                assert "[folder.busy]" in err
        assert sorted(signed) == list(range(1, len(signed) + 1))
        assert signed
        assert len(list((device / "statements").iterdir())) == len(signed)


class TestRehearsal:
    def test_a_device_out_of_a_night(
        self,
        tmp_path: Path,
        program: Program,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        night = tmp_path / "night"
        gateway = GatewayProgram(monkeypatch, capsys)
        gateway.good("init", night, "--election", EXAMPLES / "hill-country", "--rehearsal")
        definition = Definition.load(night / "definition")
        roster = Roster.load(night / "roster", definition)
        device = roster.devices[1]

        said = json.loads(
            program.good("init", tmp_path / "box", "--bundle", night / "devices", "--device", "1", "--json")
        )
        assert said["sign_key"] == device.key.hex()
        assert said["definition"] == definition.sha256.hex()
        assert said["election"] == definition.id
        assert said["request"] is None
        assert (tmp_path / "box/site.json").read_bytes() == (night / "devices/site.json").read_bytes()

        for sequence, (name, at) in enumerate(
            [("opening", "2031-10-05T07:40:00+06:00"), ("result", "2031-10-05T20:04:00+06:00")], 1
        ):
            counts = EXAMPLES / "counts" / f"{name}.toml"
            said = json.loads(program.good("sign", tmp_path / "box", counts, "--signed-at", at, "--json"))
            assert (said["sequence"], said["warnings"]) == (sequence, [])
            assert statement.check(Path(said["file"]).read_bytes(), definition, roster).device == 1

        program.good("init", tmp_path / "terminal", "--bundle", night / "devices", "--device", "2")
        counts = EXAMPLES / "counts" / "turnout.toml"
        options = ("--signed-at", "2031-10-05T14:00:10+06:00", "--json")
        said = json.loads(program.good("sign", tmp_path / "terminal", counts, *options))
        assert said["warnings"] == []
        assert statement.check(Path(said["file"]).read_bytes(), definition, roster).device == 2

        announced = "ab" * 32
        ended = program(
            *("init", tmp_path / "other", "--bundle", night / "devices", "--device", "1"),
            *("--definition", night, "--definition-hash", announced),
        )
        assert ended.code == 1
        assert "[folder.definition]" in ended.err
        assert not (tmp_path / "other").exists()
