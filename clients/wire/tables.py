"""Canonical tables (interfaces.md, "The election folder"): read in one pass, cell by cell, in bounded memory.

A manifest names size and SHA-256 of each table. The reader hashes the very bytes it parses; whatever it may
have found wrong on the way, a table that is not the manifest's is `table.changed` and nothing else. Readers
refuse any deviation; nobody re-canonicalises.
"""

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from clients.wire.errors import WireError
from clients.wire.text import MAX_NUMBER, MAX_TEXT_BYTES, decimal, hex_32, is_plain, quoted

# A line of full text cells has 40 KB; one device may serve, and one station may vote on, tens of thousands of
# things.
MAX_LINE_BYTES = 1024 * 1024
# No station has more voters, no tolerance is larger (tally.md, H100).
MAX_COUNT = 1_000_000
# Percents stand as hundredths of a percent.
MAX_HUNDREDTHS = 10_000
# Bytes of an IANA time zone name; the longest today has 32.
MAX_TIMEZONE_BYTES = 64

_CHUNK_BYTES = 1024 * 1024
_LEVEL = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TIMEZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")


@dataclass(frozen=True, slots=True)
class TableEntry:
    """What a manifest says of one table.

    Attributes:
        rows: number of lines below the header.
        size: bytes.
        sha256: of all its bytes.
    """

    rows: int
    size: int
    sha256: bytes


def is_timezone(text: str) -> bool:
    """Whether the text has the form of an IANA time zone name."""
    return len(text) <= MAX_TIMEZONE_BYTES and _TIMEZONE.fullmatch(text) is not None


class Row:
    """One line of a table; each method reads one column and answers with what is wrong in it.

    Attributes:
        line: line number in the file, the header is line 1.
    """

    __slots__ = ("_columns", "_file", "_values", "line")

    def __init__(self, file: str, columns: Mapping[str, int], line: int, values: Sequence[str]) -> None:
        self._file = file
        self._columns = columns
        self.line = line
        self._values = values

    def malformed(self, column: str, detail: str) -> WireError:
        """The refusal of a cell that breaks the table's form."""
        return WireError("table.malformed", detail, file=self._file, line=self.line, column=column)

    def unknown(self, column: str, detail: str) -> WireError:
        """The refusal of a cell that names a thing which does not exist."""
        return WireError("table.reference", detail, file=self._file, line=self.line, column=column)

    def cell(self, column: str) -> str:
        """The cell as it stands."""
        return self._values[self._columns[column]]

    def text(self, column: str) -> str:
        """A text of at most 2,000 bytes without control characters; may be empty."""
        return self._text(column, 0)

    def name(self, column: str) -> str:
        """A text that is not empty."""
        return self._text(column, 1)

    def _text(self, column: str, least: int) -> str:
        value = self.cell(column)
        if not is_plain(value, least):
            detail = f"the text must have {least} to {MAX_TEXT_BYTES:,} bytes and no control character"
            raise self.malformed(column, detail)
        return value

    def integer(self, column: str, least: int, most: int = MAX_NUMBER) -> int:
        """A whole number in plain digits."""
        return self._integer(column, self.cell(column), least, most)

    def _integer(self, column: str, text: str, least: int, most: int) -> int:
        value = decimal(text)
        if value is None or not least <= value <= most:
            raise self.malformed(
                column, f"{quoted(text)} is not a whole number from {least} to {most} in plain digits"
            )
        return value

    def integer_or_none(self, column: str, least: int, most: int = MAX_NUMBER) -> int | None:
        """A whole number in plain digits, or None where the cell is empty."""
        return self.integer(column, least, most) if self.cell(column) else None

    def number(self, column: str, known: Collection[int] | None = None) -> int:
        """The number of a thing, from 1; of a known one if `known` is given."""
        value = self.integer(column, 1)
        if known is not None and value not in known:
            raise self.unknown(column, f"there is no {value}")
        return value

    def number_or_none(self, column: str, known: Collection[int]) -> int | None:
        """The number of a known thing, or None where the cell is empty."""
        return self.number(column, known) if self.cell(column) else None

    def numbers(self, column: str, known: Collection[int]) -> tuple[int, ...]:
        """Ascending numbers of known things, joined by one space; may be empty."""
        cell = self.cell(column)
        values: list[int] = []
        before = 0
        for part in cell.split(" ") if cell else ():
            value = self._integer(column, part, 1, MAX_NUMBER)
            if value <= before:
                raise self.malformed(column, f"{value} follows {before}: numbers in a list must ascend")
            if value not in known:
                raise self.unknown(column, f"there is no {value}")
            values.append(value)
            before = value
        return tuple(values)

    def ascending(self, column: str, before: int) -> int:
        """A key column's number of a thing, above that of the line before (0 at the first line)."""
        value = self.integer(column, 1)
        if value <= before:
            raise self.malformed(column, f"{value} follows {before}: lines must ascend by this column")
        return value

    def word(self, column: str, words: Collection[str]) -> str:
        """One of a few words."""
        value = self.cell(column)
        if value not in words:
            raise self.malformed(column, f"{quoted(value)} is not one of {', '.join(words)}")
        return value

    def level(self, column: str) -> str:
        """The name of a level of areas."""
        value = self.cell(column)
        if _LEVEL.fullmatch(value) is None:
            raise self.malformed(
                column, f"{quoted(value)} is not a word of a-z, 0-9, '_' and '-' in 40 characters"
            )
        return value

    def hash(self, column: str) -> bytes:
        """32 bytes as 64 lower-case hex digits."""
        value = hex_32(self.cell(column))
        if value is None:
            raise self.malformed(column, "the cell is not 64 lower-case hex digits")
        return value

    def timezone(self, column: str) -> str:
        """An IANA time zone's name."""
        value = self.cell(column)
        if not is_timezone(value):
            raise self.malformed(column, f"{quoted(value)} is not the name of a time zone")
        return value

    def only_with(self, column: str, other: str) -> None:
        """Refuse the cell of `column` unless it is empty exactly where that of `other` is."""
        if bool(self.cell(column)) != bool(self.cell(other)):
            raise self.malformed(column, f"must be empty exactly where {other} is")


