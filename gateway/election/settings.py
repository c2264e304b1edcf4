"""election.toml: the election as a whole, its rules, and what the website says of the commission."""

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

from gateway.base.clock import parse_time
from gateway.base.errors import TallygateError
from gateway.election import cells
from gateway.election.faults import Code, Faults, shown
from gateway.election.files import (
    BOM,
    FORBIDDEN,
    NotRegularError,
    control_sentence,
    open_regular,
    what_encoding,
    wrong_start,
)
from gateway.election.limits import (
    LANGUAGES,
    MAX_COMMISSION_KEYS,
    MAX_ID_CHARACTERS,
    MAX_NUMBER,
    MAX_ORIGIN_BYTES,
    MAX_SETTINGS_BYTES,
    MAX_TEXT_BYTES,
    MAX_TOLERANCE,
    MIB,
)
from gateway.election.model import Names, Rules, Settings, Site

FILE = "election.toml"

REHEARSAL_SUFFIX = "-rehearsal"
"""Ends the id of every rehearsal, so that nothing made for one is taken for the election's."""

MODES = ("live", "rehearsal")
HEADLINES = ("machine", "protocol")
STRICTNESS = ("hard", "soft", "off")

_Value: TypeAlias = object
"""What TOML can hold; every use asks for the type it needs."""

_KEYS = (
    *("id", *(f"title_{language}" for language in LANGUAGES), "mode", "origin", "timezone"),
    *("opens_at", "closes_at", "publish_at", "languages", "headline", "commission_keys", "commission_quorum"),
    *("rules", "site"),
)

ELECTION_ID = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{MAX_ID_CHARACTERS - 1}}}")
_ORIGIN = re.compile(r"[a-z0-9.-]+(?:/[a-z0-9.-]+)*")

_SECTION_LINE = re.compile(r"\s*\[\[?([^\[\]]*)\]")
_KEY_LINE = re.compile(r"\s*([A-Za-z0-9_-]+(?:\s*\.\s*[A-Za-z0-9_-]+)*|\"[^\"]*\"|'[^']*')\s*=")
_AT_LINE = re.compile(r"\s*\(at line ([0-9]+), column [0-9]+\)")


class SettingsFile(NamedTuple):
    """What election.toml says, and the line of each key, as ``rules.h104`` or ``commission_keys[1]``."""

    settings: Settings
    lines: Mapping[str, int]


def read_settings(folder: Path, faults: Faults, *, rehearsal: bool) -> SettingsFile | None:
    """Read election.toml.

    Returns:
        What it says; where a value is at fault, a stand-in that causes no further faults (times of 0, an
        empty time zone). None if the file cannot be read at all.
    """
    text = _text(folder / FILE, faults)
    if text is None:
        return None
    try:
        document = tomllib.loads(text)
    except RecursionError:
        faults.add(Code.BAD_TOML, "the brackets are nested too deeply", file=FILE)
        return None
    except ValueError as error:  # TOMLDecodeError, and integers too long for Python
        at = _AT_LINE.search(str(error))
        line = int(at[1]) if at else text.count("\n") + 1 if "end of document" in str(error) else 0
        detail = f"this is not TOML: {_AT_LINE.sub('', str(error))}"
        faults.add(Code.BAD_TOML, detail, file=FILE, line=line)
        return None
    lines = _key_lines(text)
    settings = _Reader(document, lines, faults).settings(rehearsal=rehearsal)
    _find_keys(text, settings.commission_keys, lines)
    return SettingsFile(settings, lines)


def _text(path: Path, faults: Faults) -> str | None:
    try:
        opened = open_regular(path)
    except FileNotFoundError:
        faults.add(
            Code.MISSING_FILE, f"the folder has no {FILE}: it names the election and its times", file=FILE
        )
        return None
    except NotRegularError:
        faults.add(Code.NOT_A_FILE, "this is no ordinary file", file=FILE)
        return None
    except OSError as error:
        faults.add(Code.UNREADABLE, f"the file cannot be opened: {error.strerror}", file=FILE)
        return None
    with opened.file as file:
        try:
            data = b""
            while len(data) <= MAX_SETTINGS_BYTES and (chunk := file.read(MAX_SETTINGS_BYTES + 1)):
                data += chunk
        except OSError as error:
            faults.add(Code.UNREADABLE, f"the file cannot be read: {error.strerror}", file=FILE)
            return None
    if len(data) > MAX_SETTINGS_BYTES:
        faults.add(Code.TOO_LARGE, f"the file is larger than {MAX_SETTINGS_BYTES // MIB} MiB", file=FILE)
        return None
    if strange := wrong_start(data):
        faults.add(Code.ENCODING, strange, file=FILE)
        return None
    data = data.removeprefix(BOM)
    if not data.strip():
        faults.add(Code.EMPTY_FILE, "the file is empty", file=FILE)
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.add(Code.ENCODING, what_encoding(data[error.start :][:400]), file=FILE, line=line)
        return None


