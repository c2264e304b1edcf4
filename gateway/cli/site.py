"""``tallygate site``: the file that every device of an election gets with its certificate."""

from collections.abc import Sequence
from pathlib import Path

import click

from gateway import _core
from gateway.base.config import Endpoint, parse_address
from gateway.base.errors import TallygateError
from gateway.base.files import write_durably
from gateway.cli.shared import say
from gateway.run.folder import find_night
from gateway.run.sitefile import MAX_ADDRESSES, messages_of, site_of


def _addresses(
    _context: click.Context, _parameter: click.Parameter, values: Sequence[str]
) -> tuple[Endpoint, ...]:
    if len(values) > MAX_ADDRESSES:
        raise click.BadParameter(f"a device tries at most {MAX_ADDRESSES}")
    try:
        found = tuple(map(parse_address, values))
    except TallygateError as error:
        raise click.BadParameter(error.detail) from error
    if not all(address.port for address in found):
        raise click.BadParameter("the port must be the one that devices connect to")
    return found


@click.command(
    epilog="Example: tallygate site night --address gateway.example:8443 --messages messages.json > site.json"
)
@click.argument("night", type=click.Path(path_type=Path))
@click.option(
    "--address",
    "addresses",
    metavar="HOST:PORT",
    multiple=True,
    required=True,
    callback=_addresses,
    help="Where devices reach the gateway; more than once for several.",
)
@click.option(
    "--messages",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write messages.json here: what codes and words are in every language.",
)
def site(night: Path, addresses: tuple[Endpoint, ...], messages: Path | None) -> int:
    """Write the site.json of NIGHT: addresses, CA, log key and definition for every device.

    It is not secret, but decides whom a device believes: hand it out the way of the certificates. The log
    must have its name (decision 1 is signed) and pki/ its certificates.
    """
    found = find_night(night)
    written = site_of(found, addresses).encode().decode().rstrip("\n")
    if messages is not None:
        definition = _core.Definition.load(found.definition)
        write_durably(messages, messages_of(found.root, definition))
    say(written)
    return 0
