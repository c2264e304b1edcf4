"""Go's own note and transparency log packages judge our checkpoints, tiles, bundles, receipts and proofs."""

import base64
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from clients.wire import note
from clients.wire.errors import WireError
from gateway import _core
from gateway.base.errors import CoreError
from tests.peers import REQUIRED, logdir, require_program, statements
from tests.peers.gocheck import GoCheck
from tests.peers.logdir import CORE, ORIGIN, SEED, SIDES, Head, Side, WrongFileError

SHARED = Path(__file__).parents[2].parent / "shared"

LARGE = 70_000
SIZES = (0, 1, 255, 256, 257, 600, LARGE)
# Go proves this many entries of the large log, evenly spread, and recomputes the tree over all of them.
SAMPLE = 2_000

VKEY = _core.NoteSigner(ORIGIN, SEED).vkey
OTHER_SEED = SEED[::-1]

pytestmark = pytest.mark.peer


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> GoCheck:
    return GoCheck.build(tmp_path_factory.mktemp("gocheck"))


@pytest.fixture(scope="session")
def entries() -> list[bytes]:
    return statements.chain(LARGE)


@pytest.fixture(scope="session")
def log(entries: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The folder of the log of the first entries; whoever changes it puts it back."""
    folders: dict[int, Path] = {}

    def folder(size: int) -> Path:
        if size not in folders:
            folders[size] = tmp_path_factory.mktemp(f"log-{size}")
            logdir.write(folders[size], logdir.files(CORE, entries[:size]))
        return folders[size]

    return folder


@pytest.mark.parametrize("size", SIZES)
def test_go_accepts_the_whole_log(
    size: int, go: GoCheck, log: Callable[[int], Path], entries: list[bytes]
) -> None:
    core, wire = (logdir.files(side, entries[:size]) for side in SIDES)
    assert core == wire
    for side in SIDES:
        assert logdir.check(side, log(size), VKEY) == size
    bundles = sum(path.startswith("tile/entries/") for path in core)
    tiles = len(core) - 1 - bundles
    outcome = go.log(log(size), VKEY, SAMPLE)
    assert outcome.status == 0, outcome.err
    inclusions = min(size, SAMPLE)
    expected = (
        f"{size} entries, {tiles} tiles, {bundles} bundles, 0 older files, {inclusions} inclusion proofs, "
    )
    assert outcome.out.startswith(expected)


def test_go_accepts_every_file_of_a_log_that_grew(go: GoCheck, entries: list[bytes], tmp_path: Path) -> None:
    steps = (0, 1, 3, 255, 256, 257, 300, 512, 600)
    leaves = [_core.leaf_hash(entry) for entry in entries[: steps[-1]]]
    tree = _core.Tree()
    for old, new in pairwise(steps):
        tree.append(leaves[old:new])
        written = {"checkpoint": CORE.sign(Head(new, tree.root()), SEED)}
        for level, number, width in _core.tiles_between(old, new):
            written[_core.tile_path(level, number, width)] = tree.tile(level, number, width)
            if level == 0:
                first = number * 256
                bundle = _core.encode_bundle(entries[first : first + width])
                written[_core.bundle_path(number, width)] = bundle
        logdir.write(tmp_path, written)
        outcome = go.log(tmp_path, VKEY)
        assert outcome.status == 0, outcome.err
    # .p/1, /3, /255 of tile 0, /1 and /44 of tile 1, each with its bundle, and /1 of the level above.
    assert " 11 older files, " in outcome.out
    with flipped(tmp_path / "tile/0/000.p/255", 4711):
        assert go.log(tmp_path, VKEY).err.startswith("tile/0/000.p/255: ")


@contextmanager
def flipped(file: Path, offset: int) -> Iterator[None]:
    """One bit of one byte of a file is another one for a while."""
    content = file.read_bytes()
    changed = bytearray(content)
    changed[offset] ^= 1
    file.write_bytes(changed)
    try:
        yield
    finally:
        file.write_bytes(content)


def assert_all_name(go: GoCheck, folder: Path, path: str, proofs: int | None = None) -> None:
    """Go and both of ours refuse the log and name the file."""
    outcome = go.log(folder, VKEY, proofs)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith(f"{path}: ")
    for side in SIDES:
        with pytest.raises(WrongFileError) as refusal:
            logdir.check(side, folder, VKEY)
        assert refusal.value.path == path


@pytest.mark.parametrize("where", [0.0, 0.37, 1.0])
@pytest.mark.parametrize(
    ("size", "path"),
    [
        (1, "tile/0/000.p/1"),
        (1, "tile/entries/000.p/1"),
        (256, "tile/1/000.p/1"),
        (600, "tile/0/000"),
        (600, "tile/0/001"),
        (600, "tile/0/002.p/88"),
        (600, "tile/1/000.p/2"),
        (600, "tile/entries/001"),
        (600, "tile/entries/002.p/88"),
    ],
)
def test_a_flipped_byte_is_refused_and_its_file_named(
    size: int, path: str, where: float, go: GoCheck, log: Callable[[int], Path]
) -> None:
    file = log(size) / path
    with flipped(file, int(where * (file.stat().st_size - 1))):
        assert_all_name(go, log(size), path)


@pytest.mark.parametrize(
    "path",
    ["tile/0/123", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/200"],
)
def test_a_flipped_byte_of_a_large_log_is_refused(path: str, go: GoCheck, log: Callable[[int], Path]) -> None:
    with flipped(log(LARGE) / path, 29):
        assert_all_name(go, log(LARGE), path, proofs=0)


@pytest.mark.parametrize("size", [0, 600])
def test_every_flipped_byte_of_a_checkpoint_is_refused(
    size: int, go: GoCheck, log: Callable[[int], Path]
) -> None:
    file = log(size) / "checkpoint"
    signed, _, signature = file.read_bytes().partition(b"\n\n")
    places = {
        "origin": 0,
        "size": signed.index(b"\n") + 1,
        "root": signed.rindex(b"\n") + 9,
        "blank line": len(signed) + 1,
        "dash": len(signed) + 2,
        "key name": len(signed) + 2 + len("— ".encode()),
        "key id": len(signed) + 2 + signature.rindex(b" ") + 2,
        "signature": len(signed) + 2 + signature.rindex(b" ") + 40,
        "end": len(signed) + 1 + len(signature),
    }
    for offset in places.values():
        with flipped(file, offset):
            assert_all_name(go, log(size), "checkpoint")


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/001", "tile/1/000.p/2", "tile/entries/002.p/88"])
def test_a_missing_file_is_named(path: str, go: GoCheck, entries: list[bytes], tmp_path: Path) -> None:
    logdir.write(tmp_path, logdir.files(CORE, entries[:600]))
    (tmp_path / path).unlink()
    assert_all_name(go, tmp_path, path)


@pytest.mark.parametrize("path", ["tile/0/000", "tile/entries/000"])
def test_another_logs_file_is_named(path: str, go: GoCheck, entries: list[bytes], tmp_path: Path) -> None:
    other = logdir.files(CORE, entries[600:1200])
    logdir.write(tmp_path, {**logdir.files(CORE, entries[:600]), path: other[path]})
    assert_all_name(go, tmp_path, path)


def receipts(side: Side, entries: Sequence[bytes], indexes: Sequence[int]) -> list[bytes]:
    size = len(entries)
    tree = side.grow([side.leaf_hash(entry) for entry in entries])
    checkpoint = side.sign(Head(size, tree.root(size)), SEED)
    return [side.receipt(index, tree.inclusion(index, size), checkpoint) for index in indexes]


@pytest.mark.parametrize("size", SIZES[1:])
def test_go_accepts_our_receipts(size: int, go: GoCheck, entries: list[bytes], tmp_path: Path) -> None:
    covered = entries[:size]
    indexes = sorted(
        {0, 1, 2, 127, 128, 254, 255, 256, 511, size // 2, size - 2, size - 1} & set(range(size))
    )
    core, wire = (receipts(side, covered, indexes) for side in SIDES)
    assert core == wire
    pairs: list[tuple[Path, Path]] = []
    for index, receipt in zip(indexes, core, strict=True):
        pairs.append((tmp_path / f"{index}.receipt", tmp_path / f"{index}.cose"))
        pairs[-1][0].write_bytes(receipt)
        pairs[-1][1].write_bytes(covered[index])
        for side in SIDES:
            found, head = side.verify_receipt(receipt, covered[index], VKEY)
            assert (found, head.size) == (index, size)
    outcome = go.receipts(VKEY, pairs)
    assert outcome.status == 0, outcome.err

    last, statement = pairs[-1]
    with flipped(statement, 200):
        outcome = go.receipts(VKEY, pairs)
    assert (outcome.status, outcome.err) == (1, f"{last}: invalid transparency proof\n")


def consistency_lines(side: Side, leaves: Sequence[bytes], pairs: Sequence[tuple[int, int]]) -> list[str]:
    tree = side.grow(leaves)
    lines: list[str] = []
    for old, new in pairs:
        old_root, new_root, *path = (
            base64.b64encode(value).decode()
            for value in (tree.root(old), tree.root(new), *tree.consistency(old, new))
        )
        lines.append(" ".join([str(old), old_root, str(new), new_root, *path]))
    return lines


def test_go_accepts_our_consistency_proofs(go: GoCheck, entries: list[bytes], tmp_path: Path) -> None:
    leaves = [_core.leaf_hash(entry) for entry in entries]
    sizes = (1, 2, 3, 4, 7, 128, 255, 256, 257, 600, 65_535, 65_536, 65_537, LARGE - 1, LARGE)
    pairs = [(old, new) for new in sizes for old in sizes if old <= new]
    core, wire = (consistency_lines(side, leaves, pairs) for side in SIDES)
    assert core == wire
    file = tmp_path / "proofs"
    file.write_text("\n".join(core) + "\n")
    outcome = go.consistency(file)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == f"{len(pairs)} consistency proofs\n"

    wrong = next(place for place, (old, new) in enumerate(pairs) if 2 < old < new)
    spoiled = core[wrong].split(" ")
    spoiled[4], spoiled[5] = spoiled[5], spoiled[4]
    file.write_text("\n".join([*core[:wrong], " ".join(spoiled), *core[wrong + 1 :]]) + "\n")
    outcome = go.consistency(file)
    assert outcome.status == 1
    assert f"line {wrong + 1}: " in outcome.err


@pytest.mark.parametrize("name", [ORIGIN, "a", "rehearsal.invalid/hill-2026/0123abcd"])
@pytest.mark.parametrize("seed", [SEED, OTHER_SEED, bytes(32)])
def test_go_writes_and_reads_the_same_verifier_key(name: str, seed: bytes, go: GoCheck) -> None:
    public = _core.public_key(seed)
    vkey, parsed_name, key_id = go.vkey(name, public)
    assert _core.vkey(name, public) == vkey
    assert str(note.VerifierKey(name, public)) == vkey
    assert str(note.VerifierKey.parse(vkey)) == vkey
    assert parsed_name == name
    assert note.key_id(name, public).hex() == key_id == vkey.split("+")[1]


def go_signs(go: GoCheck, text: str) -> str:
    signed = go.sign(text, ORIGIN, VKEY.split("+")[1], SEED)
    assert signed.status == 0, signed.err
    return signed.out


@pytest.mark.parametrize(
    "text", ["one line\n", "origin\n7\nroot\n", "Ничья, № 1\n\u2014 not a signature line\n"]
)
def test_notes_of_go_and_ours_are_the_same_bytes(text: str, go: GoCheck) -> None:
    signed = go_signs(go, text)
    assert _core.NoteSigner(ORIGIN, SEED).sign(text) == signed
    assert note.sign(text, ORIGIN, SigningKey(SEED)).decode() == signed
    assert _core.open_note(signed.encode(), VKEY) == text
    assert note.open_note(signed.encode(), note.VerifierKey.parse(VKEY)) == text
    opened = go.open(signed, VKEY)
    assert (opened.status, opened.out) == (0, text)


def test_a_text_with_a_blank_line_is_read_but_not_written(go: GoCheck) -> None:
    """log.md: never a blank line in the text; a note that has one is split at its last, as Go does."""
    text = "a\n\nb\n"
    signed = go_signs(go, text)
    assert _core.open_note(signed.encode(), VKEY) == text
    assert note.open_note(signed.encode(), note.VerifierKey.parse(VKEY)) == text
    with pytest.raises(CoreError, match=r"note\.malformed"):
        _core.NoteSigner(ORIGIN, SEED).sign(text)
    with pytest.raises(WireError, match=r"note\.malformed"):
        note.sign(text, ORIGIN, SigningKey(SEED))


def test_go_computes_the_key_id_itself(go: GoCheck) -> None:
    wrong = note.key_id("another.example", _core.public_key(SEED)).hex()
    refused = go.sign("text\n", ORIGIN, wrong, SEED)
    assert (refused.status, refused.err) == (1, "invalid verifier hash\n")


def test_a_note_that_go_signed_for_two_opens_for_each(go: GoCheck) -> None:
    text = "cosigned\n"
    signer, witness = ((ORIGIN, SEED), ("witness.example/w1", OTHER_SEED))
    keys = [_core.NoteSigner(name, seed).vkey for name, seed in (signer, witness)]
    notes = [
        go.sign(text, name, vkey.split("+")[1], seed).out
        for (name, seed), vkey in zip((signer, witness), keys, strict=True)
    ]
    both = notes[0] + notes[1].partition("\n\n")[2]
    for vkey in keys:
        assert go.open(both, vkey).out == text
        assert _core.open_note(both.encode(), vkey) == text
        assert note.open_note(both.encode(), note.VerifierKey.parse(vkey)) == text


@pytest.mark.shared
@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_the_reference_writer_writes_the_same_files(size: int, go: GoCheck, tmp_path: Path) -> None:
    reference = SHARED / "vectors" / "ref_tile_gen.py"
    if not reference.exists():
        pytest.skip("the vectors beside the project are absent")
    subprocess.run(
        [sys.executable, reference, str(size)], cwd=tmp_path, check=True, capture_output=True, timeout=60
    )
    folder = tmp_path / f"t{size}"
    vkey = (tmp_path / f"t{size}.vkey").read_text().strip()
    # Its key and its entries; its origin is ORIGIN.
    seed = b"\x01" * 32
    plain = [b"entry %d " % index + b"x" * (index % 400) for index in range(size)]
    written = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    assert _core.NoteSigner(ORIGIN, seed).vkey == vkey
    for side in SIDES:
        assert logdir.files(side, plain, seed) == written
        assert logdir.check(side, folder, vkey) == size
    outcome = go.log(folder, vkey)
    assert outcome.status == 0, outcome.err


def test_a_missing_program_is_skipped_unless_peers_are_required() -> None:
    nowhere = {"PATH": "/nonexistent"}
    with pytest.raises(pytest.skip.Exception, match="gofer is not installed"):
        require_program("gofer", nowhere)
    with pytest.raises(pytest.fail.Exception, match=f"gofer is not installed.*{REQUIRED}=1"):
        require_program("gofer", {**nowhere, REQUIRED: "1"})
