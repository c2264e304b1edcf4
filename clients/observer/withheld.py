"""A snapshot under embargo beside a log of which only the hashes are public (feed.md, "Embargo").

What lives here: `expected`, the bytes that it must have: what follows from the definition and from the chain
is given, what only its entries could tell is taken from itself, if it is of the right form and adds up.
Whoever may read the entries has `Replay` recompute all of it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final, cast

from clients.observer.tally.counts import STATES
from clients.observer.verdict import DifferenceError
from clients.wire import feed, jcs
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.jcs import JsonValue
from clients.wire.text import MAX_NUMBER, hex_32

_PROGRESS: Final = frozenset({*STATES, "cancelled", "opened", "stations"})


def expected(
    data: bytes, constant: Mapping[str, JsonValue], definition: Definition, root: int, path: str
) -> bytes:
    """What a snapshot under embargo must be.

    Args:
        data: its bytes, which `Snapshot.parse` has read.
        constant: the members that no entry changes.
        definition: the election's.
        root: number of its area of the whole.
        path: of the snapshot, for the difference.

    Raises:
        DifferenceError: `feed.malformed` or `feed.figures`, with the member.
    """
    said = cast(Mapping[str, object], json.loads(data))
    areas = sorted(number for number, area in definition.areas.items() if area.parent == root)
    children = _children(said["children"], areas, path)
    progress = _progress(said["progress"], path, "progress")
    if progress["stations"] + progress["cancelled"] != len(definition.stations):
        raise _wrong(path, "progress", f"the definition has {len(definition.stations)} stations")
    for word, whole in progress.items():
        if areas and sum(child[word] for child, _ in children) != whole:
            raise _wrong(path, f"progress.{word}", "is not the sum of the children's")
    members: dict[str, JsonValue] = {
        **constant,
        "roster": _hash(said["roster"], path, "roster"),
        "status": _status(said["status"], path),
        "decisions": _decisions(said["decisions"], path),
        "progress": progress,
        "root": None,
        "tally": None,
        "results": (),
        "children": [
            {"area": area, "progress": own, "sha256": None, "turnout": turnout}
            for area, (own, turnout) in zip(areas, children, strict=True)
        ],
    }
    try:
        return jcs.write(members)
    except WireError as error:
        raise DifferenceError("feed.malformed", error.detail, path) from error


def _children(
    value: object, areas: Sequence[int], path: str
) -> list[tuple[dict[str, int], dict[str, JsonValue]]]:
    found: list[tuple[dict[str, int], dict[str, JsonValue]]] = []
    for place, child in enumerate(value if isinstance(value, list) else []):
        member = f"children[{place}]"
        match child:
            case {"area": _, "progress": progress, "sha256": None, "turnout": turnout}:
                own = _progress(progress, path, f"{member}.progress")
                found.append((own, _turnout(turnout, path, f"{member}.turnout")))
            case _:
                raise _malformed(path, member)
    if len(found) != len(areas):
        raise _wrong(path, "children", f"the root has {len(areas)} areas")
    return found


def _progress(value: object, path: str, member: str) -> dict[str, int]:
    if not isinstance(value, dict) or value.keys() != _PROGRESS:
        raise _malformed(path, member)
    found = {word: _number(number, path, f"{member}.{word}") for word, number in value.items()}
    if sum(found[state] for state in STATES) != found["stations"]:
        raise _wrong(path, member, "the six states do not add up to the stations")
    return found


def _turnout(value: object, path: str, member: str) -> dict[str, JsonValue]:
    match value:
        case {
            "hours": [*hours],
            "identified": identified,
            "registered": [total, known],
            "stations": stations,
            **rest,
        } if not rest:
            return {
                "hours": [_hour(hour, path, f"{member}.hours") for hour in hours],
                "identified": _number(identified, path, member),
                "registered": (_number(total, path, member), _number(known, path, member)),
                "stations": _number(stations, path, member),
            }
    raise _malformed(path, member)


def _hour(value: object, path: str, member: str) -> JsonValue:
    match value:
        case [at, identified, stations]:
            return [_number(number, path, member) for number in (at, identified, stations)]
    raise _malformed(path, member)


def _status(value: object, path: str) -> JsonValue:
    match value:
        case {"machine": str(machine), "protocol": str(protocol)}:
            if {machine, protocol} <= set(feed.STATUS_WORDS):
                return {"machine": machine, "protocol": protocol}
    raise _malformed(path, "status")


def _decisions(value: object, path: str) -> JsonValue:
    match value:
        case {"count": count, "sha256": sha256}:
            member = "decisions.sha256"
            return {"count": _number(count, path, "decisions.count"), "sha256": _hash(sha256, path, member)}
    raise _malformed(path, "decisions")


def _hash(value: object, path: str, member: str) -> str:
    if not isinstance(value, str) or hex_32(value) is None:
        raise _malformed(path, member)
    return value


def _number(value: object, path: str, member: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise _malformed(path, member)
    return value


def _malformed(path: str, member: str) -> DifferenceError:
    return DifferenceError("feed.malformed", "has another form than feed.md gives it", path, member)


def _wrong(path: str, member: str, detail: str) -> DifferenceError:
    return DifferenceError("feed.figures", detail, path, member)
