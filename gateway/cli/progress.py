"""How far a long command is: a bar on a terminal, a line a step otherwise; both on stderr."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from gateway.cli.shared import say

# What is being done, how far it is, how much there is to do; 0 of 0: nobody knows.
Progress: TypeAlias = Callable[[str, int, int], None]


@contextlib.contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """Gives what a command tells its progress to."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines().say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total or None
        )


class _Lines:
    """A line for each step, and for each tenth of a long one."""

    def __init__(self) -> None:
        self._said: tuple[str, int] | None = None

    def say(self, what: str, done: int, total: int) -> None:
        now = (what, done * 10 // total if total > 1 else 0)
        if now != self._said:
            say(f"{what}: {done:,} of {total:,}" if total > 1 else what, err=True)
        self._said = now
