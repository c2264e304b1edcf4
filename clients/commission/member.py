"""Who signs and who connects: a member's keys, from their files or from a rehearsal's bundle."""

import ssl
from pathlib import Path
from typing import NamedTuple

from nacl.signing import SigningKey

from clients import files
from clients.box import bundle
from clients.box.folder import read_private
from clients.wire import client
from clients.wire.errors import WireError
from clients.wire.site import MAX_SITE_BYTES, Site
from clients.wire.text import hex_32


class Identity(NamedTuple):
    """What a member's line shows and trusts.

    Attributes:
        site: where the gateways are.
        context: TLS.
    """

    site: Site
    context: ssl.SSLContext


def read_key(path: Path) -> SigningKey:
    """A member's signing key, 64 hex digits (docs/keys.md).

    Raises:
        WireError: `decision.key`, `folder.not_private`, `file.unreadable`.
    """
    seed = hex_32(read_private(path, "the signing key").decode("ascii", "replace").strip())
    if seed is None:
        raise WireError("decision.key", "this file is no signing key of 64 hex digits", file=str(path))
    return SigningKey(seed)


def rehearsed_key(devices: Path, member: int) -> SigningKey:
    """The signing key of a rehearsal's member.

    Args:
        devices: the night's `devices`.
        member: number.

    Raises:
        WireError: `bundle.*`, `file.*`.
    """
    return bundle.signing_key(devices, _line(devices, member))


def identity(site: Path, certificate: Path, tls_key: Path) -> Identity:
    """A member's own line.

    Raises:
        WireError: `site.malformed`, `line.identity`, `file.*`.
    """
    found = Site.parse(files.read_given(site, MAX_SITE_BYTES, "site.json"), str(site))
    return Identity(found, client.tls_context(found.ca, certificate, tls_key))


def rehearsed_identity(devices: Path, member: int) -> Identity:
    """The line of a rehearsal's member.

    Raises:
        WireError: `bundle.*`, `site.malformed`, `line.identity`, `file.*`.
    """
    found, _ = bundle.read_site(devices)
    line = _line(devices, member)
    return Identity(found, client.tls_context_of(found.ca, line.certificate, line.tls_key))


def _line(devices: Path, member: int) -> bundle.Line:
    bundle.read_site(devices)
    members = [line for line in bundle.read_lines(devices) if line.role == "commission"]
    for line in members:
        if line.id == member:
            return line
    raise WireError(
        "bundle.no_member",
        f"the rehearsal's commission has {len(members)} members, and no member {member}",
        file=str(devices / bundle.BUNDLE),
    )
