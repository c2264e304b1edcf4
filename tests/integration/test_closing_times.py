"""Closing times a station, through the real gateway: a station abroad, decision 11, its undoing, and S204."""

import csv
import hashlib
import http.client
import json
import shutil
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from clients.observer.verify import verify
from gateway import _core
from gateway.base.clock import HOUR, MINUTE, RehearsalClock, Segment
from gateway.base.config import Config, Listen, Roles, render
from gateway.run.rehearsal import BundleLine, init_rehearsal
from gateway.run.rehearsal import Plan as RehearsalPlan
from tests import fleet_nights
from tests.fleet_nights import PATIENCE, ROOT
from tests.strategies import Content

HOME, ABROAD = 101, 102
TOO_EARLY = (425, "statement.too_early")


def election(folder: Path) -> Path:
    """The example, one of whose stations closes by the clocks of Buenos Aires."""
    made = Path(shutil.copytree(ROOT / "examples" / "hill-country", folder / "election"))
    path = made / "stations.csv"
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    for row in rows:
        if row[0] == str(ABROAD):
            row[head.index("closes_at")] = "2031-10-05T20:00:00-03:00"
            row[head.index("timezone")] = "America/Argentina/Buenos_Aires"
            row[head.index("type")] = "abroad"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return made


class Country:
    """A rehearsal half a minute behind the close at home, its boxes and its commission."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "night"
        now = time.time_ns() // 1_000_000
        made, faults = init_rehearsal(
            self.root, election(folder), RehearsalPlan(), now=now, progress=lambda *_: None
        )
        assert made is not None, faults.kept()
        self.definition = made.definition
        self.closes_at = self.definition.closes_at
        clock = RehearsalClock(None, (Segment(self.closes_at + MINUTE // 2, 1),))
        (self.root / "clock.json").write_bytes(clock.encode())
        here = "127.0.0.1:0"
        listen = Listen(box=(here,), operations_ingest=here, operations_publish=here)
        config = Config(listen=listen, roles=Roles(start=("ingest", "publish")))
        (self.root / "tallygate.toml").write_bytes(render(config))
        bundle = (self.root / "devices" / "bundle.ndjson").read_bytes().splitlines()
        self.lines = [msgspec.json.decode(line, type=BundleLine) for line in bundle]
        [first, *_] = sorted((self.root / "data" / "opening").glob("*.cose"))
        self._previous = hashlib.sha256(_core.decode(first.read_bytes()).payload).digest()
        self._number = 1
        self.entries = len(list((self.root / "data" / "opening").glob("*.cose")))

    def box(self, station: int) -> BundleLine:
        return next(line for line in self.lines if line.role == "box" and station in line.stations)

    def result(self, station: int) -> bytes:
        """A result of the closing at home."""
        line = self.box(station)
        assert line.sign_seed is not None
        contests = [contest.number for contest in self.definition.contests]
        counts = tuple((one, ((9, 0),), (0,) * len(self.definition.choices(one))) for one in contests)
        report = (3, self.closes_at, 1, 7, (), counts, ())
        content = (self.definition.hash, line.id, station, 1, b"", self.closes_at + 1_000, report)
        return _core.sign("packet", content, bytes.fromhex(line.sign_seed))

    def bring(self, line: BundleLine, statement: bytes, method: str = "POST") -> tuple[int, str, str | None]:
        """The status, the outcome or code, and Retry-After."""
        context = ssl.create_default_context(cafile=str(self.root / "pki" / "ca.pem"))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
        pem = self.root / f"{line.role}-{line.id}.pem"
        pem.write_text(line.certificate + line.tls_key)
        context.load_cert_chain(pem)
        host, _, port = fleet_nights.ready(self.root).box[0].rpartition(":")
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=PATIENCE)
        try:
            if method == "POST":
                head = {"Content-Type": "application/cose"}
                connection.request("POST", "/v1/statements", statement, head)
            else:
                connection.request("GET", f"/v1/statements/{_core.decode(statement).id.hex()}")
            answer = connection.getresponse()
            body, outcome = answer.read(), answer.headers["Tallygate-Outcome"]
            said = outcome or (json.loads(body)["code"] if answer.status >= 400 else "")
            self.entries += outcome == "accepted"
            return answer.status, said, answer.headers["Retry-After"]
        finally:
            connection.close()

    def decide(self, action: Content) -> int:
        """A decision, which the quorum signs; its number."""
        self._number += 1
        reason = (("en", "They wait in the street."),)
        content = (self.definition.hash, self._previous, self._number, self.closes_at, reason, action)
        self._previous = hashlib.sha256(_core.encode_payload("decision", content)).digest()
        members = [line for line in self.lines if line.role == "commission"]
        for line in members[: self.definition.commission_quorum]:
            assert line.sign_seed is not None
            signed = _core.sign("decision", content, bytes.fromhex(line.sign_seed))
            assert self.bring(line, signed)[:2] == (201, "accepted")
        return self._number

    def published(self) -> Mapping[int, Sequence[str]]:
        """The codes of the result at each station, once everything so far is published."""
        latest = self.root / "feed" / "latest.json"
        _until(lambda: latest.exists() and json.loads(latest.read_bytes())["log"]["size"] == self.entries)
        verdict = verify(self.root / "feed", processes=0)
        assert verdict.agrees is True, verdict
        found: dict[int, Sequence[str]] = {}
        for station in (HOME, ABROAD):
            objects = (self.root / "feed" / "stations" / "0").glob(f"{station}-*.json")
            newest = max(objects, key=lambda path: int(path.stem.partition("-")[2]), default=None)
            if newest is not None:
                found[station] = json.loads(newest.read_bytes())["packets"][0]["codes"]
        return found


def _until(condition: Callable[[], bool]) -> None:
    """Looks until it holds; what another process does is no event here."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.timeout(120)
