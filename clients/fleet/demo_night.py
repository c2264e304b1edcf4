"""The night folder of a demonstration: on ports that are free, with a day that passes in half a minute.

What lives here: what is changed in a folder that `tallygate init --rehearsal` has made (addresses, clock),
the election's time of day, and waiting for the gateway's roles.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

import msgspec
import trio

from clients import files
from clients.fleet import clock
from clients.fleet.country import CLOSES_AT_MS, DAY_MINUTES, OPENS_AT_MS, STATIONS
from clients.fleet.demo_programs import ProgramError

ROLES: Final = ("ingest", "publish", "web", "monitor")

# Election time begins so long before the opening; the boxes open meanwhile.
MORNING_MINUTES: Final = 30
# Real seconds in which morning and day pass: so many for each station, since each has its statements to send;
# but nobody can watch a day that passes in no time. From the close on, time runs as it does.
_MORNING_A_STATION: Final = 9 / STATIONS
_DAY_A_STATION: Final = 24 / STATIONS
_SHORTEST_MORNING: Final = 2.0
_SHORTEST_DAY: Final = 4.0

# Of each terminal in the day. Three are usual; so short a day has room for two.
TURNOUT_REPORTS: Final = 2
# Share of the day's real seconds for the hours in which no terminal reports.
_QUIET_SHARE: Final = 0.15

# Real seconds until all roles must be ready, on a machine that is busy with other things.
READY_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1

_MINUTE_MS: Final = 60_000
_SECOND_MS: Final = 1_000
_ZONE: Final = timezone(timedelta(hours=6))
_MAX_FILE: Final = 65_536
# An address in tallygate.toml: loopback or a wildcard, and a port.
_ADDRESS: Final = re.compile(r'"(?:127\.0\.0\.1|0\.0\.0\.0|\[::\]|\[::1\]):[0-9]+"')
_LISTEN: Final = re.compile(r"^\[listen\]$.*?(?=^\[)", re.MULTILINE | re.DOTALL)


def segments(stations: int) -> list[clock.Segment]:
    """The clock of the demonstration: a short morning, a short day, and from the close on real time.

    In the last third of its part of the day each terminal reports (docs/fleet.md): time takes its time then,
    and hurries where nothing happens.
    """
    morning = max(_SHORTEST_MORNING, _MORNING_A_STATION * stations)
    day = max(_SHORTEST_DAY, _DAY_A_STATION * stations)
    found = [clock.Segment(OPENS_AT_MS - MORNING_MINUTES * _MINUTE_MS, int(MORNING_MINUTES * 60 / morning))]
    third = DAY_MINUTES * 60 / TURNOUT_REPORTS / 3
    for part in range(TURNOUT_REPORTS):
        begins = OPENS_AT_MS + round(3 * part * third) * _SECOND_MS
        real = day / TURNOUT_REPORTS
        reports = begins + round(2 * third) * _SECOND_MS
        found.append(clock.Segment(begins, int(2 * third / (_QUIET_SHARE * real))))
        found.append(clock.Segment(reports, int(third / ((1 - _QUIET_SHARE) * real))))
    return [*found, clock.Segment(CLOSES_AT_MS, 1)]


def prepare(night: Path, stations: int) -> None:
    """Gives a new rehearsal free ports on this machine alone, and the demonstration's clock.

    Args:
        night: the night folder.
        stations: of the country.

    Raises:
        OSError: a file cannot be read or written.
    """
    config = night / "tallygate.toml"
    text = config.read_text(encoding="utf-8")
    listen = _LISTEN.sub(lambda found: _ADDRESS.sub('"127.0.0.1:0"', found[0]), text)
    files.write(config, listen.encode(), files.PUBLIC_FILE)
    content = msgspec.json.encode({"real_start": None, "segments": segments(stations)}) + b"\n"
    files.write(night / clock.CLOCK, content, files.PUBLIC_FILE)


class ElectionTime:
    """The election's time; it stands still until the gateway has started it.

    Args:
        night: the night folder.
        real: real time, ms since the Unix epoch.
    """

    def __init__(self, night: Path, real: Callable[[], int]) -> None:
        self._file = night / clock.CLOCK
        self._real = real
        self._running: clock.ElectionClock | None = None

    def now(self) -> int | None:
        """Election time, ms since the Unix epoch; None before it runs.

        Raises:
            WireError: `clock.malformed`, `file.unreadable`.
        """
        if self._running is None and (found := clock.read(self._file)) is not None:
            self._running = clock.ElectionClock(self._real, *found)
        return None if self._running is None else self._running.now()


def time_of_day(at: int) -> str:
    """An instant (ms) as the country's time of day, e.g. ``20:00:07``."""
    return datetime.fromtimestamp(at // _SECOND_MS, _ZONE).strftime("%H:%M:%S")


class _Ready(msgspec.Struct, frozen=True):
    web: tuple[str, ...] = ()
    box: tuple[str, ...] = ()


class _Site(msgspec.Struct, frozen=True):
    definition: str


def definition_hash(night: Path) -> str:
    """The hash of the definition, which a commission announces and an observer pins; hex."""
    site = files.read(night / "devices" / "site.json", _MAX_FILE, "site.json")
    return msgspec.json.decode(site, type=_Site).definition


def box_address(night: Path) -> str:
    """Where devices and members of the commission send to; the gateway is ready."""
    path = night / "run" / "ingest.json"
    return msgspec.json.decode(files.read(path, _MAX_FILE, path.name), type=_Ready).box[0]


async def web_address(night: Path, log: Path) -> str:
    """Waits until every role of the gateway is ready.

    Args:
        night: the night folder.
        log: what the gateway says.

    Returns:
        Where the public port is, as ``http://host:port``.

    Raises:
        ProgramError: `demo.not_ready`.
    """
    waiting = list(ROLES)
    addresses: Mapping[str, Sequence[str]] = {}
    with trio.move_on_after(READY_SECONDS):
        while waiting:
            for role in list(waiting):
                path = night / "run" / f"{role}.json"
                if path.exists():
                    found = msgspec.json.decode(files.read(path, _MAX_FILE, path.name), type=_Ready)
                    addresses = {**addresses, role: found.web}
                    waiting.remove(role)
            if waiting:
                await trio.sleep(_LOOK_SECONDS)
    if waiting:
        raise ProgramError(
            "demo.not_ready",
            f"not ready in {READY_SECONDS:.0f} s: the gateway's roles {', '.join(waiting)}. Try again "
            "when this machine is less busy, unless their last words above say otherwise",
            log,
        )
    return f"http://{addresses['web'][0]}"
