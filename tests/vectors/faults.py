"""Malformed statements made one by one: broken frames, `previous`, and two faults at once.

Of two faults the first from the left answers, and within one item the first of the order in docs/packet.md,
"Refusals". Offsets into frames are written as numbers: the frame of a packet is 61 bytes long.
"""

from collections.abc import Iterator

from tests.vectors.election import BOX, MEMBERS
from tests.vectors.encoding import (
    ARRAY,
    BYTES,
    FRAME_BYTES,
    MAX_NUMBER,
    MAX_STATEMENT,
    TAIL_BYTES,
    TEXT,
    TYPES,
    UINT,
    encode,
    head,
    signed,
)
from tests.vectors.good import largest
from tests.vectors.items import (
    A32,
    ATTACHMENT,
    B32,
    DOCUMENTS,
    OPEN_LOG,
    PAUSE,
    RESULT,
    TURNOUT,
    Base,
    with_value,
)
from tests.vectors.malformed import Malformed, malformed

_PACKET = signed("packet", TURNOUT.payload, BOX)
_DECISION = signed("decision", PAUSE.payload, MEMBERS[0])
_PAYLOAD = len(TURNOUT.payload)
_SIGNATURE_AT = len(_PACKET) - TAIL_BYTES
# Offset of the type's first letter in both frames.
_TYPE_AT = 10


def _replaced(data: bytes, at: int, new: bytes, count: int | None = None) -> bytes:
    return data[:at] + new + data[at + (len(new) if count is None else count) :]


def _frames() -> Iterator[Malformed]:
    """The bytes up to and including A0."""
    packet_type, decision_type = TYPES["packet"], TYPES["decision"]
    kid = BOX.kid
    for name, why, offset, statement in (
        ("no tag", "COSE_Sign1 without its tag", 0, _PACKET[1:]),
        ("another tag", "tag 17 is COSE_Mac0", 0, _replaced(_PACKET, 0, b"\xd1")),
        ("a tag around it", "tag 61, a CWT, around tag 18", 0, b"\xd8\x3d" + _PACKET),
        ("a self-described tag around it", "tag 55799 around tag 18", 0, b"\xd9\xd9\xf7" + _PACKET),
        ("a longer tag", "tag 18 with an argument byte", 0, b"\xd8\x12" + _PACKET[1:]),
        ("an array of 3", "COSE_Sign1 has four elements", 1, _replaced(_PACKET, 1, b"\x83")),
        ("an array of indefinite length", "with its break", 1, _replaced(_PACKET, 1, b"\x9f") + b"\xff"),
        ("the header as a map", "it is a byte string", 2, _replaced(_PACKET, 2, b"", 2)),
        ("an empty header", "40", 2, _replaced(_PACKET, 2, b"\x40", 58)),
        ("a longer head of the header", "59 00 38", 2, _replaced(_PACKET, 2, b"\x59\x00\x38", 2)),
        ("a header of 57 bytes", "a packet's has 56, a decision's 58", 3, _replaced(_PACKET, 3, b"\x39")),
        ("a header of four members", "it has three", 4, _replaced(_PACKET, 4, b"\xa4")),
        ("crit in the header", "label 2 instead of 1", 5, _replaced(_PACKET, 5, b"\x02")),
        (
            "members in another order",
            "4 before 1",
            5,
            _replaced(_PACKET, 5, b"\x04\x48" + kid + _PACKET[5:50]),
        ),
        ("alg ES256", "-7 instead of -8", 6, _replaced(_PACKET, 6, b"\x26")),
        ("alg Ed25519", "-19 of RFC 9864 instead of -8", 6, _replaced(_PACKET, 6, b"\x32")),
        ("label 16 instead of 3", "the type of RFC 9596", 7, _replaced(_PACKET, 7, b"\x10")),
        ("the type as a byte string", "it is a text", 8, _replaced(_PACKET, 8, b"\x58")),
        ("a type of 41 bytes", "a packet's has 40", 9, _replaced(_PACKET, 9, b"\x29")),
        ("an upper-case type", "letter for letter", 10, _replaced(_PACKET, 10, b"A")),
        (
            "a decision's type in a packet's header",
            "the first letter that is not a packet's",
            _TYPE_AT + len(b"application/vnd.tallygate."),
            _replaced(_PACKET, _TYPE_AT, decision_type[:40]),
        ),
        (
            "a packet's type in a decision's header",
            "the length of the type is the first difference",
            9,
            _replaced(_DECISION, 9, b"\x28" + packet_type, 43),
        ),
        (
            "version 2 in a packet's type",
            "the digit",
            _TYPE_AT + packet_type.index(b"1+cbor"),
            _replaced(_PACKET, _TYPE_AT, packet_type.replace(b"v1", b"v2")),
        ),
        (
            "version 2 in a decision's type",
            "the digit",
            _TYPE_AT + decision_type.index(b"1+cbor"),
            _replaced(_DECISION, _TYPE_AT, decision_type.replace(b"v1", b"v2")),
        ),
        ("label 5 instead of 4", "the kid's label", 50, _replaced(_PACKET, 50, b"\x05")),
        ("a kid of 7 bytes", "it has 8", 51, _replaced(_PACKET, 51, b"\x47")),
        ("the kid as a text", "it is a byte string", 51, _replaced(_PACKET, 51, b"\x68")),
        ("an unprotected header", "{1: -8}", 60, _replaced(_PACKET, 60, b"\xa1\x01\x27", 1)),
        ("no unprotected header", "f6 instead of a0", 60, _replaced(_PACKET, 60, b"\xf6")),
        (
            "an unprotected header in a decision",
            "{4: kid}",
            62,
            _replaced(_DECISION, 62, b"\xa1\x04\x41\x00", 1),
        ),
        ("JSON", "a statement in another format", 0, b'{"station":10}'),
    ):
        yield Malformed(f"frame: {name}", why, "envelope", offset, statement)
    for length in (0, 1, 3, 9, 30, 51, 55, 60):
        why = "the input ends while it still fits the frame"
        yield Malformed(f"frame: {length} bytes", why, "truncated", length, _PACKET[:length])
    yield Malformed("frame: 62 bytes of a decision", "it ends before a0", "truncated", 62, _DECISION[:62])


