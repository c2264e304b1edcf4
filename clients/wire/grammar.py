"""The grammar of payloads: what a packet and a decision may say (packet.md's CDDL, and the values it allows).

One function a production, in the CDDL's order; each reads its items and returns them as the nested tuple that
mirrors the CDDL. Whether a statement makes sense (a known station, the right number of choices) is not asked
here: that is the tally's matter.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from clients.wire.cbor import Content, Reader, malformed
from clients.wire.text import MAX_NUMBER, is_origin

# Enough for a protocol's pages, slips and complaints; more papers go into another packet.
MAX_ATTACHMENTS = 16
# A scanned page is far smaller; the door stores what packets name, so one name must not cost much
# (packet.md).
MAX_ATTACHMENT_BYTES = 20 * 1024 * 1024

REPORTS: Final[Mapping[str, int]] = {"opening": 1, "turnout": 2, "result": 3, "protocol": 4, "documents": 5}

# The head of an array of two, and the first byte that is no integer by itself.
_PAIR = 0x82
_FIRST_LONG = 24
# What a text may be where the grammar says only "at least": the size of the statement is the real limit.
_UNBOUNDED = MAX_NUMBER


class _Shape(NamedTuple):
    """One alternative of a choice: its number of elements, selector included, and who reads the others."""

    elements: int
    rest: Callable[[Reader], Content]


def packet(reader: Reader) -> Content:
    """Read a packet's payload, all of it."""
    reader.array(7, 7, "a packet")
    definition = reader.digest("the definition")
    device = reader.number("the device")
    station = reader.number("the station")
    sequence = reader.number("the sequence")
    previous_at = reader.at
    previous = reader.digest_or_empty("the previous packet")
    _judge_previous(sequence, previous, previous_at, "sequence")
    signed_at = reader.uint()
    report = _choice(reader, _REPORT_SHAPES, "report")
    _judge_end(reader)
    return (definition, device, station, sequence, previous, signed_at, report)


def decision(reader: Reader) -> Content:
    """Read a decision's payload, all of it."""
    reader.array(6, 6, "a decision")
    definition = reader.digest("the definition")
    previous_at = reader.at
    previous = reader.digest_or_empty("the previous decision")
    number = reader.number("the decision's number")
    _judge_previous(number, previous, previous_at, "number")
    decided_at = reader.uint()
    reason = _reason(reader)
    action = _choice(reader, _ACTION_SHAPES, "action")
    _judge_end(reader)
    return (definition, previous, number, decided_at, reason, action)


def _judge_previous(position: int, previous: bytes, previous_at: int, what: str) -> None:
    if position == 1 and previous:
        raise malformed("previous", previous_at, f"{what} 1 has nothing before it: previous must be empty")
    if position > 1 and not previous:
        raise malformed(
            "previous", previous_at, f"previous may only be empty at {what} 1, this is {position}"
        )


def _judge_end(reader: Reader) -> None:
    if reader.at < reader.end:
        raise malformed("trailing", reader.at, f"{reader.end - reader.at} bytes follow the payload's array")


def _choice(reader: Reader, shapes: Mapping[int, _Shape], what: str) -> Content:
    array_at = reader.at
    count = reader.array(1, _UNBOUNDED, f"the {what}")
    selector_at = reader.at
    selector = reader.uint()
    shape = shapes.get(selector)
    if shape is None:
        raise malformed(what, selector_at, f"there is no {what} {selector}")
    if count != shape.elements:
        raise malformed(
            "length", array_at, f"{what} {selector} has {count} elements, must have {shape.elements}"
        )
    return (selector, *shape.rest(reader))


def _opening(reader: Reader) -> Content:
    counter = reader.uint()
    firmware = reader.digest("the firmware")
    zeros: list[Content] = []
    contest = 0
    for _ in range(reader.array(0, _UNBOUNDED, "the zero report")):
        reader.array(2, 2, "a zero")
        contest = _ascending_contest(reader, contest)
        zeros.append((contest, _votes(reader)))
    return (counter, firmware, tuple(zeros))


def _turnout(reader: Reader) -> Content:
    as_of = reader.uint()
    return (as_of, _figures(reader, 1))


def _result(reader: Reader) -> Content:
    closed_at = reader.uint()
    origin = reader.within(1, 4, "the origin")
    counter = reader.uint()
    return (closed_at, origin, counter, _figures(reader, 0), _counts(reader), _attachments(reader, 0))


def _protocol(reader: Reader) -> Content:
    closed_at = reader.uint()
    corrects = reader.digest_or_empty("the corrected protocol")
    cause = reader.within(0, 4, "the cause")
    return (closed_at, corrects, cause, _figures(reader, 0), _counts(reader), _attachments(reader, 0))


def _documents(reader: Reader) -> Content:
    return (_attachments(reader, 1),)


