"""A rehearsal's night in one step: every key, certificate, manifest and the opening decision.

What lives here: the one place where keys of devices and commission are made outside devices. They go the
way of all enrolment (`gateway.pki`), and what they are made for says so: the election's id ends in
``-rehearsal``, its mode is rehearsal, its log is called ``rehearsal.invalid/…``.

Only a folder of tables can be rehearsed. It may be a live election's: it is built anew under its own id with
keys made here, also where devices.csv has real ones, so that nothing signed tonight means anything in the
election. A *built* definition is never given rehearsal keys: its commission keys are those of real people,
and every packet of such a night would carry the live definition's hash.
"""

import contextlib
import hashlib
import multiprocessing
import shutil
import signal
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec

from gateway import _core
from gateway.base.clock import DAY, MINUTE, RehearsalClock, Segment
from gateway.base.config import BOX_PORT, Config, Listen
from gateway.base.errors import CoreError, TallygateError
from gateway.base.files import (
    PRIVATE_DIRECTORY,
    create_private,
    finished_directory,
    refuse_existing,
    write_durably,
    write_private,
)
from gateway.election import due_devices, read_folder, with_keys, write_manifests
from gateway.election.faults import Faults
from gateway.election.files import BOM
from gateway.election.limits import MAX_COMMISSION_KEYS
from gateway.election.model import Courier, Device, Election
from gateway.election.settings import REHEARSAL_SUFFIX
from gateway.pki.authority import Authority, create_authority, open_authority
from gateway.pki.devices import MadeKeys, make_keys
from gateway.pki.enrolment import CHUNK, Candidate, Enrolled, Mapper, check, enrol, judge, map_here
from gateway.pki.names import DEVICE_KINDS, Holder, Role
from gateway.run.night import MANIFESTS, NewNight, Progress, load_manifests, make_night, opening
from gateway.run.sitefile import SiteFile, messages_of

# Election time when the first `tallygate serve` starts: stations report turnout, then close.
START_BEFORE_CLOSE = 15 * MINUTE
# TLS, CRLs and certificates live in real time, whenever the election was: a night folder that was made for a
# demonstration should still run some weeks later.
KEPT = 60 * DAY
# A commission that decides nothing alone.
MEMBERS = 3
QUORUM = 2
# Devices whose keys are in memory at once: some 20 MB.
BATCH = 8_192
# From here on a second process saves more than its start takes (measured: 0.6 ms a device, 0.5 s a start).
POOL_FROM = 10_000

# Every rehearsal's server answers on this machine.
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

_REASONS: Final = {
    "ky": "Машыгуу: журнал ачылат.",
    "kk": "Жаттығу: журнал ашылады.",
    "ru": "Репетиция: журнал открывается.",
    "en": "Rehearsal: the log is opened.",
}


class Plan(NamedTuple):
    """What the caller decides about a rehearsal."""

    start: int | None = None
    """Election time at the start, ms; None: `START_BEFORE_CLOSE` before the close."""
    speed: int = 1
    """How many times as fast as real time, from 1."""
    hosts: tuple[str, ...] = ()
    """Names and addresses of this machine for devices on other machines; none: loopback only."""
    port: int = BOX_PORT
    """Of the box port."""
    workers: int = 1
    """Processes that may make keys and certificates."""


class BundleLine(msgspec.Struct, frozen=True):
    """A line of `devices/bundle.ndjson` (docs/keys.md)."""

    role: Role
    id: int
    device: int | None
    stations: tuple[int, ...]
    area: int | None
    sign_seed: str | None
    sign_key: str | None
    tls_key: str
    certificate: str

    def __repr__(self) -> str:
        return f"BundleLine({self.role} {self.id})"

    def __rich_repr__(self) -> list[tuple[str, str | int]]:  # rich asks here, and not for the repr
        return [("role", self.role), ("id", self.id)]


class _Commission(NamedTuple):
    members: int
    quorum: int


