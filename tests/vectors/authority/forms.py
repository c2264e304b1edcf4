"""The form of decisions.json, as msgspec reads it; a member that no form names is refused."""

from tests.vectors.forms import Case, Vector


class DecisionsCase(Case):
    why: str
    choosable: list[tuple[int, int, int, str, str]]
    taken: list[tuple[str, int, str]]
    others: list[tuple[str, str]]
    open: int
    speakers: str
    assignments: str
    missing: list[tuple[str, int]]
    paused: int
    status: tuple[int | None, int | None]
    definitions: list[str]
    closes_at: list[tuple[int, int]]
    stations: list[tuple[int, list[int]]]
    reassigned: list[tuple[int, list[tuple[int, int]]]]
    revoked: list[tuple[int, int]]
    cancelled: list[int]
    rulings: list[tuple[int, int, int, str | None]]
    about: list[tuple[int, list[int]]]
    log: list[int]


class Decisions(Vector):
    about: str
    rosters: dict[str, str]
    definitions: dict[str, str]
    statements: list[str]
    cases: list[DecisionsCase]
