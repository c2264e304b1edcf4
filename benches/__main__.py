"""`python -m benches [group …]` (all without one): what is promised about speed, measured now, here."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib.metadata import version

from benches import core, definition, fleet, observer, publish, tally

GROUPS = {
    "core": core.measure,
    "definition": definition.measure,
    "tally": tally.measure,
    "publish": publish.measure,
    "fleet": fleet.measure,
    "observer": observer.measure,
}


def main() -> int:
    """Print a line a figure; 0 also where a promise is missed: the figures are for people to judge."""
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], metavar="group", help=", ".join(GROUPS))
    groups = parser.parse_args().groups or list(GROUPS)
    python = platform.python_version()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {python}, PyNaCl {version('pynacl')}")
    for group in groups:
        for figure in GROUPS[group]():
            print(figure, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
