"""A damaged ledger whose statements all prove becomes a whole one; any other stays what it is."""

import contextlib
import errno
import shutil
from pathlib import Path

import apsw
import pytest

from gateway.base.errors import TallygateError
from gateway.base.files import write_durably
from gateway.ledger import salvage as salvage_module
from gateway.ledger import sqlite
from gateway.ledger.protocol import Attachment, Entry, Head, LedgerFailedError, Refusal, Submission
from gateway.ledger.salvage import LOST_ROUTE, Salvaged, salvage_ledger
from gateway.ledger.sqlite import verify_ledger
from tests.faults.night import OPENED_AT, Night, clock, packet, submit

FILES = ("ledger.sqlite", "ledger.sqlite-wal", "ledger.mark")
PAPER = b"\xa7" * 32
STORED = Attachment(b"\xa9" * 32, 5, 3, OPENED_AT)
ROUTE = "courier:77777777"


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """A night with something in every table; closed."""
    night = Night(tmp_path / "night")
    with contextlib.closing(night.open()) as ledger:
        for number in range(1, 30):
            ledger.append([submit(packet(device, number), f"box:{device}") for device in range(1, 6)])
        ledger.refuse(Refusal(OPENED_AT, "statement.signature", 1, bytes(32), b"\xd2"))
        ledger.append([Submission(packet(9, 1, attachments=((PAPER, 1, 5, 1, 1),)), OPENED_AT, ROUTE, 9)])
        ledger.append([submit(night.decision(2, 3), "commission:3")])
        ledger.store_attachment(STORED)
    return night


def database(night: Night) -> Path:
    return night.data / "ledger.sqlite"


def contents(night: Night) -> dict[str, bytes]:
    return {name: (night.data / name).read_bytes() for name in FILES if (night.data / name).exists()}


def by_sql(night: Night, *changes: str) -> None:
    with contextlib.closing(apsw.Connection(str(database(night)))) as connection:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        for change in changes:
            connection.execute(change)
        connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)


def salvage(night: Night) -> Salvaged:
    """Into a new folder; the damaged one stays as it was."""
    before = contents(night)
    made = salvage_ledger(night.data, night.site, night.root / "salvaged", now=clock)
    assert contents(night) == before
    assert sorted(path.name for path in (night.root / "salvaged").iterdir()) == sorted(FILES)
    return made


def refused(night: Night) -> str:
    before = contents(night)
    with pytest.raises(TallygateError) as caught:
        salvage_ledger(night.data, night.site, night.root / "salvaged", now=clock)
    assert contents(night) == before
    assert list(night.root.glob("*salvaged*")) == []
    assert ".unfinished" not in caught.value.place
    return caught.value.code


def start_code(night: Night) -> str:
    with pytest.raises(TallygateError) as caught:
        night.open()
    return caught.value.code


def move_in(night: Night) -> None:
    """As docs/ledger.md tells the operator."""
    for name in FILES:
        (night.data / name).unlink(missing_ok=True)
        (night.root / "salvaged" / name).rename(night.data / name)


def everything(night: Night) -> tuple[Head | None, list[Entry]]:
    with contextlib.closing(night.open()) as ledger:
        assert ledger.refusals(10) == []
        assert [one.device for one in ledger.named(PAPER)] == [9]
        return ledger.head(), ledger.entries(0, 1_000)


REPAIRABLE = {
    "a refusal": "UPDATE refusal SET record = zeroblob(190)",
    "a named paper": "UPDATE named SET seal = seal + 1",
    "a named paper's station": "UPDATE named SET station = 8",
    "an id": "UPDATE entry SET id = zeroblob(32) WHERE idx = 40",
    "a leaf hash": "UPDATE entry SET leaf_hash = zeroblob(32) WHERE idx = 40",
}


