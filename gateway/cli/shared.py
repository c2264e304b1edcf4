"""What every command does alike: how an error looks, what it exits with, how Ctrl-C ends it.

Exit codes: 0 done, 1 failed with a message that says what to do, 2 wrong usage, 130 stopped by Ctrl-C.
"""

import importlib
import io
import os
import sys
from collections.abc import Mapping

import click

from gateway.base.errors import TallygateError

FAILED = 1
STOPPED = 130  # 128 + SIGINT, as shells count


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for: one command does not pay for all others.

    Args:
        commands_by_name: ``module:attribute`` of each command.
    """

    def __init__(self, name: str, commands_by_name: Mapping[str, str], help: str) -> None:  # noqa: A002
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
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return STOPPED
    except TallygateError as error:
        click.echo(f"error: {error}", err=True)
        return FAILED
    except BrokenPipeError:
        # The reader of our output went away (`… | head`); Python would complain again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        click.echo(f"error: {place}{error.strerror or error}", err=True)
        return FAILED
    return code if isinstance(code, int) else 0
