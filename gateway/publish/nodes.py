"""The gate's rules about objects: the stations that changed, and the areas above them up to the root.

What lives here: `Reasons`, which entries may change a station, and `Nodes`, which holds new objects against
the ones that were let through before (docs/feed.md, "The gate": form, hash, parent, rows, turnout, states,
row, reason). Whoever calls it commits what it found only if every other rule holds too.

A station that did not change has the row that was judged when it did; so sums are judged by what was added to
them, and the cost goes with the changed stations and the bytes of their areas. Memory: the last objects of
all areas (a row has about 250 bytes) and the turnouts of the stations that have one.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import msgspec

from gateway import _core
from gateway.feed import layout, reading
from gateway.feed.objects import Area, Row, Station, StationTurnout
from gateway.publish import sums
from gateway.publish.protocol import FeedFile, GateError
from gateway.publish.sums import Electorate, Table

_SILENT: Final = StationTurnout((), None)

# An area with its rows unread: most of them are those of the snapshot before.
Rows: TypeAlias = Area[msgspec.Raw]

_AREA: Final = msgspec.json.Decoder(Area[msgspec.Raw])
_ROW: Final = msgspec.json.Decoder(Row)
_TURNOUT: Final = msgspec.json.Decoder(StationTurnout)
_ENCODER: Final = msgspec.json.Encoder()


class Reasons:
    """The entries of a snapshot's range: the first that names each station, the first decision.

    Args:
        first: index of the first entry of the range.
    """

    def __init__(self, first: int) -> None:
        self.first: Final = first
        self._stations: dict[int, int] = {}
        self._decision: int | None = None

    def note(self, index: int, station: int | None) -> None:
        """Takes an entry: a packet that names a station; None: a decision. Indexes ascend."""
        if station is not None:
            self._stations.setdefault(station, index)
        elif self._decision is None:
            self._decision = index

    def up_to(self, version: int, station: int) -> bool:
        """Whether one of the entries up to `version` may change what counts at the station."""
        firsts = (self._stations.get(station), self._decision)
        return any(index is not None and index <= version for index in firsts)


class Known(NamedTuple):
    """The bytes of an area's object, and their SHA-256, hex."""

    data: bytes
    sha256: str


@dataclass(slots=True)
class Judged:
    """New objects, and what is found out about them.

    Attributes:
        stations: objects of stations by number.
        areas: objects of areas by number.
        objects: their bytes.
        progress: by how much the states of `progress` differ from the last snapshot's: of the root, and of
            each of its areas.
        turnouts: those of stations that differ.
        deltas: by how much the numbers of an area differ from the last snapshot's.
    """

    stations: dict[int, Station] = field(default_factory=dict)
    areas: dict[int, Rows] = field(default_factory=dict)
    objects: dict[int, Known] = field(default_factory=dict)
    progress: dict[int, Table] = field(default_factory=dict)
    turnouts: dict[int, StationTurnout] = field(default_factory=dict)
    deltas: dict[int, Table] = field(default_factory=dict)


