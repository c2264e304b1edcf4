"""Builds and runs `tests/peers/go`: Go's own note and transparency log packages."""

import base64
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.peers import miss, require_program

_SOURCES = Path(__file__).parent / "go"
# Seconds: a cold build compiles parts of Go's standard library; a check reads at most 20 MB.
_BUILD_TIMEOUT = 110
_RUN_TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run said: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class GoCheck:
    """The program; every method is one of its commands."""

    program: Path

    @classmethod
    def build(cls, folder: Path) -> Self:
        """Build into `folder`; skips or fails (`require_program`) where Go or its module cannot be had."""
        go = require_program("go")
        fetched = subprocess.run(
            [go, "mod", "download"], cwd=_SOURCES, capture_output=True, text=True, timeout=_BUILD_TIMEOUT
        )
        if fetched.returncode:
            miss(f"Go's module golang.org/x/mod could not be fetched: {fetched.stderr.strip()}")
        program = folder / "gocheck"
        built = subprocess.run(
            [go, "build", "-buildvcs=false", "-o", str(program), "."],
            cwd=_SOURCES,
            capture_output=True,
            text=True,
            timeout=_BUILD_TIMEOUT,
        )
        assert built.returncode == 0, built.stderr
        return cls(program)

    def log(self, folder: Path, vkey: str, proofs: int | None = None) -> Outcome:
        """Check a log's folder, with at most `proofs` inclusion proofs."""
        return self._run(["log", str(folder), vkey, *([] if proofs is None else [str(proofs)])])

    def receipts(self, vkey: str, pairs: Sequence[tuple[Path, Path]]) -> Outcome:
        """Check files with receipts, each with the file of its statement."""
        return self._run(["receipts", vkey, *(str(path) for pair in pairs for path in pair)])

    def consistency(self, file: Path) -> Outcome:
        """Check consistency proofs, one a line."""
        return self._run(["consistency", str(file)])

    def vkey(self, name: str, key: bytes) -> tuple[str, str, str]:
        """Go's verifier key for a public key, and the name and key id that Go reads out of it."""
        outcome = self._run(["vkey", name, key.hex()])
        assert outcome.status == 0, outcome.err
        vkey, parsed_name, key_id = outcome.out.splitlines()
        return vkey, parsed_name, key_id

    def sign(self, text: str, name: str, key_id: str, seed: bytes) -> Outcome:
        """Sign a note with Go; it refuses a key id that is not the name's and key's."""
        typed = base64.b64encode(b"\x01" + seed).decode()
        return self._run(["sign", f"PRIVATE+KEY+{name}+{key_id}+{typed}"], text)

    def open(self, note: str, vkey: str) -> Outcome:
        """Open a note with Go; the output is its text."""
        return self._run(["open", vkey], note)

    def _run(self, arguments: list[str], text: str = "") -> Outcome:
        done = subprocess.run(
            [self.program, *arguments],
            input=text,
            capture_output=True,
            encoding="utf-8",
            timeout=_RUN_TIMEOUT,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)
