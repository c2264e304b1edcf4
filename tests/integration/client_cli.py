"""Runs the clients' programs inside the test's process, as their entry points do, or as processes."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

Main = Callable[[Sequence[str] | None], NoReturn]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Program:
    """One of the programs; `program("sign", folder, counts)` runs it."""

    def __init__(self, main: Main, capsys: pytest.CaptureFixture[str]) -> None:
        self._main = main
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Ended:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            self._main([str(argument) for argument in arguments])
        said = self._capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return Ended(caught.value.code, said.out, said.err)

    def good(self, *arguments: str | Path) -> str:
        ended = self(*arguments)
        assert ended.code == 0, ended.err
        return ended.out


def started(program: str, *arguments: str | Path, encoding: str = "utf-8") -> subprocess.Popen[str]:
    """Start `box` or `observer` as a process of its own."""
    # A test run in the background may hand down an ignored SIGINT, which a terminal would not.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"from clients.{program}.cli import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=Path(__file__).parents[2],
        env={"PYTHONIOENCODING": encoding, "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
