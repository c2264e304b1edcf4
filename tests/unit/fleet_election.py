"""A built election for the fleet's tests: invented, with a box and a terminal a station, and its results."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nacl.signing import SigningKey

from clients.fleet import plan, results
from clients.fleet.arrivals import Arrivals
from clients.fleet.faults import Faults
from clients.fleet.plan import Plan, Planned
from clients.fleet.results import Results
from clients.wire.definition import Definition
from clients.wire.roster import Roster
from gateway.election import due_devices, read_folder, with_keys, write_manifests
from gateway.election.model import Device
from tests.replays import synthetic

MEMBER = SigningKey(bytes(32))


def seed(device: int) -> bytes:
    return device.to_bytes(32, "big")


class Built(NamedTuple):
    """Everything that a plan is made of."""

    definition: Definition
    roster: Roster
    results: Results
    folder: Path

    def plan(self, faults: Faults | None = None, when: Arrivals | None = None) -> Plan:
        return plan.make(self.definition, self.roster, self.results, when, faults or Faults())


def build(
    root: Path,
    *,
    stations: int = 12,
    contests: int = 2,
    shape: synthetic.Shape = "flat",
    change: Callable[[list[Device]], list[Device]] = lambda devices: devices,
) -> Built:
    synthetic.generate(root, stations=stations, contests=contests, seed=1, shape=shape)
    election, _ = read_folder(root / "election", rehearsal=True)
    assert election is not None
    devices = [
        device._replace(key=bytes(SigningKey(seed(device.device)).verify_key))
        for device in change(list(due_devices(election)))
    ]
    write_manifests(
        with_keys(election, devices=devices, commission_keys=[bytes(MEMBER.verify_key)]), root / "built"
    )
    definition = Definition.load(root / "built" / "definition")
    roster = Roster.load(root / "built" / "roster", definition)
    return Built(definition, roster, results.read(root / "results", definition), root / "results")


def of_station(made: Plan, station: int, kind: str) -> list[Planned]:
    """A station's statements of one kind, in the order of their signing."""
    return [
        one
        for device in made.devices
        for one in device.statements
        if one.station == station and one.kind == kind
    ]
