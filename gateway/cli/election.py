"""``tallygate election``: the officials' tables, checked and built (docs/election-folder.md)."""

import contextlib
import datetime
import zoneinfo
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.text import Text

from gateway.base.clock import to_datetime
from gateway.cli.shared import say, say_json, visible
from gateway.election import Faults, read_folder, write_manifests
from gateway.election.cells import is_timezone
from gateway.election.limits import MAX_FAULTS_SHOWN
from gateway.election.manifests import DEFINITION
from gateway.election.summary import ContestLine, Summary, summarise, summarise_built

_FOLDER = click.argument("folder", type=click.Path(path_type=Path))
_NUMBER = click.option(
    "--number",
    is_flag=True,
    help="Give numbers to tables whose things have only labels, and write the map to numbers.csv.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON, one object a line.")


class FaultLine(msgspec.Struct, frozen=True):
    """A fault as ``--json`` writes it; `line` is 0 where the whole file is meant."""

    severity: str
    file: str
    line: int
    column: str
    code: str
    detail: str


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last line of ``--json``: what came out; `shown` faults and warnings are listed above it."""

    faults: int
    warnings: int
    shown: int
    built: str | None = None
    definition: str | None = None
    roster: str | None = None
    information: str | None = None


@click.group(no_args_is_help=True)
def election() -> None:
    """Turn the officials' tables into the manifests of an election."""


@election.command(epilog="Example: tallygate election build examples/hill-country --out hill-country-built")
@_FOLDER
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new folder.")
@_NUMBER
@_JSON
def build(folder: Path, out: Path, number: bool, as_json: bool) -> int:
    """Check FOLDER and write definition, roster and information.

    All faults are reported at once, and nothing is built while there is one. Building the same tables again
    gives the same bytes.
    """
    with _at_work("reading", folder):
        found, faults = read_folder(folder, number=number)
    shown = _report(faults, as_json)
    if found is None:
        _say(Outcome(faults.errors, faults.warnings, shown), "nothing was built", as_json)
        return 1
    with _at_work("writing", out):
        built = write_manifests(found, out)
    outcome = Outcome(
        faults=faults.errors,
        warnings=faults.warnings,
        shown=shown,
        built=str(out),
        definition=built.definition.hex(),
        roster=built.roster.hex(),
        information=built.information.hex(),
    )
    if as_json:
        _say(outcome, "", as_json)
    else:
        say(f"built        {outcome.built}")
        say(f"definition   {outcome.definition}")
        say(f"roster       {outcome.roster}")
        say(f"information  {outcome.information}")
        say("Announce the definition's hash: every packet carries it, and observers pin it.")
    return 0


@election.command(epilog="Example: tallygate election check examples/hill-country")
@_FOLDER
@_NUMBER
@_JSON
def check(folder: Path, number: bool, as_json: bool) -> int:
    """Check FOLDER and report all faults and warnings; write nothing."""
    with _at_work("reading", folder):
        found, faults = read_folder(folder, number=number)
    shown = _report(faults, as_json)
    _say(
        Outcome(faults.errors, faults.warnings, shown),
        "it can be built" if found else "repair these first",
        as_json,
    )
    return 0 if found else 1


@election.command(epilog="Example: tallygate election show hill-country-built")
@_FOLDER
@_NUMBER
@_JSON
def show(folder: Path, number: bool, as_json: bool) -> int:
    """Sum up FOLDER: an election folder, or one that `build` wrote."""
    if (folder / DEFINITION).is_dir():
        summary = summarise_built(folder)
    else:
        with _at_work("reading", folder):
            found, faults = read_folder(folder, number=number)
        if found is None:
            shown = _report(faults, as_json)
            _say(Outcome(faults.errors, faults.warnings, shown), "repair these first", as_json)
            return 1
        summary = summarise(found)
    if as_json:
        say_json(summary)
    else:
        for line in _summary_lines(summary):
            say(line)
    return 0


