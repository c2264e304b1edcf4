"""The Rust core: strict statements, signatures, the Merkle log, notes and manifests.

Whatever it refuses it raises as `gateway.base.errors.CoreError` with a stable code (docs/packet.md,
docs/log.md, docs/election-folder.md); a size, index or width outside what is there is `argument.range`.
What no bytes can hold is a fault of the caller and has no code: a wrong type is a TypeError, an integer
below 0 or above 64 bits an OverflowError, half a surrogate pair a UnicodeEncodeError, a hash, key or seed
of the wrong length a ValueError.

Batches run on threads of their own, which a fork does not take along: a process that has used them starts
other programs, it does not fork.
"""

from collections.abc import Sequence
from os import PathLike
from typing import Literal, TypeAlias, final

from gateway.base.errors import CoreError

__all__ = [
    "Area",
    "Check",
    "Checkpoint",
    "Choice",
    "Contest",
    "Courier",
    "Definition",
    "Device",
    "Figure",
    "Information",
    "NoteSigner",
    "Roster",
    "Statement",
    "Station",
    "Tree",
    "__version__",
    "bundle_path",
    "canonical_json",
    "check_statements",
    "decode",
    "decode_bundle",
    "decode_tile",
    "encode_bundle",
    "encode_payload",
    "enrollable",
    "format_receipt",
    "leaf_hash",
    "open_checkpoint",
    "open_note",
    "public_key",
    "sign",
    "tile_path",
    "tiles_between",
    "verify_consistency",
    "verify_inclusion",
    "verify_receipt",
    "verify_signature",
    "verify_signatures",
    "vkey",
]

__version__: str

# The payload as nested tuples, in the order of docs/packet.md.
_Content: TypeAlias = tuple["int | bytes | str | _Content", ...]
_Json: TypeAlias = "int | str | Sequence[_Json] | dict[str, _Json] | None"
_Kind: TypeAlias = Literal["packet", "decision"]
_Base: TypeAlias = Literal["valid", "votes", "in_box", "registered"]

# Canonical JSON (RFC 8785); an integer outside 0 … 2^53−1 is `json.malformed`.
def canonical_json(value: _Json) -> bytes: ...

# --- Statements ---

@final
class Statement:
    """A decoded statement. The fields of a packet are None in a decision."""

    @property
    def encoded(self) -> bytes:
        """The statement's own bytes."""

    @property
    def kind(self) -> _Kind: ...
    @property
    def id(self) -> bytes:
        """SHA-256 of the bytes."""

    @property
    def leaf_hash(self) -> bytes:
        """SHA-256 of 0x00 and the bytes: the statement's hash in the log."""

    @property
    def kid(self) -> bytes: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def signature(self) -> bytes: ...
    @property
    def signed_bytes(self) -> bytes:
        """The Sig_structure of RFC 9052 that the signature covers."""

    @property
    def definition(self) -> bytes: ...
    @property
    def device(self) -> int | None: ...
    @property
    def station(self) -> int | None: ...
    @property
    def sequence(self) -> int | None: ...
    @property
    def report(self) -> int | None:
        """1 opening, 2 turnout, 3 result, 4 protocol, 5 documents."""

    @property
    def attachments(self) -> list[tuple[bytes, int, int, int, int]]:
        """(SHA-256, media, size, document, page) of each paper that a packet names; a decision names none."""

    @property
    def content(self) -> _Content:
        """The payload as nested tuples of int, bytes and str, in the order of docs/packet.md."""

# `statement.malformed` with rule and offset.
def decode(statement: bytes) -> Statement: ...

# The payload's bytes; `statement.malformed` where a statement with it would be refused; offsets in that one.
def encode_payload(kind: _Kind, content: _Content) -> bytes: ...

# A whole statement, signed with the key of a 32 byte seed.
def sign(kind: _Kind, content: _Content, seed: bytes) -> bytes: ...

# --- Keys and signatures ---

# The Ed25519 public key of a 32 byte seed.
def public_key(seed: bytes) -> bytes: ...

# The one rule: what libsodium's crypto_sign_verify_detached accepts. Wrong lengths do not verify.
def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> bool: ...

# The same for a batch of (public key, message, signature), on all cores without the GIL.
def verify_signatures(batch: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]: ...

# For each key whether it may be enrolled (canonical, on the curve, prime order); all cores, without the GIL.
def enrollable(public_keys: Sequence[bytes]) -> list[bool]: ...

# --- The log ---

