"""The box port's TLS: what it is configured with, whom it lets in, and what those hear whom it refuses."""

import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from gateway import _core
from gateway.base.clock import DAY, HOUR, SECOND, to_datetime
from gateway.base.errors import CoreError
from gateway.pki import certificates as x
from gateway.pki.names import Role, certificate_uri
from tests.unit.pki_helpers import CLOSES_AT, ELECTION, NOW
from tests.unit.tls_helpers import BOX, SERIALS, VALIDITY, Client, Door, Shown

ROLES: tuple[Role, ...] = ("box", "terminal", "desk", "courier", "commission")


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest.fixture(scope="module")
def stranger() -> Door:
    return Door(seed=2)


def refused(config: Callable[[], _core.TlsConfig], code: str, file: str, words: str) -> None:
    with pytest.raises(CoreError) as caught:
        config()
    assert (caught.value.code, caught.value.file, caught.value.place) == (code, file, file)
    assert words in caught.value.detail
    assert "PRIVATE" not in str(caught.value)


def heard(client: Client) -> tuple[str | None, str]:
    """Why the server refuses this client, and the alert that the client reads."""
    assert client.handshake() == "failed"
    assert client.connection.peer is None
    assert client.connection.failure_detail
    assert client.connection.feed(b"anything") == ("failed", b"")
    return client.connection.failure, client.alert()


# --- Whom the door knows ---


@pytest.mark.parametrize("server", x.ALGORITHMS)
@pytest.mark.parametrize("ca", x.ALGORITHMS)
@pytest.mark.parametrize("algorithm", x.ALGORITHMS)
def test_every_key_that_enrolment_knows(
    tmp_path: Path, ca: x.Algorithm, server: x.Algorithm, algorithm: x.Algorithm
) -> None:
    door = Door(ca)
    client = Client(
        door.config(server=door.issue_server(algorithm=server)), tmp_path, door.client(algorithm=algorithm)
    )
    assert client.handshake() == "more"
    assert client.tls.version() == "TLSv1.3"
    cipher = client.tls.cipher()
    assert cipher is not None
    assert cipher[0] == "TLS_AES_128_GCM_SHA256"
    peer = client.connection.peer
    assert peer is not None
    assert (peer.role, peer.id, peer.serial) == ("box", 12, SERIALS["box"].to_bytes(16, "big"))
    assert peer.not_after == VALIDITY.not_after
    assert client.connection.peer is peer
    assert repr(peer) == "<Peer box 12>"
    assert (client.connection.failure, client.connection.failure_detail) == (None, None)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", [1, 2**53 - 1])
def test_every_holder(door: Door, tmp_path: Path, role: Role, number: int) -> None:
    shown = door.client(certificate_uri(ELECTION, role, number), serial=SERIALS["server"])
    client = Client(door.config(), tmp_path, shown)
    assert client.handshake() == "more"
    peer = client.connection.peer
    assert peer is not None
    assert (peer.role, peer.id, peer.serial) == (role, number, b"\3")


URIS = [
    certificate_uri("other", "box", 12),
    f"urn:tallygate:{ELECTION.upper()}:box:12",
    f"urn:tallygate:{ELECTION}:server:12",
    f"urn:tallygate:{ELECTION}:Box:12",
    f"urn:tallygate:{ELECTION}::12",
    f"urn:tallygate:{ELECTION}:box:0",
    f"urn:tallygate:{ELECTION}:box:012",
    f"urn:tallygate:{ELECTION}:box:+12",
    f"urn:tallygate:{ELECTION}:box:-12",
    f"urn:tallygate:{ELECTION}:box: 12",
    f"urn:tallygate:{ELECTION}:box:",
    f"urn:tallygate:{ELECTION}:box:x",
    f"urn:tallygate:{ELECTION}:box:{2**53}",
    f"urn:tallygate:{ELECTION}:box:{2**64 + 12}",
    f"urn:tallygate:{ELECTION}:box:12:",
    f"urn:tallygate:{ELECTION}:box",
    f"URN:tallygate:{ELECTION}:box:12",
    f"x{BOX}",
    "",
]


@pytest.mark.parametrize("uri", URIS)
def test_another_identity_is_refused(door: Door, tmp_path: Path, uri: str) -> None:
    client = Client(door.config(), tmp_path, door.odd([x509.UniformResourceIdentifier(uri)]))
    assert heard(client) == ("protocol", "TLSV1_ALERT_ACCESS_DENIED")


