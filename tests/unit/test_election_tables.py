"""Tables as spreadsheets save them, and files that are none: bounded, never waiting, never raising."""

import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.election import Code, Faults, read_folder, tables
from gateway.election.files import BOM
from gateway.election.limits import MAX_FAULTS_A_FILE, MAX_TABLE_BYTES
from gateway.election.tables import Spec, Table
from tests.unit.election_folder import FILES, places, read, write

SPEC = Spec("things.csv", ("thing", "name", "note"), required=("thing", "name"))


def rows(folder: Path, data: bytes, faults: Faults | None = None) -> list[tuple[int, tuple[str, ...]]]:
    (folder / SPEC.file).write_bytes(data)
    return list(Table(folder, SPEC, faults or Faults()).rows())


def test_cells_come_in_the_order_of_the_columns_with_their_physical_line(tmp_path: Path) -> None:
    data = b"name,thing\n\nAlpha,1\n,\n   \nBeta,2"
    assert rows(tmp_path, data) == [(3, ("1", "Alpha", "")), (6, ("2", "Beta", ""))]


@pytest.mark.parametrize(
    "data",
    [
        b'thing,name\n1,"A, B"\n2,"C ""D"""\n',
        b'thing;name\r\n1;A, B\r\n2;"C ""D"""\r\n',
        BOM + b'"thing";"name"\r\n1; A, B \r\n2;"C ""D"""\r\n;\r\n\r\n',
        'thing;name;;\n1;\u00a0A, B;;\n2;"C ""D""";;\n'.encode(),
    ],
    ids=["commas", "semicolons", "mark, quotes and empty rows", "empty columns"],
)
def test_every_way_of_saving_gives_the_same_cells(tmp_path: Path, data: bytes) -> None:
    assert [cells for _, cells in rows(tmp_path, data)] == [("1", "A, B", ""), ("2", 'C "D"', "")]


def test_text_is_composed_and_composed_cell_by_cell(tmp_path: Path) -> None:
    # U+037E decomposes to a semicolon: in a whole line it would become a separator.
    data = "thing;name\n1;И\u0306од\n2;a\u037eb\n3;\u0301c\n".encode()
    assert [cells[1] for _, cells in rows(tmp_path, data)] == ["Йод", "a;b", "\u0301c"]


def test_a_quote_in_the_middle_of_a_cell_is_a_quote(tmp_path: Path) -> None:
    assert rows(tmp_path, 'thing,name\n1,Школа "Примера"\n'.encode()) == [(2, ("1", 'Школа "Примера"', ""))]


def test_an_open_quote_spoils_its_row_only(tmp_path: Path) -> None:
    faults = Faults()
    lines = "".join(f"{number},Name {number}\n" for number in range(3, 60))
    found = rows(tmp_path, f'thing,name\n1,"Alpha\n2,Beta\n{lines}'.encode(), faults)
    assert places(faults) == ["things.csv:2: quoting"]
    assert [line for line, _ in found] == list(range(3, 61))


def test_lines_that_span_chunks_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = "thing,name\n" + "".join(f"{number},Имя {number}\r\n" for number in range(1, 400))
    expected = rows(tmp_path, data.encode())
    assert len(expected) == 399
    for size in (1, 2, 7, 64, 1000):
        monkeypatch.setattr(tables, "CHUNK_BYTES", size)
        assert rows(tmp_path, data.encode()) == expected


@pytest.mark.parametrize("chunk", [64, 1 << 20])
def test_a_line_too_long_is_skipped_wherever_chunks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 100)
    monkeypatch.setattr(tables, "CHUNK_BYTES", chunk)
    for length in (95, 99, 130, 163, 190, 255, 300):
        faults = Faults()
        text = "thing,name\n1,A\n2," + "я" * length + "\n3,C\n"
        found = [line for line, _ in rows(tmp_path, text.encode(), faults)]
        assert found == [2, 4]
        assert places(faults) == ["things.csv:3: line_too_long"]


