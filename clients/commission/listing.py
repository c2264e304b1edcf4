"""All decisions of a log as people read them: number, standing, what and why, who has signed."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from clients.box import show, times
from clients.box.show import Line
from clients.commission.feedlog import FeedLog
from clients.commission.sentences import sentence
from clients.terminal import Json
from clients.wire.feed import Listed
from clients.wire.statement import Statement


class Known(NamedTuple):
    """One payload, signed by anybody.

    Attributes:
        number: the decision's.
        standing: in effect, pending, void or undone.
        why: it is void or cannot be taken any more, or nothing.
        says: what it orders.
        reasons: language and text.
        members: who has signed, ascending.
        listed: as the feed lists it.
        entry: at which it was taken, or None.
    """

    number: int
    standing: str
    why: str
    says: str
    reasons: tuple[tuple[str, str], ...]
    members: tuple[int, ...]
    listed: Listed
    entry: int | None


def known(log: FeedLog) -> list[Known]:
    """Every payload of a log by its number, then by its first entry."""
    ordered = sorted(log.decisions, key=lambda listed: (listed.number, listed.entries[0]))
    return [_known(log, listed) for listed in ordered]


def _known(log: FeedLog, listed: Listed) -> Known:
    taken = log.authority.taken(listed.number)
    own = taken is not None and taken.payload == listed.payload
    why = ""
    if taken is not None and own:
        why = taken.why
    elif taken is not None:
        why = f"another decision {listed.number} was taken, or it is about another definition"
    elif listed.state == "void":
        why = "it is about another definition"
    keys = log.definition.commission_keys
    return Known(
        listed.number,
        listed.state,
        why,
        sentence(listed.action, log.definition),
        cast(tuple[tuple[str, str], ...], listed.reason),
        tuple(sorted(keys.index(key) + 1 for key in listed.signers)),
        listed,
        taken.entry if taken is not None and own else None,
    )


def pending(log: FeedLog, decision: Statement) -> Sequence[Known]:
    """Other payloads that members have signed under the number of a decision that is not taken."""
    own = hashlib.sha256(decision.payload).digest()
    same = (one for one in known(log) if one.number == decision.number and one.standing == "pending")
    return [one for one in same if one.listed.payload != own]


def of(log: FeedLog, decision: Statement) -> Known | None:
    """How a decision stands; None: nobody has signed it in this log."""
    own = hashlib.sha256(decision.payload).digest()
    return next((one for one in known(log) if one.listed.payload == own), None)


def lines(one: Known, quorum: int) -> Iterator[Line]:
    """For people."""
    taken = "" if one.entry is None else f", taken at entry {one.entry:,}"
    yield Line(f"decision {one.number}", f"{one.standing.upper()}{taken}: {one.says}")
    if one.why:
        yield Line("", f"void because {one.why}")
    for language, text in one.reasons:
        yield Line("", f"{language}: {text}")
    members = ", ".join(map(str, one.members))
    missing = quorum - len(one.members)
    more = f"; {missing} more must sign" if one.standing == "pending" and missing > 0 else ""
    entries = ", ".join(f"{entry:,}" for entry in one.listed.entries)
    yield Line(
        "",
        f"signed by member {members} at entry {entries}{more}; decided {times.write(one.listed.decided_at)}",
    )


def as_json(one: Known) -> Json:
    """For scripts."""
    word, fields = show.action_words(one.listed.action)
    return {
        "number": one.number,
        "state": one.standing,
        "why": one.why or None,
        "says": one.says,
        "action": {"action": word, **fields},
        "reason": [list(pair) for pair in one.reasons],
        "decided_at": one.listed.decided_at,
        "payload": one.listed.payload.hex(),
        "members": list(one.members),
        "entries": list(one.listed.entries),
        "taken_at": one.entry,
    }
