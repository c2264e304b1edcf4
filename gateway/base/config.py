"""`tallygate.toml`: what an operator may set for a night, its defaults and the commented file.

What lives here: one struct a table, one note a key, and the reader. The file is written from both, so a key
without a comment or a comment without a key cannot be (a test compares them). The reader names every fault at
once, with its line.
"""

import difflib
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias, TypeVar, get_args

import msgspec
from msgspec.structs import FieldInfo

from gateway.base import limits
from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded
from gateway.base.toml import KeyPath, read_toml

FILE: Final = "tallygate.toml"

# The box port of a night: 8443 is the alternative HTTPS port that an unprivileged process may bind.
BOX_PORT = 8443
WEB_PORT = 8080
# Four in a row, one a role, away from 9090 to 9100 where Prometheus itself and its node exporter sit.
OPERATIONS_PORT = 9640

# Bytes of the file: with every key and comment it has 4 KiB.
MAX_CONFIG: Final = 65_536
HIGHEST_PORT: Final = 65_535
# An hour: who waits longer than that holds a place for nothing.
_MAX_SECONDS: Final = 3_600
# Characters of somebody's value in a message.
_SHOWN: Final = 60

# Keys whose value is a list.
_LISTS: Final = ("box", "web", "start")

Role: TypeAlias = Literal["ingest", "publish", "web", "monitor"]

_WANTED_ADDRESS: Final = 'an address "host:port", IPv6 as "[::1]:port"'
Address: TypeAlias = Annotated[str, msgspec.Meta(max_length=300, description=_WANTED_ADDRESS)]
Addresses: TypeAlias = Annotated[
    tuple[Address, ...],
    msgspec.Meta(min_length=1, max_length=64, description='a list of addresses, ["host:port", …]'),
]
Positive: TypeAlias = Annotated[
    int, msgspec.Meta(ge=1, le=2**53 - 1, description="a whole number from 1 to 9007199254740991")
]
Seconds: TypeAlias = Annotated[
    int,
    msgspec.Meta(ge=1, le=_MAX_SECONDS, description=f"a whole number of seconds from 1 to {_MAX_SECONDS}"),
]
_ROLES: Final = ", ".join(f'"{role}"' for role in get_args(Role))
_StartedRole: TypeAlias = Annotated[Role, msgspec.Meta(description=f"one of {_ROLES}")]
StartedRoles: TypeAlias = Annotated[
    tuple[_StartedRole, ...], msgspec.Meta(min_length=1, description=f"a list with at least one of {_ROLES}")
]
CrlStale: TypeAlias = Annotated[Literal["keep", "refuse"], msgspec.Meta(description='"keep" or "refuse"')]


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[listen]``: addresses as ``host:port``, IPv6 as ``[::1]:port``, port 0 = any."""

    box: Addresses = (f"0.0.0.0:{BOX_PORT}", f"[::]:{BOX_PORT}")
    web: Addresses = (f"127.0.0.1:{WEB_PORT}",)
    operations_ingest: Address = f"127.0.0.1:{OPERATIONS_PORT}"
    operations_publish: Address = f"127.0.0.1:{OPERATIONS_PORT + 1}"
    operations_web: Address = f"127.0.0.1:{OPERATIONS_PORT + 2}"
    operations_monitor: Address = f"127.0.0.1:{OPERATIONS_PORT + 3}"


class Roles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[roles]``."""

    start: StartedRoles = ("ingest", "publish", "web", "monitor")


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[tls]``."""

    crl_stale: CrlStale = "keep"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[limits]``; reasons stand in `gateway.base.limits`."""

    connections: Positive = limits.CONNECTIONS
    connections_per_certificate: Positive = limits.CONNECTIONS_PER_CERTIFICATE
    requests_per_connection: Positive = limits.REQUESTS_PER_CONNECTION
    handshake_seconds: Seconds = limits.HANDSHAKE_SECONDS
    handshake_seconds_under_pressure: Seconds = limits.HANDSHAKE_SECONDS_UNDER_PRESSURE
    request_seconds: Seconds = limits.REQUEST_SECONDS
    idle_seconds: Seconds = limits.IDLE_SECONDS
    attachment_bytes_per_second: Positive = limits.ATTACHMENT_BYTES_PER_SECOND
    attachment_bytes_per_device: Positive = limits.ATTACHMENT_BYTES_PER_DEVICE
    attachment_bytes_per_desk_station: Positive = limits.ATTACHMENT_BYTES_PER_DESK_STATION
    attachment_reserve_bytes: Positive = limits.ATTACHMENT_RESERVE_BYTES
    queue_statements: Positive = limits.QUEUE_STATEMENTS
    batch_statements: Positive = limits.BATCH_STATEMENTS
    disk_reserve_bytes: Positive = limits.DISK_RESERVE_BYTES
    device_requests_per_minute: Positive = limits.DEVICE_REQUESTS_PER_MINUTE
    courier_requests_per_minute: Positive = limits.COURIER_REQUESTS_PER_MINUTE
    entries_per_device: Positive = limits.ENTRIES_PER_DEVICE
    entries_per_desk_station: Positive = limits.ENTRIES_PER_DESK_STATION
    station_bytes_per_device: Positive = limits.STATION_BYTES_PER_DEVICE
    decision_bytes_per_member: Positive = limits.DECISION_BYTES_PER_MEMBER
    refusals_kept: Positive = limits.REFUSALS_KEPT
    web_connections: Positive = limits.WEB_CONNECTIONS


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    listen: Listen = Listen()
    roles: Roles = Roles()
    tls: Tls = Tls()
    limits: Limits = Limits()


