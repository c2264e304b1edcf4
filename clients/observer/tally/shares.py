"""What a snapshot says beside the root's object: results and progress (docs/tally.md)."""

from collections.abc import Iterator, Mapping
from typing import Final

from clients.observer.tally.areas import AreaSums, SourceSums
from clients.observer.tally.counts import STATES
from clients.observer.tally.packet import IN_BOX, VALID
from clients.observer.tally.rules import Ballot
from clients.wire.definition import Definition
from clients.wire.jcs import JsonValue
from clients.wire.text import MAX_NUMBER

_HUNDREDTHS: Final = 10_000


def share(part: int, base: int | None) -> int | None:
    """Hundredths of a percent, rounded half up; None without a base."""
    if not base:
        return None
    return min((2 * _HUNDREDTHS * part + base) // (2 * base), MAX_NUMBER)


def results(definition: Definition, ballots: Mapping[int, Ballot], root: AreaSums) -> JsonValue:
    """The member `results` of a snapshot."""
    return list(_results(definition, ballots, root))


def _results(
    definition: Definition, ballots: Mapping[int, Ballot], root: AreaSums
) -> Iterator[dict[str, JsonValue]]:
    for contest, sums in sorted(root.contests.items()):
        ballot = ballots[contest]
        for source, own in sums.sources.items():
            base = _base(definition.contests[contest].share_of, own, ballot)
            in_box, registered = _whole(own.figure(IN_BOX), own), _whole(own.registered.pair, own)
            yield {
                "contest": contest,
                "source": source,
                "base": base,
                "choices": [
                    {"choice": choice, "votes": votes, "share": share(votes, base), "seats": None}
                    for choice, votes in zip(ballot.choices, own.votes, strict=True)
                ],
                "turnout": None if in_box is None else share(in_box, registered),
                "thresholds": [],
                "quorum": None,
                "outcome": {"word": "none", "choices": []},
            }


def _base(share_of: str, own: SourceSums, ballot: Ballot) -> int | None:
    match share_of:
        case "votes":
            return ballot.total(own.votes)
        case "registered":
            return _whole(own.registered.pair, own)
        case "valid":
            return _whole(own.figure(VALID), own)
        case _:
            return _whole(own.figure(IN_BOX), own)


def _whole(pair: tuple[int, int], own: SourceSums) -> int | None:
    """A sum, if every counted station has an addend."""
    total, stations = pair
    return total if stations == own.counted else None


def progress(sums: AreaSums) -> dict[str, int]:
    """The progress of an area: how far its stations are."""
    return {
        "stations": sums.stations,
        "opened": sums.opened,
        "cancelled": sums.cancelled,
        **{state: sums.worst[state] for state in STATES},
    }
