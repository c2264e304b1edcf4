"""What to do about one station, in words for whoever has its chairman on the telephone.

What lives here: `advise`, from a look at a station (`gateway.run.station`) to sentences, the most urgent
first.
"""

from collections.abc import Iterator
from typing import Final

from gateway.base.clock import HOUR, MINUTE
from gateway.run.station import FOREIGN, Device, StationStatus

# What a refused handshake asks for, by the metric's word.
_KNOCKS: Final = {
    "expired": "its certificate is past its dates, or not yet within them: look at the date of its clock, "
    "else enrol it again (docs/keys.md)",
    "revoked": "its certificate is revoked: if it is the right device, enrol it again (docs/keys.md); until "
    "then a courier carries what it has signed",
    "unknown_ca": "its certificate is of another election or of a rehearsal: bring it the right one "
    "(docs/keys.md)",
    "timeout": "its line is too slow or breaks off: another line, or a courier",
    "protocol": "the conversation breaks off: look at what stands between it and us, its clock and its "
    "software; boxport.handshake in the log of ingest has the words",
}
# What a refused upload asks for, by its code; what is not here needs nobody.
_REFUSALS: Final = {
    "statement.unknown_device": "the roster in force does not know its signing key: is this the device that "
    "was enrolled? Else a new roster (decision 9)",
    "statement.signature": "its signature does not verify: the device is damaged, or somebody else's",
    "statement.malformed": "its bytes are no statement: another version of its software, or damaged memory",
    "identity.device": "it uploads what another device has signed: that takes a courier",
    "limit.device": "it has used up its share: look at what it sends, then raise the limit that "
    "`detail` names, or send a courier",
    "limit.storage": "the ledger's disk has reached its reserve: make room (tallygate status)",
}
# Milliseconds without a count behind the closing time before anybody is called.
_QUIET: Final = 30 * MINUTE


def advise(seen: StationStatus) -> tuple[str, ...]:
    """What to do; empty: nothing, as far as this can be known."""
    return tuple(dict.fromkeys([*_service(seen), *_devices(seen), *_refusals(seen), *_counts(seen)]))


def _service(seen: StationStatus) -> Iterator[str]:
    if not seen.told:
        yield (
            "ingest does not answer: boxes wait, and what it knows of devices, refusals and handshakes is "
            f"not here (tallygate status {seen.night})"
        )
    if not seen.devices and not seen.cancelled:
        yield "no device is assigned to this station: the commission assigns one (decision 3)"


def _devices(seen: StationStatus) -> Iterator[str]:
    for one in seen.devices:
        what = f"{one.kind} {one.device}"
        if one.revoked:
            yield f"{what} is revoked by a decision 2: another one takes its place with decision 3"
        knock = one.knock
        refused = None if knock is None else knock.refused
        if refused is not None:
            yield f"{what} was refused {_times(refused.times)}: {_KNOCKS.get(refused.result, refused.words)}"
        elif knock is not None and knock.good_at is None and one.logged is None and one.kind == "box":
            yield (
                f"nothing has ever come from {what}: is it switched on, has it a line, does it know our "
                "address (site.json)?"
            )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _refusals(seen: StationStatus) -> Iterator[str]:
    for one in seen.refusals:
        if one.code in _REFUSALS:
            yield f"an upload of device {one.device} was refused ({one.code}): {_REFUSALS[one.code]}"


def _counts(seen: StationStatus) -> Iterator[str]:
    published = seen.published
    if published is None or seen.cancelled:
        return
    counts = published.counts
    if any(count.state == "held" for count in counts):
        yield (
            "a count is held: have the station send a corrected result or protocol, or the commission "
            "decides (decision 4 or 5)"
        )
    if any(count.state == "disputed" for count in counts):
        yield "two counts differ: the commission chooses one (decision 5)"
    if any(FOREIGN.intersection(packet.codes) for packet in published.packets):
        yield (
            "packets here do not belong to the station: see their codes; the commission can choose one "
            "(decision 5) or assign the device (decision 3)"
        )
    waiting = [one for one in seen.devices if _waits(one)]
    if waiting and published.paused is not None:
        yield f"what came since is published when the pause of the {published.paused.by} ends"
    if _is_quiet(seen) and not any(one.logged is not None and _waits(one) for one in seen.devices):
        yield (
            "it has closed and no count has come: call the station; a box without a line sends through a "
            "courier (tallygate-box export, carry)"
        )


def _waits(device: Device) -> bool:
    """Whether the log has more of a device than the public; of a desk that may be about another station."""
    return device.kind != "desk" and device.logged is not None and device.logged > (device.published or 0)


def _is_quiet(seen: StationStatus) -> bool:
    closed = seen.election_time is not None and seen.election_time > seen.closes_at + _QUIET
    published = seen.published
    return closed and published is not None and not published.counts


def closing_words(seen: StationStatus) -> str:
    """How long until the station closes, or since when it has."""
    if seen.election_time is None:
        return "the rehearsal's time does not run yet"
    left = seen.closes_at - seen.election_time
    span = f"{abs(left) // MINUTE} min" if abs(left) < 2 * HOUR else f"{abs(left) // HOUR} h"
    return f"in {span}" if left > 0 else f"{span} ago"
