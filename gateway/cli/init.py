"""``tallygate init``: the folder of a night, for a built definition or for a rehearsal."""

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from gateway import _core
from gateway.base.clock import MAX_SPEED, format_time, system_clock
from gateway.base.config import BOX_PORT
from gateway.base.errors import TallygateError
from gateway.base.files import unfinished
from gateway.cli.parameters import TIME
from gateway.election import Faults
from gateway.election.limits import MAX_FAULTS_SHOWN
from gateway.run.night import SOFTWARE, NewNight, Progress, init_night
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
    help="The officials' tables; only with --rehearsal.",
)
@click.option("--rehearsal", is_flag=True, help="Make every key, certificate and the opening here.")
@click.option(
    "--origin", help="The log's name, host/path; final with decision 1. [default: this host/the id]"
)
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
    if (built is None) == (folder is None):
        raise click.UsageError("give either --definition D or --election FOLDER --rehearsal")
    for left in unfinished(night):
        click.echo(f"warning: an interrupted init left {left}; its keys are of no use, remove it", err=True)
    if built is not None:
        if rehearsal:
            raise _no_rehearsal(built)
        if start is not None or speed is not None or hosts or port is not None:
            raise click.UsageError("--start, --speed, --host and --port are for rehearsals")
        with _progress() as progress:
            made = init_night(night, built, origin=origin, host=socket.gethostname(), progress=progress)
        _show(made, as_json)
        if not as_json:
            _show_next_steps(made)
        return 0
    if not rehearsal:
        raise click.UsageError(
            "--election needs --rehearsal: a real night is made of a built definition (--definition D)"
        )
    if origin is not None:
        raise click.UsageError("a rehearsal's log has a name of its own: leave out --origin")
    plan = Plan(start, speed or 1, tuple(hosts), port or BOX_PORT, len(os.sched_getaffinity(0)))
    return _rehearse(night, folder or Path(), plan, as_json)


def _rehearse(night: Path, folder: Path, plan: Plan, as_json: bool) -> int:
    with _progress() as progress:
        made, faults = init_rehearsal(night, folder, plan, now=system_clock(), progress=progress)
    _show_faults(faults)
    if made is None:
        click.echo(f"error: no night was made: {faults.errors} faults in {folder}", err=True)
        return 1
    _show(made, as_json)
    if not as_json:
        click.echo(f"devices      {made.roster.device_count}, their keys in {made.folder / 'devices'}")
        click.echo(
            f"clock        {format_time(made.start or 0)}, speed {plan.speed}, from the first serve on"
        )
        click.echo(f"Try a box:   tallygate-box init BOX --bundle {made.folder / 'devices'} --device 1")
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
        click.echo(msgspec.json.encode(line))
        return
    click.echo(f"night        {line.night}")
    click.echo(f"election     {line.election} ({line.mode})")
    click.echo(f"definition   {line.definition}")
    click.echo(f"roster       {line.roster}")
    click.echo(f"log key      {line.log_key}")
    click.echo(f"snapshot key {line.snapshot_key}")


def _show_next_steps(made: NewNight) -> None:
    definition = made.definition
    members = f"{definition.commission_quorum} of {len(definition.commission_keys)} members"
    click.echo(
        f"""
Next (docs/keys.md):
1. Bring ca.pem, server.pem, server.key and crl.pem of the election's CA to {made.folder / "pki"}.
2. {members} of the commission sign decision 1, which opens the log. It names, for good:
     origin        {made.origin}
     log key       {made.keys.log.hex()}
     snapshot key  {made.keys.snapshot.hex()}
     roster        {made.roster.hash.hex()}
     software      {SOFTWARE}
   Each signed statement goes into {made.folder / "data" / "opening"} as a file *.cose.
3. Keep a copy of {made.folder / "keys"} in a safe: a lost log key ends the log.
4. The gateway, `tallygate serve {made.folder}`, is not in this version yet."""
    )


def _show_faults(faults: Faults) -> None:
    for fault in faults.kept()[:MAX_FAULTS_SHOWN]:
        click.echo(f"warning: {fault}" if fault.warning else str(fault), err=True)


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal, a line a step otherwise; both on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _say(what: str, done: int, total: int) -> None:
    click.echo(f"{what}: {done:,} of {total:,}" if total > 1 else what, err=True)
