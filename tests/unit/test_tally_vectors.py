"""The hand-made cases of the tally (tests/vectors/tally), judged by the observer's implementation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from clients.observer.tally import Tally
from clients.wire import jcs, statement
from clients.wire.definition import Definition
from clients.wire.roster import Roster
from tests.vectors.tally.__main__ import main
from tests.vectors.tally.build import Built, build
from tests.vectors.tally.forms import Case, cases

CASES = cases()


class Loaded(NamedTuple):
    """A case's election as the observer reads it."""

    definition: Definition
    rosters: dict[str, Roster]

    def tally(self) -> Tally:
        first, *later = self.rosters.values()
        return Tally(self.definition, first, later)


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def load(built: Built, folder: Path) -> Loaded:
    definition = Definition.load(write(folder / "definition", built.definition))
    rosters = {
        name: Roster.load(write(folder / f"roster-{name}", files), definition)
        for name, files in built.rosters.items()
    }
    return Loaded(definition, rosters)


def shown(data: bytes | None) -> object:
    """For a readable difference."""
    return None if data is None else json.loads(data)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, tmp_path: Path) -> None:
    built = build(case)
    loaded = load(built, tmp_path)
    tally = loaded.tally()
    expected = iter(built.objects)
    expect = next(expected, None)
    for data in built.log:
        tally.apply(statement.check(data, loaded.definition, tally.authority.speakers))
        if expect is None or tally.size < expect.size:
            continue
        stations = {number: tally.station(number) for number in expect.stations}
        assert {n: shown(data) for n, data in stations.items()} == {
            n: shown(data) for n, data in expect.stations.items()
        }
        assert stations == expect.stations
        areas = {number: tally.area(number) for number in expect.areas}
        assert {n: shown(data) for n, data in areas.items()} == {
            n: shown(data) for n, data in expect.areas.items()
        }
        assert areas == expect.areas
        assert {area: tally.progress(area) for area in expect.progress} == expect.progress
        if expect.results is not None:
            assert json.loads(jcs.write(tally.results())) == expect.results
        expect = next(expected, None)
    assert expect is None, "the case expects objects behind the end of its log"


def test_there_are_enough_cases_and_each_says_its_last_word_on_every_area() -> None:
    assert len(CASES) >= 30
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        last = build(case).objects[-1]
        assert last.size == len(build(case).log)
        assert last.areas.keys() >= {1}


def test_the_cases_as_bytes_are_the_same_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        main(tmp_path / name)
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert len(files) == len(CASES)
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    first = json.loads(files["night-01.json"])
    assert first["name"] == "empty log"
    assert statement.decode(bytes.fromhex(first["log"][0])).number == 1
