"""The operator's commands as a new user meets them: pause, resume, station, information publish."""

import csv
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.base.clock import MINUTE, parse_time
from gateway.feed.models import Latest
from gateway.feed.reading import read_latest
from gateway.run import station as module
from gateway.run.folder import NightFolder, ReadyFile, read_ready, write_ready
from gateway.run.information import MOST_LISTED
from gateway.run.station import Knock, Refused, StationTold
from gateway.sequencer.protocol import DeviceNow, LastPacket, RefusalNow, StationNow
from tests.integration.gateway_cli import Program
from tests.integration.test_cli_serve import EXAMPLES, Gateways, run, until

STATION = 101
CLOSES = parse_time("2031-10-05T14:00:00Z")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rehearsal's night on free ports, made once."""
    night = tmp_path_factory.mktemp("made") / "night"
    done = run("init", night, "--election", EXAMPLES / "hill-country", "--rehearsal")
    assert done.code == 0, done.err
    config = night / "tallygate.toml"
    config.write_text(re.sub(r":(8443|8080|964[0-3])\b", ":0", config.read_text()))
    return night


@pytest.fixture
def night(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "night"))


@pytest.fixture
def serving_at(tmp_path: Path) -> Iterator[Gateways]:
    found = Gateways(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The officials' folder, to be changed."""
    return Path(shutil.copytree(EXAMPLES / "hill-country", tmp_path / "hill-country"))


# --- pause and resume ---


def test_a_pause_needs_nothing_that_runs(night: Path, program: Program) -> None:
    file = night / "data" / "pause.json"
    out = program.good("pause", night, "--reason", "A wrong file was loaded.")
    assert re.search(r"^since        2031-10-05T13:45:00.000Z$", out, re.MULTILINE)
    assert "publish does not run; it does as ordered when it starts" in out
    assert json.loads(file.read_bytes()) == {
        "since": "2031-10-05T13:45:00.000Z",
        "reason": "A wrong file was loaded.",
    }
    again = program.good("pause", night, "--reason", "Another reason.")
    assert "it was paused before" in again
    [alarm] = [
        one
        for one in json.loads(program.good("status", night, "--json"))["alarms"]
        if one["name"] == "PausedByOperator"
    ]
    assert "Another reason." in alarm["words"]
    assert "tallygate resume" in alarm["todo"]
    assert "the operator's pause has ended" in program.good("resume", night)
    assert not file.exists()
    assert "no operator has paused" in program.good("resume", night)


def test_a_pause_needs_no_clock_either(night: Path, program: Program) -> None:
    (night / "clock.json").write_text("nonsense")
    program.good("pause", night, "--reason", "Stop.")
    assert (night / "data" / "pause.json").exists()


@pytest.mark.parametrize("reason", ["", "two\nlines", "\x1b[2J"])
def test_a_pause_without_a_reason_that_the_public_can_read(
    night: Path,
    program: Program,
    reason: str,
) -> None:
    ended = program("pause", night, "--reason", reason)
    assert (ended.code, "[pause.reason]" in ended.err) == (1, True)
    assert not (night / "data" / "pause.json").exists()


def latest(night: Path) -> Latest:
    return read_latest((night / "feed" / "latest.json").read_bytes())


def test_a_running_night_pauses_at_once_and_through_a_kill(
    night: Path,
    serving_at: Gateways,
) -> None:
    config = night / "tallygate.toml"
    config.write_text(re.sub(r"(?m)^start = .*", 'start = ["ingest", "publish"]', config.read_text()))
    serving, _, _ = serving_at.serve(night)
    until((night / "feed" / "latest.json").exists)
    paused = run("pause", night, "--reason", "Station 101 is looked into.")
    assert paused.code == 0, paused.err
    [said] = re.findall(r"public       snapshot (\d+) says so", paused.out)
    found = latest(night).paused
    assert found is not None
    assert (found.by, found.reason) == ("operator", (("en", "Station 101 is looked into."),))
    before = read_ready(NightFolder(night).ready("publish"))
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)

    def back() -> bool:
        ready = read_ready(NightFolder(night).ready("publish"))
        return ready is not None and ready.pid != before.pid

    until(back)
    shown = run("station", night, str(STATION))
    assert "paused by the operator" in shown.out, shown.err
    assert latest(night).snapshot >= int(said)
    assert latest(night).paused == found
    resumed = run("resume", night)
    assert re.search(r"public       snapshot \d+ has the figures of 3 entries", resumed.out), resumed.out
    assert latest(night).paused is None
    # What `ingest` tells of the station's devices is there, too.
    status = json.loads(run("station", night, str(STATION), "--json").out)["station"]
    assert status["told"]
    assert [device["kind"] for device in status["devices"]] == ["box", "terminal", "desk"]
    assert serving.end() == 0


