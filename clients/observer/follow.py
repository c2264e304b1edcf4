"""A feed followed: what is new since the last look is judged with the state that is already folded.

A look judges every new snapshot's figures, chain and signature, the objects that the newest one names for the
first time, and the tiles that its log has for the first time. Files that were right at an earlier look are
not read again: that is what `verify`, now and then, is for.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from clients.observer import election, logfiles
from clients.observer.entries import Entry, Keys, Signers, check_bundle
from clients.observer.inventory import Inventory, look
from clients.observer.locate import failed_check, judge_snapshot
from clients.observer.replay import CHAIN_DIFFERS, FROM_LOG, Replay, parse
from clients.observer.shelf import DIFFERS, MAX_OBJECT_BYTES
from clients.observer.verdict import (
    CannotCheckError,
    Check,
    DifferenceError,
    Folder,
    Source,
    Verdict,
    Withheld,
    judge_bytes,
    read,
)
from clients.observer.verify import judge_pointer, judge_withheld_decisions
from clients.wire import feed, tiles
from clients.wire.feed import MAX_SNAPSHOT_BYTES, Snapshot
from clients.wire.note import MAX_NOTE_BYTES
from clients.wire.tiles import TILE_WIDTH


class BeginAnewError(Exception):
    """What is folded is no longer what the feed has to be held against: start again."""


class Follower:
    """Follows a feed that `verify.start` has found right.

    After a difference the state may be half of a snapshot: start again.
    """

    def __init__(self, folder: Folder, replay: Replay) -> None:
        self._folder = folder
        self._replay = replay
        self._signers = self._all_signers()
        self._now = Check.LATEST
        self._counts: dict[Check, int] = {}
        # Entries of the newest snapshot that was judged.
        self._size = replay.newest_size

    def advance(self) -> Verdict:
        """Judge what is new; where nothing is, the counts are empty.

        Raises:
            BeginAnewError: an embargo has begun to hide entries from us, or has given them free.
        """
        self._counts = {}
        verdict = Verdict(None, self._counts, definition=self._replay.definition.sha256)
        try:
            newest = self._advance()
        except DifferenceError as error:
            failed = failed_check(self._now, error)
            self._counts.setdefault(failed, 0)
            return replace(verdict, agrees=False, failed=failed, difference=error.difference)
        except CannotCheckError as error:
            return replace(verdict, failed=self._now, trouble=(error.code, error.detail))
        withheld, replay = None, self._replay
        if replay.withheld:
            entries = newest.size - replay.size
            withheld = Withheld(newest.embargo_until or "", replay.withheld, entries)
        return replace(
            verdict,
            agrees=True,
            snapshot=newest.number,
            size=newest.size,
            published_at=newest.published_at,
            withheld=withheld,
        )

    def _all_signers(self) -> Signers:
        rosters = self._replay.rosters.usable.values()
        return Signers(Keys.of(self._replay.definition.commission, rosters))

    def _advance(self) -> Snapshot:
        folder, replay = self._folder, self._replay
        self._now = Check.LATEST
        latest = read(folder, feed.LATEST, MAX_SNAPSHOT_BYTES, "a snapshot")
        newest = parse(latest, feed.LATEST)
        if newest.number < replay.number:
            detail = f"is {newest.number}, and was {replay.number} before: a pointer never goes back"
            raise DifferenceError("feed.latest", detail, feed.LATEST, "snapshot")
        judge_pointer(folder, latest, newest.number)
        if newest.number == replay.number:
            return newest
        hidden = newest.embargo_until is not None and not isinstance(folder, Source)
        if hidden != bool(replay.withheld):
            raise BeginAnewError
        head = logfiles.read_checkpoint(folder)
        self._look_for_manifests(newest)
        self._now = Check.CHECKPOINT
        checkpoint = logfiles.open_checkpoint(head, replay.opening.log_key, newest.size)
        old = self._size
        if hidden:
            self._now = Check.TILES
            for leaf in logfiles.leaves(folder, replay.tree.size, checkpoint.size):
                replay.know(leaf)
            self._judge_withheld(newest)
        else:
            self._judge_objects(*self._fold(newest))
            self._now = Check.CHECKPOINT
            for index, entry in self._entries(replay.size, checkpoint.size):
                replay.look_ahead(index, entry)
        self._now = Check.CHECKPOINT
        logfiles.judge_root(checkpoint, replay.tree)
        self._counts[Check.CHECKPOINT] = checkpoint.size
        self._judge_tiles(old, newest.size)
        self._size = newest.size
        return newest

    def _judge_withheld(self, newest: Snapshot) -> None:
        """Judge the new snapshots by the hashes of their entries."""
        folder, replay = self._folder, self._replay
        before, newest_judged = replay.number, newest
        for number in range(replay.number + 1, newest.number + 1):
            self._now = Check.SNAPSHOTS
            data = read(folder, feed.snapshot_path(number), MAX_SNAPSHOT_BYTES, "a snapshot")
            signed_note = read(folder, feed.note_path(number), MAX_NOTE_BYTES, "a note")
            self._now = Check.EMBARGO
            newest_judged = replay.judge_withheld(data, signed_note)
            self._counts[Check.SNAPSHOTS] = self._counts[Check.EMBARGO] = number - before
        judge_withheld_decisions(folder, newest_judged)

    def _look_for_manifests(self, newest: Snapshot) -> None:
        folder, replay = self._folder, self._replay
        self._now = Check.ROSTERS
        there = look(folder, "roster/")
        if {sha256 for _, sha256 in there.manifests} - replay.rosters.files.keys():
            replay.offer(election.load_rosters(folder, replay.definition, there))
            self._signers = self._all_signers()
        self._now = Check.INFORMATION
        shown = newest.information
        if shown is not None and shown not in replay.informations:
            own: Inventory = look(folder, f"information/{shown.hex()}/")
            self._counts[Check.INFORMATION] = election.judge_information(
                folder, shown, replay.definition, own
            )

    def _fold(self, newest: Snapshot) -> tuple[Mapping[int, bytes], set[int], Sequence[bytes]]:
        """Judge the new snapshots.

        Returns:
            The objects of areas and the numbers of stations that have changed, and the decisions files.
        """
        folder, replay = self._folder, self._replay
        old, before = replay.size, replay.number
        logged = self._entries(old, newest.size)
        areas: dict[int, bytes] = {}
        stations: set[int] = set()
        decisions: Sequence[bytes] = ()
        for number in range(replay.number + 1, newest.number + 1):
            self._now = Check.SNAPSHOTS
            path = feed.snapshot_path(number)
            data = read(folder, path, MAX_SNAPSHOT_BYTES, "a snapshot")
            signed_note = read(folder, feed.note_path(number), MAX_NOTE_BYTES, "a note")
            snapshot = parse(data, path)
            if snapshot.size > newest.size:
                detail = f"is {snapshot.size}, {feed.LATEST} has {newest.size}: a log never gets shorter"
                raise DifferenceError(CHAIN_DIFFERS, detail, path, "log.size")
            self._now = Check.STATEMENTS
            for _ in range(snapshot.size - replay.size):
                stations.update(replay.take(next(logged)[1]))
            self._now = Check.FIGURES
            judged = judge_snapshot(folder, replay, data, signed_note)
            areas.update(judged.areas)
            decisions = judged.decisions
            self._counts[Check.STATEMENTS] = replay.size - old
            self._counts[Check.SNAPSHOTS] = number - before
        return areas, stations, decisions

    def _entries(self, first: int, end: int) -> Iterator[tuple[int, Entry]]:
        """The entries from `first` to `end`; those before, in the same bundle, are compared with the tree."""
        number = first // TILE_WIDTH
        for bundle in tiles.bundles(end):
            if bundle.number < number or first == end:
                continue
            checked = check_bundle(self._folder, bundle, self._signers)
            for index, entry in enumerate(checked, start=bundle.number * TILE_WIDTH):
                if index < first:
                    self._replay.look_ahead(index, entry)
                else:
                    yield index, entry

    def _judge_objects(
        self, areas: Mapping[int, bytes], stations: set[int], decisions: Sequence[bytes]
    ) -> None:
        """What the newest snapshot names, or hides, for the first time is there."""
        tally = self._replay.tally
        self._now = Check.DECISIONS
        for data in decisions:
            self._judge(feed.decisions_path(hashlib.sha256(data).digest()), data)
        self._now = Check.AREAS
        for area, data in areas.items():
            self._judge(feed.area_path(area, hashlib.sha256(data).digest()), data)
        self._now = Check.STATIONS
        for number in sorted(stations):
            version, expected = tally.version(number), tally.station(number)
            if version is not None and expected is not None:
                self._judge(feed.station_path(number, version), expected, number)
        self._counts[Check.AREAS] = len(areas)
        self._counts[Check.STATIONS] = len(stations)

    def _judge(self, path: str, expected: bytes, station: int | None = None) -> None:
        found = read(self._folder, path, MAX_OBJECT_BYTES, "an object")
        judge_bytes(path, found, expected, DIFFERS, FROM_LOG, station)

    def _judge_tiles(self, old: int, size: int) -> None:
        """The tiles of the newest snapshot's log, in their width or in full."""
        self._now = Check.TILES
        replay, right = self._replay, 0
        for tile in logfiles.new_tiles(old, size):
            there = logfiles.judge_tile(self._folder, tile, replay.tree)
            if not there:
                whole = tile._replace(width=TILE_WIDTH)
                path = f"{feed.LOG}/{tile.path}"
                if not (self._folder / feed.LOG / whole.path).exists():
                    raise DifferenceError(
                        "feed.missing", "the log has entries for it, and it is not there", path
                    )
            right += there
        self._counts[Check.TILES] = right
