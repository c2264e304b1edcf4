"""The past, proved before the ledger serves: what is on the disk is what was signed.

What lives here: giving up cached pages, re-hashing every statement, and every comparison that a start makes.
After an error of fsync Linux may keep pages in memory that are not on the disk and call them clean; reading
the files anew is the only way to know (docs/ledger.md, "Start").
"""

import gc
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Final, NoReturn

import apsw

from gateway import _core
from gateway.base.errors import CoreError, TallygateError
from gateway.base.files import read_bounded
from gateway.ledger import refusals
from gateway.ledger.faults import SALVAGE, advice, words
from gateway.ledger.mark import Mark
from gateway.ledger.opening import check_opening
from gateway.ledger.protocol import Head
from gateway.ledger.schema import SEALED, Row, rows, seal, value

# Entries that are in memory at once: two lots of at most 16 MiB, usually 1 MiB, which a cache holds.
_CHUNK: Final = 1_024
# Bytes of a published checkpoint with the cosignatures of sixteen witnesses (docs/log.md).
_MAX_NOTE: Final = 16_384

_NOT_TOGETHER: Final = "its statement, id and leaf hash do not belong together"

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


def prove(connection: apsw.Connection, site: Site, mark: Mark) -> Past | None:
    """Proves every entry, the head and the tables beside them.

    Args:
        connection: the database.
        site: whose it has to be.
        mark: what was acknowledged.

    Returns:
        The past, or None where the ledger is empty.

    Raises:
        TallygateError: ``ledger.damaged`` with the first bad entry, ``ledger.behind``, ``ledger.published``,
            ``opening.*`` where the log is not this night's.
        apsw.Error: whatever SQLite meets.
    """
    _check_free_pages(connection)
    _check_seals(connection)
    head = read_head(connection)
    if head is None:
        for _ in rows(connection, "SELECT 1 FROM entry"):
            damaged("there are entries and no head")
        compare(site, mark, None)
        return None
    tree = _hash_entries(connection, head.size)
    origin = _opening(connection, site)
    _check_head(head, tree, _core.vkey(origin, site.log_key))
    past = Past(tree, head, origin)
    compare(site, mark, past)
    return past


def read_head(connection: apsw.Connection) -> Head | None:
    """The head as it is stored; None where the ledger is empty.

    Raises:
        TallygateError: ``ledger.damaged``.
        apsw.Error: whatever SQLite meets.
    """
    heads = list(rows(connection, "SELECT size, root, checkpoint FROM head"))
    head = None
    match heads:
        case []:
            pass
        case [(int() as size, bytes() as root, str() as note)] if size > 0:
            head = Head(size, root, note)
        case _:
            damaged("the head is not one")
    return head


def compare(site: Site, mark: Mark, past: Past | None) -> None:
    """Compares what is there with what was acknowledged and what was published.

    A ledger that is shorter, or another one, was restored from a backup.

    Raises:
        TallygateError: ``ledger.behind``, ``ledger.published``.
    """
    compare_mark(mark, _core.Tree() if past is None else past.tree)
    _compare_published(site, past)


def compare_mark(mark: Mark, tree: _core.Tree) -> None:
    """Compares the entries with what was acknowledged.

    Raises:
        TallygateError: ``ledger.behind``.
    """
    place = "data/ledger.mark"
    if mark.size > tree.size:
        _behind(f"{mark.size:,} entries were acknowledged and the ledger has {tree.size:,}", place)
    if mark.size and tree.root(mark.size) != mark.root:
        _behind(f"the acknowledged log has another history (at {mark.size:,} entries)", place)


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
        damaged(f"there are {count:,} entries and the head says {size:,}", min(count, size))
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
                damaged(_NOT_TOGETHER, count - len(chunk) + differs)
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
        damaged(f"it is missing, the next is {found!r}", missing)
    ids, leaves, statements = (
        [cell for row in chunk if isinstance(cell := row[column], bytes)] for column in (1, 2, 3)
    )
    if not len(ids) == len(leaves) == len(statements) == len(chunk):
        loose = (
            index
            for index, row in zip(indexes, chunk, strict=True)
            if not all(isinstance(cell, bytes) for cell in row[1:4])
        )
        damaged(_NOT_TOGETHER, next(loose))
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
            damaged("its route is no text", index if isinstance(index, int) else None)
    damaged("it could not be read twice alike")


