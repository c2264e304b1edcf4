"""The log as static files: the tiles and entry bundles that a checkpoint needs and that are not there yet.

What lives here: `LogFiles`, which holds the statements that no written bundle has, and `Cut`, the files of
one checkpoint. Hashes come from the log's tree, names and widths from `gateway._core` (docs/log.md, "Tiles").

Statements lie in a temporary file once they are many: a publication that was paused for hours, or the whole
log at a start, is never in memory. Nothing of an entry is in the feed before a checkpoint with it is written,
so that a pause keeps back what it is meant to.

Under an embargo a bundle that holds the first result or anything behind it is hidden. What came before is
nobody's secret, and the log's key is in it: these entries get a bundle of their own, as narrow as they are.
"""

import itertools
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from gateway import _core
from gateway.feed import layout
from gateway.publish.protocol import FeedFile

# Entries of a full bundle, hashes of a full tile (C2SP tlog-tiles).
TILE: Final = 256
# Bytes of statements in memory: some ten thousand, ten seconds of the busiest minutes.
_MEMORY: Final = 16 * 1024 * 1024
# Bytes of a statement's length in a bundle.
_LENGTH: Final = 2

# Level, number and width of a tile.
_Name: TypeAlias = tuple[int, int, int]


class _Spool:
    """Statements from one index on, one behind the other as bundles hold them; one thread at a time."""

    def __init__(self, folder: Path, first: int) -> None:
        self.first: Final = first
        # Where each statement begins, and the end of the last one.
        self._offsets = array("Q", [0])
        # Closed by whoever has the spool: `Cut`, or LogFiles when it cuts and at its end.
        self._file: tempfile.SpooledTemporaryFile[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            _MEMORY, dir=str(folder)
        )

    @property
    def size(self) -> int:
        return self.first + len(self._offsets) - 1

    def append(self, statements: Sequence[bytes]) -> None:
        self._file.seek(self._offsets[-1])
        self._file.write(b"".join(len(one).to_bytes(_LENGTH, "big") + one for one in statements))
        sizes = (len(statement) + _LENGTH for statement in statements)
        self._offsets.extend(
            itertools.islice(itertools.accumulate(sizes, initial=self._offsets[-1]), 1, None)
        )

    def bundle(self, number: int, width: int) -> bytes:
        begin = number * TILE - self.first
        offset = self._offsets[begin]
        self._file.seek(offset)
        return self._file.read(self._offsets[begin + width] - offset)

    def close(self) -> None:
        self._file.close()


class Cut:
    """The files of one checkpoint; iterate over them once, then close it.

    Raises:
        OSError: the temporary file cannot be read.
    """

    def __init__(
        self, tree: _core.Tree, names: Sequence[_Name], spool: _Spool, hidden_from: int | None
    ) -> None:
        self._tree = tree
        self._names = names
        self._spool = spool
        self._hidden_from = hidden_from

    def close(self) -> None:
        """Forgets the statements; once more is no change."""
        self._spool.close()

    def __iter__(self) -> Iterator[FeedFile]:
        if self._hidden_from is not None:
            number, width = divmod(self._hidden_from, TILE)
            if width and self._spool.first <= number * TILE and self._hidden_from <= self._spool.size:
                yield self._bundle(number, width)
        for level, number, width in self._names:
            if level == 0:
                yield self._bundle(number, width)
            path = layout.log(_core.tile_path(level, number, width))
            yield FeedFile(path, self._tree.tile(level, number, width))

    def _bundle(self, number: int, width: int) -> FeedFile:
        hidden = self._hidden_from is not None and number * TILE + width > self._hidden_from
        path = layout.log(_core.bundle_path(number, width))
        return FeedFile(path, self._spool.bundle(number, width), hidden)


class LogFiles:
    """Statements go in, files come out. One thread at a time; a `Cut` may be another one's.

    Args:
        folder: for the temporary file.

    Raises:
        OSError: of every method: the temporary file cannot be written or read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spool = _Spool(folder, 0)

    @property
    def size(self) -> int:
        """How many statements were taken."""
        return self._spool.size

    def take(self, statements: Sequence[bytes]) -> None:
        """Takes the log's next statements."""
        self._spool.append(statements)

    def cut(
        self, tree: _core.Tree, old: int, *, full_only: bool = False, hidden_from: int | None = None
    ) -> Cut:
        """The files that the log of all that was taken has and one of `old` entries had not.

        They are written before anything else is cut: full ones are handed out once.

        Args:
            tree: the log's; it has all that was taken.
            old: entries of a log whose files are all there.
            full_only: leave out what later entries will change, to be cut with those.
            hidden_from: index of the first entry that no public bundle may hold; None: each may hold any.
        """
        spool, size = self._spool, self.size
        names = [
            name
            for name in _core.tiles_between(old, size)
            if (name[2] == TILE and not _is_below(name, spool.first)) or (name[2] != TILE and not full_only)
        ]
        width = size % TILE
        self._spool = _Spool(self._folder, size - width)
        if width:
            self._spool.append(_core.decode_bundle(spool.bundle(size // TILE, width), width))
        return Cut(tree, names, spool, hidden_from)

    def close(self) -> None:
        """Forgets what was taken."""
        self._spool.close()


def _is_below(name: _Name, first: int) -> bool:
    """Whether all entries of a full tile lie below an index."""
    level, number, _ = name
    end: int = (number + 1) * TILE ** (level + 1)
    return end <= first
