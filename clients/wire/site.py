"""`site.json`: where a device's gateways are, whom it trusts, and which log's receipts it believes.

A rehearsal's is written with its devices (docs/keys.md), a live election's by whoever hands out certificates
(docs/box.md). It is not secret, but it decides whom a device believes: it comes the way of the certificate.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Self

import msgspec
from cryptography import x509

from clients.wire.definition import is_election_id
from clients.wire.errors import WireError
from clients.wire.note import VerifierKey
from clients.wire.text import decimal, quoted

# Addresses, one CA certificate and a few hashes.
MAX_SITE_BYTES = 1024 * 1024
# Gateways of one election; an attempt at each in turn must stay a matter of minutes.
MAX_ADDRESSES = 32

_MAX_PORT = 65_535
# RFC 1123, section 2.1: letters, digits and hyphens between dots.
_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*\.?")
_MAX_HOST_CHARACTERS = 253

_HEX_32 = msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")


class Address(NamedTuple):
    """A box port.

    Attributes:
        host: a name, or an IP address without brackets.
        port: from 1.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read ``name:port``, ``192.0.2.1:port`` or ``[2001:db8::1]:port``; None if it is none of them."""
        host, _, port_text = text.rpartition(":")
        port = decimal(port_text)
        if not port or port > _MAX_PORT:
            return None
        if host.startswith("[") and host.endswith("]"):
            try:
                return cls(str(ipaddress.IPv6Address(host[1:-1])), port)
            except ValueError:
                return None
        if len(host) > _MAX_HOST_CHARACTERS or _HOST_NAME.fullmatch(host) is None:
            return None
        return cls(host, port)


class _File(msgspec.Struct, frozen=True):
    addresses: tuple[str, ...]
    ca: str
    log_key: str
    definition: Annotated[str, _HEX_32]
    election: str
    mode: Literal["live", "rehearsal"]


@dataclass(frozen=True, slots=True)
class Site:
    """What every device of an election has to know.

    Attributes:
        addresses: of the gateways, at least one.
        ca: the election CA's certificate in PEM: the anchor of trust for the gateways' certificates.
        log_key: what receipts are verified with.
        definition: SHA-256 of the election's definition.
        election: its id.
        mode: live or rehearsal.
    """

    addresses: tuple[Address, ...]
    ca: str
    log_key: VerifierKey
    definition: bytes
    election: str
    mode: Literal["live", "rehearsal"]

    @classmethod
    def parse(cls, data: bytes, place: str) -> Self:
        """Read and judge a file.

        Args:
            data: its bytes.
            place: its name for messages.

        Raises:
            WireError: `site.malformed`.
        """
        if len(data) > MAX_SITE_BYTES:
            raise _malformed(f"it has at most {MAX_SITE_BYTES:,} bytes", place)
        try:
            file = msgspec.json.decode(data, type=_File)
        # RecursionError: fields that nobody here reads may stand within others as deep as a file allows.
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _malformed(str(error), place) from error
        if not 1 <= len(file.addresses) <= MAX_ADDRESSES:
            raise _malformed(f"it must have 1 to {MAX_ADDRESSES} addresses", place)
        addresses = []
        for text in file.addresses:
            address = Address.parse(text)
            if address is None:
                raise _malformed(f"{quoted(text)} is no address HOST:PORT", place)
            addresses.append(address)
        try:
            authorities = x509.load_pem_x509_certificates(file.ca.encode())
        except ValueError:
            authorities = []
        if len(authorities) != 1:
            raise _malformed('"ca" must be one certificate in PEM', place)
        try:
            log_key = VerifierKey.parse(file.log_key)
        except WireError as error:
            raise _malformed(f'"log_key": {error.detail}', place) from error
        if not is_election_id(file.election):
            raise _malformed(f"{quoted(file.election)} is no election's id", place)
        definition = bytes.fromhex(file.definition)
        return cls(tuple(addresses), file.ca, log_key, definition, file.election, file.mode)


def _malformed(detail: str, place: str) -> WireError:
    return WireError("site.malformed", f"this is no site.json (docs/box.md): {detail}", file=place)
