"""The rosters that decisions 9 of the vectors name, each in a folder called by its hash, as in a night."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tests.vectors.election import DEFINITION_HASH, FIRMWARE, ROSTER, Built, Row
from tests.vectors.encoding import Key, sha256

NEW_BOX: Final = Key("device 7, a box that came later")
_OTHER_KEY: Final = Key("another key for device 4")
_OTHER_DEFINITION: Final = sha256(b"tallygate vectors: another election.json")

_DEVICES: Final = tuple(ROSTER.rows["devices"])
_SEVENTH: Final = ("7", "box", "11", "", NEW_BOX.public.hex(), "SN-7")


def _with(devices: Sequence[Row], definition: bytes = DEFINITION_HASH) -> Built:
    members = {**ROSTER.members, "definition": definition.hex()}
    return Built("roster", members, {**ROSTER.rows, "devices": devices})


def _changed(place: int, *row: str) -> tuple[Row, ...]:
    """The devices with another row in this place, counted from 0."""
    return (*_DEVICES[:place], row, *_DEVICES[place + 1 :])


# A box more; the first box moved to station 12, and what has moved besides: a desk's area, serial, firmware.
LARGER: Final = _with((*_DEVICES, _SEVENTH))
MOVED: Final = Built(
    "roster",
    ROSTER.members,
    {
        "devices": (
            ("1", "box", "12", "", _DEVICES[0][4], "SN-1b"),
            *_DEVICES[1:4],
            ("5", "desk", "", "7", _DEVICES[4][4], ""),
            *_DEVICES[5:],
        ),
        "couriers": (),
        "firmware": ((FIRMWARE[0].hex(), "2.0"),),
    },
)
FEWER: Final = _with(_DEVICES[:-1])
REKEYED: Final = _with(_changed(3, "4", "box", "", "", _OTHER_KEY.public.hex(), "SN-4"))
TURNED: Final = _with(_changed(3, "4", "terminal", "", "", _DEVICES[3][4], "SN-4"))
FOREIGN: Final = _with((*_DEVICES, _SEVENTH), _OTHER_DEFINITION)
MALFORMED: Final = _with((*_DEVICES, ("7", "box", "11", "1", NEW_BOX.public.hex(), "SN-7")))
ASTRAY: Final = _with((*_DEVICES, ("7", "box", "13", "", NEW_BOX.public.hex(), "SN-7")))
# One of its files is not what its manifest says.
BROKEN: Final = _with((*_DEVICES, (*_SEVENTH[:5], "SN-77")))


def hash_of(roster: Built) -> bytes:
    """What a decision names it by."""
    return sha256(roster.manifest())


FIRST: Final = hash_of(ROSTER)
# Nobody has it.
NOWHERE: Final = sha256(b"tallygate vectors: a roster.json that is not there")

_WRITTEN: Final[Mapping[str, Built]] = MappingProxyType(
    {
        "a box more": LARGER,
        "devices moved": MOVED,
        "a device is missing": FEWER,
        "another key": REKEYED,
        "another kind": TURNED,
        "of another definition": FOREIGN,
        "malformed: a box with an area": MALFORMED,
        "naming an unknown station": ASTRAY,
        "devices.csv was changed": BROKEN,
    }
)


def published() -> dict[str, str]:
    """The hashes by what they are."""
    named = {name: hash_of(roster).hex() for name, roster in _WRITTEN.items()}
    return {"the first": FIRST.hex(), **named, "nowhere": NOWHERE.hex()}


def files() -> dict[str, bytes]:
    """Every file by its path from this folder."""
    found: dict[str, bytes] = {}
    for roster in _WRITTEN.values():
        for path, data in roster.files().items():
            name = path.removeprefix("roster/")
            found[f"rosters/{hash_of(roster).hex()}/{name}"] = data
    found[f"rosters/{hash_of(BROKEN).hex()}/devices.csv"] += b"\n"
    return found
