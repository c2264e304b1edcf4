"""The state of a night in one look: its roles, what they count, what the public sees, what is wrong.

What lives here: `Look`, which gathers it from outside the roles: their files, their metrics, the newest
snapshot, disk and certificates. It works when roles are down, for that is when somebody looks. What is to be
done about it is judged in `gateway.run.alarms`.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from gateway import _core
from gateway.base.clock import SECOND, Clock, ElectionClock, format_time
from gateway.base.config import Config, Role, parse_address
from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded
from gateway.feed import layout
from gateway.feed.models import Latest, Paused, Progress
from gateway.feed.reading import read_latest
from gateway.pki.certificates import crl_times, load_certificate
from gateway.publish.pause import read_pause
from gateway.run.folder import NightFolder, ReadyFile, is_running, night_clock, read_ready
from gateway.run.scrape import Metrics, Scrape

RoleState: TypeAlias = Literal["ready", "starting", "stopping", "failed", "silent", "crashed", "down", "off"]

# Bytes of a certificate or revocation list: ten thousand revoked serials have some 400 KiB.
_MAX_PEM: Final = 4_194_304

_REFUSED: Final = ("accepted", "duplicate", "conflict")


class RoleStatus(msgspec.Struct, frozen=True):
    """One role.

    Attributes:
        state: ready, starting, stopping, failed: as it says itself; silent: its process runs and does not
            answer; crashed: its process ended without a word; down: it does not run; off: nor shall it.
        pid: of its process, if it is known to run.
        since: real time at which it became ready.
        addresses: what it serves for others.
        operations: where its metrics are; empty: not known.
        loop_lag_seconds: how late its event loop woke up at worst lately.
    """

    role: Role
    state: RoleState
    pid: int | None = None
    since: str | None = None
    addresses: tuple[str, ...] = ()
    operations: str = ""
    loop_lag_seconds: float | None = None


class Statements(msgspec.Struct, frozen=True):
    """What came in since ingest started; `per_second` accepted between two looks."""

    accepted: int
    duplicate: int
    conflict: int
    refused: int
    per_second: float | None


class Snapshot(msgspec.Struct, frozen=True):
    """The newest snapshot; `age_seconds` in real time, the others' times in the election's."""

    number: int
    published_at: str
    age_seconds: float
    entries: int
    status: str
    paused: Paused | None
    embargo_until: str | None = None


class OperatorPause(msgspec.Struct, frozen=True):
    """What data/pause.json says; of one that cannot be understood only the `fault`."""

    since: str | None
    reason: str | None
    fault: str | None


class Publication(msgspec.Struct, frozen=True):
    """How fast the public learns; lags are upper edges of buckets, in seconds, since publish started."""

    lag_p50_seconds: float | None
    lag_p99_seconds: float | None
    oldest_unpublished_seconds: float | None
    replay_matches: bool | None


class Queue(msgspec.Struct, frozen=True):
    """What waits, and how much may."""

    uploads: int
    uploads_limit: int
    connections: int
    connections_limit: int


class Disk(msgspec.Struct, frozen=True):
    """Bytes on the ledger's disk."""

    free: int
    reserve: int


class Expiry(msgspec.Struct, frozen=True):
    """When a certificate ends or a revocation list is due; real time. `begins` is when it was made."""

    name: str
    begins: str
    ends: str


class NightStatus(msgspec.Struct, frozen=True):
    """The whole; what cannot be known now is None or empty.

    Attributes:
        at: real time of the look.
        election_time: the election's clock; None: nobody has started the rehearsal.
        speed: of that clock.
        entries: of the log, as ingest says.
    """

    night: str
    election: str
    mode: str
    at: str
    election_time: str | None
    speed: int | None
    opens_at: str
    closes_at: str
    timezone: str
    roles: tuple[RoleStatus, ...]
    progress: Progress | None
    stations: int
    statements: Statements | None
    entries: int | None
    snapshot: Snapshot | None
    operator_pause: OperatorPause | None
    publication: Publication | None
    queue: Queue | None
    disk: Disk | None
    expiries: tuple[Expiry, ...]
    faults: tuple[str, ...]


