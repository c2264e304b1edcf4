"""Papers in the feed: those that the published log names and that are there, whole, and nothing else."""

import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from clients.observer.verdict import Check
from gateway import _core
from gateway.base.metrics import PublishMetrics
from gateway.feed.models import Latest, Paused
from gateway.publish.attachments import Attachments, Papers
from gateway.publish.loop import APART_SECONDS, HEARTBEAT_SECONDS, LOOK_SECONDS
from tests.faults.night import OPENED_AT, statement, submit
from tests.integration.publish_night import BOX_SEED, DEVICE, STATION, Life, Publication, live
from tests.integration.test_publish_embargo import CLOSED, UNTIL, Embargoed, counts
from tests.strategies import Content

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PDF = b"%PDF-1.7" + bytes(50)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def documents(publication: Publication, *papers: bytes) -> _core.Statement:
    """A packet that names papers."""
    publication.sequence += 1
    named = tuple(
        (hashlib.sha256(data).digest(), 1 if data.startswith(b"%") else 2, len(data), 1, page)
        for page, data in enumerate(papers, 1)
    )
    previous = b"" if publication.sequence == 1 else bytes(32)
    definition = publication.night.definition.hash
    content = (definition, DEVICE, STATION, publication.sequence, previous, OPENED_AT, (5, named))
    return statement("packet", content, BOX_SEED)


class Scene:
    """A night whose publisher runs, and the task of papers, which looks when a test says so.

    Attributes:
        latest: shown to the task instead of the newest snapshot.
        free: bytes that are free on the feed's disk.
    """

    def __init__(self, root: Path, publication: Publication | None = None) -> None:
        self.publication = publication or Publication(root)
        self.source = self.publication.night.data / "attachments"
        self.source.mkdir()
        self.latest: Latest | None = None
        self.free: int | None = 1 << 40

    def put(self, data: bytes, name: str = "") -> Path:
        path = self.source / (name or sha(data))
        path.write_bytes(data)
        return path

    def task(self, life: Life) -> Attachments:
        press = life.press
        assert press is not None
        return Attachments(
            press.papers,
            self.source,
            self.publication.feed,
            self.publication.hidden,
            newest=lambda: self.latest or press.newest,
            publish_at=self.publication.night.definition.publish_at,
            free=lambda: self.free,
            reserve=1_000_000,
            log=self.publication.log,
            metrics=life.metrics,
        )

    async def name(self, life: Life, snapshot: int, *papers: bytes) -> None:
        """Has the log name papers, and waits for the snapshot that has the entry."""
        life.ledger.append([submit(documents(self.publication, *papers), "box:1", None)])
        life.tell()
        if snapshot > 1:
            await life.pass_time(1)
        await life.snapshot(snapshot)

    def published(self, folder: Path | None = None) -> dict[str, bytes]:
        """What lies in the folder of papers, hidden names too."""
        place = (folder or self.publication.feed) / "attachments"
        return {path.name: path.read_bytes() for path in place.iterdir()} if place.exists() else {}


def play(scene: Scene, test: Callable[[Life], Awaitable[None]]) -> None:
    async def whole(life: Life) -> None:
        async with life.serving():
            await test(life)

    live(scene.publication, whole)


def missing(metrics: PublishMetrics) -> float:
    value = metrics.registry.get_sample_value("tallygate_papers_missing")
    assert value is not None
    return value


