"""The published log as a fleet reads it: whole, with the root that its head has signed, once it is there."""

from pathlib import Path

import pytest
import trio
from nacl.signing import SigningKey
from trio.testing import MockClock

from clients.fleet import witness
from clients.fleet.audit import Log
from clients.wire import note, tiles
from clients.wire.errors import WireError
from clients.wire.merkle import Tree, leaf_hash
from clients.wire.note import Checkpoint, VerifierKey

ORIGIN = "rehearsal.invalid/fleet"
KEY = SigningKey(b"\x03" * 32)
VKEY = VerifierKey(ORIGIN, bytes(KEY.verify_key))
ENTRIES = [b"entry %d" % number for number in range(300)]


def publish(folder: Path, entries: list[bytes], root: bytes | None = None) -> None:
    """Writes what a publisher writes: entry bundles, then the head."""
    for bundle in tiles.bundles(len(entries)):
        first = bundle.number * tiles.TILE_WIDTH
        path = folder / bundle.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiles.bundle_bytes(entries[first : first + bundle.width]))
    root = root or Tree(map(leaf_hash, entries)).root()
    text = Checkpoint(ORIGIN, len(entries), root).text
    (folder / "checkpoint").write_bytes(note.sign(text, ORIGIN, KEY))


def read(folder: Path, least: int, later: list[bytes] | None = None) -> Log | None:
    """Reads it; the publisher may go on meanwhile."""
    found: list[Log | None] = []

    async def write_later() -> None:
        await trio.sleep(witness.PUBLISHED_WITHIN / 2)
        if later is not None:
            publish(folder, later)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_later)
            found.append(await witness.published(folder, folder / "hidden", VKEY, least))

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return found[0]


def test_nothing_is_published(tmp_path: Path) -> None:
    assert read(tmp_path, 0) is None


def test_the_whole_log(tmp_path: Path) -> None:
    publish(tmp_path, ENTRIES)
    found = read(tmp_path, len(ENTRIES))
    assert found is not None
    assert found.entries == ENTRIES


def test_bundles_under_embargo(tmp_path: Path) -> None:
    publish(tmp_path, ENTRIES)
    (tmp_path / "tile").rename(tmp_path / "public")
    (tmp_path / "hidden").mkdir()
    (tmp_path / "public").rename(tmp_path / "hidden" / "tile")
    found = read(tmp_path, len(ENTRIES))
    assert found is not None
    assert found.entries == ENTRIES


def test_it_waits_for_the_newest(tmp_path: Path) -> None:
    publish(tmp_path, ENTRIES[:256])
    found = read(tmp_path, 290, later=ENTRIES)
    assert found is not None
    assert found.entries == ENTRIES


def test_not_in_time(tmp_path: Path) -> None:
    publish(tmp_path, ENTRIES)
    assert read(tmp_path, len(ENTRIES) + 1) is None


def test_another_log_than_its_head_says(tmp_path: Path) -> None:
    publish(tmp_path, ENTRIES, root=bytes(32))
    with pytest.raises(WireError) as caught:
        trio.run(witness.published, tmp_path, tmp_path / "hidden", VKEY, 1)
    assert caught.value.code == "feed.log"


def test_another_key(tmp_path: Path) -> None:
    publish(tmp_path, ENTRIES)
    other = VerifierKey(ORIGIN, bytes(SigningKey(b"\x04" * 32).verify_key))
    with pytest.raises(WireError) as caught:
        trio.run(witness.published, tmp_path, tmp_path / "hidden", other, 1)
    assert caught.value.code.startswith("note.")
