"""The command line of a ballot box, an identification terminal or a commission's desk: `tallygate-box`."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, cast

import click

from clients import files, terminal
from clients.box import bundle, enrol, folder, show, sign, times
from clients.box.countsfile import CountsError
from clients.box.folder import Settings
from clients.box.report import Report
from clients.box.running import run_command
from clients.box.sending import send_command, status_command
from clients.terminal import FAILED, Json, fail, say, say_json, warn
from clients.wire import keys, statement
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.statement import Statement
from clients.wire.text import decimal, hex_32

# Above a statement's own limit, so that `show` can say which rule a file that is too long breaks.
_MAX_FILE_BYTES = 1024 * 1024


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `tallygate-box` and leave the process: 0 done, 1 failed, 2 wrong usage."""
    terminal.run(tallygate_box, "tallygate-box", arguments)


def _number(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    number = decimal(value)
    if not number:
        raise click.BadParameter("must be a whole number from 1")
    return number


def _hash(_context: click.Context, _parameter: click.Parameter, value: str | None) -> bytes | None:
    if value is None:
        return None
    digest = hex_32(value.strip().lower())
    if digest is None:
        raise click.BadParameter("must be 64 hex digits")
    return digest


def _key(context: click.Context, parameter: click.Parameter, value: str | None) -> bytes | None:
    key = _hash(context, parameter, value)
    if key is not None and not keys.enrollable(key):
        raise click.BadParameter("is no Ed25519 public key that may be enrolled")
    return key


def _time(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    at = times.parse(value)
    if at is None:
        raise click.BadParameter("must be a time with its offset, like 2026-11-29T20:00:00+06:00")
    return at


@click.group(
    context_settings=terminal.HELP_OPTIONS,
    epilog=terminal.example(
        "tallygate-box init box-12 --election talas-2026 --device 12",
        "tallygate-box init box-12 --definition built",
        "tallygate-box sign box-12 counts.toml",
        "tallygate-box send box-12",
    ),
)
def tallygate_box() -> None:
    """A voting device: its keys, and its counts as signed statements that reach the log."""


@tallygate_box.command(
    "init",
    short_help="Make a device's folder and keys.",
    epilog=terminal.example(
        "tallygate-box init box-12 --election talas-2026 --device 12",
        "tallygate-box init box-12 --certificate box-12.pem --site site.json",
        "tallygate-box init box-12 --definition built --definition-hash 5d1f…",
        "tallygate-box init box-12 --bundle night/devices --device 12     (a rehearsal)",
    ),
)
@click.argument("path", metavar="DIR", type=terminal.PATH)
@click.option("--election", metavar="ID", help="The id of the election that the keys are for.")
@click.option("--device", metavar="N", callback=_number, help="The device's number in devices.csv.")
@click.option(
    "--tls-key",
    type=click.Choice(enrol.TLS_KINDS),
    help="Kind of the TLS key: ed25519 (the default), or p256 for TLS stacks without it.",
)
@click.option(
    "--bundle",
    "devices",
    metavar="NIGHT/devices",
    type=terminal.PATH,
    help="Take a rehearsal's keys, make none.",
)
@click.option(
    "--certificate", metavar="FILE", type=terminal.PATH, help="The certificate that the commission has made."
)
@click.option("--site", metavar="FILE", type=terminal.PATH, help="Where the gateways are and whom to trust.")
@click.option(
    "--definition", metavar="D", type=terminal.PATH, help="The folder with election.json to count by."
)
@click.option(
    "--definition-hash",
    metavar="HEX",
    callback=_hash,
    help="Its SHA-256 as the commission has announced it; any other is refused.",
)
@terminal.json_option
def init_command(
    path: Path,
    election: str | None,
    device: int | None,
    tls_key: str | None,
    devices: Path | None,
    certificate: Path | None,
    site: Path | None,
    definition: Path | None,
    definition_hash: bytes | None,
    json_output: bool,
) -> None:
    """Make a device's folder DIR with its keys, or give it what else it needs.

    The keys are made here and never leave DIR. The public ones go to the commission in DIR/request.json. A
    folder that exists keeps its keys whatever happens; it only takes a --certificate, a --site and a
    --definition.
    """
    if definition_hash is not None and definition is None:
        raise click.UsageError("--definition-hash goes with --definition.")
    if os.path.lexists(path):
        if not (path / folder.SETTINGS).is_file():
            raise WireError("file.exists", "this is no device's folder: give DIR a new name", file=str(path))
        if tls_key or devices:
            raise click.UsageError("DIR exists and keeps its keys: --tls-key and --bundle are for new ones.")
        settings = _add(path, election, device, certificate, site, definition, definition_hash)
    elif certificate is not None:
        raise click.UsageError("DIR does not exist; --certificate is for the key that was made in it before.")
    elif devices is not None:
        if election or tls_key or site or device is None:
            raise click.UsageError("--bundle needs --device, and brings election, keys and site itself.")
        settings = _take_from_bundle(path, devices, device, definition, definition_hash)
    else:
        if election is None or device is None:
            raise click.UsageError("A new folder needs --election and --device, or --bundle and --device.")
        settings = _make(
            path, election, device, tls_key or enrol.TLS_KINDS[0], site, definition, definition_hash
        )
    _tell_folder(path, settings, json_output, compared=devices is not None or definition_hash is not None)
    for left in files.unfinished(path):
        warn(f"{left} was left by an init that was stopped: remove it, its keys were never used")


def _make(
    path: Path,
    election: str,
    device: int,
    tls_kind: str,
    site: Path | None,
    definition: Path | None,
    definition_hash: bytes | None,
) -> Settings:
    enrol.judge_election(election)
    made = enrol.make(election, device, cast(enrol.TlsKind, tls_kind))
    others = {folder.TLS_KEY: made.tls_key, folder.CSR: made.csr, folder.REQUEST: made.request}
    with folder.created(path, election, device, made.signing, others) as new:
        if definition is not None:
            new.pin(definition, definition_hash)
        if site is not None:
            new.place(site)
    return new.settings


def _take_from_bundle(
    path: Path, devices: Path, device: int, definition: Path | None, definition_hash: bytes | None
) -> Settings:
    """Make the folder of a rehearsal's device; the definition is the night's, from its place or another."""
    found = bundle.read(devices, device)
    night = found.site.definition
    if definition_hash not in (None, night):
        raise WireError(
            "folder.definition",
            f"the rehearsal is of the definition {night.hex()}, not of the one that was announced",
            file=str(devices),
        )
    others = {
        folder.TLS_KEY: found.tls_key,
        folder.CERTIFICATE: found.certificate,
        folder.SITE: found.site_json,
    }
    with folder.created(path, found.site.election, device, found.signing, others) as new:
        new.pin(devices.parent / "definition" if definition is None else definition, night)
    return new.settings


def _add(
    path: Path,
    election: str | None,
    device: int | None,
    certificate: Path | None,
    site: Path | None,
    definition: Path | None,
    definition_hash: bytes | None,
) -> Settings:
    """Bring to a folder what its device needs besides its keys."""
    with folder.opened(path) as opened:
        settings = opened.settings
        who = f"this is device {settings.device} of {settings.election}, and its keys are never made again"
        if election not in (None, settings.election) or device not in (None, settings.device):
            raise WireError("folder.exists", f"{who}; give another DIR", file=str(path))
        if definition is None and certificate is None and site is None:
            raise WireError(
                "folder.exists",
                f"{who}; it only takes a --certificate, a --site and a --definition",
                file=str(path),
            )
        if certificate is not None:
            opened.certify(certificate)
        if definition is not None:
            opened.pin(definition, definition_hash)
        if site is not None:
            opened.place(site)
        return opened.settings


def _tell_folder(path: Path, settings: Settings, json_output: bool, *, compared: bool) -> None:
    request = path / folder.REQUEST
    certificate = path / folder.CERTIFICATE
    site = path / folder.SITE
    if json_output:
        say_json(
            {
                "folder": str(path),
                "election": settings.election,
                "device": settings.device,
                "sign_key": settings.sign_key,
                "request": str(request) if request.exists() else None,
                "certificate": str(certificate) if certificate.exists() else None,
                "site": str(site) if site.exists() else None,
                "definition": settings.definition,
            }
        )
        return
    terminal.result(f"{path} is device {settings.device} of {settings.election}", good=True)
    say("sign key", settings.sign_key)
    if request.exists():
        say("request", f"{request}, to take to the commission; the key it reads there is the one above")
    if certificate.exists():
        say("certificate", str(certificate))
    else:
        say("certificate", f"none yet: tallygate-box init {path} --certificate FILE, once it is made")
    if site.exists():
        say("site", str(site))
    else:
        say("site", f"none yet: tallygate-box init {path} --site FILE, before anything can be sent")
    if settings.definition is None:
        say("definition", f"none yet: tallygate-box init {path} --definition D, once it is announced")
    else:
        say("definition", settings.definition)
        if not compared:
            say("", "compare it with the one that the commission has announced")


@tallygate_box.command(
    "sign",
    short_help="Sign a file of counts.",
    epilog=terminal.example(
        "tallygate-box sign box-12 counts.toml --out stick/box-12.cose",
        "",
        "counts.toml of a result; docs/box.md has the other kinds of report:",
        '  report = "result"',
        "  station = 118",
        "  closed_at = 2026-11-29T20:04:31+06:00",
        '  origin = "normal"',
        "  counter = 1204",
        "  [contests.1]",
        "  figures = {in_box = 1204, valid = 1190, invalid = 14}",
        "  votes = {1 = 600, 2 = 400, 3 = 190}",
    ),
)
@click.argument("path", metavar="DIR", type=terminal.PATH)
@click.argument("counts_file", metavar="COUNTS", type=terminal.PATH)
@click.option("--out", metavar="FILE", type=terminal.PATH, help="Write a copy of the statement here.")
@click.option(
    "--signed-at",
    metavar="TIME",
    callback=_time,
    help="Instead of this machine's clock, in a rehearsal: RFC 3339 with its offset.",
)
@terminal.json_option
def sign_command(
    path: Path, counts_file: Path, out: Path | None, signed_at: int | None, json_output: bool
) -> None:
    """Sign the counts in COUNTS (TOML, or JSON if it ends in .json) as device DIR.

    The statement is stored in DIR/statements before anything is shown. Faults in the file are told all at
    once, and nothing is signed. Numbers that do not add up are signed as they were counted, with a warning.
    """
    with folder.opened(path) as opened:
        if out is not None:
            _judge_out(out, path)
        try:
            signed = sign.sign(opened, counts_file, _now(), signed_at)
        except CountsError as error:
            _tell_faults(error, json_output)
            raise click.exceptions.Exit(FAILED) from error
    if out is not None:
        _copy_out(signed, out)
    _tell_signed(signed, json_output)


def _now() -> int:
    """This machine's clock, in ms since the Unix epoch."""
    return time.time_ns() // 1_000_000


def _judge_out(out: Path, device: Path) -> None:
    """Refuse before anything is signed what could not be written after."""
    if os.path.lexists(out):
        raise WireError("file.exists", "--out is never written over: give another name", file=str(out))
    if not out.parent.is_dir():
        raise WireError("file.no_folder", "--out names a folder that does not exist", file=str(out.parent))
    if out.parent.resolve().is_relative_to(device.resolve()):
        raise WireError(
            "file.in_device",
            "--out is for a copy somewhere else; the device's folder has its own",
            file=str(out),
        )


def _copy_out(signed: sign.Signed, out: Path) -> None:
    try:
        files.write_new(out, signed.file.read_bytes(), files.PUBLIC_FILE)
    except OSError as error:
        raise WireError(
            "file.unwritable",
            f"the statement is signed and stored as {signed.file}, but the copy could not be written: "
            f"{error.strerror or error}",
            file=str(out),
        ) from error


def _tell_faults(error: CountsError, json_output: bool) -> None:
    if json_output:
        faults: list[Json] = [
            {"path": fault.path, "line": fault.line, "code": fault.code, "detail": fault.detail}
            for fault in error.faults
        ]
        say_json({"file": error.file, "faults": faults, "more": error.more})
        return
    for line in error.lines():
        fail(line)
    fail("nothing was signed")


def _tell_signed(signed: sign.Signed, json_output: bool) -> None:
    packet = signed.statement
    size = signed.file.stat().st_size
    if json_output:
        findings: list[Json] = [{"code": own.code, "detail": own.detail} for own in signed.findings]
        say_json(
            {
                "new": signed.new,
                "device": packet.device,
                "station": packet.station,
                "sequence": packet.sequence,
                "signed_at": packet.signed_at,
                "id": packet.id.hex(),
                "slip": show.slip(packet),
                "file": str(signed.file),
                "size": size,
                "warnings": findings,
            }
        )
        return
    kind = Report.of(packet.report).kind
    what = f"statement {packet.sequence} of device {packet.device}: {kind}, station {packet.station}"
    if signed.new:
        terminal.result(f"signed {what}", good=True)
    else:
        terminal.result(f"signed before as {what}; nothing new was signed", good=True)
    say("slip", show.slip(packet))
    say("id", packet.id.hex())
    say("file", f"{signed.file} ({size:,} bytes)")
    for finding in signed.findings:
        warn(f"{finding.detail} [{finding.code}]")


@tallygate_box.command(
    "show",
    short_help="Write a statement out.",
    epilog=terminal.example("tallygate-box show box-12/statements/000002.cose --definition built"),
)
@click.argument("file", metavar="FILE", type=terminal.PATH)
@click.option("--key", metavar="HEX", callback=_key, help="Public key to verify the signature with.")
@click.option(
    "--definition", metavar="D", type=terminal.PATH, help="The folder with election.json, for names."
)
@click.option(
    "--json", "json_output", is_flag=True, help="One line of JSON; `counts` is a counts file again."
)
def show_command(file: Path, key: bytes | None, definition: Path | None, json_output: bool) -> None:
    """Write the statement in FILE out: a device's packet or the commission's decision."""
    shown = _decode(file)
    names = None if definition is None else _names(definition, shown)
    refusal = None if key is None else _refusal(shown, key)
    verdict = "not checked" if key is None else "valid" if refusal is None else refusal.code
    if json_output:
        say_json({**show.as_json(shown, names), "signature": verdict})
    else:
        for line in show.lines(shown, names):
            say(*line)
        say("signature", "not checked, --key would" if key is None else verdict)
    if refusal is not None:
        raise refusal


def _decode(file: Path) -> Statement:
    data = files.read_given(file, _MAX_FILE_BYTES, "a statement")
    try:
        return statement.decode(data)
    except WireError as error:
        detail = f"this is no statement, from byte {error.offset} on: {error.detail}"
        raise WireError(error.code, detail, rule=error.rule, file=str(file)) from error


def _names(path: Path, shown: Statement) -> Definition:
    source = folder.definition_folder(path)
    with folder.located(source):
        definition = Definition.load(source)
    if definition.sha256 != shown.definition:
        raise WireError(
            "show.definition",
            f"the statement names the definition {shown.definition.hex()}, this one is "
            f"{definition.sha256.hex()}: its names would be wrong",
            file=str(path),
        )
    return definition


def _refusal(shown: Statement, key: bytes) -> WireError | None:
    if shown.kid != keys.kid(key):
        return WireError("statement.unknown_device", "the statement was signed with another key than --key")
    try:
        statement.verify(shown, key)
    except WireError as error:
        return error
    return None


tallygate_box.add_command(send_command)
tallygate_box.add_command(run_command)
tallygate_box.add_command(status_command)
