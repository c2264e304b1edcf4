"""What every command does alike: how a line and an error look, what it exits with, how Ctrl-C ends it.

Exit codes: 0 done, 1 failed or stopped with a message that says what to do, 2 wrong usage.

Everything that a command writes goes through `say` or `say_json`: file names, requests and tables are other
people's text, and none of it may move the cursor, change colours or look like a line of ours.
"""

import importlib
import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

from gateway.base.config import ConfigError
from gateway.base.errors import TallygateError
from gateway.base.files import unfinished

FAILED = 1


def visible(text: str) -> str:
    r"""The text with everything escaped that a terminal or a reader's eye could take for something else.

    Control characters and line ends, half surrogate pairs (file names), and characters that change the
    direction or join letters become ``\u202e`` and the like; letters of every script stay.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def say(line: str = "", *, err: bool = False) -> None:
    """Write one line, to stderr where `err`."""
    click.echo(visible(line), err=err)


def say_json(value: msgspec.Struct) -> None:
    """Write one line of JSON for a script; in ASCII, whatever the terminal knows."""
    click.echo(json.dumps(msgspec.to_builtins(value)))


def warn_of_unfinished(folder: Path) -> None:
    """Say what killed makers of `folder` have left beside it: keys may be in there."""
    for left in unfinished(folder):
        say(
            f"warning: a command that was interrupted left {left}; its keys are of no use, remove it",
            err=True,
        )


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for: one command does not pay for all others.

    Args:
        commands_by_name: ``module:attribute`` of each command.
    """

    def __init__(self, name: str, commands_by_name: Mapping[str, str], help: str) -> None:  # noqa: A002 - click's word
        super().__init__(name, help=help, no_args_is_help=True)
        self._places = commands_by_name

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands by name."""
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        place = self._places.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place} is no command")
        return command


def run(group: click.Command) -> int:
    """Run a program's commands and give its exit code; whatever goes wrong is one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Cyrillic is no reason to fail
    try:
        code = group.main(standalone_mode=False)
    except click.ClickException as error:  # wrong usage
        shown = io.StringIO()
        error.show(shown)
        text, message = shown.getvalue(), error.format_message()
        if isinstance(error, click.BadParameter):  # somebody's value; other texts have lines of their own
            text = text.replace(message, visible(message))
        for line in text.splitlines():
            say(line, err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("error: stopped", err=True)
        return FAILED
    except ConfigError as error:
        for fault in error.faults:
            say(f"error: {fault}", err=True)
        return FAILED
    except TallygateError as error:
        say(f"error: {error}", err=True)
        return FAILED
    except BrokenPipeError:
        # The reader of our output went away (`… | head`); Python would complain again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        say(f"error: {place}{error.strerror or error}", err=True)
        return FAILED
    return code if isinstance(code, int) else 0
