"""The commands `tallygate-box send` and `tallygate-box status`."""

import random
import signal
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import click
import trio
from cryptography import x509

from clients import files, terminal
from clients.box import folder, receipts, show, times, words
from clients.box.board import Board, paper_words, what
from clients.box.certificate import MAX_CERTIFICATE_BYTES
from clients.box.outbox import Letter, Outbox, Paper
from clients.box.papers import PaperSender
from clients.box.report import Report
from clients.box.send import Sender
from clients.terminal import FAILED, Json, say, say_json
from clients.wire import client
from clients.wire.client import Connection
from clients.wire.errors import WireError
from clients.wire.site import Address, Site

# Seconds between two looks for statements that were signed while only scans are left to be sent.
_BESIDE_PAPERS = 1.0


def _addresses(
    _context: click.Context, _parameter: click.Parameter, values: Sequence[str]
) -> tuple[Address, ...]:
    found = []
    for value in values:
        address = Address.parse(value)
        if address is None:
            raise click.BadParameter("must be HOST:PORT, like 192.0.2.1:8443 or [2001:db8::1]:8443")
        found.append(address)
    return tuple(found)


address_option = click.option(
    "--address",
    "addresses",
    metavar="HOST:PORT",
    multiple=True,
    callback=_addresses,
    help="A gateway, instead of those in site.json; more than once for several.",
)


@click.command(
    "send",
    short_help="Send what is signed, and fetch the receipts.",
    epilog=terminal.example(
        "tallygate-box send box-12",
        "tallygate-box send box-12 --once                          (try, and do not wait)",
        "tallygate-box send box-12 --address 192.0.2.7:8443",
    ),
)
@click.argument("path", metavar="DIR", type=terminal.PATH)
@click.option("--again", is_flag=True, help="Send everything again, also what is delivered: new receipts.")
@click.option("--once", is_flag=True, help="Do not wait: what is refused or has no line stays for later.")
@address_option
def send_command(path: Path, again: bool, once: bool, addresses: tuple[Address, ...]) -> None:
    """Send the statements of device DIR that are not delivered yet, and their scans, until they all are.

    A statement is delivered when the log's receipt for it was verified and stored in DIR/receipts. Until then
    it is sent again and again, less and less often; Ctrl-C or a power cut loses nothing. Counts can be signed
    meanwhile and are sent too. A scan follows once the log has a statement that names it.
    """
    if not send_all(path, addresses, again=again, once=once):
        raise click.exceptions.Exit(FAILED)


def send_all(path: Path, addresses: tuple[Address, ...], *, again: bool, once: bool) -> bool:
    """Send what a device has to send, and tell a person how it goes.

    Args:
        path: the device's folder.
        addresses: of gateways; empty: those of its site.json.
        again: also what is delivered.
        once: never wait.

    Returns:
        Whether everything is delivered.

    Raises:
        WireError: `folder.*`, `line.identity`, `send.busy`, `spool.*`.
        OSError: something cannot be read.
    """
    with folder.opened(path) as opened:
        settings, site = opened.settings, opened.site()
    identity(path, site)
    with receipts.sending(path):
        outbox = Outbox(path, site.log_key)
        board = Board(settings, outbox, once=once, program=terminal.program())
        board.begin()
        left, papers = trio.run(deliver, outbox, site, addresses or site.addresses, board, again, once)
    board.end(left, papers)
    return not left and not papers


def identity(path: Path, site: Site) -> ssl.SSLContext:
    """What the device's lines trust and show.

    Raises:
        WireError: `folder.no_certificate`, `line.identity`.
    """
    if not (path / folder.CERTIFICATE).exists():
        raise WireError(
            "folder.no_certificate",
            "this device has no certificate for its line yet: `tallygate-box init DIR --certificate FILE`",
            file=str(path),
        )
    return client.tls_context(site.ca, path / folder.CERTIFICATE, path / folder.TLS_KEY)


async def deliver(
    outbox: Outbox, site: Site, addresses: Sequence[Address], board: Board, again: bool, once: bool
) -> tuple[list[Letter], list[Paper]]:
    """Send statements and their papers until all are delivered or somebody stops it; what is left then.

    Args:
        outbox: whose; its lock is held (`clients.box.receipts.sending`).
        site: whom to trust.
        addresses: of gateways, at least one.
        board: shows what happens.
        again: send everything, for new receipts.
        once: never wait.

    Raises:
        WireError: the spool cannot be read any more (`spool.*`, `folder.*`, `file.*`).
        OSError: the same.
    """
    sender = make_sender(outbox, site, addresses, board, again=again)
    papers = make_paper_sender(outbox, site, addresses, board, again=again)

    async def send() -> None:
        if once:
            await sender.run(once=True)
            await papers.run(once=True)
            return
        sending = True
        failed: WireError | OSError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(papers.run, once=False, more=lambda: sending))
            try:
                await sender.run(once=False)
                papers.wake()
                # A scan may take hours, in which more is signed.
                while papers.waiting:
                    await trio.sleep(_BESIDE_PAPERS)
                    await sender.run(once=False)
                    papers.wake()
                sending = False
                papers.wake()
            except (WireError, OSError) as error:
                failed = error
                nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed

    await until_told(send, board)
    return sender.left, papers.left


def make_sender(
    outbox: Outbox, site: Site, addresses: Sequence[Address], board: Board, *, again: bool
) -> Sender:
    """A sender over real lines, whose events the board shows."""
    return Sender(
        outbox,
        addresses,
        site.log_key,
        dial=_dial(outbox, site),
        tell=board.tell,
        clock=time.time,
        chance=random.SystemRandom(),
        again=again,
    )


