"""Papers of a feed: each that is there has its name's hash, and which are missing is said and is no fault."""

import hashlib
import json
from pathlib import Path

import pytest

from clients.observer.verdict import Check, Verdict
from clients.observer.verify import verify
from clients.wire.grammar import MAX_ATTACHMENT_BYTES
from tests.feed_writer import CLOSES_AT, RESULT, FeedWriter

PDF, PNG, JPEG = b"%PDF-1.7", b"\x89PNG\r\n\x1a\n" + bytes(100), b"\xff\xd8\xff\xe0"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def named(*papers: bytes) -> tuple[tuple[bytes, int, int, int, int], ...]:
    return tuple(
        (hashlib.sha256(data).digest(), 1, len(data), 1, page) for page, data in enumerate(papers, 1)
    )


def checked(writer: FeedWriter) -> Verdict:
    return verify(writer.feed, processes=0)


@pytest.fixture
def writer(tmp_path: Path) -> FeedWriter:
    """A log in which a result, a protocol and documents name papers, one of them twice."""
    writer = FeedWriter(tmp_path)
    writer.packet((*RESULT[:-1], named(PDF)))
    writer.packet((4, CLOSES_AT, b"", 0, (), RESULT[5], named(PNG)), device=5)
    writer.packet((5, named(JPEG, PDF)))
    writer.publish()
    return writer


def test_papers_that_are_there_and_those_that_are_not(writer: FeedWriter) -> None:
    verdict = checked(writer)
    assert (verdict.agrees, verdict.counts[Check.PAPERS], verdict.papers_missing) == (True, 0, 3)
    for place, data in enumerate((PDF, PNG, JPEG), 1):
        writer.put(f"attachments/{sha(data)}", data)
        verdict = checked(writer)
        assert (verdict.agrees, verdict.counts[Check.PAPERS], verdict.papers_missing) == (
            True,
            place,
            3 - place,
        )
        assert verdict.not_judged == 0
    assert json.loads(json.dumps(verdict.object()))["papers_missing"] == 0


@pytest.mark.parametrize("spoiled", [PDF[:-1], PDF + b"!", b"", b"%PDF-1.6"])
def test_bytes_that_are_not_the_name(writer: FeedWriter, spoiled: bytes) -> None:
    writer.put(f"attachments/{sha(PNG)}", PNG)
    writer.put(f"attachments/{sha(PDF)}", spoiled)
    verdict = checked(writer)
    assert (verdict.agrees, verdict.failed) == (False, Check.PAPERS)
    assert verdict.difference is not None
    assert verdict.difference.code == "feed.hash"
    assert verdict.difference.file == f"attachments/{sha(PDF)}"


def test_a_paper_that_nothing_names_may_be_of_a_newer_snapshot(writer: FeedWriter) -> None:
    writer.put(f"attachments/{sha(b'new')}", b"new")
    verdict = checked(writer)
    assert (verdict.agrees, verdict.not_judged, verdict.counts[Check.PAPERS]) == (True, 1, 0)
    # Its bytes are its name's all the same.
    writer.put(f"attachments/{sha(b'new')}", b"old")
    assert checked(writer).agrees is False


@pytest.mark.parametrize(
    "path",
    [
        f"attachments/{sha(PDF)}.pdf",
        f"attachments/{sha(PDF).upper()}",
        "attachments/x",
        f"attachments/1/{sha(PDF)}",
    ],
)
def test_other_names(writer: FeedWriter, path: str) -> None:
    writer.put(path, PDF)
    verdict = checked(writer)
    assert verdict.difference is not None
    assert (verdict.difference.code, verdict.difference.file) == ("feed.unnamed", path)


def test_a_link_and_a_flood(writer: FeedWriter, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(PDF)
    place = writer.feed / "attachments" / sha(PDF)
    place.parent.mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    assert checked(writer).agrees is False
    place.unlink()
    with place.open("wb") as file:
        file.truncate(MAX_ATTACHMENT_BYTES + 1)
    verdict = checked(writer)
    assert verdict.difference is not None
    assert verdict.difference.code == "file.too_large"


def test_one_that_is_being_written_is_not_looked_at(writer: FeedWriter) -> None:
    writer.put(f"attachments/.{sha(PDF)}.tmp", b"half")
    assert checked(writer).agrees
