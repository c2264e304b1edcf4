"""What a device has to send: its signed statements, each with the receipt that it has or has not.

The device's lock is held while the chain is read and proved, and not while anybody waits for a line: so a
statement can be signed meanwhile, and `look` finds it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clients import files
from clients.box import folder, receipts
from clients.box.receipts import Stored
from clients.box.spool import STATEMENTS, Spool
from clients.wire.answers import Logged
from clients.wire.errors import WireError
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


class Outbox:
    """A device's statements in the order of their sequence.

    Attributes:
        path: the device's folder.
        letters: every statement that was found so far.
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

    def _read(self, spool: Spool) -> Sequence[Letter]:
        new = [self._letter(packet, spool) for packet in spool.statements[len(self.letters) :]]
        self.letters += new
        return new

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
