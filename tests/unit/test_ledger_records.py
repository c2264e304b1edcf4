"""The small fixed records of a ledger: a refusal's row, the mark, the head of a write-ahead log."""

import errno

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.errors import TallygateError
from gateway.ledger import faults, refusals
from gateway.ledger.mark import MARK_SIZE, Mark, decode_mark
from gateway.ledger.protocol import Refusal
from gateway.ledger.refusals import MOST_A_BATCH, WAITING, WAITING_OF_ROUTE, Waiting
from gateway.ledger.wal import Frame, Wal

NUMBERS = st.integers(0, 2**63 - 1)
CODES = st.from_regex(r"[a-z_.]{1,48}", fullmatch=True)
SUMS = st.binary(min_size=32, max_size=32)
REFUSALS = st.builds(Refusal, NUMBERS, CODES, st.none() | NUMBERS, SUMS, st.binary(max_size=64))
MARKS = st.builds(Mark, NUMBERS, SUMS, st.binary(min_size=8, max_size=8), NUMBERS, st.booleans())


@given(NUMBERS, REFUSALS)
def test_a_refusal_survives(number: int, refusal: Refusal) -> None:
    record = refusals.encode(number, refusal)
    assert refusals.decode(record) == (number, refusal)
    assert len(record) == len(refusals.encode(0, Refusal(0, "x", None, bytes(32), b"")))