def _key_lines(text: str) -> dict[str, int]:
    """The line of each key, as ``rules.h104``: TOML readers do not keep it, and a message needs it."""
    lines: dict[str, int] = {}
    section = ""
    quote = ""
    for number, line in enumerate(text.split("\n"), 1):
        if not quote:
            if found := _KEY_LINE.match(line):
                key = re.sub(r"\s|[\"']", "", found[1])
                lines.setdefault(f"{section}{key}", number)
            elif found := _SECTION_LINE.match(line):
                section = re.sub(r"\s|[\"']", "", found[1])
                lines.setdefault(section, number)
                section += "."
        # Inside a text of several lines nothing is a key.
        for delimiter in ('"""', "'''"):
            if quote in ("", delimiter) and line.count(delimiter) % 2 == 1:
                quote = "" if quote else delimiter
                break
    return lines


def _find_keys(text: str, keys: Sequence[bytes], lines: dict[str, int]) -> None:
    """Add the line of each commission key, since they stand below each other."""
    lower = text.lower()
    start = lines.get("commission_keys", 0)
    place = 0
    for member, key in enumerate(keys, 1):
        found = lower.find(key.hex(), place)
        lines[f"commission_keys[{member}]"] = text.count("\n", 0, found) + 1 if found >= 0 else start
        place = max(place, found + 1)


