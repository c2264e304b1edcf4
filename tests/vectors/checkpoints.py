"""checkpoints.json: notes that are, or are not, a log's signed head (docs/log.md, "Checkpoint")."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.vectors import ed25519, tree
from tests.vectors.encoding import MAX_NUMBER, sha256
from tests.vectors.good import LOG, ORIGIN
from tests.vectors.notes import (
    DASH,
    MAX_NOTE,
    OTHER_LOG,
    OWN,
    SIZE,
    TEXT,
    VKEY,
    WITNESSES,
    b64,
    checkpoint_text,
    cosigned_line,
    filling_line,
    key_id,
    note,
    signature_line,
    signed_line,
    signed_note,
    vkey,
)
from tests.vectors.render import Json, render, text_json

_ROOT = tree.root(0, SIZE)
_ID = key_id(ORIGIN, LOG.public)
_SIGNATURE = LOG.sign(TEXT.encode())
_GOOD = note(TEXT, OWN)


class Case(NamedTuple):
    """A note, the key that is asked for, and the code; None where it is a checkpoint of that key's log."""

    name: str
    why: str
    code: str | None
    note: str | bytes
    vkey: str = VKEY

    @property
    def published(self) -> dict[str, Json]:
        case: dict[str, Json] = {"name": self.name, "why": self.why, "code": self.code}
        if self.vkey != VKEY:
            case["vkey"] = self.vkey
        if isinstance(self.note, bytes):
            return {**case, "note_hex": self.note.hex()}
        case["note"] = text_json(self.note)
        if self.code is None:
            origin, size, root = self.note.split("\n")[:3]
            case["checkpoint"] = {"origin": origin, "size": int(size), "root": root}
        return case


def _good() -> Iterator[Case]:
    witnessed = [
        cosigned_line(f"witness-{place}.example", key, TEXT) for place, key in enumerate(WITNESSES[:15])
    ]
    yield Case("one line", "the log's own", None, _GOOD)
    yield Case(
        "a cosignature behind it", "lines of others are read past", None, note(TEXT, OWN, witnessed[0])
    )
    yield Case(
        "a cosignature before it", "lines of others are read past", None, note(TEXT, witnessed[0], OWN)
    )
    yield Case("sixteen lines", "the log's own is the last", None, note(TEXT, *witnessed, OWN))
    stranger = signed_line(ORIGIN, OTHER_LOG, TEXT)
    yield Case("its name, another key id", "another's line", None, note(TEXT, stranger, OWN))
    borrowed = signature_line("example.org", _ID + bytes(64))
    yield Case("its key id, another name", "another's line", None, note(TEXT, borrowed, OWN))
    short = signature_line("a", bytes(5))
    yield Case(
        "another's line of 5 bytes", "the fewest: a key id and something", None, note(TEXT, short, OWN)
    )
    marks = signature_line("журнал/–?\u200b", bytes(9))
    yield Case("another's name of any characters", "no white space, no plus", None, note(TEXT, marks, OWN))
    filled = note(TEXT, filling_line(MAX_NOTE - len(_GOOD.encode())), OWN)
    yield Case("exactly 16,384 bytes", "the largest note", None, filled)
    empty = checkpoint_text(0, sha256(b""))
    yield Case("size 0", "the root of nothing", None, signed_note(empty))
    yield Case("size 1", "one digit", None, signed_note(checkpoint_text(1, tree.root(0, 1))))
    yield Case("size 2^53-1", "the largest", None, signed_note(checkpoint_text(MAX_NUMBER, _ROOT)))
    for why, origin in (
        ("200 bytes", "/".join(("a" * 99, "b" * 100))),
        ("the shortest", "a"),
        ("marks anywhere", "-./.-/9"),
    ):
        text = checkpoint_text(SIZE, _ROOT, origin)
        yield Case(f"origin {origin[:9]}", why, None, signed_note(text, origin), vkey(origin, LOG.public))
    slashed = checkpoint_text(SIZE, b"\xfb\xff" * 16)
    assert {"+", "/"} <= set(slashed.split("\n")[2])
    yield Case("a root with + and /", "the standard alphabet", None, signed_note(slashed))


