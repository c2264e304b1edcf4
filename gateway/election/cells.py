"""Reads single cells of a table: each either gives a value or becomes a fault at its line and column."""

import functools
import re
import zoneinfo
from collections.abc import Collection, Mapping

from gateway.base.clock import parse_time
from gateway.base.errors import TallygateError
from gateway.election.faults import Code, Faults, shown
from gateway.election.limits import LANGUAGES, MAX_NUMBER, MAX_TEXT_BYTES, MAX_TIMEZONE_BYTES
from gateway.election.model import Names

STANDARD_FIGURES = {
    "registered": 1,
    "registered_additional": 2,
    "identified": 3,
    "ballots_received": 4,
    "issued": 5,
    "issued_outside": 6,
    "spoiled": 7,
    "cancelled": 8,
    "in_box": 9,
    "in_portable_box": 10,
    "valid": 11,
    "blank": 12,
    "invalid": 13,
    "lost": 14,
    "returned_by_box": 15,
    "issued_early": 16,
}
"""The figures every protocol may have (docs/packet.md, Figures)."""

_MAX_DIGITS = len(str(MAX_NUMBER))
_GROUPED = re.compile(r"[0-9]{1,3}(?:[ ,.'\u00a0\u202f\u2009][0-9]{3})+")
_PERCENT = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?")
_DEGREES = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{1,7})?")
_HEX32 = re.compile(r"[0-9a-fA-F]{64}")
_LEVEL = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_LINK = re.compile(r"https?://[^\s/?#\"<>\\]+(?:[/?#][^\s\"<>\\]*)?")
_TIMEZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")


class Known:
    """The numbers that one table defines, and how the other tables name them.

    Attributes:
        what: the word for one of its things, as a message says it.
        code: the fault of naming one that is not there.
        lines: the line of each number.
        labels: what ``--number`` gave a number to, or None if the table has numbers of its own.
        complete: False if the table could not be read to its end: then nothing is reported as unknown.
    """

    __slots__ = ("code", "complete", "labels", "lines", "what")

    def __init__(self, what: str, code: Code, labels: Mapping[str, int] | None = None) -> None:
        self.what = what
        self.code = code
        self.lines: dict[int, int] = {}
        self.labels = labels
        self.complete = True


