"""What the commands that run for a whole night share: environment, log, and how their errors end them."""

import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import trio

from gateway.base.clock import system_clock
from gateway.base.errors import TallygateError
from gateway.base.logs import Log, StderrWriter
from gateway.ledger.protocol import LedgerFailedError
from gateway.run.notify import Notifier, watchdog_interval
from gateway.run.role import Surroundings

# What systemd says to one process alone (sd_notify(3), sd_watchdog_enabled(3)).
_FOR_THIS_PROCESS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

_STDIN = 0


@contextmanager
def surroundings(role: str, *, supervised: bool) -> Iterator[Surroundings]:
    """Reads the environment of this process, and gives its log the time to end.

    Args:
        role: stands in the log.
        supervised: whether standard input ends with the supervisor.
    """
    writer = StderrWriter(sys.stderr)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    try:
        with Notifier(os.environ.get("NOTIFY_SOCKET")) as notifier:
            yield Surroundings(
                real=system_clock,
                timer=time.perf_counter,
                jitter=random.random,
                log=Log(role, writer, system_clock),
                notifier=notifier,
                watchdog=watchdog_interval(
                    os.environ.get("WATCHDOG_USEC"), os.environ.get("WATCHDOG_PID"), os.getpid()
                ),
                credentials=None if credentials is None else Path(credentials),
                supervisor=_STDIN if supervised else None,
            )
    finally:
        writer.close()


def for_children() -> dict[str, str]:
    """This process's environment without what systemd says to it alone."""
    return {name: value for name, value in os.environ.items() if name not in _FOR_THIS_PROCESS}


def run_until_told(main: Callable[[], Awaitable[None]], log: Log) -> None:
    """Runs a role, and puts what ends it into one sentence and one event.

    Raises:
        TallygateError: whatever is to be told, of the several that end together the one that tells most.
        OSError: a file could not be read or written.
    """
    try:
        trio.run(main)
    except Exception as error:  # whatever ends a role is told in one sentence
        _end(error, log)
    except BaseExceptionGroup as error:
        if error.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from None  # Ctrl-C before anybody listened for it


def _end(error: Exception, log: Log) -> NoReturn:
    told = _telling(error)
    if told is None:
        log.fault("role.fault", error)
        raise TallygateError(
            "server.fault",
            "the program has a fault and ends; its last line of log has the details for whoever mends it",
        ) from error
    code = told.code if isinstance(told, TallygateError) else type(told).__name__
    log("role.failed", code=code, words=str(told))
    raise told


def _telling(error: Exception) -> TallygateError | OSError | None:
    """The error that a person has to be told; None: there is one that nobody foresaw."""
    leaves = list(_leaves(error))
    for kind in (LedgerFailedError, TallygateError, OSError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                unforeseen = [one for one in leaves if not isinstance(one, TallygateError | OSError)]
                return None if unforeseen and kind is not LedgerFailedError else leaf
    return None


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
