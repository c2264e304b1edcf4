"""``data/pause.json``: the operator's stop, which holds whether anything runs or not.

What lives here: the file's form, `order_pause` and `end_pause`, which `tallygate pause` and `resume` call,
`read_pause`, and `PauseSwitch`, the publisher's view of it. A file that is there and cannot be understood is
a pause: somebody wanted to stop publication, and only `tallygate resume` ends that.
"""

import contextlib
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from gateway.base.clock import parse_time
from gateway.base.errors import TallygateError
from gateway.base.files import PUBLIC_FILE, read_bounded, sync_directory, write_durably
from gateway.base.logs import Log
from gateway.feed.models import Paused, Time

# Bytes of a reason: what a text of a decision may have (docs/packet.md), for it is shown in the same place.
MAX_REASON: Final = 2_000
# Bytes of the file: a reason whose every character is escaped, and a time.
_MAX_FILE: Final = 16_384

# What the public reads where the file cannot be understood.
_UNREADABLE: Final = "The operators have paused publication; their reason cannot be read."


class PauseFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``data/pause.json``.

    Attributes:
        since: when the operator said so, by the election's clock.
        reason: one sentence for the public.
    """

    since: Time
    reason: str


class Ordered(NamedTuple):
    """What `order_pause` has done: the pause in force, and the one that it took the place of."""

    pause: PauseFile
    before: PauseFile | None


def order_pause(path: Path, reason: str, since: str) -> Ordered:
    """Pauses publication, durably; one that is in force keeps its beginning and gets the new reason.

    Args:
        path: ``data/pause.json``.
        reason: one sentence for the public.
        since: now, by the election's clock.

    Raises:
        TallygateError: ``pause.reason``.
        OSError: it cannot be written.
    """
    _check_reason(reason)
    before = None
    with contextlib.suppress(TallygateError):  # what cannot be understood is replaced
        before = read_pause(path)
    pause = PauseFile(since if before is None else before.since, reason)
    # Whatever the operator's umask: publish may run as another user.
    write_durably(path, msgspec.json.encode(pause) + b"\n", mode=PUBLIC_FILE)
    return Ordered(pause, before)


def end_pause(path: Path) -> bool:
    """Ends the operator's pause, durably; whether there was one.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync_directory(path.parent)
    return True


def read_pause(path: Path) -> PauseFile | None:
    """The operator's pause; None: there is none.

    Raises:
        TallygateError: ``pause.unreadable``: there is a file, and what it says cannot be understood.
    """
    try:
        pause = msgspec.json.decode(read_bounded(path, _MAX_FILE), type=PauseFile)
        _check_reason(pause.reason)
        parse_time(pause.since)  # the pattern lets 30 February pass
    except FileNotFoundError:
        return None
    except (TallygateError, msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        words = error.detail if isinstance(error, TallygateError) else str(error)
        raise TallygateError(
            "pause.unreadable",
            f"this file pauses publication, and it cannot be understood ({words}): `tallygate pause` with a "
            "reason writes it again, `tallygate resume` removes it",
            place=str(path),
        ) from None
    return pause


def _check_reason(reason: str) -> None:
    # What is printable has no half surrogate pair either, and can be encoded.
    if not reason.strip() or not reason.isprintable() or len(reason.encode()) > MAX_REASON:
        raise TallygateError(
            "pause.reason",
            f"a reason is one line that the public reads: visible characters and spaces, at most "
            f"{MAX_REASON:,} bytes",
        )


class PauseSwitch:
    """The operator's pause as the publisher sees it. One thread at a time.

    Args:
        path: ``data/pause.json``.
        log: is told of a file that cannot be understood, once.
    """

    def __init__(self, path: Path, log: Log) -> None:
        self._path = path
        self._log = log
        self._pause: PauseFile | None = None
        self._words = ""

    @property
    def on(self) -> bool:
        """Whether publication is paused, as of the last look."""
        return self._pause is not None or bool(self._words)

    @property
    def reason(self) -> str:
        """Why, as of the last look; empty: it is not paused."""
        return self._pause.reason if self._pause is not None else _UNREADABLE if self._words else ""

    def look(self) -> None:
        """Looks at the file."""
        try:
            self._pause, words = read_pause(self._path), ""
        except TallygateError as error:
            self._pause, words = None, str(error)
            if words != self._words:
                self._log("publish.pause_unreadable", words=words)
        self._words = words

    def shown(self, last: Paused | None, now: str) -> Paused | None:
        """What a snapshot says; None: the operator has paused nothing.

        Args:
            last: what the snapshot before says.
            now: by the election's clock, for a pause whose beginning cannot be read.
        """
        if self._pause is not None:
            return Paused("operator", (("en", self._pause.reason),), self._pause.since)
        if not self._words:
            return None
        since = last.since if last is not None and last.by == "operator" else now
        return Paused("operator", (("en", _UNREADABLE),), since)
