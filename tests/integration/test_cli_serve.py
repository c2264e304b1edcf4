"""`tallygate serve`, `ingest` and `verify` as a new user meets them: processes, curl, promtool and Go."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

from gateway import _core
from gateway.base.clock import start_clock, system_clock
from gateway.run.folder import NightFolder, ReadyFile, read_ready
from tests.peers import require_program
from tests.peers.gocheck import GoCheck

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PROGRAMS = Path(sys.executable).parent

Line: TypeAlias = Mapping[str, object]


def tallygate(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "gateway.cli", *map(str, arguments)]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def run(*arguments: str | Path, cwd: Path = ROOT) -> Ended:
    done = subprocess.run(tallygate(*arguments), cwd=cwd, capture_output=True, text=True)
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rehearsal's night on free ports, made once."""
    night = tmp_path_factory.mktemp("made") / "night"
    done = run("init", night, "--election", EXAMPLES / "hill-country", "--rehearsal")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"Next:        tallygate serve {night}"
    config = night / "tallygate.toml"
    config.write_text(re.sub(r":(8443|8080|964[0-3])\b", ":0", config.read_text()))
    return night


@pytest.fixture
def whole_night(made: Path, tmp_path: Path) -> Path:
    """With all its roles."""
    (tmp_path / "examples").symlink_to(EXAMPLES)
    return Path(shutil.copytree(made, tmp_path / "night"))


@pytest.fixture
def night(whole_night: Path) -> Path:
    """Only with the role that most tests here are about."""
    config = whole_night / "tallygate.toml"
    config.write_text(re.sub(r"(?m)^start = .*", 'start = ["ingest"]', config.read_text()))
    return whole_night


def until(condition: Callable[[], bool]) -> None:
    """Looks until it holds; what another process does is no event here, and pytest's timeout is the bound."""
    while not condition():
        time.sleep(0.01)


