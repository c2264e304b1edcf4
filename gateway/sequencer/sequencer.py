"""Adaptive group commit: what waits becomes one batch, and while that commits the next one gathers.

What lives here: `Sequencer`, which stands behind the box port (`gateway.sequencer.protocol.Intake`). No timer
and no linger: at low load a statement is a batch of its own, at high load batches form by themselves.

Who runs what: `run` is one task. It swaps the queue out and gives the batch to one thread, which checks
(signatures in Rust, on all cores, without the GIL), asks the door, appends and learns decisions; only it
changes the council. Then the task, on the event loop, wakes those who wait. A waiter that is cancelled leaves
the queue while its upload waits there; from a batch that is being committed nothing can be taken back.
"""

import contextlib
import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeVar

import trio

from gateway import _core
from gateway.base.clock import SECOND, Clock
from gateway.base.config import Limits
from gateway.base.errors import CoreError
from gateway.base.logs import Log
from gateway.base.metrics import IngestMetrics
from gateway.ledger.protocol import (
    MAX_EXCERPT,
    Attachment,
    Ledger,
    LedgerFailedError,
    Logged,
    Outcome,
    Receipt,
    Refusal,
    Refused,
    Retry,
    Submission,
)
from gateway.sequencer.council import Council, Decision
from gateway.sequencer.door import DEVICES, Door
from gateway.sequencer.protocol import (
    DeviceNow,
    LastPacket,
    Paper,
    Peer,
    Present,
    RefusalNow,
    StationNow,
)
from gateway.sequencer.worker import Worker

_T = TypeVar("_T")

# Threads that look up receipts and devices. They share the ledger's mutex with the batches: a flood of
# questions may delay a batch by so many of them, each well under a millisecond.
_READERS: Final = 2

# Refusals that an operator is shown of one station's devices.
REFUSALS_SHOWN: Final = 20

# Seconds between two transactions for refusals alone: what a flood of them costs beside the accepted.
REFUSALS_SECONDS: Final = 2

# What the checks of the bytes refuse, and whether the same bytes can ever be taken (docs/box-port.md).
_RETRY: Final[dict[str, Retry]] = {
    "statement.malformed": "never",
    "statement.unknown_device": "later",
    "statement.signature": "never",
    "server.fault": "later",
}

_OVERLOAD: Final = Refused(
    "limit.overload",
    "more statements wait than the gateway can store at once; send the same bytes again",
    "later",
)
_STOPPING: Final = Refused(
    "limit.overload", "the gateway is being stopped; send the same bytes again later", "later"
)
_FAULT: Final = Refused(
    "server.fault",
    "the gateway has failed at this, not the statement; send the same bytes again later",
    "later",
)


class _Upload:
    """A statement that somebody waits for.

    Attributes:
        task: who waits; None once nobody does.
        answer: what became of it; None before that, and for good where the ledger has failed.
    """

    __slots__ = ("answer", "peer", "statement", "task")

    def __init__(self, statement: bytes, peer: Peer) -> None:
        self.statement = statement
        self.peer = peer
        self.task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        self.answer: Outcome | None = None


class _RoundError(Exception):
    """Around what a round raised: a panic of the core is no Exception, and would end the whole program."""


