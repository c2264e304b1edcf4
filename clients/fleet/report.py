"""What a play says: the events of `--json`, the report, and the lines for people (docs/fleet.md)."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from clients.box import times
from clients.fleet.audit import Audit
from clients.fleet.figures import percentile, spread
from clients.fleet.night import Night
from clients.fleet.plan import Plan
from clients.fleet.play import Outcome, State
from clients.terminal import Json

FORMAT = "tallygate-fleet/1"

Report: TypeAlias = Mapping[str, Json]


def event(state: State, plan: Plan, stations: int) -> Mapping[str, Json]:
    """A line of `--json` while it goes on."""
    figures, lines = state.figures, state.lines
    planned = sum(len(device.statements) for device in plan.devices)
    line: dict[str, Json] = {
        "event": "progress",
        "at": times.write(state.real),
        "election_at": state.election,
        "seconds": round(state.seconds, 3),
        "phase": state.phase,
        "stations": stations,
        "devices": len(plan.devices),
        "planned": planned,
    }
    line |= {
        "signed": 0 if figures is None else figures.signed,
        "delivered": 0 if figures is None else figures.delivered,
        "results_planned": 0 if figures is None else figures.results_planned,
        "results": 0 if figures is None else figures.results,
        "results_closed": state.closed,
        "connections": 0 if lines is None else lines.made,
        "open": 0 if lines is None else lines.open,
        "failed": 0 if figures is None else figures.failed,
        "refused": 0 if figures is None else figures.refused,
        "cut": 0 if lines is None else lines.cut,
        "duplicates": 0 if figures is None else figures.duplicates,
        "conflicts": 0 if figures is None else figures.conflicts,
        "rate": 0 if figures is None else figures.rate(state.real),
        "p50_ms": None if figures is None else percentile(figures.from_send, 0.5),
        "p99_ms": None if figures is None else percentile(figures.from_send, 0.99),
    }
    return line


def report(night: Night, plan: Plan, outcome: Outcome) -> Report:
    """The report at the end."""
    figures = outcome.figures
    return {
        "format": FORMAT,
        "ok": outcome.ok,
        "election": night.definition.id,
        "definition": night.definition.sha256.hex(),
        "stations": len(night.definition.stations),
        "devices": len(plan.devices),
        "seconds": round(outcome.seconds, 3),
        "planned": figures.planned,
        "signed": figures.signed,
        "delivered": figures.delivered,
        "undelivered": outcome.undelivered,
        "refused": figures.refused_for_ever,
        "connections": outcome.connections,
        "retries": figures.retries,
        "cut": outcome.cut,
        "duplicates": figures.duplicates,
        "conflicts": figures.conflicts,
        "statements_per_second": round(figures.busiest(), 1),
        "results": {
            "planned": figures.results_planned,
            "delivered": figures.results,
            "from_close_ms": spread(figures.from_close),
            "from_send_ms": spread(figures.from_send),
        },
        "faults": {name: list(numbers) for name, numbers in plan.faults.items()},
        "audit": _audit(outcome.audit),
    }


def _audit(audit: Audit) -> Mapping[str, Json]:
    return {
        "log": audit.log,
        "size": audit.size,
        "delivered": audit.delivered,
        "receipts": audit.receipts,
        "unacknowledged_in": audit.unacknowledged_in,
        "unacknowledged_out": audit.unacknowledged_out,
        "refused": audit.refused,
        "faults": [
            {"code": own.code, "device": own.device, "sequence": own.sequence, "detail": own.detail}
            for own in audit.faults
        ],
        "more": audit.more,
    }


def in_words(values: Sequence[int]) -> str:
    """p50, p99 and the longest, for people; empty: there are none."""
    p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
    if p50 is None or p99 is None:
        return ""
    return f"half within {p50:,} ms, 99 % within {p99:,} ms, all within {max(values):,} ms"


def audit_in_words(audit: Audit) -> str:
    """What an audit has looked at, for people."""
    if audit.log == "none":
        return "impossible: no log can be read, and nobody can be asked"
    how = "asked for one by one" if audit.size is None else f"of {audit.size:,} entries, read whole"
    unknown = audit.unacknowledged_in + audit.unacknowledged_out
    return (
        f"{audit.delivered:,} delivered, {audit.receipts:,} receipts verified, {unknown:,} never answered "
        f"({audit.unacknowledged_in:,} in the log), {audit.refused:,} refused; the log {how}"
    )
