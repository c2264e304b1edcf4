"""A night played: every device lives its plan against the gateway, and then the log is audited.

What lives here: waiting for the rehearsal to start, the devices' tasks, a progress event a second, giving up
when nothing moves any more, and the choice of what the audit goes by.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import trio

from clients.fleet import audit, clock, witness
from clients.fleet.audit import Audit
from clients.fleet.clock import ElectionClock
from clients.fleet.device import FleetDevice, World
from clients.fleet.faults import Faults
from clients.fleet.figures import Figures
from clients.fleet.history import History
from clients.fleet.line import Lines
from clients.fleet.night import Night
from clients.fleet.plan import Plan
from clients.wire.errors import WireError

# Real seconds without a delivery, once everything is due, after which a play gives up.
PATIENCE = 300.0
_TICK_SECONDS = 1.0
_LOOK_SECONDS = 0.2

Phase: TypeAlias = Literal["waiting", "opening", "day", "results", "audit"]
PHASES: Final[tuple[Phase, ...]] = ("waiting", "opening", "day", "results", "audit")


@dataclass(frozen=True, slots=True)
class State:
    """How far a play is.

    Attributes:
        phase: what it is at.
        seconds: real ones since it began.
        real: real time, ms.
        election: the election's time, ms; None: it has not started.
        closed: results whose station has closed.
        figures: the counts; None while it waits.
        lines: the connections; None while it waits.
    """

    phase: Phase
    seconds: float
    real: int
    election: int | None = None
    closed: int = 0
    figures: Figures | None = None
    lines: Lines | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a play has come to.

    Attributes:
        seconds: real ones of the play, without the audit.
        figures: the counts.
        connections: that were tried, without the audit's.
        cut: of these, on purpose.
        histories: of every device.
        audit: what the log says.
    """

    seconds: float
    figures: Figures
    connections: int
    cut: int
    histories: Sequence[History]
    audit: Audit

    @property
    def undelivered(self) -> int:
        """Statements without a receipt that nobody has refused for ever."""
        records = (record for history in self.histories for record in history.records)
        return sum(not record.promises and not record.refused for record in records)

    @property
    def ok(self) -> bool:
        """Whether everything is delivered and the audit is clean."""
        return self.audit.clean and not self.undelivered and not self.figures.refused_for_ever


async def play(
    night: Night,
    plan: Plan,
    faults: Faults,
    *,
    real: Callable[[], int],
    tell: Callable[[State], None],
    patience: float = PATIENCE,
) -> Outcome:
    """Play a night to its end and audit it.

    Args:
        night: whose devices.
        plan: what they say.
        faults: what goes wrong with lines and deliveries; the plan has the others already.
        real: this machine's clock, ms since the Unix epoch.
        tell: hears of the state, about once a second and at the end of each phase.
        patience: real seconds without any progress after which it gives up.

    Raises:
        WireError: `fleet.not_started` if the rehearsal does not start; `statement.malformed` if a station has
            more contests and choices than a statement can hold.
    """
    begun = trio.current_time()

    def seconds() -> float:
        return trio.current_time() - begun

    lines = Lines(night.gateways, night.site.ca, faults.rate("cut"))
    for own in plan.devices:
        keys = night.keys[own.device.device]
        lines.prepare(own.device.device, keys.certificate, keys.tls_key)
        await trio.lowlevel.checkpoint()
    tell(State("waiting", seconds(), real()))
    election = await _started(night, real, patience)
    stations = night.definition.stations
    figures = Figures(plan, lambda station: election.real_at(stations[station].closes_at))
    world = World(
        night.definition.sha256, night.site.log_key, election, lines, faults.rate("duplicate"), figures
    )
    devices = [
        FleetDevice(own, night.keys[own.device.device], world, faults.chance("device", own.device.device))
        for own in plan.devices
    ]
    closings = sorted(_closings(night, plan))
    openings = sum(one.at == 0 for own in plan.devices for one in own.statements)

    def state(phase: Phase | None = None) -> State:
        now = election.now()
        closed = bisect_right(closings, now)
        return State(
            phase or _phase(figures, openings, closed), seconds(), real(), now, closed, figures, lines
        )

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tick, tell, state)
            nursery.start_soon(_give_up, nursery.cancel_scope, election, plan, figures, patience)
            async with trio.open_nursery() as living:
                for device in devices:
                    living.start_soon(device.live)
            nursery.cancel_scope.cancel()
    except* WireError as failed:
        # A plan that no statement can hold: more contests and choices than 16,384 bytes have room for.
        raise witness.first_of(failed) from failed
    histories = [device.history for device in devices]
    played, connections, cut = seconds(), lines.made, lines.cut
    tell(state("audit"))
    found = await _audit(night, histories, lines)
    return Outcome(played, figures, connections, cut, histories, found)


async def _started(night: Night, real: Callable[[], int], patience: float) -> ElectionClock:
    """The election's clock, once it runs and a gateway has said where it is."""
    with trio.move_on_after(patience):
        while True:
            found = clock.read(night.clock)
            # The night of another machine has no run/ here: its site.json says where the gateway is.
            if found is not None and (night.gateways.ready or not (night.root / "run").exists()):
                return ElectionClock(real, *found)
            await trio.sleep(_LOOK_SECONDS)
    raise WireError(
        "fleet.not_started",
        f"nobody serves this rehearsal: start `tallygate serve {night.root}` (waited {patience:.0f} seconds)",
        file=str(night.clock),
    )


def _closings(night: Night, plan: Plan) -> list[int]:
    """When the stations close whose results are awaited."""
    return [
        night.definition.stations[one.station].closes_at
        for device in plan.devices
        for one in device.statements
        if one.kind == "result" and not one.twin
    ]


def _phase(figures: Figures, openings: int, closed: int) -> Phase:
    if closed:
        return "results"
    return "opening" if figures.delivered < openings else "day"


async def _tick(tell: Callable[[State], None], state: Callable[[], State]) -> None:
    while True:
        await trio.sleep(_TICK_SECONDS)
        tell(state())


async def _give_up(
    scope: trio.CancelScope, election: ElectionClock, plan: Plan, figures: Figures, patience: float
) -> None:
    """End a play in which nothing moves any more, though everything is due."""
    await election.until(plan.last)
    while True:
        before = figures.delivered
        await trio.sleep(patience)
        if figures.delivered == before:
            scope.cancel()


async def _audit(night: Night, histories: Sequence[History], lines: Lines) -> Audit:
    key = night.site.log_key
    promised = [promise for history in histories for record in history.records for promise in record.promises]
    # What the fleet has done to its own lines is over.
    lines.stop_cutting()
    try:
        least = max((one.index + 1 for one in promised), default=0)
        log = await witness.published(night.log, night.hidden_log, key, least)
        if log is not None:
            return audit.of_log(histories, log, key)
        answers = await witness.asked(histories, night.keys, lines, key)
    except WireError as error:
        return audit.impossible(error)
    return audit.of_answers(histories, answers, key)
