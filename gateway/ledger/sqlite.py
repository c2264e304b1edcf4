"""The ledger on SQLite: one process owns the file, one transaction a batch, one error ends it.

What lives here: `open_ledger`, which proves the past and opens the log, and `SqliteLedger`.

The system calls of `append`, as `strace` shows them (docs/ledger.md has the whole story)::

    pwrite64(ledger.sqlite-wal, …) …       every changed page, the last frame marked as a commit
    fdatasync(ledger.sqlite-wal)
    pwrite64(ledger.mark, …)               what is about to be acknowledged; durable some seconds later
    newfstatat(data)                       are the names still our files'? Then, and only then, it returns

of a checkpoint, before the transaction that finds `CHECKPOINT_PAGES` in the WAL::

    fdatasync(ledger.sqlite-wal)
    pwrite64(ledger.sqlite, …) …
    fdatasync(ledger.sqlite)
    pwrite64(ledger.mark, …)               "all of the WAL is in the database"
    pwrite64(ledger.sqlite-wal, …, 0)      with the next transaction: a header with other salts, in its place
    fdatasync(ledger.sqlite-wal)           … and only then the frames behind it

and of a start and an end, where the same is done for good::

    … as before …  pwrite64(ledger.mark, …)  fsync(ledger.mark)  ftruncate(ledger.sqlite-wal, 0)

Who guards what: `_mutex` guards the connection, the tree and everything that changes with a commit.
`_committed` and `_failure` are replaced under it and may be read without it; `_waiting` has its own lock.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from gateway import _core
from gateway.base.clock import Clock
from gateway.base.limits import REFUSALS_KEPT
from gateway.ledger import faults, refusals
from gateway.ledger.judge import Place, judge
from gateway.ledger.lookup import Lookup
from gateway.ledger.mark import Mark
from gateway.ledger.opening import Opening, members, read_opening
from gateway.ledger.protocol import (
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
from gateway.ledger.recovery import Past, Site, prove
from gateway.ledger.schema import DECISION, PACKET, Row, Value, rows, seal, value
from gateway.ledger.start import Taken, taken
from gateway.ledger.writing import insert, named, signer_of

# Pages (of 4 KiB) in the WAL from which on the next transaction is preceded by a checkpoint: 16 MiB are
# written back in well under a second, and a crash leaves no more than that to read.
CHECKPOINT_PAGES: Final = 4_096

# Devices whose refusals are asked for at once: a station has a few.
_MOST_DEVICES: Final = 1_000

_NOT_OPEN: Final = Refused(
    "log.not_open", "the commission has not opened the log yet; send the same bytes again later", "later"
)

_ENTRIES: Final = (
    "SELECT idx, statement, received_at, route FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx"
)
_DECISIONS: Final = (
    "SELECT idx, statement, received_at, route FROM entry INDEXED BY entry_signer WHERE kind = ? ORDER BY idx"
)
_REFUSALS: Final = "SELECT record FROM refusal ORDER BY record DESC LIMIT ?"
_REFUSALS_OF: Final = (
    "SELECT record FROM refusal WHERE substr(record, ?, ?) IN ({}) ORDER BY record DESC LIMIT ?"
)
# A device may name a paper for several stations or under several media: its bytes are there once.
_STORED_BYTES: Final = (
    "SELECT device, sum(size) FROM (SELECT DISTINCT named.device, attachment.sha256, attachment.size "
    "FROM attachment JOIN named USING (sha256)) GROUP BY device"
)
LAST: Final = (
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
        TallygateError: ``ledger.owned``, ``ledger.incomplete``, ``ledger.damaged``, ``ledger.behind``,
            ``ledger.published``, ``ledger.sqlite``, ``ledger.setting``, ``ledger.version``, ``opening.*``.
        LedgerFailedError: the disk does not read or write.
    """
    if _core.public_key(log_seed) != site.log_key:
        raise ValueError("the seed is not that of the site's log key")
    with contextlib.ExitStack() as undo:
        held = undo.enter_context(taken(data, now, new=True))
        past = prove(held.connection, site, held.files.mark)
        ledger = SqliteLedger(held, log_seed, members(site.definition), past, refusals_kept)
        ledger.settle()
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
    with proved_ledger(data, site, now=now) as proved:
        return None if proved is None else proved.head


