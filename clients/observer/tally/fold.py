"""The tally of a log, entry by entry (docs/tally.md).

A fold: an entry looks at the stations that it touches and at nothing else, so its cost does not depend on the
number of stations; only decisions that speak about all stations look at all.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from clients.observer.tally import shares
from clients.observer.tally.areas import Areas, AreaSums
from clients.observer.tally.book import Book
from clients.observer.tally.counts import MACHINE
from clients.observer.tally.packet import PROTOCOL, RESULT, Packet
from clients.observer.tally.results import results
from clients.observer.tally.station import SILENT, Stations, View, row, station_object
from clients.wire import jcs
from clients.wire.authority import ALL, Action, Authority, Choice
from clients.wire.cbor import Content
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.jcs import JsonValue
from clients.wire.roster import Roster
from clients.wire.statement import Statement

_REPORTS: Final = {RESULT: "result", PROTOCOL: "protocol"}


class Supposed(NamedTuple):
    """What a decision would do that nobody has taken.

    Attributes:
        taken: numbers of the decisions that would be taken: it, and those that wait for it; empty: none.
        changed: of those that would come into effect or go out of it, ascending.
        stations: those that would be different, ascending.
    """

    taken: tuple[int, ...]
    changed: tuple[int, ...]
    stations: tuple[int, ...]


class Tally:
    """The tally of a log's prefix, which grows by one entry after the other.

    Memory: every packet of the prefix, and a state for every station that any entry has changed.

    Attributes:
        size: how many entries have been applied.
        authority: the commission's decisions after them.
    """

    def __init__(
        self,
        definition: Definition,
        roster: Roster,
        later_rosters: Iterable[Roster] = (),
        unusable_rosters: Iterable[bytes] = (),
    ) -> None:
        """Start before the first entry.

        Args:
            definition: the election's.
            roster: the one that decision 1 names.
            later_rosters: those that decisions 9 may name.
            unusable_rosters: SHA-256 of each `roster.json` that is whole and that `Roster.load` refuses.
        """
        self.size = 0
        self.authority = Authority(definition, roster)
        for later in later_rosters:
            self.authority.offer(later)
        for sha256 in unusable_rosters:
            self.authority.offer_unusable(sha256)
        self._definition = definition
        self._book = Book()
        self._stations = Stations(definition, self._book, self.authority)
        self._areas = Areas(definition, self._stations.ballots)
        self._views: dict[int, View] = {}
        self._versions: dict[int, int] = {}
        self._rows: dict[int, bytes] = {}

    def apply(self, statement: Statement) -> Sequence[int]:
        """Take the log's next entry; whoever reads the log has checked its signer and signature.

        Returns:
            The stations that it has changed.

        Raises:
            WireError: `roster.missing` where it takes a decision that names a roster which was not given. The
                objects stay those of the prefix before it, and nothing can be applied any more.
        """
        self._judge_rosters()
        index = self.size
        if statement.kind == "packet":
            touched = self._book.add(index, statement) & self._definition.stations.keys()
        else:
            changed = self.authority.apply(index, statement, self).changed
            self._judge_rosters()
            touched = self._touched(changed)
        different = list(self._look_again(touched, index))
        self.size += 1
        return different

    def _look_again(self, touched: Iterable[int], index: int) -> Iterator[int]:
        """Bring stations up to date; those that are different have this version then."""
        for number in touched:
            last, view = self._views.get(number, SILENT), self._stations.view(number)
            if view != last:
                self._put(number, view, index)
                yield number

    def _put(self, number: int, view: View | None, version: int | None) -> None:
        """Put a station's state in place of the one before; None: as before its first entry."""
        last = self._views.pop(number, SILENT)
        self._versions.pop(number, None)
        if view is not None and version is not None:
            self._views[number], self._versions[number] = view, version
        self._rows.pop(number, None)
        self._areas.change(number, last, view or SILENT)

    @contextlib.contextmanager
    def supposing(self, statement: Statement) -> Iterator[Supposed]:
        """In this block, this is the tally of the log with an entry more, by which a decision is taken.

        Nothing can be applied meanwhile. At the block's end all is as before, to the byte. Blocks may stand
        in one another, for decisions that follow one another.

        Args:
            statement: the decision; signer and signature are not looked at.

        Raises:
            WireError: `roster.missing` where it names a roster that was not given.
        """
        with self.authority.supposing(self.size, statement, self) as applied:
            self._judge_rosters()
            touched, revoked = self._touched(applied.changed), self._revoked(applied.changed)
            before = {number: (self._views.get(number), self._versions.get(number)) for number in touched}
            different = sorted(self._look_again(touched, self.size))
            try:
                yield Supposed(applied.taken, applied.changed, tuple(different))
            finally:
                for number in different:
                    self._put(number, *before[number])
                self._stations.posts.change(touched, revoked)

    def choosable(self, choice: Choice) -> bytes | str:
        """What the authority asks before it judges a decision 5 (`Facts.choosable`)."""
        packet = self._book.named(choice.id)
        if packet is None:
            return "the log has no packet of this id"
        if packet.station != choice.station:
            return f"the packet is of station {packet.station}"
        report = RESULT if choice.source == MACHINE else PROTOCOL
        if packet.report != report:
            return f"the packet is no {_REPORTS[report]}"
        if not packet.count(choice.contest):
            return f"the packet has no count of contest {choice.contest}"
        judgement = self._stations.judged(packet).judgement
        if not judgement.sound:
            return f"the packet breaks {' and '.join(sorted(judgement.codes & {'H100', 'H101'}))}"
        return packet.definition

    def packets(self, station: int) -> Sequence[Packet]:
        """The packets that name a station, by index."""
        return tuple(self._book.at(station))

    def view(self, station: int) -> View:
        """A station's present state."""
        return self._views.get(station, SILENT)

    def version(self, station: int) -> int | None:
        """Index of the last entry that changed a station; None if none did."""
        return self._versions.get(station)

    def station(self, number: int) -> bytes | None:
        """A station's object; None if no entry has changed the station."""
        version = self._versions.get(number)
        if version is None:
            return None
        return jcs.write_own(station_object(self._definition.sha256, number, version, self._views[number]))

    @property
    def root(self) -> int:
        """Number of the area of the whole."""
        return self._areas.root

    def area(self, number: int) -> bytes:
        """An area's object."""
        return self._areas.object(number, self._row)

    def area_sha256(self, number: int) -> bytes:
        """The hash of an area's object."""
        return self._areas.sha256(number, self._row)

    def root_sha256(self) -> bytes:
        """The hash of the root's object: of all figures."""
        return self.area_sha256(self.root)

    def release_areas(self) -> dict[int, bytes]:
        """The objects of areas made since the last call, by number; they are no longer kept here."""
        return self._areas.release()

    @property
    def areas(self) -> Iterable[int]:
        """Numbers of all areas."""
        return self._definition.areas

    @property
    def changed_stations(self) -> Iterable[int]:
        """Numbers of the stations that have an object."""
        return self._versions

    def children(self, area: int) -> Sequence[int]:
        """The areas that stand in an area, ascending."""
        return self._areas.children(area)

    def sums(self, area: int) -> AreaSums:
        """The present numbers of an area."""
        return self._areas.sums(area)

    def progress(self, area: int) -> JsonValue:
        """How far an area is."""
        return shares.progress(self._areas.sums(area))

    def results(self) -> JsonValue:
        """Shares, seats and outcome of the whole, by contest and source."""
        return results(self._definition, self._stations.ballots, self._areas)

    def _row(self, number: int) -> bytes:
        data = self._rows.get(number)
        if data is None:
            own = row(number, self._versions.get(number), self._views.get(number, SILENT))
            data = self._rows[number] = jcs.write_own(own)
        return data

    def _touched(self, changed: Iterable[int]) -> set[int]:
        """The stations that these decisions touch as they come into effect or go out of it."""
        stations = {station for action in self._actions(changed) for station in self._touched_by(action)}
        self._stations.posts.change(stations, self._revoked(changed))
        return stations

    def _revoked(self, changed: Iterable[int]) -> list[int]:
        """The devices that these decisions revoke."""
        return [
            action[1]
            for action in self._actions(changed)
            if action[0] == Action.REVOKE and isinstance(action[1], int)
        ]

    def _actions(self, changed: Iterable[int]) -> list[Content]:
        return [taken.action for number in changed if (taken := self.authority.taken(number))]

    def _touched_by(self, action: Content) -> Iterable[int]:
        """The stations that a decision speaks about."""
        match action:
            case (Action.REVOKE, int(device)):
                return self._stations.revoked_here(device)
            case (Action.ASSIGN, _, int(station), _) | (Action.CHOOSE | Action.CANCEL, int(station), *_):
                return (station,)
            case (Action.ANNUL | Action.CLOSING, int(station), _) if station != ALL:
                return (station,)
            case (Action.ANNUL | Action.CLOSING | Action.ROSTER | Action.DEFINITION, *_):
                return self._definition.stations
        return ()

    def _judge_rosters(self) -> None:
        for missing in self.authority.missing_rosters:
            raise WireError(
                "roster.missing",
                f"entry {missing.entry} takes a decision that names roster {missing.sha256.hex()}, and that "
                "roster is not here: get it, and start again",
            )
