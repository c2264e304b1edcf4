"""A feed is right only if everything in it follows from its log; what does not is named."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from clients.observer.tally.book import Book
from clients.observer.tally.packet import Packet
from clients.observer.verdict import Check, Verdict
from clients.observer.verify import verify
from clients.wire import statement
from clients.wire.tiles import bundle_bytes, decode_bundle
from tests.feed_writer import CLOSES_AT, ORIGIN, RESULT, FeedWriter, Latest, canonical

OTHER_RESULT = (*RESULT[:3], 101, *RESULT[4:])
ABROAD = (3, CLOSES_AT, 1, 100, (), ((1, ((9, 50), (11, 50), (13, 0)), (20, 25, 5)),), ())


def checked(feed: Path, definition: bytes | None = None) -> Verdict:
    return verify(feed, definition=definition, processes=0)


def night(root: Path) -> FeedWriter:
    """A small night of four snapshots: results, a dispute, a closing time, a protocol, a heartbeat."""
    writer = FeedWriter(root)
    writer.publish()
    writer.packet((1, 0, bytes([1]) * 32, ()))
    writer.packet(RESULT)
    writer.publish()
    writer.packet(OTHER_RESULT)
    writer.packet(ABROAD, station=11, sequence=9)
    writer.decide(2, (11, 0, CLOSES_AT - 1000))
    writer.publish()
    writer.packet((4, CLOSES_AT, b"", 0, (), RESULT[5], ()), device=5)
    writer.decide(4, (6,), (3,))
    writer.publish()
    writer.publish()
    return writer


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> FeedWriter:
    return night(tmp_path_factory.mktemp("night"))


@pytest.fixture
def writer(published: FeedWriter, tmp_path: Path) -> Iterator[FeedWriter]:
    """The night with a feed of its own to spoil."""
    kept = published.feed
    shutil.copytree(kept, tmp_path / "feed")
    published.feed = tmp_path / "feed"
    yield published
    published.feed = kept


def files(feed: Path) -> list[str]:
    return sorted(
        str(path.relative_to(feed))
        for path in feed.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def differs(feed: Path, code: str, file: str = "", place: str = "", station: int | None = None) -> Verdict:
    verdict = checked(feed)
    assert verdict.agrees is False, verdict
    found = verdict.difference
    assert found is not None
    assert (found.code, found.station) == (code, station), found
    assert file in found.file, found
    assert place in found.place, found
    assert verdict.failed in verdict.counts
    return verdict


def test_a_feed_that_follows_from_its_log(published: FeedWriter) -> None:
    told: list[tuple[int, int]] = []
    verdict = verify(published.feed, processes=0, progress=lambda done, total: told.append((done, total)))
    assert verdict.agrees is True, verdict
    assert verdict.difference is None
    assert (verdict.snapshot, verdict.size, verdict.pinned) == (5, len(published.log), False)
    assert set(verdict.counts) == set(Check) - {Check.EMBARGO}
    assert verdict.counts[Check.STATEMENTS] == len(published.log) == 10
    assert verdict.counts[Check.SNAPSHOTS] == verdict.counts[Check.FIGURES] == 5
    assert verdict.counts[Check.FILES] == len(files(published.feed))
    assert verdict.not_judged == 0
    assert told == []


def test_a_pinned_definition(published: FeedWriter) -> None:
    assert checked(published.feed, published.definition.sha256).pinned
    verdict = checked(published.feed, bytes(32))
    assert verdict.agrees is False
    assert verdict.difference is not None
    assert (verdict.difference.code, verdict.difference.place) == ("feed.definition", "definition")


def test_a_flipped_bit_in_every_file(writer: FeedWriter) -> None:
    """The first, the middle and the last byte of each; Hypothesis looks at others."""
    for path in files(writer.feed):
        size = (writer.feed / path).stat().st_size
        for offset in sorted({0, size // 2, size - 1} & set(range(size))):
            assert_found(writer.feed, path, offset, 1)


def assert_found(feed: Path, path: str, offset: int, bits: int) -> None:
    right = (feed / path).read_bytes()
    wrong = bytearray(right)
    wrong[offset] ^= bits
    (feed / path).write_bytes(wrong)
    try:
        verdict = checked(feed)
        assert verdict.agrees is not True, (path, offset)
        assert path in str(verdict.difference or verdict.trouble), (path, offset, verdict.difference)
    finally:
        (feed / path).write_bytes(right)


@settings(max_examples=100)
@given(data=st.data())
def test_a_flipped_bit_anywhere(data: st.DataObject, published: FeedWriter) -> None:
    path = data.draw(st.sampled_from(files(published.feed)))
    size = (published.feed / path).stat().st_size
    if size:
        offset = data.draw(st.integers(0, size - 1))
        assert_found(published.feed, path, offset, 1 << data.draw(st.integers(0, 7)))


def test_files_that_are_missing_or_cut(writer: FeedWriter) -> None:
    """Of the objects only those that the newest snapshot names must be there."""
    gone = 0
    for path in files(writer.feed):
        right = (writer.feed / path).read_bytes()
        (writer.feed / path).unlink()
        verdict = checked(writer.feed)
        if verdict.agrees:
            gone += 1
            assert path.startswith(("areas/", "stations/", "decisions/", "log/tile/"))
        else:
            assert path in str(verdict.difference) or path.startswith("roster/"), (path, verdict)
        if right:
            (writer.feed / path).write_bytes(right[:-1])
            verdict = checked(writer.feed)
            assert verdict.agrees is not True
            assert path in str(verdict.difference or verdict.trouble)
        (writer.feed / path).write_bytes(right)
    # Objects and partial tiles of the older sizes.
    assert 0 < gone < 40


def test_every_file_has_a_name_that_is_known(writer: FeedWriter) -> None:
    definition = writer.definition.sha256.hex()
    for path in (
        "secret.txt",
        "areas/1/x.json",
        "areas/01/" + "0" * 64 + ".json",
        "stations/7/8-2.json",
        "stations/0/8-1.json",
        "snapshots/0.json",
        "log/tile/0/x000/000",
        "log/tile/0/001.p/256",
        "log/tile/0/001.p/0",
        f"definition/{definition}/more.csv",
        f"definition/{'0' * 64}/election.json",
        f"information/{writer.information.sha256.hex()}/media/other.png",
        f"roster/{writer.roster.sha256.hex()}/other.csv",
    ):
        writer.put(path, b"{}")
        differs(writer.feed, "feed.unnamed", path if "definition/000" not in path else "definition/000")
        (writer.feed / path).unlink()
        if path.startswith("definition/000"):
            (writer.feed / path).parent.rmdir()
    assert checked(writer.feed).agrees


def test_links_and_devices(writer: FeedWriter) -> None:
    (writer.feed / "areas" / "link.json").symlink_to("/etc/hostname")
    differs(writer.feed, "file.unreadable", "areas/link.json")
    (writer.feed / "areas" / "link.json").unlink()
    os.mkfifo(writer.feed / "snapshots" / "9.json")
    differs(writer.feed, "file.unreadable", "snapshots/9.json")


def test_objects_under_their_own_hash_may_be_of_no_snapshot(writer: FeedWriter) -> None:
    data = b"{}"
    for folder in ("areas/1", "decisions"):
        writer.put(f"{folder}/{hashlib.sha256(data).hexdigest()}.json", data)
    writer.put(f"stations/0/8-{len(writer.log)}.json", b"of the next snapshot")
    writer.put("snapshots/6.json", b"the next one")
    verdict = checked(writer.feed)
    assert verdict.agrees
    assert verdict.not_judged == 4
    writer.put(f"areas/1/{'0' * 64}.json", data)
    differs(writer.feed, "feed.hash", f"areas/1/{'0' * 64}.json")


def test_nothing_is_published(tmp_path: Path) -> None:
    verdict = checked(tmp_path)
    assert verdict.agrees is None
    assert verdict.trouble is not None
    assert verdict.trouble[0] == "feed.none"
    assert checked(tmp_path / "nowhere").trouble is not None


def test_a_log_that_nobody_has_opened(tmp_path: Path) -> None:
    writer = FeedWriter(tmp_path, opened=False)
    writer.decide(1, (1, ORIGIN, bytes(32), bytes(32), writer.roster.sha256, "x"), (1,))
    writer.publish()
    verdict = checked(writer.feed)
    assert verdict.trouble is not None
    assert verdict.trouble[0] == "log.not_open"


def test_a_snapshot_signed_by_another_key(tmp_path: Path) -> None:
    writer = FeedWriter(tmp_path)
    writer.publish(key=SigningKey(b"\x66" * 32))
    differs(writer.feed, "note.unsigned", "snapshots/1.note")


def test_a_note_of_another_snapshot(writer: FeedWriter) -> None:
    shutil.copy(writer.feed / "snapshots/1.note", writer.feed / "snapshots/2.note")
    differs(writer.feed, "feed.note", "snapshots/2.note", "line 3")


def change(member: Callable[[Latest], None], tmp_path: Path) -> Path:
    """A feed whose last snapshot says something else, under the right key."""
    writer = night(tmp_path)
    writer.publish(lie=member)
    return writer.feed


def a_share(latest: Latest) -> None:
    result = cast(list[dict[str, list[dict[str, int]]]], latest["results"])[0]
    result["choices"][0]["share"] += 1


def test_a_wrong_share(tmp_path: Path) -> None:
    differs(change(a_share, tmp_path), "feed.figures", "snapshots/6.json", "results[0].choices[0].share")


@pytest.mark.parametrize(
    ("member", "value", "place"),
    [
        ("outcome", {"word": "tie", "choices": []}, "outcome.word"),
        ("thresholds", [[1, "passed"]], "thresholds[0]"),
        ("quorum", "failed", "quorum"),
    ],
)
def test_a_wrong_outcome(tmp_path: Path, member: str, value: object, place: str) -> None:
    def lie(latest: Latest) -> None:
        cast(list[dict[str, object]], latest["results"])[0][member] = value

    differs(change(lie, tmp_path), "feed.figures", "snapshots/6.json", f"results[0].{place}")


def test_a_wrong_seat(tmp_path: Path) -> None:
    def lie(latest: Latest) -> None:
        result = cast(list[dict[str, list[dict[str, int | None]]]], latest["results"])[0]
        choice = result["choices"][0]
        choice["seats"] = 1 if choice["seats"] is None else choice["seats"] + 1

    place = "results[0].choices[0].seats"
    differs(change(lie, tmp_path), "feed.figures", "snapshots/6.json", place)


def test_a_wrong_vote(tmp_path: Path) -> None:
    def lie(latest: Latest) -> None:
        tally = cast(dict[str, list[dict[str, dict[str, list[int]]]]], latest["tally"])
        tally["contests"][0]["machine"]["votes"][1] += 1
        latest["root"] = {"area": 1, "sha256": hashlib.sha256(canonical(latest["tally"])).hexdigest()}

    place = "tally.contests[0].machine.votes[1]"
    differs(change(lie, tmp_path), "feed.figures", "snapshots/6.json", place)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("status", {"machine": "certified", "protocol": "unofficial-partial"}),
        ("roster", None),
        ("headline", "protocol"),
        ("election", "another-2027"),
        ("mode", "rehearsal"),
        ("embargo_until", "2027-01-15T20:00:00.000Z"),
        ("children", []),
        ("decisions", {"count": 3, "sha256": "0" * 64}),
        ("progress", {}),
        ("previous", "0" * 64),
        ("previous", None),
        ("snapshot", 7),
    ],
)
def test_another_member(member: str, value: object, tmp_path: Path) -> None:
    feed = change(lambda latest: cast(dict[str, object], latest).update({member: value}), tmp_path)
    other = {"snapshot": "feed.missing", "embargo_until": "feed.embargo"}
    differs(feed, other.get(member, "feed.figures"))


@pytest.mark.parametrize("value", ["2027-02-30T00:00:00.000Z", "2027-01-15T20:00:00Z", 5, None, "x\x00"])
def test_a_time_is_a_time(value: object, tmp_path: Path) -> None:
    feed = change(lambda latest: cast(dict[str, object], latest).update(published_at=value), tmp_path)
    differs(feed, "feed.malformed", "latest.json", "published_at")


def test_a_member_too_many_or_missing(tmp_path: Path) -> None:
    feed = change(lambda latest: latest.update(more=1), tmp_path / "more")
    differs(feed, "feed.malformed", "latest.json")
    feed = change(lambda latest: cast(None, latest.pop("software")), tmp_path / "less")
    differs(feed, "feed.malformed", "latest.json", "software")


def test_a_suppressed_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher that hides a gap in a device's packets, in every object alike: the station is named."""
    with monkeypatch.context() as patch:

        def hide(_book: Book, _packet: Packet) -> Iterator[str]:
            yield from ()

        patch.setattr(Book, "chain_codes", hide)
        writer = night(tmp_path)
    differs(writer.feed, "feed.object", "stations/0/11-", "codes", station=11)
    # Without the stations' own objects the sums tell, and lead to the same station.
    for path in (writer.feed / "stations").rglob("*.json"):
        path.unlink()
    verdict = differs(writer.feed, "feed.figures", "snapshots/3.json", "tally.flags", station=11)
    assert "areas/10/" in str(verdict.difference)


