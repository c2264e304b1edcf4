"""`verify_night` on real ledgers, of running and stopped nights; `Examination` on logs that are wrong."""

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import trio

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.ledger.follow import FollowServer
from gateway.ledger.protocol import Entry, Head, Submission
from gateway.run import verify as module
from gateway.run.folder import NightFolder, ReadyFile, write_ready
from gateway.run.verify import MAX_FAULTS, Examination, Verdict, verify_night
from tests.faults.night import LOG_KEY, LOG_SEED, ORIGIN, clock
from tests.unit.sequencer_helpers import BOX, DESK, LATE, LATE_SEED, NIGHT, SECOND_BOX, Scene


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def submission(statement: bytes) -> Submission:
    decoded = _core.decode(statement)
    return Submission(decoded, NIGHT, "box:1", None)


class Logged:
    """A night whose log holds what a test wants."""

    def __init__(self, root: Path) -> None:
        self.scene = Scene(root)
        self.folder = NightFolder(root)
        for name in ("run", "keys"):
            (root / name).mkdir()
        (root / "keys" / "log.key").touch(mode=0o600)
        (root / "keys" / "log.key").write_bytes(LOG_SEED)

    def append(self, *statements: bytes) -> Head:
        with closing(self.scene.night.open()) as ledger:
            if statements:
                ledger.append([submission(statement) for statement in statements])
            head = ledger.head()
            assert head is not None
            return head

    def publish(self, size: int, root: bytes, seed: bytes = LOG_SEED) -> None:
        self.folder.published.parent.mkdir(parents=True)
        note = _core.NoteSigner(ORIGIN, seed).sign_checkpoint(size, root)
        self.folder.published.write_text(note)

    def stopped(self) -> Verdict:
        return trio.run(lambda: verify_night(self.folder, now=clock, progress=quiet))

    def running(self, *later: bytes) -> Verdict:
        """Verifies beside a server; `later` is committed while it does."""

        async def main() -> Verdict:
            with closing(self.scene.night.open()) as ledger:
                head = ledger.head()
                async with trio.open_nursery() as nursery:
                    server = FollowServer(ledger, self.folder.follow)
                    await nursery.start(server.serve)
                    ready = ReadyFile(1, "", (), (), "", ledger.vkey, 0 if head is None else head.size)
                    write_ready(self.folder.ready("ingest"), ready)

                    def progress(what: str, done: int, total: int) -> None:
                        if later and done:
                            ledger.append([submission(statement) for statement in later])
                            server.committed()

                    verdict = await verify_night(self.folder, now=clock, progress=progress)
                    nursery.cancel_scope.cancel()
                return verdict

        return trio.run(main)


@pytest.fixture
def night(tmp_path: Path) -> Logged:
    return Logged(tmp_path)


def fill(night: Logged, count: int = 5) -> Head:
    statements = [night.scene.packet(BOX, sequence) for sequence in range(1, count + 1)]
    return night.append(*statements, night.scene.packet(DESK), *night.scene.decision((6,)))


@pytest.mark.parametrize("source", ["running", "stopped"])
@pytest.mark.parametrize("chunk", [1, 3, 1_024])
def test_a_good_night(monkeypatch: pytest.MonkeyPatch, night: Logged, source: str, chunk: int) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    head = fill(night)
    night.publish(head.size, head.root)
    verdict = night.running() if source == "running" else night.stopped()
    assert verdict == Verdict(
        "running" if source == "running" else "stopped",
        head=head,
        log_key=_core.vkey(ORIGIN, LOG_KEY),
        packets=6,
        decisions=4,
        devices=2,
        published=head.size,
    )


@pytest.mark.parametrize("source", ["running", "stopped"])
def test_papers_have_the_hash_that_is_their_name(night: Logged, source: str) -> None:
    fill(night)
    folder = night.folder.attachments
    folder.mkdir()
    for data in (b"one", b"two", b"three"):
        (folder / hashlib.sha256(data).hexdigest()).write_bytes(data)
    (folder / f".{'ab' * 32}.0123456789abcdef.tmp").write_bytes(b"coming in")
    verdict = night.running() if source == "running" else night.stopped()
    assert (verdict.papers, verdict.fault_count) == (3, 0)
    (folder / hashlib.sha256(b"two").hexdigest()).write_bytes(b"tw0")
    (folder / hashlib.sha256(b"three").hexdigest()).unlink()
    (folder / "note.txt").write_bytes(b"somebody's")
    verdict = night.running() if source == "running" else night.stopped()
    assert (verdict.papers, verdict.fault_count) == (1, 2)
    assert hashlib.sha256(b"two").hexdigest() in verdict.faults[0]
    assert "note.txt" in verdict.faults[1]


