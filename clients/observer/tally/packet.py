"""Packets as the tally reads them: what a payload says, by name (docs/tally.md, "Packets")."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, cast

from clients.wire.definition import STANDARD_FIGURES
from clients.wire.grammar import REPORTS
from clients.wire.statement import Statement

Figure: TypeAlias = tuple[int, int]
"""Code and value."""
Attachment: TypeAlias = tuple[bytes, int, int, int, int]
"""SHA-256, media, size, document, page."""

OPENING: Final = REPORTS["opening"]
TURNOUT: Final = REPORTS["turnout"]
RESULT: Final = REPORTS["result"]
PROTOCOL: Final = REPORTS["protocol"]
DOCUMENTS: Final = REPORTS["documents"]

REGISTERED: Final = STANDARD_FIGURES["registered"]
REGISTERED_ADDITIONAL: Final = STANDARD_FIGURES["registered_additional"]
IDENTIFIED: Final = STANDARD_FIGURES["identified"]
ISSUED: Final = STANDARD_FIGURES["issued"]
ISSUED_OUTSIDE: Final = STANDARD_FIGURES["issued_outside"]
IN_BOX: Final = STANDARD_FIGURES["in_box"]
VALID: Final = STANDARD_FIGURES["valid"]
BLANK: Final = STANDARD_FIGURES["blank"]
INVALID: Final = STANDARD_FIGURES["invalid"]
RETURNED_BY_BOX: Final = STANDARD_FIGURES["returned_by_box"]
ISSUED_EARLY: Final = STANDARD_FIGURES["issued_early"]

# Absent, these are 0 in rules (docs/tally.md, "Figures").
ABSENT_IS_ZERO: Final[Mapping[int, int]] = dict.fromkeys(
    (REGISTERED_ADDITIONAL, ISSUED_OUTSIDE, BLANK, RETURNED_BY_BOX, ISSUED_EARLY), 0
)


class Count(NamedTuple):
    """What a packet says of one contest; an opening's zero report has no figures."""

    contest: int
    figures: tuple[Figure, ...]
    votes: tuple[int, ...]


@dataclass(slots=True, eq=False)
class Packet:
    """One payload of a log; its statements differ in nothing but the signature.

    Attributes:
        index: of the first entry with this payload.
        id: that entry's statement id.
        payload: its bytes, which are compared, not their hash.
        definition: SHA-256 that it names.
        device: number.
        station: number, known or not.
        sequence: the packet's place among its device's.
        previous: id of the device's packet before, or empty.
        signed_at: ms.
        report: `OPENING` to `DOCUMENTS`.
        voters: figures of a turnout, or those of the voters of a result or protocol.
        counts: of a result or protocol, or an opening's zero report.
        attachments: of a result, protocol or documents.
        counter: of an opening or result, or None.
        firmware: of an opening, or empty.
        as_of: ms, of a turnout, else 0.
        closed_at: ms, of a result or protocol, else 0.
        corrects: the id that a protocol replaces, or empty.
    """

    index: int
    id: bytes
    definition: bytes
    device: int
    station: int
    sequence: int
    previous: bytes
    signed_at: int
    report: int
    payload: bytes
    voters: tuple[Figure, ...] = ()
    counts: tuple[Count, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    counter: int | None = None
    firmware: bytes = b""
    as_of: int = 0
    closed_at: int = 0
    corrects: bytes = b""

    @classmethod
    def of(cls, index: int, statement: Statement) -> "Packet":
        """Read a packet's statement.

        Args:
            index: of its entry.
            statement: a packet's.
        """
        packet = cls(
            index=index,
            id=statement.id,
            definition=statement.definition,
            device=statement.device,
            station=statement.station,
            sequence=statement.sequence,
            previous=statement.previous,
            signed_at=statement.signed_at,
            report=cast(int, statement.report[0]),
            payload=statement.payload,
        )
        packet._read_report(cast(tuple[object, ...], statement.report))
        return packet

    def _read_report(self, report: tuple[object, ...]) -> None:
        if self.report == OPENING:
            _, counter, firmware, zeros = report
            self.counter = cast(int, counter)
            self.firmware = cast(bytes, firmware)
            pairs = cast(tuple[tuple[int, tuple[int, ...]], ...], zeros)
            self.counts = tuple(Count(contest, (), votes) for contest, votes in pairs)
            return
        if self.report == TURNOUT:
            _, as_of, figures = report
            self.as_of = cast(int, as_of)
            self.voters = cast(tuple[Figure, ...], figures)
            return
        self.attachments = cast(tuple[Attachment, ...], report[-1])
        if self.report == DOCUMENTS:
            return
        self.closed_at = cast(int, report[1])
        if self.report == RESULT:
            self.counter = cast(int, report[3])
        else:
            self.corrects = cast(bytes, report[2])
        self.voters = cast(tuple[Figure, ...], report[4])
        counts = cast(tuple[tuple[int, tuple[Figure, ...], tuple[int, ...]], ...], report[5])
        self.counts = tuple(Count(*count) for count in counts)

    def count(self, contest: int) -> Count | None:
        """Its count of a contest."""
        return next((count for count in self.counts if count.contest == contest), None)

    def figures(self, count: Count) -> dict[int, int]:
        """A contest's figures: its count's and, for codes that it lacks, those of the voters."""
        return {**dict(self.voters), **dict(count.figures)}
