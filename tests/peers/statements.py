"""Good statements, the same in every run: one of every report and action, and a device's long chain."""

import hashlib

from gateway import _core
from tests.strategies import MAX_NUMBER, Content, Kind

DEFINITION = hashlib.sha256(b"an election.json").digest()
SEED = hashlib.sha256(b"a device").digest()
SIGNED_AT = 1_790_000_000_000

_A = b"\xaa" * 32
_B = b"\xbb" * 32
_SCAN = (_A, 1, 20_971_520, 1, 1)

_REPORTS: tuple[Content, ...] = (
    (1, 12, _A, ()),
    (1, 0, _A, ((1, (0, 0, 0)), (2, (0,)))),
    (2, SIGNED_AT, ((1, 1200), (3, 37))),
    (3, SIGNED_AT, 1, 1040, ((1, 1200), (3, 1040)), ((1, ((9, 1038), (11, 1031), (13, 7)), (500, 531)),), ()),
    (
        3,
        0,
        4,
        MAX_NUMBER,
        (),
        ((1, ((100, 0),), (MAX_NUMBER,)), (MAX_NUMBER, ((1, 0),), (0,) * 300)),
        (_SCAN,),
    ),
    (4, SIGNED_AT, b"", 0, (), ((7, ((9, 23), (11, 24), (13, 255)), (256, 65_535, 65_536, 2**32)),), ()),
    (4, SIGNED_AT, _B, 4, ((1, 1),), ((1, ((9, 1),), (1,)),), (_SCAN, (_B, 4, 1, 6, 0))),
    (5, (_SCAN,) * 16),
)

_ACTIONS: tuple[Content, ...] = (
    (1, "rehearsal.invalid/hill-2026/0123abcd", _A, _B, _A, "tallygate 0.1.0"),
    (2, 7),
    (3, 7, 12, 0),
    (4, 0, 3),
    (5, 12, 3, 2, _A),
    (6,),
    (7,),
    (8, 1, 5),
    (9, _A),
    (10, _B),
    (11, 0, SIGNED_AT),
    (12, 12),
    (13, 2),
)


def every_kind() -> list[tuple[Kind, Content]]:
    """A kind and content for each report and action, with their extremes."""
    out: list[tuple[Kind, Content]] = []
    for place, report in enumerate(_REPORTS):
        previous = _B if place else b""
        out.append(("packet", (DEFINITION, 7, 12, place + 1, previous, SIGNED_AT, report)))
    reason = (("ru", "Решение № 1"), ("en", "Recount in station 12"))
    for place, action in enumerate(_ACTIONS):
        previous = _B if place else b""
        out.append(("decision", (DEFINITION, previous, place + 1, SIGNED_AT, reason, action)))
    return out


def chain(count: int) -> list[bytes]:
    """Packets of one device, each signed and naming the one before it."""
    out: list[bytes] = []
    previous = b""
    for place in range(count):
        report = _REPORTS[place % len(_REPORTS)]
        content = (DEFINITION, 7, 12, place + 1, previous, SIGNED_AT + place, report)
        out.append(_core.sign("packet", content, SEED))
        previous = hashlib.sha256(out[-1]).digest()
    return out
