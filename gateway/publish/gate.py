"""The gate: judges the bytes of a snapshot before they leave (docs/feed.md, "The gate").

What lives here: `Candidate`, what is about to be written, and `Gate`, which judges latest.json, the chain,
the log and the decisions; the objects are judged in `gateway.publish.nodes`. It reads bytes back, remembers
what it let through before, and asks the definition and the log: never the tally. No statement can fail it;
what fails it is a fault of the software or of the machine.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from gateway import _core
from gateway.base.errors import CoreError, TallygateError
from gateway.feed import layout, reading
from gateway.feed.models import Decisions, Latest, Progress
from gateway.ledger.protocol import Head
from gateway.publish import decisions, sums
from gateway.publish.nodes import Judged, Nodes, Reasons
from gateway.publish.protocol import FeedFile, GateError

_EMPTY: Final = Progress(0, 0, 0, 0, 0, 0, 0, 0, 0)
_WORDS: Final = ("annulled", "disputed", "held", "partial", "reported", "silent")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is about to be written, and what it is held against.

    Attributes:
        number: of the snapshot.
        previous: SHA-256 of the snapshot before; None: there is none.
        latest: the bytes of latest.json.
        areas: the objects of areas that are new.
        stations: the objects of stations that are new.
        decisions: the decisions file, if it is new.
        head: of the log.
        tree: over the log's entries, at least as many as the head has.
        reasons: the entries since the snapshot before.
    """

    number: int
    previous: bytes | None
    latest: bytes
    areas: Sequence[FeedFile]
    stations: Sequence[FeedFile]
    decisions: FeedFile | None
    head: Head
    tree: _core.Tree
    reasons: Reasons


class _Last(NamedTuple):
    """The snapshot that has been let through last."""

    latest: Latest
    sha256: bytes
    decisions: Decisions


