"""JSON Schemas of every JSON file of a feed (2020-12), made from the models that read and write them.

What lives here: `schemas`, by name; the manifests, which the Rust core reads, and a line of results.ndjson,
which is written without a model, have one here. A schema says what form a file has; what its figures must be,
docs/tally.md and docs/feed.md say.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gateway.feed.models import Changes, Decisions, Latest, SourceWord
from gateway.feed.objects import Area, Flag, Hash, Named, Number, Row, Station

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json] | None"

_Texts: TypeAlias = dict[str, str]
# Tolerances and percentages below 2^53.
_Key: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table beside its manifest; `size` in bytes."""

    rows: Number
    sha256: Hash
    size: Number


class _Commission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who decides: public keys, and how many of them it takes."""

    keys: Annotated[tuple[_Key, ...], Meta(min_length=1)]
    quorum: Named


class _Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Switches and tolerances of the tally."""

    h104: Literal["hard", "soft", "off"]
    h104_tolerance: Number
    required: tuple[Named, ...]
    required_voters: tuple[Named, ...]
    s201_tolerance: Number
    s202_percent: Number
    s203_high: Number
    s203_low: Number
    s204_minutes: Number
    s210_tolerance: Number


class _DefinitionTables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    areas: _Table
    checks: _Table
    choices: _Table
    contests: _Table
    figures: _Table
    stations: _Table


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """election.json; times in ms since the Unix epoch."""

    closes_at: Number
    commission: _Commission
    format: Literal["tallygate-definition/1"]
    headline: SourceWord
    id: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,39}\Z")]
    languages: Annotated[tuple[str, ...], Meta(min_length=1)]
    mode: Literal["live", "rehearsal"]
    opens_at: Number
    publish_at: Number | None
    rules: _Rules
    tables: _DefinitionTables
    timezone: str
    title: _Texts


class _RosterTables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    couriers: _Table
    devices: _Table
    firmware: _Table


class Roster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """roster.json."""

    definition: Hash
    format: Literal["tallygate-roster/1"]
    tables: _RosterTables


class _Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    contact: str
    notice: str
    voter_check_url: str


class _Medium(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A picture or a document; `size` in bytes."""

    sha256: Hash
    size: Number
    type: str


class Information(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """information.json: what is only shown."""

    definition: Hash
    format: Literal["tallygate-information/1"]
    media: dict[str, _Medium]
    site: _Site
    tables: _DefinitionTables


class StationLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of results.ndjson; `areas` from the root, `tally` the station's object."""

    areas: Annotated[tuple[Named, ...], Meta(min_length=1)]
    cancelled: Flag
    contests: tuple[Named, ...]
    definition: Hash
    label: str
    name: str
    opened: Flag
    registered: Number | None
    snapshot: Named
    station: Named
    tally: Station | None
    type: Literal["ordinary", "special", "abroad", "mobile"]


class Messages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """messages.json: sentences by code, words by group and word, each by its language."""

    codes: dict[str, _Texts]
    format: Literal["tallygate-messages/1"]
    words: dict[str, dict[str, _Texts]]


# Name of the schema: title and model.
_MODELS: Final[Mapping[str, tuple[str, object]]] = {
    "snapshot": ("latest.json, snapshots/<n>.json", Latest),
    "changes": ("snapshots/<n>.changes.json", Changes),
    "area": ("areas/<number>/<sha256>.json", Area[Row]),
    "station": ("stations/<folder>/<number>-<version>.json", Station),
    "decisions": ("decisions/<sha256>.json", Decisions),
    "election": ("definition/<sha256>/election.json", Definition),
    "roster": ("roster/<sha256>/roster.json", Roster),
    "information": ("information/<sha256>/information.json", Information),
    "messages": ("messages.json", Messages),
    "results-line": ("a line of exports/<n>/results.ndjson", StationLine),
}


def schemas() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each."""
    for name, (title, model) in _MODELS.items():
        made = msgspec.json.schema(model)
        whole: dict[str, Json] = {"$schema": DIALECT, "title": title, **_portable(made)}
        yield name, msgspec.json.encode(whole, order="sorted") + b"\n"


def _portable(schema: dict[str, Json]) -> dict[str, Json]:
    """The schema with patterns as ECMA 262 has them, and without names of Python in the titles."""
    found: dict[str, Json] = {}
    for name, value in schema.items():
        if name == "pattern" and isinstance(value, str):
            found[name] = value.replace(r"\A", "^").replace(r"\Z", "$").replace(r"\-", "-")
        elif name == "description" and isinstance(value, str):
            found[name] = inspect.cleandoc(value)
        elif name == "title" and isinstance(value, str):
            found[name] = value.lstrip("_")
        else:
            found[name] = _portable_value(value)
    return found


def _portable_value(value: Json) -> Json:
    if isinstance(value, dict):
        return _portable(value)
    if isinstance(value, list):
        return [_portable_value(one) for one in value]
    return value
