"""What several formats say about text: control characters, numbers, base64, hex and the name of a log."""

import base64
import binascii
import re

# Above it a JSON reader in JavaScript loses digits; no number of an election comes near (packet.md,
# "Payload").
MAX_NUMBER = 2**53 - 1
# Bytes of a text or of a table's cell: a long paragraph, in three scripts (packet.md, "Payload").
MAX_TEXT_BYTES = 2_000
# Bytes of a log's origin: it stands in every checkpoint, receipt and witness request (log.md, "The log").
MAX_ORIGIN_BYTES = 200

# Characters of a refused text in a message: enough to find it by.
_QUOTED_CHARACTERS = 40

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,15}")
_ORIGIN = re.compile(r"[a-z0-9.-]+(?:/[a-z0-9.-]+)*")
_HEX_32 = re.compile(r"[0-9a-f]{64}")
# Unicode's White_Space property: Python's str.isspace() is another set (it adds U+001C to U+001F).
_WHITE_SPACE = re.compile(r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")


def has_control(text: str) -> bool:
    """Whether a character of U+0000-001F or U+007F-009F stands in the text."""
    return _CONTROL.search(text) is not None


def has_white_space(text: str) -> bool:
    """Whether a character with Unicode's White_Space property stands in the text."""
    return _WHITE_SPACE.search(text) is not None


def is_plain(text: str, least: int) -> bool:
    """Whether a text that was read from UTF-8 has `least` to 2,000 bytes of it and no control character."""
    return least <= len(text.encode()) <= MAX_TEXT_BYTES and not has_control(text)


def quoted(text: str) -> str:
    """Other people's text for a message: 40 characters in quotation marks, none that steers a terminal."""
    return repr(text[:_QUOTED_CHARACTERS])


def is_origin(text: str) -> bool:
    """Whether the text can name a log."""
    return len(text) <= MAX_ORIGIN_BYTES and _ORIGIN.fullmatch(text) is not None


def decimal(text: str) -> int | None:
    """The number that `text` writes in plain digits (no sign, no leading zero, up to 2^53-1), or None."""
    if _DECIMAL.fullmatch(text) is None:
        return None
    value = int(text)
    return value if value <= MAX_NUMBER else None


def hex_32(text: str) -> bytes | None:
    """The 32 bytes that 64 lower-case hex digits write, or None."""
    return bytes.fromhex(text) if _HEX_32.fullmatch(text) is not None else None


def base64_exact(text: str) -> bytes | None:
    """The bytes that `text` writes in padded, canonical base64 (RFC 4648, section 4), or None."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64_text(decoded) == text else None


def base64_text(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")