class Running:
    """A process of ours; its stderr goes to a file, its stdout is read line by line."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = (folder / f"{len(list(folder.glob('*.log')))}.log").open("w+b")
        self.process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )

    def lines_until(self, pattern: str) -> list[str]:
        """Lines of stdout up to one that the pattern fits."""
        assert self.process.stdout is not None
        found: list[str] = []
        for line in self.process.stdout:
            found.append(line.removesuffix("\n"))
            if re.search(pattern, line):
                return found
        raise AssertionError(f"it has ended without {pattern}: {found} {self.said()}")

    def said(self) -> str:
        """Everything on stderr so far."""
        return Path(self._log.name).read_text()

    def log(self) -> list[Line]:
        return [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it with a signal; its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait()
        self.close()
        return code

    def close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()


class Gateways:
    """Starts processes and leaves none behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Running] = []

    def start(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Running:
        running = Running(arguments, self._folder, environment)
        self._started.append(running)
        return running

    def serve(self, night: Path) -> tuple[Running, list[str], ReadyFile]:
        """Serves until ready; the board up to there."""
        running = self.start(tallygate("serve", night))
        board = running.lines_until("^  curl ")
        return running, board, the_ready(night)

    def ingest(self, night: Path, environment: Mapping[str, str] | None = None) -> tuple[Running, ReadyFile]:
        """The role alone, until its file is there."""
        running = self.start(tallygate("ingest", night), environment)
        return running, wait_ready(night, running)

    def stop(self) -> None:
        for one in self._started:
            if one.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(one.process.pid, signal.SIGKILL)
                one.process.wait()
            one.close()


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[Gateways]:
    found = Gateways(tmp_path)
    yield found
    found.stop()


def the_ready(night: Path) -> ReadyFile:
    ready = read_ready(NightFolder(night).ready("ingest"))
    assert ready is not None
    return ready


def wait_ready(night: Path, running: Running) -> ReadyFile:
    """Looks for the role's own file: only systemd would be told."""

    def is_there() -> bool:
        assert running.process.poll() is None, running.said()
        ready = read_ready(NightFolder(night).ready("ingest"))
        return ready is not None and ready.pid == running.process.pid

    until(is_there)
    return the_ready(night)


def shell(line: str, cwd: Path) -> Ended:
    """Runs a line as a user would, with our programs on the path."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", line], cwd=cwd, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class Box:
    """Box 1, made and used with the lines that the board prints."""

    def __init__(self, board: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._init, self._sign, self.send_line, self.curl = (line.strip() for line in board[-4:])

    def sign(self) -> Path:
        for line in (self._init, self._sign):
            done = shell(line, self._folder)
            assert done.code == 0, done.err
        return self._folder / "box" / "statements" / "000001.cose"

    def send(self) -> tuple[str, Mapping[str, str], str]:
        """The printed line; status, headers, body."""
        done = shell(f"{self.curl} -sS -i", self._folder)
        assert done.code == 0, done.err
        head, _, body = done.out.partition("\n\n")
        status, *lines = head.splitlines()
        headers = dict(line.split(": ", 1) for line in lines)
        return status, headers, body


def health(ready: ReadyFile, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{ready.operations[0]}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_way_of_a_new_user(whole_night: Path, gateways: Gateways, tmp_path: Path) -> None:
    require_program("curl")
    night = whole_night
    running, board, ready = gateways.serve(night)
    address = ready.box[0]
    assert board[0] == f"night        {night}"
    assert board[1] == "election     hill-country-2031-rehearsal (rehearsal)"
    assert board[2].startswith("clock        2031-10-05T13:45:0")
    assert f"ingest       ready, process {ready.pid}; 3 entries" in board
    assert f"box port     https://{address} (mutual TLS)" in board
    assert f"log key      {ready.log_key}" in board
    for role in ("publish", "web", "monitor"):
        assert sum(line.startswith(f"{role:<13}ready, process ") for line in board) == 1
    [results] = [line.split("http://")[1] for line in board if line.startswith("results ")]
    assert "running      ingest, publish, web, monitor; Ctrl-C ends the night's service" in board
    assert f"look         tallygate status {night} --watch" in board

    box = Box(board, tmp_path)
    statement = box.sign()
    status, headers, receipt = box.send()
    assert (status, headers["Tallygate-Outcome"], headers["Tallygate-Index"]) == (
        "HTTP/1.1 201 Created",
        "accepted",
        "3",
    )
    (tmp_path / "receipt").write_text(receipt)
    status, headers, again = box.send()
    assert (status, headers["Tallygate-Outcome"], headers["Tallygate-Index"]) == (
        "HTTP/1.1 200 OK",
        "duplicate",
        "3",
    )
    assert again == receipt
    judged = shell(
        f"tallygate-observe receipt receipt --statement {statement} --log-key '{ready.log_key}'", tmp_path
    )
    assert judged.code == 0, judged.err
    assert "proved: the log holds this statement" in judged.out

    for path, answer in (("/livez", "ok\n"), ("/readyz", "ready\n"), ("/startupz", "ready\n")):
        assert health(ready, path) == (200, answer)
    assert 'tallygate_statements_total{outcome="accepted"} 1.0\n' in health(ready, "/metrics")[1]

    # The same with the box's own program, which finds its statement delivered already.
    sent = shell(box.send_line, tmp_path)
    assert sent.code == 0, sent.err

    # What the world reads follows within seconds, and the second implementation agrees.
    def is_published() -> bool:
        latest = fetch(f"{results}latest.json")
        return latest is not None and json.loads(latest)["log"]["size"] == 4

    until(is_published)
    page = fetch(results) or b""
    assert b"<strong>REHEARSAL</strong>" in page
    assert b"0 of 41 stations counted" in page
    monitor = read_ready(NightFolder(night).ready("monitor"))
    assert monitor is not None
    until(lambda: "\ntallygate_replay_matches 1.0\n" in health(monitor, "/metrics")[1])
    seen = json.loads(run("status", night, "--json").out)
    assert {role["role"]: role["state"] for role in seen["status"]["roles"]} == dict.fromkeys(
        ("ingest", "publish", "web", "monitor"), "ready"
    )
    assert seen["status"]["statements"]["accepted"] == 1
    assert seen["status"]["progress"]["opened"] == 1
    assert seen["status"]["publication"]["replay_matches"] is True
    assert {expiry["name"] for expiry in seen["status"]["expiries"]} == {"server", "ca", "crl"}
    assert seen["alarms"] == []

    proved = run("verify", night)
    assert (proved.code, "4 entries read over the socket of the running night" in proved.out) == (0, True)
    assert running.end(signal.SIGINT) == 0
    assert list((night / "run").glob("*.json")) == []
    lines = running_log(tmp_path)
    assert [line["event"] for line in lines if line["role"] == "ingest"] == [
        "role.starting", "ledger.proved", "role.ready", "role.stopping", "role.stopped",
    ]  # fmt: skip
    for role in ("publish", "web", "monitor"):
        assert [line["event"] for line in lines if line["role"] == role][-1] == "role.stopped"
    assert {line["level"] for line in lines} == {"info"}
    proved = run("verify", night, "--json")
    found = json.loads(proved.out)
    assert (proved.code, found["good"], found["source"], found["entries"]) == (0, True, "stopped", 4)
    assert (found["packets"], found["devices"], found["decisions"]) == (1, 1, 3)


def fetch(place: str) -> bytes | None:
    """What a reader gets; None: it is not there yet."""
    try:
        with urllib.request.urlopen(f"http://{place}") as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        error.close()
        return None


def running_log(folder: Path) -> list[Line]:
    return [json.loads(line) for line in (folder / "0.log").read_text().splitlines()]


def test_go_accepts_a_receipt_of_the_gateway(night: Path, gateways: Gateways, tmp_path: Path) -> None:
    require_program("curl")
    program = GoCheck.build(tmp_path)
    _, board, ready = gateways.serve(night)
    box = Box(board, tmp_path)
    statement = box.sign()
    (tmp_path / "receipt").write_text(box.send()[2])
    assert ready.log_key is not None
    outcome = program.receipts(ready.log_key, [(tmp_path / "receipt", statement)])
    assert outcome.status == 0, outcome.err


def test_promtool_has_nothing_to_say_about_a_gateway(night: Path, gateways: Gateways) -> None:
    promtool = require_program("promtool")
    _, _, ready = gateways.serve(night)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=health(ready, "/metrics")[1], capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_kill_9_of_role_or_supervisor_loses_nothing(night: Path, gateways: Gateways, tmp_path: Path) -> None:
    require_program("curl")
    running, board, ready = gateways.serve(night)
    box = Box(board, tmp_path)
    box.sign()
    box.send()
    os.kill(ready.pid, signal.SIGKILL)
    [line] = running.lines_until("^ingest ")[-1:]
    again = the_ready(night)
    assert line == f"ingest       ready again, process {again.pid}; 4 entries"
    box.curl = box.curl.replace(ready.box[0], again.box[0])
    assert box.send()[1]["Tallygate-Index"] == "3"

    os.kill(running.process.pid, signal.SIGKILL)
    running.wait()
    # Its role ends with it: whoever comes next may have to wait for that, and is told so.
    while (next_one := gateways.start(tallygate("serve", night))).process.stdout:
        try:
            next_one.lines_until("^ingest ")
            break
        except AssertionError:
            assert "[role.running]" in next_one.said()
    last = the_ready(night)
    assert last.entries == 4
    box.curl = box.curl.replace(again.box[0], last.box[0])
    assert box.send()[1]["Tallygate-Index"] == "3"


def test_a_second_instance_says_who_is_there(night: Path, gateways: Gateways) -> None:
    running, _, ready = gateways.serve(night)
    for command, pid in (("serve", running.process.pid), ("ingest", ready.pid)):
        ended = run(command, night)
        assert ended.code == 1
        said = ended.err.splitlines()[-1]
        assert said.startswith(f"error: {night}/run/{command}.lock: process {pid} on ")
        assert said.endswith("stop it first [role.running]") or "kill -TERM" in said


def is_counted(ready: ReadyFile, counted: str) -> bool:
    return f"tallygate_tls_reloads_total{{{counted}\n" in health(ready, "/metrics")[1]


def test_sighup_reads_the_certificates_again_and_keeps_the_old_ones_where_they_are_broken(
    night: Path, gateways: Gateways, tmp_path: Path
) -> None:
    require_program("curl")
    running, board, ready = gateways.serve(night)
    box = Box(board, tmp_path)
    box.sign()
    crl = night / "pki" / "crl.pem"
    good = crl.read_bytes()
    for content, counted in ((b"nonsense", 'result="failed"} 1.0'), (good, 'result="ok"} 1.0')):
        crl.write_bytes(content)
        running.process.send_signal(signal.SIGHUP)
        until(partial(is_counted, ready, counted))
        assert box.send()[0] in ("HTTP/1.1 201 Created", "HTTP/1.1 200 OK")
    assert [line["event"] for line in running.log()][-2:] == ["tls.reload_failed", "tls.reloaded"]


def log_key(night: Path) -> tuple[bytes, str]:
    """The log's private key and its name."""
    seed = (night / "keys" / "log.key").read_bytes()
    opening = min((night / "data" / "opening").glob("*.cose"))
    match _core.decode(opening.read_bytes()).content:
        case (_, _, _, _, _, (1, str() as origin, *_)):
            return seed, origin
    raise AssertionError("no opening")


def test_a_ledger_that_is_behind_what_was_published_is_not_served(night: Path, gateways: Gateways) -> None:
    running, _, _ = gateways.serve(night)
    assert running.end() == 0
    seed, origin = log_key(night)
    (night / "feed" / "log").mkdir()
    note = _core.NoteSigner(origin, seed).sign_checkpoint(1_000, bytes(32))
    (night / "feed" / "log" / "checkpoint").write_text(note)
    ended = run("serve", night)
    assert ended.code == 1
    assert "[ledger.behind]" in ended.err
    assert ended.err.splitlines()[-1].endswith("[serve.failed]")
    assert "[ledger.behind]" in run("verify", night).err


def test_a_damaged_ledger_is_salvaged(night: Path, gateways: Gateways, tmp_path: Path) -> None:
    running, _, _ = gateways.serve(night)
    assert running.end() == 0
    entries = run("verify", night).out.splitlines()[0]
    (night / "data" / "ledger.mark").unlink()
    refused = run("verify", night)
    assert (refused.code, refused.out) == (1, "")
    assert "[ledger.incomplete]" in refused.err
    assert run("verify", night, "--salvage", tmp_path / "new", "--json").code == 2
    made = run("verify", night, "--salvage", tmp_path / "new")
    assert made.code == 0, made.err
    assert made.out.startswith("salvaged     3 entries")
    again = run("verify", night, "--salvage", tmp_path / "new")
    assert (again.code, "[file.exists]" in again.err) == (1, True)
    for file in (tmp_path / "new").iterdir():
        file.replace(night / "data" / file.name)
    assert run("verify", night).out.splitlines()[0] == entries
    assert gateways.serve(night)[2].entries == 3


def test_every_fault_of_the_configuration_is_a_line(night: Path) -> None:
    config = night / "tallygate.toml"
    text = (
        config.read_text()
        .replace("\nconnections = 4096", "\nconnections = 0")
        .replace("crl_stale", "crl_stal")
    )
    config.write_text(text)
    lines = {
        name: number for number, line in enumerate(text.splitlines(), 1) for name in [line.split(" ")[0]]
    }
    for command in ("serve", "ingest"):
        ended = run(command, night)
        assert (ended.code, ended.out) == (1, "")
        stale, connections = ended.err.splitlines()
        assert stale.startswith(f"error: {config}:{lines['crl_stal']}: tls.crl_stal: there is no such key")
        assert connections.startswith(f"error: {config}:{lines['connections']}: limits.connections: 0 is not")


def test_a_folder_that_is_no_night(tmp_path: Path) -> None:
    for command in ("serve", "ingest", "verify"):
        ended = run(command, tmp_path)
        assert (ended.code, "[night.missing]" in ended.err) == (1, True)


# --- The role alone ---


def test_alone_it_waits_for_somebody_who_starts_the_rehearsal(night: Path, gateways: Gateways) -> None:
    running = gateways.start(tallygate("ingest", night))
    until(lambda: "clock.waiting" in running.said())
    start_clock(night / "clock.json", system_clock())
    wait_ready(night, running)
    assert running.end() == 0


def test_who_waits_for_the_clock_can_be_told_to_end(night: Path, gateways: Gateways) -> None:
    running = gateways.start(tallygate("ingest", night))
    until(lambda: "clock.waiting" in running.said())
    assert running.end() == 0
    assert running.log()[-1]["event"] == "role.stopped"


def test_systemd_is_told_and_gives_the_log_key(night: Path, gateways: Gateways, tmp_path: Path) -> None:
    start_clock(night / "clock.json", system_clock())
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (night / "keys" / "log.key").rename(credentials / "log.key")
    (credentials / "log.key").chmod(0o440)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        environment = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "200000",
            "CREDENTIALS_DIRECTORY": str(credentials),
        }
        running, ready = gateways.ingest(night, environment)
        heard: set[bytes] = set()
        while heard != {b"WATCHDOG=1", f"READY=1\nSTATUS=box port {ready.box[0]}; 3 entries".encode()}:
            heard.add(systemd.recv(1_000))
        running.process.send_signal(signal.SIGTERM)
        while systemd.recv(1_000) != b"STOPPING=1":
            pass
        assert running.wait() == 0
    # What is public about the key suffices to prove the log again.
    assert run("verify", night).code == 0
    ended = run("ingest", night)
    assert (ended.code, "[keys.log]" in ended.err) == (1, True)


