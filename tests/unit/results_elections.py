"""Small elections of one contest, as Hypothesis draws them: every method, and votes that often are equal.

Three stations, each in an area of its own, report at most once; most elections are settled. Nothing here
knows a rule of the tally.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from clients.wire.cbor import Content
from gateway import _core
from tests.unit.tally_logs import CLOSES, LOG_SEED, OPENS, ORIGIN, SNAPSHOT_SEED, key, seed
from tests.unit.wire_election import ELECTION, MEMBERS, Json, Tables, public, write

CONTESTS_HEADER = (
    "contest,kind,area,seats,marks,preferences,method,share_of,threshold,threshold_of,threshold_area,"
    "threshold_area_level,seat_cap,quorum,quorum_of,name"
)
AREAS = ["area,parent,level,label,code,name", "1,,country,,,All", "2,1,region,,,A", "3,1,region,,,B"]
ABROAD = "4,1,abroad,,,C"
STATIONS = {10: 2, 11: 3, 12: 4}
IN_BOX, VALID = 9, 11
# What the votes of a choice at a station are drawn from; of few numbers there are many ties.
VOTES = ((1,), (1, 2), (0, 1, 1, 2, 3, 6, 10, 30), (0, 1_000, 3_000, 20_000))
BASES = ("valid", "votes", "in_box", "registered")


@dataclass(frozen=True)
class Report:
    """What a station says: its figures, and a vote a choice."""

    figures: tuple[tuple[int, int], ...]
    votes: tuple[int, ...]


@dataclass(frozen=True)
class Election:
    """A contest and what came of it.

    Attributes:
        contest: its line of contests.csv behind the number.
        choices: kind, and the list of a preference or an empty text.
        registered: of each station, as its cell.
        reports: of each station; None: silent.
    """

    contest: str
    choices: tuple[tuple[str, str], ...]
    registered: tuple[str, str, str]
    reports: tuple[Report | None, Report | None, Report | None]


def tables(election: Election) -> Tables:
    """The definition's."""
    choices = [f"1,{number},{kind},{of},,X" for number, (kind, of) in enumerate(election.choices, 1)]
    stations = zip(STATIONS.items(), election.registered, strict=True)
    return {
        "areas": [*AREAS, ABROAD],
        "contests": [CONTESTS_HEADER, f"1,{election.contest},X"],
        "choices": ["contest,choice,kind,list,label,name", *choices],
        "stations": [
            "station,area,registered,type,box,closes_at,timezone,contests,label,name",
            *(f"{at},{area},{known},special,yes,{CLOSES},UTC,1,,X" for (at, area), known in stations),
        ],
        "figures": ["code,figure,name"],
        "checks": ["check,severity,left,op,right,tolerance"],
    }


def folders(election: Election, root: Path) -> tuple[Path, Path]:
    """Writes definition and roster: a box a station, which asks for no figure and no sum."""
    definition, roster = root / "definition", root / "roster"
    definition.mkdir(parents=True)
    roster.mkdir()
    rules = ELECTION["rules"]
    assert isinstance(rules, dict)
    commission: dict[str, Json] = {"keys": [public(MEMBERS[0])], "quorum": 1}
    times: dict[str, Json] = {"opens_at": OPENS, "closes_at": CLOSES}
    eased: dict[str, Json] = {**rules, "required": [], "h104": "off"}
    manifest = {**ELECTION, **times, "rules": eased, "commission": commission}
    write(definition, "election.json", manifest, tables(election))
    named = hashlib.sha256((definition / "election.json").read_bytes()).hexdigest()
    devices = [f"{device},box,{station},,{key(device)}," for device, station in enumerate(STATIONS, 1)]
    of: Tables = {
        "devices": ["device,kind,stations,area,key,serial", *devices],
        "couriers": ["courier,area,name"],
        "firmware": ["sha256,name"],
    }
    write(roster, "roster.json", {"format": "tallygate-roster/1", "definition": named}, of)
    return definition, roster


def log(election: Election, definition: bytes, roster: bytes) -> list[bytes]:
    """The statements: decision 1, and a result of each station that reports."""
    keys = (_core.public_key(LOG_SEED), _core.public_key(SNAPSHOT_SEED))
    opening: Content = (definition, b"", 1, 5, (("en", "a reason"),), (1, ORIGIN, *keys, roster, "x"))
    statements = [_core.sign("decision", opening, bytes(MEMBERS[0]))]
    for device, (station, report) in enumerate(zip(STATIONS, election.reports, strict=True), 1):
        if report is not None:
            counts = ((1, report.figures, report.votes),)
            said: Content = (3, CLOSES, 1, 0, (), counts, ())
            content: Content = (definition, device, station, 1, b"", CLOSES + 60_000, said)
            statements.append(_core.sign("packet", content, seed(device)))
    return statements


