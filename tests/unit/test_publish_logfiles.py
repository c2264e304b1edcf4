"""Tiles and bundles as they are cut: the same files as of the whole log at once, whatever the cuts."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import _core
from gateway.publish import logfiles
from gateway.publish.logfiles import TILE, LogFiles
from tests.peers import logdir

# Short stand-ins: nothing here looks into a statement.
STATEMENTS = [b"%d" % number * (1 + number % 7) for number in range(3 * TILE)]


def cut(files: LogFiles, tree: _core.Tree, old: int, *, full_only: bool = False) -> dict[str, bytes]:
    with closing(files.cut(tree, old, full_only=full_only)) as found:
        return {file.path.removeprefix("log/"): file.data for file in found}


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LogFiles]:
    made = LogFiles(tmp_path)
    yield made
    made.close()


def take(files: LogFiles, tree: _core.Tree, upto: int) -> None:
    new = STATEMENTS[files.size : upto]
    files.take(new)
    tree.append([_core.leaf_hash(one) for one in new])


def needed(size: int) -> dict[str, bytes]:
    """Every file of a log of this size, by the other implementation."""
    whole = logdir.files(logdir.WIRE, STATEMENTS[:size])
    return {path: data for path, data in whole.items() if path != "checkpoint"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, len(STATEMENTS)), min_size=1, max_size=6).map(sorted),
    memory=st.sampled_from([1, 1 << 24]),
)
def test_any_cuts_give_what_the_last_size_needs(
    tmp_path: Path, sizes: list[int], memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfiles, "_MEMORY", memory)
    tree, files, written, old = _core.Tree(), LogFiles(tmp_path), dict[str, bytes](), 0
    for size in sizes:
        take(files, tree, size)
        found = cut(files, tree, old)
        # What is written once stays as it is.
        assert all(written.get(path, data) == data for path, data in found.items())
        written |= found
        old = size
        assert needed(size).items() <= written.items()
    files.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, len(STATEMENTS)), max_size=5).map(sorted),
    last=st.integers(0, len(STATEMENTS)),
)
def test_a_replay_in_parts_gives_the_last_size_and_nothing_else(
    tmp_path: Path, sizes: list[int], last: int
) -> None:
    tree, files, written = _core.Tree(), LogFiles(tmp_path), dict[str, bytes]()
    for size in [size for size in sizes if size <= last]:
        take(files, tree, size)
        found = cut(files, tree, 0, full_only=True)
        assert not set(found) & set(written)
        assert not any(".p/" in path for path in found)
        written |= found
    take(files, tree, last)
    written |= cut(files, tree, 0)
    assert written == needed(last)
    files.close()


def test_many_statements_lie_on_the_disk_and_not_under_a_name(
    files: LogFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfiles, "_MEMORY", 100)
    other = LogFiles(tmp_path)
    tree = _core.Tree()
    take(other, tree, 2 * TILE)
    assert other.size == 2 * TILE
    assert list(tmp_path.iterdir()) == []
    assert cut(other, tree, 0) == needed(2 * TILE)
    other.close()