@final
class Tree:
    """An append-only Merkle tree in memory (RFC 6962), 64 bytes a leaf. Safe to share between threads."""

    def __new__(cls) -> Tree: ...
    @property
    def size(self) -> int: ...
    def append(self, leaf_hashes: Sequence[bytes]) -> None: ...
    def append_verified(
        self, statements: Sequence[bytes], ids: Sequence[bytes], leaf_hashes: Sequence[bytes]
    ) -> int | None:
        """Hash whole statements and append them if each has this id and leaf hash; on all cores, no GIL.

        The place of the first that has not, counted from 0 in `statements`; nothing is appended then.
        """

    def truncate(self, size: int) -> None:
        """Forget the leaves from index `size` on."""

    def root(self, size: int | None = None) -> bytes:
        """The root over the first `size` leaves, over all by default."""

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The audit path of a leaf in the tree of `size` leaves, its sibling first."""

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the first `old` leaves are a prefix of the first `new`."""

    def tile(self, level: int, number: int, width: int) -> bytes:
        """A tile's bytes: `width` hashes (1 … 256)."""

def leaf_hash(statement: bytes) -> bytes: ...

# `proof.malformed` or `proof.mismatch`.
def verify_inclusion(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None: ...
def verify_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]
) -> None: ...

# (level, number, width) of each tile that a log of `new` entries has and one of `old` had not; lowest first;
# `argument.range` where more than 2^28 entries lie between them.
def tiles_between(old: int, new: int) -> list[tuple[int, int, int]]: ...
def tile_path(level: int, number: int, width: int) -> str: ...
def bundle_path(number: int, width: int) -> str: ...

# `bundle.malformed`, `tile.malformed`.
def encode_bundle(statements: Sequence[bytes]) -> bytes: ...
def decode_bundle(bundle: bytes, width: int) -> list[bytes]: ...
def decode_tile(tile: bytes, width: int) -> list[bytes]: ...

# The verifier key `<name>+<key id>+<base64>`; `key.malformed`.
def vkey(name: str, public_key: bytes) -> str: ...

@final
class NoteSigner:
    """Signs notes (C2SP signed-note) under one name with the Ed25519 key of a 32 byte seed."""

    def __new__(cls, name: str, seed: bytes) -> NoteSigner: ...
    @property
    def vkey(self) -> str: ...
    def sign(self, text: str) -> str:
        """The whole note; the text must end in a line feed and have no blank line."""

    def sign_checkpoint(self, size: int, root: bytes) -> str:
        """The whole note of a log's head; its origin is the key's name."""