def load(election: Election, root: Path) -> tuple[_core.Definition, _core.Roster, list[bytes]]:
    """Definition, roster and log, as the gateway reads them."""
    at_definition, at_roster = folders(election, root)
    definition = _core.Definition.load(at_definition)
    roster = _core.Roster.load(at_roster, definition)
    return definition, roster, log(election, definition.hash, roster.hash)


def _percent(draw: DrawFn, *values: int) -> tuple[str, str]:
    """A percentage and what it is taken of; both empty as often as not."""
    percent = draw(st.sampled_from((0, 0, *values)))
    return (str(percent), draw(st.sampled_from(BASES))) if percent else ("", "")


def _choices(draw: DrawFn, kind: str) -> list[tuple[str, str]]:
    if kind == "referendum":
        return draw(st.permutations([("yes", ""), ("no", "")]))
    taker = "list" if kind == "list" else "candidate"
    choices = [(taker, "") for _ in range(draw(st.integers(1, 4)))]
    if draw(st.booleans()):
        choices.insert(draw(st.integers(0, len(choices))), ("against_all", ""))
    if kind == "list":
        lists = [str(number) for number, (of, _) in enumerate(choices, 1) if of == "list"]
        choices += [("candidate", draw(st.sampled_from(lists))) for _ in range(draw(st.integers(0, 6)))]
    return choices


def _report(draw: DrawFn, choices: list[tuple[str, str]], numbers: tuple[int, ...]) -> Report | None:
    if draw(st.integers(0, 24)) == 17:
        return None
    votes = [draw(st.sampled_from(numbers)) for _ in choices]
    for place, (_, of) in enumerate(choices):
        if of and not votes[int(of) - 1]:
            votes[place] = 0
    total = sum(own for own, (_, of) in zip(votes, choices, strict=True) if not of)
    valid = total + draw(st.sampled_from((0, 0, 0, 1, 7)))
    figures = {VALID: valid, IN_BOX: valid + draw(st.sampled_from((0, 0, 3, 40)))}
    if draw(st.integers(0, 30)) == 17:
        del figures[draw(st.sampled_from((VALID, IN_BOX)))]
    return Report(tuple(sorted(figures.items())), tuple(votes))


@st.composite
def elections(draw: DrawFn) -> Election:
    """Any contest that `tallygate election check` lets through, and reports of it."""
    kind = draw(st.sampled_from(("list", "list", "list", "choose", "choose", "referendum")))
    methods = ("plurality", "majority", "hare", "dhondt", "sainte-lague")
    method = draw(st.sampled_from(methods if kind == "list" else methods[:2]))
    seats = draw(st.integers(1, 12 if kind == "list" else 3))
    choices = _choices(draw, kind)
    threshold = _percent(draw, 1, 500, 1_000, 3_333)
    in_areas = str(draw(st.sampled_from((0, 0, 0, 50, 1_000))) or "")
    level = draw(st.sampled_from(("region", "abroad", "country"))) if in_areas else ""
    cap = str(draw(st.sampled_from((0, 0, 1, 2_500, 5_000, 5_417, 10_000))) or "") if kind == "list" else ""
    quorum = _percent(draw, 2_000, 5_000, 10_000)
    share_of = draw(st.sampled_from(BASES))
    # As many marks as it takes: only one of them would need that valid is the sum of the votes.
    cells = (kind, "", str(seats), "1000", "1000" if kind == "list" else "0", method, share_of)
    contest = ",".join((*cells, *threshold, in_areas, level, cap, *quorum))
    numbers = draw(st.sampled_from(VOTES))
    registered = [draw(st.sampled_from(("100", "100", "40", "0", "1000000"))) for _ in STATIONS]
    if draw(st.integers(0, 15)) == 11:
        registered[0] = ""
    reports = [_report(draw, choices, numbers) for _ in STATIONS]
    return Election(
        contest,
        tuple(choices),
        (registered[0], registered[1], registered[2]),
        (reports[0], reports[1], reports[2]),
    )
