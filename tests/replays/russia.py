"""Russia, president, 18 March 2018: 97,699 stations in 87 regions and 2,778 territorial commissions (ТИК).

The zipped table is streamed: neither it nor the stations are ever in memory as a whole.
"""

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.replays.folder import Cell, Folders, Head, Report, SourceError, whole_number, write_table
from tests.replays.zones import zone_of

NAME = "russia-2018"
SOURCE = "russia"
ARCHIVE = "2018.csv.zip"
MEMBER = "2018.csv"

NOTICE = (
    "A replay of published results for tests. The source (dkobak/elections, collected from the commission's "
    "site by S. Shpilkin) states no licence: do not redistribute. "
    "Four stations of this set were annulled later."
)
HEAD = Head(
    id=NAME,
    titles={"ru": "Выборы Президента Российской Федерации 18 марта 2018 года (воспроизведение)"},
    timezone="Europe/Moscow",
    # From the first station that opens, in Kamchatka, to Moscow's closing time; other stations have their
    # own.
    opens_at="2018-03-18T08:00:00+12:00",
    closes_at="2018-03-18T20:00:00+03:00",
    # Nothing may be published before the last stations on Russian ground close, in Kaliningrad.
    publish_at="2018-03-18T21:00:00+03:00",
    notice=NOTICE,
)

ROOT_AREA = 1
REGION_BASE = 100
"""The n-th region of the file is area 100 + n, the k-th commission of it area (100 + n) · 1,000 + k."""
DISTRICT_BASE = 1_000
STATION_BASE = 10_000
"""Station 572 of the 43rd region is station 430,572: numbers are unique inside a region."""
ABROAD = "99 Территория за пределами РФ"

ANNULLED = (430_572, 430_576, 781_439, 781_446)
"""The annulment test: these four stations (rows 45559, 45563, 92554 and 92561 of the file) are in the set and
in the replay; once decision 4 annuls them, registered voters are the published 109,001,306."""

NOT_ACCOUNTED = 101
"""Code of the national figure `not_accounted`: ballots of the delivery that were
not counted when it was received, so they stand beside `ballots_received`."""

_PLACES = ["region", "tik", "uik"]
_FIGURES = {
    "Число избирателей, включенных в список избирателей": "registered",
    "Число избирательных бюллетеней, полученных участковой избирательной комиссией": "ballots_received",
    "Число избирательных бюллетеней, выданных избирателям, проголосовавшим досрочно": "issued_early",
    "Число избирательных бюллетеней, выданных в помещении для голосования в день голосования": "issued",
    "Число избирательных бюллетеней, выданных вне помещения для голосования "
    "в день голосования": "issued_outside",
    "Число погашенных избирательных бюллетеней": "cancelled",
    "Число избирательных бюллетеней в переносных ящиках для голосования": "in_portable_box",
    "Число бюллетеней в стационарных ящиках для голосования": "in_box",
    "Число недействительных избирательных бюллетеней": "invalid",
    "Число действительных избирательных бюллетеней": "valid",
    "Число утраченных избирательных бюллетеней": "lost",
    "Число избирательных бюллетеней, не учтенных при получении": "not_accounted",
}
"""Column to figure. Only in_box needs a sum: the source counts the stationary boxes alone, `in_box` is all
ballots found."""
_IN_PORTABLE_BOX = list(_FIGURES.values()).index("in_portable_box")
_IN_BOX = list(_FIGURES.values()).index("in_box")
_FIRST_VOTES = len(_PLACES) + len(_FIGURES)

OVER_ISSUED = "station with more ballots in its boxes than were issued (kept: H104 holds it)"
OVER_REGISTERED = "station that issued more ballots than it has registered voters (kept: H104 holds it)"
OVER_PORTABLE = (
    "station with more ballots in portable boxes than were issued outside and early (kept: check 2 flags it)"
)
UNBALANCED = "station whose ballots received do not balance (kept: check 1 holds it)"
VALID_DIFFERS = "station whose valid ballots are not the sum of its votes (kept: H103 holds it)"
BOXES_DIFFER = "station whose valid and invalid ballots are not those in its boxes (kept: H102 holds it)"
NO_VOTERS = "station without a registered voter (kept as 0)"
NO_ZONE = "station whose time zone is not certain (the election's closing time and zone apply)"
DOUBLED_SPACE = "station of a commission whose name has a doubled space (kept)"


def convert(source: Path, out: Path) -> Report:
    """Write the replay of this set.

    Args:
        source: folder with the source files.
        out: gets `election/` (with the national figure and checks of the Russian protocol),
            `results/contest-1.csv` and `NOTICE.txt`.

    Raises:
        SourceError: the source has other columns, or a cell that cannot be what its column says.
        FileExistsError: `out` holds a replay already.
    """
    rows = _source_rows(source / ARCHIVE)
    candidates = next(rows)
    reasons: Counter[str] = Counter()
    with Folders.new(out) as folders:
        folders.write_head(HEAD)
        _write_contest(folders.election, candidates)
        areas = _Areas()
        count = _write_stations(folders, candidates, rows, areas, reasons)
        write_table(
            folders.election / "areas.csv",
            ["area", "parent", "level", "name_ru"],
            [(ROOT_AREA, "", "country", "Российская Федерация"), *areas.rows],
        )
    return Report(NAME, HEAD.titles["ru"], count, {"contest-1.csv": count}, dict(+reasons))


