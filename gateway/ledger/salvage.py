"""A damaged ledger made into a whole one, where everything that was signed still proves.

One changed bit in an index, a refusal's row or a route ends a start, though every statement is there and adds
up to the signed head. What lives here: copying such a ledger, statement by statement, into new files. Nothing
is invented and nothing signed: what does not add up stays refused. The damaged files are only read: SQLite
sees a copy.
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import apsw

from gateway import _core
from gateway.base.clock import Clock
from gateway.base.errors import CoreError, TallygateError
from gateway.base.files import PRIVATE_DIRECTORY, PRIVATE_FILE, finished_directory, write_durably
from gateway.ledger import files, recovery
from gateway.ledger.judge import check_route
from gateway.ledger.mark import Mark
from gateway.ledger.opening import members
from gateway.ledger.owner import OwnerLock
from gateway.ledger.protocol import Head
from gateway.ledger.recovery import Site, damaged
from gateway.ledger.schema import Row, Value, empty_database, rows, seal, set_up
from gateway.ledger.sqlite import verify_ledger
from gateway.ledger.start import Taken, taken
from gateway.ledger.wal import read_wal
from gateway.ledger.writing import insert, named, signer_of

# Entries that are in memory at once.
_CHUNK: Final = 1_024
_LOCK: Final = "ledger.lock"
# What takes the place of a route that cannot be read any more: it proves nothing, quotas count by it.
LOST_ROUTE: Final = "salvaged"

# Only the table itself is read, none of its indexes.
_ENTRIES: Final = (
    "SELECT idx, statement, received_at, CAST(route AS BLOB) FROM entry NOT INDEXED ORDER BY idx"
)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What a salvage has made.

    Attributes:
        head: the proved head, which is the damaged ledger's.
        routes: entries whose route or time of arrival could not be read.
        attachments: papers whose rows could not be read: their boxes send them again. Refusals never stay.
    """

    head: Head
    routes: int
    attachments: int


def salvage_ledger(data: Path, site: Site, target: Path, *, now: Clock) -> Salvaged:
    """Makes a whole ledger of a damaged one in a new folder, and proves it.

    Every entry is kept, or nothing is made: the statements have to add up to the signed head, and this head
    to cover what was acknowledged and published. A write-ahead log that is gone may have been empty, and a
    mark that is gone may be done without, but not both.

    Args:
        data: the folder ``data`` of the stopped night; it is not changed.
        site: what the ledger has to know of the night.
        target: a folder that does not exist; gets the three files of a ledger, to be moved into ``data``.
        now: the machine's clock.

    Raises:
        TallygateError: ``ledger.owned``, ``ledger.missing``, ``ledger.incomplete``, ``ledger.damaged``,
            ``ledger.behind``, ``ledger.published``, ``ledger.version``, ``opening.*``, ``file.exists``.
        LedgerFailedError: the disk does not read or write.
        OSError: the new files cannot be written.
    """
    with OwnerLock(data / _LOCK, now()), finished_directory(target, PRIVATE_DIRECTORY) as work:
        copy = work / "damaged"
        try:
            _copy(data, copy)
            with taken(copy, now, new=False) as held:
                salvaged = _salvage(held, site, work)
            proved = verify_ledger(work, site, now=now)
        except TallygateError as error:
            error.place = error.place.replace(str(copy), str(data))
            raise
        if proved != salvaged.head:
            damaged("the salvaged entries do not add up to the signed head")
        shutil.rmtree(copy)
        (work / _LOCK).unlink()
    return salvaged


def _copy(data: Path, copy: Path) -> None:
    """Copies the files, and puts an empty one or a strict one in the place of one that is gone."""
    copy.mkdir(PRIVATE_DIRECTORY)
    found = {name: (data / name).exists() for name in (files.DATABASE, files.WAL, files.MARK)}
    if not any(found.values()):
        raise TallygateError(
            "ledger.missing", "there is no ledger here yet", place=str(data / files.DATABASE)
        )
    for name in (name for name, there in found.items() if there):
        shutil.copyfile(data / name, copy / name)
    mark = None
    with contextlib.suppress(TallygateError):
        mark = files.read_mark(copy / files.MARK)
    if not found[files.WAL] and mark is not None and mark.folded:
        write_durably(copy / files.WAL, b"", mode=PRIVATE_FILE)
    if mark is None and found[files.WAL]:
        write_durably(copy / files.MARK, _strict_mark(copy / files.WAL).encode(0), mode=PRIVATE_FILE)