def make_paper_sender(
    outbox: Outbox, site: Site, addresses: Sequence[Address], board: Board, *, again: bool
) -> PaperSender:
    """The same for the papers that statements name."""
    return PaperSender(
        outbox,
        addresses,
        dial=_dial(outbox, site),
        tell=board.tell,
        chance=random.SystemRandom(),
        again=again,
    )


def _dial(outbox: Outbox, site: Site) -> Callable[[Address], AbstractAsyncContextManager[Connection]]:
    @asynccontextmanager
    async def dial(address: Address) -> AsyncIterator[Connection]:
        # Read each time: a new certificate may have come while this program waited.
        async with client.connected(address, identity(outbox.path, site)) as connection:
            yield connection

    return dial


async def until_told(work: Callable[[], Awaitable[None]], board: Board) -> None:
    """Do the work until it is done or somebody stops it (SIGINT, SIGTERM).

    Raises:
        WireError: whatever the work raises.
        OSError: the same.
    """
    failed: WireError | OSError | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(_stop_when_told, nursery.cancel_scope, board)
        nursery.start_soon(board.count_down)
        try:
            await work()
        except (WireError, OSError) as error:
            failed = error
        nursery.cancel_scope.cancel()
    board.clear()
    if failed is not None:
        raise failed


async def _stop_when_told(
    scope: trio.CancelScope, board: Board, *, task_status: trio.TaskStatus[None]
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            board.stopped = True
            scope.cancel()


@click.command(
    "status",
    short_help="Say what is signed and what is delivered.",
    epilog=terminal.example("tallygate-box status box-12"),
)
@click.argument("path", metavar="DIR", type=terminal.PATH)
@terminal.json_option
def status_command(path: Path, json_output: bool) -> None:
    """Say what device DIR has signed, and which receipts prove that the log has it.

    Nothing is sent, and every stored receipt is verified anew; also while `send` runs.
    """
    with folder.opened(path) as opened:
        settings = opened.settings
        site = opened.site() if (path / folder.SITE).exists() else None
    outbox = Outbox(path, None if site is None else site.log_key)
    letters, papers = outbox.letters, outbox.papers
    until = _valid_until(path)
    if json_output:
        say_json(
            {
                "folder": str(path),
                "election": settings.election,
                "device": settings.device,
                "definition": settings.definition,
                "certificate_until": until,
                "addresses": None if site is None else [str(address) for address in site.addresses],
                "log_key": None if site is None else str(site.log_key),
                "signed": len(letters),
                "delivered": sum(letter.stored is not None for letter in letters),
                "statements": [_as_json(letter) for letter in letters],
                "papers": [_paper_as_json(paper) for paper in papers],
            }
        )
        return
    say("device", f"{settings.device} of {settings.election}")
    say("certificate", "none yet" if until is None else f"valid until {times.write(until)}")
    say("gateways", "not known yet" if site is None else ", ".join(map(str, site.addresses)))
    for letter in letters:
        say("delivered" if letter.stored else "NOT YET", what(letter) + _proof(letter))
    for paper in papers:
        label = "taken" if paper.taken else "NOT YET" if paper.here else "elsewhere"
        say(label, paper_words(paper))
    waiting = sum(letter.stored is None for letter in letters)
    papers_waiting = sum(paper.here and not paper.taken for paper in papers)
    if not letters:
        terminal.result("nothing is signed yet", good=True)
    elif waiting:
        terminal.result(
            f"{waiting} of {len(letters)} statements are not delivered: {terminal.program()} send {path}",
            good=False,
        )
    elif papers_waiting:
        terminal.result(
            f"all {len(letters)} statements are delivered, {papers_waiting} of {len(papers)} papers are not: "
            f"{terminal.program()} send {path}",
            good=False,
        )
    else:
        terminal.result(f"all {len(letters)} statements are delivered", good=True)


def _valid_until(path: Path) -> int | None:
    """Until when the certificate of the line is valid, ms; None without one."""
    place = path / folder.CERTIFICATE
    if not place.exists():
        return None
    data = files.read(place, MAX_CERTIFICATE_BYTES, "the certificate")
    try:
        return times.from_datetime(x509.load_pem_x509_certificate(data).not_valid_after_utc)
    except ValueError as error:
        raise WireError(
            "certificate.malformed",
            "this is no certificate; `tallygate-box init DIR --certificate FILE` brings it again",
            file=str(place),
        ) from error


def _as_json(letter: Letter) -> Json:
    packet, stored = letter.packet, letter.stored
    return {
        "sequence": packet.sequence,
        "report": Report.of(packet.report).kind,
        "station": packet.station,
        "slip": show.slip(packet),
        "id": packet.id.hex(),
        "signed_at": packet.signed_at,
        "delivered": stored is not None,
        "index": None if stored is None else stored.index,
        "log_size": None if stored is None else stored.size,
        "receipt_fault": None if letter.bad is None else letter.bad.code,
    }


def _paper_as_json(paper: Paper) -> Json:
    return {
        "sha256": paper.sha256.hex(),
        "size": paper.size,
        "media": words.word(words.MEDIA, paper.media),
        "sequence": paper.letter.packet.sequence,
        "here": paper.here,
        "taken": paper.taken,
    }


def _proof(letter: Letter) -> str:
    if letter.stored is not None:
        return f": place {letter.stored.index} of the log"
    return "" if letter.bad is None else f": its receipt proves nothing ({letter.bad})"
