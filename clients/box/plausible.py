"""What the tally will say about a report: arithmetic and times, by the codes of the tally's public rules.

A device signs what it counted, so nothing here refuses anything. People at the station are told now what the
commission would ask them tomorrow. Rules that need other devices' packets (S201, S203, S206) are not looked
at, and a rule does not apply where one of its figures is absent.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from clients.box import words
from clients.box.report import Count, Report
from clients.wire.definition import STANDARD_FIGURES, Contest, Definition, Station
from clients.wire.statement import Statement
from clients.wire.tables import MAX_COUNT

_HELD = "the tally will hold this count back until the commission decides"
_FLAGGED = "the tally will flag it"
_MS_A_MINUTE = 60_000

_REGISTERED = STANDARD_FIGURES["registered"]
_ADDITIONAL = STANDARD_FIGURES["registered_additional"]
_IDENTIFIED = STANDARD_FIGURES["identified"]
_ISSUED = STANDARD_FIGURES["issued"]
_OUTSIDE = STANDARD_FIGURES["issued_outside"]
_IN_BOX = STANDARD_FIGURES["in_box"]
_VALID = STANDARD_FIGURES["valid"]
_BLANK = STANDARD_FIGURES["blank"]
_INVALID = STANDARD_FIGURES["invalid"]
_RETURNED = STANDARD_FIGURES["returned_by_box"]
_EARLY = STANDARD_FIGURES["issued_early"]
# Absent, these are 0 in rules.
_NOUGHT: Final = dict.fromkeys((_ADDITIONAL, _OUTSIDE, _BLANK, _RETURNED, _EARLY), 0)


class Finding(NamedTuple):
    """Something that the tally, or a reader of the log, will stumble over."""

    code: str
    """A rule of the tally, or `box.clock`."""
    detail: str
    """A sentence for people."""


def judge(
    report: Report, station: Station, definition: Definition, signed_at: int, earlier: Sequence[Statement]
) -> list[Finding]:
    """Say what the tally will find in a report.

    Args:
        report: what was counted.
        station: where.
        definition: holds rules, contests and checks.
        signed_at: ms since the Unix epoch, by the device's clock.
        earlier: what this device has signed before, in its order.
    """
    return [
        *_clock(signed_at, earlier),
        *_large(report),
        *_opening(report),
        *_turnout(report),
        *_times(report, signed_at, station, definition),
        *_voters(report, station, definition),
        *_since_opening(report, station, definition, earlier),
        *(finding for count in report.counts for finding in _count(count, report, station, definition)),
    ]


def judge_typed(
    report: Report,
    station: Station,
    definition: Definition,
    signed_at: int,
    awaited: Mapping[int, Collection[int]],
) -> list[Finding]:
    """Say what the tally will find in a protocol of which a part is typed, and what no more typing can mend.

    Args:
        report: what is there so far; a contest's votes may end before its last choice.
        station: where.
        definition: holds rules, contests and checks.
        signed_at: now, ms since the Unix epoch.
        awaited: by contest, the codes of figures that are still to be typed: rules wait for them.
    """
    return [
        *_large(report),
        *_times(report, signed_at, station, definition),
        *_voters(report, station, definition),
        *(
            finding
            for count in report.counts
            for finding in _count(count, report, station, definition, awaited.get(count.contest, ()))
        ),
    ]


def holds(finding: Finding, definition: Definition) -> bool:
    """Whether the tally will hold the count, and not only flag it."""
    return finding.code.startswith("H") and (finding.code != "H104" or definition.rules.h104 == "hard")


def _clock(signed_at: int, earlier: Sequence[Statement]) -> Iterator[Finding]:
    if earlier and signed_at < earlier[-1].signed_at:
        yield Finding(
            "box.clock",
            "the device's clock shows an earlier time than its last statement; set the clock right",
        )


def _large(report: Report) -> Iterator[Finding]:
    places = [("the voters", [*report.figures.values()])]
    places += [(f"contest {own.contest}", [*own.figures.values(), *own.votes]) for own in report.counts]
    for place, values in places:
        if any(value > MAX_COUNT for value in values):
            yield Finding("H100", f"{place}: a number is above {MAX_COUNT:,}; {_HELD}")


def _opening(report: Report) -> Iterator[Finding]:
    for count in report.counts if report.kind == "opening" else ():
        if any(count.votes):
            yield Finding("S209", f"contest {count.contest}: its counters are not zero; {_FLAGGED}")


def _turnout(report: Report) -> Iterator[Finding]:
    if report.kind == "turnout" and _IDENTIFIED not in report.figures:
        yield Finding("box.turnout", "without the figure `identified` the tally will not count this report")


def _times(report: Report, signed_at: int, station: Station, definition: Definition) -> Iterator[Finding]:
    if report.closed_at is None:
        return
    minutes = definition.rules.s204_minutes
    if report.closed_at < station.closes_at:
        yield Finding("S204", f"closed_at is before the station's closing time; {_FLAGGED}")
    if signed_at < report.closed_at:
        yield Finding("S204", f"closed_at is later than the device's clock now; {_FLAGGED}")
    elif signed_at > report.closed_at + minutes * _MS_A_MINUTE:
        yield Finding("S204", f"closed_at is more than {minutes} minutes ago; {_FLAGGED}")


def _voters(report: Report, station: Station, definition: Definition) -> Iterator[Finding]:
    registered = report.figures.get(_REGISTERED)
    if registered is not None and station.registered not in (None, registered):
        yield Finding(
            "S213", f"registered is {registered}, the definition says {station.registered}; {_FLAGGED}"
        )


def _since_opening(
    report: Report, station: Station, definition: Definition, earlier: Sequence[Statement]
) -> Iterator[Finding]:
    """Whether the ballots scanned today are those that were found, by the counter that never goes back."""
    if report.kind != "result" or report.counter is None:
        return
    openings = [
        own.counter
        for own in (Report.of(signed.report) for signed in earlier if signed.station == station.station)
        if own.kind == "opening" and own.counter is not None
    ]
    if not openings:
        yield Finding("S209", f"this device has signed no opening of station {station.station}; {_FLAGGED}")
        return
    figures = [_figures(count, report, station) for count in report.counts]
    if any(_IN_BOX not in own for own in figures):
        return
    found = sum(own[_IN_BOX] + own[_RETURNED] for own in figures)
    scanned = report.counter - openings[-1]
    if abs(scanned - found) > definition.rules.s210_tolerance:
        yield Finding(
            "S210",
            f"the counter went up by {scanned} since the opening, in_box + returned_by_box are {found}; "
            f"{_FLAGGED}",
        )


def _figures(count: Count, report: Report, station: Station, awaited: Collection[int] = ()) -> dict[int, int]:
    """A contest's figures: its own, for codes it lacks the voters', then what absent ones are in rules."""
    registered = {} if station.registered is None else {_REGISTERED: station.registered}
    absent = {code: value for code, value in {**_NOUGHT, **registered}.items() if code not in awaited}
    return {**absent, **report.figures, **count.figures}


def _count(
    count: Count,
    report: Report,
    station: Station,
    definition: Definition,
    awaited: Collection[int] = (),
) -> Iterator[Finding]:
    contest = definition.contests.get(count.contest)
    if contest is None or report.kind == "opening":
        return
    where = f"contest {count.contest}"
    figures = _figures(count, report, station, awaited)
    yield from _ballots(where, figures, definition)
    yield from _votes(where, figures, count, contest, definition)
    yield from _given_out(where, figures, definition)
    yield from _checks(where, figures, definition)


def _ballots(where: str, figures: Mapping[int, int], definition: Definition) -> Iterator[Finding]:
    if not figures.keys() >= {_VALID, _BLANK, _INVALID, _IN_BOX}:
        return
    valid, blank, invalid, in_box = (figures[code] for code in (_VALID, _BLANK, _INVALID, _IN_BOX))
    if valid + blank + invalid != in_box:
        yield Finding(
            "H102",
            f"{where}: valid {valid} + blank {blank} + invalid {invalid} = {valid + blank + invalid}, but "
            f"in_box is {in_box}; {_HELD}",
        )
    percent = definition.rules.s202_percent
    if 100 * (blank + invalid) > percent * in_box:
        yield Finding(
            "S202", f"{where}: more than {percent} % of the ballots are blank or invalid; {_FLAGGED}"
        )


def _votes(
    where: str, figures: Mapping[int, int], count: Count, contest: Contest, definition: Definition
) -> Iterator[Finding]:
    choices = definition.choices[count.contest]
    votes = dict(zip(choices, count.votes, strict=False))
    total = sum(number for choice, number in votes.items() if choice.list is None)
    if _VALID in figures:
        most = figures[_VALID] * contest.marks
        # While votes are being typed they may still grow up to `most`.
        if contest.marks == 1 and total != most and (total > most or len(votes) == len(choices)):
            yield Finding("H103", f"{where}: the votes add up to {total}, but valid is {most}; {_HELD}")
        elif total > most:
            yield Finding(
                "H103",
                f"{where}: the votes add up to {total}, {contest.marks} marks a ballot allow {most}; {_HELD}",
            )
    for choice, number in votes.items():
        if choice.kind == "list":
            preferences = sum(own for member, own in votes.items() if member.list == choice.choice)
            if preferences > number * contest.preferences:
                yield Finding(
                    "H108",
                    f"{where}: list {choice.choice}: {number} votes, but {preferences} preferences; {_HELD}",
                )


def _given_out(where: str, figures: Mapping[int, int], definition: Definition) -> Iterator[Finding]:
    rules = definition.rules
    if not figures.keys() >= {_ISSUED, _OUTSIDE, _EARLY}:
        return
    given_out = figures[_ISSUED] + figures[_OUTSIDE] + figures[_EARLY]
    in_box = figures.get(_IN_BOX)
    if in_box is not None and in_box < given_out:
        yield Finding("S207", f"{where}: {given_out} ballots were given out, {in_box} found; {_FLAGGED}")
    if rules.h104 == "off":
        return
    consequence = _HELD if rules.h104 == "hard" else _FLAGGED
    if in_box is not None and in_box > given_out + rules.h104_tolerance:
        yield Finding("H104", f"{where}: {in_box} ballots found, {given_out} were given out; {consequence}")
    if not figures.keys() >= {_REGISTERED, _ADDITIONAL}:
        return
    registered = figures[_REGISTERED] + figures[_ADDITIONAL]
    if given_out > registered + rules.h104_tolerance:
        yield Finding(
            "H104", f"{where}: {given_out} ballots given out, {registered} voters registered; {consequence}"
        )


def _checks(where: str, figures: Mapping[int, int], definition: Definition) -> Iterator[Finding]:
    """The country's own equations."""
    names = {code: name for name, code in words.figures(definition).items()}
    for check in definition.checks.values():
        if not figures.keys() >= {*check.left, *check.right}:
            continue
        left = sum(figures[code] for code in check.left)
        right = sum(figures[code] for code in check.right)
        apart = left - right if check.op == "<=" else abs(left - right)
        if apart > check.tolerance:
            code, consequence = ("H109", _HELD) if check.severity == "hard" else ("S214", _FLAGGED)
            equation = f"{_sum(check.left, names)} {check.op} {_sum(check.right, names)}"
            yield Finding(
                f"{code}.{check.check}", f"{where}: {equation} does not hold ({left}, {right}); {consequence}"
            )


def _sum(codes: Sequence[int], names: Mapping[int, str]) -> str:
    return " + ".join(names[code] for code in codes)