@contextmanager
def open_table(folder: Path, name: str, entry: TableEntry, columns: Sequence[str]) -> Iterator[Iterable[Row]]:
    """Open ``<name>.csv`` for reading its rows in order; leaving the context judges the table as a whole.

    Args:
        folder: where the manifest and its tables are.
        name: the table's name.
        entry: what the manifest says of it.
        columns: its columns in their order.

    Raises:
        WireError: `table.missing`; `table.changed` where size or SHA-256 differ, whatever else is wrong;
            `table.malformed`; and what is raised inside the context.
    """
    file = f"{name}.csv"
    try:
        stream = (folder / file).open("rb")
    except OSError as error:
        raise _missing(file, error) from error
    with stream:
        source = _Source(stream, file, entry)
        rows = _Rows(source, columns)
        try:
            yield rows
        except WireError:
            source.finish()
            raise
        source.finish()
        if rows.count != entry.rows:
            raise _malformed(file, None, f"the table has {rows.count} rows, its manifest says {entry.rows}")


def _missing(file: str, error: OSError) -> WireError:
    reason = error.strerror or type(error).__name__
    return WireError("table.missing", f"the table cannot be read: {reason}", file=file)


def _malformed(file: str, line: int | None, detail: str) -> WireError:
    return WireError("table.malformed", detail, file=file, line=line)


class _Source:
    """The bytes of one table, hashed as they are read, line by line or to the end."""

    __slots__ = ("_digest", "_entry", "_read", "_stream", "file")

    def __init__(self, stream: BinaryIO, file: str, entry: TableEntry) -> None:
        self._stream = stream
        self._entry = entry
        self._digest = hashlib.sha256()
        self._read = 0
        self.file = file
        # The wrong size needs no reading: a file of many gigabytes is refused at once.
        if os.fstat(stream.fileno()).st_size != entry.size:
            raise self._changed()

    def _changed(self) -> WireError:
        return WireError("table.changed", "the table is not the one that its manifest names", file=self.file)

    def line(self) -> bytes:
        """The next line with its newline, at most one byte above the longest allowed; empty at the end."""
        try:
            line = self._stream.readline(MAX_LINE_BYTES + 1)
        except OSError as error:
            raise _missing(self.file, error) from error
        self._digest.update(line)
        self._read += len(line)
        return line

    def finish(self) -> None:
        """Hash what is left and refuse the table if it is not the manifest's."""
        while self._read <= self._entry.size:
            try:
                chunk = self._stream.read(_CHUNK_BYTES)
            except OSError as error:
                raise _missing(self.file, error) from error
            if not chunk:
                break
            self._digest.update(chunk)
            self._read += len(chunk)
        if self._read != self._entry.size or self._digest.digest() != self._entry.sha256:
            raise self._changed()


class _Rows:
    """Iterates over the lines below the header and counts them."""

    __slots__ = ("_columns", "_places", "_source", "count")

    def __init__(self, source: _Source, columns: Sequence[str]) -> None:
        self._source = source
        self._columns = columns
        self._places: Final = {column: place for place, column in enumerate(columns)}
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        header = self._text(self._source.line(), 1)
        if header != ",".join(self._columns):
            raise _malformed(self._source.file, 1, f"the header is not {','.join(self._columns)}")
        while line := self._source.line():
            number = self.count + 2
            values = self._split(self._text(line, number), number)
            if len(values) != len(self._columns):
                raise _malformed(
                    self._source.file,
                    number,
                    f"the line has {len(values)} cells, must have {len(self._columns)}",
                )
            self.count += 1
            yield Row(self._source.file, self._places, number, values)

    def _text(self, line: bytes, number: int) -> str:
        if not line.endswith(b"\n"):
            problem = "is too long" if len(line) > MAX_LINE_BYTES else "does not end with a newline"
            raise _malformed(self._source.file, number, f"the line {problem}")
        try:
            return line[:-1].decode("utf-8")
        except UnicodeDecodeError:
            raise _malformed(self._source.file, number, "the line is not well-formed UTF-8") from None

    def _split(self, line: str, number: int) -> list[str]:
        """Cells of RFC 4180, quoted exactly where a cell holds a comma or a quotation mark."""
        if '"' not in line:
            return line.split(",")
        values: list[str] = []
        at = 0
        while at <= len(line):
            if line.startswith('"', at):
                value, at = self._quoted(line, at + 1, number)
            else:
                end = line.find(",", at)
                end = end if end >= 0 else len(line)
                value, at = line[at:end], end
                if '"' in value:
                    raise _malformed(
                        self._source.file, number, "a cell holds a quotation mark and is not quoted"
                    )
            values.append(value)
            if at < len(line) and line[at] != ",":
                raise _malformed(self._source.file, number, "something follows a closing quotation mark")
            at += 1
        return values

    def _quoted(self, line: str, start: int, number: int) -> tuple[str, int]:
        """The cell whose opening quotation mark stands before `start`, and where its closing one ended."""
        end = line.find('"', start)
        while end >= 0 and line.startswith('"', end + 1):
            end = line.find('"', end + 2)
        if end < 0:
            raise _malformed(self._source.file, number, "a quoted cell does not end")
        value = line[start:end].replace('""', '"')
        if "," not in value and '"' not in value:
            raise _malformed(self._source.file, number, "a cell is quoted without need")
        return value, end + 1