def test_a_live_night_has_no_clock_of_its_own(tmp_path: Path) -> None:
    built, night = tmp_path / "built", tmp_path / "night"
    assert run("election", "build", EXAMPLES / "hill-country", "--out", built).code == 0
    assert run("init", night, "--definition", built, "--origin", "results.example/test").code == 0
    config = night / "tallygate.toml"
    config.write_text(re.sub(r":(8443|9640)\b", ":0", config.read_text()))
    (night / "clock.json").write_text('{"real_start":null,"segments":[{"at":1,"speed":1}]}')
    ended = run("ingest", night)
    assert (ended.code, "[clock.live]" in ended.err) == (1, True)
    (night / "clock.json").unlink()
    ended = run("ingest", night)
    assert (ended.code, "ledger.not_open" in ended.err, "[tls.file]" in ended.err) == (1, True, True)
    ended = run("verify", night)
    assert (ended.code, "[verify.not_open]" in ended.err) == (1, True)


def test_a_disk_that_takes_nothing_any_more_ends_the_role_with_one_clear_line(
    night: Path, gateways: Gateways, tmp_path: Path
) -> None:
    require_program("curl")
    running, board, _ = gateways.serve(night)
    box = Box(board, tmp_path)
    box.sign()
    assert running.end() == 0
    # No file may grow beyond what it has: the next write of the ledger's log fails with EFBIG.
    limited = gateways.start(["sh", "-c", f"ulimit -f 8; exec {' '.join(tallygate('ingest', night))}"])
    box.curl = re.sub(r"https://[^/]+", f"https://{wait_ready(night, limited).box[0]}", box.curl)
    status, _, _ = box.send()
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert limited.wait() == 1
    assert [line["event"] for line in limited.log()][-2:] == ["ledger.failed", "role.failed"]
    last = limited.said().splitlines()[-1]
    assert last.startswith("error: ")
    assert last.endswith("[ledger.failed]")
    assert not NightFolder(night).ready("ingest").exists()
    # With room again the same statement is taken.
    _, board, ready = gateways.serve(night)
    box.curl = board[-1].strip()
    assert box.send()[0] in ("HTTP/1.1 201 Created", "HTTP/1.1 200 OK")
    # Nobody could scrape the process that failed: the next one shows it.
    assert 'tallygate_ledger_failures_total{op="append"} 1.0\n' in health(ready, "/metrics")[1]


