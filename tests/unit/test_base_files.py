import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.base.errors import TallygateError
from gateway.base.files import (
    create_private,
    finished_directory,
    move_durably,
    read_bounded,
    read_private,
    refuse_existing,
    sync_tree,
    unfinished,
    write_durably,
    write_private,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


WORDS = {os.O_EXCL: "excl", os.O_NOFOLLOW: "nofollow", os.O_DIRECTORY: "directory"}


class Trace:
    """The system calls that matter, with names of files as they are seen from the folder under test."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self._folder = folder
        self._open: dict[int, str] = {}
        real_open, real_fsync, real_close = os.open, os.fsync, os.close
        real_write, real_replace, real_fchmod = os.write, os.replace, os.fchmod

        def opened(path: str | Path, flags: int, mode: int = 0o777) -> int:
            descriptor = real_open(path, flags, mode)
            self._open[descriptor] = self._name(path)
            kind = "create" if flags & os.O_CREAT else "open"
            extra = f" {mode:04o}" if flags & os.O_CREAT else ""
            for flag, word in WORDS.items():
                extra += f" {word}" if flags & flag == flag else ""
            self.calls.append(f"{kind} {self._open[descriptor]}{extra}")
            return descriptor

        def write(descriptor: int, data: bytes) -> int:
            self.calls.append(f"write {self._open[descriptor]}")
            return real_write(descriptor, bytes(data)[:4])  # as slow as a disk may be

        def fchmod(descriptor: int, mode: int) -> None:
            self.calls.append(f"fchmod {self._open[descriptor]} {mode:04o}")
            real_fchmod(descriptor, mode)

        def fsync(descriptor: int) -> None:
            self.calls.append(f"fsync {self._open[descriptor]}")
            real_fsync(descriptor)

        def close(descriptor: int) -> None:
            self.calls.append(f"close {self._open.pop(descriptor)}")
            real_close(descriptor)

        def replace(source: str | Path, target: str | Path) -> None:
            self.calls.append(f"rename {self._name(source)} {self._name(target)}")
            real_replace(source, target)

        for function in (write, fchmod, fsync, close, replace):
            monkeypatch.setattr(os, function.__name__, function)
        monkeypatch.setattr(os, "open", opened)

    def _name(self, path: str | Path) -> str:
        name = str(Path(path).relative_to(self._folder))
        return re.sub(r"[0-9a-f]{16}", "RANDOM", name)


def test_the_system_calls_of_a_durable_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace(tmp_path, monkeypatch)
    write_durably(tmp_path / "file", b"12345")
    temporary = ".file.RANDOM.tmp"
    assert trace.calls == [
        f"create {temporary} 0644 excl nofollow",
        f"write {temporary}",
        f"write {temporary}",
        f"fsync {temporary}",
        f"close {temporary}",
        f"rename {temporary} file",
        "open . directory",
        "fsync .",
        "close .",
    ]
    assert (tmp_path / "file").read_bytes() == b"12345"
    trace.calls.clear()
    write_durably(tmp_path / "file", b"1", mode=0o640)
    assert trace.calls[2] == f"fchmod {temporary} 0640"


def test_the_system_calls_of_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace(tmp_path, monkeypatch)
    write_private(tmp_path / "file", b"1234")
    assert trace.calls == [
        "create file 0600 excl nofollow",
        "write file",
        "fsync file",
        "close file",
        "open . directory",
        "fsync .",
        "close .",
    ]


def test_a_durable_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_modes(tmp_path: Path) -> None:
    with umask(0o022):
        write_durably(tmp_path / "public", b"")
    with umask(0o077):
        write_durably(tmp_path / "exact", b"", mode=0o644)
    with umask(0o000):
        write_private(tmp_path / "private", b"")
        create_private(tmp_path / "written").close()
    assert mode(tmp_path / "public") == 0o644
    assert mode(tmp_path / "exact") == 0o644
    assert mode(tmp_path / "private") == 0o600
    assert mode(tmp_path / "written") == 0o600


def test_a_secret_is_never_replaced(tmp_path: Path) -> None:
    write_private(tmp_path / "key", b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "key", tmp_path / "link"):
        with pytest.raises(TallygateError) as caught:
            write_private(path, b"other")
        assert caught.value.code == "file.exists"
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o610, 0o644, 0o700 | 0o001])
def test_a_secret_that_others_can_open_is_not_read(tmp_path: Path, open_to: int) -> None:
    path = tmp_path / "key"
    write_private(path, b"secret")
    assert read_private(path, 6) == b"secret"
    path.chmod(open_to)
    with pytest.raises(TallygateError) as caught:
        read_private(path, 6)
    assert caught.value.code == "file.not_private"
    assert "secret" not in caught.value.detail.replace("this secret", "")


def test_files_have_bounds(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"secret")
    assert read_bounded(path, 6) == b"secret"
    for read in (read_bounded, read_private):
        with pytest.raises(TallygateError) as caught:
            read(path, 5)
        assert caught.value.code == "file.too_large"


def test_a_finished_directory_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "night"
    with umask(0o077), finished_directory(target) as work:
        assert not target.exists()
        assert mode(work) == 0o700
        assert unfinished(target) == [work]
        (work / "file").write_bytes(b"x")
    assert (target / "file").read_bytes() == b"x"
    assert mode(target) == 0o755
    assert list(tmp_path.iterdir()) == [target]


def test_a_directory_that_is_not_finished_is_removed(tmp_path: Path) -> None:
    def interrupted() -> None:
        with finished_directory(tmp_path / "night") as work:
            (work / "file").write_bytes(b"x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_directory_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    with finished_directory(tmp_path / "night") as work:
        (work / "file").write_bytes(b"x")
    assert (tmp_path / "night" / "file").exists()


def test_nothing_is_ever_written_over(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("full", "file", "dangling", "link"):
        with pytest.raises(TallygateError) as caught, finished_directory(tmp_path / name):
            pytest.fail("nothing should be built")
        assert caught.value.code == "file.exists"
        with pytest.raises(TallygateError):
            refuse_existing(tmp_path / name)


def test_the_folder_one_stands_in_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for path in (Path(), Path("../empty"), tmp_path / "empty"):
        with pytest.raises(TallygateError) as caught, finished_directory(path):
            pytest.fail("nothing should be built")
        assert caught.value.code == "file.here"
    with finished_directory(Path("below")):
        pass
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["below"]


@pytest.mark.parametrize("name", ["n[1]", "n*", "n", "?"])
def test_what_is_unfinished_is_found_by_its_own_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / f".{name}.unfinished-0123456789abcdef"
    left.mkdir()
    (tmp_path / ".nn.unfinished-0123456789abcdef").mkdir()
    assert unfinished(tmp_path / name) == [left]
    monkeypatch.chdir(tmp_path)
    assert unfinished(Path(name)) == [left]
    assert unfinished(tmp_path / "no" / "where") == []


def test_a_durable_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    trace = Trace(tmp_path, monkeypatch)
    move_durably(tmp_path / "a", tmp_path / "b")
    assert trace.calls == ["rename a b", "open . directory", "fsync .", "close ."]
    assert (tmp_path / "b").read_bytes() == b"new"


def test_somebody_else_was_faster(tmp_path: Path) -> None:
    target = tmp_path / "night"

    def overtaken() -> None:
        with finished_directory(target):
            target.mkdir()
            (target / "theirs").touch()

    with pytest.raises(TallygateError) as caught:
        overtaken()
    assert caught.value.code == "file.exists"
    assert [path.name for path in target.iterdir()] == ["theirs"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_tree_is_synced_from_its_leaves_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x")
    trace = Trace(tmp_path, monkeypatch)
    sync_tree(tmp_path)
    assert [call for call in trace.calls if call.startswith("fsync")] == [
        "fsync a/b/file",
        "fsync a/b",
        "fsync a",
        "fsync .",
    ]
