"""``tallygate information``: what is only shown, while the night runs."""

from pathlib import Path

import click
import msgspec

from gateway.base.config import read_config
from gateway.cli.shared import say, say_json
from gateway.election.limits import MAX_FAULTS_SHOWN
from gateway.run.folder import find_night
from gateway.run.information import OtherDefinitionError, publish_information


class Outcome(msgspec.Struct, frozen=True):
    """What ``--json`` prints: `information` is None where nothing was published."""

    information: str | None
    media: int
    new: bool
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    differences: tuple[str, ...]


@click.group(no_args_is_help=True)
def information() -> None:
    """Change what is only shown: names in other languages, addresses, photographs, biographies, funds."""


@information.command(epilog="Example: tallygate information publish night examples/hill-country")
@click.argument("night", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--number", is_flag=True, help="The tables have only labels, and the night was built with --number."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def publish(night: Path, folder: Path, number: bool, as_json: bool) -> int:
    """Show the texts and pictures of the election FOLDER in NIGHT from the next snapshot on.

    No role has to be started again. How votes count cannot be changed with it: a folder that would build
    another definition is refused, with what differs.
    """
    place = find_night(night)
    reserve = read_config(place.config).limits.disk_reserve_bytes
    try:
        done, faults = publish_information(place, folder, number=number, reserve=reserve)
    except OtherDefinitionError as error:
        if as_json:
            say_json(Outcome(None, 0, False, (), (), error.differences))
            return 1
        for difference in error.differences:
            say(difference)
        raise
    kept = faults.kept()
    if as_json:
        say_json(
            Outcome(
                None if done is None else done.information.hash.hex(),
                0 if done is None else done.media,
                done is not None and done.new,
                tuple(str(fault) for fault in kept if not fault.warning),
                tuple(str(fault) for fault in kept if fault.warning),
                (),
            )
        )
        return 1 if done is None else 0
    for fault in kept[:MAX_FAULTS_SHOWN]:
        say(f"warning: {fault}" if fault.warning else str(fault), err=fault.warning)
    if done is None:
        say(f"error: {faults.errors:,} faults in {folder}: what is shown stays as it is", err=True)
        return 1
    say(f"information  {done.information.hash.hex()}")
    say(f"media        {done.media:,}")
    say(f"shown        {'with the next snapshot' if done.new else 'already: nothing has changed'}")
    return 0
