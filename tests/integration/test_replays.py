"""The real result sets beside the project, and the invented ones, through the builder and the core.

Every expected total is one that the README of the set states, or is computed here from the source in
another way.
"""

import csv
import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from gateway._core import Definition, Information, Roster, public_key
from gateway.election import (
    Built,
    Code,
    Election,
    build,
    due_devices,
    read_folder,
    with_keys,
    write_manifests,
)
from tests.replays import georgia, kyrgyz, russia
from tests.replays.built import write_built
from tests.replays.folder import SHARED_DATA, Report
from tests.replays.synthetic import SHAPES, Shape, generate

# The 16 lines that every protocol may have (docs/packet.md, "Figures").
STANDARD_FIGURES = {
    *("registered", "registered_additional", "identified", "ballots_received", "issued", "issued_early"),
    *("issued_outside", "spoiled", "cancelled", "in_box", "in_portable_box", "valid", "blank", "invalid"),
    *("lost", "returned_by_box"),
}

Replay = tuple[Report, Path]
Sums = dict[str, int]


def replay(name: str, source: str, convert: Callable[[Path, Path], Report], out: Path) -> Replay:
    folder = SHARED_DATA / source
    if not folder.is_dir():
        pytest.skip(f"{name} is not beside the project (shared/data/{source}): its replay was not tested")
    return convert(folder, out), out


@pytest.fixture(scope="session")
def kyrgyz_replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return replay(kyrgyz.NAME, kyrgyz.SOURCE, kyrgyz.convert, tmp_path_factory.mktemp("kyrgyz"))


@pytest.fixture(scope="session")
def georgia_replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return replay(georgia.NAME, georgia.SOURCE, georgia.convert, tmp_path_factory.mktemp("georgia"))


@pytest.fixture(scope="session")
def russia_replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return replay(russia.NAME, russia.SOURCE, russia.convert, tmp_path_factory.mktemp("russia"))


def rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def counts(path: Path) -> Iterator[tuple[int, list[int], list[int]]]:
    """Of each row of a results file the station, its figures and its votes."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        first = next(place for place, name in enumerate(next(reader)) if name.isdigit())
        for row in reader:
            yield int(row[0]), [int(cell) for cell in row[1:first]], [int(cell) for cell in row[first:]]


def totals(path: Path) -> Sums:
    """The sum of each column of a results file."""
    columns = list(next(rows(path)))[1:]
    sums = [0] * len(columns)
    for _, figures, votes in counts(path):
        sums = [total + count for total, count in zip(sums, figures + votes, strict=True)]
    return dict(zip(columns, sums, strict=True))


def all_votes(sums: Mapping[str, int]) -> int:
    return sum(count for name, count in sums.items() if name.isdigit())


def by_area(path: Path, area: Mapping[int, str]) -> Counter[str]:
    """The votes of each area; `area` gives a station's."""
    sums: Counter[str] = Counter()
    for station, _, votes in counts(path):
        sums[area[station]] += sum(votes)
    return sums


def areas_of_stations(out: Path) -> dict[int, str]:
    return {int(row["station"]): row["area"] for row in rows(out / "election/stations.csv")}


def read_election(out: Path, warnings: set[str]) -> Election:
    """The folder as the builder reads it: without a fault, and with these kinds of warnings."""
    election, faults = read_folder(out / "election", rehearsal=True)
    assert not faults.errors, "\n".join(str(fault) for fault in faults.kept())
    assert election is not None
    assert {fault.code.value.removeprefix("definition.") for fault in faults.kept()} == warnings
    return election


def build_rehearsal(election: Election, out: Path) -> Definition:
    """Write the manifests as `tallygate init --rehearsal` does, with the devices that are due; load them."""
    devices = [
        device._replace(key=public_key(device.device.to_bytes(32, "big"))) for device in due_devices(election)
    ]
    with_devices = with_keys(election, devices=devices, commission_keys=[public_key(bytes(32))])
    return load(out, write_manifests(with_devices, out), devices=len(devices))


def load(out: Path, built: Built, *, devices: int) -> Definition:
    """Read back what was built."""
    definition = Definition.load(out / "definition")
    assert definition.hash == built.definition
    assert definition.mode == "rehearsal"
    assert definition.id.endswith("-rehearsal")
    roster = Roster.load(out / "roster", definition)
    assert roster.hash == built.roster
    assert roster.device_count == devices
    assert Information.load(out / "information", definition).hash == built.information
    return definition


