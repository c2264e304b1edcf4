"""The seam that `tallygate init --rehearsal` uses, and the rules of keys."""

import dataclasses
from pathlib import Path

import pytest

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.election import Code, Device, due_devices, read_folder, with_keys, write_manifests
from gateway.election.keys import judge_keys, kid_of
from tests.unit.election_folder import FILES, TOML, key, read, write

NO_KEYS = TOML[: TOML.index("commission_keys")]


def test_a_rehearsal_makes_a_box_and_a_terminal_a_station_and_a_desk(tmp_path: Path) -> None:
    changes = {
        "election.toml": NO_KEYS,
        "devices.csv": None,
        "stations.csv": "station,area,box,name_en\n12,3,no,Two\n11,2,,One\n",
    }
    election, faults = read_folder(write(tmp_path, changes), rehearsal=True)
    assert election is not None
    assert faults.kept() == []
    assert (election.settings.mode, election.settings.id) == ("rehearsal", "test-1-rehearsal")
    assert election.settings.commission_keys == ()
    assert due_devices(election) == [
        Device(1, "box", (11,), 0, b"", ""),
        Device(2, "terminal", (11,), 0, b"", ""),
        Device(3, "terminal", (12,), 0, b"", ""),
        Device(4, "desk", (), 1, b"", ""),
    ]


@pytest.mark.parametrize("column", [True, False], ids=["empty keys", "no key column"])
def test_devices_keep_their_numbers_and_wait_for_keys(tmp_path: Path, column: bool) -> None:
    table = (
        "device,kind,station,key\n7,box,11,\n3,box,12,\n"
        if column
        else "device,kind,station\n7,box,11\n3,box,12\n"
    )
    election, _ = read_folder(write(tmp_path, {"devices.csv": table}), rehearsal=True)
    assert election is not None
    assert [(device.device, device.key) for device in due_devices(election)] == [(3, b""), (7, b"")]
    assert election.settings.commission_keys == ()


def test_a_header_without_devices_is_as_good_as_no_table(tmp_path: Path) -> None:
    election, _ = read_folder(write(tmp_path, {"devices.csv": "device,kind,station,key\n"}), rehearsal=True)
    assert election is not None
    assert len(due_devices(election)) == 5


def test_the_id_of_a_rehearsal_fits_its_bound_and_is_not_suffixed_twice(tmp_path: Path) -> None:
    long, _ = read_folder(
        write(tmp_path / "1", {"election.toml": TOML.replace("test-1", "x" * 40)}), rehearsal=True
    )
    assert long is not None
    assert long.settings.id == "x" * 30 + "-rehearsal"
    again, _ = read_folder(
        write(tmp_path / "2", {"election.toml": TOML.replace("test-1", "a-rehearsal")}), rehearsal=True
    )
    assert again is not None
    assert again.settings.id == "a-rehearsal"


def test_with_keys_and_the_manifests_are_a_whole_rehearsal(tmp_path: Path) -> None:
    election, _ = read_folder(write(tmp_path / "in", {"devices.csv": None}), rehearsal=True)
    assert election is not None
    devices = [device._replace(key=key(device.device)) for device in due_devices(election)]
    ready = with_keys(
        election, devices=reversed_(devices), commission_keys=[key(50), key(51), key(52)], quorum=2
    )
    assert election.devices == []  # the given one is as it was
    found = write_manifests(ready, tmp_path / "out")
    definition = _core.Definition.load(found.folder / "definition")
    assert (definition.mode, definition.id) == ("rehearsal", "test-1-rehearsal")
    assert (definition.commission_keys, definition.commission_quorum) == ([key(50), key(51), key(52)], 2)
    roster = _core.Roster.load(found.folder / "roster", definition)
    assert [(device.number, device.key) for device in roster.devices()] == [(n, key(n)) for n in range(1, 6)]


def reversed_(devices: list[Device]) -> list[Device]:
    return devices[::-1]