@pytest.mark.parametrize("what", sorted(REPAIRABLE))
def test_what_the_statements_can_repair(night: Night, what: str) -> None:
    with contextlib.closing(night.open()) as ledger:
        head, entries = ledger.head(), ledger.entries(0, 1_000)
    by_sql(night, REPAIRABLE[what])
    assert start_code(night) == "ledger.damaged"
    made = salvage(night)
    assert made == Salvaged(made.head, 0, 0)
    assert made.head == head
    move_in(night)
    assert everything(night) == (head, entries)
    with contextlib.closing(night.open()) as ledger:
        assert ledger.attachment(STORED.sha256) == STORED
        ledger.append([submit(packet(1, 100))])
    assert verify_ledger(night.data, night.site, now=clock) is not None


def test_a_bit_in_an_index(night: Night) -> None:
    head, entries = None, []
    with contextlib.closing(night.open()) as ledger:
        head, entries = ledger.head(), ledger.entries(0, 1_000)
    by_sql(night, "VACUUM")
    content = bytearray(database(night).read_bytes())
    wanted = packet(3, 7).id
    places = [at for at in range(len(content)) if content.startswith(wanted, at)]
    for at in places:
        spoiled = bytearray(content)
        spoiled[at] ^= 1
        database(night).write_bytes(spoiled)
        assert start_code(night) == "ledger.damaged"
        assert salvage(night).head == head
        shutil.rmtree(night.root / "salvaged")
    salvage(night)
    move_in(night)
    with contextlib.closing(night.open()) as ledger:
        assert ledger.entries(0, 1_000) == entries


def test_what_proves_nothing_is_lost_and_counted(night: Night) -> None:
    by_sql(
        night,
        "UPDATE attachment SET media = 2",
        "UPDATE entry SET route = CAST(x'ff' AS TEXT) WHERE idx = 40",
        "UPDATE entry SET received_at = -1 WHERE idx = 41",
    )
    assert start_code(night) == "ledger.damaged"
    made = salvage(night)
    assert (made.routes, made.attachments) == (2, 1)
    move_in(night)
    with contextlib.closing(night.open()) as ledger:
        assert ledger.attachment(STORED.sha256) is None
        lost = ledger.entries(40, 42)
    assert [(entry.route, entry.received_at) for entry in lost] == [(LOST_ROUTE, 0)] * 2


def test_what_does_not_prove_stays_refused(night: Night) -> None:
    good = contents(night)
    statement = packet(4, 20).encoded
    for change in (
        "UPDATE entry SET statement = substr(statement, 2) WHERE idx = 40",
        "UPDATE entry SET statement = (SELECT statement FROM entry WHERE idx = 41) WHERE idx = 40",
        "DELETE FROM entry WHERE idx = 40",
        "DELETE FROM entry WHERE idx = 148",
        "DELETE FROM head",
        "UPDATE head SET size = size - 1",
        "UPDATE head SET root = zeroblob(32)",
        "UPDATE head SET checkpoint = 'nonsense'",
        "DROP INDEX entry_id",
    ):
        by_sql(night, change)
        assert refused(night) == "ledger.damaged", change
        for name, content in good.items():
            (night.data / name).write_bytes(content)
    spoiled = bytearray(good["ledger.sqlite"])
    spoiled[spoiled.index(statement) + len(statement) - 3] ^= 1
    database(night).write_bytes(spoiled)
    assert refused(night) == "ledger.damaged"


def test_a_file_that_is_gone(night: Night) -> None:
    good = contents(night)
    for name in ("ledger.sqlite-wal", "ledger.mark"):
        (night.data / name).unlink()
        assert start_code(night) == "ledger.incomplete"
        assert salvage(night).head.size == 149
        shutil.rmtree(night.root / "salvaged")
        (night.data / name).write_bytes(good[name])
    (night.data / "ledger.mark").write_bytes(b"spoiled")
    assert salvage(night).head.size == 149
    shutil.rmtree(night.root / "salvaged")
    (night.data / "ledger.mark").unlink()
    (night.data / "ledger.sqlite-wal").unlink()
    assert refused(night) == "ledger.incomplete"
    for name, content in good.items():
        (night.data / name).write_bytes(content)
    database(night).unlink()
    assert refused(night) == "ledger.incomplete"
    for name in FILES:
        (night.data / name).unlink(missing_ok=True)
    assert refused(night) == "ledger.missing"


