"""The converter of Bolivia's growing count, on invented exports in the columns of their source."""

import csv
import gzip
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from gateway.election import read_folder
from tests.replays import bolivia
from tests.replays.folder import SourceError, read_table

PLACES = ("PAIS", "DEPARTAMENTO", "MUNICIPIO", "RECINTO")
PARTIES = ("CREEMOS", "ADN", "MAS_IPSP", "FPV", "PAN_BOL", "LIBRE_21", "CC", "JUNTOS")
SUMS = ("VOTO_VALIDO", "VOTO_BLANCO", "VOTO_NULO", "VOTO_EMITIDO")
HEADER = ["CODIGO_MESA", "CANDIDATURA", *PLACES, "INSCRITOS_HABILITADOS", *PARTIES, *SUMS]
FIRST, SECOND, CORRECTED = "20201018_200000", "20201018_201000", "20201019_120000"


def row(mesa: int, votes: str, null: int = 0, place: str = "Escuela, Norte") -> list[object]:
    """A mesa with votes for CREEMOS, ADN, MAS_IPSP … in the columns' order."""
    given = [int(cell) for cell in votes.split()]
    numbers = [220, *given, *[0] * (len(PARTIES) - len(given)), sum(given), 0, null, sum(given) + null]
    return [mesa, bolivia.PRESIDENT, "Bolivia", "Oruro", "Oruro", place, *numbers]


def export(folder: Path, stamp: str, rows: Sequence[Sequence[object]]) -> None:
    """As the source writes it: latin-1, and nothing quoted, whatever a name has in it."""
    lines = [",".join(map(str, cells)) for cells in [HEADER, *rows]]
    path = folder / f"exportacion_EG2020_{stamp}_1.csv"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode("latin-1"))


def workbook(folder: Path, rows: Sequence[Sequence[object]]) -> None:
    shared: list[str] = []

    def cell(value: object) -> str:
        if isinstance(value, int):
            return f'<c t="n"><v>{value}.0</v></c>'
        shared.append(str(value))
        return f'<c t="s"><v>{len(shared) - 1}</v></c>'

    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    body = "".join(f"<row>{''.join(map(cell, cells))}</row>" for cells in [HEADER, *rows])
    strings = "".join(f"<si><t>{escape(text)}</t></si>" for text in shared)
    with zipfile.ZipFile(folder / f"exportacion_EG2020_{bolivia.LAST}_1.xlsx", "w") as archive:
        archive.writestr(
            "xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{body}</sheetData></worksheet>"
        )
        archive.writestr("xl/sharedStrings.xml", f"<sst {space}>{strings}</sst>")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    export(folder, FIRST, [row(1, "5 2 10"), row(2, "1 0 2"), row(9, "1 0 1")])
    export(folder, SECOND, [row(2, "1 0 2"), row(3, "4 0 4"), row(9, "1 0 1")])
    last = [
        row(1, "5 0 10", null=2),
        row(2, "1 0 2"),
        row(3, "4 0 4"),
        row(4, "0 0 7"),
        row(5, "8 0 1", null=1),
    ]
    workbook(folder, last)
    names = (*(name for name in HEADER if name in {*bolivia.PARTIES, *SUMS, "INSCRITOS_HABILITADOS"}),)
    with (folder / bolivia.CORRECTIONS_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file,
            ["snapshot", "codigo_mesa", "candidatura"]
            + [f"{when}_{name}" for when in ("old", "new") for name in names],
        )
        writer.writeheader()
        for mesa, old, new in ((1, row(1, "5 2 10"), last[0]), (5, row(5, "8 0 1 0 0 0 0 1"), last[4])):
            cells = {
                f"{when}_{name}": one[HEADER.index(name)]
                for when, one in (("old", old), ("new", new))
                for name in names
            }
            writer.writerow(
                {"snapshot": CORRECTED, "codigo_mesa": mesa, "candidatura": "PRESIDENTE", **cells}
            )
    with gzip.open(folder / bolivia.FIRST_SEEN_FILE, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [["codigo_mesa", "candidatura", "first_seen_in_snapshot"], [5, "PRESIDENTE", "20201019_080000"]]
        )
    return folder


def test_the_count_is_told_in_the_order_of_time(source: Path) -> None:
    told = [
        [(event.mesa, None if event.counted is None else event.counted.votes) for event in events]
        for _, events, _ in bolivia.history(source)
    ]
    assert told == [
        [(1, (5, 10, 0, 0, 0, 2)), (2, (1, 2, 0, 0, 0, 0)), (9, (1, 1, 0, 0, 0, 0))],
        [(1, None), (3, (4, 4, 0, 0, 0, 0))],
        [(5, (8, 1, 0, 0, 0, 1))],
        [(1, (5, 10, 0, 0, 0, 0)), (5, (8, 1, 0, 0, 0, 0))],
        [(4, (0, 7, 0, 0, 0, 0)), (9, None)],
    ]
    *_, (_, _, standing) = bolivia.history(source)
    assert sorted(standing) == [1, 2, 3, 4, 5]
    # What voters marked for parties that had given up is void now.
    assert standing[1].figures == (220, 17, 15, 0, 2)


def test_every_mesa_that_was_ever_counted_is_a_station(source: Path, tmp_path: Path) -> None:
    report = bolivia.convert(source, tmp_path / "out")
    assert report.stations == 6
    assert report.reasons == {bolivia.ALIGNED: 6, bolivia.TAKEN_OUT: 2, bolivia.CORRECTED: 2}
    election, faults = read_folder(tmp_path / "out/election", rehearsal=True)
    assert election is not None, faults.kept()
    names = [area.names[-1] for area in election.areas]
    assert names == ["Bolivia", "Bolivia", "Oruro", "Oruro", "Escuela, Norte"]
    header, rows = read_table(tmp_path / "out/results/protocol-1.csv")
    assert header == [
        "station",
        "registered",
        "in_box",
        "valid",
        "blank",
        "invalid",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
    ]
    assert rows[0] == ["1", "220", "17", "15", "0", "2", "5", "10", "0", "0", "0", "0"]


def test_another_source_is_refused_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    export(source, FIRST, [[*row(1, "5 2 10")[:-1], "many"]])
    with pytest.raises(SourceError, match=r"exportacion_EG2020_20201018_200000_1\.csv:2.*'many'"):
        bolivia.convert(source, tmp_path / "out")
    path = source / f"exportacion_EG2020_{FIRST}_1.csv"
    path.write_text("CODIGO_MESA,CANDIDATURA\n", encoding="latin-1")
    with pytest.raises(SourceError, match="the columns are not those of an export"):
        bolivia.convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
