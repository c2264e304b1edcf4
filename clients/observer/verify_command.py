"""`tallygate-observe verify`: how a verdict is shown while it is made and when it is there."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from clients import terminal
from clients.observer.verdict import MEANING, Verdict
from clients.observer.verify import Progress, verify
from clients.terminal import DONE, FAILED, WRONG_USAGE, say
from clients.wire.text import hex_32

# Lines into a pipe while a long log is folded: one for each tenth of it.
_LINES: Final = 10
# Below it the verdict is there before anybody has read a line.
_LONG_LOG: Final = 10_000
_NAME: Final = 12
_COUNT: Final = 9

_EXAMPLES: Final = (
    "tallygate-observe verify /srv/feed",
    "tallygate-observe verify /srv/feed --definition 5f2a… --json",
)
_KEEP = (
    "keep a copy of the feed as it is now, verify it again, and if it stays like this tell the commission "
    "and whoever reads these results"
)


class Sha256(click.ParamType[bytes]):
    """A SHA-256 in hex."""

    name = "hash"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """The 32 bytes, or the usage error of click."""
        digest = hex_32(str(value).lower())
        if digest is None:
            self.fail("must be the 64 hex digits of a SHA-256", param, ctx)
        return digest


@click.command("verify", short_help="Recompute everything in a feed.", epilog=terminal.example(*_EXAMPLES))
@click.argument("feed", metavar="DIR", type=terminal.PATH)
@click.option(
    "--definition",
    metavar="HASH",
    type=Sha256(),
    help="SHA-256 of election.json, known from elsewhere: a feed of another election is a difference.",
)
@click.option(
    "--embargo",
    metavar="DIR",
    type=terminal.PATH,
    help="The folder of what is under embargo, on the gateway's machine: verifies that too.",
)
@terminal.json_option
def verify_command(feed: Path, definition: bytes | None, embargo: Path | None, json_output: bool) -> None:
    """Recompute everything in the feed DIR from its log: every figure, hash and signature.

    While results are under embargo their entries are hidden: then chain, signatures and the hashes of the log
    are checked, and it is said what was not. When the embargo is over everything can be.

    A feed may be written meanwhile: the snapshot that latest.json names at the start is the last one that is
    looked at.

    Exit codes: 0 everything follows from the log, 1 a difference, 2 could not check.
    """
    # A log's packets are millions of objects that stay to the end and form no cycles: nothing to look for.
    gc.disable()
    try:
        with watched(quiet=json_output) as progress:
            verdict = verify(feed, embargo=embargo, definition=definition, progress=progress)
    finally:
        gc.enable()
    if json_output:
        terminal.say_json(verdict.object())
    else:
        tell(verdict)
    raise click.exceptions.Exit({True: DONE, False: FAILED, None: WRONG_USAGE}[verdict.agrees])


@contextmanager
def watched(*, quiet: bool) -> Iterator[Progress | None]:
    """Show how far it is: a bar on a terminal, a line now and then in a pipe."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        columns = (TextColumn("entries"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("entries", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        yield _Lines()


class _Lines:
    """Progress as lines on stderr."""

    def __init__(self) -> None:
        self._next = 1

    def __call__(self, done: int, total: int) -> None:
        if total >= _LONG_LOG and done * _LINES >= total * self._next:
            self._next = done * _LINES // total + 1
            print(f"{done:,} of {total:,} entries", file=sys.stderr)


def tell(verdict: Verdict) -> None:
    """Show a verdict to people."""
    if verdict.definition is not None:
        pinned = "as asked for" if verdict.pinned else "not pinned: compare it with the commission's"
        say("definition", f"{verdict.definition.hex()} ({pinned})")
    if verdict.snapshot:
        say("snapshot", f"{verdict.snapshot:,} of {verdict.published_at}, {verdict.size:,} entries")
    for check, count in verdict.counts.items():
        word = "differs" if check is verdict.failed else "right"
        say(word, f"{check:<{_NAME}} {count:>{_COUNT},}  {MEANING[check]}")
    if verdict.not_judged:
        say("not judged", f"{verdict.not_judged:,} files of newer snapshots, or of none that is there")
    if verdict.papers_missing:
        say(
            "not there",
            f"{verdict.papers_missing:,} papers (scans) that the log names: they may be on the way",
        )
    hidden = verdict.withheld
    if hidden is not None:
        say(
            "not checked",
            f"under embargo until {hidden.until}: the figures (progress, turnout, status, decisions) of "
            f"{hidden.snapshots:,} snapshots, and what {hidden.entries:,} entries say. Verify again then",
        )
    if verdict.agrees and hidden is not None:
        terminal.result("the feed agrees, as far as the embargo lets anybody look", good=True)
        return
    if verdict.agrees:
        terminal.result("the feed agrees: everything in it follows from its log", good=True)
        return
    if verdict.difference is not None:
        terminal.result("the feed DIFFERS from what its log says", good=False)
        say("first", str(verdict.difference))
        say("what to do", _KEEP)
    elif verdict.trouble is not None:
        code, detail = verdict.trouble
        terminal.result("could not check: nobody can say whether this feed is right", good=False)
        say("why", f"{detail} [{code}]")
