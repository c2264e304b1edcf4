"""What a person reads while statements travel: each thing once, in words, with a countdown on a terminal."""

import errno
import io
import sys
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from clients.box import folder
from clients.box.board import Board, span
from clients.box.outbox import Outbox, Paper
from clients.box.papers import PaperRefused, PaperTaken, PaperUnread
from clients.box.send import ClockOff, Delivered, Failed, Refused, Resting, Unstored
from clients.wire.answers import Logged, Refusal
from clients.wire.errors import WireError
from clients.wire.note import Checkpoint
from clients.wire.site import Address
from tests.lying_gateway import ORIGIN, TestLog
from tests.unit import box_helpers as box
from tests.unit.box_world import sign_turnout

ADDRESS = Address("a.example", 1)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    device = box.make_device(tmp_path)
    sign_turnout(device, 1)
    return Outbox(device, TestLog().vkey)


@pytest.fixture
def board(outbox: Outbox) -> Board:
    return make_board(outbox, once=False)


def make_board(outbox: Outbox, *, once: bool) -> Board:
    with folder.opened(outbox.path) as opened:
        return Board(opened.settings, outbox, once=once)


def logged(outcome: str) -> Logged:
    return Logged(7, Checkpoint(ORIGIN, 8, bytes(32)), b"", outcome)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (61, "1 min 1 s"),
        (3_600, "1 h 0 min"),
        (86_400, "24 h 0 min"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_the_same_trouble_is_told_once(
    board: Board, outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = Failed(ADDRESS, WireError("line.broken", "the connection broke off"), 1.0)
    board.tell(cut)
    board.tell(cut)
    board.tell(Failed(ADDRESS, WireError("line.timeout", "no answer"), 2.0))
    assert capsys.readouterr().out.splitlines() == [
        "no line      a.example:1: the connection broke off [line.broken]",
        "             nothing is lost; tried again by itself, first in 1 s",
        "no line      a.example:1: no answer [line.timeout]",
        "             nothing is lost; tried again by itself, first in 2 s",
    ]
    board.tell(Delivered(outbox.letters[0], logged("accepted")))
    board.tell(cut)
    assert "the connection broke off" in capsys.readouterr().out


def test_who_does_not_wait_is_promised_nothing(outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    make_board(outbox, once=True).tell(Failed(ADDRESS, WireError("line.broken", "cut"), 1.0))
    assert capsys.readouterr().out == "no line      a.example:1: cut [line.broken]\n"


@pytest.mark.parametrize(
    ("code", "proves_nothing"),
    [
        ("note.unsigned", True),
        ("receipt.proof", True),
        ("checkpoint.origin", True),
        ("receipt.moved", False),
        ("folder.no_certificate", False),
        ("line.answer", False),
    ],
)
def test_a_receipt_that_proves_nothing(
    board: Board, capsys: pytest.CaptureFixture[str], code: str, proves_nothing: bool
) -> None:
    board.tell(Failed(ADDRESS, WireError(code, "words"), 1.0))
    said = capsys.readouterr().out
    assert f"words [{code}]" in said
    assert ("nothing counts as delivered" in said) is proves_nothing


def test_refusals(board: Board, outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    [letter] = outbox.letters
    board.tell(Refused(letter, Refusal("statement.too_early", "later\x1b[31m", "later", 60), 60.0))
    board.tell(Refused(letter, Refusal("identity.revoked", "another one", "fix", None), 300.0))
    board.tell(Refused(letter, Refusal("statement.malformed", "byte 3", "never", None), None))
    slip = f"1 turnout 8-{letter.packet.id.hex()[:16]}"
    assert capsys.readouterr().out.splitlines() == [
        f"not yet      {slip}: later\\x1b[31m [statement.too_early]",
        "             nothing is lost; tried again by itself, first in 1 min 0 s",
        f"put right    {slip}: another one [identity.revoked]",
        "             nothing is lost; tried again by itself, first in 5 min 0 s",
        f"refused      {slip}: byte 3 [statement.malformed]",
        "             it will not be taken as it is, and is kept here: call the commission",
    ]


def test_warnings(board: Board, outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    [letter] = outbox.letters
    board.tell(Delivered(letter, logged("conflict")))
    board.tell(Unstored(letter, logged("accepted"), OSError(errno.ENOSPC, "No space left on device")))
    board.tell(ClockOff(-86_400))
    board.tell(ClockOff(200))
    conflict, full, behind, ahead = capsys.readouterr().err.splitlines()
    assert "under number 1 too: call the commission" in conflict
    assert "in the log, place 7, but its receipt could not be stored here: No space left on device" in full
    assert "clock is 24 h 0 min behind the gateway's" in behind
    assert "clock is 3 min 20 s ahead of the gateway's" in ahead


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_countdown_on_a_terminal_only(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    async def main() -> None:
        for stream in (io.StringIO(), Terminal()):
            monkeypatch.setattr(sys, "stdout", stream)
            board.tell(Resting(trio.current_time() + 3.1))
            with trio.move_on_after(4):
                await board.count_down()
            board.clear()
            shown.append(stream.getvalue())

    monkeypatch.setenv("COLUMNS", "60")
    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert shown[0] == ""
    lines = shown[1].split("\r\x1b[2K")
    assert [line[:31] for line in lines] == [
        "",
        "1 to deliver, next try in 3 s (",
        "1 to deliver, next try in 2 s (",
        "1 to deliver, next try in 1 s (",
        "1 to deliver, next try in 1 s (",
        "",
    ]
    assert max(map(len, lines)) == 59


def test_papers_in_words(board: Board, outbox: Outbox, capsys: pytest.CaptureFixture[str]) -> None:
    paper = Paper(outbox.letters[0], b"\xab" * 32, 2, 48_211, here=True, taken=False)
    words = "png of 48,211 bytes, statement 1: abababababababab…"
    refusal = Refusal("request.too_large", "too much", "never", None)
    board.tell(PaperTaken(paper, new=True))
    board.tell(PaperTaken(paper, new=False))
    board.tell(PaperRefused(paper, Refusal("limit.storage", "the disk is full", "later", 40), 40.0))
    board.tell(PaperRefused(paper, refusal, None))
    board.tell(PaperUnread(paper, WireError("folder.attachment", "the disk has changed it"), 1.0))
    assert capsys.readouterr().out.splitlines() == [
        f"taken        {words}",
        f"known        {words}",
        f"not yet      {words}: the disk is full [limit.storage]",
        "             nothing is lost; tried again by itself, first in 40 s",
        f"refused      {words}: too much [request.too_large]",
        "             it will not be taken as it is, and is kept here: call the commission",
        f"put right    {words}: the disk has changed it [folder.attachment]",
        "             nothing is lost; tried again by itself, first in 1 s",
    ]
    outbox.papers.append(paper)
    board.begin()
    assert "papers       1 not delivered yet" in capsys.readouterr().out
    board.end([], [paper])
    assert "every statement is delivered, 1 of 1 papers still to be" in capsys.readouterr().err
