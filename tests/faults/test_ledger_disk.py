"""Errors of the disk end the ledger at once, and a power cut takes nothing that was acknowledged."""

import errno
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import apsw
import pytest

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.base.files import write_durably
from gateway.ledger import files, sqlite
from gateway.ledger.protocol import Attachment, LedgerFailedError, Logged, Refusal
from gateway.ledger.sqlite import SqliteLedger
from tests.faults.disk import FailingDisk, File, VolatileDisk, mounted
from tests.faults.night import OPENED_AT, Night, packet, submit

Acknowledged = dict[bytes, tuple[int, str]]


@pytest.fixture(autouse=True)
def _checkpoints_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_PAGES", 40)


def append(ledger: SqliteLedger, statements: Sequence[_core.Statement], into: Acknowledged) -> None:
    answers = ledger.append([submit(one, f"box:{one.device}") for one in statements])
    for one, answer in zip(statements, answers, strict=True):
        assert isinstance(answer, Logged)
        into[one.encoded] = (answer.receipt.index, answer.receipt.text())


def append_many(ledger: SqliteLedger, into: Acknowledged) -> None:
    for number in range(1, 100):
        append(ledger, [packet(2, number), packet(3, number)], into)


def lost(night: Night, acknowledged: Acknowledged) -> int:
    """Opens the ledger and counts what was acknowledged and is not there; what is there must be right."""
    ledger = night.open()
    try:
        entries = [entry.statement for entry in ledger.entries(0, 100_000)]
        tree = _core.Tree()
        tree.append([_core.leaf_hash(entry) for entry in entries])
        assert len(set(entries)) == len(entries)
        gone = 0
        for statement, (index, receipt) in acknowledged.items():
            _, checkpoint = _core.verify_receipt(receipt.encode(), statement, night.vkey)
            if entries[index : index + 1] != [statement] or checkpoint.size > tree.size:
                gone += 1
            else:
                assert tree.root(checkpoint.size) == checkpoint.root
        return gone
    finally:
        ledger.close()


def every_call_fails(ledger: SqliteLedger) -> None:
    one = packet(1, 1)
    calls = (
        ledger.head,
        lambda: ledger.append([submit(one)]),
        lambda: ledger.append([]),
        lambda: ledger.receipt(one.id),
        lambda: ledger.entries(0, 1),
        lambda: ledger.last(1),
        lambda: ledger.named(bytes(32)),
        lambda: ledger.refusals(1),
    )
    for call in calls:
        with pytest.raises(LedgerFailedError) as caught:
            call()
        assert caught.value.code == "ledger.failed"


FAULTS: list[tuple[Literal["write", "sync"], File, type[apsw.Error], int]] = [
    ("write", "wal", apsw.IOError, 0),
    ("write", "wal", apsw.IOError, 3),
    ("write", "wal", apsw.FullError, 0),
    ("write", "wal", apsw.FullError, 2),
    ("sync", "wal", apsw.IOError, 0),
    ("sync", "wal", apsw.NoMemError, 0),
    ("write", "db", apsw.IOError, 0),
    ("write", "db", apsw.IOError, 2),
    ("write", "db", apsw.FullError, 1),
    ("sync", "db", apsw.IOError, 0),
]


@pytest.mark.parametrize(("call", "file", "error", "after"), FAULTS)
def test_the_first_error_ends_the_ledger(
    tmp_path: Path, call: Literal["write", "sync"], file: File, error: type[apsw.Error], after: int
) -> None:
    night = Night(tmp_path)
    acknowledged: Acknowledged = {}
    disk = FailingDisk(call, file, error, after)
    with mounted(disk):
        ledger = night.open()
        append(ledger, [packet(1, number) for number in range(1, 4)], acknowledged)
        disk.arm()
        with pytest.raises(LedgerFailedError, match="nothing is acknowledged any more") as caught:
            append_many(ledger, acknowledged)
        assert disk.failed
        assert ("make room" in caught.value.detail) == (error is apsw.FullError)
        assert ("no memory" in caught.value.detail) == (error is apsw.NoMemError)
        # The disk works again, which must not matter.
        every_call_fails(ledger)
        before = (night.data / "ledger.sqlite").read_bytes()
        ledger.close()
        assert (night.data / "ledger.sqlite").read_bytes() == before
    assert lost(night, acknowledged) == 0


