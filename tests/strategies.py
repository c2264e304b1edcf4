"""Hypothesis strategies for statements, shared by every test that needs valid, mutated or random ones.

`packets()` and `decisions()` make contents: nested tuples that mirror the CDDL of docs/packet.md and keep
every rule of it. Nothing here uses an implementation, so that both can be tested with it: `payload_bytes` and
`envelope` are a third, naive writer that judges nothing.
"""

import struct
from collections.abc import Callable
from typing import Literal, TypeAlias, cast

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Content: TypeAlias = tuple["int | bytes | str | Content", ...]
Kind: TypeAlias = Literal["packet", "decision"]

MAX_NUMBER = 2**53 - 1
# Well above a packet of every report with full lists, and below 16,384 bytes with the envelope.
_MAX_CONTESTS = 4
_MAX_VOTES = 40
_MAX_FIGURES = 8

_TYPES: dict[Kind, bytes] = {
    "packet": b"application/vnd.tallygate.packet.v1+cbor",
    "decision": b"application/vnd.tallygate.decision.v1+cbor",
}


def head(major: int, argument: int, width: int | None = None) -> bytes:
    """A CBOR head; `width` (0, 1, 2, 4 or 8 bytes) forces a longer one than the shortest."""
    if width is None:
        width = next(
            w for w, limit in ((0, 24), (1, 2**8), (2, 2**16), (4, 2**32), (8, 2**64)) if argument < limit
        )
    if width == 0:
        return bytes([major << 5 | argument])
    info, code = {1: (24, "B"), 2: (25, "H"), 4: (26, "I"), 8: (27, "Q")}[width]
    return bytes([major << 5 | info]) + struct.pack(f">{code}", argument)


def payload_bytes(value: "int | bytes | str | Content") -> bytes:
    """The CBOR of one value with shortest heads; nothing is judged."""
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    return head(4, len(value)) + b"".join(map(payload_bytes, value))


def envelope(kind: Kind, payload: bytes, kid: bytes = b"kid-of-8", signature: bytes = bytes(64)) -> bytes:
    """A statement around any payload; nothing is judged or signed."""
    protected = b"\xa3\x01\x27\x03" + head(3, len(_TYPES[kind])) + _TYPES[kind] + b"\x04\x48" + kid
    parts = (
        head(2, len(protected)),
        protected,
        b"\xa0",
        head(2, len(payload)),
        payload,
        head(2, len(signature)),
        signature,
    )
    return b"\xd2\x84" + b"".join(parts)


def uints(most: int = MAX_NUMBER) -> SearchStrategy[int]:
    """Unsigned integers, with every length of head."""
    limits = [limit for limit in (23, 255, 65_535, 2**32 - 1, MAX_NUMBER) if limit < most]
    return st.one_of(*(st.integers(0, limit) for limit in (*limits, most)))


def numbers() -> SearchStrategy[int]:
    """Numbers of things: from 1."""
    return uints(MAX_NUMBER - 1).map(lambda value: value + 1)


def digests() -> SearchStrategy[bytes]:
    """32 bytes."""
    return st.binary(min_size=32, max_size=32)


def texts(most: int = 500) -> SearchStrategy[str]:
    """Texts of 1 to `most` characters, at most four times as many bytes, without control characters."""
    return st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=most)


def origins() -> SearchStrategy[str]:
    """Names of logs."""
    part = st.text("abcxyz0189.-", min_size=1, max_size=20)
    return st.lists(part, min_size=1, max_size=4).map("/".join)


def _ascending(least: int, most: int, values: SearchStrategy[int]) -> SearchStrategy[list[int]]:
    return st.lists(values, min_size=least, max_size=most, unique=True).map(sorted)


@st.composite
def _figures(draw: DrawFn, least: int) -> Content:
    codes = draw(_ascending(least, _MAX_FIGURES, st.one_of(st.integers(1, 16), uints())))
    return tuple((code, draw(uints())) for code in codes)


