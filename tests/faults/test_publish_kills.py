"""Ingest and publish as processes under load, killed again and again; a reader of the feed is the judge.

`TALLYGATE_PUBLISH_KILLS` sets how often publish is killed (8); ingest is killed half as often.
"""

import hashlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import pytest

from gateway.base.config import Config, Limits, Listen, render
from gateway.feed.models import Latest
from gateway.feed.reading import check_note, read_area, read_decisions, read_latest
from tests.faults.test_gateway_kills import Client, Field, Night
from tests.peers import logdir, require_program
from tests.peers.gocheck import GoCheck
from tests.unit.feed_helpers import root_of, tally_of

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("TALLYGATE_PUBLISH_KILLS", "8"))
CLIENTS = 3
# Seconds that anything here may take: a start, an answer, an end.
PATIENCE = 30

Role: TypeAlias = Literal["ingest", "publish"]


def until(condition: Callable[[], bool]) -> None:
    """Looks until it holds; what another process does is no event here."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Process:
    """One life of a role."""

    def __init__(self, role: Role, night: Path, log: Path, *, limit: str = "") -> None:
        self._log = log
        self._begin = log.stat().st_size if log.exists() else 0
        command = [sys.executable, "-m", "gateway.cli", role, str(night)]
        if limit:
            command = ["sh", "-c", f'{limit}; exec "$@"', "sh", *command]
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=stderr, stdin=subprocess.DEVNULL)

    def lines(self) -> list[dict[str, object]]:
        with self._log.open("rb") as file:
            file.seek(self._begin)
            return [json.loads(line) for line in file if line.startswith(b"{") and line.endswith(b"\n")]

    def said(self) -> str:
        return self._log.read_bytes()[self._begin :].decode()

    def ready(self) -> dict[str, object]:
        """Waits for it, and gives what it has said of itself."""

        def found() -> bool:
            assert self.process.poll() is None, self.said()
            return any(line["event"] == "role.ready" for line in self.lines())

        until(found)
        return next(line for line in self.lines() if line["event"] == "role.ready")

    def kill(self) -> None:
        self.process.kill()
        assert self.process.wait(PATIENCE) == -signal.SIGKILL, self.said()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def clear_away(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)


class Reader:
    """Reads the feed again and again, as the public does: by its pointer."""

    def __init__(self, feed: Path) -> None:
        self.feed = feed
        self.seen: dict[int, bytes] = {}
        self.faults: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE)

    def _read(self) -> None:
        while not self._over.wait(0.002):
            try:
                self.look()
            except Exception as error:  # whatever it is, the test shows it
                self.faults.append(repr(error))

    def look(self) -> Latest | None:
        """The pointer, and that what it names is there."""
        try:
            data = (self.feed / "latest.json").read_bytes()
        except FileNotFoundError:
            assert not self.seen
            return None
        latest = read_latest(data)
        if self.seen.setdefault(latest.snapshot, data) != data:
            raise AssertionError(f"snapshot {latest.snapshot} has two contents")
        if self.seen and latest.snapshot < max(self.seen):
            raise AssertionError(f"snapshot {latest.snapshot} behind {max(self.seen)}")
        assert (self.feed / "snapshots" / f"{latest.snapshot}.json").read_bytes() == data
        vkey = (self.feed / "keys" / "snapshot.vkey").read_text().rstrip("\n")
        note = (self.feed / "snapshots" / f"{latest.snapshot}.note").read_bytes()
        check_note(note, latest, data, vkey, "note")
        root = root_of(latest)
        area = (self.feed / "areas" / str(root.area) / f"{root.sha256}.json").read_bytes()
        assert read_area(area, "area") == latest.tally
        decisions = (self.feed / "decisions" / f"{latest.decisions.sha256}.json").read_bytes()
        assert len(read_decisions(decisions, "decisions").decisions) == latest.decisions.count
        head = (self.feed / "log" / "checkpoint").read_bytes().split(b"\n")
        assert int(head[1]) >= latest.log.size
        return latest


class Country:
    """A rehearsal, its roles and its boxes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.night = Night(folder / "night")
        self.root = self.night.root
        self.feed = self.root / "feed"
        limits = Limits(
            device_requests_per_minute=1_000_000, entries_per_device=1_000_000, station_bytes_per_device=2**40
        )
        here = "127.0.0.1:0"
        listen = Listen(box=(here,), operations_ingest=here, operations_publish=here)
        (self.root / "tallygate.toml").write_bytes(render(Config(listen=listen, limits=limits)))
        self._lives: list[Process] = []

    def start(self, role: Role, *, limit: str = "") -> Process:
        self._lives.append(Process(role, self.root, self._folder / f"{role}.log", limit=limit))
        return self._lives[-1]

    def clear_away(self) -> None:
        for life in self._lives:
            life.clear_away()

    def clients(self, count: int) -> list[Client]:
        return [
            Client(self.night, box, self._folder, random.Random(number))
            for number, box in enumerate(self.night.boxes[:count])
        ]

    def published(self) -> Latest | None:
        try:
            return read_latest((self.feed / "latest.json").read_bytes())
        except FileNotFoundError:
            return None

    def until_published(self, entries: int) -> Latest:
        def found() -> bool:
            latest = self.published()
            return latest is not None and latest.log.size >= entries

        until(found)
        latest = self.published()
        assert latest is not None
        return latest

    def chain(self) -> int:
        """How many snapshots there are, one behind the other without a gap."""
        previous = None
        folder = self.feed / "snapshots"
        numbers = sorted(int(path.stem) for path in folder.glob("[0-9]*.json") if path.stem.isdigit())
        assert numbers == list(range(1, len(numbers) + 1))
        for number in numbers:
            data = (folder / f"{number}.json").read_bytes()
            assert read_latest(data).previous == previous
            assert (folder / f"{number}.note").exists()
            previous = hashlib.sha256(data).hexdigest()
        return len(numbers)


