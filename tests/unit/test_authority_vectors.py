"""The published decisions, judged alike by the Rust core and `clients/wire` (tests/vectors/authority)."""

import hashlib
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

from clients.wire import statement
from clients.wire.authority import Authority, Choice
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.roster import Roster
from gateway import _core
from gateway.base.errors import CoreError
from tests.vectors.authority.forms import Decisions, DecisionsCase
from tests.vectors.forms import FOLDER, load

ELECTION = FOLDER / "election"
ROSTERS = FOLDER / "authority" / "rosters"
VECTORS = load("authority/decisions.json", Decisions)
STATEMENTS = [bytes.fromhex(data) for data in VECTORS.statements]

# What is wrong with the files, and not with the roster that the manifest names.
NOT_WHOLE = {"manifest.missing", "table.missing", "table.changed"}

Answers: TypeAlias = dict[str, object]


@cache
def core_election() -> tuple[_core.Definition, _core.Roster]:
    definition = _core.Definition.load(ELECTION / "definition")
    return definition, _core.Roster.load(ELECTION / "roster", definition)


@cache
def wire_election() -> tuple[Definition, Roster]:
    definition = Definition.load(ELECTION / "definition")
    return definition, Roster.load(ELECTION / "roster", definition)


def roster_folders() -> list[Path]:
    return sorted(path for path in ROSTERS.iterdir())


def core_authority() -> _core.Authority:
    definition, roster = core_election()
    authority = _core.Authority(definition, roster)
    for folder in roster_folders():
        try:
            authority.offer(_core.Roster.load(folder, definition))
        except CoreError as error:
            if error.code not in NOT_WHOLE:
                authority.offer_unusable(bytes.fromhex(folder.name))
    return authority


def wire_authority() -> Authority:
    definition, roster = wire_election()
    authority = Authority(definition, roster)
    for folder in roster_folders():
        try:
            authority.offer(Roster.load(folder, definition))
        except WireError as error:
            if error.code not in NOT_WHOLE:
                authority.offer_unusable(bytes.fromhex(folder.name))
    return authority


class Packets:
    """The packets of a case that may be chosen."""

    def __init__(self, case: DecisionsCase) -> None:
        self.named = [
            (station, contest, source, bytes.fromhex(packet), bytes.fromhex(definition))
            for station, contest, source, packet, definition in case.choosable
        ]

    def choosable(self, choice: Choice) -> bytes | str:
        return next((named[4] for named in self.named if named[:4] == choice), "not chosen here")


def log_of(case: DecisionsCase) -> list[bytes]:
    return [STATEMENTS[place] for place in case.log]


def counts() -> list[tuple[int, int, int]]:
    definition = core_election()[0]
    return [
        (station.number, contest, source)
        for station in definition.stations()
        for contest in station.contests
        for source in (1, 2)
    ]


def expected(case: DecisionsCase) -> Answers:
    """What a case promises, in the form of what is asked below."""
    return {
        "taken": case.taken,
        "others": case.others,
        "open": bool(case.open),
        "speakers": case.speakers,
        "assignments": case.assignments,
        "missing": [roster for roster, _ in case.missing],
        "paused": bool(case.paused),
        "status": case.status,
        "definitions": case.definitions,
        "closes_at": case.closes_at,
        "stations": case.stations,
        "reassigned": [(at, [(one, bool(on)) for one, on in found]) for at, found in case.reassigned],
        "revoked": case.revoked,
        "cancelled": case.cancelled,
        "rulings": case.rulings,
        "about": case.about,
    }


def others_of(case: DecisionsCase) -> list[bytes]:
    """A statement of each payload that is not taken, in the order in which the case lists them."""
    found = {}
    for data in log_of(case):
        found[hashlib.sha256(statement.decode(data).payload).hexdigest()] = data
    return [found[payload] for payload, _ in case.others]


