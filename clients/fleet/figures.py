"""What happens to a fleet, in numbers: counted as it goes, and as the events that `--json` writes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from clients.box.send import Delivered, Event, Failed, Refused
from clients.fleet.history import Record
from clients.fleet.plan import Plan, Planned
from clients.terminal import Json

# Seconds of the busiest time that is reported: one of them alone says more of the clock than of the gateway.
BUSIEST_SECONDS: Final = 10


class Figures:
    """The counts of one play.

    Attributes:
        planned: statements in all.
        results_planned: of these, results; a twin is none.
        signed: statements so far.
        delivered: statements whose first receipt was verified.
        results: of these, results.
        failed: attempts without an answer that means something.
        retries: waits before another attempt, whatever the reason.
        refused: answers `later` or `fix`.
        refused_for_ever: statements that will never be taken.
        duplicates: answers that called an upload known.
        conflicts: answers that called it another packet under one sequence.
        from_send: for each delivered result, real ms to its receipt from its being sent, or from the close of
            its station if that came later.
        from_close: the same from the station's close.
    """

    def __init__(self, plan: Plan, closed: Callable[[int], int]) -> None:
        """Start at nothing.

        Args:
            plan: the night's.
            closed: real time, ms, at which a station has closed.
        """
        self._closed = closed
        self.planned = sum(len(device.statements) for device in plan.devices)
        self.results_planned = sum(is_result(one) for device in plan.devices for one in device.statements)
        self.signed = self.delivered = self.results = 0
        self.failed = self.retries = self.refused = self.refused_for_ever = 0
        self.duplicates = self.conflicts = 0
        self.from_send: list[int] = []
        self.from_close: list[int] = []
        self._by_second: Counter[int] = Counter()

    def hear(self, event: Event, record: Record | None) -> None:
        """Count an event of a device's sender."""
        match event:
            case Delivered(_, logged) if record is not None:
                self.duplicates += logged.outcome == "duplicate"
                self.conflicts += logged.outcome == "conflict"
                if len(record.promises) == 1:
                    self._first(record)
            case Refused(_, _, None):
                self.refused_for_ever += 1
            case Refused():
                self.refused += 1
                self.retries += 1
            case Failed():
                self.failed += 1
                self.retries += 1

    def _first(self, record: Record) -> None:
        self.delivered += 1
        at, due = record.delivered, record.due
        if at is None or due is None:
            return
        self._by_second[at // 1000] += 1
        if is_result(record.planned):
            self.results += 1
            closed = self._closed(record.planned.station)
            # A box whose clock is ahead has tried before; nobody could have taken it then.
            self.from_send.append(at - max(due, closed))
            self.from_close.append(at - closed)

    def rate(self, now: int) -> int:
        """Statements delivered in the last whole second before `now`, real ms."""
        return self._by_second[now // 1000 - 1]

    def busiest(self) -> float:
        """Statements a second over the busiest seconds in a row."""
        if not self._by_second:
            return 0.0
        seconds = range(min(self._by_second), max(self._by_second) + 1)
        span = min(BUSIEST_SECONDS, len(seconds))
        total = most = sum(self._by_second[second] for second in seconds[:span])
        for gone, come in zip(seconds, seconds[span:], strict=False):
            total += self._by_second[come] - self._by_second[gone]
            most = max(most, total)
        return most / span


def is_result(planned: Planned) -> bool:
    """Whether it is a station's result, and not the twin of one."""
    return planned.kind == "result" and not planned.twin


def percentile(values: Sequence[int], share: float) -> int | None:
    """The smallest value that at least this share of all do not exceed; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def spread(values: Sequence[int]) -> Mapping[str, Json] | None:
    """p50, p99 and the largest."""
    if not values:
        return None
    return {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "max": max(values)}
