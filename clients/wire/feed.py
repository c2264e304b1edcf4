"""The feed (feed.md): where its files are, what a snapshot and its note say, and the decisions file.

`Snapshot.parse` reads what a snapshot says of itself and what it names. It does not ask whether its bytes are
canonical or its figures right: whoever recomputes a snapshot compares all of its bytes, and whoever does not
reads it with `jcs.parse` first.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self, cast

from clients.wire import jcs
from clients.wire.cbor import Content
from clients.wire.errors import WireError
from clients.wire.jcs import JsonValue
from clients.wire.merkle import HASH_BYTES
from clients.wire.text import MAX_NUMBER, base64_exact, base64_text, hex_32, is_origin, is_plain

FORMAT: Final = "tallygate-snapshot/1"
DECISIONS_FORMAT: Final = "tallygate-decisions/1"
# Room for a root with tens of thousands of stations below it (feed.md).
MAX_SNAPSHOT_BYTES: Final = 16 * 1024 * 1024

LATEST: Final = "latest.json"
LOG: Final = "log"
CHECKPOINT: Final = f"{LOG}/checkpoint"
LOG_KEY: Final = "keys/log.vkey"
SNAPSHOT_KEY: Final = "keys/snapshot.vkey"
MESSAGES: Final = "messages.json"

# The words of NIST SP 1500-100 in the order of action 8 (feed.md, "Status").
STATUS_WORDS: Final = (
    "pre-election",
    "unofficial-partial",
    "unofficial-complete",
    "certified",
    "correction",
    "recount",
)

_MEMBERS: Final = frozenset(
    {
        "children",
        "decisions",
        "definition",
        "election",
        "embargo_until",
        "format",
        "headline",
        "information",
        "log",
        "mode",
        "paused",
        "previous",
        "progress",
        "published_at",
        "results",
        "root",
        "roster",
        "snapshot",
        "software",
        "status",
        "tally",
    }
)
_PAUSED_BY: Final = ("commission", "gate", "operator")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# 9999-12-31T23:59:59.999Z: what is later is written so (feed.md, "Pause").
_LAST_MS: Final = 253_402_300_799_999
_STATIONS_A_FOLDER: Final = 1000
# The action that names a packet (packet.md).
_CHOOSE: Final = 5


def snapshot_path(number: int) -> str:
    """Of a snapshot's file."""
    return f"snapshots/{number}.json"


def note_path(number: int) -> str:
    """Of a snapshot's note."""
    return f"snapshots/{number}.note"


def changes_path(number: int) -> str:
    """Of the list of what a snapshot has changed."""
    return f"snapshots/{number}.changes.json"


def area_path(area: int, sha256: bytes) -> str:
    """Of an area's object."""
    return f"areas/{area}/{sha256.hex()}.json"


def station_path(station: int, version: int) -> str:
    """Of a station's object."""
    return f"stations/{station // _STATIONS_A_FOLDER}/{station}-{version}.json"


def attachment_path(sha256: bytes) -> str:
    """Where a paper is."""
    return f"attachments/{sha256.hex()}"


def decisions_path(sha256: bytes) -> str:
    """Of a decisions file."""
    return f"decisions/{sha256.hex()}.json"


