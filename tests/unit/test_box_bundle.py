"""One device out of a rehearsal's `devices/`; the real ones are read in tests/integration/test_cli_box.py."""

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.signing import SigningKey
from rich.pretty import pretty_repr

from clients.box import bundle
from clients.wire.errors import WireError
from clients.wire.note import VerifierKey
from gateway.pki.certificates import key_pem
from tests.unit import box_helpers as box
from tests.unit.pki_helpers import csr_pem

Line = dict[str, object]

TLS_KEY = Ed25519PrivateKey.from_private_bytes(b"\x31" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"\x32" * 32)


def certificate(name: str, key: Ed25519PrivateKey = TLS_KEY) -> str:
    return box.certificate(key, [f"urn:tallygate:talas-2031-rehearsal:{name}"]).decode()


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
        "certificate": certificate(f"{role}:{device or 1}"),
    }


SITE: Line = {
    "addresses": ["127.0.0.1:8443"],
    "ca": certificate("ca:1"),
    "log_key": str(VerifierKey("rehearsal.invalid/talas", bytes(SigningKey(b"\x33" * 32).verify_key))),
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
    for shown in (repr(found), pretty_repr(found)):
        assert "02" * 32 not in shown
        assert "PRIVATE" not in shown


def test_a_line_shows_no_secrets(devices: Path) -> None:
    own = bundle._find(devices / "bundle.ndjson", 2)
    for shown in (repr(own), str(own), pretty_repr(own)):
        assert "02" * 32 not in shown
        assert "PRIVATE" not in shown


def test_the_certificate_only(devices: Path) -> None:
    """What stands before and behind it in the file would be sent to whoever the device connects to."""
    own = certificate("box:1")
    write(devices, [{**line(1), "certificate": f"text\n{own}{line(2)['tls_key']}"}])
    assert bundle.read(devices, 1).certificate == own.encode()


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
        {"tls_key": key_pem(OTHER_KEY).decode()},
        {"certificate": ""},
        {"certificate": csr_pem(TLS_KEY)},
        {"certificate": certificate("box:2")},
        {"certificate": certificate("terminal:1")},
        {"certificate": box.certificate(TLS_KEY, []).decode()},
        {"certificate": box.certificate(TLS_KEY, ["urn:tallygate:talas-2031:box:1"]).decode()},
        {
            "certificate": box.respelled(
                certificate("box:1").encode(), b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"
            ).decode()
        },
        {"role": "terminal"},
        {"role": "courier", "certificate": certificate("courier:1")},
        {"tls_key": key_pem(OTHER_KEY).decode(), "certificate": certificate("terminal:2", OTHER_KEY)},
    ],
)
def test_malformed_line(devices: Path, change: Line) -> None:
    write(devices, [line(2), {**line(1), **change}])
    assert refusal(devices)[0] == "bundle.malformed"


@pytest.mark.parametrize(
    "text", ["", "\n", "x", "[]", '{"device": 1}', "\xff", "x" * (1024 * 1024 + 1), f'{{"x": {"[" * 200_000}']
)
def test_no_line(devices: Path, text: str) -> None:
    (devices / "bundle.ndjson").write_text(text, encoding="latin-1")
    expected = ("bundle.malformed", 1) if text else ("bundle.no_device", None)
    assert refusal(devices) == expected


def test_a_bad_site(devices: Path) -> None:
    (devices / "site.json").write_text("{}")
    assert refusal(devices) == ("site.malformed", None)


def test_a_live_elections_site(devices: Path) -> None:
    (devices / "site.json").write_text(json.dumps({**SITE, "mode": "live"}))
    assert refusal(devices) == ("bundle.malformed", None)


@pytest.mark.parametrize("name", ["bundle.ndjson", "site.json"])
def test_a_pipe_does_not_hold_up(devices: Path, name: str) -> None:
    (devices / name).unlink()
    os.mkfifo(devices / name)
    assert refusal(devices) == ("file.unreadable", None)
