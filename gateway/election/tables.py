"""Reads one table as a spreadsheet program saves it: bytes in, rows of stripped NFC cells out.

Every line stands for itself: a cell cannot hold a line break, so one forgotten quote spoils one row and not
the rest of the file. Memory is bounded by the size of a chunk, whatever the file holds; all checks of
characters run over whole chunks, and only a chunk that has something to find is looked at cell by cell.
"""

import csv
import difflib
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, TypeAlias

from gateway.election.faults import Code, Faults, shown
from gateway.election.files import (
    BOM,
    FORBIDDEN,
    FORBIDDEN_IN_LINES,
    NotRegularError,
    control_sentence,
    open_regular,
    what_encoding,
    wrong_start,
)
from gateway.election.limits import CHUNK_BYTES, LANGUAGES, MAX_LINE_BYTES, MAX_ROWS, MAX_TABLE_BYTES, MIB

Row: TypeAlias = tuple[int, tuple[str, ...]]
"""A physical line and its cells in the order of the table's columns."""

_Line: TypeAlias = tuple[int, str, bool]
"""A physical line, its text, and whether its cells need a look at every character."""

BLANKS = " \u00a0"
"""Removed around every cell: spreadsheets leave ordinary and no-break spaces there."""

_BLANK_LINE = BLANKS + "\r"

_OPEN_QUOTE_LINES = 20
"""Lines searched for the end of a cell that holds a line break, so that they are reported as one fault."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a table may and must look like.

    Attributes:
        file: its file name.
        columns: all columns, in the order in which rows are handed out.
        required: columns that the header must name.
        one_of: columns of which the header must name at least one (the names, a column a language).
        rows_required: whether a header alone is too little.
    """

    file: str
    columns: tuple[str, ...]
    required: tuple[str, ...]
    one_of: tuple[str, ...] = ()
    rows_required: bool = False


def per_language(stem: str) -> tuple[str, ...]:
    """The columns ``<stem>_ky`` … ``<stem>_en``."""
    return tuple(f"{stem}_{language}" for language in LANGUAGES)


