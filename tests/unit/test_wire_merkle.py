"""The Merkle tree: RFC 6962's known answers, a naive tree to compare with, and proofs bent in every way."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.wire import merkle
from clients.wire.errors import WireError
from clients.wire.merkle import Tree, leaf_hash, node_hash, verify_consistency, verify_inclusion

# The eight leaves and the roots of their trees that Certificate Transparency's own tests use.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(root)
    for root in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]


def tree_of(size: int) -> Tree:
    return Tree(leaf_hash(b"%d" % i) for i in range(size))


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word by word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def code_of_inclusion(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> str | None:
    try:
        verify_inclusion(leaf, index, size, path, root)
    except WireError as error:
        return error.code
    return None


def code_of_consistency(
    old: int, new: int, proof: list[bytes], old_root: bytes, new_root: bytes
) -> str | None:
    try:
        verify_consistency(old, new, proof, old_root, new_root)
    except WireError as error:
        return error.code
    return None


def test_known_roots() -> None:
    tree = Tree(map(leaf_hash, LEAVES))
    assert [tree.root(size) for size in range(9)] == ROOTS
    assert tree.root() == ROOTS[8]
    assert Tree().root() == ROOTS[0] == merkle.EMPTY_ROOT


def test_known_proofs() -> None:
    """Paths and proofs that certificate-transparency-go and trillian carry as test data."""
    tree = Tree(map(leaf_hash, LEAVES))
    assert [value.hex() for value in tree.inclusion(0, 8)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [value.hex() for value in tree.inclusion(2, 3)] == [
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    ]
    assert [value.hex() for value in tree.consistency(2, 5)] == [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]
    assert tree.inclusion(0, 1) == []


def test_roots_are_those_of_the_naive_tree() -> None:
    leaves = [leaf_hash(b"%d" % i) for i in range(70)]
    tree = Tree(leaves)
    assert tree.size == 70
    for size in range(71):
        assert tree.root(size) == naive_root(leaves[:size])


def test_every_inclusion_proof() -> None:
    tree = tree_of(40)
    for size in range(1, 41):
        for index in range(size):
            path = tree.inclusion(index, size)
            leaf = leaf_hash(b"%d" % index)
            assert code_of_inclusion(leaf, index, size, path, tree.root(size)) is None
            assert code_of_inclusion(leaf_hash(b"x"), index, size, path, tree.root(size)) == "proof.mismatch"
            assert code_of_inclusion(leaf, index, size, [*path, leaf], tree.root(size)) == "proof.malformed"
            assert code_of_inclusion(leaf, size, size, path, tree.root(size)) == "proof.malformed"
            assert code_of_inclusion(leaf, index, size, path, tree.root(size - 1)) == "proof.mismatch"
            if path:
                assert code_of_inclusion(leaf, index, size, path[:-1], tree.root(size)) == "proof.malformed"
                assert code_of_inclusion(leaf, index ^ 1, size, path, tree.root(size)) in (
                    "proof.malformed",
                    "proof.mismatch",
                )
                short = [path[0][:-1], *path[1:]]
                assert code_of_inclusion(leaf, index, size, short, tree.root(size)) == "proof.malformed"


def test_every_consistency_proof() -> None:
    tree = tree_of(40)
    other = Tree([leaf_hash(b"x"), *(leaf_hash(b"%d" % i) for i in range(1, 40))])
    for new in range(41):
        for old in range(new + 1):
            proof = tree.consistency(old, new)
            roots = tree.root(old), tree.root(new)
            assert code_of_consistency(old, new, proof, *roots) is None
            assert code_of_consistency(old, new, [*proof, roots[0]], *roots) == "proof.malformed"
            assert code_of_consistency(new + 1, new, proof, *roots) == "proof.malformed"
            if proof:
                assert code_of_consistency(old, new, proof[:-1], *roots) == "proof.malformed"
                assert code_of_consistency(old, new, [proof[0][:-1], *proof[1:]], *roots) == "proof.malformed"
            if old:
                assert code_of_consistency(old, new, proof, other.root(old), roots[1]) == "proof.mismatch"
                assert code_of_consistency(old, new, proof, roots[0], other.root(new)) == "proof.mismatch"


def test_the_empty_tree_is_a_prefix_of_every_tree() -> None:
    tree = tree_of(3)
    assert code_of_consistency(0, 3, [], merkle.EMPTY_ROOT, tree.root()) is None
    assert code_of_consistency(0, 0, [], merkle.EMPTY_ROOT, merkle.EMPTY_ROOT) is None
    assert code_of_consistency(0, 3, [], tree.root(), tree.root()) == "proof.mismatch"
    assert code_of_consistency(0, 0, [], merkle.EMPTY_ROOT, tree.root()) == "proof.mismatch"


@pytest.mark.parametrize("at", range(4))
def test_one_flipped_bit_in_a_proof(at: int) -> None:
    tree = tree_of(21)
    path = tree.inclusion(6, 21)
    path[at] = bytes([path[at][0] ^ 1]) + path[at][1:]
    assert code_of_inclusion(leaf_hash(b"6"), 6, 21, path, tree.root(21)) == "proof.mismatch"
    proof = tree.consistency(6, 21)
    proof[at] = bytes([proof[at][0] ^ 1]) + proof[at][1:]
    assert code_of_consistency(6, 21, proof, tree.root(6), tree.root(21)) == "proof.mismatch"


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (0, 0), (0, -1), (3, 3), (0, 2**53)])
def test_sizes_that_cannot_be(index: int, size: int) -> None:
    tree = tree_of(3)
    assert code_of_inclusion(leaf_hash(b""), index, size, [], tree.root()) == "proof.malformed"
    with pytest.raises(WireError, match=r"proof\.malformed"):
        tree.inclusion(index, size)


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (3, 2), (0, 4), (4, 4), (1, -1)])
def test_sizes_that_no_consistency_proof_has(old: int, new: int) -> None:
    tree = tree_of(3)
    with pytest.raises(WireError, match=r"proof\.malformed"):
        tree.consistency(old, new)


def test_what_a_tree_does_not_have() -> None:
    tree = tree_of(3)
    for size in (-1, 4):
        with pytest.raises(WireError, match=r"proof\.malformed"):
            tree.root(size)
    for level, place in ((1, 1), (2, 0), (-1, 0), (0, -1), (99, 0)):
        with pytest.raises(WireError, match=r"proof\.malformed"):
            tree.subtree(level, place)
    with pytest.raises(WireError, match=r"proof\.malformed"):
        tree.append(bytes(31))
    assert tree.size == 3
    assert tree.subtree(1, 0) == node_hash(leaf_hash(b"0"), leaf_hash(b"1"))


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 299))
def test_proofs_of_larger_trees(one: int, other: int, index: int) -> None:
    tree = _LARGE
    old, new = sorted((one, other))
    verify_consistency(old, new, tree.consistency(old, new), tree.root(old), tree.root(new))
    if index < new:
        verify_inclusion(leaf_hash(b"%d" % index), index, new, tree.inclusion(index, new), tree.root(new))


_LARGE = tree_of(300)


@given(
    st.integers(-1, 2**54),
    st.integers(-1, 2**54),
    st.lists(st.binary(min_size=31, max_size=32), max_size=70),
    st.binary(min_size=32, max_size=32),
)
def test_random_proofs_leave_only_by_the_error_tree(
    one: int, other: int, proof: list[bytes], root: bytes
) -> None:
    assert code_of_inclusion(root, one, other, proof, root) in (None, "proof.malformed", "proof.mismatch")
    assert code_of_consistency(one, other, proof, root, root) in (None, "proof.malformed", "proof.mismatch")