class Cells:
    """The cells of one table: knows its file name and notes its faults.

    Args:
        file: the table's name in the folder.
        faults: where to note what is wrong.
    """

    def __init__(self, file: str, faults: Faults) -> None:
        self.file = file
        self._faults = faults

    def fault(self, code: Code, detail: str, line: int, column: str = "") -> None:
        """Note a fault of this table."""
        self._faults.add(code, detail, file=self.file, line=line, column=column)

    # Numbers and what they name

    def number(
        self, cell: str, line: int, column: str, *, low: int = 1, high: int = MAX_NUMBER, hint: str = ""
    ) -> int | None:
        """A whole number from `low` to `high`; None after a fault. Leading zeros are dropped.

        `hint` says what else could be done about a cell that is no number.
        """
        # int() alone would also take 1_000, other scripts' digits and blanks.
        if cell.isdigit() and cell.isascii():
            digits = cell.lstrip("0") or "0"
            value = int(digits) if len(digits) <= _MAX_DIGITS else MAX_NUMBER + 1
            if low <= value <= high:
                return value
            self.fault(Code.NUMBER_RANGE, f"{shown(cell)} is not a number from {low} to {high}", line, column)
        elif cell:
            detail = f"{shown(cell)} is not a whole number{_number_hint(cell) or hint}"
            self.fault(Code.NOT_A_NUMBER, detail, line, column)
        else:
            self.fault(Code.MISSING_VALUE, "the cell is empty; a whole number is needed", line, column)
        return None

    def number_or(self, default: int, cell: str, line: int, column: str, *, low: int, high: int) -> int:
        """As `number`, with a default for an empty cell (and after a fault)."""
        if not cell:
            return default
        value = self.number(cell, line, column, low=low, high=high)
        return default if value is None else value

    def own(self, cell: str, line: int, column: str, known: Known) -> int | None:
        """The number under which a row enters its table; None after a fault (a second row of it is one)."""
        if known.labels is None:
            number = self.number(cell, line, column, hint=" (--number gives numbers to labels)")
        else:
            number = known.labels.get(cell)
            if number is None:
                self.fault(Code.MISSING_VALUE, "the cell is empty; a label is needed", line, column)
        if number is None:
            return None
        first = known.lines.setdefault(number, line)
        if first != line:
            detail = f"{shown(cell)} stands in line {first} too: each {known.what} has its own number"
            self.fault(Code.DUPLICATE_NUMBER, detail, line, column)
            return None
        return number

    def reference(self, cell: str, line: int, column: str, known: Known) -> int | None:
        """The number of a thing in another table; None after a fault, or if that table could not be read."""
        if known.labels is not None:
            if not cell:
                self.fault(
                    Code.MISSING_VALUE, f"the cell is empty; it must name a {known.what}", line, column
                )
                return None
            number = known.labels.get(cell)
        else:
            number = self.number(cell, line, column)
            if number is None:
                return None
        if number in known.lines:
            return number
        if known.complete:
            self.fault(known.code, f"there is no {known.what} {shown(cell)}", line, column)
        return None

    def references(self, cell: str, line: int, column: str, known: Known) -> tuple[int, ...]:
        """Several numbers with one space between them (labels: one, or several with ``|``), ascending."""
        if known.labels is None:
            parts = cell.split(" ")
        elif cell in known.labels:
            parts = [cell]
        else:
            parts = [part.strip() for part in cell.split("|" if "|" in cell else " ")]
        if not any(parts):
            self.fault(Code.BAD_LIST, f"{shown(cell)} names no {known.what}", line, column)
        numbers = [
            number
            for part in parts
            if part and (number := self.reference(part, line, column, known)) is not None
        ]
        unique = tuple(sorted(set(numbers)))
        if len(unique) != len(numbers):
            self.fault(Code.BAD_LIST, f"{shown(cell)} names a {known.what} twice", line, column)
        return unique

    # Words and texts

    def word(
        self, cell: str, line: int, column: str, words: Collection[str], default: str | None = None
    ) -> str | None:
        """One of `words`; an empty cell gives the default; None after a fault."""
        if cell in words:
            return cell
        if not cell:
            if default is not None:
                return default
            self.fault(
                Code.MISSING_VALUE, f"the cell is empty; write one of {', '.join(words)}", line, column
            )
        else:
            self.fault(Code.UNKNOWN_WORD, f"{shown(cell)} is none of {', '.join(words)}", line, column)
        return None

    def text(self, cell: str, line: int, column: str) -> str:
        """A text of bounded length; empty after a fault."""
        # Four bytes are the most a character takes: short cells need no encoding.
        if len(cell) * 4 <= MAX_TEXT_BYTES or len(cell.encode()) <= MAX_TEXT_BYTES:
            return cell
        detail = f"{shown(cell)} has more than {MAX_TEXT_BYTES} bytes in UTF-8: shorten it"
        self.fault(Code.TEXT_TOO_LONG, detail, line, column)
        return ""

    def needed(self, cell: str, line: int, column: str) -> str:
        """A text that may not be empty."""
        if not cell:
            self.fault(Code.MISSING_NAME, "the cell is empty; a name is needed", line, column)
        return self.text(cell, line, column)

    def names(self, texts: Names, line: int, stem: str = "name") -> Names:
        """The text of a thing in every language, at least one of them given."""
        ky, kk, ru, en = texts
        if not (ky or kk or ru or en):
            self.fault(
                Code.MISSING_NAME,
                "no language has a text: fill in at least one",
                line,
                f"{stem}_{LANGUAGES[0]}",
            )
        # One comparison settles nearly every row.
        if (len(ky) + len(kk) + len(ru) + len(en)) * 4 > MAX_TEXT_BYTES:
            for language, text in zip(LANGUAGES, texts, strict=True):
                self.text(text, line, f"{stem}_{language}")
        return texts

    def level(self, cell: str, line: int, column: str) -> str:
        """The kind of an area: ``region``, ``district``; empty after a fault."""
        if _LEVEL.fullmatch(cell):
            return cell
        if cell:
            detail = (
                f"{shown(cell)} is no level: use a to z, 0 to 9, - and _, a letter first (region, district)"
            )
            self.fault(Code.BAD_NAME, detail, line, column)
        else:
            self.fault(
                Code.MISSING_VALUE, "the cell is empty; name the level (region, district)", line, column
            )
        return ""

    # Percents, times, keys, what is only shown

    def percent(self, cell: str, line: int, column: str) -> int:
        """Hundredths of a percent from 1 to 10,000; 0 for an empty cell and after a fault."""
        if not cell:
            return 0
        match = _PERCENT.fullmatch(cell)
        if match is None:
            detail = (
                f"{shown(cell)} is not a percentage: write 5, 0.5 or 12.75, with a point and without a sign"
            )
            self.fault(Code.BAD_PERCENT, detail, line, column)
            return 0
        hundredths = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
        if not 1 <= hundredths <= 10_000:
            detail = f"{shown(cell)} is not above 0 and at most 100 (none: leave the cell empty)"
            self.fault(Code.NUMBER_RANGE, detail, line, column)
            return 0
        return hundredths

    def time(self, cell: str, line: int, column: str) -> int | None:
        """RFC 3339 to ms since the Unix epoch; None after a fault."""
        try:
            return parse_time(cell)
        except TallygateError as error:
            self.fault(Code.BAD_TIME, error.detail, line, column)
            return None

    def timezone(self, cell: str, line: int, column: str) -> str:
        """An IANA time zone; empty after a fault."""
        if is_timezone(cell):
            return cell
        self.fault(Code.BAD_TIMEZONE, bad_timezone(cell), line, column)
        return ""

    def hex32(self, cell: str, line: int, column: str) -> str:
        """32 bytes as 64 hexadecimal digits, in lower case; empty after a fault."""
        if is_hex32(cell):
            return cell.lower()
        if cell:
            detail = f"{shown(cell)} is not 64 hexadecimal digits (it has {len(cell)} characters)"
            self.fault(Code.BAD_HEX, detail, line, column)
        else:
            self.fault(
                Code.MISSING_VALUE, "the cell is empty; 64 hexadecimal digits are needed", line, column
            )
        return ""

    def color(self, cell: str, line: int, column: str) -> str:
        """``#rrggbb`` in lower case, or empty."""
        if not cell or _COLOR.fullmatch(cell):
            return cell.lower()
        self.fault(
            Code.BAD_COLOR, f"{shown(cell)} is no colour: write #rrggbb, such as #1f6fb2", line, column
        )
        return ""

    def link(self, cell: str, line: int, column: str) -> str:
        """An address on the web, or empty."""
        if not cell or is_link(cell):
            return self.text(cell, line, column)
        self.fault(Code.BAD_LINK, bad_link(cell), line, column)
        return ""

    def degrees(self, cell: str, line: int, column: str, limit: int) -> str:
        """A latitude or longitude in decimal degrees, as written; or empty."""
        if not cell or (_DEGREES.fullmatch(cell) and abs(float(cell)) <= limit):
            return cell
        detail = f"{shown(cell)} is not within {limit} degrees: write 42.8746 (a point, at most 7 decimals)"
        self.fault(Code.BAD_COORDINATE, detail, line, column)
        return ""


