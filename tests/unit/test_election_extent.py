"""The bounds on the size of public objects hold for objects in which everything is as long as it can be."""

import json
from pathlib import Path
from typing import Final

import pytest

from clients.wire.jcs import JsonValue
from gateway.election.cells import STANDARD_FIGURES
from gateway.election.extent import Extent
from tests.unit.election_folder import read

_LARGEST: Final = 2**53 - 1
_VOTES: Final = 1_000_000
_HASH: Final = "f" * 64
_OPEN_HOURS: Final = 13
_CODES: Final = (*(f"H{n}" for n in range(100, 109)), *(f"S{n}" for n in range(201, 214)))
_PAIR: Final[list[JsonValue]] = [_LARGEST, _LARGEST]
_TRIPLE: Final[list[JsonValue]] = [_LARGEST, _LARGEST, _LARGEST]
_STATES: Final = ("silent", "partial", "reported", "held", "disputed", "annulled")
_PROGRESS: Final = (*_STATES, "stations", "opened", "cancelled")


def _size(value: JsonValue) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def _turnout() -> JsonValue:
    hours: list[JsonValue] = [list(_TRIPLE) for _ in range(_OPEN_HOURS)]
    return {"registered": _PAIR, "identified": _LARGEST, "stations": _LARGEST, "hours": hours}


def _sums(figures: int, choices: int) -> JsonValue:
    return {
        **dict.fromkeys((*_STATES, "counted"), _LARGEST),
        "registered": _PAIR,
        "figures": [_TRIPLE] * figures,
        "votes": [_LARGEST] * choices,
    }


def _area(
    areas: int, rows: int, figures: int, checks: int, contests: tuple[int, ...]
) -> dict[str, JsonValue]:
    codes = [*_CODES, *(f"S214.{_LARGEST}" for _ in range(checks))]
    counts: list[JsonValue] = [
        [_LARGEST, source, "disputed", [[_LARGEST, _VOTES]] * figures, [_VOTES] * choices]
        for choices in contests
        for source in (1, 2)
    ]
    return {
        "format": "tallygate-area/1",
        "definition": _HASH,
        **dict.fromkeys(("area", "stations", "opened", "cancelled"), _LARGEST),
        "turnout": _turnout(),
        "contests": [
            {
                "contest": _LARGEST,
                "stations": _LARGEST,
                "registered": _PAIR,
                "machine": _sums(figures, choices),
                "protocol": _sums(figures, choices),
            }
            for choices in contests
        ],
        "flags": [[code, _LARGEST] for code in codes],
        "areas": [[_LARGEST, _HASH]] * areas,
        "rows": [[_LARGEST, _LARGEST, 1, 1, list(codes), counts]] * rows,
    }


def _latest(areas: int, area: JsonValue, contests: tuple[int, ...]) -> JsonValue:
    progress: JsonValue = dict.fromkeys(_PROGRESS, _LARGEST)
    return {
        "tally": area,
        "results": [
            {
                "contest": _LARGEST,
                "source": source,
                "base": _LARGEST,
                "choices": [
                    dict.fromkeys(("choice", "votes", "share", "seats"), _LARGEST) for _ in range(choices)
                ],
                "turnout": _LARGEST,
                "thresholds": [[_LARGEST, "passed"]] * choices,
                "quorum": "passed",
                "outcome": {"word": "no-quorum", "choices": [_LARGEST] * choices},
            }
            for choices in contests
            for source in (1, 2)
        ],
        "children": [{"area": _LARGEST, "progress": progress, "sha256": _HASH, "turnout": _turnout()}]
        * areas,
    }


@pytest.mark.parametrize("checks", [0, 7])
@pytest.mark.parametrize("figures", [0, 5])
@pytest.mark.parametrize("contests", [(2,), (1,), (40, 3, 17)])
@pytest.mark.parametrize(("areas", "rows"), [(0, 1), (0, 200), (1, 0), (300, 0), (0, 0)])
def test_no_object_is_larger_than_its_bound(
    tmp_path: Path, areas: int, rows: int, contests: tuple[int, ...], figures: int, checks: int
) -> None:
    election = read(
        tmp_path,
        {
            "contests.csv": "contest,kind,name_en\n"
            + "".join(f"{contest},choose,C\n" for contest in range(1, len(contests) + 1)),
            "choices.csv": "contest,choice,name_en\n"
            + "".join(
                f"{contest},{choice},Somebody\n"
                for contest, choices in enumerate(contests, 1)
                for choice in range(1, choices + 1)
            ),
        },
    )
    extent = Extent(
        election.settings,
        election.contests,
        election.choices,
        figures,
        checks,
        election.stations,
    )
    lines = len(STANDARD_FIGURES) + figures
    area: JsonValue = _area(areas, rows, lines, checks, contests)
    below = {tuple(range(1, len(contests) + 1)): rows}

    size = _size(area)
    assert size <= extent.area(areas, below)
    # A bound that is far away would refuse elections that have room enough.
    assert extent.area(areas, below) <= 1.5 * size + 4_096

    assert _size(_latest(areas, area, contests)) + 2_048 <= extent.latest(areas, below)
