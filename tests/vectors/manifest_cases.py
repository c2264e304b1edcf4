"""Manifests that readers refuse: election.json, roster.json and information.json, member by member."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from tests.vectors.changes import FOLDERS, Case, Change, manifest_path, removed, replaced
from tests.vectors.ed25519 import NO_POINT, ORDER_8, mixed
from tests.vectors.election import (
    CLOSES_AT,
    DEFINITION,
    DEFINITION_HASH,
    INFORMATION,
    MANIFESTS,
    MEMBERS,
    OPENS_AT,
    PHOTO,
    PHOTO_ENTRY,
    PHOTO_NAME,
    canonical_json,
    table_entry,
)
from tests.vectors.encoding import Key, sha256
from tests.vectors.render import Json

_MALFORMED = "manifest.malformed"


def _refused(folder: str, name: str, why: str, *changes: Change, code: str = _MALFORMED) -> Case:
    file = MANIFESTS[folder]
    return Case(f"{file}: {name}", why, folder, changes, code, file)


def _changed(folder: str, name: str, why: str, old: str, new: str) -> Case:
    return _refused(folder, name, why, replaced(manifest_path(folder), old, new))


def _text(value: Json) -> str:
    return canonical_json(value).decode()


def _missing(folder: str, path: str, members: Mapping[str, Json]) -> Iterator[Case]:
    """An object without one of its members, for each of them."""
    whole = _text(members)
    for name, value in members.items():
        part = f"{_text(name)}:{_text(value)}"
        # A comma stands behind the member, or before it where it is the last.
        old = f"{part}," if f"{part}," in whole else f",{part}"
        yield _changed(folder, f"no {path}{name}", "every member is there", old, "")


# By member: its canonical text in the tiny election, and others that are refused.
_Values: TypeAlias = Sequence[tuple[str, str, tuple[str, ...]]]

_HASH = _text(DEFINITION_HASH.hex())

_DEFINITION_VALUES: _Values = (
    ("format", '"tallygate-definition/1"', ('"tallygate-definition/2"', '"tallygate-roster/1"', "1")),
    ("id", '"vectors-rehearsal"', ('""', '"Vectors"', '"-a"', '"a_b"', f'"{"a" * 41}"', "1")),
    (
        "title",
        _text(DEFINITION.members["title"]),
        ("{}", '{"de":"Wahl"}', '{"en":""}', '{"en":"\\u0007"}', '{"en":1}', '"a"', "[]"),
    ),
    ("mode", '"rehearsal"', ('"test"', '""', "null")),
    ("timezone", '"Asia/Bishkek"', ('""', '"Asia//Bishkek"', '"UTC+06:00"', "6")),
    ("opens_at", str(OPENS_AT), ('"2031-05-03"', "null")),
    ("closes_at", str(CLOSES_AT), ('"2031-05-03"', "null")),
    ("publish_at", "null", ('"never"', "[]")),
    ("languages", '["ky","ru","en"]', ("[]", '["ky","ky"]', '["de"]', '"ky"', "[1]")),
    ("headline", '"machine"', ('"both"',)),
    ("commission", _text(DEFINITION.members["commission"]), ("[]",)),
    ("quorum", "2", ("0", "4", '"2"')),
    ("required", "[9,11,13,100]", ("[0]", "9", '["in_box"]')),
    ("required_voters", "[1]", ("[0]", "null")),
    ("h104", '"soft"', ('"maybe"', "1")),
    ("h104_tolerance", "1", ("1000001", "null")),
    ("s201_tolerance", "2", ("1000001", '"2"')),
    ("s202_percent", "10", ("101", "null")),
    ("s203_low", "5", ("101", "null")),
    ("s203_high", "95", ("101", "null")),
    ("s204_minutes", "720", ('"720"', "null")),
    ("s210_tolerance", "3", ("1000001", "null")),
)
_ROSTER_VALUES: _Values = (
    ("format", '"tallygate-roster/1"', ('"tallygate-definition/1"',)),
    ("definition", _HASH, (_HASH.upper(), '""', "null")),
)
_INFORMATION_VALUES: _Values = (
    ("format", '"tallygate-information/1"', ('"tallygate-information/2"',)),
    ("definition", _HASH, (f'{_HASH[:63]}"', "null")),
    ("site", _text(INFORMATION.members["site"]), ("{}", "[]", "null")),
    ("contact", '"hotline@toolia.example"', ("null", "1", '"\\n"')),
    ("notice", '""', ("null",)),
    ("voter_check_url", '""', ("[]",)),
    ("media", _text(INFORMATION.members["media"]), ("[]", "null")),
    ("type", '"image/png"', ('""', '"image/gif"', '"text/html"', "1")),
    ("size", str(len(PHOTO)), ('"67"', "null")),
)


def _single_values() -> Iterator[Case]:
    """Another value of one member."""
    for folder, values in (
        ("definition", _DEFINITION_VALUES),
        ("roster", _ROSTER_VALUES),
        ("information", _INFORMATION_VALUES),
    ):
        for name, value, others in values:
            for other in others:
                shown = other if len(other) < 60 else f"{other[:12]}… ({len(other)} letters)"
                old, new = f'"{name}":{value}', f'"{name}":{other}'
                yield _changed(folder, f"{name}: {shown}", "another value", old, new)


def _commission_keys() -> Iterator[Case]:
    keys = [key.public.hex() for key in MEMBERS]
    first, *others = keys
    mixed_order = mixed(MEMBERS[0].public).hex()
    cases: tuple[tuple[str, str, Json], ...] = (
        ("none", "1 to 64", []),
        ("65", "1 to 64", [Key(f"one of 65 members: {place}").public.hex() for place in range(65)]),
        ("one twice", "each member has its own", [*keys, first]),
        ("one in upper case", "lower-case hex", [first.upper(), *others]),
        ("one of 62 digits", "64", [first[:62], *others]),
        ("one that is a number", "a text", [1, *others]),
        ("no list", "a list", first),
        ("no point", "y = 2 belongs to no x", [NO_POINT.hex(), *others]),
        ("a point of order 8", "a small order", [ORDER_8.hex(), *others]),
        ("a point of mixed order", "a good key and a point of order 8", [mixed_order, *others]),
    )
    for name, why, value in cases:
        old, new = f'"keys":{_text(keys)}', f'"keys":{_text(value)}'
        yield _changed("definition", f"commission.keys: {name}", why, old, new)


def _media_names() -> Iterator[Case]:
    for name in ("", ".", "..", "../a.png", "a/b.png", "a b.png", "э.png"):
        old, new = f'"{PHOTO_NAME}":', f'"{name}":'
        yield _changed("information", f'media: "{name}"', "a-z, A-Z, 0-9, '.', '-' and '_'", old, new)


def _members() -> Iterator[Case]:
    """Files and objects as a whole: what is missing, what is too many."""
    for folder, built in FOLDERS.items():
        path = manifest_path(folder)
        yield _refused(folder, "missing", "no such file", removed(path), code="manifest.missing")
        yield _refused(folder, "empty", "no JSON", {"file": path, "content": ""})
        yield _refused(folder, "an array", "a manifest is an object", {"file": path, "content": "[]"})
        entries = {name: table_entry(data) for name, data in built.tables().items()}
        yield from _missing(folder, "", {**built.members, "tables": entries})
        yield from _missing(folder, "tables.", entries)
        for name, opening in (("", '"format":'), ("tables.", f'"{min(entries)}":{{')):
            why, more = "no other member", f'"a":{_text(entries[min(entries)])},'
            yield _changed(folder, f"{name}a", why, opening, more + opening)
    for folder, member, value in (
        ("definition", "commission", DEFINITION.members["commission"]),
        ("definition", "rules", DEFINITION.members["rules"]),
        ("information", "site", INFORMATION.members["site"]),
    ):
        assert isinstance(value, Mapping)
        yield from _missing(folder, f"{member}.", value)
        opening = f'"{member}":{{'
        yield _changed(folder, f"{member}.a", "no other member", opening, f'{opening}"a":1,')
    yield from _missing("information", "media's ", PHOTO_ENTRY)
    opening = f'"{PHOTO_NAME}":{{'
    yield _changed("information", "media's a", "no other member", opening, f'{opening}"a":1,')


def _entries() -> Iterator[Case]:
    """What a manifest says of a table."""
    entry = table_entry(FOLDERS["definition"].tables()["areas"])
    sha256_hex = entry["sha256"]
    assert isinstance(sha256_hex, str)
    for name, value in (
        *((f"no {member}", {other: entry[other] for other in entry if other != member}) for member in entry),
        ("a", {**entry, "a": 1}),
        ("rows: a text", {**entry, "rows": "3"}),
        ("size: a text", {**entry, "size": "162"}),
        ("sha256: upper case", {**entry, "sha256": sha256_hex.upper()}),
        ("sha256: 62 digits", {**entry, "sha256": sha256_hex[:62]}),
    ):
        old, new = (f'"areas":{_text(text)}' for text in (entry, value))
        yield _changed("definition", f"tables.areas {name}", "rows, sha256, size", old, new)


def _spellings() -> Iterator[Case]:
    """The same election in JSON that is not canonical."""
    for name, old, new in (
        ("a space", '{"closes_at"', '{ "closes_at"'),
        ("a space behind a colon", '"headline":"machine"', '"headline": "machine"'),
        ("a line feed at the end", 'шайлоо"}}', 'шайлоо"}}\n'),
        ("a byte order mark", '{"closes_at"', '\ufeff{"closes_at"'),
        (
            "two members exchanged",
            '"headline":"machine","id":"vectors-rehearsal"',
            '"id":"vectors-rehearsal","headline":"machine"',
        ),
        ("a member twice", '"headline":"machine"', '"headline":"machine","headline":"machine"'),
        ("a letter escaped", "An invented", "\\u0041n invented"),
        ("a slash escaped", "tallygate-definition/1", "tallygate-definition\\/1"),
        ("half a surrogate pair", "An invented", "\\ud800n invented"),
        ("a whole number with a point", '"h104_tolerance":1,', '"h104_tolerance":1.0,'),
        ("an exponent", '"h104_tolerance":1,', '"h104_tolerance":1e0,'),
        ("a leading zero", '"h104_tolerance":1,', '"h104_tolerance":01,'),
        ("minus zero", '"h104_tolerance":1,', '"h104_tolerance":-0,'),
        ("true", '"h104_tolerance":1,', '"h104_tolerance":true,'),
        ("a negative time", f'"opens_at":{OPENS_AT}', '"opens_at":-1'),
        ("2^53", f'"opens_at":{OPENS_AT}', '"opens_at":9007199254740992'),
        ("a comma too many", '"quorum":2}', '"quorum":2,}'),
        ("an end too early", 'шайлоо"}}', 'шайлоо"}'),
    ):
        yield _changed("definition", f"spelling: {name}", "RFC 8785", old, new)
    good = FOLDERS["definition"].manifest()
    data = good.replace("шайлоо".encode(), "шайлоо".encode("cp1251"))
    change: Change = {"file": "definition/election.json", "content_hex": data.hex()}
    yield _refused("definition", "spelling: Windows-1251", "UTF-8", change)


def _definitions() -> Iterator[Case]:
    """Rosters and informations of another election."""
    ours, other = DEFINITION_HASH.hex(), sha256(b"tallygate vectors: another election.json").hex()
    for folder in ("roster", "information"):
        path = manifest_path(folder)
        named = replaced(path, ours, other)
        code = "manifest.definition"
        yield _refused(folder, "another definition", "its hash is another", named, code=code)
        table = removed(f"{folder}/{min(FOLDERS[folder].rows)}.csv")
        why = "the manifest is judged before any table"
        yield _refused(folder, "another definition, and a table missing", why, named, table, code=code)
        more = replaced(path, f'{ours}","format":', f'{other}","extra":1,"format":')
        why = "the form is judged before the hash"
        yield _refused(folder, "another definition, and a member too many", why, more)


def _accepted() -> Iterator[Case]:
    keys = [key.public.hex() for key in MEMBERS]
    for folder, name, why, old, new in (
        ("definition", "an embargo", "publish_at is null or a time", '"publish_at":null', '"publish_at":0'),
        ("definition", "all languages", "in any order", '["ky","ru","en"]', '["en","kk","ky","ru"]'),
        ("definition", "one language of the title", "at least one", '"en":"An invented election",', ""),
        (
            "definition",
            "one key",
            "a quorum of one",
            f'{_text(keys)},"quorum":2',
            f'{_text(keys[:1])},"quorum":1',
        ),
        ("definition", "an id of 40 letters", "the longest", '"vectors-rehearsal"', f'"{"9" * 40}"'),
        ("definition", "nothing required", "lists of codes may be empty", "[9,11,13,100]", "[]"),
        ("definition", "rules at their bounds", "100 percent", '"s203_high":95', '"s203_high":100'),
        ("information", "a PDF", "pictures and PDF documents", '"image/png"', '"application/pdf"'),
        ("information", "a notice", "any text", '"notice":""', '"notice":"Test \u2028 \u007e"'),
    ):
        changes = (replaced(manifest_path(folder), old, new),)
        yield Case(f"{MANIFESTS[folder]}: {name}", why, folder, changes, None)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _accepted()
    yield from _members()
    yield from _entries()
    yield from _single_values()
    yield from _commission_keys()
    yield from _media_names()
    yield from _spellings()
    yield from _definitions()
