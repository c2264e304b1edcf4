"""`tallygate export`: a copy of one snapshot that verifies by itself, made while the feed is written."""

import json
import os
import shutil
import threading
from functools import partial
from pathlib import Path

import pytest
import trio

from clients.observer.verdict import Check
from clients.observer.verify import verify
from gateway.base.errors import TallygateError
from gateway.run.export import export_feed
from tests.integration.gateway_cli import Program
from tests.integration.publish_night import Life, Publication, live
from tests.integration.test_exports import exporting, look, made


def silent(files: int) -> None:
    assert files > 0


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Publication:
    """A night with a stale object, two snapshots and exports of the newer one."""
    publication = Publication(tmp_path_factory.mktemp("night"))

    async def test(life: Life) -> None:
        async with life.serving():
            await life.snapshot(1)
            life.add()
            await life.pass_time(2)
            await life.snapshot(2)
            life.add()
            await life.pass_time(2)
            await life.snapshot(3)
            async with exporting(life):
                await look(life)
                await made(life, 1, 3)

    live(publication, test)
    return publication


@pytest.fixture
def feed(published: Publication, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published.feed, tmp_path / "feed"))


@pytest.mark.parametrize("link", [False, True])
def test_a_copy_verifies_and_has_one_snapshots_objects(feed: Path, tmp_path: Path, link: bool) -> None:
    out = tmp_path / "out"
    done = export_feed(feed, out, link=link, progress=silent)
    assert (done.snapshot, done.entries, done.exports) == (3, 4, 3)
    there = [path for path in out.rglob("*") if path.is_file()]
    assert (len(there), sum(path.stat().st_size for path in there)) == (done.files, done.size)
    verdict = verify(out, processes=0)
    assert verdict.agrees is True, (verdict.difference, verdict.trouble)
    assert verdict.not_judged == 0
    assert verdict.counts[Check.EXPORTS] == 1
    # Version 2 of the station is of snapshot 2 alone.
    assert (feed / "stations" / "0" / "8-2.json").exists()
    assert [path.name for path in (out / "stations" / "0").iterdir()] == ["8-3.json"]
    linked = (out / "snapshots" / "1.json").samefile(feed / "snapshots" / "1.json")
    assert linked is link
    assert not (out / "latest.json").samefile(feed / "latest.json")


def test_what_is_newer_stays_behind(feed: Path, tmp_path: Path) -> None:
    """As if the publisher had gone on between the pointer and the rest."""
    (feed / "latest.json").write_bytes((feed / "snapshots" / "2.json").read_bytes())
    done = export_feed(feed, tmp_path / "out", link=False, progress=silent)
    assert (done.snapshot, done.exports) == (2, None)
    names = {path.name for path in (tmp_path / "out" / "snapshots").iterdir()}
    assert names == {f"{number}{end}" for number in (1, 2) for end in (".json", ".note", ".changes.json")}
    assert not (tmp_path / "out" / "exports").exists()
    verdict = verify(tmp_path / "out", processes=0)
    assert verdict.agrees is True, (verdict.difference, verdict.trouble)


def test_while_it_is_published(tmp_path: Path) -> None:
    publication = Publication(tmp_path)

    async def test(life: Life) -> None:
        async with life.serving():
            await life.snapshot(1)
            over = threading.Event()
            async with trio.open_nursery() as nursery:

                async def publish() -> None:
                    while not over.is_set():
                        life.add()
                        await life.pass_time(1)

                nursery.start_soon(publish)
                for count in range(3):
                    out = tmp_path / f"out{count}"
                    copy = partial(export_feed, publication.feed, out, link=False, progress=silent)
                    done = await trio.to_thread.run_sync(copy)
                    verdict = await trio.to_thread.run_sync(partial(verify, out, processes=0))
                    assert verdict.agrees is True, (verdict.difference, verdict.trouble)
                    assert verdict.snapshot == done.snapshot
                over.set()

    live(publication, test)


def test_nothing_is_written_over(feed: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_bytes(b"mine")
    with pytest.raises(TallygateError) as caught:
        export_feed(feed, tmp_path / "out", link=False, progress=silent)
    assert caught.value.code == "file.exists"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_an_object_that_is_gone(feed: Path, tmp_path: Path) -> None:
    (feed / "stations" / "0" / "8-3.json").unlink()
    with pytest.raises(TallygateError) as caught:
        export_feed(feed, tmp_path / "out", link=False, progress=silent)
    assert caught.value.code == "feed.missing"
    assert caught.value.place.endswith("8-3.json")
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_before_anything_is_published(tmp_path: Path) -> None:
    (tmp_path / "feed").mkdir()
    with pytest.raises(TallygateError) as caught:
        export_feed(tmp_path / "feed", tmp_path / "out", link=False, progress=silent)
    assert caught.value.code == "export.nothing"


def test_a_link_is_not_followed(feed: Path, tmp_path: Path) -> None:
    """What somebody has put there instead of a file leads out of the feed."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (feed / "keys" / "log.vkey").unlink()
    (feed / "keys" / "log.vkey").symlink_to(secret)
    export_feed(feed, tmp_path / "out", link=False, progress=silent)
    assert not os.path.lexists(tmp_path / "out" / "keys" / "log.vkey")
    assert verify(tmp_path / "out", processes=0).agrees is False


def test_the_command(
    published: Publication,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = Program(monkeypatch, capsys)
    night = tmp_path / "night"
    night.mkdir()
    (night / "tallygate.toml").write_bytes(b"")
    ended = program("export", night, "--out", tmp_path / "out")
    assert (ended.code, ended.err.splitlines()[-1].rpartition(" ")[2]) == (1, "[export.nothing]")
    shutil.copytree(published.feed, night / "feed")
    line = json.loads(program.good("export", night, "--out", tmp_path / "out", "--json"))
    assert (line["snapshot"], line["entries"], line["exports"]) == (3, 4, 3)
    said = program.good("export", night, "--out", tmp_path / "linked", "--link")
    assert f"tallygate-observe verify {tmp_path / 'linked'}" in said
    assert program("export", night).code == 2
