"""The forms of the files in `cases`, as msgspec reads them; a member that no form names is refused."""

from pathlib import Path
from typing import Literal

import msgspec

from tests.vectors.forms import Vector

FOLDER = Path(__file__).parent / "cases"


class ContestForm(Vector, kw_only=True):
    """A row of contests.csv; percents in hundredths."""

    kind: Literal["choose", "list", "referendum"]
    method: Literal["plurality", "majority", "hare", "dhondt", "sainte-lague"]
    seats: int
    share_of: str
    preferences: int = 0
    threshold: int | None = None
    threshold_of: str = ""
    threshold_area: int | None = None
    threshold_area_level: str = ""
    seat_cap: int | None = None
    quorum: int | None = None
    quorum_of: str = ""


class AreaForm(Vector, kw_only=True):
    """What was counted in an area below the root."""

    votes: dict[str, int]
    level: str = "region"


class ExpectForm(Vector, kw_only=True):
    """What must come out; names that are not mentioned have no seat.

    Attributes:
        seats: of lists and candidates; None: nobody is given seats here.
        elected: preferences that have a seat.
        passed: takers above the threshold; None: there is none.
        failed: those below; None: all other takers.
        quorum: its word.
        outcome: word and names; empty: decided, by those that have seats.
    """

    seats: dict[str, int] | None = None
    elected: list[str] = msgspec.field(default_factory=list)
    passed: list[str] | None = None
    failed: list[str] | None = None
    quorum: Literal["passed", "failed"] | None = None
    outcome: list[str] = msgspec.field(default_factory=list)


class Example(Vector, kw_only=True):
    """One contest and what its votes mean.

    Attributes:
        name: which election, or what is shown.
        nature: of the figures and of what is expected.
        source: who published them.
        contest: its rules.
        kinds: of choices that are neither candidates nor lists.
        votes: by name, in the order of the choices; not with `areas`.
        members: by list, those within it that collect preferences.
        areas: by name, instead of `votes`.
        figures: of the whole, by code.
        registered: voters of the whole.
        expect: what must come out.
    """

    name: str
    nature: Literal["official", "textbook", "invented"]
    source: str
    contest: ContestForm
    kinds: dict[str, Literal["yes", "no", "against_all"]] = msgspec.field(default_factory=dict)
    votes: dict[str, int] = msgspec.field(default_factory=dict)
    members: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    areas: dict[str, AreaForm] = msgspec.field(default_factory=dict)
    figures: dict[str, int] = msgspec.field(default_factory=dict)
    registered: int | None = None
    expect: ExpectForm


class Examples(Vector, kw_only=True):
    about: str
    published: dict[str, int] = msgspec.field(default_factory=dict)
    cases: list[Example]


def examples() -> dict[str, Examples]:
    """The examples of each file."""
    return {
        path.stem: msgspec.json.decode(path.read_bytes(), type=Examples)
        for path in sorted(FOLDER.glob("*.json"))
    }
