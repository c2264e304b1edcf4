"""X.509: the only shapes of certificate and CRL that a Tallygate election knows (RFC 5280; design: security).

What lives here: pure functions from keys and names to certificates. Nothing is read, written or remembered.

======  =====================================================================================================
root    CA, pathLen 1, keyCertSign and cRLSign
CA      CA, pathLen 0, keyCertSign and cRLSign; one definition only
client  not a CA, digitalSignature, clientAuth, exactly one URI SAN ``urn:tallygate:<election>:<role>:<id>``
server  not a CA, digitalSignature, serverAuth, DNS and IP SANs
======  =====================================================================================================

BasicConstraints and KeyUsage are critical everywhere; every certificate has SKI, all but the root an AKI.
There is no CRL distribution point: the gateway is handed its CRL, a box never fetches one.
"""

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.base.clock import DAY, HOUR, MAX_TIME, SECOND, to_datetime
from gateway.base.errors import TallygateError

PrivateKey: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey
PublicKey: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey
# Ed25519 is the cheapest to check; P-256 is for clients (and HSMs) that know nothing newer.
Algorithm: TypeAlias = Literal["ed25519", "p256"]
ALGORITHMS: Final[tuple[Algorithm, ...]] = ("ed25519", "p256")

# Certificates begin an hour ago: a box whose clock is slow by less still trusts its gateway.
BACKDATE = HOUR
# Boxes that were snowed in, recounts and courts: a month after the close everything has been uploaded.
LEAF_AFTER_CLOSE = 30 * DAY
# An election can be postponed; the CA then still reaches beyond the new leaves.
CA_AFTER_CLOSE = 150 * DAY
# A CA made before the date is known: an election is seldom prepared for longer than this.
CA_LIFETIME = 400 * DAY
# The root outlives several elections; public roots live 15 to 25 years, ours is used a few times only.
ROOT_LIFETIME = 3_650 * DAY
# "At least 14 days after the close" (design: security); stations abroad close up to a day later.
CRL_AFTER_CLOSE = 16 * DAY
# A CRL made after all that still has to last until the next one is made.
CRL_MINIMUM = 7 * DAY

# Bits of a serial: no two are ever equal, and nobody can guess the next (CA/Browser Forum: at least 64).
SERIAL_BITS = 128

# What a revocation may say (RFC 5280, 5.3.1); without "hold", which could be lifted again.
Reason: TypeAlias = Literal[
    "unspecified",
    "key-compromise",
    "affiliation-changed",
    "superseded",
    "cessation-of-operation",
    "privilege-withdrawn",
]
REASONS: Final[dict[Reason, x509.ReasonFlags]] = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key-compromise": x509.ReasonFlags.key_compromise,
    "affiliation-changed": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessation-of-operation": x509.ReasonFlags.cessation_of_operation,
    "privilege-withdrawn": x509.ReasonFlags.privilege_withdrawn,
}

# SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes }: what stands before the key.
_ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")
_DNS_NAME = re.compile(r"(?=.{1,253}\Z)(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)
_CA_USE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_LEAF_USE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
_NOT_A_CA = x509.BasicConstraints(ca=False, path_length=None)
_CLIENT_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
_SERVER_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


@dataclass(frozen=True)
class Issuer:
    """A certificate that signs others, with its key (never shown)."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)


class Validity(NamedTuple):
    """From and until when, in ms; certificates hold whole seconds."""

    not_before: int
    not_after: int


def make_key(algorithm: Algorithm) -> PrivateKey:
    """A new key pair from the operating system's randomness."""
    return Ed25519PrivateKey.generate() if algorithm == "ed25519" else generate_private_key(SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """PKCS #8 in PEM without a password: the file's permissions and the place it is kept protect it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(data: bytes, *, place: str) -> PrivateKey:
    """Reads what `key_pem` writes.

    Raises:
        TallygateError: ``pki.key``; it says nothing about the content.
    """
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PrivateKey) or (
        isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1)
    ):
        return key
    raise TallygateError(
        "pki.key", "this is no private key for Ed25519 or P-256 in PEM without a password", place=place
    )


def load_certificate(data: bytes, *, place: str) -> x509.Certificate:
    """Reads one certificate in PEM.

    Raises:
        TallygateError: ``pki.certificate``.
    """
    try:
        return x509.load_pem_x509_certificate(data)
    except (ValueError, x509.InvalidVersion):
        raise TallygateError("pki.certificate", "this is no certificate in PEM", place=place) from None


def parse_certificate(der: bytes) -> x509.Certificate:
    """Reads DER that the index keeps (and nothing that came from outside)."""
    return x509.load_der_x509_certificate(der)


def certificate_der(certificate: x509.Certificate) -> bytes:
    """DER of one certificate."""
    return certificate.public_bytes(serialization.Encoding.DER)


def certificate_sha256(certificate: x509.Certificate) -> str:
    """What people compare: hex SHA-256 of its DER."""
    return hashlib.sha256(certificate_der(certificate)).hexdigest()


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """PEM of one certificate."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def public_key_der(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo, points uncompressed: equal keys have equal bytes."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def ed25519_der(raw: bytes) -> bytes:
    """SubjectPublicKeyInfo (RFC 8410, 4) of an Ed25519 public key of 32 bytes."""
    return _ED25519_PREFIX + raw


def key_id(der: bytes) -> str:
    """By what a public key is known, whatever it is used for: hex SHA-256 of its SubjectPublicKeyInfo."""
    return hashlib.sha256(der).hexdigest()


def load_public_key(der: bytes) -> PublicKey:
    """Reads what `public_key_der` writes (and nothing that came from outside)."""
    key = supported(serialization.load_der_public_key(der))
    if key is None:
        raise TallygateError("pki.key", "this public key is neither Ed25519 nor P-256")
    return key


def supported(key: object) -> PublicKey | None:
    """The key if it is Ed25519 or P-256: nothing else gets a certificate."""
    if isinstance(key, Ed25519PublicKey) or (
        isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    ):
        return key
    return None


def random_serial() -> int:
    """A positive serial number of `SERIAL_BITS` random bits."""
    return secrets.randbits(SERIAL_BITS) or 1


def serial_text(serial: int) -> str:
    """The serial as everyone here writes it: 32 lower hex digits."""
    return f"{serial:032x}"


def leaf_validity(now: int, closes_at: int) -> Validity:
    """How long the certificate of a client or server is good."""
    return Validity(now - BACKDATE, closes_at + LEAF_AFTER_CLOSE)


def ca_validity(now: int, closes_at: int | None) -> Validity:
    """How long an election CA is good; `closes_at` may not be known yet.

    Raises:
        TallygateError: ``pki.expires``: nothing that it signs could be good.
    """
    if closes_at is not None:
        _insist(leaf_validity(now, closes_at))
    return Validity(now - BACKDATE, now + CA_LIFETIME if closes_at is None else closes_at + CA_AFTER_CLOSE)


def root_validity(now: int) -> Validity:
    """How long a root is good."""
    return Validity(now - BACKDATE, now + ROOT_LIFETIME)


def crl_next_update(now: int, closes_at: int) -> int:
    """Until when a CRL made now is fresh."""
    return max(closes_at + CRL_AFTER_CLOSE, now + CRL_MINIMUM)


def issue_root(key: PrivateKey, validity: Validity) -> Issuer:
    """Makes a self-signed root."""
    public = key.public_key()
    name = _key_name("Tallygate root", public)
    builder = (
        _builder(name, public, random_serial(), validity)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_CA_USE, critical=True)
    )
    return Issuer(builder.sign(key, _hash_for(key)), key)


def issue_ca(root: Issuer, key: PrivateKey, election: str, validity: Validity) -> Issuer:
    """Makes the CA of one election under the root.

    Raises:
        TallygateError: ``pki.expires``: it would outlive its root.
    """
    public = key.public_key()
    certificate = _issue(
        root,
        _builder(_key_name(f"Tallygate CA {election}", public), public, random_serial(), validity)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CA_USE, critical=True),
        validity,
    )
    return Issuer(certificate, key)


def issue_client(
    ca: Issuer, public: PublicKey, common_name: str, uri: str, serial: int, validity: Validity
) -> x509.Certificate:
    """Makes the certificate of a device, a courier or a member of the commission.

    Args:
        ca: the election CA.
        public: the TLS key.
        common_name: for people; nothing reads it.
        uri: the one identity (`gateway.pki.names.certificate_uri`).
        serial: from `random_serial`.
        validity: from `leaf_validity`.

    Raises:
        TallygateError: ``pki.expires``: it would outlive its CA, or be expired already.
    """
    return _issue(
        ca,
        _builder(_name(common_name), public, serial, validity)
        .add_extension(_NOT_A_CA, critical=True)
        .add_extension(_LEAF_USE, critical=True)
        .add_extension(_CLIENT_AUTH, critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False),
        validity,
    )


def issue_server(
    ca: Issuer, public: PublicKey, common_name: str, names: Sequence[str], serial: int, validity: Validity
) -> x509.Certificate:
    """Makes the gateway's certificate for these host names and IP addresses, each once.

    Raises:
        TallygateError: ``pki.name``: not a host name or address; ``pki.expires``.
    """
    return _issue(
        ca,
        _builder(_name(common_name), public, serial, validity)
        .add_extension(_NOT_A_CA, critical=True)
        .add_extension(_LEAF_USE, critical=True)
        .add_extension(_SERVER_AUTH, critical=False)
        .add_extension(x509.SubjectAlternativeName(list(dict.fromkeys(map(_host, names)))), critical=False),
        validity,
    )


