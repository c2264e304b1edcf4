"""Who holds a certificate, and how that is written in certificates, requests, proofs and on the command line.

What lives here: roles, the holder, the SAN URI ``urn:tallygate:<election>:<role>:<id>`` (design: security)
and the text that a proof of possession signs (docs/keys.md).
"""

import re
from typing import Final, Literal, NamedTuple, TypeAlias

from gateway.base.errors import TallygateError
from gateway.election.limits import MAX_NUMBER
from gateway.election.settings import ELECTION_ID

DeviceKind: TypeAlias = Literal["box", "terminal", "desk"]
Role: TypeAlias = Literal["box", "terminal", "desk", "courier", "commission"]

DEVICE_KINDS: Final[tuple[DeviceKind, ...]] = ("box", "terminal", "desk")

_HOLDER = re.compile(r"(?:(courier|commission):)?([1-9][0-9]{0,15})", re.ASCII)


class Holder(NamedTuple):
    """Whom a certificate names: a device by its number, a courier or a member of the commission by theirs.

    A device's number is unique whatever its kind, so a holder does not say the kind.
    """

    group: Literal["device", "courier", "commission"]
    number: int

    def __str__(self) -> str:
        """As in proofs, messages and on the command line: ``12``, ``courier:3``, ``commission:1``."""
        return str(self.number) if self.group == "device" else f"{self.group}:{self.number}"


def parse_holder(text: str) -> Holder:
    """Reads the form that `Holder.__str__` writes.

    Raises:
        TallygateError: ``pki.holder``.
    """
    found = _HOLDER.fullmatch(text)
    if found is None or int(found[2]) > MAX_NUMBER:
        raise TallygateError(
            "pki.holder",
            f"{text[:60]!r} is none of: a device's number, courier:<number>, commission:<number>",
        )
    match found[1]:
        case "courier":
            return Holder("courier", int(found[2]))
        case "commission":
            return Holder("commission", int(found[2]))
        case _:
            return Holder("device", int(found[2]))


def check_election(election: str) -> None:
    """Refuses what is no election id.

    Raises:
        TallygateError: ``pki.election``.
    """
    if not ELECTION_ID.fullmatch(election):
        raise TallygateError(
            "pki.election",
            f"{election[:60]!r} is no election id: up to 40 of a-z, 0-9 and -, the first of them not -",
        )


def certificate_uri(election: str, role: Role, number: int) -> str:
    """The one URI in a client certificate's SAN."""
    return f"urn:tallygate:{election}:{role}:{number}"


def proof_text(election: str, holder: Holder, csr_sha256: bytes) -> bytes:
    """What the signing key signs to show that it is in the device that made the TLS request.

    Args:
        election: the election's id.
        holder: whom the certificate shall name.
        csr_sha256: SHA-256 of the certificate request's DER.
    """
    return f"tallygate-enrol/1\n{election}\n{holder}\n{csr_sha256.hex()}".encode()
