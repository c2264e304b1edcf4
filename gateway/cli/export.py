"""``tallygate export``: the feed as static files, for any web server, a stick or a mirror."""

from pathlib import Path

import click
import msgspec

from gateway.cli.progress import progress_on_stderr
from gateway.cli.shared import say, say_json
from gateway.run.export import Exported, export_feed
from gateway.run.folder import find_night


class ExportLine(msgspec.Struct, frozen=True):
    """What ``--json`` writes; `size` in bytes, `exports` the snapshot of the newest exports."""

    out: str
    snapshot: int
    entries: int
    files: int
    size: int
    exports: int | None


@click.command(epilog="Example: tallygate export night --out /srv/www/feed")
@click.argument("night", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="A new folder for the files."
)
@click.option(
    "--link",
    is_flag=True,
    help="Take the feed's own files (hard links), where it is one disk: fast and small. Whoever writes into "
    "one then changes the feed.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def export(night: Path, out: Path, link: bool, as_json: bool) -> int:
    """Copy the newest snapshot of NIGHT with everything that leads to it into the folder DIR.

    The copy is of one snapshot, also while the night runs. `tallygate-observe verify DIR` proves it. Web
    pages are not in it: this version makes them only while they are asked for (`tallygate web`).
    """
    folder = find_night(night)
    with progress_on_stderr() as progress:
        done = export_feed(folder.feed, out, link=link, progress=lambda files: progress("files", files, 0))
    if as_json:
        say_json(ExportLine(str(out), *done))
    else:
        _show(out, done)
    return 0


def _show(out: Path, done: Exported) -> None:
    say(f"feed         {out}, {done.files:,} files, {done.size:,} bytes")
    say(f"snapshot     {done.snapshot:,}, {done.entries:,} entries of the log")
    if done.exports is None:
        say("exports      none are made yet")
    else:
        say(f"exports      of snapshot {done.exports:,}: {out}/exports/{done.exports}")
    say(f"Next:        tallygate-observe verify {out}")
