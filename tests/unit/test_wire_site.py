"""`site.json`: every field is judged before a device believes it."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.signing import SigningKey

from clients.wire.errors import WireError
from clients.wire.note import VerifierKey
from clients.wire.site import MAX_SITE_BYTES, Address, Site
from tests.unit.box_helpers import certificate

CA = certificate(Ed25519PrivateKey.from_private_bytes(b"\x34" * 32), []).decode()
LOG = VerifierKey("log.example/2031", bytes(SigningKey(b"\x35" * 32).verify_key))
GOOD: dict[str, object] = {
    "addresses": ["gateway.example:8443", "192.0.2.1:443", "[2001:db8::1]:8443"],
    "ca": CA,
    "log_key": str(LOG),
    "definition": "ab" * 32,
    "election": "talas-2031",
    "mode": "live",
}


def parse(values: dict[str, object]) -> Site:
    return Site.parse(json.dumps(values).encode(), "site.json")


def test_good() -> None:
    assert parse({**GOOD, "comment": "somebody's"}) == Site(
        addresses=(
            Address("gateway.example", 8443),
            Address("192.0.2.1", 443),
            Address("2001:db8::1", 8443),
        ),
        ca=CA,
        log_key=LOG,
        definition=b"\xab" * 32,
        election="talas-2031",
        mode="live",
    )


@pytest.mark.parametrize("text", ["a:1", "box-1.example.:65535", "127.0.0.1:8443", "[::1]:80"])
def test_an_address_and_back(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "a", ":1", "a:", "a:0", "a:65536", "a:01", "a:-1", "a:x", "::1:80", "[::1]", "[::1:80", "[a]:1",
        "https://a:1", "a/b:1", "a b:1", "a..b:1", "-a:1", "ä:1", "a\n:1", "a" * 64 + ":1",
        "a." * 127 + "a:1",
    ],
)  # fmt: skip
def test_no_address(text: str) -> None:
    assert Address.parse(text) is None


@pytest.mark.parametrize("name", list(GOOD))
def test_a_field_is_missing(name: str) -> None:
    with pytest.raises(WireError) as caught:
        parse({key: value for key, value in GOOD.items() if key != name})
    assert caught.value.code == "site.malformed"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("addresses", []),
        ("addresses", ["a:1"] * 33),
        ("addresses", ["a"]),
        ("addresses", "a:1"),
        ("ca", ""),
        ("ca", CA + CA),
        ("ca", "-----BEGIN CERTIFICATE-----"),
        ("ca", "/etc/ssl/ca.pem"),
        ("log_key", ""),
        ("log_key", f"{LOG}A"),
        ("definition", "AB" * 32),
        ("election", "Talas 2031"),
        ("mode", "test"),
    ],
)
def test_a_bad_field(name: str, value: object) -> None:
    with pytest.raises(WireError) as caught:
        parse({**GOOD, name: value})
    assert (caught.value.code, caught.value.file) == ("site.malformed", "site.json")


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'{"x": ' + b"[" * 200_000, bytes(MAX_SITE_BYTES + 1)])
def test_no_json(data: bytes) -> None:
    with pytest.raises(WireError) as caught:
        Site.parse(data, "site.json")
    assert caught.value.code == "site.malformed"
