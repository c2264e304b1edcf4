"""Ten thousand boxes send results in the first minute after the close: how long each waits for its proof.

The gateway is `tallygate serve` with the role ingest, the boxes are the fleet's, and both share the machine's
cores. Each box has a certificate, a full handshake and a connection of its own, signs its result and verifies
its receipt; the clocks run at real time.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import trio

from benches.harness import Figure
from clients.fleet.faults import Faults
from clients.fleet.figures import percentile
from clients.fleet.plan import Plan
from tests import fleet_nights
from tests.replays import synthetic

BOXES = 10_000
MINUTE = 60.0
# Real seconds from the start to the close.
BEFORE = 3


def results_alone(plan: Plan) -> Plan:
    """The boxes' results, as their first statements: what comes in the minute after a close."""
    devices = [
        replace(device, statements=tuple(one for one in device.statements if one.kind == "result"))
        for device in plan.devices
    ]
    return Plan([device for device in devices if device.statements], plan.faults)


def measure() -> Iterator[Figure]:
    """The waits, and what the machine did at most."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        synthetic.generate(folder, stations=BOXES, contests=1, seed=1)
        root = folder / "night"
        fleet_nights.make(root, folder / "election", day=BEFORE, speed=1)
        chance = random.Random(1)
        when = {station: [chance.uniform(0, MINUTE)] for station in range(1, BOXES + 1)}
        night, plan = fleet_nights.planned(root, folder / "results", Faults(), when)
        with fleet_nights.serving(root):
            outcome = trio.run(fleet_nights.played, night, results_alone(plan), Faults())
    figures = outcome.figures
    assert outcome.ok
    assert figures.results == BOXES
    name = f"{BOXES:,} boxes in the first minute"
    busiest = f"{figures.retries} retries, at most {figures.busiest():.0f} a second"
    note = f"longest {max(figures.from_send):,} ms; {busiest}"
    yield Figure(f"{name}: sent to proof, p50", percentile(figures.from_send, 0.5) or 0, "ms")
    yield Figure(f"{name}: sent to proof, p99", percentile(figures.from_send, 0.99) or 0, "ms", None, note)
    p99 = (percentile(figures.from_close, 0.99) or 0) / 1_000
    yield Figure(f"{name}: close to proof, p99", p99, "s", None, f"they send within {MINUTE:.0f} s of it")
