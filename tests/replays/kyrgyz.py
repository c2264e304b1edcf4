"""Kyrgyz Republic, Jogorku Kenesh, 4 October 2020: machine and manual counts of each station.

The election was declared invalid by the Central Election Commission on 6 October 2020; the title says so in
every language.

`PARTIES_RESULTS_REACT.csv` is the machine count, `PARTIES_RESULTS_REACT_LEVEL_ONE.csv` the manual one (its
sibling `_NEW` has the same votes but another `form2_percent`, so it cannot be joined). The files have no
station number: `form2_percent`, written out to the last digit, is the same for the same station in both, so a
value that stands exactly once in each joins two rows.
"""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.replays.folder import Cell, Folders, Head, Report, SourceError, read_table, write_table

NAME = "kyrgyz-2020"
SOURCE = "kyrgyz-2020"
MACHINE_FILE = "PARTIES_RESULTS_REACT.csv"
MANUAL_FILE = "PARTIES_RESULTS_REACT_LEVEL_ONE.csv"

NOTICE = (
    "This election was declared invalid by the Central Election Commission on 6 October 2020. "
    "A replay of published results for tests; the source (KloopMedia/ParliamentCalculatorV2) states no "
    "licence: do not redistribute."
)
HEAD = Head(
    id=NAME,
    titles={
        "ky": "Жогорку Кеңештин депутаттарын шайлоо, 2020-жылдын 4-октябры — "
        "2020-жылдын 6-октябрында жараксыз деп табылган",
        "ru": "Выборы депутатов Жогорку Кенеша 4 октября 2020 года — "
        "признаны недействительными 6 октября 2020 года",
        "en": "Election of the Jogorku Kenesh, 4 October 2020 — declared invalid on 6 October 2020",
    },
    timezone="Asia/Bishkek",
    opens_at="2020-10-04T08:00:00+06:00",
    closes_at="2020-10-04T20:00:00+06:00",
    notice=NOTICE,
    # The set holds votes and nothing else, so no figure can be asked for.
    rules={"required": []},
)

AGAINST_ALL = "БААРЫНА КАРШЫ"
PARTIES = 16
CHOICES = PARTIES + 1
ROOT_AREA = 1
UNSTATED_AREA = 12
# level_one as the source spells it: (area number, level, Kyrgyz name). The threshold of the law counts the
# level "region" only.
LEVEL_ONE = {
    "БАТКЕНСКАЯ ОБЛАСТЬ": (2, "region", "Баткен облусу"),
    "ДЖАЛАЛ-АБАДСКАЯ ОБЛАСТЬ": (3, "region", "Жалал-Абад облусу"),
    "ЫСЫК-КУЛЬСКАЯ ОБЛАСТЬ": (4, "region", "Ысык-Көл облусу"),
    "НАРЫНСКАЯ ОБЛАСТЬ": (5, "region", "Нарын облусу"),
    "ОШСКАЯ ОБЛАСТЬ": (6, "region", "Ош облусу"),
    "ТАЛАССКАЯ ТИК": (7, "region", "Талас облусу"),
    "ЧУЙСКАЯ ОБЛАСТЬ": (8, "region", "Чүй облусу"),
    "БИШКЕК Г.": (9, "region", "Бишкек шаары"),
    "ОШ Г.": (10, "region", "Ош шаары"),
    "МИД КР": (11, "abroad", "КР Тышкы иштер министрлиги"),
}
ABROAD = "МИД КР"
TALAS = "ТАЛАССКАЯ ТИК"
MANUAL_ONLY_BASE = 10_000
"""A station of the manual count alone is 10,000 + its file row; every other station is its row of the machine
file."""

JOINED_EQUAL = "joined by form2_percent: machine and manual counts are identical"
JOINED_DIFFERENT = "joined by form2_percent: machine and manual counts differ (both kept)"
JOINED_DOUBLE = "joined, and the machine count is exactly twice the manual one (both kept)"
MACHINE_SHARED = "machine row not joined: its form2_percent stands more than once (own station, machine only)"
MACHINE_ALONE = "machine row not joined: no manual row has its form2_percent (own station, machine only)"
MANUAL_SHARED = "manual row not joined: its form2_percent stands more than once (own station, protocol only)"
MANUAL_ALONE = "manual row not joined: no machine row has its form2_percent (own station, protocol only)"
NOT_FINITE = "row not joined whose form2_percent is a division by zero"
NO_AREA = "station without level_one (put into the area of unstated regions)"
TALAS_SPELLING = "station whose level_one is spelled ТАЛАССКАЯ ТИК (kept, counted as the oblast)"
ROUNDED = "vote cell that is a float beside a whole number (rounded)"
TOTAL_DIFFERS = "row whose total is not the sum of its votes (votes kept, total not used)"

