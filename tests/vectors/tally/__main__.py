"""Writes every case as bytes: ``python -m tests.vectors.tally OUT``; README.md says what is in the files."""

import json
import sys
from pathlib import Path

from tests.vectors.render import Json
from tests.vectors.tally.build import Objects, build
from tests.vectors.tally.forms import Case, cases_by_file


def document(case: Case) -> dict[str, Json]:
    """A case as bytes: texts, hex and numbers."""
    built = build(case)
    return {
        "name": case.name,
        "why": case.why,
        "definition": {name: data.decode() for name, data in built.definition.items()},
        "rosters": {
            roster: {name: data.decode() for name, data in files.items()}
            for roster, files in built.rosters.items()
        },
        "log": [data.hex() for data in built.log],
        "expect": [_expect(objects) for objects in built.objects],
    }


def _expect(objects: Objects) -> Json:
    return {
        "size": objects.size,
        "stations": {str(n): data and data.decode() for n, data in objects.stations.items()},
        "areas": {str(number): data.decode() for number, data in objects.areas.items()},
        "progress": {str(area): progress for area, progress in objects.progress.items()},
        "results": objects.results,
    }


def main(out: Path) -> None:
    """Write them all into a new folder.

    Raises:
        FileExistsError: the folder is there already.
    """
    out.mkdir(parents=True)
    for file, cases in cases_by_file().items():
        for place, case in enumerate(cases, 1):
            text = json.dumps(document(case), ensure_ascii=False, indent=1)
            (out / f"{file}-{place:02}.json").write_text(f"{text}\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.vectors.tally OUT")
    main(Path(sys.argv[1]))
