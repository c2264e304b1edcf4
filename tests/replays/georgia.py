"""Georgia, parliament, 8 October 2016: a party list and a single member at each station.

`2016_official_parl_party.csv` and `2016_official_parl_major.csv` are protocols keyed in by hand, with the
arithmetic faults of their commissions. They are kept: finding them is the work of the rules. A station is
identified by its precinct ("06.107").
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.replays.folder import (
    Cell,
    Folders,
    Head,
    Report,
    SourceError,
    read_table,
    whole_number,
    write_table,
)

NAME = "georgia-2016"
SOURCE = "georgia"
PARTY_FILE = "2016_official_parl_party.csv"
MAJOR_FILE = "2016_official_parl_major.csv"

NOTICE = (
    "A replay of the first round of 8 October 2016 for tests, from figures keyed in by hand, 0.5 % "
    "below the official ones. Source: ForSetGeorgia/Georgian-Election-Data, MIT License, "
    "Copyright (c) 2017 JumpStart Georgia."
)
HEAD = Head(
    id=NAME,
    titles={"en": "Parliamentary election in Georgia, 8 October 2016 (replay)"},
    timezone="Asia/Tbilisi",
    opens_at="2016-10-08T08:00:00+04:00",
    closes_at="2016-10-08T20:00:00+04:00",
    notice=NOTICE,
    # The protocols state the invalid ballots of both papers, the valid ones of the party list alone, and
    # never the ballots found.
    rules={"required": [13]},
)

LIST_CONTEST = 1
ROOT_AREA = 1
DISTRICT_BASE = 100
"""District 27 is area 127 and its single member is contest 127; district 00 (abroad, no single member) is
area 100."""
ABROAD = "00"
PRECINCT_BASE = 1_000
"""Precinct 06.107 is station 6,107."""

_LEADING = [
    "region",
    "district_id",
    "district name",
    "precinct_id",
    "special precinct",
    "possible voters",
    "special voters",
    "votes by 12",
    "votes by 17",
    "ballots signed for",
    "num ballots",
    "invalid votes",
    "valid votes",
    *["logic check", "logic check2"] * 3,
]
_PRECINCT = re.compile(r"(\d{2})\.(\d{2,3})")
_CHOICE = re.compile(r"(\d+) - (.+)")
_INDEPENDENTS = "Initiative Group"

FIGURES = ["registered", "registered_additional", "ballots_received", "issued", "invalid"]
"""In the order of possible voters, special voters, num ballots, ballots signed for, invalid votes."""

PARTY_ONLY_ABROAD = "station abroad (no single-member contest there)"
PARTY_ONLY = "station without a row in the single-member file (the definition gives it the party list alone)"
MAJOR_ONLY = (
    "station without a row in the party list file (the definition gives it the single-member contest alone)"
)
REGISTERED_DIFFERS = (
    "station whose registered voters differ between the two files (the party list's go into stations.csv)"
)
NO_CANDIDATE = "party column without a single vote in a district (no candidate there)"
# Faults of single rows; the report puts the file before each.
VALID_DIFFERS = "valid votes are not the sum of its votes (kept: H103 holds it)"
OVER_SIGNED = "more votes and invalid ballots than signatures (kept)"
OVER_RECEIVED = "more signatures than ballots received (kept: check 1 flags it)"
OVER_REGISTERED = "more signatures than registered and special voters (kept)"
TURNOUT_FALLS = "turnout is higher at 12 h than at 17 h (not mapped: a results folder has no turnout)"


@dataclass(frozen=True)
class _Row:
    number: int
    district: str
    precinct: str
    figures: tuple[int, ...]
    turnout: tuple[int, int]
    valid: int | None
    votes: tuple[int, ...]

    @property
    def station(self) -> int:
        left, right = self.precinct.split(".")
        return int(left) * PRECINCT_BASE + int(right)


@dataclass(frozen=True)
class _Choice:
    number: int
    name: str


def convert(source: Path, out: Path) -> Report:
    """Write the replay of this set.

    Args:
        source: folder with the source files.
        out: gets `election/`, `results/` (`contest-1.csv` the party list, `contest-101.csv` … the districts)
            and `NOTICE.txt`.

    Raises:
        SourceError: the source has other columns, a cell that cannot be what its column says, or two rows for
            one precinct.
        FileExistsError: `out` holds a replay already.
    """
    reasons: Counter[str] = Counter()
    parties, by_party = _read(source / PARTY_FILE, reasons)
    candidates, by_major = _read(source / MAJOR_FILE, reasons)
    districts = _running(candidates, by_major.values(), reasons)

    with Folders.new(out) as folders:
        folders.write_head(HEAD)
        stations = _write_stations(folders.election, by_party, by_major, reasons)
        _write_contests(folders.election, parties, candidates, districts)
        rows = {"contest-1.csv": _write_results(folders.results, LIST_CONTEST, parties, by_party.values())}
        for district, running in districts.items():
            contest = DISTRICT_BASE + int(district)
            rows[f"contest-{contest}.csv"] = _write_results(
                folders.results,
                contest,
                [candidates[place] for place in running],
                (row for row in by_major.values() if row.district == district),
                running,
            )
    return Report(NAME, HEAD.titles["en"], stations, rows, dict(+reasons))


def _read(path: Path, reasons: Counter[str]) -> tuple[list[_Choice], dict[int, _Row]]:
    """The choices of a file and its rows by station number, ascending."""
    header, cells = read_table(path)
    names = [_CHOICE.fullmatch(name) for name in header[len(_LEADING) :]]
    if header[: len(_LEADING)] != _LEADING:
        raise SourceError(path.name, 1, f"columns must begin with {', '.join(_LEADING)}")
    choices = [_Choice(int(name[1]), name[2]) for name in names if name]
    if not choices or len(choices) != len(names):
        raise SourceError(path.name, 1, "a party column must read `<list number> - <name>`")
    rows: dict[int, _Row] = {}
    for number, cell in enumerate(cells, start=2):
        row = _row(path.name, number, cell)
        if row.station in rows:
            raise SourceError(path.name, number, f"precinct {row.precinct} stands twice")
        rows[row.station] = row
        _judge(path.name, row, reasons)
    return choices, dict(sorted(rows.items()))


def _row(file: str, number: int, cells: Sequence[str]) -> _Row:
    district, precinct, valid = cells[1], cells[3], cells[12]
    if not re.fullmatch(r"\d{2}", district) or not _PRECINCT.fullmatch(precinct):
        raise SourceError(
            file, number, f"district {district!r} or precinct {precinct!r} is not of the form 01 and 01.01"
        )
    return _Row(
        number,
        district,
        precinct,
        tuple(whole_number(cells[column], file, number) for column in (5, 6, 10, 9, 11)),
        (whole_number(cells[7], file, number), whole_number(cells[8], file, number)),
        whole_number(valid, file, number) if valid else None,
        tuple(whole_number(cell, file, number) for cell in cells[len(_LEADING) :]),
    )


def _judge(file: str, row: _Row, reasons: Counter[str]) -> None:
    registered, additional, received, signed, invalid = row.figures
    reasons[f"{file}: {VALID_DIFFERS}"] += row.valid is not None and row.valid != sum(row.votes)
    reasons[f"{file}: {OVER_SIGNED}"] += sum(row.votes) + invalid > signed
    reasons[f"{file}: {OVER_RECEIVED}"] += signed > received
    reasons[f"{file}: {OVER_REGISTERED}"] += signed > registered + additional
    reasons[f"{file}: {TURNOUT_FALLS}"] += row.turnout[0] > row.turnout[1]


def _running(candidates: list[_Choice], rows: Iterable[_Row], reasons: Counter[str]) -> dict[str, list[int]]:
    """For each district the places in `candidates` of those with a vote there; others did not stand."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0] * len(candidates))
    for row in rows:
        totals[row.district] = [
            total + votes for total, votes in zip(totals[row.district], row.votes, strict=True)
        ]
    running = {
        district: [place for place, votes in enumerate(sums) if votes]
        for district, sums in sorted(totals.items())
    }
    reasons[NO_CANDIDATE] += sum(len(candidates) - len(places) for places in running.values())
    return running


