"""The gate: judges the bytes of a snapshot before they leave (docs/feed.md, "The gate").

What lives here: `Candidate`, what is about to be written, and `Gate`, which judges latest.json, the chain,
the log and the decisions; the objects are judged in `gateway.publish.nodes`. It reads bytes back, remembers
what it let through before, and asks the definition and the log: never the tally. No statement can fail it;
what fails it is a fault of the software or of the machine.

Of a snapshot under embargo all is judged, hidden or not, and then that nothing hidden is in what leaves.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from gateway import _core
from gateway.base.clock import parse_time
from gateway.base.errors import CoreError, TallygateError
from gateway.feed import layout, reading
from gateway.feed.models import Decision, Decisions, Latest, Progress
from gateway.feed.objects import Area, Row
from gateway.ledger.protocol import Head
from gateway.publish import decisions
from gateway.publish.embargo import Embargo
from gateway.publish.nodes import Judged, Nodes, Reasons
from gateway.publish.outcomes import Outcomes
from gateway.publish.protocol import FeedFile, GateError

_EMPTY: Final = Progress(0, 0, 0, 0, 0, 0, 0, 0, 0)
# The action that names a packet (docs/packet.md).
_CHOOSE: Final = 5
_WORDS: Final = ("annulled", "disputed", "held", "partial", "reported", "silent")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is about to be written, and what it is held against.

    Attributes:
        number: of the snapshot.
        previous: SHA-256 of the snapshot before; None: there is none.
        latest: the bytes of latest.json.
        whole: under an embargo the bytes that it would have without one; else None.
        areas: the objects of areas that are new.
        stations: the objects of stations that are new.
        decisions: the decisions file, if it is new.
        withheld: under an embargo the one that leaves; else None.
        head: of the log.
        tree: over the log's entries, at least as many as the head has.
        reasons: the entries since the snapshot before.
        embargo: what is held back of these entries.
    """

    number: int
    previous: bytes | None
    latest: bytes
    whole: bytes | None
    areas: Sequence[FeedFile]
    stations: Sequence[FeedFile]
    decisions: FeedFile | None
    withheld: FeedFile | None
    head: Head
    tree: _core.Tree
    reasons: Reasons
    embargo: Embargo


class Replayed(NamedTuple):
    """The last snapshot as the log gives it again: what leaves, and the whole of it."""

    shown: Latest
    whole: Latest


