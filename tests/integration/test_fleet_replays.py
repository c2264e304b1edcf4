"""Real elections over mutual TLS: the totals at every level are those of the source.

One box a station, each with its own key, certificate and connection, against `tallygate serve`. A seeded part
of Kyrgyzstan's stations always; with ``TALLYGATE_WHOLE_REPLAYS=1`` (`make replays`) all of them, and Georgia,
whose faulty rows are held.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
import trio

from clients.fleet import audit
from clients.fleet.faults import Faults
from clients.wire.definition import Definition
from gateway import _core
from tests import fleet_nights
from tests.replays import georgia, kyrgyz, packets
from tests.replays.folder import SHARED_DATA, Report, keep, read_table
from tests.replays.packets import Row

WHOLE = os.environ.get("TALLYGATE_WHOLE_REPLAYS") == "1"
PART = 200
SOURCES = {"machine": "contest", "protocol": "protocol"}
MACHINE_VOTES = 1_920_214
MANUAL_VOTES = 1_887_345
# Rows of Georgia's party list whose valid ballots are not the sum of its votes (tests/replays/README.md).
GEORGIA_FAULTY = 1_033

pytestmark = [pytest.mark.shared, pytest.mark.timeout(1_800)]


def converted(source: str, convert: Callable[[Path, Path], Report], out: Path) -> Path:
    folder = SHARED_DATA / source
    if not folder.is_dir():
        pytest.skip(f"{source} is not beside the project (shared/data/{source})")
    convert(folder, out)
    return out


def keep_a_part(out: Path) -> None:
    """Leaves so many stations in the tables, with both counts where the source has both."""
    _, stations = read_table(out / "election" / "stations.csv")
    keep(out, set(random.Random(2020).sample([int(row[0]) for row in stations], PART)))


def tallied(out: Path) -> tuple[Definition, _core.Tally]:
    """Plays it whole, and tallies what the log has then."""
    root = out / "night"
    fleet_nights.make(root, out / "election", day=20 if WHOLE else 2, speed=600 if WHOLE else 3_600)
    faults = Faults(seed=2020, rates={"cut": 0.02, "duplicate": 0.01})
    own, plan = fleet_nights.planned(root, out / "results", faults, turnout=1)
    with fleet_nights.serving(root):
        outcome = trio.run(fleet_nights.played, own, plan, faults)
        entries = trio.run(fleet_nights.entries, root)
    figures = outcome.figures
    print(
        f"{own.definition.id}: {figures.delivered:,} statements over {outcome.connections:,} connections in "
        f"{outcome.seconds:.1f} s, at most {figures.busiest():.0f} a second"
    )
    assert outcome.ok, (outcome.audit.faults[:5], outcome.undelivered)
    whole = audit.of_log(outcome.histories, audit.Log(entries), own.site.log_key)
    assert whole.clean, whole.faults[:5]
    definition = _core.Definition.load(root / "definition")
    tally = _core.Tally(definition, _core.Roster.load(root / "roster", definition))
    assert tally.apply(0, entries) == len(entries)
    return own.definition, tally


def test_kyrgyzstan_over_mutual_tls(tmp_path: Path) -> None:
    out = converted(kyrgyz.SOURCE, kyrgyz.convert, tmp_path)
    if not WHOLE:
        keep_a_part(out)
    definition, tally = tallied(out)
    for source, prefix in SOURCES.items():
        rows = packets.rows(out / "results" / f"{prefix}-1.csv")
        judge(definition, tally, 1, source, rows, lambda row: False)
    if WHOLE:
        for source, votes in (("machine", MACHINE_VOTES), ("protocol", MANUAL_VOTES)):
            assert sum(sums(tally, root_of(definition), 1, source).votes) == votes


@pytest.mark.skipif(not WHOLE, reason="3,687 stations take minutes: set TALLYGATE_WHOLE_REPLAYS=1")
def test_georgia_over_mutual_tls(tmp_path: Path) -> None:
    out = converted(georgia.SOURCE, georgia.convert, tmp_path)
    definition, tally = tallied(out)

    def held(row: Row) -> bool:
        figures = row.figures
        return (
            figures.get("valid", sum(row.votes)) != sum(row.votes)
            or figures["issued"] > figures["registered"] + figures["registered_additional"]
        )

    faulty = 0
    for contest in definition.contests:
        rows = packets.rows(out / "results" / f"contest-{contest}.csv")
        judge(definition, tally, contest, "machine", rows, held)
        for station in (number for number, row in rows.items() if held(row)):
            # It is listed where a person looks for it, with the rule that it breaks.
            assert {"H103", "H104"} & set(codes(tally, station))
        faulty += sum(row.figures.get("valid", sum(row.votes)) != sum(row.votes) for row in rows.values())
    assert faulty == GEORGIA_FAULTY


def judge(
    definition: Definition,
    tally: _core.Tally,
    contest: int,
    source: str,
    rows: Mapping[int, Row],
    held: Callable[[Row], bool],
) -> None:
    """Every area's votes are the sums of its rows that are not held; a station's are its row's."""
    expected: dict[int, Counter[int]] = {}
    reported: Counter[int] = Counter()
    kept_out: Counter[int] = Counter()
    for station, row in rows.items():
        count = count_of(tally, station, contest, source)
        assert (count.state, count.votes) == (("held", []) if held(row) else ("reported", list(row.votes)))
        for area in areas_of(definition, station):
            (kept_out if held(row) else reported)[area] += 1
            counted = expected.setdefault(area, Counter())
            if not held(row):
                counted.update(dict(enumerate(row.votes)))
    for area, votes in expected.items():
        found = sums(tally, area, contest, source)
        assert found.votes == [votes[choice] for choice in range(len(definition.choices[contest]))], area
        assert found.reported == found.counted == reported[area]
        assert (found.held, found.disputed) == (kept_out[area], 0)


def root_of(definition: Definition) -> int:
    return next(area.area for area in definition.areas.values() if area.parent is None)


def areas_of(definition: Definition, station: int) -> Iterator[int]:
    area: int | None = definition.stations[station].area
    while area is not None:
        yield area
        area = definition.areas[area].parent


class Sums(msgspec.Struct):
    """The sums of one source, as far as they are looked at."""

    votes: list[int]
    reported: int
    counted: int
    held: int
    disputed: int


class Count(msgspec.Struct):
    """A contest's count of a station."""

    contest: int
    source: int
    state: str
    votes: list[int]


def sums(tally: _core.Tally, area: int, contest: int, source: str) -> Sums:
    contests = json.loads(tally.area(area))["contests"]
    return msgspec.convert(next(own for own in contests if own["contest"] == contest)[source], Sums)


def count_of(tally: _core.Tally, station: int, contest: int, source: str) -> Count:
    number = 1 + list(SOURCES).index(source)
    found = msgspec.convert(station_object(tally, station)["counts"], list[Count])
    return next(own for own in found if (own.contest, own.source) == (contest, number))


def codes(tally: _core.Tally, station: int) -> Iterator[str]:
    """What its packets break."""
    for packet in msgspec.convert(station_object(tally, station)["packets"], list[dict[str, object]]):
        yield from msgspec.convert(packet["codes"], list[str])


def station_object(tally: _core.Tally, station: int) -> dict[str, object]:
    data = tally.station(station)
    assert data is not None
    return msgspec.json.decode(data, type=dict[str, object])
