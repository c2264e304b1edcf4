"""The grammar of payloads, byte by byte: each rule at each field with its offset."""

import hashlib
from typing import NamedTuple, cast

import pytest

from clients.wire import statement
from clients.wire.cbor import Content
from clients.wire.errors import WireError
from tests.strategies import MAX_NUMBER, Kind, envelope, head, payload_bytes

A32 = b"\xaa" * 32
B32 = b"\xbb" * 32
PACKET_HEADER = 61
DECISION_HEADER = 63


class Item(NamedTuple):
    """One item of a payload: a field's name, its value or (for an array) its number of elements."""

    name: str
    major: int
    value: int | bytes | str

    @property
    def encoded(self) -> bytes:
        return head(4, cast(int, self.value)) if self.major == 4 else payload_bytes(self.value)


def uint(name: str, value: int) -> Item:
    return Item(name, 0, value)


def string(name: str, value: bytes) -> Item:
    return Item(name, 2, value)


def text(name: str, value: str) -> Item:
    return Item(name, 3, value)


def array(name: str, count: int) -> Item:
    return Item(name, 4, count)


def packet_items(*report: Item, sequence: int = 2, previous: bytes = B32) -> list[Item]:
    return [
        array("packet", 7),
        string("definition", A32),
        uint("device", 7),
        uint("station", 300),
        uint("sequence", sequence),
        string("previous", previous),
        uint("signed_at", 1_800_000_000_000),
        *report,
    ]


def figure(code: int, value: int, prefix: str = "") -> list[Item]:
    return [
        array(f"{prefix}figure {code}", 2),
        uint(f"{prefix}code {code}", code),
        uint(f"{prefix}value {code}", value),
    ]


def count(contest: int, votes: tuple[int, ...]) -> list[Item]:
    return [
        array(f"count {contest}", 3),
        uint(f"contest {contest}", contest),
        array(f"figures of {contest}", 2),
        *figure(9, 400, f"{contest} "),
        *figure(700, 12, f"{contest} "),
        array(f"votes of {contest}", len(votes)),
        *(uint(f"vote {contest}.{place}", value) for place, value in enumerate(votes)),
    ]


def attachment(name: str, page: int) -> list[Item]:
    return [
        array(name, 5),
        string(f"{name} hash", A32),
        uint(f"{name} media", 1),
        uint(f"{name} size", 65_536),
        uint(f"{name} document", 6),
        uint(f"{name} page", page),
    ]


OPENING = packet_items(
    array("report", 4),
    uint("number", 1),
    uint("counter", 70_000),
    string("firmware", B32),
    array("zeros", 2),
    array("zero 1", 2),
    uint("contest 1", 1),
    array("votes of 1", 3),
    *(uint(f"vote 1.{i}", 0) for i in range(3)),
    array("zero 2", 2),
    uint("contest 2", 2),
    array("votes of 2", 1),
    uint("vote 2.0", 0),
    sequence=1,
    previous=b"",
)
TURNOUT = packet_items(
    array("report", 3),
    uint("number", 2),
    uint("as_of", 1_800_000_000_001),
    array("figures", 2),
    *figure(1, 1200),
    *figure(3, 24),
)
RESULT = packet_items(
    array("report", 7),
    uint("number", 3),
    uint("closed_at", 1_800_000_000_002),
    uint("origin", 1),
    uint("counter", 5),
    array("figures", 1),
    *figure(0, 0),
    array("counts", 2),
    *count(1, (0, 23, 24, 255, 256, 65_535, 65_536, 2**32, MAX_NUMBER)),
    *count(500, (9,)),
    array("attachments", 2),
    *attachment("attachment 1", 0),
    *attachment("attachment 2", 70_000),
)
PROTOCOL = packet_items(
    array("report", 7),
    uint("number", 4),
    uint("closed_at", 0),
    string("corrects", A32),
    uint("cause", 4),
    array("figures", 0),
    array("counts", 1),
    *count(2, (1, 2, 3)),
    array("attachments", 0),
)
DOCUMENTS = packet_items(
    array("report", 2), uint("number", 5), array("attachments", 1), *attachment("attachment 1", 1)
)


