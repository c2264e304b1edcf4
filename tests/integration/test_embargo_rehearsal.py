"""A whole embargoed rehearsal with real programs: every byte that the public gets is searched for figures."""

import csv
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from clients.fleet.faults import Faults
from gateway import _core
from gateway.base.clock import HOUR, format_time
from gateway.base.config import Config, Listen, Roles, render
from tests import fleet_nights
from tests.fleet_nights import PATIENCE, ROOT
from tests.replays import synthetic
from tests.secrets_search import Secret, Secrets

STATIONS = 12
# Election time from the last closing to the hour; at the night's speed some ten seconds.
EMBARGO = 10 * HOUR
# Station 1's votes in both contests; their sum is what a station of its size may have.
VOTES = {1: (314_159, 271_828), 2: (161_803, 141_421, 173_205)}
SECRETS: Mapping[str, Secret] = {
    f"contest {contest}, {votes}": votes for contest, both in VOTES.items() for votes in both
}
ATTEMPTS = (
    "/embargo/log/tile/entries/000", "/../embargo/", "/%2e%2e/embargo/", "/..%2fembargo%2f",
    "/log/../../embargo/", "/log/%2e%2e/%2e%2e/embargo/log", "//embargo", "/areas/../../embargo/areas",
    "/.embargo", "/feed/../embargo", "/log/tile/entries/000", "/stations/0/1-100.json",
    "/../data/ledger.sqlite",
)  # fmt: skip


class Answer(NamedTuple):
    """What the public port says."""

    status: int
    body: bytes


def distinctive(folder: Path) -> None:
    """Station 1 gets votes that nobody else has; the election gets an embargo."""
    for contest, votes in VOTES.items():
        for kind in ("contest", "protocol"):
            path = folder / "results" / f"{kind}-{contest}.csv"
            with path.open(newline="") as file:
                head, *rows = csv.reader(file)
            changed = [
                [row[0], *map(str, votes), *row[1 + len(votes) :]] if row[0] == "1" else row for row in rows
            ]
            with path.open("w", newline="") as file:
                csv.writer(file).writerows([head, *changed])
    settings = folder / "election" / "election.toml"
    settings.write_text('publish_at = "2026-03-16T06:00:00+06:00"\n' + settings.read_text())


class Public:
    """Everything that somebody outside can get."""

    def __init__(self, root: Path) -> None:
        self._feed = root / "feed"
        self._ready = root / "run" / "web.json"
        self.areas = [area.number for area in _core.Definition.load(root / "definition").areas]

    def files(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self._feed.rglob("*")):
            try:
                if path.is_file():
                    yield str(path.relative_to(self._feed)), path.read_bytes()
            except FileNotFoundError:  # pruned, or it had a temporary name
                continue

    def ask(self, path: str, **headers: str) -> Answer:
        host, _, port = json.loads(self._ready.read_bytes())["web"][0].rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"Accept-Encoding": "gzip", **headers})
            answer = connection.getresponse()
            return Answer(answer.status, str(answer.headers).encode() + answer.read())
        finally:
            connection.close()

    def answers(self) -> Iterator[tuple[str, bytes]]:
        paths = ["/", "/style.css", *(f"/area/{area}" for area in self.areas), *ATTEMPTS]
        for path in [*paths, *(f"/{path}" for path, _ in self.files())]:
            yield path, self.ask(path).body


def latest(root: Path) -> Mapping[str, object]:
    try:
        found: Mapping[str, object] = json.loads((root / "feed" / "latest.json").read_bytes())
    except FileNotFoundError:
        return {}
    return found


def observe(root: Path, *options: str) -> Mapping[str, object]:
    """The program's verdict about the feed."""
    command = [sys.executable, "-m", "clients.observer.cli", "verify", str(root / "feed"), "--json", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE)
    said: Mapping[str, object] = json.loads(ended.stdout)
    assert (ended.returncode, said["agrees"]) == (0, True), said
    return said


def status(root: Path) -> Mapping[str, object]:
    command = [sys.executable, "-m", "gateway.cli", "status", str(root), "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE, check=True)
    found: Mapping[str, object] = json.loads(ended.stdout)["status"]
    return found


@pytest.mark.timeout(240)
def test_no_public_byte_holds_a_figure_before_the_hour(tmp_path: Path) -> None:
    synthetic.generate(tmp_path, stations=STATIONS, contests=2, seed=3)
    distinctive(tmp_path)
    root = tmp_path / "night"
    definition = fleet_nights.make(root, tmp_path / "election", day=1)
    here = "127.0.0.1:0"
    addresses = dict.fromkeys(
        ("operations_ingest", "operations_publish", "operations_web", "operations_monitor"), here
    )
    config = Config(listen=Listen(box=(here,), web=(here,), **addresses), roles=Roles())
    (root / "tallygate.toml").write_bytes(render(config))
    until = max(station.closes_at for station in definition.stations()) + EMBARGO
    assert definition.publish_at == until
    own, plan = fleet_nights.planned(root, tmp_path / "results", Faults())
    public, secrets = Public(root), Secrets(SECRETS)
    secrets.control()
    seen: list[tuple[str, str]] = []
    looks = 0

    async def look_on() -> None:
        nonlocal looks
        while True:
            looked = await trio.to_thread.run_sync(lambda: [*public.files(), *_of_web(public)])
            # What was read while the hour passed says nothing.
            if latest(root).get("embargo_until") is None and looks:
                return
            seen.extend(secrets.found(looked))
            looks += latest(root).get("embargo_until") is not None

    async def night() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_on)
            outcome = await fleet_nights.played(own, plan, Faults())
            assert outcome.ok, (outcome.audit.faults, outcome.undelivered)
            # Everything has come, and nobody sees more than how much.
            await trio.to_thread.run_sync(_until, lambda: _reported(root))
            assert latest(root)["embargo_until"] == format_time(until)
            assert b"Results are under embargo until" in public.ask("/").body
            assert {public.ask(path).status for path in ATTEMPTS} <= {400, 404}
            names = {path for path, _ in public.files()}
            assert f"snapshots/{latest(root)['snapshot']}.changes.json" not in names
            inside = await trio.to_thread.run_sync(partial(observe, root, "--embargo", str(root / "embargo")))
            outside = await trio.to_thread.run_sync(observe, root)
            assert inside["embargo"] is None
            assert outside["embargo"] is not None

    with fleet_nights.serving(root):
        trio.run(night)
        assert looks
        assert seen == []
        _until(lambda: latest(root)["embargo_until"] is None)
        # The negative control: the same search finds every one of them now, in files and in answers.
        assert {name for _, name in secrets.found(public.files())} == set(SECRETS)
        assert {name for _, name in secrets.found(public.answers())} == set(SECRETS)
        assert observe(root)["embargo"] is None
        publication = status(root)["publication"]
    assert not [path for path in (root / "embargo").rglob("*") if path.is_file()]
    assert publication is not None


def _until(condition: Callable[[], bool]) -> None:
    """Looks until it holds; what another process does is no event here."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def _of_web(public: Public) -> Sequence[tuple[str, bytes]]:
    try:
        return list(public.answers())
    except (OSError, http.client.HTTPException):  # it does not serve yet
        return []


def _reported(root: Path) -> bool:
    progress = latest(root).get("progress")
    assert progress is None or isinstance(progress, dict)
    return progress is not None and progress["reported"] == STATIONS
