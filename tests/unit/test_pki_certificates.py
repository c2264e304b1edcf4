import base64
import hashlib
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.clock import DAY, HOUR, MAX_TIME, to_datetime
from gateway.base.errors import TallygateError
from gateway.pki import certificates as x
from gateway.pki.names import Holder, certificate_uri, check_election, parse_holder
from tests.unit.pki_helpers import CLOSES_AT, ELECTION, NOW


@pytest.fixture(params=x.ALGORITHMS)
def root(request: pytest.FixtureRequest) -> x.Issuer:
    return x.issue_root(x.make_key(request.param), x.root_validity(NOW))


@pytest.fixture
def ca(root: x.Issuer) -> x.Issuer:
    key = x.make_key("ed25519" if isinstance(root.key, Ed25519PrivateKey) else "p256")
    return x.issue_ca(root, key, ELECTION, x.ca_validity(NOW, CLOSES_AT))


def client(ca: x.Issuer, algorithm: x.Algorithm = "ed25519") -> x509.Certificate:
    public = x.make_key(algorithm).public_key()
    uri = certificate_uri(ELECTION, "box", 12)
    return x.issue_client(ca, public, "box 12", uri, x.random_serial(), x.leaf_validity(NOW, CLOSES_AT))


def constraints(certificate: x509.Certificate) -> tuple[bool, bool, int | None]:
    found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    return found.critical, found.value.ca, found.value.path_length


@pytest.mark.parametrize("algorithm", x.ALGORITHMS)
def test_the_shape_of_a_client_certificate(ca: x.Issuer, algorithm: x.Algorithm) -> None:
    certificate = client(ca, algorithm)
    certificate.verify_directly_issued_by(ca.certificate)
    extensions = certificate.extensions
    assert constraints(certificate) == (True, False, None)
    use = extensions.get_extension_for_class(x509.KeyUsage)
    assert use.critical
    assert use.value.digital_signature
    assert not any((use.value.key_cert_sign, use.value.crl_sign, use.value.key_encipherment))
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.UniformResourceIdentifier("urn:tallygate:hill-2026:box:12")]
    issuer_key = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert authority.key_identifier == issuer_key.digest
    assert extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert len(extensions) == 6
    assert certificate.not_valid_before_utc == to_datetime(NOW - HOUR)
    assert certificate.not_valid_after_utc == to_datetime(CLOSES_AT + 30 * DAY)


