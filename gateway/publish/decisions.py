"""The commission's decisions as the feed lists them, and what latest.json says because of them.

docs/feed.md has both. What lives here: `Register`, which gathers the decisions of the log, each payload once;
and the questions that a listing answers: who opened the log, whether publication is paused, which roster and
status words hold. How a decision stands is asked of the tally: only who keeps all packets can judge an action
5 (docs/packet.md).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from gateway import _core
from gateway.base.clock import MAX_TIME, format_time
from gateway.election.keys import kid_of
from gateway.feed.models import Decision, Decisions, Paused, Standing, Status, StatusWord, Text
from gateway.feed.objects import Area, RowT, Sums

# Numbers of actions (docs/packet.md).
_OPEN: Final = 1
_PAUSE: Final = 6
_RESUME: Final = 7
_STATUS: Final = 8
_ROSTER: Final = 9

# NIST SP 1500-100, by the numbers of decision 8.
_STATUS_WORDS: Final[tuple[StatusWord, ...]] = (
    "pre-election",
    "unofficial-partial",
    "unofficial-complete",
    "certified",
    "correction",
    "recount",
)
_MACHINE: Final = 1
_PROTOCOL: Final = 2


class Opening(NamedTuple):
    """What decision 1 says of the log; keys are Ed25519 public keys."""

    origin: str
    log_key: bytes
    snapshot_key: bytes


@dataclass(frozen=True, slots=True)
class _Noted:
    """A payload: a statement that has it, what it says, indexes of all that have it, who has signed (hex)."""

    statement: _core.Statement
    said: Decision
    entries: list[int] = field(default_factory=list)
    signers: set[str] = field(default_factory=set)


class Register:
    """The decisions of a log's prefix, each payload once."""

    def __init__(self, definition: _core.Definition) -> None:
        self._definition = definition.hash.hex()
        self._members = {kid_of(key): key.hex() for key in definition.commission_keys}
        self._noted: dict[bytes, _Noted] = {}

    def note(self, index: int, statement: _core.Statement) -> None:
        """Takes an entry of the log that is a decision; indexes ascend."""
        noted = self._noted.get(statement.payload)
        if noted is None:
            noted = self._noted[statement.payload] = _Noted(statement, _read(statement))
        noted.entries.append(index)
        noted.signers.add(self._members[statement.kid])

    def listing(self, standing: Callable[[_core.Statement], Standing]) -> Decisions:
        """All of them, as they stand now."""
        listed = [
            msgspec.structs.replace(
                noted.said,
                entries=tuple(noted.entries),
                signers=tuple(sorted(noted.signers)),
                state=standing(noted.statement),
            )
            for noted in self._noted.values()
        ]
        listed.sort(key=lambda decision: (decision.number, decision.entries[0]))
        return Decisions(tuple(listed), self._definition, "tallygate-decisions/1")


def encode(listing: Decisions) -> bytes:
    """The bytes of the decisions file."""
    return _core.canonical_json(msgspec.to_builtins(listing))


def _read(statement: _core.Statement) -> Decision:
    """What a payload says; who has signed it and how it stands is asked anew each time."""
    match statement.content:
        case (_, _, int(number), int(decided_at), tuple(reason), tuple(action)):
            return Decision(
                action=tuple(_shown(part) for part in action if not isinstance(part, tuple)),
                decided_at=decided_at,
                entries=(),
                number=number,
                payload=hashlib.sha256(statement.payload).hexdigest(),
                reason=tuple(_texts(reason)),
                signers=(),
                state="pending",
            )
    raise ValueError("this statement is no decision")


def _shown(part: int | str | bytes) -> int | str:
    return part.hex() if isinstance(part, bytes) else part


def _texts(reason: tuple[object, ...]) -> Iterator[Text]:
    for text in reason:
        match text:
            case (str(language), str(words)):
                yield language, words


def opening(listing: Decisions) -> Opening | None:
    """Decision 1, if it is in effect."""
    match _highest(listing, _OPEN):
        case Decision(action=(_, str(origin), str(log_key), str(snapshot_key), _, _)):
            return Opening(origin, bytes.fromhex(log_key), bytes.fromhex(snapshot_key))
    return None


def roster(listing: Decisions) -> str:
    """The hash of the newest roster in effect, hex; "" before decision 1 is in effect."""
    match _highest(listing, _OPEN, _ROSTER):
        case Decision(action=(int(action), _, _, _, str(sha256), _)) if action == _OPEN:
            return sha256
        case Decision(action=(_, str(sha256))):
            return sha256
    return ""


def paused(listing: Decisions) -> Paused | None:
    """The commission's pause, if one is in effect."""
    ruling = _highest(listing, _PAUSE, _RESUME)
    if ruling is None or ruling.action[0] != _PAUSE:
        return None
    return Paused("commission", ruling.reason, format_time(min(ruling.decided_at, MAX_TIME)))


def status(listing: Decisions, root: Area[RowT]) -> Status:
    """The words of both sources, from the decisions and the root's object."""
    machine = _word(listing, _MACHINE, [contest.machine for contest in root.contests])
    return Status(machine, _word(listing, _PROTOCOL, [contest.protocol for contest in root.contests]))


def _word(listing: Decisions, source: int, contests: Sequence[Sums]) -> StatusWord:
    ruling = _highest(listing, _STATUS, source=source)
    if ruling is not None:
        match ruling.action:
            case (_, _, int(number)):
                return _STATUS_WORDS[number]
    if not any(sums.counted + sums.held + sums.partial for sums in contests):
        return "pre-election"
    if not any(sums.silent + sums.partial + sums.held for sums in contests):
        return "unofficial-complete"
    return "unofficial-partial"


def _highest(listing: Decisions, *actions: int, source: int | None = None) -> Decision | None:
    """The decision in effect with the highest number among these actions."""
    for decision in reversed(listing.decisions):
        asked = decision.action[0] in actions and (source is None or decision.action[1] == source)
        if asked and decision.state == "in effect":
            return decision
    return None
