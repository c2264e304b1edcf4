"""Signed notes and verifier keys (C2SP signed-note), built piece by piece so that each piece can be wrong."""

import base64
from typing import Final

from tests.vectors import tree
from tests.vectors.encoding import Key, sha256
from tests.vectors.good import LOG, ORIGIN, SIGNED_AT

DASH: Final = "\u2014 "
MAX_NOTE: Final = 16_384
# Ed25519, and the cosignatures of witnesses.
ED25519: Final = b"\x01"
COSIGNATURE: Final = b"\x04"

OTHER_LOG: Final = Key("another log")
WITNESSES: Final = tuple(Key(f"witness {place}") for place in range(1, 17))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def key_id(name: str, public: bytes, kind: bytes = ED25519) -> bytes:
    return sha256(name.encode() + b"\n" + kind + public)[:4]


def vkey(name: str, public: bytes, kind: bytes = ED25519) -> str:
    """``<name>+<key id>+<key>``, whatever the name and the key are."""
    return f"{name}+{key_id(name, public, kind).hex()}+{b64(kind + public)}"


def signature_line(name: str, blob: bytes) -> str:
    """A line of any name with any bytes."""
    return f"{DASH}{name} {b64(blob)}\n"


def signed_line(name: str, key: Key, text: str) -> str:
    """A line that verifies."""
    return signature_line(name, key_id(name, key.public) + key.sign(text.encode()))


def cosigned_line(name: str, key: Key, text: str) -> str:
    """A witness's line (C2SP tlog-cosignature): a time of 8 bytes stands before the signature."""
    time = SIGNED_AT // 1_000
    signature = key.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
    return signature_line(name, key_id(name, key.public, COSIGNATURE) + time.to_bytes(8, "big") + signature)


def filling_line(room: int) -> str:
    """A stranger's line of exactly so many bytes."""
    # The dash has three bytes; with its two spaces and the line feed that makes six.
    name = "w" * (1 + (room - 7) % 4)
    encoded = room - 6 - len(name)
    line = signature_line(name, bytes(encoded // 4 * 3))
    assert len(line.encode()) == room
    return line


def checkpoint_text(size: int, root: bytes, origin: str = ORIGIN) -> str:
    """The three lines that a log signs."""
    return f"{origin}\n{size}\n{b64(root)}\n"


def note(text: str, *lines: str) -> str:
    """Text, blank line, signature lines."""
    return f"{text}\n{''.join(lines)}"


def signed_note(text: str, name: str = ORIGIN, key: Key = LOG) -> str:
    """A note with one line that verifies."""
    return note(text, signed_line(name, key, text))


VKEY: Final = vkey(ORIGIN, LOG.public)
SIZE: Final = 600
TEXT: Final = checkpoint_text(SIZE, tree.root(0, SIZE))
OWN: Final = signed_line(ORIGIN, LOG, TEXT)
