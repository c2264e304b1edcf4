"""A CA on disk: made once for one election; then it signs what others enrol, revokes, and signs CRLs.

The folder (0700), to be kept offline or at least off the gateway; a rehearsal keeps it in its night::

    ca.json        which election this is for, and its closing time where it is known
    ca.key         the CA's private key (0600)
    ca.pem         the CA's certificate: what gateway and boxes trust
    root.pem       the root's certificate, for people who keep several elections under one root
    root/          root.key (0600), root.pem: only where no other place was given; to be taken offline
    issued.ndjson  everything ever issued or revoked (gateway.pki.index)
    crl.pem        the newest CRL
    server.key, server.pem   the gateway's key (0600) and chain
    certificates/<role>-<number>.pem   what was issued last to each (gateway.pki.enrolment)

Everything that is signed is dated by two things, judged in one place, `open_authority`: this computer's
clock, which may not have gone back, and the latest closing time that anybody has ever said.
"""

import base64
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization

from gateway.base.clock import SECOND, format_time
from gateway.base.errors import TallygateError
from gateway.base.files import (
    PRIVATE_DIRECTORY,
    finished_directory,
    make_directory,
    move_durably,
    read_bounded,
    read_private,
    write_durably,
    write_private,
)
from gateway.pki import certificates as x
from gateway.pki.index import INDEX_FILE, Crl, Index, Issued, Revoked, Server, open_index
from gateway.pki.names import check_election

# A key or certificate in PEM has some hundred bytes; whatever is longer is another file.
MAX_PEM_BYTES = 65_536
# A CRL has about 40 bytes an entry: a million of revoked devices.
MAX_CRL_BYTES = 67_108_864

CA_FORMAT = "tallygate-ca/1"

