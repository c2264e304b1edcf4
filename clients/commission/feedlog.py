"""The log of a feed, folded: what the commission has decided so far, and what the figures are now.

`read` is the one function that knows where a feed is. Every entry's signature is verified, the log's signed
head too, and the figures of the newest snapshot must be those that the log leads to; the rest of the feed
(older snapshots, objects, tiles) is `tallygate-observe verify`'s matter.
"""

import gc
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from clients.observer import election, logfiles
from clients.observer.entries import Keys, entries, usable_processes
from clients.observer.inventory import look
from clients.observer.replay import Replay, parse
from clients.observer.tally import Tally
from clients.observer.verdict import CannotCheckError, DifferenceError, Folder, Source
from clients.observer.verdict import read as read_file
from clients.wire import feed
from clients.wire.authority import Authority
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.feed import MAX_SNAPSHOT_BYTES, Listed, Snapshot
from clients.wire.note import Checkpoint, VerifierKey

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many entries are folded, of how many."""

# Entries between two calls of `Progress`.
_STEP = 256


@dataclass(frozen=True, slots=True)
class FeedLog:
    """A feed's log up to its head.

    Attributes:
        definition: the election's.
        snapshot: the newest one.
        head: of the log, never behind the snapshot.
        log_key: that decision 1 names, under the log's origin.
        tally: of all entries.
        decisions: every payload that anybody has signed, by its first entry.
    """

    definition: Definition
    snapshot: Snapshot
    head: Checkpoint
    log_key: VerifierKey
    tally: Tally
    decisions: Sequence[Listed]

    @property
    def authority(self) -> Authority:
        """The commission's decisions."""
        return self.tally.authority


def read(folder: Folder, pinned: bytes | None = None, progress: Progress | None = None) -> FeedLog:
    """Read a feed and fold its log.

    Args:
        folder: the feed's; while figures are under embargo, with what is not public yet.
        pinned: SHA-256 of the definition that it must be of; None: of whichever it names.
        progress: is told how far it is.

    Raises:
        WireError: what a verification calls a difference, or why nobody can tell.
    """
    collecting = gc.isenabled()
    # A log's packets are millions of objects that stay to the end and form no cycles.
    gc.disable()
    try:
        return _read(folder, pinned, progress)
    except DifferenceError as error:
        found = error.difference
        detail = f"{found.detail}. Ask `tallygate-observe verify` what else is wrong with this feed"
        raise WireError(
            found.code, detail, file=str(folder / found.file), column=found.place or None
        ) from error
    except CannotCheckError as error:
        raise WireError(error.code, error.detail) from error
    finally:
        if collecting:
            gc.enable()


def _read(folder: Folder, pinned: bytes | None, progress: Progress | None) -> FeedLog:
    if not (folder / feed.LATEST).exists():
        raise WireError(
            "feed.none",
            "it is not there: this is no feed, or nothing is published yet",
            file=str(folder / feed.LATEST),
        )
    newest = parse(read_file(folder, feed.LATEST, MAX_SNAPSHOT_BYTES, "a snapshot"), feed.LATEST)
    if pinned not in (None, newest.definition):
        raise WireError(
            "decision.definition",
            f"it is of the definition {newest.definition.hex()}, and not of the one that was named",
            file=str(folder / feed.LATEST),
        )
    if newest.embargo_until is not None and not isinstance(folder, Source):
        raise WireError(
            "feed.embargo",
            f"figures and log are under embargo until {newest.embargo_until}: give --embargo with the folder "
            "that has them",
            file=str(folder / feed.LATEST),
        )
    signed_head = logfiles.read_checkpoint(folder)
    # What pointer and head name was there before they were read.
    log_files, manifests = look(folder, f"{feed.LOG}/"), look(folder, "definition/")
    own = election.load_definition(folder, newest.definition, manifests)
    rosters = election.load_rosters(folder, own, look(folder, "roster/"))
    opening = election.find_opening(folder, own, logfiles.bundles(newest.size, log_files))
    head = logfiles.open_checkpoint(signed_head, opening.log_key, newest.size)
    replay = Replay(own, opening, rosters)
    bundles = list(logfiles.bundles(head.size, log_files))
    known = Keys.of(own.commission, rosters.usable.values())
    with closing(entries(folder, bundles, known, usable_processes())) as logged:
        for entry in logged:
            replay.take(entry)
            if replay.size == newest.size:
                _judge_figures(replay, newest)
            if progress is not None and replay.size % _STEP == 0:
                progress(replay.size, head.size)
    logfiles.judge_root(head, replay.tree)
    return FeedLog(own, newest, head, opening.log_key, replay.tally, replay.listed())


def _judge_figures(replay: Replay, newest: Snapshot) -> None:
    """What is shown before and after a decision must be what the public sees."""
    if replay.tree.root(newest.size) != newest.root:
        raise DifferenceError("feed.chain", "is not what the entries lead to", feed.LATEST, "log.root")
    if newest.tally is not None and replay.tally.root_sha256() != newest.tally:
        raise DifferenceError("feed.figures", "is not what the entries lead to", feed.LATEST, "root.sha256")
