"""New texts and pictures for a night that runs, from the officials' folder, shown with the next snapshot.

What lives here: `publish_information`. The definition is what the commission opened the log with and what
every packet names: whatever would change it is refused, and named. The new folder is whole and durable before
``data/information`` names it (`gateway.publish.information`); those before stay, for snapshots name them.
"""

import csv
import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.base.files import PUBLIC_DIRECTORY, PUBLIC_FILE, finished_directory, sync_directory
from gateway.election import Election, Faults, read_folder, with_keys, write_manifests
from gateway.election.copies import is_whole
from gateway.election.manifests import INFORMATION
from gateway.publish.information import point_to
from gateway.run.folder import NightFolder

_MANIFEST: Final = "information.json"
# Tables of a definition, and how many of their first columns name a row (docs/election-folder.md).
_TABLES: Final = {"areas": 1, "contests": 1, "choices": 2, "stations": 1, "figures": 1, "checks": 1}
# Differences that are listed: whoever has the wrong folder has thousands.
MOST_LISTED: Final = 20
# Characters of a cell in a message.
_MOST_SHOWN: Final = 60


class OtherDefinitionError(TallygateError):
    """The folder would change the definition: ``information.definition``.

    Attributes:
        differences: what differs, a sentence each, at most `MOST_LISTED`.
    """

    def __init__(self, folder: Path, differences: tuple[str, ...]) -> None:
        super().__init__(
            "information.definition",
            "this folder builds another definition than the night's, and every packet names that one: only "
            "what is merely shown may change. Put back what stands above, then publish again",
            place=str(folder),
        )
        self.differences = differences


class NewInformation(NamedTuple):
    """What is shown now; `new`: it was not shown before."""

    information: _core.Information
    media: int
    new: bool


def publish_information(
    night: NightFolder, folder: Path, *, number: bool, reserve: int
) -> tuple[NewInformation | None, Faults]:
    """Builds what is only shown and has it published.

    Args:
        night: its folder; whether its roles run does not matter.
        folder: the officials' election folder.
        number: give numbers to tables whose things have only labels, as when the night was built.
        reserve: bytes that stay free on the ledger's disk.

    Returns:
        None if the folder has faults; and all faults and warnings.

    Raises:
        OtherDefinitionError: and what `gateway.election.write_manifests` raises.
        TallygateError: ``information.no_room``.
        OSError: it could not be written; what was shown before still is.
    """
    definition = _core.Definition.load(night.definition)
    election, faults = read_folder(folder, rehearsal=definition.mode == "rehearsal", number=number)
    if election is None:
        return None, faults
    _require_room(night, election, reserve)
    with tempfile.TemporaryDirectory(prefix=".informations.", dir=night.root) as scratch:
        built = write_manifests(_as_opened(election, definition), Path(scratch) / "built")
        if built.definition != definition.hash:
            raise OtherDefinitionError(folder, _differences(night.definition, built.folder / "definition"))
        place = _put(night, built.folder / INFORMATION, built.information)
    information = _core.Information.load(place, definition)
    new = _shown(night) != information.hash.hex()
    # Also where it is shown already: whoever does this again after a fault has it looked at again.
    point_to(night.shown, information.hash)
    return NewInformation(information, len(election.media), new), faults


def _as_opened(election: Election, definition: _core.Definition) -> Election:
    """The election without its roster, which is not built anew; a rehearsal's keys are those it has made."""
    if definition.mode == "rehearsal":
        return with_keys(
            election,
            devices=[],
            commission_keys=definition.commission_keys,
            quorum=definition.commission_quorum,
        )
    return dataclasses.replace(election, devices=())


def _require_room(night: NightFolder, election: Election, reserve: int) -> None:
    """Refuses media that would take the ledger's reserve: they are here once and in the feed once more."""
    needed = 2 * sum(medium.size for medium in election.media)
    found = os.statvfs(night.root)
    free = found.f_bavail * found.f_frsize
    if free - needed < reserve:
        raise TallygateError(
            "information.no_room",
            f"the pictures and documents take {needed:,} bytes (here and in the feed), {free:,} are free, "
            f"and {reserve:,} of them belong to the ledger: make room first",
            place=str(night.root),
        )


def _put(night: NightFolder, built: Path, sha256: bytes) -> Path:
    """Gives the folder its place, whole or not at all."""
    target = night.informations / sha256.hex()
    if not is_whole(target, _MANIFEST, sha256):
        night.informations.mkdir(exist_ok=True)
        night.informations.chmod(PUBLIC_DIRECTORY)
        sync_directory(night.root)
        with finished_directory(target) as work:
            work.rmdir()
            built.rename(work)
            for path in work.rglob("*"):
                path.chmod(PUBLIC_DIRECTORY if path.is_dir() else PUBLIC_FILE)
    return target


def _shown(night: NightFolder) -> str:
    try:
        return night.shown.read_text().strip()
    except FileNotFoundError:
        return _core.Information.load(night.information, _core.Definition.load(night.definition)).hash.hex()


def _differences(ours: Path, theirs: Path) -> tuple[str, ...]:
    """What a definition has other than ours, as far as it is listed."""
    found: list[str] = []
    for difference in (*_manifests(ours, theirs), *_all_tables(ours, theirs)):
        if len(found) == MOST_LISTED:
            return (*found[:-1], "and more")
        found.append(difference)
    return tuple(found)


def _manifests(ours: Path, theirs: Path) -> Iterator[str]:
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    old, new = (decoder.decode((folder / "election.json").read_bytes()) for folder in (ours, theirs))
    for name in sorted(old.keys() | new.keys()):
        if name != "tables" and (one := old.get(name)) != (other := new.get(name)):
            yield f"election.toml: {name}: {_cell(one)} in the night, {_cell(other)} in the folder"


def _all_tables(ours: Path, theirs: Path) -> Iterator[str]:
    for table, keys in _TABLES.items():
        yield from _tables(table, keys, ours / f"{table}.csv", theirs / f"{table}.csv")


def _tables(table: str, keys: int, ours: Path, theirs: Path) -> Iterator[str]:
    columns, old = _rows(ours, keys)
    _, new = _rows(theirs, keys)
    for key in dict.fromkeys((*old, *new)):
        row = f"{table}.csv: {', '.join(f'{name} {cell}' for name, cell in zip(columns, key, strict=False))}"
        if key not in new:
            yield f"{row}: is not in the folder"
        elif key not in old:
            yield f"{row}: is not in the night"
        else:
            for name, one, other in zip(columns, old[key], new[key], strict=True):
                if one != other:
                    yield f"{row}: {name}: {_cell(one)} in the night, {_cell(other)} in the folder"


def _rows(path: Path, keys: int) -> tuple[list[str], dict[tuple[str, ...], list[str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        columns = next(reader)
        return columns, {tuple(row[:keys]): row for row in reader}


def _cell(value: str | msgspec.Raw | None) -> str:
    text = "nothing" if value is None else bytes(value).decode() if isinstance(value, msgspec.Raw) else value
    return f'"{text[:_MOST_SHOWN]}…"' if len(text) > _MOST_SHOWN else f'"{text}"'
