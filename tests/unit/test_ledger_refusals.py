"""Refusals that wait: what comes and goes while a batch writes some of them."""

from gateway.ledger.protocol import Refusal
from gateway.ledger.refusals import WAITING, Waiting


def refusal(number: int) -> Refusal:
    return Refusal(number, "statement.signature", None, bytes(32), b"")


def test_what_is_pushed_out_while_it_is_written_takes_no_other_along() -> None:
    waiting = Waiting()
    for number in range(WAITING):
        waiting.add(refusal(number))
    taken = waiting.next(3)
    for number in range(WAITING, WAITING + 2):
        waiting.add(refusal(number))
    waiting.written(taken)
    left = [one.at for one in waiting.next(WAITING)]
    assert left == list(range(3, WAITING + 2))
