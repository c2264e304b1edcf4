"""All about one station, for the operator whom somebody has called: what came, what did not, and why.

What lives here: `StationTold`, what `ingest` tells of a station (``/stations/<number>`` on its operations
listener), and `look`, which puts it beside the definition and what is published. The sentences that say what
to do are in `gateway.run.advice`. Nothing here opens the ledger: that is the running role's.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from gateway import _core
from gateway.base.clock import Clock, format_time
from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded
from gateway.boxport.handshakes import Handshakes
from gateway.feed import layout
from gateway.feed.models import Latest, Paused
from gateway.feed.objects import Station
from gateway.feed.reading import read_latest, read_station
from gateway.run.folder import NightFolder, night_clock, read_ready
from gateway.run.scrape import ask
from gateway.sequencer.protocol import RefusalNow, StationNow

# What `ingest` is asked.
_PATH: Final = re.compile(r"/stations/([1-9][0-9]{0,15})", re.ASCII)
# Bytes of a station's object that an operator is shown; observers read no larger ones either.
_MAX_OBJECT: Final = 67_108_864

# Codes of a packet that does not belong to the station (docs/tally.md, "Belonging").
FOREIGN: Final = frozenset({"H105", "H106", "H107"})


class Refused(msgspec.Struct, frozen=True):
    """The last refused handshake; `at` in real time, ms. `times`: since the last good one."""

    at: int
    result: str
    words: str
    peer: str
    times: int


class Knock(msgspec.Struct, frozen=True):
    """The last handshakes of a device since ingest started; a refused one only shows its certificate."""

    device: int
    good_at: int | None
    refused: Refused | None


class StationTold(msgspec.Struct, frozen=True):
    """What `ingest` tells."""

    now: StationNow
    knocks: tuple[Knock, ...]


class Device(msgspec.Struct, frozen=True):
    """A device of the station.

    Attributes:
        revoked: by a decision 2; None: not known.
        logged: its highest sequence in the log, about whatever station; None: it has none, or not known.
        published: the highest sequence of its packets about this station that are published.
        knock: its last handshakes; None: not known.
    """

    device: int
    kind: str
    serial: str
    revoked: bool | None = None
    logged: int | None = None
    published: int | None = None
    knock: Knock | None = None


class CountLine(msgspec.Struct, frozen=True):
    """A contest in one source, as it is published."""

    contest: int
    source: int
    state: str
    votes: tuple[int, ...]


class PacketLine(msgspec.Struct, frozen=True):
    """A published packet; `signed_at` in ms."""

    index: int
    device: int
    sequence: int
    report: int
    signed_at: int
    codes: tuple[str, ...]


class PublishedStation(msgspec.Struct, frozen=True):
    """What the newest snapshot says of the station.

    Attributes:
        entries: of the log that the snapshot covers.
        hidden: it is under the embargo: the public does not see the rest of this yet.
        opened: something of it belongs to the station.
        decisions: numbers of those in effect that name it.
    """

    snapshot: int
    entries: int
    paused: Paused | None
    hidden: bool
    opened: bool
    cancelled: bool
    codes: tuple[str, ...]
    counts: tuple[CountLine, ...]
    packets: tuple[PacketLine, ...]
    documents: int
    decisions: tuple[int, ...]


class StationStatus(msgspec.Struct, frozen=True):
    """All about one station; what cannot be known now is None or empty.

    Attributes:
        at: real time of the look.
        election_time: the election's clock, ms; None: nobody has started the rehearsal.
        areas: from the root down, each as its number and name.
        closes_at: as the decisions have it now; without `ingest`, as the definition has it. ms.
        told: `ingest` has answered.
        devices: that are assigned to the station; without `ingest`, by the newest published roster alone.
        refusals: of these devices, newest first; `at` by the election's clock.
        published: None: nothing is.
        faults: files that could not be read.
    """

    night: str
    at: str
    election_time: int | None
    station: int
    label: str
    name: str
    areas: tuple[tuple[int, str], ...]
    kind: str
    registered: int | None
    contests: tuple[int, ...]
    timezone: str
    closes_at: int
    cancelled: bool
    told: bool
    devices: tuple[Device, ...]
    refusals: tuple[RefusalNow, ...]
    published: PublishedStation | None
    faults: tuple[str, ...]


def asked_station(target: str) -> int | None:
    """Which station a request on the operations listener names; None: it is another path."""
    found = _PATH.fullmatch(target)
    return None if found is None else int(found[1])


def tell(now: StationNow, handshakes: Handshakes) -> bytes:
    """The answer of `ingest`: JSON of a `StationTold`."""
    knocks = []
    for device in now.devices:
        good_at, failed = handshakes.of((device.kind, device.device))
        refused = None if failed is None else Refused(*failed)
        knocks.append(Knock(device.device, good_at, refused))
    return msgspec.json.encode(StationTold(now, tuple(knocks)))


def look(night: NightFolder, number: int, real: Clock) -> StationStatus:
    """Everything that is known of a station now.

    Args:
        night: its folder.
        number: the station's.
        real: the machine's clock, ms.

    Raises:
        TallygateError: ``station.unknown``; the definition cannot be read.
    """
    definition = _core.Definition.load(night.definition)
    station = definition.station(number)
    if station is None:
        raise TallygateError("station.unknown", f"this election has no station {number}")
    faults: list[str] = []
    clock = None
    try:
        clock = night_clock(night, real)
    except (TallygateError, OSError) as error:
        faults.append(str(error))
    latest = _latest(night, faults)
    published = None if latest is None else _published(night, latest, number, faults)
    told = _told(night, number)
    if told is None:
        devices = tuple(_by_roster(night, definition, latest, number, faults))
    else:
        devices = tuple(_by_ingest(told))
    return StationStatus(
        night=str(night.root),
        at=format_time(real()),
        election_time=None if clock is None else clock(),
        station=number,
        label=station.label,
        name=station.name,
        areas=tuple(_areas(definition, station.area)),
        kind=station.kind,
        registered=station.registered,
        contests=tuple(station.contests),
        timezone=station.timezone or definition.timezone,
        closes_at=station.closes_at if told is None else told.now.closes_at,
        cancelled=(published is not None and published.cancelled) if told is None else told.now.cancelled,
        told=told is not None,
        devices=tuple(_with_published(one, published) for one in devices),
        refusals=() if told is None else told.now.refusals,
        published=published,
        faults=tuple(faults),
    )


def _areas(definition: _core.Definition, lowest: int) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    number: int | None = lowest
    while number is not None and (area := definition.area(number)) is not None:
        found.append((number, area.name))
        number = area.parent
    return found[::-1]


def _told(night: NightFolder, number: int) -> StationTold | None:
    """What `ingest` says; None: it does not run, or does not know."""
    ready = read_ready(night.ready("ingest"))
    if ready is None or not ready.operations:
        return None
    answer = ask(ready.operations[0], f"/stations/{number}")
    try:
        return None if answer is None else msgspec.json.decode(answer, type=StationTold)
    except msgspec.MsgspecError:
        return None


def _by_ingest(told: StationTold) -> Iterator[Device]:
    knocks = {knock.device: knock for knock in told.knocks}
    for one in told.now.devices:
        logged = None if one.last is None else one.last.sequence
        yield Device(
            one.device, one.kind, one.serial, one.revoked, logged=logged, knock=knocks.get(one.device)
        )


def _by_roster(
    night: NightFolder, definition: _core.Definition, latest: Latest | None, number: int, faults: list[str]
) -> Iterator[Device]:
    """The devices that the newest published roster names; decisions are not asked."""
    try:
        roster = _core.Roster.load(night.roster, definition)
        if latest is not None and latest.roster != roster.hash.hex():
            roster = _core.Roster.load(night.rosters / latest.roster, definition)
    except (TallygateError, OSError) as error:
        faults.append(str(error))
        return
    for device in roster.devices():
        desk = device.area is not None and definition.holds(device.area, number)
        if desk or number in device.stations:
            yield Device(device.number, device.kind, device.serial)


def _latest(night: NightFolder, faults: list[str]) -> Latest | None:
    try:
        return read_latest(read_bounded(night.feed / layout.LATEST, layout.MAX_LATEST))
    except FileNotFoundError:
        return None
    except (TallygateError, OSError) as error:
        faults.append(str(error))
        return None


def _published(night: NightFolder, latest: Latest, number: int, faults: list[str]) -> PublishedStation | None:
    found = None
    try:
        found = _object(night, latest, number)
    except (TallygateError, OSError) as error:
        faults.append(str(error))
    return PublishedStation(
        snapshot=latest.snapshot,
        entries=latest.log.size,
        paused=latest.paused,
        hidden=latest.embargo_until is not None,
        opened=found is not None and found.opened == 1,
        cancelled=found is not None and found.cancelled == 1,
        codes=() if found is None else found.codes,
        counts=()
        if found is None
        else tuple(CountLine(one.contest, one.source, one.state, one.votes) for one in found.counts),
        packets=()
        if found is None
        else tuple(
            PacketLine(one.index, one.device, one.sequence, one.report, one.signed_at, one.codes)
            for one in found.packets
        ),
        documents=0 if found is None else len(found.documents),
        decisions=() if found is None else found.decisions,
    )


def _object(night: NightFolder, latest: Latest, number: int) -> Station | None:
    """The station's object in the newest snapshot: its highest version below the log's size."""
    versions = {}
    for root in (night.feed, night.embargo):
        folder = (root / layout.station(number, 0)).parent
        for path in folder.glob(f"{number}-*.json"):
            version = path.stem.partition("-")[2]
            if version.isascii() and version.isdigit() and int(version) < latest.log.size:
                versions[int(version)] = path
    if not versions:
        return None
    path = versions[max(versions)]
    return read_station(read_bounded(path, _MAX_OBJECT), str(path))


def _with_published(device: Device, published: PublishedStation | None) -> Device:
    packets = () if published is None else published.packets
    highest = max((one.sequence for one in packets if one.device == device.device), default=None)
    return msgspec.structs.replace(device, published=highest)