# --- station ---


def told(
    *,
    refused: Refused | None = None,
    refusals: tuple[RefusalNow, ...] = (),
    last: int | None = 2,
    **fields: object,
) -> StationTold:
    """What `ingest` tells of one box."""
    logged = None if last is None else LastPacket(last, "ab" * 32)
    box = DeviceNow(1, "box", "SN-1", revoked=bool(fields.get("revoked")), last=logged)
    devices = () if fields.get("nobody") else (box,)
    now = StationNow(STATION, CLOSES + 30 * MINUTE, False, devices, refusals)
    good = None if fields.get("silent") else 1
    return StationTold(now, (Knock(1, good, refused),))


@pytest.fixture
def ingest(
    night: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[StationTold], None]:
    """An `ingest` that says what a test says."""

    def say(answer: StationTold) -> None:
        ready = ReadyFile(os.getpid(), "2031-10-05T13:45:00.000Z", operations=("127.0.0.1:1",))
        write_ready(NightFolder(night).ready("ingest"), ready)
        monkeypatch.setattr(module, "ask", lambda _address, _path: msgspec.json.encode(answer))

    return say


def test_a_station_without_ingest(night: Path, program: Program) -> None:
    out = program.good("station", night, str(STATION))
    lines = out.splitlines()
    assert lines[0].startswith("station      101: № 101")
    assert "1,014 registered" in lines[0]
    assert lines[1].count(" › ") == 2
    assert "2031-10-05 20:00:00 Asia/Bishkek" in lines[2]
    assert "(by the roster; decisions are not asked)" in out
    assert "published    nothing yet" in out
    assert "to do        ingest does not answer" in out


def test_a_station_that_is_none(night: Path, program: Program) -> None:
    ended = program("station", night, "999")
    assert (ended.code, "[station.unknown]" in ended.err) == (1, True)
    assert program("station", night, "0").code == 2


def refusal(code: str) -> RefusalNow:
    return RefusalNow(CLOSES, code, 1, "cd" * 32)


@pytest.mark.parametrize(
    ("answer", "line", "todo"),
    [
        (told(), "box 1        SN-1, logged up to its number 2, nothing published", "nothing"),
        (told(last=None, silent=True), "nothing logged", "nothing has ever come from box 1"),
        (told(nobody=True), "devices      none is assigned", "no device is assigned"),
        (told(revoked=True), "REVOKED", "box 1 is revoked by a decision 2"),
        (
            told(refused=Refused(1, "expired", "invalid peer certificate", "10.0.0.9:4711", 3)),
            "refused 3 × since, last ",
            "box 1 was refused 3 times: its certificate is past its dates",
        ),
        (
            told(refused=Refused(1, "unknown_ca", "\x1b[31mred", "10.0.0.9:4711", 1)),
            "\\x1b[31mred",
            "box 1 was refused once: its certificate is of another election",
        ),
        (
            told(refusals=(refusal("statement.signature"),)),
            "refused      2031-10-05 20:00:00 statement.signature, device 1",
            "its signature does not verify",
        ),
        # It comes again by itself.
        (told(refusals=(refusal("statement.too_early"),)), "meaning      statement.too_early: ", "nothing"),
    ],
    ids=["well", "silent", "nobody", "revoked", "expired", "stranger", "signature", "too early"],
)
def test_a_station_as_ingest_sees_it(
    night: Path,
    program: Program,
    ingest: Callable[[StationTold], None],
    answer: StationTold,
    line: str,
    todo: str,
) -> None:
    ingest(answer)
    out = program.good("station", night, str(STATION))
    assert line in out
    assert f"to do        {todo}" in out or re.search(f"to do .*{re.escape(todo)}", out)
    # As the decisions have it.
    assert "2031-10-05 20:30:00 Asia/Bishkek" in out
    assert "\x1b" not in out


