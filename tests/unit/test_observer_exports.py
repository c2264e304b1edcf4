"""Exports that say something else than the log are found, signed or not; so are wrong lists of changes."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from clients.observer.verdict import Check, Verdict
from clients.observer.verify import verify
from clients.wire import exports
from clients.wire.errors import WireError
from gateway.feed.exports import Exports
from tests.feed_writer import FeedWriter, Json, canonical
from tests.unit.export_feed import night, put_exports, sign

PARTY = "Биринчи партия"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> FeedWriter:
    writer = night(tmp_path_factory.mktemp("night"))
    put_exports(writer, 2)
    put_exports(writer, 4)
    return writer


@pytest.fixture
def writer(published: FeedWriter, tmp_path: Path) -> Iterator[FeedWriter]:
    """The night with a feed of its own to spoil."""
    kept = published.feed
    shutil.copytree(kept, tmp_path / "feed")
    published.feed = tmp_path / "feed"
    yield published
    published.feed = kept


def checked(writer: FeedWriter) -> Verdict:
    return verify(writer.feed, processes=0)


def differs(writer: FeedWriter, code: str, file: str, place: str = "") -> str:
    verdict = checked(writer)
    assert verdict.agrees is False, verdict
    found = verdict.difference
    assert found is not None
    assert (found.code, found.file) == (code, file), found
    assert place in found.place, found
    assert verdict.failed is Check.EXPORTS
    return found.detail


def test_exports_that_follow_from_the_log(published: FeedWriter) -> None:
    verdict = checked(published)
    assert verdict.agrees is True, (verdict.difference, verdict.trouble)
    assert verdict.counts[Check.EXPORTS] == 2
    assert verdict.not_judged == 0


# The file, what stands in it, what is put there, and the place that is named.
FORGERIES: dict[str, tuple[str, bytes, bytes, str]] = {
    "a vote more": ("results.csv", b",90\n", b",91\n", "line "),
    "another name": ("results.csv", PARTY.encode(), "Экинчи партия".encode(), "line "),
    "a formula": ("results.csv", PARTY.encode(), b"=1+1", "line "),
    "another state": ("results.csv", b"annulled", b"reported", "line "),
    "another status": ("results.csv", b"unofficial-partial", b"certified", "line 2"),
    "another count": ("results.ndjson", b"[10,90,8]", b"[10,91,8]", "line 1"),
    "more voters": ("turnout.csv", b",40,", b",41,", "line 2"),
    "words for a time": ("turnout.csv", b",40,20", b",40,at 20", "line 2"),
    "another index": ("arrivals.csv", b"\n3,", b"\n4,", "line 5"),
    "a count of NIST's": ("nist-cdf.json", b'"Count":90', b'"Count":91', "selection-1-7"),
    "a unit of NIST's": ("nist-cdf.json", b'"GpUnitId":"area-1"', b'"GpUnitId":"area-2"', ""),
    "no report": ("nist-cdf.json", b"]}]}\n", b"", ""),
}


def forge(writer: FeedWriter, name: str, change: Callable[[bytes], bytes]) -> None:
    """Changes a file and signs it."""
    path = writer.feed / "exports" / "4" / name
    right = path.read_bytes()
    wrong = change(right)
    assert wrong != right
    path.write_bytes(wrong)
    sign(writer, 4)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_that_is_signed(writer: FeedWriter, forgery: str) -> None:
    name, old, new, place = FORGERIES[forgery]
    forge(writer, name, lambda data: data.replace(old, new, 1))
    differs(writer, "feed.export", f"exports/4/{name}", place)


@pytest.mark.parametrize("name", ["results.csv", "results.ndjson", "turnout.csv", "arrivals.csv"])
def test_lines_too_few_and_too_many(writer: FeedWriter, name: str) -> None:
    right = (writer.feed / "exports" / "4" / name).read_bytes()
    lines = right.splitlines(keepends=True)
    forge(writer, name, lambda data: b"".join(lines[:-1]))
    differs(writer, "feed.export", f"exports/4/{name}")
    forge(writer, name, lambda data: right + lines[-1])
    differs(writer, "feed.export", f"exports/4/{name}")


@pytest.mark.parametrize("name", ["names.csv", "stations.parquet", "results.csv", "nist-cdf.json"])
def test_a_file_that_is_not_the_one_signed(writer: FeedWriter, name: str) -> None:
    path = writer.feed / "exports" / "2" / name
    path.write_bytes(path.read_bytes() + b" ")
    code = "feed.export" if name == "results.csv" else "feed.hash"
    differs(writer, code, f"exports/2/{name}")


def test_the_time_on_a_clock_is_not_judged(writer: FeedWriter) -> None:
    """Zones change; a feed is not wrong because of a reader's older table of them."""
    path = writer.feed / "exports" / "4" / "turnout.csv"
    right = path.read_bytes()
    lines = right.splitlines(keepends=True)
    path.write_bytes(lines[0] + b"".join(line.rpartition(b",")[0] + b",\n" for line in lines[1:]))
    assert path.read_bytes() != right
    sign(writer, 4)
    assert checked(writer).agrees is True


