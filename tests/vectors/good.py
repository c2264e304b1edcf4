"""Statements that must be accepted: every report and action, the smallest and the largest of each thing."""

from typing import Final, NamedTuple

from tests.vectors.election import (
    BOX,
    CLOSES_AT,
    DEFINITION_HASH,
    DESK,
    DEVICES,
    FIRMWARE,
    MEMBERS,
    MOBILE_BOX,
    OPENS_AT,
    ROSTER,
    SPARE,
    TERMINAL,
)
from tests.vectors.encoding import (
    MAX_NUMBER,
    MAX_STATEMENT,
    Content,
    Key,
    Kind,
    as_json,
    encode,
    sha256,
    signed,
)
from tests.vectors.render import Json, bytes_json

SIGNED_AT: Final = CLOSES_AT + 95_000
ORIGIN: Final = "rehearsal.invalid/vectors-rehearsal/0f1e2d3c"

# What stands on either side of each width of a head's argument.
WIDTHS: Final = (0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, MAX_NUMBER)
STANDARD_CODES: Final = range(1, 17)

LOG: Final = Key("log")
SNAPSHOTS: Final = Key("snapshots")

_SCAN = sha256(b"tallygate vectors: a scanned page")
_PHOTO = sha256(b"tallygate vectors: a photographed slip")


class Good(NamedTuple):
    """A statement that every reader accepts.

    Attributes:
        name: of the case.
        why: what it shows.
        kind: packet or decision.
        content: its payload.
        key: who signs.
        statement: its bytes.
    """

    name: str
    why: str
    kind: Kind
    content: Content
    key: Key
    statement: bytes

    @property
    def id(self) -> bytes:
        return sha256(self.statement)

    @property
    def published(self) -> dict[str, Json]:
        case: dict[str, Json] = {
            "name": self.name,
            "why": self.why,
            "kind": self.kind,
            "signer": self.key.name,
        }
        if self.kind == "decision":
            case["payload_sha256"] = sha256(encode(self.content)).hex()
        else:
            station = self.content[2]
            assert isinstance(station, int)
            case["slip"] = f"{station}-{self.id.hex()[:16]}"
        case["id"] = self.id.hex()
        case["leaf_hash"] = sha256(b"\0" + self.statement).hex()
        case["content"] = as_json(self.content)
        case["statement"] = bytes_json(self.statement)
        return case


def _good(name: str, why: str, kind: Kind, content: Content, key: Key) -> Good:
    return Good(name, why, kind, content, key, signed(kind, encode(content), key))


def _packet(
    name: str,
    why: str,
    key: Key,
    report: Content,
    *,
    station: int = 10,
    sequence: int = 1,
    previous: bytes = b"",
    signed_at: int = SIGNED_AT,
    definition: bytes = DEFINITION_HASH,
) -> Good:
    device = DEVICES.index(key) + 1
    content = (definition, device, station, sequence, previous, signed_at, report)
    return _good(name, why, "packet", content, key)


def _count(contest: int, figures: dict[int, int], votes: tuple[int, ...]) -> Content:
    return (contest, tuple(figures.items()), votes)


