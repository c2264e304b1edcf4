"""A desk without a terminal: an election, its folder, and a screen that answers from a list."""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clients.desk import desk as desks
from clients.desk import draft as drafts
from clients.desk.desk import Desk
from clients.desk.draft import Draft, Drafts
from clients.desk.keying import Keying, Wishes
from clients.desk.screen import StoppedError
from clients.desk.texts import Texts
from clients.wire.messages import Messages
from tests.unit import box_helpers as box
from tests.unit.box_helpers import Values

STATION = 8
# What a paper of station 8 with the second contest says, line by line; closed at 02:20, an hour before now.
PAPER = {
    "figures.registered": "1200",
    "figures.registered_additional": "0",
    "figures.identified": "-",
    "contests.2.figures.ballots_received": "1100",
    "contests.2.figures.issued": "1000",
    "contests.2.figures.issued_outside": "0",
    "contests.2.figures.issued_early": "-",
    "contests.2.figures.spoiled": "0",
    "contests.2.figures.cancelled": "100",
    "contests.2.figures.in_box": "1000",
    "contests.2.figures.valid": "990",
    "contests.2.figures.blank": "0",
    "contests.2.figures.invalid": "10",
    "contests.2.figures.observers": "-",
    "contests.2.figures.torn": "-",
    "contests.2.votes.1": "500",
    "contests.2.votes.2": "490",
    "closed_at": "02:20",
}
CLOSED_AT = 1_800_044_400_000
NOW = CLOSED_AT + 3_600_000
# Which ballots, and why.
BEGIN = ("2", "0")


class Script:
    """A screen: it answers from a list and remembers what was said; at the list's end somebody stops."""

    def __init__(self, answers: Iterable[str]) -> None:
        self.answers = list(answers)
        self.said: list[str] = []
        self.cleared = 0

    def say(self, text: str = "", style: str = "") -> None:
        self.said.append(text)

    def ask(self, prompt: str) -> str:
        self.said.append(prompt)
        if not self.answers:
            raise StoppedError
        return self.answers.pop(0)

    def clear(self) -> None:
        self.cleared += 1

    def has(self, text: str) -> bool:
        return any(text in line for line in self.said)


def reading(*, who: str = "", **changes: str) -> list[str]:
    """The answers of one reading; a name's last part is enough: `valid="980"`, `votes_1="501"`."""
    last = {path: path.rpartition(".")[2] if "votes" not in path else f"votes_{path[-1]}" for path in PAPER}
    assert set(changes) <= set(last.values())
    said = [changes.get(last[path], value) for path, value in PAPER.items()]
    return ([who] if who else []) + [answer for value in said for answer in value.split(" ")]


def both(first: Iterable[str], second: Iterable[str]) -> list[str]:
    return [*BEGIN, "AB", *first, "", "CD", *second]


def make_desk(root: Path, messages: Messages | None = None) -> Desk:
    path = root / f"box-{box.DEVICE}"
    if not path.exists():
        box.make_device(root)
    found = desks.read(path)
    return found if messages is None else dataclasses.replace(found, messages=messages)


@contextmanager
def keying(
    desk: Desk, screen: Script, *, language: str = "en", wishes: Wishes | None = None
) -> Iterator[Keying]:
    with drafts.opened(desk.path) as own:
        texts = Texts(language, desk.messages)
        yield Keying(desk, own, screen, texts, wishes or Wishes(signed_at=NOW))


def draft_of(desk: Desk) -> Draft | None:
    return Drafts(desk.path).find(STATION)


def record(desk: Desk, sequence: int) -> Values:
    found: Values = json.loads((desk.path / f"keyed/{sequence:06}.json").read_bytes())
    return found
