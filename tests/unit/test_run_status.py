"""`tallygate status`: what it finds of a night whose roles run, hang, have died, or never began."""

import json
import math
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from gateway.base.clock import DAY, HOUR, RehearsalClock, Segment, format_time
from gateway.base.config import Config, Roles, parse_address, render
from gateway.base.metrics import IngestMetrics, PublishMetrics
from gateway.cli import status as command
from gateway.feed import layout
from gateway.feed.models import Paused, Progress
from gateway.publish.embargo import withhold
from gateway.publish.pause import order_pause
from gateway.run import scrape as module
from gateway.run.alarms import ALARMS, NIGHT, QUIET_DAY, QUIET_NIGHT, Alarm, judge
from gateway.run.folder import NightFolder, ReadyFile, write_ready
from gateway.run.scrape import Metrics, Scrape, scrape
from gateway.run.status import (
    Disk,
    Expiry,
    Look,
    NightStatus,
    OperatorPause,
    Publication,
    Queue,
    RoleStatus,
    Snapshot,
    Statements,
)
from tests.integration.gateway_cli import Program
from tests.unit.pki_helpers import make_ca
from tests.unit.site_feed import SiteFeed

NOW = 1_800_050_000_000
NOBODY = 2**22 + 7  # above what the kernel gives processes here
DOCS = Path(__file__).parents[2] / "docs" / "operations.md"


def samples(registry: CollectorRegistry) -> Metrics:
    """The metrics as a scrape has them."""
    return Metrics(
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    )


class Watched:
    """A night folder, roles that answer as a test says, and looks at it."""

    def __init__(self, root: Path, config: Config | None = None) -> None:
        self.feed = SiteFeed(root)
        self.night = NightFolder(root)
        shutil.copytree(self.feed.root / "definition" / self.feed.named, root / "definition")
        for name in ("run", "data"):
            (root / name).mkdir()
        self.config = config or Config()
        self.night.config.write_bytes(render(self.config))
        self.answers: dict[str, Scrape] = {}
        self.real, self.timer = NOW, 100.0
        self.look = Look(
            self.night,
            self.config,
            real=lambda: self.real,
            timer=lambda: self.timer,
            scrape=lambda address: self.answers.get(address, Scrape(None, Metrics())),
        )

    def runs(
        self, role: str, metrics: Metrics | None = None, state: str | None = "ready", pid: int = 0
    ) -> None:
        address = f"127.0.0.1:{len(self.answers) + 1}"
        ready = ReadyFile(pid or os.getpid(), format_time(NOW), operations=(address,), web=("127.0.0.1:80",))
        write_ready(self.night.run / f"{role}.json", ready)
        self.answers[address] = Scrape(state, metrics or Metrics())

    def states(self) -> dict[str, str]:
        return {role.role: role.state for role in self.look()[0].roles}

    def alarms(self) -> list[str]:
        return [alarm.name for alarm in judge(*self.look())]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_nothing_runs(watched: Watched) -> None:
    seen, _ = watched.look()
    assert set(watched.states().values()) == {"down"}
    assert (seen.progress, seen.snapshot, seen.statements, seen.queue, seen.entries) == (None,) * 5
    assert (seen.stations, seen.mode) == (2, "live")
    assert watched.alarms() == ["NotServing", *["Unreadable"] * 3]  # it has no certificates


def test_what_a_role_is(tmp_path: Path) -> None:
    watched = Watched(tmp_path, Config(roles=Roles(start=("ingest", "publish", "web"))))
    watched.runs("ingest")
    watched.runs("publish", state=None)
    watched.runs("web", pid=NOBODY)
    assert watched.states() == {"ingest": "ready", "publish": "silent", "web": "crashed", "monitor": "off"}
    assert watched.alarms()[:2] == ["TargetDown"] * 2
    watched.runs("ingest", state="nonsense")
    watched.runs("web", state="stopping")
    assert watched.states()["ingest"] == "silent"
    assert watched.states()["web"] == "stopping"


