"""The tiny election that signers are judged against and that bad manifests are made from.

Three areas, two contests, four stations, six devices, a commission of three of whom two decide: enough for
every column of every table to hold something. It is invented, and its private keys are published.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from tests.vectors.encoding import Key, sha256
from tests.vectors.render import Json

Row: TypeAlias = tuple[str, ...]

OPENS_AT: Final = 1_935_540_000_000  # 2031-05-03 08:00 in Bishkek
CLOSES_AT: Final = 1_935_583_200_000  # 2031-05-03 20:00 in Bishkek
CLOSES_IN_MOSCOW: Final = CLOSES_AT + 3 * 3_600_000

MEMBERS: Final = tuple(Key(f"commission member {place}") for place in (1, 2, 3))
BOX: Final = Key("device 1, a box")
OTHER_BOX: Final = Key("device 2, a box")
TERMINAL: Final = Key("device 3, a terminal")
SPARE: Final = Key("device 4, a spare box")
DESK: Final = Key("device 5, a desk")
MOBILE_BOX: Final = Key("device 6, a box for two stations")
DEVICES: Final = (BOX, OTHER_BOX, TERMINAL, SPARE, DESK, MOBILE_BOX)

FIRMWARE: Final = tuple(sorted(sha256(f"tallygate vectors: firmware {name}".encode()) for name in "ab"))

# A picture of one grey pixel.
PHOTO: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a4944415478da6368000000820081da45083b0000000049454e44ae426082"
)
PHOTO_NAME: Final = "station-10.png"
PHOTO_ENTRY: Final[Mapping[str, Json]] = {
    "sha256": sha256(PHOTO).hex(),
    "size": len(PHOTO),
    "type": "image/png",
}

_INFORMATION_NAMES = ("name_ky", "name_kk", "name_ru", "name_en")

COLUMNS: Final[Mapping[str, Mapping[str, Row]]] = {
    "definition": {
        "areas": ("area", "parent", "level", "label", "code", "name"),
        "contests": (
            *("contest", "kind", "area", "seats", "marks", "preferences", "method", "share_of", "threshold"),
            *("threshold_of", "threshold_area", "threshold_area_level", "seat_cap", "quorum", "quorum_of"),
            "name",
        ),
        "choices": ("contest", "choice", "kind", "list", "label", "name"),
        "stations": (
            *("station", "area", "registered", "type", "box", "closes_at", "timezone", "contests", "label"),
            "name",
        ),
        "figures": ("code", "figure", "name"),
        "checks": ("check", "severity", "left", "op", "right", "tolerance"),
    },
    "roster": {
        "devices": ("device", "kind", "stations", "area", "key", "serial"),
        "couriers": ("courier", "area", "name"),
        "firmware": ("sha256", "name"),
    },
    "information": {
        "areas": ("area", *_INFORMATION_NAMES),
        "contests": ("contest", *_INFORMATION_NAMES),
        "choices": (
            *("contest", "choice", *_INFORMATION_NAMES, "party", "color", "photo"),
            *("biography_ky", "biography_kk", "biography_ru", "biography_en"),
            *("programme_ky", "programme_kk", "programme_ru", "programme_en"),
            *("link", "fund_income", "fund_spent"),
        ),
        "stations": (
            *("station", *_INFORMATION_NAMES, "address_ky", "address_kk", "address_ru", "address_en"),
            *("route_ky", "route_kk", "route_ru", "route_en", "latitude", "longitude", "photo", "panorama"),
        ),
        "figures": ("code", *_INFORMATION_NAMES),
        "checks": ("check", "text_ky", "text_kk", "text_ru", "text_en"),
    },
}

_DEFINITION_ROWS: Mapping[str, Sequence[Row]] = {
    "areas": (
        ("1", "5", "region", "Р-1", "tl-1", 'Түндүк, "Тоо" облусу'),
        ("5", "", "country", "", "tl", "Тоолия"),
        ("7", "5", "region", "", "", "Түштүк облусу"),
    ),
    "contests": (
        ("1", "choose", "", "1", "1", "0", "majority", "votes", *[""] * 5, "3000", "registered", "Президент"),
        (
            *("2", "list", "5", "30", "1", "3", "hare", "valid", "500", "valid", "50", "region", "6500"),
            *("", "", "Кеңеш"),
        ),
    ),
    "choices": (
        ("1", "1", "candidate", "", "1", "А. Алиев"),
        ("1", "2", "candidate", "", "2", "Б. Бекова"),
        ("1", "9", "against_all", "", "", "Баарына каршы"),
        ("2", "1", "candidate", "2", "", "В. Вахитов"),
        ("2", "2", "list", "", "01", "Алга"),
        ("2", "4", "list", "", "02", "Биримдик"),
    ),
    "stations": (
        (
            *("10", "1", "1200", "ordinary", "yes", str(CLOSES_AT), "Asia/Bishkek", "1 2", "УИК 10"),
            "Мектеп, спорт залы",
        ),
        ("11", "1", "0", "special", "yes", str(CLOSES_AT), "Asia/Bishkek", "1", "", "Оорукана"),
        ("12", "7", "", "mobile", "no", str(CLOSES_AT), "Asia/Bishkek", "1 2", "", "Жайлоо"),
        ("500", "7", "80", "abroad", "yes", str(CLOSES_IN_MOSCOW), "Europe/Moscow", "1", "8047", "Элчилик"),
    ),
    "figures": (
        ("100", "papers", "Кагаздар"),
        ("205", "papers_outside", "Сырттагы кагаздар"),
    ),
    "checks": (
        ("1", "hard", "ballots_received", "=", "issued+spoiled+papers", "0"),
        ("4", "soft", "papers_outside", "<=", "papers", "5"),
    ),
}

_ROSTER_ROWS: Mapping[str, Sequence[Row]] = {
    "devices": (
        ("1", "box", "10", "", BOX.public.hex(), "SN-1"),
        ("2", "box", "11", "", OTHER_BOX.public.hex(), "SN-2"),
        ("3", "terminal", "10 11", "", TERMINAL.public.hex(), ""),
        ("4", "box", "", "", SPARE.public.hex(), "SN-4"),
        ("5", "desk", "", "1", DESK.public.hex(), ""),
        ("6", "box", "12 500", "", MOBILE_BOX.public.hex(), "SN-6"),
    ),
    "couriers": (("1", "5", "Борбор"), ("4", "7", "Түштүк")),
    "firmware": ((FIRMWARE[0].hex(), "2.0"), (FIRMWARE[1].hex(), "2.1")),
}

_INFORMATION_ROWS: Mapping[str, Sequence[Row]] = {
    "areas": (("1", "", "", "Северная область", "North"), ("5", "Тоолия", "", "", "Hill Country")),
    "contests": (("1", "", "", "", "President"),),
    "choices": (
        ("1", "2", "", "", "", "B. Bekova", "Биримдик", *[""] * 13),
        (
            *("2", "2", "", "", "", "Forward", "", "#1f6fb2", PHOTO_NAME),
            *("", "", "Партия", "", "", "", "", "Roads", "https://forward.example/", "1000", "900"),
        ),
    ),
    "stations": (
        (
            *("10", "", "", "", "School, sports hall", "", "", "ул. Ленина, 1", ""),
            *("", "", "", "Bus 5", "42.8746", "74.5698", PHOTO_NAME, ""),
        ),
        ("500", "", "", "", "Embassy", *[""] * 10, "", ""),
    ),
    "figures": (("205", "", "", "", "Papers outside"),),
    "checks": (("4", "", "", "", "Not more papers outside than papers"),),
}

DEFINITION_MEMBERS: Final[Mapping[str, Json]] = {
    "format": "tallygate-definition/1",
    "id": "vectors-rehearsal",
    "title": {"en": "An invented election", "ky": "Ойдон чыгарылган шайлоо"},
    "mode": "rehearsal",
    "timezone": "Asia/Bishkek",
    "opens_at": OPENS_AT,
    "closes_at": CLOSES_AT,
    "publish_at": None,
    "languages": ["ky", "ru", "en"],
    "headline": "machine",
    "commission": {"keys": [key.public.hex() for key in MEMBERS], "quorum": 2},
    "rules": {
        "required": [9, 11, 13, 100],
        "required_voters": [1],
        "h104": "soft",
        "h104_tolerance": 1,
        "s201_tolerance": 2,
        "s202_percent": 10,
        "s203_low": 5,
        "s203_high": 95,
        "s204_minutes": 720,
        "s210_tolerance": 3,
    },
}

# The member of each manifest that its tables are judged after.
MANIFESTS: Final[Mapping[str, str]] = {
    "definition": "election.json",
    "roster": "roster.json",
    "information": "information.json",
}


@dataclass(frozen=True)
class Built:
    """One of the three folders: its manifest's members without `tables`, and the rows of its tables.

    Attributes:
        name: definition, roster or information.
        members: of the manifest.
        rows: by table, without the headers.
    """

    name: str
    members: Mapping[str, Json]
    rows: Mapping[str, Sequence[Row]]

    def tables(self) -> dict[str, bytes]:
        """The canonical tables by name."""
        return {name: canonical_csv((COLUMNS[self.name][name], *rows)) for name, rows in self.rows.items()}

    def manifest(self) -> bytes:
        """The canonical manifest."""
        entries = {name: table_entry(data) for name, data in self.tables().items()}
        return canonical_json({**self.members, "tables": entries})

    def files(self) -> dict[str, bytes]:
        """All files of the folder by path, from the election's own folder."""
        files = {f"{self.name}/{name}.csv": data for name, data in self.tables().items()}
        files[f"{self.name}/{MANIFESTS[self.name]}"] = self.manifest()
        return files


