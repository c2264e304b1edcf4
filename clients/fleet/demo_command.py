"""`tallygate-fleet demo`: an election night for somebody who wants to see one."""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import trio
from rich.console import Console

from clients import terminal
from clients.fleet.country import FEWEST_STATIONS, MOST_STATIONS, STATIONS
from clients.fleet.demo import Outcome, Plan, Screen, one_error, playing
from clients.fleet.demo_programs import Children, ProgramError
from clients.fleet.demo_screen import Plain, Terminal
from clients.terminal import DONE, FAILED, say
from clients.wire.errors import WireError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command(
    "demo",
    short_help="Play a whole election night on this machine.",
    epilog=terminal.example(
        "tallygate-fleet demo",
        "tallygate-fleet demo --keep night-of-today",
        "tallygate-fleet demo --picture demo.svg | cat",
    ),
)
@click.option(
    "--keep",
    metavar="DIR",
    type=terminal.PATH,
    help="Play in this new folder, and leave it there; else a temporary one is removed in the end.",
)
@click.option("--picture", metavar="FILE", type=terminal.PATH, help="Write the end of it as a picture (SVG).")
@click.option(
    "--stations", type=click.IntRange(FEWEST_STATIONS, MOST_STATIONS), default=STATIONS, hidden=True
)
def demo_command(keep: Path | None, picture: Path | None, stations: int) -> int:
    """Play an invented election night: gateway, boxes, public page, and an observer who has the last word.

    On a terminal the gateway serves on in the end, until Ctrl-C. Into a pipe (and with --picture) the command
    ends by itself: 0 if the observer agrees, nothing was lost and the totals are those of the stations, 1
    otherwise. Nothing is left running; the ports are any free ones.
    """
    with _folder(keep) as folder:
        try:
            with one_error():
                outcome = trio.run(_until_told, Plan(folder.path, stations, _now), picture)
        except ProgramError as error:
            for line in error.said:
                print(terminal.visible(line), file=sys.stderr)
            raise
        except BrokenPipeError:  # who read our lines has left
            folder.wanted = True
            raise
        if outcome is None:
            terminal.fail("stopped before the verdict; everything that was started has ended")
            folder.wanted = True
            return FAILED
        folder.wanted = outcome.good
    return DONE if outcome.good else FAILED


async def _until_told(plan: Plan, picture: Path | None) -> Outcome | None:
    """Plays until the end or a signal; a second signal does not wait for what is being ended."""
    outcome: Outcome | None = None
    children = Children()
    stay = sys.stdout.isatty() and picture is None
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            nursery.start_soon(_listen, signals, scope, children)
            with scope, _screen(picture, stay=stay) as screen:
                async with playing(plan, screen, children) as outcome:
                    if stay:
                        await trio.sleep_forever()
            nursery.cancel_scope.cancel()
    return outcome


async def _listen(signals: AsyncIterator[int], scope: trio.CancelScope, children: Children) -> None:
    async for _ in signals:
        if scope.cancel_called:
            children.kill()
        scope.cancel()


@contextmanager
def _screen(picture: Path | None, *, stay: bool) -> Iterator[Screen]:
    if not stay:
        yield Plain(picture)
        return
    shown = Terminal(Console(highlight=False, emoji=False, markup=False))
    with shown.shown():
        yield shown


@dataclass
class _Folder:
    """Where a night is played.

    Attributes:
        path: it is empty.
        wanted: it went well or somebody has stopped it: nobody needs to look for a reason.
    """

    path: Path
    wanted: bool = False


@contextmanager
def _folder(keep: Path | None) -> Iterator[_Folder]:
    """The folder that is asked for, or a temporary one: which stays if something went wrong."""
    if keep is not None:
        if keep.is_dir() and not any(keep.iterdir()):
            pass
        elif os.path.lexists(keep):
            raise WireError("file.exists", "--keep names a folder that is new or empty", file=str(keep))
        else:
            keep.mkdir(parents=True)
        yield _Folder(keep.absolute())
        say("kept", str(keep))
        return
    folder = _Folder(Path(tempfile.mkdtemp(prefix="tallygate-demo-")))
    try:
        yield folder
    finally:
        if folder.wanted:
            shutil.rmtree(folder.path, ignore_errors=True)
        else:
            terminal.warn(
                f"the night, its logs and reports stay in {folder.path}: remove them when you have looked"
            )


def _now() -> int:
    """This machine's clock, in ms since the Unix epoch."""
    return time.time_ns() // 1_000_000
