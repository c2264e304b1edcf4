"""proofs.json and tiles.json: the Merkle tree as RFC 6962, section 2.1, writes it down, by plain recursion.

The entries are the ASCII texts "entry 0", "entry 1", …: the log does not care what they are.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from tests.vectors.encoding import sha256
from tests.vectors.render import Json, bytes_json, render

SIZES: Final = (0, 1, 255, 256, 257, 600)
_ABOUT_ENTRIES = (
    "Entry i is the ASCII text `entry i`, e.g. `entry 17`; its leaf hash is SHA-256(0x00 ‖ entry)."
)


def entry(index: int) -> bytes:
    """What stands in the log at an index."""
    return b"entry %d" % index


def leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data)


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def split(size: int) -> int:
    """The largest power of two strictly below a size."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


@cache
def root(start: int, stop: int) -> bytes:
    """MTH of the entries from `start` to before `stop`."""
    size = stop - start
    if size == 0:
        return sha256(b"")
    if size == 1:
        return leaf(entry(start))
    middle = start + split(size)
    return node(root(start, middle), root(middle, stop))


def path(index: int, start: int, stop: int) -> list[bytes]:
    """PATH of an entry, its sibling first."""
    if stop - start == 1:
        return []
    middle = start + split(stop - start)
    if index < middle:
        return [*path(index, start, middle), root(middle, stop)]
    return [*path(index, middle, stop), root(start, middle)]


def consistency(old: int, new: int) -> list[bytes]:
    """PROOF between two sizes; none from 0, where RFC 6962 defines none."""
    return _subproof(old, 0, new, True) if 0 < old < new else []


def _subproof(old: int, start: int, stop: int, whole: bool) -> list[bytes]:
    if old == stop:
        return [] if whole else [root(start, stop)]
    middle = start + split(stop - start)
    if old <= middle:
        return [*_subproof(old, start, middle, whole), root(middle, stop)]
    return [*_subproof(old, middle, stop, False), root(start, middle)]


def _hexes(hashes: list[bytes]) -> list[str]:
    return [value.hex() for value in hashes]


def _flipped(value: bytes) -> bytes:
    return bytes((value[0] ^ 1,)) + value[1:]


# Every size up to 5 at every index, and the borders of tiles.
_INCLUDED = (
    *((index, size) for size in range(1, 6) for index in range(size)),
    *((0, 255), (254, 255), (0, 256), (255, 256), (255, 257), (256, 257), (511, 600), (512, 600), (599, 600)),
)
_GROWN = (
    *((old, new) for new in range(6) for old in range(new + 1)),
    *(
        (1, 255),
        (128, 256),
        (255, 256),
        (255, 257),
        (256, 257),
        (256, 600),
        (257, 600),
        (512, 600),
        (599, 600),
    ),
)


def _inclusions() -> Iterator[dict[str, Json]]:
    def case(
        name: str, code: str | None, index: int, size: int, hashes: list[bytes], of: bytes, under: bytes
    ) -> dict[str, Json]:
        return {
            "name": name,
            "code": code,
            "index": index,
            "size": size,
            "leaf_hash": of.hex(),
            "root": under.hex(),
            "path": _hexes(hashes),
        }

    for index, size in _INCLUDED:
        hashes = path(index, 0, size)
        yield case(
            f"entry {index} of {size}", None, index, size, hashes, root(index, index + 1), root(0, size)
        )
    index, size = 4, 7
    good, own, whole = path(index, 0, size), root(index, index + 1), root(0, size)
    malformed, mismatch = "proof.malformed", "proof.mismatch"
    for name, code, at, of, hashes, leaf_hash, under in (
        ("no hashes", malformed, index, size, [], own, whole),
        ("one hash too few", malformed, index, size, good[:-1], own, whole),
        ("one hash too many", malformed, index, size, [*good, good[-1]], own, whole),
        ("an index that is the size", malformed, size, size, good, own, whole),
        ("an index beyond the size", malformed, 2**53 - 1, size, good, own, whole),
        ("an empty tree", malformed, 0, 0, [], own, root(0, 0)),
        ("entry 6 of 7 with a path of entry 4", malformed, 6, size, good, own, whole),
        ("the path from the other end", mismatch, index, size, good[::-1], own, whole),
        ("a bit flipped in the path", mismatch, index, size, [_flipped(good[0]), *good[1:]], own, whole),
        ("a bit flipped in the leaf hash", mismatch, index, size, good, _flipped(own), whole),
        ("a bit flipped in the root", mismatch, index, size, good, own, _flipped(whole)),
        ("another entry's leaf hash", mismatch, index, size, good, root(5, 6), whole),
        ("another index", mismatch, 5, size, good, own, whole),
        ("the root of another size", mismatch, index, size, good, own, root(0, 6)),
        ("another size: a path does not bind it, the checkpoint does", None, index, 8, good, own, whole),
        ("one entry, another root", mismatch, 0, 1, [], own, root(0, 1)),
        ("the entry itself, not its hash", mismatch, 0, 1, [], sha256(entry(0)), root(0, 1)),
    ):
        yield case(name, code, at, of, hashes, leaf_hash, under)