def test_a_role_that_starts_is_found_where_it_was_told_to_be(watched: Watched) -> None:
    address = watched.config.listen.operations_publish
    watched.answers[address] = Scrape("starting", Metrics())
    assert watched.states()["publish"] == "down"  # nobody has ever run here: it is another night's
    (watched.night.run / "publish.lock").touch()
    assert watched.states()["publish"] == "starting"
    watched.answers[address] = Scrape("ready", Metrics())
    assert watched.states()["publish"] == "down"


def test_rates_are_between_two_looks_of_one_process(watched: Watched) -> None:
    def accepted(number: int) -> None:
        metrics = IngestMetrics("test", process=False)
        metrics.statements.labels("accepted").inc(number)
        metrics.statements.labels("limit.overload").inc(2)
        metrics.statements.labels("statement.signature").inc(3)
        watched.answers.clear()
        watched.runs("ingest", samples(metrics.registry))

    accepted(100)
    assert watched.look()[0].statements == Statements(100, 0, 0, 5, None)
    accepted(350)
    watched.timer += 2
    assert watched.look()[0].statements == Statements(350, 0, 0, 5, 125.0)
    accepted(7)
    watched.timer += 2
    assert watched.look()[0].statements == Statements(7, 0, 0, 5, None)


def test_what_the_public_sees(watched: Watched) -> None:
    watched.feed.publish(3)
    os.utime(watched.feed.root / "latest.json", (NOW / 1000 - 4, NOW / 1000 - 4))
    metrics = PublishMetrics("test", process=False)
    for lag in (0.3, 0.4, 9.0):
        metrics.lag.observe(lag)
    metrics.oldest_unpublished.set(1.25)
    watched.runs("publish", samples(metrics.registry))
    seen, _ = watched.look()
    assert seen.snapshot == Snapshot(3, "2027-01-15T20:00:05.250Z", 4.0, 17, "unofficial-partial", None)
    assert seen.progress is not None
    assert (seen.progress.reported, seen.progress.stations) == (1, 2)
    assert seen.publication is not None
    assert seen.publication.oldest_unpublished_seconds == 1.25
    assert seen.publication.replay_matches is None
    assert 0.4 <= (seen.publication.lag_p50_seconds or 0) < 9.0 <= (seen.publication.lag_p99_seconds or 0)


def test_the_operators_pause_is_seen_whatever_runs(watched: Watched) -> None:
    watched.night.pause.write_bytes(b"?")
    seen, _ = watched.look()
    assert seen.operator_pause is not None
    assert "pause.unreadable" in (seen.operator_pause.fault or "")
    order_pause(watched.night.pause, "Stop.", "2027-01-15T20:00:00.000Z")
    seen, _ = watched.look()
    assert seen.operator_pause == OperatorPause("2027-01-15T20:00:00.000Z", "Stop.", None)


def test_what_cannot_be_read_is_said_and_the_rest_is_there(watched: Watched) -> None:
    watched.feed.publish()
    (watched.feed.root / "latest.json").write_bytes(b"{")
    watched.night.clock.write_text("nonsense")
    shutil.rmtree(watched.night.data)
    seen, _ = watched.look()
    assert (seen.snapshot, seen.election_time, seen.disk) == (None, None, None)
    assert len(seen.faults) == 6
    assert any("feed.malformed" in fault for fault in seen.faults)
    assert any("clock.malformed" in fault for fault in seen.faults)


def test_certificates_and_lists(watched: Watched) -> None:
    make_ca(watched.night.root / "pki")
    seen, _ = watched.look()
    found = {expiry.name: expiry for expiry in seen.expiries}
    assert found["ca"].begins < found["ca"].ends
    server, crl = seen.faults
    assert "server.pem: " in server
    assert "crl.pem: " in crl


# --- Alarms ---