def issue_crl(
    ca: Issuer, revoked: Iterable[tuple[int, int, Reason]], number: int, now: int, next_update: int
) -> x509.CertificateRevocationList:
    """Makes the CRL of everything this CA has revoked.

    Args:
        ca: the election CA.
        revoked: serial, time of revocation (ms), reason.
        number: the CRL number; grows with each.
        now: ms; like a certificate's, its time begins `BACKDATE` ago.
        next_update: ms.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(to_datetime(_whole(now - BACKDATE)))
        .next_update(to_datetime(_whole(next_update)))
        .add_extension(_authority(ca), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial, at, reason in revoked:
        entry = (
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(to_datetime(_whole(at)))
        )
        # RFC 5280, 5.3.1: "unspecified" is said by leaving the extension out.
        if reason != "unspecified":
            entry = entry.add_extension(x509.CRLReason(REASONS[reason]), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(ca.key, _hash_for(ca.key))


def crl_number(data: bytes, *, place: str) -> int:
    """The number of a CRL in PEM.

    Raises:
        TallygateError: ``pki.crl``.
    """
    try:
        crl = x509.load_pem_x509_crl(data)
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (ValueError, x509.ExtensionNotFound):
        raise TallygateError(
            "pki.crl", "this is no CRL that Tallygate wrote; move it away and make a new one", place=place
        ) from None


def crl_times(data: bytes, *, place: str) -> tuple[datetime, datetime]:
    """When a CRL in PEM was made, and when the next one is due.

    Raises:
        TallygateError: ``pki.crl``.
    """
    try:
        crl = x509.load_pem_x509_crl(data)
        due = crl.next_update_utc
    except ValueError:
        due = None
    if due is None:
        raise TallygateError("pki.crl", "this is no CRL in PEM that says when it ends", place=place)
    return crl.last_update_utc, due


def insist_within(issuer: Issuer, not_after: int) -> None:
    """Refuses what would outlive its issuer.

    Raises:
        TallygateError: ``pki.expires``.
    """
    until = issuer.certificate.not_valid_after_utc
    if not_after > MAX_TIME or to_datetime(not_after) > until:
        raise TallygateError(
            "pki.expires",
            f"this certificate would end on {to_datetime(min(not_after, MAX_TIME)):%Y-%m-%d}, but its issuer "
            f"ends on {until:%Y-%m-%d}: make a new CA (or root), or give an earlier closing time",
        )


def _insist(validity: Validity) -> None:
    """Refuses dates that no certificate can have."""
    if not validity.not_before + BACKDATE < validity.not_after <= MAX_TIME:
        late = validity.not_after > MAX_TIME
        end = "after the year 9999" if late else f"on {to_datetime(validity.not_after):%Y-%m-%d}, in the past"
        raise TallygateError(
            "pki.expires",
            f"this certificate would end {end}: is the year of the closing time right, and this computer's "
            "clock?",
        )


def _issue(issuer: Issuer, builder: x509.CertificateBuilder, validity: Validity) -> x509.Certificate:
    insist_within(issuer, _whole(validity.not_after))
    return (
        builder.issuer_name(issuer.certificate.subject)
        .add_extension(_authority(issuer), critical=False)
        .sign(issuer.key, _hash_for(issuer.key))
    )


def _builder(
    subject: x509.Name, public: PublicKey, serial: int, validity: Validity
) -> x509.CertificateBuilder:
    _insist(validity)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(to_datetime(_whole(validity.not_before)))
        .not_valid_after(to_datetime(_whole(validity.not_after)))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _authority(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    subject_key = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key.value)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_name(prefix: str, public: PublicKey) -> x509.Name:
    """A CA's name ends in 8 hex digits of its key: two with one name confuse every verifier that has both."""
    return _name(f"{prefix} {key_id(public_key_der(public))[:8]}")


def _hash_for(key: PrivateKey) -> hashes.SHA256 | None:
    return None if isinstance(key, Ed25519PrivateKey) else hashes.SHA256()


def _whole(at: int) -> int:
    return at - at % SECOND


def _host(name: str) -> x509.GeneralName:
    try:
        # A scope (fe80::1%eth0) has no place in a certificate.
        return x509.IPAddress(ipaddress.ip_address(name.replace("%", " ")))
    except ValueError:
        pass
    # What ends in digits was meant to be an address (RFC 1123, 2.1): no top-level domain does.
    if not _DNS_NAME.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise TallygateError(
            "pki.name",
            f"{name[:60]!r} is neither an IP address nor a host name in lower case (a-z, 0-9, - and dots; "
            "international names in their xn-- form, no wildcards)",
        )
    return x509.DNSName(name)
