"""Entries that other processes check are the same that one process checks, and come in their order."""

from contextlib import closing
from pathlib import Path

import pytest

from clients.observer import entries as under_test
from clients.observer.entries import Entry, Keys, Signers, check_bundle, entries
from clients.observer.verdict import DifferenceError
from clients.observer.verify import verify
from clients.wire import tiles
from clients.wire.errors import WireError
from clients.wire.roster import Device, Roster
from tests.feed_writer import CLOSES_AT, FeedWriter


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> FeedWriter:
    made = FeedWriter(tmp_path_factory.mktemp("long"))
    for turn in range(700):
        made.packet((2, CLOSES_AT + turn, ((3, turn),)))
    made.log[300] = made.log[300][:-1] + bytes([made.log[300][-1] ^ 1])
    made.log[301] = b"\xd2\x84" + made.log[301][2:-1]
    made.public = list(made.log)
    del made.log[2:]
    made.publish()
    return made


def told(entry: Entry) -> tuple[object, ...]:
    refusal = entry.refusal
    return (
        *entry[:4],
        None if refusal is None else (refusal.code, refusal.rule, refusal.offset, str(refusal)),
    )


def test_in_one_process_or_in_two(writer: FeedWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_MANY_BUNDLES", 2)
    known = Keys.of(writer.definition.commission, [writer.roster])
    bundles = list(tiles.bundles(len(writer.public)))
    alone = [told(entry) for entry in entries(writer.feed, bundles, known, 0)]
    assert len(alone) == len(writer.public)
    assert [told(entry) for entry in entries(writer.feed, bundles, known, 2)] == alone
    refused = {index: entry[4] for index, entry in enumerate(alone) if entry[4] is not None}
    assert refused.keys() == {300, 301}
    # Nothing is left behind by who has seen enough.
    with closing(entries(writer.feed, bundles, known, 2)) as some:
        assert told(next(some)) == alone[0]


def test_a_difference_in_another_process(writer: FeedWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_MANY_BUNDLES", 2)
    verdict = verify(writer.feed, processes=2)
    assert verdict.difference is not None
    assert verdict.difference.code == "statement.signature"
    assert verdict.difference.place == "entry 300"
    known = Keys.of(writer.definition.commission, [writer.roster])
    (writer.feed / "log/tile/entries/002.p/190").write_bytes(b"\x00")
    bundles = list(tiles.bundles(len(writer.public)))
    with pytest.raises(DifferenceError) as caught, closing(entries(writer.feed, bundles, known, 2)) as logged:
        assert len(list(logged)) == 512
    assert caught.value.difference.file == "log/tile/entries/002.p/190"


def device(number: int, key: bytes) -> Device:
    return Device(number, "box", (), None, key, "")


def test_keys_of_several_rosters(writer: FeedWriter) -> None:
    own = writer.roster
    others = {1: device(1, own.devices[1].key), 5: device(5, bytes(32)), 2**40: device(2**40, b"\x07" * 32)}
    other = Roster(bytes(32), own.definition, others, {}, {})
    known = Keys.of({}, [own, other])
    assert len(known.devices) // 8 == len(known.keys) // 32 == 3
    bundle = next(tiles.bundles(100))
    verified = [entry.verified for entry in check_bundle(writer.feed, bundle, Signers(known))]
    # No commission is known here, and device 1 has one key in both.
    assert verified == [False, False, *[True] * 98]
    assert not Keys.of({}, []).devices


def test_a_refusal_names_its_place() -> None:
    entry = Entry("log/tile/entries/000", bytes(32), None)
    error = WireError("statement.malformed", "too short", rule="truncated", offset=7)
    found = entry.refused(300, error).difference
    assert str(found) == (
        "log/tile/entries/000: entry 300, byte 7: too short (rule truncated) [statement.malformed]"
    )


def test_the_full_bundle_where_the_narrow_one_is_gone(writer: FeedWriter, tmp_path: Path) -> None:
    del tmp_path
    bundle = tiles.Bundle(0, 100)
    known = Signers(Keys.of({}, [writer.roster]))
    assert [entry.path for entry in check_bundle(writer.feed, bundle, known)] == [
        "log/tile/entries/000"
    ] * 100
