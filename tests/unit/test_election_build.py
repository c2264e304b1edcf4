"""What is built: the canonical bytes, whatever way the tables were saved; and that nothing is overwritten."""

import csv
import hashlib
import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.wire.definition import Definition as OtherDefinition
from clients.wire.information import Information as OtherInformation
from clients.wire.roster import Roster as OtherRoster
from gateway import _core
from gateway.base.errors import TallygateError
from gateway.election import Built, Code, build, read_folder, write_manifests
from gateway.election import manifests as manifests_module
from gateway.election.files import BOM
from tests.unit.election_folder import FILES, PNG, TOML, key, read, write

EXAMPLE = Path(__file__).parents[2] / "examples" / "hill-country"


def built(folder: Path, out: Path) -> Built:
    found, faults = build(folder, out)
    assert found is not None, "\n".join(map(str, faults.kept()))
    return found


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_smallest_election_byte_for_byte(tmp_path: Path) -> None:
    built(write(tmp_path / "in"), tmp_path / "out")
    files = content(tmp_path / "out")
    closes_at = 1_948_975_200_000
    tables = {
        "definition/areas.csv": "area,parent,level,label,code,name\n1,,country,,,Country\n"
        "2,1,region,,,North\n"
        "3,1,region,,,South\n",
        "definition/contests.csv": "contest,kind,area,seats,marks,preferences,method,share_of,"
        "threshold,threshold_of,"
        "threshold_area,threshold_area_level,seat_cap,quorum,quorum_of,name\n"
        "1,choose,,1,1,0,plurality,valid,,,,,,,,President\n",
        "definition/choices.csv": "contest,choice,kind,list,label,name\n1,1,candidate,,,Alpha\n"
        "1,2,candidate,,,Beta\n",
        "definition/stations.csv": "station,area,registered,type,box,closes_at,timezone,contests,label,name\n"
        f"11,2,100,ordinary,yes,{closes_at},Asia/Bishkek,1,,One\n"
        f"12,3,200,ordinary,yes,{closes_at},Asia/Bishkek,1,,Two\n",
        "definition/figures.csv": "code,figure,name\n",
        "definition/checks.csv": "check,severity,left,op,right,tolerance\n",
        "roster/devices.csv": f"device,kind,stations,area,key,serial\n1,box,11,,{key(1).hex()},\n"
        f"2,box,12,,{key(2).hex()},\n",
        "roster/couriers.csv": "courier,area,name\n",
        "roster/firmware.csv": "sha256,name\n",
        "information/areas.csv": "area,name_ky,name_kk,name_ru,name_en\n1,,,,Country\n2,,,,North\n"
        "3,,,,South\n",
        "information/contests.csv": "contest,name_ky,name_kk,name_ru,name_en\n1,,,,President\n",
        "information/choices.csv": "contest,choice,name_ky,name_kk,name_ru,name_en,party,color,photo,"
        "biography_ky,"
        ""
        "biography_kk,biography_ru,biography_en,programme_ky,programme_kk,programme_ru,programme_en,link,fund_income,"
        "fund_spent\n1,1,,,,Alpha,,,,,,,,,,,,,,\n1,2,,,,Beta,,,,,,,,,,,,,,\n",
        "information/stations.csv": "station,name_ky,name_kk,name_ru,name_en,address_ky,address_kk,"
        "address_ru,"
        "address_en,route_ky,route_kk,route_ru,route_en,latitude,longitude,photo,panorama\n"
        "11,,,,One,,,,,,,,,,,,\n12,,,,Two,,,,,,,,,,,,\n",
        "information/figures.csv": "code,name_ky,name_kk,name_ru,name_en\n",
        "information/checks.csv": "check,text_ky,text_kk,text_ru,text_en\n",
    }
    for name, text in tables.items():
        assert files.pop(name).decode() == text

    def entries(room: str) -> dict[str, object]:
        return {
            name.split("/")[1].removesuffix(".csv"): {
                "rows": text.count("\n") - 1,
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
                "size": len(text),
            }
            for name, text in tables.items()
            if name.startswith(room)
        }

    definition = files.pop("definition/election.json")
    assert json.loads(definition) == {
        "format": "tallygate-definition/1",
        "id": "test-1",
        "title": {"en": "Test"},
        "mode": "live",
        "timezone": "Asia/Bishkek",
        "opens_at": closes_at - 12 * 3_600_000,
        "closes_at": closes_at,
        "publish_at": None,
        "languages": ["en"],
        "headline": "machine",
        "commission": {"keys": [key(901).hex(), key(902).hex()], "quorum": 2},
        "rules": {
            "required": [9, 11, 13],
            "required_voters": [],
            "h104": "hard",
            "h104_tolerance": 0,
            "s201_tolerance": 0,
            "s202_percent": 10,
            "s203_low": 5,
            "s203_high": 95,
            "s204_minutes": 720,
            "s210_tolerance": 0,
        },
        "tables": entries("definition/"),
    }
    named = hashlib.sha256(definition).hexdigest()
    assert json.loads(files.pop("roster/roster.json")) == {
        "format": "tallygate-roster/1",
        "definition": named,
        "tables": entries("roster/"),
    }
    assert json.loads(files.pop("information/information.json")) == {
        "format": "tallygate-information/1",
        "definition": named,
        "site": {"contact": "", "notice": "", "voter_check_url": ""},
        "tables": entries("information/"),
        "media": {},
    }
    assert not files


