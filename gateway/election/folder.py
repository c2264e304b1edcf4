"""Reads and judges a whole election folder: all faults at once, or an election."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gateway.election import settings as election_toml
from gateway.election.ballot import CHOICES, CONTESTS, read_choices, read_contests
from gateway.election.cells import STANDARD_FIGURES, Known
from gateway.election.extent import judge_extent
from gateway.election.faults import Code, Faults, shown
from gateway.election.geography import (
    AREAS,
    STATIONS,
    contests_by_area,
    judge_contests_used,
    judge_places,
    read_areas,
    read_stations,
)
from gateway.election.keys import judge_keys
from gateway.election.limits import LANGUAGES
from gateway.election.media import MediaNames, read_media
from gateway.election.model import Area, Device, Election, Figure, Names, Rules, Settings, Site
from gateway.election.national import CHECKS, FIGURES, read_checks, read_figures
from gateway.election.numbering import Numbering, number_tables
from gateway.election.roster import (
    COURIERS,
    DEVICES,
    FIRMWARE,
    judge_boxes,
    read_couriers,
    read_devices,
    read_firmware,
)

NUMBERS_FILE = "numbers.csv"
"""The map that ``--number`` writes; it may lie in an election folder too and is not read."""

_NUMBERED = (AREAS, CONTESTS, STATIONS, CHECKS, DEVICES, COURIERS)
_TABLES = (AREAS, CONTESTS, CHOICES, STATIONS, FIGURES, CHECKS, DEVICES, COURIERS, FIRMWARE)
_FILES = frozenset({election_toml.FILE, NUMBERS_FILE, *(spec.file for spec in _TABLES)})


def read_folder(
    folder: Path, *, rehearsal: bool = False, number: bool = False
) -> tuple[Election | None, Faults]:
    """Read an election folder; never raises for what it holds.

    Args:
        folder: where election.toml and the tables are.
        rehearsal: make it a rehearsal, whose keys are still to be made (see the package).
        number: give numbers to tables whose things have only labels.

    Returns:
        The election, or None if there are faults; and all faults and warnings.
    """
    faults = Faults()
    present = _files(folder, faults)
    if present is None:
        return None, faults
    toml = election_toml.read_settings(folder, faults, rehearsal=rehearsal)
    # Every table is judged also without election.toml: an official sees all faults in one go.
    settings, key_lines = toml or (_UNREAD, {})
    numbering = Numbering()
    if number:
        numbering = number_tables(folder, [spec for spec in _NUMBERED if spec.file in present], CHOICES)
    media = MediaNames()

    before = faults.errors
    areas, known_areas = read_areas(folder, numbering, faults)
    levels = {area.level for area in areas} if known_areas.complete else set()
    contests, known_contests = read_contests(folder, known_areas, levels, numbering, faults)
    held = contests_by_area(areas, contests) if faults.errors == before else {}
    choices = read_choices(folder, contests, known_contests, media, numbering, faults)
    stations, known_stations = read_stations(
        folder, settings, known_areas, known_contests, held, media, numbering, faults
    )
    if known_areas.complete and known_stations.complete:
        judge_places(areas, stations, known_areas, faults)
        if held:
            judge_contests_used(contests, stations, known_contests, CONTESTS.file, faults)

    figures: list[Figure] = []
    known_figures = Known("figure", Code.UNKNOWN_FIGURE)
    if FIGURES.file in present:
        figures, known_figures = read_figures(folder, faults)
    checks = []
    if CHECKS.file in present:
        names = [figure.figure for figure in figures]
        checks = read_checks(folder, names, known_figures.complete, numbering, faults)
    _judge_required(settings.rules, key_lines, known_figures, faults)

    devices: list[Device] = []
    lines: list[int] = []
    if DEVICES.file in present:
        devices, lines, all_devices = read_devices(
            folder, known_stations, known_areas, numbering, faults, keys_needed=not rehearsal
        )
        if all_devices and known_stations.complete and (devices or not rehearsal):
            judge_boxes(devices, stations, known_stations, faults)
    elif not rehearsal:
        faults.add(Code.NO_DEVICES, "there is no such table: the roster holds no device", file=DEVICES.file)
    _judge_keys(settings.commission_keys, key_lines, devices, lines, faults)
    couriers = []
    if COURIERS.file in present:
        couriers = read_couriers(folder, known_areas, _root(areas), numbering, faults)
    firmware = read_firmware(folder, faults) if FIRMWARE.file in present else []

    for spec, rows in (
        (AREAS, [area.names for area in areas]),
        (CONTESTS, [contest.names for contest in contests]),
        (CHOICES, [choice.names for choice in choices]),
        (STATIONS, [station.names for station in stations]),
    ):
        _judge_languages(spec.file, rows, settings.languages, faults)
    files = read_media(folder, media, faults)
    if not faults.errors:
        judge_extent(settings, areas, contests, choices, stations, figures, checks, known_areas, faults)
    if faults.errors:
        return None, faults
    return Election(
        settings=settings,
        areas=sorted(areas),
        contests=sorted(contests),
        choices=sorted(choices),
        stations=sorted(stations),
        figures=sorted(figures),
        checks=sorted(checks),
        devices=sorted(devices),
        couriers=sorted(couriers),
        firmware=sorted(firmware),
        media=files,
        labels=numbering.rows(),
    ), faults


_UNREAD = Settings(
    id="",
    title=("", "", "", ""),
    mode="",
    origin=None,
    timezone="",
    opens_at=0,
    closes_at=0,
    publish_at=None,
    languages=(),
    headline="",
    commission_keys=(),
    commission_quorum=0,
    rules=Rules(),
    site=Site(),
)
"""Stands for an election.toml that could not be read; no rule about tables fails because of it."""


def _files(folder: Path, faults: Faults) -> set[str] | None:
    """The names in the folder, None if it is none; tables whose name is not known are pointed at."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        faults.add(
            Code.NO_FOLDER, f"{shown(str(folder))} is no folder that can be read: {error.strerror}", file="."
        )
        return None
    for name in names:
        if name.lower().endswith((".csv", ".toml")) and name not in _FILES:
            detail = (
                f"{shown(name)} is no table of an election and is not read; there are "
                f"{', '.join(sorted(_FILES))}"
            )
            faults.add(Code.UNKNOWN_FILE, detail, file=".")
    return set(names)


