"""A device's keys and request; the gateway's own reader judges the request."""

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.box import enrol
from clients.box.enrol import TlsKind
from clients.wire.errors import WireError
from gateway.base.errors import TallygateError
from gateway.pki.requests import check_request


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_the_gateway_takes_the_request(kind: TlsKind) -> None:
    made = enrol.make("talas-2026", 12, kind)
    checked = check_request(made.request, "talas-2026")
    assert str(checked.holder) == "12"
    assert checked.sign_key == bytes(made.signing.verify_key).hex()
    key = serialization.load_pem_private_key(made.tls_key, None)
    assert isinstance(key, Ed25519PrivateKey if kind == "ed25519" else EllipticCurvePrivateKey)
    assert checked.tls_key == key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert set(json.loads(made.request)) == {"device", "csr", "sign_key", "proof"}
    assert json.loads(made.request)["csr"].encode() == made.csr


def test_the_proof_is_for_one_election_and_device() -> None:
    made = enrol.make("talas-2026", 12, "ed25519")
    with pytest.raises(TallygateError) as caught:
        check_request(made.request, "naryn-2026")
    assert caught.value.code == "enrol.proof"
    other = json.dumps({**json.loads(made.request), "device": 13}).encode()
    with pytest.raises(TallygateError) as caught:
        check_request(other, "talas-2026")
    assert caught.value.code == "enrol.proof"


def test_every_device_has_keys_of_its_own() -> None:
    one, other = (enrol.make("talas-2026", 12, "ed25519") for _ in range(2))
    assert one.signing != other.signing
    assert one.tls_key != other.tls_key
    seed = bytes(one.signing)
    assert seed.hex() not in one.request.decode()
    assert seed not in one.tls_key
    assert seed.hex() not in repr(one)
    assert "PRIVATE" not in repr(one)


def test_the_longest_names_fit() -> None:
    made = enrol.make("a" * 40, 2**53 - 1, "p256")
    assert check_request(made.request, "a" * 40).holder.number == 2**53 - 1


@pytest.mark.parametrize("election", ["", "Talas", "-talas", "a" * 41, "talas 2026", "талас", "a\n"])
def test_no_id_of_an_election(election: str) -> None:
    with pytest.raises(WireError) as caught:
        enrol.judge_election(election)
    assert caught.value.code == "enrol.election"
