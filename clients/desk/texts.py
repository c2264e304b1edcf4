"""What the desk says, in one language: its own phrases, and the texts of the election's `messages.json`."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Final

from clients.wire.messages import Messages

_SOURCE: Final = Path(__file__).with_name("phrases.toml")


@cache
def phrases() -> dict[str, dict[str, str]]:
    """The form's own phrases by name, each by language; a test holds them whole."""
    return tomllib.loads(_SOURCE.read_text(encoding="utf-8"))


class Texts:
    """All texts in one language.

    Args:
        language: `en`, `ru`, `ky` or `kk`.
        messages: the election's; empty where the desk has none.
    """

    def __init__(self, language: str, messages: Messages) -> None:
        self._language = language
        self._messages = messages

    def say(self, phrase: str, **values: object) -> str:
        """A phrase of the form with its values filled in."""
        return phrases()[phrase][self._language].format(**values)

    def sentence(self, code: str) -> str:
        """What the public reads for a code, or nothing."""
        return self._messages.sentence(code, self._language) or ""

    def label(self, group: str, word: str) -> str:
        """What a word is called; without `messages.json` the word itself."""
        return self._messages.label(group, word, self._language) or word.replace("_", " ")
