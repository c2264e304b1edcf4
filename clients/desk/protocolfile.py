"""A protocol in a file: TOML or JSON as the box's counts file, or a table of two columns.

The table is CSV with the header `field,value`, and a field is the path of a key: `station`, `cause`,
`figures.registered`, `contests.1.votes.2`, `attachments.1.file`.
"""

import csv
import io
import itertools
from pathlib import Path
from typing import Final

from clients import files
from clients.box import countsfile
from clients.box.countsfile import MAX_COUNTS_BYTES, CountsError, Fault
from clients.wire.errors import WireError
from clients.wire.text import decimal

_HEADER: Final = ["field", "value"]
# The columns of a field that holds a number of its own list.
_LISTS: Final = ("attachments",)
# What is no number although it looks like one.
_TEXTS: Final = ("cause", "corrects", "report", "file", "sha256", "media", "document")


def load(path: Path) -> dict[str, object]:
    """Read a protocol as the values of a counts file; `report` may be left out.

    Raises:
        CountsError: `counts.unreadable`, `counts.syntax`.
    """
    values = _table(path) if path.suffix.lower() == ".csv" else dict(countsfile.load(path))
    return {"report": "protocol"} | values


def _table(path: Path) -> dict[str, object]:
    try:
        data = files.read_given(path, MAX_COUNTS_BYTES, "a protocol")
    except WireError as error:
        raise CountsError(str(path), [Fault("", "counts.unreadable", error.detail)]) from error
    try:
        text = data.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CountsError(
            str(path), [Fault("", "counts.syntax", f"this is not CSV in UTF-8: {error}")]
        ) from error
    if not rows or [cell.strip() for cell in rows[0]] != _HEADER:
        raise CountsError(str(path), [Fault("", "counts.syntax", "the first line must be field,value", 1)])
    values: dict[str, object] = {}
    for number, row in enumerate(itertools.islice(rows, 1, None), 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(_HEADER):
            raise _fault(path, "", f"a line has a field and a value, this one has {len(row)} cells", number)
        _put(values, row[0].strip(), row[1].strip(), path, number)
    for name in _LISTS:
        if isinstance(listed := values.get(name), dict):
            values[name] = [listed[key] for key in sorted(listed, key=lambda key: decimal(key) or 0)]
    return values


def _put(values: dict[str, object], field: str, cell: str, path: Path, number: int) -> None:
    *parents, last = field.split(".")
    place = values
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise _fault(path, field, "this field holds a value and others below it", number)
        place = inner
    if not field or not all((*parents, last)):
        raise _fault(path, field, "the field has no name", number)
    if last in place:
        raise _fault(path, field, "this field stands twice", number)
    whole = None if last in _TEXTS else decimal(cell)
    place[last] = cell if whole is None else whole


def _fault(path: Path, field: str, detail: str, line: int) -> CountsError:
    return CountsError(str(path), [Fault(field, "counts.syntax", detail, line)])