def test_a_paper_is_published_when_it_is_named_and_there(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.put(PDF)
    scene.put(b"nobody names this")

    async def test(life: Life) -> None:
        task = scene.task(life)
        assert not task.look()
        await scene.name(life, 1, PNG, PDF)
        assert not task.look()
        # One is there, the other is not yet.
        assert scene.published() == {sha(PDF): PDF}
        assert missing(life.metrics) == 1
        scene.put(PNG)
        task.look()
        assert scene.published() == {sha(PDF): PDF, sha(PNG): PNG}
        assert missing(life.metrics) == 0
        assert (scene.publication.feed / "attachments" / sha(PNG)).stat().st_mode & 0o777 == 0o644
        # Named again, nothing is done again; and nothing else of a snapshot waits for papers.
        before = (scene.publication.feed / "attachments" / sha(PNG)).stat().st_ino
        await scene.name(life, 2, PNG)
        task.look()
        assert (scene.publication.feed / "attachments" / sha(PNG)).stat().st_ino == before
        assert life.metrics.registry.get_sample_value("tallygate_papers_published_total") == 2

    play(scene, test)


def test_a_start_brings_back_what_was_removed_and_pruning_takes_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.put(PNG)

    async def first(life: Life) -> None:
        await scene.name(life, 1, PNG)
        scene.task(life).look()
        await scene.name(life, 2, PDF)
        # Ten minutes and more, with snapshots that would prune what they do not name.
        await life.pass_time(700)
        assert scene.published() == {sha(PNG): PNG}

    play(scene, first)
    copy = scene.publication.feed / "attachments" / sha(PNG)
    copy.unlink()
    (copy.parent / f".{sha(PNG)}.tmp").write_bytes(b"torn by a power cut")

    async def second(life: Life) -> None:
        await life.until(lambda: life.press is not None and life.press.resumed)
        scene.task(life).look()
        assert scene.published() == {sha(PNG): PNG}
        assert missing(life.metrics) == 1

    play(scene, second)


@pytest.mark.parametrize("how", ["flipped", "longer", "link", "folder", "pipe"])
def test_what_is_not_its_name_is_not_published(tmp_path: Path, how: str) -> None:
    scene = Scene(tmp_path)
    place = scene.source / sha(PNG)
    if how == "flipped":
        place.write_bytes(PNG[:-1] + b"!")
    elif how == "longer":
        place.write_bytes(PNG + b"!")
    elif how == "link":
        place.symlink_to(scene.put(PNG, "elsewhere"))
    elif how == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    scene.put(PDF)

    async def test(life: Life) -> None:
        await scene.name(life, 1, PNG, PDF)
        task = scene.task(life)
        for _ in range(3):
            task.look()
        # None waits for another.
        assert scene.published() == {sha(PDF): PDF}
        # It is told once; a link cannot even be opened.
        event = "attachments.unreadable" if how == "link" else "attachments.changed"
        assert scene.publication.events.count(event) == 1
        if place.is_dir():
            place.rmdir()
        else:
            place.unlink()
        # The box has sent it again.
        os.utime(scene.put(PNG), ns=(1, 1))
        task.look()
        assert scene.published() == {sha(PDF): PDF, sha(PNG): PNG}

    play(scene, test)


def test_nothing_is_copied_while_publication_is_paused_or_without_room(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.put(PNG)

    async def test(life: Life) -> None:
        await scene.name(life, 1, PNG)
        task = scene.task(life)
        latest = scene.publication.latest()
        paused = Paused("operator", (("en", "Wait."),), "2031-01-01T00:00:00.000Z")
        scene.latest = msgspec.structs.replace(latest, paused=paused)
        task.look()
        scene.latest = None
        for free in (None, 0, 80_000_000):
            scene.free = free
            task.look()
        assert scene.published() == {}
        # It is told once.
        assert scene.publication.events.count("attachments.unreadable") == 1
        scene.free = 100_000_000
        task.look()
        assert scene.published() == {sha(PNG): PNG}

    play(scene, test)


def test_under_an_embargo_papers_go_where_the_public_cannot_read(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.put(PNG)
    scene.put(PDF)

    async def test(life: Life) -> None:
        await scene.name(life, 1, PNG, PDF)
        task = scene.task(life)
        latest = scene.publication.latest()
        # An entry that no snapshot has yet is nobody's business, whatever comes first.
        scene.latest = msgspec.structs.replace(latest, log=msgspec.structs.replace(latest.log, size=0))
        task.look()
        assert (scene.published(), scene.published(scene.publication.hidden)) == ({}, {})
        scene.latest = msgspec.structs.replace(latest, embargo_until="2031-01-01T00:00:00.000Z")
        scene.publication.hidden.mkdir(exist_ok=True)
        task.look()
        assert scene.published() == {}
        assert scene.published(scene.publication.hidden) == {sha(PNG): PNG, sha(PDF): PDF}

    play(scene, test)


def test_a_disk_that_does_not_work_is_told_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path)
    scene.put(PNG)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def test(life: Life) -> None:
        await scene.name(life, 1, PNG)
        task = scene.task(life)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            task.look()
            task.look()
            assert scene.published() == {}
        assert scene.publication.events.count("attachments.unreadable") == 1
        task.look()
        assert scene.published() == {sha(PNG): PNG}

    play(scene, test)


def test_a_paper_that_the_disk_cannot_read_keeps_no_other_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path)
    bad = scene.put(PNG).stat().st_ino
    scene.put(PDF)
    real = os.read

    def read(descriptor: int, length: int) -> bytes:
        if os.fstat(descriptor).st_ino == bad:
            raise OSError(5, "Input/output error")
        return real(descriptor, length)

    async def test(life: Life) -> None:
        await scene.name(life, 1, PNG, PDF)
        task = scene.task(life)
        with monkeypatch.context() as patch:
            patch.setattr(os, "read", read)
            for _ in range(3):
                task.look()
            assert scene.published() == {sha(PDF): PDF}
            assert scene.publication.events.count("attachments.unreadable") == 1
        task.look()
        assert scene.published() == {sha(PDF): PDF, sha(PNG): PNG}

    play(scene, test)


def test_a_folder_that_nobody_has_changed_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path)
    monkeypatch.setattr("gateway.publish.attachments._BY_NAME", 0)
    looks = []

    async def test(life: Life) -> None:
        await scene.name(life, 1, PNG, PDF)
        task = scene.task(life)
        real = os.scandir

        def counted(path: Path) -> object:
            looks.append(path)
            return real(path)

        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", counted)
            for _ in range(5):
                task.look()
            assert len(looks) == 2
            os.utime(scene.put(PNG).parent, ns=(1, 1))
            task.look()
        assert scene.published() == {sha(PNG): PNG}

    play(scene, test)