def check_results(out: Path, definition: Definition) -> None:
    """Every results file belongs to a contest, names its choices in order, and known figures and stations."""
    known = STANDARD_FIGURES | {figure.figure for figure in definition.figures}
    held = {station.number: station.contests for station in definition.stations()}
    for path in (out / "results").iterdir():
        contest = int(path.stem.partition("-")[2])
        _, *columns = next(rows(path))
        choices = [str(choice.number) for choice in definition.choices(contest)]
        assert columns[-len(choices) :] == choices
        assert known >= set(columns[: -len(choices)])
        assert all(contest in held[station] for station, _, _ in counts(path))


# Kyrgyzstan


@pytest.mark.shared
def test_kyrgyz_totals_are_the_documented_ones(kyrgyz_replay: Replay) -> None:
    report, out = kyrgyz_replay
    assert all_votes(totals(out / "results/contest-1.csv")) == 1_920_214
    assert all_votes(totals(out / "results/protocol-1.csv")) == 1_887_345
    assert report.rows == {"contest-1.csv": 2_399, "protocol-1.csv": 2_413}
    assert report.stations == 2_399 + 2_413 - 2_165


@pytest.mark.shared
def test_kyrgyz_pairs_are_the_documented_ones(kyrgyz_replay: Replay) -> None:
    report, out = kyrgyz_replay
    machine = {row["station"]: list(row.values())[1:] for row in rows(out / "results/contest-1.csv")}
    manual = {row["station"]: list(row.values())[1:] for row in rows(out / "results/protocol-1.csv")}
    both = machine.keys() & manual.keys()
    assert len(both) == 2_165
    differences = [
        sum(map(int, manual[station])) - sum(map(int, machine[station]))
        for station in both
        if machine[station] != manual[station]
    ]
    assert len(differences) == 341
    assert sum(difference > 0 for difference in differences) == 295
    assert sum(difference < 0 for difference in differences) == 43
    assert report.reasons == {
        kyrgyz.ROUNDED: 30_990,
        kyrgyz.JOINED_EQUAL: 1_824,
        kyrgyz.JOINED_DIFFERENT: 341,
        kyrgyz.JOINED_DOUBLE: 13,
        kyrgyz.MACHINE_SHARED: 175,
        kyrgyz.MACHINE_ALONE: 59,
        kyrgyz.MANUAL_SHARED: 203,
        kyrgyz.MANUAL_ALONE: 45,
        kyrgyz.NOT_FINITE: 3,
        kyrgyz.TALAS_SPELLING: 116,
        kyrgyz.NO_AREA: 2_399 - 2_165,
    }


@pytest.mark.shared
def test_kyrgyz_regions_have_the_votes_of_the_newer_file_too(kyrgyz_replay: Replay) -> None:
    _, out = kyrgyz_replay
    source: Counter[str] = Counter()
    for row in rows(SHARED_DATA / kyrgyz.SOURCE / "PARTIES_RESULTS_REACT_LEVEL_ONE_NEW.csv"):
        source[row["level_one"]] += round(float(row["total"]))
    names = {row["area"]: row["name_ru"] for row in rows(out / "election/areas.csv")}
    sums = by_area(out / "results/protocol-1.csv", areas_of_stations(out))
    assert {names[area]: count for area, count in sums.items()} == source
    assert len(sums) == 10


@pytest.mark.shared
def test_kyrgyz_folder_builds(kyrgyz_replay: Replay, tmp_path: Path) -> None:
    _, out = kyrgyz_replay
    election = read_election(out, {"name_gaps"})
    assert len(election.stations) == 2_647
    assert all(station.registered is None for station in election.stations)
    assert "declared invalid on 6 October 2020" in election.settings.title[3]
    assert election.settings.rules.required == ()
    against_all = [choice for choice in election.choices if choice.kind == "against_all"]
    assert [choice.names[0] for choice in against_all] == [kyrgyz.AGAINST_ALL]
    definition = build_rehearsal(election, tmp_path / "built")
    check_results(out, definition)
    assert "declared invalid on 6 October 2020" in definition.title["en"]
    assert [choice.name for choice in definition.choices(1)] == [
        choice.names[0] for choice in election.choices
    ]


