"""Options and parameters that several commands of `tallygate-decide` have."""

from pathlib import Path
from typing import Final, NamedTuple

import click

from clients import terminal
from clients.box import times
from clients.observer.verdict import Folder, Source
from clients.observer.verify_command import Sha256
from clients.wire.authority import ALL
from clients.wire.errors import WireError
from clients.wire.note import VerifierKey
from clients.wire.text import decimal, hex_32

_ALL_WORD: Final = "all"


class Number(click.ParamType[int]):
    """A number of a thing, or `all`."""

    name = "number"

    def __init__(self, *, all_too: bool = False) -> None:
        self._all_too = all_too

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, 0 for all; or the usage error of click."""
        if self._all_too and str(value) == _ALL_WORD:
            return ALL
        number = decimal(str(value))
        if not number:
            self.fail("must be a whole number from 1" + (", or all" if self._all_too else ""), param, ctx)
        return number


class Time(click.ParamType[int]):
    """A moment with its offset from UTC, in ms."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The moment, or the usage error of click."""
        at = times.parse(str(value))
        if at is None:
            self.fail("must be a time with its offset, like 2026-11-29T20:00:00+06:00", param, ctx)
        return at


class Reason(click.ParamType[tuple[str, str]]):
    """A reason with its language: ``ky=…``."""

    name = "reason"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Language and text, or the usage error of click."""
        language, sign, text = str(value).partition("=")
        if not sign or not text:
            self.fail("must be a language and the text, like en='The seal was broken.'", param, ctx)
        return language, text


class Named(NamedTuple):
    """A public key, and the name that a verifier key has before it; a bare key has none."""

    name: str
    key: bytes


class PublicKey(click.ParamType[Named]):
    """An Ed25519 public key: 64 hex digits, or a verifier key."""

    name = "key"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Named:
        """The key, or the usage error of click."""
        bare = hex_32(str(value).lower())
        if bare is not None:
            return Named("", bare)
        try:
            vkey = VerifierKey.parse(str(value).strip())
        except WireError as error:
            self.fail(f"must be 64 hex digits, or a verifier key (name+id+key): {error.detail}", param, ctx)
        return Named(vkey.name, vkey.key)


def folder(feed: Path, embargo: Path | None) -> Folder:
    """A feed's folder, with what is under embargo if that is given."""
    return feed if embargo is None else Source(feed, embargo)


def folder_or_none(feed: Path | None, embargo: Path | None) -> Folder | None:
    """As `folder`, where a feed need not be given.

    Raises:
        click.UsageError: only the other is.
    """
    if feed is None:
        if embargo is not None:
            raise click.UsageError("--embargo goes with --feed.")
        return None
    return folder(feed, embargo)


NUMBER: Final = Number()
NUMBER_OR_ALL: Final = Number(all_too=True)
TIME: Final = Time()
SHA256: Final = Sha256()
PUBLIC_KEY: Final = PublicKey()

FILE = click.argument("file", metavar="FILE", type=terminal.PATH)
FEED = click.option(
    "--feed", metavar="FEED", type=terminal.PATH, help="The feed's folder: what the log says now."
)
EMBARGO = click.option(
    "--embargo", metavar="DIR", type=terminal.PATH, help="What the feed does not show yet, under an embargo."
)
DEFINITION = click.option(
    "--definition",
    metavar="D",
    type=terminal.PATH,
    help="The folder with election.json, where there is no feed.",
)
DEFINITION_HASH = click.option(
    "--definition-hash",
    metavar="HEX",
    type=SHA256,
    help="Its SHA-256 as the commission has announced it; a feed of any other is refused.",
)
ROSTER = click.option(
    "--roster", metavar="DIR", type=terminal.PATH, help="The roster that the decision puts in force."
)
AFTER = click.option(
    "--after",
    metavar="FILE",
    type=terminal.PATH,
    multiple=True,
    help="A decision that was sent, is not published yet, and comes before this one; once for each.",
)
BUNDLE = click.option(
    "--bundle", "devices", metavar="NIGHT/devices", type=terminal.PATH, help="Take a rehearsal's keys."
)
MEMBER = click.option(
    "--member", "number", metavar="N", type=NUMBER, help="Which of the rehearsal's members."
)
