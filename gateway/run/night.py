"""The night folder: its shape, its keys, and the night of a built definition.

What lives here: which folders a night has and who may open them, the two key files, the copies of the three
manifests (proved by reading them back), `tallygate.toml`, and `init_night` for a real election. A rehearsal's
night is made in `gateway.run.rehearsal` from the same parts.

A night is built beside its place and renamed when it is whole (`gateway.base.files.finished_directory`): a
crash in the middle leaves no folder of that name.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from gateway import _core
from gateway.base.config import Config, render
from gateway.base.errors import CoreError, TallygateError
from gateway.base.files import (
    PRIVATE_DIRECTORY,
    PUBLIC_DIRECTORY,
    PUBLIC_FILE,
    finished_directory,
    write_durably,
    write_private,
)
from gateway.election.copies import copy_manifest
from gateway.pki.devices import make_seed
from gateway.pki.folder import read_official

# What is being done, how far it is, how much there is to do.
Progress: TypeAlias = Callable[[str, int, int], None]

# Decision 1 as nested tuples: definition, previous, number, decided_at, reasons, action.
Opening: TypeAlias = tuple[
    bytes, bytes, int, int, tuple[tuple[str, str], ...], tuple[int, str, bytes, bytes, bytes, str]
]

# Folder and manifest of each of the three.
MANIFESTS: Final = {
    "definition": "election.json",
    "roster": "roster.json",
    "information": "information.json",
}

# Gateway and monitor may run under users of one group; only the feed is for everybody.
_GROUP_DIRECTORY = 0o750
_FOLDERS: Final = (
    ("keys", PRIVATE_DIRECTORY),
    ("pki", PRIVATE_DIRECTORY),
    ("data", _GROUP_DIRECTORY),
    ("data/attachments", _GROUP_DIRECTORY),
    ("data/opening", _GROUP_DIRECTORY),
    ("run", _GROUP_DIRECTORY),
    ("feed", PUBLIC_DIRECTORY),
    ("embargo", _GROUP_DIRECTORY),
)

# The commission signs what software it opens the log with.
SOFTWARE: Final = f"tallygate {_core.__version__}"


class NightKeys(NamedTuple):
    """The public keys of a night."""

    log: bytes
    snapshot: bytes


class NewNight(NamedTuple):
    """What `init` has made, for people to read."""

    folder: Path
    definition: _core.Definition
    roster: _core.Roster
    origin: str
    keys: NightKeys
    start: int | None
    """Of a rehearsal: election time when it is first served, ms."""

    @property
    def log_vkey(self) -> str:
        """The verifier key of the log (docs/log.md)."""
        return _core.vkey(self.origin, self.keys.log)

    @property
    def snapshot_vkey(self) -> str:
        """The verifier key of snapshots."""
        return _core.vkey(f"{self.origin}/snapshot", self.keys.snapshot)


def init_night(night: Path, built: Path, *, origin: str, progress: Progress) -> NewNight:
    """Makes the night folder for a definition that `tallygate election build` wrote.

    Args:
        night: becomes the night folder; it must not exist or be empty.
        built: the folder with `definition`, `roster` and `information`.
        origin: the log's name, final with decision 1.
        progress: is told what is being done.

    Raises:
        TallygateError: ``file.exists``, ``file.here``, ``init.origin``, ``manifest.*``, ``table.*``.
        OSError: it could not be written; nothing is left at `night`.
    """
    for name in MANIFESTS:
        if not (built / name).is_dir():
            raise TallygateError(
                "manifest.missing",
                f"there is no folder {name} here: `tallygate election build FOLDER --out D` makes D",
                place=str(built),
            )
    load_manifests(built)
    with finished_directory(night) as work:
        for place, (name, manifest) in enumerate(MANIFESTS.items()):
            progress("copying the manifests", place, len(MANIFESTS))
            copy_manifest(built / name, manifest, work / name)
        definition, roster = load_manifests(work)
        keys = make_night(work, Config())
        _check_origin(origin, definition, roster, keys)
    return NewNight(night, definition, roster, origin, keys, start=None)


def official_origin(folder: Path, election: str) -> str:
    """The log's name that the officials have written into election.toml.

    Args:
        folder: the officials' election folder.
        election: the id of the definition that was built from it.

    Raises:
        TallygateError: ``init.other_election``, ``init.origin`` (there is none), ``definition.*``.
    """
    settings = read_official(folder)
    if settings.id != election:
        raise TallygateError(
            "init.other_election",
            f"the definition is of election {election!r}, this folder is of {settings.id!r}",
            place=str(folder),
        )
    if settings.origin is None:
        raise TallygateError(
            "init.origin",
            "election.toml names no origin, and the log's name is final: write it there, or give --origin",
            place=str(folder),
        )
    return settings.origin


def load_manifests(folder: Path) -> tuple[_core.Definition, _core.Roster]:
    """Reads all three manifests of a night with the strict readers.

    Raises:
        TallygateError: ``manifest.*``, ``table.*``.
    """
    definition = _core.Definition.load(folder / "definition")
    roster = _core.Roster.load(folder / "roster", definition)
    _core.Information.load(folder / "information", definition)
    return definition, roster


def make_night(work: Path, config: Config) -> NightKeys:
    """Makes the folders around the manifests, the keys of log and snapshots, and `tallygate.toml`.

    A key file is exactly the 32 bytes of an Ed25519 private key (RFC 8032), as systemd credentials take them.
    """
    for name, mode in _FOLDERS:
        folder = work / name
        folder.mkdir(exist_ok=True)
        # mkdir is subject to the umask, and a web server has to be able to read the feed.
        folder.chmod(mode)
    for name in MANIFESTS:
        (work / name).chmod(PUBLIC_DIRECTORY)
        for path in (work / name).rglob("*"):
            path.chmod(PUBLIC_DIRECTORY if path.is_dir() else PUBLIC_FILE)
    log, snapshot = make_seed(), make_seed()
    write_private(work / "keys" / "log.key", log)
    write_private(work / "keys" / "snapshot.key", snapshot)
    write_durably(work / "tallygate.toml", render(config))
    return NightKeys(_core.public_key(log), _core.public_key(snapshot))


def opening(
    definition: _core.Definition,
    roster: _core.Roster,
    keys: NightKeys,
    origin: str,
    *,
    decided_at: int,
    reason: Sequence[tuple[str, str]],
) -> Opening:
    """The content of decision 1, which opens the log (docs/packet.md)."""
    action = (1, origin, keys.log, keys.snapshot, roster.hash, SOFTWARE)
    return (definition.hash, b"", 1, decided_at, tuple(reason), action)


def _check_origin(origin: str, definition: _core.Definition, roster: _core.Roster, keys: NightKeys) -> None:
    """Refuses an origin that decision 1 could not name.

    Raises:
        TallygateError: ``init.origin``.
    """
    content = opening(definition, roster, keys, origin, decided_at=0, reason=(("en", "-"),))
    try:
        _core.encode_payload("decision", content)
    except CoreError:
        raise TallygateError(
            "init.origin",
            f"{origin[:60]!r} cannot name a log: write --origin host/path with a-z, 0-9, dots and -, "
            "at most 200 characters",
        ) from None
