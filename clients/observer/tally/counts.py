"""The count of a station's contest, source by source (docs/tally.md, "The count of a station's contest")."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from clients.observer.tally.packet import REGISTERED, REGISTERED_ADDITIONAL, Figure, Packet
from clients.observer.tally.rules import Judgement

Source: TypeAlias = Literal[1, 2]
MACHINE: Final[Source] = 1
PROTOCOL: Final[Source] = 2
SOURCES: Final[Mapping[Source, str]] = {MACHINE: "machine", PROTOCOL: "protocol"}

State: TypeAlias = Literal["silent", "partial", "reported", "held", "disputed", "annulled"]
STATES: Final[tuple[State, ...]] = ("silent", "partial", "reported", "held", "disputed", "annulled")
COUNTED: Final[frozenset[State]] = frozenset({"reported", "disputed"})

# Of these the boxes of a station each know the same number, so they are not added up.
_SHARED: Final = frozenset({REGISTERED, REGISTERED_ADDITIONAL})


class Judged(NamedTuple):
    """A packet and what the definition says of it."""

    packet: Packet
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Outcome:
    """State and count of one contest in one source; packets, figures and votes are empty unless counted.

    Attributes:
        contest: number.
        source: 1 or 2.
        state: word.
        packets: indexes, ascending.
        figures: by code.
        votes: by choice.
    """

    contest: int
    source: Source
    state: State
    packets: tuple[int, ...] = ()
    figures: tuple[Figure, ...] = ()
    votes: tuple[int, ...] = ()

    @property
    def counted(self) -> bool:
        """Whether figures and votes are in the sums."""
        return self.state in COUNTED


class _Series(NamedTuple):
    """What several packets, of which one counts, come to."""

    state: Literal["held", "reported", "disputed"]
    counted: Judged | None
    first: bool
    """Whether the count is the first of them."""


def machine(
    contest: int, boxes: Sequence[int], results: Mapping[int, Sequence[Judged]]
) -> tuple[Outcome, bool]:
    """The machine's count.

    Args:
        contest: number.
        boxes: those assigned to the station.
        results: belonging ones of each box that has any, by index.

    Returns:
        The outcome, and whether it gives the station S212.
    """
    series = [_series(contest, results[box]) for box in boxes if box in results]
    replaced = any(own.counted is not None and not own.first for own in series)
    state: State
    if any(own.state == "held" for own in series):
        state = "held"
    elif not series:
        state = "silent"
    elif len(series) < len(boxes):
        state = "partial"
    elif any(own.state == "disputed" for own in series):
        state = "disputed"
    else:
        state = "reported"
    if state not in COUNTED:
        return Outcome(contest, MACHINE, state), replaced
    return _outcome(contest, MACHINE, state, [own.counted for own in series if own.counted]), replaced


def protocol(
    contest: int, protocols: Iterable[Judged], named: Mapping[bytes, Packet]
) -> tuple[Outcome, bool]:
    """The paper's count.

    Args:
        contest: number.
        protocols: the station's, by index.
        named: the packets that these name in `corrects`, as far as the log has them.

    Returns:
        The outcome, and whether it gives the station S212.
    """
    own = [judged for judged in protocols if judged.packet.count(contest)]
    corrected = {
        id(named[judged.packet.corrects])
        for judged in own
        if contest in judged.judgement.passing and judged.packet.corrects in named
    }
    rest = [judged for judged in own if id(judged.packet) not in corrected]
    if not rest:
        return Outcome(contest, PROTOCOL, "silent"), False
    series = _series(contest, rest)
    replaced = len(rest) < len(own) or (series.counted is not None and not series.first)
    if series.counted is None:
        return Outcome(contest, PROTOCOL, series.state), replaced
    return _outcome(contest, PROTOCOL, series.state, [series.counted]), replaced


def chosen(contest: int, source: Source, judged: Judged) -> Outcome:
    """The count of a packet that a decision 5 names."""
    return _outcome(contest, source, "reported", [judged])


def _series(contest: int, packets: Sequence[Judged]) -> _Series:
    for place, judged in enumerate(packets):
        if contest in judged.judgement.passing:
            count = judged.packet.count(contest)
            later = (other.packet.count(contest) for other in packets[place + 1 :])
            disputed = any(other is not None and other != count for other in later)
            return _Series("disputed" if disputed else "reported", judged, place == 0)
    return _Series("held", None, False)


def _outcome(contest: int, source: Source, state: State, counts: Sequence[Judged]) -> Outcome:
    """A counted outcome of one packet, or of one of each box."""
    figures = [dict((judged.judgement.figures or {})[contest]) for judged in counts]
    codes = set(figures[0]).intersection(*figures[1:])
    votes = [count.votes for judged in counts if (count := judged.packet.count(contest))]
    return Outcome(
        contest,
        source,
        state,
        packets=tuple(sorted(judged.packet.index for judged in counts)),
        figures=tuple(
            (code, (max if code in _SHARED else sum)(own[code] for own in figures)) for code in sorted(codes)
        ),
        votes=tuple(map(sum, zip(*votes, strict=True))),
    )
