"""Tiles and entry bundles of the log (C2SP tlog-tiles): paths, bytes, and which of them a tree has.

A tile holds up to 256 hashes; the tile at level L, number N holds the roots of complete subtrees of 256^L
leaves. Entry bundles hold the statements of the same 256 indexes. A partial tile never feeds the level above,
and each width has its own immutable path.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clients.wire.errors import WireError
from clients.wire.merkle import HASH_BYTES, Tree
from clients.wire.statement import MAX_STATEMENT_BYTES

TILE_WIDTH = 256
# A tile is the top of this many levels of the tree: log2 of its width.
TILE_HEIGHT = 8
_LENGTH_BYTES = 2


class Tile(NamedTuple):
    """The name of a tile of hashes: level (0 = leaf hashes), number at that level, width (1 to 256)."""

    level: int
    number: int
    width: int

    @property
    def path(self) -> str:
        """Path below the log's root, e.g. ``tile/0/x001/x234/067.p/1``."""
        return f"tile/{self.level}/{_number_path(self.number)}{_partial(self.width)}"


class Bundle(NamedTuple):
    """The name of an entry bundle: its number and its width (1 to 256)."""

    number: int
    width: int

    @property
    def path(self) -> str:
        """Path below the log's root, e.g. ``tile/entries/000``."""
        return f"tile/entries/{_number_path(self.number)}{_partial(self.width)}"


def _number_path(number: int) -> str:
    """The number in groups of three digits, all but the last marked with an x."""
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def _partial(width: int) -> str:
    if not 1 <= width <= TILE_WIDTH:
        raise WireError("proof.malformed", f"a tile is 1 to {TILE_WIDTH} hashes wide")
    return "" if width == TILE_WIDTH else f".p/{width}"


def _widths(count: int) -> Iterator[tuple[int, int]]:
    """Number and width of the tiles that hold `count` things."""
    for number in range(count // TILE_WIDTH):
        yield number, TILE_WIDTH
    if count % TILE_WIDTH:
        yield count // TILE_WIDTH, count % TILE_WIDTH


def tiles(size: int) -> Iterator[Tile]:
    """All tiles of a log with `size` entries, from the leaves up."""
    level = 0
    while count := size >> (TILE_HEIGHT * level):
        for number, width in _widths(count):
            yield Tile(level, number, width)
        level += 1


def bundles(size: int) -> Iterator[Bundle]:
    """All entry bundles of a log with `size` entries."""
    for number, width in _widths(size):
        yield Bundle(number, width)


def tile_bytes(tree: Tree, tile: Tile) -> bytes:
    """The content of a tile.

    Raises:
        WireError: `proof.malformed` if the tree is too small to have it, or no tile is that wide.
    """
    _partial(tile.width)
    first = tile.number * TILE_WIDTH
    level = tile.level * TILE_HEIGHT
    return b"".join(tree.subtree(level, place) for place in range(first, first + tile.width))


def decode_tile(data: bytes, width: int) -> list[bytes]:
    """The hashes of a tile of `width` hashes.

    Raises:
        WireError: `tile.malformed`.
    """
    if not 1 <= width <= TILE_WIDTH:
        raise WireError("tile.malformed", f"a tile is 1 to {TILE_WIDTH} hashes wide, not {width}")
    if len(data) != width * HASH_BYTES:
        raise WireError(
            "tile.malformed", f"a tile of {width} hashes has {width * HASH_BYTES} bytes, this has {len(data)}"
        )
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def bundle_bytes(entries: Sequence[bytes]) -> bytes:
    """The content of a bundle of 1 to 256 entries.

    Raises:
        WireError: `bundle.malformed` for what `decode_bundle` would refuse.
    """
    _judge_bundle_width(len(entries))
    parts: list[bytes] = []
    for entry in entries:
        _judge_entry(len(entry), None)
        parts.append(len(entry).to_bytes(_LENGTH_BYTES, "big"))
        parts.append(entry)
    return b"".join(parts)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle of `width` entries.

    Raises:
        WireError: `bundle.malformed`, with the offset of the entry's length.
    """
    _judge_bundle_width(width)
    entries: list[bytes] = []
    at = 0
    for place in range(width):
        start = at + _LENGTH_BYTES
        if start > len(data):
            raise WireError("bundle.malformed", f"the bundle ends before entry {place} of {width}", offset=at)
        size = int.from_bytes(data[at:start], "big")
        _judge_entry(size, at)
        if start + size > len(data):
            raise WireError("bundle.malformed", f"the bundle ends within entry {place} of {width}", offset=at)
        entries.append(data[start : start + size])
        at = start + size
    if at < len(data):
        raise WireError(
            "bundle.malformed", f"{len(data) - at} bytes follow the last of {width} entries", offset=at
        )
    return entries


def _judge_bundle_width(width: int) -> None:
    if not 1 <= width <= TILE_WIDTH:
        raise WireError("bundle.malformed", f"a bundle holds 1 to {TILE_WIDTH} entries, not {width}")


def _judge_entry(size: int, offset: int | None) -> None:
    if not 1 <= size <= MAX_STATEMENT_BYTES:
        raise WireError(
            "bundle.malformed", f"an entry has 1 to {MAX_STATEMENT_BYTES} bytes, not {size}", offset=offset
        )
