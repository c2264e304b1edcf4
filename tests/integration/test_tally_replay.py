"""Real elections as packets through both tallies: totals at every level are those of the source.

Kyrgyzstan and Georgia always, where the sets are beside the project; Russia's 97,699 stations with
``TALLYGATE_WHOLE_REPLAYS=1`` (minutes).
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from clients.wire.definition import Definition
from tests.replays import georgia, kyrgyz, packets, russia
from tests.replays.folder import SHARED_DATA, Report
from tests.replays.log import ReplayLog
from tests.replays.packets import Row

WHOLE = os.environ.get("TALLYGATE_WHOLE_REPLAYS") == "1"

pytestmark = pytest.mark.shared


class Replay(NamedTuple):
    """A set as rows by contest and station, and its log."""

    log: ReplayLog
    machine: Mapping[int, Mapping[int, Row]]
    protocol: Mapping[int, Mapping[int, Row]]


def play(source: str, convert: Callable[[Path, Path], Report], out: Path) -> Replay:
    folder = SHARED_DATA / source
    if not folder.is_dir():
        pytest.skip(f"{source} is not beside the project (shared/data/{source}): its replay was not tallied")
    convert(folder, out)
    log = ReplayLog(out)
    for content in packets.packets(out / "results", log.definition, log.roster):
        log.send(content)
    log.agree()
    rows = {
        prefix: {
            contest: packets.rows(path)
            for contest in log.definition.contests
            if (path := out / f"results/{prefix}-{contest}.csv").exists()
        }
        for prefix in ("contest", "protocol")
    }
    return Replay(log, rows["contest"], rows["protocol"])


def areas_of(definition: Definition, station: int) -> Iterator[int]:
    area: int | None = definition.stations[station].area
    while area is not None:
        yield area
        area = definition.areas[area].parent


def votes_by_area(definition: Definition, rows: Mapping[int, Row]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for station, row in rows.items():
        for area in areas_of(definition, station):
            before = found.get(area, [0] * len(row.votes))
            found[area] = [total + votes for total, votes in zip(before, row.votes, strict=True)]
    return found


def check(
    replay: Replay, rows: Mapping[int, Mapping[int, Row]], source: str, held: Callable[[Row], bool]
) -> Counter[str]:
    """Every area's votes and states are those of the rows that are not held; returns the root's states."""
    states: Counter[str] = Counter()
    for contest, own in rows.items():
        good = {station: row for station, row in own.items() if not held(row)}
        expected = votes_by_area(replay.log.definition, good)
        stations: defaultdict[int, Counter[str]] = defaultdict(Counter)
        for station in own:
            for area in areas_of(replay.log.definition, station):
                stations[area]["reported" if station in good else "held"] += 1
        for area, counted in stations.items():
            sums = replay.log.sums(area, contest, source)
            assert sums["votes"] == expected.get(area, sums["votes"]), (area, contest)
            assert (sums["reported"], sums["held"]) == (counted["reported"], counted["held"])
            assert sums["counted"] == counted["reported"]
        states.update(stations[replay.log.tally.root])
    return states


def test_kyrgyzstan_at_every_level(tmp_path: Path) -> None:
    replay = play(kyrgyz.SOURCE, kyrgyz.convert, tmp_path)
    assert check(replay, replay.machine, "machine", lambda row: False) == {"reported": 2_399}
    assert check(replay, replay.protocol, "protocol", lambda row: False) == {"reported": 2_413}
    assert sum(map(sum, (row.votes for row in replay.machine[1].values()))) == 1_920_214
    root = replay.log.sums(replay.log.tally.root, 1, "machine")
    votes = root["votes"]
    assert isinstance(votes, list)
    assert sum(votes) == 1_920_214
    for number, row in replay.machine[1].items():
        counts = replay.log.station(number)["counts"]
        assert isinstance(counts, list)
        count = counts[0]
        assert (count["source"], count["state"], tuple(count["votes"])) == (1, "reported", row.votes)
    flags = replay.log.area(replay.log.tally.root)["flags"]
    assert isinstance(flags, list)
    assert ["S206", 341] in flags


def test_georgia_holds_its_faulty_rows(tmp_path: Path) -> None:
    replay = play(georgia.SOURCE, georgia.convert, tmp_path)

    def held(row: Row) -> bool:
        figures = row.figures
        issued = figures["issued"]
        return (
            figures.get("valid", sum(row.votes)) != sum(row.votes)
            or issued > figures["registered"] + figures["registered_additional"]
        )

    states = check(replay, replay.machine, "machine", held)
    assert sum(states.values()) == 3_668 + 3_495
    assert states["held"] >= 1_033


@pytest.mark.skipif(not WHOLE, reason="97,699 stations take minutes: set TALLYGATE_WHOLE_REPLAYS=1")
@pytest.mark.timeout(1800)
def test_russia_holds_its_six_stations(tmp_path: Path) -> None:
    replay = play(russia.SOURCE, russia.convert, tmp_path)

    def held(row: Row) -> bool:
        figures = row.figures
        given_out = figures["issued"] + figures["issued_outside"] + figures["issued_early"]
        return figures["in_box"] > given_out or given_out > figures["registered"]

    assert check(replay, replay.machine, "machine", held) == {"reported": 97_693, "held": 6}
