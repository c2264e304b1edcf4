"""What a member of a commission sees while counts travel: a line for each thing that happens.

On a terminal a last line counts down to the next attempt. Attempts go on all night: what is the same as
before is said again only after a while.
"""

import time
from collections.abc import Sequence
from typing import Final

import trio

from clients import terminal
from clients.box import receipts, show, words
from clients.box.folder import Settings
from clients.box.outbox import Letter, Outbox, Paper
from clients.box.papers import PaperEvent, PaperRefused, PaperTaken, PaperUnread
from clients.box.report import Report
from clients.box.send import ClockOff, Delivered, Event, Failed, Found, Refused, Resting, Unstored
from clients.terminal import fail, say, warn
from clients.wire.errors import WireError

# Seconds between two numbers of the countdown.
_TICK = 1.0
# Seconds after which the same trouble is told again.
_SAY_AGAIN = 600.0
# What the codes begin with that verifying a receipt raises.
_OF_RECEIPTS: Final = ("receipt.", "note.", "checkpoint.")
# Digits of a paper's hash that people are shown: enough to find its file.
_HASH_DIGITS: Final = 16
_MINUTE: Final = 60
_HOUR: Final = 3_600


class Board:
    """What is shown of a sending.

    Attributes:
        stopped: a person has ended it.
    """

    def __init__(
        self, settings: Settings, outbox: Outbox, *, once: bool, program: str = "tallygate-box"
    ) -> None:
        self.stopped = False
        self._program = program
        self._settings = settings
        self._outbox = outbox
        self._once = once
        self._footer = terminal.Footer()
        self._resting = 0.0
        self._said: dict[str, float] = {}

    def begin(self) -> None:
        """Say what there is to do."""
        letters = self._outbox.letters
        waiting = sum(letter.stored is None for letter in letters)
        say("device", f"{self._settings.device} of {self._settings.election}")
        say("statements", f"{len(letters)} signed, {waiting} not delivered yet")
        papers = sum(paper.here and not paper.taken for paper in self._outbox.papers)
        if papers:
            say("papers", f"{papers} not delivered yet")
        for letter in letters:
            if letter.bad is not None:
                warn(f"this receipt proves nothing; the statement is sent again: {letter.bad}")

    def tell(self, event: Event | PaperEvent) -> None:
        """Show an event."""
        self._footer.clear()
        match event:
            case Resting(until):
                self._resting = until
                self._show_rest()
            case Found(letters):
                say("new", f"{len(letters)} signed meanwhile")
            case Delivered(letter, logged):
                self._said.clear()
                say("delivered", f"{what(letter)}: place {logged.index} of the log")
                if logged.outcome == "conflict":
                    warn(
                        "the log holds another statement of this device under number "
                        f"{letter.packet.sequence} too: call the commission, somebody must find out why"
                    )
            case Unstored(letter, logged, error):
                warn(
                    f"{what(letter)}: it is in the log, place {logged.index}, but its receipt could not be "
                    f"stored here: {error.strerror or error}. Make room on this disk and send again"
                )
            case Refused(letter, refusal, wait):
                self._tell_refused(f"{what(letter)}: {refusal.detail} [{refusal.code}]", refusal.retry, wait)
            case PaperTaken(paper, new):
                self._said.clear()
                say("taken" if new else "known", paper_words(paper))
            case PaperRefused(paper, refusal, wait):
                text = f"{paper_words(paper)}: {refusal.detail} [{refusal.code}]"
                self._tell_refused(text, refusal.retry, wait)
            case PaperUnread(paper, error, wait):
                self._tell_trouble("put right", f"{paper_words(paper)}: {error}", wait)
            case Failed(address, error, wait):
                self._tell_trouble("no line", f"{address}: {_words(error)}", wait)
            case ClockOff(seconds):
                apart = f"{span(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'}"
                warn(
                    f"this device's clock is {apart} the gateway's: set it before anything else is signed. "
                    "What is signed is sent all the same"
                )

    def _tell_refused(self, text: str, retry: str, wait: float | None) -> None:
        if wait is None:
            say("refused", text)
            say("", "it will not be taken as it is, and is kept here: call the commission")
        else:
            self._tell_trouble("put right" if retry == "fix" else "not yet", text, wait)

    def _tell_trouble(self, label: str, text: str, wait: float) -> None:
        now = time.monotonic()
        if now - self._said.get(text, -_SAY_AGAIN) < _SAY_AGAIN:
            return
        self._said[text] = now
        say(label, text)
        if not self._once:
            say("", f"nothing is lost; tried again by itself, first in {span(wait)}")

    async def count_down(self) -> None:
        """Keep the countdown going; ends by being cancelled."""
        while True:
            await trio.sleep(_TICK)
            self._show_rest()

    def _show_rest(self) -> None:
        rest = self._resting - trio.current_time()
        if rest > 0:
            waiting = sum(letter.stored is None for letter in self._outbox.letters)
            self._footer.show(
                f"{waiting} to deliver, next try in {span(rest)} (Ctrl-C stops, nothing is lost)"
            )

    def clear(self) -> None:
        """Take the countdown away."""
        self._footer.clear()

    def end(self, left: Sequence[Letter], papers: Sequence[Paper] = ()) -> None:
        """Say how it went, with the statements and papers that are left."""
        letters = self._outbox.letters
        if left:
            numbers = ", ".join(str(letter.packet.sequence) for letter in left)
            fail(
                f"{'stopped; ' if self.stopped else ''}{len(left)} of {len(letters)} statements still to be "
                f"delivered: number {numbers}. Nothing is lost, `{self._program} send {self._outbox.path}` "
                "goes on [send.left]"
            )
        elif papers:
            fail(
                f"{'stopped; ' if self.stopped else ''}every statement is delivered, {len(papers)} of "
                f"{len(self._outbox.papers)} papers still to be. Nothing is lost, `{self._program} send "
                f"{self._outbox.path}` goes on [send.left]"
            )
        elif letters:
            place = self._outbox.path / receipts.RECEIPTS
            terminal.result(f"everything is delivered; the receipts are in {place}", good=True)
        else:
            terminal.result("nothing to send: this device has signed nothing yet", good=True)


def what(letter: Letter) -> str:
    """A statement in a few words: number, kind, and the slip that was printed for it."""
    packet = letter.packet
    return f"{packet.sequence} {Report.of(packet.report).kind} {show.slip(packet)}"


def paper_words(paper: Paper) -> str:
    """A paper in a few words: its medium and size, the statement that names it, and its hash."""
    media = words.word(words.MEDIA, paper.media)
    sequence = paper.letter.packet.sequence
    return f"{media} of {paper.size:,} bytes, statement {sequence}: {paper.sha256.hex()[:_HASH_DIGITS]}…"


def span(seconds: float) -> str:
    """A length of time for people, in its two largest units at most."""
    whole = max(round(seconds), 1)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def _words(error: WireError) -> str:
    if error.code == "receipt.moved" or not error.code.startswith(_OF_RECEIPTS):
        return str(error)
    return (
        f"the receipt that came back proves nothing, and nothing counts as delivered ({error}). The gateway, "
        "or the log key in site.json, is not this election's: call the commission"
    )
