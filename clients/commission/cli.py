"""The command line of the commission: `tallygate-decide`."""

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
from nacl.signing import SigningKey

from clients import files, terminal
from clients.commission import decisionfile, listing, member, telling
from clients.commission.decisionfile import DecisionFile
from clients.commission.ground import Ground, look, read_log, tell
from clients.commission.options import (
    AFTER,
    BUNDLE,
    DEFINITION,
    DEFINITION_HASH,
    EMBARGO,
    FEED,
    FILE,
    MEMBER,
    ROSTER,
    folder,
    folder_or_none,
)
from clients.commission.prepare_command import prepare_group
from clients.commission.submit_command import submit_command
from clients.terminal import say, say_json, visible
from clients.wire.definition import Definition
from clients.wire.errors import WireError


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `tallygate-decide` and leave the process: 0 done, 1 failed, 2 wrong usage."""
    terminal.run(tallygate_decide, "tallygate-decide", arguments)


@click.group(
    context_settings=terminal.HELP_OPTIONS,
    epilog=terminal.example(
        "tallygate-decide prepare feed annul --station 1234 --contest 1 --reason en='The seal was broken.'",
        "tallygate-decide sign decision-5.json --feed feed --key member-2/keys/sign.key",
        "tallygate-decide submit decision-5.json --feed feed --site site.json \\",
        "    --certificate member-2.pem --tls-key member-2/keys/tls.key",
        "tallygate-decide list feed",
    ),
)
def tallygate_decide() -> None:
    """Decisions of the commission: prepared with their effect, signed by members, brought to the log.

    Exit codes: 0 done, 1 failed, 2 wrong usage.
    """


tallygate_decide.add_command(prepare_group)
tallygate_decide.add_command(submit_command)


@tallygate_decide.command(
    "sign",
    short_help="Show a decision, and sign it.",
    epilog=terminal.example(
        "tallygate-decide sign decision-5.json --feed feed --key member-2/keys/sign.key",
        "tallygate-decide sign decision-1.json --definition built --key member-2/keys/sign.key",
        "tallygate-decide sign decision-5.json --feed night/feed --bundle night/devices --member 2 --yes",
    ),
)
@FILE
@click.option("--key", metavar="FILE", type=terminal.PATH, help="The member's signing key, keys/sign.key.")
@BUNDLE
@MEMBER
@FEED
@EMBARGO
@DEFINITION
@ROSTER
@AFTER
@click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
@terminal.json_option
def sign_command(
    file: Path,
    key: Path | None,
    devices: Path | None,
    number: int | None,
    feed: Path | None,
    embargo: Path | None,
    definition: Path | None,
    roster: Path | None,
    after: tuple[Path, ...],
    yes: bool,
    json_output: bool,
) -> None:
    """Show the decision in FILE and sign it as a member of the commission; FILE gets the signature.

    What is shown is decoded from the bytes that are signed. With --feed its effect is computed anew.
    """
    signing = _signing_key(key, devices, number)
    ground = Ground.of(folder_or_none(feed, embargo), definition, devices, quiet=json_output)
    ground.offer(roster)
    own = ground.read(file)
    found = look(own, ground, [ground.read(one) for one in after])
    signed = own.signed_by(signing, ground.definition)
    if not json_output:
        tell(own, ground.definition, found.effect, found.warnings)
    new = signed != own
    if new:
        if not yes:
            who = decisionfile.member_of(bytes(signing.verify_key), ground.definition)
            click.confirm(visible(f"sign as member {who}: {own.says}?"), abort=True, err=True)
        # Whoever shares the folder may have signed while this member was reading.
        signed = ground.read(file).merged(signed)
        files.write(file, signed.encode(), _mode(file))
    _tell_signed(file, signed, ground.definition, found.warnings, json_output, new=new)


def _signing_key(key: Path | None, devices: Path | None, number: int | None) -> SigningKey:
    if key is not None and devices is None and number is None:
        return member.read_key(key)
    if key is None and devices is not None and number is not None:
        return member.rehearsed_key(devices, number)
    raise click.UsageError("give --key FILE, or --bundle NIGHT/devices and --member N.")


def _mode(file: Path) -> int:
    """Who may read a decision file: its effect may be under embargo."""
    return stat.S_IMODE(file.stat().st_mode)


def _tell_signed(
    file: Path,
    own: DecisionFile,
    definition: Definition,
    warnings: Sequence[str],
    json_output: bool,
    *,
    new: bool,
) -> None:
    if json_output:
        say_json(
            {
                "file": str(file),
                "new": new,
                "number": own.decision.number,
                "says": own.says,
                "members": list(own.members),
                "quorum": definition.quorum,
                "warnings": list(warnings),
            }
        )
        return
    terminal.result(
        "signed" if new else "this member has signed it before; nothing new was signed", good=True
    )
    say("signed by", telling.signed_by(own.members, definition.quorum))
    if len(own.members) < definition.quorum:
        say("next", f"bring {file} to the next member")
    elif own.prepared is None:
        say("next", f"tallygate open NIGHT {file}, on the gateway")
    else:
        say("next", f"tallygate-decide submit {file}")


@tallygate_decide.command(
    "merge",
    short_help="Put the signatures of several copies together.",
    epilog=terminal.example(
        "tallygate-decide merge decision-5.json stick/decision-5.json --definition built"
    ),
)
@FILE
@click.argument("others", metavar="OTHER…", type=terminal.PATH, nargs=-1, required=True)
@FEED
@EMBARGO
@DEFINITION
@click.option("--out", metavar="FILE", type=terminal.PATH, help="Write here, and leave FILE as it is.")
@terminal.json_option
def merge_command(
    file: Path,
    others: tuple[Path, ...],
    feed: Path | None,
    embargo: Path | None,
    definition: Path | None,
    out: Path | None,
    json_output: bool,
) -> None:
    """Put the signatures of other copies of a decision into FILE; each signature is verified."""
    ground = Ground.of(folder_or_none(feed, embargo), definition, None, quiet=json_output)
    own = ground.read(file)
    merged = own
    for other in others:
        try:
            merged = merged.merged(ground.read(other))
        except WireError as error:
            raise WireError(error.code, error.detail, file=error.file or str(other)) from error
    target = out or file
    if out is not None:
        files.write_new(out, merged.encode(), _mode(file))
    elif merged != own:
        files.write(file, merged.encode(), _mode(file))
    _tell_merged(target, merged, ground.definition, json_output)


def _tell_merged(file: Path, own: DecisionFile, definition: Definition, json_output: bool) -> None:
    if json_output:
        say_json(
            {
                "file": str(file),
                "number": own.decision.number,
                "members": list(own.members),
                "quorum": definition.quorum,
            }
        )
        return
    terminal.result(f"{file} has all signatures of decision {own.decision.number}", good=True)
    say("signed by", telling.signed_by(own.members, definition.quorum))


@tallygate_decide.command(
    "list",
    short_help="All decisions of a feed, and how they stand.",
    epilog=terminal.example("tallygate-decide list feed", "tallygate-decide list feed --json"),
)
@click.argument("feed", metavar="FEED", type=terminal.PATH)
@EMBARGO
@DEFINITION_HASH
@terminal.json_option
def list_command(feed: Path, embargo: Path | None, definition_hash: bytes | None, json_output: bool) -> None:
    """List every decision that a member has signed in the log of FEED: in effect, pending, void and undone.

    The log is verified and folded: what is listed follows from its entries.
    """
    log = read_log(folder(feed, embargo), definition_hash, quiet=json_output)
    decisions = listing.known(log)
    if json_output:
        say_json(
            {
                "definition": log.definition.sha256.hex(),
                "snapshot": log.snapshot.number,
                "entries": log.head.size,
                "quorum": log.definition.quorum,
                "decisions": [listing.as_json(one) for one in decisions],
            }
        )
        return
    say("log", f"{log.head.size:,} entries of {log.head.origin}, snapshot {log.snapshot.number:,}")
    for one in decisions:
        for line in listing.lines(one, log.definition.quorum):
            say(*line)
    if log.snapshot.paused is not None:
        say(
            "paused", f"by {log.snapshot.paused.by} since {log.snapshot.paused.since}: what was decided since"
        )
        say("", "then stands in the log and is not published yet")


if __name__ == "__main__":
    main()
