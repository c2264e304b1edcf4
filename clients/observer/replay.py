"""The log folded once, and each snapshot beside it: what has to stand in it, to the byte.

A `Replay` takes the entries of a log in their order and is asked, whenever it has as many as a snapshot, what
that snapshot must be. It reads no file; whoever drives it (`verify`, `watch`) has read them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple, cast

from clients.observer import withheld
from clients.observer.election import Opening, Rosters
from clients.observer.entries import Entry
from clients.observer.tally import Tally
from clients.observer.tally.counts import SOURCES, Source
from clients.observer.tally.packet import DOCUMENTS, PROTOCOL, RESULT
from clients.observer.verdict import DifferenceError, judge_bytes
from clients.wire import feed, jcs, note, statement
from clients.wire.authority import Authority, named_roster
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.feed import Listed, Paused, Snapshot
from clients.wire.jcs import JsonValue
from clients.wire.merkle import Tree
from clients.wire.statement import Statement
from clients.wire.text import base64_text

FROM_LOG: Final = "the log"
FIGURES_DIFFER: Final = "feed.figures"
CHAIN_DIFFERS: Final = "feed.chain"
# Where the root's object is put into a snapshot, which no text within a snapshot can look like.
_NO_TALLY: Final = b'"tally":0'
# What a pause may change (feed.md, "Pause").
_UNPAUSED: Final = frozenset({"information", "paused", "previous", "published_at", "snapshot", "software"})


class Judged(NamedTuple):
    """A snapshot that is right.

    Attributes:
        areas: objects of the areas that have changed since the one before, all areas' in the first.
        decisions: the decisions file that it names; under an embargo also the one that it hides.
    """

    areas: Mapping[int, bytes]
    decisions: Sequence[bytes]


class _Payload:
    """One payload of a decision, and who has signed it."""

    __slots__ = ("entries", "signed", "signers")

    def __init__(self, signed: Statement) -> None:
        self.signed = signed
        self.entries: list[int] = []
        self.signers: set[bytes] = set()


class Replay:
    """A log's prefix and what follows from it.

    Attributes:
        tree: of the entries taken, and of those that were looked at ahead.
        tally: of the entries taken.
        number: of the last snapshot that was judged; 0: none yet.
        informations: hashes of the information that snapshots have named.
        named_rosters: hashes of the rosters that the log's decisions name.
        papers: hashes of the papers that its packets name.
        withheld: how many snapshots were judged without their figures.
    """

    def __init__(self, definition: Definition, opening: Opening, rosters: Rosters) -> None:
        """Start before the first entry.

        Args:
            definition: the election's.
            opening: what decision 1 of this log says.
            rosters: those that decisions may name.

        Raises:
            DifferenceError: the first roster's files were changed.
            CannotCheckError: the first roster is missing.
        """
        first = rosters.usable.get(opening.roster)
        if first is None:
            raise rosters.missing(opening.roster)
        self._definition = definition
        self._opening = opening
        self._rosters = rosters
        self.tree = Tree()
        self.tally = Tally(definition, first, rosters.usable.values(), rosters.unusable)
        self.number = 0
        self.informations: set[bytes] = set()
        self.named_rosters: set[bytes] = set()
        self.papers: set[bytes] = set()
        self.withheld = 0
        # Index of the first result or protocol, with which an embargo begins.
        self._first_count: int | None = None
        self._before: Snapshot | None = None
        self._before_sha256: bytes | None = None
        self._before_data = b""
        self._payloads: dict[bytes, _Payload] = {}
        self._decisions = b""
        # Pauses of the commission that snapshots tell of, with the number and whether under an embargo; and
        # those that the entries behind these order.
        self._told: list[tuple[int, Paused, bool]] = []
        self._ordered: set[Paused] = set()

    @property
    def size(self) -> int:
        """How many entries are taken."""
        return self.tally.size

    @property
    def newest_size(self) -> int:
        """How many entries the last snapshot that was judged has."""
        return 0 if self._before is None else self._before.size

    @property
    def definition(self) -> Definition:
        """The election's."""
        return self._definition

    @property
    def opening(self) -> Opening:
        """What decision 1 says."""
        return self._opening

    @property
    def rosters(self) -> Rosters:
        """Those that decisions may name."""
        return self._rosters

    def offer(self, rosters: Rosters) -> None:
        """All rosters that are there now, before an entry is taken that may name a new one."""
        for sha256, roster in rosters.usable.items():
            if sha256 not in self._rosters.usable:
                self.authority.offer(roster)
        for sha256 in rosters.unusable:
            self.authority.offer_unusable(sha256)
        self._rosters = rosters

    @property
    def authority(self) -> Authority:
        """The commission's decisions in the entries taken."""
        return self.tally.authority

    def take(self, entry: Entry) -> Sequence[int]:
        """Take the next entry.

        Returns:
            The stations whose objects it has changed.

        Raises:
            DifferenceError: the log may not have such an entry here.
            CannotCheckError: it takes a decision that names a roster which is missing.
        """
        index = self.size
        signed = self._judge(index, entry)
        try:
            changed = self.tally.apply(signed)
        except WireError as error:
            missing = self.authority.missing_rosters
            if not missing:
                raise
            raise self._rosters.missing(missing[0].sha256) from error
        self._grow(index, entry)
        if signed.kind == "decision":
            self._list(index, signed)
        elif signed.report[0] in (RESULT, PROTOCOL, DOCUMENTS):
            if self._first_count is None and signed.report[0] != DOCUMENTS:
                self._first_count = index
            named = cast(tuple[tuple[bytes, int, int, int, int], ...], signed.report[-1])
            self.papers.update(paper[0] for paper in named)
        return changed

    def know(self, leaf: bytes) -> None:
        """Take the hash of the next entry above those looked at, which nobody may read yet."""
        self.tree.append(leaf)

    def look_ahead(self, index: int, entry: Entry) -> None:
        """Take the hash of an entry above those taken: the log's signed head covers it, no snapshot yet.

        Raises:
            DifferenceError: another entry was here before.
        """
        self._grow(index, entry)

    def _grow(self, index: int, entry: Entry) -> None:
        if index == self.tree.size:
            self.tree.append(entry.leaf)
        elif self.tree.subtree(0, index) != entry.leaf:
            raise entry.refused(index, WireError("log.rewritten", "is another entry than was here before"))

    def _judge(self, index: int, entry: Entry) -> Statement:
        """The statement, if its signer may speak here and has signed it."""
        signed = entry.statement
        try:
            if entry.refusal is not None:
                raise entry.refusal
            if signed is None:
                raise AssertionError("an entry is a statement or refused")
            if signed.kind == "packet":
                self._judge_signer(signed, entry.verified)
            elif not entry.verified:
                raise WireError("statement.unknown_device", "the kid is not one of a commission key")
        except WireError as error:
            raise entry.refused(index, error) from error
        return signed

    def _judge_signer(self, signed: Statement, verified: bool) -> None:
        if not self.authority.is_open:
            raise WireError("statement.unknown_device", "the commission has not opened the log before it")
        device = self.authority.speakers.devices.get(signed.device)
        if device is None:
            raise WireError(
                "statement.unknown_device", f"device {signed.device} is not in the roster in force"
            )
        if verified:
            # By the only key that any roster has under this number.
            return
        if device.kid != signed.kid:
            raise WireError("statement.unknown_device", f"the kid is not the key's of device {signed.device}")
        statement.verify(signed, device.key)

    def _list(self, index: int, signed: Statement) -> None:
        digest = hashlib.sha256(signed.payload).digest()
        payload = self._payloads.setdefault(digest, _Payload(signed))
        payload.entries.append(index)
        payload.signers.add(self._definition.commission[signed.kid])
        self._decisions = b""
        if (named := named_roster(signed.action)) is not None:
            self.named_rosters.add(named)
        if (pause := self._pause()) is not None:
            self._ordered.add(pause)

    def _pause(self) -> Paused | None:
        """Since when and why the commission has paused publication, as a snapshot says it."""
        taken = None if (number := self.authority.pause) is None else self.authority.taken(number)
        if taken is None:
            return None
        signed = self._payloads[taken.payload].signed
        reason = cast(tuple[tuple[str, str], ...], signed.reason)
        return Paused("commission", feed.format_time(signed.decided_at), reason)

    def decisions(self) -> bytes:
        """The decisions file."""
        if not self._decisions:
            self._decisions = feed.decisions_bytes(self._definition.sha256, self.listed())
        return self._decisions

    def listed(self) -> Sequence[Listed]:
        """Every payload of a decision in the entries taken, by its first entry."""
        return tuple(
            Listed(
                number=payload.signed.number,
                payload=digest,
                decided_at=payload.signed.decided_at,
                reason=payload.signed.reason,
                action=payload.signed.action,
                entries=payload.entries,
                signers=payload.signers,
                state=str(self.authority.standing(payload.signed)),
            )
            for digest, payload in self._payloads.items()
        )

    def judge_log(self, snapshot: Snapshot, path: str) -> None:
        """Compare what the next snapshot says of the log with the entries taken, which are as many.

        Raises:
            DifferenceError: its log is shorter than that of the snapshot before, or another.
        """
        size = 0 if self._before is None else self._before.size
        if snapshot.size < size:
            detail = f"is {snapshot.size}, the snapshot before has {size}: a log never gets shorter"
            raise DifferenceError(CHAIN_DIFFERS, detail, path, "log.size")
        if snapshot.size != self.size:
            raise AssertionError("a snapshot is judged when as many entries are taken as it has")
        self._judge_root(snapshot, path)

    def _judge_root(self, snapshot: Snapshot, path: str) -> None:
        root = self.tree.root(snapshot.size)
        if snapshot.root != root:
            detail = (
                f"is {base64_text(snapshot.root)}, the first {snapshot.size} entries give {base64_text(root)}"
            )
            raise DifferenceError(CHAIN_DIFFERS, detail, path, "log.root")

    def judge(self, data: bytes, signed_note: bytes) -> Judged:
        """Compare the next snapshot with what the entries taken lead to; there are as many as it says.

        Args:
            data: the bytes of its file.
            signed_note: the bytes of its note.

        Raises:
            DifferenceError: a member, the note, or the chain of snapshots is another.
        """
        number = self.number + 1
        path = feed.snapshot_path(number)
        snapshot = parse(data, path)
        self.judge_log(snapshot, path)
        self._judge_pause(snapshot, path)
        self._judge_embargo(snapshot, path, known=True)
        expected = self._expected(snapshot, number)
        if data != expected:
            judge_bytes(path, data, expected, FIGURES_DIFFER, FROM_LOG)
        self._accept(snapshot, data, signed_note)
        decisions = [self.decisions()]
        if snapshot.embargo_until is not None:
            decisions.append(self._withheld_decisions())
            # Nothing has asked for the objects, and they are there all the same.
            self.tally.root_sha256()
        return Judged(self.tally.release_areas(), decisions)

    def judge_withheld(self, data: bytes, signed_note: bytes) -> Snapshot:
        """Judge the next snapshot, which is under embargo, without its entries; the tree has their hashes.

        What follows from the entries is taken as it says it: progress and turnout, status, roster, decisions.

        Args:
            data: the bytes of its file.
            signed_note: the bytes of its note.

        Raises:
            DifferenceError: a member that does not follow from the entries, the note, or the chain of
                snapshots is another.
        """
        number = self.number + 1
        path = feed.snapshot_path(number)
        snapshot = parse(data, path)
        before = self._before
        if before is not None and snapshot.size < before.size:
            detail = f"is {snapshot.size}, the snapshot before has {before.size}: a log never gets shorter"
            raise DifferenceError(CHAIN_DIFFERS, detail, path, "log.size")
        self._judge_root(snapshot, path)
        if snapshot.paused is not None:
            self._judge_paused(snapshot, snapshot.paused, path)
        self._judge_embargo(snapshot, path, known=False)
        if snapshot.paused is not None:
            self._judge_repeated(data, path)
        expected = withheld.expected(
            data, self._constant(snapshot, number), self._definition, self.tally.root, path
        )
        if data != expected:
            judge_bytes(path, data, expected, FIGURES_DIFFER, "the definition")
        self._accept(snapshot, data, signed_note)
        self.withheld += 1
        return snapshot

    def _accept(self, snapshot: Snapshot, data: bytes, signed_note: bytes) -> None:
        """Take a snapshot that is right, if its note is."""
        sha256 = hashlib.sha256(data).digest()
        self._judge_note(snapshot, sha256, signed_note, feed.note_path(snapshot.number))
        if snapshot.information is not None:
            self.informations.add(snapshot.information)
        self.number, self._before, self._before_sha256 = snapshot.number, snapshot, sha256
        self._before_data = data

    def _embargo(self, published_at: str) -> str | None:
        """When the definition's embargo ends, for a snapshot of before."""
        publish_at = self._definition.publish_at
        if publish_at is None:
            return None
        until = feed.format_time(publish_at)
        return until if published_at < until else None

    def _judge_embargo(self, snapshot: Snapshot, path: str, *, known: bool) -> None:
        """Whether figures are held back exactly while they have to be (feed.md, "Embargo").

        `known`: its entries are taken; else it is believed that there is a result or protocol among them.
        """
        before, first = self._before, self._first_count
        open_before = before is not None and before.embargo_until is None
        out = open_before and first is not None and first < self.newest_size
        if snapshot.paused is not None:
            expected = None if before is None else before.embargo_until
        elif out or (known and first is None):
            expected = None
        else:
            expected = self._embargo(snapshot.published_at)
        if snapshot.embargo_until != expected:
            raise _wrong_embargo(path, snapshot, expected)

    def _judge_pause(self, snapshot: Snapshot, path: str) -> None:
        """What can be said of `paused`: what orders a pause comes with the first snapshot behind it."""
        if snapshot.paused is not None:
            self._judge_paused(snapshot, snapshot.paused, path)
            return
        if self.authority.is_paused:
            detail = f"is null, decision {self.authority.pause} has paused publication"
            raise DifferenceError("feed.pause", detail, path, "paused")
        for number, told, embargo in self._told:
            ordered = {pause.withheld for pause in self._ordered} if embargo else self._ordered
            if told not in ordered:
                detail = "no decision in the entries behind this snapshot pauses publication like this"
                raise DifferenceError("feed.pause", detail, feed.snapshot_path(number), "paused")
        self._told.clear()
        self._ordered.clear()

    def _judge_paused(self, snapshot: Snapshot, paused: Paused, path: str) -> None:
        before = self._before
        if before is None:
            raise DifferenceError("feed.pause", "the first snapshot is never paused", path, "paused")
        if snapshot.size != before.size:
            detail = f"is {snapshot.size}, and while publication is paused it stays {before.size}"
            raise DifferenceError("feed.pause", detail, path, "log.size")
        if paused.by == "commission":
            self._told.append((snapshot.number, paused, snapshot.embargo_until is not None))

    def _judge_repeated(self, data: bytes, path: str) -> None:
        """Whether a paused snapshot, which nobody can recompute, says what the one before has said."""
        found, before = json.loads(data), json.loads(self._before_data)
        for member in sorted(found.keys() - _UNPAUSED):
            if found[member] != before[member]:
                detail = "is another than in the snapshot before, and publication is paused"
                raise DifferenceError("feed.pause", detail, path, member)

    def _judge_note(self, snapshot: Snapshot, sha256: bytes, data: bytes, path: str) -> None:
        try:
            text = note.open_note(data, self._opening.snapshot_key)
        except WireError as error:
            raise DifferenceError(error.code, error.detail, path) from error
        expected = snapshot.note(sha256)
        for line, (found, wanted) in enumerate(zip_longest(text.split("\n"), expected.split("\n")), start=1):
            if found != wanted:
                detail = f"is {found!r}, the snapshot says {wanted!r}"
                raise DifferenceError("feed.note", detail, path, f"line {line}")

    def _withheld_decisions(self) -> bytes:
        return feed.decisions_bytes(self._definition.sha256, self.listed(), withheld=True)

    def _constant(self, snapshot: Snapshot, number: int) -> dict[str, JsonValue]:
        """The members that no entry changes, with what the snapshot only says taken from itself."""
        definition, before = self._definition, self._before_sha256
        return {
            "format": feed.FORMAT,
            "election": definition.id,
            "mode": definition.mode,
            "definition": definition.sha256.hex(),
            "information": None if snapshot.information is None else snapshot.information.hex(),
            "snapshot": number,
            "previous": None if before is None else before.hex(),
            "published_at": snapshot.published_at,
            "headline": definition.headline,
            "paused": None if snapshot.paused is None else snapshot.paused.object,
            "embargo_until": snapshot.embargo_until,
            "log": {
                "origin": self._opening.log_key.name,
                "root": base64_text(self.tree.root(snapshot.size)),
                "size": snapshot.size,
            },
            "software": snapshot.software.object,
        }

    def _expected(self, snapshot: Snapshot, number: int) -> bytes:
        """The bytes that the snapshot must have, with what it only says taken from itself."""
        tally, hidden = self.tally, snapshot.embargo_until is not None
        root = b"null" if hidden else tally.area(tally.root)
        decisions = self._withheld_decisions() if hidden else self.decisions()
        members: dict[str, JsonValue] = {
            **self._constant(snapshot, number),
            "roster": self.authority.assignments.sha256.hex() if self.authority.is_open else None,
            "status": {word: self._status(source) for source, word in SOURCES.items()},
            "decisions": {"count": len(self._payloads), "sha256": hashlib.sha256(decisions).hexdigest()},
            "progress": tally.progress(tally.root),
            "root": None if hidden else {"area": tally.root, "sha256": tally.root_sha256().hex()},
            "tally": 0,
            "results": () if hidden else tally.results(),
            "children": [
                {
                    "area": area,
                    "progress": tally.progress(area),
                    "sha256": None if hidden else tally.area_sha256(area).hex(),
                    "turnout": tally.sums(area).turnout,
                }
                for area in tally.children(tally.root)
            ],
        }
        return jcs.write(members).replace(_NO_TALLY, b'"tally":%b' % root)

    def _status(self, source: Source) -> str:
        """The status word of a source (feed.md, "Status")."""
        decided = self.authority.status(source)
        if decided is not None:
            return feed.STATUS_WORDS[decided]
        contests = [
            (own.stations, own.sources[source].states)
            for own in self.tally.sums(self.tally.root).contests.values()
        ]
        if all(states["silent"] + states["annulled"] == stations for stations, states in contests):
            return "pre-election"
        if all(states["silent"] + states["partial"] + states["held"] == 0 for _, states in contests):
            return "unofficial-complete"
        return "unofficial-partial"


def _wrong_embargo(path: str, snapshot: Snapshot, expected: str | None) -> DifferenceError:
    found, wanted = snapshot.embargo_until or "null", expected or "null"
    detail = f"is {found}, and must be {wanted} in a snapshot of {snapshot.published_at}"
    return DifferenceError("feed.embargo", detail, path, "embargo_until")


def parse(data: bytes, path: str) -> Snapshot:
    """What a snapshot says of itself.

    Raises:
        DifferenceError: `feed.malformed`, with the member.
    """
    try:
        return Snapshot.parse(data, path)
    except WireError as error:
        raise DifferenceError(error.code, error.detail, path, error.column or "") from error
