"""Statements: the frozen COSE_Sign1 envelope, reading, writing, signing and checking (packet.md).

There is one accepted encoding of every statement; `decode` refuses everything else with its rule and byte
offset, and the payload's content comes as nested tuples that mirror the CDDL. `check` is the list of checks
at the gateway's door up to the signature.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from nacl.signing import SigningKey

from clients.wire import cbor, grammar, keys
from clients.wire.cbor import Content, Reader, malformed
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.roster import Roster

Kind: TypeAlias = Literal["packet", "decision"]

# A result of a dozen contests with hundreds of choices fits; what is larger is no statement (packet.md,
# "Envelope").
MAX_STATEMENT_BYTES = 16_384

PACKET_TYPE = "application/vnd.tallygate.packet.v1+cbor"
DECISION_TYPE = "application/vnd.tallygate.decision.v1+cbor"


def _protected(media_type: str) -> bytes:
    """The protected header up to its kid: {1: -8, 3: type, 4: kid}, RFC 9052 section 3.1."""
    return (
        b"\xa3\x01\x27\x03" + cbor.head(cbor.TEXT, len(media_type)) + media_type.encode("ascii") + b"\x04\x48"
    )


_PROTECTED: Final[dict[Kind, bytes]] = {
    "packet": _protected(PACKET_TYPE),
    "decision": _protected(DECISION_TYPE),
}
# Tag 18, array of 4, the protected header as a byte string up to its kid.
_PREFIX: Final[dict[Kind, bytes]] = {
    kind: b"\xd2\x84" + cbor.head(cbor.BYTES, len(header) + keys.KID_BYTES) + header
    for kind, header in _PROTECTED.items()
}
_UNPROTECTED = b"\xa0"
_SIGNATURE_HEAD = b"\x58\x40"
_SIGNED_CONTEXT = b"\x84\x6aSignature1"
_NO_EXTERNAL_AAD = b"\x40"


@dataclass(frozen=True, slots=True)
class Statement:
    """One decoded statement.

    Attributes:
        kind: "packet" or "decision".
        kid: the first 8 bytes of SHA-256 of the signer's public key, as the envelope says.
        payload: the payload's bytes.
        signature: 64 bytes, not verified by decoding.
        id: SHA-256 of the statement's bytes.
        content: the payload as nested tuples in the order of packet.md's CDDL.
    """

    kind: Kind
    kid: bytes
    payload: bytes
    signature: bytes
    id: bytes
    content: Content

    @property
    def definition(self) -> bytes:
        """SHA-256 of the election.json that this statement names."""
        return cast(bytes, self.content[0])

    @property
    def previous(self) -> bytes:
        """A packet's: id of the one before; a decision's: SHA-256 of the payload before; or empty."""
        return cast(bytes, self.content[4 if self.kind == "packet" else 1])

    @property
    def device(self) -> int:
        """A packet's device number."""
        return self._integer("packet", 1)

    @property
    def station(self) -> int:
        """A packet's station number."""
        return self._integer("packet", 2)

    @property
    def sequence(self) -> int:
        """A packet's place among its device's packets, from 1."""
        return self._integer("packet", 3)

    @property
    def signed_at(self) -> int:
        """A packet's time by the device's clock, ms since the Unix epoch."""
        return self._integer("packet", 5)

    @property
    def report(self) -> Content:
        """A packet's report: its number (`grammar.REPORTS`) and what follows."""
        return self._tuple("packet", 6)

    @property
    def number(self) -> int:
        """A decision's number, from 1."""
        return self._integer("decision", 2)

    @property
    def decided_at(self) -> int:
        """A decision's time, ms since the Unix epoch."""
        return self._integer("decision", 3)

    @property
    def reason(self) -> Content:
        """A decision's reasons: pairs of language and text."""
        return self._tuple("decision", 4)

    @property
    def action(self) -> Content:
        """A decision's action: its number and what follows."""
        return self._tuple("decision", 5)

    def _integer(self, kind: Kind, place: int) -> int:
        self._require(kind)
        return cast(int, self.content[place])

    def _tuple(self, kind: Kind, place: int) -> Content:
        self._require(kind)
        return cast(Content, self.content[place])

    def _require(self, kind: Kind) -> None:
        if self.kind != kind:
            raise AttributeError(f"only a {kind} has this, the statement is a {self.kind}")


def decode(data: bytes) -> Statement:
    """Read a statement's exact bytes; its signature is not verified.

    Raises:
        WireError: `statement.malformed` with the rule and the byte offset of the first deviation.
    """
    if len(data) > MAX_STATEMENT_BYTES:
        raise malformed(
            "size",
            MAX_STATEMENT_BYTES,
            f"a statement has at most {MAX_STATEMENT_BYTES:,} bytes, this has {len(data):,}",
        )
    kind = _kind(data)
    kid_at = len(_PREFIX[kind])
    kid = data[kid_at : kid_at + keys.KID_BYTES]
    reader = Reader(data, kid_at + keys.KID_BYTES + len(_UNPROTECTED), len(data))
    payload = reader.string()
    payload_end = reader.at
    signature = _signature(data, payload_end)

    payload_reader = Reader(data, payload_end - len(payload), payload_end)
    content = grammar.packet(payload_reader) if kind == "packet" else grammar.decision(payload_reader)

    again = _assemble(kind, kid, cbor.encode(content), signature)
    if again != data:
        raise malformed(
            "envelope", payload_end - len(payload), "the statement is not the one encoding of its content"
        )
    return Statement(kind, kid, payload, signature, hashlib.sha256(data).digest(), content)


