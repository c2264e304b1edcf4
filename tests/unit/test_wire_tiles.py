"""Tiles and entry bundles: paths of C2SP tlog-tiles, what a tree has, and bytes that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.wire import tiles
from clients.wire.errors import WireError
from clients.wire.merkle import Tree, leaf_hash
from clients.wire.tiles import Bundle, Tile
from tests.strategies import mutations


@pytest.mark.parametrize(
    ("number", "path"),
    [
        (0, "000"),
        (7, "007"),
        (999, "999"),
        (1000, "x001/000"),
        (999_999, "x999/999"),
        (1_000_000, "x001/x000/000"),
        (1_234_067, "x001/x234/067"),
        (2**45, "x035/x184/x372/x088/832"),
    ],
)
def test_paths(number: int, path: str) -> None:
    assert Tile(3, number, 256).path == f"tile/3/{path}"
    assert Tile(0, number, 17).path == f"tile/0/{path}.p/17"
    assert Bundle(number, 256).path == f"tile/entries/{path}"
    assert Bundle(number, 1).path == f"tile/entries/{path}.p/1"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, []),
        (1, ["tile/0/000.p/1"]),
        (255, ["tile/0/000.p/255"]),
        (256, ["tile/0/000", "tile/1/000.p/1"]),
        (257, ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]),
        (600, ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"]),
    ],
)
def test_the_tiles_of_a_size(size: int, expected: list[str]) -> None:
    assert [tile.path for tile in tiles.tiles(size)] == expected
    entries = [path.replace("tile/0/", "tile/entries/") for path in expected if path.startswith("tile/0/")]
    assert [bundle.path for bundle in tiles.bundles(size)] == entries


def test_the_tiles_of_seventy_thousand() -> None:
    paths = [tile.path for tile in tiles.tiles(70_000)]
    assert len(paths) == 274 + 2 + 1
    assert paths[273] == "tile/0/273.p/112"
    assert paths[274:] == ["tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]


def test_tiles_hold_the_trees_hashes() -> None:
    leaves = [leaf_hash(b"%d" % i) for i in range(600)]
    tree = Tree(leaves)
    content = {tile: tiles.decode_tile(tiles.tile_bytes(tree, tile), tile.width) for tile in tiles.tiles(600)}
    level_0 = [value for tile, hashes in content.items() if tile.level == 0 for value in hashes]
    assert level_0 == leaves
    above = content[Tile(1, 0, 2)]
    assert above == [Tree(leaves[:256]).root(), Tree(leaves[256:512]).root()]
    with pytest.raises(WireError, match=r"proof\.malformed"):
        tiles.tile_bytes(tree, Tile(0, 2, 89))


@pytest.mark.parametrize(
    ("size", "width"), [(0, 0), (0, 1), (31, 1), (33, 1), (64, 1), (32 * 257, 257), (0, -1), (8191, 256)]
)
def test_a_tile_of_the_wrong_size(size: int, width: int) -> None:
    with pytest.raises(WireError, match=r"tile\.malformed"):
        tiles.decode_tile(bytes(size), width)


def test_a_bundle_and_back() -> None:
    entries = [b"a", b"bc" * 100, b"\x00" * 16_384]
    data = tiles.bundle_bytes(entries)
    assert data[:5] == b"\x00\x01a\x00\xc8"
    assert tiles.decode_bundle(data, 3) == entries


@pytest.mark.parametrize(
    ("data", "width", "offset"),
    [
        (b"", 0, None),
        (b"\x00\x01a" * 257, 257, None),
        (b"", 1, 0),
        (b"\x00", 1, 0),
        (b"\x00\x00", 1, 0),
        (b"\x40\x01" + bytes(16_385), 1, 0),
        (b"\x00\x02a", 1, 0),
        (b"\x00\x01a\x00", 1, 3),
        (b"\x00\x01a", 2, 3),
        (b"\x00\x01a\x00\x05b", 2, 3),
        (b"\x00\x01a\x00\x01b", 1, 3),
    ],
)
def test_a_bundle_that_is_none(data: bytes, width: int, offset: int | None) -> None:
    with pytest.raises(WireError) as caught:
        tiles.decode_bundle(data, width)
    assert (caught.value.code, caught.value.offset) == ("bundle.malformed", offset)


@pytest.mark.parametrize(
    "entries", [[], [b"a"] * 257, [b""], [bytes(16_385)]], ids=["none", "many", "empty", "large"]
)
def test_what_is_not_bundled(entries: list[bytes]) -> None:
    with pytest.raises(WireError, match=r"bundle\.malformed"):
        tiles.bundle_bytes(entries)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=10), st.data())
def test_changed_bundles_leave_only_by_the_error_tree(entries: list[bytes], data: st.DataObject) -> None:
    good = tiles.bundle_bytes(entries)
    assert tiles.decode_bundle(good, len(entries)) == entries
    changed = data.draw(mutations(good))
    refusal: WireError | None = None
    again: list[bytes] = []
    try:
        again = tiles.decode_bundle(changed, len(entries))
    except WireError as error:
        refusal = error
    if refusal is None:
        assert tiles.bundle_bytes(again) == changed
    else:
        assert refusal.code == "bundle.malformed"
