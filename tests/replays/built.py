"""Built manifests and tables of any size, written directly, for benches.

The bytes are those that `tallygate election build` would write (canonical CSV under RFC 8785 manifests),
without the spreadsheets in between. Device keys are 32 bytes of SHA-256 and most are no points of the curve:
whether a key is enrollable is judged when a roster is built, not again when it is loaded.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from tests.replays.folder import COMMISSION_KEY

OPENS_AT = 1_773_540_000_000
CLOSES_AT = 1_773_583_200_000
STATIONS_AN_AREA = 100
AREAS_A_REGION = 50
CHOICES = 10

_LINES_AT_ONCE = 20_000
_LANGUAGES = ("ky", "kk", "ru", "en")

Json: TypeAlias = "int | str | Sequence[Json] | Mapping[str, Json] | None"
Entry: TypeAlias = dict[str, int | str]


@dataclass(frozen=True)
class Hashes:
    """SHA-256 of the three manifests, in lower hex."""

    definition: str
    roster: str
    information: str


def write_built(out: Path, stations: int, devices: int) -> Hashes:
    """Write `out/definition`, `out/roster` and `out/information`.

    Stations 1 … n stand in areas of 100. Device i is a box at station ((i − 1) mod n) + 1, in the next round
    a terminal, then again a box.

    Args:
        out: a new or empty folder.
        stations: how many, at least 1.
        devices: how many.

    Raises:
        ValueError: there would be no station.
        FileExistsError: one of the folders is there already.
    """
    if stations < 1:
        raise ValueError("an election needs a station")
    definition = _write_definition(out / "definition", stations)
    roster = _write_roster(out / "roster", definition, stations, devices)
    information = _write_information(out / "information", definition, stations)
    return Hashes(definition, roster, information)


def _write_definition(folder: Path, stations: int) -> str:
    folder.mkdir(parents=True)
    choices = (f"1,{number},candidate,,{number},{_choice(number)}" for number in range(1, CHOICES + 1))
    contest = "1,choose,,1,1,0,majority,in_box,,,,,,5000,registered,Президент"
    tables = {
        "areas": _table(folder, "areas", "area,parent,level,label,code,name", _areas(stations)),
        "contests": _table(
            folder,
            "contests",
            "contest,kind,area,seats,marks,preferences,method,share_of,threshold,threshold_of,threshold_area,"
            "threshold_area_level,seat_cap,quorum,quorum_of,name",
            [contest],
        ),
        "choices": _table(folder, "choices", "contest,choice,kind,list,label,name", choices),
        "stations": _table(
            folder,
            "stations",
            "station,area,registered,type,box,closes_at,timezone,contests,label,name",
            (
                f"{number},{_area_of(number)},{500 + number % 1999},ordinary,yes,{CLOSES_AT},Asia/Bishkek,1,"
                f"{number:07},УИК № {number}"
                for number in range(1, stations + 1)
            ),
        ),
        "figures": _table(folder, "figures", "code,figure,name", ["101,not_accounted,Не учтено"]),
        "checks": _table(
            folder,
            "checks",
            "check,severity,left,op,right,tolerance",
            ["1,hard,ballots_received+not_accounted,=,issued+issued_outside+spoiled+cancelled+lost,0"],
        ),
    }
    return _manifest(
        folder / "election.json",
        {
            "format": "tallygate-definition/1",
            "id": "synthetic-built-rehearsal",
            "title": {"en": "Invented election", "ru": "Вымышленные выборы"},
            "mode": "rehearsal",
            "timezone": "Asia/Bishkek",
            "opens_at": OPENS_AT,
            "closes_at": CLOSES_AT,
            "publish_at": None,
            "languages": ["ru", "en"],
            "headline": "machine",
            "commission": {"keys": [COMMISSION_KEY], "quorum": 1},
            "rules": {
                "required": [9, 11, 13],
                "required_voters": [],
                "h104": "hard",
                "h104_tolerance": 0,
                "s201_tolerance": 0,
                "s202_percent": 10,
                "s203_low": 5,
                "s203_high": 95,
                "s204_minutes": 720,
                "s210_tolerance": 0,
            },
            "tables": tables,
        },
    )


def _write_roster(folder: Path, definition: str, stations: int, devices: int) -> str:
    folder.mkdir(parents=True)
    firmware = hashlib.sha256(b"tallygate synthetic firmware").hexdigest()
    tables = {
        "devices": _table(
            folder, "devices", "device,kind,stations,area,key,serial", _devices(stations, devices)
        ),
        "couriers": _table(folder, "couriers", "courier,area,name", ["1,1,Courier"]),
        "firmware": _table(folder, "firmware", "sha256,name", [f"{firmware},1.0"]),
    }
    return _manifest(
        folder / "roster.json", {"format": "tallygate-roster/1", "definition": definition, "tables": tables}
    )


def _write_information(folder: Path, definition: str, stations: int) -> str:
    folder.mkdir(parents=True)
    names = ",".join(f"name_{language}" for language in _LANGUAGES)
    tables = {
        "areas": _table(
            folder,
            "areas",
            f"area,{names}",
            (_named(line.partition(",")[0], line.rpartition(",")[2]) for line in _areas(stations)),
        ),
        "contests": _table(folder, "contests", f"contest,{names}", [_named(1, "Президент")]),
        "choices": _table(
            folder,
            "choices",
            f"contest,choice,{names},party,color,photo,{_per_language('biography')},{_per_language('programme')},"
            "link,fund_income,fund_spent",
            (f"{_named(f'1,{number}', _choice(number))}{',' * 14}" for number in range(1, CHOICES + 1)),
        ),
        "stations": _table(
            folder,
            "stations",
            f"station,{names},{_per_language('address')},{_per_language('route')},latitude,longitude,photo,panorama",
            (f"{_named(number, f'УИК № {number}')}{',' * 12}" for number in range(1, stations + 1)),
        ),
        "figures": _table(folder, "figures", f"code,{names}", [_named(101, "Не учтено")]),
        "checks": _table(folder, "checks", f"check,{_per_language('text')}", [_named(1, "Не сходится")]),
    }
    return _manifest(
        folder / "information.json",
        {
            "format": "tallygate-information/1",
            "definition": definition,
            "site": {"contact": "", "notice": "An invented election for tests.", "voter_check_url": ""},
            "tables": tables,
            "media": {},
        },
    )


def _areas(stations: int) -> Iterator[str]:
    """The root, then regions, then the lowest areas; a region's number is below those of its areas."""
    lowest = -(-stations // STATIONS_AN_AREA)
    regions = -(-lowest // AREAS_A_REGION)
    yield "1,,country,,,Вымышленная страна"
    for region in range(1, regions + 1):
        yield f"{1 + region},1,region,,,Регион {region}"
    for area in range(1, lowest + 1):
        yield f"{_lowest(area)},{1 + -(-area // AREAS_A_REGION)},district,{area},,Округ {area}"


def _lowest(ordinal: int) -> int:
    return 1_000_000 + ordinal


def _area_of(station: int) -> int:
    return _lowest(-(-station // STATIONS_AN_AREA))


def _devices(stations: int, devices: int) -> Iterator[str]:
    for number in range(1, devices + 1):
        round_, place = divmod(number - 1, stations)
        kind = "terminal" if round_ % 2 else "box"
        key = hashlib.sha256(b"tallygate synthetic device %d" % number).hexdigest()
        yield f"{number},{kind},{place + 1},,{key},SN{number:08}"


def _choice(number: int) -> str:
    return f"Вымышленный Кандидат {number}"


def _per_language(stem: str) -> str:
    return ",".join(f"{stem}_{language}" for language in _LANGUAGES)


def _named(key: int | str, name: str) -> str:
    """A row of an information table: its key, and a name in Russian alone."""
    return f"{key},,,{name},"


def _table(folder: Path, name: str, header: str, lines: Iterable[str]) -> Entry:
    """Write a table, some lines at a time, and return its entry in the manifest."""
    digest = hashlib.sha256()
    rows = -1
    size = 0
    with (folder / f"{name}.csv").open("xb") as file:
        remaining = iter(_with(header, lines))
        while chunk := list(islice(remaining, _LINES_AT_ONCE)):
            data = ("\n".join(chunk) + "\n").encode()
            rows += len(chunk)
            size += len(data)
            digest.update(data)
            file.write(data)
    return {"rows": rows, "sha256": digest.hexdigest(), "size": size}


def _with(header: str, lines: Iterable[str]) -> Iterator[str]:
    yield header
    yield from lines


def _manifest(path: Path, content: Mapping[str, Json]) -> str:
    """Write a manifest; all keys are ASCII, so that code points sort them as RFC 8785 wants."""
    data = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
