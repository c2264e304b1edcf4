"""What the votes of one contest and source mean by its rules: thresholds, quorum, seats (docs/tally.md).

Asked of the whole election, where all stations of a contest are. Nothing is said before the contest is
settled, and no rounded share decides anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from clients.observer.tally.areas import SourceSums
from clients.observer.tally.packet import IN_BOX
from clients.observer.tally.rules import Ballot
from clients.observer.tally.seats import Votes, first, highest_quotients, largest_remainders
from clients.observer.tally.shares import base, whole
from clients.wire.definition import Choice, Contest
from clients.wire.tables import MAX_HUNDREDTHS

Reached: TypeAlias = Literal["open", "passed", "failed"]
Word: TypeAlias = Literal["none", "open", "no-quorum", "tie", "run-off", "decided"]
Seats: TypeAlias = Mapping[int, int] | None
"""By choice, of all choices; None where nothing is said, and in a referendum."""

_STEPS: Final[Mapping[str, int]] = {"dhondt": 1, "sainte-lague": 2}


class Outcome(NamedTuple):
    """Who has won, or why nobody can say.

    Attributes:
        word: of the contest.
        choices: whom it is about, ascending.
        seats: what they have.
    """

    word: Word
    choices: tuple[int, ...] = ()
    seats: Seats = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that is said of one contest and source.

    Attributes:
        thresholds: each choice that a threshold is for, with its word.
        quorum: its word; None: there is none.
        outcome: who has won.
    """

    thresholds: Mapping[int, Reached]
    quorum: Reached | None
    outcome: Outcome


@dataclass(slots=True)
class _Race:
    """Seats as far as they are given, and what is open; `run_off` is empty where none is needed."""

    seats: dict[int, int]
    tied: set[int] = field(default_factory=set)
    run_off: frozenset[int] = frozenset()


