"""A statement written out: lines for people, and JSON whose `counts` are a counts file again."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from clients.box import times, words
from clients.box.report import Count, Report
from clients.terminal import Json
from clients.wire.cbor import Content
from clients.wire.definition import Definition
from clients.wire.statement import Statement

# Of the id, on the slip that a box prints (packet.md): as much as people compare by eye.
_SLIP_DIGITS = 16


class Line(NamedTuple):
    """One line for people."""

    label: str
    value: str


def slip(packet: Statement) -> str:
    """What a box prints at the close: ``<station>-<first 16 hex of the id>``."""
    return f"{packet.station}-{packet.id.hex()[:_SLIP_DIGITS]}"


def lines(shown: Statement, definition: Definition | None) -> list[Line]:
    """A statement for people.

    Args:
        shown: the statement.
        definition: gives contests and choices their names; None: numbers must do.
    """
    return list(_packet(shown, definition) if shown.kind == "packet" else _decision(shown))


def _packet(packet: Statement, definition: Definition | None) -> Iterator[Line]:
    report = Report.of(packet.report)
    station = definition.stations.get(packet.station) if definition else None
    place = f" ({labelled(station.label, station.name)})" if station else ""
    yield Line("packet", f"{packet.sequence} of device {packet.device}: {report.kind}")
    yield Line("station", f"{packet.station}{place}")
    yield Line("slip", slip(packet))
    yield from _envelope(packet)
    yield Line("signed at", times.write(packet.signed_at))
    yield from _facts(report)
    names = {code: name for name, code in words.figures(definition).items()}
    if report.figures:
        yield Line("voters", _figures(report.figures, names))
    for count in report.counts:
        yield from _count(count, names, definition)
    for paper in report.attachments:
        document = words.word(words.DOCUMENTS, paper.document).replace("_", " ")
        media = words.word(words.MEDIA, paper.media)
        yield Line("attachment", f"{document}, page {paper.page}: {media}, {paper.size:,} bytes")
        yield Line("", paper.sha256.hex())


def labelled(label: str, name: str) -> str:
    """What people call a thing, once: names often begin with the label."""
    return name if name.startswith(label) else f"{label} {name}"


def _envelope(shown: Statement) -> Iterator[Line]:
    yield Line("id", shown.id.hex())
    yield Line("definition", shown.definition.hex())
    yield Line("previous", shown.previous.hex() or "none, this is the first")
    yield Line("kid", shown.kid.hex())


def _facts(report: Report) -> Iterator[Line]:
    """What stands once in a report, in the order of packet.md."""
    if report.as_of is not None:
        yield Line("as of", times.write(report.as_of))
    if report.closed_at is not None:
        yield Line("closed at", times.write(report.closed_at))
    if report.origin is not None:
        yield Line("origin", words.word(words.ORIGINS, report.origin).replace("_", " "))
    if report.cause is not None:
        yield Line("cause", words.word(words.CAUSES, report.cause).replace("_", " "))
    if report.corrects:
        yield Line("corrects", report.corrects.hex())
    if report.counter is not None:
        yield Line("counter", f"{report.counter:,}")
    if report.firmware:
        yield Line("firmware", report.firmware.hex())


def _figures(figures: Mapping[int, int], names: Mapping[int, str]) -> str:
    return ", ".join(f"{names.get(code, f'figure {code}')} {value:,}" for code, value in figures.items())


def _count(count: Count, names: Mapping[int, str], definition: Definition | None) -> Iterator[Line]:
    contest = definition.contests.get(count.contest) if definition else None
    choices = definition.choices.get(count.contest, ()) if definition else ()
    yield Line(f"contest {count.contest}", contest.name if contest else _figures(count.figures, names))
    if contest and count.figures:
        yield Line("", _figures(count.figures, names))
    if len(choices) == len(count.votes):
        width = max(len(f"{votes:,}") for votes in count.votes)
        for choice, votes in zip(choices, count.votes, strict=True):
            label = "" if choice.label == str(choice.choice) else choice.label
            yield Line("", f"{votes:>{width},}  {choice.choice} {labelled(label, choice.name)}")
    else:
        yield Line("  votes", " ".join(str(votes) for votes in count.votes))


def _decision(decision: Statement) -> Iterator[Line]:
    word, fields = action_words(decision.action)
    yield Line("decision", f"{decision.number} of the commission: {word.replace('_', ' ')}")
    yield from _envelope(decision)
    yield Line("decided at", times.write(decision.decided_at))
    for name, value in fields.items():
        shown = times.write(value) if name == "closes_at" and isinstance(value, int) else str(value)
        yield Line(name.replace("_", " "), shown)
    for language, text in reasons(decision):
        yield Line(f"reason {language}", text)


def reasons(decision: Statement) -> tuple[tuple[str, str], ...]:
    """A decision's reasons: pairs of language and text."""
    return cast(tuple[tuple[str, str], ...], decision.reason)


