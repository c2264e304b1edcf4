"""The published vectors: made by their generator, and judged alike by the Rust core and `clients/wire`."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from nacl.signing import SigningKey

from clients.wire import jcs, keys, merkle, note, receipt, statement, tiles
from clients.wire.definition import Definition
from clients.wire.errors import WireError
from clients.wire.information import Information
from clients.wire.roster import Roster
from gateway import _core
from gateway.base.errors import CoreError
from tests.vectors import generate
from tests.vectors.forms import (
    FOLDER,
    BundleBytes,
    CanonicalJson,
    Case,
    Change,
    CheckpointCase,
    Checkpoints,
    Coded,
    Consistency,
    GoodStatement,
    Inclusion,
    JsonCase,
    JudgedStatement,
    Key,
    Log,
    MalformedStatement,
    ManifestCase,
    Manifests,
    PathOf,
    Proofs,
    ReceiptCase,
    Receipts,
    Statements,
    TileBytes,
    Tiles,
    VerifierKey,
    VerifierKeys,
    joined,
    load,
    unhex,
)

DOCS = FOLDER.parents[1] / "docs"
ELECTION = FOLDER / "election"

Content: TypeAlias = tuple["int | bytes | str | Content", ...]


def hashes(values: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]


STATEMENTS = load("statements.json", Statements)
VERIFIER_KEYS = load("verifier_keys.json", VerifierKeys)
CHECKPOINTS = load("checkpoints.json", Checkpoints)
RECEIPTS = load("receipts.json", Receipts)
PROOFS = load("proofs.json", Proofs)
TILES = load("tiles.json", Tiles)
CANONICAL_JSON = load("canonical_json.json", CanonicalJson)
MANIFESTS = load("manifests.json", Manifests)


class Verdict(NamedTuple):
    """What a person is told; all None where it is accepted."""

    code: str | None = None
    rule: str | None = None
    offset: int | None = None
    file: str | None = None
    line: int | None = None
    column: str | None = None


def judged(work: Callable[[], object]) -> Verdict:
    try:
        work()
    except (CoreError, WireError) as error:
        return Verdict(error.code, error.rule, error.offset, error.file, error.line, error.column)
    return Verdict()


def codes(*works: Callable[[], object]) -> list[str | None]:
    return [judged(work).code for work in works]


def by_name(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


# The files themselves


def test_the_generator_writes_what_is_committed() -> None:
    made = generate.files()
    data = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in committed()}
    assert sorted(data) == sorted(made)
    for name, content in made.items():
        assert data[name] == content, f"{name} is not what make vectors writes"


def committed() -> Iterator[Path]:
    yield from FOLDER.glob("*.json")
    yield from (path for path in ELECTION.rglob("*") if path.is_file())
    yield FOLDER / "authority" / "decisions.json"
    yield from (path for path in (FOLDER / "authority" / "rosters").rglob("*") if path.is_file())


def test_they_stay_small() -> None:
    assert sum(path.stat().st_size for path in committed()) < 1_100_000


@pytest.mark.parametrize(
    "cases",
    [
        STATEMENTS.good,
        STATEMENTS.malformed,
        STATEMENTS.judged,
        VERIFIER_KEYS.keys,
        CHECKPOINTS.cases,
        RECEIPTS.cases,
        PROOFS.inclusion,
        PROOFS.consistency,
        TILES.tile_bytes,
        TILES.bundle_bytes,
        CANONICAL_JSON.cases,
        MANIFESTS.cases,
    ],
)
def test_no_name_stands_twice(cases: Sequence[Case]) -> None:
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)


def documented_rules() -> set[str]:
    table = (DOCS / "packet.md").read_text().split("| rule | broken when")[1].split("\n\n")[0]
    first_cells = (line.split("|")[1] for line in table.splitlines()[2:])
    return {rule.strip() for cell in first_cells for rule in cell.split(",")}


def documented_codes() -> set[str]:
    text = "".join((DOCS / name).read_text() for name in ("packet.md", "log.md", "election-folder.md"))
    kinds = "statement|key|note|checkpoint|receipt|proof|tile|bundle|manifest|table"
    return set(re.findall(rf"`((?:{kinds})\.[a-z_]+)`", text))


def test_every_rule_of_the_text_occurs() -> None:
    assert documented_rules() == {case.rule for case in STATEMENTS.malformed}


def test_every_code_of_the_text_occurs() -> None:
    groups: tuple[Sequence[Coded], ...] = (
        STATEMENTS.judged,
        VERIFIER_KEYS.keys,
        CHECKPOINTS.cases,
        RECEIPTS.cases,
        PROOFS.inclusion,
        PROOFS.consistency,
        TILES.tile_bytes,
        TILES.bundle_bytes,
        MANIFESTS.cases,
    )
    published = {case.code for group in groups for case in group}
    assert documented_codes() == (published | {"statement.malformed"}) - {None}


def test_every_column_occurs() -> None:
    blamed = {(case.judged, case.file, case.column) for case in MANIFESTS.cases}
    for folder in ("definition", "roster"):
        for table in (ELECTION / folder).glob("*.csv"):
            for column in table.read_text().splitlines()[0].split(","):
                assert (folder, table.name, column) in blamed


def readme_blocks() -> list[bytes]:
    blocks = re.findall(r"```\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    return [bytes.fromhex("".join(line.partition("#")[0] for line in block.splitlines())) for block in blocks]


def test_the_readme_takes_the_right_bytes_apart() -> None:
    case = next(case for case in STATEMENTS.good if case.name == "turnout: one figure")
    whole, signed = readme_blocks()
    assert whole == unhex(case.statement)
    assert signed == _core.decode(whole).signed_bytes
    text = (FOLDER / "README.md").read_text()
    assert f"`{case.id[:8]}…`" in text
    assert f"`{case.leaf_hash[:8]}…`" in text
    assert f"the {len(whole)} bytes" in text


def test_the_readme_names_every_file() -> None:
    text = (FOLDER / "README.md").read_text()
    assert {path.name for path in FOLDER.glob("*.json")} <= set(re.findall(r"\]\(([a-z_]+\.json)\)", text))


# Statements


def decoded(value: object) -> int | bytes | str | Content:
    """A published content as nested tuples."""
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    if isinstance(value, list):
        items: list[int | bytes | str | Content] = []
        for item in value:
            if isinstance(item, dict) and "times" in item:
                items += [decoded(item["repeat"])] * item["times"]
            else:
                items.append(decoded(item))
        return tuple(items)
    assert isinstance(value, int | str)
    return value


def content_of(case: GoodStatement) -> Content:
    content = decoded(json.loads(bytes(case.content)))
    assert isinstance(content, tuple)
    return content


@by_name(STATEMENTS.keys)
def test_keys(case: Key) -> None:
    seed, public = bytes.fromhex(case.seed), bytes.fromhex(case.public_key)
    assert _core.public_key(seed) == public == bytes(SigningKey(seed).verify_key)
    assert _core.enrollable([public]) == [keys.enrollable(public)] == [True]
    assert keys.kid(public).hex() == case.kid


@by_name(STATEMENTS.good)
def test_a_good_statement(case: GoodStatement) -> None:
    data, content = unhex(case.statement), content_of(case)
    mine, theirs = _core.decode(data), statement.decode(data)
    assert mine.kind == theirs.kind == case.kind
    assert mine.content == theirs.content == content
    assert mine.id.hex() == theirs.id.hex() == case.id
    assert mine.leaf_hash.hex() == merkle.leaf_hash(data).hex() == case.leaf_hash
    if case.kind == "packet":
        assert case.slip == f"{mine.station}-{case.id[:16]}"
    else:
        assert case.payload_sha256 == hashlib.sha256(theirs.payload).hexdigest()

    seed = bytes.fromhex(next(key.seed for key in STATEMENTS.keys if key.name == case.signer))
    assert (
        _core.encode_payload(case.kind, content)
        == statement.encode_payload(case.kind, content)
        == mine.payload
    )
    assert _core.sign(case.kind, content, seed) == data
    assert statement.sign(case.kind, content, SigningKey(seed)) == data


@by_name(STATEMENTS.malformed)
def test_a_malformed_statement(case: MalformedStatement) -> None:
    data = unhex(case.statement)
    expected = Verdict("statement.malformed", case.rule, case.offset)
    assert judged(lambda: _core.decode(data)) == expected
    assert judged(lambda: statement.decode(data)) == expected


@cache
def core_election() -> tuple[_core.Definition, _core.Roster]:
    definition = _core.Definition.load(ELECTION / "definition")
    return definition, _core.Roster.load(ELECTION / "roster", definition)


@cache
def wire_election() -> tuple[Definition, Roster]:
    definition = Definition.load(ELECTION / "definition")
    return definition, Roster.load(ELECTION / "roster", definition)


def checked_by_core(data: bytes) -> _core.Statement:
    (answer,) = _core.check_statements([data], *core_election())
    if isinstance(answer, CoreError):
        raise answer
    return answer


@by_name([*STATEMENTS.judged, *STATEMENTS.good, *STATEMENTS.malformed])
def test_the_checks_at_the_door(case: JudgedStatement | GoodStatement | MalformedStatement) -> None:
    data = unhex(case.statement)
    expected: Verdict = Verdict()
    if isinstance(case, MalformedStatement):
        expected = Verdict("statement.malformed", case.rule, case.offset)
    elif isinstance(case, JudgedStatement):
        expected = Verdict(case.code)
    assert judged(lambda: checked_by_core(data)) == expected
    assert judged(lambda: statement.check(data, *wire_election())) == expected


# Keys, checkpoints, receipts


@by_name(VERIFIER_KEYS.keys)
def test_verifier_keys(case: VerifierKey) -> None:
    # The core reads a key where it opens a note with it; a key that it takes finds no line of its own here.
    other = next(one for one in CHECKPOINTS.cases if one.code == "note.unsigned").data
    assert codes(lambda: _core.open_note(other, case.vkey)) == [case.code or "note.unsigned"]
    assert codes(lambda: note.VerifierKey.parse(case.vkey)) == [case.code]
    if case.code is None:
        key = note.VerifierKey.parse(case.vkey)
        assert (key.name, key.id.hex(), key.key.hex()) == (case.key_name, case.key_id, case.public_key)
        assert str(key) == _core.vkey(case.key_name, key.key) == case.vkey


@by_name(CHECKPOINTS.cases)
def test_checkpoints(case: CheckpointCase) -> None:
    vkey = case.vkey or CHECKPOINTS.vkey

    def core() -> _core.Checkpoint:
        return _core.open_checkpoint(case.data, vkey)

    def wire() -> note.Checkpoint:
        return note.open_checkpoint(case.data, note.VerifierKey.parse(vkey))

    assert codes(core, wire) == [case.code, case.code]
    if case.code is None:
        assert case.checkpoint is not None
        root = base64.b64decode(case.checkpoint.root)
        expected = (case.checkpoint.origin, case.checkpoint.size, root)
        assert (core().origin, core().size, core().root) == expected
        assert (wire().origin, wire().size, wire().root) == expected


@by_name(RECEIPTS.cases)
def test_receipts(case: ReceiptCase) -> None:
    data, logged = (
        joined(case.receipt).encode(),
        unhex(RECEIPTS.statement if case.statement is None else case.statement),
    )

    def core() -> tuple[int, int]:
        index, head = _core.verify_receipt(data, logged, RECEIPTS.vkey)
        return index, head.size

    def wire() -> tuple[int, int]:
        index, head = receipt.verify(data, logged, note.VerifierKey.parse(RECEIPTS.vkey))
        return index, head.size

    assert codes(core, wire) == [case.code, case.code]
    if case.code is None:
        assert core() == wire() == (case.index, case.size)


@pytest.mark.parametrize("of", [CHECKPOINTS, RECEIPTS])
def test_the_log_signs_the_same_notes(of: Checkpoints | Receipts) -> None:
    origin, _, _ = of.vkey.split("+", 2)
    good = next(case for case in CHECKPOINTS.cases if case.code is None)
    text = joined(good.note).split("\n\n")[0] + "\n"
    assert _core.NoteSigner(origin, bytes.fromhex(of.log.seed)).sign(text) == good.note
    assert note.sign(text, origin, SigningKey(bytes.fromhex(of.log.seed))).decode() == good.note
    assert _core.vkey(origin, bytes.fromhex(of.log.public_key)) == of.vkey


# The tree


def entries(size: int) -> list[bytes]:
    return [b"entry %d" % index for index in range(size)]


def core_tree(size: int) -> _core.Tree:
    tree = _core.Tree()
    tree.append([_core.leaf_hash(entry) for entry in entries(size)])
    return tree


def wire_tree(size: int) -> merkle.Tree:
    return merkle.Tree(merkle.leaf_hash(entry) for entry in entries(size))


def test_roots() -> None:
    for case in PROOFS.roots:
        assert core_tree(case.size).root().hex() == wire_tree(case.size).root().hex() == case.root


@by_name(PROOFS.inclusion)
def test_inclusion(case: Inclusion) -> None:
    leaf, root, path = bytes.fromhex(case.leaf_hash), bytes.fromhex(case.root), hashes(case.path)
    expected = [case.code, case.code]
    assert expected == codes(
        lambda: _core.verify_inclusion(leaf, case.index, case.size, path, root),
        lambda: merkle.verify_inclusion(leaf, case.index, case.size, path, root),
    )
    if case.code is None and case.name == f"entry {case.index} of {case.size}":
        assert core_tree(case.size).inclusion(case.index, case.size) == path
        assert wire_tree(case.size).inclusion(case.index, case.size) == path


LARGEST_TREE = 100_000  # leaves; a proof may be about a log that no test can build


@by_name(PROOFS.consistency)
def test_consistency(case: Consistency) -> None:
    roots = bytes.fromhex(case.old_root), bytes.fromhex(case.new_root)
    path = hashes(case.path)
    expected = [case.code, case.code]
    assert expected == codes(
        lambda: _core.verify_consistency(case.old, roots[0], case.new, roots[1], path),
        lambda: merkle.verify_consistency(case.old, case.new, path, *roots),
    )
    if case.code is None and case.new <= LARGEST_TREE:
        assert core_tree(case.new).consistency(case.old, case.new) == path
        assert wire_tree(case.new).consistency(case.old, case.new) == path


@pytest.mark.parametrize("case", TILES.logs, ids=lambda log: str(log.size))
def test_logs(case: Log) -> None:
    mine, theirs = core_tree(case.size), wire_tree(case.size)
    assert mine.root().hex() == theirs.root().hex() == case.root
    wanted = {file.path: (file.width, file.sha256) for file in case.tiles}
    assert wanted == {
        _core.tile_path(*tile): (tile[2], hashlib.sha256(mine.tile(*tile)).hexdigest())
        for tile in _core.tiles_between(0, case.size)
    }
    assert wanted == {
        tile.path: (tile.width, hashlib.sha256(tiles.tile_bytes(theirs, tile)).hexdigest())
        for tile in tiles.tiles(case.size)
    }
    bundles = {file.path: (file.width, file.sha256) for file in case.bundles}
    for encode in (_core.encode_bundle, tiles.bundle_bytes):
        found: dict[str, tuple[int, str]] = {}
        for bundle in tiles.bundles(case.size):
            content = entries(case.size)[bundle.number * 256 :][: bundle.width]
            assert _core.bundle_path(bundle.number, bundle.width) == bundle.path
            found[bundle.path] = (bundle.width, hashlib.sha256(encode(content)).hexdigest())
        assert found == bundles


@pytest.mark.parametrize("case", TILES.paths, ids=lambda path: str(path.tile))
def test_paths(case: PathOf) -> None:
    place = (case.level, case.number, case.width)
    assert _core.tile_path(*place) == tiles.Tile(*place).path == case.tile
    assert _core.bundle_path(case.number, case.width) == case.bundle
    assert tiles.Bundle(case.number, case.width).path == case.bundle


@by_name(TILES.tile_bytes)
def test_tile_bytes(case: TileBytes) -> None:
    data = unhex(case.tile)

    def core() -> list[bytes]:
        return _core.decode_tile(data, case.width)

    def wire() -> list[bytes]:
        return tiles.decode_tile(data, case.width)

    assert codes(core, wire) == [case.code, case.code]
    if case.code is None:
        assert b"".join(core()) == b"".join(wire()) == data


@by_name(TILES.bundle_bytes)
def test_bundle_bytes(case: BundleBytes) -> None:
    data = unhex(case.bundle)

    def core() -> list[bytes]:
        return _core.decode_bundle(data, case.width)

    def wire() -> list[bytes]:
        return tiles.decode_bundle(data, case.width)

    assert codes(core, wire) == [case.code, case.code]
    if case.code is None:
        assert core() == wire()
        assert _core.encode_bundle(core()) == tiles.bundle_bytes(wire()) == data


# Canonical JSON, manifests, tables


@by_name(CANONICAL_JSON.cases)
def test_canonical_json(case: JsonCase) -> None:
    # The core reads JSON in manifests only: manifests.json has the spellings for it.
    assert codes(lambda: jcs.parse(case.data)) == [case.code]
    if case.code is None:
        value = json.loads(bytes(case.value))
        assert jcs.parse(case.data) == value
        assert jcs.write(value) == _core.canonical_json(value) == case.data


def entry(path: Path) -> str:
    """What a manifest says of the bytes of a table."""
    data = path.read_bytes()
    return f'"sha256":"{hashlib.sha256(data).hexdigest()}","size":{len(data)}}}'


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert text.count(old) == 1
    path.write_bytes(text.replace(old, new).encode())


def apply(change: Change, folder: Path) -> None:
    path = folder / change.file
    before = entry(path) if change.rehash else ""
    if change.remove:
        path.unlink()
    elif change.content is not None:
        path.write_bytes(joined(change.content).encode())
    elif change.content_hex:
        path.write_bytes(bytes.fromhex(change.content_hex))
    else:
        replace(path, change.old, joined(change.new))
    if change.rehash:
        replace(folder / change.rehash, before, entry(path))


def load_with_core(folder: Path, name: str) -> None:
    definition = _core.Definition.load(folder / "definition")
    if name == "roster":
        _core.Roster.load(folder / name, definition)
    elif name == "information":
        _core.Information.load(folder / name, definition)


def load_with_wire(folder: Path, name: str) -> None:
    definition = Definition.load(folder / "definition")
    if name == "roster":
        Roster.load(folder / name, definition)
    elif name == "information":
        Information.load(folder / name, definition)


@by_name(MANIFESTS.cases)
def test_manifests(case: ManifestCase, tmp_path: Path) -> None:
    folder = tmp_path / "election"
    shutil.copytree(ELECTION, folder)
    for change in case.changes:
        apply(change, folder)
    expected = (case.code, case.file, case.line, case.column)
    for verdict in (
        judged(lambda: load_with_core(folder, case.judged)),
        judged(lambda: load_with_wire(folder, case.judged)),
    ):
        assert (verdict.code, verdict.file, verdict.line, verdict.column) == expected


def test_the_election_has_the_published_hashes() -> None:
    mine, mine_roster = core_election()
    theirs, theirs_roster = wire_election()
    information = _core.Information.load(ELECTION / "information", mine)
    hashes_of = {"definition": mine.hash, "roster": mine_roster.hash, "information": information.hash}
    assert {name: value.hex() for name, value in hashes_of.items()} == MANIFESTS.sha256
    assert STATEMENTS.definition == MANIFESTS.sha256["definition"] == theirs.sha256.hex()
    assert theirs_roster.sha256.hex() == MANIFESTS.sha256["roster"]
    published = {key.public_key for key in STATEMENTS.keys}
    assert {device.key.hex() for device in mine_roster.devices()} | {
        key.hex() for key in mine.commission_keys
    } == published