def _payload_heads() -> Iterator[Malformed]:
    """The payload as a byte string."""
    at = FRAME_BYTES["packet"]
    before, body, after = _PACKET[:at], TURNOUT.payload, _PACKET[_SIGNATURE_AT:]
    chunk = encode(body)
    for name, why, rule, data in (
        ("nothing behind a0", "the input ends", "truncated", before),
        ("a detached payload", "null", "type", before + b"\xf6" + after),
        ("an array, not a byte string", "the payload itself", "type", before + body + after),
        ("a text of the same bytes", "major type 3", "type", before + b"\x78" + chunk[1:] + after),
        ("an indefinite length", "one chunk and a break", "head", before + b"\x5f" + chunk + b"\xff" + after),
        ("a reserved head", "additional information 28", "head", before + b"\x5c" + after),
        ("a longer head", "two argument bytes", "shortest", before + head(BYTES, _PAYLOAD, 2) + body + after),
        ("a length of 2^53", "above 2^53-1", "range", before + head(BYTES, 2**53) + body + after),
        ("a head cut short", "58 and nothing behind it", "truncated", before + b"\x58"),
        ("longer than the input", "its length says more", "truncated", before + b"\x58\xff" + body + after),
    ):
        yield Malformed(f"payload: {name}", why, rule, at, data)
    yield malformed("payload: empty", "there is no byte for its first head", "truncated", "packet", b"", 0)
    shorter = before + head(BYTES, _PAYLOAD - 1) + body + after
    why = "its last byte stands where the signature's head must"
    yield Malformed("payload: a length one too small", why, "envelope", _SIGNATURE_AT - 1, shorter)
    why = "read as a payload that goes on, and then no signature"
    longer = before + head(BYTES, _PAYLOAD + 1) + body + after
    yield Malformed("payload: a length one too large", why, "envelope", _SIGNATURE_AT + 1, longer)