def healthy() -> NightStatus:
    """A night with nothing to say."""
    return NightStatus(
        night="night",
        election="example-2027",
        mode="live",
        at=format_time(NOW),
        election_time=format_time(NOW),
        speed=1,
        opens_at=format_time(NOW - DAY),
        closes_at=format_time(NOW),
        timezone="UTC",
        roles=tuple(RoleStatus(role, "ready", 1) for role in ("ingest", "publish", "web", "monitor")),
        progress=None,
        stations=2,
        statements=Statements(5, 0, 0, 0, 1.0),
        entries=9,
        snapshot=Snapshot(4, format_time(NOW), 3.0, 9, "unofficial-partial", None),
        operator_pause=None,
        publication=Publication(0.5, 2.0, 0.0, True),
        queue=Queue(1, 100, 1, 100),
        disk=Disk(100 * 2**30, 2**30),
        expiries=tuple(
            Expiry(name, format_time(NOW - DAY), format_time(NOW + 100 * DAY)) for name in ("server", "crl")
        ),
        faults=(),
    )


def quiet() -> dict[str, Metrics]:
    return {role: Metrics() for role in ("ingest", "publish", "web", "monitor")}


def change(**fields: object) -> NightStatus:
    return msgspec.structs.replace(healthy(), **fields)


def paused(by: str) -> Snapshot:
    assert by in ("gate", "commission")
    pause = Paused("gate" if by == "gate" else "commission", (), "2027-01-15T20:00:00.000Z")
    return Snapshot(4, format_time(NOW), 3.0, 9, "unofficial-partial", pause)


def judged(status: NightStatus, **metrics: Metrics) -> tuple[Alarm, ...]:
    found = {**quiet(), **metrics}
    return judge(
        status,
        {
            "ingest": found["ingest"],
            "publish": found["publish"],
            "web": found["web"],
            "monitor": found["monitor"],
        },
    )


def test_a_good_night_has_no_alarm() -> None:
    assert judged(healthy()) == ()


def one(name: str, value: float, **labels: str) -> Metrics:
    return Metrics([(name, labels, value)])


def expiry(name: str, begins: int, ends: int) -> tuple[Expiry, ...]:
    return (Expiry(name, format_time(NOW + begins), format_time(NOW + ends)),)


def after(closing: int) -> NightStatus:
    """So long behind the close."""
    return change(closes_at=format_time(NOW - closing))


def silent_since(silence: int) -> dict[str, Metrics]:
    return {"ingest": one("tallygate_last_statement_timestamp_seconds", (NOW - silence) / 1000)}


def knocks(good: int, refused: int) -> Metrics:
    name = "tallygate_recent_handshakes"
    return Metrics([(name, {"result": "ok"}, good), (name, {"result": "refused"}, refused)])


