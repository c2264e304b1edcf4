"""Bolivia, president, 18 October 2020: a paper count as it grew, with mesas withdrawn and corrected.

The official count was exported every ten minutes. The set keeps seventeen exports of the first night and the
last one that survives, of 20 October 02:18. Ten mesas were counted, some withdrawn, and came back with
other numbers: votes for parties that had given up their candidacy became void. Two were withdrawn and had not
come back. `history` tells it in the order of time.
"""

import csv
import gzip
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeAlias
from xml.etree import ElementTree

from tests.replays.folder import Cell, Folders, Head, Report, SourceError, whole_number, write_table

NAME = "bolivia-2020"
SOURCE = "bolivia-2020"
CORRECTIONS_FILE = "DERIVED_corrections.csv"
FIRST_SEEN_FILE = "DERIVED_first_seen.csv.gz"
LAST = "20201020_021835"
PRESIDENT = "PRESIDENTE"

NOTICE = (
    "A replay of published results for tests: half of the official count, as it stood on 20 October 2020 at "
    "02:18. The source (EBol20/elec-bol20) states no licence: do not redistribute."
)
HEAD = Head(
    id=NAME,
    titles={"en": "Bolivia, president, 18 October 2020 (replay of half of the count)"},
    timezone="America/La_Paz",
    opens_at="2020-10-18T08:00:00-04:00",
    closes_at="2020-10-18T17:00:00-04:00",
    notice=NOTICE,
    headline="protocol",
)

PARTIES = ("CREEMOS", "MAS_IPSP", "FPV", "PAN_BOL", "CC")
WITHDRAWN_PARTIES = ("ADN", "LIBRE_21", "JUNTOS")
WITHDRAWN_CHOICE = len(PARTIES) + 1
"""All parties that had given up, as one choice: of six mesas the set says only how many votes they had
together, as what is missing from the valid votes."""

ROOT_AREA = 1

ALIGNED = "row of an export with an unquoted comma in the name of its place (read from the right)"
CORRECTED = "mesa that was counted with votes for withdrawn parties, and corrected"
TAKEN_OUT = "mesa that an export no longer has, until it comes back corrected"

_FIGURES = {
    "INSCRITOS_HABILITADOS": "registered",
    "VOTO_EMITIDO": "in_box",
    "VOTO_VALIDO": "valid",
    "VOTO_BLANCO": "blank",
    "VOTO_NULO": "invalid",
}
_PLACES = ("PAIS", "DEPARTAMENTO", "MUNICIPIO", "RECINTO")
_STAMP = re.compile(r"exportacion_EG2020_([0-9]{8}_[0-9]{6})_[0-9]+")
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LOCAL = timezone(timedelta(hours=-4))


class Count(NamedTuple):
    """A mesa's numbers: the figures in the order of the file's columns, and the votes by choice."""

    figures: tuple[int, ...]
    votes: tuple[int, ...]


class Event(NamedTuple):
    """What an export says of a mesa that the one before did not; None: it is no longer there."""

    at: int
    mesa: int
    counted: Count | None


Export: TypeAlias = dict[int, Count]
Places: TypeAlias = dict[int, tuple[str, ...]]


def convert(source: Path, out: Path) -> Report:
    """Write the replay of this set; the results are those of the last export.

    Args:
        source: folder with the source files.
        out: gets `election/`, `results/protocol-1.csv` and `NOTICE.txt`.

    Raises:
        SourceError: the source has other columns, or a cell that cannot be what its column says.
        FileExistsError: `out` holds a replay already.
    """
    reasons: Counter[str] = Counter()
    places, last = _last(source)
    events = _events(source, reasons)
    reasons[TAKEN_OUT] = sum(event.counted is None for event in events)
    reasons[CORRECTED] = len(_corrections(source))
    latest = {event.mesa: event.counted for event in events if event.counted is not None}
    for path in _exports(source).values():
        places = {**_read_export(path, Counter())[0], **places}
    with Folders.new(out) as folders:
        folders.write_head(HEAD)
        _write_contest(folders.election)
        areas = _Areas()
        write_table(
            folders.election / "stations.csv",
            ["station", "area", "registered", "name_en", "label"],
            [
                (mesa, areas.place(places[mesa]), count.figures[0], f"Mesa {mesa}", str(mesa))
                for mesa, count in sorted(latest.items())
            ],
        )
        write_table(
            folders.election / "areas.csv",
            ["area", "parent", "level", "name_en"],
            [(ROOT_AREA, "", "country", "Bolivia"), *areas.rows],
        )
        write_table(
            folders.results / "protocol-1.csv",
            ["station", *_FIGURES.values(), *(str(choice) for choice in range(1, WITHDRAWN_CHOICE + 1))],
            [(mesa, *count.figures, *count.votes) for mesa, count in sorted(last.items())],
        )
    return Report(NAME, HEAD.titles["en"], len(latest), {"protocol-1.csv": len(last)}, dict(+reasons))


