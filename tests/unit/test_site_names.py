"""Which targets name a file of the feed: nothing outside it, nothing hidden, however it is written."""

from pathlib import PurePosixPath
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.site.names import BYTES, FOR_EVER, JSON, LIVE, MAX_TARGET, REHEARSAL, TEXT, find_file, path_of

HASH = "ab" * 32

# Pieces that attackers build targets of.
PIECES = st.sampled_from(
    [b"/", b"..", b".", b"%2e", b"%2F", b"%5c", b"\\", b"%00", b"feed", b"latest.json", b"log", b"areas",
     b"snapshots", b"keys", b"log.key", b"~", b"?", b"#", b"%25", b"%c0%ae", b"\xff", b";", b"http://", b"a"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=12).map(b"".join)))
def test_whatever_is_asked_for_stays_below_the_feed(target: bytes) -> None:
    path = path_of(target)
    if path is None:
        return
    named = find_file(path, rehearsal=False)
    if named is None:
        return
    assert named.parts
    for part in named.parts:
        assert part not in ("", ".", "..")
        assert part.isascii()
        assert part.isprintable()
        assert not set(part) & set("/\\~%:\0")
        assert not part.startswith(".")
    # What is opened is what was asked for: no second decoding, no folding.
    assert PurePosixPath(path).parts[1:] == named.parts


@pytest.mark.parametrize(
    ("path", "type", "cache"),
    [
        ("/latest.json", JSON, LIVE),
        ("/log/checkpoint", TEXT, LIVE),
        ("/snapshots/12.json", JSON, FOR_EVER),
        ("/snapshots/12.note", TEXT, FOR_EVER),
        (f"/areas/7/{HASH}.json", JSON, FOR_EVER),
        ("/stations/2/2118-97.json", JSON, FOR_EVER),
        (f"/decisions/{HASH}.json", JSON, FOR_EVER),
        (f"/definition/{HASH}/election.json", JSON, FOR_EVER),
        (f"/definition/{HASH}/stations.csv", "text/csv; charset=utf-8", FOR_EVER),
        ("/log/tile/0/x001/234", BYTES, FOR_EVER),
        ("/log/tile/entries/000.p/17", BYTES, FOR_EVER),
        ("/keys/log.vkey", TEXT, REHEARSAL),
        ("/snapshots/12.changes.json", JSON, FOR_EVER),
        ("/schemas/area.schema.json", JSON, REHEARSAL),
        ("/exports/latest.note", TEXT, LIVE),
        ("/exports/12.note", TEXT, FOR_EVER),
        ("/exports/12/results.csv", "text/csv; charset=utf-8", FOR_EVER),
        ("/exports/12/results.ndjson", "application/x-ndjson", FOR_EVER),
        ("/exports/12/nist-cdf.json", JSON, FOR_EVER),
        ("/exports/12/stations.parquet", "application/vnd.apache.parquet", FOR_EVER),
        (f"/attachments/{HASH}", BYTES, FOR_EVER),
    ],
)
def test_a_file_has_its_type_and_its_time_in_caches(path: str, type: str, cache: str) -> None:  # noqa: A002
    named = find_file(path, rehearsal=False)
    assert named is not None
    assert ("/" + "/".join(named.parts), named.type, named.cache) == (path, type, cache)


@pytest.mark.parametrize(
    ("path", "cache"),
    [
        ("/snapshots/1.json", REHEARSAL),
        ("/stations/0/1-3.json", REHEARSAL),
        ("/log/tile/0/000", REHEARSAL),
        (f"/areas/7/{HASH}.json", FOR_EVER),
        (f"/roster/{HASH}/devices.csv", FOR_EVER),
        ("/latest.json", LIVE),
        ("/exports/12/results.csv", REHEARSAL),
    ],
)
def test_a_rehearsals_names_without_a_hash_come_again(path: str, cache: str) -> None:
    named = find_file(path, rehearsal=True)
    assert named is not None
    assert named.cache == cache


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "//latest.json",
        "/latest.json/",
        "/latest.json.",
        "/./latest.json",
        "/log/../latest.json",
        "/.latest.json.0f.tmp",
        "/snapshots/.3.json.tmp",
        "/snapshots/3.json.tmp",
        "/snapshots",
        "/snapshots/",
        "/areas/7/a b.json",
        "/areas/7/\u0430.json",
        "/areas/7/" + "a" * 256,
        "/data/ledger.sqlite",
        "/keys",
        "/notes.txt",
        "/LATEST.JSON",
        "/attachments",
        "/attachments/",
        f"/attachments/{HASH}.pdf",
        f"/attachments/{HASH[:-1]}",
        f"/attachments/{HASH.upper()}",
        f"/attachments/{HASH}/{HASH}",
        f"/attachments/.{HASH}.tmp",
    ],
)
def test_nothing_else_is_a_file(path: str) -> None:
    assert find_file(path, rehearsal=False) is None


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/latest.json", "/latest.json"),
        (b"/latest.json?t=1&u=/../", "/latest.json"),
        (b"http://feed.example:80/latest.json?x", "/latest.json"),
        (b"HTTP://feed.example/", "/"),
        (b"/%6Catest.json", "/latest.json"),
        (b"/%252e%252e/", "/%2e%2e/"),
        (b"*", None),
        (b"http://", None),
        (b"http:///latest.json", None),
        (b"https://feed.example/", None),
        (b"feed.example:443", None),
        (b"/%ff", None),
        (b"", None),
        (b"/" + b"a" * MAX_TARGET, None),
    ],
)
def test_a_targets_path(target: bytes, path: str | None) -> None:
    assert path_of(target) == path


@given(st.text(max_size=60))
def test_a_path_is_decoded_once(text: str) -> None:
    assert path_of(b"/" + quote(text, safe="").encode()) == "/" + text


def test_exports_are_downloads_with_their_snapshots_number() -> None:
    named = find_file("/exports/12/nist-cdf.json", rehearsal=False)
    assert named is not None
    assert named.save_as == "nist-cdf-12.json"
    for path in ("/exports/12.note", "/exports/latest.note", "/snapshots/12.json", f"/attachments/{HASH}"):
        shown = find_file(path, rehearsal=False)
        assert shown is not None
        assert shown.save_as == ""
