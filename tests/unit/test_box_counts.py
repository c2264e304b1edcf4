"""A counts file becomes exactly one content, or is refused with every fault it has."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.box import counts, countsfile, plausible, show
from clients.box.countsfile import MAX_COUNTS_BYTES, MAX_FAULTS, CountsError
from clients.box.report import Report
from clients.wire import statement
from clients.wire.definition import Definition
from clients.wire.text import MAX_NUMBER
from tests.unit import box_helpers as box
from tests.unit.box_helpers import CLOSED_AT, Values, codes
from tests.unit.wire_election import DEFINITION, ELECTION, Election, Json

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> Definition:
    root = tmp_path_factory.mktemp("election")
    Election(root)
    return Definition.load(root / "definition")


def judged(definition: Definition, values: Values, base: Path = Path()) -> counts.Counts:
    return counts.judge(values, "counts.json", base, definition)


def faults(definition: Definition, values: Values, base: Path = Path()) -> list[tuple[str, str]]:
    with pytest.raises(CountsError) as caught:
        judged(definition, values, base)
    return codes(caught.value)


class TestContent:
    def test_result(self, definition: Definition) -> None:
        given = judged(definition, box.result())
        assert given.station.station == 8
        assert given.report == (
            3,
            CLOSED_AT,
            1,
            2500,
            ((1, 1200), (3, 1000)),
            (
                (1, ((9, 1000), (11, 980), (13, 20)), (300, 900, 80)),
                (2, ((9, 1000), (11, 990), (13, 10)), (500, 490)),
            ),
            (),
        )

    def test_opening(self, definition: Definition) -> None:
        report = judged(definition, box.opening()).report
        assert report == (1, 500, b"\x01" * 32, ((1, (0, 0, 0)), (2, (0, 0))))

    def test_turnout(self, definition: Definition) -> None:
        assert judged(definition, box.turnout()).report == (2, 1_800_000_000_000, ((3, 412),))

    def test_protocol(self, definition: Definition) -> None:
        assert judged(definition, box.protocol()).report == (
            4,
            1_800_021_700_500,
            b"\xab" * 32,
            4,
            (),
            ((2, ((9, 1000), (11, 990), (13, 10), (100, 3)), (500, 490)),),
            ((b"\xcd" * 32, 4, 48_211, 5, 1),),
        )

    def test_documents(self, definition: Definition) -> None:
        paper = (b"\xcd" * 32, 4, 48_211, 5)
        assert judged(definition, box.documents()).report == (5, ((*paper, 1), (*paper, 2)))

    def test_order_in_the_file_does_not_matter(self, definition: Definition) -> None:
        values = box.result()
        shuffled: Values = {key: values[key] for key in reversed(values)}
        shuffled["contests"] = {
            "2": {"votes": {"2": 490, "1": 500}, "figures": dict(reversed(box.FIGURES_2.items()))},
            "1": {"votes": {"9": 80, "7": 900, "1": 300}, "figures": dict(reversed(box.FIGURES_1.items()))},
        }
        assert judged(definition, shuffled) == judged(definition, values)

    def test_toml_and_json_are_one(self, definition: Definition, tmp_path: Path) -> None:
        (tmp_path / "counts.toml").write_bytes(
            b'\xef\xbb\xbf# by hand\r\nreport = "result"\r\nstation = 8\r\n'
            b'closed_at = 2027-01-15T20:01:40+06:00\r\norigin = "normal"\r\ncounter = 2_500\r\n'
            b"figures.registered = 1200\r\nfigures.identified = 1000\r\n"
            b"[contests.1]\r\nfigures = {in_box = 1000, valid = 980, invalid = 20}\r\n"
            b"votes = [300, 900, 80]\r\n"
            b"[contests.2.figures]\r\nin_box = 1000\r\nvalid = 990\r\ninvalid = 10\r\n"
            b"[contests.2.votes]\r\n1 = 500\r\n2 = 490\r\n"
        )
        values = box.result()
        values["closed_at"] = "2027-01-15T14:01:40Z"
        as_json = box.write_json(tmp_path / "counts.JSON", values)
        from_toml = counts.read(tmp_path / "counts.toml", definition)
        assert from_toml == counts.read(as_json, definition)
        assert from_toml.report[1] == 1_800_021_700_000

    def test_an_empty_list_of_attachments_is_none(self, definition: Definition) -> None:
        assert judged(definition, {**box.result(), "attachments": []}) == judged(definition, box.result())

    @pytest.mark.parametrize("make", [box.result, box.opening, box.turnout, box.protocol, box.documents])
    def test_shown_and_read_again(self, definition: Definition, make: Callable[[], Values]) -> None:
        given = judged(definition, make())
        content = (definition.sha256, 7, given.station.station, 1, b"", 5, given.report)
        payload = statement.encode_payload("packet", content)
        packet = statement.decode(statement.encode("packet", bytes(8), payload, bytes(64)))
        again = json.loads(json.dumps(show.counts_json(packet, definition)))
        assert judged(definition, again) == given


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "at"),
        [
            ("2027-01-15T20:01:40+06:00", 1_800_021_700_000),
            ("2027-01-15t14:01:40.1239z", 1_800_021_700_123),
            ("2027-01-15 14:01:40Z", 1_800_021_700_000),
            (0, 0),
            (MAX_NUMBER, MAX_NUMBER),
        ],
    )
    def test_good(self, definition: Definition, text: object, at: int) -> None:
        assert judged(definition, {**box.turnout(), "as_of": text}).report[1] == at

    @pytest.mark.parametrize(
        "text",
        [
            "2027-01-15T20:01:40",
            "2027-01-15T20:01:60Z",
            "2027-02-30T20:01:40Z",
            "1969-12-31T23:59:59Z",
            "0001-01-01T00:00:00+14:00",
            "2027-01-15",
            "",
            "now",
            None,
            True,
            1.5,
            [],
        ],
    )
    def test_bad(self, definition: Definition, text: object) -> None:
        assert faults(definition, {**box.turnout(), "as_of": text}) == [("as_of", "time")]

    @pytest.mark.parametrize(
        "text", ["2027-01-15T20:01:40", "2027-01-15", "20:01:40", "1969-12-31T23:59:59Z"]
    )
    def test_bad_in_toml(self, definition: Definition, text: str) -> None:
        source = f'report="turnout"\nstation=8\nfigures={{identified=1}}\nas_of={text}\n'
        values = countsfile.parse(source.encode(), "c", as_json=False)
        with pytest.raises(CountsError) as caught:
            counts.judge(values, "c", Path(), definition)
        assert codes(caught.value) == [("as_of", "time")]


def test_a_required_figure_may_stand_once_for_all_contests(definition: Definition) -> None:
    values = box.result()
    values["figures"] = {"registered": 1200, "in_box": 1000}
    for count in (own for own in values["contests"].values()):  # type: ignore[attr-defined]
        del count["figures"]["in_box"]
    report = Report.of(judged(definition, values).report)
    assert report.figures == {1: 1200, 9: 1000}
    assert all(9 not in count.figures for count in report.counts)
    del values["figures"]["in_box"]  # type: ignore[attr-defined]
    expected = [(f"contests.{contest}.figures.in_box", "figure_missing") for contest in (1, 2)]
    assert faults(definition, values) == expected


def put(path: str, value: object) -> Callable[[Values], None]:
    """Set what stands at a key path."""

    def change(values: Values) -> None:
        *way, last = path.split(".")
        inner: object = values
        for key in way:
            assert isinstance(inner, dict)
            inner = inner[key]
        assert isinstance(inner, dict)
        inner[last] = value

    return change


def drop(path: str) -> Callable[[Values], None]:
    """Remove what stands at a key path."""

    def change(values: Values) -> None:
        *way, last = path.split(".")
        inner: object = values
        for key in way:
            assert isinstance(inner, dict)
            inner = inner[key]
        assert isinstance(inner, dict)
        del inner[last]

    return change


class TestFaults:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (drop("report"), [("report", "missing")]),
            (put("report", "results"), [("report", "word")]),
            (put("report", ["result"]), [("report", "word")]),
            (drop("station"), [("station", "missing")]),
            (put("station", 9), [("station", "station")]),
            (put("station", 0), [("station", "station")]),
            (put("station", [8, 11]), [("station", "station")]),
            (put("station", "8"), [("station", "not_a_number")]),
            (put("station", -8), [("station", "negative")]),
            (drop("closed_at"), [("closed_at", "missing")]),
            (drop("origin"), [("origin", "missing")]),
            (drop("counter"), [("counter", "missing")]),
            (drop("contests"), [("contests", "missing")]),
            (put("as_of", 5), [("as_of", "unknown")]),
            (put("colour", 5), [("colour", "unknown")]),
            (put("origin", "normall"), [("origin", "word")]),
            (put("origin", 1), [("origin", "word")]),
            (put("origin", None), [("origin", "word")]),
            (put("counter", "2500"), [("counter", "not_a_number")]),
            (put("counter", 2500.0), [("counter", "not_a_number")]),
            (put("counter", True), [("counter", "not_a_number")]),
            (put("counter", None), [("counter", "not_a_number")]),
            (put("counter", -1), [("counter", "negative")]),
            (put("counter", MAX_NUMBER + 1), [("counter", "too_large")]),
            (put("counter", 16**9000), [("counter", "too_large")]),
            (put("counter", -(16**9000)), [("counter", "negative")]),
            (put("figures", 7), [("figures", "table")]),
            (put("figures.registred", 7), [("figures.registred", "figure")]),
            (put("figures.9", 7), [("figures.9", "figure")]),
            (put("figures.registered", "x"), [("figures.registered", "not_a_number")]),
            (put("contests", [1, 2]), [("contests", "table")]),
            (put("contests.1", 5), [("contests.1", "table")]),
            (drop("contests.2"), [("contests.2", "contest_missing")]),
            (put("contests.3", {"figures": {}, "votes": []}), [("contests.3", "contest")]),
            (put("contests.01", {"figures": {}, "votes": []}), [("contests.01", "contest")]),
            (drop("contests.1.figures"), [("contests.1.figures", "missing")]),
            (drop("contests.1.votes"), [("contests.1.votes", "missing")]),
            (put("contests.1.vote", 1), [("contests.1.vote", "unknown")]),
            (drop("contests.1.figures.valid"), [("contests.1.figures.valid", "figure_missing")]),
            (put("contests.1.figures", 5), [("contests.1.figures", "table")]),
            (put("contests.1.votes", 5), [("contests.1.votes", "table")]),
            (put("contests.1.votes", [1, 2]), [("contests.1.votes", "votes")]),
            (put("contests.1.votes", [1, 2, 3, 4]), [("contests.1.votes", "votes")]),
            (put("contests.1.votes", [1, "2", 3]), [("contests.1.votes.2", "not_a_number")]),
            (put("contests.2.votes", {"1": 1, "2": 2, "3": 3}), [("contests.2.votes.3", "choice")]),
            (put("contests.2.votes", {"1": 1, "2": 2, "x": 3}), [("contests.2.votes.x", "choice")]),
            (put("contests.2.votes", {"1": 1}), [("contests.2.votes", "choice_missing")]),
            (
                put("contests.2.votes", {"1": 1, "02": 2}),
                [("contests.2.votes.02", "choice"), ("contests.2.votes", "choice_missing")],
            ),
            (put("contests.2.votes", {"1": 1, "2": 0.5}), [("contests.2.votes.2", "not_a_number")]),
            (put("attachments", {}), [("attachments", "table")]),
            (put("attachments", ["scan.pdf"]), [("attachments.1", "table")]),
            (put("attachments", [box.paper()] * 17), [("attachments", "attachments")]),
        ],
    )
    def test_of_a_result(
        self, definition: Definition, change: Callable[[Values], None], expected: list[tuple[str, str]]
    ) -> None:
        values = copy.deepcopy(box.result())
        change(values)
        assert faults(definition, values) == expected

    @pytest.mark.parametrize(
        ("make", "change", "expected"),
        [
            (box.opening, drop("firmware"), [("firmware", "missing")]),
            (box.opening, put("firmware", "01"), [("firmware", "hash")]),
            (box.opening, put("firmware", "AB" * 32), [("firmware", "hash")]),
            (box.opening, put("firmware", None), [("firmware", "hash")]),
            (box.opening, put("figures", {}), [("figures", "unknown")]),
            (box.opening, put("contests.1.figures", {}), [("contests.1.figures", "unknown")]),
            (box.opening, put("contests.1.votes", []), [("contests.1.votes", "votes")]),
            (box.turnout, drop("figures"), [("figures", "missing")]),
            (box.turnout, put("figures", {}), [("figures", "figure_missing")]),
            (box.turnout, put("contests", {}), [("contests", "unknown")]),
            (box.protocol, put("contests", {}), [("contests", "contest_missing")]),
            (box.protocol, drop("cause"), [("cause", "missing")]),
            (box.protocol, put("cause", "recounted"), [("cause", "word")]),
            (box.protocol, put("corrects", ""), [("corrects", "hash")]),
            (box.protocol, put("counter", 5), [("counter", "unknown")]),
            (box.documents, drop("attachments"), [("attachments", "missing")]),
            (box.documents, put("attachments", []), [("attachments", "attachments")]),
        ],
    )
    def test_of_other_reports(
        self,
        definition: Definition,
        make: Callable[[], Values],
        change: Callable[[Values], None],
        expected: list[tuple[str, str]],
    ) -> None:
        values = make()
        change(values)
        assert faults(definition, values) == expected

    def test_another_stations_contest(self, definition: Definition) -> None:
        values = box.result()
        values["station"] = 11
        assert faults(definition, values) == [("contests.2", "contest")]

    def test_all_at_once_and_what_to_do(self, definition: Definition) -> None:
        values = box.result()
        values |= {"origin": "normall", "counter": "1", "clsed_at": 1, "figures": {"registred": -1}}
        values["contests"] = {"1": {"votes": [1, 2, 3], "figures": {"in_box": 6, "valid": 6}}}
        with pytest.raises(CountsError) as caught:
            judged(definition, values)
        assert codes(caught.value) == [
            ("clsed_at", "unknown"),
            ("origin", "word"),
            ("counter", "not_a_number"),
            ("figures.registred", "negative"),
            ("figures.registred", "figure"),
            ("contests.1.figures.invalid", "figure_missing"),
            ("contests.2", "contest_missing"),
        ]
        lines = caught.value.lines()
        assert lines[0] == (
            "counts.json:clsed_at: there is no such key; did you mean `closed_at`? [counts.unknown]"
        )
        assert "did you mean `registered`?" in lines[4]

    def test_required_of_the_voters(self, tmp_path: Path) -> None:
        election = Election(tmp_path)
        rules = ELECTION["rules"]
        assert isinstance(rules, dict)
        manifest: dict[str, Json] = {
            **ELECTION,
            "rules": {**rules, "required": [], "required_voters": [1, 100]},
        }
        election.write_definition(DEFINITION, manifest)
        strict = Definition.load(tmp_path / "definition")
        values = box.result()
        assert faults(strict, values) == [("figures.observers", "figure_missing")]
        del values["figures"]
        assert faults(strict, values) == [
            ("figures.registered", "figure_missing"),
            ("figures.observers", "figure_missing"),
        ]
        assert judged(strict, box.turnout()).report[0] == 2
        values = {**box.result(), "figures": {"registered": 1, "observers": 2}}
        values["contests"] = {
            "1": {"figures": {}, "votes": [1, 2, 3]},
            "2": {"figures": {"lost": 1}, "votes": [1, 2]},
        }
        assert faults(strict, values) == [("contests.1.figures", "figure_missing")]

    def test_only_so_many_are_told(self, definition: Definition) -> None:
        values = box.result()
        values["figures"] = {f"figure_{number}": 1 for number in range(5_000)}
        with pytest.raises(CountsError) as caught:
            judged(definition, values)
        assert len(caught.value.faults) == MAX_FAULTS
        assert caught.value.more == 5_000 - MAX_FAULTS
        assert caught.value.lines()[-1] == "counts.json: and 4,900 more"


class TestAttachments:
    def papers(self, definition: Definition, base: Path, *papers: object) -> counts.Counts:
        return judged(definition, {**box.documents(), "attachments": list(papers)}, base)

    def test_of_a_file(self, definition: Definition, tmp_path: Path) -> None:
        (tmp_path / "scan.bin").write_bytes(PNG)
        given = self.papers(
            definition,
            tmp_path,
            {"file": "scan.bin", "document": "protocol", "media": "png", "size": len(PNG)},
        )
        sha256 = hashlib.sha256(PNG).digest()
        assert given.report == (5, ((sha256, 2, len(PNG), 1, 1),))
        assert given.attachments == {sha256: tmp_path / "scan.bin"}

    @pytest.mark.parametrize(
        ("start", "media"),
        [(b"%PDF-1.7", 1), (PNG, 2), (b"\xff\xd8\xff\xe0", 3), (b"II*\0", 4), (b"MM\0*", 4)],
    )
    def test_magic(self, definition: Definition, tmp_path: Path, start: bytes, media: int) -> None:
        (tmp_path / "scan").write_bytes(start)
        (report_papers,) = self.papers(definition, tmp_path, {"file": "scan", "document": "other"}).report[1:]
        assert isinstance(report_papers, tuple)
        assert isinstance(report_papers[0], tuple)
        assert report_papers[0][1] == media

    @pytest.mark.parametrize(
        ("paper", "expected"),
        [
            ({"file": "scan"}, [("attachments.1.document", "missing")]),
            ({"file": "scan", "document": "slip"}, [("attachments.1.document", "word")]),
            ({"file": "scan", "document": "other", "pages": 1}, [("attachments.1.pages", "unknown")]),
            ({"file": "scan", "document": "other", "page": None}, [("attachments.1.page", "not_a_number")]),
            ({"file": "scan", "document": "other", "media": "pdf"}, [("attachments.1.media", "attachment")]),
            ({"file": "scan", "document": "other", "size": 1}, [("attachments.1.size", "attachment")]),
            ({"file": "scan", "document": "other", "sha256": "00"}, [("attachments.1.sha256", "attachment")]),
            ({"file": "text", "document": "other"}, [("attachments.1.file", "attachment")]),
            ({"file": "empty", "document": "other"}, [("attachments.1.file", "attachment")]),
            ({"file": "nothing", "document": "other"}, [("attachments.1.file", "attachment")]),
            ({"file": "folder", "document": "other"}, [("attachments.1.file", "attachment")]),
            ({"file": "huge", "document": "other"}, [("attachments.1.file", "attachment")]),
            ({"file": "", "document": "other"}, [("attachments.1.file", "attachment")]),
            ({"file": "a\0b", "document": "other"}, [("attachments.1.file", "attachment")]),
            ({"file": "\ud800", "document": "other"}, [("attachments.1.file", "attachment")]),
            ({"file": "x" * 5_000, "document": "other"}, [("attachments.1.file", "attachment")]),
            ({"file": 5, "document": "other"}, [("attachments.1.file", "attachment")]),
            (
                {"document": "other"},
                [(f"attachments.1.{key}", "missing") for key in ("sha256", "size", "media")],
            ),
            ({**box.paper(), "size": 0}, [("attachments.1.size", "too_small")]),
            ({**box.paper(), "size": 20 * 1024 * 1024 + 1}, [("attachments.1.size", "too_large")]),
            ({**box.paper(), "media": "gif"}, [("attachments.1.media", "word")]),
            ({**box.paper(), "media": None}, [("attachments.1.media", "word")]),
            ({**box.paper(), "sha256": 5}, [("attachments.1.sha256", "hash")]),
        ],
    )
    def test_faults(
        self, definition: Definition, tmp_path: Path, paper: Values, expected: list[tuple[str, str]]
    ) -> None:
        (tmp_path / "scan").write_bytes(PNG)
        (tmp_path / "text").write_bytes(b"hello")
        (tmp_path / "empty").touch()
        (tmp_path / "folder").mkdir()
        with (tmp_path / "huge").open("wb") as stream:
            stream.truncate(20 * 1024 * 1024 + 1)
        assert faults(definition, {**box.documents(), "attachments": [paper]}, tmp_path) == expected


class TestFile:
    @pytest.mark.parametrize(
        ("data", "as_json", "line", "said"),
        [
            (b"\xff\xfe", False, 1, "UTF-8"),
            (b"a = 1\nb = \xff", True, 2, "UTF-8"),
            (b"a = 1\nb = ", False, 2, "TOML"),
            (b"a = 1\na = 2\n", False, 2, "TOML"),
            (b"[", False, 1, "TOML"),
            (b'{"a":\n}', True, 2, "JSON"),
            (b'{"report": 1, "report": 2}', True, None, "stands twice"),
            (b"[1]", True, None, "one object"),
            (b"", True, 1, "JSON"),
            (b'{"a": ' + b"9" * 5_000 + b"}", True, None, "thousands of digits"),
            (b"a = " + b"9" * 5_000, False, None, "thousands of digits"),
            (b'{"a":' + b"[" * 100_000, True, None, "hundreds deep"),
            (b"a = " + b"[" * 100_000, False, None, "hundreds deep"),
        ],
    )
    def test_syntax(self, data: bytes, as_json: bool, line: int | None, said: str) -> None:
        with pytest.raises(CountsError) as caught:
            countsfile.parse(data, "c", as_json=as_json)
        (fault,) = caught.value.faults
        assert (fault.code, fault.line) == ("counts.syntax", line)
        assert said in fault.detail

    def test_empty_toml_lacks_everything(self, definition: Definition, tmp_path: Path) -> None:
        (tmp_path / "c.toml").touch()
        with pytest.raises(CountsError) as caught:
            counts.read(tmp_path / "c.toml", definition)
        assert codes(caught.value) == [("report", "missing"), ("station", "missing")]

    def test_unreadable(self, definition: Definition, tmp_path: Path) -> None:
        (tmp_path / "large").write_bytes(b"#" * (MAX_COUNTS_BYTES + 1))
        for name in ("nothing", ".", "large"):
            with pytest.raises(CountsError) as caught:
                counts.read(tmp_path / name, definition)
            assert codes(caught.value) == [("", "unreadable")]


KEYS = st.sampled_from(
    [
        *("report", "station", "closed_at", "as_of", "origin", "cause", "corrects", "counter", "firmware"),
        *(
            "figures",
            "contests",
            "attachments",
            "votes",
            "valid",
            "in_box",
            "invalid",
            "registered",
            "observers",
        ),
        *("1", "2", "7", "9", "file", "sha256", "size", "media", "document", "page"),
    ]
) | st.text(max_size=5)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(0, 12)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["result", "opening", "turnout", "protocol", "documents", "normal", "first", "png", "ab" * 32]
    )
    | st.datetimes()
    | st.datetimes(timezones=st.timezones())
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


class TestAnyInput:
    """Whatever comes, there are faults or there is a report that can be signed, judged and shown."""

    def judge(self, definition: Definition, values: dict[str, object]) -> None:
        try:
            given = counts.judge(values, "c", Path("/nowhere"), definition)
        except CountsError as error:
            lines = error.lines()
        else:
            self.sign(definition, given)
            return
        assert lines

    def sign(self, definition: Definition, given: counts.Counts) -> None:
        content = (definition.sha256, 7, given.station.station, 1, b"", 5, given.report)
        payload = statement.encode_payload("packet", content)
        packet = statement.decode(statement.encode("packet", bytes(8), payload, bytes(64)))
        plausible.judge(Report.of(packet.report), given.station, definition, 5, [packet])
        assert show.lines(packet, definition)
        assert show.lines(packet, None)

    @given(values=st.dictionaries(KEYS, VALUES, max_size=10))
    def test_values(self, definition: Definition, values: dict[str, object]) -> None:
        self.judge(definition, values)

    @given(
        make=st.sampled_from([box.result, box.opening, box.turnout, box.protocol, box.documents]),
        spoiled=st.lists(st.tuples(st.lists(st.integers(0, 9), min_size=1, max_size=4), VALUES), max_size=3),
    )
    def test_spoiled(
        self,
        definition: Definition,
        make: Callable[[], dict[str, object]],
        spoiled: list[tuple[list[int], object]],
    ) -> None:
        values = make()
        for way, value in spoiled:
            spoil(values, way, value)
        self.judge(definition, values)

    def parse(self, data: bytes, as_json: bool) -> None:
        try:
            countsfile.parse(data, "c", as_json=as_json)
        except CountsError as error:
            found = codes(error)
        else:
            return
        assert found == [("", "syntax")]

    @given(st.binary(max_size=200), st.booleans())
    def test_bytes(self, data: bytes, as_json: bool) -> None:
        self.parse(data, as_json)

    @given(st.text(alphabet='={}[]",.\n#-+_:TZe0159abrx\\u\t ', max_size=80), st.booleans())
    def test_text(self, text: str, as_json: bool) -> None:
        self.parse(text.encode(), as_json)


def spoil(values: dict[str, object], way: list[int], value: object) -> None:
    """Walk down by places and replace what stands at the end of the way."""
    inner: object = values
    for depth, place in enumerate(way):
        last = depth == len(way) - 1
        if isinstance(inner, dict) and inner:
            key = list(inner)[place % len(inner)]
            if last:
                inner[key] = value
            inner = inner[key]
        elif isinstance(inner, list) and inner:
            if last:
                inner[place % len(inner)] = value
            inner = inner[place % len(inner)]
