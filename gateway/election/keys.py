"""Which public keys may stand in an election: enrollable points, each once, each with a kid of its own."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from gateway import _core
from gateway.election.faults import Code

KID_BYTES = 8


class KeyFault(NamedTuple):
    """A key that cannot be used.

    Attributes:
        device: index of the device, or None for a commission key.
        member: index of the commission key, or None for a device.
    """

    device: int | None
    member: int | None
    code: Code
    detail: str


def kid_of(key: bytes) -> bytes:
    """The first 8 bytes of SHA-256 of a public key: how a statement names its signer (docs/packet.md)."""
    return hashlib.sha256(key).digest()[:KID_BYTES]


def judge_keys(
    commission: Sequence[bytes],
    devices: Sequence[bytes],
    *,
    kid: Callable[[bytes], bytes] = kid_of,
    enrollable: Callable[[Sequence[bytes]], list[bool]] = _core.enrollable,
) -> Iterator[KeyFault]:
    """Find every key that is no valid point, stands twice, is a commission member's, or shares its kid.

    Args:
        commission: keys of 32 bytes; an empty one is passed over.
        devices: the same of the devices.
        kid: how a key is named; only tests need another one, since a collision of 64 bits cannot be made.
        enrollable: whether each key is a canonical point of prime order.
    """
    keys = [*commission, *devices]
    members = len(commission)

    def who(place: int) -> str:
        return f"commission key {place + 1}" if place < members else "another device"

    filled = [place for place, key in enumerate(keys) if key]
    valid = dict(zip(filled, enrollable([keys[place] for place in filled]), strict=True))
    first: dict[bytes, int] = {}
    for place in filled:
        key = keys[place]
        device = place - members if place >= members else None
        member = None if place >= members else place
        if not valid[place]:
            detail = "the key is no valid Ed25519 point (of prime order): export it from the device again"
            yield KeyFault(device, member, Code.KEY_NOT_A_POINT, detail)
            continue
        other = first.setdefault(kid(key), place)
        if other == place:
            continue
        if keys[other] != key:
            detail = f"the key's SHA-256 begins like that of {who(other)} (the kid): make a new key"
            yield KeyFault(device, member, Code.KID_COLLISION, detail)
        elif other < members <= place:
            detail = f"the key is {who(other)}: a device has a key of its own"
            yield KeyFault(device, member, Code.COMMISSION_KEY, detail)
        else:
            detail = f"the key is that of {who(other)} too: each has a key of its own"
            yield KeyFault(device, member, Code.DUPLICATE_KEY, detail)
