"""`issued.ndjson`: every certificate that a CA has signed and every revocation, one JSON object a line.

The file is only ever appended to, under an exclusive lock, with fsync before anything that the line speaks
of leaves the process: no certificate exists outside that the index does not know. A last line without its
newline is an append that a crash cut off; nobody saw what it spoke of, and the next append removes it.

Expected system calls of an append: ``flock`` (once, at opening), ``ftruncate`` (only after a crash),
``write …``, ``fsync``. The CA is made with an empty file: where it is missing, revocations would be
forgotten, so that is an error. A crash in the middle of an append of several lines can keep some of them:
certificates that nobody received, and that the same requests receive when they come again.
"""

import base64
import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec

from gateway.base.errors import TallygateError
from gateway.base.files import write_all
from gateway.pki.certificates import Reason
from gateway.pki.names import Holder, Role

INDEX_FILE = "issued.ndjson"

Hex32: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Hex64: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Issued(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="issued"):
    """A client's certificate."""

    at: int
    serial: Hex32
    role: Role
    id: int
    not_after: int
    request: Hex64
    """SHA-256 of the certificate request's DER."""
    tls_key: Hex64
    """SHA-256 of the SubjectPublicKeyInfo."""
    sign_key: Hex64 | None
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
    not_after: int
    tls_key: Hex64
    certificate: str


class Revoked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", tag="revoked"):
    """A revocation."""

    at: int
    serial: Hex32
    reason: Reason


Event: TypeAlias = Issued | Server | Revoked

_DECODER = msgspec.json.Decoder(Event)
_ENCODER = msgspec.json.Encoder()


class Index:
    """What the file says, by holder, key and serial; opened with `open_index`.

    The process that has one owns the file: it holds the lock until the index is closed.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self.path = path
        self.revoked: dict[str, Revoked] = {}
        self.servers: list[Server] = []
        self._descriptor = descriptor
        self._by_serial: dict[str, Issued | Server] = {}
        self._latest: dict[Holder, Issued] = {}
        self._tls_keys: dict[str, Holder | None] = {}
        self._sign_keys: dict[str, Holder] = {}
        data = path.read_bytes()
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

    def find(self, serial: str) -> Issued | Server | None:
        """The certificate with this serial (32 hex digits)."""
        return self._by_serial.get(serial)

    def is_revoked(self, certificate: Issued | Server) -> bool:
        """Whether it has been revoked."""
        return certificate.serial in self.revoked

    def tls_key_elsewhere(self, tls_key: str, holder: Holder) -> bool:
        """Whether this TLS key was ever certified for anybody else."""
        return tls_key in self._tls_keys and self._tls_keys[tls_key] != holder

    def sign_key_owner(self, sign_key: str) -> Holder | None:
        """Who enrolled this signing key first."""
        return self._sign_keys.get(sign_key)

    def _take(self, event: Event) -> None:
        if isinstance(event, Revoked):
            self._by_serial[event.serial]  # a revocation of something never issued is damage: KeyError
            self.revoked.setdefault(event.serial, event)
            return
        self._by_serial[event.serial] = event
        if isinstance(event, Server):
            self.servers.append(event)
            self._tls_keys.setdefault(event.tls_key, None)
            return
        self._latest[event.holder] = event
        self._tls_keys.setdefault(event.tls_key, event.holder)
        if event.sign_key is not None:
            self._sign_keys.setdefault(event.sign_key, event.holder)


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
