"""A decision and its effect written out for the people who sign it: lines of a label and a value."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from clients.box import show, times, words
from clients.box.show import Line
from clients.commission import sentences
from clients.commission.decisionfile import DecisionFile
from clients.commission.effect import AreaChange, Effect, Number, Result, StationChange, Votes
from clients.commission.sentences import sentence
from clients.wire.definition import Definition
from clients.wire.statement import Statement

_HASH_CHARACTERS: Final = 64
# Nothing is counted, or a share or number of seats is not known.
_NOTHING: Final = "–"


def decision_lines(decision: Statement, definition: Definition) -> Iterator[Line]:
    """What a payload orders and why, decoded from its bytes."""
    yield Line("decision", f"{decision.number} of the commission of {definition.id}")
    yield Line("orders", sentence(decision.action, definition))
    for language, text in show.reasons(decision):
        yield Line(f"reason {language}", text)


def record_lines(decision: Statement) -> Iterator[Line]:
    """The rest of a payload: what people compare and do not read first."""
    yield Line("decided at", times.write(decision.decided_at))
    _, fields = show.action_words(decision.action)
    for name, value in fields.items():
        # What the sentence has cut short.
        if isinstance(value, str) and len(value) == _HASH_CHARACTERS:
            yield Line("packet" if name == "id" else name.replace("_", " "), value)
    yield Line("definition", decision.definition.hex())
    yield Line("previous", decision.previous.hex() or "none, this is the first")


def file_lines(file: DecisionFile, definition: Definition) -> Iterator[Line]:
    """What a file holds beside the decision: what it was prepared on, and who has signed."""
    if (prepared := file.prepared) is not None:
        behind = "".join(f", behind decision {number} (not published yet)" for number in prepared.after)
        entries = f"{prepared.entries:,} entries of {prepared.log}"
        yield Line("prepared on", f"snapshot {prepared.snapshot:,}, {entries}{behind}")
    yield Line("signed by", signed_by(file.members, definition.quorum))


def signed_by(members: Sequence[int], quorum: int) -> str:
    """Who has signed, and how many are missing."""
    who = ", ".join(f"member {member}" for member in members) or "nobody yet"
    missing = quorum - len(members)
    return f"{who}; {quorum} must, " + (f"{missing} more" if missing > 0 else "that is enough")


def effect_lines(effect: Effect, definition: Definition) -> Iterator[Line]:
    """What a decision would change: what is switched, stations, areas, results."""
    for number in effect.takes[1:]:
        yield Line("takes too", f"decision {number}, which waits for it")
    for own in effect.decisions:
        verb = "undoes" if own.before == "in effect" else "restores"
        yield Line(verb, f"decision {own.number}: {own.says}")
    for switch in effect.switches:
        yield Line("changes", f"{switch.what}: {switch.before} → {switch.after}")
    if not effect.stations_changed:
        yield Line("figures", "no station changes")
        return
    stations, areas = _plural(effect.stations_changed, "station"), _plural(effect.areas_changed, "area")
    yield Line("figures", f"{stations} and {areas} change")
    for station in effect.stations:
        yield from _station(station, definition)
    yield from _left_out("station", effect.stations_changed - len(effect.stations))
    for area in effect.areas:
        yield from _area(area, definition)
    yield from _left_out("area", effect.areas_changed - len(effect.areas))
    for result in effect.results:
        yield from _result(result, definition)


def _plural(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _left_out(what: str, number: int) -> Iterator[Line]:
    if number:
        yield Line("", f"… and {number:,} more {what}{'' if number == 1 else 's'}")


def _station(change: StationChange, definition: Definition) -> Iterator[Line]:
    yield Line(f"station {change.station}", sentences.station_name(definition, change.station))
    if change.cancelled[0] != change.cancelled[1]:
        yield Line("", "  no voting here" if change.cancelled[1] else "  voting here again")
    if change.identified[0] != change.identified[1]:
        yield Line("", f"  identified: {_arrow(change.identified)}")
    for count in change.counts:
        before, after = count.state
        state = before if before == after else f"{before} → {after}"
        yield Line("", f"  {sentences.contest(definition, count.contest)}, {count.source}: {state}")
        names = {code: name for name, code in words.figures(definition).items()}
        figures = [
            _Change(names.get(one.code, f"figure {one.code}"), one.before, one.after) for one in count.figures
        ]
        yield from _changes([*_votes(count.votes, count.contest, definition), *figures])
    lost, won = change.codes
    if lost or won:
        said = [f"{code} goes" for code in lost] + [f"{code} comes" for code in won]
        yield Line("", f"  codes: {', '.join(said)}")


def _area(change: AreaChange, definition: Definition) -> Iterator[Line]:
    area = definition.areas[change.area]
    yield Line(f"{area.level} {area.area}", show.labelled(area.label, area.name).strip())
    if change.stations[0] != change.stations[1]:
        yield Line("", f"  stations expected: {_arrow(change.stations)}")
    for sums in change.sums:
        states = ", ".join(f"{one.state} {one.before:,} → {one.after:,}" for one in sums.states)
        head = f"  {sentences.contest(definition, sums.contest)}, {sums.source}"
        yield Line("", f"{head}: {states}" if states else head)
        yield from _changes(_votes(sums.votes, sums.contest, definition))


def _result(change: Result, definition: Definition) -> Iterator[Line]:
    yield Line("result", f"{sentences.contest(definition, change.contest)}, {change.source}")
    names = {one.choice: sentences.choice(definition, change.contest, one.choice) for one in change.choices}
    width = max(map(len, names.values()), default=0)
    for choice in change.choices:
        said = []
        if choice.share[0] != choice.share[1]:
            said.append(f"{_percent(choice.share[0])} → {_percent(choice.share[1])}")
        if choice.seats[0] != choice.seats[1]:
            said.append(f"seats {_arrow(choice.seats)}")
        yield Line("", f"    {names[choice.choice]:<{width}}  {', '.join(said)}")
    before, after = (_outcome(*pair) for pair in zip(change.outcome, change.elected, strict=True))
    if before != after:
        yield Line("", f"  outcome: {before} → {after}")


def _outcome(word: str, choices: Iterable[int]) -> str:
    named = " and ".join(map(str, choices))
    return f"{word} (choice {named})" if named else word


class _Change(NamedTuple):
    name: str
    before: int | None
    after: int | None


def _votes(votes: Iterable[Votes], contest: int, definition: Definition) -> list[_Change]:
    return [
        _Change(sentences.choice(definition, contest, one.choice), one.before, one.after) for one in votes
    ]


def _changes(changes: Sequence[_Change]) -> Iterator[Line]:
    """Names and numbers in columns."""
    name = max((len(one.name) for one in changes), default=0)
    before = max((len(_count(one.before)) for one in changes), default=0)
    after = max((len(_count(one.after)) for one in changes), default=0)
    for one in changes:
        difference = f"{(one.after or 0) - (one.before or 0):+,}".replace("-", "−")
        numbers = f"{_count(one.before):>{before}} → {_count(one.after):>{after}}"
        yield Line("", f"    {one.name:<{name}}  {numbers}   {difference}")


def _count(value: int | None) -> str:
    return _NOTHING if value is None else f"{value:,}"


def _arrow(pair: Number) -> str:
    before, after = pair
    return f"{_count(before)} → {_count(after)}"


def _percent(share: int | None) -> str:
    return _NOTHING if share is None else f"{share // 100}.{share % 100:02} %"
