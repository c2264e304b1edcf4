"""What `results` may say of a contest: the gate's view (docs/tally.md, "From the integers").

What lives here: `Outcomes`, which holds the published results against the integers of areas that were read
back. Shares, thresholds and quorums are judged by their formulas; seats by what defines them: nobody without
a seat has a larger claim than somebody with one, sums are right, and who may not win has won nothing. So it
says whether an answer is the right one, and never makes one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

import msgspec

from gateway import _core
from gateway.feed.models import Result
from gateway.feed.objects import MAX_NUMBER, Area, Row, Sum, Sums
from gateway.publish.protocol import GateError

_WHOLE: Final = 10_000
_IN_BOX: Final = 9
_VALID: Final = 11


class Outcomes:
    """The rules about results.

    Args:
        definition: the election's.
    """

    def __init__(self, definition: _core.Definition) -> None:
        self._ballots = {
            one.number: _Ballot(one, definition.choices(one.number)) for one in definition.contests
        }

    def judge(
        self,
        results: Sequence[Result],
        root: Area[Row],
        at_level: Callable[[str], Iterable[Area[msgspec.Raw]]],
    ) -> None:
        """Judges the results of the root.

        Args:
            results: as published.
            root: its object.
            at_level: the objects of the areas of a level.

        Raises:
            GateError: rules ``share``, ``threshold`` and ``seats``.
        """
        races = [
            _Race(self._ballots[contest.contest], source, sums, root.area)
            for contest in root.contests
            for source, sums in ((1, contest.machine), (2, contest.protocol))
        ]
        if [(race.number, race.source) for race in races] != [(one.contest, one.source) for one in results]:
            raise GateError("share", root.area, None, "`results` has other contests than the root's object")
        areas = {
            level: list(at_level(level)) for level in {race.level for race in races} if level is not None
        }
        for race, result in zip(races, results, strict=True):
            race.judge_shares(result)
            parts = _of_contest(areas.get(race.level or "", ()), race.number, race.source)
            race.judge_thresholds(result, list(parts))
            race.judge_outcome(result)


def _of_contest(areas: Iterable[Area[msgspec.Raw]], number: int, source: int) -> Iterator[Sums]:
    for area in areas:
        for contest in area.contests:
            if contest.contest == number:
                yield contest.machine if source == 1 else contest.protocol


class _Ballot:
    """A contest and the numbers of its choices.

    Attributes:
        contest: what the definition says of it.
        choices: all, in the order of votes.
        takers: those that can win, with their kinds.
        against_all: of that kind.
        lists: the preferences of each list.
        plain: places among the votes of the choices that are no preferences.
    """

    def __init__(self, contest: _core.Contest, choices: Sequence[_core.Choice]) -> None:
        self.contest: Final = contest
        self.choices: Final = [choice.number for choice in choices]
        self.takers: Final[dict[int, str]] = {}
        self.against_all: Final[list[int]] = []
        self.lists: Final[dict[int, list[int]]] = {}
        self.plain: Final[list[int]] = []
        for place, choice in enumerate(choices):
            if choice.list is not None:
                self.lists.setdefault(choice.list, []).append(choice.number)
                continue
            self.plain.append(place)
            if choice.kind == "against_all":
                self.against_all.append(choice.number)
            else:
                self.takers[choice.number] = choice.kind


class _Claim(NamedTuple):
    """What a result says: seats by choice; the choices that are tied; those of a second round."""

    seats: Mapping[int, int]
    tied: frozenset[int]
    run_off: frozenset[int]


class _Race:
    """A contest in one source, with what decides it."""

    def __init__(self, ballot: _Ballot, source: int, sums: Sums, root: int) -> None:
        self.number: Final = ballot.contest.number
        self.source: Final = source
        self._ballot = ballot
        self._contest = ballot.contest
        self._root = root
        self._sums = sums
        self._votes = dict(zip(ballot.choices, sums.votes, strict=True))
        self._against = sum(self._votes[choice] for choice in ballot.against_all)
        self._is_settled = sums.counted > 0 and not sums.silent + sums.partial + sums.held

    @property
    def level(self) -> str | None:
        """The level whose areas `judge_thresholds` needs; None: no area is asked."""
        asked = self._contest.threshold_area
        return None if asked is None or not self._is_settled else asked[1]

    def _refused(self, rule: str, detail: str) -> GateError:
        source = "machine" if self.source == 1 else "protocol"
        return GateError(rule, self._root, None, f"contest {self.number}, {source}: {detail}")

    # --- Shares

    def judge_shares(self, result: Result) -> None:
        """Rule ``share``."""
        base = self._base(self._contest.share_of, self._sums)
        in_box, registered = self._base("in_box", self._sums), self._base("registered", self._sums)
        said = [(one.choice, one.votes, one.share) for one in result.choices]
        shares = [(choice, votes, _share(votes, base)) for choice, votes in self._votes.items()]
        turnout = None if in_box is None else _share(in_box, registered)
        if (result.base, said, result.turnout) != (base, shares, turnout):
            raise self._refused("share", "base, shares or turnout are not what the root's sums give")

    def _base(self, word: str, sums: Sums) -> int | None:
        """What a word stands for; None: not every counted station has it."""
        figures = {code: (total, stations) for code, total, stations in sums.figures}
        whole: dict[str, Sum] = {
            "votes": (sum(sums.votes[place] for place in self._ballot.plain), sums.counted),
            "registered": sums.registered,
            "valid": figures.get(_VALID, (0, 0)),
            "in_box": figures.get(_IN_BOX, (0, 0)),
        }
        total, stations = whole[word]
        return total if stations == sums.counted else None

    # --- Thresholds and quorum

    def judge_thresholds(self, result: Result, parts: Sequence[Sums]) -> None:
        """Rule ``threshold``; `parts` are the sums in the areas of `level`."""
        if list(result.thresholds) != self._thresholds(parts):
            raise self._refused("threshold", "`thresholds` is not what the sums give")
        if result.quorum != self._quorum():
            raise self._refused("threshold", "`quorum` is not what the sums give")

    def _thresholds(self, parts: Sequence[Sums]) -> list[tuple[int, str]]:
        threshold, in_areas = self._contest.threshold, self._contest.threshold_area
        if threshold is None and in_areas is None:
            return []
        of = self._contest.share_of if threshold is None else threshold[1]
        base = self._base(of, self._sums) if self._is_settled else None
        question = self._contest.kind == "referendum"
        asked = [choice for choice, kind in self._ballot.takers.items() if not question or kind == "yes"]
        if base is None:
            return [(choice, "open") for choice in asked]
        places = {choice: place for place, choice in enumerate(self._ballot.choices)}
        counted = [(part.votes, self._base(of, part) or 0) for part in parts if part.counted]
        words = []
        for choice in asked:
            passed = threshold is None or _reaches(self._votes[choice], threshold[0], base)
            if in_areas is not None:
                place = places[choice]
                passed &= all(_reaches(votes[place], in_areas[0], own) for votes, own in counted)
            words.append((choice, "passed" if passed else "failed"))
        return words

    def _quorum(self) -> str | None:
        quorum = self._contest.quorum
        if quorum is None:
            return None
        in_box, base = self._base("in_box", self._sums), self._base(quorum[1], self._sums)
        if not self._is_settled or in_box is None or base is None:
            return "open"
        return "passed" if _reaches(in_box, quorum[0], base) else "failed"

    # --- Seats and outcome

    def judge_outcome(self, result: Result) -> None:
        """Rule ``seats``; thresholds and quorum are judged already."""
        word, named = result.outcome.word, result.outcome.choices
        if list(named) != sorted(set(named)):
            raise self._refused("seats", "the outcome's choices do not ascend")
        seats = {one.choice: one.seats for one in result.choices}
        early = self._too_early(result)
        question = self._contest.kind == "referendum"
        if early is not None or question:
            if any(own is not None for own in seats.values()):
                raise self._refused("seats", "there are seats where none can be")
            expected = (early, ()) if early is not None else self._answer(result)
            if (word, named) != expected:
                raise self._refused("seats", f"the outcome is not {expected[0]}")
            return
        given = {choice: own for choice, own in seats.items() if own is not None}
        if len(given) != len(seats):
            raise self._refused("seats", "a choice is without a number of seats")
        if word not in ("tie", "run-off", "decided"):
            raise self._refused("seats", f"the outcome cannot be {word}")
        claim = _Claim(
            given,
            frozenset(named if word == "tie" else ()),
            frozenset(named if word == "run-off" else ()),
        )
        failed = {choice for choice, judged in result.thresholds if judged == "failed"}
        eligible = {
            choice: self._votes[choice]
            for choice in self._ballot.takers
            if self._votes[choice] and choice not in failed
        }
        if not self._is_right(claim, eligible):
            raise self._refused("seats", "seats or outcome are not those of the votes")
        if word != "decided" and not named:
            raise self._refused("seats", f"a {word} between nobody")
        if word == "decided" and list(named) != self._winners(given):
            raise self._refused("seats", "the outcome names others than those who have won")

    def _too_early(self, result: Result) -> str | None:
        """The word where nobody can have a seat; None: somebody can."""
        if not self._sums.counted:
            return "none"
        if not self._is_settled or result.quorum == "open":
            return "open"
        if result.quorum == "failed":
            return "no-quorum"
        if any(word == "open" for _, word in result.thresholds):
            return "open"
        method, question = self._contest.method, self._contest.kind == "referendum"
        kinds = list(self._ballot.takers.values())
        if question and (kinds.count("yes"), kinds.count("no")) != (1, 1):
            return "open"
        needs_base = method == "majority" or (question and method != "plurality")
        return "open" if needs_base and self._base(self._contest.share_of, self._sums) is None else None

    def _answer(self, result: Result) -> tuple[str, tuple[int, ...]]:
        """The outcome of a referendum that can be said."""
        of_kind = {kind: choice for choice, kind in self._ballot.takers.items()}
        yes, no = of_kind["yes"], of_kind["no"]
        failed = (yes, "failed") in result.thresholds
        base = self._base(self._contest.share_of, self._sums)
        lead = self._votes[yes] - self._votes[no]
        if self._contest.method != "plurality":
            lead = 2 * self._votes[yes] - (base or 0)
        elif lead == 0 and not failed:
            return "tie", tuple(sorted((yes, no)))
        return "decided", (yes if lead > 0 and not failed else no,)

    def _is_right(self, claim: _Claim, eligible: Mapping[int, int]) -> bool:
        """Whether seats, ties and second round are what defines them."""
        won = {choice for choice in self._ballot.takers if claim.seats[choice]}
        if not won <= eligible.keys() or any(claim.seats[choice] for choice in self._ballot.against_all):
            return False
        if not claim.tied <= self._votes.keys() - self._ballot.against_all or not self._preferred(claim):
            return False
        tied = claim.tied & self._ballot.takers.keys()
        match self._contest.method:
            case "plurality" | "majority":
                prize = self._contest.seats if self._contest.kind == "list" else 1
                if any(claim.seats[choice] != prize for choice in won):
                    return False
                if self._contest.method == "majority":
                    return self._by_majority(claim, tied, eligible, won)
                ahead = {choice: votes for choice, votes in eligible.items() if votes >= self._against}
                return not claim.run_off and _are_first(self._places, ahead, won, tied)
            case "hare":
                return not claim.run_off and self._by_hare(claim.seats, tied, eligible)
            case _:
                return not claim.run_off and self._by_divisors(claim.seats, tied, eligible)

    def _preferred(self, claim: _Claim) -> bool:
        """Whether each list's seats are its most preferred candidates'."""
        for number, candidates in self._ballot.lists.items():
            own = claim.seats[number] if number in self._ballot.takers else 0
            if any(claim.seats[choice] > 1 for choice in candidates):
                return False
            members = {choice: self._votes[choice] for choice in candidates}
            chosen = [choice for choice in candidates if claim.seats[choice]]
            if not _are_first(own, members, chosen, claim.tied & members.keys()):
                return False
        return True

    @property
    def _places(self) -> int:
        return 1 if self._contest.kind == "list" else self._contest.seats

    def _by_majority(
        self, claim: _Claim, tied: Collection[int], eligible: Mapping[int, int], won: Collection[int]
    ) -> bool:
        """Whether those with more than half have won, and the others have the second round that is left."""
        base = self._base(self._contest.share_of, self._sums) or 0
        above = {choice: votes for choice, votes in eligible.items() if 2 * votes > base}
        others = {choice: votes for choice, votes in eligible.items() if choice not in above}
        if any(choice in above for choice in tied):
            return not claim.run_off and _are_first(self._places, above, won, tied)
        if not _are_first(self._places, above, won, ()):
            return False
        left = self._places - len(won)
        if not left or len(others) <= left or self._against > max(others.values()):
            return not claim.run_off and not tied
        if tied:
            most = max(self._votes[choice] for choice in tied)
            ahead = {choice for choice, votes in others.items() if votes > most}
            return _are_first(2 * left, others, ahead, tied)
        # Tied candidates of a list that has won stand before the second round: then it is not named.
        second = claim.run_off or sorted(others, key=others.__getitem__)[-2 * left :]
        return bool(claim.run_off or claim.tied) and _are_first(2 * left, others, second, ())

    def _cap(self) -> int:
        cap, seats = self._contest.seat_cap, self._contest.seats
        return seats if cap is None else max(1, seats * cap // _WHOLE)

    def _by_divisors(
        self, seats: Mapping[int, int], tied: Collection[int], eligible: Mapping[int, int]
    ) -> bool:
        """Whether every quotient that is a seat is larger than every one that is none."""
        cap, step = self._cap(), 1 if self._contest.method == "dhondt" else 2
        if any(seats[choice] > cap for choice in eligible):
            return False
        last = [
            Fraction(votes, 1 + step * (seats[choice] - 1))
            for choice, votes in eligible.items()
            if seats[choice]
        ]
        behind = {
            choice: Fraction(votes, 1 + step * seats[choice])
            for choice, votes in eligible.items()
            if seats[choice] < cap
        }
        largest = max(behind.values(), default=Fraction(0))
        left = self._contest.seats - sum(seats[choice] for choice in eligible)
        if left < 0 or (last and min(last) <= largest):
            return False
        if not left or not behind:
            return not tied
        equal = {choice for choice, quotient in behind.items() if quotient == largest}
        return tied == equal and left < len(equal)

    def _by_hare(self, seats: Mapping[int, int], tied: Collection[int], waiting: Mapping[int, int]) -> bool:
        """Whether seats are whole quotas and the largest remainders, of those who are not at the cap."""
        left, cap = self._contest.seats, self._cap()
        while True:
            total = sum(waiting.values())
            quotas = {choice: left * votes // total for choice, votes in waiting.items()}
            rests = {choice: left * votes % total for choice, votes in waiting.items()}
            more = left - sum(quotas.values())
            above = {
                choice
                for choice, quota in quotas.items()
                if quota > cap
                or (quota == cap and sum(rest > rests[choice] for rest in rests.values()) < more)
            }
            if not above:
                break
            if any(seats[choice] != cap for choice in above):
                return False
            left -= cap * len(above)
            waiting = {choice: votes for choice, votes in waiting.items() if choice not in above}
        beyond = {choice: seats[choice] - quota for choice, quota in quotas.items()}
        if any(one not in (0, 1) for one in beyond.values()):
            return False
        return _are_first(more, rests, [choice for choice, one in beyond.items() if one], tied)

    def _winners(self, seats: Mapping[int, int]) -> list[int]:
        won = [choice for choice in self._ballot.takers if seats[choice]]
        if not won and all(self._votes[choice] < self._against for choice in self._ballot.takers):
            return self._ballot.against_all
        return won


def _are_first(count: int, numbers: Mapping[int, int], taken: Collection[int], tied: Collection[int]) -> bool:
    """Whether those taken are the first by their numbers, and those tied the ones between whom it is open."""
    named = {*taken, *tied}
    if not named <= numbers.keys() or len(named) < len(taken) + len(tied):
        return False
    least = min((numbers[choice] for choice in taken), default=None)
    rest = [number for choice, number in numbers.items() if choice not in named]
    if not tied:
        is_clear = least is None or not rest or least > max(rest)
        return len(taken) == min(count, len(numbers)) and is_clear
    border = {numbers[choice] for choice in tied}
    most = max(border)
    return (
        len(border) == 1
        and (least is None or least > most)
        and all(number < most for number in rest)
        and len(taken) < count < len(taken) + len(tied)
    )


def _reaches(part: int, hundredths: int, base: int) -> bool:
    return _WHOLE * part >= hundredths * base


def _share(part: int, base: int | None) -> int | None:
    """Hundredths of a percent, rounded half up."""
    if not base:
        return None
    return min(MAX_NUMBER, (2 * _WHOLE * part + base) // (2 * base))
