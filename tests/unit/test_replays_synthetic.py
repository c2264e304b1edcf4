"""The invented sets: deterministic, of the promised shapes, and obeying the rules of tally.md."""

import csv
import hashlib
import json
import tomllib
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.replays import synthetic
from tests.replays.__main__ import main
from tests.replays.built import CLOSES_AT, Hashes, write_built
from tests.replays.folder import Report
from tests.replays.synthetic import SHAPES, Shape, generate

STATIONS = 130
CONTESTS = 3


def rows(path: Path) -> list[dict[str, str]]:
    text = path.read_text(encoding="utf-8-sig")
    return list(csv.DictReader(text.splitlines(), delimiter=";" if ";" in text.partition("\n")[0] else ","))


def numbers(path: Path) -> list[dict[str, int]]:
    return [{name: int(cell) for name, cell in row.items()} for row in rows(path)]


def votes(row: dict[str, int]) -> list[int]:
    return [count for name, count in row.items() if name.isdigit()]


def digest(folder: Path) -> str:
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            state.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> dict[Shape, tuple[Report, Path]]:
    made: dict[Shape, tuple[Report, Path]] = {}
    for shape in SHAPES:
        out = tmp_path_factory.mktemp(shape)
        made[shape] = generate(out, stations=STATIONS, contests=CONTESTS, seed=7, shape=shape), out
    return made


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_seed_gives_the_same_bytes(
    tmp_path: Path, replays: dict[Shape, tuple[Report, Path]], shape: Shape
) -> None:
    report, out = replays[shape]
    assert generate(tmp_path / "a", stations=STATIONS, contests=CONTESTS, seed=7, shape=shape) == report
    assert digest(tmp_path / "a") == digest(out)
    generate(tmp_path / "b", stations=STATIONS, contests=CONTESTS, seed=8, shape=shape)
    assert digest(tmp_path / "b") != digest(out)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_table_is_there_and_names_only_what_exists(
    replays: dict[Shape, tuple[Report, Path]], shape: Shape
) -> None:
    report, out = replays[shape]
    election = tomllib.loads((out / "election/election.toml").read_text(encoding="utf-8"))
    assert election["languages"] == ["ky", "kk", "ru", "en"]
    assert "nvented" in election["site"]["notice"]
    areas = {row["area"]: row["parent"] for row in rows(out / "election/areas.csv")}
    assert [area for area, parent in areas.items() if not parent] == ["1"]
    assert {parent for parent in areas.values() if parent} <= areas.keys()
    contests = {row["contest"]: row for row in rows(out / "election/contests.csv")}
    stations = {row["station"]: row for row in rows(out / "election/stations.csv")}
    assert len(stations) == report.stations == STATIONS
    # Every lowest area has stations, and no other has.
    assert {row["area"] for row in stations.values()} == areas.keys() - set(areas.values())
    choices = defaultdict(list)
    for row in rows(out / "election/choices.csv"):
        choices[row["contest"]].append(row["choice"])
    assert choices.keys() == contests.keys()
    files = {path.name for path in (out / "results").iterdir()}
    assert files == report.rows.keys()
    for file in files:
        number = file.removesuffix(".csv").rpartition("-")[2]
        table = rows(out / "results" / file)
        assert len(table) == report.rows[file]
        assert [name for name in table[0] if name.isdigit()] == choices[number]
        assert len({row["station"] for row in table}) == len(table)
        for row in table:
            assert contests[number]["area"] in ("", stations[row["station"]]["area"])


@pytest.mark.parametrize("shape", ["districts", "deep"])
def test_figures_and_votes_obey_the_hard_rules(
    replays: dict[Shape, tuple[Report, Path]], shape: Shape
) -> None:
    _, out = replays[shape]
    for path in (out / "results").iterdir():
        for row in numbers(path):
            cast = [count for name, count in row.items() if name.isdigit() and int(name) < 100]
            assert sum(cast) == row["valid"]
            issued = row["issued"] + row.get("issued_early", 0) + row.get("issued_outside", 0)
            in_box = row.get("in_box", row["valid"] + row["invalid"])
            assert row["valid"] + row.get("blank", 0) + row["invalid"] == in_box <= issued
            assert issued <= row["registered"] + row.get("registered_additional", 0)
            if shape == "deep":
                assert row["ballots_received"] + row["not_accounted"] == (
                    issued + row["spoiled"] + row["cancelled"] + row["lost"]
                )


