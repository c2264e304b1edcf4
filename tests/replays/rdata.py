"""Reads the table of an R data file: as much of R's serialization as such a file has.

The form is R's own ("R Internals", section 1.8, Serialization Formats): here version 2 in XDR, compressed
with bzip2, a pairlist whose one element is a data frame of numbers and texts.
"""

import bz2
import struct
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from tests.replays.folder import SourceError

_MAGIC: Final = b"RDX2\nX\n"
_HEADER: Final = 12

# Types of items, and flags beside them.
_SYMBOL, _PAIRLIST, _CHARACTERS, _LOGICALS, _INTEGERS, _REALS, _STRINGS, _LIST = 1, 2, 9, 10, 13, 14, 16, 19
_NULL, _REFERENCE = 254, 255
_HAS_ATTRIBUTES, _HAS_TAG = 0x200, 0x400

Cell: TypeAlias = str | float | int | None


class _Vector(NamedTuple):
    values: list["_Item"]
    attributes: dict[str, "_Item"]


_Item: TypeAlias = "_Vector | str | float | int | list[tuple[str, _Item]] | None"


def read_frame(path: Path) -> dict[str, list[Cell]]:
    """The columns of the data frame, by name; a factor is its numbers.

    Raises:
        SourceError: it is no such file.
    """
    try:
        found = _Reader(bz2.decompress(path.read_bytes())).pairlist()
        ((_, frame),) = found
        assert isinstance(frame, _Vector)
        names = frame.attributes["names"]
        assert isinstance(names, _Vector)
        columns: dict[str, list[Cell]] = {}
        for name, column in zip(names.values, frame.values, strict=True):
            assert isinstance(name, str) and isinstance(column, _Vector)  # noqa: PT018
            columns[name] = [
                value if isinstance(value, str | float | int) else None for value in column.values
            ]
    except (OSError, ValueError, KeyError, AssertionError, struct.error) as error:
        raise SourceError(path.name, 1, "it is no table of R in the form that this reader knows") from error
    return columns


class _Reader:
    def __init__(self, data: bytes) -> None:
        if not data.startswith(_MAGIC):
            raise ValueError("another form")
        self._data = data
        self._at = len(_MAGIC) + _HEADER
        self._symbols: list[str] = []

    def pairlist(self) -> list[tuple[str, _Item]]:
        item = self._item()
        if not isinstance(item, list):
            raise ValueError("no pairlist")
        return item

    def _integer(self) -> int:
        (value,) = struct.unpack_from(">i", self._data, self._at)
        self._at += 4
        return int(value)

    def _item(self) -> _Item:
        flags = self._integer()
        kind = flags & 0xFF
        if kind == _NULL:
            return None
        if kind == _REFERENCE:
            return self._symbols[(flags >> 8) - 1]
        if kind == _SYMBOL:
            name = self._item()
            if not isinstance(name, str):
                raise ValueError("a symbol without a name")
            self._symbols.append(name)
            return name
        if kind == _PAIRLIST:
            if flags & _HAS_ATTRIBUTES:
                self._item()
            tag = self._item() if flags & _HAS_TAG else ""
            value, rest = self._item(), self._item()
            if not isinstance(tag, str) or not isinstance(rest, list | None):
                raise ValueError("a pairlist of another kind")
            return [(tag, value), *(rest or [])]
        count = self._integer()
        if kind == _CHARACTERS:
            self._at += max(count, 0)
            return None if count < 0 else self._data[self._at - count : self._at].decode()
        values = self._values(kind, count)
        attributes = self._item() if flags & _HAS_ATTRIBUTES else None
        return _Vector(values, dict(attributes) if isinstance(attributes, list) else {})

    def _values(self, kind: int, count: int) -> list[_Item]:
        if kind in (_STRINGS, _LIST):
            return [self._item() for _ in range(count)]
        if kind not in (_LOGICALS, _INTEGERS, _REALS):
            raise ValueError(f"an item of the type {kind}")
        form = f">{count}{'d' if kind == _REALS else 'i'}"
        values = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return list(values)
