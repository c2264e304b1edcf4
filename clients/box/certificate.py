"""A device's certificate: judged before it goes into the folder, so that a mix-up is not found on the night.

Who has signed it is not judged here: the gateway does, and refuses in its own words.
"""

from collections.abc import Collection
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from clients.wire.errors import WireError

# Whoever has a device folder; couriers and members of the commission have other programs.
ROLES: Final = ("box", "terminal", "desk")
# A certificate has about 900 bytes in PEM, and some tools write it out as text in front.
MAX_CERTIFICATE_BYTES = 64 * 1024

# Names of a certificate in a message: enough to see whose it is.
_SHOWN_CHARACTERS = 200
# What the library raises for bytes that are no certificate or key, or one that it does not know.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def judge(data: bytes, key: bytes, election: str, device: int, roles: Collection[str]) -> bytes:
    """Give a certificate as it is stored, if it is this device's: in PEM, with nothing before or behind it.

    Args:
        data: a file that begins with the certificate, in PEM; what follows (the CA's) is left out.
        key: private key of the device's TLS identity, PKCS #8 in PEM.
        election: the election's id.
        device: the device's number.
        roles: those that the certificate may name.

    Raises:
        WireError: `certificate.malformed`; `certificate.key` if it is another key's; `certificate.name` if
            its one name is not ``urn:tallygate:<election>:<role>:<device>``.
    """
    try:
        certificate = x509.load_pem_x509_certificate(data)
        public_key = certificate.public_key()
        names = _names(certificate)
    except _UNREADABLE as error:
        raise WireError(
            "certificate.malformed", "this is no certificate in PEM of a kind that Tallygate knows"
        ) from error
    try:
        own_key = serialization.load_pem_private_key(key, None).public_key()
    except _UNREADABLE as error:
        raise WireError("certificate.key", "the TLS key that it should belong to cannot be read") from error
    if public_key != own_key:
        raise WireError("certificate.key", "the certificate is for another TLS key than this device's")
    wanted = [f"urn:tallygate:{election}:{role}:{device}" for role in roles]
    uris = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    if len(names) != 1 or not set(uris) & set(wanted):
        found = ", ".join(str(name.value) for name in names)[:_SHOWN_CHARACTERS] or "nobody"
        raise WireError("certificate.name", f"the certificate is for {found}, not for {' or '.join(wanted)}")
    return certificate.public_bytes(serialization.Encoding.PEM)


def _names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []
