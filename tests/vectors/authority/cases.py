"""The cases of decisions.json; each verdict is written by hand from docs/packet.md."""

from collections.abc import Iterator, Sequence
from typing import Final

from tests.vectors.authority import named_rosters as rosters
from tests.vectors.authority.script import OTHER_DEFINITION, Count, Script, State, opened, opening
from tests.vectors.election import CLOSES_AT, DEFINITION_HASH
from tests.vectors.encoding import Content, encode, sha256

_PAUSE: Final[Content] = (6,)
_RESUME: Final[Content] = (7,)
_STRAY: Final = b"\x77" * 32
_HOUR: Final = 3_600_000

# Two packets of station 10.
_RESULT: Final = sha256(b"tallygate vectors: a result")
_PROTOCOL: Final = sha256(b"tallygate vectors: a protocol")

_STATIONS: Final = (10, 11, 12, 500)
_COUNTS: Final[tuple[Count, ...]] = tuple(
    (station, contest, source)
    for station, contest in ((10, 1), (10, 2), (11, 1), (12, 1), (12, 2), (500, 1))
    for source in (1, 2)
)


def _entry(number: int) -> int:
    """Where a decision is taken, if two members have signed each before it and nothing else is logged."""
    return 2 * number - 1


def _everywhere(*numbers: int) -> dict[int, Sequence[int]]:
    return dict.fromkeys(_STATIONS, numbers)


def _annulled(*counts: Count) -> dict[Count, bytes | None]:
    return dict.fromkeys(counts)


