"""A statement written out."""

from pathlib import Path

import pytest

from clients.box import show
from clients.wire import statement
from clients.wire.cbor import Content
from clients.wire.definition import Definition
from clients.wire.statement import Kind, Statement
from tests.unit.wire_election import Election

HASH = b"\xab" * 32
HEX = "ab" * 32


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    return Election(tmp_path).load()[0]


def decoded(kind: Kind, content: Content) -> Statement:
    payload = statement.encode_payload(kind, content)
    return statement.decode(statement.encode(kind, b"\x07" * 8, payload, bytes(64)))


def packet(report: Content, station: int = 8) -> Statement:
    return decoded("packet", (HASH, 12, station, 2, HASH, 1_800_043_200_123, report))


def lines(shown: Statement, definition: Definition | None = None) -> dict[str, str]:
    """Values by label; what continues a line is joined to it."""
    found: dict[str, str] = {}
    label = ""
    for line in show.lines(shown, definition):
        label = line.label or label
        found[label] = f"{found[label]} | {line.value}" if label in found else line.value
    return found


RESULT: Content = (
    3,
    1_800_043_100_000,
    4,
    1204,
    ((1, 1500), (105, 2)),
    ((1, ((9, 1204), (13, 14)), (10, 1000, 7)), (2, ((9, 1),), (1, 0))),
    ((HASH, 2, 48_211, 5, 3),),
)


def test_result_with_numbers() -> None:
    shown = packet(RESULT)
    found = lines(shown)
    assert found == {
        "packet": "2 of device 12: result",
        "station": "8",
        "slip": f"8-{shown.id.hex()[:16]}",
        "id": shown.id.hex(),
        "definition": HEX,
        "previous": HEX,
        "kid": "07" * 8,
        "signed at": "2027-01-15T20:00:00.123Z",
        "closed at": "2027-01-15T19:58:20.000Z",
        "origin": "counted by hand",
        "counter": "1,204",
        "voters": "registered 1,500, figure 105 2",
        "contest 1": "in_box 1,204, invalid 14",
        "  votes": "10 1000 7 | 1 0",
        "contest 2": "in_box 1",
        "attachment": f"act or complaint, page 3: png, 48,211 bytes | {HEX}",
    }


def test_result_with_names(definition: Definition) -> None:
    found = lines(packet(RESULT), definition)
    assert found["station"] == "8 (УИК 8 Мектеп)"
    assert found["voters"] == "registered 1,500, torn 2"
    assert found["contest 1"].split(" | ") == [
        "Парламент",
        "in_box 1,204, invalid 14",
        "   10  1 101 Биринчи талапкер",
        "1,000  7 1 Биринчи партия",
        "    7  9 Баарына каршы",
    ]
    assert show.lines(packet((2, 5, ((3, 7),)), 11), definition)[1].value == "11 (Элчилик)"


def test_names_that_do_not_fit(definition: Definition) -> None:
    """A packet may name a contest that is not there, or have too few votes: it is shown all the same."""
    report: Content = (3, 1, 1, 1, (), ((1, ((9, 1),), (5,)), (77, ((9, 1),), (6,))), ())
    found = lines(packet(report, station=99), definition)
    assert found["station"] == "99"
    assert found["contest 77"] == "in_box 1"


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ((1, 500, HASH, ((1, (0, 0)),)), {"counter": "500", "firmware": HEX, "  votes": "0 0"}),
        ((2, 1_800_000_000_000, ((3, 7),)), {"as of": "2027-01-15T08:00:00.000Z", "voters": "identified 7"}),
        (
            (4, 2**53 - 1, HASH, 3, (), ((1, ((9, 1),), (1,)),), ()),
            {"closed at": "9007199254740991 ms", "cause": "court", "corrects": HEX},
        ),
        ((4, 1, b"", 0, (), ((1, ((9, 1),), (1,)),), ()), {"cause": "first"}),
        ((5, ((HASH, 1, 5, 1, 0),)), {"attachment": f"protocol, page 0: pdf, 5 bytes | {HEX}"}),
    ],
)
def test_other_reports(report: Content, expected: dict[str, str]) -> None:
    found = lines(packet(report))
    assert {label: found[label] for label in expected} == expected
    assert "corrects" in found or report[0] != 4 or report[2] == b""


@pytest.mark.parametrize(
    ("action", "word", "fields"),
    [
        (
            (1, "log.example/a", HASH, HASH, HASH, "tallygate 1"),
            "open",
            {
                "origin": "log.example/a",
                "log_key": HEX,
                "snapshot_key": HEX,
                "roster": HEX,
                "software": "tallygate 1",
            },
        ),
        ((2, 5), "revoke", {"device": 5}),
        ((3, 5, 8, 0), "assign", {"device": 5, "station": 8, "replaces": 0}),
        ((4, 8, 0), "annul", {"station": 8, "contest": 0}),
        ((5, 8, 1, 2, HASH), "choose", {"station": 8, "contest": 1, "source": "protocol", "id": HEX}),
        ((6,), "pause", {}),
        ((7,), "resume", {}),
        ((8, 1, 3), "status", {"source": "machine", "status": "certified"}),
        ((9, HASH), "roster", {"roster": HEX}),
        ((10, HASH), "definition", {"definition": HEX}),
        ((11, 0, 1_800_000_000_000), "close", {"station": 0, "closes_at": 1_800_000_000_000}),
        ((12, 8), "cancel", {"station": 8}),
        ((13, 4), "undo", {"number": 4}),
    ],
)
def test_decisions(action: Content, word: str, fields: dict[str, object]) -> None:
    reasons: Content = (("ky", "Себеп"), ("en", "A reason"))
    shown = decoded("decision", (HASH, HASH, 2, 1_800_000_000_000, reasons, action))
    found = lines(shown)
    assert found["decision"] == f"2 of the commission: {word.replace('_', ' ')}"
    assert found["reason ky"] == "Себеп"
    assert found["decided at"] == "2027-01-15T08:00:00.000Z"
    if word == "close":
        assert found["closes at"] == "2027-01-15T08:00:00.000Z"
    as_json = show.as_json(shown, None)
    assert as_json["action"] == {"action": word, **fields}
    assert as_json["reason"] == [{"language": "ky", "text": "Себеп"}, {"language": "en", "text": "A reason"}]
    assert as_json["previous"] == HEX


def test_first_of_a_chain() -> None:
    shown = decoded("packet", (HASH, 12, 8, 1, b"", 5, (2, 5, ((3, 7),))))
    assert lines(shown)["previous"] == "none, this is the first"
    assert show.as_json(shown, None) == {
        "kind": "packet",
        "id": shown.id.hex(),
        "kid": "07" * 8,
        "definition": HEX,
        "previous": "",
        "slip": f"8-{shown.id.hex()[:16]}",
        "device": 12,
        "sequence": 1,
        "signed_at": 5,
        "counts": {"report": "turnout", "station": 8, "as_of": 5, "figures": {"identified": 7}},
    }
