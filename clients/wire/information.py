"""Information: what is only shown (names, addresses, photographs, funds), replaceable at any time.

Nothing here decides how votes count; it is read as strictly as the rest, so that a page never shows what the
manifest does not name.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self, TypeAlias

from clients.wire import manifest
from clients.wire.definition import LANGUAGES, Definition
from clients.wire.manifest import Members
from clients.wire.tables import Row, TableEntry, open_table
from clients.wire.text import quoted

MANIFEST = "information.json"
FORMAT = "tallygate-information/1"
_SITE = ("contact", "notice", "voter_check_url")

# What is shown of one thing: the cells that are not empty, by column name.
Shown: TypeAlias = Mapping[str, str]


def _in_languages(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{language}" for language in LANGUAGES)


_NAMES = _in_languages("name")
_CHOICES = (
    *_NAMES,
    "party",
    "color",
    "photo",
    *_in_languages("biography"),
    *_in_languages("programme"),
    "link",
    "fund_income",
    "fund_spent",
)
_STATIONS = (
    *_NAMES,
    *_in_languages("address"),
    *_in_languages("route"),
    "latitude",
    "longitude",
    "photo",
    "panorama",
)
# A medium's name becomes a file name, in media/ of whoever mirrors the feed, and a part of a URL.
_MEDIA_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MEDIA_TYPES: Final = ("image/jpeg", "image/png", "image/webp", "application/pdf")
# Cells that name one of `media`.
_MEDIA_COLUMNS: Final = ("photo", "panorama")
_TABLES: Final = ("areas", "contests", "choices", "stations", "figures", "checks")


@dataclass(frozen=True, slots=True)
class Medium:
    """A photograph or document beside the manifest: `media/<name>`."""

    sha256: bytes
    size: int
    type: str


@dataclass(frozen=True, slots=True)
class Information:
    """One edition of what is only shown, by number.

    Attributes:
        sha256: of `information.json`; each snapshot names it.
        definition: SHA-256 of the definition it belongs to.
        site: contact, notice and voter_check_url; empty = none.
        media: by name.
        areas: by number.
        contests: by number.
        choices: by contest and choice.
        stations: by number.
        figures: by code.
        checks: by number.
    """

    sha256: bytes
    definition: bytes
    site: Mapping[str, str]
    media: Mapping[str, Medium]
    areas: Mapping[int, Shown]
    contests: Mapping[int, Shown]
    choices: Mapping[tuple[int, int], Shown]
    stations: Mapping[int, Shown]
    figures: Mapping[int, Shown]
    checks: Mapping[int, Shown]

    @classmethod
    def load(cls, folder: Path, definition: Definition) -> Self:
        """Read the information in a folder; media files are named, not read.

        Raises:
            WireError: `manifest.missing`, `manifest.malformed`, `manifest.definition` if it is another
                definition's, `table.missing`, `table.changed`, `table.malformed` or `table.reference`.
        """
        sha256, members = manifest.read(folder, MANIFEST)
        members.exactly(("format", "definition", "site", "tables", "media"))
        members.word("format", (FORMAT,))
        named = members.hash("definition")
        site = members.object("site")
        site.exactly(_SITE)
        texts = {name: site.text(name, 0) for name in _SITE}
        media = _read_media(members.object("media"))
        tables = members.tables(_TABLES)
        manifest.judge_definition(MANIFEST, named, definition.sha256)
        return cls(
            sha256=sha256,
            definition=named,
            site=MappingProxyType(texts),
            media=MappingProxyType(media),
            areas=_read_shown(folder, "areas", tables["areas"], "area", _NAMES, definition.areas, media),
            contests=_read_shown(
                folder, "contests", tables["contests"], "contest", _NAMES, definition.contests, media
            ),
            choices=_read_choices(folder, tables["choices"], definition, media),
            stations=_read_shown(
                folder, "stations", tables["stations"], "station", _STATIONS, definition.stations, media
            ),
            figures=_read_shown(
                folder, "figures", tables["figures"], "code", _NAMES, definition.figures, media
            ),
            checks=_read_shown(
                folder, "checks", tables["checks"], "check", _in_languages("text"), definition.checks, media
            ),
        )


def _read_media(members: Members) -> dict[str, Medium]:
    media: dict[str, Medium] = {}
    for name in members.names:
        if _MEDIA_NAME.fullmatch(name) is None:
            raise members.malformed("", f"holds {quoted(name)}, which cannot name a file in media/")
        medium = members.object(name)
        medium.exactly(("sha256", "size", "type"))
        media_type = medium.word("type", _MEDIA_TYPES)
        media[name] = Medium(medium.hash("sha256"), medium.integer("size"), media_type)
    return media


def _read_shown(
    folder: Path,
    name: str,
    entry: TableEntry,
    key: str,
    columns: tuple[str, ...],
    known: Collection[int],
    media: Collection[str],
) -> Mapping[int, Shown]:
    """Read a table whose lines are about the known things of one kind; not every thing needs a line."""
    shown: dict[int, Shown] = {}
    with open_table(folder, name, entry, (key, *columns)) as table:
        number = 0
        for row in table:
            number = row.ascending(key, number)
            if number not in known:
                raise row.unknown(key, f"there is no {key} {number}")
            shown[number] = _cells(row, columns, media)
    return MappingProxyType(shown)


def _read_choices(
    folder: Path, entry: TableEntry, definition: Definition, media: Collection[str]
) -> Mapping[tuple[int, int], Shown]:
    shown: dict[tuple[int, int], Shown] = {}
    known = {(choice.contest, choice.choice) for choices in definition.choices.values() for choice in choices}
    with open_table(folder, "choices", entry, ("contest", "choice", *_CHOICES)) as table:
        before = (0, 0)
        for row in table:
            contest = row.number("contest")
            if contest < before[0]:
                raise row.malformed(
                    "contest", f"{contest} follows {before[0]}: lines must ascend by this column"
                )
            if contest not in definition.contests:
                raise row.unknown("contest", f"there is no contest {contest}")
            choice = row.ascending("choice", before[1] if contest == before[0] else 0)
            if (contest, choice) not in known:
                raise row.unknown("choice", f"contest {contest} has no choice {choice}")
            before = (contest, choice)
            shown[before] = _cells(row, _CHOICES, media)
    return MappingProxyType(shown)


def _cells(row: Row, columns: tuple[str, ...], media: Collection[str]) -> Shown:
    cells: dict[str, str] = {}
    for column in columns:
        value = row.text(column)
        if not value:
            continue
        if column in _MEDIA_COLUMNS and value not in media:
            raise row.unknown(column, f"the manifest names no media {quoted(value)}")
        cells[column] = value
    return MappingProxyType(cells)
