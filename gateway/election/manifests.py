"""Writes the three manifests over their tables (docs/election-folder.md, "What is built").

Same election, same bytes: rows ascend by number, defaults are written out, and nothing comes from a clock, a
locale or the order of a directory.
"""

import filecmp
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gateway import _core
from gateway.base.errors import CoreError, TallygateError
from gateway.base.files import finished_directory
from gateway.election.ballot import CHOICES_SHOWN
from gateway.election.canonical import Json, line, numbers, quoted, write_manifest, write_table
from gateway.election.files import open_regular
from gateway.election.folder import NUMBERS_FILE
from gateway.election.geography import STATIONS_SHOWN
from gateway.election.limits import CHUNK_BYTES, LANGUAGES
from gateway.election.media import FOLDER as MEDIA_FOLDER
from gateway.election.model import Contest, Election, Media, namer
from gateway.election.tables import per_language

DEFINITION, ROSTER, INFORMATION = "definition", "roster", "information"


class Built(NamedTuple):
    """Where an election was built, and the SHA-256 (32 bytes) of its manifests."""

    folder: Path
    definition: bytes
    roster: bytes
    information: bytes


def write_manifests(election: Election, out: Path) -> Built:
    """Write definition, roster and information, read them back, and put the finished folder into place.

    Args:
        election: one with all its keys.
        out: the new folder; one that holds exactly this election already is left as it is.

    Raises:
        TallygateError: ``definition.missing_value`` if keys are missing; ``definition.output_exists`` if
            `out` holds something else; ``definition.read_back`` if the Rust core refuses what was written;
            ``definition.media_changed`` if a picture is no longer the one that was judged; ``file.here`` if
            `out` is the folder that this process works in.
        OSError: something could not be written; `out` is untouched.
    """
    if not all([election.settings.commission_keys, *(device.key for device in election.devices)]):
        raise TallygateError(
            "definition.missing_value", "keys are missing: a rehearsal gets them by with_keys"
        )
    out = Path(os.path.abspath(out))  # noqa: PTH100 - resolve() would follow a link
    out.parent.mkdir(parents=True, exist_ok=True)
    free = not out.is_symlink() and (not out.exists() or (out.is_dir() and not any(out.iterdir())))
    if free:
        with finished_directory(out) as work:
            built = _write(election, work)
    else:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            built = _write(election, Path(scratch))
            if not out.is_dir() or not _same(Path(scratch), out):
                raise TallygateError(
                    "definition.output_exists",
                    "this holds something else, and nothing is ever written over it: name a new folder",
                    place=str(out),
                )
    return built._replace(folder=out)


def _write(election: Election, folder: Path) -> Built:
    definition = _write_definition(election, folder / DEFINITION)
    roster = _write_roster(election, folder / ROSTER, definition)
    information = _write_information(election, folder / INFORMATION, definition)
    if election.labels:
        rows = (
            line(table, contest or None, number, label) for table, contest, number, label in election.labels
        )
        write_table(folder / NUMBERS_FILE, ("table", "contest", "number", "label"), rows)
    try:
        loaded = _core.Definition.load(folder / DEFINITION)
        hashes = (
            loaded.hash,
            _core.Roster.load(folder / ROSTER, loaded).hash,
            _core.Information.load(folder / INFORMATION, loaded).hash,
        )
    except CoreError as error:
        raise TallygateError(
            "definition.read_back",
            f"what was built is refused ({error}): please report this as a fault of Tallygate",
        ) from error
    if hashes != (definition, roster, information):
        raise TallygateError(
            "definition.read_back", "the disk gave back other bytes than were written: check the disk"
        )
    return Built(folder, definition, roster, information)


