"""An election and its log for an example: protocols of so many stations that none has a million votes."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final

import msgspec

from tests.vectors.results.forms import AreaForm, Example
from tests.vectors.tally.build import Built, build
from tests.vectors.tally.forms import Case, Entry, Report

SOURCE: Final = 2
"""The protocols'."""
_MAX_COUNT: Final = 1_000_000
_ROOT: Final = 1
_DESK: Final = 1
# A count has at least one figure; this one is in no rule.
_NO_FIGURES: Final = {"8": 0}


def choices(example: Example) -> dict[str, int]:
    """The number of each name: lists and candidates from 1, preferences behind them."""
    members = chain.from_iterable(example.members.values())
    return {name: number for number, name in enumerate([*_votes(example), *members], 1)}


def _votes(example: Example) -> Mapping[str, int]:
    return next(iter(example.areas.values())).votes if example.areas else example.votes


def election(example: Example) -> Built:
    """Definition, roster and log."""
    return build(
        Case(
            name=example.name,
            why=example.source,
            manifest={"commission": {"members": 1, "quorum": 1}, "headline": "protocol"},
            rules={"required": []},
            tables={
                "areas": list(_areas(example)),
                "contests": [_contest(example)],
                "choices": list(_choices(example)),
                "stations": list(_stations(example)),
                "figures": [],
                "devices": [f"{_DESK},desk,,{_ROOT},@,"],
                "firmware": [],
            },
            log=list(_log(example)),
            expect=[],
        )
    )


def _contest(example: Example) -> str:
    contest = example.contest
    # Two marks: where some choices are left out, or sums were split, valid ballots are not the votes (H103).
    columns = (
        *(1, contest.kind, "", contest.seats, 2, contest.preferences, contest.method, contest.share_of),
        *(contest.threshold, contest.threshold_of, contest.threshold_area, contest.threshold_area_level),
        *(contest.seat_cap, contest.quorum, contest.quorum_of, "Contest"),
    )
    return ",".join("" if cell is None else str(cell) for cell in columns)


def _choices(example: Example) -> Iterator[str]:
    numbers = choices(example)
    usual = "list" if example.contest.kind == "list" else "candidate"
    for name in _votes(example):
        yield f"1,{numbers[name]},{example.kinds.get(name, usual)},,,Choice"
    for heading, members in example.members.items():
        for name in members:
            yield f"1,{numbers[name]},candidate,{numbers[heading]},,Choice"


def _parts(example: Example) -> list[AreaForm]:
    """The lowest areas; the whole is one where the example has none."""
    members = {name: votes for own in example.members.values() for name, votes in own.items()}
    return list(example.areas.values()) or [AreaForm(votes={**example.votes, **members})]


def _areas(example: Example) -> Iterator[str]:
    yield f"{_ROOT},,country,,,Country"
    for number, area in enumerate(example.areas.values(), _ROOT + 1):
        yield f"{number},{_ROOT},{area.level},,,Area"


def _split(total: int, parts: int) -> list[int]:
    return [total * place // parts - total * (place - 1) // parts for place in range(1, parts + 1)]


def _places(example: Example) -> int:
    """How many stations each area has."""
    numbers = chain.from_iterable(area.votes.values() for area in _parts(example))
    largest = max(*numbers, *example.figures.values(), example.registered or 0, 1)
    return -(-largest // _MAX_COUNT)


def _stations(example: Example) -> Iterator[str]:
    places = _places(example)
    registered = _split(example.registered or 0, places)
    number = 0
    for area in range(len(_parts(example))):
        for place in range(places):
            number += 1
            at = _ROOT + 1 + area if example.areas else _ROOT
            known = "" if example.registered is None else registered[place]
            yield f"{number},{at},{known},ordinary,no,46800000,UTC,1,,Station"


def _log(example: Example) -> Iterator[Entry]:
    places, numbers = _places(example), choices(example)
    number = 0
    for area in _parts(example):
        votes = {name: _split(total, places) for name, total in area.votes.items()}
        figures = {code: _split(total, places) for code, total in (example.figures or _NO_FIGURES).items()}
        for place in range(places):
            number += 1
            text = " ".join(f"{code}={own[place]}" for code, own in figures.items())
            count = (text, [votes[name][place] for name in numbers])
            report = Report(counts={"1": count})
            yield Entry(at=number, device=_DESK, station=number, protocol=report)


def expected(example: Example) -> dict[str, object]:
    """What the protocols' result must be, as far as the example says it."""
    numbers, expect = choices(example), example.expect
    kinds = {name: example.kinds.get(name, "") for name in _votes(example)}
    thresholds: list[list[int | str]] = []
    if expect.passed is not None:
        failed = expect.failed
        if failed is None:
            failed = [n for n, kind in kinds.items() if n not in expect.passed and kind != "against_all"]
        words = dict.fromkeys(expect.passed, "passed") | dict.fromkeys(failed, "failed")
        thresholds = [[numbers[name], word] for name, word in words.items()]
    seats: list[int | None] = [None] * len(numbers)
    if expect.seats is not None:
        own = {**expect.seats, **dict.fromkeys(expect.elected, 1)}
        seats = [own.get(name, 0) for name in numbers]
    word, *names = expect.outcome or ["decided", *(expect.seats or {})]
    return {
        "seats": seats,
        "thresholds": sorted(thresholds),
        "quorum": expect.quorum,
        "outcome": {"word": word, "choices": sorted(numbers[name] for name in names)},
    }


def said(results: bytes) -> dict[str, object]:
    """The same, of the results that a tally gives."""
    own = next(one for one in msgspec.json.decode(results) if one["source"] == SOURCE)
    members = {name: own[name] for name in ("thresholds", "quorum", "outcome")}
    return {"seats": [choice["seats"] for choice in own["choices"]], **members}
