"""Copying a built manifest with everything that it names, and nothing that lies beside it."""

import hashlib
import shutil
from pathlib import Path

import msgspec

from gateway.base.errors import TallygateError
from gateway.election.files import NotRegularError, open_regular
from gateway.election.manifests import copy_media
from gateway.election.media import FOLDER as MEDIA_FOLDER
from gateway.election.model import Media


class _Table(msgspec.Struct, frozen=True):
    size: int


class _Medium(msgspec.Struct, frozen=True):
    sha256: str
    size: int
    type: str


class _Named(msgspec.Struct, frozen=True):
    """The files that a manifest names."""

    tables: dict[str, _Table]
    media: dict[str, _Medium] = {}


_NAMED = msgspec.json.Decoder(_Named)


def copy_manifest(source: Path, manifest: str, target: Path) -> None:
    """Copies a manifest and what it names, and nothing that lies beside it.

    The strict readers have judged `source` and judge `target` again; only media are nobody else's to judge.

    Args:
        source: the folder of the manifest.
        manifest: its file's name.
        target: a folder that is made, or is empty.

    Raises:
        TallygateError: ``init.not_a_file``: links are not followed.
        OSError: a file cannot be read or written.
    """
    target.mkdir(exist_ok=True)
    try:
        _copy(source / manifest, target / manifest)
        named = _NAMED.decode((target / manifest).read_bytes())
        for table in named.tables:
            _copy(source / f"{table}.csv", target / f"{table}.csv")
        if named.media:
            (target / MEDIA_FOLDER).mkdir()
        for name, entry in named.media.items():
            media = Media(name, source / MEDIA_FOLDER / name, entry.sha256, entry.size, entry.type)
            copy_media(media, target / MEDIA_FOLDER / name)
    except NotRegularError as error:
        raise TallygateError(
            "init.not_a_file",
            f"{error} is no ordinary file, and links are not followed: `tallygate election build` makes a "
            "folder of plain files",
            place=str(source),
        ) from None


def is_whole(folder: Path, manifest: str, sha256: bytes) -> bool:
    """Whether a copy has this manifest, and of what it names every file in its size.

    That is what a copy can lack which was made in one step (`gateway.base.files.finished_directory`).

    Raises:
        OSError: a file cannot be read.
    """
    try:
        data = (folder / manifest).read_bytes()
        if hashlib.sha256(data).digest() != sha256:
            return False
        named = _NAMED.decode(data)
        sizes = {f"{table}.csv": entry.size for table, entry in named.tables.items()}
        sizes |= {f"{MEDIA_FOLDER}/{name}": entry.size for name, entry in named.media.items()}
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return False


def _copy(source: Path, target: Path) -> None:
    with open_regular(source, follow=False).file as file, target.open("xb") as copy:
        shutil.copyfileobj(file, copy)
