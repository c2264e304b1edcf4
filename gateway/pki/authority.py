"""A CA on disk: made once for one election, then it enrols, revokes and signs CRLs.

The folder (0700), to be kept offline or at least off the gateway; a rehearsal keeps it in its night::

    ca.json        which election this is for, and its closing time where it is known
    ca.key         the CA's private key (0600)
    ca.pem         the CA's certificate: what gateway and boxes trust
    root.pem       the root's certificate, for people who keep several elections under one root
    root/          root.key (0600), root.pem: only where no other place was given; to be taken offline
    issued.ndjson  everything ever issued or revoked (gateway.pki.index)
    crl.pem        the newest CRL
    server.key, server.pem   the gateway's key (0600) and chain
    certificates/<role>-<number>.pem   what was issued last to each, to be brought to the device
"""

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import msgspec
from cryptography.hazmat.primitives import serialization

from gateway.base.errors import TallygateError
from gateway.base.files import (
    PRIVATE_DIRECTORY,
    finished_directory,
    make_directory,
    read_bounded,
    read_private,
    write_durably,
    write_private,
)
from gateway.pki import certificates as x
from gateway.pki.index import INDEX_FILE, Event, Index, Issued, Revoked, Server, open_index
from gateway.pki.names import DeviceKind, Holder, Role, certificate_uri, check_election
from gateway.pki.requests import CheckedRequest, check_request

# A key or certificate in PEM has some hundred bytes; whatever is longer is another file.
MAX_PEM_BYTES = 65_536
# A CRL has about 40 bytes an entry: a million of revoked devices.
MAX_CRL_BYTES = 67_108_864
# Requests checked, or certificates signed, in one call of the mapper: some 50 ms of work for a process.
CHUNK = 256

CA_FORMAT = "tallygate-ca/1"

T = TypeVar("T")
R = TypeVar("R")


