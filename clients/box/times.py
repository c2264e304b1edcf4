"""Times in the box's files and messages: milliseconds since the Unix epoch, written as RFC 3339."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)


def from_datetime(moment: datetime) -> int | None:
    """The instant in ms, finer parts cut off; None without an offset from UTC, or before 1970."""
    try:
        if moment.utcoffset() is None:
            return None
        at = (moment - _EPOCH) // _MILLISECOND
    except OverflowError:
        return None
    return at if at >= 0 else None


def parse(text: str) -> int | None:
    """The instant in ms that an RFC 3339 text with an offset names, or None."""
    if _RFC_3339.fullmatch(text) is None:
        return None
    try:
        return from_datetime(datetime.fromisoformat(text.upper()))
    except ValueError:
        return None


def write(at: int) -> str:
    """RFC 3339 in UTC with ms; a number of ms that is no date in four-digit years stays a number."""
    try:
        moment = _EPOCH + timedelta(milliseconds=at)
    except OverflowError:
        return f"{at} ms"
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"
