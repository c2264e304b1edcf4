"""``tallygate site``: the file that every device of an election gets with its certificate."""

from collections.abc import Sequence
from pathlib import Path

import click

from gateway.base.config import Endpoint, parse_address
from gateway.base.errors import TallygateError
from gateway.cli.shared import say
from gateway.run.folder import find_night
from gateway.run.sitefile import MAX_ADDRESSES, site_of


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


@click.command(epilog="Example: tallygate site night --address gateway.example:8443 > site.json")
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
def site(night: Path, addresses: tuple[Endpoint, ...]) -> int:
    """Write the site.json of NIGHT: addresses, CA, log key and definition for every device.

    It is not secret, but decides whom a device believes: hand it out the way of the certificates. The log
    must have its name (decision 1 is signed) and pki/ its certificates.
    """
    say(site_of(find_night(night), addresses).encode().decode().rstrip("\n"))
    return 0
