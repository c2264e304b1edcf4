"""What a start finds: every flipped bit, another log, an old copy, somebody else at work."""

import contextlib
import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.base.files import write_durably
from gateway.ledger import lookup, recovery, schema, sqlite
from gateway.ledger.protocol import Attachment, Entry, Head, LedgerFailedError, Refusal, Submission
from gateway.ledger.recovery import Site
from gateway.ledger.sqlite import SqliteLedger, open_ledger, verify_ledger
from tests.faults.night import LOG_KEY, LOG_SEED, ORIGIN, Night, clock, packet, submit

# Values that stand nowhere else in the file, so that their bytes can be found in it.
DEVICE = 0x5A5B5C5D5E
SEQUENCE = 0x4A4B4C4D4E
RECEIVED_AT = 0x0001_6A6B_6C6D
ROUTE = "courier:77777777"
PAPER = b"\xa7" * 32
STORED = b"\xa9" * 32
SUM = b"\xab" * 32
STATION = 7
FILES = ("ledger.sqlite", "ledger.sqlite-wal", "ledger.mark")


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """A night with something in every table and column; closed, everything in one file."""
    night = Night(tmp_path / "night")
    ledger = night.open()
    for number in range(1, 30):
        ledger.append([submit(packet(device, number), f"box:{device}") for device in range(1, 6)])
    ledger.refuse(Refusal(0x2A2B2C2D2E, "statement.signature", 0x3A3B3C3D3E, SUM, b"\xd2excerpt"))
    papers = ((PAPER, 1, 0x123457, 1, 1),)
    one = packet(DEVICE, SEQUENCE, attachments=papers)
    ledger.append([Submission(one, RECEIVED_AT, ROUTE, 256)])
    ledger.store_attachment(Attachment(STORED, 0x234567, 3, 0x7A7B7C7D7E))
    ledger.close()
    # Without the remains of old rows in free space, where a flipped bit is nobody's loss.
    by_sql(night, "VACUUM")
    return night


def refusal(night: Night, site: Site | None = None) -> TallygateError:
    with pytest.raises(TallygateError) as caught:
        open_ledger(night.data, site or night.site, LOG_SEED, clock=clock, now=clock)
    return caught.value


def database(night: Night) -> Path:
    return night.data / "ledger.sqlite"


def big(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


COLUMNS: dict[str, Callable[[Night], bytes]] = {
    "sqlite_schema, a table's words": lambda night: b"CREATE TABLE schema_version",
    "sqlite_schema, an index's words": lambda night: b"UNIQUE INDEX entry_id",
    "head.root": lambda night: head(night).root,
    "head.checkpoint": lambda night: head(night).note.encode()[30:60],
    "entry.id": lambda night: packet(3, 7).id,
    "entry.leaf_hash": lambda night: packet(3, 7).leaf_hash,
    "entry.statement": lambda night: packet(3, 7).encoded[200:],
    "entry.statement, of the opening": lambda night: night.opening_signatures()[1][100:],
    "entry.signer": lambda night: big(DEVICE, 6) + big(SEQUENCE, 6) + b"",
    "entry.received_at": lambda night: big(RECEIVED_AT, 6) + ROUTE.encode(),
    "entry.route": lambda night: ROUTE.encode(),
    "refusal.at": lambda night: big(0x2A2B2C2D2E, 6),
    "refusal.code": lambda night: b"statement.signature",
    "refusal.device": lambda night: big(0x3A3B3C3D3E, 6),
    "refusal.sha256": lambda night: SUM,
    "refusal.excerpt": lambda night: b"\xd2excerpt",
    "attachment.sha256": lambda night: STORED,
    "attachment.size": lambda night: big(0x234567, 3),
    "attachment.received_at": lambda night: big(0x7A7B7C7D7E, 6),
    "named.sha256": lambda night: PAPER + big(DEVICE, 6),
    "named.device": lambda night: big(DEVICE, 6) + bytes([STATION]),
    "named.size": lambda night: big(0x123457, 3),
}


def head(night: Night) -> Head:
    found = verify_ledger(night.data, night.site, now=clock)
    assert found is not None
    return found


def said(night: Night) -> tuple[object, ...]:
    """All that a ledger says."""
    with contextlib.closing(night.open()) as ledger:
        lookups = ledger.named(PAPER), ledger.attachment(STORED), ledger.last(DEVICE), ledger.refusals(10)
        return ledger.head(), ledger.entries(0, 1_000), *lookups


def all_entries(night: Night) -> list[Entry]:
    with contextlib.closing(night.open()) as ledger:
        return ledger.entries(0, 1_000)


def places(content: bytes, wanted: bytes) -> list[int]:
    found, at = [], content.find(wanted)
    while at >= 0:
        found.append(at)
        at = content.find(wanted, at + 1)
    return found


@pytest.mark.parametrize("column", sorted(COLUMNS))
def test_a_flipped_bit_in_each_column(night: Night, column: str) -> None:
    wanted = COLUMNS[column](night)
    good = database(night).read_bytes()
    before = said(night)
    detected = 0
    for at in places(good, wanted):
        for place, bit in ((0, 1), (len(wanted) // 2, 0x10), (len(wanted) - 1, 0x80)):
            spoiled = bytearray(good)
            spoiled[at + place] ^= bit
            database(night).write_bytes(spoiled)
            try:
                # Of the first rows an old copy stands in the free space of the table's root page.
                unharmed = said(night) == before
            except TallygateError as error:
                detected += 1
                unharmed = error.code == "ledger.damaged" and "docs/ledger.md" in error.detail
            assert unharmed
    assert detected >= 3


def test_the_numbers_that_cannot_be_searched(night: Night) -> None:
    """kind, head.size, seals, version and media are single bytes: SQL changes them, all copies at once."""
    good = database(night).read_bytes()
    for change in (
        "UPDATE schema_version SET version = 3",
        "UPDATE head SET size = size - 1",
        "UPDATE head SET size = size + 1",
        "UPDATE head SET size = 0",
        "UPDATE refusal SET record = zeroblob(length(record))",
        "UPDATE refusal SET record = substr(record, 2)",
        "UPDATE attachment SET seal = seal + 1",
        "UPDATE attachment SET media = 2",
        "UPDATE named SET seal = seal + 1",
        "UPDATE named SET media = 2",
        "UPDATE named SET station = 8",
        "DELETE FROM head",
        "DELETE FROM entry WHERE idx = 9",
        "DELETE FROM entry WHERE idx = 147",
        "UPDATE entry SET idx = 1000 WHERE idx = 147",
        "CREATE TABLE more(x)",
        "DROP INDEX entry_signer",
    ):
        by_sql(night, change)
        assert refusal(night).code in {"ledger.damaged", "ledger.version"}, change
        database(night).write_bytes(good)


def by_sql(night: Night, change: str) -> None:
    """What only a bug or a forger does; leaves the files as a clean end does."""
    with contextlib.closing(apsw.Connection(str(database(night)))) as connection:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute(change)
        connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)


def test_the_first_bad_entry_is_named(night: Night) -> None:
    content = bytearray(database(night).read_bytes())
    for one, index in ((packet(4, 20), 2 + 19 * 5 + 3), (packet(2, 11), 2 + 10 * 5 + 1)):
        content[content.index(one.encoded) + 100] ^= 4
        database(night).write_bytes(content)
        error = refusal(night)
        assert error.detail.startswith(f"entry {index}: ")
        assert error.place == "data/ledger.sqlite"


def test_an_index_that_differs_names_its_entry(night: Night) -> None:
    content = bytearray(database(night).read_bytes())
    mine = packet(3, 7).id
    first, second = places(bytes(content), mine)
    for at in (first, second):
        spoiled = bytearray(content)
        spoiled[at] ^= 1
        database(night).write_bytes(spoiled)
        assert refusal(night).detail.startswith(f"entry {2 + 6 * 5 + 2}: ")


@pytest.mark.parametrize("seed", range(150))
def test_a_bit_flipped_anywhere(night: Night, seed: int) -> None:
    """It is found at the start, or nothing that the ledger says has changed, or the first use finds it."""
    chance = random.Random(seed)
    before = said(night)
    entries = [(entry.index, _core.decode(entry.statement).id) for entry in all_entries(night)]
    content = bytearray(database(night).read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    database(night).write_bytes(content)
    code: str | None = None
    more = [packet(device, 1_000 + number) for number in range(40) for device in range(1, 6)]
    try:
        assert said(night) == before
        with contextlib.closing(night.open()) as ledger:
            for index, identity in entries:
                assert [entry.index for entry in ledger.entries(index, index + 1)] == [index]
                receipt = ledger.receipt(identity)
                assert receipt is not None
                assert receipt.index == index
            # What is written later must not destroy what is there.
            for place in range(0, len(more), 50):
                ledger.append([submit(one, "box:9") for one in more[place : place + 50]])
        found = [_core.decode(entry.statement).id for entry in all_entries(night)]
        assert found == [identity for _, identity in entries] + [one.id for one in more]
    except TallygateError as error:
        code = error.code
    assert code in {None, "ledger.damaged", "ledger.version", "ledger.failed", "ledger.setting"}


def test_a_published_checkpoint_that_fits(night: Night) -> None:
    ledger = night.open()
    old = ledger.head()
    ledger.append([submit(packet(1, 100))])
    new = ledger.head()
    ledger.close()
    for published in (old, new):
        assert published is not None
        write_durably(night.published, published.note.encode())
        night.open().close()


def test_an_old_copy_is_refused(night: Night) -> None:
    copy, mark = night.root / "backup.sqlite", night.root / "backup.mark"
    shutil.copyfile(database(night), copy)
    shutil.copyfile(night.data / "ledger.mark", mark)
    ledger = night.open()
    ledger.append([submit(packet(1, 100))])
    newest = ledger.head()
    ledger.close()
    assert newest is not None
    write_durably(night.published, newest.note.encode())
    shutil.copyfile(copy, database(night))
    error = refusal(night)
    assert (error.code, error.place) == ("ledger.behind", "data/ledger.mark")
    # A whole folder of a backup: only what was published can tell.
    shutil.copyfile(mark, night.data / "ledger.mark")
    error = refusal(night)
    assert (error.code, error.place) == ("ledger.behind", str(night.published))
    # It would fork the log; the same history with another statement is refused too.
    night.published.unlink()
    ledger = night.open()
    ledger.append([submit(packet(1, 101)), submit(packet(1, 102))])
    ledger.close()
    write_durably(night.published, newest.note.encode())
    assert refusal(night).code == "ledger.behind"
    # And so is no ledger at all.
    for name in FILES:
        (night.data / name).unlink()
    assert refusal(night).code == "ledger.behind"


def test_another_history_than_the_acknowledged(night: Night) -> None:
    """A copy that went its own way, as long as the log or longer."""
    copy = night.root / "copy"
    shutil.copytree(night.data, copy)
    ledger = night.open()
    ledger.append([submit(packet(1, 100))])
    ledger.close()
    mark = (night.data / "ledger.mark").read_bytes()
    shutil.rmtree(night.data)
    copy.rename(night.data)
    ledger = night.open()
    ledger.append([submit(packet(1, 101)), submit(packet(1, 102))])
    ledger.close()
    (night.data / "ledger.mark").write_bytes(mark)
    error = refusal(night)
    assert (error.code, error.place) == ("ledger.behind", "data/ledger.mark")


def test_a_published_checkpoint_of_somebody_else(night: Night) -> None:
    for note in (b"", b"nonsense", b"x" * 20_000, head(night).note.encode().replace(b"2", b"3")):
        night.published.write_bytes(note)
        assert refusal(night).code == "ledger.published"


LINKS: dict[str, Callable[[Path], object]] = {
    "a link that leads nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("what", sorted(LINKS))
def test_a_published_checkpoint_that_cannot_be_looked_at(night: Night, what: str) -> None:
    LINKS[what](night.published)
    error = refusal(night)
    assert (error.code, error.place) == ("ledger.published", str(night.published))
    assert "Never remove it" in error.detail


def test_a_feed_that_is_not_there(night: Night) -> None:
    """Nothing published yet is no trouble; a feed on a disk that is not mounted is."""
    feed = night.root / "feed"
    site = Site(night.definition, night.roster.hash, LOG_KEY, feed / "log" / "checkpoint")
    open_ledger(night.data, site, LOG_SEED, clock=clock, now=clock).close()
    feed.symlink_to(night.root / "not-mounted")
    assert refusal(night, site).code == "ledger.published"
    (night.root / "not-mounted").mkdir()
    open_ledger(night.data, site, LOG_SEED, clock=clock, now=clock).close()


def test_a_folder_that_is_not_there(night: Night) -> None:
    night.data.rename(night.root / "away")
    error = refusal(night)
    assert (error.code, error.place) == ("ledger.failed", str(night.data / "ledger.lock"))
    assert "mounted" in error.detail


def test_a_file_of_another_user(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run as root is likelier than a dying disk."""
    path = str(database(night))
    real = os.open

    def refuse(file: str | Path, flags: int, mode: int = 0o777) -> int:
        if str(file) == path:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(file, flags, mode)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        error = refusal(night)
    assert (error.code, error.place) == ("ledger.failed", path)
    assert "chown" in error.detail
    assert "smartctl" not in error.detail


@pytest.mark.parametrize("name", FILES)
def test_the_file_that_cannot_be_synced_is_named(
    night: Night, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The system's own error names none: a descriptor has no name."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == name:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        error = refusal(night)
    assert (error.code, error.place) == ("ledger.failed", str(night.data / name))
    assert "smartctl" in error.detail


def test_a_mark_that_cannot_be_written_ends_the_ledger(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    before = head(night)
    ways: list[OSError | int] = [OSError(errno.EIO, "Input/output error"), 512]
    for number, written in enumerate(ways, 200):
        ledger = night.open()

        def pwrite(descriptor: int, data: bytes, offset: int, written: OSError | int = written) -> int:
            if isinstance(written, OSError):
                raise written
            return written

        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", pwrite)
            with pytest.raises(LedgerFailedError, match="nothing is acknowledged") as caught:
                ledger.append([submit(packet(1, number))])
        assert caught.value.place == str(night.data / "ledger.mark")
        with pytest.raises(LedgerFailedError):
            ledger.head()
        ledger.close()
    # Both are in the log, and nobody was told.
    assert head(night).size == before.size + 2


SPOILED: dict[str, tuple[str, Callable[[SqliteLedger], object]]] = {
    "named": ("UPDATE named SET seal = seal + 1", lambda ledger: ledger.named(PAPER)),
    "attachment": ("UPDATE attachment SET media = 2", lambda ledger: ledger.attachment(STORED)),
    "refusals": ("UPDATE refusal SET record = x'00'", lambda ledger: ledger.refusals(1)),
    "entries": ("DELETE FROM entry WHERE idx = 9", lambda ledger: ledger.entries(0, 20)),
}


@pytest.mark.parametrize("what", sorted(SPOILED))
def test_a_row_that_changes_while_it_runs(night: Night, what: str) -> None:
    """It does not vanish from the answer: the ledger has failed."""
    change, look = SPOILED[what]
    ledger = night.open()
    look(ledger)
    ledger._connection.execute(change)
    for _ in range(2):
        with pytest.raises(LedgerFailedError):
            look(ledger)
    ledger.close()


ANSWERS: dict[str, schema.Value] = {
    "nothing": None,
    "a number": 7,
    "no JSON": "[",
    "another shape": '[["x"]]',
}


@pytest.mark.parametrize("answer", sorted(ANSWERS))
def test_an_answer_of_sqlite_that_makes_no_sense(
    night: Night, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    ledger = night.open()
    with monkeypatch.context() as patched:
        patched.setattr(lookup, "value", lambda *_: ANSWERS[answer])
        with pytest.raises(LedgerFailedError):
            ledger.append([submit(packet(1, 500))])
    with pytest.raises(LedgerFailedError):
        ledger.head()
    ledger.close()


@pytest.mark.parametrize("rows", [[(1, None)], [("1", b"")], [(1, b""), (2, b"")]])
def test_a_last_entry_that_makes_no_sense(
    night: Night, monkeypatch: pytest.MonkeyPatch, rows: list[schema.Row]
) -> None:
    ledger = night.open()
    with monkeypatch.context() as patched:
        patched.setattr(sqlite, "rows", lambda *_: iter(rows))
        with pytest.raises(LedgerFailedError):
            ledger.last(1)
    ledger.close()


def test_another_nights_ledger(night: Night, tmp_path: Path) -> None:
    seed = b"\x66" * 32
    other = Site(night.definition, night.roster.hash, _core.public_key(seed), None)
    with pytest.raises(TallygateError) as caught:
        open_ledger(night.data, other, seed, clock=clock, now=clock)
    assert caught.value.code == "opening.log_key"
    with pytest.raises(ValueError, match="seed"):
        open_ledger(night.data, other, LOG_SEED, clock=clock, now=clock)
    # Another first roster is no matter any more: decision 9 may have brought a new one.
    later = Site(night.definition, bytes(32), LOG_KEY, None)
    open_ledger(night.data, later, LOG_SEED, clock=clock, now=clock).close()


def test_no_database(night: Night) -> None:
    for content in (b"no database at all", database(night).read_bytes()[:5_000]):
        database(night).write_bytes(content * 3)
        assert refusal(night).code in {"ledger.damaged", "ledger.setting"}


def test_another_process_is_refused(night: Night) -> None:
    ledger = night.open()
    code = (
        "import sys; from pathlib import Path; from tests.faults.night import Night\n"
        "try: Night(Path(sys.argv[1]), make=False).open()\n"
        "except Exception as error: print(error.code, error.detail)"
    )
    command = [sys.executable, "-c", code, str(night.root)]
    root = Path(__file__).parents[2]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"ledger.owned process {os.getpid()} on ")
    # Nor can anything else open the file, with SQLite's own means.
    code = "import apsw, sys; print(apsw.Connection(sys.argv[1]).execute('SELECT * FROM head').fetchall())"
    command = [sys.executable, "-c", code, str(database(night))]
    assert "Busy" in subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stderr
    assert sorted(path.name for path in night.data.iterdir()) == [
        "ledger.lock",
        "ledger.mark",
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "opening",
    ]
    ledger.close()
    night.open().close()


def test_a_program_that_has_the_file_open(night: Night) -> None:
    connection = apsw.Connection(str(database(night)))
    connection.execute("BEGIN IMMEDIATE")
    assert refusal(night).code == "ledger.owned"
    connection.close()


def test_nobody_else_can_read_the_files(night: Night) -> None:
    ledger = night.open()
    ledger.append([submit(packet(1, 100))])
    for name in (*FILES, "ledger.lock"):
        assert (night.data / name).stat().st_mode & 0o077 == 0
    ledger.close()


def test_verify_without_serving(night: Night, tmp_path: Path) -> None:
    assert head(night).size == 148
    empty = Night(tmp_path / "empty", opening=False)
    with pytest.raises(TallygateError) as caught:
        verify_ledger(empty.data, empty.site, now=clock)
    assert caught.value.code == "ledger.missing"
    empty.open().close()
    assert verify_ledger(empty.data, empty.site, now=clock) is None


def test_an_old_sqlite_is_refused(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    assert refusal(night).code == "ledger.sqlite"


# The beginnings of the queries that need the index alone.
COVERED = (recovery.BY_ID, recovery.BY_SIGNER, lookup.COUNT_ENTRIES[:50], lookup.FIND_IDS[:50])


def test_every_lookup_has_its_index(night: Night) -> None:
    ledger = night.open()
    plans = {
        lookup.FIND_IDS.format("?,?"): (b"", b""),
        lookup.FIND_PACKETS.format("(?,?),(?,?)"): (1, 1, 2, 2),
        lookup.COUNT_ENTRIES.format("?,?"): (1, 2),
        lookup.FIND_STATEMENTS.format("?,?"): (1, 2),
        sqlite.LAST: (1, 1),
        recovery.BY_ID: (),
        recovery.BY_SIGNER: (),
    }
    for sql, bindings in plans.items():
        plan = [row[3] for row in ledger._connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
        assert not [step for step in plan if step == "SCAN entry"], plan
        if sql.startswith(COVERED):
            assert [step for step in plan if "COVERING INDEX" in str(step)], plan
        if sql in {recovery.BY_ID, recovery.BY_SIGNER}:
            assert not [step for step in plan if "TEMP B-TREE" in str(step)], plan
    ledger.close()


def test_the_settings_hold(night: Night) -> None:
    ledger = night.open()
    for pragma, wanted in (
        ("synchronous", 2),
        ("journal_mode", "wal"),
        ("locking_mode", "exclusive"),
        ("wal_autocheckpoint", 0),
        ("mmap_size", 0),
    ):
        assert schema.value(ledger._connection, f"PRAGMA {pragma}") == wanted
    ledger.close()


def test_a_signature_that_does_not_fit_the_head(night: Night) -> None:
    """Somebody who changes the head without the log's key."""
    before = head(night)
    forged = _core.NoteSigner(ORIGIN, b"\x67" * 32).sign(
        _core.Checkpoint(ORIGIN, before.size, before.root).text
    )
    by_sql(night, f"UPDATE head SET checkpoint = '{forged}'")  # noqa: S608 - a note has no quote
    assert "does not verify" in refusal(night).detail
