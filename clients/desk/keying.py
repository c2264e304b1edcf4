"""From a paper to a signed statement: at the terminal by two readings, or from two files.

What lives here: what goes around a form (which station, why, what it replaces, whose draft), the same for
files, and the one way in which both end: a judged counts file, signed, its draft kept as a record.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from clients.box import attachments, counts, plausible, show, words
from clients.box.counts import Counts
from clients.box.countsfile import CountsError, Fault
from clients.box.plausible import Finding
from clients.box.report import Report
from clients.box.sign import Signed
from clients.desk import corrections, paper, protocolfile
from clients.desk import draft as drafts
from clients.desk.corrections import FIRST
from clients.desk.desk import Desk
from clients.desk.draft import Draft, Drafts, Reading
from clients.desk.form import ABSENT, BACK, STOP, YES, Form, name
from clients.desk.paper import Line
from clients.desk.screen import Screen, StoppedError, show_big
from clients.desk.texts import Texts
from clients.wire.definition import Station
from clients.wire.errors import WireError
from clients.wire.grammar import MAX_ATTACHMENTS
from clients.wire.text import hex_32


@dataclass(frozen=True, slots=True)
class Wishes:
    """What somebody has said on the command line about a protocol.

    Attributes:
        scans: files of the paper's pages, in their order.
        corrects: the id of the protocol that it replaces, hex, or empty.
        signed_at: ms, in a rehearsal; None: the clock's.
        one_person: both readings may be one person's.
    """

    scans: Sequence[Path] = ()
    corrects: str = ""
    signed_at: int | None = None
    one_person: bool = False


class Keying:
    """Whoever sits at the terminal, and the desk's drafts.

    Args:
        desk: the desk.
        own: its drafts, open.
        screen: where it takes place.
        texts: what is said.
        wishes: from the command line.
    """

    def __init__(self, desk: Desk, own: Drafts, screen: Screen, texts: Texts, wishes: Wishes) -> None:
        self._desk = desk
        self._drafts = own
        self._screen = screen
        self._texts = texts
        self._wishes = wishes

    def ask_station(self, *, first: bool) -> Station:
        """Which station's paper is on the desk.

        Raises:
            StoppedError: there is no more.
        """
        if first and (unfinished := self._drafts.stations()):
            shown = " ".join(map(str, unfinished))
            self._screen.say(self._texts.say("unfinished", stations=shown), "yellow")
        while True:
            said = self._screen.ask(self._texts.say("station" if first else "next_station"))
            if said in ("", STOP):
                raise StoppedError
            station = self._desk.find(said)
            if station is not None:
                return station
            self._screen.say(self._texts.say("no_station", number=said), "yellow")

    def key(self, station: Station) -> Signed:
        """Key one station's paper from where its draft stands to the signed statement.

        Raises:
            StoppedError: somebody has stopped; the draft goes on later.
            CountsError: no statement can say this: a contest without any figure, too many scans.
            WireError: `desk.draft`, `folder.*`, `spool.*`.
            OSError: something could not be stored.
        """
        now = self._desk.now(self._wishes.signed_at)
        form = Form(self._screen, self._texts, self._desk.definition, station, now, self._drafts.store)
        show_big(self._screen, station.label or str(station.station), station.name)
        self._screen.say(self._texts.say("keys"), "dim")
        if self._desk.assigned is not None and station.station not in self._desk.assigned:
            self._screen.say(self._texts.say("not_assigned"), "bold red")
            while form.answer(self._texts.say("go_on")) != YES:
                self._screen.say(self._texts.say("keys"))
        draft = self._resume(form, station) or self._begin(form, station)
        lines = self._lines(draft)
        for number, phrase in enumerate(("first_reading", "second_reading")):
            if len(draft.readings) == number:
                self._next_reader(form, draft)
            reading = draft.readings[number]
            if number + 1 == len(draft.readings) and len(reading.values) < len(lines):
                self._screen.say()
                self._screen.say(self._texts.say(phrase, who=reading.by), "bold")
            form.read(draft, reading, lines)
        values = form.settle(draft, lines)
        document = paper.counts_file(station, lines, values, draft.cause, draft.corrects)
        place = str(self._drafts.path(station.station))
        judged = counts.judge(document, place, Path(), self._desk.definition)
        if (known := self._desk.known(judged)) is not None:
            # The power went between the signature and the record.
            self._drafts.signed(draft, known.statement.sequence)
            return known
        form.confirm(draft, self._findings(judged, now))
        if scans := self._scans(form):
            document["attachments"] = scans
            judged = counts.judge(document, place, Path(), self._desk.definition)
        while form.answer(self._texts.say("sign")) != YES:
            self._screen.say(self._texts.say("keys"))
        signed = self._desk.sign(judged, place, self._desk.now(self._wishes.signed_at))
        self._drafts.signed(draft, signed.statement.sequence)
        return signed

    # --- Around the readings

    def _resume(self, form: Form, station: Station) -> Draft | None:
        """Go on with a draft, or put it away; None: there is none, or no longer."""
        draft = self._drafts.find(station.station)
        if draft is None:
            return None
        if draft.definition != self._desk.definition.sha256.hex():
            raise self._drafts.unusable(station.station, "it is of another definition")
        if draft.station != station.station or not _whole(draft, self._lines(draft)):
            raise self._drafts.unusable(station.station, "its lines are not those of this desk's paper")
        count = sum(len(reading.values) for reading in draft.readings)
        while True:
            said = form.answer(self._texts.say("resume", count=count))
            if not said:
                return draft
            if said == ABSENT:
                self._drafts.discard(draft)
                return None

    def _begin(self, form: Form, station: Station) -> Draft:
        contests = self._ask_contests(form, station)
        cause, corrects = self._ask_cause(form, station, contests)
        lines = paper.lines(self._desk.definition, contests, self._desk.lines)
        draft = drafts.new(
            self._desk.definition.sha256,
            station.station,
            contests,
            [line.path for line in lines],
            cause,
            corrects,
        )
        self._drafts.store(draft)
        return draft

    def _ask_contests(self, form: Form, station: Station) -> list[int]:
        if len(station.contests) == 1:
            return list(station.contests)
        for contest in station.contests:
            self._screen.say(f"  {contest}  {self._desk.definition.contests[contest].name}")
        known = {str(contest): contest for contest in station.contests}
        while True:
            said = (
                form.answer(self._texts.say("contests", contests=" ".join(known))).replace(",", " ").split()
            )
            if not said:
                return list(station.contests)
            if all(word in known for word in said):
                return sorted({known[word] for word in said})
            self._screen.say(self._texts.say("choose", known=" ".join(known)))

    def _ask_cause(self, form: Form, station: Station, contests: Collection[int]) -> tuple[str, str]:
        before = corrections.latest(self._desk.signed, station.station, contests)
        prompt = self._texts.say("cause")
        if before is not None:
            prompt = self._texts.say("another", slip=show.slip(before))
        while True:
            known = {
                str(number): self._texts.label("cause", word)
                for word, number in words.CAUSES.items()
                if before is None or word != FIRST
            }
            cause = words.word(words.CAUSES, int(form.choose(prompt, known)))
            corrects = "" if cause == FIRST else self._wishes.corrects
            if cause != FIRST and not corrects and before is not None:
                self._screen.say(self._texts.say("replaces", slip=show.slip(before)))
                corrects = before.id.hex()
            while cause != FIRST and not corrects:
                said = form.answer(self._texts.say("corrects")).lower()
                if said == BACK:
                    break
                if hex_32(said) is None:
                    self._screen.say(self._texts.say("no_id"), "yellow")
                else:
                    corrects = said
            if cause == FIRST or corrects:
                return cause, corrects

    def _next_reader(self, form: Form, draft: Draft) -> None:
        """Find out who reads now, and make the second reading blind for the first."""
        second = bool(draft.readings)
        if second:
            form.answer(self._texts.say("second_now"))
        while True:
            who = form.answer(self._texts.say("second_reader" if second else "first_reader"))
            if not who:
                continue
            if not second or self._wishes.one_person or who.lower() != draft.readings[0].by.lower():
                break
            self._screen.say(self._texts.say("same_reader"), "yellow")
        draft.readings.append(Reading(who))
        self._drafts.store(draft)
        if second:
            self._screen.clear()

    def _lines(self, draft: Draft) -> tuple[Line, ...]:
        return paper.lines(self._desk.definition, draft.contests, self._desk.lines)

    def _findings(self, judged: Counts, now: int) -> list[Finding]:
        report = Report.of(judged.report)
        return plausible.judge(report, judged.station, self._desk.definition, now, self._desk.signed)

    def _scans(self, form: Form) -> list[object]:
        """The scan's pages: those of the command line, or what somebody names now."""
        found = list(self._wishes.scans)
        while not self._wishes.scans and len(found) < MAX_ATTACHMENTS:
            said = form.answer(self._texts.say("scan", page=len(found) + 1))
            if not said:
                break
            try:
                attachments.examine(Path(said))
            except (WireError, ValueError) as error:
                # ValueError: a name that no system has.
                self._screen.say(str(error), "yellow")
                continue
            found.append(Path(said))
        return pages(found)


