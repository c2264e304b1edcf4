"""What a device has to send: its statements, each with its receipt or without one, and the papers they name.

The device's lock is held while the chain is read and proved, and not while anybody waits for a line: so a
statement can be signed meanwhile, and `look` finds it.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clients import files
from clients.box import folder, receipts
from clients.box.receipts import Stored
from clients.box.report import Attachment, Report
from clients.box.spool import STATEMENTS, Spool
from clients.wire.answers import Logged
from clients.wire.errors import WireError
from clients.wire.grammar import MAX_ATTACHMENT_BYTES
from clients.wire.note import VerifierKey
from clients.wire.statement import MAX_STATEMENT_BYTES, Statement


@dataclass(slots=True)
class Letter:
    """One statement on its way.

    Attributes:
        packet: what it says.
        data: the bytes that were signed.
        stored: its receipt; None as long as it is not delivered.
        bad: what is wrong with the receipt that is there, if one is and it proves nothing.
    """

    packet: Statement
    data: bytes
    stored: Stored | None
    bad: WireError | None


@dataclass(slots=True)
class Paper:
    """A file that a statement names (docs/packet.md, attachment).

    Attributes:
        letter: the first statement that names it.
        sha256: of its bytes.
        media: number of the medium.
        size: in bytes.
        here: whether its bytes are in the device's folder; else somebody else brings it.
        taken: whether a gateway has said that it keeps it.
    """

    letter: Letter
    sha256: bytes
    media: int
    size: int
    here: bool
    taken: bool


class Outbox:
    """A device's statements in the order of their sequence, and the papers that they name.

    Attributes:
        path: the device's folder.
        letters: every statement that was found so far.
        papers: every paper that one of them names, once, in their order.
    """

    def __init__(self, path: Path, log_key: VerifierKey | None) -> None:
        """Prove and read what is there.

        Args:
            path: the device's folder.
            log_key: the log's; without it no receipt proves anything.

        Raises:
            WireError: `folder.*`, `spool.*`, `file.*`.
            OSError: something cannot be read.
        """
        self.path = path
        self.letters: list[Letter] = []
        self.papers: list[Paper] = []
        self._log_key = log_key
        with folder.opened(path) as opened:
            self._read(opened.spool())

    def look(self) -> Sequence[Letter]:
        """Read what was signed since the last look; nothing while somebody is signing.

        Raises:
            WireError: `folder.*`, `spool.*`, `file.*`.
            OSError: something cannot be read.
        """
        entries = os.scandir(self.path / STATEMENTS)
        if sum(files.temporary_for(entry.name) is None for entry in entries) == len(self.letters):
            return ()
        try:
            with folder.opened(self.path) as opened:
                return self._read(opened.spool())
        except WireError as error:
            if error.code == "folder.busy":
                return ()
            raise

    def store(self, letter: Letter, logged: Logged) -> None:
        """Store a statement's receipt; when this returns, it is delivered.

        Raises:
            OSError: it could not be stored; an earlier one is untouched.
        """
        receipts.store(self.path, letter.packet.sequence, logged.receipt)
        letter.stored, letter.bad = Stored(logged.index, logged.checkpoint.size), None

    def content(self, paper: Paper) -> bytes:
        """The bytes of a paper that is here.

        Raises:
            WireError: `folder.attachment`: they are not those that were signed for; `file.unreadable`,
                `file.too_large`.
        """
        place = folder.attachment(self.path, paper.sha256)
        data = files.read(place, MAX_ATTACHMENT_BYTES, "an attachment")
        if hashlib.sha256(data).digest() != paper.sha256:
            raise WireError(
                "folder.attachment",
                "the disk has changed this file; put the scan that was attached here again, under this name",
                file=str(place),
            )
        return data

    def take(self, paper: Paper) -> None:
        """Note that a gateway keeps a paper; when this returns, it is not sent again.

        Raises:
            OSError: it could not be noted: it is sent again, which costs little.
        """
        receipts.note_paper(self.path, paper.sha256)
        paper.taken = True

    def _read(self, spool: Spool) -> Sequence[Letter]:
        new = [self._letter(packet, spool) for packet in spool.statements[len(self.letters) :]]
        self.letters += new
        known = {paper.sha256 for paper in self.papers}
        for letter in new:
            for named in Report.of(letter.packet.report).attachments:
                if named.sha256 not in known:
                    known.add(named.sha256)
                    self.papers.append(self._paper(letter, named))
        return new

    def _paper(self, letter: Letter, named: Attachment) -> Paper:
        here = folder.attachment(self.path, named.sha256).is_file()
        taken = receipts.has_paper(self.path, named.sha256)
        return Paper(letter, named.sha256, named.media, named.size, here, taken)

    def _letter(self, packet: Statement, spool: Spool) -> Letter:
        place = spool.path(packet.sequence)
        data = files.read(place, MAX_STATEMENT_BYTES, "a statement")
        letter = Letter(packet, data, None, None)
        if self._log_key is None:
            return letter
        try:
            letter.stored = receipts.find(self.path, packet.sequence, data, self._log_key)
        except WireError as error:
            letter.bad = error
        return letter
