"""Enrolment: requests are checked, admitted, judged by what the CA remembers, and get their certificates.

The way of every request, a rehearsal's too, and the first refusal answers::

    check   needs nothing but the request and the election's id (gateway.pki.requests)
    admit   who may be enrolled, and as what: the election folder (gateway.pki.folder), or `admit_devices`
    judge   the other requests and the index: whose key is it, is this holder here for the first time
    enrol   signs, remembers, hands out

The same request again, in the same role, gets the certificate that it got then; if the polls close later by
now, a longer one for the same key, and nothing is revoked. Whatever else comes from a holder who was enrolled
before is a replacement, and somebody has to name the holder: it revokes what the holder had.
"""

import base64
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from cryptography.hazmat.primitives import serialization

from gateway.base.clock import format_time
from gateway.base.errors import TallygateError
from gateway.base.files import write_durably
from gateway.pki import certificates as x
from gateway.pki.authority import Authority
from gateway.pki.index import Issued, Owner, Revoked
from gateway.pki.names import DEVICE_KINDS, DeviceKind, Holder, Role, certificate_uri
from gateway.pki.requests import CheckedRequest, check_request

# Requests checked, or certificates signed, in one call of the mapper: some 50 ms of work for a process.
CHUNK = 256

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


class Candidate(NamedTuple):
    """A checked request and the role that its holder has in this election."""

    request: CheckedRequest
    role: Role


# What a request is to a CA: it came before; it came before and the polls close later now; anything else.
Standing: TypeAlias = Literal["known", "renewal", "enrolment"]


class Case(NamedTuple):
    """A request that nothing speaks against."""

    candidate: Candidate
    before: Issued | None
    """The holder's newest certificate."""
    standing: Standing


class Enrolled(NamedTuple):
    """What a request led to."""

    issued: Issued
    standing: Standing
    revoked_before: Revoked | None
    """Of who comes back after a revocation: that revocation."""

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return x.certificate_pem(x.parse_certificate(self.issued.der))

    @property
    def replaced(self) -> tuple[str, ...]:
        """Serials that were revoked for it now."""
        return self.issued.replaces if self.standing == "enrolment" else ()


class _Order(NamedTuple):
    """A certificate to be signed, without anything that a process could not be handed."""

    tls_key: bytes
    common_name: str
    uri: str
    serial: int
    validity: x.Validity


def check(
    election: str, requests: Iterable[tuple[str, bytes]], *, mapper: Mapper = map_here
) -> tuple[list[CheckedRequest], list[TallygateError]]:
    """Checks requests against all that needs no memory.

    Args:
        election: the CA's election.
        requests: place and bytes of each.
        mapper: who does the work.

    Returns:
        Those that passed, in order, and the faults of the others.
    """
    passed: list[CheckedRequest] = []
    faults: list[TallygateError] = []
    for results in mapper(partial(_check_chunk, election), _chunks(requests)):
        for result in results:
            if isinstance(result, TallygateError):
                faults.append(result)
            else:
                passed.append(result)
    return passed, faults


def admit_devices(
    requests: Iterable[CheckedRequest], kind: DeviceKind | None
) -> tuple[list[Candidate], list[TallygateError]]:
    """Admits devices where there is no election folder yet: all of one kind.

    Returns:
        Those who may be enrolled; ``enrol.kind`` (the kind was not said), ``enrol.unknown`` (couriers and
        members, whom only an election folder knows).
    """
    admitted: list[Candidate] = []
    faults: list[TallygateError] = []
    for request in requests:
        if request.holder.group != "device":
            code, why = "enrol.unknown", f"{request.holder} is no device: who it is must be looked up"
        elif kind is None:
            code, why = "enrol.kind", f"what device {request.holder} is must be known"
        else:
            admitted.append(Candidate(request, kind))
            continue
        more = "" if request.holder.group != "device" else ", or --kind"
        faults.append(TallygateError(code, f"{why}; give --election FOLDER{more}", place=request.place))
    return admitted, faults


def judge(
    ca: Authority, candidates: Sequence[Candidate], *, replace: Collection[Holder] = ()
) -> tuple[list[Case], list[TallygateError]]:
    """Asks the index, and compares the requests with each other.

    Args:
        ca: the CA.
        candidates: who was admitted.
        replace: holders who may be enrolled anew although they have been before.

    Returns:
        The cases nothing speaks against; ``enrol.twice`` (two requests of one holder in this call),
        ``enrol.key_taken`` (a key that another holder has or that has another use, or a TLS key that was
        given up), ``enrol.duplicate`` (the holder has been enrolled with another request or role).
    """
    cases: list[Case] = []
    faults: list[TallygateError] = []
    holders: dict[Holder, str] = {}
    owners: dict[str, Owner] = {}
    for candidate in candidates:
        request = candidate.request
        result = _judge(ca, candidate, replace)
        if request.holder in holders:
            result = TallygateError(
                "enrol.twice",
                f"{request.holder} has another request in {holders[request.holder]}: give one of them",
                place=request.place,
            )
        else:
            for key, use in request.keys.items():
                owner = Owner(request.holder, use)
                if owners.setdefault(key, owner) != owner:
                    result = _key_taken(request, owners[key])
        holders.setdefault(request.holder, request.place)
        if isinstance(result, TallygateError):
            faults.append(result)
        else:
            cases.append(result)
    return cases, faults


