"""The forms of the case files, as msgspec reads them; a member that no form names is refused."""

from pathlib import Path

import msgspec

from tests.vectors.forms import Vector

FOLDER = Path(__file__).parent


class Report(Vector, kw_only=True):
    """What a packet reports; which members there are depends on the kind."""

    counter: int = 0
    firmware: str = "F1"
    zeros: dict[str, list[int]] = msgspec.field(default_factory=dict)
    as_of: int = 0
    figures: str = ""
    closed_at: int | None = None
    origin: int = 1
    corrects: str = ""
    cause: int = 0
    voters: str = ""
    counts: dict[str, tuple[str, list[int]]] = msgspec.field(default_factory=dict)
    attachments: list[tuple[str, int, int, int, int]] = msgspec.field(default_factory=list)


class Entry(Vector, rename={"name": "as"}, kw_only=True):
    """One entry of a log: a packet, a signature under a decision, or another one under a payload.

    What is kept is signed where it stands and sent later.
    """

    at: int = 0
    keep: int = 0
    send: str = ""
    name: str = ""
    device: int = 0
    station: int = 0
    sequence: int = 0
    previous: str = ""
    signed_at: int | None = None
    definition: str = ""
    opening: Report | None = None
    turnout: Report | None = None
    result: Report | None = None
    protocol: Report | None = None
    documents: Report | None = None
    decision: int = 0
    member: int = 1
    action: list[int | str] = msgspec.field(default_factory=list)
    again: str = ""


class CountForm(Vector, array_like=True):
    contest: int
    source: int
    state: str
    packets: list[int] = msgspec.field(default_factory=list)
    figures: str = ""
    votes: list[int] = msgspec.field(default_factory=list)


class TurnoutForm(Vector, kw_only=True):
    identified: int | None = None
    hours: list[list[int]] = msgspec.field(default_factory=list)


class PacketForm(Vector, kw_only=True):
    """A packet of a station's object, written out; ids as "@name"."""

    index: int
    id: str
    device: int
    sequence: int
    report: int
    signed_at: int
    codes: list[str]
    voters: list[list[int]]
    counts: list[tuple[int, list[list[int]], list[int]]]
    counter: int | None
    corrects: str


class DocumentForm(Vector, kw_only=True):
    index: int
    sha256: str
    media: int
    size: int
    document: int
    page: int


class StationForm(Vector, kw_only=True):
    version: int
    opened: int = 0
    cancelled: int = 0
    codes: list[str] = msgspec.field(default_factory=list)
    turnout: TurnoutForm = msgspec.field(default_factory=TurnoutForm)
    counts: list[CountForm] = msgspec.field(default_factory=list)
    differences: list[list[int]] = msgspec.field(default_factory=list)
    packets: list[tuple[str, list[str]] | PacketForm] = msgspec.field(default_factory=list)
    documents: list[DocumentForm] = msgspec.field(default_factory=list)
    decisions: list[int] = msgspec.field(default_factory=list)


class SumsForm(Vector, kw_only=True):
    silent: int = 0
    partial: int = 0
    reported: int = 0
    held: int = 0
    disputed: int = 0
    annulled: int = 0
    counted: int = 0
    registered: tuple[int, int] = (0, 0)
    figures: str = ""
    votes: list[int] | None = None


class ContestForm(Vector, kw_only=True):
    contest: int
    stations: int
    registered: list[int]
    machine: SumsForm
    protocol: SumsForm


class AreaTurnoutForm(Vector, kw_only=True):
    registered: list[int]
    identified: int = 0
    stations: int = 0
    hours: list[list[int]] = msgspec.field(default_factory=list)


class AreaForm(Vector, kw_only=True):
    stations: int
    opened: int = 0
    cancelled: int = 0
    turnout: AreaTurnoutForm
    contests: list[ContestForm]
    flags: list[tuple[str, int]] = msgspec.field(default_factory=list)


class Expect(Vector, kw_only=True):
    """What must be published after so many entries; `size` 0 means the whole log."""

    size: int = 0
    stations: dict[str, StationForm] = msgspec.field(default_factory=dict)
    areas: dict[str, AreaForm] = msgspec.field(default_factory=dict)
    progress: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    results: msgspec.Raw = msgspec.Raw(b"")


class Case(Vector, kw_only=True):
    name: str
    why: str
    election: str = "small"
    manifest: dict[str, int | str | dict[str, int] | None] = msgspec.field(default_factory=dict)
    rules: dict[str, int | str | list[int]] = msgspec.field(default_factory=dict)
    tables: dict[str, list[str]] = msgspec.field(default_factory=dict)
    rosters: dict[str, dict[str, list[str]]] = msgspec.field(default_factory=dict)
    log: list[Entry]
    expect: list[Expect]


class Cases(Vector, kw_only=True):
    about: str
    cases: list[Case]


class Election(Vector, kw_only=True):
    about: str
    manifest: msgspec.Raw
    tables: dict[str, list[str]]


def cases_by_file() -> dict[str, list[Case]]:
    """The cases of each file."""
    return {
        path.stem: msgspec.json.decode(path.read_bytes(), type=Cases).cases
        for path in sorted((FOLDER / "cases").glob("*.json"))
    }


def cases() -> list[Case]:
    """All cases of all files; each name stands once."""
    return [case for own in cases_by_file().values() for case in own]


def election(name: str) -> Election:
    """One of the elections that cases start from."""
    return msgspec.json.decode((FOLDER / "elections" / f"{name}.json").read_bytes(), type=Election)
