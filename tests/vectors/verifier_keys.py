"""verifier_keys.json: ``<name>+<key id>+<key>`` as docs/log.md describes it."""

from collections.abc import Iterator

from tests.vectors import ed25519
from tests.vectors.encoding import Key
from tests.vectors.good import LOG, ORIGIN
from tests.vectors.notes import COSIGNATURE, ED25519, OTHER_LOG, VKEY, b64, key_id, vkey
from tests.vectors.render import Json, render


def _good() -> Iterator[dict[str, Json]]:
    # A key whose base64 holds a plus.
    logs = (Key(f"log {place}") for place in range(100))
    plus = next(key for key in logs if "+" in b64(ED25519 + key.public))
    for case, why, name, key in (
        ("the log's", "of checkpoints.json and receipts.json", ORIGIN, LOG),
        ("a plus in the base64", "split on the first two only", ORIGIN, plus),
        ("a name of one letter", "the shortest", "a", LOG),
        ("a name in Cyrillic", "a key's name is any text without white space", "журнал", LOG),
        ("a name with marks", "only white space, controls and + are forbidden", "https://a.b/c?d=—#e", LOG),
        ("a zero width space", "U+200B is not White_Space", "a\u200bb", LOG),
        ("a Mongolian vowel separator", "U+180E is not White_Space", "a\u180eb", LOG),
    ):
        yield {
            "name": case,
            "why": why,
            "code": None,
            "vkey": vkey(name, key.public),
            "key_name": name,
            "key_id": key_id(name, key.public).hex(),
            "public_key": key.public.hex(),
        }


def _bad() -> Iterator[dict[str, Json]]:
    public = LOG.public
    name, identity, encoded = VKEY.split("+", 2)
    lettered = next(
        log for log in (f"log{place}" for place in range(100)) if not key_id(log, public).hex().isdigit()
    )
    shouted = key_id(lettered, public).hex().upper()
    for case, why, text in (
        ("nothing", "it has three parts", ""),
        ("a name alone", "it has three parts", name),
        ("a name and a key id alone", "it has three parts", f"{name}+{identity}"),
        ("no name", "a name is not empty", vkey("", public)),
        ("a space in the name", "U+0020", vkey("a b", public)),
        ("a no-break space in the name", "U+00A0 is White_Space", vkey("a\u00a0b", public)),
        ("an Ogham space mark in the name", "U+1680 is White_Space", vkey("a\u1680b", public)),
        ("a line separator in the name", "U+2028 is White_Space", vkey("a\u2028b", public)),
        ("an ideographic space in the name", "U+3000 is White_Space", vkey("a\u3000b", public)),
        ("a tab in the name", "U+0009", vkey("a\tb", public)),
        ("a line feed in the name", "U+000A", vkey("a\nb", public)),
        ("a NUL in the name", "U+0000 is a control character", vkey("a\0b", public)),
        ("a unit separator in the name", "U+001F is a control character", vkey("a\u001fb", public)),
        ("a delete in the name", "U+007F is a control character", vkey("a\u007fb", public)),
        ("a next line in the name", "U+0085 is a control character", vkey("a\u0085b", public)),
        ("U+009F in the name", "it is a control character", vkey("a\u009fb", public)),
        ("a plus in the name", "the second part is no key id then", vkey("a+b", public)),
        ("a name with one letter more", "the key id covers the name", f"{name}s+{identity}+{encoded}"),
        ("another key", "the key id covers the key", f"{name}+{identity}+{b64(ED25519 + OTHER_LOG.public)}"),
        ("an upper-case key id", "lower-case hex", f"{lettered}+{shouted}+{encoded}"),
        ("a key id of 7 digits", "it has 8", f"{name}+{identity[:7]}+{encoded}"),
        ("a key id of 9 digits", "it has 8", f"{name}+{identity}0+{encoded}"),
        ("no key id", "it has 8 digits", f"{name}++{encoded}"),
        ("type 0x04", "a witness's key", vkey(name, public, COSIGNATURE)),
        ("type 0x02", "another kind of key", vkey(name, public, b"\x02")),
        (
            "type 0x02 under the key id of type 0x01",
            "a second spelling of one key",
            "+".join((name, identity, b64(b"\x02" + public))),
        ),
        ("no type", "0x01 stands before the key", vkey(name, public, b"")),
        ("no key", "32 bytes", vkey(name, b"")),
        ("a key of 31 bytes", "32 bytes", vkey(name, public[:31])),
        ("a key of 33 bytes", "32 bytes", vkey(name, public + b"\0")),
        ("a space in the base64", "nothing but its letters", f"{VKEY[:-8]} {VKEY[-8:]}"),
        ("a line feed in the base64", "nothing but its letters", f"{VKEY[:-8]}\n{VKEY[-8:]}"),
        ("a line feed behind it", "nothing may follow", f"{VKEY}\n"),
        ("padding without need", "nothing may follow", f"{VKEY}===="),
        ("no point", "y = 2 belongs to no x", vkey(name, ed25519.NO_POINT)),
        ("y above the prime", "2^255 - 1", vkey(name, b"\xff" * 31 + b"\x7f")),
        ("the identity", "order 1", vkey(name, ed25519.IDENTITY)),
        ("the identity, not reduced", "y = p + 1", vkey(name, ed25519.IDENTITY_UNREDUCED)),
        ("the identity, with a sign", "x = 0 has none", vkey(name, ed25519.IDENTITY_SIGNED)),
        ("a point of order 2", "a small order", vkey(name, ed25519.ORDER_2)),
        ("a point of order 4", "a small order", vkey(name, ed25519.ORDER_4)),
        ("a point of order 8", "a small order", vkey(name, ed25519.ORDER_8)),
        ("a point of mixed order", "a good key and a point of order 8", vkey(name, ed25519.mixed(public))),
    ):
        yield {"name": case, "why": why, "code": "key.malformed", "vkey": text}


def document() -> bytes:
    """The file's bytes."""
    about = "Verifier keys of logs and snapshot signers (docs/log.md)."
    return render({"about": about, "keys": [*_good(), *_bad()]})
