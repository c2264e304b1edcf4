"""The converter of Mexico's quick count and the reader of R's tables, on invented rows."""

import bz2
import csv
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gateway.election import read_folder
from tests.replays import mexico
from tests.replays.folder import SourceError, read_table
from tests.replays.rdata import read_frame

SENT_COLUMNS = [
    *("iD_ESTADO", "ID_DISTRITO_FEDERAL", "SECCION", "TIPO_CASILLA", "ID_CASILLA", "EXT_CONTIGUA", "TOTAL"),
    *("RAC", "JAMK", "AMLO", "ANIO", "MES", "DIA", "HORA", "MINUTOS", "SEGUNDOS", "MODIFICADO"),
]


def characters(text: str) -> bytes:
    return struct.pack(">ii", 9, len(text.encode())) + text.encode()


def vector(cells: Sequence[str] | Sequence[float]) -> bytes:
    """R's texts or reals."""
    if isinstance(cells[0], str):
        return struct.pack(">ii", 16, len(cells)) + b"".join(characters(str(cell)) for cell in cells)
    return struct.pack(f">ii{len(cells)}d", 14, len(cells), *map(float, cells))


def frame(columns: Mapping[str, Sequence[str] | Sequence[float]]) -> bytes:
    """What R's `save` writes of a data frame, but for its class and the names of its rows."""
    tag = struct.pack(">i", 1) + characters("names")
    end = struct.pack(">i", 254)
    names = struct.pack(">i", 0x402) + tag + vector(list(columns)) + end
    table = struct.pack(">ii", 0x213, len(columns)) + b"".join(map(vector, columns.values())) + names
    named = struct.pack(">i", 0x402) + struct.pack(">i", 1) + characters("arrivals_tbl") + table + end
    return bz2.compress(b"RDX2\nX\n" + struct.pack(">iii", 2, 0x30402, 0x20300) + named)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    sent = [
        ["9", "3", "11", "B", "1", "0", "10", "2", "3", "4", "2018", "7", "1", "21", "0", "0", "N"],
        ["9", "3", "12", "C", "2", "0", "7", "1", "1", "5", "2018", "7", "1", "20", "59", "59", "S"],
        ["1", "1", "1", "S", "1", "0", "4", "4", "0", "0", "2018", "7", "1", "22", "0", "0", "N"],
    ]
    lines = ["|".join(row) for row in [["3"], SENT_COLUMNS, *sent]]
    (folder / mexico.SENT_FILE).write_text("\n".join(lines) + "\n", encoding="latin-1")
    with (folder / mexico.SAMPLE_FILE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", "iD_ESTADO", "ID_DISTRITO_FEDERAL"])
        for key in ("A09030011B0100", "A09030012C0200", "A01010001S0100", "A09030013B0100"):
            writer.writerow([key, key[1:3], key[3:5]])
    (folder / mexico.ARRIVALS_FILE).write_bytes(
        frame({
            "CLAVE_CASILLA": ["090011B0100", "090012C0200", "090013B0100"],
            "RAC": [2.0, 1.0, 3.0],
            "JAMK": [3.0, 1.0, 0.0],
            "AMLO": [4.0, 6.0, 1.0],
            "TOTAL_VOTOS_CALCULADOS": [10.0, 8.0, 5.0],
        })
    )  # fmt: skip
    return folder


def test_the_night_is_told_before_the_district_count(source: Path) -> None:
    told = [(event.casilla, event.votes, event.corrects) for event in mexico.history(source)]
    assert told == [
        (3, (1, 1, 5, 0), False),
        (2, (2, 3, 4, 1), False),
        (1, (4, 0, 0, 0), False),
        # The first of them is confirmed, and so not told again.
        (3, (1, 1, 6, 0), True),
        (4, (3, 0, 1, 1), False),
    ]


def test_the_results_are_the_last_counts(source: Path, tmp_path: Path) -> None:
    report = mexico.convert(source, tmp_path / "out")
    assert report.reasons == {
        mexico.MODIFIED: 1,
        mexico.CORRECTED: 1,
        mexico.CONFIRMED: 1,
        mexico.NEVER_SENT: 1,
        mexico.NEVER_COUNTED: 1,
    }
    election, faults = read_folder(tmp_path / "out/election", rehearsal=True)
    assert election is not None, faults.kept()
    assert [(area.area, area.parent) for area in election.areas] == [
        *((1, 0), (101, 1), (109, 1), (101_001, 101), (109_003, 109)),
    ]
    _, rows = read_table(tmp_path / "out/results/protocol-1.csv")
    assert rows[2] == ["3", "8", "8", "1", "1", "6", "0"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RDX2",
        bz2.compress(b"RDX3\nX\n"),
        bz2.compress(b"RDX2\nX\n" + bytes(12)),
        frame({"TOTAL": [1.0]})[:-9],
    ],
)
def test_what_is_no_table_of_r_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "table.rda"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"table\.rda:1"):
        read_frame(path)


def test_another_table_is_refused_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    (source / mexico.ARRIVALS_FILE).write_bytes(frame({"CLAVE_CASILLA": ["090011B0100"]}))
    with pytest.raises(SourceError, match="the columns are not those of the arrivals"):
        mexico.convert(source, tmp_path / "out")
    (source / mexico.SENT_FILE).write_text("1\nTOTAL\n1\n", encoding="latin-1")
    with pytest.raises(SourceError, match="the columns are not those of the quick count"):
        mexico.convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
