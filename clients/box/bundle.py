"""A rehearsal's devices: keys and certificate of one, out of `devices/` of a night (docs/keys.md).

Real devices make their own keys (clients.box.enrol). A rehearsal's were made for it, so that thousands of
devices need no technician.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from nacl.signing import SigningKey

from clients import files
from clients.box import certificate
from clients.wire.errors import WireError
from clients.wire.site import MAX_SITE_BYTES, Site
from clients.wire.text import MAX_NUMBER

BUNDLE: Final = "bundle.ndjson"
SITE: Final = "site.json"

# Keys and a certificate have 1.5 KB; the rest is room for the stations of a device that serves many.
_MAX_LINE_BYTES = 1024 * 1024

# RecursionError: fields that nobody here reads may stand within others as deep as a file allows.
_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_HEX_32 = msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")


class Line(msgspec.Struct, frozen=True):
    """A line of `bundle.ndjson`, as far as a device needs it.

    Attributes:
        id: the number in its certificate.
        device: its number; None for couriers and members of the commission.
        role: of its certificate.
        sign_seed: private key of its statements; None where it signs none.
        sign_key: the public key that goes with it.
        tls_key: private key of its TLS identity, PKCS #8 in PEM.
        certificate: its certificate in PEM.
    """

    id: Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]
    device: Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)] | None
    role: Literal["box", "terminal", "desk", "courier", "commission"]
    sign_seed: Annotated[str, _HEX_32] | None
    sign_key: Annotated[str, _HEX_32] | None
    tls_key: str
    certificate: str

    def __repr__(self) -> str:
        return f"Line({self.role} {self.id})"

    def __rich_repr__(self) -> list[tuple[str, int | str]]:
        """What rich shows of a line: no secret either."""
        return [("role", self.role), ("id", self.id)]


@dataclass(frozen=True, slots=True)
class BundledDevice:
    """One device of a rehearsal.

    Attributes:
        site: where to and whom to trust.
        site_json: the file it was read from, verbatim.
        role: box, terminal or desk.
        signing: the key of the device's statements.
        tls_key: private key of its TLS identity, PKCS #8 in PEM.
        certificate: its certificate, PEM.
    """

    site: Site
    site_json: bytes
    role: str
    signing: SigningKey = field(repr=False)
    tls_key: bytes = field(repr=False)
    certificate: bytes


def read(folder: Path, device: int) -> BundledDevice:
    """Find one device in the `devices/` of a rehearsal.

    Raises:
        WireError: `bundle.malformed`, `bundle.no_device`, `site.malformed`, `file.unreadable` or
            `file.too_large`.
    """
    site, site_json = read_site(folder)
    path = folder / BUNDLE
    line = _find(path, device)
    if line.role not in certificate.ROLES:
        raise _malformed(path, f"device {device} has the role {line.role}")
    signing = signing_key(folder, line)
    tls_key = line.tls_key.encode()
    try:
        judged = certificate.judge(line.certificate.encode(), tls_key, site.election, device, (line.role,))
    except WireError as error:
        raise _malformed(path, f"device {device}: {error.detail}") from error
    return BundledDevice(
        site=site,
        site_json=site_json,
        role=line.role,
        signing=signing,
        tls_key=tls_key,
        certificate=judged,
    )


def read_site(folder: Path) -> tuple[Site, bytes]:
    """The `site.json` of a rehearsal, and its bytes.

    Raises:
        WireError: `bundle.malformed` for a live election's, `site.malformed`, `file.unreadable` or
            `file.too_large`.
    """
    path = folder / SITE
    data = files.read(path, MAX_SITE_BYTES, SITE)
    site = Site.parse(data, str(path))
    if site.mode != "rehearsal":
        raise _malformed(path, "its mode is not rehearsal")
    return site, data


def read_lines(folder: Path) -> Iterator[Line]:
    """Every line of a rehearsal's `bundle.ndjson`; its keys and its certificate are not looked into.

    Raises:
        WireError: `bundle.malformed`, `file.unreadable`.
    """
    path = folder / BUNDLE
    decoder = msgspec.json.Decoder(Line)
    number = 0
    try:
        with files.opened(path, BUNDLE) as stream:
            while raw := stream.readline(_MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > _MAX_LINE_BYTES:
                    raise _malformed(path, f"a line has at most {_MAX_LINE_BYTES:,} bytes", number)
                yield decoder.decode(raw)
    except _UNDECODABLE as error:
        raise _malformed(path, str(error), number) from error


def signing_key(folder: Path, line: Line) -> SigningKey:
    """The key of a device's statements.

    Raises:
        WireError: `bundle.malformed` if the line has none, or its two halves do not belong together.
    """
    path = folder / BUNDLE
    if line.sign_seed is None or line.sign_key is None:
        raise _malformed(path, f"{line.role} {line.id} has no signing key")
    signing = SigningKey(bytes.fromhex(line.sign_seed))
    if bytes(signing.verify_key).hex() != line.sign_key:
        raise _malformed(path, f"sign_seed and sign_key of {line.role} {line.id} do not belong together")
    return signing


def _find(path: Path, device: int) -> Line:
    number = 0
    for number, line in enumerate(read_lines(path.parent), 1):  # noqa: B007 - the last number is told below
        if line.device == device:
            return line
    raise WireError(
        "bundle.no_device",
        f"the rehearsal has no device {device} among its {number:,} lines; its numbers are in devices.csv",
        file=str(path),
    )


def _malformed(path: Path, detail: str, line: int | None = None) -> WireError:
    return WireError(
        "bundle.malformed",
        f"not written by `tallygate init --rehearsal`: {detail}",
        file=str(path),
        line=line,
    )
