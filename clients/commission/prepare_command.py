"""`tallygate-decide prepare FEED ACTION`: one command for each of the thirteen actions."""

import importlib.metadata
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import click
import msgspec

from clients import files, terminal
from clients.box import words
from clients.commission import listing, prepare
from clients.commission.decisionfile import DecisionFile
from clients.commission.feedlog import FeedLog
from clients.commission.ground import load_definition, load_roster, read_log, tell
from clients.commission.options import (
    AFTER,
    DEFINITION_HASH,
    EMBARGO,
    NUMBER,
    NUMBER_OR_ALL,
    PUBLIC_KEY,
    SHA256,
    TIME,
    Named,
    Reason,
    folder,
)
from clients.observer.election import SNAPSHOT_SUFFIX
from clients.terminal import say, say_json
from clients.wire.authority import NONE, Action
from clients.wire.cbor import Content
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.roster import Roster

Option: TypeAlias = Callable[[Callable[..., None]], Callable[..., None]]


class Order(NamedTuple):
    """What the options of an action ask for.

    Attributes:
        action: as in the payload.
        roster: that it names, where the feed need not have it.
    """

    action: Content
    roster: Roster | None = None


@dataclass(frozen=True, slots=True)
class Common:
    """What every action is given.

    Attributes:
        reasons: language and text.
        decided_at: ms; None: now.
        definition_hash: that the definition must have, or None.
        out: the file to write; None: it is named after the decision.
        json_output: one line for a script.
    """

    reasons: tuple[tuple[str, str], ...]
    decided_at: int | None
    definition_hash: bytes | None
    out: Path | None
    json_output: bool


_COMMON: Final = (
    click.option(
        "--reason",
        "reasons",
        metavar="LANGUAGE=TEXT",
        type=Reason(),
        multiple=True,
        required=True,
        help="Why, for the public; once in each language of the election.",
    ),
    click.option("--decided-at", metavar="TIME", type=TIME, help="RFC 3339 with its offset.  [default: now]"),
    DEFINITION_HASH,
    click.option(
        "--out", metavar="FILE", type=terminal.PATH, help="The file to write.  [default: decision-N.json]"
    ),
    terminal.json_option,
)
_STATION = click.option("--station", metavar="N", type=NUMBER, required=True)
_CONTEST = click.option("--contest", metavar="N", type=NUMBER, required=True)
_STATIONS = click.option("--station", metavar="N|all", type=NUMBER_OR_ALL, required=True)
_CONTESTS = click.option("--contest", metavar="N|all", type=NUMBER_OR_ALL, required=True)
_DEVICE = click.option("--device", metavar="N", type=NUMBER, required=True)
_SOURCE = click.option(
    "--source", type=click.Choice(list(words.SOURCES)), required=True, help="The boxes, or the paper."
)


@click.group(
    "prepare",
    short_help="Make a decision, and show what it would change.",
    no_args_is_help=True,
    epilog=terminal.example(
        "tallygate-decide prepare feed annul --station 1234 --contest 1 \\",
        "    --reason ky='Мөөр бузулган.' --reason en='The seal was broken.'",
        "tallygate-decide prepare feed choose --station 1234 --contest 1 --source protocol --entry 812 \\",
        "    --reason en='The recount is right.'",
        "tallygate-decide prepare built open --log-key results.example/2026+5d1f… \\",
        "    --snapshot-key results.example/2026/snapshot+77a0… --reason en='The log is opened.'",
    ),
)
@click.argument("feed", metavar="FEED", type=terminal.PATH)
@click.pass_context
def prepare_group(context: click.Context, feed: Path) -> None:
    """Make the next decision of the log in FEED, and show what it would change; nothing is signed.

    Number and previous decision are the log's. What would be void is refused, with the rule that it breaks.
    The file that is written travels from member to member: `tallygate-decide sign`.
    """
    context.obj = feed


def _action(
    name: str, short_help: str, *options: Option
) -> Callable[[Callable[..., Order]], Callable[..., Order]]:
    """A command for an action: `options` are its own, and the function makes the action of them."""

    def register(order: Callable[..., Order]) -> Callable[..., Order]:
        def command(
            reasons: tuple[tuple[str, str], ...],
            decided_at: int | None,
            definition_hash: bytes | None,
            out: Path | None,
            json_output: bool,
            after: tuple[Path, ...],
            embargo: Path | None,
            **own: object,
        ) -> None:
            common = Common(reasons, decided_at, definition_hash, out, json_output)
            feed: Path = click.get_current_context().obj
            log = read_log(folder(feed, embargo), definition_hash, quiet=json_output)
            ordered = order(log, **own)
            made = prepare.prepare(
                log,
                ordered.action,
                reasons,
                prepare.decided_now(log, _now()) if decided_at is None else decided_at,
                earlier=[DecisionFile.read(file) for file in after],
                rosters=() if ordered.roster is None else (ordered.roster,),
            )
            _write(made, log.definition, common, _others(log, made), log.snapshot.embargo_until)

        _register(name, short_help, order.__doc__, command, (*options, AFTER, EMBARGO, *_COMMON))
        return order

    return register


