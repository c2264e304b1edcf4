"""What the ledger asks of the core in bulk: hashes of whole statements, papers of packets."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import _core
from tests.faults.night import MEMBER_SEEDS
from tests.strategies import Content, contents


def hashed(statements: list[bytes]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    ids = [hashlib.sha256(statement).digest() for statement in statements]
    return statements, ids, [hashlib.sha256(b"\0" + statement).digest() for statement in statements]


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(0, 20))
def test_statements_are_appended_if_their_hashes_are_right(statements: list[bytes], cut: int) -> None:
    tree, one_by_one = _core.Tree(), _core.Tree()
    assert tree.append_verified(*hashed(statements[:cut])) is None
    assert tree.append_verified(*hashed(statements[cut:])) is None
    one_by_one.append(hashed(statements)[2])
    assert (tree.size, tree.root()) == (one_by_one.size, one_by_one.root())


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=20), st.data())
def test_the_first_wrong_hash_is_told(statements: list[bytes], data: st.DataObject) -> None:
    parts = hashed(statements)
    wrong = data.draw(st.sets(st.integers(0, len(statements) - 1), min_size=1))
    for place in wrong:
        part = parts[data.draw(st.integers(1, 2))]
        part[place] = data.draw(st.sampled_from((bytes(32), b"", part[place] + b"\0", part[place][:31])))
    tree = _core.Tree()
    assert tree.append_verified(*parts) == min(wrong)
    assert tree.size == 0


def test_each_statement_needs_its_hashes() -> None:
    one, hashes = [b""], [bytes(32)]
    nothing: list[bytes] = []
    for parts in ((one, nothing, nothing), (one, hashes, nothing), (nothing, hashes, hashes)):
        with pytest.raises(ValueError, match="each statement"):
            _core.Tree().append_verified(*parts)


@given(contents())
def test_the_papers_that_a_packet_names(made: tuple[str, Content]) -> None:
    kind, content = made
    statement = _core.decode(
        _core.sign("packet" if kind == "packet" else "decision", content, MEMBER_SEEDS[0])
    )
    expected: Content = ()
    if kind == "packet" and isinstance(content[6], tuple) and content[6][0] in {3, 4, 5}:
        papers = content[6][-1]
        expected = papers if isinstance(papers, tuple) else ()
    assert statement.attachments == list(expected)
