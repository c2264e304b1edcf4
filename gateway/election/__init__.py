"""From the officials' tables to the three manifests: definition, roster and information.

What other rooms use (docs/election-folder.md is the same for officials):

``read_folder(folder, *, rehearsal=False, number=False) -> (Election | None, Faults)``
    Reads and judges a whole election folder, whatever it holds: it never raises for what a file says. The
    election is None exactly when `Faults.errors` is not 0; warnings alone do not withhold it. With
    ``rehearsal=True`` the mode is `rehearsal`, the id ends in ``-rehearsal``, ``commission_keys`` in
    election.toml is ignored (`Settings.commission_keys` is then empty), and devices.csv or its key cells may
    be missing.

``due_devices(election) -> list[Device]``
    The devices of a rehearsal: those of devices.csv if it names any, else one box (where ``box`` = yes) and
    one terminal for each station, numbered from 1 in the order of the stations. ``Device.key`` is ``b""``
    where a key has still to be made.

``with_keys(election, *, devices, commission_keys, quorum=None) -> Election``
    A pure function: the same election with this whole roster of devices and these commission keys (32 bytes
    each). Raises TallygateError if a key is missing, no valid point, stands twice or shares a kid with
    another one.

``write_manifests(election, out) -> Built``
    Writes ``out/definition``, ``out/roster`` and ``out/information``, reads them back through the Rust core
    and only then renames the finished folder into place. Raises TallygateError; refuses an `out` that holds
    something else. ``Built.definition``, ``.roster`` and ``.information`` are the SHA-256 (32 bytes) of the
    three manifests.

``build(folder, out, *, number=False) -> (Built | None, Faults)``
    `read_folder` and `write_manifests` in one step: what ``tallygate election build`` does.

A rehearsal therefore is::

    election, faults = read_folder(folder, rehearsal=True)
    devices = [device._replace(key=device.key or make_key(device)) for device in due_devices(election)]
    built = write_manifests(with_keys(election, devices=devices, commission_keys=[...]), out)

``Election.settings.origin`` is the log's origin as election.toml gives it (None: `init` is told it);
it stands in no manifest, only decision 1 carries it. ``Election.settings`` also holds id, timezone, opens_at,
closes_at and publish_at (ms since the Unix epoch).
"""

from pathlib import Path

from gateway.election.faults import Code, Fault, Faults
from gateway.election.folder import read_folder
from gateway.election.manifests import Built, write_manifests
from gateway.election.model import Area, Choice, Contest, Courier, Device, Election, Settings, Station
from gateway.election.rehearsal import due_devices, with_keys

__all__ = [
    "Area",
    "Built",
    "Choice",
    "Code",
    "Contest",
    "Courier",
    "Device",
    "Election",
    "Fault",
    "Faults",
    "Settings",
    "Station",
    "build",
    "due_devices",
    "read_folder",
    "with_keys",
    "write_manifests",
]


def build(folder: Path, out: Path, *, number: bool = False) -> tuple[Built | None, Faults]:
    """Build an election folder.

    Args:
        folder: the officials' tables.
        out: where definition, roster and information go.
        number: give numbers to tables whose things have only labels.

    Returns:
        What was built, None if there are faults; and all faults and warnings.

    Raises:
        TallygateError: `out` holds something else, or what was built could not be read back.
        OSError: it could not be written.
    """
    election, faults = read_folder(folder, number=number)
    return (write_manifests(election, out) if election else None), faults
