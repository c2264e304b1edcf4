"""A device that works by itself: counts become statements as they come, and the line opens when it may.

What lives here: `Runner`, three tasks beside each other. One takes counts files and has them signed. The
second keeps the line shut until something may leave the device, then sends until all is delivered, and looks
again. The third sends the papers of what is delivered.
A ballot box is offline while people vote: only a turnout leaves before its station has closed.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import trio

from clients.box.countsfile import CountsError
from clients.box.drop import Drop
from clients.box.outbox import Letter, Outbox
from clients.box.papers import PaperSender
from clients.box.report import Report
from clients.box.send import LOOK_SECONDS, Sender
from clients.box.sign import Signed
from clients.wire.errors import WireError

# What is wrong with this device and not with one file of counts: nobody may sign on.
_ENDS: Final = ("spool.", "folder.")


class Runner:
    """Whoever runs it holds the outbox's lock (`clients.box.receipts.sending`).

    Args:
        drop: where counts come from.
        sign: makes the device's next statement of a counts file (`clients.box.sign.sign`).
        outbox: what the sender sends.
        sender: used again each time there is something to do.
        papers: of the same outbox; a paper leaves when its statement has left.
        closes_at: closing times of the definition's stations, ms.
        clock: this machine's, ms since the Unix epoch.
        online: there is a line all day, nothing waits for the close.
        tell: hears what was signed.
        trouble: hears what could not be: the file, and lines for people.
    """

    def __init__(
        self,
        drop: Drop,
        sign: Callable[[Path], Signed],
        outbox: Outbox,
        sender: Sender,
        papers: PaperSender,
        closes_at: Mapping[int, int],
        *,
        clock: Callable[[], int],
        online: bool,
        tell: Callable[[Signed], None],
        trouble: Callable[[Path, list[str]], None],
    ) -> None:
        self._drop = drop
        self._sign = sign
        self._outbox = outbox
        self._sender = sender
        self._papers = papers
        self._closes_at = closes_at
        self._clock = clock
        self._online = online
        self._tell = tell
        self._trouble = trouble
        self._failed: WireError | OSError | None = None
        # What was said of a file that is still there: the same is not said again.
        self._said: dict[Path, str] = {}

    async def run(self) -> None:
        """Work until it is cancelled.

        Raises:
            WireError: the device must not sign on (`spool.*`, `folder.*`), or cannot read what it has.
            OSError: the same.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_failed, self._take, nursery.cancel_scope)
            nursery.start_soon(self._until_failed, self._send, nursery.cancel_scope)
            nursery.start_soon(self._until_failed, self._send_papers, nursery.cancel_scope)
        if self._failed is not None:
            raise self._failed

    async def _until_failed(self, work: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        try:
            await work()
        except (WireError, OSError) as error:
            self._failed = self._failed or error
            scope.cancel()

    def line_opens_at(self) -> int | None:
        """When something that is not delivered may leave the device, ms; None: nothing waits."""
        times = [self._leaves_at(letter) for letter in self._outbox.letters if letter.stored is None]
        return min(times, default=None)

    def _leaves_at(self, letter: Letter) -> int:
        if self._online or Report.of(letter.packet.report).kind == "turnout":
            return 0
        return self._closes_at.get(letter.packet.station, 0)

    async def _send(self) -> None:
        while True:
            self._sender.look()
            opens_at = self.line_opens_at()
            if opens_at is not None and opens_at <= self._clock():
                await self._sender.run(once=False)
            # The clock may be set meanwhile: it is asked again and not waited for.
            await trio.sleep(LOOK_SECONDS)

    async def _send_papers(self) -> None:
        # It never ends by itself: what no gateway will ever take is told once.
        await self._papers.run(once=False, more=lambda: True)

    async def _take(self) -> None:
        while True:
            for file in self._drop.waiting():
                self._take_one(file)
                await trio.lowlevel.checkpoint()
            await trio.sleep(LOOK_SECONDS)

    def _take_one(self, file: Path) -> None:
        try:
            signed = self._sign(file)
            self._drop.signed(file, signed.statement.sequence)
        except CountsError as error:
            lines = error.lines()
            self._trouble(self._drop.faulty(file, lines, self._clock()), lines)
        except WireError as error:
            if error.code.startswith(_ENDS) and error.code != "folder.busy":
                raise
            self._later(file, str(error))
        except OSError as error:
            # Of a full disk, say: nothing was shown, and the file is still there.
            self._later(file, f"it could not be stored: {error.strerror or error}")
        else:
            self._said.pop(file, None)
            self._tell(signed)

    def _later(self, file: Path, words: str) -> None:
        if self._said.get(file) != words:
            self._said[file] = words
            self._trouble(file, [f"{words}; tried again by itself"])