@pytest.mark.parametrize(
    "public",
    [
        lambda log: [*log[:2], log[3]],
        lambda log: log[:3],
        lambda log: log,
        lambda log: [*log[:2], log[3], log[2]],
    ],
    ids=["dropped", "dropped last", "added", "in another order"],
)
def test_figures_of_another_log(
    public: Callable[[list[bytes]], list[bytes]], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Tiles, heads and notes are all signed well; the tally is of other entries."""
    writer = FeedWriter(tmp_path)
    writer.packet(RESULT)
    writer.packet(ABROAD, station=11)
    writer.public = list(public(writer.log))
    if "added" in request.node.name:
        writer.log.pop()
    writer.publish()
    verdict = checked(writer.feed)
    assert verdict.agrees is False
    assert verdict.failed in (Check.STATIONS, Check.FIGURES, Check.AREAS), verdict


def test_an_entry_that_is_in_the_bundle_alone(writer: FeedWriter) -> None:
    """The bundle has lost, won or swapped entries, and the tree has not."""
    size = len(writer.log)
    path = f"log/tile/entries/000.p/{size}"
    entries = decode_bundle((writer.feed / path).read_bytes(), size)
    writer.put(path, bundle_bytes(entries[:-1]))
    differs(writer.feed, "bundle.malformed", path)
    writer.put(path, bundle_bytes([*entries, entries[0]]))
    differs(writer.feed, "bundle.malformed", path)
    entries[2], entries[3] = entries[3], entries[2]
    writer.put(path, bundle_bytes(entries))
    differs(writer.feed, "feed.chain", "snapshots/2.json", "log.root")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "statement.signature"),
        (lambda data: data[:-1], "statement.malformed"),
        (lambda data: b"\x00" + data[1:], "statement.malformed"),
    ],
)
def test_an_entry_that_is_no_statement(spoil: Callable[[bytes], bytes], code: str, tmp_path: Path) -> None:
    writer = FeedWriter(tmp_path)
    writer.packet(RESULT)
    writer.public = [*writer.log[:2], spoil(writer.log[2])]
    writer.publish()
    differs(writer.feed, code, "log/tile/entries/000", "entry 2")


def test_a_packet_of_nobody(tmp_path: Path) -> None:
    """The tally leaves it out; the log has it."""
    writer = FeedWriter(tmp_path)
    content = (writer.definition.sha256, 77, 8, 1, b"", CLOSES_AT, RESULT)
    writer.public = [*writer.log, statement.sign("packet", content, SigningKey(b"\x11" * 32))]
    writer.publish()
    differs(writer.feed, "statement.unknown_device", "log/tile/entries/000", "entry 2")


def test_a_packet_before_the_opening(tmp_path: Path) -> None:
    writer = FeedWriter(tmp_path)
    writer.packet(RESULT)
    writer.log[:] = [writer.log[2], writer.log[0], writer.log[1]]
    writer.publish()
    differs(writer.feed, "statement.unknown_device", "log/tile/entries/000", "entry 0")


def test_a_log_that_gets_shorter(tmp_path: Path) -> None:
    writer = FeedWriter(tmp_path)
    writer.publish()
    writer.packet(RESULT)
    writer.publish()
    first = json.loads((writer.feed / "snapshots/1.json").read_bytes())

    def lie(latest: Latest) -> None:
        latest["log"] = first["log"]

    writer.publish(lie=lie)
    differs(writer.feed, "feed.chain", "snapshots/2.json", "log.size")


def test_a_head_that_is_behind_or_another(writer: FeedWriter, tmp_path: Path) -> None:
    older = FeedWriter(tmp_path / "older")
    older.publish()
    shutil.copy(older.feed / "log/checkpoint", writer.feed / "log/checkpoint")
    differs(writer.feed, "feed.checkpoint", "log/checkpoint", "line 2")


def test_a_gap_in_the_chain(writer: FeedWriter) -> None:
    for name in ("2.json", "2.note"):
        (writer.feed / "snapshots" / name).unlink()
    differs(writer.feed, "feed.missing", "snapshots/2.json")


def test_a_pointer_that_is_behind(writer: FeedWriter) -> None:
    """latest.json may name any snapshot: what is newer is being written."""
    shutil.copy(writer.feed / "snapshots/3.json", writer.feed / "latest.json")
    verdict = checked(writer.feed)
    assert verdict.agrees, verdict
    assert verdict.snapshot == 3
    assert verdict.not_judged > 0


def test_a_feed_in_the_middle_of_a_swap(writer: FeedWriter, tmp_path: Path) -> None:
    """Stopped between any two files the verdict is about the snapshot that the pointer names."""
    writer = night(tmp_path / "another")
    writer.packet((5, ((bytes(32), 1, 10, 1, 1),)))
    steps = list(writer.steps())
    for path, data in steps:
        assert checked(writer.feed).agrees
        writer.put(path, data)
    verdict = checked(writer.feed)
    assert verdict.agrees
    assert (verdict.snapshot, verdict.not_judged) == (6, 0)


class TestPauses:
    """While the commission has paused, log and figures stay, and the entries behind it say why."""

    def paused(self, **other: object) -> dict[str, object]:
        since = "2027-01-15T20:00:00.002Z"
        return {"by": "commission", "since": since, "reason": [["ky", "Токтотуу."]], **other}

    def night(self, root: Path, paused: dict[str, object]) -> Path:
        writer = FeedWriter(root)
        writer.packet(RESULT)
        writer.publish()
        writer.decide(2, (6,), reason="Токтотуу.")
        writer.publish(size=3, paused=paused)  # type: ignore[arg-type]
        assert checked(writer.feed).agrees
        writer.decide(3, (7,))
        writer.publish()
        return writer.feed

    def test_a_pause_that_was_ordered(self, tmp_path: Path) -> None:
        verdict = checked(self.night(tmp_path, self.paused()))
        assert verdict.agrees, verdict.difference

    @pytest.mark.parametrize(
        "other", [{"reason": [["ky", "Башка."]]}, {"since": "2027-01-15T20:00:00.003Z"}, {"reason": []}]
    )
    def test_a_pause_that_was_not(self, other: dict[str, object], tmp_path: Path) -> None:
        differs(self.night(tmp_path, self.paused(**other)), "feed.pause", "snapshots/2.json", "paused")

    def test_the_gate_says_what_it_likes(self, tmp_path: Path) -> None:
        assert checked(self.night(tmp_path, self.paused(by="gate", reason=[["en", "A fault."]]))).agrees

    @pytest.mark.parametrize("other", [{"by": "nobody"}, {"since": "now"}, {"reason": ["x"]}, {"more": 1}])
    def test_another_form(self, other: dict[str, object], tmp_path: Path) -> None:
        writer = FeedWriter(tmp_path)
        writer.publish()
        writer.publish(paused=self.paused(**other))  # type: ignore[arg-type]
        differs(writer.feed, "feed.malformed", "latest.json", "paused")

    def test_a_pause_that_is_kept_secret(self, tmp_path: Path) -> None:
        writer = FeedWriter(tmp_path)
        writer.publish()
        writer.decide(2, (6,))
        writer.publish()
        differs(writer.feed, "feed.pause", "snapshots/2.json", "paused")

    def test_a_pause_with_new_entries(self, tmp_path: Path) -> None:
        writer = FeedWriter(tmp_path)
        writer.publish()
        writer.packet(RESULT)
        writer.publish(paused=self.paused())  # type: ignore[arg-type]
        differs(writer.feed, "feed.pause", "snapshots/2.json", "log.size")

    def test_the_first_snapshot(self, tmp_path: Path) -> None:
        writer = FeedWriter(tmp_path)
        writer.publish(paused=self.paused())  # type: ignore[arg-type]
        differs(writer.feed, "feed.pause", "snapshots/1.json", "paused")


def test_the_verdict_for_scripts(writer: FeedWriter) -> None:
    (writer.feed / "keys/log.vkey").write_bytes(b"x")
    said = json.loads(json.dumps(checked(writer.feed).object()))
    assert said["agrees"] is False
    assert said["difference"]["file"] == "keys/log.vkey"
    assert said["checks"][-1] == {"name": "opening", "count": 0, "ok": False}
    assert said["trouble"] is None
