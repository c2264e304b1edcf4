"""The exports of a snapshot: which files they are, and the note that signs them (docs/feed.md, "Exports").

What lives here: `ExportFile`, `Exports`, and its text. It is signed under the name and with the key of the
snapshots' notes; its first line is another one, so neither can be taken for the other.
"""

import re
from typing import Final, NamedTuple, Self

from gateway import _core
from gateway.base.errors import CoreError, TallygateError
from gateway.feed.objects import MAX_NUMBER

FORMAT: Final = "tallygate-exports/1"

RESULTS: Final = "results.csv"
NAMES: Final = "names.csv"
STATIONS: Final = "results.ndjson"
TURNOUT: Final = "turnout.csv"
ARRIVALS: Final = "arrivals.csv"
NIST: Final = "nist-cdf.json"
PARQUET: Final = "stations.parquet"

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FILE: Final = re.compile(r"([0-9a-f]{64}) (0|[1-9][0-9]{0,15}) ([a-z][a-z0-9.-]{0,63})", re.ASCII)


class ExportFile(NamedTuple):
    """One of the files; `size` in bytes, `sha256` in hex."""

    sha256: str
    size: int
    name: str


class Exports(NamedTuple):
    """What a note of exports signs.

    Attributes:
        origin: of the log.
        number: of the snapshot.
        snapshot: SHA-256 of its file, hex.
        files: by name, ascending.
    """

    origin: str
    number: int
    snapshot: str
    files: tuple[ExportFile, ...]

    @property
    def text(self) -> str:
        """The lines that are signed."""
        files = (f"{file.sha256} {file.size} {file.name}" for file in self.files)
        lines = (FORMAT, self.origin, str(self.number), self.snapshot, *files)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def open(cls, note: bytes, vkey: str, place: str) -> Self:
        """Reads a note.

        Args:
            note: its bytes.
            vkey: the verifier key of the snapshots.
            place: the note's name, for errors.

        Raises:
            TallygateError: ``feed.note``.
        """
        try:
            text = _core.open_note(note, vkey)
        except CoreError as error:
            raise TallygateError("feed.note", f"this note does not verify: {error}", place=place) from None
        lines = text.split("\n")
        if len(lines) < 5 or lines[0] != FORMAT or not _NUMBER.fullmatch(lines[2]):
            raise TallygateError("feed.note", "this note signs no exports", place=place)
        found = [_FILE.fullmatch(line) for line in lines[4:-1]]
        files = tuple(ExportFile(one[1], int(one[2]), one[3]) for one in found if one is not None)
        read = cls(lines[1], int(lines[2]), lines[3], files)
        names = [file.name for file in files]
        ordered = names == sorted(set(names)) and all(file.size <= MAX_NUMBER for file in files)
        if read.text != text or not ordered or read.number > MAX_NUMBER or not _HASH.fullmatch(read.snapshot):
            raise TallygateError("feed.note", "this note of exports has another form", place=place)
        return read