class Nodes:
    """The objects that are published, and the rules for those that follow on them.

    Args:
        definition: the election's.
    """

    def __init__(self, definition: _core.Definition) -> None:
        self._definition = definition
        self._hash = definition.hash.hex()
        self._headline = 1 if definition.headline == "machine" else 2
        self._choices = {one.number: len(definition.choices(one.number)) for one in definition.contests}
        parents = {area.number: area.parent for area in definition.areas}
        self._children: dict[int, list[int]] = {number: [] for number in parents}
        for number in sorted(parents):
            parent = parents[number]
            if parent is not None:
                self._children[parent].append(number)
        self._parents = parents
        self.root: Final = next(number for number, parent in parents.items() if parent is None)
        # From the root down: each area stands behind its parent.
        self._order: dict[int, int] = {}
        waiting = [self.root]
        while waiting:
            number = waiting.pop()
            self._order[number] = len(self._order)
            waiting.extend(self._children[number])
        # Of each area the one right below the root in which it stands.
        self._regions: dict[int, int] = {}
        for number in self._order:
            parent = parents[number]
            top = parent is None or parent == self.root
            self._regions[number] = number if top else self._regions[parent or self.root]
        self._known: dict[int, Known] = {}
        # As published: canonical bytes are smaller than objects.
        self._turnouts: dict[int, bytes] = {}

    @property
    def children(self) -> Sequence[int]:
        """The root's areas, ascending."""
        return self._children[self.root]

    def upwards(self, areas: Iterable[int]) -> list[int]:
        """These areas and all above them, each once, an area before its parent."""
        found: set[int] = set()
        for start in areas:
            number: int | None = start
            while number is not None and number not in found:
                found.add(number)
                number = self._parents[number]
        return sorted(found, key=self._order.__getitem__, reverse=True)

    def all_areas(self) -> list[int]:
        """All areas, an area before its parent."""
        return self.upwards(self._parents)

    @property
    def published(self) -> Mapping[int, Known]:
        """The objects of areas that were let through last; empty before the first snapshot."""
        return self._known

    def at_level(self, level: str, judged: Judged) -> Iterator[Rows]:
        """The objects of the areas of a level: new ones, and else those that were let through last."""
        for area in self._definition.areas:
            known = judged.objects.get(area.number) or self._known.get(area.number)
            if area.level == level and known is not None:
                yield judged.areas.get(area.number) or _AREA.decode(known.data)

    # --- After a restart

    def resume(self, areas: Mapping[int, bytes], station: Callable[[int], bytes | None]) -> None:
        """Takes objects as published; whether they are is the caller's: the hash of the root says it.

        Args:
            areas: the objects of all areas.
            station: gives the object of a station.

        Raises:
            GateError: rules ``hash`` and ``row``.
        """
        known = {number: Known(data, _sha256(data)) for number, data in areas.items()}
        turnouts: dict[int, bytes] = {}
        for number, one in known.items():
            area = _AREA.decode(one.data)
            if area.areas != tuple((child, known[child].sha256) for child in self._children[number]):
                raise GateError("hash", number, None, "it does not name its areas by their hashes")
            if area.turnout.stations or area.cancelled:
                turnouts.update(self._stations_turnouts(area, station))
        self._known, self._turnouts = known, turnouts

    def _stations_turnouts(
        self, area: Rows, station: Callable[[int], bytes | None]
    ) -> Iterator[tuple[int, bytes]]:
        for row in map(_ROW.decode, area.rows):
            if row.version is None:
                continue
            data = station(row.station)
            if data is None:
                raise GateError("row", area.area, row.station, "its row has a version, and it has no object")
            turnout = reading.read_station(data, layout.station(row.station, row.version)).turnout
            if turnout != _SILENT:
                yield row.station, _ENCODER.encode(turnout)

    # --- Reading back

    def read(self, areas: Iterable[FeedFile], stations: Iterable[FeedFile]) -> Judged:
        """Reads objects back from the bytes that are about to be written.

        Raises:
            GateError: rule ``form``.
            TallygateError: ``feed.malformed``: the same rule.
        """
        judged = Judged()
        for file in stations:
            station = reading.read_station(file.data, file.path)
            self._stands_at(file, layout.station(station.station, station.version), station.definition)
            judged.stations[station.station] = station
        for file in areas:
            area = reading.read(file.data, _AREA, file.path)
            known = Known(file.data, _sha256(file.data))
            self._stands_at(file, layout.area(area.area, bytes.fromhex(known.sha256)), area.definition)
            if area.area not in self._parents:
                raise GateError("form", area.area, None, "there is no such area")
            judged.areas[area.area] = area
            judged.objects[area.area] = known
        return judged

    def _stands_at(self, file: FeedFile, path: str, definition: str) -> None:
        if file.path != path or definition != self._hash:
            raise GateError("form", None, None, f"{file.path} is another file than its name says")

    # --- The rules

    def judge(self, judged: Judged, reasons: Reasons, size: int) -> None:
        """Holds the new objects against the published ones.

        Args:
            judged: what `read` has given; what is found out is noted in it.
            reasons: the entries since the last snapshot.
            size: of the log.

        Raises:
            GateError: rules ``form``, ``hash``, ``parent``, ``rows``, ``turnout``, ``states``, ``row``,
                ``reason``.
        """
        used: set[int] = set()
        stations = {} if self._known else self._stations_by_area()
        for number in sorted(judged.areas, key=self._order.__getitem__, reverse=True):
            area = judged.areas[number]
            before = self._known.get(number)
            old = None if before is None else _AREA.decode(before.data)
            self._contests(area, old)
            expected = self._from_areas(judged, area)
            for row, last in self._changed_rows(area, old, stations.get(number, [])):
                used.add(row.station)
                sums.add(expected, self._from_row(judged, area, row, last, reasons, size))
            delta = sums.difference(_table(area), {} if old is None else _table(old))
            self._compare(area, delta, expected)
            judged.deltas[number] = delta
        for number in judged.areas:
            parent = self._parents[number]
            if parent is not None and parent not in judged.areas:
                raise GateError("hash", parent, None, f"its area {number} has changed, and it has not")
        for number in judged.stations.keys() - used:
            raise GateError("row", None, number, "its object is new, its area's row is not")

    def commit(self, judged: Judged) -> None:
        """Remembers objects that have been let through."""
        self._known.update(judged.objects)
        for number, turnout in judged.turnouts.items():
            self._turnouts[number] = _ENCODER.encode(turnout)

    def _stations_by_area(self) -> dict[int, list[int]]:
        """What the definition says; asked for the first snapshot only."""
        found: dict[int, list[int]] = {}
        for station in self._definition.stations():
            found.setdefault(station.area, []).append(station.number)
        return found

    def _contests(self, area: Rows, old: Rows | None) -> None:
        """Whether an area's contests are what they were, have a vote a choice, and states that add up."""
        expected = self._definition.stations_in(area.area)
        if area.stations + area.cancelled != expected:
            raise GateError("states", area.area, None, f"it has {expected} stations, expected and cancelled")
        contests = [contest.contest for contest in area.contests]
        if old is not None and contests != [contest.contest for contest in old.contests]:
            raise GateError("form", area.area, None, "its contests are others than before")
        for contest in area.contests:
            for of in (contest.machine, contest.protocol):
                if len(of.votes) != self._choices.get(contest.contest):
                    raise GateError("form", area.area, None, f"contest {contest.contest} has other choices")
                states = of.silent + of.partial + of.reported + of.held + of.disputed + of.annulled
                if states != contest.stations or of.counted != of.reported + of.disputed:
                    raise GateError(
                        "states",
                        area.area,
                        None,
                        f"the states of contest {contest.contest} are not those of its stations",
                    )

    def _from_areas(self, judged: Judged, area: Rows) -> Table:
        """What an area's own areas have added to it."""
        children = self._children[area.area]
        known = [judged.objects.get(child) or self._known.get(child) for child in children]
        named = tuple((child, one.sha256) for child, one in zip(children, known, strict=True) if one)
        if area.areas != named:
            raise GateError("hash", area.area, None, "it does not name its areas by their hashes")
        added: Table = {}
        for child in children:
            sums.add(added, judged.deltas.get(child, {}))
        return added

    def _changed_rows(
        self, area: Rows, old: Rows | None, stations: Sequence[int]
    ) -> Iterator[tuple[Row, Row | None]]:
        """The rows that differ, each with the one that it replaces; all of the first snapshot."""
        if old is None:
            rows = [self._row(area, raw) for raw in area.rows]
            if [row.station for row in rows] != sorted(stations):
                raise GateError("row", area.area, None, "its rows are not its stations")
            yield from ((row, None) for row in rows)
            return
        if len(area.rows) != len(old.rows):
            raise GateError("row", area.area, None, "its rows are not its stations")
        for raw, last in zip(area.rows, old.rows, strict=True):
            if raw != last:
                yield self._row(area, raw), _ROW.decode(last)

    def _row(self, area: Rows, raw: msgspec.Raw) -> Row:
        try:
            row = _ROW.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise GateError("form", area.area, None, f"a row: {error}") from None
        if _ENCODER.encode(row) != bytes(raw):
            raise GateError("form", area.area, row.station, "its row is not canonical")
        return row

    def _from_row(
        self, judged: Judged, area: Rows, row: Row, last: Row | None, reasons: Reasons, size: int
    ) -> Table:
        """What a station has added to its area."""
        number = row.station
        found = self._definition.station(number)
        if found is None or (last is not None and last.station != number):
            raise GateError("row", area.area, number, "its rows are not its stations")
        electorate = Electorate(found.registered, found.contests)
        station = judged.stations.get(number)
        turnout, old_turnout = _SILENT, _SILENT
        if row.version is None:
            if last is not None or (row.opened, row.cancelled, row.codes, row.counts) != (0, 0, (), ()):
                raise GateError("row", area.area, number, "its row has no version, and says something")
        elif station is None:
            raise GateError("row", area.area, number, "its row is new, its object is not")
        else:
            turnout = station.turnout
            if number in self._turnouts:
                old_turnout = _TURNOUT.decode(self._turnouts[number])
            self._repeats(area, row, station)
            self._reason(area, row, last, turnout != old_turnout, reasons, size)
            if turnout != old_turnout:
                judged.turnouts[number] = turnout
        added = sums.difference(
            _of_station(row, electorate, turnout),
            {} if last is None else _of_station(last, electorate, old_turnout),
        )
        self._note_progress(judged, area.area, row, last, electorate)
        return added

    def _repeats(self, area: Rows, row: Row, station: Station) -> None:
        """Whether a row is what its station's object says."""
        counts = tuple((one.contest, one.source, one.state, one.figures, one.votes) for one in row.counts)
        said = tuple((one.contest, one.source, one.state, one.figures, one.votes) for one in station.counts)
        of_row = (row.version, row.opened, row.cancelled, row.codes, counts)
        if of_row != (station.version, station.opened, station.cancelled, station.codes, said):
            raise GateError("row", area.area, row.station, "its row is not what its object says")

    def _reason(
        self, area: Rows, row: Row, last: Row | None, came: bool, reasons: Reasons, size: int
    ) -> None:
        """Whether the log gives a reason for what has changed at a station."""
        version, old = row.version, None if last is None else last.version
        if version is None or not reasons.first <= version < size or (old is not None and version <= old):
            raise GateError(
                "reason", area.area, row.station, "its version is no entry behind the last snapshot"
            )
        says = (row.opened, row.cancelled, row.counts)
        said = (0, 0, ()) if last is None else (last.opened, last.cancelled, last.counts)
        if (came or says != said) and not reasons.up_to(version, row.station):
            raise GateError("reason", area.area, row.station, "no entry that names it, and no decision")

    def _note_progress(
        self, judged: Judged, area: int, row: Row, last: Row | None, electorate: Electorate
    ) -> None:
        added: Table = {}
        for one, sign in ((row, 1), (last, -1)):
            if one is not None and not one.cancelled:
                sums.add(added, {(sums.worst(one, electorate, self._headline),): sign})
        for number in {self._regions[area], self.root}:
            sums.add(judged.progress.setdefault(number, {}), added)

    def _compare(self, area: Rows, delta: Table, expected: Table) -> None:
        """Whether an area's numbers have changed by what was added to it."""
        differing = sums.first_difference(delta, expected)
        if differing is None:
            return
        of_rows = "turnout" if differing[0] in sums.TURNOUT else "rows"
        rule = "parent" if area.areas else of_rows
        detail = f"{sums.words(differing)} is not the sum of what is below"
        raise GateError(rule, area.area, None, detail)


def _table(area: Rows) -> Table:
    try:
        return sums.of_area(area)
    except ValueError as error:
        raise GateError("form", area.area, None, str(error)) from None


def _of_station(row: Row, electorate: Electorate, turnout: StationTurnout) -> Table:
    added = sums.of_row(row, electorate)
    return added if row.cancelled else added | sums.of_turnout(turnout)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
