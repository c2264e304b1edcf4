"""A signed decision brought to the log: each signature is a statement, and each gets its receipt.

Sending again changes nothing: the log has each signature once, and answers with its receipt. A receipt is
verified in full before it is stored; where the decision stands afterwards, the feed says.
"""

import os
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from clients import files
from clients.commission.decisionfile import DecisionFile, Signature
from clients.observer.verdict import Folder
from clients.wire import answers, client, feed, receipt
from clients.wire.answers import Logged, Refusal
from clients.wire.errors import WireError
from clients.wire.feed import MAX_SNAPSHOT_BYTES, Snapshot
from clients.wire.note import VerifierKey
from clients.wire.receipt import MAX_RECEIPT_BYTES
from clients.wire.site import Address
from clients.wire.statement import MAX_STATEMENT_BYTES

# Seconds between two looks at the feed.
LOOK_SECONDS: Final = 0.5


class Sent(NamedTuple):
    """What became of one signature.

    Attributes:
        member: whose.
        answer: the log has it, or the gateway does not take it; an error: nobody has answered.
        receipt: where its receipt is; None: it has none.
    """

    member: int
    answer: Logged | Refusal | WireError
    receipt: Path | None


Clock: TypeAlias = Callable[[], float]
Sleep: TypeAlias = Callable[[float], None]
Tell: TypeAlias = Callable[[Address, WireError], None]
"""Hears of an address at which nothing was to be had."""


def receipts_folder(file: Path) -> Path:
    """Where the receipts of a decision file are kept: beside it."""
    return file.with_name(f"{file.stem}-receipts")


async def submit(
    file: DecisionFile,
    folder: Path,
    log_key: VerifierKey,
    addresses: Sequence[Address],
    context: ssl.SSLContext,
    tell: Tell,
) -> list[Sent]:
    """Send every signature; each address is tried once, until all are answered.

    Args:
        file: judged.
        folder: for statements and receipts; it is made.
        log_key: the log's, for receipts.
        addresses: of the gateways.
        context: what the line trusts and shows.
        tell: hears of addresses that have failed.

    Returns:
        What became of each, in the file's order.

    Raises:
        WireError: `receipt.moved`: the log has given one statement two places; `file.exists`: the folder
            holds the receipts of another decision, and nothing was sent.
        OSError: a receipt could not be stored; send again.
    """
    _make(folder, file.signatures)
    found: dict[int, Sent] = {}
    failed = WireError("line.unreachable", "there is no address to send it to")
    for address in addresses:
        left = [own for own in file.signatures if not _is_over(found.get(own.member))]
        if not left:
            break
        try:
            async with client.connected(address, context) as line:
                for place, own in enumerate(left, 1):
                    answer = await line.request(
                        "POST", answers.STATEMENTS, own.data, media_type=answers.COSE, last=place == len(left)
                    )
                    judged = answers.judge(answer, own.data, log_key)
                    stored = _store(folder, own, judged, log_key) if isinstance(judged, Logged) else None
                    found[own.member] = Sent(own.member, judged, stored)
                    if not line.open:
                        break
        except WireError as error:
            if error.code == "receipt.moved":
                raise
            failed = error
            tell(address, error)
    return [found.get(own.member) or Sent(own.member, failed, None) for own in file.signatures]


def _make(folder: Path, signatures: Sequence[Signature]) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=files.PRIVATE_FOLDER)
        files.sync_folder(folder.parent)
    for own in signatures:
        sent = _statement(folder, own)
        if os.path.lexists(sent) and files.read(sent, MAX_STATEMENT_BYTES, "a statement") != own.data:
            raise WireError(
                "file.exists",
                "what another decision was sent with, and its receipts, are here and never written over: "
                "give this folder another name, and send again",
                file=str(folder),
            )


def _statement(folder: Path, signature: Signature) -> Path:
    return folder / f"member-{signature.member}.cose"


def _is_over(sent: Sent | None) -> bool:
    """Whether another address would say the same."""
    if sent is None or isinstance(sent.answer, WireError):
        return False
    return isinstance(sent.answer, Logged) or sent.answer.retry == "never"


def _store(folder: Path, signature: Signature, logged: Logged, log_key: VerifierKey) -> Path:
    """Keep a verified receipt and the statement that it is for."""
    place = folder / f"member-{signature.member}.receipt"
    if os.path.lexists(place):
        before = _index(place, signature, log_key)
        if before not in (None, logged.index):
            raise WireError(
                "receipt.moved",
                f"the log has given member {signature.member}'s signature the places {before} and "
                f"{logged.index}, and it can have one only. Keep this folder as it is: this log, or who "
                "answers for it, is not honest",
                file=str(folder),
            )
    files.write(_statement(folder, signature), signature.data, files.PUBLIC_FILE)
    files.write(place, logged.receipt, files.PUBLIC_FILE)
    return place


def _index(place: Path, signature: Signature, log_key: VerifierKey) -> int | None:
    """The place in the log that a stored receipt proves; None: it proves nothing."""
    try:
        data = files.read(place, MAX_RECEIPT_BYTES, "a receipt")
        index, _ = receipt.verify(data, signature.data, log_key)
    except WireError:
        return None
    return index


def is_published(folder: Folder, entry: int, *, seconds: float, clock: Clock, sleep: Sleep) -> bool:
    """Wait until the newest snapshot of a feed has an entry.

    Args:
        folder: the feed's.
        entry: its index.
        seconds: how long at most.
        clock: seconds from some start.
        sleep: waits so many seconds.

    Returns:
        Whether it has.
    """
    deadline = clock() + seconds
    while (size := _published(folder)) is None or size <= entry:
        if clock() >= deadline:
            return False
        sleep(LOOK_SECONDS)
    return True


def _published(folder: Folder) -> int | None:
    """How many entries the newest snapshot has; None: it cannot be read just now."""
    try:
        data = files.read(folder / feed.LATEST, MAX_SNAPSHOT_BYTES, "a snapshot")
        return Snapshot.parse(data, feed.LATEST).size
    except WireError:
        return None
