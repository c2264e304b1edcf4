"""`python -m benches.gateway [--quick] [group …]`: what is promised about the gateway's speed.

Server and load have a core each. The servers take turns within a round and the median of the rounds' ratios
counts: absolute times drift on shared machines. CPU is user and system time of the server's whole process
tree, divided by the statements that it accepted. Each statement has a connection of its own: a full mutual
TLS 1.3 handshake with P-256 certificates and X25519, about 1 KB of statement, a receipt, and the end.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benches.gateway_night import BOXES, Bench, make
from benches.gateway_servers import PEER_PYTHON, Load, Server, fastapi, gateway, nginx
from benches.harness import Figure, median_ratio

IN_FLIGHT = (64, 16, 4)
# Whole accepted statement ÷ nginx, for each number in flight.
PROMISED = {64: 0.75, 16: 0.85, 4: 1.0}
# Sent before anything is measured: code is loaded, memory is warm.
WARM_UP = 300
IDLE = 1_000
SMALL = 10_000
PEER_PACKAGES = ("fastapi=", "uvicorn=", "uvloop=", "httptools=", "pynacl=")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: all that is promised, or enough to see a mistake."""

    stations: int
    rounds: int
    statements: int
    """A server and turn."""
    fastapi: int
    """The same for the slowest one."""
    burst: int
    large: int
    """Entries of the large ledger."""

    @property
    def sent(self) -> int:
        """The most statements that one server is sent."""
        return WARM_UP + max(self.rounds * len(IN_FLIGHT) * self.statements, self.burst, IDLE)


FULL = Scale(20_000, 5, 3_000, 1_000, 50_000, 1_000_000)
QUICK = Scale(BOXES, 3, 600, 250, 5_000, 50_000)


@dataclass(frozen=True, slots=True)
class Turn:
    """One server's part of a round."""

    cpu: float
    """Seconds a statement."""
    load: Load


def turn(server: Server, count: int, in_flight: int) -> Turn:
    """Sends `count` statements and counts the CPU they took."""
    before = server.cpu_seconds()
    load = server.play(count, in_flight)
    return Turn((server.cpu_seconds() - before) / count, load)


def ratio(turns: list[Turn], peers: list[Turn]) -> float:
    """The median over the rounds of CPU ÷ the peer's CPU."""
    return median_ratio([one.cpu for one in turns], [one.cpu for one in peers])


def median_cpu(turns: list[Turn]) -> float:
    """µs a statement."""
    return statistics.median(one.cpu for one in turns) * 1e6


def peers(root: Path, bench: Bench, scale: Scale) -> Iterator[Figure]:
    """The whole job beside nginx with a fixed answer and beside FastAPI with the whole job."""
    with ExitStack() as running:
        ours = running.enter_context(gateway(bench.copy("peers", SMALL), bench))
        bare = running.enter_context(nginx(root / "nginx", bench))
        whole = running.enter_context(fastapi(root / "fastapi", bench))
        counts = {id(ours): scale.statements, id(bare): scale.statements, id(whole): scale.fastapi}
        servers = [ours, bare, whole]
        for server in servers:
            server.play(WARM_UP, IN_FLIGHT[0])
        turns: dict[tuple[int, int], list[Turn]] = {}
        for number in range(scale.rounds):
            for in_flight in IN_FLIGHT:
                for server in servers[number % 3 :] + servers[: number % 3]:
                    one = turn(server, counts[id(server)], in_flight)
                    turns.setdefault((id(server), in_flight), []).append(one)
        for in_flight in IN_FLIGHT:
            own, least, same = (turns[id(server), in_flight] for server in servers)
            name = f"{in_flight} in flight"
            note = f"ours {median_cpu(own):.0f} µs, nginx {median_cpu(least):.0f} µs of CPU"
            yield Figure(
                f"whole statement ÷ nginx bare, {name}", ratio(own, least), "×", PROMISED[in_flight], note
            )
            note = f"FastAPI {median_cpu(same):.0f} µs of CPU"
            yield Figure(f"whole statement ÷ FastAPI, {name}", ratio(own, same), "×", 0.25, note)
        busy = statistics.median(one.load.cpu_seconds / one.load.seconds for one in turns[id(ours), 64])
        yield Figure("the loader's own core, busy with ours", busy * 100, "%", None, "64 in flight")


