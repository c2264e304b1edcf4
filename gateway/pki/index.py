"""`issued.ndjson`: all certificates and CRLs that a CA has signed and all revocations, a JSON object a line.

The file is only ever appended to, under an exclusive lock, with fsync before anything that the line speaks
of leaves the process: no certificate exists outside that the index does not know. A last line without its
newline is an append that a crash cut off; nobody saw what it spoke of, and the next append removes it.

Each line stands for itself (a certificate's line says which others it ends), so that a crash in the middle of
an append of several keeps some of them and harms nothing: certificates that nobody received, and that the
same requests receive when they come again.

Expected system calls of an append: ``flock`` (once, at opening), ``ftruncate`` (only after a crash),
``write …``, ``fsync``. The CA is made with an empty file: where it is missing, revocations would be
forgotten, so that is an error.
"""

import base64
import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from gateway.base.errors import TallygateError
from gateway.base.files import write_all
from gateway.pki.certificates import Reason, ed25519_der, key_id
from gateway.pki.names import Holder, Role
from gateway.pki.requests import KeyUse

INDEX_FILE = "issued.ndjson"

Hex32: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Hex64: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Issued(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="issued"):
    """A client's certificate."""

    at: int
    serial: Hex32
    role: Role
    id: int
    closes_at: int
    """The closing time that it is dated by."""
    request: Hex64
    """SHA-256 of the certificate request's DER."""
    tls_key: Hex64
    """SHA-256 of the SubjectPublicKeyInfo."""
    sign_key: Hex64 | None
    replaces: tuple[Hex32, ...]
    """Certificates that are revoked, as superseded, from this one on."""
    certificate: str
    """DER in base64."""

    @property
    def holder(self) -> Holder:
        """Whom it names."""
        if self.role == "courier" or self.role == "commission":
            return Holder(self.role, self.id)
        return Holder("device", self.id)

    @property
    def der(self) -> bytes:
        """The certificate."""
        return base64.b64decode(self.certificate)


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="server"):
    """The gateway's certificate."""

    at: int
    serial: Hex32
    names: tuple[str, ...]
    closes_at: int
    tls_key: Hex64
    replaces: tuple[Hex32, ...]
    certificate: str

    @property
    def der(self) -> bytes:
        """The certificate."""
        return base64.b64decode(self.certificate)


class Revoked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="revoked"):
    """A revocation."""

    at: int
    serial: Hex32
    reason: Reason


class Crl(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="crl"):
    """A CRL over everything that stands above it."""

    at: int
    number: int
    closes_at: int


Event: TypeAlias = Issued | Server | Revoked | Crl


class Owner(NamedTuple):
    """Whose key it is, and what for; None: the server."""

    holder: Holder | None
    use: KeyUse


_DECODER = msgspec.json.Decoder(Event)
_ENCODER = msgspec.json.Encoder()


