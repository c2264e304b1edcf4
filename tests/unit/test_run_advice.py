"""What an operator is told to do about a station, by what is known of it."""

import msgspec
import pytest

from gateway.base.clock import MINUTE
from gateway.feed.models import Paused
from gateway.run.advice import advise, closing_words
from gateway.run.station import CountLine, Device, PacketLine, PublishedStation, StationStatus

CLOSES = 1_800_000_000_000
PAUSED = Paused("operator", (("en", "Stop."),), "2027-01-15T08:00:00.000Z")


def published(**fields: object) -> PublishedStation:
    counts = (CountLine(1, 1, "reported", (5, 6)),)
    packets = (PacketLine(7, 1, 2, 3, CLOSES, ()),)
    well = PublishedStation(3, 9, None, False, True, False, (), counts, packets, 0, ())
    return msgspec.structs.replace(well, **fields)


def station(**fields: object) -> StationStatus:
    """One whose count is there."""
    well = StationStatus(
        night="night",
        at="2027-01-15T08:00:00.000Z",
        election_time=CLOSES + 60 * MINUTE,
        station=8,
        label="8",
        name="Eight",
        areas=((1, "All"),),
        kind="ordinary",
        registered=100,
        contests=(1,),
        timezone="UTC",
        closes_at=CLOSES,
        cancelled=False,
        told=True,
        devices=(Device(1, "box", "", revoked=False, logged=2, published=2),),
        refusals=(),
        published=published(),
        faults=(),
    )
    return msgspec.structs.replace(well, **fields)


WAITING = (Device(1, "box", "", revoked=False, logged=3, published=2),)
SILENT = (Device(1, "box", "", revoked=False, logged=1, published=1),)
DESK = (Device(1, "desk", "", revoked=False, logged=900),)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (station(), []),
        (station(told=False), ["ingest does not answer"]),
        (station(devices=()), ["no device is assigned"]),
        (station(devices=(), cancelled=True), []),
        (station(published=published(counts=(CountLine(1, 1, "held", ()),))), ["a count is held"]),
        (station(published=published(counts=(CountLine(1, 1, "disputed", (1,)),))), ["two counts differ"]),
        (
            station(published=published(packets=(PacketLine(7, 9, 1, 3, CLOSES, ("H105",)),))),
            ["packets here do not belong"],
        ),
        (
            station(devices=WAITING, published=published(paused=PAUSED)),
            ["when the pause of the operator ends"],
        ),
        (station(devices=SILENT, published=published(counts=())), ["no count has come: call the station"]),
        # Something is on its way to the public.
        (station(devices=WAITING, published=published(counts=())), []),
        # What a desk has logged may be about anybody.
        (station(devices=DESK, published=published(counts=())), ["no count has come"]),
        (station(published=published(counts=()), election_time=CLOSES + 30 * MINUTE), []),
        (station(published=published(counts=()), election_time=None), []),
        (station(published=published(counts=()), cancelled=True), []),
        (station(published=None), []),
    ],
)
def test_advice(seen: StationStatus, words: list[str]) -> None:
    found = advise(seen)
    assert len(found) == len(words), found
    for sentence, part in zip(found, words, strict=True):
        assert part in sentence


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (CLOSES - 5 * MINUTE, "in 5 min"),
        (CLOSES - 600 * MINUTE, "in 10 h"),
        (CLOSES + 90 * MINUTE, "90 min ago"),
        (None, "the rehearsal's time does not run yet"),
    ],
)
def test_how_long_until_it_closes(now: int | None, words: str) -> None:
    assert closing_words(station(election_time=now)) == words
