"""Mexico, president, 1 July 2018: a quick count as it came in, and the district count that corrected it.

A sample of the casillas sent their numbers in the night; the table of arrivals has besides what the district
count found for each of them days later, and for those that never sent anything. `history` tells both.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from tests.replays.folder import Cell, Folders, Head, Report, SourceError, whole_number, write_table
from tests.replays.rdata import read_frame

NAME = "mexico-2018"
SOURCE = "mexico-2018"
SENT_FILE = "REMESAS0100020000.txt"
SAMPLE_FILE = "4-ConteoRapido18MUESTRA-ELECCION-PRESIDENCIAL.csv"
ARRIVALS_FILE = "arrivals_tbl.rda"

NOTICE = (
    "A replay of published results for tests: a sample of the casillas, so its sums are not national totals. "
    "Data of the INE; source cotecora-team-2/quickcountmx, MIT License."
)
HEAD = Head(
    id=NAME,
    titles={"en": "Mexico, president, 1 July 2018 (replay of the quick count's sample)"},
    timezone="America/Mexico_City",
    opens_at="2018-07-01T08:00:00-05:00",
    closes_at="2018-07-01T18:00:00-05:00",
    notice=NOTICE,
    headline="protocol",
    # What the district count found to be void is not in the set.
    rules={"required": [9, 11]},
)

CANDIDATES = ("RAC", "JAMK", "AMLO")
REST_CHOICE = len(CANDIDATES) + 1
"""All other ballots: the fourth candidate, names written in, void ones; the district count adds them up."""

ROOT_AREA = 1
STATE_BASE = 100
DISTRICT_BASE = 1_000
"""State 5 is area 105, its district 3 area 105,003."""

MODIFIED = "casilla whose message the source marks as modified (sent once all the same)"
NEVER_SENT = "casilla that never sent: its first count is the district's"
CORRECTED = "casilla that sent other numbers than the district count found"
CONFIRMED = "casilla whose numbers the district count confirmed"
NEVER_COUNTED = "casilla that sent and is not in the table of the district count"

_DISTRICT_COUNT: Final = datetime(2018, 7, 4, 8, tzinfo=timezone(timedelta(hours=-5)))
_LOCAL: Final = timezone(timedelta(hours=-5))
_CLOCK: Final = ("ANIO", "MES", "DIA", "HORA", "MINUTOS", "SEGUNDOS")


class Sent(NamedTuple):
    """A message of the night: when, in ms since the Unix epoch, and the votes by choice."""

    at: int
    votes: tuple[int, ...]


class Event(NamedTuple):
    """A count of a casilla; `corrects` if there was another one before."""

    at: int
    casilla: int
    votes: tuple[int, ...]
    corrects: bool


def convert(source: Path, out: Path) -> Report:
    """Write the replay of this set; the results are those of the district count, where there is one.

    Args:
        source: folder with the source files.
        out: gets `election/`, `results/protocol-1.csv` and `NOTICE.txt`.

    Raises:
        SourceError: the source has other columns, or a cell that cannot be what its column says.
        FileExistsError: `out` holds a replay already.
    """
    reasons: Counter[str] = Counter()
    for _ in history(source, reasons):
        pass
    districts = _districts(source)
    last = {event.casilla: event.votes for event in history(source)}
    names = {number: key for key, number in _numbers(source).items()}
    areas: dict[int, tuple[Cell, ...]] = {ROOT_AREA: (ROOT_AREA, "", "country", "México")}
    stations: list[tuple[Cell, ...]] = []
    for casilla in sorted(last):
        state, district = districts[names[casilla]]
        above = STATE_BASE + state
        area = above * DISTRICT_BASE + district
        areas[above] = (above, ROOT_AREA, "state", f"Entidad {state}")
        areas[area] = (area, above, "district", f"Distrito {state}.{district}")
        stations.append((casilla, area, f"Casilla {names[casilla]}", names[casilla]))
    with Folders.new(out) as folders:
        folders.write_head(HEAD)
        _write_contest(folders.election)
        write_table(
            folders.election / "areas.csv",
            ["area", "parent", "level", "name_en"],
            [areas[number] for number in sorted(areas)],
        )
        write_table(folders.election / "stations.csv", ["station", "area", "name_en", "label"], stations)
        write_table(
            folders.results / "protocol-1.csv",
            ["station", "in_box", "valid", *(str(choice) for choice in range(1, REST_CHOICE + 1))],
            [(casilla, sum(votes), sum(votes), *votes) for casilla, votes in sorted(last.items())],
        )
    rows = {"protocol-1.csv": len(last)}
    return Report(NAME, HEAD.titles["en"], len(stations), rows, dict(+reasons))


def history(source: Path, reasons: Counter[str] | None = None) -> Iterator[Event]:
    """Every count in the order of time: the messages of the night, then the district count.

    Args:
        source: folder with the source files.
        reasons: counts what became of each casilla.
    """
    reasons = Counter() if reasons is None else reasons
    numbers = _numbers(source)
    sent = _sent(source, reasons)
    for key, message in sorted(sent.items(), key=lambda one: (one[1].at, one[0])):
        yield Event(message.at, numbers[key], message.votes, corrects=False)
    found = _district_count(source)
    reasons[NEVER_COUNTED] += len(sent.keys() - found.keys())
    at = round(_DISTRICT_COUNT.timestamp()) * 1_000
    for key, votes in found.items():
        before = sent.get(key)
        if before is None:
            reasons[NEVER_SENT] += 1
            yield Event(at, numbers[key], votes, corrects=False)
        elif before.votes == votes:
            reasons[CONFIRMED] += 1
        else:
            reasons[CORRECTED] += 1
            yield Event(at, numbers[key], votes, corrects=True)


@cache
def _numbers(source: Path) -> Mapping[str, int]:
    """A casilla's number: its place among all keys, from 1."""
    keys = {*_sent(source, Counter()), *_district_count(source)}
    return {key: number for number, key in enumerate(sorted(keys), start=1)}


