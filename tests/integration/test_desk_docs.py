"""docs/desk.md: its commands run as they stand there, its files are good ones, its codes are all."""

import contextlib
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from clients.desk import desk as desks
from clients.desk.cli import main
from tests.integration.client_cli import Program
from tests.integration.test_cli_desk import Served, served  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/desk.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", DOCS, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def test_commands(
    served: Served,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = Program(main, capsys)
    shutil.copytree(served.night / "devices", tmp_path / "night/devices")
    shutil.copytree(served.night / "definition", tmp_path / "night/definition")
    site = tmp_path / "night/devices/site.json"
    site.write_text(json.dumps(json.loads(site.read_bytes()) | {"addresses": [served.address]}))
    lines = "# Form" + DOCS.partition("# Form")[2].partition("```")[0]
    (tmp_path / "lines.txt").write_text(lines)
    for name in ("101-a.csv", "101-b.csv"):
        (tmp_path / name).write_text(block("csv"))
    for name in ("101.pdf", "complaint.pdf"):
        (tmp_path / name).write_text(f"%PDF-1.7 {name}")
    commands = re.findall(r"^ *\$ (tallygate-desk .*)$", DOCS, re.MULTILINE)
    assert [line.split()[1] for line in commands] == ["init", "documents", "status", "send", "init", "key"]
    with contextlib.chdir(tmp_path):
        for command in commands:
            program.good(*shlex.split(command)[1:])
        desk = desks.read(Path("desk-1"))
    assert [statement.station for statement in desk.signed] == [101, 101]
    assert desk.lines[0] == "registered"


def test_codes() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "clients/desk").glob("*.py"))
    codes = set(re.findall(r'"(desk\.[a-z_]+)"', sources))
    assert codes == set(re.findall(r"^\| `(desk\.[a-z_]+)`", DOCS, re.MULTILINE))


def test_json_members(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    program = Program(main, capsys)
    desk = tmp_path / "desk"
    program.good("init", desk, "--bundle", served.night / "devices")
    (tmp_path / "a.csv").write_text(block("csv"))
    file = ("--from", tmp_path / "a.csv", "--single", "a test", "--signed-at", "2031-10-05T14:30:00Z")
    said = json.loads(program.good("key", desk, *file, "--later", "--json"))
    assert all(f"`{member}`" in DOCS for member in said)
