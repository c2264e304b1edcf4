"""Enrolment requests: read strictly, proof of possession of both keys checked, nothing remembered.

What lives here: the request's grammar (docs/keys.md, "The enrolment request") and every check that needs
nothing besides the request and the election's id. Checks run in this order and the first failure answers:

====================== ============================================================================
``enrol.size``          more than `MAX_REQUEST_BYTES`
``enrol.malformed``     not the JSON object of docs/keys.md
``enrol.csr``           `csr` is not one PKCS #10 request in PEM
``enrol.csr_key``       its key is neither Ed25519 nor P-256, or is a point that no verifier should take
``enrol.csr_signature`` it is not signed by the key that it names
``enrol.sign_key``      `sign_key` may not be enrolled (`_core.enrollable`)
``enrol.same_key``      one key for TLS and for statements
``enrol.proof``         `proof` is not the signing key's over this election, holder and CSR
====================== ============================================================================

What the CSR asks for (subject, extensions) is never read: the CA alone decides what a certificate says.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.election.limits import MAX_NUMBER
from gateway.pki.certificates import PublicKey, ed25519_der, key_id, public_key_der, supported
from gateway.pki.names import Holder, proof_text

# A request has about 700 bytes with P-256; a CSR full of extensions nobody asked for still fits.
MAX_REQUEST_BYTES: Final = 16_384
# Base64 of a CSR; a P-256 one has 330 characters.
MAX_CSR_CHARACTERS: Final = 8_192

KeyUse: TypeAlias = Literal["tls", "sign"]
_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]

_PEM = re.compile(
    r"-----BEGIN CERTIFICATE REQUEST-----\r?\n((?:[A-Za-z0-9+/=]{1,76}\r?\n)+)"
    r"-----END CERTIFICATE REQUEST-----(?:\r?\n)?",
    re.ASCII,
)
_CSR_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class EnrolmentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON object as it stands; exactly one of `device`, `courier` and `commission` is given."""

    csr: Annotated[str, msgspec.Meta(max_length=MAX_CSR_CHARACTERS)]
    device: _Number | msgspec.UnsetType = msgspec.UNSET
    courier: _Number | msgspec.UnsetType = msgspec.UNSET
    commission: _Number | msgspec.UnsetType = msgspec.UNSET
    sign_key: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")] | msgspec.UnsetType = msgspec.UNSET
    proof: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")] | msgspec.UnsetType = msgspec.UNSET

    def encode(self) -> bytes:
        """The bytes of a request file."""
        return msgspec.json.encode(self) + b"\n"


class CheckedRequest(NamedTuple):
    """What a request that passed every check says."""

    place: str
    holder: Holder
    csr_sha256: bytes
    tls_key: bytes
    """SubjectPublicKeyInfo, DER."""
    sign_key: str | None
    """64 hex; None for couriers, who sign no statements."""

    @property
    def keys(self) -> dict[str, KeyUse]:
        """Both keys by their `key_id`, and what each is for."""
        tls: dict[str, KeyUse] = {key_id(self.tls_key): "tls"}
        if self.sign_key is None:
            return tls
        return {**tls, key_id(ed25519_der(bytes.fromhex(self.sign_key))): "sign"}


_DECODER = msgspec.json.Decoder(EnrolmentRequest)