def core_answers(case: DecisionsCase) -> Answers:
    authority = core_authority()
    for index, data in enumerate(log_of(case)):
        authority.apply(index, _core.decode(data), Packets(case).named)
    definition = core_election()[0]
    stations = [station.number for station in definition.stations()]
    devices = [device for device, _ in case.stations]
    taken: list[tuple[str, int, str]] = []
    while (one := authority.taken(len(taken) + 1)) is not None:
        taken.append((one[0].hex(), one[1], one[2]))
    rulings = [
        (*count, None if ruling == "annulled" else ruling.hex())
        for count in counts()
        if (ruling := authority.ruling(*count)) is not None
    ]
    definitions = [name for name in VECTORS.definitions.values() if name != definition.hash.hex()]
    return {
        "taken": taken,
        "others": [
            (payload, authority.standing(_core.decode(data)))
            for (payload, _), data in zip(case.others, others_of(case), strict=True)
        ],
        "open": authority.open,
        "speakers": authority.roster.hash.hex(),
        "assignments": authority.assignments.hash.hex(),
        "missing": [roster.hex() for roster in authority.missing_rosters],
        "paused": authority.paused,
        "status": (authority.status(1), authority.status(2)),
        "definitions": [name for name in definitions if authority.accepts(bytes.fromhex(name))],
        "closes_at": [(station, authority.closes_at(station)) for station in stations],
        "stations": [(device, authority.stations(device)) for device in devices],
        "reassigned": [(at, found) for at in stations if (found := authority.reassigned(at))],
        "revoked": [(one, at) for one in devices if (at := authority.revoked_at(one)) is not None],
        "cancelled": [station for station in stations if authority.is_cancelled(station)],
        "rulings": rulings,
        "about": [(at, numbers) for at in stations if (numbers := authority.about_station(at))],
    }


def wire_answers(case: DecisionsCase) -> Answers:
    authority = wire_authority()
    for index, data in enumerate(log_of(case)):
        authority.apply(index, statement.decode(data), Packets(case))
    definition = wire_election()[0]
    devices = [device for device, _ in case.stations]
    taken = [authority.taken(number + 1) for number in range(authority.taken_count)]
    rulings = [
        (*count, None if ruling.id is None else ruling.id.hex())
        for count in counts()
        if (ruling := authority.ruling(*count)) is not None
    ]
    definitions = [name for name in VECTORS.definitions.values() if name != definition.sha256.hex()]
    assert [(one.sha256.hex(), one.entry) for one in authority.missing_rosters] == case.missing
    return {
        "taken": [(one.payload.hex(), one.entry, authority.standing_of(one)) for one in taken if one],
        "others": [
            (payload, authority.standing(statement.decode(data)))
            for (payload, _), data in zip(case.others, others_of(case), strict=True)
        ],
        "open": authority.is_open,
        "speakers": authority.speakers.sha256.hex(),
        "assignments": authority.assignments.sha256.hex(),
        "missing": [one.sha256.hex() for one in authority.missing_rosters],
        "paused": authority.is_paused,
        "status": (authority.status(1), authority.status(2)),
        "definitions": [name for name in definitions if authority.accepts(bytes.fromhex(name))],
        "closes_at": [(station, authority.closes_at(station)) for station in definition.stations],
        "stations": [(device, list(authority.stations(device))) for device in devices],
        "reassigned": [
            (at, sorted(found.items())) for at in definition.stations if (found := authority.reassigned(at))
        ],
        "revoked": [(one, at) for one in devices if (at := authority.revoked_at(one)) is not None],
        "cancelled": [station for station in definition.stations if authority.is_cancelled(station)],
        "rulings": rulings,
        "about": [
            (at, list(numbers)) for at in definition.stations if (numbers := authority.about_station(at))
        ],
    }


@pytest.mark.parametrize("case", VECTORS.cases, ids=[case.name for case in VECTORS.cases])
def test_decisions(case: DecisionsCase) -> None:
    assert core_answers(case) == expected(case)
    assert wire_answers(case) == expected(case)


def test_every_payload_of_a_log_has_its_standing() -> None:
    for case in VECTORS.cases:
        decoded = [statement.decode(data) for data in log_of(case)]
        logged = {hashlib.sha256(one.payload).hexdigest() for one in decoded if one.kind == "decision"}
        named = [payload for payload, *_ in case.taken] + [payload for payload, _ in case.others]
        assert logged == set(named)
        assert len(named) == len(logged)


def test_every_entry_passes_the_checks_at_the_door() -> None:
    answers = _core.check_statements(STATEMENTS, *core_election())
    assert all(isinstance(answer, _core.Statement) for answer in answers)


def test_every_action_and_standing_occurs() -> None:
    decoded = [statement.decode(data) for data in STATEMENTS]
    assert {one.action[0] for one in decoded if one.kind == "decision"} == set(range(1, 14))
    standings = {one[-1] for case in VECTORS.cases for one in (*case.taken, *case.others)}
    assert standings == {"in effect", "undone", "void", "unjudged", "pending"}


def test_no_name_stands_twice_and_no_log_twice_the_same_entry() -> None:
    names = [case.name for case in VECTORS.cases]
    assert len(set(names)) == len(names)
    for case in VECTORS.cases:
        assert len(set(case.log)) == len(case.log)


def test_rosters_stand_under_their_hashes() -> None:
    named = set(VECTORS.rosters.values())
    for folder in roster_folders():
        assert hashlib.sha256((folder / "roster.json").read_bytes()).hexdigest() == folder.name
        assert folder.name in named
