"""The demonstration's board, its plain lines, what it reads in the feed, and what it compares in the end."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from clients.fleet.country import CLOSES_AT_MS, Country, Paper
from clients.fleet.demo import FleetReport, Outcome, differences, one_error
from clients.fleet.demo_after import Dispute, find, protocol
from clients.fleet.demo_board import STEPS, FleetNews, View, board, line, ms, percent
from clients.fleet.demo_feed import Feed, Seen, Snapshot, published_after
from clients.fleet.demo_night import prepare, segments
from clients.fleet.demo_programs import ProgramError, module
from clients.wire.errors import WireError
from gateway.base.clock import read_clock
from gateway.base.config import Config, read_config, render

VOTES = (400_000, 312_345, 280_001, 150_000, 99_999, 77_000, 40_000, 30_000, 20_000, 10_000, 9_999)


PAPER = (30, 20, 10, 5, 5, 5, 5, 5, 5, 5, 5)
DISPUTE = Dispute(1_035, 7, (5, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0), (4, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0))


def snapshot(number: int = 1, *, reported: int = 0, disputed: int = 1, size: int = 1) -> Snapshot:
    data = encoded(number, reported=reported, disputed=disputed, size=size)
    return msgspec.json.decode(data, type=Snapshot)


def encoded(number: int, *, reported: int, disputed: int = 1, size: int = 1) -> bytes:
    """As docs/feed.md has it, as far as the board reads it, with a member that it does not."""
    papers = [{"choice": at + 1, "votes": n, "share": n, "seats": None} for at, n in enumerate(PAPER)]
    choices = [{"choice": at + 1, "votes": n, "share": n // 200, "seats": None} for at, n in enumerate(VOTES)]
    return json.dumps(
        {
            "format": "tallygate-snapshot/1",
            "snapshot": number,
            "published_at": "2032-03-14T14:00:01.000Z",
            "log": {"origin": "x", "size": size, "root": ""},
            "progress": {
                "stations": 2_400,
                "opened": 2_400,
                "cancelled": 0,
                "reported": reported,
                "held": 1,
                "disputed": disputed,
                "annulled": 0,
                "partial": 0,
                "silent": 2_399 - reported - disputed,
            },
            "tally": {"turnout": {"registered": [1, 1], "identified": 1_602_000, "stations": 2_400}},
            "results": [
                {"contest": 1, "source": 1, "choices": choices, "turnout": 5_500},
                {"contest": 1, "source": 2, "choices": papers, "turnout": None},
            ],
        }
    ).encode()


def news(**changes: int) -> FleetNews:
    whole = FleetNews(
        phase="results",
        planned=14_411,
        delivered=12_100,
        results_planned=2_394,
        results=1_800,
        connections=5_100,
        open=133,
        cut=141,
        duplicates=60,
        rate=1_212.0,
        p50_ms=18.2,
        p99_ms=1_140.3,
    )
    return msgspec.structs.replace(whole, **changes)


def full_view() -> View:
    return View(
        stations=2_400,
        silent=6,
        step="rush",
        time="20:00:14",
        fleet=news(),
        snapshot=snapshot(133, reported=1_798, size=12_044),
        rates=[(7 * at) % 300 for at in range(200)],
        web="http://127.0.0.1:41233",
    )


@pytest.mark.parametrize("width", [80, 92, 110])
def test_the_board_fits_a_terminal(width: int) -> None:
    console = Console(width=width, height=24)
    with console.capture() as shown:
        console.print(board(full_view(), width))
    lines = shown.get().splitlines()
    assert len(lines) <= 23
    assert all(len(one) <= width for one in lines)
    text = "\n".join(lines)
    assert "…" not in text
    for wanted in ("REHEARSAL", "1,799 of 2,400 stations counted", "Party of Tall Pines", "/latest.json"):
        assert wanted in text


@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_a_board_and_a_line(step: str) -> None:
    view = View(stations=60, silent=1, step=next(one for one in STEPS if one == step))
    console = Console(width=80)
    with console.capture() as shown:
        console.print(board(view, 80))
    assert f"▶ {step}" in shown.get()
    assert step in line(view)


def test_a_line() -> None:
    assert line(full_view()) == (
        "20:00:14 rush    1,799 of 2,400 stations counted, 1,212 a second, "
        "receipt p50 18 ms, p99 1.1 s, snapshot 133"
    )


def test_words_for_numbers() -> None:
    assert [ms(None), ms(18.2), ms(1_140)] == ["–", "18 ms", "1.1 s"]
    assert [percent(None), percent(1_799), percent(10_000)] == ["–", "17.99 %", "100.00 %"]


def test_when_boxes_are_published() -> None:
    seen = [
        Seen(CLOSES_AT_MS + at, heard)
        for at, heard in ((-900, 0), (1_250, 2), (2_250, 1_196), (5_250, 2_394))
    ]
    assert published_after(seen, 0.0, CLOSES_AT_MS) == 1_250
    assert published_after(seen, 0.4, CLOSES_AT_MS) == 2_250
    assert published_after(seen, 0.5, CLOSES_AT_MS) == 5_250
    assert published_after([*seen[:2]], 0.99, CLOSES_AT_MS) == 1_250
    assert published_after(seen[:1], 0.5, CLOSES_AT_MS) is None
    assert published_after([], 0.5, CLOSES_AT_MS) is None


def test_the_feed_is_read_as_it_grows(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    assert feed.newest() is None
    for number in (1, 2):
        (tmp_path / ".new").write_bytes(encoded(number, reported=number))
        (tmp_path / ".new").rename(tmp_path / "latest.json")
        newest = feed.newest()
        assert newest is not None
        assert newest.snapshot == number
        assert feed.newest() is newest
    (tmp_path / ".new").write_bytes(b"{}")
    (tmp_path / ".new").rename(tmp_path / "latest.json")
    with pytest.raises(WireError, match=r"demo\.feed"):
        feed.newest()


def country(tmp_path: Path) -> Country:
    first, second, *others = VOTES
    return Country(
        election=tmp_path,
        results=tmp_path,
        stations=tuple(range(2_400)),
        silent=(1, 2),
        held=3,
        disputed=4,
        # Before the commission has decided for the second result.
        votes={1: (first + 1, second - 1, *others)},
        papers={1: Paper({"valid": 100}, PAPER)},
    )


def test_what_is_published_is_compared_with_what_was_counted(tmp_path: Path) -> None:
    own = country(tmp_path)
    assert differences(own, DISPUTE, snapshot(reported=2_397, disputed=0)) == []
    assert differences(own, DISPUTE, snapshot(reported=2_395)) == [
        "2,397 stations should be counted, 2,396 are published",
        "0 stations should be disputed, 1 are published",
        "2 stations should be silent, 3 are published",
    ]
    end = snapshot(reported=2_397, disputed=0)
    other = replace(own, votes={1: (*own.votes[1][:-1], 1)})
    assert differences(other, DISPUTE, end) == ["contest 1, choice 11: 1 votes counted, 9,999 published"]
    undecided = DISPUTE._replace(second=DISPUTE.first)
    assert len(differences(own, undecided, end)) == 2
    other = replace(own, papers={1: Paper({}, (31, *PAPER[1:]))})
    assert differences(other, DISPUTE, end) == [
        "contest 1 on paper, choice 1: 31 votes counted, 30 published"
    ]


def station_object(*reports: tuple[int, int, tuple[int, ...]]) -> bytes:
    packets = [
        {"index": index, "report": report, "counts": [[1, [[11, 3]], votes], [2, [], [9]]]}
        for index, report, votes in reports
    ]
    return json.dumps({"format": "tallygate-station/1", "packets": packets}).encode()


def test_the_two_results_of_a_station_are_found_in_the_feed(tmp_path: Path) -> None:
    folder = tmp_path / "stations" / "1"
    folder.mkdir(parents=True)
    with pytest.raises(WireError, match="station 1035 should have sent two results"):
        find(tmp_path, 1_035)
    (folder / "1035-9.json").write_bytes(station_object((9, 3, (1, 2))))
    with pytest.raises(WireError, match=r"demo\.feed"):
        find(tmp_path, 1_035)
    (folder / "1035-12.json").write_bytes(station_object((12, 3, (2, 1)), (9, 3, (1, 2)), (3, 1, ())))
    assert find(tmp_path, 1_035) == Dispute(1_035, 12, (1, 2), (2, 1))


def test_a_paper_is_written_as_a_counts_file() -> None:
    values = tomllib.loads(protocol(7, {1: Paper({"valid": 3, "in_box": 4}, (1, 2))}, "keying"))
    assert values["report"] == "protocol"
    assert (values["station"], values["cause"]) == (7, "keying")
    assert values["contests"]["1"] == {"figures": {"valid": 3, "in_box": 4}, "votes": [1, 2]}


@pytest.mark.parametrize("stations", [20, 2_400, 30_000])
def test_a_clock_that_the_gateway_reads_and_ports_that_are_free(tmp_path: Path, stations: int) -> None:
    (tmp_path / "tallygate.toml").write_bytes(render(Config()))
    prepare(tmp_path, stations)
    clock = read_clock(tmp_path / "clock.json")
    assert clock.real_start is None
    assert [(one.at, one.speed) for one in clock.segments] == [
        (one.at, one.speed) for one in segments(stations)
    ]
    assert clock.segments[-1].at == CLOSES_AT_MS
    config = read_config(tmp_path / "tallygate.toml")
    addresses = [
        *config.listen.box,
        *config.listen.web,
        *(getattr(config.listen, name) for name in config.listen.__struct_fields__ if "operations" in name),
    ]
    assert set(addresses) == {"127.0.0.1:0"}
    assert config.limits == Config().limits


def test_the_program_that_ended_explains_the_rest(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_text("first\nlast\n")
    ended = ProgramError("demo.gateway", "it has ended", log)
    assert ended.said == ["first", "last"]
    with pytest.raises(ProgramError), one_error():
        raise ExceptionGroup("", [OSError("a reset"), ExceptionGroup("", [ended])])
    with pytest.raises(ZeroDivisionError), one_error():
        raise ExceptionGroup("", [ended, ZeroDivisionError()])
    assert ProgramError("demo.init", "gone", tmp_path / "none.log").said == []


def test_programs_are_run_by_the_same_python() -> None:
    assert module("gateway.cli", "serve", Path("night"))[1:] == ["-P", "-m", "gateway.cli", "serve", "night"]


def test_an_outcome_is_good_only_if_all_three_agree(tmp_path: Path) -> None:
    report = msgspec.json.decode(
        b'{"ok":true,"planned":5,"delivered":5,"connections":6,"cut":1,"duplicates":0,"statements_per_second":1.5,'
        b'"results":{"delivered":2,"from_close_ms":null,"from_send_ms":null},'
        b'"audit":{"size":6,"delivered":5,"receipts":5,"faults":[]}}',
        type=FleetReport,
    )
    good = Outcome(country(tmp_path), report, (), snapshot(reported=2_397, disputed=0), DISPUTE, 0)
    assert good.good
    assert not replace(good, observer=1).good
    assert not replace(good, last=snapshot(reported=2_395)).good
    assert not replace(good, report=msgspec.structs.replace(report, ok=False)).good
