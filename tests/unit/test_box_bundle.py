"""One device out of a rehearsal's `devices/`; the real ones are read in tests/integration/test_cli_box.py."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.signing import SigningKey

from clients.box import bundle
from clients.wire.errors import WireError
from gateway.pki.certificates import key_pem
from tests.unit.pki_helpers import csr_pem

Line = dict[str, object]

TLS_KEY = Ed25519PrivateKey.from_private_bytes(b"\x31" * 32)


def certificate(key: Ed25519PrivateKey) -> str:
    """A certificate that nobody has checked: signed by its own key."""
    start = datetime(2031, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start)
        .sign(key, None)
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def line(device: int | None, role: str = "box") -> Line:
    seed = bytes([device or 99]) * 32
    return {
        "role": role,
        "id": device or 1,
        "device": device,
        "stations": [101],
        "area": None,
        "sign_seed": seed.hex() if role != "courier" else None,
        "sign_key": bytes(SigningKey(seed).verify_key).hex() if role != "courier" else None,
        "tls_key": key_pem(TLS_KEY).decode(),
        "certificate": certificate(TLS_KEY),
    }


SITE: Line = {
    "addresses": ["127.0.0.1:8443"],
    "ca": "-----BEGIN CERTIFICATE-----",
    "log_key": "rehearsal.invalid/talas+00000000+AA==",
    "definition": "ab" * 32,
    "election": "talas-2031-rehearsal",
    "mode": "rehearsal",
}


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    (tmp_path / "site.json").write_text(json.dumps(SITE))
    write(tmp_path, [line(1), line(2, "desk"), line(None, "courier"), line(None, "commission")])
    return tmp_path


def write(devices: Path, lines: list[Line]) -> None:
    (devices / "bundle.ndjson").write_text("".join(json.dumps(own) + "\n" for own in lines))


def refusal(devices: Path, device: int = 1) -> tuple[str, int | None]:
    with pytest.raises(WireError) as caught:
        bundle.read(devices, device)
    assert SigningKey(b"\x01" * 32).encode().hex() not in str(caught.value)
    return caught.value.code, caught.value.line


def test_found(devices: Path) -> None:
    found = bundle.read(devices, 2)
    assert (found.role, bytes(found.signing)) == ("desk", b"\x02" * 32)
    assert found.site.election == "talas-2031-rehearsal"
    assert found.site_json == (devices / "site.json").read_bytes()
    assert found.tls_key == key_pem(TLS_KEY)
    assert found.certificate.startswith(b"-----BEGIN CERTIFICATE-----")
    assert "02" * 32 not in repr(found)
    assert "PRIVATE" not in repr(found)


def test_not_there(devices: Path) -> None:
    assert refusal(devices, 3) == ("bundle.no_device", None)


@pytest.mark.parametrize("name", ["bundle.ndjson", "site.json"])
def test_no_file(devices: Path, name: str) -> None:
    (devices / name).unlink()
    assert refusal(devices) == ("file.unreadable", None)


@pytest.mark.parametrize(
    "change",
    [
        {"sign_seed": None},
        {"sign_key": None},
        {"sign_seed": "ab"},
        {"sign_key": "ab" * 32},
        {"role": "voter"},
        {"device": "1"},
        {"device": True},
        {"tls_key": ""},
        {"tls_key": key_pem(Ed25519PrivateKey.from_private_bytes(b"\x32" * 32)).decode()},
        {"certificate": ""},
        {"certificate": csr_pem(TLS_KEY)},
    ],
)
def test_malformed_line(devices: Path, change: Line) -> None:
    write(devices, [line(2), {**line(1), **change}])
    assert refusal(devices)[0] == "bundle.malformed"


@pytest.mark.parametrize("text", ["", "\n", "x", "[]", '{"device": 1}', "\xff", "x" * (1024 * 1024 + 1)])
def test_no_line(devices: Path, text: str) -> None:
    (devices / "bundle.ndjson").write_text(text, encoding="latin-1")
    expected = ("bundle.malformed", 1) if text else ("bundle.no_device", None)
    assert refusal(devices) == expected


@pytest.mark.parametrize("name", list(SITE))
def test_site(devices: Path, name: str) -> None:
    (devices / "site.json").write_text(json.dumps({key: SITE[key] for key in SITE if key != name}))
    assert refusal(devices) == ("bundle.malformed", None)
