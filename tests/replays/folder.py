"""Writes the folders of a replay: `election/`, as officials do, and `results/`, as the fleet plays it.

Everything here is about shape (files, columns, TOML); what a set means is decided in the module of the set.
"""

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

SHARED_DATA = Path(__file__).parents[2].parent / "shared" / "data"
"""Where the real sets are read in place, when they are beside the project."""

COMMISSION_KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
"""RFC 8032, section 7.1, test 1: its secret half is printed there, so it is good for rehearsals only."""

Cell: TypeAlias = str | int


class SourceError(Exception):
    """A source file is not the one its converter was written for.

    Attributes:
        place: file and row; row 1 is the header, as a spreadsheet program counts.
    """

    def __init__(self, file: str, row: int, detail: str) -> None:
        super().__init__(f"{file}:{row}: {detail}")
        self.place = f"{file}:{row}"


@dataclass(frozen=True)
class Head:
    """What `election.toml` says.

    Attributes:
        id: the election's id without the ending that every rehearsal's has.
        titles: language to title; the same languages, in this order, are the election's `languages`.
        opens_at: RFC 3339 with zone, like the other times.
        publish_at: end of the embargo, or empty.
        rules: entries of `[rules]` that differ from the defaults.
        notice: text of `[site] notice`; also written beside the folders.
    """

    id: str
    titles: Mapping[str, str]
    timezone: str
    opens_at: str
    closes_at: str
    notice: str
    headline: str = "machine"
    publish_at: str = ""
    rules: Mapping[str, int | str | list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a conversion did.

    Attributes:
        replay: name of the set.
        title: the election's title, with what has to be said about it wherever it is shown.
        stations: rows of stations.csv.
        rows: rows of each results file.
        reasons: every mapping of something that the source leaves out, contradicts or spells oddly: reason to
            number of cases.
    """

    replay: str
    title: str
    stations: int
    rows: Mapping[str, int]
    reasons: Mapping[str, int]

    def lines(self) -> list[str]:
        """The report for a terminal."""
        results = sum(self.rows.values())
        return [
            f"{self.replay}: {self.title}",
            f"{self.stations:,} stations; {results:,} rows in {len(self.rows)} results files",
            *(f"{count:>9,}  {reason}" for reason, count in self.reasons.items()),
        ]


@dataclass(frozen=True)
class Folders:
    """The two folders of one replay; both are new, so nothing of an earlier conversion survives."""

    election: Path
    results: Path

    @classmethod
    @contextmanager
    def new(cls, out: Path) -> "Iterator[Folders]":
        """Make `out/election` and `out/results`, and take them away again if the conversion fails.

        Raises:
            FileExistsError: one of them is there already.
        """
        folders = cls(out / "election", out / "results")
        with ExitStack() as undo:
            for folder in (folders.election, folders.results):
                folder.mkdir(parents=True)
                undo.callback(shutil.rmtree, folder)
            yield folders
            undo.pop_all()

    def write_head(self, head: Head) -> None:
        """Write `election.toml`, and its notice as `NOTICE.txt` beside the two folders."""
        (self.election / "election.toml").write_text(election_toml(head), encoding="utf-8", newline="\n")
        notice = "\n".join([*head.titles.values(), "", head.notice, ""])
        (self.election.parent / "NOTICE.txt").write_text(notice, encoding="utf-8", newline="\n")


def write_table(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]], *, spreadsheet: bool = False
) -> int:
    """Write a table and return its number of rows.

    Args:
        path: the file to write.
        header: column names.
        rows: cells in the order of `header`.
        spreadsheet: with BOM, `;` and CRLF, as spreadsheet programs save in many locales, instead of plain
            `,` and LF.
    """
    count = 0
    encoding = "utf-8-sig" if spreadsheet else "utf-8"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(
            file, delimiter=";" if spreadsheet else ",", lineterminator="\r\n" if spreadsheet else "\n"
        )
        writer.writerow(header)
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a source table (UTF-8 with or without BOM, `,`).

    Raises:
        SourceError: the file is empty, or a row has another number of cells than the header.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    if not rows:
        raise SourceError(path.name, 1, "the file is empty")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise SourceError(path.name, number, f"{len(row)} cells under {len(rows[0])} column names")
    return rows[0], rows[1:]


def keep(out: Path, stations: Set[int]) -> None:
    """Leave these stations alone in the tables and results of a replay."""
    for path in (out / "election" / "stations.csv", *(out / "results").iterdir()):
        header, rows = read_table(path)
        write_table(path, header, [row for row in rows if int(row[0]) in stations])


def whole_number(cell: str, file: str, row: int) -> int:
    """A cell of ASCII digits as a number.

    Raises:
        SourceError: it holds anything else.
    """
    if not (cell.isascii() and cell.isdigit()):
        raise SourceError(file, row, f"{cell!r} is not a whole number")
    return int(cell)


def election_toml(head: Head) -> str:
    """The text of `election.toml`; JSON strings are TOML basic strings."""
    entries: dict[str, str | list[str]] = {
        "id": f"{head.id}-rehearsal",
        **{f"title_{language}": title for language, title in head.titles.items()},
        "mode": "rehearsal",
        "origin": f"replay.example/{head.id}",
        "timezone": head.timezone,
        "opens_at": head.opens_at,
        "closes_at": head.closes_at,
        "languages": list(head.titles),
        "headline": head.headline,
        "commission_keys": [COMMISSION_KEY],
    }
    if head.publish_at:
        entries["publish_at"] = head.publish_at
    lines = [f"{key} = {_toml(value)}" for key, value in entries.items()]
    if head.rules:
        lines += ["", "[rules]", *(f"{key} = {_toml(value)}" for key, value in head.rules.items())]
    lines += ["", "[site]", f"notice = {_toml(head.notice)}"]
    return "\n".join(lines) + "\n"


def _toml(value: str | int | list[str] | list[int]) -> str:
    return json.dumps(value, ensure_ascii=False)