class Look:
    """Looks at one night again and again; rates are between this look and the one before.

    Args:
        night: its folder.
        config: its tallygate.toml.
        real: the machine's clock, ms.
        timer: seconds from some start, never back.
        scrape: asks a role; `gateway.run.scrape.scrape`.

    Raises:
        TallygateError: the definition cannot be read.
    """

    def __init__(
        self,
        night: NightFolder,
        config: Config,
        *,
        real: Clock,
        timer: Callable[[], float],
        scrape: Callable[[str], Scrape],
    ) -> None:
        self._night = night
        self._config = config
        self._real = real
        self._timer = timer
        self._scrape = scrape
        self._definition = _core.Definition.load(night.definition)
        self._before: tuple[float, float] | None = None

    def __call__(self) -> tuple[NightStatus, dict[Role, Metrics]]:
        """One look: what people read, and the metrics that alarms are judged by."""
        faults: list[str] = []
        clock = self._clock(faults)
        roles, metrics = self._roles()
        latest = self._latest(faults)
        ingest = metrics["ingest"]
        status = NightStatus(
            night=str(self._night.root),
            election=self._definition.id,
            mode=self._definition.mode,
            at=format_time(self._real()),
            election_time=None if clock is None else format_time(clock()),
            speed=None if clock is None else clock.speed,
            opens_at=format_time(self._definition.opens_at),
            closes_at=format_time(self._definition.closes_at),
            timezone=self._definition.timezone,
            roles=roles,
            progress=None if latest is None else latest.progress,
            stations=self._definition.station_count,
            statements=self._statements(ingest),
            entries=_whole(ingest.value("tallygate_log_entries")),
            snapshot=None if latest is None else self._snapshot(latest),
            operator_pause=_operator_pause(self._night.pause),
            publication=_publication(metrics["publish"], metrics["monitor"]),
            queue=_queue(ingest),
            disk=self._disk(faults),
            expiries=self._expiries(faults),
            faults=tuple(faults),
        )
        return status, metrics

    def _clock(self, faults: list[str]) -> ElectionClock | None:
        try:
            return night_clock(self._night, self._real)
        except (TallygateError, OSError) as error:
            faults.append(str(error))
            return None

    def _roles(self) -> tuple[tuple[RoleStatus, ...], dict[Role, Metrics]]:
        names: tuple[Role, ...] = get_args(Role)
        files = {role: read_ready(self._night.ready(role)) for role in names}
        addresses = {role: self._operations(role, files[role]) for role in names}
        with ThreadPoolExecutor(len(names)) as pool:
            answers = dict(zip(names, pool.map(self._ask, addresses.values()), strict=True))
        roles = tuple(self._role(role, files[role], addresses[role], answers[role]) for role in names)
        return roles, {role: answers[role].metrics for role in names}

    def _ask(self, address: str) -> Scrape:
        return self._scrape(address) if address else Scrape(None, Metrics())

    def _operations(self, role: Role, ready: ReadyFile | None) -> str:
        """Where the role's metrics are: as it says, or as it was told; empty: only it knows."""
        if ready is not None and ready.operations:
            return ready.operations[0]
        listen = self._config.listen
        told = {
            "ingest": listen.operations_ingest,
            "publish": listen.operations_publish,
            "web": listen.operations_web,
            "monitor": listen.operations_monitor,
        }[role]
        # Without its file it can be another night's: only one that starts, or is about to write it, is ours.
        lock = self._night.run / f"{role}.lock"
        return told if lock.exists() and parse_address(told).port else ""

    def _role(self, role: Role, ready: ReadyFile | None, operations: str, answer: Scrape) -> RoleStatus:
        wanted = role in self._config.roles.start
        lag = answer.metrics.value("tallygate_loop_lag_seconds")
        if ready is None:
            # A role that is ready has a file: whoever answers "ready" here belongs to another night.
            if answer.state in ("starting", "failed", "stopping"):
                return RoleStatus(role, _state(answer.state), operations=operations, loop_lag_seconds=lag)
            return RoleStatus(role, "down" if wanted else "off")
        if not is_running(ready.pid):
            return RoleStatus(role, "crashed", since=ready.since)
        state = "silent" if answer.state is None else _state(answer.state)
        return RoleStatus(
            role, state, ready.pid, ready.since, (*ready.box, *ready.web), operations, loop_lag_seconds=lag
        )

    def _latest(self, faults: list[str]) -> Latest | None:
        try:
            return read_latest(read_bounded(self._night.feed / layout.LATEST, layout.MAX_LATEST))
        except FileNotFoundError:
            return None
        except (TallygateError, OSError) as error:
            faults.append(str(error))
            return None

    def _snapshot(self, latest: Latest) -> Snapshot | None:
        try:
            written = (self._night.feed / layout.LATEST).stat().st_mtime
        except OSError:
            return None
        status = latest.status.machine if latest.headline == "machine" else latest.status.protocol
        return Snapshot(
            latest.snapshot,
            latest.published_at,
            max(0.0, round(self._real() / SECOND - written, 3)),
            latest.log.size,
            status,
            latest.paused,
            latest.embargo_until,
        )

    def _statements(self, ingest: Metrics) -> Statements | None:
        outcomes = ingest.by_label("tallygate_statements_total", "outcome")
        if not outcomes:
            self._before = None
            return None
        now, accepted = self._timer(), outcomes.get("accepted", 0.0)
        before, self._before = self._before, (now, accepted)
        rate = None
        # A counter that fell is another process's.
        if before is not None and now > before[0] and accepted >= before[1]:
            rate = round((accepted - before[1]) / (now - before[0]), 1)
        return Statements(
            int(accepted),
            int(outcomes.get("duplicate", 0)),
            int(outcomes.get("conflict", 0)),
            int(sum(number for outcome, number in outcomes.items() if outcome not in _REFUSED)),
            rate,
        )

    def _disk(self, faults: list[str]) -> Disk | None:
        try:
            found = os.statvfs(self._night.data)
        except OSError as error:
            faults.append(f"{self._night.data}: {error.strerror or error}")
            return None
        return Disk(found.f_bavail * found.f_frsize, self._config.limits.disk_reserve_bytes)

    def _expiries(self, faults: list[str]) -> tuple[Expiry, ...]:
        found: list[Expiry] = []
        for name, file in (("server", "server.pem"), ("ca", "ca.pem"), ("crl", "crl.pem")):
            path = self._night.pki / file
            try:
                found.append(_expiry(name, path))
            except (TallygateError, OSError, ValueError) as error:
                faults.append(f"{path}: {error}")
        return tuple(found)


