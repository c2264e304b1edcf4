"""A log as a folder of static files (checkpoint, tiles, bundles), written and checked by each implementation.

`CORE` is the gateway's Rust, `WIRE` the clients' Python. Both answer to one small interface, so that a test
asks the same of both and compares the bytes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from nacl.signing import SigningKey

from clients.wire import merkle, note, tiles
from clients.wire import receipt as wire_receipt
from clients.wire.errors import WireError
from gateway import _core
from gateway.base.errors import CoreError

ORIGIN = "election.example/2027/log"
SEED = bytes(range(32))


class Head(NamedTuple):
    """What a checkpoint says."""

    size: int
    root: bytes


class Place(NamedTuple):
    """A tile (level from 0) or an entry bundle (level None) of a log."""

    level: int | None
    number: int
    width: int


class WrongFileError(Exception):
    """A file of a log that is not what it should be."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path


class Grown(ABC):
    """A tree over leaf hashes."""

    @abstractmethod
    def root(self, size: int) -> bytes: ...

    @abstractmethod
    def tile(self, place: Place) -> bytes: ...

    @abstractmethod
    def inclusion(self, index: int, size: int) -> list[bytes]: ...

    @abstractmethod
    def consistency(self, old: int, new: int) -> list[bytes]: ...


class Side(ABC):
    """One implementation of the log's formats."""

    name: str

    @abstractmethod
    def grow(self, leaves: Sequence[bytes]) -> Grown: ...

    @abstractmethod
    def leaf_hash(self, entry: bytes) -> bytes: ...

    @abstractmethod
    def places(self, size: int) -> list[Place]:
        """All tiles and bundles of a log of `size` entries."""

    @abstractmethod
    def path(self, place: Place) -> str: ...

    @abstractmethod
    def encode_bundle(self, entries: Sequence[bytes]) -> bytes: ...

    @abstractmethod
    def decode_bundle(self, data: bytes, width: int) -> list[bytes]: ...

    @abstractmethod
    def decode_tile(self, data: bytes, width: int) -> list[bytes]: ...

    @abstractmethod
    def sign(self, head: Head, seed: bytes) -> bytes:
        """The checkpoint of ORIGIN."""

    @abstractmethod
    def open(self, checkpoint: bytes, vkey: str) -> Head: ...

    @abstractmethod
    def receipt(self, index: int, path: list[bytes], checkpoint: bytes) -> bytes: ...

    @abstractmethod
    def verify_receipt(self, receipt: bytes, statement: bytes, vkey: str) -> tuple[int, Head]: ...


