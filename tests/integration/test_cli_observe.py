"""`tallygate-observe receipt` as an observer uses it, on receipts that the gateway's core has made."""

import base64
import hashlib
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.observer.cli import main
from gateway import _core
from tests.integration.client_cli import Ended, Program, started

ORIGIN = "log.example/talas-2026"
SEED = b"\x41" * 32
INDEX, SIZE = 5, 11


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


class Files:
    """A packet, a decision, and the receipts of a log that holds both and something that it should not."""

    def __init__(self, root: Path) -> None:
        self.packet, self.decision, self.foreign = root / "p.cose", root / "d.cose", root / "x.cose"
        packet = (b"\xaa" * 32, 12, 118, 1, b"", 5, (2, 5, ((3, 100),)))
        decision = (b"\xaa" * 32, b"", 1, 5, (("ky", "Себеп"),), (6,))
        self.packet.write_bytes(_core.sign("packet", packet, b"\x42" * 32))
        self.decision.write_bytes(_core.sign("decision", decision, b"\x43" * 32))
        self.foreign.write_bytes(b"hello")
        entries = [bytes([number]) for number in range(SIZE)]
        entries[INDEX] = self.packet.read_bytes()
        entries[0] = self.decision.read_bytes()
        entries[SIZE - 1] = self.foreign.read_bytes()
        self.tree = _core.Tree()
        self.tree.append([_core.leaf_hash(entry) for entry in entries])
        self.root = base64.b64encode(self.tree.root()).decode()
        self.vkey = _core.vkey(ORIGIN, _core.public_key(SEED))
        self.key = root / "log.vkey"
        self.key.write_text(self.vkey + "\n")
        self.receipt = self.write(root / "p.receipt", INDEX)

    def write(self, path: Path, index: int, text: str | None = None) -> Path:
        """A receipt; its checkpoint says `text` in place of the truth."""
        signer = _core.NoteSigner(ORIGIN, SEED)
        note = signer.sign(f"{ORIGIN}\n{SIZE}\n{self.root}\n" if text is None else text)
        path.write_text(_core.format_receipt(index, self.tree.inclusion(index, SIZE), note))
        return path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def observe(program: Program, receipt: Path, statement: Path, key: str | Path, *options: str) -> Ended:
    return program("receipt", receipt, "--statement", statement, "--log-key", key, *options)


class TestProved:
    def test_of_a_packet(self, program: Program, files: Files) -> None:
        ended = observe(program, files.receipt, files.packet, files.key)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.splitlines() == [
            "proved: the log holds this statement, byte for byte",
            "statement    packet 1 of device 12, station 118",
            f"id           {hashlib.sha256(files.packet.read_bytes()).hexdigest()}",
            f"entry        {INDEX} (the first is 0)",
            f"log          {ORIGIN}",
            f"log size     {SIZE} entries",
            f"root         {files.root}",
            "not checked  who signed the statement; that everybody is shown this same log",
        ]

    def test_of_a_decision(self, program: Program, files: Files, tmp_path: Path) -> None:
        ended = observe(program, files.write(tmp_path / "d.receipt", 0), files.decision, files.vkey)
        assert ended.code == 0
        assert "statement    decision 1 of the commission" in ended.out

    def test_json(self, program: Program, files: Files) -> None:
        ended = observe(program, files.receipt, files.packet, files.vkey, "--json")
        assert ended.code == 0
        assert json.loads(ended.out) == {
            "proved": True,
            "code": None,
            "id": hashlib.sha256(files.packet.read_bytes()).hexdigest(),
            "index": INDEX,
            "size": SIZE,
            "root": files.root,
            "origin": ORIGIN,
        }