# Same input, same bytes


def rewrite(folder: Path, change: Callable[[list[list[str]]], list[list[str]]], separator: str = ",") -> None:
    """Save every table again in another way."""
    for path in folder.glob("*.csv"):
        table = change(list(csv.reader(path.read_text().splitlines())))
        text = io.StringIO()
        csv.writer(text, delimiter=separator, lineterminator="\n").writerows(table)
        path.write_text(text.getvalue())


def shuffled(table: list[list[str]]) -> list[list[str]]:
    header, *rows = table
    random.Random(1).shuffle(rows)
    return [header, *rows]


def turned(table: list[list[str]]) -> list[list[str]]:
    return [row[::-1] for row in table]


def padded(table: list[list[str]]) -> list[list[str]]:
    header, *rows = table
    return [header, *([f"  {cell} " for cell in row] for row in rows), [""] * len(header)]


def with_zeros(table: list[list[str]]) -> list[list[str]]:
    header, *rows = table
    numbers = {"area", "parent", "contest", "choice", "station", "seats", "registered"}
    return [
        header,
        *(
            [
                f"00{cell}" if name in numbers and cell.isdigit() else cell
                for name, cell in zip(header, row, strict=True)
            ]
            for row in rows
        ),
    ]


def with_bom_and_crlf(folder: Path) -> None:
    for path in [*folder.glob("*.csv"), folder / "election.toml"]:
        path.write_bytes(BOM + path.read_bytes().replace(b"\n", b"\r\n"))


VARIANTS: dict[str, Callable[[Path], None]] = {
    "shuffled rows": lambda folder: rewrite(folder, shuffled),
    "other column order": lambda folder: rewrite(folder, turned),
    "semicolons": lambda folder: rewrite(folder, lambda table: table, ";"),
    "blanks and empty rows": lambda folder: rewrite(folder, padded),
    "leading zeros": lambda folder: rewrite(folder, with_zeros),
    "mark and CRLF": with_bom_and_crlf,
}