# Georgia


@pytest.mark.shared
def test_georgia_totals_are_the_documented_ones(georgia_replay: Replay) -> None:
    report, out = georgia_replay
    sums = totals(out / "results/contest-1.csv")
    assert sums["41"] == 852_576
    assert sums["5"] == 473_906
    assert all_votes(sums) == 1_751_506
    assert report.rows["contest-1.csv"] == 3_668
    local = [count for file, count in report.rows.items() if file != "contest-1.csv"]
    assert len(local) == 73
    assert sum(local) == 3_495
    assert report.stations == 3_687


@pytest.mark.shared
def test_georgia_dirt_is_the_documented_one(georgia_replay: Replay) -> None:
    report, _ = georgia_replay
    assert report.reasons == {
        f"{georgia.PARTY_FILE}: {georgia.VALID_DIFFERS}": 1_033,
        f"{georgia.PARTY_FILE}: {georgia.OVER_SIGNED}": 125,
        f"{georgia.PARTY_FILE}: {georgia.OVER_RECEIVED}": 9,
        f"{georgia.PARTY_FILE}: {georgia.OVER_REGISTERED}": 1,
        f"{georgia.PARTY_FILE}: {georgia.TURNOUT_FALLS}": 6,
        f"{georgia.MAJOR_FILE}: {georgia.OVER_SIGNED}": 55,
        f"{georgia.MAJOR_FILE}: {georgia.OVER_RECEIVED}": 7,
        georgia.NO_CANDIDATE: 1_082,
        georgia.REGISTERED_DIFFERS: 2,
        georgia.PARTY_ONLY_ABROAD: 57,
        georgia.PARTY_ONLY: 135,
        georgia.MAJOR_ONLY: 19,
    }


@pytest.mark.shared
def test_georgia_districts_have_the_votes_of_the_source(georgia_replay: Replay) -> None:
    _, out = georgia_replay
    area = areas_of_stations(out)
    party: Counter[str] = Counter()
    for row in rows(SHARED_DATA / georgia.SOURCE / georgia.PARTY_FILE):
        party[str(100 + int(row["district_id"]))] += sum(
            int(cell) for name, cell in row.items() if name[0].isdigit()
        )
    assert by_area(out / "results/contest-1.csv", area) == party
    major: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(SHARED_DATA / georgia.SOURCE / georgia.MAJOR_FILE):
        major[row["district_id"]].update(
            {name.partition(" ")[0]: int(cell) for name, cell in row.items() if name[0].isdigit()}
        )
    for district, source in major.items():
        sums = totals(out / f"results/contest-{100 + int(district)}.csv")
        assert {name: count for name, count in sums.items() if name.isdigit()} == dict(+source)


@pytest.mark.shared
def test_georgia_folder_builds_with_the_contests_that_each_station_has(
    georgia_replay: Replay, tmp_path: Path
) -> None:
    _, out = georgia_replay
    election = read_election(out, set())
    assert len(election.contests) == 74
    held = {station.station: set(station.contests) for station in election.stations}
    counted: dict[int, set[int]] = defaultdict(set)
    for contest in election.contests:
        for row in rows(out / f"results/contest-{contest.contest}.csv"):
            counted[int(row["station"])].add(contest.contest)
    assert held == counted
    definition = build_rehearsal(election, tmp_path / "built")
    check_results(out, definition)


# Russia


@pytest.mark.shared
def test_russia_totals_are_the_documented_ones(russia_replay: Replay) -> None:
    report, out = russia_replay
    assert report.stations == report.rows["contest-1.csv"] == 97_699
    path = out / "results/contest-1.csv"
    columns = list(next(rows(path)))[1:]
    registered, in_box, invalid, valid = map(columns.index, ["registered", "in_box", "invalid", "valid"])
    annulled = 0
    for station, figures, votes in counts(path):
        assert figures[valid] == sum(votes)
        assert figures[valid] + figures[invalid] == figures[in_box]
        annulled += figures[registered] if station in russia.ANNULLED else 0
    sums = totals(path)
    assert sums["registered"] == 109_008_428
    assert sums["registered"] - annulled == 109_001_306
    assert report.reasons == {
        russia.OVER_ISSUED: 6,
        russia.OVER_PORTABLE: 26,
        russia.NO_ZONE: 400,
        russia.DOUBLED_SPACE: 39,
    }


