"""The plain page: what it says, what it must never say, and that no name of anybody can break it."""

import copy
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.base.metrics import WebMetrics
from gateway.feed import layout
from gateway.feed.models import Paused, Result, SourceWord, StatusWord
from gateway.feed.reading import read_area
from gateway.publish.embargo import withhold
from gateway.site import pages as module
from gateway.site.figures import contest_figures
from gateway.site.files import FeedFiles
from gateway.site.html import name, percent, plain
from gateway.site.page import render
from gateway.site.pages import SitePages
from gateway.site.reading import FeedReader, View
from gateway.site.server import Page
from tests.unit.site_feed import DISTRICT, OTHER, REGION, SiteFeed
from tests.unit.test_tally_vectors import CASES, write
from tests.unit.wire_election import DEFINITION, ELECTION, INFORMATION, Json
from tests.vectors.tally.build import build
from tests.vectors.tally.forms import Case

SOURCES: tuple[tuple[int, SourceWord], ...] = ((1, "machine"), (2, "protocol"))
VOID = {"meta", "link", "br", "rect"}
# What a page may be made of: no script, no style, nothing that loads from elsewhere.
TAGS = {
    "html", "head", "meta", "title", "link", "body", "p", "strong", "header", "nav", "a", "h1", "h2", "ul",
    "li", "b", "bdi", "small", "section", "table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "time",
    "span", "pre", "code", "footer", "br",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "name", "content", "http-equiv", "rel", "href", "class", "scope", "aria-label",
    "aria-hidden", "viewbox", "preserveaspectratio", "x", "width", "height", "fill", "datetime", "data-label",
}  # fmt: skip


class Read(HTMLParser):
    """A strict reader: every element is ended, nothing is there that a page may not have."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.isolated: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.texts))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for attribute, value in attrs:
            assert attribute in ATTRIBUTES, attribute
            if attribute == "href":
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "bdi" in self.open:
            self.isolated.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def pages(feed: SiteFeed) -> SitePages:
    metrics = WebMetrics("test", process=False)
    return SitePages(feed.root, FeedFiles(feed.root), metrics=metrics, timer=lambda: 0.0)


def found(feed: SiteFeed, path: str = "/") -> Read:
    page = pages(feed).find(path)
    assert page is not None
    return Read(page.content)


def view(feed: SiteFeed, area: int | None = None) -> View:
    reader = FeedReader(feed.root, FeedFiles(feed.root))
    latest = reader.latest()
    assert latest is not None
    made = reader.view(latest, area)
    assert isinstance(made, View)
    return made


def test_what_the_first_page_says(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    latest = feed.publish()
    page = found(feed)
    for words in (
        "An example",
        "Preliminary machine count, not an official result. Still counting.",
        "1 of 2 stations counted (50.00 %)",
        "Snapshot 1, 2027-01-16 02:00:05 Asia/Bishkek",
        "Turnout so far: 400 people identified at 2 stations, 33.33 % of those registered.",
        "Parliament",
        "First party 30 75.00 %",
        "Баарына каршы 10 25.00 %",
        "By region",
        "1 of 1",
        "First party 75.00 %",
        f"tallygate-observe verify feed --definition {latest.definition}",
        "log of 17 entries",
    ):
        assert words in page.text, words
    assert "REHEARSAL" not in page.text
    # A preference is nobody's share of the whole.
    assert "Биринчи талапкер" not in page.text
    for link in (
        "area/2",
        "area/10",
        "latest.json",
        "snapshots/1.json",
        "snapshots/1.note",
        "log/checkpoint",
    ):
        assert link in page.links, link


def outcome_page(
    tmp_path: Path, number: int, result: Mapping[str, Json], status: StatusWord = "unofficial-complete"
) -> Read:
    """The root's page, with something else said of a contest."""
    tmp_path.mkdir(exist_ok=True)
    feed = SiteFeed(tmp_path)
    feed.publish(status=status)
    shown = view(feed)
    of_contest = next(one.machine for one in shown.area.contests if one.contest == number)
    choices = shown.names.definition.choices(number)
    plain_result: dict[str, Json] = {
        "base": None,
        "choices": [
            {"choice": choice.number, "seats": None, "share": None, "votes": votes}
            for choice, votes in zip(choices, of_contest.votes, strict=True)
        ],
        "contest": number,
        "outcome": {"choices": [], "word": "none"},
        "quorum": None,
        "source": 1,
        "thresholds": [],
        "turnout": None,
    }
    made = msgspec.convert(plain_result | dict(result), Result)
    latest = msgspec.structs.replace(shown.latest, results=(made,))
    return Read(render(shown._replace(latest=latest)))


