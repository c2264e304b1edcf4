"""What an answer of a box port means: nothing but a verified receipt counts."""

import json

import pytest

from clients.wire import answers
from clients.wire.answers import Logged, Refusal
from clients.wire.client import Answer
from clients.wire.errors import WireError
from tests.lying_gateway import TestLog

STATEMENT = b"a statement"
TEXT = {"content-type": "text/plain; charset=utf-8"}
PROBLEM = {"content-type": "application/problem+json"}


def judge(status: int, headers: dict[str, str], body: bytes, log: TestLog | None = None) -> Logged | Refusal:
    return answers.judge(Answer(status, headers, body), STATEMENT, (log or TestLog()).vkey)


def refusal(status: int, headers: dict[str, str], body: bytes) -> str:
    with pytest.raises(WireError) as caught:
        judge(status, headers, body)
    return caught.value.code


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("outcome", ["accepted", "duplicate", "conflict", "", "wonderful"])
def test_a_receipt(status: int, outcome: str) -> None:
    log = TestLog()
    log.receipt(b"another one")
    data = log.receipt(STATEMENT)
    found = judge(status, {**TEXT, "tallygate-outcome": outcome, "tallygate-index": "9"}, data)
    assert isinstance(found, Logged)
    assert (found.index, found.checkpoint.size, found.receipt) == (1, 2, data)
    assert found.outcome == ("" if outcome == "wonderful" else outcome)


def test_a_receipt_by_another_key() -> None:
    assert refusal(201, TEXT, TestLog(2).receipt(STATEMENT)) == "note.unsigned"


def test_a_receipt_of_another_statement() -> None:
    assert refusal(201, TEXT, TestLog().receipt(b"another one")) == "receipt.proof"


@pytest.mark.parametrize("body", [b"", b"\xff" * 100, TestLog().receipt(STATEMENT)[:-1], b"x" * 40_000])
def test_rubbish(body: bytes) -> None:
    assert refusal(201, TEXT, body).split(".")[0] in {"receipt", "note"}


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {}),
        (200, {"content-type": "text/html"}),
        (202, TEXT),
        (204, {}),
        (302, TEXT),
        (404, TEXT),
        (502, {"content-type": "text/html"}),
        (200, PROBLEM),
    ],
)
def test_neither(status: int, headers: dict[str, str]) -> None:
    """Not even with a good receipt inside."""
    assert refusal(status, headers, TestLog().receipt(STATEMENT)) == "line.answer"


@pytest.mark.parametrize(
    ("after", "seconds"),
    [("0", 0), ("7", 7), ("99999999", 86_400), ("", None), ("-1", None), ("1.5", None), ("soon", None)],
)
def test_a_refusal(after: str, seconds: int | None) -> None:
    body = {"code": "limit.overload", "detail": "x" * 5_000, "retry": "later", "more": [1]}
    found = judge(503, {**PROBLEM, "retry-after": after}, json.dumps(body).encode())
    assert found == Refusal("limit.overload", "x" * 500, "later", seconds)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"code": 1, "detail": "", "retry": "later"}',
        b'{"code": "x", "detail": "", "retry": "sometimes"}',
        b'{"x": ' + b"[" * 20_000,
    ],
)
def test_a_refusal_that_cannot_be_read(body: bytes) -> None:
    assert refusal(503, PROBLEM, body) == "line.answer"
