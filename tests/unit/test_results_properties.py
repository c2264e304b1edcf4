"""Seats and outcomes: never a different byte in the two implementations, and what defines each method."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from clients.observer.tally import Tally
from clients.observer.tally.seats import first, highest_quotients, largest_remainders
from clients.wire import jcs, statement
from clients.wire.definition import Definition
from clients.wire.roster import Roster
from gateway import _core
from tests.unit import odd_elections, results_elections
from tests.unit.test_tally_vectors import load
from tests.vectors.tally.build import build
from tests.vectors.tally.forms import Case

Votes = Mapping[int, int]
ROOT = 1

few = st.sampled_from([1, 2, 3, 5, 6, 10, 10, 12, 20, 30, 30, 60, 2**53])
votes_of = st.dictionaries(st.integers(1, 8), few, min_size=1, max_size=6)
seat_numbers = st.sampled_from([1, 2, 3, 5, 8, 13, 100])


def assert_the_same(mine: _core.Tally, theirs: Tally, log: Sequence[bytes]) -> None:
    """Compare the results after every entry."""
    for place, data in enumerate(log):
        assert mine.apply(place, [data]) == 1
        theirs.apply(statement.decode(data))
        said, also = mine.results(ROOT), jcs.write(theirs.results())
        # Where bytes differ, this shows which member does.
        assert json.loads(said) == json.loads(also)
        assert said == also


@given(election=results_elections.elections())
@settings(max_examples=150)
def test_both_implementations_write_the_same_results(election: results_elections.Election) -> None:
    with tempfile.TemporaryDirectory() as root:
        at_definition, at_roster = results_elections.folders(election, Path(root))
        core = _core.Definition.load(at_definition)
        mine = _core.Tally(core, _core.Roster.load(at_roster, core))
        definition = Definition.load(at_definition)
        roster = Roster.load(at_roster, definition)
    log = results_elections.log(election, definition.sha256, roster.sha256)
    assert_the_same(mine, Tally(definition, roster), log)


@given(case=odd_elections.elections())
@settings(max_examples=200)
def test_both_write_the_same_of_what_nobody_would_write(case: Case) -> None:
    built = build(case)
    with tempfile.TemporaryDirectory() as root:
        loaded = load(built, Path(root) / "observer")
        definition = _core.Definition.load(Path(root) / "observer/definition")
        roster = _core.Roster.load(Path(root) / "observer/roster-", definition)
    assert_the_same(_core.Tally(definition, roster), loaded.tally(), built.log)


@given(votes=votes_of, seats=seat_numbers, cap=st.integers(1, 100), step=st.sampled_from([1, 2]))
def test_the_highest_quotients_have_the_seats(votes: Votes, seats: int, cap: int, step: int) -> None:
    cap = min(cap, seats)
    shared = highest_quotients(votes, seats, cap, step)
    quotients = {
        (Fraction(own, 1 + step * place), choice) for choice, own in votes.items() for place in range(cap)
    }
    won = {
        (Fraction(votes[choice], 1 + step * place), choice)
        for choice, own in shared.seats.items()
        for place in range(own)
    }
    left = quotients - won
    if shared.tied:
        level = max(left)[0]
        assert {choice for quotient, choice in left if quotient == level} == shared.tied
        assert len(shared.tied) > seats - len(won) > 0
        assert all(quotient > level for quotient, _ in won)
    else:
        assert len(won) == min(seats, len(quotients))
        assert not won or not left or min(won)[0] > max(left)[0]


@given(votes=votes_of, seats=seat_numbers)
def test_hare_gives_whole_quotas_and_at_most_one_more(votes: Votes, seats: int) -> None:
    shared = largest_remainders(votes, seats, seats)
    total = sum(votes.values())
    remainders = {choice: own * seats % total for choice, own in votes.items()}
    more = {choice: own - votes[choice] * seats // total for choice, own in shared.seats.items()}
    assert set(more.values()) <= {0, 1}
    ahead = [remainders[choice] for choice, own in more.items() if own]
    behind = [remainders[choice] for choice, own in more.items() if not own and choice not in shared.tied]
    tied = {remainders[choice] for choice in shared.tied}
    assert len(tied) <= 1
    falling = [*ahead, *tied, *behind]
    assert not ahead or not behind or min(ahead) > max(behind)
    assert all(min(ahead, default=level + 1) > level > max(behind, default=-1) for level in tied), falling
    open_seats = seats - sum(shared.seats.values())
    assert (0 < open_seats < len(shared.tied)) if shared.tied else open_seats == 0


@given(votes=votes_of, seats=seat_numbers, cap=st.integers(1, 40))
@example(votes={1: 65, 2: 30, 3: 5}, seats=10, cap=4)
def test_nobody_has_more_than_the_cap_and_nothing_is_lost_to_it(votes: Votes, seats: int, cap: int) -> None:
    cap = min(cap, seats)
    shared = largest_remainders(votes, seats, cap)
    assert shared.seats.keys() == votes.keys()
    assert max(shared.seats.values()) <= cap
    if not shared.tied:
        assert sum(shared.seats.values()) == min(seats, cap * len(votes))
    more = {(own, shared.seats[choice]) for choice, own in votes.items()}
    assert [own for _, own in sorted(more)] == sorted(own for _, own in more)


@given(votes=st.dictionaries(st.integers(1, 8), st.integers(0, 4)), number=st.integers(0, 9))
def test_the_first_are_those_whom_no_order_of_equals_moves(votes: Votes, number: int) -> None:
    ahead = first(number, votes)
    falling = sorted(votes, key=lambda choice: votes[choice], reverse=True)
    for order in (falling, sorted(falling, key=lambda choice: (-votes[choice], -choice))):
        taken = set(islice(order, number))
        assert ahead.taken <= taken <= ahead.taken | ahead.tied
    assert not ahead.tied or len(ahead.taken) < number < len(ahead.taken | ahead.tied)


@pytest.mark.parametrize("step", [1, 2])
def test_ten_thousand_seats_are_no_burden(step: int) -> None:
    votes = {choice: 1_000_000 // choice for choice in range(1, 101)}
    assert sum(highest_quotients(votes, 10_000, 10_000, step).seats.values()) <= 10_000