def test_an_error_while_an_attachment_is_noted(tmp_path: Path) -> None:
    night = Night(tmp_path)
    disk = FailingDisk("sync", "wal", apsw.IOError, 0)
    with mounted(disk):
        ledger = night.open()
        disk.arm()
        with pytest.raises(LedgerFailedError):
            ledger.store_attachment(Attachment(bytes(32), 1, 1, OPENED_AT))
        every_call_fails(ledger)
        ledger.close()


def test_an_error_while_it_closes(tmp_path: Path) -> None:
    night = Night(tmp_path)
    acknowledged: Acknowledged = {}
    disk = FailingDisk("sync", "db", apsw.IOError, 0)
    with mounted(disk):
        ledger = night.open()
        append(ledger, [packet(1, 1)], acknowledged)
        ledger.refuse(Refusal(OPENED_AT, "statement.signature", 1, bytes(32), b""))
        disk.arm()
        with pytest.raises(LedgerFailedError):
            ledger.close()
    assert lost(night, acknowledged) == 0


@pytest.mark.parametrize("name", ["ledger.sqlite-wal", "ledger.mark", "ledger.sqlite"])
@pytest.mark.parametrize("call", ["write", "rename", "sync"])
def test_an_error_at_the_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: str
) -> None:
    """Wherever the making of the files ends, nothing is there yet and the next start makes them."""
    night = Night(tmp_path)

    def fail(path: Path, data: bytes, *, mode: int | None = None) -> None:
        if path.name == name and call == "write":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        if path.name != name or call == "sync":
            write_durably(path, data, mode=mode)
        if path.name == name:
            raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_durably", fail)
        with pytest.raises(LedgerFailedError, match=r"No space|Input/output") as caught:
            night.open()
    assert caught.value.place == str(night.data / name)
    assert ("make room" in caught.value.detail) == (call == "write")
    assert lost(night, {}) == 0


def test_a_fault_that_is_not_the_disks_undoes_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = Night(tmp_path)
    ledger = night.open()
    acknowledged: Acknowledged = {}
    append(ledger, [packet(1, 1)], acknowledged)
    before = ledger.head()
    refused = Refusal(OPENED_AT, "statement.signature", 1, bytes(32), b"")
    ledger.refuse(refused)
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_sign", no_memory)
        with pytest.raises(MemoryError):
            ledger.append([submit(packet(1, 2)), submit(packet(1, 3))])
    assert ledger.head() == before
    assert ledger.receipt(packet(1, 2).id) is None
    assert ledger.refusals(1) == []
    append(ledger, [packet(1, 4), packet(1, 2)], acknowledged)
    assert ledger.refusals(1) == [refused]
    ledger.close()
    assert lost(night, acknowledged) == 0


def no_memory(log: object) -> None:
    """What a signer answers without memory."""
    raise MemoryError


class Unforgetting:
    """A tree that cannot undo."""

    def __init__(self, tree: _core.Tree) -> None:
        self._tree = tree

    def __getattr__(self, name: str) -> object:
        if name == "truncate":
            raise MemoryError
        return getattr(self._tree, name)


def test_a_failing_undo_ends_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    night = Night(tmp_path)
    ledger = night.open()
    acknowledged: Acknowledged = {}
    append(ledger, [packet(1, 1)], acknowledged)

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_sign", no_memory)
        patched.setattr(ledger, "_tree", Unforgetting(ledger._tree))
        with pytest.raises(LedgerFailedError, match="undoing"):
            ledger.append([submit(packet(1, 2))])
    every_call_fails(ledger)
    ledger.close()
    assert lost(night, acknowledged) == 0


@pytest.mark.parametrize("size", [0, 3, 4, 5])
def test_a_tree_that_changed_in_memory_signs_nothing(tmp_path: Path, size: int) -> None:
    night = Night(tmp_path)
    ledger = night.open()
    acknowledged: Acknowledged = {}
    append(ledger, [packet(1, 1), packet(1, 2)], acknowledged)
    ledger._tree = _core.Tree()
    ledger._tree.append([bytes(32)] * size)
    with pytest.raises(LedgerFailedError, match="does not extend"):
        ledger.append([submit(packet(1, 3))])
    every_call_fails(ledger)
    ledger.close()
    assert lost(night, acknowledged) == 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("survivors", [0.0, 0.5])
def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: Path, seed: int, survivors: float) -> None:
    assert cut(tmp_path, seed, survivors, normal=False) == 0


def test_the_power_cut_is_real(tmp_path: Path) -> None:
    """With synchronous=NORMAL acknowledged statements are lost: the harness can see it."""
    gone = [cut(tmp_path / str(seed), seed, 0.0, normal=True) for seed in range(5)]
    assert all(gone)


