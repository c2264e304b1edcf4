"""``tallygate status``: a night in one look, for the person on the night shift and for scripts."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.base.clock import parse_time, system_clock, to_datetime
from gateway.base.config import read_config
from gateway.cli.shared import say, say_json, visible
from gateway.run.alarms import Alarm, judge
from gateway.run.folder import find_night
from gateway.run.scrape import scrape
from gateway.run.status import Look, NightStatus, RoleStatus

# Seconds between two looks: of a board, and of the one look that has a rate.
WATCH_SECONDS: Final = 2.0
RATE_SECONDS: Final = 1.0
# Characters of the bar.
_BAR: Final = 24
_GIB: Final = 2**30

_STYLES: Final = {"good": "green", "soft": "dim", "warning": "yellow", "critical": "bold red", "": ""}


class _Line(NamedTuple):
    """A line of the board: what it is about, its words, and how they stand."""

    label: str
    words: str
    style: str = ""


class _Report(msgspec.Struct, frozen=True):
    """What ``--json`` prints."""

    status: NightStatus
    alarms: tuple[Alarm, ...]


@click.command(epilog="Example: tallygate status night --watch")
@click.argument("night", type=click.Path(path_type=Path))
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a look.")
def status(night: Path, watch: bool, as_json: bool) -> int:
    """Show how NIGHT stands: roles, progress, rates, the newest snapshot, and what is wrong and what to do.

    Works whether its roles run or not. The exit code is 0 whatever is wrong with the night, and 1 only where
    it cannot be read; scripts look at "alarms" of --json.
    """
    folder = find_night(night)
    config = read_config(folder.config)
    look = Look(folder, config, real=system_clock, timer=time.monotonic, scrape=scrape)
    if watch:
        _watch(look, as_json=as_json)
        return 0
    seen, metrics = look()
    if seen.statements is not None:
        time.sleep(RATE_SECONDS)
        seen, metrics = look()
    report = _Report(seen, judge(seen, metrics))
    if as_json:
        say_json(report)
    else:
        _say(report)
    return 0


def _watch(look: Look, *, as_json: bool) -> None:
    """Looks again and again until Ctrl-C, which is how a board ends and no error."""
    console = Console()
    try:
        if as_json or not console.is_terminal:
            for report in _reports(look):
                if as_json:
                    say_json(report)
                else:
                    _say(report)
                    say()
            return
        with Live(console=console, auto_refresh=False, screen=True) as live:
            for report in _reports(look):
                live.update(_board(report), refresh=True)
    except KeyboardInterrupt:
        return


def _reports(look: Look) -> Iterator[_Report]:
    while True:
        seen, metrics = look()
        yield _Report(seen, judge(seen, metrics))
        time.sleep(WATCH_SECONDS)


def _say(report: _Report) -> None:
    for line in _lines(report):
        say(f"{line.label:<13}{line.words}")


def _board(report: _Report) -> Group:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=12, style="dim")
    table.add_column(overflow="fold")
    for line in _lines(report):
        table.add_row(line.label, Text(visible(line.words), style=_STYLES[line.style]))
    return Group(table, Text("\nevery two seconds; Ctrl-C ends this board, not the night", style="dim"))


def _lines(report: _Report) -> Iterator[_Line]:
    seen = report.status
    rehearsal = seen.mode == "rehearsal"
    yield _Line("night", f"{seen.night}: {seen.election}" + (", REHEARSAL" if rehearsal else ""))
    yield _Line("clock", _clock(seen))
    for role in seen.roles:
        line = _role(role)
        agrees = None if seen.publication is None else seen.publication.replay_matches
        if role.role == "monitor" and agrees is not None:
            line = line._replace(
                words=f"{line.words}, {'agrees with what is published' if agrees else 'DISAGREES'}"
            )
        yield line
    yield from _progress(seen)
    yield from _flow(seen)
    yield from _published(seen)
    if seen.disk is not None:
        yield _Line(
            "disk",
            f"{seen.disk.free / _GIB:.1f} GiB free, reserve {seen.disk.reserve / _GIB:.1f} GiB",
            "soft",
        )
    if seen.expiries:
        ends = [f"{one.name} {one.ends[:10]}" for one in seen.expiries]
        yield _Line("valid until", ", ".join(ends), "soft")
    if not report.alarms:
        yield _Line("alarms", "none", "good")
    for alarm in report.alarms:
        yield _Line(alarm.level, f"{alarm.words} [{alarm.name}]", alarm.level)
        yield _Line("", f"→ {alarm.todo}")


def _clock(seen: NightStatus) -> str:
    if seen.election_time is None:
        return "the rehearsal's time does not run yet"
    now = parse_time(seen.election_time)
    local = to_datetime(now).astimezone(ZoneInfo(seen.timezone))
    speed = "" if seen.speed in (None, 1) else f", speed {seen.speed}"
    for name, at in (("opens", parse_time(seen.opens_at)), ("closes", parse_time(seen.closes_at))):
        if now < at:
            return f"{local:%Y-%m-%d %H:%M:%S} {seen.timezone}{speed}; {name} in {_span((at - now) // 1000)}"
    since = _span((now - parse_time(seen.closes_at)) // 1000)
    return f"{local:%Y-%m-%d %H:%M:%S} {seen.timezone}{speed}; closed {since} ago"


def _span(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7_200:
        return f"{seconds // 60} min"
    if seconds < 172_800:
        return f"{seconds // 3_600} h {seconds % 3_600 // 60:02d} min"
    return f"{seconds // 86_400} days"


def _role(role: RoleStatus) -> _Line:
    style = {"ready": "good", "off": "soft", "starting": "warning", "stopping": "warning"}.get(
        role.state, "critical"
    )
    words: str = role.state
    if role.pid is not None:
        words += f", process {role.pid}"
    if role.addresses:
        words += f", {role.addresses[0]}"
    return _Line(role.role, words, style)


def _progress(seen: NightStatus) -> Iterator[_Line]:
    progress = seen.progress
    if progress is None:
        yield _Line("counted", f"nothing is published yet; {seen.stations:,} stations", "soft")
        return
    counted = progress.reported + progress.disputed
    filled = _BAR * counted // progress.stations if progress.stations else 0
    percent = 100 * counted / progress.stations if progress.stations else 0.0
    bar = "█" * filled + "░" * (_BAR - filled)
    yield _Line("counted", f"{bar} {counted:,} of {progress.stations:,} stations ({percent:.1f} %)")
    states = [
        f"{number:,} {word}"
        for number, word in (
            (progress.silent, "silent"),
            (progress.opened, "opened"),
            (progress.partial, "partial"),
            (progress.held, "held"),
            (progress.disputed, "disputed"),
            (progress.annulled, "annulled"),
            (progress.cancelled, "cancelled"),
        )
        if number or word in ("silent", "opened")
    ]
    yield _Line("", ", ".join(states))


def _flow(seen: NightStatus) -> Iterator[_Line]:
    flow = seen.statements
    if flow is not None:
        rate = "" if flow.per_second is None else f"{flow.per_second:,.1f}/s now; "
        yield _Line(
            "statements",
            f"{rate}{flow.accepted:,} accepted, {flow.duplicate:,} duplicate, {flow.conflict:,} conflict, "
            f"{flow.refused:,} refused",
        )
    queue = seen.queue
    if queue is not None:
        yield _Line(
            "waiting",
            f"{queue.uploads:,} of {queue.uploads_limit:,} uploads; {queue.connections:,} of "
            f"{queue.connections_limit:,} connections",
            "soft",
        )


def _embargo(until: str, seen: NightStatus) -> str:
    at = parse_time(until)
    local = to_datetime(at).astimezone(ZoneInfo(seen.timezone))
    left = "" if seen.election_time is None else _left(at - parse_time(seen.election_time))
    return f"the public sees no figures until {local:%Y-%m-%d %H:%M:%S} {seen.timezone}{left}"


def _left(ms: int) -> str:
    return f", in {_span(ms // 1000)}" if ms > 0 else "; they follow when publication goes on"


def _published(seen: NightStatus) -> Iterator[_Line]:
    snapshot = seen.snapshot
    if snapshot is not None:
        entries = f"{snapshot.entries:,}" + ("" if seen.entries is None else f" of {seen.entries:,}")
        yield _Line(
            "snapshot",
            f"{snapshot.number:,}, {_span(int(snapshot.age_seconds))} old; {entries} entries; "
            f"{snapshot.status}",
        )
        if snapshot.embargo_until is not None:
            yield _Line("embargo", _embargo(snapshot.embargo_until, seen))
    elif seen.entries is not None:
        yield _Line("log", f"{seen.entries:,} entries")
    lag = seen.publication
    if lag is not None:
        parts = [
            f"{name} {value:,.1f} s"
            for name, value in (
                ("half within", lag.lag_p50_seconds),
                ("99 % within", lag.lag_p99_seconds),
                ("oldest waits", lag.oldest_unpublished_seconds),
            )
            if value is not None
        ]
        if parts:
            yield _Line("publication", "; ".join(parts))
