"""`tallygate-fleet play` against the real gateway: nights over mutual TLS, with everything going wrong."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from clients.fleet import audit
from clients.fleet.faults import STATION_FAULTS, Faults
from clients.wire import statement
from gateway import _core
from tests import fleet_nights
from tests.fleet_nights import ROOT
from tests.replays import synthetic

STATIONS = 60
FAULTS = Faults(
    seed=5,
    rates={"cut": 0.15, "duplicate": 0.1, "late": 0.05, "silent": 0.05, "reorder": 0.1},
    stations={
        "equivocation": {11},
        "arithmetic": {12},
        "too_many_votes": {13},
        "silent": {14},
        # Terminals and boxes alternate: device 29 is the box of station 15.
        "clock": {29, 30},
    },
)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    synthetic.generate(tmp_path, stations=STATIONS, contests=2, seed=3)
    return tmp_path


def test_a_night_with_faults(tables: Path) -> None:
    root = tables / "night"
    fleet_nights.make(root, tables / "election")
    own, plan = fleet_nights.planned(root, tables / "results", FAULTS)
    with fleet_nights.serving(root):
        outcome = trio.run(fleet_nights.played, own, plan, FAULTS)
        log = audit.Log(trio.run(fleet_nights.entries, root))
    assert outcome.ok, (outcome.audit.faults, outcome.undelivered)
    assert outcome.audit.log == "asked"
    assert outcome.cut
    assert outcome.figures.duplicates
    assert outcome.figures.conflicts == 1

    # The same histories against the whole log, as it would be read from the feed.
    whole = audit.of_log(outcome.histories, log, own.site.log_key)
    assert whole.clean, whole.faults
    assert whole.delivered == outcome.figures.planned == len(log.entries) - own.definition.quorum

    tally = tally_of(root, log.entries)
    states = {number: state(tally, number) for number in own.definition.stations}
    assert states[11] == "disputed"
    assert states[12] == states[13] == "held"
    assert states[14] == "silent"
    silent = set(plan.faults["silent"])
    assert {number for number, word in states.items() if word == "silent"} == silent
    assert Counter(states.values())["reported"] == STATIONS - 3 - len(silent)
    assert all(set(plan.faults[fault]) >= set(FAULTS.stations.get(fault, ())) for fault in STATION_FAULTS)


def test_the_published_log_is_the_judge(tables: Path) -> None:
    root = tables / "night"
    fleet_nights.make(root, tables / "election", day=1, roles=("ingest", "publish"))
    own, plan = fleet_nights.planned(root, tables / "results", FAULTS)
    with fleet_nights.serving(root):
        outcome = trio.run(fleet_nights.played, own, plan, FAULTS)
    assert outcome.ok, (outcome.audit.faults, outcome.undelivered)
    assert outcome.audit.log == "feed"
    assert outcome.audit.size == outcome.figures.planned + own.definition.quorum


def tally_of(root: Path, entries: Sequence[bytes]) -> _core.Tally:
    definition = _core.Definition.load(root / "definition")
    tally = _core.Tally(definition, _core.Roster.load(root / "roster", definition))
    assert tally.apply(0, entries) == len(entries)
    return tally


def state(tally: _core.Tally, station: int) -> str:
    """The worst state of a station's machine counts."""
    data = tally.station(station)
    counts = [] if data is None else json.loads(data)["counts"]
    words = {count["state"] for count in counts if count["source"] == 1}
    return next((word for word in ("held", "disputed", "reported") if word in words), "silent")


def test_the_same_night_again_is_the_same_bytes(tables: Path) -> None:
    """The log has what is planned, in chains without a gap; who plays it again sends what is there."""
    root = tables / "night"
    fleet_nights.make(root, tables / "election", day=1)
    own, plan = fleet_nights.planned(root, tables / "results", Faults())
    with fleet_nights.serving(root):
        first = trio.run(fleet_nights.played, own, plan, Faults())
        again = trio.run(fleet_nights.played, own, plan, Faults())
        log = trio.run(fleet_nights.entries, root)
    assert first.ok
    assert again.ok
    assert again.figures.duplicates == again.figures.planned
    assert len(set(log)) == len(log) == first.figures.planned + own.definition.quorum

    chains: dict[int, dict[int, statement.Statement]] = {}
    for found in map(statement.decode, log):
        if found.kind == "packet":
            chains.setdefault(found.device, {})[found.sequence] = found
    for device in plan.devices:
        chain = chains[device.device.device]
        assert sorted(chain) == list(range(1, len(device.statements) + 1))
        previous = b""
        for sequence, planned in enumerate(device.statements, 1):
            assert chain[sequence].previous == previous
            assert chain[sequence].report == planned.report
            assert chain[sequence].signed_at == planned.signed_at
            previous = chain[sequence].id


def test_the_program(tables: Path) -> None:
    root, report = tables / "night", tables / "report.json"
    fleet_nights.make(root, tables / "election", day=1)
    (tables / "faults.toml").write_text("seed = 5\n[rates]\ncut = 0.1\n")
    stations = range(1, 31)
    (tables / "arrivals.csv").write_text(
        "station,seconds\n" + "".join(f"{n},{60 + n}.5\n" for n in stations) + "1,90\n"
    )
    with fleet_nights.serving(root):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "clients.fleet.cli", "play", str(root), "--json"),
                *("--results", str(tables / "results"), "--arrivals", str(tables / "arrivals.csv")),
                *("--faults", str(tables / "faults.toml"), "--report", str(report), "--patience", "60"),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    *events, last = map(json.loads, done.stdout.splitlines())
    assert [event["event"] for event in events] == ["progress"] * len(events)
    assert [event["delivered"] for event in events] == sorted(event["delivered"] for event in events)
    assert events[0]["phase"] == "waiting"
    assert events[-1]["phase"] == "audit"
    assert last["event"] == "end"
    written = json.loads(report.read_text())
    assert written == last["report"]
    assert written["ok"]
    assert written["results"]["planned"] == written["results"]["delivered"] == len(stations)
    assert written["duplicates"] >= 1
    assert written["audit"]["faults"] == []
    # Half of the stations never send: what is planned is all that a fleet waits for.
    assert written["delivered"] == written["planned"] == events[-1]["delivered"]


def test_nobody_serves(tables: Path) -> None:
    root = tables / "night"
    fleet_nights.make(root, tables / "election")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "clients.fleet.cli", "play", str(root)),
            *("--results", str(tables / "results"), "--patience", "1"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "[fleet.not_started]" in done.stderr
    assert f"tallygate serve {root}" in done.stderr


def test_it_is_stopped(tables: Path) -> None:
    root = tables / "night"
    fleet_nights.make(root, tables / "election")
    fleet = subprocess.Popen(
        [
            *(sys.executable, "-m", "clients.fleet.cli", "play", str(root), "--json"),
            *("--results", str(tables / "results")),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert fleet.stdout is not None
    assert json.loads(fleet.stdout.readline())["phase"] == "waiting"
    fleet.terminate()
    _, said = fleet.communicate(timeout=fleet_nights.PATIENCE)
    assert (fleet.returncode, said) == (1, "error: stopped\n")
