"""Everything in a feed, recomputed: `verify` reads a folder once and says whether it follows from the log.

The order in which files are read makes the verdict right while the feed is being written: first the pointer,
then the log's head, then the names of all files. What the pointer names was there before it; what comes later
belongs to newer snapshots and is not judged.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

from clients.observer import election, logfiles
from clients.observer.election import Rosters
from clients.observer.entries import Entry, Keys, entries, usable_processes
from clients.observer.exports import Rack
from clients.observer.inventory import Inventory, look, unnamed
from clients.observer.locate import failed_check, judge_snapshot
from clients.observer.replay import CHAIN_DIFFERS, Judged, Replay, parse
from clients.observer.shelf import MAX_OBJECT_BYTES, Shelf
from clients.observer.verdict import (
    CannotCheckError,
    Check,
    DifferenceError,
    Folder,
    Source,
    Verdict,
    Withheld,
    judge_bytes,
    judge_hash,
    read,
)
from clients.wire import feed
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.feed import MAX_SNAPSHOT_BYTES, Snapshot
from clients.wire.grammar import MAX_ATTACHMENT_BYTES
from clients.wire.note import MAX_NOTE_BYTES
from clients.wire.tiles import Bundle

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many entries are folded, of how many."""

# The code of a folder in which nothing is published.
NO_FEED: Final = "feed.none"
# Entries between two calls of `Progress`.
_STEP: Final = 256


