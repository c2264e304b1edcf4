"""When results leave their boxes: seconds after a station closes, given in a file or by a plausible curve.

The seconds are the election's: at ten times the speed they pass ten times as fast.
"""

import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from clients.fleet.table import STATION, Table
from clients.wire.definition import Definition

# A year: who means more has written milliseconds.
MAX_SECONDS = 366 * 86_400

# Share of the boxes that have sent by so many seconds after the close. Most boxes count while votes are cast
# and need minutes to print and to find a line; the last tenth stands where the line has to be brought to.
CURVE: Final[Sequence[tuple[float, int]]] = (
    (0.0, 20),
    (0.1, 60),
    (0.5, 240),
    (0.8, 720),
    (0.95, 1800),
    (0.99, 3600),
    (1.0, 7200),
)

# Seconds after the close, ascending, by station; a station that is not in it never sends.
Arrivals: TypeAlias = Mapping[int, Sequence[float]]


def at_share(share: float) -> float:
    """Seconds after the close by which this share of the boxes has sent, 0.0 to 1.0."""
    place = max(1, bisect_left(CURVE, share, key=lambda point: point[0]))
    (low, first), (high, last) = CURVE[place - 1 : place + 1]
    return first + (last - first) * (share - low) / (high - low)


def of_curve(station: int, seed: int) -> Sequence[float]:
    """When the box of a station sends by the built-in curve; the same for the same seed."""
    return (at_share(random.Random(f"arrival {seed} {station}").random()),)  # noqa: S311 - not a secret


def read(path: Path, definition: Definition) -> Arrivals:
    """Read a table `station,seconds`; a station may stand several times: it sends again.

    Raises:
        WireError: `results.malformed` with its place, `file.unreadable`, `file.too_large`.
    """
    found: defaultdict[int, list[float]] = defaultdict(list)
    table = Table(path)
    table.require(STATION, "seconds")
    for row in table:
        found[row.station(definition)].append(row.seconds("seconds", MAX_SECONDS))
    return {station: sorted(seconds) for station, seconds in found.items()}
