"""Reading the feed: every member of another form is refused with its place, and notes are checked."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.feed import layout, models, objects, reading
from gateway.publish.protocol import Draft
from tests.unit.feed_helpers import NIGHT, Publisher, decided, night, publisher, tally_of

Json: TypeAlias = "int | str | list[Json] | dict[str, Json] | None"


@pytest.fixture
def published(tmp_path: Path) -> Publisher:
    publisher_ = publisher(tmp_path, NIGHT)
    publisher_.publish(12)
    publisher_.publish()
    return publisher_


def members(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of every member and element below a value."""
    items: list[tuple[str | int, Json]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, inner in items:
        yield (*path, key)
        yield from members(inner, (*path, key))


def replaced(value: Json, path: tuple[str | int, ...], new: Json) -> bytes:
    value = copy.deepcopy(value)
    place: Json = value
    for key in path[:-1]:
        place = inner(place, key)
    if isinstance(place, dict):
        place[str(path[-1])] = new
    elif isinstance(place, list):
        place[int(path[-1])] = new
    return canonical(value)


def canonical(value: object) -> bytes:
    """Of values with keys and strings of ASCII, for which this is RFC 8785."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def inner(value: Json, key: str | int) -> Json:
    if isinstance(value, dict):
        return value[str(key)]
    assert isinstance(value, list)
    return value[int(key)]


READERS: dict[str, Callable[[bytes, str], msgspec.Struct]] = {
    "latest": reading.read_latest,
    "areas": reading.read_area,
    "stations": reading.read_station,
    "decisions": reading.read_decisions,
}


def refused(data: bytes, kind: str) -> TallygateError:
    with pytest.raises(TallygateError) as caught:
        READERS[kind](data, "the file")
    assert caught.value.code == "feed.malformed"
    assert caught.value.place.startswith("the file")
    return caught.value


def files(published: Publisher) -> dict[str, bytes]:
    """The newest file of each kind with something in it."""
    station = next(
        data for path, data in reversed(published.files.items()) if path.startswith("stations/0/10-")
    )
    areas = [data for path, data in published.files.items() if path.startswith("areas/2/")]
    listing = [data for path, data in published.files.items() if path.startswith("decisions/")]
    return {
        "latest": published.drafts[-1].latest,
        "stations": station,
        "areas": areas[-1],
        "decisions": listing[-1],
    }


def test_every_file_of_a_night_is_read(published: Publisher) -> None:
    latest = reading.read_latest(published.drafts[-1].latest)
    assert latest == published.drafts[-1].snapshot
    assert tally_of(latest).area == 1
    assert reading.root_hash(latest) == published.builder.tree.root()
    for path, data in published.files.items():
        assert msgspec.json.encode(READERS[path.partition("/")[0]](data, path)) == data


@pytest.mark.parametrize("kind", READERS)
def test_no_member_may_be_of_another_type(published: Publisher, kind: str) -> None:
    data = files(published)[kind]
    value: Json = json.loads(data)
    for path in members(value):
        wrong = replaced(value, path, {"unknown": 1})
        error = refused(wrong, kind)
        assert str(path[0]) in error.place, (path, error)
        negative = wrong.replace(b'{"unknown":1}', b"-1")
        refused(negative, kind)


@pytest.mark.parametrize("kind", READERS)
def test_members_are_all_there_and_no_others(published: Publisher, kind: str) -> None:
    value: Json = json.loads(files(published)[kind])
    assert isinstance(value, dict)
    for name in value:
        refused(canonical({key: one for key, one in value.items() if key != name}), kind)
    refused(canonical({**value, "more": 1}), kind)


@pytest.mark.parametrize("kind", READERS)
def test_only_canonical_bytes_are_read(published: Publisher, kind: str) -> None:
    data = files(published)[kind]
    value = json.loads(data)
    for wrong in (
        b"",
        data[:-1],
        data + b"\n",
        data.replace(b":", b": ", 1),
        json.dumps(dict(reversed(value.items())), separators=(",", ":")).encode(),
        data[:-1] + b',"format":' + json.dumps(value["format"]).encode() + b"}",
        b"[" * 100_000,
        b"\xff" + data,
    ):
        refused(wrong, kind)


@pytest.mark.parametrize(
    ("path", "wrong", "place"),
    [
        (("format",), "tallygate-snapshot/2", "format"),
        (("definition",), "AB" * 32, "definition"),
        (("definition",), "ab" * 32 + "\n", "definition"),
        (("published_at",), "2021-11-28T14:00:00Z", "published_at"),
        (("log", "root"), "AAAA", "log.root"),
        (("log", "size"), -1, "log.size"),
        (("log", "origin"), "Log.example", "log.origin"),
        (("status", "machine"), "final", "status.machine"),
        (("snapshot",), 0, "snapshot"),
        (("snapshot",), 1, "previous"),
        (("previous",), None, "previous"),
        (("root", "area"), 2, "tally.area"),
        (("root", "sha256"), "ab" * 32, "root.sha256"),
        (("tally", "opened"), 99, "root.sha256"),
        (("embargo_until",), "2021-11-28T14:00:00.000Z", "children"),
        (("headline",), "paper", "headline"),
        (("mode",), "test", "mode"),
        (("results", 0, "source"), 3, "results[0].source"),
        (("paused",), {"by": "nobody", "reason": [], "since": ""}, "paused.by"),
    ],
)
def test_a_wrong_value_is_named(
    published: Publisher, path: tuple[str | int, ...], wrong: Json, place: str
) -> None:
    value: Json = json.loads(published.drafts[-1].latest)
    if wrong == -1:
        data = published.drafts[-1].latest.replace(b'"size":20', b'"size":-1')
    else:
        data = replaced(value, path, wrong)
    assert refused(data, "latest").place == f"the file:{place}"


def test_the_first_snapshot_is_never_paused(tmp_path: Path) -> None:
    draft = publisher(tmp_path, NIGHT).publish(4)
    since = "2021-11-28T14:00:00.000Z"
    value: Json = json.loads(draft.latest)
    data = replaced(value, ("paused",), {"by": "gate", "reason": [["en", "x"]], "since": since})
    assert refused(data, "latest").place == "the file:paused"


def test_a_latest_of_any_size_is_not_read() -> None:
    assert "more than" in refused(b" " * (layout.MAX_LATEST + 1), "latest").detail


def snapshot_vkey(draft: Draft, seed: bytes) -> str:
    return _core.vkey(reading.note_name(draft.snapshot.log.origin), _core.public_key(seed))


def test_a_note_signs_its_snapshot_and_no_other(published: Publisher) -> None:
    first, second = published.drafts
    vkey = snapshot_vkey(first, published.snapshot_seed)
    for draft in (first, second):
        reading.check_note(draft.note, draft.snapshot, draft.latest, vkey, "the note")
    text = _core.open_note(second.note, vkey).splitlines()
    assert text[:3] == ["tallygate-snapshot/1", "log.example", "2"]
    assert text[3:] == [second.sha256.hex(), first.sha256.hex(), "20", second.snapshot.log.root]
    assert _core.open_note(first.note, vkey).splitlines()[4] == "-"

    wrong = [
        (first.note, second, vkey),
        (second.note.replace(b"\n20\n", b"\n21\n"), second, vkey),
        (second.note, second, snapshot_vkey(first, b"\x09" * 32)),
        (b"", second, vkey),
    ]
    for note, draft, key in wrong:
        with pytest.raises(TallygateError) as caught:
            reading.check_note(note, draft.snapshot, draft.latest, key, "the note")
        assert (caught.value.code, caught.value.place) == ("feed.note", "the note")


def test_members_of_the_models_stand_in_canonical_order() -> None:
    for module in (models, objects):
        for form in vars(module).values():
            if isinstance(form, type) and issubclass(form, msgspec.Struct):
                config = form.__struct_config__
                names = list(form.__struct_fields__)
                assert config.array_like or names == sorted(names), form
                assert config.forbid_unknown_fields or form is msgspec.Struct, form


def test_words_in_any_letters_are_read(tmp_path: Path) -> None:
    published = publisher(tmp_path, night(decided(8, 1, 3)))
    listing = reading.read_decisions(published.publish().files[-1].data, "decisions")
    text = "".join(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x250), 0x2028, 0x10FFFF, 0x1F5F3]))
    shouted = msgspec.structs.replace(
        listing,
        decisions=tuple(msgspec.structs.replace(one, reason=(("ky", text),)) for one in listing.decisions),
    )
    data = _core.canonical_json(msgspec.to_builtins(shouted))
    assert reading.read_decisions(data, "decisions") == shouted
