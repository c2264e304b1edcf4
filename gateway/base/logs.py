"""What a role says while it runs: one line of JSON an event, to stderr (docs/operations.md, "Logs").

What lives here: the events with their levels, and `Log`, which is passed in to whoever has something to say.
An event's name and level never depend on the case, so that an alert can be written against them. No line
holds a statement's bytes, a key or another secret: values are numbers, words and short texts. Under a flood
an event is written `BURST` times a second, and the next line says how many were left out.
"""

import contextlib
import logging
import queue
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, Literal, TextIO, TypeAlias

import msgspec
import structlog
from structlog.typing import EventDict

from gateway.base.clock import SECOND, Clock, format_time

Level: TypeAlias = Literal["info", "warning", "error", "critical"]
Field: TypeAlias = str | int | float | bool | None

# Every event there is; docs/operations.md says what each means and what to do.
Event: TypeAlias = Literal[
    "role.starting",
    "role.ready",
    "role.stopping",
    "role.stopped",
    "role.failed",
    "role.fault",
    "clock.waiting",
    "limits.files",
    "ledger.proved",
    "ledger.not_open",
    "ledger.failed",
    "roster.offered",
    "roster.missing",
    "roster.refused",
    "tls.reloaded",
    "tls.reload_failed",
    "disk.low",
    "disk.enough",
    "disk.unknown",
    "boxport.handshake",
    "boxport.displaced",
    "boxport.replaced",
    "boxport.no_files",
    "boxport.fault",
    "attachments.cleaned",
    "attachments.fault",
    "attachments.changed",
    "attachments.unreadable",
    "statement.refused",
    "statement.conflict",
    "sequencer.fault",
    "operations.fault",
    "publish.waiting",
    "publish.following",
    "publish.resumed",
    "publish.completed",
    "publish.restored",
    "publish.record_lost",
    "publish.snapshot_lost",
    "publish.paused",
    "publish.unpaused",
    "publish.embargoed",
    "publish.lifted",
    "publish.failed",
    "publish.pause_unreadable",
    "publish.no_room",
    "publish.room",
    "information.shown",
    "export.made",
    "export.failed",
    "export.fault",
    "information.refused",
    "gate.failed",
    "web.fault",
    "web.disk",
    "web.feed",
    "supervise.started",
    "supervise.ended",
    "supervise.killed",
]

EVENTS: Final[Mapping[Event, Level]] = {
    "role.starting": "info",
    "role.ready": "info",
    "role.stopping": "info",
    "role.stopped": "info",
    "role.failed": "critical",
    "role.fault": "critical",
    "clock.waiting": "info",
    "limits.files": "warning",
    "ledger.proved": "info",
    "ledger.not_open": "warning",
    "ledger.failed": "critical",
    "roster.offered": "info",
    "roster.missing": "error",
    "roster.refused": "error",
    "tls.reloaded": "info",
    "tls.reload_failed": "error",
    "disk.low": "critical",
    "disk.enough": "info",
    "disk.unknown": "error",
    "boxport.handshake": "info",
    "boxport.displaced": "warning",
    "boxport.replaced": "warning",
    "boxport.no_files": "error",
    "boxport.fault": "error",
    "attachments.cleaned": "info",
    "attachments.fault": "error",
    "attachments.changed": "error",
    "attachments.unreadable": "error",
    "statement.refused": "info",
    "statement.conflict": "warning",
    "sequencer.fault": "error",
    "operations.fault": "error",
    "publish.waiting": "info",
    "publish.following": "info",
    "publish.resumed": "info",
    "publish.completed": "warning",
    "publish.restored": "warning",
    "publish.record_lost": "error",
    "publish.snapshot_lost": "critical",
    "publish.paused": "warning",
    "publish.unpaused": "info",
    "publish.embargoed": "info",
    "publish.lifted": "info",
    "publish.failed": "critical",
    "publish.pause_unreadable": "error",
    "publish.no_room": "critical",
    "publish.room": "info",
    "information.shown": "info",
    "export.made": "info",
    "export.failed": "warning",
    "export.fault": "error",
    "information.refused": "error",
    "gate.failed": "critical",
    "web.fault": "error",
    "web.disk": "error",
    "web.feed": "error",
    "supervise.started": "info",
    "supervise.ended": "warning",
    "supervise.killed": "error",
}

