"""The ledger on SQLite: one process owns the file, one transaction a batch, one error ends it.

What lives here: `open_ledger`, which proves the past and opens the log, and `SqliteLedger`.

The system calls of `append`, as `strace` shows them (docs/ledger.md has the whole story)::

    pwrite64(ledger.sqlite-wal, …) …       every changed page, the last frame marked as a commit
    fdatasync(ledger.sqlite-wal)           then, and only then, append returns

and of a checkpoint, before the batch that finds `CHECKPOINT_PAGES` in the WAL::

    fdatasync(ledger.sqlite-wal)
    pwrite64(ledger.sqlite, …) …
    fdatasync(ledger.sqlite)               then the WAL is written from its start again

Who guards what: `_mutex` guards the connection, the tree and everything that changes with a commit. `_head`
and `_failure` are replaced under it and may be read without it; `_refusals` is a deque of its own.
"""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import apsw
import msgspec

from gateway import _core
from gateway.base.clock import Clock
from gateway.base.errors import TallygateError
from gateway.base.files import PRIVATE_FILE, sync_directory
from gateway.base.limits import REFUSALS_KEPT
from gateway.ledger.judge import SIGNATURE, Known, Place, judge
from gateway.ledger.opening import Opening, members, read_opening
from gateway.ledger.owner import OwnerLock
from gateway.ledger.protocol import (
    MAX_EXCERPT,
    OPENING_ROUTE,
    Attachment,
    Entry,
    Head,
    Last,
    LedgerFailedError,
    Logged,
    Named,
    Outcome,
    Receipt,
    Refusal,
    Refused,
    Submission,
)
from gateway.ledger.recovery import Past, Site, prove, read_anew
from gateway.ledger.schema import DECISION, PACKET, Row, require_version, rows, seal, set_up, value

_T = TypeVar("_T")

# Pages (of 4 KiB) in the WAL from which on the next batch is preceded by a checkpoint: 16 MiB are written
# back in well under a second, and a crash leaves no more than that to read.
CHECKPOINT_PAGES: Final = 4_096
# Refusals that wait for the next batch, the newest of them.
_REFUSALS_WAITING: Final = 1_024
# Rows of one INSERT. A batch is written in the fewest statements, because each gives the GIL away and has to
# wait for it again; powers of two, so that eight prepared statements serve every batch.
_MOST_ROWS: Final = 128
_ENTRY: Final = "(?,?,?,?,?,?,?,?,?)"

_FILE: Final = "ledger.sqlite"

# How a disk shows that it is failing: a flipped bit may also turn a text into something else.
_DISK: Final = (apsw.Error, OSError, UnicodeDecodeError)

_NOT_OPEN: Final = Refused(
    "log.not_open", "the commission has not opened the log yet; send the same bytes again later", "later"
)

_FIND_IDS: Final = (
    "SELECT json_group_array(json_array(hex(id), idx)) FROM entry "
    "WHERE id IN (SELECT unhex(value) FROM json_each(?))"
)
_COUNT_ENTRIES: Final = (
    "SELECT json_group_array(json_array(signer, route, entries)) FROM ("
    "SELECT signer, route, count(*) AS entries FROM entry WHERE kind = ? "
    "AND signer IN (SELECT value FROM json_each(?)) GROUP BY signer, route)"
)
_FIND_PAYLOADS: Final = (
    "SELECT DISTINCT signer, sequence, substr(statement, 1, length(statement) - ?) "
    "FROM json_each(?) AS wanted CROSS JOIN entry INDEXED BY entry_signer "
    "ON kind = ? AND signer = wanted.value ->> 0 AND sequence = wanted.value ->> 1"
)
_LAST: Final = (
    "SELECT sequence, id FROM entry WHERE kind = ?1 AND signer = ?2 AND sequence = ("
    "SELECT max(sequence) FROM entry WHERE kind = ?1 AND signer = ?2) ORDER BY idx LIMIT 1"
)


