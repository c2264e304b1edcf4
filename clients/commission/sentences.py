"""What a decision orders, as a sentence; and the names of what it orders something about.

A sentence is made from the payload and the definition alone: whoever signs reads what the bytes say, and not
what somebody has written beside them.
"""

from typing import Final

from clients.box import show, times, words
from clients.wire.authority import ALL, NONE, Action
from clients.wire.cbor import Content
from clients.wire.definition import Definition

# Of a hash in a sentence: as much as people compare by eye. The whole of it stands in the file and in JSON.
_HASH_DIGITS: Final = 16


def short(sha256: bytes) -> str:
    """A hash for a sentence."""
    return f"{sha256.hex()[:_HASH_DIGITS]}…"


def station(definition: Definition, number: int) -> str:
    """A station with its number and name: ``station 1234 (УИК 1234, school)``."""
    name = station_name(definition, number)
    return f"station {number} ({name})" if name else f"station {number}"


def station_name(definition: Definition, number: int) -> str:
    """A station's label and name, or nothing."""
    found = definition.stations.get(number)
    return "" if found is None else _named(found.label, found.name)


def contest(definition: Definition, number: int) -> str:
    """A contest with its number and name."""
    found = definition.contests.get(number)
    return f"contest {number}" if found is None else f"contest {number} ({found.name})"


def choice(definition: Definition, of: int, number: int) -> str:
    """A choice with its number and name."""
    found = next((own for own in definition.choices.get(of, ()) if own.choice == number), None)
    if found is None:
        return f"choice {number}"
    label = "" if found.label == str(number) else found.label
    return f"choice {number} {_named(label, found.name)}"


def _named(label: str, name: str) -> str:
    return show.labelled(label, name).strip()


def sentence(action: Content, definition: Definition) -> str:
    """What an action orders, without a full stop.

    Args:
        action: as in the payload.
        definition: gives names.
    """
    match action:
        case (Action.OPEN, str(origin), _, _, bytes(roster), str(software)):
            return f"open the log {origin} with the roster {short(roster)} and the software {software!r}"
        case (Action.REVOKE, int(device)):
            return f"revoke device {device}: what is logged of it from here on does not belong"
        case (Action.ASSIGN, int(device), int(at), int(replaces)):
            instead = "" if replaces == NONE else f", in place of device {replaces}"
            return f"assign device {device} to {station(definition, at)}{instead}"
        case (Action.ANNUL, int(at), int(of)):
            return f"annul {_contests(definition, of)} {_where(definition, at)}"
        case (Action.CHOOSE, int(at), int(of), int(source), bytes(packet)):
            kind = "the boxes' result" if source == 1 else "the protocol"
            there = f"{contest(definition, of)} at {station(definition, at)}"
            return f"count {kind} {short(packet)} alone for {there}"
        case (Action.PAUSE,):
            return "pause publication"
        case (Action.RESUME,):
            return "resume publication"
        case (Action.STATUS, int(source), int(status)):
            return (
                f"call the {words.word(words.SOURCES, source)}'s figures {words.word(words.STATUSES, status)}"
            )
        case (Action.ROSTER, bytes(roster)):
            return f"put the roster {short(roster)} in force"
        case (Action.DEFINITION, bytes(other)):
            return f"read packets that name the definition {short(other)} as if they named ours"
        case (Action.CLOSING, int(at), int(closes_at)):
            everywhere = "all stations close" if at == ALL else f"{station(definition, at)} closes"
            return f"{everywhere} at {times.write(closes_at)}"
        case (Action.CANCEL, int(at)):
            return f"no voting at {station(definition, at)}: it leaves the expected total"
        case (Action.UNDO, int(number)):
            return f"undo decision {number}, as if it had never been in effect"
    raise AssertionError(f"no action {action}")


def _contests(definition: Definition, number: int) -> str:
    return "all contests" if number == ALL else contest(definition, number)


def _where(definition: Definition, number: int) -> str:
    return "at all stations" if number == ALL else f"at {station(definition, number)}"
