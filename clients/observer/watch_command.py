"""`tallygate-observe watch`: the monitor as a process, with what only a process may ask of its machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click
import trio

from clients import files, terminal
from clients.observer.operations import Address, Operations, bound, open_listeners
from clients.observer.systemd import Systemd
from clients.observer.verdict import Folder, Source
from clients.observer.verify_command import Sha256
from clients.observer.watch import Log, Metrics, Monitor, Watch, Whole
from clients.wire import feed as wire_feed
from clients.wire.errors import WireError

INTERVAL: Final = 2.0
# Seconds: a country's whole night takes minutes to verify.
FULL_INTERVAL: Final = 900.0
# What the whole verification leaves to others of the machine.
_NICE: Final = "10"
_NS_A_MS: Final = 1_000_000
_MAX_SECONDS: Final = 86_400.0

_EXAMPLES: Final = (
    "tallygate-observe watch /srv/feed",
    "tallygate-observe watch /srv/feed --operations 127.0.0.1:9643",
)


class _AddressType(click.ParamType[Address]):
    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        try:
            return Address.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_seconds = partial(click.FloatRange, max=_MAX_SECONDS)


@click.command("watch", short_help="Verify a feed again and again.", epilog=terminal.example(*_EXAMPLES))
@click.argument("feed", metavar="DIR", type=terminal.PATH)
@click.option("--definition", metavar="HASH", type=Sha256(), help="As in verify.")
@click.option("--embargo", metavar="DIR", type=terminal.PATH, help="As in verify.")
@click.option(
    "--operations",
    metavar="HOST:PORT",
    type=_AddressType(),
    help="Serve metrics and health here.",
)
@click.option("--ready", metavar="FILE", type=terminal.PATH, help="Is there while the program runs.")
@click.option("--supervised", is_flag=True, help="End when standard input ends.")
@click.option(
    "--interval",
    type=_seconds(min=0.1),
    default=INTERVAL,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option(
    "--full",
    type=_seconds(min=1.0),
    default=FULL_INTERVAL,
    show_default=True,
    help="Seconds between two verifications of everything.",
)
def watch_command(
    feed: Path,
    definition: bytes | None,
    embargo: Path | None,
    operations: Address | None,
    ready: Path | None,
    supervised: bool,
    interval: float,
    full: float,
) -> None:
    """Verify the feed DIR again and again, and tell a Prometheus whether it is right.

    At first everything is verified, then what is new; now and then everything again. It waits where nothing
    is published yet. Its log goes to stderr, one line of JSON an event. SIGTERM or Ctrl-C ends it; SIGHUP
    verifies everything at once.
    """
    log = Log(_tell, _now)
    metrics = Metrics(version("tallygate"))
    source: Folder = feed if embargo is None else Source(feed, embargo)
    running = Watch(Monitor(source, definition, None), metrics, log, _now, interval)
    log("role.starting", version=version("tallygate"), feed=str(feed))
    try:
        trio.run(_run, running, metrics, log, operations, ready, supervised, full, source, definition)
    except Exception as error:  # whatever ends a night's watch stands in its log
        words = _words(error)
        if words is None:
            log.fault("role.failed", error)
        else:
            log("role.failed", words=words)
        raise click.exceptions.Exit(terminal.FAILED) from error
    log("role.stopped")


def _words(error: Exception) -> str | None:
    """What went wrong outside; None: a fault of the program, for whoever mends it."""
    if isinstance(error, ExceptionGroup):
        found = [_words(inner) for inner in error.exceptions]
        return None if None in found else " ".join(map(str, found))
    return str(error) if isinstance(error, WireError | OSError) else None


def _tell(line: str) -> None:
    """In one piece with its end: other roles may write into the same file."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _now() -> int:
    return time.time_ns() // _NS_A_MS


async def _run(
    running: Watch,
    metrics: Metrics,
    log: Log,
    address: Address | None,
    ready: Path | None,
    supervised: bool,
    full: float,
    feed: Folder,
    definition: bytes | None,
) -> None:
    listeners = [] if address is None else await open_listeners(address)
    fault = partial(log.fault, "operations.fault")
    operations = Operations(metrics.registry, lambda: running.state, fault)
    systemd = Systemd(os.environ, os.getpid())
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hear, signals, running)
            if supervised:
                nursery.start_soon(_need_supervisor, running)
            if listeners:
                nursery.start_soon(operations.serve, listeners)
            nursery.start_soon(running.measure_loop_lag)
            nursery.start_soon(systemd.keep_alive)
            nursery.start_soon(running.verify_whole, full, partial(_verify_whole, feed, definition))
            served = [str(bound(listener)) for listener in listeners]
            try:
                if ready is not None:
                    _write_ready(ready, served)
                running.state = "ready"
                systemd.tell("READY=1")
                log("role.ready", operations=", ".join(served))
                await running.look_on()
            finally:
                systemd.tell("STOPPING=1")
                _remove_ready(ready)
            nursery.cancel_scope.cancel()


def _write_ready(path: Path, served: list[str]) -> None:
    since = wire_feed.format_time(_now())
    content = {"pid": os.getpid(), "since": since, "operations": served}
    files.write(path, json.dumps(content).encode(), files.PUBLIC_FILE)


def _remove_ready(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)


async def _hear(signals: AsyncIterator[int], running: Watch) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            running.want_whole()
        else:
            running.begin_stop(signal.Signals(number).name)


async def _need_supervisor(running: Watch) -> None:
    """End when standard input does: whoever started us is gone."""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stream:
        while await stream.receive_some(1):
            pass
    running.begin_stop("the supervisor is gone")


async def _verify_whole(feed: Folder, definition: bytes | None) -> Whole:
    """Verify the feed in a process of its own, which knows nothing of what we know."""
    nice = shutil.which("nice")
    # -P: whatever lies in the folder where somebody stands is no part of this program.
    command = [
        *([nice, "-n", _NICE] if nice else []),
        sys.executable,
        "-P",
        "-m",
        "clients.observer.cli",
        "verify",
        str(feed.folder if isinstance(feed, Source) else feed),
        "--json",
    ]
    if isinstance(feed, Source):
        command += ["--embargo", str(feed.hidden)]
    if definition is not None:
        command += ["--definition", definition.hex()]
    began = trio.current_time()
    ended = await trio.run_process(
        command,
        stdin=subprocess.DEVNULL,
        capture_stdout=True,
        check=False,
    )
    seconds = trio.current_time() - began
    try:
        said = json.loads(ended.stdout)
    except ValueError:
        return Whole(None, seconds, f"the verification ended with {ended.returncode} and said nothing")
    reason = said["difference"] or said["trouble"] or {}
    words = " ".join(str(reason.get(name) or "") for name in ("file", "place", "detail", "code"))
    return Whole(said["agrees"], seconds, words.strip())
