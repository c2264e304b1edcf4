"""Papers on their way: after their statements, beside them, again after a break, and not once more."""

import hashlib
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from clients.box import folder, receipts, sign
from clients.box.outbox import Outbox
from clients.box.papers import PaperRefused, PaperSender, PaperTaken, PaperUnread
from clients.box.send import Failed
from clients.wire.answers import judge_paper
from clients.wire.client import Answer
from clients.wire.errors import WireError
from tests.unit import box_helpers as box
from tests.unit.box_world import CUT, A, B, Uploaded, World, kept, refused, sign_turnout

PDF, PNG = b"%PDF-1.7", b"\x89PNG\r\n\x1a\n"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def attach(device: Path, *papers: bytes, elsewhere: bool = False) -> None:
    """Signs a report of documents with these papers."""
    named: list[box.Values] = []
    for place, data in enumerate(papers):
        (device.parent / f"scan-{place}").write_bytes(data)
        named.append({"file": f"scan-{place}", "document": "protocol", "page": place + 1})
    if elsewhere:
        named.append(box.paper())
    counts = box.write_json(device.parent / "counts.json", {**box.documents(), "attachments": named})
    with folder.opened(device) as opened:
        sign.sign(opened, counts, box.NOW)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(box.make_device(tmp_path))


def names(world: World) -> list[str]:
    return [uploaded.sha256 for uploaded in world.uploaded]


def waits(papers: PaperSender) -> bool:
    """Whether there is something to send."""
    return papers.waiting


def left(world: World) -> list[str]:
    outbox = Outbox(world.device, world.log.vkey)
    return [paper.sha256.hex() for paper in outbox.papers if paper.here and not paper.taken]


def test_a_paper_follows_its_statement(world: World) -> None:
    attach(world.device, PDF, PNG, elsewhere=True)
    # Before its statement is in the log nothing is tried.
    assert world.run_papers() == [sha(PDF), sha(PNG)]
    assert (world.calls, world.uploaded) == ([], [])
    assert world.run() == []
    assert world.run_papers() == []
    assert [(one.sha256, one.media_type) for one in world.uploaded] == [
        (sha(PDF), "application/pdf"),
        (sha(PNG), "image/png"),
    ]
    # Over one connection; and what is taken is not sent again, unless somebody wants it.
    assert len(world.calls) == 1
    assert [type(event) for event in world.events] == [PaperTaken, PaperTaken]
    assert left(world) == []
    assert world.run_papers() == []
    assert world.calls == []
    assert world.run_papers(again=True) == []
    assert names(world) == [sha(PDF), sha(PNG)]


def test_a_paper_that_two_statements_name_goes_once(world: World) -> None:
    attach(world.device, PDF)
    attach(world.device, PDF, PNG)
    world.run()
    world.run_papers()
    assert names(world) == [sha(PDF), sha(PNG)]


def test_a_broken_line_is_tried_again_at_another_gateway(world: World) -> None:
    attach(world.device, PDF, PNG)
    world.run()
    answers: list[Answer | WireError] = [CUT, CUT]

    def reply(uploaded: Uploaded) -> Answer | WireError:
        return answers.pop() if answers else kept(uploaded)

    world.paper_reply = reply
    assert world.run_papers() == []
    # What has failed comes after what has not, at the next address, after 1 and 2 seconds.
    assert [(one.sha256, one.address, one.at) for one in world.uploaded] == [
        (sha(PDF), A, 0),
        (sha(PNG), B, 1),
        (sha(PDF), A, 3),
        (sha(PNG), A, 3),
    ]
    assert [type(event) for event in world.events] == [Failed, Failed, PaperTaken, PaperTaken]


def test_what_is_refused_for_ever_is_kept_and_left(world: World) -> None:
    attach(world.device, PDF, PNG)
    world.run()
    world.paper_reply = lambda one: (
        refused("request.too_large", "never") if one.sha256 == sha(PDF) else kept(one)
    )
    assert world.run_papers() == [sha(PDF)]
    assert names(world) == [sha(PDF), sha(PNG)]
    [refusal] = world.of(PaperRefused)
    assert isinstance(refusal, PaperRefused)
    assert (refusal.refusal.code, refusal.wait) == ("request.too_large", None)
    assert (world.device / "attachments" / sha(PDF)).exists()


@pytest.mark.parametrize("code", ["limit.overload", "limit.storage", "limit.device", "identity.revoked"])
def test_what_any_paper_would_get_ends_the_attempt(world: World, code: str) -> None:
    attach(world.device, PDF, PNG)
    world.run()
    answers = [refused(code, "later", 40)]
    world.paper_reply = lambda one: answers.pop() if answers else kept(one)
    assert world.run_papers() == []
    assert [(one.sha256, one.at) for one in world.uploaded] == [(sha(PDF), 0), (sha(PNG), 40), (sha(PDF), 40)]