def decision_items(*action: Item, number: int = 3, previous: bytes = B32) -> list[Item]:
    return [
        array("decision", 6),
        string("definition", A32),
        string("previous", previous),
        uint("number", number),
        uint("decided_at", 1_800_000_000_000),
        array("reasons", 2),
        array("reason 1", 2),
        text("language 1", "ky"),
        text("text 1", "Шайлоо башталды"),
        array("reason 2", 2),
        text("language 2", "en"),
        text("text 2", "The election has begun. " * 10),
        *action,
    ]


OPEN_LOG = decision_items(
    array("action", 6),
    uint("selector", 1),
    text("origin", "election.example/2027/log"),
    string("log_key", A32),
    string("snapshot_key", B32),
    string("roster", A32),
    text("software", "0.1.0"),
    number=1,
    previous=b"",
)
ACTIONS = {
    "open the log": OPEN_LOG,
    "revoke": decision_items(array("action", 2), uint("selector", 2), uint("device", 9)),
    "assign": decision_items(
        array("action", 4), uint("selector", 3), uint("device", 9), uint("station", 8), uint("replaces", 0)
    ),
    "annul": decision_items(array("action", 3), uint("selector", 4), uint("station", 0), uint("contest", 0)),
    "choose": decision_items(
        array("action", 5),
        uint("selector", 5),
        uint("station", 8),
        uint("contest", 1),
        uint("source", 2),
        string("id", A32),
    ),
    "pause": decision_items(array("action", 1), uint("selector", 6)),
    "resume": decision_items(array("action", 1), uint("selector", 7)),
    "status": decision_items(array("action", 3), uint("selector", 8), uint("source", 1), uint("status", 5)),
    "roster": decision_items(array("action", 2), uint("selector", 9), string("roster", A32)),
    "definition": decision_items(array("action", 2), uint("selector", 10), string("other", B32)),
    "closing time": decision_items(
        array("action", 3), uint("selector", 11), uint("station", 0), uint("closes_at", 1)
    ),
    "cancel": decision_items(array("action", 2), uint("selector", 12), uint("station", 8)),
    "undo": decision_items(array("action", 2), uint("selector", 13), uint("undone", 2)),
}
PACKETS = {
    "opening": OPENING,
    "turnout": TURNOUT,
    "result": RESULT,
    "protocol": PROTOCOL,
    "documents": DOCUMENTS,
}
ALL: dict[str, tuple[Kind, list[Item]]] = {
    **{name: ("packet", items) for name, items in PACKETS.items()},
    **{name: ("decision", items) for name, items in ACTIONS.items()},
}
FIELDS = [
    pytest.param(name, place, id=f"{name}: {item.name}")
    for name in ALL
    for place, item in enumerate(ALL[name][1])
]


def build(kind: Kind, parts: list[bytes]) -> tuple[bytes, int]:
    """The statement with these parts as its payload, and the offset of the payload's first byte."""
    payload = b"".join(parts)
    header = PACKET_HEADER if kind == "packet" else DECISION_HEADER
    return envelope(kind, payload), header + len(head(2, len(payload)))


def judged(data: bytes) -> tuple[str | None, int | None]:
    """Rule and offset of the refusal, (None, None) if there is none."""
    try:
        statement.decode(data)
    except WireError as error:
        return error.rule, error.offset
    return None, None


def changed(
    name: str, place: int, replacement: bytes, upto: int | None = None
) -> tuple[tuple[str | None, int | None], int]:
    """The verdict on a statement in which item `place` is `replacement`, and the item's offset."""
    kind, items = ALL[name]
    parts = [item.encoded for item in items]
    parts[place] = replacement
    data, start = build(kind, parts[:upto])
    return judged(data), start + sum(map(len, parts[:place]))


def place_of(name: str, field: str) -> int:
    return next(place for place, item in enumerate(ALL[name][1]) if item.name == field)


@pytest.mark.parametrize("name", ALL)
def test_every_shape_is_accepted(name: str) -> None:
    kind, items = ALL[name]
    data, _ = build(kind, [item.encoded for item in items])
    decoded = statement.decode(data)
    assert (decoded.kind, decoded.kid, decoded.signature) == (kind, b"kid-of-8", bytes(64))
    assert decoded.id == hashlib.sha256(data).digest()
    assert payload_bytes(decoded.content) == decoded.payload
    assert statement.encode(kind, decoded.kid, decoded.payload, decoded.signature) == data
    assert statement.encode_payload(kind, decoded.content) == decoded.payload


