"""Opening the feed's files on a real disk: links, pipes, folders, files that change while they are read."""

import hashlib
import os
from pathlib import Path

import pytest

from gateway.site import files as module
from gateway.site.files import CHUNK, FeedFiles, tag_of
from gateway.site.names import find_file

LARGE = bytes(range(256)) * (CHUNK // 128)


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    root = tmp_path / "feed"
    (root / "areas" / "1").mkdir(parents=True)
    (root / "latest.json").write_bytes(b"{}")
    (root / "areas" / "1" / "large.json").write_bytes(LARGE)
    (tmp_path / "secret.json").write_bytes(b"secret")
    return root


def whole(files: FeedFiles, *parts: str) -> bytes | None:
    return files.read(parts, len(LARGE))


def test_a_file_small_or_large(feed: Path) -> None:
    files = FeedFiles(feed)
    assert whole(files, "latest.json") == b"{}"
    assert whole(files, "areas", "1", "large.json") == LARGE
    assert files.read(("areas", "1", "large.json"), len(LARGE) - 1) is None
    for parts, data in ((("latest.json",), b"{}"), (("areas", "1", "large.json"), LARGE)):
        opened = files.open(parts)
        assert opened is not None
        assert (opened.size, opened.tag) == (len(data), f'"{hashlib.sha256(data).hexdigest()[:32]}"')
        assert opened.tag == tag_of(data)
        opened.close()


def test_what_is_no_file_of_the_feed(feed: Path) -> None:
    (feed / "link.json").symlink_to(feed.parent / "secret.json")
    (feed / "inside.json").symlink_to("latest.json")
    (feed / "elsewhere").symlink_to(feed.parent)
    os.mkfifo(feed / "pipe.json")
    (feed / "closed.json").write_bytes(b"x")
    files = FeedFiles(feed)
    for parts in (
        ("link.json",),
        ("inside.json",),
        ("elsewhere", "secret.json"),
        ("pipe.json",),
        ("areas",),
        ("areas", "1"),
        ("areas", "2", "large.json"),
        ("latest.json", "x"),
        ("missing.json",),
        ("a" * 300,),
    ):
        assert files.open(parts) is None, parts


def test_a_feed_that_is_not_there_yet_or_is_a_link(feed: Path, tmp_path: Path) -> None:
    files = FeedFiles(tmp_path / "night-feed")
    assert files.open(("latest.json",)) is None
    (tmp_path / "night-feed").symlink_to(feed)
    assert whole(files, "latest.json") == b"{}"


def test_who_has_a_file_open_reads_the_old_bytes_under_the_old_tag(feed: Path) -> None:
    files = FeedFiles(feed)
    parts = ("areas", "1", "large.json")
    opened = files.open(parts)
    assert opened is not None
    new = feed / "new"
    new.write_bytes(LARGE[::-1])
    new.replace(feed.joinpath(*parts))
    assert opened.read(CHUNK, opened.size) == LARGE[CHUNK : 2 * CHUNK]
    opened.close()
    again = files.open(parts)
    assert again is not None
    assert again.tag == tag_of(LARGE[::-1]) != opened.tag
    again.close()


def test_a_file_that_shrinks_while_it_is_sent_is_an_error_and_never_other_bytes(feed: Path) -> None:
    files = FeedFiles(feed)
    opened = files.open(("areas", "1", "large.json"))
    assert opened is not None
    os.truncate(feed / "areas" / "1" / "large.json", CHUNK)
    with pytest.raises(OSError, match="shorter"):
        opened.read(CHUNK, opened.size)
    opened.close()


def test_bytes_that_were_changed_in_place_have_another_tag(feed: Path) -> None:
    files = FeedFiles(feed)
    before = files.open(("latest.json",))
    (feed / "latest.json").write_bytes(b"{ }")
    after = files.open(("latest.json",))
    assert before is not None
    assert after is not None
    assert before.tag != after.tag
    before.close()
    after.close()


def test_the_tag_of_a_paper_costs_no_more_than_its_first_bytes(
    feed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are more of them than are remembered, of 20 MiB each, and HEAD is sent in no time."""
    sha256 = hashlib.sha256(LARGE).hexdigest()
    (feed / "attachments").mkdir()
    (feed / "attachments" / sha256).write_bytes(LARGE)
    named = find_file(f"/attachments/{sha256}", rehearsal=False)
    assert named is not None
    read = []
    real = os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        data = real(descriptor, length, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", pread)
    opened = FeedFiles(feed).open(named.parts, named.tag)
    assert opened is not None
    opened.close()
    assert opened.tag == tag_of(LARGE)
    assert sum(read) == CHUNK


def test_tags_are_remembered_and_forgotten(feed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TAGS", 2)
    files = FeedFiles(feed)
    for _ in range(2):
        for name in ("a", "b", "c"):
            (feed / name).write_bytes(name.encode())
            opened = files.open((name,))
            assert opened is not None
            assert opened.tag == tag_of(name.encode())
            opened.close()


def test_no_descriptor_is_left_behind(feed: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    files = FeedFiles(feed)
    before = descriptors()
    for parts in (
        ("latest.json",),
        ("areas", "1", "large.json"),
        ("areas",),
        ("x", "y"),
        ("latest.json", "x"),
    ):
        files.read(parts, 10)
    assert descriptors() == before
