"""The counts file as plain values: TOML or JSON, and the faults that people are told all at once.

What the values mean is judged in `clients.box.counts`.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from clients import files
from clients.wire.errors import WireError

# A statement has at most 16 KiB; names, comments and white space around its numbers may have the rest.
MAX_COUNTS_BYTES = 256 * 1024
# Whoever has more has another file; the others are only counted.
MAX_FAULTS = 100

# Python's reader says it like this, or "(at end of document)".
_TOML_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


class Fault(NamedTuple):
    """One thing that is wrong in a counts file."""

    path: str
    """The key, like ``contests.1.votes.3``; empty for the file as a whole."""
    code: str
    """Stable: ``counts.…``."""
    detail: str
    """What is wrong and what to do, for people."""
    line: int | None = None
    """Where the file cannot even be read as TOML or JSON."""


class CountsError(Exception):
    """A counts file that no statement can be made of.

    Attributes:
        file: its name.
        faults: all of them, at least one, at most `MAX_FAULTS`.
        more: how many were left out.
    """

    def __init__(self, file: str, faults: Sequence[Fault], more: int = 0) -> None:
        super().__init__(file, faults, more)
        self.file = file
        self.faults = faults
        self.more = more

    def lines(self) -> list[str]:
        """A line for each fault."""
        lines = []
        for fault in self.faults:
            place = ":".join(str(part) for part in (self.file, fault.line, fault.path) if part)
            lines.append(f"{place}: {fault.detail} [{fault.code}]")
        if self.more:
            lines.append(f"{self.file}: and {self.more:,} more")
        return lines


def load(path: Path) -> Mapping[str, object]:
    """Read a counts file: JSON if its name ends in `.json`, otherwise TOML.

    Raises:
        CountsError: `counts.unreadable` or `counts.syntax`.
    """
    try:
        data = files.read_given(path, MAX_COUNTS_BYTES, "a counts file")
    except WireError as error:
        raise CountsError(str(path), [Fault("", "counts.unreadable", error.detail)]) from error
    return parse(data, str(path), as_json=path.suffix.lower() == ".json")


def parse(data: bytes, file: str, *, as_json: bool) -> Mapping[str, object]:
    """Read the bytes of a counts file.

    Raises:
        CountsError: `counts.syntax`.
    """
    try:
        # Editors on Windows put a byte order mark in front.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _syntax(file, "this is not UTF-8: save the file as UTF-8", line) from error
    try:
        value: object = json.loads(text, object_pairs_hook=_object) if as_json else tomllib.loads(text)
    except json.JSONDecodeError as error:
        raise _syntax(file, f"this is not JSON: {error.msg}, column {error.colno}", error.lineno) from error
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise _syntax(file, f"this is not TOML: {error}", line) from error
    except _TwiceError as error:
        raise _syntax(file, f'the key "{error.args[0][:40]}" stands twice in one object', None) from error
    except ValueError as error:
        # Python's limit of 4,300 digits.
        raise _syntax(file, "a number has thousands of digits", None) from error
    except RecursionError as error:
        raise _syntax(file, "lists and tables stand within others hundreds deep", None) from error
    if not isinstance(value, dict):
        raise _syntax(file, "a counts file in JSON is one object: {…}", None)
    return value


def _syntax(file: str, detail: str, line: int | None) -> CountsError:
    return CountsError(file, [Fault("", "counts.syntax", detail, line)])


class _TwiceError(ValueError):
    """A JSON object that holds a key twice: one of the two values would be lost without a word."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for key, value in pairs:
        if key in members:
            raise _TwiceError(key)
        members[key] = value
    return members
