"""The gateway is killed while a fleet plays: nothing that was promised is lost, nothing is there twice."""

import random
from pathlib import Path

import trio

from clients.fleet import audit
from clients.fleet.faults import Faults
from clients.fleet.play import Outcome, State
from tests import fleet_nights
from tests.replays import synthetic

STATIONS = 80
KILLS = 2
FAULTS = Faults(seed=2, rates={"cut": 0.05, "duplicate": 0.05, "equivocation": 0.05})


def test_killed_while_a_fleet_plays(tmp_path: Path) -> None:
    synthetic.generate(tmp_path, stations=STATIONS, contests=1, seed=4)
    root = tmp_path / "night"
    fleet_nights.make(root, tmp_path / "election", day=3)
    own, plan = fleet_nights.planned(root, tmp_path / "results", FAULTS)
    killed: list[int] = []

    async def play() -> tuple[Outcome, list[bytes]]:
        chance = random.Random(7)
        delivered = 0
        moved = trio.Event()

        def tell(state: State) -> None:
            nonlocal delivered, moved
            if state.figures is not None and state.figures.delivered > delivered:
                delivered = state.figures.delivered
                moved.set()
                moved = trio.Event()

        async def kill() -> None:
            while len(killed) < KILLS:
                # Somewhere within the second after boxes have got through to this life of it.
                await moved.wait()
                await trio.sleep(chance.random())
                pid = fleet_nights.ready(root).pid
                if pid not in killed:
                    killed.append(fleet_nights.kill_ingest(root))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            outcome = await fleet_nights.played(own, plan, FAULTS, tell)
            nursery.cancel_scope.cancel()
        return outcome, await fleet_nights.entries(root)

    with fleet_nights.serving(root):
        outcome, entries = trio.run(play)
    assert len(killed) == KILLS
    assert outcome.figures.failed
    assert outcome.ok, (outcome.audit.faults, outcome.undelivered)
    whole = audit.of_log(outcome.histories, audit.Log(entries), own.site.log_key)
    assert whole.clean, whole.faults
    assert len(entries) == outcome.figures.planned + own.definition.quorum