def _consistencies() -> Iterator[dict[str, Json]]:
    def case(
        name: str, code: str | None, old: int, new: int, hashes: list[bytes], roots: tuple[bytes, bytes]
    ) -> dict[str, Json]:
        return {
            "name": name,
            "code": code,
            "old": old,
            "new": new,
            "old_root": roots[0].hex(),
            "new_root": roots[1].hex(),
            "path": _hexes(hashes),
        }

    for old, new in _GROWN:
        yield case(f"{old} to {new}", None, old, new, consistency(old, new), (root(0, old), root(0, new)))
    old, new = 3, 7
    good, roots = consistency(old, new), (root(0, old), root(0, new))
    four, eight, empty = root(0, 4), root(0, 8), root(0, 0)
    malformed, mismatch = "proof.malformed", "proof.mismatch"
    for name, code, before, after, hashes, under in (
        ("no hashes", malformed, old, new, [], roots),
        ("one hash too few", malformed, old, new, good[:-1], roots),
        ("one hash too many", malformed, old, new, [*good, good[-1]], roots),
        ("from a larger tree", malformed, new, old, good, roots[::-1]),
        ("a proof from 0", malformed, 0, new, good, (empty, roots[1])),
        ("a proof between equal sizes", malformed, new, new, good, (roots[1], roots[1])),
        (
            "a power of two with its own root in front",
            malformed,
            4,
            8,
            [four, *consistency(4, 8)],
            (four, eight),
        ),
        ("the path from the other end", mismatch, old, new, good[::-1], roots),
        ("a bit flipped in the path", mismatch, old, new, [*good[:-1], _flipped(good[-1])], roots),
        ("a bit flipped in the old root", mismatch, old, new, good, (_flipped(roots[0]), roots[1])),
        ("a bit flipped in the new root", mismatch, old, new, good, (roots[0], _flipped(roots[1]))),
        (
            "a bit flipped in a power of two's root",
            mismatch,
            4,
            8,
            consistency(4, 8),
            (_flipped(four), eight),
        ),
        ("the roots exchanged", mismatch, old, new, good, roots[::-1]),
        ("equal sizes, other roots", mismatch, new, new, [], (roots[1], eight)),
        ("from 0, whose root is another", mismatch, 0, new, [], (roots[0], roots[1])),
        ("from 0 to 0, whose roots are others", mismatch, 0, 0, [], (roots[0], roots[0])),
        ("from 0 to 0, whose new root is another", mismatch, 0, 0, [], (empty, roots[0])),
        ("equal sizes of 2^53-1", None, 2**53 - 1, 2**53 - 1, [], (four, four)),
        ("equal sizes of 2^53", malformed, 2**53, 2**53, [], (four, four)),
    ):
        yield case(name, code, before, after, hashes, (under[0], under[1]))


def proofs() -> bytes:
    """proofs.json."""
    sizes = sorted({*SIZES, *range(9)})
    return render(
        {
            "about": f"Inclusion and consistency proofs (docs/log.md). {_ABOUT_ENTRIES}",
            "roots": [{"size": size, "root": root(0, size).hex()} for size in sizes],
            "inclusion": list(_inclusions()),
            "consistency": list(_consistencies()),
        }
    )


def _tile_path(number: int, width: int) -> str:
    digits = f"{number:03d}"
    digits = "0" * (-len(digits) % 3) + digits
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    partial = "" if width == 256 else f".p/{width}"
    return "/".join([*("x" + group for group in groups[:-1]), groups[-1]]) + partial


