"""The Rust core: strict statements, signatures, the Merkle log, notes and manifests.

Whatever it refuses it raises as `gateway.base.errors.CoreError` with a stable code (docs/packet.md,
docs/log.md, docs/election-folder.md, docs/box-port.md); a size, index or width outside what is there, or a
call out of its turn, is `argument.range`.
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
    "Authority",
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
    "Peer",
    "Request",
    "Roster",
    "Statement",
    "Station",
    "Tally",
    "TlsConfig",
    "TlsConnection",
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
    "shares",
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
_Standing: TypeAlias = Literal["pending", "in effect", "undone", "void", "unjudged"]

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
    def stations_in(self, area: int) -> int | None:
        """How many stations the area holds, right below it or further down."""

    def holds(self, area: int, station: int) -> bool:
        """Whether the area holds the station, right below it or further down."""

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

# --- The commission (docs/packet.md, "Decisions") ---

@final
class Authority:
    """Which decisions of a log are taken, void and in effect. Safe to share between threads.

    Made for the roster that decision 1 names; fed with the decisions of the log in the log's order. Stations,
    contests and areas by number; a source is 1 (machine) or 2 (protocol).
    """

    def __new__(cls, definition: Definition, roster: Roster) -> Authority: ...
    def offer(self, roster: Roster) -> None:
        """A roster of this definition that a decision 9 may name; offer it before that one is applied."""

    def offer_unusable(self, sha256: bytes) -> None:
        """The hash of a roster.json that is whole, and that `Roster.load` refuses for what it says.

        That is `manifest.malformed`, `manifest.definition`, `table.malformed` and `table.reference`: a
        decision 9 that names it is void. `manifest.missing`, `table.missing` and `table.changed` say nothing
        about the roster.
        """

    def apply(
        self,
        index: int,
        statement: Statement,
        choosable: Sequence[tuple[int, int, int, bytes, bytes]] | None = None,
    ) -> bool:
        """Take the log's entry; whether anything in effect has changed. A packet changes nothing here.

        `choosable`: (station, contest, source, statement id, definition that it names) of the packets logged
        before that an action 5 may choose (docs/tally.md). It changes counts: without it `ruling` is not
        right, and everything else is. `argument.range` where the index is not above the decision's before.
        """

    def taken(self, number: int) -> tuple[bytes, int, _Standing] | None:
        """SHA-256 of the payload that was taken under this number, the entry's index, and how it stands."""

    def standing(self, statement: Statement) -> _Standing | None:
        """How a decision's payload stands, signed by however many; None: a packet."""

    @property
    def open(self) -> bool:
        """Whether decision 1 is in effect."""

    @property
    def roster(self) -> Roster:
        """Who may speak: the roster that took effect last, undone or not (docs/packet.md, "Rosters")."""

    @property
    def assignments(self) -> Roster:
        """Who stands where, as far as no decision 3 says otherwise: the newest roster in effect."""

    @property
    def missing_rosters(self) -> list[bytes]:
        """Hashes that taken decisions name and nobody has offered; they are judged as not yet in effect.

        Once one is there, make a new Authority, offer it, and apply the log's decisions again.
        """

    @property
    def paused(self) -> bool:
        """Whether the commission has paused publication."""

    def closes_at(self, station: int) -> int | None:
        """The station's closing time now, ms; None: there is no such station."""

    def stations(self, device: int) -> list[int]:
        """The stations that the device is assigned to now, ascending."""

    def reassigned(self, station: int) -> list[tuple[int, bool]]:
        """The devices of which a decision 3 in effect says whether they are assigned to the station."""

    def revoked_at(self, device: int) -> int | None:
        """The entry of the earliest revocation in effect; the device's packets above it do not belong."""

    def is_cancelled(self, station: int) -> bool: ...
    def accepts(self, definition: bytes) -> bool:
        """Whether packets that name this definition are read: ours, or one of a decision 10 in effect."""

    def ruling(self, station: int, contest: int, source: int) -> Literal["annulled"] | bytes | None:
        """Whether the count is annulled, or the id of the packet that counts alone."""

    def status(self, source: int) -> int | None:
        """The status word, 0 … 5, if one is set."""

    def about_station(self, station: int) -> list[int]:
        """Numbers of the actions 3, 4, 5, 11 and 12 in effect that name the station or all, ascending."""