DOWN = tuple(RoleStatus(role, "down") for role in ("ingest", "publish", "web", "monitor"))
LATE = (RoleStatus("ingest", "ready", 1, loop_lag_seconds=3.0), *healthy().roles[1:])
CASES = [
    ("NotServing", change(roles=DOWN), {}),
    ("TargetDown", change(roles=(*healthy().roles[:3], DOWN[3])), {}),
    ("LoopLagHigh", change(roles=LATE), {}),
    ("LedgerWriteFailed", healthy(), {"ingest": one("tallygate_ledger_failures_total", 1, op="append")}),
    ("RosterMissing", healthy(), {"ingest": one("tallygate_missing_rosters", 1)}),
    ("ProgramFault", healthy(), {"ingest": one("tallygate_faults_total", 2)}),
    ("LogNotOpen", change(entries=0), {}),
    ("Equivocation", change(statements=Statements(5, 0, 1, 0, None)), {}),
    ("Overload", change(queue=Queue(95, 100, 1, 100)), {}),
    ("Overload", change(queue=Queue(1, 100, 100, 100)), {}),
    ("PublishWriteFailed", healthy(), {"publish": one("tallygate_publish_failures_total", 1, op="sync")}),
    ("ReplayMismatch", change(publication=Publication(0.5, 2.0, 0.0, False)), {}),
    ("PublishLagHigh", change(publication=Publication(0.5, 2.0, 30.0, True)), {}),
    ("GateFailed", change(snapshot=paused("gate")), {}),
    ("Paused", change(snapshot=paused("commission")), {}),
    ("PausedByOperator", change(operator_pause=OperatorPause("2027-01-15T20:00:00.000Z", "Stop.", None)), {}),
    ("PausedByOperator", change(operator_pause=OperatorPause(None, None, "pause.json: ?")), {}),
    ("Paused", change(snapshot=paused("commission"), operator_pause=OperatorPause("x", "Stop.", None)), {}),
    ("PublishNoRoom", change(snapshot=paused("gate")), {"publish": one("tallygate_publish_no_room", 1)}),
    ("RosterMissing", change(snapshot=paused("gate")), {"publish": one("tallygate_missing_rosters", 1)}),
    ("NoPacketsDuringWindow", after(QUIET_NIGHT), silent_since(QUIET_NIGHT)),
    ("NoPacketsDuringWindow", after(-HOUR), silent_since(QUIET_DAY)),
    ("HandshakeRejectsSurge", healthy(), {"ingest": knocks(100, 50)}),
    ("HeartbeatMissing", change(snapshot=Snapshot(4, format_time(NOW), 151.0, 9, "certified", None)), {}),
    ("ClockWaiting", change(election_time=None, speed=None), {}),
    ("DiskReserveLow", change(disk=Disk(2**29, 2**30)), {}),
    ("DiskFilling", change(disk=Disk(2**31, 2**30)), {}),
    ("Expired", change(expiries=expiry("server", -2 * DAY, 0)), {}),
    ("CertificateExpiring", change(expiries=expiry("server", -90 * DAY, DAY)), {}),
    ("CrlExpiring", change(expiries=expiry("crl", -6 * DAY, 5 * DAY)), {}),
    ("Expired", change(expiries=expiry("crl", -6 * DAY, -1)), {}),
    ("Unreadable", change(faults=("clock.json: nonsense",)), {}),
]


@pytest.mark.parametrize(
    ("name", "status", "metrics"), CASES, ids=lambda case: case if isinstance(case, str) else ""
)
def test_an_alarm(name: str, status: NightStatus, metrics: dict[str, Metrics]) -> None:
    [alarm] = judged(status, **metrics)
    assert (alarm.name, alarm.level) == (name, ALARMS[name])
    assert alarm.words
    assert alarm.todo


@pytest.mark.parametrize(
    ("status", "metrics"),
    [
        (after(QUIET_NIGHT - 1), silent_since(QUIET_NIGHT)),
        (after(QUIET_NIGHT), silent_since(QUIET_NIGHT - 1000)),
        (after(NIGHT), silent_since(QUIET_NIGHT)),
        (after(-HOUR), silent_since(QUIET_DAY - 1000)),
        (
            msgspec.structs.replace(after(QUIET_NIGHT), progress=Progress(0, 0, 0, 0, 2, 0, 2, 0, 2)),
            silent_since(QUIET_NIGHT),
        ),
        (healthy(), {"ingest": knocks(0, 19)}),
        (healthy(), {"ingest": knocks(1_000, 200)}),
    ],
)
def test_no_alarm_where_nothing_is_due(status: NightStatus, metrics: dict[str, Metrics]) -> None:
    assert judged(status, **metrics) == ()


def test_every_alarm_has_a_case_and_stands_in_the_docs() -> None:
    assert {name for name, _, _ in CASES} == set(ALARMS)
    docs = DOCS.read_text()
    assert [name for name, level in ALARMS.items() if f"| `{name}` | {level} |" not in docs] == []


def test_the_worst_comes_first() -> None:
    alarms = judged(change(faults=("a",), snapshot=paused("gate"), disk=Disk(0, 1)))
    assert [alarm.level for alarm in alarms] == ["critical", "critical", "warning"]


# --- Asking a role ---


