"""TOML with the line of every key: Python's reader keeps none, and a message needs it.

What lives here: `read_toml` and the scanner behind it, which walks over a text that Python's reader has
accepted and so meets nothing but well-formed TOML (toml.io, version 1.0).
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

from gateway.base.errors import TallygateError

# ("listen", "box", 1) is the second address of listen.box.
KeyPath: TypeAlias = tuple[str | int, ...]

_AT_LINE: Final = re.compile(r"\s*\(at line ([0-9]+), column [0-9]+\)")
_BLANK: Final = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
# A number, a truth value or a time, with the space that a time may hold.
_BARE_VALUE: Final = re.compile(r"[^,\]}#\n]+")
# A text of one line, then one of several with up to two quotation marks more at its end.
_TEXTS: Final = {
    '"""': re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL),
    "'''": re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL),
    '"': re.compile(r'"(?:[^"\\]|\\.)*"'),
    "'": re.compile(r"'[^']*'"),
}


class Toml(NamedTuple):
    """A document, and the line (from 1) of each of its keys and of each value in an array."""

    values: Mapping[str, object]
    lines: Mapping[KeyPath, int]


def read_toml(text: str, *, place: str) -> Toml:
    """Reads a document.

    Args:
        text: as it stands in the file.
        place: what to call the file in an error.

    Raises:
        TallygateError: ``config.toml`` with the line.
    """
    text = text.replace("\r\n", "\n")
    try:
        values = tomllib.loads(text)
        return Toml(values, _Scanner(text).lines())
    except RecursionError:
        raise TallygateError("config.toml", "the brackets are nested too deeply", place=place) from None
    except ValueError as error:  # TOMLDecodeError, and integers too long for Python
        at = _AT_LINE.search(str(error))
        line = int(at[1]) if at else text.count("\n") + 1 if "end of document" in str(error) else None
        where = place if line is None else f"{place}:{line}"
        detail = f"this is not TOML: {_AT_LINE.sub('', str(error))}"
        raise TallygateError("config.toml", detail, place=where) from None


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[KeyPath, int] = {}
        # How many tables each array of tables has so far.
        self._tables: defaultdict[KeyPath, int] = defaultdict(int)

    def lines(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._blank()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._blank()
        return self._lines

    def _header(self) -> KeyPath:
        line = self._line()
        array = self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        path: KeyPath = ()
        *parents, last = self._key()
        for part in parents:
            path = self._enter((*path, part), line)
        path = (*path, last)
        self._at += 2 if array else 1
        if array:
            self._tables[path] += 1
        return self._enter(path, line)

    def _enter(self, path: KeyPath, line: int) -> KeyPath:
        """A table's path; of an array of tables the path of its last one."""
        self._lines.setdefault(path, line)
        if path in self._tables:
            path = (*path, self._tables[path] - 1)
            self._lines.setdefault(path, line)
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for part in self._key():
            path = (*path, part)
            self._lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._blank()
        self._value(path)

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._blank()
            if found := _BARE_KEY.match(self._text, self._at):
                parts.append(found[0])
                self._at = found.end()
            else:
                written = self._string()
                parts.append(tomllib.loads(f"key = {written}")["key"])
            self._blank()
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        start = self._text[self._at]
        if start == "[":
            self._array(path)
        elif start == "{":
            self._inline(path)
        elif start in "\"'":
            self._string()
        elif found := _BARE_VALUE.match(self._text, self._at):
            self._at = found.end()

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        self._blank()
        count = 0
        while self._text[self._at] != "]":
            self._lines[*path, count] = self._line()
            self._value((*path, count))
            count += 1
            self._comma()
        self._at += 1

    def _inline(self, path: KeyPath) -> None:
        self._at += 1
        self._blank()
        while self._text[self._at] != "}":
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._blank()
        if self._text[self._at] == ",":
            self._at += 1
            self._blank()

    def _string(self) -> str:
        opening = next(quote for quote in _TEXTS if self._text.startswith(quote, self._at))
        found = _TEXTS[opening].match(self._text, self._at)
        if found is None:
            raise ValueError("a text without an end")
        self._at = found.end()
        return found[0]

    def _blank(self) -> None:
        if found := _BLANK.match(self._text, self._at):
            self._at = found.end()

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1