def canonical_csv(rows: Iterable[Row]) -> bytes:
    """RFC 4180 as narrowed: a cell is quoted exactly where it holds a comma or a quotation mark."""
    return "".join(",".join(map(_quoted, row)) + "\n" for row in rows).encode()


def _quoted(cell: str) -> str:
    if "," in cell or '"' in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def canonical_json(value: Json) -> bytes:
    """RFC 8785 for what stands in manifests: all keys here are ASCII, so code points order as UTF-16 does."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def table_entry(data: bytes) -> dict[str, Json]:
    """What a manifest says of a table."""
    return {"rows": max(0, data.count(b"\n") - 1), "sha256": sha256(data).hex(), "size": len(data)}


DEFINITION: Final = Built("definition", DEFINITION_MEMBERS, _DEFINITION_ROWS)
DEFINITION_HASH: Final = sha256(DEFINITION.manifest())
ROSTER: Final = Built(
    "roster", {"format": "tallygate-roster/1", "definition": DEFINITION_HASH.hex()}, _ROSTER_ROWS
)
INFORMATION: Final = Built(
    "information",
    {
        "format": "tallygate-information/1",
        "definition": DEFINITION_HASH.hex(),
        "site": {"contact": "hotline@toolia.example", "notice": "", "voter_check_url": ""},
        "media": {PHOTO_NAME: PHOTO_ENTRY},
    },
    _INFORMATION_ROWS,
)


def files() -> dict[str, bytes]:
    """The whole built election by path."""
    return {
        **DEFINITION.files(),
        **ROSTER.files(),
        **INFORMATION.files(),
        f"information/media/{PHOTO_NAME}": PHOTO,
    }
