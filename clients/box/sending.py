"""The commands `tallygate-box send` and `tallygate-box status`."""

import random
import signal
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import click
import trio
from cryptography import x509

from clients import files, terminal
from clients.box import folder, receipts, show, times
from clients.box.board import Board, what
from clients.box.certificate import MAX_CERTIFICATE_BYTES
from clients.box.outbox import Letter, Outbox
from clients.box.report import Report
from clients.box.send import Sender
from clients.terminal import FAILED, Json, say, say_json
from clients.wire import client
from clients.wire.client import Connection
from clients.wire.errors import WireError
from clients.wire.site import Address, Site


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
    """Send the statements of device DIR that are not delivered yet, until they all are.

    A statement is delivered when the log's receipt for it was verified and stored in DIR/receipts. Until then
    it is sent again and again, less and less often; Ctrl-C or a power cut loses nothing. Counts can be signed
    meanwhile and are sent too.
    """
    with folder.opened(path) as opened:
        settings, site = opened.settings, opened.site()
    identity(path, site)
    with receipts.sending(path):
        outbox = Outbox(path, site.log_key)
        board = Board(settings, outbox, once=once)
        board.begin()
        left = trio.run(_send, outbox, site, addresses or site.addresses, board, again, once)
    board.end(left)
    if left:
        raise click.exceptions.Exit(FAILED)


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


async def _send(
    outbox: Outbox, site: Site, addresses: Sequence[Address], board: Board, again: bool, once: bool
) -> list[Letter]:
    """Run a sender until it is done or somebody stops it; what is left then."""
    sender = make_sender(outbox, site, addresses, board, again=again)
    await until_told(partial(sender.run, once=once), board)
    return sender.left


def make_sender(
    outbox: Outbox, site: Site, addresses: Sequence[Address], board: Board, *, again: bool
) -> Sender:
    """A sender over real lines, whose events the board shows."""

    @asynccontextmanager
    async def dial(address: Address) -> AsyncIterator[Connection]:
        # Read each time: a new certificate may have come while this program waited.
        async with client.connected(address, identity(outbox.path, site)) as connection:
            yield connection

    return Sender(
        outbox,
        addresses,
        site.log_key,
        dial=dial,
        tell=board.tell,
        clock=time.time,
        chance=random.SystemRandom(),
        again=again,
    )


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
    letters = Outbox(path, None if site is None else site.log_key).letters
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
            }
        )
        return
    say("device", f"{settings.device} of {settings.election}")
    say("certificate", "none yet" if until is None else f"valid until {times.write(until)}")
    say("gateways", "not known yet" if site is None else ", ".join(map(str, site.addresses)))
    for letter in letters:
        say("delivered" if letter.stored else "NOT YET", what(letter) + _proof(letter))
    waiting = sum(letter.stored is None for letter in letters)
    if not letters:
        terminal.result("nothing is signed yet", good=True)
    elif waiting:
        terminal.result(
            f"{waiting} of {len(letters)} statements are not delivered: tallygate-box send {path}", good=False
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


def _proof(letter: Letter) -> str:
    if letter.stored is not None:
        return f": place {letter.stored.index} of the log"
    return "" if letter.bad is None else f": its receipt proves nothing ({letter.bad})"
