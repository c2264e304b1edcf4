"""The board of a demonstration: what a person sees while an election night is played.

What lives here: `View`, what is known at a moment; `board`, a pure function from it to what rich draws; and
`line`, the same in one line for a pipe. At most 23 lines high and right from 80 columns on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from clients.fleet.country_names import AGAINST_ALL, ENGLISH, PARTIES, TITLE
from clients.fleet.demo_feed import Snapshot, Votes

Step: TypeAlias = Literal[
    "country", "keys", "gateway", "morning", "day", "rush", "audit", "settle", "verdict"
]
STEPS: Final[tuple[Step, ...]] = (
    *("country", "keys", "gateway", "morning", "day", "rush", "audit", "settle", "verdict"),
)

# While boxes send.
_PLAYED: Final = ("morning", "day", "rush")
_LIST_CONTEST: Final = 1
# Lists that have a bar; the others stand in one line.
_SHOWN_LISTS: Final = 5
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
# Seconds of arrivals in the small chart.
_CHART: Final = 48
_LABEL: Final = 10
# Columns of a list's name, share and votes, and of the gaps; what is left is its bar's.
_BESIDE_BARS: Final = 47
_FEWEST_BAR: Final = 10
_HUNDRED: Final = 10_000


class FleetNews(msgspec.Struct, frozen=True):
    """A line that `tallygate-fleet play --json` writes every second (docs/fleet.md)."""

    phase: str
    planned: int
    delivered: int
    results_planned: int
    results: int
    connections: int
    open: int
    cut: int
    duplicates: int
    rate: float
    p50_ms: float | None
    p99_ms: float | None


@dataclass(slots=True)
class View:
    """What is known at a moment.

    Attributes:
        stations: of the country.
        silent: stations whose box will never arrive.
        step: what is being done.
        time: of day, where the election is; empty before it began.
        fleet: the boxes' last news.
        snapshot: the newest one published.
        rates: statements delivered in each second since the close.
        web: where the public port is; empty before the gateway is ready.
    """

    stations: int
    silent: int
    step: Step = "country"
    time: str = ""
    fleet: FleetNews | None = None
    snapshot: Snapshot | None = None
    rates: list[int] = field(default_factory=list)
    web: str = ""


def ms(value: float | None) -> str:
    """A duration for people."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 1_000 else f"{value / 1_000:.1f} s"


def percent(hundredths: int | None) -> str:
    """A share in hundredths of a percent for people."""
    return "–" if hundredths is None else f"{hundredths // 100}.{hundredths % 100:02} %"


def line(view: View) -> str:
    """The board in one line."""
    fleet, snapshot = view.fleet, view.snapshot
    parts = [f"{view.time:<8} {view.step:<8}"]
    if view.step == "rush" and snapshot is not None:
        counted = snapshot.progress.counted
        parts.append(f"{counted:,} of {view.stations:,} stations counted")
    elif fleet is not None:
        parts.append(f"{fleet.delivered:,} of {fleet.planned:,} statements delivered")
    if fleet is not None:
        parts.append(f"{fleet.rate:,.0f} a second")
        if fleet.p50_ms is not None:
            parts.append(f"receipt p50 {ms(fleet.p50_ms)}, p99 {ms(fleet.p99_ms)}")
    if snapshot is not None:
        parts.append(f"snapshot {snapshot.snapshot}")
    return parts[0] + ", ".join(parts[1:])


def board(view: View, width: int) -> RenderableType:
    """The whole board, for a terminal of so many columns."""
    counted = view.snapshot.progress.counted if view.snapshot else 0
    head = Table.grid(expand=True)
    head.add_column(no_wrap=True, overflow="ellipsis")
    head.add_column(justify="right", no_wrap=True)
    head.add_row(Text(TITLE[ENGLISH], style="bold"), Text(view.time, style="bold cyan"))
    progress = Table.grid(expand=True, padding=(0, 1, 0, 0))
    progress.add_column(ratio=1)
    progress.add_column(justify="right", no_wrap=True)
    share = _HUNDRED * counted // max(1, view.stations)
    progress.add_row(
        ProgressBar(total=view.stations, completed=counted, style="grey37", complete_style="green"),
        Text(f"{counted:,} of {view.stations:,} stations counted, {percent(share)}"),
    )
    parts: list[RenderableType] = [head, _steps(view.step), Text(), progress, Text(), _facts(view)]
    if view.snapshot is not None and (votes := view.snapshot.machine(_LIST_CONTEST)):
        parts += [Text(), _lists(votes, width)]
    if view.web:
        parts += [Text(), _where(view.web)]
    return Padding(Group(*parts), (0, 1))


