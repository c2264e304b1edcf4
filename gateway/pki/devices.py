"""The holder's side of enrolment: a TLS key, a signing key and the request that names both (docs/keys.md).

It is played here for the devices of a rehearsal, which do not exist, and it is how couriers and members of
the commission make their keys; a device has a program of its own. The requests all go the same way
(`gateway.pki.enrolment`).
"""

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import UNSET

from gateway.base.files import (
    PRIVATE_DIRECTORY,
    finished_directory,
    make_directory,
    write_durably,
    write_private,
)
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


def write_keys(folder: Path, made: MadeKeys) -> None:
    """Writes the folder of one holder, with the names that a device's has.

    ::

        keys/sign.key   the signing key, 64 hex digits (not a courier's)
        keys/tls.key    the TLS key, PKCS #8 in PEM
        request.json    the enrolment request: the one file that leaves

    Raises:
        TallygateError: ``file.exists``, ``file.here``.
    """
    with finished_directory(folder, PRIVATE_DIRECTORY) as work:
        make_directory(work / "keys", PRIVATE_DIRECTORY)
        if made.sign_seed:
            write_private(work / "keys" / "sign.key", made.sign_seed.hex().encode() + b"\n")
        write_private(work / "keys" / "tls.key", made.tls_key)
        write_durably(work / "request.json", made.request)


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