@pytest.mark.parametrize(("name", "place"), FIELDS)
class TestEveryField:
    """What can be wrong with any item, tried on every item of every shape."""

    def test_another_type(self, name: str, place: int) -> None:
        item = ALL[name][1][place]
        for major in range(8):
            if major != item.major:
                for info in (0, 23, 24, 28, 31):
                    verdict, offset = changed(name, place, bytes([major << 5 | info]) + bytes(9))
                    assert verdict == ("type", offset)

    def test_a_reserved_or_indefinite_head(self, name: str, place: int) -> None:
        major = ALL[name][1][place].major
        for info in (28, 29, 30, 31):
            verdict, offset = changed(name, place, bytes([major << 5 | info]))
            assert verdict == ("head", offset)

    def test_a_head_longer_than_needed(self, name: str, place: int) -> None:
        item = ALL[name][1][place]
        argument = item.value if isinstance(item.value, int) else len(item.encoded) - len(bare_head(item))
        body = item.encoded[len(bare_head(item)) :]
        for width in (1, 2, 4, 8):
            if len(bare_head(item)) < 1 + width:
                verdict, offset = changed(name, place, head(item.major, argument, width) + body)
                assert verdict == ("shortest", offset)

    def test_an_argument_above_the_limit(self, name: str, place: int) -> None:
        item = ALL[name][1][place]
        for argument in (2**53, 2**64 - 1):
            verdict, offset = changed(name, place, head(item.major, argument))
            assert verdict == ("range", offset)

    def test_the_payload_ends_before_it(self, name: str, place: int) -> None:
        kind, items = ALL[name]
        data, _ = build(kind, [item.encoded for item in items[:place]])
        assert judged(data) == ("truncated", len(data) - 66)

    def test_the_payload_ends_within_it(self, name: str, place: int) -> None:
        item = ALL[name][1][place]
        for length in range(1, len(item.encoded)):
            verdict, offset = changed(name, place, item.encoded[:length], place + 1)
            assert verdict == ("truncated", offset)


def bare_head(item: Item) -> bytes:
    if isinstance(item.value, int):
        return head(item.major, item.value)
    return head(item.major, len(item.value.encode() if isinstance(item.value, str) else item.value))


RANGES = [
    ("opening", "device", [0]),
    ("opening", "station", [0]),
    ("opening", "sequence", [0]),
    ("opening", "contest 1", [0]),
    ("result", "contest 1", [0]),
    ("result", "origin", [0, 5, MAX_NUMBER]),
    ("protocol", "cause", [5, 255]),
    ("result", "attachment 1 media", [0, 5]),
    ("result", "attachment 1 size", [0, 20_971_521]),
    ("result", "attachment 1 document", [0, 7]),
    ("revoke", "number", [0]),
    ("revoke", "device", [0]),
    ("assign", "device", [0]),
    ("assign", "station", [0]),
    ("choose", "station", [0]),
    ("choose", "contest", [0]),
    ("choose", "source", [0, 3]),
    ("status", "source", [0, 3]),
    ("status", "status", [6]),
    ("cancel", "station", [0]),
    ("undo", "undone", [0]),
]


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [(name, field, value) for name, field, values in RANGES for value in values],
)
def test_a_value_outside_its_range(name: str, field: str, value: int) -> None:
    verdict, offset = changed(name, place_of(name, field), head(0, value))
    assert verdict == ("range", offset)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("result", "origin", 4),
        ("protocol", "cause", 0),
        ("protocol", "cause", 4),
        ("result", "attachment 1 media", 4),
        ("result", "attachment 1 size", 1),
        ("result", "attachment 1 size", 20_971_520),
        ("result", "attachment 1 document", 1),
        ("result", "attachment 1 page", MAX_NUMBER),
        ("result", "value 0", MAX_NUMBER),
        ("opening", "counter", 0),
        ("opening", "signed_at", 0),
        ("opening", "device", MAX_NUMBER),
        ("assign", "replaces", 7),
        ("annul", "station", 1),
        ("annul", "contest", 1),
        ("closing time", "station", 1),
        ("status", "status", 0),
        ("choose", "source", 1),
    ],
)
def test_a_value_at_the_edge_of_its_range(name: str, field: str, value: int) -> None:
    verdict, _ = changed(name, place_of(name, field), head(0, value))
    assert verdict == (None, None)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (name, item.name)
        for name, (_, items) in ALL.items()
        for item in items
        if item.major == 4
        and not item.name.startswith(("votes", "figures", "counts", "zeros", "attachments", "reasons"))
    ],
)
def test_an_array_of_another_length(name: str, field: str) -> None:
    place = place_of(name, field)
    right = cast(int, ALL[name][1][place].value)
    for wrong in (0, right - 1, right + 1, 24, MAX_NUMBER):
        verdict, offset = changed(name, place, head(4, wrong))
        assert verdict == ("length", offset)


