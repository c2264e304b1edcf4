"""The station behind a wrong figure: down the feed's own objects, beside those that the log leads to.

A wrong snapshot is a wrong sum; where the feed's objects fit to it, they lead to the station that is wrong.
This only adds to what is said of a difference that was found: a file that is missing ends the search.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias, cast

from clients.observer.replay import FIGURES_DIFFER, Judged, Replay
from clients.observer.shelf import MAX_OBJECT_BYTES
from clients.observer.tally import Tally
from clients.observer.verdict import CannotCheckError, Check, DifferenceError, Folder, member_difference, read
from clients.wire import feed
from clients.wire.text import hex_32

_Object: TypeAlias = Mapping[str, object]


class Located(NamedTuple):
    """A station whose row in an area's object is another.

    Attributes:
        station: number.
        path: of the area's object; "" where it stands in the snapshot itself.
        detail: what the row says, and what the log gives.
    """

    station: int
    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path or 'the row'} of station {self.station}: {self.detail}"


def judge_snapshot(folder: Folder, replay: Replay, data: bytes, signed_note: bytes) -> Judged:
    """As `Replay.judge`; a difference in figures names the station, if it can be found.

    Raises:
        DifferenceError: as there.
    """
    try:
        return replay.judge(data, signed_note)
    except DifferenceError as error:
        found = error.difference
        located = locate(folder, replay.tally, data) if found.code == FIGURES_DIFFER else None
        if located is None:
            raise
        detail = f"{found.detail}; {located}"
        raise DifferenceError(found.code, detail, found.file, found.place, located.station) from error


def failed_check(now: Check, error: DifferenceError) -> Check:
    """The check that has failed: while a snapshot's figures are looked at, so are its note and its chain."""
    if now is Check.FIGURES and error.difference.code != FIGURES_DIFFER:
        return Check.SNAPSHOTS
    return now


def locate(folder: Folder, tally: Tally, snapshot: bytes) -> Located | None:
    """Find the first station whose row is not what the log leads to.

    Args:
        folder: the feed's.
        tally: of the entries of the snapshot.
        snapshot: the bytes of its file.
    """
    try:
        root = cast(_Object, json.loads(snapshot)["tally"])
        return _within(folder, tally, tally.root, root, "")
    except (DifferenceError, CannotCheckError, ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None


def _within(folder: Folder, tally: Tally, area: int, found: _Object, path: str) -> Located | None:
    expected = cast(_Object, json.loads(tally.area(area)))
    for own, other in zip(_list(expected, "rows"), _list(found, "rows"), strict=False):
        place = member_difference(json.dumps(other).encode(), json.dumps(own).encode())
        if place is not None:
            member, had, wanted = place
            return Located(cast(int, own[0]), path, f"its row{member} is {had}, the log gives {wanted}")
    for own, other in zip(_list(expected, "areas"), _list(found, "areas"), strict=False):
        sha256 = hex_32(str(other[1]))
        if own != other and own[0] == other[0] and sha256 is not None:
            child = cast(int, own[0])
            below = feed.area_path(child, sha256)
            data = json.loads(read(folder, below, MAX_OBJECT_BYTES, "an object"))
            located = _within(folder, tally, child, cast(_Object, data), below)
            if located is not None:
                return located
    return None


def _list(members: _Object, name: str) -> list[list[object]]:
    return cast(list[list[object]], members[name])
