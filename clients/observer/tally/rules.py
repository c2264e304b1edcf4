"""The rules that judge a packet by the definition alone (docs/tally.md, "Rules on packets").

What they say of a packet never changes, so each packet is judged once. Rules that look at other packets or at
decisions are in `station`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from clients.observer.tally.packet import (
    ABSENT_IS_ZERO,
    BLANK,
    DOCUMENTS,
    IN_BOX,
    INVALID,
    ISSUED,
    ISSUED_EARLY,
    ISSUED_OUTSIDE,
    OPENING,
    REGISTERED,
    REGISTERED_ADDITIONAL,
    RESULT,
    RETURNED_BY_BOX,
    TURNOUT,
    VALID,
    Count,
    Packet,
)
from clients.wire.definition import STANDARD_FIGURES, Check, Definition, Station

# Nothing that is counted at one station is more; it keeps every sum below 2^53 (docs/tally.md, "Limits").
MAX_VALUE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the definition alone says of a packet.

    Attributes:
        codes: of the rules that it fails, in no order.
        sound: whether it passes H100 and H101.
        passing: the contests that it passes for.
        figures: each contest's figures, of results and protocols.
        found: Σ (in_box + returned_by_box) over the contests, for S210; None where S210 is not asked.
    """

    codes: frozenset[str]
    sound: bool = True
    passing: frozenset[int] = frozenset()
    figures: Mapping[int, Mapping[int, int]] | None = None
    found: int | None = None


@dataclass(frozen=True, slots=True)
class Ballot:
    """A contest's choices by their place in a packet's votes.

    Attributes:
        choices: numbers, ascending.
        main: places of the choices that are no preferences.
        lists: place of each list, with the places of its preferences.
        marks: how many choices a ballot paper may mark.
        preferences: how many preferences of a list.
    """

    choices: tuple[int, ...]
    main: tuple[int, ...]
    lists: tuple[tuple[int, tuple[int, ...]], ...]
    marks: int
    preferences: int

    def total(self, votes: Sequence[int]) -> int:
        """Σ votes, without preferences."""
        return sum(votes[place] for place in self.main)


def ballots(definition: Definition) -> dict[int, Ballot]:
    """Every contest's."""
    found: dict[int, Ballot] = {}
    for number, contest in definition.contests.items():
        choices = definition.choices[number]
        found[number] = Ballot(
            choices=tuple(choice.choice for choice in choices),
            main=tuple(place for place, choice in enumerate(choices) if choice.list is None),
            lists=tuple(
                (
                    place,
                    tuple(inner for inner, member in enumerate(choices) if member.list == choice.choice),
                )
                for place, choice in enumerate(choices)
                if choice.kind == "list"
            ),
            marks=contest.marks,
            preferences=contest.preferences,
        )
    return found


def given_out(figures: Mapping[int, int]) -> int | None:
    """Figures issued + issued_outside + issued_early; None without issued."""
    issued = figures.get(ISSUED)
    if issued is None:
        return None
    return issued + figures.get(ISSUED_OUTSIDE, 0) + figures.get(ISSUED_EARLY, 0)


