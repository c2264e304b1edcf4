import base64
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.errors import TallygateError
from gateway.pki.names import Holder
from gateway.pki.requests import MAX_REQUEST_BYTES, check_request
from tests.unit.pki_helpers import (
    ELECTION,
    Fields,
    commission_fields,
    courier_fields,
    csr_builder,
    csr_pem,
    device_fields,
    encode,
    proof,
)

# A point of order 8 and the identity: signatures under them mean nothing.
SMALL_ORDER = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
IDENTITY = "01" + "00" * 31


def code_of(data: bytes, election: str = ELECTION) -> str:
    with pytest.raises(TallygateError) as caught:
        check_request(data, election, place="request.json")
    assert caught.value.place == "request.json"
    return caught.value.code


def spoiled(**changes: object) -> bytes:
    return encode({**device_fields(), **changes})


def without(field: str) -> bytes:
    fields = device_fields()
    del fields[field]
    return encode(fields)


@pytest.mark.parametrize("tls", ["ed25519", "p256"])
def test_a_good_device_request(tls: str) -> None:
    key = Ed25519PrivateKey.generate() if tls == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    fields = device_fields(12, tls=key)
    checked = check_request(encode(fields), ELECTION)
    assert checked.holder == Holder("device", 12)
    assert checked.sign_key == fields["sign_key"]
    assert checked.tls_key == key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_good_requests_of_couriers_and_members() -> None:
    courier = check_request(encode(courier_fields(3)), ELECTION)
    assert (courier.holder, courier.sign_key) == (Holder("courier", 3), None)
    member = check_request(encode(commission_fields(2)), ELECTION)
    assert str(member.holder) == "commission:2"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"device":1}',
        b"[" * 10_000,
        without("device"),
        without("csr"),
        without("sign_key"),
        without("proof"),
        spoiled(device=0),
        spoiled(device=-1),
        spoiled(device=2**53),
        spoiled(device="12"),
        spoiled(device=12.0),
        spoiled(device=True),
        spoiled(device=None),
        spoiled(courier=1),
        spoiled(commission=1),
        spoiled(kind="box"),
        spoiled(sign_key="AB" * 32),
        spoiled(sign_key="ab" * 31),
        spoiled(sign_key=None),
        spoiled(proof="ab" * 63),
        spoiled(proof="ab" * 64 + "\n"),
        spoiled(csr="A" * 8_193),
        encode({**courier_fields(), "sign_key": "ab" * 32}),
        encode({**courier_fields(), "sign_key": "ab" * 32, "proof": "ab" * 64}),
        encode({key: value for key, value in commission_fields().items() if key != "proof"}),
        spoiled()[:-1],
        b'{"device": 12, ' + spoiled()[1:],
        spoiled()[:-1] + b', "\\u0064evice": 12}',
        spoiled() + b"{}",
    ],
)
def test_malformed(data: bytes) -> None:
    assert code_of(data) == "enrol.malformed"


def test_a_huge_request_is_not_even_parsed() -> None:
    good = encode(device_fields())
    check_request(good + b" " * (MAX_REQUEST_BYTES - len(good)), ELECTION)
    assert code_of(good + b" " * (MAX_REQUEST_BYTES - len(good) + 1)) == "enrol.size"


def test_csr_must_be_exactly_one_pem_block() -> None:
    pem = csr_pem(Ed25519PrivateKey.generate())
    lines = pem.splitlines()
    for wrong in (
        "",
        pem.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
        pem + pem,
        "subject: box 12\n" + pem,
        pem.replace("\n", " "),
        pem.replace(lines[1], lines[1][:-1]),
        pem.replace(lines[1], "AAAA" + lines[1]),
        pem.replace(lines[2], lines[2] + "AAAA"),
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    ):
        assert code_of(spoiled(csr=wrong)) == "enrol.csr", wrong
    assert code_of(spoiled(csr=pem)) == "enrol.proof"  # well formed, but another CSR than the proof's
    # What a Windows program or a text field without its last line break makes of it is the same request.
    sign = Ed25519PrivateKey.generate()
    fields = device_fields(sign=sign)
    for same in (str(fields["csr"]).replace("\n", "\r\n"), str(fields["csr"]).rstrip("\n")):
        check_request(encode({**fields, "csr": same}), ELECTION)


def test_only_ed25519_and_p256() -> None:
    keys = (
        rsa.generate_private_key(65537, 2048),
        dsa.generate_private_key(2048),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        Ed448PrivateKey.generate(),
    )
    for key in keys:
        assert code_of(encode(device_fields(tls=key))) == "enrol.csr_key", key


def test_a_tls_key_of_small_order_is_refused() -> None:
    # The key of a good CSR is overwritten in its DER; the place is found by its own bytes.
    key = Ed25519PrivateKey.generate()
    pem = csr_pem(key)
    der = x509.load_pem_x509_csr(pem.encode()).public_bytes(serialization.Encoding.DER)
    assert code_of(
        spoiled(csr=to_pem(der.replace(key.public_key().public_bytes_raw(), bytes.fromhex(IDENTITY))))
    ) == ("enrol.csr_key")