# --- The box port (docs/box-port.md) ---

_State: TypeAlias = Literal["more", "request", "body", "closed", "failed"]

@final
class Peer:
    """Who the client's certificate says it is (docs/keys.md)."""

    @property
    def role(self) -> Literal["box", "terminal", "desk", "courier", "commission"]: ...
    @property
    def id(self) -> int: ...
    @property
    def serial(self) -> bytes:
        """The certificate's serial number, big-endian without leading zeros."""

    @property
    def not_after(self) -> int:
        """The certificate's last moment, ms: the handshake has judged it, an open connection outlives it."""

@final
class Request:
    """The head of one request that keeps to HTTP/1.1 as strictly as the port wants it, and a short body."""

    @property
    def method(self) -> Literal["GET", "POST", "PUT"]: ...
    @property
    def path(self) -> str:
        """The target as it was sent: origin form, with its query if there is one; visible ASCII."""

    @property
    def content_type(self) -> str | None:
        """The media type as it was sent, with its parameters; visible ASCII and spaces."""

    @property
    def content_length(self) -> int | None:
        """In bytes; never None for POST and PUT."""

    @property
    def body(self) -> bytes | None:
        """The whole body; None: a PUT's, or longer than `max_body`: refuse it or take it in parts."""

    @property
    def keep_alive(self) -> bool:
        """False: the client has said `Connection: close`."""

@final
class TlsConfig:
    """Certificate, key, CA and CRL of a box port, checked when it is made; a reload makes a new one.

    Everything is PEM. The server's certificate must be the CA's, for a server, good now and not revoked.
    Raises `tls.certificate`, `tls.key`, `tls.ca`, `tls.crl`, each with the `file` that is to blame, by the
    name that it has in a night folder. The GIL is free meanwhile.

    Args:
        certificate: the server's, and those behind it.
        key: its private key, Ed25519 or P-256, PKCS #8.
        ca: the election CA alone.
        crl: its revocation list; one past its date is taken, one of a time to come is not.
        election: the id that every client certificate must name.
        crl_stale: whether a CRL past its date keeps its serials in force, or refuses everybody until there is
            a fresh one; judged in each handshake.
        now: ms; dates are judged by this machine's clock, corrected by what it differs from `now`.
    """

    def __new__(
        cls,
        *,
        certificate: bytes,
        key: bytes,
        ca: bytes,
        crl: bytes,
        election: str,
        crl_stale: Literal["keep", "refuse"],
        now: int,
    ) -> TlsConfig: ...
    @property
    def ca(self) -> bytes:
        """The CA's certificate, DER."""

    @property
    def certificate_not_after(self) -> int:
        """The last moment of the server's certificate, ms."""

    @property
    def ca_not_after(self) -> int:
        """The last moment of the CA, ms."""

    @property
    def crl_number(self) -> bytes:
        """The CRL's number, big-endian without leading zeros; it grows with each CRL that a CA makes."""

    @property
    def crl_next_update(self) -> int:
        """Until when the CRL is fresh, ms."""

    def is_revoked(self, serial: bytes) -> bool:
        """Whether the certificate with this serial number (`Peer.serial`) is on the CRL."""