def test_what_is_committed_meanwhile_is_another_verifications(night: Logged) -> None:
    head = fill(night)
    verdict = night.running(night.scene.packet(SECOND_BOX, station=11))
    assert (verdict.head, verdict.fault_count) == (head, 0)


@pytest.mark.parametrize("source", ["running", "stopped"])
def test_without_the_files_of_the_opening_the_private_key_says_which_log_it_is(
    night: Logged, source: str
) -> None:
    head = fill(night)
    shutil.rmtree(night.folder.data / "opening")
    (night.folder.data / "opening").mkdir()
    verdict = night.running() if source == "running" else night.stopped()
    assert (verdict.head, verdict.fault_count) == (head, 0)


def test_another_key_than_the_role_signs_with_is_refused(night: Logged) -> None:
    fill(night)
    shutil.rmtree(night.folder.data / "opening")
    (night.folder.root / "keys" / "log.key").write_bytes(b"\x55" * 32)
    write_ready(night.folder.ready("ingest"), ReadyFile(1, "", (), (), "", night.scene.night.vkey, 1))
    with pytest.raises(TallygateError, match=r"keys\.log"):
        night.stopped()


@pytest.mark.parametrize("source", ["running", "stopped"])
def test_a_log_that_is_not_open_has_nothing_to_prove(tmp_path: Path, source: str) -> None:
    (tmp_path / "keys").mkdir()
    scene = Scene(tmp_path, opening=False)
    night = Logged.__new__(Logged)
    night.scene, night.folder = scene, NightFolder(tmp_path)
    night.folder.run.mkdir()
    (tmp_path / "keys" / "log.key").touch(mode=0o600)
    (tmp_path / "keys" / "log.key").write_bytes(LOG_SEED)
    with closing(scene.night.open()):
        pass
    with pytest.raises((TallygateError, ExceptionGroup)) as caught:
        _ = night.running() if source == "running" else night.stopped()
    fault: BaseException = caught.value
    while isinstance(fault, ExceptionGroup):
        [fault] = fault.exceptions
    assert "[verify.not_open]" in str(fault)


# --- Rosters ---


@pytest.mark.parametrize("chunk", [2, 1_024])
def test_devices_of_a_later_roster(monkeypatch: pytest.MonkeyPatch, night: Logged, chunk: int) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    sha256 = night.scene.another_roster()
    night.scene.install(sha256)
    night.append(late(night, 1), *night.scene.decision((9, sha256)), *(late(night, n) for n in (2, 3, 4)))
    verdict = night.stopped()
    assert verdict.packets == 3
    [fault] = verdict.faults
    assert fault.startswith("entry 2: ")
    assert "statement.unknown_device" in fault


def test_a_missing_roster_is_named_and_the_old_one_stays_in_force(night: Logged) -> None:
    sha256 = night.scene.another_roster()
    night.append(*night.scene.decision((9, sha256)), night.scene.packet(BOX), late(night, 1))
    verdict = night.stopped()
    assert verdict.missing_rosters == (sha256.hex(),)
    [fault] = verdict.faults
    assert fault.startswith("entry 5: ")
    assert "statement.unknown_device" in fault


def late(night: Logged, sequence: int) -> bytes:
    return night.scene.packet(LATE, sequence, station=11, seed=LATE_SEED)


# --- What is wrong ---


def test_entries_that_the_door_would_not_have_let_in_are_named(night: Logged) -> None:
    unknown = night.scene.packet(BOX, seed=b"\x77" * 32)
    forged = bytearray(night.scene.packet(BOX, 2))
    forged[-1] ^= 1
    night.append(unknown, night.scene.packet(BOX, 3), bytes(forged))
    verdict = night.stopped()
    assert (verdict.fault_count, verdict.packets) == (2, 1)
    assert "entry 2: " in verdict.faults[0]
    assert "statement.unknown_device" in verdict.faults[0]
    assert "entry 4: " in verdict.faults[1]
    assert "statement.signature" in verdict.faults[1]


