"""A gateway as it is usually written in Python, to be measured beside ours: FastAPI, uvicorn, PyNaCl, SQLite.

The same job for a box's packet: mutual TLS 1.3 against the election CA, strict decoding (the second
implementation's, in plain Python), signer and signature (libsodium), the certificate's role and device, the
closing time, duplicates, conflicts and quota, Merkle tree, signed checkpoint, receipt; durable before the
answer (synchronous=FULL), batched: while one transaction commits, the next batch fills. No session tickets.

What it leaves out makes it cheaper: revocation, deadlines, limits of connections and requests, decisions, the
follow socket, metrics. It runs in an environment of its own (locks/bench.txt):

    python -m benches.peers.fastapi_gateway NIGHT FOLDER PORT
"""

from __future__ import annotations

import asyncio
import sqlite3
import ssl
import sys
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import uvicorn
from fastapi import FastAPI, Request, Response
from nacl.signing import SigningKey
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clients.wire import merkle, note, statement
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.receipt import Receipt
from clients.wire.roster import Roster

ORIGIN = "fastapi.invalid/bench"
MOST_BYTES = 16_384
ENTRIES_A_DEVICE = 256
PAYLOADS_A_SEQUENCE = 4
RESULTS = (3, 4)

STATUS = {
    "statement.malformed": 400,
    "statement.unknown_device": 422,
    "statement.signature": 422,
    "identity.role": 403,
    "identity.device": 403,
    "statement.too_early": 425,
    "limit.device": 429,
    "request.media_type": 415,
    "request.too_large": 413,
}

TABLES = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
CREATE TABLE head(one INTEGER PRIMARY KEY, size INTEGER, root BLOB, checkpoint BLOB);
CREATE TABLE entry(idx INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, leaf BLOB NOT NULL,
    statement BLOB NOT NULL, payload BLOB NOT NULL, device INTEGER NOT NULL, sequence INTEGER NOT NULL,
    received_at INTEGER NOT NULL, route TEXT NOT NULL);
CREATE INDEX entry_device ON entry(device, sequence, route);
"""
FIND = "SELECT idx FROM entry WHERE id = ?"
BESIDE = "SELECT payload FROM entry WHERE device = ? AND sequence = ?"
COUNT = "SELECT count(*) FROM entry WHERE device = ? AND route = ?"
INSERT = "INSERT INTO entry VALUES (?,?,?,?,?,?,?,?,?)"
HEAD = "INSERT OR REPLACE INTO head VALUES (1,?,?,?)"


class RefusedError(Exception):
    """A code of docs/box-port.md."""


class Place(NamedTuple):
    entry: int
    outcome: str
    receipt: bytes


@dataclass
class Upload:
    body: bytes
    device: int
    """Of the certificate."""
    answer: asyncio.Future[Place]


class Store:
    """The durable log; one thread at a time."""

    def __init__(self, file: Path, definition: Definition, roster: Roster, seed: bytes) -> None:
        self.definition = definition
        self.roster = roster
        self.key = SigningKey(seed)
        self.tree = merkle.Tree()
        self.checkpoint = b""
        self.database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self.database.executescript(TABLES)

    def take(self, batch: Sequence[Upload]) -> list[Place | RefusedError]:
        """Checks, stores and proves a batch in one transaction."""
        begin = self.tree.size
        self.database.execute("BEGIN IMMEDIATE")
        answers = [self._place(upload) for upload in batch]
        size = self.tree.size
        if size > begin:
            root = self.tree.root()
            self.checkpoint = note.sign(note.Checkpoint(ORIGIN, size, root).text, ORIGIN, self.key)
            self.database.execute(HEAD, (size, root, self.checkpoint))
        self.database.execute("COMMIT")
        return [
            answer if isinstance(answer, RefusedError) else Place(*answer, self._receipt(answer[0], size))
            for answer in answers
        ]

    def _place(self, upload: Upload) -> RefusedError | tuple[int, str]:
        """The checks in the order of docs/packet.md; then the index and whether it is new."""
        try:
            packet = statement.check(upload.body, self.definition, self.roster)
        except WireError as error:
            return RefusedError(error.code)
        if packet.kind != "packet":
            return RefusedError("identity.role")
        device, sequence = packet.device, packet.sequence
        if device != upload.device:
            return RefusedError("identity.device")
        now = int(time.time() * 1_000)
        station = self.definition.stations.get(packet.station)
        if packet.report[0] in RESULTS and station is not None and now < station.closes_at:
            return RefusedError("statement.too_early")
        known = self.database.execute(FIND, (packet.id,)).fetchone()
        if known is not None:
            return known[0], "duplicate"
        route = f"box:{upload.device}"
        beside = {row[0] for row in self.database.execute(BESIDE, (device, sequence))}
        (entries,) = self.database.execute(COUNT, (device, route)).fetchone()
        new = packet.payload not in beside
        if entries >= ENTRIES_A_DEVICE or (new and len(beside) >= PAYLOADS_A_SEQUENCE):
            return RefusedError("limit.device")
        leaf = merkle.leaf_hash(upload.body)
        index = self.tree.append(leaf)
        row = (index, packet.id, leaf, upload.body, packet.payload, device, sequence, now, route)
        self.database.execute(INSERT, row)
        return index, "conflict" if beside and new else "accepted"

    def _receipt(self, index: int, size: int) -> bytes:
        return bytes(Receipt(index, tuple(self.tree.inclusion(index, size)), self.checkpoint))


class Batcher:
    """While one batch commits in a thread, the next fills."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.waiting: list[Upload] = []
        self.wake = asyncio.Event()
        self.thread = ThreadPoolExecutor(1)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self.wake.wait()
            self.wake.clear()
            batch, self.waiting = self.waiting, []
            answers = await loop.run_in_executor(self.thread, self.store.take, batch)
            for upload, answer in zip(batch, answers, strict=True):
                if upload.answer.cancelled():
                    continue
                if isinstance(answer, RefusedError):
                    upload.answer.set_exception(answer)
                else:
                    upload.answer.set_result(answer)

    async def submit(self, body: bytes, device: int) -> Place:
        upload = Upload(body, device, asyncio.get_running_loop().create_future())
        self.waiting.append(upload)
        self.wake.set()
        return await upload.answer


