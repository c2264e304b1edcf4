"""Decision 1, which opens a log: entries 0 … k−1 of every log are exactly its k signatures (docs/packet.md).

What lives here: reading the files of data/opening, and judging an opening, new or already in the log.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from gateway import _core
from gateway.base.errors import CoreError, TallygateError
from gateway.base.files import read_bounded
from gateway.ledger.protocol import MAX_STATEMENT

# A definition has at most 64 commission keys; a folder with more files than that is something else.
_MAX_FILES: Final = 64
_REHEARSAL: Final = "rehearsal.invalid"


@dataclass(frozen=True, slots=True)
class Opening:
    """A decision 1 that `quorum` members of the commission have signed for our definition and log key.

    Attributes:
        statements: the signatures, in the order of their entries.
        origin: the log's name.
        roster: SHA-256 of the first roster.json.
        snapshot_key: the public key of snapshots.
    """

    statements: tuple[_core.Statement, ...]
    origin: str
    roster: bytes
    snapshot_key: bytes


def members(definition: _core.Definition) -> dict[bytes, int]:
    """The key id of each member of the commission → the member's number, which is the key's place from 1."""
    keys = definition.commission_keys
    return {hashlib.sha256(key).digest()[:8]: place for place, key in enumerate(keys, 1)}


def read_opening(folder: Path, definition: _core.Definition, log_key: bytes, roster: bytes) -> Opening:
    """Reads and judges ``data/opening/*.cose``; the entries' order is that of the files' names.

    Args:
        folder: ``data/opening`` of the night.
        definition: the night's.
        log_key: the public key of ``keys/log.key``.
        roster: SHA-256 of the night's roster.json.

    Raises:
        TallygateError: ``opening.*``.
        OSError: a file cannot be read.
    """
    files = sorted(folder.glob("*.cose"))
    if not files:
        raise TallygateError(
            "opening.missing",
            "the log is not open and there is no decision 1 here: `tallygate open NIGHT FILE` puts the "
            "commission's signatures into this folder",
            place=str(folder),
        )
    if len(files) > _MAX_FILES:
        raise TallygateError("opening.count", f"more than {_MAX_FILES} signatures", place=str(folder))
    try:
        statements = [read_bounded(file, MAX_STATEMENT) for file in files]
    except TallygateError as error:
        raise TallygateError("opening.malformed", error.detail, place=error.place) from None
    opening = check_opening(statements, definition, log_key, places=[str(file) for file in files])
    if opening.roster != roster:
        raise TallygateError(
            "opening.roster",
            f"decision 1 names the roster {opening.roster.hex()}, the night has {roster.hex()}: "
            "put the roster that the commission signed into the night",
            place=str(folder),
        )
    return opening


def check_opening(
    statements: Sequence[bytes], definition: _core.Definition, log_key: bytes, *, places: Sequence[str]
) -> Opening:
    """Judges the signatures of a decision 1: all but the roster, which may since have been replaced.

    Args:
        statements: their bytes.
        definition: the night's.
        log_key: the public key that signs checkpoints here.
        places: what to call each statement in an error.

    Raises:
        TallygateError: ``opening.count``, ``opening.malformed``, ``opening.signer``, ``opening.signature``,
            ``opening.payload``, ``opening.decision``, ``opening.definition``, ``opening.log_key``,
            ``opening.origin``.
    """
    quorum = definition.commission_quorum
    if len(statements) != quorum:
        raise TallygateError(
            "opening.count",
            f"a log of this election opens with exactly {quorum} signatures of decision 1, these are "
            f"{len(statements)}: the quorum's, no fewer and no more",
            place=places[-1] if places else "",
        )
    keys = definition.commission_keys
    numbers = members(definition)
    decoded: list[_core.Statement] = []
    signed: dict[int, str] = {}
    for bytes_, place in zip(statements, places, strict=True):
        try:
            statement = _core.decode(bytes_)
        except CoreError as error:
            raise TallygateError("opening.malformed", f"not a statement: {error}", place=place) from None
        if statement.kind != "decision":
            _refuse("decision", "this is a device's packet, not decision 1", place)
        number = numbers.get(statement.kid)
        if number is None:
            _refuse("signer", "who signed this is not a member of the definition's commission", place)
        if number in signed:
            _refuse("signer", f"member {number} has signed twice, also in {signed[number]}", place)
        if not _core.verify_signature(keys[number - 1], statement.signed_bytes, statement.signature):
            _refuse("signature", f"the signature is not member {number}'s over these bytes", place)
        if decoded and statement.payload != decoded[0].payload:
            _refuse("payload", f"this is not the same decision as in {places[0]}", place)
        signed[number] = place
        decoded.append(statement)
    return _read(decoded, definition, log_key, places[0])


def _read(
    statements: Sequence[_core.Statement], definition: _core.Definition, log_key: bytes, place: str
) -> Opening:
    """Judges what the one payload says."""
    match statements[0].content:
        case (
            bytes() as named,
            bytes(),
            1,
            int(),
            tuple(),
            (1, str() as origin, bytes() as key, bytes() as snapshot_key, bytes() as roster, str()),
        ):
            pass
        case _:
            _refuse("decision", "this is not decision 1, which opens the log (action 1)", place)
    if named != definition.hash:
        detail = f"it opens the log of the definition {named.hex()}, the night has {definition.hash.hex()}"
        _refuse("definition", detail, place)
    if key != log_key:
        detail = f"it names the log key {key.hex()}, keys/log.key is {log_key.hex()}: another night's"
        _refuse("log_key", detail, place)
    if definition.mode == "rehearsal":
        # A name that holds the key's hash can be nobody else's: witnesses know a log by it.
        ours = f"{_REHEARSAL}/{definition.id}/{hashlib.sha256(log_key).hexdigest()[:8]}"
        if origin != ours:
            _refuse("origin", f"a rehearsal's log with this key is called {ours}, not {origin}", place)
    elif origin.split("/")[0] == _REHEARSAL:
        _refuse("origin", f"a live election's log is not called {origin}", place)
    return Opening(tuple(statements), origin, roster, snapshot_key)


def _refuse(what: str, detail: str, place: str) -> NoReturn:
    raise TallygateError(f"opening.{what}", detail, place=place)
