"""The past, proved before the ledger serves: what is on the disk is what was signed.

What lives here: giving up cached pages, re-hashing every statement, and every comparison that a start makes.
After an error of fsync Linux may keep pages in memory that are not on the disk and call them clean; reading
the files anew is the only way to know (docs/ledger.md, "Start").
"""

import contextlib
import gc
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Final, NoReturn

import apsw

from gateway import _core
from gateway.base.errors import CoreError, TallygateError
from gateway.base.files import read_bounded, sync_directory
from gateway.ledger.opening import check_opening
from gateway.ledger.protocol import Head
from gateway.ledger.schema import SEALED, Row, rows, seal

# Entries that are in memory at once: two lots of at most 16 MiB, usually 1 MiB, which a cache holds.
_CHUNK: Final = 1_024
# Bytes that Linux reads ahead at one request at most, unless the device is set otherwise.
_READ_AHEAD: Final = 131_072
# Bytes of a published checkpoint with the cosignatures of sixteen witnesses (docs/log.md).
_MAX_NOTE: Final = 16_384

_NOT_TOGETHER: Final = "its statement, id and leaf hash do not belong together"
_TO_DO: Final = (
    "The disk or the file is damaged. Change nothing, copy the folder data to another disk, and follow "
    '"When it refuses to start" in docs/ledger.md'
)

# From column 4 on stands what the index entry_signer repeats, in its own order.
_ENTRIES: Final = (
    "SELECT idx, id, leaf_hash, statement, kind, signer, sequence, route, received_at, idx "
    "FROM entry ORDER BY idx"
)
BY_ID: Final = "SELECT id, idx FROM entry INDEXED BY entry_id ORDER BY id"
BY_SIGNER: Final = (
    "SELECT kind, signer, sequence, route, received_at, idx FROM entry INDEXED BY entry_signer "
    "ORDER BY kind, signer, sequence, route, received_at"
)

_OF_SIGNER: Final = itemgetter(slice(4, None))


@dataclass(frozen=True, slots=True)
class Site:
    """What a ledger has to know of its night.

    Attributes:
        definition: the night's.
        roster: SHA-256 of the roster.json that decision 1 names.
        log_key: the public key that signs checkpoints.
        published: ``feed/log/checkpoint``, whether it exists or not; None: there is no feed to compare with.
    """

    definition: _core.Definition
    roster: bytes
    log_key: bytes
    published: Path | None


@dataclass(frozen=True, slots=True)
class Past:
    """What was proved: the whole tree, its committed head, and the log's name."""

    tree: _core.Tree
    head: Head
    origin: str


@contextlib.contextmanager
def read_anew(files: Iterable[Path]) -> Iterator[None]:
    """Makes the files durable, forgets their cached pages, and has the disk read them while the block runs.

    Open the database inside the block and close it there: whoever closes any descriptor of a file drops the
    locks that SQLite has on it.

    Raises:
        OSError: a file cannot be written back.
    """
    with contextlib.ExitStack() as opened:
        descriptors = []
        for file in files:
            try:
                descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            opened.callback(os.close, descriptor)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            sync_directory(file.parent)
            descriptors.append(descriptor)
        stop = threading.Event()
        reader = threading.Thread(target=_read_ahead, args=(descriptors, stop), name="ledger-read-ahead")
        reader.start()
        try:
            yield
        finally:
            stop.set()
            reader.join()


def _read_ahead(descriptors: Sequence[int], stop: threading.Event) -> None:
    """Has the disk read well ahead of SQLite, which asks page by page and would wait four times as long.

    An error is no news: SQLite meets it when it needs the page.
    """
    with contextlib.suppress(OSError):
        for descriptor in descriptors:
            for offset in range(0, os.fstat(descriptor).st_size, _READ_AHEAD):
                if stop.is_set():
                    return
                os.posix_fadvise(descriptor, offset, _READ_AHEAD, os.POSIX_FADV_WILLNEED)


