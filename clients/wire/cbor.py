"""The restricted CBOR of statements (packet.md, "Payload"): a strict reader with offsets, and a writer.

Only unsigned integers, byte strings, text strings and definite-length arrays exist, each with the shortest
head (RFC 8949, section 4.2.1). The reader goes strictly left to right and answers with the first deviation:
its rule, and the offset of the head of the item that breaks it. Grammars are written on top of it by asking
for one item after another.
"""

from typing import Final, TypeAlias

from clients.wire.errors import WireError
from clients.wire.text import MAX_NUMBER, MAX_TEXT_BYTES, has_control

# A payload as nested tuples, in exactly the order and nesting of packet.md's CDDL.
Content: TypeAlias = tuple["int | bytes | str | Content", ...]

UINT: Final = 0
BYTES: Final = 2
TEXT: Final = 3
ARRAY: Final = 4

_NAMES = (
    "an unsigned integer",
    "a negative integer",
    "a byte string",
    "a text string",
    "an array",
    "a map",
    "a tag",
    "a simple or floating-point value",
)
# Arguments below 24 stand in the head; 24, 25, 26 and 27 say that 1, 2, 4 or 8 bytes follow.
_INLINE = 24
_ONE_BYTE = 24
_TWO_BYTES = 25
_RESERVED = 28
# Arrays within arrays: payload, report, counts, count, figures, figure (packet.md, "Payload").
MAX_DEPTH = 6
_HASH_BYTES = 32
_HASH_HEAD = b"\x58\x20"


def malformed(rule: str, offset: int | None, detail: str) -> WireError:
    """The refusal `statement.malformed`.

    Args:
        rule: the rule of docs/packet.md that is broken.
        offset: from the first byte of the statement; None where a value has no encoding at all.
        detail: a sentence for people.
    """
    return WireError("statement.malformed", detail, rule=rule, offset=offset)


class Reader:
    """Reads the items of one byte range, from left to right; every refusal is `statement.malformed`.

    Attributes:
        data: the bytes that offsets count in.
        at: offset of the next item's head.
        end: offset at which the range ends.
    """

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def head(self, major: int) -> int:
        """Read a head of the wanted major type and return its argument (at most 2^53-1)."""
        at = self.at
        if at >= self.end:
            raise malformed("truncated", self.end, f"the bytes end where {_NAMES[major]} must stand")
        byte = self.data[at]
        if byte >> 5 != major:
            raise malformed("type", at, f"{_NAMES[major]} must stand here, not {_NAMES[byte >> 5]}")
        info = byte & 31
        if info < _INLINE:
            self.at = at + 1
            return info
        return self._argument(at, info)

    def _argument(self, at: int, info: int) -> int:
        if info >= _RESERVED:
            raise malformed(
                "head", at, "the head is reserved or of indefinite length: only definite lengths are allowed"
            )
        width = 1 << (info - _INLINE)
        after = at + 1 + width
        if after > self.end:
            raise malformed("truncated", at, "the bytes end within this head")
        value = int.from_bytes(self.data[at + 1 : after], "big")
        if value < (_INLINE if width == 1 else 1 << (4 * width)):
            raise malformed("shortest", at, f"{value} has a shorter head")
        if value > MAX_NUMBER:
            raise malformed("range", at, f"{value} is above 2^53-1")
        self.at = after
        return value

    def uint(self) -> int:
        """Read an unsigned integer up to 2^53-1."""
        # Values below 24 and from 256 to 65,535 are nearly all there are outside lists of votes.
        at = self.at
        data = self.data
        if at < self.end and (byte := data[at]) < _INLINE:
            self.at = at + 1
            return byte
        if at + 2 < self.end and byte == _TWO_BYTES and (high := data[at + 1]):
            self.at = at + 3
            return high << 8 | data[at + 2]
        return self.head(UINT)

    def within(self, least: int, most: int, what: str) -> int:
        """Read an unsigned integer from `least` to `most`; `what` names the field."""
        at = self.at
        value = self.head(UINT)
        if not least <= value <= most:
            raise malformed("range", at, f"{what} is {value}, must be {least} to {most}")
        return value

    def number(self, what: str) -> int:
        """Read the number of a thing: 1 to 2^53-1."""
        at = self.at
        value = self.head(UINT)
        if value == 0:
            raise malformed("range", at, f"{what} is 0, numbers of things start at 1")
        return value

    def uints(self, count: int) -> Content:
        """Read `count` unsigned integers: a packet's many votes, without a call for each small one."""
        values: list[int] = []
        append = values.append
        data = self.data
        end = self.end
        at = self.at
        for _ in range(count):
            if at < end and (byte := data[at]) < _INLINE:
                append(byte)
                at += 1
            elif at + 1 < end and byte == _ONE_BYTE and (value := data[at + 1]) >= _INLINE:
                append(value)
                at += 2
            elif at + 2 < end and byte == _TWO_BYTES and (high := data[at + 1]):
                append(high << 8 | data[at + 2])
                at += 3
            else:
                self.at = at
                append(self.head(UINT))
                at = self.at
        self.at = at
        return tuple(values)

    def array(self, least: int, most: int, what: str) -> int:
        """Read an array's head and return its number of elements, `least` to `most`."""
        at = self.at
        count = self.head(ARRAY)
        if not least <= count <= most:
            wanted = f"{least}" if least == most else f"from {least} to {most}"
            raise malformed("length", at, f"{what} has {count} elements, must have {wanted}")
        return count

    def digest(self, what: str) -> bytes:
        """Read a byte string of exactly 32 bytes."""
        at = self.at
        after = at + 2 + _HASH_BYTES
        if after <= self.end and self.data.startswith(_HASH_HEAD, at):
            self.at = after
            return self.data[at + 2 : after]
        size = self.head(BYTES)
        if size != _HASH_BYTES:
            raise malformed("length", at, f"{what} has {size} bytes, must have 32")
        return self._take(at, size)

    def digest_or_empty(self, what: str) -> bytes:
        """Read a byte string of 32 bytes or of none."""
        at = self.at
        size = self.head(BYTES)
        if size not in (0, _HASH_BYTES):
            raise malformed("length", at, f"{what} has {size} bytes, must have 32 or none")
        return self._take(at, size)

    def string(self) -> bytes:
        """Read a byte string of any length."""
        at = self.at
        return self._take(at, self.head(BYTES))

    def text(self, what: str) -> str:
        """Read a text string of 1 to 2,000 bytes of well-formed UTF-8 without control characters."""
        at = self.at
        size = self.head(TEXT)
        if not 1 <= size <= MAX_TEXT_BYTES:
            raise malformed("text", at, f"{what} has {size} bytes, must have 1 to {MAX_TEXT_BYTES:,}")
        encoded = self._take(at, size)
        try:
            text = encoded.decode("utf-8")
        except UnicodeDecodeError:
            raise malformed("text", at, f"{what} is not well-formed UTF-8") from None
        if has_control(text):
            raise malformed("text", at, f"{what} holds a control character")
        return text

    def _take(self, head_at: int, size: int) -> bytes:
        start = self.at
        after = start + size
        if after > self.end:
            raise malformed("truncated", head_at, f"{size} bytes must follow, only {self.end - start} do")
        self.at = after
        return self.data[start:after]


