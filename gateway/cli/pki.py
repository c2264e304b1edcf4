"""``tallygate pki``: the election CA, certificates, revocation (docs/keys.md has the ceremony)."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from gateway.base.clock import format_time, system_clock
from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded
from gateway.cli.parameters import TIME
from gateway.pki import certificates as x
from gateway.pki.authority import (
    MAX_PEM_BYTES,
    Authority,
    create_authority,
    create_root,
    open_authority,
    open_root,
)
from gateway.pki.folder import ElectionTables, read_tables
from gateway.pki.index import Issued, Server
from gateway.pki.names import DEVICE_KINDS, DeviceKind, parse_holder
from gateway.pki.requests import MAX_REQUEST_BYTES, CheckedRequest

_FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
_CLOSES_AT = click.option(
    "--closes-at",
    type=TIME,
    help="When the polls close, like 2026-11-29T20:00:00+06:00; dates are counted from it.",
)
_ALGORITHM = click.option(
    "--algorithm",
    type=click.Choice(x.ALGORITHMS),
    default="ed25519",
    show_default=True,
    help="Of the keys made here; p256 for devices that know nothing newer.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON, one object a line.")


class EnrolledLine(msgspec.Struct, frozen=True):
    """A certificate as ``enrol --json`` writes it."""

    holder: str
    role: str
    serial: str
    file: str
    new: bool
    replaced: str | None


class FaultLine(msgspec.Struct, frozen=True):
    """A refused request as ``enrol --json`` writes it."""

    request: str
    code: str
    detail: str


@click.group(no_args_is_help=True)
def pki() -> None:
    """Make the CA of an election, enrol devices, revoke them."""


@pki.command(epilog="Example: tallygate pki ca hill-ca --election hill-2026 --root /media/root --new-root")
@_FOLDER
@click.option("--election", required=True, metavar="ID", help="The election's id, as in election.toml.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the root; without it, DIR/root.")
@click.option("--new-root", is_flag=True, help="Make the root in --root; it must not be there yet.")
@_CLOSES_AT
@_ALGORITHM
def ca(
    folder: Path,
    election: str,
    root: Path | None,
    new_root: bool,
    closes_at: int | None,
    algorithm: x.Algorithm,
) -> int:
    """Make the CA of one election in DIR, under an offline root."""
    if new_root and root is None:
        raise click.UsageError("--new-root needs --root ROOTDIR; without both the root is made in DIR/root")
    now = system_clock()
    if root is not None:
        signer = create_root(root, algorithm=algorithm, now=now) if new_root else open_root(root)
    else:
        signer = None
    create_authority(folder, election, root=signer, algorithm=algorithm, closes_at=closes_at, now=now)
    place = root or folder / "root"
    _show_certificate("root", place / "root.pem" if signer is None else folder / "root.pem")
    _show_certificate("election CA", folder / "ca.pem")
    click.echo(f"Take offline now: {place}")
    click.echo("  root.key signs election CAs and nothing else; it is not needed again in this election.")
    click.echo(f"Keep off the gateway: {folder}")
    click.echo(
        "  ca.key says who may connect. The gateway gets ca.pem, server.pem, server.key and crl.pem only."
    )
    return 0


@pki.command(epilog="Example: tallygate pki server hill-ca --name results.example --name 192.0.2.7")
@_FOLDER
@click.option(
    "--name",
    "names",
    multiple=True,
    required=True,
    metavar="HOST/IP",
    help="A host name or address by which devices call the gateway; give each.",
)
@click.option("--replace", is_flag=True, help="Revoke the server's certificate and make another.")
@_CLOSES_AT
@_ALGORITHM
def server(
    folder: Path, names: Sequence[str], replace: bool, closes_at: int | None, algorithm: x.Algorithm
) -> int:
    """Make the gateway's key and certificate: DIR/server.key and DIR/server.pem."""
    now = system_clock()
    with open_authority(folder) as authority:
        closing = authority.closing(closes_at)
        replaced = authority.write_server(
            names, algorithm=algorithm, closes_at=closing, now=now, replace=replace
        )
        if replaced is not None:
            click.echo(f"revoked      {replaced}")
            _write_crl(authority, closing, now)
    _show_certificate("server", folder / "server.pem")
    click.echo(f"Bring server.key and server.pem to NIGHT/pki, then remove {folder / 'server.key'} here.")
    return 0


@pki.command(epilog="Example: tallygate pki enrol hill-ca requests/*.json --election hill-2026")
@_FOLDER
@click.argument(
    "requests",
    metavar="REQUEST...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--election",
    "tables_folder",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The election folder: kinds are taken from devices.csv, and its empty key cells filled.",
)
@click.option(
    "--kind",
    type=click.Choice(DEVICE_KINDS),
    help="What the devices are, where there is no election folder yet.",
)
@click.option("--replace", is_flag=True, help="Enrol again who was enrolled before, and revoke the old.")
@_CLOSES_AT
@_JSON
def enrol(
    folder: Path,
    requests: Sequence[Path],
    tables_folder: Path | None,
    kind: DeviceKind | None,
    replace: bool,
    closes_at: int | None,
    as_json: bool,
) -> int:
    """Check enrolment requests and sign a certificate for each: all of them, or none.

    The same request again gives the same certificate again.
    """
    if kind is not None and tables_folder is not None:
        raise click.UsageError("--kind and --election exclude each other: devices.csv says the kind")
    now = system_clock()
    tables = None if tables_folder is None else read_tables(tables_folder)
    with open_authority(folder) as authority:
        if tables is not None:
            _same_election(tables, authority)
        closing = authority.closing(tables.closes_at if tables and closes_at is None else closes_at)
        checked, faults = authority.check((str(path), _read_request(path)) for path in requests)
        faults += tables.faults(checked) if tables else _without_kind(checked, kind)
        faults += authority.faults(checked, closes_at=closing, replace=replace)
        if faults:
            _show_faults(faults, len(requests), as_json)
            return 1
        kinds = tables.kinds() if tables else _all_of(checked, kind)
        done = authority.enrol(checked, kinds, closes_at=closing, now=now)
        filled = tables.fill(checked) if tables else 0
        paths = authority.write_certificates(done)
        for result, path in zip(done, paths, strict=True):
            line = EnrolledLine(
                str(result.holder), result.role, result.serial, str(path), result.new, result.replaced
            )
            _show_enrolled(line, as_json)
        replaced = sum(result.replaced is not None for result in done)
        if not as_json:
            new = sum(result.new for result in done)
            click.echo(f"{new} enrolled, {len(done) - new} known before, {replaced} old ones revoked")
            if filled:
                click.echo(f"{filled} keys written into {tables_folder}/devices.csv")
        if replaced:
            _write_crl(authority, closing, now, quiet=as_json)
    return 0


