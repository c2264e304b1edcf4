"""The roster: who may speak in an election: devices with their keys, couriers, and the firmware of boxes.

Whether a key is a valid point was judged when the roster was built (packet.md, "Envelope"); a reader only
refuses keys that could be taken for one another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from clients.wire import keys, manifest
from clients.wire.definition import Definition
from clients.wire.tables import Row, TableEntry, open_table

MANIFEST = "roster.json"
FORMAT = "tallygate-roster/1"

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "devices": ("device", "kind", "stations", "area", "key", "serial"),
        "couriers": ("courier", "area", "name"),
        "firmware": ("sha256", "name"),
    }
)


@dataclass(frozen=True, slots=True)
class Device:
    """Whatever signs packets; a desk has an area, the others their stations (none: a spare)."""

    device: int
    kind: str
    stations: tuple[int, ...]
    area: int | None
    key: bytes
    serial: str

    @property
    def kid(self) -> bytes:
        """What this device's packets name in their envelope."""
        return keys.kid(self.key)


@dataclass(frozen=True, slots=True)
class Courier:
    """A commission computer that uploads statements of an area's boxes."""

    courier: int
    area: int
    name: str


@dataclass(frozen=True, slots=True)
class Roster:
    """One roster, by number.

    Attributes:
        sha256: of `roster.json`: what decisions 1 and 9 name.
        definition: SHA-256 of the definition it belongs to.
        devices: by number.
        couriers: by number.
        firmware: names of the allowed firmware by SHA-256; empty = any.
    """

    sha256: bytes
    definition: bytes
    devices: Mapping[int, Device]
    couriers: Mapping[int, Courier]
    firmware: Mapping[bytes, str]

    @classmethod
    def load(cls, folder: Path, definition: Definition) -> Self:
        """Read the roster in a folder.

        Raises:
            WireError: `manifest.missing`, `manifest.malformed`, `manifest.definition` if it is another
                definition's, `table.missing`, `table.changed`, `table.malformed` or `table.reference`.
        """
        sha256, members = manifest.read(folder, MANIFEST)
        members.exactly(("format", "definition", "tables"))
        members.word("format", (FORMAT,))
        named = members.hash("definition")
        tables = members.tables(tuple(_COLUMNS))
        manifest.judge_definition(MANIFEST, named, definition.sha256)
        return cls(
            sha256=sha256,
            definition=named,
            devices=MappingProxyType(_read_devices(folder, tables["devices"], definition)),
            couriers=MappingProxyType(_read_couriers(folder, tables["couriers"], definition)),
            firmware=MappingProxyType(_read_firmware(folder, tables["firmware"])),
        )


def _read_devices(folder: Path, entry: TableEntry, definition: Definition) -> dict[int, Device]:
    devices: dict[int, Device] = {}
    kids: set[bytes] = set()
    with open_table(folder, "devices", entry, _COLUMNS["devices"]) as table:
        number = 0
        for row in table:
            number = row.ascending("device", number)
            kind = row.word("kind", ("box", "terminal", "desk"))
            stations = row.numbers("stations", definition.stations)
            if kind == "desk" and stations:
                raise row.malformed("stations", "a desk has an area and no station")
            area = row.number_or_none("area", definition.areas)
            if (kind == "desk") != (area is not None):
                raise row.malformed("area", "a desk has an area, no other device has one")
            key = row.hash("key")
            _judge_key(row, key, kids, definition)
            devices[number] = Device(number, kind, stations, area, key, row.text("serial"))
    return devices


def _judge_key(row: Row, key: bytes, kids: set[bytes], definition: Definition) -> None:
    kid = keys.kid(key)
    # Equal keys have equal kids.
    if kid in kids:
        raise row.malformed("key", "another device has this key or one with the same kid")
    if definition.commission.get(kid) == key:
        raise row.malformed("key", "the key is one of the commission's")
    kids.add(kid)


def _read_couriers(folder: Path, entry: TableEntry, definition: Definition) -> dict[int, Courier]:
    couriers: dict[int, Courier] = {}
    with open_table(folder, "couriers", entry, _COLUMNS["couriers"]) as table:
        number = 0
        for row in table:
            number = row.ascending("courier", number)
            couriers[number] = Courier(number, row.number("area", definition.areas), row.name("name"))
    return couriers


def _read_firmware(folder: Path, entry: TableEntry) -> dict[bytes, str]:
    firmware: dict[bytes, str] = {}
    with open_table(folder, "firmware", entry, _COLUMNS["firmware"]) as table:
        before = b""
        for row in table:
            sha256 = row.hash("sha256")
            if sha256 <= before:
                raise row.malformed("sha256", "lines must ascend by this column")
            before = sha256
            firmware[sha256] = row.name("name")
    return firmware
