"""Strict reading of a feed's files: what is not canonical, or of another form, is ``feed.malformed``.

What lives here: a function for each kind of file, and the note. Whether figures are right is not asked here:
that is the gate's and the observer's work.
"""

import base64
import hashlib
from typing import Final, TypeVar

import msgspec

from gateway import _core
from gateway.base.errors import CoreError, TallygateError
from gateway.feed import layout
from gateway.feed.models import Decisions, Latest
from gateway.feed.objects import Area, Row, Station

T = TypeVar("T")

_ENCODER: Final = msgspec.json.Encoder()
_LATEST: Final = msgspec.json.Decoder(Latest)
_AREA: Final = msgspec.json.Decoder(Area[Row])
_STATION: Final = msgspec.json.Decoder(Station)
_DECISIONS: Final = msgspec.json.Decoder(Decisions)


def malformed(detail: str, place: str) -> TallygateError:
    """What a file that is not as docs/feed.md has it is answered with."""
    return TallygateError(
        "feed.malformed", f"{detail}: the feed is damaged, or of another version", place=place
    )


def read(data: bytes, decoder: msgspec.json.Decoder[T], place: str) -> T:
    """Reads canonical JSON of one form.

    Args:
        data: the file's bytes.
        decoder: of one of the structs of `gateway.feed.models` or `gateway.feed.objects`.
        place: the file's name, for errors.

    Raises:
        TallygateError: ``feed.malformed``, with the member where it is known.
    """
    try:
        value = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        detail, _, path = str(error).partition(" - at `$")
        member = path.rstrip("`").lstrip(".")
        raise malformed(detail, f"{place}:{member}" if member else place) from None
    except RecursionError:
        raise malformed("arrays within arrays, too deep", place) from None
    # Structs have their members in canonical order: only canonical bytes come out as they went in.
    if _ENCODER.encode(value) != data:
        raise malformed("this JSON is not canonical (RFC 8785)", place)
    return value


def read_latest(data: bytes, place: str = layout.LATEST) -> Latest:
    """A snapshot: latest.json or snapshots/<n>.json.

    Raises:
        TallygateError: ``feed.malformed``: also if `previous`, `embargo_until`, `root` and `tally` do not
            fit each other.
    """
    if len(data) > layout.MAX_LATEST:
        raise malformed(f"it has more than {layout.MAX_LATEST:,} bytes", place)
    latest = read(data, _LATEST, place)
    if (latest.snapshot == 1) != (latest.previous is None):
        raise malformed("the first snapshot has no previous one, every other has", f"{place}:previous")
    if latest.paused is not None and latest.snapshot == 1:
        raise malformed("the first snapshot is never paused", f"{place}:paused")
    _check_figures(latest, place)
    return latest


def _check_figures(latest: Latest, place: str) -> None:
    """Whether all figures are there, or under an embargo none."""
    root, tally, embargo = latest.root, latest.tally, latest.embargo_until is not None
    if any((child.sha256 is None) != embargo for child in latest.children):
        raise malformed("children have a hash, and none under an embargo", f"{place}:children")
    if embargo:
        if root is not None or tally is not None or latest.results:
            raise malformed("under an embargo there are no figures", f"{place}:embargo_until")
        return
    if root is None or tally is None:
        raise malformed("only an embargo leaves out figures", f"{place}:embargo_until")
    if tally.area != root.area:
        raise malformed("this is not the object of the root", f"{place}:tally.area")
    if hashlib.sha256(_ENCODER.encode(tally)).hexdigest() != root.sha256:
        raise malformed("this is not the hash of `tally`", f"{place}:root.sha256")


def read_area(data: bytes, place: str) -> Area[Row]:
    """An area's object.

    Raises:
        TallygateError: ``feed.malformed``.
    """
    return read(data, _AREA, place)


def read_station(data: bytes, place: str) -> Station:
    """A station's object.

    Raises:
        TallygateError: ``feed.malformed``.
    """
    return read(data, _STATION, place)


def read_decisions(data: bytes, place: str) -> Decisions:
    """The decisions file.

    Raises:
        TallygateError: ``feed.malformed``.
    """
    return read(data, _DECISIONS, place)


def note_text(latest: Latest, data: bytes) -> str:
    """The text that a snapshot's note signs.

    Args:
        latest: the snapshot.
        data: its bytes.
    """
    lines = (
        "tallygate-snapshot/1",
        latest.log.origin,
        str(latest.snapshot),
        hashlib.sha256(data).hexdigest(),
        latest.previous or "-",
        str(latest.log.size),
        latest.log.root,
    )
    return "".join(f"{line}\n" for line in lines)


def note_name(origin: str) -> str:
    """The name under which the notes of a log's snapshots are signed."""
    return f"{origin}/snapshot"


def check_note(note: bytes, latest: Latest, data: bytes, vkey: str, place: str) -> None:
    """Checks that a note signs a snapshot.

    Args:
        note: its bytes.
        latest: the snapshot.
        data: its bytes.
        vkey: the verifier key of the snapshots.
        place: the note's name, for errors.

    Raises:
        TallygateError: ``feed.note``.
    """
    try:
        text = _core.open_note(note, vkey)
    except CoreError as error:
        raise TallygateError("feed.note", f"this note does not verify: {error}", place=place) from None
    if text != note_text(latest, data):
        raise TallygateError("feed.note", "this note signs another snapshot than its file", place=place)


def root_hash(latest: Latest) -> bytes:
    """The log's root that a snapshot names, 32 bytes."""
    return base64.b64decode(latest.log.root, validate=True)
