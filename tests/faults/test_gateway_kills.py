"""The whole gateway under load, killed again and again; the clients' own histories are the judge.

`TALLYGATE_GATEWAY_KILLS` sets how often it is killed on the one night (20).

The process is `tallygate ingest`, the clients are Python's `http.client` over OpenSSL's mutual TLS, each with
the certificate and keys of a box of a rehearsal. Receipts are checked by `clients.wire`, which shares no code
with the gateway.
"""

import http.client
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import trio

from clients.wire import merkle, receipt
from clients.wire.note import VerifierKey
from gateway import _core
from gateway.base.clock import HOUR, RehearsalClock, Segment, format_time
from gateway.base.config import Config, Limits, Listen, render
from gateway.ledger.follow import follow
from gateway.ledger.protocol import Entry, Head
from gateway.run.folder import ReadyFile
from gateway.run.rehearsal import BundleLine, Plan, init_rehearsal

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "hill-country"
KILLS = int(os.environ.get("TALLYGATE_GATEWAY_KILLS", "20"))
CLIENTS = 6
# Acknowledgements in one life of the gateway before it is killed, below; and up to so many seconds more, so
# that it is killed anywhere in a batch and not always behind an answer.
MOST = 100
MORE = 0.01
# Seconds in which every start of the gateway is still a start.
STARTING = 0.4
# Seconds that anything here may take: a start, an answer, an end.
PATIENCE = 30
KILLED = -signal.SIGKILL


