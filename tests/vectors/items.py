"""The grammar of payloads as lists of items, from which every field's bad cases are derived.

A base is one payload, flat: each head of docs/packet.md's CDDL is one item that knows what its field allows.
Productions that several reports share (figures, counts, attachments) are marked in one base only.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from tests.vectors.encoding import ARRAY, BYTES, MAX_NUMBER, TEXT, UINT, Kind, encode, head

A32: Final = b"\xaa" * 32
B32: Final = b"\xbb" * 32


@dataclass(frozen=True)
class Uint:
    """An unsigned integer; `after` is what it must be above (contests and codes ascend)."""

    least: int = 0
    most: int = MAX_NUMBER
    after: int | None = None


@dataclass(frozen=True)
class Selector:
    """The integer that says which report or action this is; `word` is the rule for an unknown one."""

    word: str
    most: int


@dataclass(frozen=True)
class Bytes:
    """A byte string of one of these lengths."""

    lengths: tuple[int, ...] = (32,)


@dataclass(frozen=True)
class Text:
    """A text; `origin` where it must also be the name of a log."""

    origin: bool = False


@dataclass(frozen=True)
class Elements:
    """An array of like elements, of `least` to `most` (None: no bound of its own)."""

    least: int
    most: int | None = None


@dataclass(frozen=True)
class Shape:
    """An array of exactly so many elements; `selected` where its first element says how many."""

    elements: int
    selected: bool = False


Field: TypeAlias = Uint | Selector | Bytes | Text | Elements | Shape


class Item(NamedTuple):
    """One head of a payload, with the content of a string.

    Attributes:
        name: of the field.
        field: what it allows.
        value: an integer, a string, or an array's number of elements.
        derived: whether its bad cases are derived here; those of order and of a report's or action's number
            of elements always are.
    """

    name: str
    field: Field
    value: int | bytes | str
    derived: bool = True

    @property
    def major(self) -> int:
        if isinstance(self.field, Elements | Shape):
            return ARRAY
        return BYTES if isinstance(self.field, Bytes) else TEXT if isinstance(self.field, Text) else UINT

    @property
    def argument(self) -> int:
        """What stands in its head: the value, or the length."""
        if isinstance(self.value, int):
            return self.value
        return len(self.value.encode() if isinstance(self.value, str) else self.value)

    @property
    def encoded(self) -> bytes:
        if isinstance(self.field, Elements | Shape):
            return head(ARRAY, self.argument)
        return encode(self.value)

    @property
    def body(self) -> bytes:
        """The content behind the head."""
        return self.encoded[len(head(self.major, self.argument)) :]


class Base(NamedTuple):
    """A good payload from which bad ones are made."""

    name: str
    kind: Kind
    items: tuple[Item, ...]

    @property
    def payload(self) -> bytes:
        return b"".join(item.encoded for item in self.items)

    def place(self, name: str, nth: int = 0) -> int:
        """Index of the nth item of this name."""
        return [place for place, item in enumerate(self.items) if item.name == name][nth]

    def offset(self, place: int) -> int:
        """Offset of an item in the payload."""
        return sum(len(item.encoded) for item in self.items[:place])

    def extent(self, place: int) -> int:
        """How many items an item is, its elements and theirs included."""
        item = self.items[place]
        count = 1
        if isinstance(item.field, Elements | Shape):
            for _ in range(item.argument):
                count += self.extent(place + count)
        return count

    def elements(self, place: int) -> list[bytes]:
        """The encoded elements of an item; none where it is no array."""
        found: list[bytes] = []
        at, end = place + 1, place + self.extent(place)
        while at < end:
            stop = at + self.extent(at)
            found.append(b"".join(item.encoded for item in self.items[at:stop]))
            at = stop
        return found

    def without(self, place: int, data: bytes) -> bytes:
        """The payload with an item, elements included, replaced by other bytes."""
        return self.put(place, data, self.extent(place))

    def put(self, place: int, data: bytes, count: int = 1) -> bytes:
        """The payload with `count` items from `place` on replaced by other bytes."""
        parts = [item.encoded for item in self.items]
        return b"".join((*parts[:place], data, *parts[place + count :]))


ATTACHMENT: Final = encode((A32, 1, 20, 2, 3))


def _shared(items: list[Item]) -> list[Item]:
    """The same items, whose bad cases another base has."""
    return [item._replace(derived=False) for item in items]


def _figures(name: str, least: int, *figures: tuple[int, int], derived: bool = False) -> list[Item]:
    items = [Item(name, Elements(least), len(figures))]
    before: int | None = None
    for code, value in figures:
        first = derived and before is None
        items += [
            Item("figure", Shape(2), 2, first),
            Item("code" if before is None else f"code in {name}", Uint(after=before), code, first),
            Item("value", Uint(), value, first),
        ]
        before = code
    return items


def _votes(*votes: int) -> list[Item]:
    return [
        Item("votes", Elements(1), len(votes)),
        *(Item("vote", Uint(), vote, place == 0) for place, vote in enumerate(votes)),
    ]


def _counts() -> list[Item]:
    return [
        Item("counts", Elements(1), 2),
        Item("count", Shape(3), 3),
        Item("contest", Uint(1), 5),
        *_figures("figures of a count", 1, (9, 3), (100, 1)),
        *_votes(1, 2),
        Item("count", Shape(3), 3, derived=False),
        Item("contest in counts", Uint(1, after=5), 6, derived=False),
        *_shared([*_figures("figures of a count", 1, (9, 3)), *_votes(3)]),
    ]


def _attachment() -> list[Item]:
    return [
        Item("attachment", Shape(5), 5),
        Item("sha256", Bytes(), A32),
        Item("media", Uint(1, 4), 1),
        Item("size", Uint(1, 20_971_520), 20),
        Item("document", Uint(1, 6), 2),
        Item("page", Uint(), 3),
    ]


def _packet(name: str, *report: Item) -> Base:
    frame = [
        Item("packet", Shape(7), 7),
        Item("definition", Bytes(), A32),
        Item("device", Uint(1), 1),
        Item("station", Uint(1), 10),
        Item("sequence", Uint(1), 1),
        Item("previous", Bytes((0, 32)), b""),
        Item("signed_at", Uint(), 7),
    ]
    return Base(name, "packet", (*(frame if name == "turnout" else _shared(frame)), *report))


def _report(number: int, elements: int) -> tuple[Item, ...]:
    return (
        Item("report", Shape(elements, selected=True), elements, number == 2),
        Item("number of the report", Selector("report", 5), number, number == 2),
    )


TURNOUT: Final = _packet(
    "turnout", *_report(2, 3), Item("as_of", Uint(), 8), *_figures("figures", 1, (1, 9), (3, 4), derived=True)
)
OPENING: Final = _packet(
    "opening",
    *_report(1, 4),
    Item("counter", Uint(), 0),
    Item("firmware", Bytes(), B32),
    Item("zeros", Elements(0), 2),
    Item("zero", Shape(2), 2),
    Item("contest", Uint(1), 5),
    *_votes(0, 0),
    Item("zero", Shape(2), 2, derived=False),
    Item("contest in zeros", Uint(1, after=5), 6, derived=False),
    *_shared(_votes(0)),
)
RESULT: Final = _packet(
    "result",
    *_report(3, 7),
    Item("closed_at", Uint(), 6),
    Item("origin", Uint(1, 4), 1),
    Item("counter", Uint(), 3),
    *_figures("figures of the voters", 0, (1, 9), (3, 4)),
    *_counts(),
    Item("attachments", Elements(0, 16), 1),
    *_attachment(),
)
PROTOCOL: Final = _packet(
    "protocol",
    *_report(4, 7),
    Item("closed_at", Uint(), 6),
    Item("corrects", Bytes((0, 32)), b""),
    Item("cause", Uint(0, 4), 0),
    Item("figures of the voters", Elements(0), 0),
    Item("counts", Elements(1), 1),
    *_shared([Item("count", Shape(3), 3), Item("contest", Uint(1), 5)]),
    *_shared([*_figures("figures of a count", 1, (9, 3)), *_votes(3)]),
    Item("attachments", Elements(0, 16), 0),
)
DOCUMENTS: Final = _packet(
    "documents", *_report(5, 2), Item("attachments", Elements(1, 16), 1), *_shared(_attachment())
)
PACKETS: Final = (TURNOUT, OPENING, RESULT, PROTOCOL, DOCUMENTS)


def _decision(name: str, selector: int, *fields: Item) -> Base:
    frame = [
        Item("decision", Shape(6), 6),
        Item("definition", Bytes(), A32),
        Item("previous", Bytes((0, 32)), b""),
        Item("number", Uint(1), 1),
        Item("decided_at", Uint(), 7),
        Item("reason", Elements(1), 1),
        Item("reason in one language", Shape(2), 2),
        Item("language", Text(), "en"),
        Item("text", Text(), "why"),
    ]
    elements = 1 + len(fields)
    action = [
        Item("action", Shape(elements, selected=True), elements, selector == 6),
        Item("number of the action", Selector("action", 13), selector, selector == 6),
    ]
    return Base(name, "decision", (*(frame if selector == 6 else _shared(frame)), *action, *fields))


def _number(name: str) -> Item:
    return Item(name, Uint(1), 1)


def _any(name: str) -> Item:
    return Item(name, Uint(), 0)


ACTIONS: Final = (
    _decision(
        "open the log",
        1,
        Item("origin", Text(origin=True), "a.b/c"),
        Item("log_key", Bytes(), A32),
        Item("snapshot_key", Bytes(), B32),
        Item("roster", Bytes(), A32),
        Item("software", Text(), "0"),
    ),
    _decision("revoke", 2, _number("device")),
    _decision("assign", 3, _number("device"), _number("station"), _any("replaces")),
    _decision("annul", 4, _any("station"), _any("contest")),
    _decision(
        "choose",
        5,
        _number("station"),
        _number("contest"),
        Item("source", Uint(1, 2), 1),
        Item("id", Bytes(), A32),
    ),
    _decision("pause", 6),
    _decision("resume", 7),
    _decision("status", 8, Item("source", Uint(1, 2), 1), Item("status", Uint(0, 5), 0)),
    _decision("new roster", 9, Item("roster", Bytes(), A32)),
    _decision("other definition", 10, Item("definition it names", Bytes(), A32)),
    _decision("closing time", 11, _any("station"), _any("closes_at")),
    _decision("no voting", 12, _number("station")),
    _decision("undo", 13, _number("decision")),
)
OPEN_LOG: Final = ACTIONS[0]
PAUSE: Final = ACTIONS[5]


def with_value(base: Base, name: str, value: int | bytes | str, nth: int = 0) -> Base:
    """The base with another value of one item."""
    place = base.place(name, nth)
    items = (*base.items[:place], base.items[place]._replace(value=value), *base.items[place + 1 :])
    return base._replace(items=items)
