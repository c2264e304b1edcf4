"""Exports beside a real publisher: when they are made, how they get their names, what goes wrong."""

import contextlib
import hashlib
import json
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
import trio

from clients.observer.verify import verify
from gateway.feed.exports import Exports
from gateway.publish.exports.task import (
    APART_SECONDS,
    KEPT,
    LOOK_SECONDS,
    MOST_SECONDS,
    PROGRAM,
    Exporter,
)
from gateway.publish.press import Press
from gateway.publish.pruning import KEPT_SECONDS
from tests.integration.publish_night import SNAPSHOT_SEED, SNAPSHOT_VKEY, Life, Publication, live

PAUSE, RESUME = (6,), (7,)
FILES = {
    "arrivals.csv",
    "names.csv",
    "nist-cdf.json",
    "results.csv",
    "results.ndjson",
    "stations.parquet",
    "turnout.csv",
}


@pytest.fixture
def publication(tmp_path: Path) -> Publication:
    return Publication(tmp_path)


@contextlib.asynccontextmanager
async def exporting(
    life: Life, program: Sequence[str] = PROGRAM, reserve: int = 0
) -> AsyncIterator[Exporter]:
    """The task beside the publisher."""
    publication, press = life.publication, life.press
    assert press is not None
    exporter = Exporter(
        publication.feed,
        SNAPSHOT_SEED,
        newest=lambda: press.newest,
        arrivals=press.arrivals,
        room=lambda: publication.room,
        reserve=reserve,
        log=publication.log,
        metrics=life.metrics,
        program=program,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exporter.run)
        await life.settle()
        yield exporter
        nursery.cancel_scope.cancel()


def numbers(publication: Publication) -> list[int]:
    """Of the exports that are there, note and folder."""
    notes = sorted(int(path.stem) for path in publication.feed.glob("exports/[0-9]*.note"))
    folders = sorted(int(path.name) for path in publication.feed.glob("exports/[0-9]*") if path.is_dir())
    assert notes == folders
    return notes


def exports(publication: Publication) -> Exports:
    """What the pointer signs, with every file compared."""
    pointer = (publication.feed / "exports" / "latest.note").read_bytes()
    found = Exports.open(pointer, SNAPSHOT_VKEY, "note")
    assert (publication.feed / "exports" / f"{found.number}.note").read_bytes() == pointer
    snapshot = (publication.feed / "snapshots" / f"{found.number}.json").read_bytes()
    assert hashlib.sha256(snapshot).hexdigest() == found.snapshot
    folder = publication.feed / "exports" / str(found.number)
    assert {path.name for path in folder.iterdir()} == {file.name for file in found.files}
    for file in found.files:
        data = (folder / file.name).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (file.sha256, file.size)
    return found


async def made(life: Life, count: int, number: int | None = None) -> Exports:
    """Waits until so many exports are made, the last of them of a certain snapshot; no time passes."""
    await life.until(lambda: life.publication.events.count("export.made") == count)
    found = exports(life.publication)
    assert number in (None, found.number)
    return found


async def look(life: Life) -> None:
    await life.pass_time(LOOK_SECONDS)