class Mapper(Protocol):
    """Calls a function on every item, in order; `map`, or a pool's."""

    def __call__(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterable[R]:
        """Gives the results in the order of the items."""
        ...


def map_here(function: Callable[[T], R], items: Iterable[T], /) -> Iterable[R]:
    """The mapper that stays in this process."""
    return map(function, items)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`ca.json`."""

    format: str
    election: str
    closes_at: int | None


class Enrolled(NamedTuple):
    """What a request led to."""

    holder: Holder
    role: Role
    serial: str
    der: bytes
    new: bool
    """False: the same request came before, and this is the certificate that it got then."""
    replaced: str | None
    """Serial of the certificate that was revoked for this one."""

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return x.certificate_pem(x.parse_certificate(self.der))


class _Order(NamedTuple):
    """A certificate to be signed, without anything that a process could not be handed."""

    tls_key: bytes
    common_name: str
    uri: str
    serial: int
    validity: x.Validity


@dataclass
class Authority:
    """An open CA; its index is locked. Opened with `open_authority`, made with `create_authority`."""

    folder: Path
    settings: Settings
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

    def closing(self, given: int | None) -> int:
        """The closing time that dates are counted from.

        Args:
            given: what the caller knows; it wins over what `ca.json` says.

        Raises:
            TallygateError: ``pki.closes_at``: nobody has said it.
        """
        closes_at = self.settings.closes_at if given is None else given
        if closes_at is None:
            raise TallygateError(
                "pki.closes_at",
                "when the polls close is not known, and certificates and CRLs are dated by it: "
                "give --closes-at, or --election FOLDER",
                place=str(self.folder),
            )
        return closes_at

    def check(
        self, requests: Iterable[tuple[str, bytes]], *, mapper: Mapper = map_here
    ) -> tuple[list[CheckedRequest], list[TallygateError]]:
        """Checks requests against all that needs no memory.

        Args:
            requests: place and bytes of each.
            mapper: who does the work.

        Returns:
            Those that passed, in order, and the faults of the others.
        """
        passed: list[CheckedRequest] = []
        faults: list[TallygateError] = []
        for results in mapper(partial(_check_chunk, self.election), _chunks(requests)):
            for result in results:
                if isinstance(result, TallygateError):
                    faults.append(result)
                else:
                    passed.append(result)
        return passed, faults

    def faults(
        self, requests: Sequence[CheckedRequest], *, closes_at: int, replace: bool
    ) -> list[TallygateError]:
        """What the index says against these requests, also one against the other.

        Codes: ``enrol.twice`` (two requests of one holder in this call), ``enrol.key_taken`` (a key that
        another holder has, or one whose certificate was revoked), ``enrol.duplicate`` (the holder has been
        enrolled with another request or for another closing time, and `replace` was not said).
        """
        found: list[TallygateError] = []
        holders: dict[Holder, str] = {}
        keys: dict[str, Holder] = {}
        for request in requests:
            fault = self._fault(request, closes_at, replace=replace)
            own = [request.tls_key.hex(), *([request.sign_key] if request.sign_key else [])]
            if request.holder in holders:
                fault = TallygateError(
                    "enrol.twice",
                    f"{request.holder} has another request in {holders[request.holder]}: give one of them",
                    place=request.place,
                )
            elif any(keys.get(key, request.holder) != request.holder for key in own):
                other = next(keys[key] for key in own if key in keys)
                fault = _key_taken(request, str(other))
            holders.setdefault(request.holder, request.place)
            for key in own:
                keys.setdefault(key, request.holder)
            if fault:
                found.append(fault)
        return found

    def enrol(
        self,
        requests: Sequence[CheckedRequest],
        kinds: Mapping[int, DeviceKind],
        *,
        closes_at: int,
        now: int,
        mapper: Mapper = map_here,
    ) -> list[Enrolled]:
        """Signs certificates for requests that passed `check` and `faults`, and remembers them durably.

        A request that came before gets the certificate that it got then; a holder's other certificate is
        revoked as superseded.

        Args:
            requests: all of them are enrolled, or none.
            kinds: the role of each device.
            closes_at: the certificates end `LEAF_AFTER_CLOSE` after it.
            now: ms.
            mapper: who signs.

        Raises:
            TallygateError: ``pki.expires``.
        """
        validity = x.leaf_validity(now, closes_at)
        old = {request.holder: self.index.latest(request.holder) for request in requests}
        fresh = [
            request for request in requests if not self._came_before(request, old[request.holder], closes_at)
        ]
        roles: dict[Holder, Role] = {
            request.holder: kinds[request.holder.number]
            if request.holder.group == "device"
            else request.holder.group
            for request in requests
        }
        orders = [self._order(request, roles[request.holder], validity) for request in fresh]
        sign = partial(_sign_chunk, x.key_pem(self.issuer.key), self.ca_pem)
        signed = [der for ders in mapper(sign, _chunks(orders)) for der in ders]
        events: list[Event] = []
        results: dict[Holder, Enrolled] = {}
        for request, order, der in zip(fresh, orders, signed, strict=True):
            before, role = old[request.holder], roles[request.holder]
            replaced = before.serial if before is not None and not self.index.is_revoked(before) else None
            issued = Issued(
                at=now,
                serial=x.serial_text(order.serial),
                role=role,
                id=request.holder.number,
                not_after=validity.not_after,
                request=request.csr_sha256.hex(),
                tls_key=hashlib.sha256(request.tls_key).hexdigest(),
                sign_key=request.sign_key,
                certificate=base64.b64encode(der).decode(),
            )
            if replaced is not None:
                events.append(Revoked(now, replaced, "superseded"))
            events.append(issued)
            results[request.holder] = Enrolled(request.holder, role, issued.serial, der, True, replaced)
        self.index.append(events)
        for request in requests:
            before = old[request.holder]
            if before is not None and request.holder not in results:
                results[request.holder] = Enrolled(
                    request.holder, before.role, before.serial, before.der, False, None
                )
        return [results[request.holder] for request in requests]

    def write_certificates(self, enrolled: Sequence[Enrolled]) -> list[Path]:
        """Puts each certificate into ``certificates/<role>-<number>.pem``.

        Without the CA's behind it: the gateway trusts that one itself, and a box's line may be thin. After a
        crash the same requests write the same files: the index has the certificates already.
        """
        paths = []
        for result in enrolled:
            path = self.folder / "certificates" / f"{result.role}-{result.holder.number}.pem"
            write_durably(path, result.pem)
            paths.append(path)
        return paths

    def revoke(self, certificate: Issued | Server, reason: x.Reason, *, now: int) -> bool:
        """Remembers durably that a certificate is revoked; the next CRL says so.

        Returns:
            False if it had been revoked before; the first reason stays.
        """
        if self.index.is_revoked(certificate):
            return False
        self.index.append([Revoked(now, certificate.serial, reason)])
        return True

    def write_crl(self, *, closes_at: int, now: int) -> int:
        """Signs a CRL over everything revoked so far and puts it into `crl.pem`.

        Returns:
            Its nextUpdate, ms.

        Raises:
            TallygateError: ``pki.crl``: what is there now is no CRL.
        """
        path = self.folder / "crl.pem"
        # Numbers must grow, also when the clock was set back.
        number = max(now, self._crl_number(path) + 1)
        next_update = x.crl_next_update(now, closes_at)
        revoked = [(int(event.serial, 16), event.at, event.reason) for event in self.index.revoked.values()]
        crl = x.issue_crl(self.issuer, revoked, number, now, next_update)
        write_durably(path, crl.public_bytes(serialization.Encoding.PEM))
        return next_update

    def write_server(
        self,
        names: Sequence[str],
        *,
        algorithm: x.Algorithm,
        closes_at: int,
        now: int,
        replace: bool = False,
    ) -> str | None:
        """Makes the gateway's key and certificate: `server.key` and `server.pem` (with the CA's behind it).

        Args:
            names: host names and IP addresses by which boxes call the gateway.
            algorithm: of the new key.
            closes_at: the certificate ends `LEAF_AFTER_CLOSE` after it.
            now: ms.
            replace: whether the one that is there may be revoked and replaced, key and all.

        Returns:
            The serial that was revoked for it, if any.

        Raises:
            TallygateError: ``pki.server_exists``, ``pki.name``, ``pki.expires``.
        """
        current = [server for server in self.index.servers if not self.index.is_revoked(server)]
        if current and not replace:
            raise TallygateError(
                "pki.server_exists",
                f"there is a server certificate for {', '.join(current[-1].names)}; --replace makes another "
                "and revokes this one",
                place=str(self.folder),
            )
        validity = x.leaf_validity(now, closes_at)
        key = x.make_key(algorithm)
        public = key.public_key()
        serial = x.random_serial()
        certificate = x.issue_server(self.issuer, public, f"{self.election} server", names, serial, validity)
        self.index.append(
            [
                *(Revoked(now, server.serial, "superseded") for server in current),
                Server(
                    at=now,
                    serial=x.serial_text(serial),
                    names=tuple(names),
                    not_after=validity.not_after,
                    tls_key=hashlib.sha256(x.public_key_der(public)).hexdigest(),
                    certificate=base64.b64encode(
                        certificate.public_bytes(serialization.Encoding.DER)
                    ).decode(),
                ),
            ]
        )
        (self.folder / "server.key").unlink(missing_ok=True)
        write_private(self.folder / "server.key", x.key_pem(key))
        write_durably(self.folder / "server.pem", x.certificate_pem(certificate) + self.ca_pem)
        return current[-1].serial if current else None

    def _came_before(self, request: CheckedRequest, before: Issued | None, closes_at: int) -> bool:
        return (
            before is not None
            and not self.index.is_revoked(before)
            and before.not_after == closes_at + x.LEAF_AFTER_CLOSE
            and before.request == request.csr_sha256.hex()
            and before.sign_key == request.sign_key
        )

    def _fault(self, request: CheckedRequest, closes_at: int, *, replace: bool) -> TallygateError | None:
        before = self.index.latest(request.holder)
        if self._came_before(request, before, closes_at):
            return None
        tls_key = hashlib.sha256(request.tls_key).hexdigest()
        if self.index.tls_key_elsewhere(tls_key, request.holder):
            return _key_taken(request, "another certificate")
        if request.sign_key is not None:
            owner = self.index.sign_key_owner(request.sign_key)
            if owner not in (None, request.holder):
                return _key_taken(request, str(owner))
        if before is None:
            return None
        if before.tls_key == tls_key and self.index.is_revoked(before):
            return TallygateError(
                "enrol.key_taken",
                f"the certificate for this TLS key was revoked; {request.holder} must make a new key",
                place=request.place,
            )
        if not replace:
            return TallygateError(
                "enrol.duplicate",
                f"{request.holder} was enrolled before with another request or closing time (serial "
                f"{before.serial}{', revoked' if self.index.is_revoked(before) else ''}); if it was set up "
                "anew on purpose, --replace enrols it again and revokes the old certificate",
                place=request.place,
            )
        return None

    def _order(self, request: CheckedRequest, role: Role, validity: x.Validity) -> _Order:
        number = request.holder.number
        return _Order(
            request.tls_key,
            f"{self.election} {role} {number}"[:64],
            certificate_uri(self.election, role, number),
            x.random_serial(),
            validity,
        )

    def _crl_number(self, path: Path) -> int:
        try:
            return x.crl_number(read_bounded(path, MAX_CRL_BYTES), place=str(path))
        except FileNotFoundError:
            return 0


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
    root: x.Issuer | None,
    algorithm: x.Algorithm,
    closes_at: int | None,
    now: int,
) -> None:
    """Makes the CA of one election.

    Args:
        folder: becomes the CA's folder; it must not exist or be empty.
        election: the election's id.
        root: who signs it; None makes a root in ``folder/root``.
        algorithm: of the keys made here.
        closes_at: when the polls close, if that is known (ms).
        now: ms.

    Raises:
        TallygateError: ``pki.election``, ``pki.expires``, ``file.exists``.
    """
    check_election(election)
    with finished_directory(folder, PRIVATE_DIRECTORY) as work:
        signer = root or create_root(work / "root", algorithm=algorithm, now=now)
        ca = x.issue_ca(signer, x.make_key(algorithm), election, x.ca_validity(now, closes_at))
        write_private(work / "ca.key", x.key_pem(ca.key))
        write_durably(work / "ca.pem", x.certificate_pem(ca.certificate))
        write_durably(work / "root.pem", x.certificate_pem(signer.certificate))
        write_private(work / INDEX_FILE, b"")
        make_directory(work / "certificates")
        settings = Settings(CA_FORMAT, election, closes_at)
        write_durably(work / "ca.json", msgspec.json.encode(settings) + b"\n")


@contextlib.contextmanager
def open_authority(folder: Path) -> Iterator[Authority]:
    """Opens the CA in `folder` for this process alone.

    Raises:
        TallygateError: ``pki.no_ca``, ``pki.settings``, ``pki.key``, ``pki.certificate``,
            ``pki.key_mismatch``, ``pki.index``, ``pki.busy``, ``file.not_private``.
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
        yield Authority(folder, settings, _load_issuer(folder, "ca"), index)


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


def _key_taken(request: CheckedRequest, owner: str) -> TallygateError:
    return TallygateError(
        "enrol.key_taken",
        f"{request.holder} brings a key that {owner} has; a key is made in one device and never leaves it: "
        "was its memory copied? Make new keys",
        place=request.place,
    )


def _check_chunk(
    election: str, requests: Sequence[tuple[str, bytes]]
) -> list[CheckedRequest | TallygateError]:
    results: list[CheckedRequest | TallygateError] = []
    for place, data in requests:
        try:
            results.append(check_request(data, election, place=place))
        except TallygateError as fault:
            results.append(fault)
    return results


def _sign_chunk(key: bytes, certificate: bytes, orders: Sequence[_Order]) -> list[bytes]:
    issuer = x.Issuer(x.load_certificate(certificate, place=""), x.load_key(key, place=""))
    return [
        x.issue_client(
            issuer,
            x.load_public_key(order.tls_key),
            order.common_name,
            order.uri,
            order.serial,
            order.validity,
        ).public_bytes(serialization.Encoding.DER)
        for order in orders
    ]


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