class _CoreTree(Grown):
    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._tree = _core.Tree()
        self._tree.append(leaves)

    def root(self, size: int) -> bytes:
        return self._tree.root(size)

    def tile(self, place: Place) -> bytes:
        assert place.level is not None
        return self._tree.tile(place.level, place.number, place.width)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        return self._tree.inclusion(index, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        return self._tree.consistency(old, new)


class _Core(Side):
    name = "core"

    def grow(self, leaves: Sequence[bytes]) -> Grown:
        return _CoreTree(leaves)

    def leaf_hash(self, entry: bytes) -> bytes:
        return _core.leaf_hash(entry)

    def places(self, size: int) -> list[Place]:
        names = _core.tiles_between(0, size)
        bundles = [Place(None, number, width) for level, number, width in names if level == 0]
        return [*(Place(*name) for name in names), *bundles]

    def path(self, place: Place) -> str:
        if place.level is None:
            return _core.bundle_path(place.number, place.width)
        return _core.tile_path(place.level, place.number, place.width)

    def encode_bundle(self, entries: Sequence[bytes]) -> bytes:
        return _core.encode_bundle(entries)

    def decode_bundle(self, data: bytes, width: int) -> list[bytes]:
        return _core.decode_bundle(data, width)

    def decode_tile(self, data: bytes, width: int) -> list[bytes]:
        return _core.decode_tile(data, width)

    def sign(self, head: Head, seed: bytes) -> bytes:
        return _core.NoteSigner(ORIGIN, seed).sign(_core.Checkpoint(ORIGIN, *head).text).encode()

    def open(self, checkpoint: bytes, vkey: str) -> Head:
        opened = _core.open_checkpoint(checkpoint, vkey)
        return Head(opened.size, opened.root)

    def receipt(self, index: int, path: list[bytes], checkpoint: bytes) -> bytes:
        return _core.format_receipt(index, path, checkpoint.decode()).encode()

    def verify_receipt(self, receipt: bytes, statement: bytes, vkey: str) -> tuple[int, Head]:
        index, opened = _core.verify_receipt(receipt, statement, vkey)
        return index, Head(opened.size, opened.root)


class _WireTree(Grown):
    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._tree = merkle.Tree(leaves)

    def root(self, size: int) -> bytes:
        return self._tree.root(size)

    def tile(self, place: Place) -> bytes:
        assert place.level is not None
        return tiles.tile_bytes(self._tree, tiles.Tile(place.level, place.number, place.width))

    def inclusion(self, index: int, size: int) -> list[bytes]:
        return self._tree.inclusion(index, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        return self._tree.consistency(old, new)


class _Wire(Side):
    name = "wire"

    def grow(self, leaves: Sequence[bytes]) -> Grown:
        return _WireTree(leaves)

    def leaf_hash(self, entry: bytes) -> bytes:
        return merkle.leaf_hash(entry)

    def places(self, size: int) -> list[Place]:
        bundles = [Place(None, *bundle) for bundle in tiles.bundles(size)]
        return [*(Place(*tile) for tile in tiles.tiles(size)), *bundles]

    def path(self, place: Place) -> str:
        if place.level is None:
            return tiles.Bundle(place.number, place.width).path
        return tiles.Tile(place.level, place.number, place.width).path

    def encode_bundle(self, entries: Sequence[bytes]) -> bytes:
        return tiles.bundle_bytes(entries)

    def decode_bundle(self, data: bytes, width: int) -> list[bytes]:
        return tiles.decode_bundle(data, width)

    def decode_tile(self, data: bytes, width: int) -> list[bytes]:
        return tiles.decode_tile(data, width)

    def sign(self, head: Head, seed: bytes) -> bytes:
        return note.sign(note.Checkpoint(ORIGIN, *head).text, ORIGIN, SigningKey(seed))

    def open(self, checkpoint: bytes, vkey: str) -> Head:
        opened = note.open_checkpoint(checkpoint, note.VerifierKey.parse(vkey))
        return Head(opened.size, opened.root)

    def receipt(self, index: int, path: list[bytes], checkpoint: bytes) -> bytes:
        return wire_receipt.write(index, path, checkpoint)

    def verify_receipt(self, receipt: bytes, statement: bytes, vkey: str) -> tuple[int, Head]:
        index, opened = wire_receipt.verify(receipt, statement, note.VerifierKey.parse(vkey))
        return index, Head(opened.size, opened.root)


CORE: Final[Side] = _Core()
WIRE: Final[Side] = _Wire()
SIDES: Final = (CORE, WIRE)


def files(side: Side, entries: Sequence[bytes], seed: bytes = SEED) -> dict[str, bytes]:
    """A whole log: path and content of every file."""
    size = len(entries)
    tree = side.grow([side.leaf_hash(entry) for entry in entries])
    out = {"checkpoint": side.sign(Head(size, tree.root(size)), seed)}
    for place in side.places(size):
        first = place.number * tiles.TILE_WIDTH
        out[side.path(place)] = (
            side.encode_bundle(entries[first : first + place.width])
            if place.level is None
            else tree.tile(place)
        )
    return out


def write(folder: Path, contents: dict[str, bytes]) -> None:
    """Write what `files` made."""
    for path, content in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def check(side: Side, folder: Path, vkey: str) -> int:
    """Check a log's folder as an observer does and return its size.

    Raises:
        WrongFileError: the first file that is not what the checkpoint covers.
    """
    try:
        head = side.open(_read(folder, "checkpoint"), vkey)
    except (CoreError, WireError) as error:
        raise WrongFileError("checkpoint", error.code) from error
    leaves: list[bytes] = []
    leaf_tiles: list[bytes] = []
    found: dict[Place, bytes] = {}
    for place in side.places(head.size):
        path = side.path(place)
        content = _read(folder, path)
        try:
            if place.level is None:
                leaves += map(side.leaf_hash, side.decode_bundle(content, place.width))
            else:
                hashes = side.decode_tile(content, place.width)
                found[place] = content
                leaf_tiles += hashes if place.level == 0 else []
        except (CoreError, WireError) as error:
            raise WrongFileError(path, error.code) from error
    tree = side.grow(leaves)
    if tree.root(head.size) != head.root:
        raise _blame(side, head, leaves, leaf_tiles)
    for place, content in found.items():
        if content != tree.tile(place):
            raise WrongFileError(side.path(place), "its hashes are not those of the tree")
    return head.size


def _blame(side: Side, head: Head, leaves: Sequence[bytes], leaf_tiles: Sequence[bytes]) -> WrongFileError:
    """Which file is wrong where the entries do not lead to the checkpoint's root."""
    if side.grow(leaf_tiles).root(head.size) != head.root:
        return WrongFileError("checkpoint", "neither entries nor tiles lead to its root")
    index = next(index for index, leaf in enumerate(leaves) if leaf != leaf_tiles[index])
    number = index // tiles.TILE_WIDTH
    bundle = next(place for place in side.places(head.size) if place.level is None and place.number == number)
    return WrongFileError(side.path(bundle), f"entry {index} is not the one that the checkpoint covers")


def _read(folder: Path, path: str) -> bytes:
    try:
        return (folder / path).read_bytes()
    except OSError as error:
        raise WrongFileError(path, "cannot be read") from error
