"""How the clients' programs speak: plain lines into a pipe, a little colour on a terminal, never a traceback.

What lives here: writing labelled lines, warnings and failures; making other people's text harmless; running
a click command with the exit codes that docs/box.md promises; a line that counts down.
"""

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn, TypeAlias

import click
from rich.console import Console
from rich.text import Text

from clients.wire.errors import WireError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

# What the programs' commands have in common.
PATH = click.Path(path_type=Path)
HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
json_option = click.option("--json", "json_output", is_flag=True, help="One line of JSON.")

DONE = 0
FAILED = 1
WRONG_USAGE = 2

# Columns of the label before a value; the longest usual one is "snapshot key".
_LABEL = 12
# Back to the line's begin, and clear the line (ECMA-48, EL 2).
_CLEAR = "\r\x1b[2K"


def program() -> str:
    """The name of the program whose command runs, for messages that name a command of it."""
    return click.get_current_context().find_root().info_name or ""


def example(*lines: str) -> str:
    """The end of a command's help: lines that click must not fill into a paragraph."""
    return "\n".join(["\b", "Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])


def visible(text: str) -> str:
    r"""The text with everything escaped that a terminal or a reader's eye could take for something else.

    Control characters, half surrogate pairs (file names), and characters that change the direction or join
    letters become ``\u202e`` and the like; letters of every script stay.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def say(label: str, value: str = "") -> None:
    """Write one line: a label in its column and a value."""
    _write(sys.stdout, f"{visible(label):<{_LABEL}} " if value else visible(label), "bold", visible(value))


def result(text: str, *, good: bool) -> None:
    """Write the line that says how it went."""
    _write(sys.stdout, visible(text), "bold green" if good else "bold red")


def warn(text: str) -> None:
    """Write a warning to stderr."""
    _write(sys.stderr, "warning: ", "bold yellow", visible(text))


def fail(text: str) -> None:
    """Write to stderr what went wrong."""
    _write(sys.stderr, "error: ", "bold red", visible(text))


class Footer:
    """The last line of a terminal, which is written over as time passes; into a pipe goes nothing of it."""

    def __init__(self) -> None:
        self._shown = False

    def show(self, text: str) -> None:
        """Put this in place of what the line has shown; cut where the terminal ends."""
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"{_CLEAR}{visible(text)[:width]}", end="", flush=True)
            self._shown = True

    def clear(self) -> None:
        """Make room for an ordinary line."""
        if self._shown:
            print(_CLEAR, end="", flush=True)
            self._shown = False


def say_json(value: Json) -> None:
    """Write one line of JSON for a script; in ASCII, whatever the terminal knows."""
    print(json.dumps(value))


def _write(stream: IO[str], head: str, style: str, tail: str = "") -> None:
    if stream.isatty():
        console = Console(file=stream, highlight=False, emoji=False, markup=False)
        console.print(Text.assemble((head, style), tail), soft_wrap=True)
    else:
        print(f"{head}{tail}".rstrip(), file=stream)


def run(command: click.Command, name: str, arguments: Sequence[str] | None, failed: int = FAILED) -> NoReturn:
    """Run a command and leave the process with its exit code.

    Args:
        command: what click has made of the program.
        name: the program's, for messages.
        arguments: without the program's name; None: those of the process.
        failed: the exit code for what could not be done (a file that cannot be read, Ctrl-C).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that knows ASCII only shows escapes instead of ending the program. Who reads a pipe
            # sees each line when it is written, not hours later when the program ends.
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    sys.exit(_code(command, name, arguments, failed))


def _code(command: click.Command, name: str, arguments: Sequence[str] | None, failed: int) -> int:
    try:
        code: object = command.main(
            args=None if arguments is None else list(arguments), prog_name=name, standalone_mode=False
        )
        sys.stdout.flush()
    except click.ClickException as error:
        # The shell may have put names of files that somebody else has chosen in place of a `*`.
        said = io.StringIO()
        error.show(said)
        for line in said.getvalue().removesuffix("\n").split("\n"):
            print(visible(line), file=sys.stderr)
        return error.exit_code
    except WireError as error:
        fail(str(error))
        return failed
    except (click.Abort, KeyboardInterrupt):
        fail("stopped")
        return failed
    except BrokenPipeError:
        # Who read our output has left; Python would complain once more when it closes stdout.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return failed
    except OSError as error:
        fail(f"{error.filename or 'the system'}: {error.strerror or error} [file.failed]")
        return failed
    return code if isinstance(code, int) else DONE
