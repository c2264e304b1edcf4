"""What the commission has decided so far, as the door needs it: roster, closing times, assignments.

What lives here: `Council`, which feeds `gateway._core.Authority` from the committed log and nothing else: at
start with every decision of the ledger, then with those of each batch. Any other gateway with this log and
these roster folders stands at the same point.

A roster that a decision 9 names is looked for in `rosters/<SHA-256 of its roster.json>` of the night. While
it is missing the old one stays in force; an operator puts the folder there and sends SIGHUP.

One thread at a time (the sequencer's) changes a council; others may ask meanwhile: `_core.Authority` has a
lock of its own, and what is replaced here is replaced as a whole.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from gateway import _core
from gateway.base.errors import CoreError, TallygateError
from gateway.base.logs import Log
from gateway.base.metrics import IngestMetrics
from gateway.ledger.protocol import Ledger

# Numbers of actions (docs/packet.md).
_OPEN: Final = 1
_NEW_ROSTER: Final = 9

# What is wrong with a folder and not with the roster that its manifest names.
_NOT_WHOLE: Final = frozenset({"manifest.missing", "table.missing", "table.changed"})


@dataclass(frozen=True, slots=True)
class Decision:
    """A committed entry of the log that is a decision's signature."""

    index: int
    statement: _core.Statement


class Unusable(NamedTuple):
    """A roster that is whole and that no reader takes: a decision 9 that names it is void for everybody."""

    words: str


class Assigned(NamedTuple):
    """A station that a device is assigned to now, and when it closes, ms."""

    station: int
    closes_at: int


class Posted(NamedTuple):
    """A device of a station; `revoked`: a decision 2 in effect names it."""

    device: _core.Device
    revoked: bool