def _register(
    name: str,
    short_help: str,
    text: str | None,
    command: Callable[..., None],
    options: tuple[Option, ...],
) -> None:
    for option in reversed(options):
        command = option(command)
    prepare_group.command(name, short_help=short_help, help=text)(command)


def _now() -> int:
    """This machine's clock, ms."""
    return time.time_ns() // 1_000_000


def _others(log: FeedLog, made: DecisionFile) -> list[str]:
    return [
        f"another decision {one.number} waits for signatures, and only one can be taken: {one.says}"
        for one in listing.pending(log, made.decision)
    ]


def _write(
    made: DecisionFile,
    definition: Definition,
    common: Common,
    warnings: list[str],
    embargo: str | None = None,
) -> None:
    out = common.out or Path(f"decision-{made.decision.number}.json")
    for language in prepare.missing_languages(definition, common.reasons):
        warnings.append(f"there is no reason in {language}: add --reason {language}=…")
    if os.path.lexists(out):
        raise WireError(
            "file.exists",
            "this exists and is never written over: give --out another name, or take it away",
            file=str(out),
        )
    if embargo is not None:
        warnings.append(f"this file has figures that are under embargo until {embargo}: mind who gets it")
    files.write_new(out, made.encode(), files.PUBLIC_FILE if embargo is None else files.PRIVATE_FILE)
    if common.json_output:
        say_json(
            {
                "file": str(out),
                "number": made.decision.number,
                "says": made.says,
                "payload": made.decision.payload.hex(),
                "quorum": definition.quorum,
                "effect": msgspec.to_builtins(made.effect),
                "warnings": warnings,
            }
        )
        return
    tell(made, definition, made.effect, tuple(warnings))
    terminal.result(f"prepared {out}; nothing is signed yet", good=True)
    members = f"{definition.quorum} of {len(definition.commission_keys)} members"
    say("next", f"{members} sign it, each with tallygate-decide sign {out}")


@_action("revoke", "What a device logs from here on does not belong.", _DEVICE)
def _revoke(_log: FeedLog, device: int) -> Order:
    """Revoke the key of a device: what is logged of it from here on does not belong to its stations."""
    return Order((int(Action.REVOKE), device))


@_action(
    "assign",
    "Assign a device to a station.",
    _DEVICE,
    _STATION,
    click.option(
        "--replaces", metavar="N", type=NUMBER, help="The device whose packets no longer belong there."
    ),
)
def _assign(_log: FeedLog, device: int, station: int, replaces: int | None) -> Order:
    """Assign a device to a station, if need be in place of another one."""
    return Order((int(Action.ASSIGN), device, station, replaces or NONE))


@_action("annul", "Let nothing count.", _STATIONS, _CONTESTS)
def _annul(_log: FeedLog, station: int, contest: int) -> Order:
    """Annul a contest at a station, all contests there, or a contest at all stations."""
    return Order((int(Action.ANNUL), station, contest))


@_action(
    "choose",
    "Let one packet count, alone.",
    _STATION,
    _CONTEST,
    _SOURCE,
    click.option(
        "--id", "packet", metavar="HEX", type=SHA256, help="The packet's id, as its station's page has it."
    ),
    click.option("--entry", metavar="N", type=click.IntRange(min=0), help="Or its entry in the log."),
)
def _choose(
    log: FeedLog, station: int, contest: int, source: str, packet: bytes | None, entry: int | None
) -> Order:
    """Choose the packet that counts, alone, for a contest at a station in one source.

    It may be one that was held, that does not belong, or that another one has replaced.
    """
    if (packet is None) == (entry is None):
        raise click.UsageError("give the packet's --id, or its --entry.")
    number = words.SOURCES[source]
    if packet is None:
        packet = prepare.packet_at(log, station, number, entry or 0)
    return Order((int(Action.CHOOSE), station, contest, number, packet))


@_action("pause", "Pause publication.")
def _pause(_log: FeedLog) -> Order:
    """Pause publication: the figures that are shown stay as they are, with the reason."""
    return Order((int(Action.PAUSE),))


@_action("resume", "Resume publication.")
def _resume(_log: FeedLog) -> Order:
    """Resume publication.

    The feed does not have the decision that has paused it: name its file with --after.
    """
    return Order((int(Action.RESUME),))


@_action(
    "status",
    "Say what the figures are.",
    _SOURCE,
    click.option("--status", type=click.Choice(list(words.STATUSES)), required=True),
)
def _status(_log: FeedLog, source: str, status: str) -> Order:
    """Say what the figures of a source are: certified, for instance."""
    return Order((int(Action.STATUS), words.SOURCES[source], words.STATUSES[status]))