def test_each_station_closes_at_its_own_time(tmp_path: Path) -> None:
    country = Country(tmp_path)
    stations = {one.number: one for one in country.definition.stations()}
    assert stations[HOME].closes_at == country.closes_at
    assert stations[ABROAD].closes_at == country.closes_at + 9 * HOUR
    home, abroad = country.result(HOME), country.result(ABROAD)

    with fleet_nights.serving(country.root):
        _until(lambda: (country.root / "run" / "ingest.json").exists())
        assert country.bring(country.box(HOME), home)[:2] == (201, "accepted")
        # Abroad the polls are open for nine hours more.
        status, code, wait = country.bring(country.box(ABROAD), abroad)
        assert (status, code) == TOO_EARLY
        assert wait is not None
        assert 8 * 3_600 < int(wait) <= 9 * 3_600 + 600
        assert "S204" not in country.published()[HOME]

        # The commission closes it early: the same bytes are taken, and nothing is flagged.
        early = country.decide((11, ABROAD, country.closes_at))
        assert country.bring(country.box(ABROAD), abroad)[:2] == (201, "accepted")
        assert "S204" not in country.published()[ABROAD]

        # At home it lasts longer: what came before was too early, and is in the log all the same.
        longer = country.decide((11, HOME, country.closes_at + 2 * HOUR))
        assert country.bring(country.box(HOME), home)[:2] == TOO_EARLY
        assert country.bring(country.box(HOME), home, "GET")[0] == 200
        codes = country.published()
        assert ("S204" in codes[HOME], "S204" in codes[ABROAD]) == (True, False)

        # Both undone: as the officials' tables have it.
        country.decide((13, longer))
        assert country.bring(country.box(HOME), home)[:2] == (200, "duplicate")
        country.decide((13, early))
        assert country.bring(country.box(ABROAD), abroad)[:2] == TOO_EARLY
        codes = country.published()
        assert ("S204" in codes[HOME], "S204" in codes[ABROAD]) == (False, True)

    latest = json.loads((country.root / "feed" / "latest.json").read_bytes())
    listing = country.root / "feed" / "decisions" / f"{latest['decisions']['sha256']}.json"
    states = [(one["action"][0], one["state"]) for one in json.loads(listing.read_bytes())["decisions"]]
    assert states[1:] == [(11, "undone"), (11, "undone"), (13, "in effect"), (13, "in effect")]
