"""The command line of a commission's desk: `tallygate-desk`."""

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from clients import files, terminal
from clients.box import bundle, counts, folder, show, times, words
from clients.box.cli import init_command
from clients.box.countsfile import CountsError
from clients.box.report import Report
from clients.box.sending import address_option, send_all, send_command, status_command
from clients.box.sign import Signed, judge_time
from clients.desk import desk as desks
from clients.desk import draft as drafts
from clients.desk.desk import Desk
from clients.desk.keying import Keying, Wishes, key_files, pages
from clients.desk.screen import StoppedError, Terminal
from clients.desk.texts import Texts
from clients.terminal import FAILED, fail, say, say_json, warn
from clients.wire.definition import LANGUAGES
from clients.wire.errors import WireError
from clients.wire.site import Address
from clients.wire.text import hex_32


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `tallygate-desk` and leave the process: 0 done, 1 failed, 2 wrong usage."""
    terminal.run(tallygate_desk, "tallygate-desk", arguments)


def _time(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    at = times.parse(value)
    if at is None:
        raise click.BadParameter("must be a time with its offset, like 2026-11-29T20:00:00+06:00")
    return at


def _id(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    if value is None:
        return ""
    if hex_32(value.strip().lower()) is None:
        raise click.BadParameter("must be 64 hex digits")
    return value.strip().lower()


@click.group(
    context_settings=terminal.HELP_OPTIONS,
    epilog=terminal.example(
        "tallygate-desk init desk-7 --bundle night/devices          (a rehearsal)",
        "tallygate-desk key desk-7",
        "tallygate-desk documents desk-7 --station 118 --scan complaint.pdf --document act_or_complaint",
        "tallygate-desk send desk-7",
    ),
)
def tallygate_desk() -> None:
    """A commission's desk: paper protocols, keyed in twice, signed and sent with their scans.

    A desk's folder is a device's folder: what `tallygate-box` does with one, it does with this one too.
    """


# --- The folder


@click.pass_context
def _init(context: click.Context, /, messages: Path | None, lines: Path | None, **given: object) -> None:
    """Make a desk's folder DIR with its keys, or give it what else it needs.

    As `tallygate-box init`. A desk also takes the texts of codes and words (--messages; a rehearsal's come
    with --bundle) and the order of the lines on the country's paper (--lines).
    """
    path, devices = given["path"], given["devices"]
    if isinstance(devices, Path) and given["device"] is None:
        given["device"] = _only_desk(devices)
    others = ("election", "device", "devices", "certificate", "site", "definition")
    if any(given[name] is not None for name in others) or (messages, lines) == (None, None):
        context.invoke(init_command, **given)
    if not isinstance(path, Path):
        raise TypeError(path)
    with folder.opened(path) as opened:
        definition = opened.definition() if lines is not None else None
    if messages is None and isinstance(devices, Path) and (devices / desks.MESSAGES).exists():
        messages = devices / desks.MESSAGES
    if messages is not None:
        desks.read_messages(messages)
        _keep(path / desks.MESSAGES, messages)
    if lines is not None and definition is not None:
        desks.read_lines(lines, definition)
        _keep(path / desks.LINES, lines)


def _only_desk(devices: Path) -> int:
    found = [line.device for line in bundle.read_lines(devices) if line.role == "desk" and line.device]
    if len(found) != 1:
        raise click.UsageError(
            f"the rehearsal has {len(found) or 'no'} desks"
            + (f": say which with --device, {' '.join(map(str, found))}" if found else "")
        )
    return found[0]


def _keep(place: Path, source: Path) -> None:
    files.write(place, files.read_given(source, desks.MAX_KEPT_BYTES, "this file"))


def _made(command: click.Command, *examples: str) -> click.Command:
    """A command of the box as the desk's: its own examples."""
    made = copy.copy(command)
    made.epilog = terminal.example(*examples)
    return made


_INIT = _made(
    init_command,
    "tallygate-desk init desk-7 --bundle night/devices          (a rehearsal)",
    "tallygate-desk init desk-7 --election talas-2026 --device 7",
    "tallygate-desk init desk-7 --certificate desk-7.pem --site site.json --messages messages.json",
    "tallygate-desk init desk-7 --definition built --definition-hash 5d1f…",
)
_INIT.short_help = "Make a desk's folder and keys."
_INIT.help = _init.__doc__
_INIT.callback = _init
_INIT.params = [
    *init_command.params,
    click.Option(["--messages"], type=terminal.PATH, metavar="FILE", help="Texts in the people's languages."),
    click.Option(
        ["--lines"],
        type=terminal.PATH,
        metavar="FILE",
        help="Names of the figures in the order of the paper, one a line.",
    ),
]
tallygate_desk.add_command(_INIT)
tallygate_desk.add_command(
    _made(send_command, "tallygate-desk send desk-7", "tallygate-desk send desk-7 --once")
)
tallygate_desk.add_command(_made(status_command, "tallygate-desk status desk-7"))


# --- Protocols