def _expiry(name: str, path: Path) -> Expiry:
    data = read_bounded(path, _MAX_PEM)
    if name == "crl":
        begins, ends = crl_times(data, place=str(path))
    else:
        certificate = load_certificate(data, place=str(path))
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Expiry(name, _written(begins), _written(ends))


def _written(moment: datetime) -> str:
    return format_time(int(moment.timestamp()) * SECOND)


def _operator_pause(path: Path) -> OperatorPause | None:
    try:
        pause = read_pause(path)
    except TallygateError as error:
        return OperatorPause(None, None, str(error))
    return None if pause is None else OperatorPause(pause.since, pause.reason, None)


def _publication(publish: Metrics, monitor: Metrics) -> Publication | None:
    oldest = publish.value("tallygate_oldest_unpublished_seconds")
    matches = monitor.value("tallygate_replay_matches")
    if oldest is None and matches is None:
        return None
    name = "tallygate_publish_lag_seconds"
    return Publication(
        publish.quantile(name, 0.5),
        publish.quantile(name, 0.99),
        None if oldest is None else round(oldest, 3),
        None if matches is None else matches == 1,
    )


def _queue(ingest: Metrics) -> Queue | None:
    values = [
        ingest.value(name)
        for name in (
            "tallygate_inflight_uploads",
            "tallygate_inflight_uploads_limit",
            "tallygate_open_connections",
            "tallygate_open_connections_limit",
        )
    ]
    found = [int(value) for value in values if value is not None]
    return Queue(*found) if len(found) == len(values) else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _state(said: str) -> RoleState:
    """What a role says of itself; whatever else answers there is not one of ours."""
    match said:
        case "ready" | "starting" | "stopping" | "failed":
            return said
    return "silent"
