"""The gateway's exports beside the observer's, which follow docs/exports.md: byte for byte, for any log."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings

from clients.observer.export_tables import Said, Tables
from clients.observer.tally import Tally
from clients.observer.verify import verify
from clients.wire import statement
from clients.wire.definition import Definition
from clients.wire.roster import Roster
from gateway.feed import layout
from gateway.ledger.protocol import Entry
from gateway.publish.exports.arrivals import Arrivals
from gateway.publish.exports.make import Job, make
from gateway.publish.protocol import Draft
from tests.feed_writer import FeedWriter
from tests.unit import tally_logs
from tests.unit.export_feed import put_exports
from tests.unit.feed_helpers import NIGHT, Publisher, publisher
from tests.unit.tally_logs import Log
from tests.unit.test_exports import NIST_SCHEMA
from tests.unit.test_observer_two_publishers import decided, disputed, long, quiet


def write(night: Publisher, root: Path) -> Draft | None:
    """The feed of one snapshot of the whole log; without information, which it names and nobody has.

    None: nothing is published of a log that is not open, or paused before the first snapshot.
    """
    night.take(len(night.log))
    draft = night.draft()
    if draft is None:
        return None
    feed = root / "feed"
    files = {file.path: file.data for file in draft.files}
    files[layout.snapshot(draft.number)] = draft.latest.replace(
        b'"information":"%b"' % (b"1f" * 32), b'"information":null'
    )
    for path, data in files.items():
        (feed / path).parent.mkdir(parents=True, exist_ok=True)
        (feed / path).write_bytes(data)
    shutil.copytree(root / "definition", feed / layout.definition(night.definition.hash))
    return draft


def exported(root: Path, draft: Draft) -> Path:
    folder = root / "exports"
    folder.mkdir()
    arrivals = Arrivals(root)
    arrivals.note([Entry(index, b"-", index, "box:1") for index in range(draft.size)])
    made = make(Job(str(root / "feed"), draft.number, str(folder), arrivals.descriptor, 0))
    arrivals.close()
    assert {file.name for file in made.files} == {path.name for path in folder.iterdir()}
    return folder


def tables(root: Path, log: Sequence[bytes], draft: Draft) -> Tables:
    """The observer's, of the same log."""
    definition = Definition.load(root / "definition")
    rosters = [Roster.load(root / name, definition) for name in tally_logs.ROSTERS]
    tally = Tally(definition, rosters[0], rosters[1:], [tally_logs.UNUSABLE])
    for data in log:
        tally.apply(statement.decode(data))
    status = draft.snapshot.status
    words = {"machine": status.machine, "protocol": status.protocol}
    return Tables(definition, tally, Said(draft.number, draft.snapshot.published_at, words))


def same(found: bytes, expected: Iterator[bytes]) -> None:
    assert found == b"".join(expected)


def compare(root: Path, log: Log) -> Path | None:
    night = publisher(root, log)
    draft = write(night, root)
    if draft is None:
        return None
    folder = exported(root, draft)
    own = tables(root, night.log, draft)
    same((folder / "results.csv").read_bytes(), own.results())
    same((folder / "results.ndjson").read_bytes(), own.stations())
    lines = (folder / "turnout.csv").read_bytes().splitlines()
    assert [line.rpartition(b",")[0] for line in lines] == list(own.turnout())
    return folder


def test_a_written_night(tmp_path: Path) -> None:
    """Counted, disputed, held and silent stations, paper beside machines."""
    folder = compare(tmp_path, NIGHT)
    assert folder is not None
    text = (folder / "results.csv").read_text()
    for state in ("reported", "disputed", "held", "silent", "protocol"):
        assert f",{state}," in text


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tally_logs.logs())
def test_any_night(log: Log) -> None:
    with TemporaryDirectory() as scratch:
        folder = compare(Path(scratch), log)
        assume(folder is not None)
        if folder is not None and NIST_SCHEMA.exists():
            validator = jsonschema.Draft4Validator(_json(NIST_SCHEMA))
            validator.validate(_json(folder / "nist-cdf.json"))


def _json(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_bytes())
    return found


@pytest.mark.parametrize("night", [quiet, disputed, decided, long])
def test_the_observer_agrees(night: Callable[[FeedWriter, Callable[[], None]], None], tmp_path: Path) -> None:
    """NIST's counts with the rest, of every snapshot."""
    writer = FeedWriter(tmp_path / "written")
    writer.publish()
    night(writer, writer.publish)
    writer.publish()
    for number in range(1, writer.number + 1):
        put_exports(writer, number)
    verdict = verify(writer.feed, processes=0)
    assert verdict.agrees is True, (verdict.difference, verdict.trouble)
