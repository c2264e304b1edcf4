"""The officials' election folder as enrolment needs it: who may be enrolled, and the key cells to be filled.

What lives here: reading election.toml, devices.csv and couriers.csv with the builder's own readers, comparing
requests with them, and writing signing keys into the empty `key` cells of devices.csv without touching any
other byte of that file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded, write_durably
from gateway.election.faults import Fault, Faults
from gateway.election.files import BOM
from gateway.election.limits import MAX_TABLE_BYTES
from gateway.election.roster import COURIERS, DEVICES
from gateway.election.settings import read_settings
from gateway.election.tables import BLANKS, Spec, Table
from gateway.pki.names import DEVICE_KINDS, DeviceKind
from gateway.pki.requests import CheckedRequest


class _Row(NamedTuple):
    line: int
    kind: str
    key: str


@dataclass(frozen=True)
class ElectionTables:
    """What a folder says about those who can be enrolled; read with `read_tables`."""

    folder: Path
    election: str
    closes_at: int
    commission_keys: Sequence[bytes]
    couriers: frozenset[int]
    devices: Mapping[int, _Row]

    def kinds(self) -> dict[int, DeviceKind]:
        """The kind of each device."""
        return {
            device: kind for device, row in self.devices.items() for kind in DEVICE_KINDS if kind == row.kind
        }

    def faults(self, requests: Iterable[CheckedRequest]) -> list[TallygateError]:
        """What the tables say against these requests.

        Codes: ``enrol.unknown`` (no such device, courier or member), ``enrol.kind`` (its kind is no kind),
        ``enrol.key_differs`` (another signing key stands there), ``enrol.key_taken`` (the signing key stands
        at somebody else).
        """
        owners = {row.key: f"device {device}" for device, row in self.devices.items() if row.key}
        owners |= {key.hex(): f"commission:{n}" for n, key in enumerate(self.commission_keys, start=1)}
        found = (self._fault(request, owners) for request in requests)
        return [fault for fault in found if fault is not None]

    def fill(self, requests: Iterable[CheckedRequest]) -> int:
        """Writes the signing keys of devices into their empty cells, all in one replacement of the file.

        Returns:
            How many cells were filled.

        Raises:
            TallygateError: ``enrol.table_changed``: the file is no longer what `read_tables` read.
        """
        keys = {
            self.devices[request.holder.number].line: (request.holder.number, request.sign_key)
            for request in requests
            if request.holder.group == "device" and not self.devices[request.holder.number].key
        }
        if not keys:
            return 0
        # The table may be a link to where the officials keep it; the link stays.
        path = (self.folder / DEVICES.file).resolve()
        lines = read_bounded(path, MAX_TABLE_BYTES).split(b"\n")
        first = next((place for place, line in enumerate(lines) if line.removeprefix(BOM).strip()), 0)
        header = lines[first].removeprefix(BOM).decode()
        separator = ";" if header.count(";") > header.count(",") else ","
        names = [_cell(header, span) for span in _spans(header, separator)]
        for line, (device, key) in keys.items():
            filled = None
            if line <= len(lines) and key is not None:
                filled = _filled(lines[line - 1], names, separator, device, key)
            if filled is None:
                raise TallygateError(
                    "enrol.table_changed",
                    f"somebody has changed this file meanwhile: device {device} with an empty key is no "
                    f"longer in line {line}; nothing was written, run the command again",
                    place=str(path),
                )
            lines[line - 1] = filled
        write_durably(path, b"\n".join(lines), mode=path.stat().st_mode & 0o777)
        return len(keys)

    def _fault(self, request: CheckedRequest, owners: Mapping[str, str]) -> TallygateError | None:
        group, number = request.holder
        if group == "courier":
            if number in self.couriers:
                return None
            return _unknown(request, f"there is no courier {number} in {COURIERS.file}")
        if group == "commission":
            if number > len(self.commission_keys):
                known = len(self.commission_keys)
                return _unknown(request, f"election.toml has {known} commission_keys, no member {number}")
            there = self.commission_keys[number - 1].hex()
        else:
            row = self.devices.get(number)
            if row is None:
                return _unknown(request, f"there is no device {number} in {DEVICES.file}")
            if row.kind not in DEVICE_KINDS:
                return TallygateError(
                    "enrol.kind",
                    f"device {number} is none of {', '.join(DEVICE_KINDS)}: repair its kind first",
                    place=f"{self.folder / DEVICES.file}:{row.line}",
                )
            there = row.key
        if there and there != request.sign_key:
            return TallygateError(
                "enrol.key_differs",
                f"the election folder has another signing key for {request.holder}; who was set up anew is a "
                "new number (or, before the roster is built, its key cell is emptied by hand)",
                place=request.place,
            )
        owner = owners.get(request.sign_key or "")
        if not there and owner is not None:
            return TallygateError(
                "enrol.key_taken",
                f"{request.holder} brings the signing key of {owner}; make new keys in the device",
                place=request.place,
            )
        return None


def read_tables(folder: Path) -> ElectionTables:
    """Reads what enrolment needs of an election folder that may still lack keys.

    Raises:
        TallygateError: the first fault found, with the builder's code (``definition.*``).
    """
    faults = Faults()
    toml = read_settings(folder, faults, rehearsal=False)
    # Commission keys may be enrolled before they stand in election.toml; the builder insists later.
    _refuse(folder, (fault for fault in faults.kept() if not fault.column.startswith("commission_")))
    if toml is None:
        raise AssertionError("election.toml could not be read, and there was no fault")
    devices: dict[int, _Row] = {}
    for line, (device, kind, _, _, key, _) in _rows(folder, DEVICES):
        number = _number(device)
        if number in devices:
            raise TallygateError(
                "definition.duplicate_number",
                f"device {number} stands in line {devices[number].line} too",
                place=f"{folder / DEVICES.file}:{line}",
            )
        if number is not None:
            devices[number] = _Row(line, kind, key.lower())
    couriers = frozenset(
        number for _, (courier, _, _) in _rows(folder, COURIERS) if (number := _number(courier)) is not None
    )
    return ElectionTables(
        folder,
        toml.settings.id,
        toml.settings.closes_at,
        toml.settings.commission_keys,
        couriers,
        devices,
    )


def _rows(folder: Path, spec: Spec) -> list[tuple[int, tuple[str, ...]]]:
    if not (folder / spec.file).exists():
        return []
    faults = Faults()
    rows = list(Table(folder, spec, faults).rows())
    _refuse(folder, faults.kept())
    return rows


def _refuse(folder: Path, faults: Iterable[Fault]) -> None:
    for fault in faults:
        if not fault.warning:
            line = f":{fault.line}" if fault.line else ""
            raise TallygateError(
                str(fault.code),
                f"{fault.detail} (`tallygate election check` shows every fault)",
                place=f"{folder / fault.file}{line}",
            )


def _number(cell: str) -> int | None:
    return int(cell) if cell.isascii() and cell.isdigit() and len(cell) <= 30 else None


def _unknown(request: CheckedRequest, why: str) -> TallygateError:
    return TallygateError("enrol.unknown", f"{why}; add it first", place=request.place)


def _filled(line: bytes, names: Sequence[str], separator: str, device: int, key: str) -> bytes | None:
    """The line with the key in its empty cell; None if it is not that device's line with an empty key."""
    text = line.decode()
    spans = dict(zip(names, _spans(text, separator), strict=False))
    number, cell = spans.get("device"), spans.get("key")
    if number is None or cell is None or _number(_cell(text, number)) != device or _cell(text, cell):
        return None
    return f"{text[: cell[0]]}{key}{text[cell[1] :]}".encode()


def _cell(text: str, span: tuple[int, int]) -> str:
    raw = text[slice(*span)]
    if raw.startswith('"'):
        raw = raw[1:-1].replace('""', '"')
    return raw.strip(BLANKS)


def _spans(text: str, separator: str) -> list[tuple[int, int]]:
    """Where each cell of a line begins and ends, quotes included."""
    text = text.removesuffix("\r")
    spans = []
    start = 0
    while True:
        end = start
        if text.startswith('"', start):
            end = start + 1
            while (end := text.find('"', end)) >= 0 and text.startswith('"', end + 1):
                end += 2
            end = len(text) if end < 0 else end + 1
        end = text.find(separator, end)
        if end < 0:
            spans.append((start, len(text)))
            return spans
        spans.append((start, end))
        start = end + 1
