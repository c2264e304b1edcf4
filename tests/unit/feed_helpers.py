"""Snapshots of small logs: a publisher without a disk, and a night written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from gateway import _core
from gateway.feed.models import Latest, RootRef, Software
from gateway.feed.objects import Area, Row
from gateway.ledger.protocol import Head
from gateway.publish.protocol import Draft
from gateway.publish.snapshot import SnapshotBuilder
from tests.unit import tally_logs
from tests.unit.tally_logs import CLOSES, HOUR, OPENS, Decision, Log, Packet, Report, Scene, Step

SOFTWARE = Software("5a" * 32, "0.0.0")
INFORMATION = b"\x1f" * 32
STARTED = CLOSES


class Publisher:
    """One election, its log, and what has been published of it.

    Args:
        definition: the election's.
        rosters: the first, then those that may be offered.
        log: its statements.
        seeds: of the log's key and of the snapshots'.
        origin: of the log.
        unusable: hashes of rosters that are none.
    """

    def __init__(
        self,
        definition: _core.Definition,
        rosters: Sequence[_core.Roster],
        log: Sequence[bytes],
        *,
        seeds: tuple[bytes, bytes] = (tally_logs.LOG_SEED, tally_logs.SNAPSHOT_SEED),
        origin: str = tally_logs.ORIGIN,
        unusable: Iterable[bytes] = (),
    ) -> None:
        self.definition = definition
        self.rosters = rosters
        self.log = log
        self.signer = _core.NoteSigner(origin, seeds[0])
        self.snapshot_seed = seeds[1]
        self.unusable = tuple(unusable)
        self.started = STARTED
        self.drafts: list[Draft] = []
        self.files: dict[str, bytes] = {}
        self.builder = self.fresh()

    def fresh(self, *, offer: bool = True) -> SnapshotBuilder:
        """A builder that has taken nothing."""
        builder = SnapshotBuilder(
            self.definition,
            self.rosters[0],
            self.snapshot_seed,
            information=INFORMATION,
            software=SOFTWARE,
        )
        for roster in self.rosters[1:] if offer else ():
            builder.offer(roster)
        for sha256 in self.unusable:
            builder.offer_unusable(sha256)
        return builder

    def head(self, builder: SnapshotBuilder) -> Head:
        root = builder.tree.root()
        return Head(builder.size, root, self.signer.sign_checkpoint(builder.size, root))

    def take(self, size: int, builder: SnapshotBuilder | None = None) -> None:
        """Takes the log up to so many entries."""
        builder = builder or self.builder
        new = self.log[builder.size : size]
        assert builder.take(builder.size, new) == len(new)

    def draft(self) -> Draft | None:
        """The next snapshot of what is taken, kept if there is one."""
        draft = self.builder.draft(self.number, self.previous, self.now, self.head(self.builder))
        if draft is not None:
            self.keep(draft)
        return draft

    def publish(self, size: int | None = None) -> Draft:
        """The snapshot of so many entries, of all by default."""
        self.take(len(self.log) if size is None else size)
        draft = self.draft()
        assert draft is not None
        return draft

    def keep(self, draft: Draft) -> None:
        for file in draft.files:
            assert self.files.setdefault(file.path, file.data) == file.data, file.path
        self.drafts.append(draft)

    @property
    def number(self) -> int:
        return len(self.drafts) + 1

    @property
    def previous(self) -> bytes | None:
        return self.drafts[-1].sha256 if self.drafts else None

    @property
    def now(self) -> int:
        return self.started + 1_000 * self.number


def root_of(latest: Latest) -> RootRef:
    """The root that a snapshot without embargo names."""
    assert latest.root is not None
    return latest.root


def tally_of(latest: Latest) -> Area[Row]:
    """The root's object in a snapshot without embargo."""
    assert latest.tally is not None
    return latest.tally


def publisher(root: Path, log: Log, publish_at: int | None = None) -> Publisher:
    """Of a drawn or written log."""
    scene = Scene(root, log, publish_at)
    definition = _core.Definition.load(root / "definition")
    rosters = [_core.Roster.load(root / name, definition) for name in tally_logs.ROSTERS]
    return Publisher(definition, rosters, scene.statements, unusable=[tally_logs.UNUSABLE])


def night(*steps: Step, quorum: int = 1, headline: str = "machine") -> Log:
    """A written log of an election without checks of its own."""
    words = (("marks", "1"), ("preferences", "0"), ("share_of", "valid"))
    return Log((), words, (), headline, quorum, steps)


def decided(*action: int | str | bytes) -> Decision:
    return Decision(action, (0,))


def turnout(device: int, station: int, sequence: int, identified: int, hour: int = 1) -> Packet:
    as_of = OPENS + hour * HOUR
    return Packet(device, station, sequence, Report(2, time=as_of, voters=((3, identified),)), as_of)


def result(device: int, station: int, sequence: int, *votes: int, number: int = 3, more: int = 0) -> Packet:
    """A result (or protocol) of all contests of the station; `more` ballots than add up make it held."""
    truths = {1: (votes[0], 0, 0, votes[1], votes[2]), 2: (votes[0], votes[1])}
    counts = []
    for contest in tally_logs.STATION_CONTESTS[station]:
        valid = sum(truths[contest])
        figures = ((5, valid + 3), (9, valid + 3 + more), (11, valid), (12, 1), (13, 2))
        counts.append((contest, figures, truths[contest]))
    report = Report(number, time=CLOSES, voters=((1, 150),), counts=tuple(counts))
    return Packet(device, station, sequence, report, CLOSES + 60_000)


# Device 1 is a box at station 10, 2 at 10 and 11, 3 a spare, 8 at 12; 4 a terminal at 10; 6 and 7 are desks.
NIGHT = night(
    turnout(4, 10, 1, 20),
    turnout(2, 11, 1, 30),
    Packet(1, 10, 1, Report(1, counts=((1, (), (0, 0, 0, 0, 0)),)), OPENS),
    result(1, 10, 2, 30, 10, 5),
    result(2, 10, 2, 3, 1, 2),
    result(2, 11, 3, 40, 20, 1, more=1),
    decided(3, 3, 12, 8),
    result(3, 12, 1, 50, 20, 10),
    turnout(4, 10, 2, 45, 2),
    result(6, 10, 1, 33, 11, 7, number=4),
    result(7, 13, 1, 7, 9, 1, number=4),
    result(2, 10, 4, 3, 1, 3),
    decided(4, 12, 1),
    decided(12, 13),
    turnout(2, 11, 5, 60, 3),
    Packet(7, 12, 2, Report(5, papers=2), CLOSES + HOUR),
    decided(13, 4),
)
