"""Rates and slots without sockets."""

from dataclasses import dataclass

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gateway.base.config import Limits
from gateway.boxport.limits import SWEEP, Rates
from gateway.boxport.slots import Slots
from gateway.sequencer.protocol import Role

BOX: tuple[Role, int] = ("box", 1)


# --- Rates ---


def test_a_minutes_share_at_once_and_then_one_after_the_other() -> None:
    rates = Rates(Limits())
    assert [rates.take(BOX, 1000.0) for _ in range(120)] == [0.0] * 120
    wait = rates.take(BOX, 1000.0)
    assert 0 < wait <= 0.5
    assert rates.take(BOX, 1000.0) == wait  # who is refused has lost nothing
    assert rates.take(BOX, 1000.0 + wait) == 0.0
    assert rates.take(BOX, 1000.0 + wait) > 0
    assert [rates.take(BOX, 1061.0) for _ in range(120)] == [0.0] * 120


@pytest.mark.parametrize(
    ("role", "share"),
    [("box", 120), ("terminal", 120), ("desk", 120), ("courier", 3_000), ("commission", 3_000)],
)
def test_each_role_has_its_share(role: Role, share: int) -> None:
    rates = Rates(Limits())
    assert sum(rates.take((role, 7), 5.0) == 0 for _ in range(share + 50)) == share
    assert rates.take((role, 8), 5.0) == 0


@given(
    share=st.integers(1, 5_000),
    steps=st.lists(st.floats(0, 30, allow_nan=False, width=32), min_size=1, max_size=300),
)
def test_no_minute_has_more_than_two_shares_and_no_answer_lies(share: int, steps: list[float]) -> None:
    """A bucket gives one share at once and one a minute; a wait that it names is enough, and needed."""
    rates = Rates(Limits(device_requests_per_minute=share))
    now = 100.0
    taken: list[float] = []
    for step in steps:
        now += step
        for _ in range(3):
            wait = rates.take(BOX, now)
            if wait == 0:
                taken.append(now)
            else:
                copy = Rates(Limits(device_requests_per_minute=share))
                copy._full_at = dict(rates._full_at)
                assert copy.take(BOX, now + wait * 0.9) > 0 or wait < 1e-9
                assert copy.take(BOX, now + wait + 1e-9) == 0
    for first in taken:
        window = sum(first <= at < first + 60 for at in taken)
        assert window <= 2 * share + 1


def test_whoever_has_a_full_share_is_forgotten() -> None:
    rates = Rates(Limits())
    now = 0.0
    for number in range(20 * SWEEP):
        # 4,000 a second: each of them is full again after half of one.
        now += 1 / 4_000
        assert rates.take(("box", number + 1), now) == 0
        assert len(rates) <= 2 * SWEEP


def test_whoever_has_used_something_is_not_forgotten() -> None:
    rates = Rates(Limits())
    for _ in range(120):
        rates.take(BOX, 0.0)
    for number in range(3 * SWEEP):
        rates.take(("box", number + 2), 1.0 + number / 1e6)
    assert rates.take(BOX, 0.0 + 1.0) == 0
    assert rates.take(BOX, 1.0) == 0
    assert rates.take(BOX, 1.0) > 0


# --- Slots ---


@dataclass(eq=False)
class Occupant:
    """A connection of which only the slot is real."""

    idle: bool = True
    in_work: bool = False
    displaced: bool = False
    ended: bool = False

    def displace(self) -> None:
        assert not self.displaced
        self.displaced = True

    def end_if_idle(self) -> None:
        self.ended = True


def reading() -> Occupant:
    return Occupant(idle=False)


def working() -> Occupant:
    return Occupant(idle=False, in_work=True)


