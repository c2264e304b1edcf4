"""`tallygate-decide` without a gateway: effects, files that travel, and everything that is refused."""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias, cast

import click
import msgspec
import pytest
from nacl.signing import SigningKey

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
from clients.wire.cbor import Content
from clients.wire.errors import WireError
from tests.feed_writer import CLOSES_AT, LOG_KEY, ORIGIN, RESULT, SNAPSHOT_KEY, FeedWriter
from tests.integration.client_cli import Program
from tests.unit import wire_election
from tests.unit.wire_election import MEMBERS, ROSTER

Json: TypeAlias = "int | str | list[Json] | dict[str, Json] | None"

# Station 8, contest 1: as the boxes have it, and nine votes from choice 7 to choice 9.
PROTOCOL: Content = (4, CLOSES_AT, b"", 0, (), ((1, ((9, 100), (11, 98), (13, 2)), (10, 81, 17)),), ())
OTHER_RESULT: Content = (*RESULT[:5], ((1, ((9, 101), (11, 98), (13, 2)), (10, 81, 17)), RESULT[5][1]), ())  # type: ignore[index]
REASONS = ("--reason", "ky=Себеп", "--reason", "en=A reason")


@pytest.fixture
def decide(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> FeedWriter:
    """A disputed station with a protocol, a closing time, and a decision that waits for one signature."""
    writer = FeedWriter(tmp_path_factory.mktemp("night"))
    writer.packet(RESULT)
    writer.packet(PROTOCOL, device=5)
    writer.packet(OTHER_RESULT)
    writer.decide(2, (11, 0, CLOSES_AT - 1000))
    writer.decide(3, (12, 11), (3,))
    writer.publish()
    return writer


@pytest.fixture(scope="module")
def log(published: FeedWriter) -> FeedLog:
    return feedlog.read(published.feed)


def made(log: FeedLog, *action: int | str | bytes) -> DecisionFile:
    return prepare.prepare(log, action, [("en", "A reason")], CLOSES_AT)


def effect_of(log: FeedLog, *action: int | str | bytes) -> Effect:
    found = made(log, *action).effect
    assert found is not None
    return found


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


def test_a_feed_that_shows_other_figures(decide: Program, tmp_path: Path) -> None:
    writer = FeedWriter(tmp_path)

    def lie(latest: dict[str, object]) -> None:
        latest["root"] = {"area": 1, "sha256": "00" * 32}

    writer.publish(lie=cast(Callable[[object], None], lie))
    ended = decide("prepare", writer.feed, "pause", *REASONS)
    assert (ended.code, "[feed.figures]" in ended.err) == (1, True)


class TestFile:
    @pytest.fixture
    def file(self, published: FeedWriter, decide: Program, tmp_path: Path) -> Path:
        out = tmp_path / "decision.json"
        decide.good(
            "prepare", published.feed, "annul", "--station", "8", "--contest", "1", *REASONS, "--out", out
        )
        return out

    @staticmethod
    def key(folder: Path, number: int, key: SigningKey | None = None) -> Path:
        path = folder / f"member-{number}.key"
        path.write_text(bytes(key or MEMBERS[number - 1]).hex() + "\n")
        path.chmod(0o600)
        return path

    def sign(self, decide: Program, file: Path, number: int, *where: str | Path) -> str:
        return decide.good("sign", file, "--key", self.key(file.parent, number), *where, "--yes")

    def test_signing(self, published: FeedWriter, decide: Program, file: Path) -> None:
        feed = ("--feed", published.feed)
        said = self.sign(decide, file, 3, *feed)
        assert "orders       annul contest 1 (Парламент) at station 8 (УИК 8 Мектеп)" in said
        assert "disputed → annulled" in said
        assert "signed by    member 3; 2 must, 1 more" in said
        before = file.read_bytes()
        again = self.sign(decide, file, 3, *feed)
        assert "this member has signed it before; nothing new was signed" in again
        assert file.read_bytes() == before
        # Whoever may not read it (its effect may be under embargo) may not afterwards.
        file.chmod(0o600)
        self.sign(decide, file, 1, "--definition", published.root)
        assert file.stat().st_mode & 0o777 == 0o600
        own = DecisionFile.read(file)
        own.judge(published.definition)
        assert own.members == (1, 3)
        for signature in own.signatures:
            signed = statement.check(signature.data, published.definition, published.roster)
            assert signed.payload == own.decision.payload

    def test_who_is_not_sure_signs_nothing(
        self, published: FeedWriter, decide: Program, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        def no(text: str, **_: bool) -> None:
            asked.append(text)
            raise click.Abort

        monkeypatch.setattr(click, "confirm", no)
        before = file.read_bytes()
        ended = decide("sign", file, "--key", self.key(file.parent, 1), "--feed", published.feed)
        assert (ended.code, file.read_bytes()) == (1, before)
        assert asked == ["sign as member 1: annul contest 1 (Парламент) at station 8 (УИК 8 Мектеп)?"]

    def test_another_signs_while_one_reads(
        self, published: FeedWriter, decide: Program, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In a folder that members share."""

        def meanwhile(*_: str, **__: bool) -> None:
            own = DecisionFile.read(file).signed_by(MEMBERS[2], published.definition)
            file.write_bytes(own.encode())

        monkeypatch.setattr(click, "confirm", meanwhile)
        said = decide.good("sign", file, "--key", self.key(file.parent, 1), "--feed", published.feed)
        assert "signed by    member 1, member 3; 2 must, that is enough" in said
        assert DecisionFile.read(file).members == (1, 3)

    def test_without_a_feed_the_effect_is_the_prepared_one(
        self, published: FeedWriter, decide: Program, file: Path
    ) -> None:
        ended = decide(
            "sign", file, "--key", self.key(file.parent, 1), "--definition", published.root, "--yes"
        )
        assert "the effect is the one that was prepared" in ended.err
        assert "disputed → annulled" in ended.out

    def test_the_feed_went_on(self, decide: Program, tmp_path: Path) -> None:
        writer = FeedWriter(tmp_path / "night")
        writer.publish()
        file = tmp_path / "decision.json"
        decide.good(
            "prepare", writer.feed, "annul", "--station", "8", "--contest", "1", *REASONS, "--out", file
        )
        writer.packet(RESULT)
        writer.publish()
        ended = decide("sign", file, "--key", self.key(tmp_path, 1), "--feed", writer.feed, "--yes")
        assert "the effect is another one now than when the decision was prepared" in ended.err
        assert "90 → –" in ended.out
        writer.decide(2, (6,))
        writer.publish()
        ended = decide("sign", file, "--key", self.key(tmp_path, 2), "--feed", writer.feed, "--yes")
        assert (ended.code, "another decision 2 was taken at entry 4" in ended.err) == (1, True)

    def test_a_new_roster(self, published: FeedWriter, decide: Program, tmp_path: Path) -> None:
        """The feed gets its folder when the decision is taken, and the gateway before; signers give it."""
        later = tmp_path / "later"
        later.mkdir()
        devices = [*ROSTER["devices"], f"6,box,11,,{'ad' * 32},"]
        of: dict[str, wire_election.Json] = {
            "format": "tallygate-roster/1",
            "definition": published.definition.sha256.hex(),
        }
        wire_election.write(later, "roster.json", of, {**ROSTER, "devices": devices})
        file = tmp_path / "decision.json"
        said = decide.good("prepare", published.feed, "roster", "--roster", later, *REASONS, "--out", file)
        assert f"changes      roster: {published.roster.sha256.hex()} → " in said
        key = ("--key", self.key(tmp_path, 1), "--feed", published.feed, "--yes")
        ended = decide("sign", file, *key)
        assert "its roster is not in the feed yet (sign --roster)" in ended.err
        assert ended.out.count("changes      roster: ") == 1
        ended = decide("sign", file, *key, "--roster", later)
        assert "not in the feed yet" not in ended.err
        devices.pop(1)
        wire_election.write(later, "roster.json", of, {**ROSTER, "devices": devices})
        ended = decide("prepare", published.feed, "roster", "--roster", later, *REASONS)
        assert "the roster lacks device 1, and a roster holds all devices before it" in ended.err

    def test_a_decision_that_is_taken(self, published: FeedWriter, decide: Program, tmp_path: Path) -> None:
        file = tmp_path / "decision.json"
        payload = statement.decode(published.log[5]).payload
        other = made(feedlog.read(published.feed), 6)
        own = DecisionFile.new(published.definition, payload, other.prepared, other.effect)
        file.write_bytes(own.encode())
        ended = decide("sign", file, "--key", self.key(tmp_path, 1), "--feed", published.feed, "--yes")
        assert (ended.code, "decision 2 is taken already" in ended.err) == (0, True)

    def test_keys_that_may_not_sign(self, published: FeedWriter, decide: Program, file: Path) -> None:
        where = ("--definition", published.root, "--yes")
        stranger = self.key(file.parent, 9, SigningKey(b"\x77" * 32))
        ended = decide("sign", file, "--key", stranger, *where)
        assert (ended.code, "[decision.key]" in ended.err) == (1, True)
        stranger.chmod(0o644)
        assert "others can read this private key" in decide("sign", file, "--key", stranger, *where).err
        stranger.write_text("no key")
        stranger.chmod(0o600)
        assert "no signing key of 64 hex digits" in decide("sign", file, "--key", stranger, *where).err
        assert decide("sign", file, *where).code == 2
        assert decide("sign", file, "--key", self.key(file.parent, 1), "--yes").code == 2

    def test_merging(self, published: FeedWriter, decide: Program, file: Path) -> None:
        where = ("--definition", published.root)
        copies = []
        for number in (1, 2, 3):
            copies.append(file.with_name(f"{number}.json"))
            copies[-1].write_bytes(file.read_bytes())
            self.sign(decide, copies[-1], number, *where)
        said = decide.good("merge", file, *copies, *where)
        assert "signed by    member 1, member 2, member 3; 2 must, that is enough" in said
        assert DecisionFile.read(file).members == (1, 2, 3)
        out = file.with_name("merged.json")
        decide.good("merge", copies[0], copies[1], *where, "--out", out)
        assert DecisionFile.read(out).members == (1, 2)
        assert DecisionFile.read(copies[0]).members == (1,)

    def test_two_decisions_of_one_number(self, published: FeedWriter, decide: Program, file: Path) -> None:
        other = file.with_name("other.json")
        decide.good("prepare", published.feed, "pause", *REASONS, "--out", other)
        ended = decide("merge", file, other, "--definition", published.root)
        assert ended.code == 1
        assert "both are decision 3, and only one of them can be taken" in ended.err
        assert f"{other}: " in ended.err

    def test_too_few_signatures(self, published: FeedWriter, decide: Program, file: Path) -> None:
        self.sign(decide, file, 1, "--definition", published.root)
        ended = decide("submit", file, "--feed", published.feed)
        assert (ended.code, "2 members must sign decision 3, and 1 have" in ended.err) == (1, True)

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("action", lambda file: file["action"].update(station=11)),
            ("reason", lambda file: file["reason"].__setitem__(0, ["ky", "Башка"])),
            ("number", lambda file: file.update(number=4)),
            ("previous", lambda file: file.update(previous="00" * 32)),
            ("decided_at", lambda file: file.update(decided_at="2027-01-15T00:00:00.000Z")),
            ("definition", lambda file: file.update(definition="00" * 32)),
        ],
    )
    def test_text_that_says_other_than_the_payload(
        self,
        published: FeedWriter,
        decide: Program,
        file: Path,
        name: str,
        change: Callable[[dict[str, Json]], None],
    ) -> None:
        changed = json.loads(file.read_bytes())
        change(changed)
        file.write_text(json.dumps(changed))
        ended = decide("sign", file, "--key", self.key(file.parent, 1), "--feed", published.feed, "--yes")
        assert ended.code == 1
        assert f'{file}: "{name}" is not what its payload says' in ended.err
        assert "[decision.tampered]" in ended.err
        assert file.read_text() == json.dumps(changed)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda file: file.update(says="pause publication"), "decision.tampered"),
            (lambda file: file.update(election="another"), "decision.tampered"),
            (lambda file: file.update(format="tallygate-decision/2"), "decision.malformed"),
            (lambda file: file.update(more=1), "decision.malformed"),
            (lambda file: file.update(payload="00"), "decision.malformed"),
            (lambda file: file.update(payload="0"), "decision.malformed"),
            (lambda file: file["signatures"].reverse(), "decision.signatures"),
            (
                lambda file: file["signatures"].append(copy.deepcopy(file["signatures"][1])),
                "decision.signatures",
            ),
            (lambda file: file["signatures"][0].update(member=2), "decision.signatures"),
            (lambda file: file["signatures"][1].update(member=9), "decision.signatures"),
            (lambda file: file["signatures"][0].update(statement="00"), "decision.malformed"),
            (lambda file: file["signatures"][0].update(statement=forged(file)), "decision.signatures"),
            (lambda file: file["effect"]["areas"][0].update(area=999), "decision.tampered"),
            (lambda file: file.update(effect=None), "decision.malformed"),
            (lambda file: file.update(prepared=None), "decision.malformed"),
            (lambda file: file["prepared"].update(after=[1, 9]), "decision.malformed"),
            (lambda file: file["prepared"].update(after=[1]), "decision.malformed"),
        ],
    )
    def test_files_that_are_not_believed(
        self,
        published: FeedWriter,
        decide: Program,
        file: Path,
        change: Callable[[dict[str, Json]], None],
        code: str,
    ) -> None:
        for number in (1, 3):
            self.sign(decide, file, number, "--definition", published.root)
        changed = json.loads(file.read_bytes())
        change(changed)
        file.write_text(json.dumps(changed))
        for command in (
            ("sign", file, "--key", self.key(file.parent, 2), "--yes"),
            ("merge", file, file),
            ("submit", file),
        ):
            ended = decide(*command, "--definition", published.root)
            assert (ended.code, f"[{code}]" in ended.err) == (1, True), ended.err

    def test_a_member_that_stands_twice(self, published: FeedWriter, decide: Program, file: Path) -> None:
        """JSON readers take one of the two, and people the other."""
        file.write_bytes(b'{"says": "pause publication",' + file.read_bytes().removeprefix(b"{"))
        ended = decide("sign", file, "--key", self.key(file.parent, 1), "--feed", published.feed, "--yes")
        assert (ended.code, '"says" stands in it twice' in ended.err) == (1, True), ended.err

    def test_the_effect_on_a_country_of_councils(self, log: FeedLog, file: Path) -> None:
        """450 councils with 50 candidates each, annulled at once: what is prepared can be read."""
        own = DecisionFile.read(file)
        assert own.effect is not None
        votes = tuple(effect.Votes(choice, 123_456, None) for choice in range(1, 51))
        shares = tuple(effect.Seats(choice, (1_234, None), (1, None)) for choice in range(1, 51))
        sums = tuple(effect.Sums(contest, "machine", (), votes) for contest in range(1, 451))
        results = tuple(
            effect.Result(contest, "machine", shares, ("decided", "none"), ((), ()))
            for contest in range(1, 451)
        )
        area = effect.AreaChange(1, (2_500, 2_500), sums)
        large = own.with_effect(msgspec.structs.replace(own.effect, areas=(area,), results=results))
        file.write_bytes(large.encode())
        DecisionFile.read(file).judge(log.definition)

    def test_what_waits_unpublished(self, published: FeedWriter, decide: Program, tmp_path: Path) -> None:
        """With the file of what comes before, nobody has to believe the effect in a decision's file."""
        first, file = tmp_path / "first.json", tmp_path / "second.json"
        annul = ("annul", "--station", "8", "--contest", "1", *REASONS)
        decide.good("prepare", published.feed, "pause", *REASONS, "--out", first)
        decide.good("prepare", published.feed, *annul, "--out", file, "--after", first)
        changed = json.loads(file.read_bytes())
        changed["effect"].update(stations_changed=0, stations=[], areas_changed=0, areas=[], results=[])
        file.write_text(json.dumps(changed))
        sign = ("sign", file, "--key", self.key(tmp_path, 1), "--feed", published.feed, "--yes")
        ended = decide(*sign)
        assert "figures      no station changes" in ended.out
        assert "decision 3 before it is not published yet" in ended.err
        ended = decide(*sign, "--after", first)
        assert "disputed → annulled" in ended.out
        assert "the effect is another one now" in ended.err

    def test_a_signature_of_another_decision(self, published: FeedWriter, file: Path) -> None:
        changed = json.loads(file.read_bytes())
        changed["signatures"] = [{"member": 1, "statement": published.log[0].hex()}]
        file.write_text(json.dumps(changed))
        with pytest.raises(WireError, match="a signature is of another decision"):
            DecisionFile.read(file)

    def test_another_elections_decision(self, decide: Program, tmp_path: Path, file: Path) -> None:
        (tmp_path / "other").mkdir()
        other = FeedWriter(tmp_path / "other")
        changed = other.root / "definition" / "election.json"
        text = changed.read_text().replace("Мисал", "Башка")
        changed.write_text(text)
        ended = decide("sign", file, "--key", self.key(tmp_path, 1), "--definition", other.root, "--yes")
        assert (ended.code, "another election's [decision.definition]" in ended.err) == (1, True)

    def test_a_decision_for_another_log(self, decide: Program, tmp_path: Path, file: Path) -> None:
        """Same election, another log: what is before it is another decision 1."""
        other = FeedWriter(tmp_path / "other", opened=False)
        action = (
            1,
            "another",
            bytes(LOG_KEY.verify_key),
            bytes(SNAPSHOT_KEY.verify_key),
            other.roster.sha256,
            "x",
        )
        other.decide(1, action)
        other.decide(2, (6,))
        log = feedlog_of(other)
        with pytest.raises(WireError, match="decision 3 does not follow decision 2"):
            effect.effect_of(log.tally, log.definition, DecisionFile.read(file).decision)

    def test_the_file_holds_its_effect(self, log: FeedLog, file: Path) -> None:
        own = DecisionFile.read(file)
        assert own.effect == effect_of(log, 4, 8, 1)
        assert msgspec.json.decode(msgspec.json.encode(own.effect), type=Effect) == own.effect
        assert own.prepared is not None
        assert (own.prepared.log, own.prepared.snapshot, own.prepared.entries) == (ORIGIN, 1, log.head.size)


def forged(file: dict[str, Json]) -> str:
    """Member 1's signature with a bit changed."""
    signatures = cast(list[dict[str, str]], file["signatures"])
    data = bytearray.fromhex(signatures[0]["statement"])
    data[-1] ^= 1
    return data.hex()


def feedlog_of(writer: FeedWriter) -> FeedLog:
    """The log of a writer whose log has another name than its checkpoints."""
    tally = writer.tally()
    for data in writer.log:
        tally.apply(statement.decode(data))
    return cast(FeedLog, _Folded(tally, writer.definition))


class _Folded:
    def __init__(self, tally: object, definition: object) -> None:
        self.tally = tally
        self.definition = definition


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
