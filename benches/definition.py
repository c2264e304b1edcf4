"""Building a national election folder, loading it, and loading a million stations and devices."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benches.harness import Figure, process
from gateway import _core
from tests.replays import built, russia, synthetic

SHARED = Path(__file__).parents[2] / "shared" / "data" / "russia"
ROUNDS = 3  # whole processes of seconds each: the best of three is what the code costs
MILLION = 1_000_000


def measure() -> Iterator[Figure]:
    """Build and load; real data where it is beside the project."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        if SHARED.is_dir():
            russia.convert(SHARED, root / "russia")
            name = "russia 2018, 97,699 stations"
        else:
            synthetic.generate(root / "russia", stations=97_699, seed=2018)
            name = "synthetic, 97,699 stations"
        seconds = []
        for turn in range(ROUNDS):
            folder, out = str(root / "russia" / "election"), str(root / f"built-{turn}")
            seconds.append(process("gateway.cli", "election", "build", folder, "--out", out))
        best = min(seconds, key=lambda run: run.seconds)
        note = f"{name}, peak {best.peak_mib:.0f} MiB"
        yield Figure("build an election folder", best.seconds, "s", 10, note)
        yield from _load(root / "built-0", name, 0.5, None)

        million = root / "million"
        million.mkdir()
        built.write_built(million, MILLION, MILLION)
        yield from _load(million, "1 M stations and 1 M devices", 5, 300)


def _load(folder: Path, name: str, seconds: float, mib: float | None) -> Iterator[Figure]:
    idle = min((process("benches.definition") for _ in range(ROUNDS)), key=lambda run: run.seconds)
    runs = [process("benches.definition", str(folder)) for _ in range(ROUNDS)]
    best = min(runs, key=lambda run: run.seconds)
    note = "definition, roster and information"
    yield Figure(f"load {name}", best.seconds - idle.seconds, "s", seconds, note)
    yield Figure(f"peak memory of that process, {name}", best.peak_mib, "MiB", mib)


def _load_all(folder: Path) -> None:
    definition = _core.Definition.load(folder / "definition")
    roster = _core.Roster.load(folder / "roster", definition)
    information = _core.Information.load(folder / "information", definition)
    # The three hashes keep the loads from being idle work.
    sys.stdout.write("" if definition.hash and roster.hash and information.hash else "nothing was loaded\n")


if __name__ == "__main__" and len(sys.argv) > 1:
    _load_all(Path(sys.argv[1]))