class Night:
    """A rehearsal after its close, and its boxes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        now = time.time_ns() // 1_000_000
        made, faults = init_rehearsal(root, EXAMPLE, Plan(), now=now, progress=lambda *_: None)
        assert made is not None, faults
        self.definition = made.definition
        last = max(station.closes_at for station in made.definition.stations())
        clock = RehearsalClock(format_time(now), (Segment(last + HOUR, 1),))
        (root / "clock.json").write_bytes(clock.encode())
        limits = Limits(
            device_requests_per_minute=1_000_000, entries_per_device=1_000_000, station_bytes_per_device=2**40
        )
        listen = Listen(box=("127.0.0.1:0",), operations_ingest="127.0.0.1:0")
        (root / "tallygate.toml").write_bytes(render(Config(listen=listen, limits=limits)))
        self.vkey = VerifierKey.parse(made.log_vkey)
        bundle = (root / "devices" / "bundle.ndjson").read_bytes().splitlines()
        lines = [msgspec.json.decode(line, type=BundleLine) for line in bundle]
        self.boxes = [line for line in lines if line.role == "box" and line.stations]


class Gateway:
    """One life of the process."""

    def __init__(self, night: Path, log: Path) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "ingest", str(night)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        self.address: tuple[str, int] | None = None
        self.ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.write(line)
            self._log.flush()
            if b'"role.ready"' in line:
                host, _, port = json.loads(line)["box"].rpartition(":")
                self.address = (host, int(port))
                self.ready.set()
        self.ready.set()

    def kill(self) -> None:
        self._process.kill()
        assert self._end() == KILLED, "it ended by itself"

    def stop(self) -> None:
        self._process.terminate()
        assert self._end() == 0

    def clear_away(self) -> None:
        """Leaves nothing behind a test that has failed."""
        if self._process.returncode is None:
            self._process.kill()
            self._end()

    def _end(self) -> int:
        status = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._log.close()
        return status


@dataclass(frozen=True)
class Acknowledged:
    """A receipt, and how the gateway called it."""

    outcome: str
    index: int
    text: bytes


@dataclass
class History:
    """What one client knows of its statements.

    Attributes:
        acknowledged: every receipt of each statement, in the order of their coming.
        refused: statements that were refused for ever, with the code.
        unknown: those that were sent and never answered, in order; sent again they leave this list.
    """

    acknowledged: dict[bytes, list[Acknowledged]] = field(default_factory=dict)
    refused: dict[bytes, str] = field(default_factory=dict)
    unknown: list[bytes] = field(default_factory=list)


class Field:
    """Where the gateway is now, and how many receipts its clients have got from this life of it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._address: tuple[str, int] | None = None
        self._life = 0
        self._receipts = 0
        self._over = False

    def open(self, address: tuple[str, int]) -> None:
        with self._changed:
            self._address = address
            self._life += 1
            self._receipts = 0
            self._changed.notify_all()

    def shut(self) -> None:
        with self._changed:
            self._address = None

    def end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def gateway(self) -> tuple[str, int] | None:
        """Waits for a gateway; None: it is over."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._over or self._address is not None, PATIENCE)
            return None if self._over else self._address

    def count(self) -> None:
        with self._changed:
            self._receipts += 1
            self._changed.notify_all()

    def wait_for(self, receipts: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._receipts >= receipts, PATIENCE), "nobody is answered"


class Client:
    """A box that signs, sends, and keeps what it was told."""

    def __init__(self, night: Night, box: BundleLine, folder: Path, chance: random.Random) -> None:
        assert box.sign_seed is not None
        self.history = History()
        self._night = night
        self._box = box
        self._key = bytes.fromhex(box.sign_seed)
        self._chance = chance
        self._sequence = 0
        self._previous = b""
        self._context = ssl.create_default_context(cafile=str(night.root / "pki" / "ca.pem"))
        self._context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        certificate, key = folder / f"{box.id}.pem", folder / f"{box.id}.key"
        certificate.write_text(box.certificate)
        key.write_text(box.tls_key)
        self._context.load_cert_chain(certificate, key)

    def live(self, place: Field) -> None:
        """Sends until it is over, to whatever gateway there is."""
        while (address := place.gateway()) is not None:
            try:
                self._talk(address, place)
            except (OSError, http.client.HTTPException):
                continue

    def send_all(self, address: tuple[str, int]) -> None:
        """Sends everything again that was ever acknowledged, and what was never answered."""
        connection = self._connect(address)
        for statement in [*self.history.unknown, *self.history.acknowledged]:
            self._send(connection, statement)
        connection.close()

    def _connect(self, address: tuple[str, int]) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(*address, context=self._context, timeout=PATIENCE)

    def _talk(self, address: tuple[str, int], place: Field) -> None:
        connection = self._connect(address)
        try:
            for _ in range(self._chance.randrange(1, 30)):
                unknown = self.history.unknown
                self._send(connection, unknown[0] if unknown else self._next())
                place.count()
        finally:
            connection.close()

    def _next(self) -> bytes:
        """Mostly something new; sometimes what is known, or what nobody may take."""
        what = self._chance.randrange(10)
        known = list(self.history.acknowledged)
        if what == 0 and known:
            return self._chance.choice(known)
        number, station = self._box.id, self._box.stations[0]
        if what == 1:
            number += 1_000_000
        content = (
            self._night.definition.hash,
            number,
            station,
            self._sequence + 1,
            self._previous,
            self._night.definition.closes_at,
            (2, self._night.definition.closes_at, ((3, self._chance.randrange(2**40)),)),
        )
        statement = _core.sign("packet", content, self._key)
        if what == 2:
            return statement[:-1] + bytes([statement[-1] ^ 1])
        if what != 1:
            self._sequence += 1
            self._previous = _core.decode(statement).id
        return statement

    def _send(self, connection: http.client.HTTPSConnection, statement: bytes) -> None:
        history = self.history
        if statement not in history.acknowledged and statement not in history.unknown:
            history.unknown.append(statement)
        connection.request("POST", "/v1/statements", statement, headers={"Content-Type": "application/cose"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status in {200, 201}:
            index, _ = receipt.verify(body, statement, self._night.vkey)
            outcome = answer.getheader("Tallygate-Outcome", "")
            assert int(answer.getheader("Tallygate-Index", "")) == index
            assert (outcome == "duplicate") == (answer.status == 200)
            history.acknowledged.setdefault(statement, []).append(Acknowledged(outcome, index, body))
        else:
            code = json.loads(body)["code"]
            assert code in {"statement.unknown_device", "statement.signature"}, body
            history.refused[statement] = code
        if statement in history.unknown:
            history.unknown.remove(statement)


class Operator:
    """Starts the gateway of one night, life after life."""

    def __init__(self, folder: Path) -> None:
        self.night = Night(folder / "night")
        self._log = folder / "ingest.log"
        self._lives: list[Gateway] = []

    def launch(self) -> Gateway:
        """A process, somewhere in its start."""
        self._lives.append(Gateway(self.night.root, self._log))
        return self._lives[-1]

    def start(self) -> tuple[Gateway, tuple[str, int]]:
        """A gateway that serves, and where."""
        gateway = self.launch()
        assert gateway.ready.wait(PATIENCE)
        assert gateway.address is not None, self._log.read_text()[-4_000:]
        return gateway, gateway.address

    def clear_away(self) -> None:
        for gateway in self._lives:
            gateway.clear_away()


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    made = Operator(tmp_path)
    yield made
    made.clear_away()


def test_killed_again_and_again(operator: Operator, tmp_path: Path) -> None:
    chance = random.Random(4)
    night, boxes = operator.night, operator.night.boxes[:CLIENTS]
    clients = [Client(night, box, tmp_path, random.Random(chance.random())) for box in boxes]
    place = Field()
    threads = [threading.Thread(target=client.live, args=(place,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        for life in range(KILLS):
            if life % 5 == 4:
                # Before it is ready, wherever that finds it.
                gateway = operator.launch()
                gateway.ready.wait(chance.random() * STARTING)
                gateway.kill()
            gateway, address = operator.start()
            place.open(address)
            place.wait_for(chance.randrange(MOST))
            time.sleep(chance.random() * MORE)
            gateway.kill()
            place.shut()
        gateway, address = operator.start()
        place.open(address)
        place.wait_for(CLIENTS)
    finally:
        place.end()
        for thread in threads:
            thread.join(PATIENCE)
    for client in clients:
        client.send_all(address)
    entries = trio.run(read_log, night)
    gateway.stop()
    judge(night, [client.history for client in clients], entries)


async def read_log(night: Night) -> list[bytes]:
    """Every entry, as the publisher gets them."""
    ready = msgspec.json.decode((night.root / "run" / "ingest.json").read_bytes(), type=ReadyFile)
    assert ready.log_key == str(night.vkey)
    entries: list[bytes] = []
    size: int | None = None
    with trio.fail_after(PATIENCE):
        async with follow(night.root / "run" / "ledger.sock", 0, str(night.vkey)) as follower:
            async for item in follower:
                match item:
                    case Head():
                        size = item.size
                    case Entry():
                        entries.append(item.statement)
                if len(entries) == size:
                    return entries
    raise AssertionError("the follow socket ended")


def judge(night: Night, histories: list[History], entries: list[bytes]) -> None:
    assert len(set(entries)) == len(entries)
    tree = merkle.Tree(merkle.leaf_hash(entry) for entry in entries)
    acknowledged = 0
    for history in histories:
        assert history.unknown == []
        assert history.acknowledged
        for statement, receipts in history.acknowledged.items():
            acknowledged += 1
            assert len({one.index for one in receipts}) == 1
            assert entries[receipts[0].index] == statement
            # It is new once at most: the answer that said so may have been lost.
            assert [one.outcome for one in receipts[1:]] == ["duplicate"] * (len(receipts) - 1)
            for one in receipts:
                # The head of every receipt is one that the log of today extends.
                _, checkpoint = receipt.verify(one.text, statement, night.vkey)
                assert tree.root(checkpoint.size) == checkpoint.root
        assert not set(history.refused) & set(entries)
    opening = night.definition.commission_quorum
    # Nothing is in the log that nobody has sent.
    assert len(entries) == opening + acknowledged
    assert any(history.refused for history in histories)
