"""What every device has to know: `site.json`, and `messages.json` beside it.

What lives here: the files of a night whose log has its name: where its gateways are, whom it trusts, which
log it believes (docs/box.md); and what codes and words mean (docs/feed.md). Nothing in them is secret, but
whoever can change site.json decides whom a device believes.
"""

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from gateway import _core
from gateway.base.config import Endpoint
from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded
from gateway.feed import messages
from gateway.pki.authority import MAX_PEM_BYTES
from gateway.pki.certificates import load_certificate
from gateway.run.folder import NightFolder, read_log_name

# Gateways of one election: a device that tries each in turn must be through in minutes (docs/box.md).
MAX_ADDRESSES: Final = 32


class SiteFile(msgspec.Struct, frozen=True):
    """The file, member by member (docs/box.md)."""

    addresses: tuple[str, ...]
    ca: str
    log_key: str
    definition: str
    election: str
    mode: str

    def encode(self) -> bytes:
        """The file's bytes."""
        return msgspec.json.encode(self) + b"\n"


def site_of(night: NightFolder, addresses: Sequence[Endpoint]) -> SiteFile:
    """The file for a night's devices.

    Args:
        night: its log has a name (decision 1 is signed), and its certificates are in pki/.
        addresses: of the gateways as devices reach them, 1 to `MAX_ADDRESSES`.

    Raises:
        TallygateError: ``site.log_key``, ``site.address`` (the server's certificate is not for it),
            ``pki.certificate``, ``opening.*``, ``keys.log``, ``manifest.*``, ``table.*``, ``file.too_large``.
        OSError: a file cannot be read.
    """
    definition = _core.Definition.load(night.definition)
    vkey = read_log_name(night, definition).vkey
    if vkey is None:
        raise TallygateError(
            "site.log_key",
            "the log has no name before decision 1 is signed: put its statements there (docs/keys.md), then "
            "ask again",
            place=str(night.data / "opening"),
        )
    ca, server = night.pki / "ca.pem", night.pki / "server.pem"
    pem = read_bounded(ca, MAX_PEM_BYTES)
    load_certificate(pem, place=str(ca))
    names = _names(load_certificate(read_bounded(server, MAX_PEM_BYTES), place=str(server)))
    for address in addresses:
        if _plain(address.host) not in names:
            raise TallygateError(
                "site.address",
                f"the server's certificate is not for {address.host}, and devices would refuse it; it is for "
                f"{', '.join(sorted(names))}. Another one: tallygate pki server … --replace --name "
                f"{address.host}",
                place=str(server),
            )
    return SiteFile(
        addresses=tuple(map(str, addresses)),
        ca=pem.decode("ascii"),
        log_key=vkey,
        definition=definition.hash.hex(),
        election=definition.id,
        mode=definition.mode,
    )


def messages_of(folder: Path, definition: _core.Definition) -> bytes:
    """The `messages.json` of a night's devices: the feed's first one.

    Args:
        folder: the night's, whole or in the making.
        definition: the night's.

    Raises:
        TallygateError: ``manifest.*``, ``table.*``.
    """
    information = _core.Information.load(folder / "information", definition)
    return messages.encode(messages.for_election(messages.load(), definition, information))


def _names(server: x509.Certificate) -> set[str]:
    """The names and addresses that a server's certificate is for."""
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    return found | {str(address) for address in names.get_values_for_type(x509.IPAddress)}


def _plain(host: str) -> str:
    """A host as certificates write it."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower()
