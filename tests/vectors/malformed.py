"""Statements that must be refused as `statement.malformed`: the bad cases of every field of the grammar.

Rule and offset of each case follow from how it is made: the rule is written here by hand, the offset is the
sum of the lengths of what stands before the item that is broken. Each case is signed correctly, so that what
it names is the only thing wrong with it.
"""

from collections.abc import Iterator
from itertools import cycle
from typing import Final, NamedTuple

from tests.vectors.election import BOX, MEMBERS
from tests.vectors.encoding import (
    ARRAY,
    BYTES,
    MAX_NUMBER,
    TEXT,
    UINT,
    Key,
    Kind,
    head,
    payload_at,
    signed,
)
from tests.vectors.items import (
    ACTIONS,
    ATTACHMENT,
    PACKETS,
    Base,
    Bytes,
    Elements,
    Item,
    Selector,
    Shape,
    Text,
    Uint,
)
from tests.vectors.render import Json, bytes_json


class Malformed(NamedTuple):
    """A statement that every reader refuses at this rule and offset."""

    name: str
    why: str
    rule: str
    offset: int
    statement: bytes

    @property
    def published(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "why": self.why,
            "rule": self.rule,
            "offset": self.offset,
            "statement": bytes_json(self.statement),
        }


SIGNERS: Final[dict[Kind, Key]] = {"packet": BOX, "decision": MEMBERS[0]}

_WANTED = {UINT: "an unsigned integer", BYTES: "a byte string", TEXT: "a text", ARRAY: "an array"}
# What stands where something else is wanted: the likely mistakes first, then all other major types.
_OTHERS = {
    UINT: (
        ("a byte string", b"\x40"),
        ("a negative integer", b"\x20"),
        ("a text", b"\x61\x31"),
        ("null", b"\xf6"),
        ("an array", b"\x80"),
        ("a half float", b"\xf9\x3c\x00"),
        ("a bignum (tag 2)", b"\xc2\x41\x01"),
        ("a map", b"\xa0"),
        ("true", b"\xf5"),
        ("a double", b"\xfb\x3f\xf0" + bytes(6)),
        ("a date (tag 1)", b"\xc1\x01"),
    ),
    BYTES: (
        ("a text of the same bytes", None),
        ("null", b"\xf6"),
        ("an unsigned integer", b"\x00"),
        ("an array", b"\x80"),
        ("a tagged byte string", b"\xd8\x18\x40"),
        ("a map", b"\xa0"),
    ),
    TEXT: (("a byte string of the same bytes", None), ("null", b"\xf6"), ("a tagged text", b"\xc0\x61\x78")),
    ARRAY: (
        ("a map", b"\xa0"),
        ("null", b"\xf6"),
        ("a byte string", b"\x40"),
        ("an unsigned integer", b"\x00"),
        ("a tagged array", b"\xd8\x1e\x80"),
        ("undefined", b"\xf7"),
    ),
}
# RFC 8949, section 3: reserved, but for 31, which is well-formed CBOR for strings and arrays.
_RESERVED = (31, 28, 31, 29, 31, 30)
# 2^53 is the first number that JavaScript cannot tell from its neighbour.
_TOO_LARGE = (2**53, 2**64 - 1)

_BAD_UTF8 = (
    ("an overlong NUL", b"\xc0\x80"),
    ("half a surrogate pair", b"\xed\xa0\x80"),
    ("above U+10FFFF", b"\xf4\x90\x80\x80"),
    ("a lone continuation byte", b"\x80"),
    ("a character cut short", b"\xe2\x82"),
    ("a byte that never occurs", b"\xff"),
)
_CONTROLS = (
    ("U+0000", b"\x00"),
    ("U+000A", b"\x0a"),
    ("U+001F", b"\x1f"),
    ("U+007F", b"\x7f"),
    ("U+0080", b"\xc2\x80"),
    ("U+009F", b"\xc2\x9f"),
)


def malformed(name: str, why: str, rule: str, kind: Kind, payload: bytes, at: int) -> Malformed:
    """A well-framed, correctly signed statement; `at` is the offset in its payload."""
    statement = signed(kind, payload, SIGNERS[kind])
    return Malformed(name, why, rule, payload_at(kind, payload) + at, statement)


