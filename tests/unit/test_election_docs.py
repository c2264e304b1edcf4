"""docs/election-folder.md says all that an official can meet: every file, column, key, code and bound."""

import re
from pathlib import Path

import pytest

from gateway.election import Code, limits
from gateway.election.ballot import CHOICES, CONTESTS
from gateway.election.cells import STANDARD_FIGURES
from gateway.election.faults import WARNINGS
from gateway.election.geography import AREAS, STATIONS
from gateway.election.model import Rules, Settings, Site
from gateway.election.national import CHECKS, FIGURES
from gateway.election.roster import COURIERS, DEVICES, FIRMWARE
from gateway.election.tables import Spec
from tests.unit.test_election_build import EXAMPLE, built

DOCS = Path(__file__).parents[2] / "docs" / "election-folder.md"
TEXT = DOCS.read_text()
CODES, WARNED = TEXT.split("## Codes")[1].split("## What is built")[0].split("\nWarnings:\n")


@pytest.mark.parametrize("code", Code)
def test_every_code_has_one_row_that_says_what_to_do(code: Code) -> None:
    part, other = (WARNED, CODES) if code in WARNINGS else (CODES, WARNED)
    rows = re.findall(rf"^\| `{re.escape(code)}` \| [^|]+ \| [^|]+ \|$", part, re.MULTILINE)
    assert len(rows) == 1
    assert f"`{code}`" not in other


def test_no_other_codes_are_promised() -> None:
    rows = set(re.findall(r"^\| `(definition\.[a-z_]+)` \|", TEXT, re.MULTILINE))
    assert rows == {code.value for code in Code}


@pytest.mark.parametrize(
    "spec",
    [AREAS, CONTESTS, CHOICES, STATIONS, DEVICES, COURIERS, FIRMWARE, FIGURES, CHECKS],
    ids=lambda spec: spec.file if isinstance(spec, Spec) else "",
)
def test_every_column_is_explained_and_every_needed_one_is_bold(spec: Spec) -> None:
    title = next(line for line in TEXT.splitlines() if line.startswith("### ") and spec.file in line)
    part = TEXT.split(title)[1].split("\n### ")[0]
    for column in spec.columns:
        name = re.sub(r"_(ky|kk|ru|en)$", "_xx", column)
        assert f"`{name}`" in part, name
        needed = column in spec.required or column in spec.one_of
        assert (f"**`{name}`**" in part) == needed, name


def test_every_key_of_the_settings_is_explained() -> None:
    part = TEXT.split("## election.toml")[1].split("## The tables")[0]
    names = {*Settings._fields, *Rules._fields, *Site._fields} - {"title", "rules", "site"}
    for name in [*names, "title_ky", "title_kk", "title_ru", "title_en", "[rules]", "[site]"]:
        assert f"`{name}`" in part, name


def test_figures_have_the_codes_that_are_listed() -> None:
    text = " ".join(TEXT.split())
    listed = text.split("Figures and their codes: ")[1].split(". ")[0]
    assert listed == ", ".join(f"{code} {name}" for name, code in STANDARD_FIGURES.items())


def test_bounds_are_those_of_the_program() -> None:
    for bound in (
        f"{limits.MAX_LINE_BYTES:,} bytes",
        f"{limits.MAX_ROWS:,} rows",
        f"above {limits.MAX_TABLE_BYTES // limits.MIB} MiB",
        f"{limits.MAX_TEXT_BYTES:,} bytes",
        f"1 to {limits.MAX_NUMBER}",
        f"more than {limits.MAX_AREA_DEPTH} levels",
        f"{limits.MAX_STATIONS_AN_AREA:,} stations",
        f"{limits.MAX_MEDIA_FILES:,} of them",
        f"{limits.MAX_MEDIA_BYTES // limits.MIB} MiB",
        f"up to {limits.MAX_REGISTERED:,}",
        f"1 to {limits.MAX_SEATS:,}",
        f"1 to {limits.MAX_MARKS:,}",
        f"1 to {limits.MAX_COMMISSION_KEYS}",
        f"up to {limits.MAX_FAULTS_A_FILE:,} of each kind",
    ):
        assert bound in " ".join(TEXT.split()), bound


def test_the_headers_are_those_that_are_built(tmp_path: Path) -> None:
    folder = built(EXAMPLE, tmp_path / "out").folder
    found = {
        str(path.relative_to(folder)): path.read_text().splitlines()[0]
        for path in sorted(folder.rglob("*.csv"))
    }
    block = TEXT.split("Headers:\n\n```\n")[1].split("```")[0]
    assert dict(line.split() for line in block.splitlines()) == found


def test_the_example_is_marked_as_invented() -> None:
    for text in ((EXAMPLE / "README.md").read_text(), (EXAMPLE / "election.toml").read_text()):
        assert "nvented" in text
