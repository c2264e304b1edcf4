"""``tallygate publish``: the role that makes the feed, alone, as systemd wants it."""

import os
from functools import partial
from pathlib import Path

import click

from gateway.base.config import read_config
from gateway.cli.processes import run_until_told, surroundings
from gateway.run.folder import find_night
from gateway.run.publish import run_publish

# Whoever serves the feed is another user: what this role writes is public, but for what says otherwise.
_UMASK = 0o022


@click.command(epilog="Example: tallygate publish night")
@click.argument("night", type=click.Path(path_type=Path))
@click.option("--supervised", is_flag=True, hidden=True, help="End when standard input does.")
def publish(night: Path, supervised: bool) -> int:
    """Run the role `publish` of NIGHT alone: it follows the ledger and writes NIGHT/feed.

    Its log goes to stderr, one line of JSON an event. SIGTERM or Ctrl-C ends it after the snapshot that is
    being written; SIGHUP looks for rosters again. It waits for `tallygate ingest`, and goes on waiting
    whenever that is away.
    """
    os.umask(_UMASK)
    folder = find_night(night)
    config = read_config(folder.config)
    with surroundings("publish", supervised=supervised) as around:
        run_until_told(partial(run_publish, folder, config, around), around.log)
    return 0