@functools.cache
def _timezones() -> frozenset[str]:
    return frozenset(zone for zone in zoneinfo.available_timezones() if _TIMEZONE.fullmatch(zone))


def is_timezone(name: str) -> bool:
    """Whether it is the name of an IANA time zone (tzdata's, so that every machine knows the same ones)."""
    return len(name) <= MAX_TIMEZONE_BYTES and name in _timezones()


def bad_timezone(cell: str) -> str:
    """The sentence about a time zone that is none."""
    return f"{shown(cell)} is no IANA time zone: write Asia/Bishkek, Europe/Moscow"


def is_hex32(cell: str) -> bool:
    """Whether it is 64 hexadecimal digits."""
    return _HEX32.fullmatch(cell) is not None


def is_link(cell: str) -> bool:
    """Whether it is an address that a page may link to."""
    return _LINK.fullmatch(cell) is not None


def bad_link(cell: str) -> str:
    """The sentence about an address that is none."""
    return f"{shown(cell)} is no address on the web: write https://…"


def _number_hint(cell: str) -> str:
    if any(character.isdigit() and not character.isascii() for character in cell):
        return ": write it with the digits 0 to 9"
    if _GROUPED.fullmatch(cell):
        return ": write it without separators"
    if re.fullmatch(r"[0-9]+[.,]0*", cell):
        return ": write it without decimals"
    if re.fullmatch(r"[0-9.,]+[eE][+-]?[0-9]+", cell):
        return ": the spreadsheet has shortened it; format the column as number without decimals"
    return ""
