"""The chain of signed statements: proved at every start, and never forked, wherever a program is stopped."""

import errno
import fcntl
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from clients.box import folder, sign
from clients.box.folder import DeviceFolder
from clients.box.spool import Spool
from clients.wire import statement
from clients.wire.cbor import Content
from clients.wire.errors import WireError
from tests.unit import box_helpers as box

KEY = SigningKey(b"\x21" * 32)
TURNOUT: Content = (2, 5, ((3, 100),))


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A device that has signed three reports of turnout."""
    path = box.make_device(tmp_path)
    for number in (1, 2, 3):
        sign_turnout(path, number)
    return path


def sign_turnout(path: Path, number: int) -> sign.Signed:
    values = {**box.turnout(), "figures": {"identified": number}}
    counts = box.write_json(path.parent / "counts.json", values)
    with folder.opened(path) as opened:
        return sign.sign(opened, counts, box.NOW + number)


def file(device: Path, sequence: int) -> Path:
    return device / "statements" / f"{sequence:06}.cose"


def refusal(device: Path) -> tuple[str, str]:
    """Code and name of the file of the refusal that opening the spool gives."""
    with pytest.raises(WireError) as caught, folder.opened(device) as opened:
        opened.spool()
    assert caught.value.file is not None
    return caught.value.code, Path(caught.value.file).name


class TestChain:
    def test_grows(self, device: Path) -> None:
        with folder.opened(device) as opened:
            chain = opened.spool().statements
        assert [packet.sequence for packet in chain] == [1, 2, 3]
        assert [packet.previous for packet in chain] == [b"", chain[0].id, chain[1].id]
        assert [packet.device for packet in chain] == [box.DEVICE] * 3
        assert [packet.signed_at - box.NOW for packet in chain] == [1, 2, 3]
        assert sorted(path.name for path in (device / "statements").iterdir()) == [
            f"00000{number}.cose" for number in (1, 2, 3)
        ]
        assert json.loads((device / "last.json").read_bytes()) == {"id": chain[2].id.hex(), "sequence": 3}
        assert file(device, 3).stat().st_mode & 0o777 == 0o600

    def test_what_was_signed_last_is_not_signed_twice(self, device: Path) -> None:
        before = file(device, 3).read_bytes()
        again = sign_turnout(device, 3)
        assert (again.new, again.statement.sequence, again.file) == (False, 3, file(device, 3))
        assert file(device, 3).read_bytes() == before
        assert sign_turnout(device, 2).statement.sequence == 4

    @pytest.mark.parametrize("gone", [1, 2])
    def test_gap(self, device: Path, gone: int) -> None:
        file(device, gone).unlink()
        assert refusal(device) == ("spool.gap", f"00000{gone}.cose")

    def test_gap_at_the_end(self, device: Path) -> None:
        file(device, 3).unlink()
        assert refusal(device) == ("spool.gap", "000003.cose")

    def test_nothing_left(self, device: Path) -> None:
        shutil.rmtree(device / "statements")
        (device / "statements").mkdir()
        assert refusal(device) == ("spool.gap", "000001.cose")

    @pytest.mark.parametrize("make", [None, Path.touch])
    def test_no_folder(self, device: Path, make: Callable[[Path], None] | None) -> None:
        shutil.rmtree(device / "statements")
        if make is not None:
            make(device / "statements")
        assert refusal(device) == ("spool.gap", "statements")

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: b"",
            lambda data: data[:-1],
            lambda data: data + b"\0",
            lambda data: bytes(len(data)),
            lambda data: data[:-1] + bytes((data[-1] ^ 1,)),
            lambda data: data + bytes(20_000),
        ],
    )
    @pytest.mark.parametrize("sequence", [1, 3])
    def test_torn(self, device: Path, damage: Callable[[bytes], bytes], sequence: int) -> None:
        path = file(device, sequence)
        path.write_bytes(damage(path.read_bytes()))
        assert refusal(device) == ("spool.torn", path.name)

    @pytest.mark.parametrize(
        "name", ["000004.cose.bak", "4.cose", "000000.cose", "notes.txt", ".000004.cose.tmp", "٠٠٠٠٠٤.cose"]
    )
    def test_foreign_name(self, device: Path, name: str) -> None:
        (device / "statements" / name).write_bytes(b"")
        assert refusal(device) == ("spool.foreign", name)

    @pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("000003.cose"), os.mkfifo])
    def test_foreign_kind_of_file(self, device: Path, make: Callable[[Path], None]) -> None:
        make(file(device, 4))
        assert refusal(device) == ("spool.foreign", "000004.cose")

    def test_foreign_statements(self, device: Path, tmp_path: Path) -> None:
        other = box.make_device(tmp_path, 8)
        sign_turnout(other, 1)
        shutil.copy(file(other, 1), file(device, 4))
        assert refusal(device) == ("spool.foreign", "000004.cose")
        packet = statement.decode(file(device, 3).read_bytes())
        content = (*packet.content[:3], 4, packet.id, 5, TURNOUT)
        file(device, 4).write_bytes(statement.sign("packet", content, KEY))
        assert refusal(device) == ("spool.foreign", "000004.cose")
        decision: Content = (b"\xaa" * 32, b"", 1, 5, (("ky", "Себеп"),), (6,))
        file(device, 4).write_bytes(statement.sign("decision", decision, KEY))
        assert refusal(device) == ("spool.foreign", "000004.cose")

    def test_order(self, device: Path) -> None:
        first, second = file(device, 1).read_bytes(), file(device, 2).read_bytes()
        file(device, 2).write_bytes(first)
        assert refusal(device) == ("spool.chain", "000002.cose")
        file(device, 1).write_bytes(second)
        assert refusal(device) == ("spool.chain", "000001.cose")

    def test_a_fork_that_was_put_here(self, device: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(device, copy)
        file(copy, 3).unlink()
        last = {"id": statement.decode(file(copy, 2).read_bytes()).id.hex(), "sequence": 2}
        (copy / "last.json").write_text(json.dumps(last))
        sign_turnout(copy, 33)
        shutil.copy(file(copy, 3), file(device, 3))
        assert refusal(device) == ("spool.chain", "last.json")
        sign_turnout(copy, 34)
        shutil.copy(file(copy, 4), file(device, 4))
        sign_turnout_then = refusal(device)
        assert sign_turnout_then == ("spool.chain", "last.json")

    @pytest.mark.parametrize(
        "text",
        [None, "", "{}", '{"id": "", "sequence": -1}', '{"id": "x", "sequence": 1}', "[", "\xff" * 2_000],
    )
    def test_last(self, device: Path, text: str | None) -> None:
        if text is None:
            (device / "last.json").unlink()
        else:
            (device / "last.json").write_text(text)
        assert refusal(device) == ("spool.last", "last.json")

    def test_two_programs(self, device: Path) -> None:
        other = os.open(device, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(WireError) as caught:
                sign_turnout(device, 4)
        finally:
            os.close(other)
        assert caught.value.code == "folder.busy"
        assert sign_turnout(device, 4).statement.sequence == 4

    def test_what_has_no_encoding_is_not_stored(self, device: Path) -> None:
        with folder.opened(device) as opened:
            spool = opened.spool()
            with pytest.raises(WireError) as caught:
                spool.append(b"\xaa" * 32, 8, -1, TURNOUT)
            assert caught.value.code == "statement.malformed"
            assert len(spool.statements) == 3
        assert sign_turnout(device, 4).statement.sequence == 4

    def test_full(self, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("clients.box.spool.MAX_STATEMENTS", 3)
        with pytest.raises(WireError) as caught:
            sign_turnout(device, 4)
        assert caught.value.code == "spool.full"


class PowerCutError(BaseException):
    """The program ends here, without another word."""


class Disk:
    """What a disk keeps: the content that was fsynced, under the names whose folder was fsynced.

    Counts the operations that change something, and stops the program before the one with number `stop`, or
    makes it fail.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.stop: int | None = None
        self.fail: int | None = None
        self.count = 0
        self._numbers = itertools.count()
        self._descriptors: dict[int, Path] = {}
        self._real_open, self._real_write, self._real_fsync = os.open, os.write, os.fsync
        self._real_rename, self._real_unlink = os.rename, os.unlink
        # File numbers by path as a running program sees them, and as they are on the disk.
        self.live = {path: next(self._numbers) for path in self._files()}
        self.names = dict(self.live)
        self.contents = {number: path.read_bytes() for path, number in self.live.items()}
        for name in ("open", "write", "fsync", "rename", "unlink"):
            monkeypatch.setattr(os, name, getattr(self, f"_{name}"))

    def _files(self) -> Iterator[Path]:
        return (path for path in self.root.rglob("*") if path.is_file())

    def _step(self) -> None:
        self.count += 1
        if self.count == self.stop:
            raise PowerCutError
        if self.count == self.fail:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        creates = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        if creates:
            self._step()
        descriptor = self._real_open(path, flags, mode)
        self._descriptors[descriptor] = Path(path)
        if creates:
            self.live[Path(path)] = next(self._numbers)
        return descriptor

    def _write(self, descriptor: int, data: bytes) -> int:
        self._step()
        # Half of it at most: whoever writes must go on.
        return self._real_write(descriptor, data[: (len(data) + 1) // 2])

    def _fsync(self, descriptor: int) -> None:
        self._step()
        self._real_fsync(descriptor)
        path = self._descriptors[descriptor]
        if path.is_dir():
            self.names = {name: number for name, number in self.names.items() if name.parent != path}
            self.names |= {name: number for name, number in self.live.items() if name.parent == path}
        else:
            self.contents[self.live[path]] = path.read_bytes()

    def _rename(self, source: Path, target: Path) -> None:
        self._step()
        self._real_rename(source, target)
        self.live[Path(target)] = self.live.pop(Path(source))

    def _unlink(self, path: Path) -> None:
        self._step()
        self._real_unlink(path)
        self.live.pop(Path(path), None)

    def lose_power(self, *, names_survive: bool) -> None:
        """Leave of the folder what the disk has; names may have reached it before their fsync."""
        names = self.live if names_survive else self.names
        for path in list(self._files()):
            self._real_unlink(path)
        for path, number in names.items():
            path.write_bytes(self.contents.get(number, b""))
            path.chmod(0o600)
        self.live = dict(names)
        self.names = dict(names)


# Operations of one signing: 5 for the statement and 2 writes in halves more, the same for last.json, and some
# room; the tests see to it that the last one lies behind the end.
STEPS = 40


def ids(device: Path) -> list[bytes]:
    """The chain, after it was proved."""
    with folder.opened(device) as opened:
        return [packet.id for packet in opened.spool().statements]


class TestPowerCut:
    """Two statements are released, and a third is being signed when the power goes."""

    @pytest.mark.parametrize("names_survive", [True, False, None])
    def test_no_sequence_twice(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names_survive: bool | None
    ) -> None:
        made = box.make_device(tmp_path)
        before = [sign_turnout(made, number).statement for number in (1, 2)]
        finished = 0
        for stop in range(1, STEPS + 1):
            device = tmp_path / str(stop)
            shutil.copytree(made, device)
            released = list(before)
            with monkeypatch.context() as patched:
                disk = Disk(device, patched)
                disk.stop = stop
                try:
                    released.append(sign_turnout(device, 3).statement)
                    finished += 1
                except PowerCutError:
                    pass
                if names_survive is not None:
                    disk.lose_power(names_survive=names_survive)
            released.append(sign_turnout(device, 4).statement)
            chain = ids(device)
            # Whatever was released is in the chain, under its own sequence, and there is only one chain.
            assert [chain[packet.sequence - 1] for packet in released] == [packet.id for packet in released]
            assert len({packet.sequence for packet in released}) == len(released)
            assert len(chain) in (3, 4)
            assert not list(device.glob("statements/.*"))
        assert finished > 1, "the last stop must lie behind the end"
        assert finished < STEPS

    @pytest.mark.parametrize("then", [2, 3])
    def test_no_sequence_twice_after_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: int
    ) -> None:
        """A write fails, the same or another report is signed in the same boot, then the power goes."""
        made = box.make_device(tmp_path)
        before = sign_turnout(made, 1).statement
        failed = 0
        for fail in range(1, STEPS + 1):
            device = tmp_path / str(fail)
            shutil.copytree(made, device)
            released = [before]
            with monkeypatch.context() as patched:
                disk = Disk(device, patched)
                disk.fail = fail
                try:
                    released.append(sign_turnout(device, 2).statement)
                except OSError:
                    failed += 1
                disk.fail = None
                released.append(sign_turnout(device, then).statement)
                disk.lose_power(names_survive=False)
            chain = ids(device)
            assert [chain[packet.sequence - 1] for packet in released] == [packet.id for packet in released]
            assert len({packet.sequence for packet in released}) == len({packet.id for packet in released})
        assert 0 < failed < STEPS

    def test_stopped_before_it_could_tell(self, device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The statement is stored, last.json is not: the next start hands out the same bytes."""
        with monkeypatch.context() as patched:
            patched.setattr(Spool, "_note_last", stopped)
            with pytest.raises(PowerCutError):
                sign_turnout(device, 4)
        stored = file(device, 4).read_bytes()
        again = sign_turnout(device, 4)
        assert not again.new
        assert again.file.read_bytes() == stored
        assert json.loads((device / "last.json").read_bytes())["sequence"] == 4


def stopped(_spool: Spool, _signed: statement.Statement) -> None:
    raise PowerCutError


def test_a_definition_that_is_replaced_does_not_break_the_chain(device: Path, tmp_path: Path) -> None:
    with folder.opened(device) as opened:
        assert isinstance(opened, DeviceFolder)
        spool = opened.spool()
        spool.append(b"\xbb" * 32, 8, box.NOW, TURNOUT)
    assert sign_turnout(device, 3).statement.sequence == 5
