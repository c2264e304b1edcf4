"""``make faults``: the ledger on a real file system whose disk loses power, fails, fills up or is slow.

Prints a table; its status is 1 if anything acknowledged was lost or anything else went wrong, 2 if a part is
not possible on this machine, 0 only if all was run and is right. docs/ledger.md, "How it is proved".
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.realdisk.rows import FAULTS, Fault, Row
from tests.faults.realdisk.stack import NotPossibleError, require_programs, run

# The folder of a process that has mounts and processes of its own.
_INSIDE = "TALLYGATE_FAULTS_INSIDE"
_SEEDS = 8
_HEADER = ("fault", "tries", "acknowledged", "found", "lost", "not run")


def main(arguments: Sequence[str]) -> int:
    """Runs what is asked for and gives the exit status; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.realdisk", description=__doc__)
    parser.add_argument("--seeds", type=int, default=_SEEDS, help=f"how many of each fault, about ({_SEEDS})")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--only", default="", help="faults whose name has this in it")
    asked = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("make faults mounts disks of its own, which only root may do: run it as root", file=sys.stderr)
        return 2
    inside = os.environ.get(_INSIDE)
    if inside is None:
        with tempfile.TemporaryDirectory(prefix="tallygate-faults-") as work:
            return _go_inside(arguments, work)
    rows = [
        run_fault(one, asked.first, asked.seeds, Path(inside)) for one in FAULTS if asked.only in one.name
    ]
    show(rows)
    return status(rows)


def _go_inside(arguments: Sequence[str], work: str) -> int:
    """Runs this program again where its mounts and processes end with it, however it ends."""
    inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        run(*inside, "true")
    except NotPossibleError as error:
        print(f"not possible here: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    command = [*inside, sys.executable, "-m", "tests.faults.realdisk", *arguments]
    alive, held = os.pipe()
    with subprocess.Popen(command, env=os.environ | {_INSIDE: work}, pass_fds=[held]) as child:
        os.close(held)
        try:
            return child.wait()
        finally:
            child.kill()
            # It ends when everything inside has: nobody writes into the folder any more.
            os.read(alive, 1)


def run_fault(fault: Fault, first: int, seeds: int, work: Path) -> Row:
    """Tries one fault with its share of the seeds; what this machine cannot do is counted as not run."""
    row = Row(fault.name, control=fault.control)
    count = max(1, round(fault.share * seeds))
    first = 0 if fault.control else first
    started = time.monotonic()
    try:
        if fault.needs_disk:
            require_programs()
        for seed in range(first, first + count):
            fault.attempt(work, row, seed)
            row.tries += fault.tries
        if not row.acknowledged:
            row.wrong.append("nothing was acknowledged, so nothing could be lost")
        if fault.control and not row.lost:
            row.wrong.append("nothing was lost: this harness would not see a loss")
    except NotPossibleError as error:
        row.not_run = count * fault.tries - row.tries
        row.notes.append(f"not possible here: {error}")
    seconds = time.monotonic() - started
    print(f"{fault.name}: {row.tries} tries in {seconds:.0f} s", file=sys.stderr, flush=True)
    return row


def status(rows: Sequence[Row]) -> int:
    """The exit status."""
    if any(row.wrong for row in rows):
        return 1
    return 2 if any(row.not_run for row in rows) else 0


def show(rows: Sequence[Row]) -> None:
    """Prints the table."""
    lines: list[tuple[str, ...]] = [_HEADER]
    for row in rows:
        counts = (row.tries, row.acknowledged, row.found, row.lost, row.not_run)
        lines.append((row.fault, *(f"{count:,}" for count in counts)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *others in lines:
        cells = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
        print("  ".join(cells))
    for row in rows:
        for note in row.notes:
            print(f"{row.fault}: {note}")
        for wrong in row.wrong:
            print(f"WRONG: {row.fault}: {wrong}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
