"""The embargo: which snapshots it holds back, and what the public sees of them (docs/feed.md, "Embargo").

What lives here: `Embargo`, the one place that decides; `withhold` and `withhold_decisions`, what is left of a
snapshot and of its decisions; and `check_folders`, what has to hold of the folder that hides the rest. Moving
files is `gateway.publish.writer`'s, which bundle is hidden `gateway.publish.logfiles`'.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from gateway import _core
from gateway.base.clock import MAX_TIME, format_time
from gateway.base.errors import TallygateError
from gateway.feed.models import Child, Decision, Decisions, DecisionsRef, Latest, Paused

# Reports whose arrival begins an embargo: result and protocol.
_COUNTS: Final = (3, 4)
_CHOOSE: Final = 5
# For gateway and monitor, which may run under users of one group, and nobody else.
FOLDER_MODE: Final = 0o750
_OTHERS: Final = 0o007


class Embargo:
    """What is held back, of one log.

    Args:
        publish_at: of the definition, ms; None: there is no embargo.

    Attributes:
        first: index of the first result or protocol among the entries taken, belonging or not.
    """

    def __init__(self, publish_at: int | None) -> None:
        self._until = publish_at
        self.first: int | None = None

    def note(self, index: int, statement: _core.Statement) -> None:
        """Takes an entry of the log; indexes ascend."""
        if self.first is None and statement.report in _COUNTS:
            self.first = index

    def over(self, published_at: int) -> bool:
        """Whether everything that was hidden leaves with a snapshot that is not under embargo.

        Papers are hidden also while there is no count: a protocol's scan may come before its figures.

        Args:
            published_at: of that snapshot, ms.
        """
        return self._until is not None and (self.first is not None or published_at >= self._until)

    def until(self, size: int, published_at: int, last: Latest | None) -> str | None:
        """Until when the figures of a snapshot stay here; None: they leave with it.

        Args:
            size: entries of the log in it.
            published_at: the election's clock, ms.
            last: the snapshot before; what one of them has let out no clock brings back.
        """
        if self._until is None or self.first is None or self.first >= size or published_at >= self._until:
            return None
        if last is not None and last.embargo_until is None and self.first < last.log.size:
            return None
        return format_time(min(self._until, MAX_TIME))


def withhold(latest: Latest, until: str, decisions: DecisionsRef) -> Latest:
    """What the public sees of a snapshot under embargo.

    Args:
        latest: the whole of it.
        until: as `Embargo.until` says.
        decisions: the file of what `withhold_decisions` leaves.
    """
    return msgspec.structs.replace(
        latest,
        children=tuple(Child(one.area, one.progress, None, one.turnout) for one in latest.children),
        decisions=decisions,
        embargo_until=until,
        results=(),
        root=None,
        tally=None,
    )


def withhold_decisions(listing: Decisions) -> Decisions:
    """What the public sees of decisions under embargo: who decided what when, and no words of theirs.

    A reason may quote figures; so may its payload's hash, to whoever guesses the words; an id of a packet
    names one of which nothing is public.
    """
    return msgspec.structs.replace(listing, decisions=tuple(map(_withheld, listing.decisions)))


def _withheld(decision: Decision) -> Decision:
    action = decision.action[:-1] if decision.action[0] == _CHOOSE else decision.action
    return msgspec.structs.replace(decision, action=action, payload=None, reason=())


def withhold_reason(paused: Paused) -> Paused:
    """A pause under embargo: the commission's reason is one of a decision."""
    return paused if paused.by != "commission" else msgspec.structs.replace(paused, reason=())


def check_folders(feed: Path, hidden: Path) -> None:
    """Makes the hidden folder if it is missing, and proves that files can be moved from it to the feed.

    Raises:
        TallygateError: ``embargo.readable``: others may look into it; ``embargo.folder``: it lies in the
            feed, or on another file system.
        OSError: it cannot be made, or nothing can be written into one of them.
    """
    with contextlib.suppress(FileExistsError):
        hidden.mkdir(FOLDER_MODE)
    if hidden.stat().st_mode & _OTHERS:
        raise TallygateError(
            "embargo.readable",
            f"everybody on this machine may look into this folder, and figures under embargo go there: "
            f"chmod {FOLDER_MODE:o} it",
            place=str(hidden),
        )
    if hidden.resolve().is_relative_to(feed.resolve()):
        raise TallygateError(
            "embargo.folder", "this folder lies in the feed, which everybody reads", place=str(hidden)
        )
    # One device can be mounted twice, and a rename from mount to mount fails all the same: so try it.
    probe = ".embargo.tmp"
    (hidden / probe).write_bytes(b"")
    try:
        os.rename(hidden / probe, feed / probe)  # noqa: PTH104
        (feed / probe).unlink()
    except OSError as error:
        (hidden / probe).unlink(missing_ok=True)
        raise TallygateError(
            "embargo.folder",
            f"a file of this folder cannot be moved to {feed} ({error.strerror or error}), and at the end of "
            "the embargo all are: put both on one file system",
            place=str(hidden),
        ) from None