def _whole(draft: Draft, lines: Sequence[Line]) -> bool:
    """Whether a draft's lines are those that would be asked for now."""
    paths = [line.path for line in lines]
    return (
        draft.lines == paths
        and len(draft.readings) <= 2
        and all(reading.values.keys() <= set(paths) for reading in draft.readings)
    )


def pages(scans: Sequence[Path], document: str = "protocol") -> list[object]:
    """Files as a counts file attaches them: the pages of one document."""
    return [
        {"file": str(scan.absolute()), "document": document, "page": page}
        for page, scan in enumerate(scans, 1)
    ]


def key_files(
    desk: Desk,
    own: Drafts,
    first: Path,
    second: Path | None,
    single: str,
    on_paper: Collection[str],
    wishes: Wishes,
) -> Signed:
    """Sign what two files say, if they say the same.

    Args:
        desk: the desk.
        own: its drafts, open.
        first: one reading.
        second: the other one; None: there is none.
        single: why there is none.
        on_paper: codes of rules that the paper itself breaks, which somebody has looked at.
        wishes: from the command line.

    Raises:
        CountsError: the faults of a file, `desk.differs` for each line in which they differ, `desk.on_paper`
            for each rule that would hold the count; nothing was signed.
        WireError: `desk.*`, `folder.*`, `spool.*`; nothing was signed.
        OSError: something could not be stored.
    """
    if second is not None and second.exists() and first.exists() and first.samefile(second):
        raise WireError(
            "desk.same_file", "--from and --again name one file: give a second reading", file=str(second)
        )
    given = _judge_file(desk, first, wishes)
    report = Report.of(given.report)
    readings = [Reading(str(first), dict(paper.values_of(report, desk.definition)))]
    if second is not None:
        other = _judge_file(desk, second, wishes)
        _compare(desk, given, other, first, second)
        readings.append(Reading(str(second), dict(readings[0].values)))
    now = desk.now(wishes.signed_at)
    findings = plausible.judge(report, given.station, desk.definition, now, desk.signed)
    held = [finding for finding in findings if plausible.holds(finding, desk.definition)]
    refused = [finding for finding in held if finding.code not in on_paper]
    if refused:
        raise CountsError(
            str(first),
            [
                Fault(
                    finding.code,
                    "desk.on_paper",
                    f"{finding.detail}. Look at the paper: if it really says so, give --as-on-paper "
                    f"{finding.code}",
                )
                for finding in refused
            ],
        )
    signed = desk.sign(given, str(first), now)
    draft = drafts.new(
        desk.definition.sha256,
        given.station.station,
        [count.contest for count in report.counts],
        list(readings[0].values),
        words.word(words.CAUSES, report.cause or 0),
        report.corrects.hex(),
    )
    draft.readings, draft.single, draft.confirmed = readings, single, [name(finding) for finding in held]
    own.signed(draft, signed.statement.sequence)
    return signed


