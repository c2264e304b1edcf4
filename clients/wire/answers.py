"""What a box port's answer means: a receipt that was verified in full, or a refusal (docs/box-port.md).

A status alone says nothing here: a statement is in the log when a receipt proves it, and not before.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec

from clients.wire import receipt
from clients.wire.client import Answer
from clients.wire.errors import WireError
from clients.wire.note import Checkpoint, VerifierKey
from clients.wire.text import decimal

Retry: TypeAlias = Literal["never", "later", "fix"]

STATEMENTS: Final = "/v1/statements"
COSE: Final = "application/cose"
# Seconds that a Retry-After may keep a sender away; who says more has made a mistake.
MAX_RETRY_AFTER = 86_400

# Papers, each under its hash in hex.
ATTACHMENTS: Final = "/v1/attachments"
# By the numbers of a packet (docs/packet.md).
MEDIA_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {1: "application/pdf", 2: "image/png", 3: "image/jpeg", 4: "image/tiff"}
)

_RECEIPT: Final = "text/plain"
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
# Characters of a refusal's code and sentence that are shown to people.
_CODE_CHARACTERS = 60
_DETAIL_CHARACTERS = 500
_OUTCOMES: Final = ("accepted", "duplicate", "conflict")


@dataclass(frozen=True, slots=True)
class Logged:
    """A statement is in the log, and its receipt proves it.

    Attributes:
        index: its place, from 0.
        checkpoint: the head that includes it.
        receipt: the bytes that prove it to anybody.
        outcome: what the gateway calls the upload: accepted, duplicate, conflict; empty if it does not say.
    """

    index: int
    checkpoint: Checkpoint
    receipt: bytes
    outcome: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The gateway does not take a statement, or not now.

    Attributes:
        code: stable, dotted.
        detail: a sentence for people, other people's text.
        retry: whether the same bytes can be sent again: never, later, or after something is fixed.
        after: seconds before which they are not to be sent again; None if the gateway does not say.
    """

    code: str
    detail: str
    retry: Retry
    after: int | None


class _Problem(msgspec.Struct, frozen=True):
    code: str
    detail: str
    retry: Retry


class _Stored(msgspec.Struct, frozen=True):
    sha256: str


def judge(answer: Answer, statement: bytes, log_key: VerifierKey) -> Logged | Refusal:
    """Read the answer to an upload, or to the question for a receipt.

    Args:
        answer: the answer.
        statement: the exact bytes that were signed and sent.
        log_key: the log's, as the device was given it.

    Raises:
        WireError: what `clients.wire.receipt.verify` raises for a receipt that proves nothing;
            `line.answer` for everything that is neither a receipt nor a refusal.
    """
    if answer.status in (200, 201) and answer.media_type == _RECEIPT:
        index, checkpoint = receipt.verify(answer.body, statement, log_key)
        outcome = answer.headers.get("tallygate-outcome", "")
        return Logged(index, checkpoint, answer.body, outcome if outcome in _OUTCOMES else "")
    if answer.status >= 400 and answer.media_type == _PROBLEM:
        return _refusal(answer)
    raise WireError(
        "line.answer",
        f"HTTP status {answer.status} with {answer.media_type[:_CODE_CHARACTERS] or 'nothing'} is neither a "
        "receipt nor a refusal of a gateway. Is the address right?",
    )


def judge_paper(answer: Answer, sha256: bytes) -> bool | Refusal:
    """Read the answer to a paper that was sent.

    There is no receipt for a paper: whether it is kept is the gateway's word, and whether it is the one that
    was signed for is seen by everybody in its hash.

    Args:
        answer: the answer.
        sha256: of the paper.

    Returns:
        Whether it is new there; or why it is not taken.

    Raises:
        WireError: `line.answer` for everything that is neither.
    """
    if answer.status >= 400 and answer.media_type == _PROBLEM:
        return _refusal(answer)
    if answer.status in (200, 201) and answer.media_type == _JSON:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if msgspec.json.decode(answer.body, type=_Stored).sha256 == sha256.hex():
                return answer.status == 201
    raise WireError(
        "line.answer",
        f"HTTP status {answer.status} with {answer.media_type[:_CODE_CHARACTERS] or 'nothing'} does not say "
        "that a gateway has taken the paper. Is the address right?",
    )


def _refusal(answer: Answer) -> Refusal:
    try:
        problem = msgspec.json.decode(answer.body, type=_Problem)
    # RecursionError: what nobody here reads may be nested as deep as the limit allows.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(
            "line.answer", f"a refusal (HTTP status {answer.status}) that cannot be read: {error}"
        ) from error
    after = decimal(answer.headers.get("retry-after", ""))
    return Refusal(
        problem.code[:_CODE_CHARACTERS],
        problem.detail[:_DETAIL_CHARACTERS],
        problem.retry,
        None if after is None else min(after, MAX_RETRY_AFTER),
    )