def test_the_first_snapshot_is_exported(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving(), exporting(life):
            await life.snapshot(1)
            await look(life)
            found = await made(life, 1, 1)
            assert {file.name for file in found.files} == FILES

    metrics = live(publication, test)
    assert publication.events.count("export.made") == 1
    assert metrics.registry.get_sample_value("tallygate_export_snapshot_number") == 1
    verdict = verify(publication.feed, processes=0)
    assert verdict.agrees is True, (verdict.difference, verdict.trouble)


def test_at_most_every_minute_and_only_what_is_new(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving(), exporting(life):
            await life.snapshot(1)
            await look(life)
            await made(life, 1, 1)
            life.add()
            await life.pass_time(2)
            assert (await life.snapshot(2)).log.size == 3
            await life.pass_time(APART_SECONDS / 2)
            assert numbers(publication) == [1]
            await life.pass_time(APART_SECONDS / 2)
            newest = publication.latest().snapshot
            second = await made(life, 2)
            assert numbers(publication) == [1, second.number]
            # Heartbeats say nothing new.
            await life.pass_time(3 * APART_SECONDS)
            assert publication.latest().snapshot > newest
            assert len(numbers(publication)) == 2

    live(publication, test)


def test_a_pause_is_exported_at_once(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving(), exporting(life):
            await life.snapshot(1)
            await look(life)
            await made(life, 1, 1)
            life.add()
            await life.pass_time(2)
            await life.snapshot(2)
            life.decide(PAUSE)
            await life.pass_time(2)
            assert (await life.snapshot(3)).paused is not None
            await look(life)
            await made(life, 2, 3)

    live(publication, test)


def test_the_complete_count_is_exported_at_once_and_stays(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving(), exporting(life):
            await life.snapshot(1)
            await look(life)
            await made(life, 1, 1)
            life.decide((8, 1, 2))
            await life.pass_time(2)
            assert (await life.snapshot(2)).status.machine == "unofficial-complete"
            await look(life)
            await made(life, 2, 2)
            # The commission says that it goes on; what was complete stays.
            life.decide((8, 1, 1))
            for count in range(KEPT + 1):
                life.add()
                await life.pass_time(APART_SECONDS + 2)
                await made(life, count + 3)

    live(publication, test)
    found = numbers(publication)
    assert len(found) == KEPT + 1
    assert found[0] == 2


def test_nothing_under_an_embargo(publication: Publication) -> None:
    """Whatever the publisher has, what counts is what its newest snapshot says."""

    async def test(life: Life) -> None:
        async with life.serving():
            latest = await life.snapshot(1)
            assert life.press is not None
            hidden = msgspec.structs.replace(
                latest, embargo_until="2031-01-01T00:00:00.000Z", root=None, tally=None, results=()
            )
            life.press = cast(Press, SimpleNamespace(newest=hidden, arrivals=life.press.arrivals))
            async with exporting(life):
                await life.pass_time(3 * APART_SECONDS)

    live(publication, test)
    assert not (publication.feed / "exports").exists()
    assert not {"export.made", "export.failed"} & set(publication.events)


def test_one_that_takes_too_long_is_ended(publication: Publication) -> None:
    """Longer than the feed keeps what its snapshot names."""

    async def test(life: Life) -> None:
        sleeps = (sys.executable, "-c", "import time; time.sleep(1000)")
        async with life.serving(), exporting(life, sleeps):
            await life.snapshot(1)
            await look(life)
            await life.pass_time(MOST_SECONDS + 1)
            await life.until(lambda: "export.failed" in publication.events)

    live(publication, test)
    assert any("took more than" in line for line in publication.lines)
    assert MOST_SECONDS < KEPT_SECONDS


def test_old_ones_go_the_note_first(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving(), exporting(life):
            for count in range(KEPT + 2):
                life.add()
                await life.pass_time(APART_SECONDS + 2)
                await made(life, count + 1)

    live(publication, test)
    found = numbers(publication)
    assert len(found) == KEPT
    assert exports(publication).number == found[-1]
    verdict = verify(publication.feed, processes=0)
    assert verdict.agrees is True, (verdict.difference, verdict.trouble)


def test_what_a_crash_leaves_is_tidied(publication: Publication) -> None:
    async def first(life: Life) -> None:
        async with life.serving(), exporting(life):
            await life.snapshot(1)
            await look(life)
            await made(life, 1, 1)

    live(publication, first)
    folder = publication.feed / "exports"
    shutil.copytree(folder / "1", folder / ".2.tmp")  # while the files are made
    shutil.copytree(folder / "1", folder / "2")  # between folder and note
    (folder / "latest.note").unlink()

    async def second(life: Life) -> None:
        async with life.serving(), exporting(life):
            await life.until(lambda: (folder / "latest.note").exists())
            await look(life)

    live(publication, second)
    assert {path.name for path in folder.iterdir()} == {"1", "1.note", "latest.note"}
    assert publication.events.count("export.made") == 1


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ((sys.executable, "-c", "raise SystemExit(3)"), "ended with 3: it says nothing"),
        ((sys.executable, "-c", "import sys; sys.exit('a fault')"), "ended with 1: a fault"),
        ((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), "ended with -9"),
        (("/nonexistent/program",), "No such file"),
    ],
)
def test_a_maker_that_fails_stops_nothing(
    publication: Publication, program: Sequence[str], words: str
) -> None:
    async def test(life: Life) -> None:
        async with life.serving(), exporting(life, program):
            await life.snapshot(1)
            await look(life)
            await life.until(lambda: "export.failed" in publication.events)
            life.add()
            await life.pass_time(2)
            await life.snapshot(2)

    metrics = live(publication, test)
    told = [json.loads(line) for line in publication.lines]
    assert words in next(line["words"] for line in told if line["event"] == "export.failed")
    assert publication.events.count("export.failed") == 1
    assert metrics.registry.get_sample_value("tallygate_export_failures_total") == 1
    assert list((publication.feed / "exports").iterdir()) == []


def test_a_pause_that_cannot_be_exported_is_not_tried_every_second(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving(), exporting(life, (sys.executable, "-c", "raise SystemExit(3)")):
            await life.snapshot(1)
            await look(life)
            await life.until(lambda: publication.events.count("export.failed") == 1)
            life.decide(PAUSE)
            await life.pass_time(2)
            assert (await life.snapshot(2)).paused is not None
            await look(life)
            await life.until(lambda: publication.events.count("export.failed") == 2)
            for _ in range(5):
                await look(life)

    live(publication, test)
    assert publication.events.count("export.failed") == 2


def test_a_fault_of_ours_does_not_end_publication(publication: Publication) -> None:
    """What no snapshot can be is told, and the next look goes on."""

    async def test(life: Life) -> None:
        async with life.serving():
            latest = await life.snapshot(1)
            assert life.press is not None
            nonsense = msgspec.structs.replace(latest, snapshot="nonsense")
            life.press = cast(Press, SimpleNamespace(newest=nonsense, arrivals=None))
            async with exporting(life):
                await look(life)
                await life.until(lambda: "export.fault" in publication.events)
            life.add()
            await life.pass_time(2)
            await life.snapshot(2)

    live(publication, test)


def test_nothing_is_signed_that_was_not_published(publication: Publication) -> None:
    """The files are made of what lies on the disk, and that may be another snapshot than ours."""

    async def test(life: Life) -> None:
        async with life.serving(), exporting(life):
            await life.snapshot(1)
            place = publication.feed / "snapshots" / "1.json"
            changed = json.loads(place.read_bytes())
            changed["status"]["machine"] = "certified"
            place.write_bytes(json.dumps(changed, separators=(",", ":"), sort_keys=True).encode())
            await look(life)
            await life.until(lambda: bool({"export.failed", "export.made"} & set(publication.events)))
            assert numbers(publication) == []

    live(publication, test)


def test_the_reserve_stays_free(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving(), exporting(life, reserve=2**62):
            await life.snapshot(1)
            await look(life)
            await life.until(lambda: "export.failed" in publication.events)

    live(publication, test)
    assert any("less than its reserve" in line for line in publication.lines)
    assert list((publication.feed / "exports").iterdir()) == []


def test_without_room_nothing_is_begun(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            await life.snapshot(1)
            publication.room = False
            async with exporting(life):
                await life.pass_time(3 * LOOK_SECONDS)

    live(publication, test)
    assert not (publication.feed / "exports").exists()
    assert not {"export.made", "export.failed"} & set(publication.events)


def test_changes_follow_from_the_snapshots(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            await life.snapshot(1)
            life.add()
            await life.pass_time(2)
            await life.snapshot(2)
            life.decide(PAUSE)
            await life.pass_time(2)
            await life.snapshot(3)

    live(publication, test)
    found = [
        json.loads((publication.feed / "snapshots" / f"{number}.changes.json").read_bytes())
        for number in (1, 2, 3)
    ]
    assert [one["entries"] for one in found] == [[0, 2], [2, 3], [3, 3]]
    assert [one["stations"] for one in found] == [[], [[8, 2]], []]
    assert found[2]["areas"] == []
    for one in found[:2]:
        for area, sha256 in one["areas"]:
            assert (publication.feed / "areas" / str(area) / f"{sha256}.json").exists()
    assert [area for area, _ in found[1]["areas"]] == [1, 2, 3]
