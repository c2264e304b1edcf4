"""``tallygate serve``: one night with all its roles, and what a person at the terminal has to know."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click

from gateway import _core
from gateway.base.clock import Clock, format_time
from gateway.base.config import Config, Endpoint, Role, parse_address, read_config
from gateway.cli.processes import for_children, run_until_told, surroundings
from gateway.cli.shared import say
from gateway.run.folder import NightFolder, ReadyFile, find_night, night_clock
from gateway.run.supervise import Supervision, supervise

# What a wildcard address means to somebody on this machine.
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a comparison, nothing is bound


@click.command(epilog="Example: tallygate serve night")
@click.argument("night", type=click.Path(path_type=Path))
@click.option("--supervised", is_flag=True, hidden=True, help="End when standard input does.")
def serve(night: Path, supervised: bool) -> int:
    """Serve NIGHT: start its roles, restart any that dies, until Ctrl-C.

    The first `serve` of a rehearsal starts its time. What the roles log goes to stderr, one line of JSON an
    event; what is here for people goes to stdout. SIGHUP reads certificates and rosters again.
    """
    folder = find_night(night)
    config = read_config(folder.config)
    roles = config.roles.start
    election = _election(folder)
    say(f"night        {folder.root}")
    say(f"election     {election.id} ({election.mode})")
    with surroundings("serve", supervised=supervised) as around:
        board = _Board(folder, around.real, roles, rehearsal=election.mode == "rehearsal")
        supervision = Supervision(
            real=around.real,
            log=around.log,
            notifier=around.notifier,
            watchdog=around.watchdog,
            command=partial(_command, folder, config, election.definition),
            environment=for_children(),
            ready=board.show,
            supervisor=around.supervisor,
        )
        run_until_told(partial(supervise, folder, roles, supervision), around.log)
    say("stopped")
    return 0


class _Election(NamedTuple):
    """What is wanted of the definition, which would take memory all night; `definition` is its hash."""

    id: str
    mode: str
    definition: str


def _election(folder: NightFolder) -> _Election:
    definition = _core.Definition.load(folder.definition)
    return _Election(definition.id, definition.mode, definition.hash.hex())


def _command(folder: NightFolder, config: Config, definition: str, role: Role) -> tuple[str, ...]:
    # -P: whatever lies in the folder where somebody stands is no part of this program.
    python = (sys.executable, "-P", "-m")
    night = folder.root.absolute()
    if role != "monitor":
        return (*python, "gateway.cli", role, str(night), "--supervised")
    # The observer's program shares no code with us; it is told what the other roles read for themselves.
    return (
        *(*python, "clients.observer.cli", "watch", str(night / "feed")),
        *("--embargo", str(night / "embargo")),
        *("--definition", definition, "--operations", config.listen.operations_monitor),
        *("--ready", str(night / "run" / "monitor.json"), "--supervised"),
    )


class _Board:
    """What stdout shows: what each role serves when it is ready, and when all are, what to do with them."""

    def __init__(self, folder: NightFolder, real: Clock, roles: Sequence[Role], *, rehearsal: bool) -> None:
        self._folder = folder
        self._real = real
        self._roles = roles
        self._rehearsal = rehearsal
        self._box: Endpoint | None = None
        self._shown: set[Role] = set()

    def show(self, role: Role, ready: ReadyFile) -> None:
        """Shows a role that has become ready; a terminal that was closed ends no night."""
        with suppress(OSError):
            self._show(role, ready)

    def _show(self, role: Role, ready: ReadyFile) -> None:
        again = role in self._shown
        if not self._shown:
            self._show_clock()
        self._shown.add(role)
        said = _said(role, ready)
        say(f"{role:<13}ready{' again' if again else ''}, process {ready.pid}{said and f'; {said}'}")
        # Where a port is 0, a role that comes again has another one.
        for address in ready.box:
            say(f"box port     https://{address} (mutual TLS)")
        for address in ready.web:
            say(f"results      http://{address}/")
        if ready.box and not again:
            self._box = parse_address(ready.box[0])
            if ready.log_key is None:
                say("log          not open: decision 1 is missing (docs/operations.md); boxes shall wait")
            else:
                say(f"log key      {ready.log_key}")
        if not again and len(self._shown) == len(self._roles):
            self._show_all()

    def _show_clock(self) -> None:
        clock = night_clock(self._folder, self._real)
        if self._rehearsal and clock is not None:
            say(f"clock        {format_time(clock())}, speed {clock.speed}")

    def _show_all(self) -> None:
        night = shlex.quote(str(self._folder.root))
        say(f"running      {', '.join(self._roles)}; Ctrl-C ends the night's service")
        say(f"look         tallygate status {night} --watch")
        if self._rehearsal and self._box is not None:
            self._show_trial(self._box)

    def _show_trial(self, box: Endpoint) -> None:
        devices = shlex.quote(str(self._folder.devices))
        ca = shlex.quote(str(self._folder.pki / "ca.pem"))
        here = Endpoint(_HERE.get(box.host, box.host), box.port)
        say()
        say("Try it in another terminal (docs/box.md); the last line does what `send` does, with curl:")
        say(f"  tallygate-box init box --bundle {devices} --device 1")
        say("  tallygate-box sign box examples/counts/opening.toml")
        say(f"  tallygate-box send box --address {here}")
        say(
            f"  curl --cacert {ca} --cert box/tls.pem --key box/keys/tls.key -H 'Content-Type: "
            f"application/cose' --data-binary @box/statements/000001.cose https://{here}/v1/statements"
        )


def _said(role: Role, ready: ReadyFile) -> str:
    match role:
        case "ingest":
            return f"{ready.entries:,} entries"
        case "publish":
            return "no snapshot yet" if ready.snapshot is None else f"snapshot {ready.snapshot:,}"
    return ""
