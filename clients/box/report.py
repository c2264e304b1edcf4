"""A packet's report with names instead of places: what `show` writes out and `plausible` looks into."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self, TypeAlias, cast

from clients.box import words
from clients.wire.cbor import Content
from clients.wire.grammar import REPORTS

_Pairs: TypeAlias = tuple[tuple[int, int], ...]
_Zeros: TypeAlias = tuple[tuple[int, tuple[int, ...]], ...]
_Counts: TypeAlias = tuple[tuple[int, _Pairs, tuple[int, ...]], ...]
_Attachments: TypeAlias = tuple[tuple[bytes, int, int, int, int], ...]


class Count(NamedTuple):
    """One contest's figures (by code) and votes; an opening has no figures."""

    contest: int
    figures: Mapping[int, int]
    votes: tuple[int, ...]


class Attachment(NamedTuple):
    """A paper that a report names."""

    sha256: bytes
    media: int
    size: int
    document: int
    page: int


@dataclass(frozen=True, slots=True)
class Report:
    """One report; what its kind does not have is None or empty.

    Attributes:
        kind: opening, turnout, result, protocol or documents.
        counter: ballots ever scanned.
        firmware: SHA-256.
        as_of: ms since the Unix epoch.
        closed_at: ms since the Unix epoch.
        origin: number of `words.ORIGINS`.
        cause: number of `words.CAUSES`.
        corrects: id of the protocol that this one replaces, or empty.
        figures: those of the voters, by code.
        counts: by contest, ascending.
        attachments: in their order.
    """

    kind: str
    counter: int | None = None
    firmware: bytes = b""
    as_of: int | None = None
    closed_at: int | None = None
    origin: int | None = None
    cause: int | None = None
    corrects: bytes = b""
    figures: Mapping[int, int] = field(default_factory=dict)
    counts: tuple[Count, ...] = ()
    attachments: tuple[Attachment, ...] = ()

    @classmethod
    def of(cls, content: Content) -> Self:
        """Give names to a report that the grammar has let through."""
        kind = words.word(REPORTS, cast(int, content[0]))
        match kind:
            case "opening":
                _, counter, firmware, zeros = cast(tuple[int, int, bytes, _Zeros], content)
                counts = tuple(Count(contest, {}, votes) for contest, votes in zeros)
                return cls(kind, counter=counter, firmware=firmware, counts=counts)
            case "turnout":
                _, as_of, figures = cast(tuple[int, int, _Pairs], content)
                return cls(kind, as_of=as_of, figures=dict(figures))
            case "result":
                _, closed_at, origin, counter, figures, entries, papers = cast(
                    tuple[int, int, int, int, _Pairs, _Counts, _Attachments], content
                )
                return cls(
                    kind,
                    closed_at=closed_at,
                    origin=origin,
                    counter=counter,
                    figures=dict(figures),
                    counts=_counts(entries),
                    attachments=_attachments(papers),
                )
            case "protocol":
                _, closed_at, corrects, cause, figures, entries, papers = cast(
                    tuple[int, int, bytes, int, _Pairs, _Counts, _Attachments], content
                )
                return cls(
                    kind,
                    closed_at=closed_at,
                    corrects=corrects,
                    cause=cause,
                    figures=dict(figures),
                    counts=_counts(entries),
                    attachments=_attachments(papers),
                )
            case _:
                _, papers = cast(tuple[int, _Attachments], content)
                return cls(kind, attachments=_attachments(papers))


def _counts(entries: _Counts) -> tuple[Count, ...]:
    return tuple(Count(contest, dict(figures), votes) for contest, figures, votes in entries)


def _attachments(papers: _Attachments) -> tuple[Attachment, ...]:
    return tuple(Attachment(*paper) for paper in papers)