def test_a_station_for_scripts(
    night: Path,
    program: Program,
    ingest: Callable[[StationTold], None],
) -> None:
    ingest(told(refusals=(refusal("statement.signature"),)))
    found = json.loads(program.good("station", night, str(STATION), "--json"))
    assert found["station"]["closes_at"] == CLOSES + 30 * MINUTE
    assert found["station"]["refusals"][0]["code"] == "statement.signature"
    assert found["sentences"]["statement.signature"]
    assert found["todo"]


# --- information ---


def shown(night: Path) -> str:
    return (night / "data" / "information").read_text().strip()


def test_new_texts_are_published(night: Path, folder: Path, program: Program) -> None:
    same = program.good("information", "publish", night, EXAMPLES / "hill-country")
    assert "already: nothing has changed" in same
    first = shown(night)
    rename(folder, "address_en", "1 New Street")
    out = program.good("information", "publish", night, folder)
    assert "with the next snapshot" in out
    assert shown(night) != first
    assert f"information  {shown(night)}" in out
    for one in (first, shown(night)):
        assert (night / "informations" / one / "information.json").exists()
        assert list((night / "informations" / one / "media").iterdir())
    assert {path.name for path in (night / "informations").iterdir()} == {first, shown(night)}
    assert not list(night.glob(".informations*"))
    done = json.loads(program.good("information", "publish", night, folder, "--json"))
    assert (done["information"], done["new"], done["differences"]) == (shown(night), False, [])


def test_publish_can_read_what_a_careful_operator_makes(night: Path, folder: Path, program: Program) -> None:
    """Whatever the operator's umask: publish may run as another user."""
    before = os.umask(0o077)
    try:
        program.good("information", "publish", night, folder)
    finally:
        os.umask(before)
    made = night / "informations"
    for path in (made, *made.rglob("*"), night / "data" / "information"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def rename(folder: Path, column: str, text: str, row: int = 1) -> None:
    path = folder / "stations.csv"
    rows = list(csv.reader(path.read_text().splitlines()))
    rows[row][rows[0].index(column)] = text
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def test_what_would_change_the_definition_is_named(
    night: Path,
    folder: Path,
    program: Program,
) -> None:
    rename(folder, "registered", "1015")
    toml = folder / "election.toml"
    toml.write_text(toml.read_text().replace('headline = "machine"', 'headline = "protocol"'))
    ended = program("information", "publish", night, folder)
    assert (ended.code, "[information.definition]" in ended.err) == (1, True)
    assert 'election.toml: headline: ""machine"" in the night, ""protocol"" in the folder' in ended.out
    assert 'stations.csv: station 101: registered: "1014" in the night, "1015" in the folder' in ended.out
    assert not (night / "data" / "information").exists()
    assert not (night / "informations").exists()


def test_another_country_is_not_listed_to_its_end(
    night: Path,
    folder: Path,
    program: Program,
) -> None:
    for row in range(1, 42):
        rename(folder, "registered", "77", row)
    found = program("information", "publish", night, folder, "--json")
    differences = json.loads(found.out)["differences"]
    assert (found.code, len(differences), differences[-1]) == (1, MOST_LISTED, "and more")


def test_bad_tables_and_missing_pictures_change_nothing(
    night: Path,
    folder: Path,
    program: Program,
) -> None:
    rename(folder, "registered", "12o4")
    for picture in (folder / "media").iterdir():
        picture.unlink()
    ended = program("information", "publish", night, folder)
    assert ended.code == 1
    assert 'stations.csv:2: registered: "12o4" is not a whole number' in ended.out
    assert "[definition.media_missing]" in ended.out
    assert "what is shown stays as it is" in ended.err
    assert not (night / "informations").exists()


def test_pictures_never_take_the_ledgers_reserve(
    night: Path,
    folder: Path,
    program: Program,
) -> None:
    config = night / "tallygate.toml"
    config.write_text(
        re.sub(r"disk_reserve_bytes = \d+", f"disk_reserve_bytes = {2**52}", config.read_text())
    )
    ended = program("information", "publish", night, folder)
    assert (ended.code, "[information.no_room]" in ended.err) == (1, True)
