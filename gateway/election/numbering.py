"""``--number``: numbers for tables whose things have only labels.

A table is numbered if any of its key cells is not a plain number; then every key cell is a label, and the
labels get 1, 2, 3 … in their natural order ("УИК 9" before "УИК 10"), whatever the order of the rows. The
choices of each contest are numbered on their own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.election.cells import Cells
from gateway.election.faults import Faults
from gateway.election.tables import Spec, Table

_PARTS = re.compile(r"([0-9]+)")

_LONGEST_RUN = 1_000
"""Digits of a run that is ordered by its value; Python converts no more than 4,300."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """The numbers that were given: by label for each table, and for each contest's choices.

    Attributes:
        on: whether ``--number`` was asked for.
        tables: file name → label → number, for the tables that were numbered.
        choices: contest → label → number, for the contests whose choices were.
    """

    on: bool = False
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    choices: dict[int, dict[str, int]] = field(default_factory=dict)

    def label_for(self, column: str) -> str:
        """The column that ``label`` may stand for: this one, if numbers are given at all."""
        return column if self.on else ""

    def rows(self) -> list[tuple[str, int, int, str]]:
        """What was given, as (table, contest or 0, number, label), sorted."""
        tables = [
            (file.removesuffix(".csv"), 0, number, label)
            for file, labels in self.tables.items()
            for label, number in labels.items()
        ]
        choices = [
            ("choices", contest, number, label)
            for contest, labels in self.choices.items()
            for label, number in labels.items()
        ]
        return sorted(tables + choices)


def number_tables(folder: Path, specs: Sequence[Spec], choices: Spec) -> Numbering:
    """Read the keys of the tables once, and number those that are not numbers.

    Faults are not judged here: the reading that follows meets them again.

    Args:
        folder: the election folder.
        specs: the tables whose first column is their key; contests must be among them.
        choices: the table whose first two columns are contest and choice.
    """
    numbering = Numbering(on=True)
    for spec in specs:
        table = Table(folder, spec, Faults(), label_for=numbering.label_for(spec.columns[0]))
        labels = _number({cells[0] for _, cells in table.rows()})
        if labels:
            numbering.tables[spec.file] = labels
    by_contest: dict[str, set[str]] = {}
    table = Table(folder, choices, Faults(), label_for=numbering.label_for("choice"))
    for _, (contest, choice, *_) in table.rows():
        by_contest.setdefault(contest, set()).add(choice)
    contests = numbering.tables.get("contests.csv")
    for contest, keys in by_contest.items():
        labels = _number(keys)
        if contests is not None:
            number = contests.get(contest)
        else:
            number = Cells(choices.file, Faults()).number(contest, 0, "contest")
        if labels and number is not None:
            numbering.choices[number] = labels
    return numbering


def _is_number(cell: str) -> bool:
    return cell.isdigit() and cell.isascii()


def _number(keys: set[str]) -> dict[str, int]:
    """Numbers for these labels, or none if all of them are numbers."""
    keys.discard("")
    if all(map(_is_number, keys)):
        return {}
    return {label: number for number, label in enumerate(sorted(keys, key=_natural), 1)}


def _natural(label: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Orders runs of digits by their value; labels that are equal so ("1", "01") by their characters."""
    parts = (
        (0, int(part), "") if _is_number(part) and len(part) <= _LONGEST_RUN else (1, 0, part)
        for part in _PARTS.split(label)
        if part
    )
    return tuple(parts), label
