"""What went wrong in real elections, put right by decisions and corrected protocols, in both tallies.

Kyrgyzstan's two counts side by side, Georgia's faulty protocols, Bolivia's mesas that were withdrawn and
corrected, Mexico's quick count, Russia's annulled stations; Bolivia and Russia with all their stations where
``TALLYGATE_WHOLE_REPLAYS=1`` (minutes), else with a part.
"""

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from clients.wire.cbor import Content
from clients.wire.definition import STANDARD_FIGURES, Definition
from tests.replays import bolivia, georgia, kyrgyz, mexico, packets, russia
from tests.replays.folder import SHARED_DATA, keep
from tests.replays.log import ReplayLog
from tests.replays.packets import Row

WHOLE = os.environ.get("TALLYGATE_WHOLE_REPLAYS") == "1"

# Words of the format (docs/packet.md).
PROTOCOL = 4
FIRST, RECOUNT = 0, 2
ANNUL, CHOOSE, UNDO = 4, 5, 13
MACHINE, PAPER = 1, 2
# Messages of Mexico's quick count.
SENT_IN_THE_NIGHT = 6_307

pytestmark = pytest.mark.shared


def source(name: str) -> Path:
    folder = SHARED_DATA / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not beside the project (shared/data/{name})")
    return folder


def figures(definition: Definition, row: Row) -> Content:
    codes = {**STANDARD_FIGURES, **{own.figure: code for code, own in definition.figures.items()}}
    return tuple(sorted((codes[name], value) for name, value in row.figures.items()))


def protocol(
    definition: Definition, station: int, counts: Iterable[Content], corrects: bytes = b"", cause: int = FIRST
) -> Content:
    """What a commission's paper says, keyed in."""
    closed_at = definition.stations[station].closes_at
    return (PROTOCOL, closed_at, corrects, cause, (), tuple(counts), ())


# Kyrgyzstan


def counted_twice(folder: Path) -> dict[int, tuple[list[int], list[int]]]:
    """Row in the machine's file, its votes, and those of the manual count, straight from the source."""

    def read(name: str) -> dict[str, list[tuple[int, list[int]]]]:
        found: defaultdict[str, list[tuple[int, list[int]]]] = defaultdict(list)
        with (folder / name).open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                votes = [round(float(cell)) for cell in list(row.values())[: kyrgyz.CHOICES]]
                found[row["form2_percent"]].append((number, votes))
        return found

    machine, manual = read(kyrgyz.MACHINE_FILE), read(kyrgyz.MANUAL_FILE)
    return {
        rows[0][0]: (rows[0][1], manual[key][0][1])
        for key, rows in machine.items()
        if len(rows) == 1 and len(manual.get(key, ())) == 1
    }


def test_kyrgyzstans_two_counts_stand_side_by_side(tmp_path: Path) -> None:
    folder = source(kyrgyz.SOURCE)
    kyrgyz.convert(folder, tmp_path)
    log = ReplayLog(tmp_path)
    for content in packets.packets(tmp_path / "results", log.definition, log.roster):
        log.send(content)
    both = counted_twice(folder)
    differing = 0
    for station in log.definition.stations:
        machine, manual = both.get(station, ([], []))
        expected = [
            [1, choice, mine, theirs]
            for choice, (mine, theirs) in enumerate(zip(machine, manual, strict=True), start=1)
            if mine != theirs
        ]
        found = log.station(station)
        assert found["differences"] == expected
        codes = found["codes"]
        assert isinstance(codes, list)
        assert ("S206" in codes) == bool(expected)
        differing += bool(expected)
    assert (len(both), differing) == (2_165, 341)
    log.agree()


# Georgia


