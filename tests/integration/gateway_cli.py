"""Runs the program `tallygate` inside the test's process, as its entry point does, at a fixed time."""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.cli import tallygate
from gateway.cli.shared import run
from tests.unit.pki_helpers import NOW


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Program:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        for module in ("init", "pki"):
            monkeypatch.setattr(f"gateway.cli.{module}.system_clock", lambda: NOW)

    def __call__(self, *arguments: str | Path) -> Ended:
        self._monkeypatch.setattr(sys, "argv", ["tallygate", *map(str, arguments)])
        self._capsys.readouterr()
        code = run(tallygate)
        said = self._capsys.readouterr()
        return Ended(code, said.out, said.err)

    def good(self, *arguments: str | Path) -> str:
        ended = self(*arguments)
        assert ended.code == 0, ended.err
        return ended.out