def history(source: Path) -> Iterator[tuple[int, list[Event], Export]]:
    """The count as it grew.

    Yields:
        For each time at which an export is known to say something new: the time in ms since the Unix epoch,
        what is new, and the whole count at that time as far as the set has it.
    """
    standing: Export = {}
    for at, group in groupby(_events(source), key=lambda event: event.at):
        events = list(group)
        for event in events:
            if event.counted is None:
                del standing[event.mesa]
            else:
                standing[event.mesa] = event.counted
        yield at, events, dict(standing)


def export(source: Path, at: int) -> Export:
    """What the export of that time says, read by itself; of the seventeen of the first night.

    Raises:
        KeyError: there is none of that time.
    """
    return _read_export(_exports(source)[at], Counter())[1]


def _events(source: Path, reasons: Counter[str] | None = None) -> list[Event]:
    """In the order of time."""
    reasons = Counter() if reasons is None else reasons
    events: list[Event] = []
    before: Export = {}
    exports = _exports(source)
    for at in sorted(exports):
        _, now = _read_export(exports[at], reasons)
        events += (Event(at, mesa, count) for mesa, count in now.items() if before.get(mesa) != count)
        events += (Event(at, mesa, None) for mesa in before if mesa not in now)
        before = now
    first_night = {event.mesa for event in events}
    for at, mesa, old, new in _corrections(source):
        if mesa not in first_night:
            events.append(Event(_first_seen(source)[mesa], mesa, old))
        if at > max(exports):
            events.append(Event(at, mesa, new))
    known = {event.mesa for event in events}
    last = _last(source)[1]
    events += (Event(_time(LAST), mesa, count) for mesa, count in last.items() if mesa not in known)
    events += (Event(_time(LAST), mesa, None) for mesa in known if mesa not in last)
    return sorted(events, key=lambda event: (event.at, event.mesa))


def _exports(source: Path) -> dict[int, Path]:
    """The exports of the first night by their time."""
    return {
        _time(found[1]): path
        for path in source.glob("exportacion_*.csv")
        if (found := _STAMP.fullmatch(path.stem)) is not None
    }


