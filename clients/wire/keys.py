"""Ed25519 keys: who a kid is, which keys may be enrolled, and the one verification rule (libsodium's)."""

import hashlib

from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_sign_open
from nacl.exceptions import BadSignatureError

KEY_BYTES = 32
SIGNATURE_BYTES = 64
# Enough to find a key among a million; two keys with one kid are refused by the builder.
KID_BYTES = 8


def kid(key: bytes) -> bytes:
    """The key's short name in an envelope: the first 8 bytes of SHA-256 of the public key."""
    return hashlib.sha256(key).digest()[:KID_BYTES]


def enrollable(key: bytes) -> bool:
    """Whether a key may be enrolled: 32 bytes, canonical, on the curve, of prime order."""
    return len(key) == KEY_BYTES and crypto_core_ed25519_is_valid_point(key)


def verifies(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether libsodium's `crypto_sign_verify_detached` accepts the signature (packet.md, "Envelope")."""
    if len(key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        # libsodium opens a combined message with crypto_sign_verify_detached; PyNaCl binds only this form.
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True