def _kind(data: bytes) -> Kind:
    """Match the bytes up to and including the empty unprotected map against both templates."""
    fits = 0
    for kind, prefix in _PREFIX.items():
        unprotected_at = len(prefix) + keys.KID_BYTES
        if data.startswith(prefix):
            if data.startswith(_UNPROTECTED, unprotected_at):
                return kind
            fits = min(unprotected_at, len(data))
            break
        fits = max(fits, _common(data, prefix))
    if fits == len(data):
        raise malformed("truncated", fits, "the bytes end within the envelope's header")
    raise malformed("envelope", fits, "the envelope's header is neither a packet's nor a decision's")


def _common(one: bytes, other: bytes) -> int:
    """Length of the common prefix."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))


def _signature(data: bytes, at: int) -> bytes:
    """Read the signature, which is the last thing in the envelope."""
    start = at + len(_SIGNATURE_HEAD)
    head = data[at:start]
    if head != _SIGNATURE_HEAD:
        fits = _common(head, _SIGNATURE_HEAD)
        if fits == len(head):
            raise malformed("truncated", len(data), "the bytes end before the signature")
        raise malformed("envelope", at + fits, "a signature of 64 bytes must follow the payload")
    end = start + keys.SIGNATURE_BYTES
    if len(data) < end:
        raise malformed("truncated", at, f"the signature has {len(data) - start} of its 64 bytes")
    if len(data) > end:
        raise malformed("trailing", end, f"{len(data) - end} bytes follow the signature")
    return data[start:end]


def encode(kind: Kind, kid: bytes, payload: bytes, signature: bytes) -> bytes:
    """Put a statement together from its parts.

    Raises:
        WireError: `statement.malformed` where `decode` would refuse the result.
    """
    statement = _assemble(kind, kid, payload, signature)
    decode(statement)
    return statement


def encode_payload(kind: Kind, content: Content) -> bytes:
    """Write a payload from nested tuples.

    Raises:
        WireError: `statement.malformed` where `decode` would refuse a statement with this payload; its offset
            counts in that statement. What has no encoding at all (a negative number, a float) has no offset.
    """
    payload = cbor.encode(content)
    encode(kind, bytes(keys.KID_BYTES), payload, bytes(keys.SIGNATURE_BYTES))
    return payload


def _assemble(kind: Kind, kid: bytes, payload: bytes, signature: bytes) -> bytes:
    return b"".join(
        (
            _PREFIX[kind],
            kid,
            _UNPROTECTED,
            cbor.head(cbor.BYTES, len(payload)),
            payload,
            cbor.head(cbor.BYTES, len(signature)),
            signature,
        )
    )


def signed_bytes(kind: Kind, kid: bytes, payload: bytes) -> bytes:
    """What the signature signs: COSE's Sig_structure with an empty external_aad (RFC 9052, section 4.4)."""
    header = _PROTECTED[kind] + kid
    return b"".join(
        (
            _SIGNED_CONTEXT,
            cbor.head(cbor.BYTES, len(header)),
            header,
            _NO_EXTERNAL_AAD,
            cbor.head(cbor.BYTES, len(payload)),
            payload,
        )
    )


def sign(kind: Kind, content: Content, key: SigningKey) -> bytes:
    """Write and sign a statement; a device does this once for each packet and keeps the bytes.

    Raises:
        WireError: `statement.malformed` where `decode` would refuse the content.
    """
    payload = encode_payload(kind, content)
    kid = keys.kid(bytes(key.verify_key))
    return _assemble(kind, kid, payload, key.sign(signed_bytes(kind, kid, payload)).signature)


def verify(statement: Statement, public_key: bytes) -> None:
    """Verify a statement's signature by libsodium's rule.

    Raises:
        WireError: `statement.signature`.
    """
    message = signed_bytes(statement.kind, statement.kid, statement.payload)
    if not keys.verifies(public_key, message, statement.signature):
        raise WireError("statement.signature", "the signature does not verify under the signer's key")


def check(data: bytes, definition: Definition, roster: Roster) -> Statement:
    """Check a statement as the door does: size, envelope, grammar, signer, signature.

    Args:
        data: the statement's exact bytes.
        definition: holds the commission's keys.
        roster: holds the devices' keys.

    Raises:
        WireError: `statement.malformed`, `statement.unknown_device` or `statement.signature`.
    """
    statement = decode(data)
    if statement.kind == "packet":
        device = roster.devices.get(statement.device)
        if device is None:
            raise WireError("statement.unknown_device", f"device {statement.device} is not in the roster")
        if device.kid != statement.kid:
            raise WireError(
                "statement.unknown_device", f"the kid is not the key's of device {statement.device}"
            )
        key = device.key
    else:
        commission_key = definition.commission.get(statement.kid)
        if commission_key is None:
            raise WireError("statement.unknown_device", "the kid is not one of a commission key")
        key = commission_key
    verify(statement, key)
    return statement