def test_papers_come_up_to_the_published_size(tmp_path: Path) -> None:
    publication = Publication(tmp_path)
    papers = Papers()
    encoded = [documents(publication, PNG).encoded, documents(publication, PDF, PNG).encoded]
    papers.note(7, encoded)
    assert papers.take(7) == []
    assert papers.take(8) == [hashlib.sha256(PNG).digest()]
    assert papers.take(8) == []
    assert len(papers.take(1 << 60)) == 2


def test_an_embargo_hides_papers_until_its_hour(tmp_path: Path) -> None:
    """With the real one: hidden before and behind the first result, and all public at the hour.

    A protocol's scan says what its figures will say, and may come before them.
    """
    publication = Embargoed(tmp_path)
    scene = Scene(tmp_path / "unused", publication)
    early, late = scene.put(PDF), scene.put(PNG)

    def named(data: bytes) -> Content:
        return ((hashlib.sha256(data).digest(), 1 if data == PDF else 2, len(data), 1, 1),)

    async def test(life: Life) -> None:
        async with life.serving():
            task = scene.task(life)
            life.ledger.append([submit(publication.packet((5, named(PDF))), "box:1", None)])
            life.tell()
            await life.snapshot(1)
            task.look()
            assert scene.published() == {}
            assert scene.published(publication.hidden) == {early.name: PDF}
            result: Content = (3, CLOSED, 1, 7, (), counts(), named(PNG))
            life.ledger.append([submit(publication.packet(result), "box:1", None)])
            life.tell()
            task.look()
            await life.pass_time(1)
            assert (await life.snapshot(2)).embargo_until is not None
            task.look()
            assert scene.published() == {}
            assert scene.published(publication.hidden) == {early.name: PDF, late.name: PNG}
            # One is named in the public part of the log.
            open_, whole = publication.verify(), publication.verify(all_of_it=True)
            assert (open_.agrees, open_.counts[Check.PAPERS], open_.papers_missing) == (True, 0, 1)
            assert (whole.agrees, whole.counts[Check.PAPERS], whole.papers_missing) == (True, 2, 0)
            publication.election_time = UNTIL
            await life.pass_time(LOOK_SECONDS + APART_SECONDS)
            assert (await life.snapshot(3)).embargo_until is None
            task.look()
            assert scene.published() == {early.name: PDF, late.name: PNG}
            assert scene.published(publication.hidden) == {}
            verdict = publication.verify()
            assert (verdict.agrees, verdict.counts[Check.PAPERS]) == (True, 2)

    live(publication, test)


def test_papers_come_at_the_hour_also_without_any_result(tmp_path: Path) -> None:
    publication = Embargoed(tmp_path)
    scene = Scene(tmp_path / "unused", publication)
    scene.put(PDF)

    async def test(life: Life) -> None:
        async with life.serving():
            task = scene.task(life)
            await scene.name(life, 1, PDF)
            task.look()
            assert scene.published(publication.hidden) == {sha(PDF): PDF}
            await life.pass_time(HEARTBEAT_SECONDS)
            await life.snapshot(2)
            assert scene.published() == {}
            publication.election_time = UNTIL
            await life.pass_time(HEARTBEAT_SECONDS)
            await life.snapshot(3)
            assert scene.published() == {sha(PDF): PDF}
            scene.put(PNG)
            await scene.name(life, 4, PNG)
            task.look()
            assert scene.published() == {sha(PDF): PDF, sha(PNG): PNG}

    live(publication, test)