def test_metrics_of_one_scrape() -> None:
    registry = CollectorRegistry()
    Gauge("a", "A.", registry=registry).set(math.nan)
    labelled = Gauge("b", "B.", ["by"], registry=registry)
    labelled.labels("x").set(1)
    labelled.labels("y").set(2)
    histogram = Histogram("c", "C.", buckets=(1, 5), registry=registry)
    metrics = samples(registry)
    assert metrics.value("a") is None
    assert metrics.value("b", by="y") == 2
    assert metrics.value("b") is None
    assert metrics.total("b") == 3
    assert metrics.total("z") is None
    assert metrics.by_label("b", "by") == {"x": 1, "y": 2}
    assert metrics.quantile("c", 0.5) is None
    for value in (0.5, 2, 100):
        histogram.observe(value)
    shares = [samples(registry).quantile("c", share) for share in (0.1, 0.5, 0.99)]
    assert shares == [1, 5, math.inf]


@contextmanager
def role(body: bytes) -> Iterator[str]:
    """Something that answers on a port."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ready\n" if self.path == "/readyz" else body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_role_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with role(generate_latest(IngestMetrics("1.2", process=False).registry)) as address:
        state, metrics = scrape(address)
        assert state == "ready"
        assert metrics.value("tallygate_build_info", version="1.2") == 1
    with role(b"no metrics at all {") as address:
        assert scrape(address).state is None
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert scrape(f"127.0.0.1:{mute.getsockname()[1]}").state is None
    assert scrape("127.0.0.1:1").state is None
    assert scrape("nonsense").state is None
    assert parse_address("127.0.0.1:1").port == 1


# --- The command ---


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    monkeypatch.setattr(command, "RATE_SECONDS", 0.0)
    monkeypatch.setattr(command, "WATCH_SECONDS", 0.0)
    return Program(monkeypatch, capsys)


def test_as_people_read_it(watched: Watched, program: Program) -> None:
    watched.feed.publish()
    watched.night.clock.write_bytes(RehearsalClock(None, (Segment(1_000, 1),)).encode())
    out = program.good("status", watched.night.root).splitlines()
    assert out[0].startswith("night        ")
    assert "clock        the rehearsal's time does not run yet" in out
    assert "monitor      down" in out
    assert any("1 of 2 stations (50.0 %)" in line for line in out)
    assert any(line.startswith("critical     no role of this night runs [NotServing]") for line in out)
    assert any(line.startswith("             → start it: tallygate serve ") for line in out)


def test_as_programs_read_it(watched: Watched, program: Program) -> None:
    found = json.loads(program.good("status", watched.night.root, "--json"))
    assert found["status"]["election"] == "example-2027"
    assert found["alarms"][0]["name"] == "NotServing"


def test_watched_it_looks_again_until_ctrl_c(
    watched: Watched, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(range(2))

    def sleep(_: float) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr("gateway.cli.status.time.sleep", sleep)
    lines = program.good("status", watched.night.root, "--watch", "--json").splitlines()
    assert [json.loads(line)["status"]["stations"] for line in lines] == [2, 2, 2]


def test_what_is_no_night_is_the_only_failure(tmp_path: Path, program: Program) -> None:
    ended = program("status", tmp_path)
    assert (ended.code, "[night.missing]" in ended.err) == (1, True)


def test_the_board_fits_a_terminal_of_eighty_columns(watched: Watched) -> None:
    watched.feed.publish()
    report = command._Report(healthy(), judged(change(snapshot=paused("gate"))))
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(command._board(report))
    console.file.close()
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "GateFailed" in text


def test_the_board_says_until_when_figures_are_hidden(watched: Watched, program: Program) -> None:
    latest = watched.feed.publish()
    watched.feed.write(layout.LATEST, withhold(latest, format_time(NOW + HOUR), latest.decisions))
    told = program.good("status", watched.night.root)
    assert "embargo      the public sees no figures until " in told
    said = json.loads(program.good("status", watched.night.root, "--json"))["status"]["snapshot"]
    assert said["embargo_until"] == format_time(NOW + HOUR)
