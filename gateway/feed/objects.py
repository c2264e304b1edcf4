"""The tally's objects, typed: an area, a station (docs/tally.md, "Objects").

Members stand in the order of their names and arrays as tuples, so that encoding again what was read gives
the same bytes exactly if they are canonical. What a member means is said in docs/tally.md.
"""

from typing import Annotated, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

MAX_NUMBER: Final = 2**53 - 1

Number: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
# What names a thing; 0 names nothing.
Named: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
Flag: TypeAlias = Annotated[int, Meta(ge=0, le=1)]
Source: TypeAlias = Annotated[int, Meta(ge=1, le=2)]
Hash: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Code: TypeAlias = Annotated[str, Meta(pattern=r"\A[HS][0-9]{3}(\.[1-9][0-9]{0,15})?\Z")]
# A sum and over how many stations it is one.
Sum: TypeAlias = tuple[Number, Number]
# A figure's code and its value. A packet may say anything: also 0.
Figure: TypeAlias = tuple[Number, Number]
State: TypeAlias = Literal["annulled", "disputed", "held", "partial", "reported"]


class Turnout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An area's turnout; an hour is its time in ms, identified, stations."""

    hours: tuple[tuple[Number, Number, Number], ...]
    identified: Number
    registered: Sum
    stations: Number


class Sums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One source of an area's contest; a figure is its code, sum, number of stations."""

    annulled: Number
    counted: Number
    disputed: Number
    figures: tuple[tuple[Named, Number, Number], ...]
    held: Number
    partial: Number
    registered: Sum
    reported: Number
    silent: Number
    votes: tuple[Number, ...]


class ContestSums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contest of an area."""

    contest: Named
    machine: Sums
    protocol: Sums
    registered: Sum
    stations: Number


class RowCount(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One contest in one source within a row; what is silent has none."""

    contest: Named
    source: Source
    state: State
    figures: tuple[Figure, ...]
    votes: tuple[Number, ...]


class Row(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A station in its area's object."""

    station: Named
    version: Number | None
    opened: Flag
    cancelled: Flag
    codes: tuple[Code, ...]
    counts: tuple[RowCount, ...]


RowT = TypeVar("RowT")


class Area(msgspec.Struct, Generic[RowT], frozen=True, forbid_unknown_fields=True):
    """An area's object. `RowT` is `Row`, or `msgspec.Raw` for who reads only some of them."""

    area: Named
    areas: tuple[tuple[Named, Hash], ...]
    cancelled: Number
    contests: tuple[ContestSums, ...]
    definition: Hash
    flags: tuple[tuple[Code, Number], ...]
    format: Literal["tallygate-area/1"]
    opened: Number
    rows: tuple[RowT, ...]
    stations: Number
    turnout: Turnout


class StationTurnout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A station's turnout; an hour is its time in ms and identified."""

    hours: tuple[tuple[Number, Number], ...]
    identified: Number | None


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One contest in one source; `packets` are indexes of the log."""

    contest: Named
    figures: tuple[Figure, ...]
    packets: tuple[Number, ...]
    source: Source
    state: State
    votes: tuple[Number, ...]


class Packet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A packet that names the station; `signed_at` in ms, `counts` as (contest, figures, votes)."""

    codes: tuple[Code, ...]
    corrects: Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
    counter: Number | None
    counts: tuple[tuple[Named, tuple[Figure, ...], tuple[Number, ...]], ...]
    device: Named
    id: Hash
    index: Number
    report: Annotated[int, Meta(ge=1, le=5)]
    sequence: Named
    signed_at: Number
    voters: tuple[Figure, ...]


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A paper that a packet names; `size` in bytes."""

    document: Named
    index: Number
    media: Named
    page: Number
    sha256: Hash
    size: Named


class Station(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A station's object; a difference is contest, choice, machine's votes, protocol's."""

    cancelled: Flag
    codes: tuple[Code, ...]
    counts: tuple[Count, ...]
    decisions: tuple[Named, ...]
    definition: Hash
    differences: tuple[tuple[Named, Named, Number, Number], ...]
    documents: tuple[Document, ...]
    format: Literal["tallygate-station/1"]
    opened: Flag
    packets: tuple[Packet, ...]
    station: Named
    turnout: StationTurnout
    version: Number
