"""Nights for the gateway's bench: an invented election after its close, its keys, and what boxes send.

What lives here: one rehearsal night with a P-256 CA in place of its own, the boxes' certificates, files of
signed statements for the loader, and filling a ledger before anybody measures it.

A statement here is a machine's result of about 1 KB, signed by its box. Its hash chain is invented: the door
does not look at it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import msgspec

from gateway import _core
from gateway.base.clock import DAY, HOUR, RehearsalClock, Segment, format_time, parse_time, system_clock
from gateway.base.config import Config, Listen, render
from gateway.ledger.protocol import Logged, Submission
from gateway.ledger.recovery import Site
from gateway.ledger.sqlite import open_ledger
from gateway.pki import certificates
from gateway.pki.authority import create_authority, open_authority
from gateway.pki.names import certificate_uri
from gateway.run.rehearsal import LOOPBACK, BundleLine, Plan, init_rehearsal
from tests.replays import synthetic

# In turn party lists, one person, yes or no: a result then has about 1 KB.
CONTESTS = 14
# Boxes that have a certificate and send: so many that no limit of a certificate is ever met (120 requests a
# minute, 256 entries, two connections), and none has to be raised.
BOXES = 2_000
# What is sent begins here, far above what a filled ledger holds.
SENT_FROM = 1_000
# Statements that are signed in one go by one process, and appended in one transaction.
CHUNK = 1_024

_CLOSED_AT = parse_time("2026-03-15T20:00:00+06:00")
_START = _CLOSED_AT + HOUR
_VALID_FOR = 60 * DAY
_FIGURES = ((1, 2480), (3, 1733), (5, 1731), (7, 2), (9, 1731), (11, 1702), (12, 4), (13, 25))


@dataclass(frozen=True, slots=True)
class Signer:
    """A box: its number, which is its station's too as far as the door is concerned, and its signing key."""

    device: int
    station: int
    seed: bytes


@dataclass(frozen=True, slots=True)
class Bench:
    """What all nights of one run have in common.

    Attributes:
        night: a night that nobody has served; served ones are copies.
        credentials: certificates and keys of the first boxes, for the loader.
        statements: what these boxes send, for the loader, one box after another.
        count: how many there are.
    """

    night: Path
    credentials: Path
    statements: Path
    count: int

    def copy(self, name: str, fill: int) -> Path:
        """A night of its own, its ledger filled up to about `fill` entries (0: not even opened)."""
        night = self.night.with_name(name)
        shutil.copytree(self.night, night)
        now = format_time(system_clock())
        (night / "clock.json").write_bytes(RehearsalClock(now, (Segment(_START, 1),)).encode())
        if fill:
            subprocess.run([sys.executable, "-m", "benches.gateway_night", night, str(fill)], check=True)
        return night


def make(root: Path, *, stations: int, statements: int) -> Bench:
    """Makes an election of so many stations, a box and a terminal each, and signs what boxes will send."""
    synthetic.generate(root / "tables", stations=stations, contests=CONTESTS, seed=4)
    night = root / "night"
    workers = len(os.sched_getaffinity(0))
    plan = Plan(start=_START, workers=workers)
    made, faults = init_rehearsal(
        night, root / "tables" / "election", plan, now=system_clock(), progress=_silent
    )
    assert made is not None, faults.kept()
    listen = Listen(box=("127.0.0.1:0",), operations_ingest="127.0.0.1:0")
    (night / "tallygate.toml").write_bytes(render(Config(listen=listen)))
    boxes = signers(night)[:BOXES]
    bench = Bench(night, root / "credentials.ndjson", root / "statements.bin", statements)
    _replace_authority(night, made.definition.id, boxes, bench.credentials)
    numbers = range(SENT_FROM * len(boxes), SENT_FROM * len(boxes) + statements)
    with bench.statements.open("wb") as file:
        for number, statement in zip(numbers, _signed(made.definition.hash, boxes, numbers), strict=True):
            file.write(struct.pack(">II", number % len(boxes), len(statement)) + statement)
    return bench


