"""The bytes of answers: heads that HTTP clients can read, a Date that moves, waits that are spread."""

import json
from collections.abc import Callable

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.boxport.answers import END, END_AND_CLOSE, WAITS, Answer, Answers
from gateway.boxport.problems import KINDS, Problem, document
from gateway.ledger.protocol import Receipt, Refused

NOTE = "origin\n1\nroot\n\n— origin sig\n"


def answers(
    jitter: Callable[[], float] = lambda: 0.0, until: Callable[[int], float] = lambda _: 0.0
) -> Answers:
    return Answers(lambda: 784_111_777_999, until, jitter)


def read(answer: Answer, end: bytes = END) -> tuple[int, dict[str, str], bytes]:
    """What h11 makes of it."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(answer[0] + end + answer[1])
    head = client.next_event()
    assert isinstance(head, h11.Response)
    body = client.next_event()
    assert isinstance(body, h11.Data)
    assert isinstance(client.next_event(), h11.EndOfMessage)
    assert client.trailing_data == (b"", False)
    assert (client.their_state is h11.MUST_CLOSE) == (end == END_AND_CLOSE)
    return head.status_code, {name.decode(): value.decode() for name, value in head.headers}, bytes(body.data)


def test_a_receipt() -> None:
    receipt = Receipt(9_007_199_254_740_991, [bytes(32)] * 2, NOTE)
    for end in (END, END_AND_CLOSE):
        status, headers, body = read(answers().logged("accepted", receipt), end)
        assert status == 201
        assert headers["tallygate-index"] == "9007199254740991"
        assert body == receipt.text().encode()
    assert read(answers().logged("duplicate", receipt))[0] == 200
    assert read(answers().logged("conflict", receipt))[0] == 201
    assert "tallygate-outcome" not in read(answers().receipt(receipt))[1]


def test_the_date_moves_with_the_tick() -> None:
    now = 784_111_777_000
    made = Answers(lambda: now, lambda _: 0.0, lambda: 0.0)
    receipt = Receipt(0, [], NOTE)
    assert read(made.logged("accepted", receipt))[1]["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    now += 1_000
    made.tick()
    assert read(made.logged("accepted", receipt))[1]["date"] == "Sun, 06 Nov 1994 08:49:38 GMT"
    assert read(made.json(b"{}"))[1]["date"] == "Sun, 06 Nov 1994 08:49:38 GMT"


@pytest.mark.parametrize("code", sorted(KINDS))
def test_every_problem(code: str) -> None:
    status, headers, body = read(
        answers().problem(Problem(code, "a sentence", "later"), lines="Allow: GET\r\n")
    )
    assert status == KINDS[code].status
    assert headers["allow"] == "GET"
    assert json.loads(body) == {
        "type": f"urn:tallygate:problem:{code}",
        "title": KINDS[code].title,
        "status": status,
        "code": code,
        "detail": "a sentence",
        "retry": "later",
    }
    assert ("retry-after" in headers) == (code in WAITS)


@given(st.text(), st.sampled_from(sorted(KINDS)))
def test_a_detail_can_be_any_text(detail: str, code: str) -> None:
    """Also one that would end a head or break JSON."""
    try:
        detail.encode()
    except UnicodeEncodeError:
        return
    _, headers, body = read(answers().refused(Refused(code, detail, "fix")))
    assert json.loads(body)["detail"] == detail
    assert "retry-after" not in headers


def test_a_code_that_nobody_knows_is_a_bug() -> None:
    with pytest.raises(KeyError):
        document("statement.odd", "", "fix")


@given(
    code=st.sampled_from(sorted(WAITS)),
    jitter=st.floats(0, 1, exclude_max=True),
    seconds=st.floats(-1e6, 1e6),
)
def test_waits_are_spread_and_never_too_short(code: str, jitter: float, seconds: float) -> None:
    made = answers(lambda: jitter)
    headers = read(made.problem(Problem(code, "a sentence", "later"), least=seconds))[1]
    wait = WAITS[code]
    told = int(headers["retry-after"])
    assert max(seconds, 0) + wait.least <= told <= max(seconds, 0) + wait.least + wait.spread + 1
    assert told >= 1


def test_whoever_may_come_at_an_instant_is_told_when() -> None:
    made = answers(until=lambda at: at / 1_000)
    refused = Refused("statement.too_early", "a sentence", "later", at=90_000)
    assert read(made.refused(refused))[1]["retry-after"] == str(90 + WAITS["statement.too_early"].least)


@pytest.mark.parametrize(("jitter", "told"), [(0.0, 300), (0.5, 330)])
def test_a_share_of_entries_that_is_used_up_does_not_refill_by_itself(jitter: float, told: int) -> None:
    """Somebody has to do something: a box that asks every few seconds would ask all night."""
    headers = read(answers(lambda: jitter).refused(Refused("limit.device", "a sentence", "later")))[1]
    assert headers["retry-after"] == str(told)


def test_clients_in_one_second_are_told_different_times() -> None:
    told = set()
    for step in range(10):
        made = answers(lambda step=step: step / 10)  # type: ignore[misc]
        told.add(read(made.refused(Refused("limit.overload", "a sentence", "later")))[1]["retry-after"])
    assert len(told) >= 8
