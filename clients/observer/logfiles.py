"""The files of a log beside the tree of its entries: which must be there, and what each has to hold."""

from collections.abc import Iterator
from typing import Final

from clients.observer.entries import MAX_BUNDLE_BYTES
from clients.observer.inventory import Inventory
from clients.observer.verdict import DifferenceError, Folder, judge_bytes, read
from clients.wire import feed, note, tiles
from clients.wire.errors import WireError
from clients.wire.merkle import HASH_BYTES, Tree, leaf_hash
from clients.wire.note import MAX_NOTE_BYTES, Checkpoint, VerifierKey
from clients.wire.tiles import TILE_WIDTH, Bundle, Tile

DIFFERS: Final = "log.differs"
_HEAD_DIFFERS: Final = "feed.checkpoint"


def open_checkpoint(data: bytes, key: VerifierKey, size: int) -> Checkpoint:
    """The log's signed head, which is never behind the newest snapshot with `size` entries.

    Raises:
        DifferenceError: it is none, not signed by the log, or smaller.
    """
    try:
        checkpoint = note.open_checkpoint(data, key)
    except WireError as error:
        raise DifferenceError(error.code, error.detail, feed.CHECKPOINT) from error
    if checkpoint.size < size:
        detail = f"has {checkpoint.size} entries, {feed.LATEST} has {size}: it is never behind"
        raise DifferenceError(_HEAD_DIFFERS, detail, feed.CHECKPOINT, "line 2")
    return checkpoint


def judge_root(checkpoint: Checkpoint, tree: Tree) -> None:
    """Refuse a head to which the entries do not lead.

    Raises:
        DifferenceError: the roots differ.
    """
    if tree.root(checkpoint.size) != checkpoint.root:
        detail = "the entries do not lead to the root that the log's key has signed"
        raise DifferenceError(_HEAD_DIFFERS, detail, feed.CHECKPOINT, "line 3")


def read_checkpoint(folder: Folder) -> bytes:
    """The bytes of the log's head.

    Raises:
        DifferenceError: it is missing.
        CannotCheckError: it cannot be read.
    """
    return read(folder, feed.CHECKPOINT, MAX_NOTE_BYTES, "a checkpoint")


def bundles(size: int, inventory: Inventory) -> Iterator[Bundle]:
    """The bundles to read a log of this size from: as wide as it is, or cut from the full one.

    Raises:
        DifferenceError: `feed.missing`: one is in neither form.
    """
    for bundle in tiles.bundles(size):
        widths = inventory.bundles.get(bundle.number, set())
        if bundle.width not in widths and TILE_WIDTH not in widths:
            raise missing(bundle)
        yield bundle


def public_size(inventory: Inventory, most: int) -> int:
    """How many of a log's first entries there are bundles of, at most so many.

    Args:
        inventory: of a feed whose newest entries are under embargo.
        most: entries of the log.
    """
    size = 0
    while size < most:
        widths = inventory.bundles.get(size // TILE_WIDTH, set())
        width = max((width for width in widths if size + width <= most), default=0)
        size += width
        if width < TILE_WIDTH:
            break
    return size


def leaves(folder: Folder, first: int, size: int) -> Iterator[bytes]:
    """The hashes of entries that nobody may read yet, from the tiles of a log of this size.

    Args:
        folder: the feed's.
        first: index of the first entry that is wanted.
        size: entries of the log.

    Raises:
        DifferenceError: a tile is missing, or of another width.
        CannotCheckError: it cannot be read.
    """
    for number in range(first // TILE_WIDTH, -(-size // TILE_WIDTH)):
        begin = number * TILE_WIDTH
        tile = Tile(0, number, min(TILE_WIDTH, size - begin))
        path = f"{feed.LOG}/{tile.path}"
        data = _read_partial(folder, path, TILE_WIDTH * HASH_BYTES, tile.width)
        if data is None:
            tile = tile._replace(width=TILE_WIDTH)
            path = f"{feed.LOG}/{tile.path}"
            data = read(folder, path, TILE_WIDTH * HASH_BYTES, "a tile")
        try:
            hashes = tiles.decode_tile(data, tile.width)
        except WireError as error:
            raise DifferenceError(error.code, error.detail, path) from error
        yield from hashes[max(first - begin, 0) : size - begin]


def judge_tiles(inventory: Inventory, size: int) -> None:
    """Look whether every tile of a log of this size is there, in its width or in full.

    Raises:
        DifferenceError: `feed.missing`.
    """
    there = set(inventory.tiles)
    for tile in tiles.tiles(size):
        if tile not in there and tile._replace(width=TILE_WIDTH) not in there:
            raise missing(tile)


def new_tiles(old: int, size: int) -> Iterator[Tile]:
    """The tiles of a log of `size` entries that one of `old` entries did not have."""
    level = 0
    while count := size >> (tiles.TILE_HEIGHT * level):
        before = old >> (tiles.TILE_HEIGHT * level)
        for number in range(before // TILE_WIDTH, -(-count // TILE_WIDTH)):
            width = min(TILE_WIDTH, count - number * TILE_WIDTH)
            if number * TILE_WIDTH + width > before:
                yield Tile(level, number, width)
        level += 1


def judge_tile(folder: Folder, tile: Tile, tree: Tree) -> bool:
    """Compare a tile with the tree.

    Returns:
        Whether it was judged: False if it is of a larger log, or made way for the full one since the look.

    Raises:
        DifferenceError: it holds other hashes.
        CannotCheckError: it cannot be read.
    """
    if (tile.number * TILE_WIDTH + tile.width) << (tiles.TILE_HEIGHT * tile.level) > tree.size:
        return False
    path = f"{feed.LOG}/{tile.path}"
    data = _read_partial(folder, path, TILE_WIDTH * HASH_BYTES, tile.width)
    if data is None:
        return False
    judge_bytes(path, data, tiles.tile_bytes(tree, tile), DIFFERS, "the entries' tree")
    return True


def judge_bundle(folder: Folder, bundle: Bundle, tree: Tree) -> bool:
    """Compare the entries of a bundle with the tree's leaves: those of a width that nobody has read yet.

    Returns:
        As `judge_tile`.

    Raises:
        DifferenceError: it holds other entries.
        CannotCheckError: it cannot be read.
    """
    first = bundle.number * TILE_WIDTH
    if first + bundle.width > tree.size:
        return False
    path = f"{feed.LOG}/{bundle.path}"
    data = _read_partial(folder, path, MAX_BUNDLE_BYTES, bundle.width)
    if data is None:
        return False
    try:
        held = tiles.decode_bundle(data, bundle.width)
    except WireError as error:
        raise DifferenceError(error.code, error.detail, path, f"byte {error.offset}") from error
    for index, data in enumerate(held, start=first):
        if leaf_hash(data) != tree.subtree(0, index):
            raise DifferenceError(DIFFERS, "is another entry than the log has here", path, f"entry {index}")
    return True


def _read_partial(folder: Folder, path: str, limit: int, width: int) -> bytes | None:
    try:
        return read(folder, path, limit, "a tile")
    except DifferenceError as error:
        if error.difference.code == "feed.missing" and width < TILE_WIDTH:
            return None
        raise


def missing(named: Tile | Bundle) -> DifferenceError:
    """The difference `feed.missing` of a file of the log."""
    return DifferenceError(
        "feed.missing", "the log has entries for it, and it is not there", f"{feed.LOG}/{named.path}"
    )