def address(ready: dict[str, object]) -> tuple[str, int]:
    host, _, port = str(ready["box"]).rpartition(":")
    return host, int(port)


@pytest.fixture
def country(tmp_path: Path) -> Iterator[Country]:
    made = Country(tmp_path)
    yield made
    made.clear_away()


def acknowledged(clients: list[Client]) -> int:
    return sum(len(client.history.acknowledged) for client in clients)


def test_both_roles_killed_again_and_again(country: Country, tmp_path: Path) -> None:
    chance = random.Random(5)
    clients, place = country.clients(CLIENTS), Field()
    threads = [threading.Thread(target=client.live, args=(place,)) for client in clients]
    ingest, publish = country.start("ingest"), country.start("publish")
    place.open(address(ingest.ready()))
    for thread in threads:
        thread.start()
    reader = Reader(country.feed)
    try:
        with reader:
            for life in range(KILLS):
                # Anywhere: in a start, while it replays, while it writes.
                time.sleep(chance.random() * (1.5 if life % 2 else 0.4))
                publish.kill()
                publish = country.start("publish")
                if life % 2:
                    ingest.kill()
                    place.shut()
                    ingest = country.start("ingest")
                    place.open(address(ingest.ready()))
                place.wait_for(5)
            publish.ready()
            place.end()
            for thread in threads:
                thread.join(PATIENCE)
            for client in clients:
                client.send_all(address(ingest.ready()))
            entries = country.night.definition.commission_quorum + acknowledged(clients)
            latest = country.until_published(entries)
            time.sleep(0.05)  # the reader sees it too
    finally:
        place.end()
    assert reader.faults == []
    assert latest.log.size == entries
    assert (publish.stop(), ingest.stop()) == (0, 0)
    assert country.chain() == latest.snapshot
    # Nobody's tools: Python's and Go's own readers of a transparency log.
    vkey = (country.feed / "keys" / "log.vkey").read_text().rstrip("\n")
    assert vkey == str(country.night.vkey)
    assert logdir.check(logdir.WIRE, country.feed / "log", vkey) == entries
    # A start that finds all as it should be changes nothing, and a clean end is noted.
    assert json.loads((country.root / "data" / "last-snapshot").read_bytes())["clean"] is True


