"""docs/fleet.md: its faults file is a good one, and its names are the program's."""

import re
from pathlib import Path

from clients.fleet import faults
from clients.fleet.faults import FAULTS
from clients.fleet.play import PHASES, State
from clients.fleet.report import event
from tests.unit.fleet_election import build

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "fleet.md").read_text()


def test_the_example(tmp_path: Path) -> None:
    [example] = re.findall(r"^```toml\n(.*?)^```$", DOCS, re.DOTALL | re.MULTILINE)
    path = tmp_path / "faults.toml"
    path.write_text(example)
    assert faults.read(path).rates.keys() == set(FAULTS)


def test_codes() -> None:
    sources = "".join(
        path.read_text()
        for path in (ROOT / "clients" / "fleet").glob("*.py")
        if not path.name.startswith("demo")
    )
    codes = set(re.findall(r'"((?:audit|fleet|results|faults|clock|night|feed)\.[a-z_]+)"', sources))
    assert len(codes) > 15
    assert {code for code in codes - {"faults.toml"} if f"`{code}`" not in DOCS} == set()


def test_events(tmp_path: Path) -> None:
    own = build(tmp_path)
    keys = list(event(State("waiting", 0.0, 0), own.plan(), len(own.definition.stations)))
    assert '{"event":"progress",' + ",".join(f'"{key}"' for key in keys[1:]) + "}" in DOCS
    assert all(f"`{phase}`" in DOCS for phase in PHASES)
