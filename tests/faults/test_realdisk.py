"""The parts of `make faults` that need no root: its disk, what it counts, what it says if it cannot run."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from tests.faults.ledger_worker import Acknowledged
from tests.faults.realdisk import __main__ as program
from tests.faults.realdisk import stack
from tests.faults.realdisk.plugin import SECTOR, Orders, PowerCutError, VolatileDisk
from tests.faults.realdisk.rows import FAULTS, Fault, Row
from tests.faults.realdisk.writer import FAILED, REFUSED, WELL, Ended, Found

ONE = b"\x01" * SECTOR
TWO = b"\x02" * SECTOR
ORDERS = Orders(power=None, survivors=0.0, seed=1, fail=None, times=0, calls=["write", "flush"], delay=0.0)


class Bench:
    """A disk of 64 sectors and its files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.disk = VolatileDisk(bytes(64 * SECTOR), folder / "orders", folder / "left", folder / "met")

    def order(self, orders: Orders) -> None:
        fresh = self._folder / "fresh"
        fresh.write_text(json.dumps(orders))
        fresh.rename(self._folder / "orders")

    @property
    def left(self) -> bytes:
        return (self._folder / "left").read_bytes()

    @property
    def met(self) -> int:
        return (self._folder / "met").stat().st_size


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_was_flushed_survives_a_power_cut(bench: Bench) -> None:
    bench.disk.write(0, ONE)
    bench.disk.flush()
    bench.disk.write(SECTOR, TWO)
    assert bench.disk.read(0, 2 * SECTOR) == ONE + TWO
    bench.order(ORDERS | {"power": 0})
    for call in (bench.disk.flush, lambda: bench.disk.read(0, 1), lambda: bench.disk.write(0, TWO)):
        with pytest.raises(PowerCutError):
            call()
    assert bench.left == ONE + bytes(63 * SECTOR)


def test_some_sectors_survive_it(bench: Bench) -> None:
    bench.disk.write(0, ONE * 64)
    bench.order(ORDERS | {"power": 0, "survivors": 0.5})
    with pytest.raises(PowerCutError):
        bench.disk.flush()
    sectors = [bench.left[at : at + SECTOR] for at in range(0, 64 * SECTOR, SECTOR)]
    assert set(sectors) == {ONE, bytes(SECTOR)}


def test_power_is_cut_at_the_request_that_was_ordered(bench: Bench) -> None:
    bench.order(ORDERS | {"power": 2})
    bench.disk.write(0, ONE)
    bench.disk.read(0, 1)
    bench.disk.flush()
    with pytest.raises(PowerCutError):
        bench.disk.write(0, TWO)
    assert bench.left[:SECTOR] == ONE


def test_requests_fail_as_ordered(bench: Bench) -> None:
    bench.order(ORDERS | {"fail": 1, "times": 2, "calls": ["write"]})
    bench.disk.write(0, ONE)
    for _ in range(2):
        with pytest.raises(OSError, match="as ordered"):
            bench.disk.write(0, TWO)
        bench.disk.flush()
    bench.disk.write(SECTOR, TWO)
    assert bench.disk.read(0, 2 * SECTOR) == ONE + TWO
    assert bench.met == 2
    bench.order(ORDERS | {"fail": 0, "times": 1, "calls": ["flush"]})
    with pytest.raises(OSError, match="as ordered"):
        bench.disk.flush()


def found(found: int, lost: int, doubled: int = 0) -> Ended:
    return Ended(WELL, [msgspec.json.encode(Found(found, lost, doubled))])


def test_what_a_row_counts_and_calls_wrong() -> None:
    three = [Acknowledged("", "accepted", "")] * 3
    row = Row("a fault")
    row.count(1, three, found(3, 0))
    row.expect(1, "the writer", Ended(FAILED), WELL, FAILED)
    assert (row.acknowledged, row.found, row.lost, row.wrong) == (3, 3, 0, [])
    row.count(2, three, found(2, 1))
    row.count(3, three, found(3, 0, 1))
    row.count(4, three, Ended(REFUSED, error="damaged"))
    row.expect(5, "the writer", Ended(REFUSED), WELL, FAILED)
    assert (row.found, row.lost) == (8, 4)
    assert [wrong.split(":")[0] for wrong in row.wrong] == ["seed 2", "seed 3", "seed 4", "seed 5"]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_control_that_loses_nothing_is_wrong(tmp_path: Path, lost: int) -> None:
    def attempt(work: Path, row: Row, seed: int) -> None:
        row.expect(seed, "the writer", Ended(REFUSED), WELL)
        row.count(seed, [Acknowledged("", "accepted", "")], found(1 - lost, lost))

    fault = Fault("the control", attempt, 1.0, needs_disk=False, control=True)
    row = program.run_fault(fault, 100, 3, tmp_path)
    assert (row.tries, row.lost) == (3, 3 * lost)
    assert program.status([row]) == 1 - lost


def test_a_fault_under_which_nothing_is_acknowledged_is_wrong(tmp_path: Path) -> None:
    fault = Fault("a fault", lambda work, row, seed: row.count(seed, [], found(0, 0)), 1.0, needs_disk=False)
    assert program.status([program.run_fault(fault, 0, 3, tmp_path)]) == 1


def test_it_needs_root(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    assert program.main([]) == 2
    assert "root" in capsys.readouterr().err


def test_what_this_machine_cannot_do_is_no_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stack, "PATH", str(tmp_path))
    rows = [program.run_fault(fault, 0, 4, tmp_path) for fault in FAULTS if fault.needs_disk]
    assert all(row.tries == 0 and row.not_run for row in rows)
    program.show(rows)
    assert "not possible here: nbdkit" in capsys.readouterr().out
    assert program.status(rows) == 2
    rows[0].wrong.append("something")
    assert program.status(rows) == 1
    assert program.status([Row("a fault", tries=1)]) == 0
