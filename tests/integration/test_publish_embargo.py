"""The embargo beside a real ledger: what leaves and what stays, when it ends, what observers can check."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest

from clients.observer.follow import BeginAnewError, Follower
from clients.observer.verdict import Check, Source, Verdict
from clients.observer.verify import start, verify
from gateway import _core
from gateway.base.clock import HOUR, format_time
from gateway.base.errors import TallygateError
from gateway.feed.models import Latest
from gateway.publish.disk import Disk
from gateway.publish.embargo import check_folders
from gateway.publish.loop import APART_SECONDS, HEARTBEAT_SECONDS, LOOK_SECONDS
from tests.faults.feed_disk import CountingDisk, DeadlyDisk, Killed
from tests.faults.night import OPENED_AT, statement, submit
from tests.integration.publish_night import (
    BOX_SEED,
    DEVICE,
    SNAPSHOT_SEED,
    STATION,
    Life,
    Publication,
    live,
)
from tests.secrets_search import Secrets
from tests.strategies import Content

UNTIL = OPENED_AT + 14 * HOUR
CLOSED = OPENED_AT + 13 * HOUR
# Votes, figures and words of nobody else.
VOTES, FIGURES = (314_159, 271_828, 161_803), (577_215, 141_421)
WORDS = "Because box 8 says 693147 and paper 230258"
SECRETS: dict[str, int | str | bytes] = {
    **{f"votes {number}": number for number in VOTES},
    **{f"figure {number}": number for number in FIGURES},
    "in a reason": 693_147,
    "also in it": 230_258,
}


def counts(votes: tuple[int, int, int] = VOTES, figures: tuple[int, int] = FIGURES) -> Content:
    """A result of the one box that passes every hard rule."""
    registered, blank = figures
    preferred, listed, against = votes
    valid, ballots = listed + against, preferred + listed
    return (
        (1, ((1, registered), (9, valid + blank), (11, valid), (12, blank), (13, 0)), votes),
        (2, ((9, ballots), (11, ballots), (13, 0)), (preferred, listed)),
    )


class Embargoed(Publication):
    """A publication whose results nobody may read before `UNTIL`."""

    def __init__(self, root: Path, *, made: "Embargoed | None" = None) -> None:
        super().__init__(root, publish_at=UNTIL, make=made is None)
        check_folders(self.feed, self.hidden)
        self.election_time = CLOSED
        self.previous: bytes = b"" if made is None else made.previous
        self.sequence = 0 if made is None else made.sequence

    def packet(self, report: Content, signed_at: int = CLOSED) -> _core.Statement:
        self.sequence += 1
        content = (
            self.night.definition.hash,
            DEVICE,
            STATION,
            self.sequence,
            self.previous,
            signed_at,
            report,
        )
        signed = statement("packet", content, BOX_SEED)
        self.previous = signed.id
        return signed

    def result(
        self, votes: tuple[int, int, int] = VOTES, figures: tuple[int, int] = FIGURES
    ) -> _core.Statement:
        return self.packet((3, CLOSED, 1, 7, (), counts(votes, figures), ()))

    def turnout(self, identified: int) -> _core.Statement:
        return self.packet((2, OPENED_AT + HOUR, ((3, identified),)))

    def public(self) -> Iterator[tuple[str, bytes]]:
        yield from self.files().items()

    def hidden_files(self) -> set[str]:
        return {path.relative_to(self.hidden).as_posix() for path in self.hidden.rglob("*") if path.is_file()}

    def verify(self, *, all_of_it: bool = False) -> Verdict:
        return verify(self.feed, embargo=self.hidden if all_of_it else None, processes=0)


def say(publication: Embargoed, life: Life, *statements: _core.Statement) -> None:
    life.ledger.append([submit(one, "box:1", None) for one in statements])
    life.tell()


@pytest.fixture
def publication(tmp_path: Path) -> Embargoed:
    return Embargoed(tmp_path)


async def embargoed_night(publication: Embargoed, life: Life) -> Latest:
    """An open snapshot with a turnout, then one under embargo with a result."""
    say(publication, life, publication.turnout(40))
    first = await life.snapshot(1)
    assert (first.embargo_until, first.log.size) == (None, 3)
    say(publication, life, publication.result())
    await life.pass_time(APART_SECONDS)
    return await life.snapshot(2)


def test_what_leaves_and_what_stays(publication: Embargoed) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            second = await embargoed_night(publication, life)
            assert second.embargo_until == format_time(UNTIL)
            assert (second.root, second.tally, second.results) == (None, None, ())
            assert {child.sha256 for child in second.children} == {None}
            assert second.progress.reported == 1
            assert second.status.machine == "unofficial-partial"
            assert sum(child.turnout.identified for child in second.children) == 40

    live(publication, test)
    names = set(publication.files())
    # The head of the log and the hashes of its entries are public, the entries before the first result too.
    assert {"log/checkpoint", "log/tile/0/000.p/4", "log/tile/entries/000.p/3"} <= names
    assert "log/tile/entries/000.p/4" not in names
    hidden = publication.hidden_files()
    assert "log/tile/entries/000.p/4" in hidden
    assert {name.partition("/")[0] for name in hidden} == {"areas", "stations", "decisions", "log"}
    assert not [name for name in hidden if name.startswith("log/tile/0")]
    secrets = Secrets(SECRETS)
    secrets.control()
    assert secrets.found(publication.public()) == set()
    behind = ((path, (publication.hidden / path).read_bytes()) for path in hidden)
    assert {name for _, name in secrets.found(behind)} >= {f"votes {number}" for number in VOTES[1:]}


def test_observers_without_and_with_what_is_hidden(publication: Embargoed) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            await embargoed_night(publication, life)
            publication.commission.reason = WORDS
            life.decide((4, STATION, 2))
            await life.pass_time(APART_SECONDS)
            await life.snapshot(3)

    live(publication, test)
    outside = publication.verify()
    assert outside.agrees is True, outside.difference
    assert outside.withheld is not None
    assert outside.withheld == (format_time(UNTIL), 2, 3)
    assert (outside.counts[Check.EMBARGO], outside.counts[Check.FIGURES]) == (2, 1)
    assert outside.counts[Check.CHECKPOINT] == 6
    inside = publication.verify(all_of_it=True)
    assert (inside.agrees, inside.withheld) == (True, None), inside
    assert inside.counts[Check.FIGURES] == 3
    assert inside.counts[Check.FILES] == len({*publication.files(), *publication.hidden_files()})


def test_at_the_hour_everything_is_there(publication: Embargoed) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            await embargoed_night(publication, life)
            publication.election_time = UNTIL - 1
            await life.pass_time(LOOK_SECONDS + APART_SECONDS)
            assert publication.latest().snapshot == 2
            publication.election_time = UNTIL
            await life.pass_time(LOOK_SECONDS + APART_SECONDS)
            third = await life.snapshot(3)
            assert (third.embargo_until, third.log.size) == (None, 4)
            assert third.tally is not None
            # What is out is out: no clock brings it back.
            publication.election_time = UNTIL - HOUR
            say(publication, life, publication.result((1, 2, 3)))
            await life.pass_time(APART_SECONDS)
            fourth = await life.snapshot(4)
            assert fourth.embargo_until is None

    live(publication, test)
    assert publication.hidden_files() == set()
    assert [event for event in publication.events if event in ("publish.embargoed", "publish.lifted")] == [
        "publish.embargoed",
        "publish.lifted",
    ]
    verdict = publication.verify()
    assert (verdict.agrees, verdict.withheld, verdict.counts[Check.FIGURES]) == (True, None, 4), verdict
    found = {name for _, name in Secrets(SECRETS).found(publication.public())}
    assert found >= {f"votes {number}" for number in VOTES[1:]}


def three(publication: Embargoed) -> None:
    """A night up to its second snapshot, the first under embargo; everything ends well."""

    async def test(life: Life) -> None:
        async with life.serving():
            await embargoed_night(publication, life)

    live(publication, test)


def test_a_heartbeat_stays_under_embargo(publication: Embargoed) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            second = await embargoed_night(publication, life)
            await life.pass_time(HEARTBEAT_SECONDS)
            third = await life.snapshot(3)
            assert third == msgspec.structs.replace(
                second, snapshot=3, previous=third.previous, published_at=third.published_at
            )

    live(publication, test)
    assert publication.verify(all_of_it=True).agrees is True


def test_the_reason_of_a_pause_is_one_of_a_decision(publication: Embargoed) -> None:
    async def test(life: Life) -> None:
        async with life.serving():
            await embargoed_night(publication, life)
            publication.commission.reason = WORDS
            life.decide((6,))
            await life.pass_time(APART_SECONDS)
            third = await life.snapshot(3)
            assert third.paused is not None
            assert (third.paused.by, third.paused.reason, third.log.size) == ("commission", (), 4)
            # A pause holds back the hour too.
            publication.election_time = UNTIL
            say(publication, life, publication.packet((2, UNTIL, ((3, 41),))))
            await life.pass_time(HEARTBEAT_SECONDS)
            fourth = await life.snapshot(4)
            assert (fourth.embargo_until, fourth.log.size) == (format_time(UNTIL), 4)
            assert Secrets(SECRETS).found(publication.public()) == set()
            outside = publication.verify()
            assert outside.agrees is True, outside.difference
            publication.commission.reason = "We go on."
            life.decide((7,))
            await life.pass_time(APART_SECONDS)
            fifth = await life.snapshot(5)
            assert (fifth.embargo_until, fifth.paused, fifth.log.size) == (None, None, 9)

    live(publication, test)
    # Now that everybody may read it, the pause is known to have been ordered.
    verdict = publication.verify()
    assert (verdict.agrees, verdict.counts[Check.FIGURES]) == (True, 5), verdict


def test_a_chosen_packet_is_not_named(publication: Embargoed) -> None:
    result = publication.result()

    async def test(life: Life) -> None:
        async with life.serving():
            say(publication, life, result)
            publication.commission.reason = WORDS
            life.decide((5, STATION, 2, 1, result.id))
            await life.snapshot(1)

    live(publication, test)
    listing = json.loads(
        (publication.feed / "decisions" / f"{publication.latest().decisions.sha256}.json").read_bytes()
    )
    assert [(one["action"], one["payload"], one["reason"]) for one in listing["decisions"][1:]] == [
        ([5, STATION, 2, 1], None, [])
    ]
    secrets = {
        **SECRETS,
        "the id": result.id,
        "its signature": result.signature,
        "its payload": result.payload,
    }
    assert Secrets(secrets).found(publication.public()) == set()
    # Even where nothing was published before the embargo, the entries before the first result are public.
    verdict = publication.verify()
    assert (verdict.agrees, verdict.counts[Check.OPENING], verdict.counts[Check.EMBARGO]) == (True, 1, 1), (
        verdict
    )
    assert publication.verify(all_of_it=True).agrees is True


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("lost", ["nothing", "hidden", "feed", "log"])
def test_a_start_under_embargo(publication: Embargoed, lost: str, *, clean: bool) -> None:
    three(publication)
    before, hidden = publication.files(), publication.hidden_files()
    if lost == "hidden":
        shutil.rmtree(publication.hidden)
        check_folders(publication.feed, publication.hidden)
    elif lost == "feed":
        shutil.rmtree(publication.feed / "decisions")
        shutil.rmtree(publication.feed / "areas")
    elif lost == "log":
        shutil.rmtree(publication.feed / "log")
    record = json.loads(publication.record.read_bytes())
    publication.record.write_bytes(json.dumps({**record, "clean": clean}).encode())

    async def test(life: Life) -> None:
        async with life.serving():
            await life.settle()
            assert publication.latest().snapshot == 2
            assert publication.verify().agrees is True
            assert publication.verify(all_of_it=True).agrees is True
            assert Secrets(SECRETS).found(publication.public()) == set()
            say(publication, life, publication.turnout(50))
            await life.pass_time(APART_SECONDS)
            assert (await life.snapshot(3)).embargo_until is not None

    live(publication, test)
    assert publication.verify(all_of_it=True).agrees is True
    if lost in ("nothing", "hidden"):
        assert (
            before.items()
            - {("latest.json", before["latest.json"]), ("log/checkpoint", before["log/checkpoint"])}
            <= publication.files().items()
        )
    assert hidden <= {*publication.hidden_files(), *publication.files()}


def test_the_hour_passes_while_nobody_publishes(publication: Embargoed) -> None:
    three(publication)
    publication.election_time = UNTIL + HOUR

    async def test(life: Life) -> None:
        async with life.serving():
            await life.pass_time(LOOK_SECONDS)
            third = await life.snapshot(3)
            assert (third.embargo_until, third.log.size) == (None, 4)

    live(publication, test)
    assert publication.hidden_files() == set()
    assert publication.verify().agrees is True


def test_killed_at_every_call_of_the_hour(tmp_path: Path) -> None:
    """Whatever is moved then, a reader finds what the pointer names, and the next start goes on."""
    made = Embargoed(tmp_path / "made")
    three(made)
    deaths = 0
    for at in range(200):
        root = Path(shutil.copytree(tmp_path / "made", tmp_path / f"life-{at}"))
        again = Embargoed(root, made=made)
        again.election_time = UNTIL
        dead: list[DeadlyDisk] = []

        def deadly(folder: str, dead: list[DeadlyDisk] = dead, at: int = at) -> Disk:
            dead.append(DeadlyDisk(folder, at, half=at % 2 == 0))
            return dead[-1]

        again.make_disk = deadly

        async def one(life: Life, again: Embargoed = again) -> None:
            async with life.serving():
                await life.pass_time(LOOK_SECONDS)
                await life.snapshot(3)

        try:
            live(again, one)
        except* Killed:
            deaths += 1
        if dead[-1].calls < at:
            break
        assert again.verify().agrees is True, at
        # Twice over the clock has gone back, and once it has not.
        again.make_disk = CountingDisk
        again.election_time = UNTIL if at % 3 == 0 else CLOSED

        async def two(life: Life, again: Embargoed = again) -> None:
            async with life.serving():
                await life.settle()
                assert again.verify(all_of_it=True).agrees is True
                again.election_time = UNTIL
                await life.pass_time(LOOK_SECONDS + APART_SECONDS)
                await life.until(lambda: again.latest().embargo_until is None)

        live(again, two)
        assert again.hidden_files() == set()
        verdict = again.verify()
        assert (verdict.agrees, verdict.withheld) == (True, None), (at, verdict)
        shutil.rmtree(root)
    assert deaths > 20


def test_a_follower_inside_and_one_outside(publication: Embargoed) -> None:
    inside = Source(publication.feed, publication.hidden)

    def follower(folder: Path | Source) -> Follower:
        verdict, replay = start(folder, definition=None, processes=0, progress=None)
        assert verdict.agrees is True, verdict
        assert replay is not None
        return Follower(folder, replay)

    def agrees(found: Verdict) -> Verdict:
        assert found.agrees is True, found
        return found

    async def test(life: Life) -> None:
        async with life.serving():
            say(publication, life, publication.turnout(40))
            await life.snapshot(1)
            seeing, blind = follower(inside), follower(publication.feed)
            say(publication, life, publication.result())
            await life.pass_time(APART_SECONDS)
            await life.snapshot(2)
            assert agrees(seeing.advance()).withheld is None
            # Whoever sees only the public part begins anew, and goes on with hashes.
            with pytest.raises(BeginAnewError):
                blind.advance()
            blind = follower(publication.feed)
            for number in (3, 4):
                say(publication, life, publication.turnout(40 + number))
                await life.pass_time(APART_SECONDS)
                await life.snapshot(number)
                assert agrees(seeing.advance()).counts[Check.STATIONS] == 1
                found = agrees(blind.advance())
                assert found.withheld == (format_time(UNTIL), number - 1, number - 1)
            publication.election_time = UNTIL
            await life.pass_time(LOOK_SECONDS + APART_SECONDS)
            await life.snapshot(5)
            assert agrees(seeing.advance()).withheld is None
            with pytest.raises(BeginAnewError):
                blind.advance()
            assert agrees(follower(publication.feed).advance()).snapshot == 5

    live(publication, test)


def test_the_bundle_that_is_hidden_takes_no_ones_place(publication: Embargoed) -> None:
    """The partial bundles before the embargo stay while the full one is hidden."""

    async def test(life: Life) -> None:
        async with life.serving():
            await embargoed_night(publication, life)
            say(publication, life, *(publication.turnout(number) for number in range(41, 341)))
            await life.pass_time(APART_SECONDS)
            await life.snapshot(3)
            await life.pass_time(700)
            assert publication.verify().agrees is True
            assert publication.verify(all_of_it=True).agrees is True

    live(publication, test)
    names = set(publication.files())
    assert "log/tile/0/000" in names
    assert not [name for name in names if name.startswith("log/tile/0/000.p")]
    assert "log/tile/entries/000.p/3" in names
    assert "log/tile/entries/000" in publication.hidden_files()


def lie(publication: Embargoed, change: Callable[[dict[str, object]], None]) -> None:
    """The newest snapshot, under embargo, with a member changed and signed."""
    latest = json.loads((publication.feed / "latest.json").read_bytes())
    change(latest)
    data = json.dumps(latest, separators=(",", ":"), sort_keys=True).encode()
    lines = [
        "tallygate-snapshot/1",
        latest["log"]["origin"],
        latest["snapshot"],
        hashlib.sha256(data).hexdigest(),
    ]
    lines += [latest["previous"], latest["log"]["size"], latest["log"]["root"]]
    text = "".join(f"{line}\n" for line in lines)
    note = _core.NoteSigner(f"{latest['log']['origin']}/snapshot", SNAPSHOT_SEED).sign(text).encode()
    for path in ("latest.json", f"snapshots/{latest['snapshot']}.json"):
        (publication.feed / path).write_bytes(data)
    (publication.feed / "snapshots" / f"{latest['snapshot']}.note").write_bytes(note)


PAUSED = {"by": "operator", "reason": [["en", "We look."]], "since": format_time(CLOSED)}


def again(publication: Embargoed, number: int, **other: object) -> None:
    """One more snapshot, signed: the newest with other members."""
    previous = (publication.feed / f"snapshots/{number}.json").read_bytes()
    head = {"snapshot": number + 1, "previous": hashlib.sha256(previous).hexdigest()}
    lie(publication, lambda latest: latest.update({**head, **other}))


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("embargo_until", None, "feed.figures"),
        ("embargo_until", format_time(UNTIL + 1), "feed.embargo"),
        ("published_at", format_time(UNTIL), "feed.embargo"),
        ("results", [1], "feed.figures"),
        ("root", {"area": 1, "sha256": "ab" * 32}, "feed.figures"),
        ("headline", "protocol", "feed.figures"),
        ("progress", {}, "feed.malformed"),
        ("status", {"machine": "done", "protocol": "pre-election"}, "feed.malformed"),
        ("decisions", {"count": 1, "sha256": "ab" * 32}, "feed.missing"),
        ("children", [], "feed.figures"),
    ],
)
def test_lies_under_embargo_are_seen_without_figures(
    publication: Embargoed, member: str, value: object, code: str
) -> None:
    three(publication)
    lie(publication, lambda latest: latest.update({member: value}))
    found = publication.verify()
    assert found.agrees is False, found
    assert found.difference is not None
    # A snapshot that says that there is no embargo has to have its entries.
    expected = {"feed.missing"} if member == "embargo_until" and value is None else {code}
    assert found.difference.code in expected, found


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("embargo_until", format_time(UNTIL + 1), "feed.embargo"),
        ("status", {"machine": "certified", "protocol": "certified"}, "feed.pause"),
    ],
)
def test_a_pause_under_embargo_repeats_the_snapshot_before(
    publication: Embargoed, member: str, value: object, code: str
) -> None:
    three(publication)
    again(publication, 2, paused=PAUSED)
    assert publication.verify().agrees is True
    lie(publication, lambda latest: latest.update({member: value}))
    found = publication.verify().difference
    assert found is not None
    assert (found.code, found.place) == (code, member)


@pytest.mark.parametrize("began", [CLOSED, UNTIL])
def test_what_is_out_is_not_hidden_again(publication: Embargoed, began: int) -> None:
    """With snapshots under embargo before it and without; whoever has all files sees it too."""
    other = Embargoed(publication.root / "other")
    three(other)
    left = json.loads((other.feed / "latest.json").read_bytes())
    listed = f"decisions/{left['decisions']['sha256']}.json"

    async def test(life: Life) -> None:
        async with life.serving():
            publication.election_time = began
            say(publication, life, publication.turnout(40), publication.result())
            await life.snapshot(1)
            publication.election_time = UNTIL
            await life.pass_time(HEARTBEAT_SECONDS + APART_SECONDS)
            assert (await life.snapshot(2)).embargo_until is None

    live(publication, test)
    published = publication.latest()
    assert publication.verify().agrees is True
    kept = {name: left[name] for name in ("embargo_until", "results", "root", "tally", "decisions")}
    children = [{**child, "sha256": None} for child in json.loads(msgspec.json.encode(published.children))]
    shutil.copy(other.feed / listed, publication.feed / listed)
    again(publication, published.snapshot, **kept, children=children, published_at=format_time(CLOSED))
    for found in (publication.verify(), publication.verify(all_of_it=True)):
        assert found.difference is not None, found
        assert (found.difference.code, found.difference.place) == ("feed.embargo", "embargo_until")


def test_a_wrong_figure_under_embargo_is_seen_inside(publication: Embargoed) -> None:
    three(publication)

    def more(latest: dict[str, object]) -> None:
        progress = cast(dict[str, int], latest["progress"])
        child = cast(list[dict[str, dict[str, int]]], latest["children"])[0]["progress"]
        for one in (progress, child):
            one["reported"], one["silent"] = one["reported"] - 1, one["silent"] + 1

    lie(publication, more)
    assert publication.verify().agrees is True
    inside = publication.verify(all_of_it=True)
    assert inside.difference is not None
    assert (inside.difference.code, inside.difference.place) == (
        "feed.figures",
        "children[0].progress.reported",
    )


def test_the_hidden_folder(tmp_path: Path) -> None:
    feed, hidden = tmp_path / "feed", tmp_path / "embargo"
    feed.mkdir()

    def refusal(folder: Path) -> str:
        with pytest.raises(TallygateError) as caught:
            check_folders(feed, folder)
        assert list(feed.iterdir()) in ([], [feed / "inside"])
        return caught.value.code

    check_folders(feed, hidden)
    assert hidden.stat().st_mode & 0o777 == 0o750
    assert (list(feed.iterdir()), list(hidden.iterdir())) == ([], [])
    check_folders(feed, hidden)
    hidden.chmod(0o755)
    assert refusal(hidden) == "embargo.readable"
    assert refusal(feed / "inside") == "embargo.folder"
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if Path(elsewhere).stat().st_dev == feed.stat().st_dev:
            pytest.skip("there is one file system here")
        assert refusal(Path(elsewhere) / "embargo") == "embargo.folder"
        assert list((Path(elsewhere) / "embargo").iterdir()) == []
