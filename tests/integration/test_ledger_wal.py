"""The ledger's three files: what a crash leaves of them is taken, whatever else is refused and left alone."""

import contextlib
import os
import shutil
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.ledger import sqlite
from gateway.ledger.protocol import Attachment, LedgerFailedError, Logged, Refusal, Submission
from gateway.ledger.sqlite import SqliteLedger, open_ledger, verify_ledger
from tests.faults.night import LOG_SEED, OPENED_AT, Night, clock, packet, submit

FILES = ("ledger.sqlite", "ledger.sqlite-wal", "ledger.mark")
HEADER = 32
FRAME = 24 + 4_096
STORED = Attachment(b"\xa9" * 32, 5, 3, OPENED_AT)


@dataclass
class Moment:
    """The files at one moment, and how many entries were acknowledged until then."""

    files: dict[str, bytes]
    size: int

    def restore(self, night: Night, **replaced: bytes) -> None:
        for name in FILES:
            (night.data / name).write_bytes(self.files[name])
        for name, content in replaced.items():
            (night.data / NAMES[name]).write_bytes(content)

    @property
    def wal(self) -> bytes:
        return self.files["ledger.sqlite-wal"]

    @property
    def mark(self) -> bytes:
        return self.files["ledger.mark"]

    def commits(self) -> list[int]:
        """The number of each frame that ends a transaction, from 1."""
        frames = range((len(self.wal) - HEADER) // FRAME)
        return [
            number + 1
            for number in frames
            if struct.unpack_from(">I", self.wal, HEADER + number * FRAME + 4)[0]
        ]


NAMES = {"wal": "ledger.sqlite-wal", "mark": "ledger.mark", "database": "ledger.sqlite"}


def moment(night: Night, size: int) -> Moment:
    return Moment({name: (night.data / name).read_bytes() for name in FILES}, size)


def killed(root: Path, batches: int = 5) -> tuple[Night, list[Moment]]:
    """A night whose process was killed; its files after the opening and after each batch."""
    night = Night(root)
    ledger = night.open()
    moments = [moment(night, 2)]
    for number in range(1, batches + 1):
        ledger.append([submit(packet(device, number), f"box:{device}") for device in (1, 2, 3)])
        moments.append(moment(night, 2 + 3 * number))
    ledger.close()
    moments[-1].restore(night)
    return night, moments


def outcome(night: Night) -> int | str:
    """The size of the log, or the refusal; `verify` has to say the same, and a refusal to change nothing."""
    before = contents(night)
    said = [verified(night) for _ in range(2)]
    assert contents(night) == before
    assert said[0] == said[1]
    if isinstance(said[0], str):
        with pytest.raises(TallygateError, match=r"docs/ledger\.md") as caught:
            night.open()
        assert caught.value.code == said[0]
        assert contents(night) == before
    else:
        with contextlib.closing(night.open()) as ledger:
            head = ledger.head()
            assert (0 if head is None else head.size) == said[0]
    return said[0]


def contents(night: Night) -> dict[str, bytes]:
    return {name: (night.data / name).read_bytes() for name in FILES if (night.data / name).exists()}


def verified(night: Night) -> int | str:
    try:
        head = verify_ledger(night.data, night.site, now=clock)
    except TallygateError as error:
        return error.code
    return 0 if head is None else head.size


def flipped(content: bytes, at: int, bit: int = 3) -> bytes:
    spoiled = bytearray(content)
    spoiled[at] ^= 1 << bit
    return bytes(spoiled)


def test_what_a_kill_leaves_is_all_there(tmp_path: Path) -> None:
    night, moments = killed(tmp_path)
    for one in moments:
        one.restore(night)
        assert outcome(night) == one.size


def test_a_flipped_bit_in_every_region_of_the_wal(tmp_path: Path) -> None:
    """Each field of the header, of the frames and the pages of each transaction: none is dropped silently."""
    night, moments = killed(tmp_path)
    last = moments[-1]
    frames = (len(last.wal) - HEADER) // FRAME
    places = list(range(0, HEADER, 3))
    for frame in range(frames):
        start = HEADER + frame * FRAME
        places += [start + at for at in (3, 7, 9, 13, 17, 21, 24, 24 + 100, 24 + 2_000, FRAME - 1)]
    for at in places:
        last.restore(night, wal=flipped(last.wal, at))
        with pytest.raises(TallygateError) as caught:
            night.open()
        assert caught.value.code == "ledger.damaged", at
        assert caught.value.place.endswith("-wal")


def test_a_flipped_bit_with_a_mark_that_did_not_survive(tmp_path: Path) -> None:
    """After a power cut the mark is old: all transactions but the last still prove each other."""
    night, moments = killed(tmp_path)
    last = moments[-1]
    *_, before, _ = last.commits()
    for old in moments[:-1]:
        for frame in range(before):
            for at in (3, 9, 24, 24 + 2_000):
                last.restore(night, mark=old.mark, wal=flipped(last.wal, HEADER + frame * FRAME + at))
                with pytest.raises(TallygateError) as caught:
                    night.open()
                assert caught.value.code == "ledger.damaged"
        # Of the last one nobody can tell a spoiled page from one that was never written.
        last.restore(night, mark=old.mark, wal=flipped(last.wal, HEADER + before * FRAME + 500))
        assert outcome(night) == moments[-2].size


def test_a_flipped_header_with_the_mark_of_the_start(tmp_path: Path) -> None:
    """After a power cut the mark may be the start's: that all is in the database, of the log before."""
    night, _ = killed(tmp_path)
    with contextlib.closing(night.open()):
        pass
    with contextlib.closing(night.open()) as ledger:
        start = moment(night, 17)
        ledger.append([submit(packet(4, 1))])
        last = moment(night, 18)
    last.restore(night, mark=start.mark)
    assert outcome(night) == last.size
    for at in range(HEADER):
        last.restore(night, mark=start.mark, wal=flipped(last.wal, at))
        assert outcome(night) == "ledger.damaged", at
    last.restore(night, mark=start.mark, wal=bytes(HEADER) + last.wal[HEADER:])
    assert outcome(night) == "ledger.damaged"


def test_a_wal_that_ends_early(tmp_path: Path) -> None:
    night, moments = killed(tmp_path)
    last, old = moments[-1], moments[0]
    before = last.commits()[-2] * FRAME + HEADER
    for length in (0, 1, 31, 32, 33, HEADER + FRAME, before - 1, before, before + 5_000, len(last.wal) - 1):
        last.restore(night, wal=last.wal[:length])
        assert outcome(night) == "ledger.damaged", length
    # With an old mark it is what a power cut leaves of a transaction that nobody was told of.
    for length in (before, before + 1, before + 5_000, len(last.wal) - 1):
        last.restore(night, mark=old.mark, wal=last.wal[:length])
        assert outcome(night) == moments[-2].size


@pytest.mark.parametrize("missing", range(8))
def test_a_torn_last_transaction(tmp_path: Path, missing: int) -> None:
    """Any of its frames may be missing, whichever came to the disk; the mark is that of the batch before."""
    night, moments = killed(tmp_path)
    before, last = moments[-2], moments[-1]
    first, end = last.commits()[-2], last.commits()[-1]
    torn = bytearray(last.wal)
    for frame in range(first, end):
        if missing >> (frame - first) & 1 or (missing == 0 and frame == first):
            at = HEADER + frame * FRAME
            torn[at : at + FRAME] = bytes(FRAME)
    last.restore(night, mark=before.mark, wal=bytes(torn))
    assert outcome(night) == before.size
    # The remains are gone: they cannot be taken for damage behind what is written now.
    ledger = night.open()
    ledger.append([submit(packet(7, 1))])
    after = moment(night, before.size + 1)
    ledger.close()
    after.restore(night)
    assert outcome(night) == after.size


def test_the_wal_of_another_time(tmp_path: Path) -> None:
    """A log begins anew in its place: what stands behind it with the old salts is no damage."""
    night = Night(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sqlite, "CHECKPOINT_PAGES", 20)
        ledger = night.open()
        moments = []
        for number in range(1, 30):
            ledger.append([submit(packet(device, number), f"box:{device}") for device in (1, 2, 3)])
            moments.append(moment(night, 2 + 3 * number))
        ledger.close()
    salts = [one.wal[16:24] for one in moments]
    assert len(set(salts)) > 3
    for one in moments:
        one.restore(night)
        assert outcome(night) == one.size
    # The log of before with the mark of today, and one that this database never had.
    for now, then in ((-1, 0), (-1, 10)):
        moments[now].restore(night, wal=moments[then].wal)
        assert outcome(night) == "ledger.damaged"
    other, others = killed(tmp_path / "other")
    moments[-1].restore(night, wal=others[-1].wal)
    assert outcome(night) == "ledger.damaged"
    assert other.data.exists()


@pytest.mark.parametrize("written", [1, 4, 12, 16, 17, 20, 24, 31])
def test_a_header_that_was_written_in_part(tmp_path: Path, written: int) -> None:
    """The first, into an empty file, and one in the place of another: both before anything behind it is."""
    night, moments = killed(tmp_path)
    with contextlib.closing(night.open()):
        empty = moment(night, moments[-1].size)
    assert empty.wal == b""
    empty.restore(night, wal=moments[-1].wal[:written])
    assert outcome(night) == empty.size
    with pytest.MonkeyPatch.context() as patched:
        ledger = night.open()
        ledger.append([submit(packet(8, 1))])
        old = moment(night, empty.size + 1)
        patched.setattr(sqlite, "CHECKPOINT_PAGES", 1)
        with pytest.raises(ValueError, match="route"), ledger._transaction():
            raise ValueError("the route of a batch that is undone after its checkpoint")
        folded = moment(night, old.size)
        ledger.append([submit(packet(8, 2))])
        new = moment(night, folded.size + 1)
        ledger.close()
    assert folded.wal == old.wal
    assert new.wal[:HEADER] != old.wal[:HEADER]
    torn = new.wal[:written] + folded.wal[written:]
    folded.restore(night, wal=torn)
    assert outcome(night) == folded.size
    # The same header where its pages are acknowledged and in no database.
    old.restore(night, wal=torn)
    assert outcome(night) == ("ledger.damaged" if torn != old.wal else old.size)


def test_an_acknowledged_paper_is_as_safe_as_a_statement(tmp_path: Path) -> None:
    night = Night(tmp_path)
    ledger = night.open()
    ledger.append([submit(packet(1, 1))])
    before = len(moment(night, 3).wal)
    ledger.store_attachment(STORED)
    last = moment(night, 3)
    ledger.close()
    last.restore(night, wal=flipped(last.wal, before + 1_000))
    assert outcome(night) == "ledger.damaged"
    last.restore(night)
    with contextlib.closing(night.open()) as ledger:
        assert ledger.attachment(STORED.sha256) == STORED


def test_a_missing_file(tmp_path: Path) -> None:
    night, moments = killed(tmp_path)
    with contextlib.closing(night.open()):
        pass
    closed = moment(night, moments[-1].size)
    assert closed.wal == b""
    for one in (moments[-1], closed):
        for name in FILES:
            one.restore(night)
            (night.data / name).unlink()
            assert outcome(night) == "ledger.incomplete", name
            assert not (night.data / name).exists()
        one.restore(night, database=b"")
        assert outcome(night) == "ledger.incomplete"
    moments[-1].restore(night)
    for name in ("ledger.sqlite", "ledger.mark"):
        (night.data / name).unlink()
    assert outcome(night) == "ledger.incomplete"


def test_a_mark_that_is_none(tmp_path: Path) -> None:
    night, moments = killed(tmp_path)
    last = moments[-1]
    for at in range(0, 1_024, 9):
        # Each slot alone is enough.
        last.restore(night, mark=flipped(last.mark, at))
        assert outcome(night) == last.size
        last.restore(night, mark=flipped(flipped(last.mark, 40), 512 + 40))
    for mark in (b"", last.mark[:511], flipped(flipped(last.mark, 40), 552), os.urandom(1_024), bytes(1_024)):
        last.restore(night, mark=mark)
        assert outcome(night) == "ledger.damaged"


def test_a_mark_of_which_one_sector_was_written(tmp_path: Path) -> None:
    """Whichever it was, the newer one counts."""
    night, moments = killed(tmp_path)
    before, last = moments[-2:]
    early = last.wal[: HEADER + last.commits()[-2] * FRAME]
    for mark in (last.mark[:512] + before.mark[512:], before.mark[:512] + last.mark[512:]):
        last.restore(night, mark=mark)
        assert outcome(night) == last.size
        last.restore(night, mark=mark, wal=early)
        assert outcome(night) == "ledger.damaged"


def test_another_programs_journal(tmp_path: Path) -> None:
    night, moments = killed(tmp_path)
    journal = night.data / "ledger.sqlite-journal"
    journal.write_bytes(b"")
    assert outcome(night) == "ledger.incomplete"
    journal.unlink()
    assert outcome(night) == moments[-1].size


def test_a_database_that_was_made_into_another_kind(tmp_path: Path) -> None:
    night, moments = killed(tmp_path)
    for at in (0, 16, 18, 19, 20):
        database = flipped(moments[-1].files["ledger.sqlite"], at)
        moments[-1].restore(night, database=database)
        assert outcome(night) == "ledger.damaged"


def test_a_crash_of_the_very_first_start(tmp_path: Path) -> None:
    """The files come one after the other, the database last."""
    night = Night(tmp_path, opening=False)
    night.open().close()
    made = moment(night, 0)
    for count in range(3):
        for name in FILES:
            (night.data / name).unlink(missing_ok=True)
        for name in ("ledger.sqlite-wal", "ledger.mark")[:count]:
            (night.data / name).write_bytes(made.files[name])
        with pytest.raises(TallygateError) as caught:
            verify_ledger(night.data, night.site, now=clock)
        assert caught.value.code == "ledger.missing"
        assert not (night.data / "ledger.sqlite").exists()
        night.open().close()
        assert outcome(night) == 0


def machine_clock() -> int:
    return time.time_ns() // 1_000_000


REPLACED: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "renamed": lambda path: path.rename(path.with_name("elsewhere")),
    "replaced by a copy": lambda path: shutil.copyfile(path, path.with_name("copy")).rename(path),
    "replaced by a link": lambda path: path.symlink_to(path.rename(path.with_name("moved"))),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", sorted(REPLACED))
def test_files_that_are_replaced_while_it_runs(tmp_path: Path, name: str, how: str) -> None:
    """Nothing is acknowledged into a file that nobody will ever find."""
    night = Night(tmp_path)
    ledger = open_ledger(night.data, night.site, LOG_SEED, clock=clock, now=machine_clock)
    ledger.append([submit(packet(1, 1))])
    # Other files may come and go.
    (night.data / "other").touch()
    ledger.append([submit(packet(1, 2))])
    (night.data / "other").unlink()
    ledger.append([submit(packet(1, 3))])
    REPLACED[how](night.data / name)
    with pytest.raises(LedgerFailedError, match="nothing is acknowledged") as caught:
        ledger.append([submit(packet(1, 4))])
    assert caught.value.place == str(night.data / name)
    with pytest.raises(LedgerFailedError):
        ledger.append([submit(packet(1, 1))])
    ledger.close()


def test_a_known_statement_is_not_acknowledged_from_a_removed_file(tmp_path: Path) -> None:
    night = Night(tmp_path)
    ledger = open_ledger(night.data, night.site, LOG_SEED, clock=clock, now=machine_clock)
    ledger.append([submit(packet(1, 1))])
    night.data.rename(night.root / "away")
    with pytest.raises(LedgerFailedError, match="nothing is acknowledged"):
        ledger.append([submit(packet(1, 1))])
    ledger.close()
    (night.root / "away").rename(night.data)
    assert outcome(night) == 3


def test_every_transaction_is_preceded_by_a_checkpoint_where_one_is_due(tmp_path: Path) -> None:
    """Papers alone must not let the log grow without end; nor may a start forget what it found."""
    night = Night(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sqlite, "CHECKPOINT_PAGES", 30)
        ledger = night.open()
        lengths = []
        for number in range(400):
            ledger.store_attachment(Attachment(number.to_bytes(32, "little"), 1, 1, OPENED_AT))
            lengths.append((night.data / "ledger.sqlite-wal").stat().st_size)
        assert max(lengths) < 60 * FRAME
        ledger.close()
        assert (night.data / "ledger.sqlite-wal").stat().st_size == 0
    night, moments = killed(tmp_path / "killed")
    with contextlib.closing(night.open()) as opened:
        assert (night.data / "ledger.sqlite-wal").stat().st_size == 0
        assert opened._wal_pages == 0
    assert moments[-1].wal


def test_refusals_free_no_page(tmp_path: Path) -> None:
    night = Night(tmp_path)
    ledger = night.open(refusals_kept=300)
    for number in range(1_000):
        code = "limit.device" if number % 3 else "statement.signature"
        refused = Refusal(OPENED_AT + number, code, number % 7 or None, bytes(32), b"\xd2" * (number % 70))
        ledger.refuse(refused)
        if number % 40 == 39:
            ledger.append([submit(packet(1, number))])
    ledger.close()
    with contextlib.closing(night.open(refusals_kept=300)) as ledger:
        assert free_pages(ledger) == 0
        assert [one.at - OPENED_AT for one in ledger.refusals(1_000)] == list(range(999, 699, -1))
        assert ledger._connection.execute("SELECT count(*) FROM refusal").fetchall() == [(300,)]


@pytest.mark.parametrize("opening", [True, False])
def test_a_kill_behind_refusals_alone(tmp_path: Path, opening: bool) -> None:
    night = Night(tmp_path, opening=opening)
    ledger = night.open()
    refused = Refusal(OPENED_AT, "log.not_open", 1, bytes(32), b"")
    ledger.refuse(refused)
    ledger.write_refusals()
    size = 2 if opening else 0
    left = moment(night, size)
    ledger.close()
    left.restore(night)
    assert outcome(night) == size
    with contextlib.closing(night.open()) as ledger:
        assert ledger.refusals(10) == [refused]


def free_pages(ledger: SqliteLedger) -> object:
    return ledger._connection.execute("PRAGMA freelist_count").fetchall()[0][0]


def test_a_page_in_use_that_is_called_free(tmp_path: Path) -> None:
    """A free list is never read; whoever writes next would take its pages."""
    night, _ = killed(tmp_path)
    with contextlib.closing(night.open()):
        pass
    good = (night.data / "ledger.sqlite").read_bytes()
    # First page of the list and their number (bytes 32 … 39): some page in use, alone.
    for page in range(2, len(good) // 4_096 + 1):
        spoiled = bytearray(good)
        spoiled[32:40] = struct.pack(">II", page, 1)
        (night.data / "ledger.sqlite").write_bytes(spoiled)
        with pytest.raises(TallygateError) as caught:
            night.open()
        assert caught.value.code == "ledger.damaged"


def test_free_pages_that_are_in_order(tmp_path: Path) -> None:
    night, moments = killed(tmp_path)
    with contextlib.closing(night.open()):
        pass
    with contextlib.closing(apsw.Connection(str(night.data / "ledger.sqlite"))) as connection:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("CREATE TABLE more(x)")
        connection.execute("INSERT INTO more VALUES (zeroblob(40000))")
        connection.execute("DROP TABLE more")
        connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
    with contextlib.closing(night.open()) as ledger:
        assert free_pages(ledger) != 0
    assert outcome(night) == moments[-1].size


def test_a_large_batch_in_a_moment_of_the_log(tmp_path: Path) -> None:
    """A batch of more pages than a checkpoint waits for, killed right behind it."""
    night = Night(tmp_path)
    ledger = night.open()
    batch = [Submission(packet(device, 1), OPENED_AT, f"box:{device}", 5) for device in range(1, 1_025)]
    answers = ledger.append(batch)
    assert all(isinstance(one, Logged) for one in answers)
    after = moment(night, 2 + 1_024)
    ledger.close()
    after.restore(night)
    assert outcome(night) == after.size
    with contextlib.closing(night.open()) as ledger:
        tree = _core.Tree()
        tree.append([_core.leaf_hash(entry.statement) for entry in ledger.entries(0, 2_000)])
        head = ledger.head()
        assert head is not None
        assert head.root == tree.root()
