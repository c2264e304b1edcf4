"""How the vectors are written down: JSON that a person can read and a diff can show.

Indent 1; one line a member of a case, however long its value; characters that cannot be seen are escaped.
What is the same over and over is written once: ``{"repeat": x, "times": n}``.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TypeAlias

Json: TypeAlias = "str | int | Sequence[Json] | Mapping[str, Json] | None"


def render(document: Mapping[str, Json]) -> bytes:
    """The bytes of a vector file."""
    members = (f" {_compact(name)}: {_member(value)}" for name, value in document.items())
    return ("{\n" + ",\n".join(members) + "\n}\n").encode()


# A hundred times the same and more; not worth it for fewer bytes, characters or items in all than these.
_LONG = 500
_BYTES = re.compile(rb"(.{1,9}?)\1{99,}", re.DOTALL)
_CHARACTERS = re.compile(r"(.{1,4}?)\1{99,}", re.DOTALL)


def bytes_json(data: bytes) -> Json:
    """Bytes in hex; a list of pieces to be joined where something in them is repeated many times."""
    pieces: list[Json] = []
    at = 0
    for run in _BYTES.finditer(data):
        if len(run[0]) >= _LONG:
            pieces += [data[at : run.start()].hex(), _repeated(run[1].hex(), len(run[0]) // len(run[1]))]
            at = run.end()
    return [*pieces, data[at:].hex()] if pieces else data.hex()


def text_json(text: str) -> Json:
    """A text, or a list of pieces to be joined where something in it is repeated many times."""
    pieces: list[Json] = []
    at = 0
    for run in _CHARACTERS.finditer(text):
        if len(run[0]) >= _LONG:
            pieces += [text[at : run.start()], _repeated(run[1], len(run[0]) // len(run[1]))]
            at = run.end()
    return [*pieces, text[at:]] if pieces else text


def list_json(items: Sequence[Json]) -> Json:
    """A list in which one item may stand for many equal ones."""
    found: list[Json] = []
    for value, group in groupby(items):
        run = list(group)
        found += [_repeated(value, len(run))] if len(run) >= _LONG else run
    return found


def _repeated(value: Json, times: int) -> Json:
    return {"repeat": value, "times": times}


def _member(value: Json) -> str:
    if isinstance(value, Sequence) and value and all(isinstance(item, Mapping) for item in value):
        return "[\n" + ",\n".join(_case(item) for item in value if isinstance(item, Mapping)) + "\n ]"
    return _compact(value)


def _case(case: Mapping[str, Json]) -> str:
    lines = (f"   {_compact(name)}: {_compact(value)}" for name, value in case.items())
    return "  {\n" + ",\n".join(lines) + "\n  }"


def _compact(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # Control and format characters, spaces that are no blanks, what reorders a line on the screen.
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )
