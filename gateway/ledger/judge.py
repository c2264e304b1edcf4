"""What becomes of each statement of a batch, decided without a store.

What lives here: duplicates in the store and inside the batch, conflicts, quotas (docs/ledger.md, "Outcomes").
A store looks up what `unknown` and `Known` ask for and writes what `judge` calls fresh.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.ledger.protocol import MAX_ROUTE, MAX_STATEMENT, Refused, Standing, Submission

# Payloads under one (device, sequence): two prove an equivocation, four leave no doubt, more would be a
# way for one stolen key to fill the log.
MAX_PAYLOADS: Final = 4

# What follows a statement's payload is its signature: two statements of one device whose bytes before it are
# equal have the same payload (docs/packet.md: the envelope of one key is fixed).
SIGNATURE: Final = 64

TOO_MANY_PAYLOADS: Final = Refused(
    "limit.device",
    f"the log already holds {MAX_PAYLOADS} different packets of this device under this sequence, which is "
    "proof enough; the device has to be taken out of service",
    "never",
)
TOO_MANY_ENTRIES: Final = Refused(
    "limit.device",
    "this certificate has uploaded as many new packets of this device as it may; another route (a courier) "
    "can bring them, or the operator raises limits.entries_per_device",
    "later",
)
TOO_MANY_BYTES: Final = Refused(
    "limit.device",
    "the log holds as many bytes of this device's packets about this station as it may: if they are not all "
    "meant, somebody has to look at the device; else the operator raises limits.station_bytes_per_device",
    "later",
)
TOO_MANY_DECISIONS: Final = Refused(
    "limit.device",
    "the log holds as many bytes of decisions of this member of the commission as it may: if somebody else "
    "has signed them, the key is stolen; else the operator raises limits.decision_bytes_per_member",
    "later",
)


@dataclass(frozen=True, slots=True)
class Known:
    """What the store holds about the statements of a batch.

    Attributes:
        payloads: of each (device, sequence) the different payloads as `payload` gives them.
        entries: how many entries each (device, route) has; it may hold others too, and is not changed.
        bytes: of the packets of each (device, station); those of a device that is far from its quota may be
            missing (`may_fill`). It may hold others too, and is not changed.
    """

    payloads: Mapping[tuple[int, int], Iterable[bytes]]
    entries: Mapping[tuple[int, str], int]
    bytes: Mapping[tuple[int, int], int]


class Place(NamedTuple):
    """Where a statement of the batch stands in the log."""

    standing: Standing
    entry: int


class Verdict(NamedTuple):
    """One answer for each statement in the batch's order, and those to append, in order, from `size` on."""

    answers: list[Place | Refused]
    fresh: list[Submission]


def may_fill(entries: int, quota: int) -> bool:
    """Whether so many packets can have more than so many bytes: else nobody need add them up."""
    return entries * MAX_STATEMENT > quota


def payload(statement: bytes) -> bytes:
    """What tells one payload of a device from another."""
    return statement[:-SIGNATURE]


@functools.lru_cache(maxsize=65_536)
def check_route(route: str) -> None:
    """Refuses what neither the store nor the follow socket could hold.

    Raises:
        ValueError: it is the caller's fault.
    """
    if not (0 < len(route) <= MAX_ROUTE and route.isascii() and route.isprintable()):
        raise ValueError(f"not a route: {route[:80]!r}")


def judge(batch: Sequence[Submission], places: Mapping[bytes, int], known: Known, size: int) -> Verdict:
    """Gives each statement its place.

    Args:
        batch: in the order in which new statements shall stand in the log.
        places: the index of each id of the batch that the log holds.
        known: what the store holds about the rest.
        size: of the log.

    Raises:
        ValueError: a route that cannot be stored.
    """
    found = dict(places)
    payloads = {key: set(these) for key, these in known.payloads.items()}
    added: dict[tuple[int, str], int] = {}
    said: dict[tuple[int, int], int] = {}
    answers: list[Place | Refused] = []
    fresh: list[Submission] = []
    for submission in batch:
        route = submission.route
        check_route(route)
        statement = submission.statement
        identity = statement.id
        index = found.get(identity)
        if index is not None:
            answers.append(Place("duplicate", index))
            continue
        standing: Standing = "accepted"
        device, station, sequence = statement.device, statement.station, statement.sequence
        if device is not None and station is not None and sequence is not None:
            mine = payload(statement.encoded)
            beside = payloads.get((device, sequence))
            if beside is not None and mine not in beside and len(beside) >= MAX_PAYLOADS:
                answers.append(TOO_MANY_PAYLOADS)
                continue
            over = device, route
            new = added.get(over, 0)
            if submission.quota is not None and known.entries.get(over, 0) + new >= submission.quota:
                answers.append(TOO_MANY_ENTRIES)
                continue
            about, most = (device, station), submission.station_bytes
            spoken = said.get(about, 0) + len(statement.encoded)
            if most is not None and known.bytes.get(about, 0) + spoken > most:
                answers.append(TOO_MANY_BYTES)
                continue
            added[over] = new + 1
            said[about] = spoken
            if beside is None:
                payloads[device, sequence] = {mine}
            elif mine not in beside:
                standing = "conflict"
                beside.add(mine)
        elif submission.quota == 0:
            answers.append(TOO_MANY_DECISIONS)
            continue
        index = size + len(fresh)
        found[identity] = index
        fresh.append(submission)
        answers.append(Place(standing, index))
    return Verdict(answers, fresh)