def prove(connection: apsw.Connection, site: Site) -> Past | None:
    """Proves every entry, the head and the tables beside them.

    Returns:
        The past, or None where the ledger is empty.

    Raises:
        TallygateError: ``ledger.damaged`` with the first bad entry, ``ledger.behind``, ``ledger.published``,
            ``opening.*`` where the log is not this night's.
        apsw.Error: whatever SQLite meets.
    """
    _check_seals(connection)
    heads = list(rows(connection, "SELECT size, root, checkpoint FROM head"))
    if not heads:
        for _ in rows(connection, "SELECT 1 FROM entry"):
            _damaged("there are entries and no head")
        _compare_published(site, None, None)
        return None
    match heads:
        case [(int() as size, bytes() as root, str() as note)] if size > 0:
            head = Head(size, root, note)
        case _:
            _damaged("the head is not one")
    tree = _hash_entries(connection, size)
    origin = _opening(connection, site)
    _check_head(head, tree, _core.vkey(origin, site.log_key))
    _compare_published(site, tree, origin)
    return Past(tree, head, origin)


def _hash_entries(connection: apsw.Connection, size: int) -> _core.Tree:
    """Hashes every statement and compares it with its row, then the rows with the indexes over them."""
    # Millions of short-lived tuples without a cycle: looking for cycles is a fifth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        tree, count, by_id, by_signer = _scan(connection)
    except UnicodeDecodeError:
        _first_unreadable(connection)
    finally:
        if collecting:
            gc.enable()
    if count != size:
        _damaged(f"there are {count:,} entries and the head says {size:,}", min(count, size))
    # Sums of the rows' hashes, whatever their order: equal sums mean equal rows, or a chance of 2^-64.
    if _sum(connection, BY_ID) != by_id:
        _name_difference(connection, BY_ID, "SELECT id, idx FROM entry NOT INDEXED", "entry_id")
    if _sum(connection, BY_SIGNER) != by_signer:
        table = "SELECT kind, signer, sequence, route, received_at, idx FROM entry NOT INDEXED"
        _name_difference(connection, BY_SIGNER, table, "entry_signer")
    return tree


def _scan(connection: apsw.Connection) -> tuple[_core.Tree, int, int, int]:
    """The tree, how many entries there are, and the sums over what each of the two indexes repeats."""
    tree = _core.Tree()
    by_id = by_signer = count = 0
    cursor = rows(connection, _ENTRIES)
    chunk: list[Row] = []
    hashed: Future[int | None] | None = None
    # While the core hashes one chunk without the GIL, the next is read.
    with ThreadPoolExecutor(1) as hasher:
        while True:
            following = list(islice(cursor, _CHUNK))
            if hashed is not None and (differs := hashed.result()) is not None:
                _damaged(_NOT_TOGETHER, count - len(chunk) + differs)
            if not following:
                return tree, count, by_id, by_signer
            chunk = following
            indexes, ids, leaves, statements = _columns(chunk, count)
            hashed = hasher.submit(tree.append_verified, statements, ids, leaves)
            by_id += sum(map(hash, zip(ids, indexes, strict=True)))
            by_signer += sum(map(hash, map(_OF_SIGNER, chunk)))
            count += len(chunk)


def _columns(chunk: Sequence[Row], begin: int) -> tuple[range, list[bytes], list[bytes], list[bytes]]:
    """The index, id, leaf hash and statement of each row, the indexes without a gap."""
    indexes = range(begin, begin + len(chunk))
    if [row[0] for row in chunk] != list(indexes):
        missing, found = next(
            (index, row[0]) for index, row in zip(indexes, chunk, strict=True) if row[0] != index
        )
        _damaged(f"it is missing, the next is {found!r}", missing)
    ids, leaves, statements = (
        [cell for row in chunk if isinstance(cell := row[column], bytes)] for column in (1, 2, 3)
    )
    if not len(ids) == len(leaves) == len(statements) == len(chunk):
        loose = (
            index
            for index, row in zip(indexes, chunk, strict=True)
            if not all(isinstance(cell, bytes) for cell in row[1:4])
        )
        _damaged(_NOT_TOGETHER, next(loose))
    return indexes, ids, leaves, statements