def _taking() -> Iterator[Script]:
    yield opened("the log is opened", "decision 1, signed by two of three members")

    script = opened("one signature", "a quorum is two")
    pause = script.content(_PAUSE)
    script.sign(0, pause)
    script.is_not_taken(pause, "pending")
    yield script

    script = opened("one member twice", "two signatures, two statements, one key")
    pause = script.content(_PAUSE)
    script.sign(0, pause)
    script.sign_again(0, pause)
    script.is_not_taken(pause, "pending")
    yield script

    script = opened("a third signature", "what is taken is taken")
    pause = script.content(_PAUSE)
    script.sign(0, pause)
    script.is_taken(pause, script.sign(2, pause))
    script.sign(1, pause)
    script.state = State(paused=True)
    yield script

    script = opened("two payloads under one number", "the members agree on the second")
    pause, resume = script.content(_PAUSE), script.content(_RESUME)
    script.sign(0, pause)
    script.sign(1, resume)
    script.is_taken(resume, script.sign(2, resume))
    script.sign(1, pause)
    script.is_not_taken(pause, "void")
    yield script

    script = opened("a member signs both payloads", "each counts for itself")
    pause, resume = script.content(_PAUSE), script.content(_RESUME)
    script.sign(0, resume)
    script.sign(0, pause)
    script.is_taken(pause, script.sign(1, pause))
    script.is_not_taken(resume, "void")
    script.state = State(paused=True)
    yield script

    script = Script("one entry takes three", "in the order of their numbers; the last one undoes the second")
    first = script.content(opening())
    second = script.content(_PAUSE, number=2, previous=sha256(encode(first)))
    third = script.content((13, 2), number=3, previous=sha256(encode(second)))
    for content in (third, second):
        script.sign(0, content)
        script.sign(1, content)
    script.sign(2, first)
    script.packet()
    entry = script.sign(1, first)
    script.is_taken(first, entry)
    script.is_taken(second, entry, "undone")
    script.is_taken(third, entry)
    yield script

    script = Script("two of which either could be taken", "the one whose second signature came first")
    first = script.content(opening())
    pause, resume = (
        script.content(action, number=2, previous=sha256(encode(first))) for action in (_PAUSE, _RESUME)
    )
    for member, content in ((0, resume), (0, pause), (1, pause), (2, resume), (1, resume), (0, first)):
        script.sign(member, content)
    entry = script.sign(1, first)
    script.is_taken(first, entry)
    script.is_taken(pause, entry)
    script.is_not_taken(resume, "void")
    script.state = State(paused=True)
    yield script

    script = opened("another previous, signed by all", "its number is not taken, and it never will be")
    stray = script.content(_PAUSE, previous=_STRAY)
    for member in (0, 1, 2):
        script.sign(member, stray)
    script.is_not_taken(stray, "pending")
    yield script

    script = opened("another previous, and then the right one", "it was complete earlier and does not fit")
    stray = script.content(_PAUSE, previous=_STRAY)
    for member in (0, 1, 2):
        script.sign(member, stray)
    resume = script.content(_RESUME)
    script.sign(1, resume)
    script.is_taken(resume, script.sign(0, resume))
    script.is_not_taken(stray, "void")
    yield script

    script = opened("another definition, signed by all", "void: it can never be taken")
    foreign = script.content(_PAUSE, definition=OTHER_DEFINITION)
    for member in (0, 1, 2):
        script.sign(member, foreign)
    script.is_not_taken(foreign, "void")
    yield script

    script = opened("a number too far", "3 waits for 2")
    third = script.content(_PAUSE, number=3, previous=_STRAY)
    script.sign(0, third)
    script.sign(1, third)
    script.is_not_taken(third, "pending")
    yield script

    script = opened("signed again after it was undone", "a taken number stays what it is")
    pause = script.content(_PAUSE)
    script.sign(0, pause)
    script.is_taken(pause, script.sign(1, pause), "undone")
    script.decide((13, 2))
    script.sign(2, pause)
    script.sign_again(0, pause)
    yield script

    script = opened("packets between", "every entry has an index")
    pause = script.content(_PAUSE)
    script.packet()
    script.sign(0, pause)
    script.packet()
    script.packet()
    script.is_taken(pause, script.sign(1, pause))
    script.state = State(paused=True)
    yield script

    script = opened("another log's decisions", "of a second night with this definition: none fits here")
    theirs = script.content(opening(rosters.hash_of(rosters.LARGER)), number=1, previous=b"")
    their_pause = script.content(_PAUSE, previous=sha256(encode(theirs)))
    for content in (theirs, their_pause):
        for member in (0, 1, 2):
            script.sign(member, content)
    status = script.content((8, 1, 1))
    script.sign(1, status)
    script.is_taken(status, script.sign(2, status))
    script.is_not_taken(theirs, "void")
    script.is_not_taken(their_pause, "void")
    script.state = State(status=(1, None))
    yield script

    script = Script("the first decision is another", "void, and nothing opens the log after it")
    script.decide(_PAUSE, "void")
    script.decide(opening(), "void")
    script.state = State(open=False)
    yield script


def _judging() -> Iterator[Script]:
    script = opened("void", "what is not known, or names itself; each carries the chain all the same")
    for action in (
        opening(),
        (2, 8),
        (3, 8, 10, 0),
        (3, 4, 13, 0),
        (3, 4, 10, 8),
        (3, 4, 10, 4),
        (4, 13, 0),
        (4, 13, 1),
        (4, 11, 2),
        (4, 11, 3),
        (4, 0, 3),
        (5, 13, 1, 1, _RESULT),
        (5, 11, 2, 1, _RESULT),
        (5, 10, 1, 1, _RESULT),
        (10, DEFINITION_HASH),
        (11, 13, CLOSES_AT),
        (12, 13),
        (13, 1),
        (13, 2),
        (13, 21),
        (13, 23),
    ):
        script.decide(action, "void")
    yield script

    script = opened(
        "an action 13 that names itself or a later number", "only what is in effect can be undone"
    )
    for number in (2, 4, 5):
        script.decide((13, number), "void")
    script.decide(_PAUSE)
    script.state = State(paused=True)
    yield script