def to_pem(der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize("tls", ["ed25519", "p256"])
def test_a_csr_that_its_key_did_not_sign(tls: str) -> None:
    key = Ed25519PrivateKey.generate() if tls == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    der = bytearray(x509.load_pem_x509_csr(csr_pem(key).encode()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    assert code_of(spoiled(csr=to_pem(bytes(der)))) == "enrol.csr_signature"


def test_a_csr_signed_over_a_weak_hash() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = csr_builder().sign(key, hashes.SHA224())
    pem = csr.public_bytes(serialization.Encoding.PEM).decode()
    assert code_of(spoiled(csr=pem)) == "enrol.csr_signature"


def test_what_a_csr_asks_for_is_ignored() -> None:
    builder = (
        csr_builder()
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:tallygate:x:commission:1")]),
            critical=False,
        )
        .add_attribute(x509.ObjectIdentifier("1.2.840.113549.1.9.7"), b"challenge")
    )
    tls, sign = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    pem = csr_pem(tls, builder)
    fields: Fields = {
        "device": 12,
        "csr": pem,
        "sign_key": sign.public_key().public_bytes_raw().hex(),
        "proof": proof(sign, pem, "12"),
    }
    assert check_request(encode(fields), ELECTION).holder == Holder("device", 12)


@pytest.mark.parametrize("key", [SMALL_ORDER, IDENTITY, "00" * 32, "ff" * 32])
def test_signing_keys_that_may_not_be_enrolled(key: str) -> None:
    assert code_of(spoiled(sign_key=key)) == "enrol.sign_key"


def test_one_key_for_both_uses() -> None:
    key = Ed25519PrivateKey.generate()
    assert code_of(encode(device_fields(tls=key, sign=key))) == "enrol.same_key"


def test_proofs_that_prove_something_else() -> None:
    sign, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    fields = device_fields(12, sign=sign)
    pem = str(fields["csr"])
    for wrong in (
        proof(other, pem, "12"),
        proof(sign, pem, "13"),
        proof(sign, pem, "012"),
        proof(sign, pem, "commission:12"),
        proof(sign, pem, "12", "hill-2027"),
        proof(sign, csr_pem(Ed25519PrivateKey.generate()), "12"),
        sign.sign(b"").hex(),
        "00" * 64,
    ):
        assert code_of(encode({**fields, "proof": wrong})) == "enrol.proof"
    assert code_of(encode(fields), "hill-2026-rehearsal") == "enrol.proof"
    swapped = device_fields(12, sign=sign)
    assert code_of(encode({**fields, "csr": swapped["csr"]})) == "enrol.proof"


def test_a_device_cannot_become_a_member() -> None:
    sign = Ed25519PrivateKey.generate()
    fields = device_fields(1, sign=sign)
    del fields["device"]
    assert code_of(encode({**fields, "commission": 1})) == "enrol.proof"


def test_nothing_secret_is_said() -> None:
    fields = device_fields()
    for field, value in (("proof", "00" * 64), ("sign_key", IDENTITY)):
        with pytest.raises(TallygateError) as caught:
            check_request(encode({**fields, field: value}), ELECTION)
        assert value not in str(caught.value)


@given(st.binary(max_size=300))
def test_rubbish_never_leaves_the_error_tree(data: bytes) -> None:
    with pytest.raises(TallygateError):
        check_request(data, ELECTION)


@pytest.mark.parametrize("version", [1, 2, 127])
def test_a_csr_of_a_version_that_does_not_exist(version: int) -> None:
    der = good_der()
    wrong = der.replace(b"\x02\x01\x00", b"\x02\x01" + bytes([version]), 1)
    assert code_of(spoiled(csr=to_pem(wrong))) == "enrol.csr"


def good_der() -> bytes:
    pem = csr_pem(Ed25519PrivateKey.generate())
    return x509.load_pem_x509_csr(pem.encode()).public_bytes(serialization.Encoding.DER)


DER = good_der()


@given(st.integers(0, len(DER) - 1), st.integers(1, 255))
def test_no_changed_byte_of_a_csr_leaves_the_error_tree(position: int, change: int) -> None:
    der = bytearray(DER)
    der[position] ^= change
    code = code_of(spoiled(csr=to_pem(bytes(der))))
    # What no signature covers (unused bits of the last byte) is still under the proof.
    assert code in {"enrol.csr", "enrol.csr_key", "enrol.csr_signature", "enrol.proof"}


GOOD = encode(device_fields())


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_passes_unnoticed(position: int, change: int) -> None:
    data = bytearray(GOOD)
    data[position] ^= change
    try:
        checked = check_request(bytes(data), ELECTION)
    except TallygateError:
        return
    # Only white space (also PEM's) may differ: the content is what was signed.
    assert checked == check_request(GOOD, ELECTION)
    assert json.loads(data).keys() == json.loads(GOOD).keys()
