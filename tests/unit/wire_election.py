"""A small election of three folders that fit together, to load and to spoil; its writer judges nothing."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

import pytest
from nacl.signing import SigningKey

from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.information import Information
from clients.wire.roster import Roster

Json: TypeAlias = "int | str | list[Json] | dict[str, Json] | None"
Tables: TypeAlias = dict[str, list[str]]
Place: TypeAlias = tuple[str, str | None, int | None, str | None]

MEMBERS = [SigningKey(bytes([number]) * 32) for number in (1, 2, 3)]
BOX, DESK = SigningKey(b"\x11" * 32), SigningKey(b"\x12" * 32)


def public(key: SigningKey) -> str:
    return bytes(key.verify_key).hex()


ELECTION: dict[str, Json] = {
    "format": "tallygate-definition/1",
    "id": "example-2027",
    "title": {"en": "An example", "ky": "Мисал"},
    "mode": "live",
    "timezone": "Asia/Bishkek",
    "opens_at": 1_800_000_000_000,
    "closes_at": 1_800_043_200_000,
    "publish_at": None,
    "languages": ["ky", "en"],
    "headline": "machine",
    "commission": {"keys": [public(key) for key in MEMBERS], "quorum": 2},
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
}
DEFINITION: Tables = {
    "areas": [
        "area,parent,level,label,code,name",
        "1,,country,,,Мисал",
        "2,1,region,01,ocd-1,Биринчи",
        '3,2,district,01.01,,"Район, биринчи ""А"""',
        "10,1,region,02,,Экинчи",
    ],
    "contests": [
        "contest,kind,area,seats,marks,preferences,method,share_of,threshold,threshold_of,threshold_area,threshold_area_level,seat_cap,quorum,quorum_of,name",
        "1,list,,75,1,3,hare,votes,500,registered,50,region,,,,Парламент",
        "2,referendum,2,1,1,0,majority,valid,,,,,5000,3000,registered,Сурам",
    ],
    "choices": [
        "contest,choice,kind,list,label,name",
        "1,1,candidate,7,101,Биринчи талапкер",
        "1,7,list,,1,Биринчи партия",
        "1,9,against_all,,,Баарына каршы",
        "2,1,yes,,,Ооба",
        "2,2,no,,,Жок",
    ],
    "stations": [
        "station,area,registered,type,box,closes_at,timezone,contests,label,name",
        "8,3,1200,ordinary,yes,1800043200000,Asia/Bishkek,1 2,УИК 8,Мектеп",
        "11,10,,abroad,no,1800050400000,America/Argentina/Buenos_Aires,1,,Элчилик",
    ],
    "figures": ["code,figure,name", "100,observers,Байкоочулар", "105,torn,Айрылган"],
    "checks": [
        "check,severity,left,op,right,tolerance",
        "1,hard,ballots_received,=,issued+issued_outside+cancelled,0",
        "2,soft,torn,<=,spoiled,5",
    ],
}
ROSTER: Tables = {
    "devices": [
        "device,kind,stations,area,key,serial",
        f"1,box,8 11,,{public(BOX)},SN-1",
        f"2,terminal,,,{'ab' * 32},",
        f"5,desk,,3,{public(DESK)},",
    ],
    "couriers": ["courier,area,name", "1,2,Курьер"],
    "firmware": ["sha256,name", f"{'01' * 32},1.0", f"{'02' * 32},1.1"],
}
NAMES = "name_ky,name_kk,name_ru,name_en"
INFORMATION: Tables = {
    "areas": [f"area,{NAMES}", "1,Мисал,,,Example", "2,,,,"],
    "contests": [f"contest,{NAMES}", "1,,,,Parliament"],
    "choices": [
        f"contest,choice,{NAMES},party,color,photo,biography_ky,biography_kk,biography_ru,biography_en,"
        "programme_ky,programme_kk,programme_ru,programme_en,link,fund_income,fund_spent",
        "1,7,,,,First party,First,#aa0000,first.png,,,,,,,,,https://first.example,100,50",
        "2,1" + "," * 18,
    ],
    "stations": [
        f"station,{NAMES},address_ky,address_kk,address_ru,address_en,route_ky,route_kk,route_ru,route_en,"
        "latitude,longitude,photo,panorama",
        '8,,,,School,,,,"Main street, 1",,,,,42.87,74.59,,school-8.jpg',
    ],
    "figures": [f"code,{NAMES}", "100,,,,Observers"],
    "checks": ["check,text_ky,text_kk,text_ru,text_en", "1,,,,Ballots add up"],
}
SITE: dict[str, Json] = {"contact": "cec@example", "notice": "", "voter_check_url": "https://example"}
MEDIA: dict[str, Json] = {
    "first.png": {"sha256": "cd" * 32, "size": 1000, "type": "image/png"},
    "school-8.jpg": {"sha256": "ef" * 32, "size": 2000, "type": "image/jpeg"},
}


def canonical(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def write(folder: Path, file: str, manifest: dict[str, Json], tables: Tables) -> None:
    """A manifest with its tables, their hashes as they are."""
    entries: dict[str, Json] = {}
    for name, lines in tables.items():
        data = "".join(f"{line}\n" for line in lines).encode()
        (folder / f"{name}.csv").write_bytes(data)
        entries[name] = {
            "rows": len(lines) - 1,
            "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data),
        }
    (folder / file).write_bytes(canonical({**manifest, "tables": entries}))


def rewrite(folder: Path, file: str, change: Callable[[dict[str, Json]], None]) -> None:
    """Change a manifest where it is."""
    manifest = cast(dict[str, Json], json.loads((folder / file).read_bytes()))
    change(manifest)
    (folder / file).write_bytes(canonical(manifest))


class Election:
    """Three folders that fit together."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for part in ("definition", "roster", "information"):
            (root / part).mkdir()
        self.write_definition(DEFINITION)

    def write_definition(self, tables: Tables, manifest: dict[str, Json] = ELECTION) -> None:
        write(self.root / "definition", "election.json", manifest, tables)
        named = hashlib.sha256((self.root / "definition" / "election.json").read_bytes()).hexdigest()
        self.write_roster(ROSTER, named)
        self.write_information(INFORMATION, named)
        self.named = named

    def write_roster(self, tables: Tables, named: str | None = None) -> None:
        manifest: dict[str, Json] = {"format": "tallygate-roster/1", "definition": named or self.named}
        write(self.root / "roster", "roster.json", manifest, tables)

    def write_information(
        self, tables: Tables, named: str | None = None, media: dict[str, Json] = MEDIA
    ) -> None:
        manifest: dict[str, Json] = {
            "format": "tallygate-information/1",
            "definition": named or self.named,
            "site": SITE,
            "media": media,
        }
        write(self.root / "information", "information.json", manifest, tables)

    def load(self) -> tuple[Definition, Roster, Information]:
        definition = Definition.load(self.root / "definition")
        roster = Roster.load(self.root / "roster", definition)
        return definition, roster, Information.load(self.root / "information", definition)

    def refusal(self) -> Place:
        with pytest.raises(WireError) as caught:
            self.load()
        return caught.value.code, caught.value.file, caught.value.line, caught.value.column


def with_line(tables: Tables, name: str, line: int, text: str | None) -> Tables:
    """The tables with one line of one of them replaced, removed (None), or added at the end."""
    changed = copy.deepcopy(tables)
    changed[name][line - 1 : line] = [] if text is None else [text]
    return changed