def ledger(root: Path, bench: Bench, scale: Scale) -> Iterator[Figure]:
    """A large ledger: cost of a statement, restart, memory."""
    del root
    size = f"{scale.large:,} entries"
    large = bench.copy("large", scale.large)
    with gateway(bench.copy("small", SMALL), bench) as few, gateway(large, bench) as many:
        for server in (few, many):
            server.play(WARM_UP, 64)
        turns: tuple[list[Turn], list[Turn]] = ([], [])
        for number in range(scale.rounds):
            for place in (0, 1) if number % 2 else (1, 0):
                turns[place].append(turn((few, many)[place], scale.statements, 64))
        note = f"{median_cpu(turns[1]):.0f} µs and {median_cpu(turns[0]):.0f} µs of CPU, 64 in flight"
        name = f"a statement at {size} ÷ at {SMALL:,}"
        yield Figure(name, ratio(turns[1], turns[0]), "×", 1.1, note)
        note = f"peak {many.peak_kib() / 1024:.0f} MiB"
        yield Figure(f"memory with {size}", many.resident_kib() / 1024, "MiB", None, note)
    starts = []
    for _ in range(3):
        begun = time.perf_counter()
        with gateway(large, bench, pinned=False) as server:
            starts.append(time.perf_counter() - begun)
            peak = server.peak_kib() / 1024
    note = f"the whole past proved from the disk, all cores, peak {peak:.0f} MiB"
    yield Figure(f"restart to ready, {size}", statistics.median(starts), "s", 5, note)


def burst(root: Path, bench: Bench, scale: Scale) -> Iterator[Figure]:
    """Everybody connects at once."""
    del root
    with gateway(bench.copy("burst", 0), bench) as server:
        server.play(WARM_UP, 64)
        before = server.metric("tallygate_ledger_batch_statements")
        one = turn(server, scale.burst, 64)
        after = server.metric("tallygate_ledger_batch_statements")
    name = f"{scale.burst:,} statements"
    rate = scale.burst / one.load.seconds
    busy = one.cpu * rate
    note = f"64 in flight, {one.cpu * 1e6:.0f} µs of CPU each, its core {busy:.0%} busy"
    yield Figure(f"{name}, server on one core", rate, "a second", None, note)
    worst = f"p90 {one.load.p90:.1f}, longest {one.load.max:.1f} ms"
    yield Figure(f"upload with its handshake, {name}: p50", one.load.p50, "ms", None, worst)
    yield Figure(f"upload with its handshake, {name}: p99", one.load.p99, "ms")
    grown = {key: after[key] - before.get(key, 0) for key in after}
    yield Figure("statements in a batch", grown["_sum"] / grown["_count"], "", None, _spread(grown))


def idle(root: Path, bench: Bench, scale: Scale) -> Iterator[Figure]:
    """Memory of connections that are open, authenticated, and have nothing to say."""
    del scale
    with gateway(bench.copy("idle", 0), bench) as ours, nginx(root / "nginx-idle", bench) as bare:
        kib = []
        for server in (bare, ours):
            server.play(IDLE, 64)
            before = server.resident_kib()
            with server.hold(IDLE):
                kib.append((server.resident_kib() - before) / IDLE)
    note = f"{IDLE:,} sessions after an answer; nginx {kib[0]:.1f} KiB"
    yield Figure("idle authenticated session", kib[1], "KiB", 20, note)


def _spread(buckets: dict[str, float]) -> str:
    """How the batches fall into the metric's buckets, e.g. ``≤ 32: 40 %``."""
    shown, below = [], 0.0
    for edge, count in buckets.items():
        if not edge.startswith("_") and count > below:
            shown.append(f"≤ {float(edge):g}: {(count - below) / buckets['_count']:.0%}")
            below = count
    return ", ".join(shown)


GROUPS = {"peers": peers, "ledger": ledger, "burst": burst, "idle": idle}


def versions() -> str:
    """The machine and every program that takes part."""
    cpu = next(
        line.partition(": ")[2]
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    said = subprocess.run(["nginx", "-V"], stderr=subprocess.PIPE, text=True, check=True).stderr.splitlines()
    nginx_version = ", ".join(line for line in said[:3] if "nginx version" in line or "OpenSSL" in line)
    command = [str(PEER_PYTHON), "-m", "pip", "freeze", "--disable-pip-version-check"]
    peer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    packages = " ".join(line for line in peer if line.lower().startswith(PEER_PACKAGES))
    return (
        f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}; "
        f"{nginx_version}; {packages}"
    )


def main() -> int:
    """Print a line a figure; 0 also where a promise is missed: the figures are for people to judge."""
    parser = argparse.ArgumentParser(prog="python -m benches.gateway", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, to see a mistake: no figure counts")
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], metavar="group", help=", ".join(GROUPS))
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else FULL
    print(versions())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        root = Path(scratch)
        bench = make(root, stations=scale.stations, statements=scale.sent)
        for group in arguments.groups or GROUPS:
            for figure in GROUPS[group](root, bench, scale):
                print(figure, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