def _report(faults: Faults, as_json: bool) -> int:
    """List faults and warnings by file and line, for people up to a bound; give how many were listed."""
    kept = faults.kept() if as_json else faults.kept()[:MAX_FAULTS_SHOWN]
    for fault in kept:
        severity = "warning" if fault.warning else "fault"
        if as_json:
            line = FaultLine(severity, fault.file, fault.line, fault.column, fault.code, fault.detail)
            say_json(line)
        else:
            say(f"warning: {fault}" if fault.warning else str(fault))
    return len(kept)


def _say(outcome: Outcome, verdict: str, as_json: bool) -> None:
    """The last word on a folder."""
    if as_json:
        say_json(outcome)
        return
    hidden = outcome.faults + outcome.warnings - outcome.shown
    more = f" ({hidden} more are not listed)" if hidden else ""
    text = f"{_count(outcome.faults, 'fault')}, {_count(outcome.warnings, 'warning')}{more}: {verdict}"
    say(f"error: {text}" if outcome.faults else text, err=bool(outcome.faults))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@contextlib.contextmanager
def _at_work(what: str, path: Path) -> Iterator[None]:
    """Show on a terminal that something goes on; a large country takes seconds."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(Text(visible(f"{what} {path}"))):
            yield
    else:
        yield


def _summary_lines(summary: Summary) -> Iterator[str]:
    """The summary as people read it; plain text, so that a pipe and a terminal show the same."""
    zone = zoneinfo.ZoneInfo(summary.timezone) if is_timezone(summary.timezone) else datetime.UTC

    def when(at: int) -> str:
        return to_datetime(at).astimezone(zone).isoformat(sep=" ", timespec="seconds")

    for language, title in summary.title.items():
        yield f"title         {title} ({language})"
    yield f"id            {summary.id} ({summary.mode})"
    yield f"opens         {when(summary.opens_at)}, {summary.timezone}"
    yield f"closes        {when(summary.closes_at)}"
    if summary.publish_at is not None:
        yield f"embargo until {when(summary.publish_at)}"
    yield f"languages     {' '.join(summary.languages)}, headline: {summary.headline}"
    yield f"commission    {summary.commission_quorum} of {_count(summary.commission_keys, 'key')}"
    yield f"areas         {', '.join(f'{count} {level}' for level, count in summary.levels.items())}"
    total = sum(summary.stations.values())
    yield f"stations      {total} ({_counts(summary.stations)})"
    if len(summary.closing_times) > 1:
        for at, count in summary.closing_times.items():
            yield f"  closing     {when(at)}: {_count(count, 'station')}"
    unknown = (
        f" ({_count(summary.registered_unknown, 'station')} not known)" if summary.registered_unknown else ""
    )
    yield f"registered    {summary.registered}{unknown}"
    devices = _counts(summary.devices) or "no devices"
    yield f"roster        {devices}; {_count(summary.couriers, 'courier')}, {summary.firmware} firmware"
    own = f"{_count(summary.figures, 'figure')} and {_count(summary.checks, 'check')}"
    yield f"protocol      {own} of the country's own"
    for contest in summary.contests:
        yield ""
        yield from _contest_lines(contest)
    if summary.hashes:
        yield ""
        for name, sha256 in summary.hashes.items():
            yield f"{name:<13} {sha256}"


def _counts(by_kind: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(by_kind.items()))


def _contest_lines(contest: ContestLine) -> Iterator[str]:
    place = f", {contest.area}" if contest.area else ""
    yield f"contest {contest.contest}: {contest.name}{place}"
    yield (
        f"  {contest.kind}, {contest.method}, {_count(contest.seats, 'seat')}, "
        f"{_count(contest.marks, 'mark')}, "
        f"{_count(contest.preferences, 'preference')}, {_count(contest.stations, 'station')}"
    )
    for choice in contest.choices:
        label = f" [{choice.label}]" if choice.label else ""
        of_list = f", list {choice.list}" if choice.list else ""
        yield f"  {choice.choice:>4}{label} {choice.name} ({choice.kind}{of_list})"
