"""`tallygate-decide` without a gateway: effects, lists, and everything that cannot be prepared."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from clients.box import words
from clients.commission import effect, feedlog, prepare, telling
from clients.commission.cli import main
from clients.commission.decisionfile import DecisionFile
from clients.commission.effect import Effect
from clients.commission.feedlog import FeedLog
from clients.commission.prepare_command import prepare_group
from clients.commission.sentences import sentence
from clients.wire import statement
from clients.wire.authority import Action
from tests.feed_writer import CLOSES_AT, LOG_KEY, ORIGIN, SNAPSHOT_KEY, FeedWriter
from tests.integration.client_cli import Program
from tests.unit.commission_helpers import REASONS, disputed, effect_of, made
from tests.unit.wire_election import MEMBERS


@pytest.fixture
def decide(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> FeedWriter:
    return disputed(tmp_path_factory.mktemp("night"))


@pytest.fixture(scope="module")
def log(published: FeedWriter) -> FeedLog:
    return feedlog.read(published.feed)


def told(log: FeedLog, found: Effect) -> list[str]:
    return [f"{line.label}: {line.value}" for line in telling.effect_lines(found, log.definition)]


class TestEffect:
    def test_choosing_a_packet(self, log: FeedLog) -> None:
        packet = prepare.packet_at(log, 8, 1, 4)
        found = effect_of(log, 5, 8, 1, 1, packet)
        assert found.takes == (3,)
        assert (found.stations_changed, found.areas_changed) == (1, 3)
        [station] = found.stations
        assert (station.station, station.codes) == (8, (("S206",), ()))
        [count] = station.counts
        assert (count.contest, count.source, count.state) == (1, "machine", ("disputed", "reported"))
        assert count.votes == (effect.Votes(7, 90, 81), effect.Votes(9, 8, 17))
        assert count.figures == (effect.Figure(9, 100, 101),)
        assert [area.area for area in found.areas] == [3, 2, 1]
        for area in found.areas:
            [sums] = area.sums
            assert sums.votes == count.votes
            assert sums.states == (effect.Stations("reported", 0, 1), effect.Stations("disputed", 1, 0))
        [result] = found.results
        assert [choice.share for choice in result.choices] == [(9184, 8265), (816, 1735)]
        lines = told(log, found)
        assert "station 8: УИК 8 Мектеп" in lines
        assert ":     choice 9 Баарына каршы       8 →  17   +9" in lines
        assert ":     choice 7 1 Биринчи партия   90 →  81   −9" in lines

    def test_annulling(self, log: FeedLog) -> None:
        found = effect_of(log, 4, 0, 0)
        assert [count.state for count in found.stations[0].counts] == [
            ("disputed", "annulled"),
            ("reported", "annulled"),
            ("reported", "annulled"),
            ("silent", "annulled"),
        ]
        assert found.stations[0].counts[0].votes[0] == effect.Votes(1, 10, None)
        assert found.areas[-1].sums[0].votes[0] == effect.Votes(1, 10, 0)

    def test_many_stations_are_summed_up(self, log: FeedLog, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(effect, "MAX_STATIONS", 1)
        found = effect_of(log, 4, 0, 1)
        assert (found.stations_changed, len(found.stations)) == (2, 1)
        assert [area.area for area in found.areas] == [2, 10, 1]
        lines = told(log, found)
        assert ": … and 1 more station" in lines
        assert ": … and 1 more area" in lines

    @pytest.mark.parametrize(
        ("action", "lines"),
        [
            ((12, 8), ["station 8: УИК 8 Мектеп", ":   no voting here", ":   stations expected: 2 → 1"]),
            ((2, 1), ["changes: device 1: speaks → revoked", "figures: no station changes"]),
            ((3, 2, 11, 1), ["changes: device 2 at station 11: not assigned → assigned"]),
            ((3, 2, 11, 1), ["changes: device 1 at station 11: assigned → not assigned"]),
            ((6,), ["changes: publication: goes on → paused by decision 3"]),
            ((7,), ["figures: no station changes"]),
            ((8, 2, 3), ["changes: status of protocol: as counted → certified"]),
            ((10, b"\x0a" * 32), [f"changes: definition {'0a' * 32}: not read → read as ours"]),
            ((11, 8, CLOSES_AT + 5000), [":   codes: S204 comes", "country 1: Мисал"]),
        ],
    )
    def test_what_is_told(
        self, log: FeedLog, action: tuple[int | str | bytes, ...], lines: list[str]
    ) -> None:
        assert set(lines) <= set(told(log, effect_of(log, *action)))

    def test_undoing_says_what(self, log: FeedLog) -> None:
        found = effect_of(log, 13, 2)
        assert [(one.number, one.before, one.after) for one in found.decisions] == [
            (2, "in effect", "undone")
        ]
        assert found.switches[0].what == "all stations close at"
        assert "undoes: decision 2: all stations close at 2027-01-15T19:59:59.000Z" in told(log, found)
        undo = made(log, 13, 2)
        again = prepare.prepare(log, (13, 3), [("en", "No.")], CLOSES_AT, earlier=[undo])
        assert again.effect is not None
        assert (again.decision.number, again.effect.takes) == (4, (4,))
        lines = told(log, again.effect)
        assert "restores: decision 2: all stations close at 2027-01-15T19:59:59.000Z" in lines
        assert any(line.startswith("undoes: decision 3: undo decision 2") for line in lines)

    def test_annul_then_choose(self, log: FeedLog) -> None:
        """The later one rules."""
        annulled = made(log, 4, 0, 0)
        choose = (5, 8, 1, 2, prepare.packet_at(log, 8, 2, 3))
        found = prepare.prepare(log, choose, [("en", "It counts.")], CLOSES_AT, earlier=[annulled]).effect
        assert found is not None
        [count] = found.stations[0].counts
        assert (count.source, count.state) == ("protocol", ("annulled", "reported"))
        assert count.votes[0] == effect.Votes(1, None, 10)

    def test_nothing_is_left_of_it(self, log: FeedLog) -> None:
        before = log.tally.root_sha256(), log.authority.taken_count
        for action in ACTIONS:
            made(log, *action)
        assert (log.tally.root_sha256(), log.authority.taken_count) == before

    def test_a_decision_that_waits_is_taken_too(self, tmp_path: Path) -> None:
        writer = FeedWriter(tmp_path)
        writer.decide(2, (6,), (1,))
        writer.decide(3, (7,), (1, 2))
        writer.publish()
        log = feedlog.read(writer.feed)
        decision = statement.decode(writer.log[2])
        found = effect.effect_of(log.tally, log.definition, decision)
        assert found.takes == (2, 3)
        assert found.switches == ()
        assert "takes too: decision 3, which waits for it" in told(log, found)


ACTIONS: list[tuple[int | str | bytes, ...]] = [
    (2, 1),
    (3, 1, 8, 0),
    (3, 2, 11, 1),
    (4, 8, 1),
    (4, 0, 2),
    (6,),
    (7,),
    (8, 2, 3),
    (10, b"\x0a" * 32),
    (11, 8, 5),
    (12, 11),
    (13, 2),
]


def test_every_action_has_a_sentence_and_a_command(log: FeedLog) -> None:
    every = [
        *ACTIONS,
        (1, "a/b", bytes(32), bytes(32), bytes(32), "x"),
        (5, 8, 1, 1, bytes(32)),
        (9, bytes(32)),
    ]
    assert {action[0] for action in every} == set(Action)
    said = {sentence(action, log.definition) for action in every}
    assert len(said) == len(every)
    assert {word for word, _ in words.ACTIONS.values()} == set(prepare_group.commands)


class TestCommands:
    """Every action from its command line, with the feed of `published`."""

    @pytest.mark.parametrize(
        ("arguments", "action"),
        [
            ("revoke --device 1", [2, 1]),
            ("assign --device 2 --station 11 --replaces 1", [3, 2, 11, 1]),
            ("assign --device 2 --station 11", [3, 2, 11, 0]),
            ("annul --station all --contest 1", [4, 0, 1]),
            ("annul --station 8 --contest all", [4, 8, 0]),
            ("pause", [6]),
            ("resume", [7]),
            ("status --source protocol --status certified", [8, 2, 3]),
            ("definition --hash " + "0a" * 32, [10, b"\x0a" * 32]),
            ("close --station 8 --at 2027-01-15T21:00:00+06:00", [11, 8, 1_800_025_200_000]),
            ("cancel --station 11", [12, 11]),
            ("undo --number 2", [13, 2]),
        ],
    )
    def test_an_action(
        self,
        published: FeedWriter,
        decide: Program,
        tmp_path: Path,
        arguments: str,
        action: list[int | bytes],
    ) -> None:
        out = tmp_path / "decision.json"
        said = decide.good("prepare", published.feed, *arguments.split(), *REASONS, "--out", out, "--json")
        told = json.loads(said)
        assert (told["number"], told["file"]) == (3, str(out))
        assert [warning[:18] for warning in told["warnings"]] == ["another decision 3"]
        file = DecisionFile.read(out)
        assert list(file.decision.action) == action
        assert file.decision.reason == (("ky", "Себеп"), ("en", "A reason"))
        # Of a live election: this machine's clock.
        assert abs(file.decision.decided_at - CLOSES_AT) > 86_400_000

    @pytest.mark.parametrize("by", ["--entry", "--id"])
    def test_choose(self, published: FeedWriter, decide: Program, tmp_path: Path, by: str) -> None:
        out = tmp_path / "decision.json"
        own = statement.decode(published.log[4])
        which = "4" if by == "--entry" else own.id.hex()
        options = ("--station", "8", "--contest", "1", "--source", "machine", by, which)
        decide.good("prepare", published.feed, "choose", *options, *REASONS, "--out", out)
        assert DecisionFile.read(out).decision.action == (5, 8, 1, 1, own.id)

    def test_roster(self, published: FeedWriter, decide: Program, tmp_path: Path) -> None:
        out = tmp_path / "decision.json"
        decide.good("prepare", published.feed, "roster", "--roster", published.root, *REASONS, "--out", out)
        assert DecisionFile.read(out).decision.action == (9, published.roster.sha256)

    def test_open(self, published: FeedWriter, decide: Program, tmp_path: Path) -> None:
        out = tmp_path / "decision.json"
        keys = (
            "--log-key",
            bytes(LOG_KEY.verify_key).hex(),
            "--snapshot-key",
            bytes(SNAPSHOT_KEY.verify_key).hex(),
        )
        open_ = ("prepare", published.root, "open", *REASONS, "--out", out, "--software", "x")
        decide.good(*open_, *keys, "--origin", ORIGIN, "--roster", published.roster.sha256.hex())
        action = DecisionFile.read(out).decision.action
        assert action == (*statement.decode(published.log[0]).action[:5], "x")
        out.unlink()
        vkeys = [(published.feed / "keys" / f"{name}.vkey").read_text() for name in ("log", "snapshot")]
        decide.good(*open_, "--log-key", vkeys[0], "--snapshot-key", vkeys[1])
        assert DecisionFile.read(out).decision.action == action
        for more, code, words_ in (
            ((*keys,), 2, "give --origin"),
            (
                ("--log-key", vkeys[0], keys[2], keys[3], "--origin", "another"),
                2,
                "differ: another, log.example/",
            ),
            ((*keys, "--origin", "Large"), 1, "cannot name a log"),
            ((*keys, "--origin", "rehearsal.invalid/x"), 1, "the election is live"),
            ((keys[0], keys[1], "--snapshot-key", keys[1], "--origin", "a"), 1, "are the same"),
            ((keys[0], "ff" * 32, keys[2], keys[3], "--origin", "a"), 1, "is no Ed25519 public key"),
            ((*keys, "--origin", "a", "--roster", "00" * 32), 1, "[decision.opening]"),
            ((*keys, "--origin", "a", "--definition-hash", "00" * 32), 1, "[decision.definition]"),
            ((*keys[:3], "xyz", "--origin", "a"), 2, "must be 64 hex digits, or a verifier key"),
        ):
            ended = decide(*open_[:-2], "--out", tmp_path / "not.json", *more)
            assert (ended.code, words_ in ended.err) == (code, True), ended.err
        assert not (tmp_path / "not.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            "annul --station 99 --contest 1",
            1,
            "decision 3 would be void: there is no station 99 [decision.void]",
        ),
        ("annul --station 11 --contest 2", 1, "station 11 has no contest 2"),
        (
            "choose --station 8 --contest 1 --source machine --entry 3",
            1,
            "they are at 2, 4 [decision.packet]",
        ),
        (
            "choose --station 8 --contest 1 --source machine --id " + "05" * 32,
            1,
            "the log has no packet of this id",
        ),
        ("choose --station 8 --contest 1 --source machine", 2, "give the packet's --id, or its --entry."),
        ("revoke --device 99", 1, "there is no device 99 in the roster"),
        ("undo --number 1", 1, "nothing undoes that"),
        ("undo --number 3", 1, "decision 3 is not taken"),
        ("undo --number 0", 2, "must be a whole number from 1"),
        ("undo --number all", 2, "must be a whole number from 1"),
        ("annul --station every --contest 1", 2, "must be a whole number from 1, or all"),
        ("close --station 8 --at noon", 2, "must be a time with its offset"),
        ("status --source machine --status final", 2, "'final' is not one of"),
        ("roster --roster nowhere", 1, "[manifest.missing]"),
        ("forget --station 8", 2, "No such command 'forget'"),
        ("pause --after nowhere.json", 1, "nowhere.json: a decision cannot be read"),
        ("pause --definition-hash " + "00" * 32, 1, "[decision.definition]"),
    ],
)
def test_what_cannot_be_prepared(
    published: FeedWriter, decide: Program, tmp_path: Path, arguments: str, code: int, said: str
) -> None:
    out = tmp_path / "decision.json"
    ended = decide("prepare", published.feed, *arguments.split(), *REASONS, "--out", out)
    assert (ended.code, said in ended.err) == (code, True), ended.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("reasons", "code", "said"),
    [
        ((), 2, "Missing option '--reason'"),
        (("because",), 2, "must be a language and the text"),
        (("de=Grund",), 1, "'de' is none of the languages"),
        (("en=One", "en=Two"), 1, "there are two in en"),
        (("en=two\nlines",), 1, "must have 1 to 2,000 bytes in one line"),
        (("en=" + "x" * 2001,), 1, "must have 1 to 2,000 bytes in one line"),
    ],
)
def test_reasons(
    published: FeedWriter, decide: Program, tmp_path: Path, reasons: Sequence[str], code: int, said: str
) -> None:
    out = tmp_path / "decision.json"
    given = [part for reason in reasons for part in ("--reason", reason)]
    ended = decide("prepare", published.feed, "pause", *given, "--out", out)
    assert (ended.code, said in ended.err) == (code, True), ended.err


def test_a_language_without_a_reason_and_a_file_that_is_there(
    published: FeedWriter, decide: Program, tmp_path: Path
) -> None:
    out = tmp_path / "decision.json"
    command = ("prepare", published.feed, "pause", "--reason", "en=So", "--out", out)
    ended = decide(*command)
    assert (ended.code, "there is no reason in ky: add --reason ky=…" in ended.err) == (0, True)
    assert "[file.exists]" in decide(*command).err


def test_feeds_that_are_none(published: FeedWriter, decide: Program, tmp_path: Path) -> None:
    ended = decide("list", tmp_path)
    assert (ended.code, "[feed.none]" in ended.err) == (1, True)
    ended = decide("list", published.feed, "--definition-hash", "00" * 32)
    assert (ended.code, "[decision.definition]" in ended.err) == (1, True)


def test_why_a_decision_of_another_definition_is_void(decide: Program, tmp_path: Path) -> None:
    writer = FeedWriter(tmp_path)
    content = (bytes(32), bytes(32), 7, CLOSES_AT, (("en", "So."),), (6,))
    writer.log.append(statement.sign("decision", content, MEMBERS[0]))
    writer.publish()
    said = decide.good("list", writer.feed)
    assert "decision 7   VOID: pause publication" in said
    assert "void because it is about another definition" in said


def test_a_feed_that_shows_other_figures(decide: Program, tmp_path: Path) -> None:
    writer = FeedWriter(tmp_path)

    def lie(latest: dict[str, object]) -> None:
        latest["root"] = {"area": 1, "sha256": "00" * 32}

    writer.publish(lie=cast(Callable[[object], None], lie))
    ended = decide("prepare", writer.feed, "pause", *REASONS)
    assert (ended.code, "[feed.figures]" in ended.err) == (1, True)


class TestList:
    def test_how_they_stand(self, published: FeedWriter, decide: Program) -> None:
        said = decide.good("list", published.feed).splitlines()
        assert said[0] == f"log          8 entries of {ORIGIN}, snapshot 1"
        assert said[4] == (
            "decision 2   IN EFFECT, taken at entry 6: all stations close at 2027-01-15T19:59:59.000Z"
        )
        assert (
            said[7] == "decision 3   PENDING: no voting at station 11 (Элчилик): it leaves the expected total"
        )
        assert said[9].startswith("             signed by member 3 at entry 7; 1 more must sign; decided ")

    def test_void_and_undone(self, decide: Program, tmp_path: Path) -> None:
        writer = FeedWriter(tmp_path)
        writer.decide(2, (12, 99))
        writer.decide(3, (6,))
        writer.decide(4, (13, 3))
        writer.decide(4, (7,), (3,))
        writer.publish()
        found = json.loads(decide.good("list", writer.feed, "--json"))["decisions"]
        assert [(one["number"], one["state"], one["why"]) for one in found] == [
            (1, "in effect", None),
            (2, "void", "there is no station 99"),
            (3, "undone", None),
            (4, "in effect", None),
            (4, "void", "another decision 4 was taken, or it is about another definition"),
        ]
        assert "void because there is no station 99" in decide.good("list", writer.feed)