def _sent(source: Path, reasons: Counter[str]) -> dict[str, Sent]:
    """The messages of the night by the casilla's key."""
    found: dict[str, Sent] = {}
    with (source / SENT_FILE).open(encoding="latin-1", newline="") as file:
        next(file)  # how many rows there are
        reader = csv.DictReader(file, delimiter="|")
        if not {"iD_ESTADO", "SECCION", "TOTAL", "SEGUNDOS", *CANDIDATES} <= set(reader.fieldnames or ()):
            raise SourceError(SENT_FILE, 2, "the columns are not those of the quick count")
        for number, row in enumerate(reader, start=3):

            def cell(name: str, row: Mapping[str, str] = row, number: int = number) -> int:
                return whole_number(row[name], SENT_FILE, number)

            key = (
                f"{cell('iD_ESTADO'):02}{cell('SECCION'):04}{row['TIPO_CASILLA']}"
                f"{cell('ID_CASILLA'):02}{cell('EXT_CONTIGUA'):02}"
            )
            year, month, day, hour, minute, second = map(cell, _CLOCK)
            at = datetime(year, month, day, hour, minute, second, tzinfo=_LOCAL)
            reasons[MODIFIED] += row["MODIFICADO"] == "S"
            votes = tuple(cell(name) for name in CANDIDATES)
            found[key] = Sent(round(at.timestamp()) * 1_000, (*votes, cell("TOTAL") - sum(votes)))
    return found


@cache
def _district_count(source: Path) -> Mapping[str, tuple[int, ...]]:
    table = read_frame(source / ARRIVALS_FILE)
    wanted = ("CLAVE_CASILLA", *CANDIDATES, "TOTAL_VOTOS_CALCULADOS")
    if not set(wanted) <= table.keys():
        raise SourceError(ARRIVALS_FILE, 1, "the columns are not those of the arrivals")
    found = {}
    for row, (key, *cells) in enumerate(zip(*(table[name] for name in wanted), strict=True), start=1):
        numbers = [int(cell) for cell in cells if isinstance(cell, float) and cell.is_integer()]
        if not isinstance(key, str) or len(numbers) != len(cells):
            raise SourceError(ARRIVALS_FILE, row, "a key is no text, or a number of votes is not whole")
        *votes, total = numbers
        found[key] = (*votes, total - sum(votes))
    return found


def _districts(source: Path) -> dict[str, tuple[int, int]]:
    """State and district of every casilla of the sample; its ID there has the district in the middle."""
    with (source / SAMPLE_FILE).open(encoding="utf-8", newline="") as file:
        return {
            row["ID"][1:3] + row["ID"][5:]: (int(row["iD_ESTADO"]), int(row["ID_DISTRITO_FEDERAL"]))
            for row in csv.DictReader(file)
        }


def _write_contest(folder: Path) -> None:
    write_table(
        folder / "contests.csv",
        ["contest", "kind", "name_en", "seats", "method", "share_of"],
        [(1, "choose", "President", 1, "plurality", "in_box")],
    )
    names = (*CANDIDATES, "all others, written in, void")
    write_table(
        folder / "choices.csv",
        ["contest", "choice", "name_en", "kind"],
        [(1, number, name, "candidate") for number, name in enumerate(names, start=1)],
    )
