"""The generator's own byte builder: CBOR heads, payloads, frames, named keys.

It shares no code with the Rust core or `clients/wire`, so that the vectors are a third voice: written from
docs/packet.md alone, with hashlib, and libsodium (through PyNaCl) for Ed25519. It judges nothing; what it is
told to write wrongly it writes wrongly.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from nacl.signing import SigningKey

from tests.vectors.render import Json, list_json

Kind: TypeAlias = Literal["packet", "decision"]
Value: TypeAlias = "int | bytes | str | tuple[Value, ...]"
Content: TypeAlias = "tuple[Value, ...]"

UINT: Final = 0
BYTES: Final = 2
TEXT: Final = 3
ARRAY: Final = 4

MAX_NUMBER: Final = 2**53 - 1
MAX_STATEMENT: Final = 16_384

TYPES: Final[dict[Kind, bytes]] = {
    "packet": b"application/vnd.tallygate.packet.v1+cbor",
    "decision": b"application/vnd.tallygate.decision.v1+cbor",
}
# Bytes of a frame up to and including A0, the empty unprotected header.
FRAME_BYTES: Final[dict[Kind, int]] = {"packet": 61, "decision": 63}
# Bytes of a frame behind the payload: 58 40 and the signature.
TAIL_BYTES: Final = 66


@dataclass(frozen=True)
class Key:
    """An Ed25519 key whose seed is SHA-256 of a published sentence: nothing here is secret."""

    name: str
    seed: bytes = field(init=False)
    public: bytes = field(init=False)
    kid: bytes = field(init=False)

    def __post_init__(self) -> None:
        seed = sha256(f"tallygate vectors: {self.name}".encode())
        public = bytes(SigningKey(seed).verify_key)
        object.__setattr__(self, "seed", seed)
        object.__setattr__(self, "public", public)
        object.__setattr__(self, "kid", sha256(public)[:8])

    def sign(self, message: bytes) -> bytes:
        return SigningKey(self.seed).sign(message).signature

    @property
    def published(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "seed": self.seed.hex(),
            "public_key": self.public.hex(),
            "kid": self.kid.hex(),
        }


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def head(major: int, argument: int, width: int | None = None) -> bytes:
    """The head of an item; `width` (0, 1, 2, 4, 8 bytes) writes the argument in that many bytes."""
    if width is None:
        width = next(w for w in (0, 1, 2, 4, 8) if argument < (24 if w == 0 else 256**w))
    if width == 0:
        return bytes((major << 5 | argument,))
    info = {1: 24, 2: 25, 4: 26, 8: 27}[width]
    return bytes((major << 5 | info,)) + argument.to_bytes(width, "big")


def encode(value: Value) -> bytes:
    """CBOR of nested tuples, every head in its shortest form."""
    if isinstance(value, int):
        return head(UINT, value)
    if isinstance(value, bytes):
        return head(BYTES, len(value)) + value
    if isinstance(value, str):
        return head(TEXT, len(value.encode())) + value.encode()
    return head(ARRAY, len(value)) + b"".join(map(encode, value))


def as_json(value: Value) -> Json:
    """The published form of a content: arrays, integers, texts, and ``{"hex": …}`` for byte strings."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, tuple):
        return list_json([as_json(item) for item in value])
    return value


def protected(kind: Kind, kid: bytes) -> bytes:
    """The protected header as a byte string: {1: -8, 3: type, 4: kid}."""
    header = b"\xa3\x01\x27\x03" + head(TEXT, len(TYPES[kind])) + TYPES[kind] + b"\x04\x48" + kid
    return head(BYTES, len(header)) + header


def signed_bytes(kind: Kind, kid: bytes, payload: bytes) -> bytes:
    """The Sig_structure of RFC 9052, section 4.4."""
    return b"\x84\x6aSignature1" + protected(kind, kid) + b"\x40" + head(BYTES, len(payload)) + payload


def frame(kind: Kind, kid: bytes, payload: bytes, signature: bytes) -> bytes:
    """A statement of these parts."""
    return b"".join(
        (
            b"\xd2\x84",
            protected(kind, kid),
            b"\xa0",
            head(BYTES, len(payload)),
            payload,
            head(BYTES, len(signature)),
            signature,
        )
    )


def signed(kind: Kind, payload: bytes, key: Key) -> bytes:
    """A statement with a signature that verifies, whatever the payload is."""
    return frame(kind, key.kid, payload, key.sign(signed_bytes(kind, key.kid, payload)))


def payload_at(kind: Kind, payload: bytes) -> int:
    """Offset of a payload's first byte in its statement."""
    return FRAME_BYTES[kind] + len(head(BYTES, len(payload)))
