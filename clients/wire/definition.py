"""The definition of an election: what decides how votes count, frozen under one hash (interfaces.md).

`Definition.load` reads `election.json` and its six tables, everything by number, and refuses what is not in
canonical form or does not belong together.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from clients.wire import keys, manifest
from clients.wire.errors import WireError
from clients.wire.manifest import Members
from clients.wire.tables import MAX_COUNT, MAX_HUNDREDTHS, Row, TableEntry, is_timezone, open_table
from clients.wire.text import quoted

MANIFEST = "election.json"
FORMAT = "tallygate-definition/1"
LANGUAGES: Final = ("ky", "kk", "ru", "en")
# Levels below the root: country to precinct takes six or seven; the builder keeps to the same bound.
MAX_AREA_DEPTH = 32
# A commission's members who sign; more is not a commission but a parliament.
MAX_COMMISSION_KEYS = 64

# The lines of every protocol (packet.md, "Figures"); codes from 100 are national and stand in figures.csv.
STANDARD_FIGURES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "registered": 1,
        "registered_additional": 2,
        "identified": 3,
        "ballots_received": 4,
        "issued": 5,
        "issued_outside": 6,
        "spoiled": 7,
        "cancelled": 8,
        "in_box": 9,
        "in_portable_box": 10,
        "valid": 11,
        "blank": 12,
        "invalid": 13,
        "lost": 14,
        "returned_by_box": 15,
        "issued_early": 16,
    }
)
FIRST_NATIONAL_FIGURE = 100

_BASES: Final = ("valid", "votes", "in_box", "registered")
_MAX_SEATS = 10_000
_MAX_MARKS = 1_000
_MAX_PREFERENCES = 1_000
_MAX_PERCENT = 100
_ELECTION_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_FIGURE = re.compile(r"[a-z][a-z0-9_]{0,39}")

_MEMBERS: Final = (
    "format",
    "id",
    "title",
    "mode",
    "timezone",
    "opens_at",
    "closes_at",
    "publish_at",
    "languages",
    "headline",
    "commission",
    "rules",
    "tables",
)
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "areas": ("area", "parent", "level", "label", "code", "name"),
        "contests": (
            "contest",
            "kind",
            "area",
            "seats",
            "marks",
            "preferences",
            "method",
            "share_of",
            "threshold",
            "threshold_of",
            "threshold_area",
            "threshold_area_level",
            "seat_cap",
            "quorum",
            "quorum_of",
            "name",
        ),
        "choices": ("contest", "choice", "kind", "list", "label", "name"),
        "stations": (
            "station",
            "area",
            "registered",
            "type",
            "box",
            "closes_at",
            "timezone",
            "contests",
            "label",
            "name",
        ),
        "figures": ("code", "figure", "name"),
        "checks": ("check", "severity", "left", "op", "right", "tolerance"),
    }
)


@dataclass(frozen=True, slots=True)
class Area:
    """A node of the geography; `parent` is None for the root."""

    area: int
    parent: int | None
    level: str
    label: str
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Contest:
    """What is voted on. Percents are in hundredths; None = none is set; `area` None = everywhere."""

    contest: int
    kind: str
    area: int | None
    seats: int
    marks: int
    preferences: int
    method: str
    share_of: str
    threshold: int | None
    threshold_of: str
    threshold_area: int | None
    threshold_area_level: str
    seat_cap: int | None
    quorum: int | None
    quorum_of: str
    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be voted for; `list` is the choice within which this one collects preferences, or None."""

    contest: int
    choice: int
    kind: str
    list: int | None
    label: str
    name: str


@dataclass(frozen=True, slots=True)
class Station:
    """A polling station; `registered` None = not known; `closes_at` in ms since the Unix epoch."""

    station: int
    area: int
    registered: int | None
    type: str
    box: bool
    closes_at: int
    timezone: str
    contests: tuple[int, ...]
    label: str
    name: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A country's own line of a protocol."""

    code: int
    figure: str
    name: str


@dataclass(frozen=True, slots=True)
class Check:
    """A country's own equation: sum of the `left` figures `op` sum of the `right` ones, by their codes."""

    check: int
    severity: str
    left: tuple[int, ...]
    op: str
    right: tuple[int, ...]
    tolerance: int


@dataclass(frozen=True, slots=True)
class Rules:
    """Tolerances and switches of tally.md's rules; `required` and `required_voters` are figure codes."""

    required: tuple[int, ...]
    required_voters: tuple[int, ...]
    h104: str
    h104_tolerance: int
    s201_tolerance: int
    s202_percent: int
    s203_low: int
    s203_high: int
    s204_minutes: int
    s210_tolerance: int


