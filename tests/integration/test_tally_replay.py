"""Real elections as packets through both tallies: totals at every level are those of the source.

Kyrgyzstan and Georgia always, where the sets are beside the project; Russia's 97,699 stations with
``TALLYGATE_WHOLE_REPLAYS=1`` (minutes).
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from nacl.signing import SigningKey

from clients.observer.tally import Tally
from clients.wire import statement
from clients.wire.definition import Definition
from clients.wire.roster import Roster
from gateway import _core
from gateway.election import due_devices, read_folder, with_keys, write_manifests
from tests.replays import georgia, kyrgyz, packets, russia
from tests.replays.folder import SHARED_DATA, Report
from tests.replays.packets import Row

WHOLE = os.environ.get("TALLYGATE_WHOLE_REPLAYS") == "1"

pytestmark = pytest.mark.shared


class Replay(NamedTuple):
    """A set as rows by contest and station, and its tally."""

    definition: Definition
    machine: Mapping[int, Mapping[int, Row]]
    protocol: Mapping[int, Mapping[int, Row]]
    tally: Tally

    def area(self, number: int) -> dict[str, object]:
        value: dict[str, object] = json.loads(self.tally.area(number))
        return value

    def sums(self, area: int, contest: int, source: str) -> dict[str, object]:
        contests = self.area(area)["contests"]
        assert isinstance(contests, list)
        found: dict[str, object] = next(own[source] for own in contests if own["contest"] == contest)
        return found


def play(source: str, convert: Callable[[Path, Path], Report], out: Path) -> Replay:
    folder = SHARED_DATA / source
    if not folder.is_dir():
        pytest.skip(f"{source} is not beside the project (shared/data/{source}): its replay was not tallied")
    convert(folder, out)
    election, _ = read_folder(out / "election", rehearsal=True)
    assert election is not None
    seeds = {device.device: device.device.to_bytes(32, "big") for device in due_devices(election)}
    member = SigningKey(bytes(32))
    devices = [
        device._replace(key=_core.public_key(seeds[device.device])) for device in due_devices(election)
    ]
    write_manifests(
        with_keys(election, devices=devices, commission_keys=[bytes(member.verify_key)]), out / "built"
    )
    definition = Definition.load(out / "built/definition")
    roster = Roster.load(out / "built/roster", definition)

    tally = Tally(definition, roster)
    opening = (1, "replay.example/log", bytes(32), bytes(32), roster.sha256, "replay")
    decision = (definition.sha256, b"", 1, 0, (("en", "A replay."),), opening)
    opening_entry = statement.sign("decision", decision, member)
    tally.apply(statement.decode(opening_entry))
    entries = [opening_entry]
    for content in packets.packets(out / "results", definition, roster):
        device = content[1]
        assert isinstance(device, int)
        entries.append(_core.sign("packet", content, seeds[device]))
        tally.apply(statement.decode(entries[-1]))
    agree(out, tally, entries)
    rows = {
        prefix: {
            contest: packets.rows(path)
            for contest in definition.contests
            if (path := out / f"results/{prefix}-{contest}.csv").exists()
        }
        for prefix in ("contest", "protocol")
    }
    return Replay(definition, rows["contest"], rows["protocol"], tally)


def agree(out: Path, tally: Tally, entries: Sequence[bytes]) -> None:
    """The gateway's tally of the same log has the same bytes: the root, and with its hashes every area."""
    definition = _core.Definition.load(out / "built/definition")
    other = _core.Tally(definition, _core.Roster.load(out / "built/roster", definition))
    assert other.apply(0, entries) == len(entries)
    assert other.area(tally.root) == tally.area(tally.root)
    stations = other.changed_stations()
    assert stations
    assert all(other.station(number) == tally.station(number) for number in stations)


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
        expected = votes_by_area(replay.definition, good)
        stations: defaultdict[int, Counter[str]] = defaultdict(Counter)
        for station in own:
            for area in areas_of(replay.definition, station):
                stations[area]["reported" if station in good else "held"] += 1
        for area, counted in stations.items():
            sums = replay.sums(area, contest, source)
            assert sums["votes"] == expected.get(area, sums["votes"]), (area, contest)
            assert (sums["reported"], sums["held"]) == (counted["reported"], counted["held"])
            assert sums["counted"] == counted["reported"]
        states.update(stations[replay.tally.root])
    return states


def test_kyrgyzstan_at_every_level(tmp_path: Path) -> None:
    replay = play(kyrgyz.SOURCE, kyrgyz.convert, tmp_path)
    assert check(replay, replay.machine, "machine", lambda row: False) == {"reported": 2_399}
    assert check(replay, replay.protocol, "protocol", lambda row: False) == {"reported": 2_413}
    assert sum(map(sum, (row.votes for row in replay.machine[1].values()))) == 1_920_214
    root = replay.sums(replay.tally.root, 1, "machine")
    votes = root["votes"]
    assert isinstance(votes, list)
    assert sum(votes) == 1_920_214
    for number, row in replay.machine[1].items():
        data = replay.tally.station(number)
        assert data is not None
        count = json.loads(data)["counts"][0]
        assert (count["source"], count["state"], tuple(count["votes"])) == (1, "reported", row.votes)
    flags = replay.area(replay.tally.root)["flags"]
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
