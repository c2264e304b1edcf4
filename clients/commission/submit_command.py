"""`tallygate-decide submit`: a decision's signatures brought to the gateway, and how it stands then."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click
import trio

from clients import terminal
from clients.box.sending import address_option
from clients.commission import feedlog, listing, member, submit
from clients.commission.decisionfile import DecisionFile
from clients.commission.ground import Ground, look
from clients.commission.member import Identity
from clients.commission.options import BUNDLE, DEFINITION, EMBARGO, FEED, FILE, MEMBER, folder_or_none
from clients.commission.submit import Sent
from clients.observer.verdict import Folder
from clients.terminal import FAILED, Json, say, say_json, warn
from clients.wire.answers import Logged, Refusal
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.site import Address, Site

# Seconds in which a feed must show what was sent; a snapshot comes within two.
WAIT_SECONDS: Final = 30.0


@click.command(
    "submit",
    short_help="Bring a signed decision to the log.",
    epilog=terminal.example(
        "tallygate-decide submit decision-5.json --feed feed --site site.json \\",
        "    --certificate member-2.pem --tls-key member-2/keys/tls.key",
        "tallygate-decide submit decision-5.json --feed night/feed --bundle night/devices",
    ),
)
@FILE
@click.option("--site", metavar="FILE", type=terminal.PATH, help="Where the gateways are and whom to trust.")
@click.option("--certificate", metavar="FILE", type=terminal.PATH, help="A member's certificate.")
@click.option("--tls-key", metavar="FILE", type=terminal.PATH, help="The member's TLS key, keys/tls.key.")
@BUNDLE
@MEMBER
@FEED
@EMBARGO
@DEFINITION
@address_option
@click.option("--pending", is_flag=True, help="Also send fewer signatures than the quorum.")
@terminal.json_option
def submit_command(
    file: Path,
    site: Path | None,
    certificate: Path | None,
    tls_key: Path | None,
    devices: Path | None,
    number: int | None,
    feed: Path | None,
    embargo: Path | None,
    definition: Path | None,
    addresses: tuple[Address, ...],
    pending: bool,
    json_output: bool,
) -> None:
    """Send the signatures of the decision in FILE, and keep their receipts beside it.

    Sending again changes nothing. With --feed it waits for the snapshot, and says how the decision stands.
    Any member's certificate may bring the signatures of all.
    """
    where = folder_or_none(feed, embargo)
    ground = Ground.of(where, definition, devices, quiet=json_output)
    own = ground.read(file)
    quorum = ground.definition.quorum
    if not own.signatures or (len(own.signatures) < quorum and not pending):
        raise WireError(
            "decision.signatures",
            f"{quorum} members must sign decision {own.decision.number}, and {len(own.signatures)} have: let "
            "more sign it first, or send what there is with --pending",
            file=str(file),
        )
    warnings = list(look(own, ground).warnings) if feed is not None else []
    identity = _identity(site, certificate, tls_key, devices, number)
    _judge_site(identity.site, ground, str(site or devices))
    tell = partial(_tell_failed, json_output)
    folder = submit.receipts_folder(file)
    gateways = addresses or identity.site.addresses
    sent = trio.run(submit.submit, own, folder, identity.site.log_key, gateways, identity.context, tell)
    standing = _standing(own, where, sent, warnings)
    _report(file, own, ground.definition, sent, standing, warnings, json_output)
    if any(not isinstance(one.answer, Logged) for one in sent) or (standing and standing.standing == "void"):
        raise click.exceptions.Exit(FAILED)


def _judge_site(site: Site, ground: Ground, place: str) -> None:
    """Refuse gateways that keep another log than the decision is for."""
    if site.definition != ground.definition.sha256:
        raise WireError("decision.definition", "its gateways are of another definition", file=place)
    if ground.log is not None and site.log_key != ground.log.log_key:
        raise WireError(
            "decision.log",
            f"its gateways keep the log {site.log_key}, the feed is of {ground.log.log_key}",
            file=place,
        )


def _identity(
    site: Path | None,
    certificate: Path | None,
    tls_key: Path | None,
    devices: Path | None,
    number: int | None,
) -> Identity:
    if devices is not None and (site, certificate, tls_key) == (None, None, None):
        return member.rehearsed_identity(devices, number or 1)
    if (
        devices is None
        and number is None
        and site is not None
        and certificate is not None
        and tls_key is not None
    ):
        return member.identity(site, certificate, tls_key)
    raise click.UsageError("give --site, --certificate and --tls-key, or --bundle NIGHT/devices.")


def _tell_failed(quiet: bool, address: Address, error: WireError) -> None:
    if not quiet:
        warn(f"{address}: {error}")


def _standing(
    own: DecisionFile, feed: Folder | None, sent: Sequence[Sent], warnings: list[str]
) -> listing.Known | None:
    """How the decision stands in the feed once it shows what was sent; None: nobody can say."""
    places = [one.answer.index for one in sent if isinstance(one.answer, Logged)]
    if feed is None or not places:
        return None
    wait = partial(submit.is_published, seconds=WAIT_SECONDS, clock=time.monotonic, sleep=time.sleep)
    if not wait(feed, max(places)):
        warnings.append(
            f"the feed has not shown entry {max(places)} within {WAIT_SECONDS:.0f} seconds: publication is "
            "paused, or late; tallygate-decide list tells later"
        )
        return None
    return listing.of(feedlog.read(feed), own.decision)


def _report(
    file: Path,
    own: DecisionFile,
    definition: Definition,
    sent: Sequence[Sent],
    standing: listing.Known | None,
    warnings: Sequence[str],
    json_output: bool,
) -> None:
    logged = [one for one in sent if isinstance(one.answer, Logged)]
    if json_output:
        say_json(
            {
                "file": str(file),
                "number": own.decision.number,
                "quorum": definition.quorum,
                "sent": [_as_json(one) for one in sent],
                "standing": None if standing is None else listing.as_json(standing),
                "warnings": list(warnings),
            }
        )
        return
    for one in sent:
        say(f"member {one.member}", _what(one))
    for warning in warnings:
        warn(warning)
    if logged:
        say("receipts", str(submit.receipts_folder(file)))
    _conclude(own, definition, sent, standing)


def _conclude(
    own: DecisionFile, definition: Definition, sent: Sequence[Sent], standing: listing.Known | None
) -> None:
    number, quorum = own.decision.number, definition.quorum
    logged = sum(isinstance(one.answer, Logged) for one in sent)
    if standing is not None and standing.entry is not None:
        why = f": {standing.why}" if standing.why else ""
        terminal.result(
            f"decision {number} is taken at entry {standing.entry:,}: {standing.standing}{why}",
            good=standing.standing == "in effect",
        )
    elif standing is not None and standing.standing == "pending":
        terminal.result(
            f"decision {number} is pending: {len(standing.members)} of {quorum} signatures", good=True
        )
    elif standing is not None:
        terminal.result(f"decision {number} is void: {standing.why}", good=False)
    elif logged < len(sent):
        terminal.result(f"{logged} of {len(sent)} signatures are in the log: send again", good=False)
    elif logged >= quorum:
        terminal.result(f"all {logged} signatures are in the log; the feed says when it is taken", good=True)
    else:
        terminal.result(f"{logged} of {quorum} signatures are in the log: the decision is pending", good=True)


def _what(one: Sent) -> str:
    match one.answer:
        case Logged():
            known = ", known before" if one.answer.outcome == "duplicate" else ""
            return f"entry {one.answer.index:,} of the log{known}; its receipt is verified"
        case Refusal():
            again = {"never": "", "later": "; send it again later", "fix": "; mend that and send again"}
            return f"refused: {one.answer.detail} [{one.answer.code}]{again[one.answer.retry]}"
        case WireError():
            return f"not sent: {one.answer.detail} [{one.answer.code}]"


def _as_json(one: Sent) -> Json:
    logged = one.answer if isinstance(one.answer, Logged) else None
    failed = None if isinstance(one.answer, Logged) else one.answer
    return {
        "member": one.member,
        "entry": None if logged is None else logged.index,
        "outcome": None if logged is None else logged.outcome,
        "receipt": None if one.receipt is None else str(one.receipt),
        "code": None if failed is None else failed.code,
        "detail": None if failed is None else failed.detail,
    }