def head(major: int, argument: int) -> bytes:
    """The shortest head of a major type and an argument below 2^64."""
    first = major << 5
    if argument < _INLINE:
        return bytes((first | argument,))
    for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * width):
            return bytes((first | info,)) + argument.to_bytes(width, "big")
    raise malformed("range", None, "an integer is above 2^53-1")


# Most integers of a packet (codes, contests, votes) are below 1,024: their encodings, ready made.
_SMALL = tuple(head(UINT, value) for value in range(1024))
_ARRAYS = tuple(head(ARRAY, count) for count in range(32))


def encode(content: Content) -> bytes:
    """Write nested tuples of int, bytes and str.

    Raises:
        WireError: `statement.malformed` for what has no encoding in this restricted CBOR (rule `type`,
            `range` or `text`, no offset).
    """
    parts: list[bytes] = []
    _write_array(content, parts, MAX_DEPTH)
    return b"".join(parts)


def _write_array(items: Content, parts: list[bytes], depth: int) -> None:
    if depth == 0:
        raise malformed("type", None, f"arrays stand within arrays more than {MAX_DEPTH} deep")
    append = parts.append
    append(_ARRAYS[len(items)] if len(items) < len(_ARRAYS) else head(ARRAY, len(items)))
    for item in items:
        # type(), not isinstance(): True is an int to Python and nothing to a packet.
        if type(item) is int:
            if 0 <= item < 1024:
                append(_SMALL[item])
            elif item < 0:
                raise malformed("type", None, "an integer is negative")
            else:
                append(head(UINT, item))
        elif type(item) is tuple:
            _write_array(item, parts, depth - 1)
        elif type(item) is bytes:
            append(head(BYTES, len(item)))
            append(item)
        elif type(item) is str:
            try:
                encoded = item.encode("utf-8")
            except UnicodeEncodeError:
                raise malformed("text", None, "a text holds half a surrogate pair") from None
            append(head(TEXT, len(encoded)))
            append(encoded)
        else:
            raise malformed(
                "type", None, f"a {type(item).__name__} is neither a number, bytes, text nor a tuple"
            )