def seats(*numbers: int) -> Json:
    return [
        {"choice": choice, "seats": own, "share": None, "votes": 1}
        for choice, own in zip((1, 7, 9), numbers, strict=True)
    ]


def test_seats_stand_beside_the_votes(tmp_path: Path) -> None:
    page = outcome_page(
        tmp_path,
        1,
        {
            "choices": seats(1, 75, 0),
            "outcome": {"choices": [7], "word": "decided"},
            "thresholds": [[7, "passed"]],
        },
    )
    assert "By this preliminary count: the seats are shared out as below." in page.text
    assert "Choice Votes Share Seats First party 30 75.00 % 75 Баарына каршы 10 25.00 % 0" in page.text
    assert "threshold" not in page.text
    below = outcome_page(tmp_path / "below", 1, {"thresholds": [[7, "failed"]]})
    assert "Seats" not in below.text
    assert "First party below the threshold 30" in below.text


@pytest.mark.parametrize(
    ("number", "word", "choices", "said"),
    [
        (1, "none", [], None),
        (1, "open", [], None),
        (1, "no-quorum", [], "the quorum is not reached."),
        (1, "tie", [7, 9], "equal votes leave it open between First party and Баарына каршы."),
        (1, "run-off", [1, 7, 9], "round between Биринчи талапкер, First party and Баарына каршы."),
        (1, "decided", [9], "nobody is elected: Баарына каршы has the most votes."),
        (1, "decided", [], "nobody is elected."),
        (1, "decided", [1], "elected: Биринчи талапкер."),
        (2, "decided", [1], "the question is accepted."),
        (2, "decided", [2], "the question is not accepted."),
    ],
)
def test_what_follows_is_said_in_a_sentence(
    tmp_path: Path, number: int, word: str, choices: list[Json], said: str | None
) -> None:
    page = outcome_page(tmp_path, number, {"outcome": {"choices": choices, "word": word}})
    assert ("By this preliminary count:" in page.text) == (said is not None)
    assert said is None or said in page.text.replace(" ,", ",").replace(" .", ".")
    assert "By the count of all stations" not in page.text


def test_a_certified_result_is_not_called_preliminary(tmp_path: Path) -> None:
    page = outcome_page(tmp_path, 2, {"outcome": {"choices": [1], "word": "decided"}}, "certified")
    assert "By the count of all stations: the question is accepted." in page.text
    assert "reliminary" not in page.text