def _sum(connection: apsw.Connection, sql: str) -> int | None:
    """None where there is something else than text in a text."""
    try:
        return sum(map(hash, rows(connection, sql)))
    except UnicodeDecodeError:
        return None


def _first_unreadable(connection: apsw.Connection) -> NoReturn:
    for (index,) in list(rows(connection, "SELECT idx FROM entry ORDER BY idx")):
        try:
            list(rows(connection, "SELECT route FROM entry WHERE idx = ?", (index,)))
        except UnicodeDecodeError:
            _damaged("its route is no text", index if isinstance(index, int) else None)
    _damaged("it could not be read twice alike")


def _name_difference(connection: apsw.Connection, index: str, table: str, name: str) -> NoReturn:
    """Says which entry an index and its table disagree about; slow, and only on the way out."""
    try:
        differing = {row[-1] for row in set(rows(connection, index)) ^ set(rows(connection, table))}
    except UnicodeDecodeError:
        _damaged(f"the index {name} holds a route that is no text")
    numbers = sorted(number for number in differing if isinstance(number, int))
    _damaged(f"its row and the index {name} disagree", numbers[0] if numbers else None)


def _opening(connection: apsw.Connection, site: Site) -> str:
    """The log's name: entries 0 … k−1 must open this night's log."""
    quorum = site.definition.commission_quorum
    sql = "SELECT statement FROM entry WHERE idx < ? ORDER BY idx"
    statements = [row[0] for row in rows(connection, sql, (quorum,)) if isinstance(row[0], bytes)]
    places = [f"entry {index}" for index in range(len(statements))]
    return check_opening(statements, site.definition, site.log_key, places=places).origin


def _check_head(head: Head, tree: _core.Tree, vkey: str) -> None:
    try:
        signed = _core.open_checkpoint(head.note.encode(), vkey)
    except CoreError as error:
        _damaged(f"the head's checkpoint does not verify: {error}")
    if (signed.size, signed.root) != (head.size, head.root):
        _damaged("the head is not the one that its checkpoint signs")
    if tree.root() != head.root:
        _damaged("the entries do not add up to the signed root")


def _check_seals(connection: apsw.Connection) -> None:
    for table in SEALED:
        for row in rows(connection, f"SELECT * FROM {table}"):  # noqa: S608 - the names are ours
            if seal(row[:-1]) != row[-1]:
                _damaged(f"a row of the table {table} has changed (its first column: {row[0]!r})")


def _compare_published(site: Site, tree: _core.Tree | None, origin: str | None) -> None:
    """A ledger that is shorter than what its feed shows, or another one, was restored from a backup."""
    if site.published is None or not site.published.exists():
        return
    place = str(site.published)
    if tree is None or origin is None:
        _behind("a checkpoint was published and the ledger is empty", place)
    try:
        note = read_bounded(site.published, _MAX_NOTE)
        published = _core.open_checkpoint(note, _core.vkey(origin, site.log_key))
    except TallygateError as error:
        raise TallygateError(
            "ledger.published",
            f"the published checkpoint is not this log's: {error.detail} [{error.code}]. Look who wrote it; "
            "without the file the ledger starts",
            place=place,
        ) from None
    if published.size > tree.size:
        _behind(f"{published.size:,} entries were published and the ledger has {tree.size:,}", place)
    if tree.root(published.size) != published.root:
        _behind(f"the published log has another history (at {published.size:,} entries)", place)


def _behind(detail: str, place: str) -> NoReturn:
    raise TallygateError(
        "ledger.behind",
        f"{detail}: this is an old copy or another log's. Serving from it would fork the log. Find the "
        "newest data/ledger.sqlite with its -wal, and see docs/ledger.md",
        place=place,
    )


def _damaged(detail: str, index: int | None = None) -> NoReturn:
    where = "the ledger" if index is None else f"entry {index:,}"
    raise TallygateError("ledger.damaged", f"{where}: {detail}. {_TO_DO}", place="data/ledger.sqlite")
