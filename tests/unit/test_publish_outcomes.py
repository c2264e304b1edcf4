"""The gate about seats and outcome: what follows from the votes passes, and nothing else does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from gateway import _core
from gateway.feed.models import JudgedWord, Outcome, OutcomeWord, Result
from gateway.feed.objects import Area, Row
from gateway.publish.outcomes import Outcomes
from gateway.publish.protocol import GateError
from tests.unit.feed_helpers import Publisher
from tests.unit.publish_forgery import Node, caught, latest
from tests.unit.results_elections import Election, Report, elections, load

_RESULTS = msgspec.json.Decoder(tuple[Result, ...])
_AREA = msgspec.json.Decoder(Area[Row])
_PARTS = msgspec.json.Decoder(Area[msgspec.Raw])
OUTCOMES: tuple[OutcomeWord, ...] = ("none", "open", "no-quorum", "tie", "run-off", "decided")
WORDS: tuple[JudgedWord, ...] = ("open", "passed", "failed")
AREAS = {"country": (1,), "region": (2, 3), "abroad": (4,)}


class Counted:
    """An election as the tally has it, to be judged."""

    def __init__(self, election: Election, root: Path) -> None:
        self.definition, roster, log = load(election, root)
        tally = _core.Tally(self.definition, roster)
        assert tally.apply(0, log) == len(log)
        self.root = _AREA.decode(tally.area(1))
        self.parts = {
            level: [_PARTS.decode(tally.area(area)) for area in areas] for level, areas in AREAS.items()
        }
        self.results = _RESULTS.decode(tally.results(1))

    def judge(self, result: Result) -> None:
        """The machine's result; the protocol's is as it was."""
        results = (result, *self.results[1:])
        Outcomes(self.definition).judge(results, self.root, self.parts.__getitem__)


@settings(max_examples=200, deadline=None)
@given(elections())
def test_what_the_votes_give_passes(election: Election) -> None:
    with TemporaryDirectory() as folder:
        counted = Counted(election, Path(folder))
        counted.judge(counted.results[0])


def other(data: DataObject, result: Result, most: int) -> Result:
    """A result that says something else: some seats, the outcome, a word."""
    choices = list(result.choices)
    numbers = [one.choice for one in choices]
    for _ in range(data.draw(st.integers(0, 3), "seats")):
        place = data.draw(st.integers(0, len(choices) - 1))
        own = data.draw(st.sampled_from((0, 1, 1, 2, most)))
        choices[place] = msgspec.structs.replace(choices[place], seats=own)
    outcome, quorum, thresholds = result.outcome, result.quorum, result.thresholds
    if data.draw(st.booleans(), "outcome"):
        named = data.draw(st.sets(st.sampled_from(numbers), max_size=3))
        winners = {one.choice for one in choices if one.seats}
        said = data.draw(st.sampled_from((named, winners)))
        outcome = Outcome(tuple(sorted(said)), data.draw(st.sampled_from(OUTCOMES)))
    if not data.draw(st.integers(0, 5), "word"):
        quorum = data.draw(st.sampled_from((None, *WORDS)))
        thresholds = tuple((choice, data.draw(st.sampled_from(WORDS))) for choice, _ in thresholds)
    return msgspec.structs.replace(
        result, choices=tuple(choices), outcome=outcome, quorum=quorum, thresholds=thresholds
    )


def unsettled(data: DataObject, result: Result, prize: int) -> Result:
    """A tie that somebody has broken, or one that there is not."""
    own = {one.choice: one.seats or 0 for one in result.choices}
    is_tie = result.outcome.word == "tie"
    among = result.outcome.choices if is_tie else tuple(choice for choice, number in own.items() if number)
    some = data.draw(st.sets(st.sampled_from(among or tuple(own)), min_size=1))
    for choice in some:
        own[choice] = max(0, own[choice] + (1 if is_tie else -1) * data.draw(st.sampled_from((1, prize))))
    named, word = some | data.draw(st.sets(st.sampled_from(tuple(own)))), "tie"
    if is_tie:
        winners = {one for one in own if own[one]}
        named, word = data.draw(
            st.sampled_from(((some, "run-off"), (winners, "decided"), (named, "run-off")))
        )
    seats = tuple(msgspec.structs.replace(one, seats=own[one.choice]) for one in result.choices)
    outcome = msgspec.convert({"choices": sorted(named), "word": word}, Outcome)
    return msgspec.structs.replace(result, choices=seats, outcome=outcome)


def near(data: DataObject, election: Election) -> Election:
    """The same contest with a few votes more or fewer at each station."""

    def changed(report: Report | None) -> Report | None:
        if report is None:
            return None
        votes = list(report.votes)
        at = data.draw(st.integers(0, len(votes) - 1))
        votes[at] = max(0, votes[at] + data.draw(st.sampled_from((-9, -2, -1, 1, 2, 9))))
        return replace(report, votes=tuple(votes))

    first, second, third = map(changed, election.reports)
    return replace(election, reports=(first, second, third))


def refused(counted: Counted, forged: Result) -> None:
    """The gate does not take it, unless it is the right one."""
    if forged == counted.results[0]:
        return
    with pytest.raises(GateError) as error:
        counted.judge(forged)
    assert error.value.rule in ("seats", "threshold")


@settings(max_examples=200, deadline=None)
@given(elections(), st.data())
def test_nothing_else_passes(election: Election, data: DataObject) -> None:
    with TemporaryDirectory() as folder:
        counted = Counted(election, Path(folder))
    contest = counted.definition.contest(1)
    assert contest is not None
    refused(counted, other(data, counted.results[0], contest.seats))


@settings(max_examples=300, deadline=None)
@given(elections(), st.data())
def test_no_tie_is_broken_and_none_made_up(election: Election, data: DataObject) -> None:
    with TemporaryDirectory() as folder:
        counted = Counted(election, Path(folder))
    contest = counted.definition.contest(1)
    assert contest is not None
    if any(one.seats is not None for one in counted.results[0].choices):
        refused(counted, unsettled(data, counted.results[0], contest.seats))


@settings(max_examples=200, deadline=None)
@given(elections(), st.data())
def test_what_other_votes_give_does_not_pass(election: Election, data: DataObject) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as two:
        counted, other = Counted(election, Path(one)), Counted(near(data, election), Path(two))
    result, said = counted.results[0], other.results[0]
    seats = [one.seats for one in said.choices]
    choices = [
        msgspec.structs.replace(one, seats=own) for one, own in zip(result.choices, seats, strict=True)
    ]
    refused(counted, msgspec.structs.replace(result, choices=tuple(choices), outcome=said.outcome))


def test_drawn_elections_come_to_every_end() -> None:
    """What the two properties above are worth: no word is missing among what is drawn."""
    found: Counter[str] = Counter()

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(elections())
    def run(election: Election) -> None:
        with TemporaryDirectory() as folder:
            result = Counted(election, Path(folder)).results[0]
        found[result.outcome.word] += 1
        found.update(f"threshold {word}" for _, word in result.thresholds)
        found[f"quorum {result.quorum}"] += 1

    run()
    for word in ("open", "no-quorum", "tie", "run-off", "decided", "threshold passed", "threshold failed"):
        assert found[word] >= 5, found
    assert found["quorum passed"] >= 5


def of_lists(contest: str, votes: dict[int, int]) -> Election:
    """Lists, the first of them with two candidates behind it."""
    total = sum(votes[number] for number in (1, 4, 5))
    report = Report(((9, total), (11, total)), tuple(votes[number] for number in (1, 2, 3, 4, 5)))
    nothing = Report(((9, 0), (11, 0)), (0, 0, 0, 0, 0))
    return Election(
        contest,
        (("list", ""), ("candidate", "1"), ("candidate", "1"), ("list", ""), ("against_all", "")),
        ("1000", "1000", "1000"),
        (report, nothing, nothing),
    )


DHONDT = "list,,3,1,1,dhondt,valid,500,valid,,,,1000,registered"
VOTES = {1: 200, 2: 30, 3: 20, 4: 150, 5: 10}
# Lists 1 and 4 are equal: the third seat is open.
TIE = VOTES | {4: 200}
PLURALITY = DHONDT.replace("dhondt", "plurality")
HARE = DHONDT.replace("dhondt", "hare")
HALF = DHONDT.replace("dhondt", "majority")
# Against all has half of them.
SPLIT = VOTES | {5: 400}


def seats(*numbers: int | None) -> Callable[[Node], None]:
    def change(result: Node) -> None:
        for place, number in enumerate(numbers):
            result["choices"][place]["seats"] = number

    return change


def outcome(word: str, *choices: int) -> Callable[[Node], None]:
    return lambda result: result.__setitem__("outcome", {"word": word, "choices": list(choices)})


def both(*changes: Callable[[Node], None]) -> Callable[[Node], None]:
    def change(result: Node) -> None:
        for one in changes:
            one(result)

    return change


@pytest.mark.parametrize(
    ("rule", "contest", "votes", "change"),
    [
        ("share", DHONDT, VOTES, lambda result: result.more("base")),
        ("share", DHONDT, VOTES, lambda result: result["choices"][1].more("share")),
        ("share", DHONDT, VOTES, lambda result: result.more("turnout")),
        ("threshold", DHONDT, VOTES, lambda result: result["thresholds"][0].__setitem__(1, "failed")),
        ("threshold", DHONDT, VOTES, lambda result: result["thresholds"][1].__setitem__(1, "open")),
        ("threshold", DHONDT, VOTES, lambda result: result["thresholds"].pop()),
        ("threshold", DHONDT, VOTES, lambda result: result.__setitem__("quorum", "failed")),
        ("threshold", DHONDT, VOTES, lambda result: result.__setitem__("quorum", None)),
        # A seat too many, too few, at another list, beyond "against all", none at all.
        ("seats", DHONDT, VOTES, seats(3, 1, 1, 1, 0)),
        ("seats", DHONDT, VOTES, seats(1, 1, 0, 1, 0)),
        ("seats", DHONDT, VOTES, seats(1, 1, 0, 2, 0)),
        ("seats", DHONDT, VOTES, seats(2, 1, 1, 0, 1)),
        ("seats", DHONDT, VOTES, seats(2, 1, 1, 1, 1)),
        ("seats", DHONDT, VOTES, seats(None, None, None, None, None)),
        ("seats", DHONDT, VOTES, seats(None)),
        # A seat more for a list below the threshold.
        ("seats", DHONDT, VOTES | {1: 400, 4: 10}, both(outcome("decided", 1, 4), seats(3, 1, 1, 1, 0))),
        # The quorum is missed.
        ("seats", DHONDT, VOTES | {1: 100, 4: 50}, seats(2, 1, 1, 1, 0)),
        ("seats", DHONDT, VOTES | {1: 100, 4: 50}, outcome("none")),
        # Another candidate of the list, and one who is nobody's.
        ("seats", DHONDT.replace(",3,1,1,", ",2,1,1,"), VOTES, seats(1, 0, 1, 1, 0)),
        ("seats", DHONDT, VOTES, seats(2, 1, 0, 1, 0)),
        ("seats", DHONDT, VOTES, seats(2, 2, 1, 1, 0)),
        ("seats", DHONDT, VOTES, outcome("decided", 1)),
        ("seats", DHONDT, VOTES, outcome("decided", 4, 1)),
        ("seats", DHONDT, VOTES, outcome("tie", 1, 4)),
        ("seats", DHONDT, VOTES, outcome("tie")),
        ("seats", DHONDT, VOTES, outcome("open")),
        ("seats", DHONDT, VOTES, both(outcome("open"), seats(*[None] * 5))),
        ("seats", DHONDT, VOTES, both(outcome("no-quorum"), seats(*[None] * 5))),
        # A tie that somebody has broken.
        ("seats", DHONDT, TIE, both(outcome("decided", 1, 4), seats(2, 1, 1, 1, 0))),
        ("seats", DHONDT, TIE, outcome("tie", 1)),
        ("seats", DHONDT, TIE, outcome("tie", 4, 1)),
        ("seats", DHONDT, TIE, outcome("tie", 1, 4, 5)),
        ("seats", DHONDT, TIE, outcome("tie", 1, 4, 99)),
        ("seats", PLURALITY, TIE, both(outcome("decided", 4), seats(0, 0, 0, 3, 0))),
        ("seats", HARE, TIE, both(outcome("decided", 1, 4), seats(1, 1, 0, 2, 0))),
        # Equal preferences.
        ("seats", DHONDT.replace(",3,1,1,", ",2,1,1,"), VOTES | {3: 30}, outcome("decided", 1, 4)),
        (
            "seats",
            DHONDT.replace(",3,1,1,", ",2,1,1,"),
            VOTES | {3: 30},
            both(outcome("decided", 1, 4), seats(1, 1, 0, 1, 0)),
        ),
        ("seats", HALF, SPLIT, both(outcome("decided", 1), seats(3, 1, 1, 0, 0))),
        ("seats", HALF, SPLIT, outcome("run-off", 1, 4)),
        ("seats", HALF, SPLIT | {5: 100}, outcome("decided")),
        ("seats", HALF, SPLIT | {5: 200}, outcome("decided")),
        ("seats", HALF, SPLIT | {5: 100}, outcome("run-off", 1)),
        ("seats", HALF, SPLIT | {5: 100}, outcome("run-off", 1, 5)),
    ],
)
def test_a_forged_result_does_not_leave(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    contest: str,
    votes: dict[int, int],
    change: Callable[[Node], None],
) -> None:
    definition, roster, log = load(of_lists(contest, votes), tmp_path)
    published = Publisher(definition, [roster], log)
    published.take(len(log))
    error = caught(published, monkeypatch, latest(lambda node: change(node["results"][0])))
    assert (error.rule, error.area) == (rule, 1), str(error)


@settings(max_examples=40, deadline=None)
@given(elections())
def test_no_votes_fail_the_gate(election: Election) -> None:
    with TemporaryDirectory() as folder:
        definition, roster, log = load(election, Path(folder))
        published = Publisher(definition, [roster], log)
        for size in range(1, len(log) + 1):
            published.publish(size)


@pytest.mark.parametrize(
    ("method", "places", "votes", "won", "word", "named"),
    [
        # Ties that are none: not at the edge, with somebody who is ahead, without one of them.
        ("plurality", 1, (10, 5, 5, 1), (0, 0, 0, 0), "tie", (2, 3)),
        ("plurality", 2, (10, 9, 5, 5), (1, 1, 0, 0), "tie", (3, 4)),
        ("plurality", 2, (10, 5, 5, 5), (0, 0, 0, 0), "tie", (1, 2, 3, 4)),
        ("plurality", 2, (10, 5, 5, 5), (1, 0, 0, 0), "tie", (2, 3)),
        ("plurality", 3, (10, 5, 5, 5), (0, 1, 0, 0), "tie", (3, 4)),
        ("plurality", 2, (10, 5, 5, 1), (1, 0, 1, 0), "decided", (1, 3)),
        ("plurality", 2, (10, 9, 5, 1), (1, 0, 0, 0), "decided", (1,)),
        ("plurality", 2, (10, 9, 5, 1), (1, 1, 1, 0), "decided", (1, 2, 3)),
        ("plurality", 2, (10, 9, 5, 1), (2, 0, 0, 0), "decided", (1,)),
        ("plurality", 1, (10, 9, 5, 1), (0, 1, 0, 0), "decided", (2,)),
        ("plurality", 1, (10, 9, 5, 1), (2, 0, 0, 0), "decided", (1,)),
        ("plurality", 1, (10, 9, 5, 1), (1, 0, 0, 0), "run-off", (1, 2)),
        ("majority", 1, (10, 9, 9, 1), (0, 0, 0, 0), "run-off", (1, 2)),
        ("majority", 1, (10, 9, 5, 1), (0, 0, 0, 0), "run-off", (1, 3)),
        ("majority", 1, (10, 9, 5, 1), (0, 0, 0, 0), "run-off", (1, 2, 3)),
        ("majority", 1, (10, 9, 5, 1), (1, 0, 0, 0), "decided", (1,)),
        ("majority", 1, (10, 9, 5, 1), (0, 0, 0, 0), "decided", ()),
        ("majority", 1, (10, 5, 4, 1), (1, 0, 0, 0), "decided", (1,)),
        ("majority", 1, (11, 5, 4, 1), (0, 0, 0, 0), "run-off", (1, 2)),
        ("majority", 1, (10, 9, 9, 1), (0, 0, 0, 0), "tie", (1, 2, 3)),
    ],
)
def test_candidates_who_have_not_won(
    tmp_path: Path,
    method: str,
    places: int,
    votes: tuple[int, ...],
    won: tuple[int, ...],
    word: OutcomeWord,
    named: tuple[int, ...],
) -> None:
    claimed(tmp_path, f"choose,,{places},1,0,{method}", "candidate", votes, won, word, named)


@pytest.mark.parametrize(
    ("method", "votes", "won", "word", "named"),
    [
        # Ten seats, at most six for a list: the votes give 6, 2, 2.
        ("hare", (80, 11, 9, 0), (5, 2, 2, 0), "decided", (1, 2, 3)),
        ("hare", (80, 11, 9, 0), (7, 2, 1, 0), "decided", (1, 2, 3)),
        ("hare", (80, 11, 9, 0), (6, 3, 1, 0), "decided", (1, 2, 3)),
        ("hare", (80, 11, 9, 0), (6, 2, 3, 0), "decided", (1, 2, 3)),
        ("hare", (80, 11, 9, 0), (6, 2, 1, 1), "decided", (1, 2, 3, 4)),
        ("hare", (80, 11, 9, 0), (6, 2, 1, 0), "decided", (1, 2, 3)),
        ("hare", (80, 11, 9, 0), (6, 2, 1, 0), "tie", (2, 3)),
        # The largest remainder is the first's, and its seat would be the seventh.
        ("hare", (67, 23, 10, 0), (7, 2, 1, 0), "decided", (1, 2, 3)),
        ("hare", (67, 23, 10, 0), (6, 2, 2, 0), "decided", (1, 2, 3)),
        # The sixth seat of the first is by its remainder, and no more than the cap.
        ("hare", (57, 23, 20, 0), (5, 3, 2, 0), "decided", (1, 2, 3)),
        ("dhondt", (80, 11, 9, 0), (7, 2, 1, 0), "decided", (1, 2, 3)),
        ("dhondt", (80, 11, 9, 0), (6, 3, 1, 0), "decided", (1, 2, 3)),
        ("dhondt", (80, 0, 0, 0), (6, 0, 0, 0), "tie", (1,)),
        ("sainte-lague", (80, 10, 10, 0), (6, 2, 2, 0), "tie", (2, 3)),
        ("sainte-lague", (80, 10, 10, 0), (6, 1, 1, 0), "tie", (2, 3)),
        ("sainte-lague", (80, 10, 10, 0), (6, 3, 1, 0), "decided", (1, 2, 3)),
    ],
)
def test_lists_that_have_other_seats(
    tmp_path: Path,
    method: str,
    votes: tuple[int, ...],
    won: tuple[int, ...],
    word: OutcomeWord,
    named: tuple[int, ...],
) -> None:
    claimed(tmp_path, f"list,,10,1,0,{method}", "list", votes, won, word, named)


@pytest.mark.parametrize("method", ["hare", "dhondt", "sainte-lague"])
def test_a_cap_of_less_than_one_seat_is_one(tmp_path: Path, method: str) -> None:
    report, nothing = Report(((9, 9), (11, 9)), (5, 4)), Report(((9, 0), (11, 0)), (0, 0))
    line = f"list,,1,1,0,{method},valid,,,,,5000,,"
    election = Election(line, (("list", ""),) * 2, ("", "", ""), (report, nothing, nothing))
    counted = Counted(election, tmp_path)
    counted.judge(counted.results[0])
    assert [one.seats for one in counted.results[0].choices] == [1, 0]


def claimed(
    folder: Path,
    contest: str,
    kind: str,
    votes: tuple[int, ...],
    won: tuple[int, ...],
    word: OutcomeWord,
    named: tuple[int, ...],
) -> None:
    """Seats and an outcome that do not follow from the votes of four choices."""
    report = Report(((9, sum(votes)), (11, sum(votes))), votes)
    nothing = Report(((9, 0), (11, 0)), (0, 0, 0, 0))
    line = f"{contest},valid,,,,,{'6000' if kind == 'list' else ''},,"
    election = Election(line, ((kind, ""),) * 4, ("", "", ""), (report, nothing, nothing))
    counted = Counted(election, folder)
    counted.judge(counted.results[0])
    choices = zip(counted.results[0].choices, won, strict=True)
    seats = tuple(msgspec.structs.replace(one, seats=own) for one, own in choices)
    forged = msgspec.structs.replace(counted.results[0], choices=seats, outcome=Outcome(named, word))
    with pytest.raises(GateError) as error:
        counted.judge(forged)
    assert error.value.rule == "seats"
