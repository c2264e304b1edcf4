"""What stops and changes publication from beside the log: the operator's pause, a full disk, new texts."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.publish.information import point_to
from gateway.publish.loop import APART_SECONDS, HEARTBEAT_SECONDS, LOOK_SECONDS
from gateway.publish.pause import MAX_REASON, PauseFile, end_pause, order_pause, read_pause
from tests.integration.publish_night import Life, Publication, live
from tests.integration.test_publish_loop import PAUSE, RESUME, nothing_new, value

SINCE = "2031-10-05T14:00:00.000Z"


@pytest.fixture
def publication(tmp_path: Path) -> Publication:
    return Publication(tmp_path)


def pause_file(publication: Publication) -> Path:
    return publication.night.data / "pause.json"


def test_the_operators_pause_keeps_the_figures_until_it_ends(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            before = await life.snapshot(1)
            order_pause(pause_file(publication), "A wrong file was loaded.", SINCE)
            life.add(3)
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            paused = await life.snapshot(2)
            assert paused.paused is not None
            assert (paused.paused.by, paused.paused.since) == ("operator", SINCE)
            assert paused.paused.reason == (("en", "A wrong file was loaded."),)
            assert (paused.log, paused.tally) == (before.log, before.tally)
            # Another reason is said at once, the beginning stays.
            order_pause(pause_file(publication), "Station 8 is looked into.", "2031-10-05T15:00:00.000Z")
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            again = await life.snapshot(3)
            assert again.paused is not None
            assert again.paused.since == SINCE
            assert again.paused.reason == (("en", "Station 8 is looked into."),)
            await life.pass_time(HEARTBEAT_SECONDS)
            assert (await life.snapshot(4)).paused == again.paused
            assert end_pause(pause_file(publication))
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            after = await life.snapshot(5)
            assert (after.paused, after.log.size) == (None, 6)

    metrics = live(publication, test)
    assert value(metrics, "tallygate_publication_paused", by="operator") == 0
    assert [event for event in publication.events if "paused" in event] == [
        "publish.paused",
        "publish.unpaused",
    ]


def test_a_pause_before_the_first_snapshot_lets_nothing_out(publication: Publication) -> None:
    order_pause(pause_file(publication), "Not yet.", SINCE)

    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            await life.pass_time(2 * HEARTBEAT_SECONDS)
            assert not (publication.feed / "latest.json").exists()
            assert value(life.metrics, "tallygate_publication_paused", by="operator") == 1
            end_pause(pause_file(publication))
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            first = await life.snapshot(1)
            assert (first.paused, first.log.size) == (None, 3)

    live(publication, test)


def test_the_commissions_pause_is_shown_before_the_operators(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            await life.snapshot(1)
            order_pause(pause_file(publication), "At once.", SINCE)
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            await life.snapshot(2)
            life.decide(PAUSE)
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            confirmed = await life.snapshot(3)
            assert confirmed.paused is not None
            assert confirmed.paused.by == "commission"
            # Its end leaves the operator's, which nobody else ends.
            life.decide(RESUME)
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            left = await life.snapshot(4)
            assert left.paused is not None
            assert left.paused.by == "operator"
            end_pause(pause_file(publication))
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            after = await life.snapshot(5)
            assert (after.paused, after.log.size) == (None, 7)

    live(publication, test)


@pytest.mark.parametrize("ordered", ["before", "between"])
def test_a_restart_stays_paused(publication: Publication, ordered: str) -> None:
    async def first(life: Life) -> None:
        async with life.serving():
            life.add()
            await life.snapshot(1)
            if ordered == "before":
                order_pause(pause_file(publication), "Stop.", SINCE)
                await life.pass_time(APART_SECONDS + LOOK_SECONDS)
                await life.snapshot(2)

    live(publication, first)
    order_pause(pause_file(publication), "Stop.", SINCE)

    async def second(life: Life) -> None:
        async with life.serving():
            life.add(3)
            latest = await life.snapshot(2)
            assert latest.paused is not None
            assert (latest.paused.by, latest.log.size) == ("operator", 3)
            await life.pass_time(HEARTBEAT_SECONDS + LOOK_SECONDS)
            assert (await life.snapshot(3)).paused == latest.paused

    live(publication, second)


BROKEN = {
    "empty": b"",
    "half": b'{"since":"2031-10-05T14:0',
    "no time": b'{"since":"now","reason":"x"}',
    "30 February": b'{"since":"2031-02-30T00:00:00.000Z","reason":"x"}',
    "two lines": b'{"since":"2031-10-05T14:00:00.000Z","reason":"a\\nb"}',
    "no reason": b'{"since":"2031-10-05T14:00:00.000Z","reason":" "}',
    "long": json.dumps({"since": SINCE, "reason": "x" * (MAX_REASON + 1)}).encode(),
    "huge": b" " * 100_000,
    "another encoding": '{"since":"2031-10-05T14:00:00.000Z","reason":"Себеп"}'.encode("utf-16-le"),
    "half a letter": b'{"since":"2031-10-05T14:00:00.000Z","reason":"\xd0"}',
    "more": b'{"since":"2031-10-05T14:00:00.000Z","reason":"x","until":"never"}',
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_pause_that_cannot_be_read_is_a_pause(publication: Publication, broken: str) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            await life.snapshot(1)
            pause_file(publication).write_bytes(BROKEN[broken])
            life.add(3)
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            latest = await life.snapshot(2)
            assert latest.paused is not None
            assert (latest.paused.by, latest.log.size) == ("operator", 3)
            await life.pass_time(HEARTBEAT_SECONDS)
            assert (await life.snapshot(3)).paused == latest.paused
            end_pause(pause_file(publication))
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            assert (await life.snapshot(4)).paused is None

    live(publication, test)
    assert publication.events.count("publish.pause_unreadable") == 1


def test_a_folder_in_its_place_is_a_pause_too(tmp_path: Path) -> None:
    path = tmp_path / "pause.json"
    path.mkdir()
    with pytest.raises(TallygateError, match="resume") as caught:
        read_pause(path)
    assert caught.value.code == "pause.unreadable"


@pytest.mark.parametrize(
    "reason", ["", "  ", "a\nb", "\x1b[2J", "x" * (MAX_REASON + 1), "\udc80", "a\u202eb"]
)
def test_a_reason_is_one_visible_line(tmp_path: Path, reason: str) -> None:
    with pytest.raises(TallygateError) as caught:
        order_pause(tmp_path / "pause.json", reason, SINCE)
    assert caught.value.code == "pause.reason"
    assert not list(tmp_path.iterdir())


def test_a_broken_pause_is_replaced_by_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "pause.json"
    path.write_bytes(b"?")
    ordered = order_pause(path, "Токтотулду.", SINCE)
    assert ordered.before is None
    assert read_pause(path) == PauseFile(SINCE, "Токтотулду.")
    assert end_pause(path)
    assert not end_pause(path)
    assert not list(tmp_path.iterdir())


# --- The disk ---


def test_a_full_disk_pauses_and_room_lets_it_go_on(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            before = await life.snapshot(1)
            publication.room = False
            life.add(3)
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            full = await life.snapshot(2)
            assert full.paused is not None
            assert (full.paused.by, full.log) == ("gate", before.log)
            assert "disk" in full.paused.reason[0][1]
            assert value(life.metrics, "tallygate_publish_no_room") == 1
            await life.pass_time(HEARTBEAT_SECONDS)
            assert (await life.snapshot(3)).paused == full.paused
            publication.room = True
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            after = await life.snapshot(4)
            assert (after.paused, after.log.size) == (None, 6)
            assert value(life.metrics, "tallygate_publish_no_room") == 0

    live(publication, test)


# --- What is only shown ---


def another_information(publication: Publication) -> _core.Information:
    """The night's with another notice, in its place among the later ones."""
    folder = publication.root / "informations" / "new"
    shutil.copytree(publication.root / "information", folder)
    manifest = json.loads((folder / "information.json").read_bytes())
    manifest["site"]["notice"] = "Station 8 has moved."
    data = _core.canonical_json(manifest)
    (folder / "information.json").write_bytes(data)
    folder.rename(folder.with_name(hashlib.sha256(data).hexdigest()))
    return _core.Information.load(
        folder.with_name(hashlib.sha256(data).hexdigest()), publication.night.definition
    )