def test_many_faults_are_counted_and_some_are_kept(night: Logged) -> None:
    night.append(*(night.scene.packet(BOX, sequence, seed=b"\x77" * 32) for sequence in range(1, 41)))
    verdict = night.stopped()
    assert (verdict.fault_count, len(verdict.faults)) == (40, MAX_FAULTS)


def test_a_published_checkpoint_that_is_ahead_is_refused_of_a_stopped_night(night: Logged) -> None:
    head = fill(night)
    night.publish(head.size + 1, bytes(32))
    with pytest.raises(TallygateError, match=r"ledger\.behind"):
        night.stopped()


class Examined:
    """Entries as a test wants them, judged without a ledger."""

    def __init__(self, night: Logged, statements: Sequence[bytes]) -> None:
        self.night = night
        self.statements = statements
        self.tree = _core.Tree()
        self.tree.append([_core.leaf_hash(one) for one in statements])

    def verdict(
        self, *, size: int | None = None, root: bytes | None = None, seed: bytes = LOG_SEED
    ) -> Verdict:
        verdict = Verdict("running")
        scene = self.night.scene
        examination = Examination(self.night.folder, scene.definition, scene.roster, LOG_KEY, verdict)
        for index, statement in enumerate(self.statements):
            examination.take([Entry(index, statement, NIGHT, "box:1")])
        size = self.tree.size if size is None else size
        root = self.tree.root()
        examination.finish(Head(size, root, _core.NoteSigner(ORIGIN, seed).sign_checkpoint(size, root)))
        return verdict


def opened(night: Logged, *more: bytes) -> Examined:
    return Examined(night, [*night.scene.night.opening_signatures(), *more])


def test_a_log_that_was_never_stored_is_judged_alike(night: Logged) -> None:
    verdict = opened(night, night.scene.packet(BOX)).verdict()
    assert (verdict.faults, verdict.packets, verdict.decisions) == ([], 1, 2)


@pytest.mark.parametrize("size", [2, 4])
def test_a_head_that_the_entries_do_not_add_up_to(night: Logged, size: int) -> None:
    verdict = opened(night, night.scene.packet(BOX)).verdict(size=size)
    assert "do not add up" in verdict.faults[0]


def test_a_head_of_another_key(night: Logged) -> None:
    [fault] = opened(night).verdict(seed=b"\x55" * 32).faults
    assert "head's checkpoint does not verify" in fault


def test_a_log_without_its_opening(night: Logged) -> None:
    first, second = night.scene.night.opening_signatures()
    for statements in ([first], [first, first], [second, night.scene.packet(BOX)]):
        faults = Examined(night, statements).verdict().faults
        assert "the log does not begin with a decision 1 of this night's commission" in faults


@pytest.mark.parametrize(
    ("size", "root", "seed", "words"),
    [(4, bytes(32), LOG_SEED, "are published, and the ledger has 3"),
     (2, bytes(32), LOG_SEED, "another history"), (2, bytes(32), b"\x55" * 32, "not this log's")],
)  # fmt: skip
def test_a_published_checkpoint_that_is_not_the_logs(
    night: Logged, size: int, root: bytes, seed: bytes, words: str
) -> None:
    night.publish(size, root, seed)
    [fault] = opened(night, night.scene.packet(BOX)).verdict().faults
    assert words in fault


def test_the_roster_of_decision_1_is_looked_for_where_the_nights_is_another_by_now(night: Logged) -> None:
    statements = opened(night, night.scene.packet(SECOND_BOX, station=11))
    first = night.scene.roster
    (night.folder.rosters).mkdir()
    shutil.copytree(night.folder.roster, night.folder.rosters / first.hash.hex())
    later = night.scene.another_roster(without=SECOND_BOX)
    night.scene.roster = _core.Roster.load(night.folder.root / later.hex(), night.scene.definition)
    assert statements.verdict().faults == []
    shutil.rmtree(night.folder.rosters)
    missing, unknown = statements.verdict().faults
    assert "the roster of decision 1 is not here" in missing
    assert "statement.unknown_device" in unknown
