"""The fleet's plain tables: UTF-8 with or without BOM, ``,`` or ``;``, a header, a station in each line."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from clients import files
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.text import decimal, quoted

# Bytes of one file: a hundred thousand stations with a hundred choices have 40 MB.
_MAX_TABLE_BYTES = 1024 * 1024 * 1024
STATION = "station"


class Row:
    """One line; each method reads one column and says what is wrong in it."""

    __slots__ = ("_cells", "_file", "_line")

    def __init__(self, file: str, line: int, cells: Mapping[str, str]) -> None:
        self._file = file
        self._line = line
        self._cells = cells

    def malformed(self, column: str, detail: str) -> WireError:
        """The refusal of a cell."""
        return WireError("results.malformed", detail, file=self._file, line=self._line, column=column)

    def station(self, definition: Definition) -> int:
        """The station, which the definition has."""
        number = self.number(STATION)
        if number not in definition.stations:
            raise self.malformed(STATION, f"the election has no station {number}")
        return number

    def number(self, column: str) -> int:
        """A whole number in plain digits."""
        value = decimal(self._cells[column])
        if value is None:
            raise self.malformed(
                column, f"{quoted(self._cells[column])} is not a whole number in plain digits"
            )
        return value

    def number_or_none(self, column: str) -> int | None:
        """A whole number in plain digits, or None where the cell is empty."""
        return self.number(column) if self._cells[column] else None

    def seconds(self, column: str, most: float) -> float:
        """A number of seconds from 0; fractions may be given."""
        try:
            value = float(self._cells[column])
        except ValueError:
            value = math.nan
        if not 0 <= value <= most:
            raise self.malformed(
                column, f"{quoted(self._cells[column])} is not a number of seconds from 0 to {most:,.0f}"
            )
        return value


class Table:
    """A table that was read.

    Attributes:
        columns: of the header, in their order.
    """

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            WireError: `results.malformed`, `file.unreadable`, `file.too_large`.
        """
        self._file = path.name
        data = files.read(path, _MAX_TABLE_BYTES, "a table")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self._refusal(1, f"byte {error.start} is not UTF-8") from error
        header = text.partition("\n")[0]
        separator = ";" if ";" in header and "," not in header else ","
        self._rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        self.columns: Sequence[str] = self._next_row() or ()
        if len(set(self.columns)) < len(self.columns):
            raise self._refusal(1, "a column stands there twice")

    def require(self, *columns: str) -> None:
        """Insist on these columns and no others.

        Raises:
            WireError: `results.malformed`.
        """
        if set(self.columns) != set(columns):
            raise self._refusal(1, f"the columns must be {', '.join(columns)}")

    def __iter__(self) -> Iterator[Row]:
        while (cells := self._next_row()) is not None:
            line = self._rows.line_num
            if len(cells) != len(self.columns):
                raise self._refusal(line, f"{len(cells)} cells under {len(self.columns)} columns")
            yield Row(self._file, line, dict(zip(self.columns, cells, strict=True)))

    def refusal(self, column: str, detail: str) -> WireError:
        """The refusal of a column."""
        return WireError("results.malformed", detail, file=self._file, line=1, column=column)

    def _refusal(self, line: int, detail: str) -> WireError:
        return WireError("results.malformed", detail, file=self._file, line=line)

    def _next_row(self) -> list[str] | None:
        try:
            return next(self._rows, None)
        except csv.Error as error:
            raise self._refusal(self._rows.line_num, f"this is no table: {error}") from error
