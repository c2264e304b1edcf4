"""Points and signatures that verifiers disagree about, made by hand from RFC 8032 and RFC 7748."""

import hashlib
from typing import Final

from nacl.bindings import crypto_core_ed25519_add

from tests.vectors.encoding import Key

# The order of the prime subgroup, and the field's prime (RFC 8032, section 5.1).
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
PRIME: Final = 2**255 - 19

# Points of order 1, 2, 4 and 8: y, little endian, the sign of x in the top bit.
IDENTITY: Final = (1).to_bytes(32, "little")
ORDER_2: Final = (PRIME - 1).to_bytes(32, "little")
ORDER_4: Final = bytes(32)
ORDER_8: Final = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
# The identity once more: y = p + 1 instead of 1, and x = 0 with a sign.
IDENTITY_UNREDUCED: Final = (PRIME + 1).to_bytes(32, "little")
IDENTITY_SIGNED: Final = ((1 << 255) + 1).to_bytes(32, "little")
# y = 2 belongs to no x.
NO_POINT: Final = (2).to_bytes(32, "little")


def mixed(point: bytes) -> bytes:
    """A point with a part of order 8 added: valid, but not of prime order."""
    return crypto_core_ed25519_add(point, ORDER_8)


def secret_scalar(key: Key) -> int:
    """RFC 8032, section 5.1.5."""
    digest = bytearray(hashlib.sha512(key.seed).digest()[:32])
    digest[0] &= 248
    digest[31] &= 127
    digest[31] |= 64
    return int.from_bytes(digest, "little")


def challenge(r: bytes, key: Key, message: bytes) -> int:
    """RFC 8032, section 5.1.6, step 4."""
    return int.from_bytes(hashlib.sha512(r + key.public + message).digest(), "little") % ORDER


def with_r(r: bytes, nonce: int, key: Key, message: bytes) -> bytes:
    """A signature with this R; the equation holds up to what R has beside `nonce` times the base point."""
    s = (nonce + challenge(r, key, message) * secret_scalar(key)) % ORDER
    return r + s.to_bytes(32, "little")


def with_larger_s(signature: bytes) -> bytes:
    """The same signature with S + L, which is S to whoever does not look."""
    s = int.from_bytes(signature[32:], "little") + ORDER
    return signature[:32] + s.to_bytes(32, "little")
