"""What an election comes to, on one screen: of an election folder or of what was built from it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from gateway import _core
from gateway.election.limits import LANGUAGES
from gateway.election.manifests import DEFINITION, INFORMATION, ROSTER
from gateway.election.model import Election, namer


class ChoiceLine(msgspec.Struct, frozen=True):
    """One choice as the summary shows it; `list` is the list a preference belongs to."""

    choice: int
    kind: str
    list: int | None
    label: str
    name: str


class ContestLine(msgspec.Struct, frozen=True):
    """One contest with its choices; `area` is the name of its area, empty for everywhere."""

    contest: int
    kind: str
    name: str
    area: str
    seats: int
    marks: int
    preferences: int
    method: str
    stations: int
    choices: list[ChoiceLine]


class Summary(msgspec.Struct, frozen=True):
    """The election in figures.

    Attributes:
        title: by language.
        opens_at: ms since the Unix epoch, as all times.
        levels: number of areas by level, from the root down.
        stations: number of stations by type.
        closing_times: number of stations by closing time.
        registered: sum over the stations where it is known.
        registered_unknown: stations where it is not known.
        devices: number of devices by kind.
        hashes: SHA-256 (hex) of the manifests by name; empty for a folder that is not built.
    """

    id: str
    title: dict[str, str]
    mode: str
    timezone: str
    opens_at: int
    closes_at: int
    publish_at: int | None
    languages: list[str]
    headline: str
    commission_keys: int
    commission_quorum: int
    contests: list[ContestLine]
    levels: dict[str, int]
    stations: dict[str, int]
    closing_times: dict[int, int]
    registered: int
    registered_unknown: int
    figures: int
    checks: int
    devices: dict[str, int]
    couriers: int
    firmware: int
    hashes: dict[str, str]


def summarise(election: Election) -> Summary:
    """Sum up an election folder that was read."""
    settings = election.settings
    name = namer(settings.languages)
    area_names = {area.area: name(area.names) for area in election.areas}
    stations_of = _stations_by_contest(station.contests for station in election.stations)
    choices: dict[int, list[ChoiceLine]] = {contest.contest: [] for contest in election.contests}
    for choice in election.choices:
        choices[choice.contest].append(
            ChoiceLine(choice.choice, choice.kind, choice.list or None, choice.label, name(choice.names))
        )
    return Summary(
        id=settings.id,
        title=_titles(dict(zip(LANGUAGES, settings.title, strict=True)), settings.languages),
        mode=settings.mode,
        timezone=settings.timezone,
        opens_at=settings.opens_at,
        closes_at=settings.closes_at,
        publish_at=settings.publish_at,
        languages=list(settings.languages),
        headline=settings.headline,
        commission_keys=len(settings.commission_keys),
        commission_quorum=settings.commission_quorum,
        contests=[
            ContestLine(
                contest=contest.contest,
                kind=contest.kind,
                name=name(contest.names),
                area=area_names.get(contest.area, ""),
                seats=contest.seats,
                marks=contest.marks,
                preferences=contest.preferences,
                method=contest.method,
                stations=stations_of[contest.contest],
                choices=choices[contest.contest],
            )
            for contest in election.contests
        ],
        levels=_levels([(area.area, area.parent, area.level) for area in election.areas]),
        stations=dict(Counter(station.type for station in election.stations)),
        closing_times=dict(sorted(Counter(station.closes_at for station in election.stations).items())),
        registered=sum(station.registered or 0 for station in election.stations),
        registered_unknown=sum(station.registered is None for station in election.stations),
        figures=len(election.figures),
        checks=len(election.checks),
        devices=dict(Counter(device.kind for device in election.devices)),
        couriers=len(election.couriers),
        firmware=len(election.firmware),
        hashes={},
    )


def summarise_built(folder: Path) -> Summary:
    """Sum up what ``tallygate election build`` wrote.

    Raises:
        CoreError: a manifest or table is missing or not the one that was built.
    """
    definition = _core.Definition.load(folder / DEFINITION)
    roster = _core.Roster.load(folder / ROSTER, definition)
    information = _core.Information.load(folder / INFORMATION, definition)
    areas = definition.areas
    area_names: dict[int | None, str] = {area.number: area.name for area in areas}
    stations = definition.stations()
    stations_of = _stations_by_contest(tuple(station.contests) for station in stations)
    registered = [station.registered for station in stations]
    return Summary(
        id=definition.id,
        title=_titles(definition.title, definition.languages),
        mode=definition.mode,
        timezone=definition.timezone,
        opens_at=definition.opens_at,
        closes_at=definition.closes_at,
        publish_at=definition.publish_at,
        languages=definition.languages,
        headline=definition.headline,
        commission_keys=len(definition.commission_keys),
        commission_quorum=definition.commission_quorum,
        contests=[
            ContestLine(
                contest=contest.number,
                kind=contest.kind,
                name=contest.name,
                area=area_names.get(contest.area, ""),
                seats=contest.seats,
                marks=contest.marks,
                preferences=contest.preferences,
                method=contest.method,
                stations=stations_of[contest.number],
                choices=[
                    ChoiceLine(choice.number, choice.kind, choice.list, choice.label, choice.name)
                    for choice in definition.choices(contest.number)
                ],
            )
            for contest in definition.contests
        ],
        levels=_levels([(area.number, area.parent or 0, area.level) for area in areas]),
        stations=dict(Counter(station.kind for station in stations)),
        closing_times=dict(sorted(Counter(station.closes_at for station in stations).items())),
        registered=sum(voters or 0 for voters in registered),
        registered_unknown=registered.count(None),
        figures=len(definition.figures),
        checks=len(definition.checks),
        devices=dict(Counter(device.kind for device in roster.devices())),
        couriers=len(roster.couriers),
        firmware=len(roster.firmware),
        hashes={
            DEFINITION: definition.hash.hex(),
            ROSTER: roster.hash.hex(),
            INFORMATION: information.hash.hex(),
        },
    )


def _titles(title: Mapping[str, str], languages: Sequence[str]) -> dict[str, str]:
    """The titles there are, those in the election's languages first."""
    order = dict.fromkeys([*languages, *LANGUAGES])
    return {language: title[language] for language in order if title.get(language)}


def _stations_by_contest(voted: Iterable[tuple[int, ...]]) -> Counter[int]:
    """How many stations hold each contest; stations mostly share one of a few lists."""
    stations: Counter[int] = Counter()
    for contests, count in Counter(voted).items():
        for contest in contests:
            stations[contest] += count
    return stations


def _levels(areas: Sequence[tuple[int, int, str]]) -> dict[str, int]:
    """Areas by level, the levels in the order in which they first stand below the root."""
    above = {area: parent for area, parent, _ in areas}
    depths: dict[str, int] = {}
    for area, _, level in areas:
        if level not in depths:
            depth = 0
            while above[area]:
                area = above[area]
                depth += 1
            depths[level] = depth
    counts = Counter(level for _, _, level in areas)
    return {level: counts[level] for level in sorted(depths, key=lambda level: (depths[level], level))}
