"""Contests and choices: what is on the ballot papers."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from gateway.election.cells import Cells, Known
from gateway.election.faults import Code, Faults, shown
from gateway.election.limits import MAX_MARKS, MAX_NUMBER, MAX_SEATS
from gateway.election.media import MediaNames
from gateway.election.model import Choice, Contest
from gateway.election.numbering import Numbering
from gateway.election.tables import Spec, Table, per_language

CONTESTS = Spec(
    file="contests.csv",
    columns=(
        *("contest", "kind", "area", "seats", "marks", "preferences", "method", "share_of"),
        *("threshold_percent", "threshold_of", "threshold_area_percent", "threshold_area_level"),
        *("seat_cap", "quorum_percent", "quorum_of"),
        *per_language("name"),
    ),
    required=("contest", "kind"),
    one_of=per_language("name"),
    rows_required=True,
)

CHOICES_SHOWN = (
    *("party", "color", "photo"),
    *per_language("biography"),
    *per_language("programme"),
    *("link", "fund_income", "fund_spent"),
)
"""Columns of choices that only the website shows."""

CHOICES = Spec(
    file="choices.csv",
    columns=("contest", "choice", "kind", "list", "label", *per_language("name"), *CHOICES_SHOWN),
    required=("contest", "choice"),
    one_of=per_language("name"),
    rows_required=True,
)

BASES = ("valid", "votes", "in_box", "registered")
METHODS = ("plurality", "majority", "hare", "dhondt", "sainte-lague")
PROPORTIONAL = ("hare", "dhondt", "sainte-lague")

DEFAULT_METHODS = {"choose": "plurality", "list": "hare", "referendum": "majority"}
"""How votes become seats or an outcome where a contest does not say; also the known kinds of contest."""

CHOICE_KINDS = ("candidate", "list", "yes", "no", "against_all")

_ALLOWED = {
    "choose": ("candidate", "against_all"),
    "list": ("list", "candidate", "against_all"),
    "referendum": ("yes", "no"),
}


def read_contests(
    folder: Path, areas: Known, levels: Collection[str], numbering: Numbering, faults: Faults
) -> tuple[list[Contest], Known]:
    """Read contests.csv.

    Args:
        folder: the election folder.
        areas: the numbers of the areas.
        levels: the levels that areas have; empty if they are not known.
        numbering: what ``--number`` numbered.
        faults: where to note what is wrong.

    Returns:
        The contests in the order of the file, and their numbers.
    """
    cells = Cells(CONTESTS.file, faults)
    table = Table(folder, CONTESTS, faults)
    known = Known("contest", Code.UNKNOWN_CONTEST, numbering.tables.get(CONTESTS.file))
    contests: list[Contest] = []
    for line, row in table.rows():
        contest, kind, area, seats, marks, preferences, method, share_of = row[:8]
        threshold, threshold_of, threshold_area, area_level, cap, quorum, quorum_of = row[8:15]
        ky, kk, ru, en = row[15:]
        number = cells.own(contest, line, "contest", known)
        kind = cells.word(kind, line, "kind", DEFAULT_METHODS) or ""
        place = cells.reference(area, line, "area", areas) or 0 if area else 0
        seat_count = cells.number_or(1, seats, line, "seats", low=1, high=MAX_SEATS)
        if kind == "list" and not seats:
            cells.fault(
                Code.ONE_SEAT_LIST, "a list contest without seats has one seat: is that meant?", line, "seats"
            )
        mark_count = cells.number_or(1, marks, line, "marks", low=1, high=MAX_MARKS)
        preference_count = cells.number_or(0, preferences, line, "preferences", low=0, high=MAX_MARKS)
        if preference_count and kind and kind != "list":
            detail = "only a list contest has preferences: leave the cell empty"
            cells.fault(Code.BAD_PREFERENCES, detail, line, "preferences")
        method = cells.word(method, line, "method", METHODS, DEFAULT_METHODS.get(kind, "plurality")) or ""
        if method in PROPORTIONAL and kind in ("choose", "referendum"):
            detail = f"{method} shares out the seats of lists: a {kind} contest takes plurality or majority"
            cells.fault(Code.WRONG_METHOD, detail, line, "method")
        base = cells.word(share_of, line, "share_of", BASES, "valid") or "valid"
        percent, percent_of = _share(cells, threshold, threshold_of, line, "threshold", base)
        area_percent = cells.percent(threshold_area, line, "threshold_area_percent")
        if area_percent:
            area_level = cells.level(area_level, line, "threshold_area_level")
            if area_level and levels and area_level not in levels:
                detail = f"no area has the level {shown(area_level)}: there are {', '.join(sorted(levels))}"
                cells.fault(Code.UNKNOWN_LEVEL, detail, line, "threshold_area_level")
        elif area_level and not threshold_area:
            _without_percent(cells, line, "threshold_area_level", "threshold_area_percent")
        cap_percent = cells.percent(cap, line, "seat_cap")
        quorum_percent, quorum_base = _share(cells, quorum, quorum_of, line, "quorum", "registered")
        names = cells.names((ky, kk, ru, en), line)
        if number is not None:
            contests.append(
                Contest(
                    number, kind, place, seat_count, mark_count, preference_count, method, base, percent,
                    percent_of, area_percent, area_level, cap_percent, quorum_percent, quorum_base, names,
                )
            )  # fmt: skip
    known.complete = table.complete
    return contests, known


def _share(cells: Cells, percent: str, of: str, line: int, stem: str, default: str) -> tuple[int, str]:
    """A percent and what it is taken of; the latter is empty exactly when there is no percent."""
    hundredths = cells.percent(percent, line, f"{stem}_percent")
    if hundredths:
        return hundredths, cells.word(of, line, f"{stem}_of", BASES, default) or default
    if of and not percent:
        _without_percent(cells, line, f"{stem}_of", f"{stem}_percent")
    return 0, ""


def _without_percent(cells: Cells, line: int, column: str, percent: str) -> None:
    cells.fault(
        Code.SHARE_WITHOUT_PERCENT, f"{percent} is empty: fill it in, or empty this cell", line, column
    )


def read_choices(
    folder: Path,
    contests: Sequence[Contest],
    known_contests: Known,
    media: MediaNames,
    numbering: Numbering,
    faults: Faults,
) -> list[Choice]:
    """Read choices.csv and judge each contest's choices.

    Returns:
        The choices in the order of the file.
    """
    cells = Cells(CHOICES.file, faults)
    table = Table(folder, CHOICES, faults, label_for=numbering.label_for("choice"))
    kinds = {contest.contest: contest.kind for contest in contests}
    known: dict[int, Known] = {}
    choices: list[Choice] = []
    preferences: list[tuple[int, int, str]] = []  # place in choices, line, list cell
    for line, row in table.rows():
        contest, choice, kind, of_list, label, ky, kk, ru, en = row[:9]
        names = cells.names((ky, kk, ru, en), line)
        place = cells.reference(contest, line, "contest", known_contests)
        if place is None:
            continue
        here = known.get(place)
        if here is None:
            here = known[place] = Known(
                "choice of this contest", Code.UNKNOWN_CHOICE, numbering.choices.get(place)
            )
        number = cells.own(choice, line, "choice", here)
        kind = _kind(cells, kind, line, kinds.get(place, ""), bool(of_list))
        label = cells.text(label or (choice if here.labels is not None else ""), line, "label")
        shown_only = row[9:]
        shown_only = _shown(cells, shown_only, line, media) if any(shown_only) else shown_only
        if number is not None:
            if of_list:
                preferences.append((len(choices), line, of_list))
            choices.append(Choice(place, number, kind, 0, label, names, shown_only))
    kind_of = {(choice.contest, choice.choice): choice.kind for choice in choices}
    for place, line, cell in preferences:
        preference = choices[place]
        here = known[preference.contest]
        number = cells.reference(cell, line, "list", here)
        if number is None:
            continue
        # A list whose own row is at fault has no kind here.
        if kind_of.get((preference.contest, number), "list") != "list":
            detail = f"choice {shown(cell)} of this contest is no list: name the list the candidate stands on"
            cells.fault(Code.BAD_PREFERENCES, detail, line, "list")
        choices[place] = preference._replace(list=number)
    if table.complete:
        lines = {
            (contest, choice): line for contest, here in known.items() for choice, line in here.lines.items()
        }
        _judge_contests(contests, choices, lines, known_contests.lines, faults)
    return choices


def _kind(cells: Cells, cell: str, line: int, contest: str, in_list: bool) -> str:
    """The kind of a choice, or its default in this kind of contest; empty after a fault."""
    # A contest whose own kind is at fault takes any: only a referendum needs yes and no spelled out.
    default = {"list": "candidate" if in_list else "list", "referendum": None}.get(contest, "candidate")
    kind = cells.word(cell, line, "kind", CHOICE_KINDS, default) or ""
    if kind and contest and kind not in _ALLOWED[contest]:
        detail = f"{kind} is no choice of a {contest} contest: there it is {' or '.join(_ALLOWED[contest])}"
        cells.fault(Code.WRONG_CHOICE_KIND, detail, line, "kind")
    elif in_list and kind and kind != "candidate":
        cells.fault(
            Code.BAD_PREFERENCES, "only a candidate can stand on a list: empty this cell", line, "list"
        )
    elif in_list and contest and contest != "list":
        cells.fault(Code.BAD_PREFERENCES, "only a list contest has lists: empty this cell", line, "list")
    elif kind == "candidate" and contest == "list" and not in_list:
        detail = "a candidate of a list contest is a preference: name the list in the column list"
        cells.fault(Code.BAD_PREFERENCES, detail, line, "list")
    return kind


def _shown(cells: Cells, shown_only: tuple[str, ...], line: int, media: MediaNames) -> tuple[str, ...]:
    """The columns that only the website shows."""
    party, color, photo, *texts, link, income, spent = shown_only
    columns = (*per_language("biography"), *per_language("programme"))
    return (
        cells.text(party, line, "party"),
        cells.color(color, line, "color"),
        media.picture(cells, photo, line, "photo"),
        *(cells.text(text, line, column) for text, column in zip(texts[:4], columns[:4], strict=True)),
        *(
            media.text_or_document(cells, text, line, column)
            for text, column in zip(texts[4:], columns[4:], strict=True)
        ),
        cells.link(link, line, "link"),
        _amount(cells, income, line, "fund_income"),
        _amount(cells, spent, line, "fund_spent"),
    )


def _amount(cells: Cells, cell: str, line: int, column: str) -> str:
    """An amount of money in whole units of the currency, or empty."""
    amount = cells.number(cell, line, column, low=0, high=MAX_NUMBER) if cell else None
    return "" if amount is None else str(amount)


def _judge_contests(
    contests: Sequence[Contest],
    choices: Sequence[Choice],
    lines: Mapping[tuple[int, int], int],
    contest_lines: Mapping[int, int],
    faults: Faults,
) -> None:
    """What can only be said of all choices of a contest together."""
    by_contest: dict[int, list[Choice]] = {contest.contest: [] for contest in contests}
    for choice in choices:
        by_contest[choice.contest].append(choice)
    at_contest = Cells(CONTESTS.file, faults)
    at_choice = Cells(CHOICES.file, faults)
    for contest in contests:
        own = by_contest[contest.contest]
        line = contest_lines[contest.contest]
        if not own:
            detail = f"contest {contest.contest} has no choices: add them to {CHOICES.file}"
            at_contest.fault(Code.CONTEST_WITHOUT_CHOICES, detail, line, "contest")
            continue
        kinds = [choice.kind for choice in own]
        for choice in [choice for choice in own if choice.kind == "against_all"][1:]:
            detail = "the contest has “against all” twice"
            place = lines[contest.contest, choice.choice]
            at_choice.fault(Code.WRONG_CHOICE_KIND, detail, place, "kind")
        if contest.kind == "referendum" and all(kinds) and sorted(kinds) != ["no", "yes"]:
            detail = f"a referendum has one choice yes and one choice no; this one has {', '.join(kinds)}"
            at_contest.fault(Code.BAD_REFERENDUM, detail, line, "contest")
        if contest.kind == "list" and all(kinds):
            _judge_lists(contest, own, at_contest, line, {choice.list for choice in own if choice.list})
        markable = sum(choice.list == 0 for choice in own)
        if contest.marks > markable:
            detail = f"{contest.marks} marks are allowed and there are {markable} choices: is that meant?"
            at_contest.fault(Code.TOO_MANY_MARKS, detail, line, "marks")


def _judge_lists(
    contest: Contest, own: Sequence[Choice], cells: Cells, line: int, preferred: Collection[int]
) -> None:
    if not any(choice.kind == "list" for choice in own):
        cells.fault(Code.WRONG_CHOICE_KIND, "a list contest needs a choice of kind list", line, "contest")
    elif contest.preferences and not preferred:
        detail = f"{contest.preferences} preferences are allowed and no list has candidates in {CHOICES.file}"
        cells.fault(Code.BAD_PREFERENCES, detail, line, "preferences")
    elif preferred and not contest.preferences:
        detail = "lists have candidates to prefer, and no preference is allowed: say how many"
        cells.fault(Code.BAD_PREFERENCES, detail, line, "preferences")
