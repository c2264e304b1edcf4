"""From a counts file to a stored statement."""

import hashlib
from pathlib import Path

import pytest

from clients.box import folder, sign
from clients.box.countsfile import CountsError
from clients.wire import statement
from clients.wire.errors import WireError
from tests.unit import box_helpers as box
from tests.unit.wire_election import DEFINITION, Election


@pytest.fixture
def device(tmp_path: Path) -> Path:
    return box.make_device(tmp_path)


def signed(device: Path, values: box.Values, at: int = box.NOW) -> sign.Signed:
    counts = box.write_json(device.parent / "counts.json", values)
    with folder.opened(device) as opened:
        return sign.sign(opened, counts, at)


def test_a_day(device: Path) -> None:
    opening = signed(device, box.opening(), box.NOW - 2)
    turnout = signed(device, box.turnout(), box.NOW - 1)
    result = signed(device, {**box.result(), "counter": 1500})
    assert [one.statement.sequence for one in (opening, turnout, result)] == [1, 2, 3]
    # The opening counted 500, the box holds 2 × 1000 ballots: only S210 has something to say.
    assert [finding.code for finding in result.findings] == ["S210"]
    with folder.opened(device) as opened:
        packet = statement.decode(result.file.read_bytes())
        assert packet == result.statement
        assert packet.definition == opened.definition().sha256
        statement.verify(packet, bytes.fromhex(opened.settings.sign_key))
    assert packet.previous == turnout.statement.id
    assert packet.signed_at == box.NOW


def test_the_same_again_later(device: Path) -> None:
    first = signed(device, box.result())
    again = signed(device, box.result(), box.NOW + 60_000)
    assert (first.new, again.new) == (True, False)
    assert again.statement == first.statement
    assert again.findings == first.findings
    assert signed(device, {**box.result(), "counter": 7}).statement.sequence == 2
    assert signed(device, box.result()).statement.sequence == 3


def test_faults_sign_nothing(device: Path) -> None:
    with pytest.raises(CountsError):
        signed(device, {**box.result(), "counter": -1})
    assert list((device / "statements").iterdir()) == []


def test_an_attached_file_is_kept(device: Path) -> None:
    scan = device.parent / "scan.pdf"
    scan.write_bytes(b"%PDF-1.7")
    values = {**box.documents(), "attachments": [{"file": "scan.pdf", "document": "protocol"}]}
    signed(device, values)
    name = hashlib.sha256(b"%PDF-1.7").hexdigest()
    assert (device / "attachments" / name).read_bytes() == b"%PDF-1.7"


def test_more_than_a_statement_holds(tmp_path: Path) -> None:
    choices = [DEFINITION["choices"][0], *(f"1,{number},candidate,,,Талапкер" for number in range(1, 4001))]
    election = Election(tmp_path)
    election.write_definition({**DEFINITION, "choices": [*choices, *DEFINITION["choices"][4:]]})
    device = box.make_device(tmp_path)
    one: box.Values = {"figures": box.FIGURES_1, "votes": [100_000] * 4000}
    two: box.Values = {"figures": box.FIGURES_2, "votes": [500, 490]}
    values: box.Values = {**box.result(), "contests": {"1": one, "2": two}}
    with pytest.raises(CountsError) as caught:
        signed(device, values)
    assert box.codes(caught.value) == [("", "size")]
    assert list((device / "statements").iterdir()) == []
    one["votes"] = [20] * 4000
    assert signed(device, values).file.stat().st_size > 4000


def test_without_a_definition(tmp_path: Path) -> None:
    device = box.make_device(tmp_path)
    settings = device / "device.json"
    text = settings.read_text()
    before, _, _ = text.partition('"definition"')
    settings.write_text(before + '"definition": null}')
    with pytest.raises(WireError) as caught:
        signed(device, box.result())
    assert caught.value.code == "folder.no_definition"