_MAX_FLOAT_ERROR = 1e-6  # votes; the set's largest deviation is 2e-13


@dataclass(frozen=True)
class _Row:
    number: int
    votes: tuple[int, ...]
    form2_percent: str
    level_one: str


_Pair: TypeAlias = tuple[int, _Row | None, _Row | None]
"""A station's number, its machine row and its manual row: at least one of them."""


def convert(source: Path, out: Path) -> Report:
    """Write the replay of this set.

    Args:
        source: folder with the source files.
        out: gets `election/`, `results/` (`contest-1.csv` machine, `protocol-1.csv` manual) and `NOTICE.txt`.

    Raises:
        SourceError: the source has other columns, or a cell that cannot be what its column says.
        FileExistsError: `out` holds a replay already.
    """
    reasons: Counter[str] = Counter()
    names, machine = _read(source / MACHINE_FILE, ["form2_percent"], reasons)
    manual_names, manual = _read(source / MANUAL_FILE, ["form2_percent", "level_one"], reasons)
    if manual_names != names:
        raise SourceError(MANUAL_FILE, 1, f"the parties are not those of {MACHINE_FILE}")
    pairs = _join(machine, manual, reasons)

    with Folders.new(out) as folders:
        folders.write_head(HEAD)
        _write_contest(folders.election, names)
        stations: list[tuple[Cell, ...]] = []
        areas: dict[int, tuple[Cell, ...]] = {
            ROOT_AREA: (ROOT_AREA, "", "country", "Кыргыз Республикасы", "Кыргызская Республика")
        }
        contest_rows: list[tuple[int, ...]] = []
        protocol_rows: list[tuple[int, ...]] = []
        for station, by_machine, by_hand in pairs:
            area = _area(by_hand, areas, reasons)
            kind = "abroad" if by_hand and by_hand.level_one == ABROAD else "ordinary"
            stations.append((station, area, *_station_names(by_machine, by_hand), kind))
            if by_machine:
                contest_rows.append((station, *by_machine.votes))
            if by_hand:
                protocol_rows.append((station, *by_hand.votes))

        write_table(
            folders.election / "areas.csv",
            ["area", "parent", "level", "name_ky", "name_ru"],
            [areas[number] for number in sorted(areas)],
        )
        write_table(
            folders.election / "stations.csv", ["station", "area", "name_ky", "name_ru", "type"], stations
        )
        header = ["station", *(str(choice) for choice in range(1, CHOICES + 1))]
        rows = {
            "contest-1.csv": write_table(folders.results / "contest-1.csv", header, contest_rows),
            "protocol-1.csv": write_table(folders.results / "protocol-1.csv", header, protocol_rows),
        }
    return Report(NAME, HEAD.titles["en"], len(stations), rows, dict(+reasons))


def _read(path: Path, tail: list[str], reasons: Counter[str]) -> tuple[list[str], list[_Row]]:
    header, cells = read_table(path)
    names = header[:CHOICES]
    if header[CHOICES:] != ["total", *tail] or names[-1:] != [AGAINST_ALL]:
        raise SourceError(
            path.name, 1, f"columns must be {PARTIES} parties, {AGAINST_ALL}, total, {', '.join(tail)}"
        )
    rows = []
    for number, row in enumerate(cells, start=2):
        *votes, total = (_votes(cell, path.name, number) for cell in row[: CHOICES + 1])
        reasons[ROUNDED] += sum(float(cell) != count for cell, count in zip(row, votes, strict=False))
        if total != sum(votes):
            reasons[TOTAL_DIFFERS] += 1
        level_one = row[CHOICES + 2] if "level_one" in tail else ""
        rows.append(_Row(number, tuple(votes), row[CHOICES + 1], level_one))
        try:
            float(rows[-1].form2_percent)
        except ValueError:
            raise SourceError(path.name, number, "form2_percent is not a number") from None
    return names, rows


