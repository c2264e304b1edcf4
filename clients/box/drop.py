"""The folder into which a voting machine's own software puts its counts, a file for each statement.

The software writes a file under a name that begins with a dot, makes it durable, and renames it to
``*.toml`` or ``*.json``: so none is read that is half there. A file leaves the folder when its fate is
durable: for ``signed/`` once its statement is stored, for ``faulty/``, with the words beside it, if no
statement can be made of it. Stopped in between, it is taken again: `clients.box.sign` signs nothing twice.
"""

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from clients import files

SIGNED: Final = "signed"
FAULTY: Final = "faulty"
_SUFFIXES: Final = (".toml", ".json")


class Drop:
    """One such folder.

    Raises:
        OSError: the folders for what is done cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        for name in (SIGNED, FAULTY):
            (path / name).mkdir(mode=files.PRIVATE_FOLDER, exist_ok=True)
        files.sync_folder(path)

    def waiting(self) -> list[Path]:
        """The counts files that are there, the oldest first.

        Raises:
            OSError: the folder cannot be read.
        """
        found = []
        for path in self._path.iterdir():
            if path.name.startswith(".") or path.suffix.lower() not in _SUFFIXES:
                continue
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                found.append((status.st_mtime_ns, path.name, path))
        return [path for _, _, path in sorted(found)]

    def signed(self, file: Path, sequence: int) -> None:
        """Its statement is stored.

        Raises:
            OSError: it could not be moved; it is taken again.
        """
        self._move(file, self._path / SIGNED / f"{sequence:06}-{file.name}")

    def faulty(self, file: Path, lines: Sequence[str], at: int) -> Path:
        """No statement can be made of it; where it is now, with the words beside it.

        Args:
            file: one of `waiting`.
            lines: what is wrong, for people.
            at: ms by this machine's clock: two files of one name are kept both.

        Raises:
            OSError: it could not be moved; it is taken again.
        """
        target = self._path / FAULTY / f"{at}-{file.name}"
        files.write(target.with_name(f"{target.name}.txt"), "".join(f"{line}\n" for line in lines).encode())
        self._move(file, target)
        return target

    def _move(self, file: Path, target: Path) -> None:
        file.rename(target)
        files.sync_folder(target.parent)
        files.sync_folder(self._path)