def _undoing() -> Iterator[Script]:
    script = opened("undone", "as if it had never been in effect, from here on")
    script.decide(_PAUSE, "undone")
    script.decide((13, 2))
    yield script

    script = opened("an undo undone", "what it undid is restored")
    script.decide(_PAUSE)
    script.decide((13, 2), "undone")
    script.decide((13, 3))
    script.state = State(paused=True)
    yield script

    script = opened("undone twice in a row", "the second is void: 2 is not in effect when it is judged")
    script.decide(_PAUSE)
    script.decide((13, 2), "undone")
    script.decide((13, 2), "void")
    script.decide((13, 3))
    script.state = State(paused=True)
    yield script

    script = opened("undone by two", "4 restores 2, 5 undoes it again, 6 undoes 4: then both 3 and 5 undo 2")
    script.decide(_PAUSE, "undone")
    script.decide((13, 2))
    script.decide((13, 3), "undone")
    script.decide((13, 2))
    script.decide((13, 4))
    yield script

    script = opened("one of two undone", "as before, then 7 undoes 5: 3 is enough")
    script.decide(_PAUSE, "undone")
    script.decide((13, 2))
    script.decide((13, 3), "undone")
    script.decide((13, 2), "undone")
    script.decide((13, 4))
    script.decide((13, 5))
    yield script

    script = opened("a chain of undos", "each undoes the one before it")
    script.decide(_PAUSE)
    for number in (2, 4):
        script.decide((13, number), "undone")
        script.decide((13, number + 1))
    script.state = State(paused=True)
    yield script


def _ruling() -> Iterator[Script]:
    script = opened("closing times", "of those that name a station or all, the highest number rules")
    script.decide((11, 10, CLOSES_AT + _HOUR))
    script.decide((11, 0, CLOSES_AT + 2 * _HOUR))
    script.decide((11, 12, CLOSES_AT - _HOUR))
    late = CLOSES_AT + 2 * _HOUR
    script.state = State(
        closes_at={10: late, 11: late, 12: CLOSES_AT - _HOUR, 500: late},
        about={**_everywhere(3), 10: (2, 3), 12: (3, 4)},
    )
    yield script

    script = opened("a closing time undone", "the one before it rules again, else the definition")
    script.decide((11, 10, CLOSES_AT + _HOUR))
    script.decide((11, 0, CLOSES_AT + 2 * _HOUR), "undone")
    script.decide((13, 3))
    script.state = State(closes_at={10: CLOSES_AT + _HOUR}, about={10: (2,)})
    yield script

    script = opened("paused and resumed", "the highest number of actions 6 and 7 in effect")
    script.decide(_PAUSE)
    script.decide(_RESUME)
    yield script

    script = opened("resuming undone", "the pause before it rules")
    script.decide(_PAUSE)
    script.decide(_RESUME, "undone")
    script.decide((13, 3))
    script.state = State(paused=True)
    yield script

    script = opened("status", "one a source")
    for action in ((8, 1, 5), (8, 2, 0), (8, 1, 1)):
        script.decide(action)
    script.state = State(status=(1, 0))
    yield script

    script = opened("revoked twice", "the earliest in effect counts")
    script.decide((2, 4))
    script.decide((2, 4))
    script.decide((2, 1), "undone")
    script.decide((13, 4))
    script.state = State(revoked={4: _entry(2)})
    yield script

    script = opened("the first of two revocations undone", "as if it had never been")
    script.decide((2, 4), "undone")
    script.decide((2, 4))
    script.decide((13, 2))
    script.state = State(revoked={4: _entry(3)})
    yield script

    script = opened("cancelled", "and cancelled twice: undoing one is not enough")
    script.decide((12, 11), "undone")
    script.decide((12, 11))
    script.decide((12, 12))
    script.decide((13, 2))
    script.state = State(cancelled=(11, 12), about={11: (3,), 12: (4,)})
    yield script

    script = opened("another definition accepted", "twice, and one is undone")
    script.decide((10, OTHER_DEFINITION), "undone")
    script.decide((10, OTHER_DEFINITION))
    script.decide((13, 2))
    script.state = State(definitions=(OTHER_DEFINITION,))
    yield script

    for name, action, counts in (
        ("a count", (4, 10, 2), ((10, 2, 1), (10, 2, 2))),
        ("a station", (4, 12, 0), tuple(count for count in _COUNTS if count[0] == 12)),
        ("a contest", (4, 0, 2), tuple(count for count in _COUNTS if count[1] == 2)),
        ("everything", (4, 0, 0), _COUNTS),
    ):
        script = opened(f"annulled: {name}", "in both sources")
        script.decide(action)
        station = action[1]
        script.state = State(rulings=_annulled(*counts), about={station: (2,)} if station else _everywhere(2))
        yield script