@pytest.mark.parametrize(
    ("written", "members", "expected"),
    [("", 3, 2), ("", 4, 3), ("commission_quorum = 3\n", 5, 3), ("commission_quorum = 3\n", 2, 2)],
)
def test_the_quorum_is_what_the_table_says_if_it_can_be(
    tmp_path: Path, written: str, members: int, expected: int
) -> None:
    election, _ = read_folder(write(tmp_path, {"election.toml": NO_KEYS + written}), rehearsal=True)
    assert election is not None
    keys = [key(n) for n in range(100, 100 + members)]
    assert with_keys(election, devices=[], commission_keys=keys).settings.commission_quorum == expected


@pytest.mark.parametrize(
    ("keys", "commission", "quorum", "code"),
    [
        ([key(1), b""], [key(50)], None, "definition.missing_value"),
        ([key(1), key(2)[:31]], [key(50)], None, "definition.missing_value"),
        ([key(1), key(1)], [key(50)], None, "definition.duplicate_key"),
        ([key(1), key(50)], [key(50)], None, "definition.commission_key"),
        ([key(1), bytes(32)], [key(50)], None, "definition.key_not_a_point"),
        ([key(1), key(2)], [key(50), key(50)], None, "definition.duplicate_key"),
        ([key(1), key(2)], [bytes(32)], None, "definition.key_not_a_point"),
        ([key(1), key(2)], [], None, "definition.number_range"),
        ([key(1), key(2)], [key(50)] * 65, None, "definition.number_range"),
        ([key(1), key(2)], [key(50)], 2, "definition.bad_quorum"),
        ([key(1), key(2)], [key(50)], 0, "definition.bad_quorum"),
    ],
)
def test_with_keys_refuses_what_no_roster_may_hold(
    tmp_path: Path, keys: list[bytes], commission: list[bytes], quorum: int | None, code: str
) -> None:
    election, _ = read_folder(write(tmp_path), rehearsal=True)
    assert election is not None
    devices = [device._replace(key=made) for device, made in zip(due_devices(election), keys, strict=True)]
    with pytest.raises(TallygateError) as caught:
        with_keys(election, devices=devices, commission_keys=commission, quorum=quorum)
    assert caught.value.code == code


def test_nothing_is_written_without_keys(tmp_path: Path) -> None:
    table = "device,kind,station,key\n1,box,11 12,\n"
    election, _ = read_folder(write(tmp_path / "in", {"devices.csv": table}), rehearsal=True)
    assert election is not None
    members_only = with_keys(election, devices=[], commission_keys=[key(1)])
    for unready in (election, dataclasses.replace(members_only, devices=election.devices)):
        with pytest.raises(TallygateError, match="keys are missing"):
            write_manifests(unready, tmp_path / "out")


def test_a_live_election_needs_its_keys(tmp_path: Path) -> None:
    _, faults = read_folder(write(tmp_path, {"election.toml": NO_KEYS}))
    assert [fault.code for fault in faults.kept()] == [Code.MISSING_KEY]
    election = read(tmp_path / "2", FILES)
    assert election.settings.commission_keys == (key(901), key(902))


# Keys


def test_two_keys_with_one_kid_are_found() -> None:
    # A collision of 64 bits cannot be made, so these kids have four.
    def kid(of: bytes) -> bytes:
        return bytes([kid_of(of)[0] >> 4])

    keys = [key(n) for n in range(1, 30)]
    first = {kid(one): one for one in reversed(keys)}
    collisions = [place for place, one in enumerate(keys) if first[kid(one)] != one]
    faults = list(judge_keys([], keys, kid=kid))
    assert {fault.code for fault in faults} == {Code.KID_COLLISION}
    assert [fault.device for fault in faults] == collisions
    member, *_ = judge_keys([keys[0], keys[collisions[0]]], [], kid=lambda _: b"same")
    assert (member.member, member.device, member.code) == (1, None, Code.KID_COLLISION)
    assert "commission key 1" in member.detail


def test_a_kid_is_the_beginning_of_the_hash() -> None:
    assert kid_of(bytes(32)).hex() == "66687aadf862bd77"


def test_every_fault_of_many_keys_is_found_at_its_place() -> None:
    keys = [key(1), bytes(32), b"", key(1), key(9), b"", key(2)]
    faults = [(fault.device, fault.code) for fault in judge_keys([key(9)], keys)]
    assert faults == [(1, Code.KEY_NOT_A_POINT), (3, Code.DUPLICATE_KEY), (4, Code.COMMISSION_KEY)]
