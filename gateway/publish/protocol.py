"""What a snapshot is made of, and how its maker and its writer talk (docs/feed.md).

What lives here: the values that pass between `gateway.publish.snapshot`, which makes the bytes and lets the
gate judge them, and `gateway.publish.writer`, which puts them on the disk. Tiles, bundles, tables and keys
are the writer's: they follow from the entries and from the night folder.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.feed.models import Latest, Paused
from gateway.ledger.protocol import Head


class GateError(TallygateError):
    """The gate lets nothing out any more: ``publish.gate``. A fault of the software or of the machine.

    Attributes:
        rule: its stable name (docs/feed.md, "The gate").
        area: the number of the area at which it fails, or None.
        station: the number of the station, or None.
    """

    def __init__(self, rule: str, area: int | None, station: int | None, detail: str) -> None:
        where = [f"area {area}"] if area is not None else []
        where += [f"station {station}"] if station is not None else []
        super().__init__("publish.gate", f"{detail} (rule {rule})", place=", ".join(where))
        self.rule = rule
        self.area = area
        self.station = station


@dataclass(frozen=True, slots=True)
class FeedFile:
    """A file of the feed that never changes.

    Attributes:
        path: below the feed's folder (`gateway.feed.layout`), or below the folder of what is hidden.
        data: its bytes.
        hidden: it is under embargo: nobody may read it yet.
    """

    path: str
    data: bytes
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """One snapshot that has passed the gate; it is written before another one is made, or never.

    Attributes:
        number: the snapshot's.
        sha256: of `latest`: what the next snapshot names as its previous one.
        snapshot: what it says.
        latest: its bytes: those of snapshots/<number>.json and of latest.json.
        note: the bytes of snapshots/<number>.note.
        files: objects and decisions that no snapshot before has named; any may be there already.
        checkpoint: the signed head of exactly `size` entries, for log/checkpoint; None: the log stands where
            it stood, the file stays.
        old_size: entries of the log in the snapshot before; 0 for the first.
        size: entries of the log in this one.
        hidden_from: index of the first entry that no public bundle may hold; None: there is no embargo.
        lifts: what was hidden before leaves with this snapshot, if anything was.
        flags: of the root's object: how many stations have each code.
        stations: how many stations' objects are new.
        areas: how many areas' objects are new.
        changes: the bytes of snapshots/<number>.changes.json; None: there is none.
    """

    number: int
    sha256: bytes
    snapshot: Latest
    latest: bytes
    note: bytes
    files: Sequence[FeedFile]
    checkpoint: bytes | None
    old_size: int
    size: int
    hidden_from: int | None
    lifts: bool
    flags: Sequence[tuple[str, int]]
    stations: int
    areas: int
    changes: bytes | None = None


class Builder(Protocol):
    """Follows the log and makes snapshots of it. One thread at a time.

    Start: `take` the entries of the last snapshot, `resume` with it, go on with `take` and `draft`. Where
    there is no snapshot yet, or its file is lost, leave out `resume`: the next draft then has all objects.
    """

    @property
    def size(self) -> int:
        """How many entries are taken: the index of the next one."""

    @property
    def tree(self) -> _core.Tree:
        """The log's tree over the entries taken, for tiles; appended to by `take` alone."""

    @property
    def missing_rosters(self) -> Sequence[bytes]:
        """Hashes of the rosters that the next entry waits for (docs/packet.md, "Rosters")."""

    def offer(self, roster: _core.Roster) -> None:
        """A roster of this definition that a decision 9 may name."""

    def offer_unusable(self, sha256: bytes) -> None:
        """The hash of a roster.json that is whole and no roster (`_core.Authority.offer_unusable`)."""

    def show(self, information: bytes) -> None:
        """The SHA-256 of the information that snapshots name from now on."""

    def take(self, first: int, statements: Sequence[bytes]) -> int:
        """Takes the log's next entries, those that the ledger has committed.

        Returns:
            How many were taken. Fewer than given: the next one waits for one of `missing_rosters`; offer it,
            and take the rest again. Publication is paused meanwhile: `repeat`.

        Raises:
            CoreError: ``argument.range`` where `first` is not `size`; ``statement.malformed``;
                ``server.fault``.
        """

    def resume(self, latest: bytes) -> None:
        """Continues from the last snapshot; exactly its entries are taken, and nothing was drafted.

        Args:
            latest: its bytes.

        Raises:
            TallygateError: ``feed.malformed``: the bytes are no snapshot of this election.
            GateError: rule ``replay``: the log leads to other figures than were published. Only `repeat`
                goes on, with those.
        """

    def objects(self) -> Iterator[FeedFile]:
        """Every object and the decisions that the last snapshot refers to, made anew.

        Under an embargo also what it hides. Call it before further entries are taken: the tally knows the
        present only.
        """

    @property
    def paused(self) -> bool:
        """Whether the commission's pause is in effect after the entries taken."""

    @property
    def first_count(self) -> int | None:
        """Index of the first result or protocol among the entries taken: where an embargo begins."""

    def embargoed(self, now: int) -> bool:
        """Whether a snapshot of the entries taken would be under embargo.

        Args:
            now: the election's clock, ms.
        """

    def draft(self, number: int, previous: bytes | None, published_at: int, head: Head) -> Draft | None:
        """The next snapshot. While the commission has paused publication: the one before, as `repeat` does.

        None: there is nothing to publish yet: decision 1 is not in effect, or publication is paused before
        the first snapshot.

        Args:
            number: of the snapshot, from 1.
            previous: SHA-256 of the snapshot before; None: this is the first.
            published_at: the election's clock, ms.
            head: the log's, of exactly `size` entries.

        Raises:
            GateError: nothing leaves; every later call raises it again, only `repeat` goes on. A restart
                replays the log and tries again.
            TallygateError: ``publish.key``: decision 1 names another snapshot key than ours.
            CoreError: ``server.fault``.
            ValueError: the head is of another size.
        """

    def repeat(self, number: int, previous: bytes, published_at: int, paused: Paused) -> Draft:
        """The heartbeat of a paused publication: log and figures of the snapshot before.

        Raises:
            GateError: rule ``chain``.
            ValueError: there is no snapshot before.
        """