def _write_stations(
    folder: Path, by_party: dict[int, _Row], by_major: dict[int, _Row], reasons: Counter[str]
) -> int:
    """Write stations.csv and areas.csv; return the number of stations."""
    stations: list[tuple[Cell, ...]] = []
    districts = set()
    for number in sorted(by_party.keys() | by_major.keys()):
        party, major = by_party.get(number), by_major.get(number)
        row = party or by_major[number]
        if party and major:
            if party.district != major.district:
                raise SourceError(
                    MAJOR_FILE,
                    major.number,
                    f"precinct {row.precinct} is in district {party.district} in {PARTY_FILE}",
                )
            reasons[REGISTERED_DIFFERS] += party.figures[0] != major.figures[0]
            contests: Cell = ""
        elif major:
            reasons[MAJOR_ONLY] += 1
            contests = DISTRICT_BASE + int(row.district)
        else:
            reasons[PARTY_ONLY_ABROAD if row.district == ABROAD else PARTY_ONLY] += 1
            contests = LIST_CONTEST
        districts.add(row.district)
        stations.append(
            (
                number,
                DISTRICT_BASE + int(row.district),
                row.figures[0],
                f"Precinct {row.precinct}",
                row.precinct,
                "abroad" if row.district == ABROAD else "ordinary",
                contests,
            )
        )
    areas: list[tuple[Cell, ...]] = [(ROOT_AREA, "", "country", "Georgia", "")]
    for district in sorted(districts):
        name = "Abroad" if district == ABROAD else f"District {district}"
        areas.append((DISTRICT_BASE + int(district), ROOT_AREA, "district", name, district))
    write_table(folder / "areas.csv", ["area", "parent", "level", "name_en", "label"], areas)
    header = ["station", "area", "registered", "name_en", "label", "type", "contests"]
    return write_table(folder / "stations.csv", header, stations)


