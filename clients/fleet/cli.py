"""The command line of a rehearsal's fleet: `tallygate-fleet`."""

import gc
import json
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import click
import trio

from clients import files, terminal
from clients.fleet import arrivals, faults, night, plan, report, results
from clients.fleet.demo_command import demo_command
from clients.fleet.faults import Faults
from clients.fleet.night import Night
from clients.fleet.plan import Plan
from clients.fleet.play import PATIENCE, Outcome, State, play
from clients.terminal import FAILED, Footer, say, say_json, warn
from clients.wire.errors import WireError

_EXAMPLE = "tallygate-fleet play night --results results --faults faults.toml --report report.json"
_MOST_PATIENCE = 86_400.0
# Objects made between two looks of the collector: some hundred connections.
_GC_THRESHOLD = 50_000


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `tallygate-fleet` and leave the process: 0 done, 1 failed, 2 wrong usage."""
    terminal.run(tallygate_fleet, "tallygate-fleet", arguments)


@click.group(context_settings=terminal.HELP_OPTIONS, epilog=terminal.example(_EXAMPLE))
def tallygate_fleet() -> None:
    """Every box and terminal of a rehearsal at once, over real connections."""


tallygate_fleet.add_command(demo_command)


@tallygate_fleet.command("play", epilog=terminal.example(_EXAMPLE))
@click.argument("root", metavar="NIGHT", type=terminal.PATH)
@click.option(
    "--results",
    "folder",
    metavar="DIR",
    type=terminal.PATH,
    required=True,
    help="What is counted: contest-N.csv, and protocol-N.csv for the paper.",
)
@click.option(
    "--arrivals",
    "arrivals_file",
    metavar="FILE",
    type=terminal.PATH,
    help="When results are sent: station,seconds after its close, in the election's time.",
)
@click.option(
    "--faults", "faults_file", metavar="FILE", type=terminal.PATH, help="What goes wrong on purpose (TOML)."
)
@click.option(
    "--turnout",
    metavar="N",
    type=click.IntRange(0, plan.MOST_TURNOUT),
    default=plan.TURNOUT,
    show_default=True,
    help="How often a terminal reports in the day.",
)
@click.option(
    "--report", "report_file", metavar="FILE", type=terminal.PATH, help="Write the report here, as JSON."
)
@click.option(
    "--patience",
    metavar="SECONDS",
    type=click.FloatRange(1.0, _MOST_PATIENCE),
    default=PATIENCE,
    show_default=True,
    help="Real seconds without any progress after which it gives up.",
)
@terminal.json_option
def play_command(
    root: Path,
    folder: Path,
    arrivals_file: Path | None,
    faults_file: Path | None,
    turnout: int,
    report_file: Path | None,
    patience: float,
    json_output: bool,
) -> None:
    """Play the rehearsal in the folder NIGHT: its openings, the turnout of the day, and its results.

    `tallygate serve NIGHT` must run, or be started soon. It ends when everything is delivered; then every
    device's history is compared with the log. Exit codes: 0 everything is delivered and in the log exactly
    once, 1 something is not.
    """
    own = night.read(root)
    chosen = Faults() if faults_file is None else faults.read(faults_file)
    when = None if arrivals_file is None else arrivals.read(arrivals_file, own.definition)
    counted = results.read(folder, own.definition)
    planned = plan.make(own.definition, own.roster, counted, when, chosen, turnout=turnout)
    shown = _Events(own, planned) if json_output else _Lines(own)
    # What was read stays: the collector need not look through it all the time.
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    outcome = trio.run(_play, own, planned, chosen, shown.tell, patience)
    told = report.report(own, planned, outcome)
    if report_file is not None:
        files.write(report_file, (json.dumps(told, indent=1) + "\n").encode(), files.PUBLIC_FILE)
    shown.end(outcome, told)
    if not outcome.ok:
        raise click.exceptions.Exit(FAILED)


def _now() -> int:
    """This machine's clock, in ms since the Unix epoch."""
    return time.time_ns() // 1_000_000


async def _play(
    own: Night, planned: Plan, chosen: Faults, tell: Callable[[State], None], patience: float
) -> Outcome:
    """Play until it is over or somebody ends it."""
    outcome: Outcome | None = None
    failed: WireError | OSError | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_when_told, nursery.cancel_scope)
        try:
            outcome = await play(own, planned, chosen, real=_now, tell=tell, patience=patience)
        except (WireError, OSError) as error:
            failed = error
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed
    if outcome is None:
        raise click.Abort
    return outcome


async def _stop_when_told(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


class _Events:
    """One line of JSON an event."""

    def __init__(self, own: Night, planned: Plan) -> None:
        self._plan = planned
        self._stations = len(own.definition.stations)

    def tell(self, state: State) -> None:
        say_json(report.event(state, self._plan, self._stations))

    def end(self, _outcome: Outcome, told: report.Report) -> None:
        say_json({"event": "end", "report": told})


class _Lines:
    """Lines for people: one a phase, and on a terminal one that goes on."""

    def __init__(self, own: Night) -> None:
        self._night = own
        self._footer = Footer()
        self._phase = ""

    def tell(self, state: State) -> None:
        if state.phase != self._phase:
            self._footer.clear()
            self._phase = state.phase
            say(f"{state.seconds:.1f} s", _PHASES[state.phase])
        if state.figures is not None:
            figures = state.figures
            self._footer.show(
                f"{figures.delivered:,} of {figures.planned:,} delivered, {figures.results:,} of "
                f"{figures.results_planned:,} results, {figures.rate(state.real):,} a second, "
                f"{figures.failed:,} failed"
            )

    def end(self, outcome: Outcome, _told: report.Report) -> None:
        self._footer.clear()
        figures, audit = outcome.figures, outcome.audit
        say(
            "delivered", f"{figures.delivered:,} of {figures.planned:,} statements in {outcome.seconds:.1f} s"
        )
        say(
            "connections",
            f"{outcome.connections:,}, {figures.retries:,} retries, {outcome.cut:,} cut on purpose",
        )
        say("fastest", f"{figures.busiest():,.0f} statements a second")
        for label, values in (("send to proof", figures.from_send), ("close to proof", figures.from_close)):
            if shown := report.in_words(values):
                say(label, shown)
        say("audit", report.audit_in_words(audit))
        for fault in audit.faults:
            warn(f"device {fault.device}, statement {fault.sequence}: {fault.detail} [{fault.code}]")
        terminal.result(
            "everything is delivered and in the log exactly once"
            if outcome.ok
            else f"{outcome.undelivered:,} not delivered, {figures.refused_for_ever:,} refused, "
            f"{len(audit.faults) + audit.more:,} faults in the log",
            good=outcome.ok,
        )


_PHASES = {
    "waiting": "waiting for the rehearsal to start",
    "opening": "boxes are opened",
    "day": "people vote",
    "results": "stations close, boxes send",
    "audit": "comparing with the log",
}


if __name__ == "__main__":
    main()
