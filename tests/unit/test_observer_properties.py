"""Whatever a log says: what the gateway publishes of it, the observer finds right."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings

from clients.observer.follow import Follower
from clients.observer.verdict import Check
from clients.observer.verify import start
from clients.wire.cbor import Content
from gateway import _core
from gateway.ledger.protocol import Head
from gateway.publish.logfiles import LogFiles
from gateway.publish.snapshot import SnapshotBuilder
from tests.unit import feed_helpers, tally_logs
from tests.unit.feed_helpers import Publisher
from tests.unit.tally_logs import Action, Log, Scene, logs

BROKEN_ROSTER = b"{}"


class Honest(Scene):
    """A log without signatures that only a tally can live with; its unusable roster is a file."""

    def _again(self, place: int, earlier: int, due: int) -> None:
        del place, earlier, due

    def _action(self, action: Action) -> Content:
        if action == (9, "unusable"):
            return (9, hashlib.sha256(BROKEN_ROSTER).digest())
        return super()._action(action)


class OnDisk(Publisher):
    """A publisher whose files are written; what it shows beside the tally is nothing."""

    def __init__(self, root: Path, log: Log) -> None:
        self.root = root
        self.feed = root / "feed"
        self.old = 0
        definition_folder = root / "definition"
        scene = Honest(root, log)
        definition = _core.Definition.load(definition_folder)
        rosters = [_core.Roster.load(root / name, definition) for name in tally_logs.ROSTERS]
        unusable = hashlib.sha256(BROKEN_ROSTER)
        super().__init__(definition, rosters, scene.statements, unusable=[unusable.digest()])
        (root / "spool").mkdir()
        self.log_files = LogFiles(root / "spool")
        self.put(f"roster/{unusable.hexdigest()}/roster.json", BROKEN_ROSTER)
        folders = [("definition", definition.hash, definition_folder)]
        folders += [
            ("roster", one.hash, root / name) for name, one in zip(tally_logs.ROSTERS, rosters, strict=True)
        ]
        for kind, sha256, folder in folders:
            for file in folder.iterdir():
                self.put(f"{kind}/{sha256.hex()}/{file.name}", file.read_bytes())
        for name, seed, path in (
            (tally_logs.ORIGIN, tally_logs.LOG_SEED, "keys/log.vkey"),
            (f"{tally_logs.ORIGIN}/snapshot", tally_logs.SNAPSHOT_SEED, "keys/snapshot.vkey"),
        ):
            self.put(path, f"{_core.vkey(name, _core.public_key(seed))}\n".encode())

    def fresh(self, *, offer: bool = True) -> SnapshotBuilder:
        builder = SnapshotBuilder(
            self.definition,
            self.rosters[0],
            self.snapshot_seed,
            information=None,
            software=feed_helpers.SOFTWARE,
        )
        for roster in self.rosters[1:] if offer else ():
            builder.offer(roster)
        for sha256 in self.unusable:
            builder.offer_unusable(sha256)
        return builder

    def put(self, path: str, data: bytes) -> None:
        target = self.feed / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def write(self, size: int) -> bool:
        """Publish so many entries; False: nothing may be published yet."""
        new = self.log[self.builder.size : size]
        self.take(size)
        self.log_files.take(new)
        head: Head = self.head(self.builder)
        draft = self.draft()
        if draft is None:
            return False
        if draft.checkpoint is not None:
            with_tiles = self.log_files.cut(self.builder.tree, self.old)
            for file in with_tiles:
                self.put(file.path, file.data)
            with_tiles.close()
            assert draft.checkpoint == head.note.encode()
            self.put("log/checkpoint", draft.checkpoint)
            self.old = draft.size
        for file in draft.files:
            self.put(file.path, file.data)
        self.put(f"snapshots/{draft.number}.json", draft.latest)
        self.put(f"snapshots/{draft.number}.note", draft.note)
        self.put("latest.json", draft.latest)
        return True


@settings(max_examples=60)
@given(logs())
def test_every_log_s_feed_is_right(log: Log) -> None:
    with TemporaryDirectory() as folder:
        published = OnDisk(Path(folder), log)
        follower: Follower | None = None
        size = len(published.log)
        for cut in [*(cut for cut in log.cuts if cut < size), size, size]:
            if not published.write(cut):
                continue
            if follower is None:
                verdict, replay = start(published.feed, definition=None, processes=0, progress=None)
                assert verdict.agrees, str(verdict.difference or verdict.trouble)
                assert replay is not None
                follower = Follower(published.feed, replay)
            verdict = follower.advance()
            assert verdict.agrees, str(verdict.difference or verdict.trouble)
        published.log_files.close()
        if follower is not None:
            verdict, _ = start(published.feed, definition=None, processes=0, progress=None)
            assert verdict.agrees, str(verdict.difference or verdict.trouble)
            assert verdict.counts[Check.SNAPSHOTS] == published.number - 1