NAME = x509.UniformResourceIdentifier(BOX)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
DENIED, UNFIT = "TLSV1_ALERT_ACCESS_DENIED", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"


@pytest.mark.parametrize(
    ("names", "uses", "alert"),
    [
        ([], [CLIENT], DENIED),
        ([NAME, NAME], [CLIENT], DENIED),
        ([NAME, x509.DNSName("localhost")], [CLIENT], DENIED),
        ([x509.DNSName(BOX)], [CLIENT], DENIED),
        ([x509.RFC822Name("a@b")], [CLIENT], DENIED),
        ([NAME], [], DENIED),
        ([NAME], [CLIENT, SERVER], DENIED),
        ([NAME], [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, CLIENT], DENIED),
        ([NAME], [SERVER], UNFIT),
    ],
)
def test_another_shape_is_refused(
    door: Door, tmp_path: Path, names: list[x509.GeneralName], uses: list[ObjectIdentifier], alert: str
) -> None:
    assert heard(Client(door.config(), tmp_path, door.odd(names, uses))) == ("protocol", alert)


def test_what_webpki_refuses_is_refused(door: Door, tmp_path: Path) -> None:
    strange = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\5\0")
    assert heard(Client(door.config(), tmp_path, door.odd(more=[strange]))) == (
        "protocol",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    )
    assert heard(Client(door.config(), tmp_path, door.odd(ca=True)))[0] == "protocol"


def test_a_chain_leads_nowhere(door: Door, tmp_path: Path) -> None:
    """What the CA did not sign itself is not ours, whatever stands between."""
    within = x.make_key("ed25519")
    between = x.Issuer(
        x.issue_ca(
            x.Issuer(door.ca.certificate, door.ca.key), within, ELECTION, x.leaf_validity(NOW, CLOSES_AT)
        ).certificate,
        within,
    )
    key = x.make_key("ed25519")
    leaf = x.issue_client(between, key.public_key(), "box", BOX, 5, VALIDITY)
    shown = Shown(x.certificate_pem(leaf) + x.certificate_pem(between.certificate), x.key_pem(key))
    assert heard(Client(door.config(), tmp_path, shown)) == ("unknown_ca", "TLSV1_ALERT_UNKNOWN_CA")
    # The CA's own certificate behind a good one does no harm.
    good = door.client()
    shown = Shown(good.certificate + door.ca_pem, good.key)
    assert Client(door.config(), tmp_path, shown).handshake() == "more"


def test_each_refusal_has_its_alert(door: Door, stranger: Door, tmp_path: Path) -> None:
    config = door.config()
    revoked = door.client(serial=SERIALS["revoked"])
    assert heard(Client(config, tmp_path, revoked)) == ("revoked", "SSLV3_ALERT_CERTIFICATE_REVOKED")
    assert heard(Client(config, tmp_path, stranger.client())) == ("unknown_ca", "TLSV1_ALERT_UNKNOWN_CA")
    assert heard(Client(config, tmp_path, None)) == (
        "no_certificate",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    )
    for validity in (x.Validity(NOW - DAY, NOW - SECOND), x.Validity(NOW + DAY, CLOSES_AT)):
        shown = door.client(validity=validity)
        assert heard(Client(config, tmp_path, shown)) == ("expired", "SSLV3_ALERT_CERTIFICATE_EXPIRED")


def test_a_forged_signature_is_refused(door: Door, stranger: Door, tmp_path: Path) -> None:
    """The CA's name, but not its key."""
    forger = x.Issuer(door.ca.certificate, stranger.ca.key)
    key = x.make_key("ed25519")
    leaf = x.issue_client(forger, key.public_key(), "box", BOX, 5, VALIDITY)
    failure, alert = heard(Client(door.config(), tmp_path, Shown(x.certificate_pem(leaf), x.key_pem(key))))
    assert (failure, alert) == ("unknown_ca", "TLSV1_ALERT_UNKNOWN_CA")


# --- The revocation list ---


def test_serials_are_looked_up_without_zeros(door: Door) -> None:
    config = door.config(crl=door.crl([1, SERIALS["revoked"]]))
    assert config.is_revoked(b"\1")
    assert config.is_revoked(b"\0\1")
    assert config.is_revoked(SERIALS["revoked"].to_bytes(16, "big"))
    assert not config.is_revoked(b"")
    assert not config.is_revoked(b"\2")
    assert not door.config(crl=door.crl([])).is_revoked(b"\1")