def init_rehearsal(
    night: Path, folder: Path, plan: Plan, *, now: int, progress: Progress
) -> tuple[NewNight | None, Faults]:
    """Makes the night folder of a rehearsal.

    Args:
        night: becomes the night folder; it must not exist or be empty.
        folder: the officials' election folder.
        plan: what the caller decides.
        now: real time, ms.
        progress: is told what is being done.

    Returns:
        The night, or None if the folder has faults; and the builder's faults and warnings.

    Raises:
        TallygateError: ``init.built_definition``, ``file.exists``, ``pki.name``.
        OSError: it could not be written; nothing is left at `night`.
    """
    _refuse_built(folder)
    refuse_existing(night)
    progress("reading the tables", 0, 1)
    election, faults = read_folder(folder, rehearsal=True)
    if election is None:
        return None, faults
    commission = _commission(folder)
    settings = election.settings
    start = settings.closes_at - START_BEFORE_CLOSE if plan.start is None else plan.start
    devices = [device._replace(key=b"") for device in due_devices(election)]
    until = now + KEPT
    with finished_directory(night) as work:
        create_authority(work / "pki", settings.id, algorithm="ed25519", closes_at=until, now=now)
        (work / "devices").mkdir(mode=PRIVATE_DIRECTORY)
        with open_authority(work / "pki", now=now) as ca, _mapper(plan.workers, len(devices)) as mapper:
            ca.write_server((*LOOPBACK, *plan.hosts), algorithm="ed25519")
            enrolment = _Enrolment(ca, mapper)
            with create_private(work / "devices" / "bundle.ndjson") as bundle:
                devices = enrolment.devices(devices, bundle, progress)
                enrolment.couriers(election.couriers, bundle)
                members = enrolment.commission(commission.members, bundle)
            ca.write_crl()
            ca_pem = ca.ca_pem.decode()

        progress("building the manifests", 0, 1)
        _build(election, devices, members, commission.quorum, work)
        definition, roster = load_manifests(work)
        _insist(definition)
        keys = make_night(work, Config(listen=Listen(box=_listen(plan))))
        made = NewNight(night, definition, roster, _origin(definition.id, keys.log), keys, start)
        reason = [(language, _REASONS[language]) for language in definition.languages]
        content = opening(definition, roster, keys, made.origin, decided_at=start, reason=reason)
        signers = members[: commission.quorum]
        statements = [_core.sign("decision", content, member.sign_seed) for member in signers]
        # The door's own check: what is opened tonight must be taken tonight.
        for answer in _core.check_statements(statements, definition, roster):
            if isinstance(answer, CoreError):
                raise answer
        for member, statement in zip(signers, statements, strict=True):
            write_durably(work / "data" / "opening" / f"commission-{member.holder.number}.cose", statement)
        site = SiteFile(
            addresses=_addresses(plan),
            ca=ca_pem,
            log_key=made.log_vkey,
            definition=definition.hash.hex(),
            election=definition.id,
            mode=definition.mode,
        )
        write_private(work / "devices" / "site.json", site.encode())
        write_private(work / "devices" / "messages.json", messages_of(work, definition))
        write_durably(work / "clock.json", RehearsalClock(None, (Segment(start, plan.speed),)).encode())
        progress("making it durable", 0, 1)
    return made, faults


class _Enrolment:
    """Makes keys for holders, enrols them as everybody is enrolled, and writes their lines of the bundle."""

    def __init__(self, ca: Authority, mapper: Mapper) -> None:
        self._ca = ca
        self._mapper = mapper

    def devices(self, devices: Sequence[Device], bundle: BinaryIO, progress: Progress) -> list[Device]:
        """Gives the devices their keys."""
        keyed = []
        for at in range(0, len(devices), BATCH):
            batch = devices[at : at + BATCH]
            progress("making and enrolling keys", at, len(devices))
            holders = [
                (Holder("device", device.device), kind)
                for device in batch
                for kind in DEVICE_KINDS
                if kind == device.kind
            ]
            for device, (made, done) in zip(batch, self._enrol(holders), strict=True):
                keyed.append(device._replace(key=made.sign_key))
                _write(bundle, made, done, device=device.device, stations=device.stations, area=device.area)
        return keyed

    def couriers(self, couriers: Sequence[Courier], bundle: BinaryIO) -> None:
        """Makes and enrols the TLS keys of couriers."""
        holders: list[tuple[Holder, Role]] = [
            (Holder("courier", courier.courier), "courier") for courier in couriers
        ]
        for courier, (made, done) in zip(couriers, self._enrol(holders), strict=True):
            _write(bundle, made, done, area=courier.area)

    def commission(self, members: int, bundle: BinaryIO) -> list[MadeKeys]:
        """Makes and enrols the keys of the commission's members."""
        keys = []
        holders: list[tuple[Holder, Role]] = [
            (Holder("commission", n + 1), "commission") for n in range(members)
        ]
        for made, done in self._enrol(holders):
            _write(bundle, made, done)
            keys.append(made)
        return keys

    def _enrol(self, holders: Sequence[tuple[Holder, Role]]) -> Iterator[tuple[MadeKeys, Enrolled]]:
        making = partial(make_keys, self._ca.election)
        names = [holder for holder, _ in holders]
        chunks = (names[at : at + CHUNK] for at in range(0, len(names), CHUNK))
        made = [keys for chunk in self._mapper(making, chunks) for keys in chunk]
        requests = ((str(keys.holder), keys.request) for keys in made)
        checked, faults = check(self._ca.election, requests, mapper=self._mapper)
        roles = dict(holders)
        candidates = [Candidate(request, roles[request.holder]) for request in checked]
        cases, more = judge(self._ca, candidates)
        if faults or more:
            raise (faults or more)[0]
        return zip(made, enrol(self._ca, cases, mapper=self._mapper), strict=True)