@final
class Checkpoint:
    """The head of a log: name, number of entries, root; `checkpoint.malformed` for what no reader accepts."""

    def __new__(cls, origin: str, size: int, root: bytes) -> Checkpoint: ...
    @property
    def origin(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def root(self) -> bytes: ...
    @property
    def text(self) -> str:
        """The text that is signed."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

# The signed text of a note; `key.malformed`, `note.*`.
def open_note(note: bytes, vkey: str) -> str: ...

# Also `checkpoint.malformed`, `checkpoint.origin`.
def open_checkpoint(note: bytes, vkey: str) -> Checkpoint: ...

# The receipt's text; `path` is the audit path, `note` the checkpoint's note; `receipt.malformed`.
def format_receipt(index: int, path: Sequence[bytes], note: str) -> str: ...

# The entry's index and the checkpoint that covers it; also `receipt.malformed`, `receipt.proof`.
def verify_receipt(receipt: bytes, statement: bytes, vkey: str) -> tuple[int, Checkpoint]: ...

# --- Manifests and tables (docs/election-folder.md) ---

@final
class Area:
    """A node of the geography; the root has no parent."""

    @property
    def number(self) -> int: ...
    @property
    def parent(self) -> int | None: ...
    @property
    def level(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def name(self) -> str: ...

@final
class Contest:
    """What is voted on. Percentages are hundredths of a percent, with the base they are taken of."""

    @property
    def number(self) -> int: ...
    @property
    def kind(self) -> Literal["choose", "list", "referendum"]: ...
    @property
    def area(self) -> int | None: ...
    @property
    def seats(self) -> int: ...
    @property
    def marks(self) -> int: ...
    @property
    def preferences(self) -> int: ...
    @property
    def method(self) -> Literal["plurality", "majority", "hare", "dhondt", "sainte-lague"]: ...
    @property
    def share_of(self) -> _Base: ...
    @property
    def threshold(self) -> tuple[int, _Base] | None: ...
    @property
    def threshold_area(self) -> tuple[int, str] | None: ...
    @property
    def seat_cap(self) -> int | None: ...
    @property
    def quorum(self) -> tuple[int, _Base] | None: ...
    @property
    def name(self) -> str: ...

@final
class Choice:
    """What can be voted for."""

    @property
    def number(self) -> int: ...
    @property
    def kind(self) -> Literal["candidate", "list", "yes", "no", "against_all"]: ...
    @property
    def list(self) -> int | None: ...
    @property
    def label(self) -> str: ...
    @property
    def name(self) -> str: ...

@final
class Station:
    """A polling station; `closes_at` in ms since the Unix epoch."""

    @property
    def number(self) -> int: ...
    @property
    def area(self) -> int: ...
    @property
    def registered(self) -> int | None: ...
    @property
    def kind(self) -> Literal["ordinary", "special", "abroad", "mobile"]: ...
    @property
    def expects_box(self) -> bool: ...
    @property
    def closes_at(self) -> int: ...
    @property
    def timezone(self) -> str: ...
    @property
    def contests(self) -> list[int]: ...
    @property
    def label(self) -> str: ...
    @property
    def name(self) -> str: ...

@final
class Figure:
    """A country's own protocol line."""

    @property
    def code(self) -> int: ...
    @property
    def figure(self) -> str: ...
    @property
    def name(self) -> str: ...

@final
class Check:
    """A country's own equation; `left` and `right` are codes of figures that add up."""

    @property
    def number(self) -> int: ...
    @property
    def severity(self) -> Literal["hard", "soft"]: ...
    @property
    def left(self) -> list[int]: ...
    @property
    def op(self) -> Literal["=", "<="]: ...
    @property
    def right(self) -> list[int]: ...
    @property
    def tolerance(self) -> int: ...

@final
class Definition:
    """What decides how votes count: `election.json` and its tables. Times in ms since the Unix epoch."""

    @staticmethod
    def load(folder: str | PathLike[str]) -> Definition:
        """Read and check the folder that holds `election.json`; `manifest.*`, `table.*`."""

    @property
    def hash(self) -> bytes:
        """SHA-256 of `election.json`: what every packet names."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> dict[str, str]: ...
    @property
    def mode(self) -> Literal["live", "rehearsal"]: ...
    @property
    def timezone(self) -> str: ...
    @property
    def opens_at(self) -> int: ...
    @property
    def closes_at(self) -> int: ...
    @property
    def publish_at(self) -> int | None: ...
    @property
    def languages(self) -> list[str]: ...
    @property
    def headline(self) -> Literal["machine", "protocol"]: ...
    @property
    def commission_keys(self) -> list[bytes]: ...
    @property
    def commission_quorum(self) -> int: ...
    @property
    def areas(self) -> list[Area]: ...
    @property
    def contests(self) -> list[Contest]: ...
    @property
    def figures(self) -> list[Figure]: ...
    @property
    def checks(self) -> list[Check]: ...
    @property
    def station_count(self) -> int: ...
    def area(self, number: int) -> Area | None: ...
    def contest(self, number: int) -> Contest | None: ...
    def choices(self, contest: int) -> list[Choice]:
        """The choices of a contest in ascending number, which is the order of votes in a packet."""

    def station(self, number: int) -> Station | None: ...
    def stations(self) -> list[Station]:
        """All stations; look one up with `station`, which costs nothing."""

@final
class Device:
    """A ballot box, identification terminal or desk."""

    @property
    def number(self) -> int: ...
    @property
    def kind(self) -> Literal["box", "terminal", "desk"]: ...
    @property
    def stations(self) -> list[int]: ...
    @property
    def area(self) -> int | None: ...
    @property
    def key(self) -> bytes: ...
    @property
    def serial(self) -> str: ...

@final
class Courier:
    """A commission computer that uploads for boxes without a line."""

    @property
    def number(self) -> int: ...
    @property
    def area(self) -> int: ...
    @property
    def name(self) -> str: ...

@final
class Roster:
    """Who may speak: `roster.json` and its tables."""

    @staticmethod
    def load(folder: str | PathLike[str], definition: Definition) -> Roster:
        """Read and check the folder that holds `roster.json`; `manifest.*`, `table.*`."""

    @property
    def hash(self) -> bytes: ...
    @property
    def device_count(self) -> int: ...
    @property
    def couriers(self) -> list[Courier]: ...
    @property
    def firmware(self) -> list[tuple[bytes, str]]: ...
    def device(self, number: int) -> Device | None: ...
    def devices(self) -> list[Device]:
        """All devices; look one up with `device`, which costs nothing."""

@final
class Information:
    """What is only shown: `information.json` and its tables. Cells by column name; None: nothing is shown."""

    @staticmethod
    def load(folder: str | PathLike[str], definition: Definition) -> Information:
        """Read and check the folder that holds `information.json`; `manifest.*`, `table.*`."""

    @property
    def hash(self) -> bytes: ...
    def area(self, number: int) -> dict[str, str] | None: ...
    def contest(self, number: int) -> dict[str, str] | None: ...
    def choice(self, contest: int, choice: int) -> dict[str, str] | None: ...
    def station(self, number: int) -> dict[str, str] | None: ...
    def figure(self, code: int) -> dict[str, str] | None: ...
    def check(self, number: int) -> dict[str, str] | None: ...

# The first five checks at the door for a batch, on all cores without the GIL: for each statement, in order,
# the decoded statement or the error (not raised): size, envelope, payload, signer, signature.
def check_statements(
    statements: Sequence[bytes], definition: Definition, roster: Roster
) -> list[Statement | CoreError]: ...
