"""Makes snapshots: follows the log with the tally, gathers what changed, lets the gate judge the bytes.

What lives here: `SnapshotBuilder` (`gateway.publish.protocol.Builder`). It makes the objects of the stations
that changed since the last snapshot and of the areas above them, and nothing else: a snapshot costs what has
changed, whatever the election has. It writes nothing. Under an embargo it makes the same, hidden, and beside
it what may leave (`gateway.publish.embargo`).
"""

import base64
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from gateway import _core
from gateway.base.clock import format_time, parse_time
from gateway.base.errors import TallygateError
from gateway.feed import layout, reading
from gateway.feed.models import (
    Child,
    Decisions,
    DecisionsRef,
    Latest,
    LogHead,
    Paused,
    Progress,
    Result,
    RootRef,
    Software,
    Standing,
)
from gateway.feed.objects import Turnout
from gateway.ledger.protocol import Head
from gateway.publish import decisions
from gateway.publish.embargo import Embargo, withhold, withhold_decisions, withhold_reason
from gateway.publish.gate import Candidate, Gate, Replayed
from gateway.publish.nodes import Reasons
from gateway.publish.protocol import Draft, FeedFile, GateError

_PROGRESS: Final = msgspec.json.Decoder(Progress)
_RESULTS: Final = msgspec.json.Decoder(tuple[Result, ...])


class _WithTurnout(msgspec.Struct, frozen=True):
    """What is wanted of an area's object for latest.json."""

    turnout: Turnout


_WITH_TURNOUT: Final = msgspec.json.Decoder(_WithTurnout)


class _Listing(NamedTuple):
    """The decisions as they stand, and their file."""

    file: FeedFile
    ref: DecisionsRef

    @classmethod
    def of(cls, listing: Decisions) -> "_Listing":
        data = decisions.encode(listing)
        sha256 = hashlib.sha256(data)
        file = FeedFile(layout.decisions(sha256.digest()), data)
        return cls(file, DecisionsRef(len(listing.decisions), sha256.hexdigest()))