def _signatures() -> Iterator[Malformed]:
    """The signature's head and length, and what follows."""
    at, before, signature = _SIGNATURE_AT, _PACKET[:_SIGNATURE_AT], _PACKET[-64:]
    for name, why, rule, offset, data in (
        ("an empty one", "40: the first head byte differs", "envelope", at, before + b"\x40"),
        ("null", "f6", "envelope", at, before + b"\xf6"),
        ("a text", "78 40", "envelope", at, before + b"\x78\x40" + signature),
        ("a longer head", "59 00 40", "envelope", at, before + b"\x59\x00\x40" + signature),
        ("an indefinite length", "5f", "envelope", at, before + b"\x5f\x58\x40" + signature + b"\xff"),
        (
            "65 bytes",
            "58 41: the second head byte differs",
            "envelope",
            at + 1,
            before + b"\x58\x41" + signature + b"\x00",
        ),
        ("63 bytes", "58 3f", "envelope", at + 1, before + b"\x58\x3f" + signature[:63]),
        ("no byte of its head", "the input ends", "truncated", at, before),
        ("half of its head", "the input ends", "truncated", at + 1, before + b"\x58"),
        ("its head alone", "the offset of its head", "truncated", at, before + b"\x58\x40"),
        ("one byte short", "the offset of its head", "truncated", at, _PACKET[:-1]),
        ("a byte behind it", "nothing may follow", "trailing", len(_PACKET), _PACKET + b"\x00"),
        ("a line feed behind it", "nothing may follow", "trailing", len(_PACKET), _PACKET + b"\n"),
        ("a second statement behind it", "one at a time", "trailing", len(_PACKET), _PACKET + _DECISION),
    ):
        yield Malformed(f"signature: {name}", why, rule, offset, data)


def _previous() -> Iterator[Malformed]:
    """What must be there exactly when something is before it."""
    for base, position, after in ((TURNOUT, "sequence", "signed_at"), (PAUSE, "number", "decided_at")):
        for what, why, value, previous in (
            ("32 bytes at 1", f"{position} 1 has nothing before it", 1, B32),
            ("empty at 2", f"{position} 2 has something before it", 2, b""),
            ("empty at 2^53-1", f"{position} 2^53-1 has something before it", MAX_NUMBER, b""),
        ):
            name = f"{base.kind}: previous: {what}"
            changed = with_value(with_value(base, position, value), "previous", previous)
            at = changed.offset(changed.place("previous"))
            yield malformed(name, why, "previous", base.kind, changed.payload, at)
            payload = changed.without(changed.place(after), b"\xf6")
            why = f"judged before {after}, which is null here"
            yield malformed(f"{name}, {after} null", why, "previous", base.kind, payload, at)
    chained = with_value(PAUSE, "previous", B32)
    for what, rule, data in (("0", "range", b"\x00"), ("a text", "type", b"\x61\x31")):
        name, why = f"decision: number: {what} after a previous", "without a number previous is not judged"
        place = chained.place("number")
        yield malformed(name, why, rule, "decision", chained.put(place, data), chained.offset(place))


def _cut(why: str, base: Base, name: str, what: str, rule: str, data: bytes, shift: int = 0) -> Malformed:
    """A payload that ends with other bytes instead of an item; the fault is `shift` bytes into them."""
    at = base.offset(base.place(name))
    payload = base.payload[:at] + data
    return malformed(f"{base.name}: {name}: {what}", why, rule, base.kind, payload, at + shift)


def _within_an_item() -> Iterator[Malformed]:
    why = "of two faults in one item the first in the order of the checks answers"
    for base, name, what, rule, data in (
        (TURNOUT, "as_of", "another type, and reserved", "type", b"\x5c"),
        (TURNOUT, "as_of", "another type, and cut short", "type", b"\x39"),
        (TURNOUT, "as_of", "reserved, and cut short", "head", b"\x1c"),
        (TURNOUT, "as_of", "too long a head, and cut short", "truncated", head(UINT, 5, 8)[:8]),
        (TURNOUT, "as_of", "too long a head by seven bytes", "shortest", head(UINT, 5, 8)),
        (RESULT, "origin", "above 2^53-1 and above 4", "range", head(UINT, 2**53)),
        (RESULT, "origin", "5 in too long a head", "shortest", head(UINT, 5, 1)),
        (TURNOUT, "definition", "33 bytes, and cut short", "length", b"\x58\x21" + A32),
        (TURNOUT, "definition", "32 bytes, and cut short", "truncated", b"\x58\x20" + A32[:31]),
        (TURNOUT, "definition", "33 bytes in too long a head", "shortest", head(BYTES, 33, 2) + A32 + A32),
        (TURNOUT, "definition", "2^53 bytes, and cut short", "range", head(BYTES, 2**53) + A32),
        (PAUSE, "text", "2,001 bytes, and cut short", "text", head(TEXT, 2_001)),
        (PAUSE, "text", "2,000 bytes, and cut short", "truncated", head(TEXT, 2_000) + b"a" * 10),
        (PAUSE, "text", "control characters, and cut short", "truncated", head(TEXT, 3) + b"\x00\x01"),
        (OPEN_LOG, "origin", "a control character, and no name", "text", head(TEXT, 2) + b"A\x07"),
        (DOCUMENTS, "attachments", "17 elements, and cut short", "length", head(ARRAY, 17)),
        (DOCUMENTS, "attachments", "2^53 elements, and cut short", "range", head(ARRAY, 2**53)),
    ):
        yield _cut(why, base, name, what, rule, data)