def _same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same; ends at the first difference, however much `other` holds."""
    if {path.name for path in one.iterdir()} != {path.name for path in other.iterdir()}:
        return False
    return all(
        path.is_dir() == (beside := other / path.name).is_dir()
        and (_same(path, beside) if path.is_dir() else filecmp.cmp(path, beside, shallow=False))
        for path in one.iterdir()
    )


def _write_definition(election: Election, folder: Path) -> bytes:
    folder.mkdir()
    name = namer(election.settings.languages)
    tables: dict[str, Json] = {
        "areas": write_table(
            folder / "areas.csv",
            ("area", "parent", "level", "label", "code", "name"),
            (
                line(
                    row.area,
                    row.parent or None,
                    row.level,
                    row.label,
                    row.code,
                    name(row.names),
                )
                for row in election.areas
            ),
        ),
        "contests": write_table(
            folder / "contests.csv",
            (
                *("contest", "kind", "area", "seats", "marks", "preferences", "method", "share_of"),
                *("threshold", "threshold_of", "threshold_area", "threshold_area_level"),
                *("seat_cap", "quorum", "quorum_of", "name"),
            ),
            (_contest_row(row, name(row.names)) for row in election.contests),
        ),
        "choices": write_table(
            folder / "choices.csv",
            ("contest", "choice", "kind", "list", "label", "name"),
            (
                line(
                    row.contest,
                    row.choice,
                    row.kind,
                    row.list or None,
                    row.label,
                    name(row.names),
                )
                for row in election.choices
            ),
        ),
        "stations": write_table(
            folder / "stations.csv",
            (
                *("station", "area", "registered", "type", "box", "closes_at", "timezone", "contests"),
                *("label", "name"),
            ),
            _station_rows(election),
        ),
        "figures": write_table(
            folder / "figures.csv",
            ("code", "figure", "name"),
            (line(row.code, row.figure, name(row.names)) for row in election.figures),
        ),
        "checks": write_table(
            folder / "checks.csv",
            ("check", "severity", "left", "op", "right", "tolerance"),
            (
                line(row.check, row.severity, "+".join(row.left), row.op, "+".join(row.right), row.tolerance)
                for row in election.checks
            ),
        ),
    }
    settings = election.settings
    titles = zip(LANGUAGES, settings.title, strict=True)
    keys = [key.hex() for key in settings.commission_keys]
    return write_manifest(
        folder / "election.json",
        {
            "format": "tallygate-definition/1",
            "id": settings.id,
            "title": {language: text for language, text in titles if text},
            "mode": settings.mode,
            "timezone": settings.timezone,
            "opens_at": settings.opens_at,
            "closes_at": settings.closes_at,
            "publish_at": settings.publish_at,
            "languages": settings.languages,
            "headline": settings.headline,
            "commission": {"keys": keys, "quorum": settings.commission_quorum},
            "rules": settings.rules._asdict(),
            "tables": tables,
        },
    )


def _contest_row(row: Contest, name: str) -> str:
    return line(
        *(row.contest, row.kind, row.area or None, row.seats, row.marks, row.preferences, row.method),
        *(row.share_of, row.threshold or None, row.threshold_of),
        *(row.threshold_area or None, row.threshold_area_level, row.seat_cap or None),
        *(row.quorum or None, row.quorum_of, name),
    )


def _station_rows(election: Election) -> Iterator[str]:
    name = namer(election.settings.languages)
    lists = {contests: numbers(contests) for contests in {row.contests for row in election.stations}}
    for row in election.stations:
        # Written out, not through `line`: this is the one table of a million rows.
        yield (
            f"{row.station},{row.area},{'' if row.registered is None else row.registered},{row.type},"
            f"{'yes' if row.box else 'no'},{row.closes_at},{row.timezone},{lists[row.contests]},"
            f"{quoted(row.label)},{quoted(name(row.names))}"
        )


def _write_roster(election: Election, folder: Path, definition: bytes) -> bytes:
    folder.mkdir()
    tables: dict[str, Json] = {
        "devices": write_table(
            folder / "devices.csv",
            ("device", "kind", "stations", "area", "key", "serial"),
            (
                line(row.device, row.kind, numbers(row.stations), row.area or None, row.key.hex(), row.serial)
                for row in election.devices
            ),
        ),
        "couriers": write_table(
            folder / "couriers.csv",
            ("courier", "area", "name"),
            (line(row.courier, row.area, row.name) for row in election.couriers),
        ),
        "firmware": write_table(
            folder / "firmware.csv",
            ("sha256", "name"),
            (line(row.sha256, row.name) for row in election.firmware),
        ),
    }
    return write_manifest(
        folder / "roster.json",
        {"format": "tallygate-roster/1", "definition": definition.hex(), "tables": tables},
    )


def _write_information(election: Election, folder: Path, definition: bytes) -> bytes:
    folder.mkdir()
    names = per_language("name")
    nothing = ("",) * len(STATIONS_SHOWN)
    tables: dict[str, Json] = {
        "areas": write_table(
            folder / "areas.csv", ("area", *names), (line(row.area, *row.names) for row in election.areas)
        ),
        "contests": write_table(
            folder / "contests.csv",
            ("contest", *names),
            (line(row.contest, *row.names) for row in election.contests),
        ),
        "choices": write_table(
            folder / "choices.csv",
            ("contest", "choice", *names, *CHOICES_SHOWN),
            (line(row.contest, row.choice, *row.names, *row.shown) for row in election.choices),
        ),
        "stations": write_table(
            folder / "stations.csv",
            ("station", *names, *STATIONS_SHOWN),
            (line(row.station, *row.names, *(row.shown or nothing)) for row in election.stations),
        ),
        "figures": write_table(
            folder / "figures.csv", ("code", *names), (line(row.code, *row.names) for row in election.figures)
        ),
        "checks": write_table(
            folder / "checks.csv",
            ("check", *per_language("text")),
            (line(row.check, *row.texts) for row in election.checks),
        ),
    }
    if election.media:
        (folder / MEDIA_FOLDER).mkdir()
    media: dict[str, Json] = {}
    for entry in election.media:
        copy_media(entry, folder / MEDIA_FOLDER / entry.name)
        media[entry.name] = {"sha256": entry.sha256, "size": entry.size, "type": entry.type}
    return write_manifest(
        folder / "information.json",
        {
            "format": "tallygate-information/1",
            "definition": definition.hex(),
            "site": dict(election.settings.site._asdict()),
            "tables": tables,
            "media": media,
        },
    )


def copy_media(media: Media, target: Path) -> None:
    """Copy a picture or document, if it still has the bytes that were judged.

    Raises:
        TallygateError: ``definition.media_changed``.
        OSError: it cannot be read, or (`NotRegularError`) is no ordinary file.
    """
    digest = hashlib.sha256()
    with open_regular(media.path, follow=False).file as source, target.open("xb") as file:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != media.sha256:
        raise TallygateError(
            "definition.media_changed",
            "the file is no longer the one that was judged when the election was built: build again",
            place=str(media.path),
        )