def test_the_shape_of_a_server_certificate(ca: x.Issuer) -> None:
    certificate = x.issue_server(
        ca,
        x.make_key("p256").public_key(),
        "server",
        ["results.example", "127.0.0.1", "::1", "0:0::1", "results.example"],
        x.random_serial(),
        x.leaf_validity(NOW, CLOSES_AT),
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [
        x509.DNSName("results.example"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    use = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(use) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert constraints(certificate) == (True, False, None)


def test_the_shape_of_root_and_ca(root: x.Issuer, ca: x.Issuer) -> None:
    root.certificate.verify_directly_issued_by(root.certificate)
    ca.certificate.verify_directly_issued_by(root.certificate)
    assert constraints(root.certificate) == (True, True, 1)
    assert constraints(ca.certificate) == (True, True, 0)
    for issuer in (root, ca):
        use = issuer.certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert use.critical
        assert use.value.key_cert_sign
        assert use.value.crl_sign
        assert not use.value.digital_signature
    assert len(ca.certificate.extensions) == 4


@pytest.mark.parametrize(
    "name",
    ["", "*.example", "Results.example", "a b", "-a.example", "a-.example", "a..b", "a.", "выборы.kg",
     "a" * 64, "192.0.2.300", "1.2.3", "fe80::1%eth0", "127.0.0.1/8",
     "127.0.0.1:8443", "[::1]", "a_b", ".".join(["abc"] * 64)],
)  # fmt: skip
def test_names_that_no_server_has(ca: x.Issuer, name: str) -> None:
    with pytest.raises(TallygateError) as caught:
        x.issue_server(
            ca,
            x.make_key("p256").public_key(),
            "server",
            ["results.example", name],
            1,
            x.leaf_validity(NOW, CLOSES_AT),
        )
    assert caught.value.code == "pki.name"


def test_nothing_outlives_its_issuer(root: x.Issuer, ca: x.Issuer) -> None:
    late = CLOSES_AT + x.CA_AFTER_CLOSE
    with pytest.raises(TallygateError) as caught:
        x.issue_client(ca, x.make_key("p256").public_key(), "box", "urn:x:y", 1, x.leaf_validity(NOW, late))
    assert caught.value.code == "pki.expires"
    with pytest.raises(TallygateError) as caught:
        x.issue_ca(root, x.make_key("p256"), ELECTION, x.ca_validity(NOW, NOW + x.ROOT_LIFETIME))
    assert caught.value.code == "pki.expires"


def test_nothing_is_issued_that_has_expired(ca: x.Issuer) -> None:
    public = x.make_key("p256").public_key()
    close = NOW - x.LEAF_AFTER_CLOSE
    with pytest.raises(TallygateError) as caught:
        x.issue_client(ca, public, "box", "urn:x:y", 1, x.leaf_validity(NOW, close))
    assert caught.value.code == "pki.expires"
    x.issue_client(ca, public, "box", "urn:x:y", 1, x.leaf_validity(NOW, close + 1))


@pytest.mark.parametrize("closes_at", [0, NOW - x.LEAF_AFTER_CLOSE, MAX_TIME, MAX_TIME - DAY])
def test_closing_times_that_no_ca_is_made_for(root: x.Issuer, closes_at: int) -> None:
    with pytest.raises(TallygateError) as caught:
        x.issue_ca(root, x.make_key("p256"), ELECTION, x.ca_validity(NOW, closes_at))
    assert caught.value.code == "pki.expires"


def test_a_certificate_of_a_version_that_does_not_exist(ca: x.Issuer) -> None:
    der = x.certificate_der(ca.certificate)
    wrong = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020109"), 1)
    assert wrong != der
    text = base64.encodebytes(wrong).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n".encode()
    with pytest.raises(TallygateError) as caught:
        x.load_certificate(pem, place="ca.pem")
    assert caught.value.code == "pki.certificate"


@pytest.mark.parametrize("algorithm", x.ALGORITHMS)
def test_a_key_is_known_by_what_it_is(algorithm: x.Algorithm) -> None:
    public = x.make_key(algorithm).public_key()
    der = x.public_key_der(public)
    assert x.key_id(der) == hashlib.sha256(der).hexdigest()
    if isinstance(public, Ed25519PublicKey):
        assert x.ed25519_der(public.public_bytes_raw()) == der


def test_serials_are_random_positive_and_128_bits() -> None:
    serials = [x.random_serial() for _ in range(1_000)]
    assert len(set(serials)) == len(serials)
    assert all(0 < serial < 2**128 for serial in serials)
    assert max(serials) >= 2**127 > min(serials)
    assert {len(x.serial_text(serial)) for serial in serials} == {32}


def test_the_crl(ca: x.Issuer) -> None:
    revoked: list[tuple[int, int, x.Reason]] = [
        (5, NOW, "key-compromise"),
        (2**128 - 1, NOW + 1, "unspecified"),
    ]
    crl = x.issue_crl(ca, revoked, 77, NOW, x.crl_next_update(NOW, CLOSES_AT))
    public = x.supported(ca.certificate.public_key())
    assert public is not None
    assert crl.is_signature_valid(public)
    assert crl.last_update_utc == to_datetime(NOW - HOUR)
    assert crl.next_update_utc is not None
    assert crl.next_update_utc >= to_datetime(CLOSES_AT + 14 * DAY)
    first = crl.get_revoked_certificate_by_serial_number(5)
    assert first is not None
    assert (
        first.extensions.get_extension_for_class(x509.CRLReason).value.reason
        is x509.ReasonFlags.key_compromise
    )
    second = crl.get_revoked_certificate_by_serial_number(2**128 - 1)
    assert second is not None
    assert len(second.extensions) == 0
    assert crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier


def test_a_crl_made_after_the_election_still_lasts() -> None:
    assert x.crl_next_update(CLOSES_AT + 100 * DAY, CLOSES_AT) == CLOSES_AT + 107 * DAY


def test_no_key_is_ever_shown(ca: x.Issuer) -> None:
    assert "key" not in repr(ca)
    pem = x.key_pem(ca.key)
    for wrong in (
        pem[:-40],
        pem.replace(b"PRIVATE KEY", b"PUBLIC KEY"),
        b"",
        x.key_pem(generate_private_key(SECP384R1())),
    ):
        with pytest.raises(TallygateError) as caught:
            x.load_key(wrong, place="ca.key")
        assert caught.value.code == "pki.key"
        assert caught.value.__cause__ is None
        assert pem.splitlines()[1].decode()[:20] not in repr(caught.value)


@given(st.sampled_from(["device", "courier", "commission"]), st.integers(1, 2**53 - 1))
def test_holders_are_read_as_they_are_written(group: str, number: int) -> None:
    holder = parse_holder(str(number) if group == "device" else f"{group}:{number}")
    assert holder == Holder(holder.group, number)
    assert holder.group == group
    assert parse_holder(str(holder)) == holder


@pytest.mark.parametrize(
    "text",
    ["", "0", "012", "-1", "1.0", "box:1", "device:1", "courier:", "courier:0", str(2**53), "1\n", "١"],
)
def test_what_names_no_holder(text: str) -> None:
    with pytest.raises(TallygateError) as caught:
        parse_holder(text)
    assert caught.value.code == "pki.holder"


@pytest.mark.parametrize("election", ["", "-a", "A", "a_b", "a" * 41, "a\n", "a:b", "é"])
def test_election_ids_that_no_certificate_may_name(election: str) -> None:
    with pytest.raises(TallygateError) as caught:
        check_election(election)
    assert caught.value.code == "pki.election"
