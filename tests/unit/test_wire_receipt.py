"""Receipts: one that proves its statement, and each way not to."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from clients.wire import note, receipt
from clients.wire.errors import WireError
from clients.wire.merkle import Tree, leaf_hash
from clients.wire.note import Checkpoint, VerifierKey
from clients.wire.receipt import Receipt
from tests.strategies import MAX_NUMBER, mutations

KEY = SigningKey(b"\x01" * 32)
ORIGIN = "election.example/2027/log"
VKEY = VerifierKey(ORIGIN, bytes(KEY.verify_key))
STATEMENTS = [b"statement %d" % number for number in range(21)]
TREE = Tree(map(leaf_hash, STATEMENTS))


def note_of(size: int) -> bytes:
    return note.sign(Checkpoint(ORIGIN, size, TREE.root(size)).text, ORIGIN, KEY)


NOTE = note_of(21)
GOOD = receipt.write(6, TREE.inclusion(6, 21), NOTE)
HASH = base64.b64encode(bytes(32))


def code_of(act: Callable[[], object]) -> str | None:
    try:
        act()
    except WireError as error:
        return error.code
    return None


def test_the_bytes_of_a_receipt() -> None:
    path = b"".join(base64.b64encode(value) + b"\n" for value in TREE.inclusion(6, 21))
    assert b"c2sp.org/tlog-proof@v1\nindex 6\n" + path + b"\n" + NOTE == GOOD
    assert bytes(Receipt.parse(GOOD)) == GOOD


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (1, 2), (6, 7), (6, 21), (20, 21)])
def test_a_receipt_proves_its_statement(index: int, size: int) -> None:
    data = receipt.write(index, TREE.inclusion(index, size), note_of(size))
    expected = Checkpoint(ORIGIN, size, TREE.root(size))
    assert receipt.verify(data, STATEMENTS[index], VKEY) == (index, expected)
    assert code_of(lambda: receipt.verify(data, b"another", VKEY)) == "receipt.proof"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        GOOD.replace(b"@v1", b"@v2"),
        GOOD.replace(b"c2sp", b" c2sp"),
        b"\n" + GOOD,
        GOOD.replace(b"index 6\n", b""),
        GOOD.replace(b"index 6", b"index  6"),
        GOOD.replace(b"index 6", b"index 06"),
        GOOD.replace(b"index 6", b"index -6"),
        GOOD.replace(b"index 6", b"index "),
        GOOD.replace(b"index 6", b"Index 6"),
        GOOD.replace(b"index 6", b"index 9007199254740992"),
        GOOD.replace(b"index 6", b"index " + b"9" * 5000),
        GOOD.replace(b"index 6", b"index \xd9\xa7"),
        GOOD.replace(b"index 6\n", b"index 6\nextra AAAA\n"),
        GOOD.replace(b"index 6\n", b"index 6\n" + base64.b64encode(bytes(31)) + b"\n"),
        GOOD.replace(b"index 6\n", b"index 6\n" + HASH[:-2] + b"B=\n"),
        GOOD.replace(b"index 6\n", b"index 6\n" + HASH + b" \n"),
        GOOD.replace(b"index 6\n", b"index 6\r\n"),
        GOOD.replace(b"index 6\n", b"index 6\n" + (HASH + b"\n") * 59),
        GOOD.partition(b"\n\n")[0] + b"\n",
        b"c2sp.org/tlog-proof@v1\n\n" + NOTE,
        GOOD + b"x" * 32_768,
    ],
    ids=range(23),
)
def test_what_is_no_receipt(data: bytes) -> None:
    assert code_of(lambda: receipt.verify(data, STATEMENTS[6], VKEY)) == "receipt.malformed"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "note.malformed"),
        (NOTE[:-1], "note.malformed"),
        (NOTE.replace(b"\n21\n", b"\n20\n"), "note.signature"),
        (note.sign("x\n", "x", KEY), "note.unsigned"),
        (note.sign("x\n", ORIGIN, KEY), "checkpoint.malformed"),
        (note.sign(Checkpoint("x", 1, bytes(32)).text, ORIGIN, KEY), "checkpoint.origin"),
        (NOTE, "receipt.proof"),
    ],
)
def test_the_form_is_judged_before_the_note_and_the_note_before_the_proof(body: bytes, code: str) -> None:
    head = GOOD[: GOOD.index(b"\n\n") + 2]
    data = head.replace(b"index 6", b"index 7") + body
    assert code_of(lambda: receipt.verify(data, STATEMENTS[6], VKEY)) == code


PATH = TREE.inclusion(6, 21)


@pytest.mark.parametrize(
    ("index", "path"),
    [
        (21, PATH),
        (MAX_NUMBER, PATH),
        (7, PATH),
        (6, PATH[:-1]),
        (6, [*PATH, PATH[0]]),
        (6, []),
        (6, [bytes(32)] * 63),
        (6, [PATH[1], PATH[0], *PATH[2:]]),
    ],
)
def test_a_path_that_does_not_fit(index: int, path: list[bytes]) -> None:
    data = receipt.write(index, path, NOTE)
    assert code_of(lambda: receipt.verify(data, STATEMENTS[6], VKEY)) == "receipt.proof"


@pytest.mark.parametrize(("index", "path"), [(-1, []), (2**53, []), (0, [bytes(31)]), (0, [bytes(32)] * 64)])
def test_what_is_not_written(index: int, path: list[bytes]) -> None:
    assert code_of(lambda: receipt.write(index, path, NOTE)) == "receipt.malformed"


@given(st.data())
def test_changed_receipts_leave_only_by_the_error_tree(data: st.DataObject) -> None:
    changed = data.draw(mutations(GOOD))
    code = code_of(lambda: receipt.verify(changed, STATEMENTS[6], VKEY))
    assert code in (
        None,
        "receipt.malformed",
        "receipt.proof",
        "note.malformed",
        "note.unsigned",
        "note.signature",
    )
    if code is None:
        assert receipt.verify(changed, STATEMENTS[6], VKEY) == receipt.verify(GOOD, STATEMENTS[6], VKEY)