class Rules:
    """One definition's rules on packets."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._rules = definition.rules
        self._codes = {*STANDARD_FIGURES.values(), *definition.figures}
        self._checks = tuple(definition.checks.values())
        self.ballots: Final = ballots(definition)

    def judge(self, packet: Packet, station: Station) -> Judgement:
        """What the definition alone says of a packet that names this station."""
        if packet.report == DOCUMENTS:
            return Judgement(frozenset())
        codes: set[str] = set()
        too_large = any(value > MAX_VALUE for value in _values(packet))
        if too_large:
            codes.add("H100")
        if packet.report == OPENING:
            if any(any(count.votes) for count in packet.counts):
                codes.add("S209")
            return Judgement(frozenset(codes), sound=not too_large)
        if _other_registered(packet, station):
            codes.add("S213")
        if packet.report == TURNOUT:
            return Judgement(frozenset(codes), sound=not too_large)
        figures = {count.contest: packet.figures(count) for count in packet.counts}
        if not self._complete(packet, station, figures):
            codes.add("H101")
        if not codes.isdisjoint(("H100", "H101")):
            return Judgement(frozenset(codes), sound=False, figures=figures)
        return self._arithmetic(packet, station, figures, codes)

    def _complete(self, packet: Packet, station: Station, figures: Mapping[int, Mapping[int, int]]) -> bool:
        """H101."""
        voters = {code for code, _ in packet.voters}
        return (
            all(
                count.contest in station.contests
                and len(count.votes) == len(self.ballots[count.contest].choices)
                for count in packet.counts
            )
            and (packet.report != RESULT or len(packet.counts) == len(station.contests))
            and all(own.keys() <= self._codes for own in figures.values())
            and voters.issuperset(self._rules.required_voters)
            and all(own.keys() >= set(self._rules.required) for own in figures.values())
        )

    def _arithmetic(
        self, packet: Packet, station: Station, figures: Mapping[int, Mapping[int, int]], codes: set[str]
    ) -> Judgement:
        passing: set[int] = set()
        for count in packet.counts:
            own: dict[int, int] = {**ABSENT_IS_ZERO, **figures[count.contest]}
            if station.registered is not None:
                own.setdefault(REGISTERED, station.registered)
            hard = set(self._hard(count, own))
            codes |= hard
            codes.update(self._soft(own))
            if hard <= ({"H104"} if self._rules.h104 == "soft" else set()):
                passing.add(count.contest)
        found = None
        if all(IN_BOX in own for own in figures.values()):
            found = sum(own[IN_BOX] + own.get(RETURNED_BY_BOX, 0) for own in figures.values())
        return Judgement(frozenset(codes), passing=frozenset(passing), figures=figures, found=found)

    def _hard(self, count: Count, own: Mapping[int, int]) -> Iterator[str]:
        if own.keys() >= {VALID, INVALID, IN_BOX} and own[VALID] + own[BLANK] + own[INVALID] != own[IN_BOX]:
            yield "H102"
        ballot = self.ballots[count.contest]
        if VALID in own:
            total, most = ballot.total(count.votes), own[VALID] * ballot.marks
            if total > most or (ballot.marks == 1 and total < most):
                yield "H103"
        if self._rules.h104 != "off" and self._too_many(own):
            yield "H104"
        for place, members in ballot.lists:
            if sum(count.votes[member] for member in members) > count.votes[place] * ballot.preferences:
                yield "H108"
        for check in self._checks:
            if check.severity == "hard" and not _holds(check, own):
                yield f"H109.{check.check}"

    def _too_many(self, own: Mapping[int, int]) -> bool:
        """H104, each half where its figures are there."""
        given = given_out(own)
        if given is None:
            return False
        tolerance = self._rules.h104_tolerance
        in_box, registered = own.get(IN_BOX), own.get(REGISTERED)
        return (in_box is not None and in_box > given + tolerance) or (
            registered is not None and given > registered + own[REGISTERED_ADDITIONAL] + tolerance
        )

    def _soft(self, own: Mapping[int, int]) -> Iterator[str]:
        if own.keys() >= {INVALID, IN_BOX}:
            spoilt = own[BLANK] + own[INVALID]
            if 100 * spoilt > self._rules.s202_percent * own[IN_BOX]:
                yield "S202"
        for check in self._checks:
            if check.severity == "soft" and not _holds(check, own):
                yield f"S214.{check.check}"


def _values(packet: Packet) -> Iterator[int]:
    """What H100 looks at."""
    for _, value in packet.voters:
        yield value
    for count in packet.counts:
        for _, value in count.figures:
            yield value
        yield from count.votes


def _other_registered(packet: Packet, station: Station) -> bool:
    """S213."""
    if station.registered is None:
        return False
    stated = [*packet.voters, *(figure for count in packet.counts for figure in count.figures)]
    return any(code == REGISTERED and value != station.registered for code, value in stated)


def _holds(check: Check, own: Mapping[int, int]) -> bool:
    """Whether a national check holds, or is not asked."""
    if not all(code in own for code in (*check.left, *check.right)):
        return True
    left = sum(own[code] for code in check.left)
    right = sum(own[code] for code in check.right)
    apart = left - right if check.op == "<=" else abs(left - right)
    return apart <= check.tolerance