def _packets() -> list[Good]:
    opening = _packet(
        "opening",
        "a box before the first voter: the counters of both contests show zero",
        BOX,
        (1, 0, FIRMWARE[0], ((1, (0, 0, 0)), (2, (0, 0, 0)))),
        signed_at=OPENS_AT - 600_000,
    )
    president = _count(1, {9: 1038, 11: 1031, 13: 7, 100: 1045}, (500, 511, 20))
    council = _count(2, {9: 1038, 11: 1010, 13: 28, 100: 1045}, (301, 610, 400))
    result = _packet(
        "result",
        "a box after the close; its previous is the id of the case `opening`",
        BOX,
        (3, CLOSES_AT, 1, 1038, ((1, 1200), (3, 1040)), (president, council), ()),
        sequence=2,
        previous=opening.id,
    )
    protocol = _packet(
        "protocol",
        "a commission's paper, keyed in at the desk, with its scanned pages",
        DESK,
        (
            *(4, CLOSES_AT, b"", 0, ((1, 1200), (3, 1040)), (president,)),
            ((_SCAN, 1, 412_007, 1, 1), (_PHOTO, 3, 1_203_444, 2, 0)),
        ),
    )
    return [
        _packet(
            "turnout: one figure",
            "the smallest turnout: README.md takes it apart byte by byte",
            TERMINAL,
            (2, OPENS_AT + 7_200_000, ((3, 412),)),
            signed_at=OPENS_AT + 7_200_123,
        ),
        _packet(
            "turnout: every standard figure and a national one",
            "codes ascend; each value has another width",
            TERMINAL,
            (
                *(2, OPENS_AT + 7_200_000),
                (*((code, WIDTHS[code % len(WIDTHS)]) for code in STANDARD_CODES), (100, 7)),
            ),
            station=11,
        ),
        opening,
        _packet(
            "opening: no contests",
            "the list of zeros may be empty, and a box may have scanned ballots before",
            SPARE,
            (1, 70_001, FIRMWARE[1], ()),
            signed_at=0,
        ),
        result,
        _packet(
            "result: smallest",
            "one contest with one figure and one vote, no figures of the voters, no attachments",
            BOX,
            (3, 0, 1, 0, (), ((1, ((0, 0),), (0,)),), ()),
            signed_at=0,
        ),
        _packet(
            "result: every width of an integer",
            "votes, codes and contests of 0, 1, 2, 4 and 8 argument bytes",
            MOBILE_BOX,
            (
                *(3, CLOSES_AT, 2, 65_536, tuple((code, code) for code in WIDTHS)),
                tuple((number, ((number, 1),), WIDTHS) for number in WIDTHS[1:]),
                (),
            ),
            station=500,
        ),
        _packet(
            "result: largest numbers",
            "2^53-1 wherever a number is not bounded more closely",
            BOX,
            (
                *(3, MAX_NUMBER, 4, MAX_NUMBER, ((MAX_NUMBER, MAX_NUMBER),)),
                ((MAX_NUMBER, ((MAX_NUMBER, MAX_NUMBER),), (MAX_NUMBER,)),),
                ((_SCAN, 4, 20_971_520, 6, MAX_NUMBER),),
            ),
            station=MAX_NUMBER,
            sequence=MAX_NUMBER,
            previous=b"\xff" * 32,
            signed_at=MAX_NUMBER,
        ),
        _packet(
            "result: lists of 24 and more",
            "heads of arrays with one argument byte: 24 figures, 256 votes (two argument bytes)",
            BOX,
            (
                *(3, CLOSES_AT, 3, 9, tuple((code, 0) for code in range(200, 224))),
                ((2, ((9, 1),), (1,) * 256),),
                (),
            ),
        ),
        largest(),
        protocol,
        _packet(
            "protocol: a correction",
            "corrects names the id of the case `protocol`; nothing else of it need be the same",
            DESK,
            (4, CLOSES_AT, protocol.id, 4, (), (president, council), ()),
            sequence=2,
            previous=protocol.id,
        ),
        _packet(
            "documents: one page",
            "the smallest attachment: one byte, page 0",
            DESK,
            (5, ((_SCAN, 1, 1, 1, 0),)),
        ),
        _packet(
            "documents: sixteen attachments",
            "as many as one packet may name, each as large as it may be; one may stand twice",
            DESK,
            (5, tuple((_SCAN, place % 4 + 1, 20_971_520, place % 6 + 1, place) for place in range(16))),
        ),
        _packet(
            "another definition",
            "a signed, well-formed statement of a known device is never refused for what it says",
            BOX,
            (3, CLOSES_AT, 1, 9, (), ((77, ((9, 1),), (1, 2, 3, 4)),), ()),
            station=4711,
            definition=sha256(b"tallygate vectors: another election.json"),
        ),
    ]


def largest(beyond: int = 0) -> Good:
    """A result whose votes fill a statement to its last byte, or `beyond` it."""
    name, why = "result: exactly 16,384 bytes", "the largest statement"

    def filled(votes: Content) -> Good:
        return _packet(name, why, BOX, (3, CLOSES_AT, 1, 1, (), ((1, ((9, 1),), votes),), ()))

    # So many that every head has the width already that it has when the statement is full.
    votes: Content = (MAX_NUMBER,) * 1_700
    room = MAX_STATEMENT + beyond - len(filled(votes).statement)
    large, small = divmod(room, len(encode(MAX_NUMBER)))
    return filled(votes + (MAX_NUMBER,) * large + (0,) * small)


