"""Errors of the disk end the ledger at once, and a power cut takes nothing that was acknowledged."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import apsw
import pytest

from gateway import _core
from gateway.ledger import sqlite
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
        with pytest.raises(LedgerFailedError, match="nothing is acknowledged any more"):
            append_many(ledger, acknowledged)
        assert disk.failed
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


@pytest.mark.parametrize(
    ("call", "file"), [("write", "journal"), ("sync", "journal"), ("write", "db"), ("sync", "db")]
)
def test_an_error_at_the_first_start(tmp_path: Path, call: Literal["write", "sync"], file: File) -> None:
    night = Night(tmp_path)
    disk = FailingDisk(call, file, apsw.IOError, 0)
    disk.arm()
    with mounted(disk), pytest.raises(LedgerFailedError, match="does not read or write"):
        night.open()
    assert disk.failed
    assert lost(night, {}) == 0


def test_a_fault_that_is_not_the_disks_undoes_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = Night(tmp_path)
    ledger = night.open()
    acknowledged: Acknowledged = {}
    append(ledger, [packet(1, 1)], acknowledged)
    before = ledger.head()

    def no_memory(origin: str, size: int, root: bytes) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(_core, "Checkpoint", no_memory)
        with pytest.raises(MemoryError):
            ledger.append([submit(packet(1, 2)), submit(packet(1, 3))])
    assert ledger.head() == before
    assert ledger.receipt(packet(1, 2).id) is None
    append(ledger, [packet(1, 4), packet(1, 2)], acknowledged)
    ledger.close()
    assert lost(night, acknowledged) == 0


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

    def no_memory(origin: str, size: int, root: bytes) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(_core, "Checkpoint", no_memory)
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


def cut(root: Path, seed: int, survivors: float, *, normal: bool) -> int:
    """Appends, cuts the power at a seeded moment, starts again from the platters, and counts the lost."""
    chance = random.Random(seed)
    night = Night(root)
    acknowledged: Acknowledged = {}
    disk = VolatileDisk()
    with mounted(disk):
        ledger = night.open()
        if normal:
            ledger._connection.execute("PRAGMA synchronous=NORMAL")
        for number in range(1, chance.randrange(5, 25)):
            append(
                ledger, [packet(device, number) for device in range(1, chance.randrange(2, 12))], acknowledged
            )
        left = root / "left"
        left.mkdir()
        disk.cut(left, chance, survivors=survivors)
        ledger.close()
    for file in left.iterdir():
        shutil.move(file, night.data / file.name)
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
