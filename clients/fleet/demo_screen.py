"""How a demonstration speaks: a board that is drawn over and over on a terminal, plain lines into a pipe.

What lives here: both screens, the summary that both end with, and the picture of it for the README.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Final

import trio
from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clients import files
from clients.fleet.country_names import ENGLISH, TITLE
from clients.fleet.demo import AGREED, Outcome
from clients.fleet.demo_after import MEMBERS
from clients.fleet.demo_board import View, board, line, ms
from clients.fleet.demo_programs import Children, Lines
from clients.terminal import visible

# Seconds between two drawings of the board, and between two lines into a pipe.
_DRAW_SECONDS: Final = 0.25
_LINE_SECONDS: Final = 5.0
# Columns of the picture, and of a board on a very wide terminal.
_PICTURE_WIDTH: Final = 96
_WIDEST: Final = 110
_LABEL: Final = 17
# From here on `tallygate-decide prepare` says what nobody looks for in a picture; and a folder of ours.
_DETAILS: Final = "decided at"
_HERE: Final = "receipts "

# As rich's own, without fonts from other people's servers: a picture in a README asks nobody for anything.
_SVG: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">\
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def summary(outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    """The end of a night for people: label, text, style."""
    report, country = outcome.report, outcome.country
    last = outcome.last.progress
    yield (
        "counted",
        f"{last.counted:,} of {last.stations:,} stations; {last.held} held (ballots do not add up), "
        f"{last.disputed} disputed, {last.silent} silent",
        "",
    )
    settled = outcome.settled
    yield (
        "settled",
        f"station {settled.station} had two results: the commission has decided for the second, signed by "
        f"{len(MEMBERS)} members",
        "",
    )
    yield (
        "corrected",
        f"station {country.held}'s paper was keyed in with a slip, and replaced by a second protocol",
        "",
    )
    same = not outcome.differences
    votes = sum(country.votes[1])
    yield (
        "totals",
        f"{votes:,} votes for the lists, exactly what the stations had counted"
        if same
        else "; ".join(outcome.differences),
        "green" if same else "bold red",
    )
    if (sent := report.results.from_send_ms) is not None:
        yield "line to receipt", f"p50 {ms(sent.p50)}, p99 {ms(sent.p99)}", ""
    if (closed := report.results.from_close_ms) is not None:
        yield (
            "close to receipt",
            f"p50 {ms(closed.p50)}, p99 {ms(closed.p99)}; most of it until a box arrives",
            "",
        )
    published = f"p50 {ms(outcome.published_ms(0.5))}, p99 {ms(outcome.published_ms(0.99))}"
    yield "close to public", published, ""
    audit = report.audit
    yield (
        "lost",
        f"nothing: {audit.delivered:,} statements, each once in the log; {audit.receipts:,} receipts verified"
        if report.ok
        else f"{report.planned - report.delivered:,} statements not delivered, "
        f"{len(audit.faults):,} faults in the audit (fleet.json)",
        "green" if report.ok else "bold red",
    )
    yield (
        "trouble",
        f"{report.cut:,} lines cut, {report.duplicates:,} statements sent again, in "
        f"{report.connections:,} connections",
        "",
    )
    agreed = outcome.observer == AGREED
    yield (
        "observer",
        "agrees" if agreed else f"does not agree (exit code {outcome.observer})",
        "bold green" if agreed else "bold red",
    )


class Plain:
    """A night in plain lines, for a pipe or a file.

    Args:
        picture: in the end gets the board, the verdict and the summary as SVG; None: nobody wants it.
    """

    def __init__(self, picture: Path | None) -> None:
        self._picture = picture
        # What was run, and what it said.
        self._said: list[tuple[str, list[str]]] = []
        self._step = ""
        self._web = ""
        self._told = 0.0

    def update(self, view: View) -> None:
        """Write a line at each new step, and every few seconds."""
        now = trio.current_time()
        if view.web != self._web:
            self._web = view.web
            for label, text in where(view.web):
                _print(label, text)
        if view.step != self._step or now - self._told >= _LINE_SECONDS:
            new, self._step, self._told = view.step != self._step, view.step, now
            if new and (told := _told(view)):
                print(told)
            elif view.fleet is not None:
                print(visible(line(view)))

    async def run(self, name: str, command: Sequence[str], children: Children) -> int:
        """Run a program; what it says goes into our own lines."""
        print(f"$ {name}")
        lines: list[str] = []
        self._said.append((name, lines))
        async with children.running(command, None, read=True) as program:
            said = Lines(program)
            while (data := await said.next()) is not None:
                text = visible(data.decode("utf-8", "replace"))
                lines.append(text)
                print(text)
            return await program.wait()

    def end(self, outcome: Outcome, view: View) -> None:
        """Write the summary."""
        print()
        for label, text, _ in summary(outcome):
            _print(label, text)
        if self._picture is not None:
            files.write(self._picture, _drawn(outcome, view, self._said).encode(), files.PUBLIC_FILE)
            _print("picture", str(self._picture))


class Terminal:
    """A night as a board on a terminal.

    Args:
        console: where it is drawn.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._drawn = 0.0
        self._step = ""

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draws inside the block; the last board stays, and the cursor comes back however it ends."""
        self._live.start()
        try:
            yield
        finally:
            self._live.stop()

    def update(self, view: View) -> None:
        """Draw the board anew at each new step, and a few times a second."""
        now = trio.current_time()
        if self._live.is_started and (view.step != self._step or now - self._drawn >= _DRAW_SECONDS):
            self._step, self._drawn = view.step, now
            self._live.update(board(view, min(self._console.width, _WIDEST)), refresh=True)

    async def run(self, name: str, command: Sequence[str], children: Children) -> int:
        """Let a program speak to the terminal itself, with its own progress."""
        self._live.stop()
        self._console.print(Text(f"\n$ {name}", style="bold"))
        return await children.done(command, None)

    def end(self, outcome: Outcome, view: View) -> None:
        """Show the summary, and where the gateway serves on."""
        self._console.print()
        self._console.print(_summary(outcome))
        self._console.print()
        for label, text in where(view.web):
            self._console.print(Text.assemble((f"{label:<{_LABEL}}", "bold"), text), soft_wrap=True)
        self._console.print(Text("Ctrl-C ends it; nothing is left running.", style="bold"))


def _told(view: View) -> str:
    """What a step is about, where there are no figures yet."""
    match view.step:
        case "keys":
            stations = f"{view.stations:,} stations"
            return f"{TITLE[ENGLISH]}\n{stations}; a box and a terminal at each get keys and certificates"
        case "gateway":
            return "the gateway starts: ingest, publish, web, monitor"
        case "settle":
            return "the morning after: a desk keys a paper in, the commission settles the dispute"
        case _:
            return ""


def where(web: str) -> Iterator[tuple[str, str]]:
    """Where the public port's page and feed are, with labels."""
    yield "page", f"{web}/"
    yield "feed", f"{web}/latest.json"


def _print(label: str, text: str) -> None:
    print(f"{label:<{_LABEL}}{visible(text)}")


def _style(said: str) -> str:
    """How the observer's last word is drawn, which others will look for first."""
    if said.startswith("the feed agrees"):
        return "bold green"
    return "bold red" if said.startswith("the feed DIFFERS") else ""


def _summary(outcome: Outcome) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(style="bold", min_width=_LABEL, no_wrap=True)
    table.add_column()
    for label, text, style in summary(outcome):
        table.add_row(label, Text(text, style=style))
    return table


def _drawn(outcome: Outcome, view: View, runs: Sequence[tuple[str, Sequence[str]]]) -> str:
    """The end of a night as SVG."""
    console = Console(
        record=True, width=_PICTURE_WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(board(view, _PICTURE_WIDTH))
    for name, lines in runs:
        console.print(Text(f"\n $ {name}", style="bold"))
        for said in takewhile(lambda said: not said.startswith(_DETAILS), lines):
            if not said.startswith(_HERE):
                console.print(Padding(Text(said, _style(said)), (0, 1)))
    console.print()
    console.print(Padding(_summary(outcome), (0, 1)))
    return console.export_svg(title="make demo", code_format=_SVG, unique_id="demo")
