"""A desk's folder and what it does with it: the box's folder, with texts and the order of the paper's lines.

Beside a device's files (clients.box.folder)::

    messages.json   texts of codes and words (clients.wire.messages)
    lines.txt       names of figures in the order of the country's paper, one a line
    drafts/         what is being keyed (clients.desk.draft)
    keyed/          who has keyed what was signed
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import msgspec
import trio

from clients import files
from clients.box import folder, sign, words
from clients.box.counts import Counts
from clients.box.report import Report
from clients.box.sending import identity
from clients.box.sign import Signed
from clients.box.spool import STATEMENTS
from clients.wire import client
from clients.wire.definition import Definition, Station
from clients.wire.errors import WireError
from clients.wire.messages import MAX_MESSAGES_BYTES, Messages
from clients.wire.site import Address, Site
from clients.wire.statement import Statement
from clients.wire.text import decimal

MESSAGES: Final = "messages.json"
LINES: Final = "lines.txt"

# Names of figures, one a line.
_MAX_LINES_BYTES = 64 * 1024
# Files that a desk keeps copies of.
MAX_KEPT_BYTES = MAX_MESSAGES_BYTES
# Seconds for asking a gateway who we are: without a line people should type, not wait.
_ASK_SECONDS = 5.0
# A device that decisions have assigned to ten thousand stations, each with its closing time in 25 bytes.
_MAX_SELF_BYTES = 256 * 1024


class Told(msgspec.Struct, frozen=True):
    """What a gateway says of a desk (docs/box-port.md).

    Attributes:
        server_time: the election's clock, ms.
        area: the desk's; None: the device is no desk.
        stations: those that it is assigned to besides, each with its closing time.
    """

    server_time: int
    area: int | None
    stations: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Desk:
    """A desk, read.

    Attributes:
        path: its folder.
        definition: the pinned one.
        site: whom it trusts; None: it cannot send yet.
        addresses: of its gateways; empty without a site.
        messages: texts; empty without the file.
        lines: the order of the paper's figures; empty: the usual one.
        signed: its statements in their order.
        assigned: the stations of its area, as a gateway has said; None: none has answered.
    """

    path: Path
    definition: Definition
    site: Site | None
    addresses: Sequence[Address]
    messages: Messages
    lines: tuple[str, ...]
    signed: Sequence[Statement]
    assigned: frozenset[int] | None = None

    def find(self, number: str) -> Station | None:
        """A station by its number, or by what is printed for it where only one has that."""
        stations = self.definition.stations
        found = stations.get(decimal(number) or 0)
        if found is not None:
            return found
        labelled = [station for station in stations.values() if station.label == number]
        return labelled[0] if len(labelled) == 1 else None

    def now(self, signed_at: int | None) -> int:
        """What the next statement gives as its time, ms.

        A rehearsal's election is at another time than this machine: there the gateway's clock counts.

        Args:
            signed_at: what somebody has said, in a rehearsal.
        """
        if signed_at is not None:
            return signed_at
        told = self._ask() if self.definition.mode == "rehearsal" else None
        return time.time_ns() // 1_000_000 if told is None else told.server_time

    def met(self) -> Self:
        """The same, with what a gateway says of it, if one answers soon."""
        told = self._ask()
        if told is None:
            return self
        stations = {station for station, _ in told.stations}
        stations |= {
            own.station for own in self.definition.stations.values() if told.area in self._above(own)
        }
        return dataclasses.replace(self, assigned=frozenset(stations))

    def _above(self, station: Station) -> set[int]:
        """The areas that a station is in."""
        areas: set[int] = set()
        place: int | None = station.area
        while place is not None:
            areas.add(place)
            place = self.definition.areas[place].parent
        return areas

    def _ask(self) -> Told | None:
        return None if self.site is None else trio.run(_ask, self.path, self.site, self.addresses)

    def known(self, given: Counts) -> Signed | None:
        """The desk's last statement, if it says this already, whatever scans it names."""
        last = self.signed[-1] if self.signed else None
        if last is None or (last.definition, last.station) != (self.definition.sha256, given.station.station):
            return None
        said = dataclasses.replace(Report.of(last.report), attachments=())
        if said != dataclasses.replace(Report.of(given.report), attachments=()):
            return None
        return Signed(last, self.path / STATEMENTS / f"{last.sequence:06}.cose", new=False, findings=[])

    def sign(self, given: Counts, place: str, now: int) -> Signed:
        """Sign counts as the desk's next statement; when this returns, it is stored for good.

        Raises:
            CountsError: `counts.size`; nothing was signed.
            WireError: `folder.*`, `spool.*`; nothing was signed.
            OSError: something could not be stored.
        """
        with folder.opened(self.path) as opened:
            return sign.commit(opened, self.definition, given, place, now)


def read(path: Path, addresses: Sequence[Address] = ()) -> Desk:
    """Read a desk's folder.

    Args:
        path: the folder.
        addresses: of gateways; empty: those of its site.json.

    Raises:
        WireError: `folder.*`, `spool.*`, `site.malformed`, `messages.malformed`, `desk.lines`, `file.*`.
        OSError: something cannot be read.
    """
    with folder.opened(path) as opened:
        definition = opened.definition()
        signed = list(opened.spool().statements)
        site = opened.site() if (path / folder.SITE).exists() else None
    messages, lines = path / MESSAGES, path / LINES
    return Desk(
        path,
        definition,
        site,
        addresses or (() if site is None else site.addresses),
        read_messages(messages) if messages.exists() else Messages(),
        read_lines(lines, definition) if lines.exists() else (),
        signed,
    )


def read_messages(path: Path) -> Messages:
    """Read `messages.json`.

    Raises:
        WireError: `messages.malformed`, `file.unreadable`, `file.too_large`.
    """
    return Messages.parse(files.read_given(path, MAX_MESSAGES_BYTES, MESSAGES), str(path))


def read_lines(path: Path, definition: Definition) -> tuple[str, ...]:
    """Read the order of the paper's figures.

    Raises:
        WireError: `desk.lines` with the line, `file.unreadable`, `file.too_large`.
    """
    data = files.read_given(path, _MAX_LINES_BYTES, "the order of lines")
    known = words.figures(definition)
    found: list[str] = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        name = line.partition("#")[0].strip()
        if not name:
            continue
        if name not in known:
            raise WireError(
                "desk.lines",
                f"there is no figure of this name; there are {', '.join(known)}",
                file=str(path),
                line=number,
            )
        if name in found:
            raise WireError("desk.lines", f"{name} stands twice", file=str(path), line=number)
        found.append(name)
    return tuple(found)


async def _ask(path: Path, site: Site, addresses: Sequence[Address]) -> Told | None:
    """What the first gateway that answers says of the desk; None: none does."""
    with trio.move_on_after(_ASK_SECONDS):
        for address in addresses:
            try:
                return await _told(path, site, address)
            except (WireError, msgspec.DecodeError):
                continue
    return None


async def _told(path: Path, site: Site, address: Address) -> Told:
    async with client.connected(address, identity(path, site)) as connection:
        answer = await connection.request("GET", "/v1/self", last=True, limit=_MAX_SELF_BYTES)
    return msgspec.json.decode(answer.body, type=Told)