def _votes() -> SearchStrategy[Content]:
    return st.lists(uints(), min_size=1, max_size=_MAX_VOTES).map(tuple)


def _attachments(least: int) -> SearchStrategy[Content]:
    attachment = st.tuples(
        digests(), st.integers(1, 4), st.integers(1, 20_971_520), st.integers(1, 6), uints()
    )
    return st.lists(attachment, min_size=least, max_size=16).map(tuple)


@st.composite
def _counts(draw: DrawFn) -> Content:
    contests = draw(_ascending(1, _MAX_CONTESTS, numbers()))
    return tuple((contest, draw(_figures(1)), draw(_votes())) for contest in contests)


@st.composite
def _zeros(draw: DrawFn) -> Content:
    contests = draw(_ascending(0, _MAX_CONTESTS, numbers()))
    return tuple((contest, draw(_votes())) for contest in contests)


def _maybe_digest() -> SearchStrategy[bytes]:
    return st.one_of(st.just(b""), digests())


def reports() -> SearchStrategy[Content]:
    """A packet's reports, all five."""
    return st.one_of(
        st.tuples(st.just(1), uints(), digests(), _zeros()),
        st.tuples(st.just(2), uints(), _figures(1)),
        st.tuples(st.just(3), uints(), st.integers(1, 4), uints(), _figures(0), _counts(), _attachments(0)),
        st.tuples(
            st.just(4), uints(), _maybe_digest(), st.integers(0, 4), _figures(0), _counts(), _attachments(0)
        ),
        st.tuples(st.just(5), _attachments(1)),
    )


@st.composite
def packets(draw: DrawFn) -> Content:
    """Contents of packets that keep every rule of the grammar."""
    sequence = draw(numbers())
    previous = b"" if sequence == 1 else draw(digests())
    definition, device, station = draw(digests()), draw(numbers()), draw(numbers())
    return (definition, device, station, sequence, previous, draw(uints()), draw(reports()))


def actions() -> SearchStrategy[Content]:
    """A decision's actions, all thirteen."""
    sources = st.integers(1, 2)
    return st.one_of(
        st.tuples(st.just(1), origins(), digests(), digests(), digests(), texts(100)),
        st.tuples(st.just(2), numbers()),
        st.tuples(st.just(3), numbers(), numbers(), uints()),
        st.tuples(st.just(4), uints(), uints()),
        st.tuples(st.just(5), numbers(), numbers(), sources, digests()),
        st.tuples(st.sampled_from((6, 7))),
        st.tuples(st.just(8), sources, st.integers(0, 5)),
        st.tuples(st.sampled_from((9, 10)), digests()),
        st.tuples(st.just(11), uints(), uints()),
        st.tuples(st.just(12), numbers()),
        st.tuples(st.just(13), numbers()),
    )


@st.composite
def decisions(draw: DrawFn) -> Content:
    """Contents of decisions that keep every rule of the grammar."""
    number = draw(numbers())
    previous = b"" if number == 1 else draw(digests())
    reason = tuple(draw(st.lists(st.tuples(texts(10), texts()), min_size=1, max_size=3)))
    return (draw(digests()), previous, number, draw(uints()), reason, draw(actions()))


def contents() -> SearchStrategy[tuple[Kind, Content]]:
    """A kind and a valid content of it."""
    return st.one_of(packets().map(_packet), decisions().map(_decision))


def _packet(content: Content) -> tuple[Kind, Content]:
    return "packet", content


def _decision(content: Content) -> tuple[Kind, Content]:
    return "decision", content


# Heads at every edge: reserved, indefinite, other major types, longer and larger than allowed.
_HEADS = (
    *(bytes([major << 5 | info]) for major in range(8) for info in (0, 1, 23, 28, 30, 31)),
    *(
        head(major, argument, width)
        for major in (0, 2, 3, 4)
        for width in (1, 2, 4, 8)
        for argument in (0, 23, 24, 255)
    ),
    *(
        head(major, argument)
        for major in (0, 2, 3, 4)
        for argument in (256, 65_536, 2**32, MAX_NUMBER, 2**53, 2**64 - 1)
    ),
)


