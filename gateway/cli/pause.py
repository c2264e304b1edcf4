"""``tallygate pause`` and ``resume``: the operator's stop, at once, whether anything runs or not."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from gateway.base.clock import Clock, format_time, read_clock, system_clock
from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded
from gateway.cli.shared import say
from gateway.feed import layout
from gateway.feed.models import Latest
from gateway.feed.reading import read_latest
from gateway.publish.pause import end_pause, order_pause
from gateway.run.folder import NightFolder, find_night, is_running, night_clock, read_ready

# Seconds that a command waits for the feed to say it: a look a second, and a snapshot of a whole country.
SHOWN_SECONDS: Final = 10.0
# Seconds between two looks at latest.json.
_LOOK_SECONDS: Final = 0.1


@click.command(epilog='Example: tallygate pause night --reason "Station 118 is being looked into."')
@click.argument("night", type=click.Path(path_type=Path))
@click.option("--reason", required=True, help="One sentence that the public reads, in English.")
def pause(night: Path, reason: str) -> int:
    """Stop publication of NIGHT at once; what boxes send is taken as before.

    It holds until `tallygate resume`, whatever starts or dies meanwhile. Readers see the figures of before,
    that the operators have paused, and the reason. The commission confirms it with decision 6.
    """
    folder = find_night(night)
    ordered = order_pause(folder.pause, reason, format_time(_now(folder, system_clock)))
    say("paused       no new figures are published; what boxes send is taken as before")
    if ordered.before is not None:
        say("             it was paused before: the beginning stays, the reason is the new one")
    say(f"since        {ordered.pause.since}")
    say(f"reason       {ordered.pause.reason}")

    def says(latest: Latest) -> str:
        paused = latest.paused
        if paused is None or (paused.by == "operator" and paused.reason[0][1] != reason):
            return ""
        if paused.by == "operator":
            return f"snapshot {latest.snapshot:,} says so"
        return f"snapshot {latest.snapshot:,} says that the {paused.by} has paused: that stands before yours"

    say(f"public       {_public(folder, says)}")
    say(f"Next:        decision 6 of the commission confirms it; tallygate resume {shlex.quote(str(night))}")
    return 0


@click.command(epilog="Example: tallygate resume night")
@click.argument("night", type=click.Path(path_type=Path))
def resume(night: Path) -> int:
    """End the operator's pause of NIGHT: what has come meanwhile is published with the next snapshot.

    A pause of the commission ends with its decision 7, one by the gate when its cause is mended; neither
    ends with this.
    """
    folder = find_night(night)
    if end_pause(folder.pause):
        say("resumed      the operator's pause has ended")
    else:
        say("resumed      no operator has paused this night")

    def says(latest: Latest) -> str:
        if latest.paused is None:
            return f"snapshot {latest.snapshot:,} has the figures of {latest.log.size:,} entries"
        if latest.paused.by == "operator":
            return ""
        by = latest.paused.by
        end = "its decision 7 ends that" if by == "commission" else "its log and tallygate status say why"
        return f"snapshot {latest.snapshot:,} is still paused, by the {by}: {end}"

    say(f"public       {_public(folder, says)}")
    return 0


def _now(folder: NightFolder, real: Clock) -> int:
    """The election's clock; whatever is wrong with it, it does not keep anybody from pausing."""
    try:
        clock = night_clock(folder, real)
        return read_clock(folder.clock).segments[0].at if clock is None else clock()
    except (TallygateError, OSError):
        return real()


def _public(folder: NightFolder, says: Callable[[Latest], str]) -> str:
    """Waits until the feed says it, and tells what it says.

    Args:
        folder: the night's.
        says: what a snapshot says about it; empty: not yet.
    """
    ready = read_ready(folder.ready("publish"))
    if ready is None or not is_running(ready.pid):
        return "publish does not run; it does as ordered when it starts"
    until = time.monotonic() + SHOWN_SECONDS
    while True:
        latest = _latest(folder)
        if latest is None and folder.pause.exists():
            return "nothing is published yet, and nothing will be"
        if latest is not None and (words := says(latest)):
            return words
        if time.monotonic() >= until:
            break
        time.sleep(_LOOK_SECONDS)
    if latest is None:
        return "nothing is published yet"
    return (
        f"after {SHOWN_SECONDS:.0f} s snapshot {latest.snapshot:,} does not say it yet; publish looks again "
        "each second, see tallygate status"
    )


def _latest(folder: NightFolder) -> Latest | None:
    try:
        return read_latest(read_bounded(folder.feed / layout.LATEST, layout.MAX_LATEST))
    except (TallygateError, OSError):
        return None
