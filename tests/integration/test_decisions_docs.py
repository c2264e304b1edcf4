"""docs/decisions.md can be typed: the worked example in a real shell, and every code is explained."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from clients.box import words
from tests.integration.test_cli_serve import Gateways, tallygate, until

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "decisions.md").read_text()


class Typed(NamedTuple):
    """A line behind a prompt, and what the page shows of its output; `…` is anything."""

    line: str
    shown: list[str]


def example() -> Iterator[Typed]:
    text = DOCS.partition("\n## A worked example\n")[2].partition("\n## ")[0]
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        for part in block.split("$ ")[1:]:
            line, *shown = part.splitlines()
            yield Typed(line, shown)


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[Gateways]:
    found = Gateways(tmp_path)
    yield found
    found.stop()


def shell(folder: Path, line: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (line, done.stderr)
    return done.stdout


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
        return port


def test_the_worked_example(tmp_path: Path, gateways: Gateways) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    init, serve, *lines = example()
    assert (init.line.split()[1], serve.line) == ("init", "tallygate serve night")
    shell(tmp_path, f"{init.line} --port {free_port()}")
    config = tmp_path / "night" / "tallygate.toml"
    text = re.sub(r":(8080|964[0-3])\b", ":0", config.read_text())
    config.write_text(re.sub(r"(?m)^start = .*", 'start = ["ingest", "publish"]', text))
    running = gateways.start(tallygate("serve", tmp_path / "night"))
    latest = tmp_path / "night" / "feed" / "latest.json"
    until(lambda: latest.exists() or running.process.poll() is not None)
    assert running.process.poll() is None, running.said()
    assert len(lines) == 11
    for typed in lines:
        if " prepare " in typed.line:
            until(lambda: b'"size":5' in latest.read_bytes())
        said = shell(tmp_path, typed.line).splitlines()
        for shown in typed.shown:
            pattern = ".+".join(map(re.escape, shown.split("…")))
            place = next((n for n, line in enumerate(said) if re.fullmatch(pattern, line)), None)
            assert place is not None, (shown, said)
            del said[: place + 1]


def test_codes() -> None:
    """Every code that the program's sources name is explained."""
    sources = "".join(path.read_text() for path in (ROOT / "clients" / "commission").glob("*.py"))
    codes = set(re.findall(r'"((?:decision|bundle|feed)\.[a-z_]+)"', sources))
    assert len(codes) > 12
    # What the observer says of a feed is explained in verify.md.
    assert {code for code in codes if f"`{code}`" not in DOCS} == {"feed.chain", "feed.figures"}


def test_actions() -> None:
    table = DOCS.partition("## The thirteen actions")[2].partition("\n## ")[0]
    for word, _ in words.ACTIONS.values():
        assert f"`{word}`" in table
