"""`tallygate-desk` against a real gateway: from a paper, read twice, to a counted protocol of the feed."""

import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from clients.box import times
from clients.desk import desk as desks
from clients.desk.cli import main
from clients.observer.cli import main as observe
from clients.wire.site import Address
from tests.integration.client_cli import Program
from tests.integration.test_cli_box_send import AFTER
from tests.integration.test_cli_serve import EXAMPLES, Gateways, run, until

ROOT = Path(__file__).parents[2]
# 20:20 at station 101, seventeen minutes after the gateway's clock began.
LATER = "2031-10-05T14:30:00Z"
CONTEST = 3
FIGURES = {
    "ballots_received": 900,
    "issued": 700,
    "issued_outside": None,
    "issued_early": None,
    "spoiled": 0,
    "cancelled": 200,
    "lost": 0,
    "in_box": 700,
    "valid": 690,
    "blank": 0,
    "invalid": 10,
    "applications_outside": None,
    "cut_corners": None,
}


@pytest.fixture
def desk_program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


class Served(NamedTuple):
    night: Path
    address: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A night after the close that takes protocols and publishes them."""
    root = tmp_path_factory.mktemp("served")
    night = root / "night"
    options = ("--election", EXAMPLES / "hill-country", "--rehearsal", "--start", AFTER)
    assert run("init", night, *options).code == 0
    config = night / "tallygate.toml"
    text = re.sub(r":(8443|964\d)\b", ":0", config.read_text())
    config.write_text(re.sub(r"(?m)^start = .*", 'start = ["ingest", "publish"]', text))
    gateways = Gateways(root)
    try:
        _, _, ready = gateways.serve(night)
        yield Served(night, ready.box[0])
    finally:
        gateways.stop()


def lines(yes: int, no: int, *, by: str) -> list[str]:
    """What somebody types for one reading of the referendum's paper of station 101."""
    figures = ["-" if value is None else str(value) for value in FIGURES.values()]
    return [by, "1014", "0", "-", *figures, str(yes), str(no), "20:20"]


def paper(station: int, yes: int, no: int, **more: object) -> dict[str, object]:
    """The same as a file."""
    figures = {name: value for name, value in FIGURES.items() if value is not None}
    return {
        "station": station,
        "cause": "first",
        "closed_at": "2031-10-05T20:20:00+06:00",
        "figures": {"registered": 1014},
        "contests": {str(CONTEST): {"figures": figures, "votes": {"1": yes, "2": no}}},
        **more,
    }


class Typist:
    """Somebody at a terminal, who types when he is asked."""

    def __init__(self, *arguments: str | Path) -> None:
        self._terminal, other = pty.openpty()
        command = [sys.executable, "-m", "clients.desk.cli", *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            stdin=other,
            stdout=other,
            stderr=other,
            cwd=ROOT,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
        )
        os.close(other)
        self.shown = ""

    def asked(self) -> None:
        """Reads up to the next prompt: a bold line that ends in a colon."""
        while not re.search(r": \x1b\[0m$", self.shown):
            self._read()

    def type(self, *answers: str) -> None:
        for answer in answers:
            self.asked()
            self.shown += "\n"
            os.write(self._terminal, f"{answer}\n".encode())
            until_echo = len(self.shown)
            while f"{answer}\r\n" not in self.shown[until_echo:]:
                self._read()

    def end(self) -> int:
        while self._read():
            pass
        return self.process.wait()

    def _read(self) -> bool:
        try:
            data = os.read(self._terminal, 65_536)
        except OSError:  # EIO: the program has closed its side
            data = b""
        self.shown += data.decode()
        return bool(data)

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._terminal)


