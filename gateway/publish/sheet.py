"""What the press works with: the night, a snapshot on its way to the disk, and what one would be made of.

What lives here: values that pass between `gateway.publish.press` and whoever calls it, and small notes of its
own. Nothing here does anything to a file.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from gateway import _core
from gateway.feed.models import Latest
from gateway.publish.logfiles import Cut
from gateway.publish.protocol import Builder, Draft, FeedFile
from gateway.publish.pruning import Pruner


@dataclass(frozen=True, slots=True)
class NightSite:
    """What the publisher has to know of its night.

    Attributes:
        definition: the night's.
        definition_folder: where it is.
        roster: of the folder `roster`.
        roster_folder: that folder.
        information: the night's.
        information_folder: where it is.
        informations: the folder of later ones, each by its hash; it need not exist.
        shown: the file that names the one to show; it need not exist.
        pause: the operator's stop; it need not exist.
        rosters: the folder of later ones, each by its hash; it need not exist.
        spool: a folder for temporary files.
        snapshot_seed: the private key that signs snapshots.
        make_builder: makes a builder for the roster that decision 1 names.
    """

    definition: _core.Definition
    definition_folder: Path
    roster: _core.Roster
    roster_folder: Path
    information: _core.Information
    information_folder: Path
    informations: Path
    shown: Path
    pause: Path
    rosters: Path
    spool: Path
    snapshot_seed: bytes
    make_builder: Callable[[_core.Roster], Builder]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A snapshot on its way to the disk, and the log's files that its checkpoint needs; `Press.write` it.

    It holds a temporary file: use it as a context manager.
    """

    draft: Draft
    cut: Cut | None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.cut is not None:
            self.cut.close()


class Arrival(NamedTuple):
    """An entry that is in no snapshot yet: its index, and when the ledger took it (election's clock, ms)."""

    entry: int
    at: int


class State(NamedTuple):
    """What a snapshot would be made of; a new one is due where this differs from the last one's.

    Attributes:
        size: entries of the log; None while publication is paused, when they do not matter.
        paused: by whom.
        reason: the operator's, who may give another; else empty.
        information: SHA-256 of what is shown.
        embargoed: whether figures are under embargo.
    """

    size: int | None
    paused: str | None
    reason: str
    information: str | None
    embargoed: bool


def state_of(last: Latest) -> State:
    """The state that a snapshot was made of."""
    embargoed = last.embargo_until is not None
    if last.paused is None:
        return State(last.log.size, None, "", last.information, embargoed)
    reason = last.paused.reason[0][1] if last.paused.by == "operator" and last.paused.reason else ""
    return State(None, last.paused.by, reason, last.information, embargoed)


@dataclass(slots=True)
class Named:
    """Paths of files that a snapshot is the first to name."""

    shown: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def add(self, file: FeedFile) -> None:
        """Notes a file."""
        (self.hidden if file.hidden else self.shown).append(file.path)

    def noting(self, files: Iterable[FeedFile]) -> Iterator[FeedFile]:
        """The files, whose paths are noted as they go by."""
        for file in files:
            self.add(file)
            yield file

    def tell(self, pruner: Pruner, now: float) -> None:
        """Has the pruner know them."""
        pruner.named(self.shown, now)
        pruner.named(self.hidden, now, hidden=True)