def test_a_stale_list_keeps_or_refuses(door: Door, tmp_path: Path) -> None:
    crl = door.crl(next_update=NOW + 2 * SECOND)
    fresh, stale = NOW, NOW + 10 * SECOND
    for now in (fresh, stale):
        config = door.config(crl=crl, now=now)
        assert config.crl_next_update == NOW + 2 * SECOND
        assert Client(config, tmp_path, door.client()).handshake() == "more"
        revoked = door.client(serial=SERIALS["revoked"])
        assert heard(Client(config, tmp_path, revoked))[0] == "revoked"
    config = door.config(crl=door.crl(), crl_stale="refuse", now=fresh)
    assert Client(config, tmp_path, door.client()).handshake() == "more"
    config = door.config(crl=crl, crl_stale="refuse", now=stale)
    client = Client(config, tmp_path, door.client())
    assert heard(client) == ("protocol", "SSLV3_ALERT_CERTIFICATE_UNKNOWN")
    assert "revocation list is stale" in str(client.connection.failure_detail)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**159 - 1])
@pytest.mark.parametrize("serials", [[], [1]])
def test_which_list_it_is(door: Door, number: int, serials: list[int]) -> None:
    expected = number.to_bytes((number.bit_length() + 7) // 8, "big")
    assert door.config(crl=door.crl(serials, number=number)).crl_number == expected


def test_a_long_list_is_read_without_the_gil(door: Door) -> None:
    """Everybody's requests wait for whoever holds it, and a list may have a hundred thousand serials."""
    crl = door.crl(range(1_000, 2_000))
    go, ran = threading.Event(), threading.Event()

    def run() -> None:
        go.wait()
        ran.set()

    other = threading.Thread(target=run)
    interval = sys.getswitchinterval()
    other.start()
    # Nobody takes the GIL from this thread any more; the other one runs when it is given away.
    sys.setswitchinterval(1e6)
    try:
        go.set()
        tries = 0
        while not ran.is_set() and tries < 300:
            door.config(crl=crl)
            tries += 1
        given = ran.is_set()
    finally:
        sys.setswitchinterval(interval)
        other.join()
    assert given


def test_the_list_must_be_the_cas(door: Door, stranger: Door) -> None:
    other, later = stranger.crl(), door.crl(now=NOW + 2 * HOUR)
    forged = Door()
    forged.ca = x.Issuer(door.ca.certificate, stranger.ca.key)
    unnumbered = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(door.ca.certificate.subject)
        .last_update(to_datetime(NOW - HOUR))
        .next_update(to_datetime(CLOSES_AT))
        # No version of a list that webpki reads is without any extension.
        .add_extension(x509.AuthorityKeyIdentifier(bytes(20), None, None), critical=False)
        .sign(door.ca.key, None)
        .public_bytes(Encoding.PEM)
    )
    for crl, words in (
        (b"", "not one revocation list"),
        (door.ca_pem, "not one revocation list"),
        (door.crl() + door.crl([]), "not one revocation list"),
        (other, "not of the CA"),
        (forged.crl(), "not of the CA"),
        (later, "clock"),
        (unnumbered, "no number"),
        (door.crl().replace(b"\n", b"", 2), "not one revocation list"),
    ):
        refused(lambda crl=crl: door.config(crl=crl), "tls.crl", "crl.pem", words)  # type: ignore[misc]


# --- The server's own files ---


def test_the_dates_are_told(door: Door) -> None:
    config = door.config()
    assert config.certificate_not_after == VALIDITY.not_after
    assert config.ca_not_after == x.ca_validity(NOW, CLOSES_AT).not_after
    assert config.crl_next_update == CLOSES_AT
    assert config.ca == door.ca.certificate.public_bytes(Encoding.DER)


