"""A small night for ledgers: a definition on disk, an opening, and as many signed packets as a test wants."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from gateway import _core
from gateway.ledger.protocol import Submission
from gateway.ledger.recovery import Site
from gateway.ledger.sqlite import SqliteLedger, open_ledger
from tests.strategies import Content
from tests.unit.wire_election import DEFINITION, ELECTION, Election

LOG_SEED = b"\x21" * 32
LOG_KEY = _core.public_key(LOG_SEED)
SNAPSHOT_KEY = _core.public_key(b"\x22" * 32)
ORIGIN = "log.example/example-2027"
# Of the members in tests/unit/wire_election.py.
MEMBER_SEEDS = [bytes([number]) * 32 for number in (1, 2, 3)]
OPENED_AT = 1_800_000_000_000
QUOTA = 256


def clock() -> int:
    return OPENED_AT


def statement(kind: str, content: Content, seed: bytes) -> _core.Statement:
    return _core.decode(_core.sign("packet" if kind == "packet" else "decision", content, seed))


class Night:
    """The folder of a night with a definition, a roster, and no ledger yet; or one that is there already."""

    def __init__(
        self, root: Path, *, opening: bool = True, make: bool = True, publish_at: int | None = None
    ) -> None:
        self.root = root
        self.data = root / "data"
        self.published = root / "checkpoint"
        self.vkey = _core.vkey(ORIGIN, LOG_KEY)
        if make:
            (self.data / "opening").mkdir(parents=True)
            Election(root).write_definition(DEFINITION, {**ELECTION, "publish_at": publish_at})
        self.definition = _core.Definition.load(root / "definition")
        self.roster = _core.Roster.load(root / "roster", self.definition)
        if make and opening:
            self.write_opening(self.opening_signatures())

    @property
    def site(self) -> Site:
        return Site(self.definition, self.roster.hash, LOG_KEY, self.published)

    def action(self) -> Content:
        return (1, ORIGIN, LOG_KEY, SNAPSHOT_KEY, self.roster.hash, "tallygate test")

    def decision_one(self) -> Content:
        return (self.definition.hash, b"", 1, OPENED_AT, (("en", "We open."),), self.action())

    def opening_signatures(self) -> list[bytes]:
        return [_core.sign("decision", self.decision_one(), seed) for seed in MEMBER_SEEDS[:2]]

    def write_opening(self, signatures: Sequence[bytes]) -> None:
        for number, signature in enumerate(signatures, 1):
            (self.data / "opening" / f"commission-{number}.cose").write_bytes(signature)

    def open(self, *, refusals_kept: int = 100) -> SqliteLedger:
        return open_ledger(
            self.data, self.site, LOG_SEED, clock=clock, now=clock, refusals_kept=refusals_kept
        )

    def decision(self, number: int, member: int, reason: str = "Because.") -> _core.Statement:
        """A decision that pauses; the ledger does not ask what it says."""
        content = (self.definition.hash, b"\x09" * 32, number, OPENED_AT, (("en", reason),), (6,))
        return statement("decision", content, MEMBER_SEEDS[member - 1])


def packet(
    device: int,
    sequence: int,
    value: int = 0,
    *,
    attachments: Content = (),
    seed: bytes = b"\x11" * 32,
    station: int = 7,
) -> _core.Statement:
    """A packet; `value` makes another payload of the same sequence. Its definition is nobody's."""
    previous = b"" if sequence == 1 else bytes(32)
    report: Content = (2, OPENED_AT, ((3, value),))
    if attachments:
        report = (5, attachments)
    return statement("packet", (bytes(32), device, station, sequence, previous, OPENED_AT, report), seed)


def twin(original: _core.Statement, number: int) -> _core.Statement:
    """The same payload under another signature; a ledger does not verify it."""
    forged = hashlib.sha512(number.to_bytes(8, "big")).digest()
    return _core.decode(original.encoded[:-64] + forged)


def submit(
    one: _core.Statement,
    route: str = "box:1",
    quota: int | None = QUOTA,
    station_bytes: int | None = None,
) -> Submission:
    return Submission(one, OPENED_AT + 1, route, quota if one.kind == "packet" else None, station_bytes)
