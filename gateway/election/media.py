"""Photographs and documents: which the tables name, and whether they are what a page can show."""

import hashlib
import re
import stat
from pathlib import Path

from gateway.election.cells import Cells
from gateway.election.faults import Code, Faults, shown
from gateway.election.files import NotRegularError, open_regular
from gateway.election.limits import CHUNK_BYTES, MAX_MEDIA_BYTES, MAX_MEDIA_FILES, MAX_MEDIA_NAME_BYTES, MIB
from gateway.election.model import Media

FOLDER = "media"

# Plain letters only: file systems disagree about the spelling of others, and no name may lead out of the
# folder or hide.
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_MEDIA_NAME_BYTES - 1}}}")

_PICTURES = ("image/jpeg", "image/png", "image/webp")
_DOCUMENTS = ("application/pdf",)


class MediaNames:
    """The media that tables name.

    name → (table, line, column, allowed types) of the first place that does.
    """

    def __init__(self) -> None:
        self.first: dict[str, tuple[str, int, str, tuple[str, ...]]] = {}

    def picture(self, cells: Cells, cell: str, line: int, column: str) -> str:
        """A cell that names a picture, or is empty."""
        return self._name(cells, cell, line, column, _PICTURES) if cell else ""

    def text_or_document(self, cells: Cells, cell: str, line: int, column: str) -> str:
        """A cell that holds a text, or the name of a PDF document."""
        if cell.lower().endswith(".pdf") and " " not in cell:
            return self._name(cells, cell, line, column, _DOCUMENTS)
        return cells.text(cell, line, column)

    def _name(self, cells: Cells, cell: str, line: int, column: str, types: tuple[str, ...]) -> str:
        if _NAME.fullmatch(cell) is None:
            detail = (
                f"{shown(cell)} cannot name a file in {FOLDER}/: use letters a to z, digits, point, - and _, "
                f"at most {MAX_MEDIA_NAME_BYTES}, and no folder"
            )
            cells.fault(Code.MEDIA_NAME, detail, line, column)
            return ""
        place = self.first.setdefault(cell, (cells.file, line, column, types))
        if place[3] != types:
            detail = f"{shown(cell)} is named as a picture and as a document: a file can be only one of them"
            cells.fault(Code.MEDIA_TYPE, detail, line, column)
        return cell


def read_media(folder: Path, names: MediaNames, faults: Faults) -> list[Media]:
    """Read every file that the tables name.

    Returns:
        The media by name.
    """
    path = folder / FOLDER
    present: set[str] = set()
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            faults.add(Code.MEDIA_NOT_A_FILE, "this is no folder (a link is not followed)", file=FOLDER)
            return []
        present.update(entry.name for entry in path.iterdir())
    except FileNotFoundError:
        pass  # no folder: an election without pictures; what is named is missing
    except OSError as error:
        faults.add(Code.UNREADABLE, f"the folder cannot be read: {error.strerror}", file=FOLDER)
        return []
    if len(names.first) > MAX_MEDIA_FILES:
        detail = f"the tables name {len(names.first)} files; an election has at most {MAX_MEDIA_FILES}"
        faults.add(Code.TOO_MANY_MEDIA, detail, file=FOLDER)
        return []
    media = []
    for name, (file, line, column, types) in sorted(names.first.items()):
        if name not in present:
            detail = f"there is no {FOLDER}/{name} (capital letters count)"
            faults.add(Code.MEDIA_MISSING, detail, file=file, line=line, column=column)
        elif (found := _read(path / name, types, faults)) is not None:
            media.append(found)
    unused = sorted(present - names.first.keys())
    if unused:
        detail = f"{len(unused)} files are named by no table and are left out: {shown(unused[0])}" + (
            " and others" if len(unused) > 1 else ""
        )
        faults.add(Code.MEDIA_UNUSED, detail, file=FOLDER)
    return media


def _read(path: Path, types: tuple[str, ...], faults: Faults) -> Media | None:
    file = f"{FOLDER}/{path.name}"
    try:
        opened = open_regular(path, follow=False)
    except NotRegularError:
        faults.add(
            Code.MEDIA_NOT_A_FILE, "this is no ordinary file: put a copy of the file here, no link", file=file
        )
        return None
    except OSError as error:
        faults.add(Code.UNREADABLE, f"the file cannot be opened: {error.strerror}", file=file)
        return None
    digest = hashlib.sha256()
    size = 0
    head = b""
    with opened.file as stream:
        try:
            while size <= MAX_MEDIA_BYTES and (chunk := stream.read(CHUNK_BYTES)):
                head = head or chunk[:16]
                digest.update(chunk)
                size += len(chunk)
        except OSError as error:
            faults.add(Code.UNREADABLE, f"the file cannot be read: {error.strerror}", file=file)
            return None
    if size > MAX_MEDIA_BYTES:
        detail = f"the file is larger than {MAX_MEDIA_BYTES // MIB} MiB: make the picture smaller"
        faults.add(Code.MEDIA_TOO_LARGE, detail, file=file)
        return None
    kind = _type(head)
    if kind not in types:
        detail = f"the file is {kind or 'of an unknown kind'}; here it must be {' or '.join(types)}"
        faults.add(Code.MEDIA_TYPE, detail, file=file)
        return None
    return Media(path.name, path, digest.hexdigest(), size, kind)


def _type(head: bytes) -> str:
    """The media type by the first bytes: a name's ending proves nothing."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    return ""