def test_what_was_acknowledged_is_never_left_out(night: Night) -> None:
    """A salvage that is shorter than the log would be a fork."""
    ledger = night.open()
    ledger.append([submit(packet(1, 200))])
    ledger.append([submit(packet(1, 201))])
    running = contents(night)
    newest = ledger.head()
    ledger.close()
    assert newest is not None

    def restore(**replaced: bytes) -> None:
        names = {"wal": "ledger.sqlite-wal", "mark": "ledger.mark"}
        for name, content in running.items():
            (night.data / name).write_bytes(content)
        for name, content in replaced.items():
            (night.data / names[name]).write_bytes(content)

    wal = bytearray(running["ledger.sqlite-wal"])
    wal[-100] ^= 1
    # The newest transaction is spoiled: with the mark, and, where the mark is gone, by the strictest reading.
    restore(wal=bytes(wal))
    assert refused(night) == "ledger.damaged"
    restore(wal=bytes(wal), mark=b"spoiled")
    assert refused(night) == "ledger.damaged"
    restore(wal=b"")
    assert refused(night) == "ledger.damaged"
    (night.data / "ledger.sqlite-wal").unlink()
    assert refused(night) == "ledger.incomplete"
    # Nothing but the published checkpoint is left to tell.
    write_durably(night.published, newest.note.encode())
    restore(wal=b"", mark=b"spoiled")
    assert refused(night) == "ledger.behind"
    restore(mark=b"spoiled")
    assert salvage(night).head == newest


def test_a_log_that_began_anew_without_its_mark(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind its own pages stand those of the log before, which nobody asks for."""
    monkeypatch.setattr(sqlite, "CHECKPOINT_PAGES", 30)
    ledger = night.open()
    for number in range(200, 240):
        ledger.append([submit(packet(1, number))])
        wal = contents(night)["ledger.sqlite-wal"]
        # The salts of the header and of the last frame.
        if wal[16:24] != wal[-4_120 + 8 : -4_120 + 16]:
            break
    else:
        pytest.fail("it did not begin anew")
    running = contents(night)
    newest = ledger.head()
    ledger.close()
    for name, content in running.items():
        (night.data / name).write_bytes(content)
    (night.data / "ledger.mark").unlink()
    assert salvage(night).head == newest


def test_an_old_copy_is_not_salvaged(night: Night) -> None:
    """Its own files all prove; that it is old, only the mark of today says."""
    old = contents(night)
    with contextlib.closing(night.open()) as ledger:
        ledger.append([submit(packet(1, 200))])
    today = contents(night)
    for mark in ("shorter", "another history"):
        database(night).write_bytes(old["ledger.sqlite"])
        (night.data / "ledger.mark").write_bytes(old["ledger.mark"])
        if mark == "another history":
            with contextlib.closing(night.open()) as ledger:
                ledger.append([submit(packet(1, 201))])
        (night.data / "ledger.mark").write_bytes(today["ledger.mark"])
        assert start_code(night) == "ledger.behind"
        assert refused(night) == "ledger.behind"


def test_a_disk_that_fails_it_is_a_failure(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another error than a refusal: who tries again on a sound disk may succeed."""

    def fail(connection: apsw.Connection) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(salvage_module, "set_up", fail)
    with pytest.raises(LedgerFailedError, match="smartctl") as caught:
        salvage(night)
    assert ".unfinished" not in caught.value.place


def test_it_is_nobody_elses_at_the_time(night: Night) -> None:
    with contextlib.closing(night.open()), pytest.raises(TallygateError) as caught:
        salvage_ledger(night.data, night.site, night.root / "salvaged", now=clock)
    assert caught.value.code == "ledger.owned"
    (night.root / "salvaged").mkdir()
    (night.root / "salvaged" / "something").touch()
    with pytest.raises(TallygateError) as caught:
        salvage_ledger(night.data, night.site, night.root / "salvaged", now=clock)
    assert caught.value.code == "file.exists"
