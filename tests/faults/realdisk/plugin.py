"""A disk with a volatile cache, for nbdkit: what was not flushed can be lost, torn and reordered.

nbdkit's Python plugin loads this file into an interpreter of its own: the standard library is all there is.
Any exception is answered with EIO. Parameters on nbdkit's command line::

    image=FILE     the content at first
    orders=FILE    an `Orders` as JSON; read again whenever another file has taken its place
    left=FILE      gets what is on the platters when the power is cut
    met=FILE       gets a byte each time that a request fails as ordered
"""

import json
import random
import time
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

API_VERSION = 2

# What a disk writes whole or not at all.
SECTOR = 512

Call: TypeAlias = Literal["read", "write", "flush"]


class Orders(TypedDict):
    """What becomes of the disk.

    Attributes:
        power: requests (of `calls`) until the power is cut; None: it stays.
        survivors: the share of the sectors that were not flushed and survive the cut.
        seed: decides which.
        fail: requests (of `calls`) until they begin to fail; None: none does.
        times: so many fail.
        calls: the requests that are counted.
        delay: seconds that a flush takes.
    """

    power: int | None
    survivors: float
    seed: int
    fail: int | None
    times: int
    calls: list[Call]
    delay: float


class PowerCutError(Exception):
    """There is no disk any more."""


class VolatileDisk:
    """The disk; one request at a time (nbdkit's Python plugin serializes them).

    Args:
        content: at first, all of it durable.
        orders, left, met: as in the module's docstring.
    """

    def __init__(self, content: bytes, orders: Path, left: Path, met: Path) -> None:
        self._current = bytearray(content)
        self._durable = bytearray(content)
        # What was written since the last flush, in its order.
        self._pending: list[tuple[int, bytes]] = []
        self._path = orders
        self._left = left
        self._met = met
        self._inode = 0
        self._orders: Orders | None = None
        self._counted = 0
        self._dead = False

    def __len__(self) -> int:
        return len(self._current)

    def read(self, offset: int, count: int) -> bytes:
        self._obey("read")
        return bytes(self._current[offset : offset + count])

    def write(self, offset: int, data: bytes) -> None:
        self._obey("write")
        self._pending.append((offset, data))
        self._current[offset : offset + len(data)] = data

    def flush(self) -> None:
        self._obey("flush")
        for offset, data in self._pending:
            self._durable[offset : offset + len(data)] = data
        self._pending.clear()

    def _obey(self, call: Call) -> None:
        """Does what is ordered for this request."""
        if self._dead:
            raise PowerCutError
        orders = self._latest_orders()
        if orders is None:
            return
        if call == "flush":
            time.sleep(orders["delay"])
        if call not in orders["calls"]:
            return
        self._counted += 1
        if orders["power"] is not None and self._counted > orders["power"]:
            self._cut(random.Random(orders["seed"]), orders["survivors"])
            raise PowerCutError
        if orders["fail"] is not None and 0 < self._counted - orders["fail"] <= orders["times"]:
            with self._met.open("ab") as file:
                file.write(b".")
            raise OSError(f"{call} number {self._counted} fails as ordered")

    def _latest_orders(self) -> Orders | None:
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            return None
        if inode != self._inode:
            self._inode = inode
            self._orders = json.loads(self._path.read_bytes())
            self._counted = 0
        return self._orders

    def _cut(self, chance: random.Random, survivors: float) -> None:
        for offset, data in self._pending:
            for at in range(0, len(data), SECTOR):
                if chance.random() < survivors:
                    sector = data[at : at + SECTOR]
                    self._durable[offset + at : offset + at + len(sector)] = sector
        self._dead = True
        temporary = self._left.with_name(f"{self._left.name}.part")
        temporary.write_bytes(self._durable)
        temporary.rename(self._left)


# --- What nbdkit calls ---

_parameters: dict[str, Path] = {}


def config(key: str, value: str) -> None:
    _parameters[key] = Path(value)


def get_ready() -> None:
    global _disk
    content = _parameters["image"].read_bytes()
    _disk = VolatileDisk(content, _parameters["orders"], _parameters["left"], _parameters["met"])


_disk: VolatileDisk


def open(readonly: bool) -> VolatileDisk:  # noqa: A001 - nbdkit's name
    return _disk


def get_size(disk: VolatileDisk) -> int:
    return len(disk)


def can_flush(disk: VolatileDisk) -> bool:
    return True


def pread(disk: VolatileDisk, buffer: bytearray, offset: int, flags: int) -> None:
    buffer[:] = disk.read(offset, len(buffer))


def pwrite(disk: VolatileDisk, buffer: bytearray, offset: int, flags: int) -> None:
    disk.write(offset, bytes(buffer))


def flush(disk: VolatileDisk, flags: int) -> None:
    disk.flush()