class Table:
    """One table of a folder; `rows` may be run through once.

    Args:
        folder: where the file is.
        spec: what it may look like.
        faults: where to note what is wrong.
        label_for: a column that ``label`` stands for if the header does not name it (``--number``).

    What cannot be read at all is reported when the rows are asked for; `complete` is then False, and nobody
    should complain that another table names something that is not here.
    """

    def __init__(self, folder: Path, spec: Spec, faults: Faults, *, label_for: str = "") -> None:
        self.spec = spec
        self._label_for = label_for
        self.complete = True
        self._path = folder / spec.file
        self._faults = faults
        self._separator = ","
        self._names: list[str] = []
        self._ahead: deque[_Line] = deque()

    def rows(self) -> Iterator[Row]:
        """Give (physical line, cells in the order of the columns); an absent column gives empty cells."""
        try:
            opened = open_regular(self._path)
        except FileNotFoundError:
            self._refuse(Code.MISSING_FILE, f"the folder has no {self.spec.file}: add the table")
            return
        except NotRegularError:
            self._refuse(Code.NOT_A_FILE, "this is no ordinary file: save the table here as a CSV file")
            return
        except OSError as error:
            self._refuse(Code.UNREADABLE, f"the file cannot be opened: {error.strerror}")
            return
        with opened.file as file:
            if opened.size > MAX_TABLE_BYTES:
                self._refuse_size()
                return
            try:
                yield from self._rows(file)
            except OSError as error:
                self._refuse(Code.UNREADABLE, f"the file cannot be read: {error.strerror}")

    def _rows(self, file: BinaryIO) -> Iterator[Row]:
        lines = self._lines(file)
        header = next(lines, None)
        if header is None:
            if self.complete:
                self._refuse(
                    Code.EMPTY_FILE, "the file is empty: it needs a header line that names the columns"
                )
            return
        pick = self._header(*header[:2])
        if pick is None:
            self.complete = False
            return
        before = self._faults.errors
        count = 0
        for line, cells in self._split(lines):
            count += 1
            if count > MAX_ROWS:
                self._refuse(
                    Code.TOO_MANY_ROWS, f"a table may have {MAX_ROWS:,} rows; what follows was not read", line
                )
                return
            yield line, pick(cells)
        # Rows at fault are rows; their number stays unknown.
        if not count and self.spec.rows_required and self._faults.errors == before:
            self._refuse(Code.NO_ROWS, "there is a header and no row: an election needs at least one")

    def _refuse(self, code: Code, detail: str, line: int = 0, column: str = "") -> None:
        """Report what keeps (the rest of) the table from being read."""
        self.complete = False
        self._faults.add(code, detail, file=self.spec.file, line=line, column=column)

    def _refuse_size(self) -> None:
        self._refuse(
            Code.TOO_LARGE,
            f"the file is larger than {MAX_TABLE_BYTES // MIB} MiB, which no election's table is: "
            "check that this is the right file",
        )

    def _fault(self, code: Code, detail: str, line: int, column: str = "") -> None:
        self._faults.add(code, detail, file=self.spec.file, line=line, column=column)

    # Bytes to lines

    def _lines(self, file: BinaryIO) -> Iterator[tuple[int, str, bool]]:
        """Give (number, text, suspicious) for each physical line that is not blank."""
        number = 0
        skipping = False
        for block in self._blocks(file):
            if isinstance(block, _TooLong):
                if not skipping:
                    self._too_long(number + 1)
                skipping = True
                continue
            if skipping:  # the end of a line whose beginning was refused
                skipping = False
                number += 1
                _, feed, block = block.partition(b"\n")
                if not feed:
                    continue
            try:
                text = block.decode("utf-8")
            except UnicodeDecodeError as error:
                wrong = number + 1 + block.count(b"\n", 0, error.start)
                self._refuse(Code.ENCODING, what_encoding(block[error.start :][:400]), wrong)
                return
            suspicious = bool(FORBIDDEN_IN_LINES.search(text)) or not unicodedata.is_normalized("NFC", text)
            for line in text.split("\n"):
                number += 1
                # A character has at most four bytes: only a long line needs the exact look.
                if len(line) * 4 > MAX_LINE_BYTES and len(line.encode()) > MAX_LINE_BYTES:
                    self._too_long(number)
                elif line.strip(_BLANK_LINE):
                    yield number, line.removesuffix("\r"), suspicious

    def _too_long(self, line: int) -> None:
        self._fault(
            Code.LINE_TOO_LONG,
            f"the line has more than {MAX_LINE_BYTES:,} bytes: is a line break missing, or is it no table?",
            line,
        )

    def _blocks(self, file: BinaryIO) -> Iterator["bytes | _TooLong"]:
        """Give runs of whole lines without the last line feed; `_TooLong` while a line is not to be held."""
        head = file.read(CHUNK_BYTES)
        if encoding := wrong_start(head):
            self._refuse(Code.ENCODING, encoding)
            return
        chunk = head.removeprefix(BOM)
        carry = b""
        total = len(head)
        while chunk:
            whole, feed, rest = chunk.rpartition(b"\n")
            if feed:
                yield carry + whole
                carry = rest
            else:
                carry += chunk
            if len(carry) > MAX_LINE_BYTES:
                yield _TooLong()
                carry = b""
            chunk = file.read(CHUNK_BYTES)
            total += len(chunk)
            if total > MAX_TABLE_BYTES:  # it grew while it was read
                self._refuse_size()
                return
        if carry:
            yield carry

    # Lines to cells

    def _split(self, lines: Iterator[_Line]) -> Iterator[tuple[int, list[str]]]:
        separator, width, ahead = self._separator, len(self._names), self._ahead
        while (found := ahead.popleft() if ahead else next(lines, None)) is not None:
            line, text, suspicious = found
            cells = self._parse(text) if '"' in text else text.split(separator)
            if cells is None:
                self._misquoted(line, text, lines)
                continue
            if suspicious:
                cells = [self._clean(cell, line, place) for place, cell in enumerate(cells)]
            cells = [cell.strip(BLANKS) for cell in cells]
            if not any(cells):
                continue  # an empty row of a sheet
            if len(cells) < width or any(cells[width:]):
                self._ragged(line, cells)
                continue
            del cells[width:]
            cells.append("")  # what an absent column gives
            yield line, cells

    def _parse(self, text: str) -> list[str] | None:
        """The cells of one line, or None if its quotes do not fit."""
        try:
            return next(csv.reader([text], delimiter=self._separator, strict=True))
        except csv.Error:
            return None

    def _misquoted(self, line: int, text: str, lines: Iterator[_Line]) -> None:
        if "\r" in text:
            self._fault(Code.CONTROL_CHARACTER, control_sentence("\r", text), line)
            return
        if self._parse(text + '"') is None:
            self._fault(
                Code.QUOTING, "the quotes do not fit: a quote inside a quoted cell is written twice", line
            )
            return
        # A line break typed into a cell: the lines up to its closing quote belong to this row and are no
        # faults of their own.
        until = ""
        while len(self._ahead) < _OPEN_QUOTE_LINES and (found := next(lines, None)) is not None:
            self._ahead.append(found)
        for count, (last, more, _) in enumerate(self._ahead, 1):
            if more.count('"') % 2 == 1:
                until = f" (it seems to end in line {last})"
                for _ in range(count):
                    self._ahead.popleft()
                break
        self._fault(
            Code.QUOTING,
            f"a quote is opened and not closed in this line{until}: a cell cannot hold a line break",
            line,
        )

    def _ragged(self, line: int, cells: Sequence[str]) -> None:
        width = len(self._names)
        if len(cells) < width:
            detail = (
                f"the row has {len(cells)} cells, the header {width}: fill the row up "
                "(Excel leaves out empty cells at the end: move a column that is always filled to the end)"
            )
        else:
            other = "," if self._separator == ";" else ";"
            detail = (
                f"the row has {len(cells)} cells, the header {width}: put a cell that holds "
                f"{shown(self._separator)} in quotes, or save the table with {shown(other)} between the cells"
            )
        self._fault(Code.RAGGED_ROW, detail, line)

    def _clean(self, cell: str, line: int, place: int) -> str:
        found = FORBIDDEN.search(cell)
        if found:
            column = self._names[place] if place < len(self._names) else ""
            self._fault(Code.CONTROL_CHARACTER, control_sentence(found[0], cell), line, column)
            cell = FORBIDDEN.sub(" ", cell)
        return unicodedata.normalize("NFC", cell)

    # The header

    def _header(self, line: int, text: str) -> Callable[[Sequence[str]], tuple[str, ...]] | None:
        """Judge the header; give what picks a row's cells, or None if no row can be judged."""
        self._separator = ";" if text.count(";") > text.count(",") else ","
        if "\r" in text:
            self._fault(
                Code.LINE_ENDS, "the lines end in CR alone, as on old Macintoshes: save the table again", line
            )
            return None
        names = self._parse(text)
        if names is None:
            self._fault(Code.QUOTING, "the quotes of the header do not fit", line)
            return None
        names = [name.strip(BLANKS) for name in names]
        while names and not names[-1]:  # empty columns at the right edge of a sheet
            names.pop()
        self._names = names
        spec = self.spec
        places: dict[str, int] = {}
        for place, name in enumerate(names):
            if name not in spec.columns:
                self._fault(Code.UNKNOWN_COLUMN, self._unknown(name, place), line)
            elif name in places:
                self._fault(Code.DUPLICATE_COLUMN, "the column stands twice: remove one", line, name)
            else:
                places[name] = place
        if self._label_for and "label" in places:
            places.setdefault(self._label_for, places["label"])
        missing = [name for name in spec.required if name not in places]
        for name in missing:
            self._fault(Code.MISSING_COLUMN, "the column is missing; the rows were not checked", line, name)
        if spec.one_of and not any(name in places for name in spec.one_of):
            missing = [*missing, spec.one_of[0]]
            choice = ", ".join(spec.one_of)
            self._fault(
                Code.MISSING_COLUMN,
                f"one of {choice} is needed; the rows were not checked",
                line,
                spec.one_of[0],
            )
        if missing:
            return None
        absent = len(names)  # the empty cell that `_split` appends
        first, second, *others = (places.get(name, absent) for name in spec.columns)
        return itemgetter(first, second, *others)

    def _unknown(self, name: str, place: int) -> str:
        if not name:
            return f"column {place + 1} has no name: name it or remove it"
        if "\t" in name:
            return "the columns are separated by tabs: save the table as CSV with commas or semicolons"
        close = difflib.get_close_matches(name.lower(), self.spec.columns, n=1)
        hint = (
            f"; did you mean {close[0]}?" if close else f": remove it (known: {', '.join(self.spec.columns)})"
        )
        return f"{shown(name)} is no column of this table{hint}"


class _TooLong:
    """A chunk that one single line fills."""
