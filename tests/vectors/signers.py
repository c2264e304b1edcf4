"""Well-formed statements judged against the tiny election: who signed, and does the signature verify."""

from typing import Final, NamedTuple

from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp

from tests.vectors import ed25519
from tests.vectors.election import BOX, DEFINITION_HASH, DESK, MEMBERS, OPENS_AT, OTHER_BOX, SPARE, TERMINAL
from tests.vectors.encoding import Content, Key, Kind, encode, frame, protected, signed, signed_bytes
from tests.vectors.render import Json, bytes_json

UNKNOWN: Final = "statement.unknown_device"
SIGNATURE: Final = "statement.signature"

_STRANGER: Final = Key("nobody's key")
_REPORT: Content = (2, OPENS_AT, ((3, 412),))
_PAUSE: Content = (DEFINITION_HASH, b"", 1, OPENS_AT, (("en", "why"),), (6,))


class Judged(NamedTuple):
    """A statement and the code that it is refused with; None where it is accepted."""

    name: str
    why: str
    code: str | None
    statement: bytes

    @property
    def published(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "why": self.why,
            "code": self.code,
            "statement": bytes_json(self.statement),
        }


def _payload(device: int, station: int = 10) -> bytes:
    return encode((DEFINITION_HASH, device, station, 1, b"", OPENS_AT, _REPORT))


def _as_another(kind: Kind, payload: bytes, kid: bytes, key: Key) -> bytes:
    """A statement under one kid with a good signature of another key."""
    return frame(kind, kid, payload, key.sign(signed_bytes(kind, kid, payload)))


def _known() -> list[Judged]:
    return [
        Judged("device", "device 1 with its own key", None, signed("packet", _payload(1), BOX)),
        Judged(
            "device: elsewhere",
            "which stations a device reports on is the tally's matter",
            None,
            signed("packet", _payload(1, station=999), BOX),
        ),
        Judged("device: a spare", "it has no station yet", None, signed("packet", _payload(4), SPARE)),
        Judged(
            "device: another report",
            "a desk sends a turnout: the tally's matter too",
            None,
            signed("packet", _payload(5), DESK),
        ),
        Judged("member", "member 3 of the commission", None, signed("decision", encode(_PAUSE), MEMBERS[2])),
        Judged(
            "device: not in the roster",
            "there is no device 7",
            UNKNOWN,
            signed("packet", _payload(7), BOX),
        ),
        Judged(
            "device: 2^53-1",
            "there is no such device",
            UNKNOWN,
            signed("packet", _payload(2**53 - 1), BOX),
        ),
        Judged(
            "device: another device's key",
            "device 1 signed with the key of device 2, under its kid",
            UNKNOWN,
            signed("packet", _payload(1), OTHER_BOX),
        ),
        Judged(
            "device: another device's kid",
            "device 1 signed with its own key under the kid of device 2",
            UNKNOWN,
            _as_another("packet", _payload(1), OTHER_BOX.kid, BOX),
        ),
        Judged(
            "device: a kid that differs in its last bit",
            "all 8 bytes count",
            UNKNOWN,
            _as_another("packet", _payload(1), BOX.kid[:7] + bytes((BOX.kid[7] ^ 1,)), BOX),
        ),
        Judged(
            "device: a member's key",
            "a member of the commission is no device",
            UNKNOWN,
            signed("packet", _payload(1), MEMBERS[0]),
        ),
        Judged(
            "device: nobody's key",
            "neither device nor member",
            UNKNOWN,
            signed("packet", _payload(1), _STRANGER),
        ),
        Judged(
            "member: a device's key",
            "a device decides nothing",
            UNKNOWN,
            signed("decision", encode(_PAUSE), BOX),
        ),
        Judged(
            "member: nobody's key",
            "the kid is no member's",
            UNKNOWN,
            signed("decision", encode(_PAUSE), _STRANGER),
        ),
        Judged(
            "device: unknown, and the signature is wrong",
            "the signer is judged before the signature",
            UNKNOWN,
            frame("packet", BOX.kid, _payload(7), bytes(64)),
        ),
    ]


