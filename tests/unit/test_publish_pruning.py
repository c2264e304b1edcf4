"""What is pruned, and when: only what no snapshot of the last ten minutes refers to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.base.logs import Log
from gateway.publish import pruning
from gateway.publish.disk import Disk
from gateway.publish.protocol import FeedFile
from gateway.publish.pruning import KEPT_SECONDS, Pruner
from gateway.publish.writer import Feed


class Place:
    """A feed's folder whose files say nothing."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self.root = root
        (root / "hidden").mkdir()
        self.feed = Feed(
            root, root / "record", disk, Log("publish", lambda line: None, lambda: 0), hidden=root / "hidden"
        )
        self.pruner = Pruner(self.feed)

    def name(self, now: float, *paths: str, hidden: bool = False) -> None:
        for path in paths:
            self.feed.put(FeedFile(path, b"x", hidden))
        self.pruner.named(paths, now, hidden=hidden)

    def files(self) -> set[str]:
        return {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Disk(str(tmp_path)) as disk:
        yield Place(tmp_path, disk)


def test_an_object_goes_ten_minutes_after_another_took_its_place(place: Place) -> None:
    place.name(0, "areas/1/aa.json", "stations/0/7-3.json", "stations/0/8-4.json", "decisions/cc.json")
    place.name(100, "areas/1/bb.json", "stations/0/7-5.json")
    assert place.pruner.prune(100 + KEPT_SECONDS - 1) == 0
    assert place.pruner.prune(100 + KEPT_SECONDS) == 2
    kept = {"areas/1/bb.json", "stations/0/7-5.json", "stations/0/8-4.json", "decisions/cc.json"}
    assert place.files() == kept


def test_an_object_that_comes_back_stays(place: Place) -> None:
    """An area's figures may go back to what they were: the name is the same."""
    place.name(0, "areas/1/aa.json")
    place.name(1, "areas/1/bb.json")
    place.name(2, "areas/1/aa.json")
    place.pruner.prune(KEPT_SECONDS + 2)
    assert place.files() == {"areas/1/aa.json"}


def test_partial_tiles_go_after_their_full_one(place: Place) -> None:
    place.name(0, "log/tile/0/000.p/3", "log/tile/entries/000.p/3", "log/tile/1/000.p/1")
    place.name(5, "log/tile/0/000.p/9")
    place.name(9, "log/tile/0/000", "log/tile/entries/000", "log/tile/0/001.p/2")
    place.pruner.prune(KEPT_SECONDS + 8)
    assert len(place.files()) == 7
    place.pruner.prune(KEPT_SECONDS + 9)
    assert place.files() == {
        "log/tile/0/000",
        "log/tile/entries/000",
        "log/tile/1/000.p/1",
        "log/tile/0/001.p/2",
    }
    # The next one may be of the same folder.
    place.name(700, "log/tile/1/000.p/2")


def test_what_an_earlier_run_has_left(place: Place) -> None:
    for path in ("areas/1/old.json", "areas/1/new.json", "areas/2/.x.json.tmp", "stations/0/7-1.json",
                 "log/tile/0/000.p/5", "log/tile/0/000", "log/tile/0/001.p/5"):  # fmt: skip
        place.feed.put(FeedFile(path, b"x"))
    place.pruner.named(["areas/1/new.json", "stations/0/7-2.json"], 50)
    assert place.pruner.adopt(50) == 3
    # What was being written when it died is nobody's; the rest has its ten minutes.
    assert "areas/2/.x.json.tmp" not in place.files()
    place.pruner.prune(50 + KEPT_SECONDS)
    assert place.files() == {"areas/1/new.json", "log/tile/0/000", "log/tile/0/001.p/5"}


def test_not_all_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "AT_ONCE", 2)
    for version in range(6):
        place.name(version, f"stations/0/7-{version}.json")
    assert [place.pruner.prune(9_999) for _ in range(4)] == [2, 2, 1, 0]
    assert place.files() == {"stations/0/7-5.json"}


def test_a_file_that_somebody_has_removed_is_no_trouble(place: Place) -> None:
    place.name(0, "areas/1/aa.json")
    place.name(1, "areas/1/bb.json")
    (place.root / "areas/1/aa.json").unlink()
    assert place.pruner.prune(9_999) == 1


def test_hidden_files_replace_hidden_ones_until_they_are_lifted(place: Place) -> None:
    place.name(0, "areas/1/aa.json", "areas/2/bb.json", "log/tile/entries/000.p/3")
    place.name(1, "areas/1/cc.json", "decisions/d1.json", "log/tile/entries/000.p/9", hidden=True)
    place.name(1, "decisions/w1.json")
    place.name(2, "areas/1/ee.json", "decisions/d2.json", "log/tile/entries/000", hidden=True)
    place.name(2, "decisions/w2.json")
    place.pruner.prune(KEPT_SECONDS + 2)
    assert place.files() == {
        # What the public had, and what nobody has replaced.
        "areas/1/aa.json", "areas/2/bb.json", "log/tile/entries/000.p/3", "decisions/w2.json",
        "hidden/areas/1/ee.json", "hidden/decisions/d2.json", "hidden/log/tile/entries/000",
    }  # fmt: skip
    assert place.feed.lift() == 3
    place.pruner.lifted(1_000)
    place.pruner.prune(1_000 + KEPT_SECONDS)
    assert place.files() == {
        "areas/1/ee.json", "areas/2/bb.json", "decisions/d2.json", "log/tile/entries/000"
    }  # fmt: skip


def test_a_public_file_that_hidden_ones_rest_on_stays(place: Place) -> None:
    """After a start nothing tells which of the last snapshot's objects were public before."""
    place.feed.put(FeedFile("areas/1/aa.json", b"x"))
    place.feed.put(FeedFile("areas/1/old.json", b"x"))
    place.pruner.named(["areas/1/aa.json"], 0, hidden=True)
    assert place.pruner.adopt(0) == 1
    place.pruner.prune(KEPT_SECONDS)
    assert place.files() == {"areas/1/aa.json"}


def test_what_is_being_written_is_lifted_the_next_time(place: Place) -> None:
    folder = place.root / "hidden" / "attachments"
    folder.mkdir()
    (folder / "ab").write_bytes(b"paper")
    (folder / ".cd.tmp").write_bytes(b"half")
    (place.root / "hidden" / "notes.txt").write_bytes(b"nobody's")
    assert place.feed.lift() == 1
    assert place.files() == {"attachments/ab", "hidden/attachments/.cd.tmp", "hidden/notes.txt"}
    (folder / ".cd.tmp").rename(folder / "cd")
    assert (place.feed.lift(), place.feed.lift()) == (1, 0)
    assert place.files() == {"attachments/ab", "attachments/cd", "hidden/notes.txt"}
    assert not folder.exists()