def test_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_ROWS", 2)
    faults = Faults()
    assert len(rows(tmp_path, b"thing,name\n1,A\n2,B\n3,C\n4,D\n", faults)) == 2
    assert places(faults) == ["things.csv:4: too_many_rows"]


def test_a_wrong_byte_deep_in_a_file_is_found_at_its_line(tmp_path: Path) -> None:
    faults = Faults()
    data = b"thing,name\n" + b"1,A\n" * 500_000 + b"2,\xcf\xf0\xe8\xec\xe5\xf0\n" + b"3,C\n"
    rows(tmp_path, data, faults)
    assert places(faults) == ["things.csv:500002: encoding"]
    assert "Windows-1251" in faults.kept()[0].detail


def test_faults_are_counted_in_full_and_kept_up_to_a_bound(tmp_path: Path) -> None:
    text = "station,area,registered,name_en\n" + "".join(f"{n},2,x,N\n" for n in range(1, 3001))
    _, faults = read_folder(write(tmp_path, {"stations.csv": text, "devices.csv": None}))
    assert faults.errors == 3000
    assert sum(fault.file == "stations.csv" for fault in faults.kept()) == MAX_FAULTS_A_FILE


# Files that are none


def make_folder(path: Path) -> None:
    path.mkdir()


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def make_dead_link(path: Path) -> None:
    path.symlink_to("nowhere")


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def make_unreadable(path: Path) -> None:
    path.write_text("x")
    path.chmod(0)


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (make_folder, "not_a_file"),
        (make_pipe, "not_a_file"),
        (make_dead_link, "missing_file"),
        (make_loop, "unreadable"),
        (make_huge, "too_large"),
        pytest.param(
            make_unreadable,
            "unreadable",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file"),
        ),
    ],
)
@pytest.mark.parametrize("name", ["choices.csv", "election.toml"])
def test_what_is_no_file_is_named(
    tmp_path: Path, make: Callable[[Path], None], expected: str, name: str
) -> None:
    write(tmp_path, {name: None})
    make(tmp_path / name)
    _, faults = read_folder(tmp_path)
    assert [text for text in places(faults) if text.startswith(name)] == [f"{name}:0: {expected}"]


def test_a_socket_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"choices.csv": None})
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make_socket(Path("choices.csv"))
    _, faults = read_folder(tmp_path)
    assert places(faults) in (["choices.csv:0: unreadable"], ["choices.csv:0: not_a_file"])


@pytest.mark.parametrize("make", [None, make_pipe], ids=["nothing", "a pipe"])
def test_no_folder(tmp_path: Path, make: Callable[[Path], None] | None) -> None:
    path = tmp_path / "election"
    if make:
        make(path)
    election, faults = read_folder(path)
    assert election is None
    assert [fault.code for fault in faults.kept()] == [Code.NO_FOLDER]


def test_an_optional_table_that_leads_nowhere_is_missing(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "figures.csv").symlink_to("nowhere")
    _, faults = read_folder(folder)
    assert places(faults) == ["figures.csv:0: missing_file"]


def test_tables_may_be_links(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "areas").write_text(FILES["areas.csv"])
    folder = write(tmp_path / "election", {"areas.csv": None})
    (folder / "areas.csv").symlink_to(tmp_path / "kept" / "areas")
    assert len(read(folder, {"areas.csv": None}).areas) == 3


@pytest.mark.parametrize("fill", ["one line", "zeros"])
def test_a_file_at_the_limit_takes_bounded_memory(tmp_path: Path, fill: str) -> None:
    folder = write(tmp_path)
    with (folder / "choices.csv").open("wb") as file:
        file.write(b"contest,choice,name_en\n1,1,Alpha " + b"the first " * 10)
        if fill == "one line":
            for _ in range(100):
                file.write(b"A" * (1 << 20))
        else:
            file.truncate(MAX_TABLE_BYTES)
    tracemalloc.start()
    try:
        _, faults = read_folder(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert places(faults) == [
        "choices.csv:2: line_too_long",
        "contests.csv:2:contest contest_without_choices",
    ]
    assert peak < 8 << 20
