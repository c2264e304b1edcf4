"""What exports say, file by file: the cells that a spreadsheet program gets, NIST's schema, typed columns."""

import csv
import hashlib
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.feed.exports import ExportFile, Exports
from gateway.publish.exports.make import Made
from gateway.publish.exports.writing import Output, cell, line
from tests.feed_writer import ORIGIN, SNAPSHOT_KEY, FeedWriter
from tests.unit.export_feed import made, night

SHARED = Path(__file__).parents[2].parent / "shared"
NIST_SCHEMA = SHARED / "vectors" / "nist-1500-100" / "NIST_V2_election_results_reporting.json"
VKEY = _core.vkey(f"{ORIGIN}/snapshot", bytes(SNAPSHOT_KEY.verify_key))


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> FeedWriter:
    return night(tmp_path_factory.mktemp("night"))


@pytest.fixture(scope="module")
def folder(writer: FeedWriter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of the snapshot before anything is annulled."""
    folder = tmp_path_factory.mktemp("made")
    made(writer, 2, folder)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    """As a spreadsheet program reads them."""
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


def test_results(folder: Path) -> None:
    found = rows(folder / "results.csv")
    parliament = [
        row for row in found if (row["station"], row["contest"], row["source"]) == ("8", "1", "machine")
    ]
    assert [(row["what"], row["code"], row["label"], row["value"]) for row in parliament] == [
        ("figure", "3", "identified", "100"),
        ("figure", "9", "in_box", "100"),
        ("figure", "11", "valid", "98"),
        ("figure", "13", "invalid", "2"),
        ("preference", "1", "101", "10"),
        ("votes", "7", "1", "90"),
        ("votes", "9", "", "8"),
    ]
    first = parliament[0]
    assert (first["snapshot"], first["region_name"], first["area_label"]) == ("2", "Биринчи", "01.01")
    assert (first["station_label"], first["station_name"]) == ("УИК 8", "Мектеп")
    assert (first["status"], first["state"]) == ("unofficial-partial", "reported")
    # Who has nothing yet is there, with a row a contest and source.
    silent = [row for row in found if row["station"] == "11"]
    assert {(row["state"], row["what"], row["value"]) for row in silent} == {("silent", "", "")}
    assert len(silent) == 2


def test_results_of_what_is_annulled(writer: FeedWriter, tmp_path: Path) -> None:
    made(writer, 4, tmp_path)
    found = [row for row in rows(tmp_path / "results.csv") if (row["station"], row["contest"]) == ("8", "2")]
    assert [(row["source"], row["state"], row["value"]) for row in found] == [
        ("machine", "annulled", ""),
        ("protocol", "annulled", ""),
    ]


def test_names(folder: Path) -> None:
    found = {(row["what"], row["contest"], row["number"]): row for row in rows(folder / "names.csv")}
    party = found["choice", "1", "7"]
    assert (party["name"], party["name_ky"], party["name_en"]) == (
        "Биринчи партия",
        "Биринчи партия",
        "First party",
    )
    assert (party["label"], party["code"]) == ("1", "list")
    assert found["choice", "1", "1"]["within"] == "7"
    assert found["station", "", "8"]["name_en"] == "School"
    assert found["area", "", "3"]["within"] == "2"
    assert found["figure", "", "9"]["label"] == "in_box"
    # A language that has no name stays empty: nothing is made up.
    assert found["contest", "", "2"]["name_en"] == ""


def test_turnout(folder: Path) -> None:
    found = rows(folder / "turnout.csv")
    assert {(row["station"], row["registered"], row["identified"]) for row in found} == {("8", "1200", "40")}
    assert [row["hour"] for row in found] == [f"2027-01-15T{hour}:00:00.000Z" for hour in (17, 18, 19, 20)]
    assert found[-1]["local"] == "2027-01-16 02:00"


def test_stations(folder: Path, writer: FeedWriter) -> None:
    lines = [json.loads(one) for one in (folder / "results.ndjson").read_bytes().splitlines()]
    assert [one["station"] for one in lines] == [8, 11]
    version = lines[0]["tally"]["version"]
    data = (writer.feed / "stations" / "0" / f"8-{version}.json").read_bytes()
    assert b'"tally":%b,' % data in (folder / "results.ndjson").read_bytes()
    assert lines[0]["areas"] == [1, 2, 3]
    assert lines[1]["tally"] is None


def test_arrivals_say_whose_word_they_are(folder: Path, writer: FeedWriter) -> None:
    found = rows(folder / "arrivals.csv")
    assert list(found[0]) == ["index", "gateway_says_received_at", "gateway_says_route"]
    latest = json.loads((writer.feed / "snapshots" / "2.json").read_bytes())
    assert [row["index"] for row in found] == [str(index) for index in range(latest["log"]["size"])]
    assert found[0]["gateway_says_received_at"] == "2027-01-15T20:00:00.000Z"


def test_parquet_has_the_rows_of_results(folder: Path) -> None:
    table = pyarrow.parquet.read_table(folder / "stations.parquet")
    assert table.schema.metadata[b"tallygate.snapshot"] == b"2"
    typed = table.to_pylist()
    for row, text in zip(typed, rows(folder / "results.csv"), strict=True):
        assert row.pop("registered") == {8: 1200, 11: None}[row["station"]]
        assert text.pop("snapshot") == "2"
        assert {name: "" if value is None else str(value) for name, value in row.items()} == text


def test_without_pyarrow_the_file_is_left_out(
    writer: FeedWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    found = made(writer, 2, tmp_path)
    assert "stations.parquet" not in {file.name for file in found.files}
    assert not (tmp_path / "stations.parquet").exists()
    assert len(found.files) == 6


@pytest.mark.shared
@pytest.mark.parametrize("number", [1, 2, 4])
def test_nist(writer: FeedWriter, number: int, tmp_path: Path) -> None:
    if not NIST_SCHEMA.exists():
        pytest.skip("the published schema is not here")
    made(writer, number, tmp_path)
    report = json.loads((tmp_path / "nist-cdf.json").read_bytes())
    validator = jsonschema.Draft4Validator(
        json.loads(NIST_SCHEMA.read_bytes()), format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER
    )
    validator.validate(report)
    for spoil in ("Status", "Format", "Issuer"):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate({name: value for name, value in report.items() if name != spoil})
    # Whatever is named is there.
    text = json.dumps(report)
    ids = set(_ids(report))
    for named in _references(report):
        assert named in ids, named
    assert text.count('"@id"') == len(ids)


def _ids(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "@id" in value:
            yield value["@id"]
        for inner in value.values():
            yield from _ids(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids(inner)


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name.endswith("Id") and isinstance(inner, str) and name != "VendorApplicationId":
                yield inner
            elif name.endswith("Ids") and isinstance(inner, list):
                yield from inner
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def test_nist_has_both_sources_and_every_area(folder: Path) -> None:
    report = json.loads((folder / "nist-cdf.json").read_bytes())
    assert (report["Status"], report["IsTest"]) == ("unofficial-partial", False)
    contest = report["Election"][0]["Contest"][0]
    party = next(one for one in contest["ContestSelection"] if one["@id"] == "selection-1-7")
    counts = {
        (one["GpUnitId"], one.get("OtherType", one["Type"])): one["Count"] for one in party["VoteCounts"]
    }
    units = ("station-8", "area-1", "area-2", "area-3")
    assert {key: votes for key, votes in counts.items() if key[1] != "seats"} == {
        (unit, kind): 90 for unit in units for kind in ("total", "protocol")
    }
    assert (contest["SubUnitsReported"], contest["TotalSubUnits"]) == (1, 2)


def test_the_same_bytes_again(writer: FeedWriter, folder: Path, tmp_path: Path) -> None:
    made(writer, 2, tmp_path)
    for path in sorted(folder.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_what_is_damaged_is_not_exported(writer: FeedWriter, tmp_path: Path) -> None:
    area = next((writer.feed / "areas" / "3").iterdir())
    right = area.read_bytes()
    area.write_bytes(right.replace(b'"opened":0', b'"opened":1'))
    numbers = range(1, 5)
    codes = []
    for number in numbers:
        (tmp_path / str(number)).mkdir()
        try:
            made(writer, number, tmp_path / str(number))
        except TallygateError as error:
            codes.append(error.code)
    area.write_bytes(right)
    assert set(codes) <= {"feed.malformed"}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2))
def test_cells_come_back(texts: list[str]) -> None:
    """But for the sign in front of what would be a formula."""
    written = line(*map(cell, texts))
    (found,) = csv.reader(io.StringIO(written, newline=""), strict=True)
    for text, back in zip(texts, found, strict=True):
        assert back == (f"'{text}" if text[:1] in "=+-@\t\r" and text else text)


@pytest.mark.parametrize("text", ["=1+1", "+7", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("x","y")'])
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text).lstrip('"').startswith("'")


def test_a_file_in_pieces(tmp_path: Path) -> None:
    data = os.urandom(1_000_003)
    with Output(tmp_path, "file", 0) as output:
        for _ in range(9):
            output.write(data)
        found = output.finish()
    assert (tmp_path / "file").read_bytes() == data * 9
    assert found == ExportFile(hashlib.sha256(data * 9).hexdigest(), len(data) * 9, "file")


def test_the_reserve(tmp_path: Path) -> None:
    with Output(tmp_path, "file", 2**60) as output:
        output.write(b"a")
        with pytest.raises(TallygateError) as caught:
            output.finish()
    assert caught.value.code == "export.disk"
    assert (tmp_path / "file").read_bytes() == b""


NOTE = Exports(ORIGIN, 7, "ab" * 32, (ExportFile("cd" * 32, 5, "a.csv"), ExportFile("ef" * 32, 0, "b.csv")))


def signed(text: str) -> bytes:
    return _core.NoteSigner(f"{ORIGIN}/snapshot", bytes(SNAPSHOT_KEY)).sign(text).encode()


def test_a_note_comes_back() -> None:
    assert Exports.open(signed(NOTE.text), VKEY, "note") == NOTE


@pytest.mark.parametrize(
    "text",
    [
        NOTE.text.replace("exports/1", "snapshot/1"),
        NOTE.text.replace("\n7\n", "\n07\n"),
        NOTE.text.replace("\n7\n", "\n0\n"),
        NOTE.text.replace("ab" * 32, "AB" * 32),
        NOTE.text.replace("a.csv", "z.csv"),
        NOTE.text.replace("a.csv", "../a"),
        NOTE.text.replace(" 5 ", " 05 "),
        NOTE.text.replace(" 5 ", " 9999999999999999 "),
        f"{NOTE.text}more\n",
    ],
)
def test_notes_of_another_form(text: str) -> None:
    with pytest.raises(TallygateError) as caught:
        Exports.open(signed(text), VKEY, "note")
    assert (caught.value.code, caught.value.place) == ("feed.note", "note")


def test_a_note_of_somebody_else() -> None:
    other = _core.NoteSigner(f"{ORIGIN}/snapshot", bytes(32)).sign(NOTE.text).encode()
    with pytest.raises(TallygateError, match="does not verify"):
        Exports.open(other, VKEY, "note")


def test_what_is_made_is_typed(writer: FeedWriter, tmp_path: Path) -> None:
    found = made(writer, 1, tmp_path)
    assert isinstance(found, Made)
    assert found.origin == ORIGIN
