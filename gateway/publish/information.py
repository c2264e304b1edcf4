"""What is only shown, while the night runs: ``data/information`` names the newest, the publisher follows.

What lives here: the pointer's form, `point_to`, which `tallygate information publish` calls when the folder
is whole, and `InformationSwitch`, which finds what is to be shown now. Nothing here can stop publication:
texts and pictures that cannot be read leave those before in their place.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.base.files import PUBLIC_FILE, read_bounded, write_durably
from gateway.base.logs import Log

# Bytes of ``data/information``: 64 hex digits and a line feed.
_MAX_POINTER: Final = 65


class Shown(NamedTuple):
    """A manifest of what is only shown, and the folder that it is in."""

    information: _core.Information
    folder: Path


def point_to(pointer: Path, information: bytes) -> None:
    """Has this information shown from now on; its folder is whole and durable.

    Args:
        pointer: ``data/information``.
        information: SHA-256 of information.json.
    """
    write_durably(pointer, f"{information.hex()}\n".encode(), mode=PUBLIC_FILE)


class InformationSwitch:
    """Follows the pointer. One thread at a time.

    Args:
        first: the night's own, which is shown where there is no pointer.
        pointer: ``data/information``.
        folders: ``informations``: later ones, each by its hash.
        definition: the night's.
        log: is told of what cannot be shown, once.
    """

    def __init__(
        self, first: Shown, pointer: Path, folders: Path, definition: _core.Definition, log: Log
    ) -> None:
        self._first = first
        self._pointer = pointer
        self._folders = folders
        self._definition = definition
        self._log = log
        # The pointer's inode and time, as of the last look: whoever writes it again has it looked at again.
        self._seen: tuple[int, int] | None = None

    def look(self) -> Shown | None:
        """What the pointer names, if it was written since the last look and can be read; else None."""
        try:
            found = os.stat(self._pointer)  # noqa: PTH116 - once a second
            seen = (found.st_ino, found.st_mtime_ns)
            if seen == self._seen:
                return None
            self._seen = seen
            return self._read()
        except FileNotFoundError:
            return None
        except (TallygateError, OSError) as error:
            self.refuse(error)
            return None

    def refuse(self, error: TallygateError | OSError) -> None:
        """Says why something is not shown."""
        self._log("information.refused", words=str(error))

    def _read(self) -> Shown:
        text = read_bounded(self._pointer, _MAX_POINTER).decode(errors="replace").strip()
        own = self._first.information.hash.hex()
        folder = self._first.folder if text == own else self._folders / text
        try:
            information = _core.Information.load(folder, self._definition)
        except FileNotFoundError:
            raise TallygateError(
                "information.missing",
                "data/information names this folder and it is not here: `tallygate information publish` "
                "makes it",
                place=str(folder),
            ) from None
        if information.hash.hex() != text:
            raise TallygateError(
                "information.missing",
                f"this folder holds another information.json than its name says, {information.hash.hex()}",
                place=str(folder),
            )
        return Shown(information, folder)