def test_everybody_has_a_slot_until_there_are_none() -> None:
    slots = Slots(Limits(connections=4))
    strangers = [Occupant() for _ in range(4)]
    assert [slots.enter(one) for one in strangers] == [False] * 4
    assert (slots.open, slots.full, slots.closed, slots.pressed) == (4, True, False, True)
    newcomer = Occupant()
    assert slots.enter(newcomer)
    assert [one.displaced for one in strangers] == [True, False, False, False]
    # The one that had to go leaves later, and frees nothing twice.
    slots.leave(strangers[0], None)
    assert slots.open == 4
    for one in (*strangers[1:], newcomer):
        slots.leave(one, None)
    assert (slots.open, slots.full, slots.pressed) == (0, False, False)
    assert not slots.displace_stranger()


def test_with_no_stranger_nobody_goes() -> None:
    slots = Slots(Limits(connections=2))
    for number in (1, 2):
        one = Occupant()
        slots.enter(one)
        assert slots.introduce(one, ("box", number)) == "taken"
    assert slots.closed


def test_who_waits_for_a_slot_is_woken() -> None:
    async def main() -> None:
        slots = Slots(Limits(connections=1))
        one = Occupant()
        slots.enter(one)
        slots.introduce(one, BOX)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(slots.wait_for_one)
            nursery.start_soon(slots.wait_for_one)
            await trio.testing.wait_all_tasks_blocked()
            slots.leave(one, BOX)
        assert not slots.closed

    trio.run(main)


@pytest.mark.parametrize(
    ("first", "second", "goes"),
    [
        (Occupant, Occupant, 0),
        (reading, Occupant, 1),
        (working, Occupant, 1),
        (reading, reading, 0),
        (working, reading, 1),
        (reading, working, 0),
        (working, working, None),
    ],
)
def test_which_connection_of_a_holder_goes_for_its_third(
    first: type[Occupant], second: type[Occupant], goes: int | None
) -> None:
    slots = Slots(Limits())
    own = [first(), second()]
    for one in own:
        slots.enter(one)
        assert slots.introduce(one, BOX) == "taken"
    third = Occupant()
    slots.enter(third)
    assert slots.introduce(third, BOX) == ("refused" if goes is None else "replaced")
    assert [one.displaced for one in own] == [goes == 0, goes == 1]
    assert slots.open == (3 if goes is None else 2)
    for one in own:
        slots.leave(one, BOX)
    slots.leave(third, None if goes is None else BOX)
    assert slots.open == 0


def test_the_end_reaches_everybody() -> None:
    slots = Slots(Limits())
    everybody = [Occupant() for _ in range(3)]
    for one in everybody:
        slots.enter(one)
    slots.introduce(everybody[0], BOX)
    slots.end_idle()
    assert all(one.ended for one in everybody)


@given(st.lists(st.tuples(st.sampled_from("eiwrdl"), st.integers(0, 7)), max_size=120))
def test_the_count_is_the_connections(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order: open are those who entered, and neither left nor were displaced."""
    slots = Slots(Limits(connections=5, connections_per_certificate=2))
    here: list[tuple[Occupant, tuple[Role, int] | None]] = []
    for step, number in steps:
        if step == "e" and not slots.closed:
            one = Occupant()
            slots.enter(one)
            here.append((one, None))
        elif here:
            place = number % len(here)
            one, holder = here[place]
            if step == "i" and holder is None and not one.displaced:
                named: tuple[Role, int] = ("box", number % 3)
                if slots.introduce(one, named) != "refused":
                    here[place] = (one, named)
            elif step == "w":
                one.idle, one.in_work = False, True
            elif step == "r":
                one.idle, one.in_work = True, False
            elif step == "l":
                slots.leave(one, holder)
                del here[place]
        alive = [(one, holder) for one, holder in here if not one.displaced]
        assert slots.open == len(alive) <= 5
        # Nothing is kept of those who are gone.
        assert all(slots._of.values())
        assert len(slots._strangers) + sum(map(len, slots._of.values())) == len(alive)
        for held in range(3):
            assert sum(holder == ("box", held) for _, holder in alive) <= 2
        assert slots.closed == (len(alive) == 5 and all(holder is not None for _, holder in alive))