def test_files_that_do_not_belong(writer: FeedWriter) -> None:
    folder = writer.feed / "exports"
    (folder / "2" / "more.csv").write_bytes(b"")
    differs(writer, "feed.unnamed", "exports/2/more.csv")
    (folder / "2" / "more.csv").unlink()
    (folder / "2" / "names.csv").unlink()
    differs(writer, "feed.missing", "exports/2/names.csv")


def test_a_folder_without_its_note(writer: FeedWriter) -> None:
    """The newest one's note comes in a moment; an old one's never does."""
    folder = writer.feed / "exports"
    shutil.copytree(folder / "4", folder / "5")
    verdict = checked(writer)
    assert (verdict.agrees, verdict.not_judged) == (True, len(list((folder / "5").iterdir())))
    (folder / "5").rename(folder / "3")
    differs(writer, "feed.unnamed", "exports/3/arrivals.csv")


def test_a_note_without_its_folder(writer: FeedWriter) -> None:
    shutil.rmtree(writer.feed / "exports" / "2")
    differs(writer, "feed.missing", "exports/2/arrivals.csv")


@pytest.mark.parametrize(
    ("said", "place"),
    [
        (lambda own: own._replace(number=3), "line 3"),
        (lambda own: own._replace(origin="other.example"), "line 2"),
        (lambda own: own._replace(snapshot="00" * 32), "line 4"),
    ],
)
def test_a_note_of_something_else(writer: FeedWriter, said: Callable[[Exports], Exports], place: str) -> None:
    sign(writer, 4, pointer=False, said=said)
    differs(writer, "feed.note", "exports/4.note", place)


def test_a_snapshots_note_is_none_of_exports(writer: FeedWriter) -> None:
    note = (writer.feed / "snapshots" / "4.note").read_bytes()
    (writer.feed / "exports" / "4.note").write_bytes(note)
    differs(writer, "feed.note", "exports/4.note", "line 1")


def test_an_unsigned_note(writer: FeedWriter) -> None:
    path = writer.feed / "exports" / "4.note"
    path.write_text(path.read_text().replace("results.csv", "result5.csv"))
    differs(writer, "note.signature", "exports/4.note")


def test_a_pointer_to_something_else(writer: FeedWriter) -> None:
    folder = writer.feed / "exports"
    (folder / "latest.note").write_bytes((folder / "2.note").read_bytes())
    assert checked(writer).agrees is True
    shutil.rmtree(folder / "2")
    (folder / "2.note").unlink()
    differs(writer, "feed.missing", "exports/2.note")


def test_a_note_of_no_snapshot(writer: FeedWriter) -> None:
    """One of a newer snapshot is not judged; there is no snapshot 0."""
    folder = writer.feed / "exports"
    (folder / "9.note").write_bytes((folder / "4.note").read_bytes())
    assert checked(writer).not_judged == 1
    (folder / "9.note").rename(folder / "0.note")
    verdict = checked(writer)
    assert verdict.difference is not None
    assert verdict.difference.code == "feed.unnamed"


