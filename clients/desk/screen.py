"""The terminal of whoever keys: lines out, answers in. A test or a pipe may stand in its place."""

import sys
from typing import Final, Protocol

from rich.console import Console
from rich.text import Text

from clients.terminal import visible

# Home, clear the screen and what was scrolled out of it (ECMA-48 ED; 3 is xterm's).
_CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"
# Columns of the frame around a station's name.
_WIDTH: Final = 64


class StoppedError(Exception):
    """Whoever keys has stopped; everything that was typed is kept."""


class Screen(Protocol):
    """What a form needs of its terminal."""

    def say(self, text: str = "", style: str = "") -> None:
        """Write a line, in a style of rich."""

    def ask(self, prompt: str) -> str:
        """Write a prompt and read one line, without spaces around it.

        Raises:
            StoppedError: there are no more lines.
        """

    def clear(self) -> None:
        """Make everything that is shown unreadable for the next reader."""


class Terminal:
    """The process's own: a real terminal with colours, or a pipe without."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, emoji=False, markup=False)

    def say(self, text: str = "", style: str = "") -> None:
        """Write a line."""
        self._console.print(Text(visible(text), style), soft_wrap=True)

    def ask(self, prompt: str) -> str:
        """Write a prompt and read one line."""
        self._console.print(Text(f"{visible(prompt)}: ", "bold"), end="", soft_wrap=True)
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            self._console.print()
            raise StoppedError
        return line.strip()

    def clear(self) -> None:
        """Clear a real terminal, also what was scrolled out of it."""
        if sys.stdout.isatty():
            sys.stdout.write(_CLEAR)


def show_big(screen: Screen, number: str, name: str) -> None:
    """A station so that nobody keys another one's paper by mistake."""
    rows = ["", *(" ".join(number.upper()[at : at + 28]) for at in range(0, len(number), 28)), ""]
    rows += [name[at : at + _WIDTH - 4] for at in range(0, len(name), _WIDTH - 4)] + [""]
    screen.say("═" * _WIDTH, "bold")
    for row in rows:
        screen.say(f"  {row}", "bold reverse" if row else "")
    screen.say("═" * _WIDTH, "bold")