@pki.command(epilog="Example: tallygate pki revoke hill-ca 1204 --reason key-compromise")
@_FOLDER
@click.argument("who", metavar="DEVICE|SERIAL")
@click.option(
    "--reason", required=True, type=click.Choice(list(x.REASONS)), help="Stands in the CRL for all to see."
)
@_CLOSES_AT
def revoke(folder: Path, who: str, reason: x.Reason, closes_at: int | None) -> int:
    """Revoke a certificate: of a device (its number), courier:N, commission:N, or by its serial.

    This closes the door only. What the device has signed still counts, over whatever way it comes; only
    decision 2 of the commission ends that.
    """
    now = system_clock()
    with open_authority(folder) as authority:
        closing = authority.closing(closes_at)
        found = _find(authority, who)
        if authority.revoke(found, reason, now=now):
            click.echo(f"revoked      {found.serial}")
        else:
            before = authority.index.revoked[found.serial]
            click.echo(f"{found.serial} was revoked before, {format_time(before.at)} ({before.reason})")
        _write_crl(authority, closing, now)
    if isinstance(found, Issued) and found.role in DEVICE_KINDS:
        click.echo(
            f"The door is closed to {found.role} {found.id}; what it signs still counts, whoever brings it. "
            f"If its signing key is lost as well, the commission takes decision 2 for device {found.id} "
            "(tallygate-decide prepare)."
        )
    return 0


@pki.command(epilog="Example: tallygate pki crl hill-ca")
@_FOLDER
@_CLOSES_AT
def crl(folder: Path, closes_at: int | None) -> int:
    """Sign a new DIR/crl.pem over all that was revoked; it is good until 16 days after the close."""
    with open_authority(folder) as authority:
        _write_crl(authority, authority.closing(closes_at), system_clock())
    return 0


def _read_request(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_REQUEST_BYTES + 1)


def _same_election(tables: ElectionTables, authority: Authority) -> None:
    if tables.election != authority.election:
        raise TallygateError(
            "pki.other_election",
            f"this CA is for election {authority.election!r}, the folder is of {tables.election!r}: "
            "every election has a CA of its own",
            place=str(tables.folder),
        )


def _without_kind(checked: Sequence[CheckedRequest], kind: DeviceKind | None) -> list[TallygateError]:
    if kind is not None:
        return []
    return [
        TallygateError(
            "enrol.kind",
            f"what device {request.holder} is must be known: give --election FOLDER or --kind",
            place=request.place,
        )
        for request in checked
        if request.holder.group == "device"
    ]


def _all_of(checked: Sequence[CheckedRequest], kind: DeviceKind | None) -> dict[int, DeviceKind]:
    return {request.holder.number: kind for request in checked if kind is not None}


def _find(authority: Authority, who: str) -> Issued | Server:
    is_serial = len(who) == x.SERIAL_BITS // 4 and not set(who.lower()) - set("0123456789abcdef")
    found = authority.index.find(who.lower()) if is_serial else authority.index.latest(parse_holder(who))
    if found is None:
        raise TallygateError(
            "pki.not_issued", f"this CA has never issued a certificate to {who}", place=str(authority.folder)
        )
    return found


def _write_crl(authority: Authority, closes_at: int, now: int, *, quiet: bool = False) -> None:
    next_update = authority.write_crl(closes_at=closes_at, now=now)
    if not quiet:
        revoked, path = len(authority.index.revoked), authority.folder / "crl.pem"
        click.echo(f"CRL          {path}, {revoked} revoked, until {format_time(next_update)}")
        click.echo("Bring it to NIGHT/pki and send the gateway SIGHUP.")


def _show_certificate(what: str, path: Path) -> None:
    certificate = x.load_certificate(read_bounded(path, MAX_PEM_BYTES), place=str(path))
    sha256 = hashlib.sha256(x.certificate_der(certificate)).hexdigest()
    click.echo(f"{what:<12} {path}, until {certificate.not_valid_after_utc:%Y-%m-%d}")
    click.echo(f"             SHA-256 {sha256}")


def _show_enrolled(line: EnrolledLine, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(line))
        return
    note = f", {line.replaced} revoked" if line.replaced else "" if line.new else ", known before"
    click.echo(f"{line.role} {line.holder.rpartition(':')[2]}: {line.file} (serial {line.serial}{note})")


def _show_faults(faults: Sequence[TallygateError], requests: int, as_json: bool) -> None:
    for fault in faults:
        if as_json:
            click.echo(msgspec.json.encode(FaultLine(fault.place, fault.code, fault.detail)))
        else:
            click.echo(str(fault), err=True)
    click.echo(f"error: nobody was enrolled: {len(faults)} faults in {requests} requests", err=True)