def _signatures() -> list[Judged]:
    payload = _payload(1)
    message = signed_bytes("packet", BOX.kid, payload)
    good = BOX.sign(message)

    def flipped(place: int, bit: int = 0) -> bytes:
        return good[:place] + bytes((good[place] ^ 1 << bit,)) + good[place + 1 :]

    # RFC 9052, section 4.4, with one thing changed each.
    header, body = protected("packet", BOX.kid), encode(payload)
    contexts = (
        ("the payload alone", payload),
        ("context Signature", b"\x84\x69Signature" + header + b"\x40" + body),
        ("context CounterSignature", b"\x84\x70CounterSignature" + header + b"\x40" + body),
        ("external data of one byte", b"\x84\x6aSignature1" + header + b"\x41\x00" + body),
        ("an empty protected header", b"\x84\x6aSignature1\x40\x40" + body),
        ("five elements, as for COSE_Sign", b"\x85\x6aSignature1" + header + b"\x40\x40" + body),
        ("the whole frame before the signature", b"\xd2\x84" + header + b"\xa0" + body),
        ("a decision's header", signed_bytes("decision", BOX.kid, payload)),
        ("the payload of another packet", signed_bytes("packet", BOX.kid, _payload(1, station=11))),
        ("the kid of another device", signed_bytes("packet", OTHER_BOX.kid, payload)),
    )
    nonce = 0x5EED
    base = crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
    signatures = (
        ("R, first bit flipped", "one bit", flipped(0)),
        ("R, sign flipped", "the top bit of its last byte", flipped(31, 7)),
        ("S, first bit flipped", "one bit", flipped(32)),
        ("S, top bit set", "far above the order of the group", flipped(63, 7)),
        ("zero bytes", "R = S = 0: R is of order 4", bytes(64)),
        ("S + L", "S must be below the group's order", ed25519.with_larger_s(good)),
        (
            "R the identity",
            "the equation holds, but R is of small order",
            ed25519.with_r(ed25519.IDENTITY, 0, BOX, message),
        ),
        (
            "R the identity, not reduced",
            "y = p + 1: the equation holds for whoever reduces it",
            ed25519.with_r(ed25519.IDENTITY_UNREDUCED, 0, BOX, message),
        ),
        (
            "R of order 2",
            "the equation holds with the cofactor only",
            ed25519.with_r(ed25519.ORDER_2, 0, BOX, message),
        ),
        (
            "R of mixed order",
            "the equation holds with the cofactor only",
            ed25519.with_r(ed25519.mixed(base), nonce, BOX, message),
        ),
    )
    return [
        Judged(
            "signature: another nonce",
            "any signature that verifies is one: this R is not the one RFC 8032 makes",
            None,
            frame("packet", BOX.kid, payload, ed25519.with_r(base, nonce, BOX, message)),
        ),
        Judged(
            "signature: another device's",
            "the kid of device 1, signed by device 3",
            SIGNATURE,
            _as_another("packet", payload, BOX.kid, TERMINAL),
        ),
        Judged(
            "signature: another member's",
            "the kid of member 1, signed by member 2",
            SIGNATURE,
            _as_another("decision", encode(_PAUSE), MEMBERS[0].kid, MEMBERS[1]),
        ),
        *(
            Judged(f"signature: {name}", why, SIGNATURE, frame("packet", BOX.kid, payload, signature))
            for name, why, signature in signatures
        ),
        *(
            Judged(
                f"signature over {name}",
                "anything but the Sig_structure of this very statement",
                SIGNATURE,
                frame("packet", BOX.kid, payload, BOX.sign(wrong)),
            )
            for name, wrong in contexts
        ),
        Judged(
            "signature: a figure changed after signing",
            "412 became 413",
            SIGNATURE,
            signed("packet", payload, BOX).replace(encode(412), encode(413)),
        ),
    ]


def cases() -> list[Judged]:
    """All of them."""
    return [*_known(), *_signatures()]
