"""The publisher beside a real ledger: cadence, heartbeat, pauses, restarts; time is a mock clock's."""

import dataclasses
import errno
import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import trio

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.base.metrics import PublishMetrics
from gateway.ledger.protocol import Head
from gateway.publish.disk import Disk
from gateway.publish.loop import APART_SECONDS, HEARTBEAT_SECONDS
from gateway.publish.protocol import Draft, GateError
from gateway.publish.snapshot import SnapshotBuilder
from tests.faults.feed_disk import FailingDisk
from tests.integration.publish_night import SNAPSHOT_SEED, SOFTWARE, Life, Publication, live, unlink
from tests.unit.feed_helpers import root_of, tally_of
from tests.unit.wire_election import ROSTER, write

PAUSE, RESUME = (6,), (7,)


@pytest.fixture
def publication(tmp_path: Path) -> Publication:
    return Publication(tmp_path)


def value(metrics: PublishMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_what_is_logged_is_published(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            first = await life.snapshot(1)
            assert (first.log.size, first.previous, first.paused) == (2, None, None)
            life.add(5)
            await life.pass_time(APART_SECONDS)
            second = await life.snapshot(2)
            assert (second.log.size, tally_of(second).turnout.identified) == (7, 5)

    live(publication, test)
    assert [latest.snapshot for latest in publication.snapshots()] == [1, 2]


def test_a_second_apart_and_only_when_there_is_news(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            await life.snapshot(1)
            life.add()
            await life.settle()
            assert publication.latest().snapshot == 1
            await life.pass_time(APART_SECONDS)
            await life.snapshot(2)
            await life.pass_time(HEARTBEAT_SECONDS / 2)
            assert publication.latest().snapshot == 2
            # After a silence what comes is published at once.
            life.add()
            assert (await life.snapshot(3)).log.size == 4

    live(publication, test)


def test_a_heartbeat_every_minute(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            await life.snapshot(1)
            for number in (2, 3):
                await life.pass_time(HEARTBEAT_SECONDS - 1)
                assert publication.latest().snapshot == number - 1
                await life.pass_time(1)
                await life.snapshot(number)

    live(publication, test)
    one, two, three = publication.snapshots()
    assert one.log == two.log == three.log
    assert one.tally == two.tally == three.tally


def test_a_pause_of_the_commission_keeps_the_figures(publication: Publication) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            before = await life.snapshot(1)
            life.decide(PAUSE)
            await life.pass_time(APART_SECONDS)
            paused = await life.snapshot(2)
            assert paused.paused is not None
            assert paused.paused.by == "commission"
            life.add(3)
            await life.pass_time(HEARTBEAT_SECONDS - 1)
            assert publication.latest().snapshot == 2
            await life.pass_time(1)
            heartbeat = await life.snapshot(3)
            assert heartbeat.paused == paused.paused
            assert before.log == paused.log == heartbeat.log
            assert before.tally == paused.tally == heartbeat.tally
            # Nothing of what came meanwhile is in the feed.
            assert not list((publication.feed / "log" / "tile").glob("0/000.p/8"))
            life.decide(RESUME)
            await life.pass_time(APART_SECONDS)
            after = await life.snapshot(4)
            assert (after.paused, after.log.size, tally_of(after).turnout.identified) == (None, 10, 4)

    metrics = live(publication, test)
    assert value(metrics, "tallygate_publication_paused", by="commission") == 0
    assert [event for event in publication.events if "paused" in event] == [
        "publish.paused",
        "publish.unpaused",
    ]


class Broken(SnapshotBuilder):
    """Its gate refuses what has more than three entries."""

    def draft(self, number: int, previous: bytes | None, published_at: int, head: Head) -> Draft | None:
        if head.size > 3:
            raise GateError("parent", 2, 8, "one and one are three")
        return super().draft(number, previous, published_at, head)


def test_the_gate_keeps_the_last_good_figures_until_a_restart(publication: Publication) -> None:
    publication.make_builder = lambda roster: Broken(
        publication.night.definition,
        roster,
        SNAPSHOT_SEED,
        information=publication.information.hash,
        software=SOFTWARE,
    )

    async def broken(life: Life) -> None:
        async with life.serving():
            life.add()
            good = await life.snapshot(1)
            life.add(5)
            await life.pass_time(APART_SECONDS)
            paused = await life.snapshot(2)
            assert paused.paused is not None
            assert paused.paused.by == "gate"
            assert (paused.tally, paused.log) == (good.tally, good.log)
            life.add(5)
            await life.pass_time(HEARTBEAT_SECONDS)
            again = await life.snapshot(3)
            assert again.paused == paused.paused

    metrics = live(publication, broken)
    assert value(metrics, "tallygate_gate_failures_total", rule="parent") == 1
    assert value(metrics, "tallygate_publication_paused", by="gate") == 1
    [line] = [line for line in publication.lines if "gate.failed" in line]
    assert all(part in line for part in ('"rule":"parent"', '"area":2', '"station":8', '"critical"'))
    publication.make_builder = publication.builder

    async def mended(life: Life) -> None:
        async with life.serving():
            latest = await life.snapshot(4)
            assert (latest.paused, latest.log.size, tally_of(latest).turnout.identified) == (None, 13, 11)

    live(publication, mended)
    assert len(publication.snapshots()) == 4


def test_the_ledger_goes_away_and_comes_back(publication: Publication) -> None:
    async def test(life: Life) -> None:
        await life.pass_time(20)
        async with life.serving():
            await life.pass_time(5)
            await life.snapshot(1)
            assert value(life.metrics, "tallygate_ledger_followed") == 1
        await life.settle()
        assert value(life.metrics, "tallygate_ledger_followed") == 0
        life.add(3)
        # It says every minute that it lives, of what it knows.
        await life.pass_time(HEARTBEAT_SECONDS)
        assert (await life.snapshot(2)).log.size == 2
        async with life.serving():
            await life.pass_time(5)
            assert (await life.snapshot(3)).log.size == 5

    live(publication, test)
    came_and_went = [event.removeprefix("publish.") for event in publication.events]
    assert came_and_went[:4] == ["waiting", "following", "waiting", "following"]


async def three(life: Life) -> None:
    """Three snapshots: bundles that fill up, a decision, a station whose object changes again and again."""
    async with life.serving():
        life.add(300)
        await life.snapshot(1)
        life.decide(PAUSE)
        life.decide(RESUME)
        await life.pass_time(APART_SECONDS)
        await life.snapshot(2)
        life.add(300)
        await life.pass_time(APART_SECONDS)
        await life.snapshot(3)


def named(publication: Publication) -> dict[str, bytes]:
    """The files without those that only earlier snapshots needed."""
    latest = publication.latest()
    station = latest.log.size - 1
    return {
        path: data
        for path, data in publication.files().items()
        if not (path.startswith("stations/") and not path.endswith(f"-{station}.json"))
        and not (path.startswith("areas/") and path not in _areas(publication))
        and not (path.startswith("decisions/") and latest.decisions.sha256 not in path)
        and not (".p/" in path and not path.endswith((f"/{latest.log.size % 256}", "001.p/2", "000.p/2")))
    }


def _areas(publication: Publication) -> set[str]:
    latest = publication.latest()
    root = root_of(latest)
    found = {f"areas/{root.area}/{root.sha256}.json"}
    waiting = list(found)
    while waiting:
        area = json.loads((publication.feed / waiting.pop()).read_bytes())
        below = [f"areas/{number}/{sha256}.json" for number, sha256 in area["areas"]]
        found.update(below)
        waiting += below
    return found


async def nothing_new(life: Life) -> None:
    async with life.serving():
        await life.until(lambda: "publish.resumed" in life.publication.events)
        await life.settle()


@pytest.mark.parametrize("lost", ["derived", "some", "nothing"])
@pytest.mark.parametrize("clean", [False, True])
def test_what_is_derived_comes_back_byte_for_byte(
    publication: Publication, lost: str, *, clean: bool
) -> None:
    live(publication, three)
    before = named(publication)
    assert {path.split("/")[0] for path in before} == {
        "areas", "decisions", "definition", "information", "keys", "latest.json", "log", "messages.json",
        "roster", "schemas", "snapshots", "stations",
    }  # fmt: skip
    if not clean:
        record = publication.record.read_bytes()
        publication.record.write_bytes(record.replace(b'"clean":true', b'"clean":false'))
    match lost:
        case "derived":
            for path in publication.feed.iterdir():
                if path.is_file():
                    path.unlink()
                elif path.name != "snapshots":
                    shutil.rmtree(path)
        case "some":
            unlink(publication, ["log/checkpoint", "snapshots/3.note", "areas/1/*", "log/tile/0/*", "keys/*"])
            unlink(publication, ["definition/*/areas.csv"])
    publication.lines.clear()
    live(publication, nothing_new)
    assert named(publication) == before
    assert ("publish.restored" in publication.events) == (lost != "nothing")


def test_bytes_that_changed_are_found_after_an_unclean_stop(publication: Publication) -> None:
    live(publication, three)
    before = named(publication)
    record = publication.record.read_bytes()
    publication.record.write_bytes(record.replace(b'"clean":true', b'"clean":false'))
    derived = ("areas/", "stations/", "log/tile", "decisions/", "snapshots/3.note")
    spoiled = [path for path in before if path.startswith(derived)]
    for path in spoiled:
        file = publication.feed / path
        file.write_bytes(bytes(len(before[path])))
    live(publication, nothing_new)
    assert named(publication) == before


def new_roster(publication: Publication) -> tuple[Path, _core.Roster]:
    """The night's with one more box, in a folder of its own."""
    folder = publication.root / "new"
    folder.mkdir()
    line = f"7,box,11,,{'cd' * 32},SN-7"
    tables = {**ROSTER, "devices": [*ROSTER["devices"], line]}
    named = publication.night.definition.hash.hex()
    write(folder, "roster.json", {"format": "tallygate-roster/1", "definition": named}, tables)
    return folder, _core.Roster.load(folder, publication.night.definition)


def test_the_roster_of_the_night_may_be_the_newer_one(
    publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The door takes it from there, too."""
    folder, newer = new_roster(publication)
    old = publication.night.roster.hash.hex()
    (publication.root / "rosters").mkdir()
    (publication.root / "roster").rename(publication.root / "rosters" / old)
    site = publication.site()
    changed = dataclasses.replace(site, roster=newer, roster_folder=folder)
    monkeypatch.setattr(publication, "site", lambda: changed)

    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            assert (await life.snapshot(1)).roster == old
            life.decide((9, newer.hash))
            await life.pass_time(APART_SECONDS)
            latest = await life.snapshot(2)
            assert (latest.paused, latest.roster) == (None, newer.hash.hex())

    live(publication, test)
    assert (publication.feed / "roster" / newer.hash.hex() / "devices.csv").exists()


def test_a_new_roster_is_waited_for(publication: Publication) -> None:
    roster, loaded = new_roster(publication)

    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            await life.snapshot(1)
            life.decide((9, loaded.hash))
            life.add(2)
            await life.pass_time(APART_SECONDS)
            waiting = await life.snapshot(2)
            assert waiting.paused is not None
            assert waiting.paused.by == "gate"
            assert loaded.hash.hex() in waiting.paused.reason[0][1]
            assert waiting.log.size == 3
            assert value(life.metrics, "tallygate_missing_rosters") == 1
            (publication.root / "rosters").mkdir()
            roster.rename(publication.root / "rosters" / loaded.hash.hex())
            assert life.publisher is not None
            life.publisher.look_for_rosters()
            await life.pass_time(APART_SECONDS)
            after = await life.snapshot(3)
            assert (after.paused, after.roster, after.log.size) == (None, loaded.hash.hex(), 7)
            assert value(life.metrics, "tallygate_missing_rosters") == 0
        assert (publication.feed / "roster" / loaded.hash.hex() / "devices.csv").exists()

    live(publication, test)
    # A restart finds it at once, and has nothing to say.
    live(publication, nothing_new)
    assert publication.latest().snapshot == 3


def test_an_unusable_roster_is_shown_and_changes_nothing(publication: Publication) -> None:
    manifest = b'{"format":"no roster"}'
    sha256 = hashlib.sha256(manifest)
    folder = publication.root / "rosters" / sha256.hexdigest()
    folder.mkdir(parents=True)
    (folder / "roster.json").write_bytes(manifest)

    async def test(life: Life) -> None:
        async with life.serving():
            life.decide((9, sha256.digest()))
            latest = await life.snapshot(1)
            assert (latest.paused, latest.log.size) == (None, 4)
            assert latest.roster == publication.night.roster.hash.hex()

    live(publication, test)
    assert publication.files()[f"roster/{sha256.hexdigest()}/roster.json"] == manifest
    live(publication, nothing_new)


def test_an_old_copy_of_the_ledger_is_refused(publication: Publication) -> None:
    copy = publication.root / "copy"

    async def test(life: Life) -> None:
        async with life.serving():
            await life.snapshot(1)

    live(publication, test)
    shutil.copytree(publication.night.data, copy)

    async def more(life: Life) -> None:
        async with life.serving():
            life.add(3)
            await life.pass_time(APART_SECONDS)
            await life.snapshot(2)

    live(publication, more)
    record = publication.record.read_bytes()
    shutil.rmtree(publication.night.data)
    copy.rename(publication.night.data)
    publication.record.write_bytes(record)
    (publication.feed / "log" / "checkpoint").unlink()  # or the ledger itself would refuse

    async def forever(life: Life) -> None:
        async with life.serving():
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        live(publication, forever)
    assert codes(caught.value) == ["publish.behind"]


def codes(error: BaseException) -> Sequence[str]:
    if isinstance(error, BaseExceptionGroup):
        return [code for one in error.exceptions for code in codes(one)]
    return [error.code] if isinstance(error, TallygateError) else [repr(error)]


def test_other_figures_than_were_published_stop_it_with_heartbeats(publication: Publication) -> None:
    """As if another program replayed the log than the one that has published."""
    live(publication, three)
    before = publication.latest()
    unlink(publication, ["snapshots/3.note"])

    class Other(SnapshotBuilder):
        def take(self, first: int, statements: Sequence[bytes]) -> int:
            taken = super().take(first, statements)
            self._register.note(self.size, self._seen)
            self._decisions = self._listing = None
            return taken

        _seen = publication.commission.decide((12, 11))[0]

    publication.make_builder = lambda roster: Other(
        publication.night.definition,
        roster,
        SNAPSHOT_SEED,
        information=publication.information.hash,
        software=SOFTWARE,
    )

    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            await life.until(lambda: "gate.failed" in publication.events)
            latest = await life.snapshot(4)
            assert latest.paused is not None
            assert latest.paused.by == "gate"
            assert (latest.log, latest.tally) == (before.log, before.tally)
            await life.pass_time(HEARTBEAT_SECONDS)
            await life.snapshot(5)

    metrics = live(publication, test)
    assert len(list((publication.feed / "snapshots").glob("*.note"))) == 5
    assert value(metrics, "tallygate_gate_failures_total", rule="replay") == 1
    assert publication.events.count("gate.failed") == 1


def test_a_lost_snapshot_leaves_a_gap_and_publication_goes_on(publication: Publication) -> None:
    live(publication, three)
    unlink(publication, ["latest.json", "snapshots/3.json"])

    async def test(life: Life) -> None:
        async with life.serving():
            life.add()
            latest = await life.snapshot(4)
            assert latest.log.size == 607
            record = json.loads(publication.record.read_bytes())
            assert record["number"] == 4

    live(publication, test)
    assert "publish.snapshot_lost" in publication.events


@pytest.mark.parametrize("at", range(3, 90, 21))
def test_a_disk_that_fails_ends_it_and_the_next_one_goes_on(publication: Publication, at: int) -> None:
    publication.make_disk = partial(FailingDisk, at=at, number=errno.ENOSPC)
    metrics: list[PublishMetrics] = []

    async def remember(life: Life) -> None:
        metrics.append(life.metrics)
        await three(life)

    with pytest.raises(ExceptionGroup) as caught:
        live(publication, remember)
    assert codes(caught.value) == ["publish.failed"]
    assert value(metrics[0], "tallygate_publish_failures_total", op="snapshot") == 1
    assert publication.events[-1] == "publish.failed"
    number = publication.latest().snapshot if (publication.feed / "latest.json").exists() else 0
    publication.make_disk = Disk

    async def on(life: Life) -> None:
        async with life.serving():
            life.add()
            # What was recorded and not finished is finished first.
            head = life.ledger.head()
            assert head is not None
            while (
                not (publication.feed / "latest.json").exists() or publication.latest().log.size < head.size
            ):
                await life.pass_time(APART_SECONDS)

    live(publication, on)
    assert publication.latest().snapshot >= number + 1
    assert len(publication.snapshots()) == publication.latest().snapshot