def _malformed() -> Iterator[Case]:
    def case(name: str, why: str, data: str | bytes) -> Case:
        return Case(name, why, "note.malformed", data)

    witness = cosigned_line("witness.example", WITNESSES[0], TEXT)
    blob = _ID + _SIGNATURE
    yield case("nothing", "there is no blank line", "")
    yield case("a blank line alone", "there is no text and no signature line", "\n\n")
    yield case("the text alone", "there is no blank line", TEXT)
    yield case("no signature line", "at least one", note(TEXT))
    yield case("no blank line", "it divides text and signatures", TEXT + OWN)
    yield case("no last line feed", "each line ends in one", _GOOD[:-1])
    yield case("a blank line at the end", "the last one divides: no signature line follows it", _GOOD + "\n")
    yield case("a word behind the lines", "it is no signature line", _GOOD + "end\n")
    yield case("CRLF", "carriage returns are control characters", _GOOD.replace("\n", "\r\n"))
    for name, character in (
        ("U+0000", "\0"),
        ("a tab", "\t"),
        ("U+007F", "\x7f"),
        ("U+0085", "\x85"),
        ("U+009F", "\x9f"),
    ):
        text = checkpoint_text(SIZE, _ROOT) + f"a{character}b\n"
        yield case(f"{name} in the text", "a control character", signed_note(text))
    yield case("a byte that is no UTF-8", "ff", note(TEXT, OWN).encode() + b"\xff\n")
    yield case("half a surrogate pair", "ed a0 80 is no UTF-8", b"\xed\xa0\x80" + note(TEXT, OWN).encode())
    yield case("Latin-1", "97 for the dash", _GOOD.encode().replace("\u2014".encode(), b"\x97"))
    yield case(
        "16,385 bytes", "one too many", note(TEXT, filling_line(MAX_NOTE + 1 - len(_GOOD.encode())), OWN)
    )
    lines = [cosigned_line(f"witness-{place}.example", key, TEXT) for place, key in enumerate(WITNESSES)]
    yield case("seventeen lines", "at most sixteen", note(TEXT, OWN, *lines))
    yield case("the line twice", "one name and key id", note(TEXT, OWN, OWN))
    flipped = signature_line(ORIGIN, _ID + bytes(64))
    yield case("the line twice, the second wrong", "one name and key id", note(TEXT, OWN, flipped))
    yield case("a witness twice", "one name and key id", note(TEXT, OWN, witness, witness))
    for name, why, line in (
        ("a hyphen for the dash", "U+2014", OWN.replace("\u2014", "-")),
        ("an en dash for the dash", "U+2014", OWN.replace("\u2014", "\u2013")),
        ("no space behind the dash", "one space", OWN.replace(DASH, "\u2014")),
        ("a no-break space behind the dash", "U+0020", OWN.replace(DASH, "\u2014\u00a0")),
        ("two spaces behind the dash", "an empty name", OWN.replace(DASH, DASH + " ")),
        ("two spaces before the base64", "one space", OWN.replace(f"{ORIGIN} ", f"{ORIGIN}  ")),
        ("a space behind the base64", "nothing may follow", OWN.replace("\n", " \n")),
        ("a space before the dash", "nothing may stand before", " " + OWN),
        ("no base64", "at least 5 bytes", f"{DASH}{ORIGIN}\n"),
        ("an empty base64", "at least 5 bytes", f"{DASH}{ORIGIN} \n"),
        ("a plus in the name", "it divides the parts of a verifier key", signature_line("a+b", blob)),
        ("a no-break space in the name", "White_Space", signature_line("a\u00a0b", blob)),
        ("a line separator in the name", "White_Space", signature_line("a\u2028b", blob)),
        ("a key id alone", "at least 5 bytes", signature_line("a", blob[:4])),
        ("base64 without its padding", "padded", signature_line("a", blob[:5]).replace("=", "")),
        ("base64 with bits to spare", "AAAAAAB= means what AAAAAAA= means", f"{DASH}a AAAAAAB=\n"),
        ("URL-safe base64", "the standard alphabet", f"{DASH}a _-__-_8=\n"),
        ("base64 cut short", "groups of four", f"{DASH}a AAAAA\n"),
        ("hex", "no base64: its length is odd", f"{DASH}a {blob.hex()}0\n"),
    ):
        yield case(name, why, note(TEXT, line))
        if name in ("a key id alone", "an en dash for the dash", "a line separator in the name"):
            why = "every line is judged before any is looked for"
            yield case(f"{name}, behind the log's own line", why, note(TEXT, OWN, line))


