"""A bad election is the tiny one and a few changes of its files."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from tests.vectors.election import (
    COLUMNS,
    DEFINITION,
    INFORMATION,
    MANIFESTS,
    ROSTER,
    Built,
    canonical_csv,
)
from tests.vectors.render import Json, text_json

Change: TypeAlias = Mapping[str, Json]

FOLDERS: Mapping[str, Built] = {built.name: built for built in (DEFINITION, ROSTER, INFORMATION)}


class Case(NamedTuple):
    """A changed election and the refusal of one of its folders.

    Attributes:
        name: of the case.
        why: what it shows; None where the name says it.
        judged: the folder that is loaded: definition, roster or information.
        changes: what to do to the tiny election's files, in this order.
        code: of the refusal; None where the folder loads.
        file: that is blamed.
        line: in it, from 1; None where no line is blamed.
        column: in it; None where no column is blamed.
    """

    name: str
    why: str | None
    judged: str
    changes: tuple[Change, ...]
    code: str | None
    file: str | None = None
    line: int | None = None
    column: str | None = None

    @property
    def published(self) -> dict[str, Json]:
        members: dict[str, Json] = {
            "name": self.name,
            "why": self.why,
            "judged": self.judged,
            "code": self.code,
            "file": self.file,
            "line": self.line,
            "column": self.column,
        }
        told = {name: value for name, value in members.items() if value is not None or name == "code"}
        return {**told, "changes": self.changes}


def manifest_path(folder: str) -> str:
    """Path of a folder's manifest."""
    return f"{folder}/{MANIFESTS[folder]}"


def replaced(path: str, old: str, new: str) -> Change:
    """A change of one place of a file; `old` stands in it once."""
    folder, _, name = path.partition("/")
    content = FOLDERS[folder].files()[f"{folder}/{name}"].decode()
    assert content.count(old) == 1, (path, old)
    return {"file": path, "old": old, "new": text_json(new)}


def removed(path: str) -> Change:
    """A file that is not there."""
    return {"file": path, "remove": "yes"}


def written(path: str, data: bytes) -> Change:
    """A file with other bytes, told line by line where that is shorter."""
    folder = path.partition("/")[0]
    try:
        new = data.decode()
    except UnicodeDecodeError:
        return {"file": path, "content_hex": data.hex()}
    old_lines = FOLDERS[folder].files()[path].decode().splitlines(keepends=True)
    new_lines = new.splitlines(keepends=True)
    start = 0
    while start < min(len(old_lines), len(new_lines)) and old_lines[start] == new_lines[start]:
        start += 1
    stop = 0
    shortest = min(len(old_lines), len(new_lines)) - start
    while stop < shortest and old_lines[-1 - stop] == new_lines[-1 - stop]:
        stop += 1
    old_part = "".join(old_lines[start : len(old_lines) - stop])
    if not old_part or len(old_lines) == start + stop:
        return {"file": path, "content": text_json(new)}
    return replaced(path, old_part, "".join(new_lines[start : len(new_lines) - stop]))


def with_rows(folder: str, table: str, rows: int) -> Change:
    """Another number of rows in the manifest's entry of a table."""
    old = len(FOLDERS[folder].rows[table])
    return replaced(manifest_path(folder), f'"{table}":{{"rows":{old}', f'"{table}":{{"rows":{rows}')


def table(folder: str, name: str, data: bytes) -> tuple[Change, ...]:
    """Another table, whose hash, size and rows the manifest then names: nothing else is wrong with it."""
    change: Change = {**written(f"{folder}/{name}.csv", data), "rehash": manifest_path(folder)}
    rows = max(0, data.count(b"\n") - 1)
    if rows == len(FOLDERS[folder].rows[name]):
        return (change,)
    return change, with_rows(folder, name, rows)


def with_cell(folder: str, name: str, cells: Mapping[tuple[int, str], str]) -> bytes:
    """A table with other cells, by line (the header is line 1) and column."""
    columns = COLUMNS[folder][name]
    rows = [list(row) for row in (columns, *FOLDERS[folder].rows[name])]
    for (line, column), cell in cells.items():
        rows[line - 1][columns.index(column)] = cell
    return canonical_csv(tuple(row) for row in rows)