@final
class TlsConnection:
    """One connection, sans I/O: bytes in, bytes out. Used by one task.

    ::

        state, out = connection.feed(received)      # send `out`, in every state
        more     -> receive, feed
        request  -> request(); send respond(...); feed(b"")
                    (or, where `body` is None: send accept_body(); feed(b""))
        body     -> body(); feed(b""); after the last part send respond(...); feed(b"")
        closed   -> close the socket
        failed   -> close the socket; `failure`

    Bytes are fed in state `more` only (else `argument.range`): after an answer or a part feed nothing first,
    for what was received before may hold the next. What is held is bounded by what was received at once, a
    body of `max_body` or a part of 64 KiB, and a head of 8 KiB; 16 KiB before the handshake is complete.
    """

    def __new__(cls, config: TlsConfig, *, max_body: int) -> TlsConnection: ...
    def feed(self, data: bytes) -> tuple[_State, bytes]:
        """Take what was received (b"": nothing new, go on with what has arrived already).

        Send the bytes in every state: on `failed` they carry the alert, on `closed` our close_notify.
        A body of up to `max_body` is asked for with 100 Continue where the client waits for that.
        """

    def eof(self) -> tuple[_State, bytes]:
        """The peer's FIN, in state `more`: `closed` between requests, `failed` if something was cut off."""

    @property
    def peer(self) -> Peer | None:
        """Once the handshake is complete; always the same object."""

    @property
    def shown(self) -> Peer | None:
        """Whom the certificate names that the client has shown, believed or not."""

    @property
    def failure(self) -> Literal["expired", "revoked", "unknown_ca", "no_certificate", "protocol"] | None: ...
    @property
    def failure_detail(self) -> str | None:
        """The same in the TLS library's words, for a log; it may quote what the peer has sent."""

    def request(self) -> Request:
        """The request; what HTTP itself refuses is raised: answer it, with `close`.

        Raises `request.malformed` and `request.too_large` with an offset from the request's start,
        `request.length_required` (none, or chunked), `request.method` (neither GET, POST nor PUT).
        """

    def accept_body(self) -> bytes:
        """The body is wanted in parts: send what this returns (100 Continue, or nothing), feed nothing."""

    def body(self) -> tuple[bytes, bool]:
        """The part that has arrived, at most 64 KiB, and whether it was the last."""

    def respond(self, head: bytes, body: bytes, close: bool) -> bytes:
        """The bytes of a whole answer, as given, with close_notify behind it if `close`.

        So it is too where the request was refused or its body not taken to the end: nobody could tell where
        the next begins. Nothing where the connection has ended, or the handshake is not complete.
        """

    def close(self) -> bytes:
        """The close_notify of a connection that ends without an answer (a deadline)."""

# --- The tally (docs/tally.md) ---

@final
class Tally:
    """What counts, folded from a log's prefix. Safe to share between threads; the GIL is free meanwhile.

    Made for the roster that decision 1 names. The same prefix gives the same bytes, however it is cut into
    calls. After `server.fault` (an integer beyond 2^53−1, or a fault of the core) every method answers that.
    """

    def __new__(cls, definition: Definition, roster: Roster) -> Tally: ...
    def offer(self, roster: Roster) -> None:
        """A roster of this definition that a decision 9 may name."""

    def offer_unusable(self, sha256: bytes) -> None:
        """The hash of a roster.json that is whole and no roster (`Authority.offer_unusable`)."""

    def apply(self, first: int, statements: Sequence[bytes]) -> int:
        """Take the log's next entries; how many were taken.

        Fewer than given: the next one completes a decision that names one of `missing_rosters`, and nothing
        behind it is known. Offer that, and apply the rest again.

        Args:
            first: index of the first of them; `argument.range` where it is not `size`.
            statements: those that `check_statements` has accepted; the bytes are decoded here, signatures
                are not looked at. At the first that is none `statement.malformed` is raised; those before
                it are taken.
        """

    @property
    def size(self) -> int:
        """How many entries are taken: the index of the next one."""

    @property
    def missing_rosters(self) -> list[bytes]:
        """Hashes of the rosters that the next entry waits for."""

    def standing(self, statement: Statement) -> _Standing | None:
        """How a decision's payload stands after the entries taken; None: a packet."""

    def changed_stations(self) -> list[int]:
        """The stations whose objects have changed since this was called last, ascending."""

    def version(self, station: int) -> int | None:
        """The version of the station's object; None: there is no such station, or no object yet."""

    def station(self, number: int) -> bytes | None:
        """The station's object; None as for `version`."""

    def area(self, number: int) -> bytes:
        """The area's object; those below it that have changed are made for their hashes.

        `argument.range`, as for the next two: there is no such area.
        """

    def results(self, area: int) -> bytes:
        """Canonical JSON of `results`: shares and turnout of each contest and source.

        Of the root thresholds, quorum, seats and outcome too.
        """

    def progress(self, area: int) -> bytes:
        """Canonical JSON of `progress`: how many stations are in which state."""

# Base, shares by choice and turnout (hundredths of a percent) of a contest in one source, from the numbers of
# an area's object: stations counted, `registered`, `figures` and `votes` of its sums (docs/tally.md).
# `argument.range`: no such contest, another number of choices, or votes above 2^53−1 together.
def shares(
    definition: Definition,
    contest: int,
    counted: int,
    registered: tuple[int, int],
    figures: Sequence[tuple[int, int, int]],
    votes: Sequence[int],
) -> tuple[int | None, list[int | None], int | None]: ...
