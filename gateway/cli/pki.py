"""``tallygate pki``: the election CA, certificates, revocation (docs/keys.md has the ceremony).

`--election` is always the folder of the officials' tables, and brings the id and the closing time; where
there is no such folder, `--id` and `--closes-at` say them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from gateway.base.clock import format_time, system_clock
from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded
from gateway.cli.parameters import HOLDER, TIME
from gateway.cli.shared import say, say_json, warn_of_unfinished
from gateway.election.files import NotRegularError, open_regular
from gateway.election.model import Settings
from gateway.pki import certificates as x
from gateway.pki.authority import MAX_PEM_BYTES, Authority, create_authority, open_authority
from gateway.pki.devices import make_keys, write_keys
from gateway.pki.enrolment import (
    Enrolled,
    Standing,
    admit_devices,
    check,
    judge,
    write_certificates,
)
from gateway.pki.enrolment import enrol as enrol_cases
from gateway.pki.folder import read_official, read_tables
from gateway.pki.index import Issued, Server
from gateway.pki.names import DEVICE_KINDS, DeviceKind, Holder, check_election, parse_holder
from gateway.pki.requests import MAX_REQUEST_BYTES, CheckedRequest

_FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
_ELECTION = click.option(
    "--election",
    "tables_folder",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The election folder (election.toml); dates are counted from its closing time.",
)
_ID = click.option("--id", "election", metavar="ID", help="The election's id, as in election.toml.")
_CLOSES_AT = click.option(
    "--closes-at",
    type=TIME,
    help="Instead of --election: when the polls close, like 2026-11-29T20:00:00+06:00. "
    "The latest that was ever said counts.",
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
    standing: Standing
    serial: str
    file: str
    sign_key: str | None
    tls_key: str
    """SHA-256 of the SubjectPublicKeyInfo."""
    replaced: tuple[str, ...]
    revoked_before: x.Reason | None


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
@_ELECTION
@_ID
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the root; without it, DIR/root.")
@click.option("--new-root", is_flag=True, help="Make the root in --root; it must not be there yet.")
@_CLOSES_AT
@_ALGORITHM
def ca(
    folder: Path,
    tables_folder: Path | None,
    election: str | None,
    root: Path | None,
    new_root: bool,
    closes_at: int | None,
    algorithm: x.Algorithm,
) -> int:
    """Make the CA of one election in DIR, under an offline root."""
    if (tables_folder is None) == (election is None):
        raise click.UsageError("give either --election FOLDER or --id ID")
    if new_root and root is None:
        raise click.UsageError("--new-root needs --root ROOTDIR; without both the root is made in DIR/root")
    if root is not None and root.resolve() == folder.resolve():
        raise click.UsageError("the root and the CA need a folder each: the root is taken offline")
    settings = _official(tables_folder, closes_at)
    for made in (folder, *([root] if root is not None else [])):
        warn_of_unfinished(made)
    create_authority(
        folder,
        settings.id if settings else election or "",
        algorithm=algorithm,
        closes_at=settings.closes_at if settings else closes_at,
        now=system_clock(),
        root=root,
        new_root=new_root,
    )
    place = root or folder / "root"
    _show_certificate("root", folder / "root.pem" if root and not new_root else place / "root.pem")
    _show_certificate("election CA", folder / "ca.pem")
    say(f"Take offline now: {place}")
    say("  root.key signs election CAs and nothing else; it is not needed again in this election.")
    say(f"Keep off the gateway: {folder}")
    say("  ca.key says who may connect. The gateway gets ca.pem, server.pem, server.key and crl.pem only.")
    return 0


@pki.command(epilog="Example: tallygate pki request member-1 --id hill-2026 --commission 1")
@_FOLDER
@_ID
@click.option("--commission", type=click.IntRange(min=1), metavar="N", help="The member's place, from 1.")
@click.option("--courier", type=click.IntRange(min=1), metavar="N", help="The courier's number.")
def request(folder: Path, election: str | None, commission: int | None, courier: int | None) -> int:
    """Make the keys of a courier or a member of the commission in DIR, and the request to be enrolled.

    On their own computer. Devices do the same with a program of their own (tallygate-box init).
    """
    if election is None or (commission is None) == (courier is None):
        raise click.UsageError("give --id ID, and either --commission N or --courier N")
    check_election(election)
    holder = parse_holder(f"courier:{courier}" if courier is not None else f"commission:{commission}")
    warn_of_unfinished(folder)
    (made,) = make_keys(election, [holder])
    write_keys(folder, made)
    say(f"holder       {holder} of {election}")
    if made.sign_key:
        say(f"sign key     {made.sign_key.hex()}")
    key = x.load_key(made.tls_key, place=str(folder))
    say(f"TLS key      {x.key_id(x.public_key_der(key.public_key()))} (SHA-256)")
    say(f"request      {folder / 'request.json'}, to take to the enrolment; they read the same keys there")
    say(f"Keep {folder / 'keys'}: they are made once and never leave you.")
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
@_ELECTION
@_CLOSES_AT
@_ALGORITHM
def server(
    folder: Path,
    names: Sequence[str],
    replace: bool,
    tables_folder: Path | None,
    closes_at: int | None,
    algorithm: x.Algorithm,
) -> int:
    """Make the gateway's key and certificate: DIR/server.key and DIR/server.pem."""
    with _opened(folder, _official(tables_folder, closes_at), closes_at) as authority:
        for serial in authority.write_server(names, algorithm=algorithm, replace=replace):
            say(f"revoked      {serial}")
        if authority.crl_lacks_something():
            _write_crl(authority)
    _show_certificate("server", folder / "server.pem")
    say(f"Bring server.key and server.pem to NIGHT/pki, then remove {folder / 'server.key'} here.")
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
    help="The election folder: who is who is looked up there, and empty key cells in devices.csv are filled.",
)
@click.option(
    "--kind",
    type=click.Choice(DEVICE_KINDS),
    help="What the devices are, where there is no election folder yet.",
)
@click.option(
    "--replace",
    multiple=True,
    type=HOLDER,
    metavar="HOLDER",
    help="Enrol this one anew (a device's number, courier:N, commission:N) and revoke what it had; "
    "give each.",
)
@_CLOSES_AT
@_JSON
def enrol(
    folder: Path,
    requests: Sequence[Path],
    tables_folder: Path | None,
    kind: DeviceKind | None,
    replace: Sequence[Holder],
    closes_at: int | None,
    as_json: bool,
) -> int:
    """Check enrolment requests and sign a certificate for each: all of them, or none.

    The same request again gives the same certificate again, or a longer one if the polls close later by now.
    """
    if kind is not None and tables_folder is not None:
        raise click.UsageError("--kind and --election exclude each other: devices.csv says the kind")
    official = _official(tables_folder, closes_at)
    tables = None if tables_folder is None else read_tables(tables_folder)
    given = [(str(path), _read_request(path)) for path in requests]
    with _opened(folder, official, closes_at) as authority:
        checked, faults = check(authority.election, given)
        admitted, more = tables.admit(checked) if tables else admit_devices(checked, kind)
        cases, most = judge(authority, admitted, replace=frozenset(replace))
        faults += more + most
        if faults:
            _show_faults(faults, len(requests), as_json)
            return 1
        _insist_on_requests(replace, checked)
        filling = tables.fill(case.candidate for case in cases) if tables else None
        done = enrol_cases(authority, cases)
        paths = write_certificates(authority, done)
        if filling is not None:
            filling.write()
        for result, path in zip(done, paths, strict=True):
            _show_enrolled(result, path, as_json)
        if not as_json:
            _sum_up(done)
            if filling is not None and filling.cells:
                say(f"{filling.cells} keys written into {filling.path}")
        if authority.crl_lacks_something():
            _write_crl(authority, quiet=as_json)
    return 0