def _steps(step: Step) -> Text:
    text = Text(no_wrap=True)
    at = STEPS.index(step)
    for number, name in enumerate(STEPS):
        mark, style = (
            ("✓", "green") if number < at else ("▶", "bold yellow") if number == at else ("·", "dim")
        )
        text.append(f"{mark} {name} ", style)
    return text


def _facts(view: View) -> Table:
    table = _labelled()
    snapshot, fleet = view.snapshot, view.fleet
    if snapshot is not None:
        own = snapshot.progress
        never = f" ({view.silent} never come)" if own.silent > view.silent else ""
        table.add_row(
            "stations",
            f"{own.counted:,} counted, {own.held:,} held, {own.disputed:,} disputed, "
            f"{own.silent:,} silent{never}",
        )
        turnout = snapshot.tally.turnout
        table.add_row("voters", f"{turnout.identified:,} identified, {own.opened:,} stations opened")
        table.add_row("published", f"snapshot {snapshot.snapshot}, {snapshot.log.size:,} entries of the log")
    if fleet is not None:
        table.add_row("boxes", f"{fleet.delivered:,} of {fleet.planned:,} statements delivered")
        if view.step in _PLAYED:
            table.add_row("now", f"{fleet.rate:,.0f} statements a second, {fleet.open:,} lines open")
        table.add_row("trouble", f"{fleet.cut:,} lines cut, {fleet.duplicates:,} sent again")
        if fleet.p50_ms is not None:
            table.add_row(
                "receipt", f"p50 {ms(fleet.p50_ms)}, p99 {ms(fleet.p99_ms)} from line up to receipt"
            )
    if view.rates:
        table.add_row("rush", _chart(view.rates))
    return table


def _labelled() -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(style="bold", min_width=_LABEL, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    return table


def _chart(rates: Sequence[int]) -> Text:
    shown = rates[-_CHART:]
    most = max(*shown, 1)
    bars = "".join(_BLOCKS[-(-rate * (len(_BLOCKS) - 1) // most)] for rate in shown)
    return Text.assemble((bars, "cyan"), f" {most:,} at most")


def _lists(votes: Sequence[Votes], width: int) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    room = max(_FEWEST_BAR, width - _BESIDE_BARS)
    for justify in ("left", "left", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    ordered = sorted(votes, key=lambda one: (-one.votes, one.choice))
    most = max(ordered[0].votes, 1)
    for one in ordered[:_SHOWN_LISTS]:
        name, color = _list(one.choice)
        bar = Text("█" * max(1, room * one.votes // most), color)
        bar.pad_right(room - len(bar))
        table.add_row(name, bar, percent(one.share), f"{one.votes:,}")
    rest = ordered[_SHOWN_LISTS:]
    shares = [one.share for one in rest if one.share is not None]
    table.add_row(
        Text(f"{len(rest)} others", style="dim"),
        "",
        percent(sum(shares) if shares else None),
        f"{sum(one.votes for one in rest):,}",
    )
    return table


def _list(choice: int) -> tuple[str, str]:
    """Name and colour of a list."""
    if choice <= len(PARTIES):
        party = PARTIES[choice - 1]
        return party.names[ENGLISH], party.color
    return AGAINST_ALL[ENGLISH], "default"


def _where(web: str) -> Table:
    table = _labelled()
    table.add_row("page", f"{web}/")
    table.add_row("feed", f"{web}/latest.json")
    return table