class _Derivation:
    """Goes through every item of every base; takes turns where one of several faults will do."""

    def __init__(self) -> None:
        self._others = {major: cycle(others) for major, others in _OTHERS.items()}
        self._reserved = cycle(_RESERVED)
        self._widths = cycle((1, 2, 4, 8))
        self._too_large = cycle(_TOO_LARGE)
        self._lengths = cycle((31, 33, 1))

    def of(self, base: Base) -> Iterator[Malformed]:
        for place, item in enumerate(base.items):
            if item.derived:
                yield from self._any_item(base, place, item)
                yield from self._own(base, place, item)
            elif isinstance(item.field, Shape) and item.field.selected:
                yield from _counts(base, place, item.field.elements)
            yield from _order(base, place, item)

    def _any_item(self, base: Base, place: int, item: Item) -> Iterator[Malformed]:
        """What can be wrong with an item whatever it is."""
        at = base.offset(place)

        def case(rule: str, why: str, payload: bytes, offset: int = at) -> Malformed:
            return malformed(f"{base.name}: {item.name}: {rule}", why, rule, base.kind, payload, offset)

        what, data = next(self._others[item.major])
        if data is None:
            data = head(BYTES + TEXT - item.major, item.argument) + item.body
        yield case("type", f"{what} where {_WANTED[item.major]} must stand", base.without(place, data))

        info = next(self._reserved)
        after = b"".join(base.elements(place))
        if info == 31 and item.major != UINT:
            # A string of indefinite length is made of chunks, an array ends in a break.
            body = item.encoded if item.body else after
            data, why = bytes((item.major << 5 | 31,)) + body + b"\xff", "an indefinite length"
        else:
            data = bytes((item.major << 5 | info,)) + item.body + after
            why = f"additional information {info} is reserved"
        yield case("head", why, base.without(place, data))

        shortest = len(item.encoded) - len(item.body)
        width = next(w for w in self._widths if 1 + w > shortest)
        longer = head(item.major, item.argument, width) + item.body
        yield case("shortest", f"{item.argument} with {width} argument bytes", base.put(place, longer))

        large = next(self._too_large)
        why = f"{large}, above 2^53-1"
        yield case("range", why, base.put(place, head(item.major, large) + item.body))

        if len(item.encoded) > 1:
            cut, why, offset = base.payload[: at + len(item.encoded) - 1], "the payload ends within it", at
        else:
            cut, why, offset = base.payload[:at], "the payload ends before it", at
        yield case("truncated", why, cut, offset)

    def _own(self, base: Base, place: int, item: Item) -> Iterator[Malformed]:
        """What this item's field forbids."""
        at = base.offset(place)

        def case(rule: str, what: str, why: str, data: bytes) -> Malformed:
            name = f"{base.name}: {item.name}: {what}"
            return malformed(name, why, rule, base.kind, base.put(place, data), at)

        match item.field:
            case Uint(least, most):
                if least > 0:
                    yield case("range", "0", f"must be at least {least}", head(UINT, 0))
                if most < MAX_NUMBER:
                    yield case("range", f"{most + 1}", f"must be at most {most}", head(UINT, most + 1))
            case Selector(word, most):
                for number in (0, most + 1, MAX_NUMBER):
                    yield case(word, f"{number}", f"there is no {word} {number}", head(UINT, number))
            case Bytes(lengths):
                for length in (next(self._lengths), 0):
                    if length not in lengths:
                        why = f"must have {' or '.join(map(str, lengths))} bytes"
                        yield case("length", f"{length} bytes", why, head(BYTES, length) + b"\xaa" * length)
            case Text():
                yield from _texts(base, place, item)
            case Elements(least, most):
                yield from _lists(base, place, least, most)
            case Shape(elements):
                yield from _counts(base, place, elements)


def _texts(base: Base, place: int, item: Item) -> Iterator[Malformed]:
    at = base.offset(place)

    def case(what: str, why: str, data: bytes) -> Malformed:
        payload = base.put(place, head(TEXT, len(data)) + data)
        return malformed(f"{base.name}: {item.name}: {what}", why, "text", base.kind, payload, at)

    yield case("0 bytes", "a text has at least one byte", b"")
    yield case("2,001 bytes", "a text has at most 2,000 bytes", b"a" * 2_001)
    whole = item.name == "text"
    for what, data in _BAD_UTF8 if whole else _BAD_UTF8[1:2]:
        yield case(what, "not well-formed UTF-8", b"a" + data)
    for what, data in _CONTROLS if whole else _CONTROLS[-1:]:
        yield case(what, "a control character", b"a" + data + b"b")
    if isinstance(item.field, Text) and item.field.origin:
        for what, origin in (
            ("an upper-case letter", "A.b/c"),
            ("an underscore", "a_b"),
            ("a space", "a b"),
            ("a colon", "a:443"),
            ("a scheme", "https://a.b"),
            ("a slash at the start", "/a"),
            ("a slash at the end", "a/"),
            ("two slashes", "a//b"),
            ("a letter beyond ASCII", "а.b"),
            ("201 bytes", "a" * 201),
        ):
            data = origin.encode()
            payload = base.put(place, head(TEXT, len(data)) + data)
            name = f"{base.name}: {item.name}: {what}"
            yield malformed(name, "not a log's name", "origin", base.kind, payload, at)


def _lists(base: Base, place: int, least: int, most: int | None) -> Iterator[Malformed]:
    name, at = f"{base.name}: {base.items[place].name}", base.offset(place)
    if least > 0:
        payload = base.without(place, head(ARRAY, 0))
        yield malformed(f"{name}: 0 elements", "must have at least one", "length", base.kind, payload, at)
    if most is not None:
        payload = base.without(place, head(ARRAY, most + 1) + ATTACHMENT * (most + 1))
        why = f"must have at most {most}"
        yield malformed(f"{name}: {most + 1} elements", why, "length", base.kind, payload, at)


def _counts(base: Base, place: int, elements: int) -> Iterator[Malformed]:
    """An array of a fixed number of elements with one less and with one more."""
    name, at = f"{base.name}: {base.items[place].name}", base.offset(place)
    found = base.elements(place)
    for count, parts in ((elements - 1, found[:-1]), (elements + 1, [*found, b"\x00"])):
        data = b"".join(parts)
        payload = base.without(place, head(ARRAY, count) + data)
        why = f"must have {elements}"
        yield malformed(f"{name}: {count} elements", why, "length", base.kind, payload, at)


def _order(base: Base, place: int, item: Item) -> Iterator[Malformed]:
    """A contest or code that is not above the one before it."""
    if isinstance(item.field, Uint) and item.field.after is not None:
        before = item.field.after
        for value, why in ((before, "the same again"), (before - 1, "below the one before")):
            name = f"{base.name}: {item.name}: {value} after {before}"
            payload = base.put(place, head(UINT, value))
            yield malformed(name, why, "order", base.kind, payload, base.offset(place))


def cases() -> list[Malformed]:
    """The bad cases of every field, in the order of the grammar."""
    derivation = _Derivation()
    return [case for base in (*PACKETS, *ACTIONS) for case in derivation.of(base)]
