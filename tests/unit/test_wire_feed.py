"""What a snapshot says of itself, and names of the feed's files."""

import json
from datetime import UTC, datetime
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.observer import logfiles
from clients.wire import feed, tiles
from clients.wire.errors import WireError
from clients.wire.feed import Paused, Snapshot, Software

Json = dict[str, object]

LATEST: Json = {
    "format": "tallygate-snapshot/1",
    "election": "example-2027",
    "mode": "live",
    "definition": "01" * 32,
    "roster": None,
    "information": "03" * 32,
    "snapshot": 7,
    "previous": "04" * 32,
    "published_at": "2027-01-15T20:00:07.000Z",
    "status": {"machine": "unofficial-partial", "protocol": "pre-election"},
    "headline": "machine",
    "paused": {"by": "gate", "reason": [["en", "A fault."]], "since": "2027-01-15T20:00:05.000Z"},
    "embargo_until": None,
    "decisions": {"count": 1, "sha256": "05" * 32},
    "log": {"origin": "log.example/one", "root": "BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgY=", "size": 12},
    "software": {"source": "07" * 32, "version": "0.1.0"},
    "progress": {},
    "root": {"area": 1, "sha256": "08" * 32},
    "tally": {},
    "results": [],
    "children": [],
}


def parsed(value: object) -> Snapshot:
    return Snapshot.parse(json.dumps(value).encode(), "latest.json")


def test_what_it_says_and_names() -> None:
    snapshot = parsed(LATEST)
    assert snapshot == Snapshot(
        number=7,
        previous=b"\x04" * 32,
        published_at="2027-01-15T20:00:07.000Z",
        definition=b"\x01" * 32,
        roster=None,
        information=b"\x03" * 32,
        paused=Paused("gate", "2027-01-15T20:00:05.000Z", (("en", "A fault."),)),
        embargo_until=None,
        software=Software("0.1.0", b"\x07" * 32),
        origin="log.example/one",
        size=12,
        root=b"\x06" * 32,
        decisions=b"\x05" * 32,
        tally=b"\x08" * 32,
    )
    assert snapshot.note(b"\x09" * 32).split("\n") == [
        "tallygate-snapshot/1",
        "log.example/one",
        "7",
        "09" * 32,
        "04" * 32,
        "12",
        "BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgY=",
        "",
    ]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("format", "tallygate-snapshot/2"),
        ("snapshot", 0),
        ("snapshot", True),
        ("snapshot", 1.5),
        ("snapshot", 2**53),
        ("snapshot", "7"),
        ("previous", "04" * 31),
        ("previous", "0A" * 32),
        ("previous", 4),
        ("published_at", "2027-13-15T20:00:07.000Z"),
        ("published_at", "2027-01-15T24:00:07.000Z"),
        ("published_at", "2027-01-15T20:00:07Z"),
        ("published_at", "2027-01-15T20:00:07.000+00:00"),
        ("definition", None),
        ("embargo_until", "tomorrow"),
        ("paused", []),
        ("paused.by", "nobody"),
        ("paused.since", ""),
        ("paused.reason", {}),
        ("paused.reason", [["en"]]),
        ("paused.reason", [["en", ""]]),
        ("paused.reason", [["en", "\ud800"]]),
        ("log", None),
        ("log.origin", "Log.example"),
        ("log.origin", ""),
        ("log.root", "BgYG"),
        ("log.root", "BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgZ="),
        ("log.size", -1),
        ("software.version", "a\tb"),
        ("software.source", "x"),
        ("decisions.sha256", 5),
        ("root.sha256", None),
    ],
)
def test_a_member_of_another_form(place: str, value: object) -> None:
    latest = cast(Json, json.loads(json.dumps(LATEST)))
    target = latest
    *above, name = place.split(".")
    for step in above:
        target = cast(Json, target[step])
    target[name] = value
    with pytest.raises(WireError) as caught:
        parsed(latest)
    assert (caught.value.code, caught.value.place) == ("feed.malformed", f"latest.json:{place}")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"NaN", b" " * 17_000_000])
def test_no_snapshot_at_all(data: bytes) -> None:
    with pytest.raises(WireError) as caught:
        Snapshot.parse(data, "snapshots/1.json")
    assert caught.value.code == "feed.malformed"


def test_names() -> None:
    digest = b"\xab" * 32
    assert feed.area_path(12, digest) == f"areas/12/{'ab' * 32}.json"
    assert feed.station_path(999, 4) == "stations/0/999-4.json"
    assert feed.station_path(12_345, 0) == "stations/12/12345-0.json"
    assert feed.decisions_path(digest) == f"decisions/{'ab' * 32}.json"


@given(st.integers(0, 253_402_300_799_999))
def test_times(ms: int) -> None:
    text = feed.format_time(ms)
    assert feed.is_time(text)
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo == UTC
    assert round(moment.timestamp() * 1000) == ms


def test_the_last_time() -> None:
    assert feed.format_time(2**53 - 1) == "9999-12-31T23:59:59.999Z"
    assert feed.format_time(0) == "1970-01-01T00:00:00.000Z"


@given(st.integers(0, 140_000), st.integers(0, 3_000))
def test_the_tiles_that_are_new(old: int, more: int) -> None:
    size = old + more
    new = set(logfiles.new_tiles(old, size))
    assert new == set(tiles.tiles(size)) - set(tiles.tiles(old))
