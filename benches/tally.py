"""Folding a night into its tally, and replaying a whole log with its signatures: `python -m benches.tally`.

The fold is everything from a statement's bytes to the sums of every area: decoding, ids, what belongs, the
rules, each station's state. Signatures and objects are not in it. Its unit is the time of all cores together,
so that a second core makes it look no better; on a busy machine it looks worse, as everything does, which is
what the ratio to decoding alone is for.

A replay is what somebody does who has nothing but the log: each statement decoded and its signature verified,
the tree's root, the fold, and the root's object.
"""

from __future__ import annotations

import argparse
import random
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from benches import observer
from benches.harness import ROUNDS, Figure, process
from gateway import _core
from tests.replays import built

SIZES: Final = (10_000, 100_000, 1_000_000)
SPEAKING: Final = 10_000  # stations whose night is folded, however many there are
A_SECOND: Final = 1_000  # entries that a gateway under load appends in a second
# What the promise is about, and what `make bench` measures of it.
PROMISED_PACKETS: Final = 1_000_000
PROMISED_SECONDS: Final = 60.0
PACKETS: Final = 100_000
AT_ONCE: Final = 8_192  # statements that a replay has in memory: two megabytes of them, and many a core
_LENGTH: Final = struct.Struct("<H")


def nights(definition: bytes, stations: int) -> tuple[list[bytes], list[bytes]]:
    """Openings, then turnouts hour by hour, then results of some stations: by station, and in any order.

    The second is what a night is like. It costs more because no two entries share anything in the cache.
    """
    step = stations // SPEAKING
    numbers = range(step, stations + 1, step)
    packets = [
        observer.sign_night(definition, observer.Station(number, number, stations + number))
        for number in numbers
    ]
    order = random.Random(stations)
    sorted_, mixed = [], []
    for place in range(observer.PACKETS_A_STATION):
        sorted_ += [of_station[place] for of_station in packets]
        mixed += [of_station[place] for of_station in order.sample(packets, len(packets))]
    # Whoever reads a log has its entries behind each other in memory.
    return [bytes(bytearray(one)) for one in sorted_], [bytes(bytearray(one)) for one in mixed]


def fold(definition: _core.Definition, roster: _core.Roster, log: list[bytes], at_once: int) -> float:
    """Seconds of all cores together."""
    tally = _core.Tally(definition, roster)
    parts = [log[first : first + at_once] for first in range(0, len(log), at_once)]
    start = time.process_time()
    for place, part in enumerate(parts):
        tally.apply(place * at_once, part)
        # The sums of all areas are asked for.
        tally.progress(1)
    return time.process_time() - start


def decode(log: list[bytes]) -> float:
    """Seconds of decoding the same bytes one by one."""
    start = time.process_time()
    for statement in log:
        _core.decode(statement)
    return time.process_time() - start


def fold_figures() -> Iterator[Figure]:
    """One night in countries of three sizes."""
    whole = {}
    for stations in SIZES:
        with tempfile.TemporaryDirectory() as scratch:
            built.write_built(Path(scratch), stations, 2 * stations)
            definition = _core.Definition.load(Path(scratch) / "definition")
            roster = _core.Roster.load(Path(scratch) / "roster", definition)
        for name, log in zip(("by station", "in any order"), nights(definition.hash, stations), strict=True):
            rounds = [(fold(definition, roster, log, len(log)), decode(log)) for _ in range(ROUNDS)]
            whole[stations] = min(folded for folded, _ in rounds) / len(log)
            note = f"{stations:,} stations, {len(log):,} entries of {len(b''.join(log)) // len(log)} bytes"
            rate = f"{1e-6 / whole[stations]:.2f} M a second"
            yield Figure(f"fold a packet, {name}", whole[stations] * 1e6, "µs", 1.0, f"{rate}, {note}")
            ratio = statistics.median(folded / decoded for folded, decoded in rounds)
            yield Figure("that ÷ decoding it one by one", ratio, "×")
        live = min(fold(definition, roster, log, A_SECOND) for _ in range(ROUNDS)) / len(log)
        yield Figure("fold a packet, sums every second", live * 1e6, "µs", None, f"{A_SECOND:,} at a time")
    ratio = whole[SIZES[-1]] / whole[SIZES[0]]
    yield Figure("fold, the largest ÷ the smallest country", ratio, "×", 1.3, "in any order")


def write_log(folder: Path, packets: int) -> None:
    """An election whose devices can sign, and its night, opened by decision 1."""
    stations = packets // observer.PACKETS_A_STATION
    observer.write_election(folder, stations)
    definition = _core.Definition.load(folder / "definition")
    roster = _core.Roster.load(folder / "roster", definition)
    keys = _core.public_key(observer.LOG), _core.public_key(observer.SNAPSHOTS)
    action = (1, observer.ORIGIN, *keys, roster.hash, "bench")
    opening = (definition.hash, b"", 1, built.OPENS_AT, (("en", "The log is opened."),), action)
    log = [_core.sign("decision", opening, observer.MEMBER), *observer.night_log(definition.hash, stations)]
    with (folder / "log.part").open("wb") as file:
        for statement in log:
            file.write(_LENGTH.pack(len(statement)) + statement)
    (folder / "log.part").rename(folder / "log")


def replay(folder: Path) -> str:
    """Everything that the log says, from its bytes; the tree's root and the tally's."""
    definition = _core.Definition.load(folder / "definition")
    roster = _core.Roster.load(folder / "roster", definition)
    tally, tree = _core.Tally(definition, roster), _core.Tree()
    with (folder / "log").open("rb") as file:
        statements = iter(lambda: file.read(_LENGTH.unpack(file.read(2) or b"\0\0")[0]), b"")
        while part := list(islice(statements, AT_ONCE)):
            leaves = []
            for checked in _core.check_statements(part, definition, roster):
                if not isinstance(checked, _core.Statement):
                    raise checked
                leaves.append(checked.leaf_hash)
            tree.append(leaves)
            tally.apply(tree.size - len(part), part)
    root = tally.area(1)
    return f"{tree.size:,} entries, {tree.root().hex()[:16]}, a root of {len(root):,} bytes"


def replay_figures(packets: int = PACKETS) -> Iterator[Figure]:
    """A replay in a process of its own; its log stays where temporary files are, for the next time."""
    folder = Path(tempfile.gettempdir()) / f"tallygate-bench-replay-{packets}"
    if not (folder / "log").exists():
        write_log(folder, packets)
    run = process("benches.tally", "--replay", str(folder))
    promised = PROMISED_SECONDS * packets / PROMISED_PACKETS
    note = f"{packets // observer.PACKETS_A_STATION:,} stations, decode, verify, tree, fold, root object"
    yield Figure(f"replay a log of {packets:,} packets", run.seconds, "s", promised, note)
    yield Figure("replay, peak memory", run.peak_mib, "MiB")


def measure(packets: int = PACKETS) -> Iterator[Figure]:
    """The fold, then the replay."""
    yield from fold_figures()
    yield from replay_figures(packets)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=PACKETS, help="of the replay")
    parser.add_argument("--replay", type=Path, help="replay this folder's log and do nothing else")
    arguments = parser.parse_args()
    if arguments.replay:
        print(replay(arguments.replay))
    else:
        for figure in measure(arguments.packets):
            print(figure, flush=True)
    sys.exit(0)