class Gate:
    """Lets snapshots through, one after the other.

    Args:
        definition: the election's.
    """

    def __init__(self, definition: _core.Definition) -> None:
        self._definition = definition
        self._hash = definition.hash.hex()
        self._last: _Last | None = None
        self.nodes: Final = Nodes(definition)

    @property
    def last(self) -> Latest | None:
        """The snapshot that has been let through last."""
        return None if self._last is None else self._last.latest

    def resume(
        self,
        data: bytes,
        areas: Mapping[int, bytes],
        listing: bytes,
        station: Callable[[int], bytes | None],
        log_root: bytes,
    ) -> None:
        """Goes on from the last snapshot: the log, replayed, must be its log and lead to its figures.

        Args:
            data: the snapshot's bytes.
            areas: the objects of all areas after its entries.
            listing: the decisions file after its entries.
            station: gives the object of a station after its entries.
            log_root: the log's root over its entries.

        Raises:
            TallygateError: ``feed.malformed``: these bytes are no snapshot of this election.
            GateError: rules ``replay``, ``hash`` and ``row``; `judge_repeated` goes on all the same.
        """
        latest = reading.read_latest(data)
        self._same_election(latest)
        decided = reading.read_decisions(listing, "decisions")
        # Whatever comes out: it is published, and can be repeated.
        self._last = _Last(latest, hashlib.sha256(data).digest(), decided)
        if log_root != reading.root_hash(latest):
            raise GateError(
                "replay",
                None,
                None,
                f"the log's first {latest.log.size} entries are not those of snapshot {latest.snapshot}: is "
                "this another copy of the ledger?",
            )
        root = reading.read_area(areas[self.nodes.root], "the root")
        replayed = (
            _sha256(areas[self.nodes.root]),
            _sha256(listing),
            sums.results(root, self._definition),
            decisions.status(decided, root),
        )
        if replayed != (latest.root.sha256, latest.decisions.sha256, latest.results, latest.status):
            raise GateError(
                "replay",
                None,
                None,
                f"the log's first {latest.log.size} entries give other figures than snapshot "
                f"{latest.snapshot} has published: is this the software that made it?",
            )
        self.nodes.resume(areas, station)

    def judge(self, candidate: Candidate) -> Latest:
        """Judges what is about to be written, and remembers it if all is well.

        Returns:
            What the candidate's latest.json says.

        Raises:
            GateError: nothing of it may leave.
        """
        try:
            latest = reading.read_latest(candidate.latest)
            self._same_election(latest)
            listing = self._read_decisions(candidate, latest)
            judged = self.nodes.read(candidate.areas, candidate.stations)
        except GateError:
            raise
        except TallygateError as error:
            raise GateError("form", None, None, str(error)) from None
        self._chain(candidate.number, candidate.previous, latest)
        self._log(candidate, latest, listing)
        self.nodes.judge(judged, candidate.reasons, latest.log.size)
        self._root(judged, latest)
        self._children(judged, latest)
        self._derived(latest, listing)
        self.nodes.commit(judged)
        self._last = _Last(latest, hashlib.sha256(candidate.latest).digest(), listing)
        return latest

    def judge_repeated(self, number: int, previous: bytes, data: bytes) -> Latest:
        """Judges a snapshot of a paused publication: all but a few members are those of the one before.

        Raises:
            GateError: it may not leave.
        """
        try:
            latest = reading.read_latest(data)
        except TallygateError as error:
            raise GateError("form", None, None, str(error)) from None
        self._chain(number, previous, latest)
        last = self._last
        if last is None or latest.paused is None or _figures(latest) != _figures(last.latest):
            raise GateError("status", None, None, "this is not the snapshot before, paused")
        self._last = _Last(latest, hashlib.sha256(data).digest(), last.decisions)
        return latest

    def _same_election(self, latest: Latest) -> None:
        ours = self._definition
        same = (self._hash, ours.id, ours.mode, ours.headline, self.nodes.root)
        if (latest.definition, latest.election, latest.mode, latest.headline, latest.root.area) != same:
            raise reading.malformed("this is a snapshot of another election", layout.LATEST)

    def _read_decisions(self, candidate: Candidate, latest: Latest) -> Decisions:
        file = candidate.decisions
        if file is not None:
            listing = reading.read_decisions(file.data, file.path)
            sha256 = _sha256(file.data)
            path = layout.decisions(bytes.fromhex(sha256))
            if (file.path, listing.definition) != (path, self._hash):
                raise GateError("form", None, None, f"{file.path} is another file than its name says")
        elif self._last is not None:
            listing, sha256 = self._last.decisions, self._last.latest.decisions.sha256
        else:
            raise GateError("hash", None, None, "there is no decisions file")
        if (latest.decisions.sha256, latest.decisions.count) != (sha256, len(listing.decisions)):
            raise GateError("hash", None, None, "`decisions` names another file, or has another count")
        return listing

    def _chain(self, number: int, previous: bytes | None, latest: Latest) -> None:
        last = self._last
        follows: tuple[int, bytes | None] = (1, None)
        if last is not None:
            follows = (last.latest.snapshot + 1, last.sha256)
        elif previous is not None:
            # The publisher's record knows of snapshots before, and the newest one's file is lost.
            follows = (max(number, 2), previous)
        named = None if latest.previous is None else bytes.fromhex(latest.previous)
        if (number, previous) != follows or (latest.snapshot, named) != follows:
            raise GateError("chain", None, None, f"this is not snapshot {follows[0]} behind the one before")

    def _log(self, candidate: Candidate, latest: Latest, listing: Decisions) -> None:
        opening = decisions.opening(listing)
        if opening is None or latest.log.origin != opening.origin:
            raise GateError("log", None, None, "decision 1 does not open this log")
        size, root = latest.log.size, reading.root_hash(latest)
        try:
            vkey = _core.vkey(opening.origin, opening.log_key)
            checkpoint = _core.open_checkpoint(candidate.head.note.encode(), vkey)
            taken = candidate.tree.root(size)
            if self._last is not None:
                old, old_root = self._last.latest.log.size, reading.root_hash(self._last.latest)
                proof = candidate.tree.consistency(old, size)
                _core.verify_consistency(old, old_root, size, root, proof)
        except CoreError as error:
            raise GateError("log", None, None, f"it does not extend the published one: {error}") from None
        if (checkpoint.size, checkpoint.root, taken) != (size, root, root):
            raise GateError("log", None, None, "the head is not that of the entries taken")

    def _root(self, judged: Judged, latest: Latest) -> None:
        """Whether the snapshot names and repeats the root's object."""
        root = judged.objects.get(self.nodes.root) or self.nodes.published.get(self.nodes.root)
        named = (latest.root.sha256, msgspec.json.encode(latest.tally))
        if root is None or named != (root.sha256, root.data):
            raise GateError("hash", self.nodes.root, None, "`root` or `tally` is another object")

    def _children(self, judged: Judged, latest: Latest) -> None:
        last = {} if self.last is None else {child.area: child for child in self.last.children}
        if [child.area for child in latest.children] != self.nodes.children:
            raise GateError("hash", self.nodes.root, None, "`children` are not the root's areas")
        for child in latest.children:
            area, before = judged.areas.get(child.area), last.get(child.area)
            if area is None:
                if child != before:
                    raise GateError("hash", child.area, None, "`children` has it changed, and it is not")
                continue
            if (child.sha256, child.turnout) != (judged.objects[child.area].sha256, area.turnout):
                raise GateError("hash", child.area, None, "`children` does not say what its object says")
            said = _EMPTY if before is None else before.progress
            self._progress(judged, child.area, child.progress, said)
        self._progress(
            judged, self.nodes.root, latest.progress, _EMPTY if self.last is None else self.last.progress
        )

    def _progress(self, judged: Judged, number: int, progress: Progress, last: Progress) -> None:
        """Whether an area's progress differs from the last by the rows that changed."""
        area, added = judged.areas.get(number), judged.progress.get(number, {})
        expected = msgspec.structs.asdict(last)
        for word in _WORDS:
            expected[word] += added.get((word,), 0)
        if area is not None:
            expected |= {"stations": area.stations, "opened": area.opened, "cancelled": area.cancelled}
        if msgspec.structs.asdict(progress) != expected:
            raise GateError("progress", number, None, "`progress` is not what the rows give")

    def _derived(self, latest: Latest, listing: Decisions) -> None:
        if sums.results(latest.tally, self._definition) != latest.results:
            raise GateError("share", self.nodes.root, None, "`results` are not what the root's sums give")
        status = decisions.status(listing, latest.tally)
        if (latest.status, latest.roster) != (status, decisions.roster(listing)):
            raise GateError("status", None, None, "`status` or `roster` is not what the decisions say")
        if latest.paused is not None or decisions.paused(listing) is not None:
            raise GateError("status", None, None, "new figures while publication is paused")


def _figures(latest: Latest) -> Latest:
    """A snapshot without what a pause may change."""
    return msgspec.structs.replace(
        latest,
        information=None,
        paused=None,
        previous=None,
        published_at="",
        snapshot=0,
        software=None,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
