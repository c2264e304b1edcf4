"""The servers that the gateway's bench compares, and the load: each a process of its own, pinned to its core.

What lives here: starting and ending servers, their CPU and memory as the kernel counts them, and running the
loader.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import string
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from prometheus_client.parser import text_string_to_metric_families

from benches.gateway_night import Bench
from gateway import _core
from gateway.pki import certificates

PROJECT = Path(__file__).parents[1]
LOADER = PROJECT / "target" / "release" / "tallygate-loader"
PEER_PYTHON = PROJECT / ".venv-bench" / "bin" / "python"

# Two cores that this process may use: the server has one to itself, the loader the other.
SERVER_CORE, LOADER_CORE = (*sorted(os.sched_getaffinity(0)), 0)[:2]

# Seconds until a server must answer: the largest ledger is proved in a few.
PATIENCE = 60
# Hashes of an audit path in a log of some 10,000 entries: the size of nginx's fixed answer.
_PATH = 14

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


class Load(msgspec.Struct, frozen=True):
    """What the loader reports (benches/loader/src/summary.rs); latencies in ms."""

    answered: int
    receipts: int
    statuses: dict[int, int]
    failures: dict[str, int]
    answer_bytes: int
    seconds: float
    cpu_seconds: float
    p50: float
    p90: float
    p99: float
    max: float


@dataclass
class Server:
    """A running server and how far it is with the statements of the bench."""

    process: subprocess.Popen[bytes]
    address: str
    bench: Bench
    operations: str = ""
    sent: int = field(default=0)

    def cpu_seconds(self) -> float:
        """User and system time of the process and all that descend from it."""
        return sum(ticks for ticks, _ in _tree(self.process.pid)) / _TICKS

    def resident_kib(self) -> int:
        """Memory of the same processes; what they share counts in each."""
        return sum(pages for _, pages in _tree(self.process.pid)) * _PAGE_KIB

    def peak_kib(self) -> int:
        """The most memory that the first process has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    def play(self, count: int, in_flight: int) -> Load:
        """Sends the next statements, each on its own connection; every one must be accepted."""
        first, self.sent = self.sent, self.sent + count
        command = self._command("play", first, count, "--in-flight", str(in_flight))
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        load = msgspec.json.decode(done.stdout, type=Load, strict=False)
        if load.statuses != {201: count}:
            raise RuntimeError(f"not every statement was accepted: {load}")
        return load

    @contextlib.contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Keeps so many connections open, each after a statement that is known and not stored again."""
        command = self._command("hold", 0, count)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as loader:
            assert loader.stdin is not None
            assert loader.stdout is not None
            try:
                load = msgspec.json.decode(loader.stdout.readline(), type=Load, strict=False)
                if load.receipts != count:
                    raise RuntimeError(f"not every connection got its receipt: {load}")
                yield
            finally:
                loader.stdin.close()

    def metric(self, name: str) -> dict[str, float]:
        """A metric's samples: the label `le` → value for buckets, else the sample's suffix → value."""
        with urllib.request.urlopen(f"http://{self.operations}/metrics") as answer:
            text = answer.read().decode()
        return {
            sample.labels.get("le", sample.name.removeprefix(name)): sample.value
            for family in text_string_to_metric_families(text)
            if family.name == name
            for sample in family.samples
        }

    def _command(self, mode: str, first: int, count: int, *more: str) -> list[str]:
        options = {
            "address": self.address,
            "ca": str(self.bench.night / "pki" / "ca.pem"),
            "credentials": str(self.bench.credentials),
            "statements": str(self.bench.statements),
            "first": str(first),
            "count": str(count),
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [*_pinned(LOADER_CORE), str(LOADER), mode, *words, *more]


@contextlib.contextmanager
def gateway(night: Path, bench: Bench, *, pinned: bool = True) -> Iterator[Server]:
    """Ours: the role `ingest` of a night."""
    ready = night / "run" / "ingest.json"
    command = [sys.executable, "-m", "gateway.cli", "ingest", str(night)]
    with _running(command, pinned, log=night / "ingest.log") as process:
        _wait(process, ready.exists, night / "ingest.log")
        state = msgspec.json.decode(ready.read_bytes(), type=_Ready)
        yield Server(process, state.box[0], bench, state.operations[0])


@contextlib.contextmanager
def nginx(folder: Path, bench: Bench) -> Iterator[Server]:
    """nginx with a fixed answer."""
    folder.mkdir()
    port = _free_port()
    path = [bytes([number]) * 32 for number in range(_PATH)]
    seed = (bench.night / "keys" / "log.key").read_bytes()
    origin = "rehearsal.invalid/synthetic-flat-rehearsal/00000000"
    head = _core.Checkpoint(origin, 10_000, path[0])
    receipt = _core.format_receipt(9_999, path, _core.NoteSigner(origin, seed).sign(head.text))
    template = string.Template((PROJECT / "benches" / "peers" / "nginx.conf").read_text())
    pki = bench.night / "pki"
    text = template.substitute(
        FOLDER=folder,
        PORT=port,
        CERTIFICATE=pki / "server.pem",
        KEY=pki / "server.key",
        CA=_anchor(pki, folder),
        RECEIPT=receipt,
    )
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    with _running(command, True, log=folder / "nginx.log") as process:
        _wait(process, lambda: _accepts(port), folder / "nginx.log")
        yield Server(process, f"127.0.0.1:{port}", bench)


@contextlib.contextmanager
def fastapi(folder: Path, bench: Bench) -> Iterator[Server]:
    """FastAPI on uvicorn, doing the same job as ours."""
    folder.mkdir()
    port = _free_port()
    module = "benches.peers.fastapi_gateway"
    command = [str(PEER_PYTHON), "-m", module, str(bench.night), str(folder), str(port)]
    with _running(command, True, log=folder / "fastapi.log") as process:
        _wait(process, lambda: _accepts(port), folder / "fastapi.log")
        yield Server(process, f"127.0.0.1:{port}", bench)


class _Ready(msgspec.Struct):
    box: list[str]
    operations: list[str]


def _pinned(core: int) -> list[str]:
    return ["taskset", "--cpu-list", str(core)]


@contextlib.contextmanager
def _running(command: Sequence[str], pinned: bool, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server; when the block ends it is asked to end, and has to."""
    words = [*(_pinned(SERVER_CORE) if pinned else []), *command]
    with log.open("ab") as errors, subprocess.Popen(words, stderr=errors, cwd=PROJECT) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server is not ready (exit status {process.poll()}): {log.read_text()}")
        time.sleep(0.005)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def _tree(root: int) -> list[tuple[int, int]]:
    """Of a process and its descendants: ticks of CPU (with those of ended children), pages in memory."""
    figures: dict[int, tuple[int, int]] = {}
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # Behind the name, which may hold anything: state, parent, …; proc(5) counts from 1.
            fields = path.read_bytes().rpartition(b") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(path.parent.name)
        children.setdefault(int(fields[1]), []).append(pid)
        figures[pid] = (sum(map(int, fields[11:15])), int(fields[21]))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return [figures[pid] for pid in found]


def _anchor(pki: Path, folder: Path) -> Path:
    """The CA signed by itself: nginx trusts no CA without its root, and a longer chain would cost it more."""
    ca = certificates.load_certificate((pki / "ca.pem").read_bytes(), place="ca.pem")
    key = certificates.load_key((pki / "ca.key").read_bytes(), place="ca.key")
    builder = (
        x509.CertificateBuilder()
        .subject_name(ca.subject)
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(ca.serial_number)
        .not_valid_before(ca.not_valid_before_utc)
        .not_valid_after(ca.not_valid_after_utc)
    )
    for extension in ca.extensions:
        if extension.oid != x509.AuthorityKeyIdentifier.oid:
            builder = builder.add_extension(extension.value, extension.critical)
    path = folder / "anchor.pem"
    path.write_bytes(certificates.certificate_pem(builder.sign(key, hashes.SHA256())))
    return path