def _counts(reader: Reader) -> Content:
    counts: list[Content] = []
    contest = 0
    for _ in range(reader.array(1, _UNBOUNDED, "the list of counts")):
        reader.array(3, 3, "a count")
        contest = _ascending_contest(reader, contest)
        counts.append((contest, _figures(reader, 1), _votes(reader)))
    return tuple(counts)


def _ascending_contest(reader: Reader, before: int) -> int:
    at = reader.at
    contest = reader.number("the contest")
    if contest <= before:
        raise malformed("order", at, f"contest {contest} follows contest {before}: contests must ascend")
    return contest


def _figures(reader: Reader, least: int) -> Content:
    figures: list[Content] = []
    before = -1
    data = reader.data
    for _ in range(reader.array(least, _UNBOUNDED, "the list of figures")):
        at = reader.at + 1
        if at < reader.end and data[at - 1] == _PAIR and data[at] < _FIRST_LONG:
            # A standard figure (codes 1 to 16) without a call for each head: they are the bulk of a packet.
            code = data[at]
            reader.at = at + 1
        else:
            reader.array(2, 2, "a figure")
            at = reader.at
            code = reader.uint()
        if code <= before:
            raise malformed("order", at, f"figure {code} follows figure {before}: codes must ascend")
        before = code
        figures.append((code, reader.uint()))
    return tuple(figures)


def _votes(reader: Reader) -> Content:
    return reader.uints(reader.array(1, _UNBOUNDED, "the list of votes"))


def _attachments(reader: Reader, least: int) -> Content:
    attachments: list[Content] = []
    for _ in range(reader.array(least, MAX_ATTACHMENTS, "the list of attachments")):
        reader.array(5, 5, "an attachment")
        sha256 = reader.digest("the attachment's hash")
        media = reader.within(1, 4, "the attachment's media type")
        size = reader.within(1, MAX_ATTACHMENT_BYTES, "the attachment's size")
        document = reader.within(1, 6, "the attachment's document type")
        attachments.append((sha256, media, size, document, reader.uint()))
    return tuple(attachments)


def _reason(reader: Reader) -> Content:
    reasons: list[Content] = []
    for _ in range(reader.array(1, _UNBOUNDED, "the list of reasons")):
        reader.array(2, 2, "a reason")
        language = reader.text("the reason's language")
        reasons.append((language, reader.text("the reason")))
    return tuple(reasons)


def _open_log(reader: Reader) -> Content:
    origin_at = reader.at
    origin = reader.text("the origin")
    if not is_origin(origin):
        raise malformed(
            "origin", origin_at, "the origin is not names of a-z, 0-9, '.' and '-' joined by '/' in 200 bytes"
        )
    log_key = reader.digest("the log key")
    snapshot_key = reader.digest("the snapshot key")
    roster = reader.digest("the roster")
    return (origin, log_key, snapshot_key, roster, reader.text("the software"))


def _revoke(reader: Reader) -> Content:
    return (reader.number("the device"),)


def _assign(reader: Reader) -> Content:
    device = reader.number("the device")
    station = reader.number("the station")
    return (device, station, reader.uint())


def _annul(reader: Reader) -> Content:
    station = reader.uint()
    return (station, reader.uint())


def _choose(reader: Reader) -> Content:
    station = reader.number("the station")
    contest = reader.number("the contest")
    source = reader.within(1, 2, "the source")
    return (station, contest, source, reader.digest("the chosen packet"))


def _nothing(_reader: Reader) -> Content:
    return ()


def _status(reader: Reader) -> Content:
    source = reader.within(1, 2, "the source")
    return (source, reader.within(0, 5, "the status"))


def _new_roster(reader: Reader) -> Content:
    return (reader.digest("the roster"),)


def _accept_definition(reader: Reader) -> Content:
    return (reader.digest("the other definition"),)


def _closing_time(reader: Reader) -> Content:
    station = reader.uint()
    return (station, reader.uint())


def _cancel(reader: Reader) -> Content:
    return (reader.number("the station"),)


def _undo(reader: Reader) -> Content:
    return (reader.number("the decision"),)


_REPORT_SHAPES: Final[Mapping[int, _Shape]] = {
    REPORTS["opening"]: _Shape(4, _opening),
    REPORTS["turnout"]: _Shape(3, _turnout),
    REPORTS["result"]: _Shape(7, _result),
    REPORTS["protocol"]: _Shape(7, _protocol),
    REPORTS["documents"]: _Shape(2, _documents),
}

_ACTION_SHAPES: Final[Mapping[int, _Shape]] = {
    1: _Shape(6, _open_log),
    2: _Shape(2, _revoke),
    3: _Shape(4, _assign),
    4: _Shape(3, _annul),
    5: _Shape(5, _choose),
    6: _Shape(1, _nothing),
    7: _Shape(1, _nothing),
    8: _Shape(3, _status),
    9: _Shape(2, _new_roster),
    10: _Shape(2, _accept_definition),
    11: _Shape(3, _closing_time),
    12: _Shape(2, _cancel),
    13: _Shape(2, _undo),
}
