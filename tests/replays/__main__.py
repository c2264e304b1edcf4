"""``python -m tests.replays``: writes the replay of a real or synthetic set."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.replays import bolivia, georgia, kyrgyz, mexico, russia
from tests.replays.built import write_built
from tests.replays.folder import SHARED_DATA, Report, SourceError
from tests.replays.synthetic import SHAPES, generate

_EXAMPLES = """\
examples:
  python -m tests.replays kyrgyz-2020 out/kyrgyz
  python -m tests.replays synthetic out/invented --stations 500 --contests 3 --shape deep
  python -m tests.replays synthetic-built out/million --stations 1000000 --devices 1000000
"""
_SETS = {module.NAME: module for module in (kyrgyz, georgia, russia, bolivia, mexico)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, 1 with a message on standard error, or 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        print("\n".join(_run(options)))
    except SourceError as error:
        print(f"the source is not the one this converter knows: {error}", file=sys.stderr)
    except FileExistsError as error:
        print(f"{error.filename} is there already: name a new folder", file=sys.stderr)
    except FileNotFoundError as error:
        print(f"{error.filename} is missing: name the folder of the set with --source", file=sys.stderr)
    else:
        return 0
    return 1


def _run(options: argparse.Namespace) -> list[str]:
    out: Path = options.out
    if options.set == "synthetic":
        return generate(
            out,
            stations=options.stations,
            contests=options.contests,
            seed=options.seed,
            shape=options.shape,
        ).lines()
    if options.set == "synthetic-built":
        hashes = write_built(out, options.stations, options.devices)
        return [f"{name} {value}" for name, value in vars(hashes).items()]
    module = _SETS[options.set]
    source: Path = options.source or SHARED_DATA / module.SOURCE
    report: Report = module.convert(source, out)
    return report.lines()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.replays",
        description="Write an election folder and a results folder for a real or synthetic set of results.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sets = parser.add_subparsers(dest="set", required=True, metavar="SET")
    for name, module in _SETS.items():
        command = sets.add_parser(name, help=next(iter((module.__doc__ or "").splitlines())))
        command.add_argument("out", type=Path, metavar="OUT", help="folder that gets election/ and results/")
        command.add_argument("--source", type=Path, help="folder of the set (default: beside the project)")
    synthetic = sets.add_parser("synthetic", help="An invented set in the shape of a real one.")
    synthetic.add_argument("out", type=Path, metavar="OUT", help="folder that gets election/ and results/")
    synthetic.add_argument("--stations", type=_count, default=100)
    synthetic.add_argument("--contests", type=_count, default=1)
    synthetic.add_argument("--seed", type=int, default=1)
    synthetic.add_argument("--shape", choices=SHAPES, default="flat")
    built = sets.add_parser("synthetic-built", help="Built manifests and tables of any size, for benches.")
    built.add_argument(
        "out", type=Path, metavar="OUT", help="folder that gets definition/, roster/, information/"
    )
    built.add_argument("--stations", type=_count, default=1_000_000)
    built.add_argument("--devices", type=_count, default=1_000_000)
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
