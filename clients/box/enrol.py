"""A device's two keys and its enrolment request (docs/keys.md, "The enrolment request").

The signing key speaks for the device's counts, the TLS key opens its line; who steals one has not the other.
Both are made here, in the device, and only their public halves leave it.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from nacl.signing import SigningKey

from clients.wire.definition import is_election_id
from clients.wire.errors import WireError

TlsKind: TypeAlias = Literal["ed25519", "p256"]
TLS_KINDS: Final = ("ed25519", "p256")


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """What `make` has made.

    Attributes:
        signing: the key of the device's statements.
        tls_key: private key of its TLS identity, PKCS #8 in PEM.
        csr: certificate request for it, PKCS #10 in PEM.
        request: the enrolment request, JSON.
    """

    signing: SigningKey = field(repr=False)
    tls_key: bytes = field(repr=False)
    csr: bytes
    request: bytes


def judge_election(election: str) -> None:
    """Refuse what cannot be the id of an election.

    Raises:
        WireError: `enrol.election`.
    """
    if not is_election_id(election):
        raise WireError(
            "enrol.election",
            f'"{election[:60]}" cannot be the id of an election: 1 to 40 of a-z, 0-9 and -, '
            "the first of them not -",
        )


def make(election: str, device: int, tls_kind: TlsKind) -> DeviceKeys:
    """Make a device's keys from the system's randomness, and the request that proves it has both.

    Args:
        election: the election's id.
        device: the device's number in the roster to be.
        tls_kind: of the TLS key; P-256 is for TLS stacks without Ed25519.
    """
    signing = SigningKey.generate()
    tls_key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    tls_key = (
        Ed25519PrivateKey.generate() if tls_kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    )
    # The CA decides what the certificate says; the name is for people who look into the request.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{election} device {device}")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if isinstance(tls_key, Ed25519PrivateKey):
        csr = builder.sign(tls_key, None)
    else:
        csr = builder.sign(tls_key, hashes.SHA256())
    csr_pem = csr.public_bytes(serialization.Encoding.PEM)
    proof = signing.sign(proof_text(election, device, csr.public_bytes(serialization.Encoding.DER))).signature
    request = {
        "device": device,
        "csr": csr_pem.decode("ascii"),
        "sign_key": bytes(signing.verify_key).hex(),
        "proof": proof.hex(),
    }
    return DeviceKeys(
        signing=signing,
        tls_key=tls_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        csr=csr_pem,
        request=json.dumps(request, indent=2).encode("ascii") + b"\n",
    )


def proof_text(election: str, device: int, csr: bytes) -> bytes:
    """What the signing key signs to show that it is in the device that made the certificate request.

    Args:
        election: the election's id.
        device: the device's number.
        csr: the certificate request's DER.
    """
    return f"tallygate-enrol/1\n{election}\n{device}\n{hashlib.sha256(csr).hexdigest()}".encode("ascii")
