"""What the public reads for codes and words, in every language: ``messages.json`` (docs/feed.md).

What lives here: reading `messages.toml` beside this file, which people write and review, and the bytes that a
feed and the devices of an election get: the same texts, and those of the country's own checks and figures.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import msgspec

from gateway import _core
from gateway.base.errors import TallygateError
from gateway.election.limits import LANGUAGES

FORMAT: Final = "tallygate-messages/1"
# Characters of one text: two sentences, which a phone shows without scrolling.
MAX_CHARACTERS: Final = 300

# Beside the texts of a source: the languages in which a native speaker has read them.
_REVIEWED: Final = "reviewed"

Texts: TypeAlias = dict[str, str]
"""One text by its language; every language is there."""


class Messages(NamedTuple):
    """All of it: whole sentences by their code, labels by group and word."""

    codes: dict[str, Texts]
    words: dict[str, dict[str, Texts]]


SOURCE: Final = Path(__file__).with_name("messages.toml")


def read(data: bytes, place: str = SOURCE.name) -> Messages:
    """Reads the source.

    Args:
        data: TOML.
        place: its name, for errors.

    Raises:
        TallygateError: ``messages.malformed``, with the entry that is not as the others are.
    """
    try:
        document: dict[str, object] = tomllib.loads(data.decode())
    except ValueError as error:
        raise _malformed(str(error), place) from None
    if document.keys() != {"codes", "words"}:
        raise _malformed("it has [codes] and [words] and nothing else", place)
    codes = _table(document["codes"], f"{place}:codes")
    groups = _table(document["words"], f"{place}:words")
    return Messages(
        dict(_entries(codes, f"{place}:codes")),
        {
            group: dict(_entries(_table(words, f"{place}:words.{group}"), f"{place}:words.{group}"))
            for group, words in groups.items()
        },
    )


def load() -> Messages:
    """The texts of this software."""
    return read(SOURCE.read_bytes())


def for_election(
    messages: Messages, definition: _core.Definition, information: _core.Information
) -> Messages:
    """The texts of one election: its own checks and figures get theirs from its own tables.

    A language that the tables lack shows the text of the first that they have, in the election's order.
    """
    codes = dict(messages.codes)
    for check in definition.checks:
        code = "H109" if check.severity == "hard" else "S214"
        text = _texts(information.check(check.number), "text", definition.languages)
        general = messages.codes[code]
        codes[f"{code}.{check.number}"] = {
            language: f"{general[language]} ({text(language)})" if text(language) else general[language]
            for language in LANGUAGES
        }
    figures = dict(messages.words["figure"])
    for figure in definition.figures:
        text = _texts(information.figure(figure.code), "name", definition.languages)
        figures[figure.figure] = {language: text(language) or figure.name for language in LANGUAGES}
    return Messages(codes, {**messages.words, "figure": figures})


def encode(messages: Messages) -> bytes:
    """The published file: canonical JSON."""
    return _core.canonical_json({"format": FORMAT, **msgspec.to_builtins(messages._asdict())})


def _texts(cells: Mapping[str, str] | None, stem: str, languages: list[str]) -> Callable[[str], str]:
    shown = cells or {}

    def text(language: str) -> str:
        found = (shown.get(f"{stem}_{one}", "") for one in (language, *languages))
        return next((one for one in found if one), "")

    return text


def _entries(table: Mapping[str, object], place: str) -> Iterator[tuple[str, Texts]]:
    for name, value in table.items():
        own = f"{place}.{name}"
        entry = _table(value, own)
        reviewed = entry.get(_REVIEWED, [])
        if not isinstance(reviewed, list) or not set(map(str, reviewed)) <= set(LANGUAGES):
            raise _malformed(f"`reviewed` lists some of {', '.join(LANGUAGES)}", own)
        if entry.keys() - {_REVIEWED} != set(LANGUAGES):
            raise _malformed(f"it has a text in each of {', '.join(LANGUAGES)} and nothing else", own)
        yield name, {language: _text(entry[language], f"{own}.{language}") for language in LANGUAGES}


def _table(value: object, place: str) -> Mapping[str, object]:
    if not isinstance(value, dict) or not value:
        raise _malformed("this is a table with something in it", place)
    return value


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_CHARACTERS:
        raise _malformed(f"this is a text of 1 to {MAX_CHARACTERS} characters", place)
    if not value.isprintable() or value != value.strip():
        raise _malformed("a text is one line without spaces around it", place)
    return value


def _malformed(detail: str, place: str) -> TallygateError:
    return TallygateError("messages.malformed", detail, place=place)
