"""Files that no snapshot of the last ten minutes refers to: whose turn it is to go.

What lives here: `Pruner`. An object leaves when another of the same station or area has taken its place in a
snapshot and ten minutes have passed; a partial tile when its full one is there that long (docs/feed.md). The
log gives back every object, the full tile every partial one.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from gateway.publish.writer import Feed

# Seconds that a file stays after the last snapshot that refers to it.
KEPT_SECONDS: Final = 600.0
# Files that go between two snapshots: some 50 ms, and more than are replaced at 1,000 statements a second.
AT_ONCE: Final = 4_096

# Folders of what is replaced, and of the log's tiles and bundles.
_OBJECTS: Final = ("areas", "stations", "decisions")
_TILES: Final = "log/tile"
_PARTIAL: Final = ".p"


class Pruner:
    """Knows what is referred to, and what was. One thread at a time.

    Args:
        feed: whose files they are.

    Raises:
        OSError: of every method: the disk does not do what it is told.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        # The newest file of each station, area, and of the decisions.
        self._newest: dict[str, str] = {}
        # When it was replaced, and the file; of a full tile the folder of its partial ones.
        self._replaced: deque[tuple[float, str]] = deque()

    def named(self, paths: Iterable[str], now: float) -> None:
        """The files that a snapshot is the first to name; what they take the place of may go later.

        Args:
            paths: below the feed's folder.
            now: seconds from some start.
        """
        for path in paths:
            if path.startswith(_TILES):
                if f"{_PARTIAL}/" not in path:
                    self._replaced.append((now, path + _PARTIAL))
                continue
            subject = _subject(path)
            before = self._newest.get(subject)
            if before is not None and before != path:
                self._replaced.append((now, before))
            self._newest[subject] = path

    def adopt(self, now: float) -> int:
        """Looks for what earlier runs have left; the last snapshot's files were `named` before.

        Returns:
            How many files and folders may go in ten minutes.
        """
        before = len(self._replaced)
        for folder in _OBJECTS:
            for path in self._feed.walk(folder):
                if self._newest.get(_subject(path)) != path:
                    self._replaced.append((now, path))
        for path in self._feed.walk(_TILES):
            if path.endswith(_PARTIAL) and self._feed.holds(path.removesuffix(_PARTIAL)):
                self._replaced.append((now, path))
        return len(self._replaced) - before

    def prune(self, now: float) -> int:
        """Removes what was replaced long enough ago, some of it.

        Returns:
            How many files and folders.
        """
        removed = 0
        while self._replaced and removed < AT_ONCE and self._replaced[0][0] + KEPT_SECONDS <= now:
            _, path = self._replaced.popleft()
            if path.endswith(_PARTIAL):
                self._feed.remove_folder(path)
            elif self._newest.get(_subject(path)) != path:  # it may have come back
                self._feed.remove(path)
            removed += 1
        return removed


def _subject(path: str) -> str:
    """What a file is the object of: ``areas/7``, ``stations/2/2017``, ``decisions``."""
    return path.rpartition("-" if path.startswith("stations/") else "/")[0]
