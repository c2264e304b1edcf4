"""The gateway's snapshots beside those that the clients' code makes from docs/feed.md: byte for byte."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from clients.observer.verify import verify
from clients.wire import statement
from gateway import _core
from gateway.feed.models import Software
from gateway.ledger.protocol import Head
from gateway.publish.logfiles import LogFiles
from gateway.publish.snapshot import SnapshotBuilder
from tests.feed_writer import CLOSES_AT, PUBLISHED_AT, RESULT, SNAPSHOT_KEY, FeedWriter
from tests.unit.wire_election import MEMBERS

OTHER_COUNTS = ((1, ((9, 100), (11, 98), (13, 2)), (11, 89, 8)), (2, ((9, 100), (11, 97), (13, 3)), (60, 37)))
PROTOCOL = (4, CLOSES_AT, b"", 0, (), RESULT[5], ())


def quiet(writer: FeedWriter, publish: Callable[[], None]) -> None:
    writer.packet((1, 0, bytes([1]) * 32, ()))
    writer.packet(RESULT)


def disputed(writer: FeedWriter, publish: Callable[[], None]) -> None:
    writer.packet(RESULT)
    publish()
    writer.packet((*RESULT[:5], OTHER_COUNTS, ()))
    writer.packet(PROTOCOL, device=5)


def decided(writer: FeedWriter, publish: Callable[[], None]) -> None:
    """Decisions of every standing, and one that names another definition."""
    writer.packet(RESULT)
    sent = hashlib.sha256(writer.packet(PROTOCOL, device=5)).digest()
    writer.decide(2, (5, 8, 1, 2, sent))
    publish()
    writer.decide(3, (4, 8, 2))
    writer.decide(4, (13, 3))
    writer.decide(5, (12, 11), reason="Ачылган жок.")
    writer.decide(6, (2, 999))
    writer.decide(7, (8, 2, 3))
    writer.decide(9, (6,), (3,))
    key = hashlib.sha256(b"another").digest()
    content = (key, b"", 1, 0, (("en", "Not ours."),), (7,))
    writer.log.append(statement.sign("decision", content, MEMBERS[1]))
    publish()
    writer.decide(8, (11, 0, CLOSES_AT + 5))


def long(writer: FeedWriter, publish: Callable[[], None]) -> None:
    """More than a tile."""
    for turn in range(300):
        writer.packet((2, CLOSES_AT - 5_000_000 + turn, ((3, turn),)))
        if turn in (100, 253, 254):
            publish()


class Gateway:
    """The gateway's publisher, without its disk."""

    def __init__(self, writer: FeedWriter, root: Path) -> None:
        self.writer = writer
        definition = _core.Definition.load(writer.root / "definition")
        roster = _core.Roster.load(writer.root / "roster", definition)
        self.builder = SnapshotBuilder(
            definition,
            roster,
            bytes(SNAPSHOT_KEY),
            information=writer.information.sha256,
            software=Software(version="0.1.0", source="ab" * 32),
        )
        root.mkdir()
        self.log = LogFiles(root)
        self.number = 0
        self.previous: bytes | None = None
        self.old = 0

    def publish(self, checkpoint: bytes, size: int) -> dict[str, bytes]:
        """The files of the next snapshot, but for what only copies."""
        entries = self.writer.log[self.old : size]
        if entries:
            assert self.builder.take(self.old, entries) == len(entries)
        self.log.take(entries)
        self.number += 1
        at = datetime.fromisoformat(PUBLISHED_AT.format(self.number % 60))
        head = Head(size, self.builder.tree.root(), checkpoint.decode())
        draft = self.builder.draft(self.number, self.previous, int(at.timestamp() * 1000), head)
        assert draft is not None
        files = {file.path: file.data for file in draft.files}
        with_tiles = self.log.cut(self.builder.tree, self.old)
        files.update((file.path, file.data) for file in with_tiles)
        with_tiles.close()
        files[f"snapshots/{self.number}.json"] = draft.latest
        files[f"snapshots/{self.number}.note"] = draft.note
        self.previous, self.old = draft.sha256, size
        return files


@pytest.mark.parametrize("night", [quiet, disputed, decided, long])
def test_both_write_the_same(night: Callable[[FeedWriter, Callable[[], None]], None], tmp_path: Path) -> None:
    writer = FeedWriter(tmp_path / "written")
    gateway = Gateway(writer, tmp_path / "spool")
    written = 0

    def publish_both() -> None:
        nonlocal written
        writer.publish()
        checkpoint = (writer.feed / "log/checkpoint").read_bytes()
        for path, data in gateway.publish(checkpoint, len(writer.log)).items():
            assert (writer.feed / path).read_bytes() == data, path
            written += 1

    publish_both()
    night(writer, publish_both)
    publish_both()
    publish_both()
    gateway.log.close()
    assert written > 10
    verdict = verify(writer.feed, processes=0)
    assert verdict.agrees, verdict.difference
