"""Receipts (C2SP tlog-proof): the proof that a statement stands in the log under a signed checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from clients.wire.errors import WireError
from clients.wire.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from clients.wire.note import Checkpoint, VerifierKey, open_checkpoint
from clients.wire.text import base64_exact, base64_text, decimal

# Twice a note: room for the longest path and the largest note.
MAX_RECEIPT_BYTES = 32_768
# Hashes of an audit path in the largest tree the format allows.
MAX_PATH = 63

_FIRST_LINE = "c2sp.org/tlog-proof@v1"
_INDEX = "index "


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt in the right form; nothing is verified yet.

    Attributes:
        index: the statement's place in the log, from 0.
        path: the audit path, the leaf's sibling first.
        note: the checkpoint note, verbatim.
    """

    index: int
    path: tuple[bytes, ...]
    note: bytes

    def __bytes__(self) -> bytes:
        lines = [_FIRST_LINE, f"{_INDEX}{self.index}", *map(base64_text, self.path), "", ""]
        return "\n".join(lines).encode("ascii") + self.note

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a receipt; its note is not looked into.

        Raises:
            WireError: `receipt.malformed`.
        """
        if len(data) > MAX_RECEIPT_BYTES:
            raise _malformed(f"a receipt has at most {MAX_RECEIPT_BYTES:,} bytes, this has {len(data):,}")
        head, blank, note = data.partition(b"\n\n")
        if not blank:
            raise _malformed("no blank line stands between path and checkpoint")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise WireError(
                "receipt.malformed", "a line above the blank one is not ASCII", offset=error.start
            ) from None
        if lines[0] != _FIRST_LINE:
            raise _malformed(f"the first line is not {_FIRST_LINE}")
        if len(lines) < 2 or not lines[1].startswith(_INDEX):
            raise _malformed("the second line is not the index")
        index = decimal(lines[1][len(_INDEX) :])
        if index is None:
            raise _malformed("the index is not a number up to 2^53-1 in plain digits")
        if len(lines) - 2 > MAX_PATH:
            raise _malformed(f"a path has at most {MAX_PATH} hashes, this has {len(lines) - 2}")
        return cls(index, tuple(map(_path_hash, lines[2:])), note)


def _malformed(detail: str) -> WireError:
    return WireError("receipt.malformed", detail)


def _path_hash(line: str) -> bytes:
    value = base64_exact(line)
    if value is None or len(value) != HASH_BYTES:
        raise _malformed("a line of the path is not canonical base64 of 32 bytes")
    return value


def write(index: int, path: Sequence[bytes], note: bytes) -> bytes:
    """The bytes of a receipt.

    Raises:
        WireError: `receipt.malformed` for what `Receipt.parse` would refuse.
    """
    data = bytes(Receipt(index, tuple(path), note))
    Receipt.parse(data)
    return data


def verify(data: bytes, statement: bytes, vkey: VerifierKey) -> tuple[int, Checkpoint]:
    """Verify a receipt for a statement and return its index and the checkpoint that includes it.

    Args:
        data: the receipt's bytes.
        statement: the exact bytes that were signed and sent.
        vkey: the log's key.

    Raises:
        WireError: `receipt.malformed`; what `open_checkpoint` raises; `receipt.proof` if the proof does not
            lead to the root.
    """
    receipt = Receipt.parse(data)
    checkpoint = open_checkpoint(receipt.note, vkey)
    try:
        verify_inclusion(leaf_hash(statement), receipt.index, checkpoint.size, receipt.path, checkpoint.root)
    except WireError as error:
        raise WireError(
            "receipt.proof", f"the receipt is not one for this statement: {error.detail}"
        ) from error
    return receipt.index, checkpoint
