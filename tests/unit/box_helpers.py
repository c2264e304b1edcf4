"""What the tests of clients.box share: an election with a device in its folder, and counts to spoil."""

import json
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.box import enrol, folder
from clients.box.countsfile import CountsError
from tests.unit.wire_election import Election

Values: TypeAlias = dict[str, object]

ELECTION = "example-2027"
DEVICE = 7
# Station 8 closes at 1,800,043,200,000; these are an hour and a bit later.
CLOSED_AT = 1_800_043_300_000
NOW = 1_800_043_400_000

FIGURES_1 = {"in_box": 1000, "valid": 980, "invalid": 20}
FIGURES_2 = {"in_box": 1000, "valid": 990, "invalid": 10}


def result() -> Values:
    """A result of station 8 with nothing to complain about but the missing opening."""
    return {
        "report": "result",
        "station": 8,
        "closed_at": CLOSED_AT,
        "origin": "normal",
        "counter": 2500,
        "figures": {"registered": 1200, "identified": 1000},
        "contests": {
            "1": {"figures": dict(FIGURES_1), "votes": [300, 900, 80]},
            "2": {"figures": dict(FIGURES_2), "votes": {"1": 500, "2": 490}},
        },
    }


def opening() -> Values:
    return {
        "report": "opening",
        "station": 8,
        "counter": 500,
        "firmware": "01" * 32,
        "contests": {"1": {"votes": [0, 0, 0]}, "2": {"votes": [0, 0]}},
    }


def turnout() -> Values:
    return {
        "report": "turnout",
        "station": 8,
        "as_of": "2027-01-15T14:00:00+06:00",
        "figures": {"identified": 412},
    }


def protocol() -> Values:
    return {
        "report": "protocol",
        "station": 8,
        "closed_at": "2027-01-15T20:01:40.5+06:00",
        "cause": "better_scan",
        "corrects": "ab" * 32,
        "contests": {"2": {"figures": {**FIGURES_2, "observers": 3}, "votes": [500, 490]}},
        "attachments": [paper()],
    }


def documents() -> Values:
    return {"report": "documents", "station": 11, "attachments": [paper(), {**paper(), "page": 2}]}


def paper() -> Values:
    return {"sha256": "cd" * 32, "size": 48_211, "media": "tiff", "document": "act_or_complaint"}


def write_json(path: Path, values: Values) -> Path:
    path.write_text(json.dumps(values))
    return path


def make_device(root: Path, device: int = DEVICE) -> Path:
    """An election beside a device's folder that counts by it."""
    if not (root / "definition").exists():
        Election(root)
    path = root / f"box-{device}"
    made = enrol.make(ELECTION, device, "ed25519")
    with folder.created(path, ELECTION, device, made.signing, {folder.TLS_KEY: made.tls_key}) as new:
        new.pin(root / "definition", None)
    return path


def certificate(key: Ed25519PrivateKey | EllipticCurvePrivateKey, uris: Iterable[str]) -> bytes:
    """A certificate in PEM that no CA has signed, but its own key; its names are these URIs."""
    start = datetime(2031, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start)
    )
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    own = builder.sign(key, None if isinstance(key, Ed25519PrivateKey) else hashes.SHA256())
    return own.public_bytes(serialization.Encoding.PEM)


def respelled(pem: bytes, old: bytes, new: bytes) -> bytes:
    """A certificate with some bytes of its DER replaced."""
    der = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
    assert old in der
    return pem_of(der.replace(old, new))


def pem_of(der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).encode()


def codes(error: CountsError) -> list[tuple[str, str]]:
    """Path and code of each fault."""
    return [(fault.path, fault.code.removeprefix("counts.")) for fault in error.faults]