def _write_stations(
    folders: Folders, candidates: list[str], rows: Iterator[list[str]], areas: "_Areas", reasons: Counter[str]
) -> int:
    """Write stations.csv and the results side by side; return the number of stations."""
    stations = folders.election / "stations.csv"
    results = folders.results / "contest-1.csv"
    count = 0
    with (
        stations.open("w", encoding="utf-8", newline="") as station_file,
        results.open("w", encoding="utf-8", newline="") as result_file,
    ):
        station_rows = csv.writer(station_file, lineterminator="\n")
        result_rows = csv.writer(result_file, lineterminator="\n")
        station_rows.writerow(
            ["station", "area", "registered", "name_ru", "label", "type", "closes_at", "timezone"]
        )
        result_rows.writerow(
            ["station", *_FIGURES.values(), *(str(choice) for choice in range(1, len(candidates) + 1))]
        )
        for count, row in enumerate(rows, start=1):
            region, district, label = row[: len(_PLACES)]
            numbers = [whole_number(cell, MEMBER, count + 1) for cell in row[len(_PLACES) :]]
            _judge(numbers, reasons)
            numbers[_IN_BOX] += numbers[_IN_PORTABLE_BOX]
            area, station = areas.place(region, district, whole_number(label, MEMBER, count + 1))
            zone = zone_of(region, district)
            reasons[NO_ZONE] += not zone
            reasons[DOUBLED_SPACE] += "  " in district
            kind = "abroad" if region == ABROAD else "ordinary"
            closing = _closing(zone) if zone else ""
            station_rows.writerow((station, area, numbers[0], f"УИК № {label}", label, kind, closing, zone))
            result_rows.writerow((station, *numbers))
    return count


def _source_rows(path: Path) -> Iterator[list[str]]:
    """The candidates' names, then each row without the address of the official page."""
    with zipfile.ZipFile(path) as archive, archive.open(MEMBER) as member:
        reader = csv.reader(io.TextIOWrapper(member, "utf-8-sig", newline=""))
        header = next(reader, [])
        leading = [*_PLACES, *_FIGURES]
        if header[:_FIRST_VOTES] != leading or header[-1:] != ["url"] or len(header) < _FIRST_VOTES + 2:
            raise SourceError(MEMBER, 1, f"columns must be {', '.join(leading)}, the candidates, url")
        yield header[_FIRST_VOTES:-1]
        for number, row in enumerate(reader, start=2):
            if len(row) != len(header):
                raise SourceError(MEMBER, number, f"{len(row)} cells under {len(header)} column names")
            yield row[:-1]


class _Areas:
    """Numbers regions and commissions as they first appear.

    Attributes:
        rows: area, parent, level, name of every area but the root.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[Cell, ...]] = []
        self._regions: dict[str, int] = {}
        self._districts: dict[tuple[str, str], int] = {}
        self._of_region: Counter[str] = Counter()

    def place(self, region: str, district: str, label: int) -> tuple[int, int]:
        """The area and the number of a station."""
        if region not in self._regions:
            self._regions[region] = len(self._regions) + 1
            self.rows.append((REGION_BASE + self._regions[region], ROOT_AREA, "region", region))
        ordinal = self._regions[region]
        if (region, district) not in self._districts:
            self._of_region[region] += 1
            area = (REGION_BASE + ordinal) * DISTRICT_BASE + self._of_region[region]
            self._districts[region, district] = area
            self.rows.append((area, REGION_BASE + ordinal, "tik", district))
        return self._districts[region, district], ordinal * STATION_BASE + label


def _judge(numbers: list[int], reasons: Counter[str]) -> None:
    """Count what the rules will find; `numbers` are the source's columns from registered on."""
    (
        registered,
        received,
        early,
        inside,
        outside,
        cancelled,
        portable,
        stationary,
        invalid,
        valid,
        lost,
        not_accounted,
    ) = numbers[: len(_FIGURES)]
    given_out, in_boxes = early + inside + outside, portable + stationary
    reasons[OVER_ISSUED] += in_boxes > given_out
    reasons[OVER_REGISTERED] += given_out > registered
    reasons[OVER_PORTABLE] += portable > outside + early
    reasons[UNBALANCED] += received + not_accounted != given_out + cancelled + lost
    reasons[VALID_DIFFERS] += valid != sum(numbers[len(_FIGURES) :])
    reasons[BOXES_DIFFER] += valid + invalid != in_boxes
    reasons[NO_VOTERS] += registered == 0


@cache
def _closing(zone: str) -> str:
    return datetime(2018, 3, 18, 20, tzinfo=ZoneInfo(zone)).isoformat()


def _write_contest(folder: Path, candidates: list[str]) -> None:
    """More than half of the voters who took part elect, so shares are of the ballots in the boxes."""
    write_table(
        folder / "contests.csv",
        ["contest", "kind", "name_ru", "seats", "method", "share_of"],
        [(1, "choose", "Президент Российской Федерации", 1, "majority", "in_box")],
    )
    write_table(
        folder / "choices.csv",
        ["contest", "choice", "name_ru", "kind"],
        [(1, number, name, "candidate") for number, name in enumerate(candidates, start=1)],
    )
    write_table(
        folder / "figures.csv",
        ["code", "figure", "name_ru"],
        [(NOT_ACCOUNTED, "not_accounted", "Число избирательных бюллетеней, не учтенных при получении")],
    )
    write_table(
        folder / "checks.csv",
        ["check", "severity", "left", "op", "right", "text_ru"],
        [
            (
                1,
                "hard",
                "ballots_received + not_accounted",
                "=",
                "issued_early + issued + issued_outside + cancelled + lost",
                "Полученные бюллетени не сходятся с выданными, погашенными и утраченными",
            ),
            (
                2,
                "soft",
                "in_portable_box",
                "<=",
                "issued_outside + issued_early",
                "В переносных ящиках больше бюллетеней, чем выдано вне помещения и досрочно",
            ),
        ],
    )
