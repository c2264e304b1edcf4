"""The restricted CBOR reader and writer on their own: every refusal with its rule and offset."""

from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.wire import cbor
from clients.wire.cbor import Content, Reader
from clients.wire.errors import WireError
from tests.strategies import MAX_NUMBER, head, payload_bytes


def refusal(read: Callable[[], object]) -> tuple[str, str | None, int | None]:
    with pytest.raises(WireError) as caught:
        read()
    return caught.value.code, caught.value.rule, caught.value.offset


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ("", "truncated"),
        ("40", "type"),
        ("20", "type"),
        ("ff", "type"),
        ("1c", "head"),
        ("1f", "head"),
        ("18", "truncated"),
        ("19ff", "truncated"),
        ("1affffff", "truncated"),
        ("1bffffffffffffff", "truncated"),
        ("1817", "shortest"),
        ("1900ff", "shortest"),
        ("1a0000ffff", "shortest"),
        ("1b00000000ffffffff", "shortest"),
        ("1b0020000000000000", "range"),
        ("1bffffffffffffffff", "range"),
    ],
)
def test_an_integer_that_is_refused(data: str, rule: str) -> None:
    prefix = b"\x00\x00\x00"
    raw = prefix + bytes.fromhex(data)
    expected = ("statement.malformed", rule, 3)
    assert refusal(lambda: Reader(raw, 3, len(raw)).uint()) == expected
    assert refusal(lambda: Reader(raw, 3, len(raw)).uints(1)) == expected
    # What stands beyond the end of the range does not help.
    assert refusal(lambda: Reader(raw + bytes(9), 3, len(raw)).uint()) == expected
    assert refusal(lambda: Reader(raw + bytes(9), 3, len(raw)).uints(1)) == expected


@pytest.mark.parametrize("value", [0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, MAX_NUMBER])
def test_an_integer_at_every_edge_of_a_head(value: int) -> None:
    data = head(0, value)
    assert Reader(data, 0, len(data)).uint() == value
    assert Reader(data, 0, len(data)).within(value, value, "x") == value
    assert Reader(data + data, 0, 2 * len(data)).uints(2) == (value, value)
    assert cbor.head(cbor.UINT, value) == data
    for width in (1, 2, 4, 8):
        if len(data) < 1 + width:
            longer = head(0, value, width)
            assert refusal(Reader(longer, 0, len(longer)).uint) == ("statement.malformed", "shortest", 0)


@pytest.mark.parametrize(("value", "least", "most"), [(0, 1, 4), (5, 1, 4), (0, 1, 1), (1000, 0, 999)])
def test_a_field_outside_its_range(value: int, least: int, most: int) -> None:
    data = head(0, value)
    assert refusal(lambda: Reader(data, 0, len(data)).within(least, most, "x")) == (
        "statement.malformed",
        "range",
        0,
    )


def test_a_number_of_a_thing_is_not_zero() -> None:
    assert refusal(lambda: Reader(b"\x00", 0, 1).number("x")) == ("statement.malformed", "range", 0)
    assert Reader(b"\x01", 0, 1).number("x") == 1


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "truncated"),
        (b"\x80", "type"),
        (b"\x5f", "head"),
        (b"\x58", "truncated"),
        (b"\x58\x17", "shortest"),
        (b"\x5b" + (2**53).to_bytes(8, "big"), "range"),
        (b"\x5b" + MAX_NUMBER.to_bytes(8, "big"), "length"),
        (b"\x58\x1f" + bytes(31), "length"),
        (b"\x58\x21" + bytes(33), "length"),
        (b"\x58\x20" + bytes(31), "truncated"),
    ],
)
def test_a_digest_that_is_refused(data: bytes, rule: str) -> None:
    expected = ("statement.malformed", rule, 0)
    assert refusal(lambda: Reader(data, 0, len(data)).digest("x")) == expected
    assert refusal(lambda: Reader(data, 0, len(data)).digest_or_empty("x")) == expected
    assert refusal(lambda: Reader(data + bytes(64), 0, len(data)).digest("x")) == expected


