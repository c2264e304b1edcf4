"""`statement.check`: the door's checks up to the signature, in their order."""

from pathlib import Path

import pytest

from clients.wire import statement
from clients.wire.cbor import Content
from clients.wire.errors import WireError
from tests.unit.wire_election import BOX, MEMBERS, Election


@pytest.fixture
def election(tmp_path: Path) -> Election:
    return Election(tmp_path)


class TestDoor:
    content: Content = (b"\xaa" * 32, 1, 8, 1, b"", 1, (2, 5, ((3, 100),)))
    decision: Content = (b"\xaa" * 32, b"", 1, 5, (("ky", "Себеп"),), (6,))

    def code(self, election: Election, data: bytes) -> str | None:
        definition, roster, _ = election.load()
        try:
            statement.check(data, definition, roster)
        except WireError as error:
            return error.code
        return None

    def test_who_may_speak(self, election: Election) -> None:
        packet = statement.sign("packet", self.content, BOX)
        assert self.code(election, packet) is None
        assert self.code(election, statement.sign("decision", self.decision, MEMBERS[1])) is None
        assert self.code(election, packet[:-1]) == "statement.malformed"

    def test_who_may_not(self, election: Election) -> None:
        unknown_device = (self.content[0], 3, *self.content[2:])
        of_another = (self.content[0], 5, *self.content[2:])
        for data in (
            statement.sign("packet", unknown_device, BOX),
            statement.sign("packet", of_another, BOX),
            statement.sign("packet", self.content, MEMBERS[0]),
            statement.sign("decision", self.decision, BOX),
        ):
            assert self.code(election, data) == "statement.unknown_device"
            assert self.code(election, data[:-1] + bytes([data[-1] ^ 1])) == "statement.unknown_device"

    def test_a_wrong_signature(self, election: Election) -> None:
        for data in (
            statement.sign("packet", self.content, BOX),
            statement.sign("decision", self.decision, MEMBERS[0]),
        ):
            assert self.code(election, data[:-1] + bytes([data[-1] ^ 1])) == "statement.signature"
