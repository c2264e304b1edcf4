"""`tallygate.toml`: what an operator may set for a night, its defaults and the commented file.

What lives here: one struct a table, one note a key. The file is written from both, so a key without a
comment or a comment without a key cannot be (a test compares them).
"""

import json
from typing import Annotated, Literal, TypeAlias

import msgspec

from gateway.base import limits

# The box port of a night: 8443 is the alternative HTTPS port that an unprivileged process may bind.
BOX_PORT = 8443
WEB_PORT = 8080
# Four in a row, one a role, away from 9090 to 9100 where Prometheus itself and its node exporter sit.
OPERATIONS_PORT = 9640

Role: TypeAlias = Literal["ingest", "publish", "web", "monitor"]
Address: TypeAlias = Annotated[str, msgspec.Meta(min_length=2, max_length=300)]
Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[listen]``: addresses as ``host:port``, IPv6 as ``[::1]:port``, port 0 = any."""

    box: tuple[Address, ...] = (f"0.0.0.0:{BOX_PORT}", f"[::]:{BOX_PORT}")
    web: tuple[Address, ...] = (f"127.0.0.1:{WEB_PORT}",)
    operations_ingest: Address = f"127.0.0.1:{OPERATIONS_PORT}"
    operations_publish: Address = f"127.0.0.1:{OPERATIONS_PORT + 1}"
    operations_web: Address = f"127.0.0.1:{OPERATIONS_PORT + 2}"
    operations_monitor: Address = f"127.0.0.1:{OPERATIONS_PORT + 3}"


class Roles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[roles]``."""

    start: tuple[Role, ...] = ("ingest", "publish", "web", "monitor")


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[tls]``."""

    crl_stale: Literal["keep", "refuse"] = "keep"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[limits]``; reasons stand in `gateway.base.limits`."""

    connections: Positive = limits.CONNECTIONS
    connections_per_certificate: Positive = limits.CONNECTIONS_PER_CERTIFICATE
    requests_per_connection: Positive = limits.REQUESTS_PER_CONNECTION
    handshake_seconds: Positive = limits.HANDSHAKE_SECONDS
    handshake_seconds_under_pressure: Positive = limits.HANDSHAKE_SECONDS_UNDER_PRESSURE
    request_seconds: Positive = limits.REQUEST_SECONDS
    attachment_bytes_per_second: Positive = limits.ATTACHMENT_BYTES_PER_SECOND
    queue_statements: Positive = limits.QUEUE_STATEMENTS
    batch_statements: Positive = limits.BATCH_STATEMENTS
    disk_reserve_bytes: Positive = limits.DISK_RESERVE_BYTES
    device_requests_per_minute: Positive = limits.DEVICE_REQUESTS_PER_MINUTE
    courier_requests_per_minute: Positive = limits.COURIER_REQUESTS_PER_MINUTE
    entries_per_device: Positive = limits.ENTRIES_PER_DEVICE
    entries_per_desk_station: Positive = limits.ENTRIES_PER_DESK_STATION
    refusals_kept: Positive = limits.REFUSALS_KEPT


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
    "limits.attachment_bytes_per_second": "A scan has its size divided by this, plus request_seconds.",
    "limits.queue_statements": "Waiting for the ledger; above it the answer is 503 and 'later'.",
    "limits.batch_statements": "In one transaction.",
    "limits.disk_reserve_bytes": "Below it nothing new is accepted (507): what was promised can be kept.",
    "limits.device_requests_per_minute": "A certificate of a box, terminal or desk.",
    "limits.courier_requests_per_minute": "A certificate of a courier or of a member of the commission.",
    "limits.entries_per_device": "New entries of one device over one certificate.",
    "limits.entries_per_desk_station": "A desk has so many more for each station of its area.",
    "limits.refusals_kept": "Refused statements kept for `tallygate station`.",
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
