"""Canonical JSON: RFC 8785's order and escapes, and everything that is not canonical."""

import json
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.wire import jcs
from clients.wire.errors import WireError
from clients.wire.jcs import JsonValue
from tests.strategies import MAX_NUMBER, mutations


def refusal(data: bytes) -> WireError | None:
    try:
        jcs.parse(data)
    except WireError as error:
        return error
    return None


def test_keys_are_in_the_order_of_utf_16() -> None:
    """RFC 8785, section 3.2.3: the emoji sorts before U+FB33, although its code point is larger."""
    value: JsonValue = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    names = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"]
    written = jcs.write(value)
    assert sorted(names, key=lambda name: written.index(name.encode())) == names
    assert jcs.parse(written) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, b"null"),
        (0, b"0"),
        (MAX_NUMBER, b"9007199254740991"),
        ("", b'""'),
        ([], b"[]"),
        ({}, b"{}"),
        ({"b": [1, None, "x"], "a": {"": 0}}, b'{"a":{"":0},"b":[1,null,"x"]}'),
        ('"\\/\b\t\n\f\r', b'"\\"\\\\/\\b\\t\\n\\f\\r"'),
        ("\x00\x01\x0b\x1f", b'"\\u0000\\u0001\\u000b\\u001f"'),
        ("\x7f\x80\u2028\u2029", b'"\x7f\xc2\x80\xe2\x80\xa8\xe2\x80\xa9"'),
        ("Бишкек \U0001f600", '"Бишкек \U0001f600"'.encode()),
        ((1, (2,)), b"[1,[2]]"),
        ({"a": 1, "aa": 2, "B": 3}, b'{"B":3,"a":1,"aa":2}'),
    ],
)
def test_the_canonical_bytes(value: JsonValue, written: bytes) -> None:
    assert jcs.write(value) == written
    assert jcs.write(jcs.parse(written)) == written


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        1.0,
        float("nan"),
        -1,
        2**53,
        b"x",
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {None: 1},
        {1},
        object,
        [[True]],
    ],
    ids=repr,
)
def test_what_is_not_written(value: object) -> None:
    with pytest.raises(WireError, match=r"json\.malformed"):
        jcs.write(cast(JsonValue, value))


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (b" null", 0),
        (b"null ", 4),
        (b"null\n", 4),
        (b'{"a": 1}', 5),
        (b'{"b":1,"a":2}', 2),
        (b"[1, 2]", 3),
        (b"[1,]", 3),
        (b'"\\u0041"', 1),
        (b'"\\/"', 1),
        (b'"\\u001F"', 6),
        (b'"\\u000a"', 2),
        (b'"\\ud800"', None),
        (b'{"\\ud800":1}', None),
        (b'"\x1f"', 1),
        (b'"\xff"', 1),
        (b'"\xed\xa0\x80"', 1),
        (b"\xef\xbb\xbfnull", 0),
        (b"true", None),
        (b"[false]", None),
        (b"1.0", None),
        (b"1e3", None),
        (b"-1", None),
        (b"-0", 0),
        (b"01", 1),
        (b"9007199254740992", None),
        (b"9" * 5000, None),
        (b"NaN", None),
        (b"Infinity", None),
        (b'{"a":1,"a":1}', None),
        (b"[" * 65 + b"]" * 65, None),
        (b"[" * 500_000, None),
        (b'{"a":' * 500_000, None),
        (b"null null", 5),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_not_read(data: bytes, offset: int | None) -> None:
    error = refusal(data)
    assert error is not None
    assert error.code == "json.malformed"
    assert error.offset == offset


def test_nesting_has_a_depth() -> None:
    data = b"[" * jcs.MAX_DEPTH + b"]" * jcs.MAX_DEPTH
    assert jcs.write(jcs.parse(data)) == data
    with pytest.raises(WireError, match=r"json\.malformed"):
        jcs.parse(b"[" + data + b"]")


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_values = st.recursive(
    st.one_of(st.none(), st.integers(0, MAX_NUMBER), _texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_texts, inner, max_size=4)),
    max_leaves=20,
)


@given(_values)
def test_what_is_written_comes_back(value: JsonValue) -> None:
    written = jcs.write(value)
    assert jcs.parse(written) == value
    assert json.loads(written) == value


@given(st.data())
def test_only_canonical_bytes_are_read(data: st.DataObject) -> None:
    changed = data.draw(mutations(jcs.write(data.draw(_values))))
    error = refusal(changed)
    if error is None:
        assert jcs.write(jcs.parse(changed)) == changed
    else:
        assert error.code == "json.malformed"


@given(st.binary(max_size=60))
def test_random_bytes_leave_only_by_the_error_tree(data: bytes) -> None:
    error = refusal(data)
    assert error is None or error.code == "json.malformed"


own_values = st.recursive(
    st.none() | st.integers(0, MAX_NUMBER) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner),
)


@given(own_values)
def test_our_own_values_are_written_alike(value: JsonValue) -> None:
    assert jcs.write_own(value) == jcs.write(value)