def test_preferences_stay_below_the_votes_of_their_list(replays: dict[Shape, tuple[Report, Path]]) -> None:
    _, out = replays["deep"]
    of_list = {
        row["choice"]: row["list"]
        for row in rows(out / "election/choices.csv")
        if row["contest"] == "1" and row["list"]
    }
    assert len(of_list) == synthetic.LIST_LENGTH * synthetic.PREFERENCES_A_LIST
    for row in numbers(out / "results/contest-1.csv"):
        given_to: Counter[str] = Counter()
        for choice, own in of_list.items():
            given_to[own] += row[choice]
        assert all(count <= row[own] for own, count in given_to.items())


def test_flat_has_two_sources_that_differ_where_the_report_says(
    replays: dict[Shape, tuple[Report, Path]],
) -> None:
    report, out = replays["flat"]
    missing = different = 0
    for number in range(1, CONTESTS + 1):
        machine = {row["station"]: votes(row) for row in numbers(out / f"results/contest-{number}.csv")}
        paper = {row["station"]: votes(row) for row in numbers(out / f"results/protocol-{number}.csv")}
        assert paper.keys() < machine.keys()
        missing += len(machine) - len(paper)
        different += sum(paper[station] != machine[station] for station in paper)
    assert report.reasons[synthetic.MISSING_PROTOCOL] == missing > 0
    assert report.reasons[synthetic.DIFFERENT_PROTOCOL] == different > 0
    assert set(rows(out / "results/contest-1.csv")[0]) == {"station", *map(str, range(1, 11))}


def test_districts_elect_single_members_among_different_choices(
    replays: dict[Shape, tuple[Report, Path]],
) -> None:
    report, out = replays["districts"]
    local = [row for row in rows(out / "election/contests.csv") if row["area"]]
    assert [row["contest"] for row in local] == [row["area"] for row in local]
    standing = defaultdict(set)
    for row in rows(out / "election/choices.csv"):
        standing[row["contest"]].add(row["choice"])
    assert len({frozenset(standing[row["contest"]]) for row in local}) > 1
    partial = [row for row in rows(out / "election/stations.csv") if row["contests"]]
    assert report.reasons[synthetic.PARTIAL_CONTESTS] == len(partial) > 0
    silent = {row["station"] for row in partial}
    for row in local:
        counted = {count["station"] for count in rows(out / f"results/contest-{row['contest']}.csv")}
        assert not counted & silent


def test_deep_is_saved_as_by_a_spreadsheet_program(replays: dict[Shape, tuple[Report, Path]]) -> None:
    report, out = replays["deep"]
    saved = (out / "election/stations.csv").read_bytes()
    assert saved.startswith("\ufeffstation;".encode())
    assert saved.count(b"\r\n") == saved.count(b"\n") == STATIONS + 1
    parents = {row["area"]: row["parent"] for row in rows(out / "election/areas.csv")}
    lowest = rows(out / "election/stations.csv")[0]["area"]
    assert parents[parents[parents[lowest]]] == ""
    assert report.reasons[synthetic.DECOMPOSED] > 0
    assert unicodedata.normalize("NFC", saved.decode()) != saved.decode()


@pytest.mark.parametrize("shape", SHAPES)
def test_names_are_written_in_four_scripts(replays: dict[Shape, tuple[Report, Path]], shape: Shape) -> None:
    _, out = replays[shape]
    text = (out / "election/choices.csv").read_text(encoding="utf-8")
    scripts = {unicodedata.name(letter).partition(" ")[0] for letter in text if letter.isalpha()}
    assert scripts >= {"CYRILLIC", "LATIN", "GEORGIAN", "ARABIC"}


@settings(max_examples=40, deadline=None)
@given(
    stations=st.integers(1, 60), contests=st.integers(1, 4), seed=st.integers(), shape=st.sampled_from(SHAPES)
)
def test_any_arguments_give_a_whole_replay(
    tmp_path_factory: pytest.TempPathFactory, stations: int, contests: int, seed: int, shape: Shape
) -> None:
    out = tmp_path_factory.mktemp("any")
    report = generate(out, stations=stations, contests=contests, seed=seed, shape=shape)
    assert report.stations == stations == len(rows(out / "election/stations.csv"))
    for path in (out / "results").iterdir():
        for row in numbers(path):
            assert min(row.values()) >= 0
            if "valid" in row:
                assert (
                    sum(count for name, count in row.items() if name.isdigit() and int(name) < 100)
                    == row["valid"]
                )


