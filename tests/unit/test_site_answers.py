"""Conditions and ranges, from header fields to status and bytes (RFC 9110), beside the content itself."""

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.site.answers import FILE_POLICY, Answer, Resource, answer, missing, preflight, refused

CONTENT = bytes(range(100))
TAG = '"0123"'
RESOURCE = Resource(TAG, len(CONTENT), "application/json", "public, max-age=2", FILE_POLICY)


def ask(*fields: tuple[bytes, bytes], head: bool = False, size: int = len(CONTENT)) -> Answer:
    request: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        request.setdefault(name, []).append(value)
    return answer(request, RESOURCE._replace(size=size), head=head)


def sent(said: Answer) -> bytes:
    return CONTENT[said.start : said.end]


def field(said: Answer, name: str) -> str | None:
    found = [value for one, value in said.headers if one == name]
    assert len(found) < 2
    return found[0] if found else None


def test_the_whole() -> None:
    said = ask()
    assert (said.status, sent(said)) == (HTTPStatus.OK, CONTENT)
    assert field(said, "Content-Length") == "100"
    assert field(said, "ETag") == TAG
    assert field(said, "Content-Type") == "application/json"
    assert field(said, "Cache-Control") == "public, max-age=2"
    assert field(said, "Accept-Ranges") == "bytes"
    assert field(said, "Access-Control-Allow-Origin") == "*"
    assert field(said, "X-Content-Type-Options") == "nosniff"
    assert field(said, "Content-Security-Policy") == FILE_POLICY


def test_a_download_has_its_name() -> None:
    said = answer({}, RESOURCE._replace(save_as="results-12.csv"), head=False)
    assert field(said, "Content-Disposition") == 'attachment; filename="results-12.csv"'
    assert field(ask(), "Content-Disposition") is None


def test_head_has_the_fields_of_get_and_no_bytes() -> None:
    said = ask((b"range", b"bytes=0-1"), head=True)
    assert (said.status, said.headers, sent(said)) == (HTTPStatus.OK, ask().headers, b"")


@pytest.mark.parametrize(
    ("tags", "known"),
    [
        (b'"0123"', True),
        (b'W/"0123"', True),
        (b'"x", "0123"', True),
        (b"*", True),
        (b'"012"', False),
        (b"0123", False),
        (b'"x", W/"y"', False),
        (b"", False),
    ],
)
def test_what_a_reader_has_is_not_sent_again(tags: bytes, known: bool) -> None:
    said = ask((b"if-none-match", tags), (b"range", b"bytes=0-1"))
    assert (said.status is HTTPStatus.NOT_MODIFIED) == known
    if known:
        assert sent(said) == b""
        assert (field(said, "ETag"), field(said, "Content-Length")) == (TAG, None)
        assert field(said, "Cache-Control") == "public, max-age=2"


def test_several_lines_are_one_list() -> None:
    assert ask((b"if-none-match", b'"x"'), (b"if-none-match", TAG.encode())).status == 304


@pytest.mark.parametrize(
    ("tags", "status"), [(b'"0123"', 200), (b"*", 200), (b'W/"0123"', 412), (b'"x"', 412)]
)
def test_if_match_is_strong(tags: bytes, status: int) -> None:
    assert ask((b"if-match", tags)).status == status


@pytest.mark.parametrize(
    ("wanted", "bytes_", "content_range"),
    [
        (b"bytes=0-0", CONTENT[:1], "bytes 0-0/100"),
        (b"bytes=10-19", CONTENT[10:20], "bytes 10-19/100"),
        (b"bytes=90-", CONTENT[90:], "bytes 90-99/100"),
        (b"bytes=90-1000", CONTENT[90:], "bytes 90-99/100"),
        (b"bytes=-5", CONTENT[95:], "bytes 95-99/100"),
        (b"bytes=-1000", CONTENT, "bytes 0-99/100"),
    ],
)
def test_a_part(wanted: bytes, bytes_: bytes, content_range: str) -> None:
    said = ask((b"range", wanted))
    assert (said.status, sent(said)) == (HTTPStatus.PARTIAL_CONTENT, bytes_)
    assert field(said, "Content-Range") == content_range
    assert field(said, "Content-Length") == str(len(bytes_))


@pytest.mark.parametrize("wanted", [b"bytes=100-", b"bytes=100-200", b"bytes=-0", b"bytes=999999999999999-"])
def test_no_such_part(wanted: bytes) -> None:
    said = ask((b"range", wanted))
    assert (said.status, field(said, "Content-Range")) == (416, "bytes */100")


@pytest.mark.parametrize(
    "wanted",
    [
        b"bytes=",
        b"bytes=-",
        b"bytes=5-4",
        b"bytes=0-1,3-4",
        b"lines=0-1",
        b"bytes=a-b",
        b"0-1",
        b"bytes=1-2-3",
    ],
)
def test_what_is_no_single_range_of_bytes_is_the_whole(wanted: bytes) -> None:
    assert ask((b"range", wanted)).status == 200


@pytest.mark.parametrize(
    ("tag", "status"), [(TAG.encode(), 206), (b'"x"', 200), (b'W/"0123"', 200), (b"", 200)]
)
def test_a_part_of_other_bytes_is_not_sent(tag: bytes, status: int) -> None:
    assert ask((b"range", b"bytes=0-1"), (b"if-range", tag)).status == status


def test_nothing_has_no_part() -> None:
    assert ask((b"range", b"bytes=0-"), size=0).status == 416
    assert ask(size=0).status == 200


@given(st.binary(max_size=40).map(lambda tail: b"bytes=" + tail), st.integers(0, 100))
def test_no_range_leaves_the_content(wanted: bytes, size: int) -> None:
    said = ask((b"range", wanted), size=size)
    assert said.status in (200, 206, 416)
    assert 0 <= said.start <= said.end <= size
    if said.status == 206:
        assert said.start < said.end


def test_refusals_say_what_is_wrong() -> None:
    assert missing().status == 404
    assert b"docs/feed.md" in missing().text
    wrong = refused(HTTPStatus.METHOD_NOT_ALLOWED, "only read")
    assert (field(wrong, "Allow"), wrong.text) == ("GET, HEAD, OPTIONS", b"only read\n")
    assert field(wrong, "Cache-Control") == "no-store"
    assert field(refused(HTTPStatus.BAD_REQUEST, "no"), "Allow") is None
    allowed = preflight()
    assert (allowed.status, field(allowed, "Access-Control-Allow-Origin")) == (204, "*")
    assert "If-None-Match" in (field(allowed, "Access-Control-Allow-Headers") or "")
