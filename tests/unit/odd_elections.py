"""Small elections with every rule for seats that a strict reader takes, as Hypothesis draws them.

Beside `results_elections`, which are those that officials can write: here are methods and kinds that do not
belong together, lists within lists, several contests, both sources, annulled counts and cancelled stations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.unit.tally_logs import one, up_to
from tests.vectors.tally.forms import Case, Entry, Report

AREAS = (
    "1,,country,,,Country",
    "2,1,region,,,North",
    "3,1,region,,,South",
    "4,3,region,,,Deep south",
    "5,1,abroad,,,Abroad",
)
# Areas with stations.
LOWEST = (2, 4, 5)
STATIONS = (10, 11, 12, 13)
DESK = 99
METHODS = ("plurality", "majority", "hare", "dhondt", "sainte-lague")
BASES = ("votes", "votes", "votes", "valid", "in_box", "registered")
VOTES = (0, 0, 1, 2, 3, 5, 6, 10, 10, 10, 12, 15, 20, 30, 30, 60)
REGISTERED = ("", 0, 20, 60, 60, 60, 120, 120, 1000)
PERCENTS = (1, 100, 500, 1000, 1666, 2500, 3333, 5000, 5001, 10000)


@dataclass(frozen=True)
class Contest:
    """A contest's row, its choices' rows, and how many votes a count has."""

    row: str
    choices: tuple[str, ...]


@st.composite
def contests(draw: DrawFn, number: int) -> Contest:
    """A contest with any rules; a strict reader takes every combination."""
    kind = draw(one("list", "list", "choose", "choose", "referendum"))
    method = draw(one(*METHODS))
    seats = draw(one(1, 1, 2, 3, 4, 5, 7, 10, 30))

    def percent(values: Sequence[int] = PERCENTS) -> str:
        return str(draw(one(*values))) if draw(up_to(2)) == 0 else ""

    threshold, threshold_area, quorum = percent(), percent((1, 500, 2500)), percent()
    row = (
        *(number, kind, "", seats, 1000, 1000, method, draw(one(*BASES))),
        *(threshold, draw(one(*BASES)) if threshold else ""),
        *(threshold_area, draw(one("region", "abroad", "country", "none")) if threshold_area else ""),
        *(percent((1, 1000, 2500, 4000, 5417)), quorum, draw(one(*BASES)) if quorum else "", "Contest"),
    )
    return Contest(",".join(map(str, row)), tuple(_choices(draw, number, kind)))


def _choices(draw: DrawFn, number: int, kind: str) -> Iterator[str]:
    own = {"list": ("list",), "choose": ("candidate",), "referendum": ("yes", "no")}[kind]
    kinds = list(own)
    kinds += draw(st.lists(one(*own, *own, *own, "candidate", "list", "against_all", "no"), max_size=5))
    lists = [place for place, word in enumerate(kinds, 1) if word == "list"]
    for place, word in enumerate(kinds, 1):
        # Rarely a list stands within another, or within itself.
        inner = draw(one(*lists)) if lists and draw(up_to(19)) == 0 else ""
        yield f"{number},{place},{word},{inner},,Choice"
    for place in range(len(kinds) + 1, len(kinds) + 1 + (draw(up_to(4)) if lists else 0)):
        yield f"{number},{place},{draw(one('candidate', 'against_all'))},{draw(one(*lists))},,Choice"


@st.composite
def elections(draw: DrawFn) -> Case:
    """An election and its log: protocols of a desk, results of boxes, now and then a decision."""
    drawn = {number: draw(contests(number)) for number in range(1, draw(up_to(3, 1)) + 1)}
    stations = STATIONS[: draw(up_to(4, 1))]
    voting = {
        station: draw(one(tuple(drawn), tuple(drawn), tuple(drawn)[:1], tuple(drawn)[-1:]))
        for station in stations
    }
    rows = [
        f"{station},{draw(one(*LOWEST))},{draw(one(*REGISTERED))},ordinary,no,46800000,UTC,"
        f"{' '.join(map(str, own))},,Station"
        for station, own in voting.items()
    ]
    figures = draw(one("9 11", "9 11", "9 11", "9 11", "9 11", "9", "11"))
    log: list[Entry] = []
    for station, own in voting.items():
        for source in ("protocol", "result"):
            # Once in a while nothing comes; then the contest is not settled.
            if draw(up_to(23)) == 0:
                continue
            counted = {str(contest): draw(_counts(drawn[contest], figures)) for contest in own}
            report = Report(counts=counted)
            if source == "protocol":
                log.append(Entry(at=len(log) + 1, device=DESK, station=station, protocol=report))
            else:
                log.append(Entry(at=len(log) + 1, device=station, station=station, result=report))
    for number in range(2, 2 + draw(one(0, 0, 0, 1, 2))):
        station = draw(one(0, *stations))
        action: list[int | str] = [4, station, 0] if station == 0 or draw(st.booleans()) else [12, station]
        if station == 0:
            action = [4, 0, draw(one(*drawn))]
        log.append(Entry(at=len(log) + 1, decision=number, action=action))
    return Case(
        name="results",
        why="",
        manifest={"commission": {"members": 1, "quorum": 1}},
        rules={"required": []},
        tables={
            "areas": list(AREAS),
            "contests": [contest.row for contest in drawn.values()],
            "choices": [row for contest in drawn.values() for row in contest.choices],
            "stations": rows,
            "figures": [],
            "devices": [*(f"{station},box,{station},,@," for station in stations), f"{DESK},desk,,1,@,"],
            "firmware": [],
        },
        log=log,
        expect=[],
    )


@st.composite
def _counts(draw: DrawFn, contest: Contest, figures: str) -> tuple[str, list[int]]:
    votes = [draw(one(*VOTES)) for _ in contest.choices]
    if draw(up_to(9)) == 0:
        votes = [own * 16_666 for own in votes]
    total = min(1_000_000, max(1, draw(one(sum(votes), 60, 120, 1000))))
    # One station's figures may lack what the others have: then a base is not known.
    codes = figures.split() if draw(up_to(24)) else ["8"]
    return " ".join(f"{code}={total}" for code in codes), votes
