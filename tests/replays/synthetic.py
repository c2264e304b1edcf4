"""Invented result sets in the shapes of the real ones, deterministic, for tests that always run.

Three shapes, after the three real sets:

* ``flat`` (Kyrgyzstan): country > region > station; machine and protocol beside each other, some protocols
  missing or different; votes and no other figure.
* ``districts`` (Georgia): every district elects a single member with choices of its own; figures of two lists
  of voters; some stations have only a part of the contests.
* ``deep`` (Russia): country > region > district > station in eleven time zones; all figures, a national one
  with its check; preferences within lists; the tables as a spreadsheet program saves them (BOM, `;`, CRLF,
  decomposed letters).

Names mix Cyrillic, Latin, Georgian and Arabic letters, commas and quotes. Every party, person and place is
invented.
"""

import random
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from tests.replays.folder import Cell, Folders, Head, Report, write_table

Shape: TypeAlias = Literal["flat", "districts", "deep"]
SHAPES: tuple[Shape, ...] = ("flat", "districts", "deep")

NOTICE = "An invented election for tests: every party, person, place and number in it is made up."

ROOT_AREA = 1
LIST_LENGTH = 9
PREFERENCES_A_LIST = 2
STATIONS_A_REGION = 250
STATIONS_A_DISTRICT = 40
DISTRICTS_A_REGION = 12
DISTRICT_BASE = 100
"""In the shape `districts`, district n is area 100 + n and its single member is contest 100 + n."""
NOT_ACCOUNTED = 101
"""Code of the national figure of the shape `deep`."""

MISSING_PROTOCOL = "station without a protocol"
DIFFERENT_PROTOCOL = "protocol that differs from the machine count"
PARTIAL_CONTESTS = "station that has the election-wide contests alone"
DECOMPOSED = "name whose accents stand apart from their letters (NFD)"

_ZONES = (
    "Europe/Kaliningrad",
    "Europe/Moscow",
    "Europe/Samara",
    "Asia/Yekaterinburg",
    "Asia/Omsk",
    "Asia/Novosibirsk",
    "Asia/Irkutsk",
    "Asia/Yakutsk",
    "Asia/Vladivostok",
    "Asia/Magadan",
    "Asia/Kamchatka",
)
_PLACES = (
    "Ак-Булуң",
    "Көк-Өзөн",
    "Новый Бай",
    "Ірі-Тоғай",
    "Windmere",
    "Élan-sur-Brume",
    "Saint-Åsmund",
    "მთისძირი",
    "ნისლიანი",
    "قىزىل دۆڭ",
    "بۇلاق كەنت",
)
_PARTIES = (
    "«Тоо жаңырыгы»",
    "«Жел мен Су»",
    "Партия «Утренний чай»",
    "Lantern & Ladder",
    'The "Quiet River" Bloc',
    "Bread, Salt, Honey",
    "ჩიტების კავშირი",
    "ئاق قۇش بىرلىكى",
    "Комета",
)
_FIGURES = (
    "registered",
    "identified",
    "ballots_received",
    "issued_early",
    "issued",
    "issued_outside",
    "spoiled",
    "cancelled",
    "in_portable_box",
    "in_box",
    "valid",
    "blank",
    "invalid",
    "lost",
    "not_accounted",
)
_FIGURES_DISTRICTS = (
    "registered",
    "registered_additional",
    "ballots_received",
    "issued",
    "invalid",
    "valid",
)
_AGAINST_ALL = ("Баарына каршы", "Бәріне қарсы", "Против всех", "Against all")
_YES = ("Ооба", "Иә", "Да", "Yes")
_NO = ("Жок", "Жоқ", "Нет", "No")

Names: TypeAlias = tuple[str, str, str, str]
_NAME_COLUMNS = ("name_ky", "name_kk", "name_ru", "name_en")


@dataclass(frozen=True)
class _Choice:
    number: int
    kind: str
    names: Names
    of_list: int = 0


@dataclass(frozen=True)
class _Contest:
    number: int
    kind: str
    area: int
    choices: tuple[_Choice, ...]
    settings: Mapping[str, Cell]

    @property
    def weights(self) -> tuple[int, ...]:
        """How popular the choices are; preferences have no vote of their own."""
        return tuple(3 + 7 * choice.number % 29 if not choice.of_list else 0 for choice in self.choices)