@st.composite
def mutations(draw: DrawFn, data: bytes) -> bytes:
    """One to three small changes of `data`: a flip, another byte, insertion, deletion, cut, another head."""
    changed = data
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        at = draw(st.integers(0, max(0, len(changed) - 1)))
        changed = draw(st.sampled_from(_CHANGES))(draw, changed, at)
    return changed


def _flip(draw: DrawFn, data: bytes, at: int) -> bytes:
    bit = 1 << draw(st.integers(0, 7))
    return data[:at] + bytes(byte ^ bit for byte in data[at : at + 1]) + data[at + 1 :]


def _replace(draw: DrawFn, data: bytes, at: int) -> bytes:
    return data[:at] + draw(st.binary(min_size=1, max_size=1)) + data[at + 1 :]


def _insert(draw: DrawFn, data: bytes, at: int) -> bytes:
    return data[:at] + draw(st.binary(min_size=1, max_size=4)) + data[at:]


def _append(draw: DrawFn, data: bytes, at: int) -> bytes:
    del at
    return data + draw(st.binary(min_size=1, max_size=4))


def _delete(draw: DrawFn, data: bytes, at: int) -> bytes:
    return data[:at] + data[at + draw(st.integers(1, 4)) :]


def _cut(draw: DrawFn, data: bytes, at: int) -> bytes:
    del draw
    return data[:at]


def _change_head(draw: DrawFn, data: bytes, at: int) -> bytes:
    return data[:at] + draw(st.sampled_from(_HEADS)) + data[at + 1 :]


_CHANGES: tuple[Callable[[DrawFn, bytes, int], bytes], ...] = (
    _flip,
    _replace,
    _insert,
    _append,
    _delete,
    _cut,
    _change_head,
)


_LEAVES: Content = (0, b"", "a", ())
_EDGES = (0, 1, 2, 5, 6, 7, 13, 14, 20_971_521, MAX_NUMBER, 2**53)
_ODD_TEXTS = ("", "A", "a/", "\x7f", "\x80", "a" * 201, "a" * 2001)


@st.composite
def changed_contents(draw: DrawFn, content: Content) -> Content:
    """A content with one item somewhere inside it replaced, or one array doubled, shortened or turned."""
    inner = [place for place, item in enumerate(content) if isinstance(item, tuple)]
    descend = draw(st.booleans())
    if inner and descend:
        place = inner[draw(st.integers(0, len(inner) - 1))]
        return (
            *content[:place],
            draw(changed_contents(cast(Content, content[place]))),
            *content[place + 1 :],
        )
    if not content or draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from((content + content[-1:], content[:-1], content[::-1])))
    place = draw(st.integers(0, len(content) - 1))
    item = content[place]
    other: int | bytes | str | Content
    if isinstance(item, int):
        other = draw(st.one_of(st.sampled_from(_EDGES), st.integers(0, 20)))
    elif isinstance(item, bytes):
        other = draw(st.sampled_from((b"", bytes(32), item[::-1], item + b"\x00")))
    elif isinstance(item, str):
        other = draw(st.one_of(st.sampled_from(_ODD_TEXTS), st.text(max_size=9)))
    else:
        other = draw(st.sampled_from(_LEAVES))
    return (*content[:place], other, *content[place + 1 :])


@st.composite
def broken_statements(draw: DrawFn) -> tuple[Kind, bytes]:
    """Statements nearly right: changed in content, payload or envelope, or random within an envelope."""
    kind, content = draw(contents())
    way = draw(st.sampled_from(("content", "content", "payload", "payload", "whole", "random")))
    if way == "content":
        return kind, envelope(kind, payload_bytes(draw(changed_contents(content))))
    payload = payload_bytes(content)
    if way == "payload":
        return kind, envelope(kind, draw(mutations(payload)))
    if way == "whole":
        return kind, draw(mutations(envelope(kind, payload)))
    return kind, envelope(kind, draw(st.binary(max_size=200)))
