"""A file of counts made into the content of a statement, or refused with every fault it has (docs/box.md).

Names stand for numbers in it: figures, origins, causes, documents by name, contests and choices by the
definition's numbers. What a packet *may* say is judged here, and what the definition wants in it; whether
the numbers add up is not (clients.box.plausible): a device signs what it counted.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Final, NamedTuple

from clients.box import attachments, countsfile, times, words
from clients.box.countsfile import MAX_FAULTS, CountsError, Fault
from clients.wire.cbor import Content
from clients.wire.definition import Choice, Definition, Station
from clients.wire.errors import WireError
from clients.wire.grammar import MAX_ATTACHMENT_BYTES, MAX_ATTACHMENTS, REPORTS
from clients.wire.text import MAX_NUMBER, decimal, hex_32


class _Fields(NamedTuple):
    """The keys of one kind of report, besides `report` and `station`."""

    required: tuple[str, ...]
    optional: tuple[str, ...]


_FIELDS: Final[Mapping[str, _Fields]] = {
    "opening": _Fields(("counter", "firmware"), ("contests",)),
    "turnout": _Fields(("as_of", "figures"), ()),
    "result": _Fields(("closed_at", "origin", "counter", "contests"), ("figures", "attachments")),
    "protocol": _Fields(("closed_at", "cause", "contests"), ("corrects", "figures", "attachments")),
    "documents": _Fields(("attachments",), ()),
}
_COMMON: Final = ("report", "station")
_COUNT_FIELDS: Final = ("figures", "votes")
_ATTACHMENT_FIELDS: Final = ("file", "sha256", "size", "media", "document", "page")
# Where a file has one page only, or nobody says.
_DEFAULT_PAGE = 1
# Longer words are nobody's slip of the pen.
_MAX_GUESS = 40
_MANY_DIGITS = 10**30
_EPOCH_YEAR = 1970


@dataclass(frozen=True, slots=True)
class Counts:
    """What a counts file says.

    Attributes:
        station: whose counts these are.
        report: as nested tuples in the order of packet.md's CDDL.
        attachments: the files that the report names and that were found here, by their SHA-256.
    """

    station: Station
    report: Content
    attachments: Mapping[bytes, Path]


def read(path: Path, definition: Definition) -> Counts:
    """Read a counts file.

    Args:
        path: TOML, or JSON if it ends in `.json`; files that it names are looked for beside it.
        definition: says which contests, choices and figures there are.

    Raises:
        CountsError: every fault of the file, with codes `counts.*`.
    """
    return judge(countsfile.load(path), str(path), path.parent, definition)


def judge(values: Mapping[str, object], file: str, base: Path, definition: Definition) -> Counts:
    """Make counts of the plain values of a file.

    Args:
        values: what `countsfile.load` gives.
        file: the file's name, for messages.
        base: the folder that names of attached files start from.
        definition: says which contests, choices and figures there are.

    Raises:
        CountsError: every fault, with codes `counts.*`.
    """
    judging = _Judge(definition, base)
    counts = judging.counts(values)
    if counts is None or judging.faults:
        faults = judging.faults
        raise CountsError(file, faults[:MAX_FAULTS], max(0, len(faults) - MAX_FAULTS))
    return counts


def _join(path: str, key: str) -> str:
    shown = key if len(key) <= _MAX_GUESS else f"{key[:_MAX_GUESS]}…"
    return f"{path}.{shown}" if path else shown


def _list(numbers: Collection[int]) -> str:
    """A few numbers for people."""
    shown = [str(number) for number in sorted(numbers)]
    return " ".join(shown if len(shown) <= 12 else [*shown[:10], "…", shown[-1]])


class _Judge:
    """Collects faults; what a faulty value is replaced with never leaves the module."""

    def __init__(self, definition: Definition, base: Path) -> None:
        self._definition = definition
        self._base = base
        self._codes = words.figures(definition)
        self._names = {code: name for name, code in self._codes.items()}
        self._attachments: dict[bytes, Path] = {}
        # Codes of the voters' figures, which stand for every contest.
        self._once: frozenset[int] = frozenset()
        self.faults: list[Fault] = []

    def fault(self, path: str, code: str, detail: str) -> None:
        self.faults.append(Fault(path, code, detail))

    def counts(self, values: Mapping[str, object]) -> Counts | None:
        kind = self._kind(values)
        station = self._station(values)
        for key in values:
            self._judge_key(key, kind)
        for key in _FIELDS[kind].required if kind else ():
            if key not in values:
                self.fault(key, "counts.missing", f"a report of the kind {kind} needs `{key}`")

        closed_at = self._time("closed_at", values["closed_at"]) if "closed_at" in values else 0
        as_of = self._time("as_of", values["as_of"]) if "as_of" in values else 0
        origin = self._word("origin", values["origin"], words.ORIGINS) if "origin" in values else 0
        cause = self._word("cause", values["cause"], words.CAUSES) if "cause" in values else 0
        counter = self._whole("counter", values["counter"]) if "counter" in values else 0
        firmware = self._hash("firmware", values["firmware"]) if "firmware" in values else b""
        corrects = self._hash("corrects", values["corrects"]) if "corrects" in values else b""
        figures = self._voters(values, kind)
        entries = self._contests(values["contests"], kind, station) if "contests" in values else ()
        papers = self._papers(values["attachments"], kind) if "attachments" in values else ()
        if station is None:
            return None
        match kind:
            case "opening":
                rest: Content = (counter, firmware, entries)
            case "turnout":
                rest = (as_of, figures)
            case "result":
                rest = (closed_at, origin, counter, figures, entries, papers)
            case "protocol":
                rest = (closed_at, corrects, cause, figures, entries, papers)
            case "documents":
                rest = (papers,)
            case _:
                return None
        return Counts(station, (REPORTS[kind], *rest), self._attachments)

    def _kind(self, values: Mapping[str, object]) -> str | None:
        value = values.get("report")
        if value is None:
            self.fault("report", "counts.missing", f"say which report this is: {', '.join(REPORTS)}")
        elif not isinstance(value, str) or value not in REPORTS:
            self.fault("report", "counts.word", self._not_word(value, REPORTS))
        else:
            return value
        return None

    def _station(self, values: Mapping[str, object]) -> Station | None:
        value = values.get("station")
        if value is None:
            self.fault("station", "counts.missing", "say whose counts these are: the station's number")
            return None
        if isinstance(value, list):
            self.fault(
                "station",
                "counts.station",
                "one file makes one statement of one station: write a file for each",
            )
            return None
        before = len(self.faults)
        number = self._whole("station", value)
        station = self._definition.stations.get(number)
        if station is None and len(self.faults) == before:
            self.fault(
                "station",
                "counts.station",
                f'there is no station {number} in the election "{self._definition.id}"',
            )
        return station

    def _judge_key(self, key: str, kind: str | None) -> None:
        known = {
            *_COMMON,
            *(name for fields in _FIELDS.values() for name in (*fields.required, *fields.optional)),
        }
        if key not in known:
            self.fault(_join("", key), "counts.unknown", f"there is no such key{self._guess(key, known)}")
        elif kind is not None and key not in (*_COMMON, *_FIELDS[kind].required, *_FIELDS[kind].optional):
            self.fault(key, "counts.unknown", f"a report of the kind {kind} has no `{key}`")

    # --- single values

    def _whole(self, path: str, value: object, least: int = 0, most: int = MAX_NUMBER) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(
                path,
                "counts.not_a_number",
                f"this is {_describe(value)}; write a whole number in plain digits",
            )
        elif value < 0:
            self.fault(
                path, "counts.negative", f"{_short(value)} is negative; nothing that is counted can be"
            )
        elif value > most:
            self.fault(path, "counts.too_large", f"{_short(value)} is above {most:,}")
        elif value < least:
            self.fault(path, "counts.too_small", f"{value} is below {least}")
        else:
            return value
        return least

    def _time(self, path: str, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return self._whole(path, value)
        at = None
        if isinstance(value, datetime):
            at = times.from_datetime(value)
        elif isinstance(value, str):
            at = times.parse(value)
        if at is None:
            self.fault(
                path,
                "counts.time",
                f"this is {_describe(value)}; write a time like 2026-11-29T20:00:00+06:00, or milliseconds "
                "since 1970",
            )
        return at or 0

    def _word(self, path: str, value: object, known: Mapping[str, int]) -> int:
        if isinstance(value, str) and value in known:
            return known[value]
        self.fault(path, "counts.word", self._not_word(value, known))
        return 0

    def _not_word(self, value: object, known: Collection[str]) -> str:
        guess = self._guess(value, known) if isinstance(value, str) else ""
        return f"this is {_describe(value)}, not one of {', '.join(known)}{guess}"

    def _hash(self, path: str, value: object) -> bytes:
        digest = hex_32(value) if isinstance(value, str) else None
        if digest is None:
            self.fault(
                path, "counts.hash", f"this is {_describe(value)}, not a SHA-256 as 64 digits of 0-9 and a-f"
            )
        return digest or b""

    def _table(self, path: str, value: object, example: str) -> Mapping[str, object] | None:
        if isinstance(value, dict):
            return value
        self.fault(path, "counts.table", f"this is {_describe(value)}, not a table; write {example}")
        return None

    def _guess(self, word: str, known: Collection[str]) -> str:
        if len(word) > _MAX_GUESS or len(self.faults) >= MAX_FAULTS:
            return ""
        near = difflib.get_close_matches(word.lower(), known, 1)
        return f"; did you mean `{near[0]}`?" if near else ""

    # --- figures and votes

    def _voters(self, values: Mapping[str, object], kind: str | None) -> Content:
        """The figures of the voters, which stand once in a packet."""
        figures = self._figures("figures", values["figures"]) if "figures" in values else {}
        self._once = frozenset(figures or ())
        if kind in ("result", "protocol") and figures is not None:
            self._judge_required("figures", self._definition.rules.required_voters, figures)
        elif kind == "turnout" and values.get("figures") == {}:
            self.fault(
                "figures",
                "counts.figure_missing",
                "a turnout report has at least one figure, like `identified`",
            )
        return _pairs(figures)

    def _figures(self, path: str, value: object) -> dict[int, int] | None:
        """Values by code; None where there is nothing to look into."""
        table = self._table(path, value, "registered = 1500 and so on")
        if table is None:
            return None
        figures: dict[int, int] = {}
        for name, number in table.items():
            judged = self._whole(_join(path, name), number)
            code = self._codes.get(name)
            if code is None:
                guess = self._guess(name, self._codes)
                self.fault(_join(path, name), "counts.figure", f"there is no figure of this name{guess}")
            else:
                figures[code] = judged
        return figures

    def _judge_required(self, path: str, required: Sequence[int], given: Collection[int]) -> None:
        for code in required:
            if code not in given:
                name = self._names.get(code, str(code))
                self.fault(
                    _join(path, name),
                    "counts.figure_missing",
                    "the definition requires this figure",
                )

    def _contests(self, value: object, kind: str | None, station: Station | None) -> Content:
        table = self._table("contests", value, "[contests.1] for contest 1 and so on")
        if table is None:
            return ()
        entries: dict[int, Content] = {}
        for key, entry in table.items():
            path = _join("contests", key)
            number = self._contest(path, key, station)
            fields = self._table(path, entry, "its figures and votes below it")
            if number is not None:
                entries[number] = (
                    number,
                    *(self._count(path, fields, kind, number) if fields is not None else ()),
                )
            elif fields is not None:
                self._count(path, fields, kind, None)
        if kind == "result" and station is not None:
            for number in station.contests:
                if number not in entries:
                    self.fault(
                        f"contests.{number}",
                        "counts.contest_missing",
                        f"station {station.station} votes on contest {number}; a result has all its contests",
                    )
        elif kind == "protocol" and not table:
            self.fault("contests", "counts.contest_missing", "a protocol has at least one contest")
        return tuple(entries[number] for number in sorted(entries))

    def _contest(self, path: str, key: str, station: Station | None) -> int | None:
        number = decimal(key)
        if number is None or number not in self._definition.contests:
            known = _list(self._definition.contests)
            self.fault(
                path, "counts.contest", f"the election has no contest with this number; it has {known}"
            )
            return None
        if station is not None and number not in station.contests:
            self.fault(
                path,
                "counts.contest",
                f"station {station.station} has no contest {number}, it has {_list(station.contests)}",
            )
        return number

    def _count(
        self, path: str, fields: Mapping[str, object], kind: str | None, contest: int | None
    ) -> Content:
        """One contest's figures and votes; in an opening its votes only."""
        known = _COUNT_FIELDS if kind != "opening" else ("votes",)
        for key in fields:
            if key not in known:
                self.fault(
                    _join(path, key),
                    "counts.unknown",
                    f"a contest has no such key here{self._guess(key, known)}",
                )
        for key in known if contest is not None else ():
            if key not in fields:
                self.fault(_join(path, key), "counts.missing", f"the contest needs `{key}`")
        choices = () if contest is None else self._definition.choices[contest]
        votes_path = _join(path, "votes")
        votes = self._votes(votes_path, fields["votes"], choices, contest) if "votes" in fields else ()
        if kind == "opening":
            return (votes,)
        figures_path = _join(path, "figures")
        figures = self._figures(figures_path, fields["figures"]) if "figures" in fields else None
        if figures is not None and contest is not None:
            # docs/tally.md, "Figures": what a count lacks it has from the voters.
            self._judge_required(figures_path, self._definition.rules.required, self._once.union(figures))
            if fields["figures"] == {} and not self._definition.rules.required:
                self.fault(
                    figures_path, "counts.figure_missing", "a contest has at least one figure, like `valid`"
                )
        return (_pairs(figures), votes)

    def _votes(self, path: str, value: object, choices: Sequence[Choice], contest: int | None) -> Content:
        numbers = [choice.choice for choice in choices]
        if isinstance(value, list):
            votes = [self._whole(_join(path, str(place)), item) for place, item in enumerate(value, 1)]
            if contest is not None and len(votes) != len(numbers):
                self.fault(
                    path,
                    "counts.votes",
                    f"{len(votes)} numbers of votes for {len(numbers)} choices; write one for each, in the "
                    f"order {_list(numbers)}",
                )
            return tuple(votes)
        table = self._table(path, value, "a list, or 1 = votes of choice 1 and so on")
        if table is None:
            return ()
        given: dict[int, int] = {}
        for key, item in table.items():
            judged = self._whole(_join(path, key), item)
            number = decimal(key)
            if number is not None and number in numbers:
                given[number] = judged
            elif contest is not None:
                self.fault(
                    _join(path, key),
                    "counts.choice",
                    f"contest {contest} has no choice with this number; it has {_list(numbers)}",
                )
        missing = [number for number in numbers if number not in given]
        if missing:
            self.fault(
                path,
                "counts.choice_missing",
                f"the votes of choice {_list(missing)} are missing; write 0 for none",
            )
        return tuple(given[number] for number in numbers if number in given)

    # --- attachments

    def _papers(self, value: object, kind: str | None) -> Content:
        if not isinstance(value, list):
            self.fault(
                "attachments",
                "counts.table",
                f"this is {_describe(value)}, not a list; write [[attachments]] above each",
            )
            return ()
        if len(value) > MAX_ATTACHMENTS:
            self.fault(
                "attachments",
                "counts.attachments",
                f"{len(value):,} attachments; a statement names {MAX_ATTACHMENTS} at most, others go into "
                "a report of the kind documents",
            )
        elif not value and kind == "documents":
            self.fault("attachments", "counts.attachments", "a report of documents names at least one")
        return tuple(
            self._paper(f"attachments.{place}", paper)
            for place, paper in enumerate(value[:MAX_ATTACHMENTS], 1)
        )

    def _paper(self, path: str, value: object) -> Content:
        paper = self._table(path, value, '{file = "scan.pdf", document = "protocol"}')
        if paper is None:
            return ()
        for key in paper:
            if key not in _ATTACHMENT_FIELDS:
                guess = self._guess(key, _ATTACHMENT_FIELDS)
                self.fault(_join(path, key), "counts.unknown", f"an attachment has no such key{guess}")
        if "document" not in paper:
            kinds = ", ".join(words.DOCUMENTS)
            self.fault(_join(path, "document"), "counts.missing", f"say which paper this is: {kinds}")
            document = 0
        else:
            document = self._word(_join(path, "document"), paper["document"], words.DOCUMENTS)
        page = self._whole(_join(path, "page"), paper.get("page", _DEFAULT_PAGE))
        sha256, media, size = self._file(path, paper) if "file" in paper else self._named(path, paper)
        return (sha256, media, size, document, page)

    def _file(self, path: str, paper: Mapping[str, object]) -> tuple[bytes, int, int]:
        """An attachment whose file is here; what is said about it besides must be true."""
        name = paper["file"]
        if not isinstance(name, str):
            self.fault(
                _join(path, "file"), "counts.attachment", f"this is {_describe(name)}, not the name of a file"
            )
            return b"", 0, 0
        try:
            found = attachments.examine(self._base / name)
        except (WireError, ValueError) as error:
            # ValueError: a name that no system has, with a zero byte or half a surrogate pair.
            detail = error.detail if isinstance(error, WireError) else "this cannot be the name of a file"
            self.fault(_join(path, "file"), "counts.attachment", detail)
            return b"", 0, 0
        said = {"sha256": found.sha256.hex(), "size": found.size, "media": found.media}
        for key, true in said.items():
            if paper.get(key, true) != true:
                self.fault(_join(path, key), "counts.attachment", f"the file's is {true}; leave this key out")
        self._attachments[found.sha256] = self._base / name
        return found.sha256, words.MEDIA[found.media], found.size

    def _named(self, path: str, paper: Mapping[str, object]) -> tuple[bytes, int, int]:
        """An attachment whose file is elsewhere."""
        for key in ("sha256", "size", "media"):
            if key not in paper:
                self.fault(
                    _join(path, key),
                    "counts.missing",
                    "without `file` an attachment needs sha256, size and media",
                )
        return (
            self._hash(_join(path, "sha256"), paper["sha256"]) if "sha256" in paper else b"",
            self._word(_join(path, "media"), paper["media"], words.MEDIA) if "media" in paper else 0,
            self._whole(_join(path, "size"), paper["size"], 1, MAX_ATTACHMENT_BYTES)
            if "size" in paper
            else 0,
        )


def _pairs(figures: Mapping[int, int] | None) -> Content:
    return tuple((code, figures[code]) for code in sorted(figures)) if figures else ()


def _short(value: int) -> str:
    # Python refuses to write out numbers of thousands of digits; TOML's hexadecimal ones come here.
    return str(value) if abs(value) < _MANY_DIGITS else "a number of very many digits"


def _describe(value: object) -> str:
    """A value of a counts file for people, short."""
    match value:
        case bool():
            return "true or false"
        case str():
            return f'the text "{value[:_MAX_GUESS]}{"…" if len(value) > _MAX_GUESS else ""}"'
        case int():
            return f"the number {_short(value)}"
        case float():
            return f"{value}, a number with a fraction"
        case datetime() if value.tzinfo is not None:
            return "a time before 1970" if value.year < _EPOCH_YEAR else "a time"
        case date() | time():
            return "a date or time without its offset from UTC"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "nothing"