def _signatures() -> Iterator[Case]:
    def unsigned(name: str, why: str, line: str, key: str = VKEY) -> Case:
        return Case(name, why, "note.unsigned", note(TEXT, line), key)

    yield unsigned("another log's line", "another name and key id", signed_line("a.b", OTHER_LOG, TEXT))
    yield unsigned("its name, another's key", "another key id", signed_line(ORIGIN, OTHER_LOG, TEXT))
    yield unsigned("its key id under another name", "both must fit", signature_line("a.b", _ID + _SIGNATURE))
    yield unsigned(
        "its name in upper case", "both must fit", signature_line(ORIGIN.upper(), _ID + _SIGNATURE)
    )
    as_witness = key_id(ORIGIN, LOG.public, b"\x04")
    yield unsigned(
        "its key id for type 0x04", "another key id", signature_line(ORIGIN, as_witness + _SIGNATURE)
    )
    yield unsigned("asked for another log's key", "the line is not its", OWN, vkey("a.b", OTHER_LOG.public))

    def wrong(name: str, why: str, signature: bytes, text: str = TEXT) -> Case:
        return Case(name, why, "note.signature", note(text, signature_line(ORIGIN, _ID + signature)))

    encoded = TEXT.encode()
    nobody = ed25519.with_r(ed25519.IDENTITY, 0, LOG, encoded)
    yield wrong("a bit flipped in R", "one bit", bytes((_SIGNATURE[0] ^ 1,)) + _SIGNATURE[1:])
    yield wrong(
        "a bit flipped in S", "one bit", _SIGNATURE[:32] + bytes((_SIGNATURE[32] ^ 1,)) + _SIGNATURE[33:]
    )
    yield wrong("S + L", "S must be below the group's order", ed25519.with_larger_s(_SIGNATURE))
    yield wrong("R the identity", "the equation holds, but R is of small order", nobody)
    yield wrong("another's signature", "under the log's name and key id", OTHER_LOG.sign(encoded))
    yield wrong("63 bytes", "a signature has 64", _SIGNATURE[:63])
    yield wrong("65 bytes", "a signature has 64", _SIGNATURE + b"\0")
    yield wrong("1 byte", "a signature has 64", _SIGNATURE[:1])
    yield wrong("72 bytes", "a cosignature with its time is none of the log's", bytes(8) + _SIGNATURE)
    yield wrong("over the text without its last line feed", "it is signed too", LOG.sign(encoded[:-1]))
    yield wrong("over the text and the blank line", "it is not signed", LOG.sign(encoded + b"\n"))
    yield wrong("over the text's SHA-256", "the text itself is signed", LOG.sign(sha256(encoded)))
    yield wrong("of another size", "600 became 601", _SIGNATURE, TEXT.replace("600", "601"))
    yield wrong(
        "of a text before the first blank line", "the last one divides", _SIGNATURE, f"{TEXT}\nmore\n"
    )
    yield wrong("of no checkpoint", "the signature is judged before the text", _SIGNATURE, "hello\n")


def _texts() -> Iterator[Case]:
    def case(name: str, why: str, text: str, origin: str = ORIGIN) -> Case:
        return Case(name, why, "checkpoint.malformed", signed_note(text, origin), vkey(origin, LOG.public))

    root = b64(_ROOT)
    yield case("no root", "three lines", f"{ORIGIN}\n{SIZE}\n")
    yield case("an extension line", "three lines", f"{TEXT}extension\n")
    yield case("a blank line in the text", "three lines", f"{ORIGIN}\n\n{SIZE}\n{root}\n")
    yield case("a blank line at the text's end", "three lines", f"{TEXT}\n")
    yield case("an empty line", "three lines", "\n")
    yield case("any other text", "three lines", "hello\n")
    for size, why in (
        ("0600", "no leading zero"),
        ("00", "no leading zero"),
        ("+600", "no sign"),
        ("-0", "no sign"),
        ("", "digits"),
        (" 600", "no space"),
        ("600 ", "no space"),
        ("0x258", "decimal"),
        ("6e2", "decimal"),
        ("600.0", "decimal"),
        ("٦٠٠", "ASCII digits"),
        (f"{MAX_NUMBER + 1}", "at most 2^53-1"),
        (f"{2**64}", "at most 2^53-1"),
    ):
        yield case(f"size {size or 'empty'}", why, f"{ORIGIN}\n{size}\n{root}\n")
    for name, why, encoded in (
        ("an empty root", "32 bytes", ""),
        ("a root of 31 bytes", "32 bytes", b64(_ROOT[:31])),
        ("a root of 33 bytes", "32 bytes", b64(_ROOT + b"\0")),
        ("a root without its padding", "padded", root.rstrip("=")),
        ("a root with bits to spare", "canonical", f"{'A' * 42}B="),
        ("a root in URL-safe base64", "the standard alphabet", "-_" * 21 + "8="),
        ("a root in hex", "base64", _ROOT.hex()),
        ("a space behind the root", "nothing may follow", root + " "),
    ):
        yield case(name, why, f"{ORIGIN}\n{SIZE}\n{encoded}\n")
    for origin, why in (
        ("Example.org", "lower case"),
        ("example.org/", "no slash at the end"),
        ("/example.org", "no slash at the start"),
        ("a//b", "no empty part"),
        ("https://a.b", "no scheme"),
        ("a_b", "no underscore"),
        ("журнал", "ASCII"),
        ("a" * 201, "at most 200 bytes"),
    ):
        yield case(f"origin {origin[:12]}", why, checkpoint_text(SIZE, _ROOT, origin), origin)
    nameless = checkpoint_text(SIZE, _ROOT, "")
    yield case("an empty origin", "at least one character", nameless)
    yield case(
        "an origin that is none, and another's", "the form is judged first", nameless.replace("\n", "A\n", 1)
    )
    for origin, why in (
        ("example.org/other", "another log's"),
        (ORIGIN[:-1], "a prefix of the key's name"),
        (f"{ORIGIN}/1", "longer than the key's name"),
    ):
        text = checkpoint_text(SIZE, _ROOT, origin)
        yield Case(f"the checkpoint of {origin}", why, "checkpoint.origin", signed_note(text))


def document() -> bytes:
    """The file's bytes."""
    cases = (*_good(), *_malformed(), *_signatures(), *_texts())
    return render(
        {
            "about": "Checkpoint notes (docs/log.md): note.* is judged first, then checkpoint.*.",
            "log": LOG.published,
            "vkey": VKEY,
            "cases": [case.published for case in cases],
        }
    )
