"""A commission that decides while nobody may read the figures."""

import stat
from pathlib import Path

import pytest

from clients.commission.cli import main
from clients.commission.decisionfile import DecisionFile
from tests.integration.client_cli import Program
from tests.integration.publish_night import STATION, Life, live
from tests.integration.test_publish_embargo import VOTES, Embargoed, embargoed_night

REASONS = ("--reason", "ky=Себеп", "--reason", "en=A reason")


@pytest.fixture
def decide(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


@pytest.fixture(scope="module")
def publication(tmp_path_factory: pytest.TempPathFactory) -> Embargoed:
    """An open snapshot with a turnout, then one under embargo with a result."""
    found = Embargoed(tmp_path_factory.mktemp("embargo") / "night")

    async def test(life: Life) -> None:
        async with life.serving():
            await embargoed_night(found, life)

    live(found, test)
    return found


def test_what_is_hidden_has_to_be_given(publication: Embargoed, decide: Program) -> None:
    for command in (("list", publication.feed), ("prepare", publication.feed, "pause", *REASONS)):
        ended = decide(*command)
        assert (ended.code, "[feed.embargo]" in ended.err) == (1, True)
    assert decide("merge", "a", "b", "--embargo", publication.hidden).code == 2


def test_with_what_is_hidden(publication: Embargoed, decide: Program, tmp_path: Path) -> None:
    out = tmp_path / "decision.json"
    hidden = ("--embargo", publication.hidden)
    annul = ("annul", "--station", str(STATION), "--contest", "1", *REASONS, "--out", out)
    ended = decide("prepare", publication.feed, *annul, *hidden)
    assert (ended.code, f"{VOTES[0]:,} → –" in ended.out) == (0, True)
    assert "this file has figures that are under embargo until " in ended.err
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    number = DecisionFile.read(out).decision.number
    said = decide.good("list", publication.feed, *hidden)
    assert said.count("\ndecision ") == number - 1
