"""Seats for votes: the arithmetic alone (docs/tally.md, "Who takes part" and "Lists").

Votes by choice go in, seats by choice come out; what is a contest, an area or a source is not known here.
Every fraction is exact, and a tie is never broken.
"""

import heapq
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import islice
from typing import NamedTuple, TypeAlias

Votes: TypeAlias = Mapping[int, int]
"""Votes by choice."""


class First(NamedTuple):
    """Those with the most votes.

    Attributes:
        taken: who is certainly among them.
        tied: who has equal votes at the last place, so that nobody can say.
    """

    taken: frozenset[int]
    tied: frozenset[int]


class Shared(NamedTuple):
    """Seats as they were shared out.

    Attributes:
        seats: by choice, of all that took part.
        tied: between whom the seats are open that nobody has.
    """

    seats: Mapping[int, int]
    tied: frozenset[int]


def first(number: int, votes: Votes) -> First:
    """The first so many by their votes."""
    if len(votes) <= number:
        return First(frozenset(votes), frozenset())
    if not number:
        return First(frozenset(), frozenset())
    falling = sorted(votes.values(), reverse=True)
    last, behind = falling[number - 1 : number + 1]
    if behind < last:
        return First(frozenset(choice for choice, own in votes.items() if own >= last), frozenset())
    return First(
        frozenset(choice for choice, own in votes.items() if own > last),
        frozenset(choice for choice, own in votes.items() if own == last),
    )


def highest_quotients(votes: Votes, seats: int, cap: int, step: int) -> Shared:
    """A divisor method.

    Args:
        votes: of each list that takes part, above 0.
        seats: to share out, at least 1.
        cap: the most for one list.
        step: between divisors, the first of which is 1: 1 is D'Hondt, 2 is Sainte-Laguë.
    """
    ladders = (_quotients(choice, own, cap, step) for choice, own in votes.items())
    falling = heapq.merge(*ladders, key=lambda rung: rung[0], reverse=True)
    won = list(islice(falling, seats))
    behind = next(falling, None)
    tied: frozenset[int] = frozenset()
    if behind is not None and behind[0] == won[-1][0]:
        open_at = behind[0]
        won = [rung for rung in won if rung[0] > open_at]
        tied = frozenset(
            choice for choice, own in votes.items() if _is_divisor(own / open_at, cap=cap, step=step)
        )
    shared = dict.fromkeys(votes, 0)
    for _, choice in won:
        shared[choice] += 1
    return Shared(shared, tied)


def _quotients(choice: int, votes: int, cap: int, step: int) -> Iterator[tuple[Fraction, int]]:
    for place in range(cap):
        yield Fraction(votes, 1 + step * place), choice


def _is_divisor(number: Fraction, cap: int, step: int) -> bool:
    place, rest = divmod(number - 1, step)
    return rest == 0 and place < cap


def largest_remainders(votes: Votes, seats: int, cap: int) -> Shared:
    """Hare: whole quotas, and the largest remainders; what is above the cap is shared among the others.

    Args:
        votes: of each list that takes part, above 0.
        seats: to share out.
        cap: the most for one list.
    """
    capped: dict[int, int] = {}
    while votes:
        total = sum(votes.values())
        quotas = {choice: divmod(own * seats, total) for choice, own in votes.items()}
        left = seats - sum(whole for whole, _ in quotas.values())
        ahead = first(left, {choice: remainder for choice, (_, remainder) in quotas.items()})
        shared = {choice: whole + (choice in ahead.taken) for choice, (whole, _) in quotas.items()}
        full = {choice for choice, own in shared.items() if own + (choice in ahead.tied) > cap}
        if not full:
            return Shared(capped | shared, ahead.tied)
        capped |= dict.fromkeys(full, cap)
        seats -= cap * len(full)
        votes = {choice: own for choice, own in votes.items() if choice not in full}
    return Shared(capped, frozenset())
