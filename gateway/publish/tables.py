"""What the feed has beside its snapshots: the three manifests with their tables, the texts, and the keys.

What lives here: `Tables`, which puts copies of the night's folders into the feed, each whole or not at all,
before a snapshot names them.
"""

import contextlib
import shutil
from pathlib import Path
from typing import Final

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.base.files import finished_directory, read_bounded, unfinished, write_durably
from gateway.election.copies import copy_manifest, is_whole
from gateway.feed import layout, messages
from gateway.feed.reading import note_name
from gateway.feed.schemas import schemas

# Bytes of a verifier key (docs/log.md): a name of 200, key id and key.
_MAX_VKEY: Final = 512
# Bytes of messages.json: its texts in four languages have 60 KB, a country's own checks some more.
_MAX_MESSAGES: Final = 4 * 1024 * 1024
# Bytes of a JSON Schema; the largest has some 13 KB.
_MAX_SCHEMA: Final = 1_048_576
# A roster's manifest and all tables that one can have (docs/election-folder.md).
_ROSTER_FILES: Final = ("roster.json", "devices.csv", "couriers.csv", "firmware.csv")


class Tables:
    """The feed's copies.

    Args:
        feed: its folder.

    Raises:
        TallygateError: of every method: ``manifest.missing``, ``init.not_a_file``: the source lacks something
            that it names, or it is no plain file.
        OSError: of every method: it cannot be read or written.
    """

    def __init__(self, feed: Path) -> None:
        self._feed = feed

    def put_definition(self, definition: _core.Definition, source: Path) -> None:
        """The definition, from its folder."""
        self._put(layout.definition(definition.hash), source, "election.json", definition.hash)

    def put_roster(self, roster: _core.Roster, source: Path) -> None:
        """A roster that the log names."""
        self._put(layout.roster(roster.hash), source, "roster.json", roster.hash)

    def put_unusable_roster(self, sha256: bytes, source: Path) -> None:
        """A roster that no reader takes, with its tables: others have to see that for themselves."""
        target = self._feed / layout.roster(sha256)
        if (target / "roster.json").exists():
            return
        target.parent.mkdir(exist_ok=True)
        with finished_directory(target) as work:
            for name in _ROSTER_FILES:
                with contextlib.suppress(FileNotFoundError):
                    (work / name).write_bytes((source / name).read_bytes())

    def put_information(self, information: _core.Information, source: Path) -> None:
        """What is only shown, with its media."""
        self._put(layout.information(information.hash), source, "information.json", information.hash)

    def put_messages(self, definition: _core.Definition, information: _core.Information) -> None:
        """What the public reads for codes and words, some of it from the information that is shown."""
        data = messages.encode(messages.for_election(messages.load(), definition, information))
        self._put_small(layout.MESSAGES, data, _MAX_MESSAGES)

    def put_schemas(self) -> None:
        """What form the feed's files have."""
        for name, data in schemas():
            path = layout.schema(name)
            (self._feed / path).parent.mkdir(exist_ok=True)
            self._put_small(path, data, _MAX_SCHEMA)

    def put_keys(self, origin: str, log_key: bytes, snapshot_key: bytes) -> None:
        """The verifier keys of log and snapshots."""
        vkeys = {
            layout.LOG_KEY: _core.vkey(origin, log_key),
            layout.SNAPSHOT_KEY: _core.vkey(note_name(origin), snapshot_key),
        }
        for path, vkey in vkeys.items():
            (self._feed / path).parent.mkdir(exist_ok=True)
            self._put_small(path, f"{vkey}\n".encode(), _MAX_VKEY)

    def _put_small(self, path: str, data: bytes, limit: int) -> None:
        file = self._feed / path
        if not file.exists() or read_bounded(file, limit) != data:
            write_durably(file, data)

    def _put(self, path: str, source: Path, manifest: str, sha256: bytes) -> None:
        target = self._feed / path
        if is_whole(target, manifest, sha256):
            return
        target.parent.mkdir(exist_ok=True)
        for left in (*unfinished(target), *([target] if target.exists() else [])):
            shutil.rmtree(left)
        with finished_directory(target) as work:
            try:
                copy_manifest(source, manifest, work)
            except FileNotFoundError as error:
                raise TallygateError(
                    "manifest.missing",
                    f"{manifest} names this file and it is not here: copy the folder again from what "
                    "`tallygate election build` wrote",
                    place=str(error.filename),
                ) from None
