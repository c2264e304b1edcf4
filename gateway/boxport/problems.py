"""What the box port says when it refuses: every code with its status and title, as problem+json (RFC 9457).

What lives here: the table of codes (docs/box-port.md has the same one, a test compares them), the sentences
of the port's own refusals, and the bytes of a problem document. Whoever refuses decides on the code; that it
is a 422 is decided here and nowhere else.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from gateway.ledger.protocol import Retry

# Followed by the code: a name that never changes, and nothing to look up (RFC 9457, section 3.1.1).
TYPE: Final = "urn:tallygate:problem:"


class Kind(NamedTuple):
    """What is the same in every answer with one code."""

    status: int
    title: str


KINDS: Final[Mapping[str, Kind]] = {
    "request.malformed": Kind(400, "The request is not HTTP as this port takes it"),
    "request.method": Kind(405, "This path does not take this method"),
    "request.path": Kind(404, "There is nothing at this path"),
    "request.timeout": Kind(408, "The request did not arrive in time"),
    "request.length_required": Kind(411, "The request does not say how long it is"),
    "request.too_large": Kind(413, "The request is too large"),
    "request.media_type": Kind(415, "This path takes another media type"),
    "identity.role": Kind(403, "This role does not bring this kind of statement"),
    "identity.device": Kind(403, "The certificate is another device's"),
    "identity.area": Kind(403, "The station is not in this courier's area"),
    "identity.revoked": Kind(403, "The certificate is no longer good"),
    "statement.malformed": Kind(400, "These bytes are not a statement"),
    "statement.signature": Kind(422, "The signature does not verify"),
    "statement.unknown_device": Kind(422, "The signer is not known"),
    "statement.too_early": Kind(425, "It is too early for this statement"),
    "statement.not_logged": Kind(404, "No such statement is in the log"),
    "attachment.hash": Kind(422, "This is not the paper that was named"),
    "attachment.not_named": Kind(422, "No logged statement names this paper"),
    "limit.device": Kind(429, "This certificate or device has used up its share"),
    "limit.overload": Kind(503, "The gateway is busy"),
    "limit.storage": Kind(507, "The gateway's disk is nearly full"),
    "log.not_open": Kind(503, "The log is not open yet"),
    "server.fault": Kind(500, "The gateway has made a mistake"),
}


class Problem(NamedTuple):
    """A refusal of the port itself; what the sequencer refuses says the same three things (`Refused`)."""

    code: str
    detail: str
    retry: Retry


TIMEOUT: Final = Problem(
    "request.timeout", "the request was not complete in time: send it again on a new connection", "later"
)
PATH: Final = Problem("request.path", "docs/box-port.md lists the paths of this port", "fix")
TOO_LARGE: Final = Problem(
    "request.too_large", "a statement has at most 16,384 bytes (docs/packet.md)", "never"
)
MEDIA_TYPE: Final = Problem("request.media_type", "send it as Content-Type: application/cose", "fix")
PAPER_TYPE: Final = Problem(
    "request.media_type",
    "send it as Content-Type: application/pdf, image/png, image/jpeg or image/tiff, whichever the statement "
    "names",
    "fix",
)
PAPER_TOO_LARGE: Final = Problem(
    "request.too_large", "a paper has at most 20,971,520 bytes (docs/packet.md)", "never"
)
PAPER_ROLE: Final = Problem(
    "identity.role",
    "a member of the commission uploads decisions; papers come from the device that names them or from a "
    "courier",
    "fix",
)
NOT_NAMED: Final = Problem(
    "attachment.not_named",
    "no packet in the log that this certificate may speak for names a paper with this hash: send the "
    "statement first, and the paper when it has its receipt",
    "fix",
)
NOT_ITS_HASH: Final = Problem(
    "attachment.hash",
    "the bytes that came have another SHA-256 than the path names: the file was changed, send the one that "
    "was signed for",
    "fix",
)
NOT_ITS_MEDIUM: Final = Problem(
    "attachment.hash",
    "the bytes do not begin as a file of the named medium does: send the file that was signed for; if it is "
    "of another medium, sign a statement that says so",
    "fix",
)
PAPERS_OVERLOAD: Final = Problem(
    "limit.overload",
    "as many papers are coming in as may at once, so that statements always find room; send it again",
    "later",
)
PAPERS_QUOTA: Final = Problem(
    "limit.device",
    "the stored papers of this device have used up its share of the disk; keep the file, and call the "
    "operator",
    "later",
)
PAPERS_STORAGE: Final = Problem(
    "limit.storage", "no papers are taken until there is room on the disk; keep the file", "later"
)
REVOKED: Final = Problem(
    "identity.revoked",
    "the certificate was revoked after this connection began: another one is needed",
    "fix",
)
EXPIRED: Final = Problem(
    "identity.revoked",
    "the certificate has expired since this connection began: another one is needed",
    "fix",
)
TOO_MANY_REQUESTS: Final = Problem(
    "limit.device", "this certificate has made too many requests in the last minute", "later"
)
TOO_MANY_CONNECTIONS: Final = Problem(
    "limit.device", "the other connections of this certificate are waiting for their answers", "later"
)
NO_ANSWER: Final = Problem(
    "limit.overload",
    "there was no answer in time; it may have been taken all the same: send the same bytes again",
    "later",
)
STOPPING: Final = Problem(
    "limit.overload",
    "the gateway has stopped; it may have been taken all the same: send the same bytes again",
    "later",
)
STORAGE: Final = Problem(
    "limit.storage", "nothing new is taken until there is room on the disk; keep the statement", "later"
)
NOT_LOGGED: Final = Problem(
    "statement.not_logged", "no statement with this id is in the log: send the statement itself", "later"
)
FAULT: Final = Problem(
    "server.fault", "the fault is the gateway's, not the sender's: send the same bytes again", "later"
)


class _Document(msgspec.Struct, frozen=True):
    """The members in the order in which they are written."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    retry: Retry


_encode: Final = msgspec.json.Encoder().encode


def document(code: str, detail: str, retry: Retry) -> bytes:
    """The body of a refusal: JSON of media type ``application/problem+json``.

    Raises:
        KeyError: no such code; whoever made it up has a bug.
    """
    kind = KINDS[code]
    return _encode(_Document(TYPE + code, kind.title, kind.status, code, detail, retry))