@_action(
    "roster",
    "Put a new roster in force.",
    click.option(
        "--roster",
        "built",
        metavar="DIR",
        type=terminal.PATH,
        required=True,
        help="The folder with roster.json.",
    ),
)
def _roster(log: FeedLog, built: Path) -> Order:
    """Put a new roster in force; the gateway and the feed need its folder too (docs/operations.md)."""
    roster = load_roster(built, log.definition)
    return Order((int(Action.ROSTER), roster.sha256), roster)


@_action(
    "definition",
    "Read packets that name another definition.",
    click.option(
        "--hash", "other", metavar="HEX", type=SHA256, required=True, help="The other definition's."
    ),
)
def _definition(_log: FeedLog, other: bytes) -> Order:
    """Read packets that name another definition as if they named ours."""
    return Order((int(Action.DEFINITION), other))


@_action(
    "close",
    "Give stations another closing time.",
    _STATIONS,
    click.option("--at", metavar="TIME", type=TIME, required=True, help="RFC 3339 with its offset."),
)
def _close(_log: FeedLog, station: int, at: int) -> Order:
    """Give a station, or all of them, another closing time."""
    return Order((int(Action.CLOSING), station, at))


@_action("cancel", "No voting at a station.", _STATION)
def _cancel(_log: FeedLog, station: int) -> Order:
    """Say that there is no voting at a station: it leaves the expected total."""
    return Order((int(Action.CANCEL), station))


@_action("undo", "Undo a decision.", click.option("--number", metavar="N", type=NUMBER, required=True))
def _undo(_log: FeedLog, number: int) -> Order:
    """Undo a decision, as if it had never been in effect; undoing an undo restores what it had undone."""
    return Order((int(Action.UNDO), number))


def _open(
    reasons: tuple[tuple[str, str], ...],
    decided_at: int | None,
    definition_hash: bytes | None,
    out: Path | None,
    json_output: bool,
    origin: str | None,
    log_key: Named,
    snapshot_key: Named,
    roster: bytes | None,
    software: str,
) -> None:
    """Make decision 1, which opens the log; in place of FEED stands what `tallygate election build` wrote.

    It names what `tallygate init` has printed. `quorum` members sign it, each on an own machine if need be;
    `tallygate open NIGHT FILE` puts it into the night.
    """
    built: Path = click.get_current_context().obj
    definition = load_definition(built)
    if definition_hash not in (None, definition.sha256):
        raise WireError(
            "decision.definition",
            f"the definition is {definition.sha256.hex()}, and not the one that was named",
            file=str(built),
        )
    first = load_roster(built, definition)
    if roster not in (None, first.sha256):
        raise WireError(
            "decision.opening",
            f"the roster here is {first.sha256.hex()}, and not the one that was named",
            file=str(built),
        )
    made = prepare.prepare_opening(
        definition,
        first,
        reasons,
        _now() if decided_at is None else decided_at,
        origin=_origin(origin, log_key, snapshot_key),
        log_key=log_key.key,
        snapshot_key=snapshot_key.key,
        software=software,
    )
    _write(made, definition, Common(reasons, decided_at, definition_hash, out, json_output), [])


def _origin(given: str | None, log_key: Named, snapshot_key: Named) -> str:
    """The log's name: given, or the one in its verifier key; the three must not contradict one another."""
    names = {given, log_key.name, snapshot_key.name.removesuffix(SNAPSHOT_SUFFIX)} - {None, ""}
    if len(names) > 1:
        raise click.UsageError(
            f"--origin and the names in the keys differ: {', '.join(sorted(map(str, names)))}."
        )
    for name in names:
        return str(name)
    raise click.UsageError("give --origin, or the log's verifier key, which has its name.")


def _software() -> str:
    """This program's version, which is the gateway's as well where both were installed together."""
    return f"tallygate {importlib.metadata.version('tallygate')}"


_KEY_HELP: Final = "As `tallygate init` has printed it: a verifier key, or 64 hex digits."
_register(
    "open",
    "Open the log: decision 1, without a feed.",
    _open.__doc__,
    _open,
    (
        click.option(
            "--origin", metavar="HOST/PATH", help="The log's name, for good.  [default: the log key's]"
        ),
        click.option("--log-key", metavar="KEY", type=PUBLIC_KEY, required=True, help=_KEY_HELP),
        click.option("--snapshot-key", metavar="KEY", type=PUBLIC_KEY, required=True, help=_KEY_HELP),
        click.option(
            "--roster",
            metavar="HEX",
            type=SHA256,
            help="Its SHA-256; the one beside the definition must be it.",
        ),
        click.option(
            "--software", metavar="TEXT", default=_software, help="The gateway's.  [default: this version]"
        ),
        *_COMMON,
    ),
)