def _votes(cell: str, file: str, row: int) -> int:
    try:
        value = float(cell)
    except ValueError:
        raise SourceError(file, row, f"{cell!r} is not a number of votes") from None
    if not math.isfinite(value) or value < 0 or abs(value - round(value)) > _MAX_FLOAT_ERROR:
        raise SourceError(file, row, f"{cell!r} is not a whole number of votes")
    return round(value)


def _join(machine: list[_Row], manual: list[_Row], reasons: Counter[str]) -> list[_Pair]:
    """All stations: the machine file's with their manual row, if any, then those of the manual file alone."""
    in_machine = Counter(row.form2_percent for row in machine)
    in_manual = Counter(row.form2_percent for row in manual)
    joinable = {
        key for key, count in in_machine.items() if count == in_manual[key] == 1 and math.isfinite(float(key))
    }
    partners = {row.form2_percent: row for row in manual if row.form2_percent in joinable}
    pairs: list[_Pair] = []
    for row in machine:
        partner = partners.get(row.form2_percent)
        pairs.append((row.number, row, partner))
        if partner:
            reasons[JOINED_EQUAL if row.votes == partner.votes else JOINED_DIFFERENT] += 1
            reasons[JOINED_DOUBLE] += any(row.votes) and row.votes == tuple(2 * n for n in partner.votes)
        else:
            reasons[MACHINE_SHARED if in_manual[row.form2_percent] else MACHINE_ALONE] += 1
            reasons[NOT_FINITE] += not math.isfinite(float(row.form2_percent))
    for row in manual:
        if row.form2_percent not in joinable:
            pairs.append((MANUAL_ONLY_BASE + row.number, None, row))
            reasons[MANUAL_SHARED if in_machine[row.form2_percent] else MANUAL_ALONE] += 1
            reasons[NOT_FINITE] += not math.isfinite(float(row.form2_percent))
    return pairs


def _area(by_hand: _Row | None, areas: dict[int, tuple[Cell, ...]], reasons: Counter[str]) -> int:
    """The number of the station's area, which is added to `areas` at its first station."""
    if not by_hand or not by_hand.level_one:
        reasons[NO_AREA] += 1
        name = "Область не указана в источнике"
        areas[UNSTATED_AREA] = (UNSTATED_AREA, ROOT_AREA, "unstated", "Облусу булакта көрсөтүлгөн эмес", name)
        return UNSTATED_AREA
    if by_hand.level_one not in LEVEL_ONE:
        raise SourceError(MANUAL_FILE, by_hand.number, f"level_one {by_hand.level_one!r} is not known")
    reasons[TALAS_SPELLING] += by_hand.level_one == TALAS
    number, level, kyrgyz = LEVEL_ONE[by_hand.level_one]
    areas[number] = (number, ROOT_AREA, level, kyrgyz, by_hand.level_one)
    return number


def _station_names(by_machine: _Row | None, by_hand: _Row | None) -> tuple[str, str]:
    """Kyrgyz and Russian name: the source has none, so a station is called by its rows in the two files."""
    kyrgyz, russian = [], []
    if by_machine:
        kyrgyz.append(f"машиналык эсептин {by_machine.number}-сабы")
        russian.append(f"строка {by_machine.number} машинного подсчёта")
    if by_hand:
        kyrgyz.append(f"кол эсебинин {by_hand.number}-сабы")
        russian.append(f"строка {by_hand.number} ручного подсчёта")
    return f"УШК ({', '.join(kyrgyz)})", f"УИК ({', '.join(russian)})"


def _write_contest(folder: Path, names: list[str]) -> None:
    """The law of 2020: 120 seats, at most 65 for one party, 7 % of all votes and 0.7 % in each region."""
    contest: dict[str, Cell] = {
        "contest": 1,
        "kind": "list",
        "name_ky": "Партиялык тизмелер",
        "name_ru": "Партийные списки",
        "name_en": "Party lists",
        "seats": 120,
        "method": "hare",
        "share_of": "votes",
        "threshold_percent": "7",
        "threshold_of": "votes",
        "threshold_area_percent": "0.7",
        "threshold_area_level": "region",
        "seat_cap": "54.17",
    }
    write_table(folder / "contests.csv", list(contest), [list(contest.values())])
    write_table(
        folder / "choices.csv",
        ["contest", "choice", "name_ky", "kind"],
        [
            (1, number, name, "against_all" if name == AGAINST_ALL else "list")
            for number, name in enumerate(names, start=1)
        ],
    )