@pki.command(epilog="Example: tallygate pki revoke hill-ca 1204 --reason key-compromise")
@_FOLDER
@click.argument("who", metavar="DEVICE|SERIAL")
@click.option(
    "--reason", required=True, type=click.Choice(list(x.REASONS)), help="Stands in the CRL for all to see."
)
@_ELECTION
@_CLOSES_AT
def revoke(
    folder: Path, who: str, reason: x.Reason, tables_folder: Path | None, closes_at: int | None
) -> int:
    """Revoke a certificate: of a device (its number), courier:N, commission:N, or by its serial.

    With it goes every other certificate for its TLS key, and that key never gets one again. This closes the
    door only. What the device has signed still counts, over whatever way it comes; only decision 2 of the
    commission ends that.
    """
    with _opened(folder, _official(tables_folder, closes_at), closes_at) as authority:
        found = _find(authority, who)
        serials = authority.revoke(found, reason)
        for serial in serials:
            say(f"revoked      {serial}")
        if not serials:
            before = authority.index.revoked[found.serial]
            say(f"{found.serial} was revoked before, {format_time(before.at)} ({before.reason})")
        _write_crl(authority)
    if isinstance(found, Issued) and found.role in DEVICE_KINDS:
        say(
            f"The door is closed to {found.role} {found.id}; what it signs still counts, whoever brings it. "
            f"If its signing key is lost as well, the commission takes decision 2 for device {found.id} "
            "(tallygate-decide prepare)."
        )
    return 0


