"""The programs that a demonstration starts, and their end: none may outlive it, whatever happens.

What lives here: one child that is waited for (`done`), one that runs beside us (`running`), and `Children`,
which knows all that are alive. Each child has a process group of its own, so that Ctrl-C in a terminal comes
to the demonstration alone, which ends them in order: first a request, after a while by force.
"""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import trio

from clients.wire.errors import WireError

# Seconds that a program has for its end: the gateway gives its roles 25 for theirs.
STOP_SECONDS: Final = 30.0
# Lines of a log that are shown when its program has failed.
_SHOWN_LINES: Final = 12
# Bytes at a log's end in which they are looked for.
_TAIL_BYTES: Final = 16_384


def module(name: str, *arguments: str | Path) -> list[str]:
    """The command line of one of Tallygate's programs, run by this same Python."""
    # -P: whatever lies in the folder where somebody stands is no part of this program.
    return [sys.executable, "-P", "-m", name, *map(str, arguments)]


class ProgramError(WireError):
    """A program of the demonstration has failed.

    Attributes:
        said: its last words, a line each.
    """

    def __init__(self, code: str, detail: str, log: Path) -> None:
        super().__init__(code, detail, file=str(log))
        self.said = _tail(log)


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()[-_SHOWN_LINES:]
    except OSError:
        return []


@dataclass
class Children:
    """All children that are alive.

    Attributes:
        environment: of every child; None: ours.
    """

    environment: dict[str, str] | None = None
    _alive: set[trio.Process] = field(default_factory=set)

    def kill(self) -> None:
        """Ends all of them by force, with what they have started in their groups."""
        for process in self._alive:
            _signal_group(process, signal.SIGKILL)

    async def done(self, command: Sequence[str], log: Path | None) -> int:
        """Runs a program to its end.

        Args:
            command: the program and its arguments.
            log: gets what it says; None: it speaks to our own terminal.

        Returns:
            Its exit status, negative for a signal.

        Raises:
            OSError: it cannot be started.
        """
        async with self.running(command, log, read=False) as process:
            return await process.wait()

    @asynccontextmanager
    async def running(
        self, command: Sequence[str], log: Path | None, *, read: bool, supervised: bool = False
    ) -> AsyncIterator[trio.Process]:
        """Runs a program inside the block, and ends it with the block.

        Args:
            command: the program and its arguments.
            log: gets what it writes; None: it speaks to our own terminal.
            read: keep its standard output for the block (`stdout` of the process) instead.
            supervised: its standard input ends with us, however we end; it ends then, too.

        Raises:
            OSError: it cannot be started.
        """
        with _opened(log) as file:
            process = await trio.lowlevel.open_process(
                list(command),
                stdin=subprocess.PIPE if supervised else subprocess.DEVNULL,
                stdout=subprocess.PIPE if read else file,
                stderr=file,
                env=self.environment,
                process_group=0,
            )
        self._alive.add(process)
        try:
            yield process
        finally:
            with trio.CancelScope(shield=True):
                await self._end(process)
            self._alive.discard(process)

    async def _end(self, process: trio.Process) -> None:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with trio.move_on_after(STOP_SECONDS):
                await process.wait()
            _signal_group(process, signal.SIGKILL)
        await process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                await stream.aclose()


@contextmanager
def _opened(log: Path | None) -> Iterator[IO[bytes] | None]:
    if log is None:
        yield None
        return
    with log.open("ab") as file:
        yield file


def _signal_group(process: trio.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)


class Lines:
    """The lines of a child's standard output as they come.

    Args:
        process: was started with `read`.
    """

    def __init__(self, process: trio.Process) -> None:
        self._stream = process.stdout
        self._rest = bytearray()

    async def next(self) -> bytes | None:
        """The next line without its end; None: it has said everything (a last half line is dropped)."""
        while (end := self._rest.find(b"\n")) < 0:
            data = await self._stream.receive_some() if self._stream is not None else b""
            if not data:
                return None
            self._rest += data
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line