def _decisions() -> list[Good]:
    opening = (
        *(DEFINITION_HASH, b"", 1, OPENS_AT),
        (("ky", "Шайлоонун журналы ачылды"), ("en", "The log is opened")),
        (1, ORIGIN, LOG.public, SNAPSHOTS.public, sha256(ROSTER.manifest()), "tallygate 0.1.0"),
    )
    cases = [
        _good("decision 1: open the log", "its first signature", "decision", opening, MEMBERS[0]),
        _good(
            "decision 1: by another member",
            "the same payload under another key: another statement, the same decision",
            "decision",
            opening,
            MEMBERS[1],
        ),
    ]
    payload = encode(opening)
    for place, (name, why, action) in enumerate(_ACTIONS):
        content = (DEFINITION_HASH, sha256(payload), place + 2, SIGNED_AT, (("en", why),), action)
        payload = encode(content)
        cases.append(_good(f"decision: {name}", why, "decision", content, MEMBERS[place % len(MEMBERS)]))
    return cases


# Each is chained to the one before it, from number 2 on.
_ACTIONS: tuple[tuple[str, str, Content], ...] = (
    ("revoke a device", "the spare box", (2, 4)),
    ("assign a device", "instead of device 1", (3, 4, 10, 1)),
    ("assign a device that replaces none", "replaces is 0", (3, 4, 12, 0)),
    ("annul a count", "one contest at one station", (4, 500, 2)),
    ("annul everything", "station 0 and contest 0 mean all", (4, 0, 0)),
    ("choose a protocol", "source 2", (5, 10, 1, 2, _SCAN)),
    ("choose a result", "source 1", (5, 10, 1, 1, _PHOTO)),
    ("pause publication", "an action of one element", (6,)),
    ("resume publication", "an action of one element", (7,)),
    ("the first status", "status 0", (8, 1, 0)),
    ("the last status", "status 5", (8, 2, 5)),
    ("a new roster", "named by its hash", (9, _SCAN)),
    ("another definition", "packets that name it are read as ours", (10, _PHOTO)),
    ("another closing time", "at one station", (11, 500, CLOSES_AT + 3_600_000)),
    ("another closing time everywhere", "station 0 means all", (11, 0, CLOSES_AT + 3_600_000)),
    ("no voting here", "at one station", (12, 11)),
    ("undo a decision", "decision 3", (13, 3)),
    ("largest numbers", "2^53-1 in every field", (3, MAX_NUMBER, MAX_NUMBER, MAX_NUMBER)),
)


def _texts() -> list[Good]:
    def reasoned(name: str, why: str, *reason: tuple[str, str]) -> Good:
        content = (DEFINITION_HASH, b"", 1, 0, reason, (7,))
        return _good(f"decision: {name}", why, "decision", content, MEMBERS[2])

    def opened(name: str, why: str, origin: str, software: str) -> Good:
        hashes = (LOG.public, SNAPSHOTS.public, _SCAN)
        content = (DEFINITION_HASH, b"", 1, 0, (("en", "x"),), (1, origin, *hashes, software))
        return _good(f"decision: {name}", why, "decision", content, MEMBERS[2])

    return [
        reasoned("texts of one byte", "language is a text like any other", ("x", "y")),
        reasoned("a text of 2,000 bytes", "counted in bytes, not in characters", ("ru", "Я" * 1_000)),
        reasoned(
            "characters at the edges",
            "U+0020, U+007E, U+00A0, U+2028, U+202E, U+D7FF, U+E000, U+FEFF, U+FFFE, U+10000, U+10FFFF",
            ("en", " ~\xa0\u2028\u202e\ud7ff\ue000\ufeff\ufffe\U00010000\U0010ffff"),
        ),
        reasoned(
            "texts are not normalised",
            "one letter composed and decomposed; a language may stand twice",
            ("ru", "й"),
            ("ru", "и\u0306"),
        ),
        reasoned("24 reasons", "an array's head with an argument byte", *[("en", "x")] * 24),
        opened("an origin of 200 bytes", "the longest", "/".join(["a" * 99, "b" * 100]), "x"),
        opened("an origin of one letter", "the shortest, and characters at the edges", "a", "9"),
        opened("an origin of marks", "any of a-z, 0-9, '.' and '-' may stand anywhere", "-.-/../0z", "/"),
    ]


def cases() -> list[Good]:
    """All of them."""
    return [*_packets(), *_decisions(), *_texts()]
