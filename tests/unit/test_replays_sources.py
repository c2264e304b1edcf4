"""The converters of real sets, on invented rows in the columns of their sources."""

import csv
import io
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.replays import georgia, kyrgyz, russia
from tests.replays.__main__ import main
from tests.replays.folder import Head, Report, SourceError, election_toml, read_table, write_table
from tests.replays.zones import DISTRICT_ZONES, REGION_ZONES, zone_of

Rows = list[dict[str, str]]


def table(path: Path) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_source(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


# Kyrgyzstan

PARTIES = [*(f"«Партия {number}»" for number in range(1, 17)), kyrgyz.AGAINST_ALL]


def count(first: float, second: float = 0, total: float | None = None) -> list[object]:
    """Votes of a station in which two parties have any, and their total."""
    return [first, second, *[0.0] * 15, first + second if total is None else total]


def kyrgyz_source(
    folder: Path, machine: Sequence[Sequence[object]], manual: Sequence[Sequence[object]]
) -> Path:
    write_source(folder / kyrgyz.MACHINE_FILE, [*PARTIES, "total", "form2_percent"], machine)
    write_source(folder / kyrgyz.MANUAL_FILE, [*PARTIES, "total", "form2_percent", "level_one"], manual)
    return folder


@pytest.fixture
def kyrgyz_replay(tmp_path: Path) -> tuple[Report, Path]:
    source = kyrgyz_source(
        tmp_path / "source",
        machine=[
            [*count(82.99999999999999, 17.000000000000004), "12.5"],
            [*count(40, 20), "13.5"],
            [*count(8, 6), "14.5"],
            [*count(5), "0.0"],
            [*count(6), "0.0"],
            [*count(7), "99.25"],
            [*count(9), "inf"],
        ],
        manual=[
            [*count(20, 10), "13.5", "ОШ Г."],
            [*count(83, 17, total=101), "12.5", "БИШКЕК Г."],
            [*count(8, 7), "14.5", "ТАЛАССКАЯ ТИК"],
            [*count(5), "0.0", "МИД КР"],
            [*count(3), "77.25", ""],
        ],
    )
    return kyrgyz.convert(source, tmp_path / "out"), tmp_path / "out"


def test_kyrgyz_joins_what_stands_once_in_both_counts(kyrgyz_replay: tuple[Report, Path]) -> None:
    report, out = kyrgyz_replay
    machine = {row["station"]: (row["1"], row["2"]) for row in table(out / "results/contest-1.csv")}
    manual = {row["station"]: (row["1"], row["2"]) for row in table(out / "results/protocol-1.csv")}
    assert machine == {
        "2": ("83", "17"),
        "3": ("40", "20"),
        "4": ("8", "6"),
        "5": ("5", "0"),
        "6": ("6", "0"),
        "7": ("7", "0"),
        "8": ("9", "0"),
    }
    assert manual == {
        "2": ("83", "17"),
        "3": ("20", "10"),
        "4": ("8", "7"),
        "10005": ("5", "0"),
        "10006": ("3", "0"),
    }
    assert report.stations == 9
    assert report.rows == {"contest-1.csv": 7, "protocol-1.csv": 5}


def test_kyrgyz_counts_every_reason(kyrgyz_replay: tuple[Report, Path]) -> None:
    report, _ = kyrgyz_replay
    assert report.reasons == {
        kyrgyz.JOINED_EQUAL: 1,
        kyrgyz.JOINED_DIFFERENT: 2,
        kyrgyz.JOINED_DOUBLE: 1,
        kyrgyz.MACHINE_SHARED: 2,
        kyrgyz.MACHINE_ALONE: 2,
        kyrgyz.MANUAL_SHARED: 1,
        kyrgyz.MANUAL_ALONE: 1,
        kyrgyz.NOT_FINITE: 1,
        kyrgyz.NO_AREA: 5,
        kyrgyz.TALAS_SPELLING: 1,
        kyrgyz.ROUNDED: 2,
        kyrgyz.TOTAL_DIFFERS: 1,
    }
    assert any("declared invalid" in line for line in report.lines())


def test_kyrgyz_areas_are_those_of_the_source_and_one_for_unstated(
    kyrgyz_replay: tuple[Report, Path],
) -> None:
    _, out = kyrgyz_replay
    areas = {
        row["area"]: (row["parent"], row["level"], row["name_ru"])
        for row in table(out / "election/areas.csv")
    }
    assert areas == {
        "1": ("", "country", "Кыргызская Республика"),
        "7": ("1", "region", "ТАЛАССКАЯ ТИК"),
        "9": ("1", "region", "БИШКЕК Г."),
        "10": ("1", "region", "ОШ Г."),
        "11": ("1", "abroad", "МИД КР"),
        "12": ("1", "unstated", "Область не указана в источнике"),
    }
    stations = {row["station"]: (row["area"], row["type"]) for row in table(out / "election/stations.csv")}
    assert stations["2"] == ("9", "ordinary")
    assert stations["5"] == ("12", "ordinary")
    assert stations["10005"] == ("11", "abroad")
    assert "registered" not in table(out / "election/stations.csv")[0]


def test_kyrgyz_says_wherever_it_is_shown_that_it_was_declared_invalid(
    kyrgyz_replay: tuple[Report, Path],
) -> None:
    report, out = kyrgyz_replay
    election = tomllib.loads((out / "election/election.toml").read_text(encoding="utf-8"))
    assert "жараксыз деп табылган" in election["title_ky"]
    assert "признаны недействительными 6 октября 2020" in election["title_ru"]
    assert "declared invalid on 6 October 2020" in election["title_en"]
    assert "declared invalid" in election["site"]["notice"]
    assert "declared invalid" in (out / "NOTICE.txt").read_text(encoding="utf-8")
    assert "declared invalid" in report.title


@pytest.mark.parametrize(
    ("machine", "manual", "place"),
    [
        ([[*count(1.5), "1.0"]], [], f"{kyrgyz.MACHINE_FILE}:2"),
        ([[*count(-1), "1.0"]], [], f"{kyrgyz.MACHINE_FILE}:2"),
        ([[*count(1), "1.0"], [*count(2), "?"]], [], f"{kyrgyz.MACHINE_FILE}:3"),
        ([["many", *count(1)[1:], "1.0"]], [], f"{kyrgyz.MACHINE_FILE}:2"),
        ([["inf", *count(1)[1:], "1.0"]], [], f"{kyrgyz.MACHINE_FILE}:2"),
        ([[*count(1)]], [], f"{kyrgyz.MACHINE_FILE}:2"),
        ([], [[*count(1), "1.0", "АТЛАНТИДА"]], f"{kyrgyz.MANUAL_FILE}:2"),
    ],
)
def test_kyrgyz_refuses_another_source_and_leaves_nothing(
    tmp_path: Path, machine: Sequence[Sequence[object]], manual: Sequence[Sequence[object]], place: str
) -> None:
    source = kyrgyz_source(tmp_path / "source", machine, manual)
    with pytest.raises(SourceError) as refused:
        kyrgyz.convert(source, tmp_path / "out")
    assert refused.value.place == place
    assert not (tmp_path / "out/election").exists()
    assert not (tmp_path / "out/results").exists()


def test_kyrgyz_refuses_other_columns(tmp_path: Path) -> None:
    source = kyrgyz_source(tmp_path / "source", [], [])
    write_source(
        source / kyrgyz.MANUAL_FILE, ["Somebody", *PARTIES[1:], "total", "form2_percent", "level_one"], []
    )
    with pytest.raises(SourceError, match="parties are not those of"):
        kyrgyz.convert(source, tmp_path / "out")
    write_source(source / kyrgyz.MACHINE_FILE, [*PARTIES, "sum", "form2_percent"], [])
    with pytest.raises(SourceError, match="columns must be"):
        kyrgyz.convert(source, tmp_path / "out")


# Georgia

LEADING = [
    *["region", "district_id", "district name", "precinct_id", "special precinct"],
    *["possible voters", "special voters", "votes by 12", "votes by 17"],
    *["ballots signed for", "num ballots", "invalid votes", "valid votes"],
    *["logic check", "logic check2", "logic check", "logic check2", "logic check", "logic check2"],
]
LISTS = ["5 - Quiet Party", "41 - Loud Party"]
CANDIDATES = ["5 - Quiet Party", "41 - Loud Party", "42 - Initiative Group"]


def precinct(name: str, figures: str, valid: str, *votes: int) -> list[object]:
    """A row; `figures` are registered, special, 12 h, 17 h, signed, received, invalid."""
    district, number = name.split("/")
    return ["", district, "", number, "", *figures.split(), valid, *[""] * 6, *votes]


def georgia_source(
    folder: Path, party: Sequence[Sequence[object]], major: Sequence[Sequence[object]]
) -> Path:
    write_source(folder / georgia.PARTY_FILE, [*LEADING, *LISTS], party)
    write_source(folder / georgia.MAJOR_FILE, [*LEADING, *CANDIDATES], major)
    return folder


@pytest.fixture
def georgia_replay(tmp_path: Path) -> tuple[Report, Path]:
    source = georgia_source(
        tmp_path / "source",
        party=[
            precinct("00/87.01", "0 60 20 30 50 80 1", "49", 20, 29),
            precinct("02/06.107", "900 4 100 90 300 400 5", "295", 100, 190),
            precinct("01/01.02", "500 0 10 20 210 200 1", "209", 100, 109),
            precinct("01/01.01", "800 9 100 200 300 350 10", "290", 150, 140),
        ],
        major=[
            precinct("01/01.01", "801 9 100 200 300 350 20", "", 140, 150, 0),
            precinct("02/06.107", "900 4 100 190 300 400 5", "", 200, 0, 96),
            precinct("02/06.09", "700 4 100 190 800 900 3", "", 300, 0, 10),
        ],
    )
    return georgia.convert(source, tmp_path / "out"), tmp_path / "out"


def test_georgia_has_the_party_list_and_a_contest_for_each_district(
    georgia_replay: tuple[Report, Path],
) -> None:
    _, out = georgia_replay
    contests = {row["contest"]: (row["kind"], row["area"]) for row in table(out / "election/contests.csv")}
    assert contests == {"1": ("list", ""), "101": ("choose", "101"), "102": ("choose", "102")}
    choices = [
        (row["contest"], row["choice"], row["name_en"], row["party"])
        for row in table(out / "election/choices.csv")
    ]
    assert choices == [
        ("1", "5", "Quiet Party", ""),
        ("1", "41", "Loud Party", ""),
        ("101", "5", "Quiet Party", "Quiet Party"),
        ("101", "41", "Loud Party", "Loud Party"),
        ("102", "5", "Quiet Party", "Quiet Party"),
        ("102", "42", "Initiative Group", ""),
    ]


def test_georgia_gives_a_station_the_contests_of_which_the_source_has_a_row(
    georgia_replay: tuple[Report, Path],
) -> None:
    report, out = georgia_replay
    stations = [
        (row["station"], row["area"], row["registered"], row["label"], row["type"], row["contests"])
        for row in table(out / "election/stations.csv")
    ]
    assert stations == [
        ("1001", "101", "800", "01.01", "ordinary", ""),
        ("1002", "101", "500", "01.02", "ordinary", "1"),
        ("6009", "102", "700", "06.09", "ordinary", "102"),
        ("6107", "102", "900", "06.107", "ordinary", ""),
        ("87001", "100", "0", "87.01", "abroad", "1"),
    ]
    assert report.stations == 5


def test_georgia_leaves_out_the_figures_that_a_paper_does_not_have(
    georgia_replay: tuple[Report, Path],
) -> None:
    _, out = georgia_replay
    assert table(out / "results/contest-1.csv")[0] == {
        "station": "1001",
        "registered": "800",
        "registered_additional": "9",
        "ballots_received": "350",
        "issued": "300",
        "invalid": "10",
        "valid": "290",
        "5": "150",
        "41": "140",
    }
    assert table(out / "results/contest-102.csv") == [
        {
            "station": "6009",
            "registered": "700",
            "registered_additional": "4",
            "ballots_received": "900",
            "issued": "800",
            "invalid": "3",
            "5": "300",
            "42": "10",
        },
        {
            "station": "6107",
            "registered": "900",
            "registered_additional": "4",
            "ballots_received": "400",
            "issued": "300",
            "invalid": "5",
            "5": "200",
            "42": "96",
        },
    ]


def test_georgia_counts_every_reason(georgia_replay: tuple[Report, Path]) -> None:
    report, _ = georgia_replay
    assert report.reasons == {
        f"{georgia.PARTY_FILE}: {georgia.VALID_DIFFERS}": 1,
        f"{georgia.PARTY_FILE}: {georgia.OVER_RECEIVED}": 1,
        f"{georgia.PARTY_FILE}: {georgia.TURNOUT_FALLS}": 1,
        f"{georgia.MAJOR_FILE}: {georgia.OVER_SIGNED}": 2,
        f"{georgia.MAJOR_FILE}: {georgia.OVER_REGISTERED}": 1,
        georgia.NO_CANDIDATE: 2,
        georgia.REGISTERED_DIFFERS: 1,
        georgia.PARTY_ONLY_ABROAD: 1,
        georgia.PARTY_ONLY: 1,
        georgia.MAJOR_ONLY: 1,
    }


@pytest.mark.parametrize(
    ("party", "major", "detail"),
    [
        ([precinct("01/01.01", "8 9 1 2 3 x 1", "2", 1, 1)], [], "'x' is not a whole number"),
        ([precinct("01/01.01", "8 9 1 2 3 4 1", "2", 1, -1)], [], "'-1' is not a whole number"),
        ([precinct("1/01.01", "8 9 1 2 3 4 1", "2", 1, 1)], [], "not of the form"),
        ([precinct("01/01.1", "8 9 1 2 3 4 1", "2", 1, 1)], [], "not of the form"),
        ([precinct("01/01.01", "8 9 1 2 3 4 1", "2", 1, 1)] * 2, [], "stands twice"),
        (
            [precinct("01/01.01", "8 9 1 2 3 4 1", "2", 1, 1)],
            [precinct("02/01.01", "8 9 1 2 3 4 1", "", 1, 1, 0)],
            "is in district 01 in",
        ),
    ],
)
def test_georgia_refuses_another_source_and_leaves_nothing(
    tmp_path: Path, party: Sequence[Sequence[object]], major: Sequence[Sequence[object]], detail: str
) -> None:
    source = georgia_source(tmp_path / "source", party, major)
    with pytest.raises(SourceError, match=detail):
        georgia.convert(source, tmp_path / "out")
    assert not (tmp_path / "out/election").exists()


@pytest.mark.parametrize("header", [LISTS, LEADING, [*LEADING, "Quiet Party"]])
def test_georgia_refuses_other_columns(tmp_path: Path, header: list[str]) -> None:
    source = georgia_source(tmp_path / "source", [], [])
    write_source(source / georgia.PARTY_FILE, header, [])
    with pytest.raises(SourceError, match="column"):
        georgia.convert(source, tmp_path / "out")


# Russia

RUSSIA_HEADER = [
    "region",
    "tik",
    "uik",
    "Число избирателей, включенных в список избирателей",
    "Число избирательных бюллетеней, полученных участковой избирательной комиссией",
    "Число избирательных бюллетеней, выданных избирателям, проголосовавшим досрочно",
    "Число избирательных бюллетеней, выданных в помещении для голосования в день голосования",
    "Число избирательных бюллетеней, выданных вне помещения для голосования в день голосования",
    "Число погашенных избирательных бюллетеней",
    "Число избирательных бюллетеней в переносных ящиках для голосования",
    "Число бюллетеней в стационарных ящиках для голосования",
    "Число недействительных избирательных бюллетеней",
    "Число действительных избирательных бюллетеней",
    "Число утраченных избирательных бюллетеней",
    "Число избирательных бюллетеней, не учтенных при получении",
    "Первый Кандидат",
    "Вторая Кандидатка",
    "url",
]


def commission(region: str, district: str, station: str, numbers: str) -> list[object]:
    return [region, district, station, *numbers.split(), "about:blank"]


def russia_source(
    folder: Path, rows: Sequence[Sequence[object]], header: Sequence[str] = RUSSIA_HEADER
) -> Path:
    folder.mkdir()
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    with zipfile.ZipFile(folder / russia.ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(russia.MEMBER, text.getvalue())
    return folder


YAKUTIA = "Республика Саха (Якутия)"
# registered, received; issued early, inside, outside; cancelled; in portable and stationary boxes; invalid,
# valid, lost, not accounted for; votes
BALANCED = "1000 900 10 500 40 351 50 500 10 540 0 1 300 240"


@pytest.fixture
def russia_replay(tmp_path: Path) -> tuple[Report, Path]:
    source = russia_source(
        tmp_path / "source",
        [
            commission("Калининградская область", "22 Советская", "572", BALANCED),
            commission("Калининградская область", "24  Советская", "573", BALANCED),
            commission(YAKUTIA, "9 Верхоянская", "7", BALANCED),
            commission(YAKUTIA, "35 Якутская городская", "8", "0 900 0 500 0 399 1 500 10 490 0 0 300 240"),
            commission("99 Территория за пределами РФ", "99 Территория за пределами РФ", "8001", BALANCED),
        ],
    )
    return russia.convert(source, tmp_path / "out"), tmp_path / "out"


def test_russia_numbers_areas_and_stations_by_region(russia_replay: tuple[Report, Path]) -> None:
    report, out = russia_replay
    areas = [
        (row["area"], row["parent"], row["level"], row["name_ru"])
        for row in table(out / "election/areas.csv")
    ]
    assert areas == [
        ("1", "", "country", "Российская Федерация"),
        ("101", "1", "region", "Калининградская область"),
        ("101001", "101", "tik", "22 Советская"),
        ("101002", "101", "tik", "24  Советская"),
        ("102", "1", "region", YAKUTIA),
        ("102001", "102", "tik", "9 Верхоянская"),
        ("102002", "102", "tik", "35 Якутская городская"),
        ("103", "1", "region", "99 Территория за пределами РФ"),
        ("103001", "103", "tik", "99 Территория за пределами РФ"),
    ]
    stations = [
        (row["station"], row["area"], row["label"], row["type"])
        for row in table(out / "election/stations.csv")
    ]
    assert stations == [
        ("10572", "101001", "572", "ordinary"),
        ("10573", "101002", "573", "ordinary"),
        ("20007", "102001", "7", "ordinary"),
        ("20008", "102002", "8", "ordinary"),
        ("38001", "103001", "8001", "abroad"),
    ]
    assert report.stations == 5


def test_russia_closes_by_the_clock_of_the_region_where_it_is_certain(
    russia_replay: tuple[Report, Path],
) -> None:
    _, out = russia_replay
    times = [(row["closes_at"], row["timezone"]) for row in table(out / "election/stations.csv")]
    assert times == [
        ("2018-03-18T20:00:00+02:00", "Europe/Kaliningrad"),
        ("2018-03-18T20:00:00+02:00", "Europe/Kaliningrad"),
        ("2018-03-18T20:00:00+10:00", "Asia/Vladivostok"),
        ("2018-03-18T20:00:00+09:00", "Asia/Yakutsk"),
        ("", ""),
    ]


def test_russia_finds_all_ballots_in_both_kinds_of_boxes(russia_replay: tuple[Report, Path]) -> None:
    _, out = russia_replay
    assert table(out / "results/contest-1.csv")[0] == {
        "station": "10572",
        "registered": "1000",
        "ballots_received": "900",
        "issued_early": "10",
        "issued": "500",
        "issued_outside": "40",
        "cancelled": "351",
        "in_portable_box": "50",
        "in_box": "550",
        "invalid": "10",
        "valid": "540",
        "lost": "0",
        "not_accounted": "1",
        "1": "300",
        "2": "240",
    }


def test_russia_counts_every_reason(russia_replay: tuple[Report, Path]) -> None:
    report, _ = russia_replay
    assert report.reasons == {
        russia.OVER_ISSUED: 1,
        russia.OVER_REGISTERED: 1,
        russia.OVER_PORTABLE: 1,
        russia.UNBALANCED: 1,
        russia.VALID_DIFFERS: 1,
        russia.BOXES_DIFFER: 1,
        russia.NO_VOTERS: 1,
        russia.NO_ZONE: 1,
        russia.DOUBLED_SPACE: 1,
    }


@pytest.mark.parametrize(
    ("header", "row", "place"),
    [
        (RUSSIA_HEADER[1:], commission("Р", "1 Т", "1", BALANCED)[1:], "2018.csv:1"),
        (RUSSIA_HEADER, commission("Р", "1 Т", "1", BALANCED)[1:], "2018.csv:2"),
        (RUSSIA_HEADER, commission("Р", "1 Т", "один", BALANCED), "2018.csv:2"),
        (RUSSIA_HEADER, commission("Р", "1 Т", "1", BALANCED.replace("900", "9e2")), "2018.csv:2"),
        (RUSSIA_HEADER, commission("Р", "1 Т", "1", BALANCED.replace("900", "٩٠٠")), "2018.csv:2"),
    ],
)
def test_russia_refuses_another_source_and_leaves_nothing(
    tmp_path: Path, header: list[str], row: list[object], place: str
) -> None:
    source = russia_source(tmp_path / "source", [row], header)
    with pytest.raises(SourceError) as refused:
        russia.convert(source, tmp_path / "out")
    assert refused.value.place == place
    assert not (tmp_path / "out/election").exists()
    assert not (tmp_path / "out/results").exists()


def test_every_zone_is_known_and_had_this_offset_in_march_2018() -> None:
    offsets = {
        zone: datetime(2018, 3, 18, 20, tzinfo=ZoneInfo(zone)).strftime("%z")
        for zone in {*REGION_ZONES.values(), *DISTRICT_ZONES.values()}
    }
    assert sorted(set(offsets.values())) == [f"+{hours:02}00" for hours in range(2, 13)]
    assert offsets["Europe/Volgograd"] == "+0300"  # +04:00 only from October 2018
    assert offsets["Europe/Saratov"] == "+0400"
    assert offsets["Asia/Omsk"] == "+0600"
    assert len(REGION_ZONES) == 85
    assert (
        zone_of("98 Город Байконур (Республика Казахстан)", "98 Город Байконур (Республика Казахстан)") == ""
    )


# What all share

CONVERTERS: list[tuple[Callable[[Path, Path], Report], Callable[[Path], Path]]] = [
    (
        kyrgyz.convert,
        lambda folder: kyrgyz_source(folder, [[*count(3), "1.5"]], [[*count(4), "1.5", "ОШ Г."]]),
    ),
    (
        georgia.convert,
        lambda folder: georgia_source(
            folder,
            [precinct("01/01.01", "8 9 1 2 3 4 1", "2", 1, 1)],
            [precinct("01/01.01", "8 9 1 2 3 4 1", "", 1, 1, 0)],
        ),
    ),
    (russia.convert, lambda folder: russia_source(folder, [commission("Р", "1 Т", "1", BALANCED)])),
]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(("convert", "make_source"), CONVERTERS)
def test_a_conversion_is_deterministic_and_never_overwrites(
    tmp_path: Path, convert: Callable[[Path, Path], Report], make_source: Callable[[Path], Path]
) -> None:
    source = make_source(tmp_path / "source")
    assert convert(source, tmp_path / "one") == convert(source, tmp_path / "two")
    first = contents(tmp_path / "one")
    assert first == contents(tmp_path / "two")
    assert {"election/election.toml", "election/stations.csv", "NOTICE.txt"} <= first.keys()
    with pytest.raises(FileExistsError):
        convert(source, tmp_path / "one")
    assert contents(tmp_path / "one") == first


def test_election_toml_keeps_every_character() -> None:
    title = 'A "quoted" \\ title, «кавычки», a tab\t and 😀'
    head = Head(
        id="x-1",
        titles={"ru": title, "en": "B"},
        timezone="Asia/Bishkek",
        opens_at="2026-03-15T08:00:00+06:00",
        closes_at="2026-03-15T20:00:00+06:00",
        publish_at="2026-03-15T21:00:00+06:00",
        notice="line one\nline two",
        rules={"required": [], "h104": "soft", "s203_low": 0},
    )
    election = tomllib.loads(election_toml(head))
    assert election == {
        "id": "x-1-rehearsal",
        "title_ru": title,
        "title_en": "B",
        "mode": "rehearsal",
        "origin": "replay.example/x-1",
        "timezone": "Asia/Bishkek",
        "opens_at": "2026-03-15T08:00:00+06:00",
        "closes_at": "2026-03-15T20:00:00+06:00",
        "publish_at": "2026-03-15T21:00:00+06:00",
        "languages": ["ru", "en"],
        "headline": "machine",
        "commission_keys": ["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"],
        "rules": {"required": [], "h104": "soft", "s203_low": 0},
        "site": {"notice": "line one\nline two"},
    }


def test_tables_are_written_plain_or_as_a_spreadsheet_program_saves_them(tmp_path: Path) -> None:
    rows = [(1, "Ош, город"), (2, 'a "b"; c')]
    assert write_table(tmp_path / "plain.csv", ["n", "name"], rows) == 2
    assert (tmp_path / "plain.csv").read_bytes() == 'n,name\n1,"Ош, город"\n2,"a ""b""; c"\n'.encode()
    assert write_table(tmp_path / "sheet.csv", ["n", "name"], rows, spreadsheet=True) == 2
    assert (
        tmp_path / "sheet.csv"
    ).read_bytes() == '\ufeffn;name\r\n1;Ош, город\r\n2;"a ""b""; c"\r\n'.encode()
    assert read_table(tmp_path / "plain.csv") == (["n", "name"], [["1", "Ош, город"], ["2", 'a "b"; c']])


def test_an_empty_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(SourceError, match="empty"):
        read_table(tmp_path / "empty.csv")


def test_the_command_converts_and_says_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = kyrgyz_source(tmp_path / "source", [[*count(3), "1.5"]], [[*count(4), "1.5", "ОШ Г."]])
    assert main(["kyrgyz-2020", str(tmp_path / "out"), "--source", str(source)]) == 0
    said = capsys.readouterr().out
    assert "declared invalid on 6 October 2020" in said
    assert f"1  {kyrgyz.JOINED_DIFFERENT}" in said
    assert main(["kyrgyz-2020", str(tmp_path / "out"), "--source", str(source)]) == 1
    assert "name a new folder" in capsys.readouterr().err


def test_the_command_says_what_is_wrong_with_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["russia-2018", str(tmp_path / "out"), "--source", str(tmp_path)]) == 1
    assert "is missing: name the folder of the set with --source" in capsys.readouterr().err
    source = georgia_source(tmp_path / "source", [precinct("01/01.1", "8 9 1 2 3 4 1", "2", 1, 1)], [])
    assert main(["georgia-2016", str(tmp_path / "out"), "--source", str(source)]) == 1
    assert f"{georgia.PARTY_FILE}:2:" in capsys.readouterr().err


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    assert "examples:" in capsys.readouterr().out
    with pytest.raises(SystemExit) as wrong:
        main(["synthetic", "out", "--stations", "0"])
    assert wrong.value.code == 2
