"""Signed notes and checkpoints (C2SP signed-note and tlog-checkpoint), and the verifier keys that open them.

A note is text, a blank line, and 1 to 16 signature lines. Lines of keys and types that a reader does not know
are ignored, so witnesses' cosignatures may stand beside the log's own signature.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from nacl.signing import SigningKey

from clients.wire import keys
from clients.wire.errors import WireError
from clients.wire.merkle import HASH_BYTES
from clients.wire.text import base64_exact, base64_text, decimal, has_control, has_white_space, is_origin

# A checkpoint with 16 signatures has 3 KB; whoever sends more is not a log.
MAX_NOTE_BYTES = 16_384
# The log's own and those of a generous number of witnesses (log.md, "Witnesses").
MAX_SIGNATURES = 16
# The signature type of a plain Ed25519 note (C2SP signed-note).
ED25519 = 0x01
KEY_ID_BYTES = 4

_DASH = "\u2014 "
_FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_KEY_ID = re.compile(r"[0-9a-f]{8}")


def key_id(name: str, key: bytes, signature_type: int = ED25519) -> bytes:
    """The first 4 bytes of SHA-256(name || 0x0A || signature type || public key)."""
    return hashlib.sha256(name.encode("utf-8") + b"\n" + bytes((signature_type,)) + key).digest()[
        :KEY_ID_BYTES
    ]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """An Ed25519 key under the name of a log or a snapshot signer.

    Attributes:
        name: for a log, its origin.
        key: the 32 bytes of the public key.
    """

    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        """The 4 bytes that stand in front of this key's signatures."""
        return key_id(self.name, self.key)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64_text(bytes((ED25519,)) + self.key)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``<name>+<key id, 8 hex>+<base64(0x01 || public key)>``.

        Raises:
            WireError: `key.malformed`.
        """
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise _bad_key("a verifier key is <name>+<key id>+<key>")
        name, hash_text, key_text = parts
        if not _is_key_name(name) or has_control(name):
            raise _bad_key("the key's name is empty or holds white space or a control character")
        typed = base64_exact(key_text)
        if typed is None or len(typed) != 1 + keys.KEY_BYTES or typed[0] != ED25519:
            raise _bad_key("the key is not canonical base64 of 0x01 and 32 bytes")
        vkey = cls(name, typed[1:])
        if _KEY_ID.fullmatch(hash_text) is None or bytes.fromhex(hash_text) != vkey.id:
            raise _bad_key("the key id is not this name's and key's")
        if not keys.enrollable(vkey.key):
            raise _bad_key("the key is not a point of prime order in canonical form")
        return vkey


def _bad_key(detail: str) -> WireError:
    return WireError("key.malformed", detail)


def _is_key_name(name: str) -> bool:
    """Whether a name can stand in a signature line: not empty, no white space, no plus, writable as UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return name != "" and "+" not in name and not has_white_space(name)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line.

    Attributes:
        name: of the key.
        key_id: 4 bytes.
        signature: what follows the key id, at least 1 byte.
    """

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {base64_text(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note in the right form; nothing is verified yet.

    Attributes:
        text: with its last newline: what is signed.
        signatures: in their order.
    """

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a note.

        Raises:
            WireError: `note.malformed`.
        """
        if len(data) > MAX_NOTE_BYTES:
            raise _bad_note(f"a note has at most {MAX_NOTE_BYTES:,} bytes, this has {len(data):,}")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise WireError(
                "note.malformed", "the note is not well-formed UTF-8", offset=error.start
            ) from None
        if _FORBIDDEN.search(whole) is not None:
            raise _bad_note("the note holds a control character")
        blank = whole.rfind("\n\n")
        if blank < 0:
            raise _bad_note("no blank line stands between text and signatures")
        text, lines = whole[: blank + 1], whole[blank + 2 :]
        if not lines.endswith("\n"):
            raise _bad_note("the note has no signature line or does not end with a newline")
        signature_lines = lines[:-1].split("\n")
        if len(signature_lines) > MAX_SIGNATURES:
            raise _bad_note(
                f"a note has at most {MAX_SIGNATURES} signatures, this has {len(signature_lines)}"
            )
        signatures = tuple(_parse_signature(line) for line in signature_lines)
        if len({(signature.name, signature.key_id) for signature in signatures}) < len(signatures):
            raise _bad_note("two signature lines have the same name and key id")
        return cls(text, signatures)

    def __bytes__(self) -> bytes:
        return "".join([self.text, "\n", *map(str, self.signatures)]).encode("utf-8")


def _bad_note(detail: str) -> WireError:
    return WireError("note.malformed", detail)


def _parse_signature(line: str) -> Signature:
    if not line.startswith(_DASH):
        raise _bad_note("a signature line starts with an em dash and a space")
    name, _, encoded = line[len(_DASH) :].partition(" ")
    if not _is_key_name(name):
        raise _bad_note("the name in a signature line is empty or holds white space or '+'")
    blob = base64_exact(encoded)
    if blob is None or len(blob) <= KEY_ID_BYTES:
        raise _bad_note("a signature line does not end with canonical base64 of at least 5 bytes")
    return Signature(name, blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])


def sign(text: str, name: str, key: SigningKey) -> bytes:
    """Sign a text as a note with one signature line.

    Args:
        text: ends with a newline and holds no blank line.
        name: of the key; for a log, its origin.
        key: the private key.

    Raises:
        WireError: `note.malformed` if the result would be no note, or one whose text reads otherwise.
    """
    try:
        message = text.encode("utf-8")
    except UnicodeEncodeError:
        raise _bad_note("the text holds half a surrogate pair") from None
    if "\n\n" in text or not text.endswith("\n"):
        raise _bad_note("the text must end with a newline and hold no blank line")
    if not _is_key_name(name):
        raise _bad_note("the key's name is empty or holds white space or '+'")
    public_key = bytes(key.verify_key)
    signature = Signature(name, key_id(name, public_key), key.sign(message).signature)
    data = bytes(Note(text, (signature,)))
    Note.parse(data)
    return data


def open_note(data: bytes, vkey: VerifierKey) -> str:
    """The text of a note that this key has signed.

    Raises:
        WireError: `note.malformed`, `note.unsigned` or `note.signature`, judged in this order.
    """
    note = Note.parse(data)
    wanted = (vkey.name, vkey.id)
    own = next((line for line in note.signatures if (line.name, line.key_id) == wanted), None)
    if own is None:
        raise WireError("note.unsigned", f"no signature line is by {vkey.name} with key id {vkey.id.hex()}")
    if not keys.verifies(vkey.key, note.text.encode("utf-8"), own.signature):
        raise WireError("note.signature", f"the signature of {vkey.name} does not verify")
    return note.text


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log.

    Attributes:
        origin: the log's name.
        size: number of entries.
        root: root hash of the tree of this size, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The three lines that the log signs."""
        return f"{self.origin}\n{self.size}\n{base64_text(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a checkpoint note.

        Raises:
            WireError: `checkpoint.malformed`.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise _bad_checkpoint("a checkpoint has exactly three lines: origin, size, root")
        if not is_origin(lines[0]):
            raise _bad_checkpoint(
                "the origin is not names of a-z, 0-9, '.' and '-' joined by '/' in 200 bytes"
            )
        size = decimal(lines[1])
        if size is None:
            raise _bad_checkpoint("the size is not a number up to 2^53-1 in plain digits")
        root = base64_exact(lines[2])
        if root is None or len(root) != HASH_BYTES:
            raise _bad_checkpoint("the root is not canonical base64 of 32 bytes")
        return cls(lines[0], size, root)


def _bad_checkpoint(detail: str) -> WireError:
    return WireError("checkpoint.malformed", detail)


def open_checkpoint(data: bytes, vkey: VerifierKey) -> Checkpoint:
    """The checkpoint in a note that the log has signed.

    Raises:
        WireError: what `open_note` raises, then `checkpoint.malformed`, then `checkpoint.origin`.
    """
    checkpoint = Checkpoint.parse(open_note(data, vkey))
    if checkpoint.origin != vkey.name:
        raise WireError(
            "checkpoint.origin", f"the checkpoint is of {checkpoint.origin}, the key of {vkey.name}"
        )
    return checkpoint