def test_a_digest_and_an_empty_one() -> None:
    digest = bytes(range(32))
    data = b"\x58\x20" + digest
    assert Reader(data, 0, len(data)).digest("x") == digest
    assert Reader(data, 0, len(data)).digest_or_empty("x") == digest
    assert Reader(b"\x40", 0, 1).digest_or_empty("x") == b""
    assert refusal(lambda: Reader(b"\x40", 0, 1).digest("x")) == ("statement.malformed", "length", 0)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "truncated"),
        (b"\x41a", "type"),
        (b"\x7f", "head"),
        (b"\x60", "text"),
        (b"\x79\x07\xd1" + b"a" * 2001, "text"),
        (b"\x7b" + MAX_NUMBER.to_bytes(8, "big"), "text"),
        (b"\x7b" + (2**53).to_bytes(8, "big"), "range"),
        (b"\x63ab", "truncated"),
        (b"\x61\x00", "text"),
        (b"\x61\x1f", "text"),
        (b"\x61\x7f", "text"),
        (b"\x62\xc2\x80", "text"),
        (b"\x62\xc2\x9f", "text"),
        (b"\x61\x80", "text"),
        (b"\x62\xc0\xaf", "text"),
        (b"\x63\xed\xa0\x80", "text"),
        (b"\x64\xf4\x90\x80\x80", "text"),
        (b"\x62\xe2\x82", "text"),
    ],
)
def test_a_text_that_is_refused(data: bytes, rule: str) -> None:
    assert refusal(lambda: Reader(data, 0, len(data)).text("x")) == ("statement.malformed", rule, 0)


@pytest.mark.parametrize("text", [" ", "~", "\xa0", "\u2028", "\U0010ffff", "a" * 2000, "\u2014" * 666])
def test_a_text_at_every_edge(text: str) -> None:
    data = payload_bytes(text)
    assert Reader(data, 0, len(data)).text("x") == text


@pytest.mark.parametrize(("least", "most"), [(3, 3), (0, 1), (3, MAX_NUMBER)])
def test_an_array_of_another_length(least: int, most: int) -> None:
    expected = ("statement.malformed", "length", 0)
    assert refusal(lambda: Reader(b"\x82", 0, 1).array(least, most, "x")) == expected


@pytest.mark.parametrize(("least", "most"), [(2, 2), (0, 16), (1, MAX_NUMBER)])
def test_an_array_of_a_fitting_length(least: int, most: int) -> None:
    assert Reader(b"\x82", 0, 1).array(least, most, "x") == 2


def test_a_promised_number_of_votes_costs_nothing() -> None:
    data = head(4, MAX_NUMBER) + b"\x01\x02"
    reader = Reader(data, 0, len(data))
    count = reader.array(1, MAX_NUMBER, "x")
    assert refusal(lambda: reader.uints(count)) == ("statement.malformed", "truncated", len(data))


@given(st.lists(st.one_of(st.integers(0, 300), st.integers(0, MAX_NUMBER)), max_size=50))
def test_bulk_reading_is_reading_one_by_one(values: list[int]) -> None:
    data = b"".join(head(0, value) for value in values)
    assert Reader(data, 0, len(data)).uints(len(values)) == tuple(values)
    reader = Reader(data, 0, len(data))
    assert [reader.uint() for _ in values] == values


_leaves = st.one_of(st.integers(0, 2**64 - 1), st.binary(max_size=300), st.text(max_size=100))
_flat = st.lists(_leaves, max_size=40).map(tuple)
_nested = st.lists(st.one_of(_leaves, _flat, st.lists(_flat, max_size=5).map(tuple)), max_size=10).map(tuple)


@given(_nested)
def test_the_writer_is_the_naive_one(content: Content) -> None:
    assert cbor.encode(content) == payload_bytes(content)


def _deep(levels: int) -> Content:
    content: Content = ()
    for _ in range(levels - 1):
        content = (content,)
    return content


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (-1, "type"),
        (2**64, "range"),
        (True, "type"),
        (None, "type"),
        (1.0, "type"),
        ([1], "type"),
        ({}, "type"),
        (bytearray(b"a"), "type"),
        ("\ud800", "text"),
        (_deep(6), "type"),
        (_deep(100_000), "type"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_encoding(value: object, rule: str) -> None:
    assert refusal(lambda: cbor.encode(cast(Content, (value,)))) == ("statement.malformed", rule, None)


def test_six_levels_are_enough() -> None:
    assert cbor.encode(_deep(6)) == b"\x81\x81\x81\x81\x81\x80"
