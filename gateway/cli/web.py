"""``tallygate web``: the role that serves feed and pages, alone, as systemd wants it."""

from functools import partial
from pathlib import Path

import click

from gateway.base.config import read_config
from gateway.cli.processes import run_until_told, surroundings
from gateway.run.folder import find_night
from gateway.run.web import run_web


@click.command(epilog="Example: tallygate web night")
@click.argument("night", type=click.Path(path_type=Path))
@click.option("--supervised", is_flag=True, hidden=True, help="End when standard input does.")
def web(night: Path, supervised: bool) -> int:
    """Run the role `web` of NIGHT alone: the feed's files and a plain page over HTTP.

    Put a web server or a CDN before it for the world. Its log goes to stderr, one line of JSON an event.
    SIGTERM or Ctrl-C ends it after what is in flight is sent.
    """
    folder = find_night(night)
    config = read_config(folder.config)
    with surroundings("web", supervised=supervised) as around:
        run_until_told(partial(run_web, folder, config, around), around.log)
    return 0