NOTES = {
    "listen": 'Addresses "host:port", IPv6 "[::1]:port"; port 0 takes a free one, run/<role>.json names it.',
    "listen.box": "Ballot boxes, terminals, desks, couriers, commission: mutual TLS only.",
    "listen.web": "The public feed and pages; put a web server or CDN before it for the world.",
    "listen.operations_ingest": "Metrics and health of each role: /metrics, /livez, /readyz.",
    "listen.operations_publish": "",
    "listen.operations_web": "",
    "listen.operations_monitor": "",
    "roles": "",
    "roles.start": "What `tallygate serve` starts and restarts; each role can also run alone under systemd.",
    "tls": "Certificate, key, CA and CRL are read from pki/ and again on SIGHUP.",
    "tls.crl_stale": 'A CRL past its date: "keep" its serials in force with an alarm, or "refuse" everybody.',
    "limits": "",
    "limits.connections": "At the cap the oldest connection without a finished handshake is closed.",
    "limits.connections_per_certificate": "",
    "limits.requests_per_connection": "",
    "limits.handshake_seconds": "",
    "limits.handshake_seconds_under_pressure": "While the cap is reached.",
    "limits.request_seconds": "One whole request, from its first byte to the end of the answer.",
    "limits.idle_seconds": "After the handshake or an answer, until the next request begins.",
    "limits.attachment_bytes_per_second": "A scan has its size divided by this, plus request_seconds.",
    "limits.attachment_bytes_per_device": "Stored scans that one device's statements name.",
    "limits.attachment_bytes_per_desk_station": "A desk has so many more for each station of its area.",
    "limits.attachment_reserve_bytes": "On top of disk_reserve_bytes: statements come before scans.",
    "limits.queue_statements": "Waiting for the ledger; above it 503 and 'later'. Less than connections.",
    "limits.batch_statements": "In one transaction.",
    "limits.disk_reserve_bytes": "Below it nothing new is accepted (507): what was promised can be kept.",
    "limits.device_requests_per_minute": "A certificate of a box, terminal or desk.",
    "limits.courier_requests_per_minute": "A certificate of a courier or of a member of the commission.",
    "limits.entries_per_device": "New entries of one device over one certificate.",
    "limits.entries_per_desk_station": "A desk has so many more for each station of its area.",
    "limits.station_bytes_per_device": "Of one device's packets that name one station.",
    "limits.decision_bytes_per_member": "Of the decisions that one member of the commission has signed.",
    "limits.refusals_kept": "Refused statements kept for `tallygate station`.",
    "limits.web_connections": "Of readers to the public port; at the cap one that waits makes room.",
}