@pytest.fixture
def example(tmp_path: Path) -> Path:
    folder = tmp_path / "hill-country"
    for path in EXAMPLE.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(EXAMPLE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_the_same_tables_saved_otherwise_give_the_same_bytes(
    example: Path, tmp_path: Path, variant: Callable[[Path], None]
) -> None:
    first = built(example, tmp_path / "first")
    variant(example)
    second = built(example, tmp_path / "second")
    assert second[1:] == first[1:]
    assert content(tmp_path / "second") == content(tmp_path / "first")


def test_decomposed_names_give_the_same_bytes(tmp_path: Path) -> None:
    one = write(tmp_path / "1", {"choices.csv": "contest,choice,name_en\n1,1,Йод\n1,2,Ё\n"})
    two = write(tmp_path / "2", {"choices.csv": "contest,choice,name_en\n1,1,И\u0306од\n1,2,Е\u0308\n"})
    assert built(one, tmp_path / "a")[1:] == built(two, tmp_path / "b")[1:]


def test_defaults_written_out_give_the_same_bytes(tmp_path: Path) -> None:
    written = {
        "contests.csv": "contest,kind,area,seats,marks,preferences,method,share_of,name_en\n"
        "1,choose,,1,1,0,plurality,valid,President\n",
        "choices.csv": "contest,choice,kind,list,name_en\n1,1,candidate,,Alpha\n1,2,candidate,,Beta\n",
        "stations.csv": "station,area,registered,type,box,closes_at,timezone,contests,name_en\n"
        "11,2,100,ordinary,yes,2031-10-05T14:00:00Z,Asia/Bishkek,1,One\n"
        "12,3,200,ordinary,yes,2031-10-05T20:00:00.000+06:00,,*,Two\n",
        "election.toml": TOML
        + 'commission_quorum = 2\nlanguages = ["en"]\nheadline = "machine"\n[rules]\nrequired = [13, 11, 9]\n'
        'required_voters = []\nh104 = "hard"\ns202_percent = 10\n[site]\ncontact = ""\n',
    }
    plain = built(write(tmp_path / "1"), tmp_path / "a")
    explicit = built(write(tmp_path / "2", written), tmp_path / "b")
    assert explicit[1:] == plain[1:]


# Meaning


def test_contests_of_stations_follow_the_tree(tmp_path: Path) -> None:
    election = read(
        tmp_path,
        {
            "areas.csv": "area,parent,level,name_en\n9,,country,C\n2,9,region,N\n3,9,region,S\n"
            "4,3,district,D\n",
            "contests.csv": "contest,kind,area,name_en\n1,choose,,A\n2,choose,3,B\n3,choose,4,C\n"
            "4,choose,2,D\n",
            "choices.csv": "contest,choice,name_en\n1,1,A\n2,1,A\n3,1,A\n4,1,A\n",
            "stations.csv": "station,area,contests,name_en\n11,2,,One\n12,4,,Two\n13,4,*,Three\n14,4,4 "
            "1,Four\n",
            "devices.csv": None,
        },
    )
    assert [station.contests for station in election.stations] == [(1, 4), (1, 2, 3), (1, 2, 3, 4), (1, 4)]
    assert [station.registered for station in election.stations] == [None] * 4


def test_percents_are_hundredths_and_bases_have_defaults(tmp_path: Path) -> None:
    election = read(
        tmp_path,
        {
            "contests.csv": "contest,kind,seats,share_of,threshold_percent,threshold_of,"
            "threshold_area_percent,"
            "threshold_area_level,seat_cap,quorum_percent,quorum_of,name_en\n"
            "1,list,10,in_box,5,,0.5,region,50.25,33.3,,A\n2,list,10,,0.01,votes,,,100,100.00,in_box,B\n",
            "choices.csv": "contest,choice,name_en\n1,1,A\n2,1,A\n",
        },
    )
    one, two = election.contests
    assert (one.method, one.share_of) == ("hare", "in_box")
    assert (one.threshold, one.threshold_of, one.threshold_area, one.threshold_area_level) == (
        500,
        "in_box",
        50,
        "region",
    )
    assert (one.seat_cap, one.quorum, one.quorum_of) == (5025, 3330, "registered")
    assert (two.share_of, two.threshold, two.threshold_of) == ("valid", 1, "votes")
    assert (two.threshold_area, two.seat_cap, two.quorum, two.quorum_of) == (0, 10_000, 10_000, "in_box")


def test_names_are_those_of_the_first_language_that_has_one(tmp_path: Path) -> None:
    changes = {
        "election.toml": TOML.replace('title_en = "Test"', 'title_ru = "Т"\ntitle_ky = "К"\ntitle_kk = "Қ"')
        + 'languages = ["ru", "ky"]\n',
        "choices.csv": "contest,choice,name_ky,name_ru,name_en\n1,1,Ка,Эр,En\n1,2,Ка,,En\n1,3,,,En\n",
    }
    built(write(tmp_path / "in", changes), tmp_path / "out")
    table = (tmp_path / "out/definition/choices.csv").read_text().splitlines()
    assert [row.rpartition(",")[2] for row in table] == ["name", "Эр", "Ка", "En"]
    languages = json.loads((tmp_path / "out/definition/election.json").read_text())
    assert (languages["languages"], languages["title"]) == (["ru", "ky"], {"kk": "Қ", "ky": "К", "ru": "Т"})


def test_origin_and_site_stay_with_the_election(tmp_path: Path) -> None:
    toml = (
        TOML
        + 'origin = "results.example/test-1"\n[site]\nnotice = "Hello, all"\nvoter_check_url = "https://a.example"\n'
    )
    election = read(tmp_path, {"election.toml": toml})
    assert election.settings.origin == "results.example/test-1"
    assert election.settings.site == ("", "Hello, all", "https://a.example")


def test_route_without_a_language_is_in_the_first(tmp_path: Path) -> None:
    stations = "station,area,name_en,route,route_ru\n11,2,One,Bus 7,\n12,3,Two,,Пешком\n"
    one, two = read(tmp_path, {"stations.csv": stations}).stations
    assert one.shown == ("", "", "", "", "", "", "", "Bus 7", "", "", "", "")
    assert two.shown == ("", "", "", "", "", "", "Пешком", "", "", "", "", "")


def test_roster_tables(tmp_path: Path) -> None:
    boxes = FILES["devices.csv"].splitlines()[1:]
    changes = {
        "devices.csv": "device,kind,station,key,area,serial\n"
        + "".join(f"{row},,\n" for row in boxes)
        + f'3,desk,,{key(3).hex().upper()},2,"D,3"\n4,terminal,12 11,{key(4).hex()},,\n',
        "couriers.csv": "courier,area,name\n2,3,South\n1,,All\n",
        "firmware.csv": f"sha256,name\n{'f' * 64},New\n{'0A' * 32},Old\n",
    }
    built(write(tmp_path / "in", changes), tmp_path / "out")
    roster = tmp_path / "out/roster"
    assert (roster / "devices.csv").read_text().splitlines()[3:] == [
        f'3,desk,,2,{key(3).hex()},"D,3"',
        f"4,terminal,11 12,,{key(4).hex()},",
    ]
    assert (roster / "couriers.csv").read_text() == "courier,area,name\n1,1,All\n2,3,South\n"
    assert (roster / "firmware.csv").read_text() == f"sha256,name\n{'0a' * 32},Old\n{'f' * 64},New\n"


def test_national_figures_and_checks(tmp_path: Path) -> None:
    changes = {
        "figures.csv": "code,figure,name_en\n101,b,B\n100,at_home,A\n",
        "checks.csv": "check,severity,left,op,right,text_en\n1,soft,at_home + issued_outside ,<=,b+valid,T\n",
        "election.toml": TOML + "[rules]\nrequired = [100, 9]\n",
    }
    built(write(tmp_path / "in", changes), tmp_path / "out")
    definition = tmp_path / "out/definition"
    assert (definition / "figures.csv").read_text().splitlines()[1:] == ["100,at_home,A", "101,b,B"]
    assert (definition / "checks.csv").read_text().splitlines()[1:] == [
        "1,soft,at_home+issued_outside,<=,b+valid,0"
    ]
    assert json.loads((definition / "election.json").read_text())["rules"]["required"] == [9, 100]


# The other implementation, and the place where it is built


def test_both_implementations_read_the_example(tmp_path: Path) -> None:
    found = built(EXAMPLE, tmp_path / "out")
    definition = _core.Definition.load(found.folder / "definition")
    other = OtherDefinition.load(found.folder / "definition")
    assert other.sha256 == definition.hash == found.definition
    assert OtherRoster.load(found.folder / "roster", other).sha256 == found.roster
    information = OtherInformation.load(found.folder / "information", other)
    assert information.sha256 == found.information
    assert sorted(information.media) == ["example-twentieth.png", "sample-thirtieth.png", "station-101.png"]
    for name, medium in information.media.items():
        data = (found.folder / "information/media" / name).read_bytes()
        assert (hashlib.sha256(data).digest(), len(data), "image/png") == (
            medium.sha256,
            medium.size,
            medium.type,
        )
    assert definition.station_count == 41
    assert [contest.kind for contest in definition.contests] == ["list", "choose", "referendum"]


def test_an_identical_folder_is_left_alone_and_another_one_too(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    first = built(write(tmp_path / "in"), out)
    before = (out / "definition/election.json").stat()
    assert built(tmp_path / "in", out) == first
    assert (out / "definition/election.json").stat().st_ino == before.st_ino
    (out / "definition/areas.csv").write_text("changed")
    with pytest.raises(TallygateError, match="nothing is ever written over it") as caught:
        build(tmp_path / "in", out)
    assert caught.value.code == "definition.output_exists"
    assert (out / "definition/areas.csv").read_text() == "changed"
    assert os.listdir(out.parent) == ["out"]  # noqa: PTH208 - hidden leftovers would count


@pytest.mark.parametrize("make", ["file", "link", "extra"])
def test_nothing_else_is_written_over(tmp_path: Path, make: str) -> None:
    out = tmp_path / "out"
    if make == "file":
        out.write_text("mine")
    elif make == "link":
        out.symlink_to(tmp_path / "elsewhere")
    else:
        built(write(tmp_path / "in"), out)
        (out / "notes.txt").write_text("mine")
    with pytest.raises(TallygateError) as caught:
        build(write(tmp_path / "in"), out)
    assert caught.value.code == "definition.output_exists"
    assert not (tmp_path / "elsewhere").exists()


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert built(write(tmp_path / "in"), tmp_path / "out").folder == tmp_path / "out"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755


def test_folders_that_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    # A new folder in the place of the present one leaves everybody who stands there in a deleted one.
    for out, code in ((Path(), "file.here"), (Path("/"), "definition.output_exists")):
        with pytest.raises(TallygateError) as caught:
            build(write(tmp_path / "in"), out)
        assert caught.value.code == code
    assert built(tmp_path / "in", Path("below")).folder == tmp_path / "out" / "below"


def test_a_stop_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> bytes:
        raise KeyboardInterrupt

    election = read(tmp_path / "in")
    monkeypatch.setattr(manifests_module, "_write_information", stop)
    with pytest.raises(KeyboardInterrupt):
        write_manifests(election, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_what_cannot_be_read_back_is_not_handed_out(tmp_path: Path) -> None:
    election = read(tmp_path / "in")
    broken = election.areas[1]._replace(level="Not A Level")
    object.__setattr__(election, "areas", [election.areas[0], broken, *election.areas[2:]])
    with pytest.raises(TallygateError, match=r"areas\.csv:3:level") as caught:
        write_manifests(election, tmp_path / "out")
    assert caught.value.code == "definition.read_back"
    assert not (tmp_path / "out").exists()


def test_a_picture_that_changes_in_between_is_refused(tmp_path: Path) -> None:
    changes: dict[str, str | bytes | None] = {
        "choices.csv": "contest,choice,name_en,photo\n1,1,A,a.png\n",
        "media/a.png": PNG,
    }
    election = read(tmp_path / "in", changes)
    (tmp_path / "in/media/a.png").write_bytes(PNG + b"!")
    with pytest.raises(TallygateError) as caught:
        write_manifests(election, tmp_path / "out")
    assert caught.value.code == "definition.media_changed"


def test_build_gives_the_faults_of_a_wrong_folder(tmp_path: Path) -> None:
    found, faults = build(write(tmp_path / "in", {"areas.csv": None}), tmp_path / "out")
    assert found is None
    assert [fault.code for fault in faults.kept()] == [Code.MISSING_FILE]
    assert not (tmp_path / "out").exists()


def test_the_example_is_right_and_says_what_it_lacks() -> None:
    election, faults = read_folder(EXAMPLE)
    assert election is not None
    assert {fault.code for fault in faults.kept()} == {Code.NO_DEVICES, Code.NAME_GAPS}