def test_an_area_below_says_nothing_of_seats(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    feed.publish(status="unofficial-complete")
    assert "By this preliminary count" not in found(feed, "/area/2").text


def test_every_link_is_a_page_or_a_name_of_the_feed(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    feed.publish()
    site = pages(feed)
    for path in ("/", "/area/2", "/area/3", "/area/10"):
        for link in found(feed, path).links:
            base = path.rpartition("/")[0]
            joined = f"{base}/{link}"
            while "/../" in joined:
                joined = re.sub(r"/[^/]*/\.\./", "/", joined, count=1)
            is_file = (feed.root / joined[1:]).is_file()
            named = re.fullmatch(r"/(snapshots|decisions|log|stations)/.+", joined)
            assert is_file or named or site.find(joined) is not None, (path, link)


def test_the_way_down(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    feed.publish(codes=("S201", "S203"))
    region = found(feed, f"/area/{REGION}")
    assert "Биринчи" in region.text
    assert 'Район, биринчи "А"' in region.text
    assert "../area/3" in region.links
    district = found(feed, f"/area/{DISTRICT}")
    assert "УИК 8 School" in district.text
    assert "Parliament : counted" in district.text
    assert "S201, S203" in district.text
    assert "../stations/0/8-3.json" in district.links
    assert [link for link in district.links if link in ("../", "2")][-2:] == ["../", "2"]
    abroad = found(feed, f"/area/{OTHER}")
    assert "Элчилик waited for" in abroad.text
    for path in ("/area/4", "/area/0", "/area/03", "/area/1x", "/area/", "/area/99999999999999999", "/x"):
        assert pages(feed).find(path) is None, path
    assert pages(feed).find("/area/1") is not None


def test_a_rehearsal_says_so_first(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    feed.publish(mode="rehearsal")
    page = pages(feed).find("/")
    assert page is not None
    assert b"<title>REHEARSAL" in page.content
    assert page.content.index(b"<strong>REHEARSAL</strong>") < page.content.index(b"<h1>")


@pytest.mark.parametrize(
    ("paused", "words"),
    [
        (
            Paused("commission", (("ky", "Себеби"), ("en", "A <recount>")), "2027-01-15T20:00:00.000Z"),
            "A <recount>",
        ),
        (
            Paused("gate", (("ky", "Себеби"),), "2027-01-15T20:00:00.000Z"),
            "a check before publishing has failed",
        ),
    ],
)
def test_a_pause_is_said_with_its_reason(tmp_path: Path, paused: Paused, words: str) -> None:
    feed = SiteFeed(tmp_path)
    feed.publish(2, paused=paused)
    page = found(feed)
    assert words in page.text
    assert "since 2027-01-16 02:00:00 Asia/Bishkek" in page.text


def test_a_pause_since_the_last_time_there_is_has_a_page(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    # A decision's `decided_at` goes to 2^53-1; east of Greenwich this one is in the year 10000.
    feed.publish(2, paused=Paused("commission", (("en", "Later"),), "9999-12-31T23:59:59.999Z"))
    assert "since 9999-12-31 23:59:59 UTC" in found(feed).text


def test_what_is_certified_is_no_preliminary_count(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    feed.publish(status="certified")
    page = found(feed)
    assert "Certified by the commission" in page.text
    assert "reliminary" not in page.text


def test_before_the_first_snapshot(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    assert "Nothing is published yet" in found(feed).text
    assert pages(feed).find("/area/1") is None


def test_so_many_bytes_of_pages_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = SiteFeed(tmp_path)
    feed.publish()
    site = pages(feed)
    first = site.find("/")
    assert first is not None
    monkeypatch.setattr(module, "MAX_KEPT", 2 * len(first.content))
    assert site.find("/area/77") is None
    assert site.find("/") is first
    assert site.find("/area/3") is not None
    again = site.find("/")
    assert again == first
    assert again is not first


def test_the_same_snapshot_is_the_same_page_and_the_next_one_another(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    feed.publish()
    site = pages(feed)
    first = site.find("/")
    assert first is site.find("/")
    assert first is not None
    twin = pages(feed).find("/")
    assert twin == first
    feed.votes = (5, 31, 10)
    feed.publish(2)
    second = site.find("/")
    assert second is not None
    assert second.tag != first.tag
    assert b">31<" in second.content


def test_a_damaged_feed_is_not_shown(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    feed.publish()
    path = next((feed.root / "areas" / "2").iterdir())
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"30", b"31", 1))
    assert_refused(feed, "feed.malformed")
    path.unlink()
    assert_refused(feed, "feed.missing")
    path.write_bytes(whole)
    latest = feed.root / "latest.json"
    latest.write_bytes(latest.read_bytes() + b"\n")
    assert_refused(feed, "feed.malformed")


def assert_refused(feed: SiteFeed, code: str) -> None:
    with pytest.raises(TallygateError) as caught:
        pages(feed).find("/")
    assert caught.value.code == code


def test_another_definition_in_the_folder_is_not_shown(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    feed.publish()
    file = feed.root / "definition" / feed.named / "election.json"
    changed = json.loads(file.read_bytes())
    changed["id"] = "other-2027"
    file.write_bytes(json.dumps(changed, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())
    with pytest.raises(TallygateError, match=r"[a-z]+\.[a-z_]+"):
        pages(feed).find("/")


HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</title></bdi></td><style>*{display:none}</style>",
    "\u202egnirts\u202c \u2066\u2067 \u200f",
    "&amp;&lt;b&gt;",
    "x" * 200,
    "م" * 200,
    "a\u0301" * 100,
    "{{7*7}} ${7*7} %s {0}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_text(tmp_path: Path, text: str) -> None:
    tables, shown = copy.deepcopy(DEFINITION), copy.deepcopy(INFORMATION)
    cell = '"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text
    tables["areas"][2] = f"2,1,region,01,ocd-1,{cell}"
    tables["choices"][2] = f"1,7,list,,1,{cell}"
    tables["contests"][2] = tables["contests"][2].replace("Сурам", cell)
    tables["stations"][1] = tables["stations"][1].replace("Мектеп", cell).replace("УИК 8", "<b>8")
    shown["choices"] = [*shown["choices"][:1], "2,1" + "," * 18]
    shown["stations"] = shown["stations"][:1]
    manifest: dict[str, Json] = {**ELECTION, "title": {"en": text}}
    feed = SiteFeed(tmp_path, definition=tables, information=shown, manifest=manifest)
    feed.publish()
    for path in ("/", "/area/2", "/area/3"):
        page = pages(feed).find(path)
        assert page is not None
        read = Read(page.content)
        assert text in read.isolated
        # Outside their own element no character of a name turns what stands beside it.
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f]", outside(page))


def outside(page: Page) -> str:
    return re.sub(r"<bdi>.*?</bdi>", "", page.content.decode(), flags=re.DOTALL)


@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_any_text_comes_out_as_itself_or_replaced(value: str) -> None:
    read = Read(f"<p>{name(value)}</p><p>{plain(value)}</p>".encode())
    clean = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]", "\ufffd", value)
    assert "".join(read.isolated) == clean
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", plain(value))


def test_a_colour_is_a_colour_or_nothing(tmp_path: Path) -> None:
    feed = SiteFeed(tmp_path)
    feed.publish()
    page = pages(feed).find("/")
    assert page is not None
    assert page.content.count(b'fill="') == 1
    assert b'fill="#aa0000"' in page.content


def test_shares_as_people_read_them() -> None:
    shown = [percent(value) for value in (None, 0, 5, 10_000, 123_456)]
    assert shown == ["–", *(f"{text}\N{NO-BREAK SPACE}%" for text in ("0.00", "0.05", "100.00", "1,234.56"))]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_figures_of_every_case_are_those_of_the_tally(case: Case, tmp_path: Path) -> None:
    """A page calculates an area's shares as the core does the root's."""
    built = build(case)
    definition = _core.Definition.load(write(tmp_path / "definition", built.definition))
    first, *later = [
        _core.Roster.load(write(tmp_path / f"roster-{label}", files), definition)
        for label, files in built.rosters.items()
    ]
    tally = _core.Tally(definition, first)
    for roster in later:
        tally.offer(roster)
    tally.apply(0, built.log)
    for area in definition.areas:
        expected = {(one["contest"], one["source"]): one for one in json.loads(tally.results(area.number))}
        shown = read_area(tally.area(area.number), "area").contests
        assert len(expected) == 2 * len(shown)
        for contest in shown:
            for number, source in SOURCES:
                figures = contest_figures(definition, contest, source)
                assert figures is not None
                one = expected[contest.contest, number]
                assert (figures.base, figures.turnout) == (one["base"], one["turnout"])
                assert [(c.choice.number, c.votes, c.share) for c in figures.choices] == [
                    (c["choice"], c["votes"], c["share"]) for c in one["choices"]
                ]


class TestEmbargo:
    """Pages of a snapshot without figures."""

    def feed(self, folder: Path, paused: Paused | None = None) -> SiteFeed:
        feed = SiteFeed(folder)
        latest = feed.publish(2 if paused else 1, paused=paused)
        feed.write(layout.LATEST, withhold(latest, "2027-01-16T18:00:00.000Z", latest.decisions))
        return feed

    def test_the_first_page_says_until_when(self, tmp_path: Path) -> None:
        page = found(self.feed(tmp_path))
        for words in (
            "Results are under embargo until 2027-01-17 00:00:00 Asia/Bishkek .",
            "1 of 2 stations counted (50.00 %)",
            "Turnout so far: 800 people identified at 4 stations",
            "Area Counted Turnout so far",
            "log of 17 entries",
        ):
            assert words in page.text, words
        for words in ("Parliament", "First party", "75.00"):
            assert words not in page.text, words
        assert not [link for link in page.links if link.startswith(("areas/", "stations/"))]
        assert {"area/2", "area/10", "latest.json", "snapshots/1.json"} <= set(page.links)

    @pytest.mark.parametrize(("area", "words"), [(2, "1 of 2 stations counted"), (3, "under embargo")])
    def test_other_pages_too(self, area: int, words: str, tmp_path: Path) -> None:
        page = found(self.feed(tmp_path), f"/area/{area}")
        assert words in page.text
        assert "Results are under embargo until" in page.text
        assert "First party" not in page.text
        assert "../" in page.links

    def test_an_area_that_is_none(self, tmp_path: Path) -> None:
        assert pages(self.feed(tmp_path)).find("/area/99") is None

    def test_a_pause_without_its_reason(self, tmp_path: Path) -> None:
        page = found(self.feed(tmp_path, Paused("commission", (), "2027-01-15T20:00:00.000Z")))
        assert "The commission has paused publication since" in page.text
