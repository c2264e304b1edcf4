"""The forms of the published files, as msgspec reads them; used by tests, not by the generator.

A member that no form names is refused: it would be a promise that no test checks.
"""

from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import msgspec

FOLDER = Path(__file__).parent


class Vector(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of a vector file."""


class Case(Vector):
    """A case; each name stands once in its list."""

    name: str


class Coded(Case):
    """A case with its refusal; None where it is accepted."""

    code: str | None


S = TypeVar("S", bound=Vector)


class Repeated(Vector):
    repeat: str
    times: int


Joined: TypeAlias = str | list[str | Repeated]


def joined(value: Joined) -> str:
    if isinstance(value, str):
        return value
    return "".join(piece if isinstance(piece, str) else piece.repeat * piece.times for piece in value)


def unhex(value: Joined) -> bytes:
    return bytes.fromhex(joined(value))


class Key(Case):
    seed: str
    public_key: str
    kid: str


class GoodStatement(Case):
    why: str
    kind: Literal["packet", "decision"]
    signer: str
    id: str
    leaf_hash: str
    content: msgspec.Raw
    statement: Joined
    slip: str | None = None
    payload_sha256: str | None = None


class MalformedStatement(Case):
    why: str
    rule: str
    offset: int
    statement: Joined


class JudgedStatement(Coded):
    why: str
    statement: Joined


class Statements(Vector):
    about: str
    definition: str
    keys: list[Key]
    good: list[GoodStatement]
    malformed: list[MalformedStatement]
    judged: list[JudgedStatement]


class VerifierKey(Coded):
    why: str
    vkey: str
    key_name: str = ""
    key_id: str = ""
    public_key: str = ""


class VerifierKeys(Vector):
    about: str
    keys: list[VerifierKey]


class CheckpointText(Vector):
    origin: str
    size: int
    root: str


class CheckpointCase(Coded):
    why: str
    vkey: str | None = None
    note: Joined = ""
    note_hex: str = ""
    checkpoint: CheckpointText | None = None

    @property
    def data(self) -> bytes:
        return bytes.fromhex(self.note_hex) or joined(self.note).encode()


class Checkpoints(Vector):
    about: str
    log: Key
    vkey: str
    cases: list[CheckpointCase]


class ReceiptCase(Coded):
    why: str
    receipt: Joined
    statement: str | None = None
    index: int | None = None
    size: int | None = None


class Receipts(Vector):
    about: str
    log: Key
    vkey: str
    statement: str
    cases: list[ReceiptCase]


class Root(Vector):
    size: int
    root: str


class Inclusion(Coded):
    index: int
    size: int
    leaf_hash: str
    root: str
    path: list[str]


class Consistency(Coded):
    old: int
    new: int
    old_root: str
    new_root: str
    path: list[str]


class Proofs(Vector):
    about: str
    roots: list[Root]
    inclusion: list[Inclusion]
    consistency: list[Consistency]


class HashedFile(Vector):
    path: str
    width: int
    sha256: str


class Log(Vector):
    size: int
    root: str
    tiles: list[HashedFile]
    bundles: list[HashedFile]


class PathOf(Vector):
    level: int
    number: int
    width: int
    tile: str
    bundle: str


class TileBytes(Coded):
    width: int
    tile: Joined


class BundleBytes(Coded):
    width: int
    bundle: Joined


class Tiles(Vector):
    about: str
    logs: list[Log]
    paths: list[PathOf]
    tile_bytes: list[TileBytes]
    bundle_bytes: list[BundleBytes]


class JsonCase(Coded):
    why: str
    value: msgspec.Raw = msgspec.Raw(b"")
    text: str | None = None
    text_hex: str = ""

    @property
    def data(self) -> bytes:
        return bytes.fromhex(self.text_hex) if self.text is None else self.text.encode()


class CanonicalJson(Vector):
    about: str
    cases: list[JsonCase]


class Change(Vector):
    file: str
    old: str = ""
    new: Joined = ""
    content: Joined | None = None
    content_hex: str = ""
    remove: Literal["yes", ""] = ""
    rehash: str = ""


class ManifestCase(Coded):
    judged: Literal["definition", "roster", "information"]
    changes: list[Change]
    why: str = ""
    file: str | None = None
    line: int | None = None
    column: str | None = None


class Manifests(Vector):
    about: str
    sha256: dict[str, str]
    cases: list[ManifestCase]


def load(name: str, form: type[S]) -> S:
    return msgspec.json.decode((FOLDER / name).read_bytes(), type=form)
