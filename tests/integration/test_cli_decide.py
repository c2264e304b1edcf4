"""`tallygate-decide` on a rehearsal's night: a real gateway and its feed, from preparing to undoing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

import pytest

from clients.box.cli import main as box_main
from clients.commission.cli import main
from clients.observer.cli import main as observe_main
from clients.wire.note import VerifierKey
from tests.feed_writer import SNAPSHOT_KEY
from tests.integration.client_cli import Program
from tests.integration.test_cli_box_send import AFTER, make_box
from tests.integration.test_cli_serve import EXAMPLES, Gateways, run, until

REASONS = ("--reason", "ky=Мөөр бузулган.", "--reason", "en=The seal was broken.")


@pytest.fixture
def decide(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


class Log(TypedDict):
    size: int


class Latest(TypedDict):
    """What the tests read of latest.json."""

    log: Log
    paused: dict[str, str] | None


class Served(NamedTuple):
    """A running gateway that publishes."""

    night: Path
    address: str

    @property
    def feed(self) -> Path:
        return self.night / "feed"

    @property
    def devices(self) -> Path:
        return self.night / "devices"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("decided")
    gateways = Gateways(root)
    try:
        night = root / "night"
        options = ("--election", EXAMPLES / "hill-country", "--rehearsal", "--start", AFTER)
        assert run("init", night, *options).code == 0
        config = night / "tallygate.toml"
        text = re.sub(r":(8443|8080|964[0-3])\b", ":0", config.read_text())
        config.write_text(re.sub(r"(?m)^start = .*", 'start = ["ingest", "publish"]', text))
        _, _, ready = gateways.serve(night)
        until((night / "feed" / "latest.json").exists)
        yield Served(night, ready.box[0])
    finally:
        gateways.stop()


def published(served: Served) -> Latest:
    return cast(Latest, json.loads((served.feed / "latest.json").read_bytes()))


def sign(decide: Program, served: Served, file: Path, *members: int) -> None:
    for member in members:
        who = ("--bundle", served.devices, "--member", str(member))
        decide.good("sign", file, *who, "--feed", served.feed, "--yes")


def submit(decide: Program, served: Served, file: Path, *more: str | Path) -> str:
    return decide.good(
        "submit", file, "--bundle", served.devices, "--address", served.address, "--feed", served.feed, *more
    )


def listed(decide: Program, served: Served) -> list[dict[str, object]]:
    found = json.loads(decide.good("list", served.feed, "--json"))
    return cast(list[dict[str, object]], found["decisions"])


def test_from_preparing_to_undone(
    served: Served, decide: Program, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    box = make_box(Program(box_main, capsys), served.devices, tmp_path, 1, "opening", "result")
    Program(box_main, capsys).good("send", box, "--address", served.address)
    until(lambda: published(served)["log"]["size"] == 5)

    file = tmp_path / "decision-2.json"
    said = decide.good(
        "prepare", served.feed, "annul", "--station", "101", "--contest", "1", *REASONS, "--out", file
    )
    assert "orders       annul contest 1 (" in said
    assert ", machine: reported → annulled" in said
    assert "country 1    " in said
    warned = decide("sign", file, "--bundle", served.devices, "--member", "1", "--feed", served.feed, "--yes")
    assert "signed by    member 1; 3 must, 2 more" in warned.out
    refused = decide("submit", file, "--bundle", served.devices, "--feed", served.feed)
    assert refused.code == 1
    assert "3 members must sign decision 2, and 1 have" in refused.err
    sign(decide, served, file, 2, 5)
    said = submit(decide, served, file)
    assert re.search(r"member 5     entry \d+ of the log; its receipt is verified", said)
    assert re.search(r"decision 2 is taken at entry \d+: in effect\n$", said)
    again = json.loads(submit(decide, served, file, "--json"))
    assert [one["outcome"] for one in again["sent"]] == ["duplicate"] * 3
    assert again["standing"]["state"] == "in effect"
    proof = Path(again["sent"][0]["receipt"])
    Program(observe_main, capsys).good(
        "receipt",
        proof,
        "--statement",
        proof.with_suffix(".cose"),
        "--log-key",
        served.feed / "keys/log.vkey",
    )

    undo = tmp_path / "undo.json"
    said = decide.good("prepare", served.feed, "undo", "--number", "2", *REASONS, "--out", undo)
    assert "undoes       decision 2: annul contest 1 (" in said
    assert ", machine: annulled → reported" in said
    sign(decide, served, undo, 1, 2, 3)
    submit(decide, served, undo)
    found = listed(decide, served)
    assert [one["state"] for one in found] == ["in effect", "undone", "in effect"]
    assert found[1]["members"] == [1, 2, 5]
    assert found[1]["reason"] == [["ky", "Мөөр бузулган."], ["en", "The seal was broken."]]
    said = decide.good("list", served.feed)
    assert "decision 2   UNDONE, taken at entry" in said
    Program(observe_main, capsys).good("verify", served.feed)


def test_a_pause_and_its_end(served: Served, decide: Program, tmp_path: Path) -> None:
    """The feed does not show the pause's entries while it lasts: what follows is chained to its file."""
    pause, resume = tmp_path / "pause.json", tmp_path / "resume.json"
    decide.good("prepare", served.feed, "pause", *REASONS, "--out", pause)
    sign(decide, served, pause, 1, 2, 3)
    submit_all = ("submit", pause, "--bundle", served.devices, "--address", served.address)
    assert "all 3 signatures are in the log" in decide.good(*submit_all)
    until(lambda: published(served)["paused"] is not None)
    assert "paused       by commission since" in decide.good("list", served.feed)

    said = decide.good("prepare", served.feed, "resume", *REASONS, "--out", resume, "--after", pause)
    assert "changes      publication: paused by decision" in said
    assert re.search(r"behind decision \d+ \(not published yet\)", said)
    for member in (1, 2, 3):
        who = ("--bundle", served.devices, "--member", str(member))
        decide.good("sign", resume, *who, "--feed", served.feed, "--yes")
    said = submit(decide, served, resume)
    assert re.search(r"decision \d+ is taken at entry \d+: in effect\n$", said)
    assert published(served)["paused"] is None