def test_fewer_open_files_than_connections_are_a_warning(night: Path, gateways: Gateways) -> None:
    start_clock(night / "clock.json", system_clock())
    limited = gateways.start(["sh", "-c", f"ulimit -n 512; exec {' '.join(tallygate('ingest', night))}"])
    wait_ready(night, limited)
    [warning] = [line for line in limited.log() if line["event"] == "limits.files"]
    assert (warning["open_files"], warning["needed"]) == (512, 5_248)
    assert limited.end() == 0


def test_every_field_of_the_ready_file_stands_in_the_docs() -> None:
    docs = (ROOT / "docs" / "operations.md").read_text()
    assert [field for field in ReadyFile.__struct_fields__ if f'"{field}"' not in docs] == []


@pytest.mark.parametrize("role", ["ingest", "publish", "web", "monitor"])
def test_systemd_finds_the_units_good_and_tight(role: str, tmp_path: Path) -> None:
    analyze = require_program("systemd-analyze")
    unit = tmp_path / f"tallygate-{role}@night.service"
    source = (ROOT / "packaging" / "systemd" / f"tallygate-{role}@.service").read_text()
    unit.write_text(re.sub(r"/opt/tallygate/bin/tallygate\S*", "/bin/true", source))
    checked = subprocess.run([analyze, "verify", unit], capture_output=True, text=True)
    said = [line for line in checked.stderr.splitlines() if unit.name in line]
    assert (checked.returncode, said) == (0, [])
    # At most 1.5 of 10, the promise of the design.
    tight = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=15", unit], capture_output=True, text=True
    )
    assert tight.returncode == 0, tight.stdout