def test_new_information_is_named_by_the_next_snapshot(publication: Publication) -> None:
    old = publication.information.hash.hex()
    pointer = publication.night.data / "information"

    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            assert (await life.snapshot(1)).information == old
            new = another_information(publication)
            point_to(pointer, new.hash)
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            latest = await life.snapshot(2)
            assert (latest.information, latest.paused) == (new.hash.hex(), None)
            # Also while publication is paused, and back again.
            order_pause(pause_file(publication), "Stop.", SINCE)
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            await life.snapshot(3)
            point_to(pointer, bytes.fromhex(old))
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            assert (await life.snapshot(4)).information == old
            point_to(pointer, new.hash)
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            await life.snapshot(5)
        for sha256 in (old, new.hash.hex()):
            assert (publication.feed / "information" / sha256 / "information.json").exists()

    live(publication, test)
    # A restart shows the newest, and has nothing to say.
    live(publication, nothing_new)
    assert publication.latest().snapshot == 5


@pytest.mark.parametrize("broken", ["no folder", "no hash", "another", "damaged"])
def test_what_cannot_be_shown_leaves_the_old_in_its_place(publication: Publication, broken: str) -> None:
    old = publication.information.hash.hex()
    pointer = publication.night.data / "information"
    new = another_information(publication)
    folder = publication.root / "informations" / new.hash.hex()
    match broken:
        case "no folder":
            folder.rename(publication.root / "elsewhere")
        case "another":
            folder.rename(folder.with_name("ab" * 32))
        case "damaged":
            (folder / "stations.csv").write_bytes(b"station\n")

    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            await life.snapshot(1)
            match broken:
                case "no hash":
                    pointer.write_bytes(b"../../information\n")
                case "another":
                    point_to(pointer, b"\xab" * 32)
                case _:
                    point_to(pointer, new.hash)
            life.add()
            await life.pass_time(APART_SECONDS + LOOK_SECONDS)
            latest = await life.snapshot(2)
            assert (latest.information, latest.log.size) == (old, 4)
            await life.pass_time(3 * LOOK_SECONDS)

    live(publication, test)
    assert publication.events.count("information.refused") == 1
    # Nor does it keep the publisher from starting.
    live(publication, nothing_new)
