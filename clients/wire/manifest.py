"""Manifests: canonical JSON files that name their tables; nothing may be left over or missing."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from clients.wire import jcs
from clients.wire.errors import WireError
from clients.wire.jcs import JsonValue
from clients.wire.tables import TableEntry
from clients.wire.text import MAX_NUMBER, MAX_TEXT_BYTES, hex_32, is_plain, quoted

# An election's manifest has a few kilobytes; one of information names every photograph.
MAX_MANIFEST_BYTES = 1024 * 1024


def read(folder: Path, file: str) -> tuple[bytes, "Members"]:
    """Read a manifest and return its SHA-256 and its members.

    Raises:
        WireError: `manifest.missing` or `manifest.malformed`.
    """
    try:
        with (folder / file).open("rb") as stream:
            data = stream.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise WireError("manifest.missing", f"the manifest cannot be read: {reason}", file=file) from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise _malformed(file, f"a manifest has at most {MAX_MANIFEST_BYTES:,} bytes")
    try:
        value = jcs.parse(data)
    except WireError as error:
        raise WireError("manifest.malformed", error.detail, file=file, offset=error.offset) from error
    return hashlib.sha256(data).digest(), Members(file, "", value)


def _malformed(file: str, detail: str) -> WireError:
    return WireError("manifest.malformed", detail, file=file)


class Members:
    """The members of one object in a manifest; each method reads one or raises `manifest.malformed`."""

    __slots__ = ("_file", "_members", "_path")

    def __init__(self, file: str, path: str, value: JsonValue) -> None:
        if not isinstance(value, Mapping):
            raise _malformed(file, f"{path.rstrip('.') or 'the manifest'} must be an object")
        self._file = file
        self._path = path
        self._members = value

    def malformed(self, name: str, detail: str) -> WireError:
        """The refusal of one member."""
        return _malformed(self._file, f"{(self._path + name).rstrip('.')} {detail}")

    def exactly(self, names: Collection[str]) -> None:
        """Refuse an object that has not exactly these members."""
        for name in names:
            if name not in self._members:
                raise self.malformed(name, "is missing")
        for name in self._members:
            if name not in names:
                raise self.malformed(quoted(name), "is not a member of this manifest")

    @property
    def names(self) -> tuple[str, ...]:
        """The members' names in their order in the file."""
        return tuple(self._members)

    def object(self, name: str) -> "Members":
        """An object."""
        return Members(self._file, f"{self._path}{name}.", self._members[name])

    def text(self, name: str, least: int = 1) -> str:
        """A text of `least` to 2,000 bytes without control characters."""
        value = self._members[name]
        if not isinstance(value, str) or not is_plain(value, least):
            raise self.malformed(
                name, f"must be a text of {least} to {MAX_TEXT_BYTES:,} bytes without control characters"
            )
        return value

    def word(self, name: str, words: Collection[str]) -> str:
        """One of a few words."""
        return self._word(name, self._members[name], words)

    def _word(self, name: str, value: JsonValue, words: Collection[str]) -> str:
        if not isinstance(value, str) or value not in words:
            raise self.malformed(name, f"must be one of {', '.join(words)}")
        return value

    def integer(self, name: str, least: int = 0, most: int = MAX_NUMBER) -> int:
        """A whole number."""
        return self._integer(name, self._members[name], least, most)

    def _integer(self, name: str, value: JsonValue, least: int, most: int) -> int:
        if not isinstance(value, int) or not least <= value <= most:
            raise self.malformed(name, f"must be a whole number from {least} to {most}")
        return value

    def integer_or_none(self, name: str) -> int | None:
        """A whole number or null."""
        return None if self._members[name] is None else self.integer(name)

    def hash(self, name: str) -> bytes:
        """32 bytes as 64 lower-case hex digits."""
        return self._hash(name, self._members[name])

    def _hash(self, name: str, value: JsonValue) -> bytes:
        digest = hex_32(value) if isinstance(value, str) else None
        if digest is None:
            raise self.malformed(name, "must be 64 lower-case hex digits")
        return digest

    def integers(self, name: str, least: int) -> tuple[int, ...]:
        """A list of whole numbers from `least`."""
        return tuple(self._integer(name, value, least, MAX_NUMBER) for value in self._list(name))

    def hashes(self, name: str) -> tuple[bytes, ...]:
        """A list of 32 bytes each as hex."""
        return tuple(self._hash(name, value) for value in self._list(name))

    def words(self, name: str, words: Collection[str]) -> tuple[str, ...]:
        """A list of different words of a few, at least one."""
        values = tuple(self._word(name, value, words) for value in self._list(name))
        if not values or len(set(values)) < len(values):
            raise self.malformed(name, "must name at least one, and none twice")
        return values

    def _list(self, name: str) -> Sequence[JsonValue]:
        value = self._members[name]
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise self.malformed(name, "must be a list")
        return value

    def tables(self, names: Collection[str]) -> dict[str, TableEntry]:
        """The member `tables`: rows, size and SHA-256 of exactly these tables."""
        tables = self.object("tables")
        tables.exactly(names)
        entries: dict[str, TableEntry] = {}
        for name in names:
            entry = tables.object(name)
            entry.exactly(("rows", "sha256", "size"))
            entries[name] = TableEntry(entry.integer("rows"), entry.integer("size"), entry.hash("sha256"))
        return entries


def judge_definition(file: str, named: bytes, sha256: bytes) -> None:
    """Refuse a manifest that names another definition than the one it was read with.

    Raises:
        WireError: `manifest.definition`.
    """
    if named != sha256:
        detail = f"the manifest belongs to definition {named.hex()}, not to {sha256.hex()}"
        raise WireError("manifest.definition", detail, file=file)
