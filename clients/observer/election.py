"""What a feed's tally rests on: definition, rosters, information, and the decision that opens the log.

What lives here: reading the folders that stand under their manifest's hash, and finding decision 1 with the
keys that it names, before anything that they have signed is looked at.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from clients.observer.entries import Keys, Signers, check_bundle
from clients.observer.inventory import Inventory, unnamed
from clients.observer.verdict import (
    CannotCheckError,
    DifferenceError,
    Folder,
    judge_bytes,
    judge_hash,
    read,
    refused,
)
from clients.wire import definition, feed, information, roster
from clients.wire.authority import Authority
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.information import Information
from clients.wire.manifest import MAX_MANIFEST_BYTES
from clients.wire.note import VerifierKey
from clients.wire.roster import Roster
from clients.wire.text import MAX_ORIGIN_BYTES
from clients.wire.tiles import Bundle

# A name with its suffix, a key id and 44 characters of base64.
_MAX_VKEY_BYTES: Final = MAX_ORIGIN_BYTES + 100
# What a photograph or a programme may have (docs/election-folder.md).
_MAX_MEDIA_BYTES: Final = 64 * 1024 * 1024
# The snapshot key signs under the log's name with this behind it (feed.md, "The note").
SNAPSHOT_SUFFIX: Final = "/snapshot"
# A reader refuses a roster with one of these for what it says, and so does every other reader.
_UNUSABLE: Final = frozenset(
    {"manifest.malformed", "manifest.definition", "table.malformed", "table.reference"}
)


class Opening(NamedTuple):
    """What decision 1 says.

    Attributes:
        log_key: the log's, under its origin.
        snapshot_key: that of the snapshots' notes.
        roster: SHA-256 of the first roster.json.
    """

    log_key: VerifierKey
    snapshot_key: VerifierKey
    roster: bytes


@dataclass(frozen=True, slots=True)
class Rosters:
    """The rosters of a feed, whether the log names them or not.

    Attributes:
        usable: by hash.
        unusable: hashes of those that every reader refuses for what they say.
        broken: those whose files are not what their manifest names; a difference once the log names them.
        files: how many files each of the others has.
    """

    usable: Mapping[bytes, Roster]
    unusable: frozenset[bytes]
    broken: Mapping[bytes, DifferenceError]
    files: Mapping[bytes, int]

    def missing(self, sha256: bytes) -> DifferenceError | CannotCheckError:
        """What it means that a decision names a roster which cannot be used here."""
        return self.broken.get(sha256) or CannotCheckError(
            "roster.missing",
            f"a decision names roster {sha256.hex()}, and it is not in the feed: nobody can tell what counts "
            "after that decision. Ask the commission for it",
        )


def load_definition(folder: Folder, sha256: bytes, inventory: Inventory) -> Definition:
    """The definition with this hash.

    Raises:
        DifferenceError: a file is missing, changed, or one too many.
        CannotCheckError: it is the definition that is named, and no reader takes it.
    """
    path = _judge_manifest(folder, "definition", sha256, definition.MANIFEST)
    try:
        loaded = Definition.load(folder / path)
    except WireError as error:
        raise _manifest_refusal(path, error) from error
    _judge_names(folder, "definition", sha256, definition.MANIFEST, inventory)
    return loaded


def load_rosters(folder: Folder, own: Definition, inventory: Inventory) -> Rosters:
    """All rosters of a feed.

    Raises:
        CannotCheckError: a file cannot be read.
    """
    usable: dict[bytes, Roster] = {}
    unusable: set[bytes] = set()
    broken: dict[bytes, DifferenceError] = {}
    files: dict[bytes, int] = {}
    for kind, sha256 in sorted(inventory.manifests):
        if kind != "roster":
            continue
        try:
            path = _judge_manifest(folder, kind, sha256, roster.MANIFEST)
            try:
                usable[sha256] = Roster.load(folder / path, own)
            except WireError as error:
                if error.code not in _UNUSABLE:
                    raise _manifest_refusal(path, error) from error
                unusable.add(sha256)
            else:
                _judge_names(folder, kind, sha256, roster.MANIFEST, inventory)
            files[sha256] = len(inventory.manifests[kind, sha256])
        except DifferenceError as error:
            broken[sha256] = error
    return Rosters(
        MappingProxyType(usable), frozenset(unusable), MappingProxyType(broken), MappingProxyType(files)
    )


def judge_information(folder: Folder, sha256: bytes, own: Definition, inventory: Inventory) -> int:
    """Look at the information with this hash and at its media.

    Returns:
        How many files it has.

    Raises:
        DifferenceError: a file is missing, changed, or one too many; or no reader takes what it says.
        CannotCheckError: a file cannot be read.
    """
    path = _judge_manifest(folder, "information", sha256, information.MANIFEST)
    try:
        loaded = Information.load(folder / path, own)
    except WireError as error:
        found = _manifest_refusal(path, error)
        if error.code in _UNUSABLE:
            raise DifferenceError(error.code, error.detail, f"{path}/{error.file}", _line(error)) from error
        raise found from error
    _judge_names(folder, "information", sha256, information.MANIFEST, inventory)
    for name, medium in loaded.media.items():
        medium_path = f"{path}/media/{name}"
        data = read(folder, medium_path, _MAX_MEDIA_BYTES, "a picture or a programme")
        judge_hash(medium_path, data, medium.sha256, information.MANIFEST)
    return len(inventory.manifests["information", sha256])


def find_opening(folder: Folder, own: Definition, bundles: Iterator[Bundle]) -> Opening:
    """Look for decision 1 in the first entries of the log.

    Raises:
        DifferenceError: a bundle before it is missing or malformed, or an entry is no statement.
        CannotCheckError: `log.not_open`: decision 1 is not taken, or void.
    """
    nobody = Roster(b"", own.sha256, MappingProxyType({}), MappingProxyType({}), MappingProxyType({}))
    authority = Authority(own, nobody)
    signers = Signers(Keys.of(own.commission, ()))
    index = 0
    for bundle in bundles:
        for entry in check_bundle(folder, bundle, signers):
            if entry.refusal is not None:
                raise entry.refused(index, entry.refusal)
            if entry.statement is not None and entry.verified:
                authority.apply(index, entry.statement)
            index += 1
            if authority.is_open:
                return _opening(authority)
    raise CannotCheckError(
        "log.not_open",
        f"the commission has not opened the log in its {index:,} entries: without decision 1 nobody knows "
        "whose log this is",
    )


def _opening(authority: Authority) -> Opening:
    taken = authority.taken(1)
    match taken.action if taken is not None else ():
        case (_, str(origin), bytes(log_key), bytes(snapshot_key), bytes(first), _):
            return Opening(
                VerifierKey(origin, log_key), VerifierKey(origin + SNAPSHOT_SUFFIX, snapshot_key), first
            )
    raise AssertionError("what opens a log is an action 1")


def judge_keys(folder: Folder, opening: Opening) -> None:
    """Compare the keys that the feed hands out with those of decision 1.

    Raises:
        DifferenceError: a key is missing or another one.
        CannotCheckError: it cannot be read.
    """
    for path, key in ((feed.LOG_KEY, opening.log_key), (feed.SNAPSHOT_KEY, opening.snapshot_key)):
        data = read(folder, path, _MAX_VKEY_BYTES, "a verifier key")
        judge_bytes(path, data, f"{key}\n".encode(), "feed.key", "decision 1")


def _judge_manifest(folder: Folder, kind: str, sha256: bytes, file: str) -> str:
    """The folder of a manifest, whose bytes have the hash that the folder is called by."""
    path = f"{kind}/{sha256.hex()}"
    data = read(folder, f"{path}/{file}", MAX_MANIFEST_BYTES, "a manifest")
    judge_hash(f"{path}/{file}", data, sha256, "the folder's name")
    return path


def _manifest_refusal(path: str, error: WireError) -> DifferenceError | CannotCheckError:
    file = f"{path}/{error.file}"
    if isinstance(error.__cause__, OSError):
        return refused(file, error)
    if error.code in _UNUSABLE:
        return CannotCheckError(error.code, f"{file}: {_line(error)} {error.detail}")
    return DifferenceError(error.code, error.detail, file, _line(error))


def _line(error: WireError) -> str:
    return "" if error.line is None else f"line {error.line}"


def _judge_names(folder: Folder, kind: str, sha256: bytes, file: str, inventory: Inventory) -> None:
    """Refuse a file beside a manifest that the manifest does not name; readers have missed the others."""
    path = f"{kind}/{sha256.hex()}"
    members: dict[str, dict[str, object]] = json.loads((folder / path / file).read_bytes())
    named = {file, *(f"{table}.csv" for table in members["tables"])}
    named.update(f"media/{name}" for name in members.get("media", {}))
    for name in sorted(inventory.manifests[kind, sha256] - named):
        raise unnamed(f"{path}/{name}")
