"""The paths of the box port and what each does (docs/box-port.md).

What lives here: the table of routes, and the handlers: everything that is about one whole request and nothing
that is about its connection. A handler raises what it cannot judge; the connection answers for it.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

import msgspec
import trio

from gateway import _core
from gateway.base.errors import CoreError
from gateway.base.metrics import IngestMetrics
from gateway.boxport import problems
from gateway.boxport.answers import ENTRIES_WAIT, Answer, Answers
from gateway.boxport.attachments import Attachments, Body
from gateway.boxport.problems import Problem
from gateway.ledger.protocol import Logged
from gateway.sequencer.protocol import Intake

STATEMENTS: Final = "/v1/statements"
ATTACHMENTS: Final = "/v1/attachments"
STATEMENT_TYPE: Final = "application/cose"

# Called with the request, who sends it, the last part of a path that has one, and the body of a PUT.
Handler: TypeAlias = Callable[[_core.Request, _core.Peer, str, Body], Awaitable[Answer]]

# RFC 9052, section 9.3.1, has a parameter for the type; it says nothing that the bytes do not say.
_COSE: Final = re.compile(r'application/cose[ \t]*(?:;[ \t]*cose-type="?cose-sign1"?[ \t]*)?', re.IGNORECASE)
_ID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

_encode: Final = msgspec.json.Encoder().encode


class _Route(NamedTuple):
    handlers: Mapping[str, Handler]
    not_allowed: Problem


class Routes:
    """The routes of one port.

    Args:
        intake: the sequencer.
        attachments: takes papers.
        answers: makes the answers.
        disk_ok: whether the disk has its reserve; asked for each upload, so it is a look at a figure.
        metrics: uploads that wait, and how long each took.
    """

    def __init__(
        self,
        intake: Intake,
        attachments: Attachments,
        answers: Answers,
        disk_ok: Callable[[], bool],
        metrics: IngestMetrics,
    ) -> None:
        self._intake = intake
        self._attachments = attachments
        self._answers = answers
        self._disk_ok = disk_ok
        self._took = metrics.uploads.observe
        self._refused = metrics.requests_refused
        self._papers = metrics.papers
        self._inflight = 0
        metrics.inflight.set_function(lambda: self._inflight)
        # Whole paths, and paths of which the last part is a name.
        self._exact: Final = {
            STATEMENTS: _route({"POST": self._upload}),
            "/v1/self": _route({"GET": self._present}),
        }
        self._below: Final = {
            STATEMENTS: _route({"GET": self._receipt}),
            ATTACHMENTS: _route({"PUT": self._attach}),
        }
        routes = (*self._exact.values(), *self._below.values())
        self._methods = ", ".join(sorted({method for route in routes for method in route.handlers}))

    async def answer(self, request: _core.Request, peer: _core.Peer, body: Body) -> Answer:
        """Answers a request of a certificate that is good.

        Args:
            request: whole, but for the body of a PUT.
            peer: whose certificate it is.
            body: of a PUT.

        Raises:
            LedgerFailedError: nothing can be promised any more.
            CutOffError: the line broke within the body.
        """
        path = request.path
        name = ""
        route = self._exact.get(path)
        if route is None:
            folder, _, name = path.rpartition("/")
            route = self._below.get(folder)
            if route is None:
                return self.refuse(problems.PATH)
        handler = route.handlers.get(request.method)
        if handler is None:
            return self.refuse(route.not_allowed, lines=f"Allow: {', '.join(route.handlers)}\r\n")
        return await handler(request, peer, name, body)

    def refuse(self, problem: Problem, *, least: float = 0, lines: str = "") -> Answer:
        """Refuses for the port, and counts it: what the sequencer refuses, the sequencer counts."""
        self._refused.labels(problem.code).inc()
        return self._answers.problem(problem, least=least, lines=lines)

    def refuse_unread(self, error: CoreError) -> Answer:
        """Refuses what is no request that can be read to its end."""
        where = "" if error.offset is None else f" (byte {error.offset} of the head)"
        lines = f"Allow: {self._methods}\r\n" if error.code == "request.method" else ""
        return self.refuse(Problem(error.code, error.detail + where, "fix"), lines=lines)

    async def _upload(self, request: _core.Request, peer: _core.Peer, _: str, __: Body) -> Answer:
        content_type = request.content_type
        if content_type != STATEMENT_TYPE and not _COSE.fullmatch(content_type or ""):
            return self.refuse(problems.MEDIA_TYPE)
        body = request.body
        if body is None:
            return self.refuse(problems.TOO_LARGE)
        if not self._disk_ok():
            return await self._known(body)
        began = trio.current_time()
        self._inflight += 1
        try:
            outcome = await self._intake.submit(body, peer)
        finally:
            self._inflight -= 1
            # Also of those whose deadline has passed: the slowest are what the figures are for.
            self._took(trio.current_time() - began)
        if isinstance(outcome, Logged):
            return self._answers.logged(outcome.standing, outcome.receipt)
        return self._answers.refused(outcome)

    async def _known(self, statement: bytes) -> Answer:
        """Without room nothing new is taken; who asks again for what is in the log gets the receipt."""
        receipt = await self._intake.receipt(hashlib.sha256(statement).digest())
        if receipt is None:
            return self.refuse(problems.STORAGE)
        return self._answers.logged("duplicate", receipt)

    async def _attach(self, request: _core.Request, peer: _core.Peer, name: str, body: Body) -> Answer:
        result = "broken"
        try:
            found = await self._attachments.want(request, peer, name)
            taken = found if isinstance(found, Problem) else await self._attachments.take(found, body)
            if isinstance(taken, Problem):
                result = "fault" if taken is problems.FAULT else "refused"
                # Of the share of the disk nothing refills by itself.
                least = ENTRIES_WAIT.least if taken is problems.PAPERS_QUOTA else 0
                return self.refuse(taken, least=least)
            result = taken
            return self._answers.stored(taken, _encode({"sha256": name, "size": request.content_length}))
        finally:
            self._papers.labels(result).inc()

    async def _receipt(self, _: _core.Request, __: _core.Peer, name: str, ___: Body) -> Answer:
        if not _ID.fullmatch(name):
            return self.refuse(problems.PATH)
        receipt = await self._intake.receipt(bytes.fromhex(name))
        if receipt is None:
            return self.refuse(problems.NOT_LOGGED)
        return self._answers.receipt(receipt)

    async def _present(self, _: _core.Request, peer: _core.Peer, __: str, ___: Body) -> Answer:
        return self._answers.json(_encode(await self._intake.present(peer)))


def is_upload(request: _core.Request) -> bool:
    """Whether a statement is brought: what a box must be able to do, whatever else comes under its name."""
    return request.method == "POST" and request.path == STATEMENTS


def _route(handlers: Mapping[str, Handler]) -> _Route:
    methods = " or ".join(handlers)
    return _Route(handlers, Problem("request.method", f"this path takes {methods}", "fix"))
