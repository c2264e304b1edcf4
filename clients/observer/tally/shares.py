"""Shares, what they are shares of, and progress (docs/tally.md, "From the integers")."""

from typing import Final

from clients.observer.tally.areas import AreaSums, SourceSums
from clients.observer.tally.counts import STATES
from clients.observer.tally.packet import IN_BOX, VALID
from clients.observer.tally.rules import Ballot
from clients.wire.text import MAX_NUMBER

_HUNDREDTHS: Final = 10_000


def share(part: int, base: int | None) -> int | None:
    """Hundredths of a percent, rounded half up; None without a base."""
    if not base:
        return None
    return min((2 * _HUNDREDTHS * part + base) // (2 * base), MAX_NUMBER)


def base(word: str, sums: SourceSums, ballot: Ballot) -> int | None:
    """What a word of the definition takes percentages of; None unless every counted station has it."""
    match word:
        case "votes":
            return ballot.total(sums.votes)
        case "registered":
            return whole(sums.registered.pair, sums)
        case "valid":
            return whole(sums.figure(VALID), sums)
        case _:
            return whole(sums.figure(IN_BOX), sums)


def whole(pair: tuple[int, int], sums: SourceSums) -> int | None:
    """A sum and its number of addends: the sum, if every counted station has one."""
    total, stations = pair
    return total if stations == sums.counted else None


def progress(sums: AreaSums) -> dict[str, int]:
    """The progress of an area: how far its stations are."""
    return {
        "stations": sums.stations,
        "opened": sums.opened,
        "cancelled": sums.cancelled,
        **{state: sums.worst[state] for state in STATES},
    }
