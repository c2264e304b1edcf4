"""Numbers and texts searched for in bytes, in every form in which a figure could leave: the embargo's tests.

Distinctive numbers have six digits; where chance would find them in hashes and signatures all the same, a
form is wider (an integer of eight bytes) or has to stand by itself (a number in a text).
"""

import base64
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from gateway import _core
from tests.strategies import Content

Secret: TypeAlias = int | str | bytes

# What a stream of gzip begins with (RFC 1952), and zlib's usual first bytes.
_MAGIC = (b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x9c", b"\x78\xda")
# What hexadecimal and base64 are made of: no number stands among these.
_RUN = rb"[0-9A-Za-z+/]"


def forms(secret: Secret) -> Iterator[bytes]:
    """How a figure, a text or an id may stand in bytes, as regular expressions."""
    if isinstance(secret, int):
        text = str(secret).encode()
        yield rb"(?<!%b)%b(?!%b)" % (_RUN, text, _RUN)
        yield re.escape(f"{secret:,}".encode())
        yield re.escape(f"{secret:,}".replace(",", "\N{NO-BREAK SPACE}").encode())
        cbor = b"\x1a" + secret.to_bytes(4, "big")
        wholes = [cbor, secret.to_bytes(8, "big"), secret.to_bytes(8, "little")]
        yield from map(re.escape, wholes)
        wholes.append(text)
    else:
        wholes = [secret.encode() if isinstance(secret, str) else secret]
        yield re.escape(wholes[0])
    for whole in wholes:
        yield whole.hex().encode()
        yield whole.hex().upper().encode()
        yield from map(re.escape, _in_base64(whole))


def _in_base64(whole: bytes) -> Iterator[bytes]:
    """The characters that no neighbour changes, wherever it begins."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + whole).rstrip(b"=")
        inner = encoded[-(-before * 8 // 6) : (before + len(whole)) * 8 // 6]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes, and whatever is compressed in them."""
    yield data
    for magic in _MAGIC:
        at = data.find(magic)
        while at >= 0:
            try:
                inner = zlib.decompressobj(47).decompress(data[at:], 1 << 24)  # 47: gzip or zlib, as it says
            except zlib.error:
                inner = b""
            if inner:
                yield from unpacked(inner)
            at = data.find(magic, at + 1)


class Secrets:
    """What nobody may read, under names for people."""

    def __init__(self, secrets: Mapping[str, Secret]) -> None:
        self._secrets = secrets
        self._forms = {name: re.compile(b"|".join(forms(secret))) for name, secret in secrets.items()}

    def found(self, files: Iterable[tuple[str, bytes]]) -> set[tuple[str, str]]:
        """Pairs of a file's name and a secret that is in it."""
        return {
            (path, name)
            for path, data in files
            for inner in unpacked(data)
            for name, form in self._forms.items()
            if form.search(inner)
        }

    def control(self) -> None:
        """Proves that each is found in each form, and nothing where nothing is."""
        for name, secret in self._secrets.items():
            text = str(secret) if isinstance(secret, int) else secret
            plain = text.encode() if isinstance(text, str) else text
            hidden = [
                b'{"votes":[' + plain + b"]}",
                plain.hex().encode(),
                gzip.compress(plain + b"," + plain),
            ]
            hidden += [base64.b64encode(b"x" * before + plain + b"yy") for before in range(3)]
            hidden += [b"abc" + zlib.compress(plain) + b"def", gzip.compress(b" " + zlib.compress(plain))]
            if isinstance(secret, int):
                payload = _core.encode_payload("packet", _turnout(secret))
                hidden += [payload, payload.hex().encode(), f"{secret:,}".encode()]
                hidden += [base64.b64encode(b"x" * before + payload) for before in range(3)]
            for data in hidden:
                assert (name, name) in self.found([(name, data)]), (name, data)
        assert not self.found([("nothing", bytes(range(256)) * 4 + b'{"votes":[1,2,3]}')])


def _turnout(identified: int) -> Content:
    return (bytes(32), 1, 1, 1, b"", 0, (2, 0, ((3, identified),)))