@dataclass(frozen=True)
class _Station:
    number: int
    area: int
    region: int
    voters: int
    contests: tuple[_Contest, ...]
    partial: bool


_CONTEST_SETTINGS = (
    "seats",
    "preferences",
    "method",
    "share_of",
    "threshold_percent",
    "threshold_of",
    "quorum_percent",
    "quorum_of",
)


def generate(out: Path, *, stations: int, contests: int = 1, seed: int = 1, shape: Shape = "flat") -> Report:
    """Write an invented replay: the same arguments, the same bytes.

    Args:
        out: gets `election/`, `results/` and `NOTICE.txt`.
        stations: how many, at least 1.
        contests: how many election-wide contests, in turn party lists, one person, yes or no.
        seed: another one gives other numbers.
        shape: which of the real sets it resembles.

    Raises:
        ValueError: there would be no station or no contest, or more election-wide contests than their numbers
            (below those of the districts) reach.
        FileExistsError: `out` holds a replay already.
    """
    if stations < 1 or not 1 <= contests <= DISTRICT_BASE:
        raise ValueError(f"an election needs a station and 1 to {DISTRICT_BASE} contests")
    rng = random.Random(f"{shape} {seed}")
    reasons: Counter[str] = Counter()
    with Folders.new(out) as folders:
        head = _head(shape, seed)
        folders.write_head(head)
        spreadsheet = shape == "deep"

        wide = [_wide_contest(number, shape) for number in range(1, contests + 1)]
        areas = _areas(stations, shape)
        local = (
            [_single_member(area) for area, _, level, _ in areas if level == "district"]
            if shape == "districts"
            else []
        )
        places = list(_stations(stations, shape, wide, local, rng))

        write_table(
            folders.election / "areas.csv",
            ["area", "parent", "level", *_NAME_COLUMNS],
            (
                (area, parent or "", level, *_spelled(names, area, reasons))
                for area, parent, level, names in areas
            ),
            spreadsheet=spreadsheet,
        )
        _write_contests(folders.election, [*wide, *local], spreadsheet)
        _write_stations(folders.election, places, shape, reasons)
        if shape == "deep":
            _write_national(folders.election)
        rows = _write_results(folders.results, places, shape, rng, reasons)
    return Report(f"synthetic-{shape}", head.titles["en"], stations, rows, dict(+reasons))


def _head(shape: Shape, seed: int) -> Head:
    rules: dict[Shape, dict[str, int | str | list[int]]] = {
        "flat": {"required": []},
        "districts": {"required": [11, 13]},
        "deep": {"required_voters": [1]},
    }
    return Head(
        id=f"synthetic-{shape}",
        titles={
            "ky": "Ойдон чыгарылган шайлоо",
            "kk": "Ойдан шығарылған сайлау",
            "ru": "Вымышленные выборы",
            "en": f"Invented election ({shape}, seed {seed})",
        },
        timezone="Asia/Bishkek",
        opens_at="2026-03-15T08:00:00+06:00",
        closes_at="2026-03-15T20:00:00+06:00",
        notice=NOTICE,
        headline="machine",
        rules=rules[shape],
    )


# Contests and choices


def _wide_contest(number: int, shape: Shape) -> _Contest:
    """An election-wide contest: party lists, one person, a referendum, and again."""
    base = "votes" if shape == "flat" else "valid"
    match number % 3:
        case 1:
            preferences = PREFERENCES_A_LIST if shape == "deep" else 0
            return _Contest(
                number,
                "list",
                0,
                tuple(_lists(preferences)),
                {
                    "seats": 120,
                    "preferences": min(preferences, 1),
                    "method": "hare",
                    "share_of": base,
                    "threshold_percent": "5",
                    "threshold_of": base,
                },
            )
        case 2:
            people = tuple(_Choice(place, "candidate", _person(place, number)) for place in range(1, 6))
            return _Contest(number, "choose", 0, people, {"seats": 1, "method": "majority", "share_of": base})
        case _:
            answers = (_Choice(1, "yes", _YES), _Choice(2, "no", _NO))
            quorum = {"quorum_percent": "50", "quorum_of": "registered"} if shape == "deep" else {}
            return _Contest(number, "referendum", 0, answers, {"share_of": base, **quorum})


