"""What the tests of gateway.pki share: keys as a device would make them, and requests to spoil."""

import hashlib
import json
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.dsa import DSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.base.clock import DAY
from gateway.pki.authority import create_authority

ELECTION = "hill-2026"
NOW = 1_790_000_000_000
CLOSES_AT = NOW + 20 * DAY

TlsKey: TypeAlias = (
    Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey | DSAPrivateKey | Ed448PrivateKey
)
Fields: TypeAlias = dict[str, object]


def csr_builder() -> x509.CertificateSigningRequestBuilder:
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))


def csr_pem(key: TlsKey, builder: x509.CertificateSigningRequestBuilder | None = None) -> str:
    algorithm = None if isinstance(key, Ed25519PrivateKey | Ed448PrivateKey) else hashes.SHA256()
    csr = (builder or csr_builder()).sign(key, algorithm)
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def csr_hash(pem: str) -> str:
    der = x509.load_pem_x509_csr(pem.encode()).public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


def proof(sign: Ed25519PrivateKey, pem: str, holder: str, election: str = ELECTION) -> str:
    return sign.sign(f"tallygate-enrol/1\n{election}\n{holder}\n{csr_hash(pem)}".encode()).hex()


def device_fields(
    device: int = 12,
    *,
    tls: TlsKey | None = None,
    sign: Ed25519PrivateKey | None = None,
    election: str = ELECTION,
) -> Fields:
    """A good request of a device; tests spoil one field of it."""
    sign = sign or Ed25519PrivateKey.generate()
    pem = csr_pem(tls or Ed25519PrivateKey.generate())
    return {
        "device": device,
        "csr": pem,
        "sign_key": sign.public_key().public_bytes_raw().hex(),
        "proof": proof(sign, pem, str(device), election),
    }


def commission_fields(
    number: int = 1, *, sign: Ed25519PrivateKey | None = None, election: str = ELECTION
) -> Fields:
    sign = sign or Ed25519PrivateKey.generate()
    pem = csr_pem(Ed25519PrivateKey.generate())
    return {
        "commission": number,
        "csr": pem,
        "sign_key": sign.public_key().public_bytes_raw().hex(),
        "proof": proof(sign, pem, f"commission:{number}", election),
    }


def courier_fields(number: int = 1) -> Fields:
    return {"courier": number, "csr": csr_pem(Ed25519PrivateKey.generate())}


def encode(fields: Fields) -> bytes:
    return json.dumps(fields).encode()


def make_ca(folder: Path, *, closes_at: int | None = CLOSES_AT) -> Path:
    create_authority(folder, ELECTION, algorithm="ed25519", closes_at=closes_at, now=NOW)
    return folder