_scan_option = click.option(
    "--scan",
    "scans",
    metavar="FILE",
    multiple=True,
    type=terminal.PATH,
    help="A page of the paper: PDF, PNG, JPEG or TIFF; more than once for several.",
)
_signed_at_option = click.option(
    "--signed-at",
    metavar="TIME",
    callback=_time,
    help="Instead of the clock's, in a rehearsal: RFC 3339 with its offset.",
)
_later_option = click.option("--later", is_flag=True, help="Only sign; `tallygate-desk send` sends.")


@tallygate_desk.command(
    "key",
    short_help="Key in protocols, each twice, sign and send them.",
    epilog=terminal.example(
        "tallygate-desk key desk-7 --language ky",
        "tallygate-desk key desk-7 --station 118 --scan page-1.jpg --scan page-2.jpg",
        "tallygate-desk key desk-7 --from 118-a.csv --again 118-b.csv --scan 118.pdf",
    ),
)
@click.argument("path", metavar="DIR", type=terminal.PATH)
@click.option("--station", metavar="N", help="Only this one: its number, or what is printed for it.")
@click.option(
    "--language",
    type=click.Choice(LANGUAGES),
    default="en",
    help="What the form speaks; en if nothing is said.",
)
@click.option("--one-person", is_flag=True, help="Both readings may be by the same person.")
@click.option(
    "--from",
    "source",
    metavar="FILE",
    type=terminal.PATH,
    help="No form: a protocol as .toml, .json or .csv (docs/desk.md).",
)
@click.option("--again", metavar="FILE", type=terminal.PATH, help="The second reading, by another person.")
@click.option("--single", metavar="WHY", help="There is no second file; the reason is kept with the record.")
@click.option(
    "--as-on-paper",
    "on_paper",
    metavar="CODE",
    multiple=True,
    help="With --from: the paper itself breaks this rule (H102), somebody has looked.",
)
@click.option(
    "--corrects", metavar="ID", callback=_id, help="The protocol that it replaces, if not this desk's."
)
@_scan_option
@_signed_at_option
@_later_option
@address_option
@terminal.json_option
def key_command(
    path: Path,
    station: str | None,
    language: str,
    one_person: bool,
    source: Path | None,
    again: Path | None,
    single: str | None,
    on_paper: tuple[str, ...],
    corrects: str,
    scans: tuple[Path, ...],
    signed_at: int | None,
    later: bool,
    addresses: tuple[Address, ...],
    json_output: bool,
) -> None:
    """Key in stations' paper protocols at desk DIR, sign them and send them with their scans.

    Each paper is read twice, by two people; where the readings differ, both look again. Numbers that do not
    add up are told while they are typed. Everything typed is on disk at once: stopped in any way, the same
    command goes on.
    """
    _judge_usage(source, again, single, station, on_paper, json_output=json_output, later=later)
    desk = desks.read(path, addresses)
    judge_time(desk.definition, signed_at)
    desk = _meet(desk, signed_at)
    wishes = Wishes(scans, corrects, signed_at, one_person)
    with drafts.opened(path) as own:
        if source is not None:
            try:
                signed = key_files(desk, own, source, again, single or "", on_paper, wishes)
            except CountsError as error:
                _tell_faults(error, json_output)
                raise click.exceptions.Exit(FAILED) from error
            _tell_signed(signed, json_output)
            _tell_assigned(desk, signed.statement.station)
            if not _send(desk, addresses, later):
                raise click.exceptions.Exit(FAILED)
            return
        texts = Texts(language, desk.messages)
        screen = Terminal()
        first = True
        try:
            while True:
                keying = Keying(desk, own, screen, texts, wishes)
                if station is None:
                    found = keying.ask_station(first=first)
                else:
                    found = desk.find(station) or _no_station(desk, station)
                first = False
                try:
                    signed = keying.key(found)
                except StoppedError:
                    screen.say(texts.say("stopped"), "bold")
                    if station is not None:
                        raise click.exceptions.Exit(FAILED) from None
                    continue
                except CountsError as error:
                    _tell_faults(error, json_output)
                    if station is not None:
                        raise click.exceptions.Exit(FAILED) from error
                    continue
                _tell_signed(signed, json_output)
                sent = _send(desk, addresses, later)
                if station is not None:
                    if not sent:
                        raise click.exceptions.Exit(FAILED)
                    return
                desk = dataclasses.replace(desk, signed=desks.read(path).signed)
        except StoppedError:
            return


def _judge_usage(
    source: Path | None,
    again: Path | None,
    single: str | None,
    station: str | None,
    on_paper: tuple[str, ...],
    *,
    json_output: bool,
    later: bool,
) -> None:
    if source is None and (again or single or on_paper or json_output):
        raise click.UsageError("--again, --single, --as-on-paper and --json go with --from.")
    if source is not None and station is not None:
        raise click.UsageError("--from has the station in its file; --station is for the form.")
    if source is not None and (again is None) == (single is None):
        raise click.UsageError(
            "a protocol is read twice: --from FILE --again FILE, or --single WHY where it was done elsewhere."
        )
    if single is not None and not single.strip():
        raise click.UsageError("--single wants the reason in a few words.")
    if json_output and not later:
        raise click.UsageError("--json goes with --later; then `tallygate-desk send` sends.")


