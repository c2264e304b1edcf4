"""``tallygate verify``: prove again what this machine holds, while it runs or after."""

from functools import partial
from pathlib import Path

import click
import msgspec
import trio

from gateway.base.clock import system_clock
from gateway.cli.progress import progress_on_stderr
from gateway.cli.shared import say, say_json
from gateway.ledger.salvage import Salvaged
from gateway.run.folder import find_night
from gateway.run.verify import Verdict, salvage_night, verify_night


class VerdictLine(msgspec.Struct, frozen=True):
    """What ``--json`` writes."""

    good: bool
    source: str
    entries: int
    root: str
    log_key: str
    packets: int
    devices: int
    decisions: int
    papers: int
    published: int | None
    missing_rosters: tuple[str, ...]
    faults: tuple[str, ...]
    fault_count: int


@click.command(epilog="Example: tallygate verify night")
@click.argument("night", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option(
    "--salvage",
    type=click.Path(path_type=Path),
    metavar="NEW",
    help="Of a damaged ledger make a whole one in the folder NEW; the damaged one is only read.",
)
def verify(night: Path, as_json: bool, salvage: Path | None) -> int:
    """Prove the ledger and log of NIGHT again, from their bytes.

    Of a night that runs, every committed entry is read over its socket; of one that is stopped, from its
    file, which is proved as at a start. Exit code 1: something is wrong, or could not be judged.
    """
    folder = find_night(night)
    if salvage is not None:
        if as_json:
            raise click.UsageError("--salvage writes no JSON")
        _show_salvaged(folder.data, salvage, salvage_night(folder, salvage, now=system_clock))
        return 0
    with progress_on_stderr() as progress:
        verdict = trio.run(partial(verify_night, folder, now=system_clock, progress=progress))
    good = not verdict.fault_count
    if as_json:
        say_json(_line(verdict, good))
    else:
        _show(folder.root, verdict)
    return 0 if good else 1


def _line(verdict: Verdict, good: bool) -> VerdictLine:
    head = verdict.head
    return VerdictLine(
        good=good,
        source=verdict.source,
        entries=0 if head is None else head.size,
        root="" if head is None else head.root.hex(),
        log_key=verdict.log_key,
        packets=verdict.packets,
        devices=verdict.devices,
        decisions=verdict.decisions,
        papers=verdict.papers,
        published=verdict.published,
        missing_rosters=verdict.missing_rosters,
        faults=tuple(verdict.faults),
        fault_count=verdict.fault_count,
    )


def _show(night: Path, verdict: Verdict) -> None:
    entries = 0 if verdict.head is None else verdict.head.size
    read = "over the socket of the running night" if verdict.source == "running" else "from the stopped night"
    say(f"night        {night}, {entries:,} entries read {read}")
    if verdict.head is not None:
        say(f"root         {verdict.head.root.hex()}")
    say(f"log key      {verdict.log_key}")
    say(f"packets      {verdict.packets:,} of {verdict.devices:,} devices")
    say(f"decisions    {verdict.decisions:,} signatures of members of the commission")
    if verdict.papers:
        say(f"papers       {verdict.papers:,} files of data/attachments have the hash that is their name")
    for missing in verdict.missing_rosters:
        say(f"warning: a decision names the roster {missing}, which is not in rosters/: the old one was used")
    if verdict.published is None:
        say("published    nothing yet")
    else:
        say(f"published    a checkpoint of {verdict.published:,} entries")
    if verdict.fault_count:
        for fault in verdict.faults:
            say(f"error: {fault}", err=True)
        if verdict.fault_count > len(verdict.faults):
            say(f"error: and {verdict.fault_count - len(verdict.faults):,} more", err=True)
        say(f"error: {verdict.fault_count:,} faults: see docs/ledger.md, and change nothing", err=True)
        return
    say("proved       every statement, hashed anew, adds up to the root that the log's key has signed")
    say("             the log begins with decision 1, signed by the quorum of the commission")
    say("             every signature verifies with a key of the roster in force, or of the commission")
    if verdict.source == "stopped":
        say("             the file itself: every row, index and seal, and SQLite's own check of its pages")
    if verdict.published is not None:
        say("             the published checkpoint is the log's, and covers its beginning")


def _show_salvaged(data: Path, target: Path, made: Salvaged) -> None:
    say(f"salvaged     {made.head.size:,} entries, every one that the log's key has signed, into {target}")
    say(f"root         {made.head.root.hex()}")
    if made.routes:
        say(
            f"             routes or times of arrival of {made.routes:,} entries are lost; they prove nothing"
        )
    if made.attachments:
        say(f"             the rows of {made.attachments:,} papers are lost: their boxes send them again")
    say(f"Next:        keep {data} as it is on another disk, move the three files over those in {data},")
    say("             and run tallygate verify again")
