"""receipts.json: the proof that a statement stands in the log (docs/log.md, "Receipts")."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.vectors import good, tree
from tests.vectors.encoding import MAX_NUMBER
from tests.vectors.good import LOG, ORIGIN
from tests.vectors.notes import (
    MAX_NOTE,
    OTHER_LOG,
    VKEY,
    WITNESSES,
    b64,
    checkpoint_text,
    cosigned_line,
    filling_line,
    signature_line,
    signed_note,
)
from tests.vectors.render import Json, render, text_json

_FIRST = "c2sp.org/tlog-proof@v1"
_MAX_RECEIPT = 32_768
_STATEMENT = good.cases()[0].statement
_OTHER_STATEMENT = good.cases()[1].statement
_INDEX, _SIZE = 4, 7


class Case(NamedTuple):
    """A receipt for a statement under the log's key, and the code; None where it proves it."""

    name: str
    why: str
    code: str | None
    receipt: str
    statement: bytes = _STATEMENT

    @property
    def published(self) -> dict[str, Json]:
        case: dict[str, Json] = {"name": self.name, "why": self.why, "code": self.code}
        if self.code is None:
            lines = self.receipt.split("\n")
            case["index"] = int(lines[1].removeprefix("index "))
            case["size"] = int(lines[lines.index("") + 2])
        if self.statement != _STATEMENT:
            case["statement"] = self.statement.hex()
        return {**case, "receipt": text_json(self.receipt)}


def _root_with(index: int, start: int, stop: int) -> bytes:
    """The root of the log of tree.py in which the statement stands instead of one entry."""
    if not start <= index < stop:
        return tree.root(start, stop)
    if stop - start == 1:
        return tree.leaf(_STATEMENT)
    middle = start + tree.split(stop - start)
    return tree.node(_root_with(index, start, middle), _root_with(index, middle, stop))


def _text(index: int = _INDEX, size: int = _SIZE) -> str:
    return checkpoint_text(size, _root_with(index, 0, size))


def _receipt(index: int | str, hashes: Sequence[bytes | str], note: str) -> str:
    lines = (b64(value) if isinstance(value, bytes) else value for value in hashes)
    return "\n".join((_FIRST, f"index {index}", *lines, "", note))


def _good() -> Iterator[Case]:
    for index, size in ((0, 1), (0, 2), (1, 2), (6, 7), (255, 256), (256, 257), (300, 600)):
        receipt = _receipt(index, tree.path(index, 0, size), signed_note(_text(index, size)))
        yield Case(f"entry {index} of {size}", "the path leads to the root", None, receipt)
    note = signed_note(_text()) + cosigned_line("witness.example", WITNESSES[0], _text())
    yield Case("a witnessed checkpoint", "lines of others are read past", None, _receipt(_INDEX, _PATH, note))


_PATH = tree.path(_INDEX, 0, _SIZE)
_NOTE = signed_note(_text())
_GOOD = _receipt(_INDEX, _PATH, _NOTE)


def _malformed() -> Iterator[Case]:
    def case(name: str, why: str, receipt: str) -> Case:
        return Case(name, why, "receipt.malformed", receipt)

    yield case("nothing", "there is no first line", "")
    yield case("the checkpoint alone", "there is no first line", _NOTE)
    for name, first in (
        ("version 2", _FIRST.replace("v1", "v2")),
        ("an empty first line", ""),
        ("a scheme", "https://" + _FIRST),
        ("a space behind the first line", _FIRST + " "),
        ("a byte order mark", "\ufeff" + _FIRST),
    ):
        yield case(name, f"the first line is {_FIRST}", _GOOD.replace(_FIRST, first, 1))
    yield case("no index", "the second line", _GOOD.replace(f"index {_INDEX}\n", "", 1))
    for index, why in (
        ("04", "no leading zero"),
        ("+4", "no sign"),
        ("-1", "no sign"),
        ("", "digits"),
        (" 4", "one space"),
        ("4 ", "nothing may follow"),
        ("0x4", "decimal"),
        (f"{MAX_NUMBER + 1}", "at most 2^53-1"),
        (f"{2**64 + _INDEX}", "at most 2^53-1"),
    ):
        yield case(f"index {index or 'empty'}", why, _receipt(index, _PATH, _NOTE))
    yield case("Index", "lower case", _GOOD.replace("index", "Index", 1))
    extra = _GOOD.replace("\nindex", f"\nextra {b64(b'more')}\nindex", 1)
    yield case("an extra line", "tlog-proof has one, these receipts have none", extra)
    for name, why, value in (
        ("a hash of 31 bytes", "32 bytes", _PATH[0][:31]),
        ("a hash of 33 bytes", "32 bytes", _PATH[0] + b"\0"),
        ("a hash without its padding", "padded", b64(_PATH[0]).rstrip("=")),
        ("a hash with bits to spare", "canonical", f"{'A' * 42}B="),
        ("a hash in hex", "base64", _PATH[0].hex()),
        ("a space behind a hash", "nothing may follow", b64(_PATH[0]) + " "),
        ("a letter beyond ASCII in a hash", "base64", "я" * 22),
    ):
        yield case(name, why, _receipt(_INDEX, [value, *_PATH[1:]], _NOTE))
    yield case("64 hashes", "at most 63", _receipt(_INDEX, [bytes(32)] * 64, _NOTE))
    yield case(
        "no blank line before the checkpoint",
        "its first line is no hash",
        _receipt(_INDEX, _PATH, "")[:-1] + _NOTE,
    )
    yield case(
        "no checkpoint and no blank line", "a blank line ends the path", _receipt(_INDEX, _PATH, "")[:-1]
    )
    yield case("CRLF", "line feeds only", _GOOD.replace("\n", "\r\n"))
    room = _MAX_RECEIPT + 1 - len(_GOOD.encode())
    yield case("32,769 bytes", "the size is judged before the note inside", _GOOD + filling_line(room))


