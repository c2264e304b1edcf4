"""The commission's decision 1 put into a night: from the file that its members have signed.

What lives here: the part of a decision file (docs/decisions.md) that a night needs, which is its signatures,
and the files that they become in `data/opening`. Everything that `ingest` asks at its start is asked before
anything is written.
"""

from pathlib import Path
from typing import Final, Literal, NoReturn

import msgspec

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.base.files import PUBLIC_FILE, read_bounded, write_durably
from gateway.ledger.opening import Opening, check_opening, members
from gateway.run.folder import NightFolder, read_log_seed, read_snapshot_seed

# Of a decision file (docs/decisions.md).
_MAX_FILE: Final = 4 * 1024 * 1024


class _Signature(msgspec.Struct, frozen=True):
    statement: str


class _DecisionFile(msgspec.Struct, frozen=True):
    """What is read of a decision file; its text is for those who sign."""

    format: Literal["tallygate-decision/1"]
    signatures: tuple[_Signature, ...]


def place_opening(night: NightFolder, file: Path, credentials: Path | None) -> Opening:
    """Puts the signatures of decision 1 into ``data/opening``, exactly a quorum of them.

    Putting the same file there again changes nothing.

    Args:
        night: made by `init`, with its keys.
        file: the decision file with at least a quorum of signatures.
        credentials: systemd's folder of credentials, where keys may be instead.

    Raises:
        TallygateError: ``opening.*``, ``keys.*``, ``manifest.*``, ``table.*``, ``file.*``.
        OSError: a file cannot be read or written.
    """
    definition = _core.Definition.load(night.definition)
    roster = _core.Roster.load(night.roster, definition)
    log_key = _core.public_key(read_log_seed(night, credentials))
    snapshot_key = _core.public_key(read_snapshot_seed(night, credentials))
    statements = _read(file)
    quorum = definition.commission_quorum
    if len(statements) < quorum:
        raise TallygateError(
            "opening.count",
            f"{quorum} members must sign decision 1, {len(statements)} have: tallygate-decide sign",
            place=str(file),
        )
    # Entries 0 … quorum − 1 of a log are the quorum's signatures, and no others.
    chosen = statements[:quorum]
    opening = check_opening(chosen, definition, log_key, places=[str(file)] * quorum)
    if opening.snapshot_key != snapshot_key:
        _refuse(
            "snapshot_key",
            f"it names the snapshot key {opening.snapshot_key.hex()}, keys/snapshot.key is "
            f"{snapshot_key.hex()}: another night's",
            file,
        )
    if opening.roster != roster.hash:
        _refuse(
            "roster", f"it names the roster {opening.roster.hex()}, the night has {roster.hash.hex()}", file
        )
    _write(night.data / "opening", opening, definition)
    return opening


def _read(file: Path) -> list[bytes]:
    try:
        decision = msgspec.json.decode(read_bounded(file, _MAX_FILE), type=_DecisionFile)
        return [bytes.fromhex(signature.statement) for signature in decision.signatures]
    # RecursionError: what stands within others as deep as a file allows; ValueError: no hex.
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise TallygateError(
            "opening.malformed", f"this is no decision file of tallygate-decide: {error}", place=str(file)
        ) from None


def _write(folder: Path, opening: Opening, definition: _core.Definition) -> None:
    """Writes the statements as files, unless another opening is there."""
    numbers = members(definition)
    named = {f"member-{numbers[one.kid]:02}.cose": one.encoded for one in opening.statements}
    for there in sorted(folder.glob("*.cose")):
        if named.get(there.name) != read_bounded(there, _MAX_FILE):
            _refuse(
                "exists", "another opening is here already: take its files away if it is the wrong one", there
            )
    for name, data in named.items():
        if not (folder / name).exists():
            write_durably(folder / name, data, mode=PUBLIC_FILE)


def _refuse(what: str, detail: str, place: Path) -> NoReturn:
    raise TallygateError(f"opening.{what}", detail, place=str(place))