class MutualTls(HttpToolsProtocol):
    """uvicorn's protocol, which does not tell an application whose certificate it was."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        names = transport.get_extra_info("ssl_object").getpeercert()["subjectAltName"]
        *_, role, number = names[0][1].split(":")
        self.app_state = {**self.app_state, "role": role, "device": int(number)}


def application(store: Store) -> FastAPI:
    batcher = Batcher(store)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(batcher.run())
        yield
        running.cancel()

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.post("/v1/statements")
    async def statements(request: Request) -> Response:
        try:
            if request.headers.get("content-type") != "application/cose":
                raise RefusedError("request.media_type")
            if int(request.headers.get("content-length", MOST_BYTES + 1)) > MOST_BYTES:
                raise RefusedError("request.too_large")
            if request.state.role not in ("box", "terminal", "desk"):
                raise RefusedError("identity.role")
            place = await batcher.submit(await request.body(), request.state.device)
        except RefusedError as refused:
            code = str(refused)
            return Response(f'{{"code": "{code}"}}', STATUS[code], media_type="application/problem+json")
        headers = {"Tallygate-Outcome": place.outcome, "Tallygate-Index": str(place.entry)}
        status = 200 if place.outcome == "duplicate" else 201
        return Response(place.receipt, status, headers, "text/plain; charset=utf-8")

    return app


def main(night: Path, folder: Path, port: int) -> None:
    definition = Definition.load(night / "definition")
    roster = Roster.load(night / "roster", definition)
    seed = (night / "keys" / "log.key").read_bytes()
    config = uvicorn.Config(
        application(Store(folder / "ledger.sqlite", definition, roster, seed)),
        port=port,
        backlog=4096,
        loop="uvloop",
        http=MutualTls,
        log_level="warning",
        access_log=False,
        ssl_certfile=night / "pki" / "server.pem",
        ssl_keyfile=night / "pki" / "server.key",
        ssl_ca_certs=str(night / "pki" / "ca.pem"),
        ssl_cert_reqs=ssl.CERT_REQUIRED,
    )
    config.load()
    context = config.ssl
    if context is None:
        raise RuntimeError("uvicorn has no TLS")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    # The election CA is the anchor, and its root is not here (docs/keys.md).
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