def _choosing() -> Iterator[Script]:
    count = (10, 1, 1)

    def case(name: str, why: str, named: bytes = DEFINITION_HASH) -> Script:
        script = opened(name, why)
        script.choosable = [(count, _RESULT, named), ((10, 1, 2), _PROTOCOL, DEFINITION_HASH)]
        return script

    choose: Content = (5, 10, 1, 1, _RESULT)

    script = case("chosen", "a packet that may be, in each source")
    script.decide(choose)
    script.decide((5, 10, 1, 2, _PROTOCOL))
    script.state = State(rulings={count: _RESULT, (10, 1, 2): _PROTOCOL}, about={10: (2, 3)})
    yield script

    script = case("not to be chosen", "another source, contest, station or packet than may be")
    for action in (
        (5, 10, 1, 2, _RESULT),
        (5, 10, 2, 1, _RESULT),
        (5, 12, 1, 1, _RESULT),
        (5, 10, 1, 1, _STRAY),
    ):
        script.decide(action, "void")
    yield script

    script = case("of another definition", "not accepted, then accepted", OTHER_DEFINITION)
    script.decide(choose, "void")
    script.decide((10, OTHER_DEFINITION))
    script.decide(choose)
    script.state = State(definitions=(OTHER_DEFINITION,), rulings={count: _RESULT}, about={10: (4,)})
    yield script

    script = case(
        "of a definition that was accepted", "it is judged once; the next one is void", OTHER_DEFINITION
    )
    script.decide((10, OTHER_DEFINITION), "undone")
    script.decide(choose)
    script.decide((13, 2))
    script.decide(choose, "void")
    script.state = State(rulings={count: _RESULT}, about={10: (3,)})
    yield script

    script = case("chosen, then annulled", "the highest number rules, whichever of the two it is")
    script.decide(choose)
    script.decide((4, 10, 0))
    script.state = State(rulings=_annulled(*(one for one in _COUNTS if one[0] == 10)), about={10: (2, 3)})
    yield script

    script = case("annulled, then chosen", "in its source alone")
    script.decide((4, 0, 1))
    script.decide(choose)
    annulled = _annulled(*(one for one in _COUNTS if one[1] == 1))
    script.state = State(rulings={**annulled, count: _RESULT}, about={**_everywhere(2), 10: (2, 3)})
    yield script

    script = case("an annulment undone", "what was chosen before rules")
    script.decide(choose)
    script.decide((4, 0, 0), "undone")
    script.decide((13, 3))
    script.state = State(rulings={count: _RESULT}, about={10: (2,)})
    yield script


def _assigning() -> Iterator[Script]:
    script = opened("assigned", "beside where the roster has it")
    script.decide((3, 1, 12, 0))
    script.decide((3, 4, 12, 0))
    script.state = State(
        stations={1: (10, 12), 4: (12,)}, reassigned={12: {1: True, 4: True}}, about={12: (2, 3)}
    )
    yield script

    script = opened("replaced", "at this station and nowhere else; by one that is assigned already")
    script.decide((3, 1, 500, 6))
    script.decide((3, 2, 10, 3))
    script.decide((3, 1, 10, 2))
    script.state = State(
        stations={1: (10, 500), 2: (11,), 3: (11,), 6: (12,)},
        reassigned={10: {1: True, 2: False, 3: False}, 500: {1: True, 6: False}},
        about={10: (3, 4), 500: (2,)},
    )
    yield script

    script = opened("replaced and back again", "the highest number that names the device for the station")
    script.decide((3, 4, 10, 1))
    script.decide((3, 1, 10, 4))
    script.state = State(reassigned={10: {1: True, 4: False}}, about={10: (2, 3)})
    yield script

    script = opened("an assignment undone", "the roster says again where the replaced device is")
    script.decide((3, 4, 10, 1), "undone")
    script.decide((13, 2))
    yield script

    script = opened("revoked and assigned", "one does not touch the other; a revoked device is still known")
    script.decide((2, 4))
    script.decide((3, 4, 10, 0))
    script.state = State(
        revoked={4: _entry(2)}, stations={4: (10,)}, reassigned={10: {4: True}}, about={10: (3,)}
    )
    yield script