# The server's key until the index knows its certificate.
_SERVER_KEY_UNFINISHED = "server.key.unfinished"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`ca.json`."""

    format: str
    election: str
    closes_at: int | None


@dataclass(frozen=True)
class Authority:
    """An open CA; its index is locked. Opened with `open_authority`, made with `create_authority`."""

    folder: Path
    settings: Settings
    now: int
    """What everything done with it is dated by, ms."""
    closes_given: int | None
    """The closing time that the caller knows, ms."""
    issuer: x.Issuer = field(repr=False)
    index: Index = field(repr=False)

    @property
    def election(self) -> str:
        """The id of the one election that this CA is for."""
        return self.settings.election

    @property
    def ca_pem(self) -> bytes:
        """The CA's certificate."""
        return x.certificate_pem(self.issuer.certificate)

    @property
    def closes_at(self) -> int:
        """The closing time that dates are counted from: the latest that was ever said.

        An election is postponed, seldom brought forward; what is good for too long harms nobody.

        Raises:
            TallygateError: ``pki.closes_at``: nobody has said it.
        """
        said = (self.closes_given, self.settings.closes_at, self.index.closes_at)
        known = [closes_at for closes_at in said if closes_at is not None]
        if not known:
            raise TallygateError(
                "pki.closes_at",
                "when the polls close is not known, and certificates and CRLs are dated by it: "
                "give --election FOLDER, or --closes-at",
                place=str(self.folder),
            )
        return max(known)

    def revoke(self, certificate: Issued | Server, reason: x.Reason) -> tuple[str, ...]:
        """Remembers durably that the certificate's key is given up; the next CRL says so.

        Returns:
            The serials that are revoked now: this one and whatever else was issued for its key; empty if
            that had been done before, whose reason stays.
        """
        serials = self.index.live(certificate)
        self.index.append([Revoked(self.now, serial, reason) for serial in serials])
        return serials

    def crl_lacks_something(self) -> bool:
        """Whether there are revocations that are not in `crl.pem`; a crash can leave them behind."""
        if not self.index.revoked:
            return False
        if self.index.crl_revoked != len(self.index.revoked):
            return True
        path = self.folder / "crl.pem"
        try:
            return x.crl_number(read_bounded(path, MAX_CRL_BYTES), place=str(path)) != self.index.crl_number
        except (FileNotFoundError, TallygateError):
            return True

    def write_crl(self) -> int:
        """Signs a CRL over everything revoked so far and puts it into `crl.pem`.

        Returns:
            Its nextUpdate, ms.

        Raises:
            TallygateError: ``pki.closes_at``.
        """
        closes_at = self.closes_at
        # Numbers must grow, and the time is a number that everybody can read.
        number = max(self.now, self.index.crl_number + 1)
        next_update = x.crl_next_update(self.now, closes_at)
        revoked = [(int(event.serial, 16), event.at, event.reason) for event in self.index.revoked.values()]
        crl = x.issue_crl(self.issuer, revoked, number, self.now, next_update)
        self.index.append([Crl(self.now, number, closes_at)])
        write_durably(self.folder / "crl.pem", crl.public_bytes(serialization.Encoding.PEM))
        return next_update

    def write_server(
        self, names: Sequence[str], *, algorithm: x.Algorithm, replace: bool = False
    ) -> tuple[str, ...]:
        """Makes the gateway's key and certificate: `server.key` and `server.pem` (with the CA's behind it).

        The key is on the disk before the index knows the certificate; a crash after that is made good by
        calling again.

        Args:
            names: host names and IP addresses by which boxes call the gateway.
            algorithm: of the new key.
            replace: whether the one that is there may be revoked and replaced, key and all.

        Returns:
            The serials that were revoked for it.

        Raises:
            TallygateError: ``pki.server_exists``, ``pki.name``, ``pki.closes_at``, ``pki.expires``.
        """
        current = self.index.server
        if current is not None and self._finish_server(current) and current.names == tuple(names):
            return current.replaces
        replaced = self.index.live(current)
        if current is not None and replaced and not replace:
            raise TallygateError(
                "pki.server_exists",
                f"there is a server certificate for {', '.join(current.names)}; --replace makes another "
                "and revokes this one",
                place=str(self.folder),
            )
        closes_at = self.closes_at
        validity = x.leaf_validity(self.now, closes_at)
        key, serial = x.make_key(algorithm), x.random_serial()
        public = key.public_key()
        certificate = x.issue_server(self.issuer, public, f"{self.election} server", names, serial, validity)
        server = Server(
            at=self.now,
            serial=x.serial_text(serial),
            names=tuple(names),
            closes_at=closes_at,
            tls_key=x.key_id(x.public_key_der(public)),
            replaces=replaced,
            certificate=base64.b64encode(x.certificate_der(certificate)).decode(),
        )
        unfinished = self.folder / _SERVER_KEY_UNFINISHED
        unfinished.unlink(missing_ok=True)  # of a crash before the index knew it: nobody has seen it
        write_private(unfinished, x.key_pem(key))
        self.index.append([server])
        self._finish_server(server)
        return replaced

    def _finish_server(self, server: Server) -> bool:
        """Puts the newest server certificate and its key into their places.

        Returns:
            Whether there was anything left to do. A key that is no longer here is not: it is on the gateway.
        """
        key, chain = self.folder / "server.key", self.folder / "server.pem"
        unfinished = self.folder / _SERVER_KEY_UNFINISHED
        pem = x.certificate_pem(x.parse_certificate(server.der)) + self.ca_pem
        if self._is_key_of(server, unfinished):
            move_durably(unfinished, key)
        elif not self._is_key_of(server, key) or (
            chain.exists() and read_bounded(chain, MAX_PEM_BYTES) == pem
        ):
            return False
        write_durably(chain, pem)
        return True

    @staticmethod
    def _is_key_of(server: Server, path: Path) -> bool:
        try:
            key = x.load_key(read_private(path, MAX_PEM_BYTES), place=str(path))
        except (FileNotFoundError, TallygateError):
            return False
        return x.key_id(x.public_key_der(key.public_key())) == server.tls_key


def create_root(folder: Path, *, algorithm: x.Algorithm, now: int) -> x.Issuer:
    """Makes a root: `root.key` (0600) and `root.pem` in a new folder.

    Raises:
        TallygateError: ``file.exists``.
    """
    root = x.issue_root(x.make_key(algorithm), x.root_validity(now))
    with finished_directory(folder, PRIVATE_DIRECTORY) as work:
        write_private(work / "root.key", x.key_pem(root.key))
        write_durably(work / "root.pem", x.certificate_pem(root.certificate))
    return root


def open_root(folder: Path) -> x.Issuer:
    """Reads the root that `create_root` made.

    Raises:
        TallygateError: ``pki.root_missing``, ``pki.key``, ``pki.certificate``, ``pki.key_mismatch``,
            ``file.not_private``.
    """
    if not (folder / "root.key").exists():
        raise TallygateError(
            "pki.root_missing",
            "there is no root.key here: plug in the medium that has it, or make a new root with --new-root",
            place=str(folder),
        )
    return _load_issuer(folder, "root")


