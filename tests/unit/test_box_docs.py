"""docs/box.md: its counts files are good ones, and its words are the program's."""

import re
from pathlib import Path

import pytest

from clients.box import counts, countsfile, words
from clients.wire.definition import Definition
from tests.unit.wire_election import DEFINITION, Election

DOCS = (Path(__file__).parents[2] / "docs" / "box.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", DOCS, re.DOTALL | re.MULTILINE)


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    """An election with the station, contests and choices of the examples."""
    election = Election(tmp_path)
    choices = ["1,1,list,,,А", "1,2,list,,,Б", "1,3,against_all,,,В", "2,1,yes,,,Ооба", "2,2,no,,,Жок"]
    station = "118,3,1500,ordinary,yes,1800043200000,Asia/Bishkek,1 2,,Мектеп"
    election.write_definition(
        {
            **DEFINITION,
            "choices": [DEFINITION["choices"][0], *choices],
            "stations": [DEFINITION["stations"][0], station],
        }
    )
    return Definition.load(tmp_path / "definition")


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples(text: str, definition: Definition, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/protocol-1.pdf").write_bytes(b"%PDF-1.7")
    values = countsfile.parse(text.replace("3f0c…", "3f" * 32).encode(), "docs/box.md", as_json=False)
    given = counts.judge(values, "docs/box.md", tmp_path, definition)
    assert given.station.station == 118


def test_there_are_examples() -> None:
    kinds = re.findall(r'^report = "(\w+)"', "".join(EXAMPLES), re.MULTILINE)
    assert kinds == ["result", "opening", "turnout"]


@pytest.mark.parametrize("known", [words.ORIGINS, words.CAUSES, words.MEDIA, words.DOCUMENTS])
def test_words(known: dict[str, int]) -> None:
    assert ", ".join(f"`{word}`" for word in known) in DOCS


def test_codes() -> None:
    """Every code that the program's sources name as a whole is explained."""
    clients = Path(__file__).parents[2] / "clients"
    places = [*(clients / "box").glob("*.py"), clients / "wire/client.py", clients / "wire/site.py"]
    sources = "".join(path.read_text() for path in [*places, clients / "wire/answers.py"])
    kinds = "certificate|counts|enrol|folder|sign|spool|send|site|line"
    codes = set(re.findall(rf'"((?:{kinds})\.[a-z_]+)"', sources)) | {"receipt.moved"}
    assert len(codes) > 30
    # What stands in a message of the code alone: a file's name looks like one.
    assert {code for code in codes - {"site.json"} if f"`{code}`" not in DOCS} == set()