def _lists(preferences: int) -> Iterator[_Choice]:
    for place, party in enumerate(_PARTIES, start=1):
        yield _Choice(place, "list", (party, party, party, party))
    yield _Choice(LIST_LENGTH + 1, "against_all", _AGAINST_ALL)
    for place in range(1, LIST_LENGTH + 1):
        for rank in range(1, preferences + 1):
            yield _Choice(100 * place + rank, "candidate", _person(place, rank), of_list=place)


def _single_member(area: int) -> _Contest:
    """A district's contest: who stands, and how many, differs from district to district."""
    people = tuple(
        _Choice(place, "candidate", _person(place, area)) for place in range(1, 10) if (place + area) % 3
    )
    return _Contest(area, "choose", area, people, {"seats": 1, "method": "majority", "share_of": "valid"})


def _person(place: int, salt: int) -> Names:
    stem = _PLACES[(3 * place + salt) % len(_PLACES)]
    return (f"{stem} уулу {place}", f"{stem} {place}", f"{stem}ов, {place}-й", f"{stem} Sr., no. {place}")


def _write_contests(folder: Path, contests: Sequence[_Contest], spreadsheet: bool) -> None:
    titles = {
        "list": ("Партиялык тизмелер", "Партиялық тізімдер", "Партийные списки", "Party lists"),
        "choose": ("Депутат", "Депутат", "Депутат", "Member"),
        "referendum": ("Суроо", "Сұрақ", "Вопрос", "Question"),
    }
    write_table(
        folder / "contests.csv",
        ["contest", "kind", "area", *_NAME_COLUMNS, *_CONTEST_SETTINGS],
        (
            (
                contest.number,
                contest.kind,
                contest.area or "",
                *(f"{name} {contest.number}" for name in titles[contest.kind]),
                *(contest.settings.get(column, "") for column in _CONTEST_SETTINGS),
            )
            for contest in contests
        ),
        spreadsheet=spreadsheet,
    )
    write_table(
        folder / "choices.csv",
        ["contest", "choice", "kind", "list", "label", *_NAME_COLUMNS],
        (
            (contest.number, choice.number, choice.kind, choice.of_list or "", choice.number, *choice.names)
            for contest in contests
            for choice in contest.choices
        ),
        spreadsheet=spreadsheet,
    )


# Areas and stations