class _Reader:
    """Takes the values out of a parsed document, one kind after another."""

    def __init__(self, document: Mapping[str, _Value], lines: Mapping[str, int], faults: Faults) -> None:
        self._document = document
        self._lines = lines
        self._faults = faults

    def settings(self, *, rehearsal: bool) -> Settings:
        self._known(self._document, _KEYS, "")
        election_id = self._id(rehearsal)
        title = self._title()
        mode = "rehearsal" if rehearsal else self._word("mode", MODES, None)
        if mode == "rehearsal" and election_id and not election_id.endswith(REHEARSAL_SUFFIX):
            detail = f"{shown(election_id)} does not end in {REHEARSAL_SUFFIX}, as a rehearsal's id should"
            self._fault(Code.REHEARSAL_ID, detail, "id")
        if mode == "live" and election_id.endswith(REHEARSAL_SUFFIX):
            detail = f"only a rehearsal's id ends in {REHEARSAL_SUFFIX}; this election is live"
            self._fault(Code.BAD_ID, detail, "id")
        timezone = self._string("timezone", needed=True)
        if timezone and not cells.is_timezone(timezone):
            self._fault(Code.BAD_TIMEZONE, cells.bad_timezone(timezone), "timezone")
            timezone = ""
        opens_at = self._time("opens_at", needed=True)
        closes_at = self._time("closes_at", needed=True)
        publish_at = self._time("publish_at", needed=False)
        if opens_at and closes_at and closes_at <= opens_at:
            detail = "the polls close before they open: check the dates and the offsets from UTC"
            self._fault(Code.CLOSES_BEFORE_OPENS, detail, "closes_at")
        if opens_at and publish_at and publish_at <= opens_at:
            detail = "the embargo ends before the polls open: leave it out if there is none"
            self._fault(Code.PUBLISHES_BEFORE_OPENS, detail, "publish_at")
        keys = () if rehearsal else self._commission_keys()
        return Settings(
            id=election_id,
            title=title,
            mode=mode,
            origin=self._origin(),
            timezone=timezone,
            opens_at=opens_at or 0,
            closes_at=closes_at or 0,
            publish_at=publish_at,
            languages=self._languages(title),
            headline=self._word("headline", HEADLINES, "machine"),
            commission_keys=keys,
            commission_quorum=self._quorum(len(keys), rehearsal),
            rules=self._rules(),
            site=self._site(),
        )

    # Values of each kind

    def _fault(self, code: Code, detail: str, key: str) -> None:
        line = self._lines.get(key) or self._lines.get(key.split(".")[0], 0)
        self._faults.add(code, detail, file=FILE, line=line, column=key)

    def _known(self, table: Mapping[str, _Value], known: Collection[str], section: str) -> None:
        for key in table:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {close[0]}?" if close else f": remove it (known: {', '.join(known)})"
                self._fault(Code.UNKNOWN_KEY, f"{shown(key)} is no key of this file{hint}", f"{section}{key}")

    def _get(self, key: str, *, needed: bool) -> _Value | None:
        """The value of a key, of a section's as ``rules.h104``; None if it is absent."""
        section, _, name = key.rpartition(".")
        table = self._document.get(section) if section else self._document
        value = table.get(name) if isinstance(table, Mapping) else None
        if value is None and needed:
            self._fault(Code.MISSING_KEY, "the key is missing: add it", key)
        return value

    def _wrong_type(self, key: str, wanted: str) -> None:
        self._fault(Code.WRONG_TYPE, f"the value must be {wanted}", key)

    def _string(self, key: str, *, needed: bool = False) -> str:
        value = self._get(key, needed=needed)
        if value is None:
            return ""
        if not isinstance(value, str):
            self._wrong_type(key, "a text in quotes")
            return ""
        text = value.strip()
        if found := FORBIDDEN.search(text):
            self._fault(Code.CONTROL_CHARACTER, control_sentence(found[0], text), key)
            return ""
        if len(text.encode()) > MAX_TEXT_BYTES:
            self._fault(Code.TEXT_TOO_LONG, f"the text has more than {MAX_TEXT_BYTES} bytes: shorten it", key)
            return ""
        if needed and not text:
            self._fault(Code.MISSING_KEY, "the value is empty: fill it in", key)
        return unicodedata.normalize("NFC", text)

    def _word(self, key: str, words: Collection[str], default: str | None) -> str:
        value = self._string(key, needed=default is None)
        if value in words:
            return value
        if value:
            self._fault(Code.UNKNOWN_WORD, f"{shown(value)} is none of {', '.join(words)}", key)
        return default or ""

    def _integer(self, key: str, default: int, low: int, high: int) -> int:
        value = self._get(key, needed=False)
        if value is None:
            return default
        if type(value) is not int:  # bool is an int for isinstance
            self._wrong_type(key, "a whole number without quotes")
        elif low <= value <= high:
            return value
        else:
            self._fault(Code.NUMBER_RANGE, f"the value is not a number from {low} to {high}", key)
        return default

    def _list(self, key: str, *, needed: bool) -> list[_Value]:
        value = self._get(key, needed=needed)
        if value is None:
            return []
        if not isinstance(value, list):
            self._wrong_type(key, "a list in brackets")
            return []
        return value

    def _time(self, key: str, *, needed: bool) -> int | None:
        value = self._get(key, needed=needed)
        if value is None:
            return None
        # A TOML date-time becomes the text it was written as; without an offset it is refused like such a
        # text.
        text = value.isoformat() if isinstance(value, datetime) else value
        if not isinstance(text, str):
            self._wrong_type(key, "a time such as 2031-10-05T08:00:00+06:00")
            return None
        try:
            return parse_time(text)
        except TallygateError as error:
            self._fault(Code.BAD_TIME, error.detail, key)
            return None

    # What stands in the file

    def _id(self, rehearsal: bool) -> str:
        election_id = self._string("id", needed=True)
        if election_id and ELECTION_ID.fullmatch(election_id) is None:
            detail = (
                f"{shown(election_id)} cannot be an id: use a to z, 0 to 9 and -, at most "
                f"{MAX_ID_CHARACTERS} "
                "characters, a letter or digit first"
            )
            self._fault(Code.BAD_ID, detail, "id")
            return ""
        if rehearsal and election_id and not election_id.endswith(REHEARSAL_SUFFIX):
            return election_id[: MAX_ID_CHARACTERS - len(REHEARSAL_SUFFIX)] + REHEARSAL_SUFFIX
        return election_id

    def _title(self) -> Names:
        ky, kk, ru, en = (self._string(f"title_{language}") for language in LANGUAGES)
        if not (ky or kk or ru or en) and not any(
            f"title_{language}" in self._document for language in LANGUAGES
        ):
            detail = "the election has no title: add title_ky, title_kk, title_ru or title_en"
            self._fault(Code.MISSING_KEY, detail, f"title_{LANGUAGES[0]}")
        elif not (ky or kk or ru or en):
            self._fault(Code.MISSING_NAME, "no language has a title", f"title_{LANGUAGES[0]}")
        return ky, kk, ru, en

    def _languages(self, title: Names) -> tuple[str, ...]:
        titled = [language for language, text in zip(LANGUAGES, title, strict=True) if text]
        if "languages" not in self._document:
            return tuple(titled)
        languages: list[str] = []
        for value in self._list("languages", needed=True):
            if not isinstance(value, str):
                self._wrong_type("languages", 'a list of texts, such as ["ky", "ru"]')
            elif value not in LANGUAGES:
                detail = f"{shown(value)} is none of {', '.join(LANGUAGES)}"
                self._fault(Code.BAD_LANGUAGES, detail, "languages")
            elif value in languages:
                self._fault(Code.BAD_LANGUAGES, f"{shown(value)} stands twice", "languages")
            else:
                languages.append(value)
                if value not in titled:
                    detail = f"{value} stands in languages, and there is no title_{value}: add the title"
                    self._fault(Code.LANGUAGE_WITHOUT_NAMES, detail, "languages")
        if not self._document["languages"]:
            self._fault(Code.BAD_LANGUAGES, "the list is empty: name at least one language", "languages")
        return tuple(languages)

    def _origin(self) -> str | None:
        origin = self._string("origin")
        if origin and (len(origin) > MAX_ORIGIN_BYTES or _ORIGIN.fullmatch(origin) is None):
            detail = (
                f"{shown(origin)} cannot be an origin: write host/path, such as results.example/{{id}}, "
                "with a to z, "
                f"0 to 9, point and -, at most {MAX_ORIGIN_BYTES} characters"
            )
            self._fault(Code.BAD_ORIGIN, detail, "origin")
        return origin or None

    def _commission_keys(self) -> tuple[bytes, ...]:
        keys: list[bytes] = []
        values = self._list("commission_keys", needed=True)
        for value in values[:MAX_COMMISSION_KEYS]:
            if not isinstance(value, str):
                self._wrong_type("commission_keys", "a list of texts of 64 hexadecimal digits")
            elif not cells.is_hex32(value):
                detail = f"{shown(value)} is not 64 hexadecimal digits (it has {len(value)} characters)"
                self._fault(Code.BAD_HEX, detail, "commission_keys")
            else:
                keys.append(bytes.fromhex(value))
        if len(values) > MAX_COMMISSION_KEYS:
            detail = f"there are {len(values)} keys; a commission has at most {MAX_COMMISSION_KEYS}"
            self._fault(Code.NUMBER_RANGE, detail, "commission_keys")
        if "commission_keys" in self._document and not values:
            self._fault(Code.MISSING_KEY, "the list is empty: name at least one key", "commission_keys")
        return tuple(keys)

    def _quorum(self, members: int, rehearsal: bool) -> int:
        """How many must sign; by default more than half, or 0 where the members are not known yet."""
        default = majority(members) if members else 0
        quorum = self._integer("commission_quorum", default, 1, MAX_COMMISSION_KEYS)
        if not rehearsal and members and quorum > members:
            detail = f"{quorum} members must sign and there are {members} keys"
            self._fault(Code.BAD_QUORUM, detail, "commission_quorum")
        return quorum

    def _rules(self) -> Rules:
        if not self._section("rules", Rules._fields):
            return Rules()
        default = Rules()

        def tolerance(name: str) -> int:
            return self._integer(f"rules.{name}", default._asdict()[name], 0, MAX_TOLERANCE)

        def percent(name: str) -> int:
            return self._integer(f"rules.{name}", default._asdict()[name], 0, 100)

        low, high = percent("s203_low"), percent("s203_high")
        if low >= high:
            self._fault(Code.BAD_RULE, f"s203_low ({low}) must be below s203_high ({high})", "rules.s203_low")
        return Rules(
            required=self._codes("required", default.required),
            required_voters=self._codes("required_voters", default.required_voters),
            h104=self._word("rules.h104", STRICTNESS, default.h104),
            h104_tolerance=tolerance("h104_tolerance"),
            s201_tolerance=tolerance("s201_tolerance"),
            s202_percent=percent("s202_percent"),
            s203_low=low,
            s203_high=high,
            s204_minutes=tolerance("s204_minutes"),
            s210_tolerance=tolerance("s210_tolerance"),
        )

    def _codes(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Codes of figures, ascending; that they exist is judged when figures.csv was read."""
        key = f"rules.{name}"
        if self._get(key, needed=False) is None:
            return default
        codes: list[int] = []
        for value in self._list(key, needed=False):
            if type(value) is not int or not 0 < value <= MAX_NUMBER:
                self._wrong_type(key, "a list of codes of figures, such as [9, 11, 13]")
            elif value in codes:
                self._fault(Code.BAD_RULE, f"code {value} stands twice", key)
            else:
                codes.append(value)
        return tuple(sorted(codes))

    def _site(self) -> Site:
        if not self._section("site", Site._fields):
            return Site()
        link = self._string("site.voter_check_url")
        if link and not cells.is_link(link):
            self._fault(Code.BAD_LINK, cells.bad_link(link), "site.voter_check_url")
            link = ""
        return Site(self._string("site.contact"), self._string("site.notice"), link)

    def _section(self, name: str, known: Collection[str]) -> bool:
        """Whether the section is there; its keys are judged."""
        table = self._document.get(name)
        if table is None:
            return False
        if not isinstance(table, dict):
            self._wrong_type(name, f"a section: write [{name}] on a line of its own")
            return False
        self._known(table, known, f"{name}.")
        return True


def majority(members: int) -> int:
    """The quorum of a commission that names none: more than half."""
    return members // 2 + 1