def action_words(action: Content) -> tuple[str, dict[str, int | str]]:
    """An action's word and its fields."""
    number, *values = action
    word, names = words.ACTIONS[cast(int, number)]
    fields: dict[str, int | str] = {}
    for name, value in zip(names, cast(list[int | bytes | str], values), strict=True):
        if name == "source":
            fields[name] = words.word(words.SOURCES, cast(int, value))
        elif name == "status":
            fields[name] = words.word(words.STATUSES, cast(int, value))
        else:
            fields[name] = value.hex() if isinstance(value, bytes) else value
    return word, fields


def as_json(shown: Statement, definition: Definition | None) -> dict[str, Json]:
    """A statement for scripts; hashes in hex, times in ms since the Unix epoch.

    Args:
        shown: the statement.
        definition: gives national figures their names.
    """
    common: dict[str, Json] = {
        "kind": shown.kind,
        "id": shown.id.hex(),
        "kid": shown.kid.hex(),
        "definition": shown.definition.hex(),
        "previous": shown.previous.hex(),
    }
    if shown.kind == "decision":
        word, fields = action_words(shown.action)
        given = [{"language": language, "text": text} for language, text in reasons(shown)]
        return {
            **common,
            "number": shown.number,
            "decided_at": shown.decided_at,
            "reason": given,
            "action": {"action": word, **fields},
        }
    return {
        **common,
        "slip": slip(shown),
        "device": shown.device,
        "sequence": shown.sequence,
        "signed_at": shown.signed_at,
        "counts": counts_json(shown, definition),
    }


def counts_json(packet: Statement, definition: Definition | None) -> dict[str, Json]:
    """A packet's report as the JSON form of a counts file."""
    report = Report.of(packet.report)
    names = {code: name for name, code in words.figures(definition).items()}
    facts: dict[str, Json] = {
        "report": report.kind,
        "station": packet.station,
        "as_of": report.as_of,
        "closed_at": report.closed_at,
        "origin": None if report.origin is None else words.word(words.ORIGINS, report.origin),
        "cause": None if report.cause is None else words.word(words.CAUSES, report.cause),
        "corrects": report.corrects.hex() or None,
        "counter": report.counter,
        "firmware": report.firmware.hex() or None,
        "figures": _figures_json(report.figures, names) or None,
        "contests": {str(count.contest): _count_json(count, names) for count in report.counts} or None,
        "attachments": [
            {
                "sha256": paper.sha256.hex(),
                "size": paper.size,
                "media": words.word(words.MEDIA, paper.media),
                "document": words.word(words.DOCUMENTS, paper.document),
                "page": paper.page,
            }
            for paper in report.attachments
        ]
        or None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _count_json(count: Count, names: Mapping[int, str]) -> dict[str, Json]:
    votes: dict[str, Json] = {"votes": list(count.votes)}
    return {"figures": _figures_json(count.figures, names), **votes} if count.figures else votes


def _figures_json(figures: Mapping[int, int], names: Mapping[int, str]) -> dict[str, Json]:
    return {names.get(code, str(code)): value for code, value in figures.items()}