@given(NUMBERS, REFUSALS, st.data())
def test_a_flipped_bit_of_a_refusal_shows(number: int, refusal: Refusal, data: st.DataObject) -> None:
    record = bytearray(refusals.encode(number, refusal))
    record[data.draw(st.integers(0, len(record) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert refusals.decode(bytes(record)) is None
    assert refusals.decode(bytes(record[1:])) is None
    assert refusals.decode(None) is None


@given(st.lists(st.tuples(NUMBERS, REFUSALS)))
def test_records_are_in_the_order_of_their_numbers(numbered: list[tuple[int, Refusal]]) -> None:
    records = sorted(refusals.encode(number, refusal) for number, refusal in numbered)
    assert [int.from_bytes(record[:8], "big") for record in records] == sorted(n for n, _ in numbered)


@given(st.lists(REFUSALS, max_size=200))
def test_refusals_wait_until_they_are_written(some: list[Refusal]) -> None:
    waiting = Waiting()
    for one in some:
        waiting.add(one)
    left = list(some)
    while taken := waiting.next():
        assert taken == left[:MOST_A_BATCH]
        assert waiting.next() == taken, "a batch that failed has lost none"
        waiting.written(taken)
        left = left[MOST_A_BATCH:]
    assert left == []


def test_what_is_pushed_out_while_it_is_written() -> None:
    waiting = Waiting()
    some = [Refusal(number, "x", None, bytes(32), b"") for number in range(WAITING + 10)]
    for one in some[:WAITING]:
        waiting.add(one)
    taken = waiting.next()
    for one in some[WAITING:]:
        waiting.add(one)
    waiting.written(taken)
    assert [one.at for one in waiting.next()] == list(range(MOST_A_BATCH, 2 * MOST_A_BATCH))


def test_the_share_of_a_route() -> None:
    waiting = Waiting()
    flood = [Refusal(number, "x", None, bytes(32), b"") for number in range(WAITING_OF_ROUTE + 5)]
    other = Refusal(9, "y", 7, bytes(32), b"")
    waiting.add(other, "box:1")
    for one in flood:
        waiting.add(one, "box:2")
    waiting.add(other, "box:1")
    assert waiting.next(WAITING) == [other, *flood[:WAITING_OF_ROUTE], other]
    # Room is made by what is written, and by what is pushed out.
    waiting.written(waiting.next(2))
    for one in flood[-2:]:
        waiting.add(one, "box:2")
    assert waiting.next(WAITING) == [*flood[1:WAITING_OF_ROUTE], other, flood[-2]]
    for number in range(WAITING):
        waiting.add(other, f"box:{number}")
    waiting.add(flood[0], "box:2")
    assert waiting.next(WAITING)[-1] == flood[0]


@given(NUMBERS, MARKS, MARKS, st.integers(0, MARK_SIZE * 8 - 1))
def test_a_mark_survives_a_flipped_bit_and_half_a_write(
    serial: int, mark: Mark, newer: Mark, bit: int
) -> None:
    data = bytearray(mark.encode(serial))
    assert len(data) == MARK_SIZE
    assert decode_mark(bytes(data), "") == (serial, mark)
    data[bit // 8] ^= 1 << bit % 8
    assert decode_mark(bytes(data), "") == (serial, mark)
    half = newer.encode(serial + 1)[:512] + mark.encode(serial)[512:]
    assert decode_mark(half, "") == (serial + 1, newer)
    half = mark.encode(serial)[:512] + newer.encode(serial + 1)[512:]
    assert decode_mark(half, "") == (serial + 1, newer)


@given(st.binary(max_size=2_000))
def test_anything_else_is_no_mark(data: bytes) -> None:
    with pytest.raises(TallygateError) as caught:
        decode_mark(data, "data/ledger.mark")
    assert (caught.value.code, caught.value.place) == ("ledger.damaged", "data/ledger.mark")


SALTS = b"\x00\x00\x00\x09abcd"
OLDER = b"\x00\x00\x00\x08efgh"
MARK = Mark(0, bytes(32), SALTS, 4, folded=False)


def wal(*frames: tuple[int, bytes], salts: bytes | None = SALTS) -> Wal:
    return Wal("wal", 32 + 4_120 * len(frames), salts, [Frame(1, commit, mine) for commit, mine in frames])


def refusal_of(log: Wal, taken: int, mark: Mark) -> bool:
    try:
        log.check_header(mark)
        log.check_end(taken, mark)
    except TallygateError as error:
        return error.code == "ledger.damaged"
    return False


def test_the_end_of_a_log() -> None:
    whole = ((0, SALTS), (2, SALTS), (0, SALTS), (2, SALTS))
    assert not refusal_of(wal(*whole), 4, MARK)
    # A torn transaction, in any order of its frames, over old ones or over nothing.
    for torn in (
        ((0, SALTS),),
        ((0, SALTS), (2, SALTS)),
        ((0, OLDER), (2, SALTS)),
        ((0, bytes(8)), (0, SALTS)),
        ((7, OLDER), (7, OLDER), (7, OLDER)),
    ):
        assert not refusal_of(wal(*whole, *torn), 4, MARK)
    assert refusal_of(wal(*whole), 2, MARK)
    # The transaction after a bad one, also where the bit is in its salts.
    assert refusal_of(wal(*whole, (2, SALTS), (2, SALTS)), 4, MARK)
    for flipped in (b"\x00\x00\x00\x0babcd", b"\x00\x00\x00\x09abcE"):
        assert refusal_of(wal(*whole, (2, flipped), (2, SALTS)), 4, MARK)


def test_the_beginning_of_a_log() -> None:
    folded = Mark(0, bytes(32), SALTS, 4, folded=True)
    later = b"\x00\x00\x00\x0aijkl"
    far = b"\x00\x02\x00\x0aijkl"
    assert not refusal_of(wal((2, later), salts=later), 1, MARK)
    assert refusal_of(wal((2, far), salts=far), 1, MARK)
    assert refusal_of(wal((2, OLDER), salts=OLDER), 1, MARK)
    assert not refusal_of(wal((2, far), salts=far), 1, folded)
    assert refusal_of(wal(salts=None), 0, MARK)
    assert not refusal_of(wal(salts=None), 0, folded)
    assert not refusal_of(wal((2, SALTS), salts=None), 0, folded)
    assert refusal_of(wal((2, OLDER), salts=None), 0, folded)
    assert refusal_of(wal((2, later), salts=None), 0, folded)


@pytest.mark.parametrize(
    ("error", "system", "word"),
    [
        (PermissionError(errno.EACCES, "", "f"), 0, "chown"),
        (PermissionError(errno.EPERM, "", "f"), 0, "chown"),
        (OSError(errno.EROFS, "", "f"), 0, "read-only"),
        (OSError(errno.ENOLCK, "", "f"), 0, "local disk"),
        (OSError(errno.ENOSPC, "", "f"), 0, "make room"),
        (OSError(errno.EDQUOT, "", "f"), 0, "make room"),
        (OSError(errno.EIO, "", "f"), 0, "smartctl"),
        (OSError(errno.EMFILE, "", "f"), 0, "LimitNOFILE"),
        (OSError(errno.ELOOP, "", "f"), 0, "link"),
        (FileNotFoundError(errno.ENOENT, "", "f"), 0, "removed"),
        (OSError(errno.EBADMSG, "", "f"), 0, "smartctl"),
        (apsw.FullError(), errno.EIO, "make room"),
        (apsw.ReadOnlyError(), 0, "chown"),
        (apsw.IOError(), errno.ENOSPC, "make room"),
        (apsw.IOError(), errno.EIO, "smartctl"),
        (apsw.CantOpenError(), errno.EMFILE, "LimitNOFILE"),
        (apsw.IOError(), 0, "smartctl"),
    ],
)
def test_each_error_says_what_to_do(error: Exception, system: int, word: str) -> None:
    assert word in faults.advice(error, system)
    assert faults.place(error, "elsewhere") == ("f" if isinstance(error, OSError) else "elsewhere")
