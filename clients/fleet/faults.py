"""What is done to a fleet on purpose: which stations, devices and connections, drawn by a seed.

A fault of a station or a device depends on the seed and its number alone, so the same file gives the same
statements on every machine. Cut lines and duplicates are drawn by each device for itself as it goes.
"""

import random
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from clients import files
from clients.wire.errors import WireError
from clients.wire.text import MAX_NUMBER

# Of stations: what their boxes count, or when they send it.
StationFault: TypeAlias = Literal["reorder", "equivocation", "arithmetic", "too_many_votes", "late", "silent"]
# Of devices.
DeviceFault: TypeAlias = Literal["clock"]
# Of single connections and deliveries.
LineFault: TypeAlias = Literal["cut", "duplicate"]
Fault: TypeAlias = StationFault | DeviceFault | LineFault

STATION_FAULTS: Final[tuple[StationFault, ...]] = get_args(StationFault)
FAULTS: Final[tuple[Fault, ...]] = (*STATION_FAULTS, *get_args(DeviceFault), *get_args(LineFault))

_MAX_FAULTS_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Faults:
    """Which faults there are.

    Attributes:
        seed: of every draw, also of arrivals.
        rates: share of stations, devices, connections or deliveries; what is not in it is 0.
        stations: stations (`clock`: devices) that have a fault whatever the rates say.
    """

    seed: int = 1
    rates: Mapping[Fault, float] = field(default_factory=dict)
    stations: Mapping[Fault, Collection[int]] = field(default_factory=dict)

    def hits(self, fault: StationFault | DeviceFault, number: int) -> bool:
        """Whether a station, or for `clock` a device, has this fault."""
        if number in self.stations.get(fault, ()):
            return True
        rate = self.rates.get(fault, 0.0)
        return rate > 0 and self.chance(fault, number).random() < rate

    def chance(self, *names: str | int) -> random.Random:
        """A generator of its own for each thing that is drawn."""
        return random.Random(f"{self.seed} {' '.join(map(str, names))}")  # noqa: S311 - not a secret

    def rate(self, fault: LineFault) -> float:
        """The share of connections or deliveries."""
        return self.rates.get(fault, 0.0)


def read(path: Path) -> Faults:
    """Read a faults file.

    Raises:
        WireError: `faults.malformed`, `file.unreadable`, `file.too_large`.
    """
    data = files.read_given(path, _MAX_FAULTS_BYTES, "a file of faults")
    try:
        document = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(path, str(error)) from error
    seed = document.pop("seed", 1)
    if not _is_number(seed):
        raise _malformed(path, "seed: must be a whole number from 0")
    rates = {name: _rate(path, name, value) for name, value in _entries(path, document, "rates")}
    stations = {name: _stations(path, name, value) for name, value in _entries(path, document, "stations")}
    if document:
        raise _malformed(path, f"{next(iter(document))}: there is no such key; it has seed, rates, stations")
    for line in get_args(LineFault):
        if line in stations:
            raise _malformed(path, f"stations.{line}: this is not done to a station; it has a rate only")
    return Faults(seed, rates, stations)


def _entries(path: Path, document: dict[str, object], table: str) -> list[tuple[Fault, object]]:
    entries = document.pop(table, {})
    if not isinstance(entries, dict):
        raise _malformed(path, f"{table}: must be a table")
    found: list[tuple[Fault, object]] = []
    for name, value in entries.items():
        known = next((fault for fault in FAULTS if fault == name), None)
        if known is None:
            raise _malformed(path, f"{table}.{name}: there is no such fault; there are {', '.join(FAULTS)}")
        found.append((known, value))
    return found


def _rate(path: Path, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _malformed(path, f"rates.{name}: must be a share from 0 to 1")
    return float(value)


def _stations(path: Path, name: str, value: object) -> frozenset[int]:
    if not isinstance(value, list) or not all(_is_number(number) for number in value):
        raise _malformed(path, f"stations.{name}: must be a list of numbers")
    return frozenset(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBER


def _malformed(path: Path, detail: str) -> WireError:
    return WireError("faults.malformed", f"these are no faults for a fleet: {detail}", file=str(path))