def tile_bytes(level: int, number: int, width: int) -> bytes:
    """The hashes of complete subtrees of 256^level entries."""
    span = 256**level
    first = number * 256
    return b"".join(root(place * span, (place + 1) * span) for place in range(first, first + width))


def bundle(entries: list[bytes]) -> bytes:
    return b"".join(len(data).to_bytes(2, "big") + data for data in entries)


def _log(size: int) -> dict[str, Json]:
    tiles: list[Mapping[str, Json]] = []
    bundles: list[Mapping[str, Json]] = []
    level, count = 0, size
    while count:
        for number in range((count + 255) // 256):
            width = min(256, count - number * 256)
            place = _tile_path(number, width)
            data = tile_bytes(level, number, width)
            tiles.append({"path": f"tile/{level}/{place}", "width": width, "sha256": sha256(data).hex()})
            if level == 0:
                entries = bundle([entry(number * 256 + index) for index in range(width)])
                bundles.append(
                    {"path": f"tile/entries/{place}", "width": width, "sha256": sha256(entries).hex()}
                )
        level, count = level + 1, count // 256
    return {"size": size, "root": root(0, size).hex(), "tiles": tiles, "bundles": bundles}


def _tile_cases() -> Iterator[dict[str, Json]]:
    two = tile_bytes(0, 0, 2)
    for name, code, width, data in (
        ("one hash", None, 1, two[:32]),
        ("two hashes", None, 2, two),
        ("two hashes, not three", "tile.malformed", 3, two),
        ("two hashes, not one", "tile.malformed", 1, two),
        ("a byte short", "tile.malformed", 2, two[:-1]),
        ("a byte too many", "tile.malformed", 2, two + b"\0"),
        ("no bytes", "tile.malformed", 1, b""),
        ("width 0", "tile.malformed", 0, b""),
        ("width 257", "tile.malformed", 257, two[:32] * 257),
    ):
        yield {"name": name, "code": code, "width": width, "tile": bytes_json(data)}


def _bundle_cases() -> Iterator[dict[str, Json]]:
    three = bundle([entry(0), entry(1), entry(2)])
    for name, code, width, data in (
        ("one entry of one byte", None, 1, b"\0\1\xff"),
        ("three entries", None, 3, three),
        ("three entries, not two", "bundle.malformed", 2, three),
        ("three entries, not four", "bundle.malformed", 4, three),
        ("a byte behind the last", "bundle.malformed", 3, three + b"\0"),
        ("the last a byte short", "bundle.malformed", 3, three[:-1]),
        ("half a length", "bundle.malformed", 2, b"\0\1\xff\0"),
        ("a length and no entry", "bundle.malformed", 2, b"\0\1\xff\0\1"),
        ("an entry of no bytes", "bundle.malformed", 2, b"\0\1\xff\0\0"),
        ("a length of 16,384, cut short", "bundle.malformed", 1, b"\x40\x00" + bytes(32)),
        ("an entry of 16,384 bytes", None, 1, b"\x40\x00" + bytes(16_384)),
        ("an entry of 16,385 bytes", "bundle.malformed", 1, b"\x40\x01" + bytes(16_385)),
        ("the length low byte first", "bundle.malformed", 1, b"\1\0\xff"),
        ("no bytes", "bundle.malformed", 1, b""),
        ("width 0", "bundle.malformed", 0, b""),
        ("width 257", "bundle.malformed", 257, b"\0\1\xff" * 257),
    ):
        yield {"name": name, "code": code, "width": width, "bundle": bytes_json(data)}


def tiles() -> bytes:
    """tiles.json."""
    numbers = (0, 1, 255, 256, 999, 1_000, 1_000_000 - 1, 1_000_000, 1_234_067)
    places = [(0, number, 256) for number in numbers] + [(0, 0, 1), (1, 0, 255), (2, 1_234_067, 88)]
    return render(
        {
            "about": f"Tiles and entry bundles (docs/log.md). {_ABOUT_ENTRIES}",
            "logs": [_log(size) for size in SIZES],
            "paths": [
                {
                    "level": level,
                    "number": number,
                    "width": width,
                    "tile": f"tile/{level}/{_tile_path(number, width)}",
                    "bundle": f"tile/entries/{_tile_path(number, width)}",
                }
                for level, number, width in places
            ],
            "tile_bytes": list(_tile_cases()),
            "bundle_bytes": list(_bundle_cases()),
        }
    )