def create_authority(
    folder: Path,
    election: str,
    *,
    algorithm: x.Algorithm,
    closes_at: int | None,
    now: int,
    root: Path | None = None,
    new_root: bool = False,
) -> None:
    """Makes the CA of one election.

    Args:
        folder: becomes the CA's folder; it must not exist or be empty.
        election: the election's id.
        algorithm: of the keys made here.
        closes_at: when the polls close, if that is known (ms).
        now: ms.
        root: folder of the root that signs it; None makes a root in ``folder/root``.
        new_root: make the root in `root`; everything else is judged before that.

    Raises:
        TallygateError: ``pki.election``, ``pki.expires``, ``file.exists``, and what `open_root` raises.
    """
    check_election(election)
    validity = x.ca_validity(now, closes_at)
    with finished_directory(folder, PRIVATE_DIRECTORY) as work:
        if root is None or new_root:
            signer = create_root(root or work / "root", algorithm=algorithm, now=now)
        else:
            signer = open_root(root)
        ca = x.issue_ca(signer, x.make_key(algorithm), election, validity)
        write_private(work / "ca.key", x.key_pem(ca.key))
        write_durably(work / "ca.pem", x.certificate_pem(ca.certificate))
        write_durably(work / "root.pem", x.certificate_pem(signer.certificate))
        write_private(work / INDEX_FILE, b"")
        make_directory(work / "certificates")
        settings = Settings(CA_FORMAT, election, closes_at)
        write_durably(work / "ca.json", msgspec.json.encode(settings) + b"\n")


@contextlib.contextmanager
def open_authority(folder: Path, *, now: int, closes_at: int | None = None) -> Iterator[Authority]:
    """Opens the CA in `folder` for this process alone.

    Args:
        folder: the CA's.
        now: this computer's clock, ms.
        closes_at: when the polls close, if the caller knows it (ms).

    Raises:
        TallygateError: ``pki.no_ca``, ``pki.settings``, ``pki.key``, ``pki.certificate``,
            ``pki.key_mismatch``, ``pki.index``, ``pki.busy``, ``pki.clock``, ``pki.expires`` (the CA ends
            too early for this closing time), ``file.not_private``.
    """
    try:
        data = read_bounded(folder / "ca.json", MAX_PEM_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise TallygateError(
            "pki.no_ca",
            "this is no CA's folder (it has no ca.json); `tallygate pki ca` makes one",
            place=str(folder),
        ) from None
    try:
        settings = msgspec.json.decode(data, type=Settings)
        if settings.format != CA_FORMAT:
            raise msgspec.ValidationError(settings.format)
        check_election(settings.election)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        raise TallygateError(
            "pki.settings", "this file is not as `tallygate pki ca` wrote it", place=str(folder / "ca.json")
        ) from None
    with open_index(folder) as index:
        issuer = _load_issuer(folder, "ca")
        _judge_clock(folder, issuer, index, now)
        if closes_at is not None:
            x.insist_within(issuer, closes_at + x.LEAF_AFTER_CLOSE)
        yield Authority(folder, settings, now, closes_at, issuer, index)


def _judge_clock(folder: Path, issuer: x.Issuer, index: Index, now: int) -> None:
    """Refuses a clock that says less than what was signed already.

    What is dated too early is refused by everybody, or, a CRL, taken for older than the one before.
    """
    made = int(issuer.certificate.not_valid_before_utc.timestamp()) * SECOND + x.BACKDATE
    last = max(made, index.last_at)
    if now < last:
        raise TallygateError(
            "pki.clock",
            f"this computer's clock says {format_time(now)}, but this CA signed something at "
            f"{format_time(last)}: set the clock. If it was wrong then, bring the folder back from the "
            "backup that was made before",
            place=str(folder),
        )


def _load_issuer(folder: Path, name: str) -> x.Issuer:
    path = folder / f"{name}.key"
    key = x.load_key(read_private(path, MAX_PEM_BYTES), place=str(path))
    path = folder / f"{name}.pem"
    certificate = x.load_certificate(read_bounded(path, MAX_PEM_BYTES), place=str(path))
    known = x.supported(certificate.public_key())
    if known is None or x.public_key_der(known) != x.public_key_der(key.public_key()):
        raise TallygateError(
            "pki.key_mismatch", f"{name}.key is not the key of the certificate {name}.pem", place=str(folder)
        )
    return x.Issuer(certificate, key)
