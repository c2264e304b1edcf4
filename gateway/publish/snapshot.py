"""Makes snapshots: follows the log with the tally, gathers what changed, lets the gate judge the bytes.

What lives here: `SnapshotBuilder` (`gateway.publish.protocol.Builder`). It makes the objects of the stations
that changed since the last snapshot and of the areas above them, and nothing else: a snapshot costs what has
changed, whatever the election has. It writes nothing.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from gateway import _core
from gateway.base.clock import format_time
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
from gateway.publish.gate import Candidate, Gate
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

    decisions: Decisions
    file: FeedFile
    sha256: str


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

    def offer(self, roster: _core.Roster) -> None:
        """A roster of this definition that a decision 9 may name."""
        self._tally.offer(roster)

    def offer_unusable(self, sha256: bytes) -> None:
        """The hash of a roster.json that is whole and no roster (`_core.Authority.offer_unusable`)."""
        self._tally.offer_unusable(sha256)

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
            if statement.kind == "decision":
                self._register.note(index, statement)
                self._decisions = self._listing = None
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
            self._gate.resume(latest, areas, decided, self._tally.station, self.tree.root())
        except GateError as error:
            self._failure = error
            raise
        self._tally.changed_stations()
        self._reasons = Reasons(self.size)

    def objects(self) -> Iterator[FeedFile]:
        """Every object and the decisions that the last snapshot refers to, made anew (`Builder.objects`)."""
        for number, known in self._gate.nodes.published.items():
            yield FeedFile(layout.area(number, bytes.fromhex(known.sha256)), known.data)
        yield from self._station_files(station.number for station in self._definition.stations())
        yield self._listed().file

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
        new = [] if candidate.decisions is None else [candidate.decisions]
        return Draft(
            number=number,
            sha256=hashlib.sha256(candidate.latest).digest(),
            snapshot=snapshot,
            latest=candidate.latest,
            note=self._note(snapshot, candidate.latest),
            files=[*candidate.stations, *candidate.areas, *new],
            checkpoint=None if last is not None and last.log.size == head.size else head.note.encode(),
            old_size=0 if last is None else last.log.size,
            size=head.size,
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
                paused=paused,
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
            data = decisions.encode(self._decided())
            sha256 = hashlib.sha256(data)
            file = FeedFile(layout.decisions(sha256.digest()), data)
            self._listing = _Listing(self._decided(), file, sha256.hexdigest())
        return self._listing

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
        stations = self._tally.changed_stations()
        if last is None:
            changed = nodes.all_areas()
        else:
            found = (self._definition.station(station) for station in stations)
            changed = nodes.upwards({station.area for station in found if station is not None})
        # From below: an object needs the hashes of those below it, and the tally then knows them.
        areas = {area: self._tally.area(area) for area in changed}
        listing = self._listed()
        latest = self._latest(number, previous, published_at, head, origin, areas)
        return Candidate(
            number=number,
            previous=previous,
            latest=_encode(latest),
            areas=[
                FeedFile(layout.area(area, hashlib.sha256(data).digest()), data)
                for area, data in areas.items()
            ],
            stations=list(self._station_files(stations)),
            decisions=None if last is not None and last.decisions.sha256 == listing.sha256 else listing.file,
            head=head,
            tree=self.tree,
            reasons=self._reasons,
        )

    def _station_files(self, stations: Iterable[int]) -> Iterator[FeedFile]:
        for station in stations:
            version, data = self._tally.version(station), self._tally.station(station)
            if version is not None and data is not None:
                yield FeedFile(layout.station(station, version), data)

    def _latest(
        self,
        number: int,
        previous: bytes | None,
        published_at: int,
        head: Head,
        origin: str,
        areas: Mapping[int, bytes],
    ) -> Latest:
        nodes, last, listing = self._gate.nodes, self._gate.last, self._listed()
        root = areas.get(nodes.root) or nodes.published[nodes.root].data
        tally = reading.read_area(root, layout.LATEST)
        known = {} if last is None else {child.area: child for child in last.children}
        children = (
            self._child(area, areas[area]) if area in areas else known[area] for area in nodes.children
        )
        return Latest(
            children=tuple(children),
            decisions=DecisionsRef(len(listing.decisions.decisions), listing.sha256),
            definition=self._definition.hash.hex(),
            election=self._definition.id,
            embargo_until=None,
            format="tallygate-snapshot/1",
            headline=self._definition.headline,
            information=self._information,
            log=LogHead(origin, base64.b64encode(head.root).decode(), head.size),
            mode=self._definition.mode,
            paused=None,
            previous=None if previous is None else previous.hex(),
            progress=_PROGRESS.decode(self._tally.progress(nodes.root)),
            published_at=format_time(published_at),
            results=_RESULTS.decode(self._tally.results(nodes.root)),
            root=RootRef(nodes.root, hashlib.sha256(root).hexdigest()),
            roster=decisions.roster(listing.decisions),
            snapshot=number,
            software=self._software,
            status=decisions.status(listing.decisions, tally),
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