def _notes() -> Iterator[Case]:
    def case(name: str, why: str, code: str, note: str) -> Case:
        return Case(name, why, code, _receipt(_INDEX, _PATH, note))

    text = _text()
    yield case("no checkpoint", "an empty note", "note.malformed", "")
    yield case("a line feed behind the receipt", "the note is taken verbatim", "note.malformed", _NOTE + "\n")
    yield case("two blank lines", "the note starts with one", "note.signature", "\n" + _NOTE)
    room = MAX_NOTE + 1 - len(_NOTE.encode())
    yield case("a note of 16,385 bytes", "one too many", "note.malformed", _NOTE + filling_line(room))
    stranger = signed_note(text, key=OTHER_LOG)
    yield case("another log's checkpoint", "another key id", "note.unsigned", stranger)
    wrong = f"{text}\n" + signature_line(ORIGIN, _own_id() + bytes(64))
    yield case("a wrong signature", "zero bytes", "note.signature", wrong)
    yield case("no root", "the text is no checkpoint", "checkpoint.malformed", signed_note(f"{ORIGIN}\n7\n"))
    other = checkpoint_text(_SIZE, _root_with(_INDEX, 0, _SIZE), "example.org/other")
    yield case("another origin", "signed under the key's name", "checkpoint.origin", signed_note(other))


def _own_id() -> bytes:
    return bytes.fromhex(VKEY.split("+")[1])


def _proofs() -> Iterator[Case]:
    def case(
        name: str,
        why: str,
        index: int = _INDEX,
        hashes: Sequence[bytes] = _PATH,
        note: str = _NOTE,
        statement: bytes = _STATEMENT,
    ) -> Case:
        return Case(name, why, "receipt.proof", _receipt(index, hashes, note), statement)

    yield case("another statement", "each has its own receipt", statement=_OTHER_STATEMENT)
    flipped = _STATEMENT[:-1] + bytes((_STATEMENT[-1] ^ 1,))
    yield case("the same payload, another signature", "the bytes are what is logged", statement=flipped)
    yield case("no bytes", "not in the log", statement=b"")
    yield case("another index", "the sides are exchanged", index=_INDEX + 1)
    yield case("an index that is the size", "indexes start at 0", index=_SIZE)
    yield case("index 2^53-1", "beyond the size", index=MAX_NUMBER)
    yield case("no path", "a log of 7 needs one", hashes=())
    yield case("a hash too few", "the length follows from index and size", hashes=_PATH[:-1])
    yield case("a hash too many", "the length follows from index and size", hashes=[*_PATH, _PATH[0]])
    yield case("63 hashes", "the form allows them, this size does not", hashes=[bytes(32)] * 63)
    yield case("a hash exchanged", "one of the path", hashes=[_PATH[1], _PATH[0], *_PATH[2:]])
    other = signed_note(checkpoint_text(_SIZE, tree.root(0, _SIZE)))
    yield case("another tree of the same size", "a checkpoint of the log before", note=other)
    empty = signed_note(checkpoint_text(0, tree.root(0, 0)))
    yield case("an empty log", "it holds nothing", index=0, hashes=(), note=empty)
    node = tree.node(tree.root(0, 1), tree.root(1, 2))
    root = signed_note(checkpoint_text(1, node))
    pair = b"\x01" + tree.root(0, 1) + tree.root(1, 2)
    yield case("a node of the tree as a statement", "leaves are hashed with 0x00", 0, (), root, pair)


def document() -> bytes:
    """The file's bytes."""
    return render(
        {
            "about": "Receipts (docs/log.md): first the form, then the note inside, then the proof.",
            "log": LOG.published,
            "vkey": VKEY,
            "statement": _STATEMENT.hex(),
            "cases": [case.published for case in (*_good(), *_malformed(), *_notes(), *_proofs())],
        }
    )