@pytest.fixture
def typists() -> Iterator[Callable[..., Typist]]:
    started: list[Typist] = []

    def start(*arguments: str | Path) -> Typist:
        started.append(Typist(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def protocol_of(feed: Path, station: int) -> Mapping[str, object] | None:
    """The count of a station's referendum in the newest snapshot, with the station's codes."""
    try:
        latest = json.loads((feed / "latest.json").read_bytes())
    except FileNotFoundError:
        return None
    area = json.loads(
        (feed / "areas" / str(latest["root"]["area"]) / f"{latest['root']['sha256']}.json").read_bytes()
    )
    pending = [area]
    while pending:
        area = pending.pop()
        for number, sha256 in area["areas"]:
            pending.append(json.loads((feed / "areas" / str(number) / f"{sha256}.json").read_bytes()))
        for row in area["rows"]:
            if row[0] == station:
                for contest, source, state, _, votes in row[5]:
                    if (contest, source) == (CONTEST, 2):
                        return {"state": state, "votes": votes, "codes": row[4], "version": row[1]}
    return None


def in_feed(served: Served, station: int, **expected: object) -> Mapping[str, object]:
    """The count, once it is what is expected."""
    found: list[Mapping[str, object]] = []

    def there() -> bool:
        count = protocol_of(served.night / "feed", station)
        if count is None or any(count[name] != value for name, value in expected.items()):
            return False
        found.append(count)
        return True

    until(there)
    return found[0]


def test_from_a_paper_to_the_feed(
    served: Served, desk_program: Program, tmp_path: Path, typists: Callable[..., Typist]
) -> None:
    desk, feed = tmp_path / "desk", served.night / "feed"
    said = desk_program.good("init", desk, "--bundle", served.night / "devices")
    assert "is device 82 of hill-country-2031-rehearsal" in said
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(b"%PDF-1.7\n" + bytes(100_000))
    key = ("key", desk, "--language", "ky", "--address", served.address, "--signed-at", LATER)

    # The power goes after nine lines; then the same command goes on.
    typist = typists(*key)
    typist.type("101", str(CONTEST), "0", *lines(400, 290, by="Айгүл")[:10])
    typist.asked()
    os.killpg(typist.process.pid, signal.SIGKILL)
    assert typist.process.wait() == -signal.SIGKILL
    typist = typists(*key)
    typist.type("101", "", *lines(400, 290, by="Айгүл")[10:])
    # The second reader mistypes one line, and both look again.
    typist.type("", *lines(401, 289, by="Бакыт"), "400", "290")
    typist.type(str(scan), "", "+")
    typist.type("/")
    assert typist.end() == 0, typist.shown
    assert "№   1 0 1" in typist.shown
    assert "signed statement 1 of device 82: protocol, station 101" in typist.shown
    assert "everything is delivered" in typist.shown
    assert not list((desk / "drafts").iterdir())

    count = in_feed(served, 101, state="reported")
    assert (count["votes"], count["codes"]) == ([400, 290], [])
    sha256 = hashlib.sha256(scan.read_bytes()).hexdigest()
    until((feed / "attachments" / sha256).exists)
    assert (feed / "attachments" / sha256).read_bytes() == scan.read_bytes()

    # A recount, from two files: it replaces what this desk has sent.
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    for file, no in ((first, 281), (second, 281)):
        file.write_text(json.dumps(paper(101, 409, no, cause="recount")))
    files = ("--from", first, "--again", second)
    ended = desk_program("key", desk, *files, "--address", served.address)
    assert ended.code == 0, ended.err
    statement = json.loads(desk_program.good("status", desk, "--json"))["statements"][0]
    assert f"replaces     {statement['id']}\n" in ended.out
    # Nobody has said the time: it is the rehearsal's, which the gateway knows.
    again = desks.read(desk).signed[1]
    assert AFTER[:10] == times.write(again.signed_at)[:10]
    count = in_feed(served, 101, votes=[409, 281])
    assert (count["state"], "S212" in str(count["codes"])) == ("reported", True)

    # Papers that follow later.
    act = tmp_path / "act.png"
    act.write_bytes(b"\x89PNG\r\n\x1a\n act")
    later = ("documents", desk, "--station", "№ 101", "--scan", act, "--document", "act_or_complaint")
    said = desk_program.good(*later, "--address", served.address, "--signed-at", LATER)
    assert "signed statement 3 of device 82: documents, station 101" in said
    until((feed / "attachments" / hashlib.sha256(act.read_bytes()).hexdigest()).exists)
    assert "all 3 statements" in desk_program.good("status", desk)


def test_the_feed_agrees(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """With messages.json, protocols and scans in it."""
    until((served.night / "feed/latest.json").exists)
    said = Program(observe, capsys).good("verify", served.night / "feed")
    assert "the feed agrees" in said
    published = (served.night / "feed/messages.json").read_bytes()
    assert published == (served.night / "devices/messages.json").read_bytes()


class TestRefusals:
    @pytest.fixture
    def desk(self, served: Served, desk_program: Program, tmp_path: Path) -> Path:
        desk_program.good("init", tmp_path / "desk", "--bundle", served.night / "devices")
        return tmp_path / "desk"

    def test_readings_that_differ(self, desk: Path, desk_program: Program, tmp_path: Path) -> None:
        for name, no in (("a", 290), ("b", 291)):
            (tmp_path / f"{name}.json").write_text(json.dumps(paper(102, 400, no)))
        files = ("--from", tmp_path / "a.json", "--again", tmp_path / "b.json")
        ended = desk_program("key", desk, *files, "--later", "--signed-at", LATER)
        assert ended.code == 1
        assert ended.err.splitlines() == [
            f"error: {tmp_path}/a.json:contests.3.votes.2: 290 here, 291 in {tmp_path}/b.json [desk.differs]",
            "error: nothing was signed",
        ]
        said = desk_program("key", desk, *files, "--later", "--signed-at", LATER, "--json")
        assert json.loads(said.out)["faults"][0]["code"] == "desk.differs"

    def test_a_wrong_scan(self, desk: Path, desk_program: Program, tmp_path: Path) -> None:
        (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.7 one")
        wrong = {"file": "scan.pdf", "document": "protocol", "sha256": "ab" * 32}
        (tmp_path / "a.json").write_text(json.dumps(paper(102, 400, 290, attachments=[wrong])))
        (tmp_path / "picture.png").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
        file = ("key", desk, "--from", tmp_path / "a.json", "--single", "test", "--later")
        ended = desk_program(*file)
        assert ended.code == 1
        assert "attachments.1.sha256: the file's is" in ended.err
        ended = desk_program(
            "documents", desk, "--station", "102", "--scan", tmp_path / "picture.png", "--later"
        )
        assert ended.code == 1
        assert "does not begin like a PDF, PNG, JPEG or TIFF [counts.attachment]" in ended.err
        assert "nothing was signed" in ended.err

    def test_without_a_line_what_is_signed_waits(
        self, desk: Path, desk_program: Program, tmp_path: Path
    ) -> None:
        (tmp_path / "a.json").write_text(json.dumps(paper(103, 400, 290)))
        nobody = ("--address", "127.0.0.1:9")
        file = ("key", desk, "--from", tmp_path / "a.json", "--single", "test", "--signed-at", LATER)
        ended = desk_program(*file, *nobody)
        assert ended.code == 1
        assert "signed statement 1 of device 82" in ended.out
        assert f"`tallygate-desk send {desk}` goes on [send.left]" in ended.err
        assert f"not delivered: tallygate-desk send {desk}" in desk_program.good("status", desk)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--from", "a.json"),
            ("--from", "a.json", "--again", "b.json", "--single", "x"),
            ("--from", "a.json", "--single", " "),
            ("--from", "a.json", "--single", "x", "--station", "101"),
            ("--from", "a.json", "--single", "x", "--json"),
            ("--again", "b.json"),
            ("--json",),
            ("--as-on-paper", "H102"),
            ("--corrects", "xyz"),
            ("--signed-at", "20:20"),
            ("--language", "de"),
        ],
    )
    def test_wrong_usage(self, desk_program: Program, tmp_path: Path, arguments: tuple[str, ...]) -> None:
        assert desk_program("key", tmp_path, *arguments).code == 2
        assert desk_program("documents", tmp_path, "--station", "101").code == 2

    def test_a_gateway_knows_the_stations(self, served: Served, desk: Path) -> None:
        address = Address.parse(served.address)
        assert address is not None
        met = desks.read(desk, (address,)).met()
        assert met.assigned == frozenset(met.definition.stations)
        assert desks.read(desk, (Address("127.0.0.1", 9),)).met().assigned is None

    def test_no_such_station(self, desk: Path, desk_program: Program) -> None:
        ended = desk_program("documents", desk, "--station", "99", "--scan", desk / "device.json", "--later")
        assert (ended.code, "[desk.station]" in ended.err) == (1, True)
        ended = desk_program("key", desk, "--station", "99", "--later")
        assert (ended.code, "[desk.station]" in ended.err) == (1, True)


class TestInit:
    def test_texts_and_lines_come_later(self, served: Served, desk_program: Program, tmp_path: Path) -> None:
        desk, devices = tmp_path / "desk", served.night / "devices"
        desk_program.good("init", desk, "--bundle", devices, "--device", "82")
        (tmp_path / "lines.txt").write_text("valid\ninvalid\n")
        desk_program.good("init", desk, "--lines", tmp_path / "lines.txt")
        assert (desk / "lines.txt").read_text() == "valid\ninvalid\n"
        texts = (desk / "messages.json").read_bytes()
        assert texts == (devices / "messages.json").read_bytes()
        (tmp_path / "messages.json").write_bytes(texts[:-1])
        ended = desk_program("init", desk, "--messages", tmp_path / "messages.json")
        assert (ended.code, "[messages.malformed]" in ended.err) == (1, True)
        assert (desk / "messages.json").read_bytes() == texts
        (tmp_path / "lines.txt").write_text("valid\nmistake\n")
        ended = desk_program("init", desk, "--lines", tmp_path / "lines.txt")
        assert (ended.code, "lines.txt:2: there is no figure of this name" in ended.err) == (1, True)
        assert desk_program("init", desk).code == 1
        assert desk_program("init", tmp_path / "none", "--lines", tmp_path / "lines.txt").code == 1

    def test_a_rehearsal_without_a_desk(self, desk_program: Program, tmp_path: Path) -> None:
        (tmp_path / "bundle.ndjson").write_text("")
        ended = desk_program("init", tmp_path / "desk", "--bundle", tmp_path)
        assert (ended.code, "the rehearsal has no desks" in ended.err) == (2, True)
