"""A whole election night on one machine, for somebody who wants to see one: the phases, in their order.

What lives here: `playing`. It invents a country, makes a rehearsal's night of it, starts the gateway, lets
the fleet play every box and terminal against it, waits until the last result is published, and hands the
feed to the observer. Everything is done by the programs that a real night uses, as processes of their own;
what is here only starts them, looks at what they say, and compares the end with what was counted.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import msgspec
import trio

from clients.fleet.country import CLOSES_AT_MS, Country, invent
from clients.fleet.demo_after import CONTEST, ENTRIES, Commission, Dispute
from clients.fleet.demo_board import FleetNews, Step, View
from clients.fleet.demo_feed import Feed, Seen, Snapshot, Votes, published_after
from clients.fleet.demo_night import (
    TURNOUT_REPORTS,
    ElectionTime,
    definition_hash,
    prepare,
    time_of_day,
    web_address,
)
from clients.fleet.demo_programs import Children, Lines, ProgramError, module
from clients.wire.errors import WireError

# Real seconds after the fleet's end until the last result must be in a snapshot; two are usual.
_PUBLISH_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
# Seconds without any progress after which the fleet gives up.
_PATIENCE_SECONDS: Final = 60
# Bytes of the night folder's name: a Unix socket's has 107 on Linux, 103 elsewhere, and some are our own.
_LONGEST_NIGHT: Final = 103 - len("/run/.ledger.sock")
# What the observer's program says by its exit code.
AGREED: Final = 0
_OBSERVER: Final = "tallygate-observe verify NIGHT/feed --definition HASH"

_STEPS: Final[Mapping[str, Step]] = {
    "opening": "morning",
    "day": "day",
    "results": "rush",
    "audit": "audit",
}


class Percentiles(msgspec.Struct, frozen=True):
    """Of durations in ms."""

    p50: float
    p99: float
    max: float


class FleetResults(msgspec.Struct, frozen=True):
    """How the results travelled."""

    delivered: int
    from_close_ms: Percentiles | None
    from_send_ms: Percentiles | None


class FleetAudit(msgspec.Struct, frozen=True):
    """What the fleet has found in the log of what its devices believe."""

    size: int | None
    delivered: int
    receipts: int
    faults: tuple[Mapping[str, object], ...]


class FleetReport(msgspec.Struct, frozen=True):
    """The report of `tallygate-fleet play` (docs/fleet.md), as far as the summary shows it."""

    ok: bool
    planned: int
    delivered: int
    connections: int
    cut: int
    duplicates: int
    statements_per_second: float
    results: FleetResults
    audit: FleetAudit


class _Tick(FleetNews, frozen=True, tag_field="event", tag="progress"):
    pass


class _End(msgspec.Struct, frozen=True, tag_field="event", tag="end"):
    report: FleetReport


_LINE: Final[msgspec.json.Decoder[_Tick | _End]] = msgspec.json.Decoder(_Tick | _End)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play.

    Attributes:
        folder: everything is written here; it must be there, without a night.
        stations: of the invented country.
        real: real time, ms since the Unix epoch.
    """

    folder: Path
    stations: int
    real: Callable[[], int]

    @property
    def night(self) -> Path:
        """The night folder."""
        return self.folder / "night"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a night has ended.

    Attributes:
        country: what was played.
        report: of the fleet.
        seen: all snapshots, as they appeared.
        last: the one of everything that was delivered and decided.
        settled: the dispute that the commission has decided.
        observer: exit code of the observer's program.
    """

    country: Country
    report: FleetReport
    seen: Sequence[Seen]
    last: Snapshot
    settled: Dispute
    observer: int

    @property
    def good(self) -> bool:
        """Whether the observer agrees, the audit is clean and the totals are those of the stations."""
        return self.observer == AGREED and self.report.ok and not self.differences

    def published_ms(self, share: float) -> int | None:
        """When this share of the boxes that arrived was published, ms after the close."""
        return published_after(self.seen, share, CLOSES_AT_MS)

    @property
    def differences(self) -> Sequence[str]:
        """What is published otherwise than the stations had counted."""
        return differences(self.country, self.settled, self.last)


class Screen(Protocol):
    """Who shows the night to a person."""

    def update(self, view: View) -> None:
        """Show what is known now; called at every change and a few times a second."""

    async def run(self, name: str, command: Sequence[str], children: Children) -> int:
        """Run a program where the person sees it, and what one would type for it; its exit code."""

    def end(self, outcome: Outcome, view: View) -> None:
        """Show the summary."""


@dataclass(slots=True)
class _Night:
    """A night that is being played."""

    plan: Plan
    screen: Screen
    children: Children
    country: Country
    view: View
    feed: Feed
    seen: list[Seen] = field(default_factory=list)

    def step(self, step: Step) -> None:
        self.view.step = step
        self.screen.update(self.view)

    def tell(self, news: FleetNews) -> None:
        view = self.view
        view.fleet = news
        view.step = _STEPS.get(news.phase, view.step)
        if view.step == "rush":
            view.rates.append(round(news.rate))
        self.screen.update(view)


@asynccontextmanager
async def playing(plan: Plan, screen: Screen, children: Children) -> AsyncIterator[Outcome]:
    """Plays a night, and has the gateway serve on inside the block.

    Args:
        plan: what to play.
        screen: shows it.
        children: will know the programs that run.

    Raises:
        WireError: a phase has failed, with what to do (`ProgramError`: and the program's last words). It and
            other errors may come in a group (`one_error`).
        OSError: a file could not be written, a program not started.
    """
    _judge_place(plan.night)
    country = invent(plan.folder, stations=plan.stations)
    view = View(len(country.stations), len(country.silent))
    night = _Night(plan, screen, children, country, view, Feed(plan.night / "feed"))
    night.step("keys")
    await _init(night)
    night.step("gateway")
    fleet_log, gateway_log = plan.folder / "fleet.log", plan.folder / "gateway.log"
    serve = module("gateway.cli", "serve", plan.night, "--supervised")
    async with children.running(_fleet_command(night), fleet_log, read=True) as fleet:
        # The fleet first: it needs some seconds to plan what thousands of devices say, and the gateway starts
        # the clock.
        news = _News(fleet, fleet_log)
        await news.next()
        async with (
            children.running(serve, gateway_log, read=False, supervised=True) as gateway,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_guard, gateway, gateway_log)
            night.view.web = await web_address(plan.night, gateway_log)
            yield await _through(night, news)
            nursery.cancel_scope.cancel()


def _judge_place(night: Path) -> None:
    """The gateway would refuse it too, but only when everything is made.

    Raises:
        WireError: `demo.place`.
    """
    if len(os.fsencode(night)) > _LONGEST_NIGHT:
        raise WireError(
            "demo.place",
            f"the name of this folder is too long for the gateway's socket ({_LONGEST_NIGHT} bytes at most): "
            "take --keep DIR, or TMPDIR, nearer the root",
            file=str(night),
        )


async def _init(night: _Night) -> None:
    plan = night.plan
    log = plan.folder / "init.log"
    command = module("gateway.cli", "init", plan.night, "--election", night.country.election, "--rehearsal")
    if await night.children.done(command, log):
        raise ProgramError("demo.init", "the rehearsal could not be made: its last words stand above", log)
    prepare(plan.night, plan.stations)


async def _guard(gateway: trio.Process, log: Path) -> None:
    """Ends the night with an error when the gateway ends before it."""
    await gateway.wait()
    raise ProgramError(
        "demo.gateway", "the gateway has ended in the middle of the night: its last words stand above", log
    )


async def _look(night: _Night) -> None:
    """Keeps the board up to date."""
    time = ElectionTime(night.plan.night, night.plan.real)
    while True:
        now = time.now()
        if now is not None:
            night.view.time = time_of_day(now)
        newest = night.feed.newest()
        if newest is not None and now is not None and newest != night.view.snapshot:
            night.seen.append(Seen(now, newest.progress.heard))
            night.view.snapshot = newest
        night.screen.update(night.view)
        await trio.sleep(_LOOK_SECONDS)


async def _through(night: _Night, news: "_News") -> Outcome:
    """The night from its first statement to the verdict."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_look, night)
        report = await news.report(night.tell)
        size = report.audit.size or report.delivered
        await _last_snapshot(night, size)
        night.step("settle")
        settled = await _settle(night)
        last = await _last_snapshot(night, size + ENTRIES)
        nursery.cancel_scope.cancel()
    night.step("verdict")
    definition = definition_hash(night.plan.night)
    feed = night.plan.night / "feed"
    command = module("clients.observer.cli", "verify", feed, "--definition", definition)
    observer = await night.screen.run(_OBSERVER, command, night.children)
    outcome = Outcome(
        country=night.country,
        report=report,
        seen=tuple(night.seen),
        last=last,
        settled=settled,
        observer=observer,
    )
    night.screen.end(outcome, night.view)
    return outcome


async def _settle(night: _Night) -> Dispute:
    async def show(name: str, command: Sequence[str]) -> int:
        return await night.screen.run(name, command, night.children)

    plan = night.plan
    return await Commission(plan.folder, plan.night, night.country, night.children, show).work()


def _fleet_command(night: _Night) -> list[str]:
    plan, country = night.plan, night.country
    return module(
        "clients.fleet.cli",
        "play",
        plan.night,
        *("--results", country.results, "--arrivals", country.arrivals, "--faults", country.faults),
        *("--turnout", str(TURNOUT_REPORTS), "--report", plan.folder / "fleet.json"),
        *("--patience", str(_PATIENCE_SECONDS), "--json"),
    )


class _News:
    """What the fleet says.

    Args:
        fleet: its process.
        log: what it says to people.
    """

    def __init__(self, fleet: trio.Process, log: Path) -> None:
        self._lines = Lines(fleet)
        self._log = log

    async def next(self) -> _Tick | _End:
        """The next news.

        Raises:
            ProgramError: it has ended without its report, or says something else.
        """
        line = await self._lines.next()
        if line is None:
            raise ProgramError(
                "demo.fleet", "the fleet has ended before its audit: its last words stand above", self._log
            )
        try:
            return _LINE.decode(line)
        except msgspec.DecodeError as error:
            what = f"the fleet has written something else than its news: {error}"
            raise ProgramError("demo.fleet", what, self._log) from None

    async def report(self, tell: Callable[[FleetNews], None]) -> FleetReport:
        """Tells all news until the report.

        Raises:
            ProgramError: as `next`.
        """
        while isinstance(one := await self.next(), _Tick):
            tell(one)
        return one.report


async def _last_snapshot(night: _Night, size: int) -> Snapshot:
    """Waits for a snapshot of so many entries; `_look` looks for it."""
    with trio.move_on_after(_PUBLISH_SECONDS):
        while True:
            newest = night.view.snapshot
            if newest is not None and newest.log.size >= size:
                return newest
            await trio.sleep(_LOOK_SECONDS)
    raise WireError(
        "demo.not_published",
        f"the log has {size:,} entries, and {_PUBLISH_SECONDS:.0f} s later they are not published: "
        "gateway.log beside the night says why",
        file=str(night.plan.night / "feed"),
    )


def differences(country: Country, settled: Dispute, last: Snapshot) -> list[str]:
    """Where the published end is another one than the stations' own counts, in words.

    The third opinion beside the audit and the observer: these sums were made before a single box was
    switched on. What the commission has decided comes to them.
    """
    own = last.progress
    found = [
        f"{wanted:,} stations should be {word}, {published:,} are published"
        for word, wanted, published in (
            ("counted", country.counted, own.counted),
            ("held", 1, own.held),
            ("disputed", 0, own.disputed),
            ("silent", len(country.silent), own.silent),
        )
        if wanted != published
    ]
    for contest, votes in country.votes.items():
        wanted = [*votes]
        if contest == CONTEST:
            changes = zip(votes, settled.first, settled.second, strict=True)
            wanted = [counted - first + second for counted, first, second in changes]
        found += _wrong(f"contest {contest}", wanted, last.machine(contest))
    for contest, paper in country.papers.items():
        found += _wrong(f"contest {contest} on paper", paper.votes, last.protocol(contest))
    return found


def _wrong(what: str, counted: Sequence[int], published: Sequence[Votes]) -> Iterator[str]:
    votes = {one.choice: one.votes for one in published}
    for choice, wanted in enumerate(counted, start=1):
        if votes.get(choice) != wanted:
            yield f"{what}, choice {choice}: {wanted:,} votes counted, {votes.get(choice, 0):,} published"


@contextmanager
def one_error() -> Iterator[None]:
    """Of the errors that end together in a nursery, raises the one that a person has to be told."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _telling(group) from None


def _telling(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaves = list(_leaves(group))
    unforeseen = [one for one in leaves if not isinstance(one, WireError | OSError | trio.Cancelled)]
    # A program that has ended explains the errors of those who wait for it.
    order = (*unforeseen, *(one for one in leaves if isinstance(one, ProgramError)), *leaves)
    return order[0]


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one
