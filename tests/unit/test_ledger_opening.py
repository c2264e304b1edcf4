import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.ledger.opening import check_opening, read_opening
from tests.faults.night import LOG_KEY, MEMBER_SEEDS, ORIGIN, Night, packet
from tests.strategies import Content
from tests.unit.wire_election import DEFINITION, ELECTION, Election


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path, opening=False)


def refusal(night: Night) -> str:
    with pytest.raises(TallygateError) as caught:
        read_opening(night.data / "opening", night.definition, LOG_KEY, night.roster.hash)
    assert caught.value.place
    return caught.value.code


def signed(content: Content, *seeds: bytes) -> list[bytes]:
    return [_core.sign("decision", content, seed) for seed in seeds or MEMBER_SEEDS[:2]]


def test_a_good_opening(night: Night) -> None:
    night.write_opening(night.opening_signatures())
    opening = read_opening(night.data / "opening", night.definition, LOG_KEY, night.roster.hash)
    assert (opening.origin, opening.roster) == (ORIGIN, night.roster.hash)
    assert [one.encoded for one in opening.statements] == night.opening_signatures()


def test_no_file_and_too_many(night: Night) -> None:
    assert refusal(night) == "opening.missing"
    night.write_opening([b"\xd2"] * 65)
    assert refusal(night) == "opening.count"


def test_the_quorum_exactly(night: Night) -> None:
    night.write_opening(signed(night.decision_one(), MEMBER_SEEDS[0]))
    assert refusal(night) == "opening.count"
    night.write_opening(signed(night.decision_one(), *MEMBER_SEEDS))
    assert refusal(night) == "opening.count"


def test_no_statement_at_all(night: Night) -> None:
    good = night.opening_signatures()[0]
    for bad in (b"", b"\xd2", good + b"\0", bytes(16_385)):
        night.write_opening([good, bad])
        assert refusal(night) == "opening.malformed"


def test_who_signed(night: Night) -> None:
    content = night.decision_one()
    night.write_opening(signed(content, MEMBER_SEEDS[0], b"\x77" * 32))
    assert refusal(night) == "opening.signer"
    night.write_opening(signed(content, MEMBER_SEEDS[0], MEMBER_SEEDS[0]))
    assert refusal(night) == "opening.signer"
    good = night.opening_signatures()
    night.write_opening([good[0], good[1][:-1] + bytes([good[1][-1] ^ 1])])
    assert refusal(night) == "opening.signature"


def test_one_payload(night: Night) -> None:
    definition, previous, number, decided_at, _, action = night.decision_one()
    other = (definition, previous, number, decided_at, (("en", "We open, too."),), action)
    night.write_opening([*signed(night.decision_one(), MEMBER_SEEDS[0]), *signed(other, MEMBER_SEEDS[1])])
    assert refusal(night) == "opening.payload"


def decision(night: Night, *, number: int = 1, action: Content | None = None) -> Content:
    previous = b"" if number == 1 else bytes(32)
    return (night.definition.hash, previous, number, 1, (("en", "x"),), action or night.action())


def action(night: Night, place: int, value: bytes | str) -> Content:
    fields = list(night.action())
    fields[place] = value
    return tuple(fields)


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("decision", lambda night: decision(night, number=2)),
        ("decision", lambda night: decision(night, action=(6,))),
        ("definition", lambda night: (bytes(32), *decision(night)[1:])),
        ("log_key", lambda night: decision(night, action=action(night, 2, bytes(32)))),
        ("roster", lambda night: decision(night, action=action(night, 4, bytes(32)))),
        (
            "origin",
            lambda night: decision(night, action=action(night, 1, "rehearsal.invalid/example-2027/0a")),
        ),
    ],
)
def test_what_it_says(night: Night, code: str, make: Callable[[Night], Content]) -> None:
    night.write_opening(signed(make(night)))
    assert refusal(night) == f"opening.{code}"


def test_a_packet_opens_nothing(night: Night) -> None:
    night.write_opening([packet(1, 1).encoded, packet(2, 1).encoded])
    assert refusal(night) == "opening.decision"


def test_a_rehearsal_is_called_what_only_it_can_be_called(night: Night, tmp_path: Path) -> None:
    folder = tmp_path / "rehearsal"
    folder.mkdir()
    Election(folder).write_definition(DEFINITION, {**ELECTION, "mode": "rehearsal"})
    definition = _core.Definition.load(folder / "definition")

    def opened(origin: str) -> str:
        content = (definition.hash, b"", 1, 1, (("en", "x"),), action(night, 1, origin))
        places = ["one.cose", "two.cose"]
        return check_opening(signed(content), definition, LOG_KEY, places=places).origin

    ours = "rehearsal.invalid/example-2027/" + hashlib.sha256(LOG_KEY).hexdigest()[:8]
    assert opened(ours) == ours
    for other in (ORIGIN, "rehearsal.invalid/example-2027/00000000"):
        with pytest.raises(TallygateError) as caught:
            opened(other)
        assert caught.value.code == "opening.origin"
