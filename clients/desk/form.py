"""The form: two readings of one paper, line by line, until they agree.

What lives here: the conversation. It asks for each line in the paper's order, says at once what the tally
would say (`clients.box.plausible`), compares two readings and asks again where they differ. Every answer is
on disk before the next question (`store`). What the lines are is `clients.desk.paper`'s matter.

All answers are digits and the signs beside them on a numeric keypad: they work under any layout of letters.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from clients.box import plausible, show, words
from clients.box.plausible import Finding
from clients.desk import hours, paper
from clients.desk.draft import Draft, Reading
from clients.desk.paper import CLOSED_AT, Line, Value
from clients.desk.screen import Screen, StoppedError
from clients.desk.texts import Texts
from clients.wire.definition import Definition, Station
from clients.wire.text import decimal

BACK: Final = "*"
STOP: Final = "/"
ABSENT: Final = "-"
YES: Final = "+"
HELP: Final = "?"

# What people put between thousands.
_SPACES: Final = str.maketrans("", "", " \u00a0\u2009\u202f'")


class Back(NamedTuple):
    """The answer that goes back to the line before."""


class Form:
    """One person's, then another's talk with the desk about one station's paper.

    Args:
        screen: where it takes place.
        texts: what is said.
        definition: the election's.
        station: whose paper it is.
        now: ms since the Unix epoch, what the statement will say.
        store: puts a draft on disk.
    """

    def __init__(
        self,
        screen: Screen,
        texts: Texts,
        definition: Definition,
        station: Station,
        now: int,
        store: Callable[[Draft], None],
    ) -> None:
        self._screen = screen
        self._texts = texts
        self._definition = definition
        self._station = station
        self._now = now
        self._store = store
        self._names = {code: name for name, code in words.figures(definition).items()}

    def answer(self, prompt: str) -> str:
        """Ask; the keys for help and for stopping work everywhere.

        Raises:
            StoppedError: somebody has stopped.
        """
        while True:
            said = self._screen.ask(prompt)
            if said == STOP:
                raise StoppedError
            if said != HELP:
                return said
            self._screen.say(self._texts.say("keys"))

    def choose(self, prompt: str, known: dict[str, str]) -> str:
        """Ask for one of a few things by its key."""
        self._screen.say(prompt, "bold")
        for key, text in known.items():
            self._screen.say(f"  {key}  {text}")
        while (said := self.answer(">")) not in known:
            self._screen.say(self._texts.say("choose", known=" ".join(known)))
        return said

    # --- One reading

    def read(self, draft: Draft, reading: Reading, lines: Sequence[Line]) -> None:
        """Ask for every line that a reading does not have yet, with a way back to those that it has.

        Raises:
            StoppedError: somebody has stopped.
        """
        at = next((place for place, line in enumerate(lines) if line.path not in reading.values), len(lines))
        if at and self._fresh(reading, lines, at - 1):
            # Stopped in the middle of a question about the last line.
            at -= 1
        shown: object = None
        while at < len(lines):
            line = lines[at]
            if shown != (heading := self.heading(line)):
                self._screen.say()
                self._screen.say(heading, "bold cyan")
                shown = heading
            value = self._ask_line(line, reading.values, f"[{at + 1}/{len(lines)}] {self.label(line)}")
            if not isinstance(value, Back):
                reading.values[line.path] = value
                self._store(draft)
                if self._accept(draft, reading, lines, at):
                    at += 1
                    continue
            at = max(at - 1, 0)

    def _ask_line(self, line: Line, values: dict[str, Value], prompt: str) -> "Value | Back":
        """One line's value; Enter keeps what was typed before."""
        known = line.path in values
        shown = f"{prompt} [{self.value(line, values[line.path])}]" if known else prompt
        while True:
            said = self.answer(shown)
            if said == BACK:
                return Back()
            if not said and known:
                return values[line.path]
            if said == ABSENT and not line.required:
                return None
            value = self.parse(line, said)
            if value is not None:
                return value
            self._screen.say(self._texts.say(self._why_not(line, said)), "yellow")

    def _why_not(self, line: Line, said: str) -> str:
        if line.required and said in ("", ABSENT):
            return "required"
        if line.path == CLOSED_AT:
            return "not_a_time"
        return "not_a_number" if said else "empty"

    def parse(self, line: Line, said: str) -> int | None:
        """What somebody has typed for a line; None: no line says that."""
        if line.path == CLOSED_AT:
            return hours.parse(said, self._station)
        plain = said.translate(_SPACES)
        return decimal(plain.lstrip("0") or "0") if plain else None

    def _accept(self, draft: Draft, reading: Reading, lines: Sequence[Line], at: int) -> bool:
        """Tell what does not add up now, and have the line confirmed or corrected; False: go back."""
        line = lines[at]
        while fresh := self._fresh(reading, lines, at):
            value = reading.values[line.path]
            holds = any(plausible.holds(finding, self._definition) for finding in fresh)
            for finding in fresh:
                self._tell(finding)
            shown = self.value(line, value)
            said = self.answer(self._texts.say("retype" if holds else "look", value=shown))
            if said == BACK:
                return False
            typed = value if said == ABSENT and value is None else self.parse(line, said)
            if (not said and not holds) or (typed == value and bool(said)):
                reading.confirmed += [name(finding) for finding in fresh]
            elif typed is not None:
                reading.values[line.path] = typed
            self._store(draft)
        return True

    def _fresh(self, reading: Reading, lines: Sequence[Line], at: int) -> list[Finding]:
        """What the line at this place has brought up; each finding is asked at its last line."""
        above = {line.path: reading.values[line.path] for line in lines[:at]}
        known = self._unconfirmed(reading, lines, above)
        line = lines[at]
        found = self._unconfirmed(reading, lines, above | {line.path: reading.values[line.path]})
        return [finding for finding in found if finding not in known]

    def _unconfirmed(
        self, reading: Reading, lines: Sequence[Line], values: dict[str, Value]
    ) -> list[Finding]:
        found = plausible.judge_typed(
            paper.typed(lines, values),
            self._station,
            self._definition,
            self._now,
            paper.awaited(lines, values),
        )
        return [finding for finding in found if name(finding) not in reading.confirmed]

    def _tell(self, finding: Finding) -> None:
        holds = plausible.holds(finding, self._definition)
        sentence = self._texts.sentence(finding.code)
        self._screen.say(f"{finding.code}  {sentence}".rstrip(), "bold red" if holds else "bold yellow")
        self._screen.say(f"      {finding.detail}")

    # --- Two readings

    def settle(self, draft: Draft, lines: Sequence[Line]) -> dict[str, Value]:
        """Compare two readings, ask again where they differ, and give what the paper says.

        A line stands when two readings of it agree.

        Raises:
            StoppedError: somebody has stopped.
        """
        open_ = [line for line in lines if agreed(draft, line.path) == UNSETTLED]
        if open_:
            self._screen.say()
            self._screen.say(self._texts.say("differ", count=len(open_)), "bold yellow")
        for line in open_:
            first, second = (self.value(line, reading.values[line.path]) for reading in draft.readings)
            self._screen.say()
            self._screen.say(f"{self.heading(line)}: {self.label(line)}", "bold")
            self._screen.say("  " + self._texts.say("readings", first=first, second=second))
            while agreed(draft, line.path) == UNSETTLED:
                value = self._ask_line(line, {}, self._texts.say("says"))
                if isinstance(value, Back):
                    continue
                draft.again.setdefault(line.path, []).append(value)
                self._store(draft)
                if agreed(draft, line.path) == UNSETTLED:
                    self._screen.say(self._texts.say("neither"), "yellow")
        self._screen.say()
        self._screen.say(self._texts.say("agree", count=len(lines)), "bold green")
        return settled(draft, lines)

    def confirm(self, draft: Draft, findings: Sequence[Finding]) -> None:
        """Have everything confirmed that nobody has confirmed while reading.

        Raises:
            StoppedError: somebody has stopped.
        """
        seen = {*draft.confirmed, *(one for reading in draft.readings for one in reading.confirmed)}
        fresh = [finding for finding in findings if name(finding) not in seen]
        if not fresh:
            return
        for finding in fresh:
            self._tell(finding)
        while self.answer(self._texts.say("confirm")) != YES:
            self._screen.say(self._texts.say("keys"))
        draft.confirmed += [name(finding) for finding in fresh]
        self._store(draft)

    # --- What things are called

    def label(self, line: Line) -> str:
        """A line as the paper calls it."""
        if line.choice is not None and line.contest is not None:
            choices = self._definition.choices[line.contest]
            choice = next(own for own in choices if own.choice == line.choice)
            return show.labelled(choice.label or str(choice.choice), choice.name)
        if line.code is not None:
            return self._texts.label("figure", self._names[line.code])
        return self._texts.say("closed_at")

    def value(self, line: Line, value: Value) -> str:
        """A line's value as people read it."""
        if value is None:
            return self._texts.say("absent")
        return hours.write(value, self._station) if line.path == CLOSED_AT else str(value)

    def heading(self, line: Line) -> str:
        """The part of the paper that a line stands in."""
        if line.contest is None:
            return self._texts.label("report", "protocol") if line.code is None else self._texts.say("voters")
        contest = self._definition.contests[line.contest].name
        return contest if line.choice is None else f"{contest}: {self._texts.say('votes')}"


UNSETTLED: Final = -1
"""Two readings differ, and no third one has agreed with either."""


def agreed(draft: Draft, path: str) -> Value:
    """The value that two readings of a line have, or `UNSETTLED`."""
    said = [*(reading.values[path] for reading in draft.readings), *draft.again.get(path, [])]
    if len(draft.readings) == 1:
        return said[0]
    return next((value for place, value in enumerate(said) if value in said[:place]), UNSETTLED)


def settled(draft: Draft, lines: Sequence[Line]) -> dict[str, Value]:
    """What the paper says, once every line stands."""
    return {line.path: agreed(draft, line.path) for line in lines}


def name(finding: Finding) -> str:
    """A finding by what it says: with other numbers it is another one."""
    return f"{finding.code} {finding.detail}"