def _write(
    bundle: BinaryIO,
    made: MadeKeys,
    done: Enrolled,
    *,
    device: int | None = None,
    stations: tuple[int, ...] = (),
    area: int = 0,
) -> None:
    line = BundleLine(
        role=done.issued.role,
        id=done.issued.id,
        device=device,
        stations=stations,
        area=area or None,
        sign_seed=made.sign_seed.hex() or None,
        sign_key=made.sign_key.hex() or None,
        tls_key=made.tls_key.decode(),
        certificate=done.pem.decode(),
    )
    bundle.write(msgspec.json.encode(line) + b"\n")


def _refuse_built(folder: Path) -> None:
    if not (folder / "election.toml").exists() and (folder / "definition" / "election.json").exists():
        raise TallygateError(
            "init.built_definition",
            "this is a built definition, and its commission keys are those of real people: rehearse the "
            "folder of tables that it was built from, and its keys are made for you",
            place=str(folder),
        )


def _commission(folder: Path) -> _Commission:
    """How many members the rehearsal's commission has, after the folder's; it was judged before."""
    with (folder / "election.toml").open("rb") as file:
        document = tomllib.loads(file.read().removeprefix(BOM).decode())
    keys = document.get("commission_keys")
    quorum = document.get("commission_quorum")
    quorum = quorum if isinstance(quorum, int) else QUORUM
    members = len(keys) if isinstance(keys, list) else 0
    return _Commission(min(max(MEMBERS, members, quorum), MAX_COMMISSION_KEYS), quorum)


def _build(
    election: Election, devices: Sequence[Device], members: Sequence[MadeKeys], quorum: int, work: Path
) -> None:
    keys = [member.sign_key for member in members]
    write_manifests(with_keys(election, devices=devices, commission_keys=keys, quorum=quorum), work / "built")
    for name in MANIFESTS:
        (work / "built" / name).rename(work / name)
    shutil.rmtree(work / "built")


def _insist(definition: _core.Definition) -> None:
    """Nothing that was made here may ever stand under a live election's name."""
    if definition.mode != "rehearsal" or not definition.id.endswith(REHEARSAL_SUFFIX):
        raise TallygateError(
            "init.not_a_rehearsal",
            "what was built is not marked as a rehearsal: Tallygate's own fault",
        )


def _origin(election: str, log_key: bytes) -> str:
    """Another log key is another name: witnesses know a log by it (docs/log.md)."""
    return f"rehearsal.invalid/{election}/{hashlib.sha256(log_key).hexdigest()[:8]}"


def _listen(plan: Plan) -> tuple[str, ...]:
    hosts = ("0.0.0.0", "[::]") if plan.hosts else ("127.0.0.1",)  # noqa: S104 - asked for with --host
    return tuple(f"{host}:{plan.port}" for host in hosts)


def _addresses(plan: Plan) -> tuple[str, ...]:
    hosts = plan.hosts or ("127.0.0.1",)
    return tuple(f"[{host}]:{plan.port}" if ":" in host else f"{host}:{plan.port}" for host in hosts)


@contextlib.contextmanager
def _mapper(workers: int, devices: int) -> Iterator[Mapper]:
    if workers < 2 or devices < POOL_FROM:
        yield map_here
        return
    pool = ProcessPoolExecutor(
        workers,
        # Not fork: what a fork does to a process with threads (progress bars have one) is not defined.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_ignore_interrupt,
    )
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupt() -> None:
    """Ctrl-C is the parent's to answer; it then ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