def _judge_file(desk: Desk, path: Path, wishes: Wishes) -> Counts:
    """A file's protocol with its scans and with the protocol that it replaces."""
    values = protocolfile.load(path)
    if wishes.scans:
        listed = values.get("attachments", [])
        values["attachments"] = [*(listed if isinstance(listed, list) else [listed]), *pages(wishes.scans)]
    if wishes.corrects:
        values["corrects"] = wishes.corrects
    given = counts.judge(values, str(path), path.parent, desk.definition)
    report = Report.of(given.report)
    if report.kind != "protocol":
        raise CountsError(
            str(path), [Fault("report", "counts.word", "a desk keys protocols: leave `report` out")]
        )
    if _signed_last(desk, given):
        return given
    if not report.corrects and desk.signed and (replaced := Report.of(desk.signed[-1].report).corrects):
        # The same file after a power cut: the last statement is this one, with what it has replaced.
        same = _replacing(desk, values, path, replaced.hex())
        if _signed_last(desk, same):
            return same
    cause = words.word(words.CAUSES, report.cause or 0)
    contests = [count.contest for count in report.counts]
    before = corrections.latest(desk.signed, given.station.station, contests)
    corrects = corrections.judge(cause, report.corrects.hex(), before, str(path))
    return _replacing(desk, values, path, corrects) if corrects else given


def _replacing(desk: Desk, values: dict[str, object], path: Path, corrects: str) -> Counts:
    return counts.judge(values | {"corrects": corrects}, str(path), path.parent, desk.definition)


def _signed_last(desk: Desk, given: Counts) -> bool:
    """Whether the desk's last statement says exactly this."""
    last = desk.signed[-1] if desk.signed else None
    return last is not None and (last.definition, last.station, last.report) == (
        desk.definition.sha256,
        given.station.station,
        given.report,
    )


def _compare(desk: Desk, given: Counts, other: Counts, first: Path, second: Path) -> None:
    """Refuse two readings that differ, with every line in which they do."""
    mine, others = (Report.of(counts_.report) for counts_ in (given, other))
    said: list[dict[str, int | str]] = [
        {
            "station": counts_.station.station,
            "cause": words.word(words.CAUSES, report.cause or 0),
            "corrects": report.corrects.hex(),
            **paper.values_of(report, desk.definition),
        }
        for counts_, report in ((given, mine), (other, others))
    ]
    paths = list(dict.fromkeys((*said[0], *said[1])))
    faults = [
        Fault(path, "desk.differs", f"{_shown(said[0], path)} here, {_shown(said[1], path)} in {second}")
        for path in paths
        if said[0].get(path) != said[1].get(path)
    ]
    if faults:
        raise CountsError(str(first), faults)


def _shown(values: dict[str, int | str], path: str) -> int | str:
    return values.get(path, "nothing")
