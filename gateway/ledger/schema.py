"""The tables of the SQLite store and every row's seal.

What lives here: the schema, which is compared word for word at every start, an empty database with it, and
how a connection is set up.

Everything is stored so that a flipped bit shows: an entry's statement is hashed into its id, its leaf and the
signed root; its other columns stand in the row and again in an index that covers them; the rows of the small
tables carry a seal. A seal finds a failing disk, not a forger: who can write this file can write seals.
"""

import contextlib
import zlib
from collections.abc import Iterator
from typing import Final, TypeAlias

import apsw
import msgspec

from gateway.base.errors import TallygateError
from gateway.ledger.wal import PAGE_SIZE

Value: TypeAlias = int | str | bytes | None
Row: TypeAlias = tuple[Value, ...]

VERSION: Final = 1
# "Tlly": `file` and SQLite's own tools then know whose database it is.
_APPLICATION_ID: Final = 0x546C6C79

# Older ones can lose a transaction when the WAL is reset (SQLite's release notes of 3.51.3).
_OLDEST: Final = (3, 51, 3)

# KiB of pages in memory: both indexes over a million entries (95 MB) and the top of the table.
_CACHE: Final = 131_072

TABLES: Final = (
    "CREATE TABLE schema_version(version INTEGER NOT NULL) STRICT",
    "CREATE TABLE head(one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL, "
    "checkpoint TEXT NOT NULL) STRICT",
    "CREATE TABLE entry(idx INTEGER PRIMARY KEY, id BLOB NOT NULL, leaf_hash BLOB NOT NULL, "
    "statement BLOB NOT NULL, signer INTEGER NOT NULL, sequence INTEGER NOT NULL, kind INTEGER NOT NULL, "
    "received_at INTEGER NOT NULL, route TEXT NOT NULL) STRICT",
    "CREATE UNIQUE INDEX entry_id ON entry(id)",
    # What quotas, conflicts and `last` ask; received_at only so that the row is covered.
    "CREATE INDEX entry_signer ON entry(kind, signer, sequence, route, received_at)",
    # A ring of records of one length (refusals.py): nothing is ever deleted, no page becomes free.
    "CREATE TABLE refusal(slot INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT",
    "CREATE TABLE attachment(sha256 BLOB PRIMARY KEY, size INTEGER NOT NULL, media INTEGER NOT NULL, "
    "received_at INTEGER NOT NULL, seal INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE named(sha256 BLOB NOT NULL, device INTEGER NOT NULL, station INTEGER NOT NULL, "
    "media INTEGER NOT NULL, size INTEGER NOT NULL, seal INTEGER NOT NULL, "
    "PRIMARY KEY (sha256, device, station, media, size)) STRICT, WITHOUT ROWID",
)

# Tables whose last column seals the others.
SEALED: Final = ("attachment", "named")

# entry.kind
PACKET: Final = 1
DECISION: Final = 2

# Each setting, and what SQLite must answer to it; a build or file system that cannot do one is refused.
# locking_mode stands first: it has to be set before the first access, so that no -shm ever exists.
_SETTINGS: Final[tuple[tuple[str, Value], ...]] = (
    ("locking_mode=EXCLUSIVE", "exclusive"),
    ("journal_mode=WAL", "wal"),
    ("synchronous=FULL", None),
    ("synchronous", 2),
    # SQLite's own checkpoints swallow their errors: the store makes its own between batches.
    ("wal_autocheckpoint=0", 0),
    # An I/O error in a mapped page is a signal that nobody can answer.
    ("mmap_size=0", 0),
    (f"cache_size=-{_CACHE}", None),
    # Nothing of an unfinished transaction is ever written: what a crash can leave stays simple (wal.py).
    ("cache_spill=OFF", None),
    ("cache_spill", 0),
    ("cell_size_check=ON", None),
    ("trusted_schema=OFF", None),
    ("temp_store=MEMORY", None),
)


def seal(row: Row) -> int:
    """The last column of a row in a sealed table, over the others."""
    return zlib.crc32(msgspec.msgpack.encode(row))


def rows(connection: apsw.Connection, sql: str, bindings: Row = ()) -> Iterator[Row]:
    """Runs one statement and gives its rows."""
    return connection.execute(sql, bindings)


def value(connection: apsw.Connection, sql: str, bindings: Row = ()) -> Value:
    """The one value that a statement answers; None where it answers no row."""
    found: list[Row] = list(rows(connection, sql, bindings))
    return found[0][0] if found else None


def require_version() -> None:
    """Refuses a SQLite that is known to lose data.

    Raises:
        TallygateError: ``ledger.sqlite``.
    """
    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise TallygateError(
            "ledger.sqlite",
            f"apsw brings SQLite {version}, which can lose what was committed: "
            f"install apsw {oldest} or newer",
        )


def empty_database() -> bytes:
    """An empty ledger's database in one piece."""
    with contextlib.closing(apsw.Connection(":memory:")) as connection:
        connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
        for table in TABLES:
            connection.execute(table)
        connection.execute("INSERT INTO schema_version VALUES (?)", (VERSION,))
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        return connection.serialize("main")


def set_up(connection: apsw.Connection) -> None:
    """Takes the file for this process alone, before anything of it is read.

    Raises:
        TallygateError: ``ledger.setting``.
        apsw.Error: whatever SQLite meets.
    """
    # Closing must not write: after an error nothing may touch the file any more.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    for setting, wanted in _SETTINGS:
        answer = value(connection, f"PRAGMA {setting}")
        if wanted is not None and answer != wanted:
            raise TallygateError(
                "ledger.setting",
                f"SQLite answers {answer!r} to {setting} where {wanted!r} is needed: put the night folder "
                "on a local file system",
            )


def check_schema(connection: apsw.Connection) -> None:
    """Makes sure that the tables are ours, word for word.

    Raises:
        TallygateError: ``ledger.version``, ``ledger.damaged``.
        apsw.Error: whatever SQLite meets.
    """
    version = None
    if value(connection, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'"):
        version = value(connection, "SELECT max(version) FROM schema_version")
    if isinstance(version, int) and version > VERSION:
        raise TallygateError(
            "ledger.version",
            f"a newer Tallygate wrote this ledger (version {version}, this one knows {VERSION}): "
            "run that one",
        )
    if version != VERSION or _words(connection) != sorted(TABLES):
        raise TallygateError("ledger.damaged", "the tables are not those of a ledger: see docs/ledger.md")


def _words(connection: apsw.Connection) -> list[Value]:
    return [
        row[0] for row in rows(connection, "SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY sql")
    ]