def test_what_a_power_cut_took_is_refused_where_the_mark_survived(tmp_path: Path) -> None:
    """A disk that lies about fsync: nothing of the database is there, and the mark is."""
    with pytest.raises(TallygateError) as caught:
        cut(tmp_path, 1, 0.0, normal=True, mark=-1)
    assert caught.value.code == "ledger.damaged"


def cut(root: Path, seed: int, survivors: float, *, normal: bool, mark: int | None = None) -> int:
    """Appends, cuts the power at a seeded moment, starts again from the platters, and counts the lost.

    The mark is never synced: one of those since the start is on the platters, the `mark`-th or, where it must
    not matter, any of them; with `normal` the oldest.
    """
    chance = random.Random(seed)
    night = Night(root)
    night.open().close()
    acknowledged: Acknowledged = {}
    disk = VolatileDisk()
    with mounted(disk):
        ledger = night.open()
        marks = [(night.data / "ledger.mark").read_bytes()]
        if normal:
            ledger._connection.execute("PRAGMA synchronous=NORMAL")
        for number in range(1, chance.randrange(5, 25)):
            devices = range(1, chance.randrange(2, 12))
            append(ledger, [packet(device, number) for device in devices], acknowledged)
            marks.append((night.data / "ledger.mark").read_bytes())
        left = root / "left"
        left.mkdir()
        disk.cut(left, chance, survivors=survivors)
        ledger.close()
    for file in left.iterdir():
        shutil.move(file, night.data / file.name)
    kept = mark if mark is not None else 0 if normal else chance.randrange(len(marks))
    (night.data / "ledger.mark").write_bytes(marks[kept])
    return lost(night, acknowledged)


def test_the_syncs_of_a_batch_and_of_a_checkpoint(tmp_path: Path) -> None:
    """The expected order of the durable writes, as gateway/ledger/sqlite.py documents it."""
    night = Night(tmp_path)
    disk = VolatileDisk()
    with mounted(disk):
        ledger = night.open()
        disk.syncs.clear()
        ledger.append([submit(packet(1, 1)), submit(packet(2, 1))])
        assert disk.syncs == ["wal"]
        ledger.append([submit(packet(1, 1))])
        assert disk.syncs == ["wal"]
        while "db" not in disk.syncs:
            disk.syncs.clear()
            ledger.append([submit(packet(3, len(ledger.entries(0, 10_000))))])
        assert disk.syncs == ["wal", "db", "wal", "wal"]
        ledger.close()


def test_a_head_is_shown_only_when_it_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower that asks in between must not be told of what this ledger may yet refuse to acknowledge."""
    night = Night(tmp_path)
    ledger = night.open()
    seen: list[int] = []

    def look(real: Callable[..., None]) -> Callable[..., None]:
        def called(*arguments: object) -> None:
            head = ledger.head()
            assert head is not None
            seen.append(head.size)
            real(*arguments)

        return called

    monkeypatch.setattr(ledger._files, "note", look(ledger._files.note))
    monkeypatch.setattr(ledger._files, "require_ours", look(ledger._files.require_ours))
    ledger.append([submit(packet(1, 1))])
    assert seen == [2, 2]
    head = ledger.head()
    assert head is not None
    assert head.size == 3
    ledger.close()


def test_nothing_of_an_unfinished_transaction_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little SQLite may keep in memory: the frames of an undone batch would look like a torn one."""
    night = Night(tmp_path)
    disk = VolatileDisk()
    with mounted(disk):
        ledger = night.open()
        ledger._connection.execute("PRAGMA cache_size=10")
        with monkeypatch.context() as patched:
            patched.setattr(ledger, "_sign", no_memory)
            with pytest.raises(MemoryError):
                ledger.append([submit(packet(1, number), quota=None) for number in range(1, 1_001)])
        assert disk.unsynced == []
        ledger.append([submit(packet(1, number), quota=None) for number in range(1, 1_001)])
        ledger.close()


def test_the_mark_is_durable_before_the_log_is_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut could leave an empty log and a mark that says it was full."""
    night = Night(tmp_path)
    lengths: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "ledger.mark":
            lengths.append((night.data / "ledger.sqlite-wal").stat().st_size)
        real(descriptor)

    ledger = night.open()
    ledger.append([submit(packet(1, 1))])
    monkeypatch.setattr(os, "fsync", fsync)
    ledger.append([submit(packet(1, 2))])
    assert lengths == []
    ledger.close()
    assert len(lengths) == 1
    assert lengths[0] > 0
    assert (night.data / "ledger.sqlite-wal").stat().st_size == 0