def open_ledger(
    data: Path, site: Site, log_seed: bytes, *, clock: Clock, now: Clock, refusals_kept: int = REFUSALS_KEPT
) -> "SqliteLedger":
    """Takes the ledger of a night, proves its past, and opens the log where it is empty.

    Without any file in ``data/opening`` an empty ledger stays empty: it answers ``log.not_open`` to all.

    Args:
        data: the folder ``data`` of the night.
        site: what the ledger has to know of the night.
        log_seed: the content of ``keys/log.key``.
        clock: the election's, for the time of the opening.
        now: the machine's, for the lock.
        refusals_kept: rows of refused uploads; the oldest make room.

    Raises:
        TallygateError: ``ledger.owned``, ``ledger.damaged``, ``ledger.behind``, ``ledger.published``,
            ``ledger.sqlite``, ``ledger.setting``, ``ledger.version``, ``opening.*``.
        LedgerFailedError: the disk does not read or write.
    """
    if _core.public_key(log_seed) != site.log_key:
        raise ValueError("the seed is not that of the site's log key")
    with contextlib.ExitStack() as undo:
        connection = undo.enter_context(_taken(data, now))
        past = prove(connection, site)
        ledger = SqliteLedger(connection, log_seed, members(site.definition), past, refusals_kept)
        if past is None and any((data / "opening").glob("*.cose")):
            opening = read_opening(data / "opening", site.definition, site.log_key, site.roster)
            ledger.open_log(opening, clock())
        ledger.own(undo.pop_all())
        return ledger


def verify_ledger(data: Path, site: Site, *, now: Clock) -> Head | None:
    """Proves the ledger of a stopped night as a start does, and besides lets SQLite check its whole file.

    Returns:
        The proved head; None where the ledger is empty.

    Raises:
        TallygateError: as `open_ledger`; also ``ledger.missing``.
    """
    if not (data / _FILE).exists():
        raise TallygateError("ledger.missing", "there is no ledger here yet", place=str(data / _FILE))
    with _taken(data, now) as connection:
        past = prove(connection, site)
        found = value(connection, "PRAGMA integrity_check(1)")
        if found != "ok":
            raise apsw.CorruptError(str(found))
        return None if past is None else past.head


@contextlib.contextmanager
def _taken(data: Path, now: Clock) -> Iterator[apsw.Connection]:
    """The lock and the file, given back when the block ends; errors of the block in our words."""
    require_version()
    file = data / _FILE
    try:
        with (
            OwnerLock(data / "ledger.lock", now()),
            read_anew([file, file.with_name(f"{_FILE}-wal")]),
            contextlib.closing(_connect(file)) as connection,
        ):
            set_up(connection)
            sync_directory(data)
            yield connection
    except _DISK as error:
        raise _at_start(error, file) from error


def _connect(file: Path) -> apsw.Connection:
    # SQLite would make it for everybody to read; its -wal takes the mode of the file.
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE))
    return apsw.Connection(str(file))


def _at_start(error: apsw.Error | OSError | UnicodeDecodeError, file: Path) -> TallygateError:
    if isinstance(error, apsw.BusyError):
        return TallygateError(
            "ledger.owned",
            "another program has this file open (a copy or a database browser?): close it first",
            place=str(file),
        )
    if isinstance(error, apsw.CorruptError | apsw.NotADBError | UnicodeDecodeError):
        return TallygateError(
            "ledger.damaged",
            f"SQLite cannot read the file ({error}). Change nothing, copy the folder data to another disk, "
            'and follow "When it refuses to start" in docs/ledger.md',
            place=str(file),
        )
    return LedgerFailedError(
        f"the disk does not read or write: {_words(error)}. See its health first", place=str(file)
    )


class _Log(NamedTuple):
    """What checkpoints are signed with, once decision 1 has named the log."""

    origin: str
    signer: _core.NoteSigner


