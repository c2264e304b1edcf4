"""``tallygate open``: the commission's decision 1 becomes the beginning of a night's log."""

import os
from pathlib import Path

import click

from gateway.cli.shared import say
from gateway.run.folder import find_night
from gateway.run.opening import place_opening


@click.command(epilog="Example: tallygate open night decision-1.json")
@click.argument("night", type=click.Path(path_type=Path))
@click.argument("decision", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def open_log(night: Path, decision: Path) -> int:
    """Put decision 1 in FILE (from `tallygate-decide`) into NIGHT; the next `serve` opens the log with it.

    Its signatures, keys, origin and roster are checked against the night before anything is written.
    """
    folder = find_night(night)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    opening = place_opening(folder, decision, None if credentials is None else Path(credentials))
    say(f"opening      {len(opening.statements)} signatures of decision 1, in {folder.data / 'opening'}")
    say(f"origin       {opening.origin}")
    say(f"Next:        tallygate serve {night}")
    return 0