def test_one_that_is_refused_keeps_no_other_waiting(world: World) -> None:
    attach(world.device, PDF, PNG)
    world.run()
    answers = [refused("attachment.not_named", "fix")]
    world.paper_reply = lambda one: answers.pop() if answers else kept(one)
    assert world.run_papers() == []
    assert [(one.sha256, one.at) for one in world.uploaded] == [(sha(PDF), 0), (sha(PNG), 0), (sha(PDF), 300)]


def test_once_waits_for_nothing(world: World) -> None:
    attach(world.device, PDF, PNG)
    world.run()
    world.paper_reply = lambda _: CUT
    assert world.run_papers(once=True) == [sha(PDF), sha(PNG)]
    assert [call[0] for call in world.calls] == [A, B]
    world.paper_reply = lambda _: refused("limit.overload", "later", 40)
    assert len(world.run_papers(once=True)) == 2
    world.paper_reply = kept
    assert world.run_papers(once=True) == []


@pytest.mark.parametrize("damage", [b"%PDF-1.6", b"", None])
def test_a_file_that_the_disk_has_changed_is_not_sent(world: World, damage: bytes | None) -> None:
    attach(world.device, PDF, PNG)
    world.run()
    place = world.device / "attachments" / sha(PDF)
    outbox = Outbox(world.device, world.log.vkey)
    if damage is None:
        place.unlink()
        with pytest.raises(WireError) as caught:
            outbox.content(outbox.papers[0])
        assert caught.value.code == "file.unreadable"
        # One that is gone is as one that is elsewhere: it cannot be sent.
        assert world.run_papers(once=True) == []
        assert names(world) == [sha(PNG)]
        return
    place.write_bytes(damage)
    assert world.run_papers(once=True) == [sha(PDF)]
    assert names(world) == [sha(PNG)]
    [unread] = world.of(PaperUnread)
    assert isinstance(unread, PaperUnread)
    assert unread.error.code == "folder.attachment"


def test_statements_do_not_wait_for_a_slow_paper(world: World) -> None:
    """A scan of an hour; a turnout that is signed meanwhile is delivered within seconds."""
    attach(world.device, PDF)
    world.run()
    world.paper_seconds = 3_600
    world.sent.clear()

    async def main() -> None:
        with receipts.sending(world.device):
            outbox = Outbox(world.device, world.log.vkey)
            sender, papers = world.sender(outbox), world.paper_sender(outbox)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(papers.run, once=False))
                await trio.sleep(100)
                sign_turnout(world.device, 7)
                await sender.run(once=False)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert world.what() == [(2, 100)]
    assert [one.at for one in world.uploaded] == [3_600]


def test_papers_of_statements_that_come_later_are_waited_for(world: World) -> None:
    attach(world.device, PDF)

    async def main() -> None:
        with receipts.sending(world.device):
            outbox = Outbox(world.device, world.log.vkey)
            papers = world.paper_sender(outbox)
            going = True
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(papers.run, once=False, more=lambda: going))
                await trio.sleep(50)
                assert not waits(papers)
                await world.sender(outbox).run(once=False)
                assert waits(papers)
                await trio.sleep(50)
                assert not waits(papers)
                attach(world.device, PNG)
                await world.sender(outbox).run(once=False)
                going = False
            assert papers.left == []

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert names(world) == [sha(PDF), sha(PNG)]


def test_a_note_that_cannot_be_written_costs_one_more_upload(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach(world.device, PDF)
    world.run()

    def fail(*_: object) -> None:
        raise OSError(28, "full")

    with monkeypatch.context() as patch:
        patch.setattr(receipts, "note_paper", fail)
        world.run_papers()
    assert names(world) == [sha(PDF)] == left(world)
    world.paper_reply = partial(kept, status=200)
    assert world.run_papers() == []
    assert names(world) == [sha(PDF)]


@pytest.mark.parametrize(
    ("status", "media_type", "body"),
    [
        (200, "text/html", b"<html>"),
        (201, "application/json", b"{}"),
        (201, "application/json", b"[" * 100_000),
        (201, "application/json", b'{"sha256":"%s"}' % (b"ab" * 32)),
        (204, "application/json", b'{"sha256":"%s"}' % sha(PDF).encode()),
        (201, "text/plain", b'{"sha256":"%s"}' % sha(PDF).encode()),
    ],
)
def test_what_does_not_say_that_a_paper_is_kept(status: int, media_type: str, body: bytes) -> None:
    answer = Answer(status, {"content-type": media_type}, body)
    with pytest.raises(WireError) as caught:
        judge_paper(answer, hashlib.sha256(PDF).digest())
    assert caught.value.code == "line.answer"


def test_what_says_so() -> None:
    for status in (200, 201):
        answer = Answer(
            status, {"content-type": "application/json"}, b'{"sha256":"%s","size":8}' % sha(PDF).encode()
        )
        assert judge_paper(answer, hashlib.sha256(PDF).digest()) is (status == 201)
