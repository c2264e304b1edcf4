"""`messages.json`: what people read for codes and words, in every language (docs/feed.md, "Messages").

It stands in the feed and beside a device's `site.json`. Nothing follows from it: a program that has none
shows its own words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from clients.wire import jcs
from clients.wire.definition import LANGUAGES
from clients.wire.errors import WireError
from clients.wire.jcs import JsonValue

FORMAT: Final = "tallygate-messages/1"
# Some hundred texts in four languages have 60 KB; a country's own checks and figures have the rest.
MAX_MESSAGES_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Messages:
    """The texts of an election; empty where a program has none.

    Attributes:
        codes: whole sentences by code, each by language.
        words: labels by group and word, each by language.
    """

    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, place: str) -> Self:
        """Read a file.

        Args:
            data: its bytes.
            place: its name for messages.

        Raises:
            WireError: `messages.malformed`.
        """
        if len(data) > MAX_MESSAGES_BYTES:
            raise _malformed(f"it has at most {MAX_MESSAGES_BYTES:,} bytes", place)
        try:
            value = jcs.parse(data)
        except WireError as error:
            raise _malformed(error.detail, place) from error
        members = _members(value, place)
        if members.keys() != {"format", "codes", "words"} or members["format"] != FORMAT:
            raise _malformed(f"it is no {FORMAT}", place)
        groups = _members(members["words"], place)
        return cls(
            _entries(members["codes"], place),
            {group: _entries(entries, place) for group, entries in groups.items()},
        )

    def sentence(self, code: str, language: str) -> str | None:
        """What a code means; a check that is not named by itself (`H109.7`) has the sentence of all."""
        texts = self.codes.get(code) or self.codes.get(code.partition(".")[0])
        return None if texts is None else texts[language]

    def label(self, group: str, word: str, language: str) -> str | None:
        """What a word is called."""
        texts = self.words.get(group, {}).get(word)
        return None if texts is None else texts[language]


def _entries(value: JsonValue, place: str) -> dict[str, dict[str, str]]:
    entries = {}
    for name, texts in _members(value, place).items():
        own = {language: text for language, text in _members(texts, place).items() if isinstance(text, str)}
        if own.keys() != set(LANGUAGES) or not all(own.values()):
            raise _malformed(f"{name} has no text in each of {', '.join(LANGUAGES)}", place)
        entries[name] = own
    return entries


def _members(value: JsonValue, place: str) -> Mapping[str, JsonValue]:
    if not isinstance(value, Mapping):
        raise _malformed("something in it is no object", place)
    return value


def _malformed(detail: str, place: str) -> WireError:
    return WireError("messages.malformed", f"this is no messages.json (docs/feed.md): {detail}", file=place)
