"""Tables that readers refuse: cell by cell in every column, and as files."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from tests.vectors.changes import FOLDERS, Case, Change, removed, table, with_cell, with_rows, written
from tests.vectors.election import BOX, COLUMNS, FIRMWARE, MEMBERS, SPARE, canonical_csv

MALFORMED: Final = "table.malformed"
REFERENCE: Final = "table.reference"

# By table: line, column, and the cells that it must not hold.
_Cells: TypeAlias = Mapping[str, Sequence[tuple[int, str, tuple[str, ...]]]]

_WORD_OF_41 = "a" * 41

_DEFINITION_CELLS: _Cells = {
    "areas": (
        (2, "area", ("", "0", "01", "+1", "1.0", "1e0", " 1", "1,0", "١", "9007199254740992")),
        (4, "area", ("5", "3")),
        (2, "parent", ("0", "x")),
        (2, "level", ("", "Region", "1st", "a b", _WORD_OF_41)),
        (2, "label", ("a\tb", "\u0085")),
        (2, "code", ("\u007f",)),
        (2, "name", ("", "\u009f", "a" * 2_001)),
    ),
    "contests": (
        (2, "contest", ("0",)),
        (3, "contest", ("1",)),
        (2, "kind", ("Choose",)),
        (2, "area", ("0",)),
        (2, "seats", ("0", "10001")),
        (2, "marks", ("0", "1001")),
        (2, "preferences", ("", "1001")),
        (2, "method", ("D'Hondt",)),
        (2, "share_of", ("issued",)),
        (3, "threshold", ("0", "10001", "5.0")),
        (3, "threshold_of", ("", "issued")),
        (3, "threshold_area", ("0", "10001")),
        (3, "threshold_area_level", ("", "Region")),
        (3, "seat_cap", ("0", "10001")),
        (2, "quorum", ("0", "10001")),
        (2, "quorum_of", ("", "voters")),
        (3, "quorum_of", ("registered",)),
        (2, "name", ("",)),
    ),
    "choices": (
        (5, "contest", ("0",)),
        (7, "contest", ("1",)),
        (3, "choice", ("0", "1")),
        (7, "choice", ("2",)),
        (2, "kind", ("person",)),
        (5, "list", ("0",)),
        (2, "label", ("\u001f",)),
        (2, "name", ("",)),
    ),
    "stations": (
        (2, "station", ("0",)),
        (3, "station", ("10",)),
        (2, "area", ("", "5")),
        (2, "registered", ("1000001", "1,200")),
        (2, "type", ("Ordinary",)),
        (2, "box", ("true",)),
        (2, "closes_at", ("", "20:00")),
        (2, "timezone", ("", "/Asia", "Asia//Bishkek", "UTC+06:00", "a" * 65)),
        (2, "contests", ("", "*", "2 1", "1 1", "1  2", " 1")),
        (2, "label", ("\u0007",)),
        (2, "name", ("",)),
    ),
    "figures": (
        (2, "code", ("16", "99")),
        (3, "code", ("100",)),
        (2, "figure", ("", "Papers", "9papers", "a-b", "in_box", _WORD_OF_41)),
        (3, "figure", ("papers",)),
        (2, "name", ("",)),
    ),
    "checks": (
        (2, "check", ("0",)),
        (3, "check", ("1",)),
        (2, "severity", ("warning",)),
        (2, "left", ("", "issued+", "issued + spoiled", "Issued")),
        (2, "op", ("<",)),
        (2, "right", ("issued++spoiled",)),
        (2, "tolerance", ("", "1000001")),
    ),
}
_DEFINITION_NAMES: _Cells = {
    "areas": ((2, "parent", ("6",)),),
    "contests": ((2, "area", ("6",)),),
    "choices": ((7, "contest", ("3",)), (2, "list", ("2", "3")), (5, "list", ("1", "5"))),
    "stations": ((2, "area", ("6",)), (2, "contests", ("3", "1 3"))),
    "checks": ((2, "left", ("nothing", "issued+papers_inside")), (2, "right", ("nothing",))),
}
_ROSTER_CELLS: _Cells = {
    "devices": (
        (2, "device", ("0",)),
        (3, "device", ("1",)),
        (2, "kind", ("Box",)),
        (4, "stations", ("x", "11 10", "10  11")),
        (6, "stations", ("10",)),
        (2, "area", ("1",)),
        (6, "area", ("",)),
        (2, "key", ("", SPARE.public.hex().upper(), SPARE.public.hex()[:62], MEMBERS[2].public.hex())),
        (3, "key", (BOX.public.hex(),)),
        (2, "serial", ("\u0080",)),
    ),
    "couriers": (
        (2, "courier", ("0",)),
        (3, "courier", ("1",)),
        (2, "area", ("",)),
        (2, "name", ("",)),
    ),
    "firmware": (
        (2, "sha256", (FIRMWARE[0].hex().upper(), FIRMWARE[0].hex()[1:])),
        (3, "sha256", (FIRMWARE[0].hex(), "00" * 32)),
        (2, "name", ("",)),
    ),
}
_ROSTER_NAMES: _Cells = {
    "devices": ((2, "stations", ("13",)), (4, "stations", ("10 13",)), (6, "area", ("6",))),
    "couriers": ((2, "area", ("6",)),),
}
_INFORMATION_CELLS: _Cells = {
    "areas": ((2, "area", ("0",)), (3, "area", ("1",)), (2, "name_ky", ("\u0001",))),
    "contests": ((2, "contest", ("",)), (2, "name_kk", ("\u0001",))),
    "choices": (
        (2, "contest", ("0",)),
        (2, "choice", ("0",)),
        (3, "contest", ("01",)),
        (3, "name_ru", ("\u0001",)),
        (3, "party", ("\u0001",)),
        (3, "color", ("\u0001",)),
        (3, "biography_ky", ("\u0001",)),
        (3, "programme_en", ("a" * 2_001,)),
        (3, "link", ("\u0001",)),
        (3, "fund_income", ("\u0001",)),
        (3, "fund_spent", ("\u0001",)),
    ),
    "stations": (
        (2, "station", ("x",)),
        (3, "station", ("10",)),
        (2, "name_en", ("\u0001",)),
        (2, "address_ky", ("\u0001",)),
        (2, "route_en", ("\u0001",)),
        (2, "latitude", ("\u0001",)),
        (2, "longitude", ("\u0001",)),
    ),
    "figures": ((2, "code", ("0",)), (2, "name_en", ("\u0001",))),
    "checks": ((2, "check", ("0",)), (2, "text_en", ("\u0001",))),
}
_INFORMATION_NAMES: _Cells = {
    "areas": ((3, "area", ("6",)),),
    "contests": ((2, "contest", ("3",)),),
    "choices": ((3, "contest", ("3",)), (2, "choice", ("3",)), (3, "photo", ("other.png",))),
    "stations": ((2, "station", ("9",)), (2, "photo", ("other.png",)), (2, "panorama", ("other.png",))),
    "figures": ((2, "code", ("101",)),),
    "checks": ((2, "check", ("2",)),),
}


def _cells(folder: str, cells: _Cells, code: str) -> Iterator[Case]:
    for name, columns in cells.items():
        for line, column, values in columns:
            for value in values:
                data = with_cell(folder, name, {(line, column): value})
                shown = f"{value[:12]}…" if len(value) > 12 else value
                yield Case(
                    f'{folder}/{name}.csv:{line}: {column}: "{shown}"',
                    None,
                    folder,
                    table(folder, name, data),
                    code,
                    f"{name}.csv",
                    line,
                    column,
                )


def _several_cells() -> Iterator[Case]:
    """Rules over more than one cell; the fault is in another one than was changed."""
    definition, roster = "definition", "roster"
    for folder, name, why, cells, code, line, column in (
        (
            definition,
            "areas",
            "two roots: the second is one too many",
            {(2, "parent"): ""},
            MALFORMED,
            3,
            "parent",
        ),
        (definition, "areas", "an area below itself", {(4, "parent"): "7"}, MALFORMED, 4, "parent"),
        (
            *(definition, "areas", "two areas below each other: the first line of the ring"),
            *({(2, "parent"): "7", (4, "parent"): "1"}, MALFORMED, 2, "parent"),
        ),
        (
            definition,
            "areas",
            "no root, but a ring: its first line",
            {(3, "parent"): "1"},
            MALFORMED,
            2,
            "parent",
        ),
        (
            definition,
            "contests",
            "a base without its percent",
            {(3, "threshold"): ""},
            MALFORMED,
            3,
            "threshold_of",
        ),
        (
            *(definition, "contests", "a level without its percent", {(3, "threshold_area"): ""}),
            *(MALFORMED, 3, "threshold_area_level"),
        ),
        (
            definition,
            "contests",
            "a percent without its base",
            {(3, "quorum"): "1"},
            MALFORMED,
            3,
            "quorum_of",
        ),
        (
            *(definition, "stations", "of two faults in a line the left one answers"),
            *({(2, "name"): "", (2, "type"): "x"}, MALFORMED, 2, "type"),
        ),
        (
            *(definition, "stations", "of two faults in a table the upper one answers"),
            *({(4, "area"): "x", (3, "name"): ""}, MALFORMED, 3, "name"),
        ),
        (roster, "devices", "a box that became a desk", {(2, "kind"): "desk"}, MALFORMED, 2, "stations"),
        (roster, "devices", "a desk that became a spare box", {(6, "kind"): "box"}, MALFORMED, 6, "area"),
    ):
        data = with_cell(folder, name, cells)
        case = f"{folder}/{name}.csv: {why}"
        yield Case(
            case, "cells together", folder, table(folder, name, data), code, f"{name}.csv", line, column
        )


def _deep(levels: int) -> tuple[Change, ...]:
    """The definition with a chain of areas so many levels below the root."""
    chain = [
        (str(100 + level), str(99 + level) if level else "5", "region", "", "", "x")
        for level in range(levels)
    ]
    rows = (COLUMNS["definition"]["areas"], *FOLDERS["definition"].rows["areas"], *chain)
    return table("definition", "areas", canonical_csv(rows))


def _depths() -> Iterator[Case]:
    name, why = "areas.csv: 32 levels below the root", "as deep as areas may be"
    yield Case(name, why, "definition", _deep(32), None)
    name, why = "areas.csv: 33 levels below the root", "the first area that is too deep"
    yield Case(name, why, "definition", _deep(33), MALFORMED, "areas.csv", 37, "parent")


def _forms() -> Iterator[Case]:
    """The file as lines and cells (RFC 4180, narrowed); tried on areas.csv, the same in every table."""
    good = FOLDERS["definition"].tables()["areas"].decode()
    lines = good.splitlines(keepends=True)
    header, first, root = lines[0], lines[1], lines[2]

    def case(why: str, text: str | bytes, line: int, column: str | None = None) -> Case:
        data = text.encode() if isinstance(text, str) else text
        changes = table("definition", "areas", data)
        return Case(
            f"areas.csv: {why}",
            "form of the file",
            "definition",
            changes,
            MALFORMED,
            "areas.csv",
            line,
            column,
        )

    yield case("no bytes", "", 1)
    yield case("no area: there is no root", header, 1, "parent")
    yield case("a header without its line feed", header[:-1], 1)
    yield case("a byte order mark", "\ufeff" + good, 1)
    yield case("CRLF", good.replace("\n", "\r\n"), 1)
    yield case("CRLF in one line", good.replace(root, root[:-1] + "\r\n"), 3, "name")
    yield case("semicolons", good.replace(",", ";"), 1)
    yield case("a column less", good.replace(header, "area,parent,level,label,name\n"), 1)
    yield case("a column more", good.replace(header, header[:-1] + ",note\n"), 1)
    yield case("columns in another order", good.replace(header, "parent,area,level,label,code,name\n"), 1)
    yield case("an upper-case column", good.replace(header, header.replace("area", "Area")), 1)
    yield case("a space in the header", good.replace(header, header.replace(",", ", ")), 1)
    yield case("no header", good.replace(header, ""), 1)
    yield case("the last line without its line feed", good[:-1], 4)
    yield case("an empty line at the end", good + "\n", 5)
    yield case("an empty line", good.replace(root, "\n" + root), 3)
    yield case("a cell less", good.replace(root, "5,,country,,tl\n"), 3)
    yield case("a cell more", good.replace(root, root[:-1] + ",\n"), 3)
    yield case("quoted without need", good.replace("country", '"country"'), 3)
    yield case("an empty cell quoted", good.replace("country,,", 'country,"",'), 3)
    yield case("a quotation mark in a cell without them", good.replace("country", 'coun"try'), 3)
    yield case("a quoted cell that does not end", good.replace(root, '5,,country,,tl,"Тоолия, өлкө\n'), 3)
    yield case("letters behind a quoted cell", good.replace(root, '5,,country,,tl,"Тоо,"лия\n'), 3)
    yield case("a quotation mark escaped by a backslash", good.replace('""', '\\"', 1), 2)
    yield case("a line feed in a quoted cell", good.replace(root, '5,,country,,tl,"Тоо,\nлия"\n'), 3)
    yield case("a space before a quoted cell", good.replace(',"Түндүк', ', "Түндүк'), 2)
    yield case("a line twice", good.replace(root, root + root), 4, "area")
    yield case("lines in another order", good.replace(first + root, root + first), 3, "area")
    yield case(
        "Windows-1251", good.replace("Тоолия", "?").encode().replace(b"?", "Тоолия".encode("cp1251")), 3
    )
    yield case("an overlong comma", good.encode().replace("Тоолия".encode(), b"\xc0\xac"), 3)


def _files() -> Iterator[Case]:
    """Tables that are not there, or not the ones that the manifest names."""
    for folder, built in FOLDERS.items():
        for name, data in built.tables().items():
            path, file = f"{folder}/{name}.csv", f"{name}.csv"
            yield Case(f"{path}: missing", "no such file", folder, (removed(path),), "table.missing", file)
            longer = written(path, data + data[-10:])
            yield Case(f"{path}: longer", "the size differs", folder, (longer,), "table.changed", file)
    areas = FOLDERS["definition"].tables()["areas"]
    other = written("definition/areas.csv", areas.replace("Тоолия".encode(), "Тоолуу".encode()))
    why = "the SHA-256 differs, the size does not"
    yield Case("areas.csv: another name", why, "definition", (other,), "table.changed", "areas.csv")
    broken = written("definition/areas.csv", areas.replace(b"country", b"COUNTRY"))
    why = "table.changed wins over what is wrong in the table"
    yield Case("areas.csv: changed and malformed", why, "definition", (broken,), "table.changed", "areas.csv")
    for rows in (0, 2, 4):
        changes = (with_rows("definition", "areas", rows),)
        name = f"areas.csv: {rows} rows in the manifest"
        yield Case(name, "it has 3", "definition", changes, MALFORMED, "areas.csv")
    parent = table("definition", "areas", with_cell("definition", "areas", {(2, "parent"): "6"}))
    both = (*parent, with_rows("definition", "areas", 4))
    why = "lines, then their number, then the rules over the whole table"
    yield Case("areas.csv: an unknown parent, and 4 rows", why, "definition", both, MALFORMED, "areas.csv")
    level = table("definition", "areas", with_cell("definition", "areas", {(2, "level"): ""}))
    both = (*level, with_rows("definition", "areas", 4))
    name = "areas.csv: an empty level, and 4 rows"
    yield Case(name, why, "definition", both, MALFORMED, "areas.csv", 2, "level")
    contests = with_cell("definition", "contests", {(2, "name"): ""})
    missing = removed("definition/contests.csv")
    changed = written("definition/areas.csv", areas + b"\n")
    first = "the first table answers: areas, contests, choices, stations, figures, checks"
    name = "areas.csv changed, contests.csv missing"
    yield Case(name, first, "definition", (changed, missing), "table.changed", "areas.csv")
    both = (*table("definition", "contests", contests), removed("definition/stations.csv"))
    name = "contests.csv malformed, stations.csv missing"
    yield Case(name, first, "definition", both, MALFORMED, "contests.csv", 2, "name")
    devices = with_cell("roster", "devices", {(2, "kind"): ""})
    both = (*table("roster", "devices", devices), removed("roster/couriers.csv"))
    first = "the first table answers: devices, couriers, firmware"
    name = "devices.csv malformed, couriers.csv missing"
    yield Case(name, first, "roster", both, MALFORMED, "devices.csv", 2, "kind")


def _accepted() -> Iterator[Case]:
    def case(name: str, why: str, folder: str, *changed: tuple[str, bytes]) -> Case:
        changes = tuple(change for of, data in changed for change in table(folder, of, data))
        return Case(name, why, folder, changes, None)

    def cell(folder: str, name: str, line: int, column: str, value: str) -> tuple[str, bytes]:
        return name, with_cell(folder, name, {(line, column): value})

    d, r = "definition", "roster"
    yield case(
        "another list", "a preference may stand before its list", d, cell(d, "choices", 5, "list", "4")
    )
    yield case("a name of 2,000 bytes", "the longest text", d, cell(d, "areas", 3, "name", "Я" * 1_000))
    yield case("code 2^53-1", "the largest number", d, cell(d, "figures", 3, "code", str(2**53 - 1)))
    yield case(
        "a million voters", "the most of one station", d, cell(d, "stations", 2, "registered", "1000000")
    )
    yield case("a closing time of 0", "any number of ms", d, cell(d, "stations", 2, "closes_at", "0"))
    yield case("10,000 seats", "the most", d, cell(d, "contests", 3, "seats", "10000"))
    yield case("100 percent", "in hundredths", d, cell(d, "contests", 3, "threshold", "10000"))
    yield case(
        "a time zone with marks", "its form is judged", d, cell(d, "stations", 2, "timezone", "Etc/GMT+6")
    )
    yield case(
        "white space in a name",
        "only control characters are refused",
        d,
        cell(d, "areas", 3, "name", " \u00a0 "),
    )
    yield case(
        "no checks", "an empty table is a header", d, ("checks", canonical_csv([COLUMNS[d]["checks"]]))
    )
    empty = [(name, canonical_csv([columns])) for name, columns in COLUMNS[r].items()]
    yield case("an empty roster", "an empty table is a header", r, *empty)
    i = "information"
    nothing = [(name, canonical_csv([columns])) for name, columns in COLUMNS[i].items()]
    yield case("no information", "nothing need be shown of anything", i, *nothing)
    yield case("a desk for the whole country", "any area may have one", r, cell(r, "devices", 6, "area", "5"))


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _accepted()
    yield from _cells("definition", _DEFINITION_CELLS, MALFORMED)
    yield from _cells("definition", _DEFINITION_NAMES, REFERENCE)
    yield from _cells("roster", _ROSTER_CELLS, MALFORMED)
    yield from _cells("roster", _ROSTER_NAMES, REFERENCE)
    yield from _cells("information", _INFORMATION_CELLS, MALFORMED)
    yield from _cells("information", _INFORMATION_NAMES, REFERENCE)
    yield from _several_cells()
    yield from _depths()
    yield from _forms()
    yield from _files()
