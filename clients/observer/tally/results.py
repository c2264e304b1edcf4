"""The member `results` of a snapshot: shares, seats and outcome of every contest (docs/tally.md)."""

from collections.abc import Iterator, Mapping

from clients.observer.tally.areas import Areas, SourceSums
from clients.observer.tally.counts import SOURCES, Source
from clients.observer.tally.outcome import Reckoning
from clients.observer.tally.packet import IN_BOX
from clients.observer.tally.rules import Ballot
from clients.observer.tally.shares import base, share, whole
from clients.wire.definition import Contest, Definition
from clients.wire.jcs import JsonValue


def results(definition: Definition, ballots: Mapping[int, Ballot], areas: Areas) -> JsonValue:
    """The results of the root, by contest, then source."""
    return [
        _result(definition, ballots[contest], areas, contest, source)
        for contest in sorted(areas.sums(areas.root).contests)
        for source in SOURCES
    ]


def _result(
    definition: Definition, ballot: Ballot, areas: Areas, number: int, source: Source
) -> dict[str, JsonValue]:
    contest = definition.contests[number]
    sums = areas.sums(areas.root).contests[number].sources[source]
    of = base(contest.share_of, sums, ballot)
    in_box, registered = whole(sums.figure(IN_BOX), sums), whole(sums.registered.pair, sums)
    regions = [own for own in _regions(areas, contest, source) if own.counted]
    verdict = Reckoning(contest, definition.choices[number], ballot, sums, regions).verdict()
    seats = verdict.outcome.seats
    return {
        "contest": number,
        "source": source,
        "base": of,
        "choices": [
            {
                "choice": choice,
                "votes": votes,
                "share": share(votes, of),
                "seats": None if seats is None else seats[choice],
            }
            for choice, votes in zip(ballot.choices, sums.votes, strict=True)
        ],
        "turnout": None if in_box is None else share(in_box, registered),
        "thresholds": [[choice, word] for choice, word in sorted(verdict.thresholds.items())],
        "quorum": verdict.quorum,
        "outcome": {"word": verdict.outcome.word, "choices": list(verdict.outcome.choices)},
    }


def _regions(areas: Areas, contest: Contest, source: Source) -> Iterator[SourceSums]:
    """The sums of a contest in each area that a threshold in areas is for."""
    if contest.threshold_area is None:
        return
    for area in areas.of_level(contest.threshold_area_level):
        own = areas.sums(area).contests.get(contest.contest)
        if own is not None:
            yield own.sources[source]
