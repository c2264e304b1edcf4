"""The words that people write and read for the numbers of a statement (packet.md)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from clients.wire.definition import STANDARD_FIGURES, Definition


def _numbered(first: int, *words: str) -> Mapping[str, int]:
    return MappingProxyType({word: number for number, word in enumerate(words, first)})


ORIGINS: Final = _numbered(1, "normal", "recovered_memory", "rescan", "counted_by_hand")
CAUSES: Final = _numbered(0, "first", "keying", "recount", "court", "better_scan")
MEDIA: Final = _numbered(1, "pdf", "png", "jpeg", "tiff")
DOCUMENTS: Final = _numbered(
    1, "protocol", "box_slip", "identification_slip", "zero_slip", "act_or_complaint", "other"
)
SOURCES: Final = _numbered(1, "machine", "protocol")
STATUSES: Final = _numbered(
    0,
    "pre-election",
    "unofficial-partial",
    "unofficial-complete",
    "certified",
    "correction",
    "recount",
)

# Each action's word and the names of what follows its number.
ACTIONS: Final[Mapping[int, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        1: ("open", ("origin", "log_key", "snapshot_key", "roster", "software")),
        2: ("revoke", ("device",)),
        3: ("assign", ("device", "station", "replaces")),
        4: ("annul", ("station", "contest")),
        5: ("choose", ("station", "contest", "source", "id")),
        6: ("pause", ()),
        7: ("resume", ()),
        8: ("status", ("source", "status")),
        9: ("roster", ("roster",)),
        10: ("definition", ("definition",)),
        11: ("close", ("station", "closes_at")),
        12: ("cancel", ("station",)),
        13: ("undo", ("number",)),
    }
)


def word(words: Mapping[str, int], number: int) -> str:
    """The word for a number that the grammar has let through."""
    return next(word for word, value in words.items() if value == number)


def figures(definition: Definition | None) -> Mapping[str, int]:
    """The codes of figures by name: the standard ones and, with a definition, the country's own."""
    national = {} if definition is None else {own.figure: code for code, own in definition.figures.items()}
    return {**STANDARD_FIGURES, **national}