class Area(NamedTuple):
    """An area's object: its number and hash, station and version of its rows."""

    number: int
    sha256: str
    rows: list[tuple[int, int | None]]


def areas(writer: FeedWriter, area: int, sha256: str) -> list[Area]:
    """An area and those in it."""
    found = json.loads((writer.feed / "areas" / str(area) / f"{sha256}.json").read_bytes())
    below = [one for inner in found["areas"] for one in areas(writer, *inner)]
    return [Area(area, sha256, [(row[0], row[1]) for row in found["rows"]]), *below]


def changes(writer: FeedWriter) -> dict[int, Json]:
    """Lists of changes, worked out from the objects that the snapshots of `night` name."""
    found: dict[int, Json] = {}
    first = 0
    last: dict[int, str] = {}
    for number in range(1, 5):
        latest = json.loads((writer.feed / "snapshots" / f"{number}.json").read_bytes())
        objects = areas(writer, latest["root"]["area"], latest["root"]["sha256"])
        hashes = {area.number: area.sha256 for area in objects}
        rows = [row for area in objects for row in area.rows]
        found[number] = {
            "areas": sorted([area, sha256] for area, sha256 in hashes.items() if last.get(area) != sha256),
            "definition": latest["definition"],
            "entries": [first, latest["log"]["size"]],
            "format": "tallygate-changes/1",
            "snapshot": number,
            "stations": sorted(
                [station, version] for station, version in rows if version is not None and version >= first
            ),
        }
        first, last = latest["log"]["size"], hashes
    return found


def put_changes(writer: FeedWriter) -> None:
    for number, value in changes(writer).items():
        (writer.feed / "snapshots" / f"{number}.changes.json").write_bytes(canonical(value))


def test_changes_that_follow_from_the_snapshots(writer: FeedWriter) -> None:
    put_changes(writer)
    verdict = checked(writer)
    assert verdict.agrees is True, (verdict.difference, verdict.trouble)
    assert verdict.counts[Check.CHANGES] == 4
    assert verdict.not_judged == 0


@pytest.mark.parametrize("member", ["areas", "stations", "entries", "snapshot"])
def test_changes_that_do_not(writer: FeedWriter, member: str) -> None:
    put_changes(writer)
    path = writer.feed / "snapshots" / "2.changes.json"
    value = json.loads(path.read_bytes())
    value[member] = value[member][1:] if isinstance(value[member], list) else 3
    path.write_bytes(canonical(value))
    differs(writer, "feed.changes", "snapshots/2.changes.json", member)


def test_changes_of_no_snapshot(writer: FeedWriter) -> None:
    (writer.feed / "snapshots" / "7.changes.json").write_bytes(b"{}")
    assert checked(writer).not_judged == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tallygate-exports/2\nlog.example\n1\n" + "ab" * 32 + "\n", 1),
        ("tallygate-exports/1\nlog.example\n0\n" + "ab" * 32 + "\n" + "ab" * 32 + " 1 a.csv\n", 3),
        ("tallygate-exports/1\nlog.example\n1\n-\n" + "ab" * 32 + " 1 a.csv\n", 4),
        ("tallygate-exports/1\nlog.example\n1\n" + "ab" * 32 + "\n" + "ab" * 32 + " 01 a.csv\n", 5),
        ("tallygate-exports/1\nlog.example\n1\n" + "ab" * 32 + "\n" + "ab" * 32 + " 1 ../a.csv\n", 5),
        ("tallygate-exports/1\nlog.example\n1\n" + "ab" * 32 + "\n" + ("ab" * 32 + " 1 a.csv\n") * 2, 5),
    ],
)  # fmt: skip
def test_notes_of_another_form(text: str, line: int) -> None:
    with pytest.raises(WireError) as caught:
        exports.parse(text, "exports/1.note")
    assert (caught.value.code, caught.value.line) == ("feed.note", line)