@pytest.mark.parametrize(
    ("name", "field", "wrong"),
    [
        ("opening", "votes of 1", 0),
        ("turnout", "figures", 0),
        ("result", "counts", 0),
        ("result", "figures of 1", 0),
        ("result", "votes of 500", 0),
        ("result", "attachments", 17),
        ("protocol", "attachments", 17),
        ("documents", "attachments", 0),
        ("documents", "attachments", 17),
        ("revoke", "reasons", 0),
    ],
)
def test_a_list_of_too_few_or_too_many(name: str, field: str, wrong: int) -> None:
    verdict, offset = changed(name, place_of(name, field), head(4, wrong))
    assert verdict == ("length", offset)


def test_sixteen_attachments_and_no_more() -> None:
    one: Content = (A32, 1, 1, 1, 0)
    for number, rule in ((16, None), (17, "length")):
        content: Content = (A32, 1, 1, 1, b"", 0, (5, (one,) * number))
        assert judged(envelope("packet", payload_bytes(content)))[0] == rule


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, item.name) for name, (_, items) in ALL.items() for item in items if item.major == 2],
)
def test_a_byte_string_of_another_length(name: str, field: str) -> None:
    place = place_of(name, field)
    lengths = [1, 31, 33, 64] if field in ("previous", "corrects") else [0, 1, 31, 33, 64]
    for length in lengths:
        verdict, offset = changed(name, place, head(2, length) + bytes(length))
        assert verdict == ("length", offset)
        # The length is judged before the content is looked for.
        verdict, offset = changed(name, place, head(2, length), place + 1)
        assert verdict == ("length", offset)


def test_a_protocol_that_corrects_nothing() -> None:
    assert changed("protocol", place_of("protocol", "corrects"), b"\x40")[0] == (None, None)


@pytest.mark.parametrize("name", PACKETS)
@pytest.mark.parametrize(
    ("sequence", "previous", "refused"), [(1, b"", False), (2, A32, False), (1, A32, True), (2, b"", True)]
)
def test_a_packets_previous(name: str, sequence: int, previous: bytes, refused: bool) -> None:
    parts = [item.encoded for item in ALL[name][1]]
    sequence_at, previous_at = place_of(name, "sequence"), place_of(name, "previous")
    parts[sequence_at] = head(0, sequence)
    parts[previous_at] = payload_bytes(previous)
    data, start = build("packet", parts)
    offset = start + sum(map(len, parts[:previous_at]))
    assert judged(data) == (("previous", offset) if refused else (None, None))
    # It is judged before anything that follows.
    parts[previous_at + 1] = b"\xff"
    data, start = build("packet", parts)
    offset = start + sum(map(len, parts[:previous_at]))
    later = start + sum(map(len, parts[: previous_at + 1]))
    assert judged(data) == (("previous", offset) if refused else ("type", later))


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize(
    ("number", "previous", "refused"), [(1, b"", False), (2, A32, False), (1, A32, True), (2, b"", True)]
)
def test_a_decisions_previous(name: str, number: int, previous: bytes, refused: bool) -> None:
    parts = [item.encoded for item in ALL[name][1]]
    number_at, previous_at = place_of(name, "number"), place_of(name, "previous")
    parts[number_at] = head(0, number)
    parts[previous_at] = payload_bytes(previous)
    data, start = build("decision", parts)
    offset = start + sum(map(len, parts[:previous_at]))
    assert judged(data) == (("previous", offset) if refused else (None, None))
    # It is judged when the number is known, not before, and before anything that follows.
    parts[number_at + 1] = b"\xff"
    data, _ = build("decision", parts)
    assert judged(data)[0] == ("previous" if refused else "type")
    parts[number_at] = b"\x00"
    data, start = build("decision", parts)
    assert judged(data) == ("range", start + sum(map(len, parts[:number_at])))


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("opening", "contest 2", 1),
        ("result", "contest 500", 1),
        ("turnout", "code 3", 1),
        ("turnout", "code 3", 0),
        ("result", "1 code 700", 9),
        ("result", "1 code 700", 8),
        ("result", "500 code 700", 9),
    ],
)
def test_what_does_not_ascend(name: str, field: str, value: int) -> None:
    verdict, offset = changed(name, place_of(name, field), head(0, value))
    assert verdict == ("order", offset)