@contextlib.contextmanager
def proved_ledger(data: Path, site: Site, *, now: Clock) -> Iterator["ProvedLedger | None"]:
    """As `verify_ledger`, and gives the entries to read while the block runs; None: the ledger is empty."""
    with taken(data, now, new=False) as held:
        past = prove(held.connection, site, held.files.mark)
        found = value(held.connection, "PRAGMA integrity_check(1)")
        if found != "ok":
            raise apsw.CorruptError(str(found))
        yield None if past is None else ProvedLedger(held.connection, past.head)


class ProvedLedger:
    """The entries of a stopped night's ledger, which was proved; made by `proved_ledger`.

    Attributes:
        head: the proved head.
    """

    def __init__(self, connection: apsw.Connection, head: Head) -> None:
        self._connection = connection
        self.head: Final = head

    def chunks(self, size: int) -> Iterator[list[Entry]]:
        """All entries in their order, so many at a time."""
        for start in range(0, self.head.size, size):
            yield [_entry(row) for row in rows(self._connection, _ENTRIES, (start, start + size))]


class _Log(NamedTuple):
    """What checkpoints are signed with, once decision 1 has named the log."""

    origin: str
    signer: _core.NoteSigner


class SqliteLedger:
    """A `gateway.ledger.protocol.Ledger`; made by `open_ledger` alone."""

    def __init__(
        self,
        held: Taken,
        log_seed: bytes,
        members: dict[bytes, int],
        past: Past | None,
        refusals_kept: int,
    ) -> None:
        self._connection = held.connection
        self._files = held.files
        self._owned = contextlib.ExitStack()
        self._log_seed = log_seed
        self._members = members
        self._tree = _core.Tree() if past is None else past.tree
        self._committed = Head(0, self._tree.root(), "") if past is None else past.head
        self._log = None if past is None else _Log(past.origin, _core.NoteSigner(past.origin, log_seed))
        self._lookup = Lookup(held.connection)
        self._refusals_kept = refusals_kept
        self._refused = _newest_refusal(held.connection)
        self._waiting = refusals.Waiting()
        self._mutex = threading.Lock()
        self._failure: LedgerFailedError | None = None
        # Pages in the write-ahead log and its salts; None: it begins anew with the next transaction.
        self._wal_pages = held.pages
        self._salts = self._files.salts() if held.pages else None
        self._connection.set_wal_hook(self._after_commit)

    def settle(self) -> None:
        """Ends the start: folds the write-ahead log of the process before into the database and empties it.

        A torn last transaction must not stand behind what is written from now on.

        Raises:
            apsw.Error, OSError: a write failed.
        """
        self._fold()

    def own(self, owned: contextlib.ExitStack) -> None:
        """Takes over what `close` gives back: the files and their lock."""
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
                self._commit(self._write(fresh, log))
                self._log = log

    def append(self, batch: Sequence[Submission]) -> list[Outcome]:
        """See `gateway.ledger.protocol.Ledger.append`."""
        with self._serving("appending"):
            if self._log is None:
                return [_NOT_OPEN] * len(batch)
            places, known = self._lookup.known(batch)
            verdict = judge(batch, places, known, self._committed.size)
            if verdict.fresh:
                with self._transaction():
                    refused = self._waiting.next()
                    head = self._write(verdict.fresh, self._log)
                    self._write_refusals(refused)
                    self._commit(head)
                self._lookup.committed(verdict.fresh)
                self._waiting.written(refused)
            else:
                self._files.require_ours()
            return [
                Logged(answer.standing, self._receipt(answer.entry)) if isinstance(answer, Place) else answer
                for answer in verdict.answers
            ]

    def head(self) -> Head | None:
        """See `gateway.ledger.protocol.Ledger.head`."""
        if self._failure is not None:
            raise LedgerFailedError(self._failure.detail, place=self._failure.place)
        head = self._committed
        return head if head.size else None

    def receipt(self, id: bytes) -> Receipt | None:  # noqa: A002 - the word of the format
        """See `gateway.ledger.protocol.Ledger.receipt`."""
        with self._serving("looking up an id"):
            index = self._lookup.places([id]).get(id)
            return None if index is None else self._receipt(index)

    def entries(self, start: int, end: int) -> list[Entry]:
        """See `gateway.ledger.protocol.Ledger.entries`."""
        if start < 0:
            raise ValueError(f"no entry has the index {start}")
        with self._serving("reading entries"):
            end = min(end, self._committed.size)
            found = [_entry(row) for row in rows(self._connection, _ENTRIES, (start, end))]
            if [entry.index for entry in found] != list(range(start, end)):
                raise apsw.CorruptError(f"not every entry from {start} to below {end} is where it was")
            return found

    def decisions(self) -> list[Entry]:
        """See `gateway.ledger.protocol.Ledger.decisions`."""
        with self._serving("reading decisions"):
            return [_entry(row) for row in rows(self._connection, _DECISIONS, (DECISION,))]

    def last(self, device: int) -> Last | None:
        """See `gateway.ledger.protocol.Ledger.last`."""
        with self._serving("looking up a device"):
            match list(rows(self._connection, LAST, (PACKET, device))):
                case []:
                    return None
                case [(int() as sequence, bytes() as identity)]:
                    return Last(sequence, identity)
            raise apsw.CorruptError("a device's last entry has changed")

    def refuse(self, refusal: Refusal, route: str | None = None) -> None:
        """See `gateway.ledger.protocol.Ledger.refuse`."""
        self._waiting.add(refusal, route)

    def write_refusals(self) -> None:
        """See `gateway.ledger.protocol.Ledger.write_refusals`."""
        with self._serving("writing refusals"):
            self._write_waiting()

    def refusals(self, limit: int) -> list[Refusal]:
        """See `gateway.ledger.protocol.Ledger.refusals`."""
        with self._serving("reading refusals"):
            return self._refusals(_REFUSALS, (min(limit, self._refusals_kept),))

    def refusals_of(self, devices: Sequence[int], limit: int) -> list[Refusal]:
        """See `gateway.ledger.protocol.Ledger.refusals_of`."""
        keys = tuple(refusals.device_key(device) for device in devices[:_MOST_DEVICES])
        if not keys:
            return []
        with self._serving("reading refusals"):
            sql = _REFUSALS_OF.format(",".join("?" * len(keys)))
            return self._refusals(sql, (refusals.DEVICE_AT, refusals.DEVICE_BYTES, *keys, limit))

    def _refusals(self, sql: str, bindings: Row) -> list[Refusal]:
        found = []
        for (record,) in rows(self._connection, sql, bindings):
            decoded = refusals.decode(record)
            if decoded is None:
                raise apsw.CorruptError("a refusal has changed")
            found.append(decoded[1])
        return found

    def named(self, sha256: bytes) -> list[Named]:
        """See `gateway.ledger.protocol.Ledger.named`."""
        with self._serving("looking up a paper"):
            found = []
            for row in rows(self._connection, "SELECT * FROM named WHERE sha256 = ?", (sha256,)):
                match row:
                    case (
                        bytes(),
                        int() as device,
                        int() as station,
                        int() as media,
                        int() as size,
                        int() as sealed,
                    ) if seal(row[:-1]) == sealed:
                        found.append(Named(device, station, media, size))
                    case _:
                        raise apsw.CorruptError("a named paper has changed")
            return found

    def store_attachment(self, attachment: Attachment) -> None:
        """See `gateway.ledger.protocol.Ledger.store_attachment`."""
        with self._serving("noting a paper"), self._transaction():
            row = (attachment.sha256, attachment.size, attachment.media, attachment.received_at)
            self._execute("INSERT OR IGNORE INTO attachment VALUES (?,?,?,?,?)", (*row, seal(row)))
            self._commit(self._committed)

    def attachment(self, sha256: bytes) -> Attachment | None:
        """See `gateway.ledger.protocol.Ledger.attachment`."""
        with self._serving("looking up a paper"):
            match list(rows(self._connection, "SELECT * FROM attachment WHERE sha256 = ?", (sha256,))):
                case []:
                    return None
                case [(bytes(), int() as size, int() as media, int() as received_at, int() as sealed)] if (
                    seal((sha256, size, media, received_at)) == sealed
                ):
                    return Attachment(sha256, size, media, received_at)
            raise apsw.CorruptError("a stored paper's row has changed")

    def stored_bytes(self) -> dict[int, int]:
        """See `gateway.ledger.protocol.Ledger.stored_bytes`."""
        with self._serving("adding up papers"):
            found: dict[int, int] = {}
            for row in rows(self._connection, _STORED_BYTES):
                match row:
                    case (int() as device, int() as size):
                        found[device] = size
                    case _:
                        raise apsw.CorruptError("a named paper has changed")
            return found

    def close(self) -> None:
        """See `gateway.ledger.protocol.Ledger.close`. After a failure nothing is written; twice is once."""
        with self._mutex:
            try:
                if self._failure is None:
                    self._write_waiting()
                    self._fold()
            except faults.DISK as error:
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
                raise LedgerFailedError(self._failure.detail, place=self._failure.place)
            try:
                yield
            except faults.DISK as error:
                raise self._fail(doing, error) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Undoes what was not committed, in the tree too. The block ends with `_commit`."""
        if self._wal_pages >= CHECKPOINT_PAGES:
            self._checkpoint()
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
        errno = self._connection.system_errno if isinstance(error, apsw.Error) else 0
        self._failure = LedgerFailedError(
            f"{doing} failed ({faults.words(error)}): nothing is acknowledged any more. The process has to "
            f"end; the next start proves what is on the disk. Before it: {faults.advice(error, errno)}",
            place=faults.place(error, ""),
        )
        return self._failure

    def _execute(self, sql: str, bindings: Sequence[Value] = ()) -> None:
        self._connection.execute(sql, bindings)

    def _commit(self, head: Head) -> None:
        """Commits; when it returns, everything of the transaction may be acknowledged, and is shown."""
        noted = self._wal_pages
        self._execute("COMMIT")
        if self._wal_pages != noted:
            if self._salts is None:
                self._salts = self._files.salts()
            self._files.note(Mark(head.size, head.root, self._salts, self._wal_pages, folded=False))
        self._files.require_ours()
        self._committed = head

    def _after_commit(self, connection: apsw.Connection, name: str, pages: int) -> int:
        del connection, name
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Brings all of the write-ahead log into the database; the next transaction begins it anew."""
        pages, written = self._connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_PASSIVE)
        if pages != written:
            raise apsw.IOError(f"a checkpoint wrote {written} of {pages} pages")
        head, salts = self._committed, self._salts or self._files.mark.salts
        self._files.note(Mark(head.size, head.root, salts, self._wal_pages, folded=True))
        self._wal_pages, self._salts = 0, None

    def _fold(self) -> None:
        """As `_checkpoint`, durably, and empties the write-ahead log."""
        self._checkpoint()
        self._files.sync_mark()
        pages, written = self._connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
        if pages != written:
            raise apsw.IOError(f"a checkpoint wrote {written} of {pages} pages")

    def _receipt(self, index: int) -> Receipt:
        head = self._committed
        return Receipt(index, self._tree.inclusion(index, head.size), head.note)

    def _write(self, fresh: Sequence[Submission], log: "_Log") -> Head:
        """Inserts the entries, extends the tree, signs the new head and puts it in the old one's place."""
        leaves: list[bytes] = []
        cells: list[Value] = []
        names: list[Value] = []
        for index, one in enumerate(fresh, self._committed.size):
            statement = one.statement
            leaf = statement.leaf_hash
            leaves.append(leaf)
            cells += (index, statement.id, leaf, statement.encoded)
            cells += signer_of(statement, self._members)
            cells += (one.received_at, one.route)
            names += named(statement)
        insert(self._connection, "INSERT INTO entry", cells)
        insert(self._connection, "INSERT OR IGNORE INTO named", names)
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
        return Head(size, root, log.signer.sign_checkpoint(size, root))

    def _write_waiting(self) -> None:
        """Writes every refusal that waits, in one transaction."""
        if refused := self._waiting.next(refusals.WAITING):
            with self._transaction():
                self._write_refusals(refused)
                self._commit(self._committed)
            self._waiting.written(refused)

    def _write_refusals(self, refused: Sequence[Refusal]) -> None:
        """Puts them in the place of the oldest."""
        cells: list[Value] = []
        for number, one in enumerate(refused, self._refused + 1):
            cells += (number % self._refusals_kept, refusals.encode(number, one))
        insert(self._connection, "INSERT OR REPLACE INTO refusal", cells)
        # Numbers of a batch that was undone stay unused.
        self._refused += len(refused)


def _newest_refusal(connection: apsw.Connection) -> int:
    newest = value(connection, "SELECT max(record) FROM refusal")
    decoded = None if newest is None else refusals.decode(newest)
    return 0 if decoded is None else decoded[0]


def _entry(row: Row) -> Entry:
    match row:
        case (int() as index, bytes() as statement, int() as received_at, str() as route):
            return Entry(index, statement, received_at, route)
    raise apsw.CorruptError(f"entry {row[0]!r} is not one")
