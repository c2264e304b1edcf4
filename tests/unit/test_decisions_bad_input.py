"""Decisions that go wrong, one by one, in both implementations: void or pending, and no total is touched.

An unknown action is refused by the decoders (tests/vectors, `malformed`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from clients.wire import statement
from clients.wire.authority import Standing
from clients.wire.cbor import Content
from gateway import _core
from tests.unit.decision_logs import OPENING, Commission, Fault
from tests.unit.tally_logs import (
    CLOSES,
    LARGEST,
    LIMIT,
    LOG_SEED,
    SNAPSHOT_SEED,
    Action,
    Figures,
    Log,
    Packet,
    Report,
    Scene,
)
from tests.unit.test_decisions_properties import traceless
from tests.unit.test_tally_core import assert_same, core, everything, everything_observed, observed
from tests.unit.wire_election import MEMBERS

SIGNED = CLOSES + 60_000


def report(number: int, votes: tuple[int, ...], contest: int = 2, in_box: int = 80) -> Report:
    figures: Figures = {9: in_box, 11: in_box, 13: 0}
    return Report(
        number, time=CLOSES, counter=in_box, counts=((contest, tuple(sorted(figures.items())), votes),)
    )


# Places of the steps, by what they are.
RESULT, OTHER_RESULT, PROTOCOL, ELSEWHERE, TOO_MUCH, NOT_ALL = range(6)
STEPS = (
    # Device 8 is a box of station 12, which votes on contest 1 alone; device 7 is a desk of the whole.
    Packet(8, 12, 1, report(3, (50, 0, 0, 30, 0), 1), SIGNED),
    Packet(8, 12, 2, report(3, (40, 0, 0, 40, 0), 1), SIGNED),
    Packet(7, 12, 1, report(4, (45, 0, 0, 35, 0), 1), SIGNED),
    Packet(7, 13, 2, report(4, (50, 30)), SIGNED),
    Packet(8, 12, 3, report(3, (LIMIT + 1, 0, 0, 0, 0), 1), SIGNED),
    Packet(8, 12, 4, report(3, (50, 30), 1), SIGNED),
)
WORDS = (("marks", "1"), ("preferences", "1"), ("share_of", "valid"))
ANNUL: Action = (4, 12, 0)
CHOOSE: Action = (5, 12, 1, 1, OTHER_RESULT)


class Both:
    """Two tallies that are told the same, and must always agree."""

    def __init__(self, folder: Path) -> None:
        self.scene = Scene(folder, Log((), WORDS, (), "machine", 2, STEPS))
        self.commission = Commission(self.scene)
        self._core, self._observed = core(self.scene), observed(self.scene)
        self.tell(self.scene.statements)

    def tell(self, statements: Sequence[bytes]) -> None:
        for data in statements:
            assert self._core.apply(self._core.size, [data]) == 1
            self._observed.apply(statement.decode(data))
        self.said()

    def decide(self, action: Action, fault: Fault = "") -> list[bytes]:
        signed = self.commission.order(action, fault)
        self.tell(signed)
        return signed

    def said(self) -> dict[str, object]:
        said = everything(self._core)
        assert_same(said, everything_observed(self._observed))
        return said

    def standing(self, data: bytes) -> Standing | None:
        standing = self._observed.authority.standing(statement.decode(data))
        assert self._core.standing(_core.decode(data)) == standing
        return standing


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)


def test_the_steps_are_what_the_cases_need(both: Both) -> None:
    before = traceless(both.said())
    both.decide(CHOOSE)
    chosen = traceless(both.said())
    both.decide(ANNUL)
    assert before != chosen
    assert chosen != traceless(both.said()) != before


@pytest.mark.parametrize(
    ("fault", "standing"),
    [
        ("number", "pending"),
        ("taken", "void"),
        ("previous", "pending"),
        ("few", "pending"),
        ("twice", "pending"),
        ("foreign", "void"),
    ],
)
def test_what_does_not_fit_is_not_taken(both: Both, fault: Fault, standing: Standing) -> None:
    both.decide((6,))
    before = both.said()
    signed = both.decide(ANNUL, fault)
    assert {both.standing(data) for data in signed} == {standing}
    assert_same(before, both.said())
    # And it does not stand in the way of the next one.
    assert both.standing(both.decide((11, 12, LARGEST))[0]) == "in effect"


def test_a_decision_of_another_log_of_this_election(both: Both) -> None:
    before = both.said()
    keys = (_core.public_key(SNAPSHOT_SEED), _core.public_key(LOG_SEED))
    opening: Content = (1, "another.example", *keys, both.scene.rosters["first"], "x")
    theirs: Content = (both.scene.definition, b"", 1, 5, (("en", "a reason"),), opening)
    chain = hashlib.sha256(_core.encode_payload("decision", theirs)).digest()
    annul: Content = (both.scene.definition, chain, 2, 5, (("en", "a reason"),), ANNUL)
    signed = [_core.sign("decision", own, bytes(key)) for own in (theirs, annul) for key in MEMBERS]
    both.tell(signed)
    assert [both.standing(data) for data in signed] == ["void"] * 3 + ["pending"] * 3
    assert_same(before, both.said())


def test_replayed_decisions(both: Both) -> None:
    both.tell(both.scene.statements[:OPENING])
    annul = both.decide(ANNUL)
    undo = both.decide((13, 2))
    before = both.said()
    both.tell([*annul, *undo, *reversed(annul)])
    assert [both.standing(data) for data in (annul[0], undo[0])] == ["undone", "in effect"]
    assert_same(before, both.said())


def test_an_undo_undone_restores(both: Both) -> None:
    annul = both.decide(ANNUL)
    annulled = traceless(both.said())
    undo = both.decide((13, 2))
    assert traceless(both.said()) != annulled
    both.decide((13, 3))
    assert [both.standing(data[0]) for data in (annul, undo)] == ["in effect", "undone"]
    assert traceless(both.said()) == annulled


@pytest.mark.parametrize("target", [1, 2, 3, 4, 9])
def test_an_undo_of_nothing(both: Both, target: int) -> None:
    both.decide((13, 1))
    both.decide(ANNUL, "previous")
    before = both.said()
    assert both.standing(both.decide((13, target))[0]) == "void"
    assert_same(before, both.said())


@pytest.mark.parametrize(
    "action",
    [
        pytest.param((5, 12, 1, 1, len(STEPS)), id="no packet has this id"),
        pytest.param((5, 11, 1, 1, OTHER_RESULT), id="another station"),
        pytest.param((5, 12, 2, 1, OTHER_RESULT), id="a contest that the station has not"),
        pytest.param((5, 12, 1, 2, OTHER_RESULT), id="a result for the protocol"),
        pytest.param((5, 12, 1, 1, PROTOCOL), id="a protocol for the machine"),
        pytest.param((5, 13, 1, 2, ELSEWHERE), id="a contest that the protocol has not"),
        pytest.param((5, 12, 1, 1, TOO_MUCH), id="a vote above a million"),
        pytest.param((5, 12, 1, 1, NOT_ALL), id="not as many votes as choices"),
        pytest.param((5, 99, 1, 1, OTHER_RESULT), id="an unknown station"),
    ],
)
def test_a_packet_that_cannot_be_chosen(both: Both, action: Action) -> None:
    before = both.said()
    assert both.standing(both.decide(action)[0]) == "void"
    assert_same(before, both.said())


def test_a_packet_that_comes_after_its_choice(both: Both, tmp_path: Path) -> None:
    (tmp_path / "late").mkdir()
    step = replace(STEPS[OTHER_RESULT], sequence=5)
    late = Scene(tmp_path / "late", replace(both.scene.log, steps=(*STEPS, step))).statements[-1]
    # Whoever holds the packet knows its id before anybody has logged it.
    both.scene._ids[len(STEPS)] = hashlib.sha256(late).digest()
    choose = both.decide((5, 12, 1, 1, len(STEPS)))
    assert both.standing(choose[0]) == "void"
    both.tell([late])
    assert both.standing(choose[0]) == "void"
    assert both.standing(both.decide((5, 12, 1, 1, len(STEPS)))[0]) == "in effect"


def test_annulled_then_chosen(both: Both) -> None:
    both.decide(CHOOSE)
    chosen = both.said()["results"]
    both.decide(ANNUL)
    annulled = both.said()["results"]
    both.decide(CHOOSE)
    after = both.said()["results"]
    assert isinstance(chosen, list)
    assert isinstance(annulled, list)
    assert isinstance(after, list)
    # The choice rules its own source alone; the other one stays annulled.
    assert after[0] == chosen[0] != annulled[0]
    assert after[1] == annulled[1] != chosen[1]
