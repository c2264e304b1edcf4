"""The device's side of enrolment, played for devices that do not exist: a rehearsal's.

What lives here: a TLS key, a signing key and the request that a real device would have written
(docs/keys.md). The requests then go the way of all requests (`gateway.pki.authority`).
"""

import hashlib
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import UNSET

from gateway.pki.certificates import key_pem
from gateway.pki.names import Holder, proof_text
from gateway.pki.requests import EnrolmentRequest

# An Ed25519 private key as RFC 8032 has it: 32 random bytes.
SEED_BYTES = 32


class MadeKeys(NamedTuple):
    """What a device, courier or member of the commission has made; never log or show one."""

    holder: Holder
    tls_key: bytes
    """PKCS #8 in PEM."""
    sign_seed: bytes
    """32 bytes; empty for a courier."""
    sign_key: bytes
    """Its public key, 32 bytes; empty for a courier."""
    request: bytes
    """The enrolment request, JSON."""

    def __repr__(self) -> str:
        return f"MadeKeys({self.holder})"


def make_seed() -> bytes:
    """A new Ed25519 private key from the operating system's randomness."""
    return secrets.token_bytes(SEED_BYTES)


def make_keys(election: str, holders: Sequence[Holder]) -> list[MadeKeys]:
    """Makes keys and requests for these holders."""
    return [_make(election, holder) for holder in holders]


def _make(election: str, holder: Holder) -> MadeKeys:
    tls_key = Ed25519PrivateKey.generate()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(tls_key, None)
    pem = csr.public_bytes(serialization.Encoding.PEM).decode()
    if holder.group == "courier":
        courier = EnrolmentRequest(csr=pem, courier=holder.number)
        return MadeKeys(holder, key_pem(tls_key), b"", b"", courier.encode())
    seed = make_seed()
    sign_key = Ed25519PrivateKey.from_private_bytes(seed)
    public = sign_key.public_key().public_bytes_raw()
    csr_sha256 = hashlib.sha256(csr.public_bytes(serialization.Encoding.DER)).digest()
    proof = sign_key.sign(proof_text(election, holder, csr_sha256))
    request = EnrolmentRequest(
        csr=pem,
        device=holder.number if holder.group == "device" else UNSET,
        commission=holder.number if holder.group == "commission" else UNSET,
        sign_key=public.hex(),
        proof=proof.hex(),
    )
    return MadeKeys(holder, key_pem(tls_key), seed, public, request.encode())