def _rosters() -> Iterator[Script]:
    larger, moved = rosters.hash_of(rosters.LARGER), rosters.hash_of(rosters.MOVED)

    script = opened("a device more", "it is not known before its roster takes effect")
    script.decide((2, 7), "void")
    script.decide((9, larger))
    script.decide((2, 7))
    script.state = State(speakers=larger, assignments=larger, stations={7: (11,)}, revoked={7: _entry(4)})
    yield script

    script = opened("devices moved", "stations, a desk's area, a serial, couriers and firmware may change")
    script.decide((9, moved))
    script.state = State(speakers=moved, assignments=moved, stations={1: (12,)})
    yield script

    script = opened("assignments stay on top", "of a roster that comes later")
    script.decide((3, 4, 10, 1))
    script.decide((9, moved))
    script.state = State(
        speakers=moved,
        assignments=moved,
        stations={1: (12,), 4: (10,)},
        reassigned={10: {1: False, 4: True}},
        about={10: (2,)},
    )
    yield script

    script = opened("a roster undone", "its assignments go, its devices stay known")
    script.decide((9, larger), "undone")
    script.decide((13, 2))
    script.decide((3, 7, 12, 0))
    script.state = State(speakers=larger, stations={7: (12,)}, reassigned={12: {7: True}}, about={12: (4,)})
    yield script

    script = opened("a roster undone and restored", "as it was")
    script.decide((9, larger))
    script.decide((13, 2), "undone")
    script.decide((13, 3))
    script.state = State(speakers=larger, assignments=larger, stations={7: (11,)})
    yield script

    script = opened(
        "no way back", "after a device more, rosters without it are void, even if that was undone"
    )
    script.decide((9, larger), "undone")
    script.decide((13, 2))
    script.decide((9, rosters.FIRST), "void")
    script.decide((9, moved), "void")
    script.decide((9, larger))
    script.state = State(speakers=larger, assignments=larger, stations={7: (11,)})
    yield script

    script = opened("the first roster again", "it holds every device of those before: itself and one moved")
    script.decide((9, moved))
    script.decide((9, rosters.FIRST))
    yield script

    script = opened("rosters that do not follow", "a device is missing, has another key, is another kind")
    for roster in (rosters.FEWER, rosters.REKEYED, rosters.TURNED):
        script.decide((9, rosters.hash_of(roster)), "void")
    yield script

    script = opened("rosters that are none", "whole, and refused by every reader: void, not missing")
    for roster in (rosters.FOREIGN, rosters.MALFORMED, rosters.ASTRAY):
        script.decide((9, rosters.hash_of(roster)), "void")
    yield script

    script = opened("a roster that is not there", "taken and not judged; what follows is preliminary")
    script.decide((9, rosters.NOWHERE), "unjudged")
    script.decide((13, 2), "void")
    script.decide((9, larger))
    script.state = State(
        speakers=larger, assignments=larger, stations={7: (11,)}, missing=((rosters.NOWHERE, _entry(2)),)
    )
    yield script

    broken = rosters.hash_of(rosters.BROKEN)
    script = opened("a roster that is not whole", "a table is not the one that the manifest names: missing")
    script.decide((9, broken), "unjudged")
    script.decide((2, 7), "void")
    script.state = State(missing=((broken, _entry(2)),))
    yield script


def cases() -> Iterator[Script]:
    """All of them."""
    for group in (_taking, _judging, _undoing, _ruling, _choosing, _assigning, _rosters):
        yield from group()