def test_order_starts_anew_in_each_list() -> None:
    content: Content = (
        A32,
        1,
        1,
        1,
        b"",
        0,
        (3, 0, 1, 0, ((5, 1),), ((1, ((1, 1),), (1,)), (2, ((1, 1),), (1,))), ()),
    )
    assert judged(envelope("packet", payload_bytes(content))) == (None, None)


@pytest.mark.parametrize("number", [0, 6, 24, MAX_NUMBER])
def test_an_unknown_report(number: int) -> None:
    for name in PACKETS:
        verdict, offset = changed(name, place_of(name, "number"), head(0, number))
        assert verdict == ("report", offset)


@pytest.mark.parametrize("number", [0, 14, 24, MAX_NUMBER])
def test_an_unknown_action(number: int) -> None:
    for name in ACTIONS:
        verdict, offset = changed(name, place_of(name, "selector"), head(0, number))
        assert verdict == ("action", offset)


def test_a_known_report_of_another_shape() -> None:
    """The selector is read first, then the array's length is judged, at the array's head."""
    place = place_of("turnout", "number")
    verdict, offset = changed("turnout", place, head(0, 5))
    assert verdict == ("length", offset - 1)


@pytest.mark.parametrize(
    ("origin", "rule"),
    [
        ("a", None),
        ("a.b-c/0/9", None),
        ("a" * 200, None),
        ("a" * 201, "origin"),
        ("A", "origin"),
        ("a/", "origin"),
        ("/a", "origin"),
        ("a//b", "origin"),
        ("a b", "origin"),
        ("a+b", "origin"),
        ("\u0430", "origin"),
        ("a\n", "text"),
        ("", "text"),
        ("a" * 2000, "origin"),
        ("a" * 2001, "text"),
    ],
)
def test_the_origin_of_a_log(origin: str, rule: str | None) -> None:
    verdict, offset = changed("open the log", place_of("open the log", "origin"), payload_bytes(origin))
    assert verdict == ((rule, offset) if rule else (None, None))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("extra", [b"\x00", b"\xff", bytes(100)])
def test_bytes_after_the_payloads_array(name: str, extra: bytes) -> None:
    kind, items = ALL[name]
    parts = [item.encoded for item in items]
    data, start = build(kind, [*parts, extra])
    assert judged(data) == ("trailing", start + sum(map(len, parts)))


class TestFields:
    def test_of_a_packet(self) -> None:
        decoded = statement.decode(build("packet", [item.encoded for item in TURNOUT])[0])
        assert (decoded.definition, decoded.previous) == (A32, B32)
        assert (decoded.device, decoded.station, decoded.sequence) == (7, 300, 2)
        assert decoded.signed_at == 1_800_000_000_000
        assert decoded.report == (2, 1_800_000_000_001, ((1, 1200), (3, 24)))
        assert not hasattr(decoded, "number")
        assert not hasattr(decoded, "action")

    def test_of_a_decision(self) -> None:
        decoded = statement.decode(build("decision", [item.encoded for item in ACTIONS["assign"]])[0])
        assert (decoded.definition, decoded.previous) == (A32, B32)
        assert (decoded.number, decoded.decided_at) == (3, 1_800_000_000_000)
        assert decoded.reason[0] == ("ky", "Шайлоо башталды")
        assert decoded.action == (3, 9, 8, 0)
        assert not hasattr(decoded, "device")
        assert not hasattr(decoded, "report")
