"""Certificates of every shape for the box port's door, and a client in memory that shows them.

What lives here: one election's CA at a fixed time, what it issues (right and wrong), and OpenSSL's TLS
client around memory buffers, joined to `_core.TlsConnection`. Run as a program with a folder, it writes the
files that the core's own tests read (rust_core/core/src/tls/testdata); they are good at `NOW` for ever.
"""

import ssl
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from gateway import _core
from gateway.base.clock import HOUR, to_datetime
from gateway.pki import certificates as x
from gateway.pki.names import certificate_uri
from tests.unit.pki_helpers import CLOSES_AT, ELECTION, NOW

MAX_BODY = 16_384
HERE = ["localhost", "127.0.0.1"]
BOX = certificate_uri(ELECTION, "box", 12)
VALIDITY = x.leaf_validity(NOW, CLOSES_AT)

# Serial numbers with and without the zero that keeps them positive.
SERIALS = {"box": 0x7F << 120 | 1, "revoked": 0xFF << 120 | 2, "server": 3}


class Shown(NamedTuple):
    """A certificate (and those behind it) and its key, in PEM."""

    certificate: bytes
    key: bytes


class Door:
    """A box port's CA and what it issues."""

    def __init__(self, algorithm: x.Algorithm = "ed25519", *, seed: int = 1) -> None:
        self._seed = seed
        self.algorithm = algorithm
        root = x.issue_root(self._key(0), x.root_validity(NOW))
        self.root = x.certificate_pem(root.certificate)
        self.ca = x.issue_ca(root, self._key(1), ELECTION, x.ca_validity(NOW, CLOSES_AT))
        self.ca_pem = x.certificate_pem(self.ca.certificate)
        self.server = self.issue_server()

    def _key(self, number: int) -> x.PrivateKey:
        """Ed25519 keys are the same in every run: of the core's files only the CA's serial changes."""
        if self.algorithm == "ed25519":
            return Ed25519PrivateKey.from_private_bytes(bytes([self._seed, number]).ljust(32, b"\0"))
        return x.make_key(self.algorithm)

    def issue_server(self, *, validity: x.Validity = VALIDITY, algorithm: x.Algorithm | None = None) -> Shown:
        key = x.make_key(algorithm) if algorithm else self._key(2)
        issued = x.issue_server(self.ca, key.public_key(), "server", HERE, SERIALS["server"], validity)
        return Shown(x.certificate_pem(issued) + self.ca_pem, x.key_pem(key))

    def client(
        self,
        uri: str = BOX,
        *,
        serial: int = SERIALS["box"],
        validity: x.Validity = VALIDITY,
        algorithm: x.Algorithm | None = None,
    ) -> Shown:
        key = x.make_key(algorithm) if algorithm else self._key(3)
        issued = x.issue_client(self.ca, key.public_key(), "somebody", uri, serial, validity)
        return Shown(x.certificate_pem(issued), x.key_pem(key))

    def odd(
        self,
        names: Sequence[x509.GeneralName] = (x509.UniformResourceIdentifier(BOX),),
        uses: Sequence[ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
        *,
        more: Sequence[x509.ExtensionType] = (),
        ca: bool = False,
    ) -> Shown:
        """A certificate that no enrolment gives out, signed by the CA all the same."""
        key = self._key(4)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, BOX)]))
            .issuer_name(self.ca.certificate.subject)
            .public_key(key.public_key())
            .serial_number(SERIALS["box"])
            .not_valid_before(to_datetime(VALIDITY.not_before))
            .not_valid_after(to_datetime(VALIDITY.not_after))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        if uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(uses)), critical=False)
        for extension in more:
            builder = builder.add_extension(extension, critical=True)
        digest = None if isinstance(self.ca.key, Ed25519PrivateKey) else hashes.SHA256()
        return Shown(x.certificate_pem(builder.sign(self.ca.key, digest)), x.key_pem(key))

    def crl(
        self,
        serials: Sequence[int] = (SERIALS["revoked"],),
        *,
        number: int = 1,
        now: int = NOW,
        next_update: int = CLOSES_AT,
    ) -> bytes:
        events: list[tuple[int, int, x.Reason]] = [(one, NOW - HOUR, "key-compromise") for one in serials]
        made = x.issue_crl(self.ca, events, number, now, next_update)
        return made.public_bytes(serialization.Encoding.PEM)

    def config(
        self,
        *,
        server: Shown | None = None,
        key: bytes | None = None,
        ca: bytes | None = None,
        crl: bytes | None = None,
        election: str = ELECTION,
        crl_stale: Literal["keep", "refuse"] = "keep",
        now: int = NOW,
    ) -> _core.TlsConfig:
        server = server or self.server
        return _core.TlsConfig(
            certificate=server.certificate,
            key=server.key if key is None else key,
            ca=self.ca_pem if ca is None else ca,
            crl=self.crl() if crl is None else crl,
            election=election,
            crl_stale=crl_stale,
            now=now,
        )


class Client:
    """OpenSSL's client in memory, joined to a connection of the core.

    It does not look at the server's certificate (the peers' tests do), for its clock is not `NOW`.
    """

    def __init__(
        self, config: _core.TlsConfig, folder: Path, shown: Shown | None, *, max_body: int = MAX_BODY
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if shown is not None:
            (folder / "shown.pem").write_bytes(shown.certificate + shown.key)
            context.load_cert_chain(folder / "shown.pem")
        self.incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self._outgoing, server_hostname="localhost")
        self.connection = _core.TlsConnection(config, max_body=max_body)

    def handshake(self) -> str:
        """The state after the client's last flight; what the server says then is waiting to be read."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                state = self.flush()
                if state == "failed":
                    return state
            else:
                return self.flush()

    def seal(self, data: bytes = b"") -> bytes:
        """What the client would send: these bytes, encrypted, behind whatever else it has to say."""
        if data:
            self.tls.write(data)
        return self._outgoing.read()

    def flush(self) -> str:
        """Bring the server what the client has to say."""
        state, out = self.connection.feed(self.seal())
        self.incoming.write(out)
        return state

    def send(self, data: bytes) -> str:
        """The state that these bytes of HTTP lead to."""
        self.tls.write(data)
        return self.flush()

    def more(self) -> str:
        """The state without new bytes."""
        state, out = self.connection.feed(b"")
        self.incoming.write(out)
        return state

    def hear(self, out: bytes) -> bytes:
        """What the client reads when these bytes arrive; empty: the server has closed in order."""
        self.incoming.write(out)
        read = b""
        while True:
            try:
                part = self.tls.read(65_536)
            except ssl.SSLWantReadError:
                return read
            if not part:
                return read
            read += part

    def alert(self) -> str:
        """OpenSSL's name of the alert that waits for the client."""
        try:
            self.tls.read()
        except ssl.SSLWantReadError:
            return "none"
        except ssl.SSLError as error:
            return error.reason
        return "none"


class Files:
    """What the core's own tests and its fuzz target read."""

    @cached_property
    def contents(self) -> dict[str, bytes]:
        door, other = Door(), Door(seed=2)
        shown = {
            "server": door.server,
            "box": door.client(),
            "revoked": door.client(serial=SERIALS["revoked"]),
            "elsewhere": door.client(certificate_uri("other", "box", 12)),
            "stranger": other.client(),
        }
        files = {"ca.pem": door.ca_pem, "crl.pem": door.crl()}
        for name, (certificate, key) in shown.items():
            files[f"{name}.pem"], files[f"{name}.key"] = certificate, key
        return files


if __name__ == "__main__":
    for name, content in Files().contents.items():
        (Path(sys.argv[1]) / name).write_bytes(content)