def _no_station(desk: Desk, number: str) -> NoReturn:
    raise WireError(
        "desk.station",
        f'there is no one station {number} in the election "{desk.definition.id}"',
        file=str(desk.path),
    )


@tallygate_desk.command(
    "documents",
    short_help="Sign and send papers that follow later.",
    epilog=terminal.example(
        "tallygate-desk documents desk-7 --station 118 --scan 118.pdf",
        "tallygate-desk documents desk-7 --station 118 --scan complaint.pdf --document act_or_complaint",
    ),
)
@click.argument("path", metavar="DIR", type=terminal.PATH)
@click.option("--station", metavar="N", required=True, help="Its number, or what is printed for it.")
@click.option(
    "--document", type=click.Choice(list(words.DOCUMENTS)), default="protocol", help="Which paper it is."
)
@_scan_option
@_signed_at_option
@_later_option
@address_option
@terminal.json_option
def documents_command(
    path: Path,
    station: str,
    document: str,
    scans: tuple[Path, ...],
    signed_at: int | None,
    later: bool,
    addresses: tuple[Address, ...],
    json_output: bool,
) -> None:
    """Sign at desk DIR which papers of a station follow later, and send them: late scans, complaints.

    The files given with --scan are the pages of one paper, in their order.
    """
    if not scans:
        raise click.UsageError("Give the files with --scan.")
    if json_output and not later:
        raise click.UsageError("--json goes with --later; then `tallygate-desk send` sends.")
    desk = desks.read(path, addresses)
    judge_time(desk.definition, signed_at)
    desk = _meet(desk, signed_at)
    found = desk.find(station) or _no_station(desk, station)
    values = {"report": "documents", "station": found.station, "attachments": pages(scans, document)}
    try:
        given = counts.judge(values, "--scan", Path(), desk.definition)
        signed = desk.sign(given, "--scan", desk.now(signed_at))
    except CountsError as error:
        _tell_faults(error, json_output)
        raise click.exceptions.Exit(FAILED) from error
    _tell_signed(signed, json_output)
    _tell_assigned(desk, found.station)
    if not _send(desk, addresses, later):
        raise click.exceptions.Exit(FAILED)


# --- What is told


def _meet(desk: Desk, signed_at: int | None) -> Desk:
    """The desk with what a gateway says of it; nobody has to wait for one."""
    met = desk.met()
    if met.assigned is None and signed_at is None and met.definition.mode == "rehearsal":
        warn(
            "no gateway answers, so what is signed gets this machine's time, not the rehearsal's; "
            "--signed-at gives another"
        )
    return met


def _tell_assigned(desk: Desk, station: int) -> None:
    if desk.assigned is not None and station not in desk.assigned:
        warn(
            f"station {station} is not in this desk's area: the tally will not count this before the "
            "commission assigns the desk or chooses the statement [H105]"
        )


def _send(desk: Desk, addresses: tuple[Address, ...], later: bool) -> bool:
    """Try once to send what the desk has; whether all of it is delivered, or was not to be sent."""
    if later:
        return True
    if desk.site is None:
        warn(f"this desk does not know its gateways yet: tallygate-desk init {desk.path} --site FILE")
        return False
    try:
        return send_all(desk.path, addresses, again=False, once=True)
    except WireError as error:
        # What is signed is kept, and the next paper is on the desk already.
        fail(str(error))
        return False


def _tell_faults(error: CountsError, json_output: bool) -> None:
    if json_output:
        say_json(
            {
                "file": error.file,
                "faults": [
                    {"path": fault.path, "line": fault.line, "code": fault.code, "detail": fault.detail}
                    for fault in error.faults
                ],
                "more": error.more,
            }
        )
        return
    for line in error.lines():
        fail(line)
    fail("nothing was signed")


def _tell_signed(signed: Signed, json_output: bool) -> None:
    packet = signed.statement
    report = Report.of(packet.report)
    if json_output:
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
                "corrects": report.corrects.hex(),
                "attachments": [paper.sha256.hex() for paper in report.attachments],
                "warnings": [{"code": own.code, "detail": own.detail} for own in signed.findings],
            }
        )
        return
    what = f"statement {packet.sequence} of device {packet.device}: {report.kind}, station {packet.station}"
    terminal.result(
        f"signed {what}" if signed.new else f"signed before as {what}; nothing new was signed", good=True
    )
    say("slip", show.slip(packet))
    if report.corrects:
        say("replaces", report.corrects.hex())
    for paper in report.attachments:
        say("scan", f"{paper.sha256.hex()} ({paper.size:,} bytes)")
    for finding in signed.findings:
        warn(f"{finding.detail} [{finding.code}]")


if __name__ == "__main__":
    main()
