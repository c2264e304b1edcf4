"""``tallygate init``: the folder of a night, for a built definition or for a rehearsal."""

import os
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from gateway import _core
from gateway.base.clock import MAX_SPEED, format_time, system_clock
from gateway.base.config import BOX_PORT
from gateway.base.errors import TallygateError
from gateway.cli.parameters import TIME
from gateway.cli.progress import progress_on_stderr
from gateway.cli.shared import say, say_json, warn_of_unfinished
from gateway.election import Faults
from gateway.election.limits import MAX_FAULTS_SHOWN
from gateway.run.night import SOFTWARE, NewNight, init_night, official_origin
from gateway.run.rehearsal import Plan, init_rehearsal

_HIGHEST_PORT = 65_535


class NightLine(msgspec.Struct, frozen=True):
    """What ``--json`` writes."""

    night: str
    election: str
    mode: str
    definition: str
    roster: str
    origin: str
    log_key: str
    snapshot_key: str
    software: str


@click.command(epilog="Example: tallygate init night --election examples/hill-country --rehearsal --speed 10")
@click.argument("night", type=click.Path(path_type=Path))
@click.option(
    "--definition",
    "built",
    metavar="D",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="What `tallygate election build` wrote.",
)
@click.option(
    "--election",
    "folder",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The officials' tables: what is rehearsed, or, with --definition, where the origin stands.",
)
@click.option("--rehearsal", is_flag=True, help="Make every key, certificate and the opening here.")
@click.option("--origin", help="The log's name, host/path; final with decision 1.")
@click.option("--start", type=TIME, help="Election time at the start. [default: 15 minutes before the close]")
@click.option(
    "--speed",
    type=click.IntRange(1, MAX_SPEED),
    help="How many times as fast as real time the rehearsal runs. [default: 1]",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    help="A name or address of this machine, if devices on others take part; give each.",
)
@click.option("--port", type=click.IntRange(1, _HIGHEST_PORT), help=f"Of the box port. [default: {BOX_PORT}]")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def init(
    night: Path,
    built: Path | None,
    folder: Path | None,
    rehearsal: bool,
    origin: str | None,
    start: int | None,
    speed: int | None,
    hosts: Sequence[str],
    port: int | None,
    as_json: bool,
) -> int:
    """Make the folder NIGHT: for a built definition, or everything for a rehearsal in one step."""
    warn_of_unfinished(night)
    if built is not None:
        if rehearsal:
            raise _no_rehearsal(built)
        if start is not None or speed is not None or hosts or port is not None:
            raise click.UsageError("--start, --speed, --host and --port are for rehearsals")
        if (origin is None) == (folder is None):
            raise click.UsageError(
                "the log's name is final with decision 1: give either --origin HOST/PATH, or --election "
                "FOLDER where election.toml has it"
            )
        if folder is not None:
            origin = official_origin(folder, _core.Definition.load(built / "definition").id)
        with progress_on_stderr() as progress:
            made = init_night(night, built, origin=origin or "", progress=progress)
        _show(made, as_json)
        if not as_json:
            _show_next_steps(made)
        return 0
    if folder is None or not rehearsal:
        raise click.UsageError(
            "give --definition D for a real night (a built definition), or --election FOLDER --rehearsal"
        )
    if origin is not None:
        raise click.UsageError("a rehearsal's log has a name of its own: leave out --origin")
    plan = Plan(start, speed or 1, tuple(hosts), port or BOX_PORT, len(os.sched_getaffinity(0)))
    return _rehearse(night, folder, plan, as_json)


def _rehearse(night: Path, folder: Path, plan: Plan, as_json: bool) -> int:
    with progress_on_stderr() as progress:
        made, faults = init_rehearsal(night, folder, plan, now=system_clock(), progress=progress)
    _show_faults(faults)
    if made is None:
        say(f"error: no night was made: {faults.errors} faults in {folder}", err=True)
        return 1
    _show(made, as_json)
    if not as_json:
        say(f"devices      {made.roster.device_count}, their keys in {made.folder / 'devices'}")
        say(f"clock        {format_time(made.start or 0)}, speed {plan.speed}, from the first serve on")
        say(f"Next:        tallygate serve {made.folder}")
    return 0


def _no_rehearsal(built: Path) -> TallygateError:
    definition = _core.Definition.load(built / "definition")
    return TallygateError(
        "init.live_definition" if definition.mode == "live" else "init.built_definition",
        f"this definition is built, its mode is {definition.mode}, and its commission's keys are not here: "
        "a rehearsal makes its own from the tables (--election FOLDER --rehearsal)",
        place=str(built),
    )


def _show(made: NewNight, as_json: bool) -> None:
    line = NightLine(
        night=str(made.folder),
        election=made.definition.id,
        mode=made.definition.mode,
        definition=made.definition.hash.hex(),
        roster=made.roster.hash.hex(),
        origin=made.origin,
        log_key=made.log_vkey,
        snapshot_key=made.snapshot_vkey,
        software=SOFTWARE,
    )
    if as_json:
        say_json(line)
        return
    say(f"night        {line.night}")
    say(f"election     {line.election} ({line.mode})")
    say(f"definition   {line.definition}")
    say(f"roster       {line.roster}")
    say(f"log key      {line.log_key}")
    say(f"snapshot key {line.snapshot_key}")


def _show_next_steps(made: NewNight) -> None:
    definition = made.definition
    members = f"{definition.commission_quorum} of {len(definition.commission_keys)} members"
    for line in (
        "",
        "Next (docs/keys.md):",
        f"1. Bring ca.pem, server.pem, server.key and crl.pem of the election's CA to {made.folder / 'pki'}.",
        f"2. {members} of the commission sign decision 1, which opens the log (docs/decisions.md). One of",
        "   them makes it on any computer that has the built definition D:",
        "     tallygate-decide prepare D open \\",
        f"       --origin {made.origin} \\",
        f"       --log-key {made.keys.log.hex()} \\",
        f"       --snapshot-key {made.keys.snapshot.hex()} \\",
        f"       --roster {made.roster.hash.hex()} \\",
        f"       --software '{SOFTWARE}' --reason en='The log is opened.'",
        f"   Signed, it comes back here: tallygate open {made.folder} decision-1.json",
        f"3. For every device: tallygate site {made.folder} --address HOST:PORT > site.json",
        f"4. Keep a copy of {made.folder / 'keys'} in a safe: a lost log key ends the log.",
        f"5. Addresses and limits: {made.folder / 'tallygate.toml'}. Then: tallygate serve {made.folder}",
    ):
        say(line)


def _show_faults(faults: Faults) -> None:
    for fault in faults.kept()[:MAX_FAULTS_SHOWN]:
        say(f"warning: {fault}" if fault.warning else str(fault), err=True)
