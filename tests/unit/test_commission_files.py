"""The files of `tallygate-decide`: what is shown and signed, and every file that is refused."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

import click
import msgspec
import pytest
from nacl.signing import SigningKey

from clients.commission import effect, feedlog
from clients.commission.cli import main
from clients.commission.decisionfile import DecisionFile
from clients.commission.effect import Effect
from clients.commission.feedlog import FeedLog
from clients.wire import statement
from clients.wire.errors import WireError
from tests.feed_writer import LOG_KEY, ORIGIN, RESULT, SNAPSHOT_KEY, FeedWriter
from tests.integration.client_cli import Program
from tests.unit import wire_election
from tests.unit.commission_helpers import REASONS, disputed, effect_of, feedlog_of, made
from tests.unit.wire_election import MEMBERS, ROSTER

Json: TypeAlias = "int | str | list[Json] | dict[str, Json] | None"


@pytest.fixture
def decide(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(main, capsys)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> FeedWriter:
    return disputed(tmp_path_factory.mktemp("night"))


@pytest.fixture(scope="module")
def log(published: FeedWriter) -> FeedLog:
    return feedlog.read(published.feed)


def forged(file: dict[str, Json]) -> str:
    """Member 1's signature with a bit changed."""
    signatures = cast(list[dict[str, str]], file["signatures"])
    data = bytearray.fromhex(signatures[0]["statement"])
    data[-1] ^= 1
    return data.hex()


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