def _write_contests(
    folder: Path, parties: list[_Choice], candidates: list[_Choice], districts: dict[str, list[int]]
) -> None:
    """Seats and threshold are the law's; its way of sharing out seats is no method here (README.md)."""
    contests: list[tuple[Cell, ...]] = [
        (LIST_CONTEST, "list", "Party list", "", 77, "hare", "valid", "5", "valid"),
    ]
    choices: list[tuple[Cell, ...]] = [
        (LIST_CONTEST, party.number, party.name, "list", party.number, "") for party in parties
    ]
    for district, running in districts.items():
        contest = DISTRICT_BASE + int(district)
        contests.append(
            (
                contest,
                "choose",
                f"Single member of district {district}",
                contest,
                1,
                "majority",
                "votes",
                "",
                "",
            )
        )
        for place in running:
            candidate = candidates[place]
            party = "" if candidate.name == _INDEPENDENTS else candidate.name
            choices.append((contest, candidate.number, candidate.name, "candidate", candidate.number, party))
    write_table(
        folder / "contests.csv",
        [
            "contest",
            "kind",
            "name_en",
            "area",
            "seats",
            "method",
            "share_of",
            "threshold_percent",
            "threshold_of",
        ],
        contests,
    )
    write_table(folder / "choices.csv", ["contest", "choice", "name_en", "kind", "label", "party"], choices)
    write_table(
        folder / "checks.csv",
        ["check", "severity", "left", "op", "right", "text_en"],
        [
            (
                1,
                "soft",
                "issued",
                "<=",
                "ballots_received",
                "More voters signed for a ballot than ballots were received",
            )
        ],
    )


def _write_results(
    folder: Path, contest: int, choices: list[_Choice], rows: Iterable[_Row], places: list[int] | None = None
) -> int:
    """Write the rows of one contest; `places` are the columns of the choices in the source, None for all."""
    figures = [*FIGURES, "valid"] if contest == LIST_CONTEST else FIGURES
    lines = []
    for row in rows:
        votes = row.votes if places is None else [row.votes[place] for place in places]
        valid = () if row.valid is None else (row.valid,)
        lines.append((row.station, *row.figures, *valid, *votes))
    header = ["station", *figures, *(str(choice.number) for choice in choices)]
    return write_table(folder / f"contest-{contest}.csv", header, lines)
