"""Canonical JSON (RFC 8785) of objects, arrays, strings, null and integers from 0 to 2^53-1.

Keys are sorted by UTF-16 code units and nothing stands between the tokens, so equal values have equal bytes.
`parse` accepts exactly what `write` produces; manifests and feed objects are read with it, so their hash is
the hash of their meaning.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias, cast

from clients.wire.errors import WireError
from clients.wire.text import MAX_NUMBER, quoted

JsonValue: TypeAlias = "int | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"

# Levels of arrays and objects: the formats here need six; the rest is room that no honest file fills.
MAX_DEPTH = 32
# Digits of 2^53-1.
_MAX_DIGITS = 16


def _refusal(detail: str, offset: int | None = None) -> WireError:
    return WireError("json.malformed", detail, offset=offset)


def write(value: JsonValue) -> bytes:
    """The canonical bytes of a value.

    Raises:
        WireError: `json.malformed` for a value outside the subset: booleans, floats, negative or large
            integers, half a surrogate pair, keys that are no strings, more than 32 levels.
    """
    ordered = _ordered(value, MAX_DEPTH)
    # RFC 8785 section 3.2.2.2 escapes exactly what this writer of the standard library escapes, in the same
    # way.
    return json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def write_own(value: JsonValue) -> bytes:
    """As `write`, for values that our own code has made of numbers that it has checked: nothing is refused.

    Args:
        value: of the subset, with keys in ASCII, whose order is that of their code units.
    """
    return _encode(value).encode("utf-8")


_encode = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":")
).encode


def _ordered(value: object, depth: int) -> object:
    """The same value with sorted keys, of plain lists and dicts, checked to be of the subset."""
    # By exact type first: nearly every value is one of these, and abstract classes are slow to ask.
    kind = type(value)
    if kind is int or (isinstance(value, int) and kind is not bool):
        if not 0 <= cast(int, value) <= MAX_NUMBER:
            raise _refusal("a number is below 0 or above 2^53-1")
        return value
    if value is None:
        return None
    if isinstance(value, str):
        if not value.isascii():
            _utf16(value)
        return value
    if depth == 0:
        raise _refusal(f"arrays and objects stand within others more than {MAX_DEPTH} deep")
    if kind is tuple or kind is list:
        return [_ordered(item, depth - 1) for item in cast(Sequence[object], value)]
    if isinstance(value, Mapping):
        keys = list(value)
        if not all(isinstance(key, str) for key in keys):
            raise _refusal("a key is not a string")
        return {key: _ordered(value[key], depth - 1) for key in sorted(keys, key=_utf16)}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_ordered(item, depth - 1) for item in value]
    raise _refusal(f"a {kind.__name__} has no place in canonical JSON")


def _utf16(text: str) -> bytes:
    """The sort key of RFC 8785 section 3.2.3: code units compare as their big-endian bytes do."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        raise _refusal("a string holds half a surrogate pair") from None


def parse(data: bytes) -> JsonValue:
    """Read canonical JSON.

    Raises:
        WireError: `json.malformed` for anything but the canonical bytes of a value of the subset, with an
            offset where one is known.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refusal("not well-formed UTF-8", error.start) from None
    try:
        value: JsonValue = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except json.JSONDecodeError as error:
        raise _refusal(f"not JSON: {error.msg}", len(text[: error.pos].encode("utf-8"))) from None
    except RecursionError:
        raise _refusal(f"arrays and objects stand within others more than {MAX_DEPTH} deep") from None
    canonical = write(value)
    if canonical != data:
        same = next(
            (i for i, (a, b) in enumerate(zip(canonical, data, strict=False)) if a != b),
            min(len(canonical), len(data)),
        )
        raise _refusal("not canonical (RFC 8785): order of keys, white space or an escape", same)
    return value


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _refusal("an object holds a key twice")
    return members


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise _refusal("a number is below 0 or above 2^53-1")
    return int(digits)


def _no_float(digits: str) -> NoReturn:
    raise _refusal(f"{quoted(digits)} is not a whole number in plain digits")
