"""What the core refuses of its own callers, and how much memory hostile input may cost."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway import _core
from gateway.base.errors import CoreError
from tests.unit.wire_election import Election

SEED = b"\x11" * 32  # device 1 of tests/unit/wire_election.py
BATCH = 256
# Statements, their copies in the answers, and what two threads decode at once. Kept whole, the decoded ones
# would take 13 times the statements, 52 MiB.
MOST_KIB = 16 << 10

# Prints by how many KiB the peak grows while a batch of the largest statements is checked.
MEASURED = """
import sys
from pathlib import Path
from gateway import _core
from tests.unit.test_core_limits import BATCH, largest

def peak():
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0])

root = Path(sys.argv[1])
definition = _core.Definition.load(root / "definition")
roster = _core.Roster.load(root / "roster", definition)
batch = [largest() for _ in range(BATCH)]
_core.check_statements(batch[:2], definition, roster)
before = peak()
verdicts = _core.check_statements(batch, definition, roster)
assert all(isinstance(verdict, _core.Statement) for verdict in verdicts), verdicts[0]
print(peak() - before)
"""


def largest() -> bytes:
    """A signed statement of nearly 16 KiB, all of it smallest counts: what decodes to most memory."""
    counts = tuple((contest, ((1, 0),), (0,)) for contest in range(1, 1_600))
    content = (bytes(32), 1, 7, 1, b"", 0, (3, 0, 1, 0, (), counts, ()))
    return _core.sign("packet", content, SEED)


def test_a_batch_of_the_largest_statements_takes_bounded_memory(tmp_path: Path) -> None:
    Election(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < MOST_KIB


def test_true_is_no_number() -> None:
    with pytest.raises(TypeError):
        _core.sign("packet", (bytes(32), 1, 7, 1, b"", 0, (2, 0, ((3, True),))), SEED)


def test_a_size_that_nobody_checked_costs_nothing() -> None:
    with pytest.raises(CoreError, match=r"argument\.range"):
        _core.tiles_between(0, 2**53 - 1)


def test_the_log_key_signs_only_heads_that_readers_accept() -> None:
    signer = _core.NoteSigner("log.example/a", SEED)
    note = signer.sign_checkpoint(5, bytes(32))
    assert _core.open_checkpoint(note.encode(), signer.vkey) == _core.Checkpoint(
        "log.example/a", 5, bytes(32)
    )
    with pytest.raises(CoreError, match=r"checkpoint\.malformed"):
        signer.sign_checkpoint(2**53, bytes(32))
    with pytest.raises(CoreError, match=r"checkpoint\.malformed"):
        _core.Checkpoint("Other.org", 5, bytes(32))
