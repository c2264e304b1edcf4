"""Worked examples of real elections and textbooks (tests/vectors/results), in both implementations."""

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from clients.wire import jcs, statement
from gateway import _core
from tests.replays import kyrgyz
from tests.replays.folder import read_table
from tests.unit.test_tally_vectors import load, write
from tests.vectors.results.build import election, expected, said
from tests.vectors.results.forms import AreaForm, ContestForm, Example, ExpectForm, examples
from tests.vectors.tally.build import Built

FILES = examples()
CASES = [case for file in FILES.values() for case in file.cases]
ROOT = 1


def observed(built: Built, folder: Path) -> bytes:
    tally = load(built, folder).tally()
    for data in built.log:
        tally.apply(statement.decode(data))
    return jcs.write(tally.results())


def published(built: Built, folder: Path) -> bytes:
    definition = _core.Definition.load(write(folder / "definition", built.definition))
    tally = _core.Tally(
        definition, _core.Roster.load(write(folder / "roster", built.rosters[""]), definition)
    )
    assert tally.apply(0, built.log) == len(built.log)
    return tally.results(ROOT)


@pytest.mark.parametrize("tally", [observed, published])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_example(case: Example, tally: Callable[[Built, Path], bytes], tmp_path: Path) -> None:
    assert said(tally(election(case), tmp_path)) == expected(case)


@pytest.fixture(scope="module")
def regions() -> dict[str, dict[str, int]]:
    """The manual count of the Kyrgyz election of 2020, by region; it was declared invalid afterwards."""
    source = Path(__file__).parents[2].parent / "shared" / "data" / kyrgyz.SOURCE
    if not source.is_dir():
        pytest.skip("shared/data is not beside the project: thresholds in real regions were not tested")
    header, rows = read_table(source / kyrgyz.MANUAL_FILE)
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        region = found.setdefault(row[-1], dict.fromkeys(header[: kyrgyz.CHOICES], 0))
        for name, votes in zip(region, row, strict=False):
            region[name] += round(float(votes))
    return found


@pytest.mark.shared
@pytest.mark.parametrize("tally", [observed, published])
@pytest.mark.parametrize(("in_each", "cap"), [(70, 5417), (100, 5417), (150, 5417), (70, 3333), (200, 2500)])
def test_the_law_of_kyrgyzstan_on_its_stations(
    regions: dict[str, dict[str, int]],
    in_each: int,
    cap: int,
    tally: Callable[[Built, Path], bytes],
    tmp_path: Path,
) -> None:
    level = {kyrgyz.ABROAD: "abroad"}
    areas = {name: AreaForm(votes=votes, level=level.get(name, "region")) for name, votes in regions.items()}
    law = ContestForm(
        kind="list",
        method="hare",
        seats=120,
        share_of="votes",
        threshold=700,
        threshold_of="votes",
        threshold_area=in_each,
        threshold_area_level="region",
        seat_cap=cap,
    )
    whole = {name: sum(own[name] for own in regions.values()) for name in next(iter(regions.values()))}
    passed = [
        name
        for name, votes in whole.items()
        if name != kyrgyz.AGAINST_ALL
        and Fraction(votes, sum(whole.values())) >= Fraction(7, 100)
        and all(
            Fraction(own[name], sum(own.values())) >= Fraction(in_each, 10_000)
            for region, own in regions.items()
            if region != kyrgyz.ABROAD
        )
    ]
    most = 120 * cap // 10_000
    example = Example(
        name="Kyrgyzstan 2020",
        nature="invented",
        source=kyrgyz.NOTICE,
        contest=law,
        kinds={kyrgyz.AGAINST_ALL: "against_all"},
        areas=areas,
        expect=ExpectForm(seats=shared_out({name: whole[name] for name in passed}, 120, most), passed=passed),
    )
    assert said(tally(election(example), tmp_path)) == expected(example)


def shared_out(votes: dict[str, int], seats: int, most: int) -> dict[str, int]:
    """Hare as people do it, with decimals and without ties."""
    quotas = {name: seats * own / sum(votes.values()) for name, own in votes.items()}
    given = {name: int(quota) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: quotas[name] - given[name], reverse=True)
    for name in by_remainder[: seats - sum(given.values())]:
        given[name] += 1
    above = [name for name, own in given.items() if own > most]
    if not above:
        return given
    others = {name: own for name, own in votes.items() if name not in above}
    return dict.fromkeys(above, most) | shared_out(others, seats - most * len(above), most)


def test_both_write_the_same_bytes(tmp_path: Path) -> None:
    for number, case in enumerate(CASES):
        built = election(case)
        folder = tmp_path / str(number)
        assert observed(built, folder / "observed") == published(built, folder / "published"), case.name


def test_the_districts_add_up_to_what_was_published_for_the_country() -> None:
    for file in FILES.values():
        if file.published:
            sums: Counter[str] = Counter()
            for case in file.cases:
                sums.update(case.expect.seats)
            assert sums == file.published


def test_each_method_has_three_real_or_published_examples() -> None:
    methods = Counter(case.contest.method for case in CASES if case.nature != "invented")
    assert all(
        methods[method] >= 3 for method in ("plurality", "majority", "hare", "dhondt", "sainte-lague")
    ), methods
    assert len({case.name for case in CASES}) == len(CASES)
