"""What an operator is told of who has knocked: the last of each, and how many lately, within bounds."""

import pytest

from gateway.base.clock import MINUTE
from gateway.boxport import handshakes as module
from gateway.boxport.handshakes import RECENT_MINUTES, Failed, Handshakes, Knocks, Recent

NOW = 1_800_000_000_000
BOX = ("box", 1)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_last_refusal_stays_until_a_good_one(clock: Clock) -> None:
    knocks = Handshakes(clock)
    assert knocks.of(BOX) == Knocks(None, None)
    knocks.refused(BOX, "expired", "certificate expired", "10.0.0.1:5")
    clock.now += 1
    knocks.refused(BOX, "revoked", None, "10.0.0.2:6")
    assert knocks.of(BOX) == Knocks(None, Failed(NOW + 1, "revoked", "", "10.0.0.2:6", 2))
    clock.now += 1
    knocks.good(BOX)
    assert knocks.of(BOX) == Knocks(NOW + 2, None)
    knocks.refused(BOX, "timeout", "x" * 10_000, "10.0.0.2:6")
    found = knocks.of(BOX)
    assert found.good_at == NOW + 2
    assert found.failed is not None
    assert (found.failed.times, len(found.failed.words)) == (1, 200)


def test_whoever_names_nobody_is_counted_and_not_remembered(clock: Clock) -> None:
    knocks = Handshakes(clock)
    knocks.refused(None, "no_certificate", None, "10.0.0.1:5")
    assert knocks.recent() == Recent(0, 1)


def test_a_flood_of_names_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_HOLDERS", 10)
    knocks = Handshakes(clock)
    for number in range(1, 21):
        knocks.good(BOX)  # whoever knocks is not the one to be forgotten
        knocks.refused(("box", number + 1), "revoked", "", "10.0.0.1:5")
    assert knocks.of(BOX).good_at == NOW
    assert knocks.of(("box", 21)).failed is not None
    assert knocks.of(("box", 5)) == Knocks(None, None)
    assert len(knocks._knocks) == 10


def test_recent_forgets_minute_by_minute(clock: Clock) -> None:
    knocks = Handshakes(clock)
    for _ in range(2 * RECENT_MINUTES):
        knocks.good(BOX)
        knocks.refused(BOX, "expired", "", "")
        # A line that breaks, or a stranger, says nothing of certificates.
        knocks.refused(BOX, "protocol", "", "")
        clock.now += MINUTE
    assert knocks.recent() == Recent(RECENT_MINUTES - 1, RECENT_MINUTES - 1)
    clock.now += RECENT_MINUTES * MINUTE
    assert knocks.recent() == Recent(0, 0)