class Council:
    """Made in a thread: it reads the ledger and roster folders.

    Args:
        ledger: open; its decisions are read now and after a fault.
        definition: the night's.
        roster: of the night's folder `roster`.
        rosters: the night's folder `rosters`; it need not exist.
        log: is told of rosters that are found, missing or refused.
        metrics: of which `missing_rosters` is set here.

    Raises:
        TallygateError: ``roster.missing``, the log was opened with another roster, which is not here.
        LedgerFailedError: the ledger cannot be read.
    """

    def __init__(
        self,
        ledger: Ledger,
        definition: _core.Definition,
        roster: _core.Roster,
        rosters: Path,
        *,
        log: Log,
        metrics: IngestMetrics,
    ) -> None:
        self._ledger = ledger
        self.definition: Final = definition
        self._first = roster
        self._folder = rosters
        self._log = log
        self._metrics = metrics
        # Those on this machine that the log may name, by hash. Read once: a roster never changes.
        self._known: dict[bytes, _core.Roster | Unusable] = {roster.hash: roster}
        self._spoken: Counter[bytes] = Counter()
        self._behind = False
        self._missing: frozenset[bytes] = frozenset()
        self._authority = self._from_the_log()
        self.roster: _core.Roster = self._authority.roster
        self._tell()

    def spoken(self, member: bytes) -> int:
        """Bytes of the decisions in the log that the member with this kid has signed."""
        return self._spoken[member]

    def closes_at(self, station: int) -> int | None:
        """The station's closing time now, ms; None: there is no such station."""
        return self._authority.closes_at(station)

    def assigned(self, device: int) -> tuple[Assigned, ...]:
        """The stations that the device is assigned to now, ascending."""
        authority = self._authority
        closing = ((station, authority.closes_at(station)) for station in authority.stations(device))
        return tuple(Assigned(station, at) for station, at in closing if at is not None)

    def posted(self, station: int) -> tuple[Posted, ...]:
        """The devices that are assigned to the station now, ascending; reads the whole roster."""
        authority, definition = self._authority, self.definition
        said = dict(authority.reassigned(station))
        found = [
            device
            for device in authority.assignments.devices()
            if said.get(
                device.number,
                station in device.stations
                or (device.area is not None and definition.holds(device.area, station)),
            )
        ]
        return tuple(Posted(one, authority.revoked_at(one.number) is not None) for one in found)

    def is_cancelled(self, station: int) -> bool:
        """Whether a decision 12 in effect names the station."""
        return self._authority.is_cancelled(station)

    def learn(self, decisions: Sequence[Decision]) -> None:
        """Takes decisions that have just been committed, in the log's order.

        If it raises, or something before them was missed, what they change is learned with the next
        `catch_up`.
        """
        if self._behind:
            return
        self._behind = True
        for one in decisions:
            self._apply(self._authority, one)
        self._tell()
        self._behind = False

    def doubt(self) -> None:
        """Says that the log may hold decisions that were not learned."""
        self._behind = True

    def catch_up(self) -> None:
        """Reads the log again if something may have been missed; costs nothing otherwise.

        Raises:
            LedgerFailedError: the ledger cannot be read.
        """
        if self._behind:
            self._replace()

    def look_for_rosters(self) -> None:
        """Looks again for the rosters that are missing, and reads the log again with those found.

        Raises:
            LedgerFailedError: the ledger cannot be read.
        """
        found = [self._find(missing) for missing in self._authority.missing_rosters]
        if any(one is not None for one in found):
            self._replace()

    def _replace(self) -> None:
        self._authority = self._from_the_log()
        self._tell()
        self._behind = False

    def _from_the_log(self) -> _core.Authority:
        """The state after every decision of the log."""
        decisions = [Decision(one.index, _core.decode(one.statement)) for one in self._ledger.decisions()]
        authority = _core.Authority(self.definition, self._opened_with(decisions))
        self._spoken.clear()
        for one in decisions:
            self._apply(authority, one)
        return authority

    def _apply(self, authority: _core.Authority, decision: Decision) -> None:
        match decision.statement.content[5]:
            case (int(action), bytes() as wanted) if action == _NEW_ROSTER:
                roster = self._find(wanted)
                if isinstance(roster, _core.Roster):
                    authority.offer(roster)
                elif roster is not None:
                    authority.offer_unusable(wanted)
        authority.apply(decision.index, decision.statement)
        self._spoken[decision.statement.kid] += len(decision.statement.encoded)

    def _opened_with(self, decisions: Iterable[Decision]) -> _core.Roster:
        """The roster that decision 1 names, which is the log's first entry; before it the night's."""
        for one in decisions:
            match one.statement.content[5]:
                case (int(action), _, _, _, bytes() as wanted, _) if action == _OPEN:
                    roster = self._find(wanted)
                    if not isinstance(roster, _core.Roster):
                        raise TallygateError(
                            "roster.missing",
                            f"the log was opened with the roster {wanted.hex()}, the night's is another: put "
                            "the folder of that one here, under this name",
                            place=str(self._folder),
                        )
                    return roster
        return self._first

    def _find(self, wanted: bytes) -> _core.Roster | Unusable | None:
        """A roster of this machine by its hash; None: it is not here, or not whole."""
        found = self._known.get(wanted)
        if found is not None:
            return found
        folder = self._folder / wanted.hex()
        try:
            found = read_roster(folder, wanted, self.definition)
        except FileNotFoundError:
            return None
        except (TallygateError, OSError) as error:
            self._log("roster.refused", roster=wanted.hex(), words=str(error))
            return None
        self._known[wanted] = found
        if isinstance(found, Unusable):
            self._log("roster.refused", roster=wanted.hex(), words=found.words)
        else:
            self._log("roster.offered", roster=wanted.hex(), devices=found.device_count)
        return found

    def _tell(self) -> None:
        """Publishes what has changed; says once of each roster that it is missing."""
        roster = self._authority.roster
        if roster.hash != self.roster.hash:
            self.roster = roster
        missing = frozenset(self._authority.missing_rosters)
        for one in sorted(missing - self._missing):
            self._log("roster.missing", roster=one.hex(), place=str(self._folder / one.hex()))
        self._missing = missing
        self._metrics.missing_rosters.set(len(missing))


def read_roster(folder: Path, wanted: bytes, definition: _core.Definition) -> _core.Roster | Unusable:
    """Reads the folder of a roster.

    Raises:
        TallygateError: ``roster.hash``, or a table is missing or not the one that the manifest names.
        OSError: it cannot be read; FileNotFoundError: it is not there.
    """
    with (folder / "roster.json").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").digest()
    if found != wanted:
        raise TallygateError(
            "roster.hash", f"this is the roster {found.hex()}", place=str(folder / "roster.json")
        )
    try:
        return _core.Roster.load(folder, definition)
    except CoreError as error:
        if error.code in _NOT_WHOLE:
            raise
        return Unusable(str(error))
