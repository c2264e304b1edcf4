"""The form: every line in the paper's order, what does not add up at once, two readings that agree."""

import dataclasses
from pathlib import Path

import pytest

from clients.box import attachments
from clients.box.report import Report
from clients.box.sign import Signed
from clients.desk import desk as desks
from clients.desk import draft as drafts
from clients.desk.desk import Desk
from clients.desk.keying import Wishes
from clients.desk.screen import StoppedError
from clients.desk.texts import phrases
from clients.wire.definition import LANGUAGES
from clients.wire.errors import WireError
from clients.wire.messages import Messages
from gateway.feed import messages as source
from tests.unit.desk_helpers import (
    BEGIN,
    CLOSED_AT,
    NOW,
    PAPER,
    STATION,
    Script,
    both,
    draft_of,
    keying,
    make_desk,
    reading,
    record,
)

# No scan; then sign.
END = ("", "+")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return make_desk(tmp_path)


def key(desk: Desk, screen: Script, wishes: Wishes | None = None, language: str = "en") -> Signed:
    with keying(desk, screen, wishes=wishes, language=language) as own:
        signed = own.key(desk.definition.stations[STATION])
    assert screen.answers == []
    return signed


def stopped(desk: Desk, screen: Script) -> None:
    with keying(desk, screen) as own, pytest.raises(StoppedError):
        own.key(desk.definition.stations[STATION])


def again(desk: Desk) -> Desk:
    return desks.read(desk.path)


class TestTwoReadings:
    def test_that_agree(self, desk: Desk) -> None:
        screen = Script([*both(reading(), reading()), *END])
        signed = key(desk, screen)
        assert (signed.statement.station, signed.statement.signed_at, signed.findings) == (STATION, NOW, [])
        report = Report.of(signed.statement.report)
        assert (report.kind, report.closed_at, report.cause, report.corrects) == (
            "protocol",
            CLOSED_AT,
            0,
            b"",
        )
        assert report.figures == {1: 1200, 2: 0}
        [count] = report.counts
        assert (count.contest, count.votes) == (2, (500, 490))
        assert count.figures == {4: 1100, 5: 1000, 6: 0, 7: 0, 8: 100, 9: 1000, 11: 990, 12: 0, 13: 10}
        assert screen.cleared == 1
        assert screen.has("У И К   8")
        assert screen.has("Both readings agree in all 18 lines.")
        assert draft_of(desk) is None
        kept = record(desk, 1)
        assert [one["by"] for one in kept["readings"]] == ["AB", "CD"]  # type: ignore[attr-defined]

    def test_that_differ_are_read_again_until_two_agree(self, desk: Desk) -> None:
        second = reading(votes_1="501", votes_2="489", ballots_received="-")
        screen = Script([*both(reading(), second), "1100", "502", "500", "490", *END])
        signed = key(desk, screen)
        [count] = Report.of(signed.statement.report).counts
        assert count.votes == (500, 490)
        assert screen.has("The two readings differ in 3 lines.")
        assert screen.has("first 1100, second not on the paper")
        assert screen.has("That is neither of the two readings.")
        assert record(desk, 1)["again"] == {
            "contests.2.figures.ballots_received": [1100],
            "contests.2.votes.1": [502, 500],
            "contests.2.votes.2": [490],
        }

    def test_by_one_person_only_where_that_was_said(self, desk: Desk) -> None:
        screen = Script([*BEGIN, "AB", *reading(), "", "ab", "", "CD", *reading(), *END])
        key(desk, screen)
        assert screen.has("The first reading was by the same person")
        alone = Script(["", "1", "AB", *reading(), "", "AB", *reading(), *END])
        with keying(again(desk), alone, wishes=Wishes(signed_at=NOW, one_person=True)) as own:
            # One contest was read before, so all of them are replaced: the other one is read too.
            alone.answers[0] = "2"
            own.key(desk.definition.stations[STATION])
        assert alone.answers == []