@pytest.mark.peer
def test_go_reads_the_published_log(country: Country, tmp_path: Path) -> None:
    check = GoCheck.build(tmp_path)
    [client] = country.clients(1)
    ingest, publish = country.start("ingest"), country.start("publish")
    place = Field()
    place.open(address(ingest.ready()))
    thread = threading.Thread(target=client.live, args=(place,))
    thread.start()
    place.wait_for(600)
    place.end()
    thread.join(PATIENCE)
    latest = country.until_published(300)
    publish.ready()
    assert publish.stop() == 0
    vkey = (country.feed / "keys" / "log.vkey").read_text().rstrip("\n")
    outcome = check.log(country.feed / "log", vkey, 20)
    assert outcome.status == 0, outcome.err
    assert latest.log.size >= 300


def test_a_full_disk_ends_it_with_a_code_and_publishes_nothing_half(country: Country) -> None:
    """A limit of the size of files: what grows with the night is the first that does not fit."""
    [client] = country.clients(1)
    ingest = country.start("ingest")
    publish = country.start("publish", limit="ulimit -f 200")
    here = address(ingest.ready())
    publish.ready()
    country.until_published(2)
    place = Field()
    place.open(here)
    thread = threading.Thread(target=client.live, args=(place,))
    thread.start()
    try:
        assert publish.process.wait(PATIENCE) == 1
    finally:
        place.end()
        thread.join(PATIENCE)
    assert "[publish.failed]" in publish.said()
    events = [line["event"] for line in publish.lines()]
    assert events[-2:] == ["publish.failed", "role.failed"]
    assert not (country.root / "run" / "publish.json").exists()
    # The box was answered all the while: what happens here never reaches ingest.
    assert ingest.process.poll() is None
    reader = Reader(country.feed)
    before = reader.look()
    assert before is not None
    again = country.start("publish")
    entries = country.night.definition.commission_quorum + acknowledged([client])
    latest = country.until_published(entries)
    assert latest.snapshot > before.snapshot
    reader.look()
    # Nobody could scrape the process that failed: the next one shows it.
    assert 'tallygate_publish_failures_total{op="snapshot"} 1.0\n' in scrape(again)
    assert again.stop() == 0
    country.chain()


def scrape(life: Process, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://{life.ready()['operations']}{path}") as answer:
        return str(answer.read().decode())


def test_metrics_and_health_of_a_running_publisher(country: Country) -> None:
    promtool = require_program("promtool")
    publish = country.start("publish")
    # It is ready without a ledger: that comes and goes.
    assert scrape(publish, "/readyz") == "ready\n"
    assert "tallygate_ledger_followed 0.0\n" in scrape(publish)
    ingest = country.start("ingest")
    [client] = country.clients(1)
    connection = http.client.HTTPSConnection(
        *address(ingest.ready()), context=client._context, timeout=PATIENCE
    )
    for _ in range(20):
        client._send(connection, client._next())
    connection.close()
    country.until_published(country.night.definition.commission_quorum + acknowledged([client]))
    text = scrape(publish)
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    values = dict(re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE))
    latest = country.published()
    assert latest is not None
    assert float(values["tallygate_snapshot_number"]) == latest.snapshot
    assert float(values["tallygate_published_entries"]) == latest.log.size
    assert float(values["tallygate_publish_lag_seconds_count"]) == latest.log.size
    assert float(values["tallygate_oldest_unpublished_seconds"]) == 0
    assert abs(float(values["tallygate_snapshot_timestamp_seconds"]) - time.time()) < PATIENCE
    assert float(values['tallygate_stations{state="opened"}']) == latest.progress.opened
    assert {f'tallygate_stations_flagged{{code="{code}"}}' for code, _ in tally_of(latest).flags} <= set(
        values
    )
    assert 'tallygate_gate_failures_total{rule="replay"}' in values
    with pytest.raises(urllib.error.HTTPError):
        scrape(publish, "/nothing")


def test_one_publisher_a_night(country: Country) -> None:
    first = country.start("publish")
    first.ready()
    second = country.start("publish")
    assert second.process.wait(PATIENCE) == 1
    assert "[role.running]" in second.said()
    assert first.process.poll() is None
    assert first.stop() == 0