def _name_difference(connection: apsw.Connection, index: str, table: str, name: str) -> NoReturn:
    """Says which entry an index and its table disagree about; slow, and only on the way out."""
    try:
        differing = {row[-1] for row in set(rows(connection, index)) ^ set(rows(connection, table))}
    except UnicodeDecodeError:
        damaged(f"the index {name} holds a route that is no text")
    numbers = sorted(number for number in differing if isinstance(number, int))
    damaged(f"its row and the index {name} disagree", numbers[0] if numbers else None)


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
        damaged(f"the head's checkpoint does not verify: {error}")
    if (signed.size, signed.root) != (head.size, head.root):
        damaged("the head is not the one that its checkpoint signs")
    if tree.root() != head.root:
        damaged("the entries do not add up to the signed root")


def _check_seals(connection: apsw.Connection) -> None:
    for table in SEALED:
        for row in rows(connection, f"SELECT * FROM {table}"):  # noqa: S608 - the names are ours
            if seal(row[:-1]) != row[-1]:
                damaged(f"a row of the table {table} has changed (its first column: {row[0]!r})")
    for slot, record in rows(connection, "SELECT slot, record FROM refusal"):
        if refusals.decode(record) is None:
            damaged(f"a row of the table refusal has changed (slot {slot!r})")


def _check_free_pages(connection: apsw.Connection) -> None:
    """A free page is never read, so nothing else would find a page in use that is called free."""
    if value(connection, "PRAGMA freelist_count") and value(connection, "PRAGMA quick_check(1)") != "ok":
        damaged("its pages are not in order")


def _compare_published(site: Site, past: Past | None) -> None:
    if site.published is None:
        return
    place = str(site.published)
    try:
        note = read_bounded(site.published, _MAX_NOTE)
    except FileNotFoundError:
        # A link that leads nowhere, to a disk that is not mounted say, hides what was published.
        if any(path.is_symlink() and not path.exists() for path in (site.published, *site.published.parents)):
            _unpublished("it is behind a link that leads nowhere", place)
        return
    except OSError as error:
        _unpublished(f"it cannot be read ({words(error)}): {advice(error, 0)}", place)
    except TallygateError as error:
        _unpublished(error.detail, place)
    if past is None:
        _behind("a checkpoint was published and the ledger is empty", place)
    try:
        published = _core.open_checkpoint(note, _core.vkey(past.origin, site.log_key))
    except CoreError as error:
        _unpublished(f"{error.detail} [{error.code}]", place)
    if published.size > past.tree.size:
        _behind(f"{published.size:,} entries were published and the ledger has {past.tree.size:,}", place)
    if past.tree.root(published.size) != published.root:
        _behind(f"the published log has another history (at {published.size:,} entries)", place)


def _unpublished(detail: str, place: str) -> NoReturn:
    raise TallygateError(
        "ledger.published",
        f"the published checkpoint cannot be compared: {detail}. It guards against a fork of the log, so the "
        "ledger does not start without it: look who changed it, and copy the newest one back from the web "
        "server, a mirror or an observer. Never remove it",
        place=place,
    )


def _behind(detail: str, place: str) -> NoReturn:
    raise TallygateError(
        "ledger.behind",
        f"{detail}: this is an old copy or another log's. Serving from it would fork the log. Find the "
        "newest data/ledger.sqlite with its -wal, and see docs/ledger.md",
        place=place,
    )


def damaged(detail: str, index: int | None = None) -> NoReturn:
    """Refuses a ledger that has changed on the disk; `index` is the first bad entry."""
    where = "the ledger" if index is None else f"entry {index:,}"
    raise TallygateError("ledger.damaged", f"{where}: {detail}. {SALVAGE}", place="data/ledger.sqlite")