def format_time(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, of a time since the Unix epoch; at most the year 9999's last."""
    time = _EPOCH + timedelta(milliseconds=min(ms, _LAST_MS))
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"


def is_time(text: str) -> bool:
    """Whether a text is a moment as `format_time` writes it."""
    if _TIME.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        return False
    return True


class Paused(NamedTuple):
    """Why log and figures are those of an earlier snapshot.

    Attributes:
        by: "commission" or "gate".
        since: a time.
        reason: pairs of language and text.
    """

    by: str
    since: str
    reason: tuple[tuple[str, str], ...]

    @property
    def object(self) -> JsonValue:
        """As it stands in a snapshot."""
        return {"by": self.by, "reason": self.reason, "since": self.since}

    @property
    def withheld(self) -> "Paused":
        """What an embargo leaves of it: the commission's reason is one of a decision."""
        return self._replace(reason=()) if self.by == "commission" else self


class Software(NamedTuple):
    """What a publisher says that it runs.

    Attributes:
        version: of the program.
        source: SHA-256 over its files.
    """

    version: str
    source: bytes

    @property
    def object(self) -> JsonValue:
        """As it stands in a snapshot."""
        return {"source": self.source.hex(), "version": self.version}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a snapshot says of itself, and what it names.

    Attributes:
        number: from 1.
        previous: SHA-256 of the file before; None for the first.
        published_at: the publisher's time.
        definition: SHA-256 of election.json.
        roster: SHA-256 of the newest roster in effect, or None.
        information: SHA-256 of information.json, or None.
        paused: or None.
        embargo_until: until when its figures are under embargo, or None: they are not.
        software: the publisher's.
        origin: of the log.
        size: of the log.
        root: of the log's first `size` entries.
        decisions: SHA-256 of the decisions file.
        tally: SHA-256 of the object of the root area; None under an embargo.
    """

    number: int
    previous: bytes | None
    published_at: str
    definition: bytes
    roster: bytes | None
    information: bytes | None
    paused: Paused | None
    embargo_until: str | None
    software: Software
    origin: str
    size: int
    root: bytes
    decisions: bytes
    tally: bytes | None

    @classmethod
    def parse(cls, data: bytes, file: str) -> Self:
        """Read a snapshot.

        Args:
            data: its bytes.
            file: its path in the feed, for the refusal.

        Raises:
            WireError: `feed.malformed`, with the file and the place of the member.
        """
        if len(data) > MAX_SNAPSHOT_BYTES:
            raise malformed(file, "", f"a snapshot has at most {MAX_SNAPSHOT_BYTES:,} bytes")
        try:
            value: object = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise malformed(file, "", f"this is no JSON: {error}") from None
        top = _Object(file, "", value)
        top.exactly(_MEMBERS)
        if top.text("format") != FORMAT:
            raise malformed(file, "format", f"must be {FORMAT}")
        log, software = top.object("log"), top.object("software")
        log.exactly({"origin", "root", "size"})
        software.exactly({"source", "version"})
        origin = log.text("origin")
        if not is_origin(origin):
            raise malformed(file, "log.origin", "is no name of a log")
        root = base64_exact(log.text("root"))
        if root is None or len(root) != HASH_BYTES:
            raise malformed(file, "log.root", "is not canonical base64 of 32 bytes")
        embargo_until = None if top.value("embargo_until") is None else top.time("embargo_until")
        return cls(
            number=top.integer("snapshot", 1),
            previous=top.hash_or_none("previous"),
            published_at=top.time("published_at"),
            definition=top.hash("definition"),
            roster=top.hash_or_none("roster"),
            information=top.hash_or_none("information"),
            paused=_paused(top),
            embargo_until=embargo_until,
            software=Software(software.text("version"), software.hash("source")),
            origin=origin,
            size=log.integer("size", 0),
            root=root,
            decisions=top.object("decisions").hash("sha256"),
            tally=None if top.value("root") is None else top.object("root").hash("sha256"),
        )

    def note(self, sha256: bytes) -> str:
        """The text that the note of a snapshot with this SHA-256 has to sign."""
        previous = "-" if self.previous is None else self.previous.hex()
        lines = (FORMAT, self.origin, self.number, sha256.hex(), previous, self.size, base64_text(self.root))
        return "".join(f"{line}\n" for line in lines)


def malformed(file: str, place: str, detail: str) -> WireError:
    """The refusal `feed.malformed` of one member of a file; "" is all of it."""
    return WireError("feed.malformed", detail, file=file, column=place or None)


class _Object:
    """An object of a snapshot; each method reads one member or raises `feed.malformed`."""

    __slots__ = ("_file", "_members", "_path")

    def __init__(self, file: str, path: str, value: object) -> None:
        if not isinstance(value, dict):
            raise malformed(file, path.rstrip("."), "must be an object")
        self._file = file
        self._path = path
        self._members = cast(Mapping[str, object], value)

    def malformed(self, name: str, detail: str) -> WireError:
        return malformed(self._file, f"{self._path}{name}", detail)

    def exactly(self, names: Collection[str]) -> None:
        for name in sorted(names):
            if name not in self._members:
                raise self.malformed(name, "is missing")
        if len(self._members) > len(names):
            raise malformed(self._file, self._path.rstrip("."), "has a member that is not known")

    def value(self, name: str) -> object:
        if name not in self._members:
            raise self.malformed(name, "is missing")
        return self._members[name]

    def object(self, name: str) -> "_Object":
        return _Object(self._file, f"{self._path}{name}.", self.value(name))

    def text(self, name: str) -> str:
        value = self.value(name)
        if not isinstance(value, str) or not _is_plain(value):
            raise self.malformed(name, "must be a text without control characters")
        return value

    def time(self, name: str) -> str:
        value = self.text(name)
        if not is_time(value):
            raise self.malformed(name, "must be a time like 2021-11-28T14:00:00.000Z")
        return value

    def integer(self, name: str, least: int) -> int:
        value = self.value(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MAX_NUMBER:
            raise self.malformed(name, f"must be a whole number from {least} to 2^53-1")
        return value

    def hash(self, name: str) -> bytes:
        value = self.value(name)
        digest = hex_32(value) if isinstance(value, str) else None
        if digest is None:
            raise self.malformed(name, "must be 64 lower-case hex digits")
        return digest

    def hash_or_none(self, name: str) -> bytes | None:
        return None if self.value(name) is None else self.hash(name)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        value = self.value(name)
        pairs: list[tuple[str, str]] = []
        for pair in value if isinstance(value, list) else [None]:
            match pair:
                case [str(language), str(text)] if _is_plain(language) and _is_plain(text):
                    pairs.append((language, text))
                case _:
                    raise self.malformed(name, "must be a list of pairs of language and text")
        return tuple(pairs)


def _is_plain(text: str) -> bool:
    """Whether a text has no control character, and JSON's escapes have left no half of a surrogate pair."""
    return not any("\ud800" <= char <= "\udfff" for char in text) and is_plain(text, 1)


def _paused(top: _Object) -> Paused | None:
    if top.value("paused") is None:
        return None
    paused = top.object("paused")
    paused.exactly({"by", "reason", "since"})
    by = paused.text("by")
    if by not in _PAUSED_BY:
        raise paused.malformed("by", f"must be one of {', '.join(_PAUSED_BY)}")
    return Paused(by, paused.time("since"), paused.pairs("reason"))


@dataclass(frozen=True, slots=True)
class Listed:
    """One payload of a decision in the decisions file.

    Attributes:
        number: the decision's.
        payload: SHA-256.
        decided_at: ms.
        reason: pairs of language and text.
        action: as in the payload.
        entries: indexes of all its statements, ascending.
        signers: public keys of who has signed.
        state: how it stands.
    """

    number: int
    payload: bytes
    decided_at: int
    reason: Content
    action: Content
    entries: Sequence[int]
    signers: Collection[bytes]
    state: str


def decisions_bytes(definition: bytes, decisions: Iterable[Listed], *, withheld: bool = False) -> bytes:
    """The decisions file.

    Args:
        definition: SHA-256 of election.json.
        decisions: of the log's first entries, in any order.
        withheld: as an embargo leaves it: no reason, no hash of the payload, no id in an action 5.
    """
    ordered = sorted(decisions, key=lambda listed: (listed.number, listed.entries[0]))
    elements: list[JsonValue] = [
        {
            "action": _readable(
                listed.action[:-1] if withheld and listed.action[0] == _CHOOSE else listed.action
            ),
            "decided_at": listed.decided_at,
            "entries": listed.entries,
            "number": listed.number,
            "payload": None if withheld else listed.payload.hex(),
            "reason": () if withheld else _readable(listed.reason),
            "signers": sorted(key.hex() for key in listed.signers),
            "state": listed.state,
        }
        for listed in ordered
    ]
    return jcs.write({"decisions": elements, "definition": definition.hex(), "format": DECISIONS_FORMAT})


def check_withheld(data: bytes) -> None:
    """Look whether a decisions file says no more than an embargo leaves of one.

    Raises:
        WireError: `json.malformed`, `feed.malformed`.
    """
    match jcs.parse(data):
        case {"decisions": [*decisions], "definition": str(), "format": str(form), **rest}:
            good = form == DECISIONS_FORMAT and not rest and all(map(_is_withheld, decisions))
        case _:
            good = False
    if not good:
        raise WireError("feed.malformed", "this is no list of decisions as an embargo leaves it")


def _is_withheld(decision: object) -> bool:
    match decision:
        case {"payload": None, "reason": [], "action": [int(action), *rest]}:
            return action != _CHOOSE or len(rest) == 3
    return False


def _readable(content: Content) -> list[JsonValue]:
    """A payload's part as JSON: byte strings as hex."""
    return [
        item.hex() if isinstance(item, bytes) else _readable(item) if isinstance(item, tuple) else item
        for item in content
    ]
