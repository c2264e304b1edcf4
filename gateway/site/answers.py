"""What is answered for a file or page that is there: conditions, ranges and headers (RFC 9110), without I/O.

What lives here: `answer`, from the request's headers and the entity tag and size of what it names to a
status, headers and the bytes to send.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

# One range of bytes; of several, or in other units, nothing is taken (RFC 9110, 14.2 allows that). Fifteen
# digits are below 2^53.
_RANGE: Final = re.compile(rb"bytes=\s*(?:([0-9]{1,15})-([0-9]{1,15})?|-([0-9]{1,15}))\s*")
_TAG: Final = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')

# Everybody's programs may read everything here; there is nothing private behind this port.
_OPEN: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
# A file of the feed that a browser opens may do nothing at all.
FILE_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"
# Pages have one style sheet and no script.
PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ALLOW: Final = "GET, HEAD, OPTIONS"
# What a page elsewhere may send and read beyond what browsers let through by themselves, for a day.
_PREFLIGHT: Final = (
    ("Access-Control-Allow-Methods", _ALLOW),
    ("Access-Control-Allow-Headers", "If-None-Match, If-Match, If-Range, Range"),
    ("Access-Control-Max-Age", "86400"),
)
_EXPOSED: Final = (("Access-Control-Expose-Headers", "ETag, Content-Range, Accept-Ranges"),)

# Seconds that a cache may keep a refusal: it takes a flood of wrong names off us, and a snapshot that is
# asked for too early is soon there.
_REFUSED: Final = "public, max-age=2"

Headers = tuple[tuple[str, str], ...]


class Resource(NamedTuple):
    """What a request names.

    Attributes:
        tag: strong entity tag, with its quotation marks: other bytes, another tag.
        size: in bytes.
        type: media type.
        cache: the value of Cache-Control.
        policy: the value of Content-Security-Policy.
        save_as: the file name for a download, of plain letters; empty: it is shown.
    """

    tag: str
    size: int
    type: str
    cache: str
    policy: str
    save_as: str = ""


class Answer(NamedTuple):
    """A status, headers, and which bytes of the resource follow.

    Attributes:
        text: a body of its own, where it is not the resource's.
    """

    status: HTTPStatus
    headers: Headers
    start: int = 0
    end: int = 0
    text: bytes = b""


def answer(request: Mapping[bytes, Sequence[bytes]], resource: Resource, *, head: bool) -> Answer:
    """The answer to GET or HEAD.

    Args:
        request: header fields by lower-case name.
        resource: what is there.
        head: whether the method is HEAD; its answer has the header fields of GET's and no bytes.
    """
    tag = resource.tag.encode()
    validators = (("ETag", resource.tag), ("Cache-Control", resource.cache))
    wanted = _list(request, b"if-match")
    if wanted is not None and not _matches(wanted, tag, weak=False):
        return _text(HTTPStatus.PRECONDITION_FAILED, "this is not what If-Match names")
    known = _list(request, b"if-none-match")
    if known is not None and _matches(known, tag, weak=True):
        return Answer(HTTPStatus.NOT_MODIFIED, (*validators, *_OPEN, *_EXPOSED))
    common: Headers = (
        ("Content-Type", resource.type),
        ("Content-Security-Policy", resource.policy),
        ("Accept-Ranges", "bytes"),
        *validators,
        *(
            (("Content-Disposition", f'attachment; filename="{resource.save_as}"'),)
            if resource.save_as
            else ()
        ),
        *_OPEN,
        *_EXPOSED,
    )
    span = None if head else _range(request, tag, resource.size)
    if span is None:
        whole = (("Content-Length", str(resource.size)), *common)
        return Answer(HTTPStatus.OK, whole, 0, 0 if head else resource.size)
    start, end = span
    if start >= end:
        return _text(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"there are {resource.size} bytes",
            ("Content-Range", f"bytes */{resource.size}"),
        )
    part = (
        ("Content-Length", str(end - start)),
        ("Content-Range", f"bytes {start}-{end - 1}/{resource.size}"),
    )
    return Answer(HTTPStatus.PARTIAL_CONTENT, (*part, *common), start, end)


def missing() -> Answer:
    """There is nothing under this name, or not yet."""
    return _text(HTTPStatus.NOT_FOUND, "there is nothing here; the layout of the feed is in docs/feed.md")


def refused(status: HTTPStatus, words: str) -> Answer:
    """A request that cannot be answered."""
    allow = (("Allow", _ALLOW),) if status is HTTPStatus.METHOD_NOT_ALLOWED else ()
    return _text(status, words, *allow)


def preflight() -> Answer:
    """What OPTIONS is told: what pages elsewhere may do here (the Fetch standard, "CORS")."""
    return Answer(HTTPStatus.NO_CONTENT, (("Allow", _ALLOW), *_PREFLIGHT, *_OPEN))


def _text(status: HTTPStatus, words: str, *more: tuple[str, str]) -> Answer:
    text = f"{words}\n".encode()
    cache = _REFUSED if status is HTTPStatus.NOT_FOUND else "no-store"
    headers = (
        ("Content-Length", str(len(text))),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Security-Policy", FILE_POLICY),
        ("Cache-Control", cache),
        *more,
        *_OPEN,
    )
    return Answer(status, headers, text=text)


def _list(request: Mapping[bytes, Sequence[bytes]], name: bytes) -> bytes | None:
    """A list field, whose lines are one list (RFC 9110, 5.3)."""
    lines = request.get(name)
    return None if lines is None else b", ".join(lines)


def _matches(tags: bytes, tag: bytes, *, weak: bool) -> bool:
    if tags.strip() == b"*":
        return True
    return any(found[1] == tag and (weak or not found[0].startswith(b"W/")) for found in _TAG.finditer(tags))


def _range(request: Mapping[bytes, Sequence[bytes]], tag: bytes, size: int) -> tuple[int, int] | None:
    """The bytes that are asked for, from and up to; None: all; an empty span: there are none such."""
    wanted = request.get(b"range", ())
    condition = request.get(b"if-range")
    if len(wanted) != 1 or (condition is not None and [text.strip() for text in condition] != [tag]):
        return None
    found = _RANGE.fullmatch(wanted[0])
    if found is None:
        return None
    if found[3] is not None:
        return max(0, size - int(found[3])), size
    first = int(found[1])
    if found[2] is None:
        return first, size
    last = int(found[2])
    # A last byte before the first makes no range at all (RFC 9110, 14.1.2).
    return None if last < first else (first, min(last + 1, size))
