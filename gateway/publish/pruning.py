"""Files that no snapshot of the last ten minutes refers to: whose turn it is to go.

What lives here: `Pruner`. An object leaves when another of the same station or area has taken its place in a
snapshot and ten minutes have passed; a partial tile when its full one is there that long (docs/feed.md). The
log gives back every object, the full tile every partial one.

Hidden files take the place of hidden ones: what was public before an embargo stays until it is over, and may
be the newest there is.
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
        # The newest file of each station, area, and of the decisions, among the hidden ones and the others.
        self._newest: dict[tuple[bool, str], str] = {}
        # When it was replaced, whether it was hidden, and the file; of a full tile the folder of its partial
        # ones.
        self._replaced: deque[tuple[float, bool, str]] = deque()

    def named(self, paths: Iterable[str], now: float, *, hidden: bool = False) -> None:
        """The files that a snapshot is the first to name; what they take the place of may go later.

        Args:
            paths: below the feed's folder, or the hidden one.
            now: seconds from some start.
            hidden: whether they are under embargo.
        """
        for path in paths:
            if path.startswith(_TILES):
                if f"{_PARTIAL}/" not in path:
                    self._replaced.append((now, hidden, path + _PARTIAL))
                continue
            subject = hidden, _subject(path)
            before = self._newest.get(subject)
            if before is not None and before != path:
                self._replaced.append((now, hidden, before))
            self._newest[subject] = path

    def lifted(self, now: float) -> None:
        """The hidden files are in the feed now."""
        for hidden, subject in list(self._newest):
            if hidden:
                self._newest[False, subject] = self._newest.pop((True, subject))
        self.adopt(now)

    def adopt(self, now: float) -> int:
        """Looks for what earlier runs have left; the last snapshot's files were `named` before.

        Returns:
            How many files and folders may go in ten minutes.
        """
        before = len(self._replaced)
        for hidden in (False, True):
            for folder in _OBJECTS:
                for path in self._feed.walk(folder, hidden=hidden):
                    if not self._is_newest(path):
                        self._replaced.append((now, hidden, path))
            for path in self._feed.walk(_TILES, hidden=hidden):
                if path.endswith(_PARTIAL) and self._feed.holds(path.removesuffix(_PARTIAL), hidden=hidden):
                    self._replaced.append((now, hidden, path))
        return len(self._replaced) - before

    def prune(self, now: float) -> int:
        """Removes what was replaced long enough ago, some of it.

        Returns:
            How many files and folders.
        """
        removed = 0
        while self._replaced and removed < AT_ONCE and self._replaced[0][0] + KEPT_SECONDS <= now:
            _, hidden, path = self._replaced.popleft()
            if path.endswith(_PARTIAL):
                self._feed.remove_folder(path, hidden=hidden)
            elif not self._is_newest(path):  # it may have come back
                self._feed.remove(path)
            removed += 1
        return removed

    def _is_newest(self, path: str) -> bool:
        subject = _subject(path)
        return path in (self._newest.get((False, subject)), self._newest.get((True, subject)))


def _subject(path: str) -> str:
    """What a file is the object of: ``areas/7``, ``stations/2/2017``, ``decisions``."""
    return path.rpartition("-" if path.startswith("stations/") else "/")[0]
