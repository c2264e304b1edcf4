"""The last checks at the door, each by a table (docs/box-port.md, "Checks at the door")."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import _core
from gateway.base.clock import HOUR, MAX_TIME
from gateway.base.config import Limits
from gateway.ledger.protocol import Attachment, Named, Refused
from gateway.sequencer.door import Door
from gateway.sequencer.protocol import Role
from tests.unit.sequencer_helpers import (
    BOX,
    CAPITAL_DESK,
    CLOSES_8,
    CLOSES_11,
    DESK,
    NIGHT,
    OPENS,
    SECOND_BOX,
    TERMINAL,
    Certificate,
    ElectionClock,
    Scene,
    WatchingLedger,
    play,
    staged,
)

FIRST_REPORT = OPENS - 12 * HOUR
OPENING, TURNOUT, RESULT, PROTOCOL, DOCUMENTS = range(1, 6)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("night"))


@pytest.fixture(scope="module")
def door(scene: Scene) -> Door:
    return Door(scene.definition, scene.roster, Limits())


def planned(scene: Scene) -> Callable[[int], int | None]:
    def closes_at(number: int) -> int | None:
        station = scene.definition.station(number)
        return None if station is None else station.closes_at

    return closes_at


def refusal(
    scene: Scene, door: Door, bytes_: bytes, role: Role, number: int, now: int = NIGHT
) -> Refused | None:
    return door.refusal(_core.decode(bytes_), Certificate(role, number), now, planned(scene))


def code(refused: Refused | None) -> str | None:
    return None if refused is None else refused.code


@pytest.mark.parametrize(
    ("role", "number", "packet", "decision"),
    [
        ("box", BOX, None, "identity.role"),
        ("terminal", BOX, None, "identity.role"),
        ("desk", BOX, None, "identity.role"),
        ("courier", 1, None, "identity.role"),
        ("commission", 3, "identity.role", None),
    ],
)
def test_who_brings_what(
    scene: Scene, door: Door, role: Role, number: int, packet: str | None, decision: str | None
) -> None:
    brought = refusal(scene, door, scene.packet(BOX), role, number)
    decided = refusal(scene, door, scene.night.decision(2, 1).encoded, role, number)
    assert (code(brought), code(decided)) == (packet, decision)
    assert {one.retry for one in (brought, decided) if one is not None} == {"fix"}


@pytest.mark.parametrize("device", [BOX, TERMINAL, SECOND_BOX, DESK])
@pytest.mark.parametrize("number", [BOX, TERMINAL, SECOND_BOX, DESK, 77])
@pytest.mark.parametrize("role", ["box", "terminal", "desk"])
def test_a_device_brings_its_own(scene: Scene, door: Door, role: Role, number: int, device: int) -> None:
    expected = None if number == device else "identity.device"
    assert code(refusal(scene, door, scene.packet(device), role, number)) == expected


@pytest.mark.parametrize(
    ("courier", "station", "expected"),
    [
        (1, 8, None),
        (1, 11, "identity.area"),
        (2, 8, None),
        (2, 11, None),
        # A station that nobody knows is in no area; the device itself may say what it likes.
        (2, 99, "identity.area"),
        # Not in this roster.
        (3, 8, "identity.area"),
    ],
)
def test_a_courier_brings_what_names_a_station_of_its_area(
    scene: Scene, door: Door, courier: int, station: int, expected: str | None
) -> None:
    for device in (BOX, DESK):
        brought = refusal(scene, door, scene.packet(device, station=station), "courier", courier)
        assert code(brought) == expected
        assert brought is None or brought.retry == "fix"
    assert refusal(scene, door, scene.packet(BOX, station=99, report=RESULT), "box", BOX) is None


@pytest.mark.parametrize("report", [OPENING, TURNOUT, RESULT, PROTOCOL, DOCUMENTS])
@pytest.mark.parametrize(("station", "closes"), [(8, CLOSES_8), (11, CLOSES_11), (99, None)])
def test_too_early(scene: Scene, door: Door, report: int, station: int, closes: int | None) -> None:
    packet = scene.packet(BOX, station=station, report=report)
    at = closes if closes is not None and report in {RESULT, PROTOCOL} else FIRST_REPORT
    for now in (0, FIRST_REPORT - 1, FIRST_REPORT, OPENS, CLOSES_8 - 1, CLOSES_8, CLOSES_11 - 1, CLOSES_11):
        refused = refusal(scene, door, packet, "box", BOX, now)
        if now >= at:
            assert refused is None
        else:
            assert refused is not None
            assert (refused.code, refused.retry, refused.at) == ("statement.too_early", "later", at)


def test_a_rehearsal_may_report_at_any_time(tmp_path: Path) -> None:
    scene = Scene(tmp_path, mode="rehearsal", opening=False)
    door = Door(scene.definition, scene.roster, Limits())
    assert refusal(scene, door, scene.packet(BOX), "box", BOX, 0) is None
    early = refusal(scene, door, scene.packet(BOX, report=RESULT), "box", BOX, CLOSES_8 - 1)
    assert early is not None
    assert early.at == CLOSES_8


def test_a_closing_time_beyond_the_calendar(scene: Scene, door: Door) -> None:
    packet = _core.decode(scene.packet(BOX, report=RESULT))
    for at in (MAX_TIME, MAX_TIME + 1, 2**53 - 1):
        refused = door.refusal(packet, Certificate("box", BOX), NIGHT, {8: at}.get)
        assert refused is not None
        assert refused.at == at


def test_a_closing_time_before_the_first_report(scene: Scene, door: Door) -> None:
    packet = _core.decode(scene.packet(BOX, report=RESULT))
    refused = door.refusal(packet, Certificate("box", BOX), FIRST_REPORT - 1, {8: 5}.get)
    assert refused is not None
    assert refused.at == FIRST_REPORT
    assert door.refusal(packet, Certificate("box", BOX), FIRST_REPORT, {8: 5}.get) is None


def test_who_comes_before_when(scene: Scene, door: Door) -> None:
    early = scene.packet(BOX, report=RESULT)
    assert code(refusal(scene, door, early, "commission", 1, 0)) == "identity.role"
    assert code(refusal(scene, door, early, "box", SECOND_BOX, 0)) == "identity.device"
    assert code(refusal(scene, door, early, "courier", 3, 0)) == "identity.area"
    # A decision has no time of its own.
    assert refusal(scene, door, scene.night.decision(2, 1).encoded, "commission", 2, 0) is None


def nothing(member: bytes) -> int:
    return 0


def test_quotas(scene: Scene) -> None:
    door = Door(scene.definition, scene.roster, Limits(entries_per_device=100, entries_per_desk_station=7))
    for device in (BOX, TERMINAL, SECOND_BOX):
        assert door.quota(_core.decode(scene.packet(device)), nothing) == 100
    # Area 3 holds station 8 alone.
    assert door.quota(_core.decode(scene.packet(DESK)), nothing) == 107
    assert door.quota(_core.decode(scene.packet(CAPITAL_DESK)), nothing) == 114
    decision = scene.night.decision(2, 1)
    limit = Limits().decision_bytes_per_member - len(decision.encoded)
    assert door.quota(decision, {decision.kid: limit}.__getitem__) is None
    assert door.quota(decision, {decision.kid: limit + 1}.__getitem__) == 0
    standard = Door(scene.definition, scene.roster, Limits())
    assert standard.quota(_core.decode(scene.packet(DESK)), nothing) == 256 + 16


def test_areas(scene: Scene, door: Door) -> None:
    holders: list[tuple[Role, int]] = [
        ("courier", 1),
        ("courier", 2),
        ("courier", 3),
        ("desk", DESK),
        ("desk", 77),
        ("box", BOX),
    ]
    found = [door.area(Certificate(role, number)) for role, number in holders]
    assert found == [2, 1, None, 3, None, None]


def test_an_area_holds_what_is_below_it(scene: Scene) -> None:
    definition = scene.definition
    assert {area: definition.stations_in(area) for area in (1, 2, 3, 10, 4)} == {
        1: 2,
        2: 1,
        3: 1,
        10: 1,
        4: None,
    }
    held = {
        (area, station)
        for area in (1, 2, 3, 4, 10)
        for station in (8, 11, 99)
        if definition.holds(area, station)
    }
    assert held == {(1, 8), (1, 11), (2, 8), (3, 8), (10, 11)}


@pytest.mark.parametrize("role", ["box", "terminal", "desk"])
def test_a_device_brings_the_papers_that_it_has_named(door: Door, role: Role) -> None:
    named = Named(BOX, 8, 1, 1_000)
    assert door.brings(Certificate(role, BOX), named)
    assert not door.brings(Certificate(role, SECOND_BOX), named)


@pytest.mark.parametrize(
    ("courier", "station", "brings"),
    [(1, 8, True), (1, 11, False), (1, 999, False), (2, 8, True), (2, 11, True), (3, 8, False)],
)
def test_a_courier_brings_papers_of_its_area(door: Door, courier: int, station: int, brings: bool) -> None:
    # The station that the packet names decides, as it does for the packet: the device may have another.
    assert door.brings(Certificate("courier", courier), Named(BOX, station, 1, 1_000)) == brings


def test_the_commission_brings_no_papers(door: Door) -> None:
    assert not door.brings(Certificate("commission", BOX), Named(BOX, 8, 1, 1_000))


def test_quotas_of_papers(scene: Scene) -> None:
    limits = Limits(attachment_bytes_per_device=100, attachment_bytes_per_desk_station=7)
    door = Door(scene.definition, scene.roster, limits)
    everywhere = scene.definition.stations_in(1)
    assert everywhere is not None
    assert door.paper_quota(BOX) == door.paper_quota(TERMINAL) == door.paper_quota(999) == 100
    assert door.paper_quota(CAPITAL_DESK) == 100 + 7 * everywhere


def test_what_the_log_says_of_a_paper(scene: Scene) -> None:
    """Through the sequencer: each certificate sees what it may bring, and what is stored is so for all."""
    sha256 = bytes(range(32))

    async def test() -> None:
        ledger = WatchingLedger()
        ledger.named_[sha256] = [Named(BOX, 8, 1, 1_000), Named(SECOND_BOX, 11, 1, 1_000)]
        async with staged(scene, ledger, clock=ElectionClock(NIGHT)) as stage:
            ask = stage.sequencer.paper
            limit = Limits().attachment_bytes_per_device
            found = await ask(sha256, Certificate("box", BOX))
            assert (found.named, found.stored) == ((Named(BOX, 8, 1, 1_000),), False)
            assert found.quotas == {BOX: limit}
            assert len((await ask(sha256, Certificate("courier", 2))).named) == 2
            assert (await ask(sha256, Certificate("courier", 1))).named == found.named
            assert (await ask(bytes(32), Certificate("box", BOX))).named == ()
            await stage.sequencer.store_paper(sha256, 1_000, 1)
            assert ledger.papers == {sha256: Attachment(sha256, 1_000, 1, NIGHT)}
            assert (await ask(sha256, Certificate("box", SECOND_BOX))).stored

    play(test)