class Sequencer:
    """Made and used in one Trio run.

    Args:
        ledger: open; nobody else appends to it.
        council: of this ledger; nobody else changes it.
        clock: the election's, ms.
        timer: seconds from some start, never back: how long commits take.
        limits: of queue, batch and entries.
        metrics: of which statements, commits, batches, entries and faults are counted here.
        log: is told of refusals, conflicts and faults.
        on_commit: is called on the event loop whenever the ledger has a new head.
    """

    def __init__(
        self,
        ledger: Ledger,
        council: Council,
        *,
        clock: Clock,
        timer: Callable[[], float],
        limits: Limits,
        metrics: IngestMetrics,
        log: Log,
        on_commit: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._council = council
        self._definition = council.definition
        self._clock = clock
        self._timer = timer
        self._limits = limits
        self._metrics = metrics
        self._log = log
        self._on_commit = on_commit
        self._door = Door(council.definition, council.roster, limits)
        # A dict keeps the order and lets go of whoever is cancelled, at once and anywhere.
        self._waiting: dict[_Upload, None] = {}
        self._work = trio.Event()
        self._look_for_rosters = False
        self._closing = False
        self._ended = trio.Event()
        self._failure: LedgerFailedError | None = None
        self._readers = trio.CapacityLimiter(_READERS)
        self._token = trio.lowlevel.current_trio_token()
        # The timer's time of the last transaction for refusals alone.
        self._refusals_written = -math.inf
        head = ledger.head()
        self._size = 0 if head is None else head.size
        metrics.entries.set(self._size)
        metrics.last_statement.set(clock() / SECOND)
        metrics.queue_limit.set(limits.queue_statements)

    # --- What the box port asks ---

    async def submit(self, statement: bytes, peer: Peer) -> Outcome:
        """See `gateway.sequencer.protocol.Intake.submit`."""
        self._raise_failure()
        if self._closing or len(self._waiting) >= self._limits.queue_statements:
            await trio.lowlevel.checkpoint()
            answer = _STOPPING if self._closing else _OVERLOAD
            self._metrics.statements.labels(answer.code).inc()
            return answer
        upload = _Upload(statement, peer)

        def abandon(_: object) -> trio.lowlevel.Abort:
            upload.task = None
            self._waiting.pop(upload, None)
            return trio.lowlevel.Abort.SUCCEEDED

        self._waiting[upload] = None
        self._work.set()
        await trio.lowlevel.wait_task_rescheduled(abandon)
        if upload.answer is None:
            self._raise_failure()
            raise RuntimeError("an upload was woken without an answer")
        return upload.answer

    async def receipt(self, id: bytes) -> Receipt | None:  # noqa: A002 - the word of the format
        """See `gateway.sequencer.protocol.Intake.receipt`."""
        return await self._read(lambda: self._ledger.receipt(id))

    async def present(self, peer: Peer) -> Present:
        """See `gateway.sequencer.protocol.Intake.present`."""
        return await self._read(lambda: self._present(peer))

    async def station(self, number: int) -> StationNow | None:
        """How the gateway sees a station now, for operators; None: there is none such.

        Raises:
            LedgerFailedError: the ledger has failed.
        """
        return await self._read(lambda: self._station(number))

    async def paper(self, sha256: bytes, peer: Peer) -> Paper:
        """See `gateway.sequencer.protocol.Intake.paper`."""
        return await self._read(lambda: self._paper(sha256, peer))

    async def store_paper(self, sha256: bytes, size: int, media: int) -> None:
        """See `gateway.sequencer.protocol.Intake.store_paper`."""
        stored = Attachment(sha256, size, media, self._clock())
        await self._read(lambda: self._ledger.store_attachment(stored), "append")

    async def _read(self, ask: Callable[[], _T], operation: Literal["append", "read"] = "read") -> _T:
        self._raise_failure()

        def in_thread() -> _T:
            try:
                return ask()
            except LedgerFailedError as error:
                # Said from here: whoever asked may have given up.
                with contextlib.suppress(trio.RunFinishedError):
                    self._token.run_sync_soon(self._fail, operation, error)
                raise

        # Whoever asks may be cancelled while the disk does not answer; the thread then ends alone.
        return await trio.to_thread.run_sync(
            in_thread, thread_name="tallygate-read", limiter=self._readers, abandon_on_cancel=True
        )

    def _present(self, peer: Peer) -> Present:
        """In a thread of the readers."""
        device = peer.id if peer.role in DEVICES else None
        last = None if device is None else self._ledger.last(device)
        door = self._door
        return Present(
            role=peer.role,
            id=peer.id,
            device=device,
            area=door.area(peer),
            stations=() if device is None else self._council.assigned(device),
            last=None if last is None else LastPacket(last.sequence, last.id.hex()),
            server_time=self._clock(),
            election=self._definition.id,
            mode=self._definition.mode,
            definition=self._definition.hash.hex(),
            roster=door.roster.hash.hex(),
        )

    def _station(self, number: int) -> StationNow | None:
        """In a thread of the readers."""
        closes_at = self._council.closes_at(number)
        if closes_at is None:
            return None
        devices = []
        for device, revoked in self._council.posted(number):
            last = self._ledger.last(device.number)
            logged = None if last is None else LastPacket(last.sequence, last.id.hex())
            devices.append(DeviceNow(device.number, device.kind, device.serial, revoked, logged))
        refused = self._ledger.refusals_of([one.device for one in devices], REFUSALS_SHOWN)
        return StationNow(
            station=number,
            closes_at=closes_at,
            cancelled=self._council.is_cancelled(number),
            devices=tuple(devices),
            refusals=tuple(
                RefusalNow(one.at, one.code, one.device or 0, one.sha256.hex()) for one in refused
            ),
        )

    def _paper(self, sha256: bytes, peer: Peer) -> Paper:
        """In a thread of the readers."""
        door = self._door
        named = tuple(one for one in self._ledger.named(sha256) if door.brings(peer, one))
        stored = self._ledger.attachment(sha256) is not None
        return Paper(named, stored, {one.device: door.paper_quota(one.device) for one in named})

    # --- The one task ---

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commits batch after batch until `close`; a cancellation lets the batch end that is under way.

        Raises:
            LedgerFailedError: some call of the ledger has failed, also one of `receipt` or `present`.
            RuntimeError: the system has no thread to give, before anything is committed.
        """
        try:
            with Worker("tallygate-commit") as committer:
                task_status.started()
                while True:
                    self._raise_failure()
                    if self._waiting or self._look_for_rosters:
                        await self._round(committer)
                        await trio.lowlevel.checkpoint_if_cancelled()
                    elif self._closing:
                        return
                    else:
                        self._work = trio.Event()
                        await self._work.wait()
        finally:
            self._closing = True
            for upload in self._waiting:
                if self._failure is None:
                    upload.answer = _STOPPING
                _wake(upload)
            self._waiting.clear()
            self._ended.set()

    def look_for_rosters(self) -> None:
        """Looks again for rosters that are missing, before the next batch (SIGHUP)."""
        self._look_for_rosters = True
        self._work.set()

    async def close(self) -> None:
        """Takes nothing any more, and returns when what was taken is decided and `run` has ended."""
        self._closing = True
        self._work.set()
        await self._ended.wait()

    async def _round(self, committer: Worker) -> None:
        batch = self._next_batch()
        look, self._look_for_rosters = self._look_for_rosters, False
        try:
            # To its end, whatever happens to this task: who was taken out of the queue is decided.
            await committer.call(lambda: self._in_thread(batch, look))
        except LedgerFailedError as error:
            self._fail("append", error)
            raise
        except Exception as error:
            self._note_fault(error.__cause__ or error, statements=len(batch))
            for upload in batch:
                upload.answer = upload.answer or _FAULT
        finally:
            for upload in batch:
                _wake(upload)
        self._notice_head()
        self._count(batch)

    def _next_batch(self) -> list[_Upload]:
        batch = list(itertools.islice(self._waiting, self._limits.batch_statements))
        for upload in batch:
            del self._waiting[upload]
        return batch

    def _notice_head(self) -> None:
        try:
            head = self._ledger.head()
        except LedgerFailedError as error:
            self._fail("read", error)
            return
        size = 0 if head is None else head.size
        if size != self._size:
            self._size = size
            self._metrics.entries.set(size)
            self._on_commit()

    def _count(self, batch: Sequence[_Upload]) -> None:
        outcomes = Counter(
            answer.standing if isinstance(answer, Logged) else answer.code
            for upload in batch
            if (answer := upload.answer) is not None
        )
        for outcome, number in outcomes.items():
            self._metrics.statements.labels(outcome).inc(number)
        if outcomes["accepted"]:
            self._metrics.last_statement.set(self._clock() / SECOND)

    def _fail(self, operation: str, error: LedgerFailedError) -> None:
        """Notes that the ledger is over: `run` raises it, and everybody who asks from now on gets it.

        Behind the end of `run` the ledger may be closed: a thread of the readers that finds it so has not
        found a failure.
        """
        if self._failure is None and not self._ended.is_set():
            self._failure = error
            self._metrics.ledger_failures.labels(operation).inc()
            self._log("ledger.failed", words=error.detail)
            self._work.set()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            # A new one each: a traceback belongs to one task.
            raise LedgerFailedError(self._failure.detail, place=self._failure.place)

    # --- In the thread that commits ---

    def _in_thread(self, batch: Sequence[_Upload], look: bool) -> None:
        try:
            self._govern(self._council.catch_up)
            if look:
                self._govern(self._council.look_for_rosters)
            if not self._commit(batch):
                self._attempt(self._write_refusals)
        except LedgerFailedError:
            raise
        except BaseException as error:
            # A decision may be in the log that nobody has learned.
            self._council.doubt()
            raise _RoundError from error

    def _govern(self, change: Callable[[], None]) -> None:
        """Lets the council change. If it cannot, statements are still stored, under what it knew before."""
        self._attempt(change)
        if self._council.roster is not self._door.roster:
            self._door = Door(self._definition, self._council.roster, self._limits)

    def _attempt(self, act: Callable[[], None]) -> None:
        """Does what no answer depends on: a fault of it is noted."""
        try:
            act()
        except LedgerFailedError:
            raise
        except BaseException as error:
            self._note_fault(error)

    def _note_fault(self, error: BaseException, *, statements: int = 0) -> None:
        self._metrics.faults.inc()
        self._log.fault("sequencer.fault", error, statements=statements)

    def _commit(self, batch: Sequence[_Upload]) -> bool:
        """Decides every upload of the batch; what it has answered before it raises stands.

        Returns:
            Whether something new is in the log, and refusals with it.
        """
        now = self._clock()
        admitted: list[_Upload] = []
        submissions: list[Submission] = []
        for upload, verdict in zip(batch, self._check(batch), strict=True):
            if isinstance(verdict, CoreError):
                if verdict.code == _FAULT.code:
                    self._note_fault(verdict, statements=1)
                self._refuse(upload, _refused(verdict), now, None)
                continue
            try:
                admission = self._admit(upload.peer, verdict, now)
            except BaseException as error:
                self._note_fault(error, statements=1)
                admission = _FAULT
            if isinstance(admission, Refused):
                self._refuse(upload, admission, now, verdict)
            else:
                admitted.append(upload)
                submissions.append(admission)
        answers = self._append(submissions) if submissions else []
        new = False
        decisions: list[Decision] = []
        for upload, submission, answer in zip(admitted, submissions, answers, strict=True):
            if isinstance(answer, Refused):
                self._refuse(upload, answer, now, submission.statement)
            else:
                upload.answer = answer
                if answer.standing != "duplicate":
                    new = True
                    self._note_new(submission, answer, decisions)
        if decisions:
            self._govern(lambda: self._council.learn(decisions))
        return new

    def _append(self, submissions: Sequence[Submission]) -> Sequence[Outcome]:
        """Appends; a statement with which that fails does not take its batch along each time it comes.

        Half and half, not one by one: a thousand commits would outlast everybody's patience.
        """
        started = self._timer()
        try:
            answers = self._ledger.append(submissions)
        except LedgerFailedError:
            raise
        except BaseException as error:
            # Behind its commit too something may fail: what is new then comes back as a duplicate.
            self._council.doubt()
            alone = len(submissions) == 1
            self._note_fault(error, statements=int(alone))
            if alone:
                return [_FAULT]
            middle = len(submissions) // 2
            return [*self._append(submissions[:middle]), *self._append(submissions[middle:])]
        self._metrics.commit.observe(self._timer() - started)
        self._metrics.batch.observe(len(submissions))
        return answers

    def _write_refusals(self) -> None:
        """Otherwise a night in which everything is refused would leave nothing to look at."""
        now = self._timer()
        if now - self._refusals_written >= REFUSALS_SECONDS:
            self._refusals_written = now
            self._ledger.write_refusals()

    def _admit(self, peer: Peer, statement: _core.Statement, now: int) -> Submission | Refused:
        """What the door says of a verified statement."""
        refused = self._door.refusal(statement, peer, now, self._council.closes_at)
        if refused is not None:
            return refused
        quota = self._door.quota(statement, self._council.spoken)
        station_bytes = self._limits.station_bytes_per_device
        return Submission(statement, now, f"{peer.role}:{peer.id}", quota, station_bytes)

    def _note_new(self, submission: Submission, answer: Logged, decisions: list[Decision]) -> None:
        statement = submission.statement
        if answer.standing == "conflict":
            self._log(
                "statement.conflict",
                device=statement.device,
                sequence=statement.sequence,
                index=answer.receipt.index,
                route=submission.route,
            )
        if statement.device is None:
            decisions.append(Decision(answer.receipt.index, statement))

    def _check(self, batch: Sequence[_Upload]) -> list[_core.Statement | CoreError]:
        """The checks from size to signature, of equal bytes once."""
        council = self._council
        statements = [upload.statement for upload in batch]
        different = dict.fromkeys(statements)
        if len(different) == len(statements):
            return _core.check_statements(statements, council.definition, council.roster)
        verdicts = _core.check_statements(list(different), council.definition, council.roster)
        known = dict(zip(different, verdicts, strict=True))
        return [known[statement] for statement in statements]

    def _refuse(self, upload: _Upload, refused: Refused, now: int, statement: _core.Statement | None) -> None:
        upload.answer = refused
        peer, content = upload.peer, upload.statement
        # A statement's device where it is certain; else whose certificate it is.
        device = statement.device if statement is not None else (peer.id if peer.role in DEVICES else None)
        sha256 = statement.id if statement is not None else hashlib.sha256(content).digest()
        route = f"{peer.role}:{peer.id}"
        self._ledger.refuse(Refusal(now, refused.code, device, sha256, content[:MAX_EXCERPT]), route)
        self._log("statement.refused", code=refused.code, route=route)


def _refused(error: CoreError) -> Refused:
    detail = error.detail
    if error.rule is not None:
        detail = f"{detail} (rule {error.rule}, byte {error.offset})"
    return Refused(error.code, detail, _RETRY.get(error.code, "later"))


def _wake(upload: _Upload) -> None:
    task, upload.task = upload.task, None
    if task is not None:
        trio.lowlevel.reschedule(task)
