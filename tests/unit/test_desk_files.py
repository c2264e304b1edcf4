"""Protocols in files: two that must say the same, what each must have, and what they replace."""

import copy
import json
from pathlib import Path
from typing import cast

import pytest

from clients.box.countsfile import CountsError
from clients.box.report import Report
from clients.box.sign import Signed
from clients.desk import desk as desks
from clients.desk import draft as drafts
from clients.desk import paper, protocolfile
from clients.desk.desk import Desk
from clients.desk.keying import Wishes, key_files
from clients.wire.errors import WireError
from tests.unit import box_helpers as box
from tests.unit.box_helpers import Values
from tests.unit.desk_helpers import CLOSED_AT, NOW, make_desk, record

TABLE = f"""\ufefffield,value
station,8
cause,first
closed_at,{CLOSED_AT}
figures.registered,1200

contests.2.figures.in_box,1000
contests.2.figures.valid,990
contests.2.figures.invalid,10
contests.2.votes.1,500
"contests.2.votes.2", 490
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return make_desk(tmp_path)


def values() -> Values:
    return {
        "station": 8,
        "cause": "first",
        "closed_at": CLOSED_AT,
        "figures": {"registered": 1200},
        "contests": {"2": {"figures": {"in_box": 1000, "valid": 990, "invalid": 10}, "votes": [500, 490]}},
    }


def key(desk: Desk, first: Path, second: Path | None, wishes: Wishes | None = None, **more: object) -> Signed:
    on_paper = cast(tuple[str, ...], more.get("on_paper", ()))
    single = "" if second else "keyed twice in the district"
    with drafts.opened(desk.path) as own:
        return key_files(desk, own, first, second, single, on_paper, wishes or Wishes(signed_at=NOW))


def faults(
    desk: Desk, first: Path, second: Path | None, wishes: Wishes | None = None
) -> list[tuple[str, str]]:
    with pytest.raises(CountsError) as caught:
        key(desk, first, second, wishes)
    assert desks.read(desk.path).signed == []
    return [(fault.path, fault.code) for fault in caught.value.faults]


def written(folder: Path, name: str, content: Values | str) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_two_files_that_say_the_same_in_two_forms(desk: Desk, tmp_path: Path) -> None:
    signed = key(desk, written(tmp_path, "a.csv", TABLE), written(tmp_path, "b.json", values()))
    report = Report.of(signed.statement.report)
    assert (signed.statement.station, report.closed_at, report.figures) == (8, CLOSED_AT, {1: 1200})
    assert report.counts[0].votes == (500, 490)
    assert signed.findings == []
    kept = record(desk, 1)
    readings = cast(list[Values], kept["readings"])
    assert [one["by"] for one in readings] == [str(tmp_path / "a.csv"), str(tmp_path / "b.json")]
    assert kept["single"] == ""


def test_toml_and_a_scan(desk: Desk, tmp_path: Path) -> None:
    text = (
        f'report = "protocol"\nstation = 8\ncause = "first"\nclosed_at = {CLOSED_AT}\n'
        "figures.registered = 1200\n"
        "[contests.2]\nfigures = {in_box = 1000, valid = 990, invalid = 10}\nvotes = {1 = 500, 2 = 490}\n"
        '[[attachments]]\nfile = "act.pdf"\ndocument = "act_or_complaint"\n'
    )
    (tmp_path / "act.pdf").write_bytes(b"%PDF-1.4 act")
    (tmp_path / "page.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    table = TABLE + "attachments.1.file,act.pdf\nattachments.1.document,act_or_complaint\n"
    wishes = Wishes([tmp_path / "page.png"], signed_at=NOW)
    signed = key(desk, written(tmp_path, "a.toml", text), written(tmp_path, "b.csv", table), wishes)
    papers = Report.of(signed.statement.report).attachments
    assert [(paper.document, paper.media) for paper in papers] == [(5, 1), (1, 2)]
    assert all((desk.path / "attachments" / paper.sha256.hex()).exists() for paper in papers)


def test_every_line_that_differs_is_named(desk: Desk, tmp_path: Path) -> None:
    other = copy.deepcopy(values())
    other |= {"closed_at": CLOSED_AT + 60_000, "cause": "recount", "corrects": "ab" * 32}
    cast(Values, cast(Values, other["contests"])["2"])["votes"] = [501, 489]
    other["figures"] = {"identified": 7}
    found = faults(desk, written(tmp_path, "a.json", values()), written(tmp_path, "b.json", other))
    places = ["cause", "corrects", "figures.registered", "contests.2.votes.1", "contests.2.votes.2"]
    places += ["closed_at", "figures.identified"]
    assert found == [(place, "desk.differs") for place in places]


def test_one_file_is_no_second_reading(desk: Desk, tmp_path: Path) -> None:
    first = written(tmp_path, "a.json", values())
    (tmp_path / "b.json").symlink_to(first)
    with pytest.raises(WireError) as caught:
        key(desk, first, tmp_path / "b.json")
    assert caught.value.code == "desk.same_file"


def test_one_reading_keeps_its_reason(desk: Desk, tmp_path: Path) -> None:
    key(desk, written(tmp_path, "a.json", values()), None)
    assert record(desk, 1)["single"] == "keyed twice in the district"


def test_a_hard_rule_that_the_paper_breaks(desk: Desk, tmp_path: Path) -> None:
    broken = copy.deepcopy(values())
    cast(Values, cast(Values, broken["contests"])["2"])["votes"] = [500, 480]
    broken["figures"] = {"registered": 1199}
    first = written(tmp_path, "a.json", broken)
    # S213 is only told.
    assert faults(desk, first, None) == [("H103", "desk.on_paper")]
    signed = key(desk, first, None, on_paper=("H103",))
    assert sorted(finding.code for finding in signed.findings) == ["H103", "S213"]
    assert cast(list[str], record(desk, 1)["confirmed"])[0].startswith(
        "H103 contest 2: the votes add up to 980"
    )


class TestWhatItReplaces:
    def test_is_found_in_the_desks_own_chain(self, desk: Desk, tmp_path: Path) -> None:
        first = key(desk, written(tmp_path, "a.json", values()), None)
        desk = desks.read(desk.path)
        # The same once more is the same; another first one would dispute it.
        assert not key(desk, tmp_path / "a.json", None).new
        other = copy.deepcopy(values())
        cast(Values, cast(Values, other["contests"])["2"])["votes"] = [501, 489]
        with pytest.raises(WireError) as caught:
            key(desk, written(tmp_path, "b.json", other), None)
        assert caught.value.code == "desk.another"
        second = key(desk, written(tmp_path, "c.json", other | {"cause": "recount"}), None)
        assert Report.of(second.statement.report).corrects == first.statement.id
        # Run again after a power cut: nothing is signed twice.
        desk = desks.read(desk.path)
        known = key(desk, tmp_path / "c.json", None)
        assert (known.new, known.statement.id) == (False, second.statement.id)

    def test_another_contest_is_another_paper(self, desk: Desk, tmp_path: Path) -> None:
        key(desk, written(tmp_path, "a.json", values()), None)
        one = {"figures": {"in_box": 1000, "valid": 990, "invalid": 10}, "votes": [10, 970, 20]}
        key(desks.read(desk.path), written(tmp_path, "b.json", values() | {"contests": {"1": one}}), None)
        second = key(desks.read(desk.path), written(tmp_path, "c.json", values() | {"cause": "court"}), None)
        first = desks.read(desk.path).signed[0]
        assert Report.of(second.statement.report).corrects == first.id

    def test_must_be_there(self, desk: Desk, tmp_path: Path) -> None:
        with pytest.raises(WireError) as caught:
            key(desk, written(tmp_path, "a.json", values() | {"cause": "court"}), None)
        assert caught.value.code == "desk.corrects"
        with pytest.raises(WireError) as caught:
            key(desk, written(tmp_path, "b.json", values() | {"corrects": "ab" * 32}), None)
        assert caught.value.code == "desk.corrects"
        wishes = Wishes(corrects="ab" * 32, signed_at=NOW)
        signed = key(desk, tmp_path / "a.json", None, wishes)
        assert Report.of(signed.statement.report).corrects == b"\xab" * 32


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        ("field;value\n", ""),
        ("field,value\nstation\n", ""),
        ("field,value\nstation,8,9\n", ""),
        ("field,value\nstation,8\nstation,9\n", "station"),
        ("field,value\nstation,8\nstation.x,9\n", "station.x"),
        ("field,value\nfigures..x,9\n", "figures..x"),
        ("field,value\n,9\n", ""),
        ('field,value\n"station,8\n', ""),
    ],
)
def test_what_is_no_table(desk: Desk, tmp_path: Path, text: str, path: str) -> None:
    assert faults(desk, written(tmp_path, "a.csv", text), None) == [(path, "counts.syntax")]


def test_bytes_that_are_no_table(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"field,value\n\xff,1\n")
    assert faults(desk, tmp_path / "a.csv", None) == [("", "counts.syntax")]
    assert faults(desk, tmp_path / "none.csv", None) == [("", "counts.unreadable")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"report": "result"}, ("report", "counts.word")),
        ({"station": 9}, ("station", "counts.station")),
        ({"contests": {"3": {}}}, ("contests.3", "counts.contest")),
        ({"cause": "mistake"}, ("cause", "counts.word")),
        (
            {"attachments": [{"file": "none.pdf", "document": "protocol"}]},
            ("attachments.1.file", "counts.attachment"),
        ),
    ],
)
def test_faults_of_a_file(desk: Desk, tmp_path: Path, change: Values, expected: tuple[str, str]) -> None:
    broken = box.result() if change.get("report") else values() | change
    assert expected in faults(desk, written(tmp_path, "a.json", broken), None)


@pytest.mark.parametrize("said", [{"sha256": "ab" * 32}, {"size": 7}, {"media": "png"}])
def test_a_scan_that_is_not_what_was_said_of_it(desk: Desk, tmp_path: Path, said: Values) -> None:
    (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.7")
    scan = {"file": "scan.pdf", "document": "protocol", **said}
    found = faults(desk, written(tmp_path, "a.json", values() | {"attachments": [scan]}), None)
    assert found == [(f"attachments.1.{next(iter(said))}", "counts.attachment")]


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "does not begin like a PDF, PNG, JPEG or TIFF"),
        (b"", "the file is empty"),
        (b"%PDF-" + bytes(30 * 1024 * 1024), "at most 20,971,520 bytes"),
    ],
)
def test_a_scan_that_cannot_be_attached(desk: Desk, tmp_path: Path, data: bytes, detail: str) -> None:
    (tmp_path / "scan.png").write_bytes(data)
    wishes = Wishes([tmp_path / "scan.png"], signed_at=NOW)
    with pytest.raises(CountsError, match=r"counts\.attachment") as caught:
        key(desk, written(tmp_path, "a.json", values()), None, wishes)
    assert detail in caught.value.faults[0].detail


class TestLines:
    def test_the_usual_order(self, desk: Desk) -> None:
        found = paper.lines(desk.definition, (1, 2))
        assert found[0].path == "figures.registered"
        assert found[-1].path == "closed_at"
        assert [line.path for line in found if line.choice][:3] == [
            f"contests.1.votes.{n}" for n in (1, 7, 9)
        ]
        assert {line.path for line in found if line.contest == 2 and line.required} == {
            f"contests.2.{own}"
            for own in ("figures.in_box", "figures.valid", "figures.invalid", "votes.1", "votes.2")
        }

    def test_the_countrys_order(self, tmp_path: Path, desk: Desk) -> None:
        order = written(tmp_path, "lines.txt", "# Form 1\nvalid\n\ninvalid # line 2\nobservers\nidentified\n")
        named = desks.read_lines(order, desk.definition)
        assert named == ("valid", "invalid", "observers", "identified")
        found = [line.path for line in paper.lines(desk.definition, (2,), named)]
        own = [f"contests.2.figures.{name}" for name in ("valid", "invalid", "observers", "in_box")]
        assert found == ["figures.identified", *own, "contests.2.votes.1", "contests.2.votes.2", "closed_at"]

    @pytest.mark.parametrize(("text", "line"), [("valid\nvotes\n", 2), ("valid\nblank\nvalid\n", 3)])
    def test_an_order_that_is_none(self, tmp_path: Path, desk: Desk, text: str, line: int) -> None:
        with pytest.raises(WireError) as caught:
            desks.read_lines(written(tmp_path, "lines.txt", text), desk.definition)
        assert (caught.value.code, caught.value.line) == ("desk.lines", line)


def test_a_table_is_read_as_a_counts_file(tmp_path: Path) -> None:
    assert protocolfile.load(written(tmp_path, "a.csv", TABLE)) == {
        "report": "protocol",
        "station": 8,
        "cause": "first",
        "closed_at": CLOSED_AT,
        "figures": {"registered": 1200},
        "contests": {
            "2": {"figures": {"in_box": 1000, "valid": 990, "invalid": 10}, "votes": {"1": 500, "2": 490}}
        },
    }