def _areas(stations: int, shape: Shape) -> list[tuple[int, int, str, Names]]:
    """Number, parent (0 for the root), level, names."""
    areas: list[tuple[int, int, str, Names]] = [
        (ROOT_AREA, 0, "country", ("Ойдон өлкө", "Ойдан ел", "Вымышленная страна", "Inventia"))
    ]
    if shape == "deep":
        districts = -(-stations // STATIONS_A_DISTRICT)
        for region in range(1, -(-districts // DISTRICTS_A_REGION) + 1):
            areas.append((_region(region), ROOT_AREA, "region", _place(region)))
        for district in range(districts):
            region = district // DISTRICTS_A_REGION + 1
            areas.append((_deep_district(district), _region(region), "district", _place(district)))
        return areas
    size, level = (STATIONS_A_DISTRICT, "district") if shape == "districts" else (STATIONS_A_REGION, "region")
    for part in range(1, -(-stations // size) + 1):
        areas.append((DISTRICT_BASE + part, ROOT_AREA, level, _place(part)))
    return areas


def _region(ordinal: int) -> int:
    return 1_000 + ordinal


def _deep_district(ordinal: int) -> int:
    return 1_000 * _region(ordinal // DISTRICTS_A_REGION + 1) + ordinal % DISTRICTS_A_REGION + 1


def _place(ordinal: int) -> Names:
    stem = f"{_PLACES[ordinal % len(_PLACES)]} {ordinal}"
    return (f"{stem} аймагы", f"{stem} ауданы", f"Округ {stem}", f'District "{stem}", invented')


def _spelled(names: Names, number: int, reasons: Counter[str]) -> Names:
    """The names of every seventh thing decomposed, as in files from some systems."""
    apart = unicodedata.normalize("NFD", names[0]), unicodedata.normalize("NFD", names[2])
    if number % 7 or apart == (names[0], names[2]):
        return names
    reasons[DECOMPOSED] += 1
    return (apart[0], names[1], apart[1], names[3])


def _stations(
    stations: int, shape: Shape, wide: list[_Contest], local: list[_Contest], rng: random.Random
) -> Iterator[_Station]:
    in_district = {contest.area: contest for contest in local}
    for number in range(1, stations + 1):
        if shape == "deep":
            ordinal = (number - 1) // STATIONS_A_DISTRICT
            area, region = _deep_district(ordinal), ordinal // DISTRICTS_A_REGION + 1
        else:
            size = STATIONS_A_DISTRICT if shape == "districts" else STATIONS_A_REGION
            region = (number - 1) // size + 1
            area = DISTRICT_BASE + region
        own = in_district.get(area)
        partial = own is not None and rng.randrange(20) == 0
        contests = (*wide, own) if own and not partial else tuple(wide)
        yield _Station(number, area, region, rng.randrange(40, 2_600), contests, partial)


def _write_stations(folder: Path, stations: Sequence[_Station], shape: Shape, reasons: Counter[str]) -> None:
    rows: list[dict[str, Cell]] = []
    for station in stations:
        reasons[PARTIAL_CONTESTS] += station.partial
        number = station.number
        names = _spelled(
            (
                f"№ {number} участка",
                f"№ {number} учаске",
                f"Избирательный участок № {number}",
                f"Polling station {number}",
            ),
            number,
            reasons,
        )
        rows.append(
            {
                "station": number,
                "area": station.area,
                **dict(zip(_NAME_COLUMNS, names, strict=True)),
                "label": f"{station.area}/{number:04}",
                **_shape_columns(station, shape),
            }
        )
    write_table(
        folder / "stations.csv",
        list(rows[0]),
        (list(row.values()) for row in rows),
        spreadsheet=shape == "deep",
    )


def _shape_columns(station: _Station, shape: Shape) -> dict[str, Cell]:
    """The columns of stations.csv that not every shape has."""
    match shape:
        case "flat":
            return {}
        case "districts":
            own = " ".join(str(contest.number) for contest in station.contests) if station.partial else ""
            return {"registered": station.voters, "contests": own}
        case "deep":
            zone = _ZONES[station.region % len(_ZONES)]
            mobile = station.number % 97 == 0
            return {
                "registered": station.voters,
                "type": "mobile" if mobile else "special" if station.number % 41 == 0 else "ordinary",
                "box": "no" if mobile else "yes",
                "closes_at": datetime(2026, 3, 15, 20, tzinfo=ZoneInfo(zone)).isoformat(),
                "timezone": zone,
                "contests": "*",
                "address_en": f"{station.number} Heron Street; side door",
                "route_en": "Bus 7, then the footbridge",
                "latitude": f"{40 + station.region % 30}.5",
                "longitude": "-74.25",
            }


def _write_national(folder: Path) -> None:
    """The protocol's own line and equation of the shape `deep`."""
    write_table(
        folder / "figures.csv",
        ["code", "figure", *_NAME_COLUMNS],
        [
            (
                NOT_ACCOUNTED,
                "not_accounted",
                "Эсепке алынбаган",
                "Есепке алынбаған",
                "Не учтено",
                "Not accounted for",
            )
        ],
        spreadsheet=True,
    )
    write_table(
        folder / "checks.csv",
        ["check", "severity", "left", "op", "right", "tolerance", "text_ky", "text_ru", "text_en"],
        [
            (
                1,
                "hard",
                "ballots_received+not_accounted",
                "=",
                "issued_early+issued+issued_outside+spoiled+cancelled+lost",
                0,
                "Бюллетендер дал келбейт",
                "Бюллетени не сходятся",
                "The ballots do not balance",
            )
        ],
        spreadsheet=True,
    )


# Results


def _write_results(
    folder: Path, stations: Sequence[_Station], shape: Shape, rng: random.Random, reasons: Counter[str]
) -> dict[str, int]:
    """Write a file a contest and source; votes and figures satisfy every hard rule of tally.md."""
    lines: dict[int, list[tuple[int, ...]]] = {}
    papers: dict[int, list[tuple[int, ...]]] = {}
    for station in stations:
        figures = _figures(station, rng)
        for contest in station.contests:
            invalid = figures["invalid"]
            ballots = figures["in_box"] - (invalid + figures["blank"])
            votes = _votes(contest, ballots, rng)
            lines.setdefault(contest.number, []).append((station.number, *_columns(figures, shape), *votes))
            if shape == "flat":
                paper = _protocol(votes, rng, reasons)
                papers.setdefault(contest.number, []).extend([(station.number, *paper)] if paper else [])
    rows = {}
    choices = {contest.number: contest.choices for station in stations for contest in station.contests}
    names = {"flat": (), "districts": _FIGURES_DISTRICTS, "deep": _FIGURES}[shape]
    for prefix, tables in (("contest", lines), ("protocol", papers)):
        for number, table in tables.items():
            file = f"{prefix}-{number}.csv"
            header = ["station", *names, *(str(choice.number) for choice in choices[number])]
            rows[file] = write_table(folder / file, header, table)
    return rows


def _figures(station: _Station, rng: random.Random) -> dict[str, int]:
    """All figures of one ballot paper, balanced."""
    voters = station.voters
    in_box = voters * rng.randrange(20, 92) // 100
    early, outside = in_box * rng.randrange(3) // 100, in_box * rng.randrange(8) // 100
    spoiled, carried = rng.randrange(4), rng.randrange(12) // 11
    invalid, blank = in_box * rng.randrange(4) // 100, in_box * rng.randrange(2) // 100
    given_out = min(in_box + carried, voters)
    received = voters + 25
    lost = rng.randrange(60) // 59
    missing = rng.randrange(50) // 49
    return {
        "registered": voters,
        "registered_additional": rng.randrange(15),
        "identified": given_out,
        "ballots_received": received,
        "issued_early": early,
        "issued": given_out - early - outside,
        "issued_outside": outside,
        "spoiled": spoiled,
        "cancelled": received + missing - given_out - spoiled - lost,
        "in_portable_box": outside,
        "in_box": in_box,
        "valid": in_box - invalid - blank,
        "blank": blank,
        "invalid": invalid,
        "lost": lost,
        "not_accounted": missing,
    }


def _columns(figures: dict[str, int], shape: Shape) -> tuple[int, ...]:
    match shape:
        case "flat":
            return ()
        case "districts":
            # These protocols know one kind of issue and one kind of ballot that does not count.
            merged = {
                **figures,
                "issued": figures["issued"] + figures["issued_early"] + figures["issued_outside"],
                "invalid": figures["invalid"] + figures["blank"],
            }
            return tuple(merged[name] for name in _FIGURES_DISTRICTS)
        case "deep":
            return tuple(figures[name] for name in _FIGURES)


def _votes(contest: _Contest, ballots: int, rng: random.Random) -> tuple[int, ...]:
    """One mark a ballot, around the choices' weights; preferences stay below their list's votes."""
    weights = [weight * (1 + rng.random()) for weight in contest.weights]
    # sum() adds floats otherwise from Python 3.12 on; accumulate() gives the same bytes everywhere.
    sums = list(accumulate(weights))
    ends = [round(ballots * end / sums[-1]) for end in sums]
    votes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    of_list = {choice.number: count for choice, count in zip(contest.choices, votes, strict=True)}
    return tuple(
        of_list[choice.of_list] // (choice.number % 100 + 1) // 2 if choice.of_list else count
        for choice, count in zip(contest.choices, votes, strict=True)
    )


def _protocol(votes: tuple[int, ...], rng: random.Random, reasons: Counter[str]) -> tuple[int, ...] | None:
    """The paper of a machine count: missing, a little higher, or the same."""
    match rng.randrange(20):
        case 0:
            reasons[MISSING_PROTOCOL] += 1
            return None
        case 1 | 2 | 3:
            reasons[DIFFERENT_PROTOCOL] += 1
            place = rng.randrange(len(votes))
            return (*votes[:place], votes[place] + rng.randrange(1, 6), *votes[place + 1 :])
        case _:
            return votes