@pki.command(epilog="Example: tallygate pki crl hill-ca")
@_FOLDER
@_ELECTION
@_CLOSES_AT
def crl(folder: Path, tables_folder: Path | None, closes_at: int | None) -> int:
    """Sign a new DIR/crl.pem over all that was revoked; it is good until 16 days after the close."""
    with _opened(folder, _official(tables_folder, closes_at), closes_at) as authority:
        _write_crl(authority)
    return 0


def _official(tables_folder: Path | None, closes_at: int | None) -> Settings | None:
    """What election.toml says, where a folder was given."""
    if tables_folder is None:
        return None
    if closes_at is not None:
        raise click.UsageError("--closes-at and --election exclude each other: election.toml says when")
    return read_official(tables_folder)


@contextlib.contextmanager
def _opened(folder: Path, official: Settings | None, closes_at: int | None) -> Iterator[Authority]:
    """The CA in `folder`, if it is the one of that election."""
    closing = closes_at if official is None else official.closes_at
    with open_authority(folder, now=system_clock(), closes_at=closing) as authority:
        if official is not None and official.id != authority.election:
            raise TallygateError(
                "pki.other_election",
                f"this CA is for election {authority.election!r}, the election folder is of {official.id!r}: "
                "every election has a CA of its own",
                place=str(folder),
            )
        yield authority


def _read_request(path: Path) -> bytes:
    try:
        with open_regular(path).file as file:
            return file.read(MAX_REQUEST_BYTES + 1)
    except NotRegularError:
        raise TallygateError("enrol.not_a_file", "this is no ordinary file", place=str(path)) from None


def _insist_on_requests(replace: Sequence[Holder], checked: Sequence[CheckedRequest]) -> None:
    for holder in replace:
        if holder not in {request.holder for request in checked}:
            raise click.UsageError(f"--replace {holder}: none of these requests is of {holder}")


def _find(authority: Authority, who: str) -> Issued | Server:
    is_serial = len(who) == x.SERIAL_BITS // 4 and not set(who.lower()) - set("0123456789abcdef")
    found = authority.index.find(who.lower()) if is_serial else authority.index.latest(parse_holder(who))
    if found is None:
        raise TallygateError(
            "pki.not_issued", f"this CA has never issued a certificate to {who}", place=str(authority.folder)
        )
    return found


def _write_crl(authority: Authority, *, quiet: bool = False) -> None:
    next_update = authority.write_crl()
    if not quiet:
        revoked, path = len(authority.index.revoked), authority.folder / "crl.pem"
        say(f"CRL          {path}, {revoked} revoked, until {format_time(next_update)}")
        say("Bring it to NIGHT/pki and send the gateway SIGHUP.")


def _show_certificate(what: str, path: Path) -> None:
    certificate = x.load_certificate(read_bounded(path, MAX_PEM_BYTES), place=str(path))
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    say(f"{what:<12} {path}, from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC")
    say(f"             SHA-256 {x.certificate_sha256(certificate)}")


def _show_enrolled(result: Enrolled, path: Path, as_json: bool) -> None:
    issued, before = result.issued, result.revoked_before
    line = EnrolledLine(
        holder=str(issued.holder),
        role=issued.role,
        standing=result.standing,
        serial=issued.serial,
        file=str(path),
        sign_key=issued.sign_key,
        tls_key=issued.tls_key,
        replaced=result.replaced,
        revoked_before=before.reason if before else None,
    )
    if as_json:
        say_json(line)
        return
    notes = {"known": ", known before", "renewal": ", for a later closing time", "enrolment": ""}
    say(f"{line.role} {issued.id}: {path} (serial {line.serial}{notes[result.standing]})")
    if line.sign_key is not None:
        say(f"  sign key   {line.sign_key}")
    say(f"  TLS key    {line.tls_key} (SHA-256)")
    for serial in line.replaced:
        say(f"  revoked    {serial}")
    if before is not None:
        say(f"  comes back after {before.serial} was revoked, {format_time(before.at)} ({before.reason})")


def _sum_up(done: Sequence[Enrolled]) -> None:
    standings = [result.standing for result in done]
    say(
        f"{standings.count('enrolment')} enrolled, {standings.count('renewal')} renewed, "
        f"{standings.count('known')} known before, {sum(len(result.replaced) for result in done)} old ones "
        "revoked"
    )
    say("Compare each key with what its holder reads from the device.")


def _show_faults(faults: Sequence[TallygateError], requests: int, as_json: bool) -> None:
    for fault in faults:
        if as_json:
            say_json(FaultLine(fault.place, fault.code, fault.detail))
        else:
            say(str(fault), err=True)
    say(f"error: nobody was enrolled: {len(faults)} faults in {requests} requests", err=True)