class TestWhileTyping:
    def test_a_hard_fault_must_be_typed_again_or_corrected(self, desk: Desk) -> None:
        # 1,001 found of 1,000: Enter is not enough; the right number is.
        screen = Script([*both(reading(in_box="1001  1000"), reading()), *END])
        signed = key(desk, screen)
        assert signed.findings == []
        assert screen.has("H104")
        assert screen.has("contest 2: 1001 ballots found, 1000 were given out")
        assert sum("Does it really say 1001?" in line for line in screen.said) == 2

    def test_what_the_paper_really_says_is_signed(self, desk: Desk) -> None:
        wrong = reading(invalid="11 11")
        signed = key(desk, screen := Script([*both(wrong, wrong), *END]))
        assert [finding.code for finding in signed.findings] == ["H102"]
        confirmed = record(desk, 1)["readings"][0]["confirmed"]  # type: ignore[index]
        assert [one.split()[0] for one in confirmed] == ["H102"]
        assert sum("Does it really say 11?" in line for line in screen.said) == 2

    def test_a_flag_is_confirmed_by_enter(self, desk: Desk) -> None:
        flagged = reading(registered="1190 ")
        signed = key(desk, screen := Script([*both(flagged, flagged), *END]))
        assert [finding.code for finding in signed.findings] == ["S213"]
        assert screen.has("Enter: it says 1190.")

    def test_the_wrong_line_is_another_one(self, desk: Desk) -> None:
        # 980 + 10 is no 1,000: the valid ones were wrong, two lines above.
        first = [*reading()[:10], "980", "0", "10", "*", "*", "990", "", "", *reading()[13:]]
        signed = key(desk, Script([*both(first, reading()), *END]))
        assert signed.findings == []

    def test_votes_are_judged_when_they_are_whole_or_too_many(self, desk: Desk) -> None:
        screen = Script([*both(reading(votes_1="991 500"), reading(votes_2="489 490")), *END])
        assert key(desk, screen).findings == []
        assert screen.has("the votes add up to 991, but valid is 990")
        assert screen.has("the votes add up to 989, but valid is 990")

    def test_what_no_line_says_is_asked_again(self, desk: Desk) -> None:
        first = reading(
            registered="x 1.5 -1 99999999999999999999 01200", in_box="-  1000", closed_at="25:00 02.20"
        )
        screen = Script([*both(first, reading(issued="1'000")), *END])
        key(desk, screen)
        assert sum("This is no number" in line for line in screen.said) == 4
        assert sum("The election requires this line" in line for line in screen.said) == 2
        assert screen.has("This is no time of the night")

    def test_help_and_back_work_everywhere(self, desk: Desk) -> None:
        first = ["*", "?", "1200", "?", "*", "", "0", *reading()[2:]]
        key(desk, Script([*BEGIN, "?", "AB", *first, "?", "", "CD", *reading(), "?", "", "?", "no", "+"]))

    def test_sentences_are_the_elections_own(self, tmp_path: Path) -> None:
        texts = source.load()
        desk = make_desk(tmp_path, Messages(texts.codes, texts.words))
        wrong = reading(invalid="11 11")
        screen = Script([*both(wrong, wrong), *END])
        key(desk, screen, language="ky")
        assert screen.has(texts.codes["H102"]["ky"])
        assert screen.has(texts.words["figure"]["in_box"]["ky"])
        assert screen.has(texts.words["cause"]["first"]["ky"])


