"""A country's own protocol lines (figures.csv) and equations (checks.csv)."""

import re
from collections.abc import Collection
from pathlib import Path

from gateway.election.cells import STANDARD_FIGURES, Cells, Known
from gateway.election.faults import Code, Faults, shown
from gateway.election.limits import FIRST_NATIONAL_FIGURE, MAX_NUMBER, MAX_TOLERANCE
from gateway.election.model import Check, Figure
from gateway.election.numbering import Numbering
from gateway.election.tables import Spec, Table, per_language

FIGURES = Spec(
    file="figures.csv",
    columns=("code", "figure", *per_language("name")),
    required=("code", "figure"),
    one_of=per_language("name"),
)

CHECKS = Spec(
    file="checks.csv",
    columns=("check", "severity", "left", "op", "right", "tolerance", *per_language("text")),
    required=("check", "severity", "left", "op", "right"),
    one_of=per_language("text"),
)

SEVERITIES = ("hard", "soft")
OPERATORS = ("=", "<=")

_FIGURE = re.compile(r"[a-z][a-z0-9_]{0,39}")


def read_figures(folder: Path, faults: Faults) -> tuple[list[Figure], Known]:
    """Read figures.csv.

    Returns:
        The figures in the order of the file, and their codes.
    """
    cells = Cells(FIGURES.file, faults)
    table = Table(folder, FIGURES, faults)
    known = Known("figure", Code.UNKNOWN_FIGURE)
    first: dict[str, int] = {}
    figures: list[Figure] = []
    for line, (code, figure, ky, kk, ru, en) in table.rows():
        names = cells.names((ky, kk, ru, en), line)
        number = cells.number(code, line, "code", low=FIRST_NATIONAL_FIGURE, high=MAX_NUMBER)
        if number is not None:
            number = cells.own(code, line, "code", known)
        if not figure:
            detail = "the cell is empty; a name such as voted_at_home is needed"
            cells.fault(Code.MISSING_VALUE, detail, line, "figure")
        elif _FIGURE.fullmatch(figure) is None:
            detail = f"{shown(figure)} is no name of a figure: use a to z, 0 to 9 and _, a letter first"
            cells.fault(Code.BAD_NAME, detail, line, "figure")
        elif figure in STANDARD_FIGURES:
            detail = (
                f"{shown(figure)} is a figure that every protocol has: choose another name, or leave it out"
            )
            cells.fault(Code.DUPLICATE_FIGURE, detail, line, "figure")
        elif first.setdefault(figure, line) != line:
            detail = f"{shown(figure)} stands in line {first[figure]} too: each figure has its own name"
            cells.fault(Code.DUPLICATE_FIGURE, detail, line, "figure")
        if number is not None:
            figures.append(Figure(number, figure, names))
    known.complete = table.complete
    return figures, known


def read_checks(
    folder: Path, figures: Collection[str], complete: bool, numbering: Numbering, faults: Faults
) -> list[Check]:
    """Read checks.csv.

    Args:
        folder: the election folder.
        figures: names of the country's own figures.
        complete: whether these are all of them.
        numbering: what ``--number`` numbered.
        faults: where to note what is wrong.

    Returns:
        The checks in the order of the file.
    """
    cells = Cells(CHECKS.file, faults)
    table = Table(folder, CHECKS, faults)
    known = Known("check", Code.DUPLICATE_NUMBER, numbering.tables.get(CHECKS.file))
    figure_names = {*STANDARD_FIGURES, *figures}

    def side(cell: str, line: int, column: str) -> tuple[str, ...]:
        if not cell:
            detail = "the cell is empty; write figures joined by +, such as valid + invalid"
            cells.fault(Code.MISSING_VALUE, detail, line, column)
            return ()
        names = tuple(name.strip() for name in cell.split("+"))
        for name in names:
            if name not in figure_names and (complete or _FIGURE.fullmatch(name) is None):
                detail = f"there is no figure {shown(name)}: write names of figures joined by +"
                cells.fault(Code.UNKNOWN_FIGURE, detail, line, column)
        return names

    checks: list[Check] = []
    for line, (check, severity, left, op, right, tolerance, ky, kk, ru, en) in table.rows():
        number = cells.own(check, line, "check", known)
        severity = cells.word(severity, line, "severity", SEVERITIES) or ""
        left_side = side(left, line, "left")
        op = cells.word(op, line, "op", OPERATORS) or ""
        right_side = side(right, line, "right")
        allowed = cells.number_or(0, tolerance, line, "tolerance", low=0, high=MAX_TOLERANCE)
        texts = cells.names((ky, kk, ru, en), line, "text")
        if number is not None:
            checks.append(Check(number, severity, left_side, op, right_side, allowed, texts))
    return checks