@dataclass(frozen=True, slots=True)
class Definition:
    """One election's definition, by number.

    Attributes:
        sha256: of `election.json`: the hash that every packet names.
        id: the election's.
        title: by language.
        mode: "live" or "rehearsal".
        timezone: IANA name.
        opens_at: ms since the Unix epoch.
        closes_at: ms since the Unix epoch; each station has its own.
        publish_at: end of the embargo in ms, None = no embargo.
        languages: in the order in which names are preferred.
        headline: "machine" or "protocol".
        commission_keys: as given; a member's number is the place here, from 1.
        commission: the same keys by their kid.
        quorum: how many of them take a decision.
        rules: tolerances and switches.
        areas: by number.
        contests: by number.
        choices: by contest, ascending: the order of a packet's votes.
        stations: by number.
        figures: national ones, by code.
        checks: by number.
    """

    sha256: bytes
    id: str
    title: Mapping[str, str]
    mode: str
    timezone: str
    opens_at: int
    closes_at: int
    publish_at: int | None
    languages: tuple[str, ...]
    headline: str
    commission_keys: tuple[bytes, ...]
    commission: Mapping[bytes, bytes]
    quorum: int
    rules: Rules
    areas: Mapping[int, Area]
    contests: Mapping[int, Contest]
    choices: Mapping[int, tuple[Choice, ...]]
    stations: Mapping[int, Station]
    figures: Mapping[int, Figure]
    checks: Mapping[int, Check]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the definition in a folder.

        Raises:
            WireError: `manifest.missing`, `manifest.malformed`, `table.missing`, `table.changed`,
                `table.malformed` or `table.reference`.
        """
        sha256, members = _read_manifest(folder)
        election_id = members.text("id")
        if not is_election_id(election_id):
            raise members.malformed("id", "must be 1 to 40 of a-z, 0-9 and '-', not starting with '-'")
        timezone = members.text("timezone")
        if not is_timezone(timezone):
            raise members.malformed("timezone", "must be the name of a time zone")
        commission_keys, quorum = _read_commission(members.object("commission"))
        title = _read_title(members.object("title"))
        mode = members.word("mode", ("live", "rehearsal"))
        opens_at = members.integer("opens_at")
        closes_at = members.integer("closes_at")
        publish_at = members.integer_or_none("publish_at")
        languages = members.words("languages", LANGUAGES)
        headline = members.word("headline", ("machine", "protocol"))
        rules = _read_rules(members.object("rules"))
        tables = members.tables(_COLUMNS)

        areas = _read_areas(folder, tables["areas"])
        contests = _read_contests(folder, tables["contests"], areas)
        choices = _read_choices(folder, tables["choices"], contests)
        stations = _read_stations(folder, tables["stations"], areas, contests)
        figures = _read_figures(folder, tables["figures"])
        checks = _read_checks(folder, tables["checks"], figures)
        return cls(
            sha256=sha256,
            id=election_id,
            title=MappingProxyType(title),
            mode=mode,
            timezone=timezone,
            opens_at=opens_at,
            closes_at=closes_at,
            publish_at=publish_at,
            languages=languages,
            headline=headline,
            commission_keys=commission_keys,
            commission=MappingProxyType({keys.kid(key): key for key in commission_keys}),
            quorum=quorum,
            rules=rules,
            areas=MappingProxyType(areas),
            contests=MappingProxyType(contests),
            choices=MappingProxyType(choices),
            stations=MappingProxyType(stations),
            figures=MappingProxyType(figures),
            checks=MappingProxyType(checks),
        )


def is_election_id(text: str) -> bool:
    """Whether the text can be the id of an election."""
    return _ELECTION_ID.fullmatch(text) is not None


def read_tables(folder: Path) -> dict[str, TableEntry]:
    """What the manifest in a folder says of its six tables, for whoever copies them; they are not read.

    Raises:
        WireError: `manifest.missing` or `manifest.malformed`.
    """
    _, members = _read_manifest(folder)
    return members.tables(_COLUMNS)


def _read_manifest(folder: Path) -> tuple[bytes, Members]:
    sha256, members = manifest.read(folder, MANIFEST)
    members.exactly(_MEMBERS)
    members.word("format", (FORMAT,))
    return sha256, members


def _read_commission(members: Members) -> tuple[tuple[bytes, ...], int]:
    members.exactly(("keys", "quorum"))
    commission_keys = members.hashes("keys")
    if not 1 <= len(commission_keys) <= MAX_COMMISSION_KEYS:
        raise members.malformed("keys", f"must be 1 to {MAX_COMMISSION_KEYS} keys")
    # Equal keys have equal kids.
    if len({keys.kid(key) for key in commission_keys}) < len(commission_keys):
        raise members.malformed("keys", "holds a key or a kid twice")
    if not all(map(keys.enrollable, commission_keys)):
        raise members.malformed("keys", "holds a key that is not a point of prime order in canonical form")
    return commission_keys, members.integer("quorum", 1, len(commission_keys))


def _read_title(members: Members) -> dict[str, str]:
    if not members.names:
        raise members.malformed("", "must have at least one language")
    for language in members.names:
        if language not in LANGUAGES:
            raise members.malformed(quoted(language), f"is not one of {', '.join(LANGUAGES)}")
    return {language: members.text(language) for language in members.names}


def _read_rules(members: Members) -> Rules:
    members.exactly([field.name for field in fields(Rules)])
    return Rules(
        required=members.integers("required", 1),
        required_voters=members.integers("required_voters", 1),
        h104=members.word("h104", ("hard", "soft", "off")),
        h104_tolerance=members.integer("h104_tolerance", 0, MAX_COUNT),
        s201_tolerance=members.integer("s201_tolerance", 0, MAX_COUNT),
        s202_percent=members.integer("s202_percent", 0, _MAX_PERCENT),
        s203_low=members.integer("s203_low", 0, _MAX_PERCENT),
        s203_high=members.integer("s203_high", 0, _MAX_PERCENT),
        s204_minutes=members.integer("s204_minutes", 0, MAX_COUNT),
        s210_tolerance=members.integer("s210_tolerance", 0, MAX_COUNT),
    )


def _read_areas(folder: Path, entry: TableEntry) -> dict[int, Area]:
    areas: dict[int, Area] = {}
    rows: dict[int, Row] = {}
    root: int | None = None
    with open_table(folder, "areas", entry, _COLUMNS["areas"]) as table:
        number = 0
        for row in table:
            number = row.ascending("area", number)
            parent = row.integer_or_none("parent", 1)
            if parent is None and root is not None:
                raise row.malformed("parent", f"only one area has no parent, and area {root} has none")
            if parent is None:
                root = number
            areas[number] = Area(
                area=number,
                parent=parent,
                level=row.level("level"),
                label=row.text("label"),
                code=row.text("code"),
                name=row.name("name"),
            )
            rows[number] = row
    # A parent may stand below its children, so the tree is judged when all areas are known.
    for area in areas.values():
        if area.parent is not None and area.parent not in areas:
            raise rows[area.area].unknown("parent", f"there is no area {area.parent}")
    _judge_tree(areas, rows)
    if root is None:
        raise WireError("table.malformed", "no area is the root", file="areas.csv", line=1, column="parent")
    return areas


def _judge_tree(areas: Mapping[int, Area], rows: Mapping[int, Row]) -> None:
    """Refuse areas whose way up does not end at the root within `MAX_AREA_DEPTH` steps."""
    for start in areas:
        place = start
        for _ in range(MAX_AREA_DEPTH + 1):
            parent = areas[place].parent
            if parent is None:
                break
            place = parent
        else:
            detail = f"area {start} is more than {MAX_AREA_DEPTH} levels below the root or in a ring"
            raise rows[start].malformed("parent", detail)


def _read_contests(folder: Path, entry: TableEntry, areas: Mapping[int, Area]) -> dict[int, Contest]:
    contests: dict[int, Contest] = {}
    with open_table(folder, "contests", entry, _COLUMNS["contests"]) as table:
        number = 0
        for row in table:
            number = row.ascending("contest", number)
            kind = row.word("kind", ("choose", "list", "referendum"))
            area = row.number_or_none("area", areas)
            seats = row.integer("seats", 1, _MAX_SEATS)
            marks = row.integer("marks", 1, _MAX_MARKS)
            preferences = row.integer("preferences", 0, _MAX_PREFERENCES)
            method = row.word("method", ("plurality", "majority", "hare", "dhondt", "sainte-lague"))
            share_of = row.word("share_of", _BASES)
            threshold, threshold_of = _read_percent_of(row, "threshold")
            threshold_area = _read_percent(row, "threshold_area")
            row.only_with("threshold_area_level", "threshold_area")
            level = row.level("threshold_area_level") if threshold_area is not None else ""
            seat_cap = _read_percent(row, "seat_cap")
            quorum, quorum_of = _read_percent_of(row, "quorum")
            contests[number] = Contest(
                contest=number,
                kind=kind,
                area=area,
                seats=seats,
                marks=marks,
                preferences=preferences,
                method=method,
                share_of=share_of,
                threshold=threshold,
                threshold_of=threshold_of,
                threshold_area=threshold_area,
                threshold_area_level=level,
                seat_cap=seat_cap,
                quorum=quorum,
                quorum_of=quorum_of,
                name=row.name("name"),
            )
    return contests


def _read_percent(row: Row, column: str) -> int | None:
    return row.integer_or_none(column, 1, MAX_HUNDREDTHS)


def _read_percent_of(row: Row, column: str) -> tuple[int | None, str]:
    """A percent and, in the next column, what it is a percent of; both or neither."""
    percent = _read_percent(row, column)
    base = f"{column}_of"
    row.only_with(base, column)
    return percent, "" if percent is None else row.word(base, _BASES)


def _read_choices(
    folder: Path, entry: TableEntry, contests: Mapping[int, Contest]
) -> dict[int, tuple[Choice, ...]]:
    choices: dict[int, dict[int, Choice]] = {contest: {} for contest in contests}
    members: list[tuple[Choice, Row]] = []
    with open_table(folder, "choices", entry, _COLUMNS["choices"]) as table:
        contest = number = 0
        for row in table:
            before = contest, number
            contest = row.number("contest")
            if contest < before[0]:
                raise row.malformed(
                    "contest", f"{contest} follows {before[0]}: lines must ascend by this column"
                )
            if contest not in contests:
                raise row.unknown("contest", f"there is no contest {contest}")
            number = row.ascending("choice", before[1] if contest == before[0] else 0)
            choice = Choice(
                contest=contest,
                choice=number,
                kind=row.word("kind", ("candidate", "list", "yes", "no", "against_all")),
                list=row.integer_or_none("list", 1),
                label=row.text("label"),
                name=row.name("name"),
            )
            choices[contest][number] = choice
            if choice.list is not None:
                members.append((choice, row))
    # A list may stand below its members, so it is looked up when all choices are known.
    for choice, row in members:
        heading = choices[choice.contest].get(choice.list or 0)
        if heading is None or heading.kind != "list":
            raise row.unknown("list", f"contest {choice.contest} has no list {choice.list}")
    return {contest: tuple(own.values()) for contest, own in choices.items()}


def _read_stations(
    folder: Path, entry: TableEntry, areas: Mapping[int, Area], contests: Mapping[int, Contest]
) -> dict[int, Station]:
    stations: dict[int, Station] = {}
    parents = {area.parent for area in areas.values()}
    with open_table(folder, "stations", entry, _COLUMNS["stations"]) as table:
        number = 0
        for row in table:
            number = row.ascending("station", number)
            area = row.number("area", areas)
            if area in parents:
                raise row.malformed("area", f"area {area} has child areas, so it has no stations of its own")
            registered = row.integer_or_none("registered", 0, MAX_COUNT)
            station_type = row.word("type", ("ordinary", "special", "abroad", "mobile"))
            box = row.word("box", ("yes", "no")) == "yes"
            closes_at = row.integer("closes_at", 0)
            timezone = row.timezone("timezone")
            own_contests = row.numbers("contests", contests)
            if not own_contests:
                raise row.malformed("contests", "a station votes on at least one contest")
            stations[number] = Station(
                station=number,
                area=area,
                registered=registered,
                type=station_type,
                box=box,
                closes_at=closes_at,
                timezone=timezone,
                contests=own_contests,
                label=row.text("label"),
                name=row.name("name"),
            )
    return stations


def _read_figures(folder: Path, entry: TableEntry) -> dict[int, Figure]:
    figures: dict[int, Figure] = {}
    names = set(STANDARD_FIGURES)
    with open_table(folder, "figures", entry, _COLUMNS["figures"]) as table:
        code = 0
        for row in table:
            code = row.ascending("code", code)
            if code < FIRST_NATIONAL_FIGURE:
                raise row.malformed("code", f"a country's own codes start at {FIRST_NATIONAL_FIGURE}")
            figure = row.cell("figure")
            if _FIGURE.fullmatch(figure) is None:
                raise row.malformed("figure", "must be a word of a-z, 0-9 and '_' in 40 characters")
            if figure in names:
                raise row.malformed("figure", f'"{figure}" is the name of another figure')
            names.add(figure)
            figures[code] = Figure(code, figure, row.name("name"))
    return figures


def _read_checks(folder: Path, entry: TableEntry, figures: Mapping[int, Figure]) -> dict[int, Check]:
    checks: dict[int, Check] = {}
    codes = dict(STANDARD_FIGURES) | {figure.figure: code for code, figure in figures.items()}
    with open_table(folder, "checks", entry, _COLUMNS["checks"]) as table:
        number = 0
        for row in table:
            number = row.ascending("check", number)
            checks[number] = Check(
                check=number,
                severity=row.word("severity", ("hard", "soft")),
                left=_read_sum(row, "left", codes),
                op=row.word("op", ("=", "<=")),
                right=_read_sum(row, "right", codes),
                tolerance=row.integer("tolerance", 0, MAX_COUNT),
            )
    return checks


def _read_sum(row: Row, column: str, codes: Mapping[str, int]) -> tuple[int, ...]:
    """Figure names joined by a plus, as codes."""
    names = row.cell(column).split("+")
    for name in names:
        if _FIGURE.fullmatch(name) is None:
            raise row.malformed(column, "must be names of figures joined by '+'")
        if name not in codes:
            raise row.unknown(column, f'there is no figure "{name}"')
    return tuple(codes[name] for name in names)