def _root(areas: Iterable[Area]) -> int:
    return next((area.area for area in areas if not area.parent), 0)


def _judge_required(rules: Rules, lines: Mapping[str, int], figures: Known, faults: Faults) -> None:
    """What every count must carry has to be a figure that a count can carry."""
    if not figures.complete:
        return
    known = {*STANDARD_FIGURES.values(), *figures.lines}
    for name, codes in (("required", rules.required), ("required_voters", rules.required_voters)):
        key = f"rules.{name}"
        for code in codes:
            if code not in known:
                detail = (
                    f"there is no figure with the code {code}: add it to {FIGURES.file} or remove it here"
                )
                faults.add(
                    Code.UNKNOWN_FIGURE, detail, file=election_toml.FILE, line=lines.get(key, 0), column=key
                )


def _judge_keys(
    commission: Sequence[bytes],
    key_lines: Mapping[str, int],
    devices: Sequence[Device],
    lines: Sequence[int],
    faults: Faults,
) -> None:
    for fault in judge_keys(commission, [device.key for device in devices]):
        if fault.device is not None:
            faults.add(fault.code, fault.detail, file=DEVICES.file, line=lines[fault.device], column="key")
        elif fault.member is not None:
            column = f"commission_keys[{fault.member + 1}]"
            line = key_lines[column]
            faults.add(fault.code, fault.detail, file=election_toml.FILE, line=line, column=column)


def _judge_languages(file: str, rows: Sequence[Names], languages: Sequence[str], faults: Faults) -> None:
    """Every language of the election has names, or the reader sees another language's."""
    for language in languages:
        place = LANGUAGES.index(language)
        missing = sum(1 for names in rows if not names[place])
        if missing:
            detail = f"{missing} of {len(rows)} rows have no text: readers of {language} see another language"
            faults.add(Code.NAME_GAPS, detail, file=file, column=f"name_{language}")
