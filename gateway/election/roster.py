"""Who may speak: devices.csv, couriers.csv and firmware.csv."""

from collections.abc import Sequence
from pathlib import Path

from gateway.election.cells import Cells, Known
from gateway.election.faults import Code, Faults, shown
from gateway.election.geography import STATIONS
from gateway.election.model import Courier, Device, Firmware, Station
from gateway.election.numbering import Numbering
from gateway.election.tables import Spec, Table

DEVICES = Spec(
    file="devices.csv",
    columns=("device", "kind", "station", "area", "key", "serial"),
    required=("device", "kind", "key"),
)

DEVICES_WITHOUT_KEYS = Spec(file=DEVICES.file, columns=DEVICES.columns, required=("device", "kind"))
"""What a rehearsal takes: it makes the keys that are missing."""

COURIERS = Spec(file="couriers.csv", columns=("courier", "area", "name"), required=("courier", "name"))

FIRMWARE = Spec(file="firmware.csv", columns=("sha256", "name"), required=("sha256", "name"))

DEVICE_KINDS = ("box", "terminal", "desk")


def read_devices(
    folder: Path, stations: Known, areas: Known, numbering: Numbering, faults: Faults, *, keys_needed: bool
) -> tuple[list[Device], list[int], bool]:
    """Read devices.csv.

    Args:
        folder: the election folder.
        stations: the numbers of the stations.
        areas: the numbers of the areas.
        numbering: what ``--number`` numbered.
        faults: where to note what is wrong.
        keys_needed: whether an empty key is a fault.

    Returns:
        The devices in the order of the file, the line of each, and whether these are all.
    """
    cells = Cells(DEVICES.file, faults)
    table = Table(folder, DEVICES if keys_needed else DEVICES_WITHOUT_KEYS, faults)
    labels = numbering.tables.get(DEVICES.file)
    known = Known("device", Code.DUPLICATE_NUMBER, labels)
    devices: list[Device] = []
    lines: list[int] = []
    spares: list[int] = []
    for line, (device, kind, station, area, key, serial) in table.rows():
        number = cells.own(device, line, "device", known)
        kind = cells.word(kind, line, "kind", DEVICE_KINDS) or ""
        assigned = cells.references(station, line, "station", stations) if station else ()
        place = cells.reference(area, line, "area", areas) or 0 if area else 0
        if kind == "desk":
            if station:
                detail = "a desk serves an area and stands at no station: empty this cell"
                cells.fault(Code.DEVICE_STATION, detail, line, "station")
            if not area:
                detail = "the cell is empty; name the area that the desk serves"
                cells.fault(Code.DEVICE_STATION, detail, line, "area")
        elif kind:
            if area:
                detail = f"only a desk has an area, a {kind} has stations: empty this cell"
                cells.fault(Code.DEVICE_STATION, detail, line, "area")
            if not station:
                spares.append(line)
        digits = cells.hex32(key, line, "key") if key or keys_needed else ""
        serial = cells.text(serial or (device if labels is not None else ""), line, "serial")
        if number is not None:
            devices.append(Device(number, kind, assigned, place, bytes.fromhex(digits), serial))
            lines.append(line)
    if spares:
        detail = f"{len(spares)} devices have no station: they are spares until a decision assigns them"
        cells.fault(Code.SPARE_DEVICES, detail, spares[0], "station")
    return devices, lines, table.complete


def judge_boxes(devices: Sequence[Device], stations: Sequence[Station], known: Known, faults: Faults) -> None:
    """Every station where a box is due has one."""
    cells = Cells(STATIONS.file, faults)
    served = {station for device in devices if device.kind == "box" for station in device.stations}
    for station in stations:
        if station.box and station.station not in served:
            detail = f"station {station.station} has no box in {DEVICES.file}: add it, or write box = no here"
            cells.fault(Code.STATION_WITHOUT_BOX, detail, known.lines[station.station], "box")


def read_couriers(
    folder: Path, areas: Known, root: int, numbering: Numbering, faults: Faults
) -> list[Courier]:
    """Read couriers.csv; one without an area serves the whole country (`root`)."""
    cells = Cells(COURIERS.file, faults)
    table = Table(folder, COURIERS, faults)
    known = Known("courier", Code.DUPLICATE_NUMBER, numbering.tables.get(COURIERS.file))
    couriers: list[Courier] = []
    for line, (courier, area, name) in table.rows():
        number = cells.own(courier, line, "courier", known)
        place = cells.reference(area, line, "area", areas) or 0 if area else root
        name = cells.needed(name, line, "name")
        if number is not None:
            couriers.append(Courier(number, place, name))
    return couriers


def read_firmware(folder: Path, faults: Faults) -> list[Firmware]:
    """Read firmware.csv."""
    cells = Cells(FIRMWARE.file, faults)
    table = Table(folder, FIRMWARE, faults)
    first: dict[str, int] = {}
    firmware: list[Firmware] = []
    for line, (sha256, name) in table.rows():
        digits = cells.hex32(sha256, line, "sha256")
        name = cells.needed(name, line, "name")
        if digits and first.setdefault(digits, line) != line:
            detail = f"{shown(sha256)} stands in line {first[digits]} too: remove one"
            cells.fault(Code.DUPLICATE_NUMBER, detail, line, "sha256")
        firmware.append(Firmware(digits, name))
    return firmware