def enrol(ca: Authority, cases: Sequence[Case], *, mapper: Mapper = map_here) -> list[Enrolled]:
    """Signs certificates and remembers them durably: for all of these cases, or none.

    Args:
        ca: the CA.
        cases: what `judge` gave.
        mapper: who signs.

    Raises:
        TallygateError: ``pki.closes_at``, ``pki.expires``.
    """
    validity = x.leaf_validity(ca.now, ca.closes_at)
    fresh = [case for case in cases if case.standing != "known"]
    orders = [_order(ca.election, case.candidate, validity) for case in fresh]
    sign = partial(_sign_chunk, x.key_pem(ca.issuer.key), ca.ca_pem)
    signed = [der for ders in mapper(sign, _chunks(orders)) for der in ders]
    issued = {
        case.candidate.request.holder: Issued(
            at=ca.now,
            serial=x.serial_text(order.serial),
            role=case.candidate.role,
            id=case.candidate.request.holder.number,
            closes_at=ca.closes_at,
            request=case.candidate.request.csr_sha256.hex(),
            tls_key=x.key_id(order.tls_key),
            sign_key=case.candidate.request.sign_key,
            replaces=ca.index.live(case.before) if case.standing == "enrolment" else (),
            certificate=base64.b64encode(der).decode(),
        )
        for case, order, der in zip(fresh, orders, signed, strict=True)
    }
    before = {
        case.candidate.request.holder: ca.index.revoked.get(case.before.serial)
        for case in fresh
        if case.before
    }
    ca.index.append(list(issued.values()))
    results = []
    for case in cases:
        holder = case.candidate.request.holder
        certificate = issued.get(holder, case.before)
        if certificate is None:
            raise AssertionError("a request that came before has a certificate")
        results.append(Enrolled(certificate, case.standing, before.get(holder)))
    return results


def write_certificates(ca: Authority, enrolled: Sequence[Enrolled]) -> list[Path]:
    """Puts each certificate into ``certificates/<role>-<number>.pem``.

    Without the CA's behind it: the gateway trusts that one itself, and a box's line may be thin. After a
    crash the same requests write the same files: the index has the certificates already.
    """
    paths = []
    for result in enrolled:
        role, number = result.issued.role, result.issued.id
        path = ca.folder / "certificates" / f"{role}-{number}.pem"
        write_durably(path, result.pem)
        if role in DEVICE_KINDS:
            # A device that was enrolled anew as another kind: nobody shall carry the revoked one to it.
            for kind in DEVICE_KINDS:
                if kind != role:
                    path.with_name(f"{kind}-{number}.pem").unlink(missing_ok=True)
        paths.append(path)
    return paths


def _judge(ca: Authority, candidate: Candidate, replace: Collection[Holder]) -> Case | TallygateError:
    request, index = candidate.request, ca.index
    before = index.latest(request.holder)
    revoked = None if before is None else index.revoked.get(before.serial)
    if before is not None and revoked is None and _same(candidate, before):
        return Case(candidate, before, "known" if before.closes_at >= ca.closes_at else "renewal")
    for key, use in request.keys.items():
        owner = index.owner(key)
        if owner not in (None, Owner(request.holder, use)):
            return _key_taken(request, owner)
    if index.given_up(x.key_id(request.tls_key)):
        return TallygateError(
            "enrol.key_taken",
            f"this TLS key was given up when its certificate was revoked; {request.holder} must make another",
            place=request.place,
        )
    if before is not None and request.holder not in replace:
        if revoked is None:
            state = f"as {before.role}"
        else:
            state = f"and revoked on {format_time(revoked.at)} ({revoked.reason})"
        return TallygateError(
            "enrol.duplicate",
            f"{request.holder} was enrolled before with another request or role, {state} (serial "
            f"{before.serial}); if it was set up anew on purpose, --replace {request.holder} enrols it again "
            "and revokes what it had",
            place=request.place,
        )
    return Case(candidate, before, "enrolment")


def _same(candidate: Candidate, before: Issued) -> bool:
    request = candidate.request
    return (before.role, before.request, before.sign_key) == (
        candidate.role,
        request.csr_sha256.hex(),
        request.sign_key,
    )


def _order(election: str, candidate: Candidate, validity: x.Validity) -> _Order:
    role, number = candidate.role, candidate.request.holder.number
    return _Order(
        candidate.request.tls_key,
        f"{election} {role} {number}"[:64],
        certificate_uri(election, role, number),
        x.random_serial(),
        validity,
    )


def _key_taken(request: CheckedRequest, owner: Owner | None) -> TallygateError:
    whose = "the server" if owner is None or owner.holder is None else str(owner.holder)
    use = "TLS key" if owner is None or owner.use == "tls" else "signing key"
    return TallygateError(
        "enrol.key_taken",
        f"{request.holder} brings a key that is the {use} of {whose}; a key is made in one device, for one "
        "use, and never leaves it: was its memory copied? Make new keys",
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
