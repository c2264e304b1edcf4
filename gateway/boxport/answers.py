"""The bytes of answers, but for what depends on the connection.

What lives here: heads made in advance, once a second for their Date, so that an accepted statement costs one
formatting; and Retry-After. An answer is a head without its last lines and a body: the connection adds
``Connection: close`` or not, and the empty line.
"""

from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from math import ceil
from typing import Final, NamedTuple, TypeAlias

from gateway.base.clock import SECOND, Clock
from gateway.boxport.attachments import Taken
from gateway.boxport.problems import KINDS, Problem, document
from gateway.ledger.protocol import Receipt, Refused, Retry, Standing

# Head (every line with its CRLF, no empty line at the end) and body.
Answer: TypeAlias = tuple[bytes, bytes]

END: Final = b"\r\n"
END_AND_CLOSE: Final = b"Connection: close\r\n\r\n"

# The tlog-proof of docs/log.md.
RECEIPT_TYPE: Final = "text/plain; charset=utf-8"

_STATUS: Final[Mapping[Standing, int]] = {"accepted": 201, "duplicate": 200, "conflict": 201}


class Wait(NamedTuple):
    """Seconds of a Retry-After: never less than `least`, and spread evenly over `spread` more.

    All boxes of a country hear the same answer in the same second: without the spread they come back in one.
    """

    least: int
    spread: int


WAITS: Final[Mapping[str, Wait]] = {
    # The share of requests refills evenly: `least` is added to what is left of it.
    "limit.device": Wait(1, 5),
    # A full queue of 2,048 is written in about two seconds; who found it full comes back in the eight after.
    "limit.overload": Wait(2, 8),
    # Somebody has to make room.
    "limit.storage": Wait(30, 60),
    "log.not_open": Wait(5, 25),
    # From the moment on at which the bytes are taken.
    "statement.too_early": Wait(1, 10),
}


# The share of entries does not refill: a person has to find another route, or a larger limit.
ENTRIES_WAIT: Final = Wait(300, 60)


class Answers:
    """Makes answers.

    Args:
        clock: the machine's, ms, for Date (RFC 9110, section 6.6.1): whoever reads it may find that the box's
            own clock is wrong. The election's clock is in ``GET /v1/self``.
        until: real seconds until the election's clock shows an instant (ms).
        jitter: evenly from [0, 1).
    """

    def __init__(self, clock: Clock, until: Callable[[int], float], jitter: Callable[[], float]) -> None:
        self._clock = clock
        self._until = until
        self._jitter = jitter
        self.tick()

    def tick(self) -> None:
        """Takes the clock's second into every head; called once a second."""
        self._date = formatdate(self._clock() // SECOND, usegmt=True)
        self._logged = {
            standing: self._head(
                status,
                RECEIPT_TYPE,
                f"Tallygate-Outcome: {standing}\r\nTallygate-Index: %d\r\nContent-Length: %d\r\n",
            )
            for standing, status in _STATUS.items()
        }

    def logged(self, standing: Standing, receipt: Receipt) -> Answer:
        """The answer to an upload that is in the log."""
        body = receipt.text().encode()
        return self._logged[standing] % (receipt.index, len(body)), body

    def receipt(self, receipt: Receipt) -> Answer:
        """The answer to the question for a receipt."""
        body = receipt.text().encode()
        lines = f"Tallygate-Index: {receipt.index}\r\nContent-Length: {len(body)}\r\n"
        return self._head(200, RECEIPT_TYPE, lines), body

    def json(self, body: bytes) -> Answer:
        """A document."""
        return self._head(200, "application/json", f"Content-Length: {len(body)}\r\n"), body

    def stored(self, taken: Taken, body: bytes) -> Answer:
        """The answer to a paper that is here, durably."""
        status = 201 if taken == "stored" else 200
        return self._head(status, "application/json", f"Content-Length: {len(body)}\r\n"), body

    def refused(self, refused: Refused) -> Answer:
        """The answer to an upload that is not in the log."""
        code = refused.code
        wait = ENTRIES_WAIT if code == "limit.device" else WAITS.get(code)
        least = 0.0 if refused.at is None else self._until(refused.at)
        return self._problem(code, refused.detail, refused.retry, wait, least)

    def problem(self, problem: Problem, *, least: float = 0, lines: str = "") -> Answer:
        """A refusal of the port itself.

        Args:
            problem: which.
            least: real seconds until it can go better, where they are known.
            lines: of the head, each with its CRLF.
        """
        code = problem.code
        return self._problem(code, problem.detail, problem.retry, WAITS.get(code), least, lines)

    def _problem(
        self, code: str, detail: str, retry: Retry, wait: Wait | None, least: float, lines: str = ""
    ) -> Answer:
        body = document(code, detail, retry)
        if wait is not None and retry == "later":
            seconds = ceil(max(least, 0) + wait.least + wait.spread * self._jitter())
            lines += f"Retry-After: {seconds}\r\n"
        lines += f"Content-Length: {len(body)}\r\n"
        return self._head(KINDS[code].status, "application/problem+json", lines), body

    def _head(self, status: int, content_type: str, lines: str) -> bytes:
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nDate: {self._date}\r\n"
        return f"{head}Content-Type: {content_type}\r\n{lines}".encode("ascii")
