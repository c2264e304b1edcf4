"""Measuring on shared machines: interleaved rounds, and ratios within one rather than absolute times."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ROUNDS = 7  # an odd number, so that the median is a round that was really measured
SECONDS_A_ROUND = 0.2  # long against the clock's resolution, short against the machine's drift

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the results: what was measured, against what, and what was promised."""

    name: str
    value: float
    unit: str
    promised: float | None = None
    note: str = ""

    def __str__(self) -> str:
        verdict = "" if self.promised is None else f"  promised ≤ {self.promised:g}"
        missed = "  MISSED" if self.promised is not None and self.value > self.promised else ""
        note = f"  ({self.note})" if self.note else ""
        return f"{self.name:<58} {self.value:>9.3f} {self.unit:<8}{verdict}{missed}{note}"


def seconds_a_call(work: Work, repeat: int) -> float:
    """The wall time of one call, in seconds, over `repeat` calls."""
    start = time.perf_counter()
    for _ in range(repeat):
        work()
    return (time.perf_counter() - start) / repeat


def repeats(work: Work) -> int:
    """How many calls fill a round."""
    once = max(seconds_a_call(work, 3), 1e-8)
    return max(1, int(SECONDS_A_ROUND / once))


def interleaved(*works: Work) -> list[list[float]]:
    """For each work its seconds a call, a value for each round; the works take turns within a round."""
    counts = [repeats(work) for work in works]
    rounds = [
        [seconds_a_call(work, count) for work, count in zip(works, counts, strict=True)]
        for _ in range(ROUNDS)
    ]
    return [list(times) for times in zip(*rounds, strict=True)]


def median_ratio(times: Sequence[float], peer: Sequence[float]) -> float:
    """The median over the rounds of time ÷ peer's time."""
    return statistics.median(mine / theirs for mine, theirs in zip(times, peer, strict=True))


@dataclass(frozen=True, slots=True)
class Run:
    """What a whole process took."""

    seconds: float
    peak_mib: float


def process(module: str, *arguments: str) -> Run:
    """Run `python -m module arguments` and take its wall time and peak memory."""
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "benches.measured", str(writer), module, *arguments]
    start = time.perf_counter()
    try:
        subprocess.run(command, pass_fds=[writer], stdout=subprocess.DEVNULL, check=True)
        seconds = time.perf_counter() - start
        return Run(seconds, int(os.read(reader, 32)) / 1024)
    finally:
        os.close(reader)
        os.close(writer)
