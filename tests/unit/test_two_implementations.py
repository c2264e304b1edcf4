"""The Rust core and `clients/wire` give one verdict on every input: code, rule, offset, place, content."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from clients.wire import jcs, merkle, note, receipt, statement, tiles
from clients.wire.cbor import Content
from clients.wire.errors import WireError
from clients.wire.keys import enrollable, verifies
from clients.wire.statement import Kind
from gateway import _core
from gateway.base.errors import CoreError
from tests.strategies import broken_statements, contents, mutations

T = TypeVar("T")
SEED = bytes(range(32))
KEY = SigningKey(SEED)
PUBLIC = bytes(KEY.verify_key)
ORIGIN = "election.example/2027/log"


@dataclass(frozen=True)
class Refusal:
    """What a person is told; the sentences may differ, nothing else."""

    code: str
    rule: str | None
    offset: int | None


def core(work: Callable[[], T]) -> T | Refusal:
    try:
        return work()
    except CoreError as error:
        return Refusal(error.code, error.rule, error.offset)


def wire(work: Callable[[], T]) -> T | Refusal:
    try:
        return work()
    except WireError as error:
        return Refusal(error.code, error.rule, error.offset)


def code(verdict: object) -> object:
    """The code alone, for formats that publish no rule and offset."""
    return verdict.code if isinstance(verdict, Refusal) else verdict


def same_statement(data: bytes) -> None:
    mine = core(lambda: _core.decode(data))
    theirs = wire(lambda: statement.decode(data))
    if isinstance(mine, Refusal) or isinstance(theirs, Refusal):
        assert mine == theirs
        return
    assert mine.kind == theirs.kind
    assert mine.id == theirs.id
    assert mine.kid == theirs.kid
    assert mine.payload == theirs.payload
    assert mine.signature == theirs.signature
    assert mine.content == theirs.content
    assert mine.signed_bytes == statement.signed_bytes(theirs.kind, theirs.kid, theirs.payload)


@given(contents())
def test_both_sign_the_same_bytes(of: tuple[Kind, Content]) -> None:
    kind, content = of
    mine = core(lambda: _core.sign(kind, content, SEED))
    theirs = wire(lambda: statement.sign(kind, content, KEY))
    if isinstance(mine, Refusal) or isinstance(theirs, Refusal):
        assert code(mine) == code(theirs) == "statement.malformed"
        return
    assert mine == theirs
    same_statement(mine)
    assert _core.verify_signature(PUBLIC, _core.decode(mine).signed_bytes, mine[-64:])


@given(contents(), st.data())
@settings(max_examples=400)
def test_a_mutated_statement(of: tuple[Kind, Content], data: st.DataObject) -> None:
    signed = statement.sign(*of, KEY) if len(statement.encode_payload(*of)) < 16_000 else b"\xd2"
    same_statement(data.draw(mutations(signed)))


@given(broken_statements())
@settings(max_examples=400)
def test_a_broken_payload_in_a_good_frame(of: tuple[Kind, bytes]) -> None:
    same_statement(of[1])


@given(st.binary(max_size=400))
@example(b"")
def test_random_bytes(data: bytes) -> None:
    same_statement(data)


@given(st.sampled_from(["packet", "decision"]), st.binary(max_size=120))
def test_random_payload_in_a_good_frame(kind: Kind, payload: bytes) -> None:
    frame = statement.sign("packet", (bytes(32), 1, 1, 1, b"", 0, (2, 1, ((3, 9),))), KEY)
    if kind == "decision":
        frame = statement.sign("decision", (bytes(32), b"", 1, 0, (("en", "a"),), (6,)), KEY)
    map_at = frame.index(b"\x04\x48") + 2 + 8
    head = bytes([0x40 | len(payload)]) if len(payload) < 24 else bytes([0x58, len(payload)])
    same_statement(frame[: map_at + 1] + head + payload + b"\x58\x40" + bytes(64))


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=50), st.binary(min_size=64, max_size=64))
def test_random_keys_and_signatures(key: bytes, message: bytes, signature: bytes) -> None:
    assert _core.enrollable([key]) == [enrollable(key)]
    assert _core.verify_signature(key, message, signature) == verifies(key, message, signature)


json_values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.integers(-1, 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_canonical_json(value: object) -> None:
    mine = core(lambda: _core.canonical_json(value))  # type: ignore[arg-type]  # also what it must refuse
    theirs = wire(lambda: jcs.write(value))  # type: ignore[arg-type]
    assert code(mine) == code(theirs)


def head_note(size: int, root: bytes, *, origin: str = ORIGIN) -> str:
    return _core.NoteSigner(ORIGIN, SEED).sign(_core.Checkpoint(origin, size, root).text)


def same_checkpoint(data: bytes, vkey: str) -> None:
    def mine() -> tuple[str, int, bytes]:
        head = _core.open_checkpoint(data, vkey)
        return head.origin, head.size, head.root

    def theirs() -> tuple[str, int, bytes]:
        head = note.open_checkpoint(data, note.VerifierKey.parse(vkey))
        return head.origin, head.size, head.root

    assert code(core(mine)) == code(wire(theirs))


VKEY = _core.vkey(ORIGIN, PUBLIC)
NOTE = head_note(600, bytes(range(32))).encode()
NOTE_PIECES = [
    b"\n",
    b"\n\n",
    "— ".encode(),
    ORIGIN.encode(),
    b" ",
    b"AAAAAAAA",
    b"0",
    b"\x7f",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"+",
]


@given(mutations(NOTE))
@settings(max_examples=400)
def test_a_mutated_checkpoint(data: bytes) -> None:
    same_checkpoint(data, VKEY)


@given(st.lists(st.sampled_from([*NOTE_PIECES, NOTE, NOTE.split(b"\n\n")[1]]), max_size=8).map(b"".join))
@example(b"\n\n" + NOTE.split(b"\n\n")[1])
@example(b"a\n\n\n" + NOTE.split(b"\n\n")[1])
@example(NOTE + NOTE.split(b"\n\n")[1])
def test_a_note_of_pieces(data: bytes) -> None:
    same_checkpoint(data, VKEY)


@given(st.text(alphabet="abc/.-\n019 ", max_size=30), st.integers(0, 3))
def test_any_signed_text(text: str, line_feeds: int) -> None:
    body = text + "\n" * line_feeds
    line = base64.b64encode(note.VerifierKey.parse(VKEY).id + KEY.sign(body.encode()).signature)
    same_checkpoint(body.encode() + b"\n" + "— ".encode() + ORIGIN.encode() + b" " + line + b"\n", VKEY)


@given(mutations(VKEY.encode()).map(lambda data: data.decode("utf-8", "replace")))
@example(VKEY)
@example("")
def test_a_mutated_verifier_key(vkey: str) -> None:
    same_checkpoint(NOTE, vkey)


TREE = _core.Tree()
ENTRIES = [b"entry %d" % index for index in range(300)]
TREE.append([_core.leaf_hash(entry) for entry in ENTRIES])


def same_receipt(data: bytes, entry: bytes) -> None:
    def mine() -> tuple[int, int]:
        index, head = _core.verify_receipt(data, entry, VKEY)
        return index, head.size

    def theirs() -> tuple[int, int]:
        index, head = receipt.verify(data, entry, note.VerifierKey.parse(VKEY))
        return index, head.size

    assert code(core(mine)) == code(wire(theirs))


@given(st.integers(1, 300), st.data())
def test_receipts(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    text = _core.format_receipt(index, TREE.inclusion(index, size), head_note(size, TREE.root(size)))
    assert text.encode() == receipt.write(
        index, TREE.inclusion(index, size), head_note(size, TREE.root(size)).encode()
    )
    same_receipt(text.encode(), ENTRIES[index])
    same_receipt(text.encode(), data.draw(st.sampled_from(ENTRIES)))
    same_receipt(data.draw(mutations(text.encode())), ENTRIES[index])


@given(st.integers(0, 300), st.integers(0, 300), st.data())
def test_trees_and_proofs(one: int, other: int, data: st.DataObject) -> None:
    old, new = sorted((one, other))
    theirs = merkle.Tree(merkle.leaf_hash(entry) for entry in ENTRIES[:new])
    assert theirs.root() == TREE.root(new)
    assert theirs.consistency(old, new) == TREE.consistency(old, new)
    path = TREE.consistency(old, new)
    roots = (TREE.root(old), TREE.root(new))
    if data.draw(st.booleans()) and path:
        path[data.draw(st.integers(0, len(path) - 1))] = bytes(32)
    path = path[: data.draw(st.integers(0, len(path)))] + [bytes(32)] * data.draw(st.integers(0, 1))
    mine = core(lambda: _core.verify_consistency(old, roots[0], new, roots[1], path))
    assert code(mine) == code(wire(lambda: merkle.verify_consistency(old, new, path, roots[0], roots[1])))


@given(
    st.integers(0, 300),
    st.integers(0, 301),
    st.lists(st.sampled_from([bytes(32), b"\1" * 32]), max_size=10),
    st.data(),
)
def test_inclusion_of_any_path(index: int, size: int, path: list[bytes], data: st.DataObject) -> None:
    if index < size <= 300 and data.draw(st.booleans()):
        path = TREE.inclusion(index, size)[: data.draw(st.integers(0, 10))]
    leaf, root = _core.leaf_hash(ENTRIES[index % 300]), TREE.root(min(size, 300))
    mine = core(lambda: _core.verify_inclusion(leaf, index, size, path, root))
    assert code(mine) == code(wire(lambda: merkle.verify_inclusion(leaf, index, size, path, root)))


@given(st.lists(st.binary(max_size=30), max_size=5), st.data())
def test_bundles_and_tiles(entries: list[bytes], data: st.DataObject) -> None:
    mine = core(lambda: _core.encode_bundle(entries))
    assert code(mine) == code(wire(lambda: tiles.bundle_bytes(entries)))
    if isinstance(mine, bytes):
        width = data.draw(st.integers(0, 6))
        changed = data.draw(st.just(mine) | mutations(mine))
        assert code(core(lambda: _core.decode_bundle(changed, width))) == code(
            wire(lambda: tiles.decode_bundle(changed, width))
        )
    raw = data.draw(st.binary(max_size=100))
    width = data.draw(st.integers(0, 4))
    assert code(core(lambda: _core.decode_tile(raw, width))) == code(
        wire(lambda: tiles.decode_tile(raw, width))
    )


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_536, 70_000])
def test_the_same_tiles_are_due(size: int) -> None:
    mine = [_core.tile_path(*tile) for tile in _core.tiles_between(0, size)]
    assert sorted(mine) == sorted(tile.path for tile in tiles.tiles(size))
