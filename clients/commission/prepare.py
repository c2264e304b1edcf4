"""A decision made ready for signing: number and previous from the log, everything asked that makes it void.

`prepare` is for a log that is open; `prepare_opening` makes decision 1, before there is a log.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from clients.box import times
from clients.commission.decisionfile import DecisionFile, Prepared
from clients.commission.effect import effect_of
from clients.commission.feedlog import FeedLog
from clients.observer.tally.packet import PROTOCOL, RESULT
from clients.wire import keys, statement
from clients.wire.authority import Action
from clients.wire.cbor import Content
from clients.wire.definition import LANGUAGES, Definition
from clients.wire.errors import WireError
from clients.wire.roster import Roster
from clients.wire.statement import Statement
from clients.wire.text import MAX_TEXT_BYTES, base64_text, is_origin, is_plain

# The first name of every rehearsal's log, which no live one has (docs/keys.md).
_REHEARSAL: Final = "rehearsal.invalid"

Reasons = Sequence[tuple[str, str]]


def prepare(
    log: FeedLog,
    action: Content,
    reasons: Reasons,
    decided_at: int,
    *,
    earlier: Sequence[DecisionFile] = (),
    rosters: Sequence[Roster] = (),
) -> DecisionFile:
    """Make the next decision of a log, with its effect.

    Args:
        log: the feed's.
        action: as in the payload, any but 1.
        reasons: language and text, at least one.
        decided_at: ms.
        earlier: decisions that were sent and are not published yet, in their order.
        rosters: that an action 9 may name beside those in the feed.

    Raises:
        WireError: `decision.void` with the rule that it would break, `decision.reason`, `decision.number`,
            `decision.previous`, `decision.definition`, `decision.tampered`, `roster.missing`.
    """
    _judge_reasons(reasons)
    for roster in rosters:
        log.authority.offer(roster)
    waiting = unpublished(log, earlier)
    number = log.authority.taken_count + len(waiting) + 1
    content = (log.definition.sha256, _last(log, waiting), number, decided_at, tuple(reasons), action)
    file = DecisionFile.new(
        log.definition,
        statement.encode_payload("decision", content),
        Prepared(
            log.snapshot.origin,
            log.snapshot.number,
            log.head.size,
            base64_text(log.head.root),
            tuple(one.number for one in waiting),
        ),
        None,
    )
    return file.with_effect(effect_of(log.tally, log.definition, file.decision, waiting))


def unpublished(log: FeedLog, files: Sequence[DecisionFile]) -> list[Statement]:
    """Those of some decisions that the feed does not have as taken, which follow one another.

    Raises:
        WireError: `decision.number`, `decision.definition`, `decision.tampered`, `decision.signatures`.
    """
    found = []
    for file in files:
        file.judge(log.definition)
        if not is_taken(log, file.decision):
            found.append(file.decision)
    return found


def is_taken(log: FeedLog, decision: Statement) -> bool:
    """Whether the log has taken this decision.

    Raises:
        WireError: `decision.number`: another one was taken under its number.
    """
    taken = log.authority.taken(decision.number)
    if taken is None:
        return False
    if taken.payload != hashlib.sha256(decision.payload).digest():
        raise WireError(
            "decision.number",
            f"another decision {decision.number} was taken at entry {taken.entry} of the log, and this one "
            "never can be: prepare it anew, and it gets the next number",
        )
    return True


def _last(log: FeedLog, waiting: Sequence[Statement]) -> bytes:
    """SHA-256 of the payload that the next decision follows."""
    if waiting:
        return hashlib.sha256(waiting[-1].payload).digest()
    taken = log.authority.taken(log.authority.taken_count)
    if taken is None:
        raise AssertionError("the log of a feed is open")
    return taken.payload


def prepare_opening(
    definition: Definition,
    roster: Roster,
    reasons: Reasons,
    decided_at: int,
    *,
    origin: str,
    log_key: bytes,
    snapshot_key: bytes,
    software: str,
) -> DecisionFile:
    """Make decision 1, as `tallygate init` has printed what it names.

    Raises:
        WireError: `decision.reason`, `decision.opening`.
    """
    _judge_reasons(reasons)
    if not is_origin(origin):
        raise _no_opening(f"{origin!r} cannot name a log: host/path with a-z, 0-9, dots and -")
    if definition.mode == "live" and origin.split("/")[0] == _REHEARSAL:
        raise _no_opening(f"the election is live, and {origin} is a rehearsal's log")
    for name, key in (("log", log_key), ("snapshot", snapshot_key)):
        if not keys.enrollable(key):
            raise _no_opening(f"the {name} key {key.hex()} is no Ed25519 public key")
    if log_key == snapshot_key:
        raise _no_opening("log key and snapshot key are the same: one of them was copied wrong")
    action = (int(Action.OPEN), origin, log_key, snapshot_key, roster.sha256, software)
    content = (definition.sha256, b"", 1, decided_at, tuple(reasons), action)
    return DecisionFile.new(definition, statement.encode_payload("decision", content), None, None)


def _no_opening(detail: str) -> WireError:
    return WireError("decision.opening", f"{detail}; take what `tallygate init` has printed")


def _judge_reasons(reasons: Reasons) -> None:
    languages = [language for language, _ in reasons]
    for language, text in reasons:
        if language not in LANGUAGES:
            raise _no_reason(f"{language!r} is none of the languages {', '.join(LANGUAGES)}")
        if languages.count(language) > 1:
            raise _no_reason(f"there are two in {language}")
        if not is_plain(text, 1):
            raise _no_reason(f"the one in {language} must have 1 to {MAX_TEXT_BYTES:,} bytes in one line")
    if not reasons:
        raise _no_reason("the public is told why: give one in each language of the election")


def _no_reason(detail: str) -> WireError:
    return WireError("decision.reason", f"the reasons: {detail}")


def missing_languages(definition: Definition, reasons: Reasons) -> list[str]:
    """The election's languages in which there is no reason."""
    given = {language for language, _ in reasons}
    return [language for language in definition.languages if language not in given]


def decided_now(log: FeedLog, now: int) -> int:
    """When a decision that is prepared now was decided: in a rehearsal, by the rehearsal's clock.

    Args:
        log: whose newest snapshot tells a rehearsal's time.
        now: real time, ms.
    """
    if log.definition.mode == "live":
        return now
    published = times.from_datetime(datetime.fromisoformat(log.snapshot.published_at))
    return now if published is None else published


def packet_at(log: FeedLog, station: int, source: int, entry: int) -> bytes:
    """The id of a station's result (source 1) or protocol (source 2) by its entry in the log.

    Raises:
        WireError: `decision.packet`, with the entries that there are.
    """
    report = RESULT if source == 1 else PROTOCOL
    packets = [packet for packet in log.tally.packets(station) if packet.report == report]
    for packet in packets:
        if packet.index == entry:
            return packet.id
    there = ", ".join(str(packet.index) for packet in packets) or "nowhere"
    word = "results" if report == RESULT else "protocols"
    raise WireError(
        "decision.packet",
        f"entry {entry} is not one of the {word} of station {station}: they are at {there}",
    )
