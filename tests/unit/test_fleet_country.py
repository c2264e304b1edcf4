"""The invented country: the same bytes for one seed, and an election and counts that are what they seem."""

import csv
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from clients.fleet.country import (
    CLOSES_AT,
    CLOSES_AT_MS,
    FEWEST_STATIONS,
    MOST_STATIONS,
    OPENS_AT,
    OPENS_AT_MS,
    STATIONS,
    Country,
    invent,
)
from clients.fleet.country_names import AGAINST_ALL_STRENGTH, PARTIES, REGIONS
from gateway.election import read_folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Country:
    return invent(tmp_path_factory.mktemp("country"))


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    first = invent(tmp_path / "a", stations=100)
    second = invent(tmp_path / "b", stations=100)
    other = invent(tmp_path / "c", stations=100, seed=7)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")
    assert first.votes == second.votes != other.votes


@pytest.mark.parametrize("stations", [FEWEST_STATIONS, 60, STATIONS])
def test_the_folder_is_without_faults(tmp_path: Path, stations: int) -> None:
    country = invent(tmp_path, stations=stations)
    election, faults = read_folder(country.election, rehearsal=False)
    assert election is not None
    assert [(fault.code, fault.warning) for fault in faults.kept()] == [("definition.no_devices", True)]
    assert len(election.stations) == stations == len(country.stations)
    assert election.settings.mode == "rehearsal"


def test_the_times_are_those_of_the_clock() -> None:
    for text, ms in ((OPENS_AT, OPENS_AT_MS), (CLOSES_AT, CLOSES_AT_MS)):
        assert datetime.fromisoformat(text).timestamp() * 1_000 == ms


def test_shares_and_strengths_add_up() -> None:
    assert sum(region.share for region in REGIONS) == 1_000
    assert sum(party.strength for party in PARTIES) + AGAINST_ALL_STRENGTH == 1_000


def test_no_district_has_a_hundred_stations(whole: Country) -> None:
    sizes = Counter(row["area"] for row in table(whole.election / "stations.csv"))
    assert max(sizes.values()) < 100
    assert len(sizes) == sum(len(region.districts) for region in REGIONS)


def test_every_name_is_there_in_four_languages(whole: Country) -> None:
    for name in ("areas", "contests", "choices", "stations"):
        for row in table(whole.election / f"{name}.csv"):
            texts = [row[f"name_{language}"] for language in ("ky", "kk", "ru", "en")]
            assert all(texts)
    parties = table(whole.election / "choices.csv")
    assert len({row["name_en"] for row in parties}) == len(parties)


def test_the_counts_add_up_everywhere_but_at_one_station(whole: Country) -> None:
    for contest in (1, 2):
        wrong = []
        for row in table(whole.results / f"contest-{contest}.csv"):
            own = {name: int(value) for name, value in row.items()}
            votes = sum(value for name, value in own.items() if name.isdigit())
            given_out = own["issued"] + own["issued_outside"]
            assert own["in_box"] <= given_out <= own["registered"]
            assert given_out == own["identified"]
            assert votes == own["valid"]
            if own["valid"] + own["blank"] + own["invalid"] != own["in_box"]:
                wrong.append(own["station"])
        assert wrong == ([whole.held] if contest == 1 else [])


def test_what_the_night_must_come_to(whole: Country) -> None:
    for contest, left_out in ((1, {whole.held}), (2, set[int]())):
        rows = [
            row
            for row in table(whole.results / f"contest-{contest}.csv")
            if int(row["station"]) not in {*whole.silent, *left_out}
        ]
        choices = [name for name in rows[0] if name.isdigit()]
        assert whole.votes[contest] == tuple(sum(int(row[choice]) for row in rows) for choice in choices)
    assert whole.counted == STATIONS - len(whole.silent) - 1


def test_who_arrives(whole: Country) -> None:
    rows = table(whole.arrivals)
    times = Counter(int(row["station"]) for row in rows)
    assert set(times) == set(whole.stations) - set(whole.silent)
    assert set(times.values()) == {1, 2}
    assert times[whole.held] == times[whole.disputed] == 1
    assert [float(row["seconds"]) for row in rows] == sorted(float(row["seconds"]) for row in rows)
    assert not {whole.held, whole.disputed} & set(whole.silent)


@pytest.mark.parametrize("stations", [0, FEWEST_STATIONS - 1, MOST_STATIONS + 1])
def test_a_country_has_bounds(tmp_path: Path, stations: int) -> None:
    with pytest.raises(ValueError, match="has 20 to 30,000 stations"):
        invent(tmp_path, stations=stations)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "election").mkdir()
    with pytest.raises(FileExistsError):
        invent(tmp_path, stations=FEWEST_STATIONS)
