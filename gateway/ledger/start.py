"""The ledger's files taken for this process, looked through before SQLite may touch them.

What lives here: the lock, the order of a start up to the first query, and its errors in our words.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from gateway.base.clock import Clock
from gateway.base.errors import TallygateError
from gateway.ledger import faults
from gateway.ledger.files import DATABASE, Files, make, present
from gateway.ledger.owner import OwnerLock
from gateway.ledger.protocol import LedgerFailedError
from gateway.ledger.schema import check_schema, empty_database, require_version, set_up

# Statements that stay prepared: one for each number of rows in a batch (sqlite.py) and the few others.
_PREPARED: Final = 256


class Taken(NamedTuple):
    """A ledger that is ours while the block runs.

    Attributes:
        connection: set up; nothing has been written.
        files: held open.
        pages: of the write-ahead log that SQLite has taken.
    """

    connection: apsw.Connection
    files: Files
    pages: int


@contextlib.contextmanager
def taken(data: Path, now: Clock, *, new: bool) -> Iterator[Taken]:
    """The lock and the files, given back when the block ends.

    Args:
        data: the folder.
        now: the machine's clock.
        new: whether to make a ledger where there is none.

    Raises:
        TallygateError: ``ledger.owned``, ``ledger.missing``, ``ledger.incomplete``, ``ledger.damaged``,
            ``ledger.sqlite``, ``ledger.setting``, ``ledger.version``.
        LedgerFailedError: the disk does not read or write.
    """
    require_version()
    path = data / DATABASE
    errno = 0
    try:
        with OwnerLock(data / "ledger.lock", now()):
            if not present(data):
                if not new:
                    raise TallygateError("ledger.missing", "there is no ledger here yet", place=str(path))
                make(data, empty_database())
            with Files(data, now) as files:
                # Before SQLite opens anything: it would take what does not fit for a log that ends there.
                wal = files.read_wal()
                wal.check_header(files.mark)
                with (
                    files.read_ahead(),
                    contextlib.closing(
                        apsw.Connection(str(path), statementcachesize=_PREPARED)
                    ) as connection,
                ):
                    try:
                        set_up(connection)
                        pages, _ = connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_NOOP)
                        wal.check_end(pages, files.mark)
                        check_schema(connection)
                        yield Taken(connection, files, pages)
                    except apsw.Error:
                        errno = connection.system_errno
                        raise
    except faults.DISK as error:
        raise _in_our_words(error, errno, str(path)) from error


def _in_our_words(error: faults.Fault, errno: int, path: str) -> TallygateError:
    if isinstance(error, apsw.BusyError):
        return TallygateError(
            "ledger.owned",
            "another program has this file open (a copy or a database browser?): close it first",
            place=path,
        )
    if isinstance(error, apsw.CorruptError | apsw.NotADBError | UnicodeDecodeError):
        return TallygateError(
            "ledger.damaged",
            f"SQLite cannot read the file ({error}). {faults.SALVAGE}",
            place=path,
        )
    if isinstance(error, FileNotFoundError):
        return LedgerFailedError(
            f"it is not there ({faults.words(error)}): is this the night's folder, and is its disk mounted?",
            place=faults.place(error, path),
        )
    return LedgerFailedError(
        f"the disk does not read or write ({faults.words(error)}): {faults.advice(error, errno)}",
        place=faults.place(error, path),
    )
