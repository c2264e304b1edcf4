"""The officials' election folder as enrolment needs it: who may be enrolled, and the key cells to be filled.

What lives here: reading election.toml, devices.csv and couriers.csv with the builder's own readers, comparing
requests with them, and writing signing keys into the empty `key` cells of devices.csv without touching any
other byte of that file (judged before anything is signed, written after).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gateway.base.errors import TallygateError
from gateway.base.files import read_bounded, write_durably
from gateway.election.cells import is_hex32
from gateway.election.faults import Code, Fault, Faults
from gateway.election.files import BOM
from gateway.election.limits import MAX_TABLE_BYTES
from gateway.election.model import Settings
from gateway.election.roster import COURIERS, DEVICES
from gateway.election.settings import read_settings
from gateway.election.tables import BLANKS, Spec, Table
from gateway.pki.certificates import ed25519_der, key_id
from gateway.pki.enrolment import Candidate
from gateway.pki.names import DEVICE_KINDS, Role
from gateway.pki.requests import CheckedRequest


class _Row(NamedTuple):
    line: int
    kind: str
    key: str


class Filling(NamedTuple):
    """devices.csv with keys in empty cells, not yet written."""

    path: Path
    before: bytes
    after: bytes
    cells: int
    """How many are filled."""

    def write(self) -> None:
        """Writes them all in one replacement of the file.

        Raises:
            TallygateError: ``enrol.table_changed``: somebody has changed the file meanwhile.
        """
        if not self.cells:
            return
        if read_bounded(self.path, MAX_TABLE_BYTES) != self.before:
            raise TallygateError(
                "enrol.table_changed",
                "somebody has changed this file meanwhile, and nothing was written into it. The certificates "
                "are issued: run the same command again, and the same requests get them",
                place=str(self.path),
            )
        write_durably(self.path, self.after, mode=self.path.stat().st_mode & 0o777)


@dataclass(frozen=True)
class ElectionTables:
    """What a folder says about those who can be enrolled; read with `read_tables`."""

    folder: Path
    settings: Settings
    couriers: frozenset[int]
    devices: Mapping[int, _Row]

    def admit(self, requests: Iterable[CheckedRequest]) -> tuple[list[Candidate], list[TallygateError]]:
        """What the tables say to these requests.

        Returns:
            Those who may be enrolled, with their roles; and of the others ``enrol.unknown`` (no such device,
            courier or member), ``enrol.kind`` (its kind is no kind), ``enrol.key_differs`` (another signing
            key stands there), ``enrol.key_taken`` (one of the keys stands at somebody else).
        """
        owners = {row.key: f"device {device}" for device, row in self.devices.items() if row.key}
        owners |= {
            key.hex(): f"commission:{n}" for n, key in enumerate(self.settings.commission_keys, start=1)
        }
        keys = {
            key_id(ed25519_der(bytes.fromhex(key))): owner for key, owner in owners.items() if is_hex32(key)
        }
        admitted: list[Candidate] = []
        faults: list[TallygateError] = []
        for request in requests:
            result = self._judge(request, keys)
            if isinstance(result, TallygateError):
                faults.append(result)
            else:
                admitted.append(Candidate(request, result))
        return admitted, faults

    def fill(self, candidates: Iterable[Candidate]) -> Filling:
        """Prepares the signing keys of devices to be written into their empty cells.

        Raises:
            TallygateError: ``enrol.table_changed``: the file is no longer what `read_tables` read.
        """
        requests = [candidate.request for candidate in candidates]
        keys = {
            self.devices[request.holder.number].line: (request.holder.number, request.sign_key)
            for request in requests
            if request.holder.group == "device" and not self.devices[request.holder.number].key
        }
        # The table may be a link to where the officials keep it; the link stays.
        path = (self.folder / DEVICES.file).resolve()
        if not keys:
            return Filling(path, b"", b"", 0)
        before = read_bounded(path, MAX_TABLE_BYTES)
        lines = before.split(b"\n")
        first = next((place for place, line in enumerate(lines) if line.removeprefix(BOM).strip()), 0)
        header = lines[first].removeprefix(BOM).decode(errors="surrogateescape")
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
                    f"longer in line {line}; nobody was enrolled, run the command again",
                    place=str(path),
                )
            lines[line - 1] = filled
        return Filling(path, before, b"\n".join(lines), len(keys))

    def _judge(self, request: CheckedRequest, owners: Mapping[str, str]) -> Role | TallygateError:
        group, number = request.holder
        role: Role
        there = ""
        if group == "courier":
            role = group
            if number not in self.couriers:
                return _unknown(request, f"there is no courier {number} in {COURIERS.file}")
        elif group == "commission":
            role = group
            if number > len(self.settings.commission_keys):
                known = len(self.settings.commission_keys)
                return _unknown(request, f"election.toml has {known} commission_keys, no member {number}")
            there = self.settings.commission_keys[number - 1].hex()
        else:
            row = self.devices.get(number)
            if row is None:
                return _unknown(request, f"there is no device {number} in {DEVICES.file}")
            kind = next((kind for kind in DEVICE_KINDS if kind == row.kind), None)
            if kind is None:
                return TallygateError(
                    "enrol.kind",
                    f"device {number} is none of {', '.join(DEVICE_KINDS)}: repair its kind first",
                    place=f"{self.folder / DEVICES.file}:{row.line}",
                )
            role = kind
            there = row.key
        if there and there != request.sign_key:
            return TallygateError(
                "enrol.key_differs",
                f"the election folder has another signing key for {request.holder}; who was set up anew is a "
                "new number (or, before the roster is built, its key cell is emptied by hand)",
                place=request.place,
            )
        for key, use in request.keys.items():
            owner = owners.get(key)
            if owner is not None and not (use == "sign" and there):
                return TallygateError(
                    "enrol.key_taken",
                    f"{request.holder} brings the signing key of {owner}; make new keys in the device",
                    place=request.place,
                )
        return role


def read_official(folder: Path) -> Settings:
    """Reads election.toml of a folder that may still lack the commission's keys.

    Raises:
        TallygateError: the first fault found, with the builder's code (``definition.*``).
    """
    faults = Faults()
    toml = read_settings(folder, faults, rehearsal=False)
    # Members are enrolled one after another: that keys are missing yet is the builder's concern. What stands
    # there and is no key is not: it would move the places of those behind it.
    missing = {(Code.MISSING_KEY, "commission_keys"), (Code.BAD_QUORUM, "commission_quorum")}
    _refuse(folder, (fault for fault in faults.kept() if (fault.code, fault.column) not in missing))
    if toml is None:
        raise AssertionError("election.toml could not be read, and there was no fault")
    return toml.settings


def read_tables(folder: Path) -> ElectionTables:
    """Reads what enrolment needs of an election folder that may still lack keys.

    Raises:
        TallygateError: the first fault found, with the builder's code (``definition.*``).
    """
    settings = read_official(folder)
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
    return ElectionTables(folder, settings, couriers, devices)


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
    text = line.decode(errors="surrogateescape")
    spans = dict(zip(names, _spans(text, separator), strict=False))
    number, cell = spans.get("device"), spans.get("key")
    if number is None or cell is None or _number(_cell(text, number)) != device or _cell(text, cell):
        return None
    return f"{text[: cell[0]]}{key}{text[cell[1] :]}".encode(errors="surrogateescape")


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
