"""A results folder as packets: what the boxes of a built rehearsal would sign after the close.

Every column of a results file stands in its contest's count, because the files of two contests may disagree
about figures of the voters (Georgia does). A count needs at least one figure; where a set has votes and
nothing else, it is `valid`, as the sum of the votes without preferences, which states nothing new.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from clients.wire.cbor import Content
from clients.wire.definition import STANDARD_FIGURES, Choice, Definition
from clients.wire.roster import Roster

RESULT = 3
PROTOCOL = 4
_SIGNED_AFTER_MS = 60_000
_NORMAL = 1

Votes: TypeAlias = tuple[int, ...]


class Row(NamedTuple):
    """A row of a results file."""

    figures: Mapping[str, int]
    votes: Votes


def rows(path: Path) -> dict[int, Row]:
    """A results file by station."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        _, *columns = next(reader)
        names = [name for name in columns if not name.isdigit()]
        found: dict[int, Row] = {}
        for station, *cells in reader:
            values = [int(cell) for cell in cells]
            figures = dict(zip(names, values, strict=False))
            found[int(station)] = Row(figures, tuple(values[len(names) :]))
    return found


def packets(results: Path, definition: Definition, roster: Roster) -> Iterator[Content]:
    """The contents of one result and one protocol for each station that has rows, by station.

    A station's box sends both; results come first.

    Args:
        results: folder with `contest-<n>.csv` and `protocol-<n>.csv`.
        definition: built from the election folder beside it.
        roster: with a box at every station, as `tallygate init --rehearsal` makes it.
    """
    codes = {**STANDARD_FIGURES, **{own.figure: code for code, own in definition.figures.items()}}
    boxes = {
        station: device.device
        for device in roster.devices.values()
        if device.kind == "box"
        for station in device.stations
    }
    counts: dict[int, defaultdict[int, list[Content]]] = {
        report: defaultdict(list) for report in (RESULT, PROTOCOL)
    }
    for contest in definition.contests:
        for report, prefix in ((RESULT, "contest"), (PROTOCOL, "protocol")):
            path = results / f"{prefix}-{contest}.csv"
            for station, row in rows(path).items() if path.exists() else ():
                figures = {codes[name]: value for name, value in row.figures.items()}
                if not figures:
                    figures = {STANDARD_FIGURES["valid"]: _total(row.votes, definition.choices[contest])}
                counts[report][station].append((contest, tuple(sorted(figures.items())), row.votes))
    for station in sorted({*counts[RESULT], *counts[PROTOCOL]}):
        closed_at = definition.stations[station].closes_at
        reports: list[Content] = []
        if station in counts[RESULT]:
            reports.append((RESULT, closed_at, _NORMAL, 0, (), tuple(counts[RESULT][station]), ()))
        if station in counts[PROTOCOL]:
            reports.append((PROTOCOL, closed_at, b"", 0, (), tuple(counts[PROTOCOL][station]), ()))
        signed_at = closed_at + _SIGNED_AFTER_MS
        for sequence, own in enumerate(reports, 1):
            # A chain of hashes is not what a replay is about: `previous` names nothing.
            previous = bytes(32) if sequence > 1 else b""
            yield (definition.sha256, boxes[station], station, sequence, previous, signed_at, own)


def _total(votes: Votes, choices: tuple[Choice, ...]) -> int:
    return sum(own for own, choice in zip(votes, choices, strict=True) if choice.list is None)
