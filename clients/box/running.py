"""The command `tallygate-box run`: a device that works by itself, for the makers of voting machines."""

import time
from functools import partial
from pathlib import Path

import click
import trio

from clients import terminal
from clients.box import folder, receipts, show, times
from clients.box.board import Board
from clients.box.drop import Drop
from clients.box.outbox import Outbox
from clients.box.report import Report
from clients.box.run import Runner
from clients.box.sending import address_option, identity, make_paper_sender, make_sender, until_told
from clients.box.sign import Signed, sign
from clients.terminal import fail, say, warn
from clients.wire.errors import WireError
from clients.wire.site import Address


@click.command(
    "run",
    short_help="Sign what is counted as it comes, and send it once the polls are closed.",
    epilog=terminal.example(
        "tallygate-box run box-12 /var/spool/counts",
        "tallygate-box run terminal-7 /var/spool/counts --online",
    ),
)
@click.argument("path", metavar="DIR", type=terminal.PATH)
@click.argument("counts", metavar="COUNTS", type=terminal.PATH)
@click.option("--online", is_flag=True, help="There is a line all day: nothing waits for the close.")
@address_option
def run_command(path: Path, counts: Path, online: bool, addresses: tuple[Address, ...]) -> None:
    """Work as device DIR until somebody stops it: sign each counts file in COUNTS, and deliver it.

    What was signed is moved to COUNTS/signed, what no statement can be made of to COUNTS/faulty. The line
    stays shut until the station has closed, by this machine's clock; turnouts are sent at once. A power cut
    loses nothing: started again, it goes on.
    """
    with folder.opened(path) as opened:
        settings, site = opened.settings, opened.site()
        stations = opened.definition().stations
        closes_at = {number: station.closes_at for number, station in stations.items()}
    identity(path, site)
    if not counts.is_dir():
        raise WireError("file.no_folder", "there is no folder for counts of this name", file=str(counts))
    with receipts.sending(path):
        outbox = Outbox(path, site.log_key)
        board = Board(settings, outbox, once=False)
        runner = Runner(
            Drop(counts),
            partial(_sign, path),
            outbox,
            make_sender(outbox, site, addresses or site.addresses, board, again=False),
            make_paper_sender(outbox, site, addresses or site.addresses, board, again=False),
            closes_at,
            clock=_now,
            online=online,
            tell=partial(_tell, board),
            trouble=partial(_trouble, board),
        )
        board.begin()
        opens_at = runner.line_opens_at()
        if opens_at is not None and opens_at > _now():
            say("offline", f"until {times.write(opens_at)}")
        trio.run(until_told, runner.run, board)
        # What was signed in the last moment counts among what is left.
        outbox.look()
    board.end(
        [letter for letter in outbox.letters if letter.stored is None],
        [paper for paper in outbox.papers if paper.here and not paper.taken],
    )


def _now() -> int:
    """This machine's clock, in ms since the Unix epoch."""
    return time.time_ns() // 1_000_000


def _sign(path: Path, counts: Path) -> Signed:
    with folder.opened(path) as opened:
        return sign(opened, counts, _now())


def _tell(board: Board, signed: Signed) -> None:
    board.clear()
    packet = signed.statement
    kind = Report.of(packet.report).kind
    say("signed" if signed.new else "known", f"{packet.sequence} {kind} {show.slip(packet)}")
    for finding in signed.findings:
        warn(f"{finding.detail} [{finding.code}]")


def _trouble(board: Board, file: Path, lines: list[str]) -> None:
    board.clear()
    for line in lines:
        fail(line)
    fail(f"{file}: nothing was signed of it")