@pytest.mark.shared
def test_russia_regions_and_annulled_stations_are_those_of_the_source(russia_replay: Replay) -> None:
    _, out = russia_replay
    with (
        zipfile.ZipFile(SHARED_DATA / russia.SOURCE / russia.ARCHIVE) as archive,
        archive.open(russia.MEMBER) as member,
    ):
        source = csv.reader(io.TextIOWrapper(member, "utf-8", newline=""))
        next(source)
        regions: Counter[str] = Counter()
        annulled = []
        for number, row in enumerate(source, start=2):
            regions[row[0]] += sum(map(int, row[15:23]))
            if number in (45_559, 45_563, 92_554, 92_561):
                annulled.append((row[0], row[1], row[2], row[3]))
    names = {row["area"]: row["name_ru"] for row in rows(out / "election/areas.csv")}
    stations = {int(row["station"]): row for row in rows(out / "election/stations.csv")}
    assert annulled == [
        (names[row["area"][:3]], names[row["area"]], row["label"], row["registered"])
        for row in (stations[station] for station in russia.ANNULLED)
    ]
    # An area's number begins with that of its region.
    region = {station: row["area"][:3] for station, row in stations.items()}
    sums = by_area(out / "results/contest-1.csv", region)
    assert {names[area]: count for area, count in sums.items()} == regions
    assert len(regions) == 87
    assert len(names) == 1 + 87 + 2_778


@pytest.mark.shared
def test_russia_folder_builds(russia_replay: Replay, tmp_path: Path) -> None:
    _, out = russia_replay
    # As officials build it: two hundred thousand keys of a rehearsal would take longer than all the rest.
    built, faults = build(out / "election", tmp_path / "built")
    assert [fault.code for fault in faults.kept()] == [Code.NO_DEVICES]
    assert built is not None
    definition = load(tmp_path / "built", built, devices=0)
    assert definition.station_count == 97_699
    assert [figure.figure for figure in definition.figures] == ["not_accounted"]
    assert [check.severity for check in definition.checks] == ["hard", "soft"]
    check_results(out, definition)
    # 20:00 by eleven clocks, an hour apart: from UTC+12 to UTC+2.
    closing = {station.closes_at for station in definition.stations()}
    assert definition.publish_at is not None
    assert sorted(closing) == [definition.publish_at - hours * 3_600_000 for hours in range(10, -1, -1)]
    areas = {area.number: area for area in definition.areas}
    annulled = [definition.station(number) for number in russia.ANNULLED]
    assert [areas[station.area].name for station in annulled if station] == [
        *["22 Советская"] * 2,
        *["93 район Люблино"] * 2,
    ]


# Invented sets


@pytest.mark.parametrize("shape", SHAPES)
def test_synthetic_sets_build_and_load(tmp_path: Path, shape: Shape) -> None:
    report = generate(tmp_path, stations=150, contests=4, seed=3, shape=shape)
    election = read_election(tmp_path, set())
    definition = build_rehearsal(election, tmp_path / "built")
    assert definition.station_count == report.stations
    check_results(tmp_path, definition)
    machine = {
        (contest.number, int(row["station"]))
        for contest in definition.contests
        for row in rows(tmp_path / f"results/contest-{contest.number}.csv")
    }
    assert machine == {
        (contest, station.number) for station in definition.stations() for contest in station.contests
    }


def test_built_tables_load_and_look_like_the_builders(tmp_path: Path) -> None:
    hashes = write_built(tmp_path / "direct", 250, 600)
    definition = Definition.load(tmp_path / "direct/definition")
    assert definition.hash.hex() == hashes.definition
    assert definition.station_count == 250
    roster = Roster.load(tmp_path / "direct/roster", definition)
    assert roster.hash.hex() == hashes.roster
    assert roster.device_count == 600
    information = Information.load(tmp_path / "direct/information", definition)
    assert information.hash.hex() == hashes.information

    generate(tmp_path / "replay", stations=3, shape="deep")
    election = read_election(tmp_path / "replay", set())
    build_rehearsal(election, tmp_path / "built")
    for path in sorted((tmp_path / "built").rglob("*.csv")):
        direct = tmp_path / "direct" / path.relative_to(tmp_path / "built")
        with path.open() as ours, direct.open() as theirs:
            assert next(ours) == next(theirs), path
