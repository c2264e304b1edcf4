"""What a rehearsal adds to an election: devices and keys of its own. Pure functions; others make the keys."""

import dataclasses
from collections.abc import Sequence

from gateway.base.errors import TallygateError
from gateway.election.keys import judge_keys
from gateway.election.limits import MAX_COMMISSION_KEYS
from gateway.election.model import Device, Election
from gateway.election.settings import majority

KEY_BYTES = 32


def due_devices(election: Election) -> list[Device]:
    """The devices of a rehearsal: those of devices.csv if it names any.

    Else a box and a terminal a station, and behind them, with the last number, a desk for the whole election.

    Returns:
        Devices whose key is empty where one has still to be made; a box only where the station awaits one.
    """
    if election.devices:
        return list(election.devices)
    due = [
        (kind, station.station)
        for station in election.stations
        for kind in ("box", "terminal")
        if kind == "terminal" or station.box
    ]
    devices = [Device(number, kind, (station,), 0, b"", "") for number, (kind, station) in enumerate(due, 1)]
    root = next(area.area for area in election.areas if area.parent == 0)
    return [*devices, Device(len(devices) + 1, "desk", (), root, b"", "")]


def with_keys(
    election: Election,
    *,
    devices: Sequence[Device],
    commission_keys: Sequence[bytes],
    quorum: int | None = None,
) -> Election:
    """The same election with this roster of devices and these commission keys.

    Args:
        election: as read with ``rehearsal=True``.
        devices: the whole roster, each with its key.
        commission_keys: 32 bytes each; a member's id is the place of its key, from 1.
        quorum: how many of them a decision needs; by default what election.toml says, if there are so many
        keys,
            else more than half.

    Raises:
        TallygateError: a key that is missing or may not be used (``definition.key_not_a_point`` and others),
            ``definition.bad_quorum``, or a number of keys that no commission has.
    """
    if not 1 <= len(commission_keys) <= MAX_COMMISSION_KEYS:
        raise TallygateError(
            "definition.number_range",
            f"a commission has 1 to {MAX_COMMISSION_KEYS} keys, not {len(commission_keys)}",
        )
    for key, owner in (
        *((key, f"commission key {place}") for place, key in enumerate(commission_keys, 1)),
        *((device.key, f"device {device.device}") for device in devices),
    ):
        if len(key) != KEY_BYTES:
            raise TallygateError(
                "definition.missing_value", f"the key has {len(key)} bytes, not {KEY_BYTES}", place=owner
            )
    for fault in judge_keys(commission_keys, [device.key for device in devices]):
        owner = (
            f"device {devices[fault.device].device}"
            if fault.device is not None
            else f"commission key {(fault.member or 0) + 1}"
        )
        raise TallygateError(fault.code, fault.detail, place=owner)
    settings = election.settings
    if quorum is None:
        wanted = settings.commission_quorum
        quorum = wanted if 1 <= wanted <= len(commission_keys) else majority(len(commission_keys))
    if not 1 <= quorum <= len(commission_keys):
        raise TallygateError(
            "definition.bad_quorum", f"{quorum} members must sign and there are {len(commission_keys)} keys"
        )
    return dataclasses.replace(
        election,
        settings=settings._replace(commission_keys=tuple(commission_keys), commission_quorum=quorum),
        devices=sorted(devices),
    )
