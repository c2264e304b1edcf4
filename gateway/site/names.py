"""Which file of the feed a request names, and how long its answer may be kept.

What lives here: from a request's target to a `Named` file, without looking at a disk. Only names of the
feed's layout (docs/feed.md) are files; whatever else lies in the folder, files that are being written above
all, is never served.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from gateway.base.media import START_BYTES, medium_of
from gateway.site.files import tag_of_hash

# Bytes of a target: the longest name of the feed has some 200.
MAX_TARGET: Final = 2_048

# A page or pointer may be two seconds old, and is shown for half a minute more while a cache asks again.
LIVE: Final = "public, max-age=2, stale-while-revalidate=30"
# A year (RFC 9111 knows no "for ever"), and not asked for again (RFC 8246).
FOR_EVER: Final = "public, max-age=31536000, immutable"
# The next rehearsal has the same names at the same address, and other bytes under them.
REHEARSAL: Final = "public, max-age=60"

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
BYTES: Final = "application/octet-stream"
_TYPES: Final = {
    "json": JSON,
    "note": TEXT,
    "vkey": TEXT,
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}

# A name of the feed: no separator, nothing hidden (such files are being written), nothing that a shell or a
# terminal could misread.
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

_POINTERS: Final = ("latest.json", "log/checkpoint", "messages.json", "exports/latest.note")
# Keys are read once by a program, and are another night's tomorrow.
_KEYS: Final = "keys"
# Of the software that runs: another version may bring others.
_SCHEMAS: Final = "schemas"
_EXPORTS: Final = "exports"
# Digits of its hash in the name under which a browser keeps a paper.
_STEM: Final = 16
# Scanned papers: anybody's bytes, under their hash alone.
_ATTACHMENTS: Final = "attachments"
_FOLDERS: Final = (
    "snapshots",
    "areas",
    "stations",
    "decisions",
    "definition",
    "roster",
    "information",
    "log",
    _EXPORTS,
    _ATTACHMENTS,
)


class Named(NamedTuple):
    """A file that the feed may have.

    Attributes:
        parts: its path below the feed's folder, each a plain name.
        type: its media type.
        cache: the value of Cache-Control.
        save_as: the name under which a browser keeps it; empty: it shows it.
        tag: its strong entity tag, where its name says it; empty: its bytes do.
    """

    parts: tuple[str, ...]
    type: str
    cache: str
    save_as: str = ""
    tag: str = ""


def path_of(target: bytes) -> str | None:
    """The decoded path of a request's target; None: it has none that anything of ours has.

    Takes both forms that a server must (RFC 9112, 3.2): ``/path?query`` and ``http://host/path?query``.
    """
    if len(target) > MAX_TARGET:
        return None
    if target[:7].lower() == b"http://":
        authority, slash, rest = target[7:].partition(b"/")
        target = slash + rest if authority else b""
    path = target.partition(b"?")[0]
    if not path.startswith(b"/"):
        return None
    try:
        return unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return None


def find_file(path: str, *, rehearsal: bool) -> Named | None:
    """The feed's file at a decoded path that begins with ``/``; None: no name of the feed."""
    parts = tuple(path[1:].split("/"))
    if not all(_SEGMENT.fullmatch(part) and not part.endswith(".tmp") for part in parts):
        return None
    name = "/".join(parts)
    if name in _POINTERS:
        return Named(parts, _type(parts), LIVE)
    if len(parts) == 1:
        return None
    if parts[0] in (_KEYS, _SCHEMAS):
        return Named(parts, _type(parts), REHEARSAL)
    if parts[0] not in _FOLDERS:
        return None
    if parts[0] == _ATTACHMENTS:
        if len(parts) != 2 or not _HASH.fullmatch(parts[1]):
            return None
        # Large, and so many that nobody could remember what was read of each.
        return Named(parts, BYTES, FOR_EVER, tag=tag_of_hash(parts[1]))
    hashed = any(_HASH.fullmatch(part.removesuffix(".json")) for part in parts)
    cache = REHEARSAL if rehearsal and not hashed else FOR_EVER
    return Named(parts, _type(parts), cache, _save_as(parts))


def of_medium(named: Named, start: bytes) -> Named:
    """A paper's name with the media type that the log names, a download in any case; others as they are.

    The box port takes a paper only if its first bytes are those of the logged medium, and its hash holds them
    there: so they say it, on any machine that has the file (docs/feed.md, "Papers").

    Args:
        named: of `find_file`.
        start: the file's first bytes.
    """
    if named.parts[0] != _ATTACHMENTS:
        return named
    medium = medium_of(start[:START_BYTES])
    stem = named.parts[1][:_STEM]
    if medium is None:
        return named._replace(save_as=stem)
    return named._replace(type=medium.type, save_as=f"{stem}.{medium.suffix}")


def _save_as(parts: tuple[str, ...]) -> str:
    """Exports are kept: with their snapshot's number, for on a desk lie those of many."""
    if parts[0] != _EXPORTS or len(parts) != 3:
        return ""
    stem, dot, kind = parts[2].rpartition(".")
    return f"{stem}-{parts[1]}{dot}{kind}"


def _type(parts: tuple[str, ...]) -> str:
    if parts == ("log", "checkpoint"):
        return TEXT
    return BYTES if parts[0] == "log" else _TYPES.get(parts[-1].rpartition(".")[2], BYTES)
