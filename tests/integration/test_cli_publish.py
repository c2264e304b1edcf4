"""`tallygate publish`: what it refuses to start with, its files' modes, its unit, its words in the docs."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.base.clock import start_clock, system_clock
from gateway.base.metrics import GATE_RULES, PublishMetrics
from tests.peers import require_program

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "hill-country"
PATIENCE = 30


def tallygate(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "gateway.cli", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(tallygate(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)


def make(folder: Path, settings: str = "") -> Path:
    """A rehearsal's night on free ports, of the example with a setting more."""
    election = Path(shutil.copytree(EXAMPLE, folder / "election"))
    file = election / "election.toml"
    file.write_text(settings + file.read_text())
    night = folder / "night"
    done = run("init", night, "--election", election, "--rehearsal")
    assert done.returncode == 0, done.stderr
    config = night / "tallygate.toml"
    config.write_text(re.sub(r":(8443|8080|964\d)\b", ":0", config.read_text()))
    start_clock(night / "clock.json", system_clock())
    return night


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def night(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "night"))


def refusal(night: Path) -> str:
    """The code with which it does not start, after which there is no ready file."""
    done = run("publish", night)
    assert done.returncode == 1, done.stderr
    assert not (night / "run" / "publish.json").exists()
    last = done.stderr.splitlines()[-1]
    found = re.fullmatch(r"error: .* \[([a-z_.]+)\]", last)
    assert found is not None, last
    return found[1]


def test_an_embargo_that_could_not_be_kept(tmp_path: Path) -> None:
    night = make(tmp_path, "publish_at = 2031-10-05T22:00:00+06:00\n")
    (night / "embargo").chmod(0o755)
    assert refusal(night) == "embargo.readable"
    shutil.rmtree(night / "embargo")
    (night / "embargo").symlink_to("feed/hidden")
    (night / "feed" / "hidden").mkdir(mode=0o750)
    assert refusal(night) == "embargo.folder"
    assert [path.name for path in (night / "feed").iterdir()] == ["hidden"]


def test_it_needs_the_key_of_snapshots_and_not_that_of_the_log(night: Path) -> None:
    (night / "keys" / "snapshot.key").unlink()
    assert refusal(night) == "keys.snapshot"
    (night / "keys" / "snapshot.key").write_bytes(bytes(31))
    assert refusal(night) == "file.not_private"
    (night / "keys" / "snapshot.key").chmod(0o600)
    assert refusal(night) == "keys.snapshot"


def test_rubbish_in_its_record(night: Path) -> None:
    (night / "data" / "last-snapshot").write_text("rubbish")
    assert refusal(night) == "publish.record"


def test_a_picture_that_is_not_there(night: Path) -> None:
    shutil.rmtree(night / "information" / "media")
    assert refusal(night) == "manifest.missing"


def test_wrong_usage_and_no_night(tmp_path: Path) -> None:
    assert run("publish").returncode == 2
    assert refusal_of_nothing(tmp_path).endswith("[night.missing]")


def refusal_of_nothing(folder: Path) -> str:
    done = run("publish", folder)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def until_published(night: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not (night / "feed" / "latest.json").exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_feed_is_for_everybody_and_the_rest_is_not(night: Path) -> None:
    """Also under a strict umask: who serves the feed is another user."""
    before = os.umask(0o077)
    try:
        roles = [
            subprocess.Popen(tallygate(role, night), cwd=ROOT, stderr=subprocess.DEVNULL)
            for role in ("ingest", "publish")
        ]
    finally:
        os.umask(before)
    try:
        until_published(night)
    finally:
        for role in roles:
            role.terminate()
        assert [role.wait(PATIENCE) for role in roles] == [0, 0]
    for path in (night / "feed").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.is_dir() else 0o644), path
    assert stat.S_IMODE((night / "data").stat().st_mode) == 0o750
    record = json.loads((night / "data" / "last-snapshot").read_bytes())
    assert (record["number"], record["clean"]) == (1, True)


def test_a_wrong_snapshot_key_publishes_nothing(night: Path) -> None:
    key = night / "keys" / "snapshot.key"
    key.write_bytes(bytes(32))
    ingest = subprocess.Popen(tallygate("ingest", night), cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        assert refusal(night) == "keys.snapshot"
    finally:
        ingest.terminate()
        assert ingest.wait(PATIENCE) == 0
    assert not (night / "feed" / "latest.json").exists()


def test_every_metric_and_rule_stands_in_the_docs() -> None:
    docs = (ROOT / "docs" / "operations.md").read_text()
    registry = PublishMetrics("1", process=False).registry
    for metric in registry.collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        assert f"`{name}" in docs, name
    feed = (ROOT / "docs" / "feed.md").read_text()
    rules = re.findall(r"^\| `([a-z]+)` \|", feed[feed.index("\n## The gate") :], re.MULTILINE)
    assert tuple(rules) == GATE_RULES


def test_systemd_finds_the_unit_good_and_tight(tmp_path: Path) -> None:
    analyze = require_program("systemd-analyze")
    unit = tmp_path / "tallygate-publish@night.service"
    source = (ROOT / "packaging" / "systemd" / "tallygate-publish@.service").read_text()
    unit.write_text(source.replace("/opt/tallygate/bin/tallygate", "/bin/true"))
    checked = subprocess.run([analyze, "verify", unit], capture_output=True, text=True)
    said = [line for line in checked.stderr.splitlines() if unit.name in line]
    assert (checked.returncode, said) == (0, [])
    # At most 1.5 of 10, the promise of the design.
    tight = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=15", unit], capture_output=True, text=True
    )
    assert tight.returncode == 0, tight.stdout
