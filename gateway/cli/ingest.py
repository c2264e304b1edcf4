"""``tallygate ingest``: the role that takes the boxes' statements, alone, as systemd wants it."""

from functools import partial
from pathlib import Path

import click

from gateway.base.config import read_config
from gateway.cli.processes import run_until_told, surroundings
from gateway.run.folder import find_night
from gateway.run.ingest import run_ingest


@click.command(epilog="Example: tallygate ingest night")
@click.argument("night", type=click.Path(path_type=Path))
@click.option("--supervised", is_flag=True, hidden=True, help="End when standard input does.")
def ingest(night: Path, supervised: bool) -> int:
    """Run the role `ingest` of NIGHT alone: box port, sequencer, ledger.

    Its log goes to stderr, one line of JSON an event. SIGTERM or Ctrl-C ends it after what is in flight is
    answered; SIGHUP reads certificates, revocation list and rosters again. A rehearsal's time is started by
    `tallygate serve`.
    """
    folder = find_night(night)
    config = read_config(folder.config)
    with surroundings("ingest", supervised=supervised) as around:
        run_until_told(partial(run_ingest, folder, config, around), around.log)
    return 0
