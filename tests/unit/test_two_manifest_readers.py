"""The Rust core and `clients/wire` give one verdict on every built election: code, file, line, column."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

from hypothesis import given
from hypothesis import strategies as st

from clients.wire import definition as wire_definition
from clients.wire.errors import WireError
from clients.wire.information import Information
from clients.wire.roster import Roster
from gateway import _core
from gateway.base.errors import CoreError
from tests.unit.wire_election import (
    DEFINITION,
    ELECTION,
    INFORMATION,
    MEDIA,
    ROSTER,
    Election,
    Json,
    Tables,
    rewrite,
)

Verdict: TypeAlias = "tuple[str, str | None, int | None, str | None] | tuple[bytes, bytes, bytes]"

# Each is right somewhere and wrong in most places.
WORDS = (
    "0 1 2 3 7 8 9 10 11 01 -1 +1 1.0 1e3 ١ 9007199254740991 9007199254740992 1000000 1000001 "
    "99999999999999999999999 yes no hard choose list referendum candidate box desk terminal abroad = <= "
    "valid votes region Region Asia/Bishkek Asia//Bishkek registered issued+spoiled issued+issued issued+ "
    'unknown first.png x.svg a,b "a" a"b "a,b" Аталышы'
)
ODD = ["", "1 2", "2 1", "1 1", "1  2", " 1", "1 ", "a\tb", "a\x7fb", "a\x85b", "e\u0301", "\u202e", "\ufeff"]
LONG = ["x" * 41, "ab" * 31, "ab" * 32, "AB" * 32, "é" * 1000, "x" * 2001]
VALUES: list[Json] = [
    None,
    0,
    1,
    2,
    65,
    2**53 - 1,
    "",
    "live",
    "x",
    "Asia/Bishkek",
    [],
    [1],
    [9, 9],
    ["ky"],
    ["ky", "ky"],
    {},
]
cells = st.sampled_from([*WORDS.split(), *ODD, *LONG]) | st.text(max_size=6)


def mine(root: Path) -> Verdict:
    try:
        definition = _core.Definition.load(root / "definition")
        roster = _core.Roster.load(root / "roster", definition)
        information = _core.Information.load(root / "information", definition)
    except CoreError as error:
        return error.code, error.file, error.line, error.column
    return definition.hash, roster.hash, information.hash


def theirs(root: Path) -> Verdict:
    try:
        definition = wire_definition.Definition.load(root / "definition")
        roster = Roster.load(root / "roster", definition)
        information = Information.load(root / "information", definition)
    except WireError as error:
        return error.code, error.file, error.line, error.column
    return definition.sha256, roster.sha256, information.sha256


def same(spoil: Callable[[Election], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        election = Election(Path(folder))
        spoil(election)
        assert mine(election.root) == theirs(election.root)


@st.composite
def changed_tables(draw: st.DrawFn, tables: Tables) -> Tables:
    """One or two changes: a cell, a line doubled, dropped, swapped or cut."""
    changed = copy.deepcopy(tables)
    for _ in range(draw(st.integers(1, 2))):
        lines = changed[draw(st.sampled_from(sorted(tables)))]
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["cell", "cell", "cell", "cell", "double", "drop", "swap", "cut"])):
            case "cell":
                parts = lines[at].split(",")
                parts[draw(st.integers(0, len(parts) - 1))] = draw(cells)
                lines[at] = ",".join(parts)
            case "double":
                lines.insert(at, lines[at])
            case "drop" if len(lines) > 1:
                del lines[at]
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case _:
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
    return changed


def test_the_good_election_is_the_same_to_both(tmp_path: Path) -> None:
    election = Election(tmp_path)
    verdict = mine(election.root)
    assert verdict == theirs(election.root)
    assert len(verdict) == 3


@given(changed_tables(DEFINITION))
def test_changed_definitions(tables: Tables) -> None:
    same(lambda election: election.write_definition(tables))


@given(changed_tables(ROSTER))
def test_changed_rosters(tables: Tables) -> None:
    same(lambda election: election.write_roster(tables))


@given(changed_tables(INFORMATION))
def test_changed_information(tables: Tables) -> None:
    same(lambda election: election.write_information(tables))


@given(st.sampled_from(sorted(ELECTION)), st.sampled_from(VALUES), st.data())
def test_changed_manifests(field: str, value: Json, data: st.DataObject) -> None:
    manifest = copy.deepcopy(ELECTION)
    nested = manifest[field]
    if isinstance(nested, dict) and data.draw(st.booleans()):
        nested[data.draw(st.sampled_from(sorted(nested)))] = value
    elif data.draw(st.booleans()):
        manifest[field] = value
    else:
        del manifest[field]
    same(lambda election: election.write_definition(DEFINITION, manifest))


@given(st.sampled_from(["election.json", "roster.json", "information.json"]), st.data())
def test_changed_bytes_of_a_manifest(name: str, data: st.DataObject) -> None:
    part = {"election.json": "definition", "roster.json": "roster", "information.json": "information"}[name]

    def spoil(election: Election) -> None:
        path = election.root / part / name
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        path.write_bytes(content)

    same(spoil)


@given(
    st.sampled_from(["areas", "contests", "choices", "stations", "figures", "checks"]),
    st.sampled_from(VALUES),
    st.data(),
)
def test_changed_table_entries(name: str, value: Json, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(["rows", "sha256", "size"]))

    def change(manifest: dict[str, Json]) -> None:
        cast(dict[str, dict[str, Json]], manifest["tables"])[name][field] = value

    same(lambda election: rewrite(election.root / "definition", "election.json", change))


@given(
    st.sampled_from(["first.png", "a/b.png", ".hidden.png", "x" * 101, "é.png", "", "b.JPG"]),
    st.sampled_from(["image/png", "image/svg+xml", "image/jpeg", "", "application/pdf"]),
    st.sampled_from([0, 1, 2**53 - 1]),
)
def test_media(name: str, kind: str, size: int) -> None:
    media = {**MEDIA, name: cast(Json, {"sha256": "cd" * 32, "size": size, "type": kind})}
    same(lambda election: election.write_information(INFORMATION, media=media))
