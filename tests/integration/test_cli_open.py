"""`tallygate open`: the commission's decision 1 goes into a live night, or nothing does."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

import pytest

from clients.commission.cli import main
from tests.integration import client_cli, gateway_cli
from tests.integration.test_cli_serve import EXAMPLES
from tests.unit.wire_election import MEMBERS, public

Json: TypeAlias = "int | str | list[Json] | dict[str, Json] | None"


@pytest.fixture
def tallygate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> gateway_cli.Program:
    return gateway_cli.Program(monkeypatch, capsys)


@pytest.fixture
def decide(capsys: pytest.CaptureFixture[str]) -> client_cli.Program:
    return client_cli.Program(main, capsys)


@pytest.fixture
def night(tallygate: gateway_cli.Program, tmp_path: Path) -> Path:
    """Of a live election whose three members, of whom two decide, are ours."""
    folder = tmp_path / "hill"
    shutil.copytree(EXAMPLES / "hill-country", folder)
    toml = folder / "election.toml"
    keys = "".join(f'    "{public(key)}",\n' for key in MEMBERS)
    text = re.sub(r"(?<=commission_keys = \[\n)(    .*\n)+", keys, toml.read_text())
    toml.write_text(text.replace("commission_quorum = 3", "commission_quorum = 2"))
    tallygate.good("election", "build", folder, "--out", tmp_path / "built")
    made = tallygate.good(
        "init", tmp_path / "night", "--definition", tmp_path / "built", "--election", folder
    )
    (tmp_path / "init.txt").write_text(made)
    return tmp_path / "night"


def prepared(decide: client_cli.Program, night: Path, *members: int) -> Path:
    """Decision 1 as `init` has printed it, signed."""
    folder = night.parent
    printed = dict(
        re.findall(r"^(log key|snapshot key) +(\S+)$", (folder / "init.txt").read_text(), re.MULTILINE)
    )
    file = folder / "decision-1.json"
    keys = ("--log-key", printed["log key"], "--snapshot-key", printed["snapshot key"])
    reason = ("--reason", "en=The log is opened.")
    decide.good("prepare", folder / "built", "open", *keys, *reason, "--out", file)
    for member in members:
        sign(decide, file, member)
    return file


def sign(decide: client_cli.Program, file: Path, member: int) -> None:
    key = file.parent / f"{member}.key"
    key.write_text(bytes(MEMBERS[member - 1]).hex())
    key.chmod(0o600)
    said = decide.good("sign", file, "--definition", file.parent / "built", "--key", key, "--yes")
    assert "orders       open the log results.hill-country.example/hill-country-2031" in said


def test_what_init_prints_can_be_typed(
    tallygate: gateway_cli.Program, decide: client_cli.Program, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines of `init` under "Next", with D filled in."""
    lines = (night.parent / "init.txt").read_text()
    found = re.search(r"tallygate-decide (prepare D open .*?)\n   Signed", lines, re.DOTALL)
    assert found is not None
    words = re.sub(r"\\\n", " ", found[1]).replace(" D ", f" {night.parent / 'built'} ")
    arguments = [part.strip("'") for part in re.findall(r"\S+='[^']*'|'[^']*'|\S+", words)]
    arguments = [re.sub(r"='(.*)$", r"=\1", part) for part in arguments]
    monkeypatch.chdir(night.parent)
    decide.good(*arguments)
    for member in (1, 3):
        sign(decide, night.parent / "decision-1.json", member)
    said = tallygate.good("open", night, "decision-1.json")
    assert said.endswith(f"Next:        tallygate serve {night}\n")
    there = night / "data" / "opening"
    assert sorted(path.name for path in there.iterdir()) == ["member-01.cose", "member-03.cose"]
    # Twice is once.
    tallygate.good("open", night, "decision-1.json")


def test_a_quorum_and_no_more(
    tallygate: gateway_cli.Program, decide: client_cli.Program, night: Path
) -> None:
    file = prepared(decide, night, 3)
    ended = tallygate("open", night, file)
    assert (ended.code, "2 members must sign decision 1, 1 have" in ended.err) == (1, True)
    for member in (2, 1):
        sign(decide, file, member)
    said = tallygate.good("open", night, file)
    assert "2 signatures of decision 1" in said
    assert len(list((night / "data" / "opening").iterdir())) == 2


def test_keys_that_systemd_hands_over(
    tallygate: gateway_cli.Program, decide: client_cli.Program, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need not be in the night folder (docs/operations.md)."""
    file = prepared(decide, night, 1, 2)
    (night / "keys").rename(night.parent / "credentials")
    ended = tallygate("open", night, file)
    assert (ended.code, "[keys.log]" in ended.err) == (1, True)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(night.parent / "credentials"))
    tallygate.good("open", night, file)


def test_another_roster(tallygate: gateway_cli.Program, decide: client_cli.Program, night: Path) -> None:
    """The same election, and another list of firmware than the commission has signed."""
    file = prepared(decide, night, 1, 2)
    with (night.parent / "hill" / "firmware.csv").open("a") as table:
        table.write(f"{'ab' * 32},2.0\n")
    tallygate.good("election", "build", night.parent / "hill", "--out", night.parent / "later")
    shutil.rmtree(night / "roster")
    shutil.copytree(night.parent / "later" / "roster", night / "roster")
    ended = tallygate("open", night, file)
    assert (ended.code, "[opening.roster]" in ended.err) == (1, True)


def statements(file: dict[str, Json]) -> list[dict[str, Json]]:
    return cast(list[dict[str, Json]], file["signatures"])


def test_another_night(tallygate: gateway_cli.Program, decide: client_cli.Program, night: Path) -> None:
    file = prepared(decide, night, 1, 2)
    second = night.parent / "second"
    tallygate.good("init", second, "--definition", night.parent / "built", "--origin", "a.example/b")
    ended = tallygate("open", second, file)
    assert (ended.code, "[opening.log_key]" in ended.err) == (1, True)
    shutil.copy(night / "keys" / "log.key", second / "keys" / "log.key")
    ended = tallygate("open", second, file)
    assert (ended.code, "[opening.snapshot_key]" in ended.err) == (1, True)
    shutil.copy(night / "keys" / "snapshot.key", second / "keys" / "snapshot.key")
    tallygate.good("open", second, file)
    (second / "data" / "opening" / "other.cose").write_bytes(b"another")
    ended = tallygate("open", second, file)
    assert (ended.code, "[opening.exists]" in ended.err) == (1, True)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda file: file.update(format="another"), "opening.malformed"),
        (lambda file: file.update(signatures=5), "opening.malformed"),
        (lambda file: statements(file)[0].update(statement="xy"), "opening.malformed"),
        (lambda file: statements(file)[0].update(statement="d284"), "opening.malformed"),
        (lambda file: statements(file)[0].update(statements(file)[1]), "opening.signer"),
    ],
)
def test_files_that_open_nothing(
    tallygate: gateway_cli.Program,
    decide: client_cli.Program,
    night: Path,
    change: Callable[[dict[str, Json]], None],
    code: str,
) -> None:
    file = prepared(decide, night, 1, 2)
    changed = json.loads(file.read_bytes())
    change(changed)
    file.write_text(json.dumps(changed))
    ended = tallygate("open", night, file)
    assert (ended.code, f"[{code}]" in ended.err) == (1, True), ended.err
    assert list((night / "data" / "opening").iterdir()) == []