class SnapshotBuilder:
    """Follows one log; see `gateway.publish.protocol.Builder`.

    Args:
        definition: the election's.
        roster: the one that decision 1 names.
        seed: the private key that signs snapshots, 32 bytes.
        information: SHA-256 of the information that is shown, or None.
        software: what this program is (`gateway.publish.software`).
    """

    def __init__(
        self,
        definition: _core.Definition,
        roster: _core.Roster,
        seed: bytes,
        *,
        information: bytes | None,
        software: Software,
    ) -> None:
        self._definition = definition
        self._seed = seed
        self._key = _core.public_key(seed)
        self._information = None if information is None else information.hex()
        self._software = software
        self._tally = _core.Tally(definition, roster)
        self._register = decisions.Register(definition)
        # None: decisions have come since they were made. Whether publication is paused is asked after each
        # batch, the bytes once a snapshot.
        self._decisions: Decisions | None = None
        self._listing: _Listing | None = None
        # What an embargo leaves of it.
        self._withheld: _Listing | None = None
        self._embargo = Embargo(definition.publish_at)
        self._gate = Gate(definition)
        self._reasons = Reasons(0)
        self._failure: GateError | None = None
        self.tree: Final = _core.Tree()

    @property
    def size(self) -> int:
        """How many entries are taken: the index of the next one."""
        return self.tree.size

    @property
    def missing_rosters(self) -> Sequence[bytes]:
        """Hashes of the rosters that the next entry waits for (docs/packet.md, "Rosters")."""
        return self._tally.missing_rosters

    @property
    def paused(self) -> bool:
        """Whether the commission's pause is in effect after the entries taken."""
        return decisions.paused(self._decided()) is not None

    @property
    def first_count(self) -> int | None:
        """Index of the first result or protocol taken (`Builder.first_count`)."""
        return self._embargo.first

    def embargoed(self, now: int) -> bool:
        """Whether a snapshot made now would be under embargo (`Builder.embargoed`)."""
        return self._embargo.until(self.size, now, self._gate.last) is not None

    def offer(self, roster: _core.Roster) -> None:
        """A roster of this definition that a decision 9 may name."""
        self._tally.offer(roster)

    def offer_unusable(self, sha256: bytes) -> None:
        """The hash of a roster.json that is whole and no roster (`_core.Authority.offer_unusable`)."""
        self._tally.offer_unusable(sha256)

    def show(self, information: bytes) -> None:
        """The SHA-256 of the information that snapshots name from now on."""
        self._information = information.hex()

    def take(self, first: int, statements: Sequence[bytes]) -> int:
        """Takes the log's next entries; how many were taken (`Builder.take`).

        Raises:
            CoreError: ``argument.range``, ``statement.malformed``, ``server.fault``.
        """
        count = self._tally.apply(first, statements)
        taken = statements[:count]
        for index, data in enumerate(taken, first):
            statement = _core.decode(data)
            self._reasons.note(index, statement.station)
            self._embargo.note(index, statement)
            if statement.kind == "decision":
                self._register.note(index, statement)
                self._decisions = self._listing = self._withheld = None
        self.tree.append([_core.leaf_hash(data) for data in taken])
        return count

    def resume(self, latest: bytes) -> None:
        """Continues from the last snapshot (`Builder.resume`).

        Raises:
            TallygateError: ``feed.malformed``.
            GateError: rule ``replay``.
        """
        areas = {number: self._tally.area(number) for number in self._gate.nodes.all_areas()}
        try:
            decided = self._listed().file.data
            self._gate.resume(
                latest,
                lambda last: self._replay(last, areas),
                areas,
                decided,
                self._tally.station,
                self.tree.root(),
            )
        except GateError as error:
            self._failure = error
            raise
        self._tally.changed_stations()
        self._reasons = Reasons(self.size)

    def objects(self) -> Iterator[FeedFile]:
        """Every object and the decisions that the last snapshot refers to, made anew (`Builder.objects`)."""
        last = self._gate.last
        hidden = last is not None and last.embargo_until is not None
        for number, known in self._gate.nodes.published.items():
            yield FeedFile(layout.area(number, bytes.fromhex(known.sha256)), known.data, hidden)
        stations = (station.number for station in self._definition.stations())
        yield from self._station_files(stations, hidden=hidden)
        yield dataclasses.replace(self._listed().file, hidden=hidden)
        if hidden:
            yield self._left().file

    def draft(self, number: int, previous: bytes | None, published_at: int, head: Head) -> Draft | None:
        """The next snapshot, or the one before while it is paused (`Builder.draft`).

        Raises:
            GateError: now and from now on.
            TallygateError: ``publish.key``.
            CoreError: ``server.fault``.
            ValueError: the head is of another size.
        """
        if self._failure is not None:
            raise self._failure
        if head.size != self.size:
            raise ValueError(f"{self.size} entries are taken, the head has {head.size}")
        decided = self._decided()
        opening = decisions.opening(decided)
        if opening is None:
            return None
        if opening.snapshot_key != self._key:
            raise TallygateError(
                "publish.key",
                "decision 1 names another snapshot key than the one here: put the right keys/snapshot.key "
                "back from its safe copy; what another key signs nobody believes",
            )
        last = self._gate.last
        paused = decisions.paused(decided)
        if paused is not None:
            return (
                None
                if last is None or previous is None
                else self.repeat(number, previous, published_at, paused)
            )

        candidate = self._candidate(number, previous, published_at, head, opening.origin)
        try:
            snapshot = self._gate.judge(candidate)
        except GateError as error:
            self._failure = error
            raise
        self._reasons = Reasons(self.size)
        listings = [file for file in (candidate.decisions, candidate.withheld) if file is not None]
        hidden = snapshot.embargo_until is not None
        return Draft(
            number=number,
            sha256=hashlib.sha256(candidate.latest).digest(),
            snapshot=snapshot,
            latest=candidate.latest,
            note=self._note(snapshot, candidate.latest),
            files=[*candidate.stations, *candidate.areas, *listings],
            checkpoint=None if last is not None and last.log.size == head.size else head.note.encode(),
            old_size=0 if last is None else last.log.size,
            size=head.size,
            hidden_from=self._embargo.first if hidden else None,
            lifts=not hidden and self._embargo.over(published_at),
            flags=self._flags(),
            stations=len(candidate.stations),
            areas=len(candidate.areas),
        )

    def repeat(self, number: int, previous: bytes, published_at: int, paused: Paused) -> Draft:
        """The heartbeat of a paused publication: log and figures of the snapshot before (`Builder.repeat`).

        Raises:
            GateError: rule ``chain``.
            ValueError: there is no snapshot before.
        """
        last = self._gate.last
        if last is None:
            raise ValueError("there is no snapshot before")
        latest = _encode(
            msgspec.structs.replace(
                last,
                information=self._information,
                paused=paused if last.embargo_until is None else withhold_reason(paused),
                previous=previous.hex(),
                published_at=format_time(published_at),
                snapshot=number,
                software=self._software,
            )
        )
        snapshot = self._gate.judge_repeated(number, previous, latest)
        return Draft(
            number=number,
            sha256=hashlib.sha256(latest).digest(),
            snapshot=snapshot,
            latest=latest,
            note=self._note(snapshot, latest),
            files=[],
            checkpoint=None,
            old_size=last.log.size,
            size=last.log.size,
            hidden_from=None,
            lifts=False,
            flags=self._flags(),
            stations=0,
            areas=0,
        )

    def _note(self, snapshot: Latest, latest: bytes) -> bytes:
        signer = _core.NoteSigner(reading.note_name(snapshot.log.origin), self._seed)
        return signer.sign(reading.note_text(snapshot, latest)).encode()

    def _decided(self) -> Decisions:
        if self._decisions is None:
            self._decisions = self._register.listing(self._standing)
        return self._decisions

    def _listed(self) -> _Listing:
        if self._listing is None:
            self._listing = _Listing.of(self._decided())
        return self._listing

    def _left(self) -> _Listing:
        """The decisions as an embargo leaves them."""
        if self._withheld is None:
            self._withheld = _Listing.of(withhold_decisions(self._decided()))
        return self._withheld

    def _flags(self) -> Sequence[tuple[str, int]]:
        whole = self._gate.whole
        return () if whole is None or whole.tally is None else whole.tally.flags

    def _standing(self, statement: _core.Statement) -> Standing:
        standing = self._tally.standing(statement)
        if standing is None or standing == "unjudged":
            # The tally stops before an entry that would leave a decision unjudged.
            raise ValueError(f"a decision that is {standing}")
        return standing

    def _candidate(
        self, number: int, previous: bytes | None, published_at: int, head: Head, origin: str
    ) -> Candidate:
        nodes, last = self._gate.nodes, self._gate.last
        until = self._embargo.until(head.size, published_at, last)
        hidden = until is not None
        stations = self._tally.changed_stations()
        if last is None:
            changed = nodes.all_areas()
        else:
            found = (self._definition.station(station) for station in stations)
            changed = nodes.upwards({station.area for station in found if station is not None})
        # From below: an object needs the hashes of those below it, and the tally then knows them.
        areas = {area: self._tally.area(area) for area in changed}
        log = LogHead(origin, base64.b64encode(head.root).decode(), head.size)
        whole = self._latest(number, previous, published_at, log, areas)
        latest = whole if until is None else withhold(whole, until, self._left().ref)
        return Candidate(
            number=number,
            previous=previous,
            latest=_encode(latest),
            whole=_encode(whole) if hidden else None,
            areas=[
                FeedFile(layout.area(area, hashlib.sha256(data).digest()), data, hidden)
                for area, data in areas.items()
            ],
            stations=list(self._station_files(stations, hidden=hidden)),
            decisions=self._new_listing(hidden=hidden),
            withheld=self._left().file if hidden else None,
            head=head,
            tree=self.tree,
            reasons=self._reasons,
            embargo=self._embargo,
        )

    def _new_listing(self, *, hidden: bool) -> FeedFile | None:
        """The decisions file, unless the snapshot before has named the same in the same place."""
        last, whole, listing = self._gate.last, self._gate.whole, self._listed()
        if last is not None and whole is not None:
            before = (last.embargo_until is not None, whole.decisions)
            if before == (hidden, listing.ref):
                return None
        return dataclasses.replace(listing.file, hidden=hidden)

    def _station_files(self, stations: Iterable[int], *, hidden: bool) -> Iterator[FeedFile]:
        for station in stations:
            version, data = self._tally.version(station), self._tally.station(station)
            if version is not None and data is not None:
                yield FeedFile(layout.station(station, version), data, hidden)

    def _replay(self, last: Latest, areas: Mapping[int, bytes]) -> Replayed:
        """The last snapshot again, from the log (`Gate.resume`)."""
        previous = None if last.previous is None else bytes.fromhex(last.previous)
        whole = self._latest(last.snapshot, previous, parse_time(last.published_at), last.log, areas)
        if last.embargo_until is None:
            return Replayed(whole, whole)
        return Replayed(withhold(whole, last.embargo_until, self._left().ref), whole)

    def _latest(
        self,
        number: int,
        previous: bytes | None,
        published_at: int,
        log: LogHead,
        areas: Mapping[int, bytes],
    ) -> Latest:
        """A snapshot without embargo."""
        nodes, whole, listing = self._gate.nodes, self._gate.whole, self._listed()
        root = areas.get(nodes.root) or nodes.published[nodes.root].data
        tally = reading.read_area(root, layout.LATEST)
        known = {} if whole is None else {child.area: child for child in whole.children}
        children = (
            self._child(area, areas[area]) if area in areas else known[area] for area in nodes.children
        )
        return Latest(
            children=tuple(children),
            decisions=listing.ref,
            definition=self._definition.hash.hex(),
            election=self._definition.id,
            embargo_until=None,
            format="tallygate-snapshot/1",
            headline=self._definition.headline,
            information=self._information,
            log=log,
            mode=self._definition.mode,
            paused=None,
            previous=None if previous is None else previous.hex(),
            progress=_PROGRESS.decode(self._tally.progress(nodes.root)),
            published_at=format_time(published_at),
            results=_RESULTS.decode(self._tally.results(nodes.root)),
            root=RootRef(nodes.root, hashlib.sha256(root).hexdigest()),
            roster=decisions.roster(self._decided()),
            snapshot=number,
            software=self._software,
            status=decisions.status(self._decided(), tally),
            tally=tally,
        )

    def _child(self, area: int, data: bytes) -> Child:
        return Child(
            area,
            _PROGRESS.decode(self._tally.progress(area)),
            hashlib.sha256(data).hexdigest(),
            _WITH_TURNOUT.decode(data).turnout,
        )


def _encode(latest: Latest) -> bytes:
    return _core.canonical_json(msgspec.to_builtins(latest))