def check_request(data: bytes, election: str, *, place: str = "") -> CheckedRequest:
    """Checks one request against everything that needs no memory (see above).

    Args:
        data: the request file's bytes.
        election: id of the election that the CA is for.
        place: the request's file, for messages.

    Raises:
        TallygateError: one of the codes above.
    """
    if len(data) > MAX_REQUEST_BYTES:
        raise TallygateError(
            "enrol.size", f"an enrolment request has at most {MAX_REQUEST_BYTES:,} bytes", place=place
        )
    try:
        request = _DECODER.decode(data)
        json.loads(data, object_pairs_hook=_once_each)
    except msgspec.ValidationError as error:
        raise _malformed(str(error), place) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _malformed("it is not JSON", place) from None
    holder = _holder(request, place)
    der = _csr_der(request.csr, place)
    tls_key = _tls_key(der, place)
    csr_sha256 = hashlib.sha256(der).digest()
    if request.sign_key is msgspec.UNSET or request.proof is msgspec.UNSET:
        return CheckedRequest(place, holder, csr_sha256, public_key_der(tls_key), None)
    sign_key = bytes.fromhex(request.sign_key)
    if not _core.enrollable([sign_key])[0]:
        raise TallygateError(
            "enrol.sign_key",
            "this signing key is no valid Ed25519 point (canonical, prime order); make another in the device",
            place=place,
        )
    if isinstance(tls_key, Ed25519PublicKey) and _raw(tls_key) == sign_key:
        raise TallygateError(
            "enrol.same_key",
            "the TLS key and the signing key are one key; the device must make two, so that the theft of one "
            "is not the theft of both",
            place=place,
        )
    if not _core.verify_signature(
        sign_key, proof_text(election, holder, csr_sha256), bytes.fromhex(request.proof)
    ):
        raise TallygateError(
            "enrol.proof",
            f"the proof is not the signing key's signature over election {election!r}, holder "
            f"{str(holder)!r} and this CSR: the request is for another election or device, or was put "
            "together from two; make it again",
            place=place,
        )
    return CheckedRequest(place, holder, csr_sha256, public_key_der(tls_key), request.sign_key)


def _once_each(pairs: Sequence[tuple[str, object]]) -> None:
    """Refuses a field that stands twice: readers differ about which of the two they take."""
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise msgspec.ValidationError("a field stands twice")


def _malformed(why: str, place: str) -> TallygateError:
    return TallygateError(
        "enrol.malformed",
        f"this is no enrolment request: {why[:200]} (docs/keys.md has the fields)",
        place=place,
    )


def _holder(request: EnrolmentRequest, place: str) -> Holder:
    holders = [
        holder
        for holder in (
            None if request.device is msgspec.UNSET else Holder("device", request.device),
            None if request.courier is msgspec.UNSET else Holder("courier", request.courier),
            None if request.commission is msgspec.UNSET else Holder("commission", request.commission),
        )
        if holder is not None
    ]
    if len(holders) != 1:
        raise _malformed("it must name exactly one of device, courier and commission", place)
    signed = {request.sign_key is not msgspec.UNSET, request.proof is not msgspec.UNSET}
    if signed != {holders[0].group != "courier"}:
        raise _malformed(
            "a device and a member of the commission give sign_key and proof, a courier neither", place
        )
    return holders[0]


def _csr_der(text: str, place: str) -> bytes:
    found = _PEM.fullmatch(text)
    try:
        if found is not None:
            return base64.b64decode(found[1].replace("\r", "").replace("\n", ""), validate=True)
    except binascii.Error:
        pass
    raise TallygateError(
        "enrol.csr", "`csr` is not exactly one PKCS #10 certificate request in PEM", place=place
    )


def _tls_key(der: bytes, place: str) -> PublicKey:
    """The request's key, after its own signature was checked."""
    try:
        csr = x509.load_der_x509_csr(der)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise TallygateError(
            "enrol.csr", "`csr` is PEM, but what it holds is no PKCS #10 request", place=place
        ) from None
    try:
        key = supported(csr.public_key())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if key is None or (isinstance(key, Ed25519PublicKey) and not _core.enrollable([_raw(key)])[0]):
        raise TallygateError(
            "enrol.csr_key",
            "the TLS key must be Ed25519 (a valid point) or P-256; make such a key in the device",
            place=place,
        )
    try:
        signed = (
            isinstance(key, Ed25519PublicKey) or isinstance(csr.signature_hash_algorithm, _CSR_HASHES)
        ) and csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        signed = False
    if not signed:
        raise TallygateError(
            "enrol.csr_signature",
            "the certificate request is not signed by the key in it (with SHA-256 or better): "
            "it was changed on the way, make it again",
            place=place,
        )
    return key


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