def verify(
    folder: Path,
    *,
    embargo: Path | None = None,
    definition: bytes | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Verify a feed.

    Memory: every packet of the log, about 3 KB each, and the names of all files.

    Args:
        folder: the feed's.
        embargo: of what is under embargo, for who may read it; else nothing is said of what that hides.
        definition: SHA-256 of the definition that it must be of; None: of whichever it names.
        processes: how many may check statements beside this one; None: one a core. They import the main
            program again, so a script that calls this with a long log needs its ``__main__`` guard.
        progress: is told how far it is.

    Returns:
        The verdict; whatever a feed holds, nothing is raised.
    """
    source = folder if embargo is None else Source(folder, embargo)
    verdict, _ = start(source, definition=definition, processes=processes, progress=progress)
    return verdict


def start(
    folder: Folder, *, definition: bytes | None, processes: int | None, progress: Progress | None
) -> tuple[Verdict, Replay | None]:
    """Verify a feed as `verify` does, and keep the log's state for whoever follows it.

    Returns:
        The verdict, and where everything agrees the replay, with the newest snapshot judged.
    """
    course = _Course(folder, definition, usable_processes() if processes is None else processes, progress)
    verdict = course.run()
    return verdict, course.replay if verdict.agrees else None


def judge_pointer(folder: Folder, latest: bytes, number: int) -> None:
    """Compare latest.json with the file of the snapshot that it names.

    Raises:
        DifferenceError: that file is missing, or another.
        CannotCheckError: it cannot be read.
    """
    path = feed.snapshot_path(number)
    try:
        same = read(folder, path, MAX_SNAPSHOT_BYTES, "a snapshot")
    except DifferenceError as error:
        raise DifferenceError(
            error.difference.code, f"names {path}: {error.difference.detail}", feed.LATEST, "snapshot"
        ) from error
    judge_bytes(feed.LATEST, latest, same, "feed.latest", path)


def judge_withheld_decisions(folder: Folder, snapshot: Snapshot) -> None:
    """Look whether the decisions file that a snapshot under embargo names is one, and says what it may.

    Raises:
        DifferenceError: it is missing, another, or no list of decisions without reasons.
        CannotCheckError: it cannot be read.
    """
    path = feed.decisions_path(snapshot.decisions)
    data = read(folder, path, MAX_OBJECT_BYTES, "an object")
    judge_hash(path, data, snapshot.decisions, feed.snapshot_path(snapshot.number))
    try:
        feed.check_withheld(data)
    except WireError as error:
        raise DifferenceError(error.code, error.detail, path) from error


class _Course:
    """One verification, check by check."""

    def __init__(
        self, folder: Folder, pinned: bytes | None, processes: int, progress: Progress | None
    ) -> None:
        self._folder = folder
        self._pinned = pinned
        self._processes = processes
        self._progress = progress
        self.replay: Replay | None = None
        self._now = Check.LATEST
        self._counts: dict[Check, int] = {}
        self._not_judged = 0
        # Entries that may be read, where an embargo hides the rest.
        self._public: int | None = None
        # Decisions files that snapshots under embargo name, and that say what they may.
        self._listed: set[bytes] = set()
        self._verdict = Verdict(None, self._counts, pinned=pinned is not None)

    def run(self) -> Verdict:
        try:
            self._run()
        except DifferenceError as error:
            failed = failed_check(self._now, error)
            self._count(failed, self._counts.get(failed, 0))
            return replace(self._verdict, agrees=False, failed=failed, difference=error.difference)
        except CannotCheckError as error:
            return replace(self._verdict, failed=self._now, trouble=(error.code, error.detail))
        return replace(self._verdict, agrees=True, not_judged=self._not_judged)

    def _count(self, check: Check, count: int) -> None:
        self._counts[check] = count

    def _run(self) -> None:
        folder = self._folder
        latest, newest = self._read_latest()
        head = logfiles.read_checkpoint(folder)
        inventory = look(folder)
        self._judge_latest(latest, newest)
        own = self._load_definition(newest, inventory)
        self._now = Check.OPENING
        size = newest.size
        if newest.embargo_until is not None and not isinstance(folder, Source):
            size = self._public = logfiles.public_size(inventory, newest.size)
        opening = election.find_opening(folder, own, logfiles.bundles(size, inventory))
        election.judge_keys(folder, opening)
        self._count(Check.OPENING, 1)
        self._now = Check.ROSTERS
        rosters = election.load_rosters(folder, own, inventory)
        replay = self.replay = Replay(own, opening, rosters)

        self._now = Check.CHECKPOINT
        checkpoint = logfiles.open_checkpoint(head, opening.log_key, newest.size)
        readable = checkpoint.size if self._public is None else self._public
        bundles = list(logfiles.bundles(readable, inventory))
        known = Keys.of(own.commission, rosters.usable.values())
        shelf = Shelf(folder, inventory)
        rack = Rack(folder, inventory, own, opening.snapshot_key)
        with closing(entries(folder, bundles, known, self._processes)) as logged:
            judged = self._fold(replay, logged, shelf, rack, inventory, newest, checkpoint.size)
            self._judge_manifests(replay, rosters, own, inventory, newest)
            if judged is not None:
                self._judge_missing(replay, shelf, judged)
            self._now = Check.CHECKPOINT
            self._look_ahead(replay, logged)
        logfiles.judge_root(checkpoint, replay.tree)
        self._count(Check.CHECKPOINT, checkpoint.size)
        self._judge_log(replay, inventory, set(bundles), newest.size)
        self._judge_papers(replay, inventory)
        self._judge_rest(shelf, rack, inventory, newest, replay.size)

    def _read_latest(self) -> tuple[bytes, Snapshot]:
        folder = self._folder
        if not (folder / feed.LATEST).exists() and not (folder / feed.snapshot_path(1)).exists():
            raise CannotCheckError(
                NO_FEED, f"{folder} has no {feed.LATEST}: it is no feed, or nothing is published yet"
            )
        data = read(folder, feed.LATEST, MAX_SNAPSHOT_BYTES, "a snapshot")
        snapshot = parse(data, feed.LATEST)
        self._verdict = replace(
            self._verdict,
            definition=snapshot.definition,
            snapshot=snapshot.number,
            size=snapshot.size,
            published_at=snapshot.published_at,
        )
        return data, snapshot

    def _judge_latest(self, latest: bytes, newest: Snapshot) -> None:
        judge_pointer(self._folder, latest, newest.number)
        self._count(Check.LATEST, 1)

    def _load_definition(self, newest: Snapshot, inventory: Inventory) -> Definition:
        self._now = Check.DEFINITION
        if self._pinned not in (None, newest.definition):
            detail = f"is {newest.definition.hex()}, and not the one that is asked for"
            raise DifferenceError("feed.definition", detail, feed.LATEST, "definition")
        own = election.load_definition(self._folder, newest.definition, inventory)
        for kind, sha256 in sorted(inventory.manifests):
            if kind == "definition" and sha256 != newest.definition:
                raise unnamed(f"definition/{sha256.hex()}")
        self._count(Check.DEFINITION, len(inventory.manifests["definition", newest.definition]))
        return own

    def _fold(
        self,
        replay: Replay,
        logged: Iterator[Entry],
        shelf: Shelf,
        rack: Rack,
        inventory: Inventory,
        newest: Snapshot,
        head: int,
    ) -> Judged | None:
        """Take the entries up to the newest snapshot, and judge each snapshot at its own size.

        Returns:
            The newest one; None: an embargo hides its entries.
        """
        judged: Judged | None = None
        for number in range(1, newest.number + 1):
            self._now = Check.SNAPSHOTS
            path = feed.snapshot_path(number)
            data = read(self._folder, path, MAX_SNAPSHOT_BYTES, "a snapshot")
            signed_note = read(self._folder, feed.note_path(number), MAX_NOTE_BYTES, "a note")
            snapshot = parse(data, path)
            if snapshot.size > newest.size:
                detail = f"is {snapshot.size}, {feed.LATEST} has {newest.size}: a log never gets shorter"
                raise DifferenceError(CHAIN_DIFFERS, detail, path, "log.size")
            if self._public is not None and snapshot.embargo_until is not None:
                judged = None
                self._judge_withheld(replay, logged, inventory, data, signed_note, head)
                self._count(Check.SNAPSHOTS, number)
                continue
            if replay.withheld:
                detail = f"is null, and {feed.LATEST} is under embargo: what is out is not hidden again"
                raise DifferenceError("feed.embargo", detail, path, "embargo_until")
            if self._public is not None and snapshot.size > self._public:
                # Before an embargo every entry of a snapshot is public.
                list(logfiles.bundles(snapshot.size, inventory))
            wrong = self._take(replay, logged, shelf, rack, snapshot.size, newest.size)
            self._now = Check.SNAPSHOTS
            replay.judge_log(snapshot, path)
            if wrong is not None:
                # Objects say nothing as long as nobody knows that these are the log's entries.
                self._now = Check.STATIONS
                raise wrong
            self._now = Check.FIGURES
            judged = judge_snapshot(self._folder, replay, data, signed_note)
            self._now = Check.DECISIONS
            shelf.judge_decisions(judged.decisions)
            self._now = Check.AREAS
            shelf.judge_areas(judged.areas)
            self._now = Check.EXPORTS
            rack.judge(snapshot, data, replay.tally, judged.areas)
            for check, count in (
                (Check.STATEMENTS, replay.size),
                (Check.SNAPSHOTS, number),
                (Check.FIGURES, number),
                (Check.AREAS, shelf.areas),
                (Check.STATIONS, shelf.stations),
                (Check.DECISIONS, shelf.decisions),
                (Check.CHANGES, rack.changes),
                (Check.EXPORTS, rack.exports),
            ):
                self._count(check, count)
        return judged

    def _judge_withheld(
        self,
        replay: Replay,
        logged: Iterator[Entry],
        inventory: Inventory,
        data: bytes,
        signed_note: bytes,
        head: int,
    ) -> None:
        """Judge a snapshot whose entries an embargo hides, by the hashes of these."""
        if not replay.withheld:
            self._now = Check.STATEMENTS
            self._look_ahead(replay, logged)
            self._now = Check.TILES
            for leaf in logfiles.leaves(self._folder, replay.tree.size, head):
                replay.know(leaf)
        self._now = Check.EMBARGO
        snapshot = replay.judge_withheld(data, signed_note)
        self._count(Check.EMBARGO, replay.withheld)
        withheld = Withheld(snapshot.embargo_until or "", replay.withheld, snapshot.size - replay.size)
        self._verdict = replace(self._verdict, withheld=withheld)
        if snapshot.decisions in inventory.decisions:
            inventory.decisions.discard(snapshot.decisions)
            judge_withheld_decisions(self._folder, snapshot)
            self._listed.add(snapshot.decisions)
        elif snapshot.number == self._verdict.snapshot and snapshot.decisions not in self._listed:
            path = feed.decisions_path(snapshot.decisions)
            raise DifferenceError("feed.missing", "the newest snapshot names it, and it is not there", path)

    @staticmethod
    def _look_ahead(replay: Replay, logged: Iterator[Entry]) -> None:
        """Take the hashes of the entries that no snapshot has yet, or none that can be recomputed."""
        for index, entry in enumerate(logged, start=replay.size):
            replay.look_ahead(index, entry)

    def _take(
        self, replay: Replay, logged: Iterator[Entry], shelf: Shelf, rack: Rack, size: int, total: int
    ) -> DifferenceError | None:
        """Take the entries up to a size; returns the first difference of the stations' objects."""
        self._now = Check.STATEMENTS
        wrong: DifferenceError | None = None
        for _ in range(size - replay.size):
            changed = replay.take(next(logged))
            rack.note(changed)
            if replay.size % _STEP == 0 and self._progress is not None:
                self._progress(replay.size, total)
            if wrong is None:
                try:
                    for station in changed:
                        shelf.judge_station(station, replay.tally)
                except DifferenceError as error:
                    wrong = error
        return wrong

    def _judge_missing(self, replay: Replay, shelf: Shelf, judged: Judged) -> None:
        self._now = Check.FILES
        shelf.judge_missing(replay.tally, judged.decisions)

    def _judge_manifests(
        self, replay: Replay, rosters: Rosters, own: Definition, inventory: Inventory, newest: Snapshot
    ) -> None:
        """The rosters that the log names, and what snapshots show; others may be of the next snapshot."""
        self._now = Check.ROSTERS
        named = replay.named_rosters
        count = 0
        for kind, sha256 in sorted(inventory.manifests):
            if kind == "roster" and sha256 in named:
                if sha256 in rosters.broken:
                    raise rosters.broken[sha256]
                count += 1
            elif kind == "roster" or (kind == "information" and sha256 not in replay.informations):
                self._not_judged += len(inventory.manifests[kind, sha256])
        self._count(Check.ROSTERS, count)
        self._now = Check.INFORMATION
        shown = 0
        for sha256 in sorted(replay.informations):
            if sha256 == newest.information or ("information", sha256) in inventory.manifests:
                shown += election.judge_information(self._folder, sha256, own, inventory)
        self._count(Check.INFORMATION, shown)

    def _judge_log(self, replay: Replay, inventory: Inventory, used: Collection[Bundle], size: int) -> None:
        """Tiles and bundles, those of older sizes too."""
        self._now = Check.TILES
        for needed in (size, replay.tree.size):
            # Of the newest snapshot's size, and of the checkpoint's, the last tiles are others.
            logfiles.judge_tiles(inventory, needed)
            list(logfiles.bundles(needed if self._public is None else self._public, inventory))
        right = 0
        for tile in inventory.tiles:
            right += logfiles.judge_tile(self._folder, tile, replay.tree)
        files = len(inventory.tiles)
        for number, widths in sorted(inventory.bundles.items()):
            for width in sorted(widths):
                files += 1
                bundle = Bundle(number, width)
                right += bundle in used or logfiles.judge_bundle(self._folder, bundle, replay.tree)
        self._count(Check.TILES, right)
        self._not_judged += files - right

    def _judge_papers(self, replay: Replay, inventory: Inventory) -> None:
        """Read every paper that is there; those that nothing names so far may be of newer snapshots."""
        self._now = Check.PAPERS
        named = 0
        for sha256 in sorted(inventory.attachments):
            path = feed.attachment_path(sha256)
            data = read(self._folder, path, MAX_ATTACHMENT_BYTES, "a paper")
            judge_hash(path, data, sha256, "its name")
            named += sha256 in replay.papers
            self._count(Check.PAPERS, named)
        self._count(Check.PAPERS, named)
        self._not_judged += len(inventory.attachments) - named
        self._verdict = replace(self._verdict, papers_missing=len(replay.papers - inventory.attachments))

    def _judge_rest(
        self, shelf: Shelf, rack: Rack, inventory: Inventory, newest: Snapshot, size: int
    ) -> None:
        """Look at what is left over; of the entries behind `size` nothing can be said."""
        self._now = Check.FILES
        shelf.judge_rest(size)
        self._now = Check.EXPORTS
        rack.judge_rest(newest.number)
        self._now = Check.FILES
        self._not_judged += shelf.not_judged + rack.not_judged
        self._not_judged += sum(
            number > newest.number for numbers in (inventory.snapshots, inventory.notes) for number in numbers
        )
        self._count(Check.FILES, inventory.count - self._not_judged)