class TestNothingIsLost:
    @pytest.mark.parametrize("typed", range(0, 43, 3))
    def test_whoever_stops_goes_on(self, desk: Desk, typed: int) -> None:
        answers = [*both(reading(), reading()), *END]
        screen = Script(answers[:typed])
        stopped(desk, screen)
        draft = draft_of(desk)
        # The first two answers are not lines; without the second there is no draft.
        assert (draft is None) == (typed < 2)
        if draft is not None:
            count = sum(len(one.values) for one in draft.readings)
            assert count == max(0, min(typed - 3, 18)) + max(0, min(typed - 23, 18))
        # A reader whose name was given is not asked again, nor are scans kept: END is asked anew.
        known = [] if draft is None else [""]
        at = 0 if draft is None else min(typed, len(answers) - len(END))
        if draft is not None and typed == 22:
            at = 21  # "Enter: second reading now" is asked again
        signed = key(desk, Script([*known, *answers[at:]]))
        assert Report.of(signed.statement.report).counts[0].votes == (500, 490)

    def test_a_question_about_the_last_line_is_asked_again(self, desk: Desk) -> None:
        answers = both(reading(in_box="1001"), [])
        stopped(desk, Script(answers[:13]))
        draft = draft_of(desk)
        assert draft is not None
        assert draft.readings[0].values["contests.2.figures.in_box"] == 1001
        screen = Script(["", "1000", *reading()[10:], "", "CD", *reading(), *END])
        assert key(desk, screen).findings == []

    def test_begun_anew_the_old_lines_are_put_away(self, desk: Desk) -> None:
        stopped(desk, Script([*BEGIN, "AB", "1199"]))
        key(desk, Script(["x", "-", *both(reading(), reading()), *END]))
        kept = sorted(path.name for path in (desk.path / "keyed").iterdir())
        assert kept[0] == "000001.json"
        assert kept[1] == "unsigned-8-1.json"

    def test_a_signed_draft_gives_the_same_statement(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(drafts.Drafts, "signed", killed)
            page = desk.path.parent / "1.pdf"
            page.write_bytes(b"%PDF-1.7")
            with pytest.raises(KeyboardInterrupt):
                key(desk, Script([*both(reading(), reading()), str(page), *END]))
        first = again(desk)
        assert len(first.signed) == 1
        signed = key(first, Script([""]), Wishes(signed_at=NOW + 5))
        assert (signed.new, signed.file.exists(), signed.findings) == (False, True, [])
        assert signed.statement.id == first.signed[0].id
        assert draft_of(desk) is None

    def test_two_cannot_key_at_one_desk(self, desk: Desk) -> None:
        with drafts.opened(desk.path), pytest.raises(WireError) as caught, drafts.opened(desk.path):
            pass
        assert caught.value.code == "desk.busy"

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"station": 8', '"station": 9'),
            ('"definition": "', '"definition": "00'),
            ("figures.identified", "figures.other"),
            ("tallygate-desk-draft/1", "tallygate-desk-draft/2"),
            ("{", "["),
        ],
    )
    def test_a_draft_that_nobody_can_go_on_with(self, desk: Desk, old: str, new: str) -> None:
        stopped(desk, Script([*BEGIN, "AB", "1200"]))
        path = desk.path / "drafts/8.json"
        path.write_text(path.read_text().replace(old, new, 1))
        with keying(desk, Script([""])) as own, pytest.raises(WireError) as caught:
            own.key(desk.definition.stations[STATION])
        assert caught.value.code == "desk.draft"
        assert path.exists()


class TestWhatItReplaces:
    def test_the_desks_own_last_protocol_of_the_station(self, desk: Desk) -> None:
        first = key(desk, Script([*both(reading(), reading()), *END]))
        changed = reading(votes_1="501", votes_2="489")
        # There is one already, so 0 is no answer.
        screen = Script(["2", "0", "2", "AB", *changed, "", "CD", *changed, *END])
        second = key(again(desk), screen)
        assert screen.has(f"has signed a protocol of this station before: 8-{first.statement.id.hex()[:16]}")
        report = Report.of(second.statement.report)
        assert (report.cause, report.corrects) == (2, first.statement.id)
        third = key(again(desk), Script(["2", "3", "AB", *changed, "", "CD", *changed, *END]))
        assert Report.of(third.statement.report).corrects == second.statement.id

    def test_another_desks_protocol_by_its_id(self, desk: Desk) -> None:
        other = "AB" * 32
        answers = ["2", "1", "xyz", "*", "1", other, "AB", *reading(), "", "CD", *reading(), *END]
        signed = key(desk, Script(answers))
        assert Report.of(signed.statement.report).corrects == bytes.fromhex(other)
        given = Wishes(signed_at=NOW, corrects="cd" * 32)
        signed = key(again(desk), Script(["2", "4", "AB", *reading(), "", "CD", *reading(), *END]), given)
        assert Report.of(signed.statement.report).corrects == bytes.fromhex("cd" * 32)