def test_gateways_of_another_log(served: Served, decide: Program, tmp_path: Path) -> None:
    file = tmp_path / "decision.json"
    decide.good("prepare", served.feed, "pause", *REASONS, "--out", file)
    sign(decide, served, file, 1, 2, 3)
    other = json.loads((served.devices / "site.json").read_bytes())
    key = VerifierKey.parse(other["log_key"])
    bundle = (served.devices / "bundle.ndjson").read_text().splitlines()
    line = next(line for line in bundle if '"commission"' in line)
    for name in ("tls_key", "certificate"):
        (tmp_path / name).write_text(json.loads(line)[name])
    site = tmp_path / "site.json"
    mine = ("--site", site, "--certificate", tmp_path / "certificate", "--tls-key", tmp_path / "tls_key")
    for change, code in (
        ({"log_key": str(VerifierKey("another.log", key.key))}, "decision.log"),
        ({"log_key": str(VerifierKey(key.name, bytes(SNAPSHOT_KEY.verify_key)))}, "decision.log"),
        ({"definition": "00" * 32}, "decision.definition"),
    ):
        site.write_text(json.dumps({**other, **change}))
        ended = decide("submit", file, "--feed", served.feed, *mine)
        assert (ended.code, f"[{code}]" in ended.err) == (1, True), ended.err
    assert not (tmp_path / "decision-receipts").exists()
    assert decide("submit", file, "--feed", served.feed, *mine[:4]).code == 2


def test_a_decision_whose_number_is_taken(served: Served, decide: Program, tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    for file, station in ((one, "102"), (two, "103")):
        decide.good("prepare", served.feed, "cancel", "--station", station, *REASONS, "--out", file)
        sign(decide, served, file, 1, 2, 3)
    ended = decide("merge", one, two, "--feed", served.feed)
    assert ended.code == 1
    assert "these are two different decisions (both are decision" in ended.err
    submit(decide, served, one)
    for command in (
        ("sign", two, "--bundle", served.devices, "--member", "4", "--feed", served.feed, "--yes"),
        ("submit", two, "--bundle", served.devices, "--feed", served.feed),
    ):
        ended = decide(*command)
        assert ended.code == 1
        assert "[decision.number]" in ended.err
    # Who does not look at the feed sends it all the same: it stands in the log, and is void.
    ended = decide("submit", two, "--bundle", served.devices, "--address", served.address)
    assert ended.code == 0
    until(lambda: any(one["state"] == "void" for one in listed(decide, served)))
    [void] = [one for one in listed(decide, served) if one["state"] == "void"]
    assert void["action"] == {"action": "cancel", "station": 103}
    assert "was taken" in str(void["why"])