def _read_export(path: Path, reasons: Counter[str]) -> tuple[Places, Export]:
    with path.open(encoding="latin-1", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        wanted = (*_FIGURES, *PARTIES, *WITHDRAWN_PARTIES)
        if not {"CODIGO_MESA", "CANDIDATURA", *wanted} <= set(header):
            raise SourceError(path.name, 1, "the columns are not those of an export")
        # The names of places stand left of the numbers, so a comma in one shifts nothing seen from the right.
        columns = {name: header.index(name) - len(header) for name in wanted}
        last_place = header.index(_PLACES[-1])
        places: Places = {}
        found: Export = {}
        for number, row in enumerate(reader, start=2):
            if row[header.index("CANDIDATURA")] != PRESIDENT:
                continue
            shift = len(row) - len(header)
            reasons[ALIGNED] += shift > 0
            cells = {name: whole_number(row[column], path.name, number) for name, column in columns.items()}
            mesa = whole_number(row[0], path.name, number)
            found[mesa] = _count(cells)
            above = [row[header.index(name)] for name in _PLACES[:-1]]
            places[mesa] = (*above, ",".join(row[last_place : last_place + shift + 1]))
    return places, found


def _count(cells: Mapping[str, int]) -> Count:
    return Count(
        tuple(cells[name] for name in _FIGURES),
        (*(cells[party] for party in PARTIES), sum(cells[party] for party in WITHDRAWN_PARTIES)),
    )


def _corrections(source: Path) -> list[tuple[int, int, Count, Count]]:
    """Time, mesa, and what it had before and has then."""
    with (source / CORRECTIONS_FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for number, row in enumerate(rows, start=2):
        old, new = (
            {
                name: whole_number(row[f"{prefix}_{name}"], CORRECTIONS_FILE, number)
                for name in (*_FIGURES, *PARTIES)
            }
            for prefix in ("old", "new")
        )
        mesa = whole_number(row["codigo_mesa"], CORRECTIONS_FILE, number)
        found.append((_time(row["snapshot"]), mesa, _derived(old), _derived(new)))
    return sorted(found, key=lambda one: one[:2])


def _derived(cells: Mapping[str, int]) -> Count:
    votes = tuple(cells[party] for party in PARTIES)
    return Count(tuple(cells[name] for name in _FIGURES), (*votes, cells["VOTO_VALIDO"] - sum(votes)))


@cache
def _first_seen(source: Path) -> dict[int, int]:
    with gzip.open(source / FIRST_SEEN_FILE, "rt", encoding="utf-8", newline="") as file:
        return {
            int(row["codigo_mesa"]): _time(row["first_seen_in_snapshot"])
            for row in csv.DictReader(file)
            if row["candidatura"] == PRESIDENT
        }


def _last(source: Path) -> tuple[Places, Export]:
    """Where each mesa of the last export is, and its count."""
    (path,) = source.glob(f"exportacion_*_{LAST}_*.xlsx")
    rows = _sheet(path)
    header = next(rows)
    places: Places = {}
    found: Export = {}
    for number, row in enumerate(rows, start=2):
        cells = dict(zip(header, row, strict=True))
        numbers = {
            name: whole_number(cells[name].removesuffix(".0"), path.name, number)
            for name in ("CODIGO_MESA", *_FIGURES, *PARTIES, *WITHDRAWN_PARTIES)
        }
        found[numbers["CODIGO_MESA"]] = _count(numbers)
        places[numbers["CODIGO_MESA"]] = tuple(cells[name] for name in _PLACES)
    return places, found


def _sheet(path: Path) -> Iterator[list[str]]:
    """The rows of a workbook's first sheet (ISO/IEC 29500-1, section 18.3); empty cells are "".

    Cells are taken in their order: the exports leave none out.
    """
    with zipfile.ZipFile(path) as archive:
        shared = [
            "".join(text.text or "" for text in item.iter(f"{_SHEET}t"))
            for item in ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))  # noqa: S314 - our own file
        ]
        with archive.open("xl/worksheets/sheet1.xml") as sheet:
            for _, row in ElementTree.iterparse(sheet):  # noqa: S314
                if row.tag != f"{_SHEET}row":
                    continue
                cells = []
                for cell in row:
                    value = cell.findtext(f"{_SHEET}v") or ""
                    cells.append(shared[int(value)] if cell.get("t") == "s" else value)
                yield cells
                row.clear()


def _time(stamp: str) -> int:
    """The time in an export's name, in ms since the Unix epoch."""
    return round(datetime.strptime(stamp, "%Y%m%d_%H%M%S").replace(tzinfo=_LOCAL).timestamp()) * 1_000


class _Areas:
    """Numbers countries, departments, municipalities and places of voting as they first appear.

    Attributes:
        rows: area, parent, level, name of every area but the root.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[Cell, ...]] = []
        self._known: dict[tuple[str, ...], int] = {}

    def place(self, names: Sequence[str]) -> int:
        """The area of a mesa; `names` as in `_PLACES`."""
        area = ROOT_AREA
        for depth, level in enumerate(("nation", "department", "municipality", "recinto"), start=1):
            path = tuple(names[:depth])
            if path not in self._known:
                self._known[path] = ROOT_AREA + 1 + len(self._known)
                self.rows.append((self._known[path], area, level, names[depth - 1]))
            area = self._known[path]
        return area


def _write_contest(folder: Path) -> None:
    """More than half of the valid votes elect in the first round."""
    write_table(
        folder / "contests.csv",
        ["contest", "kind", "name_en", "seats", "method", "share_of"],
        [(1, "choose", "President", 1, "majority", "valid")],
    )
    names = (*PARTIES, f"Withdrawn: {', '.join(WITHDRAWN_PARTIES)}")
    write_table(
        folder / "choices.csv",
        ["contest", "choice", "name_en", "kind"],
        [(1, number, name, "candidate") for number, name in enumerate(names, start=1)],
    )
