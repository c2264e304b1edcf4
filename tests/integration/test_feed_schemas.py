"""Every JSON file of a real night's feed fits its published schema; what is changed does not."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import jsonschema
import pytest
import trio

from gateway.feed.schemas import DIALECT
from gateway.publish.loop import APART_SECONDS
from tests.integration.publish_night import Life, Publication, live
from tests.integration.test_exports import exporting, look

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"

# Which schema a file has (docs/feed.md, "Schemas").
KINDS: Final = (
    (r"latest\.json|snapshots/\d+\.json", "snapshot"),
    (r"snapshots/\d+\.changes\.json", "changes"),
    (r"areas/.+", "area"),
    (r"stations/.+", "station"),
    (r"decisions/.+", "decisions"),
    (r"definition/.+\.json", "election"),
    (r"roster/.+\.json", "roster"),
    (r"information/.+\.json", "information"),
    (r"messages\.json", "messages"),
    (r"exports/\d+/results\.ndjson", "results-line"),
)
# JSON of others: NIST publishes its own schema; a schema is one of JSON Schema's.
_OTHERS: Final = r"exports/\d+/nist-cdf\.json|schemas/.+\.schema\.json"


@pytest.fixture(scope="module")
def publication(tmp_path_factory: pytest.TempPathFactory) -> Publication:
    """A night with packets, decisions, a pause and exports."""
    publication = Publication(tmp_path_factory.mktemp("night"))

    async def test(life: Life) -> None:
        async with life.serving(), exporting(life):
            await life.snapshot(1)
            life.add(3)
            life.decide((4, 8, 0))
            life.decide((11, 8, 1_800_043_200_000))
            await life.pass_time(APART_SECONDS)
            await life.snapshot(2)
            life.decide((6,))
            await life.pass_time(APART_SECONDS)
            await life.snapshot(3)
            await look(life)
            await life.until(lambda: "export.made" in publication.events)
            await trio.lowlevel.checkpoint()

    live(publication, test)
    return publication


def schema(publication: Publication, name: str) -> jsonschema.Draft202012Validator:
    found = json.loads((publication.feed / "schemas" / f"{name}.schema.json").read_bytes())
    assert found["$schema"] == DIALECT
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def values(publication: Publication) -> Iterator[tuple[str, str, Json]]:
    """Path, schema and value of everything in JSON."""
    for path, data in publication.files().items():
        if not path.endswith(("json", "ndjson")) or re.fullmatch(_OTHERS, path):
            continue
        kinds = [kind for pattern, kind in KINDS if re.fullmatch(pattern, path)]
        assert len(kinds) == 1, path
        for line in data.splitlines() if path.endswith(".ndjson") else [data]:
            yield path, kinds[0], json.loads(line)


def test_every_file_fits(publication: Publication) -> None:
    seen: set[str] = set()
    for path, kind, value in values(publication):
        errors = list(schema(publication, kind).iter_errors(value))
        assert not errors, (path, errors[0].json_path, errors[0].message)
        seen.add(kind)
    assert seen == {kind for _, kind in KINDS}
    published = {path.name.removesuffix(".schema.json") for path in (publication.feed / "schemas").iterdir()}
    assert published == seen


def spoiled(value: dict[str, Json]) -> Iterator[tuple[str, dict[str, Json]]]:
    """The value with one thing wrong, again and again."""
    yield "more", {**value, "more": 1}
    for name, inner in value.items():
        yield f"without {name}", {other: one for other, one in value.items() if other != name}
        if isinstance(inner, bool | str) or inner is None:
            wrong: Json = [inner]
        elif isinstance(inner, int):
            wrong = -1
        else:
            wrong = "text"
        yield f"another {name}", {**value, name: wrong}


def test_what_is_changed_does_not(publication: Publication) -> None:
    seen: set[str] = set()
    for _, kind, value in values(publication):
        if kind in seen:
            continue
        assert isinstance(value, dict)
        seen.add(kind)
        validator = schema(publication, kind)
        for what, wrong in spoiled(copy.deepcopy(value)):
            assert not validator.is_valid(wrong), (kind, what)


def test_a_wrong_hash_or_time_deep_within(publication: Publication) -> None:
    latest = json.loads((publication.feed / "latest.json").read_bytes())
    validator = schema(publication, "snapshot")
    assert validator.is_valid(latest)
    for path, wrong in (
        (("root", "sha256"), "AB" * 32),
        (("published_at",), "2027-01-15 20:00:00"),
        (("log", "size"), 2**53),
        (("status", "machine"), "final"),
        (("paused", "by"), "somebody"),
        (("tally", "rows"), [[1]]),
    ):
        value = copy.deepcopy(latest)
        inner = value
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = wrong
        assert not validator.is_valid(value), path


def test_patterns_are_everybodys(publication: Publication) -> None:
    r"""ECMA 262 knows neither \A nor \Z."""
    for path in (publication.feed / "schemas").iterdir():
        for pattern in re.findall(r'"pattern":"((?:[^"\\]|\\.)*)"', path.read_text()):
            assert pattern.startswith("^")
            assert pattern.endswith("$")
            assert "\\\\A" not in pattern
            assert "\\\\Z" not in pattern


def test_schemas_are_the_softwares(publication: Publication, tmp_path: Path) -> None:
    """Another version's are replaced at the start."""
    other = publication.feed / "schemas" / "area.schema.json"
    right = other.read_bytes()
    other.write_bytes(b"{}")

    async def nothing(life: Life) -> None:
        await life.settle()

    live(publication, nothing)
    assert other.read_bytes() == right