class Index:
    """What the file says, by holder, key and serial; opened with `open_index`.

    The process that has one owns the file: it holds the lock until the index is closed.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self.path = path
        self.revoked: dict[str, Revoked] = {}
        self.last_at = 0
        """When the last thing happened, ms."""
        self.closes_at: int | None = None
        """The latest closing time that anything was dated by."""
        self.crl_number = 0
        """Of the last CRL."""
        self.crl_revoked = 0
        """How many revocations the last CRL has."""
        self._descriptor = descriptor
        self._by_serial: dict[str, Issued | Server] = {}
        self._by_tls_key: dict[str, list[Issued | Server]] = {}
        self._latest: dict[Holder, Issued] = {}
        self._server: Server | None = None
        self._owners: dict[str, Owner] = {}
        self._given_up: set[str] = set()
        # Through the descriptor that is locked: a file of that name may be another by now.
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read()
        self._end = data.rfind(b"\n") + 1
        self._torn = self._end != len(data)
        for number, line in enumerate(data[: self._end].splitlines(), start=1):
            try:
                self._take(_DECODER.decode(line))
            except (msgspec.ValidationError, msgspec.DecodeError, KeyError):
                raise TallygateError(
                    "pki.index",
                    "this line is not one that Tallygate wrote: the list of issued certificates was damaged; "
                    "bring it back from a backup before anything is issued or revoked",
                    place=f"{path}:{number}",
                ) from None

    def append(self, events: Sequence[Event]) -> None:
        """Makes these events durable.

        Raises:
            OSError: nothing may be handed out; the file may end in a torn line.
        """
        if not events:
            return
        if self._torn:
            os.ftruncate(self._descriptor, self._end)
        data = b"".join(_ENCODER.encode(event) + b"\n" for event in events)
        self._torn = True
        write_all(self._descriptor, data)
        os.fsync(self._descriptor)
        self._torn = False
        self._end += len(data)
        for event in events:
            self._take(event)

    def latest(self, holder: Holder) -> Issued | None:
        """The holder's newest certificate, revoked or not."""
        return self._latest.get(holder)

    @property
    def server(self) -> Server | None:
        """The server's newest certificate, revoked or not."""
        return self._server

    def find(self, serial: str) -> Issued | Server | None:
        """The certificate with this serial (32 hex digits)."""
        return self._by_serial.get(serial)

    def is_revoked(self, certificate: Issued | Server) -> bool:
        """Whether it has been revoked."""
        return certificate.serial in self.revoked

    def live(self, certificate: Issued | Server | None) -> tuple[str, ...]:
        """Serials of this certificate and of all others for its TLS key that are not revoked.

        A holder has one TLS key at a time, so these are also all of the holder's.
        """
        if certificate is None:
            return ()
        return tuple(
            one.serial for one in self._by_tls_key[certificate.tls_key] if one.serial not in self.revoked
        )

    def owner(self, key: str) -> Owner | None:
        """Who brought this key (`gateway.pki.certificates.key_id`) first, as a TLS or a signing key."""
        return self._owners.get(key)

    def given_up(self, tls_key: str) -> bool:
        """Whether a certificate of this TLS key was revoked, or replaced by one for another key."""
        return tls_key in self._given_up

    def _take(self, event: Event) -> None:
        self.last_at = max(self.last_at, event.at)
        if isinstance(event, Revoked):
            # Of something never issued it is damage: KeyError.
            self._given_up.add(self._by_serial[event.serial].tls_key)
            self.revoked.setdefault(event.serial, event)
            return
        self.closes_at = event.closes_at if self.closes_at is None else max(self.closes_at, event.closes_at)
        if isinstance(event, Crl):
            self.crl_number = event.number
            self.crl_revoked = len(self.revoked)
            return
        for serial in event.replaces:
            tls_key = self._by_serial[serial].tls_key
            if tls_key != event.tls_key:
                self._given_up.add(tls_key)
            self.revoked.setdefault(serial, Revoked(event.at, serial, "superseded"))
        self._by_serial[event.serial] = event
        self._by_tls_key.setdefault(event.tls_key, []).append(event)
        if isinstance(event, Server):
            self._server = event
            self._owners.setdefault(event.tls_key, Owner(None, "tls"))
            return
        self._latest[event.holder] = event
        self._owners.setdefault(event.tls_key, Owner(event.holder, "tls"))
        if event.sign_key is not None:
            key = key_id(ed25519_der(bytes.fromhex(event.sign_key)))
            self._owners.setdefault(key, Owner(event.holder, "sign"))


@contextlib.contextmanager
def open_index(folder: Path) -> Iterator[Index]:
    """Opens the index of the CA in `folder` and holds its lock.

    Raises:
        TallygateError: ``pki.index`` (missing or damaged), ``pki.busy`` (another process works with this CA).
        OSError: it cannot be opened.
    """
    path = folder / INDEX_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        raise TallygateError(
            "pki.index",
            "the list of issued certificates is missing; without it nothing can be revoked by its device: "
            "bring it back from a backup",
            place=str(path),
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TallygateError(
                "pki.busy",
                "another process is working with this CA; wait until it has ended",
                place=str(folder),
            ) from None
        yield Index(descriptor, path)
    finally:
        os.close(descriptor)