class SqliteLedger:
    """A `gateway.ledger.protocol.Ledger`; made by `open_ledger` alone."""

    def __init__(
        self,
        connection: apsw.Connection,
        log_seed: bytes,
        members: dict[bytes, int],
        past: Past | None,
        refusals_kept: int,
    ) -> None:
        self._connection = connection
        self._owned = contextlib.ExitStack()
        self._log_seed = log_seed
        self._members = members
        self._tree = _core.Tree() if past is None else past.tree
        self._committed = Head(0, self._tree.root(), "") if past is None else past.head
        self._log = None if past is None else _Log(past.origin, _core.NoteSigner(past.origin, log_seed))
        self._refusals_kept = refusals_kept
        self._refusals: deque[Refusal] = deque(maxlen=_REFUSALS_WAITING)
        self._mutex = threading.Lock()
        self._failure: LedgerFailedError | None = None
        self._wal_pages = 0
        connection.set_wal_hook(self._after_commit)

    def own(self, owned: contextlib.ExitStack) -> None:
        """Takes over what `close` gives back: the file and its lock."""
        owned.callback(self._connection.set_wal_hook, None)
        self._owned = owned

    @property
    def vkey(self) -> str | None:
        """See `gateway.ledger.protocol.Ledger.vkey`."""
        return None if self._log is None else self._log.signer.vkey

    def open_log(self, opening: Opening, received_at: int) -> None:
        """Makes the k signatures of decision 1 the first entries of the empty log.

        Raises:
            LedgerFailedError: a write failed.
            ValueError: the log is open.
        """
        with self._serving("opening the log"):
            if self._committed.size:
                raise ValueError("the log is open")
            log = _Log(opening.origin, _core.NoteSigner(opening.origin, self._log_seed))
            fresh = [Submission(one, received_at, OPENING_ROUTE, None) for one in opening.statements]
            with self._transaction():
                head = self._write(fresh, log)
                self._execute("COMMIT")
                self._committed, self._log = head, log

    def append(self, batch: Sequence[Submission]) -> list[Outcome]:
        """See `gateway.ledger.protocol.Ledger.append`."""
        with self._serving("appending"):
            if self._log is None:
                return [_NOT_OPEN] * len(batch)
            if self._wal_pages >= CHECKPOINT_PAGES:
                self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)
            places = self._places([submission.statement.id for submission in batch])
            unknown = [submission for submission in batch if submission.statement.id not in places]
            verdict = judge(batch, places, self._known(unknown), self._committed.size)
            if verdict.fresh:
                with self._transaction():
                    head = self._write(verdict.fresh, self._log)
                    self._execute("COMMIT")
                    self._committed = head
            return [
                Logged(answer.standing, self._receipt(answer.entry)) if isinstance(answer, Place) else answer
                for answer in verdict.answers
            ]

    def head(self) -> Head | None:
        """See `gateway.ledger.protocol.Ledger.head`."""
        if self._failure is not None:
            raise LedgerFailedError(self._failure.detail)
        head = self._committed
        return head if head.size else None

    def receipt(self, id: bytes) -> Receipt | None:  # noqa: A002 - the word of the format
        """See `gateway.ledger.protocol.Ledger.receipt`."""
        with self._serving("looking up an id"):
            index = self._places([id]).get(id)
            return None if index is None else self._receipt(index)

    def entries(self, start: int, end: int) -> list[Entry]:
        """See `gateway.ledger.protocol.Ledger.entries`."""
        with self._serving("reading entries"):
            end = min(end, self._committed.size)
            sql = (
                "SELECT idx, statement, received_at, route FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx"
            )
            found = []
            for expected, row in enumerate(rows(self._connection, sql, (start, end)), start):
                match row:
                    case (int() as idx, bytes() as statement, int() as at, str() as route) if idx == expected:
                        found.append(Entry(idx, statement, at, route))
                    case _:
                        raise apsw.CorruptError(f"entry {expected} is not where it was")
            if len(found) != max(0, end - start):
                raise apsw.CorruptError(f"entry {start + len(found)} is not where it was")
            return found

    def last(self, device: int) -> Last | None:
        """See `gateway.ledger.protocol.Ledger.last`."""
        with self._serving("looking up a device"):
            for row in rows(self._connection, _LAST, (PACKET, device)):
                match row:
                    case (int() as sequence, bytes() as identity):
                        return Last(sequence, identity)
            return None

    def refuse(self, refusal: Refusal) -> None:
        """See `gateway.ledger.protocol.Ledger.refuse`."""
        self._refusals.append(refusal)

    def refusals(self, limit: int) -> list[Refusal]:
        """See `gateway.ledger.protocol.Ledger.refusals`."""
        with self._serving("reading refusals"):
            sql = "SELECT at, code, device, sha256, excerpt FROM refusal ORDER BY number DESC LIMIT ?"
            found = []
            for row in rows(self._connection, sql, (limit,)):
                match row:
                    case (
                        int() as at,
                        str() as code,
                        int() | None as device,
                        bytes() as sha,
                        bytes() as excerpt,
                    ):
                        found.append(Refusal(at, code, device, sha, excerpt))
            return found

    def named(self, sha256: bytes) -> list[Named]:
        """See `gateway.ledger.protocol.Ledger.named`."""
        with self._serving("looking up a paper"):
            sql = "SELECT device, station, media, size FROM named WHERE sha256 = ?"
            found = []
            for row in rows(self._connection, sql, (sha256,)):
                match row:
                    case (int() as device, int() as station, int() as media, int() as size):
                        found.append(Named(device, station, media, size))
            return found

    def store_attachment(self, attachment: Attachment) -> None:
        """See `gateway.ledger.protocol.Ledger.store_attachment`."""
        with self._serving("noting a paper"), self._transaction():
            row = (attachment.sha256, attachment.size, attachment.media, attachment.received_at)
            self._execute("INSERT OR IGNORE INTO attachment VALUES (?,?,?,?,?)", (*row, seal(row)))
            self._execute("COMMIT")

    def attachment(self, sha256: bytes) -> Attachment | None:
        """See `gateway.ledger.protocol.Ledger.attachment`."""
        with self._serving("looking up a paper"):
            sql = "SELECT size, media, received_at FROM attachment WHERE sha256 = ?"
            for row in rows(self._connection, sql, (sha256,)):
                match row:
                    case (int() as size, int() as media, int() as received_at):
                        return Attachment(sha256, size, media, received_at)
            return None

    def close(self) -> None:
        """See `gateway.ledger.protocol.Ledger.close`. After a failure nothing is written; twice is once."""
        with self._mutex:
            try:
                if self._failure is None:
                    if self._refusals:
                        with self._transaction():
                            self._write_refusals()
                            self._execute("COMMIT")
                    self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except _DISK as error:
                raise self._fail("closing", error) from error
            finally:
                self._failure = self._failure or LedgerFailedError("the ledger is closed")
                self._owned.close()

    # --- under the mutex ---

    @contextlib.contextmanager
    def _serving(self, doing: str) -> Iterator[None]:
        """Takes the mutex; the first error of SQLite or the system ends the ledger."""
        with self._mutex:
            if self._failure is not None:
                raise LedgerFailedError(self._failure.detail)
            try:
                yield
            except _DISK as error:
                raise self._fail(doing, error) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Undoes what was not committed, in the tree too. The block commits, and then replaces the head."""
        size = self._tree.size
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException as error:
            if not self._connection.in_transaction:
                # The commit was tried, or SQLite gave up by itself: only a restart can say what is there.
                raise self._fail("committing", error) from error
            try:
                self._execute("ROLLBACK")
                self._tree.truncate(size)
            except BaseException as fault:
                # Half undone: nobody may be answered from what is uncommitted.
                raise self._fail("undoing a batch", fault) from fault
            raise

    def _fail(self, doing: str, error: BaseException) -> LedgerFailedError:
        self._failure = LedgerFailedError(
            f"{doing} failed ({_words(error)}): nothing is acknowledged any more. The process has to end; "
            "the next start proves what is on the disk. See the disk's health and free space first"
        )
        return self._failure

    def _execute(self, sql: str, bindings: Row = ()) -> None:
        self._connection.execute(sql, bindings)

    def _after_commit(self, connection: apsw.Connection, name: str, pages: int) -> int:
        del connection, name
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self, mode: int) -> None:
        pages, written = self._connection.wal_checkpoint("main", mode)
        if pages != written:
            raise apsw.IOError(f"a checkpoint wrote {written} of {pages} pages")
        self._wal_pages = 0

    def _receipt(self, index: int) -> Receipt:
        head = self._committed
        return Receipt(index, self._tree.inclusion(index, head.size), head.note)

    def _places(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """The index of each id that the log holds."""
        wanted = msgspec.json.encode([identity.hex() for identity in ids]).decode()
        found = self._json(_FIND_IDS, (wanted,), list[tuple[str, int]])
        return {bytes.fromhex(identity): index for identity, index in found}

    def _known(self, batch: Sequence[Submission]) -> Known:
        """What quotas and conflicts of these new statements depend on."""
        statements = [one.statement for one in batch]
        packets = [(one.device, one.sequence) for one in statements if one.device is not None]
        if not packets:
            return Known({}, {})
        devices = msgspec.json.encode(list({device for device, _ in packets})).decode()
        counted = self._json(_COUNT_ENTRIES, (PACKET, devices), list[tuple[int, str, int]])
        payloads: dict[tuple[int, int], list[bytes]] = {}
        wanted = msgspec.json.encode(list(set(packets))).decode()
        for row in rows(self._connection, _FIND_PAYLOADS, (SIGNATURE, wanted, PACKET)):
            match row:
                case (int() as device, int() as sequence, bytes() as content):
                    payloads.setdefault((device, sequence), []).append(content)
        return Known(payloads, {(device, route): entries for device, route, entries in counted})

    def _json(self, sql: str, bindings: Row, shape: type[_T]) -> _T:
        """The one JSON document that a query answers: one row is one turn of the GIL, whatever it holds."""
        found = value(self._connection, sql, bindings)
        if not isinstance(found, str):
            raise apsw.CorruptError("SQLite does not answer in JSON")
        return msgspec.json.decode(found, type=shape)

    def _write(self, fresh: Sequence[Submission], log: "_Log") -> Head:
        """Inserts the entries, extends the tree, signs the new head and puts it in the old one's place."""
        begin = self._committed.size
        statements = [one.statement for one in fresh]
        leaves = [statement.leaf_hash for statement in statements]
        bindings: list[Row] = [
            (
                begin + n,
                statement.id,
                leaf,
                statement.encoded,
                *self._signer_of(statement),
                one.received_at,
                one.route,
            )
            for n, (one, statement, leaf) in enumerate(zip(fresh, statements, leaves, strict=True))
        ]
        at = 0
        while at < len(bindings):
            count = min(_MOST_ROWS, 1 << (len(bindings) - at).bit_length() - 1)
            values = ",".join([_ENTRY] * count)
            part = tuple(cell for row in bindings[at : at + count] for cell in row)
            self._execute(f"INSERT INTO entry VALUES {values}", part)  # noqa: S608 - placeholders only
            at += count
        self._write_names(statements)
        self._write_refusals()
        self._tree.append(leaves)
        head = self._sign(log)
        self._execute("INSERT OR REPLACE INTO head VALUES (1,?,?,?)", (head.size, head.root, head.note))
        return head

    def _sign(self, log: "_Log") -> Head:
        """Signs the tree's head, but only over the committed one."""
        committed = self._committed
        if self._tree.size < committed.size or self._tree.root(committed.size) != committed.root:
            raise apsw.CorruptError("the tree in memory does not extend the committed head")
        size, root = self._tree.size, self._tree.root()
        return Head(size, root, log.signer.sign(_core.Checkpoint(log.origin, size, root).text))

    def _signer_of(self, statement: _core.Statement) -> tuple[int, int, int]:
        """The columns signer, sequence, kind: a decision's are its member's and its own number."""
        if statement.device is not None and statement.sequence is not None:
            return statement.device, statement.sequence, PACKET
        member = self._members.get(statement.kid)
        number = statement.content[2]
        if member is None or not isinstance(number, int):
            raise ValueError("a decision of somebody who is not a member was taken for verified")
        return member, number, DECISION

    def _write_names(self, statements: Sequence[_core.Statement]) -> None:
        for statement in statements:
            if statement.device is None or statement.station is None:
                continue
            for sha256, media, size, _, _ in statement.attachments:
                row = (sha256, statement.device, statement.station, media, size)
                self._execute("INSERT OR IGNORE INTO named VALUES (?,?,?,?,?,?)", (*row, seal(row)))

    def _write_refusals(self) -> None:
        if not self._refusals:
            return
        newest = value(self._connection, "SELECT max(number) FROM refusal")
        number = newest if isinstance(newest, int) else 0
        while self._refusals:
            one = self._refusals.popleft()
            number += 1
            row = (number, one.at, one.code, one.device, one.sha256, one.excerpt[:MAX_EXCERPT])
            self._execute("INSERT INTO refusal VALUES (?,?,?,?,?,?,?)", (*row, seal(row)))
        self._execute("DELETE FROM refusal WHERE number <= ?", (number - self._refusals_kept,))


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