class TestScans:
    def test_pages_are_named_in_the_form(self, desk: Desk, tmp_path: Path) -> None:
        pages = [tmp_path / "1.pdf", tmp_path / "2.png", tmp_path / "3.svg"]
        for page, data in zip(pages, (b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", b"<svg/>"), strict=True):
            page.write_bytes(data)
        named = [str(pages[0]), str(pages[2]), str(tmp_path / "none"), "\0", str(pages[1]), ""]
        screen = Script([*both(reading(), reading()), *named, "+"])
        signed = key(desk, screen)
        papers = Report.of(signed.statement.report).attachments
        assert [(paper.document, paper.page, paper.media) for paper in papers] == [(1, 1, 1), (1, 2, 2)]
        assert [paper.sha256 for paper in papers] == [attachments.examine(page).sha256 for page in pages[:2]]
        assert screen.has("attachment.media")
        assert (desk.path / "attachments" / papers[0].sha256.hex()).read_bytes() == b"%PDF-1.7"

    def test_pages_of_the_command_line_are_not_asked_for(self, desk: Desk, tmp_path: Path) -> None:
        page = tmp_path / "1.pdf"
        page.write_bytes(b"%PDF-1.7")
        wishes = Wishes([page], signed_at=NOW)
        signed = key(desk, Script([*both(reading(), reading()), "+"]), wishes)
        assert len(Report.of(signed.statement.report).attachments) == 1


@pytest.mark.parametrize(
    ("area", "stations", "expected"),
    [(1, (), {8, 11}), (3, (), {8}), (10, ((8, 1),), {8, 11}), (None, (), set())],
)
def test_a_gateway_says_where_the_desk_may_key(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    area: int | None,
    stations: tuple[tuple[int, int], ...],
    expected: set[int],
) -> None:
    assert desk.met().assigned is None
    monkeypatch.setattr(Desk, "_ask", lambda _: desks.Told(NOW, area, stations))
    assert desk.met().assigned == frozenset(expected)


def test_a_station_of_another_area_is_asked_about(desk: Desk) -> None:
    screen = Script(["no", "+", *both(reading(), reading()), *END])
    key(dataclasses.replace(desk, assigned=frozenset({11})), screen)
    assert screen.has("not in the area of this desk")
    screen = Script(["2", "2", "AB", *reading(), "", "CD", *reading(), *END])
    key(dataclasses.replace(again(desk), assigned=frozenset({8})), screen)
    assert not screen.has("not in the area of this desk")


def test_stations_are_found_by_number_or_label(desk: Desk) -> None:
    screen = Script(["7", "8"])
    with keying(desk, screen) as own:
        assert own.ask_station(first=True).station == 8
        assert screen.has("This election has no polling station 7.")
        screen.answers = ["УИК 8"]
        assert own.ask_station(first=False).station == 8
        screen.answers = ["/"]
        with pytest.raises(StoppedError):
            own.ask_station(first=False)
    stopped(desk, Script([*BEGIN, "AB"]))
    screen = Script([""])
    with keying(desk, screen) as own, pytest.raises(StoppedError):
        own.ask_station(first=True)
    assert screen.has("Unfinished polling stations: 8")


def test_every_phrase_is_there_in_every_language() -> None:
    for name, texts in phrases().items():
        assert texts.keys() == set(LANGUAGES), name
        fields = {language: sorted(part for part in text.split("{")[1:]) for language, text in texts.items()}
        names = [sorted(part.partition("}")[0] for part in parts) for parts in fields.values()]
        assert all(one == names[0] for one in names), name
    sources = "".join(path.read_text() for path in Path(desks.__file__).parent.glob("*.py"))
    assert {name for name in phrases() if f'"{name}"' not in sources} == set()
    assert len(PAPER) == 18
