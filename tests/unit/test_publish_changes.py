"""What a snapshot has changed, from its draft: all of it, none of it under an embargo, and not too much."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gateway.feed.models import Latest
from gateway.publish.changes import MOST_STATIONS, changes_of
from gateway.publish.protocol import Draft, FeedFile
from tests.unit.feed_helpers import NIGHT, publisher


@pytest.fixture(scope="module")
def drafts(tmp_path_factory: pytest.TempPathFactory) -> list[Draft]:
    """Snapshots of a written log, some entries at a time."""
    night = publisher(tmp_path_factory.mktemp("night"), NIGHT)
    return [night.publish(size) for size in (4, 9, len(night.log))]


def read(draft: Draft, before: Latest | None) -> dict[str, object]:
    data = changes_of(draft, before)
    assert data is not None
    found: dict[str, object] = json.loads(data)
    return found


def test_the_files_of_a_snapshot(drafts: list[Draft]) -> None:
    before: Latest | None = None
    for draft in drafts:
        found = read(draft, before)
        assert found["entries"] == [0 if before is None else before.log.size, draft.size]
        assert (found["snapshot"], found["definition"]) == (draft.number, draft.snapshot.definition)
        paths = {Path(file.path).parts[0] for file in draft.files} - {"decisions"}
        assert paths <= {"areas", "stations"}
        areas, stations = found["areas"], found["stations"]
        assert isinstance(areas, list)
        assert isinstance(stations, list)
        assert (len(areas), len(stations)) == (draft.areas, draft.stations)
        assert areas == sorted(areas)
        assert stations == sorted(stations)
        for station, version in stations:
            assert any(file.path.endswith(f"/{station}-{version}.json") for file in draft.files)
        before = draft.snapshot


def with_embargo(latest: Latest) -> Latest:
    return msgspec.structs.replace(latest, embargo_until="2031-01-01T00:00:00.000Z")


def test_none_under_an_embargo(drafts: list[Draft]) -> None:
    hidden = replace(drafts[1], snapshot=with_embargo(drafts[1].snapshot))
    assert changes_of(hidden, drafts[0].snapshot) is None


def test_behind_an_embargo_anything_may_have_changed(drafts: list[Draft]) -> None:
    found = read(drafts[1], with_embargo(drafts[0].snapshot))
    assert (found["areas"], found["stations"]) == (None, None)


def test_not_more_than_a_reader_wants(drafts: list[Draft]) -> None:
    for count, listed in ((MOST_STATIONS, True), (MOST_STATIONS + 1, False)):
        files = [
            FeedFile(f"stations/{number // 1000}/{number}-7.json", b"") for number in range(1, count + 1)
        ]
        found = read(replace(drafts[1], files=files), drafts[0].snapshot)
        assert (found["stations"] is not None) is listed
        assert found["areas"] == []