# Lines of one event in one second: enough to see what happens, too few for a stranger to fill a disk.
BURST: Final = 20
# Characters of a text in a line; a sentence of ours has at most some hundreds.
MAX_TEXT: Final = 2_000
# Characters of a traceback: its last frames are the ones that tell.
MAX_TRACEBACK: Final = 8_000

# Lines that wait for a slow reader of stderr; more are dropped, and counted.
WAITING: Final = 4_096
# Seconds that a process gives its last lines.
FLUSH_SECONDS: Final = 2.0

_LEVELS: Final[Mapping[Level, int]] = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

_encode: Final = msgspec.json.Encoder().encode


class Log:
    """The log of one role. Safe to share between threads; never waits for whoever reads it.

    Args:
        role: stands in every line.
        sink: takes a finished line, without its line feed, and returns at once.
        clock: the machine's, ms: logs are in real time, also in a rehearsal.
    """

    def __init__(self, role: str, sink: Callable[[str], None], clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._second = -1
        self._lines: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            _Lines(sink),
            processors=[self._complete, structlog.processors.JSONRenderer(_serialize)],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        )
        self._logger = logger.bind(role=role)

    def __call__(self, event: Event, **fields: Field) -> None:
        """Writes an event with what belongs to it."""
        self._logger.log(_LEVELS[EVENTS[event]], event, **fields)

    def fault(self, event: Event, error: BaseException, **fields: Field) -> None:
        """Writes an event with the exception behind it, for programmers: its class, words and traceback."""
        trace = "".join(traceback.format_exception(error))[-MAX_TRACEBACK:]
        self(event, **fields, error=type(error).__name__, words=str(error), traceback=trace)

    def _complete(self, logger: object, level: str, fields: EventDict) -> EventDict:
        """Puts the fields in a reader's order, or drops a line of a flood."""
        now = self._clock()
        event = str(fields.pop("event"))
        role = fields.pop("role")
        left_out = self._admit(event, now)
        line: EventDict = {"timestamp": format_time(now), "level": level, "role": role, "event": event}
        line.update({name: _bounded(name, value) for name, value in fields.items()})
        if left_out:
            line["left_out"] = left_out
        return line

    def _admit(self, event: str, now: int) -> int:
        """How many lines of this event were left out before; raises `structlog.DropEvent` to leave it out."""
        with self._lock:
            if now // SECOND != self._second:
                self._second = now // SECOND
                self._lines.clear()
            self._lines[event] += 1
            if self._lines[event] > BURST:
                self._left_out[event] += 1
                raise structlog.DropEvent
            return self._left_out.pop(event, 0)


class StderrWriter:
    """A sink that writes in a thread of its own: a terminal that somebody has stopped stops no gateway.

    Args:
        stream: stderr. Lines that find `WAITING` others before them are dropped; the next one says how many.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._queue: queue.Queue[str | None] = queue.Queue(WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def __call__(self, line: str) -> None:
        """Takes a line."""
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self._dropped += 1  # a lost increment between threads costs one in a count for people

    def close(self) -> None:
        """Gives the last lines `FLUSH_SECONDS`."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=FLUSH_SECONDS)
        self._thread.join(FLUSH_SECONDS)

    def _write(self) -> None:
        while (line := self._queue.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            # Nobody reads any more: that is no reason to end, and nobody could be told.
            with contextlib.suppress(OSError, ValueError):
                if dropped:
                    self._stream.write(
                        _encode({"level": "warning", "event": "log.dropped", "lines": dropped}).decode()
                        + "\n"
                    )
                self._stream.write(line + "\n")
                self._stream.flush()


class _Lines:
    """What structlog calls with a finished line, whatever its level."""

    def __init__(self, sink: Callable[[str], None]) -> None:
        self.info = self.warning = self.error = self.critical = sink


def _serialize(fields: Mapping[str, Field], **_: object) -> str:
    return _encode(fields).decode()


def _bounded(name: str, value: object) -> Field:
    if isinstance(value, str):
        # A file's name may hold bytes that are no text.
        text = value.encode(errors="backslashreplace").decode()
        return text if name == "traceback" else text[:MAX_TEXT]
    # A type checker knows the rest; what it cannot see, bytes above all, is never written out.
    return value if isinstance(value, int | float) or value is None else f"<{type(value).__name__}>"
