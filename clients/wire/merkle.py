"""The Merkle tree of the log (RFC 6962, section 2, with SHA-256): hashes, a growing tree, proofs.

Verification follows RFC 9162, sections 2.1.3.2 and 2.1.4.2. A last leaf is never duplicated; the empty tree's
root is SHA-256("").
"""

import hashlib
from collections.abc import Iterable, Sequence

from clients.wire.errors import WireError
from clients.wire.text import MAX_NUMBER

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one log entry: SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _malformed(detail: str) -> WireError:
    return WireError("proof.malformed", detail)


def _mismatch(detail: str) -> WireError:
    return WireError("proof.mismatch", detail)


class Tree:
    """A tree that grows by one leaf hash at a time and remembers every complete subtree.

    Memory is 64 bytes a leaf. The size of a tree that is asked about may be any up to `size`.
    """

    __slots__ = ("_levels",)

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        # Level k holds, one after another, the hashes of all complete subtrees of 2^k leaves.
        self._levels: list[bytearray] = [bytearray()]
        for leaf in leaf_hashes:
            self.append(leaf)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf: bytes) -> int:
        """Add a leaf hash and return its index.

        Raises:
            WireError: `proof.malformed` if it is not 32 bytes.
        """
        _judge_hashes([leaf])
        index = self.size
        self._levels[0] += leaf
        level, place, subtree = 0, index, leaf
        while place & 1:
            subtree = node_hash(self.subtree(level, place - 1), subtree)
            level, place = level + 1, place >> 1
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += subtree
        return index

    def subtree(self, level: int, place: int) -> bytes:
        """The hash of complete subtree number `place` of 2^level leaves.

        Raises:
            WireError: `proof.malformed` if the tree has no such complete subtree.
        """
        if not (0 <= level < len(self._levels) and 0 <= place < len(self._levels[level]) // HASH_BYTES):
            raise _malformed(
                f"a tree of {self.size} leaves has no complete subtree {place} of 2^{level} leaves"
            )
        return bytes(self._levels[level][place * HASH_BYTES : (place + 1) * HASH_BYTES])

    def root(self, size: int | None = None) -> bytes:
        """The root hash of the first `size` leaves; of all of them without it.

        Raises:
            WireError: `proof.malformed` if the tree has fewer leaves.
        """
        size = self._judge_size(self.size if size is None else size)
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The audit path of leaf `index` in the tree of the first `size` leaves, the leaf's sibling first.

        Raises:
            WireError: `proof.malformed` if there is no such leaf or no such tree.
        """
        self._judge_size(size)
        if not 0 <= index < size:
            raise _malformed("a tree of this size has no such leaf")
        path: list[bytes] = []
        start, stop = 0, size
        while stop - start > 1:
            middle = start + _split(stop - start)
            if index < middle:
                path.append(self._range(middle, stop))
                stop = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        path.reverse()
        return path

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of `old` leaves is a prefix of that of `new`; none for 0 or `new`.

        Raises:
            WireError: `proof.malformed` if there are no such trees.
        """
        self._judge_size(new)
        if not 0 <= old <= new:
            raise _malformed("no tree of the old size is a prefix of one of the new")
        if old in (0, new):
            return []
        path: list[bytes] = []
        start, stop = 0, new
        # SUBPROOF of RFC 6962, section 2.1.2, from the root down; `old` is the boundary that is looked for.
        while stop != old:
            middle = start + _split(stop - start)
            if old <= middle:
                path.append(self._range(middle, stop))
                stop = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        if start:
            path.append(self._range(start, stop))
        path.reverse()
        return path

    def _judge_size(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise _malformed(f"the tree has {self.size} leaves, not {size}")
        return size

    def _range(self, start: int, stop: int) -> bytes:
        """The hash of leaves start to stop, a range that splitting the whole tree leads to."""
        count = stop - start
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self.subtree(level, start >> level)
        middle = start + _split(count)
        return node_hash(self._range(start, middle), self._range(middle, stop))


def _split(count: int) -> int:
    """The largest power of two strictly below `count` (at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def _judge_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(value) != HASH_BYTES for value in hashes):
        raise _malformed(f"a hash has {HASH_BYTES} bytes")


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Verify that a leaf hash stands at `index` in the tree of `size` leaves with this root.

    Raises:
        WireError: `proof.malformed` if sizes or lengths cannot be right, `proof.mismatch` if the path leads
            to another root.
    """
    if not 0 <= index < size <= MAX_NUMBER:
        raise _malformed("a tree of this size has no such leaf")
    _judge_hashes([leaf, root, *path])
    # Up to this level the path has a sibling at every level; above it only on the left (the right border of
    # the tree).
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    if len(path) != inner + border:
        raise _malformed(f"the path has {len(path)} hashes, leaf {index} of {size} needs {inner + border}")
    value = leaf
    for level in range(inner):
        value = node_hash(path[level], value) if index >> level & 1 else node_hash(value, path[level])
    for sibling in path[inner:]:
        value = node_hash(sibling, value)
    if value != root:
        raise _mismatch(f"the path of leaf {index} does not lead to the root of {size} leaves")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Verify that the tree of `old` leaves is a prefix of the tree of `new` leaves.

    The empty tree is a prefix of every tree; equal sizes need equal roots; both with an empty proof.

    Raises:
        WireError: `proof.malformed` if sizes or lengths cannot be right, `proof.mismatch` if the proof leads
            to another root.
    """
    if not 0 <= old <= new <= MAX_NUMBER:
        raise _malformed("no tree of the old size is a prefix of one of the new")
    _judge_hashes([old_root, new_root, *proof])
    if old in (0, new):
        if proof:
            raise _malformed(f"from {old} to {new} leaves the proof is empty, this has {len(proof)} hashes")
        if (old == 0 and old_root != EMPTY_ROOT) or (old == new and old_root != new_root):
            raise _mismatch(f"the roots of {old} and {new} leaves contradict each other")
        return
    # RFC 9162, section 2.1.4.2: a complete old tree is its own first node.
    nodes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    inner = (place ^ last).bit_length()
    needed = 1 + inner + (place >> inner).bit_count()
    if len(nodes) != needed:
        raise _malformed(f"a proof from {old} to {new} leaves has another length than {len(proof)} hashes")
    old_value = new_value = nodes[0]
    for level, node in enumerate(nodes[1:]):
        if level >= inner or place >> level & 1:
            old_value = node_hash(node, old_value)
            new_value = node_hash(node, new_value)
        else:
            new_value = node_hash(new_value, node)
    if old_value != old_root or new_value != new_root:
        raise _mismatch(f"the proof does not lead from the root of {old} leaves to that of {new}")