def test_georgias_faulty_protocols_are_held_until_somebody_decides(tmp_path: Path) -> None:
    georgia.convert(source(georgia.SOURCE), tmp_path)
    log = ReplayLog(tmp_path)
    contests = {
        contest: packets.rows(tmp_path / f"results/contest-{contest}.csv")
        for contest in log.definition.contests
    }
    papers: dict[int, bytes] = {}
    for station in log.definition.stations:
        counts = [
            (contest, figures(log.definition, rows[station]), rows[station].votes)
            for contest, rows in contests.items()
            if station in rows
        ]
        papers[station] = log.report(station, protocol(log.definition, station, counts))

    held = [
        (station, contest)
        for station in papers
        for contest, source_, state, *_ in states(log, station)
        if (source_, state) == (PAPER, "held")
    ]
    party_list = [station for station, contest in held if contest == 1]
    assert set(party_list) >= {
        station for station, row in contests[1].items() if row.figures["valid"] != sum(row.votes)
    }
    assert sum(row.figures["valid"] != sum(row.votes) for row in contests[1].values()) == 1_033
    before = votes(log, 1, "protocol")
    kept_out = [contests[1][station].votes for station in party_list]
    whole = [sum(column) for column in zip(*(row.votes for row in contests[1].values()), strict=True)]
    assert before == [
        total - missing for total, missing in zip(whole, map(sum, zip(*kept_out, strict=True)), strict=True)
    ]

    # The commission looks at each paper, and lets it stand as it is.
    decided = [log.decide((CHOOSE, station, contest, PAPER, papers[station])) for station, contest in held]
    assert votes(log, 1, "protocol") == whole
    assert sum(whole) == 1_751_506
    assert {852_576, 473_906} <= set(whole)
    for contest, rows in contests.items():
        assert votes(log, contest, "protocol") == [
            sum(column) for column in zip(*(row.votes for row in rows.values()), strict=True)
        ]
        sums = log.sums(log.tally.root, contest, "protocol")
        assert (sums["held"], sums["counted"]) == (0, len(rows))

    # Undone, everything is as it was.
    for number in reversed(decided[:20]):
        log.decide((UNDO, number))
    sums = log.sums(log.tally.root, 1, "protocol")
    assert sums["held"] == sum(contest == 1 for _, contest in held[:20])
    log.agree()


def states(log: ReplayLog, station: int) -> list[tuple[int, int, str]]:
    """Contest, source and state of each count of a station."""
    counts = log.station(station)["counts"]
    assert isinstance(counts, list)
    return [(count["contest"], count["source"], count["state"]) for count in counts]


def votes(log: ReplayLog, contest: int, of: str) -> list[int]:
    found = log.sums(log.tally.root, contest, of)["votes"]
    assert isinstance(found, list)
    return found


# Bolivia


def test_bolivias_mesas_are_withdrawn_and_come_back_corrected(tmp_path: Path) -> None:
    folder = source(bolivia.SOURCE)
    bolivia.convert(folder, tmp_path)
    steps = list(bolivia.history(folder))
    if not WHOLE:
        # The last step alone brings 16,000 mesas.
        del steps[-1]
        keep(tmp_path, {event.mesa for _, events, _ in steps for event in events})
    log = ReplayLog(tmp_path)
    papers: dict[int, bytes] = {}
    withdrawn: dict[int, int] = {}
    happened: Counter[str] = Counter()
    for at, events, standing in steps:
        for event in events:
            mesa, count = event.mesa, event.counted
            if count is None:
                withdrawn[mesa] = log.decide((ANNUL, mesa, 0), at)
                happened["withdrawn"] += 1
                continue
            own = (1, counted(count), count.votes)
            cause, corrects = (RECOUNT, papers[mesa]) if mesa in papers else (FIRST, b"")
            happened["corrected"] += cause == RECOUNT
            paper = protocol(log.definition, mesa, [own], corrects, cause)
            papers[mesa] = log.report(mesa, paper, at)
            if mesa in withdrawn:
                log.decide((UNDO, withdrawn.pop(mesa)), at)
        # At the time of every export the country's sums are that export's own.
        sums = log.sums(log.tally.root, 1, "protocol")
        assert sums["votes"] == [
            sum(column) for column in zip(*(c.votes for c in standing.values()), strict=True)
        ]
        assert (sums["counted"], sums["annulled"]) == (len(standing), len(withdrawn))
    assert happened == {"corrected": 10, "withdrawn": 6 if WHOLE else 4}
    if WHOLE:
        # The last export, as its source states it.
        creemos, mas, *_, cc, _ = votes(log, 1, "protocol")
        assert (mas, cc, creemos) == (1_548_883, 1_075_654, 530_722)
        found = log.sums(log.tally.root, 1, "protocol")["figures"]
        assert isinstance(found, list)
        assert [9, 3_391_994, 18_557] in found
    # Who was corrected shows it.
    flags = log.area(log.tally.root)["flags"]
    assert isinstance(flags, list)
    assert ["S212", 10] in flags
    log.agree()