_HEAD = """\
# Tallygate: one election night. Written by `tallygate init` with every key and its default;
# a key that is removed has its default, an unknown one is an error.
"""


def render(config: Config) -> bytes:
    """The commented file: every key, in the order of the structs."""
    lines = [_HEAD]
    for table in config.__struct_fields__:
        lines += [f"[{table}]"]
        _comment(lines, NOTES[table])
        values: msgspec.Struct = getattr(config, table)
        for key in values.__struct_fields__:
            _comment(lines, NOTES[f"{table}.{key}"])
            # JSON's integers, strings and arrays of them are TOML's as well.
            lines.append(f"{key} = {json.dumps(getattr(values, key), ensure_ascii=False)}")
        lines.append("")
    return "\n".join(lines).encode()


def _comment(lines: list[str], note: str) -> None:
    if note:
        lines.append(f"# {note}")


class Endpoint(NamedTuple):
    """An address to listen on: a name or an IP address without brackets, and a port, 0 for any."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it is written in the file."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_T = TypeVar("_T", Listen, Roles, Tls, Limits)

_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.%\w-]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", re.ASCII)
# A name whose last part is no number: 256.0.0.1 is a mistake, and a resolver would be asked for it.
_NAME: Final = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.)*(?![0-9]+$)[A-Za-z0-9-]{1,63}")


def parse_address(text: str, *, place: str = "") -> Endpoint:
    """Reads ``host:port`` or ``[IPv6]:port``; nothing is looked up.

    Raises:
        TallygateError: ``config.value``.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > HIGHEST_PORT or not _is_host(found[1], found[2]):
        raise TallygateError("config.value", f"{_shown(text)} is not {_WANTED_ADDRESS}", place=place)
    return Endpoint(found[1] or found[2], int(found[3]))


def _is_host(v6: str | None, other: str) -> bool:
    try:
        return ipaddress.ip_address(v6 or other).version == (6 if v6 else 4)
    except ValueError:
        return v6 is None and _NAME.fullmatch(other) is not None


class ConfigError(TallygateError):
    """Everything that is wrong in one ``tallygate.toml``; its own words are those of the first fault.

    Attributes:
        faults: in the order of their lines.
    """

    def __init__(self, faults: Sequence[TallygateError]) -> None:
        super().__init__(faults[0].code, faults[0].detail, place=faults[0].place)
        self.faults = tuple(faults)


def read_config(path: Path) -> Config:
    """Reads ``tallygate.toml``.

    Raises:
        ConfigError: with all faults by line: ``config.key`` (no such table or key), ``config.type``,
            ``config.value``; or the one that leaves nothing to judge: ``config.encoding``, ``config.toml``,
            ``file.too_large``.
        OSError: it cannot be read.
    """
    try:
        text = read_bounded(path, MAX_CONFIG).decode("utf-8-sig")
        document = read_toml(text, place=str(path))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        detail = "this is not UTF-8: save the file as UTF-8"
        raise ConfigError([TallygateError("config.encoding", detail, place=f"{path}:{line}")]) from None
    except TallygateError as error:
        raise ConfigError([error]) from None
    reader = _Reader(str(path), document.lines)
    config = reader.config(document.values)
    if reader.faults:
        raise ConfigError([fault for _, fault in sorted(reader.faults, key=itemgetter(0))])
    return config


