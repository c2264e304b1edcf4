"""``tallygate serve``: one night with all its roles, and what a person at the terminal has to know."""

import shlex
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from gateway import _core
from gateway.base.clock import Clock, format_time
from gateway.base.config import Endpoint, Role, parse_address, read_config
from gateway.cli.processes import for_children, run_until_told, surroundings
from gateway.cli.shared import say
from gateway.run.folder import NightFolder, ReadyFile, find_night, night_clock
from gateway.run.supervise import Supervision, roles_to_start, supervise

# What a wildcard address means to somebody on this machine.
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a comparison, nothing is bound


@click.command(epilog="Example: tallygate serve night")
@click.argument("night", type=click.Path(path_type=Path))
def serve(night: Path) -> int:
    """Serve NIGHT: start its roles, restart any that dies, until Ctrl-C.

    The first `serve` of a rehearsal starts its time. What the roles log goes to stderr, one line of JSON an
    event; what is here for people goes to stdout. SIGHUP reads certificates and rosters again.
    """
    folder = find_night(night)
    config = read_config(folder.config)
    roles, absent = roles_to_start(config.roles.start)
    election, mode = _election(folder)
    say(f"night        {folder.root}")
    say(f"election     {election} ({mode})")
    if absent:
        say(f"roles        {', '.join(roles)}; not in this version yet: {', '.join(absent)}")
    with surroundings("serve", supervised=False) as around:
        board = _Board(folder, around.real, rehearsal=mode == "rehearsal")
        supervision = Supervision(
            real=around.real,
            log=around.log,
            notifier=around.notifier,
            watchdog=around.watchdog,
            command=partial(_command, folder),
            environment=for_children(),
            ready=board.show,
        )
        run_until_told(partial(supervise, folder, roles, supervision), around.log)
    say("stopped")
    return 0


def _election(folder: NightFolder) -> tuple[str, str]:
    """The election's id and mode; the definition itself would take memory all night."""
    definition = _core.Definition.load(folder.definition)
    return definition.id, definition.mode


def _command(folder: NightFolder, role: Role) -> tuple[str, ...]:
    # -P: whatever lies in the folder where somebody stands is no part of this program.
    return (sys.executable, "-P", "-m", "gateway.cli", role, str(folder.root.absolute()), "--supervised")


class _Board:
    """What stdout shows when a role is ready: everything the first time, one line from then on."""

    def __init__(self, folder: NightFolder, real: Clock, *, rehearsal: bool) -> None:
        self._folder = folder
        self._real = real
        self._rehearsal = rehearsal
        self._shown: set[Role] = set()

    def show(self, role: Role, ready: ReadyFile) -> None:
        """Shows a role that has become ready; a terminal that was closed ends no night."""
        with suppress(OSError):
            self._show(role, ready)

    def _show(self, role: Role, ready: ReadyFile) -> None:
        if role in self._shown:
            say(f"ready        {role} again, process {ready.pid}, {ready.entries:,} entries")
            return
        self._shown.add(role)
        clock = night_clock(self._folder, self._real)
        if self._rehearsal and clock is not None:
            say(f"clock        {format_time(clock())}, speed {clock.speed}")
        for address in ready.box:
            say(f"box port     https://{address} (mutual TLS)")
        for address in ready.operations:
            say(f"operations   http://{address}/metrics, /livez, /readyz, /startupz")
        if ready.log_key is None:
            say("log          not open: decision 1 is missing (docs/operations.md), boxes are told to wait")
        else:
            say(f"log key      {ready.log_key}")
            say(f"entries      {ready.entries:,}")
        say(f"ready        {role}, process {ready.pid}; Ctrl-C ends it")
        if self._rehearsal:
            self._show_trial(parse_address(ready.box[0]))

    def _show_trial(self, box: Endpoint) -> None:
        devices = shlex.quote(str(self._folder.devices))
        ca = shlex.quote(str(self._folder.pki / "ca.pem"))
        here = Endpoint(_HERE.get(box.host, box.host), box.port)
        say()
        say("Try it in another terminal (docs/box.md):")
        say(f"  tallygate-box init box --bundle {devices} --device 1")
        say("  tallygate-box sign box examples/counts/opening.toml")
        say(
            f"  curl --cacert {ca} --cert box/tls.pem --key box/keys/tls.key -H 'Content-Type: "
            f"application/cose' --data-binary @box/statements/000001.cose https://{here}/v1/statements"
        )