@pytest.mark.parametrize(("stations", "contests"), [(0, 1), (1, 0), (1, 101)])
def test_an_empty_election_is_refused(tmp_path: Path, stations: int, contests: int) -> None:
    with pytest.raises(ValueError, match="an election needs"):
        generate(tmp_path / "out", stations=stations, contests=contests)
    assert not (tmp_path / "out").exists()


# Built tables


def canonical(path: Path) -> list[dict[str, str]]:
    """The rows of a built table, which must be canonical CSV."""
    data = path.read_bytes()
    assert data.endswith(b"\n")
    assert b"\r" not in data
    assert b'"' not in data
    header, *lines = data.decode().removesuffix("\n").split("\n")
    names = header.split(",")
    return [dict(zip(names, line.split(","), strict=True)) for line in lines]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Hashes, Path]:
    out = tmp_path_factory.mktemp("built")
    return write_built(out, 5_050, 10_200), out


@pytest.mark.parametrize("name", ["definition", "roster", "information"])
def test_built_manifests_name_their_tables(built: tuple[Hashes, Path], name: str) -> None:
    hashes, out = built
    file = "election" if name == "definition" else name
    data = (out / name / f"{file}.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == vars(hashes)[name]
    manifest = json.loads(data)
    assert json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == data
    assert manifest["format"] == f"tallygate-{name}/1"
    assert manifest.get("definition", hashes.definition) == hashes.definition
    files = {path.name for path in (out / name).iterdir()}
    assert files == {f"{file}.json", *(f"{table}.csv" for table in manifest["tables"])}
    for table, entry in manifest["tables"].items():
        path = out / name / f"{table}.csv"
        bytes_ = path.read_bytes()
        assert entry == {
            "rows": len(canonical(path)),
            "sha256": hashlib.sha256(bytes_).hexdigest(),
            "size": len(bytes_),
        }


def test_built_rows_ascend_and_refer_to_each_other(built: tuple[Hashes, Path]) -> None:
    _, out = built
    areas = {int(row["area"]): row["parent"] for row in canonical(out / "definition/areas.csv")}
    assert list(areas) == sorted(areas)
    parents = {int(parent) for parent in areas.values() if parent}
    assert parents <= areas.keys()
    stations = canonical(out / "definition/stations.csv")
    assert [row["station"] for row in stations] == [str(number) for number in range(1, 5_051)]
    assert {int(row["area"]) for row in stations} == areas.keys() - parents
    assert {row["closes_at"] for row in stations} == {str(CLOSES_AT)}
    devices = canonical(out / "roster/devices.csv")
    assert len({row["key"] for row in devices}) == 10_200
    assert devices[5_050]["kind"] == "terminal"
    assert devices[5_050]["stations"] == "1"
    assert devices[10_100]["kind"] == "box"
    named = canonical(out / "information/areas.csv")
    assert [int(row["area"]) for row in named] == list(areas)


def test_built_tables_are_deterministic_and_never_overwritten(tmp_path: Path) -> None:
    hashes = write_built(tmp_path / "a", 3, 0)
    assert write_built(tmp_path / "b", 3, 0) == hashes
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert write_built(tmp_path / "c", 4, 0) != hashes
    with pytest.raises(FileExistsError):
        write_built(tmp_path / "a", 3, 0)
    with pytest.raises(ValueError, match="needs a station"):
        write_built(tmp_path / "d", 0, 0)


def test_the_command_writes_synthetic_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synthetic", str(tmp_path / "night"), "--stations", "50", "--shape", "deep"]) == 0
    assert "50 stations; 50 rows in 1 results files" in capsys.readouterr().out
    assert main(["synthetic-built", str(tmp_path / "big"), "--stations", "20", "--devices", "20"]) == 0
    said = dict(line.split(" ") for line in capsys.readouterr().out.splitlines())
    assert said == vars(write_built(tmp_path / "again", 20, 20))