def _strict_mark(path: Path) -> Mark:
    """A mark that asks for every page that the log begins, as if nothing of it could be torn."""
    with path.open("rb") as file:
        wal = read_wal(file.fileno(), str(path))
    ours = [number for number, frame in enumerate(wal.frames, 1) if frame.salts == wal.salts]
    return Mark(0, bytes(32), wal.salts or bytes(8), max(ours, default=0), folded=not wal.length)


def _salvage(held: Taken, site: Site, work: Path) -> Salvaged:
    head = recovery.read_head(held.connection)
    if head is None:
        damaged("there is no head to prove the entries with")
    files.make(work, empty_database())
    with contextlib.closing(apsw.Connection(str(work / files.DATABASE))) as new:
        set_up(new)
        # Nobody is answered from this file before it is proved and synced as a whole.
        new.execute("PRAGMA synchronous=OFF")
        new.execute("PRAGMA cache_spill=ON")
        new.execute("BEGIN IMMEDIATE")
        tree = _core.Tree()
        routes = sum(_move(chunk, new, tree, site) for chunk in _chunks(rows(held.connection, _ENTRIES)))
        if (tree.size, tree.root()) != (head.size, head.root):
            damaged(
                f"the {tree.size:,} readable statements do not add up to the signed head of {head.size:,}"
            )
        new.execute("INSERT INTO head VALUES (1,?,?,?)", (head.size, head.root, head.note))
        attachments = _move_attachments(held.connection, new)
        new.execute("COMMIT")
        new.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
    recovery.compare_mark(held.files.mark, tree)
    mark = Mark(head.size, head.root, bytes(8), 0, folded=True)
    write_durably(work / files.MARK, mark.encode(0), mode=PRIVATE_FILE)
    return Salvaged(head, routes, attachments)


def _chunks(found: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(found, _CHUNK)):
        yield chunk


def _move(chunk: list[Row], new: apsw.Connection, tree: _core.Tree, site: Site) -> int:
    """Inserts the entries of these rows; how many have lost their route or time."""
    numbers = members(site.definition)
    cells: list[Value] = []
    names: list[Value] = []
    leaves: list[bytes] = []
    lost = 0
    for expected, row in enumerate(chunk, tree.size):
        index, content, received_at, route = row
        if index != expected or not isinstance(content, bytes):
            damaged("it is missing", expected)
        try:
            statement = _core.decode(content)
            signer = signer_of(statement, numbers)
        except (CoreError, ValueError) as error:
            damaged(f"its statement has changed ({error})", expected)
        text = _readable(route)
        if text is None or not isinstance(received_at, int) or received_at < 0:
            lost += 1
            received_at, text = 0, LOST_ROUTE
        leaves.append(statement.leaf_hash)
        cells += (index, statement.id, statement.leaf_hash, content, *signer, received_at, text)
        names += named(statement)
    try:
        insert(new, "INSERT INTO entry", cells)
    except apsw.ConstraintError:
        damaged(f"one statement stands twice among the entries up to {tree.size + len(chunk):,}")
    insert(new, "INSERT OR IGNORE INTO named", names)
    tree.append(leaves)
    return lost


def _readable(route: Value) -> str | None:
    try:
        text = route.decode("ascii") if isinstance(route, bytes) else ""
        check_route(text)
    except ValueError:
        return None
    return text


def _move_attachments(old: apsw.Connection, new: apsw.Connection) -> int:
    """Inserts the rows whose seals hold; how many do not."""
    lost = 0
    for row in rows(old, "SELECT * FROM attachment"):
        if seal(row[:-1]) == row[-1]:
            insert(new, "INSERT INTO attachment", row)
        else:
            lost += 1
    return lost