class Reckoning:
    """One contest in one source.

    Args:
        contest: the definition's.
        choices: its own, ascending.
        ballot: their places.
        sums: of the whole election.
        regions: of each area of the threshold's level that has a counted station.
    """

    def __init__(
        self,
        contest: Contest,
        choices: Sequence[Choice],
        ballot: Ballot,
        sums: SourceSums,
        regions: Sequence[SourceSums],
    ) -> None:
        self._contest = contest
        self._choices = choices
        self._ballot = ballot
        self._sums = sums
        self._regions = regions
        self._votes: Votes = self._by_choice(sums)
        main = [choice for choice in choices if choice.list is None]
        self._takers = [choice for choice in main if choice.kind != "against_all"]
        self._against = [choice.choice for choice in main if choice.kind == "against_all"]
        states = sums.states
        waiting = states["silent"] + states["partial"] + states["held"]
        self._settled = bool(sums.counted) and not waiting

    def _by_choice(self, sums: SourceSums) -> dict[int, int]:
        return {choice.choice: own for choice, own in zip(self._choices, sums.votes, strict=True)}

    def _base(self, word: str, sums: SourceSums) -> int | None:
        return base(word, sums, self._ballot)

    def verdict(self) -> Verdict:
        """All that is said."""
        thresholds, quorum = self._thresholds(), self._quorum()
        return Verdict(thresholds, quorum, self._outcome(thresholds, quorum))

    def _thresholds(self) -> dict[int, Reached]:
        contest = self._contest
        if contest.threshold is None and contest.threshold_area is None:
            return {}
        of = contest.share_of if contest.threshold is None else contest.threshold_of
        asked = [
            taker.choice for taker in self._takers if contest.kind != "referendum" or taker.kind == "yes"
        ]
        if not self._settled or self._base(of, self._sums) is None:
            return dict.fromkeys(asked, "open")
        places = [(contest.threshold, self._sums)]
        places += [(contest.threshold_area, region) for region in self._regions]
        missed = {
            choice
            for percent, sums in places
            for choice, votes in self._by_choice(sums).items()
            if percent is not None and not _reaches(votes, percent, self._base(of, sums))
        }
        return {choice: "failed" if choice in missed else "passed" for choice in asked}

    def _quorum(self) -> Reached | None:
        contest = self._contest
        if contest.quorum is None:
            return None
        in_box = whole(self._sums.figure(IN_BOX), self._sums)
        of = self._base(contest.quorum_of, self._sums)
        if not self._settled or in_box is None or of is None:
            return "open"
        return "passed" if _reaches(in_box, contest.quorum, of) else "failed"

    def _outcome(self, thresholds: Mapping[int, Reached], quorum: Reached | None) -> Outcome:
        if not self._sums.counted:
            return Outcome("none")
        if not self._settled or quorum == "open":
            return Outcome("open")
        if quorum == "failed":
            return Outcome("no-quorum")
        if "open" in thresholds.values():
            return Outcome("open")
        failed = {choice for choice, word in thresholds.items() if word == "failed"}
        if self._contest.kind == "referendum":
            return self._referendum(failed)
        eligible = {
            taker.choice: self._votes[taker.choice]
            for taker in self._takers
            if self._votes[taker.choice] and taker.choice not in failed
        }
        race = self._race(eligible)
        if race is None:
            return Outcome("open")
        self._prefer(race)
        seats = dict.fromkeys(self._votes, 0) | race.seats
        if race.tied:
            return Outcome("tie", tuple(sorted(race.tied)), seats)
        if race.run_off:
            return Outcome("run-off", tuple(sorted(race.run_off)), seats)
        return Outcome("decided", tuple(self._winners(race.seats)), seats)

    def _referendum(self, failed: set[int]) -> Outcome:
        yes = [taker.choice for taker in self._takers if taker.kind == "yes"]
        no = [taker.choice for taker in self._takers if taker.kind == "no"]
        if len(yes) != 1 or len(no) != 1:
            return Outcome("open")
        for_it, against_it = self._votes[yes[0]], self._votes[no[0]]
        if self._contest.method == "plurality":
            if for_it == against_it and not failed:
                return Outcome("tie", tuple(sorted(yes + no)))
            wins = for_it > against_it
        else:
            of = self._base(self._contest.share_of, self._sums)
            if of is None:
                return Outcome("open")
            wins = 2 * for_it > of
        return Outcome("decided", tuple(yes if wins and not failed else no))

    def _race(self, eligible: Votes) -> _Race | None:
        """Seats of choices that are no preferences; None: the base that decides is not known."""
        contest = self._contest
        match contest.method:
            case "plurality":
                return self._plurality(eligible)
            case "majority":
                of = self._base(contest.share_of, self._sums)
                return None if of is None else self._majority(eligible, of)
        cap = contest.seats
        if contest.seat_cap is not None:
            cap = max(1, contest.seats * contest.seat_cap // MAX_HUNDREDTHS)
        if contest.method == "hare":
            shared = largest_remainders(eligible, contest.seats, cap)
        else:
            shared = highest_quotients(eligible, contest.seats, cap, _STEPS[contest.method])
        return _Race(dict(shared.seats), set(shared.tied))

    @property
    def _places(self) -> int:
        """How many can win: a list takes all seats at once."""
        return 1 if self._contest.kind == "list" else self._contest.seats

    def _won(self, winners: frozenset[int]) -> dict[int, int]:
        return dict.fromkeys(winners, self._contest.seats if self._contest.kind == "list" else 1)

    @property
    def _against_all(self) -> int:
        return sum(self._votes[choice] for choice in self._against)

    def _plurality(self, eligible: Votes) -> _Race:
        liked = {choice: votes for choice, votes in eligible.items() if votes >= self._against_all}
        ahead = first(self._places, liked)
        return _Race(self._won(ahead.taken), set(ahead.tied))

    def _majority(self, eligible: Votes, of: int) -> _Race:
        half = {choice: votes for choice, votes in eligible.items() if 2 * votes > of}
        ahead = first(self._places, half)
        race = _Race(self._won(ahead.taken), set(ahead.tied))
        left = self._places - len(ahead.taken)
        others = {choice: votes for choice, votes in eligible.items() if choice not in half}
        if ahead.tied or not left or len(others) <= left or self._against_all > max(others.values()):
            return race
        second = first(2 * left, others)
        if second.tied:
            race.tied |= second.tied
        else:
            race.run_off = second.taken
        return race

    def _prefer(self, race: _Race) -> None:
        """Give the seats of each list to its choices with the most votes."""
        takers = {taker.choice for taker in self._takers}
        for heading in {choice.list for choice in self._choices if choice.list is not None}:
            members = {
                choice.choice: self._votes[choice.choice]
                for choice in self._choices
                if choice.list == heading
            }
            ahead = first(race.seats.get(heading, 0) if heading in takers else 0, members)
            race.seats.update(dict.fromkeys(ahead.taken, 1))
            race.tied |= ahead.tied

    def _winners(self, seats: Mapping[int, int]) -> list[int]:
        """Takers that have a seat; without one against all, if it is ahead of them."""
        winners = [taker.choice for taker in self._takers if seats.get(taker.choice)]
        ahead = all(self._against_all > self._votes[taker.choice] for taker in self._takers)
        return winners or (self._against if ahead else [])


def _reaches(part: int, percent: int, of: int | None) -> bool:
    """Whether a part is at least so many hundredths of a percent; of a base that is there."""
    return of is not None and MAX_HUNDREDTHS * part >= percent * of
