"""A certificate's bytes, spoiled: refused in words, never with a traceback."""

import random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.box import certificate
from clients.wire.errors import WireError
from gateway.pki.certificates import PrivateKey, key_pem
from tests.unit import box_helpers as box

ED25519 = Ed25519PrivateKey.from_private_bytes(b"\x31" * 32)
P256 = derive_private_key(7, SECP256R1())
OWN = "urn:tallygate:talas-2031:box:7"


def judged(pem: bytes, key: bytes) -> bytes:
    return certificate.judge(pem, key, "talas-2031", 7, certificate.ROLES)


def refusal(pem: bytes, key: bytes) -> str:
    with pytest.raises(WireError) as caught:
        judged(pem, key)
    return caught.value.code


@pytest.mark.parametrize("key", [ED25519, P256])
@pytest.mark.parametrize("role", ["box", "terminal", "desk"])
def test_own(key: PrivateKey, role: str) -> None:
    pem = box.certificate(key, [f"urn:tallygate:talas-2031:{role}:7"])
    assert judged(pem, key_pem(key)) == pem
    # What tools write before it, and a CA behind it, are not kept.
    assert judged(b"Certificate:\n" + pem + box.certificate(P256, []) + key_pem(key), key_pem(key)) == pem


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"),
        # The public key's algorithm, then the signature's too.
        (b"\x30\x05\x06\x03\x2b\x65\x70\x03", b"\x30\x05\x06\x03\x2b\x65\x7f\x03"),
        (b"\x2b\x65\x70", b"\x2b\x65\x7f"),
        # The alternative name as an X.400 address, as something that is no name at all, as no text.
        (b"\x86\x1eurn:", b"\xa3\x1eurn:"),
        (b"\x86\x1eurn:", b"\x99\x1eurn:"),
        (b"\x86\x1eurn:", b"\x86\x1e\xff\xff\xff\xff"),
    ],
)
def test_unknown_to_the_library(old: bytes, new: bytes) -> None:
    pem = box.respelled(box.certificate(ED25519, [OWN]), old, new)
    assert refusal(pem, key_pem(ED25519)) == "certificate.malformed"


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"\xff",
        key_pem(P256),
        key_pem(ED25519).replace(b"MC4CAQ", b"MC4CAR"),
        ED25519.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        ),
    ],
)
def test_another_key(key: bytes) -> None:
    assert refusal(box.certificate(ED25519, [OWN]), key) == "certificate.key"


@pytest.mark.parametrize("key", [ED25519, P256])
def test_any_byte_changed(key: PrivateKey) -> None:
    """Other bytes are refused with a code, or are a certificate of the same key and name."""
    der = x509.load_pem_x509_certificate(box.certificate(key, [OWN])).public_bytes(serialization.Encoding.DER)
    choose = random.Random(7)
    refused = 0
    for place in range(len(der)):
        changed = bytearray(der)
        changed[place] ^= 1 << choose.randrange(8)
        try:
            judged(box.pem_of(bytes(changed)), key_pem(key))
        except WireError as error:
            refused += error.code.startswith("certificate.")
    assert refused > len(der) // 3


@pytest.mark.parametrize("election", ["талас", "", "a b", "\x00", "\udcff"])
def test_a_folder_of_no_election(election: str) -> None:
    """What device.json or site.json names may be anything."""
    with pytest.raises(WireError) as caught:
        certificate.judge(box.certificate(ED25519, [OWN]), key_pem(ED25519), election, 7, certificate.ROLES)
    assert caught.value.code == "certificate.name"