class _Reader:
    """Judges one document key by key; a faulty key is noted with its line and has its default."""

    def __init__(self, place: str, lines: Mapping[KeyPath, int]) -> None:
        self._place = place
        self._lines = lines
        self.faults: list[tuple[int, TallygateError]] = []

    def config(self, document: Mapping[str, object]) -> Config:
        self._known((), document, Config)
        config = Config(
            listen=self._table("listen", document, Listen),
            roles=self._table("roles", document, Roles),
            tls=self._table("tls", document, Tls),
            limits=self._table("limits", document, Limits),
        )
        self._addresses(document.get("listen"))
        self._together(config)
        return config

    def _table(self, name: str, document: Mapping[str, object], shape: type[_T]) -> _T:
        found = document.get(name, {})
        if not isinstance(found, dict):
            self._note("config.type", (name,), f"write [{name}] on a line of its own, and its keys below")
            return shape()
        self._known((name,), found, shape)
        values: dict[str, object] = {}
        for field in msgspec.structs.fields(shape):
            if field.name in found and self._fits(field, (name, field.name), found[field.name]):
                values[field.name] = found[field.name]
        return msgspec.convert(values, shape)

    def _known(self, path: KeyPath, found: Mapping[str, object], shape: type[msgspec.Struct]) -> None:
        names = shape.__struct_fields__
        for name in found:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
                what = "key" if path else "table"
                self._note("config.key", (*path, name), f"there is no such {what}: {meant}")

    def _fits(self, field: FieldInfo, path: KeyPath, value: object) -> bool:
        before = len(self.faults)
        if isinstance(value, list) and field.name in _LISTS:
            item_type = get_args(get_args(field.type)[0])[0]
            for number, item in enumerate(value):
                self._convert((*path, number), item, item_type, field)
        if len(self.faults) == before:
            self._convert(path, value, field.type, field)
        return len(self.faults) == before

    def _convert(self, path: KeyPath, value: object, kind: object, field: FieldInfo) -> None:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            code = "config.type" if ", got " in str(error) else "config.value"
            default = json.dumps(field.default, ensure_ascii=False)
            self._note(code, path, f"{_shown(value)} is not {_words(kind)}; the default is {default}")

    def _addresses(self, listen: object) -> None:
        """Judges what the texts in ``[listen]`` say; no two may be the same, or one could not be bound."""
        seen: dict[Endpoint, KeyPath] = {}
        for key, value in listen.items() if isinstance(listen, dict) else ():
            texts: list[tuple[KeyPath, object]] = []
            if key in _LISTS and isinstance(value, list):
                texts = [(("listen", key, number), item) for number, item in enumerate(value)]
            elif key in Listen.__struct_fields__ and key not in _LISTS:
                texts = [(("listen", key), value)]
            for path, text in texts:
                if not isinstance(text, str):
                    continue  # that was said before
                try:
                    address = parse_address(text)
                except TallygateError as error:
                    self._note(error.code, path, error.detail)
                    continue
                if address.port and address in seen:
                    self._note("config.value", path, f"{address} stands at {_dotted(seen[address])} too")
                seen.setdefault(address, path)

    def _together(self, config: Config) -> None:
        """What is wrong only beside another key."""
        roles = config.roles.start
        for number, role in enumerate(roles):
            if role in roles[:number]:
                self._note("config.value", ("roles", "start", number), f'"{role}" stands here twice')
        limit = config.limits
        if limit.handshake_seconds_under_pressure > limit.handshake_seconds:
            keys = ("handshake_seconds_under_pressure", "handshake_seconds")
            written = next(key for key in keys if ("limits", key) in self._lines)
            detail = (
                f"under pressure a handshake has {limit.handshake_seconds_under_pressure} s and without "
                f"it {limit.handshake_seconds} s: it can only be less"
            )
            self._note("config.value", ("limits", written), detail)

    def _note(self, code: str, path: KeyPath, detail: str) -> None:
        # A key that has no line of its own stands at its default, and the other one is at fault.
        line = next(
            (self._lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self._lines), 1
        )
        fault = TallygateError(code, f"{_dotted(path)}: {detail}", place=f"{self._place}:{line}")
        self.faults.append((line, fault))


def _words(kind: object) -> str:
    """What the type of a field or item wants, in its own description."""
    meta = get_args(kind)[1]
    if not isinstance(meta, msgspec.Meta) or meta.description is None:
        raise TypeError(f"{kind} has no description")
    return meta.description


def _dotted(path: KeyPath) -> str:
    """``listen.box[1]``, counted from 1 as people do."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shown(value: object) -> str:
    """Somebody's value, short and in TOML's own words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