def test_a_config_names_the_file_that_is_to_blame(door: Door, stranger: Door) -> None:
    server = door.server
    rsa = generate_private_key(65_537, 2_048)
    rsa_pem = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    expired = door.issue_server(validity=x.Validity(NOW - DAY, NOW - SECOND))
    early = door.issue_server(validity=x.Validity(NOW + DAY, CLOSES_AT))
    half = server.key.replace(b"\nMC4", b"\nMC5")
    certificate, key, ca = "tls.certificate", "tls.key", "tls.ca"
    cases: list[tuple[Callable[[], _core.TlsConfig], str, str]] = [
        (lambda: door.config(server=Shown(b"", server.key)), certificate, "no certificate"),
        (lambda: door.config(server=Shown(server.key, server.key)), certificate, "no certificate"),
        (lambda: door.config(server=stranger.server), certificate, "not of the CA"),
        (lambda: door.config(server=expired), certificate, "expired"),
        (lambda: door.config(server=early), certificate, "clock"),
        (lambda: door.config(server=door.client()), certificate, "not for a server"),
        (lambda: door.config(server=door.odd(uses=[])), certificate, "not for a server"),
        (lambda: door.config(crl=door.crl([SERIALS["server"]])), certificate, "revoked"),
        (lambda: door.config(key=b""), key, "no private key"),
        (lambda: door.config(key=server.certificate), key, "no private key"),
        (lambda: door.config(key=half), key, "no private key"),
        (lambda: door.config(key=rsa_pem), key, "no private key"),
        (lambda: door.config(key=door.client().key), key, "does not belong"),
        (lambda: door.config(ca=b"-----BEGIN"), ca, "no certificate"),
        (lambda: door.config(ca=door.ca_pem + door.root), ca, "not the root"),
        (lambda: door.config(now=VALIDITY.not_after + 200 * DAY), ca, "expired"),
    ]
    files = {certificate: "server.pem", key: "server.key", ca: "ca.pem"}
    for config, code, words in cases:
        refused(config, code, files[code], words)


def test_a_certificate_of_the_root_is_not_the_cas(door: Door) -> None:
    """With the root as anchor the devices of every election would be known."""
    refused(lambda: door.config(ca=door.root), "tls.certificate", "server.pem", "not of the CA")


def test_what_no_config_can_be_is_the_callers_fault(door: Door) -> None:
    with pytest.raises(ValueError, match="keep"):
        door.config(crl_stale="perhaps")  # type: ignore[arg-type]


def test_what_is_shown_says_no_secret(door: Door, tmp_path: Path) -> None:
    config = door.config()
    assert re.fullmatch(r"<.*TlsConfig object at 0x[0-9a-f]+>", repr(config))
    client = Client(config, tmp_path, door.client())
    assert "object at" in repr(client.connection)


# --- Bytes that are no handshake ---


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\0" * 100,
        b"\x16\x03\x01\xff\xff" + bytes(4_000),
        b"\x16\x03\x03\x00\x04\x01\x00\x00\x00",
        b"\x15\x03\x03\x00\x02\x02\x28",
    ],
)
def test_what_is_no_handshake_is_refused(door: Door, data: bytes) -> None:
    connection = _core.TlsConnection(door.config(), max_body=0)
    state, out = connection.feed(data)
    assert (state, connection.failure, connection.peer) == ("failed", "protocol", None)
    assert out[:1] in (b"\x15", b"")


def test_a_handshake_holds_so_much_and_no_more(door: Door) -> None:
    """One handshake message in many records, none of which ends it."""
    connection = _core.TlsConnection(door.config(), max_body=0)
    record = b"\x16\x03\x01\x04\x00"
    first = b"\x01\x00\xf0\x00" + bytes(1_020)
    sent, state = 0, "more"
    for part in [first, *[bytes(1_024)] * 30]:
        state, _ = connection.feed(record + part)
        if state != "more":
            break
        sent += len(record + part)
    assert state == "failed"
    assert 16_384 - 1_029 <= sent <= 16_384
    assert "before its end" in str(connection.failure_detail)


def test_an_end_within_the_handshake(door: Door, tmp_path: Path) -> None:
    connection = _core.TlsConnection(door.config(), max_body=0)
    assert connection.eof()[0] == "failed"
    assert connection.failure == "protocol"
    client = Client(door.config(), tmp_path, door.client())
    # A deadline: the client is told, as far as it can be.
    assert client.connection.close() != b""
    assert client.connection.feed(b"") == ("closed", b"")
    assert client.connection.close() == b""
    assert client.connection.respond(b"x", b"", True) == b""


def test_a_broken_record_breaks_the_connection(door: Door, tmp_path: Path) -> None:
    client = Client(door.config(), tmp_path, door.client())
    client.handshake()
    client.tls.write(b"GET / HTTP/1.1\r\n")
    sealed = bytearray(client.seal())
    sealed[-1] ^= 1
    state, out = client.connection.feed(bytes(sealed))
    assert (state, client.connection.failure) == ("failed", "protocol")
    assert client.connection.peer is not None
    client.tls.pending()
    with pytest.raises(Exception, match="BAD_RECORD_MAC"):
        client.hear(out)
