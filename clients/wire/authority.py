"""The commission: which of its decisions are taken, void and in effect (packet.md, "Decisions").

An `Authority` is fed with the decisions of a log in their order, and answers what follows from them. Nothing
here is fast: a commission decides a few dozen times in a night, so whatever is asked is looked for among the
decisions in effect, the highest number first.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from clients.wire.cbor import Content
from clients.wire.definition import Definition
from clients.wire.roster import Roster
from clients.wire.statement import Statement


class Action(IntEnum):
    """What a decision orders."""

    OPEN = 1
    REVOKE = 2
    ASSIGN = 3
    ANNUL = 4
    CHOOSE = 5
    PAUSE = 6
    RESUME = 7
    STATUS = 8
    ROSTER = 9
    DEFINITION = 10
    CLOSING = 11
    CANCEL = 12
    UNDO = 13


# In an action: all stations or contests; in an assignment: no device is replaced.
ALL: Final = 0
NONE: Final = 0

Verdict: TypeAlias = Literal["valid", "void", "unjudged"]
Standing: TypeAlias = Literal["pending", "in effect", "undone", "void", "unjudged"]


@dataclass(frozen=True, slots=True)
class Taken:
    """A taken decision.

    Attributes:
        number: its own, from 1.
        payload: SHA-256 of its payload.
        entry: index of the log's entry at which it was taken.
        action: what it orders: the action's number and what follows.
        verdict: given once, in the state after the decision before; "unjudged" where the roster that it names
            is missing.
        why: of a void one, the rule that it breaks, as a sentence without its end; else empty.
    """

    number: int
    payload: bytes
    entry: int
    action: Content
    verdict: Verdict
    why: str = ""


class Choice(NamedTuple):
    """The packet that an action 5 names (`id`: its statement's), and for what."""

    station: int
    contest: int
    source: int
    id: bytes


class Ruling(NamedTuple):
    """What rules the count of one station, contest and source.

    Attributes:
        id: of the packet that counts, alone; None: annulled, nothing counts.
    """

    id: bytes | None


class Facts(Protocol):
    """What the commission's decisions have to know of the packets in the log before them."""

    def choosable(self, choice: Choice) -> bytes | str:
        """The definition that the packet names, if it is logged and may be chosen (tally.md).

        Whether that definition is ours or accepted is judged in `Authority`.

        Returns:
            SHA-256 of the definition; or a sentence without its end: the rule by which it may not be chosen.
        """


class NoPackets:
    """For whoever keeps no packets: nothing may be chosen. Only `Authority.ruling` can differ for it."""

    def choosable(self, choice: Choice) -> bytes | str:
        """Never."""
        del choice
        return "no packets are kept here"


class Applied(NamedTuple):
    """What an entry of the log has changed.

    Attributes:
        taken: numbers of the decisions that were taken at it.
        changed: of those that came into effect or went out of it, if only until the next number; ascending.
    """

    taken: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()


class MissingRoster(NamedTuple):
    """SHA-256 of a roster.json that is missing, and the entry at which a decision that names it was taken."""

    sha256: bytes
    entry: int


class _Complete(NamedTuple):
    """A payload that a quorum has signed."""

    number: int
    previous: bytes
    payload: bytes
    action: Content


_NO_PACKETS: Final = NoPackets()


class Authority:
    """Which decisions of a log are taken, void and in effect.

    Args:
        definition: ours.
        roster: the one that decision 1 names.
    """

    def __init__(self, definition: Definition, roster: Roster) -> None:
        self._definition = definition
        self._first = roster
        # None: the file is there, and it is no roster of this definition.
        self._rosters: dict[bytes, Roster | None] = {roster.sha256: roster}
        # The kids that have signed a payload, by number and SHA-256 of the payload; of numbers not taken yet.
        self._signers: dict[tuple[int, bytes], set[bytes]] = {}
        # In the order in which the quorum was complete.
        self._complete: list[_Complete] = []
        self._taken: list[Taken] = []
        # The highest number first.
        self._in_effect: list[Taken] = []
        self._speakers = roster
        self._missing: list[MissingRoster] = []
        self._next_index = 0

    def offer(self, roster: Roster) -> None:
        """A roster of this definition that a decision 9 may name; offer it before that one is applied."""
        self._rosters[roster.sha256] = roster

    def offer_unusable(self, sha256: bytes) -> None:
        """The hash of a roster.json that is whole, and that `Roster.load` refuses for what it says.

        A decision 9 that names it is void. A roster of which a file is missing or changed is not that.
        """
        self._rosters.setdefault(sha256, None)

    def apply(self, index: int, statement: Statement, facts: Facts = _NO_PACKETS) -> Applied:
        """Take the log's entry, which has passed `statement.check`; packets may be left out.

        Args:
            index: of the entry in the log, above the one before.
            statement: the entry.
            facts: about the entries below `index`.

        Raises:
            ValueError: the index is not above the one before.
        """
        if index < self._next_index:
            raise ValueError("a log's entries are applied in their order, each once")
        self._next_index = index + 1
        if statement.kind == "packet" or statement.definition != self._definition.sha256:
            return Applied()
        if statement.kid not in self._definition.commission or statement.number <= len(self._taken):
            return Applied()
        self._sign(statement)
        return self._take_complete(index, facts)

    @contextlib.contextmanager
    def supposing(self, index: int, statement: Statement, facts: Facts = _NO_PACKETS) -> Iterator[Applied]:
        """In this block, all is as if a quorum had signed a decision by this entry; after it, as before.

        What waits for this decision is taken with it. A decision whose number or previous does not fit is not
        taken, and nothing is changed.

        Args:
            index: of the entry, above those that were applied.
            statement: the decision; signer and signature are not looked at.
            facts: about the entries below `index`.
        """
        count, missing = len(self._taken), list(self._missing)
        before = self._signers, self._complete, self._in_effect, self._speakers
        try:
            if statement.definition == self._definition.sha256:
                payload = hashlib.sha256(statement.payload).digest()
                own = _Complete(statement.number, statement.previous, payload, statement.action)
                self._complete = [*self._complete, own]
            yield self._take_complete(index, facts)
        finally:
            self._signers, self._complete, self._in_effect, self._speakers = before
            del self._taken[count:]
            self._missing = missing

    def _take_complete(self, index: int, facts: Facts) -> Applied:
        """Take what a quorum has signed and whose turn it is."""
        numbers: list[int] = []
        changed: set[int] = set()
        while (complete := self._next()) is not None:
            before = {taken.number for taken in self._in_effect}
            self._take(index, complete, facts)
            numbers.append(complete.number)
            changed |= before ^ {taken.number for taken in self._in_effect}
        return Applied(tuple(numbers), tuple(sorted(changed)))

    def _sign(self, statement: Statement) -> None:
        payload = hashlib.sha256(statement.payload).digest()
        signers = self._signers.setdefault((statement.number, payload), set())
        if statement.kid in signers:
            return
        signers.add(statement.kid)
        if len(signers) == self._definition.quorum:
            self._complete.append(_Complete(statement.number, statement.previous, payload, statement.action))

    def _next(self) -> _Complete | None:
        """The payload that is taken now: of several that fit, the one whose quorum was complete first."""
        number = len(self._taken) + 1
        previous = self._taken[-1].payload if self._taken else b""
        fitting = (one for one in self._complete if (one.number, one.previous) == (number, previous))
        return next(fitting, None)

    def _take(self, index: int, complete: _Complete, facts: Facts) -> None:
        number, _, payload, action = complete
        verdict, why = self._judge(number, action, facts)
        self._taken.append(Taken(number, payload, index, action, verdict, why))
        self._signers = {key: signers for key, signers in self._signers.items() if key[0] > number}
        self._complete = [one for one in self._complete if one.number > number]
        self._resolve()
        if verdict != "void":
            self._change_speakers(index, action)

    def _judge(self, number: int, action: Content, facts: Facts) -> tuple[Verdict, str]:
        """Whether the decision is void, in the state after the one before it, and why."""
        match action:
            case (Action.ROSTER, bytes(sha256)) if number > 1 and sha256 not in self._rosters:
                return "unjudged", ""
            case (Action.OPEN, *_):
                why = "" if number == 1 else "only decision 1 opens a log"
            case _:
                why = "decision 1 must open the log" if number == 1 else self._objection(action, facts)
        return ("void", why) if why else ("valid", "")

    def _objection(self, action: Content, facts: Facts) -> str:
        """Why an action other than 1 is void (packet.md, "Void"), or nothing."""
        match action:
            case (Action.REVOKE, int(device)):
                return self._unknown_device(device)
            case (Action.ASSIGN, int(device), int(station), int(replaces)):
                if device == replaces:
                    return f"device {device} cannot replace itself"
                return (
                    self._unknown_device(device)
                    or self._unknown_contest(station, ALL)
                    or ("" if replaces == NONE else self._unknown_device(replaces))
                )
            case (Action.ANNUL, int(station), int(contest)):
                return self._unknown_contest(station, contest)
            case (Action.CHOOSE, int(station), int(contest), int(source), bytes(packet)):
                return self._unknown_contest(station, contest) or self._not_choosable(
                    facts.choosable(Choice(station, contest, source, packet))
                )
            case (Action.PAUSE | Action.RESUME | Action.STATUS, *_):
                return ""
            case (Action.ROSTER, bytes(sha256)):
                roster = self._rosters[sha256]
                return (
                    "it is no roster of this definition" if roster is None else _lacks(roster, self._speakers)
                )
            case (Action.DEFINITION, bytes(definition)):
                return "" if definition != self._definition.sha256 else "this definition is our own"
            case (Action.CLOSING, int(station), _):
                return self._unknown_contest(station, ALL)
            case (Action.CANCEL, int(station)):
                return self._unknown_contest(station, ALL)
            case (Action.UNDO, int(target)):
                return self._not_undoable(target)
        raise AssertionError(f"no action {action}")

    def _unknown_device(self, device: int) -> str:
        return "" if device in self._speakers.devices else f"there is no device {device} in the roster"

    def _unknown_contest(self, station: int, contest: int) -> str:
        """Why a contest is not voted on at a station, or nothing; either may be 0."""
        if station != ALL and not self._knows_station(station):
            return f"there is no station {station}"
        if contest != ALL and contest not in self._definition.contests:
            return f"there is no contest {contest}"
        if station != ALL and contest not in (ALL, *self._definition.stations[station].contests):
            return f"station {station} has no contest {contest}"
        return ""

    def _not_choosable(self, found: bytes | str) -> str:
        if isinstance(found, str):
            return found
        return "" if self.accepts(found) else "the packet names another definition, and none that is accepted"

    def _not_undoable(self, target: int) -> str:
        if target == 1:
            return "decision 1 opens the log, and nothing undoes that"
        if any(taken.number == target for taken in self._in_effect):
            return ""
        taken = self.taken(target)
        if taken is None:
            return f"decision {target} is not taken"
        return f"decision {target} is {self.standing_of(taken)} already"

    def _knows_station(self, station: int) -> bool:
        return station in self._definition.stations

    def _resolve(self) -> None:
        """Find what is in effect, from the highest number down, so that undoing an undo restores."""
        undone: set[int] = set()
        self._in_effect = []
        for taken in reversed(self._taken):
            if taken.verdict != "valid" or taken.number in undone:
                continue
            self._in_effect.append(taken)
            match taken.action:
                case (Action.UNDO, int(target)):
                    undone.add(target)

    def _change_speakers(self, index: int, action: Content) -> None:
        named = named_roster(action)
        if named is None:
            return
        roster = self._rosters.get(named)
        if roster is None:
            self._missing.append(MissingRoster(named, index))
        else:
            self._speakers = roster

    def taken(self, number: int) -> Taken | None:
        """The decision that was taken under this number."""
        return self._taken[number - 1] if 1 <= number <= len(self._taken) else None

    @property
    def taken_count(self) -> int:
        """How many numbers are taken."""
        return len(self._taken)

    def standing(self, statement: Statement) -> Standing | None:
        """How a decision's payload stands, signed by however many; None: a packet."""
        if statement.kind == "packet":
            return None
        if statement.definition != self._definition.sha256:
            return "void"
        taken = self.taken(statement.number)
        if taken is None:
            return "pending"
        if taken.payload != hashlib.sha256(statement.payload).digest():
            return "void"
        return self.standing_of(taken)

    def standing_of(self, taken: Taken) -> Standing:
        """How a taken decision stands."""
        if taken in self._in_effect:
            return "in effect"
        return "undone" if taken.verdict == "valid" else taken.verdict

    @property
    def is_open(self) -> bool:
        """Whether decision 1 is in effect; nothing undoes it."""
        return bool(self._taken) and self._taken[0].verdict == "valid"

    @property
    def speakers(self) -> Roster:
        """Who may speak: the roster that took effect last, undone or not; it holds all devices before."""
        return self._speakers

    @property
    def assignments(self) -> Roster:
        """Who stands where, as far as no decision 3 says otherwise: the newest roster in effect."""
        named = (named_roster(taken.action) for taken in self._in_effect)
        newest = next((self._rosters.get(sha256) for sha256 in named if sha256 is not None), None)
        return self._first if newest is None else newest

    @property
    def missing_rosters(self) -> tuple[MissingRoster, ...]:
        """Rosters that taken decisions name and nobody has offered: every later verdict is preliminary.

        Whoever finds one makes a new `Authority`, offers it, and applies the decisions again.
        """
        return tuple(self._missing)

    def closes_at(self, station: int) -> int | None:
        """When a station closes now, ms since the Unix epoch; None: there is no such station."""
        if not self._knows_station(station):
            return None
        for action in self._actions():
            match action:
                case (Action.CLOSING, int(named), int(closes_at)) if named in (station, ALL):
                    return closes_at
        return self._definition.stations[station].closes_at

    def is_assigned(self, device: int, station: int) -> bool:
        """Whether a device is assigned to a station now."""
        for action in self._actions():
            match action:
                case (Action.ASSIGN, int(named), int(at), int(replaces)) if at == station:
                    if device in (named, replaces):
                        return device == named
        listed = self.assignments.devices.get(device)
        return listed is not None and station in listed.stations

    def stations(self, device: int) -> tuple[int, ...]:
        """The stations that a device is assigned to now, ascending."""
        listed = self.assignments.devices.get(device)
        candidates = set(listed.stations if listed else ())
        for action in self._actions():
            match action:
                case (Action.ASSIGN, int(named), int(station), _) if named == device:
                    candidates.add(station)
        return tuple(sorted(station for station in candidates if self.is_assigned(device, station)))

    def reassigned(self, station: int) -> dict[int, bool]:
        """Of which devices a decision 3 in effect says whether they are assigned to the station."""
        found: dict[int, bool] = {}
        for action in self._actions():
            match action:
                case (Action.ASSIGN, int(device), int(at), int(replaces)) if at == station:
                    found.setdefault(device, True)
                    if replaces != NONE:
                        found.setdefault(replaces, False)
        return found

    def revocations(self, device: int) -> tuple[int, ...]:
        """Numbers of the decisions 2 in effect that name a device, ascending."""
        return tuple(
            reversed([one.number for one in self._in_effect if one.action == (Action.REVOKE, device)])
        )

    def revoked_at(self, device: int) -> int | None:
        """The entry at which the earliest revocation in effect was taken: packets above it do not belong."""
        entries = (self._taken[number - 1].entry for number in self.revocations(device))
        return min(entries, default=None)

    def ruling(self, station: int, contest: int, source: int) -> Ruling | None:
        """What the commission has ruled for the count of a station's contest in one source."""
        for action in self._actions():
            match action:
                case (Action.ANNUL, int(at), int(of)) if at in (station, ALL) and of in (contest, ALL):
                    return Ruling(None)
                case (Action.CHOOSE, int(at), int(of), int(by), bytes(packet)):
                    if (at, of, by) == (station, contest, source):
                        return Ruling(packet)
        return None

    def is_cancelled(self, station: int) -> bool:
        """Whether there is no voting at a station."""
        return (Action.CANCEL, station) in self._actions()

    def accepts(self, definition: bytes) -> bool:
        """Whether packets that name this definition are read: ours, or one of a decision 10 in effect."""
        return definition == self._definition.sha256 or (Action.DEFINITION, definition) in self._actions()

    @property
    def pause(self) -> int | None:
        """Number of the decision 6 by which publication is paused; None: it is not."""
        for taken in self._in_effect:
            if taken.action[0] in (Action.PAUSE, Action.RESUME):
                return taken.number if taken.action[0] == Action.PAUSE else None
        return None

    @property
    def is_paused(self) -> bool:
        """Whether the commission has paused publication."""
        return self.pause is not None

    def status(self, source: int) -> int | None:
        """The status word of a source, 0 … 5 in the order of docs/tally.md, if one is set."""
        for action in self._actions():
            match action:
                case (Action.STATUS, int(of), int(status)) if of == source:
                    return status
        return None

    def about_station(self, station: int) -> tuple[int, ...]:
        """Numbers of the actions 3, 4, 5, 11 and 12 in effect that name a station or all, ascending."""
        numbers: list[int] = []
        for taken in self._in_effect:
            match taken.action:
                case (Action.ASSIGN, _, int(named), _):
                    names = named == station
                case (Action.ANNUL | Action.CHOOSE | Action.CLOSING | Action.CANCEL, int(named), *_):
                    names = named in (station, ALL)
                case _:
                    names = False
            if names:
                numbers.append(taken.number)
        return tuple(reversed(numbers))

    def _actions(self) -> Iterator[Content]:
        """What the decisions in effect order; where several say the same thing, the first of them rules."""
        return (taken.action for taken in self._in_effect)


def named_roster(action: Content) -> bytes | None:
    """SHA-256 of the roster.json that an action names: 1 and 9 do."""
    match action:
        case (Action.OPEN, _, _, _, bytes(sha256), _) | (Action.ROSTER, bytes(sha256)):
            return sha256
    return None


def _lacks(roster: Roster, before: Roster) -> str:
    """Which device of another roster this one has not with the same key and kind, or nothing."""
    for number, device in before.devices.items():
        own = roster.devices.get(number)
        if own is None:
            return f"the roster lacks device {number}, and a roster holds all devices before it"
        if (own.key, own.kind) != (device.key, device.kind):
            return f"the roster gives device {number} another key or kind"
    return ""