def counted(count: bolivia.Count) -> Content:
    names = ("registered", "in_box", "valid", "blank", "invalid")
    return tuple(sorted(zip(map(STANDARD_FIGURES.__getitem__, names), count.figures, strict=True)))


# Mexico


def test_mexicos_quick_count_is_corrected_by_the_district_count(tmp_path: Path) -> None:
    folder = source(mexico.SOURCE)
    mexico.convert(folder, tmp_path)
    log = ReplayLog(tmp_path)
    papers: dict[int, bytes] = {}
    standing: dict[int, tuple[int, ...]] = {}

    def counted_so_far() -> list[int]:
        return [sum(column) for column in zip(*standing.values(), strict=True)]

    night: list[int] = []
    for place, event in enumerate(mexico.history(folder), start=1):
        own = (1, ((9, sum(event.votes)), (11, sum(event.votes))), event.votes)
        cause, corrects = (RECOUNT, papers[event.casilla]) if event.corrects else (FIRST, b"")
        report = protocol(log.definition, event.casilla, [own], corrects, cause)
        papers[event.casilla] = log.report(event.casilla, report, event.at)
        standing[event.casilla] = event.votes
        if place % 1_000 == 0:
            assert votes(log, 1, "protocol") == counted_so_far()
        if place == SENT_IN_THE_NIGHT:
            night = votes(log, 1, "protocol")
    # The night's sums, and after it those of the district count, as their sources state them.
    assert (sum(night), night[2], night[0], night[1]) == (2_275_143, 1_207_530, 516_739, 360_034)
    assert votes(log, 1, "protocol") == counted_so_far()
    sums = log.sums(log.tally.root, 1, "protocol")
    assert (sums["counted"], sums["disputed"], sums["held"]) == (7_775, 0, 0)
    flags = log.area(log.tally.root)["flags"]
    assert isinstance(flags, list)
    assert ["S212", 4_841] in flags
    log.agree()


# Russia


@pytest.mark.timeout(1_800)
def test_russias_annulled_stations_leave_the_sums(tmp_path: Path) -> None:
    russia.convert(source(russia.SOURCE), tmp_path)
    rows = packets.rows(tmp_path / "results" / "contest-1.csv")
    if not WHOLE:
        kept = {*russia.ANNULLED, *sorted(rows)[::200]}
        keep(tmp_path, kept)
        rows = {station: row for station, row in rows.items() if station in kept}
    log = ReplayLog(tmp_path)
    sent: dict[int, bytes] = {}
    for content in packets.packets(tmp_path / "results", log.definition, log.roster):
        station = content[2]
        assert isinstance(station, int)
        sent[station] = log.send(content)
    # Six stations gave out more ballots than the rule allows: the published total has them.
    held = [station for station in rows if ("held" in {state for _, _, state in states(log, station)})]
    for station in held:
        log.decide((CHOOSE, station, 1, MACHINE, sent[station]))
    assert counted_registered(log) == registered(rows)
    for station in russia.ANNULLED:
        log.decide((ANNUL, station, 1))
        assert states(log, station) == [(1, MACHINE, "annulled"), (1, PAPER, "annulled")]
    left = {station: row for station, row in rows.items() if station not in russia.ANNULLED}
    assert counted_registered(log) == registered(left)
    assert votes(log, 1, "machine") == [
        sum(column) for column in zip(*(row.votes for row in left.values()), strict=True)
    ]
    if WHOLE:
        assert (len(held), counted_registered(log)) == (6, 109_001_306)
    log.agree()


def registered(rows: Mapping[int, Row]) -> int:
    return sum(row.figures["registered"] for row in rows.values())


def counted_registered(log: ReplayLog) -> int:
    found = log.sums(log.tally.root, 1, "machine")["registered"]
    assert isinstance(found, list)
    total: int = found[0]
    return total