def _between_items() -> Iterator[Malformed]:
    why = "of two faults the first from the left answers"
    for base, name, what, rule, data in (
        (TURNOUT, "as_of", "too long a head, then no figures", "shortest", head(UINT, 8, 1) + b"\x80"),
        (TURNOUT, "code in figures", "the same again, then no value", "order", b"\x01\x40"),
        (RESULT, "contest in counts", "0 after 5", "range", b"\x00"),
        (OPEN_LOG, "origin", "no name, then a short key", "origin", b"\x61A\x41\x00"),
        (TURNOUT, "previous", "31 bytes at sequence 1", "length", b"\x58\x1f" + A32[:31] + b"\xf6"),
    ):
        yield _cut(why, base, name, what, rule, data)
    why = "an array's count is judged before its elements are read, and for no more than its head"
    sixteen = head(ARRAY, 16) + ATTACHMENT
    most = head(ARRAY, MAX_NUMBER)
    yield _cut(why, DOCUMENTS, "attachments", "16, of which one is there", "truncated", sixteen, len(sixteen))
    yield _cut(why, RESULT, "votes", "2^53-1, of which none is there", "truncated", most, len(most))
    why = "0 elements, then the selector, then the number of elements"
    for base, name, what, rule, data, shift in (
        (TURNOUT, "report", "0 elements and nothing behind", "length", b"\x80", 0),
        (TURNOUT, "report", "16 elements of an unknown one", "report", b"\x90\x06", 1),
        (TURNOUT, "report", "16 elements, the selector a text", "type", b"\x90\x62", 1),
        (TURNOUT, "report", "16 elements of a known one", "length", b"\x90\x02", 0),
        (TURNOUT, "report", "a result of 3 elements", "length", b"\x83\x03\x08", 0),
        (PAUSE, "action", "0 elements and nothing behind", "length", b"\x80", 0),
        (PAUSE, "action", "2 elements of an unknown one", "action", b"\x82\x0e", 1),
        (PAUSE, "action", "a revocation of 1 element", "length", b"\x81\x02", 0),
    ):
        yield _cut(why, base, name, what, rule, data, shift)


def _behind_the_payload() -> Iterator[Malformed]:
    for base in (TURNOUT, PAUSE):
        name, payload = f"{base.kind}: behind the payload's array", base.payload + b"\x00"
        yield malformed(name, "nothing may follow", "trailing", base.kind, payload, len(base.payload))
    why = "the frame is read to its end before the payload"
    broken = signed("packet", TURNOUT.without(TURNOUT.place("as_of"), b"\xf6"), BOX)
    name = "packet: a broken payload, and a byte behind the signature"
    yield Malformed(name, why, "trailing", len(broken), broken + b"\x00")
    at = len(broken) - TAIL_BYTES + 1
    name = "packet: a broken payload, and a signature of 65 bytes"
    yield Malformed(name, why, "envelope", at, _replaced(broken, at, b"\x41") + b"\x00")


def cases() -> list[Malformed]:
    """All of them."""
    return [
        *_frames(),
        *_payload_heads(),
        *_signatures(),
        *_previous(),
        *_within_an_item(),
        *_between_items(),
        *_behind_the_payload(),
        Malformed("size: 16,385 bytes", "one vote too many", "size", MAX_STATEMENT, largest(1).statement),
    ]