def signers(night: Path) -> list[Signer]:
    """Every box of the night, in ascending number."""
    decoder = msgspec.json.Decoder(BundleLine)
    with (night / "devices" / "bundle.ndjson").open("rb") as file:
        lines = (decoder.decode(line) for line in file)
        return [
            Signer(line.id, line.stations[0], bytes.fromhex(line.sign_seed))
            for line in lines
            if line.role == "box" and line.sign_seed
        ]


def sign(definition: bytes, boxes: Sequence[Signer], number: int) -> bytes:
    """Statement `number` of all that these boxes can send, one after another and again."""
    sequence, place = divmod(number, len(boxes))
    box = boxes[place]
    previous = b"" if sequence == 0 else hashlib.sha256(b"%d %d" % (box.device, sequence)).digest()
    votes = [(200 + place % 800, *range(7, 15), 21), (900, 500 + place % 300, 200, 99, 7), (1201, 501)]
    counts = tuple((contest, _FIGURES, votes[(contest - 1) % 3]) for contest in range(1, CONTESTS + 1))
    report = (3, _CLOSED_AT, 1, 9_000 + sequence, ((3, 1733),), counts, ())
    at = _CLOSED_AT + sequence
    content = (definition, box.device, box.station, sequence + 1, previous, at, report)
    return _core.sign("packet", content, box.seed)


def _silent(what: str, done: int, total: int) -> None:
    """Nobody watches."""


def _signed(definition: bytes, boxes: Sequence[Signer], numbers: Sequence[int]) -> Iterator[bytes]:
    """The statements of these numbers, signed on all cores but never many more than the caller has taken."""
    chunks = (numbers[at : at + CHUNK] for at in range(0, len(numbers), CHUNK))
    work = partial(_sign_chunk, definition, boxes)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        while some := list(islice(chunks, 32)):
            for statements in pool.map(work, some):
                yield from statements


def _sign_chunk(definition: bytes, boxes: Sequence[Signer], numbers: Sequence[int]) -> list[bytes]:
    return [sign(definition, boxes, number) for number in numbers]


def _replace_authority(night: Path, election: str, boxes: Sequence[Signer], credentials: Path) -> None:
    """A P-256 CA, server and boxes: what a box has whose TLS knows nothing newer."""
    shutil.rmtree(night / "pki")
    now = system_clock()
    until = now + _VALID_FOR
    create_authority(night / "pki", election, algorithm="p256", closes_at=until, now=now)
    with open_authority(night / "pki", now=now) as ca, credentials.open("wb") as file:
        ca.write_server(LOOPBACK, algorithm="p256")
        ca.write_crl()
        validity = certificates.leaf_validity(now, until)
        for box in boxes:
            key = certificates.make_key("p256")
            certificate = certificates.issue_client(
                ca.issuer,
                key.public_key(),
                f"box {box.device}",
                certificate_uri(election, "box", box.device),
                certificates.random_serial(),
                validity,
            )
            line = {
                "tls_key": certificates.key_pem(key).decode(),
                "certificate": certificates.certificate_pem(certificate).decode(),
            }
            file.write(msgspec.json.encode(line) + b"\n")


def _fill(night: Path, entries: int) -> None:
    """Appends results of all boxes, as a courier would have brought them: no box has used its quota."""
    definition = _core.Definition.load(night / "definition")
    roster = _core.Roster.load(night / "roster", definition)
    seed = (night / "keys" / "log.key").read_bytes()
    site = Site(definition, roster.hash, _core.public_key(seed), None)
    ledger = open_ledger(night / "data", site, seed, clock=_start, now=system_clock)
    statements = _signed(definition.hash, signers(night), range(entries))
    while batch := [
        Submission(_core.decode(one), _START, "courier:1", None) for one in islice(statements, CHUNK)
    ]:
        assert all(isinstance(outcome, Logged) for outcome in ledger.append(batch))
    ledger.close()


def _start() -> int:
    return _START


if __name__ == "__main__":
    _fill(Path(sys.argv[1]), int(sys.argv[2]))