class TestNotProved:
    def judge(self, program: Program, receipt: Path, statement: Path, key: str | Path, code: str) -> None:
        ended = observe(program, receipt, statement, key)
        assert (ended.code, ended.err) == (1, "")
        lines = ended.out.splitlines()
        assert lines[0] == "not proved"
        assert lines[1].endswith(f"[{code}]")
        assert lines[2].startswith("what to do   ")
        ended = observe(program, receipt, statement, key, "--json")
        assert ended.code == 1
        said = json.loads(ended.out)
        assert (said["proved"], said["code"]) == (False, code)

    def test_another_statement(self, program: Program, files: Files) -> None:
        self.judge(program, files.receipt, files.decision, files.key, "receipt.proof")
        self.judge(program, files.receipt, files.foreign, files.key, "receipt.proof")

    def test_another_log(self, program: Program, files: Files) -> None:
        other = _core.vkey(ORIGIN, _core.public_key(b"\x44" * 32))
        self.judge(program, files.receipt, files.packet, other, "note.unsigned")

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda data: b"", "receipt.malformed"),
            (lambda data: data.replace(b"\n", b"\r\n"), "receipt.malformed"),
            (lambda data: data.replace(b"index 5", b"index 05"), "receipt.malformed"),
            (lambda data: data + bytes(40_000), "receipt.malformed"),
            (lambda data: data.replace(b"index 5", b"index 4"), "receipt.proof"),
            (lambda data: data.replace(b"index 5", b"index 11"), "receipt.proof"),
            (lambda data: data.replace("\u2014".encode(), b"-"), "note.malformed"),
            (lambda data: data.replace(b"\n11\n", b"\n12\n"), "note.signature"),
        ],
    )
    def test_a_changed_receipt(
        self, program: Program, files: Files, change: Callable[[bytes], bytes], code: str
    ) -> None:
        files.receipt.write_bytes(change(files.receipt.read_bytes()))
        self.judge(program, files.receipt, files.packet, files.key, code)

    def test_a_log_that_is_at_fault(self, program: Program, files: Files, tmp_path: Path) -> None:
        path = tmp_path / "fault.receipt"
        files.write(path, INDEX, "no checkpoint\n")
        self.judge(program, path, files.packet, files.key, "checkpoint.malformed")
        files.write(path, INDEX, f"other.example/log\n{SIZE}\n{files.root}\n")
        self.judge(program, path, files.packet, files.key, "checkpoint.origin")
        files.write(path, SIZE - 1)
        self.judge(program, path, files.foreign, files.key, "statement.malformed")


class TestNotChecked:
    @pytest.mark.parametrize("name", ["nothing", ".", "huge"])
    @pytest.mark.parametrize("place", ["receipt", "statement", "key"])
    def test_files(self, program: Program, files: Files, tmp_path: Path, place: str, name: str) -> None:
        with (tmp_path / "huge").open("wb") as stream:
            stream.truncate(1024 * 1024 + 1)
        given = {"receipt": files.receipt, "statement": files.packet, "key": files.key}
        given[place] = tmp_path / name
        ended = observe(program, given["receipt"], given["statement"], given["key"])
        assert (ended.code, ended.out) == (2, "")
        assert re.search(r"\[(file\.unreadable|file\.too_large|key\.malformed)\]", ended.err)

    @pytest.mark.parametrize("text", ["", "hello", "a+b", f"{ORIGIN}+00000000+AeWk", "\x1b[2J", "x" * 5_000])
    def test_keys(self, program: Program, files: Files, text: str) -> None:
        ended = observe(program, files.receipt, files.packet, text)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith("error: ")
        assert "\x1b" not in ended.err
        files.key.write_text(text)
        ended = observe(program, files.receipt, files.packet, files.key)
        assert (ended.code, ended.out) == (2, "")

    @pytest.mark.parametrize("arguments", [(), ("receipt",), ("receipt", "x"), ("recept",)])
    def test_usage(self, program: Program, arguments: tuple[str, ...]) -> None:
        ended = program(*arguments)
        assert (ended.code, ended.out) == (2, "")
        assert "Usage: tallygate-observe" in ended.err

    @pytest.mark.parametrize("command", [(), ("receipt",)])
    def test_help(self, program: Program, command: tuple[str, ...]) -> None:
        said = program.good(*command, "--help")
        assert re.search(r"Examples?:\n    tallygate-observe receipt", said)
        assert "0 proved, 1 not proved, 2 could not check" in said

    def test_ctrl_c(self, files: Files, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        process = started("observer", "receipt", pipe, "--statement", files.packet, "--log-key", files.vkey)
        with pipe.open("wb"):
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err.strip()) == (2, "", "error: stopped")