class _Last(NamedTuple):
    """The snapshot that has been let through last: what has left and its hash; the whole, all decisions."""

    latest: Latest
    sha256: bytes
    whole: Latest
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
        self._outcomes = Outcomes(definition)
        self.nodes: Final = Nodes(definition)

    @property
    def last(self) -> Latest | None:
        """The snapshot that has been let through last, as it has left."""
        return None if self._last is None else self._last.latest

    @property
    def whole(self) -> Latest | None:
        """The same without embargo."""
        return None if self._last is None else self._last.whole

    def resume(
        self,
        data: bytes,
        replay: Callable[[Latest], Replayed],
        areas: Mapping[int, bytes],
        listing: bytes,
        station: Callable[[int], bytes | None],
        log_root: bytes,
    ) -> None:
        """Goes on from the last snapshot: the log, replayed, must be its log and lead to its figures.

        Args:
            data: the snapshot's bytes.
            replay: makes the snapshot anew, with what it only says taken from it.
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
        sha256 = hashlib.sha256(data).digest()
        # Whatever comes out: it is published, and can be repeated.
        self._last = _Last(latest, sha256, latest, decided)
        if log_root != reading.root_hash(latest):
            raise GateError(
                "replay",
                None,
                None,
                f"the log's first {latest.log.size} entries are not those of snapshot {latest.snapshot}: is "
                "this another copy of the ledger?",
            )
        shown, whole = replay(latest)
        if _figures(shown) != _figures(latest):
            raise GateError(
                "replay",
                None,
                None,
                f"the log's first {latest.log.size} entries give other figures than snapshot "
                f"{latest.snapshot} has published: is this the software that made it?",
            )
        self._last = _Last(latest, sha256, whole, decided)
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
            whole = latest if candidate.whole is None else reading.read_latest(candidate.whole)
            self._same_election(latest)
            self._same_election(whole)
            listing = self._read_decisions(candidate, whole)
            judged = self.nodes.read(candidate.areas, candidate.stations)
            self._embargo(candidate, latest, whole, listing)
        except GateError:
            raise
        except TallygateError as error:
            raise GateError("form", None, None, str(error)) from None
        self._chain(candidate.number, candidate.previous, latest)
        self._log(candidate, whole, listing)
        self.nodes.judge(judged, candidate.reasons, whole.log.size)
        tally = self._root(judged, whole)
        self._children(judged, whole)
        self._derived(judged, whole, tally, listing)
        self.nodes.commit(judged)
        self._last = _Last(latest, hashlib.sha256(candidate.latest).digest(), whole, listing)
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
        if latest.embargo_until is not None and latest.paused.by == "commission" and latest.paused.reason:
            raise GateError("embargo", None, None, "the reason of a decision would leave")
        self._last = last._replace(latest=latest, sha256=hashlib.sha256(data).digest())
        return latest

    def _same_election(self, latest: Latest) -> None:
        ours = self._definition
        same = (self._hash, ours.id, ours.mode, ours.headline)
        root = self.nodes.root if latest.root is None else latest.root.area
        said = (latest.definition, latest.election, latest.mode, latest.headline)
        if said != same or root != self.nodes.root:
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
            listing, sha256 = self._last.decisions, self._last.whole.decisions.sha256
        else:
            raise GateError("hash", None, None, "there is no decisions file")
        if (latest.decisions.sha256, latest.decisions.count) != (sha256, len(listing.decisions)):
            raise GateError("hash", None, None, "`decisions` names another file, or has another count")
        return listing

    def _embargo(self, candidate: Candidate, latest: Latest, whole: Latest, listing: Decisions) -> None:
        """Whether what is under embargo stays here, and everything else leaves."""
        until = candidate.embargo.until(latest.log.size, parse_time(latest.published_at), self.last)
        if latest.embargo_until != until:
            raise GateError("embargo", None, None, "`embargo_until` is not what the log and the clock say")
        files = [*candidate.areas, *candidate.stations]
        files += [] if candidate.decisions is None else [candidate.decisions]
        if any(file.hidden != (until is not None) for file in files):
            raise GateError("embargo", None, None, "a file would leave that is hidden, or stay that is not")
        shown = candidate.withheld
        if until is None:
            if shown is not None or whole is not latest:
                raise GateError("embargo", None, None, "something is withheld, and there is no embargo")
            return
        if shown is None or shown.hidden or whole.embargo_until is not None:
            raise GateError("embargo", None, None, "there is no decisions file that may leave")
        self._withheld(shown, latest, listing)
        if _public(latest) != _public(whole):
            raise GateError("embargo", None, None, "what leaves is not what the whole snapshot says")

    def _withheld(self, shown: FeedFile, latest: Latest, listing: Decisions) -> None:
        """Whether the decisions that leave are all there, without what is under embargo."""
        left = reading.read_decisions(shown.data, shown.path)
        sha256 = hashlib.sha256(shown.data).digest()
        named = (latest.decisions.sha256, latest.decisions.count)
        if (shown.path, named) != (layout.decisions(sha256), (sha256.hex(), len(left.decisions))):
            raise GateError("embargo", None, None, "`decisions` names another file than the one that leaves")
        if left != msgspec.structs.replace(listing, decisions=tuple(map(_shown, listing.decisions))):
            raise GateError("embargo", None, None, "the decisions that leave are others, or say too much")

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

    def _root(self, judged: Judged, latest: Latest) -> Area[Row]:
        """Whether the snapshot names and repeats the root's object, which is returned."""
        root = judged.objects.get(self.nodes.root) or self.nodes.published.get(self.nodes.root)
        name, tally = latest.root, latest.tally
        same = root is not None and name is not None and name.sha256 == root.sha256
        if root is None or tally is None or not same or msgspec.json.encode(tally) != root.data:
            raise GateError("hash", self.nodes.root, None, "`root` or `tally` is another object")
        return tally

    def _children(self, judged: Judged, latest: Latest) -> None:
        last = {} if self.whole is None else {child.area: child for child in self.whole.children}
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

    def _derived(self, judged: Judged, latest: Latest, tally: Area[Row], listing: Decisions) -> None:
        self._outcomes.judge(latest.results, tally, lambda level: self.nodes.at_level(level, judged))
        status = decisions.status(listing, tally)
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


def _public(latest: Latest) -> Latest:
    """What an embargo leaves of a snapshot."""
    return msgspec.structs.replace(
        latest,
        children=tuple(msgspec.structs.replace(child, sha256=None) for child in latest.children),
        decisions=msgspec.structs.replace(latest.decisions, sha256=""),
        embargo_until=None,
        results=(),
        root=None,
        tally=None,
    )


def _shown(decision: Decision) -> Decision:
    """What an embargo leaves of a decision: no words, and of a choice (action 5) not whose."""
    action = decision.action[:4] if decision.action[0] == _CHOOSE else decision.action
    return msgspec.structs.replace(decision, action=action, payload=None, reason=())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
